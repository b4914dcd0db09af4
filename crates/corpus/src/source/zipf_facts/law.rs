//! The true law: how probable each fact is, what it is called, and what its value is.

use forescale_core::corpus::ZipfFactsSpec;
use forescale_core::math;
use rand_chacha::ChaCha8Rng;

use crate::draw::{below, shuffle, stream, uniform};

const ID_STREAM: u64 = 0;
const VALUE_STREAM: u64 = 1;

/// All of the law that does not change between sentences.
pub(crate) struct Law {
    /// Probability of ranks up to and including each, ending in 1.
    cumulative: Vec<f64>,
    /// Id of each rank.
    pub(crate) ids: Vec<u32>,
    /// Value of each rank.
    pub(crate) values: Vec<u32>,
    vocabulary: u32,
    key_digits: u32,
    noise: f64,
}

impl Law {
    pub(crate) fn new(spec: &ZipfFactsSpec) -> Self {
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
    pub(crate) fn draw_rank(&self, rng: &mut ChaCha8Rng) -> usize {
        let target = uniform(rng);
        let rank = self.cumulative.partition_point(|sum| *sum <= target);
        rank.min(self.cumulative.len() - 1)
    }

    /// The value of a rank, or by chance another.
    pub(crate) fn draw_value(&self, rank: usize, rng: &mut ChaCha8Rng) -> u32 {
        let value = self.values[rank];
        if uniform(rng) >= self.noise {
            return value;
        }
        (value + 1 + below(rng, self.vocabulary - 1)) % self.vocabulary
    }

    /// Probability of a rank, counted from 0.
    pub(crate) fn probability(&self, rank: usize) -> f64 {
        let before = rank.checked_sub(1).map_or(0.0, |before| self.cumulative[before]);
        self.cumulative[rank] - before
    }

    /// H in nats per token.
    pub(crate) fn entropy_rate(&self) -> f64 {
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

fn permutation(length: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut order: Vec<u32> = (0..length).collect();
    shuffle(&mut order, rng);
    order
}
