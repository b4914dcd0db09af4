//! `forescale fit`: scaling laws with intervals, certificates and doubts.

mod curves;

use forescale_core::approach::Approach;
use forescale_fit::{ApproachOptions, FitOptions};

use crate::args::FitArgs;
use crate::exit::Answer;
use crate::output;
use crate::source::Material;

pub(crate) fn run(args: &FitArgs) -> anyhow::Result<Answer> {
    if curves::are_asked_for(args)? {
        return curves::run(args);
    }
    let mut material = Material::open(&args.source, &args.table)?;
    if args.with_target {
        material.let_target_in()?;
    }
    material.say_notes();
    let options = material.fit_options(&args.law)?;
    if !args.approach.is_empty() {
        return approaches(&material, args, &options);
    }
    let report = material.fit(&options)?;
    output::either(args.json, &report, forescale_report::text::fits)?;
    Ok(Answer::Yes)
}

/// How a budget is best split, by each approach asked for.
fn approaches(material: &Material, args: &FitArgs, options: &FitOptions) -> anyhow::Result<Answer> {
    let options = ApproachOptions {
        approaches: args.approach.iter().filter_map(|&number| Approach::of_number(number)).collect(),
        at: args.at_budget.clone(),
        level: options.level,
        objective: options.objective,
        ..ApproachOptions::default()
    };
    let report = forescale_fit::approaches(&material.observations, &options)?;
    output::either(args.json, &report, forescale_report::answers::approaches)?;
    Ok(Answer::Yes)
}
