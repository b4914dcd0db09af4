//! From a sweep's records to everything that is said of it: fits, forecast, registration, score, report.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use forescale_core::observation::Observation;
use forescale_core::outcome::{ForecastTarget, OrderProof, Registration, Rules, Score};
use forescale_core::panel::{Fact, Provenance, ReportData, RunRow, TargetPanel};
use forescale_core::record::RunRecord;
use forescale_core::run::PlannedRun;
use forescale_fit::{Evidence, PanelInput};

use crate::again;
use crate::answers;
use crate::args::LawArgs;
use crate::capability;
use crate::output;
use crate::source::{Material, SweepMaterial};
use crate::target::TypedTarget;
use crate::workplace;

/// What a report is asked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Laws, objective and level.
    pub(crate) laws: LawArgs,
    /// The run to forecast; the sweep's own target when absent.
    pub(crate) target: Option<TypedTarget>,
}

/// Fits the material's laws and forecasts the target asked for, or its own, where it has one.
pub(crate) fn judge(material: &Material, asked: &Asked) -> anyhow::Result<Evidence> {
    let options = material.forecast_options(&asked.laws)?;
    let fits = material.fit(&options.fit)?;
    let targets =
        Vec::from_iter(asked.target.map(|typed| typed.meant(material)).transpose()?.or_else(|| material.own_target()));
    let forecast = material.forecast(&targets, &options)?;
    let capability = capability::forecast(material, targets.first(), &asked.laws)?;
    Ok(Evidence { fits, forecast, capability })
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
    let score = forescale_fit::score(registration, metric.value, order, detail)?;
    Ok(Some(forescale_fit::score_capabilities(score, registration, &capability::reached(sweep))))
}

/// Says so where the target was trained in another precision than the runs of its forecast.
pub(crate) fn say_precision(material: &Material) {
    let doubt = material.sweep.as_ref().and_then(|sweep| sweep.target_precision(&material.observations));
    if let Some(doubt) = doubt {
        output::say(&format!("note: {}\n\nhint: {}", doubt.message, doubt.hint));
    }
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
pub(crate) fn report_data(material: &Material, evidence: &Evidence, asked: &Asked) -> anyhow::Result<ReportData> {
    let sweep = material.sweep.as_ref();
    // A target typed is another run than the one that was registered.
    let own = sweep.filter(|_| asked.target.is_none());
    let registration = own.map(registration).transpose()?.flatten();
    let score = match (own, &registration) {
        (Some(sweep), Some(registration)) => score(sweep, registration)?,
        _ => None,
    };
    let forecast = evidence.forecast.clone();
    let forecast = match &registration {
        Some(registration) => forescale_fit::as_sealed(forecast, &registration.forecast),
        None => forecast,
    };
    let target = own.and_then(|sweep| Some((sweep, sweep.target()?)));
    let records = sweep.map(|sweep| sweep.records.as_slice()).unwrap_or_default();
    Ok(forescale_fit::panels(&PanelInput {
        sweep: material.name(),
        corpus: material.corpus_words(),
        observations: material.observations.clone(),
        exclusions: material.exclusions.clone(),
        fits: evidence.fits.clone(),
        forecast: (!forecast.targets.is_empty()).then_some(forecast),
        options: material.forecast_options(&asked.laws)?,
        target: target.map(|(sweep, run)| target_panel(material, sweep, run, registration.as_ref())),
        capability: capability::panel_input(
            material,
            (evidence.capability.as_ref(), &asked.laws),
            own,
            registration.as_ref(),
        ),
        score,
        runs: run_rows(material),
        curves: records.iter().map(|record| (record.run_id.0.clone(), record.curve.clone())).collect(),
        hardware: answers::hardware(material, None)?,
        true_floor: sweep.and_then(|sweep| sweep.manifest.entropy_rate),
        provenance: match sweep {
            Some(sweep) => provenance(material, sweep, registration.as_ref()),
            None => provenance_of_table(material, evidence),
        },
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

fn run_rows(material: &Material) -> Vec<RunRow> {
    match &material.sweep {
        Some(sweep) => sweep.records.iter().map(|record| run_row(material, record)).collect(),
        None => material.observations.iter().map(observed_row).collect(),
    }
}

/// A row of a table; rows that the table's reader left out are named with their reasons among the exclusions.
fn observed_row(run: &Observation) -> RunRow {
    RunRow {
        run_id: run.run_id.clone(),
        name: run.name.clone(),
        role: run.role,
        params: run.size_and_data().map(|at| at.0),
        tokens: run.size_and_data().map(|at| at.1),
        flops: run.flops,
        seed: run.seed,
        status: None,
        loss: Some(run.loss),
        loss_se: run.loss_se,
        wall_seconds: None,
        excluded: None,
    }
}

fn run_row(material: &Material, record: &RunRecord) -> RunRow {
    let loss = record.metric(&material.selection.metric);
    let excluded = material.exclusions.iter().find(|exclusion| exclusion.run_id == record.run_id.0);
    RunRow {
        run_id: record.run_id.0.clone(),
        name: record.name.clone(),
        role: Some(record.role),
        params: Some(record.parameters.under(material.selection.params_rule) as f64),
        tokens: Some(record.tokens as f64),
        flops: record.flops.under(material.selection.flops_rule).unwrap_or(record.flops.exact),
        seed: Some(record.config.seed),
        status: Some(record.status),
        loss: loss.map(|metric| metric.value),
        loss_se: loss.and_then(|metric| metric.se),
        wall_seconds: Some(record.environment.wall_seconds),
        excluded: excluded.map(|exclusion| exclusion.reason.label().to_owned()),
    }
}

fn fact(name: &str, value: String) -> Fact {
    Fact { name: name.to_owned(), value }
}

fn provenance(material: &Material, sweep: &SweepMaterial, sealed: Option<&Registration>) -> Provenance {
    let rules = material.rules();
    let seconds: f64 = sweep.records.iter().map(|record| record.environment.wall_seconds).sum();
    let mut facts = vec![
        fact("Forescale", env!("CARGO_PKG_VERSION").to_owned()),
        fact("numerics version", forescale_core::run::NUMERICS_VERSION.to_string()),
        fact("corpus digest", sweep.manifest.digest.clone()),
        fact("N counts", Rules::word(&rules.params).to_owned()),
        fact("C counts", Rules::word(&rules.flops).to_owned()),
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

fn provenance_of_table(material: &Material, evidence: &Evidence) -> Provenance {
    let rules = material.rules();
    let mut facts = vec![
        fact("Forescale", env!("CARGO_PKG_VERSION").to_owned()),
        fact("table", material.table_name()),
        fact("digest of the runs", evidence.fits.inputs.digest.clone()),
        fact("metric", material.selection.metric.clone()),
        fact("N counts", Rules::word(&rules.params).to_owned()),
        fact("C counts", Rules::word(&rules.flops).to_owned()),
        fact("runs fitted", material.observations.len().to_string()),
        fact("rows left out", material.exclusions.len().to_string()),
    ];
    facts.extend(material.notes.iter().map(|note| fact("note", note.clone())));
    Provenance { facts, commands: vec![again::typed()] }
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

/// Writes the page into a folder and says where.
pub(crate) fn write_page(data: &ReportData, folder: &Path) -> anyhow::Result<PathBuf> {
    let page = forescale_report::html(data)?;
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    let path = folder.join("index.html");
    forescale_sweep::write_atomically(&path, page.as_bytes())?;
    Ok(path)
}
