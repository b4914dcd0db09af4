//! Numbers as text, the same everywhere: page, pull request and terminal.
//!
//! Plain functions from a number to a short text. They round for a reader; exact values are in the JSON files.

use forescale_core::estimate::{Estimate, Interval};

/// A loss, to four decimals; to three significant digits below 0.1.
#[must_use]
pub fn loss(value: f64) -> String {
    if value.abs() < 0.1 && value.abs() > 0.0 { significant(value, 3) } else { minus(&format!("{value:.4}")) }
}

/// Compute in FLOPs, two significant digits: `3.6e13`.
#[must_use]
pub fn flops(value: f64) -> String {
    format!("{value:.1e}")
}

/// Compute as typeset in a sentence: `3.6 × 10¹³`.
#[must_use]
pub fn scientific(value: f64) -> String {
    let (mantissa, exponent) = parts(value, 1);
    format!("{mantissa} × {}", power_of_ten(exponent))
}

/// `10⁻³`.
#[must_use]
pub fn power_of_ten(exponent: i32) -> String {
    const DIGITS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let raised = |c: char| c.to_digit(10).map_or('⁻', |digit| DIGITS[digit as usize]);
    format!("10{}", exponent.to_string().chars().map(raised).collect::<String>())
}

/// A count of parameters or tokens, three significant digits: `115k`, `4.6M`, `1.31M`, `1.4T`.
#[must_use]
pub fn count(value: f64) -> String {
    if !value.is_finite() || value.abs() >= 1e17 {
        return significant(value, 3);
    }
    const STEPS: [(f64, &str); 5] = [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "B"), (1e12, "T")];
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    let (unit, suffix) = STEPS.into_iter().rev().find(|(unit, _)| rounded.abs() >= *unit).unwrap_or(STEPS[0]);
    let text = if unit > 1.0 { significant(rounded / unit, 3) } else { format!("{value:.0}") };
    let short = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{short}{suffix}")
}

/// A share as a percentage: 0.9 is `90%`, 0.995 is `99.5%`.
#[must_use]
pub fn percent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    format!("{}%", text.strip_suffix(".0").unwrap_or(&text))
}

/// A relative error with its sign: `+1.86%`, `−12.7%`.
#[must_use]
pub fn signed_percent(share: f64) -> String {
    let points = 100.0 * share;
    let text = if points.abs() < 10.0 { format!("{points:+.2}%") } else { format!("{points:+.1}%") };
    minus(&text)
}

/// How many times: `12×`, `1.5×`.
#[must_use]
pub fn times(ratio: f64) -> String {
    let text = if ratio < 10.0 { format!("{ratio:.1}") } else { format!("{ratio:.0}") };
    format!("{}×", text.strip_suffix(".0").unwrap_or(&text))
}

/// A dimensionless number or a law's parameter, four significant digits.
#[must_use]
pub fn number(value: f64) -> String {
    significant(value, 4)
}

/// An interval of losses: `1.1520 to 1.2310`.
#[must_use]
pub fn interval(interval: &Interval) -> String {
    format!("{} to {}", loss(interval.lower), loss(interval.upper))
}

/// The interval of an estimate, each end drawn by `show`; an end the data do not set is said to be missing.
#[must_use]
pub fn bounds(estimate: &Estimate, show: fn(f64) -> String) -> String {
    match (estimate.lower, estimate.upper) {
        (Some(lower), Some(upper)) => format!("{} to {}", show(lower), show(upper)),
        (None, Some(upper)) => format!("no lower end, to {}", show(upper)),
        (Some(lower), None) => format!("{}, no upper end", show(lower)),
        (None, None) => "no ends".to_owned(),
    }
}

/// Wall time: `48 s`, `8 min 12 s`, `3 h 05 min`.
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round().clamp(0.0, 1e12) as u64;
    match whole {
        0..60 if seconds < 10.0 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Memory: `840 B`, `12.5 MiB`, `139 GiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    forescale_core::memory::words(bytes)
}

/// Time of devices: in GPU-hours from one hour on, like a clock below.
#[must_use]
pub fn device_time(hours: f64) -> String {
    match hours * 3600.0 {
        ..0.1 => "under 0.1 s".to_owned(),
        0.1..3600.0 => duration(hours * 3600.0),
        _ => format!("{} GPU-hours", if hours < 10.0 { significant(hours, 2) } else { count(hours) }),
    }
}

/// A sum or a time: four digits where it is small, as a count where it is not.
pub(crate) fn amount(value: f64) -> String {
    if value < 10.0 { number(value) } else { count(value) }
}

/// A sum of money: to the hundredth below ten, as a count from there on.
#[must_use]
pub fn money(sum: f64, currency: &str) -> String {
    match sum {
        0.0 => format!("0 {currency}"),
        ..0.01 => format!("<\u{a0}0.01\u{a0}{currency}"),
        0.01..10.0 => format!("{sum:.2} {currency}"),
        _ => format!("{} {currency}", count(sum)),
    }
}

/// The same text without control characters, which could steer a terminal.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// A leading minus as a typographer sets it, as wide as a plus.
pub(crate) fn minus(text: &str) -> String {
    text.strip_prefix('-').map_or_else(|| text.to_owned(), |rest| format!("−{rest}"))
}

/// A number to so many significant digits, in powers of ten only when it is very large or very small.
fn significant(value: f64, digits: usize) -> String {
    let (mantissa, exponent) = parts(value, digits - 1);
    if (-4..7).contains(&exponent) {
        let decimals = (digits as i32 - 1 - exponent).max(0);
        minus(&format!("{value:.*}", decimals as usize))
    } else {
        minus(&format!("{mantissa}e{exponent}"))
    }
}

/// Mantissa to so many decimals, and the power of ten.
fn parts(value: f64, decimals: usize) -> (String, i32) {
    let text = format!("{value:.decimals$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => (mantissa.to_owned(), exponent.parse().unwrap_or(0)),
        None => (text, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_keep_three_digits_and_change_unit_when_they_round_up() {
        let shown = [0.0, 999.0, 3_600.0, 115_000.0, 999_999.0, 4.6e6, 1_310_000.0, 70e9, 1.4e12].map(count);
        assert_eq!(shown, ["0", "999", "3.6k", "115k", "1M", "4.6M", "1.31M", "70B", "1.4T"]);
    }

    #[test]
    fn a_count_past_every_unit_is_a_power_of_ten() {
        assert_eq!(count(1.5e40), "1.50e40");
    }

    #[test]
    fn compute_is_shown_in_powers_of_ten() {
        assert_eq!(flops(3.6e13), "3.6e13");
        assert_eq!(scientific(3.6e13), "3.6 × 10¹³");
        assert_eq!(power_of_ten(-3), "10⁻³");
        assert_eq!(power_of_ten(0), "10⁰");
    }

    #[test]
    fn losses_keep_four_decimals_and_small_ones_three_digits() {
        assert_eq!([1.19104, 0.0, 0.01234].map(loss), ["1.1910", "0.0000", "0.0123"]);
    }

    #[test]
    fn signs_and_shares_are_shown_as_given() {
        assert_eq!([0.9, 0.995, 0.5].map(percent), ["90%", "99.5%", "50%"]);
        assert_eq!([0.0186, -0.127, 0.0].map(signed_percent), ["+1.86%", "−12.7%", "+0.00%"]);
        assert_eq!([12.2, 1.5, 10.0, 2.0].map(times), ["12×", "1.5×", "10×", "2×"]);
    }

    #[test]
    fn parameters_keep_four_digits_on_every_scale() {
        let shown = [477.825909, 1.81721810, 0.3473105, 2143.417245, 3.4e9, 2e-7, 0.0].map(number);
        assert_eq!(shown, ["477.8", "1.817", "0.3473", "2143", "3.400e9", "2.000e-7", "0.000"]);
    }

    #[test]
    fn a_missing_end_is_said_to_be_missing() {
        let mut estimate = Estimate { estimate: 1.0, standard_error: None, lower: None, upper: Some(2.0), level: 0.9 };
        assert_eq!(bounds(&estimate, number), "no lower end, to 2.000");
        estimate.upper = None;
        assert_eq!(bounds(&estimate, number), "no ends");
    }

    #[test]
    fn wall_time_reads_like_a_clock() {
        assert_eq!([3.25, 48.0, 492.0, 11_100.0].map(duration), ["3.2 s", "48 s", "8 min 12 s", "3 h 05 min"]);
    }

    #[test]
    fn memory_is_said_in_the_largest_unit_that_leaves_a_whole() {
        let shown = [840, 2048, 13_107_200, 149_250_113_536].map(bytes);
        assert_eq!(shown, ["840 B", "2.0 KiB", "12.5 MiB", "139 GiB"]);
    }

    #[test]
    fn device_time_and_money_say_that_they_are_small() {
        let shown = [1e-6, 1e-4, 0.5, 2.25, 12_300.0].map(device_time);
        assert_eq!(shown, ["under 0.1 s", "0.4 s", "30 min 00 s", "2.2 GPU-hours", "12.3k GPU-hours"]);
        let shown = [0.0, 0.0001, 4.5, 20_000.0].map(|sum| money(sum, "USD"));
        assert_eq!(shown, ["0 USD", "<\u{a0}0.01\u{a0}USD", "4.50 USD", "20k USD"]);
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(plain("a\u{1b}[31mb"), "a\u{fffd}[31mb");
    }
}
