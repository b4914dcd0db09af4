//! Capabilities over compute: what was sealed, the course that the same laws take to the target, and what it reached.

use forescale_core::capability::{CapabilityForecast, CapabilityStatus, TaskForecast};
use forescale_core::math;
use forescale_core::outcome::Score;
use forescale_core::panel::{BandPoint, CapabilityCourse, CapabilityPanel};

use crate::{BucketRun, CapabilityOptions, Target, forecast_buckets};

/// Points of a course, from the largest run seen to the target.
const POINTS: u32 = 16;

/// What a panel of capabilities is worked out from.
#[derive(Clone, Debug)]
pub struct CapabilityInput {
    /// The forecast that is shown: the sealed one, where there is one.
    pub forecast: CapabilityForecast,
    /// Runs that were asked problems.
    pub runs: Vec<BucketRun>,
    /// Their answers.
    pub items: Vec<forescale_core::items::ItemResult>,
    /// How the forecast was made.
    pub options: CapabilityOptions,
    /// What the target reached: task, bucket, mean −log p in nats.
    pub reached: Vec<(String, u32, f64)>,
    /// Digest of the registration, where the forecast was sealed in one.
    pub registration_sha256: Option<String>,
}

/// The panel; courses that cannot be followed are left without a line.
pub(super) fn capability(input: &CapabilityInput, score: Option<&Score>) -> CapabilityPanel {
    let target = &input.forecast.target;
    let seen =
        input.forecast.tasks.iter().filter_map(|task| task.rungs.last()).map(|rung| rung.flops).fold(0.0, f64::max);
    let along = along(input, seen);
    let courses = input.forecast.tasks.iter().map(|forecast| CapabilityCourse {
        curve: along.iter().filter_map(|at| band(at, forecast, input.forecast.level)).collect(),
        reached: input
            .reached
            .iter()
            .find(|(task, bucket, _)| is_of(forecast, task, *bucket))
            .map(|(.., value)| *value),
        score: score.and_then(|score| {
            let is_it = |bucket: u32, task: &str| is_of(forecast, task, bucket);
            score.capability.iter().find(|one| one.bucket.is_some_and(|bucket| is_it(bucket, &one.task))).cloned()
        }),
        forecast: forecast.clone(),
    });
    CapabilityPanel {
        target_flops: target.flops,
        seen_flops: seen,
        level: input.forecast.level,
        registration_sha256: input.registration_sha256.clone(),
        courses: courses.collect(),
    }
}

fn is_of(forecast: &TaskForecast, task: &str, bucket: u32) -> bool {
    forecast.task == task && forecast.bucket == Some(bucket)
}

/// The same forecast at budgets between the largest run seen and the target.
fn along(input: &CapabilityInput, seen: f64) -> Vec<CapabilityForecast> {
    let (low, high) = (math::ln(seen), math::ln(input.forecast.target.flops));
    let at = |step: u32| {
        let share = f64::from(step) / f64::from(POINTS);
        forecast_buckets(
            &input.runs,
            &input.items,
            &Target::of_budget(math::exp(low + share * (high - low))),
            &input.options,
        )
        .ok()
    };
    if high > low { (0..=POINTS).filter_map(at).collect() } else { Vec::new() }
}

fn band(at: &CapabilityForecast, of: &TaskForecast, level: f64) -> Option<BandPoint> {
    let here = at.tasks.iter().find(|one| one.task == of.task && one.bucket == of.bucket)?;
    if of.status != CapabilityStatus::Forecast {
        return None;
    }
    let within = here.predictive.as_ref()?.interval(level);
    Some(BandPoint { flops: at.target.flops, median: here.median?, lower: within.lower, upper: within.upper })
}
