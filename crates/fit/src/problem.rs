//! A law, the observations it is held against, and what a residual costs: everything a solver sees.

use std::sync::Arc;

use argmin::core::{CostFunction, Error};
use forescale_core::law::{Centre, Domain, LawForm, MAX_PARAMETERS, Position, Response, Theta};
use forescale_core::math;
use forescale_core::observation::Observation;

use crate::functional::Functional;
use crate::kernel::Columns;
use crate::linear::{Matrix, add_outer};
use crate::objective::Cost;
use crate::prior::Prior;
use crate::thin;

/// One observation as the solver sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) at: Position,
    pub(crate) log_loss: f64,
    pub(crate) weight: f64,
}

/// A pull of one functional of θ towards a value: how a profile holds it in place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tether {
    pub(crate) functional: Functional,
    pub(crate) target: f64,
    pub(crate) stiffness: f64,
}

/// A law to be fitted to samples.
#[derive(Clone)]
pub(crate) struct FitProblem {
    pub(crate) form: &'static dyn LawForm,
    pub(crate) centre: Centre,
    pub(crate) samples: Vec<Sample>,
    pub(crate) cost: Cost,
    pub(crate) tether: Option<Tether>,
    /// What is expected of the parameters before any sample is seen.
    pub(crate) prior: Option<Prior>,
}

/// The objective at a θ, with what a Newton step needs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct System {
    pub(crate) value: f64,
    pub(crate) gradient: Theta,
    /// Σ w (ρ″ ggᵀ + ψ ∇²f): the Hessian.
    pub(crate) newton: Matrix,
    /// Diagonal of Σ w (ψ/r) ggᵀ, the majorising Gauss–Newton matrix of reweighted least squares.
    pub(crate) majorizer: Theta,
    /// Σ w² ψ².
    pub(crate) slope_square: f64,
    /// Σ w g²: how strongly each coordinate moves the predictions.
    pub(crate) sensitivity: Theta,
}

impl FitProblem {
    /// A problem centred at the geometric means of the observations.
    pub(crate) fn new(form: &'static dyn LawForm, observations: &[&Observation], cost: Cost) -> Self {
        let mean = |of: fn(&Observation) -> f64| {
            observations.iter().map(|o| math::ln(of(o))).sum::<f64>() / observations.len().max(1) as f64
        };
        let centre = Centre {
            log_params: mean(|o| o.params),
            log_tokens: mean(|o| o.tokens),
            log_flops: mean(|o| o.flops),
            log_start: None,
        };
        let sample = |o: &&Observation| Sample {
            at: centre.position(o.params, o.tokens, o.flops).repeated(o.tokens, o.unique_tokens),
            log_loss: math::ln(o.loss),
            weight: o.weight * cost.leverage(o.loss),
        };
        Self { form, centre, samples: observations.iter().map(sample).collect(), cost, tether: None, prior: None }
    }

    /// The same problem where the loss that learning starts from may be known.
    pub(crate) fn starting_at(mut self, start_level: Option<f64>) -> Self {
        self.centre.log_start = start_level.map(math::ln);
        self.samples.iter_mut().for_each(|sample| sample.at.log_start = self.centre.log_start);
        self
    }

    /// Number of parameters.
    pub(crate) fn count(&self) -> usize {
        self.form.parameters().len()
    }

    /// Predicted less observed log loss, in the order of the samples.
    pub(crate) fn residuals(&self, theta: &Theta) -> Vec<f64> {
        self.samples.iter().map(|s| self.form.log_loss(theta, &s.at) - s.log_loss).collect()
    }

    /// The problem on about so many of its samples, where it has twice as many or more.
    pub(crate) fn thinned(&self, most: usize) -> Option<Self> {
        let part = || thin::kept(self.samples.len(), most).map(|index| self.samples[index]);
        (2 * most <= self.samples.len()).then(|| Self { samples: part().collect(), ..self.clone() })
    }

    /// θ moved into its bounds.
    pub(crate) fn clamp(&self, theta: &Theta) -> Theta {
        let mut inside = *theta;
        for (value, parameter) in inside.iter_mut().zip(self.form.parameters()) {
            *value = value.clamp(parameter.lower, parameter.upper);
        }
        inside
    }

    /// Coordinates that lie on a bound.
    pub(crate) fn at_bound(&self, theta: &Theta) -> Vec<usize> {
        let on = |&i: &usize| {
            let parameter = &self.form.parameters()[i];
            theta[i] <= parameter.lower || theta[i] >= parameter.upper
        };
        (0..self.count()).filter(on).collect()
    }

    /// The objective and its derivatives under a cost, tether included. Where it is asked for often, an [`Evaluator`] lays
    /// the samples out once.
    #[cfg(test)]
    pub(crate) fn system(&self, theta: &Theta, cost: Cost) -> System {
        Evaluator::new(self).system(theta, cost)
    }

    /// Σ w ggᵀ: the information the samples hold, whatever a residual costs.
    pub(crate) fn information(&self, theta: &Theta) -> Matrix {
        let mut matrix = Matrix::default();
        for sample in &self.samples {
            let gradient = self.form.response(theta, &sample.at).gradient;
            for i in 0..MAX_PARAMETERS {
                for j in 0..MAX_PARAMETERS {
                    matrix[i][j] += sample.weight * gradient[i] * gradient[j];
                }
            }
        }
        matrix
    }

    /// How far apart the samples lie in the law's own variable, decades of compute.
    pub(crate) fn decades(&self) -> f64 {
        let span = self.samples.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), s| {
            (low.min(s.at.log_flops), high.max(s.at.log_flops))
        });
        (span.1 - span.0) / core::f64::consts::LN_10
    }

    /// Whether the law is a function of compute alone.
    pub(crate) fn is_path_law(&self) -> bool {
        self.form.domain() == Domain::Compute
    }
}

/// A problem laid out for many evaluations, by columns where its law is made of falling terms.
#[derive(Clone)]
pub(crate) struct Evaluator<'a> {
    pub(crate) problem: &'a FitProblem,
    pub(crate) tether: Option<Tether>,
    /// Σ w.
    pub(crate) weight: f64,
    /// Mean of the observed log losses.
    pub(crate) log_loss: f64,
    columns: Option<Arc<Columns>>,
}

impl<'a> Evaluator<'a> {
    /// Lays a problem's samples out.
    pub(crate) fn new(problem: &'a FitProblem) -> Self {
        let columns = Columns::of(problem.form, &problem.samples).map(Arc::new);
        let weight = problem.samples.iter().map(|s| s.weight).sum();
        let log_loss = problem.samples.iter().map(|s| s.log_loss).sum::<f64>() / problem.samples.len().max(1) as f64;
        Self { problem, tether: problem.tether, weight, log_loss, columns }
    }

    /// The objective and its derivatives under a cost, tether included.
    pub(crate) fn system(&self, theta: &Theta, cost: Cost) -> System {
        self.system_within(theta, cost, f64::INFINITY).unwrap_or_default()
    }

    /// The same; `None` of some points whose objective is above a limit.
    pub(crate) fn system_within(&self, theta: &Theta, cost: Cost, limit: f64) -> Option<System> {
        let mut system = self.of_samples(theta, cost, limit)?;
        if let Some(tether) = &self.tether {
            add_tether(&mut system, tether.functional.at(self.problem, theta), tether);
            mirror(&mut system.newton);
        }
        Some(system)
    }

    /// The objective and its derivatives under a cost, with what was expected and without a tether.
    pub(crate) fn untethered(&self, theta: &Theta, cost: Cost) -> System {
        self.of_samples(theta, cost, f64::INFINITY).unwrap_or_default()
    }

    /// Σ w (ψ/r) ggᵀ whole, with tether and what was expected. Few steps ask for it, so that it is worked out for those.
    pub(crate) fn gauss_newton(&self, theta: &Theta, cost: Cost) -> Matrix {
        let mut matrix = match &self.columns {
            Some(columns) => columns.gauss_newton(theta, cost),
            None => gauss_newton_one_by_one(self.problem, theta, cost),
        };
        if let Some(prior) = &self.problem.prior {
            prior.curvatures(theta).for_each(|(i, curvature)| matrix[i][i] += curvature);
        }
        if let Some(tether) = &self.tether {
            add_outer(&mut matrix, &tether.functional.at(self.problem, theta).1, tether.stiffness);
        }
        matrix
    }

    /// The samples' part and that of what was expected. Neither is ever below nothing, nor is a tether's, so that samples
    /// above the limit put the whole above it.
    fn of_samples(&self, theta: &Theta, cost: Cost, limit: f64) -> Option<System> {
        let mut system = match &self.columns {
            Some(columns) => columns.system_within(theta, cost, limit)?,
            None => one_by_one(self.problem, theta, cost),
        };
        if let Some(prior) = &self.problem.prior {
            prior.add_to(&mut system, theta);
        }
        Some(system)
    }
}

/// For laws of any shape: sample by sample, in their order.
pub(crate) fn one_by_one(problem: &FitProblem, theta: &Theta, cost: Cost) -> System {
    let mut system = System::default();
    for sample in &problem.samples {
        add_sample(&mut system, &problem.form.response(theta, &sample.at), sample, (cost, problem.count()));
    }
    mirror(&mut system.newton);
    system
}

/// The Gauss–Newton matrix of the samples, in their order.
pub(crate) fn gauss_newton_one_by_one(problem: &FitProblem, theta: &Theta, cost: Cost) -> Matrix {
    let mut matrix = Matrix::default();
    for sample in &problem.samples {
        let response = problem.form.response(theta, &sample.at);
        let residual = response.log_loss - sample.log_loss;
        add_outer(&mut matrix, &response.gradient, sample.weight * cost.irls_weight(residual));
    }
    matrix
}

fn add_sample(system: &mut System, response: &Response, sample: &Sample, (cost, count): (Cost, usize)) {
    let residual = response.log_loss - sample.log_loss;
    let slope = sample.weight * cost.slope(residual);
    let bend = sample.weight * cost.bend(residual);
    let irls = sample.weight * cost.irls_weight(residual);
    system.value += sample.weight * cost.value(residual);
    system.slope_square += slope * slope;
    for i in 0..count {
        let gradient = response.gradient[i];
        system.gradient[i] += slope * gradient;
        system.sensitivity[i] += sample.weight * gradient * gradient;
        system.majorizer[i] += irls * gradient * gradient;
        for j in 0..=i {
            let product = gradient * response.gradient[j];
            system.newton[i][j] += bend * product + slope * response.hessian[i][j];
        }
    }
}

fn add_tether(system: &mut System, (value, gradient): (f64, Theta), tether: &Tether) {
    let away = value - tether.target;
    system.value += 0.5 * tether.stiffness * away * away;
    for i in 0..MAX_PARAMETERS {
        system.gradient[i] += tether.stiffness * away * gradient[i];
        system.majorizer[i] += tether.stiffness * gradient[i] * gradient[i];
        for j in 0..=i {
            system.newton[i][j] += tether.stiffness * gradient[i] * gradient[j];
        }
    }
}

fn mirror(matrix: &mut Matrix) {
    let lower = *matrix;
    for (j, row) in matrix.iter_mut().enumerate() {
        for (i, entry) in row.iter_mut().enumerate().skip(j + 1) {
            *entry = lower[i][j];
        }
    }
}

impl CostFunction for &Evaluator<'_> {
    type Param = Theta;
    type Output = f64;

    fn cost(&self, theta: &Theta) -> Result<f64, Error> {
        Ok(self.system(theta, self.problem.cost).value)
    }
}
