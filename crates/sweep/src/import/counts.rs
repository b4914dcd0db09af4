//! What the N of a table counts, as far as its own columns tell.

use forescale_core::count::{CountingRule, FlopsRule};
use forescale_core::observation::{Observation, Training};

/// How far a size may lie from a count and still be it: published ones are rounded.
const ROUNDED: f64 = 0.01;

type Count = fn(&Training) -> Option<f64>;

/// Counts in the order in which they are tried.
const COUNTS: [(CountingRule, Count); 3] = [
    (CountingRule::Total, |told| told.total_params),
    (CountingRule::NonEmbedding, |told| Some(told.total_params? - told.embedding_params? - told.head_params?)),
    (CountingRule::Matmul, |told| Some(told.total_params? - told.embedding_params?)),
];

/// The rule that N follows in every row; [`CountingRule::Column`] where the other columns tell none. Kaplan's count of C is
/// that of his N.
pub(super) fn params_rule(observations: &[Observation], flops_rule: FlopsRule) -> CountingRule {
    let follows = |count: Count| {
        observations
            .iter()
            .all(|one| count(&one.training).is_some_and(|counted| (one.params / counted - 1.0).abs() <= ROUNDED))
    };
    let told = COUNTS.into_iter().find(|(_, count)| follows(*count)).map(|(rule, _)| rule);
    let by_flops = if flops_rule == FlopsRule::Kaplan { CountingRule::NonEmbedding } else { CountingRule::Column };
    told.unwrap_or(by_flops)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(params: f64, head_params: Option<f64>) -> Observation {
        let training =
            Training { total_params: Some(1000.0), embedding_params: Some(300.0), head_params, ..Training::default() };
        Observation { training, ..Observation::bare("a", params, 1e4, 6.0 * params * 1e4, 3.0) }
    }

    #[test]
    fn what_n_counts_is_told_by_the_columns_beside_it_and_by_nothing_else() {
        let of = |params: f64, head| params_rule(&[run(params, head)], FlopsRule::SixNd);
        assert_eq!(of(1000.0, None), CountingRule::Total);
        assert_eq!(of(703.0, None), CountingRule::Matmul);
        assert_eq!(of(500.0, Some(200.0)), CountingRule::NonEmbedding);
        assert_eq!(of(900.0, Some(200.0)), CountingRule::Column);
        assert_eq!(params_rule(&[run(1000.0, None), run(900.0, None)], FlopsRule::SixNd), CountingRule::Column);
    }

    #[test]
    fn a_table_that_counts_by_kaplans_rule_has_his_size() {
        let bare = Observation::bare("a", 1e6, 2e7, 1.2e14, 3.0);
        assert_eq!(params_rule(std::slice::from_ref(&bare), FlopsRule::Kaplan), CountingRule::NonEmbedding);
        assert_eq!(params_rule(&[bare], FlopsRule::SixNd), CountingRule::Column);
    }
}
