//! What a forecast says, and how often its intervals hold.

mod repeats;
mod sizes;

use super::*;
use crate::forecaster::WORTH_A_WORD;
use crate::published::rust_ladder;
use crate::{DesignError, DesignOptions, LawName, Objective, design, published};
use forescale_core::estimate::Interval;
use forescale_core::math;
use forescale_core::run::Role;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;

fn quick(law: LawName, objective: Objective) -> ForecastOptions {
    let fit = FitOptions { laws: vec![law], objective, ..FitOptions::default() };
    ForecastOptions { fit, backtest: false, ..ForecastOptions::default() }
}

fn at(flops: f64) -> Target {
    Target::of_budget(flops)
}

/// Eight rungs over three decades from L = a (C/1e18)^-0.15 + 1.7, all on the path, with log-normal noise.
fn ladder(sigma: f64, generator: &mut ChaCha8Rng) -> Vec<Observation> {
    let rung = |i: usize| {
        let flops = 1e18 * math::pow(10.0, 3.0 * i as f64 / 7.0);
        let loss = truth(flops) * math::exp(sigma * published::normal(generator));
        let size = (flops / 120.0).sqrt();
        Observation { role: Some(Role::Path), ..published::run(i, size, 20.0 * size, flops, loss) }
    };
    (0..8).map(rung).collect()
}

fn truth(flops: f64) -> f64 {
    1.7 + 1.8 * math::pow(flops / 1e18, -0.15)
}

/// Share of 200 simulations in which the mean interval and the interval for one run hold, three decades out.
fn coverage(objective: Objective) -> (f64, f64) {
    let mut generator = ChaCha8Rng::seed_from_u64(11);
    let (mut mean, mut one) = (0, 0);
    for _ in 0..200 {
        let runs = ladder(0.003, &mut generator);
        let answer = forecast(&runs, &[at(1e24)], &quick(LawName::POWER_LAW, objective)).expect("fits");
        let actual = truth(1e24) * math::exp(0.003 * published::normal(&mut generator));
        mean += i32::from(answer.targets[0].mean_intervals[0].contains(truth(1e24)));
        one += i32::from(answer.targets[0].intervals[0].contains(actual));
    }
    (f64::from(mean) / 200.0, f64::from(one) / 200.0)
}

#[test]
fn nine_in_ten_mean_intervals_hold_where_the_law_is_true() {
    // Nominal 0.9; 200 simulations have a standard error of 0.021, and other methods reach 0.845 to 0.95.
    for objective in [Objective::default(), Objective::LeastSquares] {
        let (mean, one) = coverage(objective);
        assert!((0.84..=0.97).contains(&mean), "{objective:?}: mean {mean}");
        assert!(one >= mean - 0.02, "{objective:?}: one run {one}");
    }
}

#[test]
fn the_tiny_ladder_on_real_code_lies_inside_its_intervals() {
    // Measured losses 1.19 at 1.6e13 and 1.081 at 4.7e13; the floor law alone overshoots by 4 to 6%.
    let options = ForecastOptions::default();
    for (top, targets) in [(5, vec![(1.6e13, 1.19), (4.7e13, 1.081)]), (4, vec![(1.6e13, 1.19), (4.7e13, 1.081)])] {
        let asked: Vec<Target> = targets.iter().map(|t| at(t.0)).collect();
        let answer = forecast(&rust_ladder(top), &asked, &options).expect("fits");
        for (entry, (_, actual)) in answer.targets.iter().zip(targets) {
            let interval = entry.intervals[0];
            assert!(interval.contains(actual), "{top}: {interval:?} {:?} {actual}", entry.median);
            assert!(interval.upper / interval.lower < 1.6, "{interval:?} says nothing");
        }
    }
}

/// Eight rungs of a power law without noise.
fn exact() -> Vec<Observation> {
    ladder(0.0, &mut ChaCha8Rng::seed_from_u64(0))
}

#[test]
fn the_distribution_alone_is_that_of_the_whole_forecast_to_the_bit() {
    let runs = ladder(0.003, &mut ChaCha8Rng::seed_from_u64(3));
    let laws = vec![LawName::POWER_LAW, LawName::LOG_LOG, LawName::M3];
    let options = ForecastOptions { fit: FitOptions { laws, ..FitOptions::default() }, ..ForecastOptions::default() };
    let (forecaster, _) = prepare(&runs, &options).0.ok().expect("laws");
    for flops in [1e19, 1e22, 1e24] {
        assert_eq!(forecaster.predictive(&at(flops)), forecaster.outlook(&at(flops)).predictive, "{flops}");
    }
}

/// Runs whose loss falls as C^-4 and has no floor, which no run's does: far below them the law leaves the numbers.
pub(crate) fn steep() -> Vec<Observation> {
    let mut generator = ChaCha8Rng::seed_from_u64(8);
    let run = |run: Observation| {
        let noise = math::exp(0.01 * published::normal(&mut generator));
        Observation { loss: math::pow(run.flops / 1e19, -4.0) * noise, ..run }
    };
    exact().into_iter().map(run).collect()
}

#[test]
fn where_every_law_leaves_the_numbers_there_is_a_reason_and_no_distribution() {
    // Table 3845 of the fuzz: a distribution of no laws was one of NaN.
    let asked = quick(LawName::M3, Objective::LeastSquares);
    let (forecaster, _) = prepare(&steep(), &asked).0.ok().expect("laws");
    assert_eq!(forecaster.predictive(&at(1e-59)), None);
    let answer = forecast(&steep(), &[at(1e-59)], &asked).expect("an answer");
    assert_eq!(answer.targets[0].reason.as_deref(), Some(NO_NUMBER.0));
    let design_asked = DesignOptions { forecast: asked, ..DesignOptions::default() };
    let error = design(&steep(), &at(1e-59), 1e19, &design_asked).expect_err("no number");
    assert_eq!(error, DesignError::NoLaw { reason: NO_NUMBER.0.to_owned(), hint: NO_NUMBER.1.to_owned() });
}

#[test]
fn laws_that_differ_by_less_than_two_seeds_do_are_not_said_to_disagree() {
    let said = |other: LawName, flops: f64| {
        let fit = FitOptions { laws: vec![LawName::POWER_LAW, other], ..FitOptions::default() };
        let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
        let answer = forecast(&exact(), &[at(flops)], &options).expect("fits");
        let estimates: Vec<f64> = answer.targets[0].laws.iter().map(|law| law.prediction.estimate).collect();
        let is_said = answer.diagnoses.iter().any(|doubt| doubt.code == "laws_disagree");
        ((estimates[1] / estimates[0] - 1.0).abs(), is_said)
    };
    // Both are the truth: 0.005% apart, without an interval to speak of ("0.0% more than 0.0%", as it was said).
    let (spread, is_said) = said(LawName::M4, 1e24);
    assert!((1e-5..WORTH_A_WORD).contains(&spread) && !is_said, "{spread}");
    // One has no floor.
    let (spread, is_said) = said(LawName::M3, 1e22);
    assert!(spread > 0.02 && is_said, "{spread}");
}

/// L at a compute under (L − E)/(L0 − L)^a = B C^-c, by bisection: an S-shaped truth (Alabdulmohsin et al., M4).
fn s_shaped(flops: f64) -> f64 {
    let (floor, start, a, log_b, c) = (0.62, 3.38, 0.55, 2.93, 0.105);
    let (mut low, mut high) = (floor, start);
    for _ in 0..100 {
        let loss = 0.5 * (low + high);
        let side = math::ln(loss - floor) - a * math::ln(start - loss) - (log_b - c * math::ln(flops));
        if side < 0.0 { low = loss } else { high = loss }
    }
    low
}

#[test]
fn runs_near_the_start_of_learning_are_doubted_when_the_start_is_known() {
    let fit = FitOptions { start_level: Some(3.38), ..FitOptions::default() };
    let known = ForecastOptions { fit, ..ForecastOptions::default() };
    let codes = |options: &ForecastOptions| {
        let answer = forecast(&rust_ladder(5), &[at(1.6e13)], options).expect("fits");
        answer.diagnoses.iter().any(|d| d.code == "near_start")
    };
    assert!(codes(&known) && !codes(&ForecastOptions::default()));
}

#[test]
fn an_s_shaped_truth_lies_inside_nine_times_in_ten() {
    let mut generator = ChaCha8Rng::seed_from_u64(5);
    let options = ForecastOptions::default();
    let mut inside = 0;
    for _ in 0..40 {
        let mut runs = rust_ladder(5);
        for run in &mut runs {
            run.loss = s_shaped(run.flops) * math::exp(0.006 * published::normal(&mut generator));
        }
        let answer = forecast(&runs, &[at(1.6e13), at(4.7e13)], &options).expect("fits");
        inside += answer.targets.iter().filter(|t| t.intervals[0].contains(s_shaped(t.flops))).count();
    }
    assert!(inside >= 72, "{inside} of 80");
}

#[test]
fn the_optimum_and_the_frontier_are_those_of_the_law() {
    // Besiroglu et al., table 1: D/N of 18.4 at 5.76e23 FLOPs.
    let runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
    let options = quick(LawName::CHINCHILLA, Objective::default());
    let answer = forecast(&runs, &[at(5.76e23)], &options).expect("fits");
    let optimum = answer.targets[0].optimum.as_ref().expect("an optimum");
    assert!((optimum.tokens.estimate / optimum.params.estimate - 18.4).abs() < 0.05);
    assert!((answer.targets[0].decades_beyond_data - math::log10(57.6)).abs() < 1e-9);
}

#[test]
fn where_no_law_can_be_fitted_the_forecast_is_refused_with_the_reason() {
    let runs: Vec<Observation> = (0..6).map(|i| published::run(i, 1e6, 2e7, 1.2e14, 3.0 + 0.01 * i as f64)).collect();
    let answer = forecast(&runs, &[at(1e16)], &ForecastOptions::default()).expect("an answer");
    assert_eq!(answer.targets[0].status, ForecastStatus::Refused);
    assert!(answer.targets[0].reason.as_ref().is_some_and(|reason| reason.contains("power_law")));
    assert!(answer.targets[0].median.is_none());
}

#[test]
fn a_slip_that_leaves_no_law_to_fit_is_the_reason_of_the_refusal() {
    // No path runs through three ratios, and the hint was to add sizes to every budget.
    let with = |slipped: usize, factor: f64| -> Vec<Observation> {
        let rung = |i: usize| {
            let size = 1e7 * math::pow(2.0, i as f64);
            let data = size * [10.0, 20.0, 40.0][i % 3];
            let size = size * if i == slipped { factor } else { 1.0 };
            published::run(i, size, data, 6.0 * size * data, 5.0 * math::pow(data / 2e8, -0.05))
        };
        (0..10).map(rung).collect()
    };
    let runs = with(4, 1e3);
    let options = ForecastOptions {
        fit: FitOptions { laws: vec![LawName::POWER_LAW], ..FitOptions::default() },
        ..ForecastOptions::default()
    };
    let answer = forecast(&runs, &[at(1e24)], &options).expect("an answer");
    assert!(answer.targets[0].reason.as_ref().is_some_and(|reason| reason.contains("`run0004` trains on 0.020")));
    assert_eq!(answer.diagnoses[0].code, "stray_ratio");
    let error = crate::fit(&runs, &[], &options.fit).expect_err("no law").to_string();
    assert!(error.contains("`run0004`") && error.contains("hint: correct its `params`"), "{error}");
    // One that only may be a slip is said beside the reason.
    let answer = forecast(&with(9, 1e-3), &[at(1e24)], &options).expect("an answer");
    let codes: Vec<&str> = answer.diagnoses.iter().map(|doubt| doubt.code.as_str()).collect();
    assert_eq!(codes, ["no_forecast", "stray_ratio"]);
}

#[test]
fn a_refusal_keeps_its_hint_out_of_the_reason() {
    let runs: Vec<Observation> = (0..6).map(|i| published::run(i, 1e6, 2e7, 1.2e14, 3.0)).collect();
    let answer = forecast(&runs, &[at(1e16)], &ForecastOptions::default()).expect("an answer");
    let reason = answer.targets[0].reason.as_deref().expect("a reason");
    assert!(!reason.contains('\n') && !reason.contains("hint"), "{reason}");
    let doubt = answer.diagnoses.iter().find(|d| d.code == "no_forecast").expect("a diagnosis");
    assert!(!doubt.hint.is_empty());
}

#[test]
fn loss_that_does_not_fall_is_refused_and_one_law_that_sees_a_fall_lets_it_stand() {
    let mut runs = ladder(0.0, &mut ChaCha8Rng::seed_from_u64(1));
    runs.iter_mut().enumerate().for_each(|(i, run)| run.loss = 2.0 + 0.1 * i as f64);
    let answer = forecast(&runs, &[at(1e22)], &quick(LawName::POWER_LAW, Objective::default())).expect("fits");
    let doubt = answer.diagnoses.iter().find(|d| d.code == "loss_does_not_fall").expect("the doubt");
    assert_eq!((answer.targets[0].status, answer.targets[0].median), (ForecastStatus::Refused, None));
    assert_eq!(answer.targets[0].reason.as_deref(), Some(doubt.message.as_str()));
    // Off the path at the same budgets losses fall, and a law of size and data sees them.
    let off_path = |run: &Observation, share: f64| {
        let run_id = format!("{share}-{}", run.run_id);
        let (params, tokens, loss) = (run.params * share, run.tokens / share, 4.0 / run.loss);
        Observation {
            run_id: run_id.clone(),
            name: run_id,
            params,
            tokens,
            loss,
            role: Some(Role::OffPath),
            ..run.clone()
        }
    };
    runs.iter_mut().for_each(|run| run.role = Some(Role::Path));
    let off = runs.iter().flat_map(|run| [off_path(run, 0.5), off_path(run, 2.0)]);
    let both: Vec<Observation> = off.chain(runs.iter().cloned()).collect();
    let laws = vec![LawName::POWER_LAW, LawName::CHINCHILLA];
    let fit = FitOptions { laws, ..quick(LawName::POWER_LAW, Objective::default()).fit };
    let answer = forecast(&both, &[at(1e22)], &ForecastOptions { fit, ..ForecastOptions::default() }).expect("fits");
    let weights: Vec<Severity> =
        answer.diagnoses.iter().filter(|d| d.code == "loss_does_not_fall").map(|d| d.severity).collect();
    assert_eq!((weights, answer.targets[0].status), (vec![Severity::Warning], ForecastStatus::Forecast));
}

#[test]
fn a_target_that_counts_compute_as_one_of_the_runs_or_between_them_and_6nd_is_no_contradiction() {
    // Sizes counted with all experts, compute of the active ones: from all to one in 32. And sizes without embeddings, which
    // cost ten times the rest at the smallest size and less with each.
    let counted = |factor: &dyn Fn(usize) -> f64| {
        let mut runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
        runs.iter_mut().enumerate().for_each(|(i, run)| run.flops *= factor(i));
        runs
    };
    let refused = |runs: &[Observation], per_product: f64| {
        let target = Target { params: Some(1e11), tokens: Some(1e12), ..at(per_product * 1e23) };
        let answer = forecast(runs, &[target], &quick(LawName::CHINCHILLA, Objective::default())).expect("fits");
        answer.diagnoses.iter().any(|d| d.code == "target_contradicts_itself")
    };
    let sparse = counted(&|i| math::pow(0.5, (i % 6) as f64));
    assert!(!refused(&sparse, 6.0 / 32.0) && !refused(&sparse, 6.0) && refused(&sparse, 6.0 / 1000.0));
    let headed = counted(&|i| 10.0 - 0.1 * i as f64);
    assert!(!refused(&headed, 22.0) && !refused(&headed, 7.0) && refused(&headed, 600.0));
}

#[test]
fn a_target_whose_compute_contradicts_its_size_and_data_is_refused() {
    let runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
    let doubted = |tokens: f64| {
        let target = Target { params: Some(1e10), tokens: Some(tokens), ..at(1.2e23) };
        let options = quick(LawName::CHINCHILLA, Objective::default());
        let answer = forecast(&runs, &[target], &options).expect("fits");
        let is_said = answer.diagnoses.iter().any(|d| d.code == "target_contradicts_itself");
        assert_eq!(is_said, answer.targets[0].status == ForecastStatus::Refused, "{answer:?}");
        assert_eq!(is_said, answer.targets[0].median.is_none());
        is_said
    };
    // 6ND of 1e10 parameters on 2e12 tokens is 1.2e23.
    assert!(!doubted(2e12) && !doubted(1e12) && doubted(8e11) && doubted(5e11));
}

#[test]
fn a_target_whose_compute_differs_from_its_size_and_data_is_told_which_of_them_counts() {
    // All runs cost 6ND; some of them, a few percent more or less, tell no number that a target could be held against.
    let runs = published::with_noise(&published::grid(EPOCH), 0.003, 7);
    let mut uneven = runs.clone();
    uneven.iter_mut().enumerate().for_each(|(i, run)| run.flops *= 1.0 + 0.02 * (i % 3) as f64);
    let said = |runs: &[Observation], flops: f64| {
        let target = Target { params: Some(5e9), tokens: Some(5e11), ..at(flops) };
        let laws = vec![LawName::POWER_LAW, LawName::CHINCHILLA];
        let fit = FitOptions { laws, ..FitOptions::default() };
        let asked = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
        let found = forecast(runs, &[target], &asked).expect("fits").diagnoses;
        found.into_iter().find(|doubt| doubt.code == "target_disagrees").map(|doubt| doubt.message)
    };
    let message = said(&runs, 1e22).expect("said");
    assert!(message.starts_with("the target's 1.00e22 FLOPs are 0.67 times the 1.50e22"), "{message}");
    assert!(message.contains("the forecast goes by size and data in `chinchilla`, by compute in"), "{message}");
    assert!(said(&runs, 1.06 * 1.5e22).is_some() && said(&runs, 1.5e22 / 1.06).is_some());
    assert_eq!((said(&runs, 1.04 * 1.5e22), said(&runs, 1.5e22 / 1.04), said(&uneven, 1e22)), (None, None, None));
}

#[test]
fn a_compute_optimal_size_has_finite_ends_or_none() {
    // A tenth of noise, eighteen decades out: the exponents, and so the size, are hardly known.
    let grid = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.1, 3);
    let answer = forecast(&grid, &[at(1e40)], &quick(LawName::CHINCHILLA, Objective::default())).expect("fits");
    let optimum = answer.targets[0].optimum.as_ref().expect("an optimum");
    for end in [optimum.params.lower, optimum.params.upper, optimum.tokens.lower, optimum.tokens.upper] {
        assert!(end.is_none_or(|end| end.is_finite() && end >= 1.0), "{optimum:?}");
    }
}

#[test]
fn a_line_without_a_floor_gets_weight_only_when_alone() {
    let mut generator = ChaCha8Rng::seed_from_u64(3);
    let runs = ladder(0.003, &mut generator);
    let mut options = quick(LawName::LOG_LOG, Objective::default());
    let alone = forecast(&runs, &[at(1e22)], &options).expect("fits");
    assert!((alone.targets[0].laws[0].weight - 1.0).abs() < 1e-12);
    options.fit.laws.push(LawName::POWER_LAW);
    let both = forecast(&runs, &[at(1e22)], &options).expect("fits");
    let weights: Vec<f64> = both.targets[0].laws.iter().map(|law| law.weight).collect();
    assert_eq!(weights, [0.0, 1.0]);
}

/// Weights of the laws at a target.
fn weights(runs: &[Observation], laws: &[LawName], target: Target) -> Vec<f64> {
    let fit = FitOptions { laws: laws.to_vec(), ..FitOptions::default() };
    let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
    let answer = forecast(runs, &[target], &options).expect("fits");
    answer.targets[0].laws.iter().map(|law| law.weight).collect()
}

#[test]
fn a_wider_law_speaks_for_its_special_case() {
    let runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.004, 9);
    let laws = [LawName::CHINCHILLA, LawName::COUPLED];
    assert_eq!(weights(&runs, &laws, at(1e23)), [0.0, 1.0]);
    assert_eq!(weights(&runs, &laws[..1], at(1e23)), [1.0]);
}

#[test]
fn a_path_law_is_silent_beside_a_surface_until_it_has_two_vertices_a_parameter() {
    // Five budgets give five vertices to three parameters; five more from between them give ten.
    let five = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.002, 9);
    let up = |o: &Observation| {
        let (params, tokens) = (1.8 * o.params, 1.8 * o.tokens);
        let loss = 1.8172 + 482.01 * math::pow(params, -0.3478) + 2085.43 * math::pow(tokens, -0.3658);
        published::run(100, params, tokens, 6.0 * params * tokens, loss)
    };
    let between = five.iter().enumerate().map(|(i, o)| Observation { run_id: format!("up{i:03}"), ..up(o) });
    let between = between.map(|o| Observation { cluster: o.run_id.clone(), ..o });
    let ten: Vec<Observation> = five.iter().cloned().chain(between).collect();
    let laws = [LawName::POWER_LAW, LawName::CHINCHILLA];
    assert_eq!(weights(&five, &laws, at(1e24)), [0.0, 1.0]);
    assert_eq!(weights(&ten, &laws, at(1e24)), [0.5, 0.5]);
}

#[test]
fn a_path_law_is_carried_off_its_path_by_what_a_surface_says_of_the_way() {
    // A path with D/N of 20 and a few runs off it, all on Besiroglu's surface: at eight times the size the path law
    // alone is silent, and with the surface it comes within 1% of the truth there.
    let surface =
        |params: f64, tokens: f64| 1.8172 + 482.01 * math::pow(params, -0.3478) + 2085.43 * math::pow(tokens, -0.3658);
    let mut runs = Vec::new();
    for i in 0..8 {
        let size = 1e8 * math::pow(2.0, f64::from(i));
        for (role, by) in [(Role::Path, 1.0), (Role::OffPath, 0.3), (Role::OffPath, 3.0)] {
            let (params, tokens) = (size * by, 20.0 * size / by);
            let run = published::run(runs.len(), params, tokens, 6.0 * params * tokens, surface(params, tokens));
            runs.push(Observation { role: Some(role), ..run });
        }
    }
    let runs = published::with_noise(&runs, 0.001, 2);
    let (params, tokens) = (8e10, 2e11);
    let target = Target { params: Some(params), tokens: Some(tokens), ..at(6.0 * params * tokens) };
    let fit = FitOptions { laws: vec![LawName::POWER_LAW, LawName::CHINCHILLA], ..FitOptions::default() };
    let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
    let answer = forecast(&runs, &[target], &options).expect("fits");
    let path = &answer.targets[0].laws[0];
    assert!((path.weight - 0.5).abs() < 1e-12, "{path:?}");
    assert!((path.prediction.estimate / surface(params, tokens) - 1.0).abs() < 0.01, "{path:?}");
}

#[test]
fn a_target_that_is_not_a_positive_number_is_refused() {
    let runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
    let error = forecast(&runs, &[at(-1.0)], &ForecastOptions::default()).expect_err("refused");
    assert!(error.to_string().starts_with("flops is -1"), "{error}");
}

#[test]
fn the_further_the_target_the_wider_the_interval() {
    let runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.005, 7);
    let targets: Vec<Target> = [1e22, 1e23, 1e24, 1e25].map(at).to_vec();
    let answer = forecast(&runs, &targets, &ForecastOptions::default()).expect("fits");
    let widths: Vec<f64> = answer.targets.iter().map(|t| t.intervals[0].upper / t.intervals[0].lower).collect();
    assert!(widths.windows(2).all(|pair| pair[0] < pair[1]), "{widths:?}");
}

#[test]
fn an_optimum_is_doubted_where_no_law_of_size_and_data_has_a_say() {
    let runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.003, 1);
    let fit = FitOptions { laws: vec![LawName::POWER_LAW, LawName::CHINCHILLA], ..FitOptions::default() };
    let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
    let (forecaster, _) = prepare(&runs, &options).0.ok().expect("laws");
    let (mut entry, _) = forecast_one(&forecaster, &at(1e22), &options);
    let share = |entry: &mut ForecastTarget, of_path: f64| {
        for law in &mut entry.laws {
            law.weight = if law.law == "power_law" { of_path } else { 1.0 - of_path };
        }
    };
    share(&mut entry, 0.9);
    assert_eq!(optimum_unheard(&entry, &forecaster), None);
    share(&mut entry, 0.96);
    let doubt = optimum_unheard(&entry, &forecaster).expect("a doubt");
    assert!(Doubt::from(doubt).diagnosis().message.contains("`chinchilla`"));
}

#[test]
fn an_optimum_is_read_from_the_law_that_speaks_for_its_special_cases() {
    let runs = published::with_noise(&published::grid(EPOCH), 0.003, 1);
    let laws = vec![LawName::CHINCHILLA, LawName::COUPLED];
    let fit = FitOptions { laws, ..FitOptions::default() };
    let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
    let target = &forecast(&runs, &[at(1e22)], &options).expect("a forecast").targets[0];
    let heard: Vec<&str> = target.laws.iter().filter(|law| law.weight > 0.0).map(|law| law.law.as_str()).collect();
    assert_eq!(heard, ["coupled"]);
    assert_eq!(target.optimum.as_ref().and_then(|best| best.law.as_deref()), Some("coupled"));
}

#[test]
fn one_law_that_alone_has_a_say_is_named_with_why_the_others_have_none() {
    let of = |laws: &[LawName]| {
        let runs = published::with_noise(&published::grid(EPOCH), 0.003, 1);
        let fit = FitOptions { laws: laws.to_vec(), ..FitOptions::default() };
        let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
        let answer = forecast(&runs, &[at(1e22)], &options).expect("a forecast");
        answer.diagnoses.into_iter().find(|doubt| doubt.code == "one_law").map(|doubt| doubt.message)
    };
    let words = of(&[LawName::CHINCHILLA, LawName::COUPLED]).expect("said");
    assert!(words.starts_with("`coupled` alone has a say: `chinchilla` is a special case of `coupled`;"), "{words}");
    assert!(
        of(&[LawName::CHINCHILLA]).expect("said").starts_with("`chinchilla` alone has a say: no other was fitted;")
    );
    let with_kaplan = of(&[LawName::KAPLAN, LawName::CHINCHILLA]).expect("said");
    assert!(with_kaplan.contains("`kaplan` is not carried beyond the data"), "{with_kaplan}");
    assert_eq!(of(&[LawName::GADRE, LawName::CHINCHILLA]), None);
}

#[test]
fn backtests_that_mostly_failed_at_one_ratio_are_said_beside_many_that_held() {
    let case = |ratio: f64, is_inside: bool| BacktestCase {
        group: None,
        target_run_id: "a".to_owned(),
        ratio,
        mode: "run".to_owned(),
        law: "ensemble".to_owned(),
        cut_flops: 1e18,
        target_flops: 1e18 * ratio,
        predicted: 2.0,
        actual: if is_inside { 2.0 } else { 2.2 },
        relative_error: 0.0,
        intervals: vec![Interval { level: 0.9, lower: 1.9, upper: 2.1 }],
        crps: 0.0,
        pit: 0.5,
        n_fit: 9,
    };
    let of = |inside: usize, all: usize, ratio: f64| (0..all).map(move |i| case(ratio, i < inside)).collect::<Vec<_>>();
    let said = |cases: Vec<BacktestCase>| missed(&report(cases)).map(|doubt| doubt.diagnosis().message);
    // 38 of 45 inside, which is more than three in four; of 15 at 3 times, 9.
    let mixed = [of(9, 15, 3.0), of(14, 15, 10.0), of(15, 15, 30.0)].concat();
    let words = said(mixed).expect("a doubt");
    assert_eq!(
        words,
        "of 15 backtest forecasts at 3 times the compute on these runs 60% lay inside their 90% interval"
    );
    assert_eq!(said([of(10, 15, 3.0), of(14, 15, 10.0)].concat()), None);
    assert_eq!(said([of(4, 7, 3.0), of(14, 15, 10.0)].concat()), None);
    assert!(said(of(0, 3, 3.0)).expect("a doubt").starts_with("of 3 backtest forecasts on"));
    assert_eq!(said(of(1, 3, 3.0)), None);
    assert!(
        said([of(9, 15, 3.0), of(9, 15, 10.0)].concat()).expect("a doubt").starts_with("of 30 backtest forecasts on")
    );
}

const EPOCH: [f64; 5] = [482.01, 2085.43, 1.8172, 0.3478, 0.3658];

fn codes(answer: &Forecast) -> Vec<&str> {
    answer.diagnoses.iter().map(|doubt| doubt.code.as_str()).collect()
}

#[test]
fn a_grid_of_sizes_and_ratios_without_shared_budgets_is_forecast_by_a_law_of_both() {
    // A newcomer's grid: refused as unable to tell N from D, and one power law through three ratios was 1.7% low.
    let natural = forescale_core::law::padded(EPOCH);
    let truth =
        |n: f64, d: f64| natural[2] + natural[0] * math::pow(n, -natural[3]) + natural[1] * math::pow(d, -natural[4]);
    let grid = (0..5).flat_map(|i| [5.0, 20.0, 80.0].map(|r| (2e7 * math::pow(3.0, f64::from(i)), r)));
    let run = |(i, (n, r)): (usize, (f64, f64))| published::run(i, n, r * n, 6.0 * r * n * n, truth(n, r * n));
    let runs: Vec<Observation> = grid.enumerate().map(run).collect();
    let runs = published::with_noise(&runs, 0.003, 6);
    let (n, d) = (1e10, 2e11);
    let target = Target { params: Some(n), tokens: Some(d), ..at(6.0 * n * d) };
    let answer = forecast(&runs, &[target], &ForecastOptions { backtest: false, ..ForecastOptions::default() });
    let answer = answer.expect("an answer");
    let entry = &answer.targets[0];
    assert!((entry.median.expect("a number") / truth(n, d) - 1.0).abs() < 0.01, "{:?} {}", entry.median, truth(n, d));
    assert!(entry.mean_intervals[0].contains(truth(n, d)), "{:?}", entry.mean_intervals);
    assert!(entry.laws.iter().all(|law| law.law != "power_law"), "no path runs through the grid");
}

#[test]
fn tokens_per_parameter_beyond_those_of_the_runs_are_said() {
    let runs = published::with_noise(&published::grid(EPOCH), 0.003, 7);
    let asked = quick(LawName::CHINCHILLA, Objective::default());
    let ratios = runs.iter().map(|run| run.tokens / run.params);
    let highest = ratios.fold(0.0, f64::max);
    for (ratio, is_said) in [(20.0, false), (1.9 * highest, false), (2.1 * highest, true)] {
        let params = (1e22 / (6.0 * ratio)).sqrt();
        let target = Target { params: Some(params), tokens: Some(ratio * params), ..at(1e22) };
        let answer = forecast(&runs, &[target], &asked).expect("fits");
        assert_eq!(codes(&answer).contains(&"beyond_ratios"), is_said, "{ratio}: {:?}", codes(&answer));
    }
}

#[test]
fn a_target_of_size_and_data_alone_costs_what_such_runs_cost() {
    let runs = [published::run(0, 1e6, 2e7, 8.0 * 2e13, 3.0), published::run(1, 2e6, 4e7, 8.0 * 8e13, 2.9)];
    let target = Target::of_shape(1e9, 2e10, &runs);
    assert!((target.flops / 1.6e20 - 1.0).abs() < 1e-12 && target.params == Some(1e9) && target.tokens == Some(2e10));
    assert!((Target::of_shape(1e9, 2e10, &[]).flops / 1.2e20 - 1.0).abs() < 1e-12);
}

#[test]
fn runs_of_one_size_or_one_amount_of_data_tell_nothing_of_another() {
    // A newcomer's nine runs of 1e8 parameters were answered as compute-optimal, 0.5 nats too high ten times out.
    let law = forescale_core::law::padded(EPOCH);
    let run = |i: usize, n: f64, d: f64| {
        published::run(i, n, d, 6.0 * n * d, law[2] + law[0] * math::pow(n, -law[3]) + law[1] * math::pow(d, -law[4]))
    };
    let steps = |i: usize| math::pow(10.0, 8.5 + 0.3 * i as f64);
    let one_size: Vec<Observation> = (0..9).map(|i| run(i, 1e8, steps(i))).collect();
    let one_data: Vec<Observation> = (0..9).map(|i| run(i, steps(i) / 10.0, 1e10)).collect();
    for (runs, name) in [(one_size.clone(), "params"), (one_data, "tokens")] {
        let runs = published::with_noise(&runs, 0.002, 3);
        let answer = forecast(&runs, &[at(1e22)], &ForecastOptions::default()).expect("an answer");
        let reason = answer.targets[0].reason.clone().unwrap_or_default();
        assert!(reason.starts_with(&format!("all runs have {name} of 1.0000e")), "{reason}");
        let error = crate::reach(&runs, 2.4, &ForecastOptions::default()).expect_err("refused").to_string();
        assert!(error.contains("compute-optimal") && error.contains("hint:"), "{error}");
    }
    // The same size trained for longer is what such runs are for.
    let runs = published::with_noise(&one_size, 0.002, 3);
    let longer = Target::of_shape(1e8, 5e11, &runs);
    let answer = forecast(&runs, &[longer], &ForecastOptions::default()).expect("an answer");
    assert_eq!(answer.targets[0].reason, None);
}

#[test]
fn a_loss_off_by_a_thousand_is_named_though_it_moves_no_exponent() {
    // A newcomer's table: the interval went from 0.11 to 40 nats, and nothing said why.
    let asked = quick(LawName::CHINCHILLA, Objective::default());
    let mut runs = published::with_noise(&published::grid(EPOCH), 0.003, 1);
    runs[14].loss /= 1000.0;
    let answer = forecast(&runs, &[at(1e24)], &asked).expect("an answer");
    let said: Vec<&Diagnosis> = answer.diagnoses.iter().filter(|doubt| doubt.message.contains("`run0014`")).collect();
    assert!(
        said.iter().any(|doubt| ["far_runs", "outlier_leverage"].contains(&doubt.code.as_str())),
        "{:?}",
        codes(&answer)
    );
}
