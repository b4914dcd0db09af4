//! Loss curves under their schedules, through the command.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::bad_input::refuses;
use crate::binary::{Said, forescale, published, repository};

const MULTI_POWER: [&str; 2] = ["--law", "multi_power"];

fn curve<'a>(fit: &'a Value, run: &str) -> &'a Value {
    let curves = fit["fits"][0]["curves"].as_array().expect("curves");
    curves.iter().find(|one| one["run_id"] == run).unwrap_or_else(|| panic!("no {run} in {fit}"))
}

/// Luo et al. (arXiv:2503.12811) fit three schedules and predict six: mean R² .9988 for 25M parameters, .9983 for 100M.
#[test]
fn six_published_schedules_are_predicted_from_three_as_well_as_published() {
    let Some(table) = published("multipowerlaw_curves.csv") else { return };
    let table = table.to_str().expect("text");
    let held = "wsd_20000_24000,wsdld_20000_24000,wsdcon_3,wsdcon_18,constant_72000,cosine_72000";
    for (size, expected) in [("25", 0.9988), ("100", 0.9983)] {
        let filter = format!("model_M == {size}");
        let arguments = ["fit", table, "--where", &filter, "--map", "run_id=schedule", "--hold-out", held, "--json"];
        let fit = forescale(&repository(), &[&arguments[..], &MULTI_POWER].concat()).expect_code(0).json();
        let found = fit["fits"][0]["held_out_r_squared"].as_f64().expect("a mean");
        assert!(found > expected - 1e-4, "{size}: {found}");
        assert_eq!(curve(&fit, "wsdcon_3")["used"], "held_out");
        assert_eq!(curve(&fit, "cosine_24000")["used"], "fitted");
        let worst = curve(&fit, "wsd_20000_24000")["fit"]["worst_relative_error"].as_f64().expect("a share");
        assert!(worst < 0.01, "{size}: {worst}");
    }
}

#[test]
fn two_sizes_in_one_table_are_fitted_apart() {
    let Some(table) = published("multipowerlaw_curves.csv") else { return };
    let arguments = ["fit", table.to_str().expect("text"), "--map", "run_id=schedule,group=model_M", "--json"];
    let fit = forescale(&repository(), &[&arguments[..], &MULTI_POWER].concat()).expect_code(0).json();
    let groups: Vec<&Value> = fit["fits"].as_array().expect("fits").iter().map(|one| &one["group"]).collect();
    assert_eq!(groups, ["100", "25"]);
    for (index, expected) in [(0, 0.9983), (1, 0.9988)] {
        let found = fit["fits"][index]["fitted_r_squared"].as_f64().expect("a mean");
        assert!(found >= expected, "{found}");
    }
}

const PEAK: f64 = 3e-4;

/// The rate at a step: a warmup of 500, then flat, a jump at 3000, or a straight fall from 4000 to 6000.
fn rate(schedule: &str, step: usize) -> f64 {
    let t = step as f64;
    match (schedule, step) {
        (_, 0..500) => PEAK * t / 500.0,
        ("jump", 3000..) => 9e-5,
        ("fall", 4000..) => PEAK * (1.0 - 0.9 * (t - 4000.0) / 2000.0),
        _ => PEAK,
    }
}

/// Losses every 50 steps by the paper's own sum over steps, at the coefficients it gives for 25M parameters.
fn rows(schedule: &str) -> String {
    let (floor, a, alpha, b, c, beta, gamma) = (3.040_f64, 0.525_f64, 0.508, 363.8, 2.066, 0.583, 0.641);
    let rates: Vec<f64> = (0..=6000).map(|step| rate(schedule, step)).collect();
    let mut text = String::new();
    for step in (0..=6000).step_by(50) {
        let (mut since, mut gained) = (0.0, 0.0);
        for k in (1..=step).rev() {
            since += rates[k];
            let x: f64 = c * rates[k].powf(-gamma) * since;
            gained += (rates[k - 1] - rates[k]) * (1.0 - (1.0 + x).powf(-beta));
        }
        let loss = if step == 0 { String::new() } else { (floor + a * since.powf(-alpha) - b * gained).to_string() };
        text += &format!("{schedule},{step},{},{loss}\n", rates[step]);
    }
    text
}

fn made() -> String {
    "run_id,step,lr,loss\n".to_owned() + &rows("flat") + &rows("jump") + &rows("fall")
}

fn fit(table: &str, arguments: &[&str]) -> Said {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("curves.csv"), table).expect("written");
    forescale(folder.path(), &[&["fit", "curves.csv"], &MULTI_POWER[..], arguments].concat())
}

#[test]
fn a_curve_that_is_held_out_is_predicted_from_the_others() {
    let answer = fit(&made(), &["--hold-out", "fall", "--json"]).expect_code(0).json();
    assert_eq!(answer["schema"], "forescale.schedule/1.0");
    let fall = curve(&answer, "fall");
    let [predicted, reached] =
        [&fall["last_predicted"]["estimate"], &fall["fit"]["last_loss"]].map(|v| v.as_f64().expect("a number"));
    assert!((predicted / reached - 1.0).abs() < 5e-3, "{predicted} {reached}");
    assert!(fall["fit"]["r_squared"].as_f64().is_some_and(|share| share > 0.99), "{fall}");
    let text = fit(&made(), &["--hold-out", "fall", "--unit", "nats"]).expect_code(0);
    for words in ["multi_power  L(t) = ", "2 fitted, 1 held out", "no ends", "mean R² of the curves held out: 0.99"] {
        assert!(text.stdout.contains(words), "`{words}` in\n{}", text.whole());
    }
}

#[test]
fn rows_in_another_order_give_the_same_answer() {
    let table = made();
    let mut lines: Vec<&str> = table.lines().skip(1).collect();
    lines.reverse();
    let turned = format!("run_id,step,lr,loss\n{}\n", lines.join("\n"));
    assert_eq!(fit(&table, &["--json"]).expect_code(0).stdout, fit(&turned, &["--json"]).expect_code(0).stdout);
}

#[test]
fn a_table_of_finished_runs_is_told_which_columns_are_needed() {
    let runs = "params,tokens,loss\n1e6,1e8,3\n";
    refuses(fit(runs, &[]), &["no columns `run_id`, `step`, `lr`", "`lr` (the learning rate)", "hint: --map"]);
    refuses(fit("run_id,step,loss\na,1,3\n", &[]), &["no column `lr`", "curves.csv"]);
    refuses(fit("run_id,lr,loss\na,1,3\n", &[]), &["no column `step`"]);
}

#[test]
fn curves_that_cannot_be_fitted_are_refused() {
    let table = made();
    refuses(fit(&format!("{table}jump,500,0.0003,4\n"), &[]), &["step 500 of run `jump` again", "hint:"]);
    refuses(fit(&format!("{table}new,1,0.0003,4\n"), &[]), &["run `new` has 1 loss", "5 are needed", "hint:"]);
    refuses(fit(&table, &["--hold-out", "fal"]), &["`fal`", "`fall`", "hint:"]);
    refuses(fit(&table, &["--hold-out", "flat,jump"]), &["1 schedule", "hint:"]);
    refuses(fit(&table, &["--rule", "6nd"]), &["--rule", "hint:"]);
    refuses(fit(&table, &["--objective", "lsq"]), &["--objective", "hint:"]);
    refuses(fit(&table, &["--delta", "-1"]), &["delta is -1", "hint:"]);
}

#[test]
fn the_law_of_curves_is_asked_for_alone_and_only_of_fit() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("runs.csv"), "params,tokens,loss\n1e6,1e8,3\n").expect("written");
    let said = |arguments: &[&str]| forescale(folder.path(), arguments);
    refuses(said(&["fit", "runs.csv", "--law", "multi_power,chinchilla"]), &["different tables", "hint:"]);
    refuses(said(&["fit", "runs.csv", "--law", "powerlaw"]), &["`powerlaw` is not a law", "`multi_power`", "hint:"]);
    let forecast = said(&["forecast", "runs.csv", "--law", "multi_power", "--at", "flops=1e20"]);
    refuses(forecast, &["law of loss curves", "hint: forescale fit CURVES --law multi_power"]);
    refuses(said(&["fit", "runs.csv", "--hold-out", "a"]), &["`--hold-out` is for loss curves", "hint:"]);
    refuses(said(&["fit", ".", "--law", "multi_power"]), &["is not a table", "hint:"]);
}
