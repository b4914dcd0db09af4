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

mod curve;
mod doubt;
mod rate;
mod turn;

use std::collections::BTreeMap;

use forescale_core::digest::json_digest;
use forescale_core::estimate::Interval;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{ForecastTarget, Inputs, Registration};
use forescale_core::predictive::Predictive;
use forescale_core::track::{Change, Course, Place, ProgressPoint, TRACK_SCHEMA, TrackPoint, TrackReport};
use rayon::prelude::*;
use thiserror::Error;

use self::curve::{Curve, CurvePoint};
use self::doubt::doubts;
use self::rate::{is_another_schedule, other_rate, rate_scale};
use crate::FitError;
use crate::forecast::{ForecastOptions, Target, forecast};
use crate::seal::{SealError, verify};
use crate::session::inputs;

/// Nothing is judged before this share of a run: warmup and the first descent from ln V differ by size (chosen here; half
/// of where curves are compared with one another, because a law over sizes follows what a mean over them does not).
const FROM: f64 = 0.1;
/// Points of the curve that are said ahead of the run.
const AHEAD: usize = 8;
/// Outside the interval of this level a run is off course.
const ALARM_LEVEL: f64 = 0.99;
/// Two shares this close are one: a step of the shortest run that a plan accepts is 1/300.
const ROUNDING: f64 = 0.004;
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
    /// Whether its rates are shares of a peak that is known; else of the highest that was logged, which need not be the peak.
    pub peak_known: bool,
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
    /// Runs of the same names that say something else.
    #[error(
        "the ladder forecasts {remade} for the run's end, and {registered} was registered: these are not the runs that the forecast was made from, or not read as they were\n\nhint: give the sweep or table that was registered, with the same flags"
    )]
    OtherForecast {
        /// What this ladder says.
        remade: f64,
        /// What was registered.
        registered: f64,
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
    let Some(newest) = input.run.iter().max_by(|a, b| a.share.total_cmp(&b.share)) else {
        return Err(TrackError::NoLosses);
    };
    let ladder = registered_runs(input)?;
    let options = ForecastOptions { eval_set_digest: None, ..options.clone() };
    let changed = check_forecast(registration, registered, &ladder, &options)?;
    check_shares("the run", &input.run)?;
    ladder.iter().try_for_each(|run| check_shares(&run.observation.name, &run.curve))?;
    let curves: Vec<Curve> = ladder.iter().map(|run| Curve::of(&run.curve)).collect();
    if curves.iter().all(|curve| curve.points.len() < MIN_POINTS) {
        return Err(TrackError::NoCurves);
    }
    let broken = input.diverged || !newest.loss.is_finite();
    let seen = Curve::so_far(&input.run);
    let scale = if input.peak_known { 1.0 } else { rate_scale(&seen, &curves) };
    let ahead = if broken { Vec::new() } else { ahead(&ladder, &curves, newest.share) };
    let own = seen.points.iter().map(|point| Asked::seen(point, scale));
    let asked: Vec<Asked> = own.chain(ahead.into_iter().map(Asked::ahead)).collect();
    let teller = Teller { ladder: &ladder, curves: &curves, options: &options, target: target(registration) };
    let mut points: Vec<TrackPoint> = asked.par_iter().map(|asked| teller.tell(asked)).collect();
    teller.tell_changes(&mut points, &asked);
    let off = |point: &&TrackPoint| matches!(point.place, Place::Above | Place::Below) || point.turned;
    let course = if broken { Course::Diverged } else { course(&points) };
    Ok(TrackReport {
        schema: TRACK_SCHEMA.to_owned(),
        registration_sha256: registration.sha256.clone(),
        sweep: registration.sweep.clone(),
        metric: registration.forecast.metric.clone(),
        unit: registration.forecast.unit,
        course,
        progress: newest.share,
        alarm_level: ALARM_LEVEL,
        first_alarm: points.iter().find(off).map(|point| point.share),
        registered,
        registered_interval: registration.forecast.intervals.first().copied(),
        diagnoses: doubts(changed, (&ladder, &curves), &seen, &points),
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

/// Whether the runs are told otherwise than they were, as a later version or another flag does; they must at least forecast
/// what was registered.
fn check_forecast(
    registration: &Registration,
    registered: f64,
    ladder: &[&LadderRun],
    options: &ForecastOptions,
) -> Result<bool, TrackError> {
    let observations: Vec<Observation> = ladder.iter().map(|run| run.observation.clone()).collect();
    if inputs(&observations).digest == registration.inputs.digest {
        return Ok(false);
    }
    let told = forecast(&observations, &[target(registration)], options)?;
    let within = registration.forecast.intervals.first();
    match (told.targets[0].median, within) {
        (Some(remade), Some(within)) if remade < within.lower || remade > within.upper => {
            Err(TrackError::OtherForecast { remade, registered })
        }
        _ => Ok(true),
    }
}

fn check_shares(run: &str, points: &[ProgressPoint]) -> Result<(), TrackError> {
    match points.iter().find(|point| !(point.share > 0.0 && point.share <= 1.0 + ROUNDING)) {
        None => Ok(()),
        Some(point) => Err(TrackError::BadShare { run: run.to_owned(), share: point.share }),
    }
}

/// Shares after the latest that the curve of the largest run has, the end among them.
fn ahead(ladder: &[&LadderRun], curves: &[Curve], latest: f64) -> Vec<f64> {
    let largest = ladder.iter().zip(curves).filter(|(_, curve)| curve.points.len() >= MIN_POINTS);
    let Some((_, curve)) = largest.max_by(|a, b| a.0.observation.flops.total_cmp(&b.0.observation.flops)) else {
        return Vec::new();
    };
    let mut later: Vec<f64> =
        curve.points.iter().map(|point| point.at.share).filter(|share| *share > latest + ROUNDING).collect();
    if later.last().is_some_and(|last| *last < 1.0 - ROUNDING) && curve.at(1.0).is_some() {
        later.push(1.0);
    }
    let every = later.len().div_ceil(AHEAD).max(1);
    later.iter().rev().step_by(every).rev().copied().collect()
}

/// A share that is asked, with what the run did there.
struct Asked {
    share: f64,
    loss: Option<f64>,
    /// Brought to the ladder's peak.
    rate: Option<f64>,
    /// Standard error of ln L.
    error: f64,
}

impl Asked {
    fn seen(point: &CurvePoint, scale: f64) -> Self {
        let ProgressPoint { share, loss, rate } = point.at;
        Self { share, loss: Some(loss), rate: rate.map(|rate| rate * scale), error: point.error }
    }

    fn ahead(share: f64) -> Self {
        Self { share, loss: None, rate: None, error: 0.0 }
    }

    /// Nothing told of it yet but why.
    fn without_answer(&self, place: Place, runs: usize, reason: String) -> TrackPoint {
        TrackPoint {
            share: self.share,
            loss: self.loss,
            predicted: None,
            intervals: Vec::new(),
            pit: None,
            change: None,
            predicted_change: None,
            turned: false,
            runs: runs as u64,
            place,
            reason: Some(reason),
        }
    }

    /// Where its loss lies in a band.
    fn place(&self, usual: &Interval, alarm: &Interval) -> Place {
        self.loss.map_or(Place::Ahead, |loss| match loss {
            loss if loss > alarm.upper => Place::Above,
            loss if loss < alarm.lower => Place::Below,
            loss if loss > usual.upper || loss < usual.lower => Place::Doubtful,
            _ => Place::Inside,
        })
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
        let read: Vec<(&LadderRun, ProgressPoint)> =
            self.runs().filter_map(|(run, curve)| Some((run, curve.at(asked.share)?))).collect();
        if let Some(reason) = other_rate(asked.rate, read.iter().map(|(_, point)| *point)) {
            return asked.without_answer(Place::OtherSchedule, read.len(), reason);
        }
        match self.predicted(&read) {
            Err(reason) => {
                let place = if asked.loss.is_some() { Place::Unjudged } else { Place::Ahead };
                asked.without_answer(place, read.len(), reason)
            }
            Ok(predictive) => {
                let [usual, alarm] = [self.options.fit.level, ALARM_LEVEL].map(|level| predictive.interval(level));
                TrackPoint {
                    predicted: Some(predictive.median()),
                    intervals: vec![usual, alarm],
                    pit: asked.loss.map(|loss| predictive.pit(loss)),
                    reason: None,
                    ..asked.without_answer(asked.place(&usual, &alarm), read.len(), String::new())
                }
            }
        }
    }

    /// The forecast of the target at a share, or why there is none.
    fn predicted(&self, read: &[(&LadderRun, ProgressPoint)]) -> Result<Predictive, String> {
        let observations: Vec<Observation> = read.iter().map(|(run, point)| at_share(run, point)).collect();
        let told = forecast(&observations, &[self.target], self.options)
            .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
        let ForecastTarget { predictive, reason, .. } = told.targets.into_iter().next().expect("one was asked for");
        predictive.ok_or_else(|| reason.unwrap_or_else(|| "the forecast was refused".to_owned()))
    }

    fn runs(&self) -> impl Iterator<Item = (&LadderRun, &Curve)> {
        self.ladder.iter().copied().zip(self.curves)
    }

    /// How each loss judged differs from those before it, and how it was to. From a turn on losses are held against those from
    /// before it, until half of what it turned by is undone.
    fn tell_changes(&self, points: &mut [TrackPoint], asked: &[Asked]) {
        let mut course: Vec<Step> = Vec::new();
        let mut turned_by: Option<f64> = None;
        for (point, asked) in points.iter_mut().zip(asked).filter(|(point, _)| point.place.is_judged()) {
            let (Some(loss), Some(predicted)) = (point.loss, point.predicted) else { continue };
            let (own, told) = (math::ln(loss), math::ln(predicted));
            course.push(Step { share: point.share, own, told, error: asked.error });
            point.change = turn::change(&course, |step| step.own);
            point.predicted_change = self.predicted_change(&course);
            if let Some((own, told)) = point.change.zip(point.predicted_change) {
                let excess = own - told.predicted;
                let still = turned_by.filter(|by| excess > 0.5 * by);
                turned_by = if excess > told.limit { Some(still.unwrap_or(0.0).max(excess)) } else { still };
            }
            point.turned = turned_by.is_some();
            if point.turned {
                course.pop();
            }
        }
    }

    fn predicted_change(&self, course: &[Step]) -> Option<Change> {
        let of_run = |(run, curve): (&LadderRun, &Curve)| {
            let read: Option<Vec<f64>> = course.iter().map(|step| Some(math::ln(curve.at(step.share)?.loss))).collect();
            Some((math::ln(run.observation.flops), turn::change(&read?, |log| *log)?))
        };
        let runs: Vec<(f64, f64)> = self.runs().filter_map(of_run).collect();
        let own = turn::variance(course, |step| step.error);
        turn::turn(&runs, turn::change(course, |step| step.told)?, math::ln(self.target.flops), own)
    }
}

/// A point that a curve's turns are told from.
struct Step {
    share: f64,
    /// ln of the run's loss.
    own: f64,
    /// ln of the median predicted.
    told: f64,
    /// Standard error of `own`.
    error: f64,
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

/// What the losses that can be judged say together: an alarm holds until a loss lies inside the usual interval again and the
/// curve goes on as it was. Under another schedule at a good part of the points, agreement at the rest is chance.
fn course(points: &[TrackPoint]) -> Course {
    let seen = points.iter().filter(|point| point.loss.is_some()).count();
    let other = points.iter().filter(|point| point.place == Place::OtherSchedule).count();
    if is_another_schedule(other, seen) {
        return Course::Unjudged;
    }
    let mut course = Course::Unjudged;
    for point in points.iter().filter(|point| point.place.is_judged()) {
        course = match point.place {
            Place::Above => Course::Above,
            Place::Below => Course::Below,
            _ if point.turned => Course::Turned,
            Place::Doubtful if course.is_off() => course,
            Place::Doubtful => Course::Doubtful,
            _ => Course::OnCourse,
        };
    }
    course
}

#[cfg(test)]
mod tests;
