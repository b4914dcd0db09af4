use std::sync::atomic::AtomicBool;

use forescale_core::record::{Checkpoint, SinkError};
use forescale_core::run::{EvaluationConfig, OptimizerConfig, ScheduleKind};

use super::*;
use crate::fixture::{config, manifest, token_file};

mod problems;

/// Keeps everything in memory, and can fail at a step as a killed process would.
#[derive(Default)]
struct Memory {
    saved: Option<Checkpoint>,
    /// States of the trunk, which may have come from another run.
    trunk: Vec<Checkpoint>,
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

    fn save_trunk(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        self.trunk.push(checkpoint.clone());
        Ok(())
    }

    fn restore_trunk(&mut self, at_most: u64) -> Result<Option<Checkpoint>, SinkError> {
        Ok(self.trunk.iter().filter(|state| state.step <= at_most).max_by_key(|state| state.step).cloned())
    }
}

fn options(threads: usize) -> TrainOptions<'static> {
    TrainOptions {
        device: DeviceChoice::Cpu,
        precision: None,
        accumulate: 1,
        threads,
        registration_sha256: Some("sealed".to_owned()),
        checkpoint_every: Duration::ZERO,
        stop: None,
    }
}

fn run(config: &RunConfig, sink: &mut Memory, threads: usize) -> Result<TrainOutcome, TrainError> {
    train(config, &token_file(&manifest()), sink, &options(threads))
}

/// What two equal runs have in common.
#[derive(Debug, PartialEq)]
struct Decided {
    status: RunStatus,
    steps: u64,
    unique_tokens: u64,
    metrics: Vec<Metric>,
    items: Vec<ItemResult>,
    curve: Vec<CurvePoint>,
    spikes: u64,
}

fn result(outcome: &TrainOutcome) -> Decided {
    let TrainOutcome { status, steps, unique_tokens, metrics, items, curve, spikes, .. } = outcome.clone();
    Decided { status, steps, unique_tokens, metrics, items, curve, spikes }
}

/// A run of the trunk that all branches of the fixture share.
fn branch(steps: u64, decay_steps: u64) -> RunConfig {
    let optimizer = OptimizerConfig { schedule: ScheduleKind::WarmupStableDecay, decay_steps, ..config().optimizer };
    RunConfig { steps, optimizer, branch: true, ..config() }
}

fn first_step(sink: &Memory) -> u64 {
    let LogLine::Start { step, .. } = sink.log[0] else { panic!("{:?}", sink.log[0]) };
    step
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
fn a_step_in_parts_ends_where_a_step_at_once_does_but_for_rounding() {
    let in_parts = |accumulate, threads| {
        let options = TrainOptions { accumulate, ..options(threads) };
        train(&config(), &token_file(&manifest()), &mut Memory::default(), &options).expect("a run")
    };
    let (whole, thirds) = (run(&config(), &mut Memory::default(), 1).expect("a run"), in_parts(3, 1));
    assert_eq!(result(&in_parts(1, 1)), result(&whole));
    assert_eq!(result(&in_parts(3, 2)), result(&thirds));
    // Sums of f32 in another order, over sixteen steps.
    let (one, other) = (thirds.metrics[0].value, whole.metrics[0].value);
    assert!((one - other).abs() < 1e-4, "{one} {other}");
    assert_eq!(thirds.environment.notes, ["each step in 3 parts, their gradients added up (from step 0)"]);
    assert!(whole.environment.notes.is_empty());
    let options = TrainOptions { accumulate: 2, ..options(1) };
    assert!(train(&config(), &token_file(&manifest()), &mut Memory::default(), &options).is_err());
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
    let none = RunConfig { evaluation: EvaluationConfig { curve_points: 0, ..config().evaluation }, ..config() };
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
fn a_run_on_another_corpus_is_refused() {
    let other = RunConfig { corpus_digest: "another".to_owned(), ..config() };
    let error = run(&other, &mut Memory::default(), 1).expect_err("refused").to_string();
    assert!(error.contains("planned on corpus `another`"), "{error}");
}

#[test]
fn a_branch_ends_the_same_whether_its_trunk_was_trained_or_taken_over() {
    let long = branch(16, 5);
    let whole = run(&long, &mut Memory::default(), 1).expect("a run");
    let mut short = Memory::default();
    run(&branch(10, 4), &mut short, 1).expect("a run");
    assert_eq!(short.trunk.iter().map(|state| state.step).collect::<Vec<_>>(), [6]);

    let mut after = Memory { trunk: short.trunk.clone(), ..Memory::default() };
    let continued = run(&long, &mut after, 1).expect("a run");
    assert_eq!(result(&continued), result(&whole));
    assert_eq!(first_step(&after), 6);
    assert_eq!(continued.environment.notes, ["steps 0 to 6 taken over from the trunk"]);
    assert!(whole.environment.notes.is_empty());

    // A third branch leaves the trunk where the second one did, and finds nothing to add to it.
    let third = branch(20, 9);
    let alone = run(&third, &mut Memory::default(), 1).expect("a run");
    assert_eq!(after.trunk.iter().map(|state| state.step).collect::<Vec<_>>(), [6, 11]);
    let mut last = Memory { trunk: after.trunk.clone(), ..Memory::default() };
    let last_continued = run(&third, &mut last, 1).expect("a run");
    assert_eq!((result(&last_continued), first_step(&last)), (result(&alone), 11));
    assert_eq!(last_continued.environment.notes, ["steps 0 to 11 taken over from the trunk"]);
    assert_eq!(last.trunk, after.trunk);
}

#[test]
fn a_branch_killed_anywhere_after_its_trunk_ends_with_the_same_numbers() {
    let long = branch(16, 5);
    let whole = run(&long, &mut Memory::default(), 1).expect("a run");
    let mut short = Memory::default();
    run(&branch(10, 4), &mut short, 1).expect("a run");
    for step in [6, 8, 11, 12, 15, 16] {
        for stored in [false, true] {
            let killed_at = Some((step, stored));
            let mut sink = Memory { killed_at, trunk: short.trunk.clone(), ..Memory::default() };
            run(&long, &mut sink, 1).expect_err("killed");
            sink.killed_at = None;
            let again = run(&long, &mut sink, 1).expect("a run");
            assert_eq!(result(&again), result(&whole), "killed at {step}, stored {stored}");
            assert!(again.environment.notes[0].contains("taken over from the trunk"));
        }
    }
}

#[test]
fn branches_hand_on_the_same_trunk_whatever_they_are_measured_on() {
    let mut sinks = [Memory::default(), Memory::default()];
    run(&branch(10, 4), &mut sinks[0], 1).expect("a run");
    let evaluation = EvaluationConfig { tokens: 200, curve_tokens: 40, curve_points: 1, tasks: None };
    run(&RunConfig { evaluation, ..branch(14, 8) }, &mut sinks[1], 1).expect("a run");
    assert_eq!(sinks[0].trunk, sinks[1].trunk);
}

#[test]
fn a_trunk_that_is_damaged_foreign_or_too_long_is_refused() {
    let mut short = Memory::default();
    run(&branch(10, 4), &mut short, 1).expect("a run");
    let whole = short.trunk.remove(0);
    let refused = |state: Checkpoint, config: &RunConfig| {
        let error = run(config, &mut Memory { trunk: vec![state], ..Memory::default() }, 1).expect_err("refused");
        error.to_string()
    };
    let cut = Checkpoint { bytes: whole.bytes[..whole.bytes.len() - 4].to_vec(), ..whole.clone() };
    let error = refused(cut, &branch(16, 5));
    assert!(error.contains("trunk checkpoint at step 6: it holds"), "{error}");
    assert!(error.contains("hint: delete the trunk's checkpoint"), "{error}");
    let error = refused(whole.clone(), &RunConfig { seed: 6, ..branch(16, 5) });
    assert!(error.contains("it belongs to trunk"), "{error}");
    let error = refused(Checkpoint { step: 5, ..whole }, &branch(16, 5));
    assert!(error.contains("trunk checkpoint at step 5: it was taken at step 6"), "{error}");
}

#[test]
fn a_run_that_is_no_branch_neither_takes_nor_leaves_a_trunk() {
    let mut sink = Memory::default();
    run(&RunConfig { branch: false, ..branch(10, 4) }, &mut sink, 1).expect("a run");
    assert!(sink.trunk.is_empty());
}

#[test]
fn a_curve_on_a_part_of_the_set_leaves_the_metric_alone() {
    let evaluation = EvaluationConfig { curve_tokens: 100, ..config().evaluation };
    let whole = run(&config(), &mut Memory::default(), 1).expect("a run");
    let part = run(&RunConfig { evaluation, ..config() }, &mut Memory::default(), 1).expect("a run");
    assert_eq!(part.metrics, whole.metrics);
    let steps = |outcome: &TrainOutcome| outcome.curve.iter().map(|point| point.step).collect::<Vec<_>>();
    assert_eq!(steps(&part), steps(&whole));
    assert!(part.curve.iter().zip(&whole.curve).all(|(a, b)| (a.loss - b.loss).abs() > 1e-6));
}
