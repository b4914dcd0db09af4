//! Approach 2: the best size of each isoFLOP budget, and how it moves with compute.
//!
//! A budget is used where a parabola in ln N through the runs near its lowest loss opens upward and has its vertex
//! between them with two sizes on either side; every other budget is refused with the reason. The parabola alone is
//! biased wherever α ≠ β, in the intercept and hardly in the slope, so that its error is the same at every budget and no
//! residual shows it. Both are given: the parabola's own powers, and those with the bias corrected by [`super::shape`].
//!
//! The window is centred on the vertex, not on the lowest run: which of several runs is lowest is decided by noise.

use forescale_core::approach::{BudgetRefusal, BudgetVertex};
use forescale_core::math;
use forescale_core::observation::{Exclusion, ExclusionReason, Observation};

use super::Optimum;
use super::shape::{self, Lowest, Slice};
use crate::path;

/// Rounds of moving the window to its vertex; two suffice where the vertex is interior.
const ROUNDS: usize = 8;
/// Budgets whose want of a vertex one error tells.
const MOST_TOLD: usize = 8;

/// One budget with its vertex, or why it has none.
pub(crate) struct Budget<'a> {
    runs: Vec<&'a Observation>,
    near: Vec<&'a Observation>,
    log_flops: f64,
    slice: Slice,
    /// ln N of the parabola's vertex.
    parabola: Option<f64>,
    /// L there.
    #[cfg_attr(not(test), allow(dead_code, reason = "only a forecast through vertices needs it"))]
    parabola_loss: Option<f64>,
    /// The lowest point with the bias corrected.
    pub(crate) lowest: Option<Lowest>,
    refused: Option<BudgetRefusal>,
}

/// Vertex of a parabola through (ln N, L).
struct Vertex {
    at: f64,
    loss: f64,
    opens_upward: bool,
}

/// The budgets of a group; runs within a factor `reach` in size of the vertex shape it.
pub(crate) fn budgets_of<'a>(observations: &[&'a Observation], reach: f64) -> Vec<Budget<'a>> {
    let slope = path::overall_slope(observations, path::BUDGET_FACTOR).unwrap_or(0.0);
    let cut = path::budgets(observations, path::BUDGET_FACTOR);
    let mut budgets: Vec<Budget> = cut.into_iter().map(|runs| Budget::new(runs, slope, math::ln(reach))).collect();
    correct(&mut budgets);
    budgets
}

impl<'a> Budget<'a> {
    fn new(runs: Vec<&'a Observation>, slope: f64, reach: f64) -> Self {
        let log_flops = path::mean_log_flops(&runs);
        let level = |o: &Observation| math::exp(path::level(o, slope, log_flops));
        let (near, vertex) = window(&runs, &level, reach);
        let refused = refusal(&near, vertex.as_ref());
        let vertex = vertex.filter(|v| v.opens_upward && refused.is_none());
        let (parabola, parabola_loss) = (vertex.as_ref().map(|v| v.at), vertex.as_ref().map(|v| v.loss));
        let slice = Slice::new(&near, log_flops);
        Self { runs, near, log_flops, slice, parabola, parabola_loss, lowest: None, refused }
    }

    /// The plain parabola's optimum.
    pub(crate) fn plain(&self) -> Option<Optimum> {
        let log_params = self.parabola?;
        Some(Optimum { log_flops: self.log_flops, log_params, log_tokens: self.slice.log_tokens_of(log_params) })
    }

    /// The optimum with the bias corrected.
    pub(crate) fn corrected(&self) -> Option<Optimum> {
        let Lowest { log_params, log_tokens, .. } = self.lowest?;
        Some(Optimum { log_flops: self.log_flops, log_params, log_tokens })
    }

    /// Its lowest point as a run that was never trained.
    #[cfg(test)]
    pub(crate) fn as_observation(&self, corrected: bool) -> Option<Observation> {
        let optimum = if corrected { self.corrected()? } else { self.plain()? };
        let loss = if corrected { self.lowest?.loss } else { self.parabola_loss? };
        let [flops, params, tokens] = [optimum.log_flops, optimum.log_params, optimum.log_tokens].map(math::exp);
        let one = (*self.near.first()?).clone();
        Some(Observation { flops, params, tokens, loss, ..one })
    }

    /// The budget as a reader sees it.
    pub(crate) fn describe(&self) -> BudgetVertex {
        BudgetVertex {
            flops: math::exp(self.log_flops),
            runs: self.runs.len() as u64,
            near: self.near.len() as u64,
            parabola_params: self.parabola.map(math::exp),
            params: self.lowest.map(|lowest| math::exp(lowest.log_params)),
            tokens: self.lowest.map(|lowest| math::exp(lowest.log_tokens)),
            loss: self.lowest.map(|lowest| lowest.loss),
            refused: self.refused,
        }
    }

    /// Its runs that shape no vertex.
    pub(crate) fn left_aside(&self) -> Vec<Exclusion> {
        let used = |o: &Observation| self.refused.is_none() && self.near.iter().any(|near| near.run_id == o.run_id);
        let reason = if self.refused.is_none() { ExclusionReason::FarFromVertex } else { ExclusionReason::NoVertex };
        let exclusion = |o: &&Observation| Exclusion { run_id: o.run_id.clone(), reason };
        self.runs.iter().filter(|o| !used(o)).map(exclusion).collect()
    }
}

/// The runs within reach of their own vertex.
fn window<'a>(
    runs: &[&'a Observation],
    level: &impl Fn(&Observation) -> f64,
    reach: f64,
) -> (Vec<&'a Observation>, Option<Vertex>) {
    let Some(lowest) = runs.iter().min_by(|a, b| level(a).total_cmp(&level(b))) else { return (Vec::new(), None) };
    let mut centre = math::ln(lowest.params);
    let within = |centre: f64| -> Vec<&'a Observation> {
        runs.iter().copied().filter(|o| (math::ln(o.params) - centre).abs() <= reach).collect()
    };
    for _ in 0..ROUNDS {
        let near = within(centre);
        let Some(vertex) = vertex_of(&near, level) else { break };
        let (low, high) = size_range(&near);
        let inside = vertex.at.clamp(low, high);
        if !vertex.opens_upward || (inside - centre).abs() < 1e-9 {
            break;
        }
        centre = inside;
    }
    let near = within(centre);
    let vertex = vertex_of(&near, level);
    (near, vertex)
}

/// Least and most ln N.
pub(super) fn size_range(runs: &[&Observation]) -> (f64, f64) {
    let sizes = runs.iter().map(|o| math::ln(o.params));
    sizes.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

fn vertex_of(near: &[&Observation], level: &impl Fn(&Observation) -> f64) -> Option<Vertex> {
    if near.is_empty() || path::distinct(near.iter().map(|o| math::ln(o.params))) < 3 {
        return None;
    }
    let middle = near.iter().map(|o| math::ln(o.params)).sum::<f64>() / near.len() as f64;
    let points: Vec<(f64, f64)> = near.iter().map(|o| (math::ln(o.params) - middle, level(o))).collect();
    let [constant, linear, square] = path::parabola(&points)?;
    let away = -0.5 * linear / square;
    Some(Vertex { at: middle + away, loss: constant + 0.5 * linear * away, opens_upward: square > 0.0 })
}

fn refusal(near: &[&Observation], vertex: Option<&Vertex>) -> Option<BudgetRefusal> {
    let sizes =
        |keep: &dyn Fn(f64) -> bool| path::distinct(near.iter().map(|o| math::ln(o.params)).filter(|x| keep(*x)));
    let Some(vertex) = vertex.filter(|_| sizes(&|_| true) >= 4) else { return Some(BudgetRefusal::TooFewSizes) };
    if !vertex.opens_upward {
        return Some(BudgetRefusal::OpensDownward);
    }
    let (below, above) = (sizes(&|x| x < vertex.at), sizes(&|x| x > vertex.at));
    match below.min(above) {
        0 => Some(BudgetRefusal::VertexNotInterior),
        1 => Some(BudgetRefusal::TooFewOnOneSide),
        _ => None,
    }
}

/// Why budgets have no vertex, budget by budget: `: 1.0e18 FLOPs, 3 runs: fewer than 4 sizes near its lowest loss; …`.
pub(crate) fn why_without(budgets: &[Budget<'_>]) -> String {
    let words = |budget: &Budget<'_>| {
        let (flops, runs) = (math::exp(budget.log_flops), budget.runs.len());
        let noun = if runs == 1 { "run" } else { "runs" };
        Some(format!("{flops:.2e} FLOPs, {runs} {noun}: {}", budget.refused?.label()))
    };
    let told: Vec<String> = budgets.iter().filter_map(words).collect();
    let shown = told.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join("; ");
    match told.len() {
        0 => String::new(),
        count if count > MOST_TOLD => format!(": {shown}; and {} budgets more", count - MOST_TOLD),
        _ => format!(": {shown}"),
    }
}

/// Finds the lowest points of the budgets used, exponents shared between them.
fn correct(budgets: &mut [Budget]) {
    let used: Vec<usize> = (0..budgets.len()).filter(|&i| budgets[i].refused.is_none()).collect();
    let slices: Vec<&Slice> = used.iter().map(|&i| &budgets[i].slice).collect();
    let Some(found) = shape::lowest_points(&slices) else { return };
    for (i, lowest) in used.into_iter().zip(found) {
        budgets[i].lowest = lowest;
        if lowest.is_none() {
            (budgets[i].refused, budgets[i].parabola) = (Some(BudgetRefusal::NoLowestPoint), None);
        }
    }
}
