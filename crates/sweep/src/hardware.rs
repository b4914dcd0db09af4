//! The hardware table: what accelerators reach, cost and draw, in a file that its user edits.
//!
//! A table is TOML with one `[[hardware]]` per device. This file holds the text that a new one starts from and turns a
//! text into rows; what a budget costs is [`forescale_core::cost`]'s. Peaks and powers of the rows here are the makers' data
//! sheets; prices are examples of the month they name, because any price is wrong somewhere and soon everywhere.

use std::path::Path;

use forescale_core::cost::{CostError, Hardware, validate_table};
use serde::Deserialize;

use crate::spec::{SpecError, located};

/// File name of a hardware table in a sweep folder.
pub const HARDWARE_FILE: &str = "hardware.toml";

/// The table that a new file starts from.
pub const DEFAULT_HARDWARE: &str = r#"# What compute costs here. Edit the rows, or add your own.
#
# flops_per_second  peak of dense matrix products at `precision`, from the maker's data sheet (not the figure "with sparsity")
# utilisation       share of that peak that training reaches, above 0 and at most 1; 0.38 to 0.43 were reported for
#                   Llama 3 405B on H100 (arXiv:2407.21783, table 4); small models reach less
# price_per_hour    of one device, in `currency`; 0 where it costs nothing
# watts             power of one device in training: the data sheet's maximum
# pue               energy of the whole building over that of the devices, 1 or more (1 where left out)
# source            where the figures are from, and of which day the price is; printed with every cost
#
# PRICES ARE EXAMPLES of November 2026, rounded: replace them by what you pay.

[[hardware]]
name = "a100-sxm"
flops_per_second = 312e12
precision = "bf16"
utilisation = 0.4
price_per_hour = 1.5
currency = "USD"
watts = 400.0
pue = 1.2
source = "NVIDIA A100 Tensor Core GPU data sheet (80 GB SXM); example price of 2026-11, edit it"

[[hardware]]
name = "h100-sxm"
flops_per_second = 989e12
precision = "bf16"
utilisation = 0.4
price_per_hour = 2.5
currency = "USD"
watts = 700.0
pue = 1.2
source = "NVIDIA H100 Tensor Core GPU data sheet (SXM; half of 1979 with sparsity); example price of 2026-11, edit it"

[[hardware]]
name = "h200-sxm"
flops_per_second = 989e12
precision = "bf16"
utilisation = 0.4
price_per_hour = 3.5
currency = "USD"
watts = 700.0
pue = 1.2
source = "NVIDIA H200 Tensor Core GPU data sheet (SXM; half of 1979 with sparsity); example price of 2026-11, edit it"

[[hardware]]
name = "cpu"
flops_per_second = 768e9
precision = "f32"
utilisation = 0.3
price_per_hour = 0.0
currency = "USD"
watts = 65.0
pue = 1.0
source = "assumed: 8 cores at 3 GHz with two 8-wide fused multiply-adds a cycle; utilisation assumed, measure your own"
"#;

/// A hardware table as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTable {
    hardware: Vec<Hardware>,
}

/// Reads a hardware table.
///
/// # Errors
///
/// [`SpecError`] when the file cannot be read, or as [`parse_hardware`].
pub fn read_hardware(path: &Path) -> Result<Vec<Hardware>, SpecError> {
    let text = std::fs::read_to_string(path).map_err(|error| SpecError {
        place: format!("`{}`", path.display()),
        problem: format!("the hardware table cannot be read: {error}"),
        hint: "give the path of a table, or leave it out for the one built in".to_owned(),
    })?;
    parse_hardware(path, &text)
}

/// A hardware table from its text; `path` is for errors alone.
///
/// # Errors
///
/// [`SpecError`] with file, line and key for text that is no TOML, a key that is not known or missing, and a figure that
/// cannot be.
pub fn parse_hardware(path: &Path, text: &str) -> Result<Vec<Hardware>, SpecError> {
    let table: WrittenTable = toml::from_str(text).map_err(|error| not_a_table(path, text, &error))?;
    if table.hardware.is_empty() {
        let hint = "add a `[[hardware]]` section".to_owned();
        return Err(SpecError {
            place: format!("`{}`", path.display()),
            problem: "0 rows of hardware; at least 1 is needed".to_owned(),
            hint,
        });
    }
    for (row, hardware) in table.hardware.iter().enumerate() {
        hardware.validate().map_err(|error| wrong(path, line_of(text, row, error.field()), &error))?;
    }
    validate_table(&table.hardware).map_err(|error| wrong(path, None, &error))?;
    Ok(table.hardware)
}

/// The table built in.
///
/// # Errors
///
/// None in practice: a test parses it.
pub fn default_hardware() -> Result<Vec<Hardware>, SpecError> {
    parse_hardware(Path::new("(built in)"), DEFAULT_HARDWARE)
}

/// Serde's error with the line and the key; a missing key has a hint of its own.
fn not_a_table(path: &Path, text: &str, error: &toml::de::Error) -> SpecError {
    let found = located(path, text, error);
    if error.message().starts_with("missing") {
        let hint = "each `[[hardware]]` has name, flops_per_second, precision, utilisation, price_per_hour, currency and watts";
        return SpecError { hint: hint.to_owned(), ..found };
    }
    found
}

fn wrong(path: &Path, line: Option<usize>, error: &CostError) -> SpecError {
    let text = error.to_string();
    let (problem, hint) = text.split_once("\n\nhint: ").unwrap_or((&text, ""));
    let line = line.map_or_else(String::new, |line| format!(" line {line}"));
    let place = format!("`{}`{line}", path.display());
    SpecError { place, problem: problem.to_owned(), hint: hint.to_owned() }
}

/// The line that sets a key of a row; the row's head where the key is left out.
fn line_of(text: &str, row: usize, key: Option<&str>) -> Option<usize> {
    let lines = || text.lines().map(str::trim).enumerate();
    let mut heads = lines().filter(|(_, line)| line.starts_with("[[hardware]]")).map(|(index, _)| index);
    let head = heads.nth(row)?;
    let end = heads.next().unwrap_or(usize::MAX);
    let sets = |line: &str| line.split_once('=').is_some_and(|(name, _)| Some(name.trim()) == key);
    let found = lines().find(|(index, line)| *index > head && *index < end && sets(line));
    Some(found.map_or(head, |(index, _)| index) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_built_in_can_be_read_and_names_its_sources() {
        let table = default_hardware().expect("a table");
        let names: Vec<&str> = table.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["a100-sxm", "h100-sxm", "h200-sxm", "cpu"]);
        assert!(table.iter().all(|row| row.source.contains("data sheet") || row.source.starts_with("assumed")));
    }

    #[track_caller]
    fn refusal(text: &str) -> String {
        parse_hardware(Path::new("hardware.toml"), text).expect_err("refused").to_string()
    }

    #[test]
    fn a_figure_that_cannot_be_is_named_with_file_line_and_key() {
        // The H100 is the second row, and its utilisation the fourth line below its head.
        let line = DEFAULT_HARDWARE.lines().position(|line| line == "name = \"h100-sxm\"").expect("a row") + 4;
        let second = DEFAULT_HARDWARE.match_indices("utilisation = 0.4").nth(1).expect("a second").0;
        let (before, after) = DEFAULT_HARDWARE.split_at(second);
        let text = format!("{before}{}", after.replacen("0.4", "40", 1));
        let expected =
            format!("`hardware.toml` line {line}: hardware `h100-sxm`: `utilisation` is 40; it must be above 0");
        assert!(refusal(&text).starts_with(&expected), "{}", refusal(&text));
    }

    #[test]
    fn a_misspelt_key_names_the_nearest() {
        let error = refusal(&DEFAULT_HARDWARE.replacen("watts =", "wats =", 1));
        assert!(error.contains("`wats` is not known here; did you mean `watts`?"), "{error}");
    }

    #[test]
    fn a_missing_key_and_an_empty_table_say_what_is_needed() {
        let error = refusal("[[hardware]]\nname = \"a\"\n");
        assert!(error.contains("a key is missing") && error.contains("hint: each `[[hardware]]` has name"), "{error}");
        assert!(refusal("hardware = []\n").contains("0 rows of hardware"));
    }

    #[test]
    fn one_name_twice_is_refused() {
        let error = refusal(&DEFAULT_HARDWARE.replacen("h200-sxm", "h100-sxm", 1));
        assert!(error.contains("`h100-sxm` stands in the table 2 times"), "{error}");
    }
}
