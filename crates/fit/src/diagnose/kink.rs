//! Whether the slope of a law of one power of compute changes at one place inside the data.
//!
//! # Formula
//!
//! ln(L − E) = a − b ln C − c max(0, ln C − k), against the same with c = 0, by least squares on log loss. E runs over all
//! floors below the least loss (0 alone for a law without a floor), and for each of them the rest is a linear regression.
//! Student's t of c at a given knot k has n − 3 degrees of freedom, one fewer with a floor.
//!
//! The law is fitted anew on either side of the question: where a slope breaks, the best unbroken law has a floor and an
//! exponent far from those of either part, so that its own tangent plane ([`super::bend`]) no longer holds the broken one.

use forescale_core::law::Theta;
use forescale_core::math;

use crate::fitted::Fitted;
use crate::linear::{Matrix, solve};
use crate::problem::Sample;

/// Shares of the least loss that are tried as floors before the best is narrowed down.
const FLOORS: usize = 32;
/// Steps of the narrowing: each leaves 62% of the interval, these 1e-6 of it.
const NARROWINGS: usize = 28;
/// More samples than these are not asked: their directions see any bend, and the floors are searched for at each knot.
const MOST_SAMPLES: usize = 5000;

/// Student's t of a change of slope at each knot with its degrees of freedom, where the law is one power of compute.
pub(super) fn kinks(fitted: &Fitted, knots: &[f64]) -> Vec<(f64, (f64, f64))> {
    let samples = &fitted.problem.samples;
    let parts = fitted.problem.form.falling_terms().filter(|parts| parts.terms.len() == 1);
    let Some(parts) = parts.filter(|_| fitted.problem.is_path_law() && samples.len() <= MOST_SAMPLES) else {
        return Vec::new();
    };
    let regression = Regression { samples, has_floor: parts.floor.is_some() };
    let degrees = samples.len() as f64 - 3.0 - f64::from(u8::from(parts.floor.is_some()));
    let Some(straight) = regression.best(None).filter(|fit| degrees >= 2.0 && !fit.is_rounding(samples.len())) else {
        return Vec::new();
    };
    let change = |&knot: &f64| {
        let bent = regression.best(Some(knot))?;
        let left = bent.squares.max(1e-6 * straight.squares) / degrees;
        let t = ((straight.squares - bent.squares).max(0.0) / left).sqrt().copysign(bent.change);
        t.is_finite().then_some((knot, (t, degrees)))
    };
    knots.iter().filter_map(change).collect()
}

struct Regression<'a> {
    samples: &'a [Sample],
    has_floor: bool,
}

/// What a regression leaves.
#[derive(Clone, Copy)]
struct Left {
    /// Σ w r², r of log loss.
    squares: f64,
    /// −c: above zero where the slope flattens.
    change: f64,
}

impl Left {
    fn is_rounding(self, count: usize) -> bool {
        self.squares < 1e-18 * count as f64
    }
}

impl Regression<'_> {
    /// The least over all floors.
    fn best(&self, knot: Option<f64>) -> Option<Left> {
        if !self.has_floor {
            return self.at(0.0, knot);
        }
        let least = self.samples.iter().map(|s| s.log_loss).fold(f64::INFINITY, f64::min);
        let at = |share: f64| self.at(math::exp(least) * share, knot).filter(|left| left.squares.is_finite());
        let squares = |share: f64| at(share).map_or(f64::INFINITY, |left| left.squares);
        let step = 1.0 / FLOORS as f64;
        let shares = (0..FLOORS).map(|i| i as f64 * step);
        let first = shares.min_by(|a, b| squares(*a).total_cmp(&squares(*b)))?;
        let (mut low, mut high) = ((first - step).max(0.0), (first + step).min(1.0 - 1e-9));
        for _ in 0..NARROWINGS {
            let width = 0.381_966_011_250_105 * (high - low);
            if squares(low + width) <= squares(high - width) { high -= width } else { low += width }
        }
        [first, 0.5 * (low + high)].into_iter().filter_map(at).min_by(|a, b| a.squares.total_cmp(&b.squares))
    }

    /// The regression of ln(L − E): a residual there is one of log loss times L/(L − E).
    fn at(&self, floor: f64, knot: Option<f64>) -> Option<Left> {
        let (mut matrix, mut vector) = (Matrix::default(), Theta::default());
        let free: &[usize] = if knot.is_some() { &[0, 1, 2] } else { &[0, 1] };
        let row = |s: &Sample| {
            let loss = math::exp(s.log_loss);
            let share = (loss - floor) / loss;
            let kink = knot.map_or(0.0, |knot| (s.at.log_flops - knot).max(0.0));
            ([1.0, s.at.log_flops, kink], math::ln(loss - floor), s.weight * share * share)
        };
        for sample in self.samples {
            let (x, y, weight) = row(sample);
            for &i in free {
                vector[i] += weight * x[i] * y;
                free.iter().for_each(|&j| matrix[i][j] += weight * x[i] * x[j]);
            }
        }
        let line = solve(&matrix, &vector, free)?;
        let left = |s: &Sample| {
            let (x, y, weight) = row(s);
            let r = y - x.iter().zip(line).map(|(x, b)| x * b).sum::<f64>();
            weight * r * r
        };
        Some(Left { squares: self.samples.iter().map(left).sum(), change: line[2] })
    }
}
