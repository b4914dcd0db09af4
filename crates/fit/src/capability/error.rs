//! Why nothing at all can be said of a table of tasks.

use thiserror::Error;

/// A table of tasks, or of results per problem, was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CapabilityError {
    /// No rows.
    #[error("the table has no task scores\n\nhint: check the filter, and that `task` and `value` name its columns")]
    Empty,
    /// A score that is no share.
    #[error(
        "`{task}` of `{run_id}`: the score is {value}; it must lie between 0 and 1 and rise with skill\n\nhint: divide percentages by 100, and leave perplexities and losses out with `--where`, or name them as the column `loss`"
    )]
    NotAShare {
        /// The task.
        task: String,
        /// The run.
        run_id: String,
        /// What it was.
        value: f64,
    },
    /// Compute, size, data, a loss or a count of problems that is not a positive number.
    #[error(
        "`{task}` of `{run_id}`: {field} is {value}; it must be a finite number above 0\n\nhint: leave the row out with `--where \"{field} > 0\"`"
    )]
    NotPositive {
        /// The task.
        task: String,
        /// The run.
        run_id: String,
        /// The column.
        field: &'static str,
        /// What it was.
        value: f64,
    },
    /// Two rows of one run and task.
    #[error(
        "`{run_id}` has 2 scores of `{task}`; each run has one of each task\n\nhint: pick a metric with `--where \"metric == acc\"`, or give checkpoints a `run_id` of their own"
    )]
    Twice {
        /// The task.
        task: String,
        /// The run.
        run_id: String,
    },
    /// Chance differs between rows of one task.
    #[error(
        "`{task}` has a chance of {first} and of {second}; a task has one\n\nhint: name its variants apart in `task`"
    )]
    Chance {
        /// The task.
        task: String,
        /// One.
        first: f64,
        /// The other.
        second: f64,
    },
    /// A result of a run that was not described.
    #[error(
        "results per problem name the run `{run_id}`, of which neither size nor compute is known\n\nhint: give its record too, or leave its results out"
    )]
    UnknownRun {
        /// The run.
        run_id: String,
    },
    /// A run that would rank the problems it is fitted on.
    #[error(
        "`{run_id}` is both fitted and asked how hard problems are\n\nhint: rank them by other seeds of the rungs, or by an a-priori difficulty"
    )]
    SharedRun {
        /// The run.
        run_id: String,
    },
    /// An option outside what it may be.
    #[error("`{option}` is {value}; it must be {allowed}\n\nhint: leave it at its default")]
    BadOption {
        /// Which: the flag as it is typed, or the field that no flag sets, with its type.
        option: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
}
