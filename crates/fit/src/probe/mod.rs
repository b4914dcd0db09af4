//! Is a recipe predictable: what is measured on small models becomes a verdict with its reasons.
//!
//! - [`coord`]: activation scale against width and depth over the first steps;
//! - [`rate`]: the best rate at several widths and horizons;
//! - [`collapse`]: the normalised loss curves of the rungs.
//!
//! Nothing is trained here, and nothing is read from disk: models are measured by the caller, who may ask beforehand
//! whether what it is about to measure is enough ([`check_sizes`], [`check_grid`], [`check_curves`]).

mod collapse;
mod coord;
mod doubt;
mod error;
mod line;
mod rate;

use forescale_core::outcome::Diagnosis;
use forescale_core::probe::{Finding, PROBE_SCHEMA, ProbeReport, ProbeVerdict};
use forescale_core::run::Parametrization;

pub use collapse::{CollapseInput, check_curves, collapse};
pub use coord::{CoordInput, ScaledModel, check_sizes, coord};
pub use error::ProbeError;
pub use rate::{RateInput, RateRun, check_grid, rate};

use doubt::ProbeDoubt;

/// Level of every interval of a probe.
const LEVEL: f64 = 0.9;

/// What was probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// Name of the sweep.
    pub sweep: String,
    /// Its parametrisation, or the one asked for in its place.
    pub parametrization: Parametrization,
}

impl Subject {
    fn report(&self, verdict: ProbeVerdict, finding: Finding, doubts: &[ProbeDoubt]) -> ProbeReport {
        let mut diagnoses: Vec<Diagnosis> = doubts.iter().map(|doubt| doubt.diagnosis(self.parametrization)).collect();
        diagnoses.sort_by_key(|diagnosis| core::cmp::Reverse(diagnosis.severity));
        ProbeReport {
            schema: PROBE_SCHEMA.to_owned(),
            sweep: self.sweep.clone(),
            parametrization: self.parametrization,
            verdict,
            finding,
            diagnoses,
        }
    }
}

/// How many different values there are.
fn different<T: Copy + PartialOrd>(values: &[T]) -> usize {
    let is_first = |(index, value): &(usize, &T)| !values[..*index].contains(value);
    values.iter().enumerate().filter(is_first).count()
}

/// One failure fails; one part that cannot be told leaves the whole open; nothing to judge is no pass.
fn verdict(parts: impl IntoIterator<Item = Option<bool>>) -> ProbeVerdict {
    let (mut seen, mut open) = (false, false);
    for part in parts {
        match part {
            Some(false) => return ProbeVerdict::Fails,
            Some(true) => seen = true,
            None => open = true,
        }
    }
    if seen && !open { ProbeVerdict::Passes } else { ProbeVerdict::Undecided }
}
