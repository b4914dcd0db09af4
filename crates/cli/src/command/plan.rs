//! `forescale plan`: the runs of a sweep, before anything is trained.

mod recipe;

use forescale_core::count::CountingRule;
use forescale_core::problem::Problem;
use forescale_core::run::{EvaluationConfig, PLAN_SCHEMA, PlanReport, PlanRow, PlannedRun, Role, RunConfig};
use forescale_report::format;
use forescale_report::{Alignment, Table};
use forescale_sweep::Plan;

use crate::args::PlanArgs;
use crate::exit::Answer;
use crate::output;
use crate::progress::clock;
use crate::workplace::Workplace;

pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<Answer> {
    let workplace = Workplace::open(&args.sweep)?;
    for note in &workplace.plan.notes {
        output::say(&format!("note: {note}"));
    }
    output::either(args.json, &report(&workplace)?, if args.recipe { recipe::words } else { words })?;
    Ok(Answer::Yes)
}

fn report(workplace: &Workplace) -> anyhow::Result<PlanReport> {
    let plan = &workplace.plan;
    let problems = workplace.problems()?;
    let row = |run: &PlannedRun| PlanRow {
        id: workplace.corpus.is_some().then(|| run.id.clone()),
        name: run.name.clone(),
        role: run.role,
        parameters: run.config.parameters(),
        tokens: run.config.tokens(),
        flops: run.config.flops(),
        trunk: run.config.trunk_id(),
        saved_flops: plan.saved_flops(run),
        estimated_seconds: own_seconds(plan, run, &problems),
        config: run.config.clone(),
    };
    Ok(PlanReport {
        schema: PLAN_SCHEMA.to_owned(),
        runs: plan.runs.iter().map(row).collect(),
        notes: plan.notes.clone(),
        recipe: recipe::rows(),
    })
}

/// Estimated seconds on one thread of the steps that a run does not take over from a shorter branch of its trunk.
pub(crate) fn own_seconds(plan: &Plan, run: &PlannedRun, problems: &[Problem]) -> f64 {
    let shared = RunConfig { steps: plan.shared_steps(run), ..run.config.clone() };
    let training_alone = EvaluationConfig { tokens: 0, curve_tokens: 0, curve_points: 0, tasks: None };
    let saved = RunConfig { evaluation: training_alone, ..shared };
    forescale_train::estimated_seconds(&run.config, problems, 1) - forescale_train::estimated_seconds(&saved, &[], 1)
}

fn words(report: &PlanReport) -> String {
    let has_trunks = report.runs.iter().any(|run| run.trunk.is_some());
    let left = ["run", "id", "role"].into_iter().chain(has_trunks.then_some("trunk"));
    let right = ["N total", "N matmul", "D", "steps", "exact", "6ND", "Kaplan", "time"];
    let columns: Vec<(&str, Alignment)> =
        left.map(|name| (name, Alignment::Left)).chain(right.map(|name| (name, Alignment::Right))).collect();
    let mut table = Table::new(&columns);
    report.runs.iter().for_each(|run| table.push(cells(run, has_trunks)));
    format!("{}\n{}", forescale_report::text::table(&table).trim_end(), footer(report))
}

/// Seconds beyond which nobody waits for one thread: the run is meant for a card, or for many threads.
const DAY: f64 = 86_400.0;

fn footer(report: &PlanReport) -> String {
    let total: f64 = report.runs.iter().map(|run| run.flops.exact).sum();
    let saved: f64 = report.runs.iter().map(|run| run.saved_flops).sum();
    let shared = if saved > 0.0 {
        let seconds = report.runs.iter().map(|run| run.estimated_seconds).sum();
        let time = clock(std::time::Duration::from_secs_f64(seconds));
        format!(", {} of them taken over from shorter branches of a trunk; the rest takes {time}", format::flops(saved))
    } else {
        String::new()
    };
    let (runs, total) = (report.runs.len(), format::flops(total));
    let is_for_a_card = report.runs.iter().any(|run| run.estimated_seconds > DAY);
    let card = if is_for_a_card { " of a processor; times on a card are not known" } else { "" };
    format!("{runs} runs, {total} FLOPs in all{shared}; times are for one thread each{card}")
}

fn cells(run: &PlanRow, has_trunks: bool) -> Vec<String> {
    let trunk = has_trunks.then(|| run.trunk.as_ref().map_or("–", |id| &id[..8]).to_owned());
    let left = [
        run.name.clone(),
        run.id.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
        role_words(run.role).to_owned(),
    ];
    let right = [
        format::count(run.parameters.total as f64),
        format::count(run.parameters.under(CountingRule::Matmul) as f64),
        format::count(run.tokens as f64),
        run.config.steps.to_string(),
        format::flops(run.flops.exact),
        format::flops(run.flops.six_nd),
        format::flops(run.flops.kaplan),
        clock(std::time::Duration::from_secs_f64(run.estimated_seconds)),
    ];
    left.into_iter().chain(trunk).chain(right).collect()
}

/// A role as a word in a table.
pub(crate) fn role_words(role: Role) -> &'static str {
    match role {
        Role::Path => "path",
        Role::OffPath => "off path",
        Role::Target => "target",
    }
}
