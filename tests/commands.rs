//! Commands as typed: their words, streams and exit codes.

use std::path::Path;

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::binary::{Said, forescale, repository};
use crate::chain::tiny;

/// A whole command as a snapshot, with temporary paths and times filtered.
fn snapshot(name: &str, said: &Said) {
    insta::with_settings!({
        snapshot_path => repository().join("tests/fixtures/snapshots"),
        prepend_module_to_snapshot => false,
        omit_expression => true,
        filters => vec![
            (r"/\S*/(tiny|new)\b", "[folder]/$1"),
            (r"\b\d+:\d\d\b", "[time]"),
        ],
    }, { assert_snapshot!(name, said.whole()) });
}

#[test]
fn plan_shows_every_run_under_every_rule() {
    let (folder, _sweep) = tiny();
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    snapshot("plan", &forescale(folder.path(), &["plan", "tiny"]).expect_code(0));
}

#[test]
fn the_recipe_is_shown_with_its_sources_and_doubts() {
    let (folder, _sweep) = tiny();
    let table = forescale(folder.path(), &["plan", "tiny", "--recipe"]).expect_code(0).stdout;
    let headers: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    assert_eq!(headers, ["decides", "formula", "source", "doubt"]);
    assert!(table.lines().all(|line| line.chars().count() <= 120 && line == line.trim_end()), "{table}");
    let plan = forescale(folder.path(), &["plan", "tiny", "--json"]).expect_code(0).json();
    let rules = plan["recipe"].as_array().expect("rules");
    assert_eq!(rules[0]["decides"], "tokens per step");
    for rule in rules {
        for cell in ["decides", "formula", "source", "doubt"] {
            let text = rule[cell].as_str().expect("text");
            assert!(text.split_whitespace().all(|word| table.contains(word)) && !text.is_empty(), "{text}");
        }
    }
}

#[test]
fn an_unknown_key_reads_like_this() {
    let (folder, sweep) = tiny();
    let path = sweep.join("sweep.toml");
    let text = std::fs::read_to_string(&path).expect("the fixture");
    std::fs::write(&path, text.replace("head_size", "head_sise")).expect("written");
    snapshot("unknown_key", &forescale(folder.path(), &["plan", "tiny"]).expect_code(2));
}

#[test]
fn every_template_can_be_planned() {
    let folder = TempDir::new().expect("a folder");
    for template in ["zipf", "smoke"] {
        forescale(folder.path(), &["init", template, "--template", template]).expect_code(0);
        forescale(folder.path(), &["plan", template]).expect_code(0);
    }
}

#[test]
fn every_sweep_of_the_repository_can_be_planned() {
    let sweeps =
        std::fs::read_dir(repository().join("sweeps")).expect("sweeps").map(|entry| entry.expect("one").path());
    for sweep in sweeps.filter(|path| path.join("sweep.toml").is_file()) {
        forescale(&sweep, &["plan", "."]).expect_code(0);
    }
}

/// Rungs from 1e13 to 1e15 FLOPs and a target of 1e17, of a text that no run sees twice.
#[test]
fn the_ladder_for_a_card_spans_what_it_says() {
    let said = forescale(&repository().join("sweeps/gpu-ladder"), &["plan", ".", "--json"]).expect_code(0);
    assert!(!said.stderr.contains("refused"), "each law can be told from these runs: {}", said.whole());
    let plan = said.json();
    let flops = |role: &str| {
        let of_role = |run: &&serde_json::Value| run["role"] == role;
        let runs = plan["runs"].as_array().expect("runs").iter().filter(of_role);
        runs.map(|run| run["flops"]["exact"].as_f64().expect("a number")).collect::<Vec<_>>()
    };
    let (rungs, target) = (flops("path"), flops("target"));
    let near = |found: f64, meant: f64| (found / meant).log10().abs() < 0.15;
    assert!(near(rungs.iter().copied().fold(f64::INFINITY, f64::min), 1e13), "{rungs:?}");
    assert!(near(rungs.iter().copied().fold(0.0, f64::max), 1e15), "{rungs:?}");
    assert!(target.len() == 1 && near(target[0], 1e17), "{target:?}");
    let words = forescale(&repository().join("sweeps/gpu-ladder"), &["plan", "."]).expect_code(0).stdout;
    assert!(
        words.contains(
            "times are for one thread each of a processor; times on a card are not known, where d640-40x-s0 "
        ),
        "{words}"
    );
}

#[test]
fn every_document_has_a_schema_and_the_committed_ones_are_current() {
    let committed = repository().join("schemas");
    let files = std::fs::read_dir(&committed).expect("a folder").map(|file| file.expect("a file").path());
    let mut kinds: Vec<String> = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    kinds.sort();
    assert!(kinds.len() >= 23, "{kinds:?}");
    for kind in &kinds {
        let printed = forescale(Path::new("."), &["schema", kind]).expect_code(0).stdout;
        let path = committed.join(format!("{kind}.json"));
        let on_disk = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert!(printed == on_disk, "{kind}.json is not what the types say; `just schemas` writes it anew");
    }
}

#[test]
fn doctor_says_what_it_finds() {
    let report = forescale(Path::new("."), &["doctor", "--json"]).expect_code(0).json();
    assert!(report["numerics version"].is_string());
    assert!(report["cards"].is_array() && report["CUDA libraries"].is_string());
}

/// The system looks for libraries before a program with CUDA can say a word, so that another build has to.
#[cfg(all(target_os = "linux", not(feature = "cuda")))]
#[test]
fn doctor_names_the_libraries_that_a_build_with_cuda_would_not_start_without() {
    let folder = TempDir::new().expect("a folder");
    let missing = |visible: &str| {
        let mut command = crate::binary::command(folder.path(), &["doctor", "--json"]);
        command.env("LD_LIBRARY_PATH", folder.path()).env("CUDA_VISIBLE_DEVICES", visible);
        let report = crate::binary::said(&command.output().expect("the binary starts")).expect_code(0).json();
        let names: Vec<String> = serde_json::from_value(report["missing_libraries"].clone()).expect("names");
        (names, report["CUDA libraries"].as_str().expect("words").to_owned(), report["CUDA_VISIBLE_DEVICES"].clone())
    };
    let names = ["libcuda.so.1", "libcudart.so.13", "libcublas.so.13", "libcublasLt.so.13", "libcurand.so.10"];
    // Files of these names that no system takes: what may be installed elsewhere does not count then.
    names.iter().for_each(|name| std::fs::write(folder.path().join(name), "no library").expect("written"));
    let (found, words, visible) = missing("");
    assert_eq!((found, visible), (names.map(str::to_owned).to_vec(), "set, and empty".into()));
    assert!(words.contains("does not start here: it needs libcuda.so.1 (NVIDIA's driver"), "{words}");
    // Any library will do for what is looked at: whether the system loads it.
    let mapped = std::fs::read_to_string("/proc/self/maps").expect("what this process has loaded");
    let own = mapped.split_whitespace().find(|word| word.contains("libgcc_s.so.1")).expect("each of our programs");
    for name in names {
        std::fs::copy(own, folder.path().join(name)).expect("copied");
    }
    let (found, words, visible) = missing("0");
    assert_eq!((found, visible), (Vec::new(), "0".into()), "{words}");
}

#[test]
fn usage_errors_exit_with_2() {
    assert_eq!(forescale(Path::new("."), &["fly"]).code, 2);
    assert_eq!(forescale(Path::new("."), &["forecast"]).code, 2);
}

/// `check DRIFTED | head` said 0 once: a reader that leaves early must not turn a no into a yes.
#[test]
fn a_closed_pipe_does_not_change_the_answer() {
    let formats = repository().join("tests/fixtures/formats/registration-1.0.json");
    let mut child =
        crate::binary::command(Path::new("."), &["score", formats.to_str().expect("text"), "--observed", "99"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("an exit").code(), Some(1));
}
