//! Small matrix products, for attention heads: C = A·B or C += A·B with B and C in rows of contiguous lanes.
//!
//! For head sizes of 8 to 64 a general matrix product spends longer on packing than on arithmetic; this one keeps a
//! tile of C in registers and reads A and B where they lie.

use super::simd::madd;

/// A matrix read element by element, with any strides.
#[derive(Clone, Copy)]
pub(crate) struct Strided<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) row: usize,
    pub(crate) column: usize,
}

/// A matrix read in rows.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) stride: usize,
}

/// A matrix written in rows.
pub(crate) struct RowsMut<'a> {
    pub(crate) values: &'a mut [f32],
    pub(crate) stride: usize,
    /// Whether products are added to what is there.
    pub(crate) accumulate: bool,
}

/// Rows of C, columns of C, and the length of the sums.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) depth: usize,
}

/// Rows of a tile. With eight, LLVM lays vectors along the rows and gathers B, which is seven times slower.
const TILE_ROWS: usize = 4;

/// C = A·B, or C += A·B; each sum runs over the depth in order.
#[expect(clippy::needless_pass_by_value, reason = "a view, as its neighbours are")]
#[inline(always)]
pub(crate) fn product<const FUSED: bool>(extent: Extent, a: Strided<'_>, b: Rows<'_>, c: RowsMut<'_>) {
    let Extent { rows, columns, depth } = extent;
    if rows == 0 || columns == 0 || depth == 0 {
        return;
    }
    assert!((rows - 1) * a.row + (depth - 1) * a.column < a.values.len());
    assert!((depth - 1) * b.stride + columns <= b.values.len());
    assert!((rows - 1) * c.stride + columns <= c.values.len());
    let call = Call {
        a: a.values.as_ptr(),
        a_row: a.row,
        a_column: a.column,
        b: b.values.as_ptr(),
        b_stride: b.stride,
        c: c.values.as_mut_ptr(),
        c_stride: c.stride,
        depth,
        accumulate: c.accumulate,
    };
    let mut column = 0;
    // SAFETY: the three asserts above bound every index that a tile inside (rows, columns, depth) touches, and the
    // strips below cover columns without passing the last.
    unsafe {
        while columns - column >= 32 {
            strip::<FUSED, 32>(&call, rows, column);
            column += 32;
        }
        if columns - column >= 16 {
            strip::<FUSED, 16>(&call, rows, column);
            column += 16;
        }
        if columns - column >= 8 {
            strip::<FUSED, 8>(&call, rows, column);
            column += 8;
        }
        while column < columns {
            strip::<FUSED, 1>(&call, rows, column);
            column += 1;
        }
    }
}

struct Call {
    a: *const f32,
    a_row: usize,
    a_column: usize,
    b: *const f32,
    b_stride: usize,
    c: *mut f32,
    c_stride: usize,
    depth: usize,
    accumulate: bool,
}

/// # Safety
///
/// Rows `0..rows` and columns `column..column + LANES` must lie inside the matrices of the call.
#[inline(always)]
unsafe fn strip<const FUSED: bool, const LANES: usize>(call: &Call, rows: usize, column: usize) {
    let whole = rows - rows % TILE_ROWS;
    // SAFETY: the caller's.
    unsafe {
        for row in (0..whole).step_by(TILE_ROWS) {
            tile::<FUSED, TILE_ROWS, LANES>(call, row, column);
        }
        for row in whole..rows {
            tile::<FUSED, 1, LANES>(call, row, column);
        }
    }
}

/// # Safety
///
/// Rows `row..row + ROWS` and columns `column..column + LANES` must lie inside the matrices of the call.
#[inline(always)]
unsafe fn tile<const FUSED: bool, const ROWS: usize, const LANES: usize>(call: &Call, row: usize, column: usize) {
    let mut sums = [[0.0f32; LANES]; ROWS];
    // SAFETY: the caller's; `[f32; LANES]` has the alignment of f32.
    unsafe {
        let a = call.a.add(row * call.a_row);
        let b = call.b.add(column);
        let c = call.c.add(row * call.c_stride + column);
        if call.accumulate {
            for (r, sum) in sums.iter_mut().enumerate() {
                *sum = *c.add(r * call.c_stride).cast::<[f32; LANES]>();
            }
        }
        for step in 0..call.depth {
            let lanes = *b.add(step * call.b_stride).cast::<[f32; LANES]>();
            for (r, sum) in sums.iter_mut().enumerate() {
                let factor = *a.add(r * call.a_row + step * call.a_column);
                for lane in 0..LANES {
                    sum[lane] = madd::<FUSED>(factor, lanes[lane], sum[lane]);
                }
            }
        }
        for (r, sum) in sums.iter().enumerate() {
            *c.add(r * call.c_stride).cast::<[f32; LANES]>() = *sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * 37 + 11) % 19) as f32 - 9.0).collect()
    }

    fn naive(extent: Extent, a: Strided<'_>, b: Rows<'_>) -> Vec<f32> {
        let cell = |r: usize, c: usize| -> f32 {
            (0..extent.depth).map(|k| a.values[r * a.row + k * a.column] * b.values[k * b.stride + c]).sum()
        };
        (0..extent.rows).flat_map(|r| (0..extent.columns).map(move |c| cell(r, c))).collect()
    }

    #[test]
    fn equals_the_triple_loop_for_every_remainder() {
        // Whole numbers below 2²⁴, so that the order of the sums does not matter.
        for rows in [1, 4, 7, 8, 21] {
            for columns in [1, 8, 13, 16, 24, 32, 75] {
                let extent = Extent { rows, columns, depth: 5 };
                let (a_values, b_values) = (numbers(rows * 5), numbers(5 * columns));
                let b = Rows { values: &b_values, stride: columns };
                for a in [
                    Strided { values: &a_values, row: 5, column: 1 },
                    Strided { values: &a_values, row: 1, column: rows },
                ] {
                    let mut values = vec![1.0; rows * columns];
                    for accumulate in [false, true] {
                        product::<false>(extent, a, b, RowsMut { values: &mut values, stride: columns, accumulate });
                    }
                    let twice: Vec<f32> = naive(extent, a, b).iter().map(|x| 2.0 * x).collect();
                    assert_eq!(values, twice, "{rows} {columns}");
                }
            }
        }
    }
}
