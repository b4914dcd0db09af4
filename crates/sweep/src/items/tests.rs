use super::*;
use crate::records::tests::record;

/// Results of one run, one of each estimator, with numbers that a short decimal would not keep.
pub(crate) fn results(run: &str) -> Vec<ItemResult> {
    let of = |index: u32, estimator| ItemResult {
        run_id: run.to_owned(),
        task: "addition".to_owned(),
        item: format!("{index} + 1"),
        bucket: index,
        bucket_name: format!("{index} digits"),
        chance: 1.0 / 3.0,
        estimator,
        trials: 3 * index,
        successes: index,
        log_p: -(f64::from(index) + 0.1).sqrt(),
        variance: 0.1 + 0.2,
        greedy: [None, Some(false), Some(true)][index as usize % 3],
    };
    (0..).zip(ESTIMATORS).map(|(index, (_, estimator))| of(index, estimator)).collect()
}

#[test]
fn results_come_back_from_the_file_bit_for_bit() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("out/items.parquet");
    let items = [results("a"), results("b")].concat();
    write_items(&path, &items).expect("written");
    assert_eq!(read_items(&path).expect("read"), items);
    write_items(&path, &[]).expect("written");
    assert_eq!(read_items(&path).expect("read"), []);
}

#[test]
fn estimators_are_called_what_they_are_in_json() {
    for (name, estimator) in ESTIMATORS {
        assert_eq!(serde_json::to_value(estimator).expect("JSON"), name);
    }
}

#[test]
fn another_file_is_not_taken_for_results() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("items.parquet");
    crate::write_records(&path, &[record("a", 2.5)]).expect("written");
    let error = read_items(&path).expect_err("records").to_string();
    assert!(error.contains("cannot be read as results per problem") && error.contains("hint: "), "{error}");
    let nan = ItemResult { log_p: f64::NAN, ..results("a").remove(0) };
    write_items(&path, &[nan]).expect("written");
    let error = read_items(&path).expect_err("no number").to_string();
    assert!(error.contains("row 1 has no `log_p`"), "{error}");
}
