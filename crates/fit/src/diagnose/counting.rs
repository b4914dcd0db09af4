//! Which convention of size and compute the runs were counted under, and what another would make of the exponents.

use core::fmt;

use forescale_core::law::{Domain, Scale, Theta};
use forescale_core::math;
use forescale_core::observation::{Observation, Training};
use forescale_core::outcome::Severity;

use super::Voiced;
use crate::fitted::Fitted;
use crate::problem::FitProblem;
use crate::solve::solve_from;

/// Above this share of all parameters the head decides what N means (Porian et al., arXiv:2406.19146, part of whose
/// correction from .73 to .50 is the head's compute).
const LARGE_SHARE: f64 = 0.2;
/// A share that changes by more than this factor over the runs bends the exponent.
const DRIFT: f64 = 2.0;
/// Counts under which an exponent differs by more than this factor are two laws. Chosen here: Porian et al.'s .73 and .50 lie as
/// far apart.
const APART: f64 = 1.45;
/// Exponents below this are as good as none, and so is a factor between them.
const NO_EXPONENT: f64 = 0.02;
/// Below this share at its largest a drift moves N by too little to matter. Chosen here: a quarter of the above.
const SMALL_SHARE: f64 = 0.05;
/// N may lie this far below a total that was rounded and leave nothing out.
const ROUNDED: f64 = 0.01;

/// One counting rule, with the exponents that a refit under it has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counted {
    rule: &'static str,
    exponents: Vec<(&'static str, f64)>,
}

/// What counting rules do to a law.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CountingDoubt {
    law: String,
    /// Smallest and largest share of the head in all parameters.
    share: Option<[f64; 2]>,
    /// Smallest and largest share of all parameters that N leaves out, where some are left out.
    left_out: Option<[f64; 2]>,
    rules: Vec<Counted>,
    /// Whether an exponent under another count differs from the law's own by more than [`APART`].
    is_apart: bool,
}

/// Where the points tell shares or several counts; vertices stand for budgets and tell none.
pub(super) fn doubt(fitted: &Fitted) -> Option<CountingDoubt> {
    if fitted.vertices || !fitted.points.iter().all(Observation::tells_split) {
        return None;
    }
    let share = shares(fitted);
    let rules: Vec<Counted> = match fitted.law.form().domain() {
        Domain::Compute => COMPUTE.iter().filter_map(|&(rule, of)| recounted(fitted, rule, Count::Flops(of))).collect(),
        Domain::SizeAndData => {
            SIZE.iter().filter_map(|&(rule, of)| recounted(fitted, rule, Count::Params(of))).collect()
        }
    };
    let left_out = (fitted.law.form().domain() == Domain::SizeAndData).then(|| left_out(fitted)).flatten();
    let own = exponents(&fitted.problem, &fitted.optimum.theta);
    let is_apart = rules.iter().any(|rule| differ(&own, &rule.exponents));
    let doubt = CountingDoubt { law: fitted.law.to_string(), share, left_out, rules, is_apart };
    (doubt.rules.len() > 1 || doubt.is_large() || doubt.is_apart).then_some(doubt)
}

/// Where the runs tell another count under which an exponent is another: what a forecast repeats.
pub(super) fn apart(fitted: &Fitted) -> Option<CountingDoubt> {
    doubt(fitted).filter(|doubt| doubt.is_apart)
}

fn differ(own: &[(&str, f64)], other: &[(&str, f64)]) -> bool {
    let factor = |(a, b): (&(&str, f64), &(&str, f64))| {
        let [a, b] = [a.1, b.1].map(|exponent| exponent.max(NO_EXPONENT));
        a.max(b) / a.min(b)
    };
    own.iter().zip(other).any(|pair| factor(pair) > APART)
}

type Rule = (&'static str, fn(&Training) -> Option<f64>);

const COMPUTE: [Rule; 3] = [("exact", |t| t.flops_exact), ("6nd", |t| t.flops_6nd), ("kaplan", |t| t.flops_kaplan)];
const SIZE: [Rule; 3] = [
    ("total", |t| t.total_params),
    ("matmul", |t| Some(t.total_params? - t.embedding_params?)),
    ("non_embedding", |t| Some(t.total_params? - t.embedding_params? - t.head_params?)),
];

#[derive(Clone, Copy)]
enum Count {
    Flops(fn(&Training) -> Option<f64>),
    Params(fn(&Training) -> Option<f64>),
}

impl Count {
    fn apply(&self, o: &Observation) -> Option<Observation> {
        let positive = |count: Option<f64>| count.filter(|count| count.is_finite() && *count > 0.0);
        Some(match self {
            Self::Flops(of) => Observation { flops: positive(of(&o.training))?, ..o.clone() },
            Self::Params(of) => Observation { params: positive(of(&o.training))?, ..o.clone() },
        })
    }
}

/// The law refitted from its own optimum under another count; none where a point does not tell it.
fn recounted(fitted: &Fitted, rule: &'static str, count: Count) -> Option<Counted> {
    let points: Option<Vec<Observation>> = fitted.points.iter().map(|o| count.apply(o)).collect();
    let points = points?;
    let problem = FitProblem::new(fitted.problem.form, &points.iter().collect::<Vec<_>>(), fitted.problem.cost);
    // θ is centred at the runs' own means, so that it is as good a start under any count.
    let theta = solve_from(&problem, &fitted.optimum.theta, problem.cost.stages())?.theta;
    Some(Counted { rule, exponents: exponents(&problem, &theta) })
}

fn exponents(problem: &FitProblem, theta: &Theta) -> Vec<(&'static str, f64)> {
    let parameters = problem.form.parameters().iter().enumerate();
    let exponents = parameters.filter(|(_, p)| p.scale == Scale::Linear && !p.is_floor);
    exponents.map(|(i, p)| (p.symbol, theta[i])).collect()
}

/// The share of all parameters that N leaves out, where every run tells all of them and N is no more.
fn left_out(fitted: &Fitted) -> Option<[f64; 2]> {
    let share =
        |o: &Observation| Some(1.0 - o.params / o.training.total_params?).filter(|share| (0.0..1.0).contains(share));
    let shares: Option<Vec<f64>> = fitted.points.iter().map(share).collect();
    math::range(shares?).filter(|[_, high]| *high > ROUNDED)
}

fn shares(fitted: &Fitted) -> Option<[f64; 2]> {
    math::range(fitted.points.iter().filter_map(|o| o.training.head_share()))
}

impl CountingDoubt {
    fn is_large(&self) -> bool {
        self.share.is_some_and(|[low, high]| high > LARGE_SHARE || (high > SMALL_SHARE && high > DRIFT * low))
    }
}

impl Voiced for CountingDoubt {
    fn code(&self) -> &'static str {
        "counting_rules"
    }

    fn severity(&self) -> Severity {
        if self.is_large() || self.is_apart { Severity::Warning } else { Severity::Note }
    }

    fn hint(&self) -> &'static str {
        match (self.is_apart, self.left_out) {
            (true, Some(_)) => {
                "count N and C as the target's will be counted, and its optimum will be read; by all parameters: `--map params=total_params` for a table, `params_rule = \"total\"` for a sweep"
            }
            (true, None) => {
                "count N and C as the target's will be counted, and compare exponents with others only under one rule"
            }
            _ => {
                "compare exponents with others only under one rule; count the head's compute, and use a smaller vocabulary or wider models"
            }
        }
    }
}

impl fmt::Display for CountingDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: ", self.law)?;
        if let Some([low, high]) = self.share {
            write!(f, "the head is {:.1}% to {:.1}% of all parameters", 100.0 * low, 100.0 * high)?;
            let why = if self.is_large() { ", so that what N and C count changes the exponents" } else { "" };
            write!(f, "{why}{}", if self.rules.is_empty() { "" } else { "; " })?;
        }
        if let Some([low, high]) = self.left_out.filter(|_| self.is_apart) {
            write!(
                f,
                "N leaves out {:.1}% to {:.1}% of all parameters, and what it counts makes another law; ",
                100.0 * low,
                100.0 * high
            )?;
        } else if self.is_apart {
            f.write_str("what is counted makes another law; ")?;
        }
        let rule = |counted: &Counted| {
            let exponents = counted.exponents.iter().map(|(symbol, value)| format!("{symbol} {value:.4}"));
            format!("{} under `{}`", exponents.collect::<Vec<_>>().join(", "), counted.rule)
        };
        f.write_str(&self.rules.iter().map(rule).collect::<Vec<_>>().join("; "))
    }
}
