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
fn the_law_that_a_forecast_listens_to_answers_first() {
    let answer = asked(Aim::Flops(1e23), Caps::default());
    let laws: Vec<&str> = answer.laws.iter().map(|law| law.law.as_str()).collect();
    assert_eq!(laws, ["coupled", "chinchilla"]);
    let options = FitOptions { laws: vec![LawName::KAPLAN, LawName::CHINCHILLA], ..FitOptions::default() };
    let found = optimum(&runs(), Aim::Flops(1e23), Caps::default(), &options).expect("an optimum");
    let laws: Vec<&str> = found.laws.iter().map(|law| law.law.as_str()).collect();
    assert_eq!(laws, ["chinchilla", "kaplan"]);
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

fn said(answer: &OptimumUnderCap, code: &str) -> Option<Severity> {
    answer.diagnoses.iter().find(|d| d.code == code).map(|d| d.severity)
}

#[test]
fn a_law_without_an_answer_is_said_beside_one_that_has_one() {
    // A law without a floor reaches any loss; the floor of the other, 1.69, lies above 1.5 and below 2.2.
    let options = FitOptions { laws: vec![LawName::CHINCHILLA, LawName::KAPLAN], ..FitOptions::default() };
    let ask = |loss| optimum(&runs(), Aim::Loss(loss), Caps::default(), &options).expect("an optimum");
    let (low, high) = (ask(1.5), ask(2.2));
    assert_eq!(said(&low, "no_optimum_under_cap"), Some(Severity::Warning));
    let refusal = low.diagnoses.iter().find(|d| d.code == "no_optimum_under_cap").expect("said");
    let words = "no budget reaches a loss of 1.5 under these caps; the lowest by `chinchilla` is ";
    assert!(refusal.message.starts_with(words), "{refusal:?}");
    assert!(!refusal.hint.is_empty(), "{refusal:?}");
    assert_eq!((low.laws.len(), high.laws.len(), said(&high, "no_optimum_under_cap")), (1, 2, None));
}

#[test]
fn a_cap_that_takes_the_optimum_past_the_ratios_of_the_runs_is_said() {
    // The runs have 0.4 to 4005 tokens per parameter; 1e22 FLOPs on 1e10 tokens leave 0.06, on 1e8 parameters 1.7e5.
    let at = |caps| said(&asked(Aim::Flops(1e22), caps), "ratio_outside_runs");
    assert_eq!(at(Caps { max_tokens: Some(1e10), ..Caps::default() }), Some(Severity::Warning));
    assert_eq!(at(Caps { max_params: Some(1e8), ..Caps::default() }), Some(Severity::Warning));
    assert_eq!(at(Caps { max_tokens: Some(1e11), ..Caps::default() }), None);
    assert_eq!(at(Caps::default()), None);
}

#[test]
fn a_cap_that_moves_nothing_ends_the_intervals_that_hold_the_error_of_form() {
    // Two decades past the runs the error of form alone reaches 3.16 times either way at 90%; the cap lies within it.
    let flops = 1e24;
    let free = &asked(Aim::Flops(flops), Caps::default()).laws[0].chosen;
    let best = free.params;
    assert!(best.upper.is_some_and(|upper| upper > 3.0 * best.estimate), "{best:?}");
    let most = 1.5 * best.estimate;
    let capped = &asked(Aim::Flops(flops), Caps { max_params: Some(most), ..Caps::default() }).laws[0];
    assert!(capped.binding.is_empty());
    let lowest = [capped.chosen.params.lower, best.lower].map(|end| end.expect("an end"));
    assert!((lowest[0] / lowest[1] - 1.0).abs() < 1e-9, "{lowest:?}");
    assert_eq!(capped.chosen.params.upper, Some(most));
    let least = capped.chosen.tokens.lower.expect("what the cap leaves");
    assert!((least * most * 6.0 / flops - 1.0).abs() < 1e-6, "{least}");
}

#[test]
fn an_optimum_past_the_largest_run_is_a_note() {
    // The largest runs are of 1e22 FLOPs; up to 10^0.5 times that nothing is said.
    let at = |flops| said(&asked(Aim::Flops(flops), Caps::default()), "optimum_beyond_runs");
    assert_eq!((at(1e23), at(3.5e22)), (Some(Severity::Note), Some(Severity::Note)));
    assert_eq!((at(3e22), at(1e22)), (None, None));
}
