//! Every bad input gets one clear error, exit code 2, and leaves nothing half-written.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::binary::{Said, forescale, repository};
use crate::chain::tiny;

/// One clear error: exit 2, nothing on stdout, what was wrong, and a hint.
#[track_caller]
pub(crate) fn refuses(said: Said, words: &[&str]) {
    let said = said.expect_code(2);
    assert!(said.stderr.lines().any(|line| line.starts_with("error: ")), "{}", said.whole());
    assert!(said.stdout.is_empty(), "{}", said.whole());
    for word in words {
        assert!(said.stderr.contains(word), "`{word}` is not in:\n{}", said.whole());
    }
    assert_eq!(said.stderr.matches("error: ").count(), 1, "{}", said.whole());
}

/// Plans the tiny sweep with one piece of its spec replaced.
fn plan_with(from: &str, to: &str) -> Said {
    let (folder, sweep) = tiny();
    let path = sweep.join("sweep.toml");
    let text = fs::read_to_string(&path).expect("the fixture");
    assert!(text.contains(from), "the fixture has no `{from}`");
    fs::write(&path, text.replacen(from, to, 1)).expect("written");
    forescale(folder.path(), &["plan", "tiny"])
}

fn fit_table(text: &str, arguments: &[&str]) -> Said {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("runs.csv"), text).expect("written");
    forescale(folder.path(), &[&["fit", "runs.csv"], arguments].concat())
}

#[test]
fn an_unknown_key_names_the_nearest() {
    refuses(plan_with("head_size", "head_sise"), &["head_sise", "head_size", "sweep.toml"]);
}

#[test]
fn a_value_of_the_wrong_type_names_its_line() {
    refuses(plan_with("context = 15", "context = \"15\""), &["sweep.toml", "context"]);
}

#[test]
fn a_rung_of_under_300_steps_is_refused() {
    refuses(plan_with("tokens_per_param = 20", "tokens_per_param = 2"), &["300", "hint:"]);
}

#[test]
fn a_run_that_needs_more_tokens_than_there_are_is_refused() {
    let (folder, sweep) = tiny();
    let path = sweep.join("sweep.toml");
    let text = fs::read_to_string(&path).expect("the fixture");
    fs::write(&path, text.replace("train_tokens = 1_500_000", "train_tokens = 90_000")).expect("written");
    let built = forescale(folder.path(), &["corpus", "build", "tiny"]);
    let said = if built.code == 0 { forescale(folder.path(), &["plan", "tiny"]) } else { built };
    refuses(said, &["allow_repeats", "hint:"]);
}

#[test]
fn two_runs_with_one_identity_are_refused() {
    refuses(plan_with("width = 32\nat_compute_of = 16", "width = 8\nat_compute_of = 16"), &["hint:"]);
}

#[test]
fn a_missing_sweep_says_what_to_do() {
    let folder = TempDir::new().expect("a folder");
    refuses(forescale(folder.path(), &["plan", "nowhere"]), &["nowhere", "forescale init nowhere"]);
    refuses(forescale(folder.path(), &["fit", "nowhere.csv"]), &["nowhere.csv", "hint:"]);
}

#[test]
fn a_missing_corpus_says_how_to_build_it() {
    let (folder, sweep) = tiny();
    let text = fs::read_to_string(sweep.join("sweep.toml")).expect("the fixture");
    fs::write(sweep.join("sweep.toml"), text.replace("seed = 7", "seed = 424242")).expect("written");
    refuses(forescale(folder.path(), &["collect", "tiny"]), &["corpus", "forescale corpus build tiny"]);
}

#[test]
fn an_unknown_device_is_refused_before_anything_is_built() {
    let (folder, sweep) = tiny();
    let said = forescale(folder.path(), &["run", "tiny", "--device", "gpu"]);
    refuses(said, &["gpu", "cpu"]);
    refuses(forescale(folder.path(), &["run", "tiny", "--device", "cuda:0"]), &["cuda", "hint:"]);
    assert!(!sweep.join("runs").exists() && !sweep.join("out").exists());
}

#[test]
fn an_empty_table_is_refused() {
    refuses(fit_table("params,tokens,loss\n", &[]), &["runs.csv", "hint:"]);
    refuses(fit_table("", &[]), &["runs.csv"]);
}

#[test]
fn a_missing_column_is_named() {
    refuses(fit_table("params,tokns,loss\n1e6,1e8,3\n", &[]), &["tokens", "--map"]);
    refuses(fit_table("params,tokens,los\n1e6,1e8,3\n", &[]), &["loss"]);
}

#[test]
fn a_loss_that_is_no_loss_names_its_row() {
    for bad in ["NaN", "-3", "0", "inf"] {
        let table = format!("params,tokens,loss\n1e6,1e8,3\n2e6,1e8,{bad}\n");
        refuses(fit_table(&table, &[]), &["row", "loss", "hint:"]);
    }
}

/// Twelve rungs that a straight line in logarithms fits, with gaps in a column that may have them, and then one row more.
fn rungs_and(row: &str) -> String {
    let mut table = "params,tokens,val loss,weight\n".to_owned();
    for rung in 0..12 {
        let params = 1e6 * 2_f64.powi(rung);
        let weight = if rung % 2 == 0 { "1" } else { "" };
        table += &format!("{params},{},{},{weight}\n", 20.0 * params, 5.0 * params.powf(-0.05));
    }
    table + row + "\n"
}

#[test]
fn a_bad_row_is_left_out_by_the_command_that_the_hint_gives() {
    let rows = [
        ("1e6,2e7,NaN,1", "\"val loss\" > 0"),
        ("1e6,2e7,-3,1", "\"val loss\" > 0"),
        ("1e6,2e7,inf,1", "\"val loss\" < inf"),
        ("1e6,2e7,oops,1", "\"val loss\" != \"oops\""),
        ("nan,2e7,3,1", "params > 0"),
        (",2e7,3,1", "params >= 0"),
        ("1e6,2e7,3,-1", "weight != -1"),
    ];
    for (row, condition) in rows {
        let folder = TempDir::new().expect("a folder");
        fs::write(folder.path().join("my runs.csv"), rungs_and(row)).expect("written");
        let typed = ["fit", "my runs.csv", "--metric", "val loss", "--law", "log_log", "--where", "tokens > 1"];
        let said = forescale(folder.path(), &typed);
        let pasted = format!(
            "forescale fit 'my runs.csv' --metric 'val loss' --law log_log --where 'tokens > 1 and {condition}'"
        );
        let hint = format!("hint: correct the row, or leave it out: {pasted}\n");
        refuses(said, &["row 13: ", &hint]);
        let line = pasted.replacen("forescale", env!("CARGO_BIN_EXE_forescale"), 1);
        let again = std::process::Command::new("sh").args(["-c", &line]).current_dir(folder.path()).output();
        let again = crate::binary::said(&again.expect("a shell")).expect_code(0);
        assert!(again.stderr.contains("1 row left out") && again.stdout.contains("12 runs, 1 left out"), "{row}");
    }
}

/// `--level -0.5` was once an unexpected argument `-0`.
#[test]
fn a_negative_number_is_told_what_is_allowed() {
    let cases: [(&str, &[&str]); 29] = [
        ("forecast runs.csv --at flops=1e300", &["`--at flops=1e300` is not a positive", "hint: --at flops=1e21"]),
        ("forecast runs.csv --at params=-7,tokens=1", &["`--at params=-7` is not a positive", "hint: --at flops"]),
        ("forecast runs.csv --reach loss=-1", &["`--reach loss=-1` is not a positive", "hint: --reach loss=1.9"]),
        ("forecast runs.csv --at flops=1e20 --serve -5", &["`--serve -5` is not a positive", "hint: --serve 1e12"]),
        ("forecast runs.csv --at flops=1e20 --max-tokens 0", &["`--max-tokens 0` is not", "hint: --max-tokens 1e12"]),
        ("forecast runs.csv --at flops=1e20 --params 1e300", &["`--params 1e300` is not", "hint: --params 7e9"]),
        ("forecast runs.csv --at flops=1e20 --serve 1 --months -1", &["`--months -1` is not", "hint: --months 12"]),
        ("compare runs.csv runs.csv --at flops=-1e9", &["`--at flops=-1e9` is not", "hint: --at flops=1e21"]),
        ("design runs.csv --target flops=0 --budget flops=1", &["`--target flops=0` is not", "hint: --target flops"]),
        ("design runs.csv --target flops=1e22 --budget flops=1e99", &["`--budget flops=1e99`", "hint: --budget flops"]),
        ("fit runs.csv --delta -3", &["`--delta -3` is not a positive", "hint: --delta 1e-3"]),
        ("fit runs.csv --level -0.5", &["`--level -0.5` is not between 0 and 1", "hint: --level 0.9"]),
        ("forecast runs.csv --at flops=1e20 --level -1", &["`--level -1` is not between 0 and 1", "hint:"]),
        ("compare runs.csv runs.csv --level -1", &["`--level -1` is not between 0 and 1", "hint:"]),
        ("fit runs.csv --start-level -1", &["`--start-level -1` is not a positive number", "hint: --start-level"]),
        ("fit runs.csv --draws -3", &["'-3'", "a whole number from 100 to", "hint: --draws 1000"]),
        ("fit runs.csv --seed -1", &["'-1'", "a whole number of at least 0", "hint: --seed 0"]),
        ("fit runs.csv --approach -1", &["'-1'", "a whole number from 1 to 3", "hint: --approach 1,2,3"]),
        ("fit runs.csv --approach 2 --at-budget -1,1e22", &["`--at-budget -1` is not a positive", "hint: --at-budget"]),
        ("backtest runs.csv --ratio -3", &["--ratio is -3; it must be a finite number above 1", "hint:"]),
        ("backtest runs.csv --ratio 10,-3", &["--ratio is -3", "hint:"]),
        ("backtest runs.csv --ratio -3,10", &["--ratio is -3", "hint:"]),
        ("probe coord x --steps -1", &["'-1'", "a whole number of at least 0", "hint: --steps 5"]),
        ("probe lr x --widths -3,16", &["'-3'", "a whole number from 1", "hint: --widths 16,32,64"]),
        ("probe lr x --seeds -3", &["'-3'", "a whole number of at least 1", "hint: --seeds 2"]),
        ("run x --jobs -2", &["'-2'", "a whole number of at least 1", "hint: --jobs 2"]),
        ("exec x run --checkpoint-seconds -1", &["`--checkpoint-seconds -1`", "at least 0", "hint:"]),
        ("export x --format hf --out y --logits -1", &["'-1'", "a whole number of at least 1", "hint: --logits"]),
        ("corpus lock x --validation a --max-train-bytes -1", &["'-1'", "at least 1", "hint: --max-train-bytes"]),
    ];
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("runs.csv"), "params,tokens,loss\n1e6,1e8,3\n").expect("written");
    for (typed, words) in cases {
        refuses(forescale(folder.path(), &typed.split(' ').collect::<Vec<_>>()), words);
    }
}

#[test]
fn a_level_that_no_backtest_is_judged_at_is_refused() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("runs.csv"), "params,tokens,loss\n1e6,1e8,3\n").expect("written");
    let backtest = |level: &str| forescale(folder.path(), &["backtest", "runs.csv", "--level", level]);
    refuses(backtest("0.8"), &["`--level 0.8`", "judged at 90%", "`coverage_90`", "hint: leave `--level` out"]);
    // One run is no case, and the level that cases have is no fault.
    let said = backtest("0.9").expect_code(2);
    assert!(said.stdout.starts_with("no case") && !said.stderr.contains("error: "), "{}", said.whole());
}

#[test]
fn fewer_points_than_parameters_are_refused() {
    refuses(fit_table("params,tokens,loss\n1e6,1e8,3\n2e6,2e8,2.8\n", &["--law", "power_law"]), &["hint:"]);
}

#[test]
fn an_unknown_law_names_those_there_are() {
    refuses(fit_table("params,tokens,loss\n1e6,1e8,3\n", &["--law", "chinchila"]), &["chinchila", "chinchilla"]);
}

#[test]
fn a_filter_that_cannot_be_read_is_shown() {
    refuses(fit_table("params,tokens,loss\n1e6,1e8,3\n", &["--where", "params ~ 3"]), &["params ~ 3", "hint:"]);
}

#[test]
fn a_checkpoint_with_a_flipped_byte_is_found_and_named() {
    let (folder, sweep) = tiny();
    let (name, run) = interrupted_run(folder.path(), &sweep);
    let checkpoint = run.join("checkpoint.bin");
    let mut bytes = fs::read(&checkpoint).expect("a checkpoint");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&checkpoint, &bytes).expect("written");
    refuses(forescale(folder.path(), &["exec", "tiny", &name]), &["checkpoint.bin", "hint:"]);
    assert_eq!(bytes, fs::read(&checkpoint).expect("still there"), "what is damaged is left for a person to see");
}

#[test]
fn a_truncated_last_log_line_is_no_loss() {
    let (folder, sweep) = tiny();
    let (name, run) = interrupted_run(folder.path(), &sweep);
    let log = run.join("log.jsonl");
    let text = fs::read_to_string(&log).expect("a log");
    fs::write(&log, format!("{}\n{{\"event\":\"ste", text.trim_end())).expect("written");
    forescale(folder.path(), &["status", "tiny"]).expect_code(0);
    forescale(folder.path(), &["exec", "tiny", &name]).expect_code(0);
    forescale(folder.path(), &["status", "tiny"]).expect_code(0);
}

/// Starts a run and kills it once it has a checkpoint; its name and its folder.
fn interrupted_run(folder: &Path, sweep: &Path) -> (String, std::path::PathBuf) {
    forescale(folder, &["corpus", "build", "tiny"]).expect_code(0);
    let plan = forescale(folder, &["plan", "tiny", "--json"]).expect_code(0).json();
    let target = plan["runs"].as_array().expect("runs").last().expect("a run").clone();
    let (name, id) = (target["name"].as_str().expect("name").to_owned(), target["id"].as_str().expect("id"));
    let run = sweep.join("runs").join(id);
    let mut child = crate::binary::command(folder, &["exec", "tiny", &name, "--checkpoint-seconds", "0.02"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    while !run.join("checkpoint.bin").is_file() {
        assert!(child.try_wait().expect("a state").is_none(), "the run ended without a checkpoint");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().expect("SIGKILL");
    child.wait().expect("gone");
    (name, run)
}

#[test]
fn a_place_that_cannot_be_written_loses_nothing() {
    let (folder, sweep) = tiny();
    fs::write(sweep.join("out"), "a file where a folder should be").expect("written");
    refuses(forescale(folder.path(), &["run", "tiny"]), &["out", "hint:"]);
    let runs = fs::read_dir(sweep.join("runs")).expect("the folder was probed").count();
    assert_eq!(runs, 0, "nothing is trained when results cannot be kept");
    fs::remove_file(sweep.join("out")).expect("removed");
    let held = fs::File::create(sweep.join("runs/.lock")).expect("a lock");
    held.try_lock().expect("nobody else holds it");
    refuses(forescale(folder.path(), &["run", "tiny"]), &["being run already", "status"]);
}

#[test]
fn a_template_that_does_not_exist_names_those_that_do() {
    let folder = TempDir::new().expect("a folder");
    refuses(forescale(folder.path(), &["init", "new", "--template", "gpt"]), &["gpt", "files"]);
    assert!(!folder.path().join("new").exists());
}

#[test]
fn init_never_overwrites_a_spec() {
    let folder = TempDir::new().expect("a folder");
    forescale(folder.path(), &["init", "new"]).expect_code(0);
    let before = fs::read(folder.path().join("new/sweep.toml")).expect("a spec");
    refuses(forescale(folder.path(), &["init", "new"]), &["exists already"]);
    assert_eq!(before, fs::read(folder.path().join("new/sweep.toml")).expect("a spec"));
}

#[test]
fn flags_for_tables_are_refused_for_a_sweep() {
    let sweep = repository().join("sweeps/smoke");
    let said = forescale(&repository(), &["fit", sweep.to_str().expect("text"), "--where", "loss > 1"]);
    refuses(said, &["--where", "hint:"]);
}

#[test]
fn a_refused_forecast_is_no_answer() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("few.csv"), "params,tokens,loss\n1e6,1e8,3\n2e6,2e8,2.8\n4e6,4e8,2.7\n")
        .expect("written");
    let said = forescale(folder.path(), &["forecast", "few.csv", "--at", "flops=1e21", "--json"]).expect_code(2);
    assert_eq!(said.json()["targets"][0]["status"], "refused");
    refuses(forescale(folder.path(), &["forecast", "few.csv", "--at", "flops=1e21,flops=1e22"]), &["twice", "hint:"]);
}

#[test]
fn a_target_cannot_be_named_out_of_its_folder() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("t.json"), "{\"name\":\"../x\",\"flops\":1e23}").expect("written");
    fs::write(folder.path().join("runs.csv"), "params,tokens,loss\n1e6,1e8,3\n").expect("written");
    refuses(forescale(folder.path(), &["register", "runs.csv", "--target", "t.json"]), &["../x", "letters"]);
    refuses(forescale(folder.path(), &["register", "runs.csv"]), &["--target"]);
}

#[test]
fn what_no_outcome_can_be_held_against_is_refused_with_what_to_name() {
    let folder = TempDir::new().expect("a folder");
    let score = |more: &[&str]| forescale(folder.path(), &[&["score"], more].concat());
    refuses(score(&["nosuch.json"]), &["`nosuch.json` is not there", "hint: name the file that `forescale register`"]);
    refuses(score(&["nosuch.json", "--observed", "2"]), &["`nosuch.json` is not there", "hint:"]);
    let baseline = repository().join("reports/quickstart/baseline");
    let of_baseline = |observed: &str| score(&[baseline.to_str().expect("text"), "--observed", observed]);
    for bad in ["nan", "-1", "0", "inf"] {
        refuses(of_baseline(bad), &["is not a loss", "hint: --observed 2.31"]);
    }
    refuses(of_baseline("nosuch.json"), &["neither a number nor a file", "hint: --observed"]);
}

#[test]
fn a_document_of_a_later_version_is_called_that() {
    let folder = TempDir::new().expect("a folder");
    fs::write(folder.path().join("r.json"), "{\"schema\":\"forescale.registration/9.0\"}").expect("written");
    refuses(forescale(folder.path(), &["score", "r.json", "--observed", "1"]), &["registration/9.0", "hint:"]);
}
