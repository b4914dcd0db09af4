//! Doubts that residuals raise: a pattern, a bend that the law does not have, a lean to one side, rounding, and the
//! evaluation set.

use core::fmt;

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use super::Voiced;
use super::bend::{BendSeen, Grade, bend};
use super::influence::loss_at_ten_times;
use crate::Objective;
use crate::fitted::Fitted;
use crate::objective::Cost;
use crate::solve::solve_from;

/// Skewness is an alarm below this many of its standard errors: one fit in a hundred by chance.
const SKEW_ALARM: f64 = -2.326;
/// Fewest residuals whose skewness means anything. Chosen here: at 20 its own null is near enough to normal.
const SKEW_RUNS: usize = 20;
/// How often fewer a prediction may lie above a run than below it, in the fit that is shown for comparison (OLMo-core).
const PENALTY: f64 = 10.0;
/// Runs that scatter by less than this times as much as others are all alike to a reader. Chosen here.
const UNEVEN: f64 = 3.0;
/// Intervals allow for uneven scatter sooner than it is said: where chance makes it less often than this.
const UNEVEN_CHANCE: f64 = 0.01;
/// Steps of a loss column that are looked for.
const QUANTA: [f64; 4] = [0.1, 0.01, 0.001, 0.0001];

/// What residuals are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Along {
    Compute,
    Ratio,
    Size,
}

impl Along {
    fn words(self) -> &'static str {
        match self {
            Self::Compute => "compute",
            Self::Ratio => "tokens per parameter",
            Self::Size => "size",
        }
    }

    fn of(self, o: &Observation) -> f64 {
        match self {
            Self::Compute => o.flops,
            Self::Ratio => o.tokens / o.params,
            Self::Size => o.params,
        }
    }
}

/// A doubt that residuals raise.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ResidualDoubt {
    Pattern { law: String, along: Along, signs: usize, expected: f64 },
    Bend { law: String, seen: BendSeen, chance: f64, grade: Grade },
    Uneven { law: String, ends: [f64; 2] },
    Asymmetric { law: String, skewness: f64, with: f64, penalised: f64, unless_uneven: bool },
    Rounded { law: String, quantum: f64, rounding: f64, residual: f64 },
    Evaluation { law: String, error: f64, residual: f64, is_shared: bool },
}

/// All doubts of one fit's residuals.
pub(super) fn doubts(fitted: &Fitted, runs: &[&Observation]) -> Vec<ResidualDoubt> {
    let mut doubts = patterns(fitted);
    doubts.extend(bend(fitted));
    doubts.extend(uneven(fitted));
    doubts.extend(asymmetric(fitted));
    doubts.extend(rounded(fitted, runs));
    doubts.extend(evaluation(fitted, runs));
    doubts
}

/// Orders in which residuals change sign too rarely.
pub(super) fn patterns(fitted: &Fitted) -> Vec<ResidualDoubt> {
    let all = [Along::Compute, Along::Ratio, Along::Size];
    let orders = if fitted.problem.is_path_law() { &all[..1] } else { &all[..] };
    orders.iter().filter_map(|&along| pattern(fitted, along)).collect()
}

/// Too few changes of sign: the Wald–Wolfowitz runs test at three standard deviations.
fn pattern(fitted: &Fitted, along: Along) -> Option<ResidualDoubt> {
    let (residuals, places) = by_cluster(fitted, along);
    let mut order: Vec<usize> = (0..residuals.len()).filter(|&i| residuals[i].abs() > 1e-9).collect();
    order.sort_by(|&a, &b| places[a].total_cmp(&places[b]));
    let above = order.iter().filter(|&&i| residuals[i] > 0.0).count() as f64;
    let (n, below) = (order.len() as f64, order.len() as f64 - above);
    if n < 10.0 || above < 2.0 || below < 2.0 {
        return None;
    }
    let signs = order.windows(2).filter(|pair| (residuals[pair[0]] > 0.0) != (residuals[pair[1]] > 0.0)).count();
    let expected = 2.0 * above * below / n;
    let variance = expected * (2.0 * above * below - n) / (n * (n - 1.0));
    let seen = (signs as f64 - expected) / variance.max(1e-9).sqrt();
    (seen < -3.0).then(|| ResidualDoubt::Pattern { law: fitted.law.to_string(), along, signs, expected })
}

/// Residual and place of each point; the means of each cluster where points share one, as their signs go together.
fn by_cluster(fitted: &Fitted, along: Along) -> (Vec<f64>, Vec<f64>) {
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let places: Vec<f64> = fitted.points.iter().map(|o| along.of(o)).collect();
    let Some(dependence) = &fitted.dependence else { return (residuals, places) };
    let mean = |of: &[f64]| -> Vec<f64> {
        let mean = |cluster: &Vec<usize>| cluster.iter().map(|&i| of[i]).sum::<f64>() / cluster.len() as f64;
        dependence.clusters.iter().map(mean).collect()
    };
    (mean(&residuals), mean(&places))
}

/// Scatter that changes along the table by as much as is worth a word.
fn uneven(fitted: &Fitted) -> Option<ResidualDoubt> {
    let scatter = fitted.scatter.as_ref()?;
    let ends @ [quiet, loud] = scatter.ends;
    let is_said = scatter.chance < UNEVEN_CHANCE && loud >= UNEVEN * quiet;
    is_said.then(|| ResidualDoubt::Uneven { law: fitted.law.to_string(), ends })
}

/// Runs that lie above the law further than below: some were trained worse than the law of the others.
fn asymmetric(fitted: &Fitted) -> Option<ResidualDoubt> {
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    if residuals.len() < SKEW_RUNS || fitted.dependence.is_some() || fitted.dispersion.kappa <= 0.0 {
        return None;
    }
    // A mixture of loud and quiet runs has fat tails, whose skewness scatters far more than that of one deviation.
    let even: Vec<f64> = residuals.iter().zip(fitted.precisions()).map(|(r, precision)| r * precision).collect();
    let is_uneven = fitted.scatter.is_some();
    let alarm = |of: &[f64]| skewness(of).filter(|(skewness, error)| skewness / error <= SKEW_ALARM);
    let (found, unless_uneven) = match alarm(if is_uneven { &even } else { &residuals }) {
        Some(found) => (found, false),
        None => (alarm(&residuals).filter(|_| is_uneven)?, true),
    };
    let skewness = found.0;
    let mut problem = fitted.problem.clone();
    let delta = problem.cost.delta();
    problem.cost = Cost::of(Objective::Asymmetric { delta, overestimate_penalty: PENALTY });
    let penalised = solve_from(&problem, &fitted.optimum.theta, problem.cost.stages())?.theta;
    let with = loss_at_ten_times(fitted, &fitted.optimum.theta)?;
    let penalised = loss_at_ten_times(fitted, &penalised)?;
    Some(ResidualDoubt::Asymmetric { law: fitted.law.to_string(), skewness, with, penalised, unless_uneven })
}

/// The adjusted skewness and its standard error under normal noise (Joanes and Gill, The Statistician 47, 1998).
fn skewness(values: &[f64]) -> Option<(f64, f64)> {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let moment = |power: i32| {
        let term = |v: &f64| (0..power).fold(1.0, |product, _| product * (v - mean));
        values.iter().map(term).sum::<f64>() / n
    };
    let (second, third) = (moment(2), moment(3));
    let adjusted = third / (second * second.sqrt()) * (n * (n - 1.0)).sqrt() / (n - 2.0);
    let error = (6.0 * n * (n - 1.0) / ((n - 2.0) * (n + 1.0) * (n + 3.0))).sqrt();
    adjusted.is_finite().then_some((adjusted, error))
}

/// Losses that are all multiples of one decimal step, which then scatters them by step/√12.
fn rounded(fitted: &Fitted, runs: &[&Observation]) -> Option<ResidualDoubt> {
    let on = |loss: f64, step: f64| ((loss / step) - (loss / step).round()).abs() < 1e-6;
    let quantum = *QUANTA.iter().find(|&&step| runs.iter().all(|o| on(o.loss, step)))?;
    let losses: Vec<f64> = runs.iter().map(|o| o.loss).collect();
    let rounding = quantum / 12.0_f64.sqrt() / math::median(&losses)?;
    let residual = fitted.dispersion.sigma;
    // By chance six losses end in one nought less than they were written with once in a million tables.
    (runs.len() >= 6 && rounding > 0.25 * residual).then(|| ResidualDoubt::Rounded {
        law: fitted.law.to_string(),
        quantum,
        rounding,
        residual,
    })
}

/// Standard errors of the evaluation that are of the residuals' size.
fn evaluation(fitted: &Fitted, runs: &[&Observation]) -> Option<ResidualDoubt> {
    let errors: Vec<f64> = runs.iter().filter_map(|o| o.loss_se.map(|se| se / o.loss)).collect();
    let (error, residual) = (math::median(&errors)?, fitted.dispersion.sigma);
    let first = runs.first()?.eval_set_digest.as_ref();
    let is_shared = first.is_some() && runs.iter().all(|o| o.eval_set_digest.as_ref() == first);
    (error > 0.5 * residual && error > 0.0).then(|| ResidualDoubt::Evaluation {
        law: fitted.law.to_string(),
        error,
        residual,
        is_shared,
    })
}

impl Voiced for ResidualDoubt {
    fn code(&self) -> &'static str {
        match self {
            Self::Pattern { .. } => "residual_pattern",
            Self::Bend { .. } => "residual_bend",
            Self::Uneven { .. } => "uneven_noise",
            Self::Asymmetric { .. } => "asymmetric_noise",
            Self::Rounded { .. } => "rounded_losses",
            Self::Evaluation { .. } => "evaluation_noise",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::Evaluation { is_shared: true, .. } | Self::Uneven { .. } => Severity::Note,
            Self::Bend { grade, .. } if *grade != Grade::Alarm => Severity::Note,
            Self::Asymmetric { unless_uneven: true, .. } => Severity::Note,
            Self::Rounded { rounding, residual, .. } if *rounding < 0.5 * residual => Severity::Note,
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Pattern { .. } | Self::Bend { .. } => {
                "compare with another law, and look for a hyperparameter that was tuned at one end only"
            }
            Self::Uneven { .. } => {
                "write the deviation of two or more seeds into `seed_sd` on four rungs or more: runs then weigh by their noise"
            }
            Self::Asymmetric { .. } => {
                "tune the runs that lie above the curve, or fit with `--objective asymmetric` and quote both numbers"
            }
            Self::Rounded { .. } => "export the losses with all their digits, and quote fitted parameters with theirs",
            Self::Evaluation { is_shared: true, .. } => {
                "a shared evaluation set moves all runs alike: the law's shape holds, its level is that set's"
            }
            Self::Evaluation { .. } => "evaluate every run on the same, larger set of tokens",
        }
    }
}

impl fmt::Display for ResidualDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern { law, along, signs, expected } => write!(
                f,
                "`{law}`: ordered by {} the residuals change sign {signs} times where {expected:.0} are expected: the law bends differently from the data",
                along.words()
            ),
            Self::Bend { law, seen, chance, grade } => write!(
                f,
                "`{law}`: the residuals bend in a direction that the law lacks ({seen}, by chance {} of the time{}): outside the runs the two part ways",
                if *chance < 5e-5 { "less than 0.01%".to_owned() } else { format!("{:.2}%", 100.0 * chance) },
                if *grade == Grade::UnlessUneven {
                    " if runs scatter alike, more often if as unevenly as here"
                } else {
                    ""
                }
            ),
            Self::Uneven { law, ends: [quiet, loud] } => write!(
                f,
                "`{law}`: the loudest tenth of the runs scatters by {:.2}% and more, the quietest by {:.2}% and less, as size, data and their ratio tell: intervals allow for that, while the fit counts all alike",
                100.0 * loud,
                100.0 * quiet
            ),
            Self::Asymmetric { law, skewness, with, penalised, unless_uneven } => write!(
                f,
                "`{law}`: more runs lie far above the curve than far below (skewness {:.2}{}): runs trained badly err upwards only; where a prediction above a run costs 10 times one below, the loss at 10x the largest compute moves from {with:.4} to {penalised:.4}",
                -skewness,
                if *unless_uneven { ", no more than loud runs among quiet ones make" } else { "" }
            ),
            Self::Rounded { law, quantum, rounding, residual } => write!(
                f,
                "`{law}`: every loss is a multiple of {quantum}: rounding alone scatters log loss by {:.3}%, against residuals of {:.3}%, so that the fit cannot be better than the table's digits",
                100.0 * rounding,
                100.0 * residual
            ),
            Self::Evaluation { law, error, residual, is_shared } => write!(
                f,
                "`{law}`: the losses carry a standard error of {:.2}% from {}, against residuals of {:.2}%: the scatter is the evaluation's as much as the runs'",
                100.0 * error,
                if *is_shared { "one shared evaluation set" } else { "evaluation sets not known to be the same" },
                100.0 * residual
            ),
        }
    }
}
