use super::*;
use crate::published;
use forescale_core::answer::Serving;

const HOFFMANN: [f64; 5] = [406.4, 410.7, 1.69, 0.34, 0.28];

fn runs() -> Vec<Observation> {
    published::with_noise(&published::grid(HOFFMANN), 0.003, 5)
}

fn asked(aim: Aim, caps: Caps) -> OptimumUnderCap {
    optimum(&runs(), aim, caps, &FitOptions::default()).expect("an optimum")
}

fn holds(estimate: &Estimate, truth: f64) -> bool {
    estimate.lower.is_some_and(|low| low <= truth) && estimate.upper.is_some_and(|high| truth <= high)
}

#[test]
fn without_a_cap_it_is_the_forecasts_own_optimum_and_costs_nothing() {
    let answer = asked(Aim::Flops(1e23), Caps::default());
    let law = &answer.laws[0];
    let target = crate::Target::of_budget(1e23);
    let quick = crate::ForecastOptions { backtest: false, ..crate::ForecastOptions::default() };
    let forecast = crate::forecast(&runs(), &[target], &quick).expect("a forecast");
    let known = forecast.targets[0].optimum.clone().expect("an optimum").params;
    let found = law.chosen.params;
    let pairs = [(Some(found.estimate), Some(known.estimate)), (found.lower, known.lower), (found.upper, known.upper)];
    for (here, there) in pairs {
        let (here, there) = (here.expect("a number"), there.expect("a number"));
        assert!((here / there - 1.0).abs() < 1e-3, "{here} {there}");
    }
    let ratio = law.loss_ratio.expect("a budget was given");
    assert!((ratio.estimate - 1.0).abs() < 1e-9 && law.binding.is_empty(), "{ratio:?}");
    assert_eq!(law.flops_ratio, None);
}

#[test]
fn a_cap_on_tokens_costs_what_the_true_law_says() {
    // Hoffmann et al.'s rounded constants at 1e23 FLOPs with 5e10 tokens: N = 3.333e11, and the loss of the formula.
    let answer = asked(Aim::Flops(1e23), Caps { max_tokens: Some(5e10), ..Caps::default() });
    let law = &answer.laws[0];
    assert_eq!(law.binding, ["max_tokens"]);
    assert!((law.chosen.params.estimate / (1e23 / 3e11) - 1.0).abs() < 1e-6, "{law:?}");
    assert_eq!(law.chosen.tokens.lower, law.chosen.tokens.upper);
    let natural = forescale_core::law::padded(HOFFMANN);
    let best = LawName::CHINCHILLA.form().optimum(&natural, 1e23, 6.0).expect("it has one");
    let capped = 1.69 + 406.4 * math::pow(1e23 / 3e11, -0.34) + 410.7 * math::pow(5e10, -0.28);
    let ratio = law.loss_ratio.expect("a budget was given");
    assert!(holds(&law.chosen.loss, capped), "{:?} {capped}", law.chosen.loss);
    assert!(holds(&ratio, capped / best.loss) && ratio.lower > Some(1.0), "{ratio:?} {}", capped / best.loss);
}

#[test]
fn serving_saves_compute_against_the_training_optimum_of_the_same_loss() {
    let serving = Some(Serving { tokens_per_month: 1e11, months: 12.0 });
    let answer = asked(Aim::Loss(2.2), Caps { serving, ..Caps::default() });
    let law = &answer.laws[0];
    let (chosen, free) = (&law.chosen, &law.unconstrained);
    assert!(chosen.params.estimate < free.params.estimate && chosen.tokens.estimate > free.tokens.estimate);
    let ratio = law.flops_ratio.expect("a loss was given");
    let by_hand = chosen.total_flops.estimate / (free.training_flops.estimate + 2.0 * free.params.estimate * 1.2e12);
    assert!((ratio.estimate / by_hand - 1.0).abs() < 1e-6 && ratio.estimate < 1.0, "{ratio:?} {by_hand}");
    assert!((chosen.loss.estimate - 2.2).abs() < 1e-8, "{chosen:?}");
    let served = chosen.serving_flops.expect("serving");
    assert!((served.estimate / (2.0 * chosen.params.estimate * 1.2e12) - 1.0).abs() < 1e-6, "{served:?}");
    assert!(answer.assumptions.iter().any(|line| line.starts_with("1.000e11 tokens a month are served for 12 months")));
}

#[test]
fn most_intervals_hold_the_true_optimum_of_a_cap() {
    // Nominal 0.9; of 40 tables of the true law at least 30 must hold: fewer has a probability of 0.2% at 0.9 (binomial),
    // and 40 of 40 of 1.5%.
    let truth = {
        let rest = 2.2 - 1.69 - 406.4 * math::pow(2e10, -0.34);
        math::pow(410.7 / rest, 1.0 / 0.28)
    };
    let caps = Caps { params: Some(2e10), ..Caps::default() };
    let held = (0..40).filter(|&seed| {
        let runs = published::with_noise(&published::grid(HOFFMANN), 0.003, seed);
        let answer = optimum(&runs, Aim::Loss(2.2), caps, &FitOptions::default()).expect("an optimum");
        holds(&answer.laws[0].chosen.tokens, truth)
    });
    let held = held.count();
    assert!((30..=40).contains(&held), "{held} of 40");
}

#[test]
fn runs_that_cannot_tell_size_from_data_are_refused_with_what_to_do() {
    let rung = |i: usize| {
        let n = 1e6 * math::pow(2.0, i as f64);
        published::run(i, n, 20.0 * n, 120.0 * n * n, 3.0 - 0.1 * i as f64)
    };
    let runs: Vec<Observation> = (0..8).map(rung).collect();
    let error = optimum(&runs, Aim::Flops(1e20), Caps::default(), &FitOptions::default()).expect_err("no law");
    assert!(error.to_string().contains("cannot tell N from D") && error.to_string().contains("\n\nhint: add runs"));
    let options = FitOptions { laws: vec![LawName::POWER_LAW], ..FitOptions::default() };
    let error = optimum(&self::runs(), Aim::Flops(1e20), Caps::default(), &options).expect_err("no law");
    assert!(matches!(error, OptimumError::NoLaw { .. }), "{error}");
}

#[test]
fn a_question_without_an_answer_says_what_is_wrong() {
    let ask = |aim, caps| optimum(&runs(), aim, caps, &FitOptions::default()).expect_err("refused");
    for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(ask(Aim::Flops(bad), Caps::default()), OptimumError::Fit(FitError::BadOption { .. })));
        let caps = Caps { max_tokens: Some(bad), ..Caps::default() };
        assert!(matches!(ask(Aim::Flops(1e20), caps), OptimumError::Fit(FitError::BadOption { .. })));
    }
    let large = Caps { params: Some(1e20), ..Caps::default() };
    assert!(matches!(ask(Aim::Flops(1e20), large), OptimumError::TooLittle { .. }));
    assert!(matches!(ask(Aim::Loss(1.0), Caps::default()), OptimumError::Unreachable { .. }));
    let clash = Caps { params: Some(1e9), max_params: Some(1e8), ..Caps::default() };
    assert!(matches!(ask(Aim::Flops(1e20), clash), OptimumError::CapsClash { .. }));
}
