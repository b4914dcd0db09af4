//! What speaks for a fit: certificates of all fits side by side, and the checklist.

use forescale_core::checklist::{Checklist, Status};
use forescale_core::outcome::{Certificate, FittedLaw};

use super::NONE;
use crate::headline::plural;
use crate::table::Alignment::Left;
use crate::table::Table;

/// The proof of one optimum, a piece of evidence a row; what was not looked at is left out.
pub(crate) fn certificate(certificate: &Certificate) -> Table {
    let mut table = Table::new(&[("proof of the optimum", Left), ("found", Left)]);
    for (what, found) in EVIDENCE {
        found(certificate).into_iter().for_each(|found| table.push([what.to_owned(), found]));
    }
    table
}

/// The same of several fits, one column a law.
pub(crate) fn certificates(laws: &[FittedLaw]) -> Table {
    let names: Vec<String> = laws.iter().map(name).collect();
    let columns = std::iter::once(("proof of the optimum", Left)).chain(names.iter().map(|name| (name.as_str(), Left)));
    let mut table = Table::new(&columns.collect::<Vec<_>>());
    if laws.is_empty() {
        return table;
    }
    for (what, found) in EVIDENCE {
        let found = laws.iter().map(|law| found(&law.certificate).unwrap_or_else(|| NONE.to_owned()));
        table.push(std::iter::once(what.to_owned()).chain(found));
    }
    table
}

/// The checklist, question by question.
pub(crate) fn checklist(list: &Checklist) -> Table {
    let mut table = Table::new(&[("about", Left), ("question", Left), ("", Left), ("answer", Left)]);
    for item in &list.items {
        table.push([item.section.label(), &item.question, status_word(item.status), &item.answer]);
    }
    table
}

/// Whether a question is answered, as a word.
pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Answered => "answered",
        Status::Unknown => "unknown",
        Status::Problem => "problem",
    }
}

/// A piece of evidence and what a certificate says of it; nothing where it was not looked at.
type Evidence = (&'static str, fn(&Certificate) -> Option<String>);

const EVIDENCE: [Evidence; 7] = [
    ("gradient norm", |c| Some(format!("{:.1e}", c.gradient_norm))),
    ("agreement", |c| Some(agreement(c))),
    ("parameters at a bound", |c| Some(at_bound(c))),
    ("condition number", |c| c.condition_number.map(|number| format!("{number:.1e}"))),
    ("sum against mean", |c| c.invariance.map(|share| format!("a parameter moves by at most {share:.1e}"))),
    ("L-BFGS", |c| c.cross_check.map(cross_check)),
    ("an optimum?", |c| Some(verdict(c))),
];

fn agreement(certificate: &Certificate) -> String {
    let starts = plural(certificate.starts as usize, "start");
    format!("{} of {starts} ended at this optimum", certificate.agreeing_starts)
}

fn at_bound(certificate: &Certificate) -> String {
    if certificate.at_bound.is_empty() { "none".to_owned() } else { certificate.at_bound.join(", ") }
}

/// Where the other method ended: within 1e-9, the limit of [`Certificate::faults`], it is the same place.
fn cross_check(excess: f64) -> String {
    if excess.abs() <= 1e-9 {
        "ended at the optimum, to 1e-9 of the objective".to_owned()
    } else {
        let side = if excess > 0.0 { "above" } else { "below" };
        format!("ended {:.1e} of the objective {side} the optimum", excess.abs())
    }
}

fn verdict(certificate: &Certificate) -> String {
    let faults = certificate.faults();
    if faults.is_empty() { "yes".to_owned() } else { format!("not shown: {}", faults.join("; ")) }
}

fn name(law: &FittedLaw) -> String {
    match &law.group {
        Some(group) => format!("{}, {group}", law.law),
        None => law.law.clone(),
    }
}
