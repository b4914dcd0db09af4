//! Tables of task scores, through the command.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Said, forescale, published, repository};

/// Twelve runs, each twice the compute of the one before; `rising` is a sigmoid of ln C from chance, `flat` stays at chance,
/// `falling` gets worse. Losses in bits per byte beside the scores.
fn table() -> TempDir {
    let mut text = String::from("run_id,params,tokens,flops,task,metric,value,n_items,chance\n");
    for i in 0..12 {
        let x = f64::from(i);
        let flops = 1e18 * 2_f64.powf(x);
        let params = (flops / 120.0).sqrt();
        let tokens = 20.0 * params;
        let wobble = if i % 2 == 0 { 0.004 } else { -0.004 };
        let rising = 0.25 + 0.65 / (1.0 + (-0.5 * (x - 7.0)).exp()) + wobble;
        let loss = 0.4 + 40.0 / params.powf(0.3) + 40.0 / tokens.powf(0.3);
        for (task, value) in [("rising", rising), ("flat", 0.25 + wobble), ("falling", 0.6 - 0.02 * x + wobble)] {
            text += &format!("r{i},{params},{tokens},{flops},{task},acc,{value},2000,0.25\n");
        }
        text += &format!("r{i},{params},{tokens},{flops},rising,bpb,{loss},,\n");
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("scores.csv"), text).expect("written");
    folder
}

fn said(folder: &Path, arguments: &[&str]) -> Said {
    forescale(folder, arguments)
}

fn task<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let tasks = answer["tasks"].as_array().expect("tasks");
    tasks.iter().find(|one| one["task"] == name).unwrap_or_else(|| panic!("no {name} in {answer}"))
}

#[test]
fn each_task_has_a_number_or_the_reason_why_there_is_none() {
    let folder = table();
    let arguments = ["forecast", "scores.csv", "--at", "flops=8.192e21,params=8.26e9,tokens=1.65e11", "--json"];
    let answer = said(folder.path(), &arguments).expect_code(0).json();
    assert_eq!(answer["schema"], "forescale.capability/1.0");
    let rising = task(&answer, "rising");
    // The truth at 2^13 times the smallest: 0.25 + 0.65/(1 + e^-3) = 0.869.
    let interval = &rising["intervals"][2];
    let (lower, upper) = (interval["lower"].as_f64().expect("an end"), interval["upper"].as_f64().expect("an end"));
    assert!(lower < 0.869 && 0.869 < upper && upper - lower < 0.3, "{interval}");
    let laws: Vec<&Value> = rising["laws"].as_array().expect("laws").iter().map(|law| &law["law"]).collect();
    assert_eq!(laws, ["two_step", "sigmoid_of_compute"]);
    let flat = task(&answer, "flat");
    assert_eq!((&flat["status"], &flat["gate"]["reason"]), (&Value::from("refused"), &Value::from("on_plateau")));
    assert!(flat["median"].is_null() && flat["intervals"].as_array().is_some_and(Vec::is_empty));
    let falling = task(&answer, "falling");
    assert_eq!(
        (&falling["gate"]["reason"], &falling["turn"]["bend"]),
        (&Value::from("inverse"), &Value::from("inverse"))
    );
}

#[test]
fn the_text_says_the_same_and_warns_of_what_cannot_be_seen() {
    let folder = table();
    let text = said(folder.path(), &["forecast", "scores.csv", "--at", "flops=4e21"]).expect_code(0).stdout;
    for part in [
        "not predictable yet: the three largest rungs are not far enough above the level of chance",
        "not predictable: it gets worse with compute within range",
        "6 of 11 tasks of the Inverse Scaling Prize later turned",
        "a turn beyond the data cannot be seen",
    ] {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn a_backtest_and_a_fit_answer_too() {
    let folder = table();
    let report = said(folder.path(), &["backtest", "scores.csv", "--ratio", "4", "--json"]).expect_code(0).json();
    let cases = report["cases"].as_array().expect("cases");
    let of = |name: &str| cases.iter().find(|case| case["forecast"]["task"] == name).expect("a case");
    assert!(of("rising")["score"]["error"].as_f64().expect("a number").abs() < 0.06, "{}", of("rising"));
    assert!(of("flat")["score"].is_null() && of("flat")["behind_gate"].is_f64(), "{}", of("flat"));
    let fit = said(folder.path(), &["fit", "scores.csv", "--metric", "acc"]).expect_code(0).stdout;
    assert!(fit.contains("rising: 12 runs on 12 rungs") && fit.contains("sigmoid_of_compute (50%): b = 0.25"), "{fit}");
}

#[test]
fn a_flag_of_losses_over_scores_with_a_loss_is_refused_with_what_reads_that_loss() {
    let mut text = String::from("run_id,params,tokens,loss,task,metric,value\n");
    for i in 0..10 {
        let params = 1e7 * 2_f64.powi(i);
        let loss = 1.7 + 40.0 / params.powf(0.25);
        for (task, value) in [("easy", 0.3), ("hard", 0.26)] {
            text += &format!("r{i},{params},{},{loss},{task},accuracy,{value}\n", 20.0 * params);
        }
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("cap.csv"), text).expect("written");
    let asked = ["forecast", "cap.csv", "--at", "flops=1e22", "--unit", "nats"];
    let refused = said(folder.path(), &asked).expect_code(2).stderr;
    let hint = r#"leave `--unit` out, or take the loss beside the scores, one row of each run: --metric loss --where 'task == "easy" and metric == "accuracy"'"#;
    assert!(refused.contains(hint), "{refused}");
    let typed = ["--metric", "loss", "--where", r#"task == "easy" and metric == "accuracy""#];
    let answer = said(folder.path(), &[&asked[..], &typed[..]].concat()).expect_code(0);
    assert!(answer.stdout.contains("nats per token"), "{}", answer.stdout);
}

#[test]
fn flags_of_losses_are_refused_and_columns_named_are_fitted_as_ever() {
    let folder = table();
    let refused = said(folder.path(), &["forecast", "scores.csv", "--at", "flops=4e21", "--law", "chinchilla"]);
    let refused = refused.expect_code(2).stderr;
    assert!(refused.contains("`--law` is for losses") && refused.contains("hint:"), "{refused}");
    let twice = ["forecast", "scores.csv", "--at", "flops=4e21", "--map", "task=metric"];
    let twice = said(folder.path(), &twice).expect_code(2).stderr;
    assert!(twice.contains("has 2 scores of `acc`"), "{twice}");
    let percent = folder.path().join("percent.csv");
    fs::write(&percent, "run_id,flops,task,value\na,1e18,piqa,61.2\n").expect("written");
    let percent = said(folder.path(), &["forecast", "percent.csv", "--at", "flops=4e21"]).expect_code(2).stderr;
    assert!(percent.contains("the score is 61.2; it must lie between 0 and 1"), "{percent}");
}

#[test]
fn gpt_3_is_told_from_its_smaller_models() {
    let Some(table) = published("published_tables.csv") else { return };
    let table = table.to_str().expect("text");
    let arguments = [
        "backtest",
        table,
        "--where",
        "family == \"GPT-3\"",
        "--map",
        "task=metric,run_id=model",
        "--json",
        "--ratio",
        "10",
    ];
    let report = forescale(&repository(), &arguments).expect_code(0).json();
    // Six tasks of arXiv:2005.14165, table H.1, at 175B; a sigmoid of compute alone errs by 2 to 3 points.
    assert_eq!(report["cases"].as_array().map(Vec::len), Some(6));
    assert!(report["mean_absolute_error"].as_f64().expect("answered") < 0.04, "{report}");
}
