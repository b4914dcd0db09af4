//! How the same method would have done on the largest runs of a table, forecast from the smaller ones of other clusters.

use std::collections::{BTreeMap, BTreeSet};

use forescale_core::capability::{
    CAPABILITY_BACKTEST_SCHEMA, CapabilityBacktest, CapabilityCase, TaskForecast, TaskScore,
};
use forescale_core::predictive::Predictive;

use super::accuracy::{Losses, by_task, told, validate};
use super::score::score_task;
use super::{CapabilityError, CapabilityOptions};
use crate::Target;
use crate::backtest::BAND;

/// How to backtest.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskBacktestOptions {
    /// How to forecast.
    pub forecast: CapabilityOptions,
    /// Compute of the smallest target over the largest that is seen, at least.
    pub ratio: f64,
    /// Only these runs are targets; the largest of each task where none is named.
    pub targets: Vec<String>,
}

impl Default for TaskBacktestOptions {
    fn default() -> Self {
        Self { forecast: CapabilityOptions::default(), ratio: 10.0, targets: Vec::new() }
    }
}

/// Forecasts the largest runs of each task from those a ratio below them.
///
/// # Errors
///
/// As [`super::forecast_tasks`]; and for a ratio of 1 or below.
pub fn backtest_tasks(
    scores: &[TaskScore],
    options: &TaskBacktestOptions,
) -> Result<CapabilityBacktest, CapabilityError> {
    validate(scores, &options.forecast)?;
    if !(options.ratio > 1.0 && options.ratio.is_finite()) {
        return Err(CapabilityError::BadOption {
            option: "--ratio",
            value: options.ratio,
            allowed: "a number above 1",
        });
    }
    let mut losses: BTreeMap<String, Losses> = BTreeMap::new();
    let mut cases = Vec::new();
    for rows in by_task(scores).into_values() {
        let goals = goals(&rows, &options.targets);
        let Some(smallest) = goals.iter().map(|row| row.flops).reduce(f64::min) else { continue };
        // A target's own trunk tells how it went on the way, which a run that was not trained yet does not.
        let trunks: BTreeSet<&str> = goals.iter().map(|goal| goal.cluster.as_str()).collect();
        let is_seen =
            |row: &&TaskScore| row.flops <= smallest / options.ratio && !trunks.contains(row.cluster.as_str());
        let seen: Vec<&TaskScore> = rows.iter().copied().filter(is_seen).collect();
        let Some(cut_flops) = seen.last().map(|row| row.flops) else { continue };
        for goal in goals {
            let of_run = losses.entry(goal.run_id.clone()).or_default();
            let target = Target { flops: goal.flops, params: goal.params, tokens: goal.tokens, unique_tokens: None };
            let (forecast, behind) = told(&seen, &target, &options.forecast, of_run);
            cases.push(case(goal, cut_flops, forecast, behind.as_ref()));
        }
    }
    Ok(report(cases, options.ratio))
}

fn goals<'a>(rows: &[&'a TaskScore], named: &[String]) -> Vec<&'a TaskScore> {
    if !named.is_empty() {
        return rows.iter().copied().filter(|row| named.contains(&row.run_id)).collect();
    }
    let largest = rows.iter().map(|row| row.flops).fold(0.0, f64::max);
    rows.iter().copied().filter(|row| row.flops * BAND >= largest).collect()
}

fn case(goal: &TaskScore, cut_flops: f64, forecast: TaskForecast, behind: Option<&Predictive>) -> CapabilityCase {
    let score = score_task(&forecast, goal.value, 0.9);
    CapabilityCase {
        run_id: goal.run_id.clone(),
        flops: goal.flops,
        cut_flops,
        actual: goal.value,
        behind_gate: behind.filter(|_| score.is_none()).map(Predictive::median),
        score,
        forecast: TaskForecast { predictive: None, ..forecast },
    }
}

fn report(cases: Vec<CapabilityCase>, ratio: f64) -> CapabilityBacktest {
    let scores: Vec<_> = cases.iter().filter_map(|case| case.score.as_ref()).collect();
    let share = |count: usize, of: usize| if of > 0 { count as f64 / of as f64 } else { 0.0 };
    let inside = scores.iter().filter(|score| score.is_inside).count();
    let is_any = !scores.is_empty();
    let error = scores.iter().map(|score| score.error.abs()).sum::<f64>() / scores.len().max(1) as f64;
    CapabilityBacktest {
        schema: CAPABILITY_BACKTEST_SCHEMA.to_owned(),
        ratio,
        answered: share(scores.len(), cases.len()),
        mean_absolute_error: is_any.then_some(error),
        coverage: is_any.then(|| share(inside, scores.len())),
        cases,
    }
}
