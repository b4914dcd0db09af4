//! Seeded draws, written out, so that no library's change of method changes a corpus.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// An independent stream of one seed.
pub(crate) fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// Uniform in [0, 1), 53 bits.
pub(crate) fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Uniform below a bound; off by less than 2^-32 of a probability where the bound fits 32 bits, from 64 bits.
pub(crate) fn below_u64(rng: &mut ChaCha8Rng, bound: u64) -> u64 {
    let wide = u128::from(rng.next_u64()) * u128::from(bound);
    u64::try_from(wide >> 64).expect("less than the bound")
}

/// [`below_u64`] of a small bound.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    u32::try_from(below_u64(rng, u64::from(bound))).expect("less than the bound")
}

/// A lower-case letter of the first so many.
pub(crate) fn letter(rng: &mut ChaCha8Rng, letters: u32) -> u8 {
    b'a' + u8::try_from(below(rng, letters)).expect("at most 26 letters")
}

/// One of these.
pub(crate) fn choose<'a, T>(rng: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[below(rng, u32::try_from(from.len()).expect("fits in memory")) as usize]
}

/// Fisher and Yates.
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below_u64(rng, last as u64 + 1) as usize);
    }
}

/// So many different numbers below a bound, rising; all of them where there are no more.
pub(crate) fn distinct_below(rng: &mut ChaCha8Rng, count: u32, bound: u64) -> Vec<u64> {
    if u64::from(count) >= bound {
        return (0..bound).collect();
    }
    // Floyd 1978: each set is equally likely, with one draw a number.
    let mut chosen = std::collections::BTreeSet::new();
    for top in bound - u64::from(count)..bound {
        let drawn = below_u64(rng, top + 1);
        if !chosen.insert(drawn) {
            chosen.insert(top);
        }
    }
    chosen.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinct_numbers_are_as_many_as_asked_for_and_in_range() {
        let mut rng = stream(1, 0);
        assert_eq!(distinct_below(&mut rng, 5, 5), [0, 1, 2, 3, 4]);
        assert_eq!(distinct_below(&mut rng, 9, 3), [0, 1, 2]);
        assert_eq!(distinct_below(&mut rng, 0, 3), [0_u64; 0]);
        let some = distinct_below(&mut rng, 500, 1_000);
        assert_eq!(some.len(), 500);
        assert!(some.windows(2).all(|pair| pair[0] < pair[1]) && some[499] < 1_000);
    }

    #[test]
    fn each_pair_of_four_is_drawn_equally_often() {
        // Six pairs, 6000 draws: 1000 each, standard deviation √(6000 · 1/6 · 5/6) = 28.9.
        let mut rng = stream(2, 0);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            *counts.entry(distinct_below(&mut rng, 2, 4)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|count| (880..1_120).contains(count)), "{counts:?}");
    }
}
