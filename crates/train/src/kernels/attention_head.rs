//! One attention head over one sequence: normalisation, rotation, causal softmax and their gradients, on slices.
//!
//! Everything that runs over queries lies transposed, so that vector lanes run along the sequence and no head size
//! leaves lanes empty: scores of a block of [`QUERIES`] queries are a matrix keys × queries, softmax goes down its
//! columns, and keys after the block are never touched.

use super::product::{Extent, Rows, RowsMut, Strided, product};
use super::rms_norm::EPSILON;
use super::simd::{dot, exp, madd};
use super::transpose::transpose;

/// Queries of a block. Chosen here: 32 fills two vectors of AVX-512 and wastes at most 16 keys per query.
pub(crate) const QUERIES: usize = 32;

/// Lengths that do not change between calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HeadShape {
    pub(crate) context: usize,
    pub(crate) heads: usize,
    pub(crate) head_size: usize,
}

impl HeadShape {
    /// The context, rounded up to whole blocks of queries.
    pub(crate) fn padded(&self) -> usize {
        self.context.next_multiple_of(QUERIES)
    }

    /// Width of all heads together.
    pub(crate) fn width(&self) -> usize {
        self.heads * self.head_size
    }
}

/// Cosines and sines of the rotary embedding, one row of padded length per pair of channels.
#[derive(Debug)]
pub(crate) struct RotaryTable {
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl RotaryTable {
    /// # Formula
    ///
    /// Pair i of h/2 at position t turns by t · base^(−2i/h) (Su et al., arXiv:2104.09864), channel i with i + h/2.
    pub(crate) fn new(shape: &HeadShape, base: f64) -> Self {
        let half = shape.head_size / 2;
        let angle = |pair: usize, t: usize| t as f64 * libm::pow(base, -(2.0 * pair as f64) / shape.head_size as f64);
        let table = |f: fn(f64) -> f64| {
            let row = |pair: usize| (0..shape.padded()).map(move |t| f(angle(pair, t)) as f32);
            (0..half).flat_map(row).collect()
        };
        Self { cosines: table(libm::cos), sines: table(libm::sin) }
    }

    /// Cosines and sines by position, then by pair: the other way round, without what pads a row.
    pub(crate) fn by_position(&self, shape: &HeadShape) -> [Vec<f32>; 2] {
        let (half, padded) = (shape.head_size / 2, shape.padded());
        let turn = |table: &[f32]| {
            (0..shape.context).flat_map(|position| (0..half).map(move |pair| table[pair * padded + position])).collect()
        };
        [turn(&self.cosines), turn(&self.sines)]
    }

    /// Cosine and sine of one pair of channels at one position.
    #[inline(always)]
    pub(crate) fn at(&self, pair: usize, padded: usize, position: usize) -> (f32, f32) {
        let at = pair * padded + position;
        (self.cosines[at], self.sines[at])
    }
}

/// Queries or keys of one head, transposed: as they came, and normalised and rotated.
pub(crate) struct Rotated {
    raw: Vec<f32>,
    inverse_rms: Vec<f32>,
    pub(crate) turned: Vec<f32>,
}

impl Rotated {
    fn new(shape: &HeadShape) -> Self {
        let values = shape.head_size * shape.padded();
        Self { raw: vec![0.0; values], inverse_rms: vec![0.0; shape.padded()], turned: vec![0.0; values] }
    }
}

/// A gain vector and the factor it is multiplied by (the attention scale, for queries).
#[derive(Clone, Copy)]
pub(crate) struct Gain<'a> {
    pub(crate) values: &'a [f32],
    pub(crate) factor: f32,
}

/// Working memory of one head, used again for the next.
pub(crate) struct Scratch {
    pub(crate) queries: Rotated,
    pub(crate) keys: Rotated,
    scores: Vec<f32>,
    mixed: Vec<f32>,
    score_gradients: Vec<f32>,
    out_gradients: Vec<f32>,
    query_rows: Vec<f32>,
    key_gradient_rows: Vec<f32>,
    query_gradients: Vec<f32>,
    key_gradients: Vec<f32>,
}

impl Scratch {
    pub(crate) fn forward(shape: &HeadShape) -> Self {
        let empty = Vec::new;
        Self {
            queries: Rotated::new(shape),
            keys: Rotated::new(shape),
            scores: vec![0.0; shape.context * QUERIES],
            mixed: vec![0.0; shape.head_size * QUERIES],
            score_gradients: empty(),
            out_gradients: empty(),
            query_rows: empty(),
            key_gradient_rows: empty(),
            query_gradients: empty(),
            key_gradients: empty(),
        }
    }

    pub(crate) fn backward(shape: &HeadShape) -> Self {
        let transposed = || vec![0.0; shape.head_size * shape.padded()];
        Self {
            score_gradients: vec![0.0; shape.context * QUERIES],
            out_gradients: transposed(),
            query_rows: transposed(),
            key_gradient_rows: transposed(),
            query_gradients: transposed(),
            key_gradients: transposed(),
            ..Self::forward(shape)
        }
    }
}

/// Reads one head's channels from rows, normalises each position, multiplies by the gain and rotates.
#[inline(always)]
pub(crate) fn rotate<const FUSED: bool>(
    shape: &HeadShape,
    rows: Rows<'_>,
    gain: Gain<'_>,
    table: &RotaryTable,
    out: &mut Rotated,
) {
    let (padded, half) = (shape.padded(), shape.head_size / 2);
    transpose_in::<FUSED>(shape, rows, &mut out.raw);
    out.inverse_rms.fill(0.0);
    for row in out.raw.chunks_exact(padded) {
        for (sums, x) in blocks_mut(&mut out.inverse_rms).iter_mut().zip(blocks(row)) {
            one_by_one();
            for lane in 0..QUERIES {
                sums[lane] = madd::<FUSED>(x[lane], x[lane], sums[lane]);
            }
        }
    }
    let inverse_size = 1.0 / shape.head_size as f32;
    for sum in &mut out.inverse_rms {
        *sum = 1.0 / (*sum * inverse_size + EPSILON as f32).sqrt();
    }
    let (low, high) = out.turned.split_at_mut(half * padded);
    let (raw_low, raw_high) = out.raw.split_at(half * padded);
    for pair in 0..half {
        let at = pair * padded..(pair + 1) * padded;
        let gains = [gain.values[pair] * gain.factor, gain.values[pair + half] * gain.factor];
        let from = blocks(&raw_low[at.clone()]).iter().zip(blocks(&raw_high[at.clone()])).zip(blocks(&out.inverse_rms));
        let to = blocks_mut(&mut low[at.clone()]).iter_mut().zip(blocks_mut(&mut high[at.clone()]));
        let angles = blocks(&table.cosines[at.clone()]).iter().zip(blocks(&table.sines[at]));
        for ((((x, y), inverse), (low, high)), (cosines, sines)) in from.zip(to).zip(angles) {
            one_by_one();
            for lane in 0..QUERIES {
                let x = x[lane] * inverse[lane] * gains[0];
                let y = y[lane] * inverse[lane] * gains[1];
                low[lane] = x * cosines[lane] - y * sines[lane];
                high[lane] = madd::<FUSED>(x, sines[lane], y * cosines[lane]);
            }
        }
    }
}

/// Rows of padded length, in blocks of lanes.
#[inline(always)]
fn blocks(row: &[f32]) -> &[[f32; QUERIES]] {
    row.as_chunks().0
}

#[inline(always)]
fn blocks_mut(row: &mut [f32]) -> &mut [[f32; QUERIES]] {
    row.as_chunks_mut().0
}

/// Keeps a loop over blocks as it is written. Lanes of a short body are unrolled first; LLVM then lays vectors across
/// blocks and gathers and scatters every number, which took a quarter of the time of attention.
#[inline(always)]
fn one_by_one() {
    std::hint::black_box(());
}

/// The gradient of [`rotate`]: turns `gradient` (transposed) into that of the raw channels and adds that of the gain.
#[inline(always)]
pub(crate) fn rotate_backward<const FUSED: bool>(
    shape: &HeadShape,
    head: &Rotated,
    gain: Gain<'_>,
    table: &RotaryTable,
    (gradient, gain_gradient): (&mut [f32], &mut [f32]),
) {
    let (padded, half) = (shape.padded(), shape.head_size / 2);
    let (low, high) = gradient.split_at_mut(half * padded);
    let pairs = blocks_mut(low).iter_mut().zip(blocks_mut(high));
    let angles = blocks(&table.cosines).iter().zip(blocks(&table.sines));
    for ((x, y), (cosines, sines)) in pairs.zip(angles) {
        one_by_one();
        let (low, high) = (*x, *y);
        for lane in 0..QUERIES {
            x[lane] = madd::<FUSED>(low[lane], cosines[lane], high[lane] * sines[lane]);
            y[lane] = high[lane] * cosines[lane] - low[lane] * sines[lane];
        }
    }
    norm_backward::<FUSED>(shape, head, gain, (gradient, gain_gradient));
}

#[inline(always)]
fn norm_backward<const FUSED: bool>(
    shape: &HeadShape,
    head: &Rotated,
    gain: Gain<'_>,
    (gradient, gain_gradient): (&mut [f32], &mut [f32]),
) {
    let padded = shape.padded();
    // Along each position: Σ gradient · gain · x, which the normalisation takes out again.
    let mut along = vec![0.0f32; padded];
    for (channel, (g, x)) in gradient.chunks_exact_mut(padded).zip(head.raw.chunks_exact(padded)).enumerate() {
        let factor = gain.values[channel] * gain.factor;
        let mut lanes = [0.0f32; QUERIES];
        let of_position = blocks(&head.inverse_rms).iter().zip(blocks_mut(&mut along));
        for ((g, x), (inverse, along)) in blocks_mut(g).iter_mut().zip(blocks(x)).zip(of_position) {
            one_by_one();
            for lane in 0..QUERIES {
                lanes[lane] = madd::<FUSED>(g[lane] * x[lane], inverse[lane], lanes[lane]);
                g[lane] *= factor;
                along[lane] = madd::<FUSED>(g[lane], x[lane], along[lane]);
            }
        }
        gain_gradient[channel] += gain.factor * lanes.iter().sum::<f32>();
    }
    let inverse_size = 1.0 / shape.head_size as f32;
    for (sum, inverse) in along.iter_mut().zip(&head.inverse_rms) {
        *sum *= inverse * inverse * inverse * inverse_size;
    }
    for (g, x) in gradient.chunks_exact_mut(padded).zip(head.raw.chunks_exact(padded)) {
        let of_position = blocks(&head.inverse_rms).iter().zip(blocks(&along));
        for ((g, x), (inverse, along)) in blocks_mut(g).iter_mut().zip(blocks(x)).zip(of_position) {
            one_by_one();
            for lane in 0..QUERIES {
                g[lane] = g[lane] * inverse[lane] - x[lane] * along[lane];
            }
        }
    }
}

#[inline(always)]
fn transpose_in<const FUSED: bool>(shape: &HeadShape, rows: Rows<'_>, out: &mut [f32]) {
    let out = RowsMut { values: out, stride: shape.padded(), accumulate: false };
    transpose::<FUSED>(shape.context, shape.head_size, rows, out);
}

#[inline(always)]
fn transpose_out<const FUSED: bool>(shape: &HeadShape, transposed: &[f32], out: RowsMut<'_>) {
    let from = Rows { values: transposed, stride: shape.padded() };
    transpose::<FUSED>(shape.head_size, shape.context, from, out);
}

/// A block of queries and the keys it may see.
#[derive(Clone, Copy)]
struct Block {
    first: usize,
    keys: usize,
}

impl Block {
    fn of(shape: &HeadShape) -> impl Iterator<Item = Self> {
        let context = shape.context;
        (0..context).step_by(QUERIES).map(move |first| Self { first, keys: context.min(first + QUERIES) })
    }
}

/// Scores of a block: keys × queries, −∞ where a key comes after the query.
#[inline(always)]
fn block_scores<const FUSED: bool>(shape: &HeadShape, block: Block, scratch: &mut Scratch) {
    let padded = shape.padded();
    product::<FUSED>(
        Extent { rows: block.keys, columns: QUERIES, depth: shape.head_size },
        Strided { values: &scratch.keys.turned, row: 1, column: padded },
        Rows { values: &scratch.queries.turned[block.first..], stride: padded },
        RowsMut { values: &mut scratch.scores, stride: QUERIES, accumulate: false },
    );
    for key in block.first..block.keys {
        scratch.scores[key * QUERIES..][..key - block.first].fill(f32::NEG_INFINITY);
    }
}

/// Softmax and mix of one head. `values` holds its value rows, `out` takes its rows, `log_sums` its log-sum-exps.
#[inline(always)]
pub(crate) fn mix<const FUSED: bool>(
    shape: &HeadShape,
    values: Rows<'_>,
    scratch: &mut Scratch,
    out: &mut RowsMut<'_>,
    log_sums: &mut [f32],
) {
    for block in Block::of(shape) {
        block_scores::<FUSED>(shape, block, scratch);
        let (rows, _) = scratch.scores[..block.keys * QUERIES].as_chunks_mut::<QUERIES>();
        let (largest, sums) = softmax_columns::<FUSED>(rows);
        product::<FUSED>(
            Extent { rows: shape.head_size, columns: QUERIES, depth: block.keys },
            Strided { values: values.values, row: 1, column: values.stride },
            Rows { values: &scratch.scores, stride: QUERIES },
            RowsMut { values: &mut scratch.mixed, stride: QUERIES, accumulate: false },
        );
        let queries = block.keys - block.first;
        for row in blocks_mut(&mut scratch.mixed) {
            let before = *row;
            one_by_one();
            for lane in 0..QUERIES {
                row[lane] = before[lane] / sums[lane];
            }
        }
        let mixed = Rows { values: &scratch.mixed, stride: QUERIES };
        let rows =
            RowsMut { values: &mut out.values[block.first * out.stride..], stride: out.stride, accumulate: false };
        transpose::<FUSED>(shape.head_size, queries, mixed, rows);
        for query in 0..queries {
            log_sums[block.first + query] = largest[query] + libm::logf(sums[query]);
        }
    }
}

/// Replaces scores by exp(score − largest of its column); returns the largest and the sum of each column.
#[inline(always)]
fn softmax_columns<const FUSED: bool>(rows: &mut [[f32; QUERIES]]) -> ([f32; QUERIES], [f32; QUERIES]) {
    let mut largest = [f32::NEG_INFINITY; QUERIES];
    for row in rows.iter() {
        for lane in 0..QUERIES {
            largest[lane] = if row[lane] > largest[lane] { row[lane] } else { largest[lane] };
        }
    }
    let mut sums = [0.0f32; QUERIES];
    for row in rows {
        for lane in 0..QUERIES {
            row[lane] = exp::<FUSED>(row[lane] - largest[lane]);
            sums[lane] += row[lane];
        }
    }
    (largest, sums)
}

/// What the backward pass of a head reads.
#[derive(Clone, Copy)]
pub(crate) struct HeadGradient<'a> {
    /// Value rows.
    pub(crate) values: Rows<'a>,
    /// Rows of the head's output.
    pub(crate) mixed: Rows<'a>,
    /// Rows of the gradient of the head's output.
    pub(crate) out: Rows<'a>,
    /// Log-sum-exp of each query, from the forward pass.
    pub(crate) log_sums: &'a [f32],
}

/// Gradients of one head: those of queries and keys (turned, transposed) into the scratch, those of values into
/// `value_gradients`.
#[inline(always)]
pub(crate) fn mix_backward<const FUSED: bool>(
    shape: &HeadShape,
    given: HeadGradient<'_>,
    scratch: &mut Scratch,
    value_gradients: &mut RowsMut<'_>,
) {
    let (size, padded) = (shape.head_size, shape.padded());
    transpose_in::<FUSED>(shape, given.out, &mut scratch.out_gradients);
    let query_rows = RowsMut { values: &mut scratch.query_rows, stride: size, accumulate: false };
    transpose_out::<FUSED>(shape, &scratch.queries.turned, query_rows);
    scratch.key_gradient_rows.fill(0.0);
    for block in Block::of(shape) {
        let queries = block.keys - block.first;
        block_scores::<FUSED>(shape, block, scratch);
        product::<FUSED>(
            Extent { rows: block.keys, columns: QUERIES, depth: size },
            Strided { values: given.values.values, row: given.values.stride, column: 1 },
            Rows { values: &scratch.out_gradients[block.first..], stride: padded },
            RowsMut { values: &mut scratch.score_gradients, stride: QUERIES, accumulate: false },
        );
        softmax_backward::<FUSED>(shape, block, given, scratch);
        let over_queries = Extent { rows: block.keys, columns: size, depth: queries };
        product::<FUSED>(
            over_queries,
            Strided { values: &scratch.scores, row: QUERIES, column: 1 },
            Rows { values: &given.out.values[block.first * given.out.stride..], stride: given.out.stride },
            RowsMut { values: value_gradients.values, stride: value_gradients.stride, accumulate: true },
        );
        product::<FUSED>(
            over_queries,
            Strided { values: &scratch.score_gradients, row: QUERIES, column: 1 },
            Rows { values: &scratch.query_rows[block.first * size..], stride: size },
            RowsMut { values: &mut scratch.key_gradient_rows, stride: size, accumulate: true },
        );
        product::<FUSED>(
            Extent { rows: size, columns: QUERIES, depth: block.keys },
            Strided { values: &scratch.keys.turned, row: padded, column: 1 },
            Rows { values: &scratch.score_gradients, stride: QUERIES },
            RowsMut { values: &mut scratch.query_gradients[block.first..], stride: padded, accumulate: false },
        );
    }
    let key_rows = Rows { values: &scratch.key_gradient_rows, stride: size };
    transpose_in::<FUSED>(shape, key_rows, &mut scratch.key_gradients);
}

/// Turns scores into weights P and `score_gradients` from dP into dS = P ∘ (dP − D), where D = Σ_j P_j dP_j of a query
/// equals the product of its output and the gradient of that (Dao et al., arXiv:2205.14135, B.2).
#[inline(always)]
fn softmax_backward<const FUSED: bool>(
    shape: &HeadShape,
    block: Block,
    given: HeadGradient<'_>,
    scratch: &mut Scratch,
) {
    let (mut shifts, mut sums) = ([0.0f32; QUERIES], [0.0f32; QUERIES]);
    for (lane, query) in (block.first..block.keys).enumerate() {
        shifts[lane] = given.log_sums[query];
        let [mixed, out] = [given.mixed, given.out].map(|rows| &rows.values[query * rows.stride..][..shape.head_size]);
        sums[lane] = dot::<FUSED>(mixed, out);
    }
    let (weights, _) = scratch.scores[..block.keys * QUERIES].as_chunks_mut::<QUERIES>();
    let (gradients, _) = scratch.score_gradients[..block.keys * QUERIES].as_chunks_mut::<QUERIES>();
    for (p, g) in weights.iter_mut().zip(gradients) {
        for lane in 0..QUERIES {
            p[lane] = exp::<FUSED>(p[lane] - shifts[lane]);
            g[lane] = p[lane] * (g[lane] - sums[lane]);
        }
    }
}

/// Carries the gradients of queries and keys back through rotation and normalisation into the packed rows of one
/// sequence.
#[inline(always)]
pub(crate) fn finish_backward<const FUSED: bool>(
    shape: &HeadShape,
    table: &RotaryTable,
    scratch: &mut Scratch,
    gains: [(Gain<'_>, &mut [f32]); 2],
    (packed_gradient, head): (&mut [f32], usize),
) {
    let [(query_gain, query_sum), (key_gain, key_sum)] = gains;
    let stride = 3 * shape.width();
    let queries = (&mut scratch.query_gradients[..], query_sum);
    rotate_backward::<FUSED>(shape, &scratch.queries, query_gain, table, queries);
    let rows = RowsMut { values: &mut packed_gradient[head * shape.head_size..], stride, accumulate: false };
    transpose_out::<FUSED>(shape, &scratch.query_gradients, rows);
    let keys = (&mut scratch.key_gradients[..], key_sum);
    rotate_backward::<FUSED>(shape, &scratch.keys, key_gain, table, keys);
    let rows =
        RowsMut { values: &mut packed_gradient[shape.width() + head * shape.head_size..], stride, accumulate: false };
    transpose_out::<FUSED>(shape, &scratch.key_gradients, rows);
}
