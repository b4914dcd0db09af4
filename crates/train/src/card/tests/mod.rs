//! The kernels and the plan under emulation, against the CPU's operations.

mod cuda;
mod operations;
mod runs;

use super::emulated::{Emulated, Unavailable};
use crate::fixture::note_skip;

/// A card whose threads go in this order; `None`, said aloud, where there is no C++ compiler.
fn emulated(order: i32) -> Option<Emulated> {
    match Emulated::new(order) {
        Ok(card) => Some(card),
        Err(Unavailable::NoCompiler) => {
            note_skip("CUDA kernels under emulation", "there is no C++ compiler");
            None
        }
        Err(Unavailable::Broken(problem)) => panic!("the kernels do not compile for the CPU:\n{problem}"),
    }
}
