//! Where runs are trained, as typed.

use clap::Args;

/// Device, precision, and memory that may be used.
#[derive(Debug, Args)]
pub(crate) struct DeviceArgs {
    /// auto, cpu, cuda (all cards of this machine) or cuda:0 (that one)
    #[arg(long, default_value = "auto")]
    pub(crate) device: String,
    /// What products on a card read: bf16, tf32 or f32 [default: bf16 on a card, f32 on a CPU]
    #[arg(long)]
    pub(crate) precision: Option<String>,
    /// Memory of the device that one run may need by its estimate: a run that needs more is refused before it starts, or
    /// has its batches dealt into parts
    #[arg(long, value_name = "BYTES|GiB", value_parser = bytes, allow_negative_numbers = true)]
    pub(crate) memory_limit: Option<u64>,
}

/// A number of bytes, or of MiB or GiB.
fn bytes(text: &str) -> Result<u64, String> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("", 1)];
    let of = |(unit, size): (&str, u64)| Some(text.strip_suffix(unit)?.trim().parse::<f64>().ok()? * size as f64);
    let found = units.into_iter().find_map(of).filter(|bytes| (1.0..1e18).contains(bytes));
    found
        .map(|bytes| bytes as u64)
        .ok_or_else(|| "bytes, MiB or GiB are needed\n\nhint: --memory-limit 16GiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn memory_is_read_in_bytes_and_in_larger_units() {
        assert_eq!(bytes("4096"), Ok(4096));
        assert_eq!([bytes("1.5GiB"), bytes("3 MiB")], [Ok(3 << 29), Ok(3 << 20)]);
        for bad in ["", "GiB", "-1", "0", "12GB", "nan", "1e40"] {
            assert!(bytes(bad).is_err_and(|words| words.contains("hint: ")), "{bad}");
        }
    }
}
