//! Codes, weights, words and hints of the doubts about fits and targets.

use core::fmt;

use forescale_core::outcome::Severity;

use super::fit::GRADIENT;
use super::{Doubt, OUTLIER_SCALES, SAME_LOSS, Unit, named};
use crate::{cluster, noise};

impl Doubt {
    pub(super) fn code(&self) -> &'static str {
        match self {
            Self::Room(room) => room.voice().code(),
            Self::NotConverged { .. } => "not_converged",
            Self::FewDecades { .. } => "few_decades",
            Self::ParameterAtBound { .. } => "parameter_at_bound",
            Self::StartsDisagree { .. } => "starts_disagree",
            Self::LawRefused { .. } => "law_refused",
            Self::FewRungs { .. } => "few_rungs",
            Self::FewSeeds { .. } => "few_seeds",
            Self::NotAsymptotic { .. } => "not_asymptotic",
            Self::LossDoesNotFall { .. } => "loss_does_not_fall",
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

    pub(super) fn severity(&self) -> Severity {
        match self {
            Self::Room(room) => room.voice().severity(),
            Self::InfluentialRun { is_missed: false, .. } | Self::ParameterAtBound { simpler: Some(_), .. } => {
                Severity::Note
            }
            Self::FewDecades { decades, .. } if *decades >= 1.0 => Severity::Note,
            Self::LossDoesNotFall { .. } | Self::NoForecast { .. } | Self::TargetContradicts { .. } => Severity::Error,
            Self::LawRefused { .. } | Self::FewSeeds { .. } | Self::Vertices { .. } | Self::SeedWeights { .. } => {
                Severity::Note
            }
            Self::Clustered(doubt) => doubt.severity(),
            Self::SeedNoise(doubt) => doubt.severity(),
            Self::FloorShare { floor, .. } => floor.severity(),
            Self::Extrapolating { decades, .. } if *decades < 1.0 => Severity::Note,
            _ => Severity::Warning,
        }
    }

    pub(super) fn hint(&self) -> String {
        let text = match self {
            Self::Room(room) => room.voice().hint(),
            Self::NotConverged { .. } => {
                "look for losses that are off by orders of magnitude, and try `--objective lsq`"
            }
            Self::FewDecades { vertices: true, .. } => {
                "add budgets below the smallest, with sizes on both sides of the best: they cost next to nothing and pin the floor"
            }
            Self::FewDecades { .. } => "add rungs below the smallest: they cost next to nothing and pin the floor",
            Self::ParameterAtBound { is_floor: true, .. } | Self::NotAsymptotic { .. } => {
                "add rungs at larger compute until the curve visibly flattens, and trust the interval rather than the median"
            }
            Self::ParameterAtBound { simpler: Some(_), .. } => {
                "fit the simpler law alone: it says the same with one parameter fewer"
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
            Self::FewRungs { vertices: true, .. } => {
                "add budgets with sizes on both sides of the best: five or more over a decade or more of compute"
            }
            Self::FewRungs { .. } => "add rungs: five or more over a decade or more of compute",
            Self::FewSeeds { .. } => "train two more seeds of the smallest rungs: they cost least and are noisiest",
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
                "give the target the path's own tokens per parameter, or add runs off the path, for a law of size and data"
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
            Self::Room(room) => room.voice().fmt(f),
            Self::NotConverged { law, gradient } => write!(
                f,
                "`{law}`: the scaled gradient is {gradient:.1e} where a solved fit has below {GRADIENT:.0e}: the parameters are not those of an optimum"
            ),
            Self::FewDecades { law, decades, vertices } => f.write_str(&few_decades(law, *decades, *vertices)),
            Self::ParameterAtBound { law, symbol, is_floor: true, .. } => write!(
                f,
                "`{law}`: the floor {symbol} ended at 0: within these runs the loss does not flatten, so the data cannot place it and a forecast far beyond them is likely too low"
            ),
            Self::ParameterAtBound { law, symbol, simpler: Some(simpler), .. } => write!(
                f,
                "`{law}`: {symbol} ended at the edge of its range, where the law is `{simpler}`: these runs ask for no more"
            ),
            Self::ParameterAtBound { law, symbol, .. } => {
                write!(f, "`{law}`: {symbol} ended at the edge of its range: the data do not determine it")
            }
            Self::StartsDisagree { law, agreeing, starts } => write!(
                f,
                "`{law}`: {agreeing} of {starts} polished starts reached the best objective within 1e-6: there are several optima, and another table of the same runs may pick another"
            ),
            Self::LawRefused { law, error } => f.write_str(&not_fitted(law, &error.fault())),
            Self::FewRungs { law, rungs, decades, vertices } => {
                f.write_str(&few_rungs(law, *rungs, *decades, *vertices))
            }
            Self::FewSeeds { law } => write!(
                f,
                "`{law}`: no run is repeated with another seed, so that seed noise can only be guessed from the residuals{}",
                if law.parse().is_ok_and(noise::is_on_path) { noise::EVENNESS_UNSEEN } else { "" }
            ),
            Self::NotAsymptotic { law, early, late } => write!(
                f,
                "`{law}`: not asymptotic yet: log loss falls by {early:.3} per unit of log compute in the first half of the path and {late:.3} in the second, where a law with a floor must flatten; its forecast tends to be too low"
            ),
            Self::LossDoesNotFall { law, decades, change } => f.write_str(&no_fall(law, *decades, *change)),
            Self::Outliers { law, points, vertices, symbol, with, without } => {
                let far = far_points(points, *vertices);
                write!(f, "`{law}`: {far}, and without them {symbol} moves from {with:.3} to {without:.3}")
            }
            Self::Clustered(doubt) => write!(f, "{doubt}"),
            Self::SeedNoise(doubt) => write!(f, "{doubt}"),
            Self::SeedWeights { law, falloff } => write!(f, "`{law}`: {falloff}"),
            Self::InfluentialRun { law, point, what, with, without, is_missed, .. } => {
                let why = if *is_missed { ", and the law of the others misses it by more than noise" } else { "" };
                write!(f, "`{law}`: without {point} alone {what} moves from {with:.4} to {without:.4}{why}")
            }
            Self::FloorShare { law, floor } => write!(f, "`{law}`: {floor}"),
            Self::Vertices { law, budgets, runs } => write!(
                f,
                "`{law}`: the table names no path, so the law was fitted to {budgets} vertices of parabolas in ln N, one per budget, looked for in {runs} runs; vertices are biased upwards on wide grids"
            ),
            Self::Extrapolating { decades, data_decades, expected_error, is_backtested } => write!(
                f,
                "the target lies {decades:.1} decades of compute beyond data that span {data_decades:.1}; at that distance the interval allows for errors of the laws' form of about {:.1}%, by published tables{}",
                100.0 * expected_error,
                if *is_backtested { " and the backtests on these runs" } else { "" }
            ),
            Self::LawsDisagree { spread, half_width } => write!(
                f,
                "the laws differ by {:.1}% at the target, more than the half-width {:.1}% of their own intervals: which law is right matters more than noise",
                100.0 * spread,
                100.0 * half_width
            ),
            Self::OffPathTarget { law } => write!(
                f,
                "`{law}` holds along a path, and the target's tokens per parameter differ from it by more than 2x; no law of size and data was fitted that would say what that does to the loss"
            ),
            Self::NoForecast { .. } => write!(f, "these runs carry no forecast"),
            Self::TargetContradicts { flops, implied, allowed } => write!(
                f,
                "the target's compute of {flops:.2e} FLOPs and the {implied:.2e} that its size and data come to by 6ND differ by more than {allowed:.0}x, by that rule and by the runs' own: laws of compute and laws of size and data are asked about different runs"
            ),
            Self::NearStart { highest, start } => f.write_str(&near_start(*highest, *start)),
            Self::BacktestMissed { ratio, cases, inside } => {
                let at = ratio.map_or_else(String::new, |ratio| format!(" at {ratio} times the compute"));
                let inside = 100.0 * inside;
                write!(f, "of {cases} backtest forecasts{at} on these runs {inside:.0}% lay inside their 90% interval")
            }
        }
    }
}

fn few_rungs(law: &str, rungs: usize, decades: f64, vertices: bool) -> String {
    let kind = if vertices { "vertices" } else { "rungs" };
    format!(
        "`{law}`: {rungs} {kind} over {decades:.1} decades of compute; below five {kind} or one decade, exponent and floor trade off freely"
    )
}

fn few_decades(law: &str, decades: f64, vertices: bool) -> String {
    let kind = if vertices { "vertices of budgets" } else { "runs" };
    format!(
        "`{law}`: the {kind} span {decades:.1} decades of compute; below three the floor and the exponents are hard to tell apart, and intervals grow with every decade missing"
    )
}

fn near_start(highest: f64, start: f64) -> String {
    format!(
        "the highest loss fitted, {highest:.3}, is {:.0}% of the {start:.3} an untrained model starts from: so near the start the curve is S-shaped, and a law with a floor forecasts too low",
        100.0 * highest / start
    )
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
