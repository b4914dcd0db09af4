//! The page's content security policy: its own style sheet, known by digest, and nothing else.

use forescale_core::digest::sha256_hex;

/// A policy that allows one inline style sheet and forbids all else: network, scripts, frames, forms.
pub(super) fn for_style(style: &str) -> String {
    let digest = base64(&bytes(&sha256_hex(style.as_bytes())));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}

/// Bytes of a hexadecimal text.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a digest is hexadecimal") as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| 16 * digit(pair[0]) + digit(pair[1])).collect()
}

/// RFC 4648 base64 with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let joined = (0..3).fold(0, |sum, i| (sum << 8) | u32::from(chunk.get(i).copied().unwrap_or(0)));
        for sextet in 0..4 {
            let index = (joined >> (18 - 6 * sextet)) & 63;
            text.push(if sextet <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        // RFC 4648, section 10.
        let shown = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes()));
        assert_eq!(shown, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]);
    }

    #[test]
    fn an_empty_style_has_the_digest_known_for_it() {
        // `printf '' | openssl dgst -sha256 -binary | base64`
        assert!(for_style("").contains("'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"));
    }
}
