use super::*;
use crate::objective::Cost;
use crate::published;
use forescale_core::answer::Serving;
use forescale_core::law::chinchilla::Chinchilla;
use forescale_core::law::{LawForm as _, padded};

const HOFFMANN: [f64; 5] = [406.4, 410.7, 1.69, 0.34, 0.28];

fn law() -> (FitProblem, Theta) {
    let runs = published::grid(HOFFMANN);
    let problem =
        FitProblem::new(&Chinchilla, &runs.iter().collect::<Vec<_>>(), Cost::of(crate::Objective::LeastSquares));
    let theta = Chinchilla.internal(&padded(HOFFMANN), &problem.centre);
    (problem, theta)
}

fn solved(aim: Aim, caps: Caps) -> (f64, f64) {
    let (problem, theta) = law();
    let split = Allocation { aim, caps, flops_per_product: 6.0 }.solve(&problem, &theta).expect("a solution");
    (math::exp(split.log_params), math::exp(split.log_tokens))
}

fn loss(params: f64, tokens: f64) -> f64 {
    1.69 + 406.4 * math::pow(params, -0.34) + 410.7 * math::pow(tokens, -0.28)
}

#[track_caller]
fn close(value: f64, expected: f64, tolerance: f64) {
    assert!((value / expected - 1.0).abs() < tolerance, "{value} is not {expected}");
}

#[test]
fn without_caps_it_is_the_closed_form() {
    // G = (αA/βB)^{1/(α+β)}, N* = G (C/6)^{β/(α+β)}: the formula on the law's page.
    for flops in [1e18, 5.76e23, 1e26] {
        let g = math::pow(0.34 * 406.4 / (0.28 * 410.7), 1.0 / 0.62);
        let expected = g * math::pow(flops / 6.0, 0.28 / 0.62);
        let (params, tokens) = solved(Aim::Flops(flops), Caps::default());
        close(params, expected, 1e-6);
        close(6.0 * params * tokens, flops, 1e-9);
    }
}

#[test]
fn the_least_budget_of_a_loss_is_where_the_frontier_has_it() {
    let (params, tokens) = solved(Aim::Flops(5.76e23), Caps::default());
    let (again, data) = solved(Aim::Loss(loss(params, tokens)), Caps::default());
    close(again, params, 1e-6);
    close(data, tokens, 1e-6);
}

#[test]
fn a_cap_on_tokens_that_binds_spends_the_rest_on_size() {
    let caps = Caps { max_tokens: Some(1e11), ..Caps::default() };
    let (params, tokens) = solved(Aim::Flops(5.76e23), caps);
    close(tokens, 1e11, 1e-9);
    close(params, 5.76e23 / 6e11, 1e-9);
}

#[test]
fn a_cap_above_the_unconstrained_optimum_changes_nothing() {
    let free = solved(Aim::Flops(5.76e23), Caps::default());
    let caps = Caps { max_tokens: Some(1e14), max_params: Some(1e14), ..Caps::default() };
    let capped = solved(Aim::Flops(5.76e23), caps);
    close(capped.0, free.0, 1e-9);
    close(capped.1, free.1, 1e-9);
}

#[test]
fn both_caps_at_once_leave_a_corner_and_some_of_the_budget() {
    let caps = Caps { max_tokens: Some(1e10), max_params: Some(1e9), ..Caps::default() };
    let (params, tokens) = solved(Aim::Flops(5.76e23), caps);
    close(params, 1e9, 1e-9);
    close(tokens, 1e10, 1e-9);
}

#[test]
fn a_given_size_leaves_the_data_that_the_budget_pays_or_the_loss_needs() {
    let caps = Caps { params: Some(7e9), ..Caps::default() };
    close(solved(Aim::Flops(1e22), caps).1, 1e22 / 4.2e10, 1e-9);
    // D = (B / (L − E − A N^-α))^{1/β}, the law solved for D.
    let rest = 2.2 - 1.69 - 406.4 * math::pow(7e9, -0.34);
    close(solved(Aim::Loss(2.2), caps).1, math::pow(410.7 / rest, 1.0 / 0.28), 1e-6);
}

#[test]
fn serving_makes_the_model_smaller_and_its_optimum_cannot_be_bettered() {
    // Sardana et al. 2023 (arXiv:2401.00448), equation 2: minimise 6 N D + 2 N T at a given loss. Checked against a
    // grid over N with D from the law solved for D.
    let caps = Caps { serving: Some(Serving { tokens_per_month: 1e12, months: 12.0 }), ..Caps::default() };
    let total = |params: f64, tokens: f64| 6.0 * params * tokens + 2.0 * params * 1.2e13;
    let (free, _) = solved(Aim::Loss(2.0), Caps::default());
    let (params, tokens) = solved(Aim::Loss(2.0), caps);
    assert!(params < 0.8 * free, "{params} {free}");
    close(loss(params, tokens), 2.0, 1e-9);
    for step in [0.5, 0.8, 0.95, 0.99, 1.01, 1.05, 1.25, 2.0] {
        let other = params * step;
        let rest = 2.0 - 1.69 - 406.4 * math::pow(other, -0.34);
        if rest > 0.0 {
            assert!(total(other, math::pow(410.7 / rest, 1.0 / 0.28)) > total(params, tokens), "{step}");
        }
    }
}

#[test]
fn serving_out_of_a_budget_pays_for_both() {
    let caps = Caps { serving: Some(Serving { tokens_per_month: 1e12, months: 12.0 }), ..Caps::default() };
    let (params, tokens) = solved(Aim::Flops(1e24), caps);
    close(6.0 * params * tokens + 2.0 * params * 1.2e13, 1e24, 1e-9);
    for step in [0.8, 0.98, 1.02, 1.2] {
        let other = params * step;
        assert!(loss(other, 1e24 / (6.0 * other) - 4e12) > loss(params, tokens), "{step}");
    }
}

#[test]
fn a_size_too_large_for_one_token_and_a_loss_below_the_floor_have_no_solution() {
    let (problem, theta) = law();
    let none = |aim, caps| Allocation { aim, caps, flops_per_product: 6.0 }.solve(&problem, &theta);
    assert_eq!(none(Aim::Flops(1e18), Caps { params: Some(1e18), ..Caps::default() }), None);
    assert_eq!(none(Aim::Flops(1.0), Caps::default()), None);
    assert_eq!(none(Aim::Loss(1.6), Caps::default()), None);
    // With at most 1e9 tokens even an infinite model stays at 1.69 + 410.7 · 1e9^-0.28 = 2.930.
    let caps = Caps { max_tokens: Some(1e9), ..Caps::default() };
    assert_eq!(none(Aim::Loss(2.9), caps), None);
    let lowest = Allocation { aim: Aim::Loss(2.9), caps, flops_per_product: 6.0 }.lowest_loss(&problem, &theta);
    close(lowest.expect("a loss"), 1.69 + 410.7 * math::pow(1e9, -0.28), 1e-6);
}

#[test]
fn a_root_is_that_of_wallis() {
    // x^3 - 2x - 5 = 0 has the root 2.094551481542327 (Wallis 1685).
    let root = rising_root(|x| x * x * x - 2.0 * x - 5.0, 2.0, 3.0);
    assert!((root - 2.094_551_481_542_327).abs() < 1e-11, "{root}");
}

#[test]
fn gradients_are_those_of_finite_differences_in_every_case() {
    let (problem, theta) = law();
    let serving = Some(Serving { tokens_per_month: 1e12, months: 12.0 });
    let kinds = [
        Caps::default(),
        Caps { max_tokens: Some(2e10), ..Caps::default() },
        Caps { max_params: Some(2e9), ..Caps::default() },
        Caps { params: Some(7e9), ..Caps::default() },
        Caps { serving, ..Caps::default() },
        Caps { serving, max_tokens: Some(3e11), ..Caps::default() },
    ];
    let all = [Wanted::Params, Wanted::Tokens, Wanted::Loss, Wanted::Training, Wanted::Total, Wanted::Ratio];
    for (caps, aim) in kinds.into_iter().flat_map(|caps| [Aim::Flops(3e23), Aim::Loss(2.35)].map(|aim| (caps, aim))) {
        let allocation = Allocation { aim, caps, flops_per_product: 6.0 };
        for wanted in all {
            let (_, gradient) = allocation.at(wanted, &problem, &theta);
            for i in 0..5 {
                let [up, down] = [1e-5, -1e-5].map(|step| {
                    let mut moved = theta;
                    moved[i] += step;
                    allocation.at(wanted, &problem, &moved).0
                });
                let slope = (up - down) / 2e-5;
                let close = (slope - gradient[i]).abs() < 1e-5 * (1.0 + slope.abs());
                assert!(close, "{caps:?} {aim:?} {wanted:?} {i}: {slope} {}", gradient[i]);
            }
        }
    }
}

#[test]
fn gradients_are_those_of_the_closed_form() {
    let (problem, theta) = law();
    let allocation = Allocation { aim: Aim::Flops(6e22), caps: Caps::default(), flops_per_product: 6.0 };
    let closed = crate::functional::Functional::LogOptimalParams(math::ln(1e22)).at(&problem, &theta);
    let found = allocation.at(Wanted::Params, &problem, &theta);
    assert!((found.0 - closed.0).abs() < 1e-6, "{} {}", found.0, closed.0);
    for (here, there) in found.1.iter().zip(closed.1) {
        assert!((here - there).abs() < 1e-4 * (1.0 + there.abs()), "{here} {there}");
    }
}
