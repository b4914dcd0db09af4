//! `forescale compare`: two recipes, how much compute one saves over the other, and where they cross.

use std::path::Path;

use forescale_core::outcome::{Diagnosis, Severity};
use forescale_fit::{FitOptions, Recipe};

use crate::args::{CompareArgs, TableArgs};
use crate::exit::Answer;
use crate::output;
use crate::source::Material;
use crate::target::parse_flops;

pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<Answer> {
    let budgets = args.at.iter().map(|text| parse_flops("--at", text)).collect::<anyhow::Result<Vec<_>>>()?;
    let [a, b] = [&args.a, &args.b].map(|source| open(source, args));
    let (a, b) = (a?, b?);
    a.say_notes();
    b.say_notes();
    let options = options(&a, &b, args)?;
    let [name_a, name_b] = [&args.a, &args.b].map(|source| source.display().to_string());
    let mut answer = forescale_fit::compare(&recipe(&name_a, &a), &recipe(&name_b, &b), &budgets, &options)?;
    answer.diagnoses.extend(a.doubts().chain(b.doubts()).chain(rules_differ(&a, &b)));
    output::either(args.json, &answer, |answer| {
        let plot = || forescale_report::terminal::comparison(answer, &a.observations, &b.observations);
        args.plot.under(forescale_report::plans::comparison(answer), plot)
    })?;
    Ok(Answer::Yes)
}

/// Flags for tables go to what is a table, and are refused only where neither is.
fn open(source: &Path, args: &CompareArgs) -> anyhow::Result<Material> {
    let one_is_a_table = args.a.is_file() || args.b.is_file();
    if source.is_dir() && one_is_a_table {
        return Material::open(source, &TableArgs { best_of: args.table.best_of.clone(), ..TableArgs::default() });
    }
    Material::open_for(source, &args.table, &args.law)
}

fn recipe<'a>(name: &'a str, material: &'a Material) -> Recipe<'a> {
    Recipe { name, observations: &material.observations, unit: material.selection.unit }
}

/// The first recipe's laws and level; where learning starts from only where both start there.
fn options(a: &Material, b: &Material, args: &CompareArgs) -> anyhow::Result<FitOptions> {
    let (of_a, of_b) = (a.fit_options(&args.law)?, b.fit_options(&args.law)?);
    let start_level = of_a.start_level.filter(|start| of_b.start_level == Some(*start));
    Ok(FitOptions { start_level, ..of_a })
}

/// Compute that was counted in two ways is no multiplier.
fn rules_differ(a: &Material, b: &Material) -> Option<Diagnosis> {
    let (of_a, of_b) = (a.rules(), b.rules());
    (of_a.flops != of_b.flops).then(|| Diagnosis {
        code: "rules_differ".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "compute of the first recipe is counted by `{}`, of the second by `{}`: their ratio is in the multiplier",
            of_a.flops, of_b.flops
        ),
        hint: "count both by one rule: `--rule`, or `flops_rule` under `[forecast]`".to_owned(),
    })
}
