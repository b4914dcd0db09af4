//! `checkpoint.bin`: a saved state of training, with a header that tells a damaged file from a whole one.
//!
//! ```text
//! 8 bytes   magic `FORESCKP`
//! 4 bytes   version, little endian
//! 8 bytes   steps done, little endian
//! 8 bytes   length of the state, little endian
//! 64 bytes  SHA-256 of steps, length and state, in hexadecimal digits
//! ...       the state, whose form the training crate owns
//! ```

use std::fs;
use std::io;
use std::path::Path;

use forescale_core::digest::Hasher;
use forescale_core::record::Checkpoint;

use super::StoreError;
use super::atomic::write_parts_atomically;

pub(super) const FILE: &str = "checkpoint.bin";
const MAGIC: &[u8; 8] = b"FORESCKP";
const VERSION: u32 = 1;
const HEADER: usize = 8 + 4 + 8 + 8 + 64;

/// Replaces a run's checkpoint in one step.
pub(super) fn save(folder: &Path, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    write(&folder.join(FILE), checkpoint)
}

/// A run's checkpoint, if there is one.
pub(super) fn restore(folder: &Path) -> Result<Option<Checkpoint>, StoreError> {
    let path = folder.join(FILE);
    let hint =
        || format!("`rm {}`, then give the same command again: this run starts anew, the others stay", path.display());
    read(&path, hint)
}

/// Replaces a state in one step.
pub(super) fn write(path: &Path, checkpoint: &Checkpoint) -> Result<(), StoreError> {
    let step = checkpoint.step.to_le_bytes();
    let length = (checkpoint.bytes.len() as u64).to_le_bytes();
    let sum = digest(step, length, &checkpoint.bytes);
    let parts: [&[u8]; 6] = [MAGIC, &VERSION.to_le_bytes(), &step, &length, sum.as_bytes(), &checkpoint.bytes];
    write_parts_atomically(path, &parts)
}

/// The state in a file, if there is one; the hint says what to do about a damaged one.
pub(super) fn read(path: &Path, hint: impl FnOnce() -> String) -> Result<Option<Checkpoint>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => parse(bytes).map(Some).map_err(|problem| StoreError::new(path, problem, hint())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::reading(path, error)),
    }
}

fn digest(step: [u8; 8], length: [u8; 8], state: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(&step);
    hasher.update(&length);
    hasher.update(state);
    hasher.finish()
}

fn parse(mut bytes: Vec<u8>) -> Result<Checkpoint, String> {
    if bytes.len() < HEADER {
        return Err(format!(
            "the checkpoint is damaged: it has {} bytes, its header alone takes {HEADER}",
            bytes.len()
        ));
    }
    if &bytes[..8] != MAGIC {
        return Err("this is not a checkpoint: its first bytes are not `FORESCKP`".to_owned());
    }
    let version = u32::from_le_bytes(array(&bytes[8..12]));
    if version != VERSION {
        return Err(format!("the checkpoint has version {version}; this program reads {VERSION}"));
    }
    let (step, length) = (array(&bytes[12..20]), array(&bytes[20..28]));
    let (found, promised) = ((bytes.len() - HEADER) as u64, u64::from_le_bytes(length));
    if found != promised {
        return Err(format!("the checkpoint is damaged: {promised} bytes of state were written, {found} are there"));
    }
    if digest(step, length, &bytes[HEADER..]).as_bytes() != &bytes[28..HEADER] {
        return Err("the checkpoint is damaged: its checksum does not match its content".to_owned());
    }
    bytes.drain(..HEADER);
    Ok(Checkpoint { step: u64::from_le_bytes(step), bytes })
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("a slice of the header has its own length")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> (tempfile::TempDir, Checkpoint) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let checkpoint = Checkpoint { step: 120, bytes: (0..=255).collect() };
        save(folder.path(), &checkpoint).expect("saved");
        (folder, checkpoint)
    }

    #[test]
    fn what_was_saved_is_restored() {
        let (folder, checkpoint) = saved();
        assert_eq!(restore(folder.path()).expect("restored"), Some(checkpoint));
    }

    #[test]
    fn without_a_checkpoint_there_is_none() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert_eq!(restore(folder.path()).expect("no error"), None);
    }

    #[test]
    fn every_single_flipped_byte_is_found() {
        let (folder, _) = saved();
        let path = folder.path().join(FILE);
        let whole = fs::read(&path).expect("read");
        for index in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[index] ^= 1;
            assert!(parse(bytes).is_err(), "byte {index}");
        }
    }

    #[test]
    fn every_truncation_is_found() {
        let (folder, _) = saved();
        let whole = fs::read(folder.path().join(FILE)).expect("read");
        for length in 0..whole.len() {
            assert!(parse(whole[..length].to_vec()).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_damaged_checkpoint_names_the_file_and_the_way_out() {
        let (folder, _) = saved();
        let path = folder.path().join(FILE);
        let mut bytes = fs::read(&path).expect("read");
        bytes[200] ^= 4;
        fs::write(&path, bytes).expect("written");
        let error = restore(folder.path()).expect_err("damaged").to_string();
        assert!(error.contains("checkpoint.bin`: the checkpoint is damaged: its checksum"), "{error}");
        assert!(error.contains("hint: `rm ") && error.contains("starts anew"), "{error}");
    }
}
