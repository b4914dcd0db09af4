//! Doubts about the form of a law: whether runs like these can be carried on by it at all.

use core::fmt;

use forescale_core::law::{Domain, LawName};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use super::bend::bend;
use super::residuals::{ResidualDoubt, patterns};
use super::{Doubt, NoiseDoubt, Voiced, fit};
use crate::fitted::Fitted;
use crate::noise;
use crate::path::{self, line, parabola};
use crate::problem::FitProblem;
use crate::scale::{Dispersion, Weighing};
use crate::solve::search;
use crate::start::starts;

/// A quadratic term of ln L in ln C bends downwards by chance this rarely.
const SLOPE_ALARM: f64 = 0.01;
/// Fewest rungs whose slopes are compared.
const LEAST_RUNGS: usize = 4;
/// A floor counts where taking it away raises the objective by this many standard errors: one in twenty, one-sided.
const FLOOR_ROOT: f64 = 1.645;
/// A difference below this is not worth a word.
const LEAST_BIAS: f64 = 0.01;
/// Where a line without a floor is compared when no target is given: this many times the largest compute.
const COMPARED_AT: f64 = 100.0;

/// One thing that speaks against a form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Reason {
    pub(crate) words: String,
    /// Whether chance makes it too often for a warning.
    pub(crate) is_faint: bool,
}

impl Reason {
    pub(crate) fn plain(words: String) -> Self {
        Self { words, is_faint: false }
    }
}

/// A doubt about a law's form.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FormDoubt {
    /// What speaks against the form; of one law, or of all in a forecast.
    ModelForm { law: Option<String>, reasons: Vec<Reason> },
    /// What lies past the data cannot be seen in them.
    BreakBeyond { decades: f64 },
    /// A line in log-log against the same with a floor.
    NoFloor { law: String, flops: f64, line: f64, with_floor: f64 },
}

/// Slopes that steepen with compute: along the rungs of a path, or the vertices of a surface's budgets.
pub(crate) fn not_asymptotic(fitted: &Fitted, runs: &[&Observation]) -> Option<Doubt> {
    fit::does_not_fall(fitted).is_none().then_some(())?;
    let rungs = if fitted.problem.is_path_law() {
        rung_means(&fitted.points.iter().collect::<Vec<_>>())
    } else {
        path::vertices(runs).iter().map(|o| (math::ln(o.flops), math::ln(o.loss))).collect()
    };
    let (early, late) = half_slopes(&rungs)?;
    (late > early && is_steepening(&rungs)?).then(|| Doubt::NotAsymptotic { law: fitted.law.to_string(), early, late })
}

fn rung_means(points: &[&Observation]) -> Vec<(f64, f64)> {
    let mean = |budget: &Vec<&Observation>| {
        let of = |f: fn(&Observation) -> f64| budget.iter().map(|o| math::ln(f(o))).sum::<f64>() / budget.len() as f64;
        (of(|o| o.flops), of(|o| o.loss))
    };
    path::budgets(points, 1.02).iter().map(mean).collect()
}

/// Local slopes −d ln L/d ln C over the first and the second half of the rungs.
fn half_slopes(rungs: &[(f64, f64)]) -> Option<(f64, f64)> {
    if rungs.len() < LEAST_RUNGS {
        return None;
    }
    let middle = rungs.len() / 2;
    let early = line(&rungs[..=middle])?.1;
    let late = line(&rungs[middle.min(rungs.len() - 2)..])?.1;
    Some((-early, -late))
}

/// Whether the quadratic term of ln L in ln C is negative by more than chance: one-sided t test.
fn is_steepening(rungs: &[(f64, f64)]) -> Option<bool> {
    let n = rungs.len() as f64;
    let middle = rungs.iter().map(|p| p.0).sum::<f64>() / n;
    let half = rungs.iter().map(|p| (p.0 - middle).abs()).fold(0.0, f64::max);
    let points: Vec<(f64, f64)> = rungs.iter().map(|p| ((p.0 - middle) / half, p.1)).collect();
    let [constant, linear, square] = parabola(&points)?;
    let left = |p: &(f64, f64)| p.1 - constant - linear * p.0 - square * p.0 * p.0;
    let squares: f64 = points.iter().map(|p| left(p) * left(p)).sum();
    let (degrees, across) = (n - 3.0, off_line(&points)?);
    // Less than a hundredth of a percent over the data is rounding.
    if square > -1e-4 || degrees < 1.0 {
        return Some(false);
    }
    let t = square / (squares / degrees / across).sqrt().max(1e-12);
    Some(math::student_t_cdf(t, degrees) < SLOPE_ALARM)
}

/// Sum of squares of x² off its own line in x: the information on the quadratic term.
fn off_line(points: &[(f64, f64)]) -> Option<f64> {
    let squares: Vec<(f64, f64)> = points.iter().map(|p| (p.0, p.0 * p.0)).collect();
    let (intercept, slope) = line(&squares)?;
    let sum: f64 = squares.iter().map(|p| (p.1 - intercept - slope * p.0) * (p.1 - intercept - slope * p.0)).sum();
    (sum > 0.0).then_some(sum)
}

/// What in one fit speaks against its form.
pub(crate) fn evidence(fitted: &Fitted) -> Vec<Reason> {
    let shapes: Vec<ResidualDoubt> = patterns(fitted).into_iter().chain(bend(fitted)).collect();
    reasons(fitted, &shapes, &noise::doubts(fitted))
}

/// The same from the doubts about its residuals and its noise.
fn reasons(fitted: &Fitted, residuals: &[ResidualDoubt], noise: &[NoiseDoubt]) -> Vec<Reason> {
    let law = &fitted.law;
    let mut reasons = Vec::new();
    if let Some(bend) = residuals.iter().find(|doubt| matches!(doubt, ResidualDoubt::Bend { .. })) {
        let is_faint = bend.severity() == Severity::Note;
        let words = format!("the residuals of `{law}` bend{}", if is_faint { " a little" } else { "" });
        reasons.push(Reason { words, is_faint });
    }
    if residuals.iter().any(|doubt| matches!(doubt, ResidualDoubt::Pattern { .. })) {
        reasons.push(Reason::plain(format!("the residuals of `{law}` keep their sign for long")));
    }
    if noise.iter().any(|doubt| matches!(doubt, NoiseDoubt::Measured { misses: true, .. })) {
        reasons.push(Reason::plain(format!("`{law}` misses by more than seed noise")));
    }
    reasons
}

/// The doubt about one fit's form.
pub(super) fn of_fit(fitted: &Fitted, residuals: &[ResidualDoubt], noise: &[NoiseDoubt]) -> Option<FormDoubt> {
    let reasons = reasons(fitted, residuals, noise);
    (!reasons.is_empty()).then(|| FormDoubt::ModelForm { law: Some(fitted.law.to_string()), reasons })
}

/// What a floor would change at a budget, where a law of compute has none and the runs ask for one.
pub(crate) fn no_floor(fitted: &Fitted, flops: Option<f64>) -> Option<FormDoubt> {
    let form = fitted.law.form();
    if form.has_floor() || form.domain() != Domain::Compute || fitted.dispersion.kappa <= 0.0 {
        return None;
    }
    let points: Vec<&Observation> = fitted.points.iter().collect();
    let problem = FitProblem::new(LawName::POWER_LAW.form(), &points, fitted.problem.cost);
    let optimum = search(&problem, &starts(&problem))?.optimum;
    let dispersion = Dispersion::of(&problem, &problem.residuals(&optimum.theta), None, Weighing::Own);
    let rise = (fitted.optimum.value - optimum.value).max(0.0);
    if points.len() <= problem.count() || 2.0 * rise < FLOOR_ROOT * FLOOR_ROOT * dispersion.kappa {
        return None;
    }
    let flops = flops.unwrap_or(COMPARED_AT * fitted.max_flops());
    let line = math::exp(fitted.log_loss(1.0, 1.0, flops));
    let with_floor = math::exp(problem.form.log_loss(&optimum.theta, &problem.centre.position(1.0, 1.0, flops)));
    let bias = (line / with_floor - 1.0).abs();
    (bias > LEAST_BIAS).then(|| FormDoubt::NoFloor { law: fitted.law.to_string(), flops, line, with_floor })
}

impl Voiced for FormDoubt {
    fn code(&self) -> &'static str {
        match self {
            Self::ModelForm { .. } => "model_form",
            Self::BreakBeyond { .. } => "break_beyond",
            Self::NoFloor { .. } => "no_floor",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::BreakBeyond { .. } => Severity::Note,
            Self::ModelForm { reasons, .. } if reasons.iter().all(|reason| reason.is_faint) => Severity::Note,
            Self::ModelForm { .. } | Self::NoFloor { .. } => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::ModelForm { .. } => {
                "add a rung beyond the largest and see which law it follows; until then rely on the widest interval"
            }
            Self::BreakBeyond { .. } => {
                "train a rung between the data and the target, and watch whether it lies on the curve"
            }
            Self::NoFloor { .. } => "fit `power_law`, which has a floor, and forecast with that",
        }
    }
}

impl fmt::Display for FormDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ModelForm { law, reasons } => {
                let of = law.as_ref().map_or_else(String::new, |law| format!("`{law}`: "));
                // Of a warning its reasons alone: faint ones beside them would be read as more.
                let is_note = self.severity() == Severity::Note;
                let told = reasons.iter().filter(|reason| reason.is_faint == is_note);
                let reasons = told.map(|reason| reason.words.as_str()).collect::<Vec<_>>().join("; ");
                let weight = if is_note { "not beyond doubt" } else { "in doubt" };
                write!(
                    f,
                    "{of}the model form is {weight}: {reasons}; an interval that takes the law for granted is too narrow"
                )
            }
            Self::BreakBeyond { decades } => write!(
                f,
                "the target lies {decades:.1} decades beyond the largest run: no data can show a break that comes later, and the interval holds only for breaks as usual in published tables"
            ),
            Self::NoFloor { law, flops, line, with_floor } => write!(
                f,
                "`{law}`: at {flops:.1e} FLOPs this law, which has no floor, gives {line:.4}, {:+.1}% from the {with_floor:.4} of the same with a floor, which fits these runs better",
                100.0 * (line / with_floor - 1.0)
            ),
        }
    }
}
