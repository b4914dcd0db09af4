//! Doubts about a target: off the path, far from the runs, or forecast by what missed runs already known.

use forescale_core::estimate::Interval;
use forescale_core::outcome::ForecastTarget;

use super::*;

/// Three decades from 1e18 FLOPs at 20 tokens per parameter.
fn three_decades() -> Vec<Observation> {
    ladder(13, 0.003, 1, with_floor)
}

#[test]
fn a_target_off_the_path_is_said_where_no_law_knows_the_way_there() {
    // The path's own size at 1e22 FLOPs is √(1e22 / 120); D/N goes as 1/N², so that √2 of it is a factor of 2.
    let at = |factor: f64| Target { params: Some(factor * (1e22_f64 / 120.0).sqrt()), ..Target::of_budget(1e22) };
    let said = |factor: f64| asked(&three_decades(), &[LawName::POWER_LAW], at(factor), false).diagnoses;
    assert_said(&said(1.5), "target_off_path", Severity::Warning, "`power_law` holds along a path");
    assert_said(&said(0.67), "target_off_path", Severity::Warning, "differ from it by more than 2x");
    assert_unsaid(&said(1.3), "target_off_path");
    // A law of size and data knows the way.
    let target = Target { params: Some(1e10), ..Target::of_budget(1e23) };
    let surface = asked(&clean(1), &[LawName::POWER_LAW, LawName::CHINCHILLA], target, false);
    assert_unsaid(&surface.diagnoses, "target_off_path");
}

#[test]
fn a_target_beyond_half_a_decade_is_a_note_and_beyond_one_a_warning() {
    let said = |flops: f64| of_forecast(&three_decades(), &[LawName::POWER_LAW], flops);
    let far = "3.0 decades of compute beyond data that span 3.0";
    assert_said(&said(1e24), "extrapolating", Severity::Warning, far);
    assert_said(&said(5e21), "extrapolating", Severity::Note, "0.7 decades");
    assert_unsaid(&said(2e21), "extrapolating");
    assert_unsaid(&said(1e20), "extrapolating");
}

#[test]
fn a_median_outside_the_mean_of_the_plain_fits_is_said() {
    // The smaller the run the higher it lies, by a tenth a decade: that pulls a fit to all runs alike further than one that
    // heeds those near the target.
    let high = with(|_, run| run.loss *= math::exp(0.1 * math::log10(1e21 / run.flops).max(0.0)));
    let answer = asked(&high, &[LawName::CHINCHILLA], Target::of_budget(1e24), false);
    assert_said(&answer.diagnoses, "fits_apart", Severity::Warning, "fitted to every run alike");
    let (median, mean) = (answer.targets[0].median.expect("a median"), answer.targets[0].mean_intervals[0]);
    assert!(!mean.contains(median), "{median} {mean:?}");
    assert_unsaid(&asked(&clean(1), &[LawName::CHINCHILLA], Target::of_budget(1e24), false).diagnoses, "fits_apart");
}

#[test]
fn a_mean_that_may_lie_where_no_run_is_expected_is_said() {
    // Nearer the target the same bend is too small to put the median outside, and the mean's end still sticks out.
    let bent = |by: f64| with(move |_, run| run.loss *= math::exp(by * math::log10(1e21 / run.flops).max(0.0)));
    let answers: Vec<Forecast> = (1..=20)
        .map(|step| asked(&bent(0.005 * f64::from(step)), &[LawName::CHINCHILLA], Target::of_budget(2e22), false))
        .collect();
    for answer in &answers {
        let (one, mean) = (answer.targets[0].intervals[0], answer.targets[0].mean_intervals[0]);
        let sticks_out = mean.upper > 1.001 * one.upper || 1.001 * mean.lower < one.lower;
        assert!(!sticks_out || answer.diagnoses.iter().any(|doubt| doubt.code == "fits_apart"), "{one:?} {mean:?}");
    }
    let apart = |answer: &&Forecast| answer.diagnoses.iter().any(|doubt| doubt.code == "fits_apart");
    assert!(answers.iter().any(|answer| apart(&answer)) && !answers.iter().all(|answer| apart(&answer)));
    let entry = |lower: f64, upper: f64| {
        let at = |level, lower, upper| Interval { level, lower, upper };
        let target = &answers[0].targets[0];
        ForecastTarget {
            median: Some(2.0),
            intervals: vec![at(0.9, 1.9, 2.1)],
            mean_intervals: vec![at(0.9, lower, upper)],
            ..target.clone()
        }
    };
    let said = |lower, upper| crate::forecast::fits_apart(&entry(lower, upper)).map(|doubt| doubt.to_string());
    assert_eq!(said(1.95, 2.05), None);
    assert_eq!(said(1.9, 2.1), None);
    for words in [said(1.89, 2.05), said(1.95, 2.11)] {
        assert!(words.expect("a doubt").contains("reaches beyond that of one run, 1.9000 to 2.1000"));
    }
}

#[test]
fn a_forecast_shown_as_it_was_sealed_doubts_the_numbers_sealed_and_not_those_of_today() {
    // The smoke page named an interval of the mean that stood nowhere on it.
    let high = with(|_, run| run.loss *= math::exp(0.1 * math::log10(1e21 / run.flops).max(0.0)));
    let today = asked(&high, &[LawName::CHINCHILLA], Target::of_budget(1e24), false);
    let alike = asked(&clean(1), &[LawName::CHINCHILLA], Target::of_budget(1e24), false);
    let shown = crate::as_sealed(today.clone(), &alike.targets[0]);
    assert_eq!(shown.targets, alike.targets);
    assert_unsaid(&shown.diagnoses, "fits_apart");
    let shown = crate::as_sealed(alike, &today.targets[0]);
    let mean = today.targets[0].mean_intervals[0];
    assert_said(
        &shown.diagnoses,
        "fits_apart",
        Severity::Warning,
        &format!("outside {:.4} to {:.4}", mean.lower, mean.upper),
    );
}

#[test]
fn a_method_that_missed_the_last_runs_known_is_said() {
    // Three decades of one exponent, then one of another: no cut below the break can foresee it.
    let breaks = ladder(17, 0.003, 1, |flops| broken(flops, 3.0, [0.15, 0.5]));
    let missed = asked(&breaks, &[LawName::POWER_LAW], Target::of_budget(1e23), true);
    assert_said(&missed.diagnoses, "backtest_missed", Severity::Warning, "on these runs 0% lay inside");
    let held = asked(&ladder(17, 0.003, 1, with_floor), &[LawName::POWER_LAW], Target::of_budget(1e23), true);
    assert!(held.backtest.is_some_and(|report| report.cases.len() >= 4));
    assert_unsaid(&held.diagnoses, "backtest_missed");
    // What was not asked was not missed.
    let unasked = asked(&breaks, &[LawName::POWER_LAW], Target::of_budget(1e23), false);
    assert_unsaid(&unasked.diagnoses, "backtest_missed");
}

#[test]
fn a_target_below_the_smallest_run_is_said_and_is_not_held_under_twice_the_highest_loss() {
    let at = |flops: f64| asked(&clean(1), &[LawName::CHINCHILLA], Target::of_budget(flops), false);
    let below = at(1e14);
    assert_said(&below.diagnoses, "below_data", Severity::Warning, "4.0 decades of compute below the smallest run");
    // What the law itself says there (Besiroglu et al., N* and D* at 1e14 FLOPs: 6.9 nats) is above twice no loss of the
    // grid, but far below a tenth of an untrained model's would be; the interval has room on both sides of it.
    let entry = &below.targets[0];
    let (median, law) = (entry.median.expect("a median"), entry.laws[0].prediction.estimate);
    assert!((median / law - 1.0).abs() < 0.05, "{median} is not {law}");
    assert!(entry.mean_intervals[0].upper > entry.mean_intervals[0].lower * (1.0 + 1e-6));
    assert_unsaid(&at(1e18).diagnoses, "below_data");
    assert_unsaid(&at(1e23).diagnoses, "below_data");
}

#[test]
fn a_law_carried_to_the_target_short_of_its_optimum_is_said() {
    let runs = clean(1);
    let all: Vec<&Observation> = runs.iter().collect();
    let mut fitted = crate::ahead::fit_ahead(LawName::CHINCHILLA, &all, &FitOptions::default()).expect("fits");
    assert_eq!(uncertified(&fitted, FitKind::Ahead), None);
    fitted.agreeing = 1;
    let said = Doubt::from(uncertified(&fitted, FitKind::Ahead).expect("a doubt")).diagnosis();
    assert!(said.code == "uncertified" && said.message.contains("1 of "), "{said:?}");
    let plain = uncertified(&fitted, FitKind::Plain).expect("a doubt").to_string();
    assert!(plain.starts_with("`chinchilla`, as fitted to every run alike"), "{plain}");
    fitted.agreeing = 20;
    fitted.optimum.gradient_norm = 1e-3;
    assert!(uncertified(&fitted, FitKind::Ahead).is_some());
    assert_unsaid(&asked(&runs, &[LawName::CHINCHILLA], Target::of_budget(1e23), false).diagnoses, "uncertified");
}

#[test]
fn a_plain_fit_that_another_method_ends_below_is_said_though_starts_and_gradient_are_clean() {
    let runs = clean(1);
    let all: Vec<&Observation> = runs.iter().collect();
    let mut fitted = crate::fitted::fit_law(LawName::CHINCHILLA, &all, &FitOptions::default()).expect("fits");
    assert_eq!(uncertified(&fitted, FitKind::Plain), None);
    // A start that all others follow to a place that is no optimum.
    fitted.optimum.theta[3] += 0.01;
    let evaluator = crate::problem::Evaluator::new(&fitted.problem);
    fitted.optimum.value = evaluator.system(&fitted.optimum.theta, fitted.problem.cost).value;
    let said = uncertified(&fitted, FitKind::Plain).expect("a doubt").to_string();
    assert!(said.contains("another method ended") && said.contains("below the optimum"), "{said}");
    assert_eq!(
        uncertified(&fitted, FitKind::Ahead),
        None,
        "what is carried is looked at by its own starts and gradient"
    );
}

#[test]
fn a_large_table_is_backtested_on_a_part_of_it_and_says_so() {
    let grid = published::grid(EPOCH);
    let copy =
        |i: usize| Observation { run_id: format!("run{i:04}"), cluster: format!("run{i:04}"), ..grid[i % 35].clone() };
    let many = |count: usize| published::with_noise(&(0..count).map(copy).collect::<Vec<_>>(), 0.003, 4);
    let said = |count: usize| asked(&many(count), &[LawName::CHINCHILLA], Target::of_budget(1e23), true);
    let large = said(1400);
    assert_said(&large.diagnoses, "backtest_sampled", Severity::Note, "of 1400 runs");
    let report = large.backtest.expect("cases");
    // Seven sizes of forty copies in the top band; the golden ratio keeps 64 of them, give or take two.
    assert!(report.summary.iter().all(|at| (62..=66).contains(&at.n)), "{:?}", report.summary);
    assert!(report.cases.iter().all(|case| case.n_fit <= 502));
    assert_unsaid(&said(70).diagnoses, "backtest_sampled");
}
