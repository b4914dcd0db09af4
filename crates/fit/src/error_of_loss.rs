//! A mean error over tasks as a function of validation loss: error = ε − k·e^(−γL).
//!
//! The second step of a two-step forecast of capability: N and D give a loss, the loss an error that falls from ε, where
//! nothing is known, by e^(−γL). For a given γ the law is a straight line in e^(−γL), so that ε and k follow from linear least
//! squares and only γ is sought (variable projection).
//!
//! # Reference
//!
//! Gadre et al., 2024, *Language models scale reliably with over-training and on downstream tasks*, equation 5,
//! arXiv:2403.08540.

use forescale_core::math;

use crate::line_search::{Effort, minimum};

/// ln of γ times the spread of the losses: from a line, which bends by 3% over the runs, to a curve that a hundredth of their
/// spread uses up (chosen here).
const LOG_BEND: (f64, f64) = (-3.5, 4.6);
const EFFORT: Effort = Effort { grid: 41, rounds: 36 };
/// One more than it has parameters.
const NEEDED: usize = 4;

/// error = ε − k·e^(−γL).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ErrorOfLoss {
    /// k, in units of the error.
    pub k: f64,
    /// γ, per unit of the loss.
    pub gamma: f64,
    /// ε, the error where the loss is so high that nothing is known, in units of the error.
    pub epsilon: f64,
}

/// Why no error of loss could be fitted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ErrorOfLossError {
    /// A loss or an error that is no number.
    #[error(
        "run {index} has a loss of {loss} and an error of {error}; both must be finite numbers\n\nhint: leave it out"
    )]
    NotFinite {
        /// Which run, from 0.
        index: usize,
        /// Its loss.
        loss: f64,
        /// Its error.
        error: f64,
    },
    /// Too few runs for three parameters.
    #[error(
        "an error of loss has 3 parameters and needs at least {NEEDED} different losses; {found} were given\n\nhint: add runs with other losses"
    )]
    TooFew {
        /// Different losses.
        found: usize,
    },
    /// The best γ lies at an end of what is looked at, or the error does not rise with the loss.
    #[error(
        "error does not follow ε − k·e^(−γL) in these runs: the best γ is {gamma:.3}, k {k:.3}\n\nhint: tasks that no run has begun to learn, or that all have learnt, tell nothing; take tasks between"
    )]
    NoCurve {
        /// The best γ.
        gamma: f64,
        /// k there.
        k: f64,
    },
}

impl ErrorOfLoss {
    /// Fits by least squares on the error, to (loss, error) of each run.
    ///
    /// # Errors
    ///
    /// [`ErrorOfLossError`] for a value that is no finite number, fewer than four different losses, or errors that do not
    /// follow the law.
    pub fn fit(runs: &[(f64, f64)]) -> Result<Self, ErrorOfLossError> {
        let is_bad = |&(_, &(loss, error)): &(usize, &(f64, f64))| !(loss.is_finite() && error.is_finite());
        if let Some((index, &(loss, error))) = runs.iter().enumerate().find(is_bad) {
            return Err(ErrorOfLossError::NotFinite { index, loss, error });
        }
        let mut losses: Vec<f64> = runs.iter().map(|run| run.0).collect();
        losses.sort_by(f64::total_cmp);
        losses.dedup();
        if losses.len() < NEEDED {
            return Err(ErrorOfLossError::TooFew { found: losses.len() });
        }
        let spread = losses[losses.len() - 1] - losses[0];
        let of = |log_bend: f64| line(runs, math::exp(log_bend) / spread);
        let (log_bend, _) = minimum(&|log_bend| of(log_bend).1, LOG_BEND, EFFORT);
        let (law, _) = of(log_bend);
        let is_inside = log_bend > LOG_BEND.0 + 1e-3 && log_bend < LOG_BEND.1 - 1e-3;
        if is_inside && law.k > 0.0 { Ok(law) } else { Err(ErrorOfLossError::NoCurve { gamma: law.gamma, k: law.k }) }
    }

    /// The error at a loss.
    #[must_use]
    pub fn at(&self, loss: f64) -> f64 {
        self.epsilon - self.k * math::exp(-self.gamma * loss)
    }
}

/// The best law of one γ, and its sum of squares.
fn line(runs: &[(f64, f64)], gamma: f64) -> (ErrorOfLoss, f64) {
    let count = runs.len() as f64;
    let mean = |of: &dyn Fn(&(f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / count;
    // Taken from the mean loss, so that no exponential is out of range of the others.
    let middle = mean(&|run| run.0);
    let bent = |loss: f64| math::exp(-gamma * (loss - middle));
    let (x0, y0) = (mean(&|run| bent(run.0)), mean(&|run| run.1));
    let xx = mean(&|run| (bent(run.0) - x0) * (bent(run.0) - x0));
    let slope = mean(&|run| (bent(run.0) - x0) * (run.1 - y0)) / xx;
    let epsilon = y0 - slope * x0;
    let off = |run: &(f64, f64)| run.1 - epsilon - slope * bent(run.0);
    let squares = count * mean(&|run| off(run) * off(run));
    (ErrorOfLoss { k: -slope * math::exp(gamma * middle), gamma, epsilon }, squares)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(law: &ErrorOfLoss, losses: &[f64]) -> Vec<(f64, f64)> {
        losses.iter().map(|&loss| (loss, law.at(loss))).collect()
    }

    #[test]
    fn a_known_law_comes_back() {
        let law = ErrorOfLoss { k: 2.206_49, gamma: 0.714_59, epsilon: 0.856_99 };
        let found = ErrorOfLoss::fit(&made(&law, &[2.4, 2.8, 3.3, 4.1, 5.6])).expect("fits");
        assert!((found.gamma / law.gamma - 1.0).abs() < 1e-6, "{found:?}");
        assert!((found.k / law.k - 1.0).abs() < 1e-5 && (found.epsilon - law.epsilon).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn what_tells_no_curve_is_refused() {
        let law = ErrorOfLoss { k: 2.0, gamma: 0.7, epsilon: 0.85 };
        let few = ErrorOfLoss::fit(&made(&law, &[3.0, 3.0, 3.5, 4.0])).expect_err("three losses");
        assert_eq!(few, ErrorOfLossError::TooFew { found: 3 });
        let mut bad = made(&law, &[2.0, 3.0, 3.5, 4.0]);
        bad[2].1 = f64::NAN;
        let said = ErrorOfLoss::fit(&bad).expect_err("no number").to_string();
        assert!(said.starts_with("run 2 has a loss of 3.5 and an error of NaN"), "{said}");
        // A straight line has its best γ at nothing, and an error that falls with the loss a k below nothing.
        for slope in [0.1, -0.1] {
            let straight: Vec<(f64, f64)> = [2.0, 3.0, 4.0, 5.0].map(|loss| (loss, 0.2 + slope * loss)).to_vec();
            let refused = ErrorOfLoss::fit(&straight).expect_err("no curve");
            assert!(matches!(refused, ErrorOfLossError::NoCurve { .. }), "{refused:?}");
        }
    }
}
