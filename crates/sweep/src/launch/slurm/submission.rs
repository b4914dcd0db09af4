//! `runs/slurm/<name>.json`: what an array was submitted for.
//!
//! It is written before the array is handed over, under a name that no other has, and the queue is asked by that name: so
//! a launcher that is killed at any moment is followed by one that finds its jobs. It is removed when all of it has been
//! judged; the logs of jobs that failed stay.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use forescale_core::digest::json_digest;
use forescale_core::run::RunId;
use serde::{Deserialize, Serialize};

use super::super::chain::Turn;
use crate::store::{Store, StoreError, check_version, write_atomically};

const SCHEMA: &str = "forescale.slurm-jobs/1.0";

/// An array as it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submission {
    schema: String,
    /// Name of the array, and of its files.
    pub(super) name: String,
    /// Whether its jobs have their nodes to themselves.
    pub(super) alone: bool,
    /// For each task of the array the runs that it trains, one after another.
    pub(super) tasks: Vec<Vec<Entry>>,
}

/// A run that a task of an array trains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) run: RunId,
    /// Parts that its batches are dealt into.
    pub(super) accumulate: u32,
}

impl Submission {
    /// A new one for chains of turns. Its name is of the sweep, and of this moment and process.
    pub(super) fn of(store: &Store, chains: &[Vec<Turn>], alone: bool) -> Self {
        let entry = |turn: &Turn| Entry { run: turn.task.run.id.clone(), accumulate: turn.way().accumulate };
        let tasks: Vec<Vec<Entry>> = chains.iter().map(|chain| chain.iter().map(entry).collect()).collect();
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let folder = std::path::absolute(store.sweep_dir()).unwrap_or_else(|_| store.sweep_dir().to_owned());
        let moment = json_digest(&(folder.display().to_string(), now.to_string(), std::process::id()));
        let sweep = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = format!("forescale-{}-{}", plain(&sweep), &moment[..10]);
        Self { schema: SCHEMA.to_owned(), name, alone, tasks }
    }

    /// All of a sweep, in the order of their names.
    pub(super) fn all(store: &Store) -> Result<Vec<Self>, StoreError> {
        let folder = folder(store);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::reading(&folder, error)),
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>();
        let mut paths = paths.map_err(|cause| StoreError::reading(&folder, cause))?;
        let is_one = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("forescale-") && name.ends_with(".json")
        };
        paths.retain(is_one);
        paths.sort();
        paths.iter().map(|path| read(path)).collect()
    }

    /// Writes it, and the script of its jobs beside it; returns where the script lies.
    pub(super) fn keep(&self, store: &Store, script: &str) -> Result<PathBuf, StoreError> {
        let path = self.file(store, ".sh");
        write_atomically(&path, script.as_bytes())?;
        let json = serde_json::to_vec_pretty(self).expect("a submission has a JSON form");
        write_atomically(&self.file(store, ".json"), &json)?;
        Ok(path)
    }

    fn file(&self, store: &Store, ending: &str) -> PathBuf {
        folder(store).join(format!("{}{ending}", self.name))
    }
}

/// Removes what is kept of an array and its script; logs stay.
pub(super) fn forget(store: &Store, name: &str) {
    // What cannot be removed is found again by the next launch, which then finds no such jobs.
    for ending in [".json", ".sh"] {
        let _ = fs::remove_file(folder(store).join(format!("{name}{ending}")));
    }
}

/// Where a sweep keeps what it has submitted; no run's id is a word.
pub(super) fn folder(store: &Store) -> PathBuf {
    store.sweep_dir().join("runs").join("slurm")
}

/// Where a task of an array says what it has to say beside its runs.
pub(super) fn log(store: &Store, name: &str, index: u32) -> PathBuf {
    folder(store).join(format!("{name}_{index}.log"))
}

fn read(path: &Path) -> Result<Submission, StoreError> {
    let bytes = fs::read(path).map_err(|cause| StoreError::reading(path, cause))?;
    let hint = || format!("see what waits (`squeue --me`), then `rm {}`", path.display());
    let damaged = |error: serde_json::Error| StoreError::new(path, format!("cannot be understood: {error}"), hint());
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(damaged)?;
    let schema = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or_default();
    check_version(schema, SCHEMA).map_err(|(problem, hint)| StoreError::new(path, problem, hint))?;
    serde_json::from_value(value).map_err(damaged)
}

/// Letters, digits, `-` and `_` alone: a name stands in lists and patterns of Slurm's.
fn plain(name: &str) -> String {
    let kept = |letter: char| if letter.is_ascii_alphanumeric() || "-_".contains(letter) { letter } else { '-' };
    name.chars().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(name: &str) -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        fs::create_dir(&path).expect("made");
        let store = Store::open(&path).expect("a sweep folder");
        (folder, store)
    }

    #[test]
    fn what_was_kept_is_found_until_it_is_forgotten_and_logs_stay() {
        let (_folder, store) = sweep("my sweep, 100%");
        assert_eq!(Submission::all(&store).expect("none"), []);
        let one = Submission::of(&store, &[Vec::new()], false);
        assert!(one.name.starts_with("forescale-my-sweep--100--"), "{}", one.name);
        let script = one.keep(&store, "#!/bin/bash\n").expect("kept");
        let log = log(&store, &one.name, 0);
        fs::write(&log, "words").expect("written");
        assert_eq!(Submission::all(&store).expect("one"), std::slice::from_ref(&one));
        forget(&store, &one.name);
        assert_eq!(Submission::all(&store).expect("none"), []);
        assert!(!script.exists() && log.exists());
    }

    #[test]
    fn two_of_one_sweep_have_two_names() {
        let (_folder, store) = sweep("smoke");
        let [one, two] = [false, true].map(|alone| Submission::of(&store, &[], alone).name);
        assert_ne!(one, two);
    }

    #[test]
    fn a_damaged_one_is_named_with_a_way_out() {
        let (_folder, store) = sweep("smoke");
        let one = Submission::of(&store, &[], false);
        one.keep(&store, "").expect("kept");
        let path = one.file(&store, ".json");
        for (text, problem) in [("{", "cannot be understood"), (r#"{"schema":"forescale.slurm-jobs/2.0"}"#, "too new")]
        {
            fs::write(&path, text).expect("written");
            let error = Submission::all(&store).expect_err("damaged").to_string();
            assert!(error.contains(problem) && error.contains("hint: "), "{error}");
        }
    }
}
