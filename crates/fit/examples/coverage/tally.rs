//! Simulating a scenario and counting what held.

use forescale_core::estimate::Interval;
use forescale_core::math;
use forescale_core::outcome::{Diagnosis, Forecast, Severity};
use forescale_fit::{fit, forecast};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::scenario::{Bar, Outcome, Scenario};

/// Doubts that name model form: which law is right matters more than noise, or none is.
const NAMES_FORM: [&str; 4] = ["laws_disagree", "residual_pattern", "not_asymptotic", "model_form"];

fn names_form(diagnosis: &Diagnosis) -> bool {
    NAMES_FORM.contains(&diagnosis.code.as_str())
}

/// What intervals came to at one ratio.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) forecasts: usize,
    /// Mean intervals against the law.
    pub(crate) mean: Held,
    /// Intervals for one run against one run.
    pub(crate) one: Held,
    /// Simulations in which a doubt names model form, and in which that is a warning.
    pub(crate) form_named: usize,
    pub(crate) form_warned: usize,
}

/// Intervals against outcomes, widths and scores in percent of the true loss.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    inside: usize,
    widths: Vec<f64>,
    scores: Vec<f64>,
}

impl Held {
    fn add(&mut self, interval: &Interval, outcome: f64, unit: f64) {
        self.inside += usize::from(interval.contains(outcome));
        self.widths.push(100.0 * (interval.upper - interval.lower) / unit);
        self.scores.push(100.0 * interval.score(outcome) / unit);
    }

    /// Share of intervals that hold.
    pub(crate) fn coverage(&self) -> f64 {
        self.inside as f64 / self.widths.len().max(1) as f64
    }

    /// Median width.
    pub(crate) fn width(&self) -> f64 {
        math::median(&self.widths).unwrap_or(f64::NAN)
    }

    /// Mean interval score.
    pub(crate) fn score(&self) -> f64 {
        self.scores.iter().sum::<f64>() / self.scores.len().max(1) as f64
    }
}

/// Simulates a scenario; one tally per ratio. Each simulation has a stream of its own, so that threads change nothing.
pub(crate) fn simulate(scenario: &Scenario, simulations: u64, seed: u64) -> Vec<Tally> {
    let one = |stream: u64| {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        let draw = (scenario.draw)(&scenario.ratios, &mut generator);
        let targets: Vec<_> = draw.targets.iter().map(|outcome| outcome.target).collect();
        let mut answer = forecast(&draw.runs, &targets, &scenario.options).ok()?;
        if scenario.bar != Bar::True {
            let report = fit(&draw.runs, &[], &scenario.options.fit).ok()?;
            answer.diagnoses.extend(report.fits.into_iter().flat_map(|law| law.diagnoses));
        }
        Some((draw.targets, answer))
    };
    let answers: Vec<_> = (0..simulations).into_par_iter().map(one).collect();
    let mut tallies = vec![Tally::default(); scenario.ratios.len()];
    for (outcomes, answer) in answers.iter().flatten() {
        let names = || answer.diagnoses.iter().filter(|diagnosis| names_form(diagnosis));
        let named = [names().next().is_some(), names().any(|diagnosis| diagnosis.severity > Severity::Note)];
        for (index, tally) in tallies.iter_mut().enumerate() {
            tally.add(&outcomes[index], answer, index, named);
        }
    }
    tallies
}

impl Tally {
    fn add(&mut self, outcome: &Outcome, answer: &Forecast, index: usize, [named, warned]: [bool; 2]) {
        let entry = &answer.targets[index];
        let Some((mean, one)) = entry.mean_intervals.first().zip(entry.intervals.first()) else { return };
        self.forecasts += 1;
        self.form_named += usize::from(named);
        self.form_warned += usize::from(warned);
        self.mean.add(mean, outcome.mean, outcome.mean);
        self.one.add(one, outcome.one, outcome.mean);
    }
}
