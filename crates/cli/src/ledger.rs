//! `forecasts.jsonl` on disk: where it lies, reading it whole, and adding to its end.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use forescale_core::ledger::LedgerLine;
use forescale_core::outcome::{Registration, Score};
use forescale_fit::{Ledger, LedgerError};

/// Its name.
pub(crate) const FILE: &str = "forecasts.jsonl";
/// The folder of a project that holds it, beside `sweeps`.
const FOLDER: &str = "reports";

/// A ledger's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerFile {
    path: PathBuf,
}

impl LedgerFile {
    /// A file named by the user.
    pub(crate) fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The ledger of a sweep: `reports/forecasts.jsonl` of the project whose `sweeps` folder holds it, else in the sweep's
    /// own `out`.
    pub(crate) fn of_sweep(folder: &Path) -> Self {
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let project = whole.parent().filter(|parent| parent.ends_with("sweeps")).and_then(Path::parent);
        let place = project.map_or_else(|| folder.join("out"), |project| project.join(FOLDER));
        Self { path: place.join(FILE) }
    }

    /// The ledger of what belongs to no sweep: `reports/forecasts.jsonl` here where there is such a folder, else beside
    /// the file in question.
    pub(crate) fn beside(file: &Path) -> Self {
        let here = Path::new(FOLDER);
        let place = if here.is_dir() { here } else { file.parent().unwrap_or_else(|| Path::new("")) };
        Self { path: place.join(FILE) }
    }

    /// As a name for messages.
    pub(crate) fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// The chain, verified.
    pub(crate) fn read(&self) -> anyhow::Result<Ledger> {
        let text = std::fs::read_to_string(&self.path).with_context(|| {
            format!(
                "`{}` cannot be read\n\nhint: `forescale run` and `forescale register` begin one",
                self.path.display()
            )
        })?;
        self.parse(&text)
    }

    fn parse(&self, text: &str) -> anyhow::Result<Ledger> {
        let place = self.path.display();
        let line = |(index, line): (usize, &str)| {
            serde_json::from_str::<LedgerLine>(line).map_err(|cause| {
                let number = index + 1;
                anyhow!(
                    "`{place}`, line {number}: {cause}\n\nhint: take the file back from version control; a line that was cut off while it was written may be removed"
                )
            })
        };
        let lines: Vec<LedgerLine> = text.lines().enumerate().map(line).collect::<anyhow::Result<_>>()?;
        Ledger::verified(lines).with_context(|| format!("`{place}`"))
    }

    /// Enters a registration; whether it is new.
    pub(crate) fn register(&self, registration: &Registration) -> anyhow::Result<bool> {
        self.enter(|ledger| ledger.register(registration))
    }

    /// Enters an outcome; whether it is new.
    pub(crate) fn score(&self, score: &Score) -> anyhow::Result<bool> {
        self.enter(|ledger| ledger.score(score))
    }

    /// Adds one line while nobody else does: all of it or nothing.
    fn enter(
        &self,
        entry: impl FnOnce(&mut Ledger) -> Result<Option<LedgerLine>, LedgerError>,
    ) -> anyhow::Result<bool> {
        let failed = || format!("`{}` cannot be written", self.path.display());
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).with_context(failed)?;
        }
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(&self.path).with_context(failed)?;
        file.lock().with_context(failed)?;
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("`{}` cannot be read", self.path.display()))?;
        let line = entry(&mut self.parse(&text)?).with_context(|| format!("`{}`", self.path.display()))?;
        let Some(line) = line else { return Ok(false) };
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let line = format!("{gap}{}\n", serde_json::to_string(&line)?);
        write_or_undo(&mut file, &line, text.len() as u64).with_context(failed)?;
        Ok(true)
    }
}

/// A line that is not written to its end is taken back.
fn write_or_undo(file: &mut File, line: &str, length: u64) -> std::io::Result<()> {
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        file.set_len(length)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_in_a_project_has_the_projects_ledger_and_any_other_its_own() {
        let of = |folder: &str| LedgerFile::of_sweep(Path::new(folder)).path;
        assert_eq!(of("/project/sweeps/ladder"), Path::new("/project/reports/forecasts.jsonl"));
        assert_eq!(of("/tmp/ladder"), Path::new("/tmp/ladder/out/forecasts.jsonl"));
    }
}
