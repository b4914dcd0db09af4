//! `runs/trunks/<trunk id>/<step>.bin`: states that the branches of a trunk take over from one another.
//!
//! In the form of a checkpoint. A state is written once for each step, by whichever branch comes there first, and is
//! the same whichever that is; it is never removed, for a branch planned tomorrow may start from it, and it is small.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use forescale_core::record::Checkpoint;

use super::{StoreError, checkpoint};

/// Folder beside those of the runs; no run's id is a word.
pub(super) const FOLDER: &str = "trunks";

/// Keeps a state.
pub(super) fn save(folder: &Path, state: &Checkpoint) -> Result<(), StoreError> {
    checkpoint::write(&path(folder, state.step), state)
}

/// The latest state at or before a step, if there is one.
pub(super) fn restore(folder: &Path, at_most: u64) -> Result<Option<Checkpoint>, StoreError> {
    let Some(step) = steps(folder)?.into_iter().filter(|&step| step <= at_most).max() else { return Ok(None) };
    let path = path(folder, step);
    let hint = || format!("`rm {}`, then give the same command again: the steps are trained anew", path.display());
    match checkpoint::read(&path, hint)? {
        Some(state) if state.step != step => {
            let problem = format!("the state is of step {}, its name says {step}", state.step);
            Err(StoreError::new(&path, problem, hint()))
        }
        state => Ok(state),
    }
}

fn path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("{step}.bin"))
}

/// Steps of all states in a folder; other names, such as a half-written file's, are passed over.
fn steps(folder: &Path) -> Result<Vec<u64>, StoreError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::reading(folder, error)),
    };
    let mut steps = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|cause| StoreError::reading(folder, cause))?;
        steps.extend(step_of(&entry.file_name().to_string_lossy()));
    }
    Ok(steps)
}

fn step_of(name: &str) -> Option<u64> {
    name.strip_suffix(".bin")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(step: u64) -> Checkpoint {
        Checkpoint { step, bytes: step.to_le_bytes().to_vec() }
    }

    fn kept(steps: &[u64]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        steps.iter().for_each(|&step| save(folder.path(), &state(step)).expect("saved"));
        folder
    }

    #[test]
    fn the_latest_state_at_or_before_a_step_is_given() {
        let folder = kept(&[80, 160, 1000]);
        for (at_most, expected) in [(79, None), (80, Some(80)), (159, Some(80)), (999, Some(160)), (5000, Some(1000))] {
            assert_eq!(restore(folder.path(), at_most).expect("restored"), expected.map(state), "{at_most}");
        }
    }

    #[test]
    fn without_a_folder_there_is_no_state() {
        assert_eq!(restore(Path::new("/nonexistent/trunk"), 9).expect("no error"), None);
    }

    #[test]
    fn other_files_in_the_folder_are_passed_over() {
        let folder = kept(&[80]);
        for name in [".new-123.bin", "notes.txt", "81.bin.old", "-5.bin"] {
            fs::write(folder.path().join(name), b"x").expect("written");
        }
        assert_eq!(restore(folder.path(), 100).expect("restored"), Some(state(80)));
    }

    #[test]
    fn a_damaged_state_names_the_file_and_the_way_out() {
        let folder = kept(&[80, 160]);
        let path = folder.path().join("160.bin");
        let mut bytes = fs::read(&path).expect("read");
        *bytes.last_mut().expect("a state") ^= 1;
        fs::write(&path, bytes).expect("written");
        let error = restore(folder.path(), 200).expect_err("damaged").to_string();
        assert!(error.contains("160.bin`: the checkpoint is damaged: its checksum"), "{error}");
        assert!(error.contains("hint: `rm ") && error.contains("the steps are trained anew"), "{error}");
        assert_eq!(restore(folder.path(), 159).expect("the earlier one is whole"), Some(state(80)));
    }

    #[test]
    fn a_state_under_another_steps_name_is_not_believed() {
        let folder = kept(&[80]);
        fs::rename(folder.path().join("80.bin"), folder.path().join("90.bin")).expect("renamed");
        let error = restore(folder.path(), 100).expect_err("refused").to_string();
        assert!(error.contains("the state is of step 80, its name says 90"), "{error}");
    }
}
