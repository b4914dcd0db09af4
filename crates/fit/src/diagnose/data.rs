//! Doubts about the table itself: what it was measured on, and what was left out of it.

use core::fmt;
use std::collections::BTreeMap;

use forescale_core::math;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::outcome::Severity;
use forescale_core::run::Role;

use super::{Voiced, named, to_three_digits};
use crate::path::budgets;

/// Where more than this share of the runs diverged, those that are left are no fair sample. Chosen here.
const MANY_DIVERGED: f64 = 0.1;

/// Losses that are whole multiples of 1/1000 are as likely alike as copied.
const ROUND: f64 = 1e3;

/// Fewer tokens per parameter than this in half of the runs are nobody's ladder: the smallest published is 1.7 (GPT-3 175B),
/// and isoFLOP sweeps centre on 20. Chosen here, a factor below.
pub(super) const TOKENS_PER_PARAM: f64 = 0.3;
/// And fewer than this are no ladder at all: columns that changed places, or data counted in millions or billions.
pub(super) const NO_LADDER: f64 = 0.1;
/// A model of fewer parameters is none: more likely they are counted in millions or billions.
const FEWEST_PARAMS: f64 = 1e3;
/// A number below this is a size in millions where tokens are plain counts: ten billion parameters, in the median. Tiny models
/// that are trained have as few, and some hundred tokens for each.
const MOST_MILLIONS: f64 = 1e4;
/// Compute that agrees to this factor is one budget's: a loss falls by less than a two-hundredth over it.
const ONE_BUDGET: f64 = 1.02;
/// Losses of one budget that differ by more are of several sizes: seeds scatter by 0.03 to 0.3%, tiny ones by 1%.
const SEEDS_APART: f64 = 0.02;
/// What a size in millions is short of, and one in billions.
const UNITS: [f64; 2] = [1e6, 1e9];

/// A doubt about the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DataDoubt {
    MixedEvaluation {
        sets: usize,
        tokenizers: usize,
    },
    Copies {
        copies: Vec<String>,
        runs: usize,
    },
    LeftOut {
        reasons: Vec<(&'static str, usize)>,
        diverged: usize,
        runs: usize,
    },
    /// Runs that tell compute alone; two of one compute whose losses lie apart, where there are such.
    ComputeAlone {
        runs: usize,
        apart: Option<Apart>,
    },
    Swapped {
        ratio: f64,
    },
    /// Sizes below those of models; `ratio` is told where tokens say that they are in another unit.
    Scaled {
        params: f64,
        ratio: Option<f64>,
    },
}

/// Two runs of one compute, the lower first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Apart {
    names: [String; 2],
    /// The higher loss over the lower, less one.
    by: f64,
}

/// Doubts that the columns of a group's runs give reason for.
pub(super) fn doubts(runs: &[&Observation]) -> Vec<DataDoubt> {
    mixed_evaluation(runs).into_iter().chain(copies(runs)).chain(implausible(runs)).chain(compute_alone(runs)).collect()
}

/// What is assumed of runs that tell compute alone, and what contradicts it: runs of one budget that differ by more than
/// seeds do were not all of its best size.
fn compute_alone(runs: &[&Observation]) -> Option<DataDoubt> {
    if runs.iter().all(|run| run.tells_split()) {
        return None;
    }
    // Where roles are told the path is of the runs marked so (`crate::path`).
    let marked: Vec<&Observation> = runs.iter().copied().filter(|run| run.role == Some(Role::Path)).collect();
    let runs = if marked.is_empty() { runs } else { &marked };
    let apart = |budget: Vec<&Observation>| {
        let low = budget.iter().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
        let high = budget.iter().max_by(|a, b| a.loss.total_cmp(&b.loss))?;
        let names = [low, high].map(|run| format!("`{}`", run.name));
        Some(Apart { names, by: high.loss / low.loss - 1.0 })
    };
    let widest = budgets(runs, ONE_BUDGET).into_iter().filter_map(apart).max_by(|a, b| a.by.total_cmp(&b.by));
    Some(DataDoubt::ComputeAlone { runs: runs.len(), apart: widest.filter(|apart| apart.by > SEEDS_APART) })
}

/// Sizes and data that nobody trains: columns that changed places, or another unit.
fn implausible(runs: &[&Observation]) -> Option<DataDoubt> {
    if !runs.iter().all(|run| run.tells_split()) {
        return None;
    }
    let median =
        |number: fn(&Observation) -> f64| math::median(&runs.iter().map(|run| number(run)).collect::<Vec<_>>());
    let (params, ratio) = (median(|run| run.params)?, median(|run| run.tokens / run.params)?);
    // Multiplied by a million they are a ladder's; below one they are nobody's, whatever they were trained on.
    if params < MOST_MILLIONS && ratio >= UNITS[0] * TOKENS_PER_PARAM || params < 1.0 {
        return Some(DataDoubt::Scaled { params, ratio: Some(ratio) });
    }
    match (params < FEWEST_PARAMS, ratio < TOKENS_PER_PARAM) {
        (true, _) => Some(DataDoubt::Scaled { params, ratio: None }),
        (false, true) => Some(DataDoubt::Swapped { ratio }),
        (false, false) => None,
    }
}

fn mixed_evaluation(runs: &[&Observation]) -> Option<DataDoubt> {
    let sets = different(runs.iter().filter_map(|o| o.eval_set_digest.as_deref()));
    let tokenizers = different(runs.iter().filter_map(|o| o.training.tokenizer_digest.as_deref()));
    (sets > 1 || tokenizers > 1).then_some(DataDoubt::MixedEvaluation { sets, tokenizers })
}

/// Runs that tell the same numbers as another in every column: more likely one run written twice than two that ended at one
/// loss. Losses of three digits or fewer repeat by themselves.
fn copies(runs: &[&Observation]) -> Option<DataDoubt> {
    let numbers = |o: &Observation| [o.params, o.tokens, o.flops, o.loss].map(f64::to_bits);
    let is_fine = |o: &&Observation| (o.loss - (o.loss * ROUND).round() / ROUND).abs() > 1e-9;
    let mut sorted: Vec<&Observation> = runs.iter().copied().filter(is_fine).collect();
    sorted.sort_by_key(|o| numbers(o));
    let alike = sorted.chunk_by(|a, b| numbers(a) == numbers(b)).filter(|alike| alike.len() > 1);
    let copies: Vec<String> = alike.flat_map(copies_among).collect();
    (!copies.is_empty()).then_some(DataDoubt::Copies { copies, runs: runs.len() })
}

/// Of runs with the same N, D, C and loss those that agree in every other column with one named before them.
fn copies_among(alike: &[&Observation]) -> Vec<String> {
    // Columns are compared as they are printed: an absent number is as absent as another.
    let columns = |o: &Observation| format!("{:?} {:?} {:?}", o.training, o.seed, o.unique_tokens);
    let mut told: Vec<(String, &Observation)> = alike.iter().map(|o| (columns(o), *o)).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let of = |one: &[(String, &Observation)]| {
        let first = &one[0].1.name;
        one[1..].iter().map(|(_, copy)| format!("`{}` as `{first}`", copy.name)).collect::<Vec<_>>()
    };
    told.chunk_by(|a, b| a.0 == b.0).flat_map(of).collect()
}

fn different<'a>(digests: impl Iterator<Item = &'a str>) -> usize {
    let mut all: Vec<&str> = digests.collect();
    all.sort_unstable();
    all.dedup();
    all.len()
}

/// Runs that no law saw, by reason; a target that is held out is meant to be.
pub(super) fn left_out(exclusions: &[Exclusion], runs: usize) -> Option<DataDoubt> {
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    for one in exclusions.iter().filter(|one| one.reason != ExclusionReason::HeldOut) {
        *reasons.entry(one.reason.label()).or_default() += 1;
    }
    let diverged = exclusions.iter().filter(|one| one.reason == ExclusionReason::Diverged).count();
    (!reasons.is_empty()).then(|| DataDoubt::LeftOut { reasons: reasons.into_iter().collect(), diverged, runs })
}

impl Voiced for DataDoubt {
    fn code(&self) -> &'static str {
        match self {
            Self::MixedEvaluation { .. } => "mixed_evaluation",
            Self::Copies { .. } => "copied_runs",
            Self::LeftOut { .. } => "runs_left_out",
            Self::ComputeAlone { .. } => "compute_alone",
            Self::Swapped { .. } => "tokens_below_params",
            Self::Scaled { .. } => "params_unit",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::LeftOut { diverged, runs, .. } if (*diverged as f64) <= MANY_DIVERGED * (diverged + runs) as f64 => {
                Severity::Note
            }
            Self::ComputeAlone { apart: None, .. } => Severity::Note,
            Self::Swapped { ratio } if *ratio < NO_LADDER => Severity::Error,
            Self::Scaled { ratio: Some(_), .. } => Severity::Error,
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::MixedEvaluation { tokenizers: 0 | 1, .. } => {
                "evaluate every run on one set of tokens, or fit the sets apart"
            }
            Self::MixedEvaluation { .. } => "compare in bits per byte, or fit the tokenisers apart",
            Self::Copies { .. } => "keep one row of each, or tell seeds apart by their losses in full",
            Self::ComputeAlone { apart: Some(_), .. } => {
                "name the column of sizes or of data by `--map params=COLUMN` or `--map tokens=COLUMN`, or keep the best run of each budget by `--where`"
            }
            Self::ComputeAlone { .. } => {
                "none is needed where the runs are of one recipe; a column `params` or `tokens` would tell the best split as well"
            }
            Self::Swapped { .. } => "look whether `params` and `tokens` changed places, and give both as plain counts",
            Self::Scaled { ratio: Some(_), .. } => {
                "give `params` as plain counts, 7e9 and not 7 or 7000, and compute that was worked out from them anew; `--map params=COLUMN` names another column"
            }
            Self::Scaled { .. } => "give parameters, tokens and FLOPs as plain counts: 7e9, not 7",
            Self::LeftOut { diverged: 0, .. } => "look at the list of runs left out",
            Self::LeftOut { .. } => {
                "look at the list of runs left out; where many diverged, lower the rate and train them again"
            }
        }
    }
}

impl fmt::Display for DataDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MixedEvaluation { sets, tokenizers } => {
                let sets = (*sets > 1).then(|| format!("{sets} evaluation sets"));
                let tokenizers = (*tokenizers > 1).then(|| format!("{tokenizers} tokenisers"));
                let both: Vec<String> = [sets, tokenizers].into_iter().flatten().collect();
                write!(
                    f,
                    "the losses were measured on {}: they are not of one kind, and the difference enters the law",
                    both.join(" under ")
                )
            }
            Self::Copies { copies, runs } => write!(
                f,
                "{} of {runs} runs tell every number of another ({}): a run written twice counts double, and intervals come out too narrow",
                copies.len(),
                named(copies)
            ),
            Self::ComputeAlone { runs, apart } => {
                write!(
                    f,
                    "the table tells compute alone: its {runs} runs are taken as one path, all of one recipe and each at the best split of its own compute; nothing is said of size and data"
                )?;
                let Some(Apart { names: [low, high], by }) = apart else { return Ok(()) };
                write!(
                    f,
                    "; {low} and {high} are of one compute and lie {:.1}% apart, more than seeds do, so that not all are",
                    100.0 * by
                )
            }
            Self::Swapped { ratio } => write!(
                f,
                "half of the runs saw {ratio:.3e} tokens per parameter or fewer, which nobody trains: the optimum and any law of size and data mean nothing if the columns are not what they are called"
            ),
            Self::Scaled { params, ratio: Some(ratio) } => write!(
                f,
                "half of the runs have {} or less in `params`, and {} tokens for each: a size in {} is taken for a count, and FLOPs, the optimum and every law of size come out wrong",
                to_three_digits(*params),
                to_three_digits(*ratio),
                if *ratio < UNITS[1] * TOKENS_PER_PARAM && *params >= 1.0 { "millions" } else { "billions" }
            ),
            Self::Scaled { params, ratio: None } => write!(
                f,
                "half of the runs have {params} parameters or fewer, too few for a model: in another unit than the tokens they give wrong FLOPs and a wrong optimum"
            ),
            Self::LeftOut { reasons, diverged, runs } => {
                let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
                write!(f, "beside {runs} runs fitted others were left out ({})", reasons.join(", "))?;
                if *diverged > 0 { write!(f, ": runs that diverge are rarely those of average luck") } else { Ok(()) }
            }
        }
    }
}
