//! Draws what was computed: the HTML report, its plots, Markdown for pull requests, and tables for a terminal.
//!
//! Owns every way a number or a sentence is shown, and is the only room that knows plotters and HTML. It works nothing
//! out: [`ReportData`](forescale_core::panel::ReportData) comes with every estimate, interval and verdict, and leaves
//! as text. It reads no file and no clock, so that the same data gives the same bytes.
//!
//! A plot is one file in `plot/` and one line in its list. A page is one file that needs no network, and whose content is
//! all there without its script.

pub mod answers;
pub mod capability;
pub mod format;
mod headline;
mod html;
mod ledger;
mod markdown;
pub mod plans;
mod plot;
mod probe;
#[cfg(test)]
#[path = "../examples/sample/data.rs"]
mod sample;
mod table;
mod tables;
pub mod terminal;
pub mod text;
mod track;
mod validate;

pub use html::{html, index_html, probe_html};
pub use markdown::{markdown, verdict_markdown};
pub use probe::probe_markdown;
pub use table::{Alignment, Table};

use thiserror::Error;

/// A report could not be drawn.
#[derive(Debug, Error)]
pub enum ReportError {
    /// A number that has no place on an axis.
    #[error(
        "{what} of `{name}` is {value}; a finite number{} is needed\n\nhint: collect the runs again, and leave `{name}` out if it stays so",
        if *.positive { " above 0" } else { "" }
    )]
    NotDrawable {
        /// What the number is: `loss`, `compute`.
        what: &'static str,
        /// The run, law or panel it belongs to.
        name: String,
        /// The number.
        value: f64,
        /// Whether it must also be above zero.
        positive: bool,
    },
    /// The plot library stopped.
    #[error("plot `{plot}` could not be drawn: {problem}\n\nhint: render the tables alone with `--format md`")]
    Plot {
        /// The plot.
        plot: &'static str,
        /// What it said.
        problem: String,
    },
    /// The data could not be written into the page.
    #[error(
        "the report's data could not be written into the page: {0}\n\nhint: render the tables alone with `--format md`"
    )]
    Data(#[from] serde_json::Error),
    /// The template engine stopped.
    #[error("the page could not be put together: {0}\n\nhint: render the tables alone with `--format md`")]
    Page(#[from] askama::Error),
}
