//! Answers as aligned text for a terminal, readable without colour, each estimate with its interval.

use std::fmt::Write as _;

use forescale_core::law::LawName;
use forescale_core::ledger::TrackRecord;
use forescale_core::observation::Exclusion;
use forescale_core::outcome::{
    BacktestReport, Diagnosis, FitReport, FittedLaw, Forecast, ForecastStatus, ForecastTarget, Score, Severity, Verdict,
};
use forescale_core::probe::ProbeReport;
use forescale_core::track::TrackReport;

use crate::answers;
use crate::capability;
use crate::format::{count, interval, loss, percent, plain, scientific, signed_percent};
use crate::headline::{is_below, plural};
use crate::ledger;
use crate::probe;
use crate::table::Table;
use crate::tables;
use crate::track;

/// A table, one line a row.
#[must_use]
pub fn table(table: &Table) -> String {
    table.to_text()
}

/// `fit`: each law with parameters, proof and doubts.
#[must_use]
pub fn fits(report: &FitReport) -> String {
    report.fits.iter().map(fit).collect::<Vec<_>>().join("\n")
}

/// What the backtests beside a forecast are: they are what it learns its own weights and width from.
const ALREADY_KNOWN: &str = "the same laws on runs already known, weighed alike and as wide as published families say \
                             (`backtest` learns both below each cut, as the forecast does from these)";

/// `forecast`: what contradicts it, each target with intervals, what each law said, and doubts.
#[must_use]
pub fn forecast(forecast: &Forecast) -> String {
    let reached = forecast.reach.as_ref().map(|found| answers::reach(found) + "\n").unwrap_or_default();
    let (errors, doubts): (Vec<Diagnosis>, Vec<Diagnosis>) =
        forecast.diagnoses.iter().cloned().partition(|doubt| doubt.severity == Severity::Error);
    let opening = opening(&errors);
    let inside = inside(forecast);
    let targets: Vec<String> = forecast.targets.iter().map(|one| target(one, inside)).collect();
    let mut text = opening + &reached + &targets.join("\n");
    if let Some(report) = &forecast.backtest {
        let _ = write!(text, "\n{ALREADY_KNOWN}:\n{}", tables::backtest_summary(report).to_text());
    }
    if let Some(found) = &forecast.answers {
        text += &answers::beside(found);
    }
    text + &diagnoses(&doubts)
}

/// What contradicts all that follows, ahead of it.
fn opening(errors: &[Diagnosis]) -> String {
    if errors.is_empty() { String::new() } else { diagnoses(errors).trim_start().to_owned() + "\n" }
}

/// `backtest`: by ratio, then case by case.
#[must_use]
pub fn backtest(report: &BacktestReport) -> String {
    let opening = opening(&report.diagnoses);
    if report.cases.is_empty() {
        return opening + "no case: too few runs lie far enough below another\n";
    }
    format!("{opening}{}\n{}", tables::backtest_summary(report).to_text(), tables::backtest_cases(report).to_text())
}

/// `score`: the outcome against the sealed forecast.
#[must_use]
pub fn score(score: &Score) -> String {
    let place = if score.inside { "inside" } else { "outside" };
    format!(
        "{place} the {} interval {}\npredicted       {}\nactual          {}\nrelative error  {}\nCRPS            {}\nPIT             {:.3}\nregistration    {}\n{}\n",
        percent(score.interval.level),
        interval(&score.interval),
        loss(score.predicted),
        loss(score.actual),
        signed_percent(score.relative_error),
        loss(score.crps),
        score.pit,
        plain(&score.registration_sha256),
        plain(&score.order_detail)
    ) + &capability::scores(&score.capability)
}

/// `record`: every forecast a project registered, what came of each, and how often intervals held.
#[must_use]
pub fn track_record(record: &TrackRecord) -> String {
    ledger::track_record(record)
}

/// `track`: where a run under way stands, its curve beside the predicted one, and doubts.
#[must_use]
pub fn track(report: &TrackReport) -> String {
    track::track(report) + &diagnoses(&report.diagnoses)
}

/// `check`: did a prediction move.
#[must_use]
pub fn verdict(verdict: &Verdict) -> String {
    let moved = verdict.items.iter().filter(|item| !item.held).count() + verdict.problems.len();
    let of = verdict.items.len();
    let opening = if verdict.held {
        format!("held: {}", plural(of, "number"))
    } else {
        format!("DRIFTED: {}", plural(moved, "difference"))
    };
    let mut text = format!("{opening} against {}\n", plain(&verdict.baseline));
    if of > 0 {
        let _ = write!(text, "\n{}", tables::check_items(verdict).to_text());
    }
    for problem in &verdict.problems {
        let _ = writeln!(text, "problem: {}", plain(problem));
    }
    text
}

/// `probe`: the verdict, then every number, then the doubts.
#[must_use]
pub fn probe(report: &ProbeReport) -> String {
    let mut text = format!("probe {} {}\n", report.name(), plain(&probe::sentence(report)));
    for named in probe::tables(report) {
        let _ = write!(text, "\n{}\n{}", plain(&named.name), named.table.to_text());
    }
    text + &diagnoses(&report.diagnoses)
}

fn fit(law: &FittedLaw) -> String {
    let formula = law.law.parse::<LawName>().ok().map(|name| format!("  {}", name.form().formula()));
    let group = law.group.as_ref().map(|group| format!("  group {}", plain(group)));
    format!(
        "{}{}{}\n{}{}; {}\n\n{}\n{}\n\n{}{}",
        plain(&law.law),
        formula.unwrap_or_default(),
        group.unwrap_or_default(),
        observed(law),
        left_out(&law.excluded),
        plain(&law.rule.words()),
        tables::parameters(law, str::to_owned).to_text(),
        tables::objective(law),
        tables::certificate(&law.certificate).to_text(),
        diagnoses(&law.diagnoses)
    )
}

/// What the law was fitted to: runs, or vertices made from them.
fn observed(law: &FittedLaw) -> String {
    let n = law.n as usize;
    match law.vertices_of {
        None => plural(n, "run"),
        Some(runs) => {
            format!("{n} {} of {}", if n == 1 { "vertex" } else { "vertices" }, plural(runs as usize, "run"))
        }
    }
}

/// How many runs were left out, and why, the commonest reason first.
fn left_out(excluded: &[Exclusion]) -> String {
    let mut reasons: Vec<(usize, &str)> = Vec::new();
    for reason in excluded.iter().map(|exclusion| exclusion.reason.label()) {
        match reasons.iter_mut().find(|(_, known)| *known == reason) {
            Some((count, _)) => *count += 1,
            None => reasons.push((1, reason)),
        }
    }
    if reasons.is_empty() {
        return String::new();
    }
    reasons.sort_by_key(|(count, _)| core::cmp::Reverse(*count));
    let each: Vec<String> = reasons.iter().map(|(count, reason)| format!("{reason}: {count}")).collect();
    format!(", {} left out ({})", excluded.len(), each.join("; "))
}

fn target(target: &ForecastTarget, inside: &str) -> String {
    let place = place(target);
    if target.status == ForecastStatus::Refused {
        return format!("{place}\nrefused: {}\n", plain(target.reason.as_deref().unwrap_or("no reason was recorded")));
    }
    let median = target.median.map_or_else(|| tables::NONE.to_owned(), loss);
    let mut text =
        format!("{place}\nmedian {median} {}, {}\n", target.unit.label(), reach(target.decades_beyond_data, inside));
    let optimum = tables::optimum(target);
    for table in
        [Some(tables::intervals(target)), Some(tables::predictions(&target.laws)), optimum].into_iter().flatten()
    {
        if !table.is_empty() {
            let _ = write!(text, "\n{}", table.to_text());
        }
    }
    text
}

fn place(target: &ForecastTarget) -> String {
    let size = target.params.map(|params| format!(", N = {}", count(params)));
    let data = target.tokens.map(|tokens| format!(", D = {}", count(tokens)));
    let unique = target.unique_tokens.map(|unique| format!(", {} tokens distinct", count(unique)));
    format!(
        "{} at {} FLOPs{}{}{}",
        plain(&target.metric),
        scientific(target.flops),
        size.unwrap_or_default(),
        data.unwrap_or_default(),
        unique.unwrap_or_default()
    )
}

/// Doubts, each with its weight, code and hint, the heaviest first.
pub(crate) fn diagnoses(diagnoses: &[Diagnosis]) -> String {
    let mut sorted: Vec<&Diagnosis> = diagnoses.iter().collect();
    sorted.sort_by_key(|doubt| std::cmp::Reverse(doubt.severity));
    sorted.into_iter().fold(String::new(), |mut text, doubt| {
        let _ = write!(
            text,
            "\n{}: {} [{}]\n",
            tables::severity_label(doubt.severity),
            plain(&doubt.message),
            plain(&doubt.code)
        );
        if !doubt.hint.is_empty() {
            let _ = writeln!(text, "hint: {}", plain(&doubt.hint));
        }
        text
    })
}

/// Where a target lies against the data, in words.
fn reach(decades: f64, inside: &str) -> String {
    if decades > 0.0 { format!("{decades:.2} decades beyond the data") } else { inside.to_owned() }
}

/// What is said of a target that is not beyond the data.
fn inside(forecast: &Forecast) -> &'static str {
    match (is_below(&forecast.diagnoses), forecast.targets.len()) {
        (false, _) => "inside the data",
        (true, 1) => "below the data",
        (true, _) => "not beyond the data",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use forescale_core::observation::FlopsPerProduct;
    use forescale_core::outcome::{CHECK_SCHEMA, CheckItem, FIT_SCHEMA, FORECAST_SCHEMA, Inputs};

    fn inputs() -> Inputs {
        Inputs { digest: "0".repeat(64) }
    }

    #[test]
    fn a_fit_shows_each_parameter_with_its_interval_and_proof() {
        let report = FitReport {
            schema: FIT_SCHEMA.to_owned(),
            fits: sample::inside().laws,
            reductions: Vec::new(),
            inputs: inputs(),
        };
        let text = fits(&report);
        for words in [
            "power_law  L(C) = a·C^-b + c\n13 runs, 1 left out (diverged: 1); N is total, C is exact",
            "31.16 to 63.92",
            "no lower end, to 0.6233",
            "118 of 125 starts",
            "\nproof of the optimum   found\ngradient norm          3.1e-11\n",
            "\nsum against mean       a parameter moves by at most 2.4e-13\n",
            "\nL-BFGS                 ended 3.0e-8 of the objective above the optimum\n",
            "E + A·N^-alpha + B·D^-beta\n17 runs;",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
    }

    #[test]
    fn what_a_table_counts_in_its_own_columns_is_called_theirs() {
        let mut law = sample::inside().laws.remove(0);
        (law.rule.params, law.rule.flops) = ("column".to_owned(), "6nd".to_owned());
        assert!(fit(&law).contains("; N is the table's own column, C is 6nd\n"), "{}", fit(&law));
    }

    #[test]
    fn an_optimum_tells_the_cost_of_a_parameter_and_token_unless_it_is_six_in_all_runs() {
        let mut forecast = sample::inside().forecast.expect("the sample has one");
        let told = target(&forecast, "inside");
        assert!(told.contains("C/(N·D), median of the runs") && told.contains("6.040 to 6.430"), "{told}");
        let six = FlopsPerProduct { median: 6.0, lowest: 6.0, highest: 6.0 + 1e-9 };
        forecast.optimum.as_mut().expect("an optimum").flops_per_product = Some(six);
        assert!(!target(&forecast, "inside").contains("C/(N·D)"), "{}", target(&forecast, "inside"));
    }

    #[test]
    fn a_certificate_made_before_something_was_looked_at_says_nothing_of_it() {
        let mut law = sample::inside().laws.remove(0);
        (law.certificate.invariance, law.certificate.cross_check) = (None, None);
        let text = fit(&law);
        assert!(!text.contains("sum against mean") && !text.contains("L-BFGS"), "{text}");
        for (excess, words) in
            [(-2e-6, "2.0e-6 of the objective below the optimum"), (-1e-15, "at the optimum, to 1e-9")]
        {
            law.certificate.cross_check = Some(excess);
            assert!(fit(&law).contains(words), "{}", fit(&law));
        }
    }

    #[test]
    fn a_forecast_shows_the_interval_of_one_run_and_of_the_mean() {
        let data = sample::inside();
        let answer = Forecast {
            schema: FORECAST_SCHEMA.to_owned(),
            targets: data.forecast.into_iter().collect(),
            reach: None,
            answers: None,
            backtest: data.backtest,
            diagnoses: data.diagnoses,
            inputs: inputs(),
        };
        let text = forecast(&answer);
        for words in [
            "loss at 4.7 × 10¹³ FLOPs, N = 426k, D = 17M",
            "median 1.0671 nats per token, 1.12 decades beyond the data",
            "90%    1.0063 to 1.1198  1.0177 to 1.1052",
            "warning: the local slope",
            "hint: add a rung",
        ] {
            assert!(text.contains(words), "{words} in\n{text}");
        }
    }

    #[test]
    fn a_refused_forecast_says_why() {
        let target = sample::of_kind("refused").and_then(|data| data.forecast).into_iter().collect();
        let answer = Forecast {
            schema: FORECAST_SCHEMA.to_owned(),
            targets: target,
            reach: None,
            answers: None,
            backtest: None,
            diagnoses: Vec::new(),
            inputs: inputs(),
        };
        assert!(forecast(&answer).contains("refused: 4 runs lie on the path"));
    }

    #[test]
    fn a_forecast_that_an_error_speaks_against_opens_with_it() {
        let data = sample::inside();
        let doubt = |code: &str, severity| Diagnosis {
            code: code.to_owned(),
            severity,
            message: format!("about {code}"),
            hint: "look".to_owned(),
        };
        let answer = Forecast {
            schema: FORECAST_SCHEMA.to_owned(),
            targets: data.forecast.into_iter().collect(),
            reach: None,
            answers: None,
            backtest: None,
            diagnoses: vec![doubt("few_rungs", Severity::Warning), doubt("loss_does_not_fall", Severity::Error)],
            inputs: inputs(),
        };
        let text = forecast(&answer);
        let opening = "error: about loss_does_not_fall [loss_does_not_fall]\nhint: look\n\nloss at ";
        assert!(text.starts_with(opening), "{text}");
        assert!(text.ends_with("\nwarning: about few_rungs [few_rungs]\nhint: look\n"), "{text}");
        assert_eq!(text.matches("loss_does_not_fall]").count(), 1, "{text}");
    }

    #[test]
    fn a_score_opens_with_its_place() {
        let place = |kind: &str| sample::of_kind(kind).and_then(|data| data.score).map(|judged| score(&judged));
        assert!(place("inside").is_some_and(|text| text.starts_with("inside the 90% interval 1.0063 to 1.1198\n")));
        assert!(place("outside").is_some_and(|text| text.starts_with("outside the 90% interval")));
    }

    #[test]
    fn vertices_are_not_called_runs_and_reasons_are_counted() {
        use forescale_core::observation::ExclusionReason::{Diverged, NoVertex};
        let mut law = sample::inside().laws.remove(0);
        (law.n, law.vertices_of) = (15, Some(245));
        let run = |(i, reason): (usize, _)| Exclusion { run_id: format!("run-{i}"), reason };
        law.excluded = [Diverged, NoVertex, NoVertex].into_iter().enumerate().map(run).collect();
        let text = fit(&law);
        let line = "15 vertices of 245 runs, 3 left out (its budget has no interior vertex: 2; diverged: 1); N is";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_score_says_once_that_the_order_is_not_proven() {
        let mut judged = sample::of_kind("inside").and_then(|data| data.score).expect("a score");
        judged.order_detail = "order not proven: the log names no registration".to_owned();
        judged.order = forescale_core::outcome::OrderProof::NotProven;
        assert_eq!(score(&judged).matches("order not proven").count(), 1);
    }

    #[test]
    fn a_backtest_of_groups_names_the_group_of_each_case() {
        let mut report = sample::inside().backtest.expect("the sample has one");
        assert!(!backtest(&report).contains("group"));
        report.cases[0].group = Some("code".to_owned());
        assert!(backtest(&report).contains("group") && backtest(&report).contains("code"));
    }

    #[test]
    fn an_empty_backtest_says_so() {
        let mut report = sample::inside().backtest.expect("the sample has one");
        assert!(backtest(&report).contains("d64-40x-s1"));
        report.cases.clear();
        assert!(backtest(&report).starts_with("no case"));
    }

    #[test]
    fn a_drift_is_counted_and_shown_to_eight_digits() {
        let item = |name: &str, current: f64, held: bool| CheckItem {
            name: name.to_owned(),
            baseline: 1.0671,
            current,
            tolerance: 1e-5,
            tolerance_reason: "solver".to_owned(),
            held,
        };
        let mut answer = Verdict {
            schema: CHECK_SCHEMA.to_owned(),
            baseline: "reports/quickstart/baseline".to_owned(),
            held: false,
            items: vec![item("target.median", 1.0671001, true), item("power_law.c", 1.0673, false)],
            problems: vec!["the corpus digest changed".to_owned()],
        };
        let text = verdict(&answer);
        assert!(text.starts_with("DRIFTED: 2 differences against reports/quickstart/baseline\n"), "{text}");
        assert!(
            text.contains("1.0671001") && text.contains("NO") && text.contains("problem: the corpus digest changed"),
            "{text}"
        );
        answer.held = true;
        assert!(verdict(&answer).starts_with("held: 2 numbers against"));
    }
}
