//! The lock: which crates, which bytes, which split. Plain text, one crate a line.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::str::FromStr;

use crate::error::CorpusError;

const HEADER: &str = "\
# Rust source of published crates, as a corpus. One crate a line: name, version, SHA-256 of its archive, split.
# Crates of the validation split share no repository with any crate of the training split.
# The corpus holds the crates in the order of their checksums, so that every prefix of it is a fair sample.
";

/// Which side a crate is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Trained on.
    Train,
    /// Held out.
    Validation,
}

/// One crate of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedCrate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its archive, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its side.
    pub split: Split,
}

/// The crates of a `rust-code` corpus; [`Display`](fmt::Display) writes the file that a spec's `lock` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrateLock {
    /// Sorted by name, then version.
    pub crates: Vec<LockedCrate>,
}

impl CrateLock {
    /// Reads a lock.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, a line has another form, a crate is on both sides, or a side is empty.
    pub fn read(path: &Path) -> Result<Self, CorpusError> {
        let text = fs::read_to_string(path).map_err(CorpusError::io("read", path))?;
        Self::parse(&text).map_err(|(line, reason)| CorpusError::BadLock { path: path.into(), line, reason })
    }

    /// The crates in the order of the corpus.
    pub(super) fn by_checksum(&self) -> Vec<&LockedCrate> {
        let mut order: Vec<_> = self.crates.iter().collect();
        order.sort_by(|a, b| a.sha256.cmp(&b.sha256));
        order
    }

    fn parse(text: &str) -> Result<Self, (usize, String)> {
        let mut lock = Self { crates: Vec::new() };
        let mut sides = HashMap::new();
        let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let locked: LockedCrate = line.parse().map_err(|reason| (number, reason))?;
            let side = *sides.entry(locked.name.clone()).or_insert(locked.split);
            if side != locked.split {
                return Err((number, format!("`{}` is in both splits; 1 is allowed", locked.name)));
            }
            lock.crates.push(locked);
        }
        lock.check_sides(text.lines().count())?;
        lock.crates.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        Ok(lock)
    }

    fn check_sides(&self, last_line: usize) -> Result<(), (usize, String)> {
        for split in [Split::Train, Split::Validation] {
            if !self.crates.iter().any(|each| each.split == split) {
                return Err((last_line, format!("0 crates are marked `{split}`; at least 1 is needed")));
            }
        }
        Ok(())
    }
}

impl FromStr for LockedCrate {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [name, version, sha256, split] = fields[..] else {
            return Err(format!("{} fields; 4 are needed", fields.len()));
        };
        let hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if sha256.len() != 64 || !sha256.bytes().all(hex) {
            return Err(format!("`{sha256}` is not a SHA-256; 64 digits 0-9a-f are needed"));
        }
        check_word("crate name", name, |c| matches!(c, '-' | '_'))?;
        check_word("version", version, |c| matches!(c, '.' | '-' | '+'))?;
        let split = match split {
            "train" => Split::Train,
            "validation" => Split::Validation,
            _ => return Err(format!("`{split}` is not a split; `train` or `validation` is needed")),
        };
        Ok(Self { name: name.into(), version: version.into(), sha256: sha256.into(), split })
    }
}

/// Names and versions become file names and a manifest's strings: only their own characters may pass.
fn check_word(what: &str, word: &str, mark: impl Fn(char) -> bool) -> Result<(), String> {
    if word.chars().all(|c| c.is_ascii_alphanumeric() || mark(c)) {
        return Ok(());
    }
    Err(format!("`{word}` is not a {what}"))
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "train",
            Self::Validation => "validation",
        })
    }
}

impl fmt::Display for CrateLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        for each in &self.crates {
            writeln!(f, "{} {} {} {}", each.name, each.version, each.sha256, each.split)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(name: &str, split: &str) -> String {
        format!("{name} 1.0.0 {} {split}\n", "ab".repeat(32))
    }

    #[test]
    fn what_is_written_reads_back_the_same() {
        let lock = CrateLock::parse(&(line("b", "train") + &line("a", "validation"))).expect("valid");
        assert_eq!(CrateLock::parse(&lock.to_string()), Ok(lock));
    }

    #[test]
    fn refuses_a_crate_on_both_sides() {
        let error = CrateLock::parse(&(line("a", "train") + &line("a", "validation")));
        assert_eq!(error, Err((2, "`a` is in both splits; 1 is allowed".into())));
    }

    #[test]
    fn refuses_a_lock_without_validation() {
        let error = CrateLock::parse(&line("a", "train")).expect_err("one side only");
        assert_eq!(error.1, "0 crates are marked `validation`; at least 1 is needed");
    }

    #[test]
    fn refuses_a_name_that_leaves_the_folder() {
        let error = CrateLock::parse(&line("../x", "train")).expect_err("a path");
        assert_eq!(error, (1, "`../x` is not a crate name".into()));
    }

    #[test]
    fn refuses_a_short_digest_with_its_line() {
        let error = CrateLock::parse("\na 1.0.0 abcd train").expect_err("short");
        assert_eq!(error, (2, "`abcd` is not a SHA-256; 64 digits 0-9a-f are needed".into()));
    }
}
