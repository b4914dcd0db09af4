//! Loss curves by the share of the run that is done: brought into order, averaged where they are dense, read between points.

use forescale_core::math;
use forescale_core::track::ProgressPoint;

use super::{FROM, ROUNDING};

/// Where a curve has [`DENSE`] points or more in one of so many pieces of the run, they are averaged against the noise of
/// single batches (chosen here).
const PIECES: usize = 24;
const DENSE: usize = 3;

/// A loss curve from [`FROM`] on, in order.
pub(super) struct Curve {
    pub(super) points: Vec<CurvePoint>,
}

/// A point of a curve: one that was logged, or the mean of a piece.
#[derive(Clone, Copy)]
pub(super) struct CurvePoint {
    pub(super) at: ProgressPoint,
    /// Standard error of ln L, where it is a mean; else 0.
    pub(super) error: f64,
}

impl Curve {
    /// The whole curve of a finished run.
    pub(super) fn of(logged: &[ProgressPoint]) -> Self {
        Self::averaged(&pieces(&judged(logged)))
    }

    /// The curve of a run under way: a piece that has only begun is a noisier mean than those it is held against, and waits.
    pub(super) fn so_far(logged: &[ProgressPoint]) -> Self {
        let points = judged(logged);
        let mut pieces = pieces(&points);
        let ended = points.last().is_some_and(|point| point.share >= 1.0 - ROUNDING);
        let begun = match pieces.as_slice() {
            [.., before, last] => before.len() >= DENSE && 2 * last.len() < before.len(),
            _ => false,
        };
        if begun && !ended {
            pieces.pop();
        }
        Self::averaged(&pieces)
    }

    fn averaged(pieces: &[&[ProgressPoint]]) -> Self {
        let of_piece = |piece: &&[ProgressPoint]| {
            if piece.len() < DENSE {
                piece.iter().map(|at| CurvePoint { at: *at, error: 0.0 }).collect()
            } else {
                vec![mean(piece)]
            }
        };
        Self { points: pieces.iter().flat_map(of_piece).collect() }
    }

    /// The curve at a share: where there is a point, that; else on the straight line between its neighbours in logarithms of
    /// share and loss, which goes on for half a piece beyond either end, where the mean of a piece lies inside it.
    pub(super) fn at(&self, share: f64) -> Option<ProgressPoint> {
        let gap = |point: &CurvePoint| (point.at.share - share).abs();
        let nearest = self.points.iter().min_by(|a, b| gap(a).total_cmp(&gap(b)))?;
        if gap(nearest) <= ROUNDING {
            return Some(ProgressPoint { share, ..nearest.at });
        }
        let between = self.points[0].at.share < share && share < self.points[self.points.len() - 1].at.share;
        if !between && gap(nearest) > 0.5 / PIECES as f64 + ROUNDING {
            return None;
        }
        let after = self.points.partition_point(|point| point.at.share < share).clamp(1, self.points.len().max(2) - 1);
        let (before, after) = (self.points.get(after - 1)?.at, self.points.get(after)?.at);
        let of_logs = math::ln(share / before.share) / math::ln(after.share / before.share);
        let of_shares = (share - before.share) / (after.share - before.share);
        let loss = before.loss * math::pow(after.loss / before.loss, of_logs);
        let rate = before.rate.zip(after.rate).map(|(from, to)| (from + (to - from) * of_shares).max(0.0));
        Some(ProgressPoint { share, loss, rate })
    }

    /// Whether any point tells its learning rate.
    pub(super) fn tells_rates(&self) -> bool {
        self.points.iter().any(|point| point.at.rate.is_some())
    }
}

/// The points that can be judged, in order.
fn judged(logged: &[ProgressPoint]) -> Vec<ProgressPoint> {
    let can_be = |point: &&ProgressPoint| point.share >= FROM - ROUNDING && point.loss.is_finite() && point.loss > 0.0;
    let mut points: Vec<ProgressPoint> = logged.iter().filter(can_be).copied().collect();
    points.sort_by(|a, b| a.share.total_cmp(&b.share));
    points
}

fn pieces(points: &[ProgressPoint]) -> Vec<&[ProgressPoint]> {
    let piece = |point: &ProgressPoint| (point.share * PIECES as f64).ceil() as usize;
    points.chunk_by(|a, b| piece(a) == piece(b)).collect()
}

/// Points of one piece of a run as one, geometric means and the mean of the rates, with the standard error of its ln L. The
/// fall of the loss within a piece counts as scatter too: it is small beside that of batches.
fn mean(points: &[ProgressPoint]) -> CurvePoint {
    let count = points.len() as f64;
    let of = |value: fn(&ProgressPoint) -> f64| points.iter().map(|point| math::ln(value(point))).sum::<f64>() / count;
    let (share, loss) = (of(|point| point.share), of(|point| point.loss));
    let squares = points.iter().map(|point| (math::ln(point.loss) - loss) * (math::ln(point.loss) - loss)).sum::<f64>();
    let rates: Option<Vec<f64>> = points.iter().map(|point| point.rate).collect();
    let rate = rates.map(|rates| rates.iter().sum::<f64>() / count);
    let at = ProgressPoint { share: math::exp(share), loss: math::exp(loss), rate };
    CurvePoint { at, error: (squares / (count - 1.0) / count).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(share: f64, loss: f64) -> ProgressPoint {
        ProgressPoint { share, loss, rate: Some(1.0 - share) }
    }

    #[test]
    fn between_points_a_power_of_the_share_is_read_exactly() {
        let curve = Curve::of(&[0.2, 0.5, 1.0].map(|share| point(share, 3.0 * math::pow(share, -0.25))));
        let read = curve.at(0.3).expect("a point");
        assert!((read.loss - 3.0 * math::pow(0.3, -0.25)).abs() < 1e-12, "{read:?}");
        assert!((read.rate.expect("a rate") - 0.7).abs() < 1e-12);
        // Half a piece beyond the ends, and no further.
        assert!(curve.at(0.19).is_some() && curve.at(0.15).is_none());
        assert!(Curve::of(&[point(0.5, 2.0)]).at(0.52).is_none());
    }

    #[test]
    fn a_dense_piece_is_its_geometric_mean_with_the_error_of_a_mean() {
        // ln L of −d, 0 and d about ln 2: standard deviation d, standard error d / √3.
        let logs = [0.01_f64, 0.0, -0.01];
        let points: Vec<ProgressPoint> =
            [0.46, 0.47, 0.48].iter().zip(logs).map(|(share, log)| point(*share, 2.0 * math::exp(log))).collect();
        let curve = Curve::of(&points);
        let [one] = curve.points.as_slice() else { panic!("{} points", curve.points.len()) };
        assert!((one.at.loss - 2.0).abs() < 1e-12);
        assert!((one.error - 0.01 / 3.0_f64.sqrt()).abs() < 1e-12, "{}", one.error);
    }
}
