//! Runs that repeat their data, fitted, forecast and backtested beside laws that take every token for fresh.

use forescale_core::law::{Centre, LawForm as _, Theta, data_constrained::DataConstrained};
use forescale_core::math;
use forescale_core::observation::{ExclusionReason, Observation};
use forescale_core::outcome::{ForecastStatus, ForecastTarget, Severity};

use crate::{
    BacktestMode, BacktestOptions, FitOptions, ForecastOptions, LawName, Target, backtest, fit, forecast, published,
};

/// Muennighoff et al., rounded: A, B, E, alpha, R_D, R_N.
const TRUTH: Theta = [521.0, 1488.0, 1.87, 0.353, 15.39, 5.31];

fn loss(params: f64, tokens: f64, unique: f64) -> f64 {
    let at = Centre::ONE.position(params, tokens, 6.0 * params * tokens).repeated(tokens, Some(unique));
    math::exp(DataConstrained.log_loss(&DataConstrained.internal(&TRUTH, &Centre::ONE), &at))
}

/// Five budgets from 1e18 to 1e22 FLOPs at seven sizes each, a factor of 2 apart around 20 tokens per parameter; of each
/// size one run of fresh data and one that sees its tokens 4, 16 or 64 times.
fn runs() -> Vec<Observation> {
    let mut runs = Vec::new();
    for budget in 0..5 {
        let flops = math::pow(10.0, 18.0 + f64::from(budget));
        for size in -3..=3 {
            let params = (flops / 120.0).sqrt() * math::pow(2.0, f64::from(size));
            let tokens = flops / (6.0 * params);
            for epochs in [1.0, [4.0, 16.0, 64.0][runs.len() / 2 % 3]] {
                let unique = tokens / epochs;
                let run = published::run(runs.len(), params, tokens, flops, loss(params, tokens, unique));
                runs.push(Observation { unique_tokens: (epochs > 1.0).then_some(unique), ..run });
            }
        }
    }
    published::with_noise(&runs, 0.002, 5)
}

fn of_laws(laws: &[LawName]) -> FitOptions {
    FitOptions { laws: laws.to_vec(), ..FitOptions::default() }
}

fn both() -> FitOptions {
    of_laws(&[LawName::CHINCHILLA, LawName::DATA_CONSTRAINED])
}

fn forecast_by(fit: FitOptions, unique_tokens: Option<f64>) -> ForecastTarget {
    let target = Target { params: Some(1e10), tokens: Some(2e11), unique_tokens, ..Target::of_budget(1.2e22) };
    let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
    forecast(&runs(), &[target], &options).expect("an answer").targets.remove(0)
}

#[test]
fn a_law_of_fresh_data_leaves_repeated_runs_to_the_law_that_models_them() {
    let report = fit(&runs(), &[], &both()).expect("fits");
    let [plain, repeated] = report.fits.as_slice() else { panic!("{:?}", report.fits.len()) };
    assert_eq!((plain.n, plain.excluded.len()), (35, 35));
    assert!(plain.excluded.iter().all(|one| one.reason == ExclusionReason::RepeatedTokens), "{:?}", plain.excluded);
    assert_eq!((repeated.n, repeated.excluded.len()), (70, 0));
    // Without repetition the truth is Chinchilla's law with equal exponents.
    assert!((plain.parameters["alpha"].estimate / 0.353 - 1.0).abs() < 0.15, "{:?}", plain.parameters);
    let codes: Vec<&str> = report.fits.iter().flat_map(|fit| &fit.diagnoses).map(|d| d.code.as_str()).collect();
    assert!(!codes.contains(&"repeated_data"), "{codes:?}");
}

#[test]
fn a_target_that_repeats_its_data_is_forecast_by_its_distinct_tokens() {
    for unique in [2e11, 2e10, 4e9] {
        let target = forecast_by(of_laws(&[LawName::DATA_CONSTRAINED]), Some(unique));
        let (interval, actual) = (target.intervals[0], loss(1e10, 2e11, unique));
        assert!(interval.contains(actual), "{unique}: {interval:?} {actual}");
        assert_eq!(target.unique_tokens, Some(unique));
        assert_eq!(target.optimum.is_some(), unique > 1e11, "{unique}: {:?}", target.optimum);
    }
    // Fifty epochs cost this run more than a tenth of its loss: both intervals cannot hold both.
    assert!(loss(1e10, 2e11, 4e9) / loss(1e10, 2e11, 2e11) > 1.1);
}

#[test]
fn a_law_of_fresh_data_has_no_say_on_a_target_that_repeats_its_data() {
    let weight = |unique: f64| {
        let target = forecast_by(both(), Some(unique));
        target.laws.iter().find(|law| law.law == "chinchilla").map(|law| law.weight)
    };
    assert_eq!(weight(2e10), Some(0.0));
    assert!(weight(2e11) > Some(0.0));
}

#[test]
fn a_repeating_target_is_refused_where_no_law_models_that() {
    let target = forecast_by(of_laws(&[LawName::CHINCHILLA]), Some(2e10));
    assert_eq!(target.status, ForecastStatus::Refused);
    assert!(target.reason.as_deref().is_some_and(|reason| reason.starts_with("the target repeats its data")));
    let fresh = forecast_by(of_laws(&[LawName::CHINCHILLA]), Some(2e11));
    assert_eq!(fresh.status, ForecastStatus::Forecast);
}

#[test]
fn distinct_tokens_of_a_target_without_size_or_data_are_refused() {
    let target = Target { unique_tokens: Some(1e10), ..Target::of_budget(1e22) };
    let fit = of_laws(&[LawName::DATA_CONSTRAINED]);
    let options = ForecastOptions { fit, backtest: false, ..ForecastOptions::default() };
    let refused = forecast(&runs(), &[target], &options).expect("an answer").targets.remove(0);
    assert_eq!(refused.status, ForecastStatus::Refused);
    for bad in [0.0, -1.0, f64::NAN] {
        assert!(forecast(&runs(), &[Target { unique_tokens: Some(bad), ..target }], &options).is_err(), "{bad}");
    }
}

#[test]
fn a_target_that_does_not_tell_its_distinct_tokens_is_said_to_be_taken_for_fresh() {
    let most = runs().iter().map(|run| run.unique_tokens.unwrap_or(run.tokens)).fold(0.0, f64::max);
    let said = |law: LawName, target: Target| {
        let options = ForecastOptions { fit: of_laws(&[law]), backtest: false, ..ForecastOptions::default() };
        let found = forecast(&runs(), &[target], &options).expect("an answer").diagnoses;
        found.into_iter().find(|doubt| doubt.code == "fresh_data_assumed").map(|doubt| (doubt.severity, doubt.message))
    };
    let of = |tokens: f64| Target { params: Some(1e10), tokens: Some(tokens), ..Target::of_budget(6e10 * tokens) };
    let (severity, message) = said(LawName::DATA_CONSTRAINED, of(10.0 * most)).expect("said");
    let ends = format!("it is taken as {:.2e} distinct tokens, and no run had more than {most:.2e}", 10.0 * most);
    assert!(severity == Severity::Warning && message.ends_with(&ends), "{message}");
    assert_eq!(said(LawName::DATA_CONSTRAINED, of(0.5 * most)).map(|(severity, _)| severity), Some(Severity::Note));
    // A budget alone is spent on fresh data as well.
    assert!(said(LawName::DATA_CONSTRAINED, Target::of_budget(1e24)).is_some());
    let told = Target { unique_tokens: Some(1e9), ..of(10.0 * most) };
    assert_eq!(said(LawName::DATA_CONSTRAINED, told), None);
    assert_eq!(said(LawName::CHINCHILLA, of(10.0 * most)), None);
}

#[test]
fn a_backtest_predicts_repeated_runs_at_their_own_distinct_tokens() {
    let options = BacktestOptions { fit: both(), ratios: vec![10.0], ..BacktestOptions::default() };
    let report = backtest(&runs(), &options).expect("an answer");
    assert_eq!(report.cases.len(), 14);
    // Taken for fresh, the runs of 64 epochs would be missed by 10% and more.
    let worst = report.cases.iter().map(|case| case.relative_error.abs()).fold(0.0, f64::max);
    assert!(worst < 0.02, "{worst}");
    let frontier = BacktestOptions { mode: BacktestMode::Frontier, ..options };
    assert!(backtest(&runs(), &frontier).expect("an answer").cases.len() <= 7);
}
