//! Doubts about how runs were trained: rate, batch, warmup, schedule, spikes. Each needs the columns that tell.

use core::fmt;
use std::collections::BTreeMap;

use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::Severity;

use super::{Voiced, named};
use crate::path::parabola;

/// Longest warmup of the smallest run, as a share of its steps: a warmup of one length is too long for small runs, one of
/// the three causes by which Porian et al. (arXiv:2406.19146) explain Kaplan's exponent.
const WARMUP_SHARE: f64 = 0.1;
/// One rate for sizes that span this much was not tuned per size. Chosen here: two doublings, over which the best rate
/// moves by about 1.6x at the usual N^-1/3.
const SIZE_SPAN: f64 = 4.0;
/// By how much a batch may exceed the estimate of the critical one: it is no better known than that.
const BATCH_ROOM: f64 = 2.0;
/// Epochs up to which repeated tokens are worth about as much as fresh ones (Muennighoff et al., arXiv:2305.16264).
const HARMLESS_EPOCHS: f64 = 4.0;
/// Names of schedules that never decay.
const UNDECAYED: [&str; 4] = ["constant", "const", "none", "stable"];

/// A doubt about training.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TrainingDoubt {
    RateAtEdge { cells: Vec<String>, tuned: usize },
    RateSensitive { cell: String, rise: f64, seed: f64 },
    RatesMixed { cells: Vec<String>, runs: usize, fold: Fold },
    OneRate { rate: f64, sizes: usize, span: f64 },
    WarmupShare { run: String, share: f64 },
    UndecayedMixed { undecayed: Vec<String>, decayed: usize },
    SchedulesMixed { schedules: Vec<String> },
    Repeated { runs: usize, epochs: f64 },
    BatchAboveCritical { runs: Vec<String>, ratio: f64 },
    Spiked { runs: Vec<String> },
}

/// What would fold runs of one size and data that differ in their rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fold {
    /// Some differ in nothing else.
    Rate,
    /// None do, and their batches differ.
    RateAndBatch,
    /// Neither: they differ in what no folding goes across.
    Neither,
}

/// All doubts that the columns of a group's runs give reason for. Repeated data are none where a law models them, and the
/// other laws then leave those runs out.
pub(super) fn doubts(runs: &[&Observation], repetition_is_modelled: bool) -> Vec<TrainingDoubt> {
    let mut doubts = if runs.iter().all(|o| o.tells_split()) { of_sizes(runs) } else { Vec::new() };
    doubts.extend(warmup(runs));
    doubts.extend(schedules(runs));
    doubts.extend(repeated(runs).filter(|_| !repetition_is_modelled));
    doubts.extend(batch(runs));
    let spiked: Vec<String> = names(runs.iter().filter(|o| o.training.spiked == Some(true)));
    doubts.extend((!spiked.is_empty()).then_some(TrainingDoubt::Spiked { runs: spiked }));
    doubts
}

/// Doubts of rates, which are tuned for a size and data.
fn of_sizes(runs: &[&Observation]) -> Vec<TrainingDoubt> {
    rates(runs).into_iter().chain(rates_mixed(runs)).chain(one_rate(runs)).collect()
}

fn names<'a>(runs: impl Iterator<Item = &'a &'a Observation>) -> Vec<String> {
    runs.map(|o| format!("`{}`", o.name)).collect()
}

fn positive(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite() && *value > 0.0)
}

/// (ln rate, ln loss) of the runs of one size and data.
struct Tuned<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// Sizes and data at which at least so many rates were tried.
fn tuned<'a>(runs: &[&'a Observation], least: usize) -> Vec<Tuned<'a>> {
    let mut cells: BTreeMap<(u64, u64), Tuned<'a>> = BTreeMap::new();
    for run in runs {
        let Some(rate) = positive(run.training.learning_rate) else { continue };
        let key = (run.params.to_bits(), run.tokens.to_bits());
        let cell = cells.entry(key).or_insert_with(|| Tuned { name: &run.name, points: Vec::new() });
        cell.points.push((math::ln(rate), math::ln(run.loss)));
    }
    let several = |cell: &Tuned<'_>| {
        let mut rates: Vec<f64> = cell.points.iter().map(|p| p.0).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup_by(|b, a| *b - *a < 1e-9);
        rates.len() >= least
    };
    cells.into_values().filter(several).collect()
}

fn rates(runs: &[&Observation]) -> Vec<TrainingDoubt> {
    let cells = tuned(runs, 3);
    let at_edge: Vec<String> =
        cells.iter().filter(|cell| is_at_edge(cell)).map(|cell| format!("that of `{}`", cell.name)).collect();
    let mut doubts = Vec::new();
    if !at_edge.is_empty() {
        doubts.push(TrainingDoubt::RateAtEdge { cells: at_edge, tuned: cells.len() });
    }
    doubts.extend(sensitive(&cells, runs));
    doubts
}

fn is_at_edge(cell: &Tuned<'_>) -> bool {
    let ends = cell.points.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), p| (l.min(p.0), h.max(p.0)));
    let best = cell.points.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    best.is_some_and(|best| best.0 <= ends.0 + 1e-9 || best.0 >= ends.1 - 1e-9)
}

/// What a factor of two off the best rate costs, by the parabola of the size where it costs most, against seed noise.
fn sensitive(cells: &[Tuned<'_>], runs: &[&Observation]) -> Option<TrainingDoubt> {
    let stated = runs.iter().filter_map(|o| positive(o.seed_sd.map(|sd| sd / o.loss)));
    let stated: Vec<f64> = stated.collect();
    let seed = math::median(&stated)?;
    let rise = |cell: &Tuned<'_>| {
        let middle = cell.points.iter().map(|p| p.0).sum::<f64>() / cell.points.len() as f64;
        let points: Vec<(f64, f64)> = cell.points.iter().map(|p| (p.0 - middle, p.1)).collect();
        let [.., square] = parabola(&points)?;
        Some(square * core::f64::consts::LN_2 * core::f64::consts::LN_2)
    };
    let all = cells.iter().filter_map(|cell| Some((cell, rise(cell)?)));
    let (cell, rise) = all.max_by(|a, b| a.1.total_cmp(&b.1))?;
    (rise > seed).then(|| TrainingDoubt::RateSensitive { cell: format!("`{}`", cell.name), rise, seed })
}

/// Runs of one size and data under several rates, each fitted as if it were the best.
fn rates_mixed(runs: &[&Observation]) -> Option<TrainingDoubt> {
    let cells = tuned(runs, 2);
    let count = cells.iter().map(|cell| cell.points.len()).sum();
    let cells: Vec<String> = cells.iter().map(|cell| format!("that of `{}`", cell.name)).collect();
    (!cells.is_empty()).then(|| TrainingDoubt::RatesMixed { cells, runs: count, fold: fold(runs) })
}

/// What `--best-of` has left to do for these runs.
fn fold(runs: &[&Observation]) -> Fold {
    let batch = |o: &Observation| positive(o.training.batch_tokens).map(f64::to_bits);
    let is_mixed = |key: &dyn Fn(&Observation) -> Option<u64>| {
        let mut cells: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for run in runs {
            let Some(rate) = positive(run.training.learning_rate) else { continue };
            let cell = (run.params.to_bits(), run.tokens.to_bits(), key(run), &run.eval_set_digest);
            cells.entry((cell, format!("{:?}", run.role))).or_default().push(rate.to_bits());
        }
        cells.values().any(|rates| rates.iter().any(|rate| *rate != rates[0]))
    };
    if is_mixed(&batch) {
        Fold::Rate
    } else if is_mixed(&|_| None) {
        Fold::RateAndBatch
    } else {
        Fold::Neither
    }
}

/// One rate for every size, unless the runs scale it with width by rule.
fn one_rate(runs: &[&Observation]) -> Option<TrainingDoubt> {
    if runs.iter().any(|o| o.training.rate_follows_width == Some(true)) {
        return None;
    }
    let rates: Option<Vec<f64>> = runs.iter().map(|o| positive(o.training.learning_rate)).collect();
    let rates = rates?;
    let rate = *rates.first()?;
    let mut sizes: Vec<f64> = runs.iter().map(|o| o.params).collect();
    sizes.sort_by(f64::total_cmp);
    let span = sizes.last()? / sizes.first()?;
    sizes.dedup_by(|b, a| *b <= 1.02 * *a);
    let is_one = rates.iter().all(|other| (other / rate - 1.0).abs() < 1e-6);
    (is_one && sizes.len() >= 3 && span >= SIZE_SPAN).then_some(TrainingDoubt::OneRate {
        rate,
        sizes: sizes.len(),
        span,
    })
}

fn warmup(runs: &[&Observation]) -> Option<TrainingDoubt> {
    let told = runs.iter().filter_map(|o| Some((o, positive(o.training.steps)?, positive(o.training.warmup_steps)?)));
    let (run, steps, warmup) = told.min_by(|a, b| a.1.total_cmp(&b.1))?;
    let share = positive(Some(100.0 * warmup / steps))? / 100.0;
    // A share of steps that is no whole number is rounded up to one.
    ((warmup - 1.0) / steps > WARMUP_SHARE * (1.0 - 1e-9))
        .then(|| TrainingDoubt::WarmupShare { run: format!("`{}`", run.name), share })
}

/// Whether a run's rate decayed to its end; none where nothing tells.
fn is_decayed(o: &Observation) -> Option<bool> {
    let schedule = o.training.schedule.as_deref().map(|name| name.trim().to_lowercase());
    match (o.training.is_final, schedule) {
        (Some(false), _) => Some(false),
        (_, Some(name)) if UNDECAYED.contains(&name.as_str()) => Some(false),
        (Some(true), _) | (None, Some(_)) => Some(true),
        (None, None) => None,
    }
}

fn schedules(runs: &[&Observation]) -> Option<TrainingDoubt> {
    let of = |wanted: bool| runs.iter().filter(move |o| is_decayed(o) == Some(wanted));
    let (undecayed, decayed) = (names(of(false)), of(true).count());
    if !undecayed.is_empty() && decayed > 0 {
        return Some(TrainingDoubt::UndecayedMixed { undecayed, decayed });
    }
    let mut schedules: Vec<String> = runs.iter().filter_map(|o| o.training.schedule.clone()).collect();
    schedules.sort();
    schedules.dedup();
    (schedules.len() > 1).then_some(TrainingDoubt::SchedulesMixed { schedules })
}

fn repeated(runs: &[&Observation]) -> Option<TrainingDoubt> {
    let epochs = runs.iter().filter_map(|o| positive(o.unique_tokens).map(|unique| o.tokens / unique));
    let epochs: Vec<f64> = epochs.filter(|epochs| epochs.is_finite() && *epochs > 1.0 + 1e-6).collect();
    let most = epochs.iter().copied().fold(0.0, f64::max);
    (!epochs.is_empty()).then_some(TrainingDoubt::Repeated { runs: epochs.len(), epochs: most })
}

/// Batches above the critical one: 2e8/L^(1/0.21) tokens (Kaplan et al., arXiv:2001.08361, eq. 1.4, on their own
/// tokeniser and text).
fn batch(runs: &[&Observation]) -> Option<TrainingDoubt> {
    let ratio = |o: &Observation| {
        let critical = 2e8 / math::pow(o.loss, 1.0 / 0.21);
        let ratio = positive(o.training.batch_tokens).map(|batch| batch / critical);
        ratio.filter(|ratio| ratio.is_finite() && *ratio > BATCH_ROOM)
    };
    let above: Vec<(&Observation, f64)> = runs.iter().filter_map(|&o| Some((o, ratio(o)?))).collect();
    let most = above.iter().map(|(_, ratio)| *ratio).fold(0.0, f64::max);
    let runs: Vec<String> = above.iter().map(|(o, _)| format!("`{}`", o.name)).collect();
    (!runs.is_empty()).then_some(TrainingDoubt::BatchAboveCritical { runs, ratio: most })
}

impl Voiced for TrainingDoubt {
    fn code(&self) -> &'static str {
        match self {
            Self::RateAtEdge { .. } => "rate_at_edge",
            Self::RateSensitive { .. } => "rate_sensitive",
            Self::RatesMixed { .. } => "rates_mixed",
            Self::OneRate { .. } => "one_rate",
            Self::WarmupShare { .. } => "warmup_share",
            Self::UndecayedMixed { .. } => "undecayed_mixed",
            Self::SchedulesMixed { .. } => "schedules_mixed",
            Self::Repeated { .. } => "repeated_data",
            Self::BatchAboveCritical { .. } => "batch_above_critical",
            Self::Spiked { .. } => "spiked",
        }
    }

    fn severity(&self) -> Severity {
        match self {
            Self::UndecayedMixed { .. } => Severity::Error,
            Self::Repeated { epochs, .. } if *epochs <= HARMLESS_EPOCHS => Severity::Note,
            _ => Severity::Warning,
        }
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::RateAtEdge { .. } => "try rates beyond that edge until the loss rises on both sides",
            Self::RateSensitive { .. } => "space the rates tried by less than 2x, or take the parabola's minimum",
            Self::RatesMixed { fold: Fold::Rate, .. } => "reduce each size and data to its best rate: `--best-of lr`",
            Self::RatesMixed { fold: Fold::RateAndBatch, .. } => {
                "each batch has its own best rate: reduce both, `--best-of lr,batch`"
            }
            Self::RatesMixed { fold: Fold::Neither, .. } => {
                "these runs may differ in their role or evaluation set as well: keep one of them for each size and data, `--where`"
            }
            Self::OneRate { .. } => "tune the rate at both ends of the sizes, or scale it with width by muP",
            Self::WarmupShare { .. } => {
                "let the warmup grow with the run: at most a tenth of the steps of the smallest"
            }
            Self::UndecayedMixed { .. } => {
                "keep the decayed ends only: --where 'is_final == true'; whole curves of one model have a law of their own: forescale fit CURVES --law multi_power"
            }
            Self::SchedulesMixed { .. } => {
                "fit the schedules apart with `--map group=schedule`, or keep one by `--where`"
            }
            Self::Repeated { .. } => "fit a law with a term for repeated tokens, or leave those runs out",
            Self::BatchAboveCritical { .. } => {
                "train the small runs with smaller batches: let the batch grow with the data"
            }
            Self::Spiked { .. } => {
                "train other seeds of these rungs, or lower `learning_rate` or `clip_norm` under `[training]`"
            }
        }
    }
}

impl fmt::Display for TrainingDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RateAtEdge { cells, tuned } => write!(
                f,
                "at {} of {tuned} sizes ({}) the best learning rate is the smallest or largest tried: a better one lies outside, and the loss there is too high",
                cells.len(),
                named(cells)
            ),
            Self::RateSensitive { cell, rise, seed } => write!(
                f,
                "at the size of {cell} a learning rate off by 2x costs {:.2}%, more than seed noise of {:.2}%: rungs tuned on a coarse grid scatter upwards by it",
                100.0 * rise,
                100.0 * seed
            ),
            Self::RatesMixed { cells, runs, .. } => write!(
                f,
                "{runs} runs share {} sizes and data ({}) and differ in their learning rate: those off the best one lift the curve, and the law takes them for noise",
                cells.len(),
                named(cells)
            ),
            Self::OneRate { rate, sizes, span } => write!(
                f,
                "one learning rate, {rate:.2e}, for {sizes} sizes that span {span:.0}x: the best rate falls with size, so that one end is trained worse and the exponent holds the difference"
            ),
            Self::WarmupShare { run, share } => write!(
                f,
                "warmup takes {:.0}% of the steps of {run}, the shortest run: small runs are trained worse than large ones, and the law falls too steeply",
                100.0 * share
            ),
            Self::UndecayedMixed { undecayed, decayed } => write!(
                f,
                "{} runs ({}) end before their rate has decayed, beside {decayed} that decayed: the two lie on different curves by several percent, and a law through both is of neither",
                undecayed.len(),
                named(undecayed)
            ),
            Self::SchedulesMixed { schedules } => write!(
                f,
                "the runs were trained under {} schedules ({}): the loss at one compute differs between them",
                schedules.len(),
                named(schedules)
            ),
            Self::Repeated { runs, epochs } => write!(
                f,
                "{runs} runs saw tokens more than once, up to {epochs:.1} times: past {HARMLESS_EPOCHS:.0} epochs a token seen again is worth less than a fresh one, and a law of D alone counts it in full"
            ),
            Self::BatchAboveCritical { runs, ratio } => write!(
                f,
                "{} runs ({}) have batches up to {ratio:.1} times the critical one that Kaplan et al. estimate from their loss: they waste data, and their loss is too high for their D",
                runs.len(),
                named(runs)
            ),
            Self::Spiked { runs } => write!(f, "{} spiked: a run that spiked may end above the curve", named(runs)),
        }
    }
}
