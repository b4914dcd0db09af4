use std::sync::atomic::AtomicBool;

use forescale_core::record::{Checkpoint, SinkError};
use forescale_core::run::OptimizerConfig;

use super::*;
use crate::fixture::{config, manifest, token_file};

/// Keeps everything in memory, and can fail at a step as a killed process would.
#[derive(Default)]
struct Memory {
    saved: Option<Checkpoint>,
    log: Vec<LogLine>,
    /// Fails when asked to save at this step, before (`false`) or after (`true`) the checkpoint is stored.
    killed_at: Option<(u64, bool)>,
    /// Raised when asked to save at this step.
    stops_at: Option<(u64, &'static AtomicBool)>,
}

impl RunSink for Memory {
    fn log(&mut self, line: &LogLine) -> Result<(), SinkError> {
        self.log.push(line.clone());
        Ok(())
    }

    fn attempts(&mut self) -> Result<u32, SinkError> {
        Ok(self.log.iter().filter(|line| matches!(line, LogLine::Start { .. })).count() as u32)
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        let here = self.killed_at.filter(|(step, _)| *step == checkpoint.step);
        if here.is_none_or(|(_, stored)| stored) {
            self.saved = Some(checkpoint.clone());
        }
        if let Some((_, flag)) = self.stops_at.filter(|(step, _)| *step == checkpoint.step) {
            flag.store(true, Ordering::Relaxed);
        }
        let killed = SinkError { place: "memory".into(), problem: "killed".into(), hint: "start again".into() };
        here.map_or(Ok(()), |_| Err(killed))
    }

    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(self.saved.clone())
    }
}

fn options(threads: usize) -> TrainOptions<'static> {
    TrainOptions {
        device: DeviceChoice::Auto,
        threads,
        registration_sha256: Some("sealed".to_owned()),
        checkpoint_every: Duration::ZERO,
        stop: None,
    }
}

fn run(config: &RunConfig, sink: &mut Memory, threads: usize) -> Result<TrainOutcome, TrainError> {
    train(config, &token_file(&manifest()), sink, &options(threads))
}

fn result(outcome: &TrainOutcome) -> (RunStatus, u64, u64, Vec<Metric>, Vec<CurvePoint>) {
    let TrainOutcome { status, steps, unique_tokens, metrics, curve, .. } = outcome.clone();
    (status, steps, unique_tokens, metrics, curve)
}

#[test]
fn a_run_killed_anywhere_and_started_again_ends_with_the_same_numbers() {
    let whole = run(&config(), &mut Memory::default(), 1).expect("a run");
    for step in [0, 1, 4, 7, 12, 15] {
        for stored in [false, true] {
            let mut sink = Memory { killed_at: Some((step, stored)), ..Memory::default() };
            run(&config(), &mut sink, 1).expect_err("killed");
            sink.killed_at = None;
            let again = run(&config(), &mut sink, 1).expect("a run");
            assert_eq!(result(&again), result(&whole), "killed at {step}, stored {stored}");
            assert_eq!(again.environment.attempts, 2);
        }
    }
}

#[test]
fn a_run_stopped_on_request_keeps_a_checkpoint_and_goes_on_from_it() {
    static STOP: AtomicBool = AtomicBool::new(false);
    let whole = run(&config(), &mut Memory::default(), 1).expect("a run");
    let tokens = token_file(&manifest());
    let mut sink = Memory { stops_at: Some((5, &STOP)), ..Memory::default() };
    let stopped = train(&config(), &tokens, &mut sink, &TrainOptions { stop: Some(&STOP), ..options(1) });
    let stopped = stopped.expect("an outcome");
    assert_eq!((stopped.status, stopped.steps, stopped.metrics.len()), (RunStatus::Stopped, 6, 0));
    assert!(stopped.reason.expect("a reason").contains("step 6"));
    sink.stops_at = None;
    assert_eq!(result(&run(&config(), &mut sink, 1).expect("a run")), result(&whole));
}

#[test]
fn the_result_does_not_depend_on_threads() {
    let on = |threads| result(&run(&config(), &mut Memory::default(), threads).expect("a run"));
    let one = on(1);
    assert_eq!(one, on(2));
    assert_eq!(one, on(5));
}

#[test]
fn a_run_learns_what_there_is_to_learn() {
    // Nine tokens in ten follow from the last: the entropy of a token given the last is about
    // 0.9·ln(1/0.9) + 0.1·ln(16/0.1) = 0.60 nats, against ln 16 = 2.77 before training.
    let long = RunConfig { steps: 100, ..config() };
    let outcome = run(&long, &mut Memory::default(), 2).expect("a run");
    assert_eq!(outcome.status, RunStatus::Finished);
    let loss = &outcome.metrics[0];
    assert!((0.5..1.0).contains(&loss.value), "{}", loss.value);
    assert!(loss.se.is_some_and(|se| se > 0.0 && se < 0.2));
    assert_eq!((loss.name.as_str(), loss.unit.as_str(), loss.n), ("loss", "nats_per_token", 400));
    assert_eq!(outcome.unique_tokens, 100 * 9 * 20);
    assert!(outcome.curve.windows(2).all(|pair| pair[1].loss < pair[0].loss + 0.1));
}

#[test]
fn the_curve_has_its_points_at_equal_steps_and_the_end() {
    let outcome = run(&config(), &mut Memory::default(), 1).expect("a run");
    let steps: Vec<u64> = outcome.curve.iter().map(|point| point.step).collect();
    assert_eq!(steps, [4, 8, 12, 16]);
    assert!((outcome.curve[3].loss - outcome.metrics[0].value).abs() < 1e-15);
    assert_eq!(outcome.curve[0].tokens, 4 * 9 * 20);
    let none =
        RunConfig { evaluation: forescale_core::run::EvaluationConfig { tokens: 400, curve_points: 0 }, ..config() };
    assert_eq!(run(&none, &mut Memory::default(), 1).expect("a run").curve.len(), 1);
}

#[test]
fn the_log_starts_with_the_registration_and_ends_with_the_status() {
    let mut sink = Memory::default();
    run(&config(), &mut sink, 1).expect("a run");
    let LogLine::Start { registration_sha256, attempt: 1, step: 0, steps: 16, .. } = &sink.log[0] else {
        panic!("{:?}", sink.log[0])
    };
    assert_eq!(registration_sha256.as_deref(), Some("sealed"));
    let Some(LogLine::End { status: RunStatus::Finished, step: 16, .. }) = sink.log.last() else {
        panic!("{:?}", sink.log.last())
    };
    assert!(sink.log.iter().any(|line| matches!(line, LogLine::Step { step: 16, .. })));
}

#[test]
fn a_run_with_a_mad_rate_is_an_outcome_and_says_why() {
    let optimizer = OptimizerConfig { learning_rate: 1e30, embedding_learning_rate: 1e30, ..config().optimizer };
    let outcome = run(&RunConfig { optimizer, ..config() }, &mut Memory::default(), 1).expect("an outcome");
    assert_eq!((outcome.status, outcome.metrics.len()), (RunStatus::Diverged, 0));
    assert!(outcome.reason.expect("a reason").contains("step"));
}

#[test]
fn a_checkpoint_of_another_config_is_refused() {
    let mut sink = Memory::default();
    run(&config(), &mut sink, 1).expect("a run");
    let error = run(&RunConfig { seed: 6, ..config() }, &mut sink, 1).expect_err("refused").to_string();
    assert!(
        error.contains("belongs to config") && error.contains("hint: give each config its own run folder"),
        "{error}"
    );
}

#[test]
fn a_checkpoint_cut_short_is_refused() {
    let mut sink = Memory::default();
    run(&config(), &mut sink, 1).expect("a run");
    let whole = sink.saved.take().expect("saved");
    for keep in [0, 10, 200, whole.bytes.len() - 1] {
        sink.saved = Some(Checkpoint { step: whole.step, bytes: whole.bytes[..keep].to_vec() });
        assert!(run(&config(), &mut sink, 1).is_err(), "{keep}");
    }
}

#[test]
fn a_change_of_vector_instructions_is_noted() {
    let mut progress = fresh("avx2");
    progress.step = 40;
    let resumed = resumed(progress, "avx512");
    assert!(resumed.notes[0].contains("from avx2 to avx512 at step 40"));
    assert_eq!(resumed.simd, "avx512");
}

#[test]
fn a_run_on_another_corpus_is_refused() {
    let other = RunConfig { corpus_digest: "another".to_owned(), ..config() };
    let error = run(&other, &mut Memory::default(), 1).expect_err("refused").to_string();
    assert!(error.contains("planned on corpus `another`"), "{error}");
}
