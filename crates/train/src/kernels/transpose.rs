//! Between rows of a head and its transpose, in tiles of eight by eight.
//!
//! Compilers turn a transposing loop into one load and one store per number, which took a third of the backward pass
//! of attention; eight rows at a time through vector registers take a tenth of that.

use super::product::{Rows, RowsMut};

const TILE: usize = 8;

/// out\[c\]\[r\] = in\[r\]\[c\] for `rows` rows and `columns` columns of the input.
#[inline(always)]
#[expect(clippy::needless_pass_by_value, reason = "a view, as its neighbours are")]
pub(crate) fn transpose<const FUSED: bool>(rows: usize, columns: usize, from: Rows<'_>, to: RowsMut<'_>) {
    let (whole_rows, whole_columns) = (rows - rows % TILE, columns - columns % TILE);
    for row in (0..whole_rows).step_by(TILE) {
        for column in (0..whole_columns).step_by(TILE) {
            let tile = read_tile(&from.values[row * from.stride + column..], from.stride);
            write_tile(turned::<FUSED>(tile), &mut to.values[column * to.stride + row..], to.stride);
        }
    }
    for row in 0..rows {
        let first = if row < whole_rows { whole_columns } else { 0 };
        for column in first..columns {
            to.values[column * to.stride + row] = from.values[row * from.stride + column];
        }
    }
}

type Tile = [[f32; TILE]; TILE];

#[inline(always)]
fn read_tile(values: &[f32], stride: usize) -> Tile {
    let mut tile = [[0.0; TILE]; TILE];
    for (index, row) in tile.iter_mut().enumerate() {
        row.copy_from_slice(&values[index * stride..][..TILE]);
    }
    tile
}

#[inline(always)]
fn write_tile(tile: Tile, values: &mut [f32], stride: usize) {
    for (index, row) in tile.iter().enumerate() {
        values[index * stride..][..TILE].copy_from_slice(row);
    }
}

#[inline(always)]
fn turned<const FUSED: bool>(tile: Tile) -> Tile {
    #[cfg(target_arch = "x86_64")]
    if FUSED {
        // SAFETY: bodies are compiled with `FUSED` only where AVX2 was found (see `multiversion!`).
        return unsafe { turned_avx(&tile) };
    }
    let mut out = tile;
    for (row, values) in tile.iter().enumerate() {
        for (column, value) in values.iter().enumerate() {
            out[column][row] = *value;
        }
    }
    out
}

/// The three rounds of a transpose: pairs, then pairs of pairs, then halves.
///
/// # Safety
///
/// The processor must have AVX.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn turned_avx(tile: &Tile) -> Tile {
    use std::arch::x86_64::{
        _mm256_loadu_ps, _mm256_permute2f128_ps, _mm256_shuffle_ps, _mm256_storeu_ps, _mm256_unpackhi_ps,
        _mm256_unpacklo_ps,
    };
    let mut out = [[0.0; TILE]; TILE];
    // SAFETY: the caller has AVX; each load and store covers one row of eight.
    unsafe {
        let load = |row: usize| _mm256_loadu_ps(tile[row].as_ptr());
        let (r0, r1, r2, r3) = (load(0), load(1), load(2), load(3));
        let (r4, r5, r6, r7) = (load(4), load(5), load(6), load(7));
        let (p0, p1) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
        let (p2, p3) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
        let (p4, p5) = (_mm256_unpacklo_ps(r4, r5), _mm256_unpackhi_ps(r4, r5));
        let (p6, p7) = (_mm256_unpacklo_ps(r6, r7), _mm256_unpackhi_ps(r6, r7));
        let (q0, q1) = (_mm256_shuffle_ps::<0x44>(p0, p2), _mm256_shuffle_ps::<0xee>(p0, p2));
        let (q2, q3) = (_mm256_shuffle_ps::<0x44>(p1, p3), _mm256_shuffle_ps::<0xee>(p1, p3));
        let (q4, q5) = (_mm256_shuffle_ps::<0x44>(p4, p6), _mm256_shuffle_ps::<0xee>(p4, p6));
        let (q6, q7) = (_mm256_shuffle_ps::<0x44>(p5, p7), _mm256_shuffle_ps::<0xee>(p5, p7));
        for (index, (low, high)) in [(q0, q4), (q1, q5), (q2, q6), (q3, q7)].into_iter().enumerate() {
            _mm256_storeu_ps(out[index].as_mut_ptr(), _mm256_permute2f128_ps::<0x20>(low, high));
            _mm256_storeu_ps(out[index + 4].as_mut_ptr(), _mm256_permute2f128_ps::<0x31>(low, high));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::simd::multiversion;
    use super::*;

    multiversion! {
        fn widest(rows: usize, columns: usize, from: Rows<'_>, to: RowsMut<'_>) = transpose
    }

    #[test]
    fn turns_every_shape_with_and_without_a_rest() {
        for (rows, columns) in [(8, 8), (16, 24), (9, 8), (8, 12), (3, 5), (33, 17)] {
            let values: Vec<f32> = (0..rows * columns).map(|i| i as f32).collect();
            let from = Rows { values: &values, stride: columns };
            let mut fast = vec![-1.0; rows * columns];
            widest(rows, columns, from, RowsMut { values: &mut fast, stride: rows, accumulate: false });
            let mut plain = fast.clone();
            transpose::<false>(rows, columns, from, RowsMut { values: &mut plain, stride: rows, accumulate: false });
            let cell = |i: usize| ((i % rows) * columns + i / rows) as f32;
            let expected: Vec<f32> = (0..rows * columns).map(cell).collect();
            assert_eq!(fast, expected, "{rows} {columns}");
            assert_eq!(plain, expected, "{rows} {columns}");
        }
    }
}
