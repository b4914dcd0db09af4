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
    value(words, "partition", Some('p')).map(str::to_owned)
}

/// The value of an option, the last of them where it is given several times.
fn value<'a>(words: &'a [String], long: &str, short: Option<char>) -> Option<&'a str> {
    let at = words.iter().rposition(|word| is_option(word, long, short))?;
    let within = match words[at].strip_prefix("--") {
        Some(word) => word.split_once('=').map(|(_, value)| value),
        None => words[at].get(2..).filter(|value| !value.is_empty()),
    };
    within.or_else(|| words.get(at + 1).map(String::as_str))
}

/// What says for a job that it has a card, where a person does not say so: of several `--gres` the last alone counts, so
/// that beside one of another kind a card is asked for in the other way.
pub(super) fn ask_for_card(words: &[String]) -> Option<&'static str> {
    let options = [("gpus", Some('G')), ("gpus-per-node", None), ("gpus-per-task", None)];
    let has_gpus = words.iter().any(|word| options.iter().any(|(long, short)| is_option(word, long, *short)));
    let gres = value(words, "gres", None);
    match gres {
        _ if has_gpus || gres.is_some_and(names_cards) => None,
        Some(_) => Some("--gpus-per-node=1"),
        None => Some("--gres=gpu:1"),
    }
}

/// Whether generic resources are cards, or shares of one: `lustre:2,gpu:h100:1`.
fn names_cards(gres: &str) -> bool {
    gres.split(',').any(|one| {
        let one = one.strip_prefix("gres:").unwrap_or(one);
        ["gpu", "shard", "mps"].contains(&one.split(':').next().unwrap_or_default())
    })
}

/// The arguments without those that say how much memory a job has.
pub(super) fn without_memory(words: &[String]) -> Vec<String> {
    let options = ["mem", "mem-per-cpu", "mem-per-gpu"];
    let (mut kept, mut is_value) = (Vec::new(), false);
    for word in words {
        let is_memory = !is_value && options.iter().any(|long| is_option(word, long, None));
        if !is_memory && !is_value {
            kept.push(word.clone());
        }
        is_value = is_memory && !word.contains('=');
    }
    kept
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
        for text in [
            "--gres=gpu:h100:1",
            "--gres lustre:1,shard:4",
            "--gres=gres:gpu:1",
            "--gpus 1",
            "-G1",
            "--gpus-per-task=1",
        ] {
            assert_eq!(ask_for_card(&words(text)), None, "{text}");
        }
        assert_eq!(ask_for_card(&words("--gres-flags=disable-binding --partition=gpu")), Some("--gres=gpu:1"));
    }

    /// Slurm 22.05 gives a job both of `--gres=lustre:1 --gpus-per-node=1`, and of two `--gres` the last alone.
    #[test]
    fn beside_resources_of_another_kind_a_card_is_asked_for_all_the_same() {
        for text in ["--gres=lustre:1", "--gres lustre:1,nvme", "--gres=gpu:1 --gres=lustre:1"] {
            assert_eq!(ask_for_card(&words(text)), Some("--gpus-per-node=1"), "{text}");
        }
    }

    #[test]
    fn what_says_how_much_memory_there_is_is_left_out_with_its_value() {
        let text = "--mem=4G -p gpu --mem-per-cpu 2G --mem-bind=local --mem-per-gpu=1G --time=5";
        assert_eq!(without_memory(&words(text)), ["-p", "gpu", "--mem-bind=local", "--time=5"]);
    }
}
