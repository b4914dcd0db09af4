//! Runs that differ in their seed alone, around their mean: the noise that no law can take away.

use forescale_core::math;
use forescale_core::panel::{ReportData, SeedRung};

use super::axis::{Axis, range};
use super::element::{Element, Marker};
use super::key;
use super::sketch::{Key, Sketch, across};
use crate::format::{count, loss, percent, scientific, signed_percent};
use crate::headline::plural;

/// The plot, where a rung has more than one seed.
pub(crate) fn sketch(data: &ReportData) -> Option<Sketch> {
    let rungs = &data.seeds;
    if rungs.is_empty() {
        return None;
    }
    let deviations = rungs.iter().flat_map(|rung| rung.runs.iter().map(|run| 100.0 * run.deviation));
    let noise = rungs.iter().filter_map(|rung| rung.relative_sd).flat_map(|sd| [-100.0 * sd, 100.0 * sd]);
    let y = Axis::linear("loss over its rung's mean, %", range(deviations.chain(noise), 0.12));
    let x = Axis::decades(
        "compute, FLOPs",
        range(rungs.iter().map(|rung| math::log10(rung.flops)), 0.08),
        across(y.label_width()),
    );
    let zero = Element::line("zero", [(x.low, 0.0), (x.high, 0.0)]);
    Some(Sketch {
        caption: "Seeds of one rung around their mean; bars are the standard deviation that the fit takes for one run."
            .to_owned(),
        alternative: alternative(rungs),
        height: 280,
        elements: std::iter::once(zero).chain(rungs.iter().flat_map(elements)).collect(),
        keys: keys(rungs),
        x,
        y,
    })
}

fn alternative(rungs: &[SeedRung]) -> String {
    let rung = |rung: &SeedRung| {
        let noise = rung.relative_sd.map(|sd| format!(", standard deviation {}", percent(sd)));
        format!("{} at {} FLOPs{}", plural(rung.runs.len(), "seed"), scientific(rung.flops), noise.unwrap_or_default())
    };
    format!("Seed noise by rung: {}.", rungs.iter().map(rung).collect::<Vec<_>>().join("; "))
}

/// The rung by its size, or by its compute where that is all that is told.
fn place(rung: &SeedRung) -> String {
    rung.params
        .map_or_else(|| format!("{} FLOPs", scientific(rung.flops)), |params| format!("{} parameters", count(params)))
}

fn elements(rung: &SeedRung) -> Vec<Element> {
    let at = math::log10(rung.flops);
    let bar = rung.relative_sd.map(|sd| {
        let title = format!("{}: mean {}, standard deviation over seeds {}", place(rung), loss(rung.mean), percent(sd));
        Element::line("noise bar", [(at, -100.0 * sd), (at, 100.0 * sd)]).titled(title)
    });
    let marks = rung.runs.iter().map(|run| {
        let title = format!("{}: {} from the mean of its rung", run.name, signed_percent(run.deviation));
        Element::mark("mark path", Marker::Circle, (at, 100.0 * run.deviation)).titled(title)
    });
    bar.into_iter().chain(marks).collect()
}

fn keys(rungs: &[SeedRung]) -> Vec<Key> {
    let run = key(&Element::mark("mark path", Marker::Circle, (0.0, 0.0)), "run");
    let noise = rungs.iter().any(|rung| rung.relative_sd.is_some());
    let bar = noise.then(|| key(&Element::line("noise bar", []), "one standard deviation over seeds either way"));
    std::iter::once(run).chain(bar).collect()
}
