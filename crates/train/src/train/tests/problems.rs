//! Runs that are judged on the problems of their corpus.

use forescale_core::items::ItemEstimator;
use forescale_core::problem::{Judge, Problem, StackTest};
use forescale_core::run::TaskEvaluation;

use super::*;
use crate::fixture::{bytes, corpus_with, problem};

/// Problems of the fixture's own rule, token → 5·token + 3 mod 16, which nine in ten tokens follow; and programs.
fn problems() -> Vec<Problem> {
    let next = |token: u32| (token * 5 + 3) % 16;
    let exact = |length: u32| {
        (0..16).map(move |first| {
            let answer: Vec<u32> = (0..length)
                .scan(first, |token, _| {
                    *token = next(*token);
                    Some(*token)
                })
                .collect();
            Problem { task: "rule".to_owned(), ..problem(&format!("{first}, {length}"), &[first], &answer) }
        })
    };
    let stays = |end: u32| {
        let tests = vec![StackTest { input: vec![1], output: vec![1] }];
        let judge = Judge::StackProgram { tests, max_tokens: 3, end };
        Problem { task: "stack".to_owned(), judge, ..problem(&format!("end {end}"), &[2], &[end]) }
    };
    exact(1).chain(exact(3)).chain((0..16).map(stays)).collect()
}

fn examined() -> RunConfig {
    let tasks = Some(TaskEvaluation { successes: 2, budget: 24 });
    RunConfig { steps: 100, evaluation: EvaluationConfig { tasks, ..config().evaluation }, ..config() }
}

fn run_on(
    config: &RunConfig,
    tokens: &TokenFile,
    sink: &mut Memory,
    threads: usize,
) -> Result<TrainOutcome, TrainError> {
    train(config, tokens, sink, &options(threads))
}

#[test]
fn a_finished_run_is_judged_on_the_problems_of_its_corpus() {
    let (_folder, tokens) = corpus_with(&problems());
    let outcome = run_on(&examined(), &tokens, &mut Memory::default(), 2).expect("a run");
    assert_eq!((outcome.status, outcome.items.len()), (RunStatus::Finished, 48));
    assert!(outcome.items.iter().all(|item| item.run_id == examined().id().0 && item.log_p.is_finite()));
    // The rule holds for nine tokens in ten: −ln 0.9 = 0.105 nats a token is the least that a model can expect.
    let mean = |name: &str| outcome.metrics.iter().find(|metric| metric.name == name).expect("a metric").clone();
    let (one, three) = (mean("neg_log_p/rule/1 tokens"), mean("neg_log_p/rule/3 tokens"));
    assert!((0.05..0.8).contains(&one.value) && one.value < three.value, "{} {}", one.value, three.value);
    assert_eq!((one.n, one.unit.as_str()), (16, "nats_per_answer"));
    assert!(mean("accuracy/rule/1 tokens").value > 0.7);
    assert!(mean("accuracy/stack/1 tokens").value < 0.3);
    let drawn: Vec<&ItemResult> = outcome.items.iter().filter(|item| item.task == "stack").collect();
    assert!(drawn.iter().any(|item| item.estimator == ItemEstimator::Censored && item.trials == 24));
    assert!(drawn.iter().any(|item| item.estimator == ItemEstimator::InverseBinomial && item.successes == 2));
    assert_eq!(outcome.metrics[0].name, "loss");
}

#[test]
fn a_run_killed_before_it_was_judged_is_judged_the_same() {
    let (_folder, tokens) = corpus_with(&problems());
    let config = RunConfig { steps: 30, ..examined() };
    let whole = run_on(&config, &tokens, &mut Memory::default(), 1).expect("a run");
    for step in [12, 29, 30] {
        let mut sink = Memory { killed_at: Some((step, true)), ..Memory::default() };
        run_on(&config, &tokens, &mut sink, 1).expect_err("killed");
        sink.killed_at = None;
        assert_eq!(result(&run_on(&config, &tokens, &mut sink, 3).expect("a run")), result(&whole), "killed at {step}");
    }
}

#[test]
fn problems_change_nothing_of_a_run_that_is_not_judged_on_them() {
    let (_folder, tokens) = corpus_with(&problems());
    let plain = run(&config(), &mut Memory::default(), 1).expect("a run");
    let beside = run_on(&config(), &tokens, &mut Memory::default(), 1).expect("a run");
    assert_eq!(result(&beside), result(&plain));
    assert!(beside.items.is_empty());
    let judged = run_on(&RunConfig { steps: 16, ..examined() }, &tokens, &mut Memory::default(), 1).expect("a run");
    assert_eq!((&judged.metrics[..plain.metrics.len()], &judged.curve), (&plain.metrics[..], &plain.curve));
}

#[test]
fn a_run_that_cannot_be_judged_is_refused_before_it_is_trained() {
    let refused = |tokens: &TokenFile, config: &RunConfig| {
        let mut sink = Memory::default();
        let error = run_on(config, tokens, &mut sink, 1).expect_err("refused").to_string();
        assert!(sink.log.is_empty());
        error
    };
    // Beside this one lie no problems: it has a folder of its own.
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("tokens.bin"), bytes()).expect("written");
    let none = TokenFile::open(&folder.path().join("tokens.bin"), &manifest()).expect("as the manifest says");
    assert!(refused(&none, &examined()).contains("judged on the problems of its corpus, but that has none"));
    let (_folder, long) = corpus_with(&[problem("long", &[1], &[2; 21])]);
    assert!(refused(&long, &examined()).contains("a context of 20 allows 1 to 20"));
    let (_folder, tokens) = corpus_with(&problems());
    let tasks = Some(TaskEvaluation { successes: 30, budget: 24 });
    let config = RunConfig { evaluation: EvaluationConfig { tasks, ..config().evaluation }, ..config() };
    assert!(refused(&tokens, &config).contains("30 right answers of 24 samples were asked for"));
}
