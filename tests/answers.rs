//! What a forecast answers besides a loss, and how a budget is split, held against a law whose optima are known.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::bad_input::refuses;
use crate::binary::{Said, forescale, repository};

/// Hoffmann et al. (arXiv:2203.15556), unrounded as in Besiroglu et al. (arXiv:2404.10102): E, A, B, alpha, beta.
const LAW: [f64; 5] = [1.6934, 406.4, 410.7, 0.3392, 0.2849];

fn loss(params: f64, tokens: f64) -> f64 {
    let [e, a, b, alpha, beta] = LAW;
    e + a * params.powf(-alpha) + b * tokens.powf(-beta)
}

/// The compute-optimal size at a budget of 6ND: (αA/βB)^(1/(α+β))·(C/6)^(β/(α+β)).
fn best_params(flops: f64) -> f64 {
    let [_, a, b, alpha, beta] = LAW;
    (alpha * a / (beta * b)).powf(1.0 / (alpha + beta)) * (flops / 6.0).powf(beta / (alpha + beta))
}

/// Five budgets from 1e18 to 1e22 FLOPs at seven sizes each, without noise.
fn grid() -> TempDir {
    let mut table = String::from("params,tokens,loss\n");
    for budget in 0..5 {
        let flops = 10_f64.powi(18 + budget);
        for size in -3..=3 {
            let params = best_params(flops) * 2_f64.powf(0.75 * f64::from(size));
            let tokens = flops / (6.0 * params);
            table += &format!("{params},{tokens},{}\n", loss(params, tokens));
        }
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("grid.csv"), table).expect("written");
    folder
}

fn forecast(folder: &TempDir, arguments: &[&str]) -> Said {
    forescale(folder.path(), &[&["forecast", "grid.csv", "--law", "chinchilla"], arguments].concat())
}

fn answer(arguments: &[&str]) -> Value {
    forecast(&grid(), &[arguments, &["--json"]].concat()).expect_code(0).json()
}

#[track_caller]
fn close(value: &Value, expected: f64, relative: f64) {
    let actual = value.as_f64().unwrap_or_else(|| panic!("{value} is no number"));
    assert!((actual / expected - 1.0).abs() <= relative, "{actual} is not {expected} to {relative:e}");
}

#[test]
fn a_cap_on_tokens_binds_and_the_rest_of_the_budget_goes_into_size() {
    let answer = answer(&["--at", "flops=1e23", "--max-tokens", "2e11"]);
    let law = &answer["answers"]["optimum"]["laws"][0];
    assert_eq!(law["binding"], serde_json::json!(["max_tokens"]));
    // N = 1e23/(6 · 2e11).
    close(&law["chosen"]["tokens"]["estimate"], 2e11, 1e-6);
    close(&law["chosen"]["params"]["estimate"], 1e23 / 1.2e12, 1e-4);
    close(&law["chosen"]["loss"]["estimate"], loss(1e23 / 1.2e12, 2e11), 1e-5);
    close(&law["unconstrained"]["params"]["estimate"], best_params(1e23), 1e-3);
    let free = loss(best_params(1e23), 1e23 / (6.0 * best_params(1e23)));
    close(&law["loss_ratio"]["estimate"], loss(1e23 / 1.2e12, 2e11) / free, 1e-5);
}

#[test]
fn a_cap_that_is_far_off_binds_nothing() {
    let answer = answer(&["--at", "flops=1e23", "--max-tokens", "1e14"]);
    let law = &answer["answers"]["optimum"]["laws"][0];
    assert_eq!(law["binding"], serde_json::json!([]));
    close(&law["chosen"]["params"]["estimate"], best_params(1e23), 1e-3);
}

/// 6ND + 2N·served = C: the lowest loss over N, looked for here by a scan of a million sizes.
#[test]
fn serving_makes_the_best_model_smaller_by_what_the_budget_says() {
    let answer = answer(&["--at", "flops=1e23", "--serve", "1e12", "--months", "6"]);
    let law = &answer["answers"]["optimum"]["laws"][0];
    let of = |params: f64| loss(params, (1e23 / params - 2.0 * 6e12) / 6.0);
    let sizes = (1..1_000_000).map(|i| 1e8 * (1e23_f64 / 1.2e13 / 1e8).powf(f64::from(i) / 1e6));
    let best = sizes.reduce(|best, next| if of(next) < of(best) { next } else { best }).expect("sizes");
    close(&law["chosen"]["params"]["estimate"], best, 1e-3);
    close(&law["chosen"]["loss"]["estimate"], of(best), 1e-5);
    close(&law["chosen"]["total_flops"]["estimate"], 1e23, 1e-6);
    close(&law["chosen"]["serving_flops"]["estimate"], 2.0 * best * 6e12, 1e-3);
    assert_eq!(law["binding"], serde_json::json!(["serving"]));
}

#[test]
fn a_budget_that_reaches_a_loss_comes_with_both_ends() {
    let answer = answer(&["--reach", "loss=2.1"]);
    let flops = &answer["reach"]["flops"];
    let [lower, best, upper] = ["lower", "estimate", "upper"].map(|end| flops[end].as_f64().expect("an end"));
    assert!(lower < best && best < upper, "{flops}");
    // At the budget found, the law's own optimum has that loss.
    let found = loss(best_params(best), best / (6.0 * best_params(best)));
    assert!((found - 2.1).abs() < 1e-3, "{found}");
    assert_eq!(answer["reach"]["loss"], 2.1);
}

/// 1e23 / (989e12 · 0.4) / 3600 = 70,216.83 hours; at 2.5 USD 175,542.07; at 700 W and 1.2 times that 58,982.14 kWh.
#[test]
fn a_cost_is_what_a_hand_works_out() {
    let answer = answer(&["--at", "flops=1e23", "--hardware", "h100-sxm"]);
    let cost = &answer["answers"]["cost"]["expected"];
    close(&cost["gpu_hours"], 70_216.829_6, 1e-8);
    close(&cost["money"], 175_542.074, 1e-8);
    close(&cost["kwh"], 58_982.136_8, 1e-8);
    assert!(cost["assumptions"].as_array().is_some_and(|notes| notes.len() >= 4), "{cost}");
}

#[test]
fn the_table_that_is_printed_can_be_edited_and_given_back() {
    let folder = grid();
    let printed = forescale(folder.path(), &["hardware"]).expect_code(0).stdout;
    forescale(folder.path(), &["hardware", "--out", "mine.toml"]).expect_code(0);
    let path = folder.path().join("mine.toml");
    let written = fs::read_to_string(&path).expect("written");
    assert_eq!(printed, written);
    refuses(forescale(folder.path(), &["hardware", "--out", "mine.toml"]), &["`mine.toml` exists already", "hint:"]);
    assert!(written.contains("price_per_hour = 2.5"));
    fs::write(&path, written.replace("price_per_hour = 2.5", "price_per_hour = 4.0")).expect("written");
    let arguments = ["--at", "flops=1e23", "--hardware", "h100-sxm", "--hardware-file", "mine.toml", "--json"];
    let answer = forecast(&folder, &arguments).expect_code(0).json();
    // 70,216.8296 hours at 4 USD.
    close(&answer["answers"]["cost"]["expected"]["money"], 280_867.318, 1e-8);
    let table = forescale(folder.path(), &["hardware", "--json"]).expect_code(0).json();
    assert_eq!(
        (&table["schema"], &table["hardware"][1]["name"]),
        (&"forescale.hardware/1.0".into(), &"h100-sxm".into())
    );
    refuses(forescale(folder.path(), &["hardware", "nowhere"]), &["`nowhere` is not a sweep's folder", "hint:"]);
}

/// a = beta/(alpha + beta) = .2849/.6241.
#[test]
fn two_approaches_find_the_exponents_that_made_the_runs() {
    let folder = grid();
    let report = forescale(folder.path(), &["fit", "grid.csv", "--approach", "2,3", "--json"]).expect_code(0).json();
    assert_eq!(report["schema"], "forescale.approaches/1.0");
    let fits = report["fits"].as_array().expect("fits");
    assert_eq!(fits.iter().map(|fit| fit["approach"].clone()).collect::<Vec<_>>(), ["isoflop", "surface"]);
    for fit in fits {
        close(&fit["powers"]["params_exponent"]["estimate"], 0.2849 / 0.6241, 1e-4);
        close(&fit["powers"]["tokens_exponent"]["estimate"], 0.3392 / 0.6241, 1e-4);
        close(&fit["optima"][1]["params"]["estimate"], best_params(1e23), 1e-2);
        let doubts = fit["diagnoses"].as_array().expect("doubts");
        assert!(doubts.iter().all(|doubt| doubt["code"] != "approaches_disagree"), "{doubts:?}");
    }
}

/// No cap lowers the loss, so that 1 is a lower end where the runs set none: near the optimum a cap may cost nothing.
#[test]
fn what_a_cap_costs_has_a_lower_end_of_one() {
    let mut table = String::from("params,tokens,loss\n");
    for i in 0..35_usize {
        let flops = 10_f64.powi(18 + i32::try_from(i / 7).expect("small"));
        let params = best_params(flops) * 2_f64.powf(0.75 * (i as f64 % 7.0 - 3.0));
        let tokens = flops / (6.0 * params);
        let noise = [0.003, -0.002, 0.001, -0.003, 0.002][(3 * i + i / 7) % 5];
        table += &format!("{params},{tokens},{}\n", loss(params, tokens) * (1.0 + noise));
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("grid.csv"), table).expect("written");
    let capped = |tokens: f64, more: &[&str]| {
        let cap = tokens.to_string();
        forecast(&folder, &[&["--at", "flops=1e23", "--max-tokens", &cap], more].concat()).expect_code(0)
    };
    let free = capped(1e15, &["--json"]).json();
    let best = &free["answers"]["optimum"]["laws"][0]["unconstrained"]["tokens"]["estimate"];
    let near = 0.97 * best.as_f64().expect("a number");
    let found = capped(near, &["--json"]).json();
    let law = &found["answers"]["optimum"]["laws"][0];
    assert_eq!(law["binding"], serde_json::json!(["max_tokens"]));
    let [lower, ratio, upper] = ["lower", "estimate", "upper"].map(|end| law["loss_ratio"][end].as_f64());
    assert!(lower == Some(1.0) && ratio >= lower && upper > ratio, "{}", law["loss_ratio"]);
    let said = capped(near, &[]);
    let words = "loss over that of the unconstrained optimum: 1.000 (1.000 to 1.";
    assert!(said.stdout.contains(words), "{}", said.whole());
}

#[test]
fn a_target_for_which_the_laws_leave_all_losses_seen_is_refused_and_not_cut_to_twice_the_largest() {
    let folder = grid();
    let asked = ["forecast", "grid.csv", "--at", "flops=1e19,params=1e18,tokens=1.7", "--unit", "nats"];
    let said = forescale(folder.path(), &asked).expect_code(2);
    assert!(said.stdout.contains("refused: the laws say a loss for this target"), "{}", said.whole());
}

/// Compute that is a twentieth of what size and data come to: one of the three is not of this run.
#[test]
fn a_target_that_contradicts_itself_is_forecast_by_nobody() {
    let folder = grid();
    let asked = ["forecast", "grid.csv", "--at", "flops=1e23,params=7e10,tokens=5e12", "--unit", "nats"];
    let said = forescale(folder.path(), &asked).expect_code(2);
    let words = "the target's compute of 1.00e23 FLOPs and the 2.10e24 that its size and data come to by 6ND differ";
    assert!(said.stdout.contains(&format!("refused: {words}")), "{}", said.whole());
    assert!(said.stdout.contains("leave out one of compute, size and data"), "{}", said.whole());
    let told = forescale(folder.path(), &[&asked[..], &["--json"]].concat()).expect_code(2).json();
    assert_eq!((&told["targets"][0]["status"], &told["targets"][0]["median"]), (&"refused".into(), &Value::Null));
    // One that agrees beside it is forecast all the same.
    let both = [&asked[..], &["--at", "flops=1e23", "--json"]].concat();
    let told = forescale(folder.path(), &both).expect_code(0).json();
    assert_eq!([0, 1].map(|i| told["targets"][i]["status"].clone()), ["refused", "forecast"]);
}

#[test]
fn a_target_below_every_run_is_not_sealed_and_one_among_them_is_sealed_with_a_word() {
    let folder = grid();
    let register = |flops: &str| {
        fs::write(folder.path().join("t.json"), format!(r#"{{"name": "t{flops}", "flops": {flops}}}"#))
            .expect("written");
        forescale(folder.path(), &["register", "grid.csv", "--target", "t.json", "--unit", "nats"])
    };
    refuses(register("1e13"), &["the target is not registered: its 1.00e13 FLOPs lie below the", "hint: register a"]);
    assert!(!folder.path().join("t1e13.registration.json").exists());
    let inside = register("3e20").expect_code(0);
    assert!(inside.stderr.contains("[target_inside_data]"), "{}", inside.whole());
    assert!(!register("1e23").expect_code(0).stderr.contains("[target_inside_data]"));
}

#[test]
fn a_table_that_holds_rows_out_says_what_to_type_to_forecast_them() {
    let folder = grid();
    let path = folder.path().join("grid.csv");
    let text = fs::read_to_string(&path).expect("a table");
    let rows = text.trim_end().replace('\n', ",off_path\n").replacen("loss,off_path", "loss,role", 1);
    fs::write(&path, format!("{rows},off_path\n7e9,1.4e11,2.2,target\n")).expect("written");
    let said = forescale(folder.path(), &["forecast", "grid.csv", "--unit", "nats"]);
    refuses(said, &["1 row whose `role` is `target` is held out", "hint: --at flops=5.88e21,params=7e9,tokens=1.4e11"]);
}

#[test]
fn a_target_that_contradicts_itself_is_never_sealed() {
    let folder = grid();
    let target = r#"{"name": "t", "flops": 1e20, "params": 1e9, "tokens": 1e13}"#;
    fs::write(folder.path().join("target.json"), target).expect("written");
    let asked = ["register", "grid.csv", "--target", "target.json", "--unit", "nats"];
    let said = forescale(folder.path(), &asked).expect_code(2).stderr;
    assert!(said.contains("the target is not registered: the target's compute of 1.00e20 FLOPs"), "{said}");
}

#[test]
fn a_backtest_of_losses_that_rise_says_so_ahead_of_its_cases_and_has_no_answer() {
    let mut table = String::from("params,tokens,loss\n");
    for (rung, ratio) in (0..6).flat_map(|rung| [10.0, 20.0, 40.0].map(|ratio| (rung, ratio))) {
        let params = 1e6 * 2_f64.powi(rung);
        table += &format!("{params},{},{}\n", ratio * params, 2.0 + 0.1 * f64::from(rung) + 0.003 * ratio);
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("grid.csv"), table).expect("written");
    let said = forescale(folder.path(), &["backtest", "grid.csv", "--ratio", "10"]).expect_code(2);
    let first = said.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("error: ") && first.ends_with("[loss_does_not_fall]"), "{}", said.whole());
    assert!(said.stdout.contains("\nratio  cases"), "{}", said.whole());
    let told = forescale(folder.path(), &["backtest", "grid.csv", "--ratio", "10", "--json"]).expect_code(2).json();
    assert_eq!(told["diagnoses"][0]["code"], "loss_does_not_fall");
}

#[test]
fn a_forecast_of_losses_that_rise_is_refused_and_opens_with_the_error() {
    let mut table = String::from("params,tokens,loss\n");
    for rung in 0..8 {
        let params = 1e6 * 2_f64.powi(rung);
        table += &format!("{params},{},{}\n", 20.0 * params, 2.0 + 0.1 * f64::from(rung));
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("grid.csv"), table).expect("written");
    // No answer: exit 2, so that a script does not take the number of a law that the runs contradict.
    let said = forescale(folder.path(), &["forecast", "grid.csv", "--at", "flops=1e19"]).expect_code(2);
    let first = said.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("error: ") && first.ends_with("[loss_does_not_fall]"), "{}", said.whole());
    assert!(said.stdout.contains("\nloss at 1.0 × 10¹⁹ FLOPs\nrefused: "), "{}", said.whole());
    let told =
        forescale(folder.path(), &["forecast", "grid.csv", "--at", "flops=1e19", "--json"]).expect_code(2).json();
    assert_eq!(told["targets"][0]["status"], "refused");
    assert_eq!(told["targets"][0]["median"], serde_json::Value::Null);
}

#[test]
fn tables_come_with_a_small_plot_where_it_is_asked_for_and_never_into_a_pipe_of_itself() {
    let folder = grid();
    let at = ["--at", "flops=1e23"];
    for (command, more, marks) in [
        ("fit", &["--law", "chinchilla"][..], ". chinchilla   o runs"),
        ("forecast", &at, "o runs   | interval   x forecast"),
    ] {
        let plain = forescale(folder.path(), &[&[command, "grid.csv"], more].concat()).expect_code(0);
        let drawn =
            forescale(folder.path(), &[&[command, "grid.csv", "--plot", "always"], more].concat()).expect_code(0);
        assert!(drawn.stdout.starts_with(plain.stdout.trim_end()), "{}", drawn.whole());
        assert!(
            !plain.stdout.contains("compute, FLOPs") && drawn.stdout.contains("compute, FLOPs"),
            "{}",
            drawn.whole()
        );
        assert_eq!(drawn.stdout.lines().last(), Some(marks), "{}", drawn.whole());
    }
    let both = forescale(folder.path(), &["compare", "grid.csv", "grid.csv", "--plot", "always"]);
    let last = both.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("a runs of A   b runs of B   A A's law"), "{}", both.whole());
    let clash = forescale(folder.path(), &["fit", "grid.csv", "--plot", "always", "--json"]);
    assert_eq!(clash.code, 2, "{}", clash.whole());
}

#[test]
fn a_chance_that_rounds_to_nothing_is_said_to_be_less_than_the_least_that_is_printed() {
    let mut table = String::from("params,tokens,loss\n");
    for rung in 0..24_u32 {
        let decades = f64::from(rung) / 6.0 - 2.0;
        let params = (1e19 * 10_f64.powf(decades) / 120.0).sqrt();
        // The slope breaks in the middle of the data, which no power law does.
        let slope = if decades < 0.0 { -0.03 } else { -0.08 };
        let noise = [0.0009, -0.0006, 0.0003, -0.0009, 0.0006][rung as usize % 5];
        table += &format!("{params},{},{}\n", 20.0 * params, 3.0 * 10_f64.powf(slope * decades) * (1.0 + noise));
    }
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("runs.csv"), table).expect("written");
    let said = forescale(folder.path(), &["fit", "runs.csv", "--law", "power_law"]).expect_code(0);
    assert!(said.stdout.contains("by chance less than 0.01% of the time"), "{}", said.whole());
    assert!(!said.stdout.contains("0.00% of the time"), "{}", said.whole());
}

#[test]
fn what_cannot_be_answered_says_so() {
    let folder = grid();
    let at = ["--at", "flops=1e23"];
    let asked = |more: &[&str]| forecast(&folder, &[&at[..], more].concat());
    refuses(asked(&["--hardware", "h9000"]), &["`h9000` is not in the table", "`h100-sxm`", "hint:"]);
    refuses(asked(&["--at", "flops=1e24", "--max-tokens", "1e11"]), &["one target, and 2 were asked for", "hint:"]);
    for cap in ["--max-tokens", "--max-params", "--params", "--serve"] {
        refuses(asked(&[cap, "-1e9"]), &[&format!("`{cap} -1e9` is not a"), &format!("hint: {cap} ")]);
    }
    let both = forecast(&folder, &["--reach", "loss=2.1", "--at", "flops=1e23"]);
    assert_eq!(both.code, 2);
    refuses(forecast(&folder, &["--reach", "loss=1.2"]), &["1.2", "hint:"]);
}

/// What is forecast beside a cap is the run that the cap leaves, with the error of form in its interval.
#[test]
fn under_a_cap_the_forecast_is_of_the_run_that_the_cap_leaves() {
    let answer = answer(&["--at", "flops=1e23", "--max-tokens", "2e11"]);
    let (target, law) = (&answer["targets"][0], &answer["answers"]["optimum"]["laws"][0]);
    for (of, name) in [("params", "params"), ("tokens", "tokens"), ("flops", "training_flops")] {
        close(&target[of], law["chosen"][name]["estimate"].as_f64().expect("a number"), 1e-12);
    }
    close(&target["median"], loss(1e23 / 1.2e12, 2e11), 1e-3);
    let shaped = forecast(&grid(), &["--at", "flops=1e23,params=1e10", "--max-tokens", "2e11"]);
    refuses(shaped, &["the target tells its own size or data", "hint:"]);
    // A sweep's own target keeps its budget, and says so.
    let own = |cap: &str| {
        let said =
            forescale(&repository(), &["forecast", "reports/quickstart/baseline", "--max-tokens", cap, "--json"]);
        let said = said.expect_code(0);
        assert!(said.stderr.contains("its own size and data are set aside"), "{}", said.whole());
        said.json()["targets"][0].clone()
    };
    close(&own("1e5")["tokens"], 1e5, 1e-9);
    assert!(own("1e15")["params"].is_null());
}
