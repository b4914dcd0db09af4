//! Measures what remembered keys and values are worth: tokens per second of answers at length 256 with them, against
//! computing the whole prefix anew for each token, by the plain forward pass and by a pass that has logits of the last
//! position alone.
//!
//!     cargo run --release -p forescale-train --example generation -- --rounds 7 --threads 1
//!
//! All three are measured in turn in each round; a number is the median over rounds, a ratio the median of the rounds'
//! ratios. On one thread seconds are of the processor where Linux tells them, else of the wall. `--width` takes one width instead of a ladder of them, `--batch` other numbers of sequences than 32 and 1.

mod workload;

use std::time::Instant;

use forescale_core::count::{Mlp, ModelShape};
use forescale_train::{AnswerOptions, TokenFile, TrainError, TrainedModel, train};
use workload::{Sink, config, median, number, options, show, write_tokens};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONTEXT: usize = 256;
/// Tokens drawn after the first one; the lengths they are drawn at end at the context.
const DRAWN: usize = 16;
const PROMPT: usize = CONTEXT - DRAWN;
/// The mean of those lengths.
const PREFIX: usize = CONTEXT - DRAWN / 2;
const CORPUS_TOKENS: u64 = 40_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (rounds, threads) = (number("--rounds", 7)? as usize, number("--threads", 1)? as usize);
    show("width  layers  batch  cached tok/s  plain tok/s  last-row tok/s  cached/plain  cached/last-row");
    let widths = match number("--width", 0)? {
        0 => vec![16, 32, 64, 128],
        width => vec![width],
    };
    let batches = match number("--batch", 0)? {
        0 => vec![32, 1],
        batch => vec![batch as usize],
    };
    for width in widths {
        let layers = if width < 64 { 2 } else { 4 };
        let model = model(shape(width, layers))?;
        for batch in &batches {
            let timed = (0..rounds).map(|_| Round::of(&model, *batch, threads)).collect::<Result<Vec<_>, _>>()?;
            let [cached, plain, last_row] = [|r: &Round| r.cached, |r: &Round| r.plain, |r: &Round| r.last_row]
                .map(|of: fn(&Round) -> f64| median(timed.iter().map(of).collect()));
            let [over_plain, over_last_row] = [|r: &Round| r.cached / r.plain, |r: &Round| r.cached / r.last_row]
                .map(|of: fn(&Round) -> f64| median(timed.iter().map(of).collect()));
            show(&format!(
                "{width:>5} {layers:>7} {batch:>6} {cached:>13.0} {plain:>12.0} {last_row:>15.0} {over_plain:>13.1} {over_last_row:>16.1}"
            ));
        }
    }
    Ok(())
}

/// Tokens per second in one round.
struct Round {
    cached: f64,
    plain: f64,
    last_row: f64,
}

impl Round {
    fn of(model: &TrainedModel, batch: usize, threads: usize) -> Result<Self, TrainError> {
        let clock = Clock::of(threads);
        let prompts = |length: usize| -> Vec<Vec<u32>> {
            let token = |sequence: usize, position: usize| ((sequence * 31 + position * position * 7) % 256) as u32;
            (0..batch).map(|sequence| (0..length).map(|position| token(sequence, position)).collect()).collect()
        };
        let answer = |prompts: &[Vec<u32>], tokens: usize| {
            let options = AnswerOptions { tokens, end: None, seed: Some(1), threads };
            seconds(clock, || model.answers(prompts, &options).map(drop))
        };
        let (before, prefix) = (prompts(PROMPT), prompts(PREFIX));
        let drawn = answer(&before, 1 + DRAWN)? - answer(&before, 1)?;
        let plain = seconds(clock, || model.next_log_probabilities(&prefix).map(drop))?;
        let last_row = answer(&prefix, 1)?;
        let batch = batch as f64;
        Ok(Self { cached: batch * DRAWN as f64 / drawn, plain: batch / plain, last_row: batch / last_row })
    }
}

/// Seconds of one call: the mean over as many as fill a tenth of a second.
fn seconds(clock: Clock, call: impl Fn() -> Result<(), TrainError>) -> Result<f64, TrainError> {
    let started = clock.now();
    let mut calls = 0;
    while calls == 0 || clock.now() - started < 0.1 {
        call()?;
        calls += 1;
    }
    Ok((clock.now() - started) / f64::from(calls))
}

/// What seconds are of.
#[derive(Clone, Copy)]
enum Clock {
    /// This thread's time on a processor, which does not count what else the machine does.
    Processor,
    Wall(Instant),
}

impl Clock {
    /// Processor time where one thread computes and Linux tells it.
    fn of(threads: usize) -> Self {
        if threads <= 1 && processor_seconds().is_some() { Self::Processor } else { Self::Wall(Instant::now()) }
    }

    fn now(self) -> f64 {
        match self {
            Self::Processor => processor_seconds().unwrap_or(f64::NAN),
            Self::Wall(started) => started.elapsed().as_secs_f64(),
        }
    }
}

fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(stat.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

fn shape(width: u32, layers: u32) -> ModelShape {
    let head_size = if width < 32 { 8 } else { 16 };
    ModelShape {
        vocabulary: 256,
        width,
        layers,
        heads: width / head_size,
        head_size,
        mlp: Mlp::Swiglu,
        mlp_hidden: (width * 8 / 3).next_multiple_of(8),
        context: CONTEXT as u32,
        input_order: 1,
    }
}

/// A model after four steps: speed does not depend on what it knows.
fn model(shape: ModelShape) -> Result<TrainedModel, Box<dyn std::error::Error>> {
    let file = tempfile::NamedTempFile::new()?;
    let validation = 2 * CONTEXT as u64;
    let manifest = write_tokens(file.path(), CORPUS_TOKENS - validation, validation)?;
    let tokens = TokenFile::open(file.path(), &manifest)?;
    let config = config(shape, 4, 4, CONTEXT as u64);
    let mut sink = Sink::new(None, |_| {});
    train(&config, &tokens, &mut sink, &options(1))?;
    Ok(TrainedModel::load(&config, &sink.saved.ok_or("the run kept no weights")?)?)
}
