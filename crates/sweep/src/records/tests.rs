use forescale_core::record::{CardUse, Environment, Metric};
use forescale_core::run::{PlannedRun, RunConfig, RunId};

use super::*;
use crate::SweepSpec;
use crate::plan::plan;

/// A planned run of the smoke sweep.
pub(crate) fn planned() -> PlannedRun {
    let text = crate::template("smoke", Path::new("smoke")).expect("the smoke template");
    let spec = SweepSpec::parse(Path::new("smoke/sweep.toml"), &text).expect("a good spec");
    plan(&spec, None).expect("a good plan").runs.remove(0)
}

/// A finished run with this id and loss, sealed.
pub(crate) fn record(id: &str, loss: f64) -> RunRecord {
    let config: RunConfig = planned().config;
    let mut record = RunRecord {
        schema: RECORD_SCHEMA.to_owned(),
        run_id: RunId(id.to_owned()),
        name: format!("name of {id}"),
        role: Role::Path,
        config_digest: config.digest(),
        corpus_digest: "corpus".to_owned(),
        tokenizer_digest: "bytes-256".to_owned(),
        parameters: config.parameters(),
        flops: config.flops(),
        tokens: config.tokens(),
        unique_tokens: config.tokens(),
        steps: config.steps,
        batch_tokens: config.batch_tokens(),
        config,
        cluster: id.to_owned(),
        is_final: true,
        status: RunStatus::Finished,
        reason: None,
        metrics: vec![metric(loss)],
        curve: Vec::new(),
        spikes: 0,
        items_digest: None,
        registration_sha256: None,
        result_digest: String::new(),
        environment: environment(),
    };
    record.result_digest = record.compute_result_digest();
    record
}

fn metric(loss: f64) -> Metric {
    Metric {
        name: "loss".to_owned(),
        unit: "nats_per_token".to_owned(),
        eval_set_digest: "eval".to_owned(),
        tokenizer_digest: "bytes-256".to_owned(),
        value: loss,
        se: Some(0.01),
        n: 4096,
    }
}

fn environment() -> Environment {
    Environment {
        device: "cpu".to_owned(),
        dtype: "f32".to_owned(),
        simd: "avx2".to_owned(),
        threads: 1,
        version: "0.1.0".to_owned(),
        wall_seconds: 1.5,
        attempts: 1,
        peak_memory_bytes: None,
        notes: Vec::new(),
        accumulate: 1,
        card: None,
    }
}

#[test]
fn records_come_back_from_parquet_as_they_were() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("records.parquet");
    let mut diverged = record("b", 9.0);
    diverged.metrics.clear();
    diverged.status = RunStatus::Diverged;
    diverged.reason = Some("the loss is not a number".to_owned());
    diverged.result_digest = diverged.compute_result_digest();
    let records = vec![record("a", 2.345_678_901_234_567), diverged];
    write_records(&path, &records).expect("written");
    assert_eq!(read_records(&path).expect("read"), records);
}

#[test]
fn a_sweep_without_records_is_a_file_without_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("records.parquet");
    write_records(&path, &[]).expect("written");
    assert_eq!(read_records(&path).expect("read"), Vec::new());
}

#[test]
fn a_record_changed_after_sealing_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("records.parquet");
    let mut record = record("a", 2.5);
    record.metrics[0].value = 2.4;
    write_records(&path, &[record]).expect("written");
    let error = read_records(&path).expect_err("refused").to_string();
    assert!(error.contains("`result_digest` of run `a`"), "{error}");
}

#[test]
fn the_columns_have_the_noise_of_the_seed_and_the_spikes() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("records.parquet");
    // Losses 2 and 2·e^0.02: s² = 0.02² / 2, so s = 0.0141421, times each loss.
    let mut second = RunRecord { spikes: 3, ..record("b", 2.0 * 0.02_f64.exp()) };
    second.config.seed = 1;
    second.result_digest = second.compute_result_digest();
    let target = RunRecord { role: Role::Target, ..record("c", 1.5) };
    write_records(&path, &[record("a", 2.0), second, target]).expect("written");
    let bytes = std::fs::read(&path).expect("read");
    let frame = ParquetReader::new(Cursor::new(bytes)).finish().expect("a table");
    let noise: Vec<Option<f64>> = frame.column("seed_sd").and_then(|c| c.f64()).expect("a column").iter().collect();
    for (found, expected) in noise.iter().zip([0.028_284_27, 0.028_855_64]) {
        assert!((found.expect("an estimate") / expected - 1.0).abs() < 1e-6, "{noise:?}");
    }
    assert_eq!(noise[2], None, "a fit may not see the target");
    let degrees = frame.column("seed_degrees").and_then(|c| c.f64()).expect("a column");
    assert_eq!(degrees.iter().collect::<Vec<_>>(), [Some(1.0), Some(1.0), None]);
    let spikes: Vec<Option<u64>> = frame.column("spikes").and_then(|c| c.u64()).expect("a column").iter().collect();
    assert_eq!(spikes, [Some(0), Some(3), Some(0)]);
}

/// The card is where a run was computed, parts are how: two runs that differ in them alone have one result.
#[test]
fn card_and_parts_are_kept_and_are_no_part_of_the_result() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("records.parquet");
    let card = CardUse {
        name: "NVIDIA H200".to_owned(),
        driver: "580.95".to_owned(),
        memory_bytes: 150_754_820_096,
        peak_memory_bytes: None,
        peak_card_memory_bytes: 4_294_967_296,
        mean_utilisation: Some(0.87),
        mean_clock_mhz: Some(1980.0),
        mean_memory_clock_mhz: Some(3201.0),
        readings: 12,
    };
    let mut on_card = record("a", 2.5);
    on_card.environment = Environment { accumulate: 4, card: Some(card), ..on_card.environment };
    assert_eq!(on_card.compute_result_digest(), record("a", 2.5).result_digest);
    write_records(&path, std::slice::from_ref(&on_card)).expect("written");
    assert_eq!(read_records(&path).expect("read"), [on_card]);
    let plain = serde_json::to_string(&record("a", 2.5).environment).expect("JSON");
    assert!(
        !plain.contains("accumulate") && !plain.contains("card"),
        "left out where there is nothing to say: {plain}"
    );
}

#[test]
fn spikes_are_part_of_the_result() {
    let quiet = record("a", 2.5);
    let spiking = RunRecord { spikes: 1, ..quiet.clone() };
    assert_ne!(spiking.compute_result_digest(), quiet.result_digest);
}

#[test]
fn another_file_is_not_taken_for_records() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("records.parquet");
    std::fs::write(&path, b"run_id,loss\n").expect("written");
    let error = read_records(&path).expect_err("refused").to_string();
    assert!(error.contains("cannot be read as records") && error.contains("hint: "), "{error}");
}
