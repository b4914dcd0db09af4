//! The recipe as a table: each rule with its source and its doubt.

use forescale_core::run::{PlanReport, RecipeRow};
use forescale_report::{Alignment, Table};
use forescale_sweep::RECIPE;

/// Columns and the characters that each takes at most, so that a line stays within 120.
const COLUMNS: [(&str, usize); 4] = [("decides", 20), ("formula", 30), ("source", 34), ("doubt", 30)];

/// The rules as a plan says them.
pub(super) fn rows() -> Vec<RecipeRow> {
    let row = |rule: &forescale_sweep::plan::RecipeRule| RecipeRow {
        decides: rule.decides.to_owned(),
        formula: rule.formula.to_owned(),
        source: rule.source.to_owned(),
        doubt: rule.doubt.to_owned(),
    };
    RECIPE.iter().map(row).collect()
}

/// The table, a rule over as many lines as its longest cell takes, with an empty line between rules.
pub(super) fn words(report: &PlanReport) -> String {
    let mut table = Table::new(&COLUMNS.map(|(name, _)| (name, Alignment::Left)));
    for rule in &report.recipe {
        if !table.is_empty() {
            table.push([""]);
        }
        let cells = [&rule.decides, &rule.formula, &rule.source, &rule.doubt];
        let cells: Vec<Vec<String>> =
            cells.into_iter().zip(COLUMNS).map(|(cell, (_, most))| lines(cell, most)).collect();
        let height = cells.iter().map(Vec::len).max().unwrap_or(0);
        (0..height).for_each(|line| table.push(cells.iter().map(|cell| cell.get(line).cloned().unwrap_or_default())));
    }
    forescale_report::text::table(&table)
}

/// Words in lines of so many characters; a longer word has a line of its own.
fn lines(text: &str, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= most => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_between_words_and_never_within_one() {
        assert_eq!(lines("one rate has to serve", 8), ["one rate", "has to", "serve"]);
        assert_eq!(lines("a beta2_base_batch b", 5), ["a", "beta2_base_batch", "b"]);
        assert!(lines("", 5).is_empty());
        // Characters, not bytes: √D^β2 has 5 characters and 8 bytes.
        assert_eq!(lines("√D^β2 ×", 7), ["√D^β2 ×"]);
    }
}
