//! Doubts about one forecast: where its target lies, how its own fits ended, and what its backtests looked at.

use core::fmt;

use forescale_core::estimate::Interval;
use forescale_core::math;
use forescale_core::outcome::Severity;

use super::fit::GRADIENT;
use super::{Voiced, named};
use crate::certificate::{EXACT, certificate};
use crate::fitted::Fitted;
use crate::form_error::expected_size_error;

/// Code of [`TargetDoubt::FitsApart`].
pub(crate) const FITS_APART: &str = "fits_apart";

/// A doubt about a forecast.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TargetDoubt {
    /// The target is smaller than every run.
    BelowData { decades: f64 },
    /// The target is smaller than the largest run.
    InsideData { flops: f64, largest: f64 },
    /// The runs' evaluation sets have errors, and nothing says that the target is measured on the same.
    EvaluationUnknown { untold: Vec<String>, runs: usize, sigma: f64 },
    /// A law is not known to be at its optimum: as it was fitted to be carried to the target, or for its own sake.
    Uncertified { law: String, fit: FitKind, fault: String },
    /// The forecast's median lies outside the interval of the laws fitted for their own sake, or that interval reaches beyond
    /// the one of one run.
    FitsApart { median: f64, mean: Interval, one: Interval, is_outside: bool },
    /// The optimum lies beyond the runs, and its intervals are mostly of how such sizes have missed.
    OptimumBeyond { law: String, decades: f64 },
    /// The optimum is read from a law, and no law of its kind has a say in the forecast.
    OptimumUnheard { law: String, weight: f64 },
    /// The target, or the best split of its budget, trains on other tokens per parameter than any run.
    BeyondRatios { ratio: f64, span: [f64; 2], is_best: bool },
    /// One law alone has a say; each other that was fitted, and why it has none.
    OneLaw { law: String, silent: Vec<(String, Silence)> },
    /// Backtests of a large table were made on a part of it.
    PartOfBacktests { runs: usize, most_fitted: usize, most_targets: usize },
}

/// Why a law that was fitted has no say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// The target repeats its data, and the law says nothing of that.
    Repeats,
    /// It is none that is carried beyond the data.
    NotCarried,
    /// It bends one way where its rungs make an S.
    Bent,
    /// The target lies off the path that it holds along.
    OffPath,
    /// It is drawn through few vertices.
    FewVertices,
    /// It is a special case of the law named.
    SpecialCase(String),
    /// It gives no number there.
    NoNumber,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Repeats => f.write_str("says nothing of repeated data"),
            Self::NotCarried => f.write_str("is not carried beyond the data"),
            Self::Bent => f.write_str("bends one way only, and the ladder is S-shaped"),
            Self::OffPath => f.write_str("holds along a path that the target is off"),
            Self::FewVertices => {
                f.write_str("is drawn through few vertices, made of runs that a law of size and data sees whole")
            }
            Self::SpecialCase(wider) => write!(f, "is a special case of `{wider}`"),
            Self::NoNumber => f.write_str("gives no number there"),
        }
    }
}

/// The two fits of one law that a forecast is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FitKind {
    /// Made to be carried far: the intervals of one run.
    Ahead,
    /// To every run alike: the interval of the mean, and the optimum.
    Plain,
}

/// What speaks against the optimum of a fit that a forecast is read from. One made to every run alike is looked at as `fit`
/// does, by fits of the sum and the mean and by another method as well: for the three laws of a forecast from 240 runs that
/// takes 6 ms, beside 500 for the forecast.
pub(crate) fn uncertified(fitted: &Fitted, fit: FitKind) -> Option<TargetDoubt> {
    let gradient = fitted.optimum.gradient_norm;
    let fault = if fitted.starts > 1 && fitted.agreeing < 2 {
        format!("{} of {} starts ended at its optimum; at least 2 must", fitted.agreeing, fitted.starts)
    } else if gradient > GRADIENT && fitted.dispersion.kappa > 0.0 {
        format!("its scaled gradient is {gradient:.1e}; below {GRADIENT:.0e} is zero")
    } else {
        (fit == FitKind::Plain).then(|| faults_of_certificate(fitted)).flatten()?
    };
    Some(TargetDoubt::Uncertified { law: fitted.law.to_string(), fit, fault })
}

/// What a certificate says beyond starts and gradient, of a law that misses its runs by more than rounding.
fn faults_of_certificate(fitted: &Fitted) -> Option<String> {
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let rms = (residuals.iter().map(|r| r * r).sum::<f64>() / residuals.len() as f64).sqrt();
    if rms <= EXACT {
        return None;
    }
    let faults = certificate(fitted).faults();
    (!faults.is_empty()).then(|| faults.join("; "))
}

impl Voiced for TargetDoubt {
    fn code(&self) -> &'static str {
        match self {
            Self::BelowData { .. } => "below_data",
            Self::InsideData { .. } => "target_inside_data",
            Self::EvaluationUnknown { .. } => "evaluation_unknown",
            Self::Uncertified { .. } => "uncertified",
            Self::FitsApart { .. } => FITS_APART,
            Self::OptimumBeyond { .. } => "optimum_beyond_runs",
            Self::OptimumUnheard { .. } => "optimum_unheard",
            Self::BeyondRatios { .. } => "beyond_ratios",
            Self::OneLaw { .. } => "one_law",
            Self::PartOfBacktests { .. } => "backtest_sampled",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::PartOfBacktests { .. }
            | Self::OneLaw { .. }
            | Self::InsideData { .. }
            | Self::OptimumBeyond { .. }
            | Self::EvaluationUnknown { .. } => Severity::Note,
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::BelowData { .. } => "train it: a run that small costs next to nothing",
            Self::InsideData { .. } => {
                "ask for a budget above the largest run, or take the runs beside it as the answer"
            }
            Self::EvaluationUnknown { .. } => {
                "write a column `eval_set_digest`: one text, the same in every row that is measured on one set, as the target will be"
            }
            Self::Uncertified { .. } => {
                "ask for the other laws alone (`--law`), and add runs off the path before relying on this one"
            }
            Self::FitsApart { .. } => {
                "see the two apart in `laws` and `fit`; a backtest at that ratio says which kind of fit errs less on these runs"
            }
            Self::OptimumBeyond { .. } => {
                "train isoFLOPs at larger budgets to narrow them; a size off by a fifth costs less than 0.1% of the loss under laws as published"
            }
            Self::OptimumUnheard { .. } => {
                "hold it against `fit --approach 1,2,3` before a size is chosen by it, and add runs off the path"
            }
            Self::BeyondRatios { .. } => {
                "train one small run at that many tokens per parameter: it costs little and says whether the laws hold there"
            }
            Self::OneLaw { silent, .. } if silent.iter().any(|(_, why)| *why == Silence::FewVertices) => {
                "add budgets: a law of compute speaks beside it from two vertices for each of its parameters on"
            }
            Self::OneLaw { .. } => {
                "add runs that a second law needs, or name further laws (`--law`) to see how far apart they lie"
            }
            Self::PartOfBacktests { .. } => "`backtest` asks every run of the top band, from all of the smaller ones",
        }
    }
}

impl fmt::Display for TargetDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BelowData { decades } => write!(
                f,
                "the target lies {decades:.1} decades of compute below the smallest run: backtests look upwards only, and towards an untrained model loss leaves the laws"
            ),
            Self::InsideData { flops, largest } => write!(
                f,
                "the target's {flops:.2e} FLOPs lie below the {largest:.2e} of the largest run: runs that are there say what it comes to, and backtests, which look upwards, say nothing of it"
            ),
            Self::EvaluationUnknown { untold, runs, sigma } => write!(
                f,
                "`loss_se` tells the error of the evaluation set, and {} of {runs} runs ({}) name no set: the target is taken to be measured on another, and {:.2}% of the loss, one standard deviation, widen the interval of one run",
                untold.len(),
                named(untold),
                100.0 * sigma
            ),
            Self::Uncertified { law, fit: FitKind::Ahead, fault } => {
                write!(f, "`{law}`, as fitted to be carried to the target, is not known to be at its optimum: {fault}")
            }
            Self::Uncertified { law, fit: FitKind::Plain, fault } => {
                write!(f, "`{law}`, as fitted to every run alike, is not known to be at its optimum: {fault}")
            }
            Self::FitsApart { mean, one, is_outside: false, .. } => write!(
                f,
                "the {:.0}% interval of the mean, {:.4} to {:.4}, reaches beyond that of one run, {:.4} to {:.4}: the first is of laws fitted to every run alike, the second of the same laws fitted so that they carry to the target, and the runs near it and the small ones do not say the same",
                100.0 * mean.level,
                mean.lower,
                mean.upper,
                one.lower,
                one.upper
            ),
            Self::FitsApart { median, mean, .. } => write!(
                f,
                "the median {median:.4} is of laws fitted so that they carry to the target, and lies outside {:.4} to {:.4}, the {:.0}% interval of the mean of the same laws fitted to every run alike: the runs near the target and the small ones do not say the same",
                mean.lower,
                mean.upper,
                100.0 * mean.level
            ),
            Self::OptimumBeyond { law, decades } => write!(
                f,
                "`{law}`: the optimum lies {decades:.1} decades of compute beyond the largest run; the intervals of the best size and data allow for an error of form of {:.2} times at the median, with which nine in ten published ones held",
                math::exp(expected_size_error(*decades))
            ),
            Self::OptimumUnheard { law, weight } => write!(
                f,
                "the compute-optimal size and data are those of `{law}`, while laws that tell size from data weigh {:.1}% in the forecast",
                100.0 * weight
            ),
            Self::BeyondRatios { ratio, span: [low, high], is_best } => write!(
                f,
                "{} {ratio:.3} tokens per parameter, and the runs span {low:.3} to {high:.3}: the laws reach there by their exponents alone, and no backtest asked for it",
                if *is_best { "the best split of the budget trains on" } else { "the target trains on" }
            ),
            Self::OneLaw { law, silent } => {
                let others: Vec<String> = silent.iter().map(|(other, why)| format!("`{other}` {why}")).collect();
                let others = if others.is_empty() { "no other was fitted".to_owned() } else { others.join(", ") };
                write!(
                    f,
                    "`{law}` alone has a say: {others}; what the interval allows for a wrong form is how far published families were missed, and no disagreement between laws"
                )
            }
            Self::PartOfBacktests { runs, most_fitted, most_targets } => write!(
                f,
                "of {runs} runs each of the forecast's own backtests saw about {most_fitted} smaller ones, evenly chosen, and was asked for about {most_targets}"
            ),
        }
    }
}
