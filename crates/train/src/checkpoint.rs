//! The form of a checkpoint: one line of JSON, then the numbers.
//!
//! Layout, version 1.0: the magic line `forescale.checkpoint/1.0`, a line of JSON ([`Header`]), then little-endian
//! f32: for each weight in the order of the header its values, first moments and second moments. Whoever stores it
//! adds a checksum; the length is checked here.

use forescale_core::record::{Checkpoint, CurvePoint};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::kernels::{tensor, view};
use crate::model::Weight;
use crate::optim::Optimizer;

const MAGIC: &str = "forescale.checkpoint/1.0";

/// What a run knows about itself between steps, besides weights and moments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// Steps done.
    pub(crate) step: u64,
    /// Evaluations so far.
    pub(crate) curve: Vec<CurvePoint>,
    /// Watch over the training loss.
    pub(crate) watch: LossWatch,
    /// Attempts, this one included.
    pub(crate) attempts: u32,
    /// Wall time of earlier attempts up to this checkpoint, and of this one.
    pub(crate) wall_seconds: f64,
    /// Vector instructions of the last attempt.
    pub(crate) simd: String,
    /// What changed between attempts.
    pub(crate) notes: Vec<String>,
}

/// Smoothed training loss, and for how long it has been far above its best.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LossWatch {
    smoothed: Option<f64>,
    best: Option<f64>,
    steps_above: u64,
}

/// Steps over which the training loss is smoothed. Chosen here: a few times the scatter of one small batch.
const SMOOTHING_STEPS: f64 = 50.0;
/// Nats above its best at which the smoothed loss counts as lost. Chosen here: no working run of the ladder does this.
const LOST_NATS: f64 = 1.0;
/// Steps in a row it may be lost before the run is given up; a spike that heals is left alone.
const LOST_STEPS: u64 = 200;

impl LossWatch {
    /// Takes in a step's training loss; says why, if the run has diverged.
    ///
    /// The rule: a loss that is not a number, or an exponential mean (50 steps) that stays more than 1 nat above its
    /// own best for 200 steps in a row.
    pub(crate) fn diverged(&mut self, loss: f64) -> Option<String> {
        if !loss.is_finite() {
            return Some(format!("the training loss is {loss}"));
        }
        let smoothed = self.smoothed.map_or(loss, |before| before + (loss - before) / SMOOTHING_STEPS);
        let best = self.best.map_or(smoothed, |best| best.min(smoothed));
        self.steps_above = if smoothed > best + LOST_NATS { self.steps_above + 1 } else { 0 };
        (self.smoothed, self.best) = (Some(smoothed), Some(best));
        (self.steps_above >= LOST_STEPS).then(|| {
            format!("the smoothed training loss is {smoothed:.3}, {LOST_STEPS} steps in a row {LOST_NATS} nat or more above its best of {best:.3}")
        })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    config_digest: String,
    progress: Progress,
    /// Name and number of values of each weight.
    weights: Vec<(String, usize)>,
}

/// Everything needed to go on from here.
pub(crate) fn pack(
    config_digest: &str,
    progress: &Progress,
    weights: &[Weight],
    optimizer: &Optimizer,
) -> Result<Checkpoint, TrainError> {
    let header = Header {
        config_digest: config_digest.to_owned(),
        progress: progress.clone(),
        weights: weights.iter().map(|weight| (weight.spec.name.clone(), weight.spec.len())).collect(),
    };
    let json = serde_json::to_string(&header).expect("the header is plain data");
    let mut bytes = format!("{MAGIC}\n{json}\n").into_bytes();
    for (weight, moments) in weights.iter().zip(&optimizer.moments) {
        let held = view(weight.variable.as_tensor());
        for values in [held.values()?, &moments.first, &moments.second] {
            bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        }
    }
    Ok(Checkpoint { step: progress.step, bytes })
}

/// Puts a checkpoint's weights and moments in place and returns its progress.
pub(crate) fn unpack(
    checkpoint: &Checkpoint,
    config_digest: &str,
    weights: &[Weight],
    optimizer: &mut Optimizer,
) -> Result<Progress, TrainError> {
    let refuse =
        |problem: String, hint: &str| TrainError::Checkpoint { step: checkpoint.step, problem, hint: hint.to_owned() };
    let again = "delete the run's checkpoint and start the run again";
    let (header, numbers) = split(&checkpoint.bytes).map_err(|problem| refuse(problem, again))?;
    if header.config_digest != config_digest {
        let problem = format!(
            "it belongs to config `{}`, but this run is `{}`",
            shortened(&header.config_digest),
            shortened(config_digest)
        );
        return Err(refuse(problem, "give each config its own run folder, or delete the checkpoint to start again"));
    }
    let names_agree = header.weights.len() == weights.len()
        && header.weights.iter().zip(weights).all(|((name, len), w)| *name == w.spec.name && *len == w.spec.len());
    let expected: usize = weights.iter().map(|weight| 3 * 4 * weight.spec.len()).sum();
    if !names_agree || numbers.len() != expected {
        let problem = format!("it holds {} bytes of weights, but the model takes {expected}", numbers.len());
        return Err(refuse(problem, again));
    }
    fill(numbers, weights, optimizer)?;
    Ok(header.progress)
}

fn shortened(digest: &str) -> &str {
    digest.get(..16).unwrap_or(digest)
}

fn split(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    let mut parts = bytes.splitn(3, |byte| *byte == b'\n');
    let magic = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (Some(json), Some(numbers)) = (parts.next(), parts.next()) else {
        return Err("it is cut short".to_owned());
    };
    if magic != MAGIC {
        return Err(format!(
            "its form is `{}`, this version reads `{MAGIC}`",
            magic.chars().take(40).collect::<String>()
        ));
    }
    let header = serde_json::from_slice(json).map_err(|error| format!("its header is damaged: {error}"))?;
    Ok((header, numbers))
}

fn fill(numbers: &[u8], weights: &[Weight], optimizer: &mut Optimizer) -> Result<(), TrainError> {
    let (chunks, _) = numbers.as_chunks::<4>();
    let mut values = chunks.iter().map(|bytes| f32::from_le_bytes(*bytes));
    for (weight, moments) in weights.iter().zip(&mut optimizer.moments) {
        let len = weight.spec.len();
        let mut take = || values.by_ref().take(len).collect::<Vec<f32>>();
        weight.variable.set(&tensor(take(), weight.spec.dims.clone())?)?;
        moments.first = take();
        moments.second = take();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_is_not_a_number_ends_the_run_at_once() {
        assert!(LossWatch::default().diverged(f64::NAN).is_some());
        assert!(LossWatch::default().diverged(f64::INFINITY).is_some());
    }

    #[test]
    fn a_spike_that_heals_is_left_alone_and_a_lasting_rise_is_not() {
        let mut watch = LossWatch::default();
        let mut feed = |loss: f64, steps: usize| (0..steps).find_map(|_| watch.diverged(loss));
        assert_eq!(feed(2.0, 500), None);
        assert_eq!(feed(8.0, 100), None);
        assert_eq!(feed(2.0, 500), None);
        let reason = feed(5.5, 400).expect("lost for hundreds of steps");
        assert!(reason.contains("above its best of 2.0"), "{reason}");
    }
}
