//! The collapse check: normalised loss curves of all rungs.

use forescale_core::math;
use forescale_core::probe::{CollapseFinding, CollapseRung};

use super::axis::{Axis, range};
use super::element::{Element, MARKERS, marker_of};
use super::key;
use super::sketch::Sketch;
use crate::headline::plural;

/// Normalised loss against the share of the run, a line for each rung.
pub(super) fn curves(finding: &CollapseFinding) -> Option<Sketch> {
    let shown = |rung: &CollapseRung| -> Vec<(f64, f64)> {
        let compared = rung.points.iter().filter(|point| point.share >= finding.from - 0.01);
        compared.map(|point| (point.share, math::log10(point.value))).collect()
    };
    let lines: Vec<Vec<(f64, f64)>> = finding.rungs.iter().map(shown).collect();
    let heights = lines.iter().flatten().map(|point| point.1);
    if lines.iter().all(Vec::is_empty) {
        return None;
    }
    let y = Axis::decades("(L(t) − Ê) / (L(T) − Ê)", range(heights, 0.08), 270.0);
    let x = Axis::linear("share of the run, t / T", (finding.from - 0.02, 1.02));
    let drawn =
        finding.rungs.iter().zip(&lines).enumerate().flat_map(|(index, (rung, line))| series(index, rung, line));
    let legend = finding.rungs.iter().enumerate().map(|(index, rung)| {
        let failed = if rung.passes { "" } else { ", beyond its limit" };
        let words = format!("{}: {:.1}%{failed}", rung.name, 100.0 * rung.deviation);
        key(&Element::mark(&class("mark", index), marker_of(index), (0.0, 0.0)), words)
    });
    Some(Sketch {
        caption:
            "Loss above the irreducible one, over its value at the end; under one recipe all rungs lie on one curve."
                .to_owned(),
        alternative: format!("Normalised loss curves of {}.", plural(finding.rungs.len(), "rung")),
        height: 340,
        elements: drawn.collect(),
        keys: legend.collect(),
        x,
        y,
    })
}

fn class(kind: &str, index: usize) -> String {
    format!("{kind} s{}", index % MARKERS.len())
}

fn series(index: usize, rung: &CollapseRung, line: &[(f64, f64)]) -> Vec<Element> {
    let title = format!("{}: {:.1}% from the others", rung.name, 100.0 * rung.deviation);
    let trend = Element::line(&class("trend", index), line.to_vec()).titled(title.clone());
    let mark = |at: &(f64, f64)| Element::mark(&class("mark", index), marker_of(index), *at).titled(title.clone());
    std::iter::once(trend).chain(line.iter().map(mark)).collect()
}
