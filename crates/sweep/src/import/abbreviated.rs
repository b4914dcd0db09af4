//! Numbers as people write them (`20M`, `1.5B`, `2e9 tokens`): not read, for a letter may mean two things, but told how to be
//! written.

use super::cells::Cell;

/// What the letters and words after a number multiply it by. A lower-case `m` is taken as the million it is in sizes of models.
const FACTORS: [(&[&str], f64); 4] = [
    (&["k", "K", "thousand"], 1e3),
    (&["m", "M", "million"], 1e6),
    (&["b", "B", "bn", "G", "billion"], 1e9),
    (&["t", "T", "trillion"], 1e12),
];

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
    let ends = text.char_indices().map(|(at, _)| at).skip(1).filter(|&at| text[..at].parse::<f64>().is_ok());
    let (number, rest) = text.split_at(ends.max()?);
    let (number, rest) = (number.parse::<f64>().ok()?, rest.trim());
    let mut words = rest.split_whitespace();
    let first = words.next()?;
    let is_word = |word: &str| word.chars().all(|c| c.is_alphabetic() || "/_-".contains(c));
    if !is_word(first) || !words.all(is_word) {
        return None;
    }
    let factor = FACTORS.iter().find(|(names, _)| names.contains(&first)).map_or(1.0, |(_, factor)| *factor);
    // A short word that multiplies by nothing known (`20MB`, `2x`) may mean anything.
    (factor > 1.0 || first.chars().count() > 3).then_some(number * factor)
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
        ];
        for (written, number) in cases {
            let said = hint("params", &Cell::Text(written.to_owned())).expect(written);
            assert!(said.starts_with(&format!("write {number} for `{written}`")), "{said}");
        }
    }

    #[test]
    fn what_may_mean_anything_is_not_guessed_at() {
        for written in ["many", "20MB", "2x", "3;5", "1,00", "3,500", "5%", "12 34", "NaN", ""] {
            assert_eq!(hint("params", &Cell::Text(written.to_owned())), None, "{written}");
        }
    }
}
