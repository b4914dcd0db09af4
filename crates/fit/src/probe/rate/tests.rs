use super::*;
use forescale_core::probe::ProbeVerdict;
use forescale_core::run::Parametrization;

fn trials(losses: &[(f64, f64)]) -> Vec<RateTrial> {
    losses
        .iter()
        .map(|&(factor, loss)| RateTrial { factor, seed: 0, loss: Some(loss).filter(|l| l.is_finite()) })
        .collect()
}

/// Runs of widths 8, 32, 128 whose loss is a parabola about a best log₂ factor that depends on width and horizon.
fn grid(horizons: &[f64], best: impl Fn(f64, f64) -> f64) -> RateInput {
    let mut runs = Vec::new();
    for &tokens_per_param in horizons {
        for width in [8_u32, 32, 128] {
            let tokens = f64::from(width * width) * tokens_per_param;
            for factor in [0.25, 0.5, 1.0, 2.0, 4.0] {
                let away = math::log2(factor) - best(f64::from(width), tokens);
                let loss = Some(2.0 + 0.05 * away * away);
                let (rate, embedding_rate) = (0.01 * factor, 0.03 * factor);
                runs.push(RateRun { width, tokens_per_param, tokens, rate, embedding_rate, factor, seed: 0, loss });
            }
        }
    }
    let subject = Subject { sweep: "s".to_owned(), parametrization: Parametrization::Mup };
    RateInput { subject, runs }
}

fn finding(report: &ProbeReport) -> &RateFinding {
    match &report.finding {
        Finding::Lr(finding) => finding,
        other => panic!("{other:?}"),
    }
}

fn codes(report: &ProbeReport) -> Vec<&str> {
    report.diagnoses.iter().map(|diagnosis| diagnosis.code.as_str()).collect()
}

#[test]
fn the_vertex_of_a_parabola_and_its_standard_error_are_those_worked_by_hand() {
    // x −2..2, y = 1 + 0.1 (x − 0.4)² + r with r = 0.01 (−1, 2, 0, −2, 1), which is orthogonal to 1, x and x²:
    // Σ r = 0, Σ r x = 2 − 2 − 2 + 2 = 0, Σ r x² = −4 + 2 − 2 + 4 = 0. So c₂ = 0.1, c₁ = −0.08, v = 0.4.
    // s² = Σ r² / 2 = 0.001 / 2. (X′X)⁻¹ for x −2..2: var x = 1/10, var x² = 1/14, no covariance between the two.
    // g = (−1/0.2, −0.08/0.02) = (−5, −4): g′Sg = 0.0005 (25/10 + 16/14) = 0.001821429, se = 0.0426782.
    let r = [-1.0, 2.0, 0.0, -2.0, 1.0].map(|r| 0.01 * r);
    let factors = [0.25, 0.5, 1.0, 2.0, 4.0];
    let losses: Vec<(f64, f64)> = factors
        .iter()
        .zip(r)
        .enumerate()
        .map(|(i, (&factor, r))| (factor, 1.0 + 0.1 * (i as f64 - 2.4) * (i as f64 - 2.4) + r))
        .collect();
    let Best::Vertex { parabola, standard_error, degrees } = best(&trials(&losses)) else { panic!("{losses:?}") };
    assert!((parabola.vertex - 0.4).abs() < 1e-12 && (parabola.curvature - 0.1).abs() < 1e-12);
    assert!((parabola.minimum - 1.0).abs() < 1e-12 && (degrees - 2.0).abs() < 1e-12);
    assert!((standard_error.expect("df 2") - 0.042_678_2).abs() < 1e-6, "{standard_error:?}");
}

#[test]
fn a_minimum_at_the_edge_is_refused_and_says_on_which_side_the_best_rate_lies() {
    let falling = trials(&[(0.5, 3.0), (1.0, 2.5), (2.0, 2.2)]);
    assert_eq!(best(&falling), Best::Above(0.0));
    let rising = trials(&[(0.5, 2.0), (1.0, 2.5), (2.0, 3.0)]);
    assert_eq!(best(&rising), Best::Below(0.0));
    let diverging = trials(&[(0.5, 3.0), (1.0, 2.5), (2.0, f64::NAN)]);
    assert_eq!(best(&diverging), Best::Above(-1.0));
    assert_eq!(best(&trials(&[(0.5, f64::NAN), (1.0, f64::NAN)])), Best::Nothing);
}

#[test]
fn three_points_alone_have_a_vertex_and_no_standard_error() {
    // Through (−1, 3), (0, 1), (1, 2): c₂ = 1.5, c₁ = −0.5, v = 1/6.
    let Best::Vertex { parabola, standard_error, .. } = best(&trials(&[(0.5, 3.0), (1.0, 1.0), (2.0, 2.0)])) else {
        panic!("a vertex")
    };
    assert!((parabola.vertex - 1.0 / 6.0).abs() < 1e-12 && standard_error.is_none());
}

#[test]
fn a_far_point_that_shapes_the_parabola_is_left_out() {
    // A cliff two steps above the lowest would pull the vertex to −0.69. Through the three nearest, (−1, 2.02), (0, 2),
    // (1, 2.03): c₁ = 0.005, c₂ = 0.025, v = −0.1. The far point on the left rises by 0.05 where that parabola rises by
    // 0.09 and stays: numpy.polyfit([-2, -1, 0, 1], [2.05, 2.02, 2, 2.03], 2) = (0.015, 0.007, 2.006), v = −0.2333.
    let cliff = trials(&[(0.25, 2.05), (0.5, 2.02), (1.0, 2.0), (2.0, 2.03), (4.0, 9.0)]);
    let Best::Vertex { parabola, .. } = best(&cliff) else { panic!("a vertex") };
    assert!((parabola.vertex + 0.7 / 3.0).abs() < 1e-9, "{parabola:?}");
    assert!((parabola.highest - 1.0).abs() < 1e-12);
}

#[test]
fn equal_losses_and_a_parabola_that_opens_downward_have_no_best_rate() {
    assert_eq!(best(&trials(&[(0.25, 2.0), (0.5, 2.0), (1.0, 2.0), (2.0, 2.0)])), Best::Flat);
    // The lowest in the middle, and a parabola over all five that opens downward: 2 Σ y x² differences give
    // c₂ = (2·1.1 − 1·2 − 2·1 − 1·2 + 2·1.1) / 14 = −0.114.
    let noise = trials(&[(0.25, 1.1), (0.5, 2.0), (1.0, 1.0), (2.0, 2.0), (4.0, 1.1)]);
    assert_eq!(best(&noise), Best::Flat);
}

#[test]
fn one_factor_for_all_widths_transfers() {
    let report = rate(&grid(&[10.0, 40.0], |_, _| 0.3)).expect("a grid");
    assert_eq!(report.verdict, ProbeVerdict::Passes);
    let best = finding(&report).cells[0].best_rate.expect("a best rate");
    // 0.01 · 2^0.3 = 0.0123114.
    assert!((best.estimate - 0.012_311_4).abs() < 1e-7);
    assert!((finding(&report).horizons[0].spread.expect("all known") - 1.0).abs() < 1e-9);
}

#[test]
fn a_best_rate_that_falls_with_width_does_not_transfer() {
    // Best ∝ 1 / width over a factor of 16: from 2 at width 8 to 1/8 at width 128, below the grid there.
    let report = rate(&grid(&[10.0], |width, _| 4.0 - math::log2(width))).expect("a grid");
    assert_eq!(report.verdict, ProbeVerdict::Fails);
    let horizon = finding(&report).horizons[0];
    // At most 0.5 at width 128, as the lowest factor 0.25 was best there; 2 / 0.5 = 4 at least.
    assert_eq!((horizon.spread, horizon.passes), (None, Some(false)));
    assert!((horizon.spread_at_least.expect("bounded") - 4.0).abs() < 1e-9);
    assert!(codes(&report).starts_with(&["rate_does_not_transfer"]), "{:?}", codes(&report));
    assert!(codes(&report).contains(&"rate_at_edge"));
}

#[test]
fn a_best_rate_beyond_the_grid_at_every_width_is_undecided() {
    let report = rate(&grid(&[10.0, 40.0], |_, _| -5.0)).expect("a grid");
    assert_eq!(report.verdict, ProbeVerdict::Undecided);
    assert_eq!(codes(&report).iter().filter(|code| **code == "rate_at_edge").count(), 6);
}

#[test]
fn the_horizon_exponent_is_the_common_slope_of_all_widths() {
    // Best rate 0.01 · (D / 2^14)^−0.25: at D = 640, 10240, … the factor stays inside the grid of 2^±2.
    let report = rate(&grid(&[10.0, 40.0, 160.0], |_, tokens| -0.25 * (math::log2(tokens) - 14.0))).expect("a grid");
    let law = finding(&report).horizon_law.expect("three horizons");
    assert!((law.horizon_exponent.estimate - 0.25).abs() < 1e-9, "{law:?}");
    assert!((law.learning_rate * math::pow(law.base_tokens / 16384.0, 0.25) - 0.01).abs() < 1e-9, "{law:?}");
    assert!((law.spread_left - 1.0).abs() < 1e-9);
    // At one D/N the widths' data differ by 256x, so the best factors differ by 4: not within 2 before the correction.
    assert_eq!(report.verdict, ProbeVerdict::Fails);
    let hint = &report.diagnoses[0].hint;
    assert!(hint.contains("horizon_exponent = 0.25"), "{hint}");
    // The recipe's embeddings have three times the rate of the rest, and keep it.
    assert!((law.embedding_learning_rate / law.learning_rate - 3.0).abs() < 1e-12);
    let written = |rate: f64| format!("`embedding_learning_rate = {rate:.3e}`");
    assert!(hint.contains(&written(3.0 * law.learning_rate)), "{hint}");
}

#[test]
fn horizons_that_want_rates_apart_fail_though_the_widths_agree_at_each() {
    // Best factors of 2^−0.75 at 10 and 2^0.75 at 40 tokens per parameter: 2^1.5 = 2.828427 apart.
    let ratio = |width: f64, tokens: f64| tokens / (width * width);
    let input = grid(&[10.0, 40.0], |width, tokens| if ratio(width, tokens) > 20.0 { 0.75 } else { -0.75 });
    let report = rate(&input).expect("a grid");
    assert!(finding(&report).horizons.iter().all(|horizon| horizon.passes == Some(true)));
    let overall = finding(&report).overall;
    assert_eq!((report.verdict, overall.passes), (ProbeVerdict::Fails, Some(false)));
    assert!((overall.spread.expect("all known") - 2.828_427).abs() < 1e-5, "{overall:?}");
    assert_eq!(codes(&report)[0], "rate_moves_with_horizon");
    assert!(report.diagnoses[0].message.contains("differ by 2.83x"), "{}", report.diagnoses[0].message);
}

#[test]
fn one_horizon_is_no_pass_and_may_be_a_failure() {
    let report = rate(&grid(&[10.0], |_, _| 0.3)).expect("a grid");
    assert_eq!((report.verdict, finding(&report).overall.passes), (ProbeVerdict::Undecided, None));
    assert_eq!(finding(&report).horizons[0].passes, Some(true));
    assert_eq!(codes(&report).first(), Some(&"one_horizon"));
    let failed = rate(&grid(&[10.0], |width, _| 4.0 - math::log2(width))).expect("a grid");
    assert_eq!((failed.verdict, finding(&failed).overall.passes), (ProbeVerdict::Fails, Some(false)));
}

/// Two horizons whose widths 8 and 128 want factors this many doublings apart, each rate with a rest that moves no
/// vertex and gives it a standard error: the orthogonal one of the first test, at this size.
fn noisy(doublings: f64, size: f64) -> RateInput {
    let mut input = grid(&[10.0, 40.0], |width, _| doublings * (math::log2(width) - 5.0) / 4.0);
    for (index, run) in input.runs.iter_mut().enumerate() {
        run.loss = run.loss.map(|loss| loss + size * f64::from([-1_i8, 2, 0, -2, 1][index % 5]));
    }
    input
}

#[test]
fn intervals_that_allow_both_answers_are_said() {
    // Curvature 0.05, so a vertex near 0 has se² = 10² · s² (1/10 + v²/14 · 4) over five rates, s² = 10 size² / 2: 0.0041 at
    // size 0.0005 and v = 0.5, ±0.012 with t(0.95; 2) = 2.92. Where four rates are in reach, s² = 1.25 size² with one
    // degree of freedom, se² = 10² · s² / 5 = 0.0025², ±0.016 with t(0.95; 1) = 6.31. Two such vertices are known to
    // less than 0.04 of each other, and to more than 0.02.
    let unclear = |doublings, size| {
        let report = rate(&noisy(doublings, size)).expect("a grid");
        (report.verdict, codes(&report).contains(&"rate_unclear"))
    };
    assert_eq!(unclear(0.99, 0.0005), (ProbeVerdict::Passes, true));
    assert_eq!(unclear(1.01, 0.0005), (ProbeVerdict::Fails, true));
    assert_eq!(unclear(0.9, 0.0005), (ProbeVerdict::Passes, false));
    assert_eq!(unclear(1.1, 0.0005), (ProbeVerdict::Fails, false));
    let report = rate(&noisy(0.99, 0.0005)).expect("a grid");
    let said = &report.diagnoses.iter().find(|d| d.code == "rate_unclear").expect("said").message;
    assert!(said.starts_with("at 10 and 40 tokens per parameter, and over all widths and horizons: "), "{said}");
}

#[test]
fn a_lower_rate_that_diverged_bounds_nothing() {
    let odd = trials(&[(0.25, f64::NAN), (0.5, 2.0), (1.0, 2.5)]);
    assert_eq!(best(&odd), Best::Flat);
    assert_eq!(best(&trials(&[(0.25, 3.0), (0.5, f64::NAN), (1.0, 2.0), (2.0, 2.5)])), Best::Flat);
    // Both sides diverged: not even that says that the best rate is above the lower one.
    assert_eq!(best(&trials(&[(0.25, f64::NAN), (0.5, 2.0), (1.0, f64::NAN)])), Best::Flat);
}

#[test]
fn a_cell_with_fewer_than_three_rates_is_refused_by_name() {
    assert_eq!(best(&trials(&[(1.0, 2.0)])), Best::Flat);
    let mut ragged = grid(&[10.0, 40.0], |_, _| 0.0);
    ragged.runs.retain(|run| run.width != 32 || run.tokens_per_param < 20.0 || run.factor <= 0.25);
    let error = rate(&ragged).expect_err("refused").to_string();
    assert!(error.starts_with("`d32` at 40 tokens per parameter has 1 rates; a best rate needs at least 3"), "{error}");
}

#[test]
fn too_few_widths_and_rates_are_refused() {
    let mut two = grid(&[10.0], |_, _| 0.0);
    two.runs.retain(|run| run.width != 8);
    assert_eq!(rate(&two), Err(ProbeError::TooFewWidths { found: 2, needed: 3 }));
    let mut rates = grid(&[10.0], |_, _| 0.0);
    rates.runs.retain(|run| run.factor >= 2.0);
    assert_eq!(rate(&rates), Err(ProbeError::TooFewRates { found: 2, needed: 3 }));
}

#[test]
fn a_recipe_whose_rate_is_far_off_is_told_the_better_one() {
    let report = rate(&grid(&[10.0, 40.0], |_, _| 1.5)).expect("a grid");
    assert_eq!(report.verdict, ProbeVerdict::Passes);
    let doubt = report.diagnoses.iter().find(|d| d.code == "rate_off_centre").expect("a doubt");
    assert!(doubt.message.contains("2.83"), "{}", doubt.message);
}

#[test]
fn a_rate_that_follows_tokens_per_parameter_is_not_told_to_follow_tokens() {
    // Best factor (D / N)^0.25 at every width: 40/10 raises it by 2^0.5, while D at one ratio differs by 256.
    let ratio = |width: f64, tokens: f64| tokens / (width * width);
    let mut input = grid(&[10.0, 40.0], |width, tokens| 0.25 * math::log2(ratio(width, tokens) / 20.0));
    // A little noise, so that the exponent has an interval.
    for (index, run) in input.runs.iter_mut().enumerate() {
        run.loss = run.loss.map(|loss| loss + 1e-5 * f64::from([1_i8, -1, 2, 0, -2][index % 5]));
    }
    let report = rate(&input).expect("a grid");
    assert_eq!(report.verdict, ProbeVerdict::Passes);
    let law = finding(&report).horizon_law.expect("two horizons");
    assert!((law.horizon_exponent.estimate + 0.25).abs() < 0.01, "{law:?}");
    let doubt = report.diagnoses.iter().find(|doubt| doubt.code == "horizon_law").expect("told");
    assert!(doubt.hint.contains("leave `horizon_exponent` as it is"), "{}", doubt.hint);
}
