//! Keeps held-out problems out of training: every training document is searched for every forbidden text.

use std::collections::HashMap;

/// A forbidden text of at least this many bytes is looked for inside documents; a shorter one, which turns up in any
/// text by chance, as a whole document.
const FRAGMENT_BYTES: usize = 8;

/// Texts that no training document may hold.
#[derive(Default)]
pub(crate) struct Guard {
    needles: Vec<Vec<u8>>,
    /// Bytes of a key.
    key_bytes: usize,
    /// Needles by one of their keys, with where in the needle it lies.
    by_key: HashMap<u64, Vec<(usize, usize)>>,
}

impl Guard {
    /// Forbids these texts, without the end byte of documents.
    pub(crate) fn forbidding<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let needles: Vec<Vec<u8>> = texts.map(needle).collect();
        let key_bytes = needles.iter().map(Vec::len).min().unwrap_or(0).min(8);
        let mut guard = Self { needles, key_bytes, by_key: HashMap::new() };
        for (index, needle) in guard.needles.iter().enumerate() {
            let (at, key) = rarest_key(needle, key_bytes);
            guard.by_key.entry(key).or_default().push((index, at));
        }
        guard
    }

    /// Whether a document, which ends with its zero byte, holds a forbidden text.
    pub(crate) fn holds(&self, document: &[u8]) -> bool {
        if self.needles.is_empty() {
            return false;
        }
        // A document lies between the end of the one before and its own.
        let text = [&[0], document].concat();
        self.find_in(&text).next().is_some()
    }

    /// Indices of the forbidden texts that a text holds; one may come more than once.
    pub(crate) fn find_in<'a>(&'a self, text: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        let keys = keys(text, self.key_bytes);
        keys.filter_map(|(at, key)| Some((at, self.by_key.get(&key)?))).flat_map(move |(at, found)| {
            let holds = move |(index, inside): &(usize, usize)| {
                let start = at.checked_sub(*inside)?;
                text[start..].starts_with(&self.needles[*index]).then_some(*index)
            };
            found.iter().filter_map(holds)
        })
    }
}

fn needle(text: &[u8]) -> Vec<u8> {
    if text.len() >= FRAGMENT_BYTES { text.to_vec() } else { [&[0], text, &[0]].concat() }
}

/// The key with the most different bytes: indentation and runs of one byte are everywhere.
fn rarest_key(needle: &[u8], key_bytes: usize) -> (usize, u64) {
    let different = |at: usize| {
        let mut bytes = needle[at..at + key_bytes].to_vec();
        bytes.sort_unstable();
        bytes.dedup();
        bytes.len()
    };
    keys(needle, key_bytes).max_by_key(|(at, _)| different(*at)).expect("a needle is as long as a key")
}

/// Every run of so many bytes, as a number, with where it starts.
fn keys(text: &[u8], key_bytes: usize) -> impl Iterator<Item = (usize, u64)> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    text.windows(key_bytes.max(1)).map(number).enumerate()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(texts: &[&str]) -> Guard {
        Guard::forbidding(texts.iter().map(|text| text.as_bytes()))
    }

    #[test]
    fn a_long_text_is_found_wherever_it_stands() {
        let guard = guard(&["123+456=579"]);
        for held in ["123+456=579\0", "let x = 123+456=579;\0", "9123+456=579\0"] {
            assert!(guard.holds(held.as_bytes()), "{held}");
        }
        for free in ["123+456=578\0", "23+456=579\0", "123+456=57\0", "\0", ""] {
            assert!(!guard.holds(free.as_bytes()), "{free}");
        }
    }

    #[test]
    fn a_short_text_is_found_as_a_whole_document_alone() {
        let guard = guard(&["3+4=7"]);
        assert!(guard.holds(b"3+4=7\0"));
        assert!(!guard.holds(b"// 3+4=7\0"));
        assert!(!guard.holds(b"13+4=71\0"));
    }

    #[test]
    fn long_and_short_texts_with_common_parts_are_told_apart() {
        let guard = guard(&["a", "        let x = 1;", "        let x = 2;"]);
        let found = |text: &str| guard.find_in(text.as_bytes()).collect::<Vec<_>>();
        assert_eq!(found("        let x = 2;        let x = 1;"), [2, 1]);
        assert_eq!(found("\0a\0"), [0]);
        assert_eq!(found("        let x = 3;"), [0_usize; 0]);
    }

    #[test]
    fn no_text_is_forbidden_where_none_was_named() {
        assert!(!guard(&[]).holds(b"anything\0"));
    }

    #[test]
    fn agrees_with_a_plain_search_of_every_substring() {
        let texts = ["abcabcab", "bcabcabc", "cccccccc", "abababababab"];
        let guard = guard(&texts);
        let mut rng = crate::draw::stream(3, 0);
        for _ in 0..2_000 {
            let text: Vec<u8> = (0..40).map(|_| crate::draw::letter(&mut rng, 3)).collect();
            let plain = |needle: &&str| text.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert_eq!(guard.holds(&text), texts.iter().any(plain), "{}", text.escape_ascii());
        }
    }
}
