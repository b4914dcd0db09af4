//! What the record of a run says of its problems: means by task and bucket.
//!
//! The mean of −log p takes a censored problem at its bound: where there are such, the true mean lies above it. Laws are
//! fitted to the problems themselves, which say so.

use forescale_core::corpus::CorpusManifest;
use forescale_core::items::ItemResult;
use forescale_core::record::Metric;

/// Means over the problems of each task and bucket, tasks as they come and buckets in their order, with standard errors
/// over problems: `neg_log_p/<task>/<bucket>` in nats, and `accuracy/<task>/<bucket>` where greedy decoding was asked for.
pub(super) fn metrics(items: &[ItemResult], problems_digest: &str, manifest: &CorpusManifest) -> Vec<Metric> {
    let metric = |name: &str, unit: &str, of: &[&ItemResult], values: &[f64]| Metric {
        name: format!("{name}/{}/{}", of[0].task, of[0].bucket_name),
        unit: unit.to_owned(),
        eval_set_digest: problems_digest.to_owned(),
        tokenizer_digest: manifest.tokenizer_digest.clone(),
        value: mean(values),
        se: standard_error(values),
        n: values.len() as u64,
    };
    let of_bucket = |of: Vec<&ItemResult>| {
        let surprises: Vec<f64> = of.iter().map(|item| -item.log_p).collect();
        let greedy: Vec<f64> =
            of.iter().filter_map(|item| item.greedy).map(|right| f64::from(u8::from(right))).collect();
        let accuracy = (!greedy.is_empty()).then(|| metric("accuracy", "share", &of, &greedy));
        [Some(metric("neg_log_p", "nats_per_answer", &of, &surprises)), accuracy]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
    };
    buckets(items).into_iter().flat_map(of_bucket).collect()
}

fn buckets(items: &[ItemResult]) -> Vec<Vec<&ItemResult>> {
    let mut tasks: Vec<&str> = Vec::new();
    for item in items {
        if !tasks.contains(&item.task.as_str()) {
            tasks.push(&item.task);
        }
    }
    let place = |item: &ItemResult| (tasks.iter().position(|task| *task == item.task), item.bucket);
    let mut sorted: Vec<&ItemResult> = items.iter().collect();
    sorted.sort_by_key(|item| place(item));
    sorted.chunk_by(|a, b| place(a) == place(b)).map(<[_]>::to_vec).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// s/√n with the n − 1 denominator; `None` for one value.
fn standard_error(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    let centre = mean(values);
    let squares: f64 = values.iter().map(|value| (value - centre) * (value - centre)).sum();
    (values.len() > 1).then(|| libm::sqrt(squares / (n - 1.0) / n))
}

#[cfg(test)]
mod tests {
    use forescale_core::items::ItemEstimator;

    use super::*;
    use crate::fixture::manifest;

    fn item(task: &str, bucket: u32, log_p: f64, greedy: Option<bool>) -> ItemResult {
        ItemResult {
            run_id: "run".to_owned(),
            task: task.to_owned(),
            item: "i".to_owned(),
            bucket,
            bucket_name: format!("{bucket} digits"),
            chance: 0.1,
            estimator: ItemEstimator::Exact,
            trials: 0,
            successes: 0,
            log_p,
            variance: 0.0,
            greedy,
        }
    }

    #[test]
    fn means_are_by_task_and_bucket_with_their_standard_errors() {
        let items = [
            item("b", 2, -4.0, Some(false)),
            item("b", 1, -1.0, Some(true)),
            item("a", 1, -3.0, None),
            item("b", 1, -2.0, Some(false)),
            item("b", 1, -3.0, Some(false)),
        ];
        let metrics = metrics(&items, "problems", &manifest());
        let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "neg_log_p/b/1 digits",
                "accuracy/b/1 digits",
                "neg_log_p/b/2 digits",
                "accuracy/b/2 digits",
                "neg_log_p/a/1 digits"
            ]
        );
        // 1, 2, 3: mean 2, standard deviation 1; 1, 0, 0: mean 1/3, variance 1/3, so √(1/9).
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        near(metrics[0].value, 2.0);
        near(metrics[0].se.expect("three problems"), 1.0 / 3.0f64.sqrt());
        near(metrics[1].value, 1.0 / 3.0);
        near(metrics[1].se.expect("three problems"), 1.0 / 3.0);
        assert_eq!((metrics[2].n, metrics[2].se), (1, None));
        assert_eq!((metrics[0].unit.as_str(), metrics[0].eval_set_digest.as_str()), ("nats_per_answer", "problems"));
        assert!(super::metrics(&[], "problems", &manifest()).is_empty());
    }
}
