//! How long a page takes to draw, and how large it is, by runs: `just bench-report`.
//!
//! Fits and forecasts are another room's; what is timed is `html`, from `ReportData` to the text of the page.

#![allow(clippy::print_stdout, reason = "an example prints its table")]

#[path = "sample/data.rs"]
mod data;

use std::error::Error;
use std::time::Instant;

/// Timed draws of one page.
const DRAWS: usize = 7;

fn main() -> Result<(), Box<dyn Error>> {
    println!("| runs | curves | median of {DRAWS}, s | page, MB |\n|---|---|---|---|");
    for runs in [20, 500, 10_000] {
        let mut data = data::of_kind("inside").ok_or("the sample is gone")?;
        data.runs = data.runs.iter().cycle().take(runs).cloned().collect();
        data.compute.points = data.compute.points.iter().cycle().take(runs).cloned().collect();
        data.residuals = data.residuals.iter().cycle().take(2 * runs).cloned().collect();
        let curves = runs.min(60);
        data.curves.curves = data.curves.curves.iter().cycle().take(curves).cloned().collect();
        let (mut seconds, mut bytes) = (Vec::new(), 0);
        for _ in 0..DRAWS {
            let start = Instant::now();
            bytes = forescale_report::html(&data)?.len();
            seconds.push(start.elapsed().as_secs_f64());
        }
        seconds.sort_by(f64::total_cmp);
        println!("| {runs} | {curves} | {:.3} | {:.2} |", seconds[DRAWS / 2], bytes as f64 / 1e6);
    }
    Ok(())
}
