//! Amounts of memory in words, the same wherever they are told.

/// Memory: `840 B`, `12.5 MiB`, `139 GiB`.
#[must_use]
pub fn words(bytes: u64) -> String {
    let (number, unit) = match bytes {
        0..1024 => return format!("{bytes} B"),
        // What rounds to 1024 of a unit is one of the next.
        1024..1_048_064 => (bytes as f64 / 1024.0, "KiB"),
        1_048_064..1_073_217_536 => (bytes as f64 / 1_048_576.0, "MiB"),
        _ => (bytes as f64 / 1_073_741_824.0, "GiB"),
    };
    if number < 99.95 { format!("{number:.1} {unit}") } else { format!("{number:.0} {unit}") }
}

/// Two amounts of which one is held against the other: to the byte where words would make them the same.
#[must_use]
pub fn told_apart(one: u64, other: u64) -> [String; 2] {
    let both = [one, other].map(words);
    if one != other && both[0] == both[1] { [one, other].map(|bytes| format!("{bytes} B")) } else { both }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_has_the_unit_that_keeps_it_short() {
        let amounts = [840, 526_336, 13_107_200, 139 << 30];
        assert_eq!(amounts.map(words), ["840 B", "514 KiB", "12.5 MiB", "139 GiB"]);
        let (kib, mib) = (1 << 20, 1 << 30);
        assert_eq!(
            [kib - 513, kib - 512, mib - 524_289, mib - 524_288].map(words),
            ["1023 KiB", "1.0 MiB", "1023 MiB", "1.0 GiB"]
        );
    }

    #[test]
    fn amounts_that_differ_never_read_the_same() {
        assert_eq!(told_apart(514 << 10, 307 << 10), ["514 KiB", "307 KiB"]);
        assert_eq!(told_apart(1 << 30, (1 << 30) - 1), ["1073741824 B", "1073741823 B"]);
        assert_eq!(told_apart(1 << 30, 1 << 30), ["1.0 GiB", "1.0 GiB"]);
    }
}
