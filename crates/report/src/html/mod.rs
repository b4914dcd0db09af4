//! The report as one file: a page that loads nothing, runs nothing, and reads well on paper and in the dark.
//!
//! The style sheet and the drawings are part of the page. Its content security policy allows that one style sheet, by
//! digest, and nothing else. Every text that came from outside is escaped by the template engine or by the drawing.

mod policy;
mod probe;
mod typeset;

use askama::Template;
use forescale_core::law::LawName;
use forescale_core::outcome::{Diagnosis, FittedLaw};
use forescale_core::panel::{Provenance, ReportData};

use crate::headline::{Headline, Standing};
use crate::plot::{self, Plot};
use crate::table::Table;
use crate::{ReportError, tables, validate};
pub use probe::probe_html;
use typeset::{Piece, Setting};

const STYLE: &str = include_str!("../../templates/report.css");

/// The report as one self-contained HTML file.
///
/// # Errors
///
/// [`ReportError::NotDrawable`] when a number is not one; [`ReportError::Plot`] and [`ReportError::Page`] when drawing
/// or putting together fails.
pub fn html(data: &ReportData) -> Result<String, ReportError> {
    validate::check(data)?;
    let plots = plot::all(data)?;
    Ok(Page::of(data, &plots).render()?)
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    policy: String,
    style: &'static str,
    sweep: &'a str,
    corpus: &'a str,
    headline: Headline,
    plots: &'a [Plot],
    laws: Vec<Law<'a>>,
    true_floor: Option<String>,
    predictions: Option<Table>,
    intervals: Option<Table>,
    optimum: Option<Table>,
    doubts: Vec<&'a Diagnosis>,
    backtest: Option<Table>,
    cases: Option<Table>,
    runs: Table,
    exclusions: Table,
    provenance: &'a Provenance,
    registration: Option<Registration<'a>>,
}

/// A law as the page shows it.
struct Law<'a> {
    fitted: &'a FittedLaw,
    formula: Vec<Piece>,
    parameters: Table,
    objective: String,
    certificate: String,
}

/// What was sealed before the target was trained.
struct Registration<'a> {
    sha256: &'a str,
    at: Option<&'a str>,
}

impl<'a> Page<'a> {
    fn of(data: &'a ReportData, plots: &'a [Plot]) -> Self {
        let forecast = data.forecast.as_ref();
        Self {
            policy: policy::for_style(STYLE),
            style: STYLE,
            sweep: &data.sweep,
            corpus: &data.corpus,
            headline: Headline::of(data),
            plots,
            laws: data.laws.iter().map(Law::of).collect(),
            true_floor: data.true_floor.map(crate::format::loss),
            predictions: filled(forecast.map(|f| tables::predictions(&f.laws))),
            intervals: filled(forecast.map(tables::intervals)),
            optimum: forecast.and_then(|f| f.optimum.as_ref()).map(tables::optimum),
            doubts: heaviest_first(&data.diagnoses),
            backtest: filled(data.backtest.as_ref().map(tables::backtest_summary)),
            cases: filled(data.backtest.as_ref().map(tables::backtest_cases)),
            runs: tables::runs(data),
            exclusions: tables::exclusions(data),
            provenance: &data.provenance,
            registration: registration(data),
        }
    }

    /// A plot by name.
    fn plot(&self, id: &str) -> Option<&Plot> {
        self.plots.iter().find(|plot| plot.id == id)
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
            objective: tables::objective(fitted),
            certificate: tables::proof(&fitted.certificate),
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

fn heaviest_first(diagnoses: &[Diagnosis]) -> Vec<&Diagnosis> {
    let mut sorted: Vec<&Diagnosis> = diagnoses.iter().collect();
    sorted.sort_by_key(|doubt| std::cmp::Reverse(doubt.severity));
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use forescale_core::panel::{ComputePoint, Fact, RunRow};

    const HOSTILE: [&str; 4] = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "</style><style>*{display:none}",
        "</title><svg onload='x'>",
    ];

    fn page(data: &ReportData) -> String {
        html(data).expect("the sample can be drawn")
    }

    fn of_kind(kind: &str) -> String {
        page(&sample::of_kind(kind).expect("a kind of sample"))
    }

    /// Every text that can come from outside set to one value.
    fn poisoned(text: &str) -> ReportData {
        let mut data = sample::inside();
        let bad = || text.to_owned();
        (data.sweep, data.corpus) = (bad(), bad());
        data.runs.iter_mut().for_each(|run| (run.name, run.excluded) = (bad(), Some(bad())));
        data.compute.points.iter_mut().for_each(|point| point.name = bad());
        data.residuals.iter_mut().for_each(|point| (point.name, point.law) = (bad(), bad()));
        data.diagnoses.iter_mut().for_each(|doubt| (doubt.message, doubt.hint) = (bad(), format!("`{text}`")));
        data.laws.iter_mut().for_each(|law| (law.law, law.rule.params, law.group) = (bad(), bad(), Some(bad())));
        data.laws.iter_mut().for_each(|law| law.certificate.at_bound = vec![bad()]);
        data.provenance.commands = vec![bad()];
        data.provenance.facts = vec![Fact { name: bad(), value: bad() }];
        poison_judgement(&mut data, text);
        data
    }

    fn poison_judgement(data: &mut ReportData, text: &str) {
        data.backtest
            .iter_mut()
            .flat_map(|report| &mut report.cases)
            .for_each(|case| case.target_run_id = text.to_owned());
        let (Some(target), Some(score), Some(forecast)) = (&mut data.target, &mut data.score, &mut data.forecast)
        else {
            return;
        };
        (target.name, target.registration_sha256, target.registered_at) =
            (text.to_owned(), Some(text.to_owned()), Some(text.to_owned()));
        (score.order_detail, forecast.metric) = (text.to_owned(), text.to_owned());
        forecast.laws.iter_mut().for_each(|said| said.law = text.to_owned());
    }

    /// Names of all elements, opened and closed in order; fails where one is not closed.
    fn elements(page: &str) -> Vec<String> {
        let (mut open, mut seen) = (Vec::<String>::new(), Vec::new());
        let style = page.find("<style>").map_or(0, |at| at + 7)..page.find("</style>").unwrap_or(0);
        let markup = format!("{}{}", &page[..style.start], &page[style.end..]);
        for tag in markup.split('<').skip(1).map(|rest| rest.split_once('>').map_or(rest, |(tag, _)| tag)) {
            let name = tag.trim_start_matches('/').split([' ', '/']).next().unwrap_or("").to_owned();
            if tag.starts_with('/') {
                assert_eq!(open.pop().as_ref(), Some(&name), "closes what is not open");
            } else if !tag.ends_with('/') && !["!doctype", "meta"].contains(&name.as_str()) {
                open.push(name.clone());
            }
            seen.push(name);
        }
        assert!(open.is_empty(), "left open: {open:?}");
        seen
    }

    #[test]
    fn says_the_number_the_interval_the_reach_and_how_it_was_judged() {
        let page = of_kind("inside");
        for words in [
            "<title>quickstart",
            "1.0671",
            "1.0063 to 1.1198",
            "90%",
            "13×",
            "1.12 decades",
            "inside the 90% interval",
            "−1.29%",
            "shown by digest",
        ] {
            assert!(page.contains(words), "{words}");
        }
        assert!(!page.contains("outside the interval"));
    }

    #[test]
    fn says_plainly_that_an_outcome_fell_outside() {
        let page = of_kind("outside");
        assert!(page.contains("<p class=\"verdict\">The outcome fell outside the interval.</p>"));
        assert!(page.contains("the outcome fell outside the 90% interval") && !page.contains("inside the interval"));
    }

    #[test]
    fn an_unproven_order_is_said_to_be_unproven() {
        let mut data = sample::inside();
        data.score.iter_mut().for_each(|score| score.order = forescale_core::outcome::OrderProof::NotProven);
        assert!(page(&data).contains("Order not proven"));
    }

    #[test]
    fn a_refusal_gives_its_reason_and_no_number() {
        let page = of_kind("refused");
        assert!(page.contains("4 runs lie on the path") && page.contains("refused"));
        assert!(!page.contains("1.0671"));
    }

    #[test]
    fn an_open_forecast_and_none_at_all_still_make_a_page() {
        assert!(of_kind("open").contains("not known yet"));
        let bare = of_kind("bare");
        assert!(bare.contains("No forecast was asked for") && bare.contains("largest run = 1"));
    }

    #[test]
    fn an_empty_sweep_still_makes_a_page() {
        let mut data = sample::of_kind("bare").expect("a kind of sample");
        data.compute = forescale_core::panel::ComputePanel::default();
        (data.runs, data.laws, data.residuals, data.diagnoses) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let page = page(&data);
        elements(&page);
        assert!(!page.contains("<figure>") && page.contains("shows 0 runs and 0 laws"));
    }

    #[test]
    fn hostile_names_stay_text() {
        for text in HOSTILE {
            let page = page(&poisoned(text));
            let names = elements(&page);
            assert!(!names.iter().any(|name| ["script", "img"].contains(&name.as_str())), "{text}");
            assert!(!page.contains(text), "{text}");
            assert_eq!(page.matches("<style>").count(), 1, "{text}");
        }
    }

    #[test]
    fn every_element_is_closed_in_every_kind_of_page() {
        for kind in ["inside", "outside", "open", "refused", "bare", "known-floor"] {
            elements(&of_kind(kind));
        }
    }

    #[test]
    fn the_page_loads_nothing_and_runs_nothing() {
        let page = of_kind("inside");
        for reach in ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "javascript:", "style=\""]
        {
            assert!(!page.contains(reach), "{reach}");
        }
        assert!(
            page.contains("default-src 'none'; style-src 'sha256-")
                || page.contains("default-src &#39;none&#39;; style-src &#39;sha256-")
        );
    }

    #[test]
    fn drawings_are_legible_at_420_px_and_hold_no_undefined_number() {
        let page = of_kind("known-floor");
        for view in page.split("viewBox=\"0 0 ").skip(1) {
            let width: u32 = view.split(' ').next().and_then(|width| width.parse().ok()).expect("a width");
            assert!(width <= 560, "{width}");
        }
        for size in page.split("font-size=\"").skip(1) {
            let size: f64 = size.split('"').next().and_then(|size| size.parse().ok()).expect("a size");
            assert!(size >= 14.0, "{size}");
        }
        assert!(!page.contains("NaN") && !page.contains(">inf"));
    }

    #[test]
    fn every_drawing_has_an_alternative_in_words_and_points_have_titles() {
        let page = of_kind("inside");
        let plots = page.matches("<svg class=\"plot\"").count();
        assert_eq!(plots, 4);
        assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), plots);
        assert!(page.contains("<title>d64-40x-s1: loss 1.3300, 3.6 × 10¹² FLOPs, ladder</title>"));
        assert!(page.contains(
            "<title>d32-160x-s0: loss 5.9100, 1.3 × 10¹² FLOPs, off path, not fitted, off the scale</title>"
        ));
    }

    #[test]
    fn the_same_data_give_the_same_bytes() {
        assert_eq!(of_kind("inside"), of_kind("inside"));
    }

    #[test]
    fn five_hundred_runs_stay_under_two_megabytes() {
        let mut data = sample::inside();
        let (row, point, residual): (RunRow, ComputePoint, _) =
            (data.runs[0].clone(), data.compute.points[0].clone(), data.residuals[0].clone());
        (data.runs, data.compute.points, data.residuals) = (vec![row; 500], vec![point; 500], vec![residual; 1500]);
        let bytes = page(&data).len();
        assert!(bytes < 2_000_000, "{bytes}");
    }

    #[test]
    fn a_loss_that_is_no_number_is_refused_by_name() {
        let mut data = sample::inside();
        data.compute.points[3].loss = f64::NAN;
        let error = html(&data).expect_err("NaN has no place on an axis").to_string();
        assert!(error.starts_with("loss of `d24-40x-s0` is NaN; a finite number is needed\n\nhint: "), "{error}");
        data.compute.points[3].loss = 1.9;
        data.compute.points[3].flops = 0.0;
        let error = html(&data).expect_err("0 has no place on a logarithmic axis").to_string();
        assert!(error.starts_with("compute of `d24-40x-s0` is 0; a finite number above 0 is needed"), "{error}");
    }

    #[test]
    fn one_run_alone_can_be_drawn() {
        let mut data = sample::of_kind("bare").expect("a kind of sample");
        data.compute.points.truncate(1);
        data.compute.curve.clear();
        data.residuals.truncate(1);
        assert!(!page(&data).contains("NaN"));
    }
}
