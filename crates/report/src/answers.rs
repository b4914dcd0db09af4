//! Answers to the questions besides "what loss", as aligned text: splits of a budget, optima under a cap, rates and
//! batches, costs, comparisons, designs and reduced runs. Every number stands beside its interval; nothing is computed.

use std::fmt::Write as _;

use forescale_core::answer::{Aim, Answers, Choice, OptimumUnderCap, Reach, Recommendation, Recommendations};
use forescale_core::approach::{Approach, ApproachFit, ApproachReport};
use forescale_core::checklist::{Checklist, Section, Status};
use forescale_core::cost::{Cost, CostRange};
use forescale_core::estimate::Estimate;
use forescale_core::law::multi_power::MultiPower;
use forescale_core::schedule::{CurveOutcome, CurveUse, FittedSchedules, ScheduleReport};

use crate::format::{amount, bounds, count, loss, number, percent, plain, scientific};
use crate::table::{Alignment, Table};
use crate::tables::{NONE, per_product};
use crate::text::diagnoses;

/// The budget, size and data that reach a level.
#[must_use]
pub fn reach(found: &Reach) -> String {
    let mut table = columns(&["to reach it", "estimate", "interval", "level"]);
    let mut row = |name: &str, estimate: &Estimate, show: fn(f64) -> String| {
        table.push([name.to_owned(), show(estimate.estimate), bounds(estimate, show), percent(estimate.level)]);
    };
    row("FLOPs", &found.flops, scientific);
    for (name, estimate) in [("parameters N", &found.params), ("tokens D", &found.tokens)] {
        if let Some(estimate) = estimate {
            row(name, estimate, count);
        }
    }
    if let Some([name, median, span]) = found.flops_per_product.as_ref().and_then(per_product) {
        table.push([name, median, span, "all runs".to_owned()]);
    }
    // A table of compute alone tells no split that could be the best.
    let run = if found.params.is_some() { "compute-optimal run" } else { "run" };
    format!(
        "{} is reached by a {run} of {} FLOPs\n{}",
        loss(found.loss),
        scientific(found.flops.estimate),
        table.to_text()
    )
}

/// What else a forecast was asked.
#[must_use]
pub fn beside(answers: &Answers) -> String {
    let parts = [
        answers.optimum.as_ref().map(optimum),
        answers.recommendations.as_ref().map(recommendations),
        answers.cost.as_ref().map(cost),
    ];
    parts.into_iter().flatten().fold(String::new(), |text, part| text + "\n" + &part)
}

/// `fit --checklist`: the questions by section, each with what is known.
#[must_use]
pub fn checklist(list: &Checklist) -> String {
    let mut text = format!(
        "{} answered, {} unknown, {} speak against the fit\n",
        list.count(Status::Answered),
        list.count(Status::Unknown),
        list.count(Status::Problem)
    );
    for section in Section::ALL {
        let _ = writeln!(text, "\n{}", section.label());
        for item in list.items.iter().filter(|item| item.section == section) {
            let mark = match item.status {
                Status::Answered => "ok",
                Status::Unknown => "?",
                Status::Problem => "!",
            };
            let _ = writeln!(text, "{mark:>4}  {}\n      {}", plain(&item.question), plain(&item.answer));
        }
    }
    text
}

/// `fit --approach`: what each way of splitting a budget finds.
#[must_use]
pub fn approaches(report: &ApproachReport) -> String {
    report.fits.iter().map(approach).collect::<Vec<_>>().join("\n")
}

fn approach(fit: &ApproachFit) -> String {
    let words = match fit.approach {
        Approach::Envelope => "lower envelope of the runs",
        Approach::Isoflop => "isoFLOP vertices",
        Approach::Surface => "frontier of the loss surface",
    };
    let group = fit.group.as_ref().map(|group| format!("  group {}", plain(group))).unwrap_or_default();
    let mut text = format!("approach {}  {words}{group}, {} points\n", fit.approach.number(), fit.n);
    if let Some(reason) = &fit.refused {
        let _ = writeln!(text, "refused: {}", plain(reason));
    }
    for table in [powers(fit), optima(fit), budgets(fit)].iter().filter(|table| !table.is_empty()) {
        let _ = write!(text, "\n{}", table.to_text());
    }
    text + &diagnoses(&fit.diagnoses)
}

fn powers(fit: &ApproachFit) -> Table {
    let mut table = columns(&["power", "exponent", "interval", "level"]);
    if let Some(powers) = &fit.powers {
        table.push(exponent("N* ∝ C^a", &powers.params_exponent));
        table.push(exponent("D* ∝ C^b", &powers.tokens_exponent));
    }
    if let Some(raw) = &fit.parabola_powers {
        table.push(exponent("N* by raw parabolas", &raw.params_exponent));
    }
    table
}

fn exponent(name: &str, estimate: &Estimate) -> [String; 4] {
    [name.to_owned(), number(estimate.estimate), bounds(estimate, number), percent(estimate.level)]
}

fn optima(fit: &ApproachFit) -> Table {
    let mut table = columns(&["at FLOPs", "N*", "interval", "D*", "D*/N*", "parabola's bias in N*"]);
    for at in &fit.optima {
        table.push([
            scientific(at.flops),
            count(at.params.estimate),
            bounds(&at.params, count),
            count(at.tokens.estimate),
            number(at.tokens_per_param.estimate),
            at.parabola_bias.map_or_else(|| NONE.to_owned(), crate::format::signed_percent),
        ]);
    }
    table
}

fn budgets(fit: &ApproachFit) -> Table {
    let mut table = columns(&["budget", "runs", "raw vertex N", "corrected N*", "loss", "left out"]);
    let size = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), count);
    for budget in &fit.budgets {
        table.push([
            scientific(budget.flops),
            format!("{} of {}", budget.near, budget.runs),
            size(budget.parabola_params),
            size(budget.params),
            budget.loss.map_or_else(|| NONE.to_owned(), loss),
            budget.refused.map_or_else(String::new, |refusal| refusal.label().to_owned()),
        ]);
    }
    table
}

/// `fit --law multi_power`: the law, how each curve is met, and doubts.
#[must_use]
pub fn schedules(report: &ScheduleReport) -> String {
    let unit = report.unit.label();
    let fits = report.fits.iter().map(|fit| schedule_fit(fit, &format!("{} in {unit}", plain(&report.metric))));
    fits.collect::<Vec<_>>().join("\n")
}

fn schedule_fit(fit: &FittedSchedules, metric: &str) -> String {
    let group = fit.group.as_ref().map(|group| format!("  group {}", plain(group))).unwrap_or_default();
    let of = |used: CurveUse| fit.curves.iter().filter(|curve| curve.used == used).count();
    let counted = [CurveUse::Fitted, CurveUse::HeldOut, CurveUse::Untrained].map(|used| (of(used), used.label()));
    let counted: Vec<String> =
        counted.iter().filter(|one| one.0 > 0).map(|(count, label)| format!("{count} {label}")).collect();
    let mut parameters = columns(&["parameter", "estimate", "interval", "level"]);
    for (symbol, estimate) in &fit.parameters {
        parameters.push(exponent(symbol, estimate));
    }
    let mut curves =
        columns(&["curve", "use", "R²", "mean error", "worst", "at step", "predicted", "interval", "reached"]);
    for curve in &fit.curves {
        curves.push(curve_cells(curve));
    }
    let delta = fit.objective.delta.map(|delta| format!(" with delta {delta}")).unwrap_or_default();
    let (kind, value) = (plain(&fit.objective.kind), number(fit.objective.value));
    format!(
        "{}  {}{group}\n{metric}; curves: {}\n\n{}\n{kind}{delta}, {value} at the optimum over {} points; {} of {} \
         starts agree\n\n{}{}{}",
        plain(&fit.law),
        MultiPower::FORMULA,
        counted.join(", "),
        parameters.to_text(),
        fit.points,
        fit.agreeing_starts,
        fit.starts,
        curves.to_text(),
        mean_r_squared(fit),
        diagnoses(&fit.diagnoses)
    )
}

fn curve_cells(curve: &CurveOutcome) -> [String; 9] {
    let met = curve.fit.as_ref();
    let shown = |value: Option<f64>, show: fn(f64) -> String| value.map_or_else(|| NONE.to_owned(), show);
    [
        plain(&curve.run_id),
        curve.used.label().to_owned(),
        shown(met.and_then(|met| met.r_squared), share),
        shown(met.map(|met| met.mean_relative_error), fine_percent),
        shown(met.map(|met| met.worst_relative_error), fine_percent),
        count(curve.last_step),
        loss(curve.last_predicted.estimate),
        bounds(&curve.last_predicted, loss),
        shown(met.map(|met| met.last_loss), loss),
    ]
}

fn mean_r_squared(fit: &FittedSchedules) -> String {
    let means = [("fitted", fit.fitted_r_squared), ("held out", fit.held_out_r_squared)];
    means.iter().filter_map(|(words, mean)| mean.map(|mean| (words, mean))).fold(
        String::new(),
        |mut text, (words, mean)| {
            let _ = writeln!(text, "mean R² of the curves {words}: {}", share(mean));
            text
        },
    )
}

/// A share that is told apart from 1 by its fourth digit.
fn share(value: f64) -> String {
    crate::format::minus(&format!("{value:.4}"))
}

/// A small share: `0.08%`.
fn fine_percent(value: f64) -> String {
    format!("{:.2}%", 100.0 * value)
}

/// The best size and data under caps, law by law.
#[must_use]
pub fn optimum(answer: &OptimumUnderCap) -> String {
    let aim = match answer.aim {
        Aim::Flops(flops) => format!("{} FLOPs", scientific(flops)),
        Aim::Loss(level) => format!("a loss of {}", loss(level)),
    };
    let mut text = format!("the best size and data for {aim}\n");
    for (rank, law) in answer.laws.iter().enumerate() {
        let is_forecast = rank == 0 && matches!(answer.aim, Aim::Flops(_));
        let held = match law.binding.join(", ") {
            none if none.is_empty() => "no cap holds it".to_owned(),
            caps if is_forecast => format!("held by {caps}; the run it leaves is what is forecast"),
            caps => format!("held by {caps}"),
        };
        let mut table = columns(&["", "under the caps", "interval", "without caps", "interval"]);
        choice_rows(&mut table, &law.chosen, &law.unconstrained);
        let _ = write!(text, "\n{}, as it is fitted to be carried, {held}\n{}", plain(&law.law), table.to_text());
        for (words, ratio) in [("loss", &law.loss_ratio), ("compute", &law.flops_ratio)] {
            if let Some(ratio) = ratio {
                let _ = writeln!(
                    text,
                    "{words} over that of the unconstrained optimum: {} ({}, {})",
                    number(ratio.estimate),
                    bounds(ratio, number),
                    percent(ratio.level)
                );
            }
        }
    }
    text + &assumptions(&answer.assumptions) + &diagnoses(&answer.diagnoses)
}

fn choice_rows(table: &mut Table, chosen: &Choice, free: &Choice) {
    let mut row = |name: &str, of: fn(&Choice) -> Option<&Estimate>, show: fn(f64) -> String| {
        let cells =
            |choice| of(choice).map_or([NONE.to_owned(), NONE.to_owned()], |e| [show(e.estimate), bounds(e, show)]);
        if of(chosen).is_some() || of(free).is_some() {
            let [[a, b], [c, d]] = [cells(chosen), cells(free)];
            table.push([name.to_owned(), a, b, c, d]);
        }
    };
    row("parameters N", |choice| Some(&choice.params), count);
    row("tokens D", |choice| Some(&choice.tokens), count);
    row("loss", |choice| Some(&choice.loss), loss);
    row("training FLOPs", |choice| Some(&choice.training_flops), scientific);
    row("serving FLOPs", |choice| choice.serving_flops.as_ref(), scientific);
    row("all FLOPs", |choice| Some(&choice.total_flops), scientific);
}

/// The learning rate and batch recommended at a target.
#[must_use]
pub fn recommendations(answer: &Recommendations) -> String {
    let mut text = format!("recommended at N = {}, D = {}\n", count(answer.params), count(answer.tokens));
    let mut table = columns(&["", "value", "interval", "level", "exponents", "from"]);
    for found in &answer.recommended {
        table.push(recommended(found));
    }
    if !table.is_empty() {
        let _ = write!(text, "\n{}", table.to_text());
    }
    for refused in &answer.refused {
        let (name, reason, hint) = (refused.quantity.label(), plain(&refused.reason), plain(&refused.hint));
        let _ = write!(text, "\nno {name}: {reason}\nhint: {hint}\n");
    }
    let notes: Vec<String> = answer.recommended.iter().flat_map(|found| found.assumptions.clone()).collect();
    text + &assumptions(&notes) + &diagnoses(&answer.diagnoses)
}

fn recommended(found: &Recommendation) -> [String; 6] {
    let exponents: Vec<String> =
        found.exponents.iter().map(|(of, power)| format!("{of}^{}", number(power.estimate))).collect();
    [
        found.quantity.label().to_owned(),
        number(found.value.estimate),
        bounds(&found.value, number),
        percent(found.value.level),
        exponents.join(" "),
        format!("{} sizes and data, {} left out", found.cells.len(), found.left_out.len()),
    ]
}

/// What a budget costs, with its ends where it has any.
#[must_use]
pub fn cost(range: &CostRange) -> String {
    let expected = &range.expected;
    let mut table = columns(&["on", "", "expected", "interval", "level"]);
    let mut row = |name: &str, of: fn(&Cost) -> f64| {
        let end = |cost: &Option<Cost>| cost.as_ref().map_or_else(|| NONE.to_owned(), |cost| amount(of(cost)));
        let interval = format!("{} to {}", end(&range.lower), end(&range.upper));
        let width = range.lower.is_some() || range.upper.is_some();
        let [interval, level] =
            if width { [interval, percent(range.level)] } else { [NONE.to_owned(), NONE.to_owned()] };
        table.push([plain(&expected.hardware), name.to_owned(), amount(of(expected)), interval, level]);
    };
    row("device hours", |cost| cost.gpu_hours);
    row(&format!("price, {}", plain(&expected.currency)), |cost| cost.money);
    row("energy, kWh", |cost| cost.kwh);
    format!("cost of {} FLOPs\n{}{}", scientific(expected.flops), table.to_text(), assumptions(&expected.assumptions))
}

fn assumptions(notes: &[String]) -> String {
    notes.iter().fold(String::new(), |mut text, note| {
        let _ = writeln!(text, "assumes: {}", plain(note));
        text
    })
}

/// A table whose first column holds words and whose others hold numbers.
pub(crate) fn columns(names: &[&str]) -> Table {
    let side = |i: usize| if i == 0 { Alignment::Left } else { Alignment::Right };
    Table::new(&names.iter().enumerate().map(|(i, name)| (*name, side(i))).collect::<Vec<_>>())
}
