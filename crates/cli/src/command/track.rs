//! `forescale track`: a run under way held against the loss curve that its ladder predicts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use forescale_core::observation::Observation;
use forescale_core::outcome::Registration;
use forescale_core::record::{RECORD_SCHEMA, RunRecord, RunStatus};
use forescale_core::run::PlannedRun;
use forescale_core::track::{Course, ProgressPoint};
use forescale_fit::{LadderRun, TrackInput};
use forescale_sweep::{Length, LogOptions, Underway};

use crate::args::{LawArgs, TableArgs, TrackArgs, first_typed};
use crate::evidence;
use crate::exit::Answer;
use crate::output;
use crate::source::{Material, SweepMaterial};
use crate::workplace;

pub(crate) fn run(args: &TrackArgs) -> anyhow::Result<Answer> {
    let holder = holder(args)?;
    let Some(source) = args.ladder.as_ref().or(holder.as_ref()) else {
        bail!(
            "`{}` lies in no sweep, and the runs that its forecast was made from are needed\n\n\
             hint: --ladder SOURCE, what was registered; with --curves TABLE where it is a table",
            args.registration.display()
        );
    };
    let material = Material::open(source, &args.table)?;
    material.say_notes();
    let other = match &holder {
        Some(holder) if args.ladder.is_some() => Some(Material::open(holder, &TableArgs::default())?),
        _ => None,
    };
    let own = other.as_ref().unwrap_or(&material).sweep.as_ref().filter(|_| holder.is_some());
    let registration = registration(args, own)?;
    let underway = match &args.log {
        Some(log) => read_log(args, log, &registration)?,
        None => own_target(args, own, &registration)?,
    };
    underway.notes.iter().for_each(|note| output::say(&format!("note: {note}")));
    if let Some(named) = underway.registration_sha256.as_ref().filter(|named| **named != registration.sha256) {
        bail!(
            "the log names the registration {}, and this one is {}\n\nhint: give the registration of that run",
            named.get(..12).unwrap_or(named),
            &registration.sha256[..12]
        );
    }
    let ladder = ladder(args, &material)?;
    let options = material.forecast_options(&LawArgs::default())?;
    let (sealed, read) = (registration.forecast.unit, options.unit);
    if sealed != read {
        bail!(
            "the registration is in {}, and the ladder is read in {}\n\nhint: --unit {}",
            sealed.label(),
            read.label(),
            sealed.flag()
        );
    }
    let (run, peak_known, diverged) = (underway.points, underway.peak_known, underway.diverged);
    let report = forescale_fit::track(&TrackInput { registration, ladder, run, peak_known, diverged }, &options)?;
    output::either(args.json, &report, forescale_report::text::track)?;
    Ok(match report.course {
        Course::Unjudged => Answer::None,
        course => Answer::from_held(!course.is_off()),
    })
}

/// The sweep or baseline that the registration lies in, where it lies in one.
fn holder(args: &TrackArgs) -> anyhow::Result<Option<PathBuf>> {
    let place = &args.registration;
    if !place.exists() {
        bail!(
            "there is no `{}`\n\nhint: a registration, or the sweep or baseline folder that holds it",
            place.display()
        );
    }
    if place.is_dir() {
        return Ok(Some(place.clone()));
    }
    let whole = std::path::absolute(place).with_context(|| format!("`{}` cannot be read", place.display()))?;
    let around = whole.ancestors().skip(1).take(3).find(|folder| folder.join("sweep.toml").is_file());
    Ok(around.map(Path::to_owned))
}

fn registration(args: &TrackArgs, own: Option<&SweepMaterial>) -> anyhow::Result<Registration> {
    if !args.registration.is_dir() {
        return workplace::read_registration(&args.registration);
    }
    evidence::registration(own.context("a table has no registration")?)?.with_context(|| {
        format!("`{0}` has no registered forecast\n\nhint: forescale register {0}", args.registration.display())
    })
}

/// The registered runs with their curves.
fn ladder(args: &TrackArgs, material: &Material) -> anyhow::Result<Vec<LadderRun>> {
    let mut curves: BTreeMap<String, Vec<ProgressPoint>> = match (&args.curves, &material.sweep) {
        (Some(table), _) => typed_curves(args, material, table)?,
        (None, Some(sweep)) => sweep.records.iter().map(of_record).collect(),
        (None, None) => bail!(
            "a table of finished runs says nothing of how they got there\n\n\
             hint: --curves TABLE, a row a step: run_id, step, loss and, if known, lr"
        ),
    };
    let runs = material.observations.iter().cloned();
    Ok(runs.map(|run| LadderRun { curve: curves.remove(&run.run_id).unwrap_or_default(), observation: run }).collect())
}

/// Curves of another trainer, each placed by its run's own steps and tokens where these are known.
fn typed_curves(
    args: &TrackArgs,
    material: &Material,
    table: &Path,
) -> anyhow::Result<BTreeMap<String, Vec<ProgressPoint>>> {
    let runs: BTreeMap<&str, &Observation> =
        material.observations.iter().map(|run| (run.run_id.as_str(), run)).collect();
    let length_of = |id: &str| {
        let run = runs.get(id);
        Length {
            steps: run.and_then(|run| run.training.steps),
            tokens: run.and_then(|run| Some(run.size_and_data()?.1)),
        }
    };
    let curves = forescale_sweep::read_ladder_curves(table, &curve_options(args), length_of)?;
    let (known, first) = (curves.keys().filter(|id| runs.contains_key(id.as_str())).count(), curves.keys().next());
    match (known, first) {
        (0, Some(first)) => bail!(
            "no run of `{}` is a run of the ladder: it has `{first}`, the ladder `{}`\n\n\
             hint: --curves-map run_id=COLUMN with the names that the ladder's table has",
            table.display(),
            runs.keys().next().unwrap_or(&"none")
        ),
        _ if known < runs.len() => {
            output::say(&format!(
                "note: {known} of the ladder's {} runs have a curve in `{}`",
                runs.len(),
                table.display()
            ));
        }
        _ => {}
    }
    Ok(curves)
}

fn of_record(record: &RunRecord) -> (String, Vec<ProgressPoint>) {
    (record.run_id.0.clone(), forescale_sweep::curve_of(&record.curve, record.config.steps))
}

/// The target of a sweep, from its log, or from its record in a baseline.
fn own_target(args: &TrackArgs, own: Option<&SweepMaterial>, registration: &Registration) -> anyhow::Result<Underway> {
    let target = own.and_then(|sweep| Some((sweep, sweep.target()?)));
    let is_it = |run: &PlannedRun| registration.target_run_id.as_ref().is_some_and(|id| *id == run.id.0);
    let Some((sweep, run)) = target.filter(|(_, run)| is_it(run)) else {
        bail!("there is nothing to hold `{}` against\n\nhint: --log FILE", args.registration.display());
    };
    refuse_log_flags(args, &run.name)?;
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
        peak_known: true,
        notes: Vec::new(),
    }
}

/// The log of a run: one of ours, a sealed record, or a table.
fn read_log(args: &TrackArgs, path: &Path, registration: &Registration) -> anyhow::Result<Underway> {
    if !path.is_file() {
        bail!("there is no log `{}`\n\nhint: log.jsonl or record.json of the run, or a table", path.display());
    }
    let is_ours = has_extension(path, &["jsonl", "json"]) && {
        let mut start = String::new();
        let file = File::open(path).with_context(|| format!("`{}` cannot be read", path.display()))?;
        BufReader::new(file.take(1 << 16))
            .read_line(&mut start)
            .with_context(|| format!("`{}` cannot be read", path.display()))?;
        start.trim_start().starts_with("{\"event\"")
    };
    let name = path.display().to_string();
    if is_ours {
        refuse_log_flags(args, &name)?;
        return forescale_sweep::underway(&forescale_sweep::read_log(path)?)
            .with_context(|| format!("`{name}` holds no attempt of a run yet\n\nhint: wait for its first line"));
    }
    if has_extension(path, &["json"]) {
        refuse_log_flags(args, &name)?;
        let record: RunRecord = workplace::read_document(path, RECORD_SCHEMA)?;
        if let Some(wanted) = registration.target_run_id.as_ref().filter(|id| **id != record.run_id.0) {
            bail!(
                "`{name}` is run {}, but the registration is for run {wanted}\n\nhint: give the record of the registered target",
                record.run_id
            );
        }
        return Ok(sealed(&record));
    }
    let length = Length { steps: args.steps.map(|steps| steps as f64), tokens: registration.forecast.tokens };
    Ok(forescale_sweep::read_progress(path, length, &log_options(args))?)
}

/// A log of ours says itself how it is to be read.
fn refuse_log_flags(args: &TrackArgs, name: &str) -> anyhow::Result<()> {
    let typed = [
        ("--steps", args.steps.is_some()),
        ("--log-map", !args.log_map.is_empty()),
        ("--log-where", args.log_where.is_some()),
    ];
    match first_typed(&typed) {
        Some(flag) => bail!("`{flag}` is for tables, and `{name}` is a log of ours\n\nhint: leave `{flag}` out"),
        None => Ok(()),
    }
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    path.extension().is_some_and(|found| wanted.iter().any(|one| found.eq_ignore_ascii_case(one)))
}

/// How the run's own log is read.
fn log_options(args: &TrackArgs) -> LogOptions {
    let (map, filter) = (args.log_map.clone(), args.log_where.clone());
    LogOptions { map, filter, map_flag: "--log-map", filter_flag: "--log-where" }
}

/// How the ladder's curves are read; those of other runs are passed over.
fn curve_options(args: &TrackArgs) -> LogOptions {
    let (map, filter) = (args.curves_map.clone(), args.curves_where.clone());
    LogOptions { map, filter, map_flag: "--curves-map", filter_flag: "--curves-where" }
}
