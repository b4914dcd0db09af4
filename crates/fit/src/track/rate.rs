//! Whether a run's learning rate is where the ladder's is at the same share: losses at different places of a schedule are not
//! alike.

use forescale_core::math;
use forescale_core::track::ProgressPoint;

use super::curve::{Curve, CurvePoint};

/// Rates this far apart, as shares of the peak, are of different schedules (chosen here: more than a warmup rounded to whole
/// steps makes, less than a cooldown loses in a tenth of its length).
const RATES_APART: f64 = 0.08;
/// Share of the points at which rates must agree for a factor between them to be believed, and for a run to be judged by those
/// points (chosen here).
const MOSTLY: f64 = 0.6;

/// What is said where a rate is another than the ladder's mean.
pub(super) fn other_rate(own: Option<f64>, read: impl Iterator<Item = ProgressPoint>) -> Option<String> {
    let theirs = mean_rate(read)?;
    let own = own.filter(|rate| (rate - theirs).abs() > RATES_APART)?;
    let percent = |share: f64| format!("{:.0}%", 100.0 * share);
    Some(format!(
        "its learning rate is {} of the peak there, as the ladder counts, and the ladder's {}",
        percent(own),
        percent(theirs)
    ))
}

/// Whether so few points are of the ladder's schedule that agreement there is chance.
pub(super) fn is_another_schedule(other: usize, seen: usize) -> bool {
    other as f64 > (1.0 - MOSTLY) * seen as f64
}

/// The factor that brings a run's logged rates to shares of the ladder's peak: the median over points, where most of them
/// then agree; else 1, the highest rate logged being taken for the peak.
pub(super) fn rate_scale(seen: &Curve, curves: &[Curve]) -> f64 {
    let of_point = |point: &CurvePoint| {
        let theirs = mean_rate(curves.iter().filter_map(|curve| curve.at(point.at.share)))?;
        point.at.rate.filter(|rate| *rate > 0.0).map(|own| (own, theirs))
    };
    let pairs: Vec<(f64, f64)> = seen.points.iter().filter_map(of_point).collect();
    let ratios: Vec<f64> = pairs.iter().map(|(own, theirs)| theirs / own).collect();
    let scale = math::median(&ratios).unwrap_or(1.0);
    let alike = pairs.iter().filter(|(own, theirs)| (scale * own - theirs).abs() <= RATES_APART).count();
    if alike as f64 >= MOSTLY * pairs.len() as f64 { scale } else { 1.0 }
}

fn mean_rate(points: impl Iterator<Item = ProgressPoint>) -> Option<f64> {
    let rates: Vec<f64> = points.filter_map(|point| point.rate).collect();
    (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
}
