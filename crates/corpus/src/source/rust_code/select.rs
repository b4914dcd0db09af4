//! Making a lock from any `Cargo.lock`: which crates are worth fetching, and which may not meet the validation crates.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::Path;

use rayon::prelude::*;

use super::archive::{self, CrateText};
use super::fetch::{CargoHome, parse_cargo_lock};
use super::lock::{CrateLock, LockedCrate, Split};
use crate::error::CorpusError;

/// A crate with less source is not worth a request.
const MIN_CRATE_BYTES: u64 = 10_000;

/// Names of crates that bind to a system or library, and are mostly generated.
const BINDINGS: [&str; 8] = ["-sys", "windows", "winapi", "objc2", "libc", "linux-raw", "ndk", "wayland"];

/// A lock that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct LockRequest<'a> {
    /// A `Cargo.lock` whose crates were fetched with `cargo fetch`; what was not fetched is not considered.
    pub cargo_lock: &'a Path,
    /// Names of the validation crates.
    pub validation: &'a [String],
    /// Names of crates to leave out.
    pub leave_out: &'a [String],
    /// Unique training source to stop at, bytes.
    pub max_train_bytes: u64,
}

/// Chooses crates: the newest version of each, mostly hand-written, none from a validation crate's repository, and
/// as many as the bytes allow in the order of their checksums.
///
/// # Errors
///
/// If the `Cargo.lock` or an archive cannot be read, or a validation crate is not among the fetched ones.
pub fn lock_crates(request: &LockRequest) -> Result<CrateLock, CorpusError> {
    let path = request.cargo_lock;
    let text = fs::read_to_string(path).map_err(CorpusError::io("read", path))?;
    let candidates = read_candidates(&newest(parse_cargo_lock(&text)), &CargoHome::from_environment())?;
    check_validation(request, &candidates)?;
    let held_out = |each: &Candidate| request.validation.contains(&each.locked.name);
    let repositories: HashSet<_> =
        candidates.iter().filter(|each| held_out(each)).filter_map(|each| each.text.repository.clone()).collect();
    let mut seen = HashSet::new();
    let mut lock = CrateLock { crates: Vec::new() };
    for each in candidates.iter().filter(|each| held_out(each)) {
        each.new_bytes(&mut seen);
        lock.crates.push(LockedCrate { split: Split::Validation, ..each.locked.clone() });
    }
    let mut bytes = 0;
    let training = candidates.iter().filter(|each| !held_out(each) && each.is_worth_it());
    for each in training.filter(|each| !request.leave_out.contains(&each.locked.name)) {
        let same_house = each.text.repository.as_ref().is_some_and(|home| repositories.contains(home));
        if same_house || bytes >= request.max_train_bytes {
            continue;
        }
        bytes += each.new_bytes(&mut seen);
        lock.crates.push(each.locked.clone());
    }
    lock.crates.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(lock)
}

struct Candidate {
    locked: LockedCrate,
    text: CrateText,
}

impl Candidate {
    fn is_worth_it(&self) -> bool {
        let kept = self.text.kept_bytes();
        let binding = BINDINGS.iter().any(|part| self.locked.name.contains(part));
        !binding && kept >= MIN_CRATE_BYTES && kept >= self.text.left_out_bytes()
    }

    fn new_bytes(&self, seen: &mut HashSet<[u8; 32]>) -> u64 {
        let new = self.text.files.iter().filter(|file| seen.insert(file.digest));
        new.map(|file| file.bytes.len() as u64).sum()
    }
}

/// The newest version of each crate, in the order of their checksums.
fn newest(packages: Vec<(String, String, String)>) -> Vec<LockedCrate> {
    let mut best: BTreeMap<String, LockedCrate> = BTreeMap::new();
    for (name, version, sha256) in packages {
        let older = best.get(&name).is_none_or(|other| compare(&other.version, &version).is_lt());
        if older {
            best.insert(name.clone(), LockedCrate { name, version, sha256, split: Split::Train });
        }
    }
    let mut order: Vec<_> = best.into_values().collect();
    order.sort_by(|a, b| a.sha256.cmp(&b.sha256));
    order
}

/// By numbers; a release comes after its previews.
fn compare(a: &str, b: &str) -> Ordering {
    let key = |version: &str| {
        let (numbers, preview) = match version.split_once(['-', '+']) {
            Some((numbers, rest)) if version.contains('-') => (numbers.to_owned(), Some(rest.to_owned())),
            Some((numbers, _)) => (numbers.to_owned(), None),
            None => (version.to_owned(), None),
        };
        let numbers: Vec<u64> = numbers.split('.').map(|part| part.parse().unwrap_or(0)).collect();
        (numbers, preview.is_none(), preview)
    };
    key(a).cmp(&key(b))
}

fn read_candidates(crates: &[LockedCrate], home: &CargoHome) -> Result<Vec<Candidate>, CorpusError> {
    let fetched = crates.par_iter().filter_map(|locked| Some((locked, home.archive(locked).ok()?)));
    fetched
        .map(|(locked, path)| Ok(Candidate { locked: locked.clone(), text: archive::read(locked, &path)? }))
        .collect()
}

fn check_validation(request: &LockRequest, candidates: &[Candidate]) -> Result<(), CorpusError> {
    let fetched = |name: &str| candidates.iter().any(|each| each.locked.name == name);
    match request.validation.iter().find(|name| !fetched(name)) {
        None => Ok(()),
        Some(name) => Err(CorpusError::BadValue {
            field: "validation",
            value: format!("`{name}`"),
            allowed: "a fetched crate of the `Cargo.lock` is needed".into(),
            hint: format!("`cargo add {name} && cargo fetch` beside the `Cargo.lock`"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_by_number_and_previews_come_first() {
        assert_eq!(compare("1.10.0", "1.9.9"), Ordering::Greater);
        assert_eq!(compare("1.0.0-rc.1", "1.0.0"), Ordering::Less);
        assert_eq!(compare("0.2.1+spec-1.0", "0.2.0"), Ordering::Greater);
    }

    #[test]
    fn only_packages_with_a_checksum_from_the_registry_are_read() {
        let text = "version = 4\n\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"a\"\nversion = \"1.2.3\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"ff\"\ndependencies = [\n \"b\",\n]\n";
        assert_eq!(parse_cargo_lock(text), [("a".into(), "1.2.3".into(), "ff".into())]);
    }
}
