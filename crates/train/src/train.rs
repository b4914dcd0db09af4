//! The loop: set up, resume, { evaluate, save, stop?, one step, log }, final.
//!
//! What decides the numbers (weights, moments, order of data, watch over the loss) depends on the config alone; what
//! depends on the clock (when to save, when to log) never touches them. So a run that was interrupted anywhere and
//! resumed ends with the same metrics and curve as one that was not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forescale_core::count::ParameterCounts;
use forescale_core::record::{CurvePoint, Environment, LogLine, Metric, RunSink, RunStatus};
use forescale_core::run::RunConfig;

use crate::checkpoint::{self, LossWatch, Progress};
use crate::data::{Batch, BlockOrder, TokenFile};
use crate::device::{DeviceChoice, peak_memory_bytes};
use crate::error::TrainError;
use crate::evaluate::{self, MeanLoss, Window, eval_set_digest};
use crate::kernels::cross_entropy::{cross_entropy, window_losses};
use crate::kernels::simd::SimdLevel;
use crate::kernels::tape::{Gradients, Tape};
use crate::kernels::tensor;
use crate::model::{Inputs, Model};
use crate::optim::Optimizer;
use crate::schedule::Schedule;
use crate::shard::{Workers, shards};

/// Wall time between two step lines of the log.
const LOG_EVERY: Duration = Duration::from_secs(1);
/// Windows evaluated in one piece; fixed, so that results do not depend on threads.
const WINDOWS_PER_PIECE: usize = 4;

/// How a run is carried out; nothing here changes its numbers.
pub struct TrainOptions<'a> {
    /// Device to train on.
    pub device: DeviceChoice,
    /// Threads; 0 counts as 1.
    pub threads: usize,
    /// Digest of the registration, where the run is a registered target.
    pub registration_sha256: Option<String>,
    /// Wall time between checkpoints.
    pub checkpoint_every: Duration,
    /// Set from outside to stop the run at its next step, with a checkpoint.
    pub stop: Option<&'a AtomicBool>,
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOutcome {
    /// How it ended.
    pub status: RunStatus,
    /// Why, unless it finished.
    pub reason: Option<String>,
    /// Parameters by group, equal to the tensors that were trained.
    pub parameters: ParameterCounts,
    /// Steps done.
    pub steps: u64,
    /// Training tokens seen, each counted once.
    pub unique_tokens: u64,
    /// What was measured at the end; empty unless the run finished.
    pub metrics: Vec<Metric>,
    /// What was measured on the way, the final evaluation last.
    pub curve: Vec<CurvePoint>,
    /// Where and how.
    pub environment: Environment,
}

/// Trains one run to its end, from its checkpoint if the sink has one.
///
/// # Errors
///
/// Only what is not a result: a corpus that does not fit the config, a device that cannot train, a damaged or foreign
/// checkpoint, a log that cannot be written. A diverged run is an outcome.
#[expect(clippy::too_many_lines, reason = "one straight loop is easier to follow than its pieces")]
pub fn train(
    config: &RunConfig,
    tokens: &TokenFile,
    sink: &mut dyn RunSink,
    options: &TrainOptions<'_>,
) -> Result<TrainOutcome, TrainError> {
    // ---------------------------------------------------------------------------------------------------- set up
    let started = Instant::now();
    let device = options.device.resolve()?;
    check(config, tokens)?;
    let simd = SimdLevel::detect().name();
    let digest = config.digest();
    let mut order = BlockOrder::of(config, tokens.manifest())?;
    let exam = Exam::new(config, tokens)?;
    let workers = Workers::start(options.threads)?;
    let model = Model::initialise(config)?;
    let mut optimizer = Optimizer::new(&config.optimizer, &model.weights);
    let schedule = schedule(config);

    // ---------------------------------------------------------------------------------------------------- resume
    let mut progress = match sink.restore()? {
        Some(saved) => {
            let before = checkpoint::unpack(&saved, &digest, &model.weights, &mut optimizer)?;
            resumed(before, simd)
        }
        None => fresh(simd),
    };
    let earlier_seconds = progress.wall_seconds;
    let attempt = sink.attempts()? + 1;
    progress.attempts = attempt;
    sink.log(&LogLine::Start {
        attempt,
        step: progress.step,
        steps: config.steps,
        registration_sha256: options.registration_sha256.clone(),
        simd: simd.to_owned(),
        device: device.to_owned(),
    })?;
    let mut last_save = Instant::now();
    let mut since_log = SinceLog::start();

    // ------------------------------------------------------------------------------------------------------ loop
    let (status, reason, measured) = loop {
        let step = progress.step;
        let mut measured = None;

        // Evaluate, at equal steps and at the end.
        if is_curve_step(config, step) && progress.curve.last().is_none_or(|point| point.step < step) {
            let loss = exam.take(&model, &workers)?;
            if !loss.mean.is_finite() {
                break (RunStatus::Diverged, Some(format!("the validation loss is {} (step {step})", loss.mean)), None);
            }
            let point = curve_point(config, &schedule, step, loss.mean);
            sink.log(&LogLine::Evaluation { attempt, point })?;
            progress.curve.push(point);
            measured = Some(loss);
        }
        if step == config.steps {
            break (RunStatus::Finished, None, measured);
        }

        // Save by the clock, and before stopping.
        let stop = options.stop.is_some_and(|flag| flag.load(Ordering::Relaxed));
        if stop || last_save.elapsed() >= options.checkpoint_every {
            progress.wall_seconds = earlier_seconds + started.elapsed().as_secs_f64();
            sink.save(&checkpoint::pack(&digest, &progress, &model.weights, &optimizer)?)?;
            last_save = Instant::now();
        }
        if stop {
            break (RunStatus::Stopped, Some(format!("stopped on request after step {step}")), None);
        }

        // One step.
        let batch = read_batch(config, tokens, &mut order, step)?;
        let (loss, gradients) = forward_backward(config, &model, &workers, &batch)?;
        if let Some(reason) = progress.watch.diverged(loss) {
            break (RunStatus::Diverged, Some(format!("{reason} (step {})", step + 1)), None);
        }
        optimizer.gather(&model.weights, &gradients)?;
        let gradient_norm = optimizer.gradient_norm();
        if !gradient_norm.is_finite() {
            break (
                RunStatus::Diverged,
                Some(format!("the gradient norm is {gradient_norm} (step {})", step + 1)),
                None,
            );
        }
        optimizer.step(&model.weights, step, schedule.share(step), gradient_norm)?;
        progress.step += 1;

        // Log.
        since_log.add(loss);
        if since_log.started.elapsed() >= LOG_EVERY || progress.step == config.steps {
            sink.log(&since_log.line(config, attempt, progress.step, gradient_norm))?;
            since_log = SinceLog::start();
        }
    };

    // ----------------------------------------------------------------------------------------------------- final
    let wall_seconds = started.elapsed().as_secs_f64();
    sink.log(&LogLine::End { attempt, step: progress.step, status, wall_seconds })?;
    let windows_read = progress.step * u64::from(config.sequences);
    let metrics = match measured {
        Some(loss) if status == RunStatus::Finished => evaluate::metrics(loss, &exam.digest, tokens.manifest()),
        _ => Vec::new(),
    };
    Ok(TrainOutcome {
        status,
        reason,
        parameters: model.parameters,
        steps: progress.step,
        unique_tokens: order.unique_tokens(windows_read, tokens.manifest()),
        metrics,
        curve: progress.curve,
        environment: Environment {
            device: device.to_owned(),
            dtype: "f32".to_owned(),
            simd: simd.to_owned(),
            threads: u32::try_from(options.threads.max(1)).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wall_seconds: earlier_seconds + wall_seconds,
            attempts: attempt,
            peak_memory_bytes: peak_memory_bytes(),
            notes: progress.notes,
        },
    })
}

fn check(config: &RunConfig, tokens: &TokenFile) -> Result<(), TrainError> {
    let manifest = tokens.manifest();
    if config.corpus_digest != manifest.digest {
        let (planned, found) = (config.corpus_digest.clone(), manifest.digest.clone());
        return Err(TrainError::OtherCorpus { planned, found });
    }
    if config.shape.vocabulary < manifest.vocabulary {
        return Err(TrainError::config(
            format!("a model of {} tokens cannot read a corpus of {}", config.shape.vocabulary, manifest.vocabulary),
            format!("set `vocabulary` to {} or more", manifest.vocabulary),
        ));
    }
    let optimizer = &config.optimizer;
    for (name, value, limit) in [("steps", config.steps, 1), ("sequences", u64::from(config.sequences), 1)] {
        if value < limit {
            return Err(TrainError::config(
                format!("`{name}` is {value}; at least {limit} is needed"),
                format!("set `{name}`"),
            ));
        }
    }
    let positive = [("clip_norm", optimizer.clip_norm), ("base_width", f64::from(optimizer.base_width))];
    if let Some((name, value)) = positive.into_iter().find(|(_, value)| value.is_nan() || *value <= 0.0) {
        return Err(TrainError::config(format!("`{name}` is {value}; it must be above 0"), format!("set `{name}`")));
    }
    Ok(())
}

fn schedule(config: &RunConfig) -> Schedule {
    let optimizer = &config.optimizer;
    Schedule { kind: optimizer.schedule, steps: config.steps, warmup_steps: optimizer.warmup_steps }
}

fn fresh(simd: &str) -> Progress {
    Progress {
        step: 0,
        curve: Vec::new(),
        watch: LossWatch::default(),
        attempts: 1,
        wall_seconds: 0.0,
        simd: simd.to_owned(),
        notes: Vec::new(),
    }
}

fn resumed(mut progress: Progress, simd: &str) -> Progress {
    if progress.simd != simd {
        progress.notes.push(format!(
            "vector instructions changed from {} to {simd} at step {}; the last bits of later steps may differ",
            progress.simd, progress.step
        ));
        simd.clone_into(&mut progress.simd);
    }
    progress
}

/// Whether a step is one of the curve's: `curve_points` at equal distances, and the last step.
fn is_curve_step(config: &RunConfig, step: u64) -> bool {
    let parts = u64::from(config.evaluation.curve_points) + 1;
    step > 0 && (1..=parts).any(|part| part * config.steps / parts == step)
}

fn curve_point(config: &RunConfig, schedule: &Schedule, step: u64, loss: f64) -> CurvePoint {
    CurvePoint {
        step,
        tokens: step * config.batch_tokens(),
        learning_rate_share: schedule.share(step.saturating_sub(1)),
        loss,
    }
}

/// The evaluation set, read once.
struct Exam {
    digest: String,
    windows: Vec<Window>,
    pieces: Vec<(Inputs, Vec<u32>)>,
    context: usize,
}

impl Exam {
    fn new(config: &RunConfig, tokens: &TokenFile) -> Result<Self, TrainError> {
        let windows = evaluate::windows(config, tokens.manifest())?;
        let context = config.shape.context as usize;
        let piece = |windows: &[Window]| -> Result<_, TrainError> {
            let mut batch = Batch::empty(windows.len(), context);
            for (index, window) in windows.iter().enumerate() {
                tokens.read_validation(window.start, batch.window_mut(index))?;
            }
            Ok((Inputs { tokens: batch.inputs.into(), context }, batch.targets))
        };
        let pieces = windows.chunks(WINDOWS_PER_PIECE).map(piece).collect::<Result<_, _>>()?;
        Ok(Self { digest: eval_set_digest(config, tokens.manifest()), windows, pieces, context })
    }

    fn take(&self, model: &Model, workers: &Workers) -> Result<MeanLoss, TrainError> {
        let of_piece = |(inputs, targets): &(Inputs, Vec<u32>)| {
            window_losses(&model.family.logits(&Tape::forward_only(), inputs)?, targets, self.context)
        };
        let sums = workers.map(&self.pieces, of_piece).into_iter().collect::<candle_core::Result<Vec<_>>>()?.concat();
        Ok(evaluate::mean_loss(&self.windows, &sums, self.context as u64))
    }
}

fn read_batch(config: &RunConfig, tokens: &TokenFile, order: &mut BlockOrder, step: u64) -> Result<Batch, TrainError> {
    let sequences = config.sequences as usize;
    let mut batch = Batch::empty(sequences, config.shape.context as usize);
    for index in 0..sequences {
        let start = order.start(step * u64::from(config.sequences) + index as u64);
        tokens.read_train(start, batch.window_mut(index))?;
    }
    Ok(batch)
}

/// Mean loss of a batch, and the gradients of its shards, in order.
fn forward_backward(
    config: &RunConfig,
    model: &Model,
    workers: &Workers,
    batch: &Batch,
) -> Result<(f64, Vec<Gradients>), TrainError> {
    let weight = 1.0 / config.batch_tokens() as f32;
    let dealt = shards(config.sequences as usize);
    let of_shard = |range: &std::ops::Range<usize>| -> candle_core::Result<(f64, Gradients)> {
        let tokens = range.start * batch.context..range.end * batch.context;
        let inputs = Inputs { tokens: Arc::from(&batch.inputs[tokens.clone()]), context: batch.context };
        let tape = Tape::recording();
        let logits = model.family.logits(&tape, &inputs)?;
        let loss = cross_entropy(&tape, &logits, Arc::from(&batch.targets[tokens]), weight)?;
        Ok((f64::from(loss.to_scalar::<f32>()?), tape.backward(&loss, tensor(vec![1.0], ())?)?))
    };
    let (losses, gradients): (Vec<f64>, Vec<Gradients>) =
        workers.map(&dealt, of_shard).into_iter().collect::<candle_core::Result<Vec<_>>>()?.into_iter().unzip();
    Ok((losses.iter().sum(), gradients))
}

/// What happened since the last step line.
struct SinceLog {
    started: Instant,
    steps: u64,
    losses: f64,
}

impl SinceLog {
    fn start() -> Self {
        Self { started: Instant::now(), steps: 0, losses: 0.0 }
    }

    fn add(&mut self, loss: f64) {
        self.steps += 1;
        self.losses += loss;
    }

    fn line(&self, config: &RunConfig, attempt: u32, step: u64, gradient_norm: f64) -> LogLine {
        let seconds = self.started.elapsed().as_secs_f64().max(1e-9);
        LogLine::Step {
            attempt,
            step,
            loss: self.losses / self.steps as f64,
            gradient_norm,
            tokens_per_second: (self.steps * config.batch_tokens()) as f64 / seconds,
        }
    }
}

#[cfg(test)]
mod tests;
