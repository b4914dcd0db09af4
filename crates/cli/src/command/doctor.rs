//! `forescale doctor`: what this machine and this build can do.

use std::collections::BTreeMap;

use forescale_report::format;
use forescale_sweep::cards::{MissingLibrary, ORDER, VISIBLE, missing_libraries};
use forescale_sweep::{Card, Cards as _, CardsError, NvmlCards};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::args::DoctorArgs;
use crate::exit::Answer;
use crate::output;
use crate::place;

/// A card in `doctor --json`, in numbers.
#[derive(Clone, Debug, Serialize)]
struct CardFact {
    index: u32,
    uuid: String,
    name: String,
    total_bytes: u64,
    /// Free now; none where the driver does not tell.
    free_bytes: Option<u64>,
    driver: String,
    /// Whether this process may use it; none where that cannot be told.
    visible: Option<bool>,
}

/// What is found here: in words, each under its name, and what a program wants in numbers.
struct Findings {
    facts: Vec<(String, String)>,
    cards: Vec<CardFact>,
    missing: Vec<MissingLibrary>,
}

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<Answer> {
    let findings = Findings::of_this_machine();
    if args.json {
        output::json(&findings.json())?;
        return Ok(Answer::Yes);
    }
    let facts = &findings.facts;
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect();
    output::text(&lines.join("\n"))?;
    Ok(Answer::Yes)
}

impl Findings {
    fn of_this_machine() -> Self {
        let missing = missing_libraries(forescale_train::cuda_generation());
        let mut facts = vec![
            ("forescale".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            ("numerics version".to_owned(), forescale_core::run::NUMERICS_VERSION.to_string()),
        ];
        facts.extend(forescale_train::device_report());
        facts.push(("CUDA libraries".to_owned(), libraries_fact(&missing, forescale_train::cuda_generation())));
        facts.extend([VISIBLE, ORDER].into_iter().filter_map(variable_fact));
        let (card_facts, cards) = card_facts();
        facts.extend(card_facts);
        say_all(&mut facts, cards.iter().filter(|card| card.visible == Some(true)).count());
        facts.push(("cache".to_owned(), cache_fact()));
        facts.push(("cargo (fetches rust-code)".to_owned(), cargo_fact()));
        Self { facts, cards, missing }
    }

    /// Facts by name, what one name has several of in one text; and cards and libraries as lists.
    fn json(&self) -> Map<String, Value> {
        let mut map = map(&self.facts);
        map.insert("cards".to_owned(), json!(self.cards));
        let missing: Vec<&str> = self.missing.iter().map(|library| library.name.as_str()).collect();
        map.insert("missing_libraries".to_owned(), json!(missing));
        map
    }
}

/// Facts by name; what one name has several of is said in one text.
fn map(facts: &[(String, String)]) -> Map<String, Value> {
    let mut map = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in facts {
        map.entry(name.clone()).or_default().push(value.clone());
    }
    map.into_iter().map(|(name, values)| (name, Value::String(values.join("; ")))).collect()
}

/// `auto` is every card, of which a process of its own is told one.
fn say_all(facts: &mut [(String, String)], cards: usize) {
    let device = facts.iter_mut().find(|(name, value)| name == "device" && value.starts_with("cuda"));
    if let Some((_, value)) = device.filter(|_| cards > 1) {
        *value = format!("cuda ({cards} cards)");
    }
}

/// Whether a build with CUDA of a generation would start here, which one that does not start cannot say.
fn libraries_fact(missing: &[MissingLibrary], generation: u32) -> String {
    if missing.is_empty() {
        return format!("all that a build with CUDA {generation} starts with");
    }
    let mut sources: Vec<&str> = missing.iter().map(|library| library.source).collect();
    sources.dedup();
    let of = |source: &str| {
        let names: Vec<&str> =
            missing.iter().filter(|library| library.source == source).map(|library| library.name.as_str()).collect();
        format!("{} ({source})", names.join(", "))
    };
    let names: Vec<String> = sources.into_iter().map(of).collect();
    format!("a build with CUDA {generation} does not start here: it needs {}", names.join(", and "))
}

/// A variable that decides which cards a process may use, where it is set.
fn variable_fact(name: &str) -> Option<(String, String)> {
    let value = std::env::var_os(name)?;
    let words = if value.is_empty() { "set, and empty".to_owned() } else { value.to_string_lossy().into_owned() };
    Some((name.to_owned(), words))
}

/// What training on a card takes beside a build with it: a driver, and cards that this process may use.
fn card_facts() -> (Vec<(String, String)>, Vec<CardFact>) {
    let driver = NvmlCards::open();
    let mut facts = vec![("NVIDIA driver".to_owned(), driver.as_ref().map_or_else(missing, driver_fact))];
    let Ok(driver) = driver else { return (facts, Vec::new()) };
    let own = place::own_cards().map(|(_, cards)| cards);
    let fact = |card: Card| CardFact {
        free_bytes: driver.read(&card).ok().map(|reading| reading.free_bytes),
        visible: own.as_ref().ok().map(|own| own.contains(&card)),
        driver: driver.driver(),
        index: card.index,
        uuid: card.uuid,
        name: card.name,
        total_bytes: card.memory_bytes,
    };
    let cards: Vec<CardFact> = driver.list().unwrap_or_default().into_iter().map(fact).collect();
    facts.extend(cards.iter().map(|card| (format!("card {}", card.index), card_words(card))));
    if let Err(error) = &own {
        facts.push(("cards to train on".to_owned(), missing(error)));
    }
    if cards.is_empty() {
        facts.push(("card".to_owned(), "none, though there is a driver".to_owned()));
    }
    (facts, cards)
}

fn card_words(card: &CardFact) -> String {
    let free = card.free_bytes.map_or("unknown".to_owned(), format::bytes);
    let left_out = if card.visible == Some(false) { format!("; left out by {VISIBLE}") } else { String::new() };
    format!("{}, {}, {free} free{left_out}", card.name, format::bytes(card.total_bytes))
}

fn driver_fact(driver: &NvmlCards) -> String {
    let cuda = driver.cuda_version().map(|version| cuda_words(&version, forescale_train::cuda_generation()));
    format!("{}{}", driver.driver(), cuda.unwrap_or_default())
}

/// The newest CUDA that a driver runs, held against what a build needs.
fn cuda_words(newest: &str, generation: u32) -> String {
    let major = newest.split('.').next().and_then(|digits| digits.parse::<u32>().ok());
    let too_old = if major.is_some_and(|major| major < generation) {
        let least = if generation == 13 { " (driver 580 or later)" } else { "" };
        format!(", too old for a build with CUDA {generation}: install one that runs {generation}.0 or later{least}")
    } else {
        String::new()
    };
    format!(", runs CUDA up to {newest}{too_old}")
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
        let map = map(&[fact("cuda", "one card"), fact("simd", "avx2"), fact("cuda", "another")]);
        assert_eq!((map["cuda"].as_str(), map["simd"].as_str()), (Some("one card; another"), Some("avx2")));
    }

    #[test]
    fn what_is_missing_is_one_line_with_a_way_out() {
        let error = CardsError { problem: "no driver".to_owned(), hint: "install it".to_owned() };
        assert_eq!(missing(&error), "no driver; install it");
        let findings = Findings::of_this_machine();
        let names: Vec<&str> = findings.facts.iter().map(|(name, _)| name.as_str()).collect();
        assert!(["cuda", "CUDA libraries", "NVIDIA driver"].iter().all(|name| names.contains(name)), "{names:?}");
        let json = findings.json();
        assert!(json["cards"].is_array() && json["missing_libraries"].is_array() && json["cuda"].is_string());
    }

    #[test]
    fn libraries_that_are_missing_are_named_with_what_brings_them() {
        let library = |name: &str, source| MissingLibrary { name: name.to_owned(), source, problem: String::new() };
        let some = [library("a.so", "a driver"), library("b.so", "a toolkit"), library("c.so", "a toolkit")];
        let expected = "a build with CUDA 13 does not start here: it needs a.so (a driver), and b.so, c.so (a toolkit)";
        assert_eq!(libraries_fact(&some, 13), expected);
        assert_eq!(libraries_fact(&[], 13), "all that a build with CUDA 13 starts with");
    }

    #[test]
    fn a_driver_is_held_against_what_the_build_needs() {
        assert_eq!(cuda_words("13.1", 13), ", runs CUDA up to 13.1");
        assert!(cuda_words("12.4", 13).ends_with("13.0 or later (driver 580 or later)"), "{}", cuda_words("12.4", 13));
    }

    #[test]
    fn all_cards_are_the_device_where_there_are_several() {
        let device = |cards| {
            let mut facts = [("device".to_owned(), "cuda:0".to_owned())];
            say_all(&mut facts, cards);
            facts[0].1.clone()
        };
        assert_eq!([device(1), device(2)], ["cuda:0", "cuda (2 cards)"]);
    }
}
