//! Builds the corpus of a JSON spec into the default cache and prints its manifest.
//!
//! `cargo run -p forescale-corpus --example build -- '{"source": "rust-code", "lock": "corpus.lock"}' sweeps/quickstart`

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example's output is its result")]

use std::error::Error;
use std::path::Path;

use forescale_corpus::{BuildRequest, build, default_cache, verify};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [spec, spec_dir] = arguments.as_slice() else {
        return Err("usage: build SPEC_JSON SPEC_DIR".into());
    };
    let spec = serde_json::from_str(spec)?;
    let request = BuildRequest { spec: &spec, spec_dir: Path::new(spec_dir), cache: &default_cache() };
    let start = std::time::Instant::now();
    let mut report = |progress| eprintln!("{:7.2} s {progress:?}", start.elapsed().as_secs_f64());
    let built = build(&request, &mut report)?;
    eprintln!("{:7.2} s built {}", start.elapsed().as_secs_f64(), built.dir.display());
    verify(&built)?;
    eprintln!("{:7.2} s verified", start.elapsed().as_secs_f64());
    println!("{}", serde_json::to_string_pretty(&built.manifest)?);
    Ok(())
}
