//! `forescale doctor`: what this machine and this build can do.

use std::collections::BTreeMap;

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
        output::json(&map(facts))?;
        return Ok(Answer::Yes);
    }
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect();
    output::text(&lines.join("\n"))?;
    Ok(Answer::Yes)
}

/// Facts by name; what one name has several of is said in one text.
fn map(facts: Vec<(String, String)>) -> Map<String, Value> {
    let mut map = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in facts {
        map.entry(name).or_default().push(value);
    }
    map.into_iter().map(|(name, values)| (name, Value::String(values.join("; ")))).collect()
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

/// What training on a card takes beside a build with it: a driver, and cards that this process may use.
fn card_facts() -> Vec<(String, String)> {
    let driver = NvmlCards::open();
    let mut facts = vec![("NVIDIA driver".to_owned(), driver.as_ref().map_or_else(missing, driver_fact))];
    let Ok(driver) = driver else { return facts };
    let cards = driver.list().unwrap_or_default();
    let own = place::own_cards().map(|(_, cards)| cards);
    for card in &cards {
        let free = driver.read(card).map_or("unknown".to_owned(), |reading| format::bytes(reading.free_bytes));
        let used =
            if own.as_ref().is_ok_and(|own| !own.contains(card)) { "; left out by CUDA_VISIBLE_DEVICES" } else { "" };
        let words = format!("{}, {}, {free} free{used}", card.name, format::bytes(card.memory_bytes));
        facts.push((format!("card {}", card.index), words));
    }
    if let Err(error) = &own {
        facts.push(("cards to train on".to_owned(), missing(error)));
    }
    if cards.is_empty() {
        facts.push(("card".to_owned(), "none, though there is a driver".to_owned()));
    }
    facts
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
    fn a_name_with_several_facts_keeps_them_all() {
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let map = map(vec![fact("cuda", "one card"), fact("simd", "avx2"), fact("cuda", "another")]);
        assert_eq!((map["cuda"].as_str(), map["simd"].as_str()), (Some("one card; another"), Some("avx2")));
    }

    #[test]
    fn what_is_missing_is_one_line_with_a_way_out() {
        let error = CardsError { problem: "no driver".to_owned(), hint: "install it".to_owned() };
        assert_eq!(missing(&error), "no driver; install it");
        let names: Vec<String> = facts().into_iter().map(|(name, _)| name).collect();
        assert!(["cuda", "NVIDIA driver"].iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
    }
}
