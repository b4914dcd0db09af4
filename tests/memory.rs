//! Runs whose memory is limited: refused before they start, tried again in parts, noted in their records.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

use crate::bad_input::refuses;
use crate::binary::forescale;
use crate::chain::tiny;

/// The tiny sweep with its corpus built, and its target's name and folder.
fn built() -> (TempDir, PathBuf, String, PathBuf) {
    let (folder, sweep) = tiny();
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    let plan = forescale(folder.path(), &["plan", "tiny", "--json"]).expect_code(0).json();
    let target = plan["runs"].as_array().expect("runs").last().expect("a run").clone();
    let (name, id) = (target["name"].as_str().expect("a name").to_owned(), target["id"].as_str().expect("an id"));
    let run = sweep.join("runs").join(id);
    (folder, sweep, name, run)
}

fn log(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("log.jsonl")).expect("a log");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn record(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("record.json")).expect("a record")).expect("JSON")
}

/// Memory that a run needs with its batches whole, as the refusal's line in its log tells.
fn needed(folder: &Path, name: &str, run: &Path) -> u64 {
    let said = forescale(folder, &["exec", "tiny", name, "--memory-limit", "1"]);
    refuses(said, &[name, "`cpu` is out of memory", "hint: --accumulate"]);
    let line = log(run).pop().expect("a line");
    assert_eq!(
        (&line["event"], &line["attempt"], &line["accumulate"]),
        (&"out_of_memory".into(), &0.into(), &1.into())
    );
    // As if it had never been asked: a target that has been begun is not registered any more.
    fs::remove_dir_all(run).expect("removed");
    line["needed_bytes"].as_u64().expect("a number")
}

#[test]
fn a_run_that_needs_more_memory_than_it_may_is_refused_before_it_starts_and_says_so_in_its_log() {
    let (folder, _sweep, name, run) = built();
    let bytes = needed(folder.path(), &name, &run);
    let limits = [bytes - 1, bytes].map(|limit| limit.to_string());
    forescale(folder.path(), &["exec", "tiny", &name, "--memory-limit", &limits[0]]).expect_code(2);
    assert!(!run.join("checkpoint.bin").exists(), "nothing was trained");
    forescale(folder.path(), &["exec", "tiny", &name, "--memory-limit", &limits[1]]).expect_code(0);
    let record = record(&run);
    let notes = record["environment"]["notes"].as_array().expect("notes");
    assert!(notes.iter().any(|note| note.as_str().expect("words").contains("did not suffice at step 0")), "{notes:?}");
    assert!(record["environment"]["accumulate"].is_null(), "whole batches are the rule, and left out");
    forescale(folder.path(), &["status", "tiny"]).expect_code(0);
}

#[test]
fn a_sweep_whose_largest_run_does_not_fit_trains_it_in_parts_and_its_record_says_so() {
    let (folder, sweep, name, run) = built();
    let limit = (needed(folder.path(), &name, &run) - 1).to_string();
    // What the forecast comes to is another test's: a target is scored, inside or not.
    let said = forescale(folder.path(), &["run", "tiny", "--memory-limit", &limit]).expect_code(0);
    assert!(said.stderr.contains(&format!("{name}: out of memory (")), "{}", said.whole());
    let parts = record(&run)["environment"]["accumulate"].as_u64().expect("parts");
    assert!(parts > 1 && record(&run)["config"]["sequences"].as_u64().expect("a number").is_multiple_of(parts));
    let loss = |run: &Path| record(run)["metrics"][0]["value"].as_f64().expect("a loss");
    let in_parts = loss(&run);
    fs::remove_dir_all(sweep.join("runs")).expect("removed");
    forescale(folder.path(), &["exec", "tiny", &name]).expect_code(0);
    assert!((in_parts / loss(&run) - 1.0).abs() < 2e-3, "{in_parts} in parts, {} whole", loss(&run));
}

#[test]
fn a_spec_that_allows_no_parts_leaves_a_run_that_does_not_fit_failed() {
    let (folder, sweep, name, run) = built();
    let limit = (needed(folder.path(), &name, &run) - 1).to_string();
    let path = sweep.join("sweep.toml");
    let spec = fs::read_to_string(&path).expect("a spec") + "\n[hardware]\naccumulate = false\n";
    fs::write(&path, spec).expect("written");
    let said = forescale(folder.path(), &["run", "tiny", "--memory-limit", &limit]).expect_code(1);
    assert!(said.stderr.contains("again, its batches whole, with nothing beside it"), "{}", said.whole());
    assert!(said.stderr.contains("the target failed"), "{}", said.whole());
    let refusals = log(&run).iter().filter(|line| line["event"] == "out_of_memory").count();
    assert_eq!(refusals, 2);
}

#[test]
fn what_a_processor_cannot_do_is_refused_in_the_first_second() {
    let (folder, _sweep) = tiny();
    let run = |more: &[&str]| forescale(folder.path(), &[&["run", "tiny"], more].concat());
    refuses(run(&["--device", "cpu", "--precision", "bf16"]), &["bf16", "f32", "hint:"]);
    refuses(run(&["--precision", "fp8"]), &["`fp8` is not a precision", "hint: --precision bf16"]);
    refuses(run(&["--device", "gpu"]), &["`gpu` is not a device", "hint:"]);
    assert_eq!(run(&["--memory-limit", "12GB"]).code, 2);
}
