//! `forescale hardware`: the table that costs are worked out from, as text to edit.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use forescale_core::cost::{HARDWARE_SCHEMA, Hardware, HardwareTable};
use forescale_sweep::{DEFAULT_HARDWARE, HARDWARE_FILE};

use crate::args::HardwareArgs;
use crate::exit::Answer;
use crate::output;

pub(crate) fn run(args: &HardwareArgs) -> anyhow::Result<Answer> {
    let (text, rows) = table(args.sweep.as_deref())?;
    match &args.out {
        Some(path) => write_new(path, &text)?,
        None if args.json => output::json(&HardwareTable { schema: HARDWARE_SCHEMA.to_owned(), hardware: rows })?,
        None => output::text(&text)?,
    }
    Ok(Answer::Yes)
}

/// The table of a sweep as its file says it, else the one built in; with its rows, so that a broken file is an error here.
fn table(sweep: Option<&Path>) -> anyhow::Result<(String, Vec<Hardware>)> {
    let Some(path) = sweep.map(own_table).transpose()?.flatten() else {
        return Ok((DEFAULT_HARDWARE.to_owned(), forescale_sweep::default_hardware()?));
    };
    let rows = forescale_sweep::read_hardware(&path)?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("`{}` cannot be read", path.display()))?;
    Ok((text, rows))
}

fn own_table(sweep: &Path) -> anyhow::Result<Option<PathBuf>> {
    if !sweep.is_dir() {
        bail!("`{}` is not a sweep's folder\n\nhint: leave it out for the table built in", sweep.display());
    }
    Ok(Some(sweep.join(HARDWARE_FILE)).filter(|path| path.is_file()))
}

fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    if path.exists() {
        bail!("`{}` exists already\n\nhint: choose another file, or edit that one", path.display());
    }
    forescale_sweep::write_atomically(path, text.as_bytes())?;
    output::say(&format!("wrote {}", path.display()));
    output::say(&format!("next: edit it, then give it with --hardware-file, or keep it as {HARDWARE_FILE} in a sweep"));
    Ok(())
}
