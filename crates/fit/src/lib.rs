//! Fits scaling laws to runs, forecasts larger ones with intervals that hold, and judges forecasts afterwards.
//!
//! The order of work: [`fit`] finds each law's parameters with a certificate that it is an optimum; [`forecast`] joins
//! the laws into one predictive distribution; [`backtest`] asks how the same method would have done on runs already
//! known; [`register`], [`verify`] and [`score`] seal a forecast and hold it against what happened; [`check`] says
//! whether a prediction moved; [`panels`] works out what a report draws; [`probe`] asks whether the recipe behind the
//! runs is predictable at all.
//!
//! The only crate that knows argmin. No file, clock, environment or printing; random numbers only from a seed it was
//! given; sums in fixed order, so that the number of threads changes nothing.

mod ahead;
mod allocation;
mod approach;
mod at_runs;
mod backtest;
#[cfg(feature = "bench")]
pub mod bench;
mod best_of;
mod bootstrap;
mod bootstrap_interval;
mod capability;
mod certificate;
mod check;
mod checklist;
mod cluster;
mod compare;
mod cross_check;
mod crps;
#[cfg(test)]
mod curves;
mod design;
#[cfg(test)]
mod determinism;
mod diagnose;
mod emphasis;
mod ensemble;
mod error;
mod error_of_loss;
mod evaluation;
mod experience;
mod falloff;
mod fitted;
mod forecast;
mod forecaster;
mod form_error;
mod frontier;
mod functional;
mod grid;
mod hyperparameters;
mod kernel;
mod ladder;
mod ledger;
mod line_search;
mod linear;
mod multi_power;
mod noise;
mod objective;
mod optimum;
mod options;
mod panels;
mod parabola;
mod path;
mod prior;
pub mod probe;
mod problem;
mod profile;
#[cfg(test)]
mod published;
#[cfg(test)]
mod published_fits;
mod reach;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod repeated;
mod retrained;
mod sandwich;
mod scale;
mod scatter;
mod schedules;
mod seal;
mod session;
mod solve;
mod stacking;
mod start;
mod thin;
mod track;
mod vertex;

pub use approach::{ApproachOptions, CurvePoint, TrainingCurve, approaches};
pub use at_runs::at_runs;
pub use backtest::{BacktestMode, BacktestOptions, backtest};
pub use best_of::{BestOfError, Reduced, best_of};
pub use capability::{
    BucketRun, CapabilityError, CapabilityOptions, Reached, TaskBacktestOptions, backtest_tasks, bucket_means,
    ceilings, forecast_buckets, forecast_tasks, rebucket, score_task,
};
pub use check::{Evidence, check};
pub use checklist::checklist;
pub use compare::{CompareError, Recipe, compare};
pub use crps::crps;
pub use design::{Candidate, CandidateGrid, Candidates, DesignError, DesignOptions, design};
pub use error::FitError;
pub use error_of_loss::{ErrorOfLoss, ErrorOfLossError};
pub use forecast::{ForecastOptions, Target, as_sealed, check_shape, forecast};
pub use forescale_core::law::LawName;
pub use hyperparameters::recommend;
pub use ledger::{Entered, Ledger, LedgerError};
pub use multi_power::{CurveScore, ScheduleFit, ScheduleOptions, fit_schedule};
pub use optimum::{OptimumError, optimum};
pub use options::{FitOptions, IntervalMethod, Objective, Starts};
pub use panels::{CapabilityInput, PanelInput, panels};
pub use reach::reach;
pub use retrained::retrained;
pub use schedules::{ScheduleReportOptions, schedules};
pub use seal::{RegistrationDraft, SealError, register, score, score_capabilities, verify};
pub use session::fit;
pub use track::{LadderRun, TrackError, TrackInput, track};
