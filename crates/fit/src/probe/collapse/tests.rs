use super::*;
use crate::published;
use forescale_core::probe::ProbeVerdict;
use forescale_core::record::CurvePoint;
use forescale_core::run::Parametrization;

/// A run on the path whose excess loss is `excess(T) · shape(t/T)` over a floor of 1, ten points at equal distances.
fn record(width: u32, seed: u64, shape: impl Fn(f64) -> f64) -> RunRecord {
    let steps = 1000 * u64::from(width);
    let end = end_loss(width) - 1.0;
    let point = |part: u64| {
        let share = part as f64 / 10.0;
        CurvePoint {
            step: part * steps / 10,
            tokens: 0,
            learning_rate_share: 1.0,
            loss: 1.0 + end * shape(share) / shape(1.0),
        }
    };
    let committed = include_str!("../../../../../tests/fixtures/formats/record-1.0.json");
    let mut record: RunRecord = serde_json::from_str(committed).expect("the fixture reads");
    (record.role, record.status, record.is_final) = (Role::Path, RunStatus::Finished, true);
    (record.steps, record.name) = (steps, format!("d{width}-20x-s{seed}"));
    (record.config.shape.width, record.config.seed) = (width, seed);
    record.curve = (1..=10).map(point).collect();
    set_loss(&mut record, end_loss(width));
    record
}

/// Loss on the whole evaluation set.
fn set_loss(record: &mut RunRecord, loss: f64) {
    let metric = record.metrics.iter_mut().find(|metric| metric.name == "loss").expect("the fixture has a loss");
    metric.value = loss;
}

/// L(C) = 1 + 2 (C / 1e12)^−0.2 at C = 1e8 · width⁴, without noise: the fit finds the floor of 1.
fn end_loss(width: u32) -> f64 {
    1.0 + 2.0 * math::pow(flops(width) / 1e12, -0.2)
}

fn flops(width: u32) -> f64 {
    1e8 * math::pow(f64::from(width), 4.0)
}

fn input(records: Vec<RunRecord>) -> CollapseInput {
    let observe = |(index, record): (usize, &RunRecord)| {
        let width = record.config.shape.width;
        let (n, d) = (12.0 * f64::from(width * width), 1e3 * f64::from(width * width));
        let mut run = published::run(index, n, d, flops(width), end_loss(width));
        run.role = Some(Role::Path);
        run
    };
    let observations = records.iter().enumerate().map(observe).collect();
    let subject = Subject { sweep: "s".to_owned(), parametrization: Parametrization::Mup };
    CollapseInput { subject, records, observations, known_floor: None }
}

const WIDTHS: [u32; 4] = [8, 16, 32, 64];

/// (t/T)^−0.6.
fn shape(share: f64) -> f64 {
    math::pow(share, -0.6)
}

fn finding(report: &ProbeReport) -> &CollapseFinding {
    match &report.finding {
        Finding::Collapse(finding) => finding,
        other => panic!("{other:?}"),
    }
}

#[test]
fn curves_of_one_shape_collapse_whatever_their_loss() {
    let report = collapse(&input(WIDTHS.map(|width| record(width, 0, shape)).to_vec())).expect("four rungs");
    let found = finding(&report);
    assert_eq!(report.verdict, ProbeVerdict::Passes);
    assert!((found.floor.estimate - 1.0).abs() < 1e-4, "{:?}", found.floor);
    assert!(found.rungs.iter().all(|rung| rung.deviation < 1e-3), "{found:?}");
    // (0.5)^−0.6 = 1.515717.
    assert!((found.rungs[2].points[4].value - 1.515_717).abs() < 1e-3);
    assert_eq!(report.diagnoses.iter().map(|d| d.code.as_str()).collect::<Vec<_>>(), ["few_seeds"]);
}

#[test]
fn a_rung_of_another_shape_is_named_with_its_deviation() {
    // One rung falls as (t/T)^−0.9: its log ratio to the others is −0.3 ln x, at x = 0.2, 0.3, … 0.9:
    // 0.3 √(mean of ln² x) = 0.3 √((2.590290 + 1.449551 + 0.839589 + 0.480453 + 0.260943 + 0.127217 + 0.049793
    // + 0.011101) / 8) = 0.3 √0.726117 = 0.255637; each other rung's mean has a third of it.
    let steep = |share: f64| math::pow(share, -0.9);
    let mut records = WIDTHS.map(|width| record(width, 0, shape)).to_vec();
    records[3] = record(64, 0, steep);
    let report = collapse(&input(records)).expect("four rungs");
    let rungs = &finding(&report).rungs;
    assert_eq!(report.verdict, ProbeVerdict::Fails);
    assert!((rungs[3].deviation - 0.255_637).abs() < 1e-3, "{}", rungs[3].deviation);
    assert!((rungs[0].deviation - 0.255_637 / 3.0).abs() < 1e-3, "{}", rungs[0].deviation);
    assert!(report.diagnoses[0].message.contains("`d64` by 25.6% (limit 5.0%)"), "{}", report.diagnoses[0].message);
}

#[test]
fn the_limit_grows_with_the_noise_between_seeds() {
    // Two seeds of every rung at e^±0.1 times the curve before its end: σ² = 2 · 0.01 / 1, σ = 0.141421. With two seeds
    // each and three other rungs: 3 σ √(1/2 + 3 · 1/2 / 9) = 3 · 0.141421 · 0.816497 = 0.346410.
    let noisy = |sign: f64| move |share: f64| shape(share) * if share < 0.95 { math::exp(0.1 * sign) } else { 1.0 };
    let records: Vec<RunRecord> =
        WIDTHS.iter().flat_map(|&width| [record(width, 0, noisy(1.0)), record(width, 1, noisy(-1.0))]).collect();
    let report = collapse(&input(records)).expect("four rungs");
    let found = finding(&report);
    assert!((found.seed_noise.expect("two seeds") - 0.141_421).abs() < 1e-3);
    assert!(found.rungs.iter().all(|rung| (rung.limit - 0.346_41).abs() < 2e-3 && rung.deviation < 1e-3), "{found:?}");
    assert!(report.diagnoses.is_empty(), "{:?}", report.diagnoses);
}

#[test]
fn a_known_floor_takes_the_place_of_the_fitted_one() {
    // The fit finds 1; 0.9 is said to be exact, so the end of `d64` is at an excess of 2 (1e8 · 64⁴ / 1e12)^−0.2 + 0.1 =
    // 2 · 1677.7216^−0.2 + 0.1 = 0.452987 + 0.1, and at the half of its run at 0.452987 · 0.5^−0.6 + 0.1 = 0.786600.
    let input = input(WIDTHS.map(|width| record(width, 0, shape)).to_vec());
    let report = collapse(&CollapseInput { known_floor: Some(0.9), ..input }).expect("four rungs");
    let found = finding(&report);
    assert_eq!((found.floor.estimate.to_bits(), found.floor_source), (0.9_f64.to_bits(), FloorSource::Exact));
    assert_eq!((found.floor.lower, found.floor.upper), (Some(0.9), Some(0.9)));
    let half = found.rungs[3].points[4].value;
    assert!((half - 0.786_600 / 0.552_987).abs() < 1e-4, "{half}");
}

#[test]
fn a_floor_of_the_whole_set_is_carried_to_the_part_that_curves_are_measured_on() {
    // Curves on a part that is easier by 0.2 at every point: the floor there is 1 − 0.2, and the curves are as before.
    let mut records = WIDTHS.map(|width| record(width, 0, shape)).to_vec();
    for point in records.iter_mut().flat_map(|record| &mut record.curve) {
        point.loss -= 0.2;
    }
    let report = collapse(&CollapseInput { known_floor: Some(1.0), ..input(records) }).expect("four rungs");
    let found = finding(&report);
    assert!((found.part_shift + 0.2).abs() < 1e-12, "{}", found.part_shift);
    assert!((found.rungs[2].points[4].value - 1.515_717).abs() < 1e-6, "{:?}", found.rungs[2].points[4]);
    assert_eq!(report.verdict, ProbeVerdict::Passes);
}

#[test]
fn the_shift_of_the_floor_is_the_mean_over_rungs_whatever_their_seeds() {
    // Three seeds of the first rung at −0.4 and one of each of three others at 0: −0.4 / 4.
    let mut records: Vec<RunRecord> = (0..3).map(|seed| record(8, seed, shape)).collect();
    records.iter_mut().for_each(|record| set_loss(record, end_loss(8) + 0.4));
    records.extend([16, 32, 64].map(|width| record(width, 0, shape)));
    let report = collapse(&CollapseInput { known_floor: Some(0.5), ..input(records) }).expect("four rungs");
    assert!((finding(&report).part_shift + 0.1).abs() < 1e-12, "{}", finding(&report).part_shift);
}

#[test]
fn few_rungs_and_few_points_are_refused() {
    let two: Vec<RunRecord> = [8, 16].map(|width| record(width, 0, shape)).to_vec();
    assert_eq!(collapse(&input(two)), Err(ProbeError::TooFewRungs { found: 2, needed: 3 }));
    let mut short = WIDTHS.map(|width| record(width, 0, shape)).to_vec();
    short.iter_mut().for_each(|record| drop(record.curve.drain(..6)));
    let text = collapse(&input(short)).expect_err("refused").to_string();
    assert!(text.starts_with("the curves of `d8` have 3 points") && text.contains("curve_points"), "{text}");
}

#[test]
fn where_a_rung_has_runs_of_its_own_a_branch_is_not_averaged_with_them() {
    let mut records = WIDTHS.map(|width| record(width, 1, shape)).to_vec();
    let mut branch = record(16, 0, |share| math::pow(share, -3.0));
    branch.config.branch = true;
    branch.curve.drain(..8);
    records.push(branch);
    let report = collapse(&input(records)).expect("four rungs");
    assert_eq!(report.verdict, ProbeVerdict::Passes);
    assert_eq!(finding(&report).rungs[1].seeds, 1);
}

#[test]
fn diverged_runs_are_counted_and_others_than_the_path_left_aside() {
    let mut records = WIDTHS.map(|width| record(width, 0, shape)).to_vec();
    records.push(RunRecord { status: RunStatus::Diverged, ..record(128, 0, shape) });
    records.push(RunRecord { role: Role::OffPath, ..record(24, 0, |share| math::pow(share, -3.0)) });
    let mut input = input(records);
    input.observations.truncate(4);
    let report = collapse(&input).expect("four rungs");
    assert_eq!((report.verdict, finding(&report).rungs.len()), (ProbeVerdict::Passes, 4));
    assert!(report.diagnoses.iter().any(|d| d.code == "rungs_diverged"));
}

#[test]
fn a_run_at_the_floor_has_no_excess_to_normalise() {
    let mut records = WIDTHS.map(|width| record(width, 0, shape)).to_vec();
    records[3].curve[4].loss = 0.9;
    assert!(matches!(collapse(&input(records)), Err(ProbeError::FloorAbove { .. })));
}
