//! The forecast to expect once the runs are there, by drawing what they may come to.
//!
//! To first order the variance is known without a draw ([`super::value`]), but an interval is not: profiles are lopsided
//! while the floor is open, and Student's quantiles shrink with every run. So each draw trains the runs on paper: losses of
//! the laws fitted now, with seed noise, are added to the table, everything is fitted again, and the widths are read off.
//! The medians over the draws are reported about today's median: where the forecast will move to is what the runs are
//! bought to learn.

use std::collections::{BTreeMap, BTreeSet};

use forescale_core::estimate::Interval;
use forescale_core::law::{Domain, LawName};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::run::Role;
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::candidates::Candidate;
use crate::ensemble::mean_interval;
use crate::forecaster::{Forecaster, forecaster};
use crate::path::is_near_path;
use crate::{FitOptions, Target};

/// What is simulated.
pub(super) struct Simulation<'a> {
    pub(super) observations: &'a [Observation],
    pub(super) now: &'a Forecaster,
    pub(super) target: Target,
    pub(super) fit: &'a FitOptions,
    pub(super) draws: usize,
    pub(super) seed: u64,
}

/// What one draw came to.
struct Drawn {
    /// How far the ends lie from the median by the laws of now, as logarithms; none where these cannot be fitted to the runs.
    reaches: Option<[f64; 4]>,
    /// The same with the laws that have a say then and none now, and these laws; where there are some.
    joined: Option<([f64; 4], Vec<String>)>,
}

/// What to expect of runs.
pub(super) struct Expected {
    /// Widths by the laws that have a say now.
    pub(super) widths: Widths,
    /// Whether any draw could be fitted by them; the widths are those of now where none could.
    pub(super) is_drawn: bool,
    /// Widths with the laws that come in, and these laws; where most draws bring in the same.
    pub(super) further: Option<(Widths, Vec<String>)>,
}

/// Median and both intervals of one forecast.
#[derive(Clone, Copy, Debug)]
pub(super) struct Widths {
    pub(super) median: f64,
    pub(super) interval: Interval,
    pub(super) mean_interval: Interval,
}

impl Widths {
    /// `None` where no law gives a number for the target.
    pub(super) fn of(forecaster: &Forecaster, target: &Target, level: f64) -> Option<Self> {
        let outlook = forecaster.outlook(target);
        let predictive = outlook.predictive?;
        let (median, interval) = (predictive.median(), predictive.interval(level));
        Some(Self { median, interval, mean_interval: mean_interval(&outlook.means, level) })
    }

    /// How far the ends lie from the median, as logarithms: lower and upper of the interval, then of the mean's.
    fn reaches(&self) -> [f64; 4] {
        let ends = [self.interval.lower, self.interval.upper, self.mean_interval.lower, self.mean_interval.upper];
        ends.map(|end| math::ln(end / self.median))
    }

    /// The same about this median with other reaches.
    fn reaching(&self, reaches: [f64; 4]) -> Self {
        let [lower, upper, mean_lower, mean_upper] = reaches.map(|reach| self.median * math::exp(reach));
        Self {
            median: self.median,
            interval: Interval { lower, upper, ..self.interval },
            mean_interval: Interval { lower: mean_lower, upper: mean_upper, ..self.mean_interval },
        }
    }
}

impl Simulation<'_> {
    /// Widths to expect with these runs, those of now where no draw can be fitted, by the laws of now; and with the laws that
    /// have a say in most draws and none now.
    pub(super) fn expect(&self, runs: &[Candidate], now: &Widths) -> Expected {
        let drawn: Vec<Option<Drawn>> = (0..self.draws).into_par_iter().map(|i| self.draw(runs, i as u64)).collect();
        let drawn: Vec<Drawn> = drawn.into_iter().flatten().collect();
        let of_now: Vec<[f64; 4]> = drawn.iter().filter_map(|draw| draw.reaches).collect();
        let joined: Vec<&([f64; 4], Vec<String>)> = drawn.iter().filter_map(|draw| draw.joined.as_ref()).collect();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for law in joined.iter().flat_map(|(_, laws)| laws) {
            *counts.entry(law).or_default() += 1;
        }
        let most = counts.into_iter().filter(|(_, draws)| 2 * draws > drawn.len());
        let laws: Vec<String> = most.map(|(law, _)| law.to_owned()).collect();
        let bring_them = joined.iter().filter(|(_, joined)| laws.iter().all(|law| joined.contains(law)));
        let with_them: Vec<[f64; 4]> = bring_them.map(|(reaches, _)| *reaches).collect();
        let further = (!laws.is_empty()).then(|| (now.reaching(medians(&with_them, now)), laws));
        Expected { widths: now.reaching(medians(&of_now, now)), is_drawn: !of_now.is_empty(), further }
    }

    fn draw(&self, runs: &[Candidate], stream: u64) -> Option<Drawn> {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(stream);
        let bought: Vec<Observation> =
            runs.iter().enumerate().map(|(i, run)| self.train(i, run, normal(&mut generator))).collect();
        let all: Vec<&Observation> = self.observations.iter().chain(&bought).collect();
        let then = self.fitted_to(&all, self.fit)?;
        let reaches = self.reaches(&then)?;
        let (now, later) = (self.speaking(self.now), self.speaking(&then));
        if later == now {
            return Some(Drawn { reaches: Some(reaches), joined: None });
        }
        let joined: Vec<String> = later.difference(&now).cloned().collect();
        // Like with like: what the runs tell the laws of now is not hidden by what another says otherwise.
        let laws: Vec<LawName> = self.fit.laws.iter().filter(|law| now.contains(&law.to_string())).copied().collect();
        let of_now = self.fitted_to(&all, &FitOptions { laws, ..self.fit.clone() });
        let of_now = of_now.and_then(|then| self.reaches(&then));
        Some(Drawn { reaches: of_now, joined: (!joined.is_empty()).then_some((reaches, joined)) })
    }

    /// The forecaster that runs would give, with the weights and widths of now.
    fn fitted_to(&self, all: &[&Observation], fit: &FitOptions) -> Option<Forecaster> {
        let (mut then, _) = forecaster(all, fit).ok()?;
        then.fit_bare(all, fit);
        then.adopt(self.now);
        then.evaluation_sigma = self.now.evaluation_sigma;
        Some(then)
    }

    fn reaches(&self, forecaster: &Forecaster) -> Option<[f64; 4]> {
        Some(Widths::of(forecaster, &self.target, self.fit.level)?.reaches())
    }

    /// The laws that have a say.
    fn speaking(&self, forecaster: &Forecaster) -> BTreeSet<String> {
        let laws = forecaster.outlook(&self.target).laws.into_iter();
        laws.filter(|law| law.weight > 0.0).map(|law| law.law).collect()
    }

    /// A run on paper: the laws' mean loss, and so many deviations of seed noise.
    fn train(&self, index: usize, run: &Candidate, deviations: f64) -> Observation {
        let is_on_path = self.is_on_path(run);
        let told = self.observations.iter().any(|o| o.role.is_some());
        let log_loss = self.expected(run, is_on_path) + self.noise(run.flops) * deviations;
        let loss = math::exp(log_loss);
        Observation {
            group: self.observations.first().and_then(|o| o.group.clone()),
            role: told.then_some(if is_on_path { Role::Path } else { Role::OffPath }),
            eval_set_digest: self.evaluation_set(),
            ..Observation::bare(format!("designed-{index}"), run.params, run.tokens, run.flops, loss)
        }
    }

    /// The set of the largest run: bought runs are measured on it too, or each draw would doubt a second set.
    fn evaluation_set(&self) -> Option<String> {
        let largest = self.observations.iter().reduce(|a, b| if b.flops > a.flops { b } else { a })?;
        largest.eval_set_digest.clone()
    }

    /// Whether a run lies on the path of the laws of compute; where there are none, on the laws' own frontier.
    pub(super) fn is_on_path(&self, run: &Candidate) -> bool {
        let mut path = self.now.laws().filter(|law| law.problem.is_path_law()).peekable();
        if path.peek().is_some() {
            return path.any(|law| is_near_path(&law.points, run.params, run.tokens, run.flops));
        }
        let optimum = self.now.optimum(run.flops);
        let apart = |params: f64| math::ln(run.params / params).abs();
        optimum.is_some_and(|best| apart(best.params.estimate) <= 0.5 * core::f64::consts::LN_2)
    }

    /// Mean of ln L over the laws that speak of such a run.
    fn expected(&self, run: &Candidate, is_on_path: bool) -> f64 {
        let speaks = |domain: Domain| domain == Domain::SizeAndData || is_on_path;
        let all: Vec<f64> = self
            .now
            .laws()
            .filter(|law| speaks(law.law.form().domain()))
            .map(|law| law.log_loss(run.params, run.tokens, run.flops))
            .collect();
        all.iter().sum::<f64>() / all.len().max(1) as f64
    }

    /// Standard deviation of one run's log loss, larger for small runs where the table says so.
    fn noise(&self, flops: f64) -> f64 {
        let falloff = self.now.laws().find_map(|law| law.falloff);
        self.now.seed_sigma / falloff.map_or(1.0, |falloff| falloff.weight(flops))
    }
}

/// The median of each end over draws, those of now where there is none.
fn medians(drawn: &[[f64; 4]], now: &Widths) -> [f64; 4] {
    let mut reaches = now.reaches();
    for (end, reach) in reaches.iter_mut().enumerate() {
        let values: Vec<f64> = drawn.iter().map(|draw| draw[end]).collect();
        *reach = math::median(&values).unwrap_or(*reach);
    }
    reaches
}

/// A standard normal number.
fn normal(generator: &mut ChaCha8Rng) -> f64 {
    let uniform = (generator.next_u64() >> 11) as f64 + 0.5;
    math::normal_quantile(uniform / (1_u64 << 53) as f64)
}
