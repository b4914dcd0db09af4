//! Which files a spec's paths name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use glob::Pattern;

use crate::error::CorpusError;

/// A file, and its name in manifests: its path relative to the spec's folder where it lies below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InputFile {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// All files, sorted by name, each once.
pub(super) fn files(patterns: &[String], folder: &Path) -> Result<Vec<InputFile>, CorpusError> {
    if patterns.is_empty() {
        return Err(CorpusError::BadValue {
            field: "paths",
            value: "empty".into(),
            allowed: "at least 1 folder or glob is needed".into(),
            hint: "paths = [\"text/**/*.txt\"]".into(),
        });
    }
    let mut found = BTreeSet::new();
    for pattern in patterns {
        let paths = expand(pattern, folder)?;
        if paths.is_empty() {
            return Err(CorpusError::NothingMatched { pattern: pattern.clone(), folder: folder.into() });
        }
        found.extend(paths);
    }
    let mut files: Vec<_> = found.into_iter().map(|path| name(path, folder)).collect();
    files.sort();
    Ok(files)
}

fn name(path: PathBuf, folder: &Path) -> InputFile {
    let inner = path.strip_prefix(folder).unwrap_or(&path);
    InputFile { name: inner.to_string_lossy().replace('\\', "/"), path }
}

fn expand(pattern: &str, folder: &Path) -> Result<Vec<PathBuf>, CorpusError> {
    let plain = folder.join(pattern);
    if plain.is_dir() {
        let mut files = Vec::new();
        walk(&plain, &mut files)?;
        return Ok(files);
    }
    if plain.is_file() {
        return Ok(vec![plain]);
    }
    let bad = |reason: String| CorpusError::BadPattern { pattern: pattern.into(), reason };
    let whole = if Path::new(pattern).is_absolute() {
        pattern.to_owned()
    } else {
        format!("{}/{pattern}", Pattern::escape(&folder.to_string_lossy()))
    };
    let mut files = Vec::new();
    for path in glob::glob(&whole).map_err(|error| bad(error.to_string()))? {
        let path = path.map_err(|error| {
            let path = error.path().to_path_buf();
            CorpusError::io("read", &path)(error.into())
        })?;
        if path.is_dir() {
            walk(&path, &mut files)?;
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// All files below a folder; hidden ones and links to folders are not followed.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), CorpusError> {
    for entry in fs::read_dir(folder).map_err(CorpusError::io("read", folder))? {
        let entry = entry.map_err(CorpusError::io("read", folder))?;
        let (path, hidden) = (entry.path(), entry.file_name().to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_file() {
            files.push(path);
        } else if path.is_dir() && !path.is_symlink() {
            walk(&path, files)?;
        }
    }
    Ok(())
}
