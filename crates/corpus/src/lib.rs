//! Text of any source as one memory-mappable form: `tokens.bin` and `manifest.json` in a folder of the cache.
//!
//! The only room that reads text, archives, Parquet and tokenizers. A [`CorpusSpec`](forescale_core::corpus::CorpusSpec)
//! names a source; [`build`] reads it once and writes the corpus into the cache, where [`locate`] finds it again by the
//! digest of spec and input. Which run reads a corpus, and how it cuts windows from it, is not known here.
//!
//! # On disk
//!
//! ```text
//! CACHE/corpora/<source>-<digest of spec and input>/
//!     tokens.bin      training tokens, then validation tokens, one or two bytes each (little endian), no header
//!     manifest.json   forescale_core::corpus::CorpusManifest
//!     tokenizer.json  the tokenizer, where tokens are not bytes and the source is text
//!     problems.jsonl  forescale_core::problem::Problem, one a line, where the corpus has tasks
//! ```
//!
//! A corpus is built in a temporary folder beside its place and renamed, so that a folder with this name is complete.

mod build;
mod cache;
mod content;
mod draw;
mod error;
mod guard;
mod problems;
mod source;
mod task;
mod tokenizer;

pub use build::{BuildRequest, BuiltCorpus, Progress, build, locate, verify};
pub use cache::default_cache;
pub use error::CorpusError;
pub use problems::problems;
pub use source::rust_code::{CrateLock, LockRequest, LockedCrate, Split, lock_crates};
