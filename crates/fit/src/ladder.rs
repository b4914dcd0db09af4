//! The ladder within a table that names no path: most runs keep to one curve of tokens per parameter over compute, and a few,
//! bought or tried beside it, do not.
//!
//! The curve is a line in logarithms by Theil's median of all pairs' slopes, which a quarter of strays does not move far.

use forescale_core::math;
use forescale_core::observation::Observation;

use crate::path::{NEAR_PATH, is_grid};

/// Share of the runs that a curve must hold to be a ladder. Chosen here: beyond it Theil's median breaks down (29%).
const MOST: f64 = 0.75;
/// Runs that slopes are taken between: more are thinned evenly.
const MOST_PAIRED: usize = 400;
/// Runs whose ln C lie closer give no slope.
const LEAST_STEP: f64 = 0.05;

/// Which runs are on the ladder; `None` where no curve holds most of them, or where those that it holds are a grid themselves.
pub(crate) fn on_ladder(observations: &[&Observation]) -> Option<Vec<bool>> {
    let points: Vec<(f64, f64)> =
        observations.iter().map(|o| (math::ln(o.flops), math::ln(o.tokens / o.params))).collect();
    let slope = math::median(&slopes(&points))?;
    let level = math::median(&points.iter().map(|(x, y)| y - slope * x).collect::<Vec<_>>())?;
    let on: Vec<bool> =
        points.iter().map(|(x, y)| (y - slope * x - level).abs() <= math::ln(NEAR_PATH) + 1e-9).collect();
    let held: Vec<&Observation> = observations.iter().zip(&on).filter(|(_, on)| **on).map(|(o, _)| *o).collect();
    (held.len() as f64 >= MOST * points.len() as f64 && !is_grid(&held)).then_some(on)
}

/// Slopes of all pairs of runs that differ in compute.
fn slopes(points: &[(f64, f64)]) -> Vec<f64> {
    let stride = points.len().div_ceil(MOST_PAIRED).max(1);
    let mut kept: Vec<(f64, f64)> = points.to_vec();
    kept.sort_by(|a, b| a.0.total_cmp(&b.0));
    let kept: Vec<(f64, f64)> = kept.into_iter().step_by(stride).collect();
    let pairs = kept.iter().enumerate().flat_map(|(i, a)| kept[i + 1..].iter().map(move |b| (b.0 - a.0, b.1 - a.1)));
    pairs.filter(|(step, _)| *step > LEAST_STEP).map(|(step, rise)| rise / step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    fn run(n: f64, ratio: f64) -> Observation {
        published::run(0, n, ratio * n, 6.0 * ratio * n * n, 3.0)
    }

    fn held(runs: &[Observation]) -> Option<Vec<bool>> {
        on_ladder(&runs.iter().collect::<Vec<_>>())
    }

    #[test]
    fn a_ladder_with_a_few_runs_beside_it_is_one_and_a_grid_is_none() {
        // Ratios that fall with size, as on a measured optimum.
        let ladder =
            || (0..9).map(|i| 1e7 * math::pow(2.0, f64::from(i))).map(|n| run(n, 30.0 * math::pow(n / 1e7, -0.1)));
        let beside = [run(6.4e8, 150.0), run(1.28e9, 3.0), run(1e7, 200.0)];
        let all: Vec<Observation> = ladder().chain(beside).collect();
        let on = held(&all).expect("a ladder");
        assert_eq!(on, [vec![true; 9], vec![false; 3]].concat());
        let grid = |ratios: &[f64]| -> Vec<Observation> {
            let sizes = (0..6).map(|i| 1e7 * math::pow(2.0, f64::from(i)));
            sizes.flat_map(|n| ratios.iter().map(move |&ratio| run(n, ratio))).collect()
        };
        assert_eq!(held(&grid(&[10.0, 20.0, 40.0])), None);
        assert_eq!(held(&grid(&[5.0, 10.0, 20.0, 40.0, 80.0])), None);
        assert_eq!(held(&published::grid([406.4, 410.7, 1.69, 0.34, 0.28])), None);
        assert_eq!(held(&[]), None);
    }
}
