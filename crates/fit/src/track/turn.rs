//! Whether a run's curve turned away from where it was going.
//!
//! A forecast many times beyond the ladder is wide, and a run can go wrong well inside its band. What is far better known is
//! how a curve goes on from where it has been: T(x) = ln L(x) − mean of ln L over the points before. For the runs of the
//! ladder T is read at the same shares and fitted by a straight line in ln C; the forecasts of the shares give a second
//! answer for the target. Their mean is the prediction, and half their difference is added, as a variance, to the line's
//! error of prediction. A run has turned where T lies further away than the two-sided 99.9% quantile of Student's t.

use forescale_core::math;
use forescale_core::track::Change;

/// Ladder runs with a curve over all of the points (chosen here: a line and three degrees left to tell its scatter).
const MIN_RUNS: usize = 5;
/// One-sided level beyond which a curve has turned: with tens of points in a run, an alarm in a hundred good runs or less,
/// for T of one point is close to T of the next.
const LEVEL: f64 = 0.9995;

/// T of a curve, given ln L at its points so far; `None` for the first.
pub(super) fn change(logs: &[f64]) -> Option<f64> {
    let (last, before) = logs.split_last()?;
    (!before.is_empty()).then(|| last - before.iter().sum::<f64>() / before.len() as f64)
}

/// The prediction for the target: `runs` are ln C and T of the ladder's runs, `told` is T of the forecasts' medians.
pub(super) fn turn(runs: &[(f64, f64)], told: f64, ln_flops: f64) -> Option<Change> {
    if runs.len() < MIN_RUNS {
        return None;
    }
    let count = runs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| runs.iter().map(of).sum::<f64>() / count;
    let (center, level) = (mean(|run| run.0), mean(|run| run.1));
    let spread = runs.iter().map(|run| (run.0 - center) * (run.0 - center)).sum::<f64>();
    let slope = if spread > 0.0 { runs.iter().map(|run| (run.0 - center) * run.1).sum::<f64>() / spread } else { 0.0 };
    let residual = |run: &(f64, f64)| run.1 - level - slope * (run.0 - center);
    let degrees = count - 2.0;
    let variance = runs.iter().map(|run| residual(run) * residual(run)).sum::<f64>() / degrees;
    let beyond = ln_flops - center;
    let leverage = if spread > 0.0 { beyond * beyond / spread } else { 0.0 };
    let line = level + slope * beyond;
    let half = 0.5 * (line - told);
    let deviation = (variance * (1.0 + 1.0 / count + leverage) + half * half).sqrt();
    let limit = math::student_t_quantile(LEVEL, degrees) * deviation;
    Some(Change { predicted: 0.5 * (line + told), limit })
}
