//! What can be doubted of a predicted curve: the runs it was made from, their curves, and the schedules.

use forescale_core::math;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::track::{Place, TrackPoint};

use super::LadderRun;
use super::curve::Curve;

/// A curve of the ladder ends where its run ended up to this share of the loss (chosen here: more than the ends of curves on a
/// part of the evaluation set scatter in the project's own sweeps, 1.5%).
const ENDS_APART: f64 = 0.02;
/// Curves that end below this share of their runs' losses are of another set or unit (chosen here: the easiest part of an
/// evaluation set in the project's own sweeps lies 4% below).
const ENDS_BELOW: f64 = 0.93;

/// The doubts; `changed` is whether the ladder's runs are told otherwise than they were when the forecast was registered.
pub(super) fn doubts(
    changed: bool,
    (ladder, curves): (&[&LadderRun], &[Curve]),
    seen: &Curve,
    points: &[TrackPoint],
) -> Vec<Diagnosis> {
    let changed = changed.then(ladder_changed);
    [changed, ends(ladder), schedule_differs(points), schedule_unknown(seen, curves), turns_unjudged(points)]
        .into_iter()
        .flatten()
        .collect()
}

fn doubt(code: &str, severity: Severity, message: String, hint: &str) -> Diagnosis {
    Diagnosis { code: code.to_owned(), severity, message, hint: hint.to_owned() }
}

fn ladder_changed() -> Diagnosis {
    let message = "the ladder's runs are not told as they were when the forecast was registered: a loss, a size or an \
                   error of them differs";
    let hint = "read the table with the flags it was registered with; a registration of an older version may differ by \
                fields added since";
    doubt("ladder_changed", Severity::Note, message.to_owned(), hint)
}

fn schedule_differs(points: &[TrackPoint]) -> Option<Diagnosis> {
    let seen = points.iter().filter(|point| point.loss.is_some()).count();
    let other = points.iter().filter(|point| point.place == Place::OtherSchedule).count();
    let message = format!(
        "at {other} of {seen} points the run's learning rate is not where the ladder's is at that share: they are not judged"
    );
    let hint = "track a run under the ladder's own schedule, or give the steps of the whole run with --steps";
    (other > 0).then(|| doubt("schedule_differs", Severity::Warning, message, hint))
}

fn schedule_unknown(seen: &Curve, curves: &[Curve]) -> Option<Diagnosis> {
    let told = |curve: &Curve| curve.points.is_empty() || curve.tells_rates();
    let message =
        "the learning rate of the run or of the ladder's is not logged: their schedules are taken to be alike";
    (!told(seen) || !curves.iter().all(told))
        .then(|| doubt("schedule_unknown", Severity::Note, message.to_owned(), "log the rate as a column `lr`"))
}

fn turns_unjudged(points: &[TrackPoint]) -> Option<Diagnosis> {
    let count = points.iter().filter(|point| point.change.is_some() && point.predicted_change.is_none()).count();
    let message = format!(
        "at {count} points too few of the ladder's curves go back as far as the run's does for its turns to be judged: \
         only its level is"
    );
    let hint = "log the ladder's losses from a tenth of each run on";
    (count > 0).then(|| doubt("turns_unjudged", Severity::Note, message, hint))
}

/// Curves that end above the loss of their run, against what is usual in this ladder: on an easier or a little harder set all
/// are apart alike. Far below, they are of another set.
fn ends(ladder: &[&LadderRun]) -> Option<Diagnosis> {
    let end = |run: &LadderRun| {
        let finite = run.curve.iter().filter(|point| point.loss.is_finite());
        Some(finite.max_by(|a, b| a.share.total_cmp(&b.share))?.loss / run.observation.loss)
    };
    let ends: Vec<(&str, f64)> =
        ladder.iter().filter_map(|run| Some((run.observation.name.as_str(), end(run)?))).collect();
    let usual = math::median(&ends.iter().map(|one| one.1).collect::<Vec<_>>())?;
    if usual < ENDS_BELOW {
        let below = 100.0 * (1.0 - usual);
        let message =
            format!("the ladder's curves end {below:.0}% below its runs' losses: they are of another set or unit");
        let hint = "track a run by losses of the set that the ladder's curves are of, in their unit";
        return Some(doubt("curves_of_another_set", Severity::Warning, message, hint));
    }
    let usual = if usual > 1.0 + ENDS_APART { 1.0 } else { usual };
    let above: Vec<&(&str, f64)> = ends.iter().filter(|one| one.1 / usual > 1.0 + ENDS_APART).collect();
    let (name, ratio) = above.first()?;
    let message = format!(
        "{} of {} curves of the ladder end above their run's loss (`{name}`: {:+.1}%): where one is cut short, its shares \
         are wrong and the prediction too high",
        above.len(),
        ends.len(),
        100.0 * (ratio - 1.0)
    );
    let hint = "give whole curves, or a column `tokens`, by which a run's own tokens tell how far each point is; a set \
                that differs from the final one by as much cannot be told from this";
    Some(doubt("curves_end_above", Severity::Warning, message, hint))
}
