//! Compiles the CUDA kernels to PTX where the feature `cuda` asks for them; otherwise does nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernels' sources, and the folder they lie in.
const FOLDER: &str = "src/card";
const SOURCES: [&str; 5] = ["kernels.cu", "attention.cuh", "rows.cuh", "weights.cuh", "words.h"];

/// Compute capability that PTX is made for unless asked otherwise; later cards compile it further when it is loaded.
/// bf16 needs 80.
const LEAST_CAPABILITY: &str = "80";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={FOLDER}/{source}");
    }
    for variable in ["CUDA_COMPUTE_CAP", "NVCC", "CUDA_HOME", "CUDA_PATH"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    let ptx = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names it")).join("kernels.ptx");
    if let Err(problem) = compile(&nvcc(), &ptx) {
        println!("cargo::error={problem}");
        println!("cargo::error=hint: `just cuda-build` builds with a toolkit of its own where there is none");
        std::process::exit(1);
    }
}

fn nvcc() -> PathBuf {
    let of_home = |name| Some(PathBuf::from(env::var_os(name)?).join("bin/nvcc")).filter(|path| path.is_file());
    let asked = env::var_os("NVCC").map(PathBuf::from);
    asked.or_else(|| of_home("CUDA_HOME")).or_else(|| of_home("CUDA_PATH")).unwrap_or_else(|| PathBuf::from("nvcc"))
}

fn compile(nvcc: &Path, ptx: &Path) -> Result<(), String> {
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| LEAST_CAPABILITY.to_owned());
    let output = Command::new(nvcc)
        .args(["-std=c++17", "-O3", "--ptx"])
        .arg(format!("-arch=compute_{}", capability.replace('.', "")))
        .arg(format!("{FOLDER}/kernels.cu"))
        .arg("-o")
        .arg(ptx)
        .output()
        .map_err(|error| format!("the feature `cuda` needs nvcc, but `{}` does not run: {error}", nvcc.display()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("nvcc failed: {}", String::from_utf8_lossy(&output.stderr).replace('\n', " ")))
}
