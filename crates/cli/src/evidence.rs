//! From a sweep's records to everything that is said of it: fits, forecast, registration, score, report.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use forescale_core::outcome::{ForecastTarget, OrderProof, Registration, Score};
use forescale_core::panel::{Fact, Provenance, ReportData, RunRow, TargetPanel};
use forescale_core::record::RunRecord;
use forescale_core::run::PlannedRun;
use forescale_fit::{Evidence, PanelInput};

use crate::answers;
use crate::args::LawArgs;
use crate::source::{Material, SweepMaterial};
use crate::workplace;

/// Fits the material's laws and forecasts its own target, where it has one.
pub(crate) fn judge(material: &Material, laws: &LawArgs) -> anyhow::Result<Evidence> {
    let options = material.forecast_options(laws)?;
    let fits = material.fit(&options.fit)?;
    let targets = Vec::from_iter(material.own_target());
    let forecast = material.forecast(&targets, &options)?;
    Ok(Evidence { fits, forecast })
}

/// The registration of the sweep's target, if one lies beside the records.
pub(crate) fn registration(sweep: &SweepMaterial) -> anyhow::Result<Option<Registration>> {
    let Some(target) = sweep.target() else { return Ok(None) };
    let path = sweep.evidence.join("registrations").join(format!("{}.json", target.id));
    if path.is_file() { workplace::read_registration(&path).map(Some) } else { Ok(None) }
}

/// Scores a registration against the target's record, once there is one with a loss.
pub(crate) fn score(sweep: &SweepMaterial, registration: &Registration) -> anyhow::Result<Option<Score>> {
    let Some(record) = sweep.target_record() else { return Ok(None) };
    let Some(metric) = record.metric("loss") else { return Ok(None) };
    let (order, detail) = order_of(record, registration);
    Ok(Some(forescale_fit::score(registration, metric.value, order, detail)?))
}

/// How it is known that the forecast came before the run: the run's log names the registration.
pub(crate) fn order_of(record: &RunRecord, registration: &Registration) -> (OrderProof, String) {
    match &record.registration_sha256 {
        Some(named) if *named == registration.sha256 => (
            OrderProof::Digest,
            format!("the first line of the target's log names the registration {}", &registration.sha256[..12]),
        ),
        Some(named) => {
            let short = named.get(..12).unwrap_or(named);
            (OrderProof::NotProven, format!("the target's log names another registration, {short}"))
        }
        None => (OrderProof::NotProven, "the target's log names no registration".to_owned()),
    }
}

/// All that the report shows.
pub(crate) fn report_data(
    material: &Material,
    evidence: &Evidence,
    sweep: &SweepMaterial,
) -> anyhow::Result<ReportData> {
    let registration = registration(sweep)?;
    let score = match &registration {
        Some(registration) => score(sweep, registration)?,
        None => None,
    };
    let mut forecast = evidence.forecast.clone();
    if let Some(registration) = &registration {
        // What is judged is what was sealed, not what today's code would say.
        forecast.targets = vec![registration.forecast.clone()];
    }
    let target = sweep.target().map(|run| target_panel(material, sweep, run, registration.as_ref()));
    Ok(forescale_fit::panels(&PanelInput {
        sweep: sweep.spec.name().to_owned(),
        corpus: sweep.corpus_words(),
        observations: material.observations.clone(),
        exclusions: material.exclusions.clone(),
        fits: evidence.fits.clone(),
        forecast: (!forecast.targets.is_empty()).then_some(forecast),
        options: material.forecast_options(&LawArgs::default())?,
        target,
        score,
        runs: run_rows(material, sweep),
        curves: sweep.records.iter().map(|record| (record.run_id.0.clone(), record.curve.clone())).collect(),
        hardware: answers::hardware(material, None)?,
        true_floor: sweep.manifest.entropy_rate,
        provenance: provenance(material, sweep, registration.as_ref()),
    }))
}

fn target_panel(
    material: &Material,
    sweep: &SweepMaterial,
    run: &PlannedRun,
    sealed: Option<&Registration>,
) -> TargetPanel {
    let target = material.target_of(run);
    let largest = material.observations.iter().map(|run| run.flops).fold(0.0, f64::max);
    TargetPanel {
        run_id: run.id.0.clone(),
        name: run.name.clone(),
        params: target.params.unwrap_or_default(),
        tokens: target.tokens.unwrap_or_default(),
        flops: target.flops,
        actual: sweep.target_record().and_then(|record| record.metric("loss")).map(|metric| metric.value),
        ratio: target.flops / largest,
        registration_sha256: sealed.map(|registration| registration.sha256.clone()),
        registered_at: sealed.map(|registration| registration.created_at.clone()),
    }
}

fn run_rows(material: &Material, sweep: &SweepMaterial) -> Vec<RunRow> {
    sweep.records.iter().map(|record| run_row(material, record)).collect()
}

fn run_row(material: &Material, record: &RunRecord) -> RunRow {
    let loss = record.metric(&material.selection.metric);
    let excluded = material.exclusions.iter().find(|exclusion| exclusion.run_id == record.run_id.0);
    RunRow {
        run_id: record.run_id.0.clone(),
        name: record.name.clone(),
        role: Some(record.role),
        params: record.parameters.under(material.selection.params_rule) as f64,
        tokens: record.tokens as f64,
        flops: record.flops.under(material.selection.flops_rule).unwrap_or(record.flops.exact),
        seed: Some(record.config.seed),
        status: Some(record.status),
        loss: loss.map(|metric| metric.value),
        loss_se: loss.and_then(|metric| metric.se),
        wall_seconds: Some(record.environment.wall_seconds),
        excluded: excluded.map(|exclusion| exclusion.reason.label().to_owned()),
    }
}

fn provenance(material: &Material, sweep: &SweepMaterial, sealed: Option<&Registration>) -> Provenance {
    let fact = |name: &str, value: String| Fact { name: name.to_owned(), value };
    let rules = material.rules();
    let seconds: f64 = sweep.records.iter().map(|record| record.environment.wall_seconds).sum();
    let mut facts = vec![
        fact("Forescale", env!("CARGO_PKG_VERSION").to_owned()),
        fact("numerics version", forescale_core::run::NUMERICS_VERSION.to_string()),
        fact("corpus digest", sweep.manifest.digest.clone()),
        fact("N counts", rules.params),
        fact("C counts", rules.flops),
        fact("runs sealed", sweep.records.len().to_string()),
        fact("training time, all runs", format!("{seconds:.0} s")),
        fact("machine", machine_words(&sweep.records)),
    ];
    if let Some(registration) = sealed {
        facts.push(fact("registration", registration.sha256.clone()));
        facts.push(fact("registered at", registration.created_at.clone()));
    }
    let name = sweep.spec.name();
    let commands = vec![
        format!("cargo run --release -- run sweeps/{name}"),
        format!("cargo run --release -- fit sweeps/{name}"),
        format!("cargo run --release -- check reports/{name}/baseline"),
    ];
    Provenance { facts, commands }
}

fn machine_words(records: &[RunRecord]) -> String {
    let mut kinds: Vec<String> = records
        .iter()
        .map(|record| {
            let environment = &record.environment;
            format!("{} {} {}", environment.device, environment.dtype, environment.simd)
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds.join("; ")
}

/// The forecast of the sweep's own target.
pub(crate) fn own_target(evidence: &Evidence) -> Option<&ForecastTarget> {
    evidence.forecast.targets.first()
}

/// Writes the page of a sweep into a folder and says where.
pub(crate) fn write_page(material: &Material, evidence: &Evidence, folder: &Path) -> anyhow::Result<PathBuf> {
    let sweep = material.sweep.as_ref().context("a bare table has no report yet; a sweep or a baseline folder has")?;
    let data = report_data(material, evidence, sweep)?;
    let page = forescale_report::html(&data)?;
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let path = folder.join("index.html");
    forescale_sweep::write_atomically(&path, page.as_bytes())?;
    Ok(path)
}
