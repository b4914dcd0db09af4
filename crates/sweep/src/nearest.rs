//! The word somebody probably meant.

/// The candidate most like `word`, if any is like it at all.
///
/// Jaro-Winkler likeness of at least 0.75, chosen here: it links `tokens_per_parm` to `tokens_per_param` and
/// `n_params` to `params`, and does not link `colour` to `seed`.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let scored = candidates.into_iter().map(|candidate| (likeness(word, candidate), candidate));
    let best = scored.filter(|(score, _)| *score >= 0.75).max_by(|one, two| one.0.total_cmp(&two.0));
    best.map(|(_, candidate)| candidate)
}

fn likeness(word: &str, candidate: &str) -> f64 {
    let (word, candidate) = (word.to_lowercase(), candidate.to_lowercase());
    let part = !word.is_empty() && (candidate.contains(&word) || word.contains(&candidate));
    strsim::jaro_winkler(&word, &candidate).max(if part { 0.76 } else { 0.0 })
}

/// Names in backticks, separated by commas.
pub(crate) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_misspelt_key_and_leaves_a_strange_one_alone() {
        let keys = ["widths", "tokens_per_param", "seeds"];
        assert_eq!(nearest("tokens_per_parm", keys), Some("tokens_per_param"));
        assert_eq!(nearest("seed", keys), Some("seeds"));
        assert_eq!(nearest("colour", keys), None);
    }

    #[test]
    fn a_name_inside_a_longer_one_is_near() {
        assert_eq!(nearest("n_params_total", ["loss", "params"]), Some("params"));
    }
}
