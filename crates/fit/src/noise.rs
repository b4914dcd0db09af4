//! Seed noise: by how much two runs differ that differ in their seed alone.
//!
//! A forecast of one run must hold the noise of that run, which the laws' own intervals, of the mean over seeds, do not.
//! Where rungs carry `seed_sd`, the relative deviations sd/L are pooled from the largest rung downwards until three
//! degrees of freedom are together, and the pool stands for the target: noise falls with compute, so that what a smaller
//! rung shows is an upper bound, and no curve through a few deviations of two or three seeds is trusted beyond them. Fewer
//! degrees never narrow a forecast: then the larger of the pool and the residuals' scatter counts. Where no rung carries a
//! deviation, repeats of all rungs are pooled alike, and without three degrees of those, the residuals' scatter of the
//! law that fits best stands in.
//!
//! A rung's degrees are those its runs tell (`seed_degrees`), or runs less one, at least one, where they tell none. A rung
//! with 0 carries the value of a rule drawn through the other rungs: no observation of noise, it adds neither degrees nor
//! squares to a pool. Such a value at the largest run is a lower bound where degrees are too few.
//!
//! Nothing is counted twice: noise in the fitted runs widens the mean's interval through the residuals, noise of the one
//! run at the target is added to it once.
//!
//! What noise does to the weights of runs is in [`crate::falloff`].
//!
//! **Whether noise is even.** Along a path it is not looked for in residuals ([`crate::scatter`] says why), and without
//! deviations of seeds every run weighs alike. That has a price which more runs do not take away. Of 500 simulated ladders
//! over three decades each, noise going as a power of compute, so many 90% intervals of the exponent and of the floor hold:
//!
//! | noise, smallest to largest | 6 runs | 8 | 10 | 12 | 20 | 40 |
//! |---|---|---|---|---|---|---|
//! | 0.3%, even | 94, 93% | 92, 92% | 91, 92% | 91, 91% | 92, 92% | 92, 92% |
//! | 1 to 0.1% | 89, 91% | 88, 91% | 84, 87% | 81, 85% | 81, 85% | 86, 88% |
//! | 2 to 0.06% | 85, 89% | 81, 87% | 74, 80% | 70, 76% | 70, 75% | 79, 82% |
//! | 0.06 to 2% | 89, 84% | 84, 77% | 82, 76% | 81, 76% | 71, 66% | 80, 78% |
//!
//! (Power law, Huber, profiles; standard error 2 points at most.) So the note has no bound in runs: the law's domain decides, and
//! whether seeds are told.
//!
//! **Lack of fit.** With m sizes-and-data, n_c runs in each and p parameters, F = Σ n_c r̄_c² / (m − p) over the pooled
//! variance of repeats: the ratio of Fisher's test (Draper and Smith, Applied Regression Analysis, 2.1). Above its 99%
//! quantile the law misses by more than noise, and the seeds are not what limits it.

use core::fmt;

use forescale_core::law::{Domain, LawName};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use crate::cluster::clusters;
use crate::fitted::Fitted;

/// Repeats must leave this many degrees of freedom before they, and not the residuals, measure seed noise.
const LEAST_DEGREES: f64 = 3.0;
/// F is an alarm where chance reaches it less often.
const LACK_OF_FIT: f64 = 0.01;
/// Below this size one seed says little: two of 9,000 parameters differed by 1% of the loss.
const NOISY_PARAMS: f64 = 1e6;
/// How many of the smallest rungs must be repeated.
const SMALLEST_RUNGS: usize = 2;

/// Standard deviation of log loss over seeds, and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SeedNoise {
    pub(crate) sigma: f64,
    pub(crate) degrees: f64,
}

/// A sum of squares with its degrees of freedom.
#[derive(Clone, Copy, Debug, Default)]
struct Pool {
    squares: f64,
    degrees: f64,
}

impl Pool {
    fn noise(self) -> Option<SeedNoise> {
        let sigma = (self.squares / self.degrees).sqrt();
        (self.degrees > 0.0).then_some(SeedNoise { sigma, degrees: self.degrees })
    }
}

/// Noise of one run at a target: from the rungs' own deviations, from repeats, else from residuals.
pub(crate) fn seed_sigma(fitted: &[Fitted], runs: &[&Observation]) -> f64 {
    let enough = |noise: &SeedNoise| noise.degrees >= LEAST_DEGREES;
    let of_rungs = of_largest_rungs(runs);
    if let Some(noise) = of_rungs.or_else(|| of_repeats(runs)).filter(enough) {
        return noise.sigma;
    }
    of_residuals(fitted).max(of_rungs.map_or(0.0, |noise| noise.sigma)).max(of_rule(runs))
}

/// Whether a run's `seed_sd` is an estimate from replicates or from elsewhere, and not a rule's value.
pub(crate) fn is_measured(run: &Observation) -> bool {
    run.seed_degrees.is_none_or(|degrees| degrees > 0.0 && degrees.is_finite())
}

/// The relative deviation that a rule gives the largest of the runs without replicates, 0 where there is none.
fn of_rule(runs: &[&Observation]) -> f64 {
    let ruled = runs.iter().filter(|run| !is_measured(run));
    let largest = ruled.max_by(|a, b| a.flops.total_cmp(&b.flops));
    largest.and_then(|run| run.seed_sd.map(|sd| sd / run.loss)).unwrap_or(0.0)
}

fn of_residuals(fitted: &[Fitted]) -> f64 {
    let of_runs = fitted.iter().filter(|law| !law.vertices).map(|law| law.dispersion.sigma);
    let best = of_runs.fold(f64::INFINITY, f64::min);
    if best.is_finite() { best } else { fitted.iter().map(|law| law.dispersion.sigma).fold(0.0, f64::max) }
}

/// Runs of one size and data, cells in rising order of both.
fn cells<'a>(runs: &[&'a Observation]) -> Vec<Vec<&'a Observation>> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.tokens.total_cmp(&b.tokens)));
    let alike = |a: &&Observation, b: &&Observation| {
        a.params.total_cmp(&b.params).is_eq() && a.tokens.total_cmp(&b.tokens).is_eq()
    };
    sorted.chunk_by(alike).map(<[&Observation]>::to_vec).collect()
}

/// Pooled standard deviation of log loss within runs of one size and data.
pub(crate) fn of_repeats(runs: &[&Observation]) -> Option<SeedNoise> {
    let mut pool = Pool::default();
    for cell in cells(runs).iter().filter(|cell| cell.len() > 1) {
        let logs = independent_losses(cell);
        let mean = logs.iter().sum::<f64>() / logs.len() as f64;
        pool.squares += logs.iter().map(|l| (l - mean) * (l - mean)).sum::<f64>();
        pool.degrees += (logs.len() - 1) as f64;
    }
    pool.noise()
}

/// Mean log loss of each cluster: runs that share a trajectory are not repeats of each other.
fn independent_losses(cell: &[&Observation]) -> Vec<f64> {
    let mean =
        |cluster: &Vec<usize>| cluster.iter().map(|&i| math::ln(cell[i].loss)).sum::<f64>() / cluster.len() as f64;
    clusters(cell.iter().copied()).iter().map(mean).collect()
}

/// Relative deviations pooled from the largest rung down until there are degrees enough.
fn of_largest_rungs(runs: &[&Observation]) -> Option<SeedNoise> {
    pooled(runs, LEAST_DEGREES)
}

fn pooled(runs: &[&Observation], degrees: f64) -> Option<SeedNoise> {
    let mut pool = Pool::default();
    for (_, stated) in stated_rungs(runs) {
        if pool.degrees < degrees {
            pool.squares += stated.degrees * stated.sigma * stated.sigma;
            pool.degrees += stated.degrees;
        }
    }
    pool.noise()
}

/// Compute and deviation of each rung that carries one, the largest first.
pub(crate) fn stated_rungs(runs: &[&Observation]) -> Vec<(f64, SeedNoise)> {
    if runs.iter().all(|run| run.seed_sd.is_none()) {
        return Vec::new();
    }
    let mut cells = cells(runs);
    cells.sort_by(|a, b| b[0].flops.total_cmp(&a[0].flops));
    cells.iter().filter_map(|cell| stated(cell).map(|noise| (cell[0].flops, noise))).collect()
}

/// The deviation that a cell's runs carry, relative to their loss, with the degrees they tell; where they tell none,
/// runs less one, and one degree for a lone run whose deviation comes from elsewhere. A rule's value is no deviation.
fn stated(cell: &[&Observation]) -> Option<SeedNoise> {
    let measured = || cell.iter().filter(|run| is_measured(run));
    let carried = measured().filter_map(|o| o.seed_sd.filter(|sd| *sd > 0.0).map(|sd| sd / o.loss));
    let square: Vec<f64> = carried.map(|sd| sd * sd).collect();
    let sigma = (square.iter().sum::<f64>() / square.len() as f64).sqrt();
    let told = measured().filter_map(|run| run.seed_degrees).reduce(f64::max);
    let degrees = told.unwrap_or_else(|| (clusters(cell.iter().copied()).len() as f64 - 1.0).max(1.0));
    (!square.is_empty()).then_some(SeedNoise { sigma, degrees })
}

/// What is said of a law along a path whose runs tell no seeds; the page above has the numbers.
pub(crate) const EVENNESS_UNSEEN: &str = "; nor is it seen whether noise is even from small runs to large: where it falls thirtyfold, 70 to 85% of the 90% intervals of the exponent hold, where tenfold 81 to 89% (ladders of 6 to 40 runs, simulated)";

/// Whether a law goes along a path, where residuals are not asked whether noise is even.
pub(crate) fn is_on_path(law: LawName) -> bool {
    law.form().domain() == Domain::Compute
}

/// What can be doubted about noise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NoiseDoubt {
    /// The smallest rungs have one seed each, along a path or not.
    Unknown { rungs: Vec<String>, is_on_path: bool },
    /// Residuals against noise; `misses` where F says that the law does not fit within it.
    Measured { law: String, residual: f64, seed: f64, ratio: f64, misses: bool },
}

impl NoiseDoubt {
    pub(crate) fn severity(&self) -> Severity {
        match self {
            Self::Measured { misses: false, .. } => Severity::Note,
            _ => Severity::Warning,
        }
    }

    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "train two more seeds of each of these rungs: they cost least and are noisiest",
            Self::Measured { misses: true, .. } => {
                "more seeds will not help: look at the residuals for a rung trained worse, and compare with another law"
            }
            Self::Measured { .. } => "to narrow the forecast add seeds or rungs: noise is what limits the fit",
        }
    }
}

impl fmt::Display for NoiseDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { rungs, is_on_path } => write!(
                f,
                "seed noise unknown: {} below {NOISY_PARAMS:.0e} parameters were trained with one seed each, where two seeds may differ by 1% of the loss{}",
                rungs.join(" and "),
                if *is_on_path { EVENNESS_UNSEEN } else { "" }
            ),
            Self::Measured { law, residual, seed, ratio, misses } => write!(
                f,
                "`{law}`: residuals of {:.2}% (rms) against seed noise of {:.2}%: {} (lack-of-fit F {ratio:.1})",
                100.0 * residual,
                100.0 * seed,
                if *misses { "the law does not fit within noise" } else { "the law fits within noise" }
            ),
        }
    }
}

/// Doubts about the noise of the runs that a law was fitted to.
pub(crate) fn doubts(fitted: &Fitted) -> Vec<NoiseDoubt> {
    if fitted.vertices {
        return Vec::new();
    }
    let points: Vec<&Observation> = fitted.points.iter().collect();
    unknown(&points, is_on_path(fitted.law)).into_iter().chain(lack_of_fit(fitted, &points)).collect()
}

/// Small rungs with one seed, in a table that tells seeds and has no other word on their noise; a rule's value is such a
/// word where the other rungs have degrees enough behind it.
fn unknown(points: &[&Observation], is_on_path: bool) -> Option<NoiseDoubt> {
    let is_rule_known = pooled(points, LEAST_DEGREES).is_some_and(|noise| noise.degrees >= LEAST_DEGREES);
    let has_word = |cell: &[&Observation]| {
        stated(cell).is_some() || is_rule_known && cell[0].seed_sd.is_some_and(|deviation| deviation > 0.0)
    };
    let lone = |cell: &&Vec<&Observation>| {
        let is_single = clusters(cell.iter().copied()).len() == 1 && cell[0].seed.is_some();
        is_single && cell[0].size_and_data().is_some_and(|(params, _)| params < NOISY_PARAMS) && !has_word(cell)
    };
    let mut cells = cells(points);
    cells.sort_by(|a, b| a[0].flops.total_cmp(&b[0].flops));
    let rungs: Vec<String> =
        cells.iter().take(SMALLEST_RUNGS).filter(lone).map(|cell| format!("`{}`", cell[0].name)).collect();
    (!rungs.is_empty()).then_some(NoiseDoubt::Unknown { rungs, is_on_path })
}

/// All of a law's cells against all that is known of noise; nothing where that is too little.
fn lack_of_fit(fitted: &Fitted, points: &[&Observation]) -> Option<NoiseDoubt> {
    let is_stated = points.iter().any(|o| o.seed_sd.is_some_and(|sd| sd > 0.0));
    let noise = if is_stated { pooled(points, f64::INFINITY) } else { of_repeats(points) };
    let noise = noise.filter(|noise| noise.degrees >= LEAST_DEGREES && noise.sigma > 0.0)?;
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let (cells, squares) = cell_squares(points, &residuals);
    let independent = fitted.dependence.as_ref().map_or(1.0, |d| d.effective / residuals.len() as f64);
    let degrees = (cells as f64 * independent - fitted.problem.count() as f64).max(1.0);
    let ratio = squares / degrees / (noise.sigma * noise.sigma);
    let misses = beyond(ratio, degrees, noise.degrees) < LACK_OF_FIT;
    let residual = (residuals.iter().map(|r| r * r).sum::<f64>() / residuals.len() as f64).sqrt();
    let law = fitted.law.to_string();
    (misses || is_stated).then_some(NoiseDoubt::Measured { law, residual, seed: noise.sigma, ratio, misses })
}

/// Number of cells, and Σ n_c r̄_c².
fn cell_squares(points: &[&Observation], residuals: &[f64]) -> (usize, f64) {
    let mut order: Vec<usize> = (0..points.len()).collect();
    let key = |i: usize| (points[i].params, points[i].tokens);
    order.sort_by(|&a, &b| key(a).0.total_cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)));
    let alike =
        |a: &usize, b: &usize| key(*a).0.total_cmp(&key(*b).0).is_eq() && key(*a).1.total_cmp(&key(*b).1).is_eq();
    let square = |cell: &[usize]| {
        let sum: f64 = cell.iter().map(|&i| residuals[i]).sum();
        sum * sum / cell.len() as f64
    };
    let squares: Vec<f64> = order.chunk_by(alike).map(square).collect();
    (squares.len(), squares.iter().sum())
}

/// Probability that F with these degrees of freedom exceeds a value (Abramowitz and Stegun 26.6.2).
pub(crate) fn beyond(ratio: f64, numerator: f64, denominator: f64) -> f64 {
    math::incomplete_beta(0.5 * denominator, 0.5 * numerator, denominator / (denominator + numerator * ratio))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FitOptions, ForecastOptions, Target, fit, forecast, published};
    use forescale_core::outcome::Diagnosis;
    use forescale_core::run::Role;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    /// Rungs of two seeds each over three decades, on the path, with a relative noise.
    fn ladder(rungs: usize, noise: f64) -> Vec<Observation> {
        let mut generator = ChaCha8Rng::seed_from_u64(6);
        let run = |i: usize, generator: &mut ChaCha8Rng| {
            let flops = 1e12 * math::pow(10.0, 3.0 * (i / 2) as f64 / (rungs - 1) as f64);
            let loss = 1.7 + 1.8 * math::pow(flops / 1e12, -0.15);
            let size = (flops / 120.0).sqrt();
            let noisy = loss * math::exp(noise * published::normal(generator));
            let run = published::run(i, size, 20.0 * size, flops, noisy);
            Observation { role: Some(Role::Path), seed: Some(i as u64 % 2), ..run }
        };
        (0..2 * rungs).map(|i| run(i, &mut generator)).collect()
    }

    /// Four rungs with `seeds = [2, 1, 1, 1]`, as a sweep's records state them: one real degree, the rest a rule's value.
    fn one_pair(relative: f64) -> Vec<Observation> {
        let mut runs = ladder(4, 0.003);
        runs.retain(|run| run.seed == Some(0) || run.run_id == "run0001");
        for run in &mut runs {
            let pair = ["run0000", "run0001"].contains(&run.run_id.as_str());
            (run.seed_sd, run.seed_degrees) = (Some(relative * run.loss), Some(f64::from(u8::from(pair))));
        }
        runs
    }

    fn unstated(runs: &[Observation]) -> Vec<Observation> {
        runs.iter().map(|run| Observation { seed_sd: None, seed_degrees: None, ..run.clone() }).collect()
    }

    /// The 90% interval of one run a decade on.
    fn interval(runs: &[Observation]) -> forescale_core::estimate::Interval {
        let fit = FitOptions { laws: vec![LawName::POWER_LAW], ..FitOptions::default() };
        let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
        let answer = forecast(runs, &[Target::of_budget(1e16)], &options).expect("fits");
        answer.targets[0].intervals[0]
    }

    fn seeds_of_one(runs: &[Observation]) -> Vec<Observation> {
        runs.iter().filter(|run| run.seed == Some(0)).cloned().collect()
    }

    fn doubts(runs: &[Observation], law: LawName) -> Vec<Diagnosis> {
        let options = FitOptions { laws: vec![law], ..FitOptions::default() };
        let found = fit(runs, &[], &options).expect("fits").fits[0].diagnoses.clone();
        found.into_iter().filter(|d| d.code == "seed_noise").collect()
    }

    fn sigma(runs: &[Observation]) -> f64 {
        let refs: Vec<&Observation> = runs.iter().collect();
        let options = FitOptions { laws: vec![LawName::POWER_LAW], ..FitOptions::default() };
        seed_sigma(&crate::session::fit_group(&refs, &options).expect("fits").0, &refs)
    }

    #[test]
    fn branches_of_one_trunk_are_not_repeats_of_each_other() {
        let mut pair = [published::run(0, 1e6, 2e7, 1.2e14, 3.0), published::run(1, 1e6, 2e7, 1.2e14, 3.1)];
        let of = |pair: &[Observation; 2]| of_repeats(&[&pair[0], &pair[1]]);
        // ln(3.1/3)/√2 with one degree of freedom.
        let noise = of(&pair).expect("a pair");
        assert!(
            (noise.sigma - math::ln(3.1 / 3.0) / 2.0_f64.sqrt()).abs() < 1e-12
                && noise.degrees.to_bits() == 1.0_f64.to_bits()
        );
        pair.iter_mut().for_each(|run| run.cluster = "trunk".to_owned());
        assert_eq!(of(&pair), None);
    }

    #[test]
    fn the_largest_rungs_with_three_degrees_stand_for_the_target() {
        let mut runs = seeds_of_one(&ladder(6, 0.0));
        for (run, percent) in runs.iter_mut().zip([1.0, 0.5, 0.4, 0.3, 0.2, 0.1]) {
            run.seed_sd = Some(run.loss * percent / 100.0);
        }
        // √((0.1² + 0.2² + 0.3²)/3)%.
        assert!((sigma(&runs) - 0.01 * (0.14_f64 / 3.0).sqrt()).abs() < 1e-12, "{}", sigma(&runs));
    }

    #[test]
    fn a_deviation_of_zero_says_nothing() {
        let mut runs = ladder(6, 0.003);
        let without = sigma(&runs);
        runs.iter_mut().for_each(|run| run.seed_sd = Some(0.0));
        assert_eq!(sigma(&runs).to_bits(), without.to_bits());
    }

    #[test]
    fn one_rungs_deviation_widens_a_forecast_and_never_narrows_it() {
        let plain = seeds_of_one(&ladder(8, 0.003));
        let residual = sigma(&plain);
        let stated = |relative: f64| {
            let mut runs = plain.clone();
            runs[0].seed_sd = Some(relative * runs[0].loss);
            sigma(&runs)
        };
        assert!((stated(0.05) - 0.05).abs() < 1e-12);
        assert_eq!(stated(1e-6).to_bits(), residual.to_bits());
    }

    #[test]
    fn one_pair_of_seeds_and_its_rule_never_narrow_a_forecast() {
        let plain = unstated(&one_pair(1e-4));
        let (stated, without) = (interval(&one_pair(1e-4)), interval(&plain));
        assert_eq!(
            (stated.lower.to_bits(), stated.upper.to_bits()),
            (without.lower.to_bits(), without.upper.to_bits())
        );
        let wide = interval(&one_pair(0.05));
        assert!(wide.lower < without.lower && wide.upper > without.upper, "{wide:?} {without:?}");
    }

    #[test]
    fn one_pair_of_seeds_and_its_rule_raise_no_lack_of_fit() {
        // A straight line through losses that flatten, held against a deviation that one pair stands behind.
        let found = doubts(&one_pair(1e-4), LawName::LOG_LOG);
        assert!(found.iter().all(|d| !d.message.contains("lack-of-fit")), "{found:?}");
        // The same deviations with degrees of their own are evidence enough.
        let mut told = one_pair(1e-4);
        told.iter_mut().for_each(|run| run.seed_degrees = Some(1.0));
        let found = doubts(&told, LawName::LOG_LOG);
        assert!(found.iter().any(|d| d.message.contains("does not fit within noise")), "{found:?}");
    }

    #[test]
    fn degrees_are_those_of_the_rungs_with_replicates() {
        // Three seeds at 0.3%, two at 0.6%, one with a rule's 5%: 2 + 1 + 0 degrees, √((2·0.3² + 0.6²)/3)%.
        let sizes = [(1e6, 0.003, 2.0), (1e6, 0.003, 2.0), (1e6, 0.003, 2.0), (2e6, 0.006, 1.0), (2e6, 0.006, 1.0)];
        let run = |(i, (size, relative, degrees)): (usize, (f64, f64, f64))| {
            let run = published::run(i, size, 2e7, 1.2e8 * size, 3.0);
            Observation { seed_sd: Some(3.0 * relative), seed_degrees: Some(degrees), ..run }
        };
        let runs: Vec<Observation> = sizes.into_iter().chain([(4e6, 0.05, 0.0)]).enumerate().map(run).collect();
        let refs: Vec<&Observation> = runs.iter().collect();
        let noise = pooled(&refs, f64::INFINITY).expect("two rungs");
        assert!((noise.degrees - 3.0).abs() < 1e-12, "{noise:?}");
        assert!((noise.sigma - 0.01 * (0.54_f64 / 3.0).sqrt()).abs() < 1e-12, "{noise:?}");
        assert_eq!(stated_rungs(&refs).len(), 2);
    }

    #[test]
    fn a_row_that_stands_for_a_rung_has_the_degrees_it_tells() {
        let row = published::run(0, 1e6, 2e7, 1.2e14, 3.0);
        let degrees = |told| {
            let row = Observation { seed_sd: Some(0.03), seed_degrees: told, ..row.clone() };
            stated(&[&row]).map(|noise| noise.degrees)
        };
        assert_eq!([degrees(Some(4.0)), degrees(None), degrees(Some(0.0))], [Some(4.0), Some(1.0), None]);
        assert_eq!([degrees(Some(f64::NAN)), degrees(Some(f64::INFINITY)), degrees(Some(-1.0))], [None; 3]);
    }

    #[test]
    fn the_rule_at_the_largest_run_is_a_lower_bound_where_degrees_are_few() {
        let mut runs = one_pair(1e-4);
        let residual = sigma(&unstated(&runs));
        let last = runs.len() - 1;
        runs[last].seed_sd = Some(0.04 * runs[last].loss);
        assert!(residual < 0.04 && (sigma(&runs) - 0.04).abs() < 1e-12);
    }

    #[test]
    fn degrees_without_a_deviation_change_nothing() {
        let mut runs = ladder(6, 0.003);
        let plain = interval(&runs);
        runs.iter_mut().for_each(|run| run.seed_degrees = Some(0.0));
        let told = interval(&runs);
        assert_eq!((told.lower.to_bits(), told.upper.to_bits()), (plain.lower.to_bits(), plain.upper.to_bits()));
    }

    #[test]
    fn a_rules_value_does_not_make_the_noise_of_small_rungs_known() {
        let mut runs = seeds_of_one(&ladder(8, 0.003));
        runs.iter_mut().for_each(|run| (run.seed_sd, run.seed_degrees) = (Some(0.01), Some(0.0)));
        let found = doubts(&runs, LawName::POWER_LAW);
        assert!(found.len() == 1 && found[0].message.starts_with("seed noise unknown"), "{found:?}");
        // Three degrees at other rungs make the rule a word on them.
        let mut backed = runs.clone();
        backed[7].seed_degrees = Some(3.0);
        assert!(doubts(&backed, LawName::POWER_LAW).iter().all(|d| !d.message.starts_with("seed noise unknown")));
        // Without seeds told, only the plainer note is left.
        runs.iter_mut().for_each(|run| run.seed = None);
        let notes = fit(&runs, &[], &FitOptions::default()).expect("fits").fits[0].diagnoses.clone();
        assert!(notes.iter().any(|d| d.code == "few_seeds"), "{notes:?}");
    }

    #[test]
    fn a_deviation_that_is_no_number_or_below_zero_is_refused() {
        for bad in [f64::NAN, -0.01, f64::INFINITY] {
            let mut runs = ladder(6, 0.003);
            runs[2].seed_sd = Some(bad);
            let error = fit(&runs, &[], &FitOptions::default()).expect_err("refused").to_string();
            assert!(error.starts_with("`run0002`: seed_sd is"), "{error}");
        }
    }

    #[test]
    fn the_interval_of_one_run_holds_its_noise_and_that_of_the_mean_does_not() {
        let widths = |relative: f64| {
            let mut runs = ladder(6, 0.001);
            runs.iter_mut().for_each(|run| run.seed_sd = Some(relative * run.loss));
            let options = ForecastOptions { backtest: false, ..ForecastOptions::default() };
            let answer = forecast(&runs, &[Target::of_budget(1e15)], &options).expect("fits");
            let width = |interval: &forescale_core::estimate::Interval| math::ln(interval.upper / interval.lower);
            (width(&answer.targets[0].intervals[0]), width(&answer.targets[0].mean_intervals[0]))
        };
        let ((quiet, mean), (loud, same)) = (widths(0.001), widths(0.05));
        assert_eq!(mean.to_bits(), same.to_bits());
        // 90% of Student's t with 4 degrees of freedom lies within 2.1318 scales (Abramowitz and Stegun, table 26.10).
        assert!(loud > 2.0 * 2.1318 * 0.05 && quiet < 0.1, "{quiet} {loud}");
    }

    #[test]
    fn small_rungs_with_one_seed_have_unknown_noise() {
        let runs = seeds_of_one(&ladder(8, 0.003));
        let found = doubts(&runs, LawName::POWER_LAW);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].severity, Severity::Warning);
        assert!(found[0].message.starts_with("seed noise unknown: `run0000` and `run0002` below 1e6"), "{found:?}");
    }

    #[test]
    fn where_no_seeds_are_told_a_law_along_a_path_says_that_even_noise_is_not_seen() {
        let said = |runs: &[Observation], law: LawName| {
            let options = FitOptions { laws: vec![law], ..FitOptions::default() };
            let found = fit(runs, &[], &options).expect("fits").fits[0].diagnoses.clone();
            let of_seeds = found.into_iter().filter(|d| ["few_seeds", "seed_noise"].contains(&d.code.as_str()));
            of_seeds.map(|d| (d.code, d.message.contains("whether noise is even"))).collect::<Vec<_>>()
        };
        let mut runs = seeds_of_one(&ladder(8, 0.003));
        // Seeds are told, one each.
        assert_eq!(said(&runs, LawName::POWER_LAW), [("seed_noise".to_owned(), true)]);
        runs.iter_mut().for_each(|run| run.seed = None);
        assert_eq!(said(&runs, LawName::POWER_LAW), [("few_seeds".to_owned(), true)]);
        // Residuals of a surface are asked.
        let grid = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.003, 1);
        assert_eq!(said(&grid, LawName::CHINCHILLA), [("few_seeds".to_owned(), false)]);
        // Repeated rungs show their noise.
        assert!(said(&ladder(8, 0.003), LawName::POWER_LAW).iter().all(|(_, is_unseen)| !is_unseen));
    }

    #[test]
    fn noise_is_not_called_unknown_where_it_is_stated_or_seeds_are_not_told_or_rungs_are_large() {
        let unknown = |runs: &[Observation]| {
            doubts(runs, LawName::POWER_LAW).iter().any(|d| d.message.starts_with("seed noise unknown"))
        };
        let runs = seeds_of_one(&ladder(8, 0.003));
        let with = |change: fn(&mut Observation)| {
            let mut runs = runs.clone();
            runs.iter_mut().for_each(change);
            unknown(&runs)
        };
        assert!(unknown(&runs) && !unknown(&ladder(8, 0.003)));
        assert!(!with(|run| run.seed_sd = Some(0.01)));
        assert!(!with(|run| run.seed = None));
        assert!(!with(|run| (run.params, run.tokens) = (100.0 * run.params, 0.01 * run.tokens)));
    }

    #[test]
    fn a_law_that_misses_by_more_than_noise_is_said_to_and_one_that_does_not_is_not() {
        let runs = ladder(8, 0.0005);
        // A straight line through losses that flatten.
        let missed = doubts(&runs, LawName::LOG_LOG);
        assert_eq!(missed.len(), 1);
        assert_eq!(missed[0].severity, Severity::Warning);
        assert!(missed[0].message.contains("the law does not fit within noise"), "{missed:?}");
        assert!(doubts(&runs, LawName::POWER_LAW).is_empty());
        let mut stated = runs;
        stated.iter_mut().for_each(|run| run.seed_sd = Some(0.0005 * run.loss));
        let fits = doubts(&stated, LawName::POWER_LAW);
        assert_eq!(fits[0].severity, Severity::Note);
        assert!(fits[0].message.contains("the law fits within noise"), "{fits:?}");
    }

    #[test]
    fn the_tail_of_f_is_the_tables() {
        // Abramowitz and Stegun, table 26.9: F at 1% is 5.64 for 5 and 10 degrees of freedom, 10.0 for 1 and 10.
        assert!((beyond(5.64, 5.0, 10.0) - 0.01).abs() < 5e-5, "{}", beyond(5.64, 5.0, 10.0));
        assert!((beyond(10.04, 1.0, 10.0) - 0.01).abs() < 5e-5);
    }
}
