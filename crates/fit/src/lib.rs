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
mod backtest;
mod check;
mod cluster;
mod crps;
#[cfg(test)]
mod curves;
mod diagnose;
mod emphasis;
mod ensemble;
mod error;
mod experience;
mod falloff;
mod fitted;
mod forecast;
mod forecaster;
mod form_error;
mod functional;
mod linear;
mod noise;
mod objective;
mod options;
mod panels;
mod path;
pub mod probe;
mod prior;
mod problem;
mod profile;
#[cfg(test)]
mod published;
mod reach;
#[cfg(test)]
mod recovery;
mod scale;
mod seal;
mod session;
mod solve;
mod stacking;
mod start;

pub use backtest::{BacktestMode, BacktestOptions, backtest};
pub use check::{Evidence, check};
pub use error::FitError;
pub use forecast::{ForecastOptions, Target, forecast};
pub use forescale_core::law::LawName;
pub use options::{FitOptions, Objective};
pub use panels::{PanelInput, panels};
pub use reach::reach;
pub use seal::{RegistrationDraft, SealError, register, score, verify};
pub use session::fit;
