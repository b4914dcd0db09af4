//! Some of many, evenly.

/// Which of so many are kept for about `most` to remain, all where there are no more. Multiples of the golden ratio choose
/// them: a fixed stride would meet the period of a table that is sorted by size and budget.
pub(crate) fn kept(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let share = most as f64 / count.max(1) as f64;
    (0..count).filter(move |&index| (index as f64 * 0.618_033_988_749_894_9).fract() < share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_all_kept_and_many_are_kept_evenly() {
        assert_eq!(kept(5, 10).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        assert_eq!(kept(0, 10).count(), 0);
        let some: Vec<usize> = kept(1000, 100).collect();
        assert!((98..=102).contains(&some.len()), "{}", some.len());
        // Three distances at most lie between neighbours (Steinhaus): none above twice the mean.
        assert!(some.windows(2).all(|pair| pair[1] - pair[0] <= 21), "{some:?}");
    }
}
