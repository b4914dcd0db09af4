//! Where text comes from: one file per source, and one line here.

pub(crate) mod files;
mod gather;
mod left_out;
pub(crate) mod mixture;
pub(crate) mod rust_code;
pub(crate) mod shards;
pub(crate) mod zipf_facts;

use forescale_core::corpus::CorpusSpec;

use crate::build::{BuildRequest, Progress};
use crate::content::Content;
use crate::error::CorpusError;

/// One kind of corpus.
pub(crate) trait Source {
    /// Its name in a spec, and in the cache.
    fn name(&self) -> &'static str;

    /// A digest of all that decides the content: the spec's values and the input. Checks the spec; fast.
    fn key(&self, request: &BuildRequest) -> Result<String, CorpusError>;

    /// Reads the content.
    fn read(&self, request: &BuildRequest, progress: &mut dyn FnMut(Progress)) -> Result<Content, CorpusError>;
}

/// The source that a spec names.
pub(crate) fn of(spec: &CorpusSpec) -> Box<dyn Source + '_> {
    match spec {
        CorpusSpec::Files(spec) => Box::new(files::Files(spec)),
        CorpusSpec::RustCode(spec) => Box::new(rust_code::RustCode(spec)),
        CorpusSpec::ZipfFacts(spec) => Box::new(zipf_facts::ZipfFacts(spec)),
        CorpusSpec::Shards(spec) => Box::new(shards::Shards(spec)),
        CorpusSpec::Mixture(spec) => Box::new(mixture::Mixture::of(spec)),
        CorpusSpec::Task(spec) => Box::new(mixture::Mixture::alone(spec)),
    }
}
