//! Checks training on a card and measures it, in a few minutes; prints a line of JSON for each finding, once it is found.
//!
//!     cargo run --release -p forescale-train --features cuda,emulation --example gpu_check
//!     cargo run --release -p forescale-train --features emulation --example gpu_check -- --dry
//!
//! Every operation against the CPU, forward and backward; the same small run on CPU and card, which may end two
//! deviations of seeds apart; a run that is killed and goes on; tokens per second of whole steps and the share of the
//! card's peak at several widths. `--dry` does all of it at tiny sizes on the emulation of a card, whose speeds mean
//! nothing. `--part operations|parity|resume|speed` does one part; `--device N` takes another card than the first;
//! `--width` (several with commas), `--layers`, `--sequences`, `--context`, `--seconds`, `--precision` and `--accumulate`
//! choose what `speed` measures; `--peak-tflops` says what the card can do where its name is not known here.

mod workload;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forescale_core::count::{Mlp, ModelShape};
use forescale_core::record::LogLine;
use forescale_core::run::{OptimizerConfig, RunConfig};
use forescale_train::gpu_check::{Agreement, Target, operations, peak_tflops, replayed_as_graph, train_there};
use forescale_train::{Precision, TokenFile, TrainOptions, TrainOutcome, device_report, train};
use serde_json::{Value, json};
use workload::{Sink, median, number, show, text, write_tokens};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TRAIN_TOKENS: u64 = 8_000_000;
const VALIDATION_TOKENS: u64 = 100_000;

/// Readings of speed, one a second, that a median is taken of at least.
const LEAST_READINGS: usize = 4;

type Answer<T> = Result<T, Box<dyn std::error::Error>>;

/// What `--part` may name.
const PARTS: [&str; 4] = ["operations", "parity", "resume", "speed"];

const USAGE: &str = "gpu_check [--dry] [--part operations|parity|resume|speed] [--device N] and, for speed, [--width N,...] \
                     [--layers N] [--sequences N] [--context N] [--seconds N] [--precision P] [--accumulate N] [--peak-tflops X]";

/// 0 where all was measured, 2 where it could not be.
fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help" || argument == "-h") {
        show(USAGE);
        return ExitCode::SUCCESS;
    }
    match check() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

fn check() -> Answer<()> {
    let asked = text("--part");
    if let Some(unknown) = asked.as_deref().filter(|asked| !PARTS.contains(asked)) {
        return Err(format!("`{unknown}` is no part\n\nhint: --part {}", PARTS.join("|")).into());
    }
    let dry = std::env::args().any(|argument| argument == "--dry");
    let target = if dry { Target::Emulated } else { Target::Cuda(number("--device", 0)? as usize) };
    let file = tempfile::NamedTempFile::new()?;
    let manifest = write_tokens(file.path(), TRAIN_TOKENS, VALIDATION_TOKENS)?;
    let check = Check { dry, target, tokens: TokenFile::open(file.path(), &manifest)? };
    if asked.is_none() {
        say("device", json!({ "dry": dry, "device": target.name(), "machine": machine() }));
    }
    let wanted = |part: &str| asked.as_deref().is_none_or(|asked| asked == part);
    if wanted("operations") {
        check.operations()?;
    }
    if wanted("parity") {
        check.parity()?;
    }
    if wanted("resume") {
        check.resume()?;
    }
    if wanted("speed") {
        check.speed()?;
    }
    Ok(())
}

/// A finding, at once: what comes later may fail.
fn say(part: &str, mut finding: Value) {
    finding["part"] = part.into();
    show(&finding.to_string());
}

/// What the trainer finds here, as `doctor` says it.
fn machine() -> Value {
    device_report().into_iter().map(|(name, finding)| format!("{name}: {finding}")).collect()
}

struct Check {
    dry: bool,
    target: Target,
    tokens: TokenFile,
}

impl Check {
    // ------------------------------------------------------------------------------------------------ operations

    fn operations(&self) -> Answer<()> {
        let row = |one: Agreement| {
            json!({
                "operation": one.operation, "precision": one.precision.name(), "apart": one.apart,
                "allowed": one.allowed, "holds": one.apart <= one.allowed,
            })
        };
        Ok(operations(self.target, |one| say("operations", row(one)))?)
    }

    // ---------------------------------------------------------------------------------------------------- parity

    /// Small enough for the CPU; large enough that seeds scatter less than learning moves the loss.
    fn small(&self) -> RunConfig {
        let (width, context, steps) = if self.dry { (16, 20, 16) } else { (64, 128, 400) };
        let shape = ModelShape { input_order: 2, ..shape(width, 8, 2, context) };
        config(shape, 9, steps)
    }

    fn parity(&self) -> Answer<()> {
        let small = self.small();
        let on_cpu = |seed| -> Answer<f64> {
            loss(&train(&RunConfig { seed, ..small.clone() }, &self.tokens, &mut Sink::new(None, |_| {}), &options(1))?)
        };
        let seeds: Vec<f64> = (1..=5).map(on_cpu).collect::<Answer<_>>()?;
        let mean = seeds.iter().sum::<f64>() / seeds.len() as f64;
        let squares: f64 = seeds.iter().map(|loss| (loss - mean).powi(2)).sum();
        let deviation = (squares / (seeds.len() - 1) as f64).sqrt();
        for precision in Precision::ALL {
            let mut sink = Sink::new(None, |_| {});
            let outcome = train_there((self.target, precision), &small, &self.tokens, &mut sink, &options(1))?;
            let found = loss(&outcome)?;
            let apart = (found - seeds[0]).abs();
            say(
                "parity",
                json!({
                    "precision": precision.name(), "loss_cpu": seeds[0], "loss_card": found, "apart": apart,
                    "seed_deviation": deviation, "allowed": 2.0 * deviation, "holds": apart <= 2.0 * deviation,
                    "graph": replayed_as_graph(self.target, &outcome), "notes": outcome.environment.notes,
                }),
            );
        }
        Ok(())
    }

    // ---------------------------------------------------------------------------------------------------- resume

    /// A run that is killed in its middle and given again ends with the loss of one that was not.
    fn resume(&self) -> Answer<()> {
        let small = self.small();
        let every_step = TrainOptions { checkpoint_every: Duration::ZERO, ..options(1) };
        let there =
            |sink: &mut Sink<'_>| train_there((self.target, Precision::Bf16), &small, &self.tokens, sink, &every_step);
        let whole = loss(&there(&mut Sink::new(None, |_| {}))?)?;
        let mut sink = Sink::new(Some(small.steps / 2), |_| {});
        let killed = there(&mut sink).is_err();
        let again = loss(&there(&mut sink)?)?;
        let apart = (again - whole).abs();
        let holds = killed && apart < 1e-3;
        say(
            "resume",
            json!({ "killed": killed, "loss": whole, "loss_resumed": again, "apart": apart, "holds": holds }),
        );
        Ok(())
    }

    // ----------------------------------------------------------------------------------------------------- speed

    /// Each width by itself: one that the card has no memory for leaves the others alone.
    fn speed(&self) -> Answer<()> {
        let usual = if self.dry { "16" } else { "256,512,1024" };
        for width in text("--width").unwrap_or(usual.to_owned()).split(',') {
            let width = width.parse()?;
            let found = self.speed_of(width);
            say("speed", found.unwrap_or_else(|error| json!({ "width": width, "problem": error.to_string() })));
        }
        Ok(())
    }

    fn speed_of(&self, width: u32) -> Answer<Value> {
        let (layers, context, sequences) = if self.dry { (2, 20, 4) } else { (8, 512, 64) };
        let (layers, context) = (number("--layers", layers)?, number("--context", context)?);
        let shape = shape(width, if self.dry { 8 } else { 64 }, layers, context);
        let steps = if self.dry { 12 } else { 10_000_000 };
        let config = config(shape, number("--sequences", sequences)?, steps);
        let precision = text("--precision").map_or(Ok(Precision::Bf16), |name| name.parse())?;
        let options = options(number("--accumulate", 1)?);
        let seconds = Duration::from_secs(number("--seconds", 20)?.into());
        let (rates, outcome) = self.rates((&config, precision), &options, seconds)?;
        let readings = rates.len();
        let rate = median(rates);
        let flops_per_token = config.flops().exact / config.tokens() as f64;
        let peak = self.peak()?;
        Ok(json!({
            "width": width, "layers": layers, "context": context, "sequences": config.sequences,
            "precision": precision.name(), "accumulate": options.accumulate, "tokens_per_second": rate,
            "flops_per_token": flops_per_token, "tflops": rate * flops_per_token / 1e12,
            "mfu": peak.map(|peak| rate * flops_per_token / 1e12 / peak), "peak_tflops": peak,
            "readings": readings, "graph": replayed_as_graph(self.target, &outcome),
            "notes": outcome.environment.notes,
        }))
    }

    /// Tokens per second of each second of training, from its first reading on, without the first two, which pay for
    /// loading and capture; opening the card and drawing weights lie before them.
    fn rates(
        &self,
        (config, precision): (&RunConfig, Precision),
        options: &TrainOptions<'_>,
        limit: Duration,
    ) -> Answer<(Vec<f64>, TrainOutcome)> {
        let stop = AtomicBool::new(false);
        let (mut rates, mut began) = (Vec::new(), None);
        let hear = |line: &LogLine| {
            if let LogLine::Step { tokens_per_second, .. } = line {
                rates.push(*tokens_per_second);
                let began = *began.get_or_insert_with(Instant::now);
                stop.store(began.elapsed() >= limit, Ordering::Relaxed);
            }
        };
        let options = TrainOptions { stop: Some(&stop), registration_sha256: None, ..*options };
        let mut sink = Sink::new(None, hear);
        let outcome = train_there((self.target, precision), config, &self.tokens, &mut sink, &options)?;
        drop(sink);
        if rates.len() < LEAST_READINGS && !self.dry {
            let (found, seconds) = (rates.len(), limit.as_secs());
            let more = seconds.saturating_mul(2).max(10);
            return Err(format!(
                "{found} readings of speed in {seconds} s are too few to tell it; at least {LEAST_READINGS} are needed\n\nhint: --seconds {more}"
            )
            .into());
        }
        let paid_for = if rates.len() >= LEAST_READINGS { 2 } else { 0 };
        Ok((rates.split_off(paid_for), outcome))
    }

    /// What the card that is asked for can do in bf16, TFLOP/s, where that is known.
    fn peak(&self) -> Answer<Option<f64>> {
        if let Some(given) = text("--peak-tflops") {
            return Ok(Some(given.parse()?));
        }
        let (report, start) = (device_report(), format!("{} is a ", self.target.name()));
        let card = report.iter().find_map(|(_, finding)| finding.strip_prefix(&start)?.split_once(" ("));
        Ok(card.and_then(|(name, _)| peak_tflops(name)))
    }
}

fn config(shape: ModelShape, sequences: u32, steps: u64) -> RunConfig {
    let (base_width, base_layers, context) = (shape.width, shape.layers, u64::from(shape.context));
    let config = workload::config(shape, sequences, steps, 64 * context);
    let optimizer = OptimizerConfig {
        learning_rate: 0.01,
        embedding_learning_rate: 0.02,
        weight_decay: 0.01,
        base_width,
        base_layers,
        ..config.optimizer
    };
    RunConfig { optimizer, seed: 1, ..config }
}

fn shape(width: u32, head_size: u32, layers: u32, context: u32) -> ModelShape {
    ModelShape {
        vocabulary: 256,
        width,
        layers,
        heads: width / head_size,
        head_size,
        mlp: Mlp::Swiglu,
        mlp_hidden: (width * 8 / 3).next_multiple_of(64),
        context,
        input_order: 1,
    }
}

fn options(accumulate: u32) -> TrainOptions<'static> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    TrainOptions { accumulate, ..workload::options(threads) }
}

fn loss(outcome: &TrainOutcome) -> Answer<f64> {
    let loss = outcome.metrics.iter().find(|metric| metric.name == "loss");
    Ok(loss.ok_or_else(|| format!("the run ended as {:?}: {:?}", outcome.status, outcome.reason))?.value)
}
