//! A card that does nothing but count the bytes it is asked for.

use forescale_core::run::RunConfig;

use super::plan::Plan;
use super::{Address, Card, CardError, Program, Work};
use crate::error::TrainError;
use crate::model::Trace;
use crate::precision::Precision;

/// Buffers begin at multiples of this.
const ALIGNMENT: u64 = 256;

/// From this on, a buffer has memory of its own, in steps of [`STEP`]; as drivers of today have it.
const LARGE: u64 = 1 << 20;
const STEP: u64 = 2 << 20;

/// What a buffer of so many bytes takes of a card's memory.
pub(crate) fn taken(bytes: u64) -> u64 {
    bytes.next_multiple_of(if bytes >= LARGE { STEP } else { ALIGNMENT })
}

#[derive(Default)]
struct Counting {
    bytes: u64,
}

impl Card for Counting {
    fn allocate(&mut self, bytes: u64) -> Result<Address, CardError> {
        let address = self.bytes;
        self.bytes += taken(bytes);
        Ok(address)
    }

    fn write(&mut self, _: Address, _: &[u8]) -> Result<(), CardError> {
        Ok(())
    }

    fn read(&mut self, _: Address, _: &mut [u8]) -> Result<(), CardError> {
        Ok(())
    }

    fn prepare(&mut self, _: Vec<Work>) -> Result<Program, CardError> {
        Ok(Program(0))
    }

    fn execute(&mut self, _: Program) -> Result<(), CardError> {
        Ok(())
    }
}

/// Bytes that all buffers of a run's plan take of a card.
pub(crate) fn memory_bytes(config: &RunConfig, precision: Precision, accumulate: u32) -> Result<u64, TrainError> {
    let mut card = Counting::default();
    let trace = Trace::of(config, (config.sequences / accumulate.max(1)).max(1) as usize)?;
    Plan::lay_out(&mut card, &trace, config, precision).map_err(|error| {
        let problem = match error {
            CardError::Failed(problem) => problem,
            CardError::OutOfMemory { .. } => "more memory than can be counted".to_owned(),
        };
        TrainError::config(format!("the run cannot be planned for a card: {problem}"), "--device cpu")
    })?;
    Ok(card.bytes)
}

#[cfg(test)]
mod tests {
    use forescale_core::count::ModelShape;

    use super::*;
    use crate::fixture::config;

    #[test]
    fn small_buffers_lie_side_by_side_and_large_ones_take_whole_steps() {
        let mebibyte = 1 << 20;
        assert_eq!([1, 256, 257, mebibyte - 1].map(taken), [256, 256, 512, mebibyte]);
        assert_eq!([mebibyte, 2 * mebibyte, 2 * mebibyte + 1].map(taken), [2, 2, 4].map(|count| count * mebibyte));
    }

    #[test]
    fn a_step_of_more_rows_than_a_launch_can_count_is_refused_before_it_is_launched() {
        // 33,000 sequences of 128 tokens are 66,000 strips of 64 rows.
        let shape = ModelShape { width: 16, heads: 1, head_size: 16, context: 128, ..config().shape };
        let config = RunConfig { sequences: 33_000, shape, ..config() };
        let error = memory_bytes(&config, Precision::F32, 1).expect_err("too many").to_string();
        assert!(error.contains("66000 strips of rows at once are too many"), "{error}");
        memory_bytes(&config, Precision::F32, 2).expect("half as many are counted");
    }
}
