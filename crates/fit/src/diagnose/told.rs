//! What a target leaves untold, and what it tells twice.

use core::fmt;

use forescale_core::law::Domain;
use forescale_core::observation::{FlopsPerProduct, Observation};
use forescale_core::outcome::{ForecastTarget, Severity};

use super::Voiced;
use crate::Target;
use crate::fitted::Fitted;
use crate::forecaster::shape_of;

/// Runs whose C/(N·D) agree to this keep to one number of FLOPs for each parameter and token.
const ONE_NUMBER: f64 = 0.01;
/// A target whose compute is this far from what its size and data come to in such runs was typed from two sources.
const APART: f64 = 0.05;

/// A doubt about what a target was said to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ToldDoubt {
    /// A law that models repeated data took all of the target's tokens for fresh, as nothing tells how many are distinct.
    FreshData { law: String, tokens: f64, most_distinct: f64 },
    /// The target's compute is not that of its size and data: the laws that go by the one, and those that go by the others.
    Disagrees { flops: f64, implied: f64, per_product: f64, by_compute: Vec<String>, by_shape: Vec<String> },
}

/// What a forecast by these laws took for granted about its target.
pub(crate) fn doubts<'a>(
    target: &Target,
    entry: &ForecastTarget,
    laws: impl Iterator<Item = &'a Fitted>,
) -> Vec<ToldDoubt> {
    let is_heard = |law: &&Fitted| entry.laws.iter().any(|one| one.weight > 0.0 && one.law == law.law.to_string());
    let heard: Vec<&Fitted> = laws.filter(is_heard).collect();
    fresh_data(target, entry, &heard).into_iter().chain(disagrees(target, &heard)).collect()
}

/// Where a law with a say knows of repeated data, its runs repeat theirs, and the target does not tell how often it does.
fn fresh_data(target: &Target, entry: &ForecastTarget, heard: &[&Fitted]) -> Option<ToldDoubt> {
    let knows = |law: &&&Fitted| law.law.form().models_repetition() && law.points.iter().any(Observation::repeats_data);
    let law = heard.iter().find(knows).filter(|_| target.unique_tokens.is_none())?;
    let shape = shape_of(target, law.flops_per_product()).map(|(_, tokens)| tokens);
    let tokens = shape.or(entry.optimum.as_ref().map(|best| best.tokens.estimate))?;
    let distinct = |run: &Observation| run.unique_tokens.map_or(run.tokens, |unique| unique.min(run.tokens));
    let most_distinct = law.points.iter().map(distinct).fold(0.0, f64::max);
    Some(ToldDoubt::FreshData { law: law.law.to_string(), tokens, most_distinct })
}

/// Where the runs keep to one C/(N·D) and the target, which tells all three, to another.
fn disagrees(target: &Target, heard: &[&Fitted]) -> Option<ToldDoubt> {
    let product = target.params? * target.tokens?;
    let FlopsPerProduct { median, lowest, highest } = FlopsPerProduct::of(&heard.first()?.points)?;
    let is_one = [lowest, highest].iter().all(|end| (end / median - 1.0).abs() <= ONE_NUMBER);
    let implied = median * product;
    let apart = (target.flops / implied).max(implied / target.flops);
    let named = |domain: Domain| -> Vec<String> {
        heard.iter().filter(|law| law.law.form().domain() == domain).map(|law| format!("`{}`", law.law)).collect()
    };
    (is_one && apart > 1.0 + APART).then(|| ToldDoubt::Disagrees {
        flops: target.flops,
        implied,
        per_product: median,
        by_compute: named(Domain::Compute),
        by_shape: named(Domain::SizeAndData),
    })
}

impl Voiced for ToldDoubt {
    fn code(&self) -> &'static str {
        match self {
            Self::FreshData { .. } => "fresh_data_assumed",
            Self::Disagrees { .. } => "target_disagrees",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::FreshData { tokens, most_distinct, .. } if tokens <= most_distinct => Severity::Note,
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::FreshData { .. } => {
                "tell how many the target has, beside its params or tokens (--at flops=…,tokens=… --unique-tokens …)"
            }
            Self::Disagrees { .. } => "give two of flops, params and tokens: the third follows as the runs count it",
        }
    }
}

impl fmt::Display for ToldDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FreshData { law, tokens, most_distinct } => write!(
                f,
                "`{law}` knows what repeated data are worth, and the target does not tell its distinct tokens: it is taken as {tokens:.2e} distinct tokens, and no run had more than {most_distinct:.2e}"
            ),
            Self::Disagrees { flops, implied, per_product, by_compute, by_shape } => {
                write!(
                    f,
                    "the target's {flops:.2e} FLOPs are {:.2} times the {implied:.2e} that its size and data come to, counted as the runs are (C = {per_product:.2} N·D): the forecast goes ",
                    flops / implied
                )?;
                if !by_shape.is_empty() {
                    write!(f, "by size and data in {}, ", by_shape.join(", "))?;
                }
                let by_compute: Vec<&str> =
                    by_compute.iter().map(String::as_str).chain(["the distance beyond the runs"]).collect();
                write!(f, "by compute in {}", by_compute.join(" and "))
            }
        }
    }
}
