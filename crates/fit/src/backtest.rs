//! Backtests: predicting what is already known from the smaller runs alone.
//!
//! Targets are the runs with at least C_max/1.5; for ratio r the fit sees only runs with at most (smallest target)/r, and
//! there is no case with fewer than six of them. In `run` mode each target is predicted at its own N and D, in `frontier`
//! mode the compute-optimal loss at its budget: the vertex of an isoFLOP where there are three sizes or more, else the
//! runs of the designated path, never the lowest of several noisy runs.
//!
//! A target is never predicted from its own trunk: runs that share a cluster with it are left out of its case's fit, which
//! then may have too few runs, and no case is made. A vertex holds out the clusters of every run of its band.

use std::collections::BTreeSet;

use forescale_core::estimate::Interval;
use forescale_core::law::LawName;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{BACKTEST_SCHEMA, BacktestCase, BacktestReport, BacktestSummary, Diagnosis};
use forescale_core::predictive::Predictive;
use forescale_core::run::Role;

use crate::crps::crps;
use crate::evaluation::target_sigma;
use crate::fitted::validate;
use crate::forecaster::{Forecaster, forecaster};
use crate::form_error::{MEDIAN_OF_T, expected_error, t4_density};
use crate::path::vertices;
use crate::session::groups;
use crate::stacking::Trial;
use crate::thin;
use crate::{FitError, FitOptions, Target};

/// Targets reach down to the top compute over this.
pub(crate) const BAND: f64 = 1.5;
/// What a forecast asks of its own backtests is asked of about so many targets a question, and answered from about so many
/// smaller runs: past these a profile a target takes minutes, and a width or a weight learnt from more is the same.
pub(crate) const MOST_TARGETS: usize = 64;
pub(crate) const MOST_RUNS: usize = 500;
/// Fewest runs a case is fitted to.
const LEAST_RUNS: usize = 6;
/// Ratios and earlier tops (as shares of C_max) of the rolling backtest that calibrates a forecast.
const ROLLING_RATIOS: [f64; 4] = [3.0, 10.0, 30.0, 100.0];
const ROLLING_TOPS: [f64; 3] = [1.0, 1.0 / 3.0, 1.0 / 9.0];

/// What of a held-out run is predicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BacktestMode {
    /// Each target at its own N and D.
    #[default]
    Run,
    /// The compute-optimal loss at the target's budget.
    Frontier,
}

impl BacktestMode {
    fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Frontier => "frontier",
        }
    }
}

/// What to backtest.
#[derive(Clone, Debug, PartialEq)]
pub struct BacktestOptions {
    /// Laws, objective and level.
    pub fit: FitOptions,
    /// Ratios of target compute to the cut.
    pub ratios: Vec<f64>,
    /// What is predicted.
    pub mode: BacktestMode,
    /// Factor on the error of form that published families taught: 1, unless a benchmark asks what another experience
    /// would have made of the same runs.
    pub form_factor: f64,
}

impl Default for BacktestOptions {
    fn default() -> Self {
        let (fit, mode) = (FitOptions::default(), BacktestMode::default());
        Self { fit, ratios: vec![10.0, 100.0, 1000.0], mode, form_factor: 1.0 }
    }
}

/// Backtests each group at each ratio.
///
/// A ratio that leaves too few runs, or runs that carry no law, gives no case.
///
/// # Errors
///
/// [`FitError`] for a table that holds anything but positive numbers, or a ratio of 1 or less.
pub fn backtest(observations: &[Observation], options: &BacktestOptions) -> Result<BacktestReport, FitError> {
    validate(observations, &options.fit)?;
    if let Some(&value) = options.ratios.iter().find(|ratio| !(ratio.is_finite() && **ratio > 1.0)) {
        return Err(FitError::BadOption { option: "--ratio", value, allowed: "a finite number above 1" });
    }
    let (mut cases, mut diagnoses) = (Vec::new(), Vec::new());
    for (group, runs) in groups(observations) {
        diagnoses.extend(
            crate::forecast::contradiction_of(&runs, &options.fit).map(|doubt| of_group(doubt, group.as_deref())),
        );
        for &ratio in &distinct(&options.ratios) {
            let BacktestOptions { fit, mode, form_factor, .. } = options;
            let (depth, mode, form_factor) = (Depth::Learnt, *mode, *form_factor);
            let question = Question { ratio, mode, top_share: 1.0, fit, depth, form_factor };
            let answers = ask(&runs, &question).answers.into_iter();
            cases.extend(answers.filter_map(|answer| Some(BacktestCase { group: group.clone(), ..answer.case? })));
        }
    }
    Ok(BacktestReport { diagnoses, ..report(cases) })
}

/// A doubt with the name of the group that it is of.
fn of_group(doubt: Diagnosis, group: Option<&str>) -> Diagnosis {
    let message = group.map_or_else(|| doubt.message.clone(), |group| format!("`{group}`: {}", doubt.message));
    Diagnosis { message, ..doubt }
}

/// Each ratio once, in the order asked for.
fn distinct(ratios: &[f64]) -> Vec<f64> {
    let mut kept: Vec<f64> = Vec::with_capacity(ratios.len());
    for &ratio in ratios {
        if kept.iter().all(|known| known.total_cmp(&ratio).is_ne()) {
            kept.push(ratio);
        }
    }
    kept
}

/// Cases with a summary by ratio.
pub(crate) fn report(cases: Vec<BacktestCase>) -> BacktestReport {
    let mut ratios: Vec<f64> = cases.iter().map(|case| case.ratio).collect();
    ratios.sort_by(f64::total_cmp);
    ratios.dedup();
    let summary = ratios.iter().filter_map(|&ratio| summarise(&cases, ratio)).collect();
    BacktestReport { schema: BACKTEST_SCHEMA.to_owned(), cases, summary, diagnoses: Vec::new() }
}

fn summarise(cases: &[BacktestCase], ratio: f64) -> Option<BacktestSummary> {
    let of: Vec<&BacktestCase> = cases.iter().filter(|case| case.ratio.total_cmp(&ratio).is_eq()).collect();
    let errors: Vec<f64> = of.iter().map(|case| case.relative_error.abs()).collect();
    let n = of.len() as f64;
    let judged: Vec<(&Interval, f64)> =
        of.iter().filter_map(|case| interval_90(case).map(|interval| (interval, case.actual))).collect();
    let inside = judged.iter().filter(|(interval, actual)| interval.contains(*actual)).count();
    let mean = |of: fn(&Interval, f64) -> f64| {
        let total: f64 = judged.iter().map(|(interval, actual)| of(interval, *actual) / actual).sum();
        (!judged.is_empty()).then(|| total / judged.len() as f64)
    };
    Some(BacktestSummary {
        ratio,
        median_abs_relative_error: math::median(&errors)?,
        mean_abs_relative_error: errors.iter().sum::<f64>() / n,
        coverage_90: inside as f64 / n,
        mean_width_90: mean(|interval, _| interval.upper - interval.lower),
        mean_interval_score_90: mean(Interval::score),
        crps: of.iter().map(|case| case.crps).sum::<f64>() / n,
        n: of.len() as u64,
    })
}

fn interval_90(case: &BacktestCase) -> Option<&Interval> {
    case.intervals.iter().find(|i| (i.level - 0.9).abs() < 1e-9)
}

/// What one round of a backtest asks.
struct Question<'a> {
    ratio: f64,
    mode: BacktestMode,
    /// Runs above this share of C_max are taken away before anything else: an earlier time.
    top_share: f64,
    fit: &'a FitOptions,
    depth: Depth,
    /// Factor on the error of form.
    form_factor: f64,
}

impl Question<'_> {
    /// Whether a run may be a target: on the frontier no data are repeated, once a law knows what that is.
    fn may_ask(&self, run: &Observation) -> bool {
        self.mode == BacktestMode::Run || !(self.fit.model_repetition() && run.repeats_data())
    }
}

/// How much of an answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// What each law said, without distributions.
    Points,
    /// Cases by laws of equal weight.
    Cases,
    /// Cases with weights and width learnt from backtests below the cut.
    Learnt,
}

/// Cases for calibration, with what each cut says of width and of the laws.
#[derive(Default)]
pub(crate) struct Rolling {
    pub(crate) cases: Vec<BacktestCase>,
    /// One per cut: (decades past it, median |log error|).
    pub(crate) errors: Vec<(f64, f64)>,
    pub(crate) cuts: Vec<Cut>,
    /// Whether any question was of a part of its targets or runs.
    pub(crate) is_part: bool,
}

/// What laws fitted below a cut said of the runs above it.
pub(crate) struct Cut {
    decades: f64,
    /// ln L by run: each law's and the observed.
    runs: Vec<(Vec<(LawName, f64)>, f64)>,
}

impl Cut {
    /// The density that each law gave, with the scatter to expect so far out.
    pub(crate) fn trial(&self, laws: &[LawName]) -> Trial {
        let scale = expected_error(self.decades) / MEDIAN_OF_T;
        let density = |error: f64| t4_density(error / scale);
        let of = |law: &LawName| {
            let at = |(said, observed): &(Vec<(LawName, f64)>, f64)| {
                said.iter().find(|(name, _)| name == law).map(|(_, value)| density(value - observed))
            };
            self.runs.iter().map(at).collect()
        };
        Trial { densities: laws.iter().map(of).collect() }
    }
}

/// Backtests at several ratios and from several earlier tops, with the cases from the top itself.
pub(crate) fn rolling(runs: &[&Observation], fit: &FitOptions) -> Rolling {
    rolling_to(runs, fit, Depth::Cases)
}

/// The same without the cases.
fn rolling_cuts(runs: &[&Observation], fit: &FitOptions) -> Rolling {
    rolling_to(runs, fit, Depth::Points)
}

fn rolling_to(runs: &[&Observation], fit: &FitOptions, depth: Depth) -> Rolling {
    let mut rolling = Rolling::default();
    for top_share in ROLLING_TOPS {
        for ratio in ROLLING_RATIOS {
            let depth = if top_share < 1.0 { Depth::Points } else { depth };
            let mode = BacktestMode::Run;
            let Round { answers, is_part } =
                ask(runs, &Question { ratio, mode, top_share, fit, depth, form_factor: 1.0 });
            rolling.is_part |= is_part;
            let errors: Vec<f64> = answers.iter().map(|answer| (answer.predicted - answer.actual).abs()).collect();
            let Some(error) = math::median(&errors) else { continue };
            let decades = math::log10(ratio);
            rolling.errors.push((decades, error));
            let said = |answer: &Answer| (answer.points.clone(), answer.actual);
            rolling.cuts.push(Cut { decades, runs: answers.iter().map(said).collect() });
            rolling.cases.extend(answers.into_iter().filter_map(|answer| answer.case));
        }
    }
    rolling
}

/// One target's ln L: what each law said, what they say together, and what was.
struct Answer {
    points: Vec<(LawName, f64)>,
    predicted: f64,
    actual: f64,
    case: Option<BacktestCase>,
}

/// The answers to one question.
struct Round {
    answers: Vec<Answer>,
    /// Whether only a part of its targets or runs was looked at.
    is_part: bool,
}

/// The cases of one question; none where too few runs are left.
fn ask(runs: &[&Observation], question: &Question) -> Round {
    let max = runs.iter().map(|o| o.flops).fold(0.0, f64::max) * question.top_share * (1.0 + 1e-9);
    let known: Vec<&Observation> = runs.iter().copied().filter(|o| o.flops <= max).collect();
    let top = known.iter().map(|o| o.flops).fold(0.0, f64::max);
    let band: Vec<&Observation> =
        known.iter().copied().filter(|o| o.flops * BAND >= top && question.may_ask(o)).collect();
    let mut targets = targets(&band, question.mode);
    let lowest = targets.runs.iter().map(|o| o.flops).fold(f64::INFINITY, f64::min);
    let cut = lowest / question.ratio;
    let mut small: Vec<&Observation> = known.into_iter().filter(|o| o.flops <= cut).collect();
    let is_part = question.depth != Depth::Learnt && (targets.runs.len() > MOST_TARGETS || small.len() > MOST_RUNS);
    if is_part {
        targets.runs = thin::kept(targets.runs.len(), MOST_TARGETS).map(|i| targets.runs[i].clone()).collect();
        small = thin::kept(small.len(), MOST_RUNS).map(|i| small[i]).collect();
    }
    let mut predictors: Vec<Predictor> = Vec::new();
    let mut answers = Vec::new();
    for target in &targets.runs {
        let held_out = held_out(target, &band, targets.vertex, &small);
        let at = predictors.iter().position(|known| known.held_out == held_out).unwrap_or_else(|| {
            predictors.push(Predictor::new(held_out, &small, question));
            predictors.len() - 1
        });
        if let Some((forecaster, n)) = &mut predictors[at].ready
            && forecaster.can_speak_of(&asked_of(target, question))
        {
            // Runs of one table without digests are as of one set.
            let digest = target.eval_set_digest.as_deref();
            forecaster.evaluation_sigma = digest.map_or(0.0, |digest| target_sigma(&small, Some(digest)));
            answers.push(answer(forecaster, target, question, *n));
        }
    }
    Round { answers, is_part }
}

/// A forecaster that never saw some clusters; none where too few runs are left or they carry no law.
struct Predictor<'a> {
    held_out: BTreeSet<&'a str>,
    ready: Option<(Forecaster, usize)>,
}

impl<'a> Predictor<'a> {
    fn new(held_out: BTreeSet<&'a str>, small: &[&Observation], question: &Question) -> Self {
        let seen: Vec<&Observation> =
            small.iter().copied().filter(|o| !held_out.contains(o.cluster.as_str())).collect();
        let fitted = (seen.len() >= LEAST_RUNS).then(|| forecaster(&seen, question.fit).ok()).flatten();
        let ready = fitted.map(|(mut forecaster, _)| {
            if question.depth == Depth::Learnt {
                forecaster.learn(&rolling_cuts(&seen, question.fit));
            }
            forecaster.calibration.form.at_one_decade *= question.form_factor;
            (forecaster, seen.len())
        });
        Self { held_out, ready }
    }
}

/// Clusters of the small runs that a target is a branch of, or for a vertex all those of its band.
fn held_out<'a>(
    target: &Observation,
    band: &[&Observation],
    vertex: bool,
    small: &[&'a Observation],
) -> BTreeSet<&'a str> {
    let own = |cluster: &str| match vertex {
        true => band.iter().any(|o| o.cluster == cluster),
        false => target.cluster == cluster,
    };
    small.iter().map(|o| o.cluster.as_str()).filter(|cluster| own(cluster)).collect()
}

/// What is to be predicted: runs, or one vertex that stands for a band of them.
struct Targets {
    runs: Vec<Observation>,
    vertex: bool,
}

/// What is to be predicted of the runs in the top band.
fn targets(band: &[&Observation], mode: BacktestMode) -> Targets {
    let own = |keep: fn(&Observation) -> bool| {
        let runs = band.iter().filter(|o| keep(o)).map(|o| (*o).clone()).collect();
        Targets { runs, vertex: false }
    };
    if mode == BacktestMode::Run {
        return own(|_| true);
    }
    let vertices = vertices(band);
    let roles_known = band.iter().any(|o| o.role.is_some());
    match vertices.last() {
        Some(vertex) if !roles_known => Targets { runs: vec![vertex.clone()], vertex: true },
        _ if roles_known => own(|o| o.role != Some(Role::OffPath)),
        _ => own(|_| true),
    }
}

/// A known run as a target: its budget alone, or at its own N and D where it tells them, and U where a law models repeated
/// data.
fn asked_of(target: &Observation, question: &Question) -> Target {
    let budget = Target::of_budget(target.flops);
    let own = target.size_and_data().filter(|_| question.mode == BacktestMode::Run);
    let Some((params, tokens)) = own else { return budget };
    let unique_tokens = target.unique_tokens.filter(|_| question.fit.model_repetition());
    Target { params: Some(params), tokens: Some(tokens), unique_tokens, ..budget }
}

fn answer(forecaster: &Forecaster, target: &Observation, question: &Question, n_fit: usize) -> Answer {
    let asked = asked_of(target, question);
    let (mut points, predicted) = forecaster.points(&asked);
    if asked.unique_tokens.is_some() && target.repeats_data() {
        points.retain(|(law, _)| law.form().models_repetition());
    }
    let full = |predictive| case(&predictive, target, question, (forecaster.max_flops, n_fit));
    let wanted = (question.depth != Depth::Points).then(|| forecaster.predictive(&asked)).flatten();
    let case = wanted.map(full);
    Answer { points, predicted, actual: math::ln(target.loss), case }
}

fn case(
    predictive: &Predictive,
    target: &Observation,
    question: &Question,
    (cut_flops, n_fit): (f64, usize),
) -> BacktestCase {
    let (predicted, actual) = (predictive.median(), target.loss);
    BacktestCase {
        group: target.group.clone(),
        target_run_id: target.run_id.clone(),
        ratio: question.ratio,
        mode: question.mode.name().to_owned(),
        law: law_name(question.fit),
        cut_flops,
        target_flops: target.flops,
        predicted,
        actual,
        relative_error: predicted / actual - 1.0,
        intervals: vec![predictive.interval(0.9), predictive.interval(0.5)],
        crps: crps(predictive, actual),
        pit: predictive.probability(actual),
        n_fit: n_fit as u64,
    }
}

/// The one law asked for, or `ensemble` of several.
fn law_name(fit: &FitOptions) -> String {
    match fit.laws.as_slice() {
        [law] => law.to_string(),
        _ => "ensemble".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::published;

    fn runs() -> Vec<Observation> {
        published::with_noise(&published::grid([482.01, 2085.43, 1.8172, 0.3478, 0.3658]), 0.004, 9)
    }

    #[test]
    fn a_cut_sees_only_runs_below_target_over_ratio() {
        let report = backtest(&runs(), &BacktestOptions::default()).expect("cases");
        assert!(!report.cases.is_empty());
        for case in &report.cases {
            assert!(case.cut_flops * case.ratio <= case.target_flops * (1.0 + 1e-9));
            assert!((case.relative_error - (case.predicted / case.actual - 1.0)).abs() < 1e-12);
            assert!((0.0..=1.0).contains(&case.pit) && case.crps >= 0.0);
        }
    }

    /// Seven trunks, each with a branch in every budget.
    fn branched(runs: &[Observation]) -> Vec<Observation> {
        let named = |(i, o): (usize, &Observation)| Observation { cluster: format!("trunk{}", i % 7), ..o.clone() };
        runs.iter().enumerate().map(named).collect()
    }

    #[test]
    fn no_case_is_fitted_to_a_run_of_its_targets_trunk() {
        // Seven trunks with a branch in each of five budgets; at a ratio of 10 four budgets of seven runs lie below the
        // cut, and each of the seven targets takes its own trunk's four away.
        let options = BacktestOptions { ratios: vec![9.0], ..BacktestOptions::default() };
        let apart = backtest(&runs(), &options).expect("cases");
        let together = backtest(&branched(&runs()), &options).expect("cases");
        assert!(apart.cases.iter().all(|case| case.n_fit == 28) && apart.cases.len() == 7, "{:?}", apart.summary);
        assert!(together.cases.iter().all(|case| case.n_fit == 24) && together.cases.len() == 7);
        let first = |report: &BacktestReport| report.cases[0].predicted;
        assert!((first(&apart) - first(&together)).abs() > 0.0);
    }

    #[test]
    fn the_loss_of_a_trunks_smaller_branch_does_not_reach_its_targets_forecast() {
        let options = BacktestOptions { ratios: vec![9.0], ..BacktestOptions::default() };
        let clean = branched(&runs());
        let mut spoilt = clean.clone();
        spoilt.iter_mut().filter(|o| o.cluster == "trunk3" && o.flops < 1e21).for_each(|o| o.loss *= 1.1);
        let of = |runs: &[Observation], cluster: &str| {
            let target = runs.iter().rfind(|o| o.cluster == cluster).expect("a branch").run_id.clone();
            let report = backtest(runs, &options).expect("cases");
            report.cases.into_iter().find(|case| case.target_run_id == target).expect("a case").predicted
        };
        assert_eq!(of(&clean, "trunk3").to_bits(), of(&spoilt, "trunk3").to_bits());
        assert_ne!(of(&clean, "trunk2").to_bits(), of(&spoilt, "trunk2").to_bits());
    }

    #[test]
    fn a_vertex_holds_out_every_trunk_of_its_band() {
        let options = BacktestOptions { ratios: vec![9.0], mode: BacktestMode::Frontier, ..BacktestOptions::default() };
        assert_eq!(backtest(&runs(), &options).expect("cases").cases.len(), 1);
        assert!(backtest(&branched(&runs()), &options).expect("an answer").cases.is_empty());
    }

    #[test]
    fn a_true_law_is_forecast_within_two_percent_at_ten_and_a_hundred_times() {
        for mode in [BacktestMode::Run, BacktestMode::Frontier] {
            let options = BacktestOptions { mode, ratios: vec![10.0, 100.0], ..BacktestOptions::default() };
            let report = backtest(&runs(), &options).expect("cases");
            for summary in &report.summary {
                assert!(summary.median_abs_relative_error < 0.02, "{mode:?} {summary:?}");
                assert!(summary.coverage_90 > 0.8, "{mode:?} {summary:?}");
            }
        }
    }

    #[test]
    fn the_order_of_rows_moves_no_prediction() {
        let mut turned = runs();
        turned.reverse();
        let [one, other] = [runs(), turned].map(|runs| backtest(&runs, &BacktestOptions::default()).expect("cases"));
        assert!(!one.cases.is_empty());
        for case in &one.cases {
            let again = other
                .cases
                .iter()
                .find(|c| c.target_run_id == case.target_run_id && c.ratio.total_cmp(&case.ratio).is_eq());
            let again = again.expect("the same case");
            for (here, there) in
                [(case.predicted, again.predicted), (case.intervals[0].upper, again.intervals[0].upper)]
            {
                assert!((here / there - 1.0).abs() < 1e-6, "{here} {there}");
            }
        }
    }

    #[test]
    fn a_case_names_the_one_law_asked_for_or_the_ensemble() {
        let of = |laws: Vec<LawName>| {
            let fit = FitOptions { laws, ..FitOptions::default() };
            let options = BacktestOptions { fit, ratios: vec![10.0], ..BacktestOptions::default() };
            backtest(&runs(), &options).expect("cases").cases[0].law.clone()
        };
        assert_eq!(of(vec![LawName::CHINCHILLA]), "chinchilla");
        assert_eq!(of(FitOptions::default().laws), "ensemble");
    }

    #[test]
    fn summaries_are_those_of_their_cases() {
        let report = backtest(&runs(), &BacktestOptions::default()).expect("cases");
        let counted: u64 = report.summary.iter().map(|summary| summary.n).sum();
        assert_eq!(counted, report.cases.len() as u64);
    }

    #[test]
    fn a_ratio_of_one_is_refused() {
        let options = BacktestOptions { ratios: vec![1.0], ..BacktestOptions::default() };
        let text = backtest(&runs(), &options).expect_err("refused").to_string();
        assert!(text.starts_with("--ratio is 1; it must be a finite number above 1"), "{text}");
    }

    #[test]
    fn a_ratio_asked_for_twice_is_answered_once() {
        assert_eq!(distinct(&[10.0, 3.0, 10.0]), [10.0, 3.0]);
    }

    #[test]
    fn too_few_small_runs_give_no_case_and_no_error() {
        let options = BacktestOptions { ratios: vec![1e5], ..BacktestOptions::default() };
        assert!(backtest(&runs(), &options).expect("an answer").cases.is_empty());
    }
}
