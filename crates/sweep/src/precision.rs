//! Runs of one fit that were trained in unlike precisions: kept, but never without a word.

use std::collections::BTreeMap;

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
}
