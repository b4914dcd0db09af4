//! Two recipes held against each other: how much compute one saves over the other, and where they cross.
//!
//! # Method
//!
//! Each law is fitted to both recipes, and the two fits of one law make a pair: what a form gets wrong about both, it gets
//! wrong alike. Everything asked is asked of one quantity, Δ(C_A, C_B) = ln L_B(C_B) − ln L_A(C_A), whose distribution
//! comes from the two profiles ([`pair`]), mixed over the pairs that count: those that a forecast would listen to first
//! ([`crate::forecaster`]), with equal weights. Estimates are medians of the mixture, and so agree with its probabilities:
//!
//! - the difference at a budget is Δ(C, C);
//! - the compute multiplier m = C_A/C_B at which both losses are equal is at most m₀ exactly where L_B(C/m₀) is at least
//!   L_A(C), so that its distribution function is P(Δ(C, C/m₀) ≥ 0): the interval is a test turned round (Fieller 1954),
//!   is open where the data set no end, and needs no draw;
//! - a crossing's interval holds the budgets around it at which Δ(C, C) is not told from 0.
//!
//! # What the intervals hold
//!
//! The laws' own uncertainty, and past either recipe's largest run the error of form that a forecast expects there
//! ([`crate::form_error`]): less of it beside a law of size and data, the whole of it where laws of compute alone speak. The
//! two errors are taken as independent. Recipes that are alike err alike, so that part of it cancels in truth; how much no
//! table here tells, and the intervals stay on the wide side of it. Within the data of both it is zero, and nothing that
//! both share is in the multiplier. Noise of the evaluation set moves all losses of both recipes alike when both are
//! measured on one set, and cancels; otherwise the stated standard errors are added.
//!
//! Measured, by 600 simulations each of two ladders of eight rungs over three decades, true law, 90% intervals of the
//! multiplier at the largest common budget: by Huber's objective 96% hold for a multiplier of 2 and 95% for none, 93% where
//! one recipe is six times as noisy as the other; by least squares 92% and 90%; of 300 pairs of surfaces (five budgets,
//! seven sizes, 0.3% of noise, laws weighed as now) 93%. One Student's t for each recipe's own noise held 97% and 94% in the
//! same draws, of even noise ([`difference`] says why). What is left
//! of it is that of Huber's own intervals (`benches/coverage.md`: 92% of single ones). A decade past the runs nearly all
//! hold, as they must where the law is true and its error of form is counted all the same; many have no end there.
//!
//! Laws are fitted for their own sake, every run by its own weight and without what is expected of exponents
//! ([`crate::prior`]): that would pull both recipes towards one slope, which is what is asked about. Losses far beyond the
//! runs may therefore differ from those of a forecast.

mod crossing;
mod difference;
mod doubt;
mod pair;

use forescale_core::comparison::{
    BudgetComparison, COMPARISON_SCHEMA, ComparedRecipe, Comparison, ComputeRange, LawComparison,
};
use forescale_core::estimate::Estimate;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::quantity::LossUnit;
use thiserror::Error;

use crate::diagnose::{Doubt, FitKind, doubts_of_runs, uncertified};
use crate::fitted::{Fitted, validate};
use crate::forecast::{contradiction, falling};
use crate::session::{fit_group, groups, inputs, pick_one};
use crate::{FitError, FitOptions};
use crossing::Meeting;
use doubt::Evaluation;
use pair::Pairs;

/// One recipe: runs trained alike.
#[derive(Clone, Copy, Debug)]
pub struct Recipe<'a> {
    /// What to call it.
    pub name: &'a str,
    /// Its runs, of one group.
    pub observations: &'a [Observation],
    /// Unit of their losses.
    pub unit: LossUnit,
}

/// Why two recipes cannot be compared.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CompareError {
    /// One of them carries no law.
    #[error("recipe `{name}`: {error}")]
    Recipe {
        /// Which.
        name: String,
        /// What is wrong with it.
        error: FitError,
    },
    /// Runs of several groups.
    #[error("recipe `{name}` holds runs of {found} groups; 1 is allowed\n\nhint: {hint}")]
    Groups {
        /// Which.
        name: String,
        /// How many.
        found: usize,
        /// How one is picked.
        hint: String,
    },
    /// No law could be fitted to both.
    #[error(
        "no law was fitted to both recipes: `{a}` carries {laws_a}, `{b}` carries {laws_b}\n\nhint: ask for one that both carry with `--law`"
    )]
    NoCommonLaw {
        /// First.
        a: String,
        /// Its laws.
        laws_a: String,
        /// Second.
        b: String,
        /// Its laws.
        laws_b: String,
    },
    /// Losses in different units.
    #[error("losses are in {} for one recipe and in {} for the other\n\nhint: state both in bits per byte with `--unit bpb`", a.label(), b.label())]
    Units {
        /// Of the first.
        a: LossUnit,
        /// Of the second.
        b: LossUnit,
    },
    /// A token of one recipe is not a token of the other.
    #[error("the runs use {found} tokenisers, and a loss in {} under one is no loss under another\n\nhint: compare in bits per byte with `--unit bpb`", unit.label())]
    Tokenizers {
        /// How many.
        found: usize,
        /// The unit.
        unit: LossUnit,
    },
    /// Losses on different texts.
    #[error(
        "the runs were measured on {found} evaluation sets; 1 is allowed\n\nhint: evaluate both recipes on one set"
    )]
    EvaluationSets {
        /// How many.
        found: usize,
    },
    /// A budget that is no positive number.
    #[error(transparent)]
    Option(FitError),
}

/// Compares two recipes at their largest common budget and at each budget asked for.
///
/// # Errors
///
/// [`CompareError`] where losses cannot be held against each other, or a recipe carries no law that the other carries.
pub fn compare(a: &Recipe, b: &Recipe, budgets: &[f64], options: &FitOptions) -> Result<Comparison, CompareError> {
    if let Some(&value) = budgets.iter().find(|flops| !(flops.is_finite() && **flops > 0.0)) {
        let allowed = "a finite number above 0";
        return Err(CompareError::Option(FitError::BadOption { option: "flops", value, allowed }));
    }
    let evaluation = Evaluation::of(a, b)?;
    let (fitted_a, mut diagnoses) = fit_recipe(a, options)?;
    let (fitted_b, doubts_b) = fit_recipe(b, options)?;
    diagnoses.extend(doubts_b);
    let (recipe_a, recipe_b) = (describe(a, &fitted_a), describe(b, &fitted_b));
    let laws = |recipe: &ComparedRecipe| recipe.laws.join(", ");
    let pairs = Pairs::new(fitted_a, fitted_b, evaluation.noise).ok_or_else(|| CompareError::NoCommonLaw {
        a: recipe_a.name.clone(),
        laws_a: laws(&recipe_a),
        b: recipe_b.name.clone(),
        laws_b: laws(&recipe_b),
    })?;
    diagnoses.extend(uncertain(&pairs, [a.name, b.name]));
    let common = recipe_a.max_flops.min(recipe_b.max_flops);
    let mut asked = vec![common];
    asked.extend(budgets.iter().filter(|flops| math::ln(**flops / common).abs() > 1e-9));
    let compared: Vec<BudgetComparison> = asked.iter().map(|&flops| at_budget(&pairs, flops, options.level)).collect();
    let searched = searched(&recipe_a, &recipe_b, &asked);
    let meeting = Meeting::of(&pairs, searched, options.level);
    diagnoses.extend(doubt::diagnoses(&recipe_a, &recipe_b, &compared, &evaluation));
    Ok(Comparison {
        schema: COMPARISON_SCHEMA.to_owned(),
        verdict: doubt::verdict(&recipe_a, &recipe_b, &compared, &meeting),
        unit: a.unit,
        common_flops: common,
        budgets: compared,
        crossings: meeting.crossings,
        searched,
        shared_evaluation: evaluation.is_shared,
        diagnoses,
        a: recipe_a,
        b: recipe_b,
    })
}

fn fit_recipe(recipe: &Recipe, options: &FitOptions) -> Result<(Vec<Fitted>, Vec<Diagnosis>), CompareError> {
    let named = |error| CompareError::Recipe { name: recipe.name.to_owned(), error };
    validate(recipe.observations, options).map_err(named)?;
    let groups = groups(recipe.observations);
    let (found, hint) = (groups.len(), pick_one(&groups, options));
    let Some(runs) = groups.into_values().next().filter(|_| found == 1) else {
        return Err(CompareError::Groups { name: recipe.name.to_owned(), found, hint });
    };
    let (fitted, mut doubts) = fit_group(&runs, options).map_err(named)?;
    let of_columns = doubts_of_runs(&runs, options);
    doubts.extend(of_columns.iter().map(Doubt::diagnosis).filter(|doubt| doubt.severity != Severity::Note));
    doubts.extend(falling(fitted.iter()));
    if let Some(doubt) = contradiction(&doubts) {
        let (reason, hint) = (doubt.message.clone(), doubt.hint.clone());
        return Err(named(FitError::NoForecast { reason, hint }));
    }
    Ok((fitted, doubts.into_iter().map(|doubt| of_recipe(recipe.name, doubt)).collect()))
}

fn of_recipe(name: &str, doubt: Diagnosis) -> Diagnosis {
    Diagnosis { message: format!("recipe `{name}`: {}", doubt.message), ..doubt }
}

/// Which fits that count bear no certificate.
fn uncertain(pairs: &Pairs, names: [&str; 2]) -> Vec<Diagnosis> {
    let of = |(name, law): (&str, &Fitted)| {
        uncertified(law, FitKind::Plain).map(|doubt| of_recipe(name, Doubt::from(doubt).diagnosis()))
    };
    pairs.counted().flat_map(|fits| names.into_iter().zip(fits)).filter_map(of).collect()
}

fn describe(recipe: &Recipe, fitted: &[Fitted]) -> ComparedRecipe {
    let flops = || recipe.observations.iter().map(|o| o.flops);
    ComparedRecipe {
        name: recipe.name.to_owned(),
        runs: recipe.observations.len() as u64,
        min_flops: flops().fold(f64::INFINITY, f64::min),
        max_flops: flops().fold(0.0, f64::max),
        laws: fitted.iter().map(|law| law.law.to_string()).collect(),
        inputs: inputs(recipe.observations),
    }
}

/// Crossings are sought from where both have runs to a decade past the largest run or budget (chosen here: further out
/// no crossing of two extrapolations is news).
fn searched(a: &ComparedRecipe, b: &ComparedRecipe, asked: &[f64]) -> ComputeRange {
    let largest = asked.iter().copied().fold(a.max_flops.max(b.max_flops), f64::max);
    ComputeRange { least: a.min_flops.max(b.min_flops), most: 10.0 * largest }
}

fn at_budget(pairs: &Pairs, flops: f64, level: f64) -> BudgetComparison {
    let tail = 0.5 * (1.0 - level);
    let difference = pairs.difference(flops, flops);
    let (loss_a, loss_b) = pairs.losses(flops, difference.median());
    let apart = |log_ratio: f64| loss_a * math::exp_m1(log_ratio);
    let [lower, upper] = [tail, 1.0 - tail].map(|p| Some(apart(difference.quantile(p))));
    let multiplier = pairs.multiplier(flops, level);
    BudgetComparison {
        flops,
        decades_beyond_a: math::log10(flops / pairs.max_a),
        decades_beyond_b: math::log10(flops / pairs.max_b),
        loss_a,
        loss_b,
        difference: Estimate { estimate: loss_b - loss_a, standard_error: None, lower, upper, level },
        multiplier: multiplier.median,
        multiplier_lower: multiplier.lower,
        multiplier_upper: multiplier.upper,
        probability_b_better: difference.probability(0.0),
        level,
        laws: pairs.iter().map(|pair| law_comparison(pair, flops)).collect(),
    }
}

fn law_comparison(pair: &pair::Pair, flops: f64) -> LawComparison {
    LawComparison {
        law: pair.a.law(),
        weight: pair.weight,
        loss_a: math::exp(pair.a.log_loss(flops)),
        loss_b: math::exp(pair.b.log_loss(flops)),
        multiplier: pair.multiplier(flops),
    }
}

#[cfg(test)]
mod tests;
