//! A card on the CPU: the kernels compiled by the machine's C++ compiler and run thread by thread (`emulation.cpp`).
//!
//! It is slow and meant for tests and dry runs. Buffers hold NaN until they are written and lie between guards that are
//! looked at after each launch, so that reading what nobody wrote shows in the numbers, and writing beside a buffer is an
//! error that names the kernel. Needs a Unix with a C++ compiler (`$CXX`, `c++`, `g++` or `clang++`).

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::compare::{from_bytes, to_bytes};
use super::counting::taken;
use super::{Address, Argument, Card, CardError, Launch, Matrix, Product, Program, Work};

const SOURCES: [(&str, &str); 6] = [
    ("emulation.cpp", include_str!("emulation.cpp")),
    ("kernels.cu", include_str!("kernels.cu")),
    ("attention.cuh", include_str!("attention.cuh")),
    ("rows.cuh", include_str!("rows.cuh")),
    ("weights.cuh", include_str!("weights.cuh")),
    ("words.h", include_str!("words.h")),
];

/// Bytes of a guard on each side of a buffer.
const GUARD: usize = 256;

/// What memory holds before it is written: NaN in every format.
const POISON: u8 = 0xff;

type Emulate = unsafe extern "C" fn(
    *const c_char,
    *const c_uint,
    c_uint,
    c_uint,
    *mut *mut c_void,
    c_uint,
    c_int,
) -> *const c_char;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> *mut c_void;
    fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    fn dlerror() -> *const c_char;
}

/// The kernels, compiled once per process; one launch at a time.
static KERNELS: OnceLock<Result<Mutex<Emulate>, Unavailable>> = OnceLock::new();

/// Why there is no emulation here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// No C++ compiler was found; tests skip.
    NoCompiler,
    /// The kernels do not compile; tests fail.
    Broken(String),
}

fn kernels() -> Result<&'static Mutex<Emulate>, Unavailable> {
    KERNELS.get_or_init(|| compile().map(Mutex::new)).as_ref().map_err(Clone::clone)
}

fn compile() -> Result<Emulate, Unavailable> {
    let broken = |problem: String| Unavailable::Broken(problem);
    let folder = std::env::temp_dir().join(format!("forescale-emulation-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| broken(error.to_string()))?;
    for (name, text) in SOURCES {
        std::fs::write(folder.join(name), text).map_err(|error| broken(error.to_string()))?;
    }
    let library = folder.join("kernels.so");
    let options = ["-std=c++17", "-O2", "-fPIC", "-shared", "-U_FORTIFY_SOURCE", "-fno-strict-aliasing"];
    let output = Command::new(compiler().ok_or(Unavailable::NoCompiler)?)
        .args(options)
        .arg(folder.join("emulation.cpp"))
        .arg("-o")
        .arg(&library)
        .output()
        .map_err(|error| broken(error.to_string()))?;
    if !output.status.success() {
        return Err(broken(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let entry = open(&library.to_string_lossy()).map_err(broken)?;
    // The library stays mapped; nothing reads the files again.
    std::fs::remove_dir_all(&folder).ok();
    Ok(entry)
}

fn compiler() -> Option<String> {
    let asked = std::env::var("CXX").ok().into_iter();
    let works =
        |name: &String| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success());
    asked.chain(["c++", "g++", "clang++"].map(str::to_owned)).find(works)
}

fn open(path: &str) -> Result<Emulate, String> {
    const NOW: c_int = 2;
    let path = CString::new(path).map_err(|error| error.to_string())?;
    // SAFETY: both names are strings that end in zero; the library is ours and defines `emulate` with this signature.
    unsafe {
        let library = dlopen(path.as_ptr(), NOW);
        let entry = if library.is_null() { library } else { dlsym(library, c"emulate".as_ptr()) };
        if entry.is_null() {
            return Err(CStr::from_ptr(dlerror()).to_string_lossy().into_owned());
        }
        Ok(std::mem::transmute::<*mut c_void, Emulate>(entry))
    }
}

/// The emulated card.
pub(crate) struct Emulated {
    kernels: &'static Mutex<Emulate>,
    /// In which order threads and blocks go: 0 forward, 1 backward, from 2 on the seed of a shuffle.
    order: i32,
    /// Bytes it pretends to have.
    capacity: u64,
    buffers: Vec<Vec<u8>>,
    programs: Vec<Vec<Work>>,
}

impl Emulated {
    /// A card whose threads go in this order.
    pub(crate) fn new(order: i32) -> Result<Self, Unavailable> {
        Ok(Self { kernels: kernels()?, order, capacity: u64::MAX, buffers: Vec::new(), programs: Vec::new() })
    }

    /// The same with so little memory.
    #[cfg(test)]
    pub(crate) fn with_capacity(self, capacity: u64) -> Self {
        Self { capacity, ..self }
    }

    fn used(&self) -> u64 {
        self.buffers.iter().map(|buffer| taken((buffer.len() - 2 * GUARD) as u64)).sum()
    }

    /// The bytes at an address, which must lie within one buffer.
    fn slice(&mut self, address: Address, bytes: usize) -> Result<&mut [u8], CardError> {
        let found = self.buffers.iter_mut().find_map(|buffer| {
            let start = (address as usize).checked_sub(buffer.as_ptr() as usize)?;
            (start >= GUARD && start + bytes + GUARD <= buffer.len()).then(|| &mut buffer[start..start + bytes])
        });
        found.ok_or_else(|| CardError::Failed(format!("{bytes} bytes at {address:#x} lie in no buffer")))
    }

    fn launch(&self, launch: &Launch) -> Result<(), CardError> {
        let name = CString::new(launch.kernel.clone()).expect("a kernel's name has no zero");
        let mut values: Vec<u64> = launch.arguments.iter().map(bits).collect();
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let emulate = self.kernels.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the arguments are as many as the kernel takes (it checks) and lie in memory that outlives the call; what
        // they point at are buffers of this card.
        let problem = unsafe {
            emulate(
                name.as_ptr(),
                launch.grid.as_ptr(),
                launch.threads,
                launch.shared_bytes,
                pointers.as_mut_ptr(),
                pointers.len() as c_uint,
                self.order,
            )
        };
        if problem.is_null() {
            return Ok(());
        }
        // SAFETY: what comes back is a constant string.
        let problem = unsafe { CStr::from_ptr(problem) }.to_string_lossy().into_owned();
        Err(CardError::Failed(format!("kernel `{}`: {problem}", launch.kernel)))
    }

    fn multiply(&mut self, product: &Product) -> Result<(), CardError> {
        let [m, n, k] = product.extent;
        let (a, b) = (self.matrix(product.a, [m, k])?, self.matrix(product.b, [k, n])?);
        let c = product.c;
        let mut out = if product.add { self.matrix(c, [m, n])? } else { vec![0.0; m * n] };
        for column in 0..n {
            for inner in 0..k {
                let factor = b[column * k + inner];
                let from = &a[inner * m..(inner + 1) * m];
                for (sum, value) in out[column * m..(column + 1) * m].iter_mut().zip(from) {
                    *sum += value * factor;
                }
            }
        }
        for column in 0..n {
            let address = c.address + (column * c.leading) as u64 * c.format.bytes();
            let bytes = self.slice(address, m * c.format.bytes() as usize)?;
            bytes.copy_from_slice(&to_bytes(&out[column * m..(column + 1) * m], c.format));
        }
        Ok(())
    }

    /// The values of a matrix as it enters the product, column by column.
    fn matrix(&mut self, matrix: Matrix, [rows, columns]: [usize; 2]) -> Result<Vec<f32>, CardError> {
        let (stored_rows, stored_columns) = if matrix.transposed { (columns, rows) } else { (rows, columns) };
        let width = matrix.format.bytes();
        let mut stored = Vec::with_capacity(rows * columns);
        for column in 0..stored_columns {
            let address = matrix.address + (column * matrix.leading) as u64 * width;
            stored.extend(from_bytes(self.slice(address, stored_rows * width as usize)?, matrix.format));
        }
        if !matrix.transposed {
            return Ok(stored);
        }
        let turned = |index: usize| stored[(index % rows) * stored_rows + index / rows];
        Ok((0..rows * columns).map(turned).collect())
    }

    fn work(&mut self, work: &Work) -> Result<(), CardError> {
        match work {
            Work::Launch(launch) => self.launch(launch),
            Work::Product(product) => self.multiply(product),
            Work::Zero { address, bytes } => {
                self.slice(*address, *bytes as usize)?.fill(0);
                Ok(())
            }
            Work::Copy { from, to, bytes } => {
                let copy = self.slice(*from, *bytes as usize)?.to_vec();
                self.slice(*to, *bytes as usize)?.copy_from_slice(&copy);
                Ok(())
            }
        }?;
        let whole = |guard: &[u8]| guard.iter().all(|byte| *byte == POISON);
        let damaged = |buffer: &Vec<u8>| !whole(&buffer[..GUARD]) || !whole(&buffer[buffer.len() - GUARD..]);
        match self.buffers.iter().position(damaged) {
            None => Ok(()),
            Some(index) => Err(CardError::Failed(format!("{work:?} wrote beside buffer {index}"))),
        }
    }
}

/// An argument as a kernel finds it in memory, little-endian.
fn bits(argument: &Argument) -> u64 {
    match argument {
        Argument::Address(address) => *address,
        Argument::Int(value) => u64::from(value.cast_unsigned()),
        Argument::Float(value) => u64::from(value.to_bits()),
    }
}

impl Card for Emulated {
    fn allocate(&mut self, bytes: u64) -> Result<Address, CardError> {
        let free = self.capacity - self.used().min(self.capacity);
        if taken(bytes) > free {
            return Err(CardError::OutOfMemory { free_bytes: Some(free) });
        }
        let buffer = vec![POISON; bytes as usize + 2 * GUARD];
        let address = buffer.as_ptr() as Address + GUARD as u64;
        self.buffers.push(buffer);
        Ok(address)
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CardError> {
        self.slice(to, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CardError> {
        bytes.copy_from_slice(self.slice(from, bytes.len())?);
        Ok(())
    }

    fn prepare(&mut self, works: Vec<Work>) -> Result<Program, CardError> {
        self.programs.push(works);
        Ok(Program(self.programs.len() - 1))
    }

    fn execute(&mut self, program: Program) -> Result<(), CardError> {
        let works = std::mem::take(&mut self.programs[program.0]);
        let done = works.iter().try_for_each(|work| self.work(work));
        self.programs[program.0] = works;
        done
    }
}
