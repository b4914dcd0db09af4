//! The inverse forecast: which budget, size and data reach a loss.
//!
//! The laws are fitted once. The predictive distribution of one run is then followed along rising budgets, and three of
//! its quantiles are inverted: the median gives the budget, the lower and the upper quantile of the level give its ends.
//! An interval made so holds every budget at which the loss asked for lies inside the forecast's own interval, and so
//! covers as often as the forecast does. An end that is not met is said to be missing, never replaced by the end of the
//! search.

use forescale_core::answer::Reach;
use forescale_core::estimate::Estimate;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, Forecast, Severity};

use crate::ensemble::validate_level;
use crate::fitted::validate;
use crate::forecast::{Refusal, alone, assemble, prepare};
use crate::forecaster::Forecaster;
use crate::{FitError, ForecastOptions, Target};

/// How far beyond the largest run a budget is sought, decades. Chosen here: no interval means anything further out.
const DECADES: f64 = 6.0;
/// Decades between the budgets of the first pass. Chosen here: quantiles of a law bend little over half a decade.
const STEP: f64 = 0.5;
/// Budgets of the first pass at most, however far apart the runs lie: 20 decades at [`STEP`].
const MOST_KNOTS: f64 = 40.0;
/// A crossing is found to this many decades, 0.02%.
const PRECISION: f64 = 1e-4;
/// Steps of false position within one bracket; half a decade needs four to eight.
const MAX_STEPS: usize = 30;

/// Forecasts at the compute-optimal budget whose median loss is `loss`; [`Forecast::reach`] holds that budget, N and D
/// with their intervals.
///
/// # Errors
///
/// [`FitError::OutOfReach`] when no budget up to a million times the largest run gets there, or the smallest run is
/// already below it (an error and not the answer no: what lies beyond what was searched is not known);
/// [`FitError::NoForecast`] where no law can be fitted; [`FitError::BadOption`] for a loss that is not a positive number;
/// otherwise as [`crate::forecast`].
pub fn reach(observations: &[Observation], loss: f64, options: &ForecastOptions) -> Result<Forecast, FitError> {
    validate(observations, &options.fit)?;
    validate_level(options.fit.level)?;
    if !(loss.is_finite() && loss > 0.0) {
        return Err(FitError::BadOption { option: "--reach loss", value: loss, allowed: "a finite number above 0" });
    }
    let (prepared, backtest) = prepare(observations, options);
    let (forecaster, doubts) = match prepared {
        Ok(ready) => ready,
        Err(Refusal { reason, hint, .. }) => return Err(FitError::NoForecast { reason, hint }),
    };
    if let Some((reason, hint)) = alone(&forecaster, &Target::of_budget(forecaster.max_flops)) {
        return Err(FitError::NoForecast { reason, hint: hint.to_owned() });
    }
    let search = Search { forecaster: &forecaster, loss, level: options.fit.level };
    let (found, said) = search.answer(observations)?;
    let target = budget(math::log10(found.flops.estimate));
    let answer = assemble(observations, &[target], options, (Ok((forecaster, doubts)), backtest));
    let diagnoses = answer.diagnoses.iter().cloned().chain(said).collect();
    Ok(Forecast { reach: Some(found), diagnoses, ..answer })
}

fn budget(exponent: f64) -> Target {
    Target::of_budget(math::pow(10.0, exponent))
}

/// The quantiles of one run's loss that are inverted.
#[derive(Clone, Copy)]
enum Curve {
    Lower,
    Median,
    Upper,
}

const CURVES: [Curve; 3] = [Curve::Lower, Curve::Median, Curve::Upper];

/// One budget with the quantiles there.
struct Knot {
    /// log10 C.
    exponent: f64,
    /// ln of each quantile over the loss asked for.
    above: [f64; 3],
}

struct Search<'a> {
    forecaster: &'a Forecaster,
    loss: f64,
    level: f64,
}

impl Search<'_> {
    fn answer(&self, observations: &[Observation]) -> Result<(Reach, Vec<Diagnosis>), FitError> {
        let knots = self.knots(observations);
        if knots.is_empty() {
            return Err(FitError::NoNumber);
        }
        let [lower, median, upper] = CURVES.map(|curve| self.crossing(&knots, curve));
        let Some(median) = median else { return Err(self.out_of_reach(&knots)) };
        let [from, to] = [lower, upper].map(|end| end.map(|exponent| math::pow(10.0, exponent)));
        let flops = Estimate {
            estimate: math::pow(10.0, median),
            standard_error: None,
            lower: from.filter(|&from| from <= math::pow(10.0, median)),
            upper: to.filter(|&to| to >= math::pow(10.0, median)),
            level: self.level,
        };
        let (params, tokens) = self.shape(&flops).unzip();
        let said = self.missing_ends(&flops, &knots);
        let flops_per_product = self.forecaster.flops_per_product();
        Ok((Reach { loss: self.loss, flops, params, tokens, flops_per_product }, said))
    }

    /// Budgets from the smallest run to a million times the largest, with the quantiles at each; where no law gives a number
    /// there is none.
    fn knots(&self, observations: &[Observation]) -> Vec<Knot> {
        let flops = || observations.iter().map(|run| math::log10(run.flops));
        let (low, high) = (flops().fold(f64::INFINITY, f64::min), flops().fold(f64::NEG_INFINITY, f64::max) + DECADES);
        let count = ((high - low) / STEP).ceil().min(MOST_KNOTS);
        let at = |i: u32| low + (high - low) * f64::from(i) / count;
        let knot = |exponent| Some(Knot { exponent, above: self.above(exponent)? });
        (0..=count as u32).map(at).filter_map(knot).collect()
    }

    fn above(&self, exponent: f64) -> Option<[f64; 3]> {
        let predictive = self.forecaster.predictive(&budget(exponent))?;
        let tail = 0.5 * (1.0 - self.level);
        Some([tail, 0.5, 1.0 - tail].map(|level| math::ln(predictive.quantile(level) / self.loss)))
    }

    /// The first budget (log10 FLOPs) at which a quantile comes down to the loss.
    fn crossing(&self, knots: &[Knot], curve: Curve) -> Option<f64> {
        let of = |knot: &Knot| (knot.exponent, knot.above[curve as usize]);
        let pair = knots.windows(2).find(|pair| of(&pair[0]).1 >= 0.0 && of(&pair[1]).1 <= 0.0)?;
        Some(self.refine(of(&pair[0]), of(&pair[1]), curve))
    }

    /// False position with the Illinois rule: an end that stays twice counts half.
    fn refine(&self, mut low: (f64, f64), mut high: (f64, f64), curve: Curve) -> f64 {
        let mut side = 0.0;
        for _ in 0..MAX_STEPS {
            if high.0 - low.0 < PRECISION || low.1 <= high.1 {
                break;
            }
            let at = low.0 + (high.0 - low.0) * low.1 / (low.1 - high.1);
            let Some(value) = self.above(at).map(|above| above[curve as usize]) else { break };
            if value.abs() < 1e-9 {
                return at;
            }
            if value > 0.0 {
                high.1 *= if side > 0.0 { 0.5 } else { 1.0 };
                low = (at, value);
            } else {
                low.1 *= if side < 0.0 { 0.5 } else { 1.0 };
                high = (at, value);
            }
            side = value.signum();
        }
        if low.1 > high.1 { low.0 + (high.0 - low.0) * low.1 / (low.1 - high.1) } else { low.0 }
    }

    fn out_of_reach(&self, knots: &[Knot]) -> FitError {
        let medians = || knots.iter().map(|knot| self.loss * math::exp(knot.above[Curve::Median as usize]));
        FitError::OutOfReach {
            loss: self.loss,
            lowest: medians().fold(f64::INFINITY, f64::min),
            highest: medians().fold(f64::NEG_INFINITY, f64::max),
        }
    }

    /// N and D at a budget: the compute-optimal ones, or the path's own where no law tells N from D.
    fn shape(&self, flops: &Estimate) -> Option<(Estimate, Estimate)> {
        let at = |flops: f64| {
            self.forecaster.optimum(flops).map(|best| (best.params, best.tokens)).or_else(|| self.path(flops))
        };
        let (params, tokens) = at(flops.estimate)?;
        let ends = [flops.lower, flops.upper].map(|end| end.and_then(at));
        let of = |pick: fn(&(Estimate, Estimate)) -> Estimate| ends.map(|end| end.map(|shape| pick(&shape).estimate));
        Some((carried(params, of(|shape| shape.0)), carried(tokens, of(|shape| shape.1))))
    }

    fn path(&self, flops: f64) -> Option<(Estimate, Estimate)> {
        let target = self.forecaster.target_on_path(flops);
        let exact = |estimate: f64| Estimate {
            estimate,
            standard_error: Some(0.0),
            lower: Some(estimate),
            upper: Some(estimate),
            level: self.level,
        };
        Some((exact(target.params?), exact(target.tokens?)))
    }

    fn missing_ends(&self, flops: &Estimate, knots: &[Knot]) -> Vec<Diagnosis> {
        let (first, last) = (knots.first(), knots.last());
        let far = last.map_or(0.0, |knot| math::pow(10.0, knot.exponent));
        let near = first.map_or(0.0, |knot| math::pow(10.0, knot.exponent));
        let (loss, percent) = (self.loss, 100.0 * self.level);
        let upper = || Diagnosis {
            code: "never_sure_to_reach".to_owned(),
            severity: Severity::Warning,
            message: format!(
                "at the {percent:.0}% level no budget up to {far:.2e} FLOPs is sure to reach {loss}: the upper end of one run's interval stays above it"
            ),
            hint: "train larger rungs to narrow the forecast, ask for a higher loss, or lower `--level`".to_owned(),
        };
        let lower = || Diagnosis {
            code: "may_be_reached_already".to_owned(),
            severity: Severity::Note,
            message: format!(
                "at the {percent:.0}% level a run of {near:.2e} FLOPs, the smallest there is, may reach {loss} already: the budget has no lower end"
            ),
            hint: "ask for a lower loss, or narrow what one run there may reach by more seeds of the smallest rung"
                .to_owned(),
        };
        flops.upper.is_none().then(upper).into_iter().chain(flops.lower.is_none().then(lower)).collect()
    }
}

/// A size at the point budget, widened by where its budget's ends would put it. The two doubts, of the size at a budget
/// and of the budget, are taken as independent: their logarithms add as squares. No end where either has none.
fn carried(at: Estimate, along: [Option<f64>; 2]) -> Estimate {
    let away = |end: f64| math::ln(end / at.estimate);
    let joined = |own: Option<f64>, moved: Option<f64>, sign: f64| {
        let (own, moved) = (away(own?), away(moved?));
        Some(at.estimate * math::exp(sign * (own * own + moved * moved).sqrt()))
    };
    Estimate {
        standard_error: None,
        lower: joined(at.lower, along[0], -1.0),
        upper: joined(at.upper, along[1], 1.0),
        ..at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published::{self, run};
    use crate::{FitOptions, LawName};
    use forescale_core::run::Role;

    /// Eight runs on 1.7 + 60 C^-0.1, constants chosen here, 1e15 to 10^18.5 FLOPs, at 20 tokens per parameter.
    fn path(noise: f64) -> Vec<Observation> {
        let rung = |step: usize| {
            let flops = math::pow(10.0, 15.0 + step as f64 / 2.0);
            let params = (flops / 120.0).sqrt();
            let loss = 1.7 + 60.0 * math::pow(flops, -0.1);
            Observation { role: Some(Role::Path), ..run(step, params, 20.0 * params, flops, loss) }
        };
        published::with_noise(&(0..8).map(rung).collect::<Vec<_>>(), noise, 3)
    }

    fn options() -> ForecastOptions {
        only(LawName::POWER_LAW)
    }

    fn only(law: LawName) -> ForecastOptions {
        let fit = FitOptions { laws: vec![law], ..FitOptions::default() };
        ForecastOptions { fit, ..ForecastOptions::default() }
    }

    fn reached(answer: &Forecast) -> &Reach {
        answer.reach.as_ref().expect("a budget")
    }

    #[test]
    fn finds_the_budget_of_a_loss_worked_by_hand() {
        // 60 C^-0.1 = 0.6 where C = 1e20; 20 tokens per parameter there are N = √(1e20 / 120) = 9.12871e8.
        let answer = reach(&path(0.0), 2.3, &options()).expect("within reach");
        let found = reached(&answer);
        assert!((math::log10(found.flops.estimate) - 20.0).abs() < 1e-3, "{found:?}");
        assert!((found.flops.estimate / answer.targets[0].flops - 1.0).abs() < 1e-9);
        let (params, tokens) = (found.params.expect("the path's"), found.tokens.expect("the path's"));
        assert!((params.estimate / 9.128_71e8 - 1.0).abs() < 2e-3, "{params:?}");
        assert!((tokens.estimate / params.estimate - 20.0).abs() < 0.01, "{tokens:?}");
        // The budget's own ends carry the size's: N goes as √C on this path.
        let (lower, end) = (params.lower.expect("an end"), found.flops.lower.expect("an end"));
        assert!((lower / params.estimate / (end / found.flops.estimate).sqrt() - 1.0).abs() < 1e-6, "{params:?}");
    }

    #[test]
    fn the_ends_are_where_one_runs_interval_meets_the_loss() {
        let answer = reach(&path(0.003), 2.6, &options()).expect("within reach");
        let flops = reached(&answer).flops;
        let ends = [flops.lower.expect("an end"), flops.upper.expect("an end")];
        let targets = ends.map(Target::of_budget);
        let there = crate::forecast(&path(0.003), &targets, &options()).expect("a forecast").targets;
        let [low, high] = [&there[0].intervals[0], &there[1].intervals[0]];
        assert!((low.lower / 2.6 - 1.0).abs() < 2e-5 && (high.upper / 2.6 - 1.0).abs() < 2e-5, "{low:?} {high:?}");
        assert!(ends[0] < flops.estimate && flops.estimate < ends[1], "{flops:?}");
    }

    #[test]
    fn an_end_that_no_budget_reaches_is_missing_and_said_so() {
        // Two decades beyond the data loss falls by 4% a decade, and the form term's upper end rises by more.
        let answer = reach(&path(0.003), 2.2, &options()).expect("the median gets there");
        assert_eq!(reached(&answer).flops.upper, None);
        assert_eq!(reached(&answer).params.expect("the path's").upper, None);
        let said = answer.diagnoses.iter().find(|d| d.code == "never_sure_to_reach").expect("said");
        assert!(said.message.starts_with("at the 90% level no budget up to 3.16e24 FLOPs is sure"), "{}", said.message);
        let nearer = reach(&path(0.003), 2.6, &options()).expect("within reach");
        assert!(nearer.diagnoses.iter().all(|d| d.code != "never_sure_to_reach"), "{:?}", nearer.diagnoses);
    }

    #[test]
    fn a_loss_that_the_smallest_run_may_have_reached_has_no_lower_end_and_that_is_said() {
        // The law's loss at the smallest run, 1e15 FLOPs, is 1.7 + 60 · 1e15^-0.1 = 3.597.
        let answer = reach(&path(0.003), 3.58, &options()).expect("within reach");
        assert_eq!(reached(&answer).flops.lower, None);
        let said = answer.diagnoses.iter().find(|d| d.code == "may_be_reached_already").expect("said");
        assert!(said.message.contains("a run of 1.00e15 FLOPs, the smallest there is, may reach 3.58"), "{said:?}");
        let further = reach(&path(0.003), 2.6, &options()).expect("within reach");
        assert!(further.diagnoses.iter().all(|d| d.code != "may_be_reached_already"), "{:?}", further.diagnoses);
    }

    #[test]
    fn a_law_of_size_and_data_gives_its_own_optimum() {
        // Hoffmann et al.'s rounded constants: at C = 1e21 the frontier's loss, by the formula of its page.
        let natural = forescale_core::law::padded([406.4, 410.7, 1.69, 0.34, 0.28]);
        let best = LawName::CHINCHILLA.form().optimum(&natural, 1e21, 6.0).expect("it has one");
        let runs = published::grid([406.4, 410.7, 1.69, 0.34, 0.28]);
        let answer = reach(&runs, best.loss, &only(LawName::CHINCHILLA)).expect("within reach");
        let found = reached(&answer);
        assert!((found.flops.estimate / 1e21 - 1.0).abs() < 0.005, "{found:?}");
        let (params, tokens) = (found.params.expect("N"), found.tokens.expect("D"));
        assert!((params.estimate / best.params - 1.0).abs() < 0.005, "{params:?} {best:?}");
        assert!((tokens.estimate / best.tokens - 1.0).abs() < 0.005, "{tokens:?} {best:?}");
        assert!(params.lower < Some(params.estimate) && params.upper > Some(params.estimate));
    }

    #[test]
    fn refuses_a_loss_below_the_floor_or_above_every_run() {
        assert!(matches!(reach(&path(0.0), 1.5, &options()), Err(FitError::OutOfReach { .. })));
        assert!(matches!(reach(&path(0.0), 9.0, &options()), Err(FitError::OutOfReach { .. })));
    }

    #[test]
    fn refuses_a_loss_that_is_no_positive_number() {
        for loss in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(reach(&path(0.0), loss, &options()), Err(FitError::BadOption { .. })), "{loss}");
        }
    }

    #[test]
    fn runs_that_carry_no_law_are_refused_with_what_to_do() {
        let error = reach(&path(0.0)[..2], 2.3, &options()).expect_err("two runs").to_string();
        assert!(error.starts_with("`power_law` was given 2 observations") && error.contains("\n\nhint: "), "{error}");
    }
}
