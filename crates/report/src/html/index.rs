//! The index over reports: each with its forecast, its outcome and its strongest doubt, and all of them side by side.

use askama::Template;
use forescale_core::panel::ReportData;

use super::policy;
use super::typeset::{self, Piece, Setting};
use crate::format::{interval, loss, scientific, signed_percent};
use crate::headline::{Headline, plural, shown_interval};
use crate::table::Alignment::{Left, Right};
use crate::table::Table;
use crate::tables::NONE;
use crate::{ReportError, validate};

const STYLE: &str = include_str!("../../templates/report.css");

/// A page over reports: what each says, and where it lies, as a path from the index.
///
/// # Errors
///
/// [`ReportError::NotDrawable`] when a number is not one; [`ReportError::Page`] when putting together fails.
pub fn index_html(reports: &[(String, ReportData)]) -> Result<String, ReportError> {
    reports.iter().try_for_each(|(_, data)| validate::check(data))?;
    let judged = reports.iter().filter(|(_, data)| data.score.is_some()).count();
    let inside = reports.iter().filter(|(_, data)| data.score.as_ref().is_some_and(|score| score.inside)).count();
    let page = IndexPage {
        policy: policy::of_page(STYLE, None),
        style: STYLE,
        title: plural(reports.len(), "report"),
        summary: format!("{} judged, {inside} inside the interval", plural(judged, "forecast")),
        entries: reports.iter().map(|(href, data)| Entry::of(href, data)).collect(),
        table: table(reports),
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "index.html")]
struct IndexPage<'a> {
    policy: String,
    style: &'static str,
    title: String,
    summary: String,
    entries: Vec<Entry<'a>>,
    table: Table,
}

struct Entry<'a> {
    name: &'a str,
    href: String,
    corpus: &'a str,
    headline: Headline,
    doubt: Option<&'a str>,
}

impl<'a> Entry<'a> {
    fn of(href: &str, data: &'a ReportData) -> Self {
        let doubt = data.decision.doubt.as_ref();
        Self {
            name: &data.sweep,
            href: encoded(href),
            corpus: &data.corpus,
            headline: Headline::of(data),
            doubt: doubt.map(|doubt| doubt.message.trim_end_matches('.')),
        }
    }
}

impl IndexPage<'_> {
    /// A sentence with its code set as code.
    fn prose(&self, text: &str) -> Vec<Piece> {
        typeset::prose(text)
    }
}

/// A path as a link takes it: everything but letters, digits and a few signs by its bytes, so that no scheme is read out of a
/// name.
fn encoded(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn table(reports: &[(String, ReportData)]) -> Table {
    let mut table = Table::new(&[
        ("report", Left),
        ("runs", Right),
        ("target, FLOPs", Right),
        ("decades beyond", Right),
        ("forecast", Right),
        ("interval", Right),
        ("outcome", Right),
        ("error", Right),
        ("inside", Left),
        ("unit", Left),
    ]);
    reports.iter().for_each(|(_, data)| table.push(row(data)));
    table
}

fn row(data: &ReportData) -> Vec<String> {
    let none = || NONE.to_owned();
    let (forecast, score) = (data.forecast.as_ref(), data.score.as_ref());
    vec![
        data.sweep.clone(),
        data.runs.len().to_string(),
        forecast.map_or_else(none, |target| scientific(target.flops)),
        forecast.map_or_else(none, |target| format!("{:.2}", target.decades_beyond_data)),
        forecast.and_then(|target| target.median).map_or_else(none, loss),
        shown_interval(data).map_or_else(none, |within| interval(&within)),
        score.map_or_else(|| "open".to_owned(), |score| loss(score.actual)),
        score.map_or_else(none, |score| signed_percent(score.relative_error)),
        score.map_or_else(none, |score| if score.inside { "yes" } else { "NO" }.to_owned()),
        data.unit.label().to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn an_index_says_what_each_report_says_and_a_hostile_name_stays_a_name() {
        let (inside, mut hostile) = (sample::inside(), sample::inside());
        hostile.sweep = "<script>alert(1)</script>".to_owned();
        let reports = [("a/index.html".to_owned(), inside), ("javascript:alert(1)/index.html".to_owned(), hostile)];
        let page = index_html(&reports).expect("a page");
        assert!(page.contains("<h1>2 reports</h1>") && page.contains("2 forecasts judged, 2 inside the interval"));
        assert!(
            page.contains("href=\"a/index.html\"") && page.contains("href=\"javascript%3Aalert%281%29/index.html\"")
        );
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains(&Headline::of(&reports[0].1).sentence[..40]));
    }
}
