use forescale_core::problem::StackTest;

use super::*;
use crate::fixture::{config, problem};
use crate::init::normal;
use crate::kernels::tensor;

const SAMPLING: TaskEvaluation = TaskEvaluation { successes: 2, budget: 40 };

fn scattered(config: &RunConfig) -> Model {
    let model = Model::initialise(config).expect("a model");
    for weight in &model.weights {
        let values = normal(3, &weight.spec.name, weight.spec.len(), 0.4);
        weight.variable.set(&tensor(values, weight.spec.dims.clone()).expect("sizes agree")).expect("one shape");
    }
    model
}

/// A model that says the same after everything: only the norm before the readout and the readout are not zero.
fn constant(logits: &[f32]) -> (RunConfig, Model) {
    let config = config();
    let model = Model::initialise(&config).expect("a model");
    let width = config.shape.width as usize;
    for weight in &model.weights {
        let values = match weight.spec.name.as_str() {
            // Every token is the same row of ones, in the first table alone: its root mean square is 1.
            "embedding" => (0..weight.spec.len()).map(|index| f32::from(u8::from(index < 16 * width))).collect(),
            "norm" => vec![1.0; width],
            "head" => logits.iter().flat_map(|logit| vec![logit / width as f32; width]).collect(),
            _ => vec![0.0; weight.spec.len()],
        };
        weight.variable.set(&tensor(values, weight.spec.dims.clone()).expect("sizes agree")).expect("one shape");
    }
    (config, model)
}

fn judged(config: &RunConfig, model: &Model, problems: Vec<Problem>, threads: usize) -> Vec<ItemResult> {
    let tasks = Tasks { sampling: SAMPLING, set: ProblemFile { digest: "problems".to_owned(), problems } };
    tasks.judge(config, model, &Workers::start(threads).expect("threads")).expect("judged")
}

fn program(item: &str, prompt: &[u32], tests: Vec<StackTest>) -> Problem {
    let judge = Judge::StackProgram { tests, max_tokens: 4, end: 10 };
    Problem { task: "stack".to_owned(), judge, ..problem(item, prompt, &[10]) }
}

#[test]
fn an_exact_answer_has_the_probability_that_a_hand_calculation_gives() {
    // Weights 4, 2, 1 and thirteen of 1/13 each, which add up to 8: probabilities 1/2, 1/4, 1/8 and 1/104.
    let weights = [4.0f32, 2.0, 1.0].into_iter().chain([1.0 / 13.0; 13]);
    let logits: Vec<f32> = weights.map(f32::ln).collect();
    let (config, model) = constant(&logits);
    let problems = vec![
        problem("best", &[3], &[0]),
        problem("three", &[5, 6], &[0, 1, 2]),
        problem("rare", &[9; 30], &[4, 0]),
        problem("twice the best", &[1, 2, 3], &[0, 0]),
    ];
    let items = judged(&config, &model, problems, 1);
    let expected = [0.5, 0.5 * 0.25 * 0.125, 0.5 / 104.0, 0.25];
    for (item, p) in items.iter().zip(expected) {
        // The norm's epsilon takes half a millionth of each logit.
        assert!((item.log_p - f64::ln(p)).abs() < 1e-5, "{}: {} for {}", item.item, item.log_p, f64::ln(p));
        assert_eq!((item.estimator, item.trials, item.successes), (ItemEstimator::Exact, 0, 0));
    }
    let greedy: Vec<Option<bool>> = items.iter().map(|item| item.greedy).collect();
    assert_eq!(greedy, [Some(true), Some(false), Some(false), Some(true)]);
}

#[test]
fn an_exact_answer_is_the_sum_along_the_plain_forward_pass() {
    let config = config();
    let trained = crate::export::TrainedModel { config: config.clone(), model: scattered(&config) };
    let problems: Vec<Problem> = (1..40u32)
        .map(|index| {
            let token = |position: u32| (index * 7 + position * position) % 16;
            let prompt: Vec<u32> = (0..index).map(token).collect();
            problem(&index.to_string(), &prompt, &(0..1 + index % 3).map(|p| token(p + 50)).collect::<Vec<_>>())
        })
        .collect();
    let items = judged(&config, &trained.model, problems.clone(), 1);
    for (item, problem) in items.iter().zip(&problems) {
        assert_eq!((&item.item, item.bucket), (&problem.item, problem.bucket));
        let answer = &problem.answer;
        let read = crate::generate::read_part(&problem.prompt, answer.len(), 20);
        let prefixes: Vec<Vec<u32>> = (0..answer.len()).map(|count| [read, &answer[..count]].concat()).collect();
        let plain = trained.next_log_probabilities(&prefixes).expect("log probabilities");
        let sum: f64 = plain.iter().zip(answer).map(|(row, token)| row[*token as usize]).sum();
        assert!((item.log_p - sum).abs() < 1e-5, "{}: {} {sum}", item.item, item.log_p);
        let options = crate::generate::AnswerOptions { tokens: answer.len(), end: None, seed: None, threads: 1 };
        let greedy = trained.answers(std::slice::from_ref(&problem.prompt), &options).expect("an answer");
        assert_eq!(item.greedy, Some(greedy[0] == *answer));
    }
}

#[test]
fn programs_are_drawn_until_enough_are_right() {
    // Tokens 0 to 15 as bytes are no operations: only the empty program, the end mark at once, is one, and it is right
    // where the stack is to stay. It has probability 1/2, and is what greedy decoding gives.
    let logits: Vec<f32> = (0..16).map(|token| if token == 10 { f32::ln(15.0) } else { 0.0 }).collect();
    let (config, model) = constant(&logits);
    let stays = || vec![StackTest { input: vec![4, 2], output: vec![4, 2] }];
    let items = judged(&config, &model, (0..400).map(|i| program(&i.to_string(), &[1], stays())).collect(), 2);
    assert!(items.iter().all(|item| item.estimator == ItemEstimator::InverseBinomial && item.greedy == Some(true)));
    assert!(items.iter().all(|item| item.successes == 2 && item.trials >= 2));
    // Standard error √(ψ′(2)/400) = 0.04 at most; other draws for each problem.
    let mean = items.iter().map(|item| item.log_p).sum::<f64>() / 400.0;
    assert!((mean - f64::ln(0.5)).abs() < 0.12, "{mean}");
    assert!(items.iter().any(|item| item.trials != items[0].trials));

    let moves = vec![StackTest { input: vec![4, 2], output: vec![2] }];
    let never = &judged(&config, &model, vec![program("never", &[1], moves)], 1)[0];
    assert_eq!((never.estimator, never.trials, never.successes), (ItemEstimator::Censored, 40, 0));
    assert!((never.log_p - f64::ln(1.0 / 40.0)).abs() < 1e-12);
    assert_eq!(never.greedy, Some(false));
}

#[test]
fn an_answer_cut_short_is_not_right_even_where_it_would_be() {
    let tests = [StackTest { input: vec![2], output: vec![4] }];
    let asked = problem("a", &[1], &[10]);
    let right = |answer: &[u8], end: u32| {
        let asked = stack_program::Asked { problem: &asked, tests: &tests, max_tokens: 3, end };
        stack_program::is_right(&answer.iter().copied().map(u32::from).collect::<Vec<_>>(), &asked)
    };
    assert!(right(b"d*\n", 10));
    assert!(!right(b"d*", 10));
    assert!(!right(b"d+*\n", 10));
    assert!(!right(b"", 10));
}

#[test]
fn judging_depends_on_the_config_and_not_on_threads() {
    let config = config();
    let model = scattered(&config);
    let problems = || -> Vec<Problem> {
        let stays = || vec![StackTest { input: vec![1], output: vec![1] }];
        let exact =
            |index: u32| problem(&index.to_string(), &vec![index % 16; 1 + index as usize % 18], &[index % 7, 3]);
        let two = |index: u32| [exact(index), program(&index.to_string(), &[index % 16], stays())];
        (0..60).flat_map(two).collect()
    };
    let one = judged(&config, &model, problems(), 1);
    assert_eq!(one, judged(&config, &model, problems(), 3));
    assert!(one.windows(2).all(|pair| pair[0].task != pair[1].task), "in the order of the problems");
    // Another config draws other answers, from the same weights.
    let other = judged(&RunConfig { steps: 17, ..config }, &model, problems(), 1);
    let trials = |items: &[ItemResult]| items.iter().map(|item| item.trials).collect::<Vec<_>>();
    assert_ne!(trials(&one), trials(&other));
}

#[test]
fn a_model_whose_logits_are_not_numbers_says_so_by_problem() {
    let config = config();
    let model = scattered(&config);
    let head = model.weights.last().expect("a head");
    let values = vec![f32::NAN; head.spec.len()];
    head.variable.set(&tensor(values, head.spec.dims.clone()).expect("sizes agree")).expect("one shape");
    let stays = vec![StackTest { input: vec![1], output: vec![1] }];
    for problem in [problem("x", &[1], &[2]), program("x", &[1], stays)] {
        let items = judged(&config, &model, vec![problem], 1);
        let reason = not_a_number(&items).expect("a reason");
        assert!(reason.starts_with("log p of problem `x` of task") && reason.ends_with("is NaN"), "{reason}");
    }
}

#[test]
fn sampling_that_cannot_succeed_is_refused() {
    for (successes, budget) in [(0, 10), (11, 10), (0, 0)] {
        assert!(check_sampling(TaskEvaluation { successes, budget }).is_err());
    }
    check_sampling(TaskEvaluation { successes: 10, budget: 10 }).expect("possible");
}
