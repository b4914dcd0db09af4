//! `forescale record`: how a project's own forecasts came out, all of them.

use std::path::Path;

use anyhow::Context as _;

use crate::args::{RecordArgs, TableArgs};
use crate::evidence;
use crate::exit::Answer;
use crate::ledger::LedgerFile;
use crate::output;
use crate::source::Material;
use crate::workplace;

pub(crate) fn run(args: &RecordArgs) -> anyhow::Result<Answer> {
    let ledger = LedgerFile::at(&args.ledger);
    for source in &args.add {
        add(&ledger, source)?;
    }
    let record = ledger.read()?.track_record();
    output::either(args.json, &record, forescale_report::text::track_record)?;
    Ok(Answer::Yes)
}

/// Enters what was registered, and its outcome where a sweep or baseline holds one.
fn add(ledger: &LedgerFile, source: &Path) -> anyhow::Result<()> {
    if source.is_file() {
        ledger.register(&workplace::read_registration(source)?)?;
        return Ok(());
    }
    let material = Material::open(source, &TableArgs::default())?;
    let sweep = material.sweep.as_ref().context("a table has no registration")?;
    let registration = evidence::registration(sweep)?.with_context(|| {
        format!("`{0}` has no registered forecast\n\nhint: forescale register {0}", source.display())
    })?;
    ledger.register(&registration)?;
    if let Some(score) = evidence::score(sweep, &registration)? {
        ledger.score(&score)?;
    }
    Ok(())
}
