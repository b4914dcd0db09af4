//! Measures training speed: tokens and floating-point operations per second of whole optimiser steps (reading data,
//! forward, backward, clipping, AdamW, the watch over the loss), in the median second, and those of an evaluation.
//!
//!     cargo run --release -p forescale-train --example throughput -- --threads 1 --seconds 5
//!
//! Without `--width` it goes through a ladder of widths. With it, the shape can be given number by number: `--heads`
//! or `--head-size`, `--layers`, `--context`, `--sequences`, `--input-order`, `--mlp-hidden`. `--steps` stops after so
//! many steps instead of `--seconds`; `--json` prints one object per shape.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use forescale_core::corpus::{
    CORPUS_SCHEMA, Cluster, CorpusManifest, CorpusSpec, FilesSpec, TokenWidth, TokenizerSpec,
};
use forescale_core::count::{Mlp, ModelShape};
use forescale_core::record::{Checkpoint, LogLine, RunSink, SinkError};
use forescale_core::run::{EvaluationConfig, Family, OptimizerConfig, Parametrization, RunConfig, ScheduleKind};
use forescale_train::{DeviceChoice, TokenFile, TrainError, TrainOptions, train};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TRAIN_TOKENS: u64 = 4_000_000;
const VALIDATION_TOKENS: u64 = 100_000;
const EVALUATION_TOKENS: u64 = 65_536;

/// Keeps the speed of each second, the processor time at its end, and the time of the evaluation at the end.
struct Speeds {
    tokens_per_second: Vec<f64>,
    processor: Vec<(u64, f64)>,
    last_line: Instant,
    evaluation: Option<Duration>,
}

impl RunSink for Speeds {
    fn log(&mut self, line: &LogLine) -> Result<(), SinkError> {
        match line {
            LogLine::Step { tokens_per_second, step, .. } => {
                self.tokens_per_second.push(*tokens_per_second);
                self.processor.extend(processor_seconds().map(|seconds| (*step, seconds)));
            }
            LogLine::Evaluation { .. } => self.evaluation = Some(self.last_line.elapsed()),
            _ => {}
        }
        self.last_line = Instant::now();
        Ok(())
    }
    fn attempts(&mut self) -> Result<u32, SinkError> {
        Ok(0)
    }
    fn save(&mut self, _: &Checkpoint) -> Result<(), SinkError> {
        Ok(())
    }
    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(None)
    }
}

impl Speeds {
    /// The median second, without the first where there are others: it pays for the first pages of memory.
    fn median(&self) -> f64 {
        let first = usize::from(self.tokens_per_second.len() > 2);
        let mut speeds = self.tokens_per_second[first..].to_vec();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied().unwrap_or(0.0)
    }

    /// Steps per second of processor time, all threads together, from the first line of the log to the last.
    fn steps_per_processor_second(&self) -> Option<f64> {
        let ((first, start), (last, end)) = (self.processor.first()?, self.processor.last()?);
        (end > start).then(|| (last - first) as f64 / (end - start))
    }
}

/// Processor time of this process so far, where Linux tells it (in hundredths of a second).
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace().skip(11);
    let ticks = fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

/// What was asked for on the command line.
struct Arguments {
    threads: usize,
    seconds: f64,
    steps: u64,
    json: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments {
        threads: argument("--threads", 1)? as usize,
        seconds: argument("--seconds", 4)?.into(),
        steps: argument("--steps", 0)?.into(),
        json: std::env::args().any(|argument| argument == "--json"),
    };
    let file = tempfile::NamedTempFile::new()?;
    let manifest = write_tokens(file.path())?;
    let tokens = TokenFile::open(file.path(), &manifest)?;
    if !arguments.json {
        show("width  head  sequences  tokens/s  GFLOP/s");
    }
    for shape in shapes()? {
        let config = config(shape, arguments.steps, &manifest)?;
        let speeds = speeds(&config, &tokens, &arguments)?;
        show(&row(&config, &speeds, arguments.json));
    }
    Ok(())
}

fn row(config: &RunConfig, speeds: &Speeds, json: bool) -> String {
    let (rate, shape) = (speeds.median(), &config.shape);
    let gflops = rate * config.flops().exact / config.tokens() as f64 / 1e9;
    if json {
        let evaluation = speeds.evaluation.map(|time| EVALUATION_TOKENS as f64 / time.as_secs_f64());
        let row = serde_json::json!({
            "width": shape.width, "tokens_per_second": rate, "gflops": gflops,
            "tokens_per_processor_second": speeds.steps_per_processor_second().map(|steps| steps * config.batch_tokens() as f64),
            "evaluation_tokens_per_second": evaluation,
        });
        return row.to_string();
    }
    let ModelShape { width, head_size, .. } = shape;
    format!("{width:>5} {head_size:>5} {:>10} {rate:>9.0} {gflops:>8.1}", config.sequences)
}

#[expect(clippy::print_stdout, reason = "an example prints its result")]
fn show(line: &str) {
    println!("{line}");
}

fn argument(name: &str, default: u32) -> Result<u32, std::num::ParseIntError> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(Ok(default), |value| value.parse())
}

/// The shape of `--width`, or those of a ladder.
fn shapes() -> Result<Vec<ModelShape>, std::num::ParseIntError> {
    let ladder = [(16, 8), (16, 16), (24, 8), (32, 8), (32, 16), (48, 16), (64, 16), (96, 16), (128, 16)];
    match argument("--width", 0)? {
        0 => ladder.into_iter().map(|(width, head_size)| shape(width, head_size)).collect(),
        width => {
            let heads = argument("--heads", 0)?;
            let head_size = argument("--head-size", width.checked_div(heads).unwrap_or(16))?;
            Ok(vec![shape(width, head_size)?])
        }
    }
}

fn shape(width: u32, head_size: u32) -> Result<ModelShape, std::num::ParseIntError> {
    Ok(ModelShape {
        vocabulary: 256,
        width,
        layers: argument("--layers", 2)?,
        heads: width / head_size,
        head_size,
        mlp: Mlp::Swiglu,
        mlp_hidden: argument("--mlp-hidden", (width * 8 / 3).next_multiple_of(8))?,
        context: argument("--context", 128)?,
        input_order: argument("--input-order", 3)?,
    })
}

/// Trains for some seconds, or some steps.
fn speeds(config: &RunConfig, tokens: &TokenFile, arguments: &Arguments) -> Result<Speeds, TrainError> {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut sink =
        Speeds { tokens_per_second: Vec::new(), processor: Vec::new(), last_line: Instant::now(), evaluation: None };
    std::thread::scope(|scope| {
        let limit = if arguments.steps > 0 { f64::from(u32::MAX) } else { arguments.seconds + 0.2 };
        let end = Instant::now() + Duration::from_secs_f64(limit);
        let (stop, done) = (&stop, &done);
        scope.spawn(move || {
            while Instant::now() < end && !done.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, Ordering::Relaxed);
        });
        let options = TrainOptions {
            device: DeviceChoice::Cpu,
            precision: None,
            accumulate: 1,
            threads: arguments.threads,
            registration_sha256: None,
            checkpoint_every: Duration::from_secs(3600),
            stop: Some(stop),
        };
        let outcome = train(config, tokens, &mut sink, &options);
        done.store(true, Ordering::Relaxed);
        outcome
    })?;
    Ok(sink)
}

fn config(shape: ModelShape, steps: u64, manifest: &CorpusManifest) -> Result<RunConfig, std::num::ParseIntError> {
    let parameters = 24.0 * f64::from(shape.width).powi(2) + f64::from(256 * shape.width);
    let steps = if steps > 0 { steps } else { 1_000_000 };
    let sequences = (0.36 * (40.0 * parameters).sqrt() / f64::from(shape.context)).round().max(1.0) as u32;
    Ok(RunConfig {
        family: Family::Qwen3,
        sequences: argument("--sequences", sequences)?,
        shape,
        corpus_digest: manifest.digest.clone(),
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
            warmup_steps: (steps / 10).min(1000),
            decay_steps: 0,
        },
        evaluation: EvaluationConfig { tokens: EVALUATION_TOKENS, curve_tokens: 0, curve_points: 0, tasks: None },
        seed: 0,
        allow_repeats: true,
        branch: false,
    })
}

/// Bytes with some structure: each one follows from the last by a fixed rule, half of the time.
fn write_tokens(path: &Path) -> std::io::Result<CorpusManifest> {
    let mut state = 1u64;
    let mut token = 0u8;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (state >> 56) as u8;
        token = if random < 128 { token.wrapping_mul(5).wrapping_add(17) } else { random };
        token
    };
    let bytes: Vec<u8> = (0..TRAIN_TOKENS + VALIDATION_TOKENS).map(|_| next()).collect();
    std::fs::write(path, bytes)?;
    Ok(CorpusManifest {
        schema: CORPUS_SCHEMA.to_owned(),
        spec: CorpusSpec::Files(FilesSpec {
            paths: Vec::new(),
            validation_share: 0.02,
            tokenizer: TokenizerSpec::default(),
        }),
        digest: "throughput".to_owned(),
        tokens_sha256: "throughput".to_owned(),
        tokenizer_digest: "bytes-256".to_owned(),
        vocabulary: 256,
        token_width: TokenWidth::U8,
        train_tokens: TRAIN_TOKENS,
        validation_tokens: VALIDATION_TOKENS,
        unique_tokens: TRAIN_TOKENS,
        window_alignment: 1,
        clusters: vec![Cluster { name: "all".to_owned(), start: 0, end: VALIDATION_TOKENS }],
        train_documents: 1,
        left_out: Vec::new(),
        bytes_per_token: Some(1.0),
        unigram_entropy: 5.5,
        entropy_rate: None,
        parts: Vec::new(),
        problems: None,
    })
}
