//! Archives from cargo: found where it keeps them, fetched by it when they are missing.
//!
//! A temporary project depends on exactly the locked crates, without their default features, and carries a lock file
//! so that yanked versions stay available. Cargo's own configuration (mirrors, proxies, credentials) applies. What a
//! crate needs on other systems is not fetched.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::lock::{CrateLock, LockedCrate};
use crate::build::Progress;
use crate::cache;
use crate::error::CorpusError;

/// How cargo names the public registry in every lock file, whichever mirror it is configured to use.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// One fixed platform, so that every machine fetches the same crates.
const TARGET: &str = "x86_64-unknown-linux-gnu";

const POLL: Duration = Duration::from_millis(200);

/// Where cargo keeps archives, and how it is called.
pub(super) struct CargoHome {
    pub(super) folder: PathBuf,
    pub(super) cargo: OsString,
}

impl CargoHome {
    /// `$CARGO_HOME` or `~/.cargo`, and `$CARGO` or `cargo`.
    pub(super) fn from_environment() -> Self {
        let home = || std::env::home_dir().unwrap_or_default().join(".cargo");
        Self {
            folder: std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from),
            cargo: std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
        }
    }

    /// The archive of a crate.
    pub(super) fn archive(&self, locked: &LockedCrate) -> Result<PathBuf, CorpusError> {
        let found = find(locked, &self.registries());
        found.ok_or_else(|| CorpusError::ArchiveMissing {
            name: locked.name.clone(),
            version: locked.version.clone(),
            cargo_home: self.folder.clone(),
        })
    }

    /// Lets cargo fetch what is missing.
    pub(super) fn fetch(
        &self,
        lock: &CrateLock,
        cache: &Path,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), CorpusError> {
        let missing = self.missing(lock);
        if missing == 0 {
            return Ok(());
        }
        let total = lock.crates.len();
        let report = |missing: usize| Progress {
            stage: "fetch crates",
            done: (total - missing) as u64,
            total: Some(total as u64),
        };
        progress(report(missing));
        fs::create_dir_all(cache).map_err(CorpusError::io("create", cache))?;
        let project = cache::temporary_in(cache)?;
        write_project(lock, project.path())?;
        let mut child = self.start(project.path())?;
        let succeeded = loop {
            let state = child.try_wait().map_err(CorpusError::io("wait for cargo in", project.path()))?;
            if let Some(status) = state {
                break status.success();
            }
            std::thread::sleep(POLL);
            progress(report(self.missing(lock)));
        };
        self.judge(succeeded, lock, &project.path().join("cargo.log"))
    }

    fn judge(&self, succeeded: bool, lock: &CrateLock, log: &Path) -> Result<(), CorpusError> {
        let missing = self.missing(lock);
        if succeeded || missing == 0 {
            return Ok(());
        }
        let output = fs::read_to_string(log).map_err(CorpusError::io("read", log))?;
        let output = last_lines(&output, 8);
        Err(CorpusError::FetchFailed { missing, crates: lock.crates.len(), output, cargo_home: self.folder.clone() })
    }

    fn start(&self, project: &Path) -> Result<Child, CorpusError> {
        let path = project.join("cargo.log");
        let log = fs::File::create(&path).map_err(CorpusError::io("create", &path))?;
        let mut command = Command::new(&self.cargo);
        command.args(["fetch", "--target", TARGET, "--manifest-path"]).arg(project.join("Cargo.toml"));
        command.env("CARGO_HOME", &self.folder).env_remove("CARGO_TERM_COLOR");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        command.spawn().map_err(CorpusError::io("start", Path::new(&self.cargo)))
    }

    fn missing(&self, lock: &CrateLock) -> usize {
        let registries = self.registries();
        lock.crates.iter().filter(|each| find(each, &registries).is_none()).count()
    }

    /// One folder per registry or mirror that cargo has used.
    fn registries(&self) -> Vec<PathBuf> {
        let folders = fs::read_dir(self.folder.join("registry/cache")).into_iter().flatten();
        let mut folders: Vec<_> = folders.flatten().map(|entry| entry.path()).collect();
        folders.sort();
        folders
    }
}

fn find(locked: &LockedCrate, registries: &[PathBuf]) -> Option<PathBuf> {
    let name = format!("{}-{}.crate", locked.name, locked.version);
    registries.iter().map(|folder| folder.join(&name)).find(|path| path.is_file())
}

fn write_project(lock: &CrateLock, folder: &Path) -> Result<(), CorpusError> {
    let source = folder.join("src");
    fs::create_dir(&source).map_err(CorpusError::io("create", &source))?;
    let files = [("Cargo.toml", manifest(lock)), ("Cargo.lock", lock_file(lock)), ("src/lib.rs", String::new())];
    for (name, text) in files {
        let path = folder.join(name);
        fs::write(&path, text).map_err(CorpusError::io("write", &path))?;
    }
    Ok(())
}

/// Renamed, because one crate may be locked in two versions.
fn manifest(lock: &CrateLock) -> String {
    let mut text = String::from(
        "[package]\nname = \"forescale-fetch\"\nversion = \"0.0.0\"\nedition = \"2021\"\n\n[workspace]\n\n[dependencies]\n",
    );
    for (index, each) in lock.crates.iter().enumerate() {
        let (name, version) = (&each.name, without_build(&each.version));
        let _ =
            writeln!(text, "c{index} = {{ package = \"{name}\", version = \"={version}\", default-features = false }}");
    }
    text
}

/// Cargo fills in the edges; it keeps the versions and checks the checksums.
fn lock_file(lock: &CrateLock) -> String {
    let mut text = String::from("version = 4\n");
    for LockedCrate { name, version, sha256, .. } in &lock.crates {
        let _ = write!(
            text,
            "\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{REGISTRY}\"\nchecksum = \"{sha256}\"\n"
        );
    }
    text
}

/// A requirement takes no build metadata.
fn without_build(version: &str) -> &str {
    version.split('+').next().expect("split gives at least one part")
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// The crates of the public registry in a `Cargo.lock`: name, version and checksum.
pub(super) fn parse_cargo_lock(text: &str) -> Vec<(String, String, String)> {
    let packages = text.split("[[package]]").skip(1).map(fields);
    packages
        .filter(|package| package.get("source").is_some_and(|source| *source == REGISTRY))
        .filter_map(|package| {
            let field = |name| package.get(name).map(|value| (*value).to_owned());
            Some((field("name")?, field("version")?, field("checksum")?))
        })
        .collect()
}

fn fields(package: &str) -> HashMap<&str, &str> {
    let pairs = package.lines().filter_map(|line| line.split_once(" = "));
    pairs.map(|(key, value)| (key, value.trim().trim_matches('"'))).collect()
}
