//! Whether a run's curve turned away from where it was going.
//!
//! A forecast many times beyond the ladder is wide, and a run can go wrong well inside its band. What is far better known is
//! how a curve goes on from where it has been: T(x) = ln L(x) − mean of ln L over the points before. For the runs of the
//! ladder T is read at the same shares and fitted by a straight line in ln C; the forecasts of the shares give a second
//! answer for the target. Their mean is the prediction, and half their difference is added, as a variance, to the line's
//! error of prediction, as is the run's own error where its points are means of many. A run has turned where T lies above
//! the prediction by more than the two-sided 99.9% quantile of Student's t, and is back when half of that excess is gone.

use forescale_core::math;
use forescale_core::track::Change;

use crate::path::line;

/// Ladder runs with a curve over all of the points (chosen here: a line and three degrees left to tell its scatter).
const MIN_RUNS: usize = 5;
/// One-sided level beyond which a curve has turned: one point in 2000 of good runs if the errors were normal.
const LEVEL: f64 = 0.9995;

/// T at the last of some points, given ln L at each; `None` for the first.
pub(super) fn change<P>(points: &[P], log: impl Fn(&P) -> f64) -> Option<f64> {
    let (last, before) = points.split_last()?;
    (!before.is_empty()).then(|| log(last) - before.iter().map(&log).sum::<f64>() / before.len() as f64)
}

/// Variance of [`change`] by the standard errors of the points; 0 where there are none.
pub(super) fn variance<P>(points: &[P], error: impl Fn(&P) -> f64) -> f64 {
    let Some((last, before)) = points.split_last() else { return 0.0 };
    let square = |point: &P| error(point) * error(point);
    let count = before.len().max(1) as f64;
    square(last) + before.iter().map(square).sum::<f64>() / (count * count)
}

/// The prediction for the target: `runs` are ln C and T of the ladder's runs, `told` is T of the forecasts' medians, `own` the
/// variance of the run's own T.
pub(super) fn turn(runs: &[(f64, f64)], told: f64, ln_flops: f64, own: f64) -> Option<Change> {
    if runs.len() < MIN_RUNS {
        return None;
    }
    // Runs read at one and the same point of their curves tell nothing of a change.
    if runs.iter().all(|run| run.1 == 0.0) {
        return None;
    }
    let count = runs.len() as f64;
    let center = runs.iter().map(|run| run.0).sum::<f64>() / count;
    let centred: Vec<(f64, f64)> = runs.iter().map(|run| (run.0 - center, run.1)).collect();
    let mean = runs.iter().map(|run| run.1).sum::<f64>() / count;
    let (level, slope) = line(&centred).unwrap_or((mean, 0.0));
    let spread = centred.iter().map(|run| run.0 * run.0).sum::<f64>();
    let residual = |run: &(f64, f64)| run.1 - level - slope * run.0;
    let degrees = count - 2.0;
    let variance = centred.iter().map(|run| residual(run) * residual(run)).sum::<f64>() / degrees;
    let beyond = ln_flops - center;
    let leverage = if spread > 0.0 { beyond * beyond / spread } else { 0.0 };
    let along = level + slope * beyond;
    let half = 0.5 * (along - told);
    let deviation = (variance * (1.0 + 1.0 / count + leverage) + half * half + own).sqrt();
    let limit = math::student_t_quantile(LEVEL, degrees) * deviation;
    Some(Change { predicted: 0.5 * (along + told), limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The prediction interval of a simple linear regression, worked out by hand: x = 1 to 5, y = 1, 3, 2, 5, 4 has the line
    /// 0.6 + 0.8 x, residual variance 3.6 / 3, and at x = 7 a leverage of 1 + 1/5 + 16/10.
    #[test]
    fn the_limit_is_that_of_a_regression_and_grows_with_the_gap_between_both_answers() {
        let runs = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 5.0), (5.0, 4.0)];
        let agreed = turn(&runs, 6.2, 7.0, 0.0).expect("a turn");
        // Student's t with 3 degrees at 0.9995: 12.924 (any table).
        let limit = 12.924 * (1.2_f64 * 2.8).sqrt();
        assert!((agreed.predicted - 6.2).abs() < 1e-12 && (agreed.limit / limit - 1.0).abs() < 1e-4, "{agreed:?}");
        let apart = turn(&runs, 8.2, 7.0, 0.0).expect("a turn");
        let wider = 12.924 * (1.2_f64 * 2.8 + 1.0).sqrt();
        assert!((apart.predicted - 7.2).abs() < 1e-12 && (apart.limit / wider - 1.0).abs() < 1e-4, "{apart:?}");
    }

    #[test]
    fn four_runs_or_runs_that_say_nothing_of_a_change_give_no_limit() {
        let runs = [(1.0, 1.0), (2.0, 3.0), (3.0, 2.0), (4.0, 5.0)];
        assert_eq!(turn(&runs, 1.0, 7.0, 0.0), None);
        assert_eq!(turn(&[(1.0, 0.0), (2.0, 0.0), (3.0, 0.0), (4.0, 0.0), (5.0, 0.0)], 1.0, 7.0, 0.0), None);
        assert!((variance(&[0.1, 0.2, 0.3], |error| *error) - (0.09 + (0.01 + 0.04) / 4.0)).abs() < 1e-15);
        assert_eq!(change(&[1.0], |log| *log), None);
        assert_eq!(change(&[1.0, 3.0, 1.0], |log| *log), Some(-1.0));
    }
}
