//! A bend that the law lacks: what its residuals hold that its own parameters cannot take up.
//!
//! Tests work on residuals off the law's tangent plane, where a change of its parameters leaves nothing.
//!
//! - **Direction.** The added-variable test of linear regression: Student's t of the cube of ln C; on a path of its fourth
//!   power too, on a surface of ln N · ln D, in which coupled laws differ.
//! - **Kink.** A slope that changes at one place, for places between the budgets ([`super::kink`]).
//! - **Neighbours.** Whether neighbours in compute err alike (Durbin and Watson), for what no direction here follows.
//!
//! The tests share one alarm by Bonferroni, each by its own share. Half of it along a path is for one direction: losses
//! that fall as several powers at once (of data, of size, of what a recipe adds) lie below a law of one power beyond the
//! runs, and leave a cube of known sign; the same misfit by chance has either sign. Ten rungs over three decades at 0.1%
//! noise see a second power that moves the forecast at 1000 times the compute by 1.1% so in most tables, where a test of
//! both signs with equal shares sees it in one of five (`benches/coverage.md`).

use core::fmt;

use forescale_core::law::Theta;
use forescale_core::math;

use super::kink;
use super::residuals::ResidualDoubt;
use crate::fitted::Fitted;
use crate::linear::{Matrix, add_outer, dot, solve};
use crate::problem::Sample;

/// A bend is an alarm where chance makes one as large less often, over all tests together. Chosen here: half of what the
/// tests of false alarms allow a code.
const BEND_ALARM: f64 = 0.025;
/// A bend that chance makes less often than this and more often than an alarm is a note: it names four in five of the second
/// powers above, and one in fifteen of right laws.
const FAINT_BEND: f64 = 0.08;
/// Shares of the alarm: the cube's likelier sign along a path, all kinks together, and the rest of the tests.
const FLATTENING_SHARE: f64 = 0.5;
const KINK_SHARE: f64 = 0.25;
const SMOOTH_SHARE: f64 = 0.25;
/// Most knots of a table.
const MOST_KNOTS: usize = 16;
/// Fewest budgets on each side of a knot: one alone is an outlier and no slope.
const LEAST_BESIDE: usize = 2;
/// Budgets whose ln C differ by less are one: two percent.
const ONE_BUDGET: f64 = 0.02;

/// By what a bend shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BendSeen {
    /// Student's t of a direction added to the law.
    Direction(f64),
    /// Student's t of a change of slope at a compute.
    Kink { t: f64, flops: f64 },
    /// Durbin and Watson's ratio for neighbours in compute.
    Neighbours(f64),
}

/// How much a bend weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grade {
    /// Chance hardly makes it.
    Alarm,
    /// Chance makes it too often for a warning.
    Faint,
    /// An alarm if all runs scatter alike, and not if they scatter as unevenly as they seem to: misfit at the ends of a table
    /// looks like noise there, and noise like misfit.
    UnlessUneven,
}

/// The bend that chance makes least often, where it is an alarm or worth a note.
pub(super) fn bend(fitted: &Fitted) -> Option<ResidualDoubt> {
    if fitted.dependence.is_some() {
        return None;
    }
    let own = strongest(fitted, fitted.precisions());
    let graded = match own {
        Some((_, chance)) if chance < BEND_ALARM => own.map(|outcome| (outcome, Grade::Alarm)),
        _ => {
            let alike = fitted.scatter.as_ref().and_then(|_| strongest(fitted, fitted.roots()));
            let unless = alike.filter(|(_, chance)| *chance < BEND_ALARM).map(|outcome| (outcome, Grade::UnlessUneven));
            unless.or(own.filter(|(_, chance)| *chance < FAINT_BEND).map(|outcome| (outcome, Grade::Faint)))
        }
    };
    let ((seen, chance), grade) = graded?;
    Some(ResidualDoubt::Bend { law: fitted.law.to_string(), seen, chance: chance.min(1.0), grade })
}

/// Of all tests on residuals in these units the outcome that chance makes least often.
fn strongest(fitted: &Fitted, units: Vec<f64>) -> Option<Outcome> {
    let sheet = Sheet::of(fitted, units)?;
    let all = smooth(&sheet).into_iter().chain(kinks(&sheet)).chain(neighbours(&sheet));
    all.min_by(|a, b| a.1.total_cmp(&b.1))
}

/// A test's outcome with how often chance gives one as far out, over its share of the alarm.
type Outcome = (BendSeen, f64);

/// The law's tangent plane with what lies off it.
struct Sheet<'a> {
    fitted: &'a Fitted,
    plane: Plane,
    /// Residuals off the plane, in the units asked for.
    left: Vec<f64>,
}

impl<'a> Sheet<'a> {
    fn of(fitted: &'a Fitted, units: Vec<f64>) -> Option<Self> {
        let plane = Plane::of(fitted, units)?;
        let residuals = fitted.problem.residuals(&fitted.optimum.theta);
        let own: Vec<f64> = residuals.iter().zip(&plane.roots).map(|(r, root)| r * root).collect();
        let left = plane.off(&own)?;
        Some(Self { fitted, plane, left })
    }

    /// The share of each of cube, second direction and neighbours: on a surface no sign is likelier, so that what a path
    /// keeps for one is theirs as well.
    fn smooth_share(&self) -> f64 {
        let all = if self.fitted.problem.is_path_law() { SMOOTH_SHARE } else { SMOOTH_SHARE + FLATTENING_SHARE };
        all / 3.0
    }

    fn degrees(&self) -> f64 {
        self.left.len() as f64 - self.plane.free.len() as f64
    }

    /// Sum of the squares of what is left; `None` where that is rounding, which tells nothing.
    fn squares(&self) -> Option<f64> {
        let squares = dot_of(&self.left, &self.left);
        (squares >= 1e-18 * self.left.len() as f64).then_some(squares)
    }

    /// Student's t of a direction added to the law, and its degrees of freedom. Above nothing where the law lies above the
    /// runs along it.
    fn added(&self, direction: &dyn Fn(&Sample) -> f64) -> Option<(f64, f64)> {
        let samples = &self.fitted.problem.samples;
        let scaled: Vec<f64> = samples.iter().zip(&self.plane.roots).map(|(s, root)| direction(s) * root).collect();
        let z = self.plane.off(&scaled)?;
        let (zz, zr, rr) = (dot_of(&z, &z), dot_of(&z, &self.left), self.squares()?);
        let degrees = self.degrees() - 1.0;
        // A direction that the tangent plane all but holds tells nothing.
        if degrees < 2.0 || zz < 1e-10 * dot_of(&scaled, &scaled) {
            return None;
        }
        let left = (rr - zr * zr / zz).max(1e-6 * rr) / degrees;
        let t = zr / (zz * left).sqrt();
        t.is_finite().then_some((t, degrees))
    }
}

fn dot_of(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

fn either_side((t, degrees): (f64, f64)) -> f64 {
    2.0 * math::student_t_cdf(-t.abs(), degrees)
}

/// Directions that change over all of the data.
fn smooth(sheet: &Sheet<'_>) -> Vec<Outcome> {
    let cube = |s: &Sample| s.at.log_flops * s.at.log_flops * s.at.log_flops;
    let fourth = |s: &Sample| cube(s) * s.at.log_flops;
    let product = |s: &Sample| s.at.log_params * s.at.log_tokens;
    let is_path = sheet.fitted.problem.is_path_law();
    let second: &dyn Fn(&Sample) -> f64 = if is_path { &fourth } else { &product };
    let each = sheet.smooth_share();
    let mut found = Vec::new();
    if let Some((t, degrees)) = sheet.added(&cube) {
        let flattens = is_path && t > 0.0;
        let one_side = math::student_t_cdf(-t, degrees) / FLATTENING_SHARE;
        let chance = either_side((t, degrees)) / each;
        found.push((BendSeen::Direction(t), if flattens { one_side } else { chance }));
    }
    found.extend(sheet.added(second).map(|seen| (BendSeen::Direction(seen.0), either_side(seen) / each)));
    found
}

/// Changes of slope between the budgets: of a law of one power of compute by fits on either side of the question, of others
/// by their tangent plane.
fn kinks(sheet: &Sheet<'_>) -> Vec<Outcome> {
    let knots = knots(sheet.fitted);
    let share = KINK_SHARE / knots.len().max(1) as f64;
    let centre = sheet.fitted.problem.centre.log_flops;
    let mut found = kink::kinks(sheet.fitted, &knots);
    if found.is_empty() {
        let seen = |&knot: &f64| Some((knot, sheet.added(&|s: &Sample| (s.at.log_flops - knot).max(0.0))?));
        found.extend(knots.iter().filter_map(seen));
    }
    let outcome = |(knot, seen): (f64, (f64, f64))| {
        (BendSeen::Kink { t: seen.0, flops: math::exp(knot + centre) }, either_side(seen) / share)
    };
    found.into_iter().map(outcome).collect()
}

/// Budgets and places halfway between them, with two budgets on either side, in centred ln C; evenly thinned where there are
/// many.
fn knots(fitted: &Fitted) -> Vec<f64> {
    let mut budgets: Vec<f64> = fitted.problem.samples.iter().map(|s| s.at.log_flops).collect();
    budgets.sort_by(f64::total_cmp);
    budgets.dedup_by(|next, kept| *next - *kept < ONE_BUDGET);
    let Some(last) = budgets.len().checked_sub(LEAST_BESIDE) else { return Vec::new() };
    let halfway = |i: usize| 0.5 * (budgets[i - 1] + budgets[i]);
    let inner: Vec<f64> =
        (LEAST_BESIDE..=last).flat_map(|i| [Some(halfway(i)), (i < last).then(|| budgets[i])]).flatten().collect();
    let stride = inner.len().div_ceil(MOST_KNOTS).max(1);
    inner.into_iter().step_by(stride).collect()
}

/// Durbin and Watson's ratio of squared differences between neighbours in compute to squared residuals, and how often chance
/// gives one as small: a beta distribution with the mean and variance that the ratio has under independent noise, given the
/// law's tangent plane (Durbin and Watson, Testing for serial correlation in least squares regression, I and II, Biometrika
/// 37, 1950, and 38, 1951).
fn neighbours(sheet: &Sheet<'_>) -> Option<Outcome> {
    let (points, off) = (&sheet.fitted.points, &sheet.left);
    let mut order: Vec<usize> = (0..off.len()).collect();
    let key = |i: usize| (points[i].flops, points[i].params);
    order.sort_by(|&a, &b| key(a).0.total_cmp(&key(b).0).then(key(a).1.total_cmp(&key(b).1)));
    let (squares, degrees) = (sheet.squares()?, sheet.degrees());
    if degrees < 3.0 {
        return None;
    }
    let ratio = order.windows(2).map(|p| (off[p[1]] - off[p[0]]) * (off[p[1]] - off[p[0]])).sum::<f64>() / squares;
    let (mean, variance) = sheet.plane.null_of_neighbours(&order, degrees)?;
    let (middle, spread) = (mean / 4.0, variance / 16.0);
    let both = middle * (1.0 - middle) / spread - 1.0;
    let chance = math::incomplete_beta(middle * both, (1.0 - middle) * both, ratio / 4.0);
    chance.is_finite().then_some((BendSeen::Neighbours(ratio), chance / sheet.smooth_share()))
}

/// The tangent plane of a law at its optimum, each point in units of its own and each coordinate to one.
struct Plane {
    roots: Vec<f64>,
    gradients: Vec<Theta>,
    gram: Matrix,
    free: Vec<usize>,
}

impl Plane {
    fn of(fitted: &Fitted, roots: Vec<f64>) -> Option<Self> {
        let (problem, theta) = (&fitted.problem, &fitted.optimum.theta);
        let on_bound = problem.at_bound(theta);
        let mut gradients: Vec<Theta> = problem
            .samples
            .iter()
            .zip(&roots)
            .map(|(s, root)| problem.form.response(theta, &s.at).gradient.map(|g| g * root))
            .collect();
        let norm = |i: usize| gradients.iter().map(|g| g[i] * g[i]).sum::<f64>().sqrt();
        let norms: Vec<f64> = (0..problem.count()).map(norm).collect();
        let free: Vec<usize> = (0..problem.count())
            .filter(|i| !on_bound.contains(i) && norms[*i] > 0.0 && norms[*i].is_finite())
            .collect();
        gradients.iter_mut().for_each(|gradient| free.iter().for_each(|&i| gradient[i] /= norms[i]));
        let mut gram = Matrix::default();
        gradients.iter().for_each(|gradient| add_outer(&mut gram, gradient, 1.0));
        (!free.is_empty()).then_some(Self { roots, gradients, gram, free })
    }

    /// Mean and variance of Durbin and Watson's ratio off this plane, with A the matrix of squared differences and M the
    /// projection: tr MA/v and 2(tr (MA)² − (tr MA)²/v)/(v(v + 2)).
    fn null_of_neighbours(&self, order: &[usize], degrees: f64) -> Option<(f64, f64)> {
        let n = order.len();
        let step = |a: usize, b: usize| -> Theta {
            let [from, to] = [a, b].map(|i| self.gradients[order[i]]);
            core::array::from_fn(|i| to[i] - from[i])
        };
        let (mut once, mut twice) = (Matrix::default(), Matrix::default());
        for i in 0..n {
            let before = if i > 0 { step(i - 1, i) } else { Theta::default() };
            let after = if i + 1 < n { step(i, i + 1) } else { Theta::default() };
            add_outer(&mut once, &after, 1.0);
            add_outer(&mut twice, &core::array::from_fn(|j| before[j] - after[j]), 1.0);
        }
        let (once, twice) = (self.solved(&once)?, self.solved(&twice)?);
        let trace = |of: &Matrix| self.free.iter().map(|&i| of[i][i]).sum::<f64>();
        let pairs = self.free.iter().flat_map(|&i| self.free.iter().map(move |&j| (i, j)));
        let squared: f64 = pairs.map(|(i, j)| once[i][j] * once[j][i]).sum();
        let n = n as f64;
        let first = 2.0 * (n - 1.0) - trace(&once);
        let second = 6.0 * n - 8.0 - 2.0 * trace(&twice) + squared;
        let variance = 2.0 * (second - first * first / degrees) / (degrees * (degrees + 2.0));
        (variance > 0.0).then_some((first / degrees, variance))
    }

    /// The inverse of the plane's own products times a symmetric matrix, transposed.
    fn solved(&self, matrix: &Matrix) -> Option<Matrix> {
        let mut solved = Matrix::default();
        for &i in &self.free {
            solved[i] = solve(&self.gram, &matrix[i], &self.free)?;
        }
        Some(solved)
    }

    /// What of a vector lies off the plane.
    fn off(&self, vector: &[f64]) -> Option<Vec<f64>> {
        let mut along = Theta::default();
        for (gradient, value) in self.gradients.iter().zip(vector) {
            along.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += g * value);
        }
        let x = solve(&self.gram, &along, &self.free)?;
        Some(self.gradients.iter().zip(vector).map(|(gradient, value)| value - dot(gradient, &x)).collect())
    }
}

impl fmt::Display for BendSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direction(t) => write!(f, "t {t:.1}"),
            Self::Kink { t, flops } => write!(f, "a change of slope near {flops:.1e} FLOPs, t {t:.1}"),
            Self::Neighbours(ratio) => write!(f, "neighbours in compute err alike, Durbin-Watson {ratio:.2}"),
        }
    }
}
