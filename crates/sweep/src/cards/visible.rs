//! `CUDA_VISIBLE_DEVICES`: which cards a process may use, as a scheduler or a person has said.

use super::{Card, CardsError};

/// The variable by which a process is told its cards.
pub const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// The variable by which a process is told how CUDA numbers cards.
pub const ORDER: &str = "CUDA_DEVICE_ORDER";

/// The value of [`ORDER`] by which CUDA numbers cards as the driver does.
const BY_BUS: &str = "PCI_BUS_ID";

/// The cards that a value of [`VISIBLE`] names, in its order: numbers, or the beginnings of unique names. All of them
/// where it is not set. As CUDA does, an entry that names no card, or one named before, ends the list.
///
/// `order` is the value of [`ORDER`]: where it is not set, CUDA's first card is the fastest, and cards of unlike kinds have
/// numbers that cannot be told here.
///
/// # Errors
///
/// [`CardsError`] when an entry is of a kind that is not known here: a slice of a card (MIG), or the number of one of
/// several kinds in CUDA's own order.
pub fn visible(cards: &[Card], value: Option<&str>, order: Option<&str>) -> Result<Vec<Card>, CardsError> {
    let Some(value) = value else { return Ok(cards.to_vec()) };
    let mut found: Vec<Card> = Vec::new();
    for entry in value.split(',').map(str::trim) {
        if entry.starts_with("MIG-") {
            return Err(CardsError {
                problem: format!("`{VISIBLE}` names a slice of a card (`{entry}`), which runs are not packed onto"),
                hint: "forescale run SWEEP --device cuda:0 --jobs 1, which leaves the choice to CUDA".to_owned(),
            });
        }
        let number = entry.parse::<u32>().ok();
        if number.is_some() && !are_numbered_by_bus(cards, order) {
            return Err(CardsError {
                problem: format!("`{VISIBLE}` names card {entry}, and CUDA numbers cards of unlike kinds by speed"),
                hint: unique_names(cards),
            });
        }
        let named = |card: &&Card| match number {
            Some(number) => card.index == number,
            None => !entry.is_empty() && card.uuid.starts_with(entry),
        };
        match cards.iter().find(named) {
            Some(card) if !found.contains(card) => found.push(card.clone()),
            _ => break,
        }
    }
    Ok(found)
}

/// Whether CUDA's numbers are the driver's: it is told so, or the cards are of one kind, among which it keeps the bus's order.
#[must_use]
pub fn are_numbered_by_bus(cards: &[Card], order: Option<&str>) -> bool {
    order == Some(BY_BUS) || cards.windows(2).all(|pair| pair[0].name == pair[1].name)
}

fn unique_names(cards: &[Card]) -> String {
    let names: Vec<String> = cards.iter().map(|card| format!("{} ({})", card.uuid, card.name)).collect();
    format!("name it: {}; or {ORDER}={BY_BUS}, and numbers are those of `forescale doctor`", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cards::Cards as _;
    use crate::cards::tests::StandIn;

    fn three() -> Vec<Card> {
        StandIn::of(&[10, 10, 10]).list().expect("cards")
    }

    fn seen(value: Option<&str>) -> Vec<u32> {
        visible(&three(), value, None).expect("cards").iter().map(|card| card.index).collect()
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
    fn an_entry_that_names_no_card_or_one_twice_ends_the_list() {
        assert_eq!(seen(Some("1,-1,0")), [1]);
        assert_eq!(seen(Some("1,1,0")), [1]);
        assert_eq!(seen(Some("2,0,GPU-2,1")), [2, 0]);
        assert_eq!(seen(Some("")), Vec::<u32>::new());
        assert_eq!(seen(Some("NoDevFiles")), Vec::<u32>::new());
    }

    #[test]
    fn slices_of_cards_are_refused() {
        let error = visible(&[], Some("MIG-1"), None).expect_err("refused").to_string();
        assert!(error.contains("`MIG-1`") && error.contains("hint: "), "{error}");
    }

    #[test]
    fn numbers_of_unlike_cards_count_only_in_the_order_of_the_bus() {
        let mut cards = three();
        cards[2].name = "Faster".to_owned();
        let seen =
            |value, order| visible(&cards, value, order).map(|seen| seen.iter().map(|card| card.index).collect());
        let error = seen(Some("0"), None).map(|_: Vec<u32>| ()).expect_err("it may be the third").to_string();
        assert!(error.contains("names card 0") && error.contains("hint: name it: GPU-0 (Stand-in)"), "{error}");
        assert!(seen(Some("0"), Some("FASTEST_FIRST")).is_err());
        assert_eq!(seen(Some("0"), Some("PCI_BUS_ID")), Ok(vec![0]));
        assert_eq!(seen(Some("GPU-2,GPU-0"), None), Ok(vec![2, 0]));
        assert_eq!(seen(None, None), Ok(vec![0, 1, 2]));
    }
}
