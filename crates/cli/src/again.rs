//! The command as typed, to be pasted again with one row of a table left out.

use clap::CommandFactory as _;
use forescale_sweep::TableError;

use crate::args::Cli;

/// The same error with the whole command as its hint, where a condition on rows leaves the bad one out.
pub(crate) fn without_the_row(error: TableError) -> TableError {
    let typed: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    match &error.leave_out {
        Some(condition) if filters_rows(&typed) => {
            let hint = format!("correct the row, or leave it out: forescale {}", with(&typed, condition));
            TableError { hint, ..error }
        }
        _ => error,
    }
}

/// The command as typed, as a shell takes it.
pub(crate) fn typed() -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(&word.to_string_lossy()));
    std::iter::once("forescale".to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// Whether the command typed has a `--where`.
fn filters_rows(typed: &[String]) -> bool {
    let command = Cli::command();
    let command = typed.first().and_then(|name| command.find_subcommand(name));
    command.is_some_and(|command| command.get_arguments().any(|argument| argument.get_long() == Some("where")))
}

/// The words typed with one more condition, as a shell takes them.
fn with(typed: &[String], condition: &str) -> String {
    let (mut words, mut conditions) = (Vec::new(), Vec::new());
    let mut rest = typed.iter().map(String::as_str);
    while let Some(word) = rest.next() {
        match word.strip_prefix("--where") {
            Some("") => conditions.extend(rest.next()),
            Some(joined) if joined.starts_with('=') => conditions.push(&joined[1..]),
            _ => words.push(word),
        }
    }
    conditions.push(condition);
    let all = conditions.join(" and ");
    let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    words.splice(end..end, ["--where", &all]);
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_loss(typed: &[&str]) -> String {
        with(&typed.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), "loss > 0")
    }

    #[test]
    fn a_condition_is_added_to_those_typed_and_words_are_quoted_for_a_shell() {
        assert_eq!(with_loss(&["fit", "my runs.csv", "--json"]), "fit 'my runs.csv' --json --where 'loss > 0'");
        for typed in [&["fit", "--where", "lr < 1", "a.csv"][..], &["fit", "--where=lr < 1", "a.csv"]] {
            assert_eq!(with_loss(typed), "fit a.csv --where 'lr < 1 and loss > 0'");
        }
        assert_eq!(with_loss(&["fit", "--", "-a.csv"]), "fit --where 'loss > 0' -- -a.csv");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    #[test]
    fn a_command_that_filters_no_rows_is_not_given_a_filter() {
        let filters = |name: &str| filters_rows(&[name.to_owned()]);
        assert!(filters("fit") && filters("compare") && filters("register") && filters("report"));
        assert!(!filters("score") && !filters("check") && !filters("none"));
    }
}
