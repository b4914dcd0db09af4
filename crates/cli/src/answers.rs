//! What else a forecast is asked: the optimum under caps, the learning rate and batch, and what the target costs.

use std::path::{Path, PathBuf};

use anyhow::bail;
use forescale_core::answer::{Aim, Answers, Caps, OptimumUnderCap, Recommendations, Serving};
use forescale_core::cost::{CostRange, Hardware, find};
use forescale_core::estimate::Estimate;
use forescale_core::outcome::{Forecast, ForecastTarget};
use forescale_fit::ForecastOptions;

use crate::args::{CapArgs, ForecastArgs, PriceArgs};
use crate::source::Material;

impl CapArgs {
    /// The caps as meant; none where no flag was typed.
    fn meant(&self) -> Option<Caps> {
        let serving = self.serve.map(|tokens_per_month| Serving { tokens_per_month, months: self.months });
        let caps = Caps { max_tokens: self.max_tokens, max_params: self.max_params, params: self.params, serving };
        (caps != Caps::default()).then_some(caps)
    }
}

/// The answers asked for beside a forecast; `None` where nothing was.
pub(crate) fn answer(
    material: &Material,
    args: &ForecastArgs,
    options: &ForecastOptions,
    forecast: &Forecast,
) -> anyhow::Result<Option<Answers>> {
    let caps = args.caps.meant();
    if caps.is_none() && !args.recommend && args.hardware.name.is_none() {
        return Ok(None);
    }
    let [target] = &forecast.targets[..] else {
        bail!(
            "caps, costs and recommendations are for one target, and {} were asked for\n\nhint: one --at",
            forecast.targets.len()
        );
    };
    let optimum = caps.map(|caps| optimum(material, caps, options, forecast)).transpose()?;
    let shape = shape(target, optimum.as_ref());
    let recommendations = args.recommend.then(|| recommend(material, shape, options)).transpose()?;
    let cost = cost(material, &args.hardware, &budget(args, forecast))?;
    Ok(Some(Answers { optimum, recommendations, cost }))
}

fn optimum(
    material: &Material,
    caps: Caps,
    options: &ForecastOptions,
    forecast: &Forecast,
) -> anyhow::Result<OptimumUnderCap> {
    let aim = forecast.reach.as_ref().map_or(Aim::Flops(forecast.targets[0].flops), |reach| Aim::Loss(reach.loss));
    Ok(forescale_fit::optimum(&material.observations, aim, caps, &options.fit)?)
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
    let Some((params, tokens)) = shape else {
        bail!(
            "a rate is recommended for a size and data, and the target has none\n\nhint: --at flops=…,params=…,tokens=…"
        );
    };
    Ok(forescale_fit::recommend(material.tuning_runs(), params, tokens, options.fit.level)?)
}

/// The compute that is paid for: what was asked, or what reaches the loss.
fn budget(args: &ForecastArgs, forecast: &Forecast) -> Estimate {
    let (flops, level) = (forecast.targets[0].flops, args.law.level.unwrap_or(0.9));
    forecast.reach.as_ref().map_or(exactly(flops, level), |reach| reach.flops)
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
