//! Capabilities as text: a line a task or bucket, the reason where there is no number, then what is doubted.

use std::fmt::Write as _;

use forescale_core::capability::{
    CapabilityBacktest, CapabilityCase, CapabilityForecast, CapabilityScore, Measure, TaskForecast,
};
use forescale_core::estimate::Interval;

use crate::format::{flops, loss, number, percent, plain};
use crate::headline::{at_level, plural};
use crate::table::{Alignment, Table};
use crate::tables::NONE;
use crate::text::diagnoses;

/// How many buckets have a number.
#[must_use]
pub fn summary(forecast: &CapabilityForecast) -> String {
    let given = forecast.tasks.iter().filter(|task| task.median.is_some()).count();
    format!(
        "{given} of {} of problems are forecast{}",
        plural(forecast.tasks.len(), "bucket"),
        without(forecast.tasks.len() - given)
    )
}

/// What is said of buckets that have no number.
pub(crate) fn without(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "; 1 is not predictable and has no number".to_owned(),
        count => format!("; {count} are not predictable and have no number"),
    }
}

/// How many forecasts of buckets of problems, in nats of mean −log p, came out inside their intervals.
#[must_use]
pub fn held(scores: &[CapabilityScore]) -> String {
    let inside = scores.iter().filter(|score| score.is_inside).count();
    let level = scores.first().map_or_else(String::new, |score| format!(" {}", percent(score.interval.level)));
    let score = mean_score(scores).map_or_else(String::new, |score| format!(" (mean interval score {score:.3} nats)"));
    format!("{inside} of {} lie inside their{level} intervals{score}", plural(scores.len(), "outcome"))
}

/// Mean interval score, in the unit of what was scored.
fn mean_score<'a>(scores: impl IntoIterator<Item = &'a CapabilityScore>) -> Option<f64> {
    let scores: Vec<f64> = scores.into_iter().map(|one| one.interval.score(one.observed)).collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// `forecast` over tasks.
#[must_use]
pub fn forecast(forecast: &CapabilityForecast) -> String {
    let level = percent(forecast.level);
    let interval = format!("{level} of one run");
    let mut table = Table::new(&[
        ("task", Alignment::Left),
        ("largest run", Alignment::Right),
        ("median", Alignment::Right),
        (&interval, Alignment::Right),
        ("by", Alignment::Left),
    ]);
    for task in &forecast.tasks {
        let told = at_level(&task.intervals, forecast.level);
        table.push([
            name(task),
            last_seen(task),
            task.median.map_or_else(|| NONE.to_owned(), |median| measured(task.measure, median)),
            told.map_or_else(|| NONE.to_owned(), |interval| between(task.measure, &interval)),
            task.reason.clone().unwrap_or_else(|| laws(task)),
        ]);
    }
    let mut text = format!("at {} FLOPs\n{}", flops(forecast.target.flops), table.to_text());
    for task in forecast.tasks.iter().filter(|task| !task.diagnoses.is_empty()) {
        let _ = write!(text, "\n{}:{}", plain(&name(task)), diagnoses(&task.diagnoses));
    }
    text + &diagnoses(&forecast.diagnoses)
}

/// What the largest run comes to: at least so much surprise, where most of its problems were not solved often enough to tell.
fn last_seen(task: &TaskForecast) -> String {
    let bound = if task.rungs.last().is_some_and(|rung| rung.is_bound) { "≥ " } else { "" };
    task.last.map_or_else(String::new, |last| format!("{bound}{}", measured(task.measure, last)))
}

/// `score` of the buckets that were sealed with a number; nothing without any.
pub(crate) fn scores(scores: &[CapabilityScore]) -> String {
    if scores.is_empty() {
        return String::new();
    }
    let mut table = Table::new(&[
        ("task", Alignment::Left),
        ("bucket", Alignment::Right),
        ("predicted", Alignment::Right),
        ("interval", Alignment::Right),
        ("reached", Alignment::Right),
        ("", Alignment::Left),
    ]);
    for one in scores {
        table.push([
            plain(&one.task),
            one.bucket.map_or_else(String::new, |bucket| bucket.to_string()),
            loss(one.median),
            crate::format::interval(&one.interval),
            loss(one.observed),
            if one.is_inside { "inside" } else { "outside" }.to_owned(),
        ]);
    }
    format!("\n{}", table.to_text())
}

/// `fit` over tasks: what each law says within the data, by its parameters.
#[must_use]
pub fn laws_of(forecast: &CapabilityForecast) -> String {
    let mut text = String::new();
    for task in &forecast.tasks {
        let seen: usize = task.rungs.iter().map(|rung| rung.runs).sum();
        let _ = writeln!(text, "{}: {seen} runs on {} rungs", plain(&name(task)), task.rungs.len());
        for law in &task.laws {
            let told: Vec<String> =
                law.parameters.iter().map(|one| format!("{} = {}", one.symbol, number(one.estimate))).collect();
            let _ = writeln!(text, "  {} ({}): {}", law.law, percent(law.weight), told.join(", "));
        }
        if let Some(reason) = &task.reason {
            let _ = writeln!(text, "  {reason}");
        }
        text += &diagnoses(&task.diagnoses);
    }
    text
}

/// `backtest` over tasks: case by case, then how it went.
#[must_use]
pub fn backtest(report: &CapabilityBacktest) -> String {
    if report.cases.is_empty() {
        return "no case: too few runs lie far enough below the largest\n".to_owned();
    }
    let scored = report.cases.iter().find_map(|case| case.score.as_ref());
    let level = percent(scored.map_or(0.9, |score| score.interval.level));
    let mut table = Table::new(&[
        ("task", Alignment::Left),
        ("run", Alignment::Left),
        ("actual", Alignment::Right),
        ("median", Alignment::Right),
        (&format!("{level} of one run"), Alignment::Right),
        ("", Alignment::Left),
    ]);
    report.cases.iter().for_each(|case| table.push(cells(case)));
    let error =
        report.mean_absolute_error.map_or_else(|| NONE.to_owned(), |error| format!("{:.2} points", 100.0 * error));
    let held = report.coverage.map_or_else(|| NONE.to_owned(), percent);
    let score = mean_score(report.cases.iter().filter_map(|case| case.score.as_ref()));
    let score = score.map_or_else(String::new, |score| format!(", mean interval score {:.2} points", 100.0 * score));
    format!(
        "{}\n{} of {} cases answered; mean absolute error {error}; {level} intervals held {held}{score}\n",
        table.to_text(),
        report.cases.iter().filter(|case| case.score.is_some()).count(),
        report.cases.len(),
    )
}

fn cells(case: &CapabilityCase) -> [String; 6] {
    let measure = case.forecast.measure;
    let told = |of: Option<String>| of.unwrap_or_else(|| NONE.to_owned());
    let mark = match &case.score {
        Some(score) if score.is_inside => "inside".to_owned(),
        Some(_) => "outside".to_owned(),
        None => case.forecast.reason.clone().unwrap_or_default(),
    };
    [
        name(&case.forecast),
        case.run_id.clone(),
        measured(measure, case.actual),
        told(case.score.as_ref().map(|score| measured(measure, score.median))),
        told(case.score.as_ref().map(|score| between(measure, &score.interval))),
        mark,
    ]
}

pub(crate) fn name(task: &TaskForecast) -> String {
    task.bucket_name.as_ref().map_or_else(|| task.task.clone(), |bucket| format!("{}, {bucket}", task.task))
}

fn laws(task: &TaskForecast) -> String {
    task.laws.iter().map(|law| law.law.as_str()).collect::<Vec<_>>().join(", ")
}

fn measured(measure: Measure, value: f64) -> String {
    match measure {
        Measure::NegLogP => format!("{} nats", loss(value)),
        Measure::Accuracy => percent(value),
    }
}

fn between(measure: Measure, interval: &Interval) -> String {
    format!("{} to {}", measured(measure, interval.lower), measured(measure, interval.upper))
}
