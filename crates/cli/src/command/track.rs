//! `forescale track`: a run under way held against the loss curve that its ladder predicts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use forescale_core::outcome::Registration;
use forescale_core::record::{RECORD_SCHEMA, RunRecord, RunStatus};
use forescale_core::track::{Course, ProgressPoint};
use forescale_fit::{LadderRun, TrackInput};
use forescale_sweep::{Length, TableError, TableOptions, Underway};

use crate::args::{LawArgs, TableArgs, TrackArgs};
use crate::evidence;
use crate::exit::Answer;
use crate::output;
use crate::source::{Material, SweepMaterial};
use crate::workplace;

pub(crate) fn run(args: &TrackArgs) -> anyhow::Result<Answer> {
    let source = ladder_source(args)?;
    if !args.registration.is_dir() && args.log.is_none() {
        bail!("there is nothing to hold `{}` against\n\nhint: --log FILE", args.registration.display());
    }
    let material = Material::open(&source, &args.table)?;
    material.say_notes();
    let registration = if args.registration.is_dir() {
        let holder;
        let sweep = if args.ladder.is_none() {
            material.sweep.as_ref()
        } else {
            holder = Material::open(&args.registration, &TableArgs::default())?;
            holder.sweep.as_ref()
        };
        let sweep = sweep.context("a table has no registration")?;
        evidence::registration(sweep)?.with_context(|| {
            format!("`{0}` has no registered forecast\n\nhint: forescale register {0}", args.registration.display())
        })?
    } else {
        workplace::read_registration(&args.registration)?
    };
    let underway = match &args.log {
        Some(log) => read_log(args, log, &registration)?,
        None => own_target(args, material.sweep.as_ref())?,
    };
    if let Some(named) = underway.registration_sha256.as_ref().filter(|named| **named != registration.sha256) {
        bail!(
            "the log names the registration {}, and this one is {}\n\nhint: give the registration of that run",
            named.get(..12).unwrap_or(named),
            &registration.sha256[..12]
        );
    }
    let ladder = ladder(args, &material)?;
    let options = material.forecast_options(&LawArgs::default())?;
    let input = TrackInput { registration, ladder, run: underway.points, diverged: underway.diverged };
    let report = forescale_fit::track(&input, &options)?;
    output::either(args.json, &report, forescale_report::text::track)?;
    Ok(match report.course {
        Course::Unjudged => Answer::None,
        course => Answer::from_held(!course.is_off()),
    })
}

/// What the forecast was made from, as typed, or the sweep or baseline that a registration lies in.
fn ladder_source(args: &TrackArgs) -> anyhow::Result<PathBuf> {
    if let Some(ladder) = &args.ladder {
        return Ok(ladder.clone());
    }
    if args.registration.is_dir() {
        return Ok(args.registration.clone());
    }
    let around = args.registration.ancestors().skip(1).take(3).filter(|folder| folder.join("sweep.toml").is_file());
    let found = around.into_iter().next().map(Path::to_owned);
    found.with_context(|| {
        format!(
            "`{}` lies in no sweep, and the runs that its forecast was made from are needed\n\n\
             hint: --ladder SOURCE, what was registered; with --curves TABLE where it is a table",
            args.registration.display()
        )
    })
}

/// The registered runs with their curves.
fn ladder(args: &TrackArgs, material: &Material) -> anyhow::Result<Vec<LadderRun>> {
    let mut curves: BTreeMap<String, Vec<ProgressPoint>> = match (&args.curves, &material.sweep) {
        (Some(table), _) => forescale_sweep::read_ladder_curves(table, &curve_options(args)).map_err(of_the_log)?,
        (None, Some(sweep)) => sweep.records.iter().map(of_record).collect(),
        (None, None) => bail!(
            "a table of finished runs says nothing of how they got there\n\n\
             hint: --curves TABLE, a row a step: run_id, step, loss and, if known, lr"
        ),
    };
    let runs = material.observations.iter().cloned();
    Ok(runs.map(|run| LadderRun { curve: curves.remove(&run.run_id).unwrap_or_default(), observation: run }).collect())
}

fn of_record(record: &RunRecord) -> (String, Vec<ProgressPoint>) {
    (record.run_id.0.clone(), forescale_sweep::curve_of(&record.curve, record.config.steps))
}

/// The target of a sweep, from its log, or from its record in a baseline.
fn own_target(args: &TrackArgs, sweep: Option<&SweepMaterial>) -> anyhow::Result<Underway> {
    let target = sweep.and_then(|sweep| Some((sweep, sweep.target()?)));
    let (sweep, run) = target.context("there is no target to track\n\nhint: --log FILE")?;
    if let Some(record) = sweep.target_record() {
        return Ok(sealed(record));
    }
    let log = sweep.spec.folder().join("runs").join(&run.id.0).join("log.jsonl");
    forescale_sweep::underway(&forescale_sweep::read_log(&log)?).with_context(|| {
        format!("the target `{}` has not been started\n\nhint: forescale run {}", run.name, args.registration.display())
    })
}

fn sealed(record: &RunRecord) -> Underway {
    Underway {
        points: of_record(record).1,
        diverged: record.status == RunStatus::Diverged,
        registration_sha256: record.registration_sha256.clone(),
    }
}

/// The log of a run: one of ours, a sealed record, or a table.
fn read_log(args: &TrackArgs, path: &Path, registration: &Registration) -> anyhow::Result<Underway> {
    let text = if has_extension(path, &["jsonl", "json"]) {
        std::fs::read_to_string(path).with_context(|| format!("`{}` cannot be read", path.display()))?
    } else {
        String::new()
    };
    if text.trim_start().starts_with("{\"event\"") {
        let lines = forescale_sweep::read_log(path)?;
        return forescale_sweep::underway(&lines).with_context(|| {
            format!("`{}` holds no attempt of a run yet\n\nhint: wait for its first line", path.display())
        });
    }
    if has_extension(path, &["json"]) {
        let record: RunRecord = workplace::read_document(path, RECORD_SCHEMA)?;
        return Ok(sealed(&record));
    }
    let length = Length { steps: args.steps.map(|steps| steps as f64), tokens: registration.forecast.tokens };
    forescale_sweep::read_progress(path, length, &log_options(args)).map_err(of_the_log)
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|found| wanted.iter().any(|one| found.eq_ignore_ascii_case(one)))
}

/// How the run's own log is read: it need not say whose it is.
fn log_options(args: &TrackArgs) -> TableOptions {
    let entries = args.log_map.iter().filter(|entry| !entry.trim_start().starts_with("run_id="));
    TableOptions { map: entries.cloned().collect(), filter: args.log_where.clone(), ..TableOptions::default() }
}

/// How the ladder's curves are read; those of other runs are passed over.
fn curve_options(args: &TrackArgs) -> TableOptions {
    TableOptions { map: args.log_map.clone(), ..TableOptions::default() }
}

/// An error of a log names the flags that a log is read with.
fn of_the_log(error: TableError) -> anyhow::Error {
    let named = |text: &str| text.replace("--map", "--log-map").replace("--where", "--log-where");
    TableError { problem: named(&error.problem), hint: named(&error.hint), ..error }.into()
}
