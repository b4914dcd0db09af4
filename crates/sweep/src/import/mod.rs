//! Results that were not made here, as observations.
//!
//! One file a format; [`table`] reads bare tables. Foreign numbers are taken as they are and checked for what cannot
//! be (a loss of zero, two rows of one run), never corrected.

mod broken;
mod cells;
mod columns;
mod filter;
pub mod table;

pub use table::{Table, TableError, TableOptions, read_table};
