//! How compute is split into size and data under a law: the one-dimensional problem behind every optimum.
//!
//! A budget C = k·N·(D + T/3) pays for training on D tokens and for serving T: a token served costs the forward third of
//! a token trained. Along a budget one variable is left, ln N, and the loss has one minimum there. Where a loss is given
//! instead, the budget is sought whose minimum is that loss. Works with any law of size and data: only its values are
//! used, so that no law has to know of caps. Bounded by bisection throughout; nothing is random.

use forescale_core::answer::{Aim, Caps};
use forescale_core::law::{Position, Theta};
use forescale_core::math;

use crate::problem::FitProblem;

/// Half the distance, in ln N and ln D, over which the law's slope is taken: error 1e-9 of the slope, far above rounding.
const SLOPE_STEP: f64 = 1e-4;
/// Solutions are found to this distance in a logarithm.
const PRECISION: f64 = 1e-12;
/// Steps of a root; bisection alone needs fifty.
const MAX_STEPS: usize = 100;
/// Widest budget sought, natural logarithms above the middle of the data: a factor of 1e52.
const FARTHEST: f64 = 120.0;
/// What a functional is where the law has no solution: so far off that no profile goes there.
const NOWHERE: f64 = 1e4;
/// Training costs three times the forward pass (forward 2N, backward 4N FLOPs a token; Kaplan et al. 2020, table 1).
const TRAINING_OVER_FORWARD: f64 = 3.0;

/// What is sought, under which caps, and what N·D costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Allocation {
    pub(crate) aim: Aim,
    pub(crate) caps: Caps,
    /// k in C = k·N·D.
    pub(crate) flops_per_product: f64,
}

/// A size with its data, as logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Split {
    pub(crate) log_params: f64,
    pub(crate) log_tokens: f64,
}

/// The quantities of a solution that intervals are wanted for, each as a logarithm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Wanted {
    Params,
    Tokens,
    Loss,
    Training,
    Total,
    /// Over the unconstrained optimum: loss where a budget is given, total compute where a loss is.
    Ratio,
}

impl Allocation {
    /// The same aim without caps and serving.
    pub(crate) fn unconstrained(&self) -> Self {
        Self { caps: Caps::default(), ..*self }
    }

    /// Tokens served, as tokens trained that cost as much.
    fn served(&self) -> f64 {
        self.caps.serving.map_or(0.0, |serving| serving.tokens() / TRAINING_OVER_FORWARD)
    }

    /// ln of the FLOPs that serving costs at a size; `None` without serving.
    pub(crate) fn log_serving_flops_per_param(&self) -> Option<f64> {
        self.caps.serving.map(|_| math::ln(self.flops_per_product * self.served()))
    }

    /// Value of a functional and its gradient by θ; far off where there is no solution.
    pub(crate) fn at(&self, wanted: Wanted, problem: &FitProblem, theta: &Theta) -> (f64, Theta) {
        self.found(wanted, &Law::new(problem, theta)).unwrap_or((NOWHERE, Theta::default()))
    }

    fn found(&self, wanted: Wanted, law: &Law) -> Option<(f64, Theta)> {
        let solution = self.solution(law)?;
        let (Split { log_params, log_tokens }, motion) = (solution.split, self.motion(law, &solution));
        Some(match wanted {
            Wanted::Params => (log_params, motion.params),
            Wanted::Tokens => (log_tokens, motion.tokens),
            Wanted::Loss => (law.log_loss(solution.split), motion.loss),
            Wanted::Training => (
                math::ln(self.flops_per_product) + log_params + log_tokens,
                sum(1.0, &motion.params, 1.0, &motion.tokens),
            ),
            Wanted::Total => self.total(solution.split, &motion),
            Wanted::Ratio => {
                let unconstrained = self.unconstrained();
                let free = unconstrained.solution(law)?;
                let moved = unconstrained.motion(law, &free);
                let [(chosen, along), (other, away)] = match self.aim {
                    Aim::Flops(_) => [(solution.split, motion), (free.split, moved)]
                        .map(|(split, motion)| (law.log_loss(split), motion.loss)),
                    Aim::Loss(_) => [self.total(solution.split, &motion), self.total(free.split, &moved)],
                };
                (chosen - other, sum(1.0, &along, -1.0, &away))
            }
        })
    }

    /// ln of training and serving together.
    fn total(&self, split: Split, motion: &Motion) -> (f64, Theta) {
        let trained = math::exp(split.log_tokens);
        let value = math::ln(self.flops_per_product * (trained + self.served())) + split.log_params;
        (value, sum(1.0, &motion.params, trained / (trained + self.served()), &motion.tokens))
    }

    /// How a solution moves with θ, by the implicit function theorem.
    fn motion(&self, law: &Law, solution: &Solution) -> Motion {
        let Solution { split, log_flops, held } = *solution;
        let pays = match held {
            Held::Free | Held::Size => self.shrink(split),
            Held::Tokens | Held::Corner => 0.0,
        };
        // At a fixed budget: ln N by θ and by ln C; ln D falls by `pays` for each unit of ln N, and rises so with ln C.
        let (params, params_by_flops) = match held {
            Held::Free => self.free_motion(law, split, log_flops),
            Held::Tokens => (Theta::default(), 1.0),
            Held::Size | Held::Corner => (Theta::default(), 0.0),
        };
        let tokens_by_flops = pays * (1.0 - params_by_flops);
        let [by_params, by_tokens] = law.slopes(split);
        let own = law.gradient(split);
        let loss = sum(1.0, &own, by_params - pays * by_tokens, &params);
        let by_flops = match self.aim {
            Aim::Flops(_) => Theta::default(),
            Aim::Loss(_) => sum(-1.0 / (by_params * params_by_flops + by_tokens * tokens_by_flops), &loss, 0.0, &own),
        };
        Motion {
            params: sum(1.0, &params, params_by_flops, &by_flops),
            tokens: sum(-pays, &params, tokens_by_flops, &by_flops),
            loss: if matches!(self.aim, Aim::Flops(_)) { loss } else { Theta::default() },
        }
    }

    /// ln N by θ and by ln C where the slope along the budget is zero.
    fn free_motion(&self, law: &Law, split: Split, log_flops: f64) -> (Theta, f64) {
        let slope = |log_params: f64, log_flops: f64| self.slope(law, self.paid(log_params, log_flops));
        let difference = |of: &dyn Fn(f64) -> f64| (of(SLOPE_STEP) - of(-SLOPE_STEP)) / (2.0 * SLOPE_STEP);
        let by_params = difference(&|step| slope(split.log_params + step, log_flops));
        let by_flops = difference(&|step| slope(split.log_params, log_flops + step));
        let [of_params, of_tokens] = law.gradient_slopes(split);
        let by_theta = sum(1.0, &of_params, -self.shrink(split), &of_tokens);
        (sum(-1.0 / by_params, &by_theta, 0.0, &by_theta), -by_flops / by_params)
    }

    /// How fast ln D falls with ln N along a budget: (D + T/3)/D.
    fn shrink(&self, split: Split) -> f64 {
        1.0 + self.served() / math::exp(split.log_tokens)
    }

    /// How ln L changes with ln N along a budget.
    fn slope(&self, law: &Law, split: Split) -> f64 {
        let [by_params, by_tokens] = law.slopes(split);
        by_params - self.shrink(split) * by_tokens
    }

    /// The best split; `None` where a budget is below one parameter on one token, or no budget reaches the loss.
    pub(crate) fn solve(&self, problem: &FitProblem, theta: &Theta) -> Option<Split> {
        self.solution(&Law::new(problem, theta)).map(|solution| solution.split)
    }

    fn solution(&self, law: &Law) -> Option<Solution> {
        match self.aim {
            Aim::Flops(flops) => self.split(law, math::ln(flops)),
            Aim::Loss(loss) => self.cheapest(law, math::ln(loss)),
        }
    }

    /// The split that a budget pays for at a size, whatever the tokens there are.
    fn paid(&self, log_params: f64, log_flops: f64) -> Split {
        let tokens = math::exp(log_flops - math::ln(self.flops_per_product) - log_params) - self.served();
        Split { log_params, log_tokens: math::ln(tokens.max(1.0)) }
    }

    /// The split of lowest loss at a budget.
    fn split(&self, law: &Law, log_flops: f64) -> Option<Solution> {
        let product = log_flops - math::ln(self.flops_per_product);
        let most = self.caps.max_tokens.map_or(f64::INFINITY, math::ln);
        let (low, high) = self.sizes(product)?;
        let held_at = |log_params: f64, by: Held| {
            let paid = self.paid(log_params, log_flops);
            let (log_tokens, held) = if paid.log_tokens > most { (most, Held::Corner) } else { (paid.log_tokens, by) };
            Solution { split: Split { log_params, log_tokens }, log_flops, held }
        };
        if high <= low {
            let affordable = math::exp(product - high) - self.served() >= 1.0;
            return affordable.then(|| held_at(high, Held::Size));
        }
        let slope = |log_params: f64| self.slope(law, self.paid(log_params, log_flops));
        if slope(high) <= 0.0 {
            return Some(held_at(high, Held::Size));
        }
        if slope(low) >= 0.0 {
            let split = Split { log_params: low, log_tokens: self.paid(low, log_flops).log_tokens.min(most) };
            return Some(Solution { split, log_flops, held: Held::Tokens });
        }
        Some(held_at(rising_root(slope, low, high), Held::Free))
    }

    /// The sizes (ln N) that a budget and the caps leave; one where low is not below high.
    fn sizes(&self, product: f64) -> Option<(f64, f64)> {
        if let Some(params) = self.caps.params {
            return Some((math::ln(params), math::ln(params)));
        }
        let largest = product - math::ln(1.0 + self.served());
        let high = self.caps.max_params.map_or(largest, |most| largest.min(math::ln(most)));
        let low = self.caps.max_tokens.map_or(0.0, |most| (product - math::ln(most + self.served())).max(0.0));
        (high >= 0.0).then_some((low, high))
    }

    /// The split of the least budget that reaches a loss.
    fn cheapest(&self, law: &Law, log_loss: f64) -> Option<Solution> {
        let below = |log_flops: f64| {
            self.split(law, log_flops).map_or(f64::NEG_INFINITY, |found| log_loss - law.log_loss(found.split))
        };
        let middle = self.middle(law);
        let (mut low, mut high, mut width) = (middle, middle, 1.0);
        while below(high) < 0.0 {
            (low, high, width) = (high, high + width, 2.0 * width);
            if high > middle + FARTHEST {
                return None;
            }
        }
        width = 1.0;
        while below(low) >= 0.0 {
            (high, low, width) = (low, low - width, 2.0 * width);
            if low < middle - FARTHEST {
                return None;
            }
        }
        self.split(law, rising_root(below, low, high))
    }

    /// The budget in the middle of the data, as a logarithm.
    fn middle(&self, law: &Law) -> f64 {
        let centre = &law.problem.centre;
        math::ln(self.flops_per_product) + centre.log_params + centre.log_tokens
    }

    /// The lowest loss that the caps allow at any budget.
    pub(crate) fn lowest_loss(&self, problem: &FitProblem, theta: &Theta) -> Option<f64> {
        let law = Law::new(problem, theta);
        let found = self.split(&law, self.middle(&law) + FARTHEST)?;
        Some(math::exp(law.log_loss(found.split)))
    }
}

/// A split with its budget and what holds it.
#[derive(Clone, Copy)]
struct Solution {
    split: Split,
    /// ln C; above what the split costs where both caps are met.
    log_flops: f64,
    held: Held,
}

/// What keeps a split where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Nothing: loss rises either way along the budget.
    Free,
    /// The size is given or at its cap; the budget pays for tokens.
    Size,
    /// Tokens are at their cap; the budget pays for size.
    Tokens,
    /// Both are.
    Corner,
}

/// How the logarithms of a solution move with θ.
struct Motion {
    params: Theta,
    tokens: Theta,
    loss: Theta,
}

/// a·x + b·y.
fn sum(a: f64, x: &Theta, b: f64, y: &Theta) -> Theta {
    core::array::from_fn(|i| a * x[i] + b * y[i])
}

/// A law at one θ.
struct Law<'a> {
    problem: &'a FitProblem,
    theta: &'a Theta,
    /// N = D = C = 1.
    origin: Position,
}

impl<'a> Law<'a> {
    fn new(problem: &'a FitProblem, theta: &'a Theta) -> Self {
        Self { problem, theta, origin: problem.centre.position(1.0, 1.0, 1.0) }
    }

    fn position(&self, at: Split) -> Position {
        Position {
            log_params: self.origin.log_params + at.log_params,
            log_tokens: self.origin.log_tokens + at.log_tokens,
            ..self.origin
        }
    }

    fn log_loss(&self, at: Split) -> f64 {
        self.problem.form.log_loss(self.theta, &self.position(at))
    }

    /// ln L by ln N and by ln D.
    fn slopes(&self, at: Split) -> [f64; 2] {
        let slope = |[down, up]: [Split; 2]| (self.log_loss(up) - self.log_loss(down)) / (2.0 * SLOPE_STEP);
        about(at).map(slope)
    }

    /// ln L by θ.
    fn gradient(&self, at: Split) -> Theta {
        self.problem.form.response(self.theta, &self.position(at)).gradient
    }

    /// The gradient by θ of both slopes.
    fn gradient_slopes(&self, at: Split) -> [Theta; 2] {
        let per_step = 1.0 / (2.0 * SLOPE_STEP);
        about(at).map(|[down, up]| sum(per_step, &self.gradient(up), -per_step, &self.gradient(down)))
    }
}

/// A step down and up in ln N, and in ln D.
fn about(at: Split) -> [[Split; 2]; 2] {
    let steps = [-SLOPE_STEP, SLOPE_STEP];
    let in_params = steps.map(|step| Split { log_params: at.log_params + step, ..at });
    let in_tokens = steps.map(|step| Split { log_tokens: at.log_tokens + step, ..at });
    [in_params, in_tokens]
}

/// Where a function turns from below zero to above, by Chandrupatla's method (1997): inverse quadratic interpolation
/// where three points allow it, a bisection where they do not.
fn rising_root(of: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    let (mut near, mut far) = ((low, of(low)), (high, of(high)));
    let mut share = 0.5;
    for _ in 0..MAX_STEPS {
        let at = near.0 + share * (far.0 - near.0);
        let value = of(at);
        let old = if (value < 0.0) == (near.1 < 0.0) { near } else { core::mem::replace(&mut far, near) };
        near = (at, value);
        let best = if near.1.abs() < far.1.abs() { near } else { far };
        let least = PRECISION * (1.0 + best.0.abs()) / (far.0 - near.0).abs();
        if best.1 == 0.0 || least > 0.5 {
            return best.0;
        }
        share = interpolated(near, far, old).unwrap_or(0.5).clamp(least, 1.0 - least);
    }
    near.0
}

/// Where the inverse parabola through three points is zero, as a share of the way from the first to the second; `None`
/// where it does not rise between them.
fn interpolated((a, fa): (f64, f64), (b, fb): (f64, f64), (c, fc): (f64, f64)) -> Option<f64> {
    let (along, up) = ((a - b) / (c - b), (fa - fb) / (fc - fb));
    let holds = up * up < along && (1.0 - up) * (1.0 - up) < 1.0 - along;
    let share = || fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb);
    holds.then(share)
}

#[cfg(test)]
mod tests;
