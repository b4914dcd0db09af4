//! `forescale report`: the page of a sweep or of a committed baseline.

use std::path::PathBuf;

use anyhow::Context as _;

use crate::args::{LawArgs, ReportArgs, ReportFormat, TableArgs};
use crate::evidence;
use crate::exit::Answer;
use crate::output;
use crate::source::{Material, SweepMaterial};

pub(crate) fn run(args: &ReportArgs) -> anyhow::Result<Answer> {
    let material = Material::open(&args.source, &TableArgs::default())?;
    let sweep = material.sweep.as_ref().context("a bare table has no report yet; a sweep or a baseline folder has")?;
    let evidence = evidence::judge(&material, &LawArgs::default())?;
    match (args.format, &args.out) {
        (ReportFormat::Md, None) => {
            output::text(&forescale_report::markdown(&evidence::report_data(&material, &evidence, sweep)?)?)?;
        }
        (ReportFormat::Md, Some(folder)) => {
            let text = forescale_report::markdown(&evidence::report_data(&material, &evidence, sweep)?)?;
            std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
            forescale_sweep::write_atomically(&folder.join("report.md"), text.as_bytes())?;
            output::text(&folder.join("report.md").display().to_string())?;
        }
        (ReportFormat::Html, out) => {
            let folder = out.clone().unwrap_or_else(|| default_folder(sweep));
            output::text(&evidence::write_page(&material, &evidence, &folder)?.display().to_string())?;
        }
    }
    Ok(Answer::Yes)
}

/// `out/` of a sweep; beside a baseline, which only `check --update` may write, a folder `out/` of its own.
pub(super) fn default_folder(sweep: &SweepMaterial) -> PathBuf {
    if sweep.evidence.join("records.parquet").is_file() && !sweep.evidence.ends_with("out") {
        return sweep.evidence.parent().map_or_else(|| PathBuf::from("out"), |parent| parent.join("out"));
    }
    sweep.evidence.clone()
}
