//! Runs under way against their predicted curves: the project's own targets, which were good, and runs trained wrong.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::binary::{Said, forescale, repository};

/// Log of the first points of a target, as another trainer would write it.
fn log_of(points: &[(f64, f64)], steps: f64) -> String {
    let rows = points.iter().map(|(share, loss)| format!("{},{loss}\n", (share * steps).round()));
    format!("step,loss\n{}", rows.collect::<String>())
}

#[test]
fn the_targets_of_the_projects_own_sweeps_were_on_course_all_the_way() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log.csv");
    for (sweep, steps) in [("smoke", 1294.0), ("quickstart", 11650.0), ("zipf", 3749.0)] {
        let baseline = format!("reports/{sweep}/baseline");
        let whole = forescale(&repository(), &["track", &baseline, "--json"]).expect_code(0).json();
        assert_eq!(whole["course"], "on_course", "{sweep}");
        assert_eq!(whole["first_alarm"], Value::Null, "{sweep}");
        let points = whole["points"].as_array().expect("points");
        let seen: Vec<(f64, f64)> = points
            .iter()
            .map(|point| (point["share"].as_f64().expect("a share"), point["loss"].as_f64().expect("a loss")))
            .collect();
        assert!(seen.len() >= 5 && points.iter().all(|point| point["place"] == "inside"), "{sweep}");
        for count in 1..seen.len() {
            fs::write(&log, log_of(&seen[..count], steps)).expect("written");
            let (log, steps) = (log.to_str().expect("a path"), steps.to_string());
            let part = forescale(&repository(), &["track", &baseline, "--log", log, "--steps", &steps, "--json"])
                .expect_code(0)
                .json();
            assert_eq!(
                (&part["course"], part["points"].as_array().map(Vec::len)),
                (&"on_course".into(), Some(seen.len())),
                "{sweep} {count}"
            );
            assert_eq!(part["points"][count]["place"], "ahead", "{sweep} {count}");
        }
    }
}

/// The smoke target trained by this program at a twentieth, at 0.15 and at 64 times its rates.
#[test]
fn runs_trained_at_wrong_rates_are_caught_at_their_first_point() {
    let track = |log: &str| {
        let log = format!("tests/fixtures/track/{log}");
        forescale(&repository(), &["track", "reports/smoke/baseline", "--log", &log, "--steps", "1294", "--json"])
    };
    // Ends 17% above what its ladder predicts.
    let slow = track("rates-twentieth.csv").expect_code(1).json();
    let above = |run: &Value| {
        let end = run["points"].as_array().and_then(|points| points.last()).expect("an end");
        end["loss"].as_f64().expect("a loss") / end["predicted"].as_f64().expect("a prediction") - 1.0
    };
    // The README's figures.
    assert!((above(&slow) - 0.17).abs() < 0.005, "{}", above(&slow));
    assert_eq!((slow["course"].as_str(), slow["points"][0]["place"].as_str()), (Some("above"), Some("above")));
    // Ends 6% above: inside the band of a forecast 13 times beyond its ladder, and so not caught.
    let little = track("rates-0.15-times.csv").expect_code(0).json();
    assert_eq!((little["course"].as_str(), little["first_alarm"].as_f64()), (Some("on_course"), None));
    assert!((above(&little) - 0.06).abs() < 0.005, "{}", above(&little));
    // Far off for half of the run; the decay of its rate brings it back, and the alarm stays on record.
    let fast = track("rates-64-times.csv").expect_code(0).json();
    assert_eq!(fast["first_alarm"], slow["points"][0]["share"]);
    assert_eq!(fast["points"][1]["place"], "above");
}

#[test]
fn the_answer_names_the_loss_the_prediction_and_what_is_ahead() {
    let text = forescale(&repository(), &["track", "reports/quickstart/baseline"]).expect_code(0).stdout;
    assert!(text.starts_with("on course at 100% of the run: 1.1385, predicted 1."), "{text}");
    assert!(text.contains("registered for its end: 1.1249 (1.0239 to 1.2347 at 90%), of the whole"), "{text}");
}

/// A ladder of another trainer: finished runs in one table, their curves in another.
fn foreign(folder: &Path) {
    let (mut runs, mut curves) = (String::from("run_id,params,tokens,loss\n"), String::from("run,_step,val,lr\n"));
    for rung in 0..9 {
        let params = 1e7 * 2_f64.powi(rung);
        let flops = 120.0 * params * params;
        let noise = [0.002, -0.001, 0.0015, -0.002, 0.001][rung as usize % 5];
        let loss = |share: f64| (1.7 + 2.0 * (flops / 1e18).powf(-0.12) * share.powf(-0.2)) * (1.0 + noise);
        runs += &format!("rung{rung},{params},{},{}\n", 20.0 * params, loss(1.0));
        for i in 1..=10 {
            curves += &format!("rung{rung},{},{},0.001\n", 100 * i * (rung + 1), loss(f64::from(i) / 10.0));
        }
    }
    fs::write(folder.join("runs.csv"), runs).expect("written");
    fs::write(folder.join("curves.csv"), curves).expect("written");
    let params = 2.56e10_f64;
    let target = serde_json::json!({ "name": "next", "flops": 120.0 * params * params, "params": params, "tokens": 20.0 * params });
    fs::write(folder.join("next.json"), target.to_string()).expect("written");
    let good = |share: f64| 1.7 + 2.0 * (120.0 * params * params / 1e18).powf(-0.12) * share.powf(-0.2);
    let rows: String = (1..=5).map(|i| format!("{},{}\n", 1000 * i, good(f64::from(i) / 10.0))).collect();
    fs::write(folder.join("log.csv"), format!("_step,val\n{rows}")).expect("written");
}

#[test]
fn a_run_of_another_trainer_is_tracked_by_its_ladders_curves() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path();
    foreign(folder);
    forescale(folder, &["register", "runs.csv", "--target", "next.json", "--unit", "nats"]).expect_code(0);
    let track = |more: &[&str]| forescale(folder, &[&["track", "next.registration.json"], more].concat());
    let refuses = |said: Said, words: &str| {
        let text = said.expect_code(2).stderr;
        assert!(text.contains(words) && text.contains("hint:"), "{text}");
    };
    let maps = ["--log-map", "step=_step,loss=val", "--curves-map", "step=_step,loss=val,run_id=run"];
    let ladder = ["--ladder", "runs.csv", "--curves", "curves.csv", "--unit", "nats"];
    refuses(track(&[]), "lies in no sweep");
    refuses(track(&ladder), "there is nothing to hold `next.registration.json` against");
    let without = ["--log", "log.csv", "--steps", "10000", "--ladder", "runs.csv", "--log-map", "step=_step,loss=val"];
    refuses(track(&without), "says nothing of how they got there");
    refuses(track(&[&["--log", "log.csv"][..], &ladder].concat()), "--log-map");
    refuses(track(&[&["--log", "log.csv"][..], &ladder, &maps].concat()), "--steps N");
    let said = track(&[&["--log", "log.csv", "--steps", "10000"][..], &ladder, &maps].concat()).expect_code(0);
    assert!(said.stdout.starts_with("on course at 50% of the run: "), "{}", said.stdout);
    assert!(said.stdout.contains("[schedule_unknown]") && !said.stdout.contains("[ladder_changed]"), "{}", said.stdout);

    // The loss climbs back, within what the forecast alone would allow.
    let mut log = fs::read_to_string(folder.join("log.csv")).expect("a log");
    let last: f64 = log.trim_end().rsplit(',').next().and_then(|cell| cell.parse().ok()).expect("a loss");
    log += &format!("6000,{}\n", 1.05 * last);
    fs::write(folder.join("log.csv"), log).expect("written");
    let said = track(&[&["--log", "log.csv", "--steps", "10000"][..], &ladder, &maps].concat()).expect_code(1);
    assert!(said.stdout.starts_with("OFF COURSE, turned up, at 60% of the run: "), "{}", said.stdout);

    // A loss that is no number.
    let log = fs::read_to_string(folder.join("log.csv")).expect("a log") + "7000,nan\n";
    fs::write(folder.join("log.csv"), log).expect("written");
    let said = track(&[&["--log", "log.csv", "--steps", "10000"][..], &ladder, &maps].concat()).expect_code(1);
    assert!(said.stdout.starts_with("DIVERGED at 70% of the run"), "{}", said.stdout);
}
