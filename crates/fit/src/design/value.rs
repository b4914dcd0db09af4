//! What runs are worth: the variance they leave in the prediction at the target.
//!
//! # Formula
//!
//! For a law with gradients gᵢ of ln L at the runs and c at the target, information F = Σ wᵢ gᵢgᵢᵀ + P; the variance of the
//! prediction is v·cᵀF⁻¹c, v the variance that one unit of information leaves ([`crate::scale::Dispersion`]). V is its mean
//! over the laws by weight, plus 2s² where s is the scale of the error of form, Student's t with 4 degrees of freedom, at
//! the decades from the largest run, known or bought, to the target.
//!
//! P is a prior so weak that it only makes F regular: standard deviations of 2 for logarithms of amplitudes, 0.5 for
//! exponents, and the typical loss for a floor (chosen here: each a few times wider than all published values). What a
//! forecast expects of exponents ([`crate::prior`]) is left out: runs are bought to say whether it is so.
//!
//! A run to be bought counts as one of average weight. That a forecast gives larger runs more weight is how a misfit is
//! shared out, and no knowledge of their noise: counted as such it would make every large run look a bargain.
//!
//! A law of compute alone learns from a run on its path and nothing from one off it. A path made of isoFLOP vertices learns
//! from no single run: such a law is left out where there is another.

use forescale_core::law::Scale;
use forescale_core::law::{Domain, Theta};
use forescale_core::math;

use super::candidates::Candidate;
use crate::Target;
use crate::fitted::Fitted;
use crate::form_error::Calibration;
use crate::frontier::at_target;
use crate::linear::{Matrix, add_outer, dot, inverse, quadratic_inverse};
use crate::path::is_near_path;

const AMPLITUDE_PRIOR: f64 = 2.0;
const EXPONENT_PRIOR: f64 = 0.5;

/// One law's information and what it is wanted for.
#[derive(Clone)]
pub(super) struct LawValue {
    weight: f64,
    /// v.
    unit: f64,
    gradient: Theta,
    information: Matrix,
    /// cᵀP⁻¹c, which information only lowers: what is left where F is singular to the digits there are.
    prior_variance: f64,
    /// √w·g of each candidate; none where the law learns nothing from it.
    directions: Vec<Option<Theta>>,
    free: Vec<usize>,
}

impl LawValue {
    fn new(fitted: &Fitted, weight: f64, target: &Target, candidates: &[Candidate]) -> Self {
        let theta = &fitted.optimum.theta;
        let (_, gradient) = at_target(fitted, target).at(&fitted.problem, theta);
        let unit = fitted.dispersion.variance;
        let mut information = fitted.problem.information(theta);
        let mut prior_variance = 0.0;
        for (i, row) in information.iter_mut().enumerate().take(fitted.problem.count()) {
            let deviation = prior_deviation(fitted, i);
            row[i] += unit / (deviation * deviation);
            prior_variance += gradient[i] * gradient[i] * deviation * deviation;
        }
        let directions = candidates.iter().map(|candidate| direction(fitted, candidate)).collect();
        let free = (0..fitted.problem.count()).collect();
        Self { weight, unit, gradient, information, prior_variance, directions, free }
    }

    /// Variance of log loss at the target.
    fn variance(&self) -> f64 {
        let left = quadratic_inverse(&self.information, &self.gradient, &self.free);
        left.map_or(self.prior_variance, |left| (self.unit * left).min(self.prior_variance))
    }

    fn add(&mut self, direction: &Theta, factor: f64) {
        add_outer(&mut self.information, direction, factor);
    }
}

fn prior_deviation(fitted: &Fitted, index: usize) -> f64 {
    let parameter = &fitted.problem.form.parameters()[index];
    if parameter.is_floor {
        let logs: Vec<f64> = fitted.problem.samples.iter().map(|sample| sample.log_loss).collect();
        return math::median(&logs).map_or(1.0, math::exp);
    }
    if parameter.scale == Scale::Logarithmic { AMPLITUDE_PRIOR } else { EXPONENT_PRIOR }
}

fn direction(fitted: &Fitted, run: &Candidate) -> Option<Theta> {
    let speaks = match fitted.law.form().domain() {
        Domain::SizeAndData => true,
        Domain::Compute => is_near_path(&fitted.points, run.params, run.tokens, run.flops),
    };
    let at = fitted.problem.centre.position(run.params, run.tokens, run.flops);
    let mut gradient = fitted.problem.form.response(&fitted.optimum.theta, &at).gradient;
    let weight = fitted.falloff.map_or(1.0, |falloff| falloff.weight(run.flops));
    gradient.iter_mut().for_each(|g| *g *= weight.sqrt());
    speaks.then_some(gradient)
}

/// All laws' information, and how far the runs reach.
#[derive(Clone)]
pub(super) struct Value {
    laws: Vec<LawValue>,
    /// Compute of each candidate.
    flops: Vec<f64>,
    /// Which candidates a law that has a say learns from: the others shorten no reach.
    read: Vec<bool>,
    known_max: f64,
    target_flops: f64,
    calibration: Calibration,
    /// How many of each candidate are bought.
    pub(super) counts: Vec<usize>,
}

/// Variance of log loss at the target, by that of the laws and the scale of the form's error, a Student's t with 4 degrees of
/// freedom, whose variance is twice its squared scale.
pub(super) fn total(law_variance: f64, form_scale: f64) -> f64 {
    law_variance + 2.0 * form_scale * form_scale
}

impl Value {
    /// Of the runs so far. `laws` with their weights in the forecast.
    pub(super) fn new(
        laws: &[(&Fitted, f64)],
        target: &Target,
        candidates: &[Candidate],
        known_max: f64,
        calibration: Calibration,
    ) -> Self {
        let total: f64 = laws.iter().map(|law| law.1).sum();
        let value = |(fitted, weight): &(&Fitted, f64)| LawValue::new(fitted, weight / total, target, candidates);
        let laws: Vec<LawValue> = laws.iter().map(value).collect();
        let is_read = |i: usize| laws.iter().any(|law| law.weight > 0.0 && law.directions[i].is_some());
        Self {
            read: (0..candidates.len()).map(is_read).collect(),
            laws,
            flops: candidates.iter().map(|c| c.flops).collect(),
            known_max,
            target_flops: target.flops,
            calibration,
            counts: vec![0; candidates.len()],
        }
    }

    /// Buys (or with −1 gives back) one of a candidate.
    pub(super) fn change(&mut self, index: usize, by: i32) {
        for law in &mut self.laws {
            if let Some(direction) = law.directions[index] {
                law.add(&direction, f64::from(by));
            }
        }
        self.counts[index] = if by > 0 { self.counts[index] + 1 } else { self.counts[index].saturating_sub(1) };
    }

    /// Variance of the laws at the target, mean by weight.
    pub(super) fn law_variance(&self) -> f64 {
        self.laws.iter().map(|law| law.weight * law.variance()).sum()
    }

    /// The largest run, known or bought, that a law learns from.
    pub(super) fn top(&self) -> f64 {
        let bought = (0..self.flops.len()).filter(|&i| self.read[i] && self.counts[i] > 0);
        bought.map(|i| self.flops[i]).fold(self.known_max, f64::max)
    }

    /// Scale of the error of form.
    pub(super) fn form_scale(&self) -> f64 {
        self.form_scale_from(self.top())
    }

    fn form_scale_from(&self, top: f64) -> f64 {
        self.calibration.scale(math::log10(self.target_flops / top))
    }

    /// V.
    pub(super) fn total(&self) -> f64 {
        total(self.law_variance(), self.form_scale())
    }

    /// By how much V falls with one more of each candidate, by the rank-one formula.
    pub(super) fn drops(&self) -> Vec<f64> {
        let parts: Vec<Option<Vec<f64>>> = self.laws.iter().map(law_drops).collect();
        let (now, top) = (self.form_scale(), self.top());
        let drop = |i: usize| {
            let law: f64 = parts.iter().flatten().map(|drops| drops[i]).sum();
            if !self.read[i] {
                return 0.0;
            }
            let then = self.form_scale_from(top.max(self.flops[i]));
            law + 2.0 * (now * now - then * then)
        };
        (0..self.flops.len()).map(drop).collect()
    }

    /// Compute spent, and that within a decade of the largest run.
    pub(super) fn spent(&self) -> (f64, f64) {
        let near = 0.1 * self.top() * (1.0 - 1e-9);
        let cost = |(flops, count): (&f64, &usize)| flops * *count as f64;
        let all = || self.flops.iter().zip(&self.counts);
        (all().map(cost).sum(), all().filter(|(flops, _)| **flops >= near).map(cost).sum())
    }
}

/// v·w·(cᵀF⁻¹g)²/(1 + gᵀF⁻¹g) for each candidate (Sherman and Morrison 1950).
fn law_drops(law: &LawValue) -> Option<Vec<f64>> {
    let inverse = inverse(&law.information, &law.free)?;
    let times = |vector: &Theta| {
        let mut product = Theta::default();
        product.iter_mut().zip(&inverse).for_each(|(entry, row)| *entry = dot(row, vector));
        product
    };
    let towards = times(&law.gradient);
    let of = |direction: &Option<Theta>| {
        direction.map_or(0.0, |g| {
            let reached = dot(&towards, &g);
            law.weight * law.unit * reached * reached / (1.0 + dot(&g, &times(&g)))
        })
    };
    Some(law.directions.iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fitted::fit_law;
    use crate::{FitOptions, LawName, Objective, published};
    use forescale_core::observation::Observation;
    use forescale_core::run::Role;

    const TARGET: Target = Target::of_budget(1e22);

    fn rung(i: usize, flops: f64, loss: f64) -> Observation {
        let size = (flops / 120.0).sqrt();
        Observation { role: Some(Role::Path), ..published::run(i, size, 20.0 * size, flops, loss) }
    }

    fn candidate(flops: f64) -> Candidate {
        let params = (flops / 120.0).sqrt();
        Candidate { name: format!("{flops}"), params, tokens: 20.0 * params, flops }
    }

    /// Four runs at 1e16, 1e17, 1e18 and 1e19 FLOPs with ln L = −0.05 ln C + 3 and errors of +e, −e, −e, +e, which are
    /// orthogonal to intercept and slope: the line is exact and the residual variance is 4e²/2.
    fn line() -> Fitted {
        let error = [1.0, -1.0, -1.0, 1.0];
        let run = |i: usize| {
            let flops = math::pow(10.0, 16.0 + i as f64);
            rung(i, flops, math::exp(3.0 - 0.05 * math::ln(flops) + 0.004 * error[i]))
        };
        let runs: Vec<Observation> = (0..4).map(run).collect();
        let options = FitOptions { objective: Objective::LeastSquares, ..FitOptions::default() };
        fit_law(LawName::LOG_LOG, &runs.iter().collect::<Vec<_>>(), &options).expect("fits")
    }

    /// σ²(1/n + (X − x̄)²/Σ(x − x̄)²), the variance of a straight line at X, by hand.
    fn by_hand(x: &[f64], at: f64) -> f64 {
        let n = x.len() as f64;
        let mean = x.iter().sum::<f64>() / n;
        let spread: f64 = x.iter().map(|v| (v - mean) * (v - mean)).sum();
        2.0 * 0.004 * 0.004 * (1.0 / n + (at - mean) * (at - mean) / spread)
    }

    #[test]
    fn the_variance_of_a_straight_line_is_the_one_worked_by_hand() {
        let fitted = line();
        let candidates = [candidate(1e16), candidate(1e18), candidate(1e19)];
        let mut value = Value::new(&[(&fitted, 1.0)], &TARGET, &candidates, 1e19, Calibration::default());
        // Decades serve for logarithms: the formula is a ratio. 1/4 + 4.5²/5 = 4.3 units of 2·0.004².
        let now = by_hand(&[16.0, 17.0, 18.0, 19.0], 22.0);
        assert!((now / (4.3 * 2.0 * 0.004 * 0.004) - 1.0).abs() < 1e-12);
        assert!((value.law_variance() / now - 1.0).abs() < 2e-3, "{} {now}", value.law_variance());
        let expected = [16.0, 18.0, 19.0].map(|x| now - by_hand(&[16.0, 17.0, 18.0, 19.0, x], 22.0));
        for (drop, expected) in value.drops().iter().zip(expected) {
            assert!((drop / expected - 1.0).abs() < 5e-3, "{drop} {expected}");
        }
        // The upper end is worth most, the middle least of all.
        assert!(expected[2] > expected[0] && expected[0] > expected[1]);
        let promised = value.total() - value.drops()[2];
        value.change(2, 1);
        assert!((value.total() / promised - 1.0).abs() < 1e-9);
        value.change(2, -1);
        assert!((value.law_variance() / now - 1.0).abs() < 2e-3);
    }

    #[test]
    fn a_run_off_the_path_teaches_a_path_law_nothing_and_a_larger_one_shortens_the_reach() {
        let fitted = line();
        let off = Candidate { tokens: 400.0 * 1e8, params: 1e8 / 4.0, ..candidate(1e18) };
        let candidates = [off, candidate(1e20)];
        let mut value = Value::new(&[(&fitted, 1.0)], &TARGET, &candidates, 1e19, Calibration::default());
        assert!(value.drops()[0].abs() < 1e-18);
        // Not even one that is larger than all: half of a budget once went to a run that no law was fitted to.
        let large = Candidate { params: 1e20 / 4.0 / 6.0 / 4e11, tokens: 4e11, ..candidate(4e20) };
        let mut wasted = Value::new(&[(&fitted, 1.0)], &TARGET, &[large], 1e19, Calibration::default());
        assert_eq!(wasted.drops(), [0.0]);
        wasted.change(0, 1);
        assert!((wasted.top() / 1e19 - 1.0).abs() < 1e-12);
        let before = value.form_scale();
        value.change(1, 1);
        // Three decades become two, and the error of form grows as their power 1.6 (`crate::experience`).
        assert!((before / value.form_scale() - math::pow(1.5, 1.6)).abs() < 1e-9);
        assert_eq!(value.spent(), (1e20, 1e20));
    }
}
