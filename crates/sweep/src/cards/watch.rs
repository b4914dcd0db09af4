//! A card watched while a run trains on it, once a second, for the run's record.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use forescale_core::record::CardUse;

use super::{Card, Cards};

/// The driver itself averages over up to a second.
const INTERVAL: Duration = Duration::from_secs(1);

/// A card that is being watched.
#[derive(Debug)]
pub struct Watch {
    /// Closed when the run is over.
    _running: Sender<()>,
    thread: JoinHandle<CardUse>,
}

impl Watch {
    /// Watches a card for this process until [`Watch::finish`].
    #[must_use]
    pub fn start(cards: Box<dyn Cards>, card: Card) -> Self {
        let (running, over) = channel();
        Self { _running: running, thread: std::thread::spawn(move || watch(&*cards, &card, &over, INTERVAL)) }
    }

    /// What was seen; `None` where the watching itself went wrong, which is no reason to lose a run.
    #[must_use]
    pub fn finish(self) -> Option<CardUse> {
        drop(self._running);
        self.thread.join().ok()
    }
}

fn watch(cards: &dyn Cards, card: &Card, over: &Receiver<()>, interval: Duration) -> CardUse {
    let mut seen = Seen::default();
    loop {
        // Asked first, so that a run of less than a second has a reading, too.
        seen.look(cards, card);
        if over.recv_timeout(interval) != Err(RecvTimeoutError::Timeout) {
            return seen.told(cards.driver(), card);
        }
    }
}

/// Readings so far.
#[derive(Default)]
struct Seen {
    readings: u64,
    held: Option<u64>,
    used: u64,
    utilisation: Mean,
    clock: Mean,
    memory_clock: Mean,
}

#[derive(Default)]
struct Mean {
    sum: f64,
    count: u64,
}

impl Mean {
    fn add(&mut self, value: Option<f64>) {
        if let Some(value) = value {
            self.sum += value;
            self.count += 1;
        }
    }

    fn get(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

impl Seen {
    /// A driver that does not answer once is asked again a second later.
    fn look(&mut self, cards: &dyn Cards, card: &Card) {
        let Ok(reading) = cards.read(card) else { return };
        self.readings += 1;
        self.used = self.used.max(reading.used_bytes);
        self.held = self.held.max(cards.held_by(card, std::process::id()));
        self.utilisation.add(reading.utilisation);
        self.clock.add(reading.clock_mhz.map(f64::from));
        self.memory_clock.add(reading.memory_clock_mhz.map(f64::from));
    }

    fn told(&self, driver: String, card: &Card) -> CardUse {
        CardUse {
            name: card.name.clone(),
            driver,
            memory_bytes: card.memory_bytes,
            peak_memory_bytes: self.held,
            peak_card_memory_bytes: self.used,
            mean_utilisation: self.utilisation.get(),
            mean_clock_mhz: self.clock.get(),
            mean_memory_clock_mhz: self.memory_clock.get(),
            readings: self.readings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards::Reading;
    use crate::cards::tests::StandIn;

    fn reading(used_bytes: u64, utilisation: Option<f64>, clock_mhz: u32) -> Reading {
        Reading { used_bytes, free_bytes: 0, utilisation, clock_mhz: Some(clock_mhz), memory_clock_mhz: None }
    }

    #[test]
    fn peaks_and_means_are_over_all_readings_that_told() {
        let dealt = vec![reading(5, Some(0.5), 1000), reading(9, None, 2000), reading(7, Some(1.0), 3000)];
        let cards = StandIn::reading(dealt, Some(4));
        let card = cards.list().expect("cards").remove(0);
        let mut seen = Seen::default();
        (0..3).for_each(|_| seen.look(&cards, &card));
        let told = seen.told(cards.driver(), &card);
        assert_eq!((told.peak_card_memory_bytes, told.peak_memory_bytes, told.readings), (9, Some(4), 3));
        assert_eq!(told.mean_utilisation, Some(0.75));
        assert_eq!((told.mean_clock_mhz, told.mean_memory_clock_mhz), (Some(2000.0), None));
        assert_eq!((told.name.as_str(), told.driver.as_str()), ("Stand-in", "999.9"));
    }

    #[test]
    fn a_short_run_has_a_reading_too() {
        let cards = StandIn::of(&[1 << 20]);
        let card = cards.list().expect("cards").remove(0);
        let told = Watch::start(Box::new(cards), card).finish().expect("watched");
        assert!(told.readings >= 1 && told.peak_memory_bytes.is_none());
    }
}
