//! `forescale design`: the next runs, the interval they buy, and for a sweep the sweep.toml that trains them.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use forescale_core::design::Design;
use forescale_fit::{Candidate, CandidateGrid, Candidates, DesignOptions};
use forescale_sweep::{Addition, FamilyRun, SweepSpec};

use crate::answers::{cost, exactly};
use crate::args::DesignArgs;
use crate::exit::Answer;
use crate::output;
use crate::source::{Material, SweepMaterial};
use crate::target::{parse_flops, parse_target};

pub(crate) fn run(args: &DesignArgs) -> anyhow::Result<Answer> {
    let typed = args.target.as_deref().map(|text| parse_target("--target", text)).transpose()?;
    let budget = parse_flops("--budget", &args.budget)?;
    if !(args.growth.is_finite() && args.growth >= 1.0) {
        bail!("`--growth {}` is not a number from 1\n\nhint: --growth 10", args.growth);
    }
    let material = Material::open_for(&args.source, &args.table, &args.law)?;
    material.say_notes();
    let typed = typed.iter().map(|typed| typed.meant(&material)).collect::<anyhow::Result<Vec<_>>>()?;
    let target = material.targets_or_own(typed, "--target")?[0];
    let forecast = material.forecast_options(&args.law)?;
    let level = forecast.fit.level;
    let family = material.sweep.as_ref().map(|sweep| family(sweep, &material, target.flops));
    let candidates = match &family {
        Some(family) => Candidates::Listed(family.iter().map(|found| candidate(found, &material)).collect()),
        None => Candidates::Grid(CandidateGrid { growth: args.growth, ..CandidateGrid::default() }),
    };
    let options = DesignOptions { forecast, candidates, seed: args.law.seed, ..DesignOptions::default() };
    let mut answer = forescale_fit::design(&material.observations, &target, budget, &options)?;
    answer.diagnoses.extend(material.doubts());
    answer.cost = cost(&material, &args.hardware, &exactly(answer.flops, level))?;
    match material.sweep.as_ref().zip(family) {
        Some((sweep, family)) => answer.spec = Some(write(sweep, &family, &answer, args)?.display().to_string()),
        None => output::say(
            "note: no sweep.toml is written: a table does not say how its runs were trained, and these runs are for whoever \
             trained them",
        ),
    }
    output::either(args.json, &answer, forescale_report::plans::design)?;
    Ok(Answer::Yes)
}

/// What the sweep's family could train below the target that is asked about.
fn family(sweep: &SweepMaterial, material: &Material, target_flops: f64) -> Vec<FamilyRun> {
    let mut family = forescale_sweep::family(&sweep.spec, Some(&sweep.manifest), &sweep.plan);
    family.retain(|found| material.target_of(&found.run).flops < target_flops);
    family
}

/// A run of the family, counted as the sweep counts.
fn candidate(found: &FamilyRun, material: &Material) -> Candidate {
    let counted = material.target_of(&found.run);
    let (params, tokens) = (counted.params.unwrap_or_default(), counted.tokens.unwrap_or_default());
    Candidate { name: name(found).to_owned(), params, tokens, flops: counted.flops }
}

/// A run's name without its seed: seeds are added to it.
fn name(found: &FamilyRun) -> &str {
    found.run.name.strip_suffix("-s0").unwrap_or(&found.run.name)
}

/// Writes the sweep with the designed runs, once it is known that it can be planned.
fn write(sweep: &SweepMaterial, family: &[FamilyRun], answer: &Design, args: &DesignArgs) -> anyhow::Result<PathBuf> {
    let path = place(sweep, args.out.as_deref());
    if path.exists() && args.out.is_some() {
        bail!("`{}` exists already\n\nhint: --out another folder, or remove it", path.display());
    }
    let additions = answer.runs.iter().filter_map(|run| {
        let found = family.iter().find(|found| name(found) == run.name)?;
        let (width, tokens_per_param) = (found.width, found.tokens_per_param);
        Some(Addition { width, tokens_per_param, seeds: run.seeds, on_path: run.on_path })
    });
    let additions: Vec<Addition> = additions.collect();
    let text = forescale_sweep::extended(&sweep.spec, &additions, &note(answer))?;
    let spec = SweepSpec::parse(&path, &text).context("the designed sweep is not one")?;
    forescale_sweep::plan(&spec, Some(&sweep.manifest)).context("the designed sweep cannot be planned")?;
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    forescale_sweep::write_atomically(&path, text.as_bytes())?;
    Ok(path)
}

fn note(answer: &Design) -> String {
    format!(
        "The sweep with the runs that `forescale design` chose for a target of {:.3e} FLOPs and a budget of {:.3e}.\n\
         The runs known before are still in it: put this file in their sweep's folder, in place of its sweep.toml, and\n\
         they are not trained again.",
        answer.target.flops, answer.budget_flops
    )
}

/// Where the spec goes.
fn place(sweep: &SweepMaterial, typed: Option<&Path>) -> PathBuf {
    const FILE: &str = "sweep.toml";
    match typed {
        Some(file) if file.extension().is_some_and(|kind| kind == "toml") => file.to_owned(),
        Some(folder) => folder.join(FILE),
        None => super::report::folder_of(sweep).join("design").join(FILE),
    }
}
