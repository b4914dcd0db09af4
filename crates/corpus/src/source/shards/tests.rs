use std::path::PathBuf;

use forescale_core::corpus::{CorpusSpec, ShardFormat};

use super::*;
use crate::{BuiltCorpus, build, locate, verify};

/// A folder with shards in it, and a cache.
struct Place(tempfile::TempDir);

impl Place {
    fn with(files: &[(&str, Vec<u8>)]) -> Self {
        let place = Self(tempfile::tempdir().expect("temporary folder"));
        files.iter().for_each(|(name, bytes)| fs::write(place.path(name), bytes).expect("file"));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn act<T>(&self, spec: &ShardsSpec, act: impl FnOnce(&BuildRequest) -> T) -> T {
        let spec = CorpusSpec::Shards(spec.clone());
        act(&BuildRequest { spec: &spec, spec_dir: self.0.path(), cache: &self.path("cache") })
    }

    fn build(&self, spec: &ShardsSpec) -> Result<BuiltCorpus, CorpusError> {
        self.act(spec, |request| build(request, &mut |_| {}))
    }

    fn message(&self, spec: &ShardsSpec) -> String {
        let error = self.build(spec).expect_err("refused").to_string();
        assert!(error.contains("\n\nhint: "), "{error}");
        error.replace(&self.0.path().display().to_string(), "DIR")
    }
}

fn spec() -> ShardsSpec {
    ShardsSpec {
        train: vec!["train*.bin".into()],
        validation: vec!["val.bin".into()],
        format: None,
        vocabulary: 50_257,
        bytes_per_token: None,
        tokenizer: None,
        end_of_text: None,
    }
}

/// As nanoGPT's `data/openwebtext/prepare.py` writes it: an array of `uint16`, nothing else.
fn nanogpt(ids: &[u16]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// As llm.c's `dev/data/data_common.py` writes it: 256 `int32` of which three are set, then the ids.
fn llmc(magic: i32, version: i32, count: i32, ids: &[u8]) -> Vec<u8> {
    let mut header = [0_i32; 256];
    header[..3].copy_from_slice(&[magic, version, count]);
    header.iter().flat_map(|value| value.to_le_bytes()).chain(ids.iter().copied()).collect()
}

fn gpt2(ids: &[u16]) -> Vec<u8> {
    llmc(20_240_520, 1, ids.len() as i32, &nanogpt(ids))
}

fn llama3(ids: &[u32]) -> Vec<u8> {
    let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    llmc(20_240_801, 7, ids.len() as i32, &bytes)
}

fn tokens(built: &BuiltCorpus) -> Vec<u16> {
    let bytes = fs::read(built.dir.join("tokens.bin")).expect("tokens");
    bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect()
}

fn clusters(built: &BuiltCorpus) -> Vec<(&str, u64, u64)> {
    built.manifest.clusters.iter().map(|cluster| (cluster.name.as_str(), cluster.start, cluster.end)).collect()
}

#[test]
fn files_of_nanogpt_are_read_whole_in_the_order_of_their_names() {
    let place = Place::with(&[
        ("train_2.bin", nanogpt(&[40, 50_256])),
        ("train_1.bin", nanogpt(&[10, 20, 30])),
        ("val.bin", nanogpt(&[7, 8])),
    ]);
    let built = place.build(&spec()).expect("builds");
    assert_eq!(tokens(&built), [10, 20, 30, 40, 50_256, 7, 8]);
    let manifest = &built.manifest;
    assert_eq!((manifest.train_tokens, manifest.validation_tokens, manifest.unique_tokens), (5, 2, 5));
    assert_eq!((manifest.train_documents, manifest.bytes_per_token), (2, None));
    assert_eq!(manifest.tokenizer_digest, "ids-50257");
    assert_eq!(clusters(&built), [("val.bin", 0, 2)]);
    verify(&built).expect("whole");
    assert_eq!(place.act(&spec(), locate).expect("found"), Some(built));
}

#[test]
fn files_of_llm_c_are_known_by_their_magic_and_lose_their_header() {
    let ids = [50_256, 1, 2, 50_256, 3];
    let place = Place::with(&[("train.bin", gpt2(&ids)), ("val.bin", gpt2(&[50_256, 9]))]);
    let built = place.build(&spec()).expect("builds");
    assert_eq!(tokens(&built), [50_256, 1, 2, 50_256, 3, 50_256, 9]);
    let stated = ShardsSpec { format: Some(ShardFormat::Llmc), ..spec() };
    assert_eq!(place.build(&stated).expect("builds").manifest.digest, built.manifest.digest);
}

#[test]
fn ids_of_four_bytes_are_read_when_they_fit_and_refused_when_not() {
    let place = Place::with(&[("train.bin", llama3(&[1, 65_535])), ("val.bin", llama3(&[2]))]);
    let wide = ShardsSpec { vocabulary: 65_536, ..spec() };
    assert_eq!(tokens(&place.build(&wide).expect("builds")), [1, 65_535, 2]);
    fs::write(place.path("train.bin"), llama3(&[1, 128_000])).expect("written");
    let message = place.message(&wide);
    let expected = "`DIR/train.bin` has id 128000 at token 1 (byte 1028); below the vocabulary of 65536 is allowed";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn small_vocabularies_take_one_byte_a_token() {
    let place = Place::with(&[("train.bin", nanogpt(&[1, 64])), ("val.bin", nanogpt(&[2]))]);
    let built = place.build(&ShardsSpec { vocabulary: 65, ..spec() }).expect("builds");
    assert_eq!(fs::read(built.dir.join("tokens.bin")).expect("tokens"), [1, 64, 2]);
}

#[test]
fn a_training_split_of_several_blocks_is_copied_whole() {
    let ids: Vec<u16> = (0..1_200_000_u32).map(|i| (i % 50_257) as u16).collect();
    let place = Place::with(&[("train.bin", gpt2(&ids)), ("val.bin", nanogpt(&[5]))]);
    let built = place.build(&spec()).expect("builds");
    assert!(tokens(&built)[..1_200_000] == ids[..]);
}

#[test]
fn every_damaged_file_is_refused_with_what_is_wrong_and_where() {
    let short = gpt2(&[1, 2, 3]);
    let cases = [
        (nanogpt(&[1, 2])[..3].to_vec(), "has 3 bytes; ids take 2 bytes each, so an even number is needed"),
        (short[..1028].to_vec(), "has 1028 bytes, but its header counts 3 tokens at byte 8, which needs 1030"),
        (short[..200].to_vec(), "has 200 bytes, but its header counts 3 tokens at byte 8, which needs 1030"),
        (short[..8].to_vec(), "has 8 bytes; its header alone takes 1024"),
        (llmc(20_240_520, 2, 1, &[0, 0]), "has version 2 at byte 4; 1 is needed with magic 20240520"),
        (llmc(20_240_801, 1, 1, &[0; 4]), "has version 1 at byte 4; 7 is needed with magic 20240801"),
        (llmc(20_240_520, 1, -1, &[]), "counts -1 tokens at byte 8; 0 or more is needed"),
        (nanogpt(&[1, 50_257]), "has id 50257 at token 1 (byte 2); below the vocabulary of 50257 is allowed"),
        (gpt2(&[1, 2, 60_000]), "has id 60000 at token 2 (byte 1028); below the vocabulary of 50257 is allowed"),
    ];
    for (bytes, expected) in cases {
        for (damaged, whole) in [("train.bin", "val.bin"), ("val.bin", "train.bin")] {
            let place = Place::with(&[(damaged, bytes.clone()), (whole, gpt2(&[1]))]);
            let message = place.message(&spec());
            assert!(message.starts_with(&format!("`DIR/{damaged}` {expected}")), "{message}");
            assert_eq!(place.act(&spec(), locate).ok().flatten(), None, "nothing half-written is left");
        }
    }
}

#[test]
fn a_stated_format_finds_a_damaged_magic_that_a_guess_does_not() {
    let place = Place::with(&[("train.bin", llmc(20_240_521, 1, 1, &[1, 0])), ("val.bin", gpt2(&[1]))]);
    let message = place.message(&ShardsSpec { format: Some(ShardFormat::Llmc), ..spec() });
    assert!(message.starts_with("`DIR/train.bin` starts with 20240521 at byte 0; a magic of 20240520"), "{message}");
    fs::write(place.path("val.bin"), nanogpt(&[1])).expect("written");
    let plain = ShardsSpec { format: Some(ShardFormat::Nanogpt), vocabulary: 65_536, ..spec() };
    assert_eq!(place.build(&plain).expect("as stated").manifest.train_tokens, 513);
}

/// A header of llm.c passed for 512 tokens where the vocabulary allowed all of its numbers.
#[test]
fn a_file_of_llm_c_is_not_read_as_one_of_nanogpt() {
    for (file, magic) in [(gpt2(&[1, 2]), 20_240_520), (llama3(&[1, 2]), 20_240_801)] {
        let place = Place::with(&[("train.bin", file), ("val.bin", nanogpt(&[2]))]);
        let stated = ShardsSpec { format: Some(ShardFormat::Nanogpt), vocabulary: 65_536, ..spec() };
        let message = place.message(&stated);
        let expected = format!("`DIR/train.bin` starts with the magic of llm.c, {magic} at byte 0, and `format` says");
        assert!(message.starts_with(&expected) && message.contains("hint: say `format = \"llmc\"`"), "{message}");
        assert!(place.build(&ShardsSpec { format: None, ..stated }).is_ok());
    }
}

#[test]
fn a_document_is_a_cluster_where_its_end_is_known_before_it_or_after_it() {
    let llmc_order = gpt2(&[50_256, 1, 2, 50_256, 3, 50_256, 4]);
    let place = Place::with(&[("train.bin", llmc_order.clone()), ("val.bin", llmc_order)]);
    let with_end = ShardsSpec { end_of_text: Some(50_256), ..spec() };
    let built = place.build(&with_end).expect("builds");
    assert_eq!(clusters(&built), [("val.bin:1", 0, 3), ("val.bin:2", 3, 5), ("val.bin:3", 5, 7)]);
    assert_eq!(built.manifest.train_documents, 3);
    fs::write(place.path("val.bin"), nanogpt(&[1, 2, 50_256, 3, 50_256, 4])).expect("written");
    let built = place.build(&with_end).expect("builds");
    assert_eq!(clusters(&built), [("val.bin:1", 0, 3), ("val.bin:2", 3, 5), ("val.bin:3", 5, 6)]);
}

#[test]
fn many_documents_are_joined_into_at_most_4096_clusters() {
    let ids: Vec<u16> = (0..10_000).flat_map(|_| [1, 0]).collect();
    let place = Place::with(&[("train.bin", nanogpt(&[1])), ("val.bin", nanogpt(&ids))]);
    let built = place.build(&ShardsSpec { end_of_text: Some(0), ..spec() }).expect("builds");
    // 10,000 documents of 2 tokens in groups of 3: 3334 clusters, the last of one document.
    let clusters = clusters(&built);
    assert_eq!(clusters.len(), 3334);
    assert_eq!((clusters[1], clusters[3333]), (("val.bin:4", 6, 12), ("val.bin:10000", 19_998, 20_000)));
}

#[test]
fn the_tokenizer_is_known_by_its_file_and_bytes_per_token_by_the_spec() {
    let place =
        Place::with(&[("train.bin", nanogpt(&[1])), ("val.bin", nanogpt(&[2])), ("tokenizer.json", b"abc".to_vec())]);
    let known = ShardsSpec { tokenizer: Some("tokenizer.json".into()), bytes_per_token: Some(4.5), ..spec() };
    let manifest = place.build(&known).expect("builds").manifest;
    // FIPS 180-2, appendix B.1: SHA-256 of "abc".
    assert_eq!(manifest.tokenizer_digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(manifest.bytes_per_token, Some(4.5));
    assert_ne!(manifest.digest, place.build(&spec()).expect("builds").manifest.digest);
}

#[test]
fn a_replaced_file_is_another_corpus() {
    let place = Place::with(&[("train.bin", nanogpt(&[1, 2])), ("val.bin", nanogpt(&[2]))]);
    let first = place.build(&spec()).expect("builds");
    fs::write(place.path("train.bin"), nanogpt(&[1, 3])).expect("written");
    assert_ne!(place.build(&spec()).expect("builds").manifest.digest, first.manifest.digest);
}

#[test]
fn specs_that_cannot_be_are_refused() {
    let place = Place::with(&[("train.bin", nanogpt(&[1])), ("val.bin", nanogpt(&[2])), ("none.bin", Vec::new())]);
    let cases = [
        (ShardsSpec { vocabulary: 65_537, ..spec() }, "`vocabulary` is 65537; 2 to 65536 is allowed"),
        (ShardsSpec { bytes_per_token: Some(0.0), ..spec() }, "`bytes_per_token` is 0; more than 0 is needed"),
        (ShardsSpec { end_of_text: Some(50_257), ..spec() }, "`end_of_text` is 50257; an id below the vocabulary of"),
        (ShardsSpec { train: Vec::new(), ..spec() }, "`train` is empty; at least 1 file, folder or glob is needed"),
        (ShardsSpec { train: vec!["none.bin".into()], ..spec() }, "`train` is without a token; at least 1 is needed"),
        (ShardsSpec { validation: vec!["*.bin".into()], ..spec() }, "`DIR/train.bin` is in both splits; 1 is allowed"),
        (ShardsSpec { validation: vec!["x*.bin".into()], ..spec() }, "`x*.bin` names no file in `DIR`"),
        (ShardsSpec { tokenizer: Some("x.json".into()), ..spec() }, "cannot read `DIR/x.json`"),
    ];
    for (wrong, expected) in cases {
        let message = place.message(&wrong);
        assert!(message.starts_with(expected), "{message}");
    }
}
