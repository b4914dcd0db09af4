//! Reports are the same to the bit on any number of threads. Written as JSON they show every bit: the shortest digits that
//! read back as the same number.

use forescale_core::observation::Observation;

use crate::{FitOptions, ForecastOptions, IntervalMethod, LawName, Starts, Target, fit, forecast, published};

/// A table that nothing fits exactly, so that sums are of numbers of every size.
fn runs() -> Vec<Observation> {
    published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.007, 12)
}

fn chinchilla() -> FitOptions {
    FitOptions { laws: vec![LawName::CHINCHILLA], ..FitOptions::default() }
}

/// What a report is on one, two and seven threads.
#[track_caller]
fn assert_same_on_any_pool(report: impl Fn() -> String + Sync) {
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a pool");
        pool.install(&report)
    };
    let one = on(1);
    assert!(one.len() > 1000, "{one}");
    for threads in [2, 7] {
        assert_eq!(on(threads), one, "{threads} threads");
    }
}

fn fit_report(options: &FitOptions) -> String {
    serde_json::to_string(&fit(&runs(), &[], options).expect("fits")).expect("writes")
}

#[test]
fn a_fit_is_the_same_to_the_bit_on_one_two_and_seven_threads() {
    let options = FitOptions::default();
    assert_same_on_any_pool(|| fit_report(&options));
}

#[test]
fn a_fit_from_the_classic_starts_is_the_same_to_the_bit_on_one_two_and_seven_threads() {
    let options = FitOptions { starts: Starts::Classic, ..chinchilla() };
    assert_same_on_any_pool(|| fit_report(&options));
}

#[test]
fn a_bootstrap_is_the_same_to_the_bit_on_one_two_and_seven_threads() {
    for interval in [IntervalMethod::Pairs, IntervalMethod::Cluster, IntervalMethod::Parametric] {
        let options = FitOptions { interval, draws: 200, seed: 7, ..chinchilla() };
        assert_same_on_any_pool(|| fit_report(&options));
    }
}

#[test]
fn a_forecast_is_the_same_to_the_bit_on_one_two_and_seven_threads() {
    let target = || Target::of_budget(1e23);
    let report = || forecast(&runs(), &[target()], &ForecastOptions::default()).expect("a forecast");
    assert_same_on_any_pool(|| serde_json::to_string(&report()).expect("writes"));
}
