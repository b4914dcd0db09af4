//! A full record answers everything; a bare table leaves open what it cannot tell, and only that.

use forescale_core::checklist::{REGISTERED, Section};
use forescale_core::math;
use forescale_core::observation::{ExclusionReason, Training};

use super::*;
use crate::{FitOptions, ForecastOptions, LawName, Target, fit, forecast, published};

/// Five budgets over four decades at seven sizes each (published::grid), 0.3% of noise.
fn bare() -> Vec<Observation> {
    let grid = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
    published::with_noise(&grid, 0.003, 1).into_iter().map(|o| Observation { seed: None, ..o }).collect()
}

fn full() -> Vec<Observation> {
    let told = |o: Observation| {
        let steps = o.tokens / 5e5;
        let training = Training {
            learning_rate: Some(0.0047 * math::pow(o.params / 108e6, -1.0 / 3.0)),
            rate_follows_width: Some(false),
            batch_tokens: Some(5e5),
            steps: Some(steps),
            warmup_steps: Some(0.02 * steps),
            schedule: Some("cosine".to_owned()),
            is_final: Some(true),
            spiked: Some(false),
            tokenizer_digest: Some("tokenizer".to_owned()),
            unique_tokens: Some(o.tokens),
            eval_tokens: Some(1e7),
            head_params: Some(0.01 * o.params),
            total_params: Some(1.02 * o.params),
            ..Training::default()
        };
        let (loss_se, seed_sd) = (Some(1e-4 * o.loss), Some(0.003 * o.loss));
        Observation { training, eval_set_digest: Some("set".to_owned()), loss_se, seed_sd, seed: Some(0), ..o }
    };
    bare().into_iter().map(told).collect()
}

fn of(runs: &[Observation], exclusions: &[Exclusion], is_forecast: bool) -> Checklist {
    let options = FitOptions { laws: vec![LawName::CHINCHILLA], ..FitOptions::default() };
    let fits = fit(runs, exclusions, &options).expect("fits");
    let asked = ForecastOptions { fit: options, ..ForecastOptions::default() };
    let target = Target::of_budget(1e23);
    let answer = is_forecast.then(|| forecast(runs, &[target], &asked).expect("a forecast"));
    checklist(runs, exclusions, &fits, answer.as_ref())
}

fn open(list: &Checklist) -> Vec<&str> {
    list.items.iter().filter(|item| item.status == Status::Unknown).map(|item| item.question.as_str()).collect()
}

#[track_caller]
fn answer<'a>(list: &'a Checklist, question: &str) -> &'a Item {
    list.items.iter().find(|item| item.question == question).expect("the question")
}

#[test]
fn a_full_record_with_a_forecast_and_its_registration_leaves_nothing_open() {
    let list = of(&full(), &[], true);
    assert_eq!(open(&list), [REGISTERED]);
    assert_eq!(open(&list.registered("abc")), Vec::<&str>::new());
}

#[test]
fn a_bare_table_leaves_open_what_its_columns_do_not_tell() {
    let list = of(&bare(), &[], false);
    let expected = [
        "Why this form, and how much does each count?",
        "How many seeds?",
        "Which learning rate, and how was it chosen?",
        "Which batch?",
        "How long was the warmup?",
        "Which schedule?",
        "Was any token seen twice?",
        "On which evaluation set, under which tokeniser?",
        "How large is the evaluation set?",
        "How were checkpoints chosen?",
        "Did any run spike?",
        "How did the method do on runs already known?",
        "Do its intervals hold as often as they say?",
        "How far beyond the data does the forecast reach?",
        REGISTERED,
    ];
    assert_eq!(open(&list), expected);
    assert!(answer(&list, "Which schedule?").answer.contains("`schedule`"));
}

#[test]
fn every_section_has_questions_in_their_order() {
    let list = of(&bare(), &[], false);
    let sections: Vec<Section> = list.items.iter().map(|item| item.section).collect();
    assert!(sections.is_sorted());
    assert!(Section::ALL.iter().all(|section| sections.contains(section)));
    assert!(list.items.iter().all(|item| item.question.ends_with('?') && !item.answer.is_empty()));
}

#[test]
fn runs_left_out_are_counted_by_reason() {
    let exclusion = |i: usize, reason| Exclusion { run_id: format!("x{i}"), reason };
    let exclusions = [
        exclusion(0, ExclusionReason::Diverged),
        exclusion(1, ExclusionReason::HeldOut),
        exclusion(2, ExclusionReason::Diverged),
    ];
    let list = of(&full(), &exclusions, false);
    assert_eq!(answer(&list, "Which runs were left out, and why?").answer, "every law: 2 diverged, 1 held out");
}

#[test]
fn a_doubt_is_a_problem_in_its_own_words() {
    let mut runs = full();
    runs[2].training.spiked = Some(true);
    runs.iter_mut().for_each(|run| run.training.learning_rate = Some(1e-3));
    let list = of(&runs, &[], false);
    let spiked = answer(&list, "Did any run spike?");
    assert!(spiked.status == Status::Problem && spiked.answer.contains("`run0002`"), "{spiked:?}");
    let rate = answer(&list, "Which learning rate, and how was it chosen?");
    assert!(rate.status == Status::Problem && rate.answer.contains("one learning rate"), "{rate:?}");
}

#[test]
fn ranges_are_those_of_the_runs() {
    let list = of(&bare(), &[], false);
    let runs = bare();
    let flops: Vec<f64> = runs.iter().map(|o| o.flops).collect();
    // published::grid has budgets from 1e18 to 1e22 FLOPs: four decades.
    let ranges = &answer(&list, "Over which sizes, data and compute?").answer;
    assert!(ranges.contains(&format!("C {} FLOPs (4.0)", span(&flops))) && ranges.starts_with("35 runs"), "{ranges}");
}

#[test]
fn what_leaving_a_run_out_moves_is_told_and_a_run_that_the_others_miss_is_a_problem() {
    let question = "Do a few runs decide the fit?";
    let told = of(&bare(), &[], false);
    let item = answer(&told, question);
    assert!(item.status == Status::Answered && item.answer.contains("Cook's distance"), "{item:?}");
    // Least squares: Huber at 1e-3 leaves such a run aside by itself.
    let laws = vec![LawName::CHINCHILLA];
    let squares = FitOptions { laws, objective: crate::Objective::LeastSquares, ..FitOptions::default() };
    let mut off = bare();
    off[34].loss *= 1.2;
    let list = checklist(&off, &[], &fit(&off, &[], &squares).expect("fits"), None);
    assert_eq!(answer(&list, question).status, Status::Problem, "{list:?}");
}
