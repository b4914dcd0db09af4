//! The input: one embedding table per order, summed.
//!
//! # Formula
//!
//! x_t = Σ_{k < n} E_k\[token_{t−k}\], without the terms before the start of the window. The tables lie one after the
//! other as rows of one matrix (n·V, d). Backward: each row of x̄ is added to the rows it was summed from, in order.

use std::sync::Arc;

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor, bail};

use super::tape::Tape;
use super::trace::{Traceable, Traced};
use super::{operand, pool, tensor, view};

/// Which rows are summed for which token.
#[derive(Clone)]
pub(crate) struct Lookup {
    /// Input tokens, window by window.
    pub(crate) tokens: Arc<[u32]>,
    /// Tokens of a window.
    pub(crate) context: usize,
    /// Rows of one table.
    pub(crate) vocabulary: usize,
}

/// Rows of `tables`, summed over orders.
pub(crate) fn embedding(tape: &Tape, tables: &Tensor, lookup: Lookup) -> Result<Tensor> {
    tape.one(tables, EmbeddingOp { lookup })
}

/// Rows of `tables` for the tokens of each sequence from a position on, summed over orders; no backward pass.
pub(crate) fn continued<'a>(
    tables: &Tensor,
    vocabulary: usize,
    sequences: impl Iterator<Item = (&'a [u32], usize)>,
) -> Result<Tensor> {
    let (rows, width) = tables.dims2()?;
    let held = view(tables);
    let tables = held.values()?;
    let mut out = Vec::new();
    for (tokens, first) in sequences {
        check(tokens, vocabulary)?;
        for row in first..tokens.len() {
            let start = out.len();
            out.resize(start + width, 0.0);
            for order in 0..(rows / vocabulary).min(row + 1) {
                let from = order * vocabulary + tokens[row - order] as usize;
                add(&tables[from * width..][..width], &mut out[start..]);
            }
        }
    }
    let rows = out.len() / width;
    tensor(out, (rows, width))
}

fn check(tokens: &[u32], vocabulary: usize) -> Result<()> {
    match tokens.iter().find(|token| **token as usize >= vocabulary) {
        Some(token) => bail!("embedding: token {token} outside a vocabulary of {vocabulary}"),
        None => Ok(()),
    }
}

struct EmbeddingOp {
    lookup: Lookup,
}

impl Lookup {
    /// Pairs of output row and table row, output rows in order.
    fn pairs(&self, orders: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
        (0..self.tokens.len()).flat_map(move |row| {
            let reach = orders.min(row % self.context + 1);
            (0..reach).map(move |order| (row, order * self.vocabulary + self.tokens[row - order] as usize))
        })
    }
}

impl Traceable for EmbeddingOp {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)> {
        let Lookup { tokens, vocabulary, .. } = &self.lookup;
        Ok((Traced::Embedding { vocabulary: *vocabulary }, Shape::from((tokens.len(), inputs[0].dim(1)?))))
    }
}

impl CustomOp1 for EmbeddingOp {
    fn name(&self) -> &'static str {
        "embedding"
    }

    fn cpu_fwd(&self, tables: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (rows, width) = layout.shape().dims2()?;
        check(&self.lookup.tokens, self.lookup.vocabulary)?;
        let tables = operand(tables, layout)?;
        let tokens = self.lookup.tokens.len();
        let mut out = pool::zeros(tokens * width);
        for (row, from) in self.lookup.pairs(rows / self.lookup.vocabulary) {
            add(&tables[from * width..][..width], &mut out[row * width..][..width]);
        }
        Ok((CpuStorage::F32(out), Shape::from((tokens, width))))
    }

    fn bwd(&self, tables: &Tensor, _out: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let (rows, width) = tables.dims2()?;
        let held = view(gradient);
        let gradient = held.values()?;
        let mut sums = pool::zeros(rows * width);
        for (row, to) in self.lookup.pairs(rows / self.lookup.vocabulary) {
            add(&gradient[row * width..][..width], &mut sums[to * width..][..width]);
        }
        Ok(Some(tensor(sums, tables.shape())?))
    }
}

fn add(values: &[f32], onto: &mut [f32]) {
    for (sum, value) in onto.iter_mut().zip(values) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};

    use super::super::gradient_check::{assert_same, assert_slopes, variable};
    use super::*;

    // Two windows of four tokens over a vocabulary of five.
    const TOKENS: [u32; 8] = [1, 4, 1, 0, 3, 3, 2, 1];

    fn fused(tape: &Tape, v: &[Var]) -> Result<Tensor> {
        embedding(tape, &v[0], Lookup { tokens: Arc::from(TOKENS), context: 4, vocabulary: 5 })
    }

    /// Gathers each order by itself; tokens before the start of a window point at a row of zeros.
    fn plain(v: &[Var]) -> Result<Tensor> {
        let width = v[0].dim(1)?;
        let tables = Tensor::cat(&[v[0].as_tensor(), &Tensor::zeros((1, width), DType::F32, &Device::Cpu)?], 0)?;
        let zeros = v[0].dim(0)? as u32;
        let mut sum = Tensor::zeros((8, width), DType::F32, &Device::Cpu)?;
        for order in 0..v[0].dim(0)? / 5 {
            let row = |t: usize| if t % 4 < order { zeros } else { order as u32 * 5 + TOKENS[t - order] };
            let rows: Vec<u32> = (0..8).map(row).collect();
            sum = (sum + tables.index_select(&Tensor::new(rows, &Device::Cpu)?, 0)?)?;
        }
        Ok(sum)
    }

    #[test]
    fn equals_the_plain_composition_for_one_and_three_orders() {
        for orders in [1, 3] {
            assert_same(fused, plain, &[variable("tables", &[orders * 5, 6])]);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        assert_slopes(fused, &[variable("tables", &[15, 6])]);
    }

    #[test]
    fn refuses_a_token_outside_the_vocabulary() {
        let lookup = Lookup { tokens: Arc::from([5u32]), context: 1, vocabulary: 5 };
        assert!(embedding(&Tape::forward_only(), &variable("tables", &[5, 2]), lookup).is_err());
    }
}
