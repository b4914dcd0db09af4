//! The report as Markdown, for a pull request: the same words and tables as the page, without the plots.

use std::fmt::Write as _;

use forescale_core::outcome::{FittedLaw, Verdict};
use forescale_core::panel::{Provenance, ReportData};

use crate::headline::{Headline, Standing, plural};
use crate::{ReportError, Table, tables, validate};

/// The report as Markdown.
///
/// # Errors
///
/// [`ReportError::NotDrawable`] when a number is not one.
pub fn markdown(data: &ReportData) -> Result<String, ReportError> {
    validate::check(data)?;
    let mut text = format!("# Forecast report: {}\n\n", escape(&data.sweep));
    text += &opening(&Headline::of(data));
    if let Some(forecast) = &data.forecast {
        text +=
            &section("Law by law at the target", &[tables::predictions(&forecast.laws), tables::intervals(forecast)]);
        text += &section("Compute-optimal size", &tables::optimum(forecast).into_iter().collect::<Vec<_>>());
    }
    text += &section("Approaches 1 to 3", &[tables::approaches(data)]);
    text += &section("What the target's compute costs", &[tables::costs(&data.decision.costs)]);
    text += &tables::assumptions(&data.decision.costs)
        .iter()
        .map(|words| format!("- {}\n", escape(words)))
        .collect::<String>();
    text.push('\n');
    if let Some(panel) = &data.capability {
        text += &section("Capabilities", &[tables::capabilities(panel)]);
    }
    text += &data.laws.iter().map(law).collect::<String>();
    text += &doubts(data);
    if let Some(backtest) = &data.backtest {
        text += &section("Backtest", &[tables::backtest_summary(backtest)]);
    }
    text += &section("Checklist", &data.checklist.iter().map(tables::checklist).collect::<Vec<_>>());
    text += &section("Runs", &[tables::runs(data)]);
    text += &section("Left out", &[tables::exclusions(data)]);
    text += &origin(&data.provenance);
    Ok(text)
}

/// `check` for a pull request or a step's summary: what moved, and how many numbers held.
#[must_use]
pub fn verdict_markdown(verdict: &Verdict) -> String {
    let word = if verdict.held { "held" } else { "DRIFTED" };
    let mut text = format!("### forescale check: {} {word}\n\n", escape(&verdict.baseline));
    let moved = Verdict { items: verdict.items.iter().filter(|item| !item.held).cloned().collect(), ..verdict.clone() };
    if !moved.items.is_empty() {
        text += &tables::check_items(&moved).to_markdown();
        text.push('\n');
    }
    text += &verdict.problems.iter().map(|problem| format!("- {}\n", escape(problem))).collect::<String>();
    let held = verdict.items.len() - moved.items.len();
    text + &format!("\n{} held.\n", plural(held, "number"))
}

/// Text that Markdown shows as it is.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in crate::format::plain(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\n' => safe.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => safe.extend(['\\', c]),
            _ => safe.push(c),
        }
    }
    safe
}

fn opening(headline: &Headline) -> String {
    let mark = match headline.standing {
        Standing::Outside => "**The outcome fell outside the interval.** ",
        Standing::Refused => "**Refused.** ",
        Standing::Inside | Standing::Open | Standing::Absent => "",
    };
    let judged = headline.judgement.iter().map(|sentence| format!("{}\n\n", escape(sentence)));
    let grounds: String = headline.grounds.iter().map(|sentence| format!(" {}", escape(sentence))).collect();
    format!("{mark}{}{grounds}\n\n{}", escape(&headline.sentence), judged.collect::<String>())
}

fn section(title: &str, tables: &[Table]) -> String {
    let shown: Vec<String> = tables.iter().filter(|table| !table.is_empty()).map(Table::to_markdown).collect();
    if shown.is_empty() { String::new() } else { format!("## {title}\n\n{}\n", shown.join("\n")) }
}

fn law(law: &FittedLaw) -> String {
    let group = law.group.as_ref().map(|group| format!(", {group}"));
    let title = escape(&format!("Law {}{}", law.law, group.unwrap_or_default()));
    let objective = escape(&format!("{}; {} runs", tables::objective(law), law.n));
    let found = [tables::parameters(law, str::to_owned), tables::certificate(&law.certificate)];
    format!("{}{objective}\n\n", section(&title, &found))
}

fn doubts(data: &ReportData) -> String {
    let lines = data.diagnoses.iter().map(|doubt| {
        let hint = if doubt.hint.is_empty() { String::new() } else { format!(" Hint: {}", escape(&doubt.hint)) };
        format!("- **{}** {}{hint}\n", tables::severity_label(doubt.severity), escape(&doubt.message))
    });
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("## Doubts\n\n{lines}\n") }
}

fn origin(provenance: &Provenance) -> String {
    let mut text = String::new();
    if !provenance.facts.is_empty() {
        text.push_str("## Provenance\n\n");
    }
    for fact in &provenance.facts {
        let _ = writeln!(text, "- {}: {}", escape(&fact.name), escape(&fact.value));
    }
    if !provenance.commands.is_empty() {
        let _ = write!(text, "\n## To reproduce\n\n{}", fenced(&provenance.commands));
    }
    text
}

/// Commands in a fence longer than any run of backticks in them.
fn fenced(commands: &[String]) -> String {
    let commands = crate::format::plain(&commands.join("\n"));
    let longest = commands.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}sh\n{commands}\n{fence}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;

    fn of_kind(kind: &str) -> String {
        markdown(&sample::of_kind(kind).expect("a kind of sample")).expect("the sample can be written")
    }

    #[test]
    fn opens_with_the_forecast_and_how_it_was_judged() {
        let text = of_kind("inside");
        let opening: String = text.lines().take(7).collect();
        for words in [
            "# Forecast report: quickstart",
            "1.0671 nats per token",
            "90% interval 1.0063 to 1.1198",
            "inside the 90% interval",
        ] {
            assert!(opening.contains(words), "{words} in {opening}");
        }
    }

    #[test]
    fn says_plainly_that_an_outcome_fell_outside_or_a_forecast_was_refused() {
        assert!(of_kind("outside").contains("**The outcome fell outside the interval.**"));
        assert!(of_kind("refused").contains("**Refused.** No forecast is given"));
    }

    #[test]
    fn each_law_has_its_proof_with_invariance_and_the_other_methods_word() {
        let text = of_kind("inside");
        let proofs = text.matches("| proof of the optimum | found |").count();
        assert!(proofs > 1 && proofs == sample::inside().laws.len(), "{proofs} in {text}");
        for words in ["| sum against mean | a parameter moves by at most 2.4e-13 |", "| L-BFGS | ended 3.0e-8 of"] {
            assert!(text.contains(words), "{words} in {text}");
        }
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let mut data = sample::inside();
        data.sweep = "<img src=x> [a](b) `c` | d".to_owned();
        data.provenance.commands = vec!["echo ```\n# not a title".to_owned()];
        let text = markdown(&data).expect("the sample can be written");
        assert!(text.starts_with("# Forecast report: &lt;img src=x&gt; \\[a\\](b) \\`c\\` \\| d\n"), "{text}");
        assert!(text.ends_with("````sh\necho ```\n# not a title\n````\n"), "{text}");
    }
}
