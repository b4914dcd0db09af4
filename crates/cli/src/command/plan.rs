//! `forescale plan`: the runs of a sweep, before anything is trained.

use forescale_core::count::CountingRule;
use forescale_core::run::{PLAN_SCHEMA, PlanReport, PlanRow, PlannedRun, Role};
use forescale_report::format;
use forescale_report::{Alignment, Table};

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
    output::either(args.json, &report(&workplace), words)?;
    Ok(Answer::Yes)
}

fn report(workplace: &Workplace) -> PlanReport {
    let row = |run: &PlannedRun| PlanRow {
        id: workplace.corpus.is_some().then(|| run.id.clone()),
        name: run.name.clone(),
        role: run.role,
        parameters: run.config.parameters(),
        tokens: run.config.tokens(),
        flops: run.config.flops(),
        estimated_seconds: forescale_train::estimated_seconds(&run.config, 1),
        config: run.config.clone(),
    };
    let plan = &workplace.plan;
    PlanReport { schema: PLAN_SCHEMA.to_owned(), runs: plan.runs.iter().map(row).collect(), notes: plan.notes.clone() }
}

fn words(report: &PlanReport) -> String {
    let headers = ["run", "id", "role", "N total", "N matmul", "D", "steps", "exact", "6ND", "Kaplan", "time"];
    let sides = headers.iter().enumerate().map(|(i, _)| if i < 3 { Alignment::Left } else { Alignment::Right });
    let columns: Vec<(&str, Alignment)> = headers.into_iter().zip(sides).collect();
    let mut table = Table::new(&columns);
    report.runs.iter().for_each(|run| table.push(cells(run)));
    let total: f64 = report.runs.iter().map(|run| run.flops.exact).sum();
    let footer =
        format!("{} runs, {} FLOPs in all; times are for one thread each", report.runs.len(), format::flops(total));
    format!("{}\n{footer}", forescale_report::text::table(&table).trim_end())
}

fn cells(run: &PlanRow) -> Vec<String> {
    vec![
        run.name.clone(),
        run.id.as_ref().map_or_else(|| "–".to_owned(), ToString::to_string),
        role_words(run.role).to_owned(),
        format::count(run.parameters.total as f64),
        format::count(run.parameters.under(CountingRule::Matmul) as f64),
        format::count(run.tokens as f64),
        run.config.steps.to_string(),
        format::flops(run.flops.exact),
        format::flops(run.flops.six_nd),
        format::flops(run.flops.kaplan),
        clock(std::time::Duration::from_secs_f64(run.estimated_seconds)),
    ]
}

/// A role as a word in a table.
pub(crate) fn role_words(role: Role) -> &'static str {
    match role {
        Role::Path => "path",
        Role::OffPath => "off path",
        Role::Target => "target",
    }
}
