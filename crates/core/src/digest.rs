//! SHA-256 over bytes and over values written as canonical JSON.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// SHA-256 of bytes, as 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A running SHA-256, for data too large to hold at once.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added, as 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// SHA-256 of a value's canonical JSON: keys sorted, no white space, floats in their shortest exact form.
///
/// # Panics
///
/// If the value has no JSON form (a map with keys that are not strings); our types all have one.
#[must_use]
pub fn json_digest<T: Serialize>(value: &T) -> String {
    let tree = serde_json::to_value(value).expect("our types have a JSON form");
    sha256_hex(tree.to_string().as_bytes())
}

/// [`json_digest`] of a list of these values, one value in memory at a time.
///
/// # Panics
///
/// As [`json_digest`].
#[must_use]
pub fn json_list_digest<T: Serialize>(values: &[T]) -> String {
    let mut hasher = Hasher::default();
    let mut text = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let tree = serde_json::to_value(value).expect("our types have a JSON form");
        text.clear();
        text.push(if index == 0 { b'[' } else { b',' });
        serde_json::to_writer(&mut text, &tree).expect("a tree has a JSON form");
        hasher.update(&text);
    }
    hasher.update(if values.is_empty() { b"[]" } else { b"]" });
    hasher.finish()
}

fn hex(bytes: &[u8]) -> String {
    use core::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_test_vector() {
        // FIPS 180-2, appendix B.1: SHA-256 of "abc".
        let digest = sha256_hex(b"abc");
        assert_eq!(digest, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn the_order_of_keys_does_not_matter() {
        let one = serde_json::json!({"a": 1, "b": 2.5});
        let two: serde_json::Value = serde_json::from_str(r#"{"b": 2.5, "a": 1}"#).expect("json");
        assert_eq!(json_digest(&one), json_digest(&two));
    }

    #[test]
    fn a_list_has_one_digest_however_it_is_read() {
        for count in [0, 1, 3] {
            let list: Vec<_> = (0..count).map(|i| serde_json::json!({"b": [i, null], "a": "x"})).collect();
            assert_eq!(json_list_digest(&list), json_digest(&list), "{count}");
        }
    }
}
