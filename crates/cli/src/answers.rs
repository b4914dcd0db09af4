//! What else a forecast is asked: the optimum under caps, the learning rate and batch, and what the target costs.

use std::path::{Path, PathBuf};

use anyhow::bail;
use forescale_core::answer::{Aim, Answers, Caps, OptimumUnderCap, Recommendations, Serving};
use forescale_core::cost::{CostRange, Hardware, find};
use forescale_core::estimate::Estimate;
use forescale_core::outcome::{Forecast, ForecastTarget};
use forescale_fit::{ForecastOptions, Target};

use crate::args::{CapArgs, ForecastArgs, PriceArgs};
use crate::number::{at_least_one, positive};
use crate::source::Material;
use forescale_core::quantity::scientific;

impl CapArgs {
    /// Refuses numbers of which no cap could be made.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let sizes = [
            ("--max-tokens", self.max_tokens, "1e12"),
            ("--max-params", self.max_params, "7e9"),
            ("--params", self.params, "7e9"),
        ];
        for (flag, value, example) in sizes {
            value.map(|value| at_least_one(flag, value, example)).transpose()?;
        }
        self.serve.map(|served| positive("--serve", served, "1e12")).transpose()?;
        positive("--months", self.months, "12")?;
        if let (Some(params), Some(most)) = (self.params, self.max_params)
            && params > most
        {
            let [params, most] = [params, most].map(scientific);
            bail!("`--params {params}` lies above `--max-params {most}`\n\nhint: give one of the two");
        }
        Ok(())
    }

    /// The caps as meant; none where no flag was typed.
    pub(crate) fn meant(&self) -> Option<Caps> {
        let serving = self.serve.map(|tokens_per_month| Serving { tokens_per_month, months: self.months });
        let caps = Caps { max_tokens: self.max_tokens, max_params: self.max_params, params: self.params, serving };
        (caps != Caps::default()).then_some(caps)
    }
}

/// Whether anything is asked beside the forecast.
pub(crate) fn is_asked(args: &ForecastArgs) -> bool {
    args.caps.meant().is_some() || args.recommend || args.hardware.name.is_some()
}

/// The one target that caps, costs and recommendations are for.
pub(crate) fn single(targets: &[Target]) -> anyhow::Result<Target> {
    let [target] = targets else {
        bail!(
            "caps, costs and recommendations are for one target, and {} were asked for\n\nhint: one --at",
            targets.len()
        );
    };
    Ok(*target)
}

/// The best size and data under the caps; `None` where there are none.
pub(crate) fn optimum(
    material: &Material,
    args: &ForecastArgs,
    aim: Aim,
    options: &ForecastOptions,
) -> anyhow::Result<Option<OptimumUnderCap>> {
    let Some(caps) = args.caps.meant() else { return Ok(None) };
    Ok(Some(forescale_fit::optimum(&material.observations, aim, caps, &options.fit)?))
}

/// The run that a cap leaves, by the law that a forecast listens to, which answers first: what is forecast in place of the budget's best. `None` where no
/// cap holds it.
pub(crate) fn under_caps(optimum: &OptimumUnderCap) -> Option<Target> {
    let law = optimum.laws.first().filter(|law| !law.binding.is_empty())?;
    let (params, tokens) = (law.chosen.params.estimate, law.chosen.tokens.estimate);
    let budget = Target::of_budget(law.chosen.training_flops.estimate);
    Some(Target { params: Some(params), tokens: Some(tokens), ..budget })
}

/// The answers asked for beside a forecast, for a budget that was asked for.
pub(crate) fn answer(
    material: &Material,
    args: &ForecastArgs,
    options: &ForecastOptions,
    (forecast, optimum): (&Forecast, Option<OptimumUnderCap>),
    asked_flops: Option<f64>,
) -> anyhow::Result<Answers> {
    let shape = forecast.targets.first().and_then(|target| shape(target, optimum.as_ref()));
    let recommendations = args.recommend.then(|| recommend(material, shape, options)).transpose()?;
    let level = args.law.level.unwrap_or(0.9);
    let reached = || forecast.reach.as_ref().map(|reach| reach.flops);
    let budget = asked_flops.map(|flops| exactly(flops, level)).or_else(reached);
    let cost = budget.map(|budget| cost(material, &args.hardware, &budget)).transpose()?.flatten();
    Ok(Answers { optimum, recommendations, cost })
}

/// N and D that a recommendation is for: under the caps, as asked for, or compute-optimal.
fn shape(target: &ForecastTarget, optimum: Option<&OptimumUnderCap>) -> Option<(f64, f64)> {
    let capped = optimum.and_then(|answer| answer.laws.first());
    let capped = capped.map(|law| (law.chosen.params.estimate, law.chosen.tokens.estimate));
    let free = target.optimum.as_ref().map(|best| (best.params.estimate, best.tokens.estimate));
    capped.or(target.params.zip(target.tokens)).or(free)
}

fn recommend(
    material: &Material,
    shape: Option<(f64, f64)>,
    options: &ForecastOptions,
) -> anyhow::Result<Recommendations> {
    material.check_split("`--recommend`")?;
    let Some((params, tokens)) = shape else {
        bail!(
            "a rate is recommended for a size and data, and the target has none\n\nhint: --at flops=…,params=…,tokens=…"
        );
    };
    Ok(forescale_fit::recommend(material.tuning_runs(), params, tokens, options.fit.level)?)
}

/// A number that is known.
pub(crate) fn exactly(value: f64, level: f64) -> Estimate {
    Estimate { estimate: value, standard_error: None, lower: None, upper: None, level }
}

/// What a budget costs on the hardware named; `None` where none is.
pub(crate) fn cost(material: &Material, args: &PriceArgs, budget: &Estimate) -> anyhow::Result<Option<CostRange>> {
    let Some(name) = args.name.as_deref() else { return Ok(None) };
    Ok(Some(find(&hardware(material, args.file.clone())?, name)?.cost_range(budget)?))
}

/// The hardware table: the file typed, else the sweep's own, else the one built in.
pub(crate) fn hardware(material: &Material, typed: Option<PathBuf>) -> anyhow::Result<Vec<Hardware>> {
    Ok(match typed.or_else(|| own_table(material)) {
        Some(path) => forescale_sweep::read_hardware(&path)?,
        None => forescale_sweep::default_hardware()?,
    })
}

/// hardware.toml in the sweep's folder, where there is one.
fn own_table(material: &Material) -> Option<PathBuf> {
    let folder: &Path = material.sweep.as_ref()?.spec.folder();
    Some(folder.join(forescale_sweep::HARDWARE_FILE)).filter(|path| path.is_file())
}
