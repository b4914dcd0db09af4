//! Weights of laws by how each would have forecast runs already known.
//!
//! # Formula
//!
//! Of q on the simplex, the largest Σ_t mean_i ln Σ_k q_k p_k(y_ti): p_k is what law k, fitted below a cut t, gave a run i
//! above it. Found by the rise of expectation and maximisation, which never leaves the simplex. Then
//!
//! w = λ q + (1 − λ)/K, λ = max(0, n − 8)/n of n cuts,
//!
//! so that eight cuts or fewer leave the weights equal: they cannot tell laws apart that differ by less than each errs.
//!
//! # Reference
//!
//! Yao, Vehtari, Simpson and Gelman, 2018, *Using stacking to average Bayesian predictive distributions*,
//! arXiv:1704.02030.

/// Up to so many cuts weights stay equal.
const CASES_BEFORE_STACKING: f64 = 8.0;
/// Rounds of the rise; by then a weight moves in the fourth digit.
const ROUNDS: usize = 200;

/// One cut: the density that each law gave each run above it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Trial {
    /// By law, then by run; `None` for a law that the runs below the cut did not carry.
    pub(crate) densities: Vec<Option<Vec<f64>>>,
}

impl Trial {
    /// Densities of all laws at one run; a law that was not there stands at the mean of those that were.
    fn at(&self, run: usize) -> Option<Vec<f64>> {
        let there: Vec<f64> = self.densities.iter().flatten().map(|of_law| of_law[run]).collect();
        let mean = there.iter().sum::<f64>() / there.len() as f64;
        let all = self.densities.iter().map(|of_law| of_law.as_ref().map_or(mean, |d| d[run]));
        (mean > 0.0 && mean.is_finite()).then(|| all.collect())
    }

    fn runs(&self) -> usize {
        self.densities.iter().flatten().map(Vec::len).next().unwrap_or(0)
    }
}

/// Weights of so many laws from past cuts.
pub(crate) fn stack(trials: &[Trial], laws: usize) -> Vec<f64> {
    let equal = 1.0 / laws.max(1) as f64;
    let cuts = trials.iter().filter(|trial| trial.runs() > 0).count() as f64;
    let share = ((cuts - CASES_BEFORE_STACKING) / cuts.max(1.0)).max(0.0);
    if share <= 0.0 {
        return vec![equal; laws];
    }
    let best = risen(trials, laws);
    best.iter().map(|weight| share * weight + (1.0 - share) * equal).collect()
}

fn risen(trials: &[Trial], laws: usize) -> Vec<f64> {
    let mut weights = vec![1.0 / laws as f64; laws];
    for _ in 0..ROUNDS {
        let mut taken = vec![0.0; laws];
        for trial in trials {
            let rows: Vec<Vec<f64>> = (0..trial.runs()).filter_map(|run| trial.at(run)).collect();
            for row in &rows {
                let mixed: f64 = weights.iter().zip(row).map(|(w, p)| w * p).sum();
                let each = taken.iter_mut().zip(weights.iter().zip(row));
                each.for_each(|(taken, (w, p))| *taken += w * p / (mixed * rows.len() as f64));
            }
        }
        let total: f64 = taken.iter().sum();
        if total > 0.0 && total.is_finite() {
            weights = taken.iter().map(|taken| taken / total).collect();
        }
    }
    weights
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trials(count: usize, densities: [f64; 2]) -> Vec<Trial> {
        let trial = Trial { densities: densities.map(|d| Some(vec![d])).to_vec() };
        vec![trial; count]
    }

    #[test]
    fn eight_cuts_or_fewer_leave_the_weights_equal() {
        for count in 0..=8 {
            assert_eq!(stack(&trials(count, [9.0, 1.0]), 2), [0.5, 0.5]);
        }
    }

    #[test]
    fn many_cuts_prefer_the_law_that_forecast_better() {
        // One law always nine times as likely: q is (1, 0), and of 40 cuts 32 in 40 count.
        let weights = stack(&trials(40, [9.0, 1.0]), 2);
        assert!((weights[0] - (0.8 + 0.1)).abs() < 1e-3, "{weights:?}");
    }

    #[test]
    fn laws_that_take_turns_share_as_the_turns_do() {
        // Certain in turn, 3 to 1: the mixture of the greatest likelihood has the shares of the turns.
        let mut all = trials(300, [1.0, 1e-9]);
        all.extend(trials(100, [1e-9, 1.0]));
        let weights = stack(&all, 2);
        let expected = 0.98 * 0.75 + 0.02 * 0.5;
        assert!((weights[0] - expected).abs() < 1e-3, "{weights:?}");
    }

    #[test]
    fn a_law_that_was_not_there_is_neither_praised_nor_blamed() {
        let trial = Trial { densities: vec![Some(vec![2.0]), None] };
        let weights = stack(&vec![trial; 40], 2);
        assert!((weights[0] - 0.5).abs() < 1e-9, "{weights:?}");
    }

    #[test]
    fn the_order_of_cuts_does_not_move_weights() {
        let mut all = trials(20, [2.0, 1.0]);
        all.extend(trials(10, [1.0, 5.0]));
        let forth = stack(&all, 2);
        all.reverse();
        let back = stack(&all, 2);
        assert!((forth[0] - back[0]).abs() < 1e-9);
    }
}
