//! The page of a probe: the verdict first, then the plot, the numbers and the doubts, in the report's own dress.

use askama::Template;
use forescale_core::outcome::Diagnosis;
use forescale_core::probe::{ProbeReport, ProbeVerdict};

use super::typeset::{self, Piece, Setting};
use super::{heaviest_first, policy};
use crate::plot::{self, Plot};
use crate::probe::{self, Named};
use crate::{ReportError, tables, validate};

/// The report's style sheet with a few lines for curves.
const STYLE: &str = concat!(include_str!("../../templates/report.css"), include_str!("../../templates/probe.css"));

/// A probe as one self-contained HTML file.
///
/// # Errors
///
/// [`ReportError::NotDrawable`] when a number is not one; [`ReportError::Plot`] and [`ReportError::Page`] when drawing
/// or putting together fails.
pub fn probe_html(report: &ProbeReport) -> Result<String, ReportError> {
    validate::probe(report)?;
    let plots = plot::of_probe(report)?;
    let page = ProbePage {
        policy: policy::of_page(STYLE, None),
        style: STYLE,
        probe: report.name(),
        sweep: &report.sweep,
        verdict: report.verdict,
        sentence: probe::sentence(report),
        plots: &plots,
        tables: probe::tables(report),
        doubts: heaviest_first(&report.diagnoses),
    };
    Ok(page.render()?)
}

#[derive(Template)]
#[template(path = "probe.html")]
struct ProbePage<'a> {
    policy: String,
    style: &'static str,
    probe: &'static str,
    sweep: &'a str,
    verdict: ProbeVerdict,
    sentence: String,
    plots: &'a [Plot],
    tables: Vec<Named>,
    doubts: Vec<&'a Diagnosis>,
}

impl ProbePage<'_> {
    /// Weight of a doubt, in words.
    fn weight(&self, doubt: &Diagnosis) -> &'static str {
        tables::severity_label(doubt.severity)
    }

    /// A sentence with its code set as code.
    fn prose(&self, text: &str) -> Vec<Piece> {
        typeset::prose(text)
    }

    /// What the probe asks, as a title.
    fn title(&self) -> &'static str {
        match self.probe {
            "coord" => "Do activations keep their scale?",
            "lr" => "Does the best rate transfer?",
            _ => "Do the loss curves collapse?",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::tests::{collapse, coord, lr};

    #[test]
    fn every_probe_has_a_page_that_loads_nothing() {
        for (report, plots) in [(coord(), 2), (lr(), 1), (collapse(), 1)] {
            let page = probe_html(&report).expect("a page");
            assert_eq!(page.matches("<svg class=\"plot\"").count(), plots, "{}", report.name());
            assert_eq!(page.matches("role=\"img\" aria-label=\"").count(), plots);
            for reach in ["http:", "https:", "//", "src=", "href=", "url(", "@import", "<script", "style=\"", "NaN"] {
                assert!(!page.contains(reach), "{reach} in {}", report.name());
            }
            assert!(page.contains("default-src") && page.contains("<table>"));
            assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
        }
    }

    #[test]
    fn a_failure_is_said_first_and_plainly() {
        let page = probe_html(&collapse()).expect("a page");
        assert!(page.contains("<p class=\"verdict\">The recipe fails this probe.</p>"));
        assert!(page.contains("2 of 3 rungs fall together") && page.contains("d64: 17.4%, beyond its limit"));
        let open = probe_html(&lr()).expect("a page");
        assert!(!open.contains("fails this probe") && open.contains("does not tell"));
    }

    #[test]
    fn hostile_names_stay_text() {
        let mut report = collapse();
        report.sweep = "</title><script>alert(1)</script>".to_owned();
        if let forescale_core::probe::Finding::Collapse(finding) = &mut report.finding {
            finding.rungs.iter_mut().for_each(|rung| rung.name = "<img src=x>".to_owned());
        }
        let page = probe_html(&report).expect("a page");
        assert!(!page.contains("<script") && !page.contains("<img"));
    }
}
