//! The project's own committed evidence, held against what became of it: these are the claims of the README.

use serde_json::Value;

use crate::binary::{forescale, repository};

fn document(arguments: &[&str]) -> Value {
    forescale(&repository(), &[arguments, &["--json"]].concat()).expect_code(0).json()
}

fn committed(path: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(path)).expect("committed evidence");
    serde_json::from_str(&text).expect("JSON")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn the_quickstarts_target_is_forecast_within_two_percent_and_inside_from_a_thirteenth_of_its_compute() {
    let reached = number(&committed("reports/quickstart/baseline/score.json")["actual"]);
    let forecast = document(&["forecast", "reports/quickstart/baseline"]);
    let target = &forecast["targets"][0];
    // At least ten times the largest rung.
    assert!(number(&target["decades_beyond_data"]) >= 1.0, "{target}");
    let error = number(&target["median"]) / reached - 1.0;
    assert!(error.abs() <= 0.02, "off by {:.2}%", 100.0 * error);
    let interval = &target["intervals"][0];
    assert!((number(&interval["lower"])..=number(&interval["upper"])).contains(&reached), "{interval}: {reached}");
}

#[test]
fn the_zipf_familys_floor_is_the_sources_entropy_over_three_decades() {
    let truth = number(&committed("reports/zipf/baseline/manifest.json")["entropy_rate"]);
    let report = document(&["fit", "reports/zipf/baseline", "--with-target", "--law", "power_law"]);
    let floor = &report["fits"][0]["parameters"]["c"];
    let error = number(&floor["estimate"]) / truth - 1.0;
    assert!(error.abs() <= 0.015, "off by {:.2}%", 100.0 * error);
    assert!((number(&floor["lower"])..=number(&floor["upper"])).contains(&truth), "{floor}: {truth}");
    let compute = |run: &Value| number(&run["flops"]["exact"]);
    let plan = document(&["plan", "sweeps/zipf"]);
    let runs = plan["runs"].as_array().expect("runs");
    let (low, high) = runs.iter().map(compute).fold((f64::INFINITY, 0.0_f64), |(l, h), c| (l.min(c), h.max(c)));
    assert!((high / low).log10() >= 3.0, "{low:e} to {high:e}");
}

#[test]
fn the_committed_ledger_is_whole_and_holds_every_committed_registration() {
    let record = document(&["record"]);
    let entered: Vec<&str> = record["forecasts"]
        .as_array()
        .expect("forecasts")
        .iter()
        .filter_map(|f| f["registration_sha256"].as_str())
        .collect();
    for name in ["smoke", "quickstart", "zipf"] {
        let score = committed(&format!("reports/{name}/baseline/score.json"));
        let registration = score["registration_sha256"].as_str().expect("a digest");
        let at = entered.iter().position(|sha256| *sha256 == registration).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(record["forecasts"][at]["score"], score, "{name}");
        // The ledger is younger than they are.
        assert_eq!(record["forecasts"][at]["uncounted"], "entered_afterwards", "{name}");
    }
}
