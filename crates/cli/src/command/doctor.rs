//! `forescale doctor`: what this machine and this build can do.

use forescale_report::format;
use forescale_sweep::{Cards as _, CardsError, NvmlCards};
use serde_json::{Map, Value};

use crate::args::DoctorArgs;
use crate::exit::Answer;
use crate::output;
use crate::place;

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<Answer> {
    let facts = facts();
    if args.json {
        let map: Map<String, Value> = facts.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
        output::json(&map)?;
        return Ok(Answer::Yes);
    }
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect();
    output::text(&lines.join("\n"))?;
    Ok(Answer::Yes)
}

fn facts() -> Vec<(String, String)> {
    let mut facts = vec![
        ("forescale".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ("numerics version".to_owned(), forescale_core::run::NUMERICS_VERSION.to_string()),
    ];
    facts.extend(forescale_train::device_report());
    facts.extend(card_facts());
    facts.push(("cache".to_owned(), cache_fact()));
    facts.push(("cargo (fetches rust-code)".to_owned(), cargo_fact()));
    facts
}

/// What training on a card takes: a build with it, a driver, and cards that this process may use.
fn card_facts() -> Vec<(String, String)> {
    let driver = NvmlCards::open();
    let mut facts = vec![
        ("CUDA in this build".to_owned(), build_fact(cfg!(feature = "cuda"), driver.is_ok()).to_owned()),
        ("NVIDIA driver".to_owned(), driver.as_ref().map_or_else(missing, driver_fact)),
    ];
    let Ok(driver) = driver else { return facts };
    let cards = driver.list().unwrap_or_default();
    let own = place::own_cards().map(|(_, cards)| cards).unwrap_or_default();
    for card in &cards {
        let free = driver.read(card).map_or("unknown".to_owned(), |reading| format::bytes(reading.free_bytes));
        let used = if own.contains(card) { "" } else { "; left out by CUDA_VISIBLE_DEVICES" };
        let words = format!("{}, {}, {free} free{used}", card.name, format::bytes(card.memory_bytes));
        facts.push((format!("card {}", card.index), words));
    }
    if cards.is_empty() {
        facts.push(("cards".to_owned(), "none, though there is a driver".to_owned()));
    }
    facts
}

fn build_fact(built_in: bool, has_driver: bool) -> &'static str {
    match (built_in, has_driver) {
        (true, true) => "yes; train with --device cuda",
        (true, false) => "yes, but there is no driver to train with",
        (false, true) => "no; `just cuda-build` makes a binary that trains on the cards below",
        (false, false) => "no; `just cuda-build` makes a binary for a machine with cards",
    }
}

fn driver_fact(driver: &NvmlCards) -> String {
    let cuda = driver.cuda_version().map(|version| format!(", runs CUDA up to {version}")).unwrap_or_default();
    format!("{}{cuda}", driver.driver())
}

/// What is missing and what to do, on one line.
fn missing(error: &CardsError) -> String {
    format!("{}; {}", error.problem, error.hint)
}

fn cache_fact() -> String {
    let cache = forescale_corpus::default_cache();
    let state = if cache.is_dir() { "there" } else { "will be made when a corpus is built" };
    format!("{} ({state})", cache.display())
}

fn cargo_fact() -> String {
    let version = std::process::Command::new("cargo").arg("--version").output();
    match version {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        _ => "not found; the source `rust-code` needs it".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_cuda_says_how_to_get_it() {
        assert!([false, true].iter().all(|driver| build_fact(false, *driver).contains("just cuda-build")));
        assert!(build_fact(true, true).contains("--device cuda") && build_fact(true, false).contains("no driver"));
    }

    #[test]
    fn what_is_missing_is_one_line_with_a_way_out() {
        let error = CardsError { problem: "no driver".to_owned(), hint: "install it".to_owned() };
        assert_eq!(missing(&error), "no driver; install it");
        let names: Vec<String> = facts().into_iter().map(|(name, _)| name).collect();
        assert!(
            ["CUDA in this build", "NVIDIA driver"].iter().all(|name| names.contains(&(*name).to_owned())),
            "{names:?}"
        );
    }
}
