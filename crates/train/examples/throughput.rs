//! Measures training speed: tokens and floating-point operations per second of whole optimiser steps (reading data,
//! forward, backward, clipping, AdamW, the watch over the loss), in the median second, and those of an evaluation.
//!
//!     cargo run --release -p forescale-train --example throughput -- --threads 1 --seconds 5
//!
//! Without `--width` it goes through a ladder of widths. With it, the shape can be given number by number: `--heads`
//! or `--head-size`, `--layers`, `--context`, `--sequences`, `--input-order`, `--mlp-hidden`. `--steps` stops after so
//! many steps instead of `--seconds`; `--json` prints one object per shape.

mod workload;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use forescale_core::count::{Mlp, ModelShape};
use forescale_core::record::LogLine;
use forescale_core::run::RunConfig;
use forescale_train::{TokenFile, TrainError, TrainOptions, train};
use workload::{Sink, median, number, options, show, write_tokens};

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

impl Speeds {
    fn hear(&mut self, line: &LogLine) {
        match line {
            LogLine::Step { tokens_per_second, step, .. } => {
                self.tokens_per_second.push(*tokens_per_second);
                self.processor.extend(processor_seconds().map(|seconds| (*step, seconds)));
            }
            LogLine::Evaluation { .. } => self.evaluation = Some(self.last_line.elapsed()),
            _ => {}
        }
        self.last_line = Instant::now();
    }

    /// The median second, without the first where there are others: it pays for the first pages of memory.
    fn median(&self) -> f64 {
        let first = usize::from(self.tokens_per_second.len() > 2);
        median(self.tokens_per_second[first..].to_vec())
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
        threads: number("--threads", 1)? as usize,
        seconds: number("--seconds", 4)?.into(),
        steps: number("--steps", 0)?.into(),
        json: std::env::args().any(|argument| argument == "--json"),
    };
    let file = tempfile::NamedTempFile::new()?;
    let manifest = write_tokens(file.path(), TRAIN_TOKENS, VALIDATION_TOKENS)?;
    let tokens = TokenFile::open(file.path(), &manifest)?;
    if !arguments.json {
        show("width  head  sequences  tokens/s  GFLOP/s");
    }
    for shape in shapes()? {
        let config = config(shape, arguments.steps)?;
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

/// The shape of `--width`, or those of a ladder.
fn shapes() -> Result<Vec<ModelShape>, std::num::ParseIntError> {
    let ladder = [(16, 8), (16, 16), (24, 8), (32, 8), (32, 16), (48, 16), (64, 16), (96, 16), (128, 16)];
    match number("--width", 0)? {
        0 => ladder.into_iter().map(|(width, head_size)| shape(width, head_size)).collect(),
        width => {
            let heads = number("--heads", 0)?;
            let head_size = number("--head-size", width.checked_div(heads).unwrap_or(16))?;
            Ok(vec![shape(width, head_size)?])
        }
    }
}

fn shape(width: u32, head_size: u32) -> Result<ModelShape, std::num::ParseIntError> {
    Ok(ModelShape {
        vocabulary: 256,
        width,
        layers: number("--layers", 2)?,
        heads: width / head_size,
        head_size,
        mlp: Mlp::Swiglu,
        mlp_hidden: number("--mlp-hidden", (width * 8 / 3).next_multiple_of(8))?,
        context: number("--context", 128)?,
        input_order: number("--input-order", 3)?,
    })
}

/// Trains for some seconds, or some steps.
fn speeds(config: &RunConfig, tokens: &TokenFile, arguments: &Arguments) -> Result<Speeds, TrainError> {
    let stop = std::sync::atomic::AtomicBool::new(false);
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut speeds =
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
        let options = TrainOptions { stop: Some(stop), ..options(arguments.threads) };
        let outcome = train(config, tokens, &mut Sink::new(None, |line| speeds.hear(line)), &options);
        done.store(true, Ordering::Relaxed);
        outcome
    })?;
    Ok(speeds)
}

fn config(shape: ModelShape, steps: u64) -> Result<RunConfig, std::num::ParseIntError> {
    let parameters = 24.0 * f64::from(shape.width).powi(2) + f64::from(256 * shape.width);
    let steps = if steps > 0 { steps } else { 1_000_000 };
    let sequences = (0.36 * (40.0 * parameters).sqrt() / f64::from(shape.context)).round().max(1.0) as u32;
    Ok(workload::config(shape, number("--sequences", sequences)?, steps, EVALUATION_TOKENS))
}
