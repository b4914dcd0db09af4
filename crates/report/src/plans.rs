//! What comes before and between runs, as aligned text: comparisons of recipes, designs, and reduced runs. Every number
//! stands beside its interval; nothing is computed.

use std::fmt::Write as _;

use forescale_core::comparison::{BudgetComparison, Comparison, Crossing};
use forescale_core::design::{Design, DesignOutlook, WidthError};
use forescale_core::outcome::Diagnosis;
use forescale_core::reduction::{Reduction, ReductionMethod};

use crate::answers::{columns, cost};
use crate::format::{bounds, count, interval, loss, number, percent, plain, scientific};
use crate::headline::plural;
use crate::table::Table;
use crate::tables::NONE;
use crate::text::diagnoses;

/// `compare`: budget by budget, law by law, crossings and doubts.
#[must_use]
pub fn comparison(answer: &Comparison) -> String {
    let mut text = format!("{}\n\n", plain(&answer.verdict));
    for (letter, recipe) in [("A", &answer.a), ("B", &answer.b)] {
        let _ = writeln!(
            text,
            "{letter}  {}: {}, {} to {} FLOPs, {}",
            plain(&recipe.name),
            plural(recipe.runs as usize, "run"),
            scientific(recipe.min_flops),
            scientific(recipe.max_flops),
            plain(&recipe.laws.join(", "))
        );
    }
    for table in [budgets(answer), laws(answer), crossings(&answer.crossings)] {
        if !table.is_empty() {
            let _ = write!(text, "\n{}", table.to_text());
        }
    }
    text + &diagnoses(&answer.diagnoses)
}

fn budgets(answer: &Comparison) -> Table {
    let mut table = columns(&[
        "at FLOPs",
        "loss A",
        "loss B",
        "B less A",
        "interval",
        "multiplier",
        "interval",
        "level",
        "P(B better)",
    ]);
    for at in &answer.budgets {
        table.push([
            scientific(at.flops),
            loss(at.loss_a),
            loss(at.loss_b),
            loss(at.difference.estimate),
            bounds(&at.difference, loss),
            at.multiplier.map_or_else(|| NONE.to_owned(), number),
            multiplier_interval(at),
            percent(at.level),
            format!("{:.3}", at.probability_b_better),
        ]);
    }
    table
}

fn multiplier_interval(at: &BudgetComparison) -> String {
    match (at.multiplier_lower, at.multiplier_upper) {
        (Some(lower), Some(upper)) => format!("{} to {}", number(lower), number(upper)),
        (None, Some(upper)) => format!("no lower end, to {}", number(upper)),
        (Some(lower), None) => format!("{}, no upper end", number(lower)),
        (None, None) => "no ends".to_owned(),
    }
}

fn laws(answer: &Comparison) -> Table {
    let mut table = columns(&["law", "at FLOPs", "weight", "loss A", "loss B", "multiplier"]);
    for at in &answer.budgets {
        for law in &at.laws {
            table.push([
                plain(&law.law).to_string(),
                scientific(at.flops),
                percent(law.weight),
                loss(law.loss_a),
                loss(law.loss_b),
                law.multiplier.map_or_else(|| NONE.to_owned(), number),
            ]);
        }
    }
    table
}

fn crossings(found: &[Crossing]) -> Table {
    let mut table = columns(&["crossing", "at FLOPs", "neither known better", "level"]);
    for crossing in found {
        let above = if crossing.b_better_above { "B better above" } else { "A better above" };
        table.push([
            above.to_owned(),
            scientific(crossing.flops.estimate),
            bounds(&crossing.flops, scientific),
            percent(crossing.flops.level),
        ]);
    }
    table
}

/// `design`: the runs, the forecast before and after, the price, the file and doubts.
#[must_use]
pub fn design(answer: &Design) -> String {
    let mut text = format!(
        "{} for {} of {} FLOPs, {} of them within a decade of the largest run\n\n{}\n{}",
        plural(answer.runs.iter().map(|run| run.seeds as usize).sum(), "run"),
        scientific(answer.flops),
        scientific(answer.budget_flops),
        percent(answer.share_near_top),
        runs(answer).to_text(),
        outlooks(answer).to_text()
    );
    if let Some(error) = &answer.after_width_error {
        let _ = writeln!(text, "\n{}", promise(error));
    }
    if let Some(range) = &answer.cost {
        let _ = write!(text, "\n{}", cost(range));
    }
    if let Some(spec) = &answer.spec {
        let _ = write!(text, "\nwritten to {}\n", plain(spec));
    }
    text + &diagnoses(&answer.diagnoses)
}

/// How sure the widths with these runs are.
fn promise(error: &WidthError) -> String {
    format!(
        "the width of the interval with these runs is itself known to ±{}, of the law alone to ±{} ({})",
        percent(error.interval),
        percent(error.mean_interval),
        plain(&error.source)
    )
}

fn runs(answer: &Design) -> Table {
    let mut table = columns(&["run", "N", "D", "D / N", "FLOPs of one", "seeds", "path"]);
    for run in &answer.runs {
        table.push([
            plain(&run.name).to_string(),
            count(run.params),
            count(run.tokens),
            number(run.tokens / run.params),
            scientific(run.flops),
            run.seeds.to_string(),
            if run.on_path { "on" } else { "off" }.to_owned(),
        ]);
    }
    table
}

fn outlooks(answer: &Design) -> Table {
    let target = format!("target of {} FLOPs", scientific(answer.target.flops));
    let mut table = columns(&[&target, "median", "interval", "if law true", "level", "law's sd", "form's scale"]);
    let mut row = |name: &str, outlook: &DesignOutlook| {
        table.push([
            name.to_owned(),
            loss(outlook.median),
            interval(&outlook.interval),
            interval(&outlook.mean_interval),
            percent(outlook.interval.level),
            percent(outlook.law_sd),
            percent(outlook.form_scale),
        ]);
    };
    row("now", &answer.before);
    if answer.draws > 0 {
        row(&format!("with these runs, median of {} outcomes", answer.draws), &answer.after);
    }
    if let Some(ladder) = &answer.ladder {
        table.push([
            format!("a ladder of {} rungs for as much", ladder.rungs),
            NONE.to_owned(),
            NONE.to_owned(),
            NONE.to_owned(),
            NONE.to_owned(),
            percent(ladder.law_sd),
            percent(ladder.form_scale),
        ]);
    }
    table
}

/// Reductions shown in text. Chosen here: they come before the answer, which is to stay on the same screen.
const SHOWN: usize = 10;

/// `--best-of`: what became of runs that differ in tuning alone, the first of them where there are many.
#[must_use]
pub fn reductions(found: &[Reduction], doubts: &[Diagnosis]) -> String {
    let mut table =
        columns(&["reduced", "N", "D", "runs", "settings", "best", "loss", "standard error", "lowest run", "how"]);
    for one in found.iter().take(SHOWN) {
        table.push([
            format!("{} of {}", one.knob.label(), plain(&one.run_id)),
            count(one.params),
            count(one.tokens),
            one.runs.len().to_string(),
            format!("{} of {}", one.settings_used, one.settings),
            number(one.value),
            loss(one.loss),
            one.standard_error.map_or_else(|| NONE.to_owned(), loss),
            format!("{} at {}", loss(one.raw_minimum), number(one.raw_value)),
            how(one.method).to_owned(),
        ]);
    }
    // One knob after the other: what the first leaves is what the next is given.
    let mut passes: Vec<(&str, usize, usize)> = Vec::new();
    for one in found {
        let name = one.knob.label();
        match passes.iter_mut().find(|pass| pass.0 == name) {
            Some(pass) => (pass.1, pass.2) = (pass.1 + one.runs.len(), pass.2 + 1),
            None => passes.push((name, one.runs.len(), 1)),
        }
    }
    let passes: Vec<String> = passes
        .into_iter()
        .map(|(knob, runs, left)| {
            format!("{} reduced to {} by {knob}", plural(runs, "run"), plural(left, "observation"))
        })
        .collect();
    let more = match found.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("and {more} more; `forescale fit --json` with the same options has all\n"),
    };
    format!("{}\n{}{more}{}", passes.join("; "), table.to_text(), diagnoses(doubts))
}

fn how(method: ReductionMethod) -> &'static str {
    match method {
        ReductionMethod::Quadratic => "vertex",
        ReductionMethod::AtEdge => "lowest, at an edge",
        ReductionMethod::NoVertex => "lowest, a neighbour too far",
        ReductionMethod::TooFew => "lowest of two",
    }
}
