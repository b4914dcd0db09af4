//! Cards as CUDA numbers them for this process, before one is opened: which there are, and which of them can train.
//!
//! CUDA's numbers follow `CUDA_VISIBLE_DEVICES` and leave out what a process may not reach, and no other count of a
//! machine's cards does the same; so a card is told from others by its unique name.

use crate::error::TrainError;

/// Compute capability that the kernels need, for bf16; the build script compiles for no less.
const LEAST_CAPABILITY: (i32, i32) = (8, 0);

/// A card that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Name that no other card has, as `nvidia-smi -L` has it.
    pub(crate) uuid: String,
    /// Name of its kind.
    pub(crate) kind: String,
    /// Compute capability, major and minor.
    pub(crate) capability: (i32, i32),
}

impl Listed {
    /// Whether the kernels run on it.
    pub(crate) fn trains(&self) -> bool {
        self.capability >= LEAST_CAPABILITY
    }
}

/// Why no card is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unlisted {
    pub(crate) problem: String,
    pub(crate) hint: String,
}

/// A unique name from its sixteen bytes.
pub(crate) fn uuid(bytes: [u8; 16]) -> String {
    let part =
        |range: std::ops::Range<usize>| -> String { bytes[range].iter().map(|byte| format!("{byte:02x}")).collect() };
    format!("GPU-{}-{}-{}-{}-{}", part(0..4), part(4..6), part(6..8), part(8..10), part(10..16))
}

/// Refuses a driver of an older generation than the libraries that this build calls; both as CUDA counts, 13000 for 13.0.
/// Within a generation every driver takes them.
pub(crate) fn check_driver(driver: i32, built_with: i32) -> Result<(), Unlisted> {
    if driver / 1000 >= built_with / 1000 {
        return Ok(());
    }
    let (found, least) = (version(driver), version(built_with / 1000 * 1000));
    Err(Unlisted {
        problem: format!("the NVIDIA driver runs CUDA up to {found}, and this binary needs {least} or later"),
        hint: "install a newer driver (`nvidia-smi` shows its CUDA version); `--device cpu` trains without a card"
            .to_owned(),
    })
}

fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

/// That the driver shows this process no card, with the variable that may have hidden them.
pub(crate) fn none_visible() -> String {
    none_visible_by(std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref())
}

fn none_visible_by(variable: Option<&str>) -> String {
    match variable {
        None => "the driver lists no card for this process".to_owned(),
        Some("") => "no card is visible: CUDA_VISIBLE_DEVICES is set, and empty".to_owned(),
        Some(value) => format!("no card is visible: CUDA_VISIBLE_DEVICES is `{value}`"),
    }
}

/// The number of the first card that can train.
pub(crate) fn first(cards: &[Listed]) -> Option<usize> {
    cards.iter().position(Listed::trains)
}

/// Refuses a number that no card has, or one whose card cannot train.
pub(crate) fn check_number(number: usize, found: Result<Vec<Listed>, Unlisted>) -> Result<(), TrainError> {
    let refuse = |problem: String, hint: String| {
        let problem = format!("`cuda:{number}` was asked for, but {problem}");
        Err(TrainError::Device { problem, hint })
    };
    let cards = match found {
        Ok(cards) => cards,
        Err(Unlisted { problem, hint }) => return refuse(problem, hint),
    };
    let another = first(&cards).map_or("--device cpu".to_owned(), |first| format!("--device cuda:{first}"));
    match cards.get(number) {
        Some(card) if card.trains() => Ok(()),
        Some(card) => {
            let ((major, minor), (least, _)) = (card.capability, LEAST_CAPABILITY);
            let kind = &card.kind;
            refuse(
                format!("it is a {kind} of compute capability {major}.{minor}, and {least}.0 is needed for bf16"),
                another,
            )
        }
        None if cards.is_empty() => refuse(
            none_visible(),
            "`nvidia-smi -L` lists the cards of this machine; `--device cpu` trains without one".to_owned(),
        ),
        None if cards.len() == 1 => refuse("there is one card, and it is number 0".to_owned(), another),
        None => refuse(format!("there are {} cards, counted from 0", cards.len()), another),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(number: u8, capability: (i32, i32)) -> Listed {
        Listed { uuid: uuid([number; 16]), kind: "NVIDIA Card".to_owned(), capability }
    }

    fn refused(number: usize, found: Result<Vec<Listed>, Unlisted>) -> String {
        check_number(number, found).expect_err("refused").to_string()
    }

    #[test]
    fn a_unique_name_is_written_as_the_driver_writes_it() {
        let bytes = [0x4c, 0x0d, 1, 0xff, 0x0a, 2, 3, 4, 5, 6, 7, 8, 9, 0x10, 0x11, 0xee];
        assert_eq!(uuid(bytes), "GPU-4c0d01ff-0a02-0304-0506-0708091011ee");
    }

    #[test]
    fn a_driver_of_an_older_generation_is_refused_with_both_versions() {
        assert_eq!(
            [check_driver(13000, 13000), check_driver(13000, 13020), check_driver(14000, 13000)],
            [Ok(()), Ok(()), Ok(())]
        );
        let old = check_driver(12040, 13020).expect_err("refused");
        assert_eq!(old.problem, "the NVIDIA driver runs CUDA up to 12.4, and this binary needs 13.0 or later");
        let said = refused(0, Err(old));
        assert!(
            said.starts_with("`cuda:0` was asked for, but the NVIDIA driver runs CUDA up to 12.4")
                && said.contains("hint: ")
        );
    }

    #[test]
    fn a_card_that_is_too_old_is_refused_with_one_that_is_not() {
        let cards = || Ok(vec![card(0, (7, 5)), card(1, (8, 0)), card(2, (12, 0))]);
        assert_eq!(first(&cards().expect("cards")), Some(1));
        assert!([1, 2].into_iter().all(|number| check_number(number, cards()).is_ok()));
        let said = refused(0, cards());
        assert!(
            said.contains("compute capability 7.5, and 8.0 is needed") && said.ends_with("hint: --device cuda:1"),
            "{said}"
        );
        assert!(refused(0, Ok(vec![card(0, (7, 5))])).ends_with("hint: --device cpu"));
    }

    #[test]
    fn a_number_that_no_card_has_is_refused_with_one_that_is_there() {
        let said = refused(2, Ok(vec![card(0, (9, 0)), card(1, (9, 0))]));
        assert!(
            said.contains("there are 2 cards, counted from 0") && said.ends_with("hint: --device cuda:0"),
            "{said}"
        );
        assert!(refused(1, Ok(vec![card(0, (9, 0))])).contains("one card, and it is number 0"));
        assert!(refused(0, Ok(Vec::new())).contains(&none_visible()));
    }

    #[test]
    fn the_variable_that_may_have_hidden_all_cards_is_shown_as_it_is() {
        let words = [None, Some(""), Some("7,x")].map(none_visible_by);
        assert!(words[0].ends_with("lists no card for this process"), "{words:?}");
        assert!(words[1].ends_with("is set, and empty") && words[2].ends_with("is `7,x`"), "{words:?}");
    }
}
