//! An outcome held against its forecast.

use std::collections::BTreeMap;

use forescale_core::capability::{CapabilityScore, TaskForecast};
use forescale_core::items::ItemResult;

use super::bucket_mean::bucket_mean;
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

/// What one run reached: the mean −log p in nats of each task's bucket, by the censored likelihood where problems were not
/// solved within their samples.
#[must_use]
pub fn bucket_means(items: &[ItemResult]) -> Vec<(String, u32, f64)> {
    let mut buckets: BTreeMap<(&str, u32), Vec<&ItemResult>> = BTreeMap::new();
    for item in items {
        buckets.entry((&item.task, item.bucket)).or_default().push(item);
    }
    let mean = |((task, bucket), items): (&(&str, u32), &Vec<&ItemResult>)| {
        Some(((*task).to_owned(), *bucket, bucket_mean(items)?.value))
    };
    buckets.iter().filter_map(mean).collect()
}
