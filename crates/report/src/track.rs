//! `track`: a run under way against its predicted curve, in words and a table.

use forescale_core::track::{Course, Place, TrackPoint, TrackReport};

use crate::format::{interval, loss, percent, plain, signed_percent};
use crate::table::Alignment::{Left, Right};
use crate::table::Table;
use crate::tables::NONE;

/// What two columns are.
const MOVED: &str = "moved: against the geometric mean of the losses before; at most: what a good run may do\n";

pub(crate) fn track(report: &TrackReport) -> String {
    let end = report
        .registered_interval
        .map_or_else(String::new, |within| format!(" ({} at {})", interval(&within), percent(within.level)));
    format!(
        "{}\nregistered for its end: {}{end}, of the whole evaluation set; curves may be of a part of it\n\n{}{MOVED}{}",
        opening(report),
        loss(report.registered),
        points(report).to_text(),
        reasons(report)
    )
}

/// The answer in a sentence or two.
fn opening(report: &TrackReport) -> String {
    let done = percent(rounded(report.progress));
    let latest = report.points.iter().rfind(|point| point.place.is_judged());
    let words = match report.course {
        Course::OnCourse => "on course",
        Course::Doubtful => "doubtful",
        Course::Above => "OFF COURSE, worse than predicted,",
        Course::Below => "OFF COURSE, better than predicted,",
        Course::Turned => "OFF COURSE, turned up,",
        Course::Diverged => return format!("DIVERGED at {done} of the run: its loss is no number, or its log says so"),
        Course::Unjudged => {
            return format!(
                "no answer at {done} of the run: no loss from a tenth of it on can be judged, or too few of them"
            );
        }
    };
    let whole = |point: &'_ TrackPoint| Some((two(point)?, point.loss?, point.predicted?));
    let Some((point, ([usual, alarm], own, predicted))) = latest.and_then(|point| Some((point, whole(point)?))) else {
        return format!("{words} at {done} of the run");
    };
    let against = if report.course == Course::OnCourse { usual } else { alarm };
    let mut text = format!(
        "{words} at {} of the run: {}, predicted {} ({} at {})",
        percent(rounded(point.share)),
        loss(own),
        loss(predicted),
        interval(&against),
        percent(against.level)
    );
    if let Some((change, told)) = point.change.zip(point.predicted_change).filter(|_| report.course == Course::Turned) {
        text += &format!(
            "; against the mean of its losses before it moved by {}, where {} was predicted, {} at most",
            signed_percent(change.exp_m1()),
            signed_percent(told.predicted.exp_m1()),
            signed_percent((told.predicted + told.limit).exp_m1())
        );
    }
    let came_later = |later: &TrackPoint| later.share > point.share && later.loss.is_some();
    if report.points.iter().any(came_later) {
        text += &format!("; what came later, up to {done}, cannot be judged");
    }
    if let Some(first) = report.first_alarm.filter(|first| *first < point.share || !report.course.is_off()) {
        text += &format!("; first off course at {}", percent(rounded(first)));
    }
    text
}

/// A share to the whole per cent.
fn rounded(share: f64) -> f64 {
    (100.0 * share).round() / 100.0
}

fn two(point: &TrackPoint) -> Option<[forescale_core::estimate::Interval; 2]> {
    point.intervals.as_slice().try_into().ok()
}

fn points(report: &TrackReport) -> Table {
    let level = report.points.iter().find_map(two).map_or_else(|| "interval".to_owned(), |two| percent(two[0].level));
    let alarm = percent(report.alarm_level);
    let mut table = Table::new(&[
        ("done", Right),
        ("loss", Right),
        ("predicted", Right),
        ("off by", Right),
        (&level, Right),
        (&alarm, Right),
        ("PIT", Right),
        ("moved", Right),
        ("at most", Right),
        ("runs", Right),
        ("", Left),
    ]);
    report.points.iter().for_each(|point| table.push(row(point)));
    table
}

fn row(point: &TrackPoint) -> Vec<String> {
    let none = || NONE.to_owned();
    let [usual, alarm] = two(point).map_or_else(|| [none(), none()], |two| two.map(|one| interval(&one)));
    let off = point.loss.zip(point.predicted).map(|(own, predicted)| own / predicted - 1.0);
    vec![
        percent(rounded(point.share)),
        point.loss.map_or_else(none, loss),
        point.predicted.map_or_else(none, loss),
        off.map_or_else(none, signed_percent),
        usual,
        alarm,
        point.pit.map_or_else(none, |pit| format!("{pit:.3}")),
        point.change.map_or_else(none, |change| signed_percent(change.exp_m1())),
        point.predicted_change.map_or_else(none, |told| signed_percent((told.predicted + told.limit).exp_m1())),
        point.runs.to_string(),
        match point.place {
            Place::Inside => "inside",
            Place::Doubtful => "doubtful",
            Place::Above => "ABOVE",
            Place::Below => "BELOW",
            Place::Ahead => "ahead",
            Place::OtherSchedule => "other schedule",
            Place::Unjudged => "no answer",
        }
        .to_owned(),
    ]
}

/// Why points have no answer, each reason once, with the first share it is given for.
fn reasons(report: &TrackReport) -> String {
    let mut said: Vec<&str> = Vec::new();
    let mut text = String::new();
    for point in &report.points {
        if let Some(reason) = point.reason.as_deref().filter(|reason| !said.contains(reason)) {
            said.push(reason);
            text += &format!("\nno answer at {}: {}\n", percent(rounded(point.share)), plain(reason));
        }
    }
    text
}
