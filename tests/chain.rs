//! The whole chain, on a sweep of seconds: what is on disk after each stage, and what a second call does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use forescale_core::run::Role;
use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{command, forescale, repository};

/// A folder with a copy of the tiny sweep.
pub(crate) fn tiny() -> (TempDir, PathBuf) {
    let folder = TempDir::new().expect("a folder");
    let sweep = folder.path().join("tiny");
    fs::create_dir(&sweep).expect("a folder");
    fs::copy(repository().join("tests/fixtures/tiny/sweep.toml"), sweep.join("sweep.toml")).expect("the fixture");
    (folder, sweep)
}

fn json(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Records of a sweep by run name.
fn record(sweep: &Path, name: &str) -> Value {
    let runs = fs::read_dir(sweep.join("runs")).expect("runs");
    runs.map(|entry| entry.expect("an entry").path().join("record.json"))
        .filter(|path| path.is_file())
        .map(|path| json(&path))
        .find(|record| record["name"] == name)
        .unwrap_or_else(|| panic!("no record of {name}"))
}

fn names(sweep: &Path) -> Vec<(String, String)> {
    let plan = forescale(sweep.parent().expect("a parent"), &["plan", "tiny", "--json"]).expect_code(0).json();
    let runs = plan["runs"].as_array().expect("runs");
    runs.iter()
        .map(|run| (run["name"].as_str().expect("name").to_owned(), run["role"].as_str().expect("role").to_owned()))
        .collect()
}

fn target_name(sweep: &Path) -> String {
    names(sweep).into_iter().find(|(_, role)| role == "target").expect("a target").0
}

#[test]
fn one_command_goes_from_a_spec_to_a_judged_forecast() {
    let (folder, sweep) = tiny();
    let said = forescale(folder.path(), &["run", "tiny"]).expect_code(0);
    assert_eq!(said.stdout.lines().next(), Some("tiny/out/index.html"), "the report's path comes first");
    let out = sweep.join("out");
    for file in ["records.parquet", "fit.json", "forecast.json", "score.json", "index.html"] {
        assert!(out.join(file).is_file(), "{file}: {}", said.whole());
    }

    // The target's log names the registration, so the forecast came first.
    let target = record(&sweep, &target_name(&sweep));
    let id = target["run_id"].as_str().expect("id");
    let registration = json(&out.join(format!("registrations/{id}.json")));
    let log = fs::read_to_string(sweep.join(format!("runs/{id}/log.jsonl"))).expect("a log");
    let first: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["registration_sha256"], registration["sha256"]);
    let score = json(&out.join("score.json"));
    assert_eq!(score["order"], "digest");
    assert_eq!(score["actual"], target["metrics"][0]["value"]);

    // Forecast and outcome are in the ledger: the sweep's own, for it lies in no project's `sweeps`.
    let ledger = out.join("forecasts.jsonl");
    let entered = fs::read_to_string(&ledger).expect("a ledger");
    assert_eq!(entered.lines().count(), 2, "{entered}");
    let record = forescale(folder.path(), &["record", "tiny/out/forecasts.jsonl", "--json"]).expect_code(0).json();
    assert_eq!(record["forecasts"][0]["registration_sha256"], registration["sha256"]);
    for count in ["scored", "counted", "proven"] {
        assert_eq!(record[count], 1, "{count}: {record}");
    }

    // A second call finds everything done and changes no result.
    let before = fs::read(out.join("forecast.json")).expect("a forecast");
    let again = forescale(folder.path(), &["run", "tiny"]).expect_code(0);
    assert!(again.stderr.contains("sealed already"), "{}", again.whole());
    assert_eq!(before, fs::read(out.join("forecast.json")).expect("a forecast"));
    assert_eq!(entered, fs::read_to_string(&ledger).expect("a ledger"), "nothing is entered twice");

    a_forecast_made_afterwards_is_refused(folder.path());
    what_a_ledger_refuses_costs_no_training_and_no_answer(folder.path(), &ledger);
    answers_are_exit_codes(folder.path());
    runs_in_two_precisions_are_doubted(folder.path(), &sweep);
    the_baseline_is_a_gate(folder.path());
}

fn a_forecast_made_afterwards_is_refused(folder: &Path) {
    let said = forescale(folder, &["register", "tiny"]).expect_code(2);
    assert!(said.stderr.contains("started already") && said.stderr.contains("hint:"), "{}", said.whole());
}

/// A broken ledger is found before anything is done, and `score` still says what it has to say.
fn what_a_ledger_refuses_costs_no_training_and_no_answer(folder: &Path, ledger: &Path) {
    let good = fs::read_to_string(ledger).expect("a ledger");
    fs::write(ledger, good.replacen("forescale.ledger/1.0", "<<<<<<<", 1)).expect("written");
    let said = forescale(folder, &["run", "tiny"]).expect_code(2);
    assert!(
        said.stderr.contains("forecasts.jsonl, line 1`") && !said.stderr.contains("sealed already"),
        "{}",
        said.whole()
    );
    let said = forescale(folder, &["score", "tiny"]).expect_code(2);
    assert!(said.stdout.contains("predicted") && said.stderr.contains("line 1"), "{}", said.whole());
    fs::write(ledger, &good).expect("written");
    fs::remove_file(folder.join("tiny/out/index.html")).expect("removed");
    forescale(folder, &["run", "tiny"]).expect_code(0);
    assert!(folder.join("tiny/out/index.html").is_file());
    // Without its registration an outcome is not entered, and is an answer all the same.
    fs::remove_file(ledger).expect("removed");
    let said = forescale(folder, &["score", "tiny"]);
    assert!(said.code < 2 && said.stderr.contains("holds no such registration"), "{}", said.whole());
    assert!(!ledger.exists());
    fs::write(ledger, &good).expect("written");
}

fn answers_are_exit_codes(folder: &Path) {
    let status = forescale(folder, &["status", "tiny", "--json"]).expect_code(0).json();
    assert!(status.as_array().expect("rows").iter().all(|row| row["state"] == "finished"));
    forescale(folder, &["score", "tiny", "--observed", "99"]).expect_code(1);
    forescale(folder, &["score", "tiny", "--observed", "-1"]).expect_code(2);
    let fit = forescale(folder, &["fit", "tiny", "--json"]).expect_code(0).json();
    assert_eq!(fit["schema"], "forescale.fit/1.0");
    forescale(folder, &["corpus", "show", "tiny", "--verify"]).expect_code(0);
    forescale(folder, &["report", "tiny", "--format", "md"]).expect_code(0);
}

/// A ladder of which one run was trained on a card is fitted, and not without a word.
fn runs_in_two_precisions_are_doubted(folder: &Path, sweep: &Path) {
    let doubts = || {
        let fits = forescale(folder, &["fit", "tiny", "--json"]).expect_code(0).json()["fits"].clone();
        let fits = fits.as_array().expect("fits").clone();
        let of =
            |fit: &Value| fit["diagnoses"].as_array().expect("doubts").iter().any(|d| d["code"] == "mixed_precision");
        fits.iter().map(of).collect::<Vec<_>>()
    };
    let before = doubts();
    assert!(!before.is_empty() && !before.contains(&true));
    let change = |name: &str| {
        let path = sweep.join("runs").join(record(sweep, name)["run_id"].as_str().expect("id")).join("record.json");
        let good = fs::read_to_string(&path).expect("a record");
        let other = good.replacen("\"dtype\": \"f32\"", "\"dtype\": \"bf16\"", 1);
        assert_ne!(good, other);
        fs::write(&path, other).expect("written");
        (path, good)
    };
    let (path, good) = change(&target_name(sweep));
    assert_eq!(doubts(), before, "the target is in no fit");
    let said = forescale(folder, &["score", "tiny"]);
    assert!(said.code < 2 && said.stderr.contains("the target was trained in bf16, and runs of its forecast in f32"));
    fs::write(path, good).expect("written");
    let (path, good) = change(&names(sweep)[0].0);
    assert!(!doubts().contains(&false));
    fs::write(path, good).expect("written");
}

/// `check` holds on the evidence it wrote, and fails when a committed prediction or seal is changed.
fn the_baseline_is_a_gate(folder: &Path) {
    let baseline = folder.join("reports/tiny/baseline");
    forescale(folder, &["check", "reports/tiny/baseline", "--update", "--against", "tiny"]).expect_code(0);
    forescale(folder, &["check", "reports/tiny/baseline"]).expect_code(0);
    forescale(folder, &["check", "reports/tiny/baseline", "--against", "tiny"]).expect_code(0);
    let again = ["check", "reports/tiny/baseline", "--update", "--against", "tiny"];
    let said = forescale(folder, &again).expect_code(0);
    assert!(said.stdout.starts_with("held: ") && said.stdout.contains("\nwritten: "), "{}", said.whole());
    the_cheapest_rung_is_trained_again(folder);
    a_flipped_observation_is_seen(folder, &baseline);
    forescale(folder, &["report", "reports/tiny/baseline", "--out", "page"]).expect_code(0);
    assert!(folder.join("page/index.html").is_file());

    let path = baseline.join("forecast.json");
    let good = fs::read_to_string(&path).expect("a forecast");
    let mut moved: Value = serde_json::from_str(&good).expect("JSON");
    let median = moved["targets"][0]["median"].as_f64().expect("a median");
    moved["targets"][0]["median"] = (median * 1.01).into();
    fs::write(&path, moved.to_string()).expect("written");
    let said = forescale(folder, &["check", "reports/tiny/baseline", "--junit", "junit.xml"]).expect_code(1);
    assert!(said.stdout.contains("median"), "{}", said.whole());
    assert!(fs::read_to_string(folder.join("junit.xml")).expect("JUnit").contains("<failure"));
    fs::write(&path, good).expect("written");

    let sealed =
        fs::read_dir(baseline.join("registrations")).expect("registrations").next().expect("one").expect("one").path();
    let text = fs::read_to_string(&sealed).expect("a registration");
    fs::write(&sealed, text.replacen("\"version\": \"0", "\"version\": \"9", 1)).expect("written");
    let said = forescale(folder, &["check", "reports/tiny/baseline"]).expect_code(2);
    assert!(said.stderr.contains("sha256") || said.stderr.contains("seal"), "{}", said.whole());
}

/// The trainer gives the recorded loss again; on another corpus the gate fails instead of comparing.
fn the_cheapest_rung_is_trained_again(folder: &Path) {
    let check = ["check", "reports/tiny/baseline", "--retrain", "smoke", "--against", "tiny", "--json"];
    let verdict = forescale(folder, &check).expect_code(0).json();
    let items = verdict["items"].as_array().expect("items");
    let item = items.last().expect("an item");
    assert!(item["name"].as_str().is_some_and(|name| name.starts_with("retrained.")), "{item}");
    // Same seed, same instruction set: the same loss to the bit.
    assert_eq!(item["baseline"], item["current"], "{item}");
    let spec = folder.join("tiny/sweep.toml");
    let good = fs::read_to_string(&spec).expect("a spec");
    let changed = good.replacen("seed = 7", "seed = 8", 1);
    assert_ne!(good, changed);
    fs::create_dir_all(folder.join("other")).expect("a folder");
    fs::write(folder.join("other/sweep.toml"), changed).expect("written");
    // The baseline's own records, the other sweep's corpus.
    fs::create_dir_all(folder.join("sweeps")).expect("a folder");
    fs::rename(folder.join("other"), folder.join("sweeps/tiny")).expect("moved");
    let said = forescale(folder, &["check", "reports/tiny/baseline", "--retrain", "smoke"]).expect_code(1);
    assert!(said.stdout.contains("builds corpus") && said.stdout.contains("was trained on"), "{}", said.whole());
}

/// One loss of one committed run is changed: `.ci/gate` refuses the record, whose digest is another; where the digest was
/// made anew as well the gate fails, and every form of its answer says what moved.
fn a_flipped_observation_is_seen(folder: &Path, baseline: &Path) {
    let path = baseline.join("records.parquet");
    let good = fs::read(&path).expect("records");
    let gate = || {
        let found = std::process::Command::new("bash")
            .arg(repository().join(".ci/gate"))
            .current_dir(folder)
            .env("FORESCALE", env!("CARGO_BIN_EXE_forescale"))
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_STEP_SUMMARY", folder.join("summary.md"))
            .output()
            .expect("bash runs");
        let errors = String::from_utf8_lossy(&found.stderr).into_owned();
        (found.status.code(), String::from_utf8_lossy(&found.stdout).into_owned() + &errors)
    };
    let (code, said) = gate();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.ends_with("checked: 1\n") && !said.contains("::error"), "{said}");

    let mut records = forescale_sweep::read_records(&path).expect("records");
    let fitted = records.iter().position(|record| record.is_final && record.role != Role::Target).expect("a run");
    records[fitted].metrics[0].value *= 1.05;
    forescale_sweep::write_records(&path, &records).expect("written");
    let (code, said) = gate();
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("digest") && said.contains("hint:"), "{said}");

    records[fitted].result_digest = records[fitted].compute_result_digest();
    forescale_sweep::write_records(&path, &records).expect("written");
    let (code, said) = gate();
    assert_eq!(code, Some(1), "{said}");
    let title = "::error title=forescale check reports/tiny/baseline::";
    let moved = format!("{title}`records.parquet` gives other observations than `forecast.json` was made from");
    assert!(said.starts_with(title) && said.contains(&moved) && said.contains("DRIFTED: "), "{said}");
    let summary = fs::read_to_string(folder.join("summary.md")).expect("a summary");
    assert!(summary.starts_with("### forescale check: reports/tiny/baseline held\n"), "{summary}");
    assert!(summary.contains("### forescale check: reports/tiny/baseline DRIFTED\n"), "{summary}");
    let junit = folder.join("forescale-junit/reports-tiny-baseline.xml");
    assert!(fs::read_to_string(junit).expect("JUnit").contains("<failure"));
    fs::write(&path, good).expect("written");
}

#[test]
fn a_run_killed_at_any_moment_ends_with_the_same_result() {
    let (folder, sweep) = tiny();
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    let (name, _) = names(&sweep).into_iter().find(|(name, _)| name.starts_with("d24")).expect("a run of width 24");
    forescale(folder.path(), &["exec", "tiny", &name]).expect_code(0);
    let undisturbed = record(&sweep, &name);

    fs::remove_dir_all(sweep.join("runs")).expect("removed");
    let mut kills = 0;
    for milliseconds in [40, 90, 150, 220, 300, 400, 500, 1000, 2000, 4000] {
        let mut child = command(folder.path(), &["exec", "tiny", &name, "--checkpoint-seconds", "0.02"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        std::thread::sleep(Duration::from_millis(milliseconds));
        if child.try_wait().expect("a state").is_some() {
            break;
        }
        child.kill().expect("SIGKILL");
        child.wait().expect("gone");
        kills += 1;
    }
    assert!(kills > 0, "the run was over before it could be killed");
    forescale(folder.path(), &["exec", "tiny", &name]).expect_code(0);
    let disturbed = record(&sweep, &name);
    assert_eq!(undisturbed["result_digest"], disturbed["result_digest"]);
    assert_eq!(undisturbed["metrics"], disturbed["metrics"]);
    let id = disturbed["run_id"].as_str().expect("id");
    let log = fs::read_to_string(sweep.join(format!("runs/{id}/log.jsonl"))).expect("a log");
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let starts: Vec<&Value> = lines.iter().filter(|line| line["event"] == "start").collect();
    // On a busy machine a process can be killed before it has written its first line: that was no attempt.
    assert_eq!(disturbed["environment"]["attempts"].as_u64(), Some(starts.len() as u64));
    assert!((2..=kills + 1).contains(&starts.len()), "{} attempts after {kills} kills", starts.len());
    let resumed = starts.iter().filter(|line| line["step"].as_u64() > Some(0)).count();
    assert!(resumed > 0, "no attempt went on from a checkpoint");
}

/// The tiny sweep with one trunk of two horizons in place of its off-path runs and target.
fn tiny_with_a_trunk() -> (TempDir, PathBuf) {
    let (folder, sweep) = tiny();
    let path = sweep.join("sweep.toml");
    let text = fs::read_to_string(&path).expect("the spec").replacen("sweep/1.0", "sweep/1.1", 1);
    let kept = &text[..text.find("[[off_path]]").expect("off-path runs")];
    let trunk =
        "[training]\nschedule = \"warmup_stable_decay\"\n\n[[trunk]]\nwidth = 16\ntokens_per_param = [20, 40]\n";
    fs::write(&path, format!("{kept}{trunk}")).expect("written");
    (folder, sweep)
}

#[test]
fn a_branch_has_the_same_result_whether_its_trunk_was_there_or_not() {
    let (folder, sweep) = tiny_with_a_trunk();
    let said = forescale(folder.path(), &["run", "tiny", "--stop-after", "ladder"]).expect_code(0);
    assert!(said.stderr.contains("1 trunk gives 2 runs and saves"), "{}", said.whole());
    let [short, long] = ["d16-20x-s0", "d16-40x-s0"].map(|name| record(&sweep, name));
    assert_eq!(short["cluster"], long["cluster"], "branches of one trunk are one cluster");
    assert_ne!(short["cluster"], short["run_id"]);
    let log = fs::read_to_string(sweep.join(format!("runs/{}/log.jsonl", long["run_id"].as_str().expect("id"))));
    let first: Value = serde_json::from_str(log.expect("a log").lines().next().expect("a line")).expect("JSON");
    assert!(first["step"].as_u64() > Some(0), "the long branch goes on from where the short one left the trunk");

    fs::remove_dir_all(sweep.join("runs")).expect("removed");
    forescale(folder.path(), &["exec", "tiny", "d16-40x-s0"]).expect_code(0);
    let alone = record(&sweep, "d16-40x-s0");
    assert_eq!(alone["result_digest"], long["result_digest"]);
    assert_eq!(alone["metrics"], long["metrics"]);
}

#[test]
fn children_die_with_their_parent() {
    let (folder, _sweep) = tiny();
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    let mut parent =
        command(folder.path(), &["run", "tiny"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let home = folder.path().canonicalize().expect("a path");
    while processes_in(&home).is_empty() {
        assert!(parent.try_wait().expect("a state").is_none(), "the sweep was over before its parent could be killed");
        std::thread::sleep(Duration::from_millis(5));
    }
    parent.kill().expect("SIGKILL");
    parent.wait().expect("gone");
    std::thread::sleep(Duration::from_millis(200));
    let alive = processes_in(&home);
    assert!(alive.is_empty(), "still alive: {alive:?}");
    forescale(folder.path(), &["run", "tiny"]).expect_code(0);
}

/// Processes whose working folder is this one, by their command lines.
fn processes_in(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").expect("a Linux machine");
    processes
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|process| fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == folder))
        .filter_map(|process| fs::read_to_string(process.join("cmdline")).ok())
        .filter(|line| line.contains("exec"))
        .collect()
}
