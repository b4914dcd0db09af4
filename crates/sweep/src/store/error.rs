//! What goes wrong with files, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use forescale_core::record::SinkError;
use thiserror::Error;

/// Something on disk could not be read, written, locked or believed.
#[derive(Debug, Error)]
#[error("`{}`: {problem}\n\nhint: {hint}", place.display())]
pub struct StoreError {
    /// The file or folder.
    pub place: PathBuf,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
    /// What the system said, where it was asked.
    #[source]
    pub cause: Option<io::Error>,
}

impl StoreError {
    pub(crate) fn new(place: &Path, problem: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { place: place.to_owned(), problem: problem.into(), hint: hint.into(), cause: None }
    }

    pub(crate) fn reading(place: &Path, cause: io::Error) -> Self {
        Self::from_io(place, "cannot be read", cause)
    }

    pub(crate) fn writing(place: &Path, cause: io::Error) -> Self {
        Self::from_io(place, "cannot be written", cause)
    }

    fn from_io(place: &Path, what: &str, cause: io::Error) -> Self {
        let problem = format!("{what}: {cause}");
        Self { place: place.to_owned(), problem, hint: hint(cause.kind()).to_owned(), cause: Some(cause) }
    }
}

fn hint(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind as Kind;
    match kind {
        Kind::StorageFull | Kind::QuotaExceeded => {
            "the disk is full: free some space (`df -h .`), then give the same command again; nothing was lost"
        }
        Kind::ReadOnlyFilesystem | Kind::PermissionDenied => {
            "make the sweep folder writable (`chmod -R u+w`), or copy it to a place that is"
        }
        Kind::NotADirectory | Kind::AlreadyExists => "a file stands where a folder is needed: move it away",
        Kind::NotFound => "check the path",
        _ => "check the disk and the folder's permissions, then give the same command again",
    }
}

impl From<StoreError> for SinkError {
    fn from(error: StoreError) -> Self {
        Self { place: error.place.display().to_string(), problem: error.problem, hint: error.hint }
    }
}
