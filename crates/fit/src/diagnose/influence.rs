//! What single runs, and outliers together, move: refits without them, warm-started.

use core::fmt;

use forescale_core::law::{Scale, Theta};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use super::{Doubt, EXPONENT_MOVE, LEAVE_ONE_OUT_ROWS, LOSS_MOVE, OUTLIER_SCALES, Unit, Voiced, named};
use crate::fitted::Fitted;
use crate::linear::{dot, quadratic_inverse};
use crate::path::path_shape;
use crate::solve::solve_from;

/// A run is an outlier where the law of the others misses it as chance does once in twenty tables.
const OUTLYING: f64 = 0.05;

impl Unit {
    fn of(fitted: &Fitted, points: &[usize]) -> Self {
        match (points.len(), fitted.vertices) {
            (1, false) => Self::Run,
            (1, true) => Self::Vertex,
            _ => Self::Trunk,
        }
    }
}

/// Doubts about runs that move the fit: outliers, or else the one run that moves it most; and what any one moves.
pub(super) fn doubts(fitted: &Fitted) -> Vec<Doubt> {
    let refits = refits(fitted);
    let (influential, outlying) = moving(fitted, &refits);
    let range = left_one_out(fitted, &refits).map(Doubt::from);
    [influential, outlying, range].into_iter().flatten().collect()
}

/// Of those the ones that a forecast repeats: outliers, or a run that the law of the others misses.
pub(super) fn warnings(fitted: &Fitted) -> Vec<Doubt> {
    let (influential, outlying) = moving(fitted, &refits(fitted));
    let influential = influential.filter(|doubt| doubt.severity() == Severity::Warning);
    [influential, outlying].into_iter().flatten().collect()
}

/// The run that moves the fit most, and outliers; where these are what moves it, no single run need be named for it.
fn moving(fitted: &Fitted, refits: &[Refit]) -> (Option<Doubt>, Option<Doubt>) {
    let outlying = outlying(fitted).or_else(|| missed_by_others(fitted, refits).map(Doubt::from));
    let is_moving = matches!(outlying, Some(Doubt::Outliers { .. }));
    (if is_moving { None } else { influential_run(fitted, refits) }, outlying)
}

/// θ without one run, or without one trunk.
struct Refit {
    left_out: Vec<usize>,
    theta: Theta,
}

fn refits(fitted: &Fitted) -> Vec<Refit> {
    let rows = fitted.points.len();
    if rows > LEAVE_ONE_OUT_ROWS || fitted.dispersion.kappa <= 0.0 {
        return Vec::new();
    }
    let units = match &fitted.dependence {
        Some(dependence) => dependence.clusters.clone(),
        None => (0..rows).map(|i| vec![i]).collect(),
    };
    let refit = |left_out: Vec<usize>| without(fitted, &left_out).map(|theta| Refit { left_out, theta });
    units.into_iter().filter_map(refit).collect()
}

/// What a point of a fit is called: a run by its name, a vertex by the budget it stands for.
fn point_name(fitted: &Fitted, index: usize) -> String {
    let point = &fitted.points[index];
    if fitted.vertices { format!("the budget at {:.1e} FLOPs", point.flops) } else { format!("`{}`", point.name) }
}

fn unit_name(fitted: &Fitted, points: &[usize]) -> String {
    match Unit::of(fitted, points) {
        Unit::Trunk => {
            format!("the trunk of {}", named(&points.iter().map(|&i| point_name(fitted, i)).collect::<Vec<_>>()))
        }
        _ => point_name(fitted, points[0]),
    }
}

/// θ without some points, warm-started.
fn without(fitted: &Fitted, left_out: &[usize]) -> Option<Theta> {
    let mut problem = fitted.problem.clone();
    let mut index = 0;
    problem.samples.retain(|_| {
        index += 1;
        !left_out.contains(&(index - 1))
    });
    let stages = if left_out.len() == 1 { vec![problem.cost] } else { problem.cost.stages() };
    (problem.samples.len() > problem.count())
        .then(|| solve_from(&problem, &fitted.optimum.theta, stages))
        .flatten()
        .map(|o| o.theta)
}

/// What may move: each exponent, and the loss at ten times the largest compute along the path.
fn summary(fitted: &Fitted, theta: &Theta) -> Vec<(String, f64, f64)> {
    let parameters = fitted.problem.form.parameters().iter().enumerate();
    let exponents = parameters.filter(|(_, p)| p.scale == Scale::Linear && !p.is_floor);
    let mut moving: Vec<_> = exponents.map(|(i, p)| (p.symbol.to_owned(), theta[i], EXPONENT_MOVE)).collect();
    if let Some(loss) = loss_at_ten_times(fitted, theta) {
        moving.push(("the loss at 10x the largest compute".to_owned(), loss, LOSS_MOVE));
    }
    moving
}

/// The loss at ten times the largest compute along the path.
pub(super) fn loss_at_ten_times(fitted: &Fitted, theta: &Theta) -> Option<f64> {
    let flops = 10.0 * fitted.max_flops();
    let tells_split = fitted.points.iter().all(Observation::tells_split);
    // Runs that tell no size are fitted by laws of compute alone, which ask for none.
    let (params, tokens) = if tells_split { path_shape(&fitted.points, flops)? } else { (1.0, 1.0) };
    let at = fitted.problem.centre.position(params, tokens, flops);
    Some(math::exp(fitted.problem.form.log_loss(theta, &at))).filter(|loss| loss.is_finite())
}

/// The change that passes its threshold by most: what, before, after, and by how many thresholds.
fn largest_move(fitted: &Fitted, theta: &Theta) -> Option<(String, f64, f64, f64)> {
    let before = summary(fitted, &fitted.optimum.theta);
    let moves = before.into_iter().zip(summary(fitted, theta)).map(|((what, with, threshold), (_, without, _))| {
        let excess = (without / with - 1.0).abs() / threshold;
        (what, with, without, excess)
    });
    moves.filter(|m| m.3 > 1.0).max_by(|a, b| a.3.total_cmp(&b.3))
}

/// Fewest points whose residuals tell a robust deviation: of fewer a law of three parameters passes through too many.
const FEWEST: usize = 10;

/// Points past [`OUTLIER_SCALES`] robust standard deviations, of [`FEWEST`] or more.
fn far_points(fitted: &Fitted) -> Vec<usize> {
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    let limit = OUTLIER_SCALES * 1.4826 * math::median(&sizes).unwrap_or_default();
    let is_judged = sizes.len() >= FEWEST && limit >= 1e-9;
    (0..sizes.len()).filter(|&i| is_judged && sizes[i] > limit).collect()
}

/// Outliers: by what they move, or, where they move nothing, by how far the law misses them.
fn outlying(fitted: &Fitted) -> Option<Doubt> {
    let far = far_points(fitted);
    if far.is_empty() {
        return None;
    }
    let moved = without(fitted, &far).and_then(|theta| largest_move(fitted, &theta));
    let Some((symbol, with, without, _)) = moved else { return far_runs(fitted, far).map(Doubt::from) };
    let points = far.iter().map(|&i| point_name(fitted, i)).collect();
    let (law, vertices) = (fitted.law.to_string(), fitted.vertices);
    Some(Doubt::Outliers { law, points, vertices, symbol, with, without })
}

/// Runs that a law misses by far though they do not move it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FarRuns {
    law: String,
    points: Vec<String>,
    /// The loss of the farthest over what the law says of it.
    factor: f64,
    /// Whether it is the law of the other runs alone that misses them.
    by_others: bool,
}

/// A miss of less is no slip.
const FAR: f64 = 0.1;

/// Outliers in loss by a tenth or more that move no exponent: the objective shuts its ears to them, and the scatter does not.
fn far_runs(fitted: &Fitted, mut far: Vec<usize>) -> Option<FarRuns> {
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    far.retain(|&i| residuals[i].abs() > FAR);
    far.sort_by(|&a, &b| residuals[b].abs().total_cmp(&residuals[a].abs()));
    let farthest = *far.first()?;
    let points = far.iter().map(|&i| point_name(fitted, i)).collect();
    let at = &fitted.problem.samples[farthest].at;
    let said = math::exp(fitted.problem.form.log_loss(&fitted.optimum.theta, at));
    let (law, factor) = (fitted.law.to_string(), fitted.points[farthest].loss / said);
    Some(FarRuns { law, points, factor, by_others: false })
}

/// The same of fewer than [`FEWEST`] points, by the law of the others: one that is far from it by chance once in twenty tables,
/// and by a tenth.
fn missed_by_others(fitted: &Fitted, refits: &[Refit]) -> Option<FarRuns> {
    if fitted.points.len() >= FEWEST {
        return None;
    }
    let missed = |refit: &Refit| {
        let &[point] = &refit.left_out[..] else { return None };
        let residual = fitted.problem.residuals(&refit.theta)[point];
        let is_far = residual.abs() > FAR && is_missed(fitted, refit, refits.len());
        is_far.then(|| {
            let at = &fitted.problem.samples[point].at;
            let said = math::exp(fitted.problem.form.log_loss(&refit.theta, at));
            (point, fitted.points[point].loss / said)
        })
    };
    let mut missed: Vec<(usize, f64)> = refits.iter().filter_map(missed).collect();
    missed.sort_by(|a, b| math::ln(b.1).abs().total_cmp(&math::ln(a.1).abs()));
    let factor = missed.first()?.1;
    let points = missed.iter().map(|&(point, _)| point_name(fitted, point)).collect();
    Some(FarRuns { law: fitted.law.to_string(), points, factor, by_others: true })
}

impl Voiced for FarRuns {
    fn code(&self) -> &'static str {
        "far_runs"
    }

    fn hint(&self) -> &'static str {
        "look at those runs' losses and curves: correct a slip, and say `status` diverged of one that did"
    }
}

impl fmt::Display for FarRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.by_others {
            return write!(
                f,
                "`{}`: the law of the other runs misses {} by a factor of {:.3}, the largest of them: so few runs do not outvote one, and intervals made of their scatter tell nothing",
                self.law,
                named(&self.points),
                self.factor
            );
        }
        write!(
            f,
            "`{}`: the law misses {} by far, the first by a factor of {:.3}: no parameter moves by it, and the scatter that intervals are made of does",
            self.law,
            named(&self.points),
            self.factor
        )
    }
}

/// The run that moves something by most, past its threshold. In short ladders the ends always do: only where the law of
/// the others misses it by more than chance is that a warning.
fn influential_run(fitted: &Fitted, refits: &[Refit]) -> Option<Doubt> {
    let moved = |refit: &Refit| largest_move(fitted, &refit.theta).map(|m| (refit.left_out.clone(), m));
    let largest = refits.iter().filter_map(moved).max_by(|a, b| a.1.3.total_cmp(&b.1.3))?;
    let (points, (what, with, without, _)) = largest;
    let (law, unit, point) = (fitted.law.to_string(), Unit::of(fitted, &points), unit_name(fitted, &points));
    let refit = refits.iter().find(|refit| refit.left_out == points)?;
    let is_missed = is_missed(fitted, refit, refits.len());
    Some(Doubt::InfluentialRun { law, point, unit, what, with, without, is_missed })
}

/// Whether the law of the others misses a run: deleted residuals, Student's t, at Bonferroni's level for the largest of
/// `tests` (Cook and Weisberg, Residuals and Influence in Regression, 1982, 2.2.2).
fn is_missed(fitted: &Fitted, refit: &Refit, tests: usize) -> bool {
    let problem = &fitted.problem;
    let residuals = problem.residuals(&refit.theta);
    let others = (0..residuals.len()).filter(|i| !refit.left_out.contains(i));
    let squares: f64 = others.clone().map(|i| residuals[i] * residuals[i]).sum();
    let degrees = others.count() as f64 - problem.count() as f64;
    if degrees < 1.0 || squares <= 0.0 {
        return false;
    }
    let information = problem.information(&refit.theta);
    let on_bound = problem.at_bound(&refit.theta);
    let free: Vec<usize> = (0..problem.count()).filter(|i| !on_bound.contains(i)).collect();
    let t = |&i: &usize| {
        let gradient = problem.form.response(&refit.theta, &problem.samples[i].at).gradient;
        let leverage = quadratic_inverse(&information, &gradient, &free).unwrap_or(0.0);
        residuals[i].abs() / (squares / degrees * (1.0 + leverage)).sqrt()
    };
    let largest = refit.left_out.iter().map(t).fold(0.0, f64::max);
    2.0 * math::student_t_cdf(-largest, degrees) * (tests as f64) < OUTLYING
}

/// Between what the fit lies when any one run is left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LeftOneOut {
    law: String,
    /// Of the floor, where there is one.
    floor: Option<[f64; 2]>,
    /// Of the loss at ten times the largest compute.
    loss: [f64; 2],
    /// The largest of Cook's distances, and whose it is.
    cook: Option<(String, f64)>,
}

fn left_one_out(fitted: &Fitted, refits: &[Refit]) -> Option<LeftOneOut> {
    let losses = refits.iter().filter_map(|refit| loss_at_ten_times(fitted, &refit.theta));
    let loss = math::range(losses)?;
    let index = fitted.problem.form.parameters().iter().position(|p| p.is_floor);
    let floor = index.and_then(|index| math::range(refits.iter().map(|refit| refit.theta[index])));
    Some(LeftOneOut { law: fitted.law.to_string(), floor, loss, cook: cook(fitted, refits) })
}

/// (θ − θᵢ)ᵀ A (θ − θᵢ) / (p σ²), A the information: Cook, Technometrics 19, 1977.
fn cook_distance(fitted: &Fitted, refit: &Refit) -> f64 {
    let information = fitted.problem.information(&fitted.optimum.theta);
    let scale = fitted.problem.count() as f64 * fitted.dispersion.variance;
    let mut moved = fitted.optimum.theta;
    moved.iter_mut().zip(refit.theta).for_each(|(with, without)| *with -= without);
    moved.iter().zip(&information).map(|(m, row)| m * dot(row, &moved)).sum::<f64>() / scale
}

fn cook(fitted: &Fitted, refits: &[Refit]) -> Option<(String, f64)> {
    let all = refits.iter().map(|refit| (unit_name(fitted, &refit.left_out), cook_distance(fitted, refit)));
    all.filter(|(_, distance)| distance.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1))
}

impl Voiced for LeftOneOut {
    fn code(&self) -> &'static str {
        "leave_one_out"
    }

    fn severity(&self) -> Severity {
        Severity::Note
    }

    fn hint(&self) -> &'static str {
        "repeat the run named with another seed if the range is wider than you can bear"
    }
}

impl fmt::Display for LeftOneOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, high] = self.loss;
        write!(
            f,
            "`{}`: without any one run the loss at 10x the largest compute lies from {low:.4} to {high:.4}",
            self.law
        )?;
        if let Some([low, high]) = self.floor {
            write!(f, " and the floor from {low:.4} to {high:.4}")?;
        }
        match &self.cook {
            Some((point, distance)) => write!(f, "; {point} moves it most, by a Cook's distance of {distance:.2}"),
            None => Ok(()),
        }
    }
}
