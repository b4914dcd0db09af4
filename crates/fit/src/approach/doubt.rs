//! What can be doubted in a compute-optimal split.

use core::fmt;

use forescale_core::approach::{ApproachFit, OptimumAt};
use forescale_core::estimate::Estimate;
use forescale_core::outcome::{Diagnosis, Severity};

use super::by_group;
use super::isoflop::Budget;

/// A parabola whose N* is off by more than this share is worth saying (chosen here: the size of a small interval).
const WORTH_SAYING: f64 = 0.01;

/// Exponents closer than this agree, however narrow their intervals (chosen here: half the last digit printed; without
/// noise the intervals have no width).
const SAME_EXPONENT: f64 = 5e-4;

/// A doubt about one approach, or between two.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doubt {
    /// An envelope is a minimum over noisy runs.
    RawMinimum { finished: bool, points: usize, sizes: usize },
    /// Budgets without a vertex.
    BudgetsRefused { refused: usize, of: usize, first: &'static str },
    /// The plain parabola's N* is off: the least and the most of the budgets asked for, each as (share, FLOPs).
    ParabolaBias { least: (f64, f64), most: (f64, f64) },
    /// No runs to spare for the correction.
    Uncorrected,
    /// Two approaches whose exponents exclude each other.
    ApproachesDisagree { one: u8, other: u8, exponents: [Estimate; 2] },
}

impl Doubt {
    /// The doubt as the contract wants it.
    pub(super) fn diagnosis(&self) -> Diagnosis {
        let (code, severity) = match self {
            Self::RawMinimum { .. } => ("raw_minimum", Severity::Warning),
            Self::BudgetsRefused { .. } => ("budgets_refused", Severity::Note),
            Self::ParabolaBias { .. } => ("parabola_bias", Severity::Note),
            Self::Uncorrected => ("parabola_uncorrected", Severity::Warning),
            Self::ApproachesDisagree { .. } => ("approaches_disagree", Severity::Warning),
        };
        Diagnosis { code: code.to_owned(), severity, message: self.to_string(), hint: self.hint().to_owned() }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::RawMinimum { .. } => {
                "prefer approach 2 or 3; where only curves exist, repeat the smallest sizes with other seeds"
            }
            Self::BudgetsRefused { .. } => {
                "add sizes to those budgets until the loss rises on both sides of its lowest point"
            }
            Self::ParabolaBias { .. } => {
                "quote the corrected size; the plain parabola's is given for comparison with papers that used it"
            }
            Self::Uncorrected => {
                "add sizes: each budget needs one more than four, or there must be three budgets of four"
            }
            Self::ApproachesDisagree { .. } => {
                "ask whether the smallest runs were tuned and fully decayed; a recipe that drifts with size moves the approaches apart"
            }
        }
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RawMinimum { finished, points, sizes } => {
                let what = if *finished { "finished runs" } else { "training curves" };
                write!(
                    f,
                    "the {points} points of the envelope are minima over {what}, each the lowest of {sizes} sizes or so: noise picks the lucky ones, and the interval does not know it"
                )
            }
            Self::BudgetsRefused { refused, of, first } => {
                write!(f, "{refused} of {of} budgets give no vertex, the first because {first}")
            }
            Self::ParabolaBias { least, most } => parabola_bias(f, *least, *most),
            Self::Uncorrected => f.write_str(
                "the parabola's bias is not corrected: the budgets have no runs to spare for the skew of their shape",
            ),
            Self::ApproachesDisagree { one, other, exponents: [a, b] } => write!(
                f,
                "approaches {one} and {other} exclude each other: N* grows as C^{:.3} by the one and C^{:.3} by the other, and their {:.0}% intervals do not touch",
                a.estimate,
                b.estimate,
                100.0 * a.level
            ),
        }
    }
}

/// Doubts about the budgets of approach 2.
pub(super) fn of_budgets(budgets: &[Budget], optima: &[OptimumAt]) -> Vec<Doubt> {
    let refusals: Vec<&'static str> =
        budgets.iter().filter_map(|budget| budget.describe().refused).map(|reason| reason.label()).collect();
    let mut doubts = Vec::new();
    if let Some(&first) = refusals.first() {
        doubts.push(Doubt::BudgetsRefused { refused: refusals.len(), of: budgets.len(), first });
    }
    if budgets.iter().all(|budget| budget.lowest.is_none()) {
        doubts.push(Doubt::Uncorrected);
    }
    doubts.extend(parabola_doubt(optima));
    doubts
}

/// How far off the plain parabola is, where that is worth saying at any of the optima.
fn parabola_doubt(optima: &[OptimumAt]) -> Option<Doubt> {
    let mut biases: Vec<(f64, f64)> = optima.iter().filter_map(|o| Some((o.parabola_bias?, o.flops))).collect();
    biases.sort_by(|a, b| a.0.abs().total_cmp(&b.0.abs()));
    let (&least, &most) = (biases.first()?, biases.last()?);
    (most.0.abs() > WORTH_SAYING).then_some(Doubt::ParabolaBias { least, most })
}

/// One share where all budgets asked for print the same, else the least and the most of them.
fn parabola_bias(f: &mut fmt::Formatter<'_>, least: (f64, f64), most: (f64, f64)) -> fmt::Result {
    let [(low, low_flops), (high, high_flops)] =
        [least, most].map(|(share, flops)| (format!("{:+.1}%", 100.0 * share), flops));
    write!(f, "a plain parabola puts N* {low} off at {low_flops:.1e} FLOPs")?;
    if low != high {
        write!(f, " and {high} off at {high_flops:.1e}")?;
    }
    f.write_str(": loss is steeper on one side of its lowest point")?;
    match low == high {
        _ if low_flops.total_cmp(&high_flops).is_eq() => Ok(()),
        true => f.write_str(", and the same share is off at every budget asked for"),
        false => f.write_str(", and the share off is not the same at every budget"),
    }
}

/// Adds a doubt to the later of two approaches of one group whose exponents exclude each other.
pub(super) fn note_disagreement(fits: &mut [ApproachFit]) {
    for (_, mut group) in by_group(fits) {
        for later in 1..group.len() {
            let found = (0..later).find_map(|earlier| disagreement(group[earlier], group[later]));
            if let Some(doubt) = found {
                group[later].diagnoses.push(doubt.diagnosis());
            }
        }
    }
}

fn disagreement(one: &ApproachFit, other: &ApproachFit) -> Option<Doubt> {
    let exponents = [one.powers?.params_exponent, other.powers?.params_exponent];
    let [a, b] = exponents;
    let apart = a.upper? < b.lower? || b.upper? < a.lower?;
    let [one, other] = [one.approach.number(), other.approach.number()];
    let told = (a.estimate - b.estimate).abs() > SAME_EXPONENT;
    (apart && told).then_some(Doubt::ApproachesDisagree { one, other, exponents })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(biases: &[(f64, f64)]) -> Option<String> {
        let exactly = |value| Estimate { estimate: value, standard_error: None, lower: None, upper: None, level: 0.9 };
        let optimum = |&(share, flops): &(f64, f64)| OptimumAt {
            flops,
            params: exactly(1e9),
            tokens: exactly(2e10),
            tokens_per_param: exactly(20.0),
            parabola_bias: Some(share),
        };
        parabola_doubt(&biases.iter().map(optimum).collect::<Vec<_>>()).map(|doubt| doubt.to_string())
    }

    #[test]
    fn shares_that_differ_from_budget_to_budget_are_told_as_a_range() {
        let text = said(&[(-0.306, 3e21), (-0.172, 3e20), (-0.418, 3e22)]).expect("the doubt");
        let words = "N* -17.2% off at 3.0e20 FLOPs and -41.8% off at 3.0e22: loss";
        assert!(text.contains(words) && text.ends_with("the share off is not the same at every budget"), "{text}");
        let other_way = said(&[(0.02, 1e20), (0.001, 1e22)]).expect("the doubt, though the largest budget has none");
        assert!(other_way.contains("N* +0.1% off at 1.0e22 FLOPs and +2.0% off at 1.0e20: loss"), "{other_way}");
    }

    #[test]
    fn one_share_is_said_once_and_to_hold_where_it_was_seen() {
        let text = said(&[(0.0621, 1e22), (0.0622, 1e24)]).expect("the doubt");
        assert!(
            text.contains("N* +6.2% off at 1.0e22 FLOPs: loss")
                && text.ends_with("share is off at every budget asked for"),
            "{text}"
        );
        let text = said(&[(0.062, 1e24)]).expect("the doubt");
        assert!(
            text.ends_with("N* +6.2% off at 1.0e24 FLOPs: loss is steeper on one side of its lowest point"),
            "{text}"
        );
        assert_eq!(said(&[(0.001, 1e24), (-0.002, 1e25)]), None);
        assert_eq!(said(&[]), None);
    }
}
