//! What can be doubted about a recipe, as data: code, weight, what was seen and why it matters, and what to do.

use core::fmt;

use forescale_core::estimate::Estimate;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::probe::{CollapseRung, Dimension, HorizonLaw, HorizonTransfer, RateTransfer};
use forescale_core::run::Parametrization;

use super::coord::SLOPE_LIMIT;
use super::rate::ALLOWED_FACTOR;

/// Names shown of a list, at most.
const SHOWN: usize = 4;

/// A place whose scale changes with size.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Drift {
    pub(super) place: String,
    pub(super) slope: Estimate,
}

/// Something that can be doubted about a recipe.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ProbeDoubt {
    ScaleDrifts {
        along: Dimension,
        drifts: Vec<Drift>,
        of: usize,
        steps: u64,
    },
    ScaleUnclear {
        along: Dimension,
        places: Vec<String>,
    },
    ScaleUndefined {
        along: Dimension,
        places: Vec<String>,
    },
    ScaleSilent {
        along: Dimension,
        places: Vec<String>,
    },
    RateDoesNotTransfer {
        horizon: HorizonTransfer,
        law: Option<HorizonLaw>,
        falls: bool,
    },
    /// Widths agree at each horizon, and the horizons do not.
    RateMovesWithHorizon {
        overall: RateTransfer,
        law: Option<HorizonLaw>,
    },
    /// Intervals leave the answer open at these horizons, and over all of them.
    RateUnclear {
        horizons: Vec<f64>,
        overall: bool,
    },
    RateAtEdge {
        width: u32,
        tokens_per_param: f64,
        lowest: bool,
    },
    RateFlat {
        width: u32,
        tokens_per_param: f64,
    },
    RateAllDiverged {
        width: u32,
        tokens_per_param: f64,
    },
    RateOffCentre {
        factor: f64,
    },
    RateWithoutError,
    TrialsDiverged {
        runs: usize,
    },
    /// `spread` is the largest over all horizons as they are.
    HorizonLawFound {
        law: HorizonLaw,
        spread: Option<f64>,
    },
    OneHorizon,
    NoCollapse {
        rungs: Vec<CollapseRung>,
        of: usize,
    },
    RungsDiverged {
        runs: usize,
    },
    CollapseWithoutSeeds {
        tolerance: f64,
    },
    FloorUnplaced {
        floor: Estimate,
    },
}

impl ProbeDoubt {
    /// The doubt as the contract wants it; what to do depends on what is done already.
    pub(super) fn diagnosis(&self, parametrization: Parametrization) -> Diagnosis {
        Diagnosis {
            code: self.code().to_owned(),
            severity: self.severity(),
            message: self.to_string(),
            hint: self.hint(parametrization),
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::ScaleDrifts { .. } => "scale_drifts",
            Self::ScaleUnclear { .. } => "scale_unclear",
            Self::ScaleUndefined { .. } => "scale_undefined",
            Self::ScaleSilent { .. } => "scale_silent",
            Self::RateDoesNotTransfer { .. } => "rate_does_not_transfer",
            Self::RateMovesWithHorizon { .. } => "rate_moves_with_horizon",
            Self::RateUnclear { .. } => "rate_unclear",
            Self::RateAtEdge { .. } => "rate_at_edge",
            Self::RateFlat { .. } => "rate_flat",
            Self::RateAllDiverged { .. } => "rate_all_diverged",
            Self::RateOffCentre { .. } => "rate_off_centre",
            Self::RateWithoutError => "rate_without_error",
            Self::TrialsDiverged { .. } => "trials_diverged",
            Self::HorizonLawFound { .. } => "horizon_law",
            Self::OneHorizon => "one_horizon",
            Self::NoCollapse { .. } => "curves_do_not_collapse",
            Self::RungsDiverged { .. } => "rungs_diverged",
            Self::CollapseWithoutSeeds { .. } => "few_seeds",
            Self::FloorUnplaced { .. } => "floor_unplaced",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::ScaleDrifts { .. }
            | Self::RateDoesNotTransfer { .. }
            | Self::RateMovesWithHorizon { .. }
            | Self::NoCollapse { .. } => Severity::Error,
            Self::ScaleUndefined { .. }
            | Self::RateAtEdge { .. }
            | Self::RateFlat { .. }
            | Self::RateAllDiverged { .. }
            | Self::RateOffCentre { .. }
            | Self::OneHorizon
            | Self::RungsDiverged { .. }
            | Self::FloorUnplaced { .. } => Severity::Warning,
            _ => Severity::Note,
        }
    }

    fn hint(&self, parametrization: Parametrization) -> String {
        let standard = parametrization == Parametrization::Standard;
        let text = match self {
            Self::ScaleDrifts { .. } if standard => {
                "`parametrization = \"mup\"` under `[training]`, which scales rates and initial weights with size"
            }
            Self::RateDoesNotTransfer { law: Some(law), .. } | Self::RateMovesWithHorizon { law: Some(law), .. }
                if explains(law) =>
            {
                return format!(
                    "the data explain it: {}, which leaves a spread of {:.2}x",
                    written(law),
                    law.spread_left
                );
            }
            Self::RateDoesNotTransfer { falls: true, .. } if standard => {
                "`parametrization = \"mup\"` under `[training]`, which divides rates by width"
            }
            Self::ScaleDrifts { .. } => {
                "look at the initial weights and the rate of that layer against its row of the parametrisation's table"
            }
            Self::ScaleUnclear { .. } => "--seeds 4, or widths over a longer range",
            Self::ScaleUndefined { .. } => "--steps 10, so that all have left zero; or a lower --rate-factor",
            Self::ScaleSilent { .. } => {
                "nothing, where a layer starts at zero and its gradient is zero; else --steps 10"
            }
            Self::RateDoesNotTransfer { .. } => {
                "train more seeds and a finer grid of rates first; then look at what else changes with width: batch, warmup, steps"
            }
            Self::RateMovesWithHorizon { .. } => {
                "`horizon_exponent` under `[training]` is what carries the rate to other horizons; --seeds 4 first, to place it"
            }
            Self::RateUnclear { .. } => "--seeds 4, or more factors about the best ones",
            Self::RateAtEdge { lowest: true, .. } | Self::RateAllDiverged { .. } => "--factors with lower ones added",
            Self::RateAtEdge { lowest: false, .. } => "--factors with higher ones added, if those do not diverge",
            Self::RateFlat { .. } => "--seeds 3, so that noise does not hide the minimum, or factors further apart",
            Self::RateOffCentre { factor } => {
                return format!("multiply `learning_rate` and `embedding_learning_rate` by {factor:.2}");
            }
            Self::RateWithoutError => "--seeds 2, or more factors",
            Self::TrialsDiverged { .. } => {
                "nothing, where only the highest rates diverge: the parabola leaves them out"
            }
            Self::HorizonLawFound { law, spread } if is_placed(&law.horizon_exponent) => {
                if spread.is_some_and(|spread| law.spread_left > spread) {
                    return format!(
                        "leave `horizon_exponent` as it is: the best rate follows D / N rather than D, for with this \
                         exponent the widths would lie {:.2}x apart",
                        law.spread_left
                    );
                }
                return format!("under `[training]`: {}", written(law));
            }
            Self::HorizonLawFound { .. } => {
                "nothing yet: these runs do not tell the exponent from 0; add horizons further apart, or seeds"
            }
            Self::OneHorizon => "--horizons with two that differ by a factor of 4 or more",
            Self::NoCollapse { .. } => {
                "look at what changes with size beside the rate: warmup, batch, steps; and `forescale probe lr` for the rate"
            }
            Self::RungsDiverged { .. } => "look at their logs; a rung that diverges is an answer of its own",
            Self::CollapseWithoutSeeds { .. } => "`seeds = 2` or more for the smallest rungs",
            Self::FloorUnplaced { .. } => "add larger rungs, until the path visibly flattens",
        };
        text.to_owned()
    }
}

/// Whether the widths agree once the fall with data is taken out.
fn explains(law: &HorizonLaw) -> bool {
    law.spread_left <= ALLOWED_FACTOR && is_placed(&law.horizon_exponent)
}

/// Whether an exponent is known to be other than 0.
fn is_placed(exponent: &Estimate) -> bool {
    exponent.lower.is_some_and(|lower| lower > 0.0) || exponent.upper.is_some_and(|upper| upper < 0.0)
}

/// A law of the horizon as a spec has it.
fn written(law: &HorizonLaw) -> String {
    format!(
        "`horizon_exponent = {:.2}`, `base_tokens = {:.3e}`, `learning_rate = {:.3e}`, `embedding_learning_rate = {:.3e}`",
        law.horizon_exponent.estimate, law.base_tokens, law.learning_rate, law.embedding_learning_rate
    )
}

impl fmt::Display for ProbeDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ScaleDrifts { along, drifts, of, steps } => f.write_str(&drifting(*along, drifts, *of, *steps)),
            Self::ScaleUnclear { along, places } => write!(
                f,
                "over {} the slopes of {} pass, but their 90% intervals reach past ±{SLOPE_LIMIT}",
                along.label(),
                named(places)
            ),
            Self::ScaleUndefined { along, places } => {
                let at = along.label();
                write!(
                    f,
                    "after the last step {} are zero or not finite at some {at}: their scale has no slope",
                    named(places)
                )
            }
            Self::ScaleSilent { along, places } => {
                write!(f, "{} are zero at every {}, and left out", named(places), along.label())
            }
            Self::RateDoesNotTransfer { horizon, falls, .. } => f.write_str(&apart(horizon, *falls)),
            Self::RateMovesWithHorizon { overall, .. } => write!(
                f,
                "the widths agree at each horizon, but over all horizons the best rates, each over the recipe's own, differ by {}; a rate transfers within {ALLOWED_FACTOR}x",
                spread(overall.spread, overall.spread_at_least)
            ),
            Self::RateUnclear { horizons, overall } => write!(
                f,
                "{}: the 90% intervals of the best rates allow more than {ALLOWED_FACTOR}x between them as well as less",
                compared(horizons, *overall)
            ),
            Self::RateAtEdge { width, tokens_per_param, lowest } => {
                let edge = if *lowest { "lowest" } else { "highest that trains" };
                write!(
                    f,
                    "{}: the best rate is the {edge} of those tried, so that it has no vertex",
                    cell(*width, *tokens_per_param)
                )
            }
            Self::RateFlat { width, tokens_per_param } => {
                write!(
                    f,
                    "{}: loss over the rates tried has no minimum that a parabola finds",
                    cell(*width, *tokens_per_param)
                )
            }
            Self::RateAllDiverged { width, tokens_per_param } => {
                write!(f, "{}: every rate tried diverged", cell(*width, *tokens_per_param))
            }
            Self::RateOffCentre { factor } => {
                write!(
                    f,
                    "the best rates are {factor:.2} times the recipe's own on the mean over all widths and horizons"
                )
            }
            Self::RateWithoutError => {
                write!(f, "some best rates follow from three runs exactly, so that they have no standard error")
            }
            Self::TrialsDiverged { runs } => write!(f, "{runs} of the runs diverged"),
            Self::HorizonLawFound { law, .. } => {
                let exponent = law.horizon_exponent;
                write!(f, "the best rate goes with data as D^{:.2}{}", -exponent.estimate, interval(&exponent))
            }
            Self::OneHorizon => write!(
                f,
                "with one horizon it is not known whether the rate transfers to another, and how the best one falls with data"
            ),
            Self::NoCollapse { rungs, of } => f.write_str(&leaving(rungs, *of)),
            Self::RungsDiverged { runs } => write!(f, "{runs} runs of the ladder diverged and have no curve"),
            Self::CollapseWithoutSeeds { tolerance } => write!(
                f,
                "no rung has two seeds, so that the limit is the least one, {:.0}%, and not held against seed noise",
                100.0 * tolerance
            ),
            Self::FloorUnplaced { floor } => write!(
                f,
                "the irreducible loss {:.4} that is taken off has no lower end: curves that agree may do so for another floor alone",
                floor.estimate
            ),
        }
    }
}

fn drifting(along: Dimension, drifts: &[Drift], of: usize, steps: u64) -> String {
    let along = along.label();
    let of_place = |drift: &Drift| format!("`{}` as {along}^{}", drift.place, power(&drift.slope));
    let each: Vec<String> = drifts.iter().take(SHOWN).map(of_place).collect();
    let more = if drifts.len() > SHOWN { ", …" } else { "" };
    format!(
        "after {steps} steps {} of {of} activations change their scale with {along}: {}{more}; the same rate is another recipe at every {along} where the power is beyond ±{SLOPE_LIMIT}",
        drifts.len(),
        each.join(", ")
    )
}

fn apart(horizon: &HorizonTransfer, falls: bool) -> String {
    let falling = if falls { ", and the widest model wants the lowest" } else { "" };
    format!(
        "at {} tokens per parameter the best rates of the widths differ by {}{falling}; a rate tuned on a small model transfers within {ALLOWED_FACTOR}x",
        horizon.tokens_per_param,
        spread(horizon.spread, horizon.spread_at_least)
    )
}

/// A spread, or what it is at least.
fn spread(known: Option<f64>, least: Option<f64>) -> String {
    known.map_or_else(|| format!("at least {:.2}x", least.unwrap_or(f64::INFINITY)), |spread| format!("{spread:.2}x"))
}

/// What was compared: some horizons each, and all together.
fn compared(horizons: &[f64], overall: bool) -> String {
    let ratios: Vec<String> = horizons.iter().map(f64::to_string).collect();
    let each = (!ratios.is_empty()).then(|| format!("at {} tokens per parameter", ratios.join(" and ")));
    let all = overall.then(|| "over all widths and horizons".to_owned());
    each.into_iter().chain(all).collect::<Vec<_>>().join(", and ")
}

fn leaving(rungs: &[CollapseRung], of: usize) -> String {
    let of_rung = |rung: &CollapseRung| {
        format!("`{}` by {:.1}% (limit {:.1}%)", rung.name, 100.0 * rung.deviation, 100.0 * rung.limit)
    };
    let each: Vec<String> = rungs.iter().take(SHOWN).map(of_rung).collect();
    format!(
        "{} of {of} rungs leave the common loss curve: {}; as trained they are not small versions of each other, and one law for their losses is in doubt",
        rungs.len(),
        each.join(", ")
    )
}

fn cell(width: u32, tokens_per_param: f64) -> String {
    format!("`d{width}` at {tokens_per_param} tokens per parameter")
}

fn power(slope: &Estimate) -> String {
    let error = slope.standard_error.map(|error| format!(" ± {error:.2}"));
    format!("{:.2}{}", slope.estimate, error.unwrap_or_default())
}

/// The interval of a power that is the exponent with its sign turned.
fn interval(estimate: &Estimate) -> String {
    match (estimate.lower, estimate.upper) {
        (Some(lower), Some(upper)) => {
            format!(" ({:.0}% interval {:.2} to {:.2})", 100.0 * estimate.level, -upper, -lower)
        }
        _ => " (no interval)".to_owned(),
    }
}

fn named(places: &[String]) -> String {
    let shown: Vec<String> = places.iter().take(SHOWN).map(|place| format!("`{place}`")).collect();
    let more = if places.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}
