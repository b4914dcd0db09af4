//! Exit codes: 0 done, 1 an answer and it is no, 2 could not answer.

use std::io::{self, Write as _};
use std::process::ExitCode;

/// How a command that could answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Done, held, inside.
    Yes,
    /// Drifted, outside, or runs left that failed.
    No,
    /// There is none: what was printed says why.
    None,
}

impl Answer {
    /// `Yes` when something holds.
    pub(crate) fn from_held(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }
}

/// Maps a command's outcome to the exit code, printing the error once.
pub(crate) fn code_of(outcome: anyhow::Result<Answer>) -> ExitCode {
    match outcome {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(1),
        Ok(Answer::None) => ExitCode::from(2),
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {}", words(&error));
            ExitCode::from(2)
        }
    }
}

/// An error and its causes as one text. Many of ours say their cause themselves; it is not said twice.
fn words(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            let gap = if text.is_empty() { "" } else { ": " };
            text = format!("{text}{gap}{cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    #[test]
    fn a_cause_is_said_once() {
        let error = anyhow::anyhow!("disk full").context("`out` cannot be written: disk full").context("run `d8`");
        assert_eq!(super::words(&error), "run `d8`: `out` cannot be written: disk full");
        let nested = Err::<(), _>(anyhow::anyhow!("no such file")).context("`a` cannot be read").expect_err("an error");
        assert_eq!(super::words(&nested), "`a` cannot be read: no such file");
    }
}
