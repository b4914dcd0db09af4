//! The true law: how probable each fact is, what it is called, and what its value is.

use forescale_core::corpus::ZipfFactsSpec;
use forescale_core::math;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

const ID_STREAM: u64 = 0;
const VALUE_STREAM: u64 = 1;

/// All of the law that does not change between sentences.
pub(super) struct Law {
    /// Probability of ranks up to and including each, ending in 1.
    cumulative: Vec<f64>,
    /// Id of each rank.
    pub(super) ids: Vec<u32>,
    /// Value of each rank.
    pub(super) values: Vec<u32>,
    vocabulary: u32,
    key_digits: u32,
    noise: f64,
}

impl Law {
    pub(super) fn new(spec: &ZipfFactsSpec) -> Self {
        let facts = u32::try_from(spec.facts).expect("the spec was checked");
        let mut values = stream(spec.seed, VALUE_STREAM);
        Self {
            cumulative: cumulative(facts, spec.exponent),
            ids: permutation(facts, &mut stream(spec.seed, ID_STREAM)),
            values: (0..facts).map(|_| below(&mut values, spec.vocabulary)).collect(),
            vocabulary: spec.vocabulary,
            key_digits: spec.key_digits,
            noise: spec.noise,
        }
    }

    /// A rank, counted from 0.
    pub(super) fn draw_rank(&self, rng: &mut ChaCha8Rng) -> usize {
        let target = uniform(rng);
        let rank = self.cumulative.partition_point(|sum| *sum <= target);
        rank.min(self.cumulative.len() - 1)
    }

    /// The value of a rank, or by chance another.
    pub(super) fn draw_value(&self, rank: usize, rng: &mut ChaCha8Rng) -> u32 {
        let value = self.values[rank];
        if uniform(rng) >= self.noise {
            return value;
        }
        (value + 1 + below(rng, self.vocabulary - 1)) % self.vocabulary
    }

    /// Probability of a rank, counted from 0.
    pub(super) fn probability(&self, rank: usize) -> f64 {
        let before = rank.checked_sub(1).map_or(0.0, |before| self.cumulative[before]);
        self.cumulative[rank] - before
    }

    /// H in nats per token.
    pub(super) fn entropy_rate(&self) -> f64 {
        let ranks = 0..self.cumulative.len();
        let of_facts: f64 = ranks.map(|rank| minus_p_ln_p(self.probability(rank))).sum();
        let of_noise = minus_p_ln_p(self.noise) + minus_p_ln_p(1.0 - self.noise);
        let of_others = self.noise * math::ln(f64::from(self.vocabulary - 1));
        (of_facts + of_noise + of_others) / f64::from(self.key_digits + 1)
    }
}

fn minus_p_ln_p(p: f64) -> f64 {
    if p > 0.0 { -p * math::ln(p) } else { 0.0 }
}

fn cumulative(facts: u32, exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    let mut sums: Vec<f64> = Vec::with_capacity(facts as usize);
    for rank in 1..=facts {
        sum += math::pow(f64::from(rank), -exponent);
        sums.push(sum);
    }
    sums.iter_mut().for_each(|value| *value /= sum);
    sums
}

/// Fisher and Yates.
fn permutation(length: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..length).collect();
    for last in (1..length).rev() {
        order.swap(last as usize, below(rng, last + 1) as usize);
    }
    order
}

/// An independent stream of one seed.
pub(super) fn stream(seed: u64, number: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(number);
    rng
}

/// Uniform in [0, 1), 53 bits. Written out, so that no library's change of method changes a corpus.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Uniform below a bound; off by less than 2^-32 of a probability, from 64 bits.
fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    let wide = u128::from(rng.next_u64()) * u128::from(bound);
    u32::try_from(wide >> 64).expect("less than the bound")
}
