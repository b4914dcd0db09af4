//! Runs of about the same compute as one rung: what a gate and a law of buckets look at.

use forescale_core::capability::Rung;
use forescale_core::math;

/// Runs within this factor of a rung's largest belong to it (chosen here: seeds, and shapes of one budget; rungs of a ladder
/// lie at least a factor of two apart).
const WITHIN: f64 = 1.5;

/// One run's value of a task or bucket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) flops: f64,
    pub(crate) value: f64,
    /// Variance of `value` by its estimator, where it is known.
    pub(crate) variance: Option<f64>,
    pub(crate) problems: Option<usize>,
    pub(crate) censored: Option<usize>,
    pub(crate) is_bound: bool,
}

/// Rungs by rising compute, gathered from the largest run down.
pub(crate) fn rungs(seen: &[Seen]) -> Vec<Rung> {
    let mut sorted: Vec<&Seen> = seen.iter().collect();
    sorted.sort_by(|a, b| b.flops.total_cmp(&a.flops));
    let mut found = Vec::new();
    let mut rest = sorted.as_slice();
    while let Some(largest) = rest.first() {
        let inside = rest.partition_point(|run| run.flops * WITHIN >= largest.flops);
        found.push(one(&rest[..inside]));
        rest = &rest[inside..];
    }
    found.reverse();
    found
}

fn one(runs: &[&Seen]) -> Rung {
    let count = runs.len() as f64;
    let mean = |of: &dyn Fn(&Seen) -> f64| runs.iter().map(|run| of(run)).sum::<f64>() / count;
    let value = mean(&|run| run.value);
    let total = |of: &dyn Fn(&Seen) -> Option<usize>| runs.iter().map(|run| of(run)).sum::<Option<usize>>();
    Rung {
        flops: math::exp(mean(&|run| math::ln(run.flops))),
        value,
        standard_error: standard_error(runs, value),
        runs: runs.len(),
        problems: total(&|run| run.problems),
        censored: total(&|run| run.censored),
        is_bound: 2 * runs.iter().filter(|run| run.is_bound).count() >= runs.len(),
    }
}

/// The larger of what the estimators say and what the runs' own scatter says.
fn standard_error(runs: &[&Seen], mean: f64) -> Option<f64> {
    let count = runs.len() as f64;
    let told = runs.iter().map(|run| run.variance).sum::<Option<f64>>().map(|sum| sum / (count * count));
    let scatter = (runs.len() > 1).then(|| {
        let square: f64 = runs.iter().map(|run| (run.value - mean) * (run.value - mean)).sum();
        square / (count - 1.0) / count
    });
    [told, scatter].into_iter().flatten().reduce(f64::max).map(f64::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(flops: f64, value: f64) -> Seen {
        Seen { flops, value, variance: Some(0.04), problems: Some(10), censored: Some(2), is_bound: false }
    }

    #[test]
    fn seeds_of_a_budget_are_one_rung_and_the_next_budget_another() {
        let found = rungs(&[seen(4.0, 1.0), seen(1.0, 5.0), seen(4.4, 2.0), seen(1.1, 5.0), seen(4.2, 3.0)]);
        assert_eq!(found.iter().map(|rung| rung.runs).collect::<Vec<_>>(), [2, 3]);
        assert!((found[1].value - 2.0).abs() < 1e-12 && found[1].problems == Some(30) && found[1].censored == Some(6));
        // Scatter of 1, 2, 3: variance 1, of the mean 1/3, above the 0.04/3 of the estimators.
        assert!((found[1].standard_error.expect("told") - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((found[0].standard_error.expect("told") - 0.02_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn one_run_is_a_rung_and_none_are_none() {
        let alone = rungs(&[Seen { variance: None, problems: None, censored: None, ..seen(1.0, 2.0) }]);
        assert_eq!((alone.len(), alone[0].standard_error, alone[0].problems), (1, None, None));
        assert!(rungs(&[]).is_empty());
    }
}
