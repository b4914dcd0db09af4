//! `forescale probe lr`: the best rate by width and horizon, trained through the launcher.

use anyhow::anyhow;
use forescale_core::run::PlannedRun;
use forescale_fit::probe::{RateInput, RateRun};
use forescale_sweep::{RateProbe, SweepSpec, probe_rates};

use crate::args::RateArgs;
use crate::exit::Answer;
use crate::place::Place;
use crate::workplace::{self, Workplace};

pub(super) fn run(args: &RateArgs) -> anyhow::Result<Answer> {
    let place = Place::of(&args.training.device)?;
    let spec = workplace::load(&args.probe.sweep)?;
    forescale_fit::probe::check_grid(&widths(args, &spec), &args.factors)?;
    let _lock = workplace::take(&spec)?;
    let workplace = Workplace::building(spec)?;
    let grid = Grid { args, workplace: &workplace };
    // The whole grid is planned once, so that what cannot be is refused before any of it is trained.
    let all = grid.whole()?;
    super::train(&workplace, &args.training, &place, &all)?;
    let report =
        forescale_fit::probe::rate(&RateInput { subject: args.probe.subject(&workplace), runs: grid.runs()? })?;
    args.probe.conclude(&workplace, &report)
}

/// The widths asked for, or the ladder's smallest and twice and four times it.
fn widths(args: &RateArgs, spec: &SweepSpec) -> Vec<u32> {
    if !args.widths.is_empty() {
        return args.widths.clone();
    }
    let smallest = spec.rungs().first().map_or(16, |rung| rung.width);
    vec![smallest, 2 * smallest, 4 * smallest]
}

/// The runs of a probe.
struct Grid<'a> {
    args: &'a RateArgs,
    workplace: &'a Workplace,
}

/// Tried in this order on every horizon of a grid that cannot be planned.
const OTHER_LENGTHS: [f64; 6] = [2.0, 4.0, 8.0, 16.0, 0.5, 0.25];

impl Grid<'_> {
    /// Every run. Where other horizons would do, a refusal names those in place of the keys of the spec, which the
    /// probe's user did not come to change.
    fn whole(&self) -> anyhow::Result<Vec<PlannedRun>> {
        let RateArgs { horizons, factors, .. } = self.args;
        self.plan(horizons, factors).map_err(|error| {
            let scaled = OTHER_LENGTHS.map(|by| horizons.iter().map(|horizon| by * horizon).collect::<Vec<f64>>());
            let Some(fitting) = scaled.iter().find(|other| self.plan(other, factors).is_ok()) else { return error };
            let list: Vec<String> = fitting.iter().map(f64::to_string).collect();
            let text = error.to_string();
            let problem = text.split_once("\n\nhint: ").map_or(text.as_str(), |(problem, _)| problem);
            anyhow!("{problem}\n\nhint: --horizons {}", list.join(","))
        })
    }

    fn plan(&self, horizons: &[f64], factors: &[f64]) -> anyhow::Result<Vec<PlannedRun>> {
        let probe = RateProbe {
            widths: widths(self.args, &self.workplace.spec),
            tokens_per_param: horizons.to_vec(),
            factors: factors.to_vec(),
            seeds: self.args.seeds.get(),
            parametrization: self.args.probe.parametrization(self.workplace),
        };
        Ok(probe_rates(&self.workplace.spec, Some(&self.workplace.built().manifest), &probe)?.runs)
    }

    /// What came of each run; a plan does not say which horizon and factor a run is of, so each is planned for itself.
    fn runs(&self) -> anyhow::Result<Vec<RateRun>> {
        let mut runs = Vec::new();
        for &horizon in &self.args.horizons {
            for &factor in &self.args.factors {
                for run in self.plan(&[horizon], &[factor])? {
                    let record = self.workplace.store.record(&run.id)?;
                    let loss = record.and_then(|record| record.metric("loss").map(|metric| metric.value));
                    runs.push(RateRun {
                        width: run.config.shape.width,
                        tokens_per_param: horizon,
                        tokens: run.config.tokens() as f64,
                        rate: run.config.optimizer.learning_rate,
                        embedding_rate: run.config.optimizer.embedding_learning_rate,
                        factor,
                        seed: run.config.seed,
                        loss,
                    });
                }
            }
        }
        Ok(runs)
    }
}
