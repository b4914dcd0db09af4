//! Plain text set as type: code between backticks, raised exponents and Greek letters in formulas.

/// How a piece of text is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// As it is.
    Plain,
    /// In the fixed-width face.
    Code,
    /// Raised, as an exponent.
    Raised,
}

/// Text in one setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) setting: Setting,
    pub(super) text: String,
}

/// A sentence with code between backticks; a backtick without a partner stays what it is.
pub(super) fn prose(text: &str) -> Vec<Piece> {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return vec![Piece { setting: Setting::Plain, text: text.to_owned() }];
    }
    let setting = |index: usize| if index.is_multiple_of(2) { Setting::Plain } else { Setting::Code };
    parts.iter().enumerate().map(|(index, part)| Piece { setting: setting(index), text: (*part).to_owned() }).collect()
}

/// A formula as laws write it: `^` raises the symbol or signed symbol after it.
pub(super) fn formula(text: &str) -> Vec<Piece> {
    let mut parts = text.split('^');
    let first = parts.next().map(|part| piece(Setting::Plain, part));
    let rest = parts.flat_map(|part| {
        let (exponent, after) = part.split_at(exponent_length(part));
        [piece(Setting::Raised, exponent), piece(Setting::Plain, after)]
    });
    first.into_iter().chain(rest).filter(|piece| !piece.text.is_empty()).collect()
}

/// A parameter's symbol: `alpha` is α.
pub(super) fn symbol(text: &str) -> String {
    let greek = |word: &str| {
        match word {
            "alpha" => "α",
            "beta" => "β",
            "gamma" => "γ",
            "delta" => "δ",
            "eta" => "η",
            "lambda" => "λ",
            _ => return word.to_owned(),
        }
        .to_owned()
    };
    let ends = |c: char| !c.is_ascii_alphabetic();
    text.split_inclusive(ends)
        .map(|word| match word.char_indices().last() {
            Some((at, last)) if ends(last) => format!("{}{last}", greek(&word[..at])),
            _ => greek(word),
        })
        .collect()
}

fn piece(setting: Setting, text: &str) -> Piece {
    Piece { setting, text: symbol(&text.replace('-', "−")) }
}

/// Length of a sign and the letters or digits after it; of a bracketed group whole.
fn exponent_length(text: &str) -> usize {
    if text.starts_with('(') {
        return text.find(')').map_or(text.len(), |end| end + 1);
    }
    let sign = usize::from(text.starts_with('-'));
    text[sign..].find(|c: char| !c.is_alphanumeric()).map_or(text.len(), |end| sign + end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(pieces: &[Piece]) -> String {
        let show = |piece: &Piece| match piece.setting {
            Setting::Plain => piece.text.clone(),
            Setting::Code => format!("<{}>", piece.text),
            Setting::Raised => format!("[{}]", piece.text),
        };
        pieces.iter().map(show).collect()
    }

    #[test]
    fn exponents_are_raised_and_letters_are_greek() {
        assert_eq!(marked(&formula("L(C) = a·C^-b + c")), "L(C) = a·C[−b] + c");
        assert_eq!(marked(&formula("L(N, D) = E + A·N^-alpha + B·D^-beta")), "L(N, D) = E + A·N[−α] + B·D[−β]");
        assert_eq!(marked(&formula("6^(b/2)·x^2")), "6[(b/2)]·x[2]");
    }

    #[test]
    fn backticks_make_code_in_pairs_only() {
        assert_eq!(marked(&prose("run `a b` now")), "run <a b> now");
        assert_eq!(marked(&prose("a ` alone")), "a ` alone");
    }

    #[test]
    fn a_symbol_that_is_no_letter_stays() {
        assert_eq!(["alpha", "E", "alphabet", "log_a"].map(symbol), ["α", "E", "alphabet", "log_a"]);
    }
}
