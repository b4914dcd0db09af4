//! Linear layers y = x·Wᵀ and y = r + x·Wᵀ, through the `gemm` crate.
//!
//! The residual is added inside the product, which saves a pass over the activations. Weights lie as (out, in).

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, bail};

use super::tape::Tape;
use super::trace::{Traceable, Traced};
use super::{operand, pool, tensor, view};

/// x·Wᵀ.
pub(crate) fn linear(tape: &Tape, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    tape.two([x, weight], LinearOp)
}

/// residual + x·Wᵀ.
pub(crate) fn linear_onto(tape: &Tape, residual: &Tensor, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    tape.three([residual, x, weight], LinearOntoOp)
}

struct LinearOp;

impl Traceable for LinearOp {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)> {
        let extent = Extent::of(inputs[0].layout(), inputs[1].layout())?;
        Ok((Traced::Linear, Shape::from((extent.rows, extent.output))))
    }
}

impl CustomOp2 for LinearOp {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let extent = Extent::of(x_layout, weight_layout)?;
        let out = extent.output(operand(x, x_layout)?, operand(weight, weight_layout)?);
        Ok((CpuStorage::F32(out), Shape::from((extent.rows, extent.output))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (x_gradient, weight_gradient) = gradients(x, weight, gradient)?;
        Ok((Some(x_gradient), Some(weight_gradient)))
    }
}

struct LinearOntoOp;

impl Traceable for LinearOntoOp {
    fn trace(&self, inputs: &[&Tensor]) -> Result<(Traced, Shape)> {
        let extent = Extent::of(inputs[1].layout(), inputs[2].layout())?;
        Ok((Traced::LinearOnto, Shape::from((extent.rows, extent.output))))
    }
}

impl CustomOp3 for LinearOntoOp {
    fn name(&self) -> &'static str {
        "linear-onto"
    }

    fn cpu_fwd(
        &self,
        residual: &CpuStorage,
        residual_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let extent = Extent::of(x_layout, weight_layout)?;
        let residual = operand(residual, residual_layout)?;
        let mut out = pool::take(residual.len());
        out.copy_from_slice(residual);
        if out.len() != extent.rows * extent.output {
            bail!("linear-onto: the residual has {} values, the product {}", out.len(), extent.rows * extent.output);
        }
        extent.add_output(operand(x, x_layout)?, operand(weight, weight_layout)?, &mut out);
        Ok((CpuStorage::F32(out), Shape::from((extent.rows, extent.output))))
    }

    fn bwd(
        &self,
        _residual: &Tensor,
        x: &Tensor,
        weight: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (x_gradient, weight_gradient) = gradients(x, weight, gradient)?;
        Ok((Some(gradient.clone()), Some(x_gradient), Some(weight_gradient)))
    }
}

fn gradients(x: &Tensor, weight: &Tensor, gradient: &Tensor) -> Result<(Tensor, Tensor)> {
    let extent = Extent::of(x.layout(), weight.layout())?;
    let [x_view, weight_view, gradient_view] = [x, weight, gradient].map(view);
    let gradient = gradient_view.values()?;
    let x_gradient = extent.input_gradient(gradient, weight_view.values()?);
    let weight_gradient = extent.weight_gradient(gradient, x_view.values()?);
    Ok((tensor(x_gradient, x.shape())?, tensor(weight_gradient, weight.shape())?))
}

#[derive(Clone, Copy)]
struct Extent {
    rows: usize,
    input: usize,
    output: usize,
}

impl Extent {
    fn of(x: &Layout, weight: &Layout) -> Result<Self> {
        let (rows, input) = x.shape().dims2()?;
        let (output, weight_input) = weight.shape().dims2()?;
        if input != weight_input {
            bail!("linear: rows of {input} against a weight for {weight_input}");
        }
        Ok(Self { rows, input, output })
    }

    fn output(self, x: &[f32], weight: &[f32]) -> Vec<f32> {
        let x = Matrix { values: x, row: self.input, column: 1 };
        let weight = Matrix { values: weight, row: 1, column: self.input };
        product([self.rows, self.output, self.input], x, weight)
    }

    fn add_output(self, x: &[f32], weight: &[f32], out: &mut [f32]) {
        let x = Matrix { values: x, row: self.input, column: 1 };
        let weight = Matrix { values: weight, row: 1, column: self.input };
        // SAFETY: `out` holds rows × output values; it is read and written by this call alone.
        unsafe { multiply([self.rows, self.output, self.input], x, weight, out.as_mut_ptr(), true) };
    }

    fn input_gradient(self, gradient: &[f32], weight: &[f32]) -> Vec<f32> {
        let gradient = Matrix { values: gradient, row: self.output, column: 1 };
        let weight = Matrix { values: weight, row: self.input, column: 1 };
        product([self.rows, self.input, self.output], gradient, weight)
    }

    fn weight_gradient(self, gradient: &[f32], x: &[f32]) -> Vec<f32> {
        let gradient = Matrix { values: gradient, row: 1, column: self.output };
        let x = Matrix { values: x, row: self.input, column: 1 };
        product([self.output, self.input, self.rows], gradient, x)
    }
}

#[derive(Clone, Copy)]
struct Matrix<'a> {
    values: &'a [f32],
    row: usize,
    column: usize,
}

/// A fresh matrix of `[rows, columns]`, the product over `depth`.
fn product([rows, columns, depth]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>) -> Vec<f32> {
    let mut out = pool::take(rows * columns);
    // SAFETY: `out` holds rows × columns values; `multiply` without adding writes every one of these and reads none.
    unsafe { multiply([rows, columns, depth], a, b, out.as_mut_ptr(), false) };
    out
}

/// # Safety
///
/// `out` must be valid for writing `rows × columns` values, and hold them already when `add` is set.
unsafe fn multiply([rows, columns, depth]: [usize; 3], a: Matrix<'_>, b: Matrix<'_>, out: *mut f32, add: bool) {
    assert!((rows - 1) * a.row + (depth - 1) * a.column < a.values.len());
    assert!((depth - 1) * b.row + (columns - 1) * b.column < b.values.len());
    let [a_row, a_column, b_row, b_column] = [a.row, a.column, b.row, b.column].map(|stride| stride as isize);
    let kept = if add { 1.0 } else { 0.0 };
    // SAFETY: the asserts bound every element read; the caller vouches for `out`.
    unsafe {
        gemm::gemm::<f32>(
            rows,
            columns,
            depth,
            out,
            1,
            columns as isize,
            add,
            a.values.as_ptr(),
            a_column,
            a_row,
            b.values.as_ptr(),
            b_column,
            b_row,
            kept,
            1.0,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Var;

    use super::super::gradient_check::{assert_same, assert_slopes, variable};
    use super::*;

    fn onto(tape: &Tape, v: &[Var]) -> Result<Tensor> {
        linear_onto(tape, &v[2], &v[0], &v[1])
    }

    #[test]
    fn equals_the_plain_composition() {
        for (rows, input, output) in [(1, 8, 8), (9, 16, 48), (70, 43, 24)] {
            let variables = [
                variable("x", &[rows, input]),
                variable("weight", &[output, input]),
                variable("residual", &[rows, output]),
            ];
            assert_same(|tape, v| linear(tape, &v[0], &v[1]), |v| v[0].matmul(&v[1].t()?), &variables[..2]);
            assert_same(onto, |v| &v[0].matmul(&v[1].t()?)? + v[2].as_tensor(), &variables);
        }
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        assert_slopes(onto, &[variable("x", &[9, 16]), variable("weight", &[8, 16]), variable("residual", &[9, 8])]);
    }

    #[test]
    fn refuses_rows_of_another_width() {
        assert!(linear(&Tape::forward_only(), &variable("x", &[3, 4]), &variable("weight", &[2, 5])).is_err());
    }
}
