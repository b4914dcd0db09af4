//! Accuracy of the tasks of a table: through a loss in two steps, and straight from compute.
//!
//! # Formula
//!
//! - **Two steps**, where runs tell N, D and a loss (of the task, or of a validation set): the loss at the target is what
//!   [`crate::forecast()`] says, distribution and all; accuracy is a sigmoid of it ([`super::sigmoid`], its lower end about
//!   chance), each run counted in proportion to its compute, because runs far from the target tell little of the curve
//!   there.
//! - **Straight**: a sigmoid of ln C from chance, each run alike.
//!
//! The answer lies between the two: quantiles are averaged. Its width is the laws' own (refits to clusters of runs drawn
//! with replacement, and the distribution of the loss), blurred by one Student's t with 4 degrees of freedom whose squared
//! scale is the sum of those of the scatter of scores, of half the distance between the two, and of the error of form.
//! Nothing lies below 0 or above 1.

use std::collections::BTreeMap;

use forescale_core::capability::{
    CAPABILITY_SCHEMA, CapabilityForecast, CapabilityTarget, Measure, Rung, TaskForecast, TaskScore,
};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, Severity};
use forescale_core::predictive::Predictive;

use super::entry::{Name, Outlook, Sight, entry, law, said};
use super::gate::of_accuracy;
use super::rungs::{Seen, rungs};
use super::sigmoid::{Bottom, Score, Sigmoid};
use super::turn::{transformed, turn};
use super::{CapabilityError, CapabilityOptions};
use crate::bootstrap::{generator, times_drawn};
use crate::ensemble::{Member, blend_linear, validate_level};
use crate::experience::{Growth, INSIDE};
use crate::form_error::MEDIAN_OF_T;
use crate::{FitError, ForecastOptions, Target, forecast};

/// Median |error| of accuracy one decade past the data that neither scatter nor the laws' own width holds. Chosen with the
/// five families of `benches/capability-skill.md` in view, where 93% of 102 cases lie inside 90% intervals; of each family
/// left out 47 to 100%, 88% on average, by what the others alone ask for (half of it without Gemstones, all of it without
/// another).
const FORM: Growth = Growth { at_one_decade: 0.018, power: 1.0 };
/// A score from here on leaves room on one side alone (chosen here).
const SOLVED: f64 = 0.95;
/// Differences of accuracy below this are of no interest (chosen here).
const LEAST_STEP: f64 = 0.002;
/// Fewest losses of different runs that a first step is asked of.
const FEWEST_LOSSES: usize = 6;

/// Forecasts every task of a table at a target.
///
/// # Errors
///
/// [`CapabilityError`] for a table without rows, a value that cannot be one, two scores of one run and task, or a level
/// beyond 0.98.
pub fn forecast_tasks(
    scores: &[TaskScore],
    target: &Target,
    options: &CapabilityOptions,
) -> Result<CapabilityForecast, CapabilityError> {
    validate(scores, options)?;
    validate_target(target)?;
    let mut losses = Losses::default();
    let tasks = by_task(scores).into_values().map(|rows| told(&rows, target, options, &mut losses).0).collect();
    Ok(CapabilityForecast {
        schema: CAPABILITY_SCHEMA.to_owned(),
        target: CapabilityTarget { flops: target.flops, params: target.params, tokens: target.tokens },
        level: options.level,
        seed: options.seed,
        tasks,
        diagnoses: Vec::new(),
    })
}

/// Rows by task, in the order of names; a task's rows by rising compute.
pub(super) fn by_task(scores: &[TaskScore]) -> BTreeMap<&str, Vec<&TaskScore>> {
    let mut tasks: BTreeMap<&str, Vec<&TaskScore>> = BTreeMap::new();
    scores.iter().for_each(|score| tasks.entry(&score.task).or_default().push(score));
    for rows in tasks.values_mut() {
        rows.sort_by(|a, b| a.flops.total_cmp(&b.flops).then_with(|| a.run_id.cmp(&b.run_id)));
    }
    tasks
}

pub(super) fn validate(scores: &[TaskScore], options: &CapabilityOptions) -> Result<(), CapabilityError> {
    validate_options(options)?;
    if scores.is_empty() {
        return Err(CapabilityError::Empty);
    }
    let mut known = std::collections::BTreeSet::new();
    let mut chances: BTreeMap<&str, f64> = BTreeMap::new();
    for score in scores {
        let (task, run_id) = (score.task.clone(), score.run_id.clone());
        let shares = [Some(score.value), score.chance];
        if let Some(value) = shares.into_iter().flatten().find(|value| !(0.0..=1.0).contains(value)) {
            return Err(CapabilityError::NotAShare { task, run_id, value });
        }
        let fields = [
            ("flops", Some(score.flops)),
            ("params", score.params),
            ("tokens", score.tokens),
            ("loss", score.loss),
            ("n_items", score.n_items),
        ];
        let bad =
            fields.into_iter().find_map(|(name, value)| Some((name, value.filter(|v| !(*v > 0.0 && v.is_finite()))?)));
        if let Some((field, value)) = bad {
            return Err(CapabilityError::NotPositive { task, run_id, field, value });
        }
        if !known.insert((&score.task, &score.run_id)) {
            return Err(CapabilityError::Twice { task, run_id });
        }
        if let Some(second) = score.chance {
            let first = *chances.entry(&score.task).or_insert(second);
            if (first - second).abs() > 1e-9 {
                return Err(CapabilityError::Chance { task, first, second });
            }
        }
    }
    Ok(())
}

pub(super) fn validate_options(options: &CapabilityOptions) -> Result<(), CapabilityError> {
    if options.draws == 0 {
        return Err(CapabilityError::BadOption {
            option: "CapabilityOptions::draws",
            value: 0.0,
            allowed: "at least 1",
        });
    }
    validate_level(options.level).map_err(in_our_words)
}

/// A target whose numbers are positive ones.
pub(super) fn validate_target(target: &Target) -> Result<(), CapabilityError> {
    crate::forecast::validate_target(target).map_err(in_our_words)
}

/// A bad option, in this room's words.
fn in_our_words(error: FitError) -> CapabilityError {
    match error {
        FitError::BadOption { option, value, allowed } => CapabilityError::BadOption { option, value, allowed },
        other => unreachable!("neither check has another error: {other}"),
    }
}

/// The entry of one task, and what its laws say behind the gate.
pub(super) fn told(
    rows: &[&TaskScore],
    target: &Target,
    options: &CapabilityOptions,
    losses: &mut Losses,
) -> (TaskForecast, Option<Predictive>) {
    let seen: Vec<Seen> = rows.iter().map(|row| seen(row)).collect();
    let rungs = rungs(&seen);
    let lowest = rungs.iter().map(|rung| rung.value).fold(1.0, f64::min);
    let known = rows.iter().find_map(|row| row.chance);
    let chance = known.unwrap_or(lowest);
    let items = rows.iter().find_map(|row| row.n_items);
    let point = |rung: &Rung| (math::ln(rung.flops), transformed(rung.value, Measure::Accuracy, items));
    let points: Vec<(f64, f64)> = rungs.iter().map(point).collect();
    let turn = turn(&points, Measure::Accuracy);
    let gate = of_accuracy(&rungs, chance, options.accuracy_share, turn.as_ref());
    let largest = rows.iter().map(|row| row.flops).fold(0.0, f64::max);
    let decades_beyond = math::log10(target.flops / largest);
    let outlook = outlook(rows, (chance, known.is_some()), target, decades_beyond, (options, losses));
    let behind = outlook.as_ref().map(|outlook| outlook.predictive.clone());
    let problems = items.map(|n| n as usize);
    let name = Name { task: &rows[0].task, bucket: None, measure: Measure::Accuracy };
    let sight = Sight { rungs, gate, turn, decades_beyond, problems, censored: 0 };
    let mut told = entry(&name, sight, outlook, options.level);
    told.diagnoses.extend(known.is_none().then(|| chance_not_told(lowest)));
    told.diagnoses.extend(below_largest(&told));
    (told, behind)
}

/// A median below what a smaller run scored already on a task that is nearly solved, by more than two standard errors of its
/// problems.
fn below_largest(told: &TaskForecast) -> Option<Diagnosis> {
    let (median, last) = (told.median?, told.last?);
    let binomial = told.problems.map_or(0.0, |n| (last * (1.0 - last) / n as f64).sqrt());
    let message = format!(
        "the median {median:.3} lies below the {last:.3} that the largest run has scored: no law here is asked to pass through it, and a score near 1 leaves room on one side alone"
    );
    let is_below = told.decades_beyond > 0.0 && last >= SOLVED && median < last - (2.0 * binomial).max(LEAST_STEP);
    is_below.then(|| {
        let hint = "read the upper half of the interval, or take a task that is not solved yet";
        said("below_largest", Severity::Note, message, hint)
    })
}

fn chance_not_told(lowest: f64) -> Diagnosis {
    said(
        "chance_not_told",
        Severity::Note,
        format!(
            "what guessing scores is not told; the lowest rung ({lowest:.3}) is taken for it, which may be above it"
        ),
        "add a column `chance`: 0.25 for four choices, 0 for free answers",
    )
}

fn seen(row: &TaskScore) -> Seen {
    let variance = row.n_items.map(|n| row.value * (1.0 - row.value) / n);
    Seen { flops: row.flops, value: row.value, variance, problems: None, censored: None, is_bound: false }
}

/// What both laws say together; `None` where neither can be fitted.
fn outlook(
    rows: &[&TaskScore],
    (chance, is_told): (f64, bool),
    target: &Target,
    decades_beyond: f64,
    (options, losses): (&CapabilityOptions, &mut Losses),
) -> Option<Outlook> {
    let (through, from) =
        if is_told { (Bottom::AboutChance, Bottom::Chance) } else { (Bottom::NotTold, Bottom::NotTold) };
    let two_step = losses.at(rows, target).and_then(|loss| TwoStep::fit(rows, (chance, through), loss));
    let straight = Straight::fit(rows, (chance, from));
    let mut voices: Vec<Voice> = Vec::new();
    voices.extend(two_step.map(|law| law.voice(options)));
    voices.extend(straight.map(|law| law.voice(rows, target, options)));
    let weight = 1.0 / voices.len().max(1) as f64;
    let centre = weight * voices.iter().map(|voice| voice.value).sum::<f64>();
    let noise = voices.iter().map(|voice| voice.scatter).reduce(f64::min)?;
    let binomial = rows.iter().find_map(|row| row.n_items).map_or(0.0, |n| centre * (1.0 - centre) / n);
    let apart: f64 = voices.iter().map(|voice| (voice.value - centre) * (voice.value - centre)).sum::<f64>() * weight;
    let form = options.form_factor * INSIDE.max(FORM.after(decades_beyond)) / MEDIAN_OF_T;
    let scale = (form * form + (noise * noise).max(binomial) + apart).sqrt();
    let atoms = averaged(&voices);
    let mut predictive = blend_linear(&[Member::of_atoms(1.0, atoms)], scale);
    predictive.values.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    let laws = voices.iter().map(|voice| law(voice.name, weight, &voice.parameters, voice.value)).collect();
    Some(Outlook { predictive, laws })
}

/// One law's word: its value, its draws, and the scatter of scores about it.
struct Voice {
    name: &'static str,
    value: f64,
    draws: Vec<f64>,
    scatter: f64,
    parameters: Vec<(&'static str, f64)>,
}

/// Quantiles of the voices, averaged level by level.
fn averaged(voices: &[Voice]) -> Vec<f64> {
    let sorted: Vec<Vec<f64>> = voices
        .iter()
        .map(|voice| {
            let mut draws = voice.draws.clone();
            draws.sort_by(f64::total_cmp);
            draws
        })
        .collect();
    let count = sorted.iter().map(Vec::len).min().unwrap_or(0);
    let at = |draws: &Vec<f64>, i: usize| draws[i * draws.len() / count];
    (0..count).map(|i| sorted.iter().map(|draws| at(draws, i)).sum::<f64>() / sorted.len() as f64).collect()
}

/// Accuracy through a loss.
struct TwoStep {
    law: Sigmoid,
    scores: Vec<Score>,
    clusters: Vec<Vec<usize>>,
    loss: Predictive,
}

impl TwoStep {
    fn fit(rows: &[&TaskScore], (chance, bottom): (f64, Bottom), loss: Predictive) -> Option<Self> {
        let told: Vec<&TaskScore> = rows.iter().copied().filter(|row| row.loss.is_some()).collect();
        let largest = told.iter().map(|row| row.flops).fold(0.0, f64::max);
        let score = |row: &&TaskScore| Some(Score { at: -row.loss?, value: row.value, weight: row.flops / largest });
        let scores: Vec<Score> = told.iter().filter_map(score).collect();
        let law = Sigmoid::fit(&scores, chance, bottom)?;
        Some(Self { law, scores, clusters: clusters(&told), loss })
    }

    fn voice(&self, options: &CapabilityOptions) -> Voice {
        let median = self.loss.median();
        let count = options.draws as usize;
        let levels = (0..count).map(|i| (i as f64 + 0.5) / count as f64);
        let refits = refits(&self.law, &self.scores, &self.clusters, options);
        let draws = refits.iter().zip(levels).map(|(law, level)| law.at(-self.loss.quantile(level))).collect();
        let parameters = [&self.law.parameters()[..], &[("loss", median)]].concat();
        Voice {
            name: "two_step",
            value: self.law.at(-median),
            draws,
            scatter: scatter(&self.law, &self.scores),
            parameters,
        }
    }
}

/// Accuracy straight from compute.
struct Straight {
    law: Sigmoid,
    scores: Vec<Score>,
}

impl Straight {
    fn fit(rows: &[&TaskScore], (chance, bottom): (f64, Bottom)) -> Option<Self> {
        let score = |row: &&TaskScore| Score { at: math::ln(row.flops), value: row.value, weight: 1.0 };
        let scores: Vec<Score> = rows.iter().map(score).collect();
        Some(Self { law: Sigmoid::fit(&scores, chance, bottom)?, scores })
    }

    fn voice(&self, rows: &[&TaskScore], target: &Target, options: &CapabilityOptions) -> Voice {
        let at = math::ln(target.flops);
        let refits = refits(&self.law, &self.scores, &clusters(rows), options);
        let draws = refits.iter().map(|law| law.at(at)).collect();
        let parameters = self.law.parameters().to_vec();
        let scatter = scatter(&self.law, &self.scores);
        Voice { name: "sigmoid_of_compute", value: self.law.at(at), draws, scatter, parameters }
    }
}

/// Weighted root mean square of what a law leaves.
fn scatter(law: &Sigmoid, scores: &[Score]) -> f64 {
    let total: f64 = scores.iter().map(|score| score.weight).sum();
    let square = |score: &Score| score.weight * (law.at(score.at) - score.value) * (law.at(score.at) - score.value);
    (scores.iter().map(square).sum::<f64>() / total).sqrt()
}

/// Indices of rows by cluster, in the order in which clusters first appear.
fn clusters(rows: &[&TaskScore]) -> Vec<Vec<usize>> {
    let mut known: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    rows.iter().enumerate().for_each(|(i, row)| known.entry(&row.cluster).or_default().push(i));
    let mut found: Vec<Vec<usize>> = known.into_values().collect();
    found.sort_by_key(|members| members[0]);
    found
}

/// The law on clusters drawn with replacement; the law itself where a draw cannot carry it.
fn refits(law: &Sigmoid, scores: &[Score], clusters: &[Vec<usize>], options: &CapabilityOptions) -> Vec<Sigmoid> {
    let refit = |draw: u32| {
        let times = times_drawn(clusters, scores.len(), &mut generator(options.seed, draw as usize));
        let drawn: Vec<Score> =
            scores.iter().zip(&times).map(|(score, times)| Score { weight: score.weight * times, ..*score }).collect();
        law.again(&drawn).unwrap_or(*law)
    };
    (0..options.draws).map(refit).collect()
}

/// What is known of the loss at a target, by the runs that tell one; tasks that share a validation loss share its forecast.
#[derive(Default)]
pub(super) struct Losses {
    known: Vec<(LossKey, Option<Predictive>)>,
}

/// Runs and the bits of their losses.
type LossKey = Vec<(String, u64)>;

impl Losses {
    fn at(&mut self, rows: &[&TaskScore], target: &Target) -> Option<Predictive> {
        let key: LossKey = rows.iter().filter_map(|row| Some((row.run_id.clone(), row.loss?.to_bits()))).collect();
        if let Some((_, found)) = self.known.iter().find(|(known, _)| *known == key) {
            return found.clone();
        }
        let found = loss_at(rows, target);
        self.known.push((key, found.clone()));
        found
    }
}

/// The first step: the distribution of the loss at the target.
fn loss_at(rows: &[&TaskScore], target: &Target) -> Option<Predictive> {
    let observation = |row: &&TaskScore| {
        let bare = Observation::bare(row.run_id.clone(), row.params?, row.tokens?, row.flops, row.loss?);
        Some(Observation { cluster: row.cluster.clone(), ..bare })
    };
    let runs: Vec<Observation> = rows.iter().filter_map(observation).collect();
    if runs.len() < FEWEST_LOSSES {
        return None;
    }
    let options = ForecastOptions { backtest: false, ..ForecastOptions::default() };
    let found = forecast(&runs, &[*target], &options).ok()?;
    found.targets.into_iter().next()?.predictive
}
