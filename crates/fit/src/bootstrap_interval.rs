//! Intervals from refits: percentiles of a functional over a bootstrap, in the form of a profile.
//!
//! **Percentiles, and why.** A functional here is a logarithm of what a reader wants (an amplitude, a loss) or an exponent,
//! and percentiles do not depend on which. The basic interval mirrors the refits about the estimate and so turns the long
//! tail of a forecast (a floor that goes to zero) to the wrong side; BCa adds a jackknife that is undefined where leaving
//! one of six runs out leaves the law undetermined. Small samples are met where they arise: parametric refits draw their
//! variance too ([`crate::bootstrap`]), and pairs are wide by themselves, because draws that repeat a run lose a point.
//!
//! The refits take the place of [`Profile`]'s trace: the percentile at p stands at the root whose Student's probability
//! is p, so that a parameter, a prediction and the ensemble read a bootstrap as they read a profile.

use forescale_core::law::Theta;
use forescale_core::math;

use crate::bootstrap::{Resampling, refits};
use crate::fitted::Fitted;
use crate::functional::Functional;
use crate::profile::Profile;
use crate::{FitError, FitOptions, IntervalMethod};

/// Fewest clusters that are drawn from. Of G clusters drawn with replacement half of the draws hold fewer than 0.65 G
/// different ones; chosen here as what leaves a law of three parameters determined in nearly every draw.
const LEAST_CLUSTERS: usize = 8;
/// Fewest refits that have 5% of them, and not one or two, past the end of a 90% interval.
const LEAST_DRAWS: u32 = 100;

/// Refits of one law.
#[derive(Clone, Debug)]
pub(crate) struct Refits {
    thetas: Vec<Theta>,
    /// Probabilities with the roots they stand at.
    roots: Vec<(f64, f64)>,
}

impl Refits {
    /// As the options ask; `None` where intervals are profiles.
    ///
    /// # Errors
    ///
    /// [`FitError`] where too few clusters are drawn from.
    pub(crate) fn of(fitted: &Fitted, options: &FitOptions) -> Result<Option<Self>, FitError> {
        let how = match options.interval {
            IntervalMethod::Profile => return Ok(None),
            IntervalMethod::Pairs => Resampling::Pairs,
            IntervalMethod::Cluster => Resampling::Cluster,
            IntervalMethod::Parametric => Resampling::Parametric,
        };
        let found = fitted.dependence.as_ref().map_or(fitted.points.len(), |d| d.clusters.len());
        if how == Resampling::Cluster && found < LEAST_CLUSTERS {
            return Err(FitError::TooFewClusters { law: fitted.law.to_string(), found, needed: LEAST_CLUSTERS });
        }
        let thetas = refits(fitted, how, options.draws as usize, options.seed);
        let roots = levels(thetas.len()).into_iter().map(|p| (p, fitted.dispersion.quantile(p))).collect();
        Ok(Some(Self { thetas, roots }))
    }

    /// The functional's percentiles at their roots.
    pub(crate) fn profile(&self, fitted: &Fitted, functional: Functional) -> Profile {
        let (centre, _) = functional.at(&fitted.problem, &fitted.optimum.theta);
        let at = |theta: &Theta| functional.at(&fitted.problem, theta).0;
        let mut values: Vec<f64> = self.thetas.iter().map(at).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        if values.len() < 2 {
            return Profile::of_knots(centre, None, &[(0.0, centre)]);
        }
        let knots = self.roots.iter().map(|&(p, root)| (root, percentile(&values, p)));
        let ends = bounds(fitted, functional);
        let knots: Vec<(f64, f64)> = knots.filter(|(_, value)| !ends.contains(value)).collect();
        let relative_error = functional
            .is_logarithm(&fitted.problem)
            .then(|| relative_deviation(&values, centre))
            .filter(|error| error.is_finite());
        let mut profile = Profile::of_knots(centre, Some(deviation(&values)), &knots);
        profile.relative_error = relative_error;
        profile
    }
}

/// A draws' count that is too small, if one is asked for.
pub(crate) fn validate_draws(options: &FitOptions) -> Result<(), FitError> {
    if options.interval == IntervalMethod::Profile || options.draws >= LEAST_DRAWS {
        return Ok(());
    }
    Err(FitError::BadOption { option: "--draws", value: f64::from(options.draws), allowed: "a count of at least 100" })
}

/// Probabilities at steps of a hundredth, and the outermost that this many refits tell.
fn levels(count: usize) -> Vec<f64> {
    let outermost = (0.5 / count.max(1) as f64).min(0.005);
    let inner = (0..100).map(|i| (f64::from(i) + 0.5) / 100.0);
    let mut levels: Vec<f64> = inner.chain([0.5, outermost, 1.0 - outermost]).collect();
    levels.sort_by(f64::total_cmp);
    levels.dedup();
    levels
}

/// Percentile of sorted values, linear between the middles of their weights.
fn percentile(sorted: &[f64], probability: f64) -> f64 {
    let at = (probability * sorted.len() as f64 - 0.5).clamp(0.0, (sorted.len() - 1) as f64);
    let below = at.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64)
}

fn deviation(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|v| (v - mean) * (v - mean)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// Deviation of the quantities whose logarithms these are, over the one at `centre`: of their values themselves, as published
/// standard errors of amplitudes are, and not of the logarithms, from which it differs where those are wide.
fn relative_deviation(logarithms: &[f64], centre: f64) -> f64 {
    deviation(&logarithms.iter().map(|value| math::exp(value - centre)).collect::<Vec<_>>())
}

/// The edges of a parameter's range: a percentile there is no end of an interval, the data set none.
fn bounds(fitted: &Fitted, functional: Functional) -> Vec<f64> {
    let Functional::Parameter(index) = functional else { return Vec::new() };
    let parameter = &fitted.problem.form.parameters()[index];
    let at = |bound: f64| {
        let mut theta = fitted.optimum.theta;
        theta[index] = bound;
        functional.at(&fitted.problem, &theta).0
    };
    [parameter.lower, parameter.upper].map(at).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LawName, fit, published};
    use forescale_core::observation::Observation;

    fn grid() -> Vec<Observation> {
        published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.005, 1)
    }

    fn options(interval: IntervalMethod) -> FitOptions {
        FitOptions { laws: vec![LawName::CHINCHILLA], interval, draws: 200, ..FitOptions::default() }
    }

    #[test]
    fn one_seed_gives_one_interval_and_another_seed_another() {
        for method in [IntervalMethod::Pairs, IntervalMethod::Parametric] {
            let with = |seed: u64| {
                let report = fit(&grid(), &[], &FitOptions { seed, ..options(method) }).expect("fits");
                assert_eq!(report.fits[0].interval.as_deref(), Some(method.name()));
                report.fits[0].parameters["E"]
            };
            assert_eq!(with(3), with(3));
            assert_ne!(with(3).lower, with(4).lower);
        }
    }

    #[test]
    fn refits_and_profiles_of_a_well_determined_table_agree_to_a_third_of_the_width() {
        let of = |method| fit(&grid(), &[], &options(method)).expect("fits").fits[0].parameters["E"];
        let profile = of(IntervalMethod::Profile);
        let ends =
            |estimate: forescale_core::estimate::Estimate| [estimate.lower, estimate.upper].map(|e| e.expect("an end"));
        let room = (ends(profile)[1] - ends(profile)[0]) / 3.0;
        for method in [IntervalMethod::Pairs, IntervalMethod::Parametric] {
            for (end, expected) in ends(of(method)).iter().zip(ends(profile)) {
                assert!((end - expected).abs() < room, "{method:?}: {end} {expected}");
            }
        }
    }

    #[test]
    fn a_handful_of_clusters_is_refused() {
        let named = |(i, o): (usize, Observation)| Observation { cluster: format!("trunk{}", i % 7), ..o };
        let runs: Vec<Observation> = grid().into_iter().enumerate().map(named).collect();
        let text = fit(&runs, &[], &options(IntervalMethod::Cluster)).expect_err("refused").to_string();
        assert!(
            text.starts_with("`chinchilla` was given 7 clusters; a cluster bootstrap draws from at least 8"),
            "{text}"
        );
        assert!(fit(&runs, &[], &options(IntervalMethod::Pairs)).is_ok());
    }

    #[test]
    fn a_handful_of_draws_is_refused() {
        let few = FitOptions { draws: 99, ..options(IntervalMethod::Pairs) };
        let text = fit(&grid(), &[], &few).expect_err("refused").to_string();
        assert!(text.starts_with("--draws is 99; it must be a count of at least 100"), "{text}");
    }

    #[test]
    fn errors_and_degrees_below_zero_or_no_numbers_are_refused_by_name() {
        for bad in [-0.1, f64::NAN, f64::INFINITY] {
            for field in ["loss_se", "seed_degrees"] {
                let mut runs = grid();
                if field == "loss_se" {
                    runs[4].loss_se = Some(bad);
                } else {
                    runs[4].seed_degrees = Some(bad);
                }
                let text = fit(&runs, &[], &options(IntervalMethod::Profile)).expect_err("refused").to_string();
                assert!(text.starts_with(&format!("`run0004`: {field} is ")), "{text}");
            }
        }
    }

    #[test]
    fn the_standard_error_shown_of_an_amplitude_is_that_of_its_values_and_not_of_their_logarithms() {
        // Of a log-normal quantity with deviation 1 of its logarithm the deviation over the median is √(e·(e − 1)) = 2.1612.
        let count = 20_000;
        let logarithms: Vec<f64> =
            (0..count).map(|i| 3.0 + math::normal_quantile((f64::from(i) + 0.5) / f64::from(count))).collect();
        assert!((relative_deviation(&logarithms, 3.0) / 2.1612 - 1.0).abs() < 0.01);
        // Through a whole fit: what is shown of B is the deviation of the refits' own B.
        let all = grid();
        let runs: Vec<&Observation> = all.iter().collect();
        let asked = options(IntervalMethod::Pairs);
        let fitted = crate::fitted::fit_law(LawName::CHINCHILLA, &runs, &asked).expect("fits");
        let natural = |theta: &Theta| fitted.problem.form.natural(theta, &fitted.problem.centre)[1];
        let drawn = refits(&fitted, Resampling::Pairs, 200, asked.seed).iter().map(natural).collect::<Vec<_>>();
        let shown = fit(&all, &[], &asked).expect("fits").fits[0].parameters["B"].standard_error.expect("an error");
        assert!((shown / deviation(&drawn) - 1.0).abs() < 1e-6, "{shown} {}", deviation(&drawn));
    }

    #[test]
    fn percentiles_are_linear_between_the_middles_of_weights() {
        // Four values stand at 1/8, 3/8, 5/8, 7/8.
        let values = [1.0, 2.0, 4.0, 8.0];
        for (p, expected) in [(0.125, 1.0), (0.25, 1.5), (0.5, 3.0), (0.75, 6.0), (0.01, 1.0), (0.99, 8.0)] {
            assert!((percentile(&values, p) - expected).abs() < 1e-12, "{p}");
        }
    }
}
