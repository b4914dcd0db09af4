//! How far the seed alone moves a loss, estimated from runs that differ in nothing else.
//!
//! # Formula
//!
//! Runs with one config but the seed are replicates and make a rung; branches of one trunk have one seed and are none.
//! Rung i has compute Cᵢ (exact FLOPs), νᵢ = runs − 1 degrees of freedom and sᵢ², the sample variance of ln(loss), so
//! that sᵢ is relative. The rule is
//!
//! ln σ²(C) = a + b x, x = ln C − Σ νᵢ ln Cᵢ / Σ νᵢ,
//!
//! with a and b the maximum of −½ Σ νᵢ (a + b xᵢ + sᵢ² / σ²(Cᵢ)) − b² / 2τ²: νᵢ sᵢ²/σ² is χ² with νᵢ degrees, and b is
//! shrunk towards 0, a constant. With one rung b is 0 and σ² is its s². Beyond the rungs with replicates the rule keeps
//! its value at the nearest: a slope from a few seeds is no reason to trust the largest run more. A rung's own variance
//! is weighed against the rule: σᵢ² = (ν₀ σ²(Cᵢ) + νᵢ sᵢ²) / (ν₀ + νᵢ).
//!
//! # Known values
//!
//! About 1% of the loss at 9 thousand parameters and 0.1% to 0.3% from 100 million on: a slope b near −0.17.
//!
//! # Reference
//!
//! Smyth 2004, Linear models and empirical Bayes methods, for the weighing of variances.

use std::collections::BTreeMap;

use forescale_core::math;
use forescale_core::record::RunRecord;

use crate::observe::admissible;

/// τ, the prior's standard deviation of b; chosen here, because the known slope lies well within it.
const SLOPE_SD: f64 = 0.25;
/// ν₀; chosen here, because few rungs ever have the nine seeds from which their own variance weighs more than the rule.
const RULE_DEGREES: f64 = 8.0;
/// |b| beyond this is no seed noise.
const STEEPEST: f64 = 2.0;

/// The noise of one rung.
#[derive(Clone, Debug, PartialEq)]
pub struct RungNoise {
    /// Names of the replicates, by seed.
    pub runs: Vec<String>,
    /// Exact FLOPs of one run.
    pub flops: f64,
    /// Degrees of freedom νᵢ.
    pub degrees: u32,
    /// sᵢ, relative to the loss.
    pub sample_sd: f64,
    /// σᵢ, relative to the loss.
    pub sd: f64,
}

/// The noise of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedNoise {
    /// Degrees of freedom of all rungs.
    pub degrees: u32,
    /// b: change of ln σ² when ln C grows by one.
    pub slope: f64,
    /// Rungs with replicates, by compute.
    pub rungs: Vec<RungNoise>,
    /// a.
    level: f64,
    /// ln C where x is 0.
    centre: f64,
    /// Places in `rungs` by the config of the rung, seed left out.
    by_config: BTreeMap<String, usize>,
}

impl SeedNoise {
    /// σ of a run with this compute by the rule, relative to the loss.
    #[must_use]
    pub fn sd_at(&self, flops: f64) -> f64 {
        let ends = self.rungs.first().zip(self.rungs.last());
        let (least, most) = ends.map_or((flops, flops), |(first, last)| (first.flops, last.flops));
        math::exp(0.5 * (self.level + self.slope * (math::ln(flops.clamp(least, most)) - self.centre)))
    }

    /// σ of a run relative to the loss: its rung's, or else the rule's.
    #[must_use]
    pub fn sd_of(&self, record: &RunRecord) -> f64 {
        self.rung_of(record).map_or_else(|| self.sd_at(record.flops.exact), |rung| rung.sd)
    }

    /// Degrees of freedom νᵢ of a run's own rung; 0 where it has no replicates, so that its σ is the rule's alone.
    #[must_use]
    pub fn degrees_of(&self, record: &RunRecord) -> u32 {
        self.rung_of(record).map_or(0, |rung| rung.degrees)
    }

    fn rung_of(&self, record: &RunRecord) -> Option<&RungNoise> {
        self.by_config.get(&seedless_digest(record)).and_then(|&place| self.rungs.get(place))
    }
}

/// The noise in a metric over seeds; `None` where no two runs that a fit may see differ in the seed alone, or where all
/// replicates agree to the last digit.
#[must_use]
pub fn seed_noise(records: &[RunRecord], metric: &str) -> Option<SeedNoise> {
    let mut configs: BTreeMap<String, BTreeMap<u64, Replicate<'_>>> = BTreeMap::new();
    for record in records.iter().filter(|record| admissible(record).is_ok()) {
        let loss = record.metric(metric).map(|metric| metric.value).filter(|loss| loss.is_finite() && *loss > 0.0);
        if let Some(loss) = loss {
            let replicate = Replicate { record, log_loss: math::ln(loss) };
            configs.entry(seedless_digest(record)).or_default().insert(record.config.seed, replicate);
        }
    }
    let rungs: Vec<Rung<'_>> = configs.into_iter().filter_map(|(config, runs)| Rung::of(config, runs)).collect();
    let rule = Rule::fitted(&rungs)?;
    Some(rule.into_noise(rungs))
}

fn seedless_digest(record: &RunRecord) -> String {
    let mut config = record.config.clone();
    config.seed = 0;
    config.digest()
}

struct Replicate<'a> {
    record: &'a RunRecord,
    log_loss: f64,
}

struct Rung<'a> {
    config: String,
    runs: Vec<Replicate<'a>>,
    log_flops: f64,
    degrees: f64,
    variance: f64,
}

impl<'a> Rung<'a> {
    fn of(config: String, by_seed: BTreeMap<u64, Replicate<'a>>) -> Option<Self> {
        let runs: Vec<Replicate<'a>> = by_seed.into_values().collect();
        let first = runs.first().filter(|_| runs.len() > 1)?;
        let log_flops = math::ln(first.record.flops.exact);
        let degrees = (runs.len() - 1) as f64;
        let mean = runs.iter().map(|run| run.log_loss).sum::<f64>() / runs.len() as f64;
        let squares: f64 = runs.iter().map(|run| (run.log_loss - mean) * (run.log_loss - mean)).sum();
        Some(Self { config, log_flops, degrees, variance: squares / degrees, runs })
    }
}

/// ln σ² = level + slope (ln C − centre).
struct Rule {
    degrees: f64,
    centre: f64,
    level: f64,
    slope: f64,
}

impl Rule {
    fn fitted(rungs: &[Rung<'_>]) -> Option<Self> {
        let degrees: f64 = rungs.iter().map(|rung| rung.degrees).sum();
        let squares: f64 = rungs.iter().map(|rung| rung.degrees * rung.variance).sum();
        if squares <= 0.0 {
            return None;
        }
        let centre = rungs.iter().map(|rung| rung.degrees * rung.log_flops).sum::<f64>() / degrees;
        let slope = slope(rungs, centre, degrees);
        let level = math::ln(Moments::at(rungs, centre, slope).sum / degrees);
        Some(Self { degrees, centre, level, slope })
    }

    fn into_noise(self, mut rungs: Vec<Rung<'_>>) -> SeedNoise {
        rungs.sort_by(|one, two| one.log_flops.total_cmp(&two.log_flops));
        let (mut out, mut by_config) = (Vec::new(), BTreeMap::new());
        for rung in rungs {
            let rule = math::exp(self.level + self.slope * (rung.log_flops - self.centre));
            let variance = (RULE_DEGREES * rule + rung.degrees * rung.variance) / (RULE_DEGREES + rung.degrees);
            by_config.insert(rung.config, out.len());
            out.push(RungNoise {
                runs: rung.runs.iter().map(|run| run.record.name.clone()).collect(),
                flops: rung.runs[0].record.flops.exact,
                degrees: rung.degrees as u32,
                sample_sd: rung.variance.sqrt(),
                sd: variance.sqrt(),
            });
        }
        let degrees = self.degrees as u32;
        SeedNoise { degrees, slope: self.slope, rungs: out, level: self.level, centre: self.centre, by_config }
    }
}

/// Σ νᵢ sᵢ² e^(−b xᵢ), and the mean of x under these weights.
struct Moments {
    sum: f64,
    mean: f64,
}

impl Moments {
    fn at(rungs: &[Rung<'_>], centre: f64, slope: f64) -> Self {
        let weight = |rung: &Rung<'_>| rung.degrees * rung.variance * math::exp(-slope * (rung.log_flops - centre));
        let sum: f64 = rungs.iter().map(weight).sum();
        let mean = rungs.iter().map(|rung| weight(rung) * (rung.log_flops - centre)).sum::<f64>() / sum;
        Self { sum, mean }
    }
}

/// The slope at the maximum, a being at its own for each b. The derivative there, ν/2 · mean − b / τ², falls in b, so
/// that halving finds its zero.
fn slope(rungs: &[Rung<'_>], centre: f64, degrees: f64) -> f64 {
    let rises = |slope: f64| 0.5 * degrees * Moments::at(rungs, centre, slope).mean > slope / (SLOPE_SD * SLOPE_SD);
    let (mut low, mut high) = (-STEEPEST, STEEPEST);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if rises(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests;
