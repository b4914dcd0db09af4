//! `forescale report`: the page of a sweep, of a committed baseline, or of a table of runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use forescale_core::panel::ReportData;

use crate::args::{ReportArgs, ReportFormat};
use crate::evidence::{self, Asked};
use crate::exit::Answer;
use crate::output;
use crate::source::{Material, SweepMaterial};
use crate::target::parse_target;

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<Answer> {
    let target = args.at.as_deref().map(|text| parse_target("--at", text)).transpose()?;
    let asked = Asked { laws: args.law.clone(), target };
    match args.sources.as_slice() {
        [source] => one(args, source, &asked)?,
        sources => several(args, sources, &asked)?,
    }
    Ok(Answer::Yes)
}

fn one(args: &ReportArgs, source: &Path, asked: &Asked) -> anyhow::Result<()> {
    let material = open(args, source, asked)?;
    let data = data(&material, asked)?;
    if let Some(reason) = data.forecast.as_ref().and_then(|forecast| forecast.reason.as_deref()) {
        output::say(&format!("note: the page holds no forecast: {reason}"));
    }
    let path = match (args.format, &args.out) {
        (ReportFormat::Md, None) => return output::text(&forescale_report::markdown(&data)?),
        (ReportFormat::Md, Some(folder)) => {
            let text = forescale_report::markdown(&data)?;
            std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
            forescale_sweep::write_atomically(&folder.join("report.md"), text.as_bytes())?;
            folder.join("report.md")
        }
        (ReportFormat::Html, out) => {
            let folder = out.clone().unwrap_or_else(|| default_folder(&material));
            evidence::write_page(&data, &folder)?
        }
    };
    output::text(&path.display().to_string())
}

/// A page each, in a folder of its name, and an index over them.
fn several(args: &ReportArgs, sources: &[PathBuf], asked: &Asked) -> anyhow::Result<()> {
    let Some(folder) = args.out.as_ref().filter(|_| args.format == ReportFormat::Html) else {
        bail!(
            "{} sources were given: an index over their pages needs a folder\n\nhint: --out DIR, without --format md",
            sources.len()
        );
    };
    let materials = sources.iter().map(|source| open(args, source, asked)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut names = BTreeSet::new();
    if let Some(twice) = materials.iter().map(Material::name).find(|name| !names.insert(name.clone())) {
        bail!("two of the sources are named `{twice}`, and their pages would be one\n\nhint: report them apart");
    }
    let mut reports = Vec::new();
    for material in &materials {
        let data = data(material, asked)?;
        evidence::write_page(&data, &folder.join(material.name()))?;
        reports.push((format!("{}/index.html", material.name()), data));
    }
    let path = folder.join("index.html");
    forescale_sweep::write_atomically(&path, forescale_report::index_html(&reports)?.as_bytes())?;
    output::text(&path.display().to_string())
}

fn data(material: &Material, asked: &Asked) -> anyhow::Result<ReportData> {
    let evidence = evidence::judge(material, asked)?;
    evidence::report_data(material, &evidence, asked)
}

fn open(args: &ReportArgs, source: &Path, asked: &Asked) -> anyhow::Result<Material> {
    let material = Material::open_for(source, &args.table, &args.law)?;
    material.say_notes();
    if material.sweep.is_none() && asked.target.is_none() {
        output::say("note: no target was named, so that the page holds fits and no forecast (--at flops=1e21)");
    }
    Ok(material)
}

/// `out/` of a sweep or beside a baseline; of a table a folder of its name where the command was typed, for a table may lie
/// in a folder that is not ours to write to.
fn default_folder(material: &Material) -> PathBuf {
    let of_table = || PathBuf::from(format!("{}-report", material.name()));
    material.sweep.as_ref().map_or_else(of_table, folder_of)
}

/// `out/` of a sweep; beside a baseline, which only `check --update` may write, a folder `out/` of its own.
pub(super) fn folder_of(sweep: &SweepMaterial) -> PathBuf {
    if sweep.evidence.join("records.parquet").is_file() && !sweep.evidence.ends_with("out") {
        return beside(&sweep.evidence, "out");
    }
    sweep.evidence.clone()
}

fn beside(place: &Path, name: &str) -> PathBuf {
    place.parent().map_or_else(|| PathBuf::from(name), |parent| parent.join(name))
}
