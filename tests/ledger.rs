//! The project's ledger: forecasts of foreign runs, their outcomes, and what a changed line says.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::binary::{Said, forescale};

/// A folder with a table along 20 tokens per parameter, a target a hundred times its largest run, and a `reports` folder.
fn project() -> TempDir {
    let mut table = String::from("run_id,params,tokens,loss\n");
    for rung in 0..9 {
        let params = 1e7 * 2_f64.powi(rung);
        let noise = [0.002, -0.001, 0.0015, -0.002, 0.001][rung as usize % 5];
        let loss = (1.7 + 400.0 * params.powf(-0.34) + 410.0 * (20.0 * params).powf(-0.28)) * (1.0 + noise);
        table += &format!("rung{rung},{params},{},{loss}\n", 20.0 * params);
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("runs.csv"), table).expect("written");
    fs::create_dir(folder.path().join("reports")).expect("a folder");
    describe(folder.path(), "next", 2.56e10);
    folder
}

fn describe(folder: &Path, name: &str, params: f64) {
    let tokens = 20.0 * params;
    let target =
        serde_json::json!({ "name": name, "flops": 6.0 * params * tokens, "params": params, "tokens": tokens });
    fs::write(folder.join(format!("{name}.json")), target.to_string()).expect("written");
}

fn register(folder: &Path, name: &str) -> Said {
    forescale(folder, &["register", "runs.csv", "--target", &format!("{name}.json")])
}

#[track_caller]
fn refuses(said: Said, words: &[&str]) {
    let text = said.expect_code(2).stderr;
    assert!(words.iter().all(|word| text.contains(word)) && text.contains("hint:"), "{text}");
}

#[test]
fn a_forecast_its_outcome_and_a_second_outcome() {
    let folder = project();
    let folder = folder.path();
    refuses(forescale(folder, &["record"]), &["there is no `reports/forecasts.jsonl`"]);
    register(folder, "next").expect_code(0);
    let open = forescale(folder, &["record"]).expect_code(0).stdout;
    assert!(
        open.starts_with("1 forecast registered, 0 with an outcome, 1 open; 0 with an outcome that counts\n"),
        "{open}"
    );

    // A number alone is a question; entered, it is the outcome, and the only one.
    let score = |value: &str, more: &[&str]| {
        forescale(folder, &[&["score", "next.registration.json", "--observed", value], more].concat())
    };
    assert_eq!(score("9.9", &[]).expect_code(1).code, 1);
    assert_eq!(forescale(folder, &["record"]).expect_code(0).stdout, open);
    score("9.9", &["--enter"]).expect_code(1);
    score("9.9", &["--enter"]).expect_code(1);
    refuses(score("2.0", &["--enter"]), &["has its outcome already, 9.9 (line 2); 2 is another"]);
    let record = forescale(folder, &["record", "--json"]).expect_code(0).json();
    assert_eq!((&record["lines"], &record["coverage"][0]["inside"]), (&2.into(), &0.into()), "{record}");
    assert!(forescale(folder, &["record"]).expect_code(0).stdout.contains("  NO  "), "a miss is shown");
}

#[test]
fn a_line_changed_or_dropped_is_named() {
    let folder = project();
    let folder = folder.path();
    describe(folder, "later", 5.12e10);
    register(folder, "next").expect_code(0);
    register(folder, "later").expect_code(0);
    let path = folder.join("reports/forecasts.jsonl");
    let whole = fs::read_to_string(&path).expect("a ledger");
    let broken = |text: &str, words: &[&str]| {
        fs::write(&path, text).expect("written");
        refuses(forescale(folder, &["record"]), words);
        // Nothing is added to what is broken.
        fs::remove_file(folder.join("next.registration.json")).ok();
        refuses(register(folder, "next"), words);
        assert_eq!(fs::read_to_string(&path).expect("a ledger"), text);
    };
    broken(&whole.replacen("\"next\"", "\"best\"", 1), &["line 1 says sha256", "it was changed"]);
    let second = whole.lines().nth(1).expect("a line");
    broken(&format!("{second}\n"), &["line 1 follows", "was dropped, moved or put in"]);
    broken(&whole[..whole.len() - 40], &["line 2", "cut off while it was written"]);
    broken(&whole.replacen("ledger/1.0", "ledger/9.7", 1), &["`forescale.ledger/9.7`; this program reads"]);
    fs::write(&path, &whole).expect("written");
    forescale(folder, &["record", "--add", "later.registration.json"]).expect_code(0);
    assert_eq!(fs::read_to_string(&path).expect("a ledger"), whole, "what is there already is not entered twice");
    // Against a head that was kept.
    let head =
        forescale(folder, &["record", "--json"]).expect_code(0).json()["head"].as_str().expect("a head").to_owned();
    forescale(folder, &["record", "--head", &head]).expect_code(0);
    fs::write(&path, whole.lines().next().expect("a line")).expect("written");
    forescale(folder, &["record"]).expect_code(0);
    refuses(forescale(folder, &["record", "--head", &head]), &["was changed or left out"]);
}

#[test]
fn one_target_counts_once_and_a_forecast_after_its_outcome_not_at_all() {
    let folder = project();
    let folder = folder.path();
    register(folder, "next").expect_code(0);
    // Another folder of the project has the same ledger; the same target forecast again is no second trial.
    fs::create_dir(folder.join("other")).expect("a folder");
    let inner = folder.join("other");
    let again = ["register", "../runs.csv", "--where", "params < 2e9", "--target", "../next.json"];
    forescale(&inner, &again).expect_code(0);
    assert!(!inner.join("forecasts.jsonl").exists());
    for registration in ["next.registration.json", "other/next.registration.json"] {
        let said = forescale(folder, &["score", registration, "--observed", "2.03", "--enter"]);
        assert!(said.code < 2, "{}", said.whole());
    }
    let record = forescale(folder, &["record", "--json"]).expect_code(0).json();
    assert_eq!((&record["scored"], &record["counted"]), (&2.into(), &1.into()), "{record}");
    assert_eq!(record["forecasts"][1]["uncounted"]["repeats"], 1, "{record}");
    let said = forescale(
        folder,
        &["register", "runs.csv", "--where", "params < 1e9", "--target", "next.json", "--out", "third.json"],
    );
    refuses(said, &["has the outcome of this target on line 3"]);
    assert!(!folder.join("third.json").exists());
}

#[test]
fn a_registration_is_in_its_file_and_in_the_ledger_or_in_neither() {
    let folder = project();
    let folder = folder.path();
    fs::write(folder.join("blocked"), "a file").expect("written");
    let said = forescale(folder, &["register", "runs.csv", "--target", "next.json", "--out", "blocked/x.json"]);
    assert_eq!(said.code, 2, "{}", said.whole());
    assert!(!folder.join("reports/forecasts.jsonl").exists());
    fs::create_dir(folder.join("reports/forecasts.jsonl")).expect("a folder in its place");
    assert_eq!(register(folder, "next").code, 2);
    assert!(!folder.join("next.registration.json").exists());
}

#[test]
fn two_branches_that_both_registered_are_joined() {
    let folder = project();
    let folder = folder.path();
    describe(folder, "later", 5.12e10);
    let path = folder.join("reports/forecasts.jsonl");
    register(folder, "later").expect_code(0);
    fs::rename(&path, folder.join("theirs.jsonl")).expect("moved");
    register(folder, "next").expect_code(0);
    let said = forescale(folder, &["record", "--add", "theirs.jsonl"]).expect_code(0);
    assert!(said.stderr.contains("1 lines of `theirs.jsonl` are new"), "{}", said.whole());
    assert!(said.stdout.starts_with("2 forecasts registered"), "{}", said.whole());
}

#[test]
fn a_run_that_the_table_holds_is_not_forecast() {
    let folder = project();
    describe(folder.path(), "known", 2.56e9);
    refuses(register(folder.path(), "known"), &["the table holds the loss of the target already, as run `rung8`"]);
    describe(folder.path(), "rung3", 5.12e10);
    refuses(register(folder.path(), "rung3"), &["as run `rung3`"]);
    assert!(!folder.path().join("reports/forecasts.jsonl").exists());
}

#[test]
fn what_is_sealed_is_said_and_what_the_runs_contradict_is_not_sealed() {
    let folder = project();
    let folder = folder.path();
    let said = register(folder, "next").expect_code(0).stderr;
    assert!(said.contains("forecast ") && said.contains(" at 90%)"), "{said}");
    let rising: String = (0..9)
        .map(|i| format!("run{i},{},{},{}\n", 1e7 * 2_f64.powi(i), 2e8 * 2_f64.powi(i), 2.0 + 0.1 * f64::from(i)))
        .collect();
    fs::write(folder.join("runs.csv"), format!("run_id,params,tokens,loss\n{rising}")).expect("written");
    describe(folder, "other", 5e10);
    refuses(register(folder, "other"), &["there is no forecast to register", "loss does not fall", "hint: "]);
    assert!(!folder.join("other.registration.json").exists());
}
