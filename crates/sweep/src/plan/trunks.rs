//! Trunks: runs of several lengths that share their steps before the cooldown, and what that saves.
//!
//! A branch is an ordinary run with an identity of its own. Which steps it shares follows from its config alone
//! ([`RunConfig::trunk_id`]), so that whoever looks at a plan needs no list of trunks.

use std::collections::BTreeSet;

use forescale_core::count::FlopsCounts;
use forescale_core::run::{PlannedRun, Role, RunConfig};

use super::{PlanError, Planner, Wanted, recipe};
use crate::spec::{Rung, Trunk};

/// What all branches of a trunk are planned by.
#[derive(Clone, Copy)]
pub(super) struct TrunkScale {
    /// Geometric mean of the horizons, tokens.
    pub(super) mean_tokens: f64,
    /// The shortest horizon, tokens.
    pub(super) shortest_tokens: f64,
}

/// What trunks save.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TrunkSavings {
    /// Trunks.
    pub trunks: usize,
    /// Their branches.
    pub branches: usize,
    /// Exact FLOPs of the branches, were each trained from its first step.
    pub apart_flops: f64,
    /// Exact FLOPs of the steps that a branch takes over from a shorter one.
    pub saved_flops: f64,
}

impl Planner<'_> {
    /// The branches of all trunks.
    pub(super) fn branches(&self) -> Result<Vec<PlannedRun>, PlanError> {
        let wanted = self.spec.trunks().iter().flat_map(|trunk| self.branches_of(trunk));
        wanted.map(|wanted| self.run(&wanted)).collect()
    }

    fn branches_of(&self, trunk: &Trunk) -> Vec<Wanted> {
        let params = self.params(trunk.width);
        let tokens: Vec<f64> = trunk.tokens_per_param.iter().map(|ratio| ratio * params).collect();
        let scale = TrunkScale { mean_tokens: recipe::geometric_mean(&tokens), shortest_tokens: tokens[0] };
        let branch = |&ratio: &f64| Wanted {
            role: if self.spec.rungs().iter().any(|rung| is_rung(rung, trunk, ratio)) {
                Role::Path
            } else {
                Role::OffPath
            },
            trunk: Some(scale),
            ..self.wanted(trunk.width, ratio, trunk.seed)
        };
        trunk.tokens_per_param.iter().map(branch).collect()
    }

    /// Whether a branch is the run of a rung with this seed, which the ladder then leaves to it.
    pub(super) fn is_branch(&self, rung: &Rung, seed: u64) -> bool {
        let of = |trunk: &Trunk| trunk.tokens_per_param.iter().any(|&ratio| is_rung(rung, trunk, ratio));
        self.spec.trunks().iter().any(|trunk| trunk.seed == seed && of(trunk))
    }
}

fn is_rung(rung: &Rung, trunk: &Trunk, ratio: f64) -> bool {
    rung.width == trunk.width && (rung.tokens_per_param / ratio - 1.0).abs() < 1e-9
}

/// Steps of a branch that a shorter one of its trunk has done by then; 0 for the shortest, and for a run of its own.
pub(crate) fn shared_steps<'a>(run: &RunConfig, others: impl IntoIterator<Item = &'a RunConfig>) -> u64 {
    let Some(trunk) = run.trunk_id() else { return 0 };
    let shorter = others.into_iter().filter(|other| other.branch && other.steps < run.steps);
    let same = shorter.filter(|other| other.trunk_id().as_ref() == Some(&trunk));
    same.map(|other| other.branch_step().min(run.branch_step())).max().unwrap_or(0)
}

/// Exact FLOPs of the first steps of a run.
pub(super) fn flops_of_steps(run: &RunConfig, steps: u64) -> f64 {
    FlopsCounts::of(&run.shape, steps * run.batch_tokens()).exact
}

/// What the trunks among these runs save.
pub(super) fn savings(runs: &[PlannedRun]) -> TrunkSavings {
    let branches: Vec<&RunConfig> = runs.iter().map(|run| &run.config).filter(|config| config.branch).collect();
    let trunks: BTreeSet<String> = branches.iter().filter_map(|config| config.trunk_id()).collect();
    let saved = |config: &&RunConfig| flops_of_steps(config, shared_steps(config, branches.iter().copied()));
    TrunkSavings {
        trunks: trunks.len(),
        branches: branches.len(),
        apart_flops: branches.iter().map(|config| config.flops().exact).sum(),
        saved_flops: branches.iter().map(saved).sum(),
    }
}

#[cfg(test)]
mod tests;
