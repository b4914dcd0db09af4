//! What a probe said, in sentences and tables: page, terminal and pull request show the same.

use std::fmt::Write as _;

use forescale_core::estimate::Estimate;
use forescale_core::probe::{
    CollapseFinding, CoordFinding, Finding, FloorSource, HorizonTransfer, ProbeReport, ProbeVerdict, RateCell,
    RateFinding, ScaleCheck,
};

use crate::format::{bounds, count, minus, number, percent, times};
use crate::headline::plural;
use crate::markdown::escape;
use crate::table::Alignment::{Left, Right};
use crate::table::Table;
use crate::tables::{NONE, severity_label};
use crate::{ReportError, validate};

/// A table under its name.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) table: Table,
}

/// A probe as Markdown.
///
/// # Errors
///
/// [`ReportError::NotDrawable`] when a number is not one.
pub fn probe_markdown(report: &ProbeReport) -> Result<String, ReportError> {
    validate::probe(report)?;
    let mut text = format!("# Probe {} of {}\n\n{}\n", report.name(), escape(&report.sweep), escape(&sentence(report)));
    for named in tables(report) {
        let _ = write!(text, "\n## {}\n\n{}", escape(&named.name), named.table.to_markdown());
    }
    for doubt in &report.diagnoses {
        let (weight, message, hint) = (severity_label(doubt.severity), escape(&doubt.message), escape(&doubt.hint));
        let _ = write!(text, "\n- **{weight}**: {message} ({hint})");
    }
    Ok(text.trim_end().to_owned() + "\n")
}

/// How a verdict is said.
pub(crate) fn word(verdict: ProbeVerdict) -> &'static str {
    match verdict {
        ProbeVerdict::Passes => "passes",
        ProbeVerdict::Fails => "FAILS",
        ProbeVerdict::Undecided => "undecided",
    }
}

/// The answer in one sentence.
pub(crate) fn sentence(report: &ProbeReport) -> String {
    let opening = format!("{} under `{}`: ", word(report.verdict), report.parametrization.name());
    opening
        + &match &report.finding {
            Finding::Coord(finding) => coord_sentence(finding),
            Finding::Lr(finding) => rate_sentence(finding),
            Finding::Collapse(finding) => collapse_sentence(finding),
        }
}

fn coord_sentence(finding: &CoordFinding) -> String {
    let over = |check: &ScaleCheck| {
        let held = check.places.iter().filter(|place| place.passes == Some(true)).count();
        let ends = [check.sizes.first(), check.sizes.last()].map(|size| size.copied().unwrap_or_default());
        let along = check.along.label();
        format!(
            "{held} of {} keep their scale over {along} {} to {}",
            plural(check.places.len(), "activation"),
            ends[0],
            ends[1]
        )
    };
    let checks: Vec<String> = finding.checks.iter().map(over).collect();
    format!(
        "after {} at {} the rate {} (power within ±{})",
        plural(finding.steps as usize, "step"),
        times(finding.rate_factor),
        checks.join(", and "),
        finding.limit
    )
}

fn rate_sentence(finding: &RateFinding) -> String {
    let apart = |known: Option<f64>, least: Option<f64>| match (known, least) {
        (Some(spread), _) => format!("within {spread:.2}×"),
        (None, Some(least)) if least > finding.allowed_factor => format!("at least {least:.2}× apart"),
        _ => "not all placed".to_owned(),
    };
    let of = |horizon: &HorizonTransfer| {
        let spread = apart(horizon.spread, horizon.spread_at_least);
        format!("{spread} at {} tokens per parameter", horizon.tokens_per_param)
    };
    let mut compared: Vec<String> = finding.horizons.iter().map(of).collect();
    if compared.len() > 1 {
        let overall = finding.overall;
        compared.push(format!("{} over all horizons", apart(overall.spread, overall.spread_at_least)));
    }
    let allowed = times(finding.allowed_factor);
    let law = finding.horizon_law.map(|law| {
        let exponent = &law.horizon_exponent;
        format!("; `horizon_exponent` {:.2} ({})", exponent.estimate, bounds(exponent, |x| minus(&format!("{x:.2}"))))
    });
    format!("the best rates of the widths are {} ({allowed} passes){}", compared.join(", "), law.unwrap_or_default())
}

fn collapse_sentence(finding: &CollapseFinding) -> String {
    let held = finding.rungs.iter().filter(|rung| rung.passes).count();
    let worst = finding.rungs.iter().map(|rung| rung.deviation).fold(0.0, f64::max);
    let of = plural(finding.rungs.len(), "rung");
    let floor = floor_word(finding.floor_source);
    let furthest = fine(worst);
    format!(
        "the loss curves of {held} of {of} fall together above the {floor} irreducible loss; the furthest lies {furthest} from the others"
    )
}

fn floor_word(source: FloorSource) -> &'static str {
    match source {
        FloorSource::Exact => "exact",
        FloorSource::Fitted => "fitted",
    }
}

/// What a floor was moved by, where curves are measured on a part of the set.
fn shifted(shift: f64) -> String {
    let moved = minus(&format!("{shift:+.4}"));
    if shift.abs() < 5e-5 { String::new() } else { format!(" ({moved} on the part of the curves)") }
}

/// A deviation, to a tenth of a per cent.
fn fine(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// Every table of a probe.
pub(crate) fn tables(report: &ProbeReport) -> Vec<Named> {
    match &report.finding {
        Finding::Coord(finding) => finding.checks.iter().map(slopes).collect(),
        Finding::Lr(finding) => {
            [Some(transfers(finding)), Some(best_rates(finding)), horizon_law(finding)].into_iter().flatten().collect()
        }
        Finding::Collapse(finding) => vec![deviations(finding)],
    }
}

fn slopes(check: &ScaleCheck) -> Named {
    let steps: Vec<u64> =
        check.places.first().map(|place| place.slopes.iter().map(|slope| slope.step).collect()).unwrap_or_default();
    let heads: Vec<String> = steps.iter().map(|step| format!("step {step}")).collect();
    let mut columns = vec![("activation", Left)];
    columns.extend(heads.iter().map(|head| (head.as_str(), Right)));
    columns.extend([("90% interval", Right), ("verdict", Left)]);
    let mut table = Table::new(&columns);
    for place in &check.places {
        let slope = |slope: Option<Estimate>| slope.map_or_else(|| NONE.to_owned(), |slope| signed(slope.estimate));
        let last = place.slopes.last().and_then(|last| last.slope);
        let mut row = vec![place.place.clone()];
        row.extend(place.slopes.iter().map(|step| slope(step.slope)));
        row.push(last.map_or_else(|| NONE.to_owned(), |slope| bounds(&slope, signed)));
        row.push(held(place.passes).to_owned());
        table.push(row);
    }
    let sizes: Vec<String> = check.sizes.iter().map(u32::to_string).collect();
    Named { name: format!("Power of {} that mean |x| goes as, over {}", check.along.label(), sizes.join(", ")), table }
}

fn signed(value: f64) -> String {
    minus(&format!("{value:+.3}"))
}

fn held(passes: Option<bool>) -> &'static str {
    match passes {
        Some(true) => "passes",
        Some(false) => "FAILS",
        None => "undefined",
    }
}

fn transfers(finding: &RateFinding) -> Named {
    let mut table =
        Table::new(&[("tokens per parameter", Left), ("largest best over smallest", Right), ("verdict", Left)]);
    let mut row = |name: String, known: Option<f64>, least: Option<f64>, passes: Option<bool>| {
        let least = || least.map_or_else(|| NONE.to_owned(), |least| format!("≥ {least:.2}×"));
        table.push([name, known.map_or_else(least, |spread| format!("{spread:.2}×")), decided(passes).to_owned()]);
    };
    for horizon in &finding.horizons {
        row(horizon.tokens_per_param.to_string(), horizon.spread, horizon.spread_at_least, horizon.passes);
    }
    let overall = finding.overall;
    row("all together".to_owned(), overall.spread, overall.spread_at_least, overall.passes);
    Named { name: "How far the best rates lie apart, each over the recipe's own".to_owned(), table }
}

fn decided(passes: Option<bool>) -> &'static str {
    if passes.is_none() { word(ProbeVerdict::Undecided) } else { held(passes) }
}

fn best_rates(finding: &RateFinding) -> Named {
    let mut table = Table::new(&[
        ("run", Left),
        ("D", Right),
        ("recipe's rate", Right),
        ("best over it", Right),
        ("90% interval", Right),
        ("best rate", Right),
        ("lowest loss", Right),
    ]);
    for cell in &finding.cells {
        let factor =
            |show: &dyn Fn(&Estimate) -> String| cell.best_factor.as_ref().map_or_else(|| NONE.to_owned(), show);
        table.push([
            cell_name(cell),
            count(cell.tokens),
            number(cell.recipe_rate),
            factor(&|factor| format!("{:.2}×", factor.estimate)),
            factor(&|factor| bounds(factor, |x| format!("{x:.2}"))),
            cell.best_rate.map_or_else(|| NONE.to_owned(), |rate| number(rate.estimate)),
            lowest(cell).map_or_else(|| NONE.to_owned(), crate::format::loss),
        ]);
    }
    Named { name: "Best rate by width and horizon, at base width".to_owned(), table }
}

/// A cell's width and horizon.
pub(crate) fn cell_name(cell: &RateCell) -> String {
    format!("d{}-{}x", cell.width, cell.tokens_per_param)
}

/// The loss at the vertex, or of the lowest run.
pub(crate) fn lowest(cell: &RateCell) -> Option<f64> {
    let runs = cell.trials.iter().filter_map(|trial| trial.loss);
    cell.parabola.map(|parabola| parabola.minimum).or_else(|| runs.min_by(f64::total_cmp))
}

fn horizon_law(finding: &RateFinding) -> Option<Named> {
    let law = finding.horizon_law?;
    let mut table = Table::new(&[("key under [training]", Left), ("value", Right), ("90% interval", Right)]);
    let exponent = &law.horizon_exponent;
    table.push(["horizon_exponent".to_owned(), number(exponent.estimate), bounds(exponent, number)]);
    table.push(["base_tokens".to_owned(), number(law.base_tokens), NONE.to_owned()]);
    table.push(["learning_rate".to_owned(), number(law.learning_rate), NONE.to_owned()]);
    table.push(["embedding_learning_rate".to_owned(), number(law.embedding_learning_rate), NONE.to_owned()]);
    Some(Named { name: "How the best rate falls with data".to_owned(), table })
}

fn deviations(finding: &CollapseFinding) -> Named {
    let mut table =
        Table::new(&[("rung", Left), ("seeds", Right), ("deviation", Right), ("limit", Right), ("verdict", Left)]);
    for rung in &finding.rungs {
        table.push([
            rung.name.clone(),
            rung.seeds.to_string(),
            fine(rung.deviation),
            fine(rung.limit),
            held(Some(rung.passes)).to_owned(),
        ]);
    }
    let noise = finding.seed_noise.map_or_else(|| "unknown".to_owned(), fine);
    let (from, floor) = (percent(finding.from), crate::format::loss(finding.floor.estimate));
    let name = format!(
        "Distance from the other rungs' curve, from {from} of the run on; {} irreducible loss {floor}{}, seed noise {noise}",
        floor_word(finding.floor_source),
        shifted(finding.part_shift)
    );
    Named { name, table }
}

#[cfg(test)]
pub(crate) mod tests;
