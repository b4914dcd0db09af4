//! Columns that nothing reads and that tell recipes apart.
//!
//! A published table often holds several data sets, counting rules or tunings, one column each. A fit that is not told so
//! takes all rows for runs of one recipe, and what separates them for noise.

use std::collections::{BTreeMap, BTreeSet};

use forescale_core::outcome::{Diagnosis, Severity};

use super::cells::Cells;
use crate::nearest::quoted_list;

/// A column of more values names runs, not recipes. Chosen here, as the next two are.
const MOST_VALUES: usize = 20;
/// A recipe has at least so many rows, on average.
const ROWS_A_VALUE: usize = 4;
/// Columns that a doubt lists.
const MOST_NAMED: usize = 4;

/// A row that a fit sees.
pub(super) struct Seen {
    pub(super) row: usize,
    pub(super) group: Option<String>,
    pub(super) params: f64,
    pub(super) tokens: f64,
}

/// A column that tells recipes apart.
struct Telling<'a> {
    name: &'a str,
    values: usize,
    is_words: bool,
}

/// The doubt that rows of several recipes are fitted as one, by columns of these names, which nothing reads.
pub(super) fn pooled(cells: &Cells, free: &[&str], rows: &[Seen]) -> Option<Diagnosis> {
    let mut groups: BTreeMap<&Option<String>, Vec<&Seen>> = BTreeMap::new();
    rows.iter().for_each(|seen| groups.entry(&seen.group).or_default().push(seen));
    let of_groups = |name: &&'_ str| {
        let column = cells.position(name)?;
        groups.values().filter_map(|rows| values(cells, column, rows)).max()
    };
    let telling = |name| of_groups(name).map(|(values, is_words)| Telling { name, values, is_words });
    let told: Vec<Telling<'_>> = free.iter().filter_map(telling).collect();
    let most = told.iter().map(|one| one.values).max()?;
    let named = quoted_list(told.iter().take(MOST_NAMED).map(|one| one.name));
    let more = if told.len() > MOST_NAMED { ", …" } else { "" };
    Some(Diagnosis {
        code: "recipes_pooled".to_owned(),
        severity: Severity::Warning,
        message: format!(
            "rows that differ in {named}{more} (up to {most} values) are fitted as runs of one recipe: nothing reads what \
             tells them apart, and it enters the law as noise, or as a slope"
        ),
        hint: hint(told.first()?),
    })
}

fn hint(Telling { name, is_words, .. }: &Telling<'_>) -> String {
    let apart =
        format!("--map group={name} fits them apart, --where keeps one, and --pool says that they are of one recipe");
    if *is_words {
        return apart;
    }
    format!("--map lr={name}, batch_tokens={name} or seed={name} says what it is, if it is one of these; {apart}")
}

/// How many values a column has among the rows of one group, where they tell recipes apart, and whether they are words:
/// words that several sizes share, or numbers that differ between rows of one size and data.
fn values(cells: &Cells, column: usize, rows: &[&Seen]) -> Option<(usize, bool)> {
    let mut sizes: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    for seen in rows {
        let value = cells.at(column, seen.row).text()?;
        sizes.entry(value).or_default().insert(seen.params.to_bits());
        if sizes.len() > MOST_VALUES {
            return None;
        }
    }
    let is_words = rows.iter().all(|seen| cells.at(column, seen.row).number().is_none());
    let is_shared = 2 * sizes.values().filter(|sizes| sizes.len() > 1).count() >= sizes.len();
    let tells = if is_words { is_shared } else { differs_between_twins(cells, column, rows) };
    let is_few = sizes.len() > 1 && sizes.len() * ROWS_A_VALUE <= rows.len();
    (is_few && tells).then_some((sizes.len(), is_words))
}

fn differs_between_twins(cells: &Cells, column: usize, rows: &[&Seen]) -> bool {
    let mut twins: BTreeMap<[u64; 2], String> = BTreeMap::new();
    rows.iter().any(|seen| {
        let value = cells.at(column, seen.row).text().unwrap_or_default();
        let first = twins.entry([seen.params, seen.tokens].map(f64::to_bits)).or_insert_with(|| value.clone());
        *first != value
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::table::{TableOptions, read_table};
    use super::*;

    fn doubt(content: &str, options: &TableOptions) -> Option<Diagnosis> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("runs.csv");
        fs::write(&path, content).expect("written");
        read_table(&path, options).expect("read").doubts.pop()
    }

    /// Four sizes at each of two budgets of data, once for each value of a column.
    fn twice(name: &str, values: [&str; 2]) -> String {
        let rows = values.iter().flat_map(|value| {
            (1..=4).flat_map(move |n| [20, 40].map(|r| format!("{}00,{},3.{n}{r},{value}\n", n, n * 100 * r)))
        });
        format!("params,tokens,loss,{name}\n{}", rows.collect::<String>())
    }

    #[test]
    fn recipes_that_nothing_tells_apart_are_doubted() {
        // Published tables of several data sets, tunings and counts (isoflops, porian_isoflop) were pooled without a word.
        for (name, values, hint) in
            [("dataset", ["c4", "pile"], "--map group=dataset"), ("peak", ["1e-3", "2e-3"], "--map lr=peak")]
        {
            let content = twice(name, values);
            let found = doubt(&content, &TableOptions::default()).expect(name);
            assert_eq!(found.code, "recipes_pooled");
            assert!(found.message.contains(&format!("differ in `{name}` (up to 2 values)")), "{}", found.message);
            assert!(found.hint.starts_with(hint), "{}", found.hint);
            let apart = TableOptions { map: vec![format!("group={name}")], ..TableOptions::default() };
            assert_eq!(doubt(&content, &apart), None);
            assert_eq!(doubt(&content, &TableOptions { pool: true, ..TableOptions::default() }), None);
        }
        // Neither the name of a size nor a note on one row is a recipe.
        let named = "params,tokens,loss,size\n".to_owned()
            + &(1..=4)
                .flat_map(|n| [20, 40, 60, 80].map(|r| format!("{n}00,{},3.{n}{r},{n}B\n", n * 100 * r)))
                .collect::<String>();
        assert_eq!(doubt(&named, &TableOptions::default()), None);
        let noted = twice("remark", ["", ""]).replacen(",\n", ",restarted\n", 1);
        assert_eq!(doubt(&noted, &TableOptions::default()), None);
    }
}
