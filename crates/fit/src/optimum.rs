//! The best size and data under a cap: too few tokens, a largest or a given size, or serving to be paid for.
//!
//! Each law of size and data that the runs carry answers for itself, as it is fitted to be carried, with profile intervals on
//! every number (and the error of form on a size that nothing moves), beside its unconstrained optimum and what the cap costs
//! against it. The laws are not joined: an optimum is a place, and the middle of two places is none.

use forescale_core::answer::{Aim, Caps, Choice, LawOptimum, OPTIMUM_SCHEMA, OptimumUnderCap};
use forescale_core::estimate::Estimate;
use forescale_core::law::{Domain, LawName};
use forescale_core::math;
use forescale_core::observation::{FlopsPerProduct, Observation};
use forescale_core::outcome::{Diagnosis, Severity};
use thiserror::Error;

use crate::ahead::fit_ahead;
use crate::allocation::{Allocation, Wanted};
use crate::diagnose::{Doubt, FitKind, TargetDoubt, uncertified};
use crate::fitted::{Fitted, check_split, validate};
use crate::forecaster::is_special_case;
use crate::form_error::with_size_error;
use crate::functional::Functional;
use crate::session::{estimate, fit_group_by, groups, inputs, pick_one};
use crate::{FitError, FitOptions};

/// A tokens-per-parameter further than this factor outside those of the runs is doubted. Chosen here: one doubling.
const RATIO_REACH: f64 = 2.0;
/// A budget further than this beyond the largest run is doubted, decades; as in a forecast.
const DECADES_REACH: f64 = 0.5;
/// A cap holds an optimum in place when it is met this closely.
const MET: f64 = 1e-6;

/// Why there is no optimum under a cap.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum OptimumError {
    /// The table cannot be fitted.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// No law that tells size from data.
    #[error("no law of size and data was fitted, and only such a law has an optimum: {reason}\n\nhint: {hint}")]
    NoLaw {
        /// Why.
        reason: String,
        /// What can be done.
        hint: String,
    },
    /// Two caps that cannot both hold.
    #[error("`--params` is {params:e}, above the `--max-params` of {max_params:e}\n\nhint: give one of the two")]
    CapsClash {
        /// The size given.
        params: f64,
        /// The largest size allowed.
        max_params: f64,
    },
    /// A budget below one token.
    #[error(
        "a budget of {flops:.3e} FLOPs pays for less than 1 token under these caps; at least {needed:.3e} FLOPs are needed\n\nhint: raise the budget, take a smaller `--params`, or serve fewer tokens"
    )]
    TooLittle {
        /// The budget.
        flops: f64,
        /// What one token costs, serving included.
        needed: f64,
    },
    /// A loss below what the caps allow.
    #[error(
        "no budget reaches a loss of {loss} under these caps; the lowest by `{law}` is {lowest:.4}\n\nhint: ask for a higher loss, or raise `--max-tokens`, `--max-params` or `--params`"
    )]
    Unreachable {
        /// The law.
        law: String,
        /// The loss asked for.
        loss: f64,
        /// The lowest there is.
        lowest: f64,
    },
}

/// The best size and data for a budget, or for a loss, under caps.
///
/// # Errors
///
/// [`OptimumError`] for a table or a cap that cannot be, runs that carry no law of size and data, a budget below one
/// token, or a loss that no budget reaches.
pub fn optimum(
    observations: &[Observation],
    aim: Aim,
    caps: Caps,
    options: &FitOptions,
) -> Result<OptimumUnderCap, OptimumError> {
    validate(observations, options)?;
    validate_question(aim, &caps)?;
    check_split(&format!("the optimum under {}", named(&caps)), observations.iter())?;
    let (mut fitted, refusals) = laws_of_size_and_data(observations, options)?;
    heard_first(&mut fitted);
    let (mut laws, mut diagnoses, mut first) = (Vec::new(), refusals, None);
    let uncertain = fitted.iter().filter_map(|law| uncertified(law, FitKind::Ahead));
    diagnoses.extend(uncertain.map(|doubt| Doubt::from(doubt).diagnosis()));
    for law in &fitted {
        match answer(law, aim, caps, options.level) {
            Ok(found) => {
                diagnoses.extend(doubts(law, &found, observations));
                laws.push(found);
            }
            Err(error) => {
                diagnoses.push(refused(law, &error));
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if laws.is_empty() => Err(error),
        _ => Ok(OptimumUnderCap {
            schema: OPTIMUM_SCHEMA.to_owned(),
            aim,
            caps,
            laws,
            assumptions: assumptions(&fitted, &caps, options),
            diagnoses,
            inputs: inputs(observations),
        }),
    }
}

/// The caps as they are typed.
fn named(caps: &Caps) -> String {
    let given = [
        ("--max-tokens", caps.max_tokens.is_some()),
        ("--max-params", caps.max_params.is_some()),
        ("--params", caps.params.is_some()),
        ("--serve", caps.serving.is_some()),
    ];
    let given: Vec<String> =
        given.iter().filter(|(_, is_given)| *is_given).map(|(flag, _)| format!("`{flag}`")).collect();
    if given.is_empty() { "no cap".to_owned() } else { given.join(" and ") }
}

fn validate_question(aim: Aim, caps: &Caps) -> Result<(), OptimumError> {
    let (name, sought) = match aim {
        Aim::Flops(flops) => ("flops", flops),
        Aim::Loss(loss) => ("loss", loss),
    };
    let given = [
        (name, Some(sought)),
        ("--max-tokens", caps.max_tokens),
        ("--max-params", caps.max_params),
        ("--params", caps.params),
        ("--serve", caps.serving.map(|serving| serving.tokens_per_month)),
        ("--months", caps.serving.map(|serving| serving.months)),
    ];
    for (option, value) in given {
        if let Some(value) = value.filter(|v| !(v.is_finite() && *v > 0.0)) {
            return Err(FitError::BadOption { option, value, allowed: "a finite number above 0" }.into());
        }
    }
    for (option, value) in
        [("--max-tokens", caps.max_tokens), ("--max-params", caps.max_params), ("--params", caps.params)]
    {
        if let Some(value) = value.filter(|v| *v < 1.0) {
            return Err(FitError::BadOption { option, value, allowed: "at least 1" }.into());
        }
    }
    match (caps.params, caps.max_params) {
        (Some(params), Some(max_params)) if params > max_params => Err(OptimumError::CapsClash { params, max_params }),
        _ => Ok(()),
    }
}

fn laws_of_size_and_data(
    observations: &[Observation],
    options: &FitOptions,
) -> Result<(Vec<Fitted>, Vec<Diagnosis>), OptimumError> {
    let is_one = |law: &&LawName| law.form().domain() == Domain::SizeAndData;
    let laws: Vec<LawName> = options.laws.iter().filter(is_one).copied().collect();
    if laws.is_empty() {
        let reason = "none was asked for".to_owned();
        return Err(OptimumError::NoLaw { reason, hint: "ask for one, for example `--law chinchilla`".to_owned() });
    }
    let groups = groups(observations);
    let Some(runs) = groups.values().next().filter(|_| groups.len() == 1) else {
        let reason = format!("the runs fall into {} groups, and an optimum is that of one", groups.len());
        return Err(OptimumError::NoLaw { reason, hint: pick_one(&groups, options) });
    };
    fit_group_by(fit_ahead, runs, &FitOptions { laws, ..options.clone() })
        .map_err(|error| OptimumError::NoLaw { reason: error.fault(), hint: error.hint() })
}

/// The laws that a forecast listens to stand first: those that are carried beyond the data, and not their special cases.
fn heard_first(fitted: &mut [Fitted]) {
    let laws: Vec<LawName> = fitted.iter().map(|found| found.law).collect();
    let is_special = |law: LawName| laws.iter().any(|&other| is_special_case(law, other));
    fitted.sort_by_key(|found| (!found.law.form().extrapolates(), is_special(found.law)));
}

/// One law's answer.
fn answer(fitted: &Fitted, aim: Aim, caps: Caps, level: f64) -> Result<LawOptimum, OptimumError> {
    let allocation = Allocation { aim, caps, flops_per_product: fitted.flops_per_product() };
    let free = allocation.unconstrained();
    for sought in [&free, &allocation] {
        if sought.solve(&fitted.problem, &fitted.optimum.theta).is_none() {
            return Err(no_solution(fitted, sought));
        }
    }
    let chosen = choice(fitted, allocation, level);
    let ratio = at_least_one(of(fitted, allocation, Wanted::Ratio, level));
    let is_budget = matches!(aim, Aim::Flops(_));
    Ok(LawOptimum {
        law: fitted.law.to_string(),
        binding: binding(&caps, &chosen),
        unconstrained: choice(fitted, free, level),
        chosen,
        loss_ratio: is_budget.then_some(ratio),
        flops_ratio: (!is_budget).then_some(ratio),
    })
}

fn no_solution(fitted: &Fitted, allocation: &Allocation) -> OptimumError {
    match allocation.aim {
        Aim::Flops(flops) => {
            let size = allocation.caps.params.unwrap_or(1.0);
            let served = allocation.log_serving_flops_per_param().map_or(0.0, math::exp);
            OptimumError::TooLittle { flops, needed: size * (allocation.flops_per_product + served) }
        }
        Aim::Loss(loss) => {
            let lowest = allocation.lowest_loss(&fitted.problem, &fitted.optimum.theta).unwrap_or(f64::NAN);
            OptimumError::Unreachable { law: fitted.law.to_string(), loss, lowest }
        }
    }
}

fn choice(fitted: &Fitted, allocation: Allocation, level: f64) -> Choice {
    let of = |wanted| of(fitted, allocation, wanted, level);
    let shape = [Wanted::Params, Wanted::Tokens].map(of);
    let training_flops = of(Wanted::Training);
    let [params, tokens] = if is_left_alone(&allocation.caps, &shape) {
        let decades = math::log10(training_flops.estimate / fitted.max_flops());
        kept_to_caps(&allocation, shape.map(|of| counted(with_size_error(of, decades))))
    } else {
        shape
    };
    let serving = allocation.log_serving_flops_per_param().map(math::exp);
    Choice {
        params,
        tokens,
        loss: of(Wanted::Loss),
        training_flops,
        serving_flops: serving.map(|per_param| times(&params, per_param)),
        total_flops: of(Wanted::Total),
    }
}

/// Whether no cap moves a size and its data: of the best split of training alone published tables tell the error of form.
fn is_left_alone(caps: &Caps, [params, tokens]: &[Estimate; 2]) -> bool {
    let is_below = |of: &Estimate, cap: Option<f64>| cap.is_none_or(|cap| of.estimate < cap * (1.0 - MET));
    let is_moved = caps.params.is_some() || caps.serving.is_some();
    !is_moved && is_below(params, caps.max_params) && is_below(tokens, caps.max_tokens)
}

/// Ends that lie beyond a cap, or beyond what the other's cap leaves of a budget, are that.
fn kept_to_caps(allocation: &Allocation, [params, tokens]: [Estimate; 2]) -> [Estimate; 2] {
    let Caps { max_params, max_tokens, .. } = allocation.caps;
    let left = |other: Option<f64>| match allocation.aim {
        Aim::Flops(flops) => other.map(|other| flops / (allocation.flops_per_product * other)),
        Aim::Loss(_) => None,
    };
    let within = |of: Estimate, least: Option<f64>, most: Option<f64>| Estimate {
        lower: of.lower.into_iter().chain(least).reduce(f64::max),
        upper: of.upper.into_iter().chain(most).reduce(f64::min),
        ..of
    };
    [within(params, left(max_tokens), max_params), within(tokens, left(max_params), max_tokens)]
}

/// A quantity with its profile interval; without width where no parameter moves it.
fn of(fitted: &Fitted, allocation: Allocation, wanted: Wanted, level: f64) -> Estimate {
    let functional = Functional::Allocated(allocation, wanted);
    let (centre, gradient) = functional.at(&fitted.problem, &fitted.optimum.theta);
    if gradient.iter().all(|slope| slope.abs() < MET) {
        let value = math::exp(centre);
        return Estimate { estimate: value, standard_error: Some(0.0), lower: Some(value), upper: Some(value), level };
    }
    let found = estimate(&fitted.profile(functional, level), fitted.root(level), level, true);
    if matches!(wanted, Wanted::Params | Wanted::Tokens) { counted(found) } else { found }
}

/// A model of less than one parameter, or trained on less than one token, is no end: the profile never found one.
fn counted(of: Estimate) -> Estimate {
    let end = |end: Option<f64>| end.filter(|size| *size >= 1.0);
    Estimate { lower: end(of.lower), upper: end(of.upper), ..of }
}

/// A ratio to what is best without caps: no cap makes it better, so that an interval ends at 1 where the runs set no end.
fn at_least_one(ratio: Estimate) -> Estimate {
    Estimate { lower: Some(ratio.lower.map_or(1.0, |lower| lower.max(1.0)).min(ratio.estimate)), ..ratio }
}

fn times(value: &Estimate, factor: f64) -> Estimate {
    let scaled = |number: Option<f64>| number.map(|number| number * factor);
    Estimate {
        estimate: value.estimate * factor,
        standard_error: scaled(value.standard_error),
        lower: scaled(value.lower),
        upper: scaled(value.upper),
        level: value.level,
    }
}

fn binding(caps: &Caps, chosen: &Choice) -> Vec<String> {
    let met = |cap: Option<f64>, value: f64| cap.is_some_and(|cap| value >= cap * (1.0 - MET));
    let held = [
        ("max_tokens", met(caps.max_tokens, chosen.tokens.estimate)),
        ("max_params", met(caps.max_params, chosen.params.estimate)),
        ("params", caps.params.is_some()),
        ("serving", caps.serving.is_some()),
    ];
    held.into_iter().filter(|(_, held)| *held).map(|(name, _)| name.to_owned()).collect()
}

fn refused(fitted: &Fitted, error: &OptimumError) -> Diagnosis {
    let text = error.to_string();
    let (message, hint) = text.split_once("\n\nhint: ").unwrap_or((&text, ""));
    Diagnosis {
        code: "no_optimum_under_cap".to_owned(),
        severity: Severity::Warning,
        message: match error {
            OptimumError::Unreachable { .. } => message.to_owned(),
            _ => format!("`{}` has no answer: {message}", fitted.law),
        },
        hint: hint.to_owned(),
    }
}

/// Where an optimum lies beyond the runs, so that its intervals are mostly of how such sizes have missed.
pub(crate) fn optimum_beyond(law: &str, decades: f64) -> Option<TargetDoubt> {
    (decades > DECADES_REACH).then(|| TargetDoubt::OptimumBeyond { law: law.to_owned(), decades })
}

/// A choice outside the tokens per parameter, or beyond the compute, of the runs.
fn doubts(fitted: &Fitted, found: &LawOptimum, observations: &[Observation]) -> Vec<Diagnosis> {
    let chosen = &found.chosen;
    let ratio = chosen.tokens.estimate / chosen.params.estimate;
    let (low, high) = observations
        .iter()
        .map(|run| run.tokens / run.params)
        .fold((f64::INFINITY, 0.0_f64), |(low, high), ratio| (low.min(ratio), high.max(ratio)));
    let decades = math::log10(chosen.training_flops.estimate / fitted.max_flops());
    let outside = (ratio < low / RATIO_REACH || ratio > high * RATIO_REACH).then(|| Diagnosis {
        code: "ratio_outside_runs".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "`{}`: the optimum has {ratio:.3} tokens per parameter, and the runs have {low:.3} to {high:.3}: how loss falls so far off was never seen",
            found.law
        ),
        hint: "add runs at that ratio, or soften the cap".to_owned(),
    });
    let beyond = optimum_beyond(&found.law, decades).map(|doubt| Doubt::from(doubt).diagnosis());
    outside.into_iter().chain(beyond).collect()
}

fn assumptions(fitted: &[Fitted], caps: &Caps, options: &FitOptions) -> Vec<String> {
    let per_product = fitted.first().map_or(6.0, Fitted::flops_per_product);
    let of_runs = fitted.first().and_then(|law| FlopsPerProduct::of(&law.points)).filter(|of| !of.is_six());
    let span = of_runs.map(|of| format!(" ({:.3} to {:.3})", of.lowest, of.highest)).unwrap_or_default();
    let cost =
        format!("training costs C = {per_product:.3} N D, the median of the runs{span}; {}", options.rules.words());
    let serving = caps.serving.map(|serving| {
        format!(
            "{:.3e} tokens a month are served for {} months, {:.3e} in all; each costs {:.3} N FLOPs, the forward third of a token trained, read or written alike; attention to long contexts and idle devices are not counted",
            serving.tokens_per_month,
            serving.months,
            serving.tokens(),
            per_product / 3.0
        )
    });
    let fresh =
        caps.max_tokens.is_none().then(|| "each token is new: there are as many as the optimum asks for".to_owned());
    let loss = format!(
        "loss is each law's mean at the end of a run; intervals are profiles of that law at the {:.0}% level, and a best size and its data that no cap or serving moves hold the error of form that published sizes showed",
        100.0 * options.level
    );
    [Some(cost), serving, fresh, Some(loss)].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
