//! What each table of a report holds, column by column; page, pull request and terminal draw the same ones.

mod capability;
mod proof;
mod split;

use std::collections::BTreeSet;

use forescale_core::estimate::Estimate;
use forescale_core::observation::{Exclusion, FlopsPerProduct};
use forescale_core::outcome::{BacktestReport, FittedLaw, ForecastTarget, LawPrediction, Severity, Verdict};
use forescale_core::panel::{ReportData, RunRow};
use forescale_core::record::RunStatus;
use forescale_core::run::Role;

use crate::format::{
    bounds, count, duration, flops, interval, loss, number, percent, scientific, signed_percent, times,
};
use crate::table::Alignment::{Left, Right};
use crate::table::Table;
pub(crate) use capability::{Unforeseen, bucket_name, capabilities, unforeseen};
pub(crate) use proof::{certificate, certificates, checklist, status_word};
pub(crate) use split::{approach_label, approaches, assumptions, costs, refusals};

/// Shown where there is no number.
pub(crate) const NONE: &str = "–";

/// Parameters of a law with their intervals, each symbol as `show_symbol` writes it.
pub(crate) fn parameters(law: &FittedLaw, show_symbol: fn(&str) -> String) -> Table {
    let mut table = Table::new(&[
        ("parameter", Left),
        ("estimate", Right),
        ("interval", Right),
        ("level", Right),
        ("standard error", Right),
    ]);
    for (symbol, estimate) in &law.parameters {
        table.push(estimate_cells(&show_symbol(symbol), estimate, number));
    }
    table
}

fn estimate_cells(name: &str, estimate: &Estimate, show: fn(f64) -> String) -> Vec<String> {
    let error = estimate.standard_error.map_or_else(|| NONE.to_owned(), show);
    vec![name.to_owned(), show(estimate.estimate), bounds(estimate, show), percent(estimate.level), error]
}

/// What each law said at the target.
pub(crate) fn predictions(laws: &[LawPrediction]) -> Table {
    let mut table = Table::new(&[
        ("law", Left),
        ("weight", Right),
        ("prediction", Right),
        ("interval if law true", Right),
        ("level", Right),
    ]);
    for said in laws {
        let (prediction, weight) = (&said.prediction, format!("{:.3}", said.weight));
        table.push([
            said.law.clone(),
            weight,
            loss(prediction.estimate),
            bounds(prediction, loss),
            percent(prediction.level),
        ]);
    }
    table
}

/// Compute-optimal size and data at the target's budget, by the law that they are read from.
pub(crate) fn optimum(target: &ForecastTarget) -> Option<Table> {
    let optimum = target.optimum.as_ref()?;
    let by = optimum.law.as_ref().map(|law| format!(", by {law}")).unwrap_or_default();
    let mut table = Table::new(&[
        (&format!("compute-optimal for {} FLOPs{by}", scientific(target.flops)), Left),
        ("estimate", Right),
        ("interval", Right),
        ("level", Right),
        ("standard error", Right),
    ]);
    table.push(estimate_cells("parameters N", &optimum.params, count));
    table.push(estimate_cells("tokens D", &optimum.tokens, count));
    if let Some([name, median, span]) = optimum.flops_per_product.as_ref().and_then(per_product) {
        table.push([name, median, span, "all runs".to_owned(), NONE.to_owned()]);
    }
    Some(table)
}

/// What a parameter and token cost in the runs, by which a budget was split: name, median and range; nothing to say of 6.
pub(crate) fn per_product(of: &FlopsPerProduct) -> Option<[String; 3]> {
    let span = format!("{} to {}", number(of.lowest), number(of.highest));
    (!of.is_six()).then(|| ["C/(N·D), median of the runs".to_owned(), number(of.median), span])
}

/// Intervals of a forecast: for one run, by the laws as they are carried to the target, and for the mean, by the same laws
/// fitted to every run alike, which is another estimate, takes the laws for granted, and need not hold the median.
pub(crate) fn intervals(target: &ForecastTarget) -> Table {
    let mut table = Table::new(&[("level", Left), ("one run", Right), ("mean if law true", Right)]);
    for shown in &target.intervals {
        let mean = crate::headline::at_level(&target.mean_intervals, shown.level);
        table.push([percent(shown.level), interval(shown), mean.map_or_else(|| NONE.to_owned(), |m| interval(&m))]);
    }
    table
}

/// A backtest by ratio.
pub(crate) fn backtest_summary(report: &BacktestReport) -> Table {
    let mut table = Table::new(&[
        ("ratio", Left),
        ("cases", Right),
        ("median error", Right),
        ("mean error", Right),
        ("inside 90%", Right),
        ("width", Right),
        ("interval score", Right),
        ("CRPS", Right),
    ]);
    let told = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), |share| format!("{:.2}%", 100.0 * share));
    for row in &report.summary {
        let errors = [row.median_abs_relative_error, row.mean_abs_relative_error].map(|e| format!("{:.2}%", 100.0 * e));
        let [median, mean] = errors;
        let [width, score] = [row.mean_width_90, row.mean_interval_score_90].map(told);
        let inside = percent(row.coverage_90);
        table.push([times(row.ratio), row.n.to_string(), median, mean, inside, width, score, loss(row.crps)]);
    }
    table
}

/// A backtest case by case.
pub(crate) fn backtest_cases(report: &BacktestReport) -> Table {
    let grouped = report.cases.iter().any(|case| case.group.is_some());
    let columns = [
        ("group", Left),
        ("target", Left),
        ("law", Left),
        ("mode", Left),
        ("ratio", Right),
        ("fitted", Right),
        ("predicted", Right),
        ("interval", Right),
        ("actual", Right),
        ("error", Right),
    ];
    let first = usize::from(!grouped);
    let mut table = Table::new(&columns[first..]);
    for case in &report.cases {
        let shown = crate::headline::at_level(&case.intervals, 0.9).or_else(|| case.intervals.first().copied());
        let cells = [
            case.group.clone().unwrap_or_else(|| NONE.to_owned()),
            case.target_run_id.clone(),
            case.law.clone(),
            case.mode.clone(),
            times(case.ratio),
            case.n_fit.to_string(),
            loss(case.predicted),
            shown.map_or_else(|| NONE.to_owned(), |i| format!("{} ({})", interval(&i), percent(i.level))),
            loss(case.actual),
            signed_percent(case.relative_error),
        ];
        table.push(cells.into_iter().skip(first));
    }
    table
}

/// Every run, used or not.
pub(crate) fn runs(data: &ReportData) -> Table {
    let columns = [
        ("run", Left),
        ("role", Left),
        ("N", Right),
        ("D", Right),
        ("FLOPs", Right),
        ("seed", Right),
        ("loss", Right),
        ("± s.e.", Right),
        ("time", Right),
        ("state", Left),
    ];
    let mut table = Table::new(&columns);
    for run in &data.runs {
        table.push(run_cells(run));
    }
    table
}

fn run_cells(run: &RunRow) -> Vec<String> {
    let or_none = |text: Option<String>| text.unwrap_or_else(|| NONE.to_owned());
    vec![
        run.name.clone(),
        or_none(run.role.map(|role| role_label(role).to_owned())),
        or_none(run.params.map(count)),
        or_none(run.tokens.map(count)),
        flops(run.flops),
        or_none(run.seed.map(|seed| seed.to_string())),
        or_none(run.loss.map(loss)),
        or_none(run.loss_se.map(loss)),
        or_none(run.wall_seconds.map(duration)),
        or_none(run.status.map(|status| status_label(status).to_owned())),
    ]
}

/// What a run was for, in words.
pub(crate) fn role_label(role: Role) -> &'static str {
    match role {
        Role::Path => "ladder",
        Role::OffPath => "off path",
        Role::Target => "target",
    }
}

/// How a run ended, in words.
pub(crate) fn status_label(status: RunStatus) -> &'static str {
    match status {
        RunStatus::Finished => "finished",
        RunStatus::Diverged => "diverged",
        RunStatus::Stopped => "stopped",
    }
}

/// Runs that are not in every fit, with the reason.
pub(crate) fn exclusions(data: &ReportData) -> Table {
    let mut table = Table::new(&[("run", Left), ("not in", Left), ("reason", Left)]);
    for run in &data.runs {
        if let Some(reason) = &run.excluded {
            table.push([run.name.clone(), absent_from(data, &run.run_id), reason.clone()]);
        }
    }
    let listed: BTreeSet<&str> = data.runs.iter().filter(|r| r.excluded.is_some()).map(|r| r.run_id.as_str()).collect();
    for (law, left_out) in left_out(data).filter(|(_, left_out)| !listed.contains(left_out.run_id.as_str())) {
        table.push([run_name(data, &left_out.run_id), law.law.clone(), left_out.reason.label().to_owned()]);
    }
    table
}

fn left_out(data: &ReportData) -> impl Iterator<Item = (&FittedLaw, &Exclusion)> {
    data.laws.iter().flat_map(|law| law.excluded.iter().map(move |left_out| (law, left_out)))
}

fn absent_from(data: &ReportData, run_id: &str) -> String {
    let laws: BTreeSet<&str> =
        left_out(data).filter(|(_, e)| e.run_id == run_id).map(|(law, _)| law.law.as_str()).collect();
    if laws.is_empty() { NONE.to_owned() } else { laws.into_iter().collect::<Vec<_>>().join(", ") }
}

fn run_name(data: &ReportData, run_id: &str) -> String {
    data.runs.iter().find(|run| run.run_id == run_id).map_or_else(|| run_id.to_owned(), |run| run.name.clone())
}

/// A check, number by number.
pub(crate) fn check_items(verdict: &Verdict) -> Table {
    let mut table = Table::new(&[
        ("number", Left),
        ("baseline", Right),
        ("now", Right),
        ("allowed", Right),
        ("held", Left),
        ("why that much", Left),
    ]);
    for item in &verdict.items {
        let held = if item.held { "yes" } else { "NO" };
        let allowed = format!("±{}", number(item.tolerance));
        table.push([
            item.name.clone(),
            exact(item.baseline),
            exact(item.current),
            allowed,
            held.to_owned(),
            item.tolerance_reason.clone(),
        ]);
    }
    table
}

/// Eight significant digits: a drift may be small.
fn exact(value: f64) -> String {
    let text = format!("{value:.7e}").parse::<f64>().unwrap_or(value);
    if text != 0.0 && (text.abs() < 1e-4 || text.abs() >= 1e9) { format!("{text:e}") } else { format!("{text}") }
}

/// The objective, in words.
pub(crate) fn objective(law: &FittedLaw) -> String {
    let delta = law.objective.delta.map(|delta| format!(" with delta {delta}"));
    let value = number(law.objective.value);
    let interval =
        law.interval.as_deref().map_or_else(String::new, |how| format!("; intervals: {}", interval_words(how)));
    format!(
        "{}{}, {value} at the optimum; residual rms {}{interval}",
        law.objective.kind,
        delta.unwrap_or_default(),
        percent_fine(law.residual_rms)
    )
}

/// How intervals were made, by the name that the JSON has.
fn interval_words(method: &str) -> &str {
    match method {
        "profile" => "profile likelihood",
        "pairs" => "bootstrap of runs",
        "cluster" => "bootstrap of clusters of runs",
        "parametric" => "parametric bootstrap",
        other => other,
    }
}

fn percent_fine(share: f64) -> String {
    format!("{:.2}% of loss", 100.0 * share)
}

/// Weight of a diagnosis, in words.
pub(crate) fn severity_label(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
