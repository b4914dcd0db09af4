//! A sweep in a temporary folder, whose runs are shell scripts: what both launchers are tested on.

use std::ffi::OsString;
use std::fs;

use super::Task;
use crate::records::tests::{planned, record};
use crate::store::Store;

pub(super) struct Sweep {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
}

pub(super) fn sweep() -> Sweep {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Store::open(folder.path()).expect("a sweep folder");
    Sweep { folder, store }
}

impl Sweep {
    /// A task whose run has this seed, and which runs a shell script.
    pub(super) fn task(&self, seed: u64, seconds: f64, script: &str) -> Task {
        let mut run = planned();
        run.config.seed = seed;
        run.id = run.config.id();
        run.name = format!("run-{seed}");
        let arguments = vec![OsString::from("-c"), OsString::from(script)];
        Task { run, arguments, ways: Vec::new(), estimated_seconds: seconds }
    }

    /// The command that leaves a sealed record, as `exec` does.
    pub(super) fn seal(&self, task: &Task) -> String {
        let source = self.folder.path().join(format!("record-{}.json", task.run.name));
        fs::write(&source, serde_json::to_vec(&record(&task.run.id.0, 2.5)).expect("json")).expect("written");
        let target = self.store.run_dir(&task.run.id).join("record.json");
        format!("cp {} {}", source.display(), target.display())
    }
}
