//! A ladder whose local slope rises and then falls, as that of models which have hardly begun to learn: a law that bends one way
//! only misses both ends, and what it says beyond them is far too low.
//!
//! A cubic of ln L in ln C through the rungs: its slope −d ln L / d ln C has a highest point inside the ladder, clearly above both
//! ends, by Student's t of the cubic term; and it holds what the law leaves, by F. A floor under a power bends the other way,
//! a break flattens or steepens and does not do both.

use core::fmt;

use forescale_core::law::Theta;
use forescale_core::math;
use forescale_core::outcome::Severity;

use super::Voiced;
use super::turn::rungs;
use crate::fitted::Fitted;
use crate::linear::{Matrix, add_outer, dot, inverse};

/// Fewest rungs: a cubic and three degrees of freedom.
const LEAST_RUNGS: usize = 7;
/// Terms of a cubic.
const TERMS: usize = 4;
/// Chance makes the cubic term, or the law's misfit, as large less often than this. Chosen here: a refusal may follow.
const CHANCE: f64 = 1e-3;
/// By which share the slope at either end lies below the highest. Chosen here: of 1700 simulated ladders without an inflection
/// (floors, breaks, two powers; 0.05 to 1% of noise) two were taken for one at this share, of 18 shapes with one inside 14 are seen.
const LEAST_FALL: f64 = 0.1;
/// Scatter in ln L is no less than what losses are rounded by.
const ROUNDING: f64 = 1e-6;

/// What was seen of an inflection.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Inflection {
    law: String,
    /// The highest local slope, and the compute where it is.
    slope: f64,
    flops: f64,
    /// Root mean square of what the law, and what a cubic, leaves of ln L.
    missed: [f64; 2],
}

/// Where a law along a path misses an S that its rungs make.
pub(crate) fn inflection(fitted: &Fitted) -> Option<Inflection> {
    let is_asked = fitted.problem.is_path_law() && fitted.law.form().extrapolates() && fitted.dependence.is_none();
    let rungs = is_asked.then(|| rungs(&fitted.points)).filter(|rungs| rungs.len() >= LEAST_RUNGS)?;
    let cubic = Cubic::through(&rungs)?;
    let degrees = (rungs.len() - TERMS) as f64;
    let is_bent = 1.0 - math::student_t_cdf(cubic.terms[3] / cubic.error, degrees) < CHANCE;
    let highest = -cubic.terms[2] / (3.0 * cubic.terms[3]);
    if !is_bent || !(-1.0..=1.0).contains(&highest) {
        return None;
    }
    let [first, most, last] = [-1.0, highest, 1.0].map(|at| cubic.slope(at));
    let falls = |end: f64| most - end > LEAST_FALL * most;
    let misses = rungs.iter().map(|(x, y)| fitted.log_loss(1.0, 1.0, math::exp(*x)) - y);
    let left: f64 = misses.map(|miss| miss * miss).sum();
    // F of one and n − 4 degrees of freedom is Student's t squared.
    let root = ((left - cubic.left).max(0.0) / cubic.variance).sqrt();
    let is_missed = 2.0 * (1.0 - math::student_t_cdf(root, degrees)) < CHANCE;
    let rms = |squares: f64| (squares / rungs.len() as f64).sqrt();
    (most > 0.0 && falls(first) && falls(last) && is_missed).then(|| Inflection {
        law: fitted.law.to_string(),
        slope: most,
        flops: math::exp(cubic.middle + cubic.half * highest),
        missed: [rms(left), rms(cubic.left)],
    })
}

/// A least-squares cubic of ln L in ln C, over −1 to 1.
struct Cubic {
    terms: Theta,
    /// Standard error of the last term.
    error: f64,
    middle: f64,
    half: f64,
    /// Sum of squares that it leaves, and the variance of one rung by that.
    left: f64,
    variance: f64,
}

impl Cubic {
    fn through(rungs: &[(f64, f64)]) -> Option<Self> {
        let [low, high] = math::range(rungs.iter().map(|rung| rung.0))?;
        let (middle, half) = (0.5 * (low + high), 0.5 * (high - low));
        let (mut matrix, mut vector) = (Matrix::default(), Theta::default());
        for (x, y) in rungs {
            let powers = powers((x - middle) / half);
            add_outer(&mut matrix, &powers, 1.0);
            vector.iter_mut().zip(&powers).for_each(|(sum, power)| *sum += power * y);
        }
        let inverse = inverse(&matrix, &[0, 1, 2, 3])?;
        let mut terms = Theta::default();
        terms.iter_mut().zip(&inverse).for_each(|(term, row)| *term = dot(row, &vector));
        let miss = |(x, y): &(f64, f64)| y - dot(&terms, &powers((x - middle) / half));
        let left: f64 = rungs.iter().map(|rung| miss(rung) * miss(rung)).sum();
        let variance = (left / (rungs.len() - TERMS) as f64).max(ROUNDING * ROUNDING);
        let error = (variance * inverse[3][3]).sqrt();
        Some(Self { terms, error, middle, half, left, variance })
    }

    /// −d ln L / d ln C.
    fn slope(&self, at: f64) -> f64 {
        let [_, b, c, d, ..] = self.terms;
        -(b + 2.0 * c * at + 3.0 * d * at * at) / self.half
    }
}

fn powers(at: f64) -> Theta {
    let mut powers = Theta::default();
    powers.iter_mut().zip([1.0, at, at * at, at * at * at]).for_each(|(entry, power)| *entry = power);
    powers
}

impl Voiced for Inflection {
    fn code(&self) -> &'static str {
        "s_shaped"
    }

    fn hint(&self) -> &'static str {
        "ask for a law that bends so, `--law m4`; or fit the rungs from there on (`--where 'flops >= …'`), five or more"
    }

    fn severity(&self) -> Severity {
        Severity::Error
    }
}

impl fmt::Display for Inflection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, slope, flops, missed: [by_law, by_cubic] } = self;
        write!(
            f,
            "`{law}`: the ladder is S-shaped: its local slope rises to {slope:.3} at {flops:.1e} FLOPs and falls after, and the law, which bends one way only, misses the rungs by {:.2}% where a smooth curve leaves {:.2}%: what it says beyond them is no forecast",
            100.0 * by_law,
            100.0 * by_cubic
        )
    }
}
