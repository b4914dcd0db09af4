//! The best split of a budget between size and data, for laws in which one term falls with each.

use super::{Centre, LawForm, Theta, padded};
use crate::math;

/// The best size and data for a budget, and the loss there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OptimalPoint {
    /// N*.
    pub params: f64,
    /// D*.
    pub tokens: f64,
    /// L(N*, D*).
    pub loss: f64,
}

/// Where a law puts its optimum under C = `flops_per_product` × N × D.
pub(super) fn optimal_point<F: LawForm + ?Sized>(
    form: &F,
    natural: &Theta,
    flops: f64,
    flops_per_product: f64,
) -> Option<OptimalPoint> {
    let theta = form.internal(natural, &Centre::ONE);
    let log_product = math::ln(flops / flops_per_product);
    let (log_params, _) = form.log_optimal_params(&theta, &Centre::ONE, log_product)?;
    let [params, tokens] = [log_params, log_product - log_params].map(math::exp);
    let loss = math::exp(form.log_loss(&theta, &Centre::ONE.position(params, tokens, flops)));
    Some(OptimalPoint { params, tokens, loss })
}

/// Two terms exp(a − αx) and exp(b − βy) joined as (u^{1/κ} + v^{1/κ})^κ: their values at the centre and exponents.
pub(super) struct Balance {
    pub(super) log_amplitudes: [f64; 2],
    pub(super) exponents: [f64; 2],
    pub(super) kappa: f64,
}

impl Balance {
    /// ln N* and its derivatives by a, b, α, β and κ.
    ///
    /// Along N·D = P the loss is least where αu^{1/κ} = βv^{1/κ}, that is
    /// (α + β) ln N* = κ ln(α/β) + ln A − ln B + β ln P.
    pub(super) fn log_params(&self, centre: &Centre, log_product: f64) -> (f64, Theta) {
        let ([a, b], [alpha, beta]) = (self.log_amplitudes, self.exponents);
        let (n0, d0) = (centre.log_params, centre.log_tokens);
        let (sum, log_ratio) = (alpha + beta, math::ln(alpha / beta));
        let top = self.kappa * log_ratio + a + alpha * n0 - b - beta * d0 + beta * log_product;
        let value = top / sum;
        let by_alpha = (self.kappa / alpha + n0 - value) / sum;
        let by_beta = (-self.kappa / beta - d0 + log_product - value) / sum;
        (value, padded([1.0 / sum, -1.0 / sum, by_alpha, by_beta, log_ratio / sum]))
    }
}
