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
/// Where a curve has this many points or more in one of so many pieces of the run, they are averaged against the noise of
/// single batches (chosen here).
const PIECES: usize = 24;
const DENSE: usize = 3;
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
/// Share of the points at which a run's logged rates, brought to the ladder's by one factor, must agree for that factor to
/// be believed (chosen here).
const RATES_ALIKE: f64 = 0.6;
/// A curve of the ladder ends where its run ended up to this share of the loss (chosen here: more than the ends of curves on a
/// part of the evaluation set scatter in the project's own sweeps, 1.5%).
const ENDS_APART: f64 = 0.02;
/// Curves that end below this share of their runs' losses are of another set or unit (chosen here: the easiest part of an
/// evaluation set in the project's own sweeps lies 4% below).
const ENDS_BELOW: f64 = 0.93;

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
    let ladder = registered_runs(input)?;
    check_forecast(registration, registered, &ladder, options)?;
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
    let newest = input.run.iter().max_by(|a, b| a.share.total_cmp(&b.share));
    let broken = input.diverged || newest.is_some_and(|point| !point.loss.is_finite());
    let seen = Curve::of(&input.run).so_far();
    let scale = if input.peak_known { 1.0 } else { rate_scale(&seen, &curves) };
    let ahead = if broken { Vec::new() } else { ahead(&ladder, &curves, latest) };
    let own = seen.points.iter().zip(&seen.errors).map(|one| Asked::seen(one, scale));
    let asked: Vec<Asked> = own.chain(ahead.into_iter().map(Asked::ahead)).collect();
    let teller = Teller { ladder: &ladder, curves: &curves, options, target: target(registration) };
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

/// Where runs are not told as they were, which a later version or another flag can do, they must at least say the same.
fn check_forecast(
    registration: &Registration,
    registered: f64,
    ladder: &[&LadderRun],
    options: &ForecastOptions,
) -> Result<(), TrackError> {
    let observations = observations(ladder);
    if inputs(&observations).digest == registration.inputs.digest {
        return Ok(());
    }
    let told = forecast(&observations, &[target(registration)], options)?;
    let within = registration.forecast.intervals.first();
    match (told.targets[0].median, within) {
        (Some(remade), Some(within)) if remade < within.lower || remade > within.upper => {
            Err(TrackError::OtherForecast { remade, registered })
        }
        _ => Ok(()),
    }
}

fn observations(ladder: &[&LadderRun]) -> Vec<Observation> {
    ladder.iter().map(|run| run.observation.clone()).collect()
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
    /// Standard error of ln L of each, where it is a mean; else 0.
    errors: Vec<f64>,
    /// How many logged points the last one stands for, and how many the one before does.
    last: (usize, usize),
}

impl Curve {
    fn of(logged: &[ProgressPoint]) -> Self {
        let judged =
            |point: &&ProgressPoint| point.share >= FROM - ROUNDING && point.loss.is_finite() && point.loss > 0.0;
        let mut points: Vec<ProgressPoint> = logged.iter().filter(judged).copied().collect();
        points.sort_by(|a, b| a.share.total_cmp(&b.share));
        let piece = |point: &ProgressPoint| (point.share * PIECES as f64).ceil() as usize;
        let pieces: Vec<&[ProgressPoint]> = points.chunk_by(|a, b| piece(a) == piece(b)).collect();
        let size = |back: usize| pieces.iter().rev().nth(back).map_or(0, |piece| piece.len());
        let last = (size(0), size(1));
        let averaged = |piece: &&[ProgressPoint]| {
            if piece.len() < DENSE { piece.iter().map(|point| (*point, 0.0)).collect() } else { vec![mean(piece)] }
        };
        let (points, errors) = pieces.iter().flat_map(averaged).unzip();
        Self { points, errors, last }
    }

    /// The curve of a run under way: a piece that has only begun is a noisier mean than those it is held against, and waits.
    fn so_far(mut self) -> Self {
        let (last, before) = self.last;
        if before >= DENSE && 2 * last < before && self.points.last().is_some_and(|point| point.share < 1.0 - ROUNDING)
        {
            let kept = self.points.len() - if last < DENSE { last } else { 1 };
            self.points.truncate(kept);
            self.errors.truncate(kept);
        }
        self
    }

    /// The curve at a share: where there is a point, that; else on the straight line between its neighbours in logarithms of
    /// share and loss, which goes on for half a piece beyond either end, where the mean of a piece lies inside it.
    fn at(&self, share: f64) -> Option<ProgressPoint> {
        let nearest = self.points.iter().min_by(|a, b| (a.share - share).abs().total_cmp(&(b.share - share).abs()))?;
        if (nearest.share - share).abs() <= ROUNDING {
            return Some(ProgressPoint { share, ..*nearest });
        }
        if (nearest.share - share).abs() > 0.5 / PIECES as f64 + ROUNDING && !self.holds(share) {
            return None;
        }
        let after = self.points.partition_point(|point| point.share < share).clamp(1, self.points.len().max(2) - 1);
        let (before, after) = (self.points.get(after - 1)?, self.points.get(after)?);
        let of_logs = math::ln(share / before.share) / math::ln(after.share / before.share);
        let of_shares = (share - before.share) / (after.share - before.share);
        let loss = before.loss * math::pow(after.loss / before.loss, of_logs);
        let rate = before.rate.zip(after.rate).map(|(from, to)| (from + (to - from) * of_shares).max(0.0));
        Some(ProgressPoint { share, loss, rate })
    }

    /// Whether a share lies between the ends.
    fn holds(&self, share: f64) -> bool {
        let ends = self.points.first().zip(self.points.last());
        ends.is_some_and(|(first, last)| (first.share..=last.share).contains(&share))
    }
}

/// Points of one piece of a run as one, geometric means and the mean of the rates, with the standard error of its ln L. The
/// fall of the loss within a piece counts as scatter too: it is small beside that of batches.
fn mean(points: &[ProgressPoint]) -> (ProgressPoint, f64) {
    let count = points.len() as f64;
    let of = |value: fn(&ProgressPoint) -> f64| points.iter().map(|point| math::ln(value(point))).sum::<f64>() / count;
    let (share, loss) = (of(|point| point.share), of(|point| point.loss));
    let squares = points.iter().map(|point| (math::ln(point.loss) - loss) * (math::ln(point.loss) - loss)).sum::<f64>();
    let rates: Option<Vec<f64>> = points.iter().map(|point| point.rate).collect();
    let rate = rates.map(|rates| rates.iter().sum::<f64>() / count);
    let point = ProgressPoint { share: math::exp(share), loss: math::exp(loss), rate };
    (point, (squares / (count - 1.0) / count).sqrt())
}

/// Shares after the latest that the curve of the largest run has, the end among them.
fn ahead(ladder: &[&LadderRun], curves: &[Curve], latest: f64) -> Vec<f64> {
    let largest = ladder.iter().zip(curves).filter(|(_, curve)| curve.points.len() >= MIN_POINTS);
    let Some((_, curve)) = largest.max_by(|a, b| a.0.observation.flops.total_cmp(&b.0.observation.flops)) else {
        return Vec::new();
    };
    let mut later: Vec<f64> =
        curve.points.iter().map(|point| point.share).filter(|share| *share > latest + ROUNDING).collect();
    if later.last().is_some_and(|last| *last < 1.0 - ROUNDING) && curve.at(1.0).is_some() {
        later.push(1.0);
    }
    let every = later.len().div_ceil(AHEAD).max(1);
    later.iter().rev().step_by(every).rev().copied().collect()
}

/// A share that is asked, with what the run did there; its rate is brought to the ladder's peak.
struct Asked {
    share: f64,
    loss: Option<f64>,
    rate: Option<f64>,
    /// Standard error of the loss, relative.
    error: f64,
}

impl Asked {
    fn seen((point, error): (&ProgressPoint, &f64), scale: f64) -> Self {
        let rate = point.rate.map(|rate| rate * scale);
        Self { share: point.share, loss: Some(point.loss), rate, error: *error }
    }

    fn ahead(share: f64) -> Self {
        Self { share, loss: None, rate: None, error: 0.0 }
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
            turned: false,
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
            turned: false,
            runs: read.len() as u64,
            place,
            reason: None,
        }
    }

    /// How each loss judged differs from those before it, and how it was to. From a turn on losses are held against those from
    /// before it, until half of what it turned by is undone.
    fn tell_changes(&self, points: &mut [TrackPoint], asked: &[Asked]) {
        let (mut shares, mut own, mut told, mut errors) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut turned_by: Option<f64> = None;
        for (point, asked) in points.iter_mut().zip(asked).filter(|(point, _)| point.place.is_judged()) {
            let (Some(loss), Some(predicted)) = (point.loss, point.predicted) else { continue };
            shares.push(point.share);
            own.push(math::ln(loss));
            told.push(math::ln(predicted));
            errors.push(asked.error);
            point.change = turn::change(&own);
            let of_run = |(run, curve): (&&LadderRun, &Curve)| {
                let logs: Option<Vec<f64>> =
                    shares.iter().map(|share| Some(math::ln(curve.at(*share)?.loss))).collect();
                Some((math::ln(run.observation.flops), turn::change(&logs?)?))
            };
            let runs: Vec<(f64, f64)> = self.ladder.iter().zip(self.curves).filter_map(of_run).collect();
            let flops = math::ln(self.target.flops);
            point.predicted_change =
                turn::change(&told).and_then(|told| turn::turn(&runs, told, flops, turn::own_variance(&errors)));
            if let Some((own, told)) = point.change.zip(point.predicted_change) {
                let excess = own - told.predicted;
                turned_by = turned_by.filter(|by| excess > 0.5 * by);
                if excess > told.limit {
                    turned_by = Some(turned_by.unwrap_or(0.0).max(excess));
                }
            }
            point.turned = turned_by.is_some();
            if point.turned {
                shares.pop();
                own.pop();
                told.pop();
                errors.pop();
            }
        }
    }
}

/// What is said where the run's rate is not the ladder's: losses at different places of a schedule are not alike.
fn other_rate(asked: &Asked, read: &[(&LadderRun, ProgressPoint)]) -> Option<String> {
    let theirs = mean_rate(read.iter().map(|(_, point)| *point))?;
    let own = asked.rate.filter(|rate| (rate - theirs).abs() > RATES_APART)?;
    let percent = |share: f64| format!("{:.0}%", 100.0 * share);
    Some(format!(
        "its learning rate is {} of the peak there, as the ladder counts, and the ladder's {}",
        percent(own),
        percent(theirs)
    ))
}

fn mean_rate(points: impl Iterator<Item = ProgressPoint>) -> Option<f64> {
    let rates: Vec<f64> = points.filter_map(|point| point.rate).collect();
    (!rates.is_empty()).then(|| rates.iter().sum::<f64>() / rates.len() as f64)
}

/// The factor that brings a run's logged rates to shares of the ladder's peak: the median over points, where most of them
/// then agree; else 1, the highest rate logged being taken for the peak.
fn rate_scale(seen: &Curve, curves: &[Curve]) -> f64 {
    let of_point = |point: &ProgressPoint| {
        let theirs = mean_rate(curves.iter().filter_map(|curve| curve.at(point.share)))?;
        point.rate.filter(|rate| *rate > 0.0).map(|own| (own, theirs))
    };
    let pairs: Vec<(f64, f64)> = seen.points.iter().filter_map(of_point).collect();
    let ratios: Vec<f64> = pairs.iter().map(|(own, theirs)| theirs / own).collect();
    let scale = math::median(&ratios).unwrap_or(1.0);
    let alike = pairs.iter().filter(|(own, theirs)| (scale * own - theirs).abs() <= RATES_APART).count();
    if alike as f64 >= RATES_ALIKE * pairs.len() as f64 { scale } else { 1.0 }
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
/// curve goes on as it was. Under another schedule at a good part of the points, agreement at the rest is chance.
fn course(points: &[TrackPoint]) -> Course {
    let seen = points.iter().filter(|point| point.loss.is_some()).count() as f64;
    let other = points.iter().filter(|point| point.place == Place::OtherSchedule).count() as f64;
    if other > (1.0 - RATES_ALIKE) * seen {
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
    let changed = (inputs(&observations(ladder)).digest != registration.inputs.digest).then(|| {
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
    let told = |curve: &Curve| curve.points.is_empty() || curve.points.iter().any(|point| point.rate.is_some());
    let unknown = (!told(seen) || !curves.iter().all(told)).then(|| {
        let message =
            "the learning rate of the run or of the ladder's is not logged: their schedules are taken to be alike";
        doubt("schedule_unknown", Severity::Note, message.to_owned(), "log the rate as a column `lr`")
    });
    let unturned = points.iter().filter(|point| point.change.is_some() && point.predicted_change.is_none()).count();
    let unturned = (unturned > 0).then(|| {
        let message = format!(
            "at {unturned} points too few of the ladder's curves go back as far as the run's does for its turns to be judged: only its level is"
        );
        doubt("turns_unjudged", Severity::Note, message, "log the ladder's losses from a tenth of each run on")
    });
    [changed, ends_apart(ladder), differs, unknown, unturned].into_iter().flatten().collect()
}

/// Curves that end above the loss of their run, against what is usual in this ladder: on an easier or a little harder set all
/// are apart alike.
fn ends_apart(ladder: &[&LadderRun]) -> Option<Diagnosis> {
    let end = |run: &LadderRun| {
        let last =
            run.curve.iter().filter(|point| point.loss.is_finite()).max_by(|a, b| a.share.total_cmp(&b.share))?;
        Some(last.loss / run.observation.loss)
    };
    let ends: Vec<(&str, f64)> =
        ladder.iter().filter_map(|run| Some((run.observation.name.as_str(), end(run)?))).collect();
    let usual = math::median(&ends.iter().map(|one| one.1).collect::<Vec<_>>())?;
    if usual < ENDS_BELOW {
        return Some(Diagnosis {
            code: "curves_of_another_set".to_owned(),
            severity: Severity::Warning,
            message: format!(
                "the ladder's curves end {:.0}% below its runs' losses: they are of another set or unit",
                100.0 * (1.0 - usual)
            ),
            hint: "track a run by losses of the set that the ladder's curves are of, in their unit".to_owned(),
        });
    }
    let usual = if usual > 1.0 + ENDS_APART { 1.0 } else { usual };
    let apart: Vec<&(&str, f64)> = ends.iter().filter(|one| one.1 / usual > 1.0 + ENDS_APART).collect();
    let (name, ratio) = apart.first()?;
    Some(Diagnosis {
        code: "curves_end_above".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "{} of {} curves of the ladder end above their run's loss (`{name}`: {:+.1}%): where one is cut short, its shares are wrong and the prediction too high",
            apart.len(),
            ends.len(),
            100.0 * (ratio - 1.0)
        ),
        hint: "give whole curves, or a column `tokens`, by which a run's own tokens tell how far each point is; a set that differs from the final one by as much cannot be told from this".to_owned(),
    })
}

#[cfg(test)]
mod tests;
