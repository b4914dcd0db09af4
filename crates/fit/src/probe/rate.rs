//! The transfer check: does the rate that is best for a small model stay best for a wider one?
//!
//! At each width and horizon a grid of rates is trained, each a factor on the recipe's own rate. The best factor is the
//! vertex of a local parabola in log₂ of the factor, never the lowest run: the minimum over noisy runs is drawn to a
//! grid point and biased downwards by the noise. Rates are those at base width, so that under muP, which carries the
//! rate to other widths, one factor is best everywhere; and how the best rate falls with data is a law of its own.
//!
//! Widths are compared at each horizon, and then all widths and horizons at once: a factor is on the recipe's rate, which
//! carries its rule for the horizon already, so that where that rule is right one factor is best at every horizon too.

use forescale_core::estimate::Estimate;
use forescale_core::math;
use forescale_core::probe::{
    Finding, HorizonLaw, HorizonTransfer, ProbeReport, RateCell, RateFinding, RateParabola, RateTransfer, RateTrial,
};

use super::doubt::ProbeDoubt;
use super::line::{common_slope, means, with_interval};
use super::{LEVEL, ProbeError, Subject, different, verdict};
use crate::path::parabola;

/// Best rates of all widths lie within this factor: one step of a grid of doublings (METHODS 3.2).
pub(crate) const ALLOWED_FACTOR: f64 = 2.0;
/// Fewest widths.
const MIN_WIDTHS: usize = 3;
/// Fewest rates: a parabola has three coefficients.
const MIN_RATES: usize = 3;
/// Fewest horizons for the whole to transfer; with one there is a measurement, and no answer.
const MIN_HORIZONS: usize = 2;
/// A best factor further from 1 than this says that the recipe's rate should be another.
const OFF_CENTRE: f64 = 2.0;
/// Rates on each side of the lowest that the parabola is fitted to, at most: further out loss is no parabola.
const REACH: usize = 2;
/// The second rate on a side is left out where loss has risen by more than this times the parabola through the three
/// rates about the lowest: rates near divergence have a cliff that would push the vertex away (chosen here).
const CLIFF: f64 = 2.0;

/// One run of a rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateRun {
    /// Width.
    pub width: u32,
    /// Horizon, D / N as asked for.
    pub tokens_per_param: f64,
    /// Training tokens D.
    pub tokens: f64,
    /// Rate at base width.
    pub rate: f64,
    /// Rate of embeddings, raised by the same factor.
    pub embedding_rate: f64,
    /// Either over the recipe's.
    pub factor: f64,
    /// Seed.
    pub seed: u64,
    /// Final loss; `None` where the run diverged.
    pub loss: Option<f64>,
}

/// What the check is made from.
#[derive(Clone, Debug, PartialEq)]
pub struct RateInput {
    /// What is probed.
    pub subject: Subject,
    /// Every run.
    pub runs: Vec<RateRun>,
}

/// Whether a grid of these widths and factors is enough.
///
/// # Errors
///
/// [`ProbeError::TooFewWidths`] below three widths, [`ProbeError::TooFewRates`] below three rates.
pub fn check_grid(widths: &[u32], factors: &[f64]) -> Result<(), ProbeError> {
    match (different(widths), different(factors)) {
        (found, _) if found < MIN_WIDTHS => Err(ProbeError::TooFewWidths { found, needed: MIN_WIDTHS }),
        (_, found) if found < MIN_RATES => Err(ProbeError::TooFewRates { found, needed: MIN_RATES }),
        _ => Ok(()),
    }
}

/// Best rate by width and horizon, and how it falls with data.
///
/// # Errors
///
/// As [`check_grid`], and [`ProbeError::CellWithFewRates`] where one width and horizon has fewer than three rates.
pub fn rate(input: &RateInput) -> Result<ProbeReport, ProbeError> {
    let widths: Vec<u32> = input.runs.iter().map(|run| run.width).collect();
    let factors: Vec<f64> = input.runs.iter().map(|run| run.factor).collect();
    check_grid(&widths, &factors)?;
    let cells = cells(&input.runs)?;
    let horizons: Vec<HorizonTransfer> = horizons_of(&cells).into_iter().map(|at| at_horizon(at, &cells)).collect();
    let overall = overall(&cells, horizons.len());
    let horizon_law = horizon_law(&cells);
    let doubts = doubts(&cells, &Transfers { horizons: &horizons, overall }, horizon_law.as_ref());
    let answer = verdict(horizons.iter().map(|horizon| horizon.passes).chain([overall.passes]));
    let cells = cells.into_iter().map(|cell| cell.shown).collect();
    let finding = RateFinding { allowed_factor: ALLOWED_FACTOR, cells, horizons, overall, horizon_law };
    Ok(input.subject.report(answer, Finding::Lr(finding), &doubts))
}

/// Where the best of the rates tried lies, in log₂ of the factor.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Best {
    /// Between them, with its standard error and degrees of freedom.
    Vertex { parabola: RateParabola, standard_error: Option<f64>, degrees: f64 },
    /// The lowest rate is best: the vertex is below this.
    Below(f64),
    /// The highest rate that did not diverge is best: the vertex is above this.
    Above(f64),
    /// No minimum: the parabola opens downward, or the rate below the lowest loss diverged, which says nothing of where
    /// the best one lies.
    Flat,
    /// Every run diverged.
    Nothing,
}

struct Cell {
    shown: RateCell,
    best: Best,
    /// Rate of embeddings over that of the rest.
    embedding_ratio: f64,
}

/// One rate with the mean of its runs.
#[derive(Clone, Copy)]
struct Rate {
    log_factor: f64,
    /// `None` where a run diverged.
    mean: Option<f64>,
}

fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|b, a| a.total_cmp(b).is_eq());
    sorted
}

fn cells(runs: &[RateRun]) -> Result<Vec<Cell>, ProbeError> {
    let mut sorted: Vec<&RateRun> = runs.iter().collect();
    let place =
        |a: &RateRun, b: &RateRun| a.tokens_per_param.total_cmp(&b.tokens_per_param).then(a.width.cmp(&b.width));
    sorted.sort_by(|a, b| place(a, b).then(a.factor.total_cmp(&b.factor)).then(a.seed.cmp(&b.seed)));
    sorted.chunk_by(|a, b| place(a, b).is_eq()).map(cell).collect()
}

/// Runs of one width and horizon, by factor.
fn cell(runs: &[&RateRun]) -> Result<Cell, ProbeError> {
    let first = runs[0];
    let found = distinct(runs.iter().map(|run| run.factor)).len();
    if found < MIN_RATES {
        let (width, tokens_per_param) = (first.width, first.tokens_per_param);
        return Err(ProbeError::CellWithFewRates { width, tokens_per_param, found, needed: MIN_RATES });
    }
    let finite = |loss: Option<f64>| loss.filter(|loss| loss.is_finite());
    let trial = |run: &&RateRun| RateTrial { factor: run.factor, seed: run.seed, loss: finite(run.loss) };
    let trials: Vec<RateTrial> = runs.iter().map(trial).collect();
    let best = best(&trials);
    let factor = best_factor(&best);
    let recipe_rate = first.rate / first.factor;
    let shown = RateCell {
        width: first.width,
        tokens_per_param: first.tokens_per_param,
        tokens: first.tokens,
        recipe_rate,
        trials,
        best_factor: factor,
        best_rate: factor.map(|factor| times(&factor, recipe_rate)),
        parabola: match best {
            Best::Vertex { parabola, .. } => Some(parabola),
            _ => None,
        },
    };
    Ok(Cell { shown, best, embedding_ratio: first.embedding_rate / first.rate })
}

fn best_factor(best: &Best) -> Option<Estimate> {
    let Best::Vertex { parabola, standard_error, degrees } = *best else { return None };
    let logarithm = with_interval(parabola.vertex, standard_error, degrees);
    let power = |x: f64| math::pow(2.0, x);
    let estimate = power(logarithm.estimate);
    Some(Estimate {
        estimate,
        standard_error: standard_error.map(|error| error * core::f64::consts::LN_2 * estimate),
        lower: logarithm.lower.map(power),
        upper: logarithm.upper.map(power),
        level: LEVEL,
    })
}

fn times(estimate: &Estimate, by: f64) -> Estimate {
    Estimate {
        estimate: estimate.estimate * by,
        standard_error: estimate.standard_error.map(|error| error * by),
        lower: estimate.lower.map(|end| end * by),
        upper: estimate.upper.map(|end| end * by),
        level: estimate.level,
    }
}

/// Trials of one cell, by factor, as the place of their minimum.
fn best(trials: &[RateTrial]) -> Best {
    let same = |a: &RateTrial, b: &RateTrial| a.factor.total_cmp(&b.factor).is_eq();
    let rates: Vec<Rate> = trials.chunk_by(same).map(rate_of).collect();
    let means = rates.iter().enumerate().filter_map(|(i, rate)| Some((i, rate.mean?)));
    let Some((lowest, _)) = means.min_by(|a, b| a.1.total_cmp(&b.1)) else { return Best::Nothing };
    let finite = |i: usize| rates.get(i).is_some_and(|rate| rate.mean.is_some());
    let worse = |rate: &&Rate| rate.mean.is_none_or(|mean| Some(mean) > rates[lowest].mean);
    if lowest == 0 {
        return rates.get(1).filter(worse).map_or(Best::Flat, |next| Best::Below(next.log_factor));
    }
    if !finite(lowest - 1) {
        return Best::Flat;
    }
    if !finite(lowest + 1) {
        return Best::Above(rates[lowest - 1].log_factor);
    }
    let near = vertex(trials, (rates[lowest - 1], rates[lowest + 1]));
    let Best::Vertex { parabola, .. } = near else { return near };
    let holds = |i: usize| finite(i) && is_no_cliff(&rates[i], &parabola);
    let from = if lowest >= REACH && holds(lowest - REACH) { lowest - REACH } else { lowest - 1 };
    let to = if holds(lowest + REACH) { lowest + REACH } else { lowest + 1 };
    vertex(trials, (rates[from], rates[to]))
}

/// Whether a rate's loss rises no faster than the parabola through the three rates about the lowest, within a factor.
fn is_no_cliff(rate: &Rate, near: &RateParabola) -> bool {
    let away = rate.log_factor - near.vertex;
    rate.mean.is_some_and(|mean| mean - near.minimum <= CLIFF * near.curvature * away * away)
}

fn rate_of(runs: &[RateTrial]) -> Rate {
    let losses: Option<Vec<f64>> = runs.iter().map(|run| run.loss).collect();
    let mean = losses.map(|losses| losses.iter().sum::<f64>() / losses.len() as f64);
    Rate { log_factor: math::log2(runs[0].factor), mean }
}

/// The vertex of the parabola through all runs between two rates, where it opens upward.
///
/// # Formula
///
/// y = c₀ + c₁ x + c₂ x² by least squares, v = −c₁ / 2c₂; by the delta method se² = g′ S g with g = (0, −1/2c₂, c₁/2c₂²)
/// and S = Σ r² / (n − 3) · (X′X)⁻¹. x is centred on the lowest rate, so that nothing cancels.
fn vertex(trials: &[RateTrial], (from, to): (Rate, Rate)) -> Best {
    let centre = 0.5 * (from.log_factor + to.log_factor);
    let within = |x: &f64| (from.log_factor..=to.log_factor).contains(x);
    let point = |trial: &RateTrial| Some((math::log2(trial.factor), trial.loss?));
    let points: Vec<(f64, f64)> = trials.iter().filter_map(point).filter(|(x, _)| within(x)).collect();
    let points: Vec<(f64, f64)> = points.into_iter().map(|(x, y)| (x - centre, y)).collect();
    let Some([constant, linear, square]) = parabola(&points).filter(|coefficients| coefficients[2] > 0.0) else {
        return Best::Flat;
    };
    let at = -0.5 * linear / square;
    let degrees = points.len() as f64 - 3.0;
    let gradient = [0.0, -0.5 / square, 0.5 * linear / (square * square)];
    let rest = points.iter().map(|(x, y)| y - (constant + linear * x + square * x * x));
    let left: f64 = rest.map(|rest| rest * rest).sum();
    let standard_error =
        (degrees > 0.0).then(|| quadratic_form(&points, &gradient).map(|form| (form * left / degrees).sqrt()));
    let parabola = RateParabola {
        vertex: at + centre,
        minimum: constant + 0.5 * linear * at,
        curvature: square,
        lowest: from.log_factor,
        highest: to.log_factor,
    };
    Best::Vertex { parabola, standard_error: standard_error.flatten(), degrees }
}

/// g′ (X′X)⁻¹ g for the parabola's design.
fn quadratic_form(points: &[(f64, f64)], gradient: &[f64; 3]) -> Option<f64> {
    let mut matrix = crate::linear::Matrix::default();
    for &(x, _) in points {
        let row = [1.0, x, x * x];
        for i in 0..3 {
            for j in 0..3 {
                matrix[i][j] += row[i] * row[j];
            }
        }
    }
    let [a, b, c] = *gradient;
    crate::linear::quadratic_inverse(&matrix, &forescale_core::law::padded([a, b, c]), &[0, 1, 2])
}

impl Cell {
    /// Bounds on log₂ of the best factor.
    fn bounds(&self) -> (f64, f64) {
        match self.best {
            Best::Vertex { parabola, .. } => (parabola.vertex, parabola.vertex),
            Best::Below(end) => (f64::NEG_INFINITY, end),
            Best::Above(end) => (end, f64::INFINITY),
            Best::Flat | Best::Nothing => (f64::NEG_INFINITY, f64::INFINITY),
        }
    }

    /// The same, of the interval of a vertex that has one.
    fn interval(&self) -> (f64, f64) {
        let ends = self.shown.best_factor.and_then(|factor| Some((factor.lower?, factor.upper?)));
        ends.map_or_else(|| self.bounds(), |(lower, upper)| (math::log2(lower), math::log2(upper)))
    }

    /// log₂ D and log₂ of the best rate.
    fn point(&self) -> Option<(f64, f64)> {
        Some((math::log2(self.shown.tokens), math::log2(self.shown.best_rate?.estimate)))
    }
}

/// What was compared with what.
struct Transfers<'a> {
    horizons: &'a [HorizonTransfer],
    overall: RateTransfer,
}

fn horizons_of(cells: &[Cell]) -> Vec<f64> {
    distinct(cells.iter().map(|cell| cell.shown.tokens_per_param))
}

fn at(tokens_per_param: f64, cells: &[Cell]) -> Vec<&Cell> {
    cells.iter().filter(|cell| cell.shown.tokens_per_param.total_cmp(&tokens_per_param).is_eq()).collect()
}

fn at_horizon(tokens_per_param: f64, cells: &[Cell]) -> HorizonTransfer {
    let RateTransfer { spread, spread_at_least, passes } = transfer(&at(tokens_per_param, cells));
    HorizonTransfer { tokens_per_param, spread, spread_at_least, passes }
}

/// Whether all widths and horizons agree; with one horizon a failure is one, and a pass is not known.
fn overall(cells: &[Cell], horizons: usize) -> RateTransfer {
    let all = transfer(&cells.iter().collect::<Vec<_>>());
    RateTransfer { passes: all.passes.filter(|passes| !passes || horizons >= MIN_HORIZONS), ..all }
}

/// Whether cells agree. A best rate beyond the rates tried still bounds the spread from below.
fn transfer(cells: &[&Cell]) -> RateTransfer {
    let ends = cells.iter().map(|cell| cell.bounds());
    let (low, high) =
        ends.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), (from, to)| (low.min(to), high.max(from)));
    let least = (high - low).max(0.0);
    let known = cells.iter().all(|cell| cell.shown.best_factor.is_some());
    let allowed = math::log2(ALLOWED_FACTOR);
    let spread_at_least = least.is_finite().then(|| math::pow(2.0, least));
    let passes =
        if known { Some(least <= allowed) } else { (spread_at_least.is_some() && least > allowed).then_some(false) };
    RateTransfer { spread: spread_at_least.filter(|_| known), spread_at_least, passes }
}

/// Whether the intervals of cells allow the other answer too: a pair of them that passes may lie further apart than
/// allowed, or none of those that fail must.
fn is_unclear(cells: &[&Cell], passes: bool) -> bool {
    let allowed = math::log2(ALLOWED_FACTOR);
    let ends: Vec<(f64, f64)> = cells.iter().map(|cell| cell.interval()).collect();
    let pairs = || (0..ends.len()).flat_map(|i| (0..ends.len()).filter(move |j| *j != i).map(move |j| (i, j)));
    if passes {
        pairs().any(|(i, j)| ends[i].1 - ends[j].0 > allowed)
    } else {
        pairs().all(|(i, j)| ends[i].0 - ends[j].1 <= allowed)
    }
}

fn horizon_law(cells: &[Cell]) -> Option<HorizonLaw> {
    let widths = distinct(cells.iter().map(|cell| f64::from(cell.shown.width)));
    let of_width = |width: &f64| -> Vec<(f64, f64)> {
        cells
            .iter()
            .filter(|cell| f64::from(cell.shown.width).total_cmp(width).is_eq())
            .filter_map(Cell::point)
            .collect()
    };
    let groups: Vec<Vec<(f64, f64)>> = widths.iter().map(of_width).filter(|group| !group.is_empty()).collect();
    let slope = common_slope(&groups)?;
    let all: Vec<(f64, f64)> = groups.concat();
    let base = means(&all).0;
    let heights: Vec<f64> =
        groups.iter().map(|group| means(group)).map(|(x, y)| y - slope.estimate * (x - base)).collect();
    let (low, high) = heights.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &y| (l.min(y), h.max(y)));
    let negative = |end: Option<f64>| end.map(|end| -end);
    let learning_rate = math::pow(2.0, heights.iter().sum::<f64>() / heights.len() as f64);
    Some(HorizonLaw {
        horizon_exponent: Estimate {
            estimate: -slope.estimate,
            lower: negative(slope.upper),
            upper: negative(slope.lower),
            ..slope
        },
        base_tokens: math::pow(2.0, base),
        learning_rate,
        embedding_learning_rate: learning_rate * cells.first()?.embedding_ratio,
        spread_left: math::pow(2.0, high - low),
    })
}

/// The largest spread over horizons; `None` where one of them has none.
fn largest_spread(horizons: &[HorizonTransfer]) -> Option<f64> {
    horizons.iter().map(|horizon| horizon.spread).try_fold(1.0_f64, |most, spread| Some(most.max(spread?)))
}

fn doubts(cells: &[Cell], transfers: &Transfers<'_>, law: Option<&HorizonLaw>) -> Vec<ProbeDoubt> {
    let horizons = transfers.horizons;
    let mut doubts = apart(cells, transfers, law);
    doubts.extend(unclear(cells, transfers));
    doubts.extend(cells.iter().filter_map(unplaced));
    let diverged = cells.iter().flat_map(|cell| &cell.shown.trials).filter(|trial| trial.loss.is_none()).count();
    if diverged > 0 {
        doubts.push(ProbeDoubt::TrialsDiverged { runs: diverged });
    }
    if cells.iter().any(|cell| cell.shown.best_factor.is_some_and(|factor| factor.standard_error.is_none())) {
        doubts.push(ProbeDoubt::RateWithoutError);
    }
    doubts.extend(off_centre(cells));
    doubts.extend(law.map(|law| ProbeDoubt::HorizonLawFound { law: *law, spread: largest_spread(horizons) }));
    doubts.extend((horizons.len() < MIN_HORIZONS).then_some(ProbeDoubt::OneHorizon));
    doubts
}

/// Horizons at which the widths differ; and where they agree at each, horizons that differ.
fn apart(cells: &[Cell], transfers: &Transfers<'_>, law: Option<&HorizonLaw>) -> Vec<ProbeDoubt> {
    let failed = transfers.horizons.iter().filter(|horizon| horizon.passes == Some(false));
    let doubt = |horizon: &HorizonTransfer| {
        let falls = falls(&at(horizon.tokens_per_param, cells));
        ProbeDoubt::RateDoesNotTransfer { horizon: *horizon, law: law.copied(), falls }
    };
    let doubts: Vec<ProbeDoubt> = failed.map(doubt).collect();
    let overall = transfers.overall;
    if doubts.is_empty() && overall.passes == Some(false) {
        return vec![ProbeDoubt::RateMovesWithHorizon { overall, law: law.copied() }];
    }
    doubts
}

/// Answers that the intervals of the best rates leave open.
fn unclear(cells: &[Cell], transfers: &Transfers<'_>) -> Option<ProbeDoubt> {
    let of_horizon = |horizon: &&HorizonTransfer| {
        horizon.passes.is_some_and(|passes| is_unclear(&at(horizon.tokens_per_param, cells), passes))
    };
    let horizons: Vec<f64> =
        transfers.horizons.iter().filter(of_horizon).map(|horizon| horizon.tokens_per_param).collect();
    let all: Vec<&Cell> = cells.iter().collect();
    let overall = transfers.overall.passes.is_some_and(|passes| is_unclear(&all, passes));
    (overall || !horizons.is_empty()).then_some(ProbeDoubt::RateUnclear { horizons, overall })
}

/// Whether the best factor falls with width at a horizon: the mark of rates that are not scaled with width.
fn falls(here: &[&Cell]) -> bool {
    let (Some(first), Some(last)) = (here.first(), here.last()) else { return false };
    last.bounds().1 < first.bounds().0
}

/// Why a cell has no best rate.
fn unplaced(cell: &Cell) -> Option<ProbeDoubt> {
    let (width, tokens_per_param) = (cell.shown.width, cell.shown.tokens_per_param);
    let edge = |lowest| ProbeDoubt::RateAtEdge { width, tokens_per_param, lowest };
    match cell.best {
        Best::Vertex { .. } => None,
        Best::Below(_) => Some(edge(true)),
        Best::Above(_) => Some(edge(false)),
        Best::Flat => Some(ProbeDoubt::RateFlat { width, tokens_per_param }),
        Best::Nothing => Some(ProbeDoubt::RateAllDiverged { width, tokens_per_param }),
    }
}

/// A best factor that is far from 1 on the mean over all cells.
fn off_centre(cells: &[Cell]) -> Option<ProbeDoubt> {
    let logs: Option<Vec<f64>> =
        cells.iter().map(|cell| cell.shown.best_factor.map(|factor| math::log2(factor.estimate))).collect();
    let logs = logs?;
    let mean = logs.iter().sum::<f64>() / logs.len() as f64;
    (mean.abs() > math::log2(OFF_CENTRE)).then(|| ProbeDoubt::RateOffCentre { factor: math::pow(2.0, mean) })
}

#[cfg(test)]
mod tests;
