//! `forescale probe collapse`: the normalised loss curves of the ladder's sealed runs.

use forescale_core::observation::Selection;
use forescale_core::run::{PlannedRun, Role};
use forescale_fit::probe::CollapseInput;

use crate::args::CollapseArgs;
use crate::exit::Answer;
use crate::place::Place;
use crate::workplace::{self, Workplace};

pub(super) fn run(args: &CollapseArgs) -> anyhow::Result<Answer> {
    let place = Place::of(&args.training.device)?;
    let spec = workplace::load(&args.probe.sweep)?;
    forescale_fit::probe::check_curves(spec.rungs().len(), spec.evaluation().curve_points as usize)?;
    let workplace = Workplace::building(spec)?;
    let ladder = ladder(args, &workplace, &place)?;
    let mut records = Vec::new();
    for run in &ladder {
        records.extend(workplace.store.planned_record(run)?);
    }
    let forecast = workplace.spec.forecast();
    let selection =
        Selection { params_rule: forecast.params_rule, flops_rule: forecast.flops_rule, ..Selection::default() };
    let (observations, _) = forescale_sweep::observe(&records, &selection);
    let known_floor = workplace.built().manifest.entropy_rate;
    let input = CollapseInput { subject: args.probe.subject(&workplace), records, observations, known_floor };
    args.probe.conclude(&workplace, &forescale_fit::probe::collapse(&input)?)
}

/// The ladder as planned, or under the parametrisation asked for; that other ladder is trained here.
fn ladder(args: &CollapseArgs, workplace: &Workplace, place: &Place) -> anyhow::Result<Vec<PlannedRun>> {
    let asked = args.probe.parametrization(workplace);
    if asked == workplace.spec.training().parametrization {
        return Ok(workplace.plan.ladder().cloned().collect());
    }
    let _lock = workplace::take(&workplace.spec)?;
    let manifest = &workplace.built().manifest;
    let other = forescale_sweep::plan_with(&workplace.spec, Some(manifest), Some(asked))?;
    let ladder: Vec<PlannedRun> = other.ladder().filter(|run| run.role == Role::Path).cloned().collect();
    super::train(workplace, &args.training, place, &ladder)?;
    Ok(ladder)
}
