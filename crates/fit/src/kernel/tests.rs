//! Columns against one observation at a time, instruction sets against each other.

use super::*;
use crate::problem::FitProblem;
use crate::start::starts;
use crate::{LawName, Objective, published};
use forescale_core::observation::Observation;

const OBJECTIVES: [Objective; 5] = [
    Objective::Huber { delta: 1e-2 },
    Objective::LeastSquares,
    Objective::LeastSquaresLoss,
    Objective::LeastAbsolute,
    Objective::Asymmetric { delta: 1e-2, overestimate_penalty: 10.0 },
];

fn problem(law: LawName, objective: Objective, count: usize) -> FitProblem {
    let grid = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
    let runs: Vec<Observation> =
        (0..count).map(|i| Observation { weight: 0.5 + (i % 3) as f64, ..grid[i % grid.len()].clone() }).collect();
    let runs = published::with_noise(&runs, 0.01, 6);
    let all: Vec<&Observation> = runs.iter().collect();
    FitProblem::new(law.form(), &all, Cost::of(objective))
}

#[test]
fn columns_agree_with_one_observation_at_a_time() {
    // Counts below a block, of one, of a tile and one more: padding must weigh nothing. The second, third and last start of
    // a joint term have its κ in the middle, near 1 and near 1 with other exponents.
    let (mut laws, cases) = (0, OBJECTIVES.into_iter().zip([5, 8, 64, 65, 200]));
    for law in LawName::all() {
        let Some(_) = Columns::of(law.form(), &[]) else { continue };
        laws += 1;
        for ((objective, count), index) in cases.clone().flat_map(|case| [0, 1, 2, 11].map(|index| (case, index))) {
            let problem = problem(law, objective, count);
            let starts = starts(&problem);
            let theta = starts[index.min(starts.len() - 1)];
            let columns = Columns::of(problem.form, &problem.samples).expect("as before");
            let found = columns.system_within(&theta, problem.cost, f64::INFINITY).expect("no limit");
            let expected = crate::problem::one_by_one(&problem, &theta, problem.cost);
            let by_columns = columns.gauss_newton(&theta, problem.cost);
            let by_samples = crate::problem::gauss_newton_one_by_one(&problem, &theta, problem.cost);
            let pairs = [(&[found.value, found.slope_square][..], &[expected.value, expected.slope_square][..])];
            let rows = [
                (&found.gradient[..], &expected.gradient[..]),
                (&found.sensitivity, &expected.sensitivity),
                (&found.majorizer, &expected.majorizer),
            ];
            let matrices = (0..6).flat_map(|i| {
                [(&found.newton[i][..], &expected.newton[i][..]), (&by_columns[i][..], &by_samples[i][..])]
            });
            let scale = expected.newton.iter().flatten().chain(&expected.gradient).fold(0.0_f64, |m, v| m.max(v.abs()));
            for (a, b) in pairs.into_iter().chain(rows).chain(matrices).flat_map(|(a, b)| a.iter().zip(b)) {
                assert!((a - b).abs() <= 1e-12 * scale.max(b.abs()), "{law} {objective:?}: {a:e} is not {b:e}");
            }
        }
    }
    assert!(laws >= 4, "{laws}");
}

#[test]
fn a_joint_term_at_its_edges_agrees_with_one_observation_at_a_time() {
    // κ at its least, where the larger term decides alone, and at 1, where the terms add; terms of equal size, where the
    // larger changes; and a floor of nothing.
    let problem = problem(LawName::COUPLED, Objective::LeastSquares, 65);
    let columns = Columns::of(problem.form, &problem.samples).expect("joined");
    for (kappa, floor) in [(0.02, 1.7), (1.0, 1.7), (0.3, 0.0)] {
        for theta in [[0.1, 0.1, floor, 0.4, 0.4, kappa], [0.1, -2.0, floor, 0.3, 0.05, kappa]] {
            let found = columns.system_within(&theta, problem.cost, f64::INFINITY).expect("no limit");
            let expected = crate::problem::one_by_one(&problem, &theta, problem.cost);
            assert!((found.value - expected.value).abs() <= 1e-12 * expected.value);
            for (row, expected) in found.newton.iter().zip(expected.newton) {
                let scale = expected.iter().fold(1.0_f64, |most, entry| most.max(entry.abs()));
                for (a, b) in row.iter().zip(expected) {
                    assert!((a - b).abs() <= 1e-11 * scale, "{theta:?}: {a:e} is not {b:e}");
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    for objective in OBJECTIVES {
        same_bits::<Sum<2, true>>(LawName::CHINCHILLA, objective);
        same_bits::<Joint>(LawName::COUPLED, objective);
    }
}

fn same_bits<S: Shape>(law: LawName, objective: Objective) {
    let problem = problem(law, objective, 133);
    let columns = Columns::of(problem.form, &problem.samples).expect("falling terms");
    let theta = starts(&problem)[3];
    let mut sums = Sums::ZERO;
    let pass = Pass::<S>::new((&columns, columns.local(&theta), problem.cost, f64::INFINITY), &mut sums);
    // Called without a dispatch: whatever this binary was compiled for, SSE2 on x86-64.
    assert!(pulp::NullaryFnOnce::call(pass));
    let plain = columns.collect(&sums);
    let wide = columns.system_within(&theta, problem.cost, f64::INFINITY).expect("no limit");
    assert_eq!(plain.value.to_bits(), wide.value.to_bits());
    assert_eq!(plain.gradient.map(f64::to_bits), wide.gradient.map(f64::to_bits));
    assert_eq!(plain.newton.map(|row| row.map(f64::to_bits)), wide.newton.map(|row| row.map(f64::to_bits)));
}

#[test]
fn a_pass_stops_above_its_limit_and_nowhere_else() {
    for (objective, law) in OBJECTIVES.into_iter().flat_map(|o| [(o, LawName::CHINCHILLA), (o, LawName::COUPLED)]) {
        let problem = problem(law, objective, 133);
        let columns = Columns::of(problem.form, &problem.samples).expect("falling terms");
        let theta = starts(&problem)[3];
        let whole = columns.system_within(&theta, problem.cost, f64::INFINITY).expect("no limit");
        let at = columns.system_within(&theta, problem.cost, whole.value).expect("the limit itself is within");
        assert_eq!(at.newton.map(|row| row.map(f64::to_bits)), whole.newton.map(|row| row.map(f64::to_bits)));
        for limit in [whole.value.next_down(), 0.5 * whole.value, 0.0] {
            assert!(columns.system_within(&theta, problem.cost, limit).is_none(), "{objective:?} {limit:e}");
        }
    }
}
