//! Where runs are trained, as typed.

use clap::Args;

/// Device, precision, and memory that may be used.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// auto, cpu, cuda (every card that this process may use; `exec` trains on the first) or cuda:0 (that one)
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// What products on a card read: bf16, tf32 or f32 [default: bf16 on a card, f32 on a CPU]
    #[arg(long)]
    pub(crate) precision: Option<String>,
    /// What the buffers of one run's step may take by their estimate, as a card would hold them (the program itself takes
    /// more): batches are dealt into parts to fit, and a run that does not fit is refused before any is trained
    #[arg(long, value_name = "MiB|GiB", value_parser = bytes, allow_negative_numbers = true)]
    pub(crate) memory_limit: Option<u64>,
}

/// Less than this is a unit left out: no run takes so little.
const LEAST_WITHOUT_UNIT: u64 = 1 << 20;

/// A number of bytes, with its unit or large enough to be meant.
fn bytes(text: &str) -> Result<u64, String> {
    let units: [(&'static str, u64); 5] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)];
    let of = |(unit, size): (&'static str, u64)| {
        let number: f64 = text.strip_suffix(unit)?.trim().parse().ok()?;
        Some((unit, number * size as f64))
    };
    let found = units.into_iter().find_map(of).filter(|(_, bytes)| (1.0..1e18).contains(bytes));
    match found.map(|(unit, bytes)| (unit, bytes as u64)) {
        Some(("", few)) if few < LEAST_WITHOUT_UNIT => {
            let meant = if few <= 1024 { "GiB" } else { "B" };
            Err(format!("that is {few} bytes, less than any run takes\n\nhint: --memory-limit {few}{meant}"))
        }
        Some((_, bytes)) => Ok(bytes),
        None => Err("bytes, MiB or GiB are needed\n\nhint: --memory-limit 16GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn memory_is_read_in_bytes_and_in_larger_units() {
        assert_eq!([bytes("1048576"), bytes("4096B"), bytes("4 KiB")], [Ok(1 << 20), Ok(4096), Ok(4096)]);
        assert_eq!([bytes("1.5GiB"), bytes("3 MiB")], [Ok(3 << 29), Ok(3 << 20)]);
        for bad in ["", "GiB", "-1", "0", "12GB", "12G", "nan", "1e40"] {
            assert!(bytes(bad).is_err_and(|words| words.contains("hint: ")), "{bad}");
        }
    }

    #[test]
    fn a_number_too_small_to_be_meant_is_taken_for_one_without_its_unit() {
        let said = bytes("16").expect_err("refused");
        assert!(said.contains("that is 16 bytes") && said.ends_with("hint: --memory-limit 16GiB"), "{said}");
    }
}
