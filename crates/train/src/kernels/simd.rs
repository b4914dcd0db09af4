//! Which vector instructions the hand-written loops use, chosen when the program runs.
//!
//! The workspace is built for baseline x86-64 so that one binary runs anywhere; a loop compiled for that uses four
//! lanes and no fused multiply-add. Each hot loop is therefore written once, as an inlined body, and compiled three
//! times by [`multiversion!`]. The level changes the last bits of results (fused multiply-add rounds once), so it is
//! part of every record.

/// The widest vector instructions in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SimdLevel {
    /// AVX-512 F, VL, BW and DQ.
    Avx512,
    /// AVX2 and FMA.
    Avx2,
    /// What the build was made for.
    Scalar,
}

impl SimdLevel {
    /// The level of this machine; the answer is cached by the standard library.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn detect() -> Self {
        use std::arch::is_x86_feature_detected as has;
        if has!("avx512f") && has!("avx512vl") && has!("avx512bw") && has!("avx512dq") && has!("fma") {
            Self::Avx512
        } else if has!("avx2") && has!("fma") {
            Self::Avx2
        } else {
            Self::Scalar
        }
    }

    /// The level of this machine.
    #[cfg(not(target_arch = "x86_64"))]
    pub(crate) fn detect() -> Self {
        Self::Scalar
    }

    /// The name in records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Avx512 => "avx512",
            Self::Avx2 => "avx2",
            Self::Scalar => "scalar",
        }
    }
}

/// Compiles `body::<FUSED>` for each [`SimdLevel`] and defines a function that calls the right one.
///
/// The body must be `#[inline(always)]` and generic over `const FUSED: bool`, which says whether a fused multiply-add
/// is one instruction (see [`madd`]).
macro_rules! multiversion {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) = $body:ident) => {
        $(#[$doc])*
        $visibility fn $name($($arg: $ty),*) {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            fn avx512($($arg: $ty),*) {
                $body::<true>($($arg),*);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) {
                $body::<true>($($arg),*);
            }
            match $crate::kernels::simd::SimdLevel::detect() {
                // SAFETY: `detect` found every feature that the function was compiled with.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::simd::SimdLevel::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernels::simd::SimdLevel::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body::<false>($($arg),*),
            }
        }
    };
}
pub(crate) use multiversion;

/// Lanes that reductions and elementwise loops are written in.
pub(crate) const LANES: usize = 16;

/// a·b + c, rounded once where that is one instruction.
#[inline(always)]
pub(crate) fn madd<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The dot product, in [`LANES`] sums that are added in a fixed order.
#[inline(always)]
pub(crate) fn dot<const FUSED: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (x, y) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] = madd::<FUSED>(x[lane], y[lane], sums[lane]);
        }
    }
    // A loop, not a fold: a closure would be compiled without the vector instructions of its caller.
    let mut rest = 0.0;
    for (x, y) in a_rest.iter().zip(b_rest) {
        rest = madd::<FUSED>(*x, *y, rest);
    }
    add_lanes(&sums) + rest
}

/// The largest value; −∞ for none.
#[inline(always)]
pub(crate) fn largest(values: &[f32]) -> f32 {
    let mut best = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            best[lane] = if chunk[lane] > best[lane] { chunk[lane] } else { best[lane] };
        }
    }
    best.iter().chain(rest).fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

/// Replaces each x by exp(x − shift) and returns the sum.
#[inline(always)]
pub(crate) fn exp_in_place<const FUSED: bool>(values: &mut [f32], shift: f32) -> f32 {
    let mut sums = [0.0f32; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            chunk[lane] = exp::<FUSED>(chunk[lane] - shift);
            sums[lane] += chunk[lane];
        }
    }
    let mut sum = add_lanes(&sums);
    for value in rest {
        *value = exp::<FUSED>(*value - shift);
        sum += *value;
    }
    sum
}

#[inline(always)]
fn add_lanes(sums: &[f32; LANES]) -> f32 {
    let mut half = [0.0f32; LANES / 2];
    for lane in 0..LANES / 2 {
        half[lane] = sums[lane] + sums[lane + LANES / 2];
    }
    half.iter().sum()
}

/// exp(x) to about one unit in the last place, without a branch, so that loops over it use vectors.
///
/// # Formula
///
/// exp(x) = 2ⁿ · exp(r) with n = round(x / ln 2), |r| ≤ ln 2 / 2, and exp(r) by the polynomial of degree 5 with the
/// smallest relative error there (7.5e-8, by Remez exchange; constant term taken as 1). ln 2 is taken in two parts, so
/// that n · ln 2 is exact enough. Below −87 the result is 0; above 88 it stays at exp(88); NaN stays NaN.
#[inline(always)]
pub(crate) fn exp<const FUSED: bool>(x: f32) -> f32 {
    // Adding 1.5 · 2²³ rounds to the nearest whole number and leaves it in the low bits of the significand.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_145_75;
    const LN2_LOW: f32 = 1.428_606_8e-6;
    let capped = if x > 88.0 { 88.0 } else { x };
    let shifted = madd::<FUSED>(capped, core::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = madd::<FUSED>(n, -LN2_LOW, madd::<FUSED>(n, -LN2_HIGH, capped));
    let mut series = 0.008_297_655;
    for coefficient in [0.041_915_383, 0.166_675_75, 0.499_988_95, 0.999_999_7, 1.0] {
        series = madd::<FUSED>(series, r, coefficient);
    }
    let power = f32::from_bits(shifted.to_bits().wrapping_add(127) << 23);
    if x < -87.0 { 0.0 } else { series * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_agrees_with_libm_over_its_range() {
        for step in -8700..8800 {
            let x = step as f32 * 0.01;
            let exact = libm::exp(f64::from(x));
            for ours in [exp::<true>(x), exp::<false>(x)] {
                assert!((f64::from(ours) / exact - 1.0).abs() < 4e-7, "{x}: {ours} {exact}");
            }
        }
    }

    #[test]
    fn exp_is_zero_far_below_and_finite_far_above() {
        assert!(exp::<true>(-1e30) <= 0.0 && exp::<true>(f32::NEG_INFINITY) <= 0.0);
        assert!(exp::<true>(1e30).is_finite());
        assert!(exp::<true>(f32::NAN).is_nan());
    }

    #[test]
    fn reductions_take_the_rest_after_whole_chunks() {
        let values: Vec<f32> = (0..37u8).map(f32::from).collect();
        // Σ i² for i < 37 = 36·37·73/6 = 16206.
        assert!((dot::<false>(&values, &values) - 16206.0).abs() < 1e-3);
        assert!((largest(&values) - 36.0).abs() < 1e-6);
        assert!(largest(&[]) < f32::MIN);
    }
}
