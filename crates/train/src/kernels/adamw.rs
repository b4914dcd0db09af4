//! AdamW in place, one pass over a weight, its moments and its gradient.
//!
//! # Formula
//!
//! m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; w ← w·(1 − η·λ) − η·(m / c₁) / (√(v / c₂) + ε), with
//! c = 1 − β^t. Loshchilov and Hutter, arXiv:1711.05101. The gradient is scaled for clipping as it is read.

use super::simd::{madd, multiversion};

/// Scalars of one update.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Update {
    pub(crate) rate: f32,
    pub(crate) beta1: f32,
    pub(crate) beta2: f32,
    /// 1 / (1 − β₁^t).
    pub(crate) first_correction: f32,
    /// 1 / (1 − β₂^t).
    pub(crate) second_correction: f32,
    pub(crate) epsilon: f32,
    /// 1 − η·λ.
    pub(crate) keep: f32,
    /// Factor on the gradient, for clipping.
    pub(crate) gradient_scale: f32,
}

/// A weight's two moments.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Moments {
    pub(crate) first: Vec<f32>,
    pub(crate) second: Vec<f32>,
}

multiversion! {
    /// One update of a weight and its moments.
    pub(crate) fn adamw(update: &Update, weight: &mut [f32], gradient: &[f32], moments: &mut Moments) = body
}

#[inline(always)]
fn body<const FUSED: bool>(update: &Update, weight: &mut [f32], gradient: &[f32], moments: &mut Moments) {
    let Update { rate, beta1, beta2, epsilon, keep, .. } = *update;
    let step = rate * update.first_correction;
    let (first_share, second_share) = (1.0 - beta1, 1.0 - beta2);
    let state = moments.first.iter_mut().zip(&mut moments.second);
    for ((w, g), (m, v)) in weight.iter_mut().zip(gradient).zip(state) {
        let g = g * update.gradient_scale;
        *m = madd::<FUSED>(beta1, *m, first_share * g);
        *v = madd::<FUSED>(beta2, *v, second_share * g * g);
        *w = *w * keep - step * *m / ((*v * update.second_correction).sqrt() + epsilon);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update() -> Update {
        Update {
            rate: 0.1,
            beta1: 0.9,
            beta2: 0.99,
            first_correction: 1.0 / (1.0 - 0.9),
            second_correction: 1.0 / (1.0 - 0.99),
            epsilon: 1e-8,
            keep: 1.0 - 0.1 * 0.5,
            gradient_scale: 1.0,
        }
    }

    #[test]
    fn the_first_step_is_the_sign_of_the_gradient_times_the_rate() {
        // At t = 1 both corrections cancel: m/c₁ = g and √(v/c₂) = |g|. With decay 0.5: 2·0.95 ∓ 0.1.
        let mut weights = vec![2.0; 3];
        let mut moments = Moments { first: vec![0.0; 3], second: vec![0.0; 3] };
        adamw(&update(), &mut weights, &[3.0, -0.2, 0.0], &mut moments);
        for (weight, expected) in weights.iter().zip([1.8, 2.0, 1.9]) {
            assert!((weight - expected).abs() < 1e-5, "{weights:?}");
        }
        assert!((moments.first[0] - 0.3).abs() < 1e-6 && (moments.second[0] - 0.09).abs() < 1e-6);
    }

    #[test]
    fn equals_the_plain_formula_over_several_steps() {
        // The formula above in f64, one value at a time; 37 values, so that there is a rest after whole vectors.
        let gradient = |step: usize, index: usize| ((index * 7 + step * 5) % 11) as f32 * 0.1 - 0.5;
        let start: Vec<f32> = (0..37).map(|index| index as f32 * 0.05 - 0.9).collect();
        let (mut weights, mut moments) = (start.clone(), Moments { first: vec![0.0; 37], second: vec![0.0; 37] });
        let mut plain: Vec<[f64; 3]> = start.iter().map(|weight| [f64::from(*weight), 0.0, 0.0]).collect();
        for step in 1..=4 {
            let (c1, c2) = (1.0 - 0.9f64.powi(step), 1.0 - 0.99f64.powi(step));
            let update =
                Update { first_correction: (1.0 / c1) as f32, second_correction: (1.0 / c2) as f32, ..update() };
            let gradients: Vec<f32> = (0..37).map(|index| gradient(step as usize, index)).collect();
            adamw(&update, &mut weights, &gradients, &mut moments);
            for ([w, m, v], g) in plain.iter_mut().zip(gradients) {
                let g = f64::from(g);
                (*m, *v) = (0.9 * *m + 0.1 * g, 0.99 * *v + 0.01 * g * g);
                *w = *w * (1.0 - 0.1 * 0.5) - 0.1 * (*m / c1) / ((*v / c2).sqrt() + 1e-8);
            }
        }
        for (ours, [plain, ..]) in weights.iter().zip(plain) {
            assert!((f64::from(*ours) - plain).abs() < 1e-5, "{ours} {plain}");
        }
    }

    #[test]
    fn a_scaled_gradient_is_the_same_as_a_smaller_one() {
        let run = |gradient: f32, gradient_scale: f32| {
            let mut weights = vec![1.0];
            let mut moments = Moments { first: vec![0.1], second: vec![0.2] };
            adamw(&Update { gradient_scale, ..update() }, &mut weights, &[gradient], &mut moments);
            (weights, moments)
        };
        assert_eq!(run(4.0, 0.25), run(1.0, 1.0));
    }
}
