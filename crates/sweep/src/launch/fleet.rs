//! Which run goes to which card: by memory, and as many to each as [`super::packing`] found worth it.

use std::fmt;
use std::sync::Arc;

use forescale_core::run::RunId;

use super::packing::{Kind, Packing};
use crate::cards::{Card, Cards};

/// Memory of a card that is left alone, as a share of it: contexts, libraries and an estimate's error. Chosen here.
const RESERVE: f64 = 0.05;

/// The cards that runs are packed onto.
#[derive(Clone)]
pub struct Fleet {
    /// The cards, in the order in which they are filled.
    pub cards: Vec<Card>,
    /// Who tells what is free on them.
    pub driver: Arc<dyn Cards>,
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").field("cards", &self.cards).finish_non_exhaustive()
    }
}

/// What a run asks of a card.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) bytes: u64,
    /// Whether the card must be empty, and stay so.
    pub(super) alone: bool,
}

/// The cards as they are filled.
pub(super) struct Loading {
    slots: Vec<Slot>,
    driver: Arc<dyn Cards>,
}

struct Slot {
    card: Card,
    /// Bytes for our runs: what was free at the start, without the reserve.
    capacity: u64,
    packing: Packing,
    runs: Vec<(RunId, Need)>,
    /// The run that the card is being emptied for; no other starts on it.
    emptied_for: Option<RunId>,
}

impl Loading {
    pub(super) fn of(fleet: &Fleet) -> Self {
        let slot = |card: &Card| {
            // A card that does not tell is thought empty; its runs find out.
            let free = fleet.driver.read(card).map_or(card.memory_bytes, |reading| reading.free_bytes);
            let capacity = free.saturating_sub(reserve(card));
            Slot { card: card.clone(), capacity, packing: Packing::new(), runs: Vec::new(), emptied_for: None }
        };
        Self { slots: fleet.cards.iter().map(slot).collect(), driver: Arc::clone(&fleet.driver) }
    }

    /// Bytes that a run alone on a card may need.
    pub(super) fn largest(&self) -> u64 {
        self.slots.iter().map(|slot| slot.capacity).max().unwrap_or(0)
    }

    /// The card for a run, if one has room: the one with the fewest runs. A run that no card has the memory for is tried on an
    /// empty one of most memory.
    pub(super) fn place(&self, id: &RunId, need: Need) -> Option<usize> {
        let largest = self.largest();
        let is_for = |slot: &Slot| slot.emptied_for.as_ref().is_none_or(|other| other == id);
        let open = |slot: &Slot| is_for(slot) && slot.takes(need, largest, &*self.driver);
        let slots = self.slots.iter().enumerate().filter(|(_, slot)| open(slot));
        slots.min_by_key(|(_, slot)| slot.runs.len()).map(|(index, _)| index)
    }

    /// Has one card emptied for a run that must be alone on it: of those with the memory, the one with the fewest runs. The
    /// others go on taking runs. Where each is being emptied for some other run, this one waits for the next that is empty.
    pub(super) fn empty_one(&mut self, id: &RunId, need: Need) {
        let is_chosen = self.slots.iter().any(|slot| slot.emptied_for.as_ref() == Some(id));
        let least = need.bytes.min(self.largest());
        let fits = |slot: &&mut Slot| slot.emptied_for.is_none() && least <= slot.capacity;
        if !is_chosen && let Some(slot) = self.slots.iter_mut().filter(fits).min_by_key(|slot| slot.runs.len()) {
            slot.emptied_for = Some(id.clone());
        }
    }

    /// The number of a card on the machine.
    pub(super) fn number(&self, index: usize) -> u32 {
        self.slots[index].card.index
    }

    /// A run has started on a card; returns the name by which its process is told it.
    pub(super) fn started(&mut self, index: usize, id: &RunId, need: Need, kind: Kind) -> String {
        // It may have started on another card than the one that was being emptied for it.
        self.slots
            .iter_mut()
            .filter(|slot| slot.emptied_for.as_ref() == Some(id))
            .for_each(|slot| slot.emptied_for = None);
        let slot = &mut self.slots[index];
        slot.runs.push((id.clone(), need));
        slot.packing.started(id, kind);
        slot.card.uuid.clone()
    }

    pub(super) fn heard(&mut self, index: usize, id: &RunId, step: u64, tokens_per_second: f64) {
        self.slots[index].packing.heard(id, step, tokens_per_second);
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, index: usize, id: &RunId) {
        let slot = &mut self.slots[index];
        slot.packing.ended(id);
        slot.runs.retain(|(run, _)| run != id);
    }
}

impl Slot {
    /// Whether the card has room for a run, where the one of most memory has `largest` bytes.
    fn takes(&self, need: Need, largest: u64, driver: &dyn Cards) -> bool {
        if self.runs.is_empty() {
            return need.bytes.min(largest) <= self.capacity;
        }
        let promised = sum(self.runs.iter().map(|(_, need)| need.bytes));
        !need.alone
            && !self.card.takes_one
            && !self.runs.iter().any(|(_, need)| need.alone)
            && self.packing.has_room()
            && promised.saturating_add(need.bytes) <= self.capacity
            && need.bytes <= self.free_now(driver)
    }

    /// What is free by the driver's word, without what runs that have only just started are about to take.
    fn free_now(&self, driver: &dyn Cards) -> u64 {
        let Ok(reading) = driver.read(&self.card) else { return self.capacity };
        let cold = self.runs.iter().filter(|(id, _)| self.packing.is_cold(id));
        let coming = sum(cold.map(|(_, need)| need.bytes));
        reading.free_bytes.saturating_sub(reserve(&self.card)).saturating_sub(coming)
    }
}

/// All of them; a run that was tried in spite of its need may have the largest number for it.
fn sum(bytes: impl Iterator<Item = u64>) -> u64 {
    bytes.fold(0, u64::saturating_add)
}

fn reserve(card: &Card) -> u64 {
    (RESERVE * card.memory_bytes as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards::Reading;
    use crate::cards::tests::StandIn;
    use crate::records::tests::planned;

    fn loading(cards: StandIn) -> Loading {
        Loading::of(&Fleet { cards: cards.list().expect("cards"), driver: Arc::new(cards) })
    }

    fn id(number: u64) -> RunId {
        RunId(format!("run-{number}"))
    }

    /// Places a run where there is room, as warm as a run that has long been heard.
    fn put(loading: &mut Loading, number: u64, need: Need) -> Option<usize> {
        let index = loading.place(&id(number), need)?;
        loading.started(index, &id(number), need, Kind::of(&planned().config));
        Some(index)
    }

    /// Has the runs of a card make it find that more are worth it.
    fn hear(loading: &mut Loading, index: usize, steps: std::ops::Range<u64>) {
        for step in steps {
            let runs: Vec<RunId> = loading.slots[index].runs.iter().map(|(id, _)| id.clone()).collect();
            runs.iter().for_each(|id| loading.heard(index, id, step, 1e5));
        }
    }

    /// A run that no card has seen.
    const NEW: u64 = 99;

    /// A run of the smoke sweep's is small, so that four may start before anything is measured.
    const FIRST: u64 = 4;

    const SHARED: fn(u64) -> Need = |bytes| Need { bytes, alone: false };

    #[test]
    fn runs_go_to_the_emptiest_card_and_wait_when_all_have_one() {
        let mut loading = loading(StandIn::of(&[1000, 1000]));
        let places: Vec<_> = (0..2 * FIRST).map(|number| put(&mut loading, number, SHARED(10))).collect();
        assert_eq!(places, [0, 1].repeat(FIRST as usize).into_iter().map(Some).collect::<Vec<_>>());
        assert_eq!(put(&mut loading, 2 * FIRST, SHARED(10)), None, "nothing is known yet of a fifth run on a card");
        hear(&mut loading, 1, 1..5);
        assert_eq!(put(&mut loading, 2 * FIRST, SHARED(10)), Some(1));
    }

    #[test]
    fn a_card_that_takes_one_process_has_one_run_at_a_time() {
        let mut fleet = StandIn::of(&[1000, 1000]).list().expect("cards");
        fleet[0].takes_one = true;
        let mut loading = Loading::of(&Fleet { cards: fleet, driver: Arc::new(StandIn::of(&[1000, 1000])) });
        let places: Vec<_> = (0..4).map(|number| put(&mut loading, number, SHARED(10))).collect();
        assert_eq!(places, [0, 1, 1, 1].map(Some));
        loading.ended(0, &id(0));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), Some(0));
    }

    #[test]
    fn memory_is_not_promised_twice() {
        let mut loading = loading(StandIn::of(&[1000]));
        put(&mut loading, 0, SHARED(600));
        hear(&mut loading, 0, 1..5);
        assert_eq!(loading.place(&id(NEW), SHARED(351)), None, "950 of 1000 are to be had");
        assert_eq!(loading.place(&id(NEW), SHARED(350)), Some(0));
    }

    #[test]
    fn what_others_take_is_not_there() {
        let reading = |free_bytes| Reading {
            used_bytes: 0,
            free_bytes,
            utilisation: None,
            clock_mhz: None,
            memory_clock_mhz: None,
        };
        let gib = 1 << 30;
        // All was free at the start; then somebody else came.
        let mut loading = loading(StandIn::reading(vec![reading(gib), reading(gib / 4)], None));
        put(&mut loading, 0, SHARED(1000));
        hear(&mut loading, 0, 1..5);
        assert_eq!(loading.place(&id(NEW), SHARED(gib / 4)), None);
        assert_eq!(loading.place(&id(NEW), SHARED(gib / 8)), Some(0));
    }

    #[test]
    fn a_run_that_must_be_alone_waits_for_an_empty_card_and_keeps_others_off() {
        let mut loading = loading(StandIn::of(&[1000]));
        put(&mut loading, 0, SHARED(10));
        hear(&mut loading, 0, 1..5);
        let alone = Need { bytes: 10, alone: true };
        assert_eq!(loading.place(&id(NEW), alone), None);
        loading.ended(0, &id(0));
        assert_eq!(put(&mut loading, 1, alone), Some(0));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), None);
    }

    #[test]
    fn a_run_that_must_be_alone_empties_one_card_and_the_others_go_on() {
        let mut loading = loading(StandIn::of(&[1000, 1000, 1000]));
        // Two runs on the first card, one on each of the others.
        (0..4).for_each(|number| assert!(put(&mut loading, number, SHARED(10)).is_some()));
        let alone = Need { bytes: 10, alone: true };
        for _ in 0..3 {
            assert_eq!(loading.place(&id(4), alone), None);
            loading.empty_one(&id(4), alone);
        }
        let places: Vec<_> = (5..8).map(|number| put(&mut loading, number, SHARED(10))).collect();
        assert_eq!(places, [2, 0, 2].map(Some), "the second is being emptied, and it alone");
        loading.ended(1, &id(1));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), Some(0), "an empty card is kept for whom it was emptied");
        assert_eq!(put(&mut loading, 4, alone), Some(1));
        loading.ended(1, &id(4));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), Some(1), "and takes all again");
    }

    #[test]
    fn a_card_that_is_empty_sooner_is_taken_and_the_one_that_was_being_emptied_takes_all_again() {
        let mut loading = loading(StandIn::of(&[1000, 1000]));
        (0..2).for_each(|number| assert!(put(&mut loading, number, SHARED(10)).is_some()));
        let alone = Need { bytes: 10, alone: true };
        loading.empty_one(&id(2), alone);
        loading.ended(1, &id(1));
        assert_eq!(put(&mut loading, 2, alone), Some(1));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), Some(0));
    }

    #[test]
    fn cards_are_emptied_for_a_run_each_and_only_those_with_the_memory() {
        let mut loading = loading(StandIn::of(&[1000, 4000]));
        (0..2).for_each(|number| assert!(put(&mut loading, number, SHARED(10)).is_some()));
        let alone = |bytes| Need { bytes, alone: true };
        loading.empty_one(&id(2), alone(u64::MAX));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), Some(0), "the larger card is the one that is emptied");
        loading.empty_one(&id(3), alone(2000));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), Some(0), "there is no second card of that size");
        loading.empty_one(&id(3), alone(900));
        assert_eq!(loading.place(&id(NEW), SHARED(10)), None);
    }

    #[test]
    fn a_run_larger_than_any_card_is_tried_on_an_empty_one() {
        let loading = loading(StandIn::of(&[1000]));
        assert_eq!((loading.largest(), loading.place(&id(NEW), SHARED(5000))), (950, Some(0)));
    }

    #[test]
    fn an_empty_card_takes_what_it_has_the_memory_for_and_the_largest_one_what_none_has() {
        let mut loading = loading(StandIn::of(&[1000, 4000, 2000]));
        assert_eq!(loading.place(&id(NEW), SHARED(1500)), Some(1));
        assert_eq!(loading.place(&id(NEW), SHARED(u64::MAX)), Some(1));
        put(&mut loading, 0, Need { bytes: 1500, alone: true });
        assert_eq!(loading.place(&id(NEW), SHARED(1500)), Some(2), "not the first, which is as empty and too small");
        assert_eq!(loading.place(&id(NEW), SHARED(3000)), None, "it waits for the card that has the memory");
        assert_eq!(loading.place(&id(NEW), SHARED(u64::MAX)), None);
        assert_eq!(loading.place(&id(NEW), SHARED(900)), Some(0));
    }

    #[test]
    fn needs_beyond_any_number_are_summed_all_the_same() {
        let mut loading = loading(StandIn::of(&[1000]));
        put(&mut loading, 0, SHARED(u64::MAX));
        assert_eq!(loading.place(&id(NEW), SHARED(u64::MAX)), None);
        assert_eq!(loading.place(&id(NEW), SHARED(10)), None);
    }
}
