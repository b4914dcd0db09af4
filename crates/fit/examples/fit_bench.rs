//! Times the solver for `benches/fit_pairs.py`: one kind of work per call, wall and processor seconds as one line of JSON.
//!
//! `fit_bench WORK TABLE`, where WORK is `grid`, `bootstrap`, `point` (point fit and 1000 draws) or `many` (a whole `fit`
//! of 100,000 runs made from the published coefficients, TABLE unused). Threads are rayon's, by `RAYON_NUM_THREADS`.
//! `fit_bench tables FOLDER` instead says what becomes of the classic starts on six published tables under four objectives.

#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures reads files and the clock and prints"
)]

use std::time::Instant;

use forescale_core::observation::Observation;
use forescale_fit::{FitOptions, LawName, Objective, bench, fit};

fn run(index: usize, params: f64, flops: f64, loss: f64) -> Observation {
    Observation::bare(format!("run{index:06}"), params, flops / (6.0 * params), flops, loss)
}

/// The 240 rows of the table that Besiroglu et al. kept.
fn table(path: &str) -> Vec<Observation> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("`{path}`: {error}"));
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let kept = rows.filter(|row| row[5] == "0").enumerate();
    kept.map(|(i, row)| run(i, number(row[1]), number(row[2]), number(row[4]))).collect()
}

/// One experiment of the table of isoFLOP sets, by the start of its name.
fn isoflop(path: &str, experiment: &str) -> Vec<Observation> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("`{path}`: {error}"));
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let read = |(i, row): (usize, Vec<&str>)| {
        let [params, tokens, flops, loss] = [6, 7, 8, 10].map(|column| number(row[column]));
        Observation { tokens, ..run(i, params, flops, loss) }
    };
    rows.filter(|row| row[5].starts_with(experiment)).enumerate().map(read).collect()
}

/// A line for each table and objective, as rows of a page.
fn tables(folder: &str) {
    let objectives =
        [Objective::default(), Objective::LeastSquares, Objective::LeastSquaresLoss, Objective::LeastAbsolute];
    for name in ["chinchilla", "marin_202603__comma", "marin_202603__dclm", "misfitting", "ml_scalefit", "epochai"] {
        let runs = if name == "chinchilla" {
            table(&format!("{folder}/chinchilla_epoch.csv"))
        } else {
            isoflop(&format!("{folder}/isoflops.csv"), name)
        };
        for objective in objectives {
            let began = processor_seconds();
            let found = bench::classic_grid(&runs, objective).expect("ends");
            let seconds = processor_seconds() - began;
            let bench::GridOutcome { polished, agreeing, value, .. } = found;
            println!(
                "| {name} | {} | {objective:?} | {polished} | {agreeing} | {value:.9e} | {seconds:.2} |",
                runs.len()
            );
        }
    }
}

/// A number in [0, 1) for each index: Steele et al., 2014, SplitMix64.
fn uniform(index: u64) -> f64 {
    let mut z = index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

/// 100,000 runs over five decades of compute and two of size, with noise of 0.7% from a fixed sequence.
fn many() -> Vec<Observation> {
    let golden = |i: usize, step: f64| (i as f64 * step).fract();
    (0..100_000)
        .map(|i| {
            let flops = 10_f64.powf(17.0 + 5.0 * golden(i, 0.618_033_988_749_894_9));
            let params = (flops / 120.0).sqrt() * 10_f64.powf(2.0 * golden(i, 0.754_877_666_246_692_7) - 1.0);
            // Twelve uniform numbers less six: a deviation of one, nearly normal.
            let noise = (0..12).map(|k| uniform((i * 12 + k) as u64)).sum::<f64>() - 6.0;
            let tokens = flops / (6.0 * params);
            let loss = 1.8172 + 482.01 * params.powf(-0.3478) + 2085.43 * tokens.powf(-0.3658);
            run(i, params, flops, loss * (0.007 * noise).exp())
        })
        .collect()
}

/// Processor seconds of all threads of this process that still run.
fn processor_seconds() -> f64 {
    let tasks = std::fs::read_dir("/proc/self/task").expect("Linux lists its threads");
    let nanoseconds = tasks.map(|task| {
        let path = task.expect("a thread").path().join("schedstat");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0)
    });
    nanoseconds.sum::<f64>() * 1e-9
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let work = arguments.get(1).map_or("grid", String::as_str);
    if work == "tables" {
        return tables(arguments.get(2).map_or("", String::as_str));
    }
    let runs = if work == "many" { many() } else { table(arguments.get(2).map_or("", String::as_str)) };
    // Threads are started before the clock is.
    rayon::broadcast(|_| ());
    let (wall, processor) = (Instant::now(), processor_seconds());
    let outcome = match work {
        "grid" => format!("{:?}", bench::classic_grid(&runs, Objective::default())),
        "bootstrap" => format!("{:?}", bench::bootstrap(&runs, 4000, 42)),
        "point" => format!("{:?}", bench::bootstrap(&runs, 1000, 42)),
        "many" => {
            let options = FitOptions { laws: vec![LawName::CHINCHILLA], ..FitOptions::default() };
            format!("{:?}", fit(&runs, &[], &options).map(|report| report.fits[0].certificate.clone()))
        }
        other => panic!("`{other}` is no work: `grid`, `bootstrap`, `point` or `many`"),
    };
    let (wall, processor) = (wall.elapsed().as_secs_f64(), processor_seconds() - processor);
    println!("{}", serde_json::json!({ "work": work, "wall": wall, "processor": processor, "outcome": outcome }));
}
