//! Scatter that changes along a surface: the deviation of a run's noise as a power of its size and data.
//!
//! # Formula
//!
//! ln σᵢ = γ₀ + Σ γ_k x_ik, x the run's ln N, ln D and the square of ln D/N about the mean ratio, each about its mean: small runs are loud, and so are runs far from the ratio that a recipe was tuned at. γ by
//! maximum likelihood of double exponential noise, Σ (ln σᵢ + |rᵢ|/σᵢ), which is convex in γ and lets residuals be zero.
//! E[ψ′] and E[ψ²] of a run are those of all u = r/σ at its σ: noise is of one shape, and differs by its deviation alone.
//!
//! # Where it holds
//!
//! Taken where chance gives slopes as large in fewer than one table of twenty, by Wald's statistic with the variance that
//! |u| shows on n less all parameters, the law's too; elsewhere runs scatter alike, and every number stays as it is.
//! Residuals come with their leverage taken out: runs that draw the law to themselves would look quiet.
//!
//! Not along a path: where a law of compute breaks inside ten or twenty rungs its misfit grows towards one end, and was taken
//! for noise; and where noise falls along a path, equal scatter holds (`benches/coverage.md`: 91% by 90% intervals).
//!
//! # Reference
//!
//! A. C. Harvey, Estimating regression models with multiplicative heteroscedasticity, Econometrica 44, 1976.

use forescale_core::law::{Theta, padded};
use forescale_core::math;

use crate::linear::{Matrix, add_outer, dot, solve};
use crate::noise::beyond;
use crate::problem::{FitProblem, Sample};
use crate::scale::{Kernel, informative, mean_side};

/// Slopes are taken where chance makes as large ones less often.
const ALARM: f64 = 0.05;
/// Newton steps at most; the objective is convex, and five are the rule.
const MOST_STEPS: usize = 50;
/// Where the largest slope of the objective over its runs falls below this, γ is found.
const FOUND: f64 = 1e-9;
/// Largest change of ln σ from the middle of a table: a thousandfold is no noise but runs of another kind.
const WIDEST: f64 = 6.9;
/// √(π/2): a normal deviation over its mean size.
const NORMAL: f64 = 1.253_314_137_315_500_3;
/// Columns of covariates, the constant's with them.
const COLUMNS: usize = 4;
/// A column that stays this near to its mean says nothing.
const FLAT: f64 = 1e-9;
/// Places at which expectations are computed; between them they are straight in ln σ.
const PLACES: usize = 33;
/// Residuals that an expectation is taken over: evenly spaced order statistics where there are more.
const MOST_RESIDUALS: usize = 1000;

/// How runs scatter, where they do not all scatter alike.
#[derive(Clone, Debug)]
pub(crate) struct Scatter {
    /// Of each run, up to one factor.
    pub(crate) deviations: Vec<f64>,
    /// How often chance gives slopes as large.
    pub(crate) chance: f64,
    /// Standard deviations of log loss that a tenth of the runs stay below and that a tenth exceed.
    pub(crate) ends: [f64; 2],
    /// By rising ln σ.
    table: Vec<(f64, Expected)>,
}

/// What a cost expects of a run's noise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    /// E[ψ′].
    pub(crate) bend: f64,
    /// E[ψ²].
    pub(crate) slope_square: f64,
}

impl Scatter {
    /// From residuals without their leverage; `None` where runs scatter alike as far as they tell.
    pub(crate) fn of(problem: &FitProblem, residuals: &[f64]) -> Option<Self> {
        let rows = covariates(problem);
        let gamma = gamma(&rows, residuals)?;
        let log_deviation = |row: &Theta| dot(row, &gamma);
        let deviations: Vec<f64> = rows.iter().map(|row| math::exp(log_deviation(row))).collect();
        let scaled: Vec<f64> = residuals.iter().zip(&deviations).map(|(r, deviation)| r / deviation).collect();
        let widest = rows.iter().map(|row| (log_deviation(row) - gamma[0]).abs()).fold(0.0, f64::max);
        let chance = chance(&rows, &gamma, &scaled, problem.count());
        let is_uneven = widest <= WIDEST && chance < ALARM;
        if !is_uneven {
            return None;
        }
        let table = table(problem, scaled, math::range(deviations.iter().copied())?);
        let mut sorted = deviations.clone();
        sorted.sort_by(f64::total_cmp);
        let tenth = sorted.len() / 10;
        // γ makes the mean of |u| one, and a normal deviation is √(π/2) of that mean.
        let ends = [sorted[tenth], sorted[sorted.len() - 1 - tenth]].map(|end| end * NORMAL);
        Some(Self { deviations, chance, ends, table })
    }

    /// Deviations in units of the quietest run's.
    pub(crate) fn relative(&self) -> impl Iterator<Item = f64> {
        let quietest = self.table.first().map_or(1.0, |(log_deviation, _)| math::exp(*log_deviation));
        self.deviations.iter().map(move |deviation| deviation / quietest)
    }

    /// What the cost expects at a deviation.
    pub(crate) fn expected(&self, deviation: f64) -> Expected {
        let place = math::ln(deviation);
        let above = self.table.partition_point(|(known, _)| *known < place).clamp(1, PLACES - 1);
        let ((low, a), (high, b)) = (self.table[above - 1], self.table[above]);
        let share = ((place - low) / (high - low)).clamp(0.0, 1.0);
        let between = |a: f64, b: f64| a + share * (b - a);
        Expected { bend: between(a.bend, b.bend), slope_square: between(a.slope_square, b.slope_square) }
    }
}

/// One, then what σ may change with, about its mean.
fn covariates(problem: &FitProblem) -> Vec<Theta> {
    let mean = |of: &dyn Fn(&Sample) -> f64| problem.samples.iter().map(of).sum::<f64>() / problem.samples.len() as f64;
    let (size, data) = (mean(&|s| s.at.log_params), mean(&|s| s.at.log_tokens));
    let offset = |s: &Sample| (s.at.log_tokens - data) - (s.at.log_params - size);
    let square = mean(&|s| offset(s) * offset(s));
    let row =
        |s: &Sample| padded([1.0, s.at.log_params - size, s.at.log_tokens - data, offset(s) * offset(s) - square]);
    problem.samples.iter().map(row).collect()
}

/// The columns that are not zero. Of dependent ones, as with one ratio, Newton's matrix has no inverse, and γ is not sought.
fn free(rows: &[Theta]) -> Vec<usize> {
    (0..COLUMNS).filter(|&column| rows.iter().any(|row| row[column].abs() > FLAT)).collect()
}

/// Newton's method from equal deviations, steps shortened to one.
fn gamma(rows: &[Theta], residuals: &[f64]) -> Option<Theta> {
    let free = free(rows);
    let mean = residuals.iter().map(|r| r.abs()).sum::<f64>() / residuals.len() as f64;
    let mut gamma = padded([math::ln(mean)]);
    for _ in 0..MOST_STEPS {
        let (mut slope, mut bend) = (Theta::default(), Matrix::default());
        for (row, residual) in rows.iter().zip(residuals) {
            let size = residual.abs() * math::exp(-dot(row, &gamma));
            slope.iter_mut().zip(row).for_each(|(total, x)| *total += (size - 1.0) * x);
            add_outer(&mut bend, row, size);
        }
        if !slope.iter().all(|s| s.is_finite()) {
            return None;
        }
        let steepest = slope.iter().fold(0.0_f64, |steepest, s| steepest.max(s.abs()));
        if steepest < FOUND * rows.len() as f64 {
            return Some(gamma);
        }
        let step = solve(&bend, &slope, &free)?;
        let longest = step.iter().fold(1.0_f64, |longest, s| longest.max(s.abs()));
        gamma.iter_mut().zip(step).for_each(|(g, s)| *g += s / longest);
    }
    None
}

/// How often chance gives slopes as large, by Wald's statistic read as F; the columns are about their means, so that their
/// block stands apart from the constant's.
fn chance(rows: &[Theta], gamma: &Theta, scaled: &[f64], parameters: usize) -> f64 {
    let free = free(rows);
    // The law's own parameters have taken their share of the residuals.
    let degrees = rows.len() as f64 - free.len() as f64 - parameters as f64;
    if degrees < 1.0 {
        return 1.0;
    }
    let variance = scaled.iter().map(|u| (u.abs() - 1.0) * (u.abs() - 1.0)).sum::<f64>() / degrees;
    let mut slopes = *gamma;
    slopes[0] = 0.0;
    let explained: f64 = rows.iter().map(|row| dot(row, &slopes) * dot(row, &slopes)).sum();
    let count = free.len() as f64 - 1.0;
    if count < 1.0 { 1.0 } else { beyond(explained / variance / count, count, degrees) }
}

/// What the cost expects at deviations from the quietest to the loudest, over residuals of one scale.
fn table(problem: &FitProblem, mut scaled: Vec<f64>, [quiet, loud]: [f64; 2]) -> Vec<(f64, Expected)> {
    scaled.sort_by(f64::total_cmp);
    let stride = scaled.len().div_ceil(MOST_RESIDUALS);
    let scaled: Vec<f64> = scaled.into_iter().skip(stride / 2).step_by(stride).collect();
    let mean = |sum: f64, of: &[f64]| sum / of.len() as f64;
    let sigma = mean(scaled.iter().map(|u| u * u).sum(), &scaled).sqrt();
    let sizes = informative(problem, &scaled);
    let kernel = Kernel::of(&sizes, sigma);
    let at = |place: usize| {
        let deviation = quiet * math::pow(loud / quiet, place as f64 / (PLACES - 1) as f64);
        let inside = mean(sizes.iter().map(|u| kernel.inside(problem.cost.delta() / deviation, *u)).sum(), &sizes);
        let slope = |u: &f64| problem.cost.slope(u * deviation);
        let slope_square = mean(scaled.iter().map(|u| slope(u) * slope(u)).sum(), &scaled);
        (math::ln(deviation), Expected { bend: mean_side(problem) * inside.min(1.0), slope_square })
    };
    (0..PLACES).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fitted::fit_law;
    use crate::objective::Cost;
    use crate::{FitOptions, LawName, Objective, fit, published};
    use forescale_core::observation::Observation;

    /// Of Besiroglu et al. 2024, table 1.
    const EPOCH: [f64; 5] = [482.01, 2085.43, 1.8172, 0.3478, 0.3658];

    /// Sizes over two decades at five ratios; log loss scatters by 2% at the smallest, with the size's power.
    fn panel(sizes: u32, power: f64, seed: u64) -> Vec<Observation> {
        let [a, b, floor, alpha, beta] = EPOCH;
        let mut runs = Vec::new();
        for size in 0..sizes {
            for ratio in [3.0, 10.0, 30.0, 100.0, 300.0] {
                let params = 1e7 * math::pow(10.0, 2.0 * f64::from(size) / f64::from(sizes - 1));
                let tokens = ratio * params;
                let loss = floor + a * math::pow(params, -alpha) + b * math::pow(tokens, -beta);
                runs.push(published::run(runs.len(), params, tokens, 6.0 * params * tokens, loss));
            }
        }
        let noisy = published::with_noise(&runs, 0.02, seed);
        let scaled = |(mut noisy, clean): (Observation, &Observation)| {
            noisy.loss = clean.loss * math::pow(noisy.loss / clean.loss, math::pow(clean.params / 1e7, -power));
            noisy
        };
        noisy.into_iter().zip(&runs).map(scaled).collect()
    }

    fn scatter(runs: &[Observation]) -> Option<Scatter> {
        let refs: Vec<&Observation> = runs.iter().collect();
        fit_law(LawName::CHINCHILLA, &refs, &FitOptions::default()).expect("fits").scatter
    }

    #[test]
    fn noise_that_falls_to_a_tenth_is_found_to() {
        let ends: Vec<[f64; 2]> = (0..20).map(|seed| scatter(&panel(16, 0.5, seed)).expect("uneven").ends).collect();
        let middle = |end: usize| math::median(&ends.iter().map(|ends| ends[end]).collect::<Vec<_>>()).expect("some");
        // A tenth into the sizes from either end: 2% times 10^(-0.1) and 10^(-0.9).
        assert!((middle(0) / 0.002_52 - 1.0).abs() < 0.2, "{}", middle(0));
        assert!((middle(1) / 0.015_9 - 1.0).abs() < 0.2, "{}", middle(1));
    }

    #[test]
    fn even_noise_is_found_uneven_as_often_as_the_alarm_says_or_less() {
        // Fifteen runs, twenty, forty and eighty; 5% of 200, with a standard error of three.
        for sizes in [3, 4, 8, 16] {
            let found = (0..200).filter(|&seed| scatter(&panel(sizes, 0.0, seed)).is_some()).count();
            assert!(found <= 19, "{sizes} sizes: {found}");
        }
    }

    #[test]
    fn standard_errors_are_those_of_estimates_where_small_runs_are_loud() {
        let options = FitOptions { laws: vec![LawName::CHINCHILLA], ..FitOptions::default() };
        let of = |seed: u64| fit(&panel(16, 0.5, seed), &[], &options).expect("fits").fits[0].parameters["alpha"];
        let found: Vec<_> = (0..100).map(of).collect();
        let mean = found.iter().map(|alpha| alpha.estimate).sum::<f64>() / 100.0;
        let scatter = found.iter().map(|alpha| (alpha.estimate - mean) * (alpha.estimate - mean)).sum::<f64>() / 99.0;
        let told: Vec<f64> = found.iter().filter_map(|alpha| alpha.standard_error).collect();
        let ratio = math::median(&told).expect("some") / scatter.sqrt();
        // One standard error of a deviation over 100 is 7%.
        assert!((0.85..1.2).contains(&ratio), "{ratio}");
    }

    /// A problem of these runs with residuals of one's own.
    fn of_residuals(runs: &[Observation], residual: impl Fn(usize) -> f64) -> Option<Scatter> {
        let refs: Vec<&Observation> = runs.iter().collect();
        let problem = FitProblem::new(LawName::CHINCHILLA.form(), &refs, Cost::of(Objective::default()));
        Scatter::of(&problem, &(0..runs.len()).map(residual).collect::<Vec<_>>())
    }

    #[test]
    fn runs_that_cannot_tell_have_even_scatter_and_no_nonsense() {
        let loud = |i: usize| 0.02 / (1.0 + i as f64) * if i.is_multiple_of(2) { 1.0 } else { -1.0 };
        let all = panel(8, 0.5, 1);
        let ratio: Vec<Observation> =
            all.iter().step_by(5).cloned().chain(panel(16, 0.5, 2).into_iter().step_by(5)).collect();
        let size: Vec<Observation> =
            (0..16).map(|i| published::run(i, 1e7, 1e8 * (i + 1) as f64, 6e15 * (i + 1) as f64, 3.0)).collect();
        let alike: Vec<Observation> = (0..16).map(|i| published::run(i, 1e7, 1e8, 6e15, 3.0)).collect();
        // One ratio leaves ln N and ln D one column; one size and one of everything leave fewer.
        assert!(of_residuals(&ratio, loud).is_none() && of_residuals(&alike, loud).is_none());
        assert!(of_residuals(&all, |_| 0.0).is_none() && of_residuals(&all, |_| f64::NAN).is_none());
        assert!(of_residuals(&all, |i| if i.is_multiple_of(2) { 0.01 } else { -0.01 }).is_none());
        // Some residuals of exactly nothing, as a fit of least absolute deviations leaves, and one size: numbers all the same.
        for found in [of_residuals(&size, loud), of_residuals(&all, |i| if i < 5 { 0.0 } else { loud(i) })] {
            let is_number =
                |scatter: &Scatter| scatter.relative().all(|deviation| deviation.is_finite() && deviation >= 0.99);
            assert!(found.as_ref().is_none_or(is_number), "{found:?}");
        }
    }

    #[test]
    fn one_loud_end_is_told_as_no_more_than_runs_show() {
        // Five of eighty runs, at the fewest tokens a parameter, 10% above the law: their corner of γ once said 143%.
        let mut runs = panel(16, 0.5, 1);
        runs.iter_mut().step_by(15).for_each(|run| run.loss *= 1.1);
        let ends = scatter(&runs).map_or([0.0; 2], |scatter| scatter.ends);
        assert!(ends[1] < 0.1, "{ends:?}");
    }
}
