use forescale_core::count::{Mlp, ModelShape};
use forescale_core::run::RunConfig;

use super::*;
use crate::fixture::config;
use crate::init::normal;
use crate::kernels::tensor;
use crate::model::Model;

/// A model whose weights are all different, gains included.
fn scattered(shape: ModelShape) -> TrainedModel {
    let config = RunConfig { shape, ..config() };
    let model = Model::initialise(&config).expect("a model");
    for weight in &model.weights {
        let values = normal(3, &weight.spec.name, weight.spec.len(), 0.4);
        weight.variable.set(&tensor(values, weight.spec.dims.clone()).expect("sizes agree")).expect("one shape");
    }
    TrainedModel { config, model }
}

fn shape() -> ModelShape {
    config().shape
}

fn tokens(count: usize, seed: u64) -> Vec<u32> {
    let mut rng = stream(seed, "tokens");
    (0..count).map(|_| (unit(&mut rng) * 16.0) as u32).collect()
}

fn options(tokens: usize, seed: Option<u64>) -> AnswerOptions {
    AnswerOptions { tokens, end: None, seed, threads: 1 }
}

/// Log probabilities along a sequence read in pieces, against those of the plain forward pass.
fn assert_same_as_plain(shape: ModelShape, pieces: &[usize]) {
    let trained = scattered(shape);
    let model = &*trained.model.family;
    let context = trained.config.shape.context as usize;
    let sequences = [tokens(context, 1), tokens(context, 2)];
    let inputs = Inputs { tokens: sequences.concat().into(), context };
    let plain = rows(&model.logits(&Tape::forward_only(), &inputs).expect("forward")).expect("rows");
    let mut memories = [model.memory(context), model.memory(context)];
    let mut first = 0;
    for count in pieces {
        let mut new: Vec<New<'_>> = memories
            .iter_mut()
            .zip(&sequences)
            .map(|(memory, tokens)| New { memory, tokens: &tokens[first..first + count], asked: *count })
            .collect();
        let advanced = model.advance(&mut new).expect("forward");
        for (row, ours) in rows(&advanced).expect("rows").into_iter().enumerate() {
            let plain = &plain[row / count * context + first + row % count];
            let of = |row: &[f32], token: u32| {
                let row = tensor(row.to_vec(), (1, row.len())).expect("a row");
                window_losses(&row, &[token], 1).expect("a loss")[0]
            };
            for token in 0..16 {
                let (ours, plain) = (of(&ours, token), of(plain, token));
                assert!((ours - plain).abs() < 1e-5, "position {first}, row {row}: {ours} {plain}");
            }
        }
        first += count;
    }
    assert_eq!(first, context);
}

#[test]
fn log_probabilities_over_a_memory_are_those_of_the_plain_forward_pass() {
    assert_same_as_plain(shape(), &[1; 20]);
    assert_same_as_plain(ModelShape { input_order: 1, ..shape() }, &[7, 1, 1, 11]);
    assert_same_as_plain(ModelShape { mlp: Mlp::ReluSquared, layers: 3, ..shape() }, &[19, 1]);
    let one = ModelShape { heads: 1, head_size: 16, context: 70, input_order: 3, ..shape() };
    assert_same_as_plain(one, &[40, 1, 1, 1, 1, 1, 25]);
}

#[test]
fn the_next_token_has_the_same_probabilities_at_every_length() {
    let trained = scattered(shape());
    let all = tokens(30, 4);
    let prefixes: Vec<Vec<u32>> = (1..=30).map(|length| all[..length].to_vec()).collect();
    let plain = trained.next_log_probabilities(&prefixes).expect("log probabilities");
    for (prefix, plain) in prefixes.iter().zip(&plain) {
        let sum: f64 = plain.iter().map(|log_p| log_p.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
        let read = read_part(prefix, 1, 20);
        let start = &Start::read(&*trained.model.family, &[read], 1).expect("read")[0];
        let best = plain.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let most = most_probable(&start.logits).expect("a token") as usize;
        assert!(plain[most] > best - 1e-5);
    }
}

#[test]
fn greedy_answers_are_those_of_the_plain_forward_pass() {
    let trained = scattered(shape());
    let prompts = [tokens(3, 7), tokens(12, 8), tokens(40, 9)];
    let answers = trained.answers(&prompts, &options(8, None)).expect("answers");
    for (prompt, answer) in prompts.iter().zip(&answers) {
        assert_eq!(answer.len(), 8);
        let mut known = read_part(prompt, 8, 20).to_vec();
        for token in answer {
            let row = &trained.next_log_probabilities(&[known.clone()]).expect("log probabilities")[0];
            let best = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert!(row[*token as usize] > best - 1e-5, "{row:?}");
            known.push(*token);
        }
    }
}

#[test]
fn an_answer_depends_on_its_seed_and_not_on_what_is_beside_it_or_on_threads() {
    let trained = scattered(shape());
    let prompts: Vec<Vec<u32>> = (0..70).map(|index| tokens(2 + index % 17, index as u64)).collect();
    let ask = |count: usize, seed, threads| {
        trained.answers(&prompts[..count], &AnswerOptions { threads, ..options(4, Some(seed)) }).expect("answers")
    };
    let all = ask(70, 1, 1);
    assert_eq!(all, ask(70, 1, 3));
    assert_eq!(all[..5], ask(5, 1, 1));
    assert_ne!(all, ask(70, 2, 1));
}

#[test]
fn an_answer_ends_with_its_end_mark() {
    let trained = scattered(shape());
    let prompts: Vec<Vec<u32>> = (0..40).map(|index| tokens(5, index)).collect();
    let until = AnswerOptions { end: Some(3), ..options(10, Some(5)) };
    let answers = trained.answers(&prompts, &until).expect("answers");
    let free = trained.answers(&prompts, &options(10, Some(5))).expect("answers");
    for (answer, free) in answers.iter().zip(&free) {
        let end = free.iter().position(|token| *token == 3).map_or(10, |end| end + 1);
        assert_eq!(answer[..], free[..end]);
    }
    assert!(answers.iter().any(|answer| answer.len() < 10) && answers.iter().any(|answer| answer.len() == 10));
}

#[test]
fn what_is_drawn_has_the_models_own_distribution() {
    // Two tokens after one prompt, 256 outcomes of the model's own probabilities; those that 4000 draws would show fewer
    // than five times are taken together. χ² of k cells lies below k + 4√(2k) in all but one of ten thousand cases or so.
    let trained = scattered(shape());
    let prompt = tokens(6, 11);
    let draws = 4_000;
    let drawn = trained.answers(&vec![prompt.clone(); draws], &options(2, Some(3))).expect("answers");
    let first = &trained.next_log_probabilities(std::slice::from_ref(&prompt)).expect("log probabilities")[0];
    let known: Vec<Vec<u32>> = (0..16).map(|token| [prompt.clone(), vec![token]].concat()).collect();
    let second = trained.next_log_probabilities(&known).expect("log probabilities");
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let mut rest = (0.0, 0.0);
    for (a, row) in second.iter().enumerate() {
        for (b, log_p) in row.iter().enumerate() {
            let expected = (first[a] + log_p).exp() * draws as f64;
            let found = drawn.iter().filter(|answer| answer[..] == [a as u32, b as u32]).count() as f64;
            if expected < 5.0 {
                rest = (rest.0 + expected, rest.1 + found);
            } else {
                cells.push((expected, found));
            }
        }
    }
    cells.push(rest);
    let chi_square: f64 = cells.iter().map(|(expected, found)| (found - expected).powi(2) / expected).sum();
    let k = cells.len() as f64;
    assert!(k > 20.0 && chi_square < k + 4.0 * (2.0 * k).sqrt(), "{chi_square} over {k} cells");
    assert!(chi_square > k - 4.0 * (2.0 * k).sqrt(), "{chi_square} over {k} cells is too good");
}

#[test]
fn the_share_of_a_draw_lands_where_the_sum_of_weights_passes_it() {
    assert_eq!(drawn(&[1.0, 2.0, 1.0], 0.0), Some(0));
    assert_eq!(drawn(&[1.0, 2.0, 1.0], 0.25), Some(1));
    assert_eq!(drawn(&[1.0, 2.0, 1.0], 0.74), Some(1));
    assert_eq!(drawn(&[1.0, 2.0, 1.0], 0.75), Some(2));
    assert_eq!(drawn(&[0.0, 1.0, 0.0], 0.999_999_999), Some(1));
}

#[test]
fn of_equal_tokens_the_first_is_the_most_probable() {
    assert_eq!(most_probable(&[0.5, 2.0, 2.0]), Some(1));
    assert_eq!(most_probable(&[]), None);
}

#[test]
fn a_long_prompt_is_cut_on_the_left_so_that_the_answer_fits_the_window() {
    let prompt: Vec<u32> = (0..30).collect();
    // 20 positions read the prompt and all of the answer but its last token.
    assert_eq!(read_part(&prompt, 1, 20), &prompt[10..]);
    assert_eq!(read_part(&prompt, 5, 20), &prompt[14..]);
    assert_eq!(read_part(&prompt, 20, 20), &prompt[29..]);
    assert_eq!(read_part(&prompt[..4], 5, 20), &prompt[..4]);
    let trained = scattered(shape());
    let long = tokens(50, 2);
    let ask = |prompt: &[u32]| trained.answers(&[prompt.to_vec()], &options(5, Some(1))).expect("answers");
    assert_eq!(ask(&long), ask(&long[34..]));
}

#[test]
fn requests_that_cannot_be_answered_are_refused() {
    let trained = scattered(shape());
    let refused = |prompts: &[Vec<u32>], tokens| {
        trained.answers(prompts, &options(tokens, None)).expect_err("refused").to_string()
    };
    assert!(refused(&[vec![1], Vec::new()], 2).contains("prompt 1 is empty"));
    assert!(refused(&[vec![1]], 21).contains("answers of 21 tokens"));
    assert!(refused(&[vec![1]], 0).contains("answers of 0 tokens"));
    assert!(refused(&[vec![16]], 2).contains("token 16 outside a vocabulary of 16"));
}

#[test]
fn logits_that_are_not_numbers_are_no_answer() {
    let trained = scattered(shape());
    let head = trained.model.weights.last().expect("a head");
    let values = vec![f32::NAN; head.spec.len()];
    head.variable.set(&tensor(values, head.spec.dims.clone()).expect("sizes agree")).expect("one shape");
    let error = trained.answers(&[vec![1]], &options(2, Some(1))).expect_err("no answer").to_string();
    assert!(error.contains("logits are not numbers"), "{error}");
}
