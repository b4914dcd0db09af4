//! The track record of a project: every registration and every outcome, in the order they were entered.
//!
//! Each line names the digest of the line before: against a digest kept elsewhere, none above it can be changed, dropped or
//! put in. A chain made anew as a whole holds by itself.
//!
//! A field added later to a line, a registration or a score must be left out of the JSON where it is absent: digests are of
//! what is written again, and the lines of before must keep theirs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::{Estimate, Interval};
use crate::outcome::{Registration, Score};
use crate::quantity::LossUnit;

/// Schema of one line of the ledger.
pub const LEDGER_SCHEMA: &str = "forescale.ledger/1.0";
/// Schema of a track record.
pub const TRACK_RECORD_SCHEMA: &str = "forescale.track_record/1.0";

/// One line of `forecasts.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LedgerLine {
    /// [`LEDGER_SCHEMA`].
    pub schema: String,
    /// Place in the ledger, from 1.
    pub number: u64,
    /// Digest of the line before; 64 zeros in the first.
    pub previous: String,
    /// Whether a registration was entered before its target had an outcome; absent of one entered afterwards, and of scores.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub ahead: bool,
    /// What was entered.
    pub entry: LedgerEntry,
    /// SHA-256 of all of the above as canonical JSON.
    pub sha256: String,
}

/// What a line of the ledger holds, whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a ledger holds tens of lines, and as many registrations as scores")]
pub enum LedgerEntry {
    /// A forecast sealed before its target was trained.
    Registration(Registration),
    /// The outcome of a registration further up.
    Score(Score),
}

/// Why a forecast is shown and not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Uncounted {
    /// It was entered when its outcome could be known: misses could have been left out.
    EnteredAfterwards,
    /// The same target was forecast on this line already, and the first forecast of a target is the one that counts.
    Repeats(u64),
}

/// One registered forecast, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackedForecast {
    /// Line of its registration.
    pub line: u64,
    /// Digest of the registration.
    pub registration_sha256: String,
    /// Name of the sweep or of the foreign target.
    pub sweep: String,
    /// When it was registered, RFC 3339.
    pub created_at: String,
    /// Compute of the target.
    pub flops: f64,
    /// log10 of the target's compute over that of the largest run fitted.
    pub decades_beyond_data: f64,
    /// Metric.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// Median predicted.
    pub predicted: Option<f64>,
    /// Interval predicted for one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Interval>,
    /// The outcome; `None` while it is open.
    pub score: Option<Score>,
    /// Why it is not counted; `None` where it is.
    pub uncounted: Option<Uncounted>,
}

/// How often intervals of one level held.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackedCoverage {
    /// Level of the intervals.
    pub level: f64,
    /// Outcomes inside.
    pub inside: u64,
    /// Outcomes in all.
    pub scored: u64,
    /// The share inside, with the exact interval of Clopper and Pearson (1934).
    pub share: Estimate,
    /// Mean interval score over the outcomes, each relative to its outcome; absent in records made before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_relative_interval_score: Option<f64>,
}

/// `record --json`: how a project's own forecasts came out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackRecord {
    /// [`TRACK_RECORD_SCHEMA`].
    pub schema: String,
    /// Lines of the ledger.
    pub lines: u64,
    /// Digest of its last line: with it, nothing above can be changed; `None` of an empty ledger.
    pub head: Option<String>,
    /// Every registration, in the order of the ledger.
    pub forecasts: Vec<TrackedForecast>,
    /// How many have an outcome.
    pub scored: u64,
    /// How many of these count: entered before their outcome, and the first of their target. All below is of them.
    pub counted: u64,
    /// How many of the counted had their registration named by the target's log, as it was read when they were scored.
    pub proven: u64,
    /// Coverage, by the level that forecasts were judged at.
    pub coverage: Vec<TrackedCoverage>,
    /// Median of |predicted / actual − 1|.
    pub median_abs_relative_error: Option<f64>,
    /// Mean of CRPS / actual, so that losses in several units can be put together.
    pub mean_relative_crps: Option<f64>,
    /// Probability integral transforms, rising: even over (0, 1) where forecasts are as sure as they should be.
    pub pit: Vec<f64>,
}

impl TrackedForecast {
    /// The outcome of a forecast that counts.
    #[must_use]
    pub fn counted(&self) -> Option<&Score> {
        self.score.as_ref().filter(|_| self.uncounted.is_none())
    }
}
