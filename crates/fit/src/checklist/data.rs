//! How points were taken from runs.

use std::collections::BTreeMap;

use forescale_core::checklist::{Item, Section};
use forescale_core::observation::{Exclusion, ExclusionReason};

use super::{Asked, Known, distinct, joined};

pub(super) fn items(asked: &Asked<'_>) -> Vec<Item> {
    let item = |question: &str, known: Known| known.item(Section::Data, question);
    vec![
        item("How were checkpoints chosen?", checkpoints(asked)),
        item("Do points share a run?", clusters(asked)),
        item("Is each point a run, or made from several?", vertices(asked)),
        item("Which runs were left out, and why?", left_out(asked)),
        item("Did any run spike?", spikes(asked)),
        item("With how many digits are losses told?", digits(asked)),
    ]
}

fn checkpoints(asked: &Asked<'_>) -> Known {
    let partial = asked.exclusions.iter().filter(|one| one.reason == ExclusionReason::NotFinal).count();
    let told = asked.all(|o| o.training.is_final).map(|finals| {
        let ended = finals.iter().filter(|is_final| **is_final).count();
        format!("{ended} of {} points are the end of their schedule; {partial} on the way were left out", finals.len())
    });
    Known::or(told, "an `is_final` column would tell").unless(&asked.said(&["undecayed_mixed"]))
}

fn clusters(asked: &Asked<'_>) -> Known {
    let clusters = distinct(asked.runs.iter().map(|o| o.cluster.clone()).collect()).len();
    let told = if clusters == asked.runs.len() {
        "no: each is a cluster of its own".to_owned()
    } else {
        format!("{} points in {clusters} clusters; those of one are taken to err together", asked.runs.len())
    };
    Known::Told(told).unless(&asked.said(&["clustered"]))
}

fn vertices(asked: &Asked<'_>) -> Known {
    let made = asked.fits.fits.iter().filter_map(|fit| {
        fit.vertices_of.map(|runs| format!("`{}`: {} vertices of budgets, looked for in {runs} runs", fit.law, fit.n))
    });
    let told = joined(made).unwrap_or_else(|| "each point is a run".to_owned());
    Known::Told(told).unless(&asked.said(&["isoflop_vertices", "vertex_sides"]))
}

fn left_out(asked: &Asked<'_>) -> Known {
    let own = asked.fits.fits.iter().map(|fit| {
        let own: Vec<Exclusion> = fit.excluded.iter().filter(|one| !asked.exclusions.contains(one)).cloned().collect();
        (format!("`{}` alone", fit.law), own)
    });
    let all = std::iter::once(("every law".to_owned(), asked.exclusions.to_vec())).chain(own);
    let told = joined(all.filter_map(|(who, left_out)| Some(format!("{who}: {}", counted(&left_out)?))));
    Known::Told(told.unwrap_or_else(|| "none".to_owned())).unless(&asked.said(&["runs_left_out"]))
}

/// Each reason with how often it was given.
fn counted(left_out: &[Exclusion]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    left_out.iter().for_each(|one| *counts.entry(one.reason.label()).or_default() += 1);
    let parts: Vec<String> = counts.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn spikes(asked: &Asked<'_>) -> Known {
    let told = asked
        .all(|o| o.training.spiked)
        .map(|spiked| format!("{} of {} runs used did", spiked.iter().filter(|spiked| **spiked).count(), spiked.len()));
    Known::or(told, "a `spiked` column would tell").unless(&asked.said(&["spiked"]))
}

fn digits(asked: &Asked<'_>) -> Known {
    Known::Told("with enough: rounding is far below the residuals".to_owned()).unless(&asked.said(&["rounded_losses"]))
}
