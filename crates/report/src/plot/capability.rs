//! One task over compute, a series a bucket: the plots of GPT-4's report, figures 2 and 3 (OpenAI, 2023, arXiv:2303.08774),
//! with what the gate kept shut.

use forescale_core::capability::{CapabilityStatus, Measure};
use forescale_core::math;
use forescale_core::panel::{BandPoint, CapabilityCourse, CapabilityPanel, ReportData};
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, range};
use super::element::{Element, Label, Marker, marker_of};
use super::key;
use super::sketch::{Key, Sketch, across};
use crate::format::{loss, percent, scientific};
use crate::headline::plural;
use crate::tables::bucket_name;

/// Styles of series that the style sheet has.
const STYLES: usize = 6;

/// A plot for each task.
pub(crate) fn sketches(data: &ReportData) -> Vec<Sketch> {
    let Some(panel) = &data.capability else { return Vec::new() };
    let mut tasks: Vec<&str> = panel.courses.iter().map(|course| course.forecast.task.as_str()).collect();
    tasks.dedup();
    tasks.into_iter().filter_map(|task| Drawing::of(panel, task)).map(|drawing| drawing.sketch()).collect()
}

/// One task of a panel, with its axes.
struct Drawing<'a> {
    panel: &'a CapabilityPanel,
    task: &'a str,
    courses: Vec<&'a CapabilityCourse>,
    x: Axis,
    y: Axis,
}

impl<'a> Drawing<'a> {
    /// None for a task of which nothing was seen.
    fn of(panel: &'a CapabilityPanel, task: &'a str) -> Option<Self> {
        let courses: Vec<&CapabilityCourse> =
            panel.courses.iter().filter(|course| course.forecast.task == task).collect();
        let rungs = || courses.iter().flat_map(|course| &course.forecast.rungs);
        let measure = courses.iter().find(|course| !course.forecast.rungs.is_empty())?.forecast.measure;
        let ends = courses.iter().filter_map(|course| course.curve.last()).flat_map(|end| [end.lower, end.upper]);
        let reached = courses.iter().filter_map(|course| course.reached);
        let values = rungs().map(|rung| rung.value).chain(ends).chain(reached);
        let y = Axis::linear(measure_name(measure), range(values, 0.08));
        let budgets = rungs().map(|rung| rung.flops).chain([panel.target_flops]).map(math::log10);
        let x = Axis::decades("compute, FLOPs", range(budgets, 0.05), across(y.label_width()));
        Some(Self { panel, task, courses, x, y })
    }

    fn sketch(self) -> Sketch {
        let series = self.courses.iter().enumerate().flat_map(|(index, course)| self.course(index, course));
        Sketch {
            caption: self.caption(),
            alternative: self.alternative(),
            height: 320,
            elements: self.guides().into_iter().chain(series).collect(),
            keys: self.keys(),
            x: self.x,
            y: self.y,
        }
    }

    fn caption(&self) -> String {
        let (task, target) = (self.task, scientific(self.panel.target_flops));
        let shut = self.courses.iter().filter(|course| course.forecast.status == CapabilityStatus::Refused).count();
        let gate = match shut {
            0 => String::new(),
            shut if shut == self.courses.len() => " None has a forecast: marks without a line.".to_owned(),
            1 => " One has no forecast: marks without a line.".to_owned(),
            shut => format!(" {shut} have no forecast: marks without a line."),
        };
        format!(
            "`{task}` by difficulty; lines and bands are forecasts from runs left of the first dashed line, the target is at {target} FLOPs.{gate}"
        )
    }

    fn alternative(&self) -> String {
        let said = self.courses.iter().map(|course| {
            let name = bucket_name(&course.forecast);
            let forecast =
                course.forecast.median.map_or("no forecast".to_owned(), |median| format!("forecast {}", loss(median)));
            let reached = course.reached.map(|reached| format!(", reached {}", loss(reached)));
            format!("{name}: {forecast}{}", reached.unwrap_or_default())
        });
        format!(
            "Task {} over compute, {}. {}.",
            self.task,
            plural(self.courses.len(), "bucket"),
            said.collect::<Vec<_>>().join("; ")
        )
    }

    /// Where what was seen ends, and where the target lies.
    fn guides(&self) -> Vec<Element> {
        let line = |flops: f64, words: &str| {
            let at = math::log10(flops);
            let label = Label { text: words.to_owned(), anchor: (HPos::Right, VPos::Top), offset: (-5, 4) };
            let line = Element::line("guide", [(at, self.y.low), (at, self.y.high)])
                .titled(format!("{words}: {} FLOPs", scientific(flops)));
            [line, Element::text("note", label, (at, self.y.high))]
        };
        [(self.panel.seen_flops, "seen"), (self.panel.target_flops, "target")]
            .into_iter()
            .flat_map(|(flops, words)| line(flops, words))
            .collect()
    }

    fn course(&self, index: usize, course: &CapabilityCourse) -> Vec<Element> {
        let (style, name) = (index % STYLES, bucket_name(&course.forecast));
        let at = |value: fn(&BandPoint) -> f64| move |point: &BandPoint| (math::log10(point.flops), value(point));
        let mut elements = Vec::new();
        if course.curve.len() > 1 {
            let around = course.curve.iter().map(at(|p| p.upper)).chain(course.curve.iter().rev().map(at(|p| p.lower)));
            let level = percent(self.panel.level);
            elements.push(Element::area("band", around).titled(format!("{name}: {level} interval")));
            let line = Element::line(&format!("line s{style}"), course.curve.iter().map(at(|p| p.median)));
            elements.push(line.titled(format!("{name}: forecast")));
        }
        elements.extend(course.forecast.rungs.iter().map(|rung| {
            let bound = if rung.is_bound { ", at least: most problems were never solved" } else { "" };
            let title = format!("{name}: {} at {} FLOPs{bound}", loss(rung.value), scientific(rung.flops));
            Element::mark(&format!("mark s{style}"), marker_of(index), (math::log10(rung.flops), rung.value))
                .titled(title)
        }));
        elements.extend(course.reached.map(|reached| {
            let inside = course
                .score
                .as_ref()
                .map(|score| if score.is_inside { ", inside its interval" } else { ", OUTSIDE its interval" });
            let title =
                format!("{name}: the target reached {}{}", loss(reached), inside.unwrap_or(", which was not forecast"));
            let is_missed = course.score.as_ref().is_some_and(|score| !score.is_inside);
            let class = if is_missed { "mark missed".to_owned() } else { format!("mark s{style} reached") };
            Element::mark(&class, Marker::Diamond, (math::log10(self.panel.target_flops), reached)).titled(title)
        }));
        elements
    }

    fn keys(&self) -> Vec<Key> {
        let buckets = self.courses.iter().enumerate().map(|(index, course)| {
            let style = index % STYLES;
            let shut = if course.forecast.status == CapabilityStatus::Refused { ", no forecast" } else { "" };
            let like = Element::mark(&format!("mark s{style}"), marker_of(index), (0.0, 0.0));
            key(&like, format!("{}{shut}", bucket_name(&course.forecast)))
        });
        buckets.chain(self.outcomes()).collect()
    }

    /// Keys of what the target reached: as forecast or without a forecast, and outside an interval.
    fn outcomes(&self) -> Vec<Key> {
        let is_missed = |course: &&CapabilityCourse| course.score.as_ref().is_some_and(|score| !score.is_inside);
        let reached: Vec<&CapabilityCourse> =
            self.courses.iter().copied().filter(|course| course.reached.is_some()).collect();
        let missed = reached.iter().copied().filter(is_missed).count();
        let like = |class: &str| Element::mark(class, Marker::Diamond, (0.0, 0.0));
        let others = (missed < reached.len())
            .then(|| key(&like("mark target"), "reached by the target, in its bucket's colour"));
        let outside = (missed > 0).then(|| key(&like("mark missed"), "reached, outside its interval"));
        others.into_iter().chain(outside).collect()
    }
}

fn measure_name(measure: Measure) -> &'static str {
    match measure {
        Measure::NegLogP => "mean −log p of the right answer, nats",
        Measure::Accuracy => "share of right answers",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn a_task_has_a_plot_with_its_buckets_forecasts_and_outcomes() {
        let drawn = sketches(&sample::inside());
        assert_eq!(drawn.len(), 2);
        let addition = &drawn[0];
        let of = |class: &str| addition.elements.iter().filter(|element| element.class() == class).count();
        // Five rungs a bucket; a band and a line where the gate is open; three outcomes, one of them missed.
        assert_eq!([of("mark s0"), of("mark s1"), of("mark s2")], [5, 5, 5]);
        assert_eq!([of("band"), of("line s0"), of("line s1"), of("line s2")], [2, 1, 1, 0]);
        assert_eq!([of("mark s0 reached"), of("mark missed"), of("mark s2 reached")], [1, 1, 1]);
        assert!(addition.caption.ends_with("One has no forecast: marks without a line."), "{}", addition.caption);
        assert!(addition.alternative.contains("3 digits: no forecast, reached 3.9000"), "{}", addition.alternative);
        assert!(drawn[1].caption.ends_with("None has a forecast: marks without a line."), "{}", drawn[1].caption);
    }

    #[test]
    fn without_tasks_there_is_no_plot() {
        assert!(sketches(&sample::of_kind("bare").expect("a sample")).is_empty());
    }
}
