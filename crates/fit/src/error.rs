//! Why there is no fit.

use thiserror::Error;

/// A fit was refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum FitError {
    /// No rows.
    #[error(
        "the table has 0 observations; a fit needs at least {needed}\n\nhint: check the filter, and that the runs are finished"
    )]
    Empty {
        /// Fewest rows of the smallest law asked for.
        needed: usize,
    },
    /// A loss, size, budget or weight that is not a positive number.
    #[error(
        "`{run_id}`: {field} is {value}; it must be a finite number above 0\n\nhint: leave the run out with `--where \"{field} > 0\"`, or mark it as diverged"
    )]
    NotPositive {
        /// The run.
        run_id: String,
        /// The column.
        field: &'static str,
        /// What it was.
        value: f64,
    },
    /// Two runs with one identity.
    #[error(
        "`{run_id}` names 2 runs; each run must have an identity of its own\n\nhint: give seeds and repeats their own `run_id`, or remove the copy"
    )]
    Duplicate {
        /// The identity.
        run_id: String,
    },
    /// Fewer observations than the law needs.
    #[error(
        "`{law}` was given {found} observations; it has {parameters} parameters and needs at least {needed}\n\nhint: add runs, or ask for a smaller law with `--law log_log`"
    )]
    TooFew {
        /// The law.
        law: String,
        /// Observations it would be fitted to.
        found: usize,
        /// Its parameters.
        parameters: usize,
        /// The fewest allowed.
        needed: usize,
    },
    /// All observations on one budget, or too few budgets.
    #[error(
        "`{law}` was given {found} distinct budgets; it needs at least {needed}\n\nhint: add rungs at other budgets"
    )]
    TooFewBudgets {
        /// The law.
        law: String,
        /// Budgets found.
        found: usize,
        /// Budgets needed.
        needed: usize,
    },
    /// Size and data cannot be told apart.
    #[error(
        "`{law}` cannot tell N from D: D/N spans at least {needed_spread}x within {found} budgets, and 2 are needed (widest spread {widest:.2}x)\n\nhint: add runs off the path: for two budgets, one model 2x smaller and one 2x larger at the same FLOPs"
    )]
    NoSpread {
        /// The law.
        law: String,
        /// Budgets with enough spread.
        found: usize,
        /// The spread a budget must have.
        needed_spread: f64,
        /// The widest spread of D/N within one budget.
        widest: f64,
    },
    /// An option that means nothing.
    #[error("{option} is {value}; it must be {allowed}\n\nhint: leave `{option}` out for its default")]
    BadOption {
        /// The option.
        option: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// No start led to an optimum.
    #[error(
        "`{law}` did not converge from any of {starts} starts\n\nhint: look at the runs for a loss that is off by orders of magnitude"
    )]
    NoOptimum {
        /// The law.
        law: String,
        /// Starts tried.
        starts: usize,
    },
    /// No budget that was sought has this loss.
    #[error(
        "no budget reaches a loss of {loss}: the forecast runs from {highest:.4} at the smallest run to {lowest:.4} at a million times the largest\n\nhint: ask for a loss between the two"
    )]
    OutOfReach {
        /// The loss asked for.
        loss: f64,
        /// Median at the largest budget.
        lowest: f64,
        /// Median at the smallest budget.
        highest: f64,
    },
}
