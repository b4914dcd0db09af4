//! One run's folder, held by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use forescale_core::digest::json_digest;
use forescale_core::items::ItemResult;
use forescale_core::record::{Checkpoint, LogLine, RECORD_SCHEMA, RunRecord, RunSink, SinkError};
use forescale_core::run::{PlannedRun, RunId};

use super::{Progress, StoreError, check_version, checkpoint, items, log, trunk, write_atomically};

const CONFIG: &str = "config.json";
const RECORD: &str = "record.json";
const LOCK: &str = "lock";
/// What the process of a run said.
pub(crate) const STDERR: &str = "stderr.log";

/// A run's folder, locked for this process; the sink of its training loop.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    /// Where the states of its trunk lie, if it is a branch.
    trunk: Option<PathBuf>,
    log: log::Log,
    /// Held until drop; the system lets go of it when the process dies.
    _lock: File,
}

impl RunFolder {
    pub(super) fn open(path: &Path, run: &PlannedRun) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(|cause| StoreError::writing(path, cause))?;
        let lock = lock(path)?;
        let log_path = path.join(log::FILE);
        log::read(&log_path)?;
        write_or_check_config(path, run)?;
        let runs = path.parent().unwrap_or(path);
        let trunk = run.config.trunk_id().map(|id| runs.join(trunk::FOLDER).join(id));
        Ok(Self { path: path.to_owned(), trunk, log: log::Log::open(&log_path)?, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All whole lines logged so far, earlier attempts included.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when a line in the middle cannot be read.
    pub fn lines(&self) -> Result<Vec<LogLine>, StoreError> {
        log::read(&self.path.join(log::FILE))
    }

    /// The sealed record, if the run is over.
    ///
    /// # Errors
    ///
    /// As [`super::Store::record`].
    pub fn record(&self) -> Result<Option<RunRecord>, StoreError> {
        read_record(&self.path, None)
    }

    /// Keeps how the run answered the problems of its corpus, whole; its record must name their digest. A run that was
    /// asked none keeps nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when they cannot be written.
    pub fn keep_items(&mut self, items: &[ItemResult]) -> Result<(), StoreError> {
        if items.is_empty() { Ok(()) } else { items::save(&self.path, items) }
    }

    /// Seals the run: writes its record once, whole. Sealing the same result again changes nothing.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the record's digest is not that of its content, the results per problem that it names are not
    /// kept, another result is sealed already, or it cannot be written.
    pub fn seal(&mut self, record: &RunRecord) -> Result<(), StoreError> {
        let path = self.path.join(RECORD);
        check_digest(&path, record)?;
        if let Some(sealed) = self.record()? {
            return same_result(&path, &sealed, record);
        }
        items::read(&self.path, record)?;
        let json = serde_json::to_vec_pretty(record).expect("a record has a JSON form");
        write_atomically(&path, &json)
    }
}

impl RunSink for RunFolder {
    fn log(&mut self, line: &LogLine) -> Result<(), SinkError> {
        Ok(self.log.append(line)?)
    }

    fn attempts(&mut self) -> Result<u32, SinkError> {
        let starts = self.lines()?.iter().filter(|line| matches!(line, LogLine::Start { .. })).count();
        Ok(u32::try_from(starts).unwrap_or(u32::MAX))
    }

    fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        Ok(checkpoint::save(&self.path, checkpoint)?)
    }

    fn restore(&mut self) -> Result<Option<Checkpoint>, SinkError> {
        Ok(checkpoint::restore(&self.path)?)
    }

    /// As the trait says; a run that is no branch keeps nothing.
    fn save_trunk(&mut self, checkpoint: &Checkpoint) -> Result<(), SinkError> {
        Ok(self.trunk.as_deref().map_or(Ok(()), |folder| trunk::save(folder, checkpoint))?)
    }

    fn restore_trunk(&mut self, at_most: u64) -> Result<Option<Checkpoint>, SinkError> {
        Ok(self.trunk.as_deref().map_or(Ok(None), |folder| trunk::restore(folder, at_most))?)
    }
}

fn open_lock(folder: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(folder.join(LOCK))
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let file = open_lock(folder).map_err(|cause| StoreError::writing(&path, cause))?;
    match try_lock_patiently(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let hint = "wait for it (`forescale status SWEEP` shows how far it is), or end that process";
            Err(StoreError::new(folder, "another process is working on this run", hint))
        }
        Err(TryLockError::Error(cause)) => Err(StoreError::writing(&path, cause)),
    }
}

/// Tries for a fifth of a second: somebody who only looks ([`is_held`]) holds the lock for an instant.
fn try_lock_patiently(file: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(std::time::Duration::from_millis(10)),
            answer => return answer,
        }
    }
    file.try_lock()
}

fn write_or_check_config(folder: &Path, run: &PlannedRun) -> Result<(), StoreError> {
    let path = folder.join(CONFIG);
    match read_json::<PlannedRun>(&path)? {
        None => write_atomically(&path, &serde_json::to_vec_pretty(run).expect("a planned run has a JSON form")),
        Some(found) if json_digest(&found.config) == json_digest(&run.config) => Ok(()),
        Some(found) => {
            let problem =
                format!("the folder holds run `{}` (`{}`), not `{}` (`{}`)", found.id, found.name, run.id, run.name);
            Err(StoreError::new(&path, problem, "move the folder away: its name must be its run's id"))
        }
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StoreError::reading(path, error)),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| {
        let hint = "restore the file, or remove the run's folder to train it anew";
        StoreError::new(path, format!("cannot be understood: {error}"), hint)
    })
}

/// The sealed record in a folder, believed only when its version and digest hold.
pub(super) fn read_record(folder: &Path, expected: Option<&RunId>) -> Result<Option<RunRecord>, StoreError> {
    let path = folder.join(RECORD);
    let Some(value) = read_json::<serde_json::Value>(&path)? else { return Ok(None) };
    let record = parse_record(&path, value)?;
    match expected.filter(|id| **id != record.run_id) {
        Some(id) => {
            let problem = format!("the record is of run `{}`, the folder of `{id}`", record.run_id);
            Err(StoreError::new(&path, problem, "move the file away; the run is then trained anew"))
        }
        None => Ok(Some(record)),
    }
}

/// A record from its JSON: version first, then form, then digest.
pub(crate) fn parse_record(path: &Path, value: serde_json::Value) -> Result<RunRecord, StoreError> {
    let schema = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or_default();
    check_version(schema, RECORD_SCHEMA).map_err(|(problem, hint)| StoreError::new(path, problem, hint))?;
    let mut record: RunRecord = serde_json::from_value(value).map_err(|error| {
        StoreError::new(
            path,
            format!("the record cannot be understood: {error}"),
            "restore the file, or train the run anew",
        )
    })?;
    check_digest(path, &record)?;
    // What an older form did not have has its default by now.
    RECORD_SCHEMA.clone_into(&mut record.schema);
    Ok(record)
}

fn check_digest(path: &Path, record: &RunRecord) -> Result<(), StoreError> {
    let computed = record.compute_result_digest();
    if computed == record.result_digest {
        return Ok(());
    }
    let problem = format!(
        "`result_digest` of run `{}` is `{}`; its content has `{computed}`",
        record.run_id, record.result_digest
    );
    Err(StoreError::new(
        path,
        problem,
        "the file was changed after it was sealed: restore it, or remove it to train the run anew",
    ))
}

fn same_result(path: &Path, sealed: &RunRecord, new: &RunRecord) -> Result<(), StoreError> {
    if sealed.result_digest == new.result_digest {
        return Ok(());
    }
    let problem =
        format!("the run is sealed with result `{}`; this one is `{}`", sealed.result_digest, new.result_digest);
    Err(StoreError::new(path, problem, "a record is written once; remove the run's folder to train it anew"))
}

/// How far an unsealed run is; `None` when it was never begun.
pub(super) fn progress(folder: &Path) -> Result<Option<Progress>, StoreError> {
    let Some(run) = read_json::<PlannedRun>(&folder.join(CONFIG))? else { return Ok(None) };
    let path = folder.join(log::FILE);
    let lines = log::tail(&path).unwrap_or_default();
    let loss = lines.iter().rev().find_map(|line| match line {
        LogLine::Step { loss, .. } => Some(*loss),
        _ => None,
    });
    Ok(Some(Progress {
        step: lines.last().map_or(0, step_of),
        steps: run.config.steps,
        loss,
        tokens_per_second: speed(&lines),
        updated: fs::metadata(&path).and_then(|file| file.modified()).ok(),
        held: is_held(folder),
    }))
}

/// The newest speed of the newest attempt: what an earlier one went at tells nothing of this one.
fn speed(lines: &[LogLine]) -> Option<f64> {
    let began = |line: &&LogLine| matches!(line, LogLine::Start { .. } | LogLine::OutOfMemory { .. });
    lines.iter().rev().take_while(|line| !began(line)).find_map(|line| match line {
        LogLine::Step { tokens_per_second, .. } => Some(*tokens_per_second),
        _ => None,
    })
}

fn step_of(line: &LogLine) -> u64 {
    match line {
        LogLine::Start { step, .. }
        | LogLine::Step { step, .. }
        | LogLine::OutOfMemory { step, .. }
        | LogLine::End { step, .. } => *step,
        LogLine::Evaluation { point, .. } => point.step,
    }
}

/// Whether another process holds the folder; the lock tried here is let go of at once.
fn is_held(folder: &Path) -> bool {
    let Ok(file) = File::open(folder.join(LOCK)) else { return false };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}
