//! `sweep.toml` as typed: keys and types are checked, nothing else.

use forescale_core::corpus::CorpusSpec;
use forescale_core::count::{CountingRule, FlopsRule, Mlp};
use forescale_core::run::{Family, Parametrization, ScheduleKind, TaskEvaluation};
use serde::Deserialize;
use serde::de::{Deserializer, SeqAccess, Visitor};

use super::source::Source;
use super::{SWEEP_SCHEMA, SpecError};
use crate::store::check_version;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSpec {
    #[serde(rename = "schema")]
    _schema: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: String,
    pub(super) corpus: CorpusSpec,
    #[serde(default)]
    pub(super) model: WrittenModel,
    #[serde(default)]
    pub(super) training: WrittenTraining,
    #[serde(default)]
    pub(super) evaluation: WrittenEvaluation,
    pub(super) ladder: WrittenLadder,
    #[serde(default)]
    pub(super) off_path: Vec<WrittenOffPath>,
    #[serde(default)]
    pub(super) trunk: Vec<WrittenTrunk>,
    pub(super) target: Option<WrittenTarget>,
    #[serde(default)]
    pub(super) forecast: WrittenForecast,
    #[serde(default)]
    pub(super) hardware: WrittenHardware,
    #[serde(default)]
    pub(super) slurm: WrittenSlurm,
}

/// `[slurm]`: what jobs of this sweep ask of a cluster; nothing here is part of a run's identity.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenSlurm {
    pub(super) args: String,
}

/// `[hardware]`: how runs may be fitted onto what there is; nothing here is part of a run's identity.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenHardware {
    pub(super) accumulate: bool,
}

impl Default for WrittenHardware {
    /// In parts, a batch has the same gradient but for rounding.
    fn default() -> Self {
        Self { accumulate: true }
    }
}

/// `[model]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenModel {
    pub(super) family: Family,
    pub(super) layers: u32,
    pub(super) head_size: u32,
    pub(super) context: u32,
    pub(super) input_order: u32,
    pub(super) mlp: Mlp,
    pub(super) mlp_ratio: Option<f64>,
}

impl Default for WrittenModel {
    fn default() -> Self {
        Self {
            family: Family::default(),
            layers: 2,
            head_size: 8,
            context: 128,
            input_order: 1,
            mlp: Mlp::default(),
            mlp_ratio: None,
        }
    }
}

/// `[training]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenTraining {
    pub(super) learning_rate: f64,
    pub(super) embedding_learning_rate: f64,
    pub(super) base_width: u32,
    pub(super) base_layers: Option<u32>,
    pub(super) horizon_exponent: f64,
    pub(super) base_tokens: Option<f64>,
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) beta2_base_batch_tokens: Option<f64>,
    pub(super) epsilon: f64,
    pub(super) weight_decay: f64,
    pub(super) clip_norm: f64,
    pub(super) warmup: f64,
    pub(super) schedule: ScheduleKind,
    pub(super) decay: Option<f64>,
    pub(super) parametrization: Parametrization,
    pub(super) batch_coefficient: f64,
    pub(super) batch_exponent: f64,
    pub(super) allow_repeats: bool,
}

impl Default for WrittenTraining {
    /// The recipe measured on Rust code: rate 0.014 at width 32, 10% warmup, tokens per step 0.36 √D.
    fn default() -> Self {
        Self {
            learning_rate: 0.014,
            embedding_learning_rate: 0.028,
            base_width: 32,
            base_layers: None,
            horizon_exponent: 0.0,
            base_tokens: None,
            beta1: 0.9,
            beta2: 0.99,
            beta2_base_batch_tokens: None,
            epsilon: 1e-10,
            weight_decay: 0.0,
            clip_norm: 1.0,
            warmup: 0.1,
            schedule: ScheduleKind::default(),
            decay: None,
            parametrization: Parametrization::default(),
            batch_coefficient: 0.36,
            batch_exponent: 0.5,
            allow_repeats: false,
        }
    }
}

/// `[evaluation]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenEvaluation {
    pub(super) tokens: u64,
    pub(super) curve_tokens: Option<u64>,
    pub(super) curve_points: u32,
    /// Most answers drawn for one problem of the corpus.
    pub(super) task_samples: Option<u32>,
    /// Right answers that are waited for.
    pub(super) task_successes: Option<u32>,
}

/// Tokens of an evaluation on the way where the spec says nothing.
const CURVE_TOKENS: u64 = 2048;

impl Default for WrittenEvaluation {
    /// Under 3% of the training of a model of width 24 at 40 tokens per parameter; `probe collapse` needs 4 points.
    fn default() -> Self {
        Self { tokens: 40_960, curve_tokens: None, curve_points: 5, task_samples: None, task_successes: None }
    }
}

/// Answers drawn at most for one problem where the spec names only the other number: with four waited for, a p of 0.016
/// is still told without bias.
const TASK_SAMPLES: u32 = 256;
/// Right answers waited for where the spec names only the other number: a standard deviation of log p of at most 0.53.
const TASK_SUCCESSES: u32 = 4;

impl WrittenEvaluation {
    /// How the problems of the corpus are judged; not at all where the spec says nothing of it.
    pub(super) fn tasks(&self) -> Option<TaskEvaluation> {
        if self.task_samples.is_none() && self.task_successes.is_none() {
            return None;
        }
        let budget = self.task_samples.unwrap_or(TASK_SAMPLES);
        Some(TaskEvaluation { successes: self.task_successes.unwrap_or(TASK_SUCCESSES.min(budget)), budget })
    }

    /// Tokens of an evaluation on the way; what is usual is at least a window and at most `tokens`.
    pub(super) fn curve_tokens(&self, context: u32) -> u64 {
        self.curve_tokens.unwrap_or_else(|| CURVE_TOKENS.max(u64::from(context)).min(self.tokens))
    }
}

/// `[ladder]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenLadder {
    pub(super) widths: Vec<u32>,
    pub(super) tokens_per_param: Numbers,
    #[serde(default = "one_seed")]
    pub(super) seeds: Numbers,
}

/// `[[off_path]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenOffPath {
    pub(super) width: u32,
    pub(super) tokens_per_param: Option<Numbers>,
    pub(super) at_compute_of: Option<u32>,
    #[serde(default = "one_seed")]
    pub(super) seeds: Numbers,
}

/// `[[trunk]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTrunk {
    pub(super) width: u32,
    pub(super) tokens_per_param: Vec<f64>,
    #[serde(default)]
    pub(super) seed: u64,
}

/// `[target]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenTarget {
    pub(super) width: u32,
    pub(super) tokens_per_param: f64,
    #[serde(default)]
    pub(super) seed: u64,
}

/// `[forecast]`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WrittenForecast {
    pub(super) level: f64,
    pub(super) params_rule: CountingRule,
    pub(super) flops_rule: FlopsRule,
    pub(super) laws: Vec<String>,
}

impl Default for WrittenForecast {
    fn default() -> Self {
        let laws = ["power_law", "chinchilla"].map(str::to_owned).to_vec();
        Self { level: 0.9, params_rule: CountingRule::default(), flops_rule: FlopsRule::default(), laws }
    }
}

/// One number for all, or one for each.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Numbers {
    One(f64),
    Each(Vec<f64>),
}

fn one_seed() -> Numbers {
    Numbers::One(1.0)
}

impl Numbers {
    /// One number for each of `count`, or the count that was written.
    pub(super) fn spread(&self, count: usize) -> Result<Vec<f64>, usize> {
        match self {
            Self::One(number) => Ok(vec![*number; count]),
            Self::Each(numbers) if numbers.len() == count => Ok(numbers.clone()),
            Self::Each(numbers) => Err(numbers.len()),
        }
    }

    /// The numbers as written.
    pub(super) fn all(&self) -> Vec<f64> {
        match self {
            Self::One(number) => vec![*number],
            Self::Each(numbers) => numbers.clone(),
        }
    }
}

impl<'de> Deserialize<'de> for Numbers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumbersVisitor)
    }
}

struct NumbersVisitor;

impl<'de> Visitor<'de> for NumbersVisitor {
    type Value = Numbers;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a number or a list of numbers")
    }

    fn visit_f64<E>(self, number: f64) -> Result<Numbers, E> {
        Ok(Numbers::One(number))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Numbers, E> {
        Ok(Numbers::One(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Numbers, E> {
        Ok(Numbers::One(number as f64))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Numbers, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = seq.next_element::<f64>()? {
            numbers.push(number);
        }
        Ok(Numbers::Each(numbers))
    }
}

/// Parses the file; its version first, so that a spec from another version is called that.
pub(super) fn read(source: &Source<'_>) -> Result<WrittenSpec, SpecError> {
    let table: toml::Table = toml::from_str(source.text).map_err(|error| source.translate(&error))?;
    if let Some(found) = table.get("schema").and_then(toml::Value::as_str) {
        check_version(found, SWEEP_SCHEMA).map_err(|(problem, hint)| source.error("", "schema", problem, hint))?;
    }
    toml::from_str(source.text).map_err(|error| source.translate(&error))
}
