//! Whole numbers as typed: what is allowed, said in the words of our own errors.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// A parser of whole numbers that says what is allowed, and what to type instead.
pub(super) fn whole<T>(
    allowed: RangeInclusive<u64>,
    instead: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: FromStr + Clone + Send + Sync + 'static,
{
    move |text| {
        let inside = text.parse::<u64>().is_ok_and(|number| allowed.contains(&number));
        let number = if inside { text.parse().ok() } else { None };
        number.ok_or_else(|| format!("{} is needed\n\nhint: {instead}", words(&allowed)))
    }
}

fn words(allowed: &RangeInclusive<u64>) -> String {
    match (allowed.start(), allowed.end()) {
        (least, &u64::MAX) => format!("a whole number of at least {least}"),
        (least, most) => format!("a whole number from {least} to {most}"),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::whole;

    #[test]
    fn a_whole_number_outside_its_range_is_told_the_range_and_a_way_out() {
        let draws = whole::<u32>(100..=u64::from(u32::MAX), "--draws 1000");
        assert_eq!(draws("100"), Ok(100));
        for bad in ["-3", "99", "4294967296", "1e3", "100.5", ""] {
            let words = "a whole number from 100 to 4294967295 is needed\n\nhint: --draws 1000";
            assert_eq!(draws(bad), Err(words.to_owned()), "{bad}");
        }
        let jobs = whole::<NonZeroUsize>(1..=u64::MAX, "--jobs 2");
        assert_eq!(jobs("0"), Err("a whole number of at least 1 is needed\n\nhint: --jobs 2".to_owned()));
    }
}
