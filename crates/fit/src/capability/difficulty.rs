//! Buckets by how hard problems were for runs that the fit never sees: separate seeds of the rungs.
//!
//! Buckets by the outcomes of the fitted runs themselves would regress to the mean: a problem that was hard by bad luck falls
//! into a hard bucket and looks as if it were learnt later.

use std::collections::{BTreeMap, BTreeSet};

use forescale_core::items::ItemResult;

use super::CapabilityError;

/// The same results under buckets of equal size, easiest first, by each problem's mean −log p over other runs (`by`).
///
/// Problems that the other runs did not answer have a bucket of their own, the last, so that none is dropped.
///
/// # Errors
///
/// [`CapabilityError::SharedRun`] where a run is in both; [`CapabilityError::BadOption`] for no bucket.
pub fn rebucket(items: &[ItemResult], by: &[ItemResult], buckets: u32) -> Result<Vec<ItemResult>, CapabilityError> {
    if buckets == 0 {
        return Err(CapabilityError::BadOption { option: "buckets", value: 0.0, allowed: "at least 1" });
    }
    let fitted: BTreeSet<&str> = items.iter().map(|item| item.run_id.as_str()).collect();
    if let Some(shared) = by.iter().find(|item| fitted.contains(item.run_id.as_str())) {
        return Err(CapabilityError::SharedRun { run_id: shared.run_id.clone() });
    }
    let bucket_of = buckets_by_difficulty(by, buckets);
    let moved = |item: &ItemResult| {
        let bucket = bucket_of.get(&(item.task.as_str(), item.item.as_str())).copied();
        let bucket_name =
            bucket.map_or_else(|| "not ranked".to_owned(), |b| format!("difficulty {} of {buckets}", b + 1));
        ItemResult { bucket: bucket.unwrap_or(buckets), bucket_name, ..item.clone() }
    };
    Ok(items.iter().map(moved).collect())
}

/// Bucket of each task's problems, from 0; problems of equal difficulty in the order of their names.
fn buckets_by_difficulty(by: &[ItemResult], buckets: u32) -> BTreeMap<(&str, &str), u32> {
    let mut means: BTreeMap<&str, BTreeMap<&str, (f64, f64)>> = BTreeMap::new();
    for item in by {
        let sum = means.entry(&item.task).or_default().entry(&item.item).or_default();
        *sum = (sum.0 - item.log_p, sum.1 + 1.0);
    }
    let mut found = BTreeMap::new();
    for (task, problems) in means {
        let mut ranked: Vec<(&str, f64)> = problems.into_iter().map(|(item, (sum, n))| (item, sum / n)).collect();
        ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
        let count = ranked.len();
        for (rank, (item, _)) in ranked.into_iter().enumerate() {
            let bucket = (rank * buckets as usize / count) as u32;
            found.insert((task, item), bucket);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use forescale_core::items::ItemEstimator;

    fn item(run: &str, item: &str, log_p: f64) -> ItemResult {
        ItemResult {
            run_id: run.into(),
            task: "t".into(),
            item: item.into(),
            bucket: 9,
            bucket_name: "nine".into(),
            chance: 0.0,
            estimator: ItemEstimator::Exact,
            trials: 0,
            successes: 0,
            log_p,
            variance: 0.0,
            greedy: None,
        }
    }

    #[test]
    fn problems_are_ranked_by_other_runs_alone() {
        let other =
            [("a", -3.0), ("b", -0.1), ("c", -2.0), ("d", -1.0)].map(|(name, log_p)| item("seed-1", name, log_p));
        let fitted = ["a", "b", "c", "d", "new"].map(|name| item("seed-0", name, -0.5));
        let found = rebucket(&fitted, &other, 2).expect("other runs");
        assert_eq!(found.iter().map(|item| item.bucket).collect::<Vec<_>>(), [1, 0, 1, 0, 2]);
        assert_eq!((found[0].bucket_name.as_str(), found[4].bucket_name.as_str()), ("difficulty 2 of 2", "not ranked"));
    }

    #[test]
    fn a_fitted_run_may_not_rank_its_own_problems() {
        let items = [item("r", "a", -1.0)];
        assert_eq!(rebucket(&items, &items, 2), Err(CapabilityError::SharedRun { run_id: "r".into() }));
        assert!(matches!(rebucket(&items, &[], 0), Err(CapabilityError::BadOption { .. })));
    }
}
