//! Exported checkpoints: what is in the folder, that `transformers` computes from it what we do, and what is refused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::bad_input::refuses;
use crate::binary::{Said, forescale, note_skip, repository};
use crate::chain::tiny;

/// The tiny sweep with two blocks and its corpus, and the name of its run of width 24.
fn built(input_order: u32) -> (TempDir, String) {
    let (folder, sweep) = tiny();
    let path = sweep.join("sweep.toml");
    let text = fs::read_to_string(&path).expect("the fixture");
    assert!(text.contains("layers = 1\n"), "{text}");
    let model = format!("layers = 2\ninput_order = {input_order}\n");
    fs::write(&path, text.replace("layers = 1\n", &model)).expect("written");
    forescale(folder.path(), &["corpus", "build", "tiny"]).expect_code(0);
    let plan = forescale(folder.path(), &["plan", "tiny", "--json"]).expect_code(0).json();
    let runs = plan["runs"].as_array().expect("runs").iter();
    let name = runs.filter_map(|run| run["name"].as_str()).find(|name| name.starts_with("d24-")).expect("width 24");
    (folder, name.to_owned())
}

/// As [`built`], with that run trained.
fn trained() -> (TempDir, String) {
    let (folder, name) = built(1);
    forescale(folder.path(), &["exec", "tiny", &name]).expect_code(0);
    (folder, name)
}

fn export(folder: &Path, arguments: &[&str]) -> Said {
    forescale(folder, &[&["export", "tiny", "--format", "hf"], arguments].concat())
}

fn json_of(path: PathBuf) -> Value {
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// The one run folder of a sweep in which a single run was trained.
fn only_run(folder: &Path) -> PathBuf {
    let runs = fs::read_dir(folder.join("tiny/runs")).expect("runs").map(|entry| entry.expect("an entry").path());
    let runs: Vec<PathBuf> = runs.filter(|path| path.join("record.json").is_file()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    runs[0].clone()
}

/// Shapes by name, from the header of a safetensors file: its length in 8 bytes, little endian, then JSON.
fn shapes(file: &Path) -> Value {
    let bytes = fs::read(file).expect("a file");
    let length = u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes")) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length]).expect("JSON");
    let entries = header.as_object().expect("an object").iter();
    entries.map(|(name, tensor)| (name.clone(), tensor["shape"].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn a_trained_run_becomes_a_folder_of_qwen3() {
    let (folder, name) = trained();
    let said = export(folder.path(), &["--run", &name, "--out", "made/here", "--logits", "8"]).expect_code(0);
    assert_eq!(said.stdout, "made/here\n");
    let out = folder.path().join("made/here");
    let made = fs::read_dir(folder.path().join("made")).expect("listed").count();
    assert_eq!(made, 1, "nothing is left beside it");

    // Width 24 in 3 heads of 8; 8/3 × 24 = 64 hidden units; contexts of 15; 16 symbols.
    let config = json_of(out.join("config.json"));
    let expected = json!({
        "model_type": "qwen3", "architectures": ["Qwen3ForCausalLM"], "vocab_size": 16, "hidden_size": 24,
        "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 3, "num_key_value_heads": 3,
        "head_dim": 8, "max_position_embeddings": 15, "tie_word_embeddings": false, "attention_bias": false,
    });
    for (key, value) in expected.as_object().expect("an object") {
        assert_eq!(config[key], *value, "{key}");
    }
    assert_eq!(config["rope_theta"], config["rope_parameters"]["rope_theta"]);

    let block = |index: usize| {
        let of = |part: &str, shape: Value| (format!("model.layers.{index}.{part}.weight"), shape);
        [
            of("input_layernorm", json!([24])),
            of("self_attn.q_proj", json!([24, 24])),
            of("self_attn.k_proj", json!([24, 24])),
            of("self_attn.v_proj", json!([24, 24])),
            of("self_attn.o_proj", json!([24, 24])),
            of("self_attn.q_norm", json!([8])),
            of("self_attn.k_norm", json!([8])),
            of("post_attention_layernorm", json!([24])),
            of("mlp.gate_proj", json!([64, 24])),
            of("mlp.up_proj", json!([64, 24])),
            of("mlp.down_proj", json!([24, 64])),
        ]
    };
    let outer = [("model.embed_tokens", json!([16, 24])), ("model.norm", json!([24])), ("lm_head", json!([16, 24]))];
    let outer = outer.map(|(name, shape)| (format!("{name}.weight"), shape));
    let expected: serde_json::Map<_, _> = outer.into_iter().chain(block(0)).chain(block(1)).collect();
    assert_eq!(shapes(&out.join("model.safetensors")), Value::from(expected));
    assert_eq!(shapes(&out.join("logits.safetensors")), json!({ "tokens": [8, 15], "logits": [8, 15, 16] }));

    let (record, made) = (json_of(only_run(folder.path()).join("record.json")), json_of(out.join("forescale.json")));
    assert_eq!(made["schema"], "forescale.export/1.0");
    for key in ["run_id", "name", "result_digest", "corpus_digest", "metrics", "tokens"] {
        assert_eq!(made[key], record[key], "{key}");
    }
    transformers_agrees(&out);
}

/// The script holds the folder's logits against ours, and notices a rotation by other angles.
fn transformers_agrees(out: &Path) {
    if !has_transformers() {
        note_skip("export_logits.py", "python3 has no torch and transformers");
        return;
    }
    let said = script(out);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    let path = out.join("config.json");
    let config = fs::read_to_string(&path).expect("config.json");
    fs::write(&path, config.replace("10000.0", "100.0")).expect("written");
    let said = script(out);
    assert_eq!(said.status.code(), Some(1), "{said:?}");
}

fn has_transformers() -> bool {
    let found = Command::new("python3").args(["-c", "import torch, transformers"]).output();
    found.is_ok_and(|output| output.status.success())
}

fn script(out: &Path) -> Output {
    let script = repository().join("tests/export_logits.py");
    let mut command = Command::new("python3");
    command.arg(script).arg(out).arg(out.join("logits.safetensors")).output().expect("python3 starts")
}

#[test]
fn the_target_is_exported_when_no_run_is_named_and_only_once_it_is_trained() {
    let (folder, name) = built(1);
    let said = export(folder.path(), &["--out", "model"]);
    refuses(said, &["the target `d48-", "is not trained", "no run of it is trained", "forescale run tiny"]);
    forescale(folder.path(), &["exec", "tiny", &name]).expect_code(0);
    let said = export(folder.path(), &["--out", "model"]);
    refuses(said, &["the target `d48-", "is not trained", &format!("by --run: `{name}`")]);
    assert!(!folder.path().join("model").exists());
}

#[test]
fn a_run_that_is_unknown_or_not_finished_is_refused() {
    let (folder, name) = built(1);
    let of = |run: &str| export(folder.path(), &["--run", run, "--out", "model"]);
    refuses(of("d7-1x-s0"), &["plans no run `d7-1x-s0`", "hint: forescale plan"]);
    refuses(of(&name), &[&name, "is not begun", "hint: forescale exec"]);
    assert!(!folder.path().join("model").exists());
}

#[test]
fn a_sum_of_embeddings_is_refused_before_anything_is_trained() {
    let (folder, name) = built(3);
    let said = export(folder.path(), &["--run", &name, "--out", "model"]);
    refuses(said, &[&name, "`input_order` is 3", "hint: train with `input_order = 1`"]);
}

#[test]
fn nothing_is_written_over_and_a_refused_export_leaves_nothing() {
    let (folder, name) = trained();
    let into = |out: &str, logits: &str| export(folder.path(), &["--run", &name, "--out", out, "--logits", logits]);
    fs::create_dir_all(folder.path().join("full/inside")).expect("made");
    fs::write(folder.path().join("file"), b"in the way").expect("written");
    refuses(into("full", "1"), &["`full` exists already", "hint:"]);
    refuses(into("file", "1"), &["`file` exists already", "hint:"]);
    // 6,000 tokens of evaluation are 400 windows of 15.
    refuses(into("empty", "401"), &["logits of 401 windows", "has 400", "hint:"]);
    fs::create_dir(folder.path().join("empty")).expect("made");
    into("empty", "400").expect_code(0);
    let mut left: Vec<_> = fs::read_dir(folder.path()).expect("listed").map(|e| e.expect("one").file_name()).collect();
    left.sort();
    assert_eq!(left, ["empty", "file", "full", "tiny"]);
}

#[test]
fn a_checkpoint_that_is_damaged_gone_or_of_an_earlier_step_is_refused() {
    let (folder, name) = trained();
    let path = only_run(folder.path()).join("checkpoint.bin");
    let whole = fs::read(&path).expect("a checkpoint");
    let refused = |words: &[&str]| {
        refuses(export(folder.path(), &["--run", &name, "--out", "model"]), &[words, &["hint: `rm -r"]].concat());
        assert!(!folder.path().join("model").exists());
    };
    fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    refused(&["checkpoint.bin", "bytes of state were written"]);
    fs::write(&path, &whole[..20]).expect("written");
    refused(&["checkpoint.bin", "its header alone"]);
    fs::remove_file(&path).expect("removed");
    refused(&["kept no weights"]);
}
