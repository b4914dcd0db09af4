//! The evaluation set: fixed windows of the validation split, the same for every run that shares a context.

use forescale_core::corpus::CorpusManifest;
use forescale_core::digest::json_digest;
use forescale_core::record::Metric;
use forescale_core::run::RunConfig;

use crate::error::TrainError;

/// A window of the validation split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// First input token, counted from the start of the split.
    pub(crate) start: u64,
    /// Index of the cluster that its first token lies in.
    pub(crate) cluster: usize,
}

/// The windows of a run's evaluation set: `evaluation.tokens / context` of them, spread evenly over the split.
///
/// Windows that lie inside one cluster are preferred; only where there are too few of these does the set fall back to
/// windows that cross from one document to the next.
pub(crate) fn windows(config: &RunConfig, manifest: &CorpusManifest) -> Result<Vec<Window>, TrainError> {
    let context = u64::from(config.shape.context);
    let needed = config.evaluation.tokens / context;
    let candidates = candidates(config, manifest);
    let available = candidates.len() as u64;
    if needed == 0 {
        return Err(TrainError::config(
            format!("evaluation of {} tokens is less than one window of {context}", config.evaluation.tokens),
            format!("set `evaluation.tokens` to {context} or more"),
        ));
    }
    if needed > available {
        return Err(TrainError::NotEnoughValidation {
            tokens: config.evaluation.tokens,
            needed,
            available,
            allowed: available * context,
            context: config.shape.context,
        });
    }
    Ok(spread(&candidates, needed))
}

/// Digest of which tokens are predicted, in which windows.
///
/// Two runs with the same digest were measured on the same text in the same pieces. It covers the tokens (through the
/// corpus digest), the context and the start of each window.
#[must_use]
pub fn eval_set_digest(config: &RunConfig, manifest: &CorpusManifest) -> String {
    let candidates = candidates(config, manifest);
    let needed = config.evaluation.tokens / u64::from(config.shape.context).max(1);
    let starts: Vec<u64> = spread(&candidates, needed.min(candidates.len() as u64)).iter().map(|w| w.start).collect();
    json_digest(&(&manifest.digest, &manifest.tokens_sha256, config.shape.context, starts))
}

fn spread(candidates: &[Window], needed: u64) -> Vec<Window> {
    let available = candidates.len() as u64;
    (0..needed).map(|index| candidates[(index * available / needed) as usize]).collect()
}

fn candidates(config: &RunConfig, manifest: &CorpusManifest) -> Vec<Window> {
    let context = u64::from(config.shape.context).max(1);
    let needed = config.evaluation.tokens / context;
    let inside = inside_clusters(context, manifest);
    if inside.len() as u64 >= needed { inside } else { across_clusters(context, manifest) }
}

fn inside_clusters(context: u64, manifest: &CorpusManifest) -> Vec<Window> {
    let alignment = u64::from(manifest.window_alignment).max(1);
    let pitch = context.next_multiple_of(alignment);
    let of_cluster = |(cluster, start, end): (usize, u64, u64)| {
        let first = start.next_multiple_of(alignment);
        // A window of T inputs reads T + 1 tokens.
        let count = if end > first + context { (end - first - 1 - context) / pitch + 1 } else { 0 };
        (0..count).map(move |index| Window { start: first + index * pitch, cluster })
    };
    manifest
        .clusters
        .iter()
        .enumerate()
        .flat_map(|(index, cluster)| of_cluster((index, cluster.start, cluster.end.min(manifest.validation_tokens))))
        .collect()
}

fn across_clusters(context: u64, manifest: &CorpusManifest) -> Vec<Window> {
    let pitch = context.next_multiple_of(u64::from(manifest.window_alignment).max(1));
    let cluster_of = |start: u64| manifest.clusters.partition_point(|cluster| cluster.end <= start);
    (0..)
        .map(|index| index * pitch)
        .take_while(|start| start + context < manifest.validation_tokens)
        .map(|start| Window { start, cluster: cluster_of(start) })
        .collect()
}

/// Mean loss with its standard error by cluster.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MeanLoss {
    /// Nats per token.
    pub(crate) mean: f64,
    /// Standard error; absent with a single window.
    pub(crate) standard_error: Option<f64>,
    /// Tokens.
    pub(crate) tokens: u64,
}

/// The mean over all tokens of windows of equal length.
///
/// # Formula
///
/// se = √(Σ_g (Σ_{i ∈ g} (l_i − l̄))²) / n over clusters g (Liang and Zeger 1986, without small-sample factor). With
/// fewer than two clusters each window is its own.
pub(crate) fn mean_loss(windows: &[Window], window_sums: &[f64], context: u64) -> MeanLoss {
    let tokens = windows.len() as u64 * context;
    let mean = window_sums.iter().sum::<f64>() / tokens as f64;
    let distinct = windows.windows(2).any(|pair| pair[0].cluster != pair[1].cluster);
    let mut squares = 0.0;
    let mut deviation = 0.0;
    for (index, sum) in window_sums.iter().enumerate() {
        deviation += sum - mean * context as f64;
        let ends = windows.get(index + 1).is_none_or(|next| !distinct || next.cluster != windows[index].cluster);
        if ends {
            squares += deviation * deviation;
            deviation = 0.0;
        }
    }
    let standard_error = (windows.len() > 1).then(|| libm::sqrt(squares) / tokens as f64);
    MeanLoss { mean, standard_error, tokens }
}

/// The metrics of a finished run: the loss, and bits per byte where the corpus knows its bytes.
///
/// # Formula
///
/// bits per byte = l̄ / (ln 2 · r), with l̄ the loss of the evaluation windows in nats per token and r the bytes per token
/// of the whole validation split. Where a token is a byte r is 1 and this is exact. For BPE the windows' own ratio is not
/// r, and how far the two are apart by chance is not in `se`: it is the loss's own error, divided by ln 2 · r.
pub(crate) fn metrics(loss: MeanLoss, eval_set: &str, manifest: &CorpusManifest) -> Vec<Metric> {
    let metric = |name: &str, unit: &str, factor: f64| Metric {
        name: name.to_owned(),
        unit: unit.to_owned(),
        eval_set_digest: eval_set.to_owned(),
        tokenizer_digest: manifest.tokenizer_digest.clone(),
        value: loss.mean * factor,
        se: loss.standard_error.map(|se| se * factor),
        n: loss.tokens,
    };
    let bits_per_nat = core::f64::consts::LOG2_E;
    let per_byte = manifest.bytes_per_token.map(|bytes| metric("bits_per_byte", "bits_per_byte", bits_per_nat / bytes));
    [metric("loss", "nats_per_token", 1.0)].into_iter().chain(per_byte).collect()
}

#[cfg(test)]
mod tests {
    use forescale_core::run::EvaluationConfig;

    use super::*;
    use crate::fixture::{config, manifest};

    fn of_tokens(tokens: u64) -> RunConfig {
        RunConfig { evaluation: EvaluationConfig { tokens, curve_tokens: 0, curve_points: 0, tasks: None }, ..config() }
    }

    #[test]
    fn windows_lie_inside_clusters_do_not_overlap_and_cover_the_split_evenly() {
        let windows = windows(&of_tokens(400), &manifest()).expect("enough");
        assert_eq!(windows.len(), 20);
        assert!(windows.windows(2).all(|pair| pair[1].start >= pair[0].start + 20));
        let manifest = manifest();
        for window in &windows {
            let cluster = &manifest.clusters[window.cluster];
            assert!(cluster.start <= window.start && window.start + 20 < cluster.end);
        }
        // Cluster `a` holds 700 of 2,000 tokens: 7 of 20 windows.
        assert_eq!(windows.iter().filter(|window| window.cluster == 0).count(), 7);
    }

    #[test]
    fn windows_start_where_sentences_start() {
        let sentences = CorpusManifest { window_alignment: 5, ..manifest() };
        assert!(windows(&of_tokens(400), &sentences).expect("enough").iter().all(|window| window.start % 5 == 0));
    }

    #[test]
    fn documents_shorter_than_a_window_are_measured_across_their_ends() {
        let mut short = manifest();
        let cluster =
            |i: u64| forescale_core::corpus::Cluster { name: i.to_string(), start: i * 10, end: (i + 1) * 10 };
        short.clusters = (0..200).map(cluster).collect();
        let windows = windows(&of_tokens(400), &short).expect("enough");
        assert!(windows.len() == 20 && windows.iter().all(|window| window.cluster as u64 == window.start / 10));
    }

    #[test]
    fn more_windows_than_there_are_is_refused_with_what_is_allowed() {
        // 34 windows in `a` (699 / 20), 64 in `b` (1,299 / 20); 99 across both.
        let error = windows(&of_tokens(4_000), &manifest()).expect_err("too many").to_string();
        assert!(error.contains("200 windows of 20 tokens, but the validation split has 99"), "{error}");
        assert!(error.contains("to 1980 or less"), "{error}");
        assert!(windows(&of_tokens(19), &manifest()).is_err());
    }

    #[test]
    fn the_digest_tells_evaluation_sets_apart() {
        let digest = |tokens| eval_set_digest(&of_tokens(tokens), &manifest());
        assert_eq!(digest(400), digest(401));
        assert_ne!(digest(400), digest(420));
        assert_ne!(digest(400), eval_set_digest(&of_tokens(400), &CorpusManifest { digest: "x".into(), ..manifest() }));
    }

    #[test]
    fn the_standard_error_is_that_of_clusters_worked_by_hand() {
        // Windows of 2 tokens with sums 2, 4 | 6: mean 2; cluster deviations (2+4) − 8 = −2 and 6 − 4 = 2;
        // √(4 + 4)/6 = 0.4714045.
        let at = |cluster| Window { start: 0, cluster };
        let loss = mean_loss(&[at(0), at(0), at(1)], &[2.0, 4.0, 6.0], 2);
        assert!((loss.mean - 2.0).abs() < 1e-12 && loss.tokens == 6);
        assert!((loss.standard_error.expect("three windows") - 0.471_404_5).abs() < 1e-7);
        // One cluster: each window by itself; deviations −2, 0, 2.
        let alone = mean_loss(&[at(0), at(0), at(0)], &[2.0, 4.0, 6.0], 2);
        assert!((alone.standard_error.expect("three windows") - 0.471_404_5).abs() < 1e-7);
        assert_eq!(mean_loss(&[at(0)], &[2.0], 2).standard_error, None);
    }

    #[test]
    fn bits_per_byte_follow_from_nats_per_token() {
        let loss = MeanLoss { mean: core::f64::consts::LN_2, standard_error: None, tokens: 6 };
        let metrics = metrics(loss, "set", &manifest());
        // ln 2 nats are one bit; a token of the fixture is two bytes.
        assert_eq!(metrics[1].name, "bits_per_byte");
        assert!((metrics[1].value - 0.5).abs() < 1e-12);
    }
}
