//! `[model]` and `[training]`: the numbers of the recipe, before it is worked out for a run.

use forescale_core::count::Mlp;
use forescale_core::run::ScheduleKind;

use super::super::written::{WrittenModel, WrittenTraining};
use super::super::{HorizonCorrection, ModelSpec, SpecError, TrainingSpec};
use super::{Checker, Key};

/// Share of the steps that a warmup-stable-decay run cools down over, where the spec leaves it out: the recipe's table
/// has its source.
const USUAL_DECAY: f64 = 0.2;

fn training_key(name: &str) -> Key<'_> {
    Key { section: "training", name }
}

impl Checker<'_> {
    pub(super) fn model(&self, model: &WrittenModel) -> Result<ModelSpec, SpecError> {
        let key = |name| Key { section: "model", name };
        if model.head_size < 2 || model.head_size % 2 == 1 {
            let problem =
                format!("is {}; an even number from 2 is needed, because positions rotate pairs", model.head_size);
            return self.refuse(key("head_size"), &problem, "8 or 16 suits widths under 200");
        }
        if model.context < 2 {
            return self.refuse(key("context"), &format!("is {}; at least 2 is needed", model.context), "128 is usual");
        }
        Ok(ModelSpec {
            family: model.family,
            layers: self.at_least_one(key("layers"), model.layers)?,
            head_size: model.head_size,
            context: model.context,
            input_order: self.at_least_one(key("input_order"), model.input_order)?,
            mlp: model.mlp,
            mlp_ratio: self.positive(key("mlp_ratio"), model.mlp_ratio.unwrap_or_else(|| usual_ratio(model.mlp)))?,
        })
    }

    pub(super) fn training(&self, written: &WrittenTraining, layers: u32) -> Result<TrainingSpec, SpecError> {
        let key = training_key;
        if !(written.weight_decay.is_finite() && written.weight_decay >= 0.0) {
            let problem = format!("is {}; 0 or more is needed", written.weight_decay);
            return self.refuse(key("weight_decay"), &problem, "0.0 turns it off");
        }
        let beta2_base = written.beta2_base_batch_tokens;
        Ok(TrainingSpec {
            learning_rate: self.positive(key("learning_rate"), written.learning_rate)?,
            embedding_learning_rate: self.positive(key("embedding_learning_rate"), written.embedding_learning_rate)?,
            base_width: self.at_least_one(key("base_width"), written.base_width)?,
            base_layers: self.at_least_one(key("base_layers"), written.base_layers.unwrap_or(layers))?,
            horizon: self.horizon(written)?,
            beta1: self.share(key("beta1"), written.beta1)?,
            beta2: self.share(key("beta2"), written.beta2)?,
            beta2_base_batch_tokens: beta2_base
                .map(|tokens| self.positive(key("beta2_base_batch_tokens"), tokens))
                .transpose()?,
            epsilon: self.positive(key("epsilon"), written.epsilon)?,
            weight_decay: written.weight_decay,
            clip_norm: self.positive(key("clip_norm"), written.clip_norm)?,
            warmup: self.share(key("warmup"), written.warmup)?,
            schedule: written.schedule,
            decay: self.decay(written)?,
            parametrization: written.parametrization,
            batch_coefficient: self.positive(key("batch_coefficient"), written.batch_coefficient)?,
            batch_exponent: self.batch_exponent(written.batch_exponent)?,
            allow_repeats: written.allow_repeats,
        })
    }

    /// How rates follow the training tokens. A negative exponent is allowed: where the batch grows with D, so may the
    /// best rate.
    fn horizon(&self, written: &WrittenTraining) -> Result<Option<HorizonCorrection>, SpecError> {
        let (exponent, key) = (written.horizon_exponent, training_key("horizon_exponent"));
        if !(exponent > -1.0 && exponent < 1.0) {
            let problem = format!("is {exponent}; a number above -1 and below 1 is needed");
            return self.refuse(key, &problem, "0.3 is usual where the batch is constant, and 0.0 turns it off");
        }
        let base_tokens =
            written.base_tokens.map(|tokens| self.positive(training_key("base_tokens"), tokens)).transpose()?;
        match base_tokens {
            _ if exponent == 0.0 => Ok(None),
            Some(base_tokens) => Ok(Some(HorizonCorrection { exponent, base_tokens })),
            None => {
                let problem = format!("is {exponent}, which needs `base_tokens`, and there is none");
                self.refuse(key, &problem, "`base_tokens = 1000000` says that the rates were tuned on 1M tokens")
            }
        }
    }

    fn decay(&self, written: &WrittenTraining) -> Result<f64, SpecError> {
        let key = training_key("decay");
        match (written.schedule, written.decay) {
            (ScheduleKind::WarmupStableDecay, decay) => {
                let decay = self.share(key, decay.unwrap_or(USUAL_DECAY))?;
                if written.warmup + decay <= 1.0 {
                    return Ok(decay);
                }
                let problem =
                    format!("is {decay} beside a `warmup` of {}; together at most 1 is needed", written.warmup);
                self.refuse(key, &problem, "warmup = 0.1 and decay = 0.2 are usual")
            }
            (_, None) => Ok(0.0),
            (_, Some(decay)) => {
                let problem = format!("is {decay}, and only `warmup_stable_decay` has a cooldown of its own");
                self.refuse(key, &problem, "leave `decay` out, or write schedule = \"warmup_stable_decay\"")
            }
        }
    }

    fn batch_exponent(&self, exponent: f64) -> Result<f64, SpecError> {
        if (0.0..1.0).contains(&exponent) {
            return Ok(exponent);
        }
        let problem = format!("is {exponent}; 0 or more and below 1 is needed");
        self.refuse(training_key("batch_exponent"), &problem, "0.5 is usual, and 0.0 makes every batch the same")
    }
}

/// ReLU² has two matrices and SwiGLU three: at 4 and at 8/3 times the width they have the same parameters.
fn usual_ratio(mlp: Mlp) -> f64 {
    8.0 / f64::from(mlp.matrices())
}
