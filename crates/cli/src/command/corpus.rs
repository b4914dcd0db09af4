//! `forescale corpus`: build, show and lock corpora.

use std::path::Path;

use anyhow::{Context as _, bail};
use forescale_core::corpus::{CorpusManifest, PartSummary, ProblemSet, TokenizerSpec};
use forescale_corpus::LockRequest;
use forescale_sweep::SweepSpec;

use crate::args::CorpusCommand;
use crate::exit::Answer;
use crate::output;
use crate::workplace;

pub(crate) fn run(command: &CorpusCommand) -> anyhow::Result<Answer> {
    match command {
        CorpusCommand::Build { spec } => build(spec),
        CorpusCommand::Show { spec, verify, json } => show(spec, *verify, *json),
        CorpusCommand::Lock { cargo_lock, validation, leave_out, max_train_bytes, out } => {
            let max_train_bytes = *max_train_bytes;
            lock(&LockRequest { cargo_lock, validation, leave_out, max_train_bytes }, out)
        }
    }
}

fn build(sweep: &Path) -> anyhow::Result<Answer> {
    let built = workplace::build_corpus(&SweepSpec::load(sweep)?)?;
    let (train, validation) = (built.manifest.train_tokens, built.manifest.validation_tokens);
    let asked = built.manifest.problems.as_ref().map(|set| format!(", {} problems", set.problems)).unwrap_or_default();
    output::say(&format!(
        "{train} training tokens, {validation} validation tokens{asked}; `forescale corpus show` says more"
    ));
    output::text(&built.dir.display().to_string())?;
    Ok(Answer::Yes)
}

fn show(sweep: &Path, verify: bool, json: bool) -> anyhow::Result<Answer> {
    let built = &workplace::find_corpus(&SweepSpec::load(sweep)?)?;
    if verify {
        forescale_corpus::verify(built)?;
        output::say(match built.manifest.problems {
            Some(_) => "tokens.bin and problems.jsonl agree with their digests",
            None => "tokens.bin agrees with its digest",
        });
    }
    output::either(json, &built.manifest, |manifest| words(manifest, &built.dir))?;
    Ok(Answer::Yes)
}

fn words(manifest: &CorpusManifest, dir: &Path) -> String {
    let mut lines = vec![
        format!("folder              {}", dir.display()),
        format!("digest              {}", manifest.digest),
        format!("tokenizer           {}", tokenizer(manifest)),
        format!("vocabulary          {}", manifest.vocabulary),
        format!("bytes per token     {}", bytes_per_token(manifest)),
        format!("training tokens     {} ({} unique)", manifest.train_tokens, manifest.unique_tokens),
        format!("validation tokens   {} in {} clusters", manifest.validation_tokens, manifest.clusters.len()),
        format!("unigram entropy     {:.4} nats per token", manifest.unigram_entropy),
    ];
    if let Some(rate) = manifest.entropy_rate {
        lines.push(format!("exact entropy rate  {rate:.6} nats per token"));
    }
    lines.extend(manifest.parts.iter().map(part));
    lines.extend(manifest.problems.iter().flat_map(problems));
    for left_out in &manifest.left_out {
        lines.push(format!(
            "left out            {} documents, {} bytes: {}",
            left_out.documents, left_out.bytes, left_out.reason
        ));
    }
    lines.join("\n")
}

fn part(part: &PartSummary) -> String {
    let PartSummary { name, share, train_tokens, train_documents, validation_tokens } = part;
    let tokens =
        format!("{train_tokens} training tokens in {train_documents} documents, {validation_tokens} validation");
    format!("part                {name}: share {share}, {tokens}")
}

/// A line for all problems, and one for each task with its buckets.
fn problems(set: &ProblemSet) -> Vec<String> {
    let longest = set.longest_tokens;
    let mut lines =
        vec![format!("problems            {}, the longest of {longest} tokens with its answer", set.problems)];
    for buckets in set.buckets.chunk_by(|one, other| one.task == other.task) {
        let counts: Vec<String> = buckets.iter().map(|each| format!("{} {}", each.problems, each.bucket)).collect();
        lines.push(format!("  {:<18}{}", buckets[0].task, counts.join(", ")));
    }
    lines
}

fn tokenizer(manifest: &CorpusManifest) -> String {
    let digest = &manifest.tokenizer_digest;
    match manifest.spec.tokenizer() {
        Some(TokenizerSpec::Bytes {}) => "bytes".to_owned(),
        Some(TokenizerSpec::Bpe(spec)) => {
            format!("byte-level BPE learnt from {} bytes of the training split, {digest}", spec.train_bytes)
        }
        Some(TokenizerSpec::File(spec)) => format!("{}, {digest}", spec.path),
        None => format!("none of ours, {digest}"),
    }
}

fn bytes_per_token(manifest: &CorpusManifest) -> String {
    match (manifest.bytes_per_token, manifest.spec.tokenizer()) {
        (Some(bytes), _) => format!("{bytes:.4} on the validation split"),
        (None, Some(_)) => "none: the tokenizer does not give the text back, so loss per byte would mislead".to_owned(),
        (None, None) => "unknown: no text".to_owned(),
    }
}

fn lock(request: &LockRequest, out: &Path) -> anyhow::Result<Answer> {
    if out.exists() {
        bail!("`{}` exists already\n\nhint: --out another.lock, or remove that file", out.display());
    }
    let lock = forescale_corpus::lock_crates(request)?;
    forescale_sweep::write_atomically(out, lock.to_string().as_bytes()).context("the lock was made but not written")?;
    output::say(&format!("wrote {}", out.display()));
    Ok(Answer::Yes)
}

#[cfg(test)]
mod tests {
    use forescale_core::corpus::BucketCount;

    use super::*;

    #[test]
    fn a_part_says_its_share_and_what_it_came_to() {
        let summary = PartSummary {
            name: "addition".into(),
            share: 0.1,
            train_tokens: 2_197_955,
            train_documents: 220_276,
            validation_tokens: 40_000,
        };
        let expected =
            "part                addition: share 0.1, 2197955 training tokens in 220276 documents, 40000 validation";
        assert_eq!(part(&summary), expected);
    }

    #[test]
    fn problems_are_counted_by_task_and_bucket() {
        let bucket =
            |task: &str, bucket: &str, problems| BucketCount { task: task.into(), bucket: bucket.into(), problems };
        let buckets =
            vec![bucket("addition", "1 digit", 20), bucket("addition", "2 digits", 100), bucket("facts", "all", 3)];
        let set = ProblemSet { sha256: String::new(), problems: 123, longest_tokens: 14, buckets };
        let expected = [
            "problems            123, the longest of 14 tokens with its answer",
            "  addition          20 1 digit, 100 2 digits",
            "  facts             3 all",
        ];
        assert_eq!(problems(&set), expected);
    }
}
