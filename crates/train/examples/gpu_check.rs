//! Checks training on a card and measures it, in a few minutes; prints one JSON object.
//!
//!     cargo run --release -p forescale-train --features cuda,emulation --example gpu_check
//!     cargo run --release -p forescale-train --features emulation --example gpu_check -- --dry
//!
//! Every operation against the CPU, forward and backward; the same small run on CPU and card, which may end two
//! deviations of seeds apart; a run that is killed and goes on; tokens per second of whole steps and the share of the
//! card's peak at several widths. `--dry` does all of it at tiny sizes on the emulation of a card, whose speeds mean
//! nothing. `--part operations|parity|resume|speed` does one part; `--device N` takes another card than the first;
//! `--width`, `--layers`, `--sequences`, `--context`, `--seconds`, `--precision` and `--accumulate` choose what `speed`
//! measures; `--peak-tflops` says what the card can do where its name is not known here.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forescale_core::corpus::{
    CORPUS_SCHEMA, Cluster, CorpusManifest, CorpusSpec, FilesSpec, TokenWidth, TokenizerSpec,
};
use forescale_core::count::{Mlp, ModelShape};
use forescale_core::record::{Checkpoint, LogLine, RunSink, SinkError};
use forescale_core::run::{EvaluationConfig, Family, OptimizerConfig, Parametrization, RunConfig, ScheduleKind};
use forescale_train::gpu_check::{Target, operations, replayed_as_graph, train_there};
use forescale_train::{DeviceChoice, Precision, TokenFile, TrainOptions, TrainOutcome, device_report, train};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TRAIN_TOKENS: u64 = 8_000_000;
const VALIDATION_TOKENS: u64 = 100_000;

/// Readings of speed, one a second, that a median is taken of at least.
const LEAST_READINGS: usize = 4;

/// Dense bf16 peaks in TFLOP/s, as NVIDIA's data sheets give them (without sparsity), by a part of the card's name; the
/// first that fits counts.
const PEAKS: [(&str, f64); 11] = [
    ("H200 NVL", 835.5),
    ("H200", 989.0),
    ("H100 NVL", 835.5),
    ("H100 PCIe", 756.0),
    ("H100", 989.0),
    ("GB200", 2500.0),
    ("B200", 2250.0),
    ("A100", 312.0),
    ("L40S", 362.0),
    ("RTX 4090", 165.2),
    ("RTX 3090", 71.0),
];

type Answer<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Answer<()> {
    let dry = std::env::args().any(|argument| argument == "--dry");
    let target = if dry { Target::Emulated } else { Target::Cuda(number("--device", 0)? as usize) };
    let file = tempfile::NamedTempFile::new()?;
    let manifest = write_tokens(file.path())?;
    let check = Check { dry, target, tokens: TokenFile::open(file.path(), &manifest)?, manifest };
    let asked = text("--part");
    let wanted = |part: &str| asked.as_deref().is_none_or(|asked| asked == part);
    let mut found = json!({ "dry": dry, "device": target.name(), "machine": machine() });
    if wanted("operations") {
        found["operations"] = check.operations()?;
    }
    if wanted("parity") {
        found["parity"] = check.parity()?;
    }
    if wanted("resume") {
        found["resume"] = check.resume()?;
    }
    if wanted("speed") {
        found["speed"] = check.speed()?;
    }
    show(&serde_json::to_string_pretty(&found)?);
    Ok(())
}

#[expect(clippy::print_stdout, reason = "an example prints its result")]
fn show(line: &str) {
    println!("{line}");
}

fn text(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}

fn number(name: &str, default: u32) -> Result<u32, std::num::ParseIntError> {
    text(name).map_or(Ok(default), |value| value.parse())
}

/// What the trainer finds here, as `doctor` says it.
fn machine() -> Value {
    device_report().into_iter().map(|(name, finding)| format!("{name}: {finding}")).collect()
}

struct Check {
    dry: bool,
    target: Target,
    tokens: TokenFile,
    manifest: CorpusManifest,
}

impl Check {
    // ------------------------------------------------------------------------------------------------ operations

    fn operations(&self) -> Answer<Value> {
        let found = operations(self.target)?;
        let rows: Vec<Value> = found
            .iter()
            .map(|one| {
                json!({
                    "operation": one.operation, "precision": one.precision.name(), "apart": one.apart,
                    "allowed": one.allowed, "holds": one.apart <= one.allowed,
                })
            })
            .collect();
        Ok(rows.into())
    }

    // ---------------------------------------------------------------------------------------------------- parity

    /// Small enough for the CPU; large enough that seeds scatter less than learning moves the loss.
    fn small(&self) -> RunConfig {
        let (width, context, steps) = if self.dry { (16, 20, 16) } else { (64, 128, 400) };
        let shape = ModelShape { input_order: 2, ..shape(width, 8, 2, context) };
        RunConfig { seed: 1, ..self.config(shape, 9, steps) }
    }

    fn parity(&self) -> Answer<Value> {
        let small = self.small();
        let on_cpu = |seed| -> Answer<f64> {
            loss(&train(&RunConfig { seed, ..small.clone() }, &self.tokens, &mut Sink::default(), &options(1))?)
        };
        let seeds: Vec<f64> = (1..=5).map(on_cpu).collect::<Answer<_>>()?;
        let mean = seeds.iter().sum::<f64>() / seeds.len() as f64;
        let squares: f64 = seeds.iter().map(|loss| (loss - mean).powi(2)).sum();
        let deviation = (squares / (seeds.len() - 1) as f64).sqrt();
        let row = |precision: Precision| -> Answer<Value> {
            let outcome =
                train_there((self.target, precision), &small, &self.tokens, &mut Sink::default(), &options(1))?;
            let found = loss(&outcome)?;
            let apart = (found - seeds[0]).abs();
            Ok(json!({
                "precision": precision.name(), "loss_cpu": seeds[0], "loss_card": found, "apart": apart,
                "seed_deviation": deviation, "allowed": 2.0 * deviation, "holds": apart <= 2.0 * deviation,
                "graph": replayed_as_graph(self.target, &outcome), "notes": outcome.environment.notes,
            }))
        };
        Ok(Precision::ALL.into_iter().map(row).collect::<Answer<Vec<_>>>()?.into())
    }

    // ---------------------------------------------------------------------------------------------------- resume

    /// A run that is killed in its middle and given again ends with the loss of one that was not.
    fn resume(&self) -> Answer<Value> {
        let small = self.small();
        let every_step = TrainOptions { checkpoint_every: Duration::ZERO, ..options(1) };
        let there =
            |sink: &mut Sink| train_there((self.target, Precision::Bf16), &small, &self.tokens, sink, &every_step);
        let whole = loss(&there(&mut Sink::default())?)?;
        let mut sink = Sink { killed_at: Some(small.steps / 2), ..Sink::default() };
        let killed = there(&mut sink).is_err();
        sink.killed_at = None;
        let again = loss(&there(&mut sink)?)?;
        let apart = (again - whole).abs();
        Ok(
            json!({ "killed": killed, "loss": whole, "loss_resumed": again, "apart": apart, "holds": killed && apart < 1e-3 }),
        )
    }

    // ----------------------------------------------------------------------------------------------------- speed

    fn speed(&self) -> Answer<Value> {
        let widths: Vec<u32> = match (number("--width", 0)?, self.dry) {
            (0, false) => vec![256, 512, 1024],
            (0, true) => vec![16],
            (width, _) => vec![width],
        };
        Ok(widths.into_iter().map(|width| self.speed_of(width)).collect::<Answer<Vec<_>>>()?.into())
    }

    fn speed_of(&self, width: u32) -> Answer<Value> {
        let (layers, context, sequences) = if self.dry { (2, 20, 4) } else { (8, 512, 64) };
        let (layers, context) = (number("--layers", layers)?, number("--context", context)?);
        let shape = shape(width, if self.dry { 8 } else { 64 }, layers, context);
        let steps = if self.dry { 12 } else { 10_000_000 };
        let config = self.config(shape, number("--sequences", sequences)?, steps);
        let precision = text("--precision").map_or(Ok(Precision::Bf16), |name| name.parse())?;
        let options = options(number("--accumulate", 1)?);
        let seconds = Duration::from_secs(number("--seconds", 20)?.into());
        let (rates, outcome) = self.rates((&config, precision), &options, seconds)?;
        let rate = median(&rates);
        let flops_per_token = config.flops().exact / config.tokens() as f64;
        let peak = self.peak()?;
        Ok(json!({
            "width": width, "layers": layers, "context": context, "sequences": config.sequences,
            "precision": precision.name(), "accumulate": options.accumulate, "tokens_per_second": rate,
            "flops_per_token": flops_per_token, "tflops": rate * flops_per_token / 1e12,
            "mfu": peak.map(|peak| rate * flops_per_token / 1e12 / peak), "peak_tflops": peak,
            "readings": rates.len(), "graph": replayed_as_graph(self.target, &outcome),
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
        let mut watch = Stopwatch { rates: Vec::new(), began: None, limit, stop: &stop };
        let options = TrainOptions { stop: Some(&stop), registration_sha256: None, ..*options };
        let outcome = train_there((self.target, precision), config, &self.tokens, &mut watch, &options)?;
        let mut rates = watch.rates;
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
        let card = report.iter().find_map(|(_, finding)| finding.strip_prefix(&start)).unwrap_or_default();
        Ok(PEAKS.iter().find(|(part, _)| card.contains(part)).map(|(_, peak)| *peak))
    }

    fn config(&self, shape: ModelShape, sequences: u32, steps: u64) -> RunConfig {
        let base_width = shape.width;
        let context = u64::from(shape.context);
        RunConfig {
            family: Family::Qwen3,
            sequences,
            corpus_digest: self.manifest.digest.clone(),
            steps,
            optimizer: OptimizerConfig {
                learning_rate: 0.01,
                embedding_learning_rate: 0.02,
                base_width,
                base_layers: shape.layers,
                parametrization: Parametrization::Mup,
                beta1: 0.9,
                beta2: 0.99,
                epsilon: 1e-10,
                weight_decay: 0.01,
                clip_norm: 1.0,
                schedule: ScheduleKind::Linear,
                warmup_steps: (steps / 10).min(1000),
                decay_steps: 0,
            },
            evaluation: EvaluationConfig { tokens: 64 * context, curve_tokens: 0, curve_points: 0, tasks: None },
            seed: 1,
            allow_repeats: true,
            branch: false,
            shape,
        }
    }
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
    TrainOptions {
        device: DeviceChoice::Cpu,
        precision: None,
        accumulate,
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        registration_sha256: None,
        checkpoint_every: Duration::from_secs(3600),
        stop: None,
    }
}

fn loss(outcome: &TrainOutcome) -> Answer<f64> {
    let loss = outcome.metrics.iter().find(|metric| metric.name == "loss");
    Ok(loss.ok_or_else(|| format!("the run ended as {:?}: {:?}", outcome.status, outcome.reason))?.value)
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Keeps the speed of each second, and stops a run so long after the first.
struct Stopwatch<'a> {
    rates: Vec<f64>,
    began: Option<Instant>,
    limit: Duration,
    stop: &'a AtomicBool,
}

impl RunSink for Stopwatch<'_> {
    fn log(&mut self, line: &LogLine) -> Result<(), SinkError> {
        if let LogLine::Step { tokens_per_second, .. } = line {
            self.rates.push(*tokens_per_second);
            let began = *self.began.get_or_insert_with(Instant::now);
            self.stop.store(began.elapsed() >= self.limit, Ordering::Relaxed);
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

/// Keeps the last checkpoint, and can fail at a step as a killed process would.
#[derive(Default)]
struct Sink {
    saved: Option<Checkpoint>,
    killed_at: Option<u64>,
}

impl RunSink for Sink {
    fn log(&mut self, _: &LogLine) -> Result<(), SinkError> {
        Ok(())
    }
    fn attempts(&mut self) -> Result<u32, SinkError> {
        Ok(0)
    }
    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        self.saved = Some(checkpoint.clone());
        let killed =
            SinkError { place: "memory".to_owned(), problem: "killed".to_owned(), hint: "start again".to_owned() };
        if self.killed_at.is_some_and(|killed_at| checkpoint.step >= killed_at) { Err(killed) } else { Ok(()) }
    }
    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(self.saved.clone())
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
        spec: CorpusSpec::Files(FilesSpec {
            paths: Vec::new(),
            validation_share: 0.02,
            tokenizer: TokenizerSpec::default(),
        }),
        digest: "gpu-check".to_owned(),
        tokens_sha256: "gpu-check".to_owned(),
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
