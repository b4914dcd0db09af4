//! Curves made by a known law, with some of them held out.

use super::*;
use forescale_core::law::multi_power::{Knot, MultiPower, Schedule};
use forescale_core::schedule::StepLoss;

/// Luo et al. (arXiv:2503.12811), 25M parameters, rounded.
const LAW: MultiPower =
    MultiPower { floor: 3.04, amplitude: 0.525, alpha: 0.508, drop: 363.8, speed: 2.066, beta: 0.583, gamma: 0.641 };

fn schedule(knots: &[(f64, f64)]) -> Schedule {
    Schedule::new(knots.iter().map(|&(step, rate)| Knot { step, rate }).collect()).expect("a schedule")
}

/// A curve from step 600 on, every 100 steps.
fn curve(name: &str, knots: &[(f64, f64)]) -> LossCurve {
    let schedule = schedule(knots);
    let steps: Vec<f64> = (6..).map(|i| 100.0 * f64::from(i)).take_while(|step| *step <= schedule.end()).collect();
    let points = steps.iter().zip(LAW.curve(&schedule, &steps)).map(|(&step, loss)| StepLoss { step, loss }).collect();
    LossCurve { run_id: name.to_owned(), schedule, points }
}

fn made() -> Vec<LossCurve> {
    let rise = [(0.0, 0.0), (500.0, 3e-4)];
    let with = |rest: &[(f64, f64)]| [&rise[..], rest].concat();
    vec![
        curve("flat", &with(&[(20_000.0, 3e-4)])),
        curve("linear", &with(&[(20_000.0, 3e-5)])),
        curve("long", &with(&[(30_000.0, 3e-4), (40_000.0, 3e-5)])),
        curve("stepped", &with(&[(8000.0, 3e-4), (8000.0, 9e-5), (16_000.0, 9e-5)])),
    ]
}

fn options(hold_out: &[&str]) -> ScheduleReportOptions {
    ScheduleReportOptions {
        fit: ScheduleOptions::default(),
        hold_out: hold_out.iter().map(|name| (*name).to_owned()).collect(),
        level: 0.9,
        metric: "loss".to_owned(),
        unit: LossUnit::NatsPerToken,
    }
}

fn report(curves: Vec<LossCurve>, hold_out: &[&str]) -> FittedSchedules {
    let groups = [CurveGroup { group: None, curves }];
    schedules(&groups, &options(hold_out)).expect("a fit").fits.remove(0)
}

#[test]
fn a_held_out_curve_is_predicted_and_not_fitted() {
    let fit = report(made(), &["long"]);
    let long = fit.curves.iter().find(|curve| curve.run_id == "long").expect("the curve");
    assert_eq!((long.used, long.last_step), (CurveUse::HeldOut, 40_000.0));
    // Made by the law without noise, so that what was not seen is met as well as what was.
    let met = long.fit.expect("it has losses");
    assert!(met.r_squared.is_some_and(|share| share > 0.999), "{met:?}");
    assert!((long.last_predicted.estimate / met.last_loss - 1.0).abs() < 1e-3, "{long:?}");
    assert!(met.mean_relative_error <= met.worst_relative_error);
    assert_eq!(fit.held_out_r_squared, met.r_squared);
    assert!(fit.diagnoses.iter().any(|doubt| doubt.code == "further_than_fitted"), "{:?}", fit.diagnoses);
    // Altered, a curve that is held out moves no parameter.
    let mut altered = made();
    altered[2].points.iter_mut().for_each(|point| point.loss += 1.0);
    assert_eq!(report(altered, &["long"]).parameters, fit.parameters);
}

#[test]
fn a_curve_that_ends_within_those_fitted_is_not_called_further() {
    // 20,000 steps that fall throughout, beside 40,000 fitted; and none held out at all.
    for hold_out in [&["linear"][..], &[]] {
        let fit = report(made(), hold_out);
        assert!(fit.diagnoses.iter().all(|doubt| doubt.code != "further_than_fitted"), "{:?}", fit.diagnoses);
    }
}

#[test]
fn a_schedule_without_losses_is_predicted_at_its_end() {
    let mut curves = made();
    let known = curves[2].points.last().expect("points").loss;
    curves[2].points.clear();
    let fit = report(curves, &[]);
    let long = &fit.curves[2];
    assert_eq!((long.used, long.points, long.last_step), (CurveUse::Untrained, 0, 40_000.0));
    assert!(long.fit.is_none() && fit.held_out_r_squared.is_none());
    assert!((long.last_predicted.estimate / known - 1.0).abs() < 1e-3, "{long:?} {known}");
}

#[test]
fn no_number_has_an_interval_and_that_is_said() {
    let fit = report(made(), &[]);
    assert!(fit.parameters.values().all(|one| one.lower.is_none() && one.upper.is_none()));
    assert!(fit.diagnoses.iter().any(|doubt| doubt.code == "no_intervals"));
    assert_eq!(fit.parameters.len(), 7);
}

#[test]
fn a_rate_that_rises_again_and_a_second_peak_are_doubted() {
    let codes = |fit: &FittedSchedules| fit.diagnoses.iter().map(|doubt| doubt.code.clone()).collect::<Vec<_>>();
    let plain = codes(&report(made(), &[]));
    assert!(!plain.iter().any(|code| code == "rate_rises_again" || code == "peaks_differ"), "{plain:?}");
    let mut curves = made();
    curves[3] = curve("again", &[(0.0, 0.0), (500.0, 3e-4), (8000.0, 3e-5), (9000.0, 6e-4), (16_000.0, 3e-5)]);
    let doubted = codes(&report(curves, &[]));
    assert!(
        ["rate_rises_again", "peaks_differ"].iter().all(|code| doubted.iter().any(|one| one == code)),
        "{doubted:?}"
    );
}

#[test]
fn a_curve_that_is_not_there_names_those_that_are_and_a_group_is_named() {
    let group = |name: &str| CurveGroup { group: Some(name.to_owned()), curves: made() };
    let unknown = schedules(&[group("a")], &options(&["lng"])).expect_err("unknown").to_string();
    assert!(unknown.contains("`lng`") && unknown.contains("`long`"), "{unknown}");
    let mut few = group("b");
    few.curves.truncate(1);
    let error = schedules(&[group("a"), few], &options(&[])).expect_err("too few").to_string();
    assert!(error.starts_with("group `b`: `multi_power` was given 1 schedule"), "{error}");
}
