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
mod tests {
    use super::*;
    use crate::objective::Cost;
    use crate::published;
    use forescale_core::answer::Serving;
    use forescale_core::law::chinchilla::Chinchilla;
    use forescale_core::law::{LawForm as _, padded};

    const HOFFMANN: [f64; 5] = [406.4, 410.7, 1.69, 0.34, 0.28];

    fn law() -> (FitProblem, Theta) {
        let runs = published::grid(HOFFMANN);
        let problem =
            FitProblem::new(&Chinchilla, &runs.iter().collect::<Vec<_>>(), Cost::of(crate::Objective::LeastSquares));
        let theta = Chinchilla.internal(&padded(HOFFMANN), &problem.centre);
        (problem, theta)
    }

    fn solved(aim: Aim, caps: Caps) -> (f64, f64) {
        let (problem, theta) = law();
        let split = Allocation { aim, caps, flops_per_product: 6.0 }.solve(&problem, &theta).expect("a solution");
        (math::exp(split.log_params), math::exp(split.log_tokens))
    }

    fn loss(params: f64, tokens: f64) -> f64 {
        1.69 + 406.4 * math::pow(params, -0.34) + 410.7 * math::pow(tokens, -0.28)
    }

    #[track_caller]
    fn close(value: f64, expected: f64, tolerance: f64) {
        assert!((value / expected - 1.0).abs() < tolerance, "{value} is not {expected}");
    }

    #[test]
    fn without_caps_it_is_the_closed_form() {
        // G = (αA/βB)^{1/(α+β)}, N* = G (C/6)^{β/(α+β)}: the formula on the law's page.
        for flops in [1e18, 5.76e23, 1e26] {
            let g = math::pow(0.34 * 406.4 / (0.28 * 410.7), 1.0 / 0.62);
            let expected = g * math::pow(flops / 6.0, 0.28 / 0.62);
            let (params, tokens) = solved(Aim::Flops(flops), Caps::default());
            close(params, expected, 1e-6);
            close(6.0 * params * tokens, flops, 1e-9);
        }
    }

    #[test]
    fn the_least_budget_of_a_loss_is_where_the_frontier_has_it() {
        let (params, tokens) = solved(Aim::Flops(5.76e23), Caps::default());
        let (again, data) = solved(Aim::Loss(loss(params, tokens)), Caps::default());
        close(again, params, 1e-6);
        close(data, tokens, 1e-6);
    }

    #[test]
    fn a_cap_on_tokens_that_binds_spends_the_rest_on_size() {
        let caps = Caps { max_tokens: Some(1e11), ..Caps::default() };
        let (params, tokens) = solved(Aim::Flops(5.76e23), caps);
        close(tokens, 1e11, 1e-9);
        close(params, 5.76e23 / 6e11, 1e-9);
    }

    #[test]
    fn a_cap_above_the_unconstrained_optimum_changes_nothing() {
        let free = solved(Aim::Flops(5.76e23), Caps::default());
        let caps = Caps { max_tokens: Some(1e14), max_params: Some(1e14), ..Caps::default() };
        let capped = solved(Aim::Flops(5.76e23), caps);
        close(capped.0, free.0, 1e-9);
        close(capped.1, free.1, 1e-9);
    }

    #[test]
    fn both_caps_at_once_leave_a_corner_and_some_of_the_budget() {
        let caps = Caps { max_tokens: Some(1e10), max_params: Some(1e9), ..Caps::default() };
        let (params, tokens) = solved(Aim::Flops(5.76e23), caps);
        close(params, 1e9, 1e-9);
        close(tokens, 1e10, 1e-9);
    }

    #[test]
    fn a_given_size_leaves_the_data_that_the_budget_pays_or_the_loss_needs() {
        let caps = Caps { params: Some(7e9), ..Caps::default() };
        close(solved(Aim::Flops(1e22), caps).1, 1e22 / 4.2e10, 1e-9);
        // D = (B / (L − E − A N^-α))^{1/β}, the law solved for D.
        let rest = 2.2 - 1.69 - 406.4 * math::pow(7e9, -0.34);
        close(solved(Aim::Loss(2.2), caps).1, math::pow(410.7 / rest, 1.0 / 0.28), 1e-6);
    }

    #[test]
    fn serving_makes_the_model_smaller_and_its_optimum_cannot_be_bettered() {
        // Sardana et al. 2023 (arXiv:2401.00448), equation 2: minimise 6 N D + 2 N T at a given loss. Checked against a
        // grid over N with D from the law solved for D.
        let caps = Caps { serving: Some(Serving { tokens_per_month: 1e12, months: 12.0 }), ..Caps::default() };
        let total = |params: f64, tokens: f64| 6.0 * params * tokens + 2.0 * params * 1.2e13;
        let (free, _) = solved(Aim::Loss(2.0), Caps::default());
        let (params, tokens) = solved(Aim::Loss(2.0), caps);
        assert!(params < 0.8 * free, "{params} {free}");
        close(loss(params, tokens), 2.0, 1e-9);
        for step in [0.5, 0.8, 0.95, 0.99, 1.01, 1.05, 1.25, 2.0] {
            let other = params * step;
            let rest = 2.0 - 1.69 - 406.4 * math::pow(other, -0.34);
            if rest > 0.0 {
                assert!(total(other, math::pow(410.7 / rest, 1.0 / 0.28)) > total(params, tokens), "{step}");
            }
        }
    }

    #[test]
    fn serving_out_of_a_budget_pays_for_both() {
        let caps = Caps { serving: Some(Serving { tokens_per_month: 1e12, months: 12.0 }), ..Caps::default() };
        let (params, tokens) = solved(Aim::Flops(1e24), caps);
        close(6.0 * params * tokens + 2.0 * params * 1.2e13, 1e24, 1e-9);
        for step in [0.8, 0.98, 1.02, 1.2] {
            let other = params * step;
            assert!(loss(other, 1e24 / (6.0 * other) - 4e12) > loss(params, tokens), "{step}");
        }
    }

    #[test]
    fn a_size_too_large_for_one_token_and_a_loss_below_the_floor_have_no_solution() {
        let (problem, theta) = law();
        let none = |aim, caps| Allocation { aim, caps, flops_per_product: 6.0 }.solve(&problem, &theta);
        assert_eq!(none(Aim::Flops(1e18), Caps { params: Some(1e18), ..Caps::default() }), None);
        assert_eq!(none(Aim::Flops(1.0), Caps::default()), None);
        assert_eq!(none(Aim::Loss(1.6), Caps::default()), None);
        // With at most 1e9 tokens even an infinite model stays at 1.69 + 410.7 · 1e9^-0.28 = 2.930.
        let caps = Caps { max_tokens: Some(1e9), ..Caps::default() };
        assert_eq!(none(Aim::Loss(2.9), caps), None);
        let lowest = Allocation { aim: Aim::Loss(2.9), caps, flops_per_product: 6.0 }.lowest_loss(&problem, &theta);
        close(lowest.expect("a loss"), 1.69 + 410.7 * math::pow(1e9, -0.28), 1e-6);
    }

    #[test]
    fn a_root_is_that_of_wallis() {
        // x^3 - 2x - 5 = 0 has the root 2.094551481542327 (Wallis 1685).
        let root = rising_root(|x| x * x * x - 2.0 * x - 5.0, 2.0, 3.0);
        assert!((root - 2.094_551_481_542_327).abs() < 1e-11, "{root}");
    }

    #[test]
    fn gradients_are_those_of_finite_differences_in_every_case() {
        let (problem, theta) = law();
        let serving = Some(Serving { tokens_per_month: 1e12, months: 12.0 });
        let kinds = [
            Caps::default(),
            Caps { max_tokens: Some(2e10), ..Caps::default() },
            Caps { max_params: Some(2e9), ..Caps::default() },
            Caps { params: Some(7e9), ..Caps::default() },
            Caps { serving, ..Caps::default() },
            Caps { serving, max_tokens: Some(3e11), ..Caps::default() },
        ];
        let all = [Wanted::Params, Wanted::Tokens, Wanted::Loss, Wanted::Training, Wanted::Total, Wanted::Ratio];
        for (caps, aim) in kinds.into_iter().flat_map(|caps| [Aim::Flops(3e23), Aim::Loss(2.35)].map(|aim| (caps, aim)))
        {
            let allocation = Allocation { aim, caps, flops_per_product: 6.0 };
            for wanted in all {
                let (_, gradient) = allocation.at(wanted, &problem, &theta);
                for i in 0..5 {
                    let [up, down] = [1e-5, -1e-5].map(|step| {
                        let mut moved = theta;
                        moved[i] += step;
                        allocation.at(wanted, &problem, &moved).0
                    });
                    let slope = (up - down) / 2e-5;
                    let close = (slope - gradient[i]).abs() < 1e-5 * (1.0 + slope.abs());
                    assert!(close, "{caps:?} {aim:?} {wanted:?} {i}: {slope} {}", gradient[i]);
                }
            }
        }
    }

    #[test]
    fn gradients_are_those_of_the_closed_form() {
        let (problem, theta) = law();
        let allocation = Allocation { aim: Aim::Flops(6e22), caps: Caps::default(), flops_per_product: 6.0 };
        let closed = crate::functional::Functional::LogOptimalParams(math::ln(1e22)).at(&problem, &theta);
        let found = allocation.at(Wanted::Params, &problem, &theta);
        assert!((found.0 - closed.0).abs() < 1e-6, "{} {}", found.0, closed.0);
        for (here, there) in found.1.iter().zip(closed.1) {
            assert!((here - there).abs() < 1e-4 * (1.0 + there.abs()), "{here} {there}");
        }
    }
}
