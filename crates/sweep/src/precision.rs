//! Runs of one fit, or a target and the runs of its forecast, that were trained in unlike precisions: kept, but never
//! without a word.

use std::collections::{BTreeMap, BTreeSet};

use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::record::RunRecord;

/// The doubt that runs of several number formats are fitted as one; `None` where all were trained in the same.
#[must_use]
pub fn mixed_precision<'a>(records: impl IntoIterator<Item = &'a RunRecord>) -> Option<Diagnosis> {
    let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *runs.entry(&record.environment.dtype).or_default() += 1;
    }
    let told: Vec<String> = runs.iter().map(|(dtype, count)| format!("{count} in {dtype}")).collect();
    (runs.len() > 1).then(|| Diagnosis {
        code: "mixed_precision".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "the runs of this fit were trained in unlike precisions ({}): what one loses against another is read as an effect \
             of size or data",
            told.join(", ")
        ),
        hint: "train all of them with one --precision (`rm -r SWEEP/runs/RUN` has a run trained anew)".to_owned(),
    })
}

/// The doubt that a target was trained in a precision that none, or not all, of the runs were in that it was forecast from.
#[must_use]
pub fn target_precision<'a>(runs: impl IntoIterator<Item = &'a RunRecord>, target: &RunRecord) -> Option<Diagnosis> {
    let of_target = target.environment.dtype.as_str();
    let others: BTreeSet<&str> =
        runs.into_iter().map(|run| run.environment.dtype.as_str()).filter(|dtype| *dtype != of_target).collect();
    let others = Vec::from_iter(others).join(" and ");
    (!others.is_empty()).then(|| Diagnosis {
        code: "target_precision".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "the target was trained in {of_target}, and runs of its forecast in {others}: what one loses against the other is \
             counted as the forecast's error"
        ),
        hint: "train ladder and target with one --precision (`rm -r SWEEP/runs/RUN` has a run trained anew)".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::tests::record;

    #[test]
    fn runs_of_two_precisions_are_doubted_and_counted() {
        let mut records = [record("a", 2.5), record("b", 2.4), record("c", 2.3)];
        assert_eq!(mixed_precision(&records), None);
        assert_eq!(mixed_precision([]), None);
        "bf16".clone_into(&mut records[2].environment.dtype);
        let doubt = mixed_precision(&records).expect("a doubt");
        assert_eq!((doubt.code.as_str(), doubt.severity), ("mixed_precision", Severity::Warning));
        assert!(doubt.message.contains("(1 in bf16, 2 in f32)"), "{}", doubt.message);
    }

    #[test]
    fn a_target_in_another_precision_than_its_ladder_is_doubted() {
        let (ladder, mut target) = ([record("a", 2.5), record("b", 2.4)], record("c", 2.0));
        assert_eq!(target_precision(&ladder, &target), None);
        assert_eq!(target_precision([], &target), None);
        "bf16".clone_into(&mut target.environment.dtype);
        let doubt = target_precision(&ladder, &target).expect("a doubt");
        assert_eq!((doubt.code.as_str(), doubt.severity), ("target_precision", Severity::Warning));
        assert!(doubt.message.contains("trained in bf16, and runs of its forecast in f32:"), "{}", doubt.message);
        let [mut one, other] = ladder;
        "bf16".clone_into(&mut one.environment.dtype);
        assert!(target_precision(&[one, other], &target).is_some(), "one of two is enough");
    }
}
