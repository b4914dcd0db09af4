//! An outcome held against its forecast.

use forescale_core::capability::{CapabilityScore, TaskForecast};

use crate::crps::crps;

/// Scores what was observed (mean −log p in nats, or accuracy) against a task's forecast and its interval of a level;
/// `None` where the forecast was refused.
#[must_use]
pub fn score_task(forecast: &TaskForecast, observed: f64, level: f64) -> Option<CapabilityScore> {
    let predictive = forecast.predictive.as_ref()?;
    let interval = predictive.interval(level);
    let median = predictive.median();
    Some(CapabilityScore {
        task: forecast.task.clone(),
        bucket: forecast.bucket,
        observed,
        median,
        error: observed - median,
        interval,
        is_inside: interval.contains(observed),
        crps: crps(predictive, observed),
        pit: predictive.pit(observed),
    })
}
