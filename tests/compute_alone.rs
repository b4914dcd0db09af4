//! Tables that tell compute and loss alone: laws of compute are fitted and carried, and nothing is said of size or data.

use std::fs;

use forescale_core::outcome::{BacktestReport, FitReport, Forecast};
use serde::de::DeserializeOwned;
use tempfile::TempDir;

use crate::bad_input::refuses;
use crate::binary::{Said, forescale};

/// L = a·C^-b + c.
const LAW: [f64; 3] = [2571.0, 0.17, 1.9];
/// Noise of 0.2% and less, from a fixed sequence.
const NOISE: [f64; 10] = [0.002, -0.0014, 0.0009, -0.0019, 0.0006, 0.0012, -0.0007, 0.0017, -0.0011, 0.0004];

fn truth(flops: f64) -> f64 {
    let [a, b, c] = LAW;
    a * flops.powf(-b) + c
}

/// Ten rungs from 1e17 to 4e20 FLOPs.
fn ladder() -> String {
    let rung = |(i, noise): (usize, &f64)| {
        let flops = 10_f64.powf(17.0 + 0.4 * i as f64);
        format!("{flops},{}\n", truth(flops) * (1.0 + noise))
    };
    format!("flops,loss\n{}", NOISE.iter().enumerate().map(rung).collect::<String>())
}

fn folder(table: &str) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("runs.csv"), table).expect("written");
    folder
}

fn said(arguments: &[&str]) -> Said {
    forescale(folder(&ladder()).path(), arguments)
}

/// A document that is exactly of its form: types refuse what they do not know.
fn document<T: DeserializeOwned>(said: Said) -> T {
    serde_json::from_str(&said.expect_code(0).stdout).expect("a document of its form")
}

#[test]
fn a_law_of_compute_is_fitted_and_what_is_assumed_is_said() {
    let report: FitReport = document(said(&["fit", "runs.csv", "--json"]));
    let [law] = &report.fits[..] else { panic!("{:?}", report.fits) };
    assert_eq!((law.law.as_str(), law.n, law.rule.params.as_str()), ("power_law", 10, "untold"));
    let assumed = law.diagnoses.iter().filter(|doubt| doubt.code == "compute_alone").collect::<Vec<_>>();
    assert!(assumed.len() == 1 && assumed[0].message.contains("are taken as one path"), "{assumed:?}");
    let refused = law.diagnoses.iter().find(|doubt| doubt.code == "law_refused").expect("laws of size and data");
    assert!(refused.message.contains("`chinchilla` was not fitted: it needs params and tokens"), "{refused:?}");
    let of_sizes =
        ["counting_rules", "tokens_below_params", "params_unit", "stray_params", "stray_ratio", "flops_unit"];
    assert!(law.diagnoses.iter().all(|doubt| !of_sizes.contains(&doubt.code.as_str())), "{:?}", law.diagnoses);
    let text = said(&["fit", "runs.csv"]).expect_code(0).stdout;
    assert!(text.contains("C is the table's own column, N and D are not told"), "{text}");
}

#[test]
fn every_law_of_compute_is_fitted_to_the_same_runs() {
    let laws = "power_law,log_log,m3,m4,bnsl";
    let report: FitReport = document(said(&["fit", "runs.csv", "--law", laws, "--json"]));
    let fitted: Vec<&str> = report.fits.iter().map(|law| law.law.as_str()).collect();
    assert_eq!(fitted.join(","), laws);
    assert!(report.fits.iter().all(|law| law.n == 10 && law.excluded.is_empty() && law.vertices_of.is_none()));
}

#[test]
fn a_forecast_holds_the_truth_and_tells_no_size() {
    let forecast: Forecast = document(said(&["forecast", "runs.csv", "--at", "flops=1e22", "--json"]));
    let target = &forecast.targets[0];
    assert!(target.intervals[0].contains(truth(1e22)), "{} {:?}", truth(1e22), target.intervals);
    assert!(target.params.is_none() && target.tokens.is_none() && target.optimum.is_none(), "{target:?}");
    let noted = forecast.diagnoses.iter().filter(|doubt| doubt.code == "compute_alone").count();
    assert_eq!(noted, 1, "{:?}", forecast.diagnoses);
    let text = said(&["forecast", "runs.csv", "--at", "flops=1e22"]).expect_code(0).stdout;
    assert!(!text.contains("N = ") && !text.contains("D = "), "{text}");
}

#[test]
fn a_loss_is_reached_by_a_budget_without_a_size() {
    let forecast: Forecast = document(said(&["forecast", "runs.csv", "--reach", "loss=2.4", "--json"]));
    let reach = forecast.reach.expect("a budget");
    assert!(reach.params.is_none() && reach.tokens.is_none() && reach.flops_per_product.is_none(), "{reach:?}");
    // a·C^-b = 0.5.
    let budget = (LAW[0] / 0.5_f64).powf(1.0 / LAW[1]);
    assert!(reach.flops.lower.is_some_and(|low| low < budget) && reach.flops.upper.is_none_or(|high| high > budget));
}

#[test]
fn smaller_runs_predict_the_largest_at_its_budget() {
    for mode in ["run", "frontier"] {
        let report: BacktestReport =
            document(said(&["backtest", "runs.csv", "--ratio", "5", "--mode", mode, "--json"]));
        let case = report.cases.first().expect("a case");
        assert!(case.relative_error.abs() < 0.02, "{case:?}");
    }
}

#[test]
fn a_page_shows_runs_without_sizes() {
    let folder = folder(&ladder());
    forescale(folder.path(), &["report", "runs.csv", "--at", "flops=1e22", "--out", "page"]).expect_code(0);
    let page = fs::read_to_string(folder.path().join("page/index.html")).expect("a page");
    for words in ["parameters N", "tokens D", "Compute-optimal size", "parameters:"] {
        assert!(!page.contains(words), "{words}");
    }
    assert!(page.contains("N and D are not told"));
    let text = forescale(folder.path(), &["report", "runs.csv", "--format", "md"]).expect_code(0).stdout;
    let row = text.lines().find(|line| line.starts_with("| row-1 |")).expect("the first run");
    let cells: Vec<&str> = row.split('|').map(str::trim).collect();
    assert!(cells[3] == cells[2] && cells[4] == cells[2] && !cells[5].is_empty(), "{row}");
}

#[test]
fn what_needs_a_size_is_refused_by_name() {
    let needs = "needs params and tokens; the table has flops alone";
    let all: [(&[&str], &str); 11] = [
        (&["fit", "runs.csv", "--law", "chinchilla"], "`chinchilla`"),
        (&["fit", "runs.csv", "--law", "gadre"], "`gadre`"),
        (&["fit", "runs.csv", "--approach", "2"], "`--approach 2`"),
        (&["fit", "runs.csv", "--approach", "3"], "`--approach 3`"),
        (&["fit", "runs.csv", "--best-of", "lr"], "`--best-of`"),
        (&["forecast", "runs.csv", "--at", "flops=1e22,params=1e9"], "a target with `params`"),
        (&["forecast", "runs.csv", "--at", "params=1e9,tokens=2e10"], "a target with `params` and `tokens`"),
        (&["forecast", "runs.csv", "--at", "flops=1e22", "--max-tokens", "1e9"], "`--max-tokens`"),
        (&["forecast", "runs.csv", "--at", "flops=1e22", "--params", "1e9"], "`--params`"),
        (&["forecast", "runs.csv", "--at", "flops=1e22", "--recommend"], "`--recommend`"),
        (&["design", "runs.csv", "--target", "flops=1e22", "--budget", "flops=1e21"], "`design`"),
    ];
    for (arguments, what) in all {
        refuses(said(arguments), &[what, needs, "hint: ", "--map params=COLUMN"]);
    }
}

#[test]
fn two_such_tables_are_compared() {
    let folder = folder(&ladder());
    fs::copy(folder.path().join("runs.csv"), folder.path().join("other.csv")).expect("copied");
    let arguments = ["compare", "runs.csv", "other.csv", "--at", "flops=1e21", "--json"];
    let answer = forescale(folder.path(), &arguments).expect_code(0).json();
    let multiplier = answer["budgets"][0]["multiplier"].as_f64().expect("a multiplier");
    assert!((multiplier - 1.0).abs() < 1e-3, "{answer}");
}

#[test]
fn a_target_of_such_a_table_is_registered_and_scored() {
    let folder = folder(&ladder());
    let scored = |name: &str| {
        forescale(folder.path(), &["score", name, "--observed", &truth(1e22).to_string(), "--json"]).json()
    };
    fs::write(folder.path().join("next.json"), r#"{"name": "next", "flops": 1e22}"#).expect("written");
    forescale(folder.path(), &["register", "runs.csv", "--target", "next.json"]).expect_code(0);
    assert_eq!(scored("next.registration.json")["inside"], true);
    fs::write(folder.path().join("sized.json"), r#"{"name": "sized", "flops": 1e22, "params": 1e9}"#).expect("written");
    refuses(forescale(folder.path(), &["register", "runs.csv", "--target", "sized.json"]), &["a target with `params`"]);
}

fn codes(table: &str) -> Vec<(String, String)> {
    let said = forescale(folder(table).path(), &["fit", "runs.csv", "--law", "power_law", "--json"]).json();
    let doubts = said["fits"][0]["diagnoses"].as_array().cloned().unwrap_or_default();
    let word = |doubt: &serde_json::Value, key: &str| doubt[key].as_str().unwrap_or_default().to_owned();
    doubts.iter().map(|doubt| (word(doubt, "code"), word(doubt, "severity"))).collect()
}

#[test]
fn runs_of_one_budget_that_lie_apart_are_no_path_and_seeds_are() {
    let twice = |by: f64| {
        let again = ladder();
        let rows = again.lines().skip(1).filter_map(|line| line.split_once(',')).map(|(flops, loss)| {
            let loss: f64 = loss.parse().expect("a loss");
            format!("{flops},{}\n", loss * by)
        });
        codes(&format!("{again}{}", rows.collect::<String>()))
    };
    let of =
        |found: Vec<(String, String)>| found.into_iter().find(|(code, _)| code == "compute_alone").expect("said").1;
    assert_eq!(of(twice(1.06)), "warning");
    let seeds = twice(1.002);
    assert!(seeds.iter().all(|(code, _)| code != "few_seeds"), "{seeds:?}");
    assert_eq!(of(seeds), "note");
    assert!(codes(&ladder()).iter().any(|(code, _)| code == "few_seeds"));
}

#[test]
fn doubts_about_compute_and_loss_are_as_before() {
    let stray = ladder().replacen("flops,loss\n", "flops,loss\n3e18,0.02\n", 1);
    let said = forescale(folder(&stray).path(), &["fit", "runs.csv"]);
    assert!(said.whole().contains("stray_loss"), "{}", said.whole());
    let few: String = ladder().lines().take(6).map(|line| format!("{line}\n")).collect();
    assert!(codes(&few).iter().any(|(code, _)| code == "few_decades"), "{:?}", codes(&few));
}

#[test]
fn a_table_that_tells_sizes_is_not_said_to_lack_them() {
    let sized: String = ladder()
        .lines()
        .map(|line| {
            let Some(flops) = line.split(',').next().and_then(|flops| flops.parse::<f64>().ok()) else {
                return format!("params,{line}\n");
            };
            format!("{},{line}\n", (flops / 120.0).sqrt())
        })
        .collect();
    assert!(codes(&sized).iter().all(|(code, _)| code != "compute_alone"));
}

#[test]
fn runs_marked_off_the_path_contradict_no_path() {
    let rows = ladder();
    let both = rows.lines().skip(1).map(|line| {
        let (flops, loss) = line.split_once(',').expect("two columns");
        let worse = 1.1 * loss.parse::<f64>().expect("a loss");
        format!("{flops},{loss},path\n{flops},{worse},off_path\n")
    });
    let found = codes(&format!("flops,loss,role\n{}", both.collect::<String>()));
    let alone = found.iter().find(|(code, _)| code == "compute_alone").expect("said");
    assert_eq!(alone.1, "note", "{found:?}");
}
