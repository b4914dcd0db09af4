//! `forescale run`: the main job, from a spec to a judged forecast.
//!
//! Stages, in order: corpus, ladder, forecast, register, target, score, report. Each finds what is already done and
//! goes on from there, so that "run the same command again" is how anything is resumed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::time::Instant;

use anyhow::{Context as _, bail};
use forescale_core::outcome::{ForecastStatus, Registration, Score};
use forescale_core::run::{PlannedRun, RunId};
use forescale_fit::Evidence;
use forescale_report::format;
use forescale_sweep::{LaunchEvent, Launcher as _, LocalLauncher, RunState, Store, Task};
use forescale_train::DeviceChoice;

use super::register;
use crate::args::{LawArgs, RunArgs, Stage};
use crate::evidence;
use crate::exit::Answer;
use crate::output;
use crate::progress::{Progress, clock};
use crate::source::Material;
use crate::workplace::{self, Workplace};

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<Answer> {
    let began = Instant::now();
    args.device.parse::<DeviceChoice>()?.resolve()?;
    let spec = workplace::load(&args.sweep)?;
    let _lock = workplace::take(&spec)?;
    output::text(&spec.folder().join("out").join("index.html").display().to_string())?;
    let workplace = Workplace::building(spec)?;
    for note in &workplace.plan.notes {
        output::say(&format!("note: {note}"));
    }
    if args.stop_after == Stage::Corpus {
        return Ok(Answer::Yes);
    }
    let ladder: Vec<PlannedRun> = workplace.plan.ladder().cloned().collect();
    let failed = train(&workplace, "ladder", &ladder, args)?;
    if failed > 0 {
        output::say(&format!("{failed} runs failed; `forescale run {}` tries them again", args.sweep.display()));
        return Ok(Answer::No);
    }
    let answer = judge(&workplace, args)?;
    output::say(&format!("done in {}", clock(began.elapsed())));
    Ok(answer)
}

/// Everything after the ladder.
fn judge(workplace: &Workplace, args: &RunArgs) -> anyhow::Result<Answer> {
    forescale_sweep::collect(&workplace.store, &workplace.plan)?;
    let mut material = Material::from_workplace(workplace)?;
    if args.stop_after == Stage::Ladder {
        return Ok(Answer::Yes);
    }
    let evidence = evidence::judge(&material, &LawArgs::default())?;
    workplace::write_json(&workplace.out().join("fit.json"), &evidence.fits)?;
    workplace::write_json(&workplace.out().join("forecast.json"), &evidence.forecast)?;
    say_forecast(&evidence);
    if args.stop_after == Stage::Forecast {
        return Ok(Answer::Yes);
    }
    if let Some(target) = workplace.plan.target() {
        ensure_registered(workplace, &material, &evidence, target)?;
        if args.stop_after == Stage::Register {
            return Ok(Answer::Yes);
        }
        if train(workplace, "target", std::slice::from_ref(target), args)? > 0 {
            output::say(&format!("the target failed; `forescale run {}` tries it again", args.sweep.display()));
            return Ok(Answer::No);
        }
        forescale_sweep::collect(&workplace.store, &workplace.plan)?;
        material = Material::from_workplace(workplace)?;
        if args.stop_after == Stage::Target {
            return Ok(Answer::Yes);
        }
        score(workplace, &material)?;
        if args.stop_after == Stage::Score {
            return Ok(Answer::Yes);
        }
    }
    evidence::write_page(&material, &evidence, &workplace.out())?;
    Ok(Answer::Yes)
}

/// Trains the runs that have no sealed record; returns how many failed.
fn train(workplace: &Workplace, label: &str, runs: &[PlannedRun], args: &RunArgs) -> anyhow::Result<usize> {
    let mut missing = Vec::new();
    for run in runs {
        if !matches!(workplace.store.state(&run.id)?, RunState::Sealed(_)) {
            missing.push(run.clone());
        }
    }
    let sealed = runs.len() - missing.len();
    if sealed > 0 {
        output::say(&format!("{label}: {sealed} of {} runs are sealed already", runs.len()));
    }
    if missing.is_empty() {
        return Ok(0);
    }
    let launcher = LocalLauncher {
        executable: std::env::current_exe().context("this program does not know where it lies")?,
        jobs: args.jobs.map(NonZeroUsize::get),
    };
    let work: f64 = missing.iter().map(|run| run.config.flops().exact).sum();
    let mut progress = Progress::new(label, missing.len(), work);
    let mut ledger = Ledger { store: &workplace.store, done: BTreeMap::new() };
    let tasks = missing.iter().map(|run| task(workplace, run, args)).collect();
    let summary = launcher.launch(&workplace.store, tasks, &mut |event| ledger.note(event, &mut progress))?;
    Ok(summary.failed.len())
}

fn task(workplace: &Workplace, run: &PlannedRun, args: &RunArgs) -> Task {
    let words = [OsString::from("exec"), workplace.spec.folder().into(), run.id.0.clone().into()];
    let device = [OsString::from("--device"), args.device.clone().into()];
    Task {
        run: run.clone(),
        arguments: words.into_iter().chain(device).collect(),
        estimated_seconds: forescale_train::estimated_seconds(&run.config, 1),
    }
}

/// Work done by run, so that the sweep's bar moves with FLOPs rather than with runs.
struct Ledger<'a> {
    store: &'a Store,
    done: BTreeMap<RunId, f64>,
}

impl Ledger<'_> {
    fn note(&mut self, event: LaunchEvent, progress: &mut Progress) {
        match event {
            LaunchEvent::Started { run, .. } => progress.started(&run.name, run.config.steps),
            LaunchEvent::Progress { run, progress: log } => {
                self.did(&run, log.step as f64 / run.config.steps as f64);
                progress.moved(&run.name, log.step, log.loss);
            }
            LaunchEvent::Finished { run } => {
                self.did(&run, 1.0);
                progress.ended(&run.name, &self.result(&run));
            }
            LaunchEvent::Failed { run, exit, stderr_tail } => {
                self.did(&run, 1.0);
                progress.ended(&run.name, &format!("failed ({exit})\n{stderr_tail}"));
            }
            LaunchEvent::Tick { .. } => progress.worked(self.done.values().sum()),
        }
    }

    fn did(&mut self, run: &PlannedRun, share: f64) {
        self.done.insert(run.id.clone(), share * run.config.flops().exact);
    }

    /// What a sealed record says, in a few words.
    fn result(&self, run: &PlannedRun) -> String {
        let Ok(Some(record)) = self.store.record(&run.id) else { return "sealed".to_owned() };
        let seconds = record.environment.wall_seconds;
        match record.metric("loss") {
            Some(metric) => format!("loss {:.4} in {seconds:.1} s", metric.value),
            None => format!("{} after {seconds:.1} s", record.reason.as_deref().unwrap_or("no loss")),
        }
    }
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
    workplace::write_json(&path, &registration)?;
    output::say(&format!("registered {} before the target starts", &registration.sha256[..12]));
    Ok(())
}

/// A registration is never replaced: one made from other runs has to be moved away by a person.
fn keep(sealed: &Registration, workplace: &Workplace, evidence: &Evidence, target: &PlannedRun) -> anyhow::Result<()> {
    if sealed.inputs == evidence.forecast.inputs && sealed.target_config_digest == target.config.digest() {
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
        }
        None => output::say("the target has no loss to score"),
    }
    Ok(())
}

fn say_score(score: &Score) {
    output::say(&format!(
        "the target reached {}: {} the interval, prediction off by {:+.2}%",
        format::loss(score.actual),
        if score.inside { "inside" } else { "OUTSIDE" },
        100.0 * score.relative_error,
    ));
}
