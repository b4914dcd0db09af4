//! How falling terms make a loss, and what that adds to its curvature.

use forescale_core::math::lanes::{self, LANES, Lanes};

use super::{Column, Local, Sums, TILE, Tile, add_product, block_of, product, subtract_product, triangle};

/// A loss made of falling terms.
pub(super) trait Shape {
    /// Parameters.
    const ROWS: usize;
    /// What a tile's second derivatives need beyond its gradients.
    type Curves;
    /// None of it yet.
    const NO_CURVES: Self::Curves;

    /// Residuals and gradients of a tile, in the kernel's own order.
    ///
    /// One short loop after another and not one long one: a processor looks some hundred instructions ahead, within which
    /// it finds several blocks of a short chain and hardly one of a long chain.
    fn predict(local: &Local, x: [&[f64]; 2], log_loss: &[f64], tile: (&mut Tile, &mut Self::Curves));

    /// Adds what Σ wψ ∇²f holds beyond −Σ wψ ggᵀ, which every logarithm of a loss has.
    fn add_curvature(x: [&[f64]; 2], tile: (&Tile, &Self::Curves), sums: &mut Sums);
}

/// One or two terms added, over a floor or over nothing.
pub(super) struct Sum<const TERMS: usize, const FLOOR: bool>;

impl<const TERMS: usize, const FLOOR: bool> Shape for Sum<TERMS, FLOOR> {
    const ROWS: usize = 2 * TERMS + FLOOR as usize;
    type Curves = ();
    const NO_CURVES: () = ();

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "one index for columns read and written")]
    fn predict(local: &Local, x: [&[f64]; 2], log_loss: &[f64], (tile, ()): (&mut Tile, &mut ())) {
        let count = log_loss.len().min(TILE);
        let (x, y, log_loss) = (&x[0][..count], &x[1][..count], &log_loss[..count]);
        let [g0, g1, g2, g3, g4, _] = &mut tile.gradient;
        for i in 0..count {
            g0[i] = lanes::exp_lane(local.log_amplitude[0] - local.exponent[0] * x[i]);
        }
        if TERMS == 2 {
            for i in 0..count {
                g1[i] = lanes::exp_lane(local.log_amplitude[1] - local.exponent[1] * y[i]);
            }
        }
        let loss = &mut tile.loss;
        for i in 0..count {
            loss[i] = local.floor + if TERMS == 2 { g0[i] + g1[i] } else { g0[i] };
            tile.residual[i] = lanes::ln_lane(loss[i]) - log_loss[i];
        }
        for i in 0..count {
            let inverse = 1.0 / loss[i];
            let first = g0[i] * inverse;
            g0[i] = first;
            if TERMS == 2 {
                let second = g1[i] * inverse;
                (g1[i], g2[i], g3[i], g4[i]) = (second, -x[i] * first, -y[i] * second, inverse);
            } else {
                (g1[i], g2[i]) = (-x[i] * first, inverse);
            }
        }
    }

    /// Of the exponents alone: what the amplitudes add is the gradient itself, and put there when all is added up.
    #[inline(always)]
    fn add_curvature(x: [&[f64]; 2], (tile, ()): (&Tile, &()), sums: &mut Sums) {
        for block in 0..x[0].len() / LANES {
            for term in 0..TERMS {
                // The exponent's gradient is -x s.
                let x = &x[term].as_chunks::<LANES>().0[block];
                let pulled = product(block_of(&tile.slope, block), x);
                subtract_product(&mut sums.exponent_bend[term], &pulled, block_of(&tile.gradient[TERMS + term], block));
            }
        }
    }
}

/// Two terms u and v joined as (u^{1/κ} + v^{1/κ})^κ, over a floor.
///
/// With p = ln u, q = ln v, t = (p − q)/κ and w the share of u^{1/κ} in their sum, the logarithm g of the joint term has
/// ∇g = (w, 1 − w, −xw, −y(1 − w), ∂g/∂κ) and ∇²g = w(1 − w)/κ ccᵀ with c = (1, −1, −x, y, −t). With s the joint term's
/// share of the loss, ln L has the gradient s∇g, and its second derivatives beyond −ggᵀ are s(∇²g + ∇g∇gᵀ).
pub(super) struct Joint;

/// Parameters of the joint term: all but the floor.
const JOINED: usize = 5;

/// What a tile's joint terms come to.
pub(super) struct JointTile {
    /// e^−|t|, then ln(1 + e^−|t|).
    fall: Column,
    rest: Column,
    /// s.
    share: Column,
    /// w(1 − w)/κ.
    bend: Column,
    /// ∇g.
    slope: [Column; JOINED],
    /// c.
    contrast: [Column; JOINED],
}

impl Shape for Joint {
    const ROWS: usize = JOINED + 1;
    type Curves = JointTile;
    const NO_CURVES: JointTile = JointTile {
        fall: [0.0; TILE],
        rest: [0.0; TILE],
        share: [0.0; TILE],
        bend: [0.0; TILE],
        slope: [[0.0; TILE]; JOINED],
        contrast: [[0.0; TILE]; JOINED],
    };

    #[inline(always)]
    #[allow(clippy::needless_range_loop, reason = "one index for columns read and written")]
    fn predict(local: &Local, x: [&[f64]; 2], log_loss: &[f64], (tile, curves): (&mut Tile, &mut JointTile)) {
        let count = log_loss.len().min(TILE);
        let (x, y, log_loss) = (&x[0][..count], &x[1][..count], &log_loss[..count]);
        let JointTile { fall, rest, share, bend, slope: [h0, h1, h2, h3, h4], contrast: [c0, c1, c2, c3, c4] } = curves;
        let kappa = local.kappa;
        let (loss, larger) = (&mut tile.loss, &mut tile.value);
        for i in 0..count {
            let p = local.log_amplitude[0] - local.exponent[0] * x[i];
            let q = local.log_amplitude[1] - local.exponent[1] * y[i];
            c4[i] = (q - p) / kappa;
            larger[i] = if p >= q { p } else { q };
        }
        for i in 0..count {
            fall[i] = lanes::exp_lane(-c4[i].abs());
        }
        for i in 0..count {
            rest[i] = lanes::ln_1p_lane(fall[i]);
        }
        for i in 0..count {
            share[i] = lanes::exp_lane(larger[i] + kappa * rest[i]);
        }
        for i in 0..count {
            loss[i] = local.floor + share[i];
            tile.residual[i] = lanes::ln_lane(loss[i]) - log_loss[i];
        }
        for i in 0..count {
            let large = 1.0 / (1.0 + fall[i]);
            let small = fall[i] * large;
            let is_first = c4[i] <= 0.0;
            let (first, second) = if is_first { (large, small) } else { (small, large) };
            bend[i] = large * small / kappa;
            (h0[i], h1[i], h2[i], h3[i]) = (first, second, -x[i] * first, -y[i] * second);
            h4[i] = rest[i] + small * c4[i].abs();
            (c0[i], c1[i], c2[i], c3[i]) = (1.0, -1.0, -x[i], y[i]);
        }
        let [g0, g1, g2, g3, g4, g5] = &mut tile.gradient;
        for i in 0..count {
            let inverse = 1.0 / loss[i];
            let own = share[i] * inverse;
            (share[i], g5[i]) = (own, inverse);
            (g0[i], g1[i], g2[i], g3[i], g4[i]) = (own * h0[i], own * h1[i], own * h2[i], own * h3[i], own * h4[i]);
        }
    }

    #[inline(always)]
    fn add_curvature(x: [&[f64]; 2], tile: (&Tile, &JointTile), sums: &mut Sums) {
        let blocks = x[0].len() / LANES;
        curve_row::<0>(blocks, tile, sums);
        curve_row::<1>(blocks, tile, sums);
        curve_row::<2>(blocks, tile, sums);
        curve_row::<3>(blocks, tile, sums);
        curve_row::<4>(blocks, tile, sums);
    }
}

/// One row of Σ wψ s (∇g∇gᵀ + w(1 − w)/κ ccᵀ).
#[inline(always)]
fn curve_row<const ROW: usize>(blocks: usize, (tile, curves): (&Tile, &JointTile), sums: &mut Sums) {
    let first = triangle(ROW, 0);
    let mut row = [[0.0; LANES]; JOINED];
    row[..=ROW].copy_from_slice(&sums.newton[first..=first + ROW]);
    for block in 0..blocks.min(TILE / LANES) {
        let pulled = product(block_of(&tile.slope, block), block_of(&curves.share, block));
        let by_slope = product(&pulled, block_of(&curves.slope[ROW], block));
        let by_bend = product(&pulled, block_of(&curves.bend, block));
        let by_contrast: Lanes = product(&by_bend, block_of(&curves.contrast[ROW], block));
        for (column, sum) in row[..=ROW].iter_mut().enumerate() {
            add_product(sum, &by_slope, block_of(&curves.slope[column], block));
            add_product(sum, &by_contrast, block_of(&curves.contrast[column], block));
        }
    }
    sums.newton[first..=first + ROW].copy_from_slice(&row[..=ROW]);
}
