use std::fs;

use forescale_core::record::{Checkpoint, RunSink as _, RunStatus};

use super::*;
use crate::items::tests::results;
use crate::records::tests::{planned, record};

struct Sweep {
    _folder: tempfile::TempDir,
    store: Store,
    run: PlannedRun,
}

fn sweep() -> Sweep {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path()).expect("a sweep folder");
    Sweep { _folder: folder, store, run: planned() }
}

fn start(attempt: u32, step: u64) -> LogLine {
    LogLine::Start {
        attempt,
        step,
        steps: 310,
        registration_sha256: None,
        simd: "avx2".to_owned(),
        device: "cpu".to_owned(),
    }
}

fn step(step: u64) -> LogLine {
    LogLine::Step { attempt: 1, step, loss: 3.25, gradient_norm: 0.5, tokens_per_second: 1e5 }
}

impl Sweep {
    fn file(&self, name: &str) -> PathBuf {
        self.store.run_dir(&self.run.id).join(name)
    }

    fn append_raw(&self, bytes: &[u8]) {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().append(true).open(self.file("log.jsonl")).expect("a log");
        file.write_all(bytes).expect("written");
    }
}

#[test]
fn a_run_goes_from_missing_to_started_to_sealed() {
    let sweep = sweep();
    assert_eq!(sweep.store.state(&sweep.run.id).expect("state"), RunState::Missing);
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    folder.log(&start(1, 0)).expect("logged");
    folder.log(&step(120)).expect("logged");
    let RunState::Started(progress) = sweep.store.state(&sweep.run.id).expect("state") else { panic!("not started") };
    assert_eq!((progress.step, progress.steps, progress.held), (120, sweep.run.config.steps, true));
    assert_eq!((progress.loss, progress.tokens_per_second), (Some(3.25), Some(1e5)));
    folder.seal(&record(&sweep.run.id.0, 2.5)).expect("sealed");
    assert!(matches!(sweep.store.state(&sweep.run.id).expect("state"), RunState::Sealed(_)));
}

#[test]
fn an_interrupted_run_is_not_held() {
    let sweep = sweep();
    drop(sweep.store.begin(&sweep.run).expect("begun"));
    let RunState::Started(progress) = sweep.store.state(&sweep.run.id).expect("state") else { panic!("not started") };
    assert!(!progress.held);
}

#[test]
fn a_run_that_goes_on_has_no_speed_before_it_says_one() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    let mut after = |line: LogLine| {
        folder.log(&line).expect("logged");
        let RunState::Started(progress) = sweep.store.state(&sweep.run.id).expect("state") else { panic!("sealed") };
        (progress.step, progress.loss, progress.tokens_per_second)
    };
    after(start(1, 0));
    assert_eq!(after(step(40)), (40, Some(3.25), Some(1e5)));
    assert_eq!(after(start(2, 30)), (30, Some(3.25), None));
    assert_eq!(after(step(50)), (50, Some(3.25), Some(1e5)));
    let refused = LogLine::OutOfMemory {
        attempt: 2,
        step: 50,
        device: "cuda:0".to_owned(),
        accumulate: 1,
        needed_bytes: None,
        free_bytes: None,
    };
    assert_eq!(after(refused), (50, Some(3.25), None));
}

#[test]
fn two_cannot_hold_one_run() {
    let sweep = sweep();
    let held = sweep.store.begin(&sweep.run).expect("begun");
    let error = sweep.store.begin(&sweep.run).expect_err("held").to_string();
    assert!(error.contains("another process is working on this run"), "{error}");
    drop(held);
    assert!(sweep.store.begin(&sweep.run).is_ok());
}

#[test]
fn a_truncated_last_line_is_passed_over_and_the_next_attempt_starts_on_a_fresh_one() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    folder.log(&start(1, 0)).expect("logged");
    drop(folder);
    sweep.append_raw(br#"{"event":"step","attempt":1,"st"#);
    assert_eq!(sweep.store.log(&sweep.run.id).expect("read"), [start(1, 0)]);
    let mut folder = sweep.store.begin(&sweep.run).expect("begun again");
    folder.log(&start(2, 0)).expect("logged");
    folder.log(&step(10)).expect("logged");
    assert_eq!(folder.lines().expect("read"), [start(1, 0), start(2, 0), step(10)]);
    let raw = fs::read_to_string(sweep.file("log.jsonl")).expect("read");
    assert!(raw.contains("\"st\n{\"event\":\"start\""), "what is raw is never cut: {raw}");
}

#[test]
fn a_last_line_cut_inside_a_letter_is_passed_over() {
    let sweep = sweep();
    drop(sweep.store.begin(&sweep.run).expect("begun"));
    sweep.append_raw(b"{\"event\":\"\xc3");
    assert_eq!(sweep.store.log(&sweep.run.id).expect("read"), []);
}

#[test]
fn a_garbled_line_in_the_middle_names_file_and_line() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    folder.log(&start(1, 0)).expect("logged");
    drop(folder);
    sweep.append_raw(b"{\"event\":\"st\n");
    sweep.append_raw(format!("{}\n", serde_json::to_string(&step(20)).expect("json")).as_bytes());
    let error = sweep.store.log(&sweep.run.id).expect_err("damaged").to_string();
    assert!(error.contains("log.jsonl`: line 2 cannot be read") && error.contains("hint: "), "{error}");
    assert!(sweep.store.begin(&sweep.run).is_err(), "a damaged log is refused before training");
}

#[test]
fn a_checkpoint_survives_the_process() {
    let sweep = sweep();
    let checkpoint = Checkpoint { step: 64, bytes: vec![7; 1000] };
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    assert_eq!(folder.restore().expect("none yet"), None);
    folder.save(&checkpoint).expect("saved");
    drop(folder);
    let mut folder = sweep.store.begin(&sweep.run).expect("begun again");
    assert_eq!(folder.restore().expect("restored"), Some(checkpoint));
}

#[test]
fn a_branch_finds_what_a_branch_of_its_trunk_has_kept() {
    let sweep = sweep();
    let branch = |steps: u64, seed: u64| {
        let mut run = sweep.run.clone();
        (run.config.branch, run.config.steps, run.config.seed) = (true, steps, seed);
        run.config.optimizer.decay_steps = steps / 5;
        PlannedRun { id: run.config.id(), ..run }
    };
    let state = Checkpoint { step: 248, bytes: vec![9; 100] };
    let mut short = sweep.store.begin(&branch(310, 0)).expect("begun");
    short.save_trunk(&state).expect("kept");
    let mut long = sweep.store.begin(&branch(1240, 0)).expect("begun");
    assert_eq!(long.restore_trunk(992).expect("restored"), Some(state));
    assert_eq!(long.restore_trunk(247).expect("nothing so early"), None);
    let mut other = sweep.store.begin(&branch(1240, 1)).expect("begun");
    assert_eq!(other.restore_trunk(992).expect("another trunk's"), None);
    let trunk = branch(310, 0).config.trunk_id().expect("a branch");
    assert!(sweep.store.sweep_dir().join("runs/trunks").join(trunk).join("248.bin").is_file());
}

#[test]
fn a_run_of_its_own_keeps_nothing_for_others() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    folder.save_trunk(&Checkpoint { step: 5, bytes: vec![1] }).expect("forgotten");
    assert_eq!(folder.restore_trunk(100).expect("no error"), None);
    assert!(!sweep.store.sweep_dir().join("runs/trunks").exists());
}

#[test]
fn a_record_of_the_first_form_still_reads_and_has_no_spikes() {
    // As `exec` of 0.1.0 wrote it: no kind of MLP, no depth of tuning, no branches, no spikes.
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/formats/record-1.0.json");
    let json = fs::read(&path).expect("the fixture");
    let record = parse_record(&path, serde_json::from_slice(&json).expect("JSON")).expect("a record");
    assert_eq!((record.spikes, record.config.branch, record.config.optimizer.base_layers), (0, false, 2));
    assert_eq!(record.schema, forescale_core::record::RECORD_SCHEMA, "what is written again has the present form");
}

#[test]
fn a_record_is_sealed_once() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    let first = record(&sweep.run.id.0, 2.5);
    folder.seal(&first).expect("sealed");
    folder.seal(&first).expect("the same again changes nothing");
    let error = folder.seal(&record(&sweep.run.id.0, 2.4)).expect_err("another result").to_string();
    assert!(error.contains("the run is sealed with result"), "{error}");
    assert_eq!(sweep.store.record(&sweep.run.id).expect("read"), Some(first));
}

#[test]
fn a_record_with_another_digest_is_not_believed() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    folder.seal(&record(&sweep.run.id.0, 2.5)).expect("sealed");
    let text = fs::read_to_string(sweep.file("record.json")).expect("read");
    fs::write(sweep.file("record.json"), text.replace("\"value\": 2.5", "\"value\": 2.4")).expect("written");
    let error = sweep.store.record(&sweep.run.id).expect_err("changed").to_string();
    assert!(error.contains("record.json`: `result_digest` of run"), "{error}");
}

#[test]
fn a_record_from_a_newer_version_is_called_that() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    folder.seal(&record(&sweep.run.id.0, 2.5)).expect("sealed");
    let text = fs::read_to_string(sweep.file("record.json")).expect("read");
    fs::write(sweep.file("record.json"), text.replace("forescale.record/1.1", "forescale.record/2.0"))
        .expect("written");
    let error = sweep.store.record(&sweep.run.id).expect_err("too new").to_string();
    assert!(error.contains("`forescale.record/2.0` is too new; this program reads `forescale.record/1.1`"), "{error}");
}

#[test]
fn a_sealed_record_must_carry_its_own_digest() {
    let sweep = sweep();
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    let mut wrong = record(&sweep.run.id.0, 2.5);
    wrong.status = RunStatus::Diverged;
    assert!(folder.seal(&wrong).is_err());
    assert_eq!(sweep.store.record(&sweep.run.id).expect("read"), None);
}

#[test]
fn a_folder_of_another_run_is_refused() {
    let sweep = sweep();
    drop(sweep.store.begin(&sweep.run).expect("begun"));
    let mut other = sweep.run.clone();
    other.config.seed = 99;
    let error = sweep.store.begin(&other).expect_err("another run").to_string();
    assert!(error.contains("config.json`: the folder holds run"), "{error}");
}

#[test]
fn a_file_in_place_of_the_runs_folder_is_an_error_and_stays() {
    let sweep = sweep();
    fs::write(sweep.store.sweep_dir().join("runs"), b"in the way").expect("written");
    let error = sweep.store.begin(&sweep.run).expect_err("refused");
    assert!(error.cause.is_some() && error.to_string().contains("hint: a file stands where"), "{error}");
    assert_eq!(fs::read(sweep.store.sweep_dir().join("runs")).expect("read"), b"in the way");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_called_that_when_logging() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("log.jsonl");
    std::os::unix::fs::symlink("/dev/full", &path).expect("linked");
    let error = log::Log::open(&path).and_then(|mut log| log.append(&step(1))).expect_err("no space").to_string();
    assert!(error.contains("log.jsonl`: cannot be written: No space left on device"), "{error}");
    assert!(error.contains("hint: the disk is full"), "{error}");
}

#[test]
fn a_missing_sweep_folder_is_an_error_with_the_way_to_make_one() {
    let error = Store::open(Path::new("/nonexistent/sweep")).expect_err("missing").to_string();
    assert_eq!(error, "`/nonexistent/sweep`: there is no such sweep folder\n\nhint: `forescale init DIR` makes one");
}

#[test]
fn results_are_written_whole_into_out() {
    let sweep = sweep();
    let path = sweep.store.write_out("forecast.json", b"{}").expect("written");
    assert_eq!(fs::read(path).expect("read"), b"{}");
}

#[test]
fn collect_gathers_sealed_records_in_the_order_of_the_plan() {
    let sweep = sweep();
    let text = crate::template("smoke", Path::new("smoke")).expect("a template");
    let spec = crate::SweepSpec::parse(Path::new("smoke/sweep.toml"), &text).expect("a good spec");
    let plan = crate::plan(&spec, None).expect("a good plan");
    for run in plan.runs.iter().rev().skip(1) {
        let mut folder = sweep.store.begin(run).expect("begun");
        folder.seal(&record(&run.id.0, 2.5)).expect("sealed");
    }
    let records = crate::collect(&sweep.store, &plan).expect("collected");
    let ids: Vec<_> = records.iter().map(|record| &record.run_id).collect();
    assert_eq!(ids, plan.ladder().map(|run| &run.id).collect::<Vec<_>>());
    assert_eq!(crate::read_records(&sweep.store.out_dir().join("records.parquet")).expect("read"), records);
}

/// A sealed record that names the digest of these results.
fn record_with(id: &str, items: &[ItemResult]) -> RunRecord {
    let items_digest = Some(forescale_core::digest::json_list_digest(items));
    let mut record = RunRecord { items_digest, ..record(id, 2.5) };
    record.result_digest = record.compute_result_digest();
    record
}

#[test]
fn results_per_problem_are_kept_before_the_record_and_collected() {
    let sweep = sweep();
    let text = crate::template("smoke", Path::new("smoke")).expect("a template");
    let spec = crate::SweepSpec::parse(Path::new("smoke/sweep.toml"), &text).expect("a good spec");
    let plan = crate::plan(&spec, None).expect("a good plan");
    let collected = sweep.store.out_dir().join("items.parquet");
    let mut all = Vec::new();
    for run in &plan.runs[..2] {
        let items = results(&run.id.0);
        let mut folder = sweep.store.begin(run).expect("begun");
        folder.keep_items(&items).expect("kept");
        folder.seal(&record_with(&run.id.0, &items)).expect("sealed");
        all.extend(items);
    }
    let mut asked_nothing = sweep.store.begin(&plan.runs[2]).expect("begun");
    asked_nothing.keep_items(&[]).expect("nothing to keep");
    asked_nothing.seal(&record(&plan.runs[2].id.0, 2.5)).expect("sealed");
    assert!(!sweep.store.run_dir(&plan.runs[2].id).join("items.jsonl").exists());
    crate::collect(&sweep.store, &plan).expect("collected");
    assert_eq!(crate::read_items(&collected).expect("read"), all);

    // Another plan's results do not stay behind.
    let none = crate::Plan { runs: vec![plan.runs[2].clone()], ..plan };
    crate::collect(&sweep.store, &none).expect("collected");
    assert!(!collected.exists());
    crate::collect(&sweep.store, &none).expect("nothing to remove");
}

#[test]
fn a_record_is_not_sealed_without_the_results_it_names() {
    let sweep = sweep();
    let items = results(&sweep.run.id.0);
    let record = record_with(&sweep.run.id.0, &items);
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    let error = folder.seal(&record).expect_err("no results").to_string();
    assert!(error.contains("items.jsonl`: cannot be read"), "{error}");
    folder.keep_items(&items[1..]).expect("kept");
    let error = folder.seal(&record).expect_err("other results").to_string();
    assert!(error.contains("its results have the digest"), "{error}");
    assert!(!sweep.file("record.json").exists());
    folder.keep_items(&items).expect("kept");
    folder.seal(&record).expect("sealed");
    assert_eq!(sweep.store.items(&record).expect("read"), items);
}

#[test]
fn results_changed_after_the_record_was_sealed_are_found_out() {
    let sweep = sweep();
    let items = results(&sweep.run.id.0);
    let record = record_with(&sweep.run.id.0, &items);
    let mut folder = sweep.store.begin(&sweep.run).expect("begun");
    folder.keep_items(&items).expect("kept");
    folder.seal(&record).expect("sealed");
    let text = fs::read_to_string(sweep.file("items.jsonl")).expect("read");
    let refused = |text: &str| {
        fs::write(sweep.file("items.jsonl"), text).expect("written");
        sweep.store.items(&record).expect_err("refused").to_string()
    };
    assert!(refused(&text.replacen("\"successes\":1", "\"successes\":2", 1)).contains("the record of the run says"));
    assert!(refused(text.split_once('\n').expect("lines").1).contains("the record of the run says"));
    assert!(refused(&text[..text.len() - 20]).contains("line 4 is no result"));
}
