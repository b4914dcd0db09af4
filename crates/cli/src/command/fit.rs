//! `forescale fit`: scaling laws with intervals, certificates and doubts.

use crate::args::FitArgs;
use crate::exit::Answer;
use crate::output;
use crate::source::Material;

pub(crate) fn run(args: &FitArgs) -> anyhow::Result<Answer> {
    let mut material = Material::open(&args.source, &args.table)?;
    if args.with_target {
        material.let_target_in()?;
    }
    material.say_notes();
    let options = material.fit_options(&args.law)?;
    let report = material.fit(&options)?;
    output::either(args.json, &report, forescale_report::text::fits)?;
    Ok(Answer::Yes)
}
