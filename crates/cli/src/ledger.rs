//! `forecasts.jsonl` on disk: where it lies, reading it whole, and adding to its end.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use forescale_core::ledger::{LEDGER_SCHEMA, LedgerLine};
use forescale_core::outcome::{Registration, Score};
use forescale_fit::{Entered, Ledger, LedgerError};

use crate::output;
use crate::workplace;

/// Its name.
const FILE: &str = "forecasts.jsonl";
/// The folder of a project that holds it, beside `sweeps`.
const FOLDER: &str = "reports";
const SWEEPS: &str = "sweeps";

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

    /// The ledger of a sweep or a baseline, however its path is spelt: `reports/forecasts.jsonl` of the project in whose
    /// `sweeps` or `reports` folder it lies, else in its own `out`.
    pub(crate) fn of_sweep(folder: &Path) -> Self {
        let whole = whole(folder);
        let names = [SWEEPS, FOLDER].map(OsStr::new);
        let holder =
            whole.ancestors().skip(1).find(|above| above.file_name().is_some_and(|name| names.contains(&name)));
        let place = holder.and_then(Path::parent).map_or_else(|| folder.join("out"), |project| project.join(FOLDER));
        Self { path: place.join(FILE) }
    }

    /// The ledger of a registration that belongs to no sweep: `reports/forecasts.jsonl` of the nearest folder above the file
    /// that has a `reports`, else beside the file.
    pub(crate) fn above(file: &Path) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
        let whole = whole(folder);
        let project = whole.ancestors().find(|above| above.join(FOLDER).is_dir());
        let place = project.map_or_else(|| folder.to_owned(), |project| project.join(FOLDER));
        Self { path: place.join(FILE) }
    }

    /// The ledger that a registration written into the working folder is entered in.
    pub(crate) fn here() -> Self {
        Self::above(Path::new(FILE))
    }

    /// As a name for messages: from the working folder on where it lies below.
    pub(crate) fn name(&self) -> String {
        let here = std::env::current_dir().unwrap_or_default();
        self.path.strip_prefix(here).unwrap_or(&self.path).display().to_string()
    }

    /// The chain, verified.
    pub(crate) fn read(&self) -> anyhow::Result<Ledger> {
        match self.text()? {
            Some(text) => self.parse(&text),
            None => bail!("there is no `{}`\n\nhint: `forescale run` and `forescale register` begin one", self.name()),
        }
    }

    /// Refuses a ledger that nothing could be added to, before time goes into what would be.
    pub(crate) fn refuse_broken(&self) -> anyhow::Result<()> {
        let Some(text) = self.text()? else { return Ok(()) };
        OpenOptions::new().append(true).open(&self.path).with_context(|| self.unwritable())?;
        self.parse(&text).map(drop)
    }

    fn text(&self) -> anyhow::Result<Option<String>> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("`{}` cannot be read", self.name())),
        }
    }

    fn unwritable(&self) -> String {
        format!(
            "`{}` cannot be written\n\nhint: what is registered and scored is entered there; make it writable",
            self.name()
        )
    }

    fn parse(&self, text: &str) -> anyhow::Result<Ledger> {
        let line = |(index, line): (usize, &str)| {
            let place = format!("{}, line {}", self.name(), index + 1);
            let value = serde_json::from_str(line).map_err(|cause| {
                anyhow!(
                    "`{}`, line {}: {cause}\n\nhint: take the file back from version control; a line that was cut off while it was written may be removed",
                    self.name(),
                    index + 1
                )
            })?;
            workplace::document::<LedgerLine>(value, LEDGER_SCHEMA, &place)
        };
        let lines: Vec<LedgerLine> = text.lines().enumerate().map(line).collect::<anyhow::Result<_>>()?;
        Ledger::verified(lines).with_context(|| format!("`{}`", self.name()))
    }

    /// Enters a registration, `ahead` where its target has no outcome yet.
    pub(crate) fn register(&self, registration: &Registration, ahead: bool) -> anyhow::Result<Entered> {
        self.enter_one(|ledger| ledger.register(registration, ahead))
    }

    /// Enters an outcome, and says so where it is not taken.
    pub(crate) fn score(&self, registration: &Registration, score: &Score) -> anyhow::Result<Entered> {
        let entered = self.enter_one(|ledger| ledger.score(registration, score))?;
        match &entered {
            Entered::Late { line } => output::say(&self.late(*line)),
            Entered::Unregistered => output::say(&format!(
                "note: the outcome is not entered: `{}` holds no such registration; `forescale record --add` shows it, as entered afterwards",
                self.name()
            )),
            Entered::Line(_) | Entered::Known => {}
        }
        Ok(entered)
    }

    /// Why a forecast of a target with an outcome is not entered.
    pub(crate) fn late(&self, line: u64) -> String {
        format!(
            "note: `{}` has this target's outcome on line {line}: a forecast of it now is none, and is not entered",
            self.name()
        )
    }

    /// Enters what another ledger holds; how many lines are new.
    pub(crate) fn merge(&self, other: &Ledger) -> anyhow::Result<usize> {
        self.enter(|ledger| {
            let lines = ledger.merge(other)?;
            Ok((lines.clone(), lines.len()))
        })
    }

    fn enter_one(&self, entry: impl Fn(&mut Ledger) -> Result<Entered, LedgerError>) -> anyhow::Result<Entered> {
        self.enter(|ledger| {
            let entered = entry(ledger)?;
            let lines = if let Entered::Line(line) = &entered { vec![(**line).clone()] } else { Vec::new() };
            Ok((lines, entered))
        })
    }

    /// Adds lines while nobody else does: all of them or none. Where there is nothing to add the file is only read.
    fn enter<T>(&self, entry: impl Fn(&mut Ledger) -> Result<(Vec<LedgerLine>, T), LedgerError>) -> anyhow::Result<T> {
        let entered = |text: &str| entry(&mut self.parse(text)?).with_context(|| format!("`{}`", self.name()));
        let (lines, answer) = entered(&self.text()?.unwrap_or_default())?;
        if lines.is_empty() {
            return Ok(answer);
        }
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).with_context(|| self.unwritable())?;
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&self.path);
        let mut file = file.with_context(|| self.unwritable())?;
        file.lock().with_context(|| self.unwritable())?;
        // Somebody else may have added to it since.
        let mut text = String::new();
        file.read_to_string(&mut text).with_context(|| format!("`{}` cannot be read", self.name()))?;
        let (lines, answer) = entered(&text)?;
        let mut added = String::from(if text.is_empty() || text.ends_with('\n') { "" } else { "\n" });
        for line in &lines {
            added += &serde_json::to_string(line)?;
            added.push('\n');
        }
        write_or_undo(&mut file, &added, text.len() as u64).with_context(|| self.unwritable())?;
        Ok(answer)
    }
}

/// A folder without links and detours, as far as it is there.
fn whole(folder: &Path) -> PathBuf {
    folder.canonicalize().or_else(|_| std::path::absolute(folder)).unwrap_or_else(|_| folder.to_owned())
}

/// Lines that are not written to their end are taken back.
fn write_or_undo(file: &mut File, lines: &str, length: u64) -> std::io::Result<()> {
    let written = file.write_all(lines.as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        file.set_len(length)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_project_has_one_ledger_however_its_folders_are_spelt() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().canonicalize().expect("a path").join("project");
        for inner in ["sweeps/x", "sweeps/family/y", "sweeps/baseline", "reports/x/baseline", "other"] {
            fs::create_dir_all(project.join(inner)).expect("a folder");
        }
        fs::create_dir_all(project.join("../alone/baseline")).expect("a folder");
        let of = |inner: &str| LedgerFile::of_sweep(&project.join(inner)).path;
        let one = project.join("reports/forecasts.jsonl");
        let mut spelt =
            vec!["sweeps/x", "sweeps/family/y", "sweeps/baseline", "reports/x/baseline", "other/../sweeps/x"];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(project.join("sweeps/x"), project.join("link")).expect("a link");
            spelt.push("link");
        }
        spelt.iter().for_each(|inner| assert_eq!(of(inner), one, "{inner}"));
        let alone = project.join("../alone/baseline");
        assert_eq!(LedgerFile::of_sweep(&alone).path, alone.join("out/forecasts.jsonl"));
        // A registration file goes by the folders above it, not by where the command is typed.
        assert_eq!(LedgerFile::above(&project.join("other/r.json")).path, one);
        assert_eq!(LedgerFile::above(&alone.join("r.json")).path, alone.join("forecasts.jsonl"));
    }
}
