//! Makes a `corpus.lock` from a `Cargo.lock` whose crates were fetched.
//!
//! `cargo run -p forescale-corpus --example lock -- CARGO_LOCK MEGABYTES VALIDATION,… [LEAVE_OUT,…] > corpus.lock`

#![allow(clippy::print_stdout, reason = "an example's output is the lock")]

use std::error::Error;
use std::path::Path;

use forescale_corpus::{LockRequest, lock_crates};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [cargo_lock, megabytes, validation, leave_out @ ..] = arguments.as_slice() else {
        return Err("usage: lock CARGO_LOCK MEGABYTES VALIDATION,… [LEAVE_OUT,…]".into());
    };
    let names = |list: &str| list.split(',').map(str::to_owned).collect::<Vec<_>>();
    let lock = lock_crates(&LockRequest {
        cargo_lock: Path::new(cargo_lock),
        validation: &names(validation),
        leave_out: &leave_out.iter().flat_map(|list| names(list)).collect::<Vec<_>>(),
        max_train_bytes: megabytes.parse::<u64>()? * 1_000_000,
    })?;
    print!("{lock}");
    Ok(())
}
