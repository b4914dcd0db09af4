//! The weights of a finished run, for other programs: loaded from its last checkpoint, and what they compute.
//!
//! A form to export to is one file below; [`hf`] is the folder that `transformers` loads. What a form cannot express is
//! refused, never approximated. [`TrainedModel::write_logits`] writes what this program computes, so that whatever
//! loads the folder can be held against it. Where the folder lies, and that it appears whole or not at all, is the
//! caller's to see to.

mod hf;

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::Path;

use candle_core::{Device, Tensor};
use forescale_core::record::Checkpoint;
use forescale_core::run::RunConfig;
use thiserror::Error;

use crate::checkpoint::{self, Owner};
use crate::data::{Batch, TokenFile};
use crate::error::TrainError;
use crate::evaluate;
use crate::kernels::tape::Tape;
use crate::model::{Inputs, Model};
use crate::optim::Optimizer;

pub use hf::check_hf;

/// Name of the file that [`TrainedModel::write_logits`] makes.
const LOGITS: &str = "logits.safetensors";

/// A trained model could not be exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// The form has no way to say what this model computes.
    #[error("{problem}\n\nhint: {hint}")]
    Inexpressible {
        /// What cannot be said.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// More windows were asked for than the run was evaluated on.
    #[error(
        "logits of {asked} windows were asked for, but the run's evaluation set has {available}\n\nhint: ask for {available} or fewer"
    )]
    TooFewWindows {
        /// Windows asked for.
        asked: usize,
        /// Windows there are.
        available: usize,
    },
    /// A file could not be written.
    #[error("`{path}` cannot be written: {problem}\n\nhint: check the disk and the folder's permissions")]
    Unwritten {
        /// The file.
        path: String,
        /// What the system said.
        problem: String,
    },
    /// The weights could not be loaded, or the model not be computed.
    #[error(transparent)]
    Train(#[from] TrainError),
}

impl From<candle_core::Error> for ExportError {
    fn from(error: candle_core::Error) -> Self {
        Self::Train(error.into())
    }
}

/// The weights of a run after its last step.
pub struct TrainedModel {
    pub(crate) config: RunConfig,
    pub(crate) model: Model,
}

impl TrainedModel {
    /// Takes the weights out of the checkpoint that a finished run left.
    ///
    /// # Errors
    ///
    /// [`TrainError::Checkpoint`] when it is damaged, of another config, or of a step before the last.
    pub fn load(config: &RunConfig, checkpoint: &Checkpoint) -> Result<Self, TrainError> {
        if checkpoint.step != config.steps {
            return Err(TrainError::Checkpoint {
                step: checkpoint.step,
                problem: format!("the run ends at step {}, and only its last weights are exported", config.steps),
                hint: "earlier versions kept no last weights: remove the run's folder and train it again".to_owned(),
            });
        }
        let model = Model::initialise(config)?;
        let mut optimizer = Optimizer::new(&config.optimizer, &model.weights);
        checkpoint::unpack(checkpoint, Owner::Run(&config.digest()), &model.weights, &mut optimizer)?;
        Ok(Self { config: config.clone(), model })
    }

    /// Writes `config.json` and `model.safetensors` into a folder, as `Qwen3ForCausalLM.from_pretrained` reads them.
    ///
    /// # Errors
    ///
    /// [`ExportError::Inexpressible`] when Qwen3 is not what was trained (see [`check_hf`]),
    /// [`ExportError::Unwritten`] when a file cannot be written.
    pub fn write_hf(&self, folder: &Path) -> Result<(), ExportError> {
        hf::write(&self.config.shape, &self.model.weights, folder)
    }

    /// Writes `logits.safetensors` into a folder: `tokens` (n, context), 64-bit integers, and `logits` (n, context,
    /// vocabulary), f32, of so many windows of the run's evaluation set, spread evenly over it.
    ///
    /// # Errors
    ///
    /// [`ExportError::TooFewWindows`] when the evaluation set is smaller, [`ExportError::Train`] when the tokens are
    /// not those of the run's corpus, [`ExportError::Unwritten`] when the file cannot be written.
    pub fn write_logits(&self, tokens: &TokenFile, windows: usize, folder: &Path) -> Result<(), ExportError> {
        let context = self.config.shape.context as usize;
        let batch = self.batch(tokens, windows)?;
        let logits = self.logits(&batch)?.reshape((windows, context, ()))?;
        let ids = batch.inputs.iter().copied().map(i64::from).collect();
        let ids = Tensor::from_vec(ids, (windows, context), &Device::Cpu)?;
        save(&HashMap::from([("tokens".to_owned(), ids), ("logits".to_owned(), logits)]), &folder.join(LOGITS))
    }

    /// Windows of the run's evaluation set, every so-manieth of them.
    fn batch(&self, tokens: &TokenFile, windows: usize) -> Result<Batch, ExportError> {
        let manifest = tokens.manifest();
        if self.config.corpus_digest != manifest.digest {
            let (planned, found) = (self.config.corpus_digest.clone(), manifest.digest.clone());
            return Err(TrainError::OtherCorpus { planned, found }.into());
        }
        let held = evaluate::windows(&self.config, manifest)?;
        if windows > held.len() {
            return Err(ExportError::TooFewWindows { asked: windows, available: held.len() });
        }
        let mut batch = Batch::empty(windows, self.config.shape.context as usize);
        for index in 0..windows {
            let window = held[index * held.len() / windows];
            tokens.read_validation(window.start, batch.window_mut(index))?;
        }
        Ok(batch)
    }

    /// Logits (windows × context, vocabulary) of the tokens that follow.
    fn logits(&self, batch: &Batch) -> Result<Tensor, ExportError> {
        let inputs = Inputs { tokens: batch.inputs.as_slice().into(), context: batch.context };
        Ok(self.model.family.logits(&Tape::forward_only(), &inputs)?)
    }
}

/// Writes tensors by name; the same tensors give the same bytes.
fn save(tensors: &HashMap<String, Tensor>, path: &Path) -> Result<(), ExportError> {
    // The crate writes beside the file and renames, and only its owner may read what it makes.
    let plain = File::create(path).and_then(|file| file.metadata()).map_err(|error| unwritten(path, &error))?;
    candle_core::safetensors::save(tensors, path).map_err(|error| unwritten(path, &error))?;
    fs::set_permissions(path, plain.permissions()).map_err(|error| unwritten(path, &error))
}

fn unwritten(path: &Path, error: &dyn std::error::Error) -> ExportError {
    ExportError::Unwritten { path: path.display().to_string(), problem: error.to_string() }
}

#[cfg(test)]
mod tests;
