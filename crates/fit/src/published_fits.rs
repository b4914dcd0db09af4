//! Fits that others published, found again from the tables they published with them.

use forescale_core::law::{LawName, Theta};
use forescale_core::observation::Observation;

use crate::fitted::{Fitted, fit_law};
use crate::{ErrorOfLoss, FitError, FitOptions, Objective, fit, published};

fn field(row: &[(String, String)], name: &str) -> String {
    row.iter().find(|(column, _)| column == name).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn number(row: &[(String, String)], name: &str) -> f64 {
    field(row, name).parse().expect("a number")
}

fn fitted(law: LawName, runs: &[Observation], objective: Objective) -> Result<Fitted, FitError> {
    let options = FitOptions { objective, ..FitOptions::default() };
    fit_law(law, &runs.iter().collect::<Vec<_>>(), &options)
}

/// Runs of one corpus with their loss on C4's validation set, which is what the paper fits: its `c4_val` column.
fn gadre(corpus: &str) -> Option<Vec<Observation>> {
    let rows = published::table("gadre_runs.csv")?;
    let own = rows.iter().filter(|row| field(row, "train_data") == corpus).enumerate();
    let run = |(i, row): (usize, &Vec<(String, String)>)| {
        let [params, tokens, flops, loss] = ["params", "tokens", "flops", "loss_c4_val"].map(|name| number(row, name));
        published::run(i, params, tokens, flops, loss)
    };
    Some(own.map(run).collect())
}

/// The paper's five runs: four sizes at 20 tokens per parameter, and the smallest at 320.
fn five(runs: &[Observation]) -> Vec<Observation> {
    let ratio = |o: &Observation| o.tokens / o.params;
    let smallest = runs.iter().map(|o| o.params).fold(f64::INFINITY, f64::min);
    let taken = |o: &&Observation| {
        let small = o.params < 5e8;
        small && (ratio(o) / 20.0 - 1.0).abs() < 0.01 || o.params <= smallest && (ratio(o) / 320.0 - 1.0).abs() < 0.01
    };
    runs.iter().filter(taken).cloned().collect()
}

/// The published coefficients a′, b′, p and E from a, b, E and η.
fn as_written(natural: &Theta) -> [f64; 4] {
    let [a, b, e, eta, ..] = *natural;
    [a * forescale_core::math::pow(6.0, -eta), b, -2.0 * eta, e]
}

#[test]
fn gadres_five_runs_give_the_published_law_and_forecasts() {
    // Gadre et al., section 4, least squares on the loss: a′, b′, the exponent and E to the digits they are written with.
    let published = [
        ("c4_original", [113.693, 189.516, -0.242_472, 1.508_261]),
        ("rpj", [166.211, 366.687, -0.272_851, 1.836_648]),
    ];
    for (corpus, paper) in published {
        let Some(runs) = gadre(corpus) else { return };
        let taken = five(&runs);
        assert_eq!(taken.len(), 5);
        let found = fitted(LawName::GADRE, &taken, Objective::LeastSquaresLoss).expect("fits");
        let ours = as_written(&found.natural());
        // Half of the last digit.
        for ((found, paper), digit) in ours.iter().zip(paper).zip([5e-4, 5e-4, 5e-7, 5e-7]) {
            assert!((found - paper).abs() < digit, "{corpus}: {found} is not {paper}");
        }
        for run in runs.iter().filter(|run| run.params > 1e9) {
            let error =
                100.0 * (forescale_core::math::exp(found.log_loss(run.params, run.tokens, run.flops)) / run.loss - 1.0);
            // Published: .7103% (1.4B, M = 640) and .7320% (6.9B, M = 20), RedPajama.
            let expected = if corpus == "rpj" && run.params > 5e9 { Some(0.7320) } else { None };
            let expected = expected.or((run.tokens / run.params > 600.0).then_some(0.7103));
            if let Some(expected) = expected {
                assert!((error - expected).abs() < 5e-5, "{error} {expected}");
            }
        }
    }
}

#[test]
fn gadres_six_runs_give_the_published_error_of_loss_and_its_forecasts() {
    // Gadre et al., table 2 and section 4, RedPajama: the five runs of the loss and the 1.4B at 20 tokens per parameter. The
    // published k of 46 tasks, 1.32290, is where their search stopped: SciPy's least_squares to 1e-15 ends at 1.3229066.
    let Some(runs) = gadre("rpj") else { return };
    let rows = published::table("gadre_runs.csv").expect("as before");
    let rows: Vec<_> = rows.iter().filter(|row| field(row, "train_data") == "rpj").collect();
    let law = fitted(LawName::GADRE, &five(&runs), Objective::LeastSquaresLoss).expect("fits");
    for (tasks, paper) in [("err_avg17", [2.206_49, 0.714_59, 0.856_99]), ("err_avg46", [1.3229, 0.890_71, 0.760_85])] {
        let at = |run: &Observation| runs.iter().position(|other| other.run_id == run.run_id).expect("its row");
        let error = |run: &Observation| number(rows[at(run)], tasks);
        let is_sixth =
            |o: &&Observation| o.params > 1e9 && o.params < 5e9 && (o.tokens / o.params / 20.0 - 1.0).abs() < 0.01;
        let taken: Vec<Observation> = five(&runs).into_iter().chain(runs.iter().find(is_sixth).cloned()).collect();
        assert_eq!(taken.len(), 6);
        let pairs: Vec<(f64, f64)> = taken.iter().map(|run| (run.loss, error(run))).collect();
        let found = ErrorOfLoss::fit(&pairs).expect("fits");
        for (found, paper) in [found.k, found.gamma, found.epsilon].into_iter().zip(paper) {
            assert!((found - paper).abs() < 8e-6, "{tasks}: {found} is not {paper}");
        }
        // Published errors of the 17 tasks' error: 3.6365% (1.4B, M = 640), .0464% (6.9B, M = 20).
        for run in runs.iter().filter(|run| tasks == "err_avg17" && run.params > 1e9) {
            let predicted = found.at(forescale_core::math::exp(law.log_loss(run.params, run.tokens, run.flops)));
            let off = 100.0 * (predicted / error(run) - 1.0).abs();
            let expected = if run.params > 5e9 { Some(0.0464) } else { None };
            if let Some(expected) = expected.or((run.tokens / run.params > 600.0).then_some(3.6365)) {
                assert!((off - expected).abs() < 5e-5, "{off} is not {expected}");
            }
        }
    }
}

/// The contours table: `unique_tokens` holds 1.5e9 in every row; tokens over epochs are the distinct ones.
fn repeated() -> Option<Vec<Observation>> {
    let rows = published::table("datablations_contours.csv")?;
    let run = |(i, row): (usize, &Vec<(String, String)>)| {
        let [params, tokens, flops, loss] = ["params", "tokens", "flops", "loss"].map(|name| number(row, name));
        let unique_tokens = Some(tokens / number(row, "epochs"));
        Observation { unique_tokens, ..published::run(i, params, tokens, flops, loss) }
    };
    Some(rows.iter().enumerate().map(run).collect())
}

#[test]
fn repeated_data_are_met_better_than_by_the_published_coefficients() {
    // Muennighoff et al.'s coefficients lie 6 to 55% below this table's runs that saw their data once, so that its rows are
    // not what they were fitted to; Huber's objective at them is .029534. The best of SciPy's Nelder-Mead from two starts
    // is .01923514610 at alpha .39076, R_D 40.85, R_N 34.88.
    let Some(runs) = repeated() else { return };
    let found = fitted(LawName::DATA_CONSTRAINED, &runs, Objective::default()).expect("fits");
    let value = found.optimum.value;
    assert!(value <= 0.019_235_146_105 * (1.0 + 1e-6), "{value}");
    let [a, b, e] = [6.255_414, 7.304_997_4, 0.625_480_4].map(forescale_core::math::exp);
    let paper = [a, b, e, 0.352_659_6, 15.387_756, 5.309_743];
    let there =
        found.problem.system(&found.problem.form.internal(&paper, &found.problem.centre), found.problem.cost).value;
    assert!((there / 0.029_534_428_85 - 1.0).abs() < 1e-6, "{there}");
}

#[test]
fn without_a_run_that_repeats_data_the_law_is_refused() {
    let runs = published::grid([406.4, 410.7, 1.69, 0.34, 0.28]);
    let options = FitOptions { laws: vec![LawName::DATA_CONSTRAINED], ..FitOptions::default() };
    let text = fit(&runs, &[], &options).expect_err("refused").to_string();
    assert!(text.starts_with("`data_constrained` was given 0 runs that repeat data"), "{text}");
}

#[test]
fn one_ratio_of_tokens_to_parameters_carries_no_over_training_law() {
    let rung = |i: usize| {
        let n = 1e6 * forescale_core::math::pow(2.0, i as f64);
        published::run(i, n, 20.0 * n, 120.0 * n * n, 3.0 - 0.1 * i as f64)
    };
    let runs: Vec<Observation> = (0..8).map(rung).collect();
    let options = FitOptions { laws: vec![LawName::GADRE], ..FitOptions::default() };
    let text = fit(&runs, &[], &options).expect_err("refused").to_string();
    assert!(text.starts_with("`gadre` was given D/N over a factor of 1.00"), "{text}");
}

/// Errors of the forecast of the top budget's lowest loss from budgets at most a share of it: each budget's lowest point by
/// approach 2, and L(C) = aC^-b + c through them.
fn top_budget_error(runs: &[Observation], share: f64, corrected: bool) -> Option<f64> {
    let budgets = crate::approach::vertices_of(&runs.iter().collect::<Vec<_>>(), 6.0, corrected);
    let (top, below) = budgets.split_last()?;
    let seen: Vec<Observation> = below.iter().filter(|o| o.flops <= share * top.flops).cloned().collect();
    let refs: Vec<Observation> =
        seen.into_iter().map(|o| Observation { role: Some(forescale_core::run::Role::Path), ..o }).collect();
    let law = fitted(LawName::POWER_LAW, &refs, Objective::default()).ok()?;
    Some(100.0 * (forescale_core::math::exp(law.log_loss(top.params, top.tokens, top.flops)) / top.loss - 1.0))
}

#[test]
fn the_top_budget_is_forecast_no_worse_than_by_the_plain_method() {
    // Plain method (parabola minimum per budget, L = aC^-b + c, top budget held out), % error of the top budget's loss.
    // Ours through corrected lowest points, in this order: .392, .270, .090, .097, 1.429, .100, 1.698.
    let plain = [
        ("ml_scalefit", 3.0, 0.361),
        ("ml_scalefit", 10.0, 4.467),
        ("epochai", 3.0, 0.334),
        ("epochai", 10.0, 1.778),
        ("marin_202603__comma", 3.0, 1.859),
        ("marin_202603__dclm", 3.0, 0.789),
        ("misfitting", 3.0, 1.538),
    ];
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for (experiment, ratio, plain) in plain {
        let Some(runs) = published::isoflop(experiment) else { return };
        let error = |corrected| top_budget_error(&runs, 1.0 / ratio, corrected).expect("a forecast").abs();
        // Centred on its own vertex a parabola's lowest loss does better in each; the shape's in five of seven.
        assert!(error(false) <= plain, "{experiment} /{ratio}: {}", error(false));
        ours.push(error(true));
        theirs.push(plain);
    }
    let median = |errors: &[f64]| forescale_core::math::median(errors).expect("errors");
    assert!(median(&ours) <= median(&theirs), "{ours:?}");
}
