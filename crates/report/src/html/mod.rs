//! The report as one file: a page that loads nothing and reads well without its script, on paper and in the dark.
//!
//! The style sheet, the drawings and a small script are part of the page. Its content security policy allows that one
//! style sheet and that one script, by digest, and nothing else. The script sorts and filters the table of runs, hides
//! series and moves titles to the pointer; no content depends on it. Every text that came from outside is escaped by the
//! template engine or by the drawing.

mod base64;
mod checklist;
mod download;
mod index;
mod policy;
mod probe;
mod runs;
mod typeset;

use askama::Template;
use forescale_core::checklist::Checklist;
use forescale_core::law::LawName;
use forescale_core::outcome::{Diagnosis, FittedLaw, Severity};
use forescale_core::panel::{CapabilityPanel, Provenance, ReportData};

use crate::headline::{Headline, Standing};
use crate::plot::{self, Plot};
use crate::table::Table;
use crate::{ReportError, tables, validate};
use download::Download;
pub use index::index_html;
pub use probe::probe_html;
use runs::RunTable;
use typeset::{Piece, Setting};

const STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

/// The report as one self-contained HTML file.
///
/// # Errors
///
/// [`ReportError::NotDrawable`] when a number is not one; [`ReportError::Plot`] and [`ReportError::Page`] when drawing
/// or putting together fails.
pub fn html(data: &ReportData) -> Result<String, ReportError> {
    validate::check(data)?;
    let plots = plot::all(data)?;
    Ok(Page::of(data, &plots)?.render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    policy: String,
    style: &'static str,
    script: &'static str,
    sweep: &'a str,
    corpus: &'a str,
    headline: Headline,
    plots: &'a [Plot],
    laws: Vec<Law<'a>>,
    true_floor: Option<String>,
    capabilities: Option<Table>,
    bucket_doubts: Vec<(String, &'a Diagnosis)>,
    predictions: Option<Table>,
    intervals: Option<Table>,
    optimum: Option<Table>,
    approaches: Option<Table>,
    refusals: Vec<String>,
    costs: Option<Table>,
    assumptions: Vec<String>,
    certificates: Table,
    doubts: Vec<&'a Diagnosis>,
    notes: Vec<&'a Diagnosis>,
    backtest: Option<Table>,
    cases: Option<Table>,
    checklist: Option<&'a Checklist>,
    runs: RunTable,
    downloads: Vec<Download>,
    exclusions: Table,
    provenance: &'a Provenance,
    registration: Option<Registration<'a>>,
}

/// A law as the page shows it.
struct Law<'a> {
    fitted: &'a FittedLaw,
    formula: Vec<Piece>,
    parameters: Table,
    /// Name of the table for who hears the page.
    label: String,
    objective: String,
}

/// What was sealed before the target was trained.
struct Registration<'a> {
    sha256: &'a str,
    at: Option<&'a str>,
}

/// An entry of the contents.
struct Entry {
    id: &'static str,
    name: &'static str,
}

impl<'a> Page<'a> {
    fn of(data: &'a ReportData, plots: &'a [Plot]) -> Result<Self, ReportError> {
        let forecast = data.forecast.as_ref();
        let (notes, doubts) = heaviest_first(&data.diagnoses).into_iter().partition(|d| d.severity == Severity::Note);
        Ok(Self {
            policy: policy::of_page(STYLE, Some(SCRIPT)),
            style: STYLE,
            script: SCRIPT,
            sweep: &data.sweep,
            corpus: &data.corpus,
            headline: Headline::of(data),
            plots,
            laws: data.laws.iter().map(Law::of).collect(),
            true_floor: data.true_floor.map(crate::format::loss),
            capabilities: filled(data.capability.as_ref().map(tables::capabilities)),
            bucket_doubts: data.capability.as_ref().map(bucket_doubts).unwrap_or_default(),
            predictions: filled(forecast.map(|f| tables::predictions(&f.laws))),
            intervals: filled(forecast.map(tables::intervals)),
            optimum: forecast.and_then(tables::optimum),
            approaches: filled(Some(tables::approaches(data))),
            refusals: tables::refusals(data),
            costs: filled(Some(tables::costs(&data.decision.costs))),
            assumptions: tables::assumptions(&data.decision.costs),
            certificates: tables::certificates(&data.laws),
            doubts,
            notes,
            backtest: filled(data.backtest.as_ref().map(tables::backtest_summary)),
            cases: filled(data.backtest.as_ref().map(tables::backtest_cases)),
            checklist: data.checklist.as_ref(),
            runs: RunTable::of(data),
            downloads: download::all(data)?,
            exclusions: tables::exclusions(data),
            provenance: &data.provenance,
            registration: registration(data),
        })
    }

    /// Plots of a kind.
    fn plots(&self, kind: &str) -> Vec<&Plot> {
        self.plots.iter().filter(|plot| plot.kind == kind).collect()
    }

    fn has(&self, kind: &str) -> bool {
        self.plots.iter().any(|plot| plot.kind == kind)
    }

    fn has_split(&self) -> bool {
        self.optimum.is_some() || self.approaches.is_some() || self.costs.is_some() || self.has("surface")
    }

    /// The sections there are, in their order.
    fn contents(&self) -> Vec<Entry> {
        let all = [
            (self.capabilities.is_some(), "capabilities", "Capabilities"),
            (!self.doubts.is_empty() || !self.notes.is_empty(), "doubts", "Doubts"),
            (self.predictions.is_some(), "target", "Law by law"),
            (self.has_split(), "split", "Size, data, cost"),
            (!self.laws.is_empty(), "laws", "Fits"),
            (self.backtest.is_some(), "backtest", "Backtest"),
            (self.checklist.is_some(), "checklist", "Checklist"),
            (self.has("curves") || self.has("seeds"), "training", "Training"),
            (!self.runs.lines.is_empty(), "runs", "Runs"),
            (!self.exclusions.is_empty(), "excluded", "Left out"),
            (true, "origin", "Provenance"),
        ];
        all.into_iter().filter(|(there, ..)| *there).map(|(_, id, name)| Entry { id, name }).collect()
    }

    /// Weight of a doubt, in words.
    fn weight(&self, doubt: &Diagnosis) -> &'static str {
        tables::severity_label(doubt.severity)
    }

    /// A sentence with its code set as code.
    fn prose(&self, text: &str) -> Vec<Piece> {
        typeset::prose(text)
    }
}

impl<'a> Law<'a> {
    fn of(fitted: &'a FittedLaw) -> Self {
        Self {
            fitted,
            formula: fitted
                .law
                .parse::<LawName>()
                .map_or_else(|_| Vec::new(), |name| typeset::formula(name.form().formula())),
            parameters: tables::parameters(fitted, typeset::symbol),
            label: match &fitted.group {
                Some(group) => format!("Parameters of {}, {group}", fitted.law),
                None => format!("Parameters of {}", fitted.law),
            },
            objective: tables::objective(fitted),
        }
    }
}

fn filled(table: Option<Table>) -> Option<Table> {
    table.filter(|table| !table.is_empty())
}

fn registration(data: &ReportData) -> Option<Registration<'_>> {
    let target = data.target.as_ref()?;
    Some(Registration { sha256: target.registration_sha256.as_deref()?, at: target.registered_at.as_deref() })
}

/// What is doubted of each bucket, heaviest first; a doubt that several share is said once, with their names.
fn bucket_doubts(panel: &CapabilityPanel) -> Vec<(String, &Diagnosis)> {
    let mut found: Vec<(Vec<String>, &Diagnosis)> = Vec::new();
    for course in &panel.courses {
        let forecast = &course.forecast;
        let name = crate::capability::name(forecast);
        for doubt in &forecast.diagnoses {
            match found.iter_mut().find(|(_, known)| known.message == doubt.message) {
                Some((names, _)) => names.push(name.clone()),
                None => found.push((vec![name.clone()], doubt)),
            }
        }
    }
    found.sort_by_key(|(_, doubt)| std::cmp::Reverse(doubt.severity));
    found.into_iter().map(|(names, doubt)| (names.join("; "), doubt)).collect()
}

fn heaviest_first(diagnoses: &[Diagnosis]) -> Vec<&Diagnosis> {
    let mut sorted: Vec<&Diagnosis> = diagnoses.iter().collect();
    sorted.sort_by_key(|doubt| std::cmp::Reverse(doubt.severity));
    sorted
}

#[cfg(test)]
mod tests;
