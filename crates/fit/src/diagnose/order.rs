//! In which order doubts are told: what weighs most against a number first.

use core::cmp::Reverse;

use forescale_core::outcome::Diagnosis;

/// Doubts of the number itself, the ones that have moved forecasts most first. Chosen here: what refuses a number, then
/// what contradicts it, then what says in which direction it errs; how the runs were made comes after all of these, and
/// distance, which every forecast states anyway, last.
const HEAVIEST: [&str; 19] = [
    "no_forecast",
    "loss_does_not_fall",
    "loss_turns_up",
    "s_shaped",
    "target_contradicts_itself",
    "uncertified",
    "not_converged",
    "backtest_missed",
    "model_form",
    "laws_disagree",
    "near_start",
    "no_floor",
    "not_asymptotic",
    "optimum_unheard",
    "target_off_path",
    "parameter_at_bound",
    "mixed_evaluation",
    "starts_disagree",
    "few_rungs",
];
/// Distance from the data: said in the forecast's own sentence.
const DISTANCE: [&str; 2] = ["extrapolating", "break_beyond"];

/// Where a doubt stands among those of its severity.
fn rank(doubt: &Diagnosis) -> usize {
    let code = doubt.code.as_str();
    let last = HEAVIEST.len() + usize::from(DISTANCE.contains(&code));
    HEAVIEST.iter().position(|heavy| *heavy == code).unwrap_or(last)
}

/// Sorts by severity, then by what doubts have done to forecasts; those that weigh alike keep their order.
pub(crate) fn heaviest_first(doubts: &mut [Diagnosis]) {
    doubts.sort_by_key(|doubt| (Reverse(doubt.severity), rank(doubt)));
}
