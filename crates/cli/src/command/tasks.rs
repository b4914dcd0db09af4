//! `fit`, `forecast` and `backtest` over a table of task scores.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::bail;
use forescale_core::capability::{CapabilityForecast, CapabilityStatus, TaskScore};
use forescale_core::items::{ItemResult, TABLE};
use forescale_fit::{BucketRun, CapabilityOptions, Target, TaskBacktestOptions};
use forescale_report::format::plain;
use forescale_sweep::ScoreTable;

use crate::answers::single;
use crate::args::{BacktestArgs, BacktestMode, FitArgs, ForecastArgs, LawArgs, TableArgs, first_typed};
use crate::capability;
use crate::exit::Answer;
use crate::output;
use crate::source::{Material, table_options};

/// Whether a source is a table of task scores: it has `task` and `value`, and `--metric` names none of its columns.
pub(crate) fn are_told(source: &Path, table: &TableArgs) -> anyhow::Result<bool> {
    let is_table = source.is_file() && source.file_name().is_none_or(|name| name != "sweep.toml");
    Ok(is_table && forescale_sweep::is_score_table(source, &table_options(table))?)
}

/// Each task at one target.
pub(crate) fn forecast(args: &ForecastArgs, targets: &[Target]) -> anyhow::Result<Answer> {
    refuse(&of_losses(args), &args.source, &args.table)?;
    let table = read(&args.source, &args.table, &args.law)?;
    let target = &target(targets, &table)?;
    let found = if args.tasks {
        let items = beside(&args.source, &table)?;
        forescale_fit::forecast_buckets(&bucket_runs(&table), &items, target, &options(&args.law))?
    } else {
        forescale_fit::forecast_tasks(&table.scores, target, &options(&args.law))?
    };
    output::either(args.json, &found, forescale_report::capability::forecast)?;
    Ok(answered(&found))
}

/// The one target that was typed, or the one run that the table holds out.
fn target(typed: &[Target], table: &ScoreTable) -> anyhow::Result<Target> {
    let held_out: BTreeSet<&str> = table.held_out.iter().map(|score| score.run_id.as_str()).collect();
    match (typed, table.held_out.first()) {
        ([target], _) => Ok(*target),
        ([], Some(run)) if held_out.len() == 1 => {
            output::say(&format!("note: forecast at the table's own target, {}", plain(&run.run_id)));
            Ok(Target { params: run.params, tokens: run.tokens, ..Target::of_budget(run.flops) })
        }
        _ => bail!(
            "a table of task scores is forecast at one target, and {} were given\n\n\
             hint: --at flops=1e21[,params=7e9,tokens=1.4e11], or one run whose `role` is `target`",
            typed.len()
        ),
    }
}

/// Answers that `import` wrote beside a table of scores, of the runs and tasks whose rows are kept.
fn beside(scores: &Path, table: &ScoreTable) -> anyhow::Result<Vec<ItemResult>> {
    let path = scores.with_file_name(TABLE);
    if !path.is_file() {
        bail!(
            "`--tasks` asks for buckets of problems, and there is no `{TABLE}` beside `{}`\n\n\
             hint: leave `--tasks` out for scores by task, or `forescale import` from results with samples",
            scores.display()
        );
    }
    let rows = table.scores.iter().chain(&table.held_out);
    let kept: BTreeSet<(&str, &str)> = rows.map(|row| (row.run_id.as_str(), row.task.as_str())).collect();
    let all = forescale_sweep::read_items(&path)?;
    let count = all.len();
    let is_kept = |item: &ItemResult| kept.contains(&(item.run_id.as_str(), item.task.as_str()));
    let items: Vec<ItemResult> = all.into_iter().filter(is_kept).collect();
    if items.len() < count {
        output::say(&format!(
            "note: {} answers of rows that are left out of the table are left out too",
            count - items.len()
        ));
    }
    Ok(items)
}

/// The runs of a table of scores, with what they are for.
fn bucket_runs(table: &ScoreTable) -> Vec<BucketRun> {
    let rows = table.scores.iter().chain(&table.held_out);
    let runs: BTreeMap<&str, f64> = rows.map(|score| (score.run_id.as_str(), score.flops)).collect();
    let run = |(run_id, flops): (&str, f64)| BucketRun {
        run_id: run_id.to_owned(),
        flops,
        role: table.roles.get(run_id).copied(),
    };
    runs.into_iter().map(run).collect()
}

/// Each bucket of a sweep's problems at one target, or at its own.
pub(super) fn of_sweep(args: &ForecastArgs, material: &Material, typed: Vec<Target>) -> anyhow::Result<Answer> {
    if let Some(flag) = first_typed(&of_losses(args)).or_else(|| first_typed(&laws_of_losses(&args.law))) {
        bail!("`{flag}` is for losses, and `--tasks` asks for capabilities\n\nhint: leave one of the two out");
    }
    let target = single(&material.targets_or_own(typed, "--at")?)?;
    let Some(found) = capability::forecast(material, Some(&target), &args.law)? else {
        bail!(
            "no run was asked a problem, so that there is no capability to forecast\n\n\
             hint: a corpus with tasks (docs/tasks.md) and `task_samples` under `[evaluation]`; or a table of task scores"
        );
    };
    output::either(args.json, &found, forescale_report::capability::forecast)?;
    Ok(answered(&found))
}

/// What is typed of a forecast that asks something of losses.
fn of_losses(args: &ForecastArgs) -> [(&'static str, bool); 8] {
    [
        ("--reach", args.reach.is_some()),
        ("--recommend", args.recommend),
        ("--unique-tokens", args.unique_tokens.is_some()),
        ("--max-tokens", args.caps.max_tokens.is_some()),
        ("--max-params", args.caps.max_params.is_some()),
        ("--params", args.caps.params.is_some()),
        ("--serve", args.caps.serve.is_some()),
        ("--hardware", args.hardware.name.is_some()),
    ]
}

/// What is typed of laws that are laws of loss; the level and the seed are anybody's.
fn laws_of_losses(law: &LawArgs) -> [(&'static str, bool); 7] {
    let default = LawArgs::default();
    [
        ("--law", !law.laws.is_empty()),
        ("--start-level", law.start_level.is_some()),
        ("--objective", law.objective != default.objective),
        ("--delta", (law.delta - default.delta).abs() > 0.0),
        ("--starts", law.starts != default.starts),
        ("--interval", law.interval != default.interval),
        ("--draws", law.draws != default.draws),
    ]
}

/// Each task's laws, held against its largest run.
pub(crate) fn fit(args: &FitArgs) -> anyhow::Result<Answer> {
    refuse(
        &[
            ("--checklist", args.checklist),
            ("--approach", !args.approach.is_empty()),
            ("--with-target", args.with_target),
        ],
        &args.source,
        &args.table,
    )?;
    let table = read(&args.source, &args.table, &args.law)?;
    let largest = largest(&table.scores);
    let found = forescale_fit::forecast_tasks(&table.scores, &largest, &options(&args.law))?;
    output::either(args.json, &found, forescale_report::capability::laws_of)?;
    Ok(answered(&found))
}

/// Each task's largest runs from those a ratio below them.
pub(crate) fn backtest(args: &BacktestArgs) -> anyhow::Result<Answer> {
    refuse(&[("--mode", args.mode != BacktestMode::Run)], &args.source, &args.table)?;
    let table = read(&args.source, &args.table, &args.law)?;
    let ratio = args.ratio.iter().copied().reduce(f64::min).unwrap_or(10.0);
    if args.ratio.len() > 1 {
        output::say(&format!("note: tasks are backtested at one ratio, {ratio}; --ratio names another"));
    }
    let scores = [table.scores, table.held_out].concat();
    let asked = TaskBacktestOptions { forecast: options(&args.law), ratio, ..TaskBacktestOptions::default() };
    let report = forescale_fit::backtest_tasks(&scores, &asked)?;
    output::either(args.json, &report, forescale_report::capability::backtest)?;
    Ok(if report.cases.is_empty() { Answer::None } else { Answer::Yes })
}

fn read(source: &Path, table: &TableArgs, law: &LawArgs) -> anyhow::Result<ScoreTable> {
    refuse(&laws_of_losses(law), source, table)?;
    refuse(
        &[
            ("--unit", table.unit.is_some()),
            ("--rule", table.rule.is_some()),
            ("--pool", table.pool),
            ("--best-of", !table.best_of.is_empty()),
        ],
        source,
        table,
    )?;
    let found = forescale_sweep::read_scores(source, &table_options(table))?;
    found.notes.iter().for_each(|note| output::say(&format!("note: {note}")));
    Ok(found)
}

/// Flags that ask something of losses are refused for task scores rather than ignored.
fn refuse(typed: &[(&str, bool)], source: &Path, table: &TableArgs) -> anyhow::Result<()> {
    let Some(flag) = first_typed(typed) else { return Ok(()) };
    let loss = loss_beside(source, table)?;
    bail!(
        "`{flag}` is for losses, and the table has task scores (it has columns `task` and `value`)\n\n\
         hint: leave `{flag}` out, or {loss}"
    )
}

/// How the loss of a table of task scores is asked for, where it tells one.
pub(crate) fn loss_beside(source: &Path, table: &TableArgs) -> anyhow::Result<String> {
    let typed = forescale_sweep::loss_beside_scores(source, &table_options(table))?;
    Ok(typed.map_or_else(
        || "name the column of a loss with --metric".to_owned(),
        |typed| format!("take the loss beside the scores, one row of each run: {typed}"),
    ))
}

fn options(law: &LawArgs) -> CapabilityOptions {
    let default = CapabilityOptions::default();
    CapabilityOptions { level: law.level.unwrap_or(default.level), seed: law.seed, ..default }
}

/// The largest run as a target.
fn largest(scores: &[TaskScore]) -> Target {
    let largest = scores.iter().reduce(|best, next| if next.flops > best.flops { next } else { best });
    let shape = largest.map_or((0.0, None, None), |run| (run.flops, run.params, run.tokens));
    Target { params: shape.1, tokens: shape.2, ..Target::of_budget(shape.0) }
}

fn answered(found: &CapabilityForecast) -> Answer {
    let is_any = found.tasks.iter().any(|task| task.status == CapabilityStatus::Forecast);
    if is_any { Answer::Yes } else { Answer::None }
}
