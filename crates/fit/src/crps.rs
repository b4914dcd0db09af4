//! The continuous ranked probability score, exactly.

use forescale_core::predictive::Predictive;

/// CRPS of an outcome under a distribution given by quantiles, in the outcome's unit.
///
/// # Formula
///
/// CRPS = ∫₀¹ 2 (1{y < q(u)} − u)(q(u) − y) du, with q the quantile function: linear between stored levels and constant
/// outside them, so that the integral is exact.
///
/// # Remarks
///
/// Beyond the outermost of the 199 levels all mass stands at the outermost value: a tail of 0.5% on either side has no
/// length. An outcome past it is scored by its distance to that value. For a normal distribution this costs under 0.01%
/// of the score within two deviations of its mean.
///
/// # Reference
///
/// Gneiting and Raftery, 2007, *Strictly proper scoring rules, prediction, and estimation*, equation 21 and section 4.2.
#[must_use]
pub fn crps(predictive: &Predictive, outcome: f64) -> f64 {
    let (levels, values) = (&predictive.levels, &predictive.values);
    let Some((&first, &last)) = values.first().zip(values.last()) else { return 0.0 };
    let mut total = piece((0.0, first), (levels[0], first), outcome);
    for i in 1..levels.len() {
        total += piece((levels[i - 1], values[i - 1]), (levels[i], values[i]), outcome);
    }
    total + piece((levels[levels.len() - 1], last), (1.0, last), outcome)
}

/// The integral over one straight piece, split where it crosses the outcome.
fn piece((u0, q0): (f64, f64), (u1, q1): (f64, f64), outcome: f64) -> f64 {
    if q0 < outcome && outcome < q1 {
        let crossing = u0 + (u1 - u0) * (outcome - q0) / (q1 - q0);
        return piece((u0, q0), (crossing, outcome), outcome) + piece((crossing, outcome), (u1, q1), outcome);
    }
    let indicator = if 0.5 * (q0 + q1) > outcome { 1.0 } else { 0.0 };
    // The integrand is a product of two linear functions of u, so Simpson's rule is exact.
    let at = |u: f64, q: f64| 2.0 * (indicator - u) * (q - outcome);
    (u1 - u0) / 6.0 * (at(u0, q0) + 4.0 * at(0.5 * (u0 + u1), 0.5 * (q0 + q1)) + at(u1, q1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use forescale_core::math;

    #[test]
    fn a_point_forecast_scores_its_absolute_error() {
        let point = Predictive { levels: vec![0.5], values: vec![2.0] };
        assert!((crps(&point, 2.5) - 0.5).abs() < 1e-15);
        assert!((crps(&point, 1.0) - 1.0).abs() < 1e-15);
    }

    #[test]
    fn a_uniform_distribution_scores_what_the_integral_says() {
        // Uniform on [0, 1]: CRPS = y^3/3 + (1 - y)^3/3, so 1/12 at y = 1/2.
        let levels: Vec<f64> = (1..10_000).map(|i| f64::from(i) / 10_000.0).collect();
        let uniform = Predictive { values: levels.clone(), levels };
        assert!((crps(&uniform, 0.5) - 1.0 / 12.0).abs() < 1e-6);
        assert!((crps(&uniform, 0.2) - (0.008 + 0.512) / 3.0).abs() < 1e-6);
    }

    #[test]
    fn two_quartiles_score_what_the_integral_comes_to_by_hand() {
        // q = 0 up to 1/4, 2(u − 1/4) up to 3/4, then 1. At y = 1/2 each half gives ∫₀^¼ u du = 1/32 and
        // ∫_¼^½ 2u(1 − 2u) du = 1/24; at y = 2 the three pieces give 1/8, 17/24 and 7/16.
        let quartiles = Predictive { levels: vec![0.25, 0.75], values: vec![0.0, 1.0] };
        assert!((crps(&quartiles, 0.5) - 2.0 * (1.0 / 32.0 + 1.0 / 24.0)).abs() < 1e-15);
        assert!((crps(&quartiles, 2.0) - (1.0 / 8.0 + 17.0 / 24.0 + 7.0 / 16.0)).abs() < 1e-15);
    }

    #[test]
    fn a_point_scores_the_absolute_error() {
        let point = Predictive { levels: vec![0.5], values: vec![3.0] };
        assert!((crps(&point, 3.7) - 0.7).abs() < 1e-15 && crps(&point, 3.0).abs() < 1e-15);
    }

    #[test]
    fn a_normal_distribution_scores_its_closed_form_off_its_mean_too() {
        // σ[z(2Φ(z) − 1) + 2φ(z) − 1/√π] with σ = 2 about 5, φ(0.7) = 0.3122539, Φ(0.7) = 0.7580363, φ(2) = 0.0539910,
        // Φ(2) = 0.9772499 (Abramowitz and Stegun, table 26.1).
        let levels = Predictive::standard_levels();
        let values = levels.iter().map(|&p| 5.0 + 2.0 * math::normal_quantile(p)).collect();
        let predictive = Predictive { levels, values };
        for (z, density, below) in [(0.7, 0.312_253_9, 0.758_036_3), (2.0, 0.053_991_0, 0.977_249_9)] {
            let closed = 2.0 * (z * (2.0 * below - 1.0) + 2.0 * density - 0.564_189_6);
            let score = crps(&predictive, 5.0 + 2.0 * z);
            assert!((score / closed - 1.0).abs() < 1e-4, "{z}: {score} {closed}");
            // Straight between levels half a percent apart: off by 1.2e-4 at most here.
            assert!((predictive.pit(5.0 + 2.0 * z) - below).abs() < 2e-4, "{z}");
        }
    }

    #[test]
    fn a_normal_distribution_scores_close_to_gneitings_closed_form() {
        // Gneiting and Raftery 2007, section 4.2: at the mean 2 phi(0) - 1/sqrt(pi) = 0.2336950; the 199 stored levels cut
        // the tails at 0.005, which costs under 0.2%.
        let levels = Predictive::standard_levels();
        let values = levels.iter().map(|&p| math::normal_quantile(p)).collect();
        let score = crps(&Predictive { levels, values }, 0.0);
        assert!((score - 0.233_695_0).abs() < 5e-4, "{score}");
    }
}
