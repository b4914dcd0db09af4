//! What the tests of all tasks share: a task by its name, its documents and problems as text.

use std::path::Path;

use super::*;
use crate::guard::Guard;

/// A task as a spec would name it, with a hundred problems a bucket.
pub(super) struct Example {
    part: TaskPart,
}

impl Example {
    pub(super) fn of(task: &str, parameters: &str) -> Self {
        Self { part: part(task, parameters) }
    }

    fn task(&self) -> Box<dyn Task> {
        Setup { part: &self.part, folder: Path::new(".") }.task().expect("a good spec")
    }

    /// Training documents before the guard.
    pub(super) fn documents(&self, count: usize) -> Vec<String> {
        let (mut task, mut rng) = (self.task(), stream(self.part.seed, TRAIN_STREAM));
        (0..count).map(|_| text(task.document(&mut rng).expect("without end"))).collect()
    }

    /// Training documents that pass the guard.
    pub(super) fn trained(&self, count: usize) -> Vec<String> {
        let questions = self.questions();
        let guard = Guard::forbidding(questions.iter().flat_map(|q| &q.forbidden).map(Vec::as_slice));
        let mut documents = self.documents(count);
        documents.retain(|document| !guard.holds(&[document.as_bytes(), &[END]].concat()));
        documents
    }

    pub(super) fn questions(&self) -> Vec<Question> {
        self.task().questions(&mut Ask::of(&self.part, &[])).expect("problems")
    }

    /// Prompt and answer of every question, as one text.
    pub(super) fn whole_questions(&self) -> Vec<String> {
        self.questions().into_iter().map(|question| text([question.prompt, question.answer].concat())).collect()
    }

    pub(super) fn bucket_counts(&self) -> Vec<(String, usize)> {
        let questions = self.questions();
        let buckets = questions.chunk_by(|one, other| one.bucket == other.bucket);
        buckets.map(|bucket| (bucket[0].bucket_name.clone(), bucket.len())).collect()
    }
}

fn part(task: &str, parameters: &str) -> TaskPart {
    let parameters = serde_json::from_str(parameters).expect("JSON");
    TaskPart { share: 1.0, task: task.into(), name: None, problems: 100, seed: 1, parameters }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("printable text")
}

/// What is said of parameters that are not allowed.
pub(super) fn refusal(task: &str, parameters: &str) -> String {
    let part = part(task, parameters);
    Setup { part: &part, folder: Path::new(".") }.task().err().expect("refused").to_string()
}

/// Tasks that need no file and no other text.
const ALONE: [&str; 8] =
    ["addition", "brackets", "distractor", "modular", "multi_hop", "recall_in_context", "stack_program", "zipf_recall"];

#[test]
fn the_same_seed_gives_the_same_documents_and_problems_and_another_gives_others() {
    for task in ALONE {
        let (one, mut other) = (Example::of(task, "{}"), Example::of(task, "{}"));
        assert_eq!(one.documents(100), other.documents(100), "{task}");
        assert_eq!(one.questions(), other.questions(), "{task}");
        other.part.seed = 2;
        assert_ne!(one.documents(100), other.documents(100), "{task}");
        assert_ne!(one.questions(), other.questions(), "{task}");
    }
}

#[test]
fn documents_are_printable_and_start_as_their_task_does() {
    let mut firsts = std::collections::BTreeMap::new();
    for task in ["zipf_recall", "multi_hop", "distractor"] {
        for document in Example::of(task, "{}").documents(200) {
            assert!(document.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' '), "{task}: {document}");
            assert_eq!(*firsts.entry(document.as_bytes()[0]).or_insert(task), task);
        }
    }
    assert_eq!(firsts.len(), 3);
}

#[test]
fn no_held_out_problem_is_in_guarded_text_and_every_bucket_has_some() {
    for task in ALONE {
        let example = Example::of(task, "{}");
        let all = example.trained(3_000).join("\0");
        for question in example.questions() {
            for forbidden in &question.forbidden {
                let whole = format!("\0{}\0", text(forbidden.clone()));
                assert!(!format!("\0{all}\0").contains(&whole), "{task}: {whole}");
            }
        }
        assert!(example.bucket_counts().len() > 1, "{task}");
    }
}

#[test]
fn a_problem_has_its_marks_and_an_item_that_others_do_not_move() {
    let example = Example::of("addition", r#"{"digits": 1, "reversed": false}"#);
    let question = Question { prompt: b"3+4=".to_vec(), answer: b"7".to_vec(), ..example.questions()[0].clone() };
    let problem = question.clone().into_problem("sums");
    assert_eq!(problem.prompt, [0, 51, 43, 52, 61]);
    assert_eq!(problem.answer, [55, 0]);
    // printf '3+4=\0007' | sha256sum
    assert_eq!((problem.task.as_str(), problem.item.as_str()), ("sums", "e5997adcf03116ee"));
    let inside = Question { place: Place::Inside, ..question }.into_problem("sums");
    assert_eq!((inside.prompt, inside.answer), (vec![51, 43, 52, 61], vec![55]));
}

#[test]
fn an_unknown_task_is_told_the_ones_there_are() {
    let message = refusal("adition", "{}");
    assert!(message.starts_with("`task` is `adition`; one of `addition`, `brackets`, "), "{message}");
}

/// Corpora that were built must stay what they are: who changes a digest here raises the mixer's version.
#[test]
fn documents_and_problems_are_those_of_the_mixers_first_version() {
    let digest = |task: &&str| {
        let example = Example::of(task, "{}");
        sha256_hex(format!("{:?}{:?}", example.documents(1_000), example.whole_questions()).as_bytes())[..8].to_owned()
    };
    let expected = ["87cf333a", "ade1d7ca", "9b2e9ece", "d22ef4d6", "38bd6712", "cdb8226f", "02d4c6f0", "b3943bbb"];
    assert_eq!(ALONE.iter().map(digest).collect::<Vec<_>>(), expected);
}
