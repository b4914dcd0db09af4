//! Runs that are not sealed because they failed, told from those that were ended from outside.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use forescale_core::record::LogLine;

use super::log;
use super::run_folder::STDERR;

/// A run whose newest attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Whether memory did not suffice.
    pub out_of_memory: bool,
    /// The file that says why.
    pub told_in: PathBuf,
}

/// The failure of a run's newest attempt, by its log and by what its process said; `None` where neither tells of one, as
/// when it was killed.
pub(super) fn failure(folder: &Path) -> Option<Failure> {
    let (log, said) = (folder.join(log::FILE), folder.join(STDERR));
    let out_of_memory = matches!(log::tail(&log).unwrap_or_default().last(), Some(LogLine::OutOfMemory { .. }));
    // Words from before the log last grew are an earlier attempt's.
    let is_new = changed(&said).is_some_and(|words| changed(&log).is_none_or(|lines| lines <= words));
    let has_failed = is_new && tells_of_an_error(&fs::read(&said).unwrap_or_default());
    (out_of_memory || has_failed).then_some(Failure { out_of_memory, told_in: if is_new { said } else { log } })
}

fn changed(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).and_then(|file| file.modified()).ok()
}

/// Whether a process said at its end that it cannot go on, be it by an error of ours, of the loader's, or by a panic. One
/// that was told to end has saved its state, and has not failed.
fn tells_of_an_error(said: &[u8]) -> bool {
    let text = String::from_utf8_lossy(said);
    text.lines().any(|line| {
        (line.starts_with("error: ") && !line.contains("` was told to end after step"))
            || line.contains(" panicked at ")
            || line.contains("error while loading shared libraries")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run's folder with these lines in its log and these words of its process, if any, the words last.
    fn folder(log: &[&str], said: Option<&str>) -> (tempfile::TempDir, Option<Failure>) {
        let folder = tempfile::tempdir().expect("a folder");
        if !log.is_empty() {
            fs::write(folder.path().join("log.jsonl"), log.join("\n") + "\n").expect("written");
        }
        if let Some(said) = said {
            fs::write(folder.path().join("stderr.log"), said).expect("written");
        }
        let found = failure(folder.path());
        (folder, found)
    }

    const START: &str =
        r#"{"event":"start","attempt":1,"step":0,"steps":9,"registration_sha256":null,"simd":"","device":"cpu"}"#;
    const REFUSED: &str = r#"{"event":"out_of_memory","attempt":1,"step":0,"device":"cuda:0","accumulate":1,"needed_bytes":2,"free_bytes":1}"#;

    #[test]
    fn a_run_that_was_killed_has_not_failed() {
        assert_eq!(folder(&[START], Some("note: a card is watched\n")).1, None);
        assert_eq!(folder(&[], None).1, None);
        let told = "error: run `a` was told to end after step 3 of 9; its state is saved\n\nhint: give it again\n";
        assert_eq!(folder(&[START], Some(told)).1, None, "nor has one that saved its state");
    }

    #[test]
    fn a_run_whose_process_said_an_error_has_failed_and_the_file_is_named() {
        for said in ["error: run `a`: no\n", "thread 'main' panicked at src/a.rs:1:\nno\n"] {
            let (folder, found) = folder(&[START], Some(said));
            let expected = Failure { out_of_memory: false, told_in: folder.path().join("stderr.log") };
            assert_eq!(found, Some(expected));
        }
        let loader = "forescale: error while loading shared libraries: libcuda.so.1: cannot open shared object file\n";
        assert!(folder(&[], Some(loader)).1.is_some(), "one that did not even start");
    }

    #[test]
    fn a_run_that_memory_did_not_suffice_for_is_told_from_others() {
        assert!(folder(&[START, REFUSED], Some("error: out of memory\n")).1.is_some_and(|found| found.out_of_memory));
        assert_eq!(folder(&[REFUSED, START], Some("")).1, None, "it is under way again");
    }

    #[test]
    fn words_of_an_earlier_attempt_are_not_this_ones() {
        let (folder, _) = folder(&[START], Some("error: once\n"));
        let later = SystemTime::now() + std::time::Duration::from_secs(60);
        let log = fs::File::options().append(true).open(folder.path().join("log.jsonl")).expect("a log");
        log.set_modified(later).expect("set");
        assert_eq!(failure(folder.path()), None);
    }
}
