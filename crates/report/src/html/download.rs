//! The report's data as files inside the page: links that hold what they give, so that nothing is fetched and no script is
//! needed.

use std::fmt::Write as _;

use forescale_core::panel::{ReportData, RunRow};

use super::base64::base64;
use crate::ReportError;
use crate::tables::{role_label, status_label};

/// A file within the page.
pub(super) struct Download {
    pub(super) name: String,
    pub(super) label: &'static str,
    pub(super) href: String,
}

/// The runs as CSV, and everything that the report shows as JSON.
pub(super) fn all(data: &ReportData) -> Result<Vec<Download>, ReportError> {
    let json = serde_json::to_string(data)?;
    let stem = stem(&data.sweep);
    let file = |name: String, label, kind: &str, text: &str| Download {
        name,
        label,
        href: format!("data:{kind};base64,{}", base64(text.as_bytes())),
    };
    Ok(vec![
        file(format!("{stem}-runs.csv"), "the runs as CSV", "text/csv", &csv(&data.runs)),
        file(format!("{stem}-report.json"), "the whole report as JSON", "application/json", &json),
    ])
}

/// A file name that every system takes.
fn stem(sweep: &str) -> String {
    let kept = sweep.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).take(60);
    let kept: String = kept.collect();
    if kept.is_empty() { "sweep".to_owned() } else { kept }
}

/// Where size and data stand in a line.
const SPLIT: [usize; 2] = [3, 4];

/// Runs with every digit, under the names that `fit` and `forecast` read; no columns of size and data where none is told.
fn csv(runs: &[RunRow]) -> String {
    let tells_split = runs.iter().any(|run| run.params.is_some() || run.tokens.is_some());
    let split = if tells_split { "params,tokens," } else { "" };
    let mut text = format!("run_id,name,role,{split}flops,seed,status,loss,loss_se,wall_seconds,left_out\n");
    for run in runs {
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        let cells = [
            field(&run.run_id),
            field(&run.name),
            run.role.map(role_label).unwrap_or_default().to_owned(),
            number(run.params),
            number(run.tokens),
            number(Some(run.flops)),
            run.seed.map(|seed| seed.to_string()).unwrap_or_default(),
            run.status.map(status_label).unwrap_or_default().to_owned(),
            number(run.loss),
            number(run.loss_se),
            number(run.wall_seconds),
            field(run.excluded.as_deref().unwrap_or_default()),
        ];
        let kept = cells.iter().enumerate().filter(|(column, _)| tells_split || !SPLIT.contains(column));
        let _ = writeln!(text, "{}", kept.map(|(_, cell)| cell.as_str()).collect::<Vec<_>>().join(","));
    }
    text
}

/// A text as RFC 4180 quotes it; one that a spreadsheet would take for a formula is marked as text.
fn field(text: &str) -> String {
    let mark = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if mark.is_empty() && !text.contains([',', '"', '\n', '\r']) {
        return text.to_owned();
    }
    format!("\"{mark}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    #[test]
    fn runs_as_csv_keep_every_digit_under_the_names_that_fit_reads() {
        let mut run = sample::inside().runs[0].clone();
        (run.params, run.loss) = (Some(10_240.0), Some(2.123_456_789_012_345));
        let text = csv(&[run]);
        let mut lines = text.lines();
        assert!(lines.next().expect("a header").starts_with("run_id,name,role,params,tokens,flops,"));
        let line = lines.next().expect("a run");
        assert!(line.contains(",10240,410000,35000000000,0,finished,2.123456789012345,"), "{line}");
    }

    #[test]
    fn runs_of_compute_alone_have_no_columns_of_size_and_data() {
        let mut run = sample::inside().runs[0].clone();
        (run.params, run.tokens) = (None, None);
        let text = csv(&[run]);
        assert!(
            text.starts_with("run_id,name,role,flops,seed,") && text.contains(",35000000000,0,finished,"),
            "{text}"
        );
    }

    #[test]
    fn a_hostile_name_is_one_field_and_no_formula() {
        assert_eq!(field("=HYPERLINK(\"x\")"), "\"'=HYPERLINK(\"\"x\"\")\"");
        assert_eq!(field("a,b\nc"), "\"a,b\nc\"");
        assert_eq!(field("d64-40x-s1"), "d64-40x-s1");
        assert_eq!(stem("../../<a b>"), "ab");
        assert_eq!(stem("…"), "sweep");
    }
}
