//! Which observations a law of compute alone is fitted to: the compute-optimal path.
//!
//! A path is what the sweep says it is (`Role::Path`). A foreign table says nothing: there, where budgets hold three sizes
//! or more, each budget gives the vertex of a parabola in ln N through its runs; where no budget does and D/N hardly
//! varies within one, nor among the runs of several sizes, every run is on the path; and where three runs in four keep to one
//! curve of D/N over compute, those are ([`crate::ladder`]). Never the lowest run of a budget: the
//! minimum over noisy runs is biased downwards by the noise itself.

use forescale_core::law::LawForm;
use forescale_core::math;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::run::Role;

use crate::FitError;
use crate::ladder::on_ladder;

/// Runs whose compute lies within this factor of the lowest of them share a budget. Chosen here: wider than the rounding
/// of any published isoFLOP grid, narrower than the factor 2 to 3 between their budgets.
pub(crate) const BUDGET_FACTOR: f64 = 1.5;
/// D/N must span this much within a budget, or among runs of one size, to tell N from D.
pub(crate) const NEEDED_SPREAD: f64 = 4.0;
/// Runs whose parameters lie within this factor are of one size: counts of one model differ by their rounding.
const SIZE_FACTOR: f64 = 1.02;
/// D/N of a run on the path lies within this factor of the path's own where a law of compute is asked about it, and within
/// [`NEAR_PATH`] where runs are sorted, or bought, for such a law to be fitted to.
const ON_PATH: f64 = 2.0;
/// Chosen here: half a step of what a design may buy, and so near the best ratio that the loss is higher by less than 0.1%.
pub(crate) const NEAR_PATH: f64 = core::f64::consts::SQRT_2;
/// A parabola is trusted this far from the best size, in ln N: a factor of 6.
const PARABOLA_REACH: f64 = 1.8;

/// The observations a path law sees.
pub(crate) struct Path {
    /// Runs, or vertices standing for a budget.
    pub(crate) points: Vec<Observation>,
    /// Whether the points are vertices rather than runs.
    pub(crate) vertices: bool,
}

/// The path of a group of observations.
pub(crate) fn path_of(observations: &[&Observation], form: &dyn LawForm) -> Result<Path, FitError> {
    if observations.iter().any(|o| o.role.is_some()) {
        let on = observations.iter().filter(|o| o.role == Some(Role::Path)).map(|o| (*o).clone());
        return Ok(Path { points: on.collect(), vertices: false });
    }
    if !observations.iter().all(|o| o.tells_split()) {
        return Ok(Path { points: observations.iter().map(|o| (*o).clone()).collect(), vertices: false });
    }
    let points = vertices(observations);
    if points.len() >= form.least_observations() {
        return Ok(Path { points, vertices: true });
    }
    if !is_grid(observations) {
        return Ok(Path { points: observations.iter().map(|o| (*o).clone()).collect(), vertices: false });
    }
    if let Some(on) = on_ladder(observations) {
        let points = observations.iter().zip(on).filter(|(_, on)| *on).map(|(o, _)| (*o).clone());
        return Ok(Path { points: points.collect(), vertices: false });
    }
    let needed = form.least_observations();
    Err(FitError::TooFewVertices { law: form.name().to_owned(), found: points.len(), needed })
}

/// Whether runs tell N from D, so that not all of them are of one path.
pub(crate) fn is_grid(observations: &[&Observation]) -> bool {
    sizes_with_spread(observations).0 > 1 || budgets_with_spread(observations).0 > 0
}

/// Runs sorted by compute and cut into budgets.
pub(crate) fn budgets<'a>(observations: &[&'a Observation], factor: f64) -> Vec<Vec<&'a Observation>> {
    let mut sorted = observations.to_vec();
    sorted.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    let mut cut: Vec<Vec<&Observation>> = Vec::new();
    for run in sorted {
        match cut.last_mut() {
            Some(budget) if run.flops <= factor * budget[0].flops => budget.push(run),
            _ => cut.push(vec![run]),
        }
    }
    cut
}

/// How far runs tell N from D.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// Budgets, or sizes where more of these do, with D/N spanning enough.
    pub(crate) found: usize,
    /// The widest span of D/N within one.
    pub(crate) widest: f64,
}

/// How far runs tell N from D: by sizes that differ at one budget, or by data that differ at one size. A grid of sizes and
/// tokens per parameter need not have two runs of one budget.
pub(crate) fn spread(observations: &[&Observation]) -> Spread {
    let (budgets, sizes) = (budgets_with_spread(observations), sizes_with_spread(observations));
    Spread { found: budgets.0.max(sizes.0), widest: budgets.1.max(sizes.1) }
}

/// How many budgets have D/N spanning enough, and the widest span within one.
pub(crate) fn budgets_with_spread(observations: &[&Observation]) -> (usize, f64) {
    windows_with_spread(observations, |o| o.flops, BUDGET_FACTOR)
}

/// How many sizes, each [`BUDGET_FACTOR`] or more above the last, have D/N spanning enough, and the widest span of one.
fn sizes_with_spread(observations: &[&Observation]) -> (usize, f64) {
    windows_with_spread(observations, |o| o.params, SIZE_FACTOR)
}

/// Windows of a factor are laid greedily from each run upwards, so that no budget is split by where the first window happens
/// to start; one that is found ends no sooner than [`BUDGET_FACTOR`] above where it began.
fn windows_with_spread(observations: &[&Observation], scale: fn(&Observation) -> f64, factor: f64) -> (usize, f64) {
    let mut sorted = observations.to_vec();
    sorted.sort_by(|a, b| scale(a).total_cmp(&scale(b)));
    let within = |start: usize, factor: f64| sorted.partition_point(|o| scale(o) <= factor * scale(sorted[start]));
    let (mut found, mut widest, mut start) = (0, 1.0_f64, 0);
    while start < sorted.len() {
        let spread = ratio_spread(&sorted[start..within(start, factor)]);
        widest = widest.max(spread);
        if spread >= NEEDED_SPREAD * (1.0 - 1e-6) {
            found += 1;
            start = within(start, BUDGET_FACTOR);
        } else {
            start += 1;
        }
    }
    (found, widest)
}

/// How far D/N reaches over all observations.
pub(crate) fn overall_ratio_spread(observations: &[Observation]) -> f64 {
    ratio_spread(&observations.iter().collect::<Vec<_>>()) * (1.0 + 1e-6)
}

fn ratio_spread(runs: &[&Observation]) -> f64 {
    let ratios = runs.iter().map(|o| o.tokens / o.params);
    let (low, high) = ratios.fold((f64::INFINITY, 0.0_f64), |(l, h), r| (l.min(r), h.max(r)));
    high / low
}

/// One vertex per budget that has an interior one; none of runs that tell no size.
pub(crate) fn vertices(observations: &[&Observation]) -> Vec<Observation> {
    let slope = typical_slope(observations);
    budgets(observations, BUDGET_FACTOR).iter().filter_map(|budget| vertex(budget, slope)).collect()
}

/// Runs that no vertex was made from, with the reason.
pub(crate) fn without_vertex(observations: &[&Observation]) -> Vec<Exclusion> {
    let slope = typical_slope(observations);
    budgets(observations, BUDGET_FACTOR).iter().flat_map(|budget| left_aside(budget, slope)).collect()
}

fn left_aside(budget: &[&Observation], slope: f64) -> Vec<Exclusion> {
    let because = |reason| move |o: &&Observation| Exclusion { run_id: o.run_id.clone(), reason };
    match (vertex(budget, slope), lowest(budget, slope)) {
        (Some(_), Some(lowest)) => {
            let far = budget.iter().filter(|o| !is_near(o, lowest));
            far.map(because(ExclusionReason::FarFromVertex)).collect()
        }
        _ => budget.iter().map(because(ExclusionReason::NoVertex)).collect(),
    }
}

/// ln L with the drift of compute within the budget taken out.
pub(crate) fn level(o: &Observation, slope: f64, log_flops: f64) -> f64 {
    math::ln(o.loss) - slope * (math::ln(o.flops) - log_flops)
}

pub(crate) fn mean_log_flops(budget: &[&Observation]) -> f64 {
    budget.iter().map(|o| math::ln(o.flops)).sum::<f64>() / budget.len() as f64
}

fn lowest<'a>(budget: &[&'a Observation], slope: f64) -> Option<&'a Observation> {
    let at = mean_log_flops(budget);
    budget.iter().copied().min_by(|a, b| level(a, slope, at).total_cmp(&level(b, slope, at)))
}

fn is_near(o: &Observation, lowest: &Observation) -> bool {
    (math::ln(o.params) - math::ln(lowest.params)).abs() <= PARABOLA_REACH
}

/// The slope of ln L along ln C, from each budget's median: takes out the drift within a budget.
fn typical_slope(observations: &[&Observation]) -> f64 {
    overall_slope(observations, BUDGET_FACTOR).unwrap_or(0.0)
}

fn median_of(runs: &[&Observation], of: impl Fn(&Observation) -> f64) -> f64 {
    math::median(&runs.iter().map(|o| of(o)).collect::<Vec<_>>()).unwrap_or(0.0)
}

/// Intercept and slope of a least-squares line.
pub(crate) fn line(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), p| (x + p.0 / n, y + p.1 / n));
    let xx: f64 = points.iter().map(|p| (p.0 - x) * (p.0 - x)).sum();
    let xy: f64 = points.iter().map(|p| (p.0 - x) * (p.1 - y)).sum();
    (xx > 0.0).then(|| (y - x * xy / xx, xy / xx))
}

/// The vertex of a budget's parabola as an observation, where it opens upward inside the sizes tried.
fn vertex(budget: &[&Observation], slope: f64) -> Option<Observation> {
    if !budget.iter().all(|o| o.tells_split()) {
        return None;
    }
    let (log_flops, lowest) = (mean_log_flops(budget), lowest(budget, slope)?);
    let centre = math::ln(lowest.params);
    let near = budget.iter().filter(|o| is_near(o, lowest));
    let near: Vec<(f64, f64)> = near.map(|o| (math::ln(o.params) - centre, level(o, slope, log_flops))).collect();
    if distinct(near.iter().map(|p| p.0)) < 3 {
        return None;
    }
    let [constant, linear, square] = parabola(&near)?;
    let at = -0.5 * linear / square;
    let (low, high) = near.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.0), h.max(p.0)));
    if square <= 0.0 || at < low || at > high {
        return None;
    }
    let (params, flops) = (math::exp(centre + at), math::exp(log_flops));
    let per_product = median_of(budget, Observation::flops_per_product);
    let loss = math::exp(constant + 0.5 * linear * at);
    Some(Observation { params, tokens: flops / (per_product * params), flops, loss, ..lowest.clone() })
}

/// By how much log loss changes per unit of log compute, from the median of each budget; `None` below two budgets.
pub(crate) fn overall_slope(observations: &[&Observation], factor: f64) -> Option<f64> {
    let of = |budget: &Vec<&Observation>, f: fn(&Observation) -> f64| median_of(budget, |o| math::ln(f(o)));
    let cut = budgets(observations, factor);
    let points: Vec<(f64, f64)> = cut.iter().map(|b| (of(b, |o| o.flops), of(b, |o| o.loss))).collect();
    line(&points).map(|(_, slope)| slope).filter(|_| points.len() > 1)
}

/// How many values differ by more than 2%.
pub(crate) fn distinct(values: impl Iterator<Item = f64>) -> usize {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|b, a| *b - *a < 0.02);
    sorted.len()
}

/// Least-squares parabola: constant, linear and square coefficients.
pub(crate) fn parabola(points: &[(f64, f64)]) -> Option<[f64; 3]> {
    let (mut matrix, mut vector) = (crate::linear::Matrix::default(), forescale_core::law::Theta::default());
    for &(x, y) in points {
        let row = [1.0, x, x * x];
        for i in 0..3 {
            vector[i] += row[i] * y;
            for j in 0..3 {
                matrix[i][j] += row[i] * row[j];
            }
        }
    }
    crate::linear::solve(&matrix, &vector, &[0, 1, 2]).map(|x| [x[0], x[1], x[2]])
}

/// How many budgets a path touches: compute values that differ by more than 2%.
pub(crate) fn distinct_budgets(points: &[Observation]) -> usize {
    distinct(points.iter().map(|o| math::ln(o.flops)))
}

/// How far apart points lie in compute, decades; zero of none.
pub(crate) fn decades(points: &[Observation]) -> f64 {
    let flops = points.iter().map(|o| o.flops);
    let (low, high) = flops.fold((f64::INFINITY, 0.0_f64), |(l, h), c| (l.min(c), h.max(c)));
    if points.is_empty() { 0.0 } else { math::log10(high / low) }
}

/// Whether a run of N parameters and D tokens lies on the path: D/N within a factor of 2 of the path's own, carried on as
/// a power of compute.
pub(crate) fn is_on_path(path: &[Observation], params: f64, tokens: f64, flops: f64) -> bool {
    is_within(path, params, tokens, (flops, ON_PATH))
}

/// Whether a run lies so near the path that a law of compute may be fitted to it.
pub(crate) fn is_near_path(path: &[Observation], params: f64, tokens: f64, flops: f64) -> bool {
    is_within(path, params, tokens, (flops, NEAR_PATH))
}

fn is_within(path: &[Observation], params: f64, tokens: f64, (flops, factor): (f64, f64)) -> bool {
    let points: Vec<(f64, f64)> = path.iter().map(|o| (math::ln(o.flops), math::ln(o.tokens / o.params))).collect();
    let Some((intercept, slope)) = line(&points) else { return false };
    let expected = intercept + slope * math::ln(flops);
    (math::ln(tokens / params) - expected).abs() <= math::ln(factor) * (1.0 + 1e-9)
}

/// N and D of the path at a budget, carried on as a power of compute; none where its runs tell compute alone.
pub(crate) fn path_shape(path: &[Observation], flops: f64) -> Option<(f64, f64)> {
    let of = |f: fn(&Observation) -> f64| {
        let points: Vec<(f64, f64)> = path.iter().map(|o| (math::ln(o.flops), math::ln(f(o)))).collect();
        line(&points).map(|(intercept, slope)| math::exp(intercept + slope * math::ln(flops)))
    };
    if path.iter().all(Observation::tells_split) { Some((of(|o| o.params)?, of(|o| o.tokens)?)) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    #[test]
    fn parabola_vertices_of_hoffmanns_law_are_biased_as_computed_elsewhere() {
        // Noise-free, Hoffmann's constants, grids of +-4x: extrapolated N* is 1.5% too large, and each vertex's loss is
        // within 0.1% of the frontier.
        let runs = published::grid([406.4, 410.7, 1.69, 0.34, 0.28]);
        let all: Vec<&Observation> = runs.iter().collect();
        let found = vertices(&all);
        assert_eq!(found.len(), 5);
        for vertex in found {
            let natural = forescale_core::law::padded([406.4, 410.7, 1.69, 0.34, 0.28]);
            let best = crate::LawName::CHINCHILLA.form().optimum(&natural, vertex.flops, 6.0).expect("an optimum");
            assert!((vertex.loss / best.loss - 1.0).abs() < 1e-3, "{} {}", vertex.loss, best.loss);
            assert!((vertex.params / best.params - 1.0).abs() < 0.1, "{} {}", vertex.params, best.params);
        }
    }

    #[test]
    fn a_ladder_at_one_ratio_has_no_budget_that_tells_n_from_d() {
        let runs: Vec<Observation> = (0..6)
            .map(|i| 1e6 * math::pow(2.0, f64::from(i)))
            .map(|n| published::run(0, n, 20.0 * n, 120.0 * n * n, 3.0))
            .collect();
        let all: Vec<&Observation> = runs.iter().collect();
        let (found, widest) = budgets_with_spread(&all);
        assert_eq!(found, 0);
        assert!((widest - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_grid_of_sizes_and_ratios_tells_n_from_d_though_no_two_runs_share_a_budget() {
        // Sizes 3x apart at 10, 20 and 40 tokens a parameter: C = 6 * 9^i * r * 1e12 is never within 1.5x of another.
        let of = |n: f64, r: f64| published::run(0, n, r * n, 6.0 * r * n * n, 3.0);
        let sizes = || (0..4).map(|i| 1e6 * math::pow(3.0, f64::from(i)));
        let grid: Vec<Observation> = sizes().flat_map(|n| [10.0, 20.0, 40.0].map(|r| of(n, r))).collect();
        let all: Vec<&Observation> = grid.iter().collect();
        assert_eq!(budgets_with_spread(&all).0, 0);
        assert_eq!(spread(&all).found, 4);
        assert!(path_of(&all, crate::LawName::POWER_LAW.form()).is_err(), "no path runs through three ratios");
        // Two sizes that are one but for rounding are one.
        let near: Vec<Observation> = [1e6, 1.2e6].iter().flat_map(|&n| [10.0, 40.0].map(|r| of(n, r))).collect();
        assert_eq!(spread(&near.iter().collect::<Vec<_>>()).found, 1);
        // One size that was trained longer leaves a ladder a ladder.
        let ladder: Vec<Observation> = sizes().map(|n| of(n, 20.0)).chain([of(1e6, 100.0)]).collect();
        let ladder: Vec<&Observation> = ladder.iter().collect();
        assert_eq!(spread(&ladder).found, 1);
        assert_eq!(path_of(&ladder, crate::LawName::POWER_LAW.form()).expect("a path").points.len(), 5);
    }

    #[test]
    fn an_isoflop_grid_tells_n_from_d_in_every_budget() {
        let runs = published::grid([406.4, 410.7, 1.69, 0.34, 0.28]);
        let (found, widest) = budgets_with_spread(&runs.iter().collect::<Vec<_>>());
        assert_eq!(found, 5);
        assert!((widest - 4096.0).abs() < 1.0, "{widest}");
    }
}
