//! Reports of tables that were trained elsewhere, and the index over several.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use crate::binary::{forescale, repository};

fn table(folder: &Path) {
    let mut text = String::from("run_id,params,tokens,loss\n");
    for (i, params) in [1e7_f64, 3e7, 1e8, 3e8, 1e9].into_iter().enumerate() {
        for (j, ratio) in [5.0, 20.0, 80.0].into_iter().enumerate() {
            let noise = [0.002, -0.001, 0.0015, -0.002, 0.001][(2 * i + j) % 5];
            let loss = (1.7 + 400.0 * params.powf(-0.34) + 1100.0 * (ratio * params).powf(-0.3)) * (1.0 + noise);
            text += &format!("run <{i}{j}>,{params},{},{loss}\n", ratio * params);
        }
    }
    fs::write(folder.join("my runs.csv"), text).expect("written");
}

#[test]
fn a_table_has_a_page_with_its_forecast_its_runs_and_the_command() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    table(folder);
    let said = forescale(folder, &["report", "my runs.csv", "--at", "flops=1e22", "--unit", "nats"]).expect_code(0);
    assert_eq!(said.stdout.trim(), "my runs-report/index.html");
    let page = fs::read_to_string(folder.join("my runs-report/index.html")).expect("a page");
    for words in [
        "15 runs of my runs.csv, trained elsewhere",
        "The forecast for a run of 1.0 × 10²² FLOPs is a final loss of",
        "run &#60;00&#62;",
        "forescale report &#39;my runs.csv&#39; --at flops=1e22 --unit nats",
    ] {
        assert!(page.contains(words), "{words}");
    }
    // The same number as the terminal's.
    let told = forescale(folder, &["forecast", "my runs.csv", "--at", "flops=1e22", "--unit", "nats", "--json"]).json();
    let median = told["targets"][0]["median"].as_f64().expect("a median");
    assert!(page.contains(&format!("{median:.4}")), "{median}");
    let text =
        forescale(folder, &["report", "my runs.csv", "--at", "flops=1e22", "--format", "md"]).expect_code(0).stdout;
    assert!(text.contains(&format!("{median:.4}")), "{text}");
}

#[test]
fn a_table_without_a_target_has_fits_and_says_what_is_missing() {
    let folder = TempDir::new().expect("a folder");
    table(folder.path());
    let said = forescale(folder.path(), &["report", "my runs.csv", "--out", "page"]).expect_code(0);
    assert!(said.stderr.contains("no target was named") && said.stderr.contains("--at"), "{}", said.stderr);
    assert!(fs::read_to_string(folder.path().join("page/index.html")).expect("a page").contains("chinchilla"));
}

#[test]
fn several_sources_have_an_index_over_their_pages() {
    let folder = TempDir::new().expect("a folder");
    let out = folder.path().join("all");
    let out = out.to_str().expect("a path");
    let baselines = ["reports/smoke/baseline", "reports/zipf/baseline"];
    let said = forescale(&repository(), &["report", baselines[0], baselines[1], "--out", out]).expect_code(0);
    assert!(said.stdout.trim().ends_with("all/index.html"), "{}", said.stdout);
    let page = fs::read_to_string(folder.path().join("all/index.html")).expect("a page");
    for words in ["<h1>2 reports</h1>", "href=\"smoke/index.html\"", "href=\"zipf/index.html\"", "0.9339"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(folder.path().join("all/zipf/index.html").is_file());
    for (arguments, words) in [
        (&["report", baselines[0], baselines[1]][..], "--out DIR"),
        (&["report", baselines[0], baselines[0], "--out", out], "named `smoke`"),
    ] {
        let text = forescale(&repository(), arguments).expect_code(2).stderr;
        assert!(text.contains(words) && text.contains("hint:"), "{text}");
    }
}
