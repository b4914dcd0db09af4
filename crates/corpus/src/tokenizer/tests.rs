use forescale_core::corpus::{CorpusSpec, FilesSpec};

use super::encoder::{part_end, parts};
use super::*;
use crate::content::Piece;
use crate::{BuildRequest, BuiltCorpus, build, locate, verify};

/// The words of Sennrich et al. (arXiv:1508.07909, section 3.2), as often as they count them.
fn words() -> Vec<Vec<u8>> {
    let counted = [("low", 5), ("lower", 2), ("newest", 6), ("widest", 3)];
    counted.iter().map(|(word, count)| format!("{word}\0").repeat(*count).into_bytes()).collect()
}

fn learn(vocabulary: u32, train: &[Vec<u8>]) -> Encoder {
    learn::bpe(&BpeSpec { vocabulary, train_bytes: 1_000_000 }, train).expect("learns")
}

/// Text in which each of a few words stands in many neighbourhoods, with a plain line end after every ten.
fn prose() -> String {
    let words = ["fn", "let", "mut", " x", " = ", "Größe", "(y)", ";\n", "\n\n    ", "日本", "—", "''", "🦀", "\t"];
    let mut state = 1_u64;
    let word = |index: u32| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        if index.is_multiple_of(10) { ";\nfn" } else { words[(state >> 33) as usize % words.len()] }
    };
    (0..4000).map(word).collect()
}

#[test]
fn merges_are_those_of_a_calculation_by_hand() {
    // Pairs of the four words: es 9, st 9 (of two equals the one with the lower ids), then es+t 9, lo 7, lo+w 7, and
    // of ne, ew, w+est, 6 each, ew, n+ew, new+est. Ids: the end 0, bytes from `!` (33) at 1, merges from 257:
    // es 257, est 258, lo 259, low 260, ew 261, new 262, newest 263.
    let encoder = learn(264, &words());
    assert_eq!(encoder.ids("lowest").expect("encodes"), [260, 258]);
    assert_eq!(encoder.ids("lower").expect("encodes"), [260, u32::from(b'e') - 32, u32::from(b'r') - 32]);
    assert_eq!(encoder.ids("newest").expect("encodes"), [263]);
    assert_eq!((encoder.vocabulary(), encoder.end()), (264, &[0][..]));
}

#[test]
fn tokens_are_those_that_the_library_gives_for_the_whole_text() {
    let text = prose();
    let encoder = learn(400, &[format!("{text}\0").into_bytes()]);
    let library = tokenizers::Tokenizer::from_bytes(encoder.json()).expect("reads");
    let expected = library.encode(text.as_str(), false).expect("encodes");
    assert_eq!(encoder.ids(&text).expect("encodes"), expected.get_ids());
}

#[test]
fn every_text_comes_back_whatever_it_holds() {
    let encoder = learn(264, &words());
    let texts = [
        "",
        "\u{feff}byte order mark\r\nand\u{85}line\u{2028}ends\u{b}\u{c}",
        "a\u{301}e\u{308} and á ë stay apart",
        "👩🏽‍🚀🏳️‍🌈 \u{1f468}\u{200d}\u{1f469}",
        "العربية עברית हिन्दी ไทย 한국어",
        "\u{1}\u{1f}\u{7f}\u{a0}\u{ad}\u{e000}\u{fffd}\u{10ffff}",
        "  leading, trailing and   inner \t spaces  ",
        "a tokenizer writes <|endoftext|> and goes on",
    ];
    for text in texts {
        assert!(encoder.gives_back(text), "{text:?}");
        assert!(!encoder.ids(text).expect("encodes").contains(&0), "no end inside {text:?}");
    }
}

#[test]
fn the_same_text_gives_the_same_file_on_one_thread_and_on_many() {
    let train = [format!("{}\0", prose()).into_bytes()];
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread pool");
    let alone = one.install(|| learn(400, &train));
    for _ in 0..5 {
        assert_eq!(learn(400, &train).json(), alone.json());
    }
}

#[test]
fn a_vocabulary_that_the_text_cannot_fill_is_refused_with_what_it_can() {
    let message = learn::bpe(&BpeSpec { vocabulary: 4096, train_bytes: 1_000_000 }, &words()).err().expect("too small");
    let expected = "`tokenizer.vocabulary` is 4096; 79 bytes of training text give 2";
    assert!(message.to_string().starts_with(expected), "{message}");
}

#[test]
fn numbers_outside_their_range_are_refused() {
    let cases = [
        (256, 1000, "`tokenizer.vocabulary` is 256; 257 to 65536 is allowed"),
        (65_537, 1000, "`tokenizer.vocabulary` is 65537; 257 to 65536 is allowed"),
        (4096, 0, "`tokenizer.train_bytes` is 0; 1 to 1000000000 is allowed"),
    ];
    for (vocabulary, train_bytes, expected) in cases {
        let spec = TokenizerSpec::Bpe(BpeSpec { vocabulary, train_bytes });
        let message = key(String::new(), &spec, Path::new(".")).expect_err(expected).to_string();
        assert!(message.starts_with(&format!("{expected}\n\nhint: ")), "{message}");
    }
}

#[test]
fn it_learns_from_documents_all_over_the_split() {
    // Half of the bytes: documents 0, 2, 4, … of 5 bytes each are read, so that `ab` is learnt and `cd` is not.
    let train: Vec<Vec<u8>> =
        (0..20).map(|i| if i % 2 == 0 { b"ababa\0".to_vec() } else { b"cdcdc\0".to_vec() }).collect();
    let encoder = learn::bpe(&BpeSpec { vocabulary: 258, train_bytes: 50 }, &train).expect("learns");
    assert_eq!(encoder.ids("ab").expect("encodes").len(), 1);
    assert_eq!(encoder.ids("cd").expect("encodes").len(), 2);
}

#[test]
fn long_documents_are_cut_where_no_word_is() {
    let text = prose();
    let encoder = learn(400, &[format!("{text}\0").into_bytes()]);
    let (mut rest, mut ids, mut cuts) = (text.as_str(), Vec::new(), 0);
    while !rest.is_empty() {
        let (part, after) = rest.split_at(part_end(rest, 300));
        ids.extend(encoder.ids(part).expect("encodes"));
        (rest, cuts) = (after, cuts + 1);
    }
    assert!(cuts > 40, "{cuts} parts");
    assert!(ids == encoder.ids(&text).expect("encodes"), "tokens of the parts are those of the whole");
}

#[test]
fn parts_say_all_of_a_text_without_line_ends_and_cut_no_character() {
    assert_eq!(part_end("€€€", 4), 3);
    assert_eq!(part_end("ab\n\ncd\nef", 8), 7, "after the line end that stands alone");
    let long = "€".repeat(1 << 19);
    assert_eq!(parts(&long).map(str::len).sum::<usize>(), long.len());
    assert_eq!(parts(&long).count(), 2);
}

fn text(train: &[&str], validation: &str) -> Text {
    let ended = |text: &&str| format!("{text}\0").into_bytes();
    let held_out = Piece { cluster: "held out".into(), bytes: ended(&validation) };
    Text { train: train.iter().map(ended).collect(), validation: vec![held_out], left_out: Vec::new() }
}

#[test]
fn bytes_per_token_are_those_of_the_validation_split_with_its_ends() {
    // low+est, an end; 6 bytes of text and one for the end over 3 tokens. Training text has 79 bytes over other tokens.
    let train: Vec<String> = words().into_iter().map(|piece| String::from_utf8(piece).expect("text")).collect();
    let train: Vec<&str> = train.iter().map(|piece| piece.trim_end_matches('\0')).collect();
    let spec = TokenizerSpec::Bpe(BpeSpec { vocabulary: 264, train_bytes: 1000 });
    let content = tokenise(text(&train, "lowest"), &spec, Path::new("."), &mut |_| {}).expect("encodes");
    assert_eq!(content.bytes_per_token, Some(7.0 / 3.0));
    assert_eq!(content.validation[0].bytes, [260_u16, 258, 0].map(u16::to_le_bytes).concat());
}

fn word_level(vocabulary: &str) -> String {
    format!(
        r#"{{"version": "1.0", "truncation": {{"direction": "Right", "max_length": 1, "strategy": "LongestFirst", "stride": 0}},
        "padding": null, "added_tokens": [], "normalizer": {{"type": "Lowercase"}},
        "pre_tokenizer": {{"type": "WhitespaceSplit"}}, "post_processor": null, "decoder": null,
        "model": {{"type": "WordLevel", "vocab": {vocabulary}, "unk_token": "?"}}}}"#
    )
}

/// A folder with a corpus, a `tokenizer.json` and a cache.
struct Place(tempfile::TempDir);

impl Place {
    fn with(json: &str) -> Self {
        let place = Self(tempfile::tempdir().expect("temporary folder"));
        for i in 0..20 {
            fs::write(place.0.path().join(format!("{i:02}.txt")), format!("one two{} Three", "one ".repeat(i)))
                .expect("file");
        }
        fs::write(place.0.path().join("tokenizer.json"), json).expect("file");
        place
    }

    fn spec(tokenizer: TokenizerSpec) -> CorpusSpec {
        CorpusSpec::Files(FilesSpec { paths: vec!["*.txt".into()], validation_share: 0.2, tokenizer })
    }

    fn act<T>(&self, tokenizer: TokenizerSpec, act: impl FnOnce(&BuildRequest) -> T) -> T {
        let spec = Self::spec(tokenizer);
        act(&BuildRequest { spec: &spec, spec_dir: self.0.path(), cache: &self.0.path().join("cache") })
    }

    fn build(&self, tokenizer: TokenizerSpec) -> BuiltCorpus {
        self.act(tokenizer, |request| build(request, &mut |_| {})).expect("builds")
    }

    fn message(&self, vocabulary: Option<u32>) -> String {
        let error = self.act(file(vocabulary), locate).expect_err("refused").to_string();
        error.replace(&self.0.path().display().to_string(), "DIR")
    }
}

fn file(vocabulary: Option<u32>) -> TokenizerSpec {
    TokenizerSpec::File(TokenizerFileSpec { path: "tokenizer.json".into(), vocabulary })
}

fn bpe(vocabulary: u32) -> TokenizerSpec {
    TokenizerSpec::Bpe(BpeSpec { vocabulary, train_bytes: 1000 })
}

#[test]
fn the_vocabulary_decides_the_corpus_and_its_digest_and_the_tokenizer_lies_beside_the_tokens() {
    let place = Place::with("");
    let (small, large) = (place.build(bpe(258)), place.build(bpe(262)));
    assert_ne!(small.dir, large.dir);
    assert_ne!(small.manifest.digest, large.manifest.digest);
    assert_eq!((small.manifest.vocabulary, large.manifest.vocabulary), (258, 262));
    assert!(small.manifest.train_tokens > large.manifest.train_tokens, "more merges, fewer tokens");
    let json = fs::read(large.dir.join("tokenizer.json")).expect("file");
    assert_eq!(large.manifest.tokenizer_digest, sha256_hex(&json));
    assert_eq!(place.act(bpe(262), locate).expect("found"), Some(large));
}

#[test]
fn a_changed_tokenizer_in_the_cache_is_found_out() {
    let built = Place::with("").build(bpe(258));
    let place = Place::with("");
    let built = BuiltCorpus { dir: place.build(bpe(258)).dir, ..built };
    verify(&built).expect("whole");
    fs::write(built.dir.join("tokenizer.json"), "{}").expect("written");
    let message = verify(&built).expect_err("changed").to_string();
    assert!(message.contains("`tokenizer.json` has SHA-256"), "{message}");
}

#[test]
fn a_learnt_tokenizer_read_from_its_file_gives_the_same_tokens() {
    let place = Place::with("");
    let learnt = place.build(bpe(262));
    fs::copy(learnt.dir.join("tokenizer.json"), place.0.path().join("tokenizer.json")).expect("copied");
    let read = place.build(file(Some(262)));
    assert_ne!(read.dir, learnt.dir);
    assert_eq!(read.manifest.digest, learnt.manifest.digest);
    assert_eq!(read.manifest.bytes_per_token, learnt.manifest.bytes_per_token);
}

#[test]
fn a_tokenizer_that_forgets_has_no_bytes_per_token_and_one_that_cuts_is_not_let() {
    let place = Place::with(&word_level(r#"{"?": 0, "one": 1, "</s>": 2}"#));
    let manifest = place.build(file(None)).manifest;
    assert_eq!((manifest.vocabulary, manifest.bytes_per_token), (3, None));
    assert!(manifest.train_tokens > 5 * manifest.train_documents, "not cut to the one token that the file asks for");
}

#[test]
fn a_bad_tokenizer_file_is_refused_before_anything_is_read() {
    let place = Place::with("{\"version\": \"1.0\"");
    assert!(place.message(None).starts_with("`DIR/tokenizer.json` is not a tokenizer of the library: "));
    fs::remove_file(place.0.path().join("tokenizer.json")).expect("removed");
    assert!(place.message(None).starts_with("cannot read `DIR/tokenizer.json`: "));
    let cases = [
        (r#"{"?": 0, "</s>": 1}"#, Some(5), "has a vocabulary of 2, but the spec says 5"),
        (r#"{"?": 0, "</s>": 65536}"#, None, "has a vocabulary of 65537; up to 65536 is allowed, two bytes a token"),
        (r#"{"?": 0, "a": 1}"#, None, "has no token to end a document: neither `<|endoftext|>`"),
    ];
    for (vocabulary, stated, expected) in cases {
        fs::write(place.0.path().join("tokenizer.json"), word_level(vocabulary)).expect("written");
        let message = place.message(stated);
        assert!(message.starts_with(&format!("`DIR/tokenizer.json` {expected}")), "{message}");
        assert!(message.contains("\n\nhint: "), "{message}");
    }
}

#[test]
fn a_tokenizer_that_draws_at_random_is_refused() {
    let json = String::from_utf8(learn(264, &words()).into_json()).expect("text");
    let random = json.replace("\"dropout\":null", "\"dropout\":0.1");
    let reason = Encoder::from_json(random.into_bytes()).err().expect("refused");
    assert_eq!(reason, "has BPE dropout, which draws at random; 0 is needed");
}

#[test]
fn without_an_end_of_text_a_document_ends_with_a_zero_byte() {
    let json = String::from_utf8(learn(264, &words()).into_json()).expect("text");
    let encoder = Encoder::from_json(json.replace("<|endoftext|>", "<|other|>").into_bytes()).expect("reads");
    // The zero byte is written as U+0100, which comes after the 188 bytes that stand for themselves.
    assert_eq!(encoder.end(), [189]);
}
