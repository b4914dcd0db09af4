//! How each fused operation is tested: against the plain composition of candle, and against finite differences.

use candle_core::{Device, Result, Tensor, Var};

use super::tape::Tape;
use crate::init::normal;

/// A variable of normal deviates.
pub(crate) fn variable(name: &str, dims: &[usize]) -> Var {
    let values = normal(3, name, dims.iter().product(), 1.0);
    Var::from_tensor(&Tensor::from_vec(values, dims, &Device::Cpu).expect("sizes agree")).expect("a tensor")
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1()).expect("f32")
}

fn assert_close(ours: &Tensor, theirs: &Tensor, what: &str) {
    assert_eq!(ours.dims(), theirs.dims(), "{what}");
    for (index, (a, b)) in flat(ours).iter().zip(flat(theirs)).enumerate() {
        assert!((a - b).abs() <= 1e-5 * (1.0 + b.abs()), "{what}, value {index}: {a} against {b}");
    }
}

/// A fixed weighting of the output, so that the gradient differs from value to value.
fn weights_of(out: &Tensor) -> Tensor {
    variable("weights of the output", out.dims()).as_detached_tensor()
}

fn scalar(out: &Tensor) -> Tensor {
    (out * weights_of(out)).and_then(|product| product.sum_all()).expect("one shape")
}

/// Asserts that values and gradients equal those of the plain composition, to 1e-5.
pub(crate) fn assert_same(
    fused: impl Fn(&Tape, &[Var]) -> Result<Tensor>,
    plain: impl Fn(&[Var]) -> Result<Tensor>,
    variables: &[Var],
) {
    let tape = Tape::recording();
    let (ours, theirs) = (fused(&tape, variables).expect("fused"), plain(variables).expect("plain"));
    assert_close(&ours, &theirs, "output");
    let ours = tape.backward(&ours, weights_of(&ours)).expect("backward");
    let theirs = scalar(&theirs).backward().expect("backward");
    for (index, variable) in variables.iter().enumerate() {
        let (a, b) = (ours.get(variable), theirs.get(variable.as_tensor()));
        assert_close(a.expect("a gradient"), b.expect("a gradient"), &format!("gradient of variable {index}"));
    }
}

/// Asserts that gradients agree with central differences along a fixed direction, to 1 %.
///
/// The bound is that of f32: with values of order 1 and a step of 1e-2 the difference carries an error of about 1e-3.
pub(crate) fn assert_slopes(fused: impl Fn(&Tape, &[Var]) -> Result<Tensor>, variables: &[Var]) {
    let forward = |tape: &Tape| fused(tape, variables).expect("forward");
    let value = || f64::from(scalar(&forward(&Tape::forward_only())).to_scalar::<f32>().expect("a number"));
    let tape = Tape::recording();
    let out = forward(&tape);
    let gradients = tape.backward(&out, weights_of(&out)).expect("backward");
    for (index, variable) in variables.iter().enumerate() {
        let gradient = gradients.get(variable).expect("a gradient");
        // Along the gradient itself the slope is its norm, which no cancellation can hide.
        let norm = flat(gradient).iter().map(|g| f64::from(g * g)).sum::<f64>().sqrt();
        let direction = (gradient / norm).expect("not zero");
        let start = variable.as_tensor().copy().expect("a copy");
        let step = 1e-2;
        let moved = |factor: f64| {
            variable.set(&(&start + (&direction * factor).expect("scaled")).expect("moved")).expect("one shape");
            value()
        };
        let slope = (moved(step) - moved(-step)) / (2.0 * step);
        variable.set(&start).expect("one shape");
        assert!((slope / norm - 1.0).abs() < 1e-2, "variable {index}: slope {slope}, gradient {norm}");
    }
}
