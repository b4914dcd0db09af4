//! Buffers that are used again.
//!
//! A step makes and drops some hundred buffers of the same few lengths. An allocator hands large ones back to the system,
//! which clears their pages anew: up to a sixth of the time of a step. Here the tape gives a buffer back once nothing on
//! it is left to read it, and the next operation of that length takes it. What is kept is never more than was in use
//! at once; lengths differ between runs, and a process trains one run.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor};

static FREE: LazyLock<Mutex<HashMap<usize, Vec<Vec<f32>>>>> = LazyLock::new(Mutex::default);

/// Shorter buffers are left to the allocator, which has them at hand.
const SHORTEST: usize = 1024;

/// A buffer of this length, holding anything: who takes it must write all of it.
pub(crate) fn take(length: usize) -> Vec<f32> {
    kept(length).unwrap_or_else(|| vec![0.0; length])
}

/// A buffer of zeros.
pub(crate) fn zeros(length: usize) -> Vec<f32> {
    let Some(mut buffer) = kept(length) else { return vec![0.0; length] };
    buffer.fill(0.0);
    buffer
}

fn kept(length: usize) -> Option<Vec<f32>> {
    FREE.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&length)?.pop()
}

/// Takes back a buffer.
pub(crate) fn give(buffer: Vec<f32>) {
    if buffer.len() >= SHORTEST {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        free.entry(buffer.len()).or_default().push(buffer);
    }
}

/// Takes back the buffer of a tensor that nothing will read again; its copies, if there are any, are empty then.
pub(crate) fn give_tensor(tensor: &Tensor) -> Result<()> {
    if tensor.elem_count() >= SHORTEST { tensor.inplace_op1(&GiveOp) } else { Ok(()) }
}

struct GiveOp;

impl InplaceOp1 for GiveOp {
    fn name(&self) -> &'static str {
        "give"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
        if let CpuStorage::F32(values) = storage {
            give(std::mem::take(values));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tensor;
    use super::*;

    // Lengths that no other test uses: the buffers are those of the whole process.

    #[test]
    fn a_buffer_that_was_given_back_is_taken_again() {
        let tensor = tensor(vec![7.0; 10_007], 10_007).expect("a tensor");
        give_tensor(&tensor).expect("given");
        assert_eq!(take(10_007), vec![7.0; 10_007]);
        assert_eq!(take(10_007), vec![0.0; 10_007]);
    }

    #[test]
    fn zeros_are_zeros_whatever_the_buffer_held() {
        give(vec![3.0; 10_009]);
        assert_eq!(zeros(10_009), vec![0.0; 10_009]);
    }
}
