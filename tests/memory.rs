//! Runs whose memory is limited: refused before they start, or trained in parts, as their records say.

use std::fs;
use std::path::{Path, PathBuf};

use forescale_core::run::RunConfig;
use forescale_train::{Precision, counted_memory_bytes};
use serde_json::Value;
use tempfile::TempDir;

use crate::bad_input::refuses;
use crate::binary::{Said, forescale};
use crate::chain::tiny;

/// The tiny sweep with its corpus built, and its target's name, config and folder.
struct Built {
    folder: TempDir,
    sweep: PathBuf,
    name: String,
    config: RunConfig,
    run: PathBuf,
}

fn built() -> Built {
    let (folder, sweep) = tiny();
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    let plan = forescale(folder.path(), &["plan", "tiny", "--json"]).expect_code(0).json();
    let target = plan["runs"].as_array().expect("runs").last().expect("a run").clone();
    let (name, id) = (target["name"].as_str().expect("a name").to_owned(), target["id"].as_str().expect("an id"));
    let run = sweep.join("runs").join(id);
    Built { folder, run, name, config: serde_json::from_value(target["config"].clone()).expect("a config"), sweep }
}

impl Built {
    /// Memory that the target takes with its batches in so many parts, less so many bytes, as a limit.
    fn limit(&self, parts: u32, less: u64) -> String {
        let needed = counted_memory_bytes(&self.config, Precision::F32, parts).expect("counted");
        format!("{}B", needed - less)
    }

    fn exec(&self, more: &[&str]) -> Said {
        forescale(self.folder.path(), &[&["exec", "tiny", &self.name], more].concat())
    }

    fn forbid_parts(&self) {
        let path = self.sweep.join("sweep.toml");
        let spec = fs::read_to_string(&path).expect("a spec") + "\n[hardware]\naccumulate = false\n";
        fs::write(&path, spec).expect("written");
    }
}

fn record(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("record.json")).expect("a record")).expect("JSON")
}

#[test]
fn a_run_that_takes_more_memory_than_it_may_is_refused_before_anything_of_it_is_begun() {
    let built = built();
    let limits = [built.limit(1, 1), built.limit(1, 0)];
    let said = built.exec(&["--memory-limit", &limits[0]]);
    refuses(said, &[&built.name, "--memory-limit allows", "hint: --accumulate"]);
    assert!(!built.run.exists(), "a target that has been begun is not registered any more");
    built.exec(&["--memory-limit", &limits[1]]).expect_code(0);
    assert!(record(&built.run)["environment"]["accumulate"].is_null(), "whole batches are the rule, and left out");
}

#[test]
fn a_sweep_whose_largest_run_does_not_fit_trains_it_in_parts_and_its_record_says_so() {
    let built = built();
    // What the forecast comes to is another test's: a target is scored, inside or not.
    let said = forescale(built.folder.path(), &["run", "tiny", "--memory-limit", &built.limit(1, 1)]).expect_code(0);
    assert!(said.stderr.contains(&format!("note: {} has each batch in", built.name)), "{}", said.whole());
    assert!(!said.stderr.contains("out of memory"), "nothing is tried that the limit forbids: {}", said.whole());
    let parts = record(&built.run)["environment"]["accumulate"].as_u64().expect("parts");
    assert!(parts > 1 && u64::from(built.config.sequences).is_multiple_of(parts));
    let loss = |run: &Path| record(run)["metrics"][0]["value"].as_f64().expect("a loss");
    let in_parts = loss(&built.run);
    fs::remove_dir_all(built.sweep.join("runs")).expect("removed");
    built.exec(&[]).expect_code(0);
    assert!((in_parts / loss(&built.run) - 1.0).abs() < 2e-3, "{in_parts} in parts, {} whole", loss(&built.run));
}

#[test]
fn a_spec_that_allows_no_parts_is_refused_under_a_limit_before_any_run_is_trained() {
    let built = built();
    built.forbid_parts();
    let said = forescale(built.folder.path(), &["run", "tiny", "--memory-limit", &built.limit(1, 1)]);
    refuses(said, &[&built.name, "the spec forbids parts", "raise --memory-limit"]);
    let runs = fs::read_dir(built.sweep.join("runs")).expect("a folder").flatten();
    assert_eq!(runs.filter(|entry| entry.path().is_dir()).count(), 0, "no run was begun");
    refuses(built.exec(&["--accumulate", "2"]), &["`--accumulate 2`", "forbids it", "hint: leave it out"]);
}

#[test]
fn what_a_processor_cannot_do_is_refused_in_the_first_second() {
    let (folder, _sweep) = tiny();
    let run = |more: &[&str]| forescale(folder.path(), &[&["run", "tiny"], more].concat());
    refuses(run(&["--device", "cpu", "--precision", "bf16"]), &["bf16", "f32", "hint:"]);
    refuses(run(&["--precision", "fp8"]), &["`fp8` is not a precision", "hint: --precision bf16"]);
    refuses(run(&["--device", "gpu"]), &["`gpu` is not a device", "hint:"]);
    assert_eq!([run(&["--memory-limit", "12GB"]).code, run(&["--memory-limit", "16"]).code], [2, 2]);
}
