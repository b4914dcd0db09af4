//! `forescale doctor`: what this machine and this build can do.

use serde_json::{Map, Value};

use crate::args::DoctorArgs;
use crate::exit::Answer;
use crate::output;

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
    facts.push(("cache".to_owned(), cache_fact()));
    facts.push(("cargo (fetches rust-code)".to_owned(), cargo_fact()));
    facts
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
