//! Alabdulmohsin et al.'s learning curves: fitted on the part their authors fitted, judged on the part they held out.

use std::collections::BTreeMap;

use forescale_core::law::LawName;
use forescale_core::math;
use forescale_core::observation::Observation;

use crate::fitted::{Fitted, fit_law};
use crate::published::{self, Curve};
use crate::{FitError, FitOptions, Objective};

fn fitted(law: LawName, points: &[Observation]) -> Result<Fitted, FitError> {
    let options = FitOptions { objective: Objective::LeastSquares, ..FitOptions::default() };
    fit_law(law, &points.iter().collect::<Vec<_>>(), &options)
}

/// M4, because each of these curves begins at chance, which is where its page says it holds; the power law with a floor
/// where the points do not carry it. Nothing of the part held out enters the choice.
fn chosen(points: &[Observation]) -> Fitted {
    fitted(LawName::M4, points).or_else(|_| fitted(LawName::POWER_LAW, points)).expect("a curve carries a power law")
}

/// Root mean square of the error in log loss.
fn error(law: &Fitted, points: &[Observation]) -> f64 {
    let square = |o: &Observation| math::pow(law.log_loss(o.params, o.tokens, o.flops) - math::ln(o.loss), 2.0);
    (points.iter().map(square).sum::<f64>() / points.len() as f64).sqrt()
}

#[test]
fn curves_that_begin_at_chance_are_extrapolated_better_than_by_the_published_power_law() {
    // arXiv:2209.06640, table of mean RMSE: the power law with a floor, by domain.
    let published = [("IC", 0.07246), ("NMT", 0.04816), ("LM", 0.00113), ("BB", 0.00903)];
    let Some(curves) = published::curves() else { return };
    let mut errors: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for Curve { domain, fit, ahead } in &curves {
        errors.entry(domain).or_default().push(error(&chosen(fit), ahead));
    }
    for (domain, limit) in published {
        let mean = errors[domain].iter().sum::<f64>() / errors[domain].len() as f64;
        println!("{domain}: {mean:.5} over {} curves, published {limit}", errors[domain].len());
        assert!(mean <= limit, "{domain}: {mean}");
    }
}
