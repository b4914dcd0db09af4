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

mod allocation;
mod approach;
mod backtest;
mod check;
mod cluster;
mod crps;
#[cfg(test)]
mod curves;
mod diagnose;
mod ensemble;
mod error;
mod falloff;
mod fitted;
mod forecast;
mod forecaster;
mod form_error;
mod functional;
mod hyperparameters;
mod linear;
mod multi_power;
mod noise;
mod objective;
mod optimum;
mod options;
mod panels;
mod path;
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
mod scale;
mod schedules;
mod seal;
mod session;
mod solve;
mod start;
mod vertex;

pub use approach::{ApproachOptions, CurvePoint, TrainingCurve, approaches};
pub use backtest::{BacktestMode, BacktestOptions, backtest};
pub use check::{Evidence, check};
pub use error::FitError;
pub use forecast::{ForecastOptions, Target, forecast};
pub use forescale_core::law::LawName;
pub use hyperparameters::recommend;
pub use multi_power::{CurveScore, ScheduleFit, ScheduleOptions, fit_schedule};
pub use optimum::{OptimumError, optimum};
pub use options::{FitOptions, Objective};
pub use panels::{PanelInput, panels};
pub use reach::reach;
pub use schedules::{ScheduleReportOptions, schedules};
pub use seal::{RegistrationDraft, SealError, register, score, verify};
pub use session::fit;
