//! Measures training speed by width: tokens and floating-point operations per second.
//!
//!     cargo run --release -p forescale-train --example throughput -- --threads 1 --seconds 5

use std::path::Path;
use std::time::{Duration, Instant};

use forescale_core::corpus::{CORPUS_SCHEMA, Cluster, CorpusManifest, CorpusSpec, FilesSpec, TokenWidth};
use forescale_core::count::ModelShape;
use forescale_core::record::{Checkpoint, LogLine, RunSink, SinkError};
use forescale_core::run::{EvaluationConfig, Family, OptimizerConfig, Parametrization, RunConfig, ScheduleKind};
use forescale_train::{DeviceChoice, TokenFile, TrainError, TrainOptions, train};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONTEXT: u32 = 128;
const TRAIN_TOKENS: u64 = 4_000_000;
const VALIDATION_TOKENS: u64 = 100_000;

/// Keeps the fastest second.
#[derive(Default)]
struct Fastest(f64);

impl RunSink for Fastest {
    fn log(&mut self, line: &LogLine) -> Result<(), SinkError> {
        if let LogLine::Step { tokens_per_second, .. } = line {
            self.0 = self.0.max(*tokens_per_second);
        }
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

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (threads, seconds) = (argument("--threads", 1.0)? as usize, argument("--seconds", 4.0)?);
    let only = argument("--width", 0.0)? as u32;
    let file = tempfile::NamedTempFile::new()?;
    let manifest = write_tokens(file.path())?;
    let tokens = TokenFile::open(file.path(), &manifest)?;
    show("width  head  sequences  tokens/s  GFLOP/s");
    for (width, head_size) in [(16, 8), (16, 16), (24, 8), (32, 8), (32, 16), (48, 16), (64, 16), (96, 16), (128, 16)] {
        if only == 0 || only == width {
            let config = config(width, head_size, &manifest);
            let rate = fastest(&config, &tokens, (threads, seconds))?;
            let flops = rate * config.flops().exact / config.tokens() as f64;
            show(&format!("{width:>5} {head_size:>5} {:>10} {rate:>9.0} {:>8.1}", config.sequences, flops / 1e9));
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example prints its result")]
fn show(line: &str) {
    println!("{line}");
}

fn argument(name: &str, default: f64) -> Result<f64, std::num::ParseFloatError> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map_or(Ok(default), |value| value.parse())
}

/// Trains for some seconds and returns the fastest second, in tokens per second.
fn fastest(config: &RunConfig, tokens: &TokenFile, (threads, seconds): (usize, f64)) -> Result<f64, TrainError> {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut sink = Fastest::default();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let end = Instant::now() + Duration::from_secs_f64(seconds + 0.2);
            while Instant::now() < end {
                std::thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        let options = TrainOptions {
            device: DeviceChoice::Cpu,
            threads,
            registration_sha256: None,
            checkpoint_every: Duration::from_secs(3600),
            stop: Some(&stop),
        };
        train(config, tokens, &mut sink, &options)
    })?;
    Ok(sink.0)
}

fn config(width: u32, head_size: u32, manifest: &CorpusManifest) -> RunConfig {
    let shape = ModelShape {
        vocabulary: 256,
        width,
        layers: 2,
        heads: width / head_size,
        head_size,
        mlp_hidden: (width * 8 / 3).next_multiple_of(8),
        context: CONTEXT,
        input_order: 3,
    };
    let parameters = 24.0 * f64::from(width * width) + f64::from(256 * width);
    let sequences = (0.36 * (40.0 * parameters).sqrt() / f64::from(CONTEXT)).round().max(1.0) as u32;
    RunConfig {
        family: Family::Qwen3,
        shape,
        corpus_digest: manifest.digest.clone(),
        sequences,
        steps: 1_000_000,
        optimizer: OptimizerConfig {
            learning_rate: 0.014,
            embedding_learning_rate: 0.028,
            base_width: 32,
            parametrization: Parametrization::Mup,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-10,
            weight_decay: 0.0,
            clip_norm: 1.0,
            schedule: ScheduleKind::Linear,
            warmup_steps: 1000,
        },
        evaluation: EvaluationConfig { tokens: 12_800, curve_points: 0 },
        seed: 0,
        allow_repeats: true,
    }
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
        spec: CorpusSpec::Files(FilesSpec { paths: Vec::new(), validation_share: 0.02 }),
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
    })
}
