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

/// ln of what a loss is above its floor, with derivatives by θ.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LogExcess {
    pub(super) value: f64,
    pub(super) gradient: Theta,
    /// Lower triangle and upper.
    pub(super) hessian: [Theta; MAX_PARAMETERS],
}

impl LogExcess {
    /// Adds factor · v vᵀ to the second derivatives.
    pub(super) fn add_outer(&mut self, vector: &Theta, factor: f64) {
        for (row, vi) in self.hessian.iter_mut().zip(vector) {
            row.iter_mut().zip(vector).for_each(|(entry, vj)| *entry += factor * vi * vj);
        }
    }

    /// Sets a mixed second derivative, both ways.
    pub(super) fn set(&mut self, i: usize, j: usize, value: f64) {
        self.hessian[i][j] = value;
        self.hessian[j][i] = value;
    }

    /// The response of a floor (value and place in θ) plus this excess: with s the excess' share of the loss,
    /// ∇ln L = s∇g + ∇E/L and ∇²ln L = s(∇²g + ∇g∇gᵀ) − ∇ln L ∇ln Lᵀ.
    pub(super) fn above(mut self, floor: Option<(f64, usize)>) -> Response {
        let Some((floor, index)) = floor else {
            return Response { log_loss: self.value, gradient: self.gradient, hessian: self.hessian };
        };
        let excess = math::exp(self.value);
        let loss = floor + excess;
        let (share, own) = (excess / loss, self.gradient);
        self.add_outer(&own, 1.0);
        let mut response = Response { log_loss: math::ln(loss), ..Response::default() };
        response.gradient = own.map(|slope| share * slope);
        response.gradient[index] += 1.0 / loss;
        for (i, row) in response.hessian.iter_mut().enumerate() {
            for (j, entry) in row.iter_mut().enumerate() {
                *entry = share * self.hessian[i][j] - response.gradient[i] * response.gradient[j];
            }
        }
        response
    }
}
