//! A run under way against the loss curve that its ladder predicts for it.
//!
//! Runs of one recipe are alike at the same share of their schedule (Qiu et al., arXiv:2507.02119; Bergsma et al.,
//! arXiv:2509.25087). So the losses of the ladder at, say, half of each run follow laws of size, data and compute as their
//! last losses do, and what [`crate::forecast`] does for the end of the target it does for every share of it: the band
//! around the curve is the band of a forecast, with the error of form that its backtests taught, and knows the schedule
//! because all of its runs stand at the same place of theirs. No floor is subtracted, so none has to be known.
//!
//! A run is called off course outside the 99% interval, and from there on until it is back inside that of the report's level;
//! and where its curve turns up against its own course ([`turn`]), which shows far below that width. A run that is worse from
//! its beginning, by less than the forecast is wide, is not told from a good one. What is caught and what is not was measured
//! on the three targets of the project's own sweeps, whose curves are in their baselines, and on runs trained wrong on purpose.

mod turn;

use std::collections::BTreeMap;

use forescale_core::digest::json_digest;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, ForecastStatus, Inputs, Registration, Severity};
use forescale_core::track::{Course, Place, ProgressPoint, TRACK_SCHEMA, TrackPoint, TrackReport};
use rayon::prelude::*;
use thiserror::Error;

use crate::FitError;
use crate::forecast::{ForecastOptions, Target, forecast};
use crate::seal::{SealError, verify};
use crate::session::inputs;

/// Nothing is judged before this share of a run: warmup and the first descent from ln V differ by size (chosen here; half
/// of where curves are compared with one another, because a law over sizes follows what a mean over them does not).
const FROM: f64 = 0.1;
/// A curve with more points is averaged to so many pieces of the run, against the noise of single batches (chosen here).
const PIECES: usize = 24;
/// Points of the curve that are said ahead of the run.
const AHEAD: usize = 8;
/// Outside the interval of this level a run is off course.
const ALARM_LEVEL: f64 = 0.99;
/// Two shares this close are one: a step of the shortest run that a plan accepts is 1/300.
const ROUNDING: f64 = 0.004;
/// Rates this far apart, as shares of the peak, are of different schedules (chosen here: more than a warmup rounded to whole
/// steps makes, less than a cooldown loses in a tenth of its length).
const RATES_APART: f64 = 0.08;
/// Losses that make a curve.
const MIN_POINTS: usize = 2;

/// A run of the ladder with its curve.
#[derive(Clone, Debug, PartialEq)]
pub struct LadderRun {
    /// The run as it was registered.
    pub observation: Observation,
    /// Its losses on the way, in any order, on one set for all runs.
    pub curve: Vec<ProgressPoint>,
}

/// What a run under way is held against.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackInput {
    /// The forecast of its end.
    pub registration: Registration,
    /// The runs that it was made from, with their curves; others are left aside.
    pub ladder: Vec<LadderRun>,
    /// The run's own losses so far, on the set of the ladder's curves.
    pub run: Vec<ProgressPoint>,
    /// Whether its log says that it diverged.
    pub diverged: bool,
}

/// A run that cannot be tracked.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TrackError {
    /// The registration cannot be trusted, or holds no forecast.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A fit was refused outright.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The source is not the one that the forecast was made from.
    #[error(
        "{missing} of the {registered} runs that the forecast was made from are not in the ladder, `{first}` among them\n\nhint: give the sweep or table that was registered, read with the same flags"
    )]
    OtherLadder {
        /// Runs that are not there.
        missing: usize,
        /// Runs registered.
        registered: usize,
        /// One of them.
        first: String,
    },
    /// The ladder logged nothing on the way.
    #[error(
        "no run of the ladder has {MIN_POINTS} losses on the way; their last losses alone say nothing of a run under way\n\nhint: give their curves with `--curves`, or set `curve_points` in sweep.toml and train again"
    )]
    NoCurves,
    /// The run has no loss yet.
    #[error("the log holds no loss of the run yet\n\nhint: wait for its first evaluation")]
    NoLosses,
    /// A share outside (0, 1].
    #[error(
        "`{run}` stands at {share} of its length; a share lies above 0 and is at most 1\n\nhint: give the steps of the whole run with `--steps`"
    )]
    BadShare {
        /// The run.
        run: String,
        /// What was worked out.
        share: f64,
    },
}

/// Holds a run under way against its predicted curve.
///
/// # Errors
///
/// [`TrackError`] where the seal is broken, the ladder is not the registered one or has no curves, the run has no losses, or
/// a share of a run is none.
pub fn track(input: &TrackInput, options: &ForecastOptions) -> Result<TrackReport, TrackError> {
    let registration = &input.registration;
    verify(registration)?;
    let Some(registered) = registration.forecast.median else {
        let reason = registration.forecast.reason.clone().unwrap_or_else(|| "it was refused".to_owned());
        return Err(SealError::Refused { reason }.into());
    };
    let ladder = registered_runs(input)?;
    check_shares("the run", &input.run)?;
    ladder.iter().try_for_each(|run| check_shares(&run.observation.name, &run.curve))?;
    let curves: Vec<Curve> = ladder.iter().map(|run| Curve::of(&run.curve)).collect();
    if curves.iter().all(|curve| curve.points.len() < MIN_POINTS) {
        return Err(TrackError::NoCurves);
    }
    let latest = input.run.iter().map(|point| point.share).fold(0.0, f64::max);
    if input.run.is_empty() {
        return Err(TrackError::NoLosses);
    }
    let broken = input.diverged || input.run.iter().any(|point| !point.loss.is_finite());
    let mut seen = Curve::of(&input.run);
    let scale = rate_scale(&seen, &curves);
    seen.points.iter_mut().for_each(|point| point.rate = point.rate.map(|rate| rate * scale));
    let ahead = if broken { Vec::new() } else { ahead(&ladder, &curves, latest) };
    let asked: Vec<Asked> = seen.points.iter().map(Asked::seen).chain(ahead.into_iter().map(Asked::ahead)).collect();
    let teller = Teller { ladder: &ladder, curves: &curves, options, target: target(registration) };
    let mut points: Vec<TrackPoint> = asked.par_iter().map(|asked| teller.tell(asked)).collect();
    teller.tell_changes(&mut points);
    let off = |point: &&TrackPoint| matches!(point.place, Place::Above | Place::Below) || turned_up(point);
    let course = if broken { Course::Diverged } else { course(&points) };
    Ok(TrackReport {
        schema: TRACK_SCHEMA.to_owned(),
        registration_sha256: registration.sha256.clone(),
        sweep: registration.sweep.clone(),
        metric: registration.forecast.metric.clone(),
        unit: registration.forecast.unit,
        course,
        progress: latest,
        alarm_level: ALARM_LEVEL,
        first_alarm: points.iter().find(off).map(|point| point.share),
        registered,
        registered_interval: registration.forecast.intervals.first().copied(),
        diagnoses: doubts(registration, &ladder, &curves, &seen, &points),
        points,
        inputs: Inputs {
            digest: json_digest(&ladder.iter().map(|run| (&run.observation, &run.curve)).collect::<Vec<_>>()),
        },
    })
}

/// The run that was registered.
fn target(registration: &Registration) -> Target {
    let forecast = &registration.forecast;
    Target { params: forecast.params, tokens: forecast.tokens, ..Target::of_budget(forecast.flops) }
}

/// The runs of the ladder that the forecast was made from, all of them.
fn registered_runs(input: &TrackInput) -> Result<Vec<&LadderRun>, TrackError> {
    let known: BTreeMap<&str, &LadderRun> =
        input.ladder.iter().map(|run| (run.observation.run_id.as_str(), run)).collect();
    let wanted = &input.registration.observation_run_ids;
    let missing: Vec<&String> = wanted.iter().filter(|id| !known.contains_key(id.as_str())).collect();
    if let Some(first) = missing.first() {
        let (missing, registered) = (missing.len(), wanted.len());
        return Err(TrackError::OtherLadder { missing, registered, first: (*first).clone() });
    }
    Ok(wanted.iter().map(|id| known[id.as_str()]).collect())
}

fn check_shares(run: &str, points: &[ProgressPoint]) -> Result<(), TrackError> {
    match points.iter().find(|point| !(point.share > 0.0 && point.share <= 1.0 + ROUNDING)) {
        None => Ok(()),
        Some(point) => Err(TrackError::BadShare { run: run.to_owned(), share: point.share }),
    }
}

/// A loss curve from [`FROM`] on, in order, averaged where it is dense.
struct Curve {
    points: Vec<ProgressPoint>,
}

impl Curve {
    fn of(logged: &[ProgressPoint]) -> Self {
        let judged =
            |point: &&ProgressPoint| point.share >= FROM - ROUNDING && point.loss.is_finite() && point.loss > 0.0;
        let mut points: Vec<ProgressPoint> = logged.iter().filter(judged).copied().collect();
        points.sort_by(|a, b| a.share.total_cmp(&b.share));
        if points.len() > PIECES {
            let piece = |point: &ProgressPoint| (point.share * PIECES as f64).ceil() as usize;
            points = points.chunk_by(|a, b| piece(a) == piece(b)).map(mean).collect();
        }
        Self { points }
    }

    /// The curve at a share: where there is a point, that; between two, on the straight line between them in logarithms of
    /// share and loss; none outside.
    fn at(&self, share: f64) -> Option<ProgressPoint> {
        let nearest = self.points.iter().min_by(|a, b| (a.share - share).abs().total_cmp(&(b.share - share).abs()))?;
        if (nearest.share - share).abs() <= ROUNDING {
            return Some(ProgressPoint { share, ..*nearest });
        }
        let after = self.points.partition_point(|point| point.share < share);
        let (before, after) = (self.points.get(after.checked_sub(1)?)?, self.points.get(after)?);
        let of_logs = math::ln(share / before.share) / math::ln(after.share / before.share);
        let of_shares = (share - before.share) / (after.share - before.share);
        let loss = before.loss * math::pow(after.loss / before.loss, of_logs);
        let rate = before.rate.zip(after.rate).map(|(from, to)| from + (to - from) * of_shares);
        Some(ProgressPoint { share, loss, rate })
    }
}

/// Points of one piece of a run as one: geometric means, and the mean of the rates.
fn mean(points: &[ProgressPoint]) -> ProgressPoint {
    let count = points.len() as f64;
    let of =
        |value: fn(&ProgressPoint) -> f64| math::exp(points.iter().map(|p| math::ln(value(p))).sum::<f64>() / count);
    let rates: Option<Vec<f64>> = points.iter().map(|point| point.rate).collect();
    ProgressPoint {
        share: of(|point| point.share),
        loss: of(|point| point.loss),
        rate: rates.map(|rates| rates.iter().sum::<f64>() / count),
    }
}

/// Shares after the latest that the curve of the largest run has, the end among them.
fn ahead(ladder: &[&LadderRun], curves: &[Curve], latest: f64) -> Vec<f64> {
    let largest = ladder.iter().zip(curves).filter(|(_, curve)| curve.points.len() >= MIN_POINTS);
    let Some((_, curve)) = largest.max_by(|a, b| a.0.observation.flops.total_cmp(&b.0.observation.flops)) else {
        return Vec::new();
    };
    let later: Vec<f64> =
        curve.points.iter().map(|point| point.share).filter(|share| *share > latest + ROUNDING).collect();
    let every = later.len().div_ceil(AHEAD).max(1);
    later.iter().rev().step_by(every).rev().copied().collect()
}

/// A share that is asked, with what the run did there.
struct Asked {
    share: f64,
    loss: Option<f64>,
    rate: Option<f64>,
}

impl Asked {
    fn seen(point: &ProgressPoint) -> Self {
        Self { share: point.share, loss: Some(point.loss), rate: point.rate }
    }

    fn ahead(share: f64) -> Self {
        Self { share, loss: None, rate: None }
    }
}

struct Teller<'a> {
    ladder: &'a [&'a LadderRun],
    curves: &'a [Curve],
    options: &'a ForecastOptions,
    target: Target,
}

impl Teller<'_> {
    fn tell(&self, asked: &Asked) -> TrackPoint {
        let read: Vec<(&LadderRun, ProgressPoint)> = self
            .ladder
            .iter()
            .zip(self.curves)
            .filter_map(|(run, curve)| Some((*run, curve.at(asked.share)?)))
            .collect();
        let without = |place: Place, reason: String| TrackPoint {
            share: asked.share,
            loss: asked.loss,
            predicted: None,
            intervals: Vec::new(),
            pit: None,
            change: None,
            predicted_change: None,
            runs: read.len() as u64,
            place,
            reason: Some(reason),
        };
        if let Some(reason) = other_rate(asked, &read) {
            return without(Place::OtherSchedule, reason);
        }
        let unjudged = |reason| without(if asked.loss.is_some() { Place::Unjudged } else { Place::Ahead }, reason);
        let observations: Vec<Observation> = read.iter().map(|(run, point)| at_share(run, point)).collect();
        let options = ForecastOptions { eval_set_digest: None, ..self.options.clone() };
        let told = match forecast(&observations, &[self.target], &options) {
            Ok(told) => told,
            Err(error) => return unjudged(first_line(&error.to_string())),
        };
        let told = &told.targets[0];
        let Some(predictive) = told.predictive.as_ref().filter(|_| told.status != ForecastStatus::Refused) else {
            return unjudged(told.reason.clone().unwrap_or_else(|| "the forecast was refused".to_owned()));
        };
        let intervals = [self.options.fit.level, ALARM_LEVEL].map(|level| predictive.interval(level));
        let [usual, alarm] = intervals;
        let place = asked.loss.map_or(Place::Ahead, |loss| match loss {
            loss if loss > alarm.upper => Place::Above,
            loss if loss < alarm.lower => Place::Below,
            loss if loss > usual.upper || loss < usual.lower => Place::Doubtful,
            _ => Place::Inside,
        });
        TrackPoint {
            share: asked.share,
            loss: asked.loss,
            predicted: Some(predictive.median()),
            intervals: intervals.to_vec(),
            pit: asked.loss.map(|loss| predictive.pit(loss)),
            change: None,
            predicted_change: None,
            runs: read.len() as u64,
            place,
            reason: None,
        }
    }

    /// How each loss judged differs from those before it, and how it was to.
    fn tell_changes(&self, points: &mut [TrackPoint]) {
        let (mut shares, mut own, mut told) = (Vec::new(), Vec::new(), Vec::new());
        for point in points.iter_mut().filter(|point| is_judged(point)) {
            let (Some(loss), Some(predicted)) = (point.loss, point.predicted) else { continue };
            shares.push(point.share);
            own.push(math::ln(loss));
            told.push(math::ln(predicted));
            point.change = turn::change(&own);
            let runs: Vec<(f64, f64)> = self
                .ladder
                .iter()
                .zip(self.curves)
                .filter_map(|(run, curve)| {
                    let logs: Option<Vec<f64>> =
                        shares.iter().map(|share| Some(math::ln(curve.at(*share)?.loss))).collect();
                    Some((math::ln(run.observation.flops), turn::change(&logs?)?))
                })
                .collect();
            point.predicted_change =
                turn::change(&told).and_then(|told| turn::turn(&runs, told, math::ln(self.target.flops)));
        }
    }
}

/// Whether a loss was held against the band.
fn is_judged(point: &TrackPoint) -> bool {
    !matches!(point.place, Place::Ahead | Place::OtherSchedule | Place::Unjudged)
}

/// Whether a loss lies higher, against those before it, than curves of the ladder do.
fn turned_up(point: &TrackPoint) -> bool {
    point.change.zip(point.predicted_change).is_some_and(|(own, told)| own - told.predicted > told.limit)
}

/// What is said where the run's rate is not the ladder's: losses at different places of a schedule are not alike.
fn other_rate(asked: &Asked, read: &[(&LadderRun, ProgressPoint)]) -> Option<String> {
    let theirs = mean_rate(read.iter().map(|(_, point)| *point))?;
    let own = asked.rate.filter(|rate| (rate - theirs).abs() > RATES_APART)?;
    let percent = |share: f64| format!("{:.0}%", 100.0 * share);
    Some(format!("its learning rate is {} of the peak there, the ladder's {}", percent(own), percent(theirs)))
}

fn mean_rate(points: impl Iterator<Item = ProgressPoint>) -> Option<f64> {
    let rates: Vec<f64> = points.filter_map(|point| point.rate).collect();
    (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
}

/// The factor that brings a run's rates to those of the ladder at the same shares, the median over points: the highest rate
/// logged need not be the peak.
fn rate_scale(seen: &Curve, curves: &[Curve]) -> f64 {
    let of_point = |point: &ProgressPoint| {
        let theirs = mean_rate(curves.iter().filter_map(|curve| curve.at(point.share)))?;
        point.rate.filter(|rate| *rate > 0.0).map(|own| theirs / own)
    };
    let mut scales: Vec<f64> = seen.points.iter().filter_map(of_point).collect();
    scales.sort_by(f64::total_cmp);
    scales.get(scales.len() / 2).copied().unwrap_or(1.0)
}

/// A run of the ladder as it stood at a share: its size, data and compute are those of the whole run, whose schedule it is at
/// that share of. Errors and deviations are of the last loss, and are left to be told from the scatter.
fn at_share(run: &LadderRun, point: &ProgressPoint) -> Observation {
    Observation {
        loss: point.loss,
        loss_se: None,
        seed_sd: None,
        seed_degrees: None,
        eval_set_digest: None,
        ..run.observation.clone()
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// What the losses that can be judged say together: an alarm holds until a loss lies inside the usual interval again and the
/// curve goes on as it was.
fn course(points: &[TrackPoint]) -> Course {
    let mut course = Course::Unjudged;
    for point in points.iter().filter(|point| is_judged(point)) {
        course = match point.place {
            Place::Above => Course::Above,
            Place::Below => Course::Below,
            _ if turned_up(point) => Course::Turned,
            Place::Doubtful if course.is_off() => course,
            Place::Doubtful => Course::Doubtful,
            _ => Course::OnCourse,
        };
    }
    course
}

fn doubts(
    registration: &Registration,
    ladder: &[&LadderRun],
    curves: &[Curve],
    seen: &Curve,
    points: &[TrackPoint],
) -> Vec<Diagnosis> {
    let doubt = |code: &str, severity, message: String, hint: &str| Diagnosis {
        code: code.to_owned(),
        severity,
        message,
        hint: hint.to_owned(),
    };
    let registered: Vec<Observation> = ladder.iter().map(|run| run.observation.clone()).collect();
    let changed = (inputs(&registered).digest != registration.inputs.digest).then(|| {
        let message = "the ladder's runs are not told as they were when the forecast was registered: a loss, a size or an error of them differs";
        let hint = "read the table with the flags it was registered with; a registration of an older version may differ by fields added since";
        doubt("ladder_changed", Severity::Note, message.to_owned(), hint)
    });
    let other = points.iter().filter(|point| point.place == Place::OtherSchedule).count();
    let differs = (other > 0).then(|| {
        let message = format!(
            "at {other} of {} points the run's learning rate is not where the ladder's is at that share: they are not judged",
            seen.points.len()
        );
        let hint = "track a run under the ladder's own schedule, or give the steps of the whole run with --steps";
        doubt("schedule_differs", Severity::Warning, message, hint)
    });
    let told = |curve: &Curve| curve.points.iter().any(|point| point.rate.is_some());
    let unknown = (!told(seen) || !curves.iter().any(told)).then(|| {
        let message =
            "the learning rate of the run or of the ladder's is not logged: their schedules are taken to be alike";
        doubt("schedule_unknown", Severity::Note, message.to_owned(), "log the rate as a column `lr`")
    });
    [changed, differs, unknown].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
