//! `record`: every forecast a project registered, and how often its intervals held.

use std::fmt::Write as _;

use forescale_core::capability::CapabilityScore;
use forescale_core::ledger::{TrackRecord, TrackedCoverage, TrackedForecast, Uncounted};
use forescale_core::outcome::OrderProof;

use crate::capability::held;
use crate::format::{bounds, flops, interval, loss, percent, plain, signed_percent};
use crate::headline::plural;
use crate::table::Alignment::{Left, Right};
use crate::table::Table;
use crate::tables::NONE;

/// Bars of the histogram of the probability integral transform.
const BARS: usize = 10;
/// With fewer outcomes a histogram shows nothing.
const LEAST_FOR_BARS: usize = 20;

pub(crate) fn track_record(record: &TrackRecord) -> String {
    let open = record.forecasts.len() as u64 - record.scored;
    let mut text = format!(
        "{} registered, {} with an outcome, {open} open; {} with an outcome that counts\n\n{}",
        plural(record.forecasts.len(), "forecast"),
        record.scored,
        record.counted,
        forecasts(record).to_text()
    );
    for coverage in &record.coverage {
        let _ = write!(text, "\n{}", coverage_words(coverage));
    }
    if let (Some(error), Some(crps)) = (record.median_abs_relative_error, record.mean_relative_crps) {
        let _ = write!(
            text,
            "\nmedian error {}, mean CRPS {} of the loss; the target's log named the registration of {} of {}\n",
            fine(error),
            fine(crps),
            record.proven,
            record.counted
        );
    }
    text += &pit(&record.pit);
    text += &capabilities(record);
    if let Some(head) = &record.head {
        let _ = write!(
            text,
            "\nthe chain of {} holds; its head is {}: kept elsewhere, `forescale record --head` tells by it whether a line up to here was changed or left out\n",
            plural(usize::try_from(record.lines).unwrap_or(usize::MAX), "line"),
            plain(head)
        );
    }
    text
}

/// What came of the buckets of problems that were forecast; nothing where none was.
fn capabilities(record: &TrackRecord) -> String {
    let scores = record.forecasts.iter().filter_map(|forecast| forecast.score.as_ref());
    let scores: Vec<CapabilityScore> = scores.flat_map(|score| score.capability.clone()).collect();
    if scores.is_empty() { String::new() } else { format!("\nbuckets of problems: {}\n", held(&scores)) }
}

fn fine(share: f64) -> String {
    format!("{:.2}%", 100.0 * share)
}

fn forecasts(record: &TrackRecord) -> Table {
    let mut table = Table::new(&[
        ("forecast", Left),
        ("registered", Left),
        ("FLOPs", Right),
        ("decades", Right),
        ("predicted", Right),
        ("interval", Right),
        ("actual", Right),
        ("error", Right),
        ("inside", Left),
        ("PIT", Right),
        ("log names it", Left),
        ("counted", Left),
    ]);
    record.forecasts.iter().for_each(|forecast| table.push(row(forecast)));
    table
}

fn row(forecast: &TrackedForecast) -> Vec<String> {
    let none = || NONE.to_owned();
    let score = forecast.score.as_ref();
    let order = |order: OrderProof| match order {
        OrderProof::Digest => "yes",
        OrderProof::Ancestry => "by commits",
        OrderProof::NotProven => "not proven",
    };
    let inside = |inside: bool| if inside { "yes" } else { "NO" };
    vec![
        forecast.sweep.clone(),
        forecast.created_at.get(..10).unwrap_or(&forecast.created_at).to_owned(),
        flops(forecast.flops),
        format!("{:.1}", forecast.decades_beyond_data),
        forecast.predicted.map_or_else(none, loss),
        score.map(|score| &score.interval).or(forecast.interval.as_ref()).map_or_else(none, interval),
        score.map_or_else(|| "open".to_owned(), |score| loss(score.actual)),
        score.map_or_else(none, |score| signed_percent(score.relative_error)),
        score.map_or_else(none, |score| inside(score.inside).to_owned()),
        score.map_or_else(none, |score| format!("{:.3}", score.pit)),
        score.map_or_else(none, |score| order(score.order).to_owned()),
        match forecast.uncounted {
            None if score.is_none() => "will be".to_owned(),
            None => "yes".to_owned(),
            Some(Uncounted::EnteredAfterwards) => "no: entered afterwards".to_owned(),
            Some(Uncounted::Repeats(line)) => format!("no: repeats line {line}"),
        },
    ]
}

fn coverage_words(coverage: &TrackedCoverage) -> String {
    let TrackedCoverage { level, inside, scored, share, mean_relative_interval_score } = coverage;
    let score = mean_relative_interval_score
        .map_or_else(String::new, |score| format!("; mean interval score {} of the loss", fine(score)));
    format!(
        "{inside} of {scored} outcomes inside intervals of {}: {} (so few outcomes allow {}, at the {} level){score}\n",
        percent(*level),
        percent(share.estimate),
        bounds(share, percent),
        percent(share.level)
    )
}

/// The transforms: as they are while they are few, then as counts.
fn pit(values: &[f64]) -> String {
    if values.is_empty() {
        return String::new();
    }
    if values.len() < LEAST_FOR_BARS {
        let values: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
        return format!("PIT {}: even over 0 to 1 where forecasts are as sure as they should be\n", values.join(", "));
    }
    let mut bars = [0_usize; BARS];
    values.iter().for_each(|value| bars[((value * BARS as f64) as usize).min(BARS - 1)] += 1);
    let bars: Vec<String> = bars.iter().map(ToString::to_string).collect();
    format!("PIT by tenths, {}: even where forecasts are as sure as they should be\n", bars.join(" "))
}

#[cfg(test)]
mod tests {
    use forescale_core::estimate::{Estimate, Interval};
    use forescale_core::ledger::TRACK_RECORD_SCHEMA;
    use forescale_core::quantity::LossUnit;

    use super::*;
    use crate::sample;

    fn record() -> TrackRecord {
        let score = sample::of_kind("outside").and_then(|data| data.score).expect("a score");
        let forecast = |sweep: &str, score| TrackedForecast {
            line: 1,
            registration_sha256: "ab".repeat(32),
            sweep: sweep.to_owned(),
            created_at: "2026-11-23T10:00:00Z".to_owned(),
            flops: 4.7e13,
            decades_beyond_data: 1.0,
            metric: "loss".to_owned(),
            unit: LossUnit::NatsPerToken,
            predicted: Some(1.1),
            interval: Some(Interval { level: 0.9, lower: 1.05, upper: 1.17 }),
            score,
            uncounted: None,
        };
        let share = Estimate { estimate: 0.0, standard_error: None, lower: Some(0.0), upper: Some(0.95), level: 0.9 };
        TrackRecord {
            schema: TRACK_RECORD_SCHEMA.to_owned(),
            lines: 3,
            head: Some("cd".repeat(32)),
            pit: vec![score.pit],
            forecasts: vec![forecast("missed", Some(score)), forecast("waiting", None)],
            scored: 1,
            counted: 1,
            proven: 1,
            coverage: vec![TrackedCoverage {
                level: 0.9,
                inside: 0,
                scored: 1,
                share,
                mean_relative_interval_score: Some(0.4),
            }],
            median_abs_relative_error: Some(0.031),
            mean_relative_crps: Some(0.012),
        }
    }

    #[test]
    fn a_miss_is_as_plain_as_a_hit_and_what_is_open_is_counted() {
        let text = track_record(&record());
        assert!(
            text.starts_with("2 forecasts registered, 1 with an outcome, 1 open; 1 with an outcome that counts\n"),
            "{text}"
        );
        let line = |name: &str| text.lines().find(|line| line.starts_with(name)).expect("a line").to_owned();
        assert!(line("missed").contains("NO") && line("waiting").contains("open"), "{text}");
        assert!(line("waiting").contains("1.0500 to 1.1700"), "an open forecast shows its interval: {text}");
        assert!(
            text.contains(
                "0 of 1 outcomes inside intervals of 90%: 0% (so few outcomes allow 0% to 95%, at the 90% level); mean interval score 40.00% of the loss"
            ),
            "{text}"
        );
        assert!(text.contains("the chain of 3 lines holds; its head is cdcd"), "{text}");
    }

    #[test]
    fn what_is_not_counted_says_why() {
        let mut record = record();
        record.forecasts[0].uncounted = Some(Uncounted::Repeats(3));
        record.forecasts[1].uncounted = Some(Uncounted::EnteredAfterwards);
        let text = track_record(&record);
        assert!(text.contains("no: repeats line 3") && text.contains("no: entered afterwards"), "{text}");
    }

    #[test]
    fn many_transforms_are_counted_by_tenths() {
        let values: Vec<f64> = (0..40).map(|i| f64::from(i) / 39.0).collect();
        assert!(pit(&values).starts_with("PIT by tenths, 4 4 4 4 4 4 4 4 4 4: "), "{}", pit(&values));
    }
}
