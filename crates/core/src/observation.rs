//! What a fit sees of a run, and what it leaves out and why.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{CountingRule, FlopsRule};
use crate::math;
use crate::quantity::LossUnit;
use crate::record::RunStatus;
use crate::run::Role;

/// How a run was trained and counted, as far as it is known: what diagnoses look at. No fit reads it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Training {
    /// Peak learning rate.
    pub learning_rate: Option<f64>,
    /// Whether that rate is a base rate which the model's width scales by rule (muP), so that one number is many rates.
    pub rate_follows_width: Option<bool>,
    /// Tokens per optimiser step.
    pub batch_tokens: Option<f64>,
    /// Optimiser steps.
    pub steps: Option<f64>,
    /// Steps over which the rate rose from zero.
    pub warmup_steps: Option<f64>,
    /// Name of the learning-rate schedule.
    pub schedule: Option<String>,
    /// Whether the point is the end of its schedule, its rate decayed.
    pub is_final: Option<bool>,
    /// Whether the loss spiked on the way.
    pub spiked: Option<bool>,
    /// Digest of the tokeniser the loss is measured under.
    pub tokenizer_digest: Option<String>,
    /// Distinct tokens the run had, however many it saw.
    pub unique_tokens: Option<f64>,
    /// Tokens of the evaluation set.
    pub eval_tokens: Option<f64>,
    /// Parameters of the embedding.
    pub embedding_params: Option<f64>,
    /// Parameters of the head (unembedding).
    pub head_params: Option<f64>,
    /// Parameters, all counted.
    pub total_params: Option<f64>,
    /// FLOPs by 6ND over all parameters.
    pub flops_6nd: Option<f64>,
    /// FLOPs by Kaplan's count: 6 x non-embedding parameters x tokens.
    pub flops_kaplan: Option<f64>,
    /// FLOPs by the exact count.
    pub flops_exact: Option<f64>,
}

impl Training {
    /// The head's share of all parameters, where both are told and the one is a part of the other.
    #[must_use]
    pub fn head_share(&self) -> Option<f64> {
        let share = self.head_params? / self.total_params?;
        (0.0..=1.0).contains(&share).then_some(share)
    }
}

/// What is known of how a run's compute was split between size and data: the one place that says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// N and D are told, or one of them, from which the other follows.
    #[default]
    Told,
    /// Compute alone is told. `params` and `tokens` then hold √C each, a place and no count: runs keep the order of their
    /// compute along one path, and those of one compute share a place. Whoever prints a size, or fits or asks by one, looks
    /// here first.
    Untold,
}

impl Split {
    /// What stands for size and for data of a run that tells its compute alone: √C.
    #[must_use]
    pub fn place(flops: f64) -> f64 {
        flops.sqrt()
    }

    fn is_told(&self) -> bool {
        *self == Self::Told
    }
}

/// One run as a point: size, data, compute, loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The run.
    pub run_id: String,
    /// A readable name; the id again where there is none.
    pub name: String,
    /// Groups are fitted apart.
    pub group: Option<String>,
    /// Runs of one cluster share a trajectory or a document and are resampled together.
    pub cluster: String,
    /// What the run was for, where it is known.
    pub role: Option<Role>,
    /// N under the selection's counting rule, where the split is told.
    pub params: f64,
    /// D, likewise.
    pub tokens: f64,
    /// Whether `params` and `tokens` are the run's own. Not written where they are, so that digests of tables that tell them
    /// stay as they were.
    #[serde(default, skip_serializing_if = "Split::is_told")]
    pub split: Split,
    /// C under the selection's FLOPs rule.
    pub flops: f64,
    /// Final loss (or another metric), above zero.
    pub loss: f64,
    /// Standard error of the loss from the evaluation set.
    pub loss_se: Option<f64>,
    /// Standard deviation of the loss over seeds at this run's size and data, estimated from the sweep's replicates.
    #[serde(default)]
    pub seed_sd: Option<f64>,
    /// Degrees of freedom of `seed_sd` at this run's own rung: 0 where it is a rule's and no replicate stands behind it;
    /// none where nothing is told. Not written where it is none, so that digests of tables without it stay as they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_degrees: Option<f64>,
    /// Weight in the objective, 1 by default.
    pub weight: f64,
    /// Seed, where it is known.
    pub seed: Option<u64>,
    /// Digest of the evaluation set, where it is known.
    pub eval_set_digest: Option<String>,
    /// Distinct tokens U, where fewer than D: the run saw its data D/U times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_tokens: Option<f64>,
    /// How it was trained, for diagnoses. Never written and no part of a digest: it changes no number.
    #[serde(skip)]
    pub training: Training,
}

impl Observation {
    /// A run of which nothing is known but its size, data, compute and loss: it bears its id as its name, is a cluster of its
    /// own, and weighs 1. Whoever knows more says it over this: `Observation { role, ..Observation::bare(…) }`.
    #[must_use]
    pub fn bare(run_id: impl Into<String>, params: f64, tokens: f64, flops: f64, loss: f64) -> Self {
        let run_id = run_id.into();
        Self {
            name: run_id.clone(),
            cluster: run_id.clone(),
            run_id,
            group: None,
            role: None,
            params,
            tokens,
            split: Split::Told,
            flops,
            loss,
            loss_se: None,
            seed_sd: None,
            seed_degrees: None,
            weight: 1.0,
            seed: None,
            eval_set_digest: None,
            unique_tokens: None,
            training: Training::default(),
        }
    }

    /// The same of a run that tells its compute and neither its size nor its data.
    #[must_use]
    pub fn of_compute(run_id: impl Into<String>, flops: f64, loss: f64) -> Self {
        let place = Split::place(flops);
        Self { split: Split::Untold, ..Self::bare(run_id, place, place, flops, loss) }
    }

    /// Whether the run tells its size and data.
    #[must_use]
    pub fn tells_split(&self) -> bool {
        self.split.is_told()
    }

    /// N and D, where they are told.
    #[must_use]
    pub fn size_and_data(&self) -> Option<(f64, f64)> {
        self.tells_split().then_some((self.params, self.tokens))
    }

    /// C/(N·D): 6 under `6nd`, and what a FLOPs count of its own makes of it under another rule.
    #[must_use]
    pub fn flops_per_product(&self) -> f64 {
        self.flops / (self.params * self.tokens)
    }

    /// Whether the run saw some of its data more than once.
    #[must_use]
    pub fn repeats_data(&self) -> bool {
        self.unique_tokens.is_some_and(|unique| unique < self.tokens)
    }
}

/// C/(N·D) of the runs fitted, by whose median a budget is split into size and data; 6 in all under `6nd`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FlopsPerProduct {
    /// The median of the runs.
    pub median: f64,
    /// The least of the runs.
    pub lowest: f64,
    /// The largest of the runs.
    pub highest: f64,
}

impl FlopsPerProduct {
    /// That of some runs; `None` of none, or where one does not tell its size and data.
    #[must_use]
    pub fn of(runs: &[Observation]) -> Option<Self> {
        if !runs.iter().all(Observation::tells_split) {
            return None;
        }
        let products: Vec<f64> = runs.iter().map(Observation::flops_per_product).collect();
        let [lowest, highest] = math::range(products.iter().copied())?;
        Some(Self { median: math::median(&products)?, lowest, highest })
    }

    /// Whether it is 6 in every run but for rounding, as `6nd` has it.
    #[must_use]
    pub fn is_six(&self) -> bool {
        [self.lowest, self.highest].into_iter().all(|end| (end / 6.0 - 1.0).abs() < 1e-3)
    }
}

/// Which runs become observations, and under which conventions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Metric fitted.
    pub metric: String,
    /// Unit of the metric.
    pub unit: LossUnit,
    /// What N counts.
    pub params_rule: CountingRule,
    /// How C is counted.
    pub flops_rule: FlopsRule,
    /// All groups fitted as one.
    pub pool: bool,
}

impl Default for Selection {
    fn default() -> Self {
        Self {
            metric: "loss".to_owned(),
            unit: LossUnit::default(),
            params_rule: CountingRule::default(),
            flops_rule: FlopsRule::default(),
            pool: false,
        }
    }
}

/// Why a run is not in a fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExclusionReason {
    /// It diverged.
    Diverged,
    /// It was stopped before its last step.
    Stopped,
    /// It is a checkpoint on the way, not the end of its schedule.
    NotFinal,
    /// It saw tokens more than once.
    RepeatedTokens,
    /// It is the held-out target.
    HeldOut,
    /// Its loss is missing.
    MissingMetric,
    /// Left out by `--where`.
    Filtered,
    /// It is off the compute-optimal path, which this law needs.
    OffPath,
    /// The sizes tried at its budget have no lowest loss between them, so that no path law can use it.
    NoVertex,
    /// Its size is so far from the best of its budget that no parabola holds there: the vertex is made from the others.
    FarFromVertex,
    /// Its compute is above the cut of a backtest.
    BeyondCut,
    /// It differs from others in tuning alone and is folded into one observation with them.
    Reduced,
}

impl ExclusionReason {
    /// The reason as words in a table.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Diverged => "diverged",
            Self::Stopped => "stopped early",
            Self::NotFinal => "not the end of its schedule",
            Self::RepeatedTokens => "repeated tokens",
            Self::HeldOut => "held out",
            Self::MissingMetric => "metric missing",
            Self::Filtered => "left out by a filter",
            Self::OffPath => "off the compute-optimal path",
            Self::NoVertex => "its budget has no interior vertex",
            Self::FarFromVertex => "too far from its budget's vertex",
            Self::BeyondCut => "beyond the backtest's cut",
            Self::Reduced => "folded into the best tuned of its size and data",
        }
    }

    /// The reason that goes with a status, if the status excludes.
    #[must_use]
    pub fn of_status(status: RunStatus) -> Option<Self> {
        match status {
            RunStatus::Finished => None,
            RunStatus::Diverged => Some(Self::Diverged),
            RunStatus::Stopped => Some(Self::Stopped),
        }
    }
}

/// A run that is not in a fit, with the reason; nothing is dropped in silence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Exclusion {
    /// The run.
    pub run_id: String,
    /// Why.
    pub reason: ExclusionReason,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An observation as it was written before `seed_degrees` was told.
    const OLD: &str = r#"{"run_id":"a","name":"a","group":null,"cluster":"a","role":null,"params":1.0,"tokens":2.0,
        "flops":12.0,"loss":3.0,"loss_se":null,"seed_sd":0.1,"weight":1.0,"seed":0,"eval_set_digest":null}"#;

    #[test]
    fn an_observation_without_seed_degrees_reads_and_is_written_as_it_was() {
        let read: Observation = serde_json::from_str(OLD).expect("an old observation");
        assert_eq!(read.seed_degrees, None);
        let written = serde_json::to_value(&read).expect("a JSON form");
        assert_eq!(written, serde_json::from_str::<serde_json::Value>(OLD).expect("a JSON value"));
    }

    #[test]
    fn a_bare_run_is_its_own_name_and_cluster_and_is_written_as_one_of_which_nothing_else_is_known() {
        let bare = Observation::bare("a", 1.0, 2.0, 12.0, 3.0);
        let known: Observation = serde_json::from_str(OLD).expect("an old observation");
        assert_eq!(bare, Observation { seed_sd: None, seed: None, ..known });
        assert!(!bare.repeats_data() && bare.training == Training::default());
    }

    #[test]
    fn a_run_of_compute_alone_tells_no_size_and_says_so_when_it_is_written() {
        let run = Observation::of_compute("a", 1e20, 3.0);
        assert_eq!((run.size_and_data(), run.flops), (None, 1e20));
        assert_eq!(FlopsPerProduct::of(std::slice::from_ref(&run)), None);
        let text = serde_json::to_string(&run).expect("a JSON form");
        assert!(text.contains(r#""split":"untold""#), "{text}");
        assert_eq!(serde_json::from_str::<Observation>(&text).expect("reads"), run);
        assert_eq!(Observation::bare("a", 1.0, 2.0, 12.0, 3.0).size_and_data(), Some((1.0, 2.0)));
    }

    #[test]
    fn seed_degrees_come_back_as_they_were_written() {
        let old: Observation = serde_json::from_str(OLD).expect("an old observation");
        let told = Observation { seed_degrees: Some(0.0), ..old };
        let text = serde_json::to_string(&told).expect("a JSON form");
        assert_eq!(serde_json::from_str::<Observation>(&text).expect("reads"), told);
    }
}
