//! What a fitted law says of a budget spent as well as it can be: the one place that knows which functional that is.
//!
//! A law of compute alone is read on its own path; a law of size and data at the optimum it implies itself.

use forescale_core::law::Domain;
use forescale_core::math;

use crate::Target;
use crate::fitted::Fitted;
use crate::forecaster::shape_of;
use crate::functional::Functional;

/// ln L of the best run that a budget buys, as a function of the law's parameters.
pub(crate) fn frontier(fitted: &Fitted, flops: f64) -> Functional {
    match fitted.law.form().domain() {
        Domain::SizeAndData => Functional::FrontierLoss(math::ln(flops / fitted.flops_per_product())),
        Domain::Compute => Functional::Prediction(fitted.problem.centre.position(1.0, 1.0, flops)),
    }
}

/// ln L of a target: at its own size and data where they are given, else on the frontier.
pub(crate) fn at_target(fitted: &Fitted, target: &Target) -> Functional {
    match (fitted.law.form().domain(), shape_of(target, fitted.flops_per_product())) {
        (Domain::SizeAndData, Some((params, tokens))) => {
            let at = fitted.problem.centre.position(params, tokens, target.flops);
            Functional::Prediction(at.repeated(tokens, target.unique_tokens))
        }
        _ => frontier(fitted, target.flops),
    }
}
