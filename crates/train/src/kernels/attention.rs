//! Causal self-attention over packed queries, keys and values, with QK-norm and rotary embedding inside.
//!
//! # Formula
//!
//! For each head of size h: q̂ = R(γ_q ∘ q / rms(q)), k̂ = R(γ_k ∘ k / rms(k)), out_i = Σ_{j ≤ i} P_ij v_j with
//! P_i = softmax_j(q̂_i·k̂_j / √h). R turns pairs of channels by their position. Kept for the backward pass: the
//! log-sum-exp of each row; scores are computed again.
//!
//! Input rows are (q | k | v), each `heads × head_size` wide; output rows are one such width.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::attention_head::{
    Gain, HeadGradient, HeadShape, RotaryTable, Scratch, finish_backward, mix, mix_backward, rotate,
};
use super::product::{Rows, RowsMut};
use super::simd::multiversion;
use super::tape::Tape;
use super::trace::{Traceable, Traced};
use super::{operand, pool, tensor, view};

/// Everything about attention that does not change between steps.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    pub(crate) shape: HeadShape,
    pub(crate) table: Arc<RotaryTable>,
}

impl Attention {
    pub(crate) fn new(shape: HeadShape, rotary_base: f64) -> Self {
        Self { shape, table: Arc::new(RotaryTable::new(&shape, rotary_base)) }
    }

    /// Applies it to rows (sequences × context, 3 × width) with the two gain vectors.
    pub(crate) fn apply(&self, tape: &Tape, packed: &Tensor, gains: [&Tensor; 2]) -> Result<Tensor> {
        let op = AttentionOp { attention: self.clone(), log_sums: OnceLock::new() };
        tape.three([packed, gains[0], gains[1]], op)
    }
}

struct AttentionOp {
    attention: Attention,
    log_sums: OnceLock<Vec<f32>>,
}

impl Traceable for AttentionOp {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)> {
        let shape = (inputs[0].dim(0)?, self.attention.shape.width());
        Ok((Traced::Attention(self.attention.clone()), Shape::from(shape)))
    }
}

impl CustomOp3 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        packed: &CpuStorage,
        packed_layout: &Layout,
        query_gain: &CpuStorage,
        query_layout: &Layout,
        key_gain: &CpuStorage,
        key_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let shape = self.attention.shape;
        let packed = operand(packed, packed_layout)?;
        let tokens = packed.len() / (3 * shape.width());
        if !tokens.is_multiple_of(shape.context) || packed.len() != tokens * 3 * shape.width() {
            bail!("attention takes whole sequences of {} rows", shape.context);
        }
        let input = Input {
            attention: &self.attention,
            packed,
            gains: [operand(query_gain, query_layout)?, operand(key_gain, key_layout)?],
        };
        let mut out = pool::take(tokens * shape.width());
        let mut log_sums = vec![0.0; tokens * shape.heads];
        forward(&input, &mut out, &mut log_sums);
        // A fresh operation is made for each call, so nothing was set before.
        let _ = self.log_sums.set(log_sums);
        Ok((CpuStorage::F32(out), Shape::from((tokens, shape.width()))))
    }

    fn bwd(
        &self,
        packed: &Tensor,
        query_gain: &Tensor,
        key_gain: &Tensor,
        mixed: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [packed_view, query_view, key_view] = [packed, query_gain, key_gain].map(view);
        let [mixed_view, gradient_view] = [mixed, gradient].map(view);
        let Some(log_sums) = self.log_sums.get() else { bail!("attention: backward before forward") };
        let size = self.attention.shape.head_size;
        let input = Input {
            attention: &self.attention,
            packed: packed_view.values()?,
            gains: [query_view.values()?, key_view.values()?],
        };
        let mut packed_gradient = pool::zeros(input.packed.len());
        let mut gain_gradients = vec![0.0; 2 * size];
        let given = Given { mixed: mixed_view.values()?, out: gradient_view.values()?, log_sums };
        backward(&input, given, &mut packed_gradient, &mut gain_gradients);
        let key_gains = gain_gradients.split_off(size);
        Ok((
            Some(tensor(packed_gradient, packed.shape())?),
            Some(tensor(gain_gradients, size)?),
            Some(tensor(key_gains, size)?),
        ))
    }
}

#[derive(Clone, Copy)]
struct Input<'a> {
    attention: &'a Attention,
    packed: &'a [f32],
    gains: [&'a [f32]; 2],
}

#[derive(Clone, Copy)]
struct Given<'a> {
    mixed: &'a [f32],
    out: &'a [f32],
    log_sums: &'a [f32],
}

impl<'a> Input<'a> {
    /// Gains of queries, with the attention scale, and of keys.
    fn scaled_gains(&self) -> [Gain<'a>; 2] {
        let scale = 1.0 / (self.attention.shape.head_size as f32).sqrt();
        [Gain { values: self.gains[0], factor: scale }, Gain { values: self.gains[1], factor: 1.0 }]
    }

    /// Rows of queries (0), keys (1) or values (2) of one head of one sequence.
    fn rows(&self, sequence: usize, part: usize, head: usize) -> Rows<'a> {
        let shape = self.attention.shape;
        let stride = 3 * shape.width();
        let start = sequence * shape.context * stride + part * shape.width() + head * shape.head_size;
        Rows { values: &self.packed[start..], stride }
    }
}

multiversion! {
    /// Attention of whole sequences.
    fn forward(input: &Input<'_>, out: &mut [f32], log_sums: &mut [f32]) = forward_body
}

#[inline(always)]
fn forward_body<const FUSED: bool>(input: &Input<'_>, out: &mut [f32], log_sums: &mut [f32]) {
    let shape = &input.attention.shape;
    let mut scratch = Scratch::forward(shape);
    let width = shape.width();
    let sequences =
        out.chunks_exact_mut(shape.context * width).zip(log_sums.chunks_exact_mut(shape.context * shape.heads));
    for (sequence, (out, log_sums)) in sequences.enumerate() {
        for (head, log_sums) in log_sums.chunks_exact_mut(shape.context).enumerate() {
            turn::<FUSED>(input, sequence, head, &mut scratch);
            let mut rows = RowsMut { values: &mut out[head * shape.head_size..], stride: width, accumulate: false };
            mix::<FUSED>(shape, input.rows(sequence, 2, head), &mut scratch, &mut rows, log_sums);
        }
    }
}

#[inline(always)]
fn turn<const FUSED: bool>(input: &Input<'_>, sequence: usize, head: usize, scratch: &mut Scratch) {
    let (shape, table) = (&input.attention.shape, &*input.attention.table);
    let [query_gain, key_gain] = input.scaled_gains();
    rotate::<FUSED>(shape, input.rows(sequence, 0, head), query_gain, table, &mut scratch.queries);
    rotate::<FUSED>(shape, input.rows(sequence, 1, head), key_gain, table, &mut scratch.keys);
}

multiversion! {
    /// Gradients of packed rows (which must come in as zeros) and, added, of query gains followed by key gains.
    fn backward(input: &Input<'_>, given: Given<'_>, packed_gradient: &mut [f32], gain_gradients: &mut [f32]) = backward_body
}

#[inline(always)]
fn backward_body<const FUSED: bool>(
    input: &Input<'_>,
    given: Given<'_>,
    packed_gradient: &mut [f32],
    gain_gradients: &mut [f32],
) {
    let shape = &input.attention.shape;
    let (size, width) = (shape.head_size, shape.width());
    let mut scratch = Scratch::backward(shape);
    let (query_gain_gradient, key_gain_gradient) = gain_gradients.split_at_mut(size);
    for (sequence, gradient) in packed_gradient.chunks_exact_mut(shape.context * 3 * width).enumerate() {
        for head in 0..shape.heads {
            turn::<FUSED>(input, sequence, head, &mut scratch);
            let first = sequence * shape.context * width + head * size;
            let head_gradient = HeadGradient {
                values: input.rows(sequence, 2, head),
                mixed: Rows { values: &given.mixed[first..], stride: width },
                out: Rows { values: &given.out[first..], stride: width },
                log_sums: &given.log_sums[(sequence * shape.heads + head) * shape.context..][..shape.context],
            };
            let mut value_rows =
                RowsMut { values: &mut gradient[2 * width + head * size..], stride: 3 * width, accumulate: true };
            mix_backward::<FUSED>(shape, head_gradient, &mut scratch, &mut value_rows);
            let [query_gain, key_gain] = input.scaled_gains();
            let gains = [(query_gain, &mut *query_gain_gradient), (key_gain, &mut *key_gain_gradient)];
            finish_backward::<FUSED>(shape, &input.attention.table, &mut scratch, gains, (gradient, head));
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{D, DType, Device, Var};

    use super::super::gradient_check::{assert_same, assert_slopes, variable};
    use super::*;

    const BASE: f64 = 10_000.0;

    fn fused(shape: HeadShape) -> impl Fn(&Tape, &[Var]) -> Result<Tensor> {
        let attention = Attention::new(shape, BASE);
        move |tape, v| attention.apply(tape, &v[0], [&v[1], &v[2]])
    }

    fn normalise(x: &Tensor, gain: &Tensor) -> Result<Tensor> {
        let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
        x.broadcast_div(&(mean + 1e-6)?.sqrt()?)?.broadcast_mul(gain)
    }

    fn turn(x: &Tensor, shape: &HeadShape) -> Result<Tensor> {
        let half = shape.head_size / 2;
        let angle = |t: usize, pair: usize| t as f64 * BASE.powf(-(pair as f64) / half as f64);
        let table = |f: fn(f64) -> f64| {
            let row = |t| (0..half).map(move |pair| f(angle(t, pair)) as f32);
            Tensor::from_vec((0..shape.context).flat_map(row).collect(), (shape.context, half), &Device::Cpu)
        };
        let (cosines, sines) = (table(f64::cos)?, table(f64::sin)?);
        let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let first = (a.broadcast_mul(&cosines)? - b.broadcast_mul(&sines)?)?;
        let second = (a.broadcast_mul(&sines)? + b.broadcast_mul(&cosines)?)?;
        Tensor::cat(&[&first, &second], D::Minus1)
    }

    /// The formula, one candle operation after another.
    fn plain(shape: HeadShape) -> impl Fn(&[Var]) -> Result<Tensor> {
        move |v| {
            let HeadShape { context, heads, head_size } = shape;
            let tokens = v[0].dim(0)?;
            let part = |index: usize| -> Result<Tensor> {
                let width = heads * head_size;
                let part = v[0].narrow(1, index * width, width)?.contiguous()?;
                part.reshape((tokens / context, context, heads, head_size))?.transpose(1, 2)?.contiguous()
            };
            let q = turn(&normalise(&part(0)?, &v[1])?, &shape)?;
            let k = turn(&normalise(&part(1)?, &v[2])?, &shape)?;
            let scores = (q.matmul(&k.transpose(2, 3)?.contiguous()?)? / (head_size as f64).sqrt())?;
            let later = |(i, j): (usize, usize)| if j > i { f32::NEG_INFINITY } else { 0.0 };
            let mask: Vec<f32> = (0..context * context).map(|cell| later((cell / context, cell % context))).collect();
            let scores = scores.broadcast_add(&Tensor::from_vec(mask, (context, context), &Device::Cpu)?)?;
            let mixed = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&part(2)?)?;
            mixed.transpose(1, 2)?.contiguous()?.reshape((tokens, heads * head_size))
        }
    }

    fn variables(shape: HeadShape, sequences: usize) -> [Var; 3] {
        let packed = variable("packed", &[sequences * shape.context, 3 * shape.width()]);
        [packed, variable("query gain", &[shape.head_size]), variable("key gain", &[shape.head_size])]
    }

    #[test]
    fn equals_the_plain_composition_for_heads_and_contexts_with_and_without_a_rest() {
        for (context, heads, head_size) in [(1, 1, 2), (5, 2, 8), (32, 1, 16), (33, 3, 4), (70, 2, 12), (96, 1, 64)] {
            let shape = HeadShape { context, heads, head_size };
            assert_same(fused(shape), plain(shape), &variables(shape, 2));
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        let shape = HeadShape { context: 40, heads: 2, head_size: 8 };
        assert_slopes(fused(shape), &variables(shape, 1));
    }

    #[test]
    fn a_token_sees_nothing_that_comes_after_it() {
        let shape = HeadShape { context: 48, heads: 2, head_size: 8 };
        let [packed, query_gain, key_gain] = variables(shape, 1);
        let attention = Attention::new(shape, BASE);
        let first_rows = |packed: &Tensor| {
            let out = attention.apply(&Tape::forward_only(), packed, [&query_gain, &key_gain]).expect("forward");
            out.narrow(0, 0, 40).and_then(|rows| rows.to_vec2::<f32>()).expect("f32")
        };
        let zeros = Tensor::zeros((8, 48), DType::F32, &Device::Cpu).expect("zeros");
        let kept = packed.narrow(0, 0, 40).expect("rows");
        let changed = Tensor::cat(&[&kept, &zeros], 0).expect("one width");
        assert_eq!(first_rows(&packed), first_rows(&changed));
    }

    #[test]
    fn refuses_a_broken_sequence() {
        let shape = HeadShape { context: 8, heads: 1, head_size: 4 };
        let gain = variable("gain", &[4]);
        let packed = variable("packed", &[9, 12]);
        assert!(Attention::new(shape, BASE).apply(&Tape::forward_only(), &packed, [&gain, &gain]).is_err());
    }
}
