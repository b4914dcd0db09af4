//! `forescale score`: a registered forecast held against what happened.

use std::path::Path;

use anyhow::{Context as _, bail};
use forescale_core::outcome::{OrderProof, Registration, Score};
use forescale_core::record::{RECORD_SCHEMA, RunRecord};

use crate::args::{ScoreArgs, TableArgs};
use crate::evidence;
use crate::exit::Answer;
use crate::ledger::LedgerFile;
use crate::output;
use crate::source::{Material, SweepMaterial};
use crate::workplace;
use forescale_core::quantity::scientific;

/// What a registration is.
const REGISTRATION: &str =
    "name the file that `forescale register` wrote, or the folder of a sweep whose forecast was registered";

pub(crate) fn run(args: &ScoreArgs) -> anyhow::Result<Answer> {
    if !args.registration.exists() {
        bail!("`{}` is not there\n\nhint: {REGISTRATION}", args.registration.display());
    }
    let (registration, score, ledger) = match &args.observed {
        None => own_score(&args.registration)?,
        Some(observed) => foreign_score(&args.registration, observed)?,
    };
    // A number typed may be a question of what would be; a record is an outcome.
    let is_typed = args.observed.as_ref().is_some_and(|observed| observed.parse::<f64>().is_ok());
    output::either(args.json, &score, forescale_report::text::score)?;
    if args.enter || !is_typed {
        ledger.score(&registration, &score)?;
    }
    Ok(Answer::from_held(score.inside))
}

/// The sweep's own registration against its own target.
fn own_score(source: &Path) -> anyhow::Result<(Registration, Score, LedgerFile)> {
    if !source.is_dir() {
        bail!("there is nothing to hold `{}` against\n\nhint: --observed FILE|VALUE", source.display());
    }
    let material = Material::open(source, &TableArgs::default())?;
    let sweep = material.sweep.as_ref().context("a table has no registration")?;
    let registration = registered(source, sweep)?;
    let score = evidence::score(sweep, &registration)?
        .with_context(|| format!("the target is not trained yet\n\nhint: forescale run {}", source.display()))?;
    evidence::say_precision(&material);
    Ok((registration, score, LedgerFile::of_sweep(sweep.spec.folder())))
}

/// The registration of a sweep's target.
fn registered(folder: &Path, sweep: &SweepMaterial) -> anyhow::Result<Registration> {
    let hint = || format!("`{}` has no registered forecast\n\nhint: forescale register {0}", folder.display());
    evidence::registration(sweep)?.with_context(hint)
}

/// A registration file against a record or a bare number.
fn foreign_score(path: &Path, observed: &str) -> anyhow::Result<(Registration, Score, LedgerFile)> {
    let (registration, ledger) = if path.is_dir() {
        let material = Material::open(path, &TableArgs::default())?;
        let sweep = material.sweep.as_ref().context("a table has no registration")?;
        (registered(path, sweep)?, LedgerFile::of_sweep(sweep.spec.folder()))
    } else {
        (workplace::read_registration(path)?, LedgerFile::above(path))
    };
    let score = match observed.parse::<f64>() {
        Ok(value) => score_value(&registration, value),
        Err(_) => score_record(&registration, Path::new(observed)),
    }?;
    Ok((registration, score, ledger))
}

fn score_value(registration: &Registration, value: f64) -> anyhow::Result<Score> {
    if !(value.is_finite() && value > 0.0) {
        let value = scientific(value);
        bail!(
            "`--observed {value}` is not a loss: a positive number is needed\n\n\
             hint: --observed 2.31, or --observed runs/ID/record.json"
        );
    }
    let detail = "a bare number says nothing of when it was measured".to_owned();
    Ok(forescale_fit::score(registration, value, OrderProof::NotProven, detail)?)
}

fn score_record(registration: &Registration, path: &Path) -> anyhow::Result<Score> {
    if !path.is_file() {
        bail!("`--observed {}` is neither a number nor a file\n\nhint: --observed runs/ID/record.json", path.display());
    }
    let record: RunRecord = workplace::read_document(path, RECORD_SCHEMA)?;
    if registration.target_run_id.as_ref().is_some_and(|id| *id != record.run_id.0) {
        bail!(
            "`{}` is run {}, but the registration is for run {}\n\nhint: give the record of the registered target",
            path.display(),
            record.run_id,
            registration.target_run_id.as_deref().unwrap_or("?")
        );
    }
    if record.config_digest != registration.target_config_digest {
        bail!(
            "`{}`: its config digest differs from the registered target's\n\n\
             hint: give the record of the run that was registered, or its loss as a number",
            path.display()
        );
    }
    let name = registration.forecast.metric.as_str();
    let metric = record.metric(name).with_context(|| {
        format!(
            "`{}` has no metric `{name}`, which was forecast\n\nhint: evaluate it, or give its value as a number",
            path.display()
        )
    })?;
    let (order, detail) = evidence::order_of(&record, registration);
    Ok(forescale_fit::score(registration, metric.value, order, detail)?)
}
