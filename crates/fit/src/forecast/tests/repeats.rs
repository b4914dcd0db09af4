//! What a forecast repeats of the fits that it rests on, and what it refuses with their words.

use super::*;

#[test]
fn a_forecast_repeats_which_run_moves_the_law_that_it_rests_on() {
    // A newcomer's table: one size written a thousand times too small moved N* 2.7 times, and `fit` alone said so.
    let asked = quick(LawName::CHINCHILLA, Objective::default());
    let law = forescale_core::law::padded(EPOCH);
    let run = |i: usize| {
        let flops = math::pow(10.0, 18.0 + (i / 5) as f64);
        let n = 0.1 * flops.sqrt() * math::pow(2.0, (i % 5) as f64 - 2.0);
        let d = flops / 6.0 / n;
        published::run(i, n, d, flops, law[2] + law[0] * math::pow(n, -law[3]) + law[1] * math::pow(d, -law[4]))
    };
    let mut runs = published::with_noise(&(0..25).map(run).collect::<Vec<_>>(), 0.003, 1);
    let of = |runs: &[Observation]| forecast(runs, &[at(1e24)], &asked).expect("fits");
    assert!(!codes(&of(&runs)).contains(&"outlier_leverage"), "{:?}", codes(&of(&runs)));
    runs[7].params /= 1000.0;
    runs[7].flops /= 1000.0;
    let answer = of(&runs);
    let doubt = answer.diagnoses.iter().find(|doubt| doubt.code == "outlier_leverage");
    let doubt = doubt.unwrap_or_else(|| panic!("{:?}", codes(&answer)));
    assert!(doubt.message.contains("`run0007`"), "{}", doubt.message);
}

#[test]
fn where_runs_fall_into_several_groups_the_hint_picks_each_by_the_name_of_its_column() {
    let named = |i: usize, group: &str| Observation {
        run_id: format!("{group}{i}"),
        cluster: format!("{group}{i}"),
        group: Some(group.to_owned()),
        ..published::run(i, 1e7, 2e8, 1e16, 3.0)
    };
    let of = |names: &[&str], column: &str| {
        let runs: Vec<Observation> = names.iter().flat_map(|name| (0..3).map(|i| named(i, name))).collect();
        let asked = quick(LawName::POWER_LAW, Objective::default());
        let fit = FitOptions { group_column: column.to_owned(), ..asked.fit };
        let answer = forecast(&runs, &[at(1e24)], &ForecastOptions { fit, ..asked }).expect("valid");
        assert_eq!(answer.targets[0].status, ForecastStatus::Refused);
        answer.diagnoses[0].hint.clone()
    };
    assert_eq!(
        of(&["c4", "the pile"], "train data"),
        r#"pick one by --where '"train data" == "c4"', --where '"train data" == "the pile"' (joined by `and` to a condition that is there); or --pool takes all as one"#
    );
    let many = of(&["a", "b", "c", "d", "e", "f"], "group");
    assert!(many.contains(r#"--where 'group == "e"', and so on (joined"#) && !many.contains(r#""f""#), "{many}");
}

#[test]
fn a_forecast_repeats_of_a_law_through_vertices_that_they_are_few_and_hemmed_in() {
    // A newcomer's isoFLOP grid of four budgets, whose sizes stop one above the best: `fit` alone said so.
    let asked = quick(LawName::POWER_LAW, Objective::default());
    let of = |runs: &[Observation]| forecast(runs, &[at(1e24)], &asked).expect("fits");
    let five = published::with_noise(&published::grid(EPOCH), 0.002, 9);
    assert!(!codes(&of(&five)).contains(&"few_rungs") && !codes(&of(&five)).contains(&"vertex_sides"));
    let (low, hemmed) = (five.iter().map(|o| o.flops).fold(f64::INFINITY, f64::min), |budget: &[&Observation]| {
        let best = budget.iter().min_by(|a, b| a.loss.total_cmp(&b.loss)).expect("a run").params;
        let above = budget.iter().map(|o| o.params).filter(|&n| n > best).fold(f64::INFINITY, f64::min);
        budget.iter().filter(|o| o.params <= above).map(|&o| o.clone()).collect::<Vec<_>>()
    });
    let all: Vec<&Observation> = five.iter().filter(|o| o.flops > 1.5 * low).collect();
    let budgets = crate::path::budgets(&all, crate::path::BUDGET_FACTOR);
    let four: Vec<Observation> = budgets.iter().flat_map(|budget| hemmed(budget)).collect();
    let answer = of(&four);
    for code in ["few_rungs", "vertex_sides"] {
        let doubt = answer.diagnoses.iter().find(|doubt| doubt.code == code);
        let doubt = doubt.unwrap_or_else(|| panic!("{:?}", codes(&answer)));
        assert!(doubt.message.starts_with("`power_law`") && doubt.message.contains("vertices"), "{doubt:?}");
    }
}

#[test]
fn a_forecast_repeats_that_the_floor_it_rests_on_ended_at_zero() {
    // A line in log-log, which no floor bends.
    let line = |run: Observation| Observation { loss: 3.0 * math::pow(run.flops / 1e18, -0.05), ..run };
    let runs: Vec<Observation> = exact().into_iter().map(line).collect();
    let noisy = published::with_noise(&runs, 0.002, 4);
    let answer = forecast(&noisy, &[at(1e23)], &quick(LawName::POWER_LAW, Objective::LeastSquares)).expect("fits");
    assert!(codes(&answer).contains(&"parameter_at_bound"), "{:?}", codes(&answer));
    let bent = ladder(0.002, &mut ChaCha8Rng::seed_from_u64(5));
    let answer = forecast(&bent, &[at(1e23)], &quick(LawName::POWER_LAW, Objective::LeastSquares)).expect("fits");
    assert!(!codes(&answer).contains(&"parameter_at_bound"), "{:?}", codes(&answer));
}
