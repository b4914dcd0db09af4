//! Fitting the multi-power law to loss curves under their learning-rate schedules, and predicting another schedule's.
//!
//! For given α, C, β and γ the law is linear in L₀, A and B, so that only those four need starts (variable projection); the
//! best few are polished in all seven by a damped Gauss–Newton method reweighted for Huber's objective on log loss.
//!
//! Points of one curve are not independent, and most of a long run's lie on its flat end: a curve is thinned to points
//! spaced evenly in the logarithm of the summed rate, which also bounds the work. C, β and γ say how loss follows a fall of
//! the rate, and a few curves hardly tell them apart; they are drawn towards what other families had, weakly.

use forescale_core::law::multi_power::{Change, MultiPower, NAME as LAW, PARAMETERS, Schedule};
use forescale_core::math;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::schedule::LossCurve;

use crate::FitError;
use crate::linear::{Matrix, solve};

/// How to fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleOptions {
    /// Where Huber's objective on log loss turns straight.
    pub delta: f64,
    /// Points a curve is thinned to.
    pub points: usize,
    /// What it costs that ln C, ln β or ln γ lies one standard deviation from its typical value; 0 for no pull.
    pub pull: f64,
}

impl Default for ScheduleOptions {
    fn default() -> Self {
        // The pull of one standard deviation costs what one residual of 1%, the scatter of a curve between seeds, does.
        Self { delta: 1e-3, points: 200, pull: 1e-3 * 1e-2 }
    }
}

/// How well one curve is met.
#[derive(Clone, Debug, PartialEq)]
pub struct CurveScore {
    /// The run.
    pub run_id: String,
    /// 1 − Σ(predicted − observed)²/Σ(observed − mean)², over all its points.
    pub r_squared: f64,
    /// Mean |predicted − observed|.
    pub mean_error: f64,
    /// Mean |predicted − observed|/observed.
    pub mean_relative: f64,
    /// Largest |predicted − observed|/observed.
    pub worst_relative: f64,
}

/// The law fitted to curves.
#[derive(Clone, Debug, PartialEq)]
pub struct ScheduleFit {
    /// The law.
    pub law: MultiPower,
    /// Sum of Huber's objective over the thinned points, without the pull.
    pub objective: f64,
    /// Points it was summed over.
    pub points: usize,
    /// Starts polished.
    pub starts: usize,
    /// Of them, those within 1e-4 of the best objective, or within a millionth of the loss at each point.
    pub agreeing: usize,
    /// The curves fitted, as they are met.
    pub curves: Vec<CurveScore>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
}

/// Curves a fit needs: with one schedule the fall of the rate and of the loss cannot be told apart.
const NEEDED_CURVES: usize = 2;
/// Points a fit needs: three for each parameter (chosen here).
const NEEDED_POINTS: usize = 3 * PARAMETERS;
/// Starts in α, C, β and γ: about the values of the law's authors and a factor of two to five to either side.
const ALPHAS: [f64; 3] = [0.25, 0.5, 0.8];
const SPEEDS: [f64; 3] = [0.1, 1.0, 5.0];
const BETAS: [f64; 2] = [0.5, 1.0];
const GAMMAS: [f64; 2] = [0.4, 0.8];
/// Starts that are polished.
const POLISHED: usize = 5;
/// Objectives this close, relatively, are one; and so are those apart by no more than residuals of 1e-6 of the loss, which no
/// table prints.
const SAME: f64 = 1e-4;
const SAME_LOSS: f64 = 1e-6;
/// Steps of one start.
const MAX_STEPS: usize = 150;
/// Typical ln C, ln β and ln γ with their standard deviations: Luo et al. found C 2.0 to 2.1, β 0.58 to 0.60 and γ 0.64 to
/// 0.66 for three sizes; the spread is wide because that was one recipe.
const TYPICAL: [(usize, f64, f64); 3] = [(4, 0.73, 1.5), (5, -0.53, 0.5), (6, -0.44, 0.5)];

/// Fits the law to curves of one model under two schedules or more.
///
/// # Errors
///
/// [`FitError`] for fewer than two curves, too few points, losses that are not positive numbers, points within the warmup,
/// or curves whose rate never falls.
pub fn fit_schedule(curves: &[LossCurve], options: ScheduleOptions) -> Result<ScheduleFit, FitError> {
    check(curves, options)?;
    let tracks: Vec<Track> = curves.iter().map(|curve| Track::of(curve, options.points)).collect();
    let points: usize = tracks.iter().map(|track| track.points.len()).sum();
    if points < NEEDED_POINTS {
        return Err(FitError::TooFewLosses { found: points, parameters: PARAMETERS, needed: NEEDED_POINTS });
    }
    let problem = Problem { tracks, options };
    let mut starts: Vec<(f64, Coordinates)> =
        starts(&problem).into_iter().map(|start| (problem.value(&start), start)).filter(|s| s.0.is_finite()).collect();
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let polished: Vec<(f64, Coordinates)> = starts.iter().take(POLISHED).map(|start| problem.polish(start.1)).collect();
    let best = polished.iter().copied().reduce(|best, next| if next.0 < best.0 { next } else { best });
    let Some((value, at)) = best else {
        return Err(FitError::NoOptimum { law: LAW.to_owned(), starts: starts.len() });
    };
    let same = value * (1.0 + SAME) + points as f64 * 0.5 * SAME_LOSS * SAME_LOSS;
    let agreeing = polished.iter().filter(|other| other.0 <= same).count();
    let law = law_at(&at);
    Ok(ScheduleFit {
        law,
        objective: problem.misfit(&at),
        points,
        starts: polished.len(),
        agreeing,
        curves: curves.iter().map(|curve| score_curve(&law, curve)).collect(),
        diagnoses: doubts(agreeing, polished.len(), curves),
    })
}

impl ScheduleFit {
    /// The loss at steps of another schedule of the same model.
    #[must_use]
    pub fn predict(&self, schedule: &Schedule, steps: &[f64]) -> Vec<f64> {
        self.law.curve(schedule, steps)
    }

    /// How well the law meets a curve, fitted or not.
    #[must_use]
    pub fn score(&self, curve: &LossCurve) -> CurveScore {
        score_curve(&self.law, curve)
    }
}

/// How well a law meets a curve.
fn score_curve(law: &MultiPower, curve: &LossCurve) -> CurveScore {
    let steps: Vec<f64> = curve.points.iter().map(|point| point.step).collect();
    let predicted = law.curve(&curve.schedule, &steps);
    let count = curve.points.len().max(1) as f64;
    let mean = curve.points.iter().map(|point| point.loss).sum::<f64>() / count;
    let errors = || predicted.iter().zip(&curve.points).map(|(predicted, point)| (predicted - point.loss, point.loss));
    let missed: f64 = errors().map(|(error, _)| error * error).sum();
    let spread: f64 = curve.points.iter().map(|point| (point.loss - mean) * (point.loss - mean)).sum();
    CurveScore {
        run_id: curve.run_id.clone(),
        r_squared: 1.0 - missed / spread,
        mean_error: errors().map(|(error, _)| error.abs()).sum::<f64>() / count,
        mean_relative: errors().map(|(error, loss)| error.abs() / loss).sum::<f64>() / count,
        worst_relative: errors().map(|(error, loss)| error.abs() / loss).fold(0.0, f64::max),
    }
}

fn check(curves: &[LossCurve], options: ScheduleOptions) -> Result<(), FitError> {
    let bad = |option, value, allowed| Err(FitError::BadOption { option, value, allowed });
    if !(options.delta.is_finite() && options.delta > 0.0) {
        return bad("--delta", options.delta, "a finite number above 0");
    }
    if !(options.pull.is_finite() && options.pull >= 0.0) {
        return bad("ScheduleOptions::pull", options.pull, "a finite number, 0 or more");
    }
    if options.points < 2 {
        return bad("ScheduleOptions::points", options.points as f64, "2 or more");
    }
    for curve in curves {
        for point in &curve.points {
            let summed = curve.schedule.summed(point.step);
            let fields = [("loss", point.loss), ("summed learning rate", summed)];
            if let Some(&(field, value)) = fields.iter().find(|(_, value)| !(value.is_finite() && *value > 0.0)) {
                return Err(FitError::NotPositive { run_id: curve.run_id.clone(), field, value });
            }
        }
    }
    let falling = |curve: &&LossCurve| curve.schedule.changes().iter().any(|change| change.fall > 0.0);
    let found = curves.iter().filter(falling).count();
    if curves.len() < NEEDED_CURVES || found == 0 {
        return Err(FitError::TooFewSchedules { found: curves.len(), falling: found, needed: NEEDED_CURVES });
    }
    Ok(())
}

fn doubts(agreeing: usize, starts: usize, curves: &[LossCurve]) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    if agreeing < 2 && starts > 1 {
        found.push(Diagnosis {
            code: "starts_disagree".to_owned(),
            severity: Severity::Warning,
            message: format!("{agreeing} of {starts} starts of `{LAW}` reached the best objective: its parameters are not told by these curves"),
            hint: "use the predicted curve, not the parameters, or add a schedule with another fall of the rate".to_owned(),
        });
    }
    let falls = curves.iter().filter(|curve| curve.schedule.changes().iter().any(|change| change.fall > 0.0)).count();
    if falls < 2 {
        found.push(Diagnosis {
            code: "one_decay".to_owned(),
            severity: Severity::Warning,
            message:
                "only 1 of the schedules lets the rate fall: how loss follows a fall of another depth is extrapolated"
                    .to_owned(),
            hint: "add a run whose rate falls elsewhere or further".to_owned(),
        });
    }
    found
}

/// (L₀, ln A, α, ln B, ln C, ln β, ln γ).
type Coordinates = [f64; PARAMETERS];

fn law_at(at: &Coordinates) -> MultiPower {
    let [floor, amplitude, alpha, drop, speed, beta, gamma] = *at;
    let [amplitude, drop, speed, beta, gamma] = [amplitude, drop, speed, beta, gamma].map(math::exp);
    MultiPower { floor, amplitude, alpha, drop, speed, beta, gamma }
}

/// A curve as the solver sees it.
struct Track {
    changes: Vec<Change>,
    /// Summed rate and ln L.
    points: Vec<(f64, f64)>,
}

impl Track {
    /// Points spaced evenly in the logarithm of the summed rate, at most `count`.
    fn of(curve: &LossCurve, count: usize) -> Self {
        let mut all: Vec<(f64, f64)> =
            curve.points.iter().map(|p| (curve.schedule.summed(p.step), math::ln(p.loss))).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let points = if all.len() > 1 { thinned(&all, count) } else { all };
        Self { changes: curve.schedule.changes(), points }
    }
}

fn thinned(all: &[(f64, f64)], count: usize) -> Vec<(f64, f64)> {
    let (low, high) = (math::ln(all[0].0), math::ln(all[all.len() - 1].0));
    let mut kept: Vec<usize> = Vec::with_capacity(count);
    for i in 0..count {
        let wanted = math::exp(low + (high - low) * i as f64 / (count - 1) as f64);
        let above = all.partition_point(|p| p.0 < wanted * (1.0 - 1e-12)).min(all.len() - 1);
        if kept.last() != Some(&above) {
            kept.push(above);
        }
    }
    kept.into_iter().map(|i| all[i]).collect()
}

struct Problem {
    tracks: Vec<Track>,
    options: ScheduleOptions,
}

/// Normal equations of one Gauss–Newton step.
struct Step {
    matrix: [Coordinates; PARAMETERS],
    vector: Coordinates,
}

impl Problem {
    /// Huber's objective over the points.
    fn misfit(&self, at: &Coordinates) -> f64 {
        let law = law_at(at);
        let delta = self.options.delta;
        let cost = |track: &Track, &(sum, log_loss): &(f64, f64)| {
            let size = (math::ln(law.loss(sum, &track.changes)) - log_loss).abs();
            if size <= delta { 0.5 * size * size } else { delta * (size - 0.5 * delta) }
        };
        self.tracks.iter().map(|track| track.points.iter().map(|point| cost(track, point)).sum::<f64>()).sum()
    }

    /// The objective with the pull.
    fn value(&self, at: &Coordinates) -> f64 {
        let away = |(index, typical, spread): (usize, f64, f64)| (at[index] - typical) / spread;
        let pull: f64 = TYPICAL.iter().map(|&typical| away(typical) * away(typical)).sum();
        let value = self.misfit(at) + 0.5 * self.options.pull * pull;
        if value.is_nan() { f64::INFINITY } else { value }
    }

    fn step(&self, at: &Coordinates) -> Step {
        let law = law_at(at);
        let mut step = Step { matrix: [[0.0; PARAMETERS]; PARAMETERS], vector: [0.0; PARAMETERS] };
        for track in &self.tracks {
            for &(sum, log_loss) in &track.points {
                let (loss, gradient) = law.gradient(sum, &track.changes);
                let residual = math::ln(loss) - log_loss;
                let weight = (self.options.delta / residual.abs()).min(1.0);
                for i in 0..PARAMETERS {
                    step.vector[i] += weight * residual * gradient[i] / loss;
                    for j in 0..PARAMETERS {
                        step.matrix[i][j] += weight * gradient[i] * gradient[j] / (loss * loss);
                    }
                }
            }
        }
        for (index, typical, spread) in TYPICAL {
            step.vector[index] += self.options.pull * (at[index] - typical) / (spread * spread);
            step.matrix[index][index] += self.options.pull / (spread * spread);
        }
        step
    }

    /// Follows one start down.
    fn polish(&self, start: Coordinates) -> (f64, Coordinates) {
        let (mut at, mut value, mut damping) = (start, self.value(&start), 1e-3);
        for _ in 0..MAX_STEPS {
            let step = self.step(&at);
            let Some((moved, lower)) = self.descend(&at, value, &step, &mut damping) else { break };
            let gained = value - lower;
            (at, value) = (moved, lower);
            if gained <= 1e-11 * value {
                break;
            }
        }
        (value, at)
    }

    /// The first damped step that lowers the objective.
    fn descend(&self, at: &Coordinates, value: f64, step: &Step, damping: &mut f64) -> Option<(Coordinates, f64)> {
        for _ in 0..12 {
            let mut matrix = step.matrix;
            (0..PARAMETERS).for_each(|i| matrix[i][i] *= 1.0 + *damping);
            if let Some(direction) = eliminate(matrix, step.vector) {
                let mut moved = *at;
                moved.iter_mut().zip(direction).for_each(|(x, by)| *x -= by.clamp(-1.0, 1.0));
                let lower = self.value(&moved);
                if lower < value {
                    *damping = (*damping * 0.2).max(1e-12);
                    return Some((moved, lower));
                }
            }
            *damping *= 6.0;
        }
        None
    }
}

/// Solves a symmetric positive definite system by elimination; `None` where it is singular to rounding.
fn eliminate(mut matrix: [Coordinates; PARAMETERS], mut vector: Coordinates) -> Option<Coordinates> {
    for pivot in 0..PARAMETERS {
        let row = matrix[pivot];
        if row[pivot].is_nan() || row[pivot] <= 0.0 {
            return None;
        }
        for below in pivot + 1..PARAMETERS {
            let factor = matrix[below][pivot] / row[pivot];
            matrix[below].iter_mut().zip(row).for_each(|(entry, by)| *entry -= factor * by);
            vector[below] -= factor * vector[pivot];
        }
    }
    for i in (0..PARAMETERS).rev() {
        let known: f64 = (i + 1..PARAMETERS).map(|j| matrix[i][j] * vector[j]).sum();
        vector[i] = (vector[i] - known) / matrix[i][i];
    }
    vector.iter().all(|value| value.is_finite()).then_some(vector)
}

/// Starts at every combination of shapes, L₀, A and B solved for.
fn starts(problem: &Problem) -> Vec<Coordinates> {
    let mut found = Vec::new();
    for speed in SPEEDS {
        for (beta, gamma) in BETAS.iter().flat_map(|&beta| GAMMAS.map(|gamma| (beta, gamma))) {
            let shape = MultiPower { floor: 0.0, amplitude: 0.0, alpha: 1.0, drop: 1.0, speed, beta, gamma };
            let gained: Vec<Vec<f64>> = problem
                .tracks
                .iter()
                .map(|track| track.points.iter().map(|point| -shape.loss(point.0, &track.changes)).collect())
                .collect();
            found.extend(ALPHAS.iter().filter_map(|&alpha| project(problem, &gained, MultiPower { alpha, ..shape })));
        }
    }
    found
}

/// L₀, A and B of a shape by least squares on relative loss; `None` where A or B comes out below zero.
fn project(problem: &Problem, gained: &[Vec<f64>], shape: MultiPower) -> Option<Coordinates> {
    let (mut matrix, mut vector) = (Matrix::default(), forescale_core::law::Theta::default());
    for (track, gained) in problem.tracks.iter().zip(gained) {
        for (&(sum, log_loss), gained) in track.points.iter().zip(gained) {
            let scale = math::exp(-log_loss);
            let row = [scale, scale * math::pow(sum, -shape.alpha), -scale * gained];
            for i in 0..3 {
                vector[i] += row[i];
                for j in 0..3 {
                    matrix[i][j] += row[i] * row[j];
                }
            }
        }
    }
    let [floor, amplitude, drop, ..] = solve(&matrix, &vector, &[0, 1, 2])?;
    let [a, b, c, beta, gamma] = [amplitude, drop, shape.speed, shape.beta, shape.gamma].map(math::ln);
    (amplitude > 0.0 && drop > 0.0).then_some([floor, a, shape.alpha, b, c, beta, gamma])
}

#[cfg(test)]
mod tests;
