//! `forescale record`: how a project's own forecasts came out, all of them.

use std::path::Path;

use anyhow::{Context as _, bail};
use forescale_core::outcome::Registration;
use forescale_fit::Entered;

use crate::args::{RecordArgs, TableArgs};
use crate::evidence;
use crate::exit::Answer;
use crate::ledger::LedgerFile;
use crate::output;
use crate::source::Material;
use crate::workplace;

pub(crate) fn run(args: &RecordArgs) -> anyhow::Result<Answer> {
    let ledger = args.ledger.as_deref().map_or_else(LedgerFile::here, LedgerFile::at);
    for source in &args.add {
        add(&ledger, source)?;
    }
    let chain = ledger.read()?;
    if let Some(head) = &args.head
        && !chain.holds(head)
    {
        bail!(
            "`{}` has no line with the digest `{head}`: what was entered up to it was changed or left out\n\n\
             hint: hold the file against the version that the head was kept of",
            ledger.name()
        );
    }
    let record = chain.track_record();
    output::either(args.json, &record, forescale_report::text::track_record)?;
    Ok(Answer::Yes)
}

/// Enters what was registered, and its outcome where a sweep or baseline holds one.
fn add(ledger: &LedgerFile, source: &Path) -> anyhow::Result<()> {
    if source.is_file() && source.extension().is_some_and(|ending| ending == "jsonl") {
        let added = ledger.merge(&LedgerFile::at(source).read()?)?;
        output::say(&format!("{added} lines of `{}` are new", source.display()));
        return Ok(());
    }
    if source.is_file() {
        return register(ledger, &workplace::read_registration(source)?);
    }
    let material = Material::open(source, &TableArgs::default())?;
    let sweep = material.sweep.as_ref().context("a table has no registration")?;
    let registration = evidence::registration(sweep)?.with_context(|| {
        format!("`{0}` has no registered forecast\n\nhint: forescale register {0}", source.display())
    })?;
    register(ledger, &registration)?;
    if let Some(score) = evidence::score(sweep, &registration)? {
        ledger.score(&registration, &score)?;
    }
    Ok(())
}

/// As entered afterwards: what is added by hand may have been chosen.
fn register(ledger: &LedgerFile, registration: &Registration) -> anyhow::Result<()> {
    if let Entered::Late { line } = ledger.register(registration, false)? {
        output::say(&ledger.late(line));
    }
    Ok(())
}
