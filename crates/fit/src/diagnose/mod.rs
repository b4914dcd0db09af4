//! What can be doubted about runs, a fit or a forecast, as data.
//!
//! Each variant of [`Doubt`] knows its stable code, its weight, what was seen and why it matters, and what to do. This
//! module gathers doubts and changes no number; each room below finds those of one kind. A doubt about the runs goes with
//! every law fitted to them and with a forecast from them, one about a fit with that law, one about a target with it.
//!
//! # The mistakes of the field, and where each shows
//!
//! | # | mistake | code | shown by |
//! |---|---|---|---|
//! | 1 | convention of N and C | `counting_rules`, `counting_drifts` | fit, where the runs tell several counts; the second in a forecast as well, the first where an exponent hangs on it |
//! | 2 | vertex of an isoFLOP at its edge | `isoflop_vertices`, `vertex_sides` | fit; the latter in a forecast as well |
//! | 3 | rate not tuned per rung | `rate_at_edge`, `rate_sensitive`, `rates_mixed`, `one_rate` | fit, forecast; also `probe lr` |
//! | 4 | warmup too long for small runs | `warmup_share` | fit, forecast |
//! | 5 | undecayed checkpoints among decayed | `undecayed_mixed`, `schedules_mixed` | fit, forecast |
//! | 6 | repeated data | `repeated_data`, `fresh_data_assumed` | fit, forecast, the latter in a forecast; leakage into validation is not visible in a table: it needs the text |
//! | 7 | too short a span | `few_rungs`, `few_decades`; D/N below 4x is refused | fit; warnings of both in a forecast as well |
//! | 8 | optimiser did not converge | `not_converged`, `starts_disagree`, `parameter_at_bound`, `floor_share` | fit; `uncertified` and `parameter_at_bound` in a forecast as well |
//! | 9 | leverage of few runs | `outlier_leverage`, `influential_run`, `leave_one_out` | fit; warnings of the first two in a forecast as well |
//! | 10 | structure in residuals | `residual_pattern`, `residual_bend`, `seed_noise` (lack of fit) | fit |
//! | 11 | laws disagree | `laws_disagree`, `fits_apart`, `model_form` | forecast |
//! | 12 | extrapolation | `extrapolating`, `break_beyond`, `below_data`, `target_inside_data`, `beyond_ratios` | forecast |
//! | 13 | floor not identified | `floor_share` | fit |
//! | 14 | seed noise | `few_seeds`, `seed_noise`, `seed_weights`, `uneven_noise`, `clustered` | fit |
//! | 15 | evaluation noise | `evaluation_noise`, `mixed_evaluation`, `evaluation_unknown` | fit, forecast; the last in a forecast |
//! | 16 | coordinate check, rate transfer, collapse | – | `probe`; not visible in a table, which holds no activations and no curves |
//! | 17 | rounding | `rounded_losses` | fit |
//! | 18 | a line without a floor | `no_floor` | fit, forecast |
//! | 19 | capability without its gate | – | the capability laws judge their own tasks |
//! | 20 | batch above the critical one | `batch_above_critical` | fit, forecast |
//! | 21 | runs dropped in silence | `runs_left_out`, `spiked` | fit; `spiked` in a forecast as well |
//! | 22 | asymmetric noise | `asymmetric_noise` | fit |
//! | 23 | registration | – | `score`, which holds the digests; a table has no order in time |
//! | – | one run written twice | `copied_runs` | fit, forecast |
//! | – | sizes or data that nobody trains: columns swapped, another unit | `tokens_below_params`, `params_unit` | fit, forecast |
//! | – | compute that does not belong to its size and data, losses that are none | `stray_flops`, `stray_params`, `stray_tokens`, `stray_loss`, `flops_unit`, `no_losses`, `noise_unit` | fit, forecast |
//! | – | a target that tells compute, size and data, and not of one run | `target_contradicts_itself`, `target_disagrees` | a forecast is refused, and warned where they are less than twice apart |
//! | – | no size and no data: what is assumed of the runs, and whether those of one budget contradict it | `compute_alone` | fit, forecast |
//! | – | one run whose tokens per parameter are no neighbour's | `stray_ratio` | fit, forecast |
//! | – | runs of one size and data far apart | `twins_differ` | fit, forecast |
//! | – | loss that does not fall, or turns up over the largest runs | `loss_does_not_fall`, `loss_turns_up` | fit; a forecast is refused, and warned where rungs are too few to be sure |
//! | – | a ladder whose slope rises and then falls | `s_shaped` | fit; a forecast by laws that cannot bend so is refused |
//! | – | runs far from the law | `far_runs` | fit, forecast |
//! | – | one size, or one amount of data | refused where another is asked for | forecast |
//! | – | not asymptotic yet | `not_asymptotic` | fit, forecast |
//! | – | wrong model form | `model_form` | fit, forecast |
//!
//! # Cost
//!
//! Refits are warm and bounded: one per run left out up to 400, one for outliers, one per counting rule, one for the
//! penalty on overestimates, and one cold path law where a line without a floor was fitted.

mod bend;
mod counting;
mod data;
mod fit;
mod form;
mod inflection;
mod influence;
mod kink;
mod order;
mod residuals;
mod scales;
mod target;
#[cfg(test)]
mod tests;
pub(crate) mod told;
mod training;
mod turn;
mod vertex;
mod words;

use core::fmt;

use forescale_core::law::LawName;
use forescale_core::observation::{Exclusion, Observation};
use forescale_core::outcome::{Diagnosis, Severity};

use crate::cluster::{self, ClusterDoubt};
use crate::falloff::Falloff;
use crate::fitted::Fitted;
use crate::noise::{self, NoiseDoubt};
use crate::profile::Profile;
use crate::{FitError, FitOptions};

pub(crate) use form::{FormDoubt, Reason, evidence, no_floor, not_asymptotic};
pub(crate) use inflection::inflection;
pub(crate) use order::heaviest_first;
pub(crate) use target::{FITS_APART, FitKind, Silence, TargetDoubt, uncertified};

/// An exponent or a loss ten times further out that moves by more than this when runs are left out is worth a word.
const EXPONENT_MOVE: f64 = 0.10;
const LOSS_MOVE: f64 = 0.01;
/// Residuals past this many robust standard deviations are outliers. Chosen here: a normal table of 1000 rows has none.
const OUTLIER_SCALES: f64 = 6.0;
/// A loss that changes by less over the whole of the data is the same.
const SAME_LOSS: f64 = 1e-3;
/// Compute and 6ND that differ by more are of different runs: embedding parameters counted or not come to less.
pub(crate) const CONTRADICTION: f64 = 3.0;
/// The same where the runs are counted under one rule, C/(N·D) of all within [`ONE_RULE`] of their median. Chosen here: the head's
/// share of a model large enough to be forecast is below a half.
pub(crate) const CONTRADICTION_OF_ONE_RULE: f64 = 2.02;
/// C/(N·D) of runs that are counted under one rule agrees to this factor.
pub(crate) const ONE_RULE: f64 = 1.5;
/// Up to this many rows each is left out in turn.
const LEAVE_ONE_OUT_ROWS: usize = 400;

/// Something that can be doubted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Doubt {
    ParameterAtBound { law: String, symbol: &'static str, is_floor: bool, simpler: Option<LawName> },
    StartsDisagree { law: String, agreeing: usize, starts: usize },
    NotConverged { law: String, gradient: f64 },
    LawRefused { law: String, error: FitError },
    FewRungs { law: String, rungs: usize, decades: f64, vertices: bool },
    FewDecades { law: String, decades: f64, vertices: bool },
    FewSeeds { law: String },
    NotAsymptotic { law: String, early: f64, late: f64 },
    LossDoesNotFall { law: String, decades: f64, change: f64 },
    Outliers { law: String, points: Vec<String>, vertices: bool, symbol: String, with: f64, without: f64 },
    InfluentialRun { law: String, point: String, unit: Unit, what: String, with: f64, without: f64, is_missed: bool },
    FloorShare { law: String, floor: fit::FloorFound },
    Vertices { law: String, budgets: usize, runs: usize },
    Extrapolating { decades: f64, data_decades: f64, expected_error: f64, is_backtested: bool },
    LawsDisagree { spread: f64, half_width: f64 },
    OffPathTarget { law: String },
    BacktestMissed { ratio: Option<f64>, cases: usize, inside: f64 },
    NearStart { highest: f64, start: f64 },
    NoForecast { hint: String },
    TargetContradicts { flops: f64, implied: f64, allowed: f64 },
    Clustered(ClusterDoubt),
    SeedNoise(NoiseDoubt),
    SeedWeights { law: String, falloff: Falloff },
    Room(Room),
}

/// What is left out to see what it moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    Run,
    Vertex,
    /// Several points of one cluster.
    Trunk,
}

/// A doubt of one room: its words are its `Display`.
trait Voiced: fmt::Display {
    /// Stable name.
    fn code(&self) -> &'static str;

    /// How much it weighs.
    fn severity(&self) -> Severity {
        Severity::Warning
    }

    /// What to do.
    fn hint(&self) -> &'static str;
}

impl Doubt {
    /// The doubt as the contract wants it.
    pub(crate) fn diagnosis(&self) -> Diagnosis {
        Diagnosis {
            code: self.code().to_owned(),
            severity: self.severity(),
            message: self.to_string(),
            hint: self.hint(),
        }
    }
}

macro_rules! rooms {
    ($($variant:ident($doubt:ty)),* $(,)?) => {
        /// The doubts that a room gives its own words.
        #[derive(Clone, Debug, PartialEq)]
        pub(crate) enum Room {
            $($variant($doubt),)*
        }

        impl Room {
            fn voice(&self) -> &dyn Voiced {
                match self {
                    $(Self::$variant(doubt) => doubt,)*
                }
            }
        }

        $(impl From<$doubt> for Doubt {
            fn from(doubt: $doubt) -> Self {
                Self::Room(Room::$variant(doubt))
            }
        })*
    };
}

rooms! {
    Counting(counting::CountingDoubt),
    Data(data::DataDoubt),
    Form(FormDoubt),
    LeftOneOut(influence::LeftOneOut),
    Residuals(residuals::ResidualDoubt),
    Scale(scales::ScaleDoubt),
    FarRuns(influence::FarRuns),
    Inflection(inflection::Inflection),
    Target(TargetDoubt),
    Told(told::ToldDoubt),
    Training(training::TrainingDoubt),
    TurnsUp(turn::TurnsUp),
    VertexSides(vertex::VertexSides),
}

fn named(runs: &[String]) -> String {
    let shown: Vec<&str> = runs.iter().take(5).map(String::as_str).collect();
    let more = if runs.len() > 5 { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

/// A number to three digits.
fn to_three_digits(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    if (1e-3..1e5).contains(&rounded) { rounded.to_string() } else { format!("{rounded:e}") }
}

/// What is surely wrong with the runs of one group, as the reason why no law could be fitted to them.
pub(crate) fn wrong_runs(runs: &[&Observation], options: &FitOptions) -> Option<FitError> {
    let doubts = doubts_of_runs(runs, options).into_iter().map(|doubt| doubt.diagnosis());
    let wrong = doubts.into_iter().find(|doubt| doubt.severity == Severity::Error)?;
    Some(FitError::NoForecast { reason: wrong.message, hint: wrong.hint })
}

/// All doubts about the runs of one group, whatever is fitted to them.
pub(crate) fn doubts_of_runs(runs: &[&Observation], options: &FitOptions) -> Vec<Doubt> {
    let training = training::doubts(runs, options.model_repetition()).into_iter().map(Doubt::from);
    let data = data::doubts(runs).into_iter().map(Doubt::from);
    training.chain(data).chain(scales::doubts(runs).into_iter().map(Doubt::from)).collect()
}

/// What was left out before any law was fitted.
pub(crate) fn doubt_of_exclusions(exclusions: &[Exclusion], runs: usize) -> Option<Doubt> {
    data::left_out(exclusions, runs).map(Doubt::from)
}

/// What a forecast repeats of the doubts about a fit that it rests on, made from these runs: parameters that the data do not
/// bound, a ladder too short or rising at its end, a count of N or C that makes another law, vertices at the edge of their budgets, and runs that
/// move it alone.
pub(crate) fn doubts_of_a_say(fitted: &Fitted, runs: &[&Observation]) -> Vec<Doubt> {
    let of_ladder = fit::bounds(fitted).into_iter().chain(fit::ladder(fitted, runs.len()));
    let warnings = of_ladder.filter(|doubt| doubt.severity() == Severity::Warning);
    let turn = turn::may_turn_up(fitted).map(Doubt::from);
    let counted = turn.into_iter().chain(counting::apart(fitted).map(Doubt::from));
    let sides = vertex::sides(fitted, runs).map(Doubt::from);
    warnings.chain(counted).chain(sides).chain(influence::warnings(fitted)).collect()
}

/// What a path does that its law cannot: a loss that does not fall over all the runs, turns up over the largest, or bends both
/// ways.
pub(crate) fn does_not_fall(fitted: &Fitted) -> Option<Doubt> {
    let turned = || turn::turns_up(fitted).map(Doubt::from);
    fit::does_not_fall(fitted).or_else(turned).or_else(|| inflection(fitted).map(Doubt::from))
}

/// All doubts about one fit.
pub(crate) fn doubts_of_fit(fitted: &Fitted, runs: &[&Observation], profiles: &[Profile]) -> Vec<Doubt> {
    let mut doubts = fit::doubts(fitted, runs.len());
    doubts.extend(turn::may_turn_up(fitted).map(Doubt::from));
    doubts.extend(not_asymptotic(fitted, runs));
    let (noise, residuals) = (noise::doubts(fitted), residuals::doubts(fitted, runs));
    let form = form::of_fit(fitted, &residuals, &noise);
    if !noise.iter().any(|doubt| matches!(doubt, NoiseDoubt::Unknown { .. })) {
        doubts.extend(fit::seeds(fitted, runs));
    }
    doubts.extend(noise.into_iter().map(Doubt::SeedNoise));
    doubts.extend(fitted.falloff.map(|falloff| Doubt::SeedWeights { law: fitted.law.to_string(), falloff }));
    doubts.extend(cluster::doubt(fitted).map(Doubt::Clustered));
    doubts.extend(vertex::sides(fitted, runs).map(Doubt::from));
    doubts.extend(residuals.into_iter().map(Doubt::from));
    doubts.extend(influence::doubts(fitted));
    doubts.extend(fit::floor_share(fitted, profiles));
    doubts.extend(no_floor(fitted, None).map(Doubt::from));
    doubts.extend(form.map(Doubt::from));
    doubts.extend(counting::doubt(fitted).map(Doubt::from));
    doubts
}
