//! Doubts about the table itself: what it was measured on, and what was left out of it.

use core::fmt;
use std::collections::BTreeMap;

use forescale_core::observation::{Exclusion, ExclusionReason, Observation};
use forescale_core::outcome::Severity;

use super::Voiced;

/// Where more than this share of the runs diverged, those that are left are no fair sample. Chosen here.
const MANY_DIVERGED: f64 = 0.1;

/// A doubt about the table.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum DataDoubt {
    MixedEvaluation { sets: usize, tokenizers: usize },
    LeftOut { reasons: Vec<(&'static str, usize)>, diverged: usize, runs: usize },
}

/// Doubts that the columns of a group's runs give reason for.
pub(super) fn doubts(runs: &[&Observation]) -> Vec<DataDoubt> {
    mixed_evaluation(runs).into_iter().collect()
}

fn mixed_evaluation(runs: &[&Observation]) -> Option<DataDoubt> {
    let sets = different(runs.iter().filter_map(|o| o.eval_set_digest.as_deref()));
    let tokenizers = different(runs.iter().filter_map(|o| o.training.tokenizer_digest.as_deref()));
    (sets > 1 || tokenizers > 1).then_some(DataDoubt::MixedEvaluation { sets, tokenizers })
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
            Self::LeftOut { .. } => "runs_left_out",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::LeftOut { diverged, runs, .. } if (*diverged as f64) <= MANY_DIVERGED * (diverged + runs) as f64 => {
                Severity::Note
            }
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::MixedEvaluation { tokenizers: 0 | 1, .. } => {
                "evaluate every run on one set of tokens, or fit the sets apart"
            }
            Self::MixedEvaluation { .. } => "compare in bits per byte, or fit the tokenisers apart",
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
            Self::LeftOut { reasons, diverged, runs } => {
                let reasons: Vec<String> = reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
                write!(f, "beside {runs} runs fitted others were left out ({})", reasons.join(", "))?;
                if *diverged > 0 { write!(f, ": runs that diverge are rarely those of average luck") } else { Ok(()) }
            }
        }
    }
}
