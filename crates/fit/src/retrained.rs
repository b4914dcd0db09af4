//! Whether a run trained once more gave the loss that was recorded.

use forescale_core::outcome::CheckItem;

/// A loss may differ by so many deviations between seeds. The run has the same seed and differs by the order of sums alone,
/// as instruction sets have it: what moves it by more than two seeds differ is a change of the trainer.
const DEVIATIONS: f64 = 2.0;
/// The relative deviation where a ladder repeats no seed. Chosen here: less than the smallest rungs of our own sweeps show
/// (0.36% of smoke, 0.66% of quickstart, 0.81% of zipf).
const USUAL: f64 = 0.0025;

/// The recorded loss and the one now, with the room that seed noise leaves; `seed_sd` is absolute, in the unit of the loss.
#[must_use]
pub fn retrained(name: &str, recorded: f64, now: f64, seed_sd: Option<f64>) -> CheckItem {
    let known = seed_sd.filter(|sd| sd.is_finite() && *sd > 0.0);
    let tolerance = DEVIATIONS * known.unwrap_or(USUAL * recorded);
    let source = if known.is_some() { "between seeds of this ladder" } else { "usual between seeds" };
    CheckItem {
        name: format!("retrained.{name}"),
        baseline: recorded,
        current: now,
        tolerance,
        tolerance_reason: format!("trained again: within {DEVIATIONS} standard deviations {source}"),
        held: (now - recorded).abs() <= tolerance,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_within_two_seed_deviations_holds_and_one_beyond_or_no_number_does_not() {
        let held = |now: f64, sd: Option<f64>| retrained("d8", 2.0, now, sd).held;
        assert!(held(2.0, Some(0.01)) && held(2.019, Some(0.01)) && held(1.981, Some(0.01)));
        assert!(!held(2.021, Some(0.01)) && !held(1.9, Some(0.01)) && !held(f64::NAN, Some(0.01)));
        // Where no seed was repeated: 0.5% of 2.
        assert!(held(2.009, None) && !held(2.011, None) && !held(2.011, Some(0.0)));
        assert_eq!(retrained("d8", 2.0, 2.0, None).name, "retrained.d8");
    }
}
