use std::fs;

use forescale_core::corpus::{CorpusManifest, CorpusSpec};
use forescale_core::problem::Judge;

use super::*;
use crate::{BuiltCorpus, build, locate, problems, verify};

/// A folder with text, and a cache.
struct Place {
    folder: tempfile::TempDir,
    cache: tempfile::TempDir,
}

/// Forty documents of some 2 kB, one of them with a sum that is asked.
fn code(number: usize) -> String {
    let function =
        |line: usize| format!("    let value_{line} = compute({number}, {line});\n    report(&value_{line});\n");
    format!("fn main_{number}() {{\n{}}}\n", (0..30).map(function).collect::<String>())
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("temporary folder"),
            cache: tempfile::tempdir().expect("temporary folder"),
        };
        (0..40).for_each(|number| place.write(&format!("code/{number}.rs"), &code(number)));
        place
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("has a parent")).expect("folder");
        fs::write(path, text).expect("file");
    }

    fn with_request<T>(&self, spec: &str, act: impl FnOnce(&BuildRequest) -> T) -> T {
        let spec: CorpusSpec = serde_json::from_str(spec).expect("a spec");
        act(&BuildRequest { spec: &spec, spec_dir: self.folder.path(), cache: self.cache.path() })
    }

    fn build(&self, spec: &str) -> BuiltCorpus {
        self.with_request(spec, |request| build(request, &mut |_| {})).expect("builds")
    }

    fn refusal(&self, spec: &str) -> String {
        self.with_request(spec, |request| build(request, &mut |_| {})).expect_err("refused").to_string()
    }
}

const MIXED: &str = r#"{"source": "mixture", "seed": 3, "part": [
    {"source": "files", "paths": ["code"], "validation_share": 0.2, "share": 0.7},
    {"source": "task", "task": "addition", "share": 0.2, "problems": 50},
    {"source": "task", "task": "zipf_recall", "share": 0.1, "problems": 20, "seed": 4},
    {"source": "task", "task": "code_completion", "problems": 10, "parameters": {"context": 32}}]}"#;

/// Documents of the training split, without their ends.
fn trained(built: &BuiltCorpus) -> Vec<String> {
    let tokens = fs::read(built.dir.join("tokens.bin")).expect("tokens");
    let train = String::from_utf8(tokens[..built.manifest.train_tokens as usize].to_vec()).expect("text");
    train.split('\0').map(str::to_owned).collect()
}

fn is_sum(document: &str) -> bool {
    document.starts_with(|first: char| first.is_ascii_digit())
}

#[test]
fn every_prefix_of_the_training_split_has_the_shares_within_a_document() {
    let place = Place::new();
    let built = place.build(MIXED);
    let longest = code(39).len() as f64 + 1.0;
    let (mut all, mut sums, mut facts) = (0.0, 0.0, 0.0);
    for document in trained(&built) {
        let tokens = document.len() as f64 + 1.0;
        all += tokens;
        sums += if is_sum(&document) { tokens } else { 0.0 };
        facts += if document.starts_with('@') { tokens } else { 0.0 };
        assert!((sums - 0.2 * all).abs() <= longest && (facts - 0.1 * all).abs() <= longest, "{sums} {facts} {all}");
    }
    let parts: Vec<_> = built.manifest.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(parts, ["files", "addition", "zipf_recall", "code_completion"]);
    for part in &built.manifest.parts {
        let off = part.train_tokens as f64 / built.manifest.train_tokens as f64 - part.share;
        assert!(off.abs() * built.manifest.train_tokens as f64 <= longest, "{part:?}");
    }
    let counted: u64 = built.manifest.parts.iter().map(|part| part.train_tokens).sum();
    assert_eq!(counted, built.manifest.train_tokens);
}

#[test]
fn the_text_that_ends_first_says_how_long_the_mixture_is() {
    let place = Place::new();
    let built = place.build(MIXED);
    let train = &trained(&built);
    let functions = train.iter().filter(|document| document.starts_with("fn main_")).count();
    // 32 of 40 documents train, and all of them are used, whole but perhaps for the last.
    assert!((31..=32).contains(&functions), "{functions}");
}

#[test]
fn validation_keeps_the_parts_as_clusters_with_their_shares() {
    let CorpusManifest { clusters, validation_tokens, parts, .. } = Place::new().build(MIXED).manifest;
    assert_eq!(clusters.iter().filter(|cluster| cluster.name.starts_with("files/code/")).count(), 8);
    assert_eq!(clusters.iter().filter(|cluster| cluster.name.starts_with("addition/")).count(), 16);
    assert!(clusters.iter().all(|cluster| !cluster.name.starts_with("code_completion")));
    for part in parts {
        let off = part.validation_tokens as f64 - part.share * validation_tokens as f64;
        assert!(off.abs() < 32.0, "{part:?} of {validation_tokens}");
    }
}

#[test]
fn problems_lie_beside_the_tokens_and_a_changed_byte_is_found() {
    let place = Place::new();
    let built = place.build(MIXED);
    let (set, read) = (built.manifest.problems.clone().expect("has problems"), problems(&built).expect("reads"));
    assert_eq!(set.problems as usize, read.len());
    assert_eq!(set.buckets.iter().map(|bucket| bucket.problems).sum::<u64>(), set.problems);
    assert_eq!((set.buckets[0].task.as_str(), set.buckets[0].bucket.as_str()), ("addition", "1 digit"));
    assert_eq!(set.longest_tokens as usize, read.iter().map(|p| p.prompt.len() + p.answer.len()).max().expect("some"));
    verify(&built).expect("whole");
    let path = built.dir.join("problems.jsonl");
    let mut bytes = fs::read(&path).expect("problems");
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    fs::write(&path, bytes).expect("written");
    for error in [verify(&built).expect_err("changed"), problems(&built).expect_err("changed")] {
        assert!(error.to_string().contains("`problems.jsonl` has SHA-256 "), "{error}");
    }
}

#[test]
fn no_held_out_problem_occurs_in_any_training_text() {
    let place = Place::new();
    let clean = place.build(MIXED);
    let is_long_sum = |problem: &&Problem| problem.task == "addition" && problem.bucket == 3;
    let asked = problems(&clean).expect("reads");
    let problem = asked.iter().find(is_long_sum).expect("three digits").clone();
    let bytes = [&problem.prompt[1..], &problem.answer[..problem.answer.len() - 1]].concat();
    let text: String = bytes.iter().map(|token| char::from(*token as u8)).collect();
    // The same sum in a source file: that file is not trained.
    (0..20).for_each(|number| {
        place.write(&format!("code/leak{number}.rs"), &format!("{}// {text}\n", code(100 + number)));
    });
    let built = place.build(MIXED);
    let left_out = built.manifest.left_out.iter().find(|each| each.reason == "held_out_problem").expect("left out");
    let leaks =
        trained(&built).iter().filter(|document| document.contains("fn main_1") && document.contains("// ")).count();
    assert!(left_out.documents >= 10 && leaks == 0, "{left_out:?} {leaks}");
    let all = format!("\0{}\0", trained(&built).join("\0"));
    for problem in problems(&built).expect("reads").iter().filter(|problem| problem.task != "zipf_recall") {
        let whole: String =
            problem.prompt.iter().chain(&problem.answer).map(|token| char::from(*token as u8)).collect();
        assert!(!all.contains(&whole), "{}: {whole}", problem.task);
    }
}

#[test]
fn completions_are_the_rest_of_a_held_out_line() {
    let place = Place::new();
    let built = place.build(MIXED);
    let tokens = fs::read(built.dir.join("tokens.bin")).expect("tokens");
    let all: String = (0..40).map(code).collect();
    let train = trained(&built).join("\0");
    let completions = problems(&built).expect("reads").into_iter().filter(|problem| problem.task == "code_completion");
    let mut count = 0;
    for Problem { prompt, answer, judge, bucket_name, .. } in completions {
        let text = |tokens: &[u32]| tokens.iter().map(|token| char::from(*token as u8)).collect::<String>();
        let (prompt, answer) = (text(&prompt), text(&answer));
        assert!(all.contains(&format!("{prompt}{answer}")) && !train.contains(&format!("{prompt}{answer}")));
        assert!(answer.ends_with('\n') && answer.matches('\n').count() == 1 && prompt.len() == 32);
        let line = format!("{}{answer}", prompt.rsplit('\n').next().expect("a line"));
        // A prompt may start inside a line: then only its rest is known here.
        if prompt.contains('\n') {
            let seen = train.lines().any(|trained| trained.trim() == line.trim());
            assert_eq!(bucket_name.ends_with("seen line"), seen, "{line}");
        }
        assert_eq!(judge, Judge::Exact {});
        count += 1;
    }
    assert!(count > 10 && !tokens.is_empty(), "{count}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let (one, two) = (Place::new(), Place::new());
    let (first, second) = (one.build(MIXED).manifest, two.build(MIXED).manifest);
    assert_eq!(first.digest, second.digest);
    assert_eq!(first.problems, second.problems);
    let other = two.build(&MIXED.replace("\"seed\": 3", "\"seed\": 5")).manifest;
    assert_ne!(first.tokens_sha256, other.tokens_sha256);
    assert_eq!(one.with_request(MIXED, locate).expect("reads").expect("found").manifest, first);
}

#[test]
fn other_problems_are_another_corpus() {
    let place = Place::new();
    let one = place.build(MIXED).manifest;
    let more = place.build(&MIXED.replace("\"problems\": 20", "\"problems\": 30")).manifest;
    assert_ne!(one.digest, more.digest);
    assert_eq!(one.tokens_sha256, more.tokens_sha256, "recall forbids nothing");
}

#[test]
fn a_task_alone_is_a_corpus_of_exactly_the_tokens_asked_for() {
    let place = Place::new();
    let spec = r#"{"source": "task", "task": "brackets", "train_tokens": 20000, "validation_tokens": 1600}"#;
    let built = place.build(spec);
    assert!(built.dir.file_name().expect("a name").to_string_lossy().starts_with("task-"));
    assert_eq!((built.manifest.train_tokens, built.manifest.validation_tokens), (20_000, 1_600));
    assert_eq!((built.manifest.vocabulary, built.manifest.bytes_per_token), (256, Some(1.0)));
    assert!(problems(&built).expect("reads").len() > 500);
}

#[test]
fn a_corpus_without_tasks_has_no_problems() {
    let place = Place::new();
    let built = place.build(r#"{"source": "files", "paths": ["code"]}"#);
    assert_eq!((problems(&built).expect("none"), built.manifest.problems), (Vec::new(), None));
    assert!(!built.dir.join("problems.jsonl").exists());
}

#[test]
fn a_training_document_that_another_text_holds_out_is_left_out() {
    let place = Place::new();
    (0..40).for_each(|number| place.write(&format!("copy/{number}.txt"), &code(number)));
    let spec = r#"{"source": "mixture", "part": [
        {"source": "files", "paths": ["code"], "validation_share": 0.2, "share": 0.5},
        {"source": "files", "paths": ["copy", "code/1.rs"], "validation_share": 0.4, "share": 0.5}]}"#;
    let built = place.build(spec);
    let names: Vec<_> = built.manifest.parts.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(names, ["files", "files-2"]);
    // The digests choose: the first 8 are held out by both, the next 8 by the second and trained by the first.
    let left_out = built.manifest.left_out.iter().find(|each| each.reason == "held_out_text").expect("left out");
    assert_eq!(left_out.documents, 8);
}

#[test]
fn what_is_not_allowed_is_refused_with_what_is() {
    let place = Place::new();
    let cases = [
        (MIXED.replace("0.7", "0.6"), "`share` is 0.9"),
        (MIXED.replace("0.7", "1.7"), "`share` is 1.7; 0 to 1 is allowed"),
        (MIXED.replace("zipf_recall", "addition"), "`name` is `addition` twice; each task needs its own"),
        (MIXED.replace("zipf_recall", "zipf"), "`task` is `zipf`; one of `addition`, "),
        (MIXED.replace("\"seed\": 3", "\"train_tokens\": 90000000"), "`train_tokens` is 90000000; at most "),
        (MIXED.replace("\"seed\": 3", "\"validation_tokens\": 90000000"), "`validation_tokens` is 90000000; at most "),
        (
            MIXED.replace("\"share\": 0.7", "\"share\": 0.6").replace("\"problems\": 10", "\"share\": 0.1"),
            "`share` is 0.1; 0 is needed, because `code_completion` is taught by the text of the other parts",
        ),
        (
            r#"{"source": "mixture", "part": [{"source": "task", "task": "addition", "share": 1.0}]}"#.into(),
            "`train_tokens` is absent; a number of tokens is needed",
        ),
        (
            r#"{"source": "task", "task": "code_completion", "train_tokens": 100, "validation_tokens": 100}"#.into(),
            "`share` is 1; 0 is needed",
        ),
        (
            r#"{"source": "task", "task": "brackets", "train_tokens": 100, "validation_tokens": 100,
                "parameters": {"kinds": 1, "depth": 1, "closed": 1}}"#
                .into(),
            "`problems` is 200, of which `brackets` can make none",
        ),
    ];
    for (spec, expected) in cases {
        let message = place.refusal(&spec);
        assert!(message.starts_with(expected) && message.contains("\n\nhint: "), "{message}");
    }
}

#[test]
fn a_file_of_prompts_and_answers_is_read_again_when_it_changes() {
    let place = Place::new();
    let rows = "{\"prompt\": \"p\", \"answer\": \"a\"}\n{\"prompt\": \"q\", \"answer\": \"b\", \"split\": \"test\"}\n";
    place.write("rows.jsonl", rows);
    let spec = r#"{"source": "task", "task": "jsonl", "train_tokens": 300, "validation_tokens": 160,
        "parameters": {"path": "rows.jsonl", "chance": 0.5}}"#;
    let built = place.build(spec);
    assert_eq!(trained(&built).concat(), "pa".repeat(100));
    let tokens = fs::read(built.dir.join("tokens.bin")).expect("tokens");
    assert!(tokens[300..].starts_with(b"qb\0qb\0"), "test rows are the validation text");
    let asked = problems(&built).expect("reads");
    assert_eq!((asked.len(), asked[0].prompt.clone(), asked[0].answer.clone()), (1, vec![0, 113], vec![98, 0]));
    place.write("rows.jsonl", &rows.replace("\"a\"", "\"c\""));
    assert_eq!(place.with_request(spec, locate).expect("reads"), None);
    let missing = place.refusal(&spec.replace("rows.jsonl", "no.jsonl"));
    assert!(missing.contains("no.jsonl`: ") && missing.contains("\n\nhint: check the path"), "{missing}");
}
