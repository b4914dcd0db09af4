//! Which runs to buy next, so that the forecast of a target narrows most for its price.
//!
//! [`value`] says what runs are worth (V-optimal: the prediction's variance at the one target, averaged over the laws of
//! the forecast, and the error of form by how far the runs reach), [`choose`] buys them, [`outlook`] says what interval to
//! expect afterwards, [`candidates`] thinks of runs where the caller has none.
//!
//! Measured, on Hoffmann et al.'s law with 0.5% of noise: a pilot of fifteen runs of 1e15 to 1e17 FLOPs and a design for
//! 1e19 forecast 1e22 with an rms error of 1.4%; a ladder of eight rungs over three decades, for as much, with 3.3%.
//!
//! The interval promised is as sure as the noise it was worked out from. From such a pilot the law's own width comes out 9%
//! too narrow in the median of 30 pilots, and one promise is off by 27% (rms); where the pilot's runs tell their noise
//! (`seed_sd`), by 10% over 12 pilots. The interval of one run is as unsure as the law's part
//! in it: half a percent from those pilots, where it is mostly error of form. A design says so beside its promise.
//!
//! What this does not do: turn sizes into widths and steps. A caller who can train hands in what its family can be, by
//! name, and knows the names again.

mod candidates;
mod choose;
mod outlook;
mod value;

use forescale_core::design::{
    DESIGN_SCHEMA, Design, DesignOutlook, DesignTarget, DesignedRun, NaiveLadder, WidthError,
};
use forescale_core::estimate::Interval;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, Severity};
use thiserror::Error;

use crate::diagnose::{Doubt, FitKind, uncertified};
use crate::ensemble::validate_level;
use crate::fitted::{Fitted, check_split, validate};
use crate::forecast::{NO_NUMBER, prepare};
use crate::forecaster::Forecaster;
use crate::session::{fit_group, inputs};
use crate::{FitError, FitOptions, ForecastOptions, Target};
use candidates::candidate_grid;
pub use candidates::{Candidate, CandidateGrid, Candidates};
use choose::{Limits, choose, is_guarded};
use outlook::{Expected, Simulation, Widths};
use value::Value;

/// How to design.
#[derive(Clone, Debug, PartialEq)]
pub struct DesignOptions {
    /// Laws, objective, level, metric, and whether to backtest.
    pub forecast: ForecastOptions,
    /// Runs that may be bought; those below the target are looked at.
    pub candidates: Candidates,
    /// Most seeds of one candidate.
    pub most_seeds: usize,
    /// Most runs in all.
    pub most_runs: usize,
    /// Outcomes simulated for the interval to expect.
    pub draws: usize,
    /// Seed of the simulation.
    pub seed: u64,
}

impl Default for DesignOptions {
    /// Chosen here: more than 60 runs or 4 seeds are seldom worth their bother, and the median of 25 draws is known to
    /// about a tenth of the widths' own spread.
    fn default() -> Self {
        let forecast = ForecastOptions::default();
        Self {
            forecast,
            candidates: Candidates::Grid(CandidateGrid::default()),
            most_seeds: 4,
            most_runs: 60,
            draws: 25,
            seed: 0,
        }
    }
}

/// Why there is no design.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DesignError {
    /// The runs so far carry no law to design by.
    #[error("no law to design by: {reason}\n\nhint: {hint}")]
    NoLaw {
        /// Why.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The runs lie on the law to the last digit.
    #[error(
        "the runs show no noise about the law, so that nothing can be said of what another would tell\n\nhint: give losses in full, or repeat a run with another seed"
    )]
    Noiseless,
    /// The budget buys nothing.
    #[error(
        "a budget of {budget:.3e} FLOPs buys no run: the cheapest, `{name}`, costs {cheapest:.4e}\n\nhint: raise `--budget`: no run smaller than those of the table is thought of"
    )]
    TooSmall {
        /// The budget.
        budget: f64,
        /// Compute of the cheapest.
        cheapest: f64,
        /// Its name.
        name: String,
    },
    /// No candidate.
    #[error("no run below the target of {target:.3e} FLOPs is on offer\n\nhint: design for a larger target")]
    NoCandidates {
        /// Compute of the target.
        target: f64,
    },
    /// A bad table or option.
    #[error(transparent)]
    Bad(#[from] FitError),
}

/// Designs the next runs for one target under a budget in FLOPs.
///
/// # Errors
///
/// [`DesignError`] where no law can be fitted, the budget buys nothing, or a number is not a positive one.
pub fn design(
    observations: &[Observation],
    target: &Target,
    budget_flops: f64,
    options: &DesignOptions,
) -> Result<Design, DesignError> {
    validate(observations, &options.forecast.fit)?;
    validate_level(options.forecast.fit.level)?;
    check_split("`design`", observations.iter())?;
    let candidates = affordable(observations, target, budget_flops, options)?;
    let (prepared, _) = prepare(observations, &options.forecast);
    let (now, mut diagnoses) =
        prepared.map_err(|refusal| DesignError::NoLaw { reason: refusal.reason, hint: refusal.hint })?;
    let fit = &options.forecast.fit;
    let before = Widths::of(&now, target, fit.level).ok_or_else(no_number)?;
    // Not before the laws have been asked: a target where they say nothing has that as its reason.
    if candidates.is_empty() {
        return Err(DesignError::NoCandidates { target: target.flops });
    }
    let laws = weighted_laws(&now, target);
    if is_noiseless(observations, &options.forecast.fit) {
        return Err(DesignError::Noiseless);
    }
    let known_max = observations.iter().map(|o| o.flops).fold(0.0, f64::max);
    let start = Value::new(&laws, target, &candidates, known_max, now.calibration);
    if !start.total().is_finite() {
        return Err(no_number());
    }
    let flops: Vec<f64> = candidates.iter().map(|c| c.flops).collect();
    let limits = Limits { budget: budget_flops, most_seeds: options.most_seeds, most_runs: options.most_runs };
    let chosen = choose(&start, &flops, limits);
    let simulation =
        Simulation { observations, now: &now, target: *target, fit, draws: options.draws, seed: options.seed };
    let bought = bought(&candidates, &chosen.counts);
    let Expected { widths: after, is_drawn, further } = simulation.expect(&bought, &before);
    let (spent, near) = chosen.spent();
    let ladder = ladder(&now, &laws, target, spent, known_max);
    let uncertain = laws.iter().filter_map(|(law, _)| uncertified(law, FitKind::Ahead));
    diagnoses.extend(uncertain.map(|doubt| Doubt::from(doubt).diagnosis()));
    diagnoses.extend(doubts(&start, &chosen, (budget_flops, known_max, target)));
    diagnoses.extend(ladder.as_ref().and_then(|ladder| ladder_ahead(ladder, chosen.total())));
    diagnoses.extend(not_narrower(before.interval, after.interval).filter(|_| is_drawn));
    diagnoses.extend((!is_drawn).then(not_drawn));
    diagnoses.extend(further.map(|(widths, laws)| further_law(&laws, widths.interval)));
    Ok(Design {
        schema: DESIGN_SCHEMA.to_owned(),
        target: DesignTarget { flops: target.flops, params: target.params, tokens: target.tokens },
        metric: options.forecast.metric.clone(),
        unit: options.forecast.unit,
        budget_flops,
        runs: designed(&candidates, &chosen.counts, &simulation),
        flops: spent,
        share_near_top: if spent > 0.0 && near > 0.0 { near / spent } else { 0.0 },
        near_top_flops: 0.1 * chosen.top(),
        before: described(&before, &start),
        after: described(&after, &chosen),
        after_width_error: is_drawn.then(|| width_error(&after)),
        ladder,
        candidates: candidates.len() as u64,
        draws: if is_drawn { options.draws as u64 } else { 0 },
        seed: options.seed,
        cost: None,
        spec: None,
        diagnoses,
        inputs: inputs(observations),
    })
}

/// Root mean square of ln(width promised / width that came) over 30 pilots, which a test measures anew: of the law's interval
/// and of one run's.
const MEAN_WIDTH_ERROR: f64 = 0.27;
const RUN_WIDTH_ERROR: f64 = 0.005;

/// One run's interval is as unsure as its part that is the law's: their squares add up to its own, nearly, and in the pilots
/// nearly all of it was error of form.
fn width_error(after: &Widths) -> WidthError {
    let width = |interval: &Interval| math::ln(interval.upper / interval.lower);
    let share = (width(&after.mean_interval) / width(&after.interval)).min(1.0);
    WidthError {
        interval: (MEAN_WIDTH_ERROR * share * share).max(RUN_WIDTH_ERROR),
        mean_interval: MEAN_WIDTH_ERROR,
        source: "30 simulated pilots of 15 runs of Hoffmann et al.'s law with 0.5% noise".to_owned(),
    }
}

/// Whether every law goes through the runs themselves. Not asked of the forecast's fits: what they expect of exponents
/// keeps them off runs that are exact.
fn is_noiseless(observations: &[Observation], fit: &FitOptions) -> bool {
    let runs: Vec<&Observation> = observations.iter().collect();
    fit_group(&runs, fit).is_ok_and(|(laws, _)| laws.iter().all(|law| law.dispersion.variance <= 0.0))
}

/// The candidates below the target, of which the budget buys at least one where there are any.
fn affordable(
    observations: &[Observation],
    target: &Target,
    budget: f64,
    options: &DesignOptions,
) -> Result<Vec<Candidate>, DesignError> {
    let given = [("flops", Some(target.flops)), ("params", target.params), ("tokens", target.tokens)];
    let given = given.into_iter().chain([("budget", Some(budget))]);
    let given = given.filter_map(|(option, value)| value.map(|value| (option, value)));
    let listed: &[Candidate] = match &options.candidates {
        Candidates::Listed(listed) => listed,
        Candidates::Grid(_) => &[],
    };
    let of_candidates = listed
        .iter()
        .flat_map(|c| [("candidate params", c.params), ("candidate tokens", c.tokens), ("candidate flops", c.flops)]);
    if let Some((option, value)) = given.chain(of_candidates).find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
        return Err(FitError::BadOption { option, value, allowed: "a finite number above 0" }.into());
    }
    let mut candidates = match &options.candidates {
        Candidates::Grid(grid) => candidate_grid(observations, grid),
        Candidates::Listed(_) => listed.to_vec(),
    };
    candidates.retain(|candidate| candidate.flops < target.flops);
    match candidates.iter().min_by(|a, b| a.flops.total_cmp(&b.flops)) {
        Some(cheapest) if cheapest.flops > budget => {
            Err(DesignError::TooSmall { budget, cheapest: cheapest.flops, name: cheapest.name.clone() })
        }
        _ => Ok(candidates),
    }
}

/// The laws with their weights in the forecast; one on vertices, which no single run adds to, only where it is alone.
fn weighted_laws<'a>(now: &'a Forecaster, target: &Target) -> Vec<(&'a Fitted, f64)> {
    let said = now.outlook(target).laws;
    let weight = |law: &Fitted| said.iter().find(|one| one.law == law.law.to_string()).map_or(0.0, |one| one.weight);
    let laws: Vec<(&Fitted, f64)> =
        now.laws().map(|law| (law, weight(law))).filter(|(_, weight)| *weight > 0.0).collect();
    let of_runs: Vec<(&Fitted, f64)> = laws.iter().copied().filter(|(law, _)| !law.vertices).collect();
    if of_runs.is_empty() { laws } else { of_runs }
}

/// One candidate per run bought.
fn bought(candidates: &[Candidate], counts: &[usize]) -> Vec<Candidate> {
    let repeated = candidates.iter().zip(counts).flat_map(|(c, &count)| std::iter::repeat_n(c, count));
    repeated.cloned().collect()
}

fn designed(candidates: &[Candidate], counts: &[usize], simulation: &Simulation) -> Vec<DesignedRun> {
    let run = |(c, &count): (&Candidate, &usize)| DesignedRun {
        name: c.name.clone(),
        params: c.params,
        tokens: c.tokens,
        flops: c.flops,
        seeds: count as u64,
        on_path: simulation.is_on_path(c),
    };
    let mut runs: Vec<DesignedRun> = candidates.iter().zip(counts).filter(|(_, count)| **count > 0).map(run).collect();
    runs.sort_by(|a, b| b.flops.total_cmp(&a.flops));
    runs
}

fn no_number() -> DesignError {
    let (reason, hint) = NO_NUMBER;
    DesignError::NoLaw { reason: reason.to_owned(), hint: hint.to_owned() }
}

fn described(widths: &Widths, value: &Value) -> DesignOutlook {
    DesignOutlook {
        median: widths.median,
        interval: widths.interval,
        mean_interval: widths.mean_interval,
        law_sd: value.law_variance().sqrt(),
        form_scale: value.form_scale(),
    }
}

/// Rungs of the ladder that a design is held against, over two decades.
const RUNGS: usize = 8;
const LADDER_DECADES: f64 = 2.0;

/// Eight rungs evenly spaced over two decades on the path, for as much compute.
fn ladder(
    now: &Forecaster,
    laws: &[(&Fitted, f64)],
    target: &Target,
    spend: f64,
    known_max: f64,
) -> Option<NaiveLadder> {
    let share = |i: usize| math::pow(10.0, -LADDER_DECADES * i as f64 / (RUNGS - 1) as f64);
    let top = spend / (0..RUNGS).map(share).sum::<f64>();
    let rung = |i: usize| {
        let flops = top * share(i);
        let (params, tokens) = shape_on_path(now, flops)?;
        Some(Candidate { name: format!("rung {i}"), params, tokens, flops })
    };
    let rungs: Vec<Candidate> = (0..RUNGS).map(rung).collect::<Option<_>>()?;
    let mut value = Value::new(laws, target, &rungs, known_max, now.calibration);
    (0..RUNGS).for_each(|i| value.change(i, 1));
    Some(NaiveLadder {
        rungs: RUNGS as u64,
        max_flops: top,
        flops: value.spent().0,
        law_sd: value.law_variance().sqrt(),
        form_scale: value.form_scale(),
    })
}

fn shape_on_path(now: &Forecaster, flops: f64) -> Option<(f64, f64)> {
    let on_path = now.target_on_path(flops);
    let optimum = || now.optimum(flops).map(|best| (best.params.estimate, best.tokens.estimate));
    on_path.params.zip(on_path.tokens).or_else(optimum)
}

/// A plain ladder that leaves so much less of the deviation is worth a word.
const AHEAD: f64 = 0.02;

/// A plain ladder that for as much compute leaves less than the variance that the design leaves.
fn ladder_ahead(ladder: &NaiveLadder, left: f64) -> Option<Diagnosis> {
    let (theirs, ours) = (value::total(ladder.law_sd * ladder.law_sd, ladder.form_scale).sqrt(), left.sqrt());
    (theirs < (1.0 - AHEAD) * ours).then(|| Diagnosis {
        code: "ladder_ahead".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "a plain ladder of {} rungs up to {:.2e} FLOPs, for as much compute, leaves a deviation of {:.2}% at the target where these runs leave {:.2}%: the runs on offer are fewer, or none is as large",
            ladder.rungs, ladder.max_flops, 100.0 * theirs, 100.0 * ours
        ),
        hint: "buy that ladder, or allow larger runs: `--growth` for a table, larger widths for a sweep".to_owned(),
    })
}

/// Runs that leave the laws of now as unsure as they are.
fn not_narrower(now: Interval, then: Interval) -> Option<Diagnosis> {
    let width = |interval: Interval| interval.upper / interval.lower;
    (width(then) >= width(now)).then(|| {
        let message = "these runs are not expected to narrow the interval of one run: the error of the laws' form and what each law makes of them outweigh what they tell".to_owned();
        let hint = "spend it on runs nearer to the target, or forecast a nearer one".to_owned();
        Diagnosis { code: "not_narrower".to_owned(), severity: Severity::Warning, message, hint }
    })
}

/// What is said where the laws of now cannot be fitted to the runs together with those bought.
fn not_drawn() -> Diagnosis {
    let message = "the laws that speak now could not be fitted to the runs together with those bought: the interval after is that of \
                   now, and nothing shows what the runs do to it"
        .to_owned();
    let hint = "tell runs on the path from others by a column `role`, or ask for one law with `--law`".to_owned();
    Diagnosis { code: "not_drawn".to_owned(), severity: Severity::Warning, message, hint }
}

/// Laws that the runs bring in where they have no say now: the interval with them carries their disagreement, so that it may
/// be wider than the one before, and the one after is told by the laws of now.
fn further_law(joined: &[String], with_them: Interval) -> Diagnosis {
    let named: Vec<String> = joined.iter().map(|law| format!("`{law}`")).collect();
    let (named, have) = (named.join(", "), if joined.len() == 1 { "has" } else { "have" });
    let message = format!(
        "with these runs {named} can be fitted and {have} a say, which {} not now: both intervals are of the laws of now, and with {named} the one after is {:.4} to {:.4}",
        if joined.len() == 1 { "it has" } else { "they have" },
        with_them.lower,
        with_them.upper
    );
    let hint = "read what it says otherwise as a doubt that is there already, and see it alone (`--law`) once the runs are there".to_owned();
    Diagnosis { code: "further_law".to_owned(), severity: Severity::Note, message, hint }
}

/// A budget of which less is spent than this is worth a word.
const SPENT_SHARE: f64 = 0.8;

fn doubts(start: &Value, chosen: &Value, (budget, known_max, target): (f64, f64, &Target)) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let mut doubt = |code: &str, severity, message: String, hint: &str| {
        found.push(Diagnosis { code: code.to_owned(), severity, message, hint: hint.to_owned() });
    };
    if !is_guarded(chosen) {
        let message = format!(
            "no run within a decade of the largest, {:.2e} FLOPs, is on offer for {budget:.2e}: all of the spend goes to small runs, which cannot tell whether the law holds at the top",
            chosen.top()
        );
        let hint = "allow larger runs, raise the budget to at least a tenth of the largest run, or aim further out";
        doubt("guard_unmet", Severity::Warning, message, hint);
    }
    if target.flops <= known_max {
        let message = format!(
            "the target of {:.2e} FLOPs lies within the runs, which reach {known_max:.2e}: runs near it tell more than any law",
            target.flops
        );
        doubt("target_inside_data", Severity::Note, message, "train the target itself, or aim further out");
    }
    let spent = chosen.spent().0;
    if spent < SPENT_SHARE * budget {
        let message =
            format!("{spent:.2e} of {budget:.2e} FLOPs are spent: no further run was to be had or worth its price");
        doubt("budget_left", Severity::Note, message, "allow larger runs or more of them");
    }
    let (law, form) = (chosen.law_variance(), chosen.form_scale());
    if target.flops > known_max && 2.0 * form * form > 4.0 * law {
        let message = format!(
            "at the target the error of the laws' form (scale {:.1}%) outweighs what runs can tell of their parameters ({:.1}% now, {:.1}% then): only larger runs shorten the reach",
            100.0 * form,
            100.0 * start.law_variance().sqrt(),
            100.0 * law.sqrt()
        );
        doubt(
            "form_dominates",
            Severity::Warning,
            message,
            "allow runs larger than the largest so far, or forecast a nearer target",
        );
    }
    found
}

#[cfg(test)]
mod tests;
