//! Tables that nobody would fit, through everything that takes a table: an answer or an error with a hint, never a panic.
//!
//! Each table comes from its number alone, so that a failure names the seed to look at. What is checked of an answer:
//! every number in its JSON form is finite (a number that is not becomes `null`, and only fields that may be absent may
//! be), intervals are ordered, and predictive quantiles do not fall. Work is bounded by count, not by a clock: starts,
//! refits and profile steps are all limited, so that a hang would be a loop without end, and the test would not return.
//!
//! `FORESCALE_FUZZ=10000 cargo test -p forescale-fit --release --test fuzz` (`just fuzz`) runs the full number; without it
//! a part of them is run.

use forescale_core::estimate::{Estimate, Interval};
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::outcome::{FitReport, Forecast};
use forescale_core::run::Role;
use forescale_fit::{
    BacktestMode, BacktestOptions, FitError, FitOptions, ForecastOptions, LawName, Objective, Target, backtest, fit,
    forecast,
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// Tables without a word from outside.
const DEFAULT_TABLES: u64 = 60;

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
        let kind = self.below(9);
        let mut table: Vec<Observation> = (0..rows).map(|i| self.row(kind, i)).collect();
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

    fn row(&mut self, kind: u64, i: usize) -> Observation {
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
            3 => (self.scale(-300.0, 300.0), self.scale(-300.0, 300.0), self.scale(-300.0, 300.0)),
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
        let run_id = format!("run{i}");
        let mut row = Observation {
            name: run_id.clone(),
            cluster: if self.one_in(5) { format!("trunk{}", self.below(4)) } else { run_id.clone() },
            run_id,
            group: None,
            role: None,
            params,
            tokens,
            flops: 6.0 * params * tokens,
            loss,
            loss_se: None,
            seed_sd: None,
            seed_degrees: None,
            weight: 1.0,
            seed: None,
            eval_set_digest: None,
            unique_tokens: None,
            training: forescale_core::observation::Training::default(),
        };
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
        Target { flops, params: maybe(self), tokens: maybe(self) }
    }
}

/// An error has a fault and a hint.
#[track_caller]
fn check_error(seed: u64, error: &FitError) {
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
        for doubt in &law.diagnoses {
            let broken = ["NaN", "inf "].iter().any(|word| doubt.message.contains(word));
            assert!(!broken && !doubt.hint.is_empty(), "seed {seed}: {doubt:?}");
        }
    }
}

fn check_forecast(seed: u64, answer: &Forecast) {
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

/// One table through everything; whether any of it gave an answer.
fn one(seed: u64) -> bool {
    let mut fuzz = Fuzz::new(seed);
    let (table, options, target) = (fuzz.table(), fuzz.options(), fuzz.target());
    let fitted = fit(&table, &[], &options);
    match &fitted {
        Ok(report) => check_fit(seed, report),
        Err(error) => check_error(seed, error),
    }
    let is_backtested = fuzz.one_in(4);
    let asked = ForecastOptions { fit: options.clone(), backtest: is_backtested, ..ForecastOptions::default() };
    match forecast(&table, &[target], &asked) {
        Ok(answer) => check_forecast(seed, &answer),
        Err(error) => check_error(seed, &error),
    }
    if is_backtested {
        let mode = if fuzz.one_in(2) { BacktestMode::Run } else { BacktestMode::Frontier };
        let asked = BacktestOptions { fit: options, ratios: vec![3.0, 10.0], mode };
        match backtest(&table, &asked) {
            Ok(report) => {
                let cases = report.cases.iter().flat_map(|case| &case.intervals);
                cases.for_each(|interval| check_interval(seed, "backtest", interval));
            }
            Err(error) => check_error(seed, &error),
        }
    }
    fitted.is_ok()
}

#[allow(clippy::disallowed_methods, reason = "a test may be told how long to run; the library reads no environment")]
fn tables() -> u64 {
    std::env::var("FORESCALE_FUZZ").ok().and_then(|count| count.parse().ok()).unwrap_or(DEFAULT_TABLES)
}

#[test]
fn any_table_gives_an_answer_or_an_error_with_a_hint() {
    let (mut answered, mut broken) = (0, Vec::new());
    for seed in 0..tables() {
        match std::panic::catch_unwind(|| one(seed)) {
            Ok(is_answer) => answered += usize::from(is_answer),
            Err(_) => broken.push(seed),
        }
    }
    assert!(broken.is_empty(), "{} of {} tables broke: {broken:?}", broken.len(), tables());
    // The tables are not all refused at the door: about half reach a fit.
    assert!(answered as u64 > tables() / 10, "{answered} of {} answered", tables());
}
