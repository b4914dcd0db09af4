//! `forescale register`: seals a forecast before its target is trained.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use forescale_core::digest::json_digest;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Forecast, ForecastStatus, Registration, Severity};
use forescale_core::run::NUMERICS_VERSION;
use forescale_fit::{Entered, Evidence, RegistrationDraft, Target};
use forescale_sweep::RunState;
use serde::{Deserialize, Serialize};

use crate::args::{LawArgs, RegisterArgs, TableArgs};
use crate::evidence::{self, Asked};
use crate::exit::Answer;
use crate::ledger::LedgerFile;
use crate::output;
use crate::source::Material;
use crate::workplace::{self, Workplace};

/// Sizes and data that agree up to this are one run's.
const ALIKE: f64 = 1e-3;

/// A target that is not a run of ours, as a file says it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForeignTarget {
    name: String,
    flops: f64,
    params: Option<f64>,
    tokens: Option<f64>,
    /// Anything else that fixes the run, in words; part of the digest.
    description: Option<String>,
}

pub(crate) fn run(args: &RegisterArgs) -> anyhow::Result<Answer> {
    let (registration, path, ledger) = match &args.target {
        Some(target) => {
            let (registration, path) = foreign(args, target)?;
            let ledger = LedgerFile::above(&path);
            (registration, path, ledger)
        }
        None if !args.source.is_dir() => bail!(
            "`{}` is a table, and what is forecast from a table must be described\n\nhint: --target FILE",
            args.source.display()
        ),
        None => {
            let workplace = Workplace::open_built(&args.source)?;
            let material = Material::from_workplace(&workplace)?;
            let evidence = evidence::judge(&material, &Asked::default())?;
            refuse_refused(&evidence.forecast)?;
            let (registration, path) = seal_own(&workplace, &material, &evidence)?;
            say_forecast(&evidence.forecast);
            note_missing(&workplace, &material);
            let ledger = LedgerFile::of_sweep(workplace.spec.folder());
            (registration, args.out.clone().unwrap_or(path), ledger)
        }
    };
    refuse_existing(&path)?;
    if let Entered::Late { line } = keep(&registration, &path, &ledger)? {
        std::fs::remove_file(&path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
        bail!(
            "`{}` has the outcome of this target on line {line}: a forecast made now would prove nothing\n\n\
             hint: register a forecast of a run that is still to come",
            ledger.name()
        );
    }
    output::say(&format!("registered {}, and entered in {}", registration.sha256, ledger.name()));
    output::text(&path.display().to_string())?;
    Ok(Answer::Yes)
}

/// Writes a registration and enters it in the ledger: both or neither, for one that is entered without a file could never be
/// scored.
pub(crate) fn keep(registration: &Registration, path: &Path, ledger: &LedgerFile) -> anyhow::Result<Entered> {
    workplace::write_json(path, registration)?;
    let entered = ledger.register(registration, true);
    if entered.is_err() {
        std::fs::remove_file(path).with_context(|| format!("`{}` cannot be removed", path.display()))?;
    }
    entered
}

fn refuse_existing(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        bail!("`{}` exists already, and a registration is never replaced\n\nhint: move it away", path.display());
    }
    Ok(())
}

/// A forecast may be sealed before the ladder is whole, but not without a word.
fn note_missing(workplace: &Workplace, material: &Material) {
    let planned = workplace.plan.ladder().count();
    let sealed = material.sweep.as_ref().map_or(0, |sweep| sweep.records.len());
    if sealed < planned {
        output::say(&format!("note: only {sealed} of the ladder's {planned} runs are sealed"));
    }
}

/// Seals the forecast of a sweep's own target; refused once the target has started.
pub(crate) fn seal_own(
    workplace: &Workplace,
    material: &Material,
    evidence: &Evidence,
) -> anyhow::Result<(Registration, PathBuf)> {
    let folder = workplace.spec.folder().display();
    let run = workplace
        .plan
        .target()
        .with_context(|| format!("`{folder}` has no [target]\n\nhint: add one to sweep.toml, or give --target FILE"))?;
    if !matches!(workplace.store.state(&run.id)?, RunState::Missing) {
        bail!(
            "the target `{}` has been started already: a forecast made now would prove nothing\n\n\
             hint: change its seed in sweep.toml to register a forecast for a new run",
            run.name
        );
    }
    let forecast = evidence::own_target(evidence).context("no forecast was made for the target")?;
    refuse_smaller(forecast.flops, &material.observations)?;
    let registration = forescale_fit::register(RegistrationDraft {
        sweep: workplace.spec.name().to_owned(),
        created_at: now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        numerics_version: NUMERICS_VERSION,
        target_run_id: Some(run.id.0.clone()),
        target_config_digest: run.config.digest(),
        eval_set_digest: Some(forescale_train::eval_set_digest(&run.config, &workplace.built().manifest)),
        rule: material.rules(),
        fits: evidence.fits.fits.clone(),
        forecast: forecast.clone(),
        capability: evidence.capability.clone(),
        observation_run_ids: material.observations.iter().map(|run| run.run_id.clone()).collect(),
        inputs: evidence.forecast.inputs.clone(),
    });
    Ok((registration, workplace.registration_path(run)))
}

/// What a target's file holds.
const TARGET_FILE: &str =
    r#"{"name": "next", "flops": 1e21, "params": 7e9, "tokens": 1.4e11}; all but name and flops may be left out"#;

/// What is to be forecast, as a file describes it.
fn read_target(path: &Path) -> anyhow::Result<ForeignTarget> {
    let place = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|cause| anyhow!("`{place}` cannot be read: {cause}\n\nhint: write it: {TARGET_FILE}"))?;
    let target: ForeignTarget = serde_json::from_str(&text)
        .map_err(|cause| anyhow!("`{place}` describes no target: {cause}\n\nhint: {TARGET_FILE}"))?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if target.name.is_empty() || !target.name.chars().all(plain) {
        bail!("`{place}`: `name` is `{}`; letters, digits, `-` and `_` are allowed", target.name);
    }
    let numbers = [("flops", Some(target.flops)), ("params", target.params), ("tokens", target.tokens)];
    for (key, value) in numbers.into_iter().filter_map(|(key, value)| Some((key, value?))) {
        if !(value.is_finite() && value > 0.0) {
            bail!("`{place}`: `{key}` is {value}; a number above 0 is needed\n\nhint: \"{key}\": 1e9");
        }
    }
    Ok(target)
}

fn foreign(args: &RegisterArgs, target_file: &Path) -> anyhow::Result<(Registration, PathBuf)> {
    let target = read_target(target_file)?;
    let path = args.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.registration.json", target.name)));
    refuse_existing(&path)?;
    let table = TableArgs { ..args.table.clone() };
    let material = Material::open(&args.source, &table)?;
    material.say_notes();
    refuse_known(&material, &target)?;
    let options = material.forecast_options(&LawArgs::default())?;
    let fits = material.fit(&options.fit)?;
    let asked = Target { params: target.params, tokens: target.tokens, ..Target::of_budget(target.flops) };
    let forecast = material.forecast(&[asked], &options)?;
    let first = forecast.targets.first().context("no forecast was made")?;
    refuse_contradiction(&forecast)?;
    refuse_refused(&forecast)?;
    refuse_smaller(target.flops, &material.observations)?;
    say_forecast(&forecast);
    let registration = forescale_fit::register(RegistrationDraft {
        sweep: target.name.clone(),
        created_at: now(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        numerics_version: NUMERICS_VERSION,
        target_run_id: None,
        target_config_digest: json_digest(&target),
        eval_set_digest: options.eval_set_digest,
        rule: material.rules(),
        fits: fits.fits,
        forecast: first.clone(),
        capability: None,
        observation_run_ids: material.observations.iter().map(|run| run.run_id.clone()).collect(),
        inputs: forecast.inputs.clone(),
    });
    Ok((registration, path))
}

/// Without a number there is nothing to seal.
fn refuse_refused(forecast: &Forecast) -> anyhow::Result<()> {
    let Some(target) = forecast.targets.iter().find(|target| target.status == ForecastStatus::Refused) else {
        return Ok(());
    };
    let reason = target.reason.as_deref().unwrap_or("it was refused");
    match forecast.diagnoses.iter().find(|doubt| doubt.severity == Severity::Error && !doubt.hint.is_empty()) {
        Some(doubt) => bail!("there is no forecast to register: {reason}\n\nhint: {}", doubt.hint),
        None => bail!("there is no forecast to register: {reason}"),
    }
}

/// A registration is never replaced: one of a target that is none seals nothing that could be judged.
fn refuse_contradiction(forecast: &Forecast) -> anyhow::Result<()> {
    match forecast.diagnoses.iter().find(|doubt| doubt.code == "target_contradicts_itself") {
        Some(doubt) => bail!("the target is not registered: {}\n\nhint: {}", doubt.message, doubt.hint),
        None => Ok(()),
    }
}

/// A forecast is of a run larger than those it is made from: one below them all proves nothing, and no backtest looks there.
fn refuse_smaller(flops: f64, runs: &[Observation]) -> anyhow::Result<()> {
    let computes = || runs.iter().map(|run| run.flops);
    let (least, most) = (computes().fold(f64::INFINITY, f64::min), computes().fold(0.0, f64::max));
    if flops < (1.0 - ALIKE) * least {
        bail!(
            "the target is not registered: its {flops:.2e} FLOPs lie below the {least:.2e} of the smallest run, and a \
             forecast that can be judged is of a larger one\n\n\
             hint: register a target above the {most:.2e} FLOPs of the largest run"
        );
    }
    Ok(())
}

/// What is sealed, and what warns of it; that it is no extrapolation is said as well.
fn say_forecast(forecast: &Forecast) {
    for target in &forecast.targets {
        if let (Some(median), Some(within)) = (target.median, target.intervals.first()) {
            let interval = forescale_report::format::interval(within);
            let level = forescale_report::format::percent(within.level);
            output::say(&format!("forecast {} ({interval} at {level})", forescale_report::format::loss(median)));
        }
    }
    let warnings = forecast.diagnoses.iter().filter(|doubt| doubt.severity == Severity::Warning);
    warnings.for_each(|doubt| output::say(&format!("warning: {} [{}]", doubt.message, doubt.code)));
    let inside = forecast.diagnoses.iter().filter(|doubt| doubt.code == "target_inside_data");
    inside.for_each(|doubt| output::say(&format!("note: {} [{}]", doubt.message, doubt.code)));
}

/// A forecast of a run that the table holds already would be no forecast.
fn refuse_known(material: &Material, target: &ForeignTarget) -> anyhow::Result<()> {
    let all = material.observations_with_targets();
    let alike = |asked: Option<f64>, has: f64| asked.is_some_and(|asked| (asked / has - 1.0).abs() < ALIKE);
    let is_it = |run: &&Observation| {
        let is_alike = |(params, tokens)| alike(target.params, params) && alike(target.tokens, tokens);
        run.name == target.name || run.size_and_data().is_some_and(is_alike)
    };
    if let Some(run) = all.iter().find(is_it) {
        bail!(
            "the table holds the loss of the target already, as run `{}`: a forecast made now would prove nothing\n\n\
             hint: register before it is measured, or leave it out with `--where` to try the method with `backtest`",
            run.name
        );
    }
    Ok(())
}

/// The present time as RFC 3339, for people; it is never evidence.
fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
