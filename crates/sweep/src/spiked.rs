//! Runs whose training loss spiked: kept in a fit, but never without a word.

use core::fmt;

use forescale_core::record::RunRecord;

/// A run that spiked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpikedRun {
    /// Its name.
    pub name: String,
    /// How often.
    pub spikes: u64,
}

impl fmt::Display for SpikedRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = if self.spikes == 1 { "once".to_owned() } else { format!("{} times", self.spikes) };
        write!(f, "{} spiked {times}", self.name)
    }
}

/// The runs that spiked, in the order of the records; those that diverged as well are out of a fit for that.
#[must_use]
pub fn spiked(records: &[RunRecord]) -> Vec<SpikedRun> {
    let spiking = records.iter().filter(|record| record.spikes > 0);
    spiking.map(|record| SpikedRun { name: record.name.clone(), spikes: record.spikes }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::tests::record;

    #[test]
    fn only_runs_that_spiked_are_named() {
        let records = [
            RunRecord { spikes: 3, name: "d32-40x-s0".to_owned(), ..record("a", 2.5) },
            record("b", 2.4),
            RunRecord { spikes: 1, name: "d40-40x-s0".to_owned(), ..record("c", 2.3) },
        ];
        let said: Vec<String> = spiked(&records).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["d32-40x-s0 spiked 3 times", "d40-40x-s0 spiked once"]);
    }
}
