//! The backward pass: a list of the fused operations that ran, walked from its end.
//!
//! candle's own walk adds each gradient to a fresh tensor of zeros, through a pool of threads of its own whose
//! barriers spin; on small models that is half of the time, and two runs at once slow each other down. The
//! operations are candle's `CustomOp`s still, with its tensors; the tape calls their `bwd` and adds in place.

use std::cell::RefCell;
use std::collections::HashMap;

use candle_core::{CpuStorage, CustomOp1, CustomOp2, CustomOp3, InplaceOp2, Layout, Result, Tensor, TensorId, bail};

use super::simd::multiversion;
use super::trace::{Traceable, TracedStep, placeholder};
use super::{operand, pool};

/// Runs operations, and remembers them if it records; or writes down what they would do, without doing it.
pub(crate) struct Tape {
    recorded: Option<RefCell<Vec<Recorded>>>,
    traced: Option<RefCell<Vec<TracedStep>>>,
}

struct Recorded {
    operation: Operation,
    inputs: Vec<Tensor>,
    output: Tensor,
}

enum Operation {
    One(Box<dyn CustomOp1>),
    Two(Box<dyn CustomOp2>),
    Three(Box<dyn CustomOp3>),
}

impl Tape {
    /// A tape for a forward and a backward pass.
    pub(crate) fn recording() -> Self {
        Self { recorded: Some(RefCell::new(Vec::new())), traced: None }
    }

    /// A tape for a forward pass alone.
    pub(crate) fn forward_only() -> Self {
        Self { recorded: None, traced: None }
    }

    /// A tape that computes nothing: what it is given and what it returns are shapes.
    pub(crate) fn tracing() -> Self {
        Self { recorded: None, traced: Some(RefCell::new(Vec::new())) }
    }

    /// What was traced, in its order.
    pub(crate) fn into_trace(self) -> Vec<TracedStep> {
        self.traced.map(RefCell::into_inner).unwrap_or_default()
    }

    pub(crate) fn one(&self, x: &Tensor, operation: impl CustomOp1 + Traceable + 'static) -> Result<Tensor> {
        if let Some(traced) = &self.traced {
            return trace(traced, &operation, &[x]);
        }
        let output = x.apply_op1_no_bwd(&operation)?;
        self.record(|| Operation::One(Box::new(operation)), &[x], &output);
        Ok(output)
    }

    pub(crate) fn two(&self, [x, y]: [&Tensor; 2], operation: impl CustomOp2 + Traceable + 'static) -> Result<Tensor> {
        if let Some(traced) = &self.traced {
            return trace(traced, &operation, &[x, y]);
        }
        let output = x.apply_op2_no_bwd(y, &operation)?;
        self.record(|| Operation::Two(Box::new(operation)), &[x, y], &output);
        Ok(output)
    }

    pub(crate) fn three(
        &self,
        [x, y, z]: [&Tensor; 3],
        operation: impl CustomOp3 + Traceable + 'static,
    ) -> Result<Tensor> {
        if let Some(traced) = &self.traced {
            return trace(traced, &operation, &[x, y, z]);
        }
        let output = x.apply_op3_no_bwd(y, z, &operation)?;
        self.record(|| Operation::Three(Box::new(operation)), &[x, y, z], &output);
        Ok(output)
    }

    fn record(&self, operation: impl FnOnce() -> Operation, inputs: &[&Tensor], output: &Tensor) {
        if let Some(recorded) = &self.recorded {
            let inputs = inputs.iter().copied().cloned().collect();
            recorded.borrow_mut().push(Recorded { operation: operation(), inputs, output: output.clone() });
        }
    }

    /// Gradients of everything that led to `output`, whose own gradient is given.
    pub(crate) fn backward(self, output: &Tensor, gradient: Tensor) -> Result<Gradients> {
        let mut gradients = Gradients(HashMap::from([(output.id(), gradient)]));
        let mut recorded = self.recorded.map(RefCell::into_inner).unwrap_or_default();
        while let Some(step) = recorded.pop() {
            if let Some(gradient) = gradients.0.remove(&step.output.id()) {
                let of_inputs = step.backward(&gradient)?;
                // A residual's gradient is the very tensor that came in.
                let handed_on = of_inputs.iter().flatten().any(|of_input| of_input.id() == gradient.id());
                for (input, gradient) in step.inputs.iter().zip(of_inputs) {
                    gradients.add(input, gradient)?;
                }
                if !handed_on && step.output.id() != output.id() {
                    pool::give_tensor(&gradient)?;
                }
            }
            // Everything that read this output has been walked already.
            if step.output.id() != output.id() {
                pool::give_tensor(&step.output)?;
            }
        }
        Ok(gradients)
    }
}

fn trace(traced: &RefCell<Vec<TracedStep>>, operation: &impl Traceable, inputs: &[&Tensor]) -> Result<Tensor> {
    let (operation, shape) = operation.trace(inputs)?;
    let output = placeholder(shape)?;
    let inputs = inputs.iter().copied().cloned().collect();
    traced.borrow_mut().push(TracedStep { operation, inputs, output: output.clone() });
    Ok(output)
}

impl Recorded {
    fn backward(&self, gradient: &Tensor) -> Result<[Option<Tensor>; 3]> {
        match (&self.operation, &self.inputs[..]) {
            (Operation::One(operation), [x]) => Ok([operation.bwd(x, &self.output, gradient)?, None, None]),
            (Operation::Two(operation), [x, y]) => {
                let (x, y) = operation.bwd(x, y, &self.output, gradient)?;
                Ok([x, y, None])
            }
            (Operation::Three(operation), [x, y, z]) => {
                let (x, y, z) = operation.bwd(x, y, z, &self.output, gradient)?;
                Ok([x, y, z])
            }
            _ => bail!("an operation was recorded with {} inputs", self.inputs.len()),
        }
    }
}

/// Gradients by tensor, of what no operation on the tape has made: the weights.
pub(crate) struct Gradients(HashMap<TensorId, Tensor>);

impl Gradients {
    /// The gradient of a tensor, if one reached it.
    pub(crate) fn get(&self, tensor: &Tensor) -> Option<&Tensor> {
        self.0.get(&tensor.id())
    }

    /// Adds the gradients of another shard to these.
    pub(crate) fn merge(&mut self, other: Self) -> Result<()> {
        for (id, gradient) in other.0 {
            match self.0.get(&id) {
                Some(sum) => {
                    sum.inplace_op2(&gradient, &AddOp)?;
                    pool::give_tensor(&gradient)?;
                }
                None => drop(self.0.insert(id, gradient)),
            }
        }
        Ok(())
    }

    /// Gives every buffer back, once all have been read.
    pub(crate) fn give_back(self) -> Result<()> {
        self.0.values().try_for_each(pool::give_tensor)
    }

    fn add(&mut self, tensor: &Tensor, gradient: Option<Tensor>) -> Result<()> {
        let Some(gradient) = gradient else { return Ok(()) };
        match self.0.get(&tensor.id()) {
            Some(sum) => {
                sum.inplace_op2(&gradient, &AddOp)?;
                pool::give_tensor(&gradient)
            }
            None => {
                self.0.insert(tensor.id(), gradient);
                Ok(())
            }
        }
    }
}

struct AddOp;

impl InplaceOp2 for AddOp {
    fn name(&self) -> &'static str {
        "add"
    }

    fn cpu_fwd(&self, sum: &mut CpuStorage, _: &Layout, values: &CpuStorage, layout: &Layout) -> Result<()> {
        let CpuStorage::F32(sum) = sum else { bail!("gradients must be f32") };
        add(operand(values, layout)?, sum);
        Ok(())
    }
}

multiversion! {
    /// Adds values onto a sum of the same length.
    pub(crate) fn add(values: &[f32], sum: &mut [f32]) = add_body
}

#[inline(always)]
fn add_body<const FUSED: bool>(values: &[f32], sum: &mut [f32]) {
    for (sum, value) in sum.iter_mut().zip(values) {
        *sum += value;
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_check::{assert_same, variable};
    use super::super::linear::{linear, linear_onto};
    use super::*;

    #[test]
    fn gradients_of_a_tensor_used_twice_add_up() {
        // x enters as residual and as input, and the weight is used twice.
        assert_same(
            |tape, v| linear(tape, &linear_onto(tape, &v[0], &v[0], &v[1])?, &v[1]),
            |v| (v[0].as_tensor() + v[0].matmul(&v[1].t()?)?)?.matmul(&v[1].t()?),
            &[variable("x", &[3, 8]), variable("weight", &[8, 8])],
        );
    }

    #[test]
    fn what_did_not_lead_to_the_output_has_no_gradient() {
        let tape = Tape::recording();
        let (x, used, unused) = (variable("x", &[3, 8]), variable("used", &[8, 8]), variable("unused", &[8, 8]));
        linear(&tape, &x, &unused).expect("forward");
        let out = linear(&tape, &x, &used).expect("forward");
        let gradients = tape.backward(&out, out.clone()).expect("backward");
        assert!(gradients.get(&used).is_some() && gradients.get(&unused).is_none());
    }
}
