//! Exponential and logarithm without a branch, so that a compiler can work out eight at once.
//!
//! A fit spends most of its time in these two. Each is a polynomial after a range reduction, in `+ − × /` and integer
//! operations on bits alone: no table, no branch, no fused multiply–add. Every one of those is rounded as IEEE 754 says, so
//! that SSE2, AVX2, AVX-512 and NEON give the same bits, and one lane those of eight.
//!
//! The polynomials are the Taylor series themselves, cut where the next term is below a quarter of the last bit: a few
//! multiplications more than a minimax polynomial, and no coefficient that has to be believed. Errors, measured against
//! `libm` in the tests: one unit in the last place.

/// Lanes of one block.
pub const LANES: usize = 8;

/// One block of numbers.
pub type Lanes = [f64; LANES];

/// 3 × 2^51: adding it rounds to an integer and leaves that integer in the low bits.
const TO_INTEGER: f64 = 6_755_399_441_055_744.0;
/// ln 2 to 32 bits: its product with an exponent is exact.
const LN_2_HIGH: f64 = f64::from_bits(0x3fe6_2e42_fee0_0000);
/// ln 2 less its first 32 bits: 1.9082149292705877e-10.
const LN_2_LOW: f64 = f64::from_bits(0x3dea_39ef_3579_3c76);
/// Bits of √½, from which a mantissa is counted, so that it lies in [√½, √2).
const ROOT_HALF_BITS: u64 = 0x3fe6_a09e_667f_3bcd;
const ONE_BITS: u64 = 0x3ff0_0000_0000_0000;
const MANTISSA: u64 = 0x000f_ffff_ffff_ffff;

/// e^x of each lane.
#[inline(always)]
#[must_use]
pub fn exp(x: &Lanes) -> Lanes {
    let mut y = [0.0; LANES];
    for (out, &x) in y.iter_mut().zip(x) {
        *out = exp_lane(x);
    }
    y
}

/// ln x of each lane.
#[inline(always)]
#[must_use]
pub fn ln(x: &Lanes) -> Lanes {
    let mut y = [0.0; LANES];
    for (out, &x) in y.iter_mut().zip(x) {
        *out = ln_lane(x);
    }
    y
}

/// The sum of the lanes, in one fixed order.
#[inline(always)]
#[must_use]
pub fn sum(x: &Lanes) -> f64 {
    ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]))
}

/// e^x of one number: x = n ln 2 + r with |r| ≤ ½ ln 2, e^x = 2^n e^r. The scale is put on in two halves, so that a
/// result below the normal numbers is rounded and not lost.
#[inline(always)]
#[must_use]
pub fn exp_lane(x: f64) -> f64 {
    // Past these the result is 0 or infinite whatever x is; a NaN stays one.
    let x = if x > 720.0 { 720.0 } else { x };
    let x = if x < -760.0 { -760.0 } else { x };
    let n = (x * core::f64::consts::LOG2_E + TO_INTEGER) - TO_INTEGER;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    let half = n * 0.5 + TO_INTEGER;
    let rest = (n - (half - TO_INTEGER)) + TO_INTEGER;
    (exp_reduced(r) * power_of_two(half)) * power_of_two(rest)
}

/// 2^n for an integer n that stands in the low bits, from -1022 to 1023.
#[inline(always)]
fn power_of_two(n: f64) -> f64 {
    f64::from_bits(n.to_bits().wrapping_add(1023) << 52)
}

/// e^r for |r| ≤ ½ ln 2: r^k/k! to k = 13, the next being below 2^-57; even and odd powers apart, two short chains
/// where Horner's has one long one.
#[inline(always)]
fn exp_reduced(r: f64) -> f64 {
    let z = r * r;
    let z2 = z * z;
    let low = (1.0 / 2.0 + r * (1.0 / 6.0)) + z * (1.0 / 24.0 + r * (1.0 / 120.0));
    let middle = (1.0 / 720.0 + r * (1.0 / 5_040.0)) + z * (1.0 / 40_320.0 + r * (1.0 / 362_880.0));
    let high = (1.0 / 3_628_800.0 + r * (1.0 / 39_916_800.0)) + z * (1.0 / 479_001_600.0 + r * (1.0 / 6_227_020_800.0));
    let tail = low + z2 * (middle + z2 * high);
    1.0 + (r + z * tail)
}

/// ln x of one number: x = 2^k m with m in [√½, √2), ln x = k ln 2 + ln m.
///
/// With f = m − 1 and s = f/(2 + f), ln m = 2 artanh s = 2s + sR for R = 2s²/3 + 2s⁴/5 + …; as 2s = f − sf and
/// sf = f²/2 − sf²/2, that is f − (f²/2 − s(f²/2 + R)), whose leading term is exact.
#[inline(always)]
#[must_use]
pub fn ln_lane(x: f64) -> f64 {
    // Below the normal numbers there is no leading one to find: 2^54 of them lie among the normal ones.
    let is_small = x < f64::MIN_POSITIVE;
    let scaled = if is_small { x * 18_014_398_509_481_984.0 } else { x };
    let shifted = scaled.to_bits().wrapping_add(ONE_BITS - ROOT_HALF_BITS);
    // The exponent as a float, by writing it below the leading one of 2^52.
    let biased = f64::from_bits((shifted >> 52) | 0x4330_0000_0000_0000) - 4_503_599_627_370_496.0;
    let k = biased - if is_small { 1_077.0 } else { 1_023.0 };
    let f = f64::from_bits((shifted & MANTISSA).wrapping_add(ROOT_HALF_BITS)) - 1.0;
    let s = f / (2.0 + f);
    let half_square = 0.5 * f * f;
    let near = half_square - (s * (half_square + artanh_tail(s * s)) + k * LN_2_LOW);
    let y = k * LN_2_HIGH - (near - f);
    let y = if x < f64::INFINITY { y } else { x };
    let y = if x > 0.0 { y } else { f64::NAN };
    if x == 0.0 { f64::NEG_INFINITY } else { y }
}

/// ln(1 + x) of one number from 0 on: with u = 1 + x as it is rounded, ln u and what the rounding lost, relative to u.
#[inline(always)]
#[must_use]
pub fn ln_1p_lane(x: f64) -> f64 {
    let u = 1.0 + x;
    ln_lane(u) + (x - (u - 1.0)) / u
}

/// R of [`ln_lane`] for z = s² ≤ 0.0295: 2z^k/(2k + 1) to k = 10, the next being below 2^-58 of the whole.
#[inline(always)]
fn artanh_tail(z: f64) -> f64 {
    let z2 = z * z;
    let z4 = z2 * z2;
    let low = (2.0 / 3.0 + z * (2.0 / 5.0)) + z2 * (2.0 / 7.0 + z * (2.0 / 9.0));
    let middle = (2.0 / 11.0 + z * (2.0 / 13.0)) + z2 * (2.0 / 15.0 + z * (2.0 / 17.0));
    let high = 2.0 / 19.0 + z * (2.0 / 21.0);
    z * (low + z4 * (middle + z4 * high))
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "equal to the bit is what is tested")]
mod tests {
    use super::*;

    /// Distance in units in the last place of two numbers of one sign.
    fn ulps(a: f64, b: f64) -> u64 {
        a.to_bits().abs_diff(b.to_bits())
    }

    /// Numbers that cover a range without a pattern: steps of the golden ratio.
    fn spread(low: f64, high: f64, count: u32) -> impl Iterator<Item = f64> {
        (0..count).map(move |i| low + (high - low) * (f64::from(i) * 0.618_033_988_749_894_9).fract())
    }

    #[test]
    fn edges_of_the_exponential() {
        assert_eq!(exp_lane(0.0).to_bits(), 1.0_f64.to_bits());
        assert_eq!(exp_lane(-0.0).to_bits(), 1.0_f64.to_bits());
        assert!(exp_lane(f64::NAN).is_nan());
        assert_eq!(exp_lane(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp_lane(f64::NEG_INFINITY).to_bits(), 0.0_f64.to_bits());
        assert_eq!(exp_lane(1e300), f64::INFINITY);
        assert_eq!(exp_lane(-1e300).to_bits(), 0.0_f64.to_bits());
        assert_eq!(exp_lane(1e-320).to_bits(), 1.0_f64.to_bits());
        // The largest argument with a finite result, and the next: fdlibm's thresholds.
        assert!(exp_lane(709.782_712_893_383_9).is_finite());
        assert_eq!(exp_lane(709.782_712_893_384_1), f64::INFINITY);
        assert!(exp_lane(-745.133_219_101_941_1) > 0.0);
        assert_eq!(exp_lane(-745.2).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn edges_of_the_logarithm() {
        assert_eq!(ln_lane(1.0).to_bits(), 0.0_f64.to_bits());
        assert_eq!(ln_lane(0.0), f64::NEG_INFINITY);
        assert_eq!(ln_lane(-0.0), f64::NEG_INFINITY);
        assert!(ln_lane(-1.0).is_nan() && ln_lane(f64::NEG_INFINITY).is_nan() && ln_lane(f64::NAN).is_nan());
        assert_eq!(ln_lane(f64::INFINITY), f64::INFINITY);
        for x in [5e-324, 1e-310, f64::MIN_POSITIVE, f64::MAX, 0.5, 2.0, core::f64::consts::SQRT_2] {
            assert!(ulps(ln_lane(x), libm::log(x)) <= 1, "{x:e}: {:e} {:e}", ln_lane(x), libm::log(x));
        }
    }

    #[test]
    fn exponentials_agree_with_libm_to_a_unit_in_the_last_place() {
        for (low, high) in [(-708.0, 709.7), (-40.0, 40.0), (-1.0, 1.0), (-1e-5, 1e-5), (-745.0, -708.5)] {
            for x in spread(low, high, 200_000) {
                let (found, expected) = (exp_lane(x), libm::exp(x));
                assert!(ulps(found, expected) <= 1, "{x:e}: {found:e} {expected:e}");
            }
        }
    }

    #[test]
    fn logarithms_agree_with_libm_to_a_unit_in_the_last_place() {
        for exponent in [-1022.0, -300.0, -20.0, -1.0, 0.0, 1.0, 30.0, 1022.0] {
            for mantissa in spread(1.0, 2.0, 50_000) {
                let x = mantissa * libm::exp2(exponent);
                let (found, expected) = (ln_lane(x), libm::log(x));
                assert!(ulps(found, expected) <= 1, "{x:e}: {found:e} {expected:e}");
            }
        }
        for x in spread(0.9, 1.1, 200_000) {
            assert!(ulps(ln_lane(x), libm::log(x)) <= 1, "{x:e}");
        }
    }

    #[test]
    fn logarithms_of_one_and_more_agree_with_libm() {
        for exponent in [-1074.0, -300.0, -53.0, -20.0, -1.0] {
            for mantissa in spread(1.0, 2.0, 50_000) {
                let x = mantissa * libm::exp2(exponent);
                let (found, expected) = (ln_1p_lane(x), libm::log1p(x));
                assert!(ulps(found, expected) <= 2, "{x:e}: {found:e} {expected:e}");
            }
        }
        assert_eq!(ln_1p_lane(0.0).to_bits(), 0.0_f64.to_bits());
    }

    #[test]
    fn known_values_come_out() {
        // e, e^-10 and ln 10 to 17 digits and more (Abramowitz and Stegun, tables 1.1 and 4.4).
        assert!(ulps(exp_lane(1.0), core::f64::consts::E) <= 1);
        assert!(ulps(exp_lane(-10.0), 4.539_992_976_248_485e-5) <= 1);
        assert!(ulps(ln_lane(10.0), core::f64::consts::LN_10) <= 1);
    }

    #[test]
    fn a_block_is_its_lanes() {
        let x = [-3.0, -0.1, 0.0, 0.2, 1.0, 7.5, 300.0, -300.0];
        assert_eq!(exp(&x), x.map(exp_lane));
        let y = x.map(|x| x * x + 0.3);
        assert_eq!(ln(&y), y.map(ln_lane));
    }
}
