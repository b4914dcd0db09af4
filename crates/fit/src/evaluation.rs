//! Evaluation noise: the error of a finite evaluation set, common to every run that is measured on it.
//!
//! Two runs on one set err together: their difference, a curve through them and a forecast of a third on that set know
//! nothing of it. So `loss_se` is no noise of a run and weighs no run. It enters where sets differ (`eval_set_digest`),
//! and at the target where the target's set is another, or not known.
//!
//! # Formula
//!
//! Losses are stated on the reference set, that of the largest run. Each set s has one error of log loss with standard
//! deviation τ_s = `loss_se`/L (root mean square over its runs; the mean of the others' where none of its own tells). A
//! functional with gradient h moves by c_s·e_s when all of set s move by e_s, c_s = hᵀA⁻¹ Σ_{i in s} wᵢgᵢ with A = Σ w ggᵀ,
//! so that the variance it gains is Σ_s τ_s² (c_s − \[s is the reference\])². On one set c is 1, because every law here
//! carries a common factor of all losses through to its prediction, and the variance is nothing.
//!
//! One run at a target on another set, or on one that is not known, gains τ² of the reference and τ² of its own set on
//! top; that of a set which no run was measured on is taken as the reference's.
//!
//! # Where it holds
//!
//! Runs without a digest count as of one set, which is not known to be the target's. Scatter between sets is also seen by
//! the residuals, so that intervals over several sets are wide rather than narrow. Refits ([`crate::bootstrap`]) draw no
//! errors of sets.

use forescale_core::law::Theta;
use forescale_core::observation::Observation;

use crate::linear::{dot, solve};
use crate::problem::FitProblem;

/// The points of one evaluation set.
#[derive(Clone, Debug, PartialEq)]
struct Set {
    /// τ².
    variance: f64,
    points: Vec<usize>,
    is_reference: bool,
}

/// Points by evaluation set, where there are several and their errors are told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EvaluationSets(Vec<Set>);

impl EvaluationSets {
    /// Of a fit's points; `None` on one set, or where no run tells its error.
    pub(crate) fn of(points: &[Observation]) -> Option<Self> {
        let reference = reference(points.iter())?;
        let digests = digests(points);
        let usual = variance(points.iter())?;
        let set = |digest: &Option<&str>| Set {
            variance: variance(points.iter().filter(|o| o.eval_set_digest.as_deref() == *digest)).unwrap_or(usual),
            points: (0..points.len()).filter(|&i| points[i].eval_set_digest.as_deref() == *digest).collect(),
            is_reference: reference.eval_set_digest.as_deref() == *digest,
        };
        (digests.len() > 1).then(|| Self(digests.iter().map(set).collect()))
    }

    /// The variance that a functional with this gradient gains from errors of sets.
    pub(crate) fn variance(&self, problem: &FitProblem, theta: &Theta, gradient: &Theta, free: &[usize]) -> f64 {
        let Some(x) = solve(&problem.information(theta), gradient, free) else { return 0.0 };
        let share = |&i: &usize| {
            let sample = &problem.samples[i];
            sample.weight * dot(&x, &problem.form.response(theta, &sample.at).gradient)
        };
        let gained = |set: &Set| {
            let moved = set.points.iter().map(share).sum::<f64>() - if set.is_reference { 1.0 } else { 0.0 };
            set.variance * moved * moved
        };
        self.0.iter().map(gained).sum()
    }
}

/// Standard deviation that one run at a target gains where it is not measured on the reference set of the runs.
pub(crate) fn target_sigma(runs: &[&Observation], target: Option<&str>) -> f64 {
    let Some(reference) = reference(runs.iter().copied()) else { return 0.0 };
    let of = |digest: Option<&str>| variance(runs.iter().copied().filter(|o| o.eval_set_digest.as_deref() == digest));
    let usual = of(reference.eval_set_digest.as_deref()).or_else(|| variance(runs.iter().copied())).unwrap_or(0.0);
    match target {
        Some(_) if target == reference.eval_set_digest.as_deref() => 0.0,
        _ => (usual + target.and_then(|_| of(target)).unwrap_or(usual)).sqrt(),
    }
}

/// The run whose set losses are stated on: the largest, of several the first.
fn reference<'a>(runs: impl Iterator<Item = &'a Observation>) -> Option<&'a Observation> {
    runs.reduce(|largest, run| if run.flops > largest.flops { run } else { largest })
}

/// The sets in the order in which they first appear.
fn digests(points: &[Observation]) -> Vec<Option<&str>> {
    let mut digests = Vec::new();
    for digest in points.iter().map(|point| point.eval_set_digest.as_deref()) {
        if !digests.contains(&digest) {
            digests.push(digest);
        }
    }
    digests
}

/// Mean square of `loss_se`/L over the runs that tell it.
fn variance<'a>(runs: impl Iterator<Item = &'a Observation>) -> Option<f64> {
    let told = runs.filter_map(|run| run.loss_se.map(|se| se / run.loss));
    let (total, count) = told.fold((0.0, 0), |(total, count), se| (total + se * se, count + 1));
    (count > 0).then(|| total / f64::from(count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fitted::fit_law;
    use crate::functional::Functional;
    use crate::{FitOptions, ForecastOptions, LawName, Objective, Target, forecast, published};
    use forescale_core::math;
    use forescale_core::outcome::{ForecastTarget, Severity};
    use forescale_core::run::Role;
    use rand::SeedableRng as _;
    use rand_chacha::ChaCha8Rng;

    fn curve(flops: f64) -> f64 {
        1.7 + 1.8 * math::pow(flops / 1e18, -0.15)
    }

    /// Eight rungs over three decades; the first `small` on set `a`, the others on `b`, with errors of the two sets.
    fn ladder((small, noise): (usize, f64), errors: [f64; 2], generator: &mut ChaCha8Rng) -> Vec<Observation> {
        let rung = |i: usize| {
            let flops = 1e18 * math::pow(10.0, 3.0 * i as f64 / 7.0);
            let size = (flops / 120.0).sqrt();
            let (set, error) = if i < small { ("a", errors[0]) } else { ("b", errors[1]) };
            let loss = curve(flops) * math::exp(noise * published::normal(generator) + error);
            let run = published::run(i, size, 20.0 * size, flops, loss);
            let eval_set_digest = Some(set.to_owned());
            Observation { role: Some(Role::Path), loss_se: Some(0.005 * loss), eval_set_digest, ..run }
        };
        (0..8).map(rung).collect()
    }

    fn quiet(small: usize) -> Vec<Observation> {
        ladder((small, 0.002), [0.0, 0.0], &mut ChaCha8Rng::seed_from_u64(4))
    }

    fn answer(runs: &[Observation], eval_set: Option<&str>) -> ForecastTarget {
        let fit =
            FitOptions { laws: vec![LawName::POWER_LAW], objective: Objective::LeastSquares, ..FitOptions::default() };
        let eval_set_digest = eval_set.map(str::to_owned);
        let options = ForecastOptions { fit, backtest: false, eval_set_digest, ..ForecastOptions::default() };
        let target = Target::of_budget(3e22);
        forecast(runs, &[target], &options).expect("fits").targets.remove(0)
    }

    #[test]
    fn the_error_of_one_set_common_to_all_runs_and_the_target_changes_no_bit() {
        let runs = quiet(0);
        let without: Vec<_> = runs.iter().map(|run| Observation { loss_se: None, ..run.clone() }).collect();
        assert_eq!(answer(&runs, Some("b")), answer(&without, Some("b")));
    }

    #[test]
    fn a_common_factor_of_all_losses_passes_through_to_the_prediction() {
        // c of the module page, summed over all points, is 1.
        let runs = quiet(0);
        let refs: Vec<&Observation> = runs.iter().collect();
        let options = FitOptions { objective: Objective::LeastSquares, ..FitOptions::default() };
        let fitted = fit_law(LawName::POWER_LAW, &refs, &options).expect("fits");
        let at = fitted.problem.centre.position(1e10, 2e11, 1e23);
        let (_, gradient) = Functional::Prediction(at).at(&fitted.problem, &fitted.optimum.theta);
        let all = Set { variance: 1.0, points: (0..8).collect(), is_reference: false };
        let moved = EvaluationSets(vec![all]).variance(&fitted.problem, &fitted.optimum.theta, &gradient, &[0, 1, 2]);
        assert!((moved - 1.0).abs() < 1e-6, "{moved}");
    }

    #[test]
    fn a_target_on_another_set_or_an_unknown_one_gains_both_errors_once() {
        // Two errors of 0.5%: √2 · 0.005 in log loss.
        let runs = quiet(0);
        let refs: Vec<&Observation> = runs.iter().collect();
        for set in [None, Some("c")] {
            assert!((target_sigma(&refs, set) - 2.0_f64.sqrt() * 0.005).abs() < 1e-12, "{set:?}");
        }
        assert!(target_sigma(&refs, Some("b")).abs() < 1e-15);
        let [known, unknown] = [Some("b"), None].map(|set| answer(&runs, set));
        assert!(unknown.intervals[0].upper > known.intervals[0].upper);
        assert_eq!(unknown.mean_intervals, known.mean_intervals);
    }

    #[test]
    fn an_interval_that_holds_two_sets_errors_for_want_of_one_digest_says_so() {
        let mut runs = quiet(0);
        runs[2].eval_set_digest = None;
        let said = |set: Option<&str>, runs: &[Observation]| {
            let options = ForecastOptions { eval_set_digest: set.map(str::to_owned), ..ForecastOptions::default() };
            let found = forecast(runs, &[Target::of_budget(3e22)], &options).expect("fits").diagnoses;
            found.into_iter().find(|doubt| doubt.code == "evaluation_unknown")
        };
        let doubt = said(None, &runs).expect("said");
        // Two errors of 0.5%: 0.71%.
        for words in ["1 of 8 runs (`run0002`) name no set", "0.71% of the loss"] {
            assert!(doubt.message.contains(words), "{}", doubt.message);
        }
        assert!(doubt.severity == Severity::Note && doubt.hint.contains("`eval_set_digest`"), "{doubt:?}");
        assert_eq!(said(Some("b"), &runs), None);
        runs.iter_mut().for_each(|run| run.loss_se = None);
        assert_eq!(said(None, &runs), None);
    }

    #[test]
    fn a_set_that_some_runs_were_measured_on_has_its_own_error() {
        let mut runs = quiet(4);
        runs[..4].iter_mut().for_each(|run| run.loss_se = Some(0.012 * run.loss));
        let refs: Vec<&Observation> = runs.iter().collect();
        // √(0.5² + 1.2²)% = 1.3%.
        assert!((target_sigma(&refs, Some("a")) - 0.013).abs() < 1e-12);
    }

    #[test]
    fn runs_without_errors_or_digests_are_as_they_were() {
        let mut runs = quiet(4);
        runs.iter_mut().for_each(|run| run.loss_se = None);
        assert_eq!(EvaluationSets::of(&runs), None);
        let refs: Vec<&Observation> = runs.iter().collect();
        assert!(target_sigma(&refs, None).abs() < 1e-15);
        let mut one: Vec<_> = quiet(4);
        one.iter_mut().for_each(|run| run.eval_set_digest = None);
        assert_eq!(EvaluationSets::of(&one), None);
    }

    #[test]
    fn mean_intervals_hold_where_small_runs_were_measured_on_another_set() {
        // Noise of 0.02%, sets with errors of 0.5%, the two smallest rungs on one of them, and the truth that of the largest
        // runs' set. 300 simulations at 0.9 have a standard error of 0.017.
        let mut generator = ChaCha8Rng::seed_from_u64(31);
        let (mut told, mut untold) = (0, 0);
        for _ in 0..300 {
            let errors = [0, 1].map(|_| 0.005 * published::normal(&mut generator));
            let runs = ladder((2, 0.0002), errors, &mut generator);
            let without: Vec<_> = runs.iter().map(|run| Observation { loss_se: None, ..run.clone() }).collect();
            let truth = curve(3e22) * math::exp(errors[1]);
            told += u32::from(answer(&runs, Some("b")).mean_intervals[0].contains(truth));
            untold += u32::from(answer(&without, Some("b")).mean_intervals[0].contains(truth));
        }
        // Not told, the residuals of a law fitted for its own sake see the step between the sets as scatter, and hold as
        // well: what is told must take nothing from that.
        assert!(told >= 258, "told {told} of 300");
        assert!(untold >= 258, "untold {untold} of 300");
    }
}
