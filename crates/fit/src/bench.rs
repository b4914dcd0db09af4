//! Temporary.
use forescale_core::law::LawName;
use forescale_core::observation::Observation;
use crate::objective::Cost;
use crate::problem::FitProblem;
/// grid
pub fn classic_grid(runs: &[Observation], objective: crate::Objective) -> (usize, usize, usize, f64, Vec<f64>) {
    let all: Vec<&Observation> = runs.iter().collect();
    let problem = FitProblem::new(LawName::CHINCHILLA.form(), &all, Cost::of(objective));
    let starts = crate::grid::classic(&problem).unwrap();
    let found = crate::solve::solve_all(&problem, &starts);
    let best = crate::solve::best_of(&found).unwrap();
    let agreeing = found.iter().filter(|o| o.value <= best.value * (1.0 + 1e-6)).count();
    let polished = found.iter().filter(|o| o.gradient_norm <= 1e-10).count();
    if std::env::var("DUMP").is_ok() {
        let mut seen = std::collections::BTreeMap::<String, (usize, Vec<String>)>::new();
        for (i, o) in found.iter().enumerate() {
            let key = format!("{:.5e} g<1e{} {:?}", o.value, o.gradient_norm.log10().ceil().max(-12.0), o.theta.map(|t| (t * 10.0).round() / 10.0));
            let e = seen.entry(key).or_default();
            e.0 += 1;
            if e.1.len() < 1 { e.1.push(format!("{:?}", starts[i].map(|t| (t * 10.0).round() / 10.0))); }
        }
        let mut v: Vec<_> = seen.into_iter().collect();
        v.sort_by_key(|x| std::cmp::Reverse(x.1.0));
        for (k, (n, e)) in v.iter().take(45) { println!("{n} {k} {e:?}"); }
    }
    let mut norms: Vec<f64> = found.iter().map(|o| o.gradient_norm).collect();
    norms.sort_by(f64::total_cmp);
    (found.len(), polished, agreeing, best.value, norms)
}
/// eval
pub fn evals(runs: &[Observation], n: usize) -> f64 {
    let all: Vec<&Observation> = runs.iter().collect();
    let problem = FitProblem::new(LawName::CHINCHILLA.form(), &all, Cost::of(crate::Objective::default()));
    let start = crate::start::starts(&problem)[10];
    let e = crate::problem::Evaluator::new(&problem);
    let mut s = 0.0;
    for i in 0..n { let mut t = start; t[0] += 1e-6 * i as f64; s += e.system(&t, problem.cost).newton[1][1]; }
    s
}
