//! One law fitted to one group of runs.

use forescale_core::law::{Domain, LawName, Theta};
use forescale_core::observation::Observation;

use crate::bootstrap_interval::{Refits, validate_draws};
use crate::cluster::Dependence;
use crate::evaluation::EvaluationSets;
use crate::falloff::Falloff;
use crate::forecast::flops_per_product;
use crate::functional::Functional;
use crate::grid::classic;
use crate::linear::quadratic_inverse;
use crate::objective::Cost;
use crate::path::{self, NEEDED_SPREAD, Spread};
use crate::problem::FitProblem;
use crate::profile::Profile;
use crate::sandwich::Sandwich;
use crate::scale::{Dispersion, Weighing};
use crate::scatter::Scatter;
use crate::solve::{Found, Optimum, search};
use crate::start::starts;
use crate::{FitError, FitOptions, Objective, Starts};
use forescale_core::quantity::{LARGEST, SMALLEST};

/// A law at its optimum, with what intervals and doubts need.
#[derive(Clone)]
pub(crate) struct Fitted {
    pub(crate) law: LawName,
    pub(crate) problem: FitProblem,
    pub(crate) optimum: Optimum,
    pub(crate) starts: usize,
    pub(crate) agreeing: usize,
    pub(crate) dispersion: Dispersion,
    /// What points share; `None` where each is a cluster of its own.
    pub(crate) dependence: Option<Dependence>,
    sandwich: Option<Sandwich>,
    /// The same of scatter that changes along the table.
    scattered: Option<Sandwich>,
    /// How points scatter, where they do not all scatter alike.
    pub(crate) scatter: Option<Scatter>,
    /// What equal scatter comes to where runs weigh by their deviation.
    weighted: Option<Sandwich>,
    /// The evaluation sets of the points, where there are several.
    evaluation: Option<EvaluationSets>,
    /// Refits that intervals come from; `None` where they are profiles.
    pub(crate) refits: Option<Refits>,
    /// By what points weigh besides their own weight.
    pub(crate) falloff: Option<Falloff>,
    /// What it was fitted to: runs, or vertices standing for budgets.
    pub(crate) points: Vec<Observation>,
    pub(crate) vertices: bool,
}

/// The first thing wrong with a table, if anything is.
pub(crate) fn validate(observations: &[Observation], options: &FitOptions) -> Result<(), FitError> {
    validate_options(options)?;
    validate_draws(options)?;
    if observations.is_empty() {
        let needed = options.laws.iter().map(|law| law.form().least_observations()).min().unwrap_or(1);
        return Err(FitError::Empty { needed });
    }
    for o in observations {
        let fields =
            [("loss", o.loss), ("params", o.params), ("tokens", o.tokens), ("flops", o.flops), ("weight", o.weight)];
        if let Some(&(field, value)) = fields.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            return Err(FitError::NotPositive { run_id: o.run_id.clone(), field, value });
        }
        if let Some(&(field, value)) = fields.iter().find(|(_, value)| !(SMALLEST..=LARGEST).contains(value)) {
            return Err(FitError::OutOfRange { run_id: o.run_id.clone(), field, value });
        }
        let noise = [("seed_sd", o.seed_sd), ("seed_degrees", o.seed_degrees), ("loss_se", o.loss_se)];
        for (field, value) in noise {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return Err(FitError::Negative { run_id: o.run_id.clone(), field, value });
            }
            if let Some(value) = value.filter(|value| *value > LARGEST) {
                return Err(FitError::OutOfRange { run_id: o.run_id.clone(), field, value });
            }
        }
    }
    let mut ids: Vec<&str> = observations.iter().map(|o| o.run_id.as_str()).collect();
    ids.sort_unstable();
    match ids.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(FitError::Duplicate { run_id: pair[0].to_owned() }),
        None => Ok(()),
    }
}

fn validate_options(options: &FitOptions) -> Result<(), FitError> {
    let bad = |option, value, allowed| Err(FitError::BadOption { option, value, allowed });
    if !(options.level > 0.0 && options.level < 1.0) {
        return bad("--level", options.level, "between 0 and 1");
    }
    if options.laws.is_empty() {
        return bad("--law", 0.0, "a list of at least 1 law");
    }
    if let Some(start) = options.start_level.filter(|start| !(start.is_finite() && *start > 0.0)) {
        return bad("--start-level", start, "a finite number above 0");
    }
    match options.objective {
        Objective::Huber { delta } | Objective::Asymmetric { delta, .. } if !(delta.is_finite() && delta > 0.0) => {
            bad("--delta", delta, "a finite number above 0")
        }
        Objective::Asymmetric { overestimate_penalty: penalty, .. } if !(penalty.is_finite() && penalty > 0.0) => {
            bad("Objective::Asymmetric::overestimate_penalty", penalty, "a finite number above 0")
        }
        _ => Ok(()),
    }
}

/// The runs that a law may see. Where a law was asked for that models repeated data, the others are fitted to the runs that
/// saw no token twice; where none was, all runs are as they were handed in.
pub(crate) fn seen_by<'a>(law: LawName, runs: &[&'a Observation], options: &FitOptions) -> Vec<&'a Observation> {
    let sees_all = law.form().models_repetition() || !options.model_repetition();
    runs.iter().copied().filter(|run| sees_all || !run.repeats_data()).collect()
}

/// Refuses what needs size and data where a run tells its compute alone.
pub(crate) fn check_split<'a>(what: &str, mut runs: impl Iterator<Item = &'a Observation>) -> Result<(), FitError> {
    if runs.all(Observation::tells_split) { Ok(()) } else { Err(FitError::NoSplit { what: what.to_owned() }) }
}

/// The observations a law is fitted to, or why it cannot be.
fn points_for(law: LawName, observations: &[&Observation]) -> Result<(Vec<Observation>, bool), FitError> {
    let form = law.form();
    let needs = form.needs();
    let (points, vertices) = match form.domain() {
        Domain::Compute => {
            let path = path::path_of(observations, form)?;
            (path.points, path.vertices)
        }
        Domain::SizeAndData => {
            check_split(&format!("`{law}`"), observations.iter().copied())?;
            (observations.iter().map(|o| (*o).clone()).collect(), false)
        }
    };
    let (law, parameters) = (form.name().to_owned(), form.parameters().len());
    if points.len() < needs.observations {
        return Err(FitError::TooFew { law, found: points.len(), parameters, needed: needs.observations });
    }
    let budgets = path::distinct_budgets(&points);
    if budgets < needs.budgets {
        return Err(FitError::TooFewBudgets { law, found: budgets, needed: needs.budgets });
    }
    let Spread { found, widest } = path::spread(observations);
    if found < needs.spread_budgets {
        let (needed, needed_spread) = (needs.spread_budgets, NEEDED_SPREAD);
        return Err(FitError::NoSpread { law, found, needed, needed_spread, widest });
    }
    let widest = path::overall_ratio_spread(&points);
    if widest < needs.ratio_spread {
        return Err(FitError::OneRatio { law, needed: needs.ratio_spread, widest });
    }
    if needs.repeats && !points.iter().any(Observation::repeats_data) {
        return Err(FitError::NoRepeats { law });
    }
    let decades = path::decades(&points);
    if decades < needs.decades {
        return Err(FitError::TooFewDecades { law, found: decades, needed: needs.decades });
    }
    Ok((points, vertices))
}

/// The loss that learning starts from, where a law needs it: known, and above every loss.
fn check_start(law: LawName, points: &[Observation], start_level: Option<f64>) -> Result<(), FitError> {
    if !law.form().needs().start_level {
        return Ok(());
    }
    let law = law.to_string();
    let start = start_level.ok_or_else(|| FitError::NoStartLevel { law: law.clone() })?;
    let highest = points.iter().map(|o| o.loss).fold(0.0, f64::max);
    if highest < start { Ok(()) } else { Err(FitError::AboveStart { law, highest, start }) }
}

/// The starts asked for; the projected ones where a law has no classic grid.
fn starts_of(problem: &FitProblem, from: Starts) -> Vec<Theta> {
    match from {
        Starts::Projected => starts(problem),
        Starts::Classic => classic(problem).unwrap_or_else(|| starts(problem)),
    }
}

/// Fits one law to one group, for its own sake: every run counts as it says, and nothing is expected.
pub(crate) fn fit_law(law: LawName, observations: &[&Observation], options: &FitOptions) -> Result<Fitted, FitError> {
    let ready = Ready::of(law, observations, options)?;
    let refs: Vec<&Observation> = ready.points.iter().collect();
    let problem = FitProblem::new(law.form(), &refs, Cost::of(options.objective)).starting_at(options.start_level);
    let starts = starts_of(&problem, options.starts);
    match search(&problem, &starts) {
        Some(found) => Ok(ready.fitted(problem, found, starts.len())),
        None => Err(FitError::NoOptimum { law: law.to_string(), starts: starts.len() }),
    }
}

/// What a law is fitted to, checked.
pub(crate) struct Ready {
    law: LawName,
    pub(crate) points: Vec<Observation>,
    vertices: bool,
    falloff: Option<Falloff>,
    pub(crate) weighing: Weighing,
}

impl Ready {
    pub(crate) fn of(law: LawName, observations: &[&Observation], options: &FitOptions) -> Result<Self, FitError> {
        let seen = seen_by(law, observations, options);
        let (mut points, vertices) = points_for(law, &seen)?;
        check_start(law, &points, options.start_level)?;
        let falloff = Falloff::of(&seen);
        if let Some(falloff) = &falloff {
            points.iter_mut().for_each(|point| point.weight *= falloff.weight(point.flops));
        }
        let weighing = if falloff.is_some() { Weighing::ByDeviation } else { Weighing::Own };
        Ok(Self { law, points, vertices, falloff, weighing })
    }

    /// A problem's best end, with what intervals and doubts need.
    pub(crate) fn fitted(self, problem: FitProblem, Found { optimum, agreeing }: Found, starts: usize) -> Fitted {
        let Self { law, points, vertices, falloff, weighing } = self;
        let dependence = Dependence::of(&problem, &optimum.theta, &points);
        let residuals = problem.residuals(&optimum.theta);
        let dispersion = Dispersion::of(&problem, &residuals, dependence.as_ref(), weighing);
        let sandwich = Sandwich::of(&problem, &optimum.theta, &dispersion, dependence.as_ref());
        let may_differ = dependence.is_none() && weighing == Weighing::Own;
        let scatter = may_differ.then(|| Sandwich::of_scatter(&problem, &optimum.theta, &dispersion)).flatten();
        let (scattered, scatter) = scatter.unzip();
        let weighted = Sandwich::of_deviations(&problem, &optimum.theta, &dispersion, dependence.as_ref(), weighing);
        let evaluation = EvaluationSets::of(&points);
        Fitted {
            law,
            problem,
            optimum,
            starts,
            agreeing,
            dispersion,
            dependence,
            sandwich,
            scattered,
            scatter,
            weighted,
            evaluation,
            refits: None,
            falloff,
            points,
            vertices,
        }
    }
}

impl Fitted {
    /// The parameters as published.
    pub(crate) fn natural(&self) -> Theta {
        self.problem.form.natural(&self.optimum.theta, &self.problem.centre)
    }

    /// ln L at a run's size, data and compute.
    pub(crate) fn log_loss(&self, params: f64, tokens: f64, flops: f64) -> f64 {
        let at = self.problem.centre.position(params, tokens, flops);
        self.problem.form.log_loss(&self.optimum.theta, &at)
    }

    /// By what each point's residual is multiplied to scatter like the others': one over its deviation where scatter
    /// changes along the table, else the root of its weight.
    pub(crate) fn precisions(&self) -> Vec<f64> {
        match &self.scatter {
            Some(scatter) => scatter.relative().map(f64::recip).collect(),
            None => self.roots(),
        }
    }

    /// The roots of the weights: units in which residuals are alike if weights are all that tells points apart.
    pub(crate) fn roots(&self) -> Vec<f64> {
        self.problem.samples.iter().map(|sample| sample.weight.sqrt()).collect()
    }

    /// Whether a path law is drawn through fewer than two vertices a parameter: they were made of the same runs that a law
    /// of size and data sees whole.
    pub(crate) fn is_of_few_vertices(&self) -> bool {
        self.vertices && self.points.len() < 2 * self.problem.count()
    }

    /// Largest compute fitted.
    pub(crate) fn max_flops(&self) -> f64 {
        self.points.iter().map(|o| o.flops).fold(0.0, f64::max)
    }

    /// The median of C/(N·D): 6 under 6ND, and what takes its place under another rule.
    pub(crate) fn flops_per_product(&self) -> f64 {
        flops_per_product(&self.points)
    }

    /// κ and standard error for a functional with this gradient: the larger of equal scatter's and the sandwich's.
    pub(crate) fn scale_of(&self, gradient: &Theta) -> (f64, Option<f64>) {
        let on_bound = self.problem.at_bound(&self.optimum.theta);
        let free: Vec<usize> = (0..self.problem.count()).filter(|i| !on_bound.contains(i)).collect();
        let information = self.problem.information(&self.optimum.theta);
        let shared = self.dependence.as_ref().map_or(1.0, |dependence| dependence.design_effect(gradient, &free));
        let plain = quadratic_inverse(&information, gradient, &free).map(|v| v * self.dispersion.variance);
        let weighted = self.weighted.and_then(|weighted| weighted.scale_of(gradient, &free));
        let (kappa, plain) = weighted.map_or((self.dispersion.kappa, plain), |(kappa, v)| (kappa, Some(v)));
        let (kappa, plain) = (kappa * shared, plain.map(|v| v * shared));
        let seen = [self.sandwich, self.scattered].into_iter().flatten();
        let seen: Vec<(f64, f64)> = seen.filter_map(|sandwich| sandwich.scale_of(gradient, &free)).collect();
        let kappa = seen.iter().fold(kappa, |largest, (kappa, _)| largest.max(*kappa));
        let variance = plain.map(|plain| seen.iter().fold(plain, |largest, (_, variance)| largest.max(*variance)));
        let (kappa, variance) = self.with_evaluation((kappa, variance), gradient, &free);
        (kappa, variance.filter(|v| v.is_finite() && (*v > 0.0 || kappa <= 0.0)).map(f64::sqrt))
    }

    /// κ and variance with the errors of evaluation sets, where runs were measured on several.
    fn with_evaluation(
        &self,
        (kappa, variance): (f64, Option<f64>),
        gradient: &Theta,
        free: &[usize],
    ) -> (f64, Option<f64>) {
        let Some((sets, known)) = self.evaluation.as_ref().zip(variance.filter(|v| *v > 0.0)) else {
            return (kappa, variance);
        };
        let gained = sets.variance(&self.problem, &self.optimum.theta, gradient, free);
        (kappa * (1.0 + gained / known), Some(known + gained))
    }

    /// The same with the refits that the options ask for.
    pub(crate) fn with_refits(mut self, options: &FitOptions) -> Result<Self, FitError> {
        self.refits = Refits::of(&self, options)?;
        Ok(self)
    }

    /// Profile of a functional, far enough for an interval of `level`; its percentiles where there are refits.
    pub(crate) fn profile(&self, functional: Functional, level: f64) -> Profile {
        match &self.refits {
            Some(refits) => refits.profile(self, functional),
            None => Profile::trace(self, functional, self.root(level)),
        }
    }

    /// The root at which an interval of `level` ends.
    pub(crate) fn root(&self, level: f64) -> f64 {
        self.dispersion.quantile(0.5 + 0.5 * level)
    }
}
