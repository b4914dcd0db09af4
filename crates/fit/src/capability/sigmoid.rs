//! Accuracy as a sigmoid of one number that rises with skill: ln C, or a loss with its sign changed.
//!
//! # Formula
//!
//! Acc = b + (h − b) / (1 + e^(−a − s·z)), z the coordinate less its weighted mean, over its spread; s > 0. The lower end b
//! is chance, or lies about it (a deviation of 0.02: guessing by length or by prior does better or worse than blind
//! guessing); the upper end h lies between chance and 1.
//!
//! # Identifiability
//!
//! Scores that have covered half of a sigmoid do not tell its upper end, and noise at chance makes a step of any steepness.
//! Weak expectations hold both: the logit of the upper end's share of what chance leaves is 1.5 ± 1.5 (between 0.5 and
//! 0.95), ln s is 0 ± 1.5, each against points that err by 0.02.
//!
//! # Reference
//!
//! A. Bhagia et al. (2024), *Establishing task scaling laws via compute-efficient model ladders*, arXiv:2412.04403, step 2,
//! whose two ends are free.

use forescale_core::law::{Theta, padded};
use forescale_core::math;

use super::least_squares::{Residual, from_start, lowest};

/// Deviation of one score, against which expectations weigh (chosen here: 500 problems at 30%).
const SCORE_SD: f64 = 0.02;
const STEEPNESS_SD: f64 = 1.5;
const TOP: (f64, f64) = (1.5, 1.5);
const ABOUT_CHANCE_SD: f64 = 0.02;
const NOT_TOLD_SD: f64 = 0.1;

/// One score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Score {
    /// The coordinate, rising with skill.
    pub(crate) at: f64,
    pub(crate) value: f64,
    /// How much it counts; at most 1.
    pub(crate) weight: f64,
}

/// Whether the lower end is chance itself or lies about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bottom {
    Chance,
    AboutChance,
    /// About the lowest rung, for want of a chance.
    NotTold,
}

impl Bottom {
    fn parameters(self) -> usize {
        match self {
            Self::Chance => 3,
            Self::AboutChance | Self::NotTold => 4,
        }
    }

    /// How far it may lie from the level it is about; none where it is that level.
    fn deviation(self) -> Option<f64> {
        match self {
            Self::Chance => None,
            Self::AboutChance => Some(ABOUT_CHANCE_SD),
            Self::NotTold => Some(NOT_TOLD_SD),
        }
    }
}

/// A fitted sigmoid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sigmoid {
    theta: Theta,
    bottom: Bottom,
    chance: f64,
    middle: f64,
    spread: f64,
}

impl Sigmoid {
    /// The least squares over several starts; `None` where the scores have one coordinate.
    pub(crate) fn fit(scores: &[Score], chance: f64, bottom: Bottom) -> Option<Self> {
        let total: f64 = scores.iter().map(|score| score.weight).sum();
        let middle = scores.iter().map(|score| score.weight * score.at).sum::<f64>() / total;
        let count = scores.len() as f64;
        let plain = scores.iter().map(|score| score.at).sum::<f64>() / count;
        let square = scores.iter().map(|score| (score.at - plain) * (score.at - plain)).sum::<f64>();
        let spread = (square / count).sqrt();
        if !(spread > 0.0 && spread.is_finite()) {
            return None;
        }
        let frame = Self { theta: Theta::default(), bottom, chance, middle, spread };
        let starts = [-4.0, -2.0, 0.0].into_iter().flat_map(|a| [-1.0, 0.5].map(|s| padded([a, s, TOP.0, chance])));
        let found = lowest(&|theta: &Theta| frame.residuals(scores, theta), starts, bottom.parameters())?;
        Some(Self { theta: found.theta, ..frame })
    }

    /// The same law by other weights or values, from where this one lies.
    pub(crate) fn again(&self, scores: &[Score]) -> Option<Self> {
        let found = from_start(&|theta: &Theta| self.residuals(scores, theta), self.theta, self.bottom.parameters())?;
        Some(Self { theta: found.theta, ..*self })
    }

    /// Accuracy at a coordinate.
    pub(crate) fn at(&self, coordinate: f64) -> f64 {
        self.value(&self.theta, coordinate).0
    }

    /// Symbols and estimates: lower end, upper end, slope by the coordinate in logits, coordinate of the middle.
    pub(crate) fn parameters(&self) -> [(&'static str, f64); 4] {
        let [a, s, ..] = self.theta;
        let slope = math::exp(s) / self.spread;
        let (top, bottom) = self.ends(&self.theta);
        [("b", bottom), ("h", top), ("k", slope), ("x0", self.middle - a / slope)]
    }

    fn ends(&self, theta: &Theta) -> (f64, f64) {
        let bottom = match self.bottom {
            Bottom::Chance => self.chance,
            Bottom::AboutChance | Bottom::NotTold => theta[3],
        };
        (self.chance + (1.0 - self.chance) * logistic(theta[2]), bottom)
    }

    fn value(&self, theta: &Theta, coordinate: f64) -> Residual {
        let z = (coordinate - self.middle) / self.spread;
        let steepness = math::exp(theta[1]);
        let (top, bottom) = self.ends(theta);
        let (rise, share) = (logistic(theta[0] + steepness * z), logistic(theta[2]));
        let slope = (top - bottom) * rise * (1.0 - rise);
        let by_top = rise * (1.0 - self.chance) * share * (1.0 - share);
        let by_bottom = if self.bottom == Bottom::Chance { 0.0 } else { 1.0 - rise };
        (bottom + (top - bottom) * rise, padded([slope, slope * steepness * z, by_top, by_bottom]))
    }

    fn residuals(&self, scores: &[Score], theta: &Theta) -> Vec<Residual> {
        let one = |score: &Score| {
            let factor = score.weight.sqrt() / SCORE_SD;
            let (value, gradient) = self.value(theta, score.at);
            (factor * (value - score.value), gradient.map(|g| factor * g))
        };
        let mut all: Vec<Residual> = scores.iter().map(one).collect();
        all.push((theta[1] / STEEPNESS_SD, padded([0.0, 1.0 / STEEPNESS_SD])));
        all.push(((theta[2] - TOP.0) / TOP.1, padded([0.0, 0.0, 1.0 / TOP.1])));
        if let Some(deviation) = self.bottom.deviation() {
            all.push(((theta[3] - self.chance) / deviation, padded([0.0, 0.0, 0.0, 1.0 / deviation])));
        }
        all
    }
}

/// 1/(1 + e^(−x)).
pub(crate) fn logistic(x: f64) -> f64 {
    if x >= 0.0 {
        1.0 / (1.0 + math::exp(-x))
    } else {
        let e = math::exp(x);
        e / (1.0 + e)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(of: impl Fn(f64) -> f64) -> Vec<Score> {
        (0..24).map(|i| f64::from(i) / 3.0).map(|at| Score { at, value: of(at), weight: 1.0 }).collect()
    }

    #[test]
    fn a_sigmoid_that_was_seen_whole_comes_back() {
        // Lower end 0.25, upper end 0.25 + 0.75 · 0.8176 = 0.8632 (the expectation's middle), slope 1.5 about 4.
        let truth = |x: f64| 0.25 + 0.75 * logistic(1.5) * logistic(1.5 * (x - 4.0));
        let law = Sigmoid::fit(&made(truth), 0.25, Bottom::Chance).expect("fits");
        for x in [0.0, 3.0, 4.0, 9.0] {
            assert!((law.at(x) - truth(x)).abs() < 2e-3, "{x}: {} {}", law.at(x), truth(x));
        }
        let [_, (_, top), (_, slope), (_, middle)] = law.parameters();
        assert!((top - 0.8632).abs() < 0.005 && (slope - 1.5).abs() < 0.05 && (middle - 4.0).abs() < 0.05);
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let scores = made(|x| 0.3 + 0.05 * x);
        let law = Sigmoid::fit(&scores, 0.25, Bottom::AboutChance).expect("fits");
        let theta = padded([0.3, -0.4, 0.8, 0.24]);
        let at = law.residuals(&scores, &theta);
        for i in 0..4 {
            let [up, down] = [1e-6, -1e-6].map(|step| {
                let mut moved = theta;
                moved[i] += step;
                law.residuals(&scores, &moved)
            });
            for ((exact, up), down) in at.iter().zip(&up).zip(&down) {
                let slope = (up.0 - down.0) / 2e-6;
                assert!((slope - exact.1[i]).abs() < 1e-5 * (1.0 + slope.abs()), "{i}: {slope} {}", exact.1[i]);
            }
        }
    }

    #[test]
    fn it_never_falls_and_never_leaves_its_ends() {
        let law = Sigmoid::fit(&made(|x| 0.9 - 0.05 * x), 0.25, Bottom::Chance).expect("fits");
        let values: Vec<f64> = (-20..40).map(|i| law.at(f64::from(i))).collect();
        assert!(values.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12));
        assert!(values.iter().all(|value| (0.25 - 1e-12..=1.0).contains(value)));
    }

    #[test]
    fn one_coordinate_tells_no_sigmoid() {
        let scores = [Score { at: 2.0, value: 0.4, weight: 1.0 }; 4];
        assert!(Sigmoid::fit(&scores, 0.25, Bottom::Chance).is_none());
    }
}
