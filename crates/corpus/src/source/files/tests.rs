use std::fs;

use forescale_core::corpus::{CorpusSpec, TokenizerSpec};
use polars::prelude::{Column, DataFrame, ParquetWriter};

use super::*;
use crate::{BuiltCorpus, build, locate, verify};

/// A folder with a corpus in it, and a cache.
struct Place {
    folder: tempfile::TempDir,
    cache: tempfile::TempDir,
}

impl Place {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("temporary folder"),
            cache: tempfile::tempdir().expect("temporary folder"),
        };
        files.iter().for_each(|(name, bytes)| place.write(name, bytes));
        place
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("folder");
        fs::write(path, bytes).expect("file");
    }

    fn build(&self, paths: &[&str]) -> Result<BuiltCorpus, CorpusError> {
        self.with_request(paths, |request| build(request, &mut |_| {}))
    }

    fn with_request<T>(&self, paths: &[&str], act: impl FnOnce(&BuildRequest) -> T) -> T {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        let spec = CorpusSpec::Files(FilesSpec { paths, validation_share: 0.3, tokenizer: TokenizerSpec::default() });
        act(&BuildRequest { spec: &spec, spec_dir: self.folder.path(), cache: self.cache.path() })
    }

    fn message(&self, paths: &[&str]) -> String {
        let text = self.build(paths).expect_err("bad input").to_string();
        text.replace(&self.folder.path().display().to_string(), "DIR")
    }
}

fn tokens(built: &BuiltCorpus) -> Vec<u8> {
    fs::read(built.dir.join("tokens.bin")).expect("tokens")
}

fn left_out(built: &BuiltCorpus) -> Vec<(&str, u64, u64)> {
    built.manifest.left_out.iter().map(|each| (each.reason.as_str(), each.documents, each.bytes)).collect()
}

#[test]
fn text_files_become_documents_that_end_in_zero_and_are_split() {
    let place = Place::with(&[("t/a.txt", b"aaaa"), ("t/b.md", b"bbbb"), ("t/c.rs", b"cccc")]);
    let built = place.build(&["t"]).expect("builds");
    let manifest = &built.manifest;
    assert_eq!((manifest.train_tokens, manifest.validation_tokens, manifest.unique_tokens), (10, 5, 10));
    assert_eq!((manifest.train_documents, manifest.clusters.len()), (2, 1));
    let mut documents: Vec<_> = tokens(&built).split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    documents.sort();
    assert_eq!(documents, [&b""[..], b"aaaa", b"bbbb", b"cccc"]);
    let held_out = &tokens(&built)[10..];
    assert_eq!(manifest.clusters[0].name.as_bytes()[2], held_out[0], "named for its file");
}

#[test]
fn copies_and_what_is_no_text_are_left_out_with_a_reason() {
    let place = Place::with(&[
        ("a.txt", b"one"),
        ("b.txt", b"two"),
        ("c.txt", b"one"),
        ("d.txt", &[0xff, 0xfe]),
        ("e.txt", b"a\0b"),
        ("f.txt", b""),
    ]);
    let built = place.build(&["*.txt"]).expect("builds");
    assert_eq!(left_out(&built), [("duplicate", 1, 3), ("empty", 1, 0), ("not_utf8", 1, 2), ("zero_byte", 1, 3)]);
}

#[test]
fn json_lines_give_a_document_each() {
    let place = Place::with(&[("a.jsonl", b"{\"text\": \"x\\ny\", \"id\": 3}\n\n{\"text\": \"z\"}\n")]);
    let built = place.build(&["a.jsonl"]).expect("builds");
    let mut tokens = tokens(&built);
    tokens.sort_unstable();
    assert_eq!(tokens, b"\0\0\nxyz");
}

#[test]
fn a_json_line_without_text_is_named_by_file_and_line() {
    let place = Place::with(&[("a.jsonl", b"{\"text\": \"x\"}\n{\"body\": \"z\"}\n")]);
    let message = place.message(&["a.jsonl"]);
    assert!(message.starts_with("`DIR/a.jsonl` line 2: missing field `text` (column 13)\n\nhint: "), "{message}");
}

fn parquet_of(column: &str) -> Vec<u8> {
    let column = Column::new(column.into(), ["eins", "zwei", "drei"]);
    let mut bytes = Vec::new();
    let mut frame = DataFrame::new(3, vec![column]).expect("one column");
    ParquetWriter::new(&mut bytes).finish(&mut frame).expect("written");
    bytes
}

#[test]
fn parquet_rows_give_a_document_each() {
    let place = Place::with(&[("a.parquet", &parquet_of("text"))]);
    let built = place.build(&["a.parquet"]).expect("builds");
    assert_eq!(tokens(&built).len(), 15);
    assert!(built.manifest.clusters[0].name.starts_with("a.parquet:"));
}

#[test]
fn parquet_without_a_text_column_says_which_it_has() {
    let place = Place::with(&[("a.parquet", &parquet_of("body"))]);
    let message = place.message(&["a.parquet"]);
    assert!(message.starts_with("`DIR/a.parquet`: no column `text`; it has `body`\n\nhint: "), "{message}");
}

#[test]
fn a_parquet_file_that_is_cut_short_is_an_error() {
    let bytes = parquet_of("text");
    let place = Place::with(&[("a.parquet", &bytes[..bytes.len() / 2])]);
    assert!(place.message(&["a.parquet"]).contains("hint: the file may be cut short"));
}

#[test]
fn a_path_that_names_nothing_is_an_error() {
    let place = Place::with(&[("a.txt", b"a")]);
    for path in ["missing", "*.rs", "missing/**/*.txt"] {
        let message = place.message(&[path]);
        assert!(message.starts_with(&format!("`{path}` names no file in `DIR`\n\nhint: ")), "{message}");
    }
    assert!(place.message(&["[a"]).starts_with("`[a` is not a glob: "));
    assert!(place.message(&[]).starts_with("`paths` is empty; at least 1 folder or glob is needed"));
}

#[test]
fn one_document_cannot_be_on_both_sides() {
    let place = Place::with(&[("a.txt", b"a")]);
    let message = place.message(&["a.txt"]);
    assert!(message.starts_with("1 usable documents, of which 0 for validation"), "{message}");
}

#[test]
fn documents_that_are_no_text_are_counted_by_reason_in_the_error() {
    let place = Place::with(&[("a.txt", b"\xff\xfe"), ("b.txt", b"")]);
    let message = place.message(&["*.txt"]);
    assert!(message.starts_with("0 usable documents (left out: 1 empty, 1 not_utf8), of which 0"), "{message}");
}

#[test]
fn a_changed_file_is_another_corpus_and_an_unchanged_one_is_found() {
    let place = Place::with(&[("a.txt", b"aa"), ("b.txt", b"bb")]);
    let first = place.build(&["."]).expect("builds");
    assert_eq!(place.with_request(&["."], locate).expect("found"), Some(first.clone()));
    place.write("b.txt", b"bc");
    assert_eq!(place.with_request(&["."], locate).expect("not found"), None);
    assert_ne!(place.build(&["."]).expect("builds").manifest.digest, first.manifest.digest);
}

#[test]
fn the_digest_is_of_the_content_and_not_of_where_it_lies() {
    let files: [(&str, &[u8]); 2] = [("a.txt", b"aa"), ("b.txt", b"bb")];
    let one = Place::with(&files).build(&["*.txt"]).expect("builds");
    let two = Place::with(&files).build(&["a.txt", "b.txt", "."]).expect("builds");
    assert_eq!(one.manifest.digest, two.manifest.digest);
}

#[test]
fn a_cut_and_a_flipped_tokens_file_are_found_out() {
    let place = Place::with(&[("a.txt", b"aa"), ("b.txt", b"bb")]);
    let built = place.build(&["."]).expect("builds");
    verify(&built).expect("whole");
    let path = built.dir.join("tokens.bin");
    let mut bytes = tokens(&built);
    bytes[3] ^= 1;
    fs::write(&path, &bytes).expect("written");
    assert!(verify(&built).expect_err("flipped").to_string().contains("has SHA-256"));
    fs::write(&path, &bytes[..5]).expect("written");
    let message = place.with_request(&["."], locate).expect_err("cut").to_string();
    assert!(message.contains("`tokens.bin` has 5 bytes; 6 are needed"), "{message}");
}

#[test]
fn a_cache_that_is_a_file_is_an_error_with_a_hint() {
    let place = Place::with(&[("a.txt", b"aa"), ("b.txt", b"bb")]);
    let spec = CorpusSpec::Files(FilesSpec {
        paths: vec![".".into()],
        validation_share: 0.3,
        tokenizer: TokenizerSpec::default(),
    });
    let blocked = place.folder.path().join("a.txt");
    let request = BuildRequest { spec: &spec, spec_dir: place.folder.path(), cache: &blocked };
    let message = build(&request, &mut |_| {}).expect_err("no folder").to_string();
    assert!(message.contains("\n\nhint: "), "{message}");
}

#[test]
fn validation_shares_outside_zero_and_one_are_refused() {
    for share in [0.0, 1.0, f64::NAN] {
        let spec = FilesSpec { paths: vec![".".into()], validation_share: share, tokenizer: TokenizerSpec::default() };
        let message = Files(&spec).check().expect_err("outside").to_string();
        assert!(message.starts_with(&format!("`validation_share` is {share}; more than 0")), "{message}");
    }
}

#[test]
fn the_split_does_not_depend_on_names() {
    let texts: Vec<Vec<u8>> = (0..50).map(|i| format!("document {i}").into_bytes()).collect();
    let kept = |reverse: bool| {
        let order: Vec<_> = if reverse { texts.iter().rev().collect() } else { texts.iter().collect() };
        let documents = order.iter().map(|text| Document { name: String::new(), bytes: (*text).clone() });
        screen(documents.collect(), &mut Tally::default())
    };
    let held_out = |kept: &[Kept]| {
        let chosen = choose_validation(kept, 0.2, &Tally::default()).expect("enough");
        chosen.iter().map(|index| kept[*index].bytes.clone()).collect::<HashSet<_>>()
    };
    assert_eq!(held_out(&kept(false)), held_out(&kept(true)));
}

#[test]
fn a_corpus_of_bytes_keeps_the_place_and_the_digest_that_it_had_before_there_were_tokenizers() {
    // Python: sha256 over json.dumps(x, sort_keys=True, separators=(",", ":")), of [1, 0.3, [[name, 4, sha256(text)], …]]
    // for the place, and of the manifest's tokens_sha256, tokenizer_digest, … with t/a.txt held out for the digest.
    let place = Place::with(&[("t/a.txt", b"aaaa"), ("t/b.md", b"bbbb"), ("t/c.rs", b"cccc")]);
    let built = place.build(&["t"]).expect("builds");
    assert!(built.dir.ends_with("files-8fcfc1f314d9d4e6"), "{}", built.dir.display());
    assert_eq!(built.manifest.digest, "444b219239236038c42b725190e7ca1e0335cdee02015ba70548dcc3413fa7fc");
}

#[test]
fn a_manifest_of_the_form_before_this_one_still_reads_and_a_later_one_does_not() {
    let place = Place::with(&[("a.txt", b"aa"), ("b.txt", b"bb")]);
    let built = place.build(&["."]).expect("builds");
    let path = built.dir.join("manifest.json");
    let text = fs::read_to_string(&path).expect("manifest");
    assert!(!text.contains("tokenizer\":"), "bytes are written as 1.0 wrote them");
    fs::write(&path, text.replace("forescale.corpus/1.2", "forescale.corpus/1.0")).expect("written");
    let old = place.with_request(&["."], locate).expect("reads").expect("found");
    assert_eq!(old.manifest.digest, built.manifest.digest);
    fs::write(&path, text.replace("forescale.corpus/1.2", "forescale.corpus/2.0")).expect("written");
    let message = place.with_request(&["."], locate).expect_err("too new").to_string();
    assert!(message.contains("its schema is `forescale.corpus/2.0`"), "{message}");
}
