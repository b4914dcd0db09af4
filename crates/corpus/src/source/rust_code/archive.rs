//! A crate's archive as screened source files.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use forescale_core::digest::sha256_hex;
use sha2::{Digest as _, Sha256};

use super::lock::LockedCrate;
use super::screen;
use crate::error::CorpusError;

/// A source file that is kept.
pub(super) struct SourceFile {
    pub(super) path: String,
    /// Its text, and the zero byte that ends a document.
    pub(super) bytes: Vec<u8>,
    pub(super) digest: [u8; 32],
}

/// What one crate gives.
pub(super) struct CrateText {
    /// Sorted by path.
    pub(super) files: Vec<SourceFile>,
    /// Reason and bytes of each file that is not kept.
    pub(super) left_out: Vec<(&'static str, u64)>,
    /// Where the crate says that it is developed.
    pub(super) repository: Option<String>,
}

/// Reads an archive whose bytes have the locked checksum.
pub(super) fn read(locked: &LockedCrate, path: &Path) -> Result<CrateText, CorpusError> {
    let packed = fs::read(path).map_err(CorpusError::io("read", path))?;
    let actual = sha256_hex(&packed);
    if actual != locked.sha256 {
        return Err(CorpusError::ChecksumMismatch {
            name: locked.name.clone(),
            path: path.into(),
            expected: locked.sha256.clone(),
            actual,
        });
    }
    unpack(&packed).map_err(CorpusError::io("unpack", path))
}

fn unpack(packed: &[u8]) -> std::io::Result<CrateText> {
    let mut plain = Vec::with_capacity(packed.len() * 8);
    GzDecoder::new(packed).read_to_end(&mut plain)?;
    let mut text = CrateText { files: Vec::new(), left_out: Vec::new(), repository: None };
    for entry in tar::Archive::new(plain.as_slice()).entries()? {
        let mut entry = entry?;
        let Some(path) = inner_path(&entry.path()?) else { continue };
        let mut bytes = Vec::with_capacity(usize::try_from(entry.size()).unwrap_or(0) + 1);
        if path == "Cargo.toml" {
            entry.read_to_end(&mut bytes)?;
            text.repository = repository(&String::from_utf8_lossy(&bytes));
        } else if path.ends_with(".rs") && entry.header().entry_type().is_file() {
            entry.read_to_end(&mut bytes)?;
            text.add(path, bytes);
        }
    }
    text.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(text)
}

impl CrateText {
    fn add(&mut self, path: String, mut bytes: Vec<u8>) {
        if let Some(reason) = screen::reason_to_leave_out(&path, &bytes) {
            self.left_out.push((reason, bytes.len() as u64));
            return;
        }
        let digest = Sha256::digest(&bytes).into();
        bytes.push(0);
        self.files.push(SourceFile { path, bytes, digest });
    }

    /// Bytes that are kept.
    pub(super) fn kept_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes.len() as u64).sum()
    }

    /// Bytes that are not.
    pub(super) fn left_out_bytes(&self) -> u64 {
        self.left_out.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// The path within the crate, without the archive's top folder.
fn inner_path(path: &Path) -> Option<String> {
    let mut parts = path.components();
    parts.next()?;
    parts.as_path().to_str().map(|inner| inner.replace('\\', "/"))
}

/// The `repository` line of a published manifest, which cargo writes in one fixed form.
fn repository(manifest: &str) -> Option<String> {
    let value = manifest.lines().find_map(|line| line.strip_prefix("repository = "))?;
    let address = value.trim().trim_matches('"').trim_end_matches('/').to_ascii_lowercase();
    let project: Vec<_> = address.split('/').take(5).collect();
    Some(project.join("/").trim_end_matches(".git").to_owned())
}
