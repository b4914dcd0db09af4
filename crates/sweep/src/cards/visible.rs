//! `CUDA_VISIBLE_DEVICES`: which cards a process may use, as a scheduler or a person has said.

use super::{Card, CardsError};

/// The variable by which a process is told its cards.
pub const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// The variable by which a process is told how CUDA numbers cards.
pub const ORDER: &str = "CUDA_DEVICE_ORDER";

/// The value of [`ORDER`] by which CUDA numbers cards as the driver does.
const BY_BUS: &str = "PCI_BUS_ID";

/// The cards of these unique names, in their order: what CUDA itself tells of the cards it has numbered for this process.
///
/// # Errors
///
/// [`CardsError`] when a name is that of no whole card: of a slice of one (MIG), that is.
pub fn named(cards: &[Card], names: &[String]) -> Result<Vec<Card>, CardsError> {
    let of_name = |name: &String| {
        let found = cards.iter().find(|card| card.uuid == *name && !card.is_sliced).cloned();
        found.ok_or_else(|| slice(name))
    };
    names.iter().map(of_name).collect()
}

/// The cards that a value of [`VISIBLE`] names, in its order: numbers, or the beginnings of unique names. All of them
/// where it is not set. As CUDA does, an entry that names no card, or one named before, ends the list.
///
/// For programs that cannot ask CUDA itself. `order` is the value of [`ORDER`]: where it is not set, CUDA's first card is
/// the fastest, and cards of unlike kinds have numbers that cannot be told here. CUDA counts what a process may reach, the
/// driver all cards, so that a card out of reach or in slices parts the numbers as well.
///
/// # Errors
///
/// [`CardsError`] when an entry is a slice of a card (MIG), or a number that may be another card's to CUDA.
pub fn visible(cards: &[Card], value: Option<&str>, order: Option<&str>) -> Result<Vec<Card>, CardsError> {
    let Some(value) = value else { return Ok(cards.to_vec()) };
    let mut found: Vec<Card> = Vec::new();
    for entry in value.split(',').map(str::trim) {
        if entry.starts_with("MIG-") {
            return Err(slice(entry));
        }
        let number = entry.parse::<u32>().ok();
        if let Some(number) = number
            && let Some(why) = numbers_apart(cards, order)
        {
            return Err(CardsError {
                problem: format!("`{VISIBLE}` names card {number}, and {why}"),
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

fn slice(name: &str) -> CardsError {
    CardsError {
        problem: format!(
            "`{name}` is a slice of a card (MIG), or none of the driver's, and runs are not packed onto it"
        ),
        hint: "forescale run SWEEP --device cuda:0 --jobs 1, which leaves the choice to CUDA".to_owned(),
    }
}

/// Why CUDA's numbers may be other cards than the driver's; `None` where they are the same: every card is within reach and
/// whole, and they are of one kind, among which CUDA keeps the bus's order, or it is told to.
fn numbers_apart(cards: &[Card], order: Option<&str>) -> Option<&'static str> {
    if cards.iter().any(|card| card.is_sliced) {
        return Some("CUDA numbers slices (MIG) in place of their card");
    }
    if cards.iter().enumerate().any(|(place, card)| card.index as usize != place) {
        return Some("CUDA does not count a card that this process may not reach, as there is one");
    }
    let alike = cards.windows(2).all(|pair| pair[0].name == pair[1].name);
    (!alike && order != Some(BY_BUS))
        .then_some("CUDA numbers cards of unlike kinds by speed unless CUDA_DEVICE_ORDER=PCI_BUS_ID")
}

fn unique_names(cards: &[Card]) -> String {
    let names: Vec<String> = cards.iter().map(|card| format!("{} ({})", card.uuid, card.name)).collect();
    format!("name it: {}", names.join(", "))
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
        assert!(error.contains("names card 0, and CUDA numbers cards of unlike kinds by speed"), "{error}");
        assert!(error.contains("hint: name it: GPU-0 (Stand-in), "), "{error}");
        assert!(seen(Some("0"), Some("FASTEST_FIRST")).is_err());
        assert_eq!(seen(Some("0"), Some("PCI_BUS_ID")), Ok(vec![0]));
        assert_eq!(seen(Some("GPU-2,GPU-0"), None), Ok(vec![2, 0]));
        assert_eq!(seen(None, None), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn numbers_are_refused_where_a_card_is_out_of_reach_and_unique_names_are_not() {
        // Of four cards the first is somebody else's: to CUDA the second is number 0.
        let mut cards = three();
        (0..3).for_each(|place| cards[place].index = place as u32 + 1);
        let error = visible(&cards, Some("1"), Some("PCI_BUS_ID")).expect_err("it may be the third").to_string();
        assert!(error.contains("may not reach") && error.contains("hint: name it: "), "{error}");
        assert_eq!(visible(&cards, Some("GPU-1"), None).expect("a card")[0].index, 2);
        // One behind all others parts no number.
        assert_eq!(visible(&three()[..2], Some("1"), None).expect("a card")[0].index, 1);
    }

    #[test]
    fn numbers_are_refused_where_a_card_is_in_slices() {
        let mut cards = three();
        cards[1].is_sliced = true;
        let error = visible(&cards, Some("2"), None).expect_err("it may be a slice").to_string();
        assert!(error.contains("slices (MIG) in place of their card"), "{error}");
    }

    #[test]
    fn what_cuda_names_is_found_by_name_alone() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut cards = three();
        (cards[0].index, cards[2].name) = (5, "Faster".to_owned());
        let found = named(&cards, &names(&["GPU-2", "GPU-0"])).expect("both are there");
        assert_eq!(found.iter().map(|card| card.index).collect::<Vec<_>>(), [2, 5]);
        assert_eq!(named(&cards, &[]), Ok(Vec::new()));
        let error = named(&cards, &names(&["GPU-0", "GPU-77"])).expect_err("no whole card").to_string();
        assert!(error.contains("`GPU-77` is a slice of a card") && error.contains("hint: "), "{error}");
        cards[0].is_sliced = true;
        assert!(named(&cards, &names(&["GPU-0"])).is_err());
    }
}
