//! `forescale run`: the main job, from a spec to a judged forecast.
//!
//! Stages, in order: corpus, ladder, forecast, register, target, score, report. Each finds what is already done and
//! goes on from there, so that "run the same command again" is how anything is resumed.

use std::time::Instant;

use anyhow::bail;
use forescale_core::outcome::{ForecastStatus, Registration, Score};
use forescale_core::run::{PlannedRun, Role};
use forescale_fit::{Entered, Evidence};
use forescale_report::format;
use forescale_sweep::launch::slurm;
use forescale_sweep::{RunState, SweepSpec};

use super::register;
use crate::args::{LauncherName, RunArgs, Stage};
use crate::capability;
use crate::evidence::{self, Asked};
use crate::exit::Answer;
use crate::ledger::LedgerFile;
use crate::output;
use crate::place::Place;
use crate::progress::clock;
use crate::source::Material;
use crate::training::Training;
use crate::workplace::{self, Workplace};

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Answer> {
    let began = Instant::now();
    let place = match args.launcher {
        LauncherName::Local => Place::of(&args.device)?,
        LauncherName::Slurm => Place::of_jobs(&args.device)?,
    };
    let spec = workplace::load(&args.sweep)?;
    let slurm = slurm_args(args, &spec)?;
    let _lock = workplace::take(&spec)?;
    LedgerFile::of_sweep(spec.folder()).refuse_broken()?;
    let workplace = Workplace::building(spec)?;
    for note in &workplace.plan.notes {
        output::say(&format!("note: {note}"));
    }
    if args.stop_after == Stage::Corpus {
        return Ok(Answer::Yes);
    }
    let asked = |run: &&PlannedRun| run.role != Role::Target || args.stop_after >= Stage::Target;
    let training =
        Training { workplace: &workplace, place: &place, jobs: args.jobs, slurm: slurm.as_deref(), probe: None };
    training.refuse_hopeless(workplace.plan.runs.iter().filter(asked))?;
    if args.stop_after == Stage::Report {
        output::text(&workplace.out().join("index.html").display().to_string())?;
    }
    // Under Slurm `auto` is the processor by what it means there, and not for want of a card here.
    let typed = if args.launcher == LauncherName::Slurm { "cpu" } else { &args.device.device };
    output::say(&place.words(typed));
    let ladder: Vec<PlannedRun> = workplace.plan.ladder().cloned().collect();
    let failed = training.train("ladder", &ladder)?;
    if failed > 0 {
        output::say(&format!("{failed} runs failed; `{}` tries them again", same_command(args)));
        return Ok(Answer::No);
    }
    let answer = judge(&workplace, args, &training)?;
    if answer == Answer::Yes {
        output::say(&format!("done in {}", clock(began.elapsed())));
    }
    Ok(answer)
}

/// What `sbatch` is told beside the launcher's own arguments, the spec's first; none where this machine starts the runs.
fn slurm_args(args: &RunArgs, spec: &SweepSpec) -> anyhow::Result<Option<Vec<String>>> {
    match (args.launcher, &args.slurm_args) {
        (LauncherName::Local, None) => Ok(None),
        (LauncherName::Local, Some(_)) => {
            bail!("`--slurm-args` is for jobs of Slurm, and this machine starts the runs\n\nhint: --launcher slurm")
        }
        (LauncherName::Slurm, typed) => {
            let typed = slurm::arguments(typed.as_deref().unwrap_or_default())?;
            Ok(Some([spec.slurm_args(), &typed].concat()))
        }
    }
}

fn same_command(args: &RunArgs) -> String {
    let launcher = if args.launcher == LauncherName::Slurm { " --launcher slurm" } else { "" };
    format!("forescale run {}{launcher}", args.sweep.display())
}

/// Everything after the ladder.
fn judge(workplace: &Workplace, args: &RunArgs, training: &Training<'_>) -> anyhow::Result<Answer> {
    forescale_sweep::collect(&workplace.store, &workplace.plan)?;
    if args.stop_after == Stage::Ladder {
        return Ok(Answer::Yes);
    }
    let mut material = Material::from_workplace(workplace)?;
    let evidence = evidence::judge(&material, &Asked::default())?;
    workplace::write_json(&workplace.out().join("fit.json"), &evidence.fits)?;
    workplace::write_json(&workplace.out().join("forecast.json"), &evidence.forecast)?;
    if let Some(forecast) = &evidence.capability {
        workplace::write_json(&workplace.out().join(capability::FORECAST), forecast)?;
    }
    say_forecast(&evidence);
    if args.stop_after == Stage::Forecast {
        return Ok(Answer::Yes);
    }
    let mut scored = Ok(());
    if let Some(target) = workplace.plan.target() {
        ensure_registered(workplace, &material, &evidence, target)?;
        if args.stop_after == Stage::Register {
            return Ok(Answer::Yes);
        }
        if training.train("target", std::slice::from_ref(target))? > 0 {
            output::say(&format!("the target failed; `{}` tries it again", same_command(args)));
            return Ok(Answer::No);
        }
        forescale_sweep::collect(&workplace.store, &workplace.plan)?;
        material = Material::from_workplace(workplace)?;
        if args.stop_after == Stage::Target {
            return Ok(Answer::Yes);
        }
        scored = score(workplace, &material);
        if args.stop_after == Stage::Score {
            return scored.map(|()| Answer::Yes);
        }
    }
    // An outcome that the ledger refuses keeps nobody from the page.
    evidence::write_page(&evidence::report_data(&material, &evidence, &Asked::default())?, &workplace.out())?;
    scored.map(|()| Answer::Yes)
}

fn say_forecast(evidence: &Evidence) {
    for target in &evidence.forecast.targets {
        match (target.status, target.median, target.intervals.first()) {
            (ForecastStatus::Forecast, Some(median), Some(interval)) => output::say(&format!(
                "forecast at {} FLOPs: {} ({:.0}% interval {} to {}), {:.1} decades beyond the data",
                format::flops(target.flops),
                format::loss(median),
                100.0 * interval.level,
                format::loss(interval.lower),
                format::loss(interval.upper),
                target.decades_beyond_data,
            )),
            _ => output::say(&format!("no forecast: {}", target.reason.as_deref().unwrap_or("refused"))),
        }
    }
    if let Some(forecast) = &evidence.capability {
        output::say(&forescale_report::capability::summary(forecast));
    }
}

/// Registers the forecast before the target starts; keeps the one there is, if it is of the same runs and target.
fn ensure_registered(
    workplace: &Workplace,
    material: &Material,
    evidence: &Evidence,
    target: &PlannedRun,
) -> anyhow::Result<()> {
    if !matches!(workplace.store.state(&target.id)?, RunState::Missing) {
        if workplace.registration(target)?.is_none() {
            output::say("note: the target was started without a registered forecast; its score proves nothing");
        }
        return Ok(());
    }
    if let Some(sealed) = workplace.registration(target)? {
        return keep(&sealed, workplace, evidence, target);
    }
    let refused = evidence::own_target(evidence).is_none_or(|forecast| forecast.status == ForecastStatus::Refused);
    if refused {
        bail!(
            "there is no forecast to register, so the target is not trained\n\n\
             hint: forescale forecast {} says why",
            workplace.spec.folder().display()
        );
    }
    let (registration, path) = register::seal_own(workplace, material, evidence)?;
    let ledger = LedgerFile::of_sweep(workplace.spec.folder());
    say_late(&ledger, &register::keep(&registration, &path, &ledger)?);
    output::say(&format!("registered {} before the target starts", &registration.sha256[..12]));
    Ok(())
}

/// A registration is never replaced: one made from other runs has to be moved away by a person.
fn keep(sealed: &Registration, workplace: &Workplace, evidence: &Evidence, target: &PlannedRun) -> anyhow::Result<()> {
    if sealed.inputs == evidence.forecast.inputs && sealed.target_config_digest == target.config.digest() {
        let ledger = LedgerFile::of_sweep(workplace.spec.folder());
        say_late(&ledger, &ledger.register(sealed, true)?);
        output::say(&format!("registered already: {}", &sealed.sha256[..12]));
        return Ok(());
    }
    bail!(
        "`{}` was registered from other runs than there are now\n\n\
         hint: move it away to register anew, or bring its runs back; it is never replaced",
        workplace.registration_path(target).display()
    )
}

fn score(workplace: &Workplace, material: &Material) -> anyhow::Result<()> {
    let Some(sweep) = &material.sweep else { return Ok(()) };
    let Some(registration) = evidence::registration(sweep)? else { return Ok(()) };
    match evidence::score(sweep, &registration)? {
        Some(score) => {
            workplace::write_json(&workplace.out().join("score.json"), &score)?;
            say_score(&score);
            evidence::say_precision(material);
            LedgerFile::of_sweep(workplace.spec.folder()).score(&registration, &score)?;
        }
        None => output::say("the target has no loss to score"),
    }
    Ok(())
}

fn say_late(ledger: &LedgerFile, entered: &Entered) {
    if let Entered::Late { line } = entered {
        output::say(&ledger.late(*line));
    }
}

fn say_score(score: &Score) {
    output::say(&format!(
        "the target reached {}: {} the interval, prediction off by {:+.2}%",
        format::loss(score.actual),
        if score.inside { "inside" } else { "OUTSIDE" },
        100.0 * score.relative_error,
    ));
    if !score.capability.is_empty() {
        output::say(&forescale_report::capability::held(&score.capability));
    }
}
