//! Whether the sizes tried at a budget reach far enough on both sides of its best one.

use core::fmt;

use forescale_core::observation::Observation;

use super::Voiced;
use crate::fitted::Fitted;
use crate::path;

/// Sizes that must lie on either side of a vertex.
const NEEDED: usize = 2;

/// Budgets whose best size is badly hemmed in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VertexSides {
    law: String,
    /// Compute of budgets whose vertex has fewer than two sizes on a side.
    one_sided: Vec<f64>,
    /// Vertices in all.
    vertices: usize,
    /// Budgets of three sizes or more whose loss has no lowest point between them.
    open: usize,
}

/// Where a path was made of vertices.
pub(super) fn sides(fitted: &Fitted, runs: &[&Observation]) -> Option<VertexSides> {
    if !fitted.vertices {
        return None;
    }
    let (mut one_sided, mut open) = (Vec::new(), 0);
    for budget in path::budgets(runs, path::BUDGET_FACTOR) {
        // A vertex lies at its budget's mean compute: inside, but for rounding.
        let (low, high) = (budget[0].flops * (1.0 - 1e-9), budget[budget.len() - 1].flops * (1.0 + 1e-9));
        let vertex = fitted.points.iter().find(|point| (low..=high).contains(&point.flops));
        match vertex {
            Some(vertex) if !is_hemmed(&budget, vertex.params) => one_sided.push(vertex.flops),
            None if sizes(budget.iter().map(|o| o.params)) >= 3 => open += 1,
            _ => {}
        }
    }
    let (law, vertices) = (fitted.law.to_string(), fitted.points.len());
    (!one_sided.is_empty() || open > 0).then_some(VertexSides { law, one_sided, vertices, open })
}

fn is_hemmed(budget: &[&Observation], best: f64) -> bool {
    let on = |above: bool| sizes(budget.iter().map(|o| o.params).filter(|&n| (n > best) == above));
    on(true) >= NEEDED && on(false) >= NEEDED
}

/// How many sizes differ.
fn sizes(params: impl Iterator<Item = f64>) -> usize {
    let mut sorted: Vec<f64> = params.collect();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|b, a| *b <= 1.02 * *a);
    sorted.len()
}

impl Voiced for VertexSides {
    fn code(&self) -> &'static str {
        "vertex_sides"
    }

    fn hint(&self) -> &'static str {
        "add sizes to those budgets until two lie on either side of the best"
    }
}

impl fmt::Display for VertexSides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { law, one_sided, vertices, open } = self;
        write!(f, "`{law}`: ")?;
        if !one_sided.is_empty() {
            let at: Vec<String> = one_sided.iter().take(5).map(|flops| format!("{flops:.1e}")).collect();
            let (few, at) = (one_sided.len(), at.join(", "));
            write!(f, "{few} of {vertices} vertices ({at} FLOPs) have fewer than {NEEDED} sizes on one side")?;
        }
        let and = if one_sided.is_empty() { "" } else { ", and " };
        if *open > 0 {
            write!(f, "{and}{open} budgets have their lowest loss at the smallest or largest size tried")?;
        }
        write!(f, ": the best size there is an edge of the grid as much as a minimum")
    }
}
