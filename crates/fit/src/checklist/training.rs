//! How the runs were trained and counted.

use forescale_core::checklist::{Item, Section};
use forescale_core::math;
use forescale_core::observation::Observation;

use super::{Asked, Known, distinct, ends, span};
use crate::path;

pub(super) fn items(asked: &Asked<'_>) -> Vec<Item> {
    let item = |question: &str, known: Known| known.item(Section::Training, question);
    vec![
        item("What do N, D and C count?", counts(asked)),
        item("Over which sizes, data and compute?", ranges(asked)),
        item("How many rungs, and how far does D/N vary?", rungs(asked)),
        item("How many seeds?", seeds(asked)),
        item("Which learning rate, and how was it chosen?", rate(asked)),
        item("Which batch?", batch(asked)),
        item("How long was the warmup?", warmup(asked)),
        item("Which schedule?", schedule(asked)),
        item("Was any token seen twice?", repeats(asked)),
        item("On which evaluation set, under which tokeniser?", evaluation(asked)),
        item("How large is the evaluation set?", evaluation_size(asked)),
    ]
}

/// What a table of compute alone leaves open.
const UNTOLD: &str = "`params` and `tokens` columns would tell sizes and data";

fn counts(asked: &Asked<'_>) -> Known {
    let Some(rule) = asked.fits.fits.first().map(|fit| &fit.rule) else {
        return Known::Missing("no law was fitted".to_owned());
    };
    let share = |o: &Observation| o.training.head_share().map(|share| 100.0 * share);
    let head = asked.all(share).map_or_else(
        || "the head's share is not told (`head_params`, `total_params`)".to_owned(),
        |shares| format!("the head is {:.1}% to {:.1}% of all parameters", ends(&shares).0, ends(&shares).1),
    );
    if !asked.tells_split() {
        return Known::Missing(rule.words());
    }
    let counted = format!("{}, D is every token trained on; {head}", rule.words());
    Known::Told(counted).unless(&asked.said(&["counting_rules"]))
}

fn columns(asked: &Asked<'_>) -> [Vec<f64>; 3] {
    let of = |of: fn(&Observation) -> f64| asked.runs.iter().map(of).collect();
    [of(|o| o.params), of(|o| o.tokens), of(|o| o.flops)]
}

fn ranges(asked: &Asked<'_>) -> Known {
    let [params, tokens, flops] = columns(asked);
    let decades = |values: &[f64]| math::log10(ends(values).1 / ends(values).0);
    if !asked.tells_split() {
        let (runs, span) = (asked.runs.len(), span(&flops));
        return Known::Missing(format!("{runs} runs: C {span} FLOPs ({:.1} decades); {UNTOLD}", decades(&flops)));
    }
    let told = format!(
        "{} runs: N {} ({:.1} decades), D {} ({:.1}), C {} FLOPs ({:.1})",
        asked.runs.len(),
        span(&params),
        decades(&params),
        span(&tokens),
        decades(&tokens),
        span(&flops),
        decades(&flops)
    );
    Known::or((!asked.runs.is_empty()).then_some(told), "no run is left")
}

fn rungs(asked: &Asked<'_>) -> Known {
    let rungs = path::distinct_budgets(asked.runs);
    if !asked.tells_split() {
        return Known::Missing(format!("{rungs} budgets; {UNTOLD}")).unless(&asked.said(&["few_rungs", "few_decades"]));
    }
    let ratios: Vec<f64> = asked.runs.iter().map(|o| o.tokens / o.params).collect();
    let (low, high) = ends(&ratios);
    let told = format!("{rungs} budgets; D/N from {low:.3} to {high:.3}, a factor of {:.1}", high / low);
    Known::or((!ratios.is_empty()).then_some(told), "no run is left").unless(&asked.said(&["few_rungs", "few_decades"]))
}

/// Runs that share size and data with another.
fn replicates(asked: &Asked<'_>) -> usize {
    let alike = |a: &Observation, b: &Observation| {
        a.run_id != b.run_id && (a.params / b.params - 1.0).abs() < 1e-6 && (a.tokens / b.tokens - 1.0).abs() < 1e-6
    };
    asked.runs.iter().filter(|a| asked.runs.iter().any(|b| alike(a, b))).count()
}

fn seeds(asked: &Asked<'_>) -> Known {
    let missing = "a `seed` column, or rungs that are repeated, would tell; two more seeds of the smallest cost least";
    let (repeated, stated) = (replicates(asked), asked.runs.iter().filter(|o| o.seed_sd.is_some()).count());
    let told = asked.all(|o| o.seed).map(|mut seeds| {
        seeds.sort_unstable();
        seeds.dedup();
        format!("{} distinct seeds; ", seeds.len())
    });
    let is_told = told.is_some() || repeated > 0 || stated > 0;
    let text = format!(
        "{}{repeated} runs share {} with another; {stated} state a deviation over seeds",
        told.unwrap_or_default(),
        if asked.tells_split() { "size and data" } else { "compute" }
    );
    Known::or(is_told.then_some(text), missing).unless(&asked.said(&["seed_noise"]))
}

fn rate(asked: &Asked<'_>) -> Known {
    let told = asked.all(|o| o.training.learning_rate).map(|rates| {
        let scaled = asked.runs.iter().any(|o| o.training.rate_follows_width == Some(true));
        let how = if scaled { ", scaled with width by muP" } else { "" };
        let tried = if replicates(asked) > 0 {
            if asked.tells_split() {
                "some sizes and data were run more than once"
            } else {
                "some budgets were run more than once"
            }
        } else {
            "one run each"
        };
        format!("{}{how}; {tried}", span(&rates))
    });
    Known::or(told, "an `lr` column would tell").unless(&asked.said(&["one_rate", "rate_at_edge", "rate_sensitive"]))
}

fn batch(asked: &Asked<'_>) -> Known {
    let told = asked.all(|o| o.training.batch_tokens).map(|batches| format!("{} tokens", span(&batches)));
    Known::or(told, "a `batch_tokens` column would tell").unless(&asked.said(&["batch_above_critical"]))
}

fn warmup(asked: &Asked<'_>) -> Known {
    let share = |o: &Observation| Some(100.0 * o.training.warmup_steps? / o.training.steps?);
    let told =
        asked.all(share).map(|shares| format!("{:.1}% to {:.1}% of the steps", ends(&shares).0, ends(&shares).1));
    Known::or(told, "`warmup_steps` and `steps` columns would tell").unless(&asked.said(&["warmup_share"]))
}

fn schedule(asked: &Asked<'_>) -> Known {
    let told = asked.all(|o| o.training.schedule.clone()).map(|names| distinct(names).join(", "));
    Known::or(told, "a `schedule` column would tell").unless(&asked.said(&["undecayed_mixed", "schedules_mixed"]))
}

fn repeats(asked: &Asked<'_>) -> Known {
    let unique = |o: &Observation| o.unique_tokens.or(o.training.unique_tokens).map(|unique| o.tokens / unique);
    let told = asked.all(unique).map(|epochs| {
        let repeating = epochs.iter().filter(|epochs| **epochs > 1.0 + 1e-6).count();
        format!("{repeating} of {} runs did, up to {:.1} times", epochs.len(), ends(&epochs).1.max(1.0))
    });
    Known::or(told, "a `unique_tokens` column would tell").unless(&asked.said(&["repeated_data"]))
}

fn evaluation(asked: &Asked<'_>) -> Known {
    let sets = asked.all(|o| o.eval_set_digest.clone()).map(|sets| distinct(sets).len());
    let tokenizers = asked.all(|o| o.training.tokenizer_digest.clone()).map(|sets| distinct(sets).len());
    let told = sets.zip(tokenizers).map(|(sets, tokenizers)| {
        let some =
            |count: usize, noun: &str| if count == 1 { format!("one {noun}") } else { format!("{count} {noun}s") };
        format!("{} and {} by digest", some(sets, "evaluation set"), some(tokenizers, "tokeniser"))
    });
    Known::or(told, "a table cannot tell; the records of a sweep name both by digest (`eval_set_digest`)")
        .unless(&asked.said(&["mixed_evaluation"]))
}

fn evaluation_size(asked: &Asked<'_>) -> Known {
    let tokens = asked.all(|o| o.training.eval_tokens).map(|tokens| format!("{} tokens", span(&tokens)));
    let error = asked.all(|o| o.loss_se.map(|se| 100.0 * se / o.loss));
    let error = error
        .map(|errors| format!("standard errors of {:.3}% to {:.3}% of the loss", ends(&errors).0, ends(&errors).1));
    let told = [tokens, error].into_iter().flatten().collect::<Vec<_>>().join("; ");
    Known::or((!told.is_empty()).then_some(told), "`eval_tokens` or `loss_se` columns would tell")
        .unless(&asked.said(&["evaluation_noise"]))
}
