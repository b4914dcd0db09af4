//! The loop: set up, resume, { evaluate, judge, save, stop?, one step, log }, final.
//!
//! What decides the numbers (weights, moments, order of data, watch over the loss) depends on the config alone; what
//! depends on the clock (when to save, when to log) never touches them. So a run that was interrupted anywhere and
//! resumed ends with the same metrics and curve as one that was not.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use forescale_core::count::ParameterCounts;
use forescale_core::items::ItemResult;
use forescale_core::record::{CurvePoint, Environment, LogLine, Metric, RunSink, RunStatus};
use forescale_core::run::RunConfig;

use crate::card::Taken;
use crate::check::{check, check_parts};
use crate::checkpoint::{self, Owner, Progress};
use crate::data::{BlockOrder, TokenFile};
use crate::device::{DeviceChoice, peak_memory_bytes};
use crate::error::TrainError;
use crate::evaluate;
use crate::exam::{Exam, is_curve_step};
use crate::kernels::simd::SimdLevel;
use crate::machine::{Machine, Moment, Place};
use crate::model::Model;
use crate::optim::Optimizer;
use crate::precision::Precision;
use crate::schedule::Schedule;
use crate::shard::Workers;
use crate::step::{fetch_ahead, read_batch};
use crate::task::{Tasks, not_a_number};

/// Wall time between two step lines of the log.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// How a run is carried out; nothing here changes its config, and its numbers by no more than rounding.
pub struct TrainOptions<'a> {
    /// Device to train on.
    pub device: DeviceChoice,
    /// Number format; the device's own unless asked for. One of the run's circumstances, like its device: it moves
    /// results by rounding, within the scatter of seeds.
    pub precision: Option<Precision>,
    /// Equal parts that a step's sequences are split into, one after another, their gradients added up; at least 1, and a
    /// divisor of the sequences. More parts take less memory.
    pub accumulate: u32,
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
    /// How the problems of the corpus were answered at the end; empty unless the run finished and its config asks for it.
    pub items: Vec<ItemResult>,
    /// What was measured on the way and at the end, each point on the same part of the evaluation set.
    pub curve: Vec<CurvePoint>,
    /// How often the training loss spiked: two steps in a row far above its running mean.
    pub spikes: u64,
    /// Where and how.
    pub environment: Environment,
}

/// Trains one run to its end, from its checkpoint if the sink has one; a branch without one goes on from its trunk's.
///
/// # Errors
///
/// Only what is not a result: a corpus that does not fit the config, a device that cannot train, a damaged or foreign
/// checkpoint, a log that cannot be written. A diverged run is an outcome.
pub fn train(
    config: &RunConfig,
    tokens: &TokenFile,
    sink: &mut dyn RunSink,
    options: &TrainOptions<'_>,
) -> Result<TrainOutcome, TrainError> {
    let opened = options.device.open(options.precision);
    let place = opened.map_err(|error| error.opening_for(config.sequences, options.accumulate))?;
    train_at(place, config, tokens, sink, options)
}

/// Trains a run on a device that was opened.
#[expect(clippy::too_many_lines, reason = "one straight loop is easier to follow than its pieces")]
pub(crate) fn train_at(
    place: Place,
    config: &RunConfig,
    tokens: &TokenFile,
    sink: &mut dyn RunSink,
    options: &TrainOptions<'_>,
) -> Result<TrainOutcome, TrainError> {
    // ---------------------------------------------------------------------------------------------------- set up
    let started = Instant::now();
    let (device, precision, arithmetic) = (place.name.clone(), place.precision, place.arithmetic());
    check(config, tokens)?;
    check_parts(config, options.accumulate)?;
    let simd = SimdLevel::detect().name();
    let (digest, trunk) = (config.digest(), config.trunk_id());
    let mut order = BlockOrder::of(config, tokens.manifest())?;
    let exam = Exam::new(config, tokens)?;
    let tasks = Tasks::of(config, tokens)?;
    let workers = Workers::start(options.threads)?;
    let model = Model::initialise(config)?;
    let mut optimizer = Optimizer::new(&config.optimizer, &model.weights);
    let schedule = Schedule::of(config);
    let mut machine = Machine::start(place, config, options.accumulate)?;

    // ---------------------------------------------------------------------------------------------------- resume
    let mut progress = match sink.restore()? {
        Some(saved) => checkpoint::unpack(&saved, Owner::Run(&digest), &model.weights, &mut optimizer)?,
        None => taken_over(config, sink, &model, &mut optimizer)?.unwrap_or_else(|| Progress::fresh(simd, &arithmetic)),
    }
    .resumed(simd, &arithmetic);
    machine.send(&model, &optimizer)?;
    let earlier_seconds = progress.wall_seconds;
    let attempt = sink.attempts()? + 1;
    progress.attempts = attempt;
    progress.note_parts(options.accumulate);
    sink.log(&LogLine::Start {
        attempt,
        step: progress.step,
        steps: config.steps,
        registration_sha256: options.registration_sha256.clone(),
        simd: simd.to_owned(),
        device: device.clone(),
    })?;
    let mut last_save = Instant::now();
    let mut since_log = SinceLog::start();

    // ------------------------------------------------------------------------------------------------------ loop
    let mut items = Vec::new();
    let (status, reason, measured) = loop {
        let step = progress.step;
        let mut measured = None;

        // Keep the last weights, and before they are measured: a run killed in between is measured again.
        if step == config.steps {
            progress.wall_seconds = earlier_seconds + started.elapsed().as_secs_f64();
            machine.fetch(&model, &mut optimizer)?;
            sink.save(&checkpoint::pack(Owner::Run(&digest), &progress, &model.weights, &optimizer)?)?;
        }

        // Keep the trunk for its other branches.
        if let Some(trunk) = &trunk
            && step == config.branch_step()
            && step > progress.taken_over
        {
            let handed_on = progress.of_trunk();
            machine.fetch(&model, &mut optimizer)?;
            sink.save_trunk(&checkpoint::pack(Owner::Trunk(trunk), &handed_on, &model.weights, &optimizer)?)?;
        }

        // Evaluate: on the way a part of the set, at the end all of it.
        if is_curve_step(config, step) && progress.curve.last().is_none_or(|point| point.step < step) {
            let last = step == config.steps;
            let loss = machine.evaluate(&exam, &model, &workers, last)?;
            if !loss.is_finite() {
                break (RunStatus::Diverged, Some(format!("the validation loss is not a number (step {step})")), None);
            }
            let point = curve_point(config, &schedule, step, loss.part);
            sink.log(&LogLine::Evaluation { attempt, point })?;
            progress.curve.push(point);
            measured = loss.all;
        }

        // Judge the problems, at the end alone and on the CPU, which holds the last weights by now.
        if step == config.steps {
            let judged = tasks.as_ref().map_or(Ok(Vec::new()), |tasks| tasks.judge(config, &model, &workers))?;
            if let Some(reason) = not_a_number(&judged) {
                break (RunStatus::Diverged, Some(format!("{reason} (step {step})")), None);
            }
            items = judged;
            break (RunStatus::Finished, None, measured);
        }

        // Save by the clock, and before stopping.
        let stop = options.stop.is_some_and(|flag| flag.load(Ordering::Relaxed));
        if stop || last_save.elapsed() >= options.checkpoint_every {
            progress.wall_seconds = earlier_seconds + started.elapsed().as_secs_f64();
            machine.fetch(&model, &mut optimizer)?;
            sink.save(&checkpoint::pack(Owner::Run(&digest), &progress, &model.weights, &optimizer)?)?;
            last_save = Instant::now();
        }
        if stop {
            break (RunStatus::Stopped, Some(format!("stopped on request after step {step}")), None);
        }

        // One step.
        let batch = read_batch(config, tokens, &mut order, step)?;
        fetch_ahead(config, tokens, &mut order, step + 1);
        let share = schedule.share(step);
        let moment = Moment { config, model: &model, workers: &workers, batch: &batch, step, share };
        let Taken { loss, gradient_norm } = machine.step(moment, &mut optimizer)?;
        if let Some(reason) = progress.watch.take_in(loss, step >= config.optimizer.warmup_steps) {
            break (RunStatus::Diverged, Some(format!("{reason} (step {})", step + 1)), None);
        }
        if !gradient_norm.is_finite() {
            break (
                RunStatus::Diverged,
                Some(format!("the gradient norm is {gradient_norm} (step {})", step + 1)),
                None,
            );
        }
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
    let mut metrics = match measured {
        Some(loss) if status == RunStatus::Finished => evaluate::metrics(loss, exam.digest(), tokens.manifest()),
        _ => Vec::new(),
    };
    metrics.extend(tasks.iter().flat_map(|tasks| tasks.metrics(&items, tokens.manifest())));
    Ok(TrainOutcome {
        status,
        reason,
        parameters: model.parameters,
        steps: progress.step,
        unique_tokens: order.unique_tokens(windows_read, tokens.manifest()),
        metrics,
        items,
        spikes: progress.watch.spikes,
        environment: Environment {
            device,
            dtype: precision.name().to_owned(),
            simd: simd.to_owned(),
            threads: u32::try_from(options.threads.max(1)).unwrap_or(u32::MAX),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            wall_seconds: earlier_seconds + wall_seconds,
            attempts: attempt,
            peak_memory_bytes: peak_memory_bytes(),
            notes: [progress.all_notes(), machine.notes()].concat(),
            accumulate: options.accumulate,
            card: None,
        },
        curve: progress.curve,
    })
}

/// The latest state of a branch's trunk that lies before its cooldown, if the sink has one.
fn taken_over(
    config: &RunConfig,
    sink: &mut dyn RunSink,
    model: &Model,
    optimizer: &mut Optimizer,
) -> Result<Option<Progress>, TrainError> {
    let (Some(trunk), latest) = (config.trunk_id(), config.branch_step()) else { return Ok(None) };
    let Some(saved) = sink.restore_trunk(latest)? else { return Ok(None) };
    let owner = Owner::Trunk(&trunk);
    if saved.step > latest {
        return Err(owner.refuse(saved.step, format!("the cooldown of this branch begins at step {latest}")));
    }
    let before = checkpoint::unpack(&saved, owner, &model.weights, optimizer)?;
    Ok(Some(Progress { taken_over: saved.step, ..before }))
}

fn curve_point(config: &RunConfig, schedule: &Schedule, step: u64, loss: f64) -> CurvePoint {
    CurvePoint {
        step,
        tokens: step * config.batch_tokens(),
        learning_rate_share: schedule.share(step.saturating_sub(1)),
        loss,
    }
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
