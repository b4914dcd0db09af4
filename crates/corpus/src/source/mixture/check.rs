//! What a mixture's spec may say, before anything is read.

use forescale_core::corpus::PartSpec;

use super::{Mixture, bad_value};
use crate::error::CorpusError;

/// Shares are written with few digits.
const SHARES_TOLERANCE: f64 = 1e-6;

impl Mixture<'_> {
    pub(super) fn check(&self) -> Result<(), CorpusError> {
        self.check_shares()?;
        self.check_names()?;
        self.check_length("train_tokens", self.spec.train_tokens)?;
        self.check_length("validation_tokens", self.spec.validation_tokens)
    }

    fn check_shares(&self) -> Result<(), CorpusError> {
        let shares: Vec<f64> = self.spec.part.iter().map(PartSpec::share).collect();
        if let Some(bad) = shares.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(bad_value("share", bad, "0 to 1 is allowed", "share = 0.1 is a tenth of the training tokens"));
        }
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() <= SHARES_TOLERANCE {
            return Ok(());
        }
        let value = format!("{sum} over all parts");
        Err(bad_value("share", &value, "1 in all is needed", "shares are parts of the training tokens"))
    }

    fn check_names(&self) -> Result<(), CorpusError> {
        let names = self.names();
        match names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            None => Ok(()),
            Some((_, twice)) => {
                let value = format!("`{twice}` twice");
                Err(bad_value("name", &value, "each task needs its own", "name = \"addition-5\""))
            }
        }
    }

    fn check_length(&self, field: &'static str, tokens: Option<u64>) -> Result<(), CorpusError> {
        if tokens.is_some_and(|tokens| tokens > 0) || (tokens.is_none() && !self.spec.part.iter().all(is_task)) {
            return Ok(());
        }
        let value = tokens.map_or_else(|| "absent".to_owned(), |tokens| tokens.to_string());
        let allowed = "a number of tokens is needed, because tasks have no end of their own";
        Err(bad_value(field, &value, allowed, "train_tokens = 4000000, validation_tokens = 200000"))
    }

    /// Names of the parts: of a task its own, of text its kind, with a number from the second on.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for part in &self.spec.part {
            let plain = match part {
                PartSpec::Task(task) => task.name(),
                PartSpec::Files(_) => "files",
                PartSpec::RustCode(_) => "rust-code",
            };
            let numbered = |number: usize| if number == 1 { plain.to_owned() } else { format!("{plain}-{number}") };
            let free = || (1..).map(numbered).find(|name| !names.contains(name)).expect("numbers do not end");
            names.push(if is_task(part) { plain.to_owned() } else { free() });
        }
        names
    }
}

fn is_task(part: &PartSpec) -> bool {
    matches!(part, PartSpec::Task(_))
}
