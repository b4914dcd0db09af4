//! Numbers as people write them (`20M`, `1.5B`, `2e9 tokens`): not read, for a letter may mean two things, but told how to be
//! written.

use super::cells::Cell;

/// The power of ten that letters and words after a number multiply it by. A lower-case `m` is taken as the million it is in
/// sizes of models.
const POWERS: [(&[&str], i32); 4] = [
    (&["k", "K", "thousand"], 3),
    (&["m", "M", "million"], 6),
    (&["b", "B", "bn", "G", "billion"], 9),
    (&["t", "T", "trillion"], 12),
];

/// Words that say what is counted and change no number.
const UNITS: [&str; 8] = ["token", "tokens", "param", "params", "parameters", "nats", "flops", "FLOPs"];

/// How to write a cell that is a number and more; none for one that is no number at all.
pub(super) fn hint(column: &str, cell: &Cell) -> Option<String> {
    let Cell::Text(text) = cell else { return None };
    let number = meant(text)?;
    let shown = if (1e-3..1e4).contains(&number.abs()) { format!("{number}") } else { format!("{number:e}") };
    Some(format!("write {shown} for `{}`, and `{column}` in numbers alone in every row", text.trim()))
}

/// The number that a text means: digits with `_`, `,` or spaces between thousands, a letter or word that multiplies, and a unit.
fn meant(text: &str) -> Option<f64> {
    let text = text.trim();
    if let Some(number) = grouped(text) {
        return Some(number);
    }
    let is_number = |text: &str| text.parse::<f64>().is_ok_and(f64::is_finite);
    let ends = text.char_indices().map(|(at, _)| at).skip(1).filter(|&at| is_number(&text[..at]));
    let (number, rest) = text.split_at(ends.max()?);
    let mut words: Vec<&str> = rest.split_whitespace().collect();
    let power = words.first().and_then(|first| POWERS.iter().find(|(names, _)| names.contains(first)));
    words.drain(..usize::from(power.is_some()));
    if power.is_none() && words.is_empty() || words.iter().any(|word| !UNITS.contains(word)) {
        return None;
    }
    // By its digits, so that 4.1M is 4.1e6 and no binary neighbour of it.
    match power {
        Some((_, power)) => format!("{number}e{power}").parse().ok(),
        None => number.parse().ok(),
    }
}

/// A number whose thousands are set apart. One comma alone may as well stand before decimals.
fn grouped(text: &str) -> Option<f64> {
    let sign = ['_', ',', ' '].into_iter().find(|sign| text.contains(*sign))?;
    if sign == ',' && text.matches(sign).count() == 1 {
        return None;
    }
    let mut groups = text.split(sign);
    let is_first = groups.next().is_some_and(|first| (1..=3).contains(&first.len()));
    let are_digits = text.chars().all(|c| c.is_ascii_digit() || c == sign);
    (is_first && are_digits && groups.all(|group| group.len() == 3)).then(|| text.replace(sign, "").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_words_and_units_after_a_number_are_told_as_the_number_they_mean() {
        let cases = [
            ("20M", "2e7"),
            ("1.5B", "1.5e9"),
            ("2e9 tokens", "2e9"),
            ("1.4 trillion tokens", "1.4e12"),
            ("7m", "7e6"),
            ("1,000,000", "1e6"),
            ("1_000_000", "1e6"),
            ("3.5 nats", "3.5"),
            ("4.1M", "4.1e6"),
            ("8.2 M params", "8.2e6"),
        ];
        for (written, number) in cases {
            let said = hint("params", &Cell::Text(written.to_owned())).expect(written);
            assert!(said.starts_with(&format!("write {number} for `{written}`")), "{said}");
        }
    }

    #[test]
    fn what_may_mean_anything_is_not_guessed_at() {
        let units =
            ["20Mtok", "300Btok", "5 PF-days", "3 ZFLOPs", "3.5 bits", "5 percent", "nan diverged", "information"];
        let others = ["many", "20MB", "2x", "3;5", "1,00", "3,500", "5%", "12 34", "NaN", "", "2e9M"];
        for written in units.into_iter().chain(others) {
            assert_eq!(hint("params", &Cell::Text(written.to_owned())), None, "{written}");
        }
    }
}
