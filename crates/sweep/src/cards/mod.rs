//! The cards of this machine: which there are, and how busy each is.
//!
//! [`Cards`] is what a launcher, `status` and a run's record ask; [`NvmlCards`] answers from NVIDIA's driver, whose library
//! is looked for when the program runs, so that a machine without one loses nothing. Tests put a stand-in of known sizes in
//! its place. Nothing here computes on a card: which run goes to which is [`crate::launch`]'s.

mod libraries;
mod nvml;
mod visible;
mod watch;

use thiserror::Error;

pub use libraries::{MissingLibrary, missing_libraries};
pub use nvml::NvmlCards;
pub use visible::{ORDER, VISIBLE, named, visible};
pub use watch::Watch;

/// A card of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// Number, in the order of the bus.
    pub index: u32,
    /// Name that no other card has; what `CUDA_VISIBLE_DEVICES` is told.
    pub uuid: String,
    /// Name of its kind.
    pub name: String,
    /// Memory, bytes.
    pub memory_bytes: u64,
    /// Whether it is cut into slices (MIG), which CUDA numbers in its place.
    pub is_sliced: bool,
    /// Whether one process at a time may use it, by the driver's compute mode.
    pub takes_one: bool,
}

/// A look at a card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Memory in use, bytes, by whomever.
    pub used_bytes: u64,
    /// Memory that is free, bytes.
    pub free_bytes: u64,
    /// Share of the last moments in which it computed, from 0 to 1.
    pub utilisation: Option<f64>,
    /// Clock of the processors, MHz.
    pub clock_mhz: Option<u32>,
    /// Clock of the memory, MHz.
    pub memory_clock_mhz: Option<u32>,
}

/// Cards that could not be asked.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{problem}\n\nhint: {hint}")]
pub struct CardsError {
    /// What went wrong.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

/// Something that knows the cards of this machine.
pub trait Cards: Send + Sync {
    /// Version of the driver.
    fn driver(&self) -> String;

    /// All cards that this process may reach, in the order of the bus; one out of reach leaves a gap in the numbers.
    ///
    /// # Errors
    ///
    /// [`CardsError`] when the driver does not tell.
    fn list(&self) -> Result<Vec<Card>, CardsError>;

    /// How busy a card is.
    ///
    /// # Errors
    ///
    /// [`CardsError`] when the driver does not tell, or there is no such card any more.
    fn read(&self, card: &Card) -> Result<Reading, CardsError>;

    /// Memory that a process holds on a card, bytes; `None` where the driver does not tell processes apart.
    fn held_by(&self, card: &Card, process: u32) -> Option<u64>;
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use super::{Card, Cards, CardsError, Reading};

    /// Cards of a size, whose readings are dealt out one after another and then stay as the last one was.
    pub(crate) struct StandIn {
        cards: Vec<Card>,
        readings: Mutex<VecDeque<Reading>>,
        held: Option<u64>,
    }

    impl StandIn {
        /// Empty cards of so many bytes.
        pub(crate) fn of(sizes: &[u64]) -> Self {
            let card = |(index, memory_bytes): (usize, &u64)| Card {
                index: index as u32,
                uuid: format!("GPU-{index}"),
                name: "Stand-in".to_owned(),
                memory_bytes: *memory_bytes,
                is_sliced: false,
                takes_one: false,
            };
            Self { cards: sizes.iter().enumerate().map(card).collect(), readings: Mutex::default(), held: None }
        }

        /// One card that answers these readings.
        pub(crate) fn reading(readings: Vec<Reading>, held: Option<u64>) -> Self {
            Self { readings: Mutex::new(readings.into()), held, ..Self::of(&[1 << 30]) }
        }
    }

    impl Cards for StandIn {
        fn driver(&self) -> String {
            "999.9".to_owned()
        }

        fn list(&self) -> Result<Vec<Card>, CardsError> {
            Ok(self.cards.clone())
        }

        fn read(&self, card: &Card) -> Result<Reading, CardsError> {
            let mut readings = self.readings.lock().expect("nobody panicked");
            let idle = Reading {
                used_bytes: 0,
                free_bytes: card.memory_bytes,
                utilisation: None,
                clock_mhz: None,
                memory_clock_mhz: None,
            };
            let next = readings.front().copied().unwrap_or(idle);
            if readings.len() > 1 {
                readings.pop_front();
            }
            Ok(next)
        }

        fn held_by(&self, _: &Card, _: u32) -> Option<u64> {
            self.held
        }
    }
}
