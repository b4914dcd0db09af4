//! Seeded initial weights: one random stream per tensor name, so that no tensor depends on the order of the others.

use forescale_core::digest::sha256_hex;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};

/// A generator for one purpose of a run, told apart from all others by name.
pub(crate) fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let digest = sha256_hex(name.as_bytes());
    rng.set_stream(u64::from_str_radix(&digest[..16], 16).expect("a digest is hexadecimal"));
    rng
}

/// Normal deviates with mean 0.
///
/// # Formula
///
/// Box and Muller (1958): √(−2 ln u₁) · (cos 2πu₂, sin 2πu₂), with u₁ ∈ (0, 1] and u₂ ∈ \[0, 1) of 53 bits each.
/// Logarithm and cosine are those of `libm`, so that every machine starts from the same weights.
pub(crate) fn normal(seed: u64, name: &str, count: usize, standard_deviation: f64) -> Vec<f32> {
    let mut rng = stream(seed, name);
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - unit(&mut rng))) * standard_deviation;
        let angle = 2.0 * core::f64::consts::PI * unit(&mut rng);
        values.push((radius * libm::cos(angle)) as f32);
        values.push((radius * libm::sin(angle)) as f32);
    }
    values.truncate(count);
    values
}

/// Uniform on \[0, 1), 53 bits.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviates_have_the_moments_of_a_normal_distribution() {
        let values = normal(7, "a tensor", 40_000, 0.5);
        let mean = |power: i32| values.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / values.len() as f64;
        // Standard errors: σ/√n = 0.0025; σ²·√(2/n) = 0.0018; fourth moment 3σ⁴ = 0.1875 ± σ⁴·√(96/n) = 0.003.
        assert!(mean(1).abs() < 0.01, "{}", mean(1));
        assert!((mean(2) - 0.25).abs() < 0.008, "{}", mean(2));
        assert!((mean(4) - 0.1875).abs() < 0.012, "{}", mean(4));
    }

    #[test]
    fn a_stream_depends_on_seed_and_name_alone() {
        assert_eq!(normal(1, "a", 5, 1.0), normal(1, "a", 5, 1.0));
        assert_eq!(normal(1, "a", 4, 1.0), normal(1, "a", 5, 1.0)[..4]);
        assert_ne!(normal(1, "a", 5, 1.0), normal(2, "a", 5, 1.0));
        assert_ne!(normal(1, "a", 5, 1.0), normal(1, "b", 5, 1.0));
    }
}
