//! Optima held against those of SciPy and of published fits.

use super::*;
use crate::Objective;
use crate::grid::classic;
use crate::published;
use crate::start::starts;
use forescale_core::law::{Centre, LawName, padded};
use forescale_core::math;
use forescale_core::observation::Observation;

const HUBER: Objective = Objective::Huber { delta: 1e-3 };

fn best(observations: &[Observation], objective: Objective) -> (FitProblem, Optimum, usize) {
    let all: Vec<&Observation> = observations.iter().collect();
    let problem = FitProblem::new(LawName::CHINCHILLA.form(), &all, Cost::of(objective));
    let Found { optimum, agreeing } = search(&problem, &starts(&problem)).expect("an optimum");
    (problem, optimum, agreeing)
}

#[track_caller]
fn assert_parameters(observations: &[Observation], objective: Objective, expected: [f64; 5], tolerance: f64) -> f64 {
    let (problem, best, agreeing) = best(observations, objective);
    let natural = problem.form.natural(&best.theta, &problem.centre);
    for (value, expected) in natural.iter().zip(expected) {
        assert!((value / expected - 1.0).abs() < tolerance, "{natural:?} is not {expected:?}");
    }
    assert!(best.gradient_norm < 1e-8, "gradient {:e}", best.gradient_norm);
    assert!(agreeing >= 2, "{agreeing} starts agree");
    best.value
}

// Optima found by damped Gauss-Newton in SciPy to a gradient norm under 1e-8.

#[test]
fn the_huber_fit_of_epochs_240_points_is_the_published_optimum() {
    let Some(runs) = published::chinchilla(240) else { return };
    let expected = [477.825_909, 2_143.417_245, 1.817_218_10, 0.347_310_50, 0.367_172_43];
    let value = assert_parameters(&runs, HUBER, expected, 1e-5);
    assert!(value <= 0.001_018_274_017_81 * (1.0 + 1e-9), "{value:e}");
}

#[test]
fn the_other_objectives_reach_their_published_optima() {
    let Some(runs) = published::chinchilla(240) else { return };
    let lad = [482.005_718, 2_085.434_203, 1.816_864_04, 0.347_813_03, 0.365_854_12];
    assert_parameters(&runs, Objective::LeastAbsolute, lad, 1e-5);
    let lsq = [593.322_07, 4_875.636_81, 1.864_550_08, 0.360_252_80, 0.405_883_35];
    let value = assert_parameters(&runs, Objective::LeastSquares, lsq, 1e-5);
    assert!((value / 0.011_461_887_0 - 1.0).abs() < 1e-8, "{value:e}");
    let on_loss = [567.805_42, 7_581.851_50, 1.882_813_61, 0.357_615_09, 0.427_620_62];
    let value = assert_parameters(&runs, Objective::LeastSquaresLoss, on_loss, 1e-5);
    assert!((value / 0.083_203_807_7 - 1.0).abs() < 1e-8, "{value:e}");
}

#[test]
fn isoflop_sets_reach_the_exact_least_squares_on_loss() {
    // A 24 × 24 grid in alpha and beta, the rest solved for, and a polish, in SciPy: A, B, E, alpha, beta and the
    // residual sum of squares, to the digits they were written down with.
    let sets = [
        ("marin_202603__comma", [6.4478e5, 4518.9, 2.809_224, 0.724_479, 0.411_086], 0.080_253_238),
        ("marin_202603__dclm", [9.542e5, 24_671.0, 2.714_588, 0.741_254, 0.497_195], 0.108_527_15),
        ("misfitting", [27_943.0, 7.1566e5, 2.671_615, 0.599_188, 0.663_461], 0.915_036_69),
        ("ml_scalefit", [974.07, 8518.3, 1.917_587, 0.388_457, 0.433_447], 0.048_540_306),
        ("epochai", [2219.6, 8.4319e5, 2.061_831, 0.433_620, 0.650_668], 0.774_105_02),
    ];
    for (name, expected, squares) in sets {
        let Some(runs) = published::isoflop(name) else { return };
        // The shortest of these numbers has four digits.
        let value = assert_parameters(&runs, Objective::LeastSquaresLoss, expected, 1e-4);
        assert!((value / squares - 1.0).abs() < 1e-7, "{name}: {value:e}");
    }
}

#[test]
fn five_outliers_of_245_move_beta_from_0_367_to_0_453() {
    let Some(runs) = published::chinchilla(245) else { return };
    let expected = [495.7259, 12_845.61, 1.891_338_5, 0.349_312_9, 0.453_049_3];
    let value = assert_parameters(&runs, HUBER, expected, 1e-5);
    assert!(value <= 0.001_826_010_523_07 * (1.0 + 1e-9), "{value:e}");
}

#[test]
fn isoflop_sets_reach_their_published_optima_or_better() {
    // Experiment prefix, best Huber objective known of six starts of a damped Gauss-Newton in SciPy.
    let sets = [
        ("marin_202603__comma", 0.000_525_563_409),
        ("marin_202603__dclm", 0.000_535_837_177),
        ("misfitting", 0.001_729_641_76),
        ("ml_scalefit", 0.000_579_262_191),
        ("epochai", 0.001_235_027_59),
    ];
    for (name, huber) in sets {
        let Some(runs) = published::isoflop(name) else { return };
        let (_, optimum, agreeing) = best(&runs, HUBER);
        // The column has nine digits of the best of six starts. For comma all of Hoffmann's 4500 starts that reach this
        // basin end at 5.25563410272e-4, 2.4e-9 above the column, with a gradient of 1e-14: hence 1e-8 and not 1e-9.
        assert!(
            optimum.value <= huber * (1.0 + 1e-8),
            "{name}: {:e}, {agreeing} agree, gradient {:e}",
            optimum.value,
            optimum.gradient_norm
        );
        assert!(optimum.gradient_norm < 1e-8, "{name}: {:e}", optimum.gradient_norm);
    }
}

#[test]
fn published_coefficients_come_back_from_the_losses_they_give() {
    // Besiroglu et al. and Hoffmann et al.: tables without noise, made from the coefficients themselves.
    for natural in [[482.01, 2085.43, 1.8172, 0.3478, 0.3658], [406.4, 410.7, 1.69, 0.34, 0.28]] {
        for objective in [HUBER, Objective::LeastSquares] {
            let (problem, best, _) = best(&published::grid(natural), objective);
            let found = problem.form.natural(&best.theta, &problem.centre);
            for (value, expected) in found.iter().zip(natural) {
                assert!((value / expected - 1.0).abs() < 1e-5, "{found:?}");
            }
        }
    }
}

#[track_caller]
fn assert_every_classic_start_agrees(runs: &[Observation]) {
    let all: Vec<&Observation> = runs.iter().collect();
    let problem = FitProblem::new(LawName::CHINCHILLA.form(), &all, Cost::of(HUBER));
    let found = solve_all(&problem, &classic(&problem).expect("a sum of falling terms"));
    let best = best_of(&found).expect("an optimum");
    let agreeing = found.iter().filter(|o| o.value <= best.value * (1.0 + 1e-6)).count();
    let polished = found.iter().filter(|o| o.gradient_norm < 1e-10).count();
    assert_eq!((found.len(), agreeing, polished), (4500, 4500, 4500));
}

#[test]
fn every_one_of_hoffmanns_4500_starts_is_polished_to_1e_10_and_agrees() {
    let runs = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
    assert_every_classic_start_agrees(&published::with_noise(&runs, 0.007, 3));
    let Some(runs) = published::chinchilla(240) else { return };
    assert_every_classic_start_agrees(&runs);
}

#[test]
fn many_samples_have_the_optimum_of_all_and_not_of_a_part() {
    let grid = published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]);
    let many: Vec<Observation> = (0..6000).map(|i| grid[i % grid.len()].clone()).collect();
    let many = published::with_noise(&many, 0.007, 8);
    let all: Vec<&Observation> = many.iter().collect();
    let problem = FitProblem::new(LawName::CHINCHILLA.form(), &all, Cost::of(HUBER));
    let found = search(&problem, &starts(&problem)).expect("an optimum");
    let whole = best_of(&solve_all(&problem, &starts(&problem))).expect("an optimum");
    assert!((found.optimum.value / whole.value - 1.0).abs() < 1e-12, "{found:?}");
    assert!(found.optimum.gradient_norm < 1e-10 && found.agreeing > 20, "{found:?}");
}

#[test]
fn scaling_the_weights_changes_nothing() {
    // fit(mean) = fit(sum) = fit(1e6 sum): the objective's scale must not decide when to stop.
    let runs = published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.007, 5);
    let (_, one, _) = best(&runs, HUBER);
    for factor in [1.0 / 240.0, 1e6] {
        let scaled: Vec<Observation> = runs.iter().map(|o| Observation { weight: factor, ..o.clone() }).collect();
        let (_, other, _) = best(&scaled, HUBER);
        for (value, expected) in other.theta.iter().zip(one.theta).take(5) {
            assert!((value / expected - 1.0).abs() < 1e-9, "{factor}: {:?}", other.theta);
        }
    }
}

#[test]
fn a_floor_of_zero_is_found_exactly_and_named() {
    let form = LawName::POWER_LAW.form();
    let theta = form.internal(&padded([30.0, 0.05]), &Centre::ONE);
    let runs: Vec<Observation> = (0..6)
        .map(|i| {
            let flops = math::pow(10.0, 17.0 + 0.5 * f64::from(i));
            // Steeper than any power law with a floor can be: the floor is pressed against zero.
            let bend = 1.0 - 0.002 * f64::from(i * i);
            let loss = math::exp(form.log_loss(&theta, &Centre::ONE.position(1.0, 1.0, flops))) * bend;
            published::run(i as usize, 1.0, 1.0, flops, loss)
        })
        .collect();
    let all: Vec<&Observation> = runs.iter().collect();
    let problem = FitProblem::new(form, &all, Cost::of(Objective::LeastSquares));
    let best = best_of(&solve_all(&problem, &starts(&problem))).expect("an optimum");
    assert_eq!(best.theta[2].to_bits(), 0.0_f64.to_bits());
    assert_eq!(problem.at_bound(&best.theta), vec![2]);
    assert!(best.gradient_norm < 1e-8, "{:e}", best.gradient_norm);
}

#[test]
fn few_small_residuals_end_at_a_zero_gradient_whatever_their_sum_is_rounded_to() {
    // Seven budgets and residuals of some 5e-4: each keeps twelve digits, and steps are told from rounding by their sum.
    let (mut short, mut worst) = (0, 0.0_f64);
    for seed in 0..150 {
        let run = |i: usize| {
            let flops = math::pow(10.0, 17.0 + 0.5 * i as f64);
            let size = (flops / 120.0).sqrt();
            published::run(i, size, 20.0 * size, flops, 1.9 + 3000.0 * math::pow(flops, -0.185))
        };
        let runs = published::with_noise(&(0..7).map(run).collect::<Vec<_>>(), 5e-4, seed);
        let all: Vec<&Observation> = runs.iter().collect();
        let problem = FitProblem::new(LawName::POWER_LAW.form(), &all, Cost::of(HUBER));
        let evaluator = Evaluator::new(&problem);
        let ends = follow(&evaluator, &starts(&problem), &problem.cost.stages());
        let best = best_of(&ends).expect("an end");
        let polished = run_by(&evaluator, &best.theta, DampedNewton::new(&[problem.cost], FINAL_GRADIENT));
        let before = polished.expect("an end").gradient_norm.min(best.gradient_norm);
        let found = search(&problem, &starts(&problem)).expect("an optimum").optimum;
        short += usize::from(before > ROUNDING_GRADIENT);
        worst = worst.max(found.gradient_norm);
        assert!(before > ROUNDING_GRADIENT || found.gradient_norm <= before, "{seed}: {before:e}");
    }
    println!("{short} of 150 stopped short of it; the worst gradient in the end is {worst:.1e}");
    assert!(short > 0 && worst <= ROUNDING_GRADIENT, "{short} {worst:e}");
}
