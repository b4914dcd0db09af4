//! The coverage program's scenarios at a size that a test run can carry. The full simulations are `just bench-coverage`.
//!
//! Bounds are those of a binomial count of 300 around 90%, three standard errors (5.2 points) on each side of the 86 to 94%
//! that the full simulations must reach: a method that covers 80% or 100% fails.

#[path = "../examples/coverage/scenario.rs"]
#[allow(dead_code, reason = "some scenarios are the full simulations' alone")]
mod scenario;
#[path = "../examples/coverage/tally.rs"]
mod tally;
#[path = "../examples/coverage/truth.rs"]
#[allow(dead_code, reason = "some truths are the full simulations' alone")]
mod truth;

use forescale_fit::{IntervalMethod, Objective};

use crate::scenario::{Scenario, misspecified, true_laws};
use crate::tally::{Tally, simulate};

const SIMULATIONS: u64 = 300;

fn named(name: &str) -> Scenario {
    true_laws().into_iter().find(|scenario| scenario.name == name).expect("a scenario")
}

fn simulated(mut scenario: Scenario, objective: Objective, method: IntervalMethod) -> Vec<Tally> {
    scenario.options.fit.objective = objective;
    scenario.options.fit.interval = method;
    scenario.options.fit.draws = 100;
    let tallies = simulate(&scenario, SIMULATIONS, 7);
    assert!(tallies.iter().all(|tally| tally.forecasts as u64 == SIMULATIONS), "{}", scenario.name);
    tallies
}

#[track_caller]
fn holds(name: &str, objective: Objective, method: IntervalMethod) {
    for tally in simulated(named(name), objective, method) {
        let coverage = tally.mean.coverage();
        assert!((0.81..=0.99).contains(&coverage), "{name}, {objective:?}, {method:?}: {coverage}");
        // Neither can be had without the other: a score is never below the width.
        assert!(tally.mean.score() >= tally.mean.width() * 0.5 && tally.mean.width() > 0.0);
    }
}

#[test]
fn profiles_of_a_ladder_hold_nine_times_in_ten_under_every_objective() {
    for objective in [Objective::default(), Objective::LeastSquares, Objective::LeastAbsolute] {
        holds("8 rungs over 3 decades", objective, IntervalMethod::Profile);
    }
}

#[test]
fn profiles_hold_where_noise_falls_and_its_deviations_are_stated() {
    for objective in [Objective::default(), Objective::LeastSquares] {
        holds("noise falls, deviations stated", objective, IntervalMethod::Profile);
    }
}

#[test]
fn profiles_of_a_surface_and_of_trunks_hold() {
    holds("surface, 35 runs", Objective::default(), IntervalMethod::Profile);
    holds("eight trunks of three branches", Objective::default(), IntervalMethod::Profile);
}

#[test]
fn bootstraps_of_a_ladder_hold() {
    for method in [IntervalMethod::Pairs, IntervalMethod::Parametric] {
        holds("8 rungs over 3 decades", Objective::default(), method);
    }
}

/// Coverage of one run's intervals at 10x, 100x and 1000x, and the share of tables whose model form is doubted.
fn misspecified_by(name: &str) -> (Vec<f64>, f64) {
    let mut scenarios = misspecified().into_iter();
    let scenario = scenarios.find(|scenario| scenario.name == name).expect("a scenario");
    let tallies = simulate(&scenario, 100, 7);
    let named = tallies[0].form_named as f64 / tallies[0].forecasts as f64;
    (tallies.iter().map(|tally| tally.one.coverage()).collect(), named)
}

#[test]
fn where_no_law_is_true_intervals_of_one_run_hold_and_the_form_is_named() {
    // 2000 simulations name it in 60, 97 and 100% of tables (benches/coverage.md); 100 have a standard error of 5 points.
    for (name, least) in
        [("two powers and a floor", 0.45), ("break 1.5 decades inside", 0.85), ("break 1 decade inside", 0.9)]
    {
        let (held, named) = misspecified_by(name);
        assert!(held.iter().all(|share| *share >= 0.8), "{name}: {held:?}");
        assert!(named >= least, "{name}: named in {named}");
    }
    // A break past the data cannot be seen, and one power is no reason to doubt.
    for name in ["break 1 decade beyond", "one power, by the default"] {
        let (_, named) = misspecified_by(name);
        assert!(named <= 0.1, "{name}: named in {named}");
    }
}
