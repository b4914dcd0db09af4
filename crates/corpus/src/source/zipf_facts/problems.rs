//! Problems of the knowledge base: the value of a fact, by the half decade of its rank.
//!
//! They ask for what training states, more or less often. The most that can be known of a value is that it is right with
//! probability 1 − ε, so that no model does better than ln(1 − ε).

use forescale_core::corpus::ZipfFactsSpec;
use forescale_core::math;
use forescale_core::problem::{Judge, Problem};

use super::law::Law;
use super::ranks;
use crate::draw::{distinct_below, stream};

/// Beside the streams of the law (0, 1) and of the sentences (from 2 on).
const PROBLEM_STREAM: u64 = u64::MAX;

/// So many facts of each half decade of ranks, or all where there are no more.
pub(super) fn problems(spec: &ZipfFactsSpec, law: &Law, per_bucket: u32) -> Vec<Problem> {
    let mut rng = stream(spec.seed, PROBLEM_STREAM);
    let mut problems = Vec::new();
    for (bucket, ranks) in (0..).zip(ranks::half_decades(spec.facts)) {
        let width = ranks.end() - ranks.start() + 1;
        for offset in distinct_below(&mut rng, per_bucket, width) {
            problems.push(problem(spec, law, (bucket, ranks::name(&ranks)), ranks.start() + offset));
        }
    }
    problems
}

fn problem(spec: &ZipfFactsSpec, law: &Law, (bucket, bucket_name): (u32, String), rank: u64) -> Problem {
    let index = usize::try_from(rank - 1).expect("facts fit in memory");
    Problem {
        task: "zipf_facts".into(),
        item: format!("rank-{rank}"),
        bucket,
        bucket_name,
        chance: 1.0 / f64::from(spec.vocabulary),
        ceiling_log_p: math::ln_1p(-spec.noise),
        prompt: super::digits(spec, law.ids[index]),
        answer: vec![law.values[index]],
        judge: Judge::Exact {},
    }
}
