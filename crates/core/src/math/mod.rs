//! Elementary and statistical functions whose results are the same on every machine.
//!
//! The standard library's `f64::exp` and its like call the platform's C library, whose last bits differ between
//! systems; these go through `libm`, compiled with us. Square roots are exact by IEEE 754 and need no wrapper.

mod gamma;
pub mod lanes;

pub use gamma::{digamma, log_gamma, trigamma};

/// e^x.
#[must_use]
pub fn exp(x: f64) -> f64 {
    libm::exp(x)
}

/// e^x − 1 without cancellation near zero.
#[must_use]
pub fn exp_m1(x: f64) -> f64 {
    libm::expm1(x)
}

/// Natural logarithm.
#[must_use]
pub fn ln(x: f64) -> f64 {
    libm::log(x)
}

/// ln(1 + x) without cancellation near zero.
#[must_use]
pub fn ln_1p(x: f64) -> f64 {
    libm::log1p(x)
}

/// Logarithm to base 10.
#[must_use]
pub fn log10(x: f64) -> f64 {
    libm::log10(x)
}

/// Logarithm to base 2.
#[must_use]
pub fn log2(x: f64) -> f64 {
    libm::log2(x)
}

/// x^y.
#[must_use]
pub fn pow(x: f64, y: f64) -> f64 {
    libm::pow(x, y)
}

/// Sine of an angle in radians.
#[must_use]
pub fn sin(x: f64) -> f64 {
    libm::sin(x)
}

/// Cosine of an angle in radians.
#[must_use]
pub fn cos(x: f64) -> f64 {
    libm::cos(x)
}

/// Hyperbolic tangent.
#[must_use]
pub fn tanh(x: f64) -> f64 {
    libm::tanh(x)
}

/// Probability that a standard normal variable is at most `x`.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / core::f64::consts::SQRT_2)
}

/// The standard normal quantile of a probability in (0, 1).
#[must_use]
pub fn normal_quantile(p: f64) -> f64 {
    invert(normal_cdf, p, 40.0)
}

/// Probability that a Student t variable with `degrees` degrees of freedom is at most `x`.
#[must_use]
pub fn student_t_cdf(x: f64, degrees: f64) -> f64 {
    let tail = 0.5 * incomplete_beta(0.5 * degrees, 0.5, degrees / (degrees + x * x));
    if x > 0.0 { 1.0 - tail } else { tail }
}

/// The quantile of a Student t variable at a probability in (0, 1).
#[must_use]
pub fn student_t_quantile(p: f64, degrees: f64) -> f64 {
    invert(|x| student_t_cdf(x, degrees), p, 1e9)
}

/// Regularised incomplete beta function I_x(a, b), for a, b > 0 and x in [0, 1].
///
/// By its continued fraction (Abramowitz and Stegun 26.5.8), evaluated by the modified Lentz method.
#[must_use]
pub fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let log_front = libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b) + a * ln(x) + b * ln_1p(-x);
    if x < (a + 1.0) / (a + b + 2.0) {
        exp(log_front) * beta_fraction(a, b, x) / a
    } else {
        1.0 - exp(log_front) * beta_fraction(b, a, 1.0 - x) / b
    }
}

fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for m in 1..300 {
        let m = f64::from(m);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        for term in [even, odd] {
            d = 1.0 / away(1.0 + term * d);
            c = away(1.0 + term / c);
            fraction *= c * d;
        }
        if (c * d - 1.0).abs() < 1e-16 {
            break;
        }
    }
    fraction
}

/// The point where a rising function symmetric about (0, 1/2) reaches `p`, by bisection.
fn invert(cdf: impl Fn(f64) -> f64, p: f64, bound: f64) -> f64 {
    let tail = p.min(1.0 - p);
    let (mut low, mut high) = (-1.0, 0.0);
    while cdf(low) > tail && low > -bound {
        high = low;
        low *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if cdf(middle) < tail { low = middle } else { high = middle }
    }
    let x = 0.5 * (low + high);
    if p < 0.5 { x } else { -x }
}

/// The least and the largest of numbers; `None` of nothing.
#[must_use]
pub fn range(values: impl IntoIterator<Item = f64>) -> Option<[f64; 2]> {
    values.into_iter().fold(None, |range, value| match range {
        None => Some([value, value]),
        Some([low, high]) => Some([value.min(low), value.max(high)]),
    })
}

/// The middle value, or the mean of the two middle ones; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = *sorted.get(sorted.len() / 2)?;
    Some(if sorted.len() % 2 == 1 { upper } else { 0.5 * (sorted[sorted.len() / 2 - 1] + upper) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(value: f64, expected: f64) {
        assert!((value - expected).abs() <= 1e-10 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    #[test]
    fn normal_quantiles_are_those_of_the_tables() {
        // Abramowitz and Stegun, table 26.5: z(0.975), z(0.95).
        close(normal_quantile(0.975), 1.959_963_984_540_054);
        close(normal_quantile(0.05), -1.644_853_626_951_472_7);
        assert!(normal_quantile(0.5).abs() < 1e-15);
    }

    #[test]
    fn student_quantiles_are_those_of_the_tables() {
        // One degree is Cauchy: tan(0.45 pi). Two degrees: sqrt(2) (2p - 1) / sqrt(2 p (1 - p)) * ... = 2.919985580.
        close(student_t_quantile(0.95, 1.0), 6.313_751_514_675_043);
        close(student_t_quantile(0.95, 2.0), 2.919_985_580_353_725_7);
        // Abramowitz and Stegun, table 26.10: t(0.975; 10) = 2.228138852.
        close(student_t_quantile(0.975, 10.0), 2.228_138_851_964_938_5);
    }

    #[test]
    fn incomplete_beta_of_small_integers_is_a_polynomial() {
        // I_x(2, 3) = 6 x^2 - 8 x^3 + 3 x^4.
        close(incomplete_beta(2.0, 3.0, 0.3), 6.0 * 0.09 - 8.0 * 0.027 + 3.0 * 0.0081);
        close(incomplete_beta(2.0, 3.0, 0.0), 0.0);
        close(incomplete_beta(2.0, 3.0, 1.0), 1.0);
    }

    #[test]
    fn the_median_of_an_even_count_is_between_the_middle_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }
}
