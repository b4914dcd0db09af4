//! `forescale fit --law multi_power`: the law of whole loss curves under their schedules.
//!
//! It is `fit` with another kind of table, so that flags which mean nothing for curves are refused rather than ignored.

use anyhow::bail;
use forescale_core::law::multi_power::{COLUMNS, NAME};
use forescale_fit::{ScheduleOptions, ScheduleReportOptions};

use crate::again;
use crate::args::{FitArgs, ObjectiveName};
use crate::exit::Answer;
use crate::output;
use crate::source::table_options;

/// Whether the law asked for is the one of curves.
pub(super) fn are_asked_for(args: &FitArgs) -> anyhow::Result<bool> {
    match &args.law.laws[..] {
        [law] if law == NAME => Ok(true),
        laws if laws.iter().any(|law| law == NAME) => bail!(
            "`{NAME}` is fitted to loss curves ({COLUMNS}), and the other laws to finished runs (`params`, `tokens`, \
             `loss`): they read different tables\n\nhint: forescale fit CURVES --law {NAME}"
        ),
        _ => match flags_of_curves(args) {
            Some(flag) => bail!("`{flag}` is for loss curves\n\nhint: forescale fit CURVES --law {NAME} {flag} …"),
            None => Ok(false),
        },
    }
}

fn flags_of_curves(args: &FitArgs) -> Option<&'static str> {
    let typed = [("--hold-out", !args.curves.hold_out.is_empty()), ("--warmup", args.curves.warmup.is_some())];
    typed.into_iter().find(|(_, is_typed)| *is_typed).map(|(flag, _)| flag)
}

pub(super) fn run(args: &FitArgs) -> anyhow::Result<Answer> {
    check(args)?;
    let table = forescale_sweep::read_curves(&args.source, &table_options(&args.table), args.curves.warmup)
        .map_err(again::without_the_row)?;
    for note in &table.notes {
        output::say(&format!("note: {note}"));
    }
    let options = ScheduleReportOptions {
        fit: ScheduleOptions { delta: args.law.delta, ..ScheduleOptions::default() },
        hold_out: args.curves.hold_out.clone(),
        level: args.law.level.unwrap_or(0.9),
        metric: table.metric,
        unit: table.unit,
    };
    let report = forescale_fit::schedules(&table.groups, &options)?;
    output::either(args.json, &report, forescale_report::answers::schedules)?;
    Ok(Answer::Yes)
}

/// What only other laws know.
fn check(args: &FitArgs) -> anyhow::Result<()> {
    let source = args.source.display();
    if args.source.is_dir() || args.source.file_name().is_some_and(|name| name == "sweep.toml") {
        bail!(
            "`{NAME}` is fitted to a table of loss curves with the columns {COLUMNS}, and `{source}` is not a table\n\n\
             hint: forescale fit CURVES.csv --law {NAME}"
        );
    }
    let typed = [
        ("--approach", !args.approach.is_empty()),
        ("--with-target", args.with_target),
        ("--objective", args.law.objective != ObjectiveName::Huber),
        ("--level", args.law.level.is_some()),
    ];
    match typed.iter().find(|(_, is_typed)| *is_typed) {
        None => Ok(()),
        Some((flag @ "--level", _)) => {
            bail!("`{flag}` is for intervals, and `{NAME}` gives none\n\nhint: judge it by --hold-out RUN,…")
        }
        Some((flag, _)) => bail!("`{flag}` does not go with `--law {NAME}`\n\nhint: leave `{flag}` out"),
    }
}
