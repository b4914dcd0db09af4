//! The shape of loss across one budget, with exponents that all budgets share: what corrects a parabola's vertex.
//!
//! A budget's loss is steeper on the side of small models than on the other unless α = β, and a parabola through it puts
//! its vertex on the flatter side: at Hoffmann et al.'s constants 1.5% too high on a grid of ±4x, without any noise.
//! Here each budget is L = E′ + A′·N^−α + B′·D^−β instead, where E′, A′ and B′ are its own and only the exponents are
//! shared: exact for any law of that family, and in one budget no more than a curve with curvature and skew. Amplitudes
//! follow from the exponents by least squares on relative loss (variable projection), so that only two numbers are sought.
//!
//! Skew is seen far less well than curvature. The exponents are therefore drawn towards those of published laws, by as
//! much as the scatter leaves open and no more: without scatter not at all.

use forescale_core::law::Theta;
use forescale_core::math;
use forescale_core::observation::Observation;

use crate::line_search::{Effort, minimum};
use crate::linear::{Matrix, solve};

/// ln α and ln β of published laws: normal about ln 0.35 with this standard deviation, which holds 0.13 to 0.93 in 95%.
const TYPICAL_EXPONENT: f64 = 0.35;
const EXPONENT_SPREAD: f64 = 0.5;
/// Where the mean of ln α and ln β is sought: exponents of 0.05 to 2 (chosen here: past every published one).
const MEAN_RANGE: (f64, f64) = (-3.0, 0.7);
/// Where half of ln α − ln β is sought: ratios up to 20 (chosen here).
const SKEW_RANGE: (f64, f64) = (-1.5, 1.5);
/// Values of a coordinate looked at before the best is bracketed, and rounds down to 1e-5 of the bracket.
const EFFORT: Effort = Effort { grid: 13, rounds: 26 };

/// One budget's runs, as logarithms about their own centre.
pub(crate) struct Slice {
    points: Vec<Point>,
    log_params: f64,
    log_tokens: f64,
    /// ln D less `log_tokens` at the centre's size, for the budget's own compute.
    log_tokens_here: f64,
    /// −∂ ln D/∂ ln N at fixed compute: 1 under 6ND, more where larger models spend more per parameter and token.
    trade: f64,
}

struct Point {
    log_params: f64,
    log_tokens: f64,
    loss: f64,
    weight: f64,
}

/// The lowest point of a budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Lowest {
    pub(crate) log_params: f64,
    pub(crate) log_tokens: f64,
    pub(crate) loss: f64,
}

impl Slice {
    /// The runs of a budget of e^`log_flops` FLOPs.
    pub(crate) fn new(runs: &[&Observation], log_flops: f64) -> Self {
        let mean =
            |of: fn(&Observation) -> f64| runs.iter().map(|o| math::ln(of(o))).sum::<f64>() / runs.len().max(1) as f64;
        let (log_params, log_tokens) = (mean(|o| o.params), mean(|o| o.tokens));
        let point = |o: &&Observation| Point {
            log_params: math::ln(o.params) - log_params,
            log_tokens: math::ln(o.tokens) - log_tokens,
            loss: o.loss,
            weight: o.weight,
        };
        let per_product = |o: &&Observation| math::ln(o.flops / o.params / o.tokens);
        let costs: Vec<(f64, f64)> = runs.iter().map(|o| (math::ln(o.params) - log_params, per_product(o))).collect();
        let (cost, slope) = crate::path::line(&costs).unwrap_or_else(|| (costs.first().map_or(0.0, |c| c.1), 0.0));
        Self {
            points: runs.iter().map(point).collect(),
            log_params,
            log_tokens,
            log_tokens_here: log_flops - cost - log_params - log_tokens,
            trade: 1.0 + slope,
        }
    }

    /// ln D that the budget leaves for a size.
    pub(crate) fn log_tokens_of(&self, log_params: f64) -> f64 {
        self.log_tokens + self.log_tokens_here - self.trade * (log_params - self.log_params)
    }

    /// Floor and amplitudes at given exponents, none below zero, and the weighted sum of squares of relative loss.
    fn amplitudes(&self, exponents: Exponents) -> ([f64; 3], f64) {
        let rows: Vec<[f64; 3]> = self.points.iter().map(|point| exponents.row(point)).collect();
        let (mut matrix, mut vector) = (Matrix::default(), Theta::default());
        for (row, point) in rows.iter().zip(&self.points) {
            for i in 0..3 {
                vector[i] += point.weight * row[i];
                for j in 0..3 {
                    matrix[i][j] += point.weight * row[i] * row[j];
                }
            }
        }
        let squares = |x: &[f64; 3]| -> f64 {
            let one = |(row, point): (&[f64; 3], &Point)| {
                let residual = row[0] * x[0] + row[1] * x[1] + row[2] * x[2] - 1.0;
                point.weight * residual * residual
            };
            rows.iter().zip(&self.points).map(one).sum()
        };
        let solved = SUBSETS.iter().filter_map(|free| solve(&matrix, &vector, free)).map(|x| [x[0], x[1], x[2]]);
        let feasible = solved.filter(|x| x.iter().all(|v| *v >= 0.0)).map(|x| (x, squares(&x)));
        feasible.reduce(|best, next| if next.1 < best.1 { next } else { best }).unwrap_or(([0.0; 3], f64::INFINITY))
    }

    /// Where the shape is lowest at this budget; `None` where one of its terms is absent.
    fn lowest(&self, exponents: Exponents) -> Option<Lowest> {
        let ([floor, a, b], _) = self.amplitudes(exponents);
        let Exponents { alpha, beta } = exponents;
        if a <= 0.0 || b <= 0.0 || self.trade <= 0.0 {
            return None;
        }
        // Where αa·e^{−αu} = βsb·e^{−β(v₀ − su)}, u = ln N and v = v₀ − su = ln D about the centre.
        let balance = math::ln(alpha * a / (beta * self.trade * b)) + beta * self.log_tokens_here;
        let log_params = self.log_params + balance / (alpha + beta * self.trade);
        let log_tokens = self.log_tokens_of(log_params);
        let missing_size = a * math::exp(-alpha * (log_params - self.log_params));
        let missing_data = b * math::exp(-beta * (log_tokens - self.log_tokens));
        Some(Lowest { log_params, log_tokens, loss: floor + missing_size + missing_data })
    }
}

/// Which of floor and two amplitudes are free; the others are zero.
const SUBSETS: [&[usize]; 7] = [&[0, 1, 2], &[0, 1], &[0, 2], &[1, 2], &[0], &[1], &[2]];

#[derive(Clone, Copy, Debug, PartialEq)]
struct Exponents {
    alpha: f64,
    beta: f64,
}

impl Exponents {
    fn at(mean: f64, skew: f64) -> Self {
        Self { alpha: math::exp(mean + skew), beta: math::exp(mean - skew) }
    }

    /// Floor, size and data as shares of the observed loss.
    fn row(self, point: &Point) -> [f64; 3] {
        let size = math::exp(-self.alpha * point.log_params);
        let data = math::exp(-self.beta * point.log_tokens);
        [1.0 / point.loss, size / point.loss, data / point.loss]
    }

    /// Squared distance from published exponents, in standard deviations.
    fn surprise(self) -> f64 {
        let away = |exponent: f64| math::ln(exponent / TYPICAL_EXPONENT) / EXPONENT_SPREAD;
        away(self.alpha) * away(self.alpha) + away(self.beta) * away(self.beta)
    }
}

/// The lowest point of each budget under exponents shared by all; `None` where there are no runs to spare for them.
pub(crate) fn lowest_points(slices: &[&Slice]) -> Option<Vec<Option<Lowest>>> {
    let runs: usize = slices.iter().map(|slice| slice.points.len()).sum();
    let degrees = runs.checked_sub(3 * slices.len() + 2).filter(|degrees| *degrees > 0)?;
    let squares = |exponents: Exponents| slices.iter().map(|slice| slice.amplitudes(exponents).1).sum::<f64>();
    let (_, least) = search(&squares);
    let variance = least / degrees as f64;
    let (exponents, _) = search(&|exponents| squares(exponents) + variance * exponents.surprise());
    Some(slices.iter().map(|slice| slice.lowest(exponents)).collect())
}

/// The exponents of least cost: the best skew, each at its best mean.
fn search(cost: &impl Fn(Exponents) -> f64) -> (Exponents, f64) {
    let best_mean = |skew: f64| minimum(&|mean| cost(Exponents::at(mean, skew)), MEAN_RANGE, EFFORT);
    let (skew, _) = minimum(&|skew| best_mean(skew).1, SKEW_RANGE, EFFORT);
    let (mean, value) = best_mean(skew);
    (Exponents::at(mean, skew), value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;
    use forescale_core::law::{LawForm as _, chinchilla::Chinchilla, padded};

    #[test]
    fn the_lowest_points_of_a_chinchilla_law_are_its_optima() {
        // Exact by construction: the law is a member of the family.
        let natural = [406.4, 410.7, 1.69, 0.34, 0.28];
        let runs = published::grid(natural);
        let all: Vec<&Observation> = runs.iter().collect();
        let cut = crate::path::budgets(&all, 1.5);
        let slices: Vec<Slice> = cut.iter().map(|runs| Slice::new(runs, math::ln(runs[0].flops))).collect();
        for (found, budget) in
            lowest_points(&slices.iter().collect::<Vec<_>>()).expect("runs to spare").iter().zip(&cut)
        {
            let best = Chinchilla.optimum(&padded(natural), budget[0].flops, 6.0).expect("an optimum");
            let found = found.expect("a lowest point");
            assert!((math::exp(found.log_params) / best.params - 1.0).abs() < 1e-4, "{found:?}");
            assert!((found.loss / best.loss - 1.0).abs() < 1e-8, "{found:?}");
        }
    }

    #[test]
    fn three_runs_a_budget_have_none_to_spare() {
        let runs = published::grid([406.4, 410.7, 1.69, 0.34, 0.28]);
        let slice = |budget: usize| {
            let three: Vec<&Observation> = runs[7 * budget + 2..7 * budget + 5].iter().collect();
            Slice::new(&three, math::ln(three[0].flops))
        };
        assert_eq!(lowest_points(&[&slice(0), &slice(1), &slice(2)]), None);
    }
}
