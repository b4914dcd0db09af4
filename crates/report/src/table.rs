//! A table of text, with its drawings for a terminal and for Markdown; the page's template draws the same table.

use crate::format::plain;
use crate::markdown::escape;

/// To which side a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alignment {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headers; a short row is filled with empty cells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Names of the columns.
    pub headers: Vec<String>,
    /// Cells, row by row.
    pub rows: Vec<Vec<String>>,
    /// Side of each column.
    pub alignments: Vec<Alignment>,
}

impl Table {
    /// A table without rows, its columns as name and side.
    #[must_use]
    pub fn new(columns: &[(&str, Alignment)]) -> Self {
        Self {
            headers: columns.iter().map(|(name, _)| (*name).to_owned()).collect(),
            rows: Vec::new(),
            alignments: columns.iter().map(|(_, side)| *side).collect(),
        }
    }

    /// Adds a row.
    pub fn push<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The side of a column, left where none was given.
    #[must_use]
    pub fn alignment(&self, column: usize) -> Alignment {
        self.alignments.get(column).copied().unwrap_or(Alignment::Left)
    }

    pub(crate) fn is_number(&self, column: &usize) -> bool {
        self.alignment(*column) == Alignment::Right
    }

    /// Aligned columns for a terminal, two spaces apart, one line a row.
    pub(crate) fn to_text(&self) -> String {
        let clean = |row: &Vec<String>| row.iter().map(|cell| plain(cell).replace('\n', " ")).collect::<Vec<_>>();
        let lines: Vec<Vec<String>> = std::iter::once(&self.headers).chain(&self.rows).map(clean).collect();
        let widths: Vec<usize> = (0..self.columns()).map(|column| width(&lines, column)).collect();
        lines.iter().map(|line| self.text_line(line, &widths)).collect()
    }

    /// A table as GitHub reads it.
    pub(crate) fn to_markdown(&self) -> String {
        let rule = (0..self.headers.len()).map(|c| if self.is_number(&c) { " ---: |" } else { " --- |" });
        let head = markdown_line(&self.headers);
        let body: String = self.rows.iter().map(|row| markdown_line(row)).collect();
        format!("{head}|{}\n{body}", rule.collect::<String>())
    }

    fn columns(&self) -> usize {
        self.rows.iter().map(Vec::len).chain([self.headers.len()]).max().unwrap_or(0)
    }

    fn text_line(&self, cells: &[String], widths: &[usize]) -> String {
        let padded = widths.iter().enumerate().map(|(column, width)| {
            let cell = cells.get(column).map_or("", String::as_str);
            if self.is_number(&column) { format!("{cell:>width$}") } else { format!("{cell:<width$}") }
        });
        let line = padded.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    }
}

fn width(lines: &[Vec<String>], column: usize) -> usize {
    lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
}

fn markdown_line(cells: &[String]) -> String {
    let cells: String = cells.iter().map(|cell| format!(" {} |", escape(cell))).collect();
    format!("|{cells}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table = Table::new(&[("run", Alignment::Left), ("loss", Alignment::Right)]);
        table.push(["d8", "2.4670"]);
        table.push(["d128-long", "1.08"]);
        table
    }

    #[test]
    fn columns_line_up_and_lines_end_without_spaces() {
        assert_eq!(sample().to_text(), "run          loss\nd8         2.4670\nd128-long    1.08\n");
    }

    #[test]
    fn a_short_row_and_an_escape_sequence_do_no_harm() {
        let mut table = sample();
        table.push(["\u{1b}[2J\nx"]);
        assert!(table.to_text().ends_with("\u{fffd}[2J x\n"));
    }

    #[test]
    fn a_cell_cannot_break_out_of_a_markdown_table() {
        let mut table = sample();
        table.push(["a|b\nc", "<b>"]);
        assert!(table.to_markdown().ends_with("| a\\|b c | &lt;b&gt; |\n"), "{}", table.to_markdown());
    }

    #[test]
    fn an_empty_table_is_its_headers() {
        let table = Table::new(&[("run", Alignment::Left)]);
        assert!(table.is_empty());
        assert_eq!(table.to_text(), "run\n");
    }
}
