//! Tables of curves as people write them.

use super::*;
use tempfile::TempDir;

fn read(text: &str, options: &TableOptions, warmup: Option<f64>) -> Result<CurveTable, TableError> {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("curves.csv");
    std::fs::write(&path, text).expect("written");
    read_curves(&path, options, warmup)
}

#[track_caller]
fn refusal(text: &str) -> String {
    read(text, &TableOptions::default(), None).expect_err("refused").to_string()
}

/// Rows of one run at a constant rate, every 100 steps from 100.
fn flat(run: &str, rows: usize) -> String {
    (1..=rows).map(|i| format!("{run},{},0.001,{}\n", 100 * i, 4.0 - 0.01 * i as f64)).collect()
}

const HEADER: &str = "run_id,step,lr,loss\n";

fn one_curve(rows: &str, warmup: Option<f64>) -> LossCurve {
    let table = read(&format!("{HEADER}{rows}"), &TableOptions::default(), warmup).expect("reads");
    table.groups.into_iter().next().expect("a group").curves.remove(0)
}

#[test]
fn rows_come_in_any_order() {
    let rows = flat("a", 8) + &flat("b", 6);
    let mut turned: Vec<&str> = rows.lines().collect();
    turned.reverse();
    let read = |rows: &str| read(&format!("{HEADER}{rows}"), &TableOptions::default(), None).expect("reads");
    assert_eq!(read(&rows), read(&turned.join("\n")));
    assert_eq!(read(&rows).groups[0].curves.len(), 2);
}

#[test]
fn before_the_first_row_the_rate_rises_over_all_steps_unless_told() {
    // Rate 0.001 at step 100: a triangle of half of 0.1, a flat 0.1, or half the steps risen: 0.025 + 0.05.
    for (warmup, expected) in [(None, 0.05), (Some(0.0), 0.1), (Some(50.0), 0.075)] {
        let summed = one_curve(&flat("a", 6), warmup).schedule.summed(100.0);
        assert!((summed - expected).abs() < 1e-12, "{warmup:?}: {summed}");
    }
}

#[test]
fn losses_of_the_warmup_tell_the_schedule_and_are_no_points() {
    let rows = "a,0,0,9\na,50,0.0005,7\na,100,0.001,5\n".to_owned()
        + &(2..8).map(|i| format!("a,{},0.001,4\n", 100 * i)).collect::<String>();
    let curve = one_curve(&rows, None);
    assert_eq!(curve.points.len(), 7);
    assert!((curve.points[0].step - 100.0).abs() < 1e-12);
    assert!((curve.schedule.summed(100.0) - 0.05).abs() < 1e-12);
}

#[test]
fn a_jump_is_taken_at_the_later_row_and_a_ramp_in_a_straight_line() {
    let rates = |rates: [f64; 6]| {
        let rows = rates.iter().enumerate();
        rows.map(|(i, rate)| format!("a,{},{rate},4\n", 100 * i)).collect::<String>()
    };
    let jump = one_curve(&rates([1e-3, 1e-3, 1e-3, 1e-4, 1e-4, 1e-4]), None).schedule;
    assert_eq!(jump.changes().len(), 1);
    assert!((jump.summed(300.0) - 0.3).abs() < 1e-12, "{}", jump.summed(300.0));
    // Falling in a line from step 200 on: 0.2, then the mean of 1e-3 and 5e-4 over 100 steps.
    let ramp = one_curve(&rates([1e-3, 1e-3, 1e-3, 5e-4, 2e-4, 1e-4]), None).schedule;
    assert!((ramp.summed(300.0) - 0.275).abs() < 1e-12, "{}", ramp.summed(300.0));
}

#[test]
fn a_row_without_a_loss_still_tells_the_schedule_and_a_run_without_any_is_untrained() {
    let rows = flat("a", 6) + "a,700,0,\nb,100,0.001,\nb,200,0.0001,\n";
    let table = read(&format!("{HEADER}{rows}"), &TableOptions::default(), None).expect("reads");
    let curves = &table.groups[0].curves;
    assert_eq!((curves[0].points.len(), curves[1].points.len()), (6, 0));
    assert!((curves[0].schedule.end() - 700.0).abs() < 1e-12);
}

#[test]
fn groups_are_apart_unless_pooled() {
    let text = format!("size,{HEADER}") + &flat("a", 6).lines().map(|l| format!("s,{l}\n")).collect::<String>();
    let text = text + &flat("a", 6).lines().map(|l| format!("m,{l}\n")).collect::<String>();
    let map = vec!["group=size".to_owned()];
    let apart = read(&text, &TableOptions { map: map.clone(), ..TableOptions::default() }, None).expect("reads");
    assert_eq!(apart.groups.iter().map(|g| g.group.as_deref()).collect::<Vec<_>>(), [Some("m"), Some("s")]);
    let pooled = read(&text, &TableOptions { map, pool: true, ..TableOptions::default() }, None);
    assert!(pooled.expect_err("each step stands twice").to_string().contains("row 7 is step 100 of run `a` again"));
}

#[test]
fn what_cannot_be_names_its_row_and_value() {
    let with = |row: &str| refusal(&format!("{HEADER}{}{row}\n", flat("a", 6)));
    assert!(with("a,300,0.001,4").contains("row 7 is step 300 of run `a` again, after row 3"));
    assert!(with("a,700,-0.001,4").contains("row 7: `lr` is `-0.001`; 0 or more is needed"));
    assert!(with("a,700,,4").contains("row 7: `lr` is empty"));
    assert!(with("a,later,0.001,4").contains("row 7: `step` is `later`"));
    assert!(with("a,700,0.001,0").contains("row 7: `loss` is `0`; a number above 0 is needed"));
    assert!(with(",700,0.001,3").contains("row 7: `run_id` is empty; the name of a run is needed"));
    assert!(with("b,100,0.001,3").contains("run `b` has 1 loss at or after its peak rate, at step 100; 5 are needed"));
    let zero = (1..=6).map(|i| format!("b,{},0,4\n", 100 * i)).collect::<String>();
    assert!(refusal(&format!("{HEADER}{zero}")).contains("run `b`: the schedule's rate is 0 throughout"));
}

#[test]
fn columns_that_are_absent_are_named_at_once_with_what_is_needed() {
    let error = refusal("params,tokens,loss\n1e6,1e8,3\n");
    assert!(
        error.contains("the table has no columns `run_id`, `step`, `lr`; `multi_power` reads loss curves"),
        "{error}"
    );
    assert!(error.contains("hint: --map run_id=COLUMN,step=COLUMN,lr=COLUMN with some of `params`"), "{error}");
    assert!(refusal("run_id,step,loss\na,1,3\n").contains("the table has no column `lr`; "));
    let map = TableOptions { map: vec!["params=loss".to_owned()], ..TableOptions::default() };
    let error = read(&format!("{HEADER}{}", flat("a", 6)), &map, None).expect_err("refused").to_string();
    assert!(error.contains("`--map` names `params`, which is no column of ours"), "{error}");
    assert!(refusal(HEADER).contains("the table has no rows"));
}

#[test]
fn a_warmup_longer_than_the_first_row_is_refused() {
    let error = read(&format!("{HEADER}{}", flat("a", 6)), &TableOptions::default(), Some(200.0)).expect_err("refused");
    assert!(error.to_string().contains("`--warmup` is 200, and row 1 of run `a` is at step 100"), "{error}");
    assert!(read(HEADER, &TableOptions::default(), Some(-1.0)).expect_err("refused").to_string().contains("-1"));
}
