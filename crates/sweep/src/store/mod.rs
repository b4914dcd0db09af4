//! A sweep's folder on disk.
//!
//! ```text
//! <sweep>/sweep.toml
//! <sweep>/runs/<run id>/config.json     the planned run, written once
//!                       log.jsonl       one line an event, appended
//!                       checkpoint.bin  newest state, replaced in one step
//!                       items.jsonl     results per problem, where the run was asked any; written before the record
//!                       record.json     sealed once, when the run is over
//!                       stderr.log      what the process said
//!                       lock            held while a process works on the run
//! <sweep>/runs/trunks/<trunk id>/<step>.bin   a state that branches share; left there, for it is small
//! <sweep>/out/                          everything that can be rebuilt from records
//! ```
//!
//! What is raw is only ever appended to or replaced whole, so that a kill at any moment leaves the old state or the
//! new one. Only a sealed record makes a run finished: no scheduler's word is asked for.

mod atomic;
mod checkpoint;
mod error;
mod failure;
mod items;
mod log;
mod run_folder;
mod trunk;
mod version;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use forescale_core::items::ItemResult;
use forescale_core::record::{LogLine, RunRecord};
use forescale_core::run::{PlannedRun, RunId};

pub use atomic::write_atomically;
pub use error::StoreError;
pub use failure::Failure;
pub use log::read as read_log;
pub use run_folder::RunFolder;
pub(crate) use run_folder::{STDERR, parse_record};
pub(crate) use version::check_version;

/// A sweep's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    sweep_dir: PathBuf,
}

/// How far a run is.
#[derive(Clone, Debug, PartialEq)]
pub enum RunState {
    /// Nothing is there.
    Missing,
    /// Begun and not sealed.
    Started(Progress),
    /// Over.
    Sealed(Box<RunRecord>),
}

/// A run on its way, as its log tells.
#[derive(Clone, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Steps of the whole run.
    pub steps: u64,
    /// Newest training loss, nats per token.
    pub loss: Option<f64>,
    /// Newest speed of the newest attempt; none before its first line of that.
    pub tokens_per_second: Option<f64>,
    /// When the log last grew.
    pub updated: Option<SystemTime>,
    /// Whether a process holds the run now; a run that is begun and not held was interrupted.
    pub held: bool,
}

impl Store {
    /// The store of a sweep folder, which must exist; nothing is written yet.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when there is no such folder.
    pub fn open(sweep_dir: &Path) -> Result<Self, StoreError> {
        if sweep_dir.is_dir() {
            return Ok(Self { sweep_dir: sweep_dir.to_owned() });
        }
        Err(StoreError::new(sweep_dir, "there is no such sweep folder", "`forescale init DIR` makes one"))
    }

    /// The sweep's folder.
    #[must_use]
    pub fn sweep_dir(&self) -> &Path {
        &self.sweep_dir
    }

    /// Where a run lies.
    #[must_use]
    pub fn run_dir(&self, id: &RunId) -> PathBuf {
        self.sweep_dir.join("runs").join(&id.0)
    }

    /// Opens a run's folder, upon which a file system shared by machines asks again what is in it: it remembers for a while that
    /// a file was missing.
    pub(crate) fn ask_again(&self, id: &RunId) {
        for folder in [self.sweep_dir.join("runs"), self.run_dir(id)] {
            let _ = std::fs::read_dir(folder);
        }
    }

    /// Why a run that is neither sealed nor under way is not: `None` where nothing tells that it failed.
    #[must_use]
    pub fn failure(&self, id: &RunId) -> Option<Failure> {
        failure::failure(&self.run_dir(id))
    }

    /// Where results lie.
    #[must_use]
    pub fn out_dir(&self) -> PathBuf {
        self.sweep_dir.join("out")
    }

    /// Takes hold of a run: makes its folder, writes or checks its config, and locks it against other processes.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when another process holds the run, the folder cannot be written, its config is another run's,
    /// or its log is damaged.
    pub fn begin(&self, run: &PlannedRun) -> Result<RunFolder, StoreError> {
        RunFolder::open(&self.run_dir(&run.id), run)
    }

    /// How far a run is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when what is there cannot be read or is damaged.
    pub fn state(&self, id: &RunId) -> Result<RunState, StoreError> {
        if let Some(record) = self.record(id)? {
            return Ok(RunState::Sealed(Box::new(record)));
        }
        Ok(run_folder::progress(&self.run_dir(id))?.map_or(RunState::Missing, RunState::Started))
    }

    /// The sealed record of a run, if it is over.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it is there and cannot be read, is of another version, or does not match its digest.
    pub fn record(&self, id: &RunId) -> Result<Option<RunRecord>, StoreError> {
        run_folder::read_record(&self.run_dir(id), Some(id))
    }

    /// The sealed record of a planned run, with the role and name that the plan gives it now.
    ///
    /// An identity says nothing of what a run is for: a rung of yesterday's spec may be today's target, and must then
    /// not be fitted.
    ///
    /// # Errors
    ///
    /// As [`Store::record`].
    pub fn planned_record(&self, run: &PlannedRun) -> Result<Option<RunRecord>, StoreError> {
        let record = self.record(&run.id)?;
        Ok(record.map(|record| RunRecord { role: run.role, name: run.name.clone(), ..record }))
    }

    /// How the run of a record answered the problems of its corpus; none where it was asked none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the results cannot be read, or are not those that the record names by their digest.
    pub fn items(&self, record: &RunRecord) -> Result<Vec<ItemResult>, StoreError> {
        items::read(&self.run_dir(&record.run_id), record)
    }

    /// All whole lines of a run's log; none when there is no log.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a line in the middle cannot be read.
    pub fn log(&self, id: &RunId) -> Result<Vec<LogLine>, StoreError> {
        log::read(&self.run_dir(id).join(log::FILE))
    }

    /// Writes a result to `out/<name>` in one step, and says where that is.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when it could not be written whole; what was there before then still is.
    pub fn write_out(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let path = self.out_dir().join(name);
        write_atomically(&path, bytes)?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
