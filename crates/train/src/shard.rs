//! How a batch is dealt to threads so that the result does not depend on how many there are.
//!
//! Parallelism lies across shards of a batch, never inside an operation: an operation is a plain loop, and a thread
//! runs forward and backward of its shard from end to end. How many shards there are follows from the number of
//! sequences alone, and gradients are added in the order of shards; so one thread and sixteen give the same bits.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::TrainError;

/// Most shards of one batch; more threads than this do not help one run.
const MOST_SHARDS: usize = 16;

/// Sequences of each shard: as many shards as the largest power of two with at least two sequences each.
pub(crate) fn shards(sequences: usize) -> Vec<Range<usize>> {
    let halves = (sequences / 2).clamp(1, MOST_SHARDS);
    let count = 1 << halves.ilog2();
    (0..count).map(|index| index * sequences / count..(index + 1) * sequences / count).collect()
}

/// Threads that compute shards; with one thread, the caller's own.
pub(crate) struct Workers {
    pool: Option<rayon::ThreadPool>,
}

impl Workers {
    /// Starts so many threads; 0 counts as 1.
    pub(crate) fn start(threads: usize) -> Result<Self, TrainError> {
        if threads <= 1 {
            return Ok(Self { pool: None });
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .map_err(|error| TrainError::Threads { threads, problem: error.to_string() })?;
        Ok(Self { pool: Some(pool) })
    }

    /// Computes one value for each item, in order.
    pub(crate) fn map<I: Sync, T: Send>(&self, items: &[I], compute: impl Fn(&I) -> T + Sync + Send) -> Vec<T> {
        match &self.pool {
            Some(pool) if items.len() > 1 => pool.install(|| items.par_iter().with_max_len(1).map(compute).collect()),
            _ => items.iter().map(compute).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sequence_is_in_exactly_one_shard() {
        for sequences in 1..70 {
            let dealt: Vec<usize> = shards(sequences).into_iter().flatten().collect();
            assert_eq!(dealt, (0..sequences).collect::<Vec<_>>());
        }
    }

    #[test]
    fn shards_are_powers_of_two_of_two_sequences_or_more() {
        let count = |sequences| shards(sequences).len();
        assert_eq!([1, 2, 3, 4, 6, 8, 9, 12, 16, 1000].map(count), [1, 1, 1, 2, 2, 4, 4, 4, 8, 16]);
    }

    #[test]
    fn order_does_not_depend_on_threads() {
        let items: Vec<u32> = (0..100).collect();
        let on = |threads| Workers::start(threads).expect("threads").map(&items, |x| x * 2);
        assert_eq!(on(1), on(3));
    }
}
