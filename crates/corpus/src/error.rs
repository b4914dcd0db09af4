//! What can go wrong between a spec and its corpus.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a corpus cannot be built, found or trusted. Each message says what to do about it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CorpusError {
    /// A file or folder cannot be read or written.
    #[error("cannot {action} `{}`: {source}\n\nhint: {}", path.display(), io_hint(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A path of the spec names nothing.
    #[error("`{pattern}` names no file in `{}`\n\nhint: name files, folders and globs relative to the spec's own folder, such as `\"text/**/*.txt\"`", folder.display())]
    NothingMatched {
        /// As the spec says it.
        pattern: String,
        /// The spec's folder.
        folder: PathBuf,
    },
    /// A glob cannot be parsed.
    #[error(
        "`{pattern}` is not a glob: {reason}\n\nhint: write a literal bracket as `[[]` and a literal star as `[*]`"
    )]
    BadPattern {
        /// As the spec says it.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A document cannot be read from its file.
    #[error("`{}`{}: {reason}\n\nhint: {hint}", path.display(), at_line(*line))]
    BadDocument {
        /// The file.
        path: PathBuf,
        /// The line, where the file has lines.
        line: Option<u64>,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// Too few documents are left for two splits.
    #[error(
        "{documents} usable documents{left_out}, of which {validation} for validation; at least 1 on each side is needed\n\nhint: {hint}"
    )]
    TooFewDocuments {
        /// Usable documents.
        documents: u64,
        /// What was left out and why, in words.
        left_out: String,
        /// Of these for validation.
        validation: u64,
        /// What to do.
        hint: String,
    },
    /// A value of the spec is outside its range.
    #[error("`{field}` is {value}; {allowed}\n\nhint: {hint}")]
    BadValue {
        /// The field's name.
        field: &'static str,
        /// The value that was given.
        value: String,
        /// The values that are allowed.
        allowed: String,
        /// What to do.
        hint: String,
    },
    /// A task's parameters cannot be read.
    #[error(
        "`parameters` of the task `{task}`: {reason}\n\nhint: numbers are written without quotes, as in `parameters = {{ digits = 3 }}`; without the key a task has its usual ones"
    )]
    BadParameters {
        /// The task.
        task: String,
        /// What is wrong with them.
        reason: String,
    },
    /// A tokenizer cannot be read, or cannot be used.
    #[error("`{}` {reason}\n\nhint: a `tokenizer.json` is what the `tokenizers` library saves; `tokenizer = {{ kind = \"bpe\", vocabulary = 4096 }}` learns one from the corpus", path.display())]
    BadTokenizer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of token ids is not what its format says.
    #[error("`{}` {reason}\n\nhint: {hint}", path.display())]
    BadShard {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// A line of a crate lock cannot be read.
    #[error("`{}` line {line}: {reason}\n\nhint: a line is `crate version sha256 train` or `crate version sha256 validation`; restore the file from version control", path.display())]
    BadLock {
        /// The lock.
        path: PathBuf,
        /// The line.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// Cargo did not fetch the crates.
    #[error("cargo could not fetch {missing} of the {crates} crates of the lock:\n{output}\n\nhint: connect to the network and run the same command again; crates already fetched are kept in `{}`", cargo_home.display())]
    FetchFailed {
        /// How many are missing.
        missing: usize,
        /// How many the lock names.
        crates: usize,
        /// The end of what cargo said.
        output: String,
        /// Where cargo keeps them.
        cargo_home: PathBuf,
    },
    /// Cargo fetched, but a crate's archive is not where cargo keeps archives.
    #[error("cargo fetched `{name}` {version}, but `{name}-{version}.crate` is not under `{}`\n\nhint: a vendored or local source keeps no archives; unset the source replacement in cargo's configuration for this command", cargo_home.display())]
    ArchiveMissing {
        /// The crate.
        name: String,
        /// Its version.
        version: String,
        /// Where cargo keeps them.
        cargo_home: PathBuf,
    },
    /// A crate's archive is not the one that was locked.
    #[error("`{}` has SHA-256 {actual}, but the lock says {expected} for `{name}`\n\nhint: delete the file and run the same command again", path.display())]
    ChecksumMismatch {
        /// The crate.
        name: String,
        /// The archive.
        path: PathBuf,
        /// What the lock says.
        expected: String,
        /// What the archive has.
        actual: String,
    },
    /// A corpus in the cache is damaged.
    #[error("the corpus in `{}` is damaged: {reason}\n\nhint: `rm -r '{}'` and build it again", dir.display(), dir.display())]
    Damaged {
        /// Its folder.
        dir: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

impl CorpusError {
    /// Wraps what the system said about a path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }
}

fn at_line(line: Option<u64>) -> String {
    line.map(|line| format!(" line {line}")).unwrap_or_default()
}

fn io_hint(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{NotFound, PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        NotFound => "check the path; paths of a spec are relative to the spec's own folder",
        PermissionDenied | ReadOnlyFilesystem => {
            "make it readable and writable, or set FORESCALE_CACHE to a folder that is"
        }
        StorageFull => "free some space, or set FORESCALE_CACHE to a folder on a larger disk",
        _ => "check the disk and the path, then run the same command again",
    }
}
