//! Backtests: predicting what is already known from the smaller runs alone.
//!
//! Targets are the runs with at least C_max/1.5; for ratio r the fit sees only runs with at most (smallest target)/r, and
//! there is no case with fewer than six of them. In `run` mode each target is predicted at its own N and D, in `frontier`
//! mode the compute-optimal loss at its budget: the vertex of an isoFLOP where there are three sizes or more, else the
//! runs of the designated path, never the lowest of several noisy runs.

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{BACKTEST_SCHEMA, BacktestCase, BacktestReport, BacktestSummary};
use forescale_core::run::Role;

use crate::crps::crps;
use crate::fitted::validate;
use crate::forecast::log_error;
use crate::forecaster::{Forecaster, forecaster};
use crate::path::vertices;
use crate::session::groups;
use crate::{FitError, FitOptions, Target};

/// Targets reach down to the top compute over this.
const BAND: f64 = 1.5;
/// Fewest runs a case is fitted to.
const LEAST_RUNS: usize = 6;
/// Ratios and earlier tops (as shares of C_max) of the rolling backtest that calibrates a forecast.
const ROLLING_RATIOS: [f64; 4] = [3.0, 10.0, 30.0, 100.0];
const ROLLING_TOPS: [f64; 3] = [1.0, 1.0 / 3.0, 1.0 / 9.0];

/// What of a held-out run is predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BacktestMode {
    /// Each target at its own N and D.
    #[default]
    Run,
    /// The compute-optimal loss at the target's budget.
    Frontier,
}

impl BacktestMode {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Frontier => "frontier",
        }
    }
}

/// What to backtest.
#[derive(Clone, Debug, PartialEq)]
pub struct BacktestOptions {
    /// Laws, objective and level.
    pub fit: FitOptions,
    /// Ratios of target compute to the cut.
    pub ratios: Vec<f64>,
    /// What is predicted.
    pub mode: BacktestMode,
}

impl Default for BacktestOptions {
    fn default() -> Self {
        Self { fit: FitOptions::default(), ratios: vec![10.0, 100.0, 1000.0], mode: BacktestMode::default() }
    }
}

/// Backtests each group at each ratio.
///
/// A ratio that leaves too few runs, or runs that carry no law, gives no case.
///
/// # Errors
///
/// [`FitError`] for a table that holds anything but positive numbers, or a ratio of 1 or less.
pub fn backtest(observations: &[Observation], options: &BacktestOptions) -> Result<BacktestReport, FitError> {
    validate(observations, &options.fit)?;
    if let Some(&value) = options.ratios.iter().find(|ratio| !(ratio.is_finite() && **ratio > 1.0)) {
        return Err(FitError::BadOption { option: "--ratio", value, allowed: "a finite number above 1" });
    }
    let mut cases = Vec::new();
    for (group, runs) in groups(observations) {
        for &ratio in &distinct(&options.ratios) {
            let question = Question { ratio, mode: options.mode, top_share: 1.0, fit: &options.fit };
            cases.extend(ask(&runs, &question).into_iter().map(|case| BacktestCase { group: group.clone(), ..case }));
        }
    }
    Ok(report(cases))
}

/// Each ratio once, in the order asked for.
fn distinct(ratios: &[f64]) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::with_capacity(ratios.len());
    for &ratio in ratios {
        if kept.iter().all(|known| known.total_cmp(&ratio).is_ne()) {
            kept.push(ratio);
        }
    }
    kept
}

/// Cases with a summary by ratio.
pub(crate) fn report(cases: Vec<BacktestCase>) -> BacktestReport {
    let mut ratios: Vec<f64> = cases.iter().map(|case| case.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.dedup();
    let summary = ratios.iter().filter_map(|&ratio| summarise(&cases, ratio)).collect();
    BacktestReport { schema: BACKTEST_SCHEMA.to_owned(), cases, summary }
}

fn summarise(cases: &[BacktestCase], ratio: f64) -> Option<BacktestSummary> {
    let of: Vec<&BacktestCase> = cases.iter().filter(|case| case.ratio.total_cmp(&ratio).is_eq()).collect();
    let errors: Vec<f64> = of.iter().map(|case| case.relative_error.abs()).collect();
    let n = of.len() as f64;
    let inside = of.iter().filter(|case| inside_90(case)).count();
    Some(BacktestSummary {
        ratio,
        median_abs_relative_error: math::median(&errors)?,
        mean_abs_relative_error: errors.iter().sum::<f64>() / n,
        coverage_90: inside as f64 / n,
        crps: of.iter().map(|case| case.crps).sum::<f64>() / n,
        n: of.len() as u64,
    })
}

fn inside_90(case: &BacktestCase) -> bool {
    case.intervals.iter().any(|i| (i.level - 0.9).abs() < 1e-9 && i.contains(case.actual))
}

/// What one round of a backtest asks.
struct Question<'a> {
    ratio: f64,
    mode: BacktestMode,
    /// Runs above this share of C_max are taken away before anything else: an earlier time.
    top_share: f64,
    fit: &'a FitOptions,
}

/// Cases for calibration, with one error per independent cut as (decades past the cut, |log error|).
#[derive(Default)]
pub(crate) struct Rolling {
    pub(crate) cases: Vec<BacktestCase>,
    pub(crate) errors: Vec<(f64, f64)>,
}

/// Backtests at several ratios and from several earlier tops.
pub(crate) fn rolling(runs: &[&Observation], fit: &FitOptions) -> Rolling {
    let mut rolling = Rolling::default();
    for top_share in ROLLING_TOPS {
        for ratio in ROLLING_RATIOS {
            let cases = ask(runs, &Question { ratio, mode: BacktestMode::Run, top_share, fit });
            let errors: Vec<f64> = cases.iter().map(|case| log_error(case.predicted, case.actual)).collect();
            if let Some(error) = math::median(&errors) {
                rolling.errors.push((math::log10(ratio), error));
            }
            if top_share >= 1.0 {
                rolling.cases.extend(cases);
            }
        }
    }
    rolling
}

/// The cases of one question; none where too few runs are left.
fn ask(runs: &[&Observation], question: &Question) -> Vec<BacktestCase> {
    let max = runs.iter().map(|o| o.flops).fold(0.0, f64::max) * question.top_share * (1.0 + 1e-9);
    let known: Vec<&Observation> = runs.iter().copied().filter(|o| o.flops <= max).collect();
    let top = known.iter().map(|o| o.flops).fold(0.0, f64::max);
    let band: Vec<&Observation> = known.iter().copied().filter(|o| o.flops * BAND >= top).collect();
    let targets = targets(&band, question.mode);
    let lowest = targets.iter().map(|o| o.flops).fold(f64::INFINITY, f64::min);
    let cut = lowest / question.ratio;
    let small: Vec<&Observation> = known.into_iter().filter(|o| o.flops <= cut).collect();
    if small.len() < LEAST_RUNS {
        return Vec::new();
    }
    let Ok((forecaster, _)) = forecaster(&small, question.fit) else { return Vec::new() };
    let cut_flops = forecaster.max_flops;
    targets.iter().map(|target| case(&forecaster, target, question, (cut_flops, small.len()))).collect()
}

/// What is to be predicted of the runs in the top band.
fn targets(band: &[&Observation], mode: BacktestMode) -> Vec<Observation> {
    let own = |keep: fn(&Observation) -> bool| band.iter().filter(|o| keep(o)).map(|o| (*o).clone()).collect();
    if mode == BacktestMode::Run {
        return own(|_| true);
    }
    let vertices = vertices(band);
    let roles_known = band.iter().any(|o| o.role.is_some());
    match vertices.last() {
        Some(vertex) if !roles_known => vec![vertex.clone()],
        _ if roles_known => own(|o| o.role != Some(Role::OffPath)),
        _ => own(|_| true),
    }
}

fn case(
    forecaster: &Forecaster,
    target: &Observation,
    question: &Question,
    (cut_flops, n_fit): (f64, usize),
) -> BacktestCase {
    let own = question.mode == BacktestMode::Run;
    let shape = |value: f64| own.then_some(value);
    let asked = Target { flops: target.flops, params: shape(target.params), tokens: shape(target.tokens) };
    let predictive = forecaster.outlook(&asked).predictive;
    let (predicted, actual) = (predictive.median(), target.loss);
    BacktestCase {
        group: target.group.clone(),
        target_run_id: target.run_id.clone(),
        ratio: question.ratio,
        mode: question.mode.name().to_owned(),
        law: "ensemble".to_owned(),
        cut_flops,
        target_flops: target.flops,
        predicted,
        actual,
        relative_error: predicted / actual - 1.0,
        intervals: vec![predictive.interval(0.9), predictive.interval(0.5)],
        crps: crps(&predictive, actual),
        pit: predictive.probability(actual),
        n_fit: n_fit as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    fn runs() -> Vec<Observation> {
        published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.004, 9)
    }

    #[test]
    fn a_cut_sees_only_runs_below_target_over_ratio() {
        let report = backtest(&runs(), &BacktestOptions::default()).expect("cases");
        assert!(!report.cases.is_empty());
        for case in &report.cases {
            assert!(case.cut_flops * case.ratio <= case.target_flops * (1.0 + 1e-9));
            assert!((case.relative_error - (case.predicted / case.actual - 1.0)).abs() < 1e-12);
            assert!((0.0..=1.0).contains(&case.pit) && case.crps >= 0.0);
        }
    }

    #[test]
    fn a_true_law_is_forecast_within_two_percent_at_ten_and_a_hundred_times() {
        for mode in [BacktestMode::Run, BacktestMode::Frontier] {
            let options = BacktestOptions { mode, ratios: vec![10.0, 100.0], ..BacktestOptions::default() };
            let report = backtest(&runs(), &options).expect("cases");
            for summary in &report.summary {
                assert!(summary.median_abs_relative_error < 0.02, "{mode:?} {summary:?}");
                assert!(summary.coverage_90 > 0.8, "{mode:?} {summary:?}");
            }
        }
    }

    #[test]
    fn summaries_are_those_of_their_cases() {
        let report = backtest(&runs(), &BacktestOptions::default()).expect("cases");
        let counted: u64 = report.summary.iter().map(|summary| summary.n).sum();
        assert_eq!(counted, report.cases.len() as u64);
    }

    #[test]
    fn a_ratio_of_one_is_refused() {
        let options = BacktestOptions { ratios: vec![1.0], ..BacktestOptions::default() };
        let text = backtest(&runs(), &options).expect_err("refused").to_string();
        assert!(text.starts_with("--ratio is 1; it must be a finite number above 1"), "{text}");
    }

    #[test]
    fn a_ratio_asked_for_twice_is_answered_once() {
        assert_eq!(distinct(&[10.0, 3.0, 10.0]), [10.0, 3.0]);
    }

    #[test]
    fn too_few_small_runs_give_no_case_and_no_error() {
        let options = BacktestOptions { ratios: vec![1e5], ..BacktestOptions::default() };
        assert!(backtest(&runs(), &options).expect("an answer").cases.is_empty());
    }
}
