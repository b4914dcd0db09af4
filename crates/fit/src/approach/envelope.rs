//! Approach 1: the lower envelope of loss against compute, and the sizes that lie on it.
//!
//! Over training curves, each curve is read at budgets laid evenly in ln C, and the lowest curve wins; a size that wins
//! over a range of budgets gives one point, in the middle of the range, because neighbouring budgets on one curve are one
//! finding and not many. Over finished runs the lowest run of each budget wins. Either way a winner counts only with
//! smaller and larger sizes to win against: at the ends of the sizes tried the envelope belongs to the grid.
//!
//! A minimum over noisy runs picks the lucky ones. That cannot be repaired here, so that it is said: every envelope
//! carries the doubt, with the number of sizes it chose from.

use std::collections::BTreeMap;

use forescale_core::approach::EnvelopePoint;
use forescale_core::math;
use forescale_core::observation::Observation;

use super::TrainingCurve;
use super::isoflop::size_range;
use crate::path;

/// Budgets at which curves are compared, per decade of compute (chosen here: a step of 8%, finer than sizes are spaced).
const BUDGETS_PER_DECADE: f64 = 30.0;
/// Budgets at most, however many decades.
const MOST_BUDGETS: usize = 600;

/// The envelope.
pub(crate) struct Envelope {
    pub(crate) points: Vec<EnvelopePoint>,
    /// How many sizes a winner was chosen from, in the median.
    pub(crate) chosen_from: usize,
    /// Standard deviation of ln N that comes of naming one of the sizes tried: of an even spread over the distance between
    /// two neighbours. Nothing for curves, whose points stand in the middle of the stretch that a size wins.
    pub(crate) rounding: f64,
}

/// The envelope of training curves.
pub(crate) fn of_curves(curves: &[&TrainingCurve]) -> Envelope {
    let tracks: Vec<Track> = curves.iter().filter_map(|curve| Track::of(curve)).collect();
    let wins: Vec<(f64, Option<Win>)> =
        levels(&tracks).into_iter().map(|log_flops| (log_flops, winner(&tracks, log_flops))).collect();
    let chosen_from = typical(wins.iter().filter_map(|(_, win)| win.as_ref().map(|win| win.sizes)));
    let mut points = Vec::new();
    for stretch in wins.chunk_by(|a, b| a.1.as_ref().map(|w| w.track) == b.1.as_ref().map(|w| w.track)) {
        let Some(win) = &stretch[0].1 else { continue };
        let middle = 0.5 * (stretch[0].0 + stretch[stretch.len() - 1].0);
        points.extend(tracks[win.track].point(middle));
    }
    Envelope { points, chosen_from, rounding: 0.0 }
}

/// The envelope of finished runs.
pub(crate) fn of_runs(observations: &[&Observation]) -> Envelope {
    let slope = path::overall_slope(observations, path::BUDGET_FACTOR).unwrap_or(0.0);
    let mut points = Vec::new();
    let cut = path::budgets(observations, path::BUDGET_FACTOR);
    for budget in &cut {
        let log_flops = path::mean_log_flops(budget);
        let level = |o: &Observation| path::level(o, slope, log_flops);
        let lowest = budget.iter().min_by(|a, b| level(a).total_cmp(&level(b)));
        points.extend(lowest.filter(|o| is_inside(o.params, budget.iter().map(|o| o.params))).map(|o| point_of(o)));
    }
    let sizes = |budget: &Vec<&Observation>| path::distinct(budget.iter().map(|o| math::ln(o.params)));
    let apart = |budget: &Vec<&Observation>| {
        let ((low, high), gaps) = (size_range(budget), sizes(budget).saturating_sub(1));
        (gaps > 0).then(|| (high - low) / gaps as f64)
    };
    let apart: Vec<f64> = cut.iter().filter_map(apart).collect();
    let rounding = math::median(&apart).unwrap_or(0.0) / 12.0_f64.sqrt();
    Envelope { points, chosen_from: typical(cut.iter().map(sizes)), rounding }
}

fn point_of(o: &Observation) -> EnvelopePoint {
    EnvelopePoint { run_id: o.run_id.clone(), flops: o.flops, params: o.params, tokens: o.tokens, loss: o.loss }
}

/// Whether there are smaller and larger sizes beside this one.
fn is_inside(params: f64, sizes: impl Iterator<Item = f64>) -> bool {
    let (smaller, larger) =
        sizes.fold((false, false), |(below, above), n| (below || n < 0.98 * params, above || n > 1.02 * params));
    smaller && larger
}

fn typical(counts: impl Iterator<Item = usize>) -> usize {
    let mut sorted: Vec<usize> = counts.collect();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

/// A curve in logarithms: (ln C, ln D, ln L), rising in ln C.
struct Track {
    run_id: String,
    params: f64,
    points: Vec<[f64; 3]>,
}

/// Who wins at a budget, and against how many sizes.
struct Win {
    track: usize,
    sizes: usize,
}

impl Track {
    fn of(curve: &TrainingCurve) -> Option<Self> {
        let logs = |p: &super::CurvePoint| [math::ln(p.flops), math::ln(p.tokens), math::ln(p.loss)];
        let mut points: Vec<[f64; 3]> = curve.points.iter().map(logs).collect();
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
        points.dedup_by(|b, a| b[0] <= a[0]);
        (points.len() > 1).then(|| Self { run_id: curve.run_id.clone(), params: curve.params, points })
    }

    fn range(&self) -> (f64, f64) {
        (self.points[0][0], self.points[self.points.len() - 1][0])
    }

    /// ln D and ln L at a compute within the curve, straight between its points.
    fn at(&self, log_flops: f64) -> Option<(f64, f64)> {
        let (low, high) = self.range();
        if !(low..=high).contains(&log_flops) {
            return None;
        }
        let above = self.points.partition_point(|p| p[0] < log_flops).clamp(1, self.points.len() - 1);
        let (left, right) = (self.points[above - 1], self.points[above]);
        let share = (log_flops - left[0]) / (right[0] - left[0]);
        Some((left[1] + share * (right[1] - left[1]), left[2] + share * (right[2] - left[2])))
    }

    fn point(&self, log_flops: f64) -> Option<EnvelopePoint> {
        let (log_tokens, log_loss) = self.at(log_flops)?;
        let [flops, tokens, loss] = [log_flops, log_tokens, log_loss].map(math::exp);
        Some(EnvelopePoint { run_id: self.run_id.clone(), flops, params: self.params, tokens, loss })
    }
}

/// Budgets from the first compute any curve has to the last.
fn levels(tracks: &[Track]) -> Vec<f64> {
    let ends = tracks.iter().map(Track::range);
    let (low, high) = ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), (a, b)| (l.min(a), h.max(b)));
    if low >= high {
        return Vec::new();
    }
    let wanted = BUDGETS_PER_DECADE * (high - low) / core::f64::consts::LN_10;
    let steps = (wanted as usize).clamp(1, MOST_BUDGETS);
    (0..=steps).map(|i| low + (high - low) * i as f64 / steps as f64).collect()
}

/// The lowest curve at a budget, where smaller and larger sizes are there to compare with.
fn winner(tracks: &[Track], log_flops: f64) -> Option<Win> {
    let there: BTreeMap<usize, f64> =
        tracks.iter().enumerate().filter_map(|(i, track)| track.at(log_flops).map(|(_, loss)| (i, loss))).collect();
    let (&track, _) = there.iter().min_by(|a, b| a.1.total_cmp(b.1))?;
    let sizes = || there.keys().map(|&i| tracks[i].params);
    is_inside(tracks[track].params, sizes()).then(|| Win { track, sizes: path::distinct(sizes().map(math::ln)) })
}

#[cfg(test)]
mod tests {
    use super::super::CurvePoint;
    use super::*;

    /// Curves of L = 1.69 + 406.4/N^0.34 + 410.7/D^0.28 at sizes a factor apart, from 1 to 1000 tokens per parameter.
    fn curves(sizes: i32, factor: f64) -> Vec<TrainingCurve> {
        let curve = |i: i32| {
            let params = 1e7 * math::pow(factor, f64::from(i));
            let point = |j: i32| {
                let tokens = params * math::pow(10.0, f64::from(j) / 40.0);
                let loss = 1.69 + 406.4 * math::pow(params, -0.34) + 410.7 * math::pow(tokens, -0.28);
                CurvePoint { tokens, flops: 6.0 * params * tokens, loss }
            };
            TrainingCurve { run_id: format!("size{i:02}"), group: None, params, points: (0..=120).map(point).collect() }
        };
        (0..sizes).map(curve).collect()
    }

    #[test]
    fn every_size_but_the_first_and_last_wins_once() {
        let curves = curves(12, 1.6);
        let envelope = of_curves(&curves.iter().collect::<Vec<_>>());
        let names: Vec<&str> = envelope.points.iter().map(|p| p.run_id.as_str()).collect();
        let expected: Vec<String> = (1..11).map(|i| format!("size{i:02}")).collect();
        assert_eq!(names, expected);
        assert!(envelope.chosen_from >= 5, "{}", envelope.chosen_from);
    }

    #[test]
    fn a_curve_is_read_straight_between_its_points_in_logarithms() {
        let point = |flops: f64, loss: f64| CurvePoint { tokens: flops / 60.0, flops, loss };
        let curve = TrainingCurve {
            run_id: "one".to_owned(),
            group: None,
            params: 10.0,
            points: vec![point(1e4, 2.0), point(1e2, 8.0)],
        };
        let track = Track::of(&curve).expect("two points");
        let (_, log_loss) = track.at(math::ln(1e3)).expect("inside");
        assert!((math::exp(log_loss) - 4.0).abs() < 1e-12);
        assert_eq!(track.at(math::ln(1e5)), None);
    }

    #[test]
    fn nothing_has_no_envelope() {
        assert!(of_curves(&[]).points.is_empty());
        assert!(of_runs(&[]).points.is_empty());
    }
}
