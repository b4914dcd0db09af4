//! Loss on the way, and replicates of a rung, as they are drawn.

use std::collections::BTreeMap;

use forescale_core::observation::Observation;
use forescale_core::panel::{CoursePoint, LossCurve, LossCurves, RunRow, SeedRun, SeedRung};
use forescale_core::record::CurvePoint;

use super::{PanelInput, evenly};

/// Most runs whose curves are drawn. Chosen here: more lines than these cannot be told apart.
const MOST_CURVES: usize = 60;
/// Most points of one curve; a plot is about as many units wide as ten times this.
const MOST_POINTS: usize = 48;

/// Loss against compute so far, from the least compute to the most.
pub(super) fn curves(input: &PanelInput) -> LossCurves {
    let rows: BTreeMap<&str, &RunRow> = input.runs.iter().map(|row| (row.run_id.as_str(), row)).collect();
    let known = input.curves.iter().filter_map(|(id, points)| Some((*rows.get(id.as_str())?, points)));
    let mut drawn: Vec<(f64, LossCurve)> = known.filter_map(|(row, points)| curve(row, points)).collect();
    drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
    let total = drawn.len();
    let curves: Vec<LossCurve> = evenly(drawn, MOST_CURVES).into_iter().map(|(_, curve)| curve).collect();
    LossCurves { left_out: (total - curves.len()) as u64, curves }
}

/// One run's curve with its whole compute: compute so far is the share of its tokens so far. Points that are no number, as
/// in a run that diverged, are left out.
fn curve(row: &RunRow, points: &[CurvePoint]) -> Option<(f64, LossCurve)> {
    let (params, whole) = (row.params?, row.tokens?);
    let at = |point: &CurvePoint| {
        let flops = row.flops * point.tokens as f64 / whole;
        let drawable = flops.is_finite() && flops > 0.0 && point.loss.is_finite() && point.loss > 0.0;
        drawable.then_some(CoursePoint { flops, loss: point.loss })
    };
    let points: Vec<CoursePoint> = points.iter().filter_map(at).collect();
    let (name, role) = (row.name.clone(), row.role);
    (points.len() > 1).then(|| (row.flops, LossCurve { name, role, params, points: evenly(points, MOST_POINTS) }))
}

/// Rungs of several seeds, rising in compute. Branches of a trunk share its errors and are no replicates.
pub(super) fn seeds(observations: &[Observation]) -> Vec<SeedRung> {
    let mut members: BTreeMap<&str, usize> = BTreeMap::new();
    observations.iter().for_each(|o| *members.entry(&o.cluster).or_default() += 1);
    let mut rungs: BTreeMap<(Option<&str>, u64, u64), Vec<&Observation>> = BTreeMap::new();
    for run in observations.iter().filter(|o| members[o.cluster.as_str()] == 1) {
        // Sizes and data above zero are ordered as their bits are.
        rungs.entry((run.group.as_deref(), run.params.to_bits(), run.tokens.to_bits())).or_default().push(run);
    }
    let mut rungs: Vec<SeedRung> = rungs.values().filter(|runs| runs.len() > 1).map(|runs| rung(runs)).collect();
    rungs.sort_by(|a, b| a.flops.total_cmp(&b.flops));
    rungs
}

fn rung(runs: &[&Observation]) -> SeedRung {
    let count = runs.len() as f64;
    let mean = runs.iter().map(|o| o.loss).sum::<f64>() / count;
    let deviation = |o: &&Observation| SeedRun { name: o.name.clone(), deviation: o.loss / mean - 1.0 };
    SeedRung {
        params: runs[0].size_and_data().map(|at| at.0),
        tokens: runs[0].size_and_data().map(|at| at.1),
        flops: runs.iter().map(|o| o.flops).sum::<f64>() / count,
        mean,
        relative_sd: runs[0].seed_sd.map(|sd| sd / mean),
        runs: runs.iter().map(deviation).collect(),
    }
}
