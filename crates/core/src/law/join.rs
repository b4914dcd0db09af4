//! Two falling terms joined as (u^{1/κ} + v^{1/κ})^κ: their sum at κ = 1, the larger of the two as κ goes to 0.
//!
//! Computed in logarithms, g = κ ln(e^{p/κ} + e^{q/κ}) with p = ln u and q = ln v, so that no power overflows however
//! small κ is. With w the share of u^{1/κ} in the sum and t = (p − q)/κ: ∂g/∂p = w, ∂g/∂q = 1 − w,
//! ∂g/∂κ = −w ln w − (1 − w) ln(1 − w), and the second derivatives are w(1 − w)/κ times the outer square of (1, −1, −t).

use crate::math;

/// The joint term, with what its derivatives need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Join {
    /// g.
    pub(super) value: f64,
    /// w and 1 − w.
    pub(super) shares: [f64; 2],
    /// ∂g/∂κ.
    pub(super) by_kappa: f64,
    /// w(1 − w)/κ.
    pub(super) bend: f64,
    /// t.
    pub(super) contrast: f64,
}

impl Join {
    /// Of ln u, ln v and κ.
    pub(super) fn of(log_u: f64, log_v: f64, kappa: f64) -> Self {
        let contrast = (log_u - log_v) / kappa;
        let fall = math::exp(-contrast.abs());
        let rest = math::ln_1p(fall);
        let (large, small) = (1.0 / (1.0 + fall), fall / (1.0 + fall));
        let shares = if contrast >= 0.0 { [large, small] } else { [small, large] };
        // -large ln(large) - small ln(small), where ln(large) = -rest and ln(small) = -|t| - rest.
        let by_kappa = rest + small * contrast.abs();
        Self { value: log_u.max(log_v) + kappa * rest, shares, by_kappa, bend: large * small / kappa, contrast }
    }
}

/// g alone.
pub(super) fn joined(log_u: f64, log_v: f64, kappa: f64) -> f64 {
    log_u.max(log_v) + kappa * math::ln_1p(math::exp(-(log_u - log_v).abs() / kappa))
}
