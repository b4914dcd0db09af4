//! What a decision rests on besides the number: the best split and its cost, the record at that distance, the doubt.

use forescale_core::cost::Cost;
use forescale_core::outcome::{BacktestSummary, ForecastStatus, ForecastTarget, Optimum};
use forescale_core::panel::ReportData;

use super::Figure;
use crate::format::{bounds, count, device_time, money, percent, scientific, times};

/// The doubt by which a best split is not one of the forecast.
const OPTIMUM_UNHEARD: &str = "optimum_unheard";

/// The second and third sentence of the decision; none where no number was given.
pub(super) fn grounds(data: &ReportData) -> Vec<String> {
    match data.forecast.as_ref().filter(|forecast| forecast.status == ForecastStatus::Forecast) {
        Some(forecast) => {
            let capable = data.capability.as_ref().map(super::capabilities);
            split(data, forecast).into_iter().chain(capable).chain([against(data)]).collect()
        }
        None => Vec::new(),
    }
}

/// The best split, unless no law that tells size from data has a say in the forecast.
fn heard<'a>(data: &ReportData, forecast: &'a ForecastTarget) -> Option<&'a Optimum> {
    let is_unheard = data.diagnoses.iter().any(|doubt| doubt.code == OPTIMUM_UNHEARD);
    forecast.optimum.as_ref().filter(|_| !is_unheard)
}

/// Ends of an interval further apart than this tell no size: a budget split at one of them is wasted at the other.
const UNTOLD: f64 = 30.0;

/// Whether the runs tell the best split at all.
fn is_told(best: &Optimum) -> bool {
    best.params.lower.zip(best.params.upper).is_some_and(|(lower, upper)| upper / lower <= UNTOLD)
}

/// The law that a split is read from, and how much it has to say in the forecast.
fn by_law(best: &Optimum, forecast: &ForecastTarget) -> String {
    let Some(law) = &best.law else { return String::new() };
    let weight = forecast.laws.iter().find(|one| one.law == *law).map(|one| one.weight);
    let unweighted =
        if weight.is_some_and(|weight| weight < 0.01) { ", which has no weight in the forecast," } else { "" };
    format!("by the law `{law}`{unweighted} ")
}

/// Where the budget is best spent, and what it costs under which assumptions.
fn split(data: &ReportData, forecast: &ForecastTarget) -> Option<String> {
    let budget = scientific(forecast.flops);
    let found = heard(data, forecast);
    if let Some(best) = found.filter(|best| !is_told(best)) {
        let comes =
            data.decision.costs.first().map(|cost| format!(" It comes to {}.", price(cost))).unwrap_or_default();
        return Some(format!(
            "These runs do not tell how its compute of {budget} FLOPs is best spent: {}it could be on {} parameters.{comes}",
            by_law(best, forecast),
            bounds(&best.params, count)
        ));
    }
    let best = found.map(|best| {
        let by = by_law(best, forecast);
        format!(
            "{by}on {} parameters ({} interval {}) and {} tokens ({})",
            count(best.params.estimate),
            percent(best.params.level),
            bounds(&best.params, count),
            count(best.tokens.estimate),
            bounds(&best.tokens, count)
        )
    });
    match (best, data.decision.costs.first().map(price)) {
        (Some(best), Some(price)) => {
            Some(format!("Its compute of {budget} FLOPs is best spent {best}, and comes to {price}."))
        }
        (Some(best), None) => Some(format!("Its compute of {budget} FLOPs is best spent {best}.")),
        (None, Some(price)) => {
            Some(format!("Its compute of {budget} FLOPs comes to {price}; no law here says how it is best split."))
        }
        (None, None) => None,
    }
}

fn price(cost: &Cost) -> String {
    // The first two of a cost's assumptions are those of time and price (core::cost).
    let rests_on = cost.assumptions.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" and ");
    let told = if rests_on.is_empty() { String::new() } else { format!(", if {rests_on}") };
    format!("{} of one {} or {}{told}", device_time(cost.gpu_hours), cost.hardware, money(cost.money, &cost.currency))
}

/// What backtests missed by at this distance, and the heaviest doubt.
fn against(data: &ReportData) -> String {
    let record = data.decision.backtest.as_ref().map_or_else(
        || {
            "There is no track record: these runs are too few for any of them to be forecast from smaller ones"
                .to_owned()
        },
        |row| {
            format!(
                "On runs already known the same laws, weighed alike, missed by {:.1}% at the median from {} away ({})",
                100.0 * row.median_abs_relative_error,
                times(row.ratio),
                held(row)
            )
        },
    );
    match &data.decision.doubt {
        Some(doubt) => format!("{record}; the strongest doubt: {}.", doubt.message.trim_end_matches('.')),
        None => format!("{record}; nothing else speaks against it."),
    }
}

/// How many of so many intervals held.
fn held(row: &BacktestSummary) -> String {
    let level = percent(0.9);
    let score =
        row.mean_interval_score_90.map_or_else(String::new, |score| format!(", interval score {}", percent(score)));
    match (row.n, row.coverage_90 > 0.5) {
        (1, true) => format!("one case, inside its {level} interval{score}"),
        (1, false) => format!("one case, outside its {level} interval{score}"),
        (n, _) => format!("{n} cases, {} inside {level} intervals{score}", percent(row.coverage_90)),
    }
}

/// Best size, best data, time and price as figures.
pub(super) fn figures(data: &ReportData, forecast: &ForecastTarget) -> Vec<Figure> {
    let best = heard(data, forecast).filter(|best| is_told(best));
    let size = best.map(|best| Figure {
        name: "Best size N",
        value: count(best.params.estimate),
        note: bounds(&best.params, count),
        class: "",
    });
    let tokens = best.map(|best| Figure {
        name: "Best data D",
        value: count(best.tokens.estimate),
        note: bounds(&best.tokens, count),
        class: "",
    });
    let cost = data.decision.costs.first();
    let time = cost.map(|cost| Figure {
        name: "Device time",
        value: device_time(cost.gpu_hours),
        note: format!("one {}", cost.hardware),
        class: "",
    });
    let price = cost.map(|cost| Figure {
        name: "Price",
        value: money(cost.money, &cost.currency),
        note: format!("{} FLOPs", scientific(cost.flops)),
        class: "",
    });
    [size, tokens, time, price].into_iter().flatten().collect()
}
