//! The binary `forescale`: flags as typed become a call into the rooms, and their answers become text and an exit code.

mod again;
mod answers;
mod args;
mod capability;
mod command;
mod evidence;
mod exit;
mod ledger;
mod memory;
mod number;
mod output;
mod place;
mod progress;
mod signal;
mod source;
mod target;
mod training;
mod workplace;

use std::process::ExitCode;

use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::code_of(command::dispatch(args::Cli::parse()))
}
