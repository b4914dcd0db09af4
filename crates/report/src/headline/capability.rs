//! Capabilities in a sentence: how many buckets are forecast, how many cannot be yet, and how many forecasts held.

use forescale_core::capability::{CapabilityScore, CapabilityStatus};
use forescale_core::panel::CapabilityPanel;

use super::plural;
use crate::capability::{held, without};
use crate::format::times;
use crate::tables::{Unforeseen, unforeseen};

/// What was forecast from how far away, what was not, and what came of it.
pub(crate) fn capabilities(panel: &CapabilityPanel) -> String {
    let given = panel.courses.iter().filter(|course| course.forecast.status == CapabilityStatus::Forecast).count();
    let ratio = times(panel.target_flops / panel.seen_flops);
    let sealed = if panel.registration_sha256.is_some() { ", sealed before the target was trained" } else { "" };
    let opening = format!(
        "What the model will be able to do: {given} of {} of problems are forecast, from runs of at most 1/{} of the target's compute{sealed}",
        plural(panel.courses.len(), "bucket"),
        ratio.trim_end_matches('×')
    );
    let shut = without(panel.courses.len() - given);
    let scores: Vec<CapabilityScore> = panel.courses.iter().filter_map(|course| course.score.clone()).collect();
    let outcome = if scores.is_empty() { String::new() } else { format!(" {}.", held(&scores)) };
    let learnt = panel.courses.iter().filter(|course| unforeseen(course) == Some(Unforeseen::Better));
    let learnt = match (learnt.count(), panel.courses.len() - given) {
        (0, _) => String::new(),
        (count, without) => format!(" Of the {without} without a number the target is clearly better at {count}."),
    };
    format!("{opening}{shut}.{outcome}{learnt}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn what_held_what_missed_and_what_is_not_predictable_is_counted() {
        let mut panel = sample::inside().capability.expect("the sample has tasks");
        assert_eq!(
            capabilities(&panel),
            "What the model will be able to do: 2 of 4 buckets of problems are forecast, from runs of at most 1/118 of the target's compute, sealed before the target was trained; 2 are not predictable and have no number. 1 of 2 outcomes lie inside their 90% intervals (mean interval score 1.456 nats). Of the 2 without a number the target is clearly better at 2."
        );
        panel.courses.iter_mut().for_each(|course| (course.score, course.reached) = (None, None));
        panel.courses.truncate(3);
        assert!(capabilities(&panel).ends_with("; 1 is not predictable and has no number."));
    }
}
