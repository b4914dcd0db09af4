//! What one residual costs, with its first two derivatives.

use forescale_core::math;

use crate::Objective;

/// An objective with its width: continuation solves a sequence of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Where the square turns straight; infinite for least squares.
    delta: f64,
    /// Factor on the whole.
    factor: f64,
    /// Further factor on r > 0.
    above: f64,
    /// Whether the square is of the loss: (e^r − 1)² against r², for a weight of the observed loss squared.
    on_loss: bool,
}

/// Width at which Huber stands for least absolute deviations: far below any digit of a loss.
const LEAST_ABSOLUTE_DELTA: f64 = 1e-9;

/// Widths of the continuation: the first after least squares, and by what each is narrower. Chosen here, by the evaluations
/// that the classic starts took under Huber at 1e-3 on the six tables of `benches/fit.md`. They differ little: a first width
/// of 0.03 or steps of 10 take 1 to 2% more, one width fewer 8%.
const WIDEST_HUBER: f64 = 0.005;
const NARROWING: f64 = 2.3;

impl Cost {
    /// The cost of an objective, as it is reported: Σr² for least squares, Σ|r| for least absolute deviations.
    pub(crate) fn of(objective: Objective) -> Self {
        let square = Self { delta: f64::INFINITY, factor: 2.0, above: 1.0, on_loss: false };
        match objective {
            Objective::Huber { delta } => Self { delta, factor: 1.0, ..square },
            Objective::LeastSquares => square,
            Objective::LeastSquaresLoss => Self { on_loss: true, ..square },
            Objective::LeastAbsolute => {
                Self { delta: LEAST_ABSOLUTE_DELTA, factor: 1.0 / LEAST_ABSOLUTE_DELTA, ..square }
            }
            Objective::Asymmetric { delta, overestimate_penalty } => {
                Self { delta, factor: 1.0, above: overestimate_penalty, ..square }
            }
        }
    }

    /// What an observation's weight is multiplied by: (L − L_observed)² = L_observed² (e^r − 1)², so that a square of the
    /// loss is a cost of the log residual like any other.
    pub(crate) fn leverage(self, loss: f64) -> f64 {
        if self.on_loss { loss * loss } else { 1.0 }
    }

    /// Widths from least squares down to this cost's own, for continuation: always two at least, for a start may have a
    /// vanished term put back in the first only.
    pub(crate) fn stages(self) -> Vec<Self> {
        let mut stages = Vec::new();
        let mut delta = WIDEST_HUBER;
        if self.on_loss {
            stages.push(Self { on_loss: false, ..self });
        }
        if self.delta.is_finite() {
            stages.push(Self { delta: f64::INFINITY, factor: 1.0, ..self });
            while delta > self.delta * 1.5 {
                stages.push(Self { delta, factor: 1.0, ..self });
                delta /= NARROWING;
            }
        }
        if stages.is_empty() {
            stages.push(self);
        }
        stages.push(self);
        stages
    }

    /// The last widths alone: from near an optimum.
    pub(crate) fn last_stages(self) -> Vec<Self> {
        let mut stages = self.stages();
        stages.split_off(stages.len().saturating_sub(2))
    }

    fn side(self, residual: f64) -> f64 {
        if residual > 0.0 { self.factor * self.above } else { self.factor }
    }

    /// ρ(r).
    pub(crate) fn value(self, residual: f64) -> f64 {
        if self.on_loss {
            let excess = math::exp_m1(residual);
            return 0.5 * self.side(residual) * excess * excess;
        }
        let size = residual.abs();
        let inner = if size <= self.delta { 0.5 * size * size } else { self.delta * (size - 0.5 * self.delta) };
        self.side(residual) * inner
    }

    /// ψ(r) = ρ′(r).
    pub(crate) fn slope(self, residual: f64) -> f64 {
        if self.on_loss {
            return self.side(residual) * math::exp_m1(residual) * math::exp(residual);
        }
        self.side(residual) * residual.clamp(-self.delta, self.delta)
    }

    /// ρ″(r).
    pub(crate) fn bend(self, residual: f64) -> f64 {
        if self.on_loss {
            let ratio = math::exp(residual);
            return self.side(residual) * ratio * (2.0 * ratio - 1.0);
        }
        if residual.abs() <= self.delta { self.side(residual) } else { 0.0 }
    }

    /// The weight of a Gauss–Newton step: ψ(r)/r, that of iteratively reweighted least squares; of a square of the loss
    /// its own, e^2r.
    pub(crate) fn irls_weight(self, residual: f64) -> f64 {
        if self.on_loss {
            return self.side(residual) * math::exp(2.0 * residual);
        }
        self.side(residual) * if residual.abs() <= self.delta { 1.0 } else { self.delta / residual.abs() }
    }

    /// Whether the square is of the loss.
    pub(crate) fn on_loss(self) -> bool {
        self.on_loss
    }

    /// The factors on r ≤ 0 and on r > 0.
    pub(crate) fn sides(self) -> [f64; 2] {
        [self.factor, self.factor * self.above]
    }

    /// Where the square turns straight.
    pub(crate) fn delta(self) -> f64 {
        self.delta
    }
}

/// The objective's name as typed.
pub(crate) fn kind(objective: Objective) -> &'static str {
    match objective {
        Objective::Huber { .. } => "huber",
        Objective::LeastSquares => "lsq",
        Objective::LeastSquaresLoss => "lsq_loss",
        Objective::LeastAbsolute => "lad",
        Objective::Asymmetric { .. } => "asymmetric",
    }
}

/// The objective's delta, where it has one.
pub(crate) fn delta(objective: Objective) -> Option<f64> {
    match objective {
        Objective::Huber { delta } | Objective::Asymmetric { delta, .. } => Some(delta),
        Objective::LeastSquares | Objective::LeastSquaresLoss | Objective::LeastAbsolute => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huber_is_square_inside_and_straight_outside() {
        // Huber 1964, with delta 0.1: 0.05 -> 0.00125; 0.3 -> 0.1 (0.3 - 0.05) = 0.025.
        let cost = Cost::of(Objective::Huber { delta: 0.1 });
        assert!((cost.value(0.05) - 0.00125).abs() < 1e-16);
        assert!((cost.value(-0.3) - 0.025).abs() < 1e-16);
        assert!((cost.slope(-0.3) + 0.1).abs() < 1e-16);
    }

    #[test]
    fn slopes_agree_with_finite_differences_for_every_objective() {
        let all = [
            Objective::Huber { delta: 0.1 },
            Objective::LeastSquares,
            Objective::LeastSquaresLoss,
            Objective::LeastAbsolute,
            Objective::Asymmetric { delta: 0.1, overestimate_penalty: 10.0 },
        ];
        for objective in all {
            let cost = Cost::of(objective);
            for residual in [-0.31, -0.05, 0.04, 0.22] {
                let slope = (cost.value(residual + 1e-6) - cost.value(residual - 1e-6)) / 2e-6;
                assert!((slope - cost.slope(residual)).abs() < 1e-7 * slope.abs().max(1.0), "{objective:?} {residual}");
            }
        }
    }

    #[test]
    fn least_squares_on_loss_is_the_squared_difference_of_the_losses() {
        // Predicted 2.2 against 2.5: 0.09; its bend by finite differences of the slope, tested above.
        let cost = Cost::of(Objective::LeastSquaresLoss);
        let residual = math::ln(2.2_f64 / 2.5);
        assert!((cost.leverage(2.5) * cost.value(residual) - 0.09).abs() < 1e-15);
        let bend = (cost.slope(residual + 1e-6) - cost.slope(residual - 1e-6)) / 2e-6;
        assert!((bend - cost.bend(residual)).abs() < 1e-8);
    }

    #[test]
    fn predicting_too_much_costs_ten_times_as_much_when_asked() {
        let cost = Cost::of(Objective::Asymmetric { delta: 1e-3, overestimate_penalty: 10.0 });
        assert!((cost.value(0.2) / cost.value(-0.2) - 10.0).abs() < 1e-12);
    }
}
