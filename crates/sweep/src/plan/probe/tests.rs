use std::path::Path;

use super::*;
use crate::plan::{MIN_STEPS, plan_with};

const LADDER: &str = include_str!("../../spec/tests/ladder.toml");

fn spec() -> SweepSpec {
    SweepSpec::parse(Path::new("sweeps/x/sweep.toml"), LADDER).expect("a good spec")
}

fn probe() -> RateProbe {
    RateProbe {
        widths: vec![16, 32],
        tokens_per_param: vec![40.0, 160.0],
        factors: vec![0.5, 1.0, 2.0],
        seeds: 1,
        parametrization: Parametrization::Mup,
    }
}

fn refusal(probe: &RateProbe) -> String {
    probe_rates(&spec(), None, probe).expect_err("refused").to_string()
}

#[test]
fn each_width_and_horizon_is_tried_at_each_rate() {
    let plan = probe_rates(&spec(), None, &probe()).expect("a good probe");
    assert_eq!(plan.runs.len(), 2 * 2 * 3);
    assert!(plan.runs.iter().all(|run| run.role == Role::OffPath && run.config.steps >= MIN_STEPS));
    let config = |name: &str| &plan.find(name).expect(name).config.optimizer;
    let rates = ["d32-40x-r0.5-s0", "d32-40x-r1-s0", "d32-40x-r2-s0"].map(|name| config(name).learning_rate);
    let embedding = config("d32-40x-r2-s0").embedding_learning_rate;
    for (found, expected) in rates.into_iter().chain([embedding]).zip([0.007, 0.014, 0.028, 0.056]) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} against {expected}");
    }
}

#[test]
fn a_probe_at_the_recipes_own_rate_is_the_run_of_the_ladder() {
    let plan = probe_rates(&spec(), None, &probe()).expect("a good probe");
    let ladder = crate::plan(&spec(), None).expect("a good plan");
    assert_eq!(plan.find("d32-40x-r1-s0").expect("the probe").id, ladder.find("d32-40x-s0").expect("the rung").id);
}

#[test]
fn a_probe_may_take_the_standard_parametrisation_and_so_may_the_ladder() {
    let standard = RateProbe { parametrization: Parametrization::Standard, ..probe() };
    let plan = probe_rates(&spec(), None, &standard).expect("a good probe");
    assert!(plan.runs.iter().all(|run| run.config.optimizer.parametrization == Parametrization::Standard));
    let ladder = plan_with(&spec(), None, Some(Parametrization::Standard)).expect("a good plan");
    assert!(ladder.runs.iter().all(|run| run.config.optimizer.parametrization == Parametrization::Standard));
    assert_eq!(plan_with(&spec(), None, None), crate::plan(&spec(), None));
}

#[test]
fn a_probe_that_cannot_be_is_refused_with_what_can() {
    let cases = [
        (RateProbe { widths: vec![20], ..probe() }, "width 20 was asked for; a multiple of `head_size` = 8"),
        (RateProbe { widths: Vec::new(), ..probe() }, "at least one width, one horizon, one factor and one seed"),
        (RateProbe { seeds: 0, ..probe() }, "at least one width, one horizon, one factor and one seed"),
        (RateProbe { factors: vec![1.0, 0.0], ..probe() }, "a probe at 0 times the rate"),
        (RateProbe { factors: vec![f64::NAN], ..probe() }, "a probe at NaN times the rate"),
        (RateProbe { tokens_per_param: vec![0.5], ..probe() }, "0.5 tokens per parameter was asked for; at least 1"),
        (RateProbe { factors: vec![1.0, 1.0], ..probe() }, "have one identity"),
        (RateProbe { tokens_per_param: vec![3.0], ..probe() }, "at least 300 are needed"),
    ];
    for (probe, words) in cases {
        let error = refusal(&probe);
        assert!(error.contains(words) && error.contains("\n\nhint: "), "{words}: {error}");
    }
}
