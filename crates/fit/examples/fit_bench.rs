use std::time::Instant;
use forescale_fit::{bench, Objective};
use forescale_core::observation::{Observation, Training};
fn cpu() -> f64 { std::fs::read_dir("/proc/self/task").unwrap().map(|e| std::fs::read_to_string(e.unwrap().path().join("schedstat")).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() * 1e-9 }
fn main() {
    let text = std::fs::read_to_string("../shared/data/chinchilla_epoch.csv").unwrap();
    let mut runs = vec![];
    for (i, l) in text.lines().skip(1).enumerate() {
        let f: Vec<&str> = l.split(',').collect();
        if f[5] == "1" { continue; }
        let id = format!("r{i}");
        let (n, c): (f64, f64) = (f[1].parse().unwrap(), f[2].parse().unwrap());
        runs.push(Observation { name: id.clone(), cluster: id.clone(), run_id: id, group: None, role: None, params: n, tokens: c / 6.0 / n, flops: c, loss: f[4].parse().unwrap(), loss_se: None, seed_sd: None, seed_degrees: None, weight: 1.0, seed: None, eval_set_digest: None, unique_tokens: None, training: Training::default() });
    }
    let t = Instant::now(); let c0 = cpu();
    let n = 100_000;
    let s = bench::evals(&runs, n);
    println!("eval {} us ({s})", (cpu() - c0) / n as f64 * 1e6);
    for o in [Objective::default(), Objective::LeastSquares, Objective::LeastAbsolute] {
    let t = Instant::now(); let c0 = cpu();
    let (n, p, a, v, norms) = bench::classic_grid(&runs, o);
    println!("{o:?}: {n} starts {p} polished {a} agree {v:e} {:.3} s; cpu {:.3}; worst {:e} {:e}", t.elapsed().as_secs_f64(), cpu() - c0, norms[n-1], norms[n - n/20]);
    }
}
