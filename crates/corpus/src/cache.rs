//! The cache folder: where it is, and how a corpus gets into it whole or not at all.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::CorpusError;

/// `$FORESCALE_CACHE`, else `$XDG_CACHE_HOME/forescale`, else `~/.cache/forescale`.
#[must_use]
pub fn default_cache() -> PathBuf {
    choose(|name| std::env::var_os(name), std::env::home_dir())
}

fn choose(variable: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> PathBuf {
    let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("FORESCALE_CACHE")
        .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("forescale")))
        .or_else(|| home.map(|home| home.join(".cache/forescale")))
        .unwrap_or_else(|| std::env::temp_dir().join("forescale"))
}

/// Lets `fill` write into a temporary folder beside `dir`, then renames it to `dir`.
///
/// Where another process was faster, its folder stays and ours goes: both have the same content by construction.
pub(crate) fn write_atomically<T>(
    dir: &Path,
    fill: impl FnOnce(&Path) -> Result<T, CorpusError>,
) -> Result<T, CorpusError> {
    let parent = dir.parent().expect("a corpus folder lies in the cache");
    fs::create_dir_all(parent).map_err(CorpusError::io("create", parent))?;
    let temporary = temporary_in(parent)?;
    let value = fill(temporary.path())?;
    match fs::rename(temporary.path(), dir) {
        Ok(()) => {
            let _renamed_away = temporary.keep();
            sync_folder(parent)?;
            Ok(value)
        }
        Err(_) if dir.join("manifest.json").exists() => Ok(value),
        Err(error) => Err(CorpusError::io("create", dir)(error)),
    }
}

/// A folder in `parent` that vanishes when dropped.
pub(crate) fn temporary_in(parent: &Path) -> Result<tempfile::TempDir, CorpusError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".building-");
    builder.tempdir_in(parent).map_err(CorpusError::io("create a folder in", parent))
}

fn sync_folder(folder: &Path) -> Result<(), CorpusError> {
    let open = fs::File::open(folder).map_err(CorpusError::io("open", folder))?;
    open.sync_all().map_err(CorpusError::io("write", folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<OsString> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
    }

    #[test]
    fn our_own_variable_comes_before_the_general_one() {
        let both = environment(&[("FORESCALE_CACHE", "/a"), ("XDG_CACHE_HOME", "/b")]);
        assert_eq!(choose(both, Some("/home/x".into())), Path::new("/a"));
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let empty = environment(&[("FORESCALE_CACHE", ""), ("XDG_CACHE_HOME", "/b")]);
        assert_eq!(choose(empty, None), Path::new("/b/forescale"));
    }

    #[test]
    fn the_home_folder_is_the_last_resort() {
        let path = choose(environment(&[]), Some("/home/x".into()));
        assert_eq!(path, Path::new("/home/x/.cache/forescale"));
    }

    #[test]
    fn a_failed_build_leaves_nothing_behind() {
        let cache = tempfile::tempdir().expect("temporary folder");
        let dir = cache.path().join("corpora/files-00");
        let damaged = CorpusError::Damaged { dir: dir.clone(), reason: "x".into() };
        let result: Result<(), _> = write_atomically(&dir, |_| Err(damaged));
        assert!(result.is_err());
        let left = fs::read_dir(cache.path().join("corpora")).expect("folder").count();
        assert_eq!(left, 0);
    }
}
