//! What the examples of this folder train, and how they are asked: a token file, a run, a place for what it says, arguments.

use std::path::Path;
use std::time::Duration;

use forescale_core::corpus::{
    CORPUS_SCHEMA, Cluster, CorpusManifest, CorpusSpec, FilesSpec, TokenWidth, TokenizerSpec,
};
use forescale_core::count::ModelShape;
use forescale_core::record::{Checkpoint, LogLine, RunSink, SinkError};
use forescale_core::run::{EvaluationConfig, Family, OptimizerConfig, Parametrization, RunConfig, ScheduleKind};
use forescale_train::{DeviceChoice, TrainOptions};

const DIGEST: &str = "made-up";

#[expect(clippy::print_stdout, reason = "an example prints its result")]
pub(crate) fn show(line: &str) {
    println!("{line}");
}

/// What follows a name on the command line.
pub(crate) fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

/// The number that follows a name on the command line.
pub(crate) fn number(name: &str, default: u32) -> Result<u32, std::num::ParseIntError> {
    text(name).map_or(Ok(default), |value| value.parse())
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// Keeps the last checkpoint, hands on each line of the log, and can fail at a step as a killed process would.
pub(crate) struct Sink<'a> {
    pub(crate) saved: Option<Checkpoint>,
    killed_at: Option<u64>,
    on_line: Box<dyn FnMut(&LogLine) + 'a>,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(killed_at: Option<u64>, on_line: impl FnMut(&LogLine) + 'a) -> Self {
        Self { saved: None, killed_at, on_line: Box::new(on_line) }
    }
}

impl RunSink for Sink<'_> {
    fn log(&mut self, line: &LogLine) -> Result<(), SinkError> {
        (self.on_line)(line);
        Ok(())
    }
    fn attempts(&mut self) -> Result<u32, SinkError> {
        Ok(0)
    }
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        self.saved = Some(checkpoint.clone());
        let killed =
            SinkError { place: "memory".to_owned(), problem: "killed".to_owned(), hint: "start again".to_owned() };
        // Once: a run that is started again goes on.
        if self.killed_at.take_if(|killed_at| checkpoint.step >= *killed_at).is_some() { Err(killed) } else { Ok(()) }
    }
    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(self.saved.clone())
    }
}

/// On the CPU, with so many threads and no checkpoint on the way.
pub(crate) fn options(threads: usize) -> TrainOptions<'static> {
    TrainOptions {
        device: DeviceChoice::Cpu,
        precision: None,
        accumulate: 1,
        threads,
        registration_sha256: None,
        checkpoint_every: Duration::MAX,
        stop: None,
    }
}

/// A run on the token file that [`write_tokens`] writes, judged on so many tokens at its end.
pub(crate) fn config(shape: ModelShape, sequences: u32, steps: u64, evaluation_tokens: u64) -> RunConfig {
    RunConfig {
        family: Family::Qwen3,
        sequences,
        shape,
        corpus_digest: DIGEST.to_owned(),
        steps,
        optimizer: OptimizerConfig {
            learning_rate: 0.014,
            embedding_learning_rate: 0.028,
            base_width: 32,
            base_layers: 2,
            parametrization: Parametrization::Mup,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-10,
            weight_decay: 0.0,
            clip_norm: 1.0,
            schedule: ScheduleKind::Linear,
            warmup_steps: (steps / 10).clamp(1, 1000),
            decay_steps: 0,
        },
        evaluation: EvaluationConfig { tokens: evaluation_tokens, curve_tokens: 0, curve_points: 0, tasks: None },
        seed: 0,
        allow_repeats: true,
        branch: false,
    }
}

/// Bytes with some structure: each one follows from the last by a fixed rule, half of the time.
pub(crate) fn write_tokens(path: &Path, train: u64, validation: u64) -> std::io::Result<CorpusManifest> {
    let mut state = 1u64;
    let mut token = 0u8;
    let mut next = || {
        // Knuth's constants (MMIX).
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (state >> 56) as u8;
        token = if random < 128 { token.wrapping_mul(5).wrapping_add(17) } else { random };
        token
    };
    let bytes: Vec<u8> = (0..train + validation).map(|_| next()).collect();
    std::fs::write(path, bytes)?;
    Ok(CorpusManifest {
        schema: CORPUS_SCHEMA.to_owned(),
        spec: CorpusSpec::Files(FilesSpec {
            paths: Vec::new(),
            validation_share: 0.02,
            tokenizer: TokenizerSpec::default(),
        }),
        digest: DIGEST.to_owned(),
        tokens_sha256: DIGEST.to_owned(),
        tokenizer_digest: "bytes-256".to_owned(),
        vocabulary: 256,
        token_width: TokenWidth::U8,
        train_tokens: train,
        validation_tokens: validation,
        unique_tokens: train,
        window_alignment: 1,
        clusters: vec![Cluster { name: "all".to_owned(), start: 0, end: validation }],
        train_documents: 1,
        left_out: Vec::new(),
        bytes_per_token: Some(1.0),
        unigram_entropy: 5.5,
        entropy_rate: None,
        parts: Vec::new(),
        problems: None,
    })
}
