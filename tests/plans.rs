//! What comes before runs: recipes compared, the next runs designed, tuned runs reduced, all through the binary.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::bad_input::refuses;
use crate::binary::{forescale, repository};

/// Hoffmann et al. 2022, section D.3, with amplitudes divided by these factors to the power of their exponents.
fn loss(params: f64, tokens: f64, worth: f64) -> f64 {
    1.69 + 406.4 / (worth * params).powf(0.34) + 410.7 / (worth * tokens).powf(0.28)
}

/// Noise without a generator: a fixed pattern of at most 0.3%, so that no law goes through the runs.
fn noise(i: usize) -> f64 {
    [0.003, -0.002, 0.001, -0.003, 0.002, -0.001, 0.0025][i % 7]
}

/// Five sizes at each of five budgets from 1e17 to 1e19 FLOPs, as a table.
fn grid(worth: f64, noisy: bool) -> String {
    let mut text = "params,tokens,loss\n".to_owned();
    for budget in 0..5 {
        let flops = 1e17 * 10.0_f64.powf(0.5 * f64::from(budget));
        for size in -2..=2 {
            let params = (flops / 120.0).sqrt() * 2.0_f64.powi(size);
            let tokens = flops / (6.0 * params);
            let off = if noisy { noise(text.lines().count()) } else { 0.0 };
            let _ = writeln!(text, "{params},{tokens},{}", loss(params, tokens, worth) * (1.0 + off));
        }
    }
    text
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    for (name, text) in files {
        fs::write(folder.path().join(name), text).expect("written");
    }
    folder
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_recipe_whose_parameters_and_tokens_are_worth_two_has_the_multiplier_four() {
    // Along the frontier N and D each need half as much for the same loss: C = 6ND falls by four, at every budget.
    let folder = folder(&[("a.csv", &grid(1.0, false)), ("b.csv", &grid(2.0, false))]);
    let arguments = ["compare", "a.csv", "b.csv", "--law", "chinchilla", "--at", "flops=1e20"];
    let found = forescale(folder.path(), &[&arguments[..], &["--json"]].concat()).expect_code(0).json();
    assert_eq!(found["schema"], "forescale.compare/1.0");
    let budgets = found["budgets"].as_array().expect("budgets");
    assert_eq!(budgets.len(), 2);
    for budget in budgets {
        assert!((number(&budget["multiplier"]) / 4.0 - 1.0).abs() < 1e-3, "{budget}");
    }
    let said = forescale(folder.path(), &arguments).expect_code(0);
    assert!(said.stdout.starts_with("at 1.00e19 FLOPs: `b.csv` needs 4.0"), "{}", said.whole());
    assert!(said.stdout.contains("P(B better)") && said.stdout.contains("do not cross"), "{}", said.whole());
}

#[test]
fn a_recipe_that_needs_more_compute_is_said_to_need_more() {
    let folder = folder(&[("a.csv", &grid(2.0, true)), ("b.csv", &grid(1.0, true))]);
    let arguments = ["compare", "a.csv", "b.csv", "--law", "chinchilla"];
    let found = forescale(folder.path(), &[&arguments[..], &["--json"]].concat()).expect_code(0).json();
    let at = &found["budgets"][0];
    let [more, most, least] =
        ["multiplier", "multiplier_lower", "multiplier_upper"].map(|name| 1.0 / number(&at[name]));
    assert!((more / 4.0 - 1.0).abs() < 0.05 && least < more && more < most && least > 1.0, "{at}");
    let words = format!(
        "at 1.00e19 FLOPs: `b.csv` needs {more:.2} times more compute than `a.csv` for the same loss (90%: {least:.2} to {most:.2}); \
         the curves "
    );
    let said = forescale(folder.path(), &arguments).expect_code(0);
    assert!(said.stdout.starts_with(&words), "{words} in {}", said.whole());
    assert!(found["verdict"].as_str().is_some_and(|verdict| verdict.starts_with(&words)), "{}", found["verdict"]);
}

#[test]
fn a_recipe_beside_itself_saves_nothing_and_is_said_to_be_the_same() {
    let folder = folder(&[("a.csv", &grid(1.0, true))]);
    let found = forescale(folder.path(), &["compare", "a.csv", "a.csv", "--json"]).expect_code(0).json();
    assert!((number(&found["budgets"][0]["multiplier"]) - 1.0).abs() < 1e-9);
    let codes: Vec<&str> =
        found["diagnoses"].as_array().expect("doubts").iter().filter_map(|d| d["code"].as_str()).collect();
    assert!(codes.contains(&"same_inputs"), "{codes:?}");
}

#[test]
fn recipes_whose_compute_is_counted_by_two_rules_are_told_so() {
    let plain = grid(1.0, true);
    let counted: String = plain
        .lines()
        .enumerate()
        .map(|(i, line)| {
            let cells: Vec<f64> = line.split(',').filter_map(|cell| cell.parse().ok()).collect();
            if i == 0 { format!("{line},flops\n") } else { format!("{line},{}\n", 7.0 * cells[0] * cells[1]) }
        })
        .collect();
    let folder = folder(&[("a.csv", &plain), ("b.csv", &counted)]);
    let doubts = |other: &str| {
        let found = forescale(folder.path(), &["compare", "a.csv", other, "--json"]).expect_code(0).json();
        let doubts = found["diagnoses"].as_array().expect("doubts").clone();
        doubts.into_iter().find(|doubt| doubt["code"] == "rules_differ")
    };
    let said = doubts("b.csv").expect("the rules differ");
    let message = said["message"].as_str().expect("words");
    assert!(message.starts_with("compute of the first recipe is counted by `") && message.contains("ratio"), "{said}");
    assert_eq!(doubts("a.csv"), None);
}

#[test]
fn recipes_of_two_texts_and_tokenisers_are_not_compared() {
    let [smoke, quickstart] =
        ["smoke", "quickstart"].map(|name| repository().join("reports").join(name).join("baseline"));
    let [smoke, quickstart] = [&smoke, &quickstart].map(|path| path.to_str().expect("text"));
    let said = forescale(Path::new("."), &["compare", smoke, quickstart]);
    refuses(said, &["the runs ", "hint:"]);
}

/// Compute of all runs of a design, and of those within a decade of its largest.
fn spent(found: &Value) -> (f64, f64) {
    let near = number(&found["near_top_flops"]) * (1.0 - 1e-9);
    let runs = found["runs"].as_array().expect("runs").iter();
    runs.fold((0.0, 0.0), |(all, top), run| {
        let flops = number(&run["flops"]);
        let cost = flops * number(&run["seeds"]);
        (all + cost, if flops >= near { top + cost } else { top })
    })
}

fn width(outlook: &Value) -> f64 {
    number(&outlook["interval"]["upper"]) / number(&outlook["interval"]["lower"])
}

#[test]
fn a_design_keeps_to_its_budget_and_guard_and_narrows_the_interval() {
    let folder = folder(&[("runs.csv", &grid(1.0, true))]);
    let arguments =
        ["design", "runs.csv", "--target", "flops=1e22", "--budget", "flops=1e20", "--hardware", "h100-sxm"];
    let found = forescale(folder.path(), &[&arguments[..], &["--json"]].concat()).expect_code(0).json();
    let (all, near) = spent(&found);
    assert!(all <= 1e20 * (1.0 + 1e-9) && (number(&found["flops"]) / all - 1.0).abs() < 1e-9, "{all}");
    assert!(near / all >= 0.3 - 1e-9, "{near} of {all}");
    assert!(width(&found["after"]) < width(&found["before"]));
    assert!((number(&found["cost"]["expected"]["flops"]) / all - 1.0).abs() < 1e-9);
    assert!(found["spec"].is_null());
    let said = forescale(folder.path(), &arguments).expect_code(0);
    assert!(said.stderr.contains("no sweep.toml is written"), "{}", said.whole());
    assert!(said.stdout.contains("with these runs") && said.stdout.contains("cost of"), "{}", said.whole());
    let error = &found["after_width_error"];
    let words = format!(
        "known to ±{:.1}%, of the law alone to ±{:.0}% (30 simulated pilots of 15 runs",
        100.0 * number(&error["interval"]),
        100.0 * number(&error["mean_interval"])
    );
    assert!(said.stdout.contains(&words), "{words} in {}", said.whole());
}

#[test]
fn a_design_for_a_sweep_is_a_sweep_that_can_be_planned() {
    let baseline = repository().join("reports/smoke/baseline");
    let folder = TempDir::new().expect("a folder");
    let source = baseline.to_str().expect("text");
    let arguments = ["design", source, "--budget", "flops=1e11", "--out", "next", "--json"];
    let found = forescale(folder.path(), &arguments).expect_code(0).json();
    assert_eq!(found["spec"], "next/sweep.toml");
    let plan = forescale(folder.path(), &["plan", "next", "--json"]).expect_code(0).json();
    let count = |stem: &str| {
        let runs = plan["runs"].as_array().expect("runs").iter();
        runs.filter(|run| run["name"].as_str().expect("a name").rsplit_once("-s").is_some_and(|(s, _)| s == stem))
            .count()
    };
    for run in found["runs"].as_array().expect("runs") {
        let (name, seeds) = (run["name"].as_str().expect("a name"), number(&run["seeds"]) as usize);
        assert!(count(name) >= seeds, "{name}: {} of {seeds}", count(name));
    }
    let said = forescale(folder.path(), &["plan", "next"]).expect_code(0);
    assert!(said.stdout.contains("target"), "{}", said.whole());
    refuses(forescale(folder.path(), &arguments), &["exists already", "hint:"]);
}

/// Five learning rates a factor of 2 apart at each run of the grid; ln L is a parabola in ln rate about 1.2e-3.
fn tuned() -> String {
    let mut text = "params,tokens,lr,loss\n".to_owned();
    for row in grid(1.0, false).lines().skip(1) {
        let cells: Vec<f64> = row.split(',').map(|cell| cell.parse().expect("a number")).collect();
        for step in -2..=2 {
            let rate = 1e-3 * 2.0_f64.powi(step);
            let away = (rate / 1.2e-3).ln();
            let i = text.lines().count();
            let loss = cells[2] * (0.02 * away * away + noise(i)).exp();
            let _ = writeln!(text, "{},{},{rate},{loss}", cells[0], cells[1]);
        }
    }
    text
}

#[test]
fn runs_that_differ_in_the_rate_alone_are_reduced_and_the_reduction_is_shown() {
    let folder = folder(&[("runs.csv", &tuned())]);
    let arguments = ["fit", "runs.csv", "--law", "chinchilla", "--best-of", "lr", "--json"];
    let said = forescale(folder.path(), &arguments).expect_code(0);
    assert!(said.stderr.contains("125 runs reduced to 25 observations"), "{}", said.stderr);
    assert!(said.stderr.contains("lowest run") && said.stderr.contains("vertex"), "{}", said.stderr);
    let found = said.json();
    assert_eq!(found["fits"][0]["n"], 25);
    let reductions = found["reductions"].as_array().expect("reductions");
    assert_eq!(reductions.len(), 25);
    // The rate at the vertex is 1.2e-3 but for noise of 0.3% in losses that rise by 0.7 to 2% a step.
    for one in reductions.iter().filter(|one| one["method"] == "quadratic") {
        assert!((number(&one["value"]) / 1.2e-3).ln().abs() < 0.5, "{one}");
    }
    for command in ["backtest", "forecast"] {
        let more: &[&str] = if command == "forecast" { &["--at", "flops=1e20"] } else { &[] };
        let said = forescale(folder.path(), &[&[command, "runs.csv", "--best-of", "lr"], more].concat());
        assert!(said.stderr.contains("reduced to"), "{}", said.whole());
    }
}

#[test]
fn ten_reductions_stand_before_the_answer_and_the_rest_is_counted() {
    let folder = folder(&[("runs.csv", &tuned())]);
    let said = forescale(folder.path(), &["fit", "runs.csv", "--law", "chinchilla", "--best-of", "lr"]).expect_code(0);
    let rows = said.stderr.lines().filter(|line| line.starts_with("learning rate of ")).count();
    let rest = "\nand 15 more; `forescale fit --json` with the same options has all\n";
    assert!(rows == 10 && said.stderr.contains(rest), "{rows} in {}", said.stderr);
}

/// The rates that were folded away are what tells the best one.
#[test]
fn a_rate_is_recommended_from_the_runs_before_they_were_reduced() {
    let folder = folder(&[("runs.csv", &tuned())]);
    let recommended = |more: &[&str]| {
        let at = "flops=1e20,params=1e9,tokens=1.6666666666666666e10";
        let arguments = ["forecast", "runs.csv", "--law", "chinchilla", "--at", at, "--recommend", "--json"];
        let found = forescale(folder.path(), &[&arguments[..], more].concat()).expect_code(0).json();
        found["answers"]["recommendations"]["recommended"][0].clone()
    };
    let reduced = recommended(&["--best-of", "lr"]);
    assert!((number(&reduced["value"]["estimate"]) / 1.2e-3).ln().abs() < 0.5, "{reduced}");
    assert_eq!(reduced, recommended(&[]));
}

#[test]
fn what_cannot_be_reduced_designed_or_compared_is_refused() {
    let folder = folder(&[("runs.csv", &grid(1.0, true))]);
    let say = |arguments: &[&str]| forescale(folder.path(), arguments);
    refuses(say(&["fit", "runs.csv", "--best-of", "lr"]), &["tells its learning rate", "hint:"]);
    refuses(say(&["fit", "runs.csv", "--best-of", "depth"]), &["depth", "lr and batch"]);
    let design = ["design", "runs.csv", "--target", "flops=1e21", "--budget"];
    refuses(say(&[&design[..], &["flops=1e9"]].concat()), &["buys no run", "hint:"]);
    refuses(say(&[&design[..], &["usd=100"]].concat()), &["usd", "hint: --budget flops=1e21"]);
    refuses(say(&["design", "runs.csv", "--budget", "flops=1e20"]), &["no target", "hint:"]);
    refuses(say(&["compare", "runs.csv", "runs.csv", "--at", "params=1e9"]), &["params", "hint:"]);
    refuses(say(&["compare", "runs.csv", "nowhere.csv"]), &["nowhere.csv"]);
    refuses(say(&["design", "runs.csv", "--budget", "flops=1e18"]), &["no target", "hint: --target flops="]);
    for level in ["0.99", "0.9999"] {
        for asked in [
            ["forecast", "--at", "flops=1e21"],
            ["forecast", "--reach", "loss=2"],
            ["design", "--target", "flops=1e21"],
        ] {
            let budget: &[&str] = if asked[0] == "design" { &["--budget", "flops=1e18"] } else { &[] };
            let arguments = [&[asked[0], "runs.csv"], &asked[1..], budget, &["--level", level]].concat();
            refuses(say(&arguments), &[level, "at most 0.98"]);
        }
    }
}
