//! `forescale fit`: scaling laws with intervals, certificates and doubts.

mod curves;

use forescale_core::approach::Approach;
use forescale_core::outcome::{FitReport, FittedLaw, Severity};
use forescale_fit::{ApproachOptions, FitOptions};

use crate::args::FitArgs;
use crate::command::tasks;
use crate::evidence;
use crate::exit::Answer;
use crate::number::positive;
use crate::output;
use crate::source::Material;

pub(crate) fn run(args: &FitArgs) -> anyhow::Result<Answer> {
    if curves::are_asked_for(args)? {
        return curves::run(args);
    }
    if tasks::are_told(&args.source, &args.table)? {
        return tasks::fit(args);
    }
    let mut material = Material::open_for(&args.source, &args.table, &args.law)?;
    if args.with_target {
        material.let_target_in()?;
    }
    material.say_notes();
    let options = material.fit_options(&args.law)?;
    if !args.approach.is_empty() {
        return approaches(&material, args, &options);
    }
    let report = material.fit(&options)?;
    if args.checklist {
        return checklist(&material, args, &report);
    }
    output::either(args.json, &report, |report| {
        args.plot.under(forescale_report::text::fits(report), || drawn(report, &material))
    })?;
    // A law that its own runs contradict is none; where another holds there is an answer.
    let is_contradicted = |fit: &FittedLaw| fit.diagnoses.iter().any(|doubt| doubt.severity == Severity::Error);
    Ok(if report.fits.iter().all(is_contradicted) { Answer::None } else { Answer::Yes })
}

/// The runs and the first law; the runs alone where several groups were fitted apart.
fn drawn(report: &FitReport, material: &Material) -> String {
    let groups = report.fits.iter().filter(|fit| fit.group != report.fits[0].group).count();
    let first = report.fits.first().filter(|_| groups == 0);
    let at_runs = first.map_or_else(Vec::new, |law| forescale_fit::at_runs(law, &material.observations));
    forescale_report::terminal::fits(report, &material.observations, &at_runs)
}

/// The questions that a reader should ask, answered from the runs, their fits and the forecast of the sweep's own target.
fn checklist(material: &Material, args: &FitArgs, report: &FitReport) -> anyhow::Result<Answer> {
    let options = material.forecast_options(&args.law)?;
    let targets = Vec::from_iter(material.own_target());
    let forecast = (!targets.is_empty()).then(|| material.forecast(&targets, &options)).transpose()?;
    let mut answers = forescale_fit::checklist(&material.observations, &material.exclusions, report, forecast.as_ref());
    let sealed = material.sweep.as_ref().map(evidence::registration).transpose()?.flatten();
    if let Some(registration) = sealed {
        answers = answers.registered(&registration.sha256);
    }
    output::either(args.json, &answers, forescale_report::answers::checklist)?;
    Ok(Answer::Yes)
}

/// How a budget is best split, by each approach asked for.
fn approaches(material: &Material, args: &FitArgs, options: &FitOptions) -> anyhow::Result<Answer> {
    args.at_budget.iter().try_for_each(|&flops| positive("--at-budget", flops, "1e21").map(drop))?;
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
