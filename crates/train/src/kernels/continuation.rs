//! Attention of new tokens over what is remembered of the tokens before them: the key-value cache.
//!
//! # Formula
//!
//! That of [`super::attention`], for the new rows alone: keys and values of earlier positions were kept when these were
//! new, and a causal model never changes them. There is no backward pass.
//!
//! Keys of a head lie transposed, so that the scores of a query are one pass along the positions; values lie in rows.

use candle_core::{Result, Tensor, bail};

use super::attention::Attention;
use super::attention_head::{Gain, HeadShape, RotaryTable};
use super::product::{Extent, Rows, RowsMut, Strided, product};
use super::rms_norm::EPSILON;
use super::simd::{dot, exp_in_place, largest, madd, multiversion};
use super::{pool, tensor, view};

/// Positions are kept in whole vectors of this length, so that no score is computed by itself.
const LANES: usize = 16;

/// Keys and values of one sequence in one block.
#[derive(Clone)]
pub(crate) struct KeyValues {
    capacity: usize,
    length: usize,
    /// For each head, a row of positions per channel; normalised and rotated.
    keys: Vec<f32>,
    /// For each head, a row of channels per position.
    values: Vec<f32>,
}

impl KeyValues {
    /// Room for so many positions.
    pub(crate) fn new(shape: &HeadShape, positions: usize) -> Self {
        let capacity = positions.next_multiple_of(LANES);
        let zeros = || vec![0.0; capacity * shape.width()];
        Self { capacity, length: 0, keys: zeros(), values: zeros() }
    }
}

/// New rows of one sequence, which go on where its memory ends.
pub(crate) struct Continued<'a> {
    pub(crate) held: &'a mut KeyValues,
    /// Rows (q | k | v) that belong to it.
    pub(crate) rows: usize,
}

impl Attention {
    /// Mixes the new rows (Σ rows, 3 × width) of several sequences, in order, and remembers their keys and values.
    pub(crate) fn continued<'a>(
        &self,
        packed: &Tensor,
        gains: [&Tensor; 2],
        sequences: impl Iterator<Item = Continued<'a>>,
    ) -> Result<Tensor> {
        let [packed_view, query_view, key_view] = [packed, gains[0], gains[1]].map(view);
        let gains = [query_view.values()?, key_view.values()?];
        let width = self.shape.width();
        let mut rows_left = packed_view.values()?;
        let mut out = pool::take(rows_left.len() / 3);
        let mut out_left = &mut out[..];
        let mut scratch = Scratch::default();
        for Continued { held, rows } in sequences {
            if held.length + rows > held.capacity.min(self.shape.padded()) {
                bail!("attention: {} positions do not fit a memory of {}", held.length + rows, held.capacity);
            }
            let Some((new, rest)) = rows_left.split_at_checked(rows * 3 * width) else {
                bail!("attention: a sequence of {rows} new rows, with {} values left", rows_left.len());
            };
            let (mixed, out_rest) = std::mem::take(&mut out_left).split_at_mut(rows * width);
            (rows_left, out_left) = (rest, out_rest);
            one_sequence(&Input { attention: self, gains, new }, held, &mut scratch, mixed);
            held.length += rows;
        }
        if !rows_left.is_empty() {
            bail!("attention: {} values belong to no sequence", rows_left.len());
        }
        let rows = out.len() / width;
        tensor(out, (rows, width))
    }
}

struct Input<'a> {
    attention: &'a Attention,
    gains: [&'a [f32]; 2],
    new: &'a [f32],
}

/// Working memory, used again for the next sequence.
#[derive(Default)]
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    turned: Vec<f32>,
}

multiversion! {
    /// Attention of the new rows of one sequence.
    fn one_sequence(input: &Input<'_>, held: &mut KeyValues, scratch: &mut Scratch, out: &mut [f32]) = sequence_body
}

#[inline(always)]
fn sequence_body<const FUSED: bool>(input: &Input<'_>, held: &mut KeyValues, scratch: &mut Scratch, out: &mut [f32]) {
    let HeadShape { heads, head_size: size, .. } = input.attention.shape;
    let width = heads * size;
    let (rows, past) = (out.len() / width, held.length);
    let total = past + rows;
    let columns = total.next_multiple_of(LANES);
    scratch.scores.resize(rows * columns, 0.0);
    for head in 0..heads {
        take_in::<FUSED>(input, head, held, scratch);
        let keys = Rows { values: &held.keys[head * size * held.capacity..], stride: held.capacity };
        product::<FUSED>(
            Extent { rows, columns, depth: size },
            Strided { values: &scratch.queries, row: size, column: 1 },
            keys,
            RowsMut { values: &mut scratch.scores, stride: columns, accumulate: false },
        );
        for (row, scores) in scratch.scores.chunks_exact_mut(columns).enumerate() {
            softmax::<FUSED>(scores, past + row + 1);
        }
        product::<FUSED>(
            Extent { rows, columns: size, depth: total },
            Strided { values: &scratch.scores, row: columns, column: 1 },
            Rows { values: &held.values[head * held.capacity * size..], stride: size },
            RowsMut { values: &mut out[head * size..], stride: width, accumulate: false },
        );
    }
}

/// Turns the first scores of a row into weights that sum to 1, and the others, of positions that come later, into 0.
#[inline(always)]
fn softmax<const FUSED: bool>(scores: &mut [f32], seen: usize) {
    let (seen, later) = scores.split_at_mut(seen);
    let shift = largest(seen);
    let inverse = 1.0 / exp_in_place::<FUSED>(seen, shift);
    for weight in seen {
        *weight *= inverse;
    }
    later.fill(0.0);
}

/// Normalises and rotates the new queries and keys of a head, and remembers its keys and values.
#[inline(always)]
fn take_in<const FUSED: bool>(input: &Input<'_>, head: usize, held: &mut KeyValues, scratch: &mut Scratch) {
    let HeadShape { heads, head_size: size, .. } = input.attention.shape;
    let width = heads * size;
    let table = (&*input.attention.table, input.attention.shape.padded());
    let scale = 1.0 / (size as f32).sqrt();
    let [query_gain, key_gain] =
        [Gain { values: input.gains[0], factor: scale }, Gain { values: input.gains[1], factor: 1.0 }];
    let rows = input.new.len() / (3 * width);
    scratch.queries.resize(rows * size, 0.0);
    scratch.turned.resize(size, 0.0);
    let keys = &mut held.keys[head * size * held.capacity..][..size * held.capacity];
    for (row, packed) in input.new.chunks_exact(3 * width).enumerate() {
        let position = held.length + row;
        let part = |part: usize| &packed[part * width + head * size..][..size];
        turn::<FUSED>(part(0), query_gain, Angles { table, position }, &mut scratch.queries[row * size..][..size]);
        turn::<FUSED>(part(1), key_gain, Angles { table, position }, &mut scratch.turned);
        for (channel, key) in scratch.turned.iter().enumerate() {
            keys[channel * held.capacity + position] = *key;
        }
        held.values[(head * held.capacity + position) * size..][..size].copy_from_slice(part(2));
    }
}

/// The angles of one position.
#[derive(Clone, Copy)]
struct Angles<'a> {
    /// The table, and the length of its rows.
    table: (&'a RotaryTable, usize),
    position: usize,
}

/// One position of one head: normalised, multiplied by the gain, and its pairs of channels rotated.
#[inline(always)]
fn turn<const FUSED: bool>(from: &[f32], gain: Gain<'_>, angles: Angles<'_>, to: &mut [f32]) {
    let half = from.len() / 2;
    let inverse = 1.0 / (dot::<FUSED>(from, from) / from.len() as f32 + EPSILON as f32).sqrt();
    for pair in 0..half {
        let (cosine, sine) = angles.table.0.at(pair, angles.table.1, angles.position);
        let x = from[pair] * inverse * (gain.values[pair] * gain.factor);
        let y = from[pair + half] * inverse * (gain.values[pair + half] * gain.factor);
        to[pair] = x * cosine - y * sine;
        to[pair + half] = madd::<FUSED>(x, sine, y * cosine);
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::variable;
    use super::super::tape::Tape;
    use super::*;

    const BASE: f64 = 10_000.0;

    /// Mixes a sequence piece by piece and holds it against the whole.
    fn assert_same_in_pieces(shape: HeadShape, pieces: &[usize]) {
        let attention = Attention::new(shape, BASE);
        let packed = variable("packed", &[2 * shape.context, 3 * shape.width()]);
        let gains = [variable("query gain", &[shape.head_size]), variable("key gain", &[shape.head_size])];
        let gains = [gains[0].as_tensor(), gains[1].as_tensor()];
        let whole = attention.apply(&Tape::forward_only(), &packed, gains).expect("forward");
        let whole = whole.to_vec2::<f32>().expect("f32");
        let mut held = [(); 2].map(|()| KeyValues::new(&shape, shape.context));
        let mut first = 0;
        for count in pieces {
            let of = |sequence: usize| packed.narrow(0, sequence * shape.context + first, *count).expect("rows");
            let both = Tensor::cat(&[of(0), of(1)], 0).expect("one width");
            let sequences = held.iter_mut().map(|held| Continued { held, rows: *count });
            let mixed = attention.continued(&both, gains, sequences).expect("forward").to_vec2::<f32>().expect("f32");
            for (row, mixed) in mixed.iter().enumerate() {
                let position = row / count * shape.context + first + row % count;
                for (ours, plain) in mixed.iter().zip(&whole[position]) {
                    assert!((ours - plain).abs() < 1e-5, "{shape:?}, position {position}: {ours} {plain}");
                }
            }
            first += count;
        }
        assert_eq!(first, shape.context);
    }

    #[test]
    fn equals_attention_of_the_whole_sequence_however_it_is_cut() {
        for (heads, head_size) in [(1, 2), (2, 8), (3, 12), (1, 64)] {
            let of = |context| HeadShape { context, heads, head_size };
            assert_same_in_pieces(of(1), &[1]);
            assert_same_in_pieces(of(20), &[1; 20]);
            assert_same_in_pieces(of(37), &[17, 1, 1, 16, 2]);
            assert_same_in_pieces(of(48), &[48]);
        }
    }

    #[test]
    fn a_sequence_that_outgrows_its_memory_is_refused() {
        let shape = HeadShape { context: 64, heads: 1, head_size: 4 };
        let attention = Attention::new(shape, BASE);
        let gain = variable("gain", &[4]);
        let mut held = KeyValues::new(&shape, 16);
        let mut mix = |rows: usize, said: usize| {
            let sequences = [Continued { held: &mut held, rows: said }].into_iter();
            attention.continued(&variable("packed", &[rows, 12]), [&gain, &gain], sequences)
        };
        mix(16, 16).expect("fits");
        assert!(mix(1, 1).expect_err("full").to_string().contains("17 positions do not fit a memory of 16"));
        assert!(mix(2, 0).expect_err("rows of nobody").to_string().contains("belong to no sequence"));
    }
}
