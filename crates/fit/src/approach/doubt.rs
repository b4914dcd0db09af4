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
    /// The plain parabola's N* is off.
    ParabolaBias { share: f64, flops: f64 },
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
            Self::ParabolaBias { share, flops } => write!(
                f,
                "a plain parabola puts N* {:+.1}% off at {flops:.1e} FLOPs: loss is steeper on one side of its lowest point, and the same share is off at every budget",
                100.0 * share
            ),
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
    let largest = optima.last().and_then(|o| o.parabola_bias.map(|share| (share, o.flops)));
    if let Some((share, flops)) = largest.filter(|(share, _)| share.abs() > WORTH_SAYING) {
        doubts.push(Doubt::ParabolaBias { share, flops });
    }
    doubts
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
