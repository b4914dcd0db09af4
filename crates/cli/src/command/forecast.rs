//! `forescale forecast`: what a larger run will reach, and what budget reaches a loss.

use anyhow::bail;
use forescale_core::answer::Aim;
use forescale_core::outcome::{Forecast, ForecastStatus, ForecastTarget};
use forescale_fit::{ForecastOptions, Target};

use crate::answers::{answer, is_asked, optimum, single, under_caps};
use crate::args::ForecastArgs;
use crate::command::tasks;
use crate::exit::Answer;
use crate::number::positive;
use crate::output;
use crate::source::Material;
use crate::target::{TypedTarget, parse_reach, parse_target};

pub(crate) fn run(args: &ForecastArgs) -> anyhow::Result<Answer> {
    let targets = args.at.iter().map(|text| parse_target("--at", text)).collect::<anyhow::Result<Vec<_>>>()?;
    if tasks::are_told(&args.source, &args.table)? {
        let targets = targets.iter().map(TypedTarget::of_a_budget).collect::<anyhow::Result<Vec<_>>>()?;
        return tasks::forecast(args, &targets);
    }
    limit(&targets, args)?;
    args.caps.check()?;
    let reached = args.reach.as_deref().map(parse_reach).transpose()?;
    let material = Material::open_for(&args.source, &args.table, &args.law)?;
    material.say_notes();
    let targets: Vec<Target> = targets.iter().map(|typed| typed.meant(&material)).collect::<anyhow::Result<_>>()?;
    let targets = limited(targets, args);
    if args.tasks {
        return tasks::of_sweep(args, &material, targets);
    }
    let options = material.forecast_options(&args.law)?;
    let forecast = match reached {
        Some(loss) => reach(&material, args, loss, &options)?,
        None => ahead(&material, args, targets, &options)?,
    };
    output::either(args.json, &forecast, |forecast| {
        let plot = || forescale_report::terminal::forecast(forecast, &material.observations);
        args.plot.under(forescale_report::text::forecast(forecast), plot)
    })?;
    let refused = |target: &ForecastTarget| target.status == ForecastStatus::Refused;
    Ok(if forecast.targets.iter().all(refused) { Answer::None } else { Answer::Yes })
}

/// What budget reaches a loss, and under the caps.
fn reach(material: &Material, args: &ForecastArgs, loss: f64, options: &ForecastOptions) -> anyhow::Result<Forecast> {
    let optimum = optimum(material, args, Aim::Loss(loss), options)?;
    let mut forecast = forescale_fit::reach(&material.observations, loss, options)?;
    forecast.diagnoses.extend(material.doubts());
    if is_asked(args) {
        forecast.answers = Some(answer(material, args, options, (&forecast, optimum), None)?);
    }
    Ok(forecast)
}

/// What targets will reach. Under caps that hold, the run they leave is what is forecast.
fn ahead(
    material: &Material,
    args: &ForecastArgs,
    typed: Vec<Target>,
    options: &ForecastOptions,
) -> anyhow::Result<Forecast> {
    let shaped = typed.iter().any(|target| target.params.is_some() || target.tokens.is_some());
    if shaped && args.caps.meant().is_some() {
        bail!(
            "the target tells its own size or data, and a cap asks for the best ones\n\n\
             hint: --at flops=… alone beside the cap, or the target without the cap"
        );
    }
    let targets = material.targets_or_own(typed, "--at")?;
    if !is_asked(args) {
        return material.forecast(&targets, options);
    }
    let asked = single(&targets)?;
    let asked = if args.caps.meant().is_some() { budget_alone(asked) } else { asked };
    let optimum = optimum(material, args, Aim::Flops(asked.flops), options)?;
    let capped = optimum.as_ref().and_then(under_caps);
    let mut forecast = material.forecast(&[capped.unwrap_or(asked)], options)?;
    forecast.answers = Some(answer(material, args, options, (&forecast, optimum), Some(asked.flops))?);
    Ok(forecast)
}

/// The sweep's own target under a cap: its budget, for which the cap asks the best size and data.
fn budget_alone(target: Target) -> Target {
    if target.params.is_some() || target.tokens.is_some() {
        output::say("note: the cap is asked of the budget of the sweep's target; its own size and data are set aside");
    }
    Target::of_budget(target.flops)
}

/// Refuses distinct tokens of which nothing could be made.
fn limit(targets: &[TypedTarget], args: &ForecastArgs) -> anyhow::Result<()> {
    let Some(unique) = args.unique_tokens else { return Ok(()) };
    positive("--unique-tokens", unique, "1e9")?;
    if !args.law.model_repetition() {
        bail!(
            "`--unique-tokens` is for laws that model repeated data, and none of those asked for does\n\n\
             hint: --law data_constrained"
        );
    }
    if targets.is_empty() || !targets.iter().all(TypedTarget::is_shaped) {
        bail!(
            "`--unique-tokens` needs to know how many tokens the target sees\n\n\
             hint: --at flops=1e21,tokens=1.4e11 --unique-tokens {unique:e}"
        );
    }
    Ok(())
}

/// The same targets with the distinct tokens that they have.
fn limited(targets: Vec<Target>, args: &ForecastArgs) -> Vec<Target> {
    let unique_tokens = args.unique_tokens;
    targets.into_iter().map(|target| Target { unique_tokens, ..target }).collect()
}
