//! Results that were not made here, as observations.
//!
//! One file a format; [`table`] reads bare tables of runs, [`curves`] those of loss curves, [`scores`] those of task scores, [`evals`] what other
//! tools' evaluations wrote, [`progress`] logs of runs under way. Foreign numbers are taken as they are and checked for what cannot be (a loss of zero, two rows of one run), never
//! corrected.

mod abbreviated;
mod broken;
mod cells;
mod checkpoints;
mod columns;
mod counts;
pub mod curves;
pub mod evals;
mod filter;
pub mod progress;
mod recipes;
pub mod scores;
pub mod table;

pub use curves::{CurveTable, read_curves};
pub use evals::{
    Chosen, EvalFormat, EvalScore, Evaluations, Model, Models, ScoreRow, choose, read_evaluations, read_models,
    score_rows, write_scores,
};
pub use progress::{Length, LogOptions, Underway, curve_of, read_ladder_curves, read_progress, underway};
pub use scores::{ScoreTable, is_score_table, loss_beside_scores, read_scores};
pub use table::{HeldOut, Table, TableError, TableOptions, read_table};
