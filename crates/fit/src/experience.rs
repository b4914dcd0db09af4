//! What published families of runs have taught, in one place: which exponents to expect, how much a run's residual tells,
//! how wrong a forecast is apt to be. Numbers only, each with where it comes from; [`crate::prior`],
//! [`crate::emphasis`] and [`crate::form_error`] say how they are used.
//!
//! **Provenance.** Exponents and their spread are of published fits, listed at the constants. What cannot be read in a
//! paper was chosen by leave-one-family-out backtests at 10x and 100x over eight published families with one vote each
//! (Hoffmann's points, Gadre, Porian, Marin, misfitting, OLMo ladder, data-constrained runs seen once, Step Law), as the
//! round number in the middle of the flat part; `benches/forecast-skill.md` holds the outcome.

use forescale_core::law::{Domain, LawForm};

/// A parameter above zero whose logarithm is normal before any run is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Expectation {
    /// Median.
    pub(crate) median: f64,
    /// Standard deviation of the logarithm, against evidence of a whole family of independent runs.
    pub(crate) log_sd: f64,
}

/// Exponents of size and of data. Published: 0.34 and 0.28 (Hoffmann), 0.348 and 0.366 (Besiroglu), 0.353 (Muennighoff),
/// 0.24 to 0.27 (Gadre): median near 0.35, and between Gadre and Besiroglu lie 0.2 on either side in logarithms. The
/// spread is narrower than that by √3, because residuals of one table are of one misfit: three runs tell what one would.
const SIZE_OR_DATA: Expectation = Expectation { median: 0.35, log_sd: 0.125 };
/// Exponent of compute along a path: αβ/(α+β) of those above, 0.155 to 0.178; Hoffmann 0.154, Besiroglu 0.178, Kaplan,
/// without a floor, 0.050: half a unit of the logarithm holds all but the last.
const COMPUTE: Expectation = Expectation { median: 0.15, log_sd: 0.5 };
/// How size and data join: 1 in Hoffmann, 0.15 on a solvable Zipf learner; between the two, nearer to what is usually
/// assumed.
const JOINT: Expectation = Expectation { median: 0.7, log_sd: 0.7 };

/// What to expect of a law's parameter, where families of runs agree on it: not of amplitudes and floors.
pub(crate) fn expectation(form: &dyn LawForm, index: usize) -> Option<Expectation> {
    match (form.parameters()[index].symbol, form.domain()) {
        ("alpha" | "beta", Domain::SizeAndData) => Some(SIZE_OR_DATA),
        ("b", Domain::Compute) if form.has_floor() => Some(COMPUTE),
        ("kappa", Domain::SizeAndData) => Some(JOINT),
        _ => None,
    }
}

/// Least standard deviation of one run's log loss: repeated records of one recipe scatter by 0.03 to 0.12% (modded-nanogpt).
pub(crate) const LEAST_NOISE: f64 = 3e-4;
/// Standard deviation assumed before a fit has residuals: between a tuned run's 0.5% and an untuned one's.
pub(crate) const FIRST_NOISE: f64 = 1e-2;

/// Largest power of compute that a run weighs by: the square root, which OLMo-core's ladder fits offer.
pub(crate) const COMPUTE_POWER: f64 = 0.5;
/// A run whose loss exceeds the best at its compute by this in logarithms has half its weight at most trust.
pub(crate) const EXCESS: f64 = 0.1;
