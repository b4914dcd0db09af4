//! Where a budget is best spent, along the frontier of one law of size and data: the law that the forecast's optimum is
//! read from.

use forescale_core::approach::{ApproachFit, BudgetVertex};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::panel::{Contour, FrontierPoint, Isoflop, ShapePanel, SizeAndData, SizedLoss};

use super::{BEYOND_TARGET, PanelInput, evenly, largest, target_flops};
use crate::fitted::Fitted;
use crate::forecaster::Forecaster;
use crate::path;

/// Points of the frontier: each is a profile.
const FRONTIER_POINTS: usize = 25;
/// Lines of equal loss. Chosen here: as many as can be labelled beside one another.
const CONTOURS: usize = 6;
/// Points of a line.
const LINE_POINTS: usize = 64;
/// Lines and isoFLOP curves go this factor past the runs.
const MARGIN: f64 = 1.7;
/// Halvings of a search: far below the width of a line.
const HALVINGS: usize = 40;
/// Most budgets drawn: as many as there are looks that differ in grey.
const MOST_BUDGETS: usize = 6;
/// Sizes that differ by less are one size.
const ONE_SIZE: f64 = 1.1;

/// The panel, where a law of size and data has a best split.
pub(super) fn shape(input: &PanelInput, forecaster: &Forecaster, approaches: &[ApproachFit]) -> Option<ShapePanel> {
    let law = forecaster.surface()?;
    let drawing = Drawing { input, forecaster, law };
    let frontier = drawing.frontier();
    if frontier.is_empty() {
        return None;
    }
    let found = drawing.isoflops(approaches);
    let total = found.len();
    let isoflops = evenly(found, MOST_BUDGETS);
    Some(ShapePanel {
        law: law.law.to_string(),
        contours: drawing.contours(&frontier),
        frontier,
        isoflops_left_out: (total - isoflops.len()) as u64,
        isoflops,
    })
}

struct Drawing<'a> {
    input: &'a PanelInput,
    forecaster: &'a Forecaster,
    law: &'a Fitted,
}

impl Drawing<'_> {
    fn frontier(&self) -> Vec<FrontierPoint> {
        let smallest = self.input.observations.iter().map(|o| o.flops).fold(f64::INFINITY, f64::min);
        let end = BEYOND_TARGET * target_flops(self.input).unwrap_or(0.0).max(largest(self.input));
        spaced((smallest, end), FRONTIER_POINTS).into_iter().filter_map(|flops| self.best(flops)).collect()
    }

    /// The best split of a budget.
    fn best(&self, flops: f64) -> Option<FrontierPoint> {
        let best = self.forecaster.optimum(flops)?;
        let loss = math::exp(self.law.log_loss(best.params.estimate, best.tokens.estimate, flops));
        loss.is_finite().then_some(FrontierPoint { flops, params: best.params, tokens: best.tokens, loss })
    }

    /// Lines of the losses that budgets evenly spaced reach at best.
    fn contours(&self, frontier: &[FrontierPoint]) -> Vec<Contour> {
        let runs = || self.input.runs.iter().filter(|row| row.loss.is_some());
        let sizes = ends(runs().filter_map(|row| row.params).chain(frontier.iter().map(|point| point.params.estimate)));
        let data = ends(runs().filter_map(|row| row.tokens).chain(frontier.iter().map(|point| point.tokens.estimate)));
        let line = |point: &FrontierPoint| {
            let at = |params: f64| Some(SizeAndData { params, tokens: self.tokens_of(params, point.loss, data)? });
            let points: Vec<SizeAndData> = spaced(sizes, LINE_POINTS).into_iter().filter_map(at).collect();
            (points.len() > 1).then_some(Contour { loss: point.loss, points })
        };
        evenly(frontier.iter().collect(), CONTOURS).into_iter().filter_map(line).collect()
    }

    /// The data with which a size reaches a loss, where they lie between the ends: more data never make a law's loss worse.
    fn tokens_of(&self, params: f64, loss: f64, (low, high): (f64, f64)) -> Option<f64> {
        let per_product = self.law.flops_per_product();
        let above = |tokens: f64| self.law.log_loss(params, tokens, per_product * params * tokens) > math::ln(loss);
        if !above(low) || above(high) {
            return None;
        }
        let (mut low, mut high) = (math::ln(low), math::ln(high));
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if above(math::exp(middle)) { low = middle } else { high = middle }
        }
        Some(math::exp(0.5 * (low + high)))
    }

    fn isoflops(&self, approaches: &[ApproachFit]) -> Vec<Isoflop> {
        let runs: Vec<&Observation> = self.input.observations.iter().collect();
        let budgets = path::budgets(&runs, path::BUDGET_FACTOR);
        budgets.into_iter().filter_map(|budget| self.isoflop(budget, approaches)).collect()
    }

    fn isoflop(&self, mut runs: Vec<&Observation>, approaches: &[ApproachFit]) -> Option<Isoflop> {
        runs.sort_by(|a, b| a.params.total_cmp(&b.params));
        let (least, most) = (runs.first()?.params, runs.last()?.params);
        if most < ONE_SIZE * least {
            return None;
        }
        let flops = math::exp(path::mean_log_flops(&runs));
        let per_product = self.law.flops_per_product();
        let minimum = self.best(flops);
        let drawn = [least, most].into_iter().chain(minimum.iter().map(|point| point.params.estimate));
        let at = |params: f64| {
            let loss = math::exp(self.law.log_loss(params, flops / (per_product * params), flops));
            loss.is_finite().then_some(SizedLoss { name: String::new(), params, loss })
        };
        let run = |o: &&Observation| SizedLoss { name: o.name.clone(), params: o.params, loss: o.loss };
        Some(Isoflop {
            flops,
            curve: spaced(ends(drawn), LINE_POINTS).into_iter().filter_map(at).collect(),
            runs: runs.iter().map(run).collect(),
            minimum,
            vertex: vertex(approaches, flops),
        })
    }
}

/// What approach 2 found at a budget.
fn vertex(approaches: &[ApproachFit], flops: f64) -> Option<BudgetVertex> {
    let budgets = approaches.iter().flat_map(|fit| &fit.budgets);
    budgets.into_iter().find(|budget| (budget.flops / flops - 1.0).abs() < 1e-9).cloned()
}

/// The ends of values above zero, a margin further out.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    (low / MARGIN, high * MARGIN)
}

/// Points evenly spaced in the logarithm, ends included.
fn spaced((low, high): (f64, f64), count: usize) -> Vec<f64> {
    let (low, high) = (math::ln(low), math::ln(high));
    (0..count).map(|i| math::exp(low + (high - low) * i as f64 / (count - 1) as f64)).collect()
}
