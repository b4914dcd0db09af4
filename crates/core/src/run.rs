//! What a run is, completely: everything that can change its numbers, and nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::count::{FlopsCounts, ModelShape, ParameterCounts};
use crate::digest::json_digest;

/// Raised by hand whenever training arithmetic changes, so that old and new results never share an identity.
pub const NUMERICS_VERSION: u32 = 2;

/// The model families that can be trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Pre-RMSNorm, RoPE, weighted QK-norm, no bias, untied embedding and head; SwiGLU, or ReLU² where the shape says.
    #[default]
    Qwen3,
}

/// How initial scales and learning rates depend on width and depth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Parametrization {
    /// Maximal update parametrisation for width and CompleteP for depth: rates tuned at `base_width` and `base_layers`
    /// hold at every width and depth.
    #[default]
    Mup,
    /// Standard parametrisation: the same rate for every matrix at every width and depth.
    Standard,
}

/// The learning-rate schedule, in shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Linear warmup, then linear to zero.
    #[default]
    Linear,
    /// Linear warmup, then half a cosine to zero.
    Cosine,
    /// Linear warmup, constant, then 1 − √ to zero over the last `decay_steps`.
    WarmupStableDecay,
}

/// The optimiser and its schedule; rates are those at `base_width` and `base_layers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OptimizerConfig {
    /// Peak rate of hidden matrices and readout at `base_width`, the correction for the horizon included.
    pub learning_rate: f64,
    /// Peak rate of embeddings and norm gains.
    pub embedding_learning_rate: f64,
    /// Width at which the rates were tuned.
    pub base_width: u32,
    /// Depth at which the rates were tuned.
    #[serde(default = "first_base_layers")]
    pub base_layers: u32,
    /// How rates and scales move with width.
    pub parametrization: Parametrization,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Decoupled weight decay, multiplied by the rate; hidden matrices only.
    pub weight_decay: f64,
    /// Largest global gradient norm.
    pub clip_norm: f64,
    /// Shape of the schedule.
    pub schedule: ScheduleKind,
    /// Steps of linear warmup.
    pub warmup_steps: u64,
    /// Steps of the cooldown of warmup-stable-decay; 0 for the other shapes.
    #[serde(default)]
    pub decay_steps: u64,
}

/// Depth of every model before records named the depth of tuning.
fn first_base_layers() -> u32 {
    2
}

/// What is measured, on what, and how often.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EvaluationConfig {
    /// Validation tokens predicted in the final evaluation, spread over the whole validation split.
    pub tokens: u64,
    /// Validation tokens predicted in each evaluation on the way, a part of the same set; 0 for all of it.
    #[serde(default)]
    pub curve_tokens: u64,
    /// Evaluations per run before the final one, at equal steps; 0 for the final one alone.
    pub curve_points: u32,
    /// How the held-out problems of the corpus are judged after the last step; without it they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<TaskEvaluation>,
}

/// How problems are judged whose answers have to be drawn from the model: until enough are right, or the budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskEvaluation {
    /// Right answers that are waited for, at least 1: the standard deviation of log p is at most √ψ′ of it.
    pub successes: u32,
    /// Most answers drawn for one problem.
    pub budget: u32,
}

/// One run, as trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Model family.
    pub family: Family,
    /// Model shape.
    pub shape: ModelShape,
    /// Digest of the corpus, from its manifest.
    pub corpus_digest: String,
    /// Sequences per step.
    pub sequences: u32,
    /// Optimiser steps; tokens = steps × sequences × context.
    pub steps: u64,
    /// Optimiser and schedule.
    pub optimizer: OptimizerConfig,
    /// Evaluation.
    pub evaluation: EvaluationConfig,
    /// Seed of initial weights and of the order of data.
    pub seed: u64,
    /// Whether a token may be seen twice.
    pub allow_repeats: bool,
    /// Whether the run is a cooldown branch of a trunk: its steps before the cooldown are those of every other branch
    /// of the same trunk, weight for weight, and may be taken over from one. Its curve begins with the cooldown.
    #[serde(default)]
    pub branch: bool,
}

/// Identity of a run: the digest of its config, its corpus and [`NUMERICS_VERSION`]; never of code, device or host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RunId(pub String);

impl core::fmt::Display for RunId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// On the compute-optimal path: a rung of the ladder.
    Path,
    /// Off the path, so that N and D can be told apart.
    OffPath,
    /// Held out: forecast first, trained afterwards.
    Target,
}

/// One run of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedRun {
    /// Identity.
    pub id: RunId,
    /// A name people can read, unique in the sweep: `d32-40x-s0`.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// How it is trained.
    pub config: RunConfig,
}

/// Form of `plan --json`.
pub const PLAN_SCHEMA: &str = "forescale.plan/1.0";

/// `plan --json`: the runs of a sweep before any is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanReport {
    /// [`PLAN_SCHEMA`].
    pub schema: String,
    /// Cheapest first, the target last.
    pub runs: Vec<PlanRow>,
    /// What is allowed and yet worth knowing before paying.
    pub notes: Vec<String>,
    /// The rules by which the runs' numbers follow from their training tokens.
    #[serde(default)]
    pub recipe: Vec<RecipeRow>,
}

/// One rule of the recipe, with where it comes from and why it may be wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecipeRow {
    /// What it decides.
    pub decides: String,
    /// How, in the keys of `sweep.toml`; D is the training tokens, B the tokens per step.
    pub formula: String,
    /// Where it comes from.
    pub source: String,
    /// Why it may be wrong.
    pub doubt: String,
}

/// One run of a plan, with what it will cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanRow {
    /// Identity; not known before the corpus is built.
    pub id: Option<RunId>,
    /// Readable name.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// Parameters by group.
    pub parameters: ParameterCounts,
    /// Training tokens D.
    pub tokens: u64,
    /// FLOPs under each rule.
    pub flops: FlopsCounts,
    /// The trunk that it is a branch of.
    #[serde(default)]
    pub trunk: Option<String>,
    /// Exact FLOPs of the steps that it takes over from a shorter branch of its trunk; `flops` counts them all the same.
    #[serde(default)]
    pub saved_flops: f64,
    /// Estimated time on one thread, without the steps taken over.
    pub estimated_seconds: f64,
    /// How it is trained.
    pub config: RunConfig,
}

impl RunConfig {
    /// Training tokens D.
    #[must_use]
    pub fn tokens(&self) -> u64 {
        self.steps * self.batch_tokens()
    }

    /// Tokens per step.
    #[must_use]
    pub fn batch_tokens(&self) -> u64 {
        u64::from(self.sequences) * u64::from(self.shape.context)
    }

    /// Parameters by group.
    #[must_use]
    pub fn parameters(&self) -> ParameterCounts {
        ParameterCounts::of(&self.shape)
    }

    /// FLOPs under each rule.
    #[must_use]
    pub fn flops(&self) -> FlopsCounts {
        FlopsCounts::of(&self.shape, self.tokens())
    }

    /// The run's identity: the first 16 hexadecimal digits of the digest.
    #[must_use]
    pub fn id(&self) -> RunId {
        RunId(self.digest()[..16].to_owned())
    }

    /// First step of the cooldown: the steps before it are the trunk's.
    #[must_use]
    pub fn branch_step(&self) -> u64 {
        self.steps.saturating_sub(self.optimizer.decay_steps)
    }

    /// Identity of the trunk: the digest of all that decides the steps before the cooldown; `None` unless the run is a
    /// branch.
    #[must_use]
    pub fn trunk_id(&self) -> Option<String> {
        if !self.branch {
            return None;
        }
        let mut trunk = self.clone();
        trunk.steps = 0;
        trunk.optimizer.decay_steps = 0;
        trunk.evaluation = EvaluationConfig { tokens: 0, curve_tokens: 0, curve_points: 0, tasks: None };
        Some(json_digest(&("trunk", NUMERICS_VERSION, trunk))[..16].to_owned())
    }

    /// What shares a trajectory: the trunk where there is one, else the run itself.
    #[must_use]
    pub fn cluster(&self) -> String {
        self.trunk_id().unwrap_or_else(|| self.id().0)
    }

    /// SHA-256 of config and numerics version.
    #[must_use]
    pub fn digest(&self) -> String {
        json_digest(&(NUMERICS_VERSION, self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The config of the first run of `reports/smoke/baseline`, as it was sealed before problems could be judged.
    const SEALED: &str = r#"{"family":"qwen3","shape":{"vocabulary":64,"width":8,"layers":2,"heads":2,"head_size":4,
        "mlp":"swiglu","mlp_hidden":24,"context":32,"input_order":1},
        "corpus_digest":"37ceab75ce47e5112090926ac836a2b4a8e831f61eb545f2afcced518264c0f5","sequences":9,"steps":310,
        "optimizer":{"learning_rate":0.014,"embedding_learning_rate":0.028,"base_width":32,"base_layers":2,
        "parametrization":"mup","beta1":0.9,"beta2":0.99,"epsilon":1e-10,"weight_decay":0.0,"clip_norm":1.0,
        "schedule":"linear","warmup_steps":31,"decay_steps":0},
        "evaluation":{"tokens":32768,"curve_tokens":4096,"curve_points":4},
        "seed":0,"allow_repeats":false,"branch":false}"#;

    fn sealed() -> RunConfig {
        serde_json::from_str(SEALED).expect("a config")
    }

    #[test]
    fn a_config_that_asks_for_no_problems_keeps_the_identity_it_was_sealed_under() {
        assert_eq!(sealed().evaluation.tasks, None);
        assert_eq!(sealed().digest(), "babb7d4aabfc85f508cdfba8387712d5ee50f5bcba9ff893579be53431549618");
        assert_eq!(sealed().id().0, "babb7d4aabfc85f5");
    }

    #[test]
    fn how_problems_are_judged_is_part_of_a_run_and_not_of_its_trunk() {
        let judged = |successes, budget| {
            let mut config = RunConfig { branch: true, ..sealed() };
            config.evaluation.tasks = Some(TaskEvaluation { successes, budget });
            config
        };
        assert_ne!(judged(4, 256).id(), judged(4, 128).id());
        assert_ne!(judged(4, 256).id(), RunConfig { branch: true, ..sealed() }.id());
        assert_eq!(judged(4, 256).trunk_id(), RunConfig { branch: true, ..sealed() }.trunk_id());
    }
}
