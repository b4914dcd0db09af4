//! Numbers that flags take: what they may be, and an error that names the flag as it was typed.

use anyhow::bail;
use forescale_core::quantity::{LARGEST, SMALLEST, scientific};

/// Whether a number may be a size, an amount of data, compute or a loss.
pub(crate) fn is_allowed(value: f64) -> bool {
    (SMALLEST..=LARGEST).contains(&value)
}

/// A number above 0, or an error that names the flag. `example` is what is typed after it.
pub(crate) fn positive(flag: &str, value: f64, example: &str) -> anyhow::Result<f64> {
    if is_allowed(value) {
        return Ok(value);
    }
    bail!(
        "`{flag} {}` is not a positive number between {SMALLEST:e} and {LARGEST:e}\n\nhint: {flag} {example}",
        scientific(value)
    );
}

/// A count of 1 or more, whole or not, or an error that names the flag.
pub(crate) fn at_least_one(flag: &str, value: f64, example: &str) -> anyhow::Result<f64> {
    if (1.0..=LARGEST).contains(&value) {
        return Ok(value);
    }
    bail!("`{flag} {}` is not a number between 1 and {LARGEST:e}\n\nhint: {flag} {example}", scientific(value));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_flag_with_what_may_be_typed_in_its_place() {
        let said = positive("--serve", -5.0, "1e12").expect_err("refused").to_string();
        assert!(
            said.starts_with("`--serve -5` is not a positive number") && said.ends_with("hint: --serve 1e12"),
            "{said}"
        );
        let said = at_least_one("--max-tokens", 0.0, "1e12").expect_err("refused").to_string();
        assert!(said.contains("`--max-tokens 0`") && said.ends_with("hint: --max-tokens 1e12"), "{said}");
    }
}
