//! Forecasting runs that were not trained yet.
//!
//! Every law that the runs carry, fitted so that it can be carried far ([`crate::ahead`]), gives a distribution of log loss
//! at the target; the ensemble is their mixture, weighted by backtests below earlier cuts of the same runs (equally up to
//! eight of them, [`crate::stacking`]), blurred by seed noise and by a model-form term that grows with decades beyond the
//! data and learns from the same backtests. What a law is a special case of speaks for it, and a path law drawn through few
//! vertices is silent beside a law of size and data. How well this does is in `benches/forecast-skill.md`.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use forescale_core::law::{Domain, LawName};
use forescale_core::math;
use forescale_core::observation::{FlopsPerProduct, Observation};
use forescale_core::outcome::{
    BacktestCase, BacktestReport, Diagnosis, FORECAST_SCHEMA, Forecast, ForecastStatus, ForecastTarget, Optimum,
    Severity,
};
use forescale_core::quantity::LossUnit;

use crate::backtest::{self, report};
use crate::diagnose::{
    Doubt, FITS_APART, FitKind, FormDoubt, Reason, TargetDoubt, does_not_fall, doubts_of_a_say, doubts_of_runs,
    evidence, heaviest_first, no_floor, not_asymptotic, told, uncertified,
};
use crate::ensemble::{mean_interval, validate_level};
use crate::evaluation::target_sigma;
use crate::fitted::{Fitted, check_split, seen_by, validate};
use crate::forecaster::{Forecaster, WORTH_A_WORD, forecaster};
use crate::optimum::optimum_beyond;
use crate::session::{groups, inputs, pick_one};
use crate::{FitError, FitOptions};
use forescale_core::quantity::{LARGEST, SMALLEST};

/// Laws of less weight together than this have next to no say. Chosen here.
const UNHEARD: f64 = 0.05;
/// A target so many decades below the smallest run, or more, is worth a word.
const WORTH_SAYING: f64 = 0.3;
/// Compute that agrees up to this is one.
const SAME_COMPUTE: f64 = 1e-3;

/// The run to forecast.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Compute C, FLOPs.
    pub flops: f64,
    /// Size N; compute-optimal where neither size nor data is given.
    pub params: Option<f64>,
    /// Data D, tokens.
    pub tokens: Option<f64>,
    /// Distinct tokens U, where they are told: the run repeats its data where they are fewer than D.
    pub unique_tokens: Option<f64>,
}

impl Target {
    /// A compute-optimal run of fresh data at a budget.
    #[must_use]
    pub const fn of_budget(flops: f64) -> Self {
        Self { flops, params: None, tokens: None, unique_tokens: None }
    }

    /// A run of N parameters and D tokens, whose compute follows as that of these runs does: their median C / (N·D) times
    /// N·D, or 6 where there is none.
    #[must_use]
    pub fn of_shape(params: f64, tokens: f64, observations: &[Observation]) -> Self {
        let flops = flops_per_product(observations) * params * tokens;
        Self { params: Some(params), tokens: Some(tokens), ..Self::of_budget(flops) }
    }
}

/// The median of C/(N·D): 6 under 6ND, and what takes its place under another rule.
pub(crate) fn flops_per_product(observations: &[Observation]) -> f64 {
    FlopsPerProduct::of(observations).map_or(6.0, |of| of.median)
}

/// How to forecast.
#[derive(Clone, Debug, PartialEq)]
pub struct ForecastOptions {
    /// Laws, objective and level.
    pub fit: FitOptions,
    /// Name of the metric.
    pub metric: String,
    /// Its unit.
    pub unit: LossUnit,
    /// Evaluation set the target will be measured on, where it is known: on another than the runs', or an unknown one, the
    /// errors of both sets (`loss_se`) widen the interval of one run.
    pub eval_set_digest: Option<String>,
    /// Whether to backtest on the same runs, and to learn the width from it.
    pub backtest: bool,
}

impl Default for ForecastOptions {
    fn default() -> Self {
        let (metric, unit) = ("loss".to_owned(), LossUnit::default());
        Self { fit: FitOptions::default(), metric, unit, eval_set_digest: None, backtest: true }
    }
}

/// Forecasts each target from the runs of one group.
///
/// Where no law can be fitted, the runs contradict any forecast made from them (a doubt that is an error: losses that do
/// not fall, undecayed runs among decayed ones), or the target contradicts itself (compute that its size and data do not
/// make), the target's status is `refused`, with the reason.
///
/// # Errors
///
/// [`FitError`] for a table that holds anything but positive numbers, a repeated identity, or a target that is not a
/// positive number.
pub fn forecast(
    observations: &[Observation],
    targets: &[Target],
    options: &ForecastOptions,
) -> Result<Forecast, FitError> {
    validate(observations, &options.fit)?;
    validate_level(options.fit.level)?;
    targets.iter().try_for_each(validate_target)?;
    targets.iter().try_for_each(|target| check_shape(target, observations))?;
    Ok(assemble(observations, targets, options, prepare(observations, options)))
}

/// The forecast of each target by a forecaster that is ready, or its refusal.
pub(crate) fn assemble(
    observations: &[Observation],
    targets: &[Target],
    options: &ForecastOptions,
    (prepared, backtest): (Prepared, Option<BacktestReport>),
) -> Forecast {
    let (entries, mut diagnoses) = match prepared {
        Ok((forecaster, mut diagnoses)) => {
            let outlooks = targets.iter().map(|target| forecast_one(&forecaster, target, options));
            let (entries, doubts): (Vec<_>, Vec<_>) = outlooks.unzip();
            let mut doubts: Vec<Doubt> = doubts.into_iter().flatten().collect();
            once(&mut doubts);
            doubts.extend(near_start(observations, options));
            doubts.extend(backtest.as_ref().and_then(missed));
            let heard = heard(&entries);
            doubts.extend(model_form(forecaster.bare_laws(&heard), &doubts));
            let is_heard = |law: &&Fitted| heard.contains(&law.law.to_string());
            let ahead = forecaster.laws().filter(is_heard).filter_map(|law| uncertified(law, FitKind::Ahead));
            doubts.extend(ahead.map(Doubt::from));
            let rests_on = resting_on(heard, &entries);
            let plain = forecaster.bare_laws(&rests_on).filter_map(|law| uncertified(law, FitKind::Plain));
            doubts.extend(plain.map(Doubt::from));
            let runs: Vec<&Observation> = observations.iter().collect();
            doubts.extend(repeated(forecaster.bare_laws(&rests_on), &runs, &options.fit));
            diagnoses.extend(doubts.iter().map(Doubt::diagnosis));
            (entries, diagnoses)
        }
        Err(Refusal { reason, hint, diagnoses }) => {
            let entries = targets.iter().map(|target| refused(target, &reason, options)).collect();
            let is_told = !diagnoses.is_empty();
            (entries, if is_told { diagnoses } else { vec![Doubt::NoForecast { hint }.diagnosis()] })
        }
    };
    heaviest_first(&mut diagnoses);
    let schema = FORECAST_SCHEMA.to_owned();
    Forecast { schema, targets: entries, reach: None, answers: None, backtest, diagnoses, inputs: inputs(observations) }
}

/// A forecast of one target as it was sealed, and not as today's code would say: a doubt that compares the target's own numbers
/// is one of the numbers sealed.
#[must_use]
pub fn as_sealed(forecast: Forecast, sealed: &ForecastTarget) -> Forecast {
    let own = fits_apart(sealed).map(|doubt| Doubt::from(doubt).diagnosis());
    let others = forecast.diagnoses.into_iter().filter(|doubt| doubt.code != FITS_APART);
    let diagnoses = own.into_iter().chain(others).collect();
    Forecast { targets: vec![sealed.clone()], diagnoses, ..forecast }
}

/// What `fit` warns of these laws over these runs.
fn repeated<'a>(
    laws: impl Iterator<Item = &'a Fitted>,
    runs: &[&Observation],
    options: &FitOptions,
) -> impl Iterator<Item = Doubt> {
    laws.flat_map(|law| doubts_of_a_say(law, &seen_by(law.law, runs, options)))
}

/// Leaves out what is said of a second target in the words of a first.
fn once(doubts: &mut Vec<Doubt>) {
    let mut said: Vec<Doubt> = Vec::new();
    doubts.retain(|doubt| {
        let is_new = !said.contains(doubt);
        said.extend(is_new.then(|| doubt.clone()));
        is_new
    });
}

/// Refuses a target that tells more than its compute where the runs tell no more.
///
/// # Errors
///
/// [`FitError::NoSplit`], by what the target tells.
pub fn check_shape(target: &Target, observations: &[Observation]) -> Result<(), FitError> {
    let told = [("params", target.params), ("tokens", target.tokens), ("unique_tokens", target.unique_tokens)];
    let told: Vec<String> =
        told.iter().filter(|(_, value)| value.is_some()).map(|(name, _)| format!("`{name}`")).collect();
    if told.is_empty() {
        return Ok(());
    }
    check_split(&format!("a target with {}", told.join(" and ")), observations.iter())
}

pub(crate) fn validate_target(target: &Target) -> Result<(), FitError> {
    let given = [
        ("flops", Some(target.flops)),
        ("params", target.params),
        ("tokens", target.tokens),
        ("unique_tokens", target.unique_tokens),
    ];
    let bad = given
        .into_iter()
        .find_map(|(option, value)| value.filter(|v| !(SMALLEST..=LARGEST).contains(v)).map(|value| (option, value)));
    match bad {
        Some((option, value)) => {
            Err(FitError::BadOption { option, value, allowed: "a number above 0, between 1e-60 and 1e60" })
        }
        None => Ok(()),
    }
}

pub(crate) type Prepared = Result<(Forecaster, Vec<Diagnosis>), Refusal>;

/// Why there is no forecast, and what can be done.
pub(crate) struct Refusal {
    pub(crate) reason: String,
    pub(crate) hint: String,
    /// What was doubted of the runs, where it is their doubts that refuse.
    diagnoses: Vec<Diagnosis>,
}

impl Refusal {
    fn new(reason: String, hint: String) -> Self {
        Self { reason, hint, diagnoses: Vec::new() }
    }

    /// Because no law could be fitted: what is doubted of the runs may be why, and is the reason where it is sure.
    fn without_a_law(error: &FitError, runs: &[&Observation], options: &FitOptions) -> Self {
        let doubts = doubts_of_runs(runs, options).into_iter().map(|doubt| doubt.diagnosis());
        let mut found: Vec<Diagnosis> = doubts.filter(|doubt| doubt.severity != Severity::Note).collect();
        if let Some(doubt) = contradiction(&found).cloned() {
            return Self::of(found, &doubt);
        }
        found.insert(0, Doubt::NoForecast { hint: error.hint() }.diagnosis());
        Self { reason: error.fault(), hint: error.hint(), diagnoses: found }
    }

    /// By a doubt that contradicts any forecast made from these runs.
    fn of(diagnoses: Vec<Diagnosis>, doubt: &Diagnosis) -> Self {
        Self { reason: doubt.message.clone(), hint: doubt.hint.clone(), diagnoses }
    }
}

/// A calibrated forecaster, or the reason why there is none; and the backtest that calibrated it.
pub(crate) fn prepare(observations: &[Observation], options: &ForecastOptions) -> (Prepared, Option<BacktestReport>) {
    let groups = groups(observations);
    let Some(runs) = groups.values().next().filter(|_| groups.len() == 1) else {
        let reason = format!("the runs fall into {} groups, and a forecast is made from one", groups.len());
        return (Err(Refusal::new(reason, pick_one(&groups, &options.fit))), None);
    };
    let (mut forecaster, mut refusals) = match forecaster(runs, &options.fit) {
        Ok(prepared) => prepared,
        Err(error) => return (Err(Refusal::without_a_law(&error, runs, &options.fit)), None),
    };
    forecaster.fit_bare(runs, &options.fit);
    forecaster.evaluation_sigma = target_sigma(runs, options.eval_set_digest.as_deref());
    refusals.extend(doubts_before(&forecaster, runs, &options.fit));
    refusals.extend(evaluation_unknown(runs, forecaster.evaluation_sigma).map(|doubt| Doubt::from(doubt).diagnosis()));
    if let Some(doubt) = contradiction(&refusals).cloned() {
        // One run may be what contradicts the others.
        refusals.extend(repeated(forecaster.own_laws(), runs, &options.fit).map(|doubt| doubt.diagnosis()));
        return (Err(Refusal::of(refusals, &doubt)), None);
    }
    if !options.backtest {
        return (Ok((forecaster, refusals)), None);
    }
    let rolling = backtest::rolling(runs, &options.fit);
    forecaster.learn(&rolling);
    let part = TargetDoubt::PartOfBacktests {
        runs: runs.len(),
        most_fitted: backtest::MOST_RUNS,
        most_targets: backtest::MOST_TARGETS,
    };
    refusals.extend(rolling.is_part.then(|| Doubt::from(part).diagnosis()));
    let report = (!rolling.cases.is_empty()).then(|| report(rolling.cases));
    (Ok((forecaster, refusals)), report)
}

/// Whether runs that name no evaluation set are why the target's interval holds the errors of two.
fn evaluation_unknown(runs: &[&Observation], sigma: f64) -> Option<TargetDoubt> {
    let untold = runs.iter().filter(|run| run.eval_set_digest.is_none()).map(|run| format!("`{}`", run.name));
    let untold: Vec<String> = untold.collect();
    (sigma > 0.0 && !untold.is_empty()).then_some(TargetDoubt::EvaluationUnknown { untold, runs: runs.len(), sigma })
}

/// What is doubted of the runs and of the laws over them, before anything is asked of those.
fn doubts_before(forecaster: &Forecaster, runs: &[&Observation], options: &FitOptions) -> Vec<Diagnosis> {
    let bends = |law: &Fitted| not_asymptotic(law, &seen_by(law.law, runs, options));
    let mut doubts: Vec<Diagnosis> = doubts_of_runs(runs, options).iter().map(Doubt::diagnosis).collect();
    doubts.extend(falling(forecaster.laws()));
    doubts.extend(forecaster.laws().filter_map(bends).map(|doubt| doubt.diagnosis()));
    doubts
}

/// The doubt by which runs of one group contradict any forecast made from them.
pub(crate) fn contradiction_of(runs: &[&Observation], options: &FitOptions) -> Option<Diagnosis> {
    let (mut forecaster, _) = forecaster(runs, options).ok()?;
    forecaster.fit_bare(runs, options);
    contradiction(&doubts_before(&forecaster, runs, options)).cloned()
}

/// The laws that cannot do what their runs do (fall not at all, rise at the end, bend both ways): an error where that is all that
/// are carried beyond the data, a warning beside another.
pub(crate) fn falling<'a>(laws: impl Iterator<Item = &'a Fitted>) -> Vec<Diagnosis> {
    let doubted: Vec<(&Fitted, Option<Doubt>)> = laws.map(|law| (law, does_not_fall(law))).collect();
    let is_carried = |law: &Fitted| law.law.form().extrapolates();
    let none_is = !doubted.iter().any(|(law, _)| is_carried(law));
    let is_all = doubted.iter().filter(|(law, _)| none_is || is_carried(law)).all(|(_, doubt)| doubt.is_some());
    let severity = if is_all { Severity::Error } else { Severity::Warning };
    let doubts = doubted.into_iter().filter_map(|(_, doubt)| doubt);
    doubts.map(|doubt| Diagnosis { severity, ..doubt.diagnosis() }).collect()
}

/// The doubt by which the runs contradict any forecast made from them.
pub(crate) fn contradiction(diagnoses: &[Diagnosis]) -> Option<&Diagnosis> {
    diagnoses.iter().find(|doubt| doubt.severity == Severity::Error)
}

/// Why there is no forecast where every law leaves the numbers, and what to do.
pub(crate) const NO_NUMBER: (&str, &str) = (
    "no law gives a number for this target: its loss there is beyond 1e260, or below 1e-260",
    "ask for a target nearer to the runs, and look for a loss that is off by orders of magnitude",
);

/// A median this near, in ln L, to where distributions are cut is the cut, and nothing that a law says.
const CUT: f64 = 1e-9;

/// Why there is no forecast where the laws leave the losses that runs like these can have, and what to do.
const CUT_SHORT: (&str, &str) = (
    "the laws say a loss for this target that is beyond twice the largest of the runs, or below a tenth of the smallest: it lies too far from them in size, data or compute",
    "ask for a target whose tokens per parameter and compute lie nearer to those of the runs",
);

fn forecast_one(forecaster: &Forecaster, target: &Target, options: &ForecastOptions) -> (ForecastTarget, Vec<Doubt>) {
    let refuse = |reason: &str, hint: &str| {
        (refused(target, reason, options), vec![Doubt::NoForecast { hint: hint.to_owned() }])
    };
    if let Some((reason, hint)) = beyond_the_laws(forecaster, target) {
        return refuse(reason, hint);
    }
    if let Some((reason, hint)) = alone(forecaster, target) {
        return refuse(&reason, hint);
    }
    if let Some(doubt) = forecaster.contradiction(target) {
        return (refused(target, &doubt.to_string(), options), vec![doubt]);
    }
    let outlook = forecaster.outlook(target);
    let Some(predictive) = outlook.predictive else {
        let (reason, hint) = NO_NUMBER;
        return refuse(reason, hint);
    };
    let (least, most) = forecaster.bounds_at(target);
    if !(least + CUT..=most - CUT).contains(&math::ln(predictive.median())) {
        let (reason, hint) = CUT_SHORT;
        return refuse(reason, hint);
    }
    let levels = interval_levels(options.fit.level);
    let entry = ForecastTarget {
        status: ForecastStatus::Forecast,
        reason: None,
        median: Some(predictive.median()),
        intervals: levels.iter().map(|&level| predictive.interval(level)).collect(),
        mean_intervals: levels.iter().map(|&level| mean_interval(&outlook.means, level)).collect(),
        predictive: Some(predictive),
        decades_beyond_data: outlook.decades_beyond,
        laws: outlook.laws,
        optimum: optimum(forecaster, target),
        ..blank(target, options)
    };
    let mut doubts = outlook.doubts;
    doubts.extend(told::doubts(target, &entry, forecaster.laws()).into_iter().map(Doubt::from));
    doubts.extend(forecaster.laws().filter_map(|law| no_floor(law, Some(target.flops))).map(Doubt::from));
    let decades = outlook.decades_beyond;
    doubts.extend((decades > 0.0).then(|| FormDoubt::BreakBeyond { decades }.into()));
    doubts.extend(fits_apart(&entry).map(Doubt::from));
    let best_by = entry.optimum.as_ref().and_then(|best| best.law.as_deref());
    doubts.extend(best_by.and_then(|law| optimum_beyond(law, decades)).map(Doubt::from));
    doubts.extend(optimum_unheard(&entry, forecaster).map(Doubt::from));
    doubts.extend(forecaster.beyond_ratios(target, entry.optimum.as_ref()).map(Doubt::from));
    doubts.extend(place_among_runs(forecaster, target).map(Doubt::from));
    (entry, doubts)
}

/// Where the target lies in compute, unless it is no smaller than the largest run.
fn place_among_runs(forecaster: &Forecaster, target: &Target) -> Option<TargetDoubt> {
    let below = -math::log10(target.flops / forecaster.max_flops) - forecaster.decades;
    if below > WORTH_SAYING {
        return Some(TargetDoubt::BelowData { decades: below });
    }
    let (flops, largest) = (target.flops, forecaster.max_flops);
    (flops < largest * (1.0 - SAME_COMPUTE)).then_some(TargetDoubt::InsideData { flops, largest })
}

/// Whether the two kinds of fit say different things of the target: the median of one run lies outside the interval of the
/// mean, or that interval reaches beyond the one of one run.
pub(crate) fn fits_apart(entry: &ForecastTarget) -> Option<TargetDoubt> {
    let (median, mean, one) = (entry.median?, *entry.mean_intervals.first()?, *entry.intervals.first()?);
    let is_worth = |factor: f64| factor - 1.0 > WORTH_A_WORD;
    let is_outside = is_worth((mean.lower / median).max(median / mean.upper));
    let sticks_out = is_worth((one.lower / mean.lower).max(mean.upper / one.upper));
    (is_outside || sticks_out).then_some(TargetDoubt::FitsApart { median, mean, one, is_outside })
}

/// Whether no law that tells size from data has a say beside the optimum that is read from one of them.
fn optimum_unheard(entry: &ForecastTarget, forecaster: &Forecaster) -> Option<TargetDoubt> {
    entry.optimum.as_ref()?;
    let tells = |law: &str| law.parse::<LawName>().is_ok_and(|law| law.form().domain() != Domain::Compute);
    let weight = entry.laws.iter().filter(|one| tells(&one.law)).map(|one| one.weight).sum::<f64>();
    let law = forecaster.surface()?.law.to_string();
    (weight < UNHEARD).then_some(TargetDoubt::OptimumUnheard { law, weight })
}

/// What these laws cannot be asked, with what to do.
fn beyond_the_laws(forecaster: &Forecaster, target: &Target) -> Option<(&'static str, &'static str)> {
    let is_shaped = target.params.is_some() || target.tokens.is_some();
    if target.unique_tokens.is_some() && !is_shaped {
        let reason = "the target tells its distinct tokens and neither its size nor its data, so that nothing says how often it sees them";
        return Some((reason, "give the target's params or tokens beside its flops"));
    }
    let reason = "the target repeats its data, and no law fitted to these runs models that";
    (!forecaster.can_speak_of(target))
        .then_some((reason, "ask for `--law data_constrained`, with runs that repeat data"))
}

/// Why runs of one size, or of one amount of data, tell nothing of a target that has another, and what to do.
pub(crate) fn alone(forecaster: &Forecaster, target: &Target) -> Option<(String, &'static str)> {
    let (name, value) = forecaster.alone(target)?;
    let reason = format!(
        "all runs have {name} of {value:.4e}: their curve is that of this one value, and says nothing of a compute-optimal run or of another"
    );
    Some((
        reason,
        "train runs of other sizes and data, or give the target the one that the runs have (--at params=…,tokens=…)",
    ))
}

/// The best split of the budget, for which data are taken as fresh: none where it needs more of them than there are.
fn optimum(forecaster: &Forecaster, target: &Target) -> Option<Optimum> {
    let enough = |best: &Optimum| target.unique_tokens.is_none_or(|unique| best.tokens.estimate <= unique);
    forecaster.optimum(target.flops).filter(enough)
}

/// The laws that have a say in a forecast.
fn heard(entries: &[ForecastTarget]) -> BTreeSet<String> {
    let laws = entries.iter().flat_map(|entry| &entry.laws);
    laws.filter(|law| law.weight > 0.0).map(|law| law.law.clone()).collect()
}

/// Those, and the laws that an optimum is read from.
fn resting_on(heard: BTreeSet<String>, entries: &[ForecastTarget]) -> BTreeSet<String> {
    heard.into_iter().chain(entries.iter().filter_map(|entry| entry.optimum.as_ref()?.law.clone())).collect()
}

/// All that speaks against the form of the laws: their residuals, each other, and the runs already known.
fn model_form<'a>(laws: impl Iterator<Item = &'a Fitted>, doubts: &[Doubt]) -> Option<Doubt> {
    let mut reasons: Vec<Reason> = laws.flat_map(evidence).collect();
    let is_disagreeing = doubts.iter().any(|doubt| matches!(doubt, Doubt::LawsDisagree { .. }));
    let plain = |words: &str| Reason::plain(words.to_owned());
    reasons.extend(is_disagreeing.then(|| plain("the laws differ by more than their intervals")));
    let is_missing = doubts.iter().any(|doubt| matches!(doubt, Doubt::BacktestMissed { .. }));
    reasons.extend(is_missing.then(|| plain("the same laws missed runs already known")));
    (!reasons.is_empty()).then(|| FormDoubt::ModelForm { law: None, reasons }.into())
}

/// The level asked for, and one half.
fn interval_levels(level: f64) -> Vec<f64> {
    if (level - 0.5).abs() < 1e-9 { vec![level] } else { vec![level, 0.5] }
}

fn refused(target: &Target, reason: &str, options: &ForecastOptions) -> ForecastTarget {
    ForecastTarget { reason: Some(reason.to_owned()), ..blank(target, options) }
}

fn blank(target: &Target, options: &ForecastOptions) -> ForecastTarget {
    ForecastTarget {
        status: ForecastStatus::Refused,
        reason: None,
        flops: target.flops,
        params: target.params,
        tokens: target.tokens,
        unique_tokens: target.unique_tokens,
        metric: options.metric.clone(),
        unit: options.unit,
        median: None,
        predictive: None,
        intervals: Vec::new(),
        mean_intervals: Vec::new(),
        decades_beyond_data: 0.0,
        laws: Vec::new(),
        optimum: None,
    }
}

/// Above this share of the start level the curve is not yet a power law: the tiny ladder on Rust source is S-shaped up to
/// 0.5 of its unigram entropy.
const NEAR_START: f64 = 0.5;

fn near_start(observations: &[Observation], options: &ForecastOptions) -> Option<Doubt> {
    let start = options.fit.start_level?;
    let highest = observations.iter().map(|o| o.loss).fold(0.0, f64::max);
    (highest > NEAR_START * start).then_some(Doubt::NearStart { highest, start })
}

/// Whether what was known already lay outside too often: of all cases, four or more, fewer than three in four inside (or none of three), or at
/// one ratio, of eight or more, fewer than two in three, as nine in ten would leave one time in twenty-five.
fn missed(report: &BacktestReport) -> Option<Doubt> {
    let is_inside = |case: &&BacktestCase| case.intervals.iter().any(|i| i.level > 0.6 && i.contains(case.actual));
    let counted = |cases: &[&BacktestCase]| (cases.len(), cases.iter().copied().filter(is_inside).count());
    let doubt = |ratio, (cases, inside): (usize, usize)| Doubt::BacktestMissed {
        ratio,
        cases,
        inside: inside as f64 / cases as f64,
    };
    let all = counted(&report.cases.iter().collect::<Vec<_>>());
    if all.0 >= 4 && 4 * all.1 < 3 * all.0 || all.0 == 3 && all.1 == 0 {
        return Some(doubt(None, all));
    }
    let at = |ratio: f64| report.cases.iter().filter(move |case| (case.ratio - ratio).abs() < 1e-9).collect::<Vec<_>>();
    let ratios = report.summary.iter().map(|line| (line.ratio, counted(&at(line.ratio))));
    let worst = ratios.filter(|(_, (cases, inside))| *cases >= 8 && 3 * inside < 2 * cases);
    worst.min_by_key(|(_, (cases, inside))| 1000 * inside / cases).map(|(ratio, count)| doubt(Some(ratio), count))
}
