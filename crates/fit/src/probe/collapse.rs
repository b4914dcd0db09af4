//! The collapse check: are the loss curves of all rungs one curve?
//!
//! Where rate, batch and schedule are scaled right, (L(t) − Ê) / (L(T) − Ê) against t / T is the same for every rung at
//! fixed tokens per parameter (Qiu et al., arXiv:2507.02119; Bergsma et al., arXiv:2509.25087). A rung whose curve
//! leaves the others is, by that theory, trained by another recipe in effect, and its loss is not of their law.
//!
//! Ê is the corpus's entropy rate where that is known exactly, and else the irreducible loss of the path's power law. It
//! is of the whole evaluation set; curves may be measured on a part of it, which is easier or harder by an amount that is
//! the same at every point. So that this is not taken for excess loss, Ê is shifted by (part − whole) at the end of the
//! runs, the mean over rungs.
//!
//! What it cannot show: which rule of a recipe is wrong. Where the rate falls to zero over the whole run, a rate that is
//! wrong by a constant factor raises the end as it raises the rest, and the normalised curve keeps its shape; and curves
//! of tiny models that are still far from their asymptote do not collapse above a true floor under any recipe. Measured on
//! `tests/fixtures/probe` (widths 16 to 64, 6 tokens per parameter, two seeds) above the exact floor of 0.99985: the
//! furthest rung lies 23% off under muP and 22% under the standard parametrisation, and at four times both rates 40% and
//! 22%, of which the second even passes, for its seeds differ as much. So a pass says that the rungs are small versions of
//! each other as far as seed noise lets one see, a failure that they are not, and neither says why. That rates are scaled
//! right is for [`super::coord()`] and [`super::rate()`] to show.

use forescale_core::estimate::Estimate;
use forescale_core::law::LawName;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::probe::{CollapseFinding, CollapsePoint, CollapseRung, Finding, FloorSource, ProbeReport};
use forescale_core::record::{RunRecord, RunStatus};
use forescale_core::run::Role;

use super::doubt::ProbeDoubt;
use super::{LEVEL, ProbeError, Subject, verdict};
use crate::{FitOptions, fit};

/// Curves are compared from here on: before it warmup and the first descent from ln V differ by size (chosen here).
const FROM: f64 = 0.2;
/// Points lie at whole steps: of the shortest run that a plan accepts, 300 steps, within this share of where they are meant.
const ROUNDING: f64 = 0.004;
/// Fewest rungs: of two that differ nobody knows which is wrong.
const MIN_RUNGS: usize = 3;
/// Fewest points of a curve before its end.
const MIN_POINTS: usize = 4;
/// A rung fails this many standard deviations of seed noise away.
const NOISE_LIMIT: f64 = 3.0;
/// The least limit, as a share of the excess loss. Chosen here: rungs of this field's good recipes lie within a few per
/// cent of each other, and seeds that happen to agree must not turn such a difference into a failure.
const TOLERANCE: f64 = 0.05;

/// What the check is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct CollapseInput {
    /// What is probed.
    pub subject: Subject,
    /// Sealed records; rungs of the path are compared, the rest is left aside.
    pub records: Vec<RunRecord>,
    /// What a fit may see of the same records.
    pub observations: Vec<Observation>,
    /// The corpus's exact entropy rate, nats per token, where it has one; it takes the place of the fitted floor.
    pub known_floor: Option<f64>,
}

/// Whether a ladder of so many rungs, evaluated so often before the end, is enough.
///
/// # Errors
///
/// [`ProbeError::TooFewRungs`] below three rungs, [`ProbeError::TooFewPoints`] below four points.
pub fn check_curves(rungs: usize, points: usize) -> Result<(), ProbeError> {
    if rungs < MIN_RUNGS {
        return Err(ProbeError::TooFewRungs { found: rungs, needed: MIN_RUNGS });
    }
    if points < MIN_POINTS {
        return Err(ProbeError::TooFewPoints { rung: "all rungs".to_owned(), found: points, needed: MIN_POINTS });
    }
    Ok(())
}

/// How far each rung's normalised loss curve lies from the others'.
///
/// # Formula
///
/// v(t) = (L(t) − Ê) / (L(T) − Ê), its logarithm averaged over seeds; Ê is [`CollapseFinding::floor`] +
/// [`CollapseFinding::part_shift`]. Deviation of rung r: the root mean square of
/// ln v_r(x) − mean over the other rungs of ln v(x), over its points x = t/T in [0.2, 1), the others interpolated.
/// Limit: the larger of 0.05 and 3 σ √(1/n_r + Σ 1/n_j / (R − 1)²), σ the pooled standard deviation of ln v over the
/// seeds of a rung, n the seeds of each of the R rungs.
///
/// # Errors
///
/// [`ProbeError`] below three rungs or four points of each before the end, where a run is not above Ê, and where Ê has to
/// be fitted and the path has no power law.
pub fn collapse(input: &CollapseInput) -> Result<ProbeReport, ProbeError> {
    let on_path: Vec<&RunRecord> = input.records.iter().filter(|record| record.role == Role::Path).collect();
    let finished = |record: &&&RunRecord| record.status == RunStatus::Finished && record.is_final;
    let rungs = rungs(on_path.iter().filter(finished).copied());
    check_curves(rungs.len(), MIN_POINTS)?;
    let (floor, floor_source) = match input.known_floor {
        Some(rate) => (exact(rate), FloorSource::Exact),
        None => (fitted_floor(&input.observations)?, FloorSource::Fitted),
    };
    let part_shift = part_shift(&rungs);
    let taken_off = floor.estimate + part_shift;
    let curves: Vec<Curves> = rungs.iter().map(|rung| Curves::of(rung, taken_off)).collect::<Result<_, _>>()?;
    let from = curves.iter().map(Curves::start).fold(FROM, f64::max);
    check_points(&curves, from)?;
    let noise = seed_noise(&curves, from);
    let judged: Vec<CollapseRung> = (0..curves.len()).map(|index| judge(&curves, index, from, noise)).collect();
    let diverged = on_path.iter().filter(|record| record.status == RunStatus::Diverged).count();
    let unplaced = (floor_source == FloorSource::Fitted && is_unplaced(&floor)).then_some(floor);
    let doubts = doubts(&judged, noise, unplaced, diverged);
    // Below a floor that the data do not place any curves fall together: a pass then says nothing.
    let judge = |rung: &CollapseRung| if rung.passes && unplaced.is_some() { None } else { Some(rung.passes) };
    let answer = verdict(judged.iter().map(judge));
    let finding = CollapseFinding {
        floor,
        floor_source,
        part_shift,
        from,
        seed_noise: noise,
        tolerance: TOLERANCE,
        rungs: judged,
    };
    Ok(input.subject.report(answer, Finding::Collapse(finding), &doubts))
}

/// Whether the data set no lower end to a fitted floor.
fn is_unplaced(floor: &Estimate) -> bool {
    floor.lower.is_none() || floor.estimate <= 0.0
}

/// Runs of one width and length, the smallest first.
fn rungs<'a>(records: impl Iterator<Item = &'a RunRecord>) -> Vec<Vec<&'a RunRecord>> {
    let mut sorted: Vec<&RunRecord> = records.collect();
    let size = |record: &RunRecord| (record.config.shape.width, record.steps);
    sorted.sort_by_key(|record| (size(record), record.config.seed));
    sorted.chunk_by(|a, b| size(a) == size(b)).map(of_one_kind).collect()
}

fn name(rung: &[&RunRecord]) -> String {
    format!("d{}", rung[0].config.shape.width)
}

/// A branch's curve begins with its cooldown, so where a rung has runs of its own those are its curve.
fn of_one_kind<'a>(rung: &[&'a RunRecord]) -> Vec<&'a RunRecord> {
    let own: Vec<&RunRecord> = rung.iter().filter(|record| !record.config.branch).copied().collect();
    if own.is_empty() { rung.to_vec() } else { own }
}

/// Points before the end, in the part that every rung has.
fn check_points(curves: &[Curves], from: f64) -> Result<(), ProbeError> {
    for rung in curves {
        let found = rung.mean.iter().filter(|point| is_compared(point.0, from)).count();
        if found < MIN_POINTS {
            let rung = format!("`{}`", rung.name);
            return Err(ProbeError::TooFewPoints { rung, found, needed: MIN_POINTS });
        }
    }
    Ok(())
}

/// The irreducible loss of the path's power law.
fn fitted_floor(observations: &[Observation]) -> Result<Estimate, ProbeError> {
    let options = FitOptions { laws: vec![LawName::POWER_LAW], ..FitOptions::default() };
    let report = fit(observations, &[], &options)?;
    Ok(report.fits[0].parameters["c"])
}

/// A floor that is known is its own interval.
fn exact(rate: f64) -> Estimate {
    Estimate { estimate: rate, standard_error: Some(0.0), lower: Some(rate), upper: Some(rate), level: LEVEL }
}

/// Loss at the end on the part of the set that curves are measured on less loss on the whole set, the mean over rungs.
/// A record without the whole set's loss has been measured on nothing else, and shifts nothing.
fn part_shift(rungs: &[Vec<&RunRecord>]) -> f64 {
    let of_run = |record: &&RunRecord| {
        let whole = record.metric("loss").map(|metric| metric.value);
        record.curve.last().zip(whole).map_or(0.0, |(end, whole)| end.loss - whole)
    };
    let of_rung = |rung: &Vec<&RunRecord>| rung.iter().map(of_run).sum::<f64>() / rung.len() as f64;
    rungs.iter().map(of_rung).sum::<f64>() / rungs.len() as f64
}

/// The normalised curves of one rung.
struct Curves {
    name: String,
    width: u32,
    /// One for each seed: share of the run and ln v.
    runs: Vec<Vec<(f64, f64)>>,
    /// Their mean.
    mean: Vec<(f64, f64)>,
}

impl Curves {
    fn of(rung: &[&RunRecord], floor: f64) -> Result<Self, ProbeError> {
        let runs: Vec<Vec<(f64, f64)>> =
            rung.iter().map(|record| normalised(record, floor)).collect::<Result<_, _>>()?;
        let count = runs.iter().map(Vec::len).min().unwrap_or(0);
        let of_point = |i: usize| runs.iter().map(|run| run[i].1).sum::<f64>() / runs.len() as f64;
        let mean = (0..count).map(|i| (runs[0][i].0, of_point(i))).collect();
        Ok(Self { name: name(rung), width: rung[0].config.shape.width, runs, mean })
    }

    /// Share of the run at the first point.
    fn start(&self) -> f64 {
        self.mean.first().map_or(1.0, |point| point.0)
    }

    fn seeds(&self) -> f64 {
        self.runs.len() as f64
    }

    /// ln v at a share of the run, on the line between the points on both sides; the ends' own value beyond them.
    fn at(&self, share: f64) -> f64 {
        let after = self.mean.partition_point(|point| point.0 < share);
        match (after.checked_sub(1).map(|i| self.mean[i]), self.mean.get(after)) {
            (Some((x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * (share - x0) / (x1 - x0),
            (Some(end), None) => end.1,
            (None, Some(end)) => end.1,
            (None, None) => 0.0,
        }
    }
}

fn normalised(record: &RunRecord, floor: f64) -> Result<Vec<(f64, f64)>, ProbeError> {
    let end = record.curve.last().map_or(f64::NAN, |point| point.loss);
    let lowest = record.curve.iter().map(|point| point.loss).fold(end, f64::min);
    if lowest.is_nan() || lowest <= floor {
        return Err(ProbeError::FloorAbove { rung: record.name.clone(), loss: lowest, floor });
    }
    let value = |loss: f64| math::ln((loss - floor) / (end - floor));
    Ok(record.curve.iter().map(|point| (point.step as f64 / record.steps as f64, value(point.loss))).collect())
}

/// Whether a share of the run is compared; at the end every curve is 1.
fn is_compared(share: f64, from: f64) -> bool {
    share >= from - ROUNDING && share < 1.0
}

/// Pooled standard deviation of ln v over seeds; `None` where no rung has two.
fn seed_noise(curves: &[Curves], from: f64) -> Option<f64> {
    let (mut squares, mut degrees) = (0.0, 0.0);
    for rung in curves.iter().filter(|rung| rung.runs.len() > 1) {
        for (i, (_, mean)) in rung.mean.iter().enumerate().filter(|(_, point)| is_compared(point.0, from)) {
            squares += rung.runs.iter().map(|run| (run[i].1 - mean) * (run[i].1 - mean)).sum::<f64>();
            degrees += rung.seeds() - 1.0;
        }
    }
    (degrees > 0.0).then(|| (squares / degrees).sqrt())
}

fn judge(curves: &[Curves], index: usize, from: f64, noise: Option<f64>) -> CollapseRung {
    let rung = &curves[index];
    let others: Vec<&Curves> = (0..curves.len()).filter(|&other| other != index).map(|other| &curves[other]).collect();
    let count = others.len() as f64;
    let compared = rung.mean.iter().filter(|point| is_compared(point.0, from));
    let gaps: Vec<f64> =
        compared.map(|&(share, y)| y - others.iter().map(|other| other.at(share)).sum::<f64>() / count).collect();
    let deviation = (gaps.iter().map(|gap| gap * gap).sum::<f64>() / gaps.len() as f64).sqrt();
    let share = 1.0 / rung.seeds() + others.iter().map(|other| 1.0 / other.seeds()).sum::<f64>() / (count * count);
    let limit = noise.map_or(TOLERANCE, |noise| TOLERANCE.max(NOISE_LIMIT * noise * share.sqrt()));
    let point = |&(share, y): &(f64, f64)| CollapsePoint { share, value: math::exp(y) };
    CollapseRung {
        name: rung.name.clone(),
        width: rung.width,
        seeds: rung.runs.len() as u32,
        points: rung.mean.iter().map(point).collect(),
        deviation,
        limit,
        passes: deviation <= limit,
    }
}

fn doubts(rungs: &[CollapseRung], noise: Option<f64>, unplaced: Option<Estimate>, diverged: usize) -> Vec<ProbeDoubt> {
    let apart: Vec<CollapseRung> = rungs.iter().filter(|rung| !rung.passes).cloned().collect();
    let apart = (!apart.is_empty()).then_some(ProbeDoubt::NoCollapse { rungs: apart, of: rungs.len() });
    let seeds = noise.is_none().then_some(ProbeDoubt::CollapseWithoutSeeds { tolerance: TOLERANCE });
    let unplaced = unplaced.map(|floor| ProbeDoubt::FloorUnplaced { floor });
    let lost = (diverged > 0).then_some(ProbeDoubt::RungsDiverged { runs: diverged });
    [apart, lost, seeds, unplaced].into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
