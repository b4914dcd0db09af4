//! Panels worked out from a published law's grid, held against the law's own formulas.

use super::*;
use crate::{LawName, Target, fit, forecast, published};
use forescale_core::outcome::{BacktestCase, BacktestSummary, Severity};
use forescale_core::record::RunStatus;

fn input() -> PanelInput {
    input_with(0.004)
}

fn input_with(noise: f64) -> PanelInput {
    let runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), noise, 9);
    let laws = vec![LawName::POWER_LAW, LawName::CHINCHILLA];
    let fit_options = crate::FitOptions { laws, ..crate::FitOptions::default() };
    let options = ForecastOptions { backtest: false, fit: fit_options, ..ForecastOptions::default() };
    let target = Target::of_budget(1e23);
    let row = |o: &Observation| RunRow {
        run_id: o.run_id.clone(),
        name: o.name.clone(),
        role: None,
        params: Some(o.params),
        tokens: Some(o.tokens),
        flops: o.flops,
        seed: None,
        status: None,
        loss: Some(o.loss),
        loss_se: None,
        wall_seconds: None,
        excluded: None,
    };
    let exclusions = vec![Exclusion { run_id: runs[0].run_id.clone(), reason: ExclusionReason::Diverged }];
    PanelInput {
        sweep: "ladder".to_owned(),
        corpus: "text".to_owned(),
        runs: runs.iter().map(row).collect(),
        fits: fit(&runs[1..], &exclusions, &options.fit).expect("fits"),
        forecast: Some(forecast(&runs[1..], &[target], &options).expect("fits")),
        observations: runs[1..].to_vec(),
        exclusions,
        options,
        target: None,
        capability: None,
        score: None,
        curves: Vec::new(),
        hardware: Vec::new(),
        true_floor: None,
        provenance: Provenance::default(),
    }
}

#[test]
fn the_curve_runs_from_the_smallest_run_to_three_times_the_target() {
    let data = panels(&input());
    let curve = &data.compute.curve;
    assert_eq!(curve.len(), CURVE_POINTS);
    assert!((curve[0].flops / 1e18 - 1.0).abs() < 1e-9);
    assert!((curve[CURVE_POINTS - 1].flops / 3e23 - 1.0).abs() < 1e-9);
    assert!(curve.iter().all(|p| p.lower < p.median && p.median < p.upper));
    assert!(curve.windows(2).all(|pair| pair[1].median < pair[0].median));
}

#[test]
fn every_run_is_shown_and_the_one_left_out_says_why() {
    let data = panels(&input());
    assert_eq!(data.runs.len(), 35);
    assert_eq!(data.runs[0].excluded.as_deref(), Some("diverged"));
    assert!(!data.compute.points[0].used && data.compute.points[1].used);
    assert_eq!(data.residuals.iter().filter(|r| r.law == "chinchilla").count(), 34);
}

#[test]
fn doubts_come_heaviest_first_and_once() {
    let data = panels(&input());
    assert!(data.diagnoses.windows(2).all(|pair| pair[0].severity >= pair[1].severity));
    for (i, diagnosis) in data.diagnoses.iter().enumerate() {
        assert!(!data.diagnoses[..i].contains(diagnosis));
    }
}

/// The fitted law's parameters by symbol.
fn chinchilla(data: &ReportData) -> [f64; 5] {
    let law = data.laws.iter().find(|law| law.law == "chinchilla").expect("a fit");
    ["E", "A", "B", "alpha", "beta"].map(|symbol| law.parameters[symbol].estimate)
}

#[test]
fn the_frontier_is_that_of_hoffmann_et_al() {
    // arXiv:2203.15556, equation 4: N* = G (C/6)^a, G = (αA/βB)^(1/(α+β)), a = β/(α+β).
    // Without noise the law that a forecast carries is the one that `fit` tells.
    let data = panels(&input_with(0.0));
    let [_, a, b, alpha, beta] = chinchilla(&data);
    let shape = data.shape.as_ref().expect("a law of size and data");
    assert_eq!((shape.law.as_str(), shape.frontier.len()), ("chinchilla", 25));
    let g = math::pow(alpha * a / (beta * b), 1.0 / (alpha + beta));
    for point in &shape.frontier {
        let expected = g * math::pow(point.flops / 6.0, beta / (alpha + beta));
        assert!((point.params.estimate / expected - 1.0).abs() < 1e-6, "{point:?}");
        assert!(point.params.lower.is_some_and(|lower| lower < expected));
    }
}

#[test]
fn every_point_of_a_contour_has_its_loss() {
    let data = panels(&input_with(0.0));
    let [e, a, b, alpha, beta] = chinchilla(&data);
    let shape = data.shape.as_ref().expect("a law of size and data");
    assert!(shape.contours.len() > 3);
    for line in &shape.contours {
        for at in &line.points {
            let loss = e + a * math::pow(at.params, -alpha) + b * math::pow(at.tokens, -beta);
            assert!((loss / line.loss - 1.0).abs() < 1e-6, "{loss} on the line of {}", line.loss);
        }
    }
}

#[test]
fn an_isoflop_curve_is_lowest_at_its_minimum() {
    let data = panels(&input());
    let shape = data.shape.as_ref().expect("a law of size and data");
    assert!(!shape.isoflops.is_empty() && shape.isoflops.len() <= 6);
    for budget in &shape.isoflops {
        let minimum = budget.minimum.as_ref().expect("a minimum");
        assert!(budget.curve.iter().all(|point| point.loss >= minimum.loss * (1.0 - 1e-9)));
        assert!(budget.runs.windows(2).all(|pair| pair[0].params <= pair[1].params));
    }
}

#[test]
fn profiles_pass_through_the_estimate_and_correlations_are_those_of_a_straight_line() {
    let mut input = input();
    input.options.fit.laws = vec![LawName::LOG_LOG];
    let data = panels(&input);
    let [panel] = &data.parameters[..] else { panic!("one law") };
    for profile in &panel.profiles {
        assert!(profile.points.iter().any(|point| point.root.abs() < 1e-12 && point.errors.abs() < 1e-12));
        assert!(profile.points.windows(2).all(|pair| pair[0].value < pair[1].value));
    }
    // ln L = ln a − b ln C: by least squares the errors of ln a and b correlate by the mean of ln C over its root mean
    // square (Draper and Smith, Applied Regression Analysis, 1.4).
    let (forecaster, _) = prepare(&input.observations, &input.options).0.ok().expect("fits");
    let law = forecaster.own_laws().next().expect("a law");
    let xs: Vec<f64> = law.points.iter().map(|point| math::ln(point.flops)).collect();
    let mean = |of: fn(&f64) -> f64| xs.iter().map(of).sum::<f64>() / xs.len() as f64;
    let expected = mean(|x| *x) / mean(|x| x * x).sqrt();
    let [pair] = &panel.correlations[..] else { panic!("one pair") };
    assert!((pair.value - expected).abs() < 1e-6, "{pair:?}, {expected}");
}

fn case(pit: f64) -> BacktestCase {
    BacktestCase {
        group: None,
        target_run_id: "run0001".to_owned(),
        ratio: 10.0,
        mode: "run".to_owned(),
        law: "ensemble".to_owned(),
        cut_flops: 1.0,
        target_flops: 10.0,
        predicted: 1.0,
        actual: 1.0,
        relative_error: 0.0,
        intervals: Vec::new(),
        crps: 0.0,
        pit,
        n_fit: 5,
    }
}

fn summary(ratio: f64, n: u64) -> BacktestSummary {
    BacktestSummary {
        ratio,
        median_abs_relative_error: 0.01,
        mean_abs_relative_error: 0.01,
        coverage_90: 1.0,
        mean_width_90: None,
        mean_interval_score_90: None,
        crps: 0.01,
        n,
    }
}

#[test]
fn backtests_are_ranked_against_the_uniform_distribution_within_massarts_band() {
    let cases = [0.9, 0.2, 0.5, 0.4].map(case).to_vec();
    let report = BacktestReport { schema: String::new(), cases, summary: Vec::new(), diagnoses: Vec::new() };
    let panel = calibration::calibration(&report, &[], 0.9).expect("cases");
    let shown: Vec<(f64, f64)> = panel.cases.iter().map(|case| (case.expected, case.pit)).collect();
    assert_eq!(shown, [(0.125, 0.2), (0.375, 0.4), (0.625, 0.5), (0.875, 0.9)]);
    // √(ln(2/0.1)/(2·4)) by hand.
    assert!((panel.band - 0.611_937).abs() < 1e-6, "{}", panel.band);
    let none = BacktestReport { schema: String::new(), cases: Vec::new(), summary: Vec::new(), diagnoses: Vec::new() };
    assert_eq!(calibration::calibration(&none, &[], 0.9), None);
}

#[test]
fn the_decision_takes_the_nearest_ratio_with_a_case_and_the_doubt_that_weighs_most() {
    let mut input = input();
    let forecast = input.forecast.as_mut().expect("a forecast");
    forecast.targets[0].decades_beyond_data = 1.1;
    let summary = vec![summary(3.0, 4), summary(10.0, 2), summary(13.0, 0), summary(100.0, 1)];
    forecast.backtest =
        Some(BacktestReport { schema: String::new(), cases: vec![case(0.5)], summary, diagnoses: Vec::new() });
    let doubt = |code: &str| Diagnosis {
        code: code.to_owned(),
        severity: Severity::Warning,
        message: code.to_owned(),
        hint: String::new(),
    };
    forecast.diagnoses = ["extrapolating", "warmup_share", "near_start"].map(doubt).to_vec();
    input.fits.fits.iter_mut().for_each(|fit| fit.diagnoses.clear());
    let data = panels(&input);
    assert!(data.decision.backtest.is_some_and(|row| (row.ratio - 10.0).abs() < 1e-12));
    let codes: Vec<&str> = data.diagnoses.iter().map(|doubt| doubt.code.as_str()).collect();
    assert_eq!(codes, ["near_start", "warmup_share", "extrapolating"]);
    assert_eq!(data.decision.doubt.expect("a doubt").code, "near_start");
}

#[test]
fn seeds_of_a_rung_lie_around_their_mean_and_branches_of_a_trunk_are_no_seeds() {
    let mut runs = [3.0, 3.3, 2.0, 2.2].map(|loss| published::run(0, 1e6, 2e7, 1.2e14, loss)).to_vec();
    for (index, run) in runs.iter_mut().enumerate() {
        run.run_id = format!("run{index}");
        run.cluster.clone_from(&run.run_id);
    }
    (runs[2].params, runs[3].params) = (2e6, 2e6);
    (runs[2].cluster, runs[3].cluster) = ("trunk".to_owned(), "trunk".to_owned());
    let rungs = course::seeds(&runs);
    let [rung] = &rungs[..] else { panic!("one rung: {rungs:?}") };
    assert!((rung.mean - 3.15).abs() < 1e-12 && rung.relative_sd.is_none());
    assert!((rung.runs[0].deviation + 0.15 / 3.15).abs() < 1e-12);
}

#[test]
fn a_curve_is_drawn_against_the_compute_so_far_and_leaves_out_what_is_no_number() {
    let mut input = input();
    let point = |tokens: u64, loss: f64| CurvePoint { step: 1, tokens, learning_rate_share: 1.0, loss };
    let row = &mut input.runs[0];
    (row.tokens, row.flops, row.status) = (Some(100.0), 6e10, Some(RunStatus::Diverged));
    let id = row.run_id.clone();
    input.curves = vec![
        (id, vec![point(25, 3.0), point(50, 2.5), point(100, f64::NAN)]),
        ("unknown".to_owned(), vec![point(1, 1.0), point(2, 1.0)]),
    ];
    let curves = course::curves(&input);
    let [curve] = &curves.curves[..] else { panic!("one curve") };
    let shown: Vec<(f64, f64)> = curve.points.iter().map(|point| (point.flops, point.loss)).collect();
    assert_eq!((shown, curves.left_out), (vec![(1.5e10, 3.0), (3e10, 2.5)], 0));
}

#[test]
fn many_are_thinned_evenly_with_both_ends() {
    assert_eq!(evenly((0..10).collect(), 4), [0, 3, 6, 9]);
    assert_eq!(evenly(vec![1, 2], 4), [1, 2]);
    assert_eq!(evenly((0..1000).collect::<Vec<i32>>(), 60).len(), 60);
}

#[test]
fn the_checklist_names_the_registration_and_approaches_answer_at_the_target() {
    let mut input = input();
    input.target = Some(TargetPanel {
        run_id: "target".to_owned(),
        name: "target".to_owned(),
        params: 1e9,
        tokens: 2e10,
        flops: 1e23,
        actual: None,
        ratio: 10.0,
        registration_sha256: Some("abc123".to_owned()),
        registered_at: None,
    });
    let data = panels(&input);
    let list = data.checklist.expect("a checklist");
    assert!(list.items.iter().any(|item| item.answer.contains("`abc123`")));
    assert!(data.approaches.iter().any(|fit| fit.optima.iter().any(|at| (at.flops / 1e23 - 1.0).abs() < 1e-12)));
}
