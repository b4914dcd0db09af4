//! What a fitted law says at runs.

use forescale_core::law::{Centre, LawName, Theta};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::FittedLaw;

/// Compute and the law's loss at each run; nothing for a law whose parameters are not all told, or that needs more of a run
/// than its size, data and compute.
#[must_use]
pub fn at_runs(law: &FittedLaw, runs: &[Observation]) -> Vec<(f64, f64)> {
    let Ok(name) = law.law.parse::<LawName>() else { return Vec::new() };
    let form = name.form();
    let mut natural = Theta::default();
    for (slot, parameter) in natural.iter_mut().zip(form.parameters()) {
        let Some(told) = law.parameters.get(parameter.symbol) else { return Vec::new() };
        *slot = told.estimate;
    }
    let centre = Centre::ONE;
    let theta = form.internal(&natural, &centre);
    let of = |run: &Observation| {
        let at = centre.position(run.params, run.tokens, run.flops).repeated(run.tokens, run.unique_tokens);
        (run.flops, math::exp(form.log_loss(&theta, &at)))
    };
    runs.iter().map(of).filter(|(_, loss)| loss.is_finite()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FitOptions, fit, published};

    #[test]
    fn a_law_fitted_without_noise_goes_through_its_runs() {
        let runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
        for law in [LawName::CHINCHILLA, LawName::POWER_LAW] {
            let report = fit(&runs, &[], &FitOptions { laws: vec![law], ..FitOptions::default() }).expect("fits");
            let said = at_runs(&report.fits[0], &runs);
            assert_eq!(said.len(), runs.len());
            let worst =
                said.iter().zip(&runs).map(|((_, loss), run)| (loss / run.loss - 1.0).abs()).fold(0.0, f64::max);
            assert!(law != LawName::CHINCHILLA || worst < 1e-6, "{worst}");
        }
    }

    #[test]
    fn a_law_with_an_untold_parameter_says_nothing() {
        let runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
        let mut report =
            fit(&runs, &[], &FitOptions { laws: vec![LawName::CHINCHILLA], ..FitOptions::default() }).expect("fits");
        report.fits[0].parameters.remove("E");
        assert!(at_runs(&report.fits[0], &runs).is_empty());
    }
}
