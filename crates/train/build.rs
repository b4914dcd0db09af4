//! Compiles the CUDA kernels where the feature `cuda` asks for them; otherwise does nothing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The kernels' sources, and the folder they lie in.
const FOLDER: &str = "src/card";
const SOURCES: [&str; 5] = ["kernels.cu", "attention.cuh", "rows.cuh", "weights.cuh", "words.h"];

/// Compute capability that the kernels need, for bf16. Every later card takes intermediate code (PTX) made for it, and
/// compiles it further when it is loaded.
const LEAST_CAPABILITY: u32 = 80;

/// Compute capability that the kernels are compiled for to the end, unless `CUDA_COMPUTE_CAP` names another: Hopper's.
const USUAL_CAPABILITY: &str = "90";

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
    let kernels = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names it")).join("kernels.fatbin");
    if let Err(Failed { problem, hint }) = compile(&nvcc(), &kernels) {
        println!("cargo::error={problem}");
        println!("cargo::error=hint: {hint}");
        std::process::exit(1);
    }
}

struct Failed {
    problem: String,
    hint: &'static str,
}

fn nvcc() -> PathBuf {
    let of_home = |name| Some(PathBuf::from(env::var_os(name)?).join("bin/nvcc")).filter(|path| path.is_file());
    let asked = env::var_os("NVCC").map(PathBuf::from);
    asked.or_else(|| of_home("CUDA_HOME")).or_else(|| of_home("CUDA_PATH")).unwrap_or_else(|| PathBuf::from("nvcc"))
}

/// The capability asked for, as nvcc writes it: `90`, `90a`.
fn capability() -> Result<String, Failed> {
    let asked = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| USUAL_CAPABILITY.to_owned()).replace('.', "");
    match asked.trim_end_matches(|letter: char| letter.is_ascii_lowercase()).parse::<u32>() {
        Ok(number) if number >= LEAST_CAPABILITY => Ok(asked),
        _ => Err(Failed {
            problem: format!("CUDA_COMPUTE_CAP is `{asked}`, but bf16 needs {LEAST_CAPABILITY} or more"),
            hint: "unset CUDA_COMPUTE_CAP, or export the card's own without its dot, 90 where `nvidia-smi` says 9.0",
        }),
    }
}

fn compile(nvcc: &Path, kernels: &Path) -> Result<(), Failed> {
    let capability = capability()?;
    let output = Command::new(nvcc)
        .args(["-std=c++17", "-O3", "--fatbin"])
        .arg(format!("-gencode=arch=compute_{LEAST_CAPABILITY},code=compute_{LEAST_CAPABILITY}"))
        .arg(format!("-gencode=arch=compute_{capability},code=sm_{capability}"))
        .arg(format!("{FOLDER}/kernels.cu"))
        .arg("-o")
        .arg(kernels)
        .output()
        .map_err(|error| Failed {
            problem: format!("the feature `cuda` needs nvcc, but `{}` does not run: {error}", nvcc.display()),
            hint: "`just cuda-build` builds with a toolkit of its own where there is none",
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Failed {
        problem: format!("nvcc failed: {}", String::from_utf8_lossy(&output.stderr).replace('\n', " ")),
        hint: "where the toolkit is too old for the card that CUDA_COMPUTE_CAP names, CUDA_COMPUTE_CAP=80 suits all",
    })
}
