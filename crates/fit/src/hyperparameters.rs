//! The learning rate and the batch recommended at a target, from runs that varied them.
//!
//! At each size and data with three or more values of a knob the best one is found; a power law in N and D then carries
//! it to the target. Runs that were tried once tell nothing of what would have been better and are left out, each with
//! the reason. Nothing is taken from published laws: their constants belong to their recipes.

use std::collections::BTreeMap;

use forescale_core::answer::{
    CellLeftOut, CellOptimum, RECOMMENDATION_SCHEMA, Recommendation, Recommendations, RefusedKnob,
};
use forescale_core::estimate::Estimate;
use forescale_core::law::Theta;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::reduction::Knob;

use crate::FitError;
use crate::fitted::check_split;
use crate::linear::{Matrix, add_outer, dot, quadratic_inverse, solve};
use crate::session::inputs;
use crate::vertex::{Best, LEAST_VALUES, Trial, best};
use forescale_core::quantity::{LARGEST, SMALLEST};

/// Sizes, and data, within 2% are one: a run's last step is rounded.
const SAME: f64 = 0.02;
/// Above this squared correlation ln N and ln D moved together and only their sum can be told. Chosen here: an
/// exponent's variance is then 50 times that of apart ones.
const COLLINEAR: f64 = 0.98;
/// A target further than this factor from what the cells share is doubted. Chosen here: one doubling.
const AWAY: f64 = 2.0;
/// A target further than this beyond the cells is doubted, decades of compute; as in a forecast.
const DECADES_REACH: f64 = 0.5;

const KNOBS: [Knob; 2] = [Knob::LearningRate, Knob::BatchTokens];

/// The learning rate and batch at a target of `params` N and `tokens` D, for each knob that the runs varied.
///
/// A knob that cannot be recommended is refused with the reason; that is an answer and no error.
///
/// # Errors
///
/// [`FitError::BadOption`] for a target or a level that cannot be, [`FitError::Empty`] without runs, and
/// [`FitError::NotPositive`] for a run whose loss, size or data is not a positive number.
pub fn recommend(
    observations: &[Observation],
    params: f64,
    tokens: f64,
    level: f64,
) -> Result<Recommendations, FitError> {
    check_split("`--recommend`", observations.iter())?;
    validate(observations, params, tokens, level)?;
    let target = Point { log_params: math::ln(params), log_tokens: math::ln(tokens) };
    let cells = cells(observations);
    let told: Vec<Told> = cells.iter().map(|cell| Told { cell, best: best(&cell.trials) }).collect();
    let (mut recommended, mut refused, mut diagnoses) = (Vec::new(), Vec::new(), Vec::new());
    for (index, knob) in KNOBS.into_iter().enumerate() {
        let known: Vec<&Told> = told.iter().filter(|told| told.cell.known[index]).collect();
        match carried(&known, index, target, level) {
            Ok((found, doubts)) => {
                diagnoses.extend(doubts);
                recommended.push(found);
            }
            Err((reason, hint)) => {
                refused.push(RefusedKnob { quantity: knob, reason, hint, left_out: left_out(&known, index) });
            }
        }
    }
    let schema = RECOMMENDATION_SCHEMA.to_owned();
    Ok(Recommendations { schema, params, tokens, recommended, refused, diagnoses, inputs: inputs(observations) })
}

fn validate(observations: &[Observation], params: f64, tokens: f64, level: f64) -> Result<(), FitError> {
    for (option, value) in [("params", params), ("tokens", tokens)] {
        if !(value.is_finite() && value > 0.0) {
            return Err(FitError::BadOption { option, value, allowed: "a finite number above 0" });
        }
    }
    if !(level > 0.0 && level < 1.0) {
        return Err(FitError::BadOption { option: "--level", value: level, allowed: "between 0 and 1" });
    }
    if observations.is_empty() {
        return Err(FitError::Empty { needed: LEAST_VALUES * LEAST_VALUES });
    }
    let bad = observations.iter().find_map(|run| {
        let fields = [("loss", run.loss), ("params", run.params), ("tokens", run.tokens)];
        let field = fields.into_iter().find(|(_, value)| !(value.is_finite() && *value > 0.0));
        field.map(|(field, value)| FitError::NotPositive { run_id: run.run_id.clone(), field, value })
    });
    bad.map_or(Ok(()), Err)
}

/// A size and data, as logarithms.
#[derive(Clone, Copy)]
struct Point {
    log_params: f64,
    log_tokens: f64,
}

/// The runs of one size and data.
struct Cell {
    at: Point,
    trials: Vec<Trial>,
    /// Whether rate and batch are known of all of them.
    known: [bool; 2],
    runs: usize,
}

/// A cell with what it says of both knobs.
struct Told<'a> {
    cell: &'a Cell,
    best: [Result<Best, String>; 2],
}

/// Runs cut into sizes and data, in rising order.
fn cells(observations: &[Observation]) -> Vec<Cell> {
    let mut sorted: Vec<&Observation> = observations.iter().collect();
    sorted.sort_by(|a, b| a.params.total_cmp(&b.params).then(a.tokens.total_cmp(&b.tokens)));
    let mut found = Vec::new();
    for mut size in sorted.chunk_by(|a, b| math::ln(b.params / a.params) < SAME).map(<[_]>::to_vec) {
        size.sort_by(|a, b| a.tokens.total_cmp(&b.tokens).then_with(|| a.run_id.cmp(&b.run_id)));
        found.extend(size.chunk_by(|a, b| math::ln(b.tokens / a.tokens) < SAME).map(cell));
    }
    found
}

fn cell(runs: &[&Observation]) -> Cell {
    let mean = |of: fn(&Observation) -> f64| runs.iter().map(|run| math::ln(of(run))).sum::<f64>() / runs.len() as f64;
    let of = |run: &Observation| [run.training.learning_rate, run.training.batch_tokens];
    let known = [0, 1].map(|knob| runs.iter().all(|run| of(run)[knob].is_some_and(is_setting)));
    let trial = |run: &&Observation| Trial {
        knobs: [0, 1].map(|knob| if known[knob] { math::ln(of(run)[knob].unwrap_or(1.0)) } else { 0.0 }),
        log_loss: math::ln(run.loss),
    };
    let at = Point { log_params: mean(|run| run.params), log_tokens: mean(|run| run.tokens) };
    Cell { at, trials: runs.iter().map(trial).collect(), known, runs: runs.len() }
}

/// Why a knob is refused, and what to do.
type Refused = (String, String);

/// One knob carried to the target.
fn carried(
    told: &[&Told],
    index: usize,
    target: Point,
    level: f64,
) -> Result<(Recommendation, Vec<Diagnosis>), Refused> {
    let knob = KNOBS[index];
    let points: Vec<(Point, f64)> =
        told.iter().filter_map(|t| t.best[index].as_ref().ok().map(|best| (t.cell.at, best.log_value))).collect();
    let form = form_of(&points, knob)?;
    let line = form
        .fit(&points, level)
        .ok_or_else(|| (format!("no power law of the best {} can be told", knob.label()), more(knob)))?;
    let value = line.value_at(&form, target);
    if !is_setting(value.estimate) || value.lower.is_none() || value.upper.is_none() {
        let reason = format!(
            "the best {} at the target, or an end of its interval, is no setting: beyond {SMALLEST:e} to {LARGEST:e}",
            knob.label()
        );
        return Err((reason, more(knob)));
    }
    let largest = points.iter().map(|(at, _)| at.log_params + at.log_tokens).fold(f64::NEG_INFINITY, f64::max);
    let decades = (target.log_params + target.log_tokens - largest) / core::f64::consts::LN_10;
    let found = Recommendation {
        quantity: knob,
        value,
        exponents: line.exponents(&form),
        cells: told.iter().filter_map(|t| cell_optimum(t, index, level)).collect(),
        left_out: left_out(told, index),
        decades_beyond_cells: decades,
        assumptions: assumptions(told, index, &form),
    };
    let doubts = doubts(knob, &form, &points, (target, decades));
    Ok((found, doubts))
}

/// Whether a number can be a learning rate or a batch: within what floats hold with all their digits.
fn is_setting(value: f64) -> bool {
    (SMALLEST..=LARGEST).contains(&value)
}

fn more(knob: Knob) -> String {
    format!(
        "train {LEAST_VALUES} or more values of the {} at more sizes and data, a factor of 2 apart and on both sides of the best",
        knob.label()
    )
}

fn left_out(told: &[&Told], index: usize) -> Vec<CellLeftOut> {
    let one = |t: &&Told| {
        let reason = t.best[index].as_ref().err()?.clone();
        let (params, tokens) = (math::exp(t.cell.at.log_params), math::exp(t.cell.at.log_tokens));
        Some(CellLeftOut { params, tokens, runs: t.cell.runs as u64, reason })
    };
    told.iter().filter_map(one).collect()
}

fn cell_optimum(told: &Told, index: usize, level: f64) -> Option<CellOptimum> {
    let best = told.best[index].as_ref().ok()?;
    Some(CellOptimum {
        params: math::exp(told.cell.at.log_params),
        tokens: math::exp(told.cell.at.log_tokens),
        best: from_logarithm(best.log_value, best.standard_error, best.degrees, level),
        runs: best.runs as u64,
        runs_of: told.cell.runs as u64,
    })
}

/// An estimate of exp(x) with Student's interval in x; an end that is no setting is none.
fn from_logarithm(log_value: f64, standard_error: Option<f64>, degrees: f64, level: f64) -> Estimate {
    let estimate = math::exp(log_value);
    let half = standard_error.map(|error| error * math::student_t_quantile(0.5 + 0.5 * level, degrees));
    Estimate {
        estimate,
        standard_error: standard_error.map(|error| error * estimate).filter(|error| error.is_finite()),
        lower: half.map(|half| math::exp(log_value - half)).filter(|end| is_setting(*end)),
        upper: half.map(|half| math::exp(log_value + half)).filter(|end| is_setting(*end)),
        level,
    }
}

/// What the best value of a knob is a power of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PowerOf {
    Size,
    Data,
    SizeAndData,
    /// N·D: size and data moved together.
    Compute,
}

/// The law that the cells can tell, or why none.
fn form_of(points: &[(Point, f64)], knob: Knob) -> Result<PowerOf, Refused> {
    let sizes = points.iter().map(|(at, _)| at.log_params);
    let data = points.iter().map(|(at, _)| at.log_tokens);
    let form = match (spread(sizes) > SAME, spread(data) > SAME) {
        (true, true) if correlation(points) > COLLINEAR => PowerOf::Compute,
        (true, true) => PowerOf::SizeAndData,
        (true, false) => PowerOf::Size,
        (false, true) => PowerOf::Data,
        (false, false) => {
            let reason = format!("{} tell a best {}; at least 3 are needed", counted(points.len()), knob.label());
            return Err((reason, more(knob)));
        }
    };
    let needed = form.symbols().len() + 2;
    if points.len() < needed {
        let reason = format!(
            "{} tell a best {}; a power of {} needs at least {needed}",
            counted(points.len()),
            knob.label(),
            form.symbols().join(" and ")
        );
        return Err((reason, more(knob)));
    }
    Ok(form)
}

fn counted(cells: usize) -> String {
    format!("{cells} {} of size and data", if cells == 1 { "pair" } else { "pairs" })
}

fn spread(values: impl Iterator<Item = f64>) -> f64 {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    high - low
}

/// Squared correlation of ln N and ln D.
fn correlation(points: &[(Point, f64)]) -> f64 {
    let n = points.len() as f64;
    let (x, y) = points.iter().fold((0.0, 0.0), |(x, y), (at, _)| (x + at.log_params / n, y + at.log_tokens / n));
    let sum =
        |of: fn(f64, f64) -> f64| points.iter().map(|(at, _)| of(at.log_params - x, at.log_tokens - y)).sum::<f64>();
    let (xx, xy, yy) = (sum(|a, _| a * a), sum(|a, b| a * b), sum(|_, b| b * b));
    xy * xy / (xx * yy)
}

impl PowerOf {
    fn symbols(self) -> &'static [&'static str] {
        match self {
            Self::Size => &["N"],
            Self::Data => &["D"],
            Self::SizeAndData => &["N", "D"],
            Self::Compute => &["C"],
        }
    }

    /// (1, ln N, ln D) or what takes their place.
    fn row(self, at: Point) -> Theta {
        let [a, b] = match self {
            Self::Size => [at.log_params, 0.0],
            Self::Data => [at.log_tokens, 0.0],
            Self::SizeAndData => [at.log_params, at.log_tokens],
            Self::Compute => [at.log_params + at.log_tokens, 0.0],
        };
        [1.0, a, b, 0.0, 0.0, 0.0]
    }

    /// Least squares of the best values, each cell alike: what parts them is more than their own errors.
    fn fit(self, points: &[(Point, f64)], level: f64) -> Option<Line> {
        let free: Vec<usize> = (0..=self.symbols().len()).collect();
        let n = points.len() as f64;
        let mut middle = Theta::default();
        points.iter().for_each(|(at, _)| middle.iter_mut().zip(self.row(*at)).for_each(|(m, x)| *m += x / n));
        middle[0] = 0.0;
        let mut line = Line {
            middle,
            coefficients: Theta::default(),
            information: Matrix::default(),
            free,
            scale: 0.0,
            degrees: 0.0,
            level,
        };
        let mut right = Theta::default();
        for (at, value) in points {
            let row = line.centred(self.row(*at));
            add_outer(&mut line.information, &row, 1.0);
            right.iter_mut().zip(row).for_each(|(sum, x)| *sum += x * value);
        }
        line.coefficients = solve(&line.information, &right, &line.free)?;
        line.degrees = n - line.free.len() as f64;
        let residual = |(at, value): &(Point, f64)| value - dot(&line.centred(self.row(*at)), &line.coefficients);
        let square: f64 = points.iter().map(|point| residual(point) * residual(point)).sum();
        line.scale = (square / line.degrees).sqrt();
        Some(line)
    }
}

/// A fitted power law of a knob's best value.
struct Line {
    middle: Theta,
    coefficients: Theta,
    information: Matrix,
    free: Vec<usize>,
    /// Scatter of the cells about it, in logarithms.
    scale: f64,
    degrees: f64,
    level: f64,
}

impl Line {
    fn centred(&self, mut row: Theta) -> Theta {
        row.iter_mut().zip(&self.middle).for_each(|(x, m)| *x -= m);
        row
    }

    /// At one more size and data: the line's own error and the scatter of the cells about it.
    fn value_at(&self, form: &PowerOf, target: Point) -> Estimate {
        let row = self.centred(form.row(target));
        let leverage = quadratic_inverse(&self.information, &row, &self.free);
        let error = leverage.map(|leverage| self.scale * (1.0 + leverage).sqrt());
        from_logarithm(dot(&row, &self.coefficients), error, self.degrees, self.level)
    }

    fn exponents(&self, form: &PowerOf) -> BTreeMap<String, Estimate> {
        let one = |(index, symbol): (usize, &&str)| {
            let mut unit = Theta::default();
            unit[index + 1] = 1.0;
            let error = quadratic_inverse(&self.information, &unit, &self.free).map(|v| self.scale * v.sqrt());
            let half = error.map(|error| error * math::student_t_quantile(0.5 + 0.5 * self.level, self.degrees));
            let estimate = self.coefficients[index + 1];
            let ends = [-1.0, 1.0].map(|sign| half.map(|half| estimate + sign * half));
            let found = Estimate { estimate, standard_error: error, lower: ends[0], upper: ends[1], level: self.level };
            ((*symbol).to_owned(), found)
        };
        form.symbols().iter().enumerate().map(one).collect()
    }
}

fn assumptions(told: &[&Told], index: usize, form: &PowerOf) -> Vec<String> {
    let (knob, other) = (KNOBS[index], KNOBS[1 - index]);
    let used = || told.iter().filter(|t| t.best[index].is_ok());
    let joint = used().filter(|t| t.best[1 - index].is_ok()).count();
    let law = format!("the best {} is a power of {}", knob.label(), form.symbols().join(" and "));
    let with = if joint > 0 && joint == used().count() {
        format!("{} and {} are best together, each at the other's best value", knob.label(), other.label())
    } else {
        format!("the {} stays what these runs used, and moves with size and data as it did there", other.label())
    };
    let rest = "schedule, warmup, optimiser and weight decay stay those of the runs".to_owned();
    vec![law, with, rest]
}

fn doubts(knob: Knob, form: &PowerOf, points: &[(Point, f64)], (target, decades): (Point, f64)) -> Vec<Diagnosis> {
    let label = knob.label();
    let hint = more(knob);
    let warning =
        |code: &str, severity, message| Diagnosis { code: code.to_owned(), severity, message, hint: hint.clone() };
    let ratio = |at: Point| at.log_tokens - at.log_params;
    let outside = |value: f64, of: &dyn Fn(Point) -> f64| {
        let (low, high) =
            points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), (at, _)| (l.min(of(*at)), h.max(of(*at))));
        value < low - math::ln(AWAY) || value > high + math::ln(AWAY)
    };
    let unseen = match form {
        PowerOf::Size if outside(target.log_tokens, &|at| at.log_tokens) => {
            Some("all were found at about one D, and the target has another")
        }
        PowerOf::Data if outside(target.log_params, &|at| at.log_params) => {
            Some("all were found at about one N, and the target has another")
        }
        PowerOf::Compute if outside(ratio(target), &ratio) => {
            Some("N and D moved together, and the target leaves their ratio")
        }
        _ => None,
    };
    let unseen = unseen.map(|why| {
        warning(
            "knob_off_path",
            Severity::Warning,
            format!("the best {label} at the target is carried where no run was: {why}"),
        )
    });
    let beyond = (decades > DECADES_REACH).then(|| {
        let message = format!(
            "the {label} is carried {decades:.1} decades of compute beyond the largest size and data it was tuned at"
        );
        warning("knob_beyond_cells", Severity::Note, message)
    });
    unseen.into_iter().chain(beyond).collect()
}

#[cfg(test)]
mod tests;
