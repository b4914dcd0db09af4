//! `forescale plan`: the runs of a sweep, before anything is trained.

use forescale_core::count::CountingRule;
use forescale_core::run::{PlannedRun, Role};
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
    if workplace.corpus.is_none() {
        output::say("note: the corpus is not built yet, so run ids are not known; `forescale corpus build` makes it");
    }
    output::either(args.json, &workplace.plan.runs, |runs| words(runs, workplace.corpus.is_some()))?;
    Ok(Answer::Yes)
}

fn words(runs: &[PlannedRun], has_ids: bool) -> String {
    let headers = ["run", "id", "role", "N total", "N matmul", "D", "steps", "exact", "6ND", "Kaplan", "time"];
    let rows = runs.iter().map(|run| row(run, has_ids)).collect();
    let alignments = headers.iter().enumerate().map(|(i, _)| if i < 3 { Alignment::Left } else { Alignment::Right });
    let table = Table {
        headers: headers.iter().map(|name| (*name).to_owned()).collect(),
        rows,
        alignments: alignments.collect(),
    };
    let total: f64 = runs.iter().map(|run| run.config.flops().exact).sum();
    let footer = format!("{} runs, {} FLOPs in all; times are for one thread each", runs.len(), format::flops(total));
    format!("{}\n{footer}", forescale_report::text::table(&table).trim_end())
}

fn row(run: &PlannedRun, has_ids: bool) -> Vec<String> {
    let (parameters, flops) = (run.config.parameters(), run.config.flops());
    let seconds = forescale_train::estimated_seconds(&run.config, 1);
    vec![
        run.name.clone(),
        if has_ids { run.id.to_string() } else { "–".to_owned() },
        role_words(run.role).to_owned(),
        format::count(parameters.total as f64),
        format::count(parameters.under(CountingRule::Matmul) as f64),
        format::count(run.config.tokens() as f64),
        run.config.steps.to_string(),
        format::flops(flops.exact),
        format::flops(flops.six_nd),
        format::flops(flops.kaplan),
        clock(std::time::Duration::from_secs_f64(seconds)),
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
