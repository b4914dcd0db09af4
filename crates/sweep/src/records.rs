//! `records.parquet`: all records of a sweep in one file.
//!
//! One row a run: flat columns for whoever reads tables, and the whole record as JSON in `record_json`, so that
//! nothing is lost and a committed file can be fitted and drawn without the runs. The JSON is what is read back; the
//! columns are for other tools.

use std::io::Cursor;
use std::path::Path;

use forescale_core::record::{RECORD_SCHEMA, RunRecord, RunStatus};
use forescale_core::run::{Role, ScheduleKind};
use polars::prelude::*;

use crate::items;
use crate::observe::admissible;
use crate::plan::Plan;
use crate::seed_noise::seed_noise;
use crate::store::{Store, StoreError, parse_record, write_atomically};

/// File name of a sweep's records in `out/`.
pub(crate) const FILE: &str = "records.parquet";

/// Gathers the sealed records of a plan, in its order, into `out/records.parquet`, and their results per problem into
/// `out/items.parquet`.
///
/// # Errors
///
/// [`StoreError`] when a record or its results are damaged or a file cannot be written.
pub fn collect(store: &Store, plan: &Plan) -> Result<Vec<RunRecord>, StoreError> {
    let mut records = Vec::new();
    for run in &plan.runs {
        records.extend(store.planned_record(run)?);
    }
    items::collect(store, &records)?;
    write_records(&store.out_dir().join(FILE), &records)?;
    Ok(records)
}

/// Writes records as Parquet, in one step.
///
/// # Errors
///
/// [`StoreError`] when the file cannot be written.
pub fn write_records(path: &Path, records: &[RunRecord]) -> Result<(), StoreError> {
    let failed =
        |error: PolarsError| StoreError::new(path, format!("cannot be written: {error}"), "say so in an issue");
    let mut frame = DataFrame::new(records.len(), columns(records)).map_err(failed)?;
    let mut bytes = Vec::new();
    ParquetWriter::new(&mut bytes).finish(&mut frame).map_err(failed)?;
    write_atomically(path, &bytes)
}

/// Reads records back from Parquet.
///
/// # Errors
///
/// [`StoreError`] when the file cannot be read, is not of ours, or a record does not match its digest.
pub fn read_records(path: &Path) -> Result<Vec<RunRecord>, StoreError> {
    let bytes = std::fs::read(path).map_err(|cause| StoreError::reading(path, cause))?;
    let unreadable = |error: PolarsError| {
        StoreError::new(
            path,
            format!("cannot be read as records: {error}"),
            "`forescale collect SWEEP` writes it again",
        )
    };
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().map_err(unreadable)?;
    let column = frame.column("record_json").and_then(|column| column.str()).map_err(unreadable)?;
    column.iter().map(|json| parse_row(path, json)).collect()
}

fn parse_row(path: &Path, json: Option<&str>) -> Result<RunRecord, StoreError> {
    let hint = "`forescale collect SWEEP` writes it again";
    let json = json.ok_or_else(|| StoreError::new(path, "a row has no `record_json`", hint))?;
    let value = serde_json::from_str(json);
    let value =
        value.map_err(|error| StoreError::new(path, format!("a `record_json` cannot be understood: {error}"), hint))?;
    parse_record(path, value)
}

fn columns(records: &[RunRecord]) -> Vec<Column> {
    [identity(records), shape(records), counts(records), training(records), outcome(records), place(records)].concat()
}

fn text(name: &str, records: &[RunRecord], of: impl Fn(&RunRecord) -> String) -> Column {
    Column::new(name.into(), records.iter().map(of).collect::<Vec<_>>())
}

fn count(name: &str, records: &[RunRecord], of: impl Fn(&RunRecord) -> u64) -> Column {
    Column::new(name.into(), records.iter().map(of).collect::<Vec<_>>())
}

fn number(name: &str, records: &[RunRecord], of: impl Fn(&RunRecord) -> Option<f64>) -> Column {
    Column::new(name.into(), records.iter().map(of).collect::<Vec<_>>())
}

fn identity(records: &[RunRecord]) -> Vec<Column> {
    vec![
        text("schema", records, |_| RECORD_SCHEMA.to_owned()),
        text("run_id", records, |r| r.run_id.0.clone()),
        text("name", records, |r| r.name.clone()),
        text("role", records, |r| role_name(r.role).to_owned()),
        text("cluster", records, |r| r.cluster.clone()),
        count("seed", records, |r| r.config.seed),
        text("config_digest", records, |r| r.config_digest.clone()),
        text("corpus_digest", records, |r| r.corpus_digest.clone()),
        text("tokenizer_digest", records, |r| r.tokenizer_digest.clone()),
        text("result_digest", records, |r| r.result_digest.clone()),
    ]
}

fn shape(records: &[RunRecord]) -> Vec<Column> {
    let shape = |name, of: fn(&forescale_core::count::ModelShape) -> u32| {
        count(name, records, move |r| of(&r.config.shape).into())
    };
    vec![
        shape("width", |s| s.width),
        shape("layers", |s| s.layers),
        shape("heads", |s| s.heads),
        shape("head_size", |s| s.head_size),
        shape("mlp_hidden", |s| s.mlp_hidden),
        shape("context", |s| s.context),
        shape("vocabulary", |s| s.vocabulary),
        shape("input_order", |s| s.input_order),
    ]
}

fn counts(records: &[RunRecord]) -> Vec<Column> {
    use forescale_core::count::CountingRule;
    vec![
        count("params_embedding", records, |r| r.parameters.embedding),
        count("params_attention", records, |r| r.parameters.attention),
        count("params_mlp", records, |r| r.parameters.mlp),
        count("params_norm", records, |r| r.parameters.norm),
        count("params_head", records, |r| r.parameters.head),
        count("params_total", records, |r| r.parameters.total),
        count("params_active", records, |r| r.parameters.active),
        count("params_matmul", records, |r| r.parameters.under(CountingRule::Matmul)),
        count("params_non_embedding", records, |r| r.parameters.under(CountingRule::NonEmbedding)),
        number("flops_exact", records, |r| Some(r.flops.exact)),
        number("flops_6nd", records, |r| Some(r.flops.six_nd)),
        number("flops_kaplan", records, |r| Some(r.flops.kaplan)),
    ]
}

fn training(records: &[RunRecord]) -> Vec<Column> {
    vec![
        count("tokens", records, |r| r.tokens),
        count("unique_tokens", records, |r| r.unique_tokens),
        count("steps", records, |r| r.steps),
        count("batch_tokens", records, |r| r.batch_tokens),
        number("lr", records, |r| Some(r.config.optimizer.learning_rate)),
        text("schedule", records, |r| schedule_name(r.config.optimizer.schedule).to_owned()),
        count("warmup_steps", records, |r| r.config.optimizer.warmup_steps),
    ]
}

fn outcome(records: &[RunRecord]) -> Vec<Column> {
    let reasons: Vec<Option<String>> = records.iter().map(|r| r.reason.clone()).collect();
    let evaluated: Vec<Option<String>> =
        records.iter().map(|r| r.metric("loss").map(|m| m.eval_set_digest.clone())).collect();
    let noise = seed_noise(records, "loss");
    // In the unit of the loss; none where a fit may not see the run.
    let seed_sd = |record: &RunRecord| {
        let loss = record.metric("loss").filter(|_| admissible(record).is_ok())?.value;
        noise.as_ref().map(|noise| noise.sd_of(record) * loss)
    };
    let seed_degrees = |record: &RunRecord| {
        record.metric("loss").filter(|_| admissible(record).is_ok())?;
        noise.as_ref().map(|noise| f64::from(noise.degrees_of(record)))
    };
    vec![
        text("status", records, |r| status_name(r.status).to_owned()),
        Column::new("reason".into(), reasons),
        Column::new("is_final".into(), records.iter().map(|r| r.is_final).collect::<Vec<_>>()),
        number("loss", records, |r| r.metric("loss").map(|metric| metric.value)),
        number("loss_se", records, |r| r.metric("loss").and_then(|metric| metric.se)),
        number("seed_sd", records, seed_sd),
        number("seed_degrees", records, seed_degrees),
        count("spikes", records, |r| r.spikes),
        Column::new("eval_set_digest".into(), evaluated),
    ]
}

fn place(records: &[RunRecord]) -> Vec<Column> {
    vec![
        number("wall_seconds", records, |r| Some(r.environment.wall_seconds)),
        text("device", records, |r| r.environment.device.clone()),
        text("dtype", records, |r| r.environment.dtype.clone()),
        text("simd", records, |r| r.environment.simd.clone()),
        text("version", records, |r| r.environment.version.clone()),
        text("record_json", records, |r| serde_json::to_string(r).expect("a record has a JSON form")),
    ]
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Path => "path",
        Role::OffPath => "off_path",
        Role::Target => "target",
    }
}

fn status_name(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Finished => "finished",
        RunStatus::Diverged => "diverged",
        RunStatus::Stopped => "stopped",
    }
}

fn schedule_name(schedule: ScheduleKind) -> &'static str {
    match schedule {
        ScheduleKind::Linear => "linear",
        ScheduleKind::Cosine => "cosine",
        ScheduleKind::WarmupStableDecay => "warmup_stable_decay",
    }
}

#[cfg(test)]
pub(crate) mod tests;
