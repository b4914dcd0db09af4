//! A straight line through groups of points: one slope for all, an intercept for each.

use forescale_core::estimate::Estimate;
use forescale_core::math;

use super::LEVEL;

/// The common slope of y on x, with standard error and interval where degrees of freedom are left.
///
/// # Formula
///
/// s = Σ (x − x̄)(y − ȳ) / Σ (x − x̄)², means by group; se² = Σ r² / df / Σ (x − x̄)², df = points − groups − 1, and the
/// interval is Student's. One group is an ordinary line. `None` where no group has two different x.
pub(super) fn common_slope(groups: &[Vec<(f64, f64)>]) -> Option<Estimate> {
    let (mut xx, mut xy, mut yy, mut degrees) = (0.0, 0.0, 0.0, -1.0);
    for group in groups.iter().filter(|group| !group.is_empty()) {
        let (mean_x, mean_y) = means(group);
        for (x, y) in group {
            xx += (x - mean_x) * (x - mean_x);
            xy += (x - mean_x) * (y - mean_y);
            yy += (y - mean_y) * (y - mean_y);
        }
        degrees += group.len() as f64 - 1.0;
    }
    if xx <= 0.0 {
        return None;
    }
    let slope = xy / xx;
    // The sum of squares left over; rounding may leave less than nothing.
    let left = (yy - slope * xy).max(0.0);
    let error = (degrees > 0.0).then(|| (left / degrees / xx).sqrt());
    Some(with_interval(slope, error, degrees))
}

/// An estimate with Student's interval, where it has a standard error.
pub(super) fn with_interval(estimate: f64, standard_error: Option<f64>, degrees: f64) -> Estimate {
    let reach = standard_error.map(|error| error * math::student_t_quantile(0.5 + 0.5 * LEVEL, degrees));
    let [lower, upper] = [-1.0, 1.0].map(|sign| reach.map(|reach| estimate + sign * reach));
    Estimate { estimate, standard_error, lower, upper, level: LEVEL }
}

/// Means of x and y.
pub(super) fn means(points: &[(f64, f64)]) -> (f64, f64) {
    let n = points.len() as f64;
    points.iter().fold((0.0, 0.0), |(x, y), point| (x + point.0 / n, y + point.1 / n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slope_and_its_standard_error_are_those_worked_by_hand() {
        // x 1 2 3 4, y 2 4 5 4: Sxx = 5, Sxy = 3.5, Syy = 4.75, slope 0.7, rest 4.75 − 0.7·3.5 = 2.3 over 2 degrees,
        // se = √(1.15 / 5) = 0.479583; t(0.95; 2) = 2.919986 (Abramowitz and Stegun, table 26.10), reach 1.400376.
        let slope = common_slope(&[vec![(1.0, 2.0), (2.0, 4.0), (3.0, 5.0), (4.0, 4.0)]]).expect("a slope");
        assert!((slope.estimate - 0.7).abs() < 1e-12);
        assert!((slope.standard_error.expect("df 2") - 0.479_583_152).abs() < 1e-8);
        assert!((slope.upper.expect("df 2") - 2.100_376_1).abs() < 1e-6);
    }

    #[test]
    fn groups_share_a_slope_and_keep_their_own_height() {
        // Two parallel lines of slope −0.5, a gap of 10 between them: no rest, and 4 − 2 − 1 = 1 degree of freedom.
        let groups = [vec![(0.0, 1.0), (2.0, 0.0)], vec![(1.0, 11.0), (5.0, 9.0)], vec![(3.0, 99.0)], Vec::new()];
        let slope = common_slope(&groups).expect("a slope");
        assert!((slope.estimate + 0.5).abs() < 1e-12);
        assert!(slope.standard_error.expect("df 1") < 1e-6);
    }

    #[test]
    fn too_few_points_have_no_slope_or_no_interval() {
        assert_eq!(common_slope(&[]), None);
        assert_eq!(common_slope(&[vec![(1.0, 2.0)], vec![(2.0, 3.0)]]), None);
        let two = common_slope(&[vec![(1.0, 2.0), (2.0, 3.0)]]).expect("a slope");
        assert_eq!((two.standard_error, two.lower, two.upper), (None, None, None));
    }
}
