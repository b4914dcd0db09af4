//! `forescale probe coord`: activation scale against width, and depth, over the first steps.

use anyhow::{Context as _, bail};
use forescale_core::probe::Dimension;
use forescale_core::run::RunConfig;
use forescale_fit::probe::{CoordInput, ScaledModel};
use forescale_sweep::{RateProbe, SweepSpec, probe_rates};
use forescale_train::TokenFile;

use crate::args::CoordArgs;
use crate::exit::Answer;
use crate::workplace::{self, Workplace};

pub(super) fn run(args: &CoordArgs) -> anyhow::Result<Answer> {
    let spec = workplace::load(&args.probe.sweep)?;
    let widths = if args.widths.is_empty() { default_widths(&spec) } else { args.widths.clone() };
    forescale_fit::probe::check_sizes(&widths, &args.depths, args.steps)?;
    let workplace = Workplace::building(spec)?;
    let models = models(args, &workplace, &widths)?;
    let built = workplace.built();
    let tokens = TokenFile::open(&built.dir.join("tokens.bin"), &built.manifest)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut measured = Vec::new();
    for model in models {
        let activations = forescale_train::activation_scales(&model.config, &tokens, args.steps, threads)?;
        let Model { along, size, config } = model;
        measured.push(ScaledModel { along, size, seed: config.seed, activations });
    }
    let subject = args.probe.subject(&workplace);
    let CoordArgs { steps, rate_factor, .. } = *args;
    let report = forescale_fit::probe::coord(&CoordInput { subject, rate_factor, steps, models: measured })?;
    args.probe.conclude(&workplace, &report)
}

/// One model to be measured.
struct Model {
    along: Dimension,
    size: u32,
    config: RunConfig,
}

/// Fewest tokens of a step. Chosen here: what the first steps learn from a single window is of that window, and its
/// noise hides a slope of a tenth.
const STEP_TOKENS: u32 = 4096;

/// Models that differ in shape alone: batch, rate and data are those of the smallest, so that nothing but width or depth
/// can move a scale.
fn models(args: &CoordArgs, workplace: &Workplace, widths: &[u32]) -> anyhow::Result<Vec<Model>> {
    let smallest = widths.iter().copied().min().context("no width was given\n\nhint: --widths 16,32,64,128")?;
    if args.depths.contains(&0) {
        bail!("`--depths` names a model of 0 blocks; at least 1 is needed\n\nhint: --depths 2,4,8");
    }
    let mut base = planned(args, workplace, smallest)?;
    base.sequences = base.sequences.max(STEP_TOKENS.div_ceil(base.shape.context));
    let mut models = Vec::new();
    for &width in widths {
        let shape = planned(args, workplace, width)?.shape;
        models.push(Model { along: Dimension::Width, size: width, config: RunConfig { shape, ..base.clone() } });
    }
    for &depth in &args.depths {
        let mut config = base.clone();
        config.shape.layers = depth;
        models.push(Model { along: Dimension::Depth, size: depth, config });
    }
    let seeded = |model: Model| {
        (0..args.seeds.get()).map(move |seed| Model { config: RunConfig { seed, ..model.config.clone() }, ..model })
    };
    Ok(models.into_iter().flat_map(seeded).collect())
}

/// What the recipe gives a width at the factor on its rate. A width beyond the ladder may ask for more data than there
/// is at the ladder's ratio; a few steps need none of it, so that one token per parameter does as well.
fn planned(args: &CoordArgs, workplace: &Workplace, width: u32) -> anyhow::Result<RunConfig> {
    let ratio = workplace.spec.rungs().first().map_or(20.0, |rung| rung.tokens_per_param);
    let plan = |ratio| {
        let probe = RateProbe {
            widths: vec![width],
            tokens_per_param: vec![ratio],
            factors: vec![args.rate_factor],
            seeds: 1,
            parametrization: args.probe.parametrization(workplace),
        };
        probe_rates(&workplace.spec, Some(&workplace.built().manifest), &probe)
    };
    let runs = plan(ratio).or_else(|error| plan(1.0).map_err(|_| error))?.runs;
    Ok(runs.into_iter().next().expect("one width, one factor and one seed make one run").config)
}

/// From the ladder's smallest, doubling, until there are four and the largest rung is reached.
fn default_widths(spec: &SweepSpec) -> Vec<u32> {
    let rungs = spec.rungs();
    let (smallest, largest) = (rungs.first().map_or(16, |rung| rung.width), rungs.last().map_or(16, |rung| rung.width));
    let doubling = std::iter::successors(Some(smallest), |width| width.checked_mul(2));
    doubling.enumerate().take_while(|(index, width)| *index < 4 || *width <= largest).map(|(_, width)| width).collect()
}
