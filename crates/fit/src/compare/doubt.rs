//! Whether losses can be held against each other at all, and what can be doubted about the answer.

use std::collections::BTreeSet;

use forescale_core::comparison::{BudgetComparison, ComparedRecipe, Crossing};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::quantity::LossUnit;

use super::crossing::Meeting;
use super::{CompareError, Recipe};

/// Past this many decades beyond a recipe's largest run, or below its smallest, a budget is an extrapolation worth a word.
const EXTRAPOLATED: f64 = 0.5;

/// What the two recipes were measured on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Evaluation {
    /// Whether it is known to be one set.
    pub(super) is_shared: bool,
    /// Standard deviation of log loss that the sets add where they are not known to be one.
    pub(super) noise: f64,
    /// Texts under several tokenisers: their digests cannot show that the text is one.
    is_retokenized: bool,
}

impl Evaluation {
    /// Refuses losses that are not of one kind.
    pub(super) fn of(a: &Recipe, b: &Recipe) -> Result<Self, CompareError> {
        if a.unit != b.unit {
            return Err(CompareError::Units { a: a.unit, b: b.unit });
        }
        let all = || a.observations.iter().chain(b.observations);
        let tokenizers: BTreeSet<&str> = all().filter_map(|o| o.training.tokenizer_digest.as_deref()).collect();
        if tokenizers.len() > 1 && a.unit != LossUnit::BitsPerByte {
            return Err(CompareError::Tokenizers { found: tokenizers.len(), unit: a.unit });
        }
        let sets: BTreeSet<&str> = all().filter_map(|o| o.eval_set_digest.as_deref()).collect();
        let is_retokenized = tokenizers.len() > 1;
        if sets.len() > 1 && !is_retokenized {
            return Err(CompareError::EvaluationSets { found: sets.len() });
        }
        let is_shared = sets.len() == 1 && all().all(|o| o.eval_set_digest.is_some());
        let squares = [a, b].map(|recipe| evaluation_error(recipe.observations)).map(|error| error * error);
        let noise = if is_shared { 0.0 } else { squares.iter().sum::<f64>().sqrt() };
        Ok(Self { is_shared, noise, is_retokenized })
    }
}

/// The typical standard error of log loss from the evaluation set; 0 where none is stated.
fn evaluation_error(runs: &[Observation]) -> f64 {
    let errors: Vec<f64> = runs.iter().filter_map(|o| o.loss_se.map(|se| se / o.loss)).collect();
    math::median(&errors).unwrap_or(0.0)
}

/// Everything worth a word.
pub(super) fn diagnoses(
    a: &ComparedRecipe,
    b: &ComparedRecipe,
    budgets: &[BudgetComparison],
    evaluation: &Evaluation,
) -> Vec<Diagnosis> {
    let is_same = a.inputs == b.inputs;
    // The same runs were measured on the same text, whatever it was.
    let mut found: Vec<Diagnosis> =
        (evaluation.is_shared || !is_same).then(|| of_evaluation(evaluation)).into_iter().collect();
    if is_same {
        let message = "both recipes are the same runs: every difference is zero by construction".to_owned();
        found.push(diagnosis("same_inputs", Severity::Warning, message, "name two different sources"));
    }
    if a.min_flops.max(b.min_flops) > a.max_flops.min(b.max_flops) {
        let message = format!(
            "no budget lies within the runs of both: `{}` reaches from {:.2e} to {:.2e} FLOPs, `{}` from {:.2e} to {:.2e}, so that one side of every comparison is extrapolated",
            a.name, a.min_flops, a.max_flops, b.name, b.min_flops, b.max_flops
        );
        found.push(diagnosis("no_common_budget", Severity::Warning, message, "train runs of both at one budget"));
    }
    found.extend(budgets.first().and_then(unlike_losses));
    found.extend(budgets.iter().filter_map(extrapolated));
    found.extend(budgets.iter().filter_map(|budget| below_data(budget, [a, b])));
    found.extend(budgets.iter().filter(|budget| budget.multiplier.is_none()).map(|budget| unreached(budget, b)));
    found
}

fn of_evaluation(evaluation: &Evaluation) -> Diagnosis {
    if evaluation.is_shared {
        let message = "both recipes were measured on one evaluation set: its sampling noise moves both alike and is left out of the intervals".to_owned();
        return diagnosis("evaluation_shared", Severity::Note, message, "none is needed");
    }
    let why = if evaluation.is_retokenized {
        "the runs use several tokenisers, so that digests cannot show whether they were measured on one text"
    } else {
        "nothing shows that both recipes were measured on one evaluation set"
    };
    let widened = if evaluation.noise > 0.0 {
        format!("the stated standard errors widen the intervals by {:.3}%", 100.0 * evaluation.noise)
    } else {
        "no standard error is stated (`loss_se`), so that nothing widens the intervals for it".to_owned()
    };
    let message = format!("{why}: {widened}");
    diagnosis(
        "evaluation_unknown",
        Severity::Warning,
        message,
        "evaluate both recipes on one text and record its digest",
    )
}

/// Losses at one budget this far apart are of two units or tokenisers sooner than of two recipes: nats and bits differ by 1.443.
const UNLIKE: f64 = 1.4;

fn unlike_losses(budget: &BudgetComparison) -> Option<Diagnosis> {
    let factor = (budget.loss_a / budget.loss_b).max(budget.loss_b / budget.loss_a);
    let message = format!(
        "at {:.2e} FLOPs one loss is {factor:.2} times the other: no recipe is that much better, and nats, bits and bytes, or two tokenisers, are that far apart; the multiplier is one of units",
        budget.flops
    );
    let hint = "state both in bits per byte (`--unit bpb`), measured on one text";
    (factor > UNLIKE).then(|| diagnosis("unlike_losses", Severity::Warning, message, hint))
}

fn extrapolated(budget: &BudgetComparison) -> Option<Diagnosis> {
    let beyond = budget.decades_beyond_a.max(budget.decades_beyond_b);
    let message = format!(
        "{:.2e} FLOPs lie {beyond:.1} decades past the largest run of a recipe: the order of two extrapolations is less sure than either of them looks",
        budget.flops
    );
    let hint = "train the smaller of the two recipes nearer to that budget";
    (beyond > EXTRAPOLATED).then(|| diagnosis("extrapolating", Severity::Warning, message, hint))
}

fn below_data(budget: &BudgetComparison, recipes: [&ComparedRecipe; 2]) -> Option<Diagnosis> {
    let below = |recipe: &&ComparedRecipe| math::log10(recipe.min_flops / budget.flops);
    let lowest = recipes.into_iter().max_by(|a, b| below(a).total_cmp(&below(b)))?;
    let message = format!(
        "{:.2e} FLOPs lie {:.1} decades below the smallest run of `{}`: towards an untrained model loss leaves the laws",
        budget.flops,
        below(&lowest),
        lowest.name
    );
    let hint = "train both at that budget: runs that small cost next to nothing";
    (below(&lowest) > EXTRAPOLATED).then(|| diagnosis("below_data", Severity::Warning, message, hint))
}

fn unreached(budget: &BudgetComparison, b: &ComparedRecipe) -> Diagnosis {
    let message = format!(
        "no budget of `{}` within a factor of a million of {:.2e} FLOPs is expected to give the loss that the other has there: there is no multiplier",
        b.name, budget.flops
    );
    diagnosis("loss_not_reached", Severity::Warning, message, "read the difference in loss instead")
}

fn diagnosis(code: &str, severity: Severity, message: String, hint: &str) -> Diagnosis {
    Diagnosis { code: code.to_owned(), severity, message, hint: hint.to_owned() }
}

/// The answer in one sentence, at each budget compared: a factor of compute is told above 1, as so much less or so much more.
pub(super) fn verdict(
    a: &ComparedRecipe,
    b: &ComparedRecipe,
    budgets: &[BudgetComparison],
    meeting: &Meeting,
) -> String {
    let at = |budget: &BudgetComparison| format!("at {:.2e} FLOPs: {}", budget.flops, needed([a, b], budget));
    let each: Vec<String> = budgets.iter().map(at).collect();
    format!("{}; {}", each.join("; "), met(meeting))
}

/// Where the curves cross, as far as the runs tell: two that nothing tells apart cross wherever their noise has it.
fn met(meeting: &Meeting) -> String {
    let within = format!("within {:.2e} to {:.2e} FLOPs", meeting.searched.least, meeting.searched.most);
    let told: Vec<String> = meeting.told().map(crossed).collect();
    if !told.is_empty() {
        format!("the curves cross at {}", told.join(" and at "))
    } else if meeting.crossings.is_empty() && meeting.is_told_at_an_end {
        format!("the curves do not cross {within}")
    } else {
        format!("no crossing of the curves can be told {within}")
    }
}

/// A crossing with its interval.
fn crossed(crossing: &Crossing) -> String {
    let flops = &crossing.flops;
    let [from, to] =
        [flops.lower, flops.upper].map(|end| end.map_or_else(|| "no end".to_owned(), |end| format!("{end:.2e}")));
    format!("{:.2e} FLOPs ({:.0}%: {from} to {to})", flops.estimate, 100.0 * flops.level)
}

/// What one budget tells; where the interval holds 1, that it tells none of the two to be better.
fn needed([a, b]: [&ComparedRecipe; 2], budget: &BudgetComparison) -> String {
    let Some(multiplier) = budget.multiplier else {
        return format!("no budget of `{}` is expected to give the loss of `{}`", b.name, a.name);
    };
    let ends = [budget.multiplier_lower, budget.multiplier_upper];
    let is_told = ends[0].is_some_and(|lower| lower > 1.0) || ends[1].is_some_and(|upper| upper < 1.0);
    let (factor, ends) = factor(multiplier, ends);
    let level = 100.0 * budget.level;
    let open = if is_told { "" } else { ", which does not tell that either needs less" };
    format!("`{}` needs {factor} compute than `{}` for the same loss ({level:.0}%: {ends}){open}", b.name, a.name)
}

/// How many times less or more, and from what to what: where it is more, the interval is turned over with the factor.
fn factor(multiplier: f64, [lower, upper]: [Option<f64>; 2]) -> (String, String) {
    let over = |value: f64| 1.0 / value;
    let (word, factor, ends) = if multiplier < 1.0 {
        ("more", over(multiplier), [upper.map(over), lower.map(over)])
    } else {
        ("less", multiplier, [lower, upper])
    };
    let [from, to] = ends.map(|end| end.map_or_else(|| "no end".to_owned(), three));
    (format!("{} times {word}", three(factor)), format!("{from} to {to}"))
}

/// Three significant digits.
fn three(value: f64) -> String {
    let decimals = (2.0 - math::log10(value).floor()).clamp(0.0, 12.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_below_one_is_turned_over_with_its_interval() {
        let (more, ends) = factor(0.236, [Some(0.2), Some(0.25)]);
        assert_eq!((more.as_str(), ends.as_str()), ("4.24 times more", "4.00 to 5.00"));
        let (less, ends) = factor(12.34, [None, Some(150.6)]);
        assert_eq!((less.as_str(), ends.as_str()), ("12.3 times less", "no end to 151"));
        assert_eq!(three(0.9504), "0.950");
    }
}
