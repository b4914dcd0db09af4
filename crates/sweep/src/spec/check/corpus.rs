//! `[corpus]`: what can be known of it before its text is read.

use forescale_core::corpus::{CorpusSpec, MixtureSpec, PartSpec, ShardsSpec, TokenizerSpec, ZipfFactsSpec};

use super::super::SpecError;
use super::{Checker, Key};

/// Shares are written with few digits.
const SHARES_TOLERANCE: f64 = 1e-6;

impl Checker<'_> {
    pub(super) fn corpus(&self, corpus: &CorpusSpec) -> Result<(), SpecError> {
        match corpus {
            CorpusSpec::Files(files) if files.paths.is_empty() => {
                let key = Key { section: "corpus", name: "paths" };
                self.refuse(key, "is empty; at least one folder or glob is needed", "paths = [\"text/**/*.txt\"]")
            }
            CorpusSpec::Files(files) => {
                self.share(Key { section: "corpus", name: "validation_share" }, files.validation_share)?;
                self.tokenizer(&files.tokenizer)
            }
            CorpusSpec::RustCode(code) => self.tokenizer(&code.tokenizer),
            CorpusSpec::ZipfFacts(zipf) => self.zipf(zipf),
            CorpusSpec::Shards(shards) => self.shards(shards),
            CorpusSpec::Mixture(mixture) => self.mixture(mixture),
            CorpusSpec::Task(task) => {
                let key = |name| Key { section: "corpus", name };
                self.some_tokens(key("train_tokens"), task.train_tokens)?;
                self.some_tokens(key("validation_tokens"), task.validation_tokens)
            }
        }
    }

    fn tokenizer(&self, tokenizer: &TokenizerSpec) -> Result<(), SpecError> {
        let key = Key { section: "corpus", name: "tokenizer" };
        match tokenizer {
            TokenizerSpec::Bpe(bpe) if !(257..=65_536).contains(&bpe.vocabulary) => {
                let problem = format!("has a vocabulary of {}; 257 to 65536 is needed", bpe.vocabulary);
                self.refuse(key, &problem, "tokenizer = { kind = \"bpe\", vocabulary = 4096 }")
            }
            TokenizerSpec::Bytes {} | TokenizerSpec::Bpe(_) | TokenizerSpec::File(_) => Ok(()),
        }
    }

    fn shards(&self, shards: &ShardsSpec) -> Result<(), SpecError> {
        let key = |name| Key { section: "corpus", name };
        for (name, paths) in [("train", &shards.train), ("validation", &shards.validation)] {
            if paths.is_empty() {
                let problem = "is empty; at least one file, folder or glob is needed";
                return self.refuse(key(name), problem, "train = [\"data/*_train_*.bin\"]");
            }
        }
        if (2..=65_536).contains(&shards.vocabulary) {
            return Ok(());
        }
        let problem = format!("is {}; 2 to 65536 is needed", shards.vocabulary);
        self.refuse(key("vocabulary"), &problem, "50257 is GPT-2's")
    }

    fn zipf(&self, zipf: &ZipfFactsSpec) -> Result<(), SpecError> {
        let key = |name| Key { section: "corpus", name };
        if !(2..=65_536).contains(&zipf.vocabulary) {
            return self.refuse(
                key("vocabulary"),
                &format!("is {}; 2 to 65536 is needed", zipf.vocabulary),
                "64 is usual",
            );
        }
        self.at_least_one(key("key_digits"), zipf.key_digits)?;
        let most = u64::from(zipf.vocabulary).checked_pow(zipf.key_digits).unwrap_or(u64::MAX);
        if !(1..=most).contains(&zipf.facts) {
            let problem = format!("is {}; `vocabulary`^`key_digits` allows 1 to {most}", zipf.facts);
            return self.refuse(key("facts"), &problem, "raise `key_digits`, or lower `facts`");
        }
        if !(zipf.exponent.is_finite() && zipf.exponent > 1.0) {
            return self.refuse(key("exponent"), &format!("is {}; above 1 is needed", zipf.exponent), "1.5 is usual");
        }
        self.share(key("noise"), zipf.noise).map(|_| ())
    }

    /// What a task's parameters may be, the corpus knows.
    fn mixture(&self, mixture: &MixtureSpec) -> Result<(), SpecError> {
        let key = |name| Key { section: "corpus", name };
        if mixture.part.is_empty() {
            return self.refuse(key("part"), "is empty; at least one `[[corpus.part]]` is needed", "share = 1.0");
        }
        for (name, tokens) in [("train_tokens", mixture.train_tokens), ("validation_tokens", mixture.validation_tokens)]
        {
            self.some_tokens(key(name), tokens.unwrap_or(1))?;
        }
        let shares: f64 = mixture.part.iter().map(PartSpec::share).sum();
        let key = Key { section: "corpus.part", name: "share" };
        if let Some(share) = mixture.part.iter().map(PartSpec::share).find(|share| !(0.0..=1.0).contains(share)) {
            return self.refuse(key, &format!("is {share}; 0 to 1 is needed"), "10% is written 0.1");
        }
        if (shares - 1.0).abs() > SHARES_TOLERANCE {
            let problem = format!("is {shares} over all parts; 1 in all is needed");
            return self.refuse(key, &problem, "a part's share is its part of the training tokens");
        }
        Ok(())
    }

    fn some_tokens(&self, key: Key<'_>, tokens: u64) -> Result<(), SpecError> {
        if tokens > 0 {
            return Ok(());
        }
        self.refuse(key, "is 0; at least 1 token is needed", "4000000 training tokens make a small corpus")
    }
}
