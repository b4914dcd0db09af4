//! The track record: a chain of registrations and outcomes, and what it says of forecasts so far.
//!
//! # Chain
//!
//! The digest of a line is the SHA-256 of its canonical JSON with an empty `sha256` field; each line holds that of the line
//! before. Whoever kept the last digest elsewhere (a commit, a pull request) can tell with [`Ledger::holds`] that no line up
//! to it was changed, dropped or moved. By itself a chain shows slips and edits of single lines only: one that was made anew
//! as a whole, or cut off at its end, is a chain as well.
//!
//! # What is counted
//!
//! Every registration is shown, with its outcome or as open. Counted are those entered before their target had an outcome,
//! and of several of one target the first: a deterministic run forecast twice is one trial. An outcome is entered once;
//! another one is refused. Scores are made again from their registration as the chain is read, so that a score cannot be
//! kinder than its forecast; whether the target's log named the registration is told as it was when it was scored.

use std::collections::BTreeMap;

use forescale_core::digest::json_digest;
use forescale_core::estimate::Estimate;
use forescale_core::ledger::{
    LEDGER_SCHEMA, LedgerEntry, LedgerLine, TRACK_RECORD_SCHEMA, TrackRecord, TrackedCoverage, TrackedForecast,
    Uncounted,
};
use forescale_core::math;
use forescale_core::outcome::{OrderProof, Registration, Score};
use thiserror::Error;

use crate::seal::{SealError, score, verify};

/// Numbers of a score this close, relatively, are the same.
const SAME: f64 = 1e-9;
/// Level of the interval of a share.
const SHARE_LEVEL: f64 = 0.9;
/// Halvings of [0, 1] after which a share is known to the last digit.
const HALVINGS: usize = 60;

/// A ledger that cannot be trusted, or an entry that it does not take.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LedgerError {
    /// The content of a line is not what was entered.
    #[error(
        "line {line} says sha256 `{written}`, its content has `{computed}`: it was changed\n\nhint: take the file back from version control; a changed ledger proves nothing"
    )]
    Changed {
        /// Which line.
        line: u64,
        /// Digest in the file.
        written: String,
        /// Digest of the content.
        computed: String,
    },
    /// A line does not follow the one before.
    #[error(
        "line {line} follows `{named}`, and the line before is `{found}`: a line was dropped, moved or put in\n\nhint: take the file back from version control; after a merge, keep one side's file and enter the other with `forescale record --add OTHER.jsonl`"
    )]
    Unchained {
        /// Which line.
        line: u64,
        /// Digest it names.
        named: String,
        /// Digest of the line before.
        found: String,
    },
    /// A line is out of its place.
    #[error("line {line} has the number {number}\n\nhint: take the file back from version control")]
    Misnumbered {
        /// Which line.
        line: u64,
        /// Its number.
        number: u64,
    },
    /// A registration or a score that does not hold by itself.
    #[error("line {line}: {error}")]
    Seal {
        /// Which line.
        line: u64,
        /// What is wrong.
        error: SealError,
    },
    /// A score that its registration does not give.
    #[error(
        "line {line}: the score is not what its registration gives for a loss of {actual}\n\nhint: take the file back from version control"
    )]
    Unlike {
        /// Which line.
        line: u64,
        /// The outcome.
        actual: f64,
    },
    /// A score without its forecast.
    #[error(
        "the ledger holds no registration `{registration}`\n\nhint: take the file back from version control; an outcome is only as good as the forecast before it"
    )]
    Unregistered {
        /// Digest of the registration.
        registration: String,
    },
    /// A second outcome.
    #[error(
        "`{registration}` has its outcome already, {before} (line {line}); {now} is another\n\nhint: the first one stands; register a forecast of the new run"
    )]
    Scored {
        /// Digest of the registration.
        registration: String,
        /// Outcome in the ledger.
        before: f64,
        /// Line of it.
        line: u64,
        /// Outcome now.
        now: f64,
    },
}

/// What became of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Entered {
    /// It is new: the line to write.
    Line(Box<LedgerLine>),
    /// It is there already.
    Known,
    /// Its target has its outcome already: what is forecast now is known, and is not entered.
    Late {
        /// Line of the outcome.
        line: u64,
    },
    /// An outcome whose registration was never entered: it is not, either.
    Unregistered,
}

/// A verified chain.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    lines: Vec<LedgerLine>,
}

impl Ledger {
    /// The chain of these lines.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] names the first line that was changed, moved or dropped, or that does not hold by itself.
    pub fn verified(lines: Vec<LedgerLine>) -> Result<Self, LedgerError> {
        let mut ledger = Self::default();
        for (index, line) in lines.into_iter().enumerate() {
            let place = index as u64 + 1;
            let computed = digest(&line);
            if computed != line.sha256 {
                return Err(LedgerError::Changed { line: place, written: line.sha256, computed });
            }
            if line.previous != ledger.tip() {
                return Err(LedgerError::Unchained { line: place, named: line.previous, found: ledger.tip() });
            }
            if line.number != place {
                return Err(LedgerError::Misnumbered { line: place, number: line.number });
            }
            ledger.judge(&line.entry, place)?;
            ledger.lines.push(line);
        }
        Ok(ledger)
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> &[LedgerLine] {
        &self.lines
    }

    /// Whether a digest is that of one of its lines: whether it goes on from where a head was kept.
    #[must_use]
    pub fn holds(&self, head: &str) -> bool {
        self.lines.iter().any(|line| line.sha256 == head)
    }

    /// Enters a registration, `ahead` where its target has no outcome yet.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Seal`] where its seal is broken.
    pub fn register(&mut self, registration: &Registration, ahead: bool) -> Result<Entered, LedgerError> {
        let number = self.lines.len() as u64 + 1;
        verify(registration).map_err(|error| LedgerError::Seal { line: number, error })?;
        if self.registration(&registration.sha256).is_some() {
            return Ok(Entered::Known);
        }
        match self.outcome_of_target(registration) {
            Some(line) => Ok(Entered::Late { line }),
            None => self.enter(LedgerEntry::Registration(registration.clone()), ahead),
        }
    }

    /// Enters the outcome of a registration.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] where the registration has another outcome, or the score is not its.
    pub fn score(&mut self, registration: &Registration, score: &Score) -> Result<Entered, LedgerError> {
        match self.outcome(&score.registration_sha256) {
            Some((_, known)) if is_close(known.actual, score.actual) => Ok(Entered::Known),
            None if self.registration(&score.registration_sha256).is_none() => {
                Ok(self.outcome_of_target(registration).map_or(Entered::Unregistered, |line| Entered::Late { line }))
            }
            _ => self.enter(LedgerEntry::Score(score.clone()), false),
        }
    }

    /// Enters what another ledger holds and this one does not, in its order; the lines to write.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] where the two hold different outcomes of one registration.
    pub fn merge(&mut self, other: &Self) -> Result<Vec<LedgerLine>, LedgerError> {
        let first = self.lines.len();
        for line in &other.lines {
            match &line.entry {
                LedgerEntry::Registration(registration) => drop(self.register(registration, line.ahead)?),
                LedgerEntry::Score(score) => {
                    if let Some(registration) = other.registration(&score.registration_sha256) {
                        self.score(registration, score)?;
                    }
                }
            }
        }
        Ok(self.lines[first..].to_vec())
    }

    fn enter(&mut self, entry: LedgerEntry, ahead: bool) -> Result<Entered, LedgerError> {
        let number = self.lines.len() as u64 + 1;
        self.judge(&entry, number)?;
        let schema = LEDGER_SCHEMA.to_owned();
        let mut line = LedgerLine { schema, number, previous: self.tip(), ahead, entry, sha256: String::new() };
        line.sha256 = digest(&line);
        self.lines.push(line.clone());
        Ok(Entered::Line(Box::new(line)))
    }

    /// Whether an entry holds by itself and after those above it.
    fn judge(&self, entry: &LedgerEntry, line: u64) -> Result<(), LedgerError> {
        let sealed = |error| LedgerError::Seal { line, error };
        let said = match entry {
            LedgerEntry::Registration(registration) => return verify(registration).map_err(sealed),
            LedgerEntry::Score(said) => said,
        };
        let registration = said.registration_sha256.clone();
        if let Some((before, known)) = self.outcome(&registration) {
            return Err(LedgerError::Scored { registration, before: known.actual, line: before, now: said.actual });
        }
        let Some(forecast) = self.registration(&registration) else {
            return Err(LedgerError::Unregistered { registration });
        };
        let again = score(forecast, said.actual, said.order, said.order_detail.clone()).map_err(sealed)?;
        if is_same(&again, said) { Ok(()) } else { Err(LedgerError::Unlike { line, actual: said.actual }) }
    }

    fn tip(&self) -> String {
        self.lines.last().map_or_else(|| "0".repeat(64), |line| line.sha256.clone())
    }

    fn registrations(&self) -> impl Iterator<Item = (&LedgerLine, &Registration)> {
        self.lines.iter().filter_map(|line| match &line.entry {
            LedgerEntry::Registration(registration) => Some((line, registration)),
            LedgerEntry::Score(_) => None,
        })
    }

    fn registration(&self, sha256: &str) -> Option<&Registration> {
        self.registrations().map(|(_, registration)| registration).find(|known| known.sha256 == sha256)
    }

    /// The line with the outcome of the target that a registration forecasts, under whichever registration.
    fn outcome_of_target(&self, registration: &Registration) -> Option<u64> {
        let of_target = self.registrations().filter(|(_, known)| is_one_target(known, registration));
        of_target.filter_map(|(_, known)| self.outcome(&known.sha256)).map(|(line, _)| line).min()
    }

    fn outcome(&self, registration: &str) -> Option<(u64, &Score)> {
        self.lines.iter().find_map(|line| match &line.entry {
            LedgerEntry::Score(score) if score.registration_sha256 == registration => Some((line.number, score)),
            _ => None,
        })
    }

    /// What the ledger says of its forecasts.
    #[must_use]
    pub fn track_record(&self) -> TrackRecord {
        let forecasts: Vec<TrackedForecast> = self.registrations().map(|pair| self.tracked(pair)).collect();
        let scores: Vec<&Score> = forecasts.iter().filter_map(TrackedForecast::counted).collect();
        let errors: Vec<f64> = scores.iter().map(|score| score.relative_error.abs()).collect();
        let mut pit: Vec<f64> = scores.iter().map(|score| score.pit).collect();
        pit.sort_by(f64::total_cmp);
        let crps: f64 = scores.iter().map(|score| score.crps / score.actual).sum();
        TrackRecord {
            schema: TRACK_RECORD_SCHEMA.to_owned(),
            lines: self.lines.len() as u64,
            head: self.lines.last().map(|line| line.sha256.clone()),
            scored: forecasts.iter().filter(|forecast| forecast.score.is_some()).count() as u64,
            counted: scores.len() as u64,
            proven: scores.iter().filter(|score| score.order != OrderProof::NotProven).count() as u64,
            coverage: coverage(&scores),
            median_abs_relative_error: math::median(&errors),
            mean_relative_crps: (!scores.is_empty()).then(|| crps / scores.len() as f64),
            pit,
            forecasts,
        }
    }

    fn tracked(&self, (line, registration): (&LedgerLine, &Registration)) -> TrackedForecast {
        let forecast = &registration.forecast;
        let first = self.registrations().find(|(_, known)| is_one_target(known, registration));
        let repeats = first.map(|(first, _)| first.number).filter(|first| *first < line.number);
        TrackedForecast {
            line: line.number,
            registration_sha256: registration.sha256.clone(),
            sweep: registration.sweep.clone(),
            created_at: registration.created_at.clone(),
            flops: forecast.flops,
            decades_beyond_data: forecast.decades_beyond_data,
            metric: forecast.metric.clone(),
            unit: forecast.unit,
            predicted: forecast.median,
            interval: forecast.intervals.first().copied(),
            score: self.outcome(&registration.sha256).map(|(_, score)| score.clone()),
            uncounted: repeats.map(Uncounted::Repeats).or((!line.ahead).then_some(Uncounted::EnteredAfterwards)),
        }
    }
}

/// Whether two registrations forecast one number: the same run under the same metric.
fn is_one_target(a: &Registration, b: &Registration) -> bool {
    a.target_config_digest == b.target_config_digest && a.forecast.metric == b.forecast.metric
}

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs()
}

/// Whether two scores say the same, up to what another version's arithmetic may change.
fn is_same(a: &Score, b: &Score) -> bool {
    let of = |score: &Score| {
        let Score { predicted, relative_error, interval, crps, pit, .. } = score;
        [*predicted, 1.0 + relative_error, interval.level, interval.lower, interval.upper, *crps, 1.0 + pit]
    };
    a.inside == b.inside && of(a).into_iter().zip(of(b)).all(|(x, y)| is_close(x, y))
}

fn digest(line: &LedgerLine) -> String {
    json_digest(&LedgerLine { sha256: String::new(), ..line.clone() })
}

fn coverage(scores: &[&Score]) -> Vec<TrackedCoverage> {
    let mut levels: BTreeMap<u64, Vec<&Score>> = BTreeMap::new();
    for &score in scores {
        levels.entry(score.interval.level.to_bits()).or_default().push(score);
    }
    let one = |scores: Vec<&Score>| {
        let inside = scores.iter().filter(|score| score.inside).count() as u64;
        let scored = scores.len() as u64;
        let relative: f64 = scores.iter().map(|score| score.interval.score(score.actual) / score.actual).sum();
        TrackedCoverage {
            level: scores[0].interval.level,
            inside,
            scored,
            share: share(inside, scored),
            mean_relative_interval_score: Some(relative / scores.len() as f64),
        }
    };
    levels.into_values().map(one).collect()
}

/// A share of independent trials with its exact interval (Clopper and Pearson 1934): the chances at which so few, or so
/// many, would be seen in one of twenty cases.
fn share(inside: u64, of: u64) -> Estimate {
    let (k, n) = (inside as f64, of as f64);
    let tail = 0.5 * (1.0 - SHARE_LEVEL);
    // P(X ≥ k) at a chance p is I_p(k, n − k + 1), and it rises with p.
    let at_least = |k: f64, p: f64| math::incomplete_beta(k, n - k + 1.0, p);
    let solve = |k: f64, wanted: f64| {
        let (mut low, mut high) = (0.0, 1.0);
        for _ in 0..HALVINGS {
            let middle = 0.5 * (low + high);
            if at_least(k, middle) < wanted { low = middle } else { high = middle }
        }
        0.5 * (low + high)
    };
    Estimate {
        estimate: k / n,
        standard_error: None,
        lower: Some(if inside == 0 { 0.0 } else { solve(k, tail) }),
        upper: Some(if inside == of { 1.0 } else { solve(k + 1.0, 1.0 - tail) }),
        level: SHARE_LEVEL,
    }
}

#[cfg(test)]
mod tests;
