//! The page's content security policy: its own style sheet and script, known by digest, and nothing else.

use forescale_core::digest::sha256_hex;

use super::base64::base64;

/// A policy that allows one inline style sheet, one inline script where there is one, and forbids all else: network,
/// frames, forms.
pub(super) fn of_page(style: &str, script: Option<&str>) -> String {
    let script = script.map(|script| format!("script-src 'sha256-{}'; ", digest(script)));
    let (style, script) = (digest(style), script.unwrap_or_default());
    format!("default-src 'none'; style-src 'sha256-{style}'; {script}base-uri 'none'; form-action 'none'")
}

fn digest(text: &str) -> String {
    base64(&bytes(&sha256_hex(text.as_bytes())))
}

/// Bytes of a hexadecimal text.
fn bytes(hex: &str) -> Vec<u8> {
    let digit = |c: u8| char::from(c).to_digit(16).expect("a digest is hexadecimal") as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| 16 * digit(pair[0]) + digit(pair[1])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_style_has_the_digest_known_for_it() {
        // `printf '' | openssl dgst -sha256 -binary | base64`
        assert!(of_page("", None).contains("'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"));
    }

    #[test]
    fn a_script_is_allowed_by_its_digest_and_none_without_one() {
        let policy = of_page("", Some(""));
        assert!(policy.contains("script-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; "), "{policy}");
        assert!(!of_page("", None).contains("script-src") && !policy.contains("unsafe"));
    }
}
