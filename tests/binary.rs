//! Runs the built `forescale` in a folder of its own and holds what it said.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Exit code, stdout and stderr of one command.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    /// Exit code and both streams as one text, for a snapshot.
    pub(crate) fn whole(&self) -> String {
        format!("exit: {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    /// stdout as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.whole()))
    }

    /// Fails the test unless the exit code is this one.
    #[track_caller]
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.whole());
        self
    }
}

/// A `forescale` command in a folder.
pub(crate) fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_forescale"));
    command.args(arguments).current_dir(dir).env("NO_COLOR", "1").env("FORESCALE_CACHE", cache());
    command
}

/// Runs `forescale` in a folder to its end.
pub(crate) fn forescale(dir: &Path, arguments: &[&str]) -> Said {
    said(&command(dir, arguments).output().expect("the binary starts"))
}

pub(crate) fn said(output: &Output) -> Said {
    Said {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A cache shared by all tests, inside the build folder.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().and_then(Path::parent).expect("crates/cli lies two below the root").to_path_buf()
}

/// A published table, or `None` (said aloud and counted) where the folder is absent.
pub(crate) fn published(name: &str) -> Option<PathBuf> {
    let folder =
        std::env::var_os("FORESCALE_PUBLISHED_DATA").map_or_else(|| repository().join("../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.is_file() {
        return Some(path);
    }
    note_skip(name, &format!("it is not in `{}`", folder.display()));
    None
}

/// Says that a check was skipped, for want of what and why, and counts it in the file that CI names.
#[expect(clippy::print_stdout, reason = "a test that skips says so")]
pub(crate) fn note_skip(name: &str, why: &str) {
    println!("skipped: `{name}`: {why}");
    if let Some(list) = std::env::var_os("FORESCALE_SKIPS") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
        std::io::Write::write_all(&mut file, format!("{name}\n").as_bytes()).expect("the list can be written");
    }
}
