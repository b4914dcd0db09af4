//! `forescale exec`: trains one run of a sweep, from its last checkpoint if there is one, and seals its record.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use forescale_core::count::FlopsCounts;
use forescale_core::digest::json_list_digest;
use forescale_core::record::{LogLine, RECORD_SCHEMA, RunRecord, RunSink as _, RunStatus};
use forescale_core::run::PlannedRun;
use forescale_sweep::cards::Watch;
use forescale_sweep::{RunFolder, RunState};
use forescale_train::{DeviceChoice, Precision, TokenFile, TrainError, TrainOptions, TrainOutcome};

use crate::args::ExecArgs;
use crate::exit::Answer;
use crate::memory::{self, Allowance};
use crate::output;
use crate::place;
use crate::signal;
use crate::workplace::{self, Workplace};

pub(crate) fn run(args: &ExecArgs) -> anyhow::Result<Answer> {
    let device: DeviceChoice = args.device.device.parse()?;
    let asked = place::asked(&args.device)?;
    let precision = device.precision(asked).map_err(|error| place::as_typed(&error, &args.device.device))?;
    let Ok(checkpoint_every) = Duration::try_from_secs_f64(args.checkpoint_seconds) else {
        bail!(
            "`--checkpoint-seconds {}` is not a time of at least 0 seconds\n\nhint: --checkpoint-seconds 20",
            args.checkpoint_seconds
        );
    };
    let workplace = Workplace::open_built(&args.sweep)?;
    let run = find(&workplace, args)?;
    let run = &run;
    refuse_forbidden(args, &workplace, run, precision)?;
    let mut folder = workplace.store.begin(run)?;
    if folder.record()?.is_some() {
        output::say(&format!("{} is sealed already", run.name));
        return Ok(Answer::Yes);
    }
    let registration_sha256 = first_registration(&folder.lines()?, || {
        Ok(workplace.registration(run)?.map(|registration| registration.sha256))
    })?;
    let stop = signal::asked_to_end();
    let built = workplace.built();
    let tokens = TokenFile::open(&built.dir.join("tokens.bin"), &built.manifest)?;
    let options = TrainOptions {
        device,
        precision: Some(precision),
        accumulate: args.accumulate,
        threads: args.threads,
        registration_sha256: registration_sha256.clone(),
        checkpoint_every,
        stop: Some(stop),
    };
    let watch = place::watch(device);
    let trained = forescale_train::train(&run.config, &tokens, &mut folder, &options);
    if let Err(error) = &trained {
        note_refusal(error, &mut folder)?;
    }
    let explained = |error| memory::explained(error, workplace.spec.hardware().accumulate);
    let mut outcome = trained.map_err(explained).with_context(|| format!("run `{}`", run.name))?;
    refuse_unfinished(&outcome, stop, run)?;
    outcome.environment.card = watch.and_then(Watch::finish);
    folder.keep_items(&outcome.items)?;
    outcome.environment.notes.extend(memory_notes(&folder.lines()?));
    let record = record_of(run, &workplace, registration_sha256, outcome);
    folder.seal(&record)?;
    Ok(Answer::Yes)
}

/// The run asked for: of the sweep's plan, or of a probe's list, which has to be what its identity says.
fn find(workplace: &Workplace, args: &ExecArgs) -> anyhow::Result<PlannedRun> {
    let Some(list) = &args.probe else { return workplace.find(&args.run).cloned() };
    let runs: Vec<PlannedRun> = workplace::read_json(list)?;
    let run = runs.into_iter().find(|run| run.id.0 == args.run || run.name == args.run);
    let run = run.with_context(|| format!("`{}` lists no run `{}`", list.display(), args.run))?;
    let (found, corpus) = (run.config.id(), &workplace.built().manifest.digest);
    if found != run.id || run.config.corpus_digest != *corpus {
        bail!(
            "`{}`: the config of `{}` has the identity `{found}` on corpus `{}`, not `{}` on `{corpus}`\n\n\
             hint: give the probe's own command again, which writes the list anew",
            list.display(),
            run.name,
            run.config.corpus_digest,
            run.id
        );
    }
    Ok(run)
}

/// A run that was told to end has saved its state and is not over: it is not sealed, and the next attempt goes on from there.
fn refuse_unfinished(outcome: &TrainOutcome, stop: &AtomicBool, run: &PlannedRun) -> anyhow::Result<()> {
    if outcome.status == RunStatus::Stopped && stop.load(Ordering::Relaxed) {
        bail!(
            "run `{}` was told to end after step {} of {}; its state is saved\n\nhint: the same command goes on from there",
            run.name,
            outcome.steps,
            run.config.steps
        );
    }
    Ok(())
}

/// Refuses a run that its spec, its device or the memory that it may take does not allow, before anything of it is begun.
fn refuse_forbidden(
    args: &ExecArgs,
    workplace: &Workplace,
    run: &PlannedRun,
    precision: Precision,
) -> anyhow::Result<()> {
    let may_accumulate = workplace.spec.hardware().accumulate;
    if args.accumulate > 1 && !may_accumulate {
        bail!(
            "`--accumulate {}` deals batches into parts, and `{}` forbids it (`[hardware] accumulate = false`)\n\n\
             hint: leave it out, or allow parts there",
            args.accumulate,
            workplace.spec.path().display()
        );
    }
    if matches!(workplace.store.state(&run.id)?, RunState::Sealed(_)) {
        return Ok(());
    }
    let choice: DeviceChoice = args.device.device.parse()?;
    let (limit, on_card) = (args.device.memory_limit, choice.resolve()? != "cpu");
    Allowance { limit, precision, on_card, may_accumulate }.check(run, args.accumulate)
}

/// Says in the log that memory did not suffice, by which a launcher knows that the run may be tried again.
fn note_refusal(error: &TrainError, folder: &mut RunFolder) -> anyhow::Result<()> {
    let TrainError::OutOfMemory { device, needed_bytes, free_bytes, accumulate, .. } = error else { return Ok(()) };
    let lines = folder.lines()?;
    let starts = lines.iter().filter(|line| matches!(line, LogLine::Start { .. })).count();
    let step = lines.iter().rev().find_map(|line| match line {
        LogLine::Start { step, .. } | LogLine::Step { step, .. } => Some(*step),
        _ => None,
    });
    let line = LogLine::OutOfMemory {
        attempt: u32::try_from(starts).unwrap_or(u32::MAX),
        step: step.unwrap_or(0),
        device: device.clone(),
        accumulate: *accumulate,
        needed_bytes: *needed_bytes,
        free_bytes: *free_bytes,
    };
    Ok(folder.log(&line)?)
}

/// What the log tells of attempts that memory did not suffice for, in words for the record.
fn memory_notes(log: &[LogLine]) -> impl Iterator<Item = String> {
    log.iter().filter_map(|line| match line {
        LogLine::OutOfMemory { step, device, accumulate, needed_bytes, free_bytes, .. } => Some(format!(
            "memory of {device} did not suffice at step {step} with each batch in {accumulate} {}: {}",
            if *accumulate == 1 { "part" } else { "parts" },
            memory::needed_and_free(*needed_bytes, *free_bytes)
        )),
        _ => None,
    })
}

/// The registration that the log's first line names; the one on disk only where nothing is logged yet. A forecast put
/// in place after the first attempt proves nothing.
fn first_registration(
    log: &[LogLine],
    on_disk: impl FnOnce() -> anyhow::Result<Option<String>>,
) -> anyhow::Result<Option<String>> {
    let first = log.iter().find_map(|line| match line {
        LogLine::Start { registration_sha256, .. } => Some(registration_sha256.clone()),
        _ => None,
    });
    first.map_or_else(on_disk, Ok)
}

fn record_of(
    run: &PlannedRun,
    workplace: &Workplace,
    registration: Option<String>,
    outcome: TrainOutcome,
) -> RunRecord {
    let manifest = &workplace.built().manifest;
    let mut record = RunRecord {
        schema: RECORD_SCHEMA.to_owned(),
        run_id: run.id.clone(),
        name: run.name.clone(),
        role: run.role,
        config: run.config.clone(),
        config_digest: run.config.digest(),
        corpus_digest: manifest.digest.clone(),
        tokenizer_digest: manifest.tokenizer_digest.clone(),
        parameters: outcome.parameters,
        flops: FlopsCounts::of(&run.config.shape, outcome.steps * run.config.batch_tokens()),
        tokens: outcome.steps * run.config.batch_tokens(),
        unique_tokens: outcome.unique_tokens,
        steps: outcome.steps,
        batch_tokens: run.config.batch_tokens(),
        cluster: run.config.cluster(),
        is_final: outcome.steps == run.config.steps,
        status: outcome.status,
        reason: outcome.reason,
        metrics: outcome.metrics,
        curve: outcome.curve,
        spikes: outcome.spikes,
        items_digest: (!outcome.items.is_empty()).then(|| json_list_digest(&outcome.items)),
        registration_sha256: registration,
        result_digest: String::new(),
        environment: outcome.environment,
    };
    record.result_digest = record.compute_result_digest();
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_notes_what_memory_did_not_suffice_for() {
        let line = LogLine::OutOfMemory {
            attempt: 1,
            step: 0,
            device: "cuda:0".to_owned(),
            accumulate: 2,
            needed_bytes: Some(3 << 30),
            free_bytes: None,
        };
        let notes: Vec<String> = memory_notes(&[start(None), line]).collect();
        let expected = "memory of cuda:0 did not suffice at step 0 with each batch in 2 parts: 3.0 GiB needed, an unknown amount free";
        assert_eq!(notes, [expected]);
    }

    fn start(registration_sha256: Option<&str>) -> LogLine {
        let registration_sha256 = registration_sha256.map(str::to_owned);
        LogLine::Start { attempt: 1, step: 0, steps: 9, registration_sha256, simd: "avx2".into(), device: "cpu".into() }
    }

    #[test]
    fn a_registration_put_in_place_after_the_first_attempt_does_not_count() {
        let on_disk = || Ok(Some("late".to_owned()));
        assert_eq!(first_registration(&[start(None), start(Some("late"))], on_disk).expect("no error"), None);
        assert_eq!(first_registration(&[start(Some("first"))], on_disk).expect("no error").as_deref(), Some("first"));
        assert_eq!(first_registration(&[], on_disk).expect("no error").as_deref(), Some("late"));
    }
}
