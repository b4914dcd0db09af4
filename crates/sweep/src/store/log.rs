//! `log.jsonl`: one JSON object a line, appended.
//!
//! A killed process may leave a broken last line. It stays where it is, for what is raw is never cut: the next
//! attempt starts on a fresh line. So a line that cannot be read is expected at the end of the log and right before
//! the first line of an attempt (`start`, or `out_of_memory` where it was refused before it began), and damage anywhere else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use forescale_core::record::LogLine;

use super::StoreError;

pub(super) const FILE: &str = "log.jsonl";

/// How much of a log's end is read to find its newest lines.
const TAIL_BYTES: u64 = 16 * 1024;

/// A log opened for appending.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    mid_line: bool,
}

impl Log {
    /// Opens or makes a log.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let mid_line = ends_mid_line(path).map_err(|cause| StoreError::reading(path, cause))?;
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.map_err(|cause| StoreError::writing(path, cause))?;
        Ok(Self { path: path.to_owned(), file, mid_line })
    }

    /// Appends one line, on a fresh one if the last was cut short.
    pub(super) fn append(&mut self, line: &LogLine) -> Result<(), StoreError> {
        let json = serde_json::to_string(line).expect("a log line has a JSON form");
        let fresh = if self.mid_line { "\n" } else { "" };
        let written = self.file.write_all(format!("{fresh}{json}\n").as_bytes());
        self.mid_line = written.is_err();
        written.map_err(|cause| StoreError::writing(&self.path, cause))
    }
}

fn ends_mid_line(path: &Path) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    if !file.metadata()?.is_file() || file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// All whole lines of a log; none when there is no such file.
///
/// # Errors
///
/// [`StoreError`] when it cannot be read, or a line in its middle is none of ours.
pub fn read(path: &Path) -> Result<Vec<LogLine>, StoreError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::reading(path, error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let parsed: Vec<_> = text.lines().map(serde_json::from_str::<LogLine>).collect();
    let mut lines = Vec::with_capacity(parsed.len());
    for (index, line) in parsed.iter().enumerate() {
        match line {
            Ok(line) => lines.push(line.clone()),
            Err(_) if cut_short(parsed.get(index + 1)) => {}
            Err(error) => return Err(garbled(path, index + 1, error)),
        }
    }
    Ok(lines)
}

/// Whether a broken line with this one after it is what a killed process leaves.
fn cut_short(next: Option<&serde_json::Result<LogLine>>) -> bool {
    matches!(next, None | Some(Ok(LogLine::Start { .. } | LogLine::OutOfMemory { .. })))
}

fn garbled(path: &Path, number: usize, error: &serde_json::Error) -> StoreError {
    let folder = path.parent().unwrap_or(path).display();
    StoreError::new(
        path,
        format!("line {number} cannot be read: {error}"),
        format!("restore the file, or `rm -r {folder}` and give the same command again to train this run anew"),
    )
}

/// The newest lines, oldest first; broken ones are passed over, since the log may be growing.
pub(super) fn tail(path: &Path) -> io::Result<Vec<LogLine>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
}
