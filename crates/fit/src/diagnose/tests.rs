//! Each doubt once where it must be raised and once where it must not.

use forescale_core::math;
use forescale_core::observation::{ExclusionReason, Training};
use forescale_core::outcome::Forecast;
use forescale_core::run::Role;

use super::*;
use crate::{FitOptions, ForecastOptions, LawName, Target, fit, forecast, published};

mod fits;
mod form;
mod targets;

const EPOCH: [f64; 5] = [482.01, 2085.43, 1.8172, 0.3478, 0.3658];

/// A recipe without fault, as a table with all columns tells it.
fn told(o: &Observation) -> Observation {
    let steps = o.tokens / 5e5;
    let training = Training {
        learning_rate: Some(0.0047 * math::pow(o.params / 108e6, -1.0 / 3.0)),
        rate_follows_width: None,
        batch_tokens: Some(5e5),
        steps: Some(steps),
        warmup_steps: Some(0.02 * steps),
        schedule: Some("cosine".to_owned()),
        is_final: Some(true),
        spiked: Some(false),
        tokenizer_digest: Some("tokenizer".to_owned()),
        unique_tokens: Some(o.tokens),
        eval_tokens: Some(1e7),
        embedding_params: Some(0.01 * o.params),
        head_params: Some(0.01 * o.params),
        total_params: Some(1.02 * o.params),
        flops_6nd: Some(o.flops),
        flops_kaplan: Some(0.98 * o.flops),
        flops_exact: Some(1.05 * o.flops),
    };
    let eval_set_digest = Some("evaluation".to_owned());
    Observation {
        training,
        eval_set_digest,
        loss_se: Some(1e-4 * o.loss),
        seed_sd: Some(0.003 * o.loss),
        seed: Some(0),
        ..o.clone()
    }
}

/// Five budgets over four decades at seven sizes each, 0.3% of noise.
fn clean(seed: u64) -> Vec<Observation> {
    published::with_noise(&published::grid(EPOCH), 0.003, seed).iter().map(told).collect()
}

fn with(change: impl Fn(usize, &mut Observation)) -> Vec<Observation> {
    let mut runs = clean(1);
    runs.iter_mut().enumerate().for_each(|(i, run)| change(i, run));
    runs
}

fn only(law: LawName) -> FitOptions {
    FitOptions { laws: vec![law], ..FitOptions::default() }
}

fn of_fit(runs: &[Observation], options: &FitOptions) -> Vec<Diagnosis> {
    fit(runs, &[], options).expect("fits").fits.into_iter().flat_map(|fit| fit.diagnoses).collect()
}

fn of_forecast(runs: &[Observation], laws: &[LawName], flops: f64) -> Vec<Diagnosis> {
    let fit = FitOptions { laws: laws.to_vec(), ..FitOptions::default() };
    let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
    let target = Target::of_budget(flops);
    forecast(runs, &[target], &options).expect("fits").diagnoses
}

/// The forecast of one target by laws, and what it doubts.
fn asked(runs: &[Observation], laws: &[LawName], target: Target, backtest: bool) -> Forecast {
    let fit = FitOptions { laws: laws.to_vec(), ..FitOptions::default() };
    forecast(runs, &[target], &ForecastOptions { fit, backtest, ..ForecastOptions::default() }).expect("fits")
}

/// Rungs on the path, four a decade, from a loss of compute, with log-normal noise.
fn ladder(rungs: u32, noise: f64, seed: u64, loss: impl Fn(f64) -> f64) -> Vec<Observation> {
    let rung = |i: u32| {
        let flops = 1e18 * math::pow(10.0, 0.25 * f64::from(i));
        let size = (flops / 120.0).sqrt();
        Observation { role: Some(Role::Path), ..published::run(i as usize, size, 20.0 * size, flops, loss(flops)) }
    };
    published::with_noise(&(0..rungs).map(rung).collect::<Vec<_>>(), noise, seed)
}

fn with_floor(flops: f64) -> f64 {
    1.7 + 1.8 * math::pow(flops / 1e18, -0.15)
}

/// log loss falls by 0.04 per e-fold at first, by 0.10 six e-folds on.
fn steepening(flops: f64) -> f64 {
    let x = math::ln(flops / 1e18);
    4.0 * math::exp(-0.04 * x - 0.005 * x * x)
}

/// A floor and an excess whose exponent changes so many decades above 1e18 FLOPs.
fn broken(flops: f64, decades: f64, exponents: [f64; 2]) -> f64 {
    let at = 1e18 * math::pow(10.0, decades);
    let early = math::pow(flops.min(at) / 1e18, -exponents[0]);
    1.7 + 1.8 * early * math::pow(flops.max(at) / at, -exponents[1])
}

#[track_caller]
fn assert_said(diagnoses: &[Diagnosis], code: &str, severity: Severity, words: &str) {
    let found = diagnoses.iter().find(|d| d.code == code).unwrap_or_else(|| panic!("no {code} in {diagnoses:#?}"));
    assert_eq!(found.severity, severity, "{found:?}");
    assert!(found.message.contains(words), "{found:?}");
    assert!(!found.hint.is_empty());
}

#[track_caller]
fn assert_unsaid(diagnoses: &[Diagnosis], code: &str) {
    assert!(diagnoses.iter().all(|d| d.code != code), "{diagnoses:#?}");
}

#[test]
fn a_clean_grid_that_tells_everything_raises_no_warning() {
    let heavy = |d: &&Diagnosis| d.severity > Severity::Note;
    let found = of_fit(&clean(1), &FitOptions::default());
    assert!(found.iter().find(heavy).is_none(), "{found:#?}");
    let found = of_forecast(&clean(1), &FitOptions::default().laws, 3e22);
    assert!(found.iter().find(heavy).is_none(), "{found:#?}");
}

/// Share of seeds on which each code is a warning or worse.
fn alarms(seeds: u64, table: impl Fn(u64) -> Vec<Diagnosis>) -> std::collections::BTreeMap<String, f64> {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..seeds {
        let mut codes: Vec<String> =
            table(seed).into_iter().filter(|d| d.severity > Severity::Note).map(|d| d.code).collect();
        codes.sort();
        codes.dedup();
        codes.into_iter().for_each(|code| *counts.entry(code).or_insert(0.0) += 1.0 / seeds as f64);
    }
    counts
}

/// No code is a warning on more than one in twenty of 200 tables that are as the law says: nominal rates are below that,
/// and 5% of 200 has a standard error of 1.5 points.
#[track_caller]
fn assert_quiet(name: &str, table: impl Fn(u64) -> Vec<Diagnosis>) {
    let found = alarms(200, table);
    assert!(found.values().all(|share| *share <= 0.05), "{name}: {found:?}");
}

#[test]
fn false_alarms_on_grids_and_ladders_are_rare() {
    assert_quiet("grid", |seed| of_fit(&clean(seed), &FitOptions::default()));
    for rungs in [13, 8] {
        let table = |seed| of_fit(&ladder(rungs, 0.003, seed, with_floor), &only(LawName::POWER_LAW));
        assert_quiet("ladder", table);
    }
    let straight = |flops: f64| 3.5 * math::pow(flops / 1e18, -0.05);
    assert_quiet("line", |seed| of_fit(&ladder(13, 0.003, seed, straight), &only(LawName::LOG_LOG)));
}

#[test]
fn false_alarms_of_forecasts_are_rare() {
    assert_quiet("forecast", |seed| of_forecast(&clean(seed), &FitOptions::default().laws, 3e22));
}

#[test]
fn a_head_larger_than_its_model_is_no_share() {
    // Table 3465 of the fuzz: "the head is -1988589133696021215313920.0% to inf% of all parameters".
    for nonsense in [-1.0, 10.0, f64::INFINITY, f64::NAN] {
        let of = |i: usize, params: f64| if i < 3 { nonsense * params } else { 0.01 * params };
        let told =
            of_fit(&with(|i, run| run.training.head_params = Some(of(i, run.params))), &only(LawName::CHINCHILLA));
        assert_said(&told, "counting_rules", Severity::Note, "the head is 1.0% to 1.0% of all parameters");
    }
}

#[test]
fn a_head_of_a_third_or_one_that_drifts_changes_the_exponents() {
    let large = with(|_, run| run.training.head_params = Some(0.3 * run.params));
    let found = of_fit(&large, &only(LawName::CHINCHILLA));
    assert_said(&found, "counting_rules", Severity::Warning, "what N and C count");
    assert_said(&found, "counting_rules", Severity::Warning, "`non_embedding`");
    let drifting =
        with(|_, run| run.training.head_params = Some(0.12 * run.params * math::pow(run.params / 1e8, -0.3)));
    assert_said(&of_fit(&drifting, &only(LawName::CHINCHILLA)), "counting_rules", Severity::Warning, "exponents");
    let silent = with(|_, run| run.training = Training::default());
    assert_unsaid(&of_fit(&silent, &only(LawName::CHINCHILLA)), "counting_rules");
}

#[test]
fn a_size_that_leaves_most_of_small_models_out_is_warned_of_in_a_forecast_too() {
    // The law is one of all parameters; the table's N has no embedding, which is 8.2 million and up.
    let without = with(|_, run| {
        let embedding = 8.2e6 * math::pow(run.params / 1e6, 1.0 / 3.0);
        run.training =
            Training { total_params: Some(run.params), embedding_params: Some(embedding), ..Training::default() };
        run.params = (run.params - embedding).max(0.02 * run.params);
        run.training.embedding_params = run.training.total_params.map(|total| total - run.params);
        run.flops = 6.0 * run.params * run.tokens;
    });
    let found = of_fit(&without, &only(LawName::CHINCHILLA));
    assert_said(
        &found,
        "counting_rules",
        Severity::Warning,
        "% of all parameters, and what it counts makes another law",
    );
    let found = of_forecast(&without, &[LawName::CHINCHILLA], 3e22);
    assert_said(&found, "counting_rules", Severity::Warning, "N leaves out");
    assert!(found.iter().any(|d| d.hint.contains("--map params=total_params")), "{found:#?}");
    assert_unsaid(&of_forecast(&clean(1), &[LawName::CHINCHILLA], 3e22), "counting_rules");
}

#[test]
fn a_law_of_compute_tells_its_exponent_under_each_count() {
    // C′ = C^1.1 in place of C: b C ln becomes b/1.1 by substitution.
    let mut runs: Vec<Observation> = ladder(13, 0.0, 1, with_floor).iter().map(told).collect();
    runs.iter_mut().for_each(|run| {
        run.training.flops_exact = Some(run.flops);
        run.training.flops_6nd = Some(math::pow(run.flops, 1.1));
        run.training.flops_kaplan = None;
    });
    let found = of_fit(&runs, &only(LawName::POWER_LAW));
    assert_said(&found, "counting_rules", Severity::Note, "b 0.1500 under `exact`; b 0.1364 under `6nd`");
}

#[test]
fn vertices_with_one_size_on_a_side_are_said() {
    assert_unsaid(&of_fit(&clean(1), &only(LawName::POWER_LAW)), "vertex_sides");
    // Of each budget the sizes from one below the best upwards: -1 to 3 doublings.
    let mut runs = clean(1);
    let mut index = 0;
    runs.retain(|_| {
        index += 1;
        (index - 1) % 7 >= 2
    });
    assert_said(&of_fit(&runs, &only(LawName::POWER_LAW)), "vertex_sides", Severity::Warning, "fewer than 2 sizes");
}

/// Three more runs of the first size and data at other rates, with the losses of a parabola in log2 of the rate.
fn tuned_at(rates: [f64; 3], best: f64, bend: f64) -> Vec<Observation> {
    let mut runs = clean(1);
    let base = runs[0].clone();
    for (i, rate) in rates.into_iter().enumerate() {
        let off = math::log2(rate / best);
        let training = Training { learning_rate: Some(rate), ..base.training.clone() };
        let (run_id, loss) = (format!("tuned{i}"), base.loss * math::exp(bend * off * off));
        runs.push(Observation { cluster: run_id.clone(), run_id, loss, training, ..base.clone() });
    }
    runs[0].training.learning_rate = Some(best);
    runs
}

#[test]
fn a_best_rate_at_the_edge_of_those_tried_is_said() {
    let edge = tuned_at([2e-3, 4e-3, 8e-3], 1e-3, 0.001);
    assert_said(&of_fit(&edge, &only(LawName::CHINCHILLA)), "rate_at_edge", Severity::Warning, "1 of 1 sizes");
    let inside = tuned_at([5e-4, 2e-3, 4e-3], 1e-3, 0.001);
    assert_unsaid(&of_fit(&inside, &only(LawName::CHINCHILLA)), "rate_at_edge");
}

#[test]
fn runs_of_several_rates_side_by_side_are_said_until_they_are_reduced() {
    let mixed = tuned_at([5e-4, 2e-3, 4e-3], 1e-3, 0.01);
    let words = "4 runs share 1 sizes and data";
    assert_said(&of_fit(&mixed, &only(LawName::CHINCHILLA)), "rates_mixed", Severity::Warning, words);
    let reduced = crate::best_of(&mixed, &[forescale_core::reduction::Knob::LearningRate]).expect("reduces");
    assert_unsaid(&of_fit(&reduced.observations, &only(LawName::CHINCHILLA)), "rates_mixed");
    // A rate per size is none beside another.
    let tuned = with(|_, run| run.training.learning_rate = Some(1e3 / run.params.sqrt()));
    assert_unsaid(&of_fit(&tuned, &only(LawName::CHINCHILLA)), "rates_mixed");
}

#[test]
fn runs_whose_best_rate_was_taken_at_each_batch_are_told_to_fold_batches_and_not_rates_again() {
    let mut mixed = tuned_at([5e-4, 2e-3, 4e-3], 1e-3, 0.01);
    let hint = |runs: &[Observation]| {
        let found = of_fit(runs, &only(LawName::CHINCHILLA));
        found.into_iter().find(|doubt| doubt.code == "rates_mixed").expect("said").hint
    };
    assert!(hint(&mixed).ends_with("`--best-of lr`"), "{}", hint(&mixed));
    let tuned = mixed.iter_mut().filter(|run| run.run_id.starts_with("tuned"));
    tuned.enumerate().for_each(|(i, run)| run.training.batch_tokens = Some(1e5 * (i + 1) as f64));
    let reduced = crate::best_of(&mixed, &[forescale_core::reduction::Knob::LearningRate]).expect("reduces");
    assert!(hint(&reduced.observations).contains("`--best-of lr,batch`"), "{}", hint(&reduced.observations));
}

#[test]
fn what_a_path_law_counts_of_a_grid_is_called_vertices() {
    let runs: Vec<Observation> = (0..5)
        .flat_map(|budget| (-3..=3).map(move |size| (math::pow(10.0, 18.0 + 0.4 * f64::from(budget)), size)))
        .enumerate()
        .map(|(i, (flops, size))| {
            let params = (flops / 120.0).sqrt() * math::pow(2.0, 0.75 * f64::from(size));
            let tokens = flops / (6.0 * params);
            let loss = EPOCH[2] + EPOCH[0] * math::pow(params, -EPOCH[3]) + EPOCH[1] * math::pow(tokens, -EPOCH[4]);
            published::run(i, params, tokens, flops, loss)
        })
        .collect();
    let noisy = published::with_noise(&runs, 0.0005, 3);
    let words = "the vertices of budgets span 1.6 decades";
    assert_said(&of_fit(&noisy, &only(LawName::POWER_LAW)), "few_decades", Severity::Note, words);
    let few = of_fit(&noisy[..28], &only(LawName::POWER_LAW));
    assert_said(&few, "few_rungs", Severity::Warning, "4 vertices over 1.2 decades");
    assert_said(&of_fit(&noisy, &only(LawName::CHINCHILLA)), "few_decades", Severity::Note, "the runs span 1.6");
}

#[test]
fn one_run_written_twice_is_said_and_two_that_round_to_one_loss_are_not() {
    let twice = |of: fn(f64) -> f64| {
        let mut runs = with(|_, run| run.loss = of(run.loss));
        let copy = |i: usize| Observation { run_id: format!("copy{i}"), ..runs[i].clone() };
        let copies = [copy(0), copy(1)];
        runs.extend(copies);
        of_fit(&runs, &only(LawName::CHINCHILLA))
    };
    assert_said(&twice(|loss| loss), "copied_runs", Severity::Warning, "2 of 37 runs tell every number of another");
    assert_unsaid(&twice(|loss| (loss * 1e3).round() / 1e3), "copied_runs");
    // Three times, with a run of another schedule and the same loss among them: two copies.
    let mut among = clean(1);
    let like = |run_id: &str, schedule: &str| {
        let training = Training { schedule: Some(schedule.to_owned()), ..among[0].training.clone() };
        Observation { run_id: run_id.to_owned(), name: run_id.to_owned(), training, ..among[0].clone() }
    };
    let more = [like("other", "linear"), like("second", "cosine"), like("third", "cosine")];
    among.extend(more);
    let said = of_fit(&among, &only(LawName::CHINCHILLA));
    assert_said(&said, "copied_runs", Severity::Warning, "2 of 38 runs tell every number of another (`second` as");
    assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), "copied_runs");
}

#[test]
fn sizes_and_data_that_changed_places_or_units_are_said() {
    let as_typed = |change: fn(&mut Observation)| of_fit(&with(|_, run| change(run)), &only(LawName::CHINCHILLA));
    let swapped = as_typed(|run| core::mem::swap(&mut run.params, &mut run.tokens));
    assert_said(&swapped, "tokens_below_params", Severity::Error, "tokens per parameter or fewer, which nobody trains");
    // At a fifth of a token each the columns may be what they say.
    let few = as_typed(|run| (run.tokens, run.flops) = (0.008 * run.tokens, 0.008 * run.flops));
    assert_said(&few, "tokens_below_params", Severity::Warning, "tokens per parameter or fewer");
    let millions = as_typed(|run| run.params /= 1e6);
    assert_said(&millions, "params_unit", Severity::Error, "tokens for each: a size in millions is taken for a count");
    let billions = as_typed(|run| run.params /= 1e9);
    assert_said(&billions, "params_unit", Severity::Error, "a size in billions");
    // Models of some hundred parameters, with data of their kind, may be what they say; ones of some thousand are not doubted.
    let toys =
        as_typed(|run| (run.params, run.tokens, run.flops) = (run.params / 1e6, run.tokens / 1e6, run.flops / 1e12));
    assert_said(&toys, "params_unit", Severity::Warning, "too few for a model");
    let tiny = as_typed(|run| {
        (run.params, run.tokens, run.flops) = (run.params / 3e4, run.tokens / 10.0, run.flops / 3e5);
    });
    assert_unsaid(&tiny, "params_unit");
    for code in ["tokens_below_params", "params_unit"] {
        assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), code);
    }
}

#[test]
fn a_rate_off_by_two_that_costs_more_than_seed_noise_is_said() {
    // Seed noise is 0.3%: a doubling that costs 1% is above it, one of 0.1% below.
    let sharp = tuned_at([5e-4, 2e-3, 4e-3], 1e-3, 0.01);
    assert_said(&of_fit(&sharp, &only(LawName::CHINCHILLA)), "rate_sensitive", Severity::Warning, "costs 1.00%");
    let flat = tuned_at([5e-4, 2e-3, 4e-3], 1e-3, 0.001);
    assert_unsaid(&of_fit(&flat, &only(LawName::CHINCHILLA)), "rate_sensitive");
}

#[test]
fn one_rate_for_all_sizes_is_said_unless_width_scales_it() {
    let one = with(|_, run| run.training.learning_rate = Some(1e-3));
    assert_said(&of_fit(&one, &only(LawName::CHINCHILLA)), "one_rate", Severity::Warning, "one learning rate");
    let scaled = with(|_, run| {
        (run.training.learning_rate, run.training.rate_follows_width) = (Some(1e-3), Some(true));
    });
    assert_unsaid(&of_fit(&scaled, &only(LawName::CHINCHILLA)), "one_rate");
}

#[test]
fn a_warmup_of_a_fifth_of_the_shortest_run_is_said() {
    let shortest = clean(1).iter().filter_map(|o| o.training.steps).fold(f64::INFINITY, f64::min);
    let long = with(|_, run| run.training.warmup_steps = Some(0.2 * shortest));
    assert_said(&of_fit(&long, &only(LawName::CHINCHILLA)), "warmup_share", Severity::Warning, "20% of the steps");
    let short = with(|_, run| run.training.warmup_steps = Some(0.1 * shortest));
    assert_unsaid(&of_fit(&short, &only(LawName::CHINCHILLA)), "warmup_share");
    // A tenth of 1698 steps is 169.8, and a step is whole.
    let rounded =
        |warmup: f64| with(|_, run| (run.training.steps, run.training.warmup_steps) = (Some(1698.0), Some(warmup)));
    assert_unsaid(&of_fit(&rounded(170.0), &only(LawName::CHINCHILLA)), "warmup_share");
    assert_said(&of_fit(&rounded(172.0), &only(LawName::CHINCHILLA)), "warmup_share", Severity::Warning, "10%");
}

#[test]
fn undecayed_runs_beside_decayed_ones_are_an_error() {
    let mixed = with(|i, run| run.training.is_final = Some(i % 7 != 3));
    let found = of_forecast(&mixed, &[LawName::CHINCHILLA], 3e22);
    assert_said(&found, "undecayed_mixed", Severity::Error, "5 runs");
    let constant = with(|i, run| {
        run.training.is_final = None;
        run.training.schedule = (i % 7 == 3).then(|| "Constant".to_owned()).or(Some("cosine".to_owned()));
    });
    assert_said(&of_fit(&constant, &only(LawName::CHINCHILLA)), "undecayed_mixed", Severity::Error, "5 runs");
    let all = with(|_, run| run.training.is_final = Some(false));
    assert_unsaid(&of_fit(&all, &only(LawName::CHINCHILLA)), "undecayed_mixed");
}

#[test]
fn two_schedules_that_both_decay_are_said() {
    let two = with(|i, run| run.training.schedule = Some(if i < 9 { "linear" } else { "cosine" }.to_owned()));
    let found = of_fit(&two, &only(LawName::CHINCHILLA));
    assert_said(&found, "schedules_mixed", Severity::Warning, "cosine, linear");
    assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), "schedules_mixed");
}

#[test]
fn tokens_seen_again_are_a_note_to_four_epochs_and_a_warning_beyond() {
    for (epochs, severity) in [(2.0, Severity::Note), (8.0, Severity::Warning)] {
        let again = with(|i, run| run.unique_tokens = (i == 4).then_some(run.tokens / epochs));
        assert_said(&of_fit(&again, &only(LawName::CHINCHILLA)), "repeated_data", severity, "1 runs saw tokens");
    }
    let once = with(|_, run| run.unique_tokens = Some(run.tokens));
    assert_unsaid(&of_fit(&once, &only(LawName::CHINCHILLA)), "repeated_data");
}

#[test]
fn a_batch_above_kaplans_estimate_is_said() {
    // 2e8 / L^(1/0.21) is 1.07e6 tokens at a loss of 3: the grid's losses lie between 1.95 and 4.
    let large = with(|_, run| run.training.batch_tokens = Some(4e7));
    let found = of_fit(&large, &only(LawName::CHINCHILLA));
    assert_said(&found, "batch_above_critical", Severity::Warning, "35 runs");
    assert_unsaid(
        &of_fit(&with(|_, run| run.training.batch_tokens = Some(1e5)), &only(LawName::CHINCHILLA)),
        "batch_above_critical",
    );
}

#[test]
fn a_spike_is_said_by_name() {
    let spiked = with(|i, run| run.training.spiked = Some(i == 2));
    assert_said(&of_fit(&spiked, &only(LawName::CHINCHILLA)), "spiked", Severity::Warning, "`run0002`");
    assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), "spiked");
}

#[test]
fn runs_left_out_are_counted_by_reason_and_many_that_diverged_are_a_warning() {
    let of = |diverged: usize| {
        let exclusion = |reason| move |i| Exclusion { run_id: format!("x{reason:?}{i}"), reason };
        let mut all: Vec<Exclusion> = (0..diverged).map(exclusion(ExclusionReason::Diverged)).collect();
        all.push(exclusion(ExclusionReason::HeldOut)(0));
        fit(&clean(1), &all, &only(LawName::CHINCHILLA)).expect("fits").fits[0].diagnoses.clone()
    };
    assert_unsaid(&of(0), "runs_left_out");
    assert_said(&of(1), "runs_left_out", Severity::Note, "diverged 1");
    assert_said(&of(10), "runs_left_out", Severity::Warning, "diverged 10");
}

#[test]
fn losses_on_two_evaluation_sets_or_tokenisers_are_said() {
    let sets = with(|i, run| run.eval_set_digest = Some(format!("set{}", i % 2)));
    let found = of_fit(&sets, &only(LawName::CHINCHILLA));
    assert_said(&found, "mixed_evaluation", Severity::Warning, "2 evaluation sets");
    let tokenizers = with(|i, run| run.training.tokenizer_digest = Some(format!("{}", i % 3)));
    let found = of_fit(&tokenizers, &only(LawName::CHINCHILLA));
    assert_said(&found, "mixed_evaluation", Severity::Warning, "3 tokenisers");
    assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), "mixed_evaluation");
}

#[test]
fn an_evaluation_as_noisy_as_the_runs_is_said() {
    let noisy = with(|_, run| (run.loss_se, run.eval_set_digest) = (Some(0.004 * run.loss), None));
    assert_said(&of_fit(&noisy, &only(LawName::CHINCHILLA)), "evaluation_noise", Severity::Warning, "0.40%");
    let shared = with(|_, run| run.loss_se = Some(0.004 * run.loss));
    assert_said(&of_fit(&shared, &only(LawName::CHINCHILLA)), "evaluation_noise", Severity::Note, "one shared");
    assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), "evaluation_noise");
}

#[test]
fn losses_rounded_to_two_digits_are_said() {
    // 0.01/sqrt(12) of a loss near 2.5 is 0.115%, and nothing else scatters.
    let mut runs = published::grid(EPOCH);
    runs.iter_mut().for_each(|run| run.loss = (run.loss * 100.0).round() / 100.0);
    let found = of_fit(&runs, &only(LawName::CHINCHILLA));
    assert_said(&found, "rounded_losses", Severity::Warning, "a multiple of 0.01");
    let mut fine = clean(1);
    fine.iter_mut().for_each(|run| run.loss = (run.loss * 1e4).round() / 1e4);
    assert_unsaid(&of_fit(&fine, &only(LawName::CHINCHILLA)), "rounded_losses");
}

#[test]
fn runs_that_err_upwards_only_are_said_with_the_penalised_fit() {
    let worse = with(|i, run| run.loss *= if i % 9 == 4 { 1.02 } else { 1.0 });
    let found = of_fit(&worse, &only(LawName::CHINCHILLA));
    assert_said(&found, "asymmetric_noise", Severity::Warning, "costs 10 times");
    assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), "asymmetric_noise");
}

#[test]
fn a_span_of_two_decades_is_a_note_and_of_four_none() {
    let found = of_fit(&ladder(9, 0.003, 1, with_floor), &only(LawName::POWER_LAW));
    assert_said(&found, "few_decades", Severity::Note, "2.0 decades");
    assert_unsaid(&of_fit(&clean(1), &only(LawName::CHINCHILLA)), "few_decades");
    let found = of_fit(&ladder(4, 0.003, 1, with_floor), &only(LawName::POWER_LAW));
    assert_said(&found, "few_rungs", Severity::Warning, "4 rungs");
    assert_unsaid(&found, "few_decades");
}

#[test]
fn leaving_out_each_run_gives_ranges_and_cooks_distance() {
    let found = of_fit(&clean(1), &only(LawName::CHINCHILLA));
    assert_said(&found, "leave_one_out", Severity::Note, "Cook's distance");
    assert_unsaid(&of_fit(&published::grid(EPOCH), &only(LawName::CHINCHILLA)), "leave_one_out");
}

#[test]
fn a_run_that_the_others_miss_is_a_warning_and_a_loose_end_a_note() {
    // Least squares, as Huber at 1e-3 leaves such a run aside by itself.
    let squares = FitOptions { objective: crate::Objective::LeastSquares, ..only(LawName::POWER_LAW) };
    let mut off = ladder(13, 0.001, 1, with_floor);
    off[12].loss *= 1.02;
    let found = of_fit(&off, &squares);
    let said: Vec<&Diagnosis> =
        found.iter().filter(|d| ["influential_run", "outlier_leverage"].contains(&d.code.as_str())).collect();
    assert!(said.iter().any(|d| d.severity == Severity::Warning && d.message.contains("`run0012`")), "{found:#?}");
    let found = of_fit(&ladder(13, 0.001, 1, with_floor), &squares);
    assert!(found.iter().all(|d| d.code != "influential_run" || d.severity == Severity::Note), "{found:#?}");
}

#[test]
fn a_fit_short_of_its_optimum_is_said() {
    let runs = clean(1);
    let all: Vec<&Observation> = runs.iter().collect();
    let mut fitted = crate::fitted::fit_law(LawName::CHINCHILLA, &all, &crate::FitOptions::default()).expect("fits");
    let said = |fitted: &Fitted| fit::doubts(fitted, 35).iter().map(|d| d.diagnosis().code).collect::<Vec<_>>();
    assert!(!said(&fitted).contains(&"not_converged".to_owned()));
    fitted.optimum.gradient_norm = 1e-3;
    assert!(said(&fitted).contains(&"not_converged".to_owned()));
}
