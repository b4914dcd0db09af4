//! What can be doubted in a law of curves: what the curves are, and how far from them it is asked.

use forescale_core::law::multi_power::Schedule;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::schedule::{CurveOutcome, CurveUse, LossCurve};

/// A rise after a fall counts from this share of the peak rate on (chosen here: printed rates are rounded to two digits).
const RISE: f64 = 0.01;
/// Peak rates further apart than this factor are different ones (chosen here, for the same reason).
const PEAKS: f64 = 1.05;
/// A curve is called further than those fitted from this ratio of summed rates on (chosen here: a tenth past the end of a
/// curve, its slope has not changed).
const FURTHER: f64 = 1.1;

/// The doubts of a group; `outcomes` are those of `curves`, one by one.
pub(super) fn doubts(curves: &[LossCurve], outcomes: &[CurveOutcome]) -> Vec<Diagnosis> {
    [no_intervals(), rises(curves), peaks(curves), further(curves, outcomes)].into_iter().flatten().collect()
}

fn no_intervals() -> Option<Diagnosis> {
    let message = "parameters and predictions stand without intervals, and with no certificate but the starts that agree: the points of a curve share one seed, and C, beta \
                   and gamma are drawn weakly to what other families had";
    note("no_intervals", message.to_owned(), "judge by curves held out: --hold-out NAME,…")
}

/// Runs whose rate rises again.
fn rises(curves: &[LossCurve]) -> Option<Diagnosis> {
    let rising = named(curves.iter().filter(|curve| rises_again(&curve.schedule)))?;
    let message = format!("{rising}: the rate rises again after a fall, which the law was never held against");
    warning("rate_rises_again", message, "leave such runs out by --where, or hold them out and look at their error")
}

fn rises_again(schedule: &Schedule) -> bool {
    let (least, mut fallen) = (RISE * schedule.peak(), false);
    schedule.changes().iter().any(|change| {
        fallen |= change.fall > least;
        fallen && change.fall < -least
    })
}

/// Runs at more than one peak rate.
fn peaks(curves: &[LossCurve]) -> Option<Diagnosis> {
    let rates = || curves.iter().map(|curve| curve.schedule.peak());
    let (low, high) = (rates().fold(f64::INFINITY, f64::min), rates().fold(0.0, f64::max));
    let message = format!("peak learning rates run from {low:.3e} to {high:.3e}: the law holds for one");
    let hint = "fit each peak rate apart: --map group=COLUMN, or --where";
    (high > PEAKS * low).then(|| warning("peaks_differ", message, hint))?
}

/// Runs predicted beyond those fitted.
fn further(curves: &[LossCurve], outcomes: &[CurveOutcome]) -> Option<Diagnosis> {
    let sum = |(curve, outcome): &(&LossCurve, &CurveOutcome)| curve.schedule.summed(outcome.last_step);
    let of = |fitted: bool| curves.iter().zip(outcomes).filter(move |one| (one.1.used == CurveUse::Fitted) == fitted);
    let reached = of(true).map(|one| sum(&one)).fold(0.0, f64::max);
    let beyond = named(of(false).filter(|one| sum(one) > FURTHER * reached).map(|one| one.0))?;
    let most = of(false).map(|one| sum(&one)).fold(0.0, f64::max) / reached;
    let message = format!("{beyond}: predicted up to {most:.1} times the summed learning rate of the curves fitted");
    note("further_than_fitted", message, "fit a longer curve as well before relying on its end")
}

/// Names in backticks; `None` for none.
fn named<'a>(curves: impl Iterator<Item = &'a LossCurve>) -> Option<String> {
    let names: Vec<String> = curves.map(|curve| format!("`{}`", curve.run_id)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn note(code: &str, message: String, hint: &str) -> Option<Diagnosis> {
    Some(Diagnosis { code: code.to_owned(), severity: Severity::Note, message, hint: hint.to_owned() })
}

fn warning(code: &str, message: String, hint: &str) -> Option<Diagnosis> {
    note(code, message, hint).map(|doubt| Diagnosis { severity: Severity::Warning, ..doubt })
}
