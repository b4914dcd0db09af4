//! Tables that nobody would fit, through everything that takes a table: an answer or an error with a hint, never a panic.
//!
//! Each table comes from its number alone, so that a failure names the seed to look at. What is checked of an answer:
//! every number in its JSON form is finite (a number that is not becomes `null`, and only fields that may be absent may
//! be), intervals are ordered, and predictive quantiles do not fall. Work is bounded by count, not by a clock: starts,
//! refits and profile steps are all limited, so that a hang would be a loop without end. Which table took longest is
//! printed, and one that takes longer than [`LONGEST`] fails.
//!
//! `FORESCALE_FUZZ=10000 cargo test -p forescale-fit --release --test fuzz` (`just fuzz`) runs the full number, a range
//! such as `4000..5000` some of it; without it a part of them is run.

use core::ops::Range;
use std::time::Duration;

use forescale_core::answer::{Aim, Caps, OptimumUnderCap, Recommendations, Serving};
use forescale_core::approach::{ApproachReport, OptimalPowers};
use forescale_core::design::Design;
use forescale_core::estimate::{Estimate, Interval};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{Diagnosis, FitReport, Forecast};
use forescale_core::reduction::Knob;
use forescale_core::run::Role;
use forescale_fit::{
    ApproachOptions, BacktestMode, BacktestOptions, DesignOptions, FitOptions, ForecastOptions, LawName, Objective,
    Reduced, Target, approaches, backtest, best_of, design, fit, forecast, optimum, reach, recommend,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Tables without a word from outside.
const DEFAULT_TABLES: u64 = 60;

/// The most processor time one table may take through everything. Chosen here: far above what the slowest was seen to
/// take, so that only a loop without a bound reaches it.
const LONGEST: Duration = Duration::from_secs(60);

/// Numbers that break things.
const EVIL: [f64; 14] = [
    f64::NAN,
    f64::INFINITY,
    f64::NEG_INFINITY,
    0.0,
    -0.0,
    -1.0,
    5e-324,
    1e-310,
    f64::MIN_POSITIVE,
    1e-300,
    1e300,
    f64::MAX,
    f64::EPSILON,
    1.0,
];

struct Fuzz {
    generator: ChaCha8Rng,
}

impl Fuzz {
    fn new(seed: u64) -> Self {
        Self { generator: ChaCha8Rng::seed_from_u64(seed) }
    }

    fn below(&mut self, end: u64) -> u64 {
        self.generator.next_u64() % end
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }

    /// In (0, 1).
    fn unit(&mut self) -> f64 {
        ((self.generator.next_u64() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Even in the logarithm.
    fn scale(&mut self, low: f64, high: f64) -> f64 {
        math::pow(10.0, low + (high - low) * self.unit())
    }

    fn evil(&mut self) -> f64 {
        let index = self.below(EVIL.len() as u64) as usize;
        EVIL[index]
    }

    /// Rows of one kind out of several, then spoilt here and there.
    fn table(&mut self) -> Vec<Observation> {
        let rows = 1 + self.below(60) as usize;
        let (kind, wide) = (self.below(9), self.one_in(2));
        let mut table: Vec<Observation> = (0..rows).map(|i| self.row(kind, wide, i)).collect();
        if self.one_in(4) && rows > 1 {
            let copy = table[0].clone();
            let at = self.below(rows as u64) as usize;
            let run_id = if self.one_in(3) { copy.run_id.clone() } else { "copy".to_owned() };
            table[at] = Observation { run_id, ..copy };
        }
        if self.one_in(6) {
            for _ in 0..=self.below(3) {
                let at = self.below(rows as u64) as usize;
                self.spoil(&mut table[at]);
            }
        }
        table
    }

    fn row(&mut self, kind: u64, wide: bool, i: usize) -> Observation {
        let noise = 1.0 + 0.01 * (self.unit() - 0.5);
        let (params, tokens, loss) = match kind {
            // A sane surface.
            0 | 1 => {
                let (n, d) = (self.scale(6.0, 9.0), self.scale(8.0, 11.0));
                (n, d, (1.7 + 400.0 * math::pow(n, -0.34) + 2000.0 * math::pow(d, -0.36)) * noise)
            }
            // A ladder on a path.
            2 => {
                let n = 1e6 * math::pow(2.0, i as f64 / 4.0);
                (n, 20.0 * n, (1.5 + 2.0 * math::pow(n / 1e6, -0.3)) * noise)
            }
            // Huge ranges.
            3 => {
                let reach = if wide { 300.0 } else { 29.0 };
                (self.scale(-reach, reach), self.scale(-reach, reach), self.scale(-reach, reach))
            }
            // Constant columns, equal losses.
            4 => (1e7, if self.one_in(2) { 1e9 } else { 2e9 }, 2.5),
            // Two clusters.
            5 => {
                let n = if i.is_multiple_of(2) { 1e6 } else { 1e9 };
                (n * noise, 20.0 * n, if i.is_multiple_of(2) { 3.0 } else { 2.0 } * noise)
            }
            // Loss that rises, or is of no shape.
            6 => (self.scale(5.0, 9.0), self.scale(7.0, 11.0), 1.0 + i as f64),
            7 => (self.scale(5.0, 9.0), self.scale(7.0, 11.0), self.scale(-3.0, 3.0)),
            // isoFLOP grids of few sizes.
            _ => {
                let budget = 1e17 * math::pow(10.0, (i / 5) as f64);
                let n = (budget / 120.0).sqrt() * math::pow(2.0, (i % 5) as f64 - 2.0);
                let d = budget / (6.0 * n);
                (n, d, (1.7 + 400.0 * math::pow(n, -0.34) + 2000.0 * math::pow(d, -0.36)) * noise)
            }
        };
        let mut row = Observation::bare(format!("run{i}"), params, tokens, 6.0 * params * tokens, loss);
        if self.one_in(5) {
            row.cluster = format!("trunk{}", self.below(4));
        }
        self.dress(&mut row);
        row
    }

    /// Columns that a table may have besides.
    fn dress(&mut self, row: &mut Observation) {
        match self.below(12) {
            0 => row.role = Some(Role::Path),
            1 => row.role = Some(Role::OffPath),
            2 => row.weight = self.scale(-6.0, 6.0),
            3 => row.seed_sd = Some(0.01 * row.loss),
            4 => row.flops *= self.scale(-1.0, 1.0),
            5 => row.training.learning_rate = Some(self.evil()),
            6 => row.training.warmup_steps = Some(self.evil()),
            7 => row.training.batch_tokens = Some(self.evil()),
            8 => row.training.head_params = Some(self.evil()),
            _ => {}
        }
        row.training.total_params = Some(row.params);
        row.training.flops_exact = Some(row.flops);
        row.training.flops_6nd = Some(self.scale(15.0, 20.0));
        row.training.steps = Some(self.scale(0.0, 5.0));
    }

    fn spoil(&mut self, row: &mut Observation) {
        let evil = self.evil();
        match self.below(10) {
            0 => row.params = evil,
            1 => row.tokens = evil,
            2 => row.flops = evil,
            3 => row.weight = evil,
            4 => row.seed_sd = Some(evil),
            5 => row.seed_degrees = Some(evil),
            6 => row.loss_se = Some(evil),
            7 => row.unique_tokens = Some(evil),
            _ => row.loss = evil,
        }
    }

    fn options(&mut self) -> FitOptions {
        let objective = match self.below(4) {
            0 => Objective::LeastSquares,
            1 => Objective::Asymmetric { delta: 1e-3, overestimate_penalty: 10.0 },
            _ => Objective::default(),
        };
        let all = LawName::all();
        let index = self.below(all.len() as u64) as usize;
        let laws = if self.one_in(2) { vec![all[index]] } else { FitOptions::default().laws };
        FitOptions { laws, objective, ..FitOptions::default() }
    }

    fn target(&mut self) -> Target {
        let maybe = |fuzz: &mut Self| (fuzz.one_in(3)).then(|| fuzz.scale(3.0, 14.0));
        let flops = if self.one_in(20) { self.evil() } else { self.scale(10.0, 30.0) };
        Target { flops, params: maybe(self), tokens: maybe(self), unique_tokens: maybe(self) }
    }

    fn caps(&mut self) -> Caps {
        let maybe =
            |fuzz: &mut Self| fuzz.one_in(4).then(|| if fuzz.one_in(10) { fuzz.evil() } else { fuzz.scale(3.0, 14.0) });
        let serving = self.one_in(4).then(|| Serving {
            tokens_per_month: self.scale(6.0, 13.0),
            months: if self.one_in(10) { self.evil() } else { 12.0 },
        });
        Caps { max_tokens: maybe(self), max_params: maybe(self), params: maybe(self), serving }
    }

    /// The table with settings that differ, many on one size and data.
    fn tuned(&mut self, table: &[Observation]) -> Vec<Observation> {
        let mut tuned = table.to_vec();
        for i in 0..tuned.len() {
            let first = i - i % 5;
            if self.one_in(2) {
                let run = tuned[first].clone();
                let (run_id, loss) = (format!("tuned{i}"), run.loss * (1.0 + 0.1 * self.unit()));
                tuned[i] = Observation { run_id, loss, ..run };
            }
            tuned[i].training.learning_rate = self.setting();
            tuned[i].training.batch_tokens = self.setting();
        }
        tuned
    }

    fn setting(&mut self) -> Option<f64> {
        match self.below(20) {
            0 => None,
            1 => Some(self.evil()),
            step => Some(1e-4 * math::pow(2.0, (step / 3) as f64)),
        }
    }
}

/// An error has a fault and a hint.
#[track_caller]
fn check_error(seed: u64, error: &dyn core::error::Error) {
    let text = error.to_string();
    assert!(text.contains("\n\nhint: ") && !text.starts_with('\n'), "seed {seed}: {text}");
}

fn check_estimate(seed: u64, what: &str, estimate: &Estimate) {
    let middle = estimate.estimate;
    assert!(middle.is_finite(), "seed {seed}: {what} {estimate:?}");
    let room = 1e-9 * middle.abs();
    assert!(
        estimate.lower.is_none_or(|low| low.is_finite() && low <= middle + room),
        "seed {seed}: {what} {estimate:?}"
    );
    assert!(
        estimate.upper.is_none_or(|high| high.is_finite() && high >= middle - room),
        "seed {seed}: {what} {estimate:?}"
    );
    assert!(estimate.standard_error.is_none_or(|se| se.is_finite() && se >= 0.0), "seed {seed}: {what} {estimate:?}");
}

fn check_interval(seed: u64, what: &str, interval: &Interval) {
    let Interval { lower, upper, .. } = *interval;
    assert!(lower.is_finite() && upper.is_finite() && lower <= upper, "seed {seed}: {what} {interval:?}");
}

fn check_fit(seed: u64, report: &FitReport) {
    for law in &report.fits {
        law.parameters.iter().for_each(|(symbol, estimate)| check_estimate(seed, symbol, estimate));
        let certificate = &law.certificate;
        let numbers = [law.objective.value, law.residual_rms, certificate.gradient_norm];
        assert!(numbers.iter().all(|number| number.is_finite()), "seed {seed}: {law:?}");
        assert!(certificate.condition_number.is_none_or(f64::is_finite), "seed {seed}: {certificate:?}");
        check_doubts(seed, &law.diagnoses);
    }
}

fn check_doubts(seed: u64, doubts: &[Diagnosis]) {
    for doubt in doubts {
        let broken = ["NaN", "inf ", "inf%"].iter().any(|word| doubt.message.contains(word));
        assert!(!broken && !doubt.hint.is_empty(), "seed {seed}: {doubt:?}");
    }
}

fn check_forecast(seed: u64, answer: &Forecast) {
    check_doubts(seed, &answer.diagnoses);
    if let Some(reach) = &answer.reach {
        check_estimate(seed, "budget", &reach.flops);
        reach.params.iter().chain(&reach.tokens).for_each(|estimate| check_estimate(seed, "reach", estimate));
    }
    for target in &answer.targets {
        assert!(target.median.is_none_or(f64::is_finite), "seed {seed}: {target:?}");
        target.intervals.iter().for_each(|interval| check_interval(seed, "interval", interval));
        target.mean_intervals.iter().for_each(|interval| check_interval(seed, "mean interval", interval));
        target.laws.iter().for_each(|law| check_estimate(seed, &law.law, &law.prediction));
        if let Some(predictive) = &target.predictive {
            let values = &predictive.values;
            assert!(values.iter().all(|value| value.is_finite()), "seed {seed}: {values:?}");
            assert!(values.windows(2).all(|pair| pair[0] <= pair[1]), "seed {seed}: {values:?}");
        }
        if let Some(optimum) = &target.optimum {
            check_estimate(seed, "N*", &optimum.params);
            check_estimate(seed, "D*", &optimum.tokens);
        }
    }
}

fn check_powers(seed: u64, powers: &OptimalPowers) {
    check_estimate(seed, "a", &powers.params_exponent);
    check_estimate(seed, "b", &powers.tokens_exponent);
}

fn check_approaches(seed: u64, report: &ApproachReport) {
    for fit in &report.fits {
        assert!(fit.refused.is_some() || fit.powers.is_some() || !fit.optima.is_empty(), "seed {seed}: {fit:?}");
        fit.powers.iter().chain(&fit.parabola_powers).for_each(|powers| check_powers(seed, powers));
        for at in &fit.optima {
            check_estimate(seed, "N* of an approach", &at.params);
            check_estimate(seed, "D* of an approach", &at.tokens);
            check_estimate(seed, "D*/N* of an approach", &at.tokens_per_param);
        }
        check_doubts(seed, &fit.diagnoses);
    }
}

fn check_optimum(seed: u64, answer: &OptimumUnderCap) {
    for law in &answer.laws {
        for choice in [&law.chosen, &law.unconstrained] {
            check_estimate(seed, "N of an optimum", &choice.params);
            check_estimate(seed, "D of an optimum", &choice.tokens);
            check_estimate(seed, "loss of an optimum", &choice.loss);
            check_estimate(seed, "FLOPs of an optimum", &choice.total_flops);
        }
        law.loss_ratio.iter().chain(&law.flops_ratio).for_each(|ratio| check_estimate(seed, "ratio", ratio));
    }
    check_doubts(seed, &answer.diagnoses);
}

fn check_reduced(seed: u64, reduced: &Reduced) {
    for cell in &reduced.reductions {
        let numbers = [cell.value, cell.loss, cell.raw_minimum, cell.raw_value];
        assert!(numbers.iter().all(|number| number.is_finite() && *number > 0.0), "seed {seed}: {cell:?}");
        assert!(cell.standard_error.is_none_or(|se| se.is_finite() && se >= 0.0), "seed {seed}: {cell:?}");
    }
    check_doubts(seed, &reduced.diagnoses);
}

fn check_recommended(seed: u64, found: &Recommendations) {
    for knob in &found.recommended {
        check_estimate(seed, "best setting", &knob.value);
        knob.exponents.values().for_each(|exponent| check_estimate(seed, "exponent of a setting", exponent));
        knob.cells.iter().for_each(|cell| check_estimate(seed, "best setting of a cell", &cell.best));
    }
    check_doubts(seed, &found.diagnoses);
}

fn check_design(seed: u64, found: &Design) {
    for outlook in [&found.before, &found.after] {
        check_interval(seed, "designed interval", &outlook.interval);
        check_interval(seed, "designed mean interval", &outlook.mean_interval);
        let numbers = [outlook.median, outlook.law_sd, outlook.form_scale];
        assert!(numbers.iter().all(|number| number.is_finite()), "seed {seed}: {outlook:?}");
    }
    assert!(found.flops.is_finite() && found.flops <= found.budget_flops * 1.000_001, "seed {seed}: {}", found.flops);
    check_doubts(seed, &found.diagnoses);
}

/// Holds an answer to its check and an error to its form; whether there was an answer.
#[track_caller]
fn judged<T, E: core::error::Error>(seed: u64, outcome: &Result<T, E>, check: impl Fn(u64, &T)) -> bool {
    match outcome {
        Ok(answer) => check(seed, answer),
        Err(error) => check_error(seed, error),
    }
    outcome.is_ok()
}

/// One table through everything; whether it was fitted, and what each question took.
fn one(seed: u64) -> (bool, Vec<(&'static str, Duration)>) {
    let mut fuzz = Fuzz::new(seed);
    let (table, options, target) = (fuzz.table(), fuzz.options(), fuzz.target());
    let mut clock = Clock { last: processor_time(), took: Vec::new() };
    let is_fitted = judged(seed, &fit(&table, &[], &options), check_fit);
    clock.lap("fit");
    let is_backtested = fuzz.one_in(4);
    let asked = ForecastOptions { fit: options.clone(), backtest: is_backtested, ..ForecastOptions::default() };
    judged(seed, &forecast(&table, &[target], &asked), check_forecast);
    clock.lap("forecast");
    if is_backtested {
        let mode = if fuzz.one_in(2) { BacktestMode::Run } else { BacktestMode::Frontier };
        let asked =
            BacktestOptions { fit: options.clone(), ratios: vec![3.0, 10.0], mode, ..BacktestOptions::default() };
        judged(seed, &backtest(&table, &asked), |seed, report| {
            let cases = report.cases.iter().flat_map(|case| &case.intervals);
            cases.for_each(|interval| check_interval(seed, "backtest", interval));
        });
        clock.lap("backtest");
    }
    the_other_questions(&mut fuzz, &mut clock, (seed, &table), options);
    (is_fitted, clock.took)
}

/// Processor time by question.
struct Clock {
    last: Duration,
    took: Vec<(&'static str, Duration)>,
}

impl Clock {
    fn lap(&mut self, question: &'static str) {
        let now = processor_time();
        self.took.push((question, now - self.last));
        self.last = now;
    }
}

/// Where a budget is best spent, what reaches a loss, and which of several settings was best.
fn the_other_questions(fuzz: &mut Fuzz, clock: &mut Clock, (seed, table): (u64, &[Observation]), options: FitOptions) {
    let at = if fuzz.one_in(2) { Vec::new() } else { vec![fuzz.scale(10.0, 30.0)] };
    let asked = ApproachOptions { at, objective: options.objective, ..ApproachOptions::default() };
    judged(seed, &approaches(table, &asked), check_approaches);
    clock.lap("approaches");
    let aim = if fuzz.one_in(2) { Aim::Flops(fuzz.scale(10.0, 30.0)) } else { Aim::Loss(fuzz.scale(-1.0, 1.0)) };
    let caps = fuzz.caps();
    judged(seed, &optimum(table, aim, caps, &options), check_optimum);
    clock.lap("optimum");
    let loss = if fuzz.one_in(20) { fuzz.evil() } else { fuzz.scale(-1.0, 1.0) };
    let asked = ForecastOptions { fit: options, backtest: false, ..ForecastOptions::default() };
    judged(seed, &reach(table, loss, &asked), check_forecast);
    clock.lap("reach");
    let tunings = [Knob::LearningRate, Knob::BatchTokens];
    let tuned = fuzz.tuned(table);
    judged(seed, &best_of(&tuned, &tunings[..=fuzz.below(2) as usize]), check_reduced);
    let (params, tokens) = (fuzz.scale(3.0, 14.0), if fuzz.one_in(20) { fuzz.evil() } else { fuzz.scale(3.0, 14.0) });
    judged(seed, &recommend(&tuned, params, tokens, 0.9), check_recommended);
    clock.lap("best of settings");
    if fuzz.one_in(4) {
        let (target, budget) = (fuzz.target(), if fuzz.one_in(20) { fuzz.evil() } else { fuzz.scale(10.0, 24.0) });
        let asked = DesignOptions { forecast: asked, draws: 3, ..DesignOptions::default() };
        judged(seed, &design(table, &target, budget, &asked), check_design);
        clock.lap("design");
    }
}

/// Tables asked for from outside: a number of them, or a range of seeds.
#[allow(clippy::disallowed_methods, reason = "a test may be told how long to run; the library reads no environment")]
fn seeds() -> Range<u64> {
    let asked = std::env::var("FORESCALE_FUZZ").ok();
    let number = |text: &str| text.trim().parse::<u64>().expect("`FORESCALE_FUZZ` is a number or a range of them");
    match asked.as_deref().map(|text| text.split_once("..").ok_or(text)) {
        Some(Ok((first, end))) => number(first)..number(end),
        Some(Err(count)) => 0..number(count),
        None => 0..DEFAULT_TABLES,
    }
}

/// Processor time of the process so far, in user mode, where the system tells it as Linux does: in hundredths of a second,
/// the fourteenth word of `/proc/self/stat`, twelfth after the name's closing bracket (proc(5)).
fn processor_time() -> Duration {
    #[allow(clippy::disallowed_methods, reason = "a test may ask how long it took; the library never does")]
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(11)?.parse::<u64>().ok());
    Duration::from_millis(10 * ticks.unwrap_or(0))
}

#[test]
fn any_table_gives_an_answer_or_an_error_with_a_hint() {
    let (mut answered, mut broken, mut took) = (0, Vec::new(), Vec::new());
    let begun = processor_time();
    for seed in seeds() {
        let before = processor_time();
        match std::panic::catch_unwind(|| one(seed)) {
            Ok((is_answer, questions)) => {
                answered += u64::from(is_answer);
                took.push((processor_time() - before, seed, questions));
            }
            Err(_) => broken.push(seed),
        }
    }
    took.sort_unstable();
    let (count, all) = ((took.len() + broken.len()) as u64, processor_time() - begun);
    println!("{count} tables, {answered} fitted, {all:?}; slowest {:#?}", &took[took.len().saturating_sub(5)..]);
    assert!(broken.is_empty(), "{} of {count} tables broke: {broken:?}", broken.len());
    assert!(took.iter().all(|(time, ..)| *time < LONGEST), "{took:?}");
    // The tables are not all refused at the door: about half reach a fit.
    assert!(answered > count / 10, "{answered} of {count} answered");
}
