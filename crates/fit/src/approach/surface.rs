//! Approach 3: the frontier of the fitted loss surface L = E + A·N^−α + B·D^−β.
//!
//! a = β/(α+β) and N* are functions of the surface's parameters: a takes its interval from their covariance, N* from its
//! own profile. D* is what the budget leaves, so that its interval is that of N* turned round.

use forescale_core::approach::{Approach, ApproachFit, OptimalPowers, OptimumAt};
use forescale_core::estimate::Estimate;
use forescale_core::law::padded;
use forescale_core::math;
use forescale_core::observation::Observation;

use super::regression::bounded;
use super::{ApproachOptions, empty, fit_options};
use crate::diagnose::{Doubt, FitKind, doubts_of_fit, uncertified};
use crate::fitted::{Fitted, fit_law};
use crate::functional::Functional;
use crate::session::estimate;
use crate::{FitError, LawName};

/// The surface's answer for one group.
pub(super) fn fit(runs: &[&Observation], at: &[f64], options: &ApproachOptions) -> Result<ApproachFit, FitError> {
    let fitted = fit_law(LawName::CHINCHILLA, runs, &fit_options(options))?;
    let mut doubts = doubts_of_fit(&fitted, runs, &[]);
    doubts.extend(uncertified(&fitted, FitKind::Plain).map(Doubt::from));
    Ok(ApproachFit {
        powers: Some(powers(&fitted, options.level)),
        optima: at.iter().map(|&flops| optimum(&fitted, flops, options.level)).collect(),
        n: fitted.points.len() as u64,
        diagnoses: doubts.iter().map(Doubt::diagnosis).collect(),
        ..empty(Approach::Surface)
    })
}

fn powers(fitted: &Fitted, level: f64) -> OptimalPowers {
    let natural = fitted.natural();
    let per_product = fitted.flops_per_product();
    let one = fitted.problem.form.optimum(&natural, 1.0, per_product);
    let [params_coefficient, tokens_coefficient] = one.map_or([f64::NAN; 2], |one| [one.params, one.tokens]);
    let params_exponent = exponent(fitted, level);
    let left = |end: Option<f64>| end.map(|end| 1.0 - end);
    let tokens_exponent = Estimate {
        estimate: 1.0 - params_exponent.estimate,
        lower: left(params_exponent.upper),
        upper: left(params_exponent.lower),
        ..params_exponent
    };
    OptimalPowers { params_exponent, params_coefficient, tokens_exponent, tokens_coefficient }
}

/// a = β/(α+β), with the interval its gradient (−β, α)/(α+β)² gives.
fn exponent(fitted: &Fitted, level: f64) -> Estimate {
    let [_, _, _, alpha, beta, _] = fitted.optimum.theta;
    let sum = alpha + beta;
    let gradient = padded([0.0, 0.0, 0.0, -beta / (sum * sum), alpha / (sum * sum)]);
    let (_, error) = fitted.scale_of(&gradient);
    match error {
        Some(error) => bounded(beta / sum, error, fitted.root(level) * error, level),
        None => Estimate { estimate: beta / sum, standard_error: None, lower: None, upper: None, level },
    }
}

fn optimum(fitted: &Fitted, flops: f64, level: f64) -> OptimumAt {
    let product = flops / fitted.flops_per_product();
    let functional = Functional::LogOptimalParams(math::ln(product));
    let params = estimate(&fitted.profile(functional, level), fitted.root(level), level, true);
    OptimumAt {
        flops,
        params,
        tokens: turned(&params, |n| product / n, 1.0),
        tokens_per_param: turned(&params, |n| product / (n * n), 2.0),
        parabola_bias: None,
    }
}

/// A falling power of an estimate: its ends change places.
fn turned(of: &Estimate, map: impl Fn(f64) -> f64, power: f64) -> Estimate {
    let estimate = map(of.estimate);
    let relative = of.standard_error.map(|error| power * error / of.estimate);
    Estimate {
        estimate,
        standard_error: relative.map(|relative| relative * estimate).filter(|error| error.is_finite()),
        lower: of.upper.map(&map).filter(|end| end.is_finite() && *end > 0.0),
        upper: of.lower.map(&map).filter(|end| end.is_finite() && *end > 0.0),
        level: of.level,
    }
}
