//! Runs of one size and data, by the setting they were trained with.

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::reduction::{Knob, Reduction, ReductionMethod};

use super::vertex::{Point, Vertex, vertex};

/// Sizes, data and settings of other knobs agree up to this (the rounding of published tables).
const ALIKE: f64 = 1.02;
/// Settings agree up to this: well below the factor of 1.4 between the closest that anyone tries.
const SAME_SETTING: f64 = 1.01;

/// The setting of a run, where it is told.
pub(super) fn setting(run: &Observation, knob: Knob) -> Option<f64> {
    let told = match knob {
        Knob::LearningRate => run.training.learning_rate,
        Knob::BatchTokens => run.training.batch_tokens,
    };
    told.filter(|value| value.is_finite() && *value > 0.0)
}

fn is_alike(a: f64, b: f64, factor: f64) -> bool {
    math::ln(a / b).abs() <= math::ln(factor)
}

/// Runs of one setting.
#[derive(Clone, Debug)]
struct Setting<'a> {
    value: f64,
    runs: Vec<&'a Observation>,
}

impl Setting<'_> {
    fn log_loss(&self) -> f64 {
        self.runs.iter().map(|run| math::ln(run.loss)).sum::<f64>() / self.runs.len() as f64
    }

    fn squares(&self) -> f64 {
        let mean = self.log_loss();
        self.runs.iter().map(|run| math::ln(run.loss) - mean).map(|r| r * r).sum()
    }
}

/// A sum of squares of log loss with its degrees of freedom.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Scatter {
    pub(super) squares: f64,
    pub(super) degrees: f64,
}

impl Scatter {
    pub(super) fn and(self, other: Self) -> Self {
        Self { squares: self.squares + other.squares, degrees: self.degrees + other.degrees }
    }

    /// Standard deviation of one run's log loss.
    fn deviation(self) -> Option<f64> {
        (self.degrees > 0.0).then(|| (self.squares / self.degrees).sqrt())
    }
}

/// Runs that agree in everything but one knob, settings rising.
#[derive(Clone, Debug)]
pub(super) struct Cell<'a> {
    knob: Knob,
    settings: Vec<Setting<'a>>,
}

/// All runs that tell the knob, by cell, in the order in which cells first appear.
pub(super) fn cells<'a>(runs: &'a [Observation], knob: Knob, done: &[Knob]) -> Vec<Cell<'a>> {
    let others = Knob::ALL.into_iter().filter(|t| *t != knob && !done.contains(t));
    let others: Vec<Knob> = others.collect();
    let mut members: Vec<Vec<&Observation>> = Vec::new();
    for run in runs.iter().filter(|run| setting(run, knob).is_some()) {
        match members.iter_mut().find(|cell| belongs(run, cell[0], &others)) {
            Some(cell) => cell.push(run),
            None => members.push(vec![run]),
        }
    }
    members.into_iter().map(|runs| Cell::new(runs, knob)).collect()
}

fn belongs(run: &Observation, first: &Observation, others: &[Knob]) -> bool {
    let agrees = |knob: &Knob| match (setting(run, *knob), setting(first, *knob)) {
        (Some(a), Some(b)) => is_alike(a, b, ALIKE),
        (a, b) => a.is_none() && b.is_none(),
    };
    run.group == first.group
        && run.role == first.role
        && run.eval_set_digest == first.eval_set_digest
        && is_alike(run.params, first.params, ALIKE)
        && is_alike(run.tokens, first.tokens, ALIKE)
        && others.iter().all(agrees)
}

impl<'a> Cell<'a> {
    fn new(mut runs: Vec<&'a Observation>, knob: Knob) -> Self {
        let value = |run: &Observation| setting(run, knob).unwrap_or(1.0);
        runs.sort_by(|a, b| value(a).total_cmp(&value(b)));
        let mut settings: Vec<Setting> = Vec::new();
        for run in runs {
            match settings.last_mut() {
                Some(last) if is_alike(value(run), last.value, SAME_SETTING) => last.runs.push(run),
                _ => settings.push(Setting { value: value(run), runs: vec![run] }),
            }
        }
        Self { knob, settings }
    }

    /// Distinct settings.
    pub(super) fn settings(&self) -> usize {
        self.settings.len()
    }

    /// All runs, settings rising.
    pub(super) fn runs(&self) -> impl Iterator<Item = &'a Observation> {
        self.settings.iter().flat_map(|setting| setting.runs.iter().copied())
    }

    fn points(&self) -> Vec<Point> {
        let point = |s: &Setting| Point { x: math::ln(s.value), log_loss: s.log_loss(), count: s.runs.len() as f64 };
        self.settings.iter().map(point).collect()
    }

    /// Scatter between repeats of one setting, and about the parabola.
    pub(super) fn scatter(&self) -> Scatter {
        let repeats = self.settings.iter().map(Setting::squares).sum();
        let degrees = self.settings.iter().map(|s| s.runs.len() - 1).sum::<usize>() as f64;
        let about = vertex(&self.points()).map(|v| Scatter { squares: v.squares, degrees: v.degrees });
        Scatter { squares: repeats, degrees }.and(about.unwrap_or_default())
    }

    /// The one observation that stands for the cell, given the scatter of all cells; `None` of a single setting.
    pub(super) fn reduce(&self, all: Scatter) -> Option<(Observation, Reduction)> {
        if self.settings.len() < 2 {
            return None;
        }
        let deviation = all.deviation();
        let lowest = self.settings.iter().min_by(|a, b| a.log_loss().total_cmp(&b.log_loss()))?;
        let chosen = match vertex(&self.points()) {
            Some(vertex) => Chosen::at_vertex(&vertex, deviation),
            None => Chosen::lowest(lowest, self.method(lowest), deviation),
        };
        let observation = self.observation(lowest, &chosen, all);
        let reduction = self.reduction(&observation, &chosen)?;
        Some((observation, reduction))
    }

    /// What it is that the lowest setting stands for, where there is no vertex.
    fn method(&self, lowest: &Setting) -> ReductionMethod {
        let is_end = |end: Option<&Setting>| end.is_some_and(|end| end.value.total_cmp(&lowest.value).is_eq());
        match self.settings.len() {
            0..3 => ReductionMethod::TooFew,
            _ if is_end(self.settings.first()) || is_end(self.settings.last()) => ReductionMethod::AtEdge,
            _ => ReductionMethod::NoVertex,
        }
    }

    fn observation(&self, lowest: &Setting, chosen: &Chosen, all: Scatter) -> Observation {
        let best = lowest.runs[0];
        let stands = chosen.method != ReductionMethod::Quadratic && lowest.runs.len() == 1;
        let run_id = if stands { best.run_id.clone() } else { format!("{}+best", best.run_id) };
        let mut observation = Observation { run_id, loss: math::exp(chosen.log_loss), ..best.clone() };
        let own = self.scatter();
        let (scatter, degrees) = if own.degrees > 0.0 { (own, own.degrees) } else { (all, 0.0) };
        if let Some(deviation) = scatter.deviation() {
            (observation.seed_sd, observation.seed_degrees) = (Some(deviation * observation.loss), Some(degrees));
        }
        match self.knob {
            Knob::LearningRate => observation.training.learning_rate = Some(chosen.value),
            Knob::BatchTokens => observation.training.batch_tokens = Some(chosen.value),
        }
        observation
    }

    fn reduction(&self, observation: &Observation, chosen: &Chosen) -> Option<Reduction> {
        let raw = self.runs().min_by(|a, b| a.loss.total_cmp(&b.loss))?;
        Some(Reduction {
            run_id: observation.run_id.clone(),
            knob: self.knob,
            group: observation.group.clone(),
            params: observation.params,
            tokens: observation.tokens,
            runs: self.runs().map(|run| run.run_id.clone()).collect(),
            settings: self.settings.len() as u64,
            settings_used: chosen.used,
            value: chosen.value,
            loss: observation.loss,
            standard_error: chosen.standard_error.map(|se| se * observation.loss),
            raw_minimum: raw.loss,
            raw_value: setting(raw, self.knob)?,
            method: chosen.method,
        })
    }
}

/// The setting that stands for a cell; loss and standard error are of ln L.
struct Chosen {
    value: f64,
    log_loss: f64,
    standard_error: Option<f64>,
    used: u64,
    method: ReductionMethod,
}

impl Chosen {
    fn at_vertex(vertex: &Vertex, deviation: Option<f64>) -> Self {
        Self {
            value: math::exp(vertex.x),
            log_loss: vertex.log_loss,
            standard_error: deviation.map(|sd| sd * vertex.leverage.sqrt()),
            used: vertex.used as u64,
            method: ReductionMethod::Quadratic,
        }
    }

    fn lowest(lowest: &Setting, method: ReductionMethod, deviation: Option<f64>) -> Self {
        Self {
            value: lowest.value,
            log_loss: lowest.log_loss(),
            standard_error: deviation.map(|sd| sd / (lowest.runs.len() as f64).sqrt()),
            used: 0,
            method,
        }
    }
}
