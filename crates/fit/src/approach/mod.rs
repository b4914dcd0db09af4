//! How a budget is best split between size and data: approaches 1, 2 and 3 of Hoffmann et al., side by side.
//!
//! [`approaches`] runs those asked for on each group and says for each N* = G·C^a, D* = H·C^b with intervals, the optima at
//! budgets asked for, what was used and what left out. It forecasts no loss. Approaches 1 and 2 put a straight line through
//! optima they find budget by budget, with Student's interval about the line, so that what scatters between budgets is in
//! the interval whatever its cause; approach 3 differentiates one surface, and its interval is the surface's.

mod doubt;
mod envelope;
mod isoflop;
mod regression;
mod shape;
mod surface;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use forescale_core::approach::{APPROACHES_SCHEMA, Approach, ApproachFit, ApproachReport, OptimalPowers, OptimumAt};
use forescale_core::estimate::Estimate;
use forescale_core::observation::Observation;

use crate::diagnose::wrong_runs;
use crate::fitted::{check_split, validate};
use crate::session::{groups, inputs};
use crate::{FitError, FitOptions, LawName, Objective};
use doubt::Doubt;
use regression::{NEEDED_POINTS, Power};

/// Loss on the way of one training run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingCurve {
    /// The run.
    pub run_id: String,
    /// Its group.
    pub group: Option<String>,
    /// N.
    pub params: f64,
    /// Points, in any order.
    pub points: Vec<CurvePoint>,
}

/// One point of a training curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Tokens so far.
    pub tokens: f64,
    /// Compute so far.
    pub flops: f64,
    /// Loss here, smoothed or measured on an evaluation set.
    pub loss: f64,
}

/// Which approaches, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct ApproachOptions {
    /// Approaches to run.
    pub approaches: Vec<Approach>,
    /// Training curves for approach 1, which otherwise looks at finished runs alone.
    pub curves: Vec<TrainingCurve>,
    /// Budgets to give optima at; none stands for 1, 10 and 100 times the largest of each group.
    pub at: Vec<f64>,
    /// Level of the intervals.
    pub level: f64,
    /// What approach 3 minimises.
    pub objective: Objective,
    /// Approach 2 looks at sizes within this factor of a budget's vertex.
    pub reach: f64,
}

impl Default for ApproachOptions {
    fn default() -> Self {
        Self {
            approaches: Approach::ALL.to_vec(),
            curves: Vec::new(),
            at: Vec::new(),
            level: 0.9,
            objective: Objective::default(),
            // As far as a parabola is trusted for the vertices of a path law.
            reach: 6.0,
        }
    }
}

/// Runs the approaches asked for on each group of observations.
///
/// An approach that a group cannot carry is an entry with a reason in its `refused`, and an error only when nothing asked
/// for could be answered.
///
/// # Errors
///
/// [`FitError`] for a table that holds anything but positive numbers, a repeated identity, an option that means nothing, or
/// runs that carry none of the approaches or are surely not what they are called.
pub fn approaches(observations: &[Observation], options: &ApproachOptions) -> Result<ApproachReport, FitError> {
    check(observations, options)?;
    let (mut fits, mut first) = (Vec::new(), None);
    let groups = groups(observations);
    let several = groups.len() > 1;
    for (group, runs) in groups {
        let asked = Asked::new(&runs, group.as_deref(), options);
        let wrong = wrong_runs(&runs, &fit_options(options));
        for &approach in &options.approaches {
            let answer = wrong.clone().map_or_else(|| asked.answer(approach), Err);
            if let Err(error) = &answer {
                let named = if several { FitError::in_group(group.as_deref(), error.clone()) } else { error.clone() };
                first.get_or_insert(named);
            }
            let answer = answer.unwrap_or_else(|error| refused(approach, &error));
            fits.push(ApproachFit { group: group.clone(), ..answer });
        }
    }
    match first {
        Some(error) if fits.iter().all(|fit| fit.refused.is_some()) => Err(error),
        _ => {
            doubt::note_disagreement(&mut fits);
            Ok(ApproachReport { schema: APPROACHES_SCHEMA.to_owned(), fits, inputs: inputs(observations) })
        }
    }
}

fn check(observations: &[Observation], options: &ApproachOptions) -> Result<(), FitError> {
    validate(observations, &fit_options(options))?;
    let numbers: Vec<String> = options.approaches.iter().map(|approach| approach.number().to_string()).collect();
    check_split(&format!("`--approach {}`", numbers.join(",")), observations.iter())?;
    let bad = |option, value, allowed| Err(FitError::BadOption { option, value, allowed });
    if options.approaches.is_empty() {
        return bad("--approach", 0.0, "a list of 1, 2 and 3");
    }
    if !(options.reach.is_finite() && options.reach > 1.0) {
        return bad("ApproachOptions::reach", options.reach, "a finite factor above 1");
    }
    if let Some(&flops) = options.at.iter().find(|flops| !(flops.is_finite() && **flops > 0.0)) {
        return bad("--at-budget", flops, "a finite number of FLOPs above 0");
    }
    for curve in &options.curves {
        let values = curve.points.iter().flat_map(|p| [("tokens", p.tokens), ("flops", p.flops), ("loss", p.loss)]);
        let all = std::iter::once(("params", curve.params)).chain(values);
        if let Some((field, value)) = all.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
            return Err(FitError::NotPositive { run_id: curve.run_id.clone(), field, value });
        }
    }
    Ok(())
}

/// What approach 3 asks of the surface.
fn fit_options(options: &ApproachOptions) -> FitOptions {
    let (objective, level) = (options.objective, options.level);
    FitOptions { laws: vec![LawName::CHINCHILLA], objective, level, ..FitOptions::default() }
}

fn refused(approach: Approach, error: &FitError) -> ApproachFit {
    ApproachFit { refused: Some(format!("{}; {}", error.fault(), error.hint())), ..empty(approach) }
}

fn empty(approach: Approach) -> ApproachFit {
    ApproachFit {
        group: None,
        approach,
        refused: None,
        powers: None,
        parabola_powers: None,
        optima: Vec::new(),
        budgets: Vec::new(),
        envelope: Vec::new(),
        n: 0,
        excluded: Vec::new(),
        diagnoses: Vec::new(),
    }
}

/// One group, and what is wanted of it.
struct Asked<'a> {
    runs: &'a [&'a Observation],
    curves: Vec<&'a TrainingCurve>,
    at: Vec<f64>,
    options: &'a ApproachOptions,
}

impl<'a> Asked<'a> {
    fn new(runs: &'a [&'a Observation], group: Option<&str>, options: &'a ApproachOptions) -> Self {
        let curves: Vec<_> = options.curves.iter().filter(|curve| curve.group.as_deref() == group).collect();
        let largest = runs.iter().map(|o| o.flops).fold(0.0, f64::max);
        let at =
            if options.at.is_empty() { vec![largest, 10.0 * largest, 100.0 * largest] } else { options.at.clone() };
        Self { runs, curves, at, options }
    }

    fn answer(&self, approach: Approach) -> Result<ApproachFit, FitError> {
        let found = match approach {
            Approach::Envelope => self.envelope(),
            Approach::Isoflop => self.isoflop(),
            Approach::Surface => surface::fit(self.runs, &self.at, self.options),
        };
        found.and_then(in_numbers)
    }

    fn envelope(&self) -> Result<ApproachFit, FitError> {
        let finished = self.curves.is_empty();
        let found = if finished { envelope::of_runs(self.runs) } else { envelope::of_curves(&self.curves) };
        let points = found.points.iter().map(|p| Optimum::of(p.flops, p.params, p.tokens)).collect::<Vec<_>>();
        let lines = Lines::through(&points).ok_or_else(|| too_few(Approach::Envelope, points.len(), String::new()))?;
        let lines = lines.no_closer_than(found.rounding);
        let doubts = [Doubt::RawMinimum { finished, points: points.len(), sizes: found.chosen_from }];
        Ok(ApproachFit {
            powers: Some(lines.powers(self.options.level)),
            optima: lines.optima(&self.at, self.options.level),
            n: points.len() as u64,
            envelope: found.points,
            diagnoses: doubts.iter().map(Doubt::diagnosis).collect(),
            ..empty(Approach::Envelope)
        })
    }

    fn isoflop(&self) -> Result<ApproachFit, FitError> {
        let level = self.options.level;
        let budgets = isoflop::budgets_of(self.runs, self.options.reach);
        let plain: Vec<Optimum> = budgets.iter().filter_map(isoflop::Budget::plain).collect();
        let corrected: Vec<Optimum> = budgets.iter().filter_map(isoflop::Budget::corrected).collect();
        let parabolas = Lines::through(&plain)
            .ok_or_else(|| too_few(Approach::Isoflop, plain.len(), isoflop::why_without(&budgets)))?;
        let lines = Lines::through(&corrected).unwrap_or(parabolas);
        let mut optima = lines.optima(&self.at, level);
        for optimum in &mut optima {
            optimum.parabola_bias =
                Some(parabolas.params.at(optimum.flops, level).estimate / optimum.params.estimate - 1.0);
        }
        Ok(ApproachFit {
            powers: Some(lines.powers(level)),
            parabola_powers: Some(parabolas.powers(level)),
            n: plain.len() as u64,
            diagnoses: doubt::of_budgets(&budgets, &optima).iter().map(Doubt::diagnosis).collect(),
            excluded: budgets.iter().flat_map(isoflop::Budget::left_aside).collect(),
            budgets: budgets.iter().map(isoflop::Budget::describe).collect(),
            optima,
            ..empty(Approach::Isoflop)
        })
    }
}

/// The same fit without budgets whose best size no number holds; refused where the powers are none either.
fn in_numbers(mut fit: ApproachFit) -> Result<ApproachFit, FitError> {
    let overflow =
        |what: &str| FitError::Overflow { whose: format!("approach {}", fit.approach.number()), what: what.to_owned() };
    let coefficients = fit.powers.iter().chain(&fit.parabola_powers);
    let mut numbers =
        coefficients.flat_map(|p| [p.params_coefficient, p.tokens_coefficient, p.params_exponent.estimate]);
    if !numbers.all(f64::is_finite) {
        return Err(overflow("the powers of compute"));
    }
    let is_size = |of: &Estimate| of.estimate.is_finite() && of.estimate > 0.0;
    fit.optima.retain(|at| [&at.params, &at.tokens, &at.tokens_per_param].into_iter().all(is_size));
    Ok(fit)
}

fn too_few(approach: Approach, found: usize, why: String) -> FitError {
    FitError::TooFewOptima { approach: approach.number(), found, needed: NEEDED_POINTS, why }
}

/// The best split at one compute, in logarithms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Optimum {
    log_flops: f64,
    log_params: f64,
    log_tokens: f64,
}

impl Optimum {
    fn of(flops: f64, params: f64, tokens: f64) -> Self {
        let [log_flops, log_params, log_tokens] = [flops, params, tokens].map(forescale_core::math::ln);
        Self { log_flops, log_params, log_tokens }
    }
}

/// N*, D* and D*/N* as powers of compute.
#[derive(Clone, Copy)]
struct Lines {
    params: Power,
    tokens: Power,
    ratio: Power,
}

impl Lines {
    fn through(optima: &[Optimum]) -> Option<Self> {
        let line =
            |of: fn(&Optimum) -> f64| Power::through(&optima.iter().map(|o| (o.log_flops, of(o))).collect::<Vec<_>>());
        Some(Self {
            params: line(|o| o.log_params)?,
            tokens: line(|o| o.log_tokens)?,
            ratio: line(|o| o.log_tokens - o.log_params)?,
        })
    }

    /// The same where each of N* and D* is known to no better than this standard deviation of its logarithm, and their ratio
    /// to twice it, as at one compute the one falls with the other.
    fn no_closer_than(self, sigma: f64) -> Self {
        Self {
            params: self.params.no_closer_than(sigma),
            tokens: self.tokens.no_closer_than(sigma),
            ratio: self.ratio.no_closer_than(2.0 * sigma),
        }
    }

    fn powers(&self, level: f64) -> OptimalPowers {
        OptimalPowers {
            params_exponent: self.params.exponent(level),
            params_coefficient: self.params.coefficient(),
            tokens_exponent: self.tokens.exponent(level),
            tokens_coefficient: self.tokens.coefficient(),
        }
    }

    fn optima(&self, at: &[f64], level: f64) -> Vec<OptimumAt> {
        let one = |&flops: &f64| OptimumAt {
            flops,
            params: self.params.at(flops, level),
            tokens: self.tokens.at(flops, level),
            tokens_per_param: self.ratio.at(flops, level),
            parabola_bias: None,
        };
        at.iter().map(one).collect()
    }
}

/// The lowest point of each budget that has one, as an observation; with the parabola's bias corrected or as it is.
#[cfg(test)]
pub(crate) fn vertices_of(runs: &[&Observation], reach: f64, corrected: bool) -> Vec<Observation> {
    isoflop::budgets_of(runs, reach).iter().filter_map(|budget| budget.as_observation(corrected)).collect()
}

/// Fits of one group, in the order they were made.
fn by_group(fits: &mut [ApproachFit]) -> BTreeMap<Option<String>, Vec<&mut ApproachFit>> {
    let mut groups: BTreeMap<Option<String>, Vec<&mut ApproachFit>> = BTreeMap::new();
    for fit in fits {
        groups.entry(fit.group.clone()).or_default().push(fit);
    }
    groups
}
