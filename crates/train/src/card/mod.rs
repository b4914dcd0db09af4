//! Training on a card: the plan of a step, and the devices that can carry it out.
//!
//! A family's forward pass is traced once ([`Trace`](crate::model::Trace)) and turned into lists of kernel launches and
//! matrix products over buffers that are laid out beforehand ([`plan`]). A step allocates nothing, so that its memory is
//! known before it is asked for and its launches can be replayed as one graph. [`trainer`] carries runs out.
//!
//! Whoever carries the lists out is a [`Card`]: a CUDA device, or its emulation on the CPU, which runs the very same
//! kernels and plan wherever there is a C++ compiler. The kernels are the `.cuh` files beside this one.

mod arena;
#[cfg(any(test, feature = "cuda", feature = "emulation"))]
mod compare;
mod counting;
#[cfg(feature = "cuda")]
pub(crate) mod cuda;
#[cfg(any(test, feature = "emulation"))]
pub(crate) mod emulated;
mod launches;
#[cfg(any(test, feature = "cuda"))]
pub(crate) mod listed;
mod plan;
#[cfg(test)]
mod tests;
mod trainer;

#[cfg(any(test, feature = "cuda", feature = "emulation"))]
pub use compare::Agreement;
#[cfg(any(test, feature = "cuda", feature = "emulation"))]
pub(crate) use compare::compare;
pub(crate) use counting::memory_bytes;
pub(crate) use trainer::{OnCard, Setting, Taken};

#[cfg(any(test, feature = "cuda", feature = "emulation"))]
use crate::error::TrainError;

/// How a card's note begins that its steps are not replayed as one graph.
#[cfg(any(test, feature = "cuda", feature = "emulation"))]
pub(crate) const ONE_BY_ONE: &str = "launched one by one, because no graph of a step could be made";

/// Where a buffer lies on a card.
pub(crate) type Address = u64;

/// Format of the values of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    F32,
    Bf16,
}

impl Format {
    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// The ending of a kernel's name.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// What a kernel is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Argument {
    Address(Address),
    Int(i32),
    Float(f32),
}

/// One launch of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Launch {
    pub(crate) kernel: String,
    pub(crate) grid: [u32; 3],
    pub(crate) threads: u32,
    pub(crate) shared_bytes: u32,
    pub(crate) arguments: Vec<Argument>,
}

/// A matrix in memory, column by column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) address: Address,
    /// Values from one column to the next.
    pub(crate) leading: usize,
    pub(crate) format: Format,
    pub(crate) transposed: bool,
}

/// A matrix product as BLAS words it, column by column: C (m × n) = A (m × k) · B (k × n), added to C where asked for.
/// Sums are f32.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Product {
    /// m, n and k.
    pub(crate) extent: [usize; 3],
    pub(crate) a: Matrix,
    pub(crate) b: Matrix,
    pub(crate) c: Matrix,
    pub(crate) add: bool,
    /// Whether f32 operands may be rounded to TensorFloat-32.
    pub(crate) tf32: bool,
}

/// One thing to do on a card.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Work {
    Launch(Launch),
    Product(Product),
    Zero { address: Address, bytes: u64 },
    Copy { from: Address, to: Address, bytes: u64 },
}

/// A list of work that a card has taken in, by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Program(pub(crate) usize);

/// Why a card did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CardError {
    OutOfMemory { free_bytes: Option<u64> },
    Failed(String),
}

impl CardError {
    /// The error of a device that could not do what it was asked, before a run was laid out on it.
    #[cfg(any(test, feature = "cuda", feature = "emulation"))]
    pub(crate) fn on(self, device: &str) -> TrainError {
        match self {
            Self::OutOfMemory { free_bytes } => TrainError::OutOfMemory {
                device: device.to_owned(),
                needed_bytes: None,
                free_bytes,
                accumulate: 1,
                sequences: 1,
            },
            Self::Failed(problem) => TrainError::Device {
                problem: format!("`{device}`: {problem}"),
                hint: "run `forescale doctor`; `--device cpu` trains without a card".to_owned(),
            },
        }
    }
}

/// A device that trains: memory, and lists of work that are done in their order.
pub(crate) trait Card {
    /// A buffer of so many bytes, aligned to 256, holding anything.
    fn allocate(&mut self, bytes: u64) -> Result<Address, CardError>;

    /// Copies to the card, after all work before.
    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CardError>;

    /// Copies from the card, once all work before is done.
    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CardError>;

    /// Takes in a list of work.
    fn prepare(&mut self, works: Vec<Work>) -> Result<Program, CardError>;

    /// Does a list of work.
    fn execute(&mut self, program: Program) -> Result<(), CardError>;

    /// Bytes that are free, where the card tells.
    fn free_bytes(&self) -> Option<u64> {
        None
    }

    /// What a reader of the record should know of how work was done.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Bytes of values, little-endian, as a card holds them.
pub(crate) fn bytes_of<const N: usize, T: Copy>(values: &[T], to_bytes: fn(T) -> [u8; N]) -> Vec<u8> {
    values.iter().flat_map(|value| to_bytes(*value)).collect()
}
