//! A CUDA device: buffers, our kernels and cuBLAS on one stream, whose lists of work are replayed as graphs.
//!
//! A list is done one launch after another the first time, which loads what it needs; it is captured as a graph the second
//! time, and from then on it is one launch. Where a capture fails the list goes on one by one, and the record says so.

use std::collections::HashMap;
use std::ffi::c_void;
use std::mem::ManuallyDrop;
use std::sync::Arc;

use candle_core::cuda_backend::cudarc::cublas::result::CublasError;
use candle_core::cuda_backend::cudarc::cublas::{CudaBlas, result as blas, sys as blas_sys};
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaGraph, CudaModule, CudaStream, DriverError, result as driver, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;

use super::listed::{Listed, Unlisted, check_driver, uuid};
use super::{Address, Argument, Card, CardError, Format, Launch, Matrix, ONE_BY_ONE, Product, Program, Work};

/// Our kernels, compiled by the build script: for one kind of card as it takes them, for later ones to be compiled further.
const KERNELS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/kernels.fatbin"));

/// Working memory of matrix products, which a graph must not allocate: what NVIDIA recommends for Hopper.
const PRODUCT_WORKSPACE_BYTES: usize = 32 << 20;

/// Bytes on their way to the card that are kept before the card is waited for. Chosen here: many steps' tokens, and little
/// beside a model's weights.
const MOST_IN_FLIGHT: usize = 16 << 20;

/// With less memory free than this, whatever a library could not do is put down to that.
const HARDLY_ANY_FREE: u64 = 64 << 20;

/// With less memory free than this, it is why cuBLAS does not start. Chosen here: several times what it keeps.
const TOO_LITTLE_TO_START: u64 = 1 << 30;

/// Shared memory that a block may have without asking.
const SHARED_WITHOUT_ASKING: u32 = 48 << 10;

/// Memory of a card, bytes: what is free, and all of it; or what the driver said when the card was opened to ask.
pub(crate) fn memory(number: usize) -> Result<(u64, u64), String> {
    let asked = CudaContext::new(number).and_then(|context| context.mem_get_info());
    asked.map(|(free, total)| (free as u64, total as u64)).map_err(words)
}

/// The cards that this process may use in the order of their numbers, none of them opened.
pub(crate) fn listed() -> Result<Vec<Listed>, Unlisted> {
    check_driver(driver_version()?, sys::CUDA_VERSION.cast_signed())?;
    let count = match CudaContext::device_count() {
        Ok(count) => count,
        // What the driver says where there are cards and none of them is for this process.
        Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => 0,
        Err(error) => return Err(silent(error)),
    };
    (0..count).map(|number| list(number).map_err(silent)).collect()
}

fn list(number: i32) -> Result<Listed, DriverError> {
    use sys::CUdevice_attribute_enum as Attribute;
    let device = driver::device::get(number)?;
    // SAFETY: the device is one that the driver has just given.
    let attribute = |of| unsafe { driver::device::get_attribute(device, of) };
    let capability = (
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
        attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
    );
    let bytes = driver::device::get_uuid(device)?.bytes.map(|byte| byte as u8);
    Ok(Listed { uuid: uuid(bytes), kind: driver::device::get_name(device)?, capability })
}

/// The newest CUDA that the driver runs, as it counts: 13000 for 13.0.
fn driver_version() -> Result<i32, Unlisted> {
    let mut version = 0;
    // SAFETY: the driver writes one number there; it may be asked before it is started.
    unsafe { sys::cuDriverGetVersion(&raw mut version) }.result().map_err(silent)?;
    Ok(version)
}

fn silent(error: DriverError) -> Unlisted {
    if error.0 == sys::CUresult::CUDA_ERROR_STUB_LIBRARY {
        return Unlisted {
            problem: "the `libcuda.so.1` that was found is one to link with, and no driver".to_owned(),
            hint: "take the folder `stubs` off LD_LIBRARY_PATH".to_owned(),
        };
    }
    Unlisted {
        problem: format!("no NVIDIA driver answers: {}", words(error)),
        hint: "see whether `nvidia-smi` answers; `--device cpu` trains without a card".to_owned(),
    }
}

/// What failed, in the driver's words and by its name for it.
fn words(error: DriverError) -> String {
    let (words, name) = (error.error_string(), error.error_name());
    match (words, name) {
        (Ok(words), Ok(name)) => format!("{} ({})", words.to_string_lossy(), name.to_string_lossy()),
        _ => format!("CUDA's error {}", error.0 as u32),
    }
}

/// A card opened for one run.
pub(crate) struct Cuda {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    /// Dropped with a card that works, and left alone with one that failed: there it could not be ended without a panic.
    blas: ManuallyDrop<CudaBlas>,
    module: Arc<CudaModule>,
    functions: HashMap<String, CudaFunction>,
    buffers: Vec<Address>,
    /// Bytes that the card may still be copying.
    in_flight: Vec<Vec<u8>>,
    programs: Vec<Prepared>,
    notes: Vec<String>,
}

struct Prepared {
    works: Vec<Work>,
    replay: Replay,
}

/// How a list of work is done the next time.
enum Replay {
    /// One by one: what it needs is loaded.
    First,
    /// Captured, then launched.
    Capture,
    /// As one launch.
    Graph(CudaGraph),
    /// One by one, because a capture failed.
    Never,
}

fn free() -> Option<u64> {
    driver::mem_get_info().ok().map(|(free, _)| free as u64)
}

fn failed(error: DriverError) -> CardError {
    if error.0 == sys::CUresult::CUDA_ERROR_OUT_OF_MEMORY {
        return CardError::OutOfMemory { free_bytes: free() };
    }
    CardError::Failed(words(error))
}

/// The same, where the driver's words alone do not say what failed.
fn failed_at(what: &str, error: DriverError) -> CardError {
    match failed(error) {
        CardError::Failed(problem) => CardError::Failed(format!("{what}: {problem}")),
        memory @ CardError::OutOfMemory { .. } => memory,
    }
}

fn product_failed(error: CublasError) -> CardError {
    let free_bytes = free();
    if is_for_want_of_memory(error.0, free_bytes) {
        return CardError::OutOfMemory { free_bytes };
    }
    CardError::Failed(format!("cuBLAS: {error:?}"))
}

/// Whether cuBLAS failed because memory was short, which it often calls something else.
fn is_for_want_of_memory(status: blas_sys::cublasStatus_t, free_bytes: Option<u64>) -> bool {
    let below = |bound| free_bytes.is_some_and(|free| free < bound);
    match status {
        blas_sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED => true,
        // What making a handle says when its own buffers find no room.
        blas_sys::cublasStatus_t::CUBLAS_STATUS_NOT_INITIALIZED => below(TOO_LITTLE_TO_START),
        _ => below(HARDLY_ANY_FREE),
    }
}

impl Cuda {
    /// Opens a card by its number.
    pub(crate) fn open(number: usize) -> Result<Self, CardError> {
        let context = CudaContext::new(number).map_err(failed)?;
        // SAFETY: everything of a card goes through its one stream, in order.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(failed)?;
        let module = context.load_module(Ptx::from_binary(KERNELS.to_vec())).map_err(|error| {
            failed_at("the card does not take the kernels, which are built for compute capability 8.0 or later", error)
        })?;
        let blas = ManuallyDrop::new(CudaBlas::new(stream.clone()).map_err(product_failed)?);
        let mut card = Self {
            context,
            stream,
            blas,
            module,
            functions: HashMap::new(),
            buffers: Vec::new(),
            in_flight: Vec::new(),
            programs: Vec::new(),
            notes: Vec::new(),
        };
        let workspace = card.allocate(PRODUCT_WORKSPACE_BYTES as u64)?;
        let handle = *card.blas.handle();
        // SAFETY: the buffer lives as long as the handle: both belong to this card, and only dropping frees it.
        unsafe { blas_sys::cublasSetWorkspace_v2(handle, workspace as *mut c_void, PRODUCT_WORKSPACE_BYTES) }
            .result()
            .map_err(product_failed)?;
        // Sums that are split over blocks are f32, too; TensorFloat-32 is asked for by each product that may use it.
        let sums = blas_sys::cublasMath_t::CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION;
        // SAFETY: the handle is this card's.
        unsafe { blas_sys::cublasSetMathMode(handle, sums) }.result().map_err(product_failed)?;
        Ok(card)
    }

    /// Finds a kernel once, and lets it have the shared memory that it will ask for.
    fn find(&mut self, launch: &Launch) -> Result<(), CardError> {
        if self.functions.contains_key(&launch.kernel) {
            return Ok(());
        }
        let function = self
            .module
            .load_function(&launch.kernel)
            .map_err(|error| failed_at(&format!("kernel `{}`", launch.kernel), error))?;
        if launch.shared_bytes > SHARED_WITHOUT_ASKING {
            let most = sys::CUfunction_attribute_enum::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(most, launch.shared_bytes as i32).map_err(failed)?;
        }
        self.functions.insert(launch.kernel.clone(), function);
        Ok(())
    }

    fn do_one(&self, work: &Work) -> Result<(), CardError> {
        let stream = self.stream.cu_stream();
        // SAFETY: addresses and extents come from the plan, whose buffers this card allocated and keeps until it is dropped.
        unsafe {
            match work {
                Work::Launch(launch) => self.launch(launch),
                Work::Product(product) => self.multiply(product),
                Work::Zero { address, bytes } => {
                    driver::memset_d8_async(*address, 0, *bytes as usize, stream).map_err(failed)
                }
                Work::Copy { from, to, bytes } => {
                    driver::memcpy_dtod_async(*to, *from, *bytes as usize, stream).map_err(failed)
                }
            }
        }
    }

    /// # Safety
    ///
    /// The arguments must be those of the kernel, and point at buffers of this card.
    unsafe fn launch(&self, launch: &Launch) -> Result<(), CardError> {
        let function = &self.functions[&launch.kernel];
        let mut values: Vec<u64> = launch.arguments.iter().map(bits).collect();
        let mut pointers: Vec<*mut c_void> = values.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        let [x, y, z] = launch.grid;
        // SAFETY: the caller's; the values outlive the call, which copies them.
        unsafe {
            driver::launch_kernel(
                function.cu_function(),
                (x, y, z),
                (launch.threads, 1, 1),
                launch.shared_bytes,
                self.stream.cu_stream(),
                &mut pointers,
            )
        }
        .map_err(|error| failed_at(&format!("kernel `{}`", launch.kernel), error))
    }

    /// # Safety
    ///
    /// The matrices must lie in buffers of this card.
    unsafe fn multiply(&self, product: &Product) -> Result<(), CardError> {
        let [m, n, k] = product.extent.map(|extent| extent as i32);
        let (one, onto) = (1.0f32, if product.add { 1.0f32 } else { 0.0 });
        let compute = if product.tf32 {
            blas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32
        } else {
            blas_sys::cublasComputeType_t::CUBLAS_COMPUTE_32F
        };
        let Product { a, b, c, .. } = *product;
        // SAFETY: the caller's; the two factors outlive the call, which reads them.
        unsafe {
            blas::gemm_ex(
                *self.blas.handle(),
                operation(a),
                operation(b),
                m,
                n,
                k,
                (&raw const one).cast(),
                a.address as *const c_void,
                data_type(a.format),
                a.leading as i32,
                b.address as *const c_void,
                data_type(b.format),
                b.leading as i32,
                (&raw const onto).cast(),
                c.address as *mut c_void,
                data_type(c.format),
                c.leading as i32,
                compute,
                blas_sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(product_failed)
    }

    fn one_by_one(&self, works: &[Work]) -> Result<(), CardError> {
        works.iter().try_for_each(|work| self.do_one(work))
    }

    /// A list as one graph, or what is against it.
    fn capture(&self, works: &[Work]) -> Result<CudaGraph, String> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(|error| error.to_string())?;
        let done = self.one_by_one(works);
        // A capture is ended whether or not it went well, or the stream stays in it.
        let graph = self.stream.end_capture(sys::CUgraphInstantiate_flags(0));
        match (done, graph) {
            (Ok(()), Ok(Some(graph))) => Ok(graph),
            (Err(CardError::Failed(problem)), _) => Err(problem),
            (Err(CardError::OutOfMemory { .. }), _) => Err("out of memory".to_owned()),
            (Ok(()), Ok(None)) => Err("nothing was captured".to_owned()),
            (Ok(()), Err(error)) => Err(error.to_string()),
        }
    }

    fn execute_prepared(&mut self, prepared: &mut Prepared) -> Result<(), CardError> {
        if let Replay::Capture = prepared.replay {
            prepared.replay = match self.capture(&prepared.works) {
                Ok(graph) => Replay::Graph(graph),
                Err(problem) => {
                    let note = format!("{ONE_BY_ONE}: {problem}");
                    if !self.notes.contains(&note) {
                        self.notes.push(note);
                    }
                    Replay::Never
                }
            };
        }
        match &prepared.replay {
            Replay::Graph(graph) => graph.launch().map_err(failed),
            _ => self.one_by_one(&prepared.works),
        }?;
        if let Replay::First = prepared.replay {
            prepared.replay = Replay::Capture;
        }
        Ok(())
    }

    /// Waits until all work is done; what was on its way to the card is there then.
    fn wait(&mut self) -> Result<(), CardError> {
        self.stream.synchronize().map_err(failed)?;
        self.in_flight.clear();
        Ok(())
    }

    fn make_current(&self) -> Result<(), CardError> {
        self.context.bind_to_thread().map_err(failed)
    }
}

fn bits(argument: &Argument) -> u64 {
    match argument {
        Argument::Address(address) => *address,
        Argument::Int(value) => u64::from(value.cast_unsigned()),
        Argument::Float(value) => u64::from(value.to_bits()),
    }
}

fn operation(matrix: Matrix) -> blas_sys::cublasOperation_t {
    if matrix.transposed { blas_sys::cublasOperation_t::CUBLAS_OP_T } else { blas_sys::cublasOperation_t::CUBLAS_OP_N }
}

fn data_type(format: Format) -> blas_sys::cudaDataType {
    match format {
        Format::F32 => blas_sys::cudaDataType::CUDA_R_32F,
        Format::Bf16 => blas_sys::cudaDataType::CUDA_R_16BF,
    }
}

impl Card for Cuda {
    fn allocate(&mut self, bytes: u64) -> Result<Address, CardError> {
        self.make_current()?;
        // SAFETY: the buffer is freed once, when the card is dropped.
        let address = unsafe { driver::malloc_sync(bytes.max(1) as usize) }.map_err(failed)?;
        self.buffers.push(address);
        Ok(address)
    }

    fn write(&mut self, to: Address, bytes: &[u8]) -> Result<(), CardError> {
        self.make_current()?;
        self.in_flight.push(bytes.to_vec());
        let held = self.in_flight.last().expect("just pushed");
        // SAFETY: `to` is a buffer of this card, with room for the bytes, which are kept until the stream is done with them.
        unsafe { driver::memcpy_htod_async(to, held, self.stream.cu_stream()) }.map_err(failed)?;
        if self.in_flight.iter().map(Vec::len).sum::<usize>() > MOST_IN_FLIGHT { self.wait() } else { Ok(()) }
    }

    fn read(&mut self, from: Address, bytes: &mut [u8]) -> Result<(), CardError> {
        self.make_current()?;
        // SAFETY: `from` is a buffer of this card that holds so many bytes; they are there once the stream is done.
        unsafe { driver::memcpy_dtoh_async(bytes, from, self.stream.cu_stream()) }.map_err(failed)?;
        self.wait()
    }

    fn prepare(&mut self, works: Vec<Work>) -> Result<Program, CardError> {
        self.make_current()?;
        for work in &works {
            if let Work::Launch(launch) = work {
                self.find(launch)?;
            }
        }
        self.programs.push(Prepared { works, replay: Replay::First });
        Ok(Program(self.programs.len() - 1))
    }

    fn execute(&mut self, program: Program) -> Result<(), CardError> {
        self.make_current()?;
        let idle = Prepared { works: Vec::new(), replay: Replay::Never };
        let mut prepared = std::mem::replace(&mut self.programs[program.0], idle);
        let done = self.execute_prepared(&mut prepared);
        self.programs[program.0] = prepared;
        done
    }

    fn free_bytes(&self) -> Option<u64> {
        self.context.mem_get_info().ok().map(|(free, _)| free as u64)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // What fails here leaves memory to the end of the process; there is nobody to tell.
        let _ = self.context.bind_to_thread();
        let works = self.stream.synchronize().is_ok();
        self.programs.clear();
        if works {
            // SAFETY: dropped here alone, and nothing uses it afterwards.
            unsafe { ManuallyDrop::drop(&mut self.blas) };
        } else {
            // Nobody knows whether the card still reads them.
            std::mem::forget(std::mem::take(&mut self.in_flight));
        }
        for address in self.buffers.drain(..) {
            // SAFETY: allocated by `allocate`, freed here alone, and the stream is done with it.
            let _ = unsafe { driver::free_sync(address) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_that_fails_where_hardly_any_memory_is_free_failed_for_that() {
        use blas_sys::cublasStatus_t::{
            CUBLAS_STATUS_ALLOC_FAILED, CUBLAS_STATUS_EXECUTION_FAILED, CUBLAS_STATUS_NOT_INITIALIZED,
        };
        let mebibytes = |count: u64| Some(count << 20);
        assert!(is_for_want_of_memory(CUBLAS_STATUS_ALLOC_FAILED, None));
        assert!(is_for_want_of_memory(CUBLAS_STATUS_NOT_INITIALIZED, mebibytes(200)));
        assert!(is_for_want_of_memory(CUBLAS_STATUS_EXECUTION_FAILED, mebibytes(10)));
        assert!(!is_for_want_of_memory(CUBLAS_STATUS_EXECUTION_FAILED, mebibytes(200)));
        // A library that does not fit the driver says the same, with all memory free.
        assert!(!is_for_want_of_memory(CUBLAS_STATUS_NOT_INITIALIZED, mebibytes(80_000)));
        assert!(!is_for_want_of_memory(CUBLAS_STATUS_NOT_INITIALIZED, None));
    }
}
