//! Which law, and why that one.

use forescale_core::checklist::{Item, Section};
use forescale_core::law::LawName;
use forescale_core::outcome::FittedLaw;

use super::{Asked, Known, joined};

/// Codes that speak against a form.
const AGAINST: [&str; 6] =
    ["model_form", "laws_disagree", "residual_bend", "residual_pattern", "not_asymptotic", "no_floor"];

pub(super) fn items(asked: &Asked<'_>) -> Vec<Item> {
    let item = |question: &str, known: Known| known.item(Section::Hypothesis, question);
    vec![
        item("Which form is fitted?", forms(asked)),
        item("Why this form, and how much does each count?", weights(asked)),
        item("Does anything speak against the form?", against(asked)),
        item("How is the floor known?", floors(asked)),
    ]
}

fn law_of(fit: &FittedLaw) -> Option<LawName> {
    LawName::all().into_iter().find(|law| law.to_string() == fit.law)
}

fn group(fit: &FittedLaw) -> String {
    fit.group.as_ref().map_or_else(String::new, |group| format!(" of group `{group}`"))
}

fn forms(asked: &Asked<'_>) -> Known {
    let form = |fit: &FittedLaw| {
        let formula = law_of(fit).map_or_else(|| "unnamed form", |law| law.form().formula());
        format!("`{}`: {formula}, to {} points{}", fit.law, fit.n, group(fit))
    };
    Known::or(joined(asked.fits.fits.iter().map(form)), "no law was fitted")
}

/// The laws' weights at the first target that has any.
fn weights(asked: &Asked<'_>) -> Known {
    let laws = asked.forecast.and_then(|f| f.targets.iter().map(|t| &t.laws).find(|laws| !laws.is_empty()));
    let Some(laws) = laws else {
        return Known::Missing("no forecast weighs the laws; `forecast` does, by backtests on these runs".to_owned());
    };
    let is_tested = asked.forecast.is_some_and(|forecast| forecast.backtest.is_some());
    let by = if is_tested {
        "weighed by how each did on runs already known"
    } else {
        "weighed alike: there was no backtest to tell them apart"
    };
    let shares: Vec<String> = laws.iter().map(|law| format!("`{}` {:.2}", law.law, law.weight)).collect();
    Known::Told(format!("{by}: {}", shares.join(", ")))
}

fn against(asked: &Asked<'_>) -> Known {
    let none = "no test of the residuals does, and the laws agree within their intervals where more than one was asked";
    Known::Told(none.to_owned()).unless(&asked.said(&AGAINST))
}

fn floors(asked: &Asked<'_>) -> Known {
    let floor = |fit: &FittedLaw| {
        let symbol = law_of(fit)?.form().parameters().iter().find(|parameter| parameter.is_floor)?.symbol;
        let found = fit.parameters.get(symbol)?;
        let end = |end: Option<f64>| end.map_or_else(|| "no end".to_owned(), |end| format!("{end:.4}"));
        let (low, high) = (end(found.lower), end(found.upper));
        Some(format!("`{}`: {symbol} = {:.4} ({low} to {high})", fit.law, found.estimate))
    };
    let told = joined(asked.fits.fits.iter().filter_map(floor));
    Known::Told(told.unwrap_or_else(|| "the laws fitted have no floor".to_owned()))
        .unless(&asked.said(&["floor_share"]))
}
