//! What can be doubted about a fit or a forecast, as data.
//!
//! Each variant of [`Doubt`] knows its stable code, its weight, what was seen and why it matters, and what to do.

use core::fmt;

use forescale_core::law::{Domain, Scale, Theta};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, Severity};

use crate::FitError;
use crate::cluster::{self, ClusterDoubt};
use crate::falloff::Falloff;
use crate::fitted::Fitted;
use crate::noise::{self, NoiseDoubt};
use crate::path::{self, line, path_shape};
use crate::profile::Profile;
use crate::solve::solve_from;

/// An exponent or a loss ten times further out that moves by more than this when runs are left out is worth a word.
const EXPONENT_MOVE: f64 = 0.10;
const LOSS_MOVE: f64 = 0.01;
/// Residuals past this many robust standard deviations are outliers. Chosen here: a normal table of 1000 rows has none.
const OUTLIER_SCALES: f64 = 6.0;
/// A loss that changes by less over the whole of the data is the same.
const SAME_LOSS: f64 = 1e-3;
/// Compute and 6ND that differ by more are of different runs: embedding parameters counted or not come to less.
pub(crate) const CONTRADICTION: f64 = 3.0;
/// Up to this many rows each is left out in turn.
const LEAVE_ONE_OUT_ROWS: usize = 400;

/// Something that can be doubted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doubt {
    ParameterAtBound { law: String, symbol: &'static str, is_floor: bool },
    StartsDisagree { law: String, agreeing: usize, starts: usize },
    LawRefused { law: String, error: FitError },
    FewRungs { law: String, rungs: usize, decades: f64 },
    FewSeeds { law: String },
    NotAsymptotic { law: String, early: f64, late: f64 },
    ResidualPattern { law: String, signs: usize, expected: f64 },
    LossDoesNotFall { law: String, decades: f64, change: f64 },
    Outliers { law: String, points: Vec<String>, vertices: bool, symbol: String, with: f64, without: f64 },
    InfluentialRun { law: String, point: String, unit: Unit, what: String, with: f64, without: f64 },
    FloorShare { law: String, share: f64, unbounded: bool },
    Vertices { law: String, budgets: usize, runs: usize },
    Extrapolating { decades: f64, data_decades: f64, expected_error: f64 },
    LawsDisagree { spread: f64, half_width: f64 },
    OffPathTarget { law: String },
    BacktestMissed { cases: usize, inside: f64 },
    NearStart { highest: f64, start: f64 },
    NoForecast { hint: String },
    TargetContradicts { flops: f64, implied: f64 },
    Clustered(ClusterDoubt),
    SeedNoise(NoiseDoubt),
    SeedWeights { law: String, falloff: Falloff },
}

/// What is left out to see what it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Run,
    Vertex,
    /// Several points of one cluster.
    Trunk,
}

impl Unit {
    fn of(fitted: &Fitted, points: &[usize]) -> Self {
        match (points.len(), fitted.vertices) {
            (1, false) => Self::Run,
            (1, true) => Self::Vertex,
            _ => Self::Trunk,
        }
    }
}

impl Doubt {
    /// The doubt as the contract wants it.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        Diagnosis {
            code: self.code().to_owned(),
            severity: self.severity(),
            message: self.to_string(),
            hint: self.hint(),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ParameterAtBound { .. } => "parameter_at_bound",
            Self::StartsDisagree { .. } => "starts_disagree",
            Self::LawRefused { .. } => "law_refused",
            Self::FewRungs { .. } => "few_rungs",
            Self::FewSeeds { .. } => "few_seeds",
            Self::NotAsymptotic { .. } => "not_asymptotic",
            Self::LossDoesNotFall { .. } => "loss_does_not_fall",
            Self::ResidualPattern { .. } => "residual_pattern",
            Self::Outliers { .. } => "outlier_leverage",
            Self::InfluentialRun { .. } => "influential_run",
            Self::FloorShare { .. } => "floor_share",
            Self::Vertices { .. } => "isoflop_vertices",
            Self::Extrapolating { .. } => "extrapolating",
            Self::LawsDisagree { .. } => "laws_disagree",
            Self::OffPathTarget { .. } => "target_off_path",
            Self::BacktestMissed { .. } => "backtest_missed",
            Self::NearStart { .. } => "near_start",
            Self::NoForecast { .. } => "no_forecast",
            Self::TargetContradicts { .. } => "target_contradicts_itself",
            Self::Clustered(_) => "clustered",
            Self::SeedNoise(_) => "seed_noise",
            Self::SeedWeights { .. } => "seed_weights",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::LossDoesNotFall { .. } | Self::NoForecast { .. } => Severity::Error,
            Self::LawRefused { .. } | Self::FewSeeds { .. } | Self::Vertices { .. } | Self::SeedWeights { .. } => {
                Severity::Note
            }
            Self::Clustered(doubt) => doubt.severity(),
            Self::SeedNoise(doubt) => doubt.severity(),
            Self::FloorShare { unbounded, .. } if !unbounded => Severity::Note,
            Self::Extrapolating { decades, .. } if *decades < 1.0 => Severity::Note,
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> String {
        let text = match self {
            Self::ParameterAtBound { is_floor: true, .. } | Self::NotAsymptotic { .. } => {
                "add rungs at larger compute until the curve visibly flattens, and trust the interval rather than the median"
            }
            Self::ParameterAtBound { .. } => {
                "look for a table in which that quantity hardly varies, and add runs where it does"
            }
            Self::StartsDisagree { .. } => {
                "treat the parameters as unknown and add runs off the path; the forecast may still hold"
            }
            Self::LawRefused { error, .. } => return error.hint(),
            Self::NoForecast { hint } => hint,
            Self::Clustered(_) => cluster::HINT,
            Self::SeedNoise(doubt) => doubt.hint(),
            Self::SeedWeights { .. } => "leave `seed_sd` out of the table to fit every run with weight 1",
            Self::TargetContradicts { .. } => "leave out one of compute, size and data: it follows from the other two",
            Self::LossDoesNotFall { .. } => {
                "look for a metric that rises as models get better, for columns that changed places, or for larger runs trained worse"
            }
            Self::FewRungs { .. } => "add rungs: five or more over a decade or more of compute",
            Self::FewSeeds { .. } => "train two more seeds of the smallest rungs: they cost least and are noisiest",
            Self::ResidualPattern { .. } => {
                "compare with another law, and look for a hyperparameter that was tuned at one end only"
            }
            Self::Outliers { vertices: true, .. } => {
                "look at the runs of those budgets; leave them out with `--where` only for a reason known before their loss"
            }
            Self::InfluentialRun { unit: Unit::Vertex, .. } => {
                "train another size or seed at that budget before relying on the fit"
            }
            Self::InfluentialRun { unit: Unit::Trunk, .. } => {
                "train that trunk with another seed before relying on the fit"
            }
            Self::Outliers { .. } => {
                "look at those runs' curves; leave them out with `--where` only for a reason known before their loss"
            }
            Self::InfluentialRun { .. } => "repeat that run with another seed before relying on the fit",
            Self::FloorShare { .. } => {
                "read the floor as a fitting constant; a source of known entropy or larger rungs would pin it"
            }
            Self::Vertices { .. } => "name the path with a `role` column if the table has one",
            Self::Extrapolating { .. } => "forecast a nearer target first, or add a rung in between",
            Self::LawsDisagree { .. } => "add a rung where the laws differ most: the largest that can be paid for",
            Self::OffPathTarget { .. } => {
                "give the target the path's own tokens per parameter, or rely on the (N, D) law alone"
            }
            Self::NearStart { .. } => "leave the smallest rungs out of the next sweep, or give them more compute",
            Self::BacktestMissed { .. } => {
                "suspect the recipe of the rungs first: tune the rate and batch at both ends of the ladder"
            }
        };
        text.to_owned()
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ParameterAtBound { law, symbol, is_floor: true } => write!(
                f,
                "`{law}`: the floor {symbol} ended at 0: within these runs the loss does not flatten, so the data cannot place it and a forecast far beyond them is likely too low"
            ),
            Self::ParameterAtBound { law, symbol, .. } => {
                write!(f, "`{law}`: {symbol} ended at the edge of its range: the data do not determine it")
            }
            Self::StartsDisagree { law, agreeing, starts } => write!(
                f,
                "`{law}`: {agreeing} of {starts} polished starts reached the best objective within 1e-6: there are several optima, and another table of the same runs may pick another"
            ),
            Self::LawRefused { law, error } => f.write_str(&not_fitted(law, &error.fault())),
            Self::FewRungs { law, rungs, decades } => write!(
                f,
                "`{law}`: {rungs} rungs over {decades:.1} decades of compute; below five rungs or one decade, exponent and floor trade off freely"
            ),
            Self::FewSeeds { law } => write!(
                f,
                "`{law}`: no run is repeated with another seed, so that seed noise can only be guessed from the residuals"
            ),
            Self::NotAsymptotic { law, early, late } => write!(
                f,
                "`{law}`: not asymptotic yet: log loss falls by {early:.3} per unit of log compute in the first half of the path and {late:.3} in the second, where a law with a floor must flatten; its forecast tends to be too low"
            ),
            Self::ResidualPattern { law, signs, expected } => write!(
                f,
                "`{law}`: ordered by compute the residuals change sign {signs} times where {expected:.0} are expected: the law bends differently from the data"
            ),
            Self::LossDoesNotFall { law, decades, change } => f.write_str(&no_fall(law, *decades, *change)),
            Self::Outliers { law, points, vertices, symbol, with, without } => {
                let far = far_points(points, *vertices);
                write!(f, "`{law}`: {far}, and without them {symbol} moves from {with:.3} to {without:.3}")
            }
            Self::Clustered(doubt) => write!(f, "{doubt}"),
            Self::SeedNoise(doubt) => write!(f, "{doubt}"),
            Self::SeedWeights { law, falloff } => write!(f, "`{law}`: {falloff}"),
            Self::InfluentialRun { law, point, what, with, without, .. } => {
                write!(f, "`{law}`: without {point} alone {what} moves from {with:.4} to {without:.4}")
            }
            Self::FloorShare { law, share, unbounded } => f.write_str(&floor_words(law, *share, *unbounded)),
            Self::Vertices { law, budgets, runs } => write!(
                f,
                "`{law}`: the table names no path, so the law was fitted to {budgets} vertices of parabolas in ln N, one per budget, looked for in {runs} runs; vertices are biased upwards on wide grids"
            ),
            Self::Extrapolating { decades, data_decades, expected_error } => write!(
                f,
                "the target lies {decades:.1} decades of compute beyond data that span {data_decades:.1}; at that distance an error of about {:.1}% is usual, by published tables and the backtests on these runs",
                100.0 * expected_error
            ),
            Self::LawsDisagree { spread, half_width } => write!(
                f,
                "the laws differ by {:.1}% at the target, more than the half-width {:.1}% of their own intervals: which law is right matters more than noise",
                100.0 * spread,
                100.0 * half_width
            ),
            Self::OffPathTarget { law } => {
                write!(
                    f,
                    "`{law}` holds along a path, and the target's tokens per parameter differ from it by more than 2x: it got no weight"
                )
            }
            Self::NoForecast { .. } => write!(f, "these runs carry no forecast"),
            Self::TargetContradicts { flops, implied } => write!(
                f,
                "the target's compute of {flops:.2e} FLOPs and the {implied:.2e} that its size and data come to by 6ND differ by more than {CONTRADICTION}x under every counting rule: laws of compute and laws of size and data are asked about different runs"
            ),
            Self::NearStart { highest, start } => write!(
                f,
                "the highest loss fitted, {highest:.3}, is {:.0}% of the {start:.3} an untrained model starts from: so near the start the curve is S-shaped, and a law with a floor forecasts too low",
                100.0 * highest / start
            ),
            Self::BacktestMissed { cases, inside } => write!(
                f,
                "of {cases} backtest forecasts on these runs {:.0}% lay inside their 90% interval",
                100.0 * inside
            ),
        }
    }
}

fn floor_words(law: &str, share: f64, unbounded: bool) -> String {
    let bound = if unbounded { ", and the data set no lower bound on it" } else { "" };
    format!("`{law}`: the floor is {:.0}% of the lowest loss fitted{bound}", 100.0 * share)
}

fn not_fitted(law: &str, fault: &str) -> String {
    match fault.strip_prefix(&format!("`{law}` ")) {
        Some(rest) => format!("`{law}` was not fitted: it {rest}"),
        None => format!("`{law}` was not fitted: {fault}"),
    }
}

fn no_fall(law: &str, decades: f64, change: f64) -> String {
    let seen = if change < SAME_LOSS {
        "stays the same, so that there is nothing to fit, and an interval without width means nothing".to_owned()
    } else {
        format!("rises by {:.1}%, and a law that can only fall says nothing of it", 100.0 * change)
    };
    format!("`{law}`: loss does not fall with compute: over {decades:.1} decades it {seen}")
}

fn far_points(points: &[String], vertices: bool) -> String {
    let kind = if vertices { "budgets" } else { "runs" };
    format!(
        "{} of the {kind} ({}) lie more than {OUTLIER_SCALES:.0} robust deviations away",
        points.len(),
        named(points)
    )
}

fn named(runs: &[String]) -> String {
    let shown: Vec<&str> = runs.iter().take(5).map(String::as_str).collect();
    let more = if runs.len() > 5 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// All doubts about one fit.
pub(crate) fn doubts_of_fit(fitted: &Fitted, runs: &[&Observation], profiles: &[Profile]) -> Vec<Doubt> {
    let mut doubts = bounds(fitted);
    doubts.extend(does_not_fall(fitted));
    doubts.extend(disagreeing_starts(fitted));
    doubts.extend(ladder(fitted, runs.len()));
    let noise = noise::doubts(fitted);
    if !noise.iter().any(|doubt| matches!(doubt, NoiseDoubt::Unknown { .. })) {
        doubts.extend(seeds(fitted, runs));
    }
    doubts.extend(noise.into_iter().map(Doubt::SeedNoise));
    doubts.extend(fitted.falloff.map(|falloff| Doubt::SeedWeights { law: fitted.law.to_string(), falloff }));
    doubts.extend(cluster::doubt(fitted).map(Doubt::Clustered));
    doubts.extend(residual_pattern(fitted));
    let outliers = outliers(fitted);
    if outliers.is_none() {
        doubts.extend(influential_run(fitted));
    }
    doubts.extend(outliers);
    doubts.extend(floor_share(fitted, profiles));
    doubts
}

fn bounds(fitted: &Fitted) -> Vec<Doubt> {
    let parameters = fitted.problem.form.parameters();
    let doubt = |i: usize| Doubt::ParameterAtBound {
        law: fitted.law.to_string(),
        symbol: parameters[i].symbol,
        is_floor: parameters[i].is_floor,
    };
    fitted.problem.at_bound(&fitted.optimum.theta).into_iter().map(doubt).collect()
}

fn disagreeing_starts(fitted: &Fitted) -> Option<Doubt> {
    let (agreeing, starts) = (fitted.agreeing, fitted.starts);
    (agreeing < 2).then(|| Doubt::StartsDisagree { law: fitted.law.to_string(), agreeing, starts })
}

/// Doubts about the path as a ladder of rungs.
fn ladder(fitted: &Fitted, runs: usize) -> Vec<Doubt> {
    if fitted.law.form().domain() != Domain::Compute {
        return Vec::new();
    }
    let law = fitted.law.to_string();
    let (rungs, decades) = (path::distinct_budgets(&fitted.points), fitted.problem.decades());
    let mut doubts = Vec::new();
    if rungs < 5 || decades < 1.0 {
        doubts.push(Doubt::FewRungs { law: law.clone(), rungs, decades });
    }
    if fitted.vertices {
        doubts.push(Doubt::Vertices { law: law.clone(), budgets: rungs, runs });
    }
    let falls = does_not_fall(fitted).is_none();
    if let Some((early, late)) = half_slopes(&fitted.points).filter(|(early, late)| falls && late >= early) {
        doubts.push(Doubt::NotAsymptotic { law, early, late });
    }
    doubts
}

/// Loss that is the same at every compute, or higher where there is more of it.
pub(crate) fn does_not_fall(fitted: &Fitted) -> Option<Doubt> {
    let points: Vec<&Observation> = fitted.points.iter().collect();
    let factor = if fitted.problem.is_path_law() { 1.02 } else { path::BUDGET_FACTOR };
    let slope = path::overall_slope(&points, factor)?;
    let span = points.iter().map(|o| math::ln(o.flops));
    let (low, high) = span.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    let change = math::exp(slope * (high - low)) - 1.0;
    let decades = (high - low) / core::f64::consts::LN_10;
    (change > -SAME_LOSS).then(|| Doubt::LossDoesNotFall { law: fitted.law.to_string(), decades, change })
}

/// What a point of a fit is called: a run by its name, a vertex by the budget it stands for.
fn point_name(fitted: &Fitted, index: usize) -> String {
    let point = &fitted.points[index];
    if fitted.vertices { format!("the budget at {:.1e} FLOPs", point.flops) } else { format!("`{}`", point.name) }
}

/// Local slopes −d ln L/d ln C over the first and the second half of a path, from the mean of each rung.
fn half_slopes(points: &[Observation]) -> Option<(f64, f64)> {
    let refs: Vec<&Observation> = points.iter().collect();
    let mean = |budget: &Vec<&Observation>| {
        let of = |f: fn(&Observation) -> f64| budget.iter().map(|o| math::ln(f(o))).sum::<f64>() / budget.len() as f64;
        (of(|o| o.flops), of(|o| o.loss))
    };
    let rungs: Vec<(f64, f64)> = path::budgets(&refs, 1.02).iter().map(mean).collect();
    if rungs.len() < 4 {
        return None;
    }
    let middle = rungs.len() / 2;
    let early = line(&rungs[..=middle])?.1;
    let late = line(&rungs[middle.min(rungs.len() - 2)..])?.1;
    Some((-early, -late))
}

fn seeds(fitted: &Fitted, runs: &[&Observation]) -> Option<Doubt> {
    let repeated =
        noise::of_repeats(runs).is_some() || runs.iter().any(|o| o.seed_sd.is_some() && noise::is_measured(o));
    (!repeated && !fitted.vertices).then(|| Doubt::FewSeeds { law: fitted.law.to_string() })
}

/// Too few changes of sign along compute: the Wald–Wolfowitz runs test at three standard deviations.
fn residual_pattern(fitted: &Fitted) -> Option<Doubt> {
    let (residuals, flops) = by_cluster(fitted);
    let mut order: Vec<usize> = (0..residuals.len()).filter(|&i| residuals[i].abs() > 1e-9).collect();
    order.sort_by(|&a, &b| flops[a].total_cmp(&flops[b]));
    let above = order.iter().filter(|&&i| residuals[i] > 0.0).count() as f64;
    let (n, below) = (order.len() as f64, order.len() as f64 - above);
    if n < 10.0 || above < 2.0 || below < 2.0 {
        return None;
    }
    let signs = order.windows(2).filter(|pair| (residuals[pair[0]] > 0.0) != (residuals[pair[1]] > 0.0)).count();
    let expected = 2.0 * above * below / n;
    let variance = expected * (2.0 * above * below - n) / (n * (n - 1.0));
    let seen = (signs as f64 - expected) / variance.max(1e-9).sqrt();
    (seen < -3.0).then(|| Doubt::ResidualPattern { law: fitted.law.to_string(), signs, expected })
}

/// Residual and compute of each point; the means of each cluster where points share one, as their signs go together.
fn by_cluster(fitted: &Fitted) -> (Vec<f64>, Vec<f64>) {
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    let flops: Vec<f64> = fitted.points.iter().map(|o| o.flops).collect();
    let Some(dependence) = &fitted.dependence else { return (residuals, flops) };
    let mean = |of: &[f64]| -> Vec<f64> {
        let mean = |cluster: &Vec<usize>| cluster.iter().map(|&i| of[i]).sum::<f64>() / cluster.len() as f64;
        dependence.clusters.iter().map(mean).collect()
    };
    (mean(&residuals), mean(&flops))
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
    let flops = 10.0 * fitted.max_flops();
    if let Some((params, tokens)) = path_shape(&fitted.points, flops) {
        let at = fitted.problem.centre.position(params, tokens, flops);
        let loss = math::exp(fitted.problem.form.log_loss(theta, &at));
        moving.push(("the loss at 10x the largest compute".to_owned(), loss, LOSS_MOVE));
    }
    moving
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

fn outliers(fitted: &Fitted) -> Option<Doubt> {
    let residuals = fitted.problem.residuals(&fitted.optimum.theta);
    if residuals.len() < 10 {
        return None;
    }
    let sizes: Vec<f64> = residuals.iter().map(|r| r.abs()).collect();
    let limit = OUTLIER_SCALES * 1.4826 * math::median(&sizes)?;
    let far: Vec<usize> = (0..sizes.len()).filter(|&i| sizes[i] > limit).collect();
    if far.is_empty() || limit < 1e-9 {
        return None;
    }
    let (symbol, with, without, _) = largest_move(fitted, &without(fitted, &far)?)?;
    let points = far.iter().map(|&i| point_name(fitted, i)).collect();
    let (law, vertices) = (fitted.law.to_string(), fitted.vertices);
    Some(Doubt::Outliers { law, points, vertices, symbol, with, without })
}

fn influential_run(fitted: &Fitted) -> Option<Doubt> {
    let rows = fitted.points.len();
    if rows > LEAVE_ONE_OUT_ROWS || fitted.dispersion.kappa <= 0.0 {
        return None;
    }
    let units = match &fitted.dependence {
        Some(dependence) => dependence.clusters.clone(),
        None => (0..rows).map(|i| vec![i]).collect(),
    };
    let moved = |unit: Vec<usize>| largest_move(fitted, &without(fitted, &unit)?).map(|m| (unit, m));
    let largest = units.into_iter().filter_map(moved).max_by(|a, b| a.1.3.total_cmp(&b.1.3))?;
    let (points, (what, with, without, _)) = largest;
    let (law, unit) = (fitted.law.to_string(), Unit::of(fitted, &points));
    let point = match unit {
        Unit::Trunk => {
            format!("the trunk of {}", named(&points.iter().map(|&i| point_name(fitted, i)).collect::<Vec<_>>()))
        }
        _ => point_name(fitted, points[0]),
    };
    Some(Doubt::InfluentialRun { law, point, unit, what, with, without })
}

fn floor_share(fitted: &Fitted, profiles: &[Profile]) -> Option<Doubt> {
    let index = fitted.problem.form.parameters().iter().position(|p| p.is_floor)?;
    let lowest = fitted.points.iter().map(|o| o.loss).fold(f64::INFINITY, f64::min);
    let share = fitted.optimum.theta[index] / lowest;
    let unbounded = profiles.get(index)?.bounded(-1.0).is_none();
    (share > 0.0).then(|| Doubt::FloorShare { law: fitted.law.to_string(), share, unbounded })
}
