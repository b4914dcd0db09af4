//! A small corpus and config that the tests of several modules share.

use forescale_core::corpus::{
    CORPUS_SCHEMA, Cluster, CorpusManifest, CorpusSpec, FilesSpec, ProblemSet, TokenWidth, TokenizerSpec,
};
use forescale_core::count::ModelShape;
use forescale_core::digest::sha256_hex;
use forescale_core::problem::{FILE, Judge, Problem, to_lines};
use forescale_core::run::{EvaluationConfig, Family, OptimizerConfig, Parametrization, RunConfig, ScheduleKind};

use crate::data::TokenFile;

pub(crate) const TRAIN_TOKENS: u64 = 20_000;
pub(crate) const VALIDATION_TOKENS: u64 = 2_000;
pub(crate) const VOCABULARY: u32 = 16;

/// Two clusters of unequal length.
pub(crate) fn manifest() -> CorpusManifest {
    let cluster = |name: &str, start, end| Cluster { name: name.to_owned(), start, end };
    CorpusManifest {
        schema: CORPUS_SCHEMA.to_owned(),
        spec: CorpusSpec::Files(FilesSpec {
            paths: Vec::new(),
            validation_share: 0.1,
            tokenizer: TokenizerSpec::default(),
        }),
        digest: "corpus".to_owned(),
        tokens_sha256: "tokens".to_owned(),
        tokenizer_digest: "bytes-256".to_owned(),
        vocabulary: VOCABULARY,
        token_width: TokenWidth::U8,
        train_tokens: TRAIN_TOKENS,
        validation_tokens: VALIDATION_TOKENS,
        unique_tokens: TRAIN_TOKENS,
        window_alignment: 1,
        clusters: vec![cluster("a", 0, 700), cluster("b", 700, VALIDATION_TOKENS)],
        train_documents: 1,
        left_out: Vec::new(),
        bytes_per_token: Some(2.0),
        unigram_entropy: 2.7,
        entropy_rate: None,
        parts: Vec::new(),
        problems: None,
    }
}

/// Tokens of which nine in ten follow from the one before.
pub(crate) fn bytes() -> Vec<u8> {
    let mut state = 7u64;
    let mut token = 0u8;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = (state >> 56) as u8;
        token = if random < 230 { (token * 5 + 3) % 16 } else { random % 16 };
        token
    };
    (0..TRAIN_TOKENS + VALIDATION_TOKENS).map(|_| next()).collect()
}

pub(crate) fn token_file(manifest: &CorpusManifest) -> TokenFile {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), bytes()).expect("written");
    TokenFile::open(file.path(), manifest).expect("as the manifest says")
}

/// A corpus that also has problems, in a folder that is there as long as it is held.
pub(crate) fn corpus_with(problems: &[Problem]) -> (tempfile::TempDir, TokenFile) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = to_lines(problems);
    std::fs::write(folder.path().join(FILE), &text).expect("written");
    std::fs::write(folder.path().join("tokens.bin"), bytes()).expect("written");
    let named = ProblemSet {
        sha256: sha256_hex(text.as_bytes()),
        problems: problems.len() as u64,
        longest_tokens: 0,
        buckets: Vec::new(),
    };
    let manifest = CorpusManifest { problems: Some(named), ..manifest() };
    let tokens = TokenFile::open(&folder.path().join("tokens.bin"), &manifest).expect("as the manifest says");
    (folder, tokens)
}

/// Sixteen steps of nine short sequences.
pub(crate) fn config() -> RunConfig {
    RunConfig {
        family: Family::Qwen3,
        shape: ModelShape {
            vocabulary: VOCABULARY,
            width: 16,
            layers: 2,
            heads: 2,
            head_size: 8,
            mlp: forescale_core::count::Mlp::Swiglu,
            mlp_hidden: 24,
            context: 20,
            input_order: 2,
        },
        corpus_digest: "corpus".to_owned(),
        sequences: 9,
        steps: 16,
        optimizer: OptimizerConfig {
            learning_rate: 0.02,
            embedding_learning_rate: 0.02,
            base_width: 16,
            base_layers: 2,
            parametrization: Parametrization::Mup,
            beta1: 0.9,
            beta2: 0.99,
            epsilon: 1e-10,
            weight_decay: 0.01,
            clip_norm: 1.0,
            schedule: ScheduleKind::Linear,
            warmup_steps: 3,
            decay_steps: 0,
        },
        evaluation: EvaluationConfig { tokens: 400, curve_tokens: 0, curve_points: 3, tasks: None },
        seed: 5,
        allow_repeats: false,
        branch: false,
    }
}

/// A problem with one right answer.
pub(crate) fn problem(item: &str, prompt: &[u32], answer: &[u32]) -> Problem {
    Problem {
        task: "copy".to_owned(),
        item: item.to_owned(),
        bucket: answer.len() as u32,
        bucket_name: format!("{} tokens", answer.len()),
        chance: 1.0 / 16.0,
        ceiling_log_p: 0.0,
        prompt: prompt.to_vec(),
        answer: answer.to_vec(),
        judge: Judge::Exact {},
    }
}

/// Says that a check was skipped, for want of what and why, and counts it in the file that CI names.
pub(crate) fn note_skip(name: &str, why: &str) {
    println!("skipped: {name}: {why}");
    if let Some(list) = std::env::var_os("FORESCALE_SKIPS") {
        let mut file =
            std::fs::OpenOptions::new().append(true).create(true).open(list).expect("the list can be written");
        std::io::Write::write_all(&mut file, format!("{name}\n").as_bytes()).expect("the list can be written");
    }
}
