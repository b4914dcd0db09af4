//! The text of a spec, and errors that point into it.

use std::path::{Path, PathBuf};

use super::SpecError;
use crate::nearest::{nearest, quoted_list};

/// A spec's text and where it lies.
pub(super) struct Source<'a> {
    pub(super) path: PathBuf,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// An error about a key; `section` is empty for keys above the first section.
    pub(super) fn error(&self, section: &str, key: &str, problem: String, hint: String) -> SpecError {
        SpecError { place: self.place(self.line_of(section, key)), problem, hint }
    }

    fn place(&self, line: Option<usize>) -> String {
        match line {
            Some(line) => format!("`{}` line {line}", self.path.display()),
            None => format!("`{}`", self.path.display()),
        }
    }

    fn line_of(&self, section: &str, key: &str) -> Option<usize> {
        let mut inside = "";
        for (index, line) in self.text.lines().enumerate() {
            let line = line.trim();
            if line.starts_with('[') && !line.contains('=') {
                inside = line.split(']').next().unwrap_or_default().trim_start_matches('[').trim();
            } else if inside == section && line.split_once('=').is_some_and(|(name, _)| name.trim() == key) {
                return Some(index + 1);
            }
        }
        None
    }

    /// A TOML or type error as one of ours: the line, the key, the nearest known key.
    pub(super) fn translate(&self, error: &toml::de::Error) -> SpecError {
        let line = error.span().map(|span| line_at(self.text, span.start));
        match unknown_field(error.message()) {
            Some((key, allowed)) => {
                let line = line.map(|line| self.line_of_key_from(line, key).unwrap_or(line));
                unknown_key(self.place(line), key, &allowed)
            }
            None => wrong_value(self.place(line), error.message(), self.key_at(error)),
        }
    }

    /// The first line from here on that sets a key: an error inside a tagged table points at the table's head.
    fn line_of_key_from(&self, first: usize, key: &str) -> Option<usize> {
        let sets = |line: &str| line.split_once('=').is_some_and(|(name, _)| name.trim() == key);
        self.text.lines().skip(first - 1).position(sets).map(|index| first + index)
    }

    fn key_at(&self, error: &toml::de::Error) -> Option<String> {
        let start = error.span()?.start;
        let line = self.text.lines().nth(line_at(self.text, start) - 1)?;
        let (key, _) = line.split_once('=')?;
        Some(key.trim().to_owned())
    }
}

/// The error of a file that cannot be read.
pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> SpecError {
    let is_spec = path.extension().is_some_and(|ending| ending == "toml");
    let folder = if is_spec { path.parent().unwrap_or(path) } else { path }.display().to_string();
    let hint = match error.kind() {
        std::io::ErrorKind::NotFound => format!("`forescale init {folder}` writes a commented one"),
        _ => "give the sweep folder or its `sweep.toml`".to_owned(),
    };
    SpecError { place: format!("`{}`", path.display()), problem: format!("the spec cannot be read: {error}"), hint }
}

fn line_at(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// The key and the allowed ones of serde's "unknown field" message.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    let rest = message.strip_prefix("unknown field `").or_else(|| message.strip_prefix("unknown variant `"))?;
    let (key, rest) = rest.split_once('`')?;
    let allowed = rest.split('`').skip(1).step_by(2).collect();
    Some((key, allowed))
}

fn unknown_key(place: String, key: &str, allowed: &[&str]) -> SpecError {
    let meant = nearest(key, allowed.iter().copied());
    let problem = match meant {
        Some(meant) => format!("`{key}` is not known here; did you mean `{meant}`?"),
        None => format!("`{key}` is not known here"),
    };
    let flag = FLAGS.into_iter().find(|(name, _)| meant.is_none() && *name == key);
    let hint = match flag {
        Some((_, flag)) => format!("it is no part of a sweep, but a flag: forescale run SWEEP {flag}"),
        None => format!("allowed are {}", quoted_list(allowed.iter().copied())),
    };
    SpecError { place, problem, hint }
}

/// What `run` is told by flags, as a key that somebody may write, and as the flag.
const FLAGS: [(&str, &str); 4] = [
    ("device", "--device cuda"),
    ("precision", "--precision bf16"),
    ("memory_limit", "--memory-limit 16GiB"),
    ("jobs", "--jobs 4"),
];

fn wrong_value(place: String, message: &str, key: Option<String>) -> SpecError {
    let plain = in_plain_words(message);
    let problem = match key.filter(|_| !message.starts_with("missing")) {
        Some(key) => format!("`{key}`: {plain}"),
        None => plain,
    };
    let hint = "numbers are written without quotes or units (`tokens = 131072`), names in quotes".to_owned();
    let missing = "`forescale init` writes a spec with every key and what it means".to_owned();
    SpecError { place, problem, hint: if message.starts_with("missing") { missing } else { hint } }
}

/// Serde's words for types, in words for people.
fn in_plain_words(message: &str) -> String {
    let pairs = [
        ("missing field", "a key is missing:"),
        ("expected u32", "expected a whole number, 0 or more"),
        ("expected u64", "expected a whole number, 0 or more"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
    ];
    let first_line = message.lines().next().unwrap_or(message);
    pairs.iter().fold(first_line.to_owned(), |text, (from, to)| text.replace(from, to))
}
