//! Runs that measure the best rate: each width and horizon at several multiples of the recipe's rates.
//!
//! They are bound by [`super::MIN_STEPS`] as every run is: the best rate of a run in its early phase is no rate of the
//! ladder.

use forescale_core::corpus::CorpusManifest;
use forescale_core::run::{Parametrization, PlannedRun, Role};

use super::{Plan, PlanError, Planner, Wanted, three_digits};
use crate::spec::SweepSpec;

/// Which rates are tried, and on which runs.
#[derive(Clone, Debug, PartialEq)]
pub struct RateProbe {
    /// Widths; the best rate should be the same at all.
    pub widths: Vec<u32>,
    /// Horizons as D / N; how the best rate moves between them is the horizon exponent.
    pub tokens_per_param: Vec<f64>,
    /// What both peak rates are multiplied by, after all rules of the recipe.
    pub factors: Vec<f64>,
    /// Seeds 0 to this, not included.
    pub seeds: u64,
    /// How rates and scales move with width and depth, whatever the spec says.
    pub parametrization: Parametrization,
}

/// Works out the runs of a rate probe: all of them off the path, cheapest first, planned by the rules of the spec but
/// for the factor on both rates. They are named `d32-10x-r0.5-s0`.
///
/// # Errors
///
/// [`PlanError`] when the probe names no run or two that are one, a factor or a horizon cannot be, or a run is one that
/// [`super::plan()`] refuses, such as one of fewer than [`super::MIN_STEPS`] steps.
pub fn probe_rates(spec: &SweepSpec, manifest: Option<&CorpusManifest>, wanted: &RateProbe) -> Result<Plan, PlanError> {
    let spec = spec.with_parametrization(wanted.parametrization);
    let planner = Planner::new(&spec, manifest);
    planner.check_windows()?;
    planner.check_probe(wanted)?;
    let mut runs = planner.probes(wanted)?;
    runs.sort_by(|one, two| super::cost(one).total_cmp(&super::cost(two)));
    planner.check_identities(&runs)?;
    Ok(Plan { runs, notes: Vec::new(), provisional: manifest.is_none() })
}

impl Planner<'_> {
    fn probes(&self, probe: &RateProbe) -> Result<Vec<PlannedRun>, PlanError> {
        let mut runs = Vec::new();
        for &width in &probe.widths {
            for &ratio in &probe.tokens_per_param {
                for &factor in &probe.factors {
                    for seed in 0..probe.seeds {
                        runs.push(self.probed(&Wanted { rate_factor: factor, ..self.wanted(width, ratio, seed) })?);
                    }
                }
            }
        }
        Ok(runs)
    }

    fn probed(&self, wanted: &Wanted) -> Result<PlannedRun, PlanError> {
        let run = self.run(&Wanted { role: Role::OffPath, ..*wanted })?;
        let ratio = three_digits(wanted.tokens_per_param.unwrap_or_default());
        let name = format!("d{}-{ratio}x-r{}-s{}", wanted.width, three_digits(wanted.rate_factor), wanted.seed);
        Ok(PlannedRun { name, ..run })
    }

    fn check_probe(&self, probe: &RateProbe) -> Result<(), PlanError> {
        let head = self.spec.model().head_size;
        if let Some(width) = probe.widths.iter().find(|&&width| width == 0 || !width.is_multiple_of(head)) {
            return self.refuse(
                format!("a probe of width {width} was asked for; a multiple of `head_size` = {head} is needed"),
                format!("use {} or {}", (width / head * head).max(head), width / head * head + head),
            );
        }
        let bad = |&&number: &&f64, least: f64| !(number.is_finite() && number >= least);
        if let Some(ratio) = probe.tokens_per_param.iter().find(|ratio| bad(ratio, 1.0)) {
            let problem = format!("a probe at {ratio} tokens per parameter was asked for; at least 1 is needed");
            return self.refuse(problem, "10 and 40 are two decades of compute apart".to_owned());
        }
        if let Some(factor) = probe.factors.iter().find(|factor| bad(factor, f64::MIN_POSITIVE)) {
            let problem = format!("a probe at {factor} times the rate was asked for; a number above 0 is needed");
            return self.refuse(problem, "0.25, 0.5, 1, 2 and 4 are usual".to_owned());
        }
        let runs = [probe.widths.len(), probe.tokens_per_param.len(), probe.factors.len()];
        if probe.seeds == 0 || runs.contains(&0) {
            let problem = "a probe needs at least one width, one horizon, one factor and one seed".to_owned();
            return self.refuse(problem, "three widths, two horizons and five factors tell most".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
