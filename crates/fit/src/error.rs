//! Why there is no fit.

use forescale_core::quantity::{LARGEST, SMALLEST, scientific};
use thiserror::Error;

/// Observations that `log_log`, the smallest law, needs.
const FEWEST: usize = 3;

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
    /// A positive number that no run has.
    #[error(
        "`{run_id}`: {field} is {value:e}; it must lie between {SMALLEST:e} and {LARGEST:e}\n\nhint: look for a wrong column or unit with `--map`, or leave the run out with `--where`"
    )]
    OutOfRange {
        /// The run.
        run_id: String,
        /// The column.
        field: &'static str,
        /// What it was.
        value: f64,
    },
    /// A deviation, an error or a count of degrees below zero, or none at all.
    #[error(
        "`{run_id}`: {field} is {value}; it must be a finite number of at least 0\n\nhint: leave the field empty where it is not known"
    )]
    Negative {
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
        "`{law}` was given {}; it has {} and needs at least {needed}\n\nhint: add runs{}",
        counted(*.found, "observation"), counted(*.parameters, "parameter"),
        if *.found < FEWEST || .law == "log_log" { "" } else { ", or ask for a smaller law with `--law log_log`" }
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
        "`{law}` was given {}; it needs at least {needed}\n\nhint: add rungs at other budgets",
        counted(*.found, "distinct budget")
    )]
    TooFewBudgets {
        /// The law.
        law: String,
        /// Budgets found.
        found: usize,
        /// Budgets needed.
        needed: usize,
    },
    /// A table without a path, in which too few budgets have their lowest loss between the sizes tried.
    #[error(
        "`{law}` was given {} with a vertex inside {} sizes; it needs at least {needed}\n\nhint: add sizes to the other budgets until the loss rises on both sides, or name the path with a `role` column",
        counted(*.found, "budget"), if *.found == 1 { "its" } else { "their" }
    )]
    TooFewVertices {
        /// The law.
        law: String,
        /// Budgets with a vertex.
        found: usize,
        /// Budgets needed.
        needed: usize,
    },
    /// Too few compute-optimal points for a line in logarithms.
    #[error(
        "approach {approach} found {} with smaller and larger sizes beside it; a power of compute needs at least {needed}{why}\n\nhint: add sizes to more budgets until the loss rises on both sides of its lowest point",
        counted(*.found, "optimum")
    )]
    TooFewOptima {
        /// Number of the approach.
        approach: u8,
        /// Optima found.
        found: usize,
        /// Optima needed.
        needed: usize,
        /// Why the other budgets have none, after a colon; nothing where no budget was looked into.
        why: String,
    },
    /// One group of several cannot be fitted.
    #[error("group `{group}`: {error}")]
    InGroup {
        /// The group.
        group: String,
        /// What is wrong with it.
        error: Box<FitError>,
    },
    /// Something that needs size and data was asked of runs that tell compute alone.
    #[error(
        "{what} needs params and tokens; the table has flops alone\n\nhint: name one of them by `--map params=COLUMN` or `--map tokens=COLUMN`, from which the other follows; laws of compute go without: `--law power_law`"
    )]
    NoSplit {
        /// What was asked.
        what: String,
    },
    /// Size and data cannot be told apart.
    #[error(
        "`{law}` cannot tell N from D: D/N spans at least {needed_spread}x within {}, and {needed} are needed (widest spread {widest:.2}x)\n\nhint: add runs off the path: for {needed} budgets, one model 2x smaller and one 2x larger at the same FLOPs; or for {needed} sizes, one run of {needed_spread} times the tokens",
        if *.found == 1 { "1 budget or size".to_owned() } else { format!("{} budgets or sizes", .found) }
    )]
    NoSpread {
        /// The law.
        law: String,
        /// Budgets, or sizes, with enough spread.
        found: usize,
        /// How many are needed.
        needed: usize,
        /// The spread one must have.
        needed_spread: f64,
        /// The widest spread of D/N within one budget or size.
        widest: f64,
    },
    /// The runs lie too close together in compute for the bends a law has.
    #[error(
        "`{law}` was given runs over {found:.2} decades of compute; it needs at least {needed}\n\nhint: add smaller rungs, or ask for a law with fewer bends: `--law power_law`"
    )]
    TooFewDecades {
        /// The law.
        law: String,
        /// Decades the runs span.
        found: f64,
        /// Decades needed.
        needed: f64,
    },
    /// A law that holds the loss that learning starts from, which nobody measured.
    #[error(
        "`{law}` holds the loss that learning starts from, and it is not known here\n\nhint: fit a sweep, whose corpus has a unigram entropy, or ask for `--law m4`, which fits that loss"
    )]
    NoStartLevel {
        /// The law.
        law: String,
    },
    /// A loss above the one that learning starts from.
    #[error(
        "`{law}` was given a loss of {highest:.4}; it must lie below the {start:.4} that learning starts from\n\nhint: leave out runs that have learnt nothing, or check that both are in one unit"
    )]
    AboveStart {
        /// The law.
        law: String,
        /// The highest loss.
        highest: f64,
        /// Where learning starts.
        start: f64,
    },
    /// D/N hardly varies over the whole table.
    #[error(
        "`{law}` was given D/N over a factor of {widest:.2}; it needs at least {needed}\n\nhint: add one small run trained on many more tokens"
    )]
    OneRatio {
        /// The law.
        law: String,
        /// The spread needed.
        needed: f64,
        /// The spread there is.
        widest: f64,
    },
    /// Too few learning-rate schedules, or none whose rate falls.
    #[error(
        "`multi_power` was given {}, {falling} of which lets the rate fall; it needs at least {needed}, and 1 that falls\n\nhint: add a run under another schedule",
        counted(*.found, "schedule")
    )]
    TooFewSchedules {
        /// Schedules given.
        found: usize,
        /// Of them, those whose rate falls.
        falling: usize,
        /// Schedules needed.
        needed: usize,
    },
    /// Curves with too few losses for the law's parameters.
    #[error(
        "`multi_power` was given {} in all curves; it has {} and needs at least {needed}\n\nhint: log the loss more often, or add runs under other schedules",
        counted(*.found, "loss"), counted(*.parameters, "parameter")
    )]
    TooFewLosses {
        /// Losses it would be fitted to.
        found: usize,
        /// Its parameters.
        parameters: usize,
        /// The fewest allowed.
        needed: usize,
    },
    /// A curve that should be held out and is not there.
    #[error("no curve is named `{name}`\n\nhint: --hold-out takes names of {known}")]
    UnknownCurve {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// No run saw data more than once.
    #[error(
        "`{law}` was given 0 runs that repeat data; it needs at least 1\n\nhint: name the distinct tokens of each run in a `unique_tokens` or `epochs` column, or ask for `--law chinchilla`"
    )]
    NoRepeats {
        /// The law.
        law: String,
    },
    /// An option that means nothing.
    #[error("{option} is {}; it must be {allowed}\n\nhint: give `{option}` another value, or leave it out where it has a default", scientific(*.value))]
    BadOption {
        /// The flag as it is typed, or the field that no flag sets, with its type.
        option: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        allowed: &'static str,
    },
    /// Too few clusters to draw from.
    #[error(
        "`{law}` was given {}; a cluster bootstrap draws from at least {needed}\n\nhint: leave `--interval` out for profiles, which allow for clusters",
        counted(*.found, "cluster")
    )]
    TooFewClusters {
        /// The law.
        law: String,
        /// Clusters found.
        found: usize,
        /// Clusters needed.
        needed: usize,
    },
    /// No start led to an optimum.
    #[error(
        "`{law}` did not converge from any of {}\n\nhint: look at the runs for a loss that is off by orders of magnitude",
        counted(*.starts, "start")
    )]
    NoOptimum {
        /// The law.
        law: String,
        /// Starts tried.
        starts: usize,
    },
    /// A fit whose numbers no float holds.
    #[error(
        "{whose} gives no number for {what}: it is beyond 1e308, or below 1e-308\n\nhint: look at the runs for a loss, size or budget that is off by orders of magnitude"
    )]
    Overflow {
        /// The law or approach.
        whose: String,
        /// What overflows.
        what: String,
    },
    /// There is no forecast to answer from.
    #[error("{reason}\n\nhint: {hint}")]
    NoForecast {
        /// Why.
        reason: String,
        /// What can be done.
        hint: String,
    },
    /// No budget that was sought has this loss.
    #[error(
        "{} a loss of {}: the forecast runs from {highest:.4} at the smallest run to {lowest:.4} at a million times the largest\n\nhint: ask for a loss between the two",
        if .loss > .highest { "every budget has passed" } else { "no budget that was sought reaches" }, scientific(*.loss)
    )]
    OutOfReach {
        /// The loss asked for.
        loss: f64,
        /// Median at the largest budget.
        lowest: f64,
        /// Median at the smallest budget.
        highest: f64,
    },

    /// No law gives a number at any budget.
    #[error(
        "no law gives a number at any budget from the smallest run to a million times the largest: the losses there are beyond 1e260, or below 1e-260\n\nhint: look for a loss or a size that is off by orders of magnitude"
    )]
    NoNumber,
}

/// `1 run`, `2 runs`.
fn counted(count: usize, noun: &str) -> String {
    let ending = if noun.ends_with('s') { "es" } else { "s" };
    let plural = noun.strip_suffix("um").map_or_else(|| format!("{noun}{ending}"), |stem| format!("{stem}a"));
    if count == 1 { format!("1 {noun}") } else { format!("{count} {plural}") }
}

impl FitError {
    /// The same error with the name of the group it was met in.
    pub(crate) fn in_group(group: Option<&str>, error: Self) -> Self {
        Self::InGroup { group: group.unwrap_or("(none)").to_owned(), error: Box::new(error) }
    }

    /// What is wrong, without the hint.
    pub(crate) fn fault(&self) -> String {
        let text = self.to_string();
        text.split("\n\n").next().unwrap_or_default().to_owned()
    }

    /// What can be done.
    pub(crate) fn hint(&self) -> String {
        self.to_string().split_once("hint: ").map_or_else(String::new, |(_, hint)| hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_observation_is_named_in_the_singular() {
        let error = FitError::TooFew { law: "log_log".to_owned(), found: 1, parameters: 2, needed: 3 };
        assert_eq!(error.fault(), "`log_log` was given 1 observation; it has 2 parameters and needs at least 3");
    }

    #[test]
    fn a_smaller_law_is_proposed_only_where_it_could_be_fitted() {
        let of = |found| FitError::TooFew { law: "power_law".to_owned(), found, parameters: 3, needed: 4 }.hint();
        assert_eq!([2, 3].map(of), ["add runs", "add runs, or ask for a smaller law with `--law log_log`"]);
        assert_eq!(forescale_core::law::LawName::LOG_LOG.form().least_observations(), FEWEST);
    }

    #[test]
    fn too_few_vertices_are_not_called_distinct_budgets() {
        let error = FitError::TooFewVertices { law: "power_law".to_owned(), found: 3, needed: 4 };
        let fault = "`power_law` was given 3 budgets with a vertex inside their sizes; it needs at least 4";
        assert_eq!(error.fault(), fault);
        let one = FitError::TooFewVertices { law: "power_law".to_owned(), found: 1, needed: 4 };
        assert!(one.fault().contains("1 budget with a vertex inside its sizes"));
    }

    #[test]
    fn a_start_level_that_is_missing_or_too_low_is_named_with_what_to_do() {
        let missing = FitError::NoStartLevel { law: "m4_pinned".to_owned() };
        assert!(missing.hint().contains("--law m4"), "{missing}");
        let low = FitError::AboveStart { law: "m4_pinned".to_owned(), highest: 3.5, start: 3.38 };
        let fault = "`m4_pinned` was given a loss of 3.5000; it must lie below the 3.3800 that learning starts from";
        assert_eq!(low.fault(), fault);
        let short = FitError::TooFewDecades { law: "bnsl".to_owned(), found: 1.5, needed: 2.0 };
        assert_eq!(short.fault(), "`bnsl` was given runs over 1.50 decades of compute; it needs at least 2");
    }

    #[test]
    fn an_error_of_a_group_keeps_fault_and_hint_apart() {
        let inner = FitError::TooFewBudgets { law: "power_law".to_owned(), found: 1, needed: 3 };
        let error = FitError::in_group(Some("code"), inner);
        assert_eq!(error.fault(), "group `code`: `power_law` was given 1 distinct budget; it needs at least 3");
        assert_eq!(error.hint(), "add rungs at other budgets");
    }
}
