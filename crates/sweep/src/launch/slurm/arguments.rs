//! Arguments for `sbatch` that a person gives: told apart, held against those of the launcher's own, and read for what
//! they say of the partition and of cards.

use super::SlurmError;

/// Options that the launcher gives itself, by their long and short names.
const OWN: [(&str, Option<char>); 12] = [
    ("array", Some('a')),
    ("chdir", Some('D')),
    ("clusters", Some('M')),
    ("error", Some('e')),
    ("input", Some('i')),
    ("job-name", Some('J')),
    ("open-mode", None),
    ("output", Some('o')),
    ("parsable", None),
    ("test-only", None),
    ("wait", Some('W')),
    ("wrap", None),
];

/// The words of a line as a shell tells them apart: by blanks, but for what stands in quotes.
///
/// # Errors
///
/// [`SlurmError`] when a quotation does not end, or an option is the launcher's own.
pub fn arguments(text: &str) -> Result<Vec<String>, SlurmError> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for letter in text.chars() {
        match (letter, quote) {
            (_, Some(open)) if letter == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (_, None) if letter.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(letter),
        }
    }
    if quote.is_some() {
        return Err(SlurmError::OpenQuote { text: text.to_owned() });
    }
    words.extend(word);
    match words.iter().find(|word| is_own(word)) {
        Some(own) => Err(SlurmError::Reserved { argument: own.clone(), hint: way_out(own) }),
        None => Ok(words),
    }
}

fn is_own(word: &str) -> bool {
    OWN.iter().any(|(long, short)| is_option(word, long, *short))
}

fn way_out(own: &str) -> &'static str {
    if is_option(own, "clusters", Some('M')) {
        "leave it out, and `export SLURM_CLUSTERS=NAME`, which squeue and scancel read as well"
    } else {
        "leave it out"
    }
}

/// Whether a word is this option, its value in the same word or not.
fn is_option(word: &str, long: &str, short: Option<char>) -> bool {
    match word.strip_prefix("--") {
        Some(name) => name.split('=').next() == Some(long),
        None => short.is_some_and(|letter| word.strip_prefix('-').is_some_and(|rest| rest.starts_with(letter))),
    }
}

/// The partition that the arguments name, the last of them where they name several.
pub(super) fn partition(words: &[String]) -> Option<String> {
    let at = words.iter().rposition(|word| is_option(word, "partition", Some('p')))?;
    let word = &words[at];
    let value = word.strip_prefix("--partition=").or_else(|| word.strip_prefix("-p").filter(|rest| !rest.is_empty()));
    value.map(str::to_owned).or_else(|| words.get(at + 1).cloned())
}

/// Whether the arguments ask for cards in their own way.
pub(super) fn ask_for_cards(words: &[String]) -> bool {
    let options = [("gres", None), ("gpus", Some('G')), ("gpus-per-node", None), ("gpus-per-task", None)];
    words.iter().any(|word| options.iter().any(|(long, short)| is_option(word, long, *short)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        arguments(text).expect(text)
    }

    #[test]
    fn words_are_told_apart_by_blanks_but_for_quotations() {
        assert_eq!(words("  -p gpu\t--time=2:00:00 "), ["-p", "gpu", "--time=2:00:00"]);
        assert_eq!(words("--comment='two words' \"\" -A\"my lab\""), ["--comment=two words", "", "-Amy lab"]);
        assert!(words(" ").is_empty());
        let error = arguments("--comment='two").expect_err("open").to_string();
        assert!(error.contains("a quotation does not end") && error.contains("hint: "), "{error}");
    }

    #[test]
    fn what_the_launcher_gives_itself_is_refused_by_name() {
        for own in ["--array=0-3", "-a0-3", "-J x", "--job-name x", "-W", "--wrap=true", "--output=x", "-e x", "-Malps"]
        {
            let error = arguments(&format!("--time=5 {own}")).expect_err(own).to_string();
            let first = own.split(' ').next().expect("a word");
            assert!(error.starts_with(&format!("`{first}` among")) && error.contains("hint: leave it out"), "{error}");
        }
        let clusters = arguments("--clusters=alps").expect_err("own").to_string();
        assert!(
            clusters.ends_with("`export SLURM_CLUSTERS=NAME`, which squeue and scancel read as well"),
            "{clusters}"
        );
        for other in ["--account=a", "-A a", "--exclusive", "--wait-all-nodes=1", "-p j", "--hold"] {
            assert!(arguments(other).is_ok(), "{other}");
        }
    }

    #[test]
    fn the_last_partition_counts_however_it_is_written() {
        for text in ["--partition=gpu", "--partition gpu", "-p gpu", "-pgpu", "-p cpu --partition=gpu --time=5"] {
            assert_eq!(partition(&words(text)).as_deref(), Some("gpu"), "{text}");
        }
        assert_eq!(partition(&words("--time=5 -p")), None);
        assert_eq!(partition(&words("--prefer=x")), None);
    }

    #[test]
    fn cards_may_be_asked_for_in_several_ways() {
        for text in ["--gres=gpu:h100:1", "--gpus 1", "-G1", "--gpus-per-task=1"] {
            assert!(ask_for_cards(&words(text)), "{text}");
        }
        assert!(!ask_for_cards(&words("--gres-flags=disable-binding --partition=gpu")));
    }
}
