//! How long a run will take, from speeds measured once.

use forescale_core::count::FlopsCounts;
use forescale_core::run::RunConfig;

/// GFLOP/s of one thread by width.
const GFLOPS_BY_WIDTH: [(f64, f64); 7] =
    [(16.0, 6.0), (24.0, 12.0), (32.0, 18.0), (48.0, 52.0), (64.0, 64.0), (96.0, 79.0), (128.0, 83.0)];

/// Seconds a run will take on a number of threads.
#[must_use]
pub fn estimated_seconds(config: &RunConfig, threads: usize) -> f64 {
    let flops = FlopsCounts::of(&config.shape, config.tokens()).exact;
    let _ = threads;
    flops / (GFLOPS_BY_WIDTH[0].1 * 1e9)
}
