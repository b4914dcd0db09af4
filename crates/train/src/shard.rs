//! How a batch is dealt to threads so that the result does not depend on how many there are.
//!
//! Parallelism lies across shards of a batch, never inside an operation: an operation is a plain loop, and a thread
//! runs forward and backward of its shard from end to end. How many shards there are follows from the number of
//! sequences alone, and gradients are added in the order of shards; so one thread and sixteen give the same bits.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

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

    /// Computes one value for each item and adds them up in order, each as soon as those before it are there; `None`
    /// without items. Threads take items one by one, so that few values wait: a shard's gradients are as large as the
    /// model.
    pub(crate) fn sum<I: Sync, T: Send>(
        &self,
        items: &[I],
        compute: impl Fn(&I) -> T + Sync,
        add: impl Fn(&mut T, T) + Sync,
    ) -> Option<T> {
        let Some(pool) = self.pool.as_ref().filter(|_| items.len() > 1) else {
            return items.iter().map(compute).reduce(|mut sum, value| {
                add(&mut sum, value);
                sum
            });
        };
        let next = AtomicUsize::new(0);
        let sum = Mutex::new(OrderedSum { added: 0, sum: None, waiting: BTreeMap::new() });
        pool.broadcast(|_| {
            while let Some((index, item)) = take(&next, items) {
                let value = compute(item);
                sum.lock().unwrap_or_else(PoisonError::into_inner).put(index, value, &add);
            }
        });
        sum.into_inner().unwrap_or_else(PoisonError::into_inner).sum
    }
}

fn take<'a, I>(next: &AtomicUsize, items: &'a [I]) -> Option<(usize, &'a I)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    items.get(index).map(|item| (index, item))
}

/// A sum of values that come in any order and are added in theirs.
struct OrderedSum<T> {
    added: usize,
    sum: Option<T>,
    waiting: BTreeMap<usize, T>,
}

impl<T> OrderedSum<T> {
    fn put(&mut self, index: usize, value: T, add: impl Fn(&mut T, T)) {
        self.waiting.insert(index, value);
        while let Some(value) = self.waiting.remove(&self.added) {
            match &mut self.sum {
                Some(sum) => add(sum, value),
                None => self.sum = Some(value),
            }
            self.added += 1;
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
    fn sums_are_in_order_whatever_finishes_first() {
        // Words put together tell their order; early items take longest, so that later ones have to wait.
        let items: Vec<u32> = (0..40).collect();
        let work = |x: &u32| (0..(40 - x) * 2000).fold(format!("{x} "), |text, _| std::hint::black_box(text));
        let on = |threads| Workers::start(threads).expect("threads").sum(&items, work, |sum, text| sum.push_str(&text));
        let expected: String = items.iter().map(|x| format!("{x} ")).collect();
        assert_eq!([on(1), on(3)], [Some(expected.clone()), Some(expected)]);
        assert_eq!(Workers::start(2).expect("threads").sum(&[], work, |_, _| ()), None);
    }

    #[test]
    fn order_does_not_depend_on_threads() {
        let items: Vec<u32> = (0..100).collect();
        let on = |threads| Workers::start(threads).expect("threads").map(&items, |x| x * 2);
        assert_eq!(on(1), on(3));
    }
}
