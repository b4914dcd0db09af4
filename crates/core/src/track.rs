//! A run under way, held against the loss curve that its ladder predicts for it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::estimate::Interval;
use crate::outcome::{Diagnosis, Inputs};
use crate::quantity::LossUnit;

/// Schema of a tracked run.
pub const TRACK_SCHEMA: &str = "forescale.track/1.0";

/// One point of a run's loss curve, placed by the share of the run that is done: what curves of different sizes have in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgressPoint {
    /// Share of the run's steps (or tokens) that is done, in (0, 1].
    pub share: f64,
    /// Loss; not a number where it was logged as none.
    pub loss: f64,
    /// Learning rate where it is known, as a share of its peak.
    pub rate: Option<f64>,
}

/// Where a loss lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Inside the interval of the report's level.
    Inside,
    /// Outside that, inside the alarm's.
    Doubtful,
    /// Above the alarm's interval.
    Above,
    /// Below the alarm's interval.
    Below,
    /// Still to come.
    Ahead,
    /// The run's learning rate is not where the ladder's is at that share: losses are not alike there.
    OtherSchedule,
    /// The ladder has no answer there; the reason is given.
    Unjudged,
}

impl Place {
    /// Whether a loss was held against the band.
    #[must_use]
    pub const fn is_judged(self) -> bool {
        !matches!(self, Self::Ahead | Self::OtherSchedule | Self::Unjudged)
    }
}

/// What is said of the run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Course {
    /// The latest loss that can be judged lies inside the interval of the report's level.
    OnCourse,
    /// It lies outside that and inside the alarm's interval, and so did all since the last that lay inside.
    Doubtful,
    /// It lies above the alarm's interval, or one did since the last that lay inside the report's: worse than the ladder
    /// allows.
    Above,
    /// The same below: better than the ladder allows, which is as good a reason to stop and look.
    Below,
    /// It went up, against where its own points before were going, further than curves of the ladder do; its level alone
    /// would still be possible.
    Turned,
    /// Its newest loss is no number, or the log says that the run diverged.
    Diverged,
    /// No loss can be judged: too early, or under another schedule than the ladder's at a good part of the points.
    Unjudged,
}

impl Course {
    /// Whether the run should be stopped and looked at.
    #[must_use]
    pub const fn is_off(self) -> bool {
        matches!(self, Self::Above | Self::Below | Self::Turned | Self::Diverged)
    }
}

/// How a loss is predicted to differ from those before it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Predicted, natural logarithm.
    pub predicted: f64,
    /// How far a good run may lie from it, either way.
    pub limit: f64,
}

/// One point of the predicted curve, and what the run did there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackPoint {
    /// Share of the run.
    pub share: f64,
    /// The run's loss; of a densely logged curve the geometric mean of points close by. None ahead.
    pub loss: Option<f64>,
    /// Median of the prediction.
    pub predicted: Option<f64>,
    /// Intervals for one run: the report's level, then the alarm's.
    pub intervals: Vec<Interval>,
    /// Probability of a loss at most as high as the run's, by the prediction.
    pub pit: Option<f64>,
    /// ln of the loss over the geometric mean of the losses judged before, where there are some.
    pub change: Option<f64>,
    /// The same as predicted from the ladder's curves, and how far from it a good run may lie.
    pub predicted_change: Option<Change>,
    /// Whether the curve has turned up here or before, and half of that is not yet undone.
    pub turned: bool,
    /// Runs of the ladder whose curves were read there.
    pub runs: u64,
    /// Where the loss lies.
    pub place: Place,
    /// Why it cannot be judged.
    pub reason: Option<String>,
}

/// `track`: a run under way against its predicted curve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TrackReport {
    /// [`TRACK_SCHEMA`].
    pub schema: String,
    /// The registration of the run.
    pub registration_sha256: String,
    /// Name of the sweep or of the foreign target.
    pub sweep: String,
    /// Metric.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// What is said of the run.
    pub course: Course,
    /// Share of the run at its latest point.
    pub progress: f64,
    /// The alarm's level.
    pub alarm_level: f64,
    /// The first share at which a loss lay outside the alarm's interval or had turned upwards, whatever came afterwards.
    pub first_alarm: Option<f64>,
    /// What was registered for the end of the run, on the whole evaluation set.
    pub registered: f64,
    /// Its interval.
    pub registered_interval: Option<Interval>,
    /// The curve, by share.
    pub points: Vec<TrackPoint>,
    /// Doubts.
    pub diagnoses: Vec<Diagnosis>,
    /// Digest of the ladder's observations and curves.
    pub inputs: Inputs,
}
