//! A card that does nothing but count the bytes it is asked for.

use forescale_core::run::RunConfig;

use super::plan::Plan;
use super::{Address, Card, CardError, Program, Work};
use crate::error::TrainError;
use crate::model::Trace;
use crate::precision::Precision;

/// Buffers begin at multiples of this.
pub(crate) const ALIGNMENT: u64 = 256;

#[derive(Default)]
struct Counting {
    bytes: u64,
}

impl Card for Counting {
    fn allocate(&mut self, bytes: u64) -> Result<Address, CardError> {
        let address = self.bytes;
        self.bytes += bytes.next_multiple_of(ALIGNMENT);
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

/// Bytes of all buffers of a run's plan: what a card will be asked for.
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
