//! Losses that are a floor plus terms that fall with scale, with their derivatives.

use super::{MAX_PARAMETERS, Response, Theta};
use crate::math;

/// One falling term exp(log_amplitude − exponent × x), and where its two parameters stand in θ.
pub(super) struct Term {
    amplitude_index: usize,
    exponent_index: usize,
    value: f64,
    x: f64,
}

impl Term {
    pub(super) fn at(theta: &Theta, amplitude_index: usize, exponent_index: usize, x: f64) -> Self {
        let value = math::exp(theta[amplitude_index] - theta[exponent_index] * x);
        Self { amplitude_index, exponent_index, value, x }
    }
}

/// The response of a loss that is a floor plus falling terms; `floor` is the floor's value and place in θ.
pub(super) fn response_of_sum(floor: Option<(f64, usize)>, terms: &[Term]) -> Response {
    let loss = floor.map_or(0.0, |(value, _)| value) + terms.iter().map(|term| term.value).sum::<f64>();
    let mut response = Response { log_loss: math::ln(loss), ..Response::default() };
    for term in terms {
        let (a, b, share) = (term.amplitude_index, term.exponent_index, term.value / loss);
        response.gradient[a] = share;
        response.gradient[b] = -term.x * share;
        response.hessian[a][a] = share;
        response.hessian[a][b] = -term.x * share;
        response.hessian[b][a] = -term.x * share;
        response.hessian[b][b] = term.x * term.x * share;
    }
    if let Some((_, index)) = floor {
        response.gradient[index] = 1.0 / loss;
    }
    for i in 0..MAX_PARAMETERS {
        for j in 0..MAX_PARAMETERS {
            response.hessian[i][j] -= response.gradient[i] * response.gradient[j];
        }
    }
    response
}
