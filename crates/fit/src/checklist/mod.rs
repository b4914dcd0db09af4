//! Answers the questions a reader of a scaling law asks, from the runs, the fits and the forecast.
//!
//! Each answer is worked out from what it is given, and what that does not tell is said to be unknown with the column or
//! field that would tell. Nothing is fitted here, and nothing doubted anew: where a diagnosis of a fit or a forecast bears
//! on a question, its words are the answer, so that the two never differ.

mod data;
mod fit;
mod form;
#[cfg(test)]
mod tests;
mod training;

use forescale_core::checklist::{CHECKLIST_SCHEMA, Checklist, Item, Section, Status};
use forescale_core::observation::{Exclusion, Observation};
use forescale_core::outcome::{Diagnosis, FitReport, Forecast, Severity};

/// The checklist of a fit, and of a forecast where there is one.
///
/// The registration of a forecast is a file of its own, which [`Checklist::registered`] adds.
#[must_use]
pub fn checklist(
    observations: &[Observation],
    exclusions: &[Exclusion],
    fits: &FitReport,
    forecast: Option<&Forecast>,
) -> Checklist {
    let asked = Asked { runs: observations, exclusions, fits, forecast };
    let mut items = form::items(&asked);
    items.extend(training::items(&asked));
    items.extend(data::items(&asked));
    items.extend(fit::items(&asked));
    Checklist { schema: CHECKLIST_SCHEMA.to_owned(), items }
}

/// What there is to answer from.
struct Asked<'a> {
    runs: &'a [Observation],
    exclusions: &'a [Exclusion],
    fits: &'a FitReport,
    forecast: Option<&'a Forecast>,
}

impl Asked<'_> {
    /// Whether the runs tell their sizes and data.
    fn tells_split(&self) -> bool {
        self.runs.iter().all(Observation::tells_split)
    }

    /// What the diagnoses say under some codes, each message once; notes are no problem.
    fn said(&self, codes: &[&str]) -> Vec<String> {
        self.messages(codes, |severity| severity > Severity::Note)
    }

    /// What notes say under some codes, each message once.
    fn noted(&self, codes: &[&str]) -> Vec<String> {
        self.messages(codes, |severity| severity == Severity::Note)
    }

    fn messages(&self, codes: &[&str], weighs: fn(Severity) -> bool) -> Vec<String> {
        let of_fits = self.fits.fits.iter().flat_map(|fit| &fit.diagnoses);
        let of_forecast = self.forecast.iter().flat_map(|forecast| &forecast.diagnoses);
        let is_said = |doubt: &&Diagnosis| weighs(doubt.severity) && codes.contains(&doubt.code.as_str());
        let mut said: Vec<String> = of_fits.chain(of_forecast).filter(is_said).map(|d| d.message.clone()).collect();
        said.sort();
        said.dedup();
        said
    }

    /// A value of each run, where every run tells it.
    fn all<T>(&self, of: impl Fn(&Observation) -> Option<T>) -> Option<Vec<T>> {
        let told: Option<Vec<T>> = self.runs.iter().map(of).collect();
        told.filter(|told| !told.is_empty())
    }
}

/// What is known of one question.
enum Known {
    Told(String),
    Missing(String),
    Wrong(String),
}

impl Known {
    /// What is told; else what would tell it.
    fn or(told: Option<String>, missing: &str) -> Self {
        told.map_or_else(|| Self::Missing(missing.to_owned()), Self::Told)
    }

    /// Diagnoses before anything else.
    fn unless(self, said: &[String]) -> Self {
        if said.is_empty() { self } else { Self::Wrong(said.join("; ")) }
    }

    fn item(self, section: Section, question: &str) -> Item {
        let (answer, status) = match self {
            Self::Told(answer) => (answer, Status::Answered),
            Self::Missing(answer) => (answer, Status::Unknown),
            Self::Wrong(answer) => (answer, Status::Problem),
        };
        Item { section, question: question.to_owned(), answer, status }
    }
}

/// `1e8 to 3e9`, or the one value there is.
fn span(values: &[f64]) -> String {
    let (low, high) = ends(values);
    if high <= low * (1.0 + 1e-9) { format!("{low:.3e}") } else { format!("{low:.3e} to {high:.3e}") }
}

fn ends(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)))
}

/// Distinct words in their order.
fn distinct(mut words: Vec<String>) -> Vec<String> {
    words.sort();
    words.dedup();
    words
}

fn joined(parts: impl Iterator<Item = String>) -> Option<String> {
    let text = parts.collect::<Vec<_>>().join("; ");
    (!text.is_empty()).then_some(text)
}
