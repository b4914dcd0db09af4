//! What starts runs, and what ends them: refusals of the Slurm launcher without a Slurm, and `exec` told to end. What a
//! real Slurm does is `tests/slurm`'s.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bad_input::refuses;
use crate::binary::{Said, command, forescale, said};
use crate::chain::tiny;

/// `run tiny` where none of Slurm's programs is.
fn without_slurm(more: &[&str]) -> Said {
    let (folder, _sweep) = tiny();
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    let mut command = command(folder.path(), &[&["run", "tiny"], more].concat());
    said(&command.env("PATH", "/nonexistent").output().expect("the binary starts"))
}

#[test]
fn without_sbatch_the_slurm_launcher_says_so() {
    let said = without_slurm(&["--launcher", "slurm"]).expect_code(2);
    for words in ["error: `sbatch` is not on `PATH`", "hint: ", "--launcher local"] {
        assert!(said.stderr.contains(words), "{}", said.whole());
    }
}

#[test]
fn what_slurm_cannot_be_told_is_refused_in_the_first_second() {
    let slurm = |more: &[&str]| without_slurm(&[&["--launcher", "slurm"], more].concat());
    refuses(slurm(&["--slurm-args", "-a 1-3"]), &["`-a` among the arguments", "hint: leave it out"]);
    refuses(slurm(&["--slurm-args", "--comment='x"]), &["a quotation does not end", "hint: --slurm-args"]);
    refuses(slurm(&["--device", "cuda:1"]), &["`--device cuda:1`", "hint: --device cuda"]);
    refuses(
        without_slurm(&["--slurm-args=--time=5"]),
        &["`--slurm-args` is for jobs of Slurm", "hint: --launcher slurm"],
    );
}

#[test]
fn arguments_of_a_spec_are_checked_with_it() {
    let (folder, sweep) = tiny();
    let path = sweep.join("sweep.toml");
    let spec = fs::read_to_string(&path).expect("a spec");
    fs::write(&path, format!("{spec}\n[slurm]\nargs = \"--output=x\"\n")).expect("written");
    refuses(
        forescale(folder.path(), &["plan", "tiny"]),
        &["`slurm.args` cannot be used: `--output=x`", "hint: leave it out"],
    );
    fs::write(&path, format!("{spec}\n[slurm]\nargs = \"--partition=main\"\n")).expect("written");
    let ids = |folder: &std::path::Path| {
        forescale(folder, &["corpus", "build", "tiny"]).expect_code(0);
        forescale(folder, &["plan", "tiny", "--json"]).expect_code(0).json()["runs"][0]["id"].clone()
    };
    let (other, _) = tiny();
    assert_eq!(ids(folder.path()), ids(other.path()), "a cluster's words are no part of a run");
}

#[test]
fn a_sweep_without_jobs_has_nothing_to_cancel() {
    let (folder, _sweep) = tiny();
    let said = forescale(folder.path(), &["cancel", "tiny"]).expect_code(0);
    assert!(said.stderr.contains("`tiny` has no jobs in Slurm's queue"), "{}", said.whole());
}

#[cfg(unix)]
#[test]
fn a_run_that_is_told_to_end_saves_its_state_and_goes_on_to_the_same_result() {
    let (folder, sweep) = tiny();
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    let plan = forescale(folder.path(), &["plan", "tiny", "--json"]).expect_code(0).json();
    let run = plan["runs"].as_array().expect("runs").last().expect("a run")["id"].as_str().expect("an id").to_owned();
    let path = sweep.join("runs").join(&run);
    let log = || fs::read_to_string(path.join("log.jsonl")).unwrap_or_default();

    let mut exec = command(folder.path(), &["exec", "tiny", &run]);
    let child = exec.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
    let began = Instant::now();
    while !log().contains("\"event\":\"start\"") {
        assert!(began.elapsed() < Duration::from_secs(60), "nothing was logged");
        std::thread::sleep(Duration::from_millis(2));
    }
    // Some steps, of the second or more that all of them take.
    std::thread::sleep(Duration::from_millis(100));
    let told = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("kill");
    assert!(told.success());
    let ended = said(&child.wait_with_output().expect("ended"));
    refuses(ended, &["was told to end after step", "its state is saved", "hint: the same command goes on from there"]);
    assert!(path.join("checkpoint.bin").is_file() && !path.join("record.json").exists());

    forescale(folder.path(), &["exec", "tiny", &run]).expect_code(0);
    let lines: Vec<Value> = log().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let starts: Vec<u64> = lines
        .iter()
        .filter(|line| line["event"] == "start")
        .map(|line| line["step"].as_u64().expect("a step"))
        .collect();
    assert!(starts.len() == 2 && starts[1] > 0, "{starts:?}");
    let digest = || {
        let text = fs::read_to_string(path.join("record.json")).expect("a record");
        serde_json::from_str::<Value>(&text).expect("JSON")["result_digest"].clone()
    };
    let interrupted = digest();
    fs::remove_dir_all(&path).expect("removed");
    forescale(folder.path(), &["exec", "tiny", &run]).expect_code(0);
    assert_eq!(interrupted, digest());
}
