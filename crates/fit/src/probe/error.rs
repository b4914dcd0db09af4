//! Why a probe has no answer.

use thiserror::Error;

use crate::FitError;

/// A probe could not be answered from what it was given.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ProbeError {
    /// Too few widths or depths.
    #[error("a slope over {along} needs at least {needed} sizes; {found} were given\n\nhint: {hint}")]
    TooFewSizes {
        /// `width` or `depth`.
        along: &'static str,
        /// Sizes given.
        found: usize,
        /// Sizes needed.
        needed: usize,
        /// What to do.
        hint: &'static str,
    },
    /// Too few steps for every activation to have moved.
    #[error("scales are judged after at least {needed} steps; {found} was asked for\n\nhint: --steps 5")]
    TooFewSteps {
        /// Steps asked for.
        found: u64,
        /// Steps needed.
        needed: u64,
    },
    /// Too few widths to speak of transfer.
    #[error(
        "transfer of the rate needs at least {needed} widths; {found} were given\n\nhint: --widths with {needed} or more, over a factor of 4 or more"
    )]
    TooFewWidths {
        /// Widths given.
        found: usize,
        /// Widths needed.
        needed: usize,
    },
    /// Too few rates for a parabola.
    #[error("a best rate needs at least {needed} rates; {found} were given\n\nhint: --factors 0.25,0.5,1,2,4")]
    TooFewRates {
        /// Rates given.
        found: usize,
        /// Rates needed.
        needed: usize,
    },
    /// One width and horizon with too few rates.
    #[error(
        "`d{width}` at {tokens_per_param} tokens per parameter has {found} rates; a best rate needs at least {needed}\n\nhint: train the same --factors at every width and horizon"
    )]
    CellWithFewRates {
        /// Its width.
        width: u32,
        /// Its horizon, D / N.
        tokens_per_param: f64,
        /// Rates found.
        found: usize,
        /// Rates needed.
        needed: usize,
    },
    /// Too few rungs with a curve.
    #[error(
        "collapse needs the curves of at least {needed} rungs; there are {found}\n\nhint: `forescale run SWEEP --stop-after ladder` trains the rungs of the spec"
    )]
    TooFewRungs {
        /// Rungs found.
        found: usize,
        /// Rungs needed.
        needed: usize,
    },
    /// Curves with too few points.
    #[error(
        "the curves of {rung} have {found} points in the part of the run that is compared; at least {needed} are needed\n\nhint: `curve_points = 9` under `[evaluation]`, and the ladder trained again"
    )]
    TooFewPoints {
        /// The rung.
        rung: String,
        /// Points found.
        found: usize,
        /// Points needed.
        needed: usize,
    },
    /// The irreducible loss cannot be taken off.
    #[error(
        "`{rung}` reaches a loss of {loss:.4}, which is not above the irreducible loss {floor:.4}\n\nhint: add larger rungs, so that a fitted floor is placed below every run; below an exact one, raise `curve_tokens`, for that part is too easy"
    )]
    FloorAbove {
        /// The rung.
        rung: String,
        /// Its loss.
        loss: f64,
        /// The floor on the part that the curves are measured on.
        floor: f64,
    },
    /// The path carries no power law.
    #[error("the irreducible loss that collapse takes off has no fit: {0}")]
    Fit(#[from] FitError),
}
