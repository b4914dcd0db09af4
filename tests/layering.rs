//! The walls of the house: which crate may depend on what. DESIGN: one heavy dependency per room, nothing sideways.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

/// Dependencies with a room of their own; a trailing `*` stands for any ending.
const HEAVY: [(&str, &[&str]); 7] = [
    ("candle*", &["forescale-train"]),
    ("tokenizers", &["forescale-corpus"]),
    ("argmin*", &["forescale-fit"]),
    ("plotters*", &["forescale-report"]),
    ("clap*", &["forescale"]),
    ("toml*", &["forescale-sweep"]),
    ("polars*", &["forescale-corpus", "forescale-sweep"]),
];

/// Small crates each room may use besides.
const SMALL: [(&str, &[&str]); 7] = [
    ("forescale-core", &["libm", "schemars", "serde", "serde_json", "sha2", "thiserror"]),
    (
        "forescale-corpus",
        &[
            "flate2",
            "glob",
            "memmap2",
            "rand",
            "rand_chacha",
            "rayon",
            "serde",
            "serde_json",
            "sha2",
            "tar",
            "tempfile",
            "thiserror",
        ],
    ),
    (
        "forescale-train",
        &[
            "gemm",
            "libm",
            "memmap2",
            "mimalloc",
            "rand",
            "rand_chacha",
            "rayon",
            "serde",
            "serde_json",
            "tempfile",
            "thiserror",
        ],
    ),
    (
        "forescale-sweep",
        &["libc", "libloading", "nvml-wrapper", "serde", "serde_json", "strsim", "tempfile", "thiserror"],
    ),
    ("forescale-fit", &["pulp", "rand", "rand_chacha", "rayon", "serde", "serde_json", "thiserror"]),
    ("forescale-report", &["askama", "serde", "serde_json", "thiserror"]),
    (
        "forescale",
        &[
            "anyhow",
            "indicatif",
            "insta",
            "jiff",
            "libc",
            "mimalloc",
            "quick-junit",
            "schemars",
            "serde",
            "serde_json",
            "tempfile",
        ],
    ),
];

const ROOMS: [&str; 5] =
    ["forescale-corpus", "forescale-train", "forescale-sweep", "forescale-fit", "forescale-report"];

#[test]
fn every_room_depends_only_on_what_it_may() {
    let mut breaches = Vec::new();
    for (package, dependencies) in workspace() {
        for dependency in dependencies {
            if !may(&package, &dependency) {
                breaches.push(format!("`{package}` may not depend on `{dependency}`"));
            }
        }
    }
    assert!(breaches.is_empty(), "{}", breaches.join("\n"));
}

#[test]
fn the_workspace_has_the_seven_crates() {
    let names: BTreeSet<String> = workspace().into_iter().map(|(name, _)| name).collect();
    let expected: BTreeSet<String> = SMALL.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names, expected);
}

#[test]
fn the_test_itself_can_fail() {
    assert!(!may("forescale-core", "forescale-fit"));
    assert!(!may("forescale-fit", "forescale-sweep"));
    assert!(!may("forescale-sweep", "candle-core"));
    assert!(!may("forescale-report", "polars"));
    assert!(may("forescale-train", "candle-nn"));
}

fn may(package: &str, dependency: &str) -> bool {
    if dependency.starts_with("forescale") {
        return match package {
            "forescale-core" => false,
            "forescale" => dependency == "forescale-core" || ROOMS.contains(&dependency),
            _ => dependency == "forescale-core",
        };
    }
    if let Some((_, rooms)) = HEAVY.iter().find(|(pattern, _)| matches(pattern, dependency)) {
        return rooms.contains(&package);
    }
    SMALL.iter().any(|(name, allowed)| *name == package && allowed.contains(&dependency))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// Each workspace package with its direct dependencies, build and dev ones included.
fn workspace() -> Vec<(String, Vec<String>)> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages.iter().map(|package| (text(&package["name"]), dependency_names(package))).collect()
}

fn dependency_names(package: &Value) -> Vec<String> {
    package["dependencies"].as_array().expect("dependencies").iter().map(|d| text(&d["name"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().expect("a string").to_owned()
}
