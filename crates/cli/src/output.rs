//! Data to stdout: text as it is, or a value as JSON.

use std::io::{self, Write as _};

use serde::Serialize;

/// Writes text to stdout, ending in exactly one line break.
///
/// A reader that closed the pipe (`forescale check … | head`) has seen enough: the command goes on to its own answer.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Writes a value to stdout as indented JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> anyhow::Result<()> {
    text(&serde_json::to_string_pretty(value)?)
}

/// Writes JSON when asked, text otherwise; the text is made only when it is wanted.
pub(crate) fn either<T: Serialize>(as_json: bool, value: &T, render: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
    if as_json { json(value) } else { text(&render(value)) }
}

/// Tells the person something on stderr.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
