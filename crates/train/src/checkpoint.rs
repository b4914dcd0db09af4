//! The form of a checkpoint: one line of JSON, then the numbers.
//!
//! Layout, version 2.0: the magic line `forescale.checkpoint/2.0`, a line of JSON ([`Header`]), then little-endian
//! f32: for each weight in the order of the header its values, first moments and second moments. Whoever stores it
//! adds a checksum; the length is checked here.

use forescale_core::record::{Checkpoint, CurvePoint};
use serde::{Deserialize, Serialize};

use crate::error::TrainError;
use crate::kernels::{tensor, view};
use crate::model::Weight;
use crate::optim::Optimizer;
use crate::watch::LossWatch;

const MAGIC: &str = "forescale.checkpoint/2.0";

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
    /// Device and precision of the last attempt; left out where they are those of the CPU.
    #[serde(default = "on_cpu", skip_serializing_if = "is_on_cpu")]
    pub(crate) arithmetic: String,
    /// Steps taken over from the trunk at the start of the run.
    pub(crate) taken_over: u64,
    /// What changed between attempts.
    pub(crate) notes: Vec<String>,
}

fn on_cpu() -> String {
    "cpu in f32".to_owned()
}

fn is_on_cpu(arithmetic: &str) -> bool {
    arithmetic == on_cpu()
}

impl Progress {
    /// At the start of a run.
    pub(crate) fn fresh(simd: &str, arithmetic: &str) -> Self {
        Self {
            step: 0,
            curve: Vec::new(),
            watch: LossWatch::default(),
            attempts: 1,
            wall_seconds: 0.0,
            simd: simd.to_owned(),
            arithmetic: arithmetic.to_owned(),
            taken_over: 0,
            notes: Vec::new(),
        }
    }

    /// Goes on with these vector instructions on this device, and notes where they are others than before.
    pub(crate) fn resumed(mut self, simd: &str, arithmetic: &str) -> Self {
        if self.arithmetic != arithmetic {
            self.notes.push(format!(
                "went on from {} to {arithmetic} at step {}; later steps differ by rounding",
                self.arithmetic, self.step
            ));
            arithmetic.clone_into(&mut self.arithmetic);
        }
        if self.simd != simd {
            self.notes.push(format!(
                "vector instructions changed from {} to {simd} at step {}; the last bits of later steps may differ",
                self.simd, self.step
            ));
            simd.clone_into(&mut self.simd);
        }
        self
    }

    /// Notes that steps are computed in parts from here on.
    pub(crate) fn note_parts(&mut self, accumulate: u32) {
        let note = format!("each step in {accumulate} parts, their gradients added up");
        if accumulate > 1 && self.notes.last().is_none_or(|last| !last.starts_with(&note)) {
            self.notes.push(format!("{note} (from step {})", self.step));
        }
    }

    /// What a reader of the record should know of how the run came about.
    pub(crate) fn all_notes(&self) -> Vec<String> {
        let taken_over =
            (self.taken_over > 0).then(|| format!("steps 0 to {} taken over from the trunk", self.taken_over));
        taken_over.into_iter().chain(self.notes.iter().cloned()).collect()
    }

    /// What other branches of the trunk take over: neither attempts nor time, which were this run's.
    pub(crate) fn of_trunk(&self) -> Self {
        Self { attempts: 0, wall_seconds: 0.0, taken_over: 0, ..self.clone() }
    }
}

/// Whose state a checkpoint is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// A run's, by the digest of its config.
    Run(&'a str),
    /// A trunk's, by its identity.
    Trunk(&'a str),
}

impl Owner<'_> {
    fn identity(&self) -> &str {
        match self {
            Self::Run(identity) | Self::Trunk(identity) => identity,
        }
    }

    fn noun(&self) -> &'static str {
        match self {
            Self::Run(_) => "config",
            Self::Trunk(_) => "trunk",
        }
    }

    /// Why a checkpoint is not taken, and what to do about it.
    pub(crate) fn refuse(&self, step: u64, problem: String) -> TrainError {
        match self {
            Self::Run(_) => TrainError::Checkpoint {
                step,
                problem,
                hint: "give each config its own run folder, or delete the run's checkpoint to start it again"
                    .to_owned(),
            },
            Self::Trunk(_) => TrainError::TrunkCheckpoint { step, problem },
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    owner: String,
    progress: Progress,
    /// Name and number of values of each weight.
    weights: Vec<(String, usize)>,
}

/// Everything needed to go on from here.
pub(crate) fn pack(
    owner: Owner<'_>,
    progress: &Progress,
    weights: &[Weight],
    optimizer: &Optimizer,
) -> Result<Checkpoint, TrainError> {
    let header = Header {
        owner: owner.identity().to_owned(),
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
    owner: Owner<'_>,
    weights: &[Weight],
    optimizer: &mut Optimizer,
) -> Result<Progress, TrainError> {
    let refuse = |problem| owner.refuse(checkpoint.step, problem);
    let (header, numbers) = split(&checkpoint.bytes).map_err(refuse)?;
    if header.owner != owner.identity() {
        let (found, noun, own) = (shortened(&header.owner), owner.noun(), shortened(owner.identity()));
        return Err(refuse(format!("it belongs to {noun} `{found}`, but this run's is `{own}`")));
    }
    if header.progress.step != checkpoint.step {
        return Err(refuse(format!("it was taken at step {}", header.progress.step)));
    }
    let names_agree = header.weights.len() == weights.len()
        && header.weights.iter().zip(weights).all(|((name, len), w)| *name == w.spec.name && *len == w.spec.len());
    let expected: usize = weights.iter().map(|weight| 3 * 4 * weight.spec.len()).sum();
    if !names_agree || numbers.len() != expected {
        let found = numbers.len();
        return Err(refuse(format!("it holds {found} bytes of weights, but the model takes {expected}")));
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
    fn a_change_of_vector_instructions_is_noted() {
        let before = Progress { step: 40, ..Progress::fresh("avx2", "cpu in f32") };
        assert_eq!(before.clone().resumed("avx2", "cpu in f32"), before);
        let resumed = before.resumed("avx512", "cpu in f32");
        assert!(resumed.notes[0].contains("from avx2 to avx512 at step 40"));
        assert_eq!(resumed.simd, "avx512");
    }

    #[test]
    fn a_change_of_device_is_noted_and_the_cpu_is_left_out_of_checkpoints() {
        let before = Progress { step: 40, ..Progress::fresh("avx2", "cpu in f32") };
        let text = serde_json::to_string(&before).expect("plain data");
        assert!(!text.contains("arithmetic"));
        assert_eq!(serde_json::from_str::<Progress>(&text).expect("read back"), before);
        let resumed = before.resumed("avx2", "cuda:0 in bf16");
        assert!(resumed.notes[0].contains("from cpu in f32 to cuda:0 in bf16 at step 40"), "{:?}", resumed.notes);
        let text = serde_json::to_string(&resumed).expect("plain data");
        assert_eq!(serde_json::from_str::<Progress>(&text).expect("read back"), resumed);
    }

    #[test]
    fn a_trunk_hands_on_what_training_decides_and_not_what_it_cost() {
        let mut run = Progress {
            step: 7,
            attempts: 3,
            wall_seconds: 9.5,
            taken_over: 4,
            ..Progress::fresh("avx2", "cpu in f32")
        };
        run.watch.take_in(2.5, true);
        let handed_on = run.of_trunk();
        assert_eq!((handed_on.step, handed_on.watch), (7, run.watch));
        assert_eq!((handed_on.attempts, handed_on.wall_seconds.to_bits(), handed_on.taken_over), (0, 0, 0));
    }
}
