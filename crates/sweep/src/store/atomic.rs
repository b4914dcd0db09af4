//! Files that are seen whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use super::StoreError;

/// Replaces a file in one step: written beside it, flushed to disk, renamed over it. Missing folders are made.
///
/// # Errors
///
/// [`StoreError`] when it could not be written whole; what was there before then still is, and no trace is left.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    write_parts_atomically(path, &[bytes])
}

/// As [`write_atomically`], from several slices one after the other.
pub(super) fn write_parts_atomically(path: &Path, parts: &[&[u8]]) -> Result<(), StoreError> {
    replace(path, parts).map_err(|cause| StoreError::writing(path, cause))
}

fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    let mut file = beside(folder)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename itself is only safe once the folder is on disk; not every system can flush a folder.
    let _ = File::open(folder).and_then(|folder| folder.sync_all());
    Ok(())
}

/// A temporary file with ordinary permissions: the default would hide results from everybody else.
fn beside(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    builder.prefix(".new-").tempfile_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_and_leaves_nothing_beside() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("out/a.json");
        write_atomically(&path, b"one").expect("written");
        write_atomically(&path, b"two").expect("replaced");
        assert_eq!(fs::read(&path).expect("read"), b"two");
        assert_eq!(fs::read_dir(folder.path().join("out")).expect("listed").count(), 1);
    }

    #[test]
    fn a_file_where_a_folder_is_needed_is_an_error_with_a_hint() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("out"), b"in the way").expect("written");
        let error = write_atomically(&folder.path().join("out/a.json"), b"one").expect_err("refused");
        assert!(error.cause.is_some());
        assert!(error.to_string().contains("a file stands where a folder is needed"), "{error}");
        assert_eq!(fs::read(folder.path().join("out")).expect("read"), b"in the way");
    }

    #[test]
    fn a_folder_where_the_file_should_be_loses_nothing_and_leaves_no_trace() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("a.json/inside")).expect("made");
        write_atomically(&folder.path().join("a.json"), b"one").expect_err("refused");
        assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 1);
    }
}
