//! `forescale schema`: the JSON schema of each document, generated from the types.

use std::path::Path;

use anyhow::{Context as _, bail};
use forescale_core::answer::{OptimumUnderCap, Recommendations};
use forescale_core::approach::ApproachReport;
use forescale_core::capability::{CapabilityBacktest, CapabilityForecast};
use forescale_core::checklist::Checklist;
use forescale_core::comparison::Comparison;
use forescale_core::corpus::CorpusManifest;
use forescale_core::cost::HardwareTable;
use forescale_core::design::Design;
use forescale_core::ledger::{LedgerLine, TrackRecord};
use forescale_core::outcome::{BacktestReport, FitReport, Forecast, Registration, Score, Verdict};
use forescale_core::panel::ReportData;
use forescale_core::probe::ProbeReport;
use forescale_core::record::RunRecord;
use forescale_core::run::PlanReport;
use forescale_core::schedule::ScheduleReport;
use forescale_core::track::TrackReport;
use schemars::{Schema, schema_for};

use crate::args::SchemaArgs;
use crate::exit::Answer;
use crate::output;

/// Every document by name.
fn documents() -> Vec<(&'static str, Schema)> {
    vec![
        ("fit", schema_for!(FitReport)),
        ("checklist", schema_for!(Checklist)),
        ("approaches", schema_for!(ApproachReport)),
        ("schedule", schema_for!(ScheduleReport)),
        ("forecast", schema_for!(Forecast)),
        ("optimum", schema_for!(OptimumUnderCap)),
        ("recommendation", schema_for!(Recommendations)),
        ("backtest", schema_for!(BacktestReport)),
        ("capability", schema_for!(CapabilityForecast)),
        ("capability-backtest", schema_for!(CapabilityBacktest)),
        ("compare", schema_for!(Comparison)),
        ("design", schema_for!(Design)),
        ("hardware", schema_for!(HardwareTable)),
        ("record", schema_for!(RunRecord)),
        ("registration", schema_for!(Registration)),
        ("score", schema_for!(Score)),
        ("ledger", schema_for!(LedgerLine)),
        ("track", schema_for!(TrackReport)),
        ("track-record", schema_for!(TrackRecord)),
        ("check", schema_for!(Verdict)),
        ("plan", schema_for!(PlanReport)),
        ("corpus", schema_for!(CorpusManifest)),
        ("report", schema_for!(ReportData)),
        ("probe", schema_for!(ProbeReport)),
    ]
}

pub(crate) fn run(args: &SchemaArgs) -> anyhow::Result<Answer> {
    if let Some(folder) = &args.all {
        write_all(folder)?;
    }
    if let Some(kind) = &args.kind {
        let documents = documents();
        let Some((_, schema)) = documents.iter().find(|(name, _)| name == kind) else {
            let names: Vec<&str> = documents.iter().map(|(name, _)| *name).collect();
            bail!("`{kind}` is not a document\n\nhint: one of {}", names.join(", "));
        };
        output::json(schema)?;
    }
    Ok(Answer::Yes)
}

fn write_all(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    for (name, schema) in documents() {
        let text = serde_json::to_string_pretty(&schema)? + "\n";
        forescale_sweep::write_atomically(&folder.join(format!("{name}.json")), text.as_bytes())?;
    }
    Ok(())
}
