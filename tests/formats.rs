//! Every written format keeps a fixture of each version that must still read.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{forescale, repository};

/// Record 1.0 as `exec` of 0.1.0 wrote it, and registration 1.0 as `register` of 0.1.0 wrote it.
#[test]
fn version_1_0_of_record_and_registration_still_reads() {
    let formats = repository().join("tests/fixtures/formats");
    let (registration, record) = (formats.join("registration-1.0.json"), formats.join("record-1.0.json"));
    let arguments =
        ["score", registration.to_str().expect("text"), "--observed", record.to_str().expect("text"), "--json"];
    let score = forescale(&repository(), &arguments).expect_code(0).json();
    assert_eq!(score["order"], "digest");
    let record: Value = serde_json::from_str(&fs::read_to_string(&record).expect("a record")).expect("JSON");
    assert_eq!(score["actual"], record["metrics"][0]["value"]);
}

/// Ledger 1.0: lines are never rewritten, so that the committed one is its own fixture; the digest is of its sixth line, as
/// it was first written.
#[test]
fn version_1_0_of_the_ledger_still_reads() {
    forescale(&repository(), &["record", "--head", "243f4ee2fddc88693914c6f44e95c41a5f47f5ff7ac4cfbf0c4748d2e1cca6b9"])
        .expect_code(0);
}

#[test]
fn a_changed_byte_in_a_registration_is_found() {
    let formats = repository().join("tests/fixtures/formats");
    let text = fs::read_to_string(formats.join("registration-1.0.json")).expect("a registration");
    let folder = TempDir::new().expect("a folder");
    for (from, to) in [("\"used_partial_results\": false", "\"used_partial_results\": true"), ("0.1.0", "0.1.1")] {
        assert!(text.contains(from), "{from}");
        fs::write(folder.path().join("changed.json"), text.replacen(from, to, 1)).expect("written");
        let said = forescale(folder.path(), &["score", "changed.json", "--observed", "1.0"]).expect_code(2);
        assert!(said.stderr.contains("sha256"), "{}", said.whole());
    }
}
