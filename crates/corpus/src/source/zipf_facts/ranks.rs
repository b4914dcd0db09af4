//! Ranks by half decade: the difficulty of a fact is how rarely it is said.

use std::ops::RangeInclusive;

/// Half decades of ranks from 1 to a number of facts: 1–10, 11–31, 32–100, 101–316, …
///
/// Bounds are ⌊10^(1 + i/2)⌋, worked out in whole numbers.
pub(crate) fn half_decades(facts: u64) -> Vec<RangeInclusive<u64>> {
    let mut buckets = Vec::new();
    let (mut first, mut square) = (1, 100_u128);
    while first <= facts {
        let bound = u64::try_from(square.isqrt()).unwrap_or(u64::MAX);
        buckets.push(first..=bound.min(facts));
        (first, square) = (bound.saturating_add(1), square.saturating_mul(10));
    }
    buckets
}

/// What a half decade is called.
pub(crate) fn name(ranks: &RangeInclusive<u64>) -> String {
    format!("ranks {}–{}", ranks.start(), ranks.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_the_powers_of_the_root_of_ten() {
        // 10, 31.6, 100, 316.2, 1000, 3162.3, and the facts there are.
        let names: Vec<String> = half_decades(5_000).iter().map(name).collect();
        let expected = ["1–10", "11–31", "32–100", "101–316", "317–1000", "1001–3162", "3163–5000"];
        assert_eq!(names, expected.map(|ranks| format!("ranks {ranks}")));
    }

    #[test]
    fn few_facts_are_one_bucket_and_none_are_none() {
        assert_eq!(half_decades(0), []);
        assert_eq!(half_decades(1), [1..=1]);
        assert_eq!(half_decades(10), [1..=10]);
        assert_eq!(half_decades(11), [1..=10, 11..=11]);
    }
}
