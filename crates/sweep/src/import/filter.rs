//! `--where`: `column (==|!=|<|<=|>|>=) literal`, joined by `and`.
//!
//! A literal that is a number is held against numbers, `true` and `false` against truths (1 and 0 are such), everything
//! else against text; quotes are optional. A column of numbers is compared with nothing but a number or a truth. An empty cell equals nothing and is neither above nor below anything.

use std::cmp::Ordering;
use std::path::Path;

use super::cells::{Cell, Cells, truth_of};
use super::columns::missing;
use super::table::TableError;

const SYNTAX: &str =
    "write `column == literal` with ==, !=, <, <=, > or >=, joined by `and`: --where 'lr <= 0.01 and size == \"7m\"'";

/// Conditions that all must hold.
#[derive(Debug)]
pub(super) struct Filter {
    conditions: Vec<Condition>,
}

#[derive(Debug)]
struct Condition {
    column: usize,
    operator: Operator,
    literal: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    NotEqual,
    Below,
    AtMost,
    Above,
    AtLeast,
}

impl Filter {
    /// Parses a filter over a table's columns.
    pub(super) fn parse(path: &Path, text: &str, cells: &Cells) -> Result<Self, TableError> {
        let parts = split_at_and(text);
        let conditions: Result<_, _> = parts.iter().map(|part| condition(path, part, cells)).collect();
        Ok(Self { conditions: conditions? })
    }

    /// Whether a row passes.
    pub(super) fn admits(&self, cells: &Cells, row: usize) -> bool {
        self.conditions.iter().all(|one| one.holds(cells.at(one.column, row)))
    }
}

/// Parts between the word `and` outside of quotes.
fn split_at_and(text: &str) -> Vec<String> {
    let (mut parts, mut quote) = (vec![String::new()], None);
    for word in text.split_inclusive(char::is_whitespace) {
        if quote.is_none() && word.trim().eq_ignore_ascii_case("and") {
            parts.push(String::new());
            continue;
        }
        for c in word.chars() {
            match quote {
                None if c == '"' || c == '\'' => quote = Some(c),
                Some(open) if c == open => quote = None,
                _ => {}
            }
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(word);
        }
    }
    parts
}

fn condition(path: &Path, text: &str, cells: &Cells) -> Result<Condition, TableError> {
    let refuse = |problem: String| Err(TableError::new(path, problem, SYNTAX));
    let Some((start, length, operator)) = operator(text) else {
        return refuse(format!("`--where` has `{}`, which compares nothing", text.trim()));
    };
    let (name, literal) = (unquoted(&text[..start]), unquoted(&text[start + length..]));
    if name.is_empty() || literal.is_empty() {
        return refuse(format!("`--where` has `{}`; a column and a literal are needed", text.trim()));
    }
    let column = cells.position(name).ok_or_else(|| missing(path, name, cells, "`--where` names it"))?;
    if cells.holds_numbers(column) && literal_number(literal).is_none() {
        let problem = format!("`--where` has `{}`: `{name}` holds numbers, and `{literal}` is not one", text.trim());
        return Err(TableError::new(path, problem, "compare it with a number; conditions are joined by `and` only"));
    }
    Ok(Condition { column, operator, literal: literal.to_owned() })
}

/// A literal as a number; truths stand for 1 and 0.
fn literal_number(literal: &str) -> Option<f64> {
    match literal.to_lowercase().as_str() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => literal.parse().ok(),
    }
}

/// Where the first operator outside of quotes stands.
fn operator(text: &str) -> Option<(usize, usize, Operator)> {
    let signs = [
        ("==", Operator::Equal),
        ("!=", Operator::NotEqual),
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<", Operator::Below),
        (">", Operator::Above),
    ];
    let mut quote = None;
    for (index, c) in text.char_indices() {
        match quote {
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => {
                if let Some((sign, operator)) = signs.iter().find(|(sign, _)| text[index..].starts_with(sign)) {
                    return Some((index, sign.len(), *operator));
                }
            }
        }
    }
    None
}

fn unquoted(text: &str) -> &str {
    let text = text.trim();
    let inside = |quote: char| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inside('"').or_else(|| inside('\'')).unwrap_or(text)
}

impl Condition {
    fn holds(&self, cell: &Cell) -> bool {
        let order = self.order(cell);
        match self.operator {
            Operator::Equal => order == Some(Ordering::Equal),
            Operator::NotEqual => order != Some(Ordering::Equal),
            Operator::Below => order == Some(Ordering::Less),
            Operator::AtMost => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Operator::Above => order == Some(Ordering::Greater),
            Operator::AtLeast => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        }
    }

    fn order(&self, cell: &Cell) -> Option<Ordering> {
        if let (Some(cell), Some(literal)) = (cell.number(), literal_number(&self.literal)) {
            return cell.partial_cmp(&literal);
        }
        if let (Some(cell), Some(literal)) = (cell.truth(), truth_of(&self.literal)) {
            return Some(cell.cmp(&literal));
        }
        cell.text().map(|text| text.as_str().cmp(&self.literal))
    }
}
