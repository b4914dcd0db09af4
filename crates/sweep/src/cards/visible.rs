//! `CUDA_VISIBLE_DEVICES`: which cards a process may use, as a scheduler or a person has said.

use super::{Card, CardsError};

/// The variable by which a process is told its cards.
pub const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";

/// The cards that a value of [`VISIBLE`] names, in its order: numbers, or the beginnings of unique names. All of them
/// where it is not set. As CUDA does, an entry that names no card ends the list.
///
/// # Errors
///
/// [`CardsError`] when an entry is of a kind that is not known here: a slice of a card (MIG).
pub fn visible(cards: &[Card], value: Option<&str>) -> Result<Vec<Card>, CardsError> {
    let Some(value) = value else { return Ok(cards.to_vec()) };
    let mut found = Vec::new();
    for entry in value.split(',').map(str::trim) {
        if entry.starts_with("MIG-") {
            return Err(CardsError {
                problem: format!("`{VISIBLE}` names a slice of a card (`{entry}`), which runs are not packed onto"),
                hint: "forescale run SWEEP --device cuda:0 --jobs 1, which leaves the choice to CUDA".to_owned(),
            });
        }
        let named = |card: &&Card| match entry.parse::<u32>() {
            Ok(number) => card.index == number,
            Err(_) => !entry.is_empty() && card.uuid.starts_with(entry),
        };
        match cards.iter().find(named) {
            Some(card) => found.push(card.clone()),
            None => break,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards::Cards as _;
    use crate::cards::tests::StandIn;

    fn seen(value: Option<&str>) -> Vec<u32> {
        let cards = StandIn::of(&[10, 10, 10]).list().expect("cards");
        visible(&cards, value).expect("cards").iter().map(|card| card.index).collect()
    }

    #[test]
    fn without_a_word_every_card_is_seen() {
        assert_eq!(seen(None), [0, 1, 2]);
    }

    #[test]
    fn cards_are_named_by_number_or_by_unique_name_in_an_order_that_counts() {
        assert_eq!(seen(Some("2,0")), [2, 0]);
        assert_eq!(seen(Some("GPU-1, 0")), [1, 0]);
    }

    #[test]
    fn an_entry_that_names_no_card_ends_the_list() {
        assert_eq!(seen(Some("1,-1,0")), [1]);
        assert_eq!(seen(Some("")), Vec::<u32>::new());
        assert_eq!(seen(Some("NoDevFiles")), Vec::<u32>::new());
    }

    #[test]
    fn slices_of_cards_are_refused() {
        let error = visible(&[], Some("MIG-1")).expect_err("refused").to_string();
        assert!(error.contains("`MIG-1`") && error.contains("hint: "), "{error}");
    }
}
