//! What is simulated: the runs, the targets, what they come to, and the bar.

use forescale_core::law::LawName;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_core::run::Role;
use forescale_fit::{FitOptions, ForecastOptions, Target};
use rand::Rng as _;
use rand_chacha::ChaCha8Rng;

use crate::truth::{self, Curve, START};

/// One table of runs with the truth at its targets.
pub(crate) struct Draw {
    pub(crate) runs: Vec<Observation>,
    pub(crate) targets: Vec<Outcome>,
}

/// A target and what it comes to.
pub(crate) struct Outcome {
    pub(crate) target: Target,
    /// The law there.
    pub(crate) mean: f64,
    /// One run there.
    pub(crate) one: f64,
}

/// What the share of intervals that hold must come to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Bar {
    /// The law is among those fitted: 86 to 94% of mean intervals.
    True,
    /// It is not, and the data can tell: 80% of intervals for one run, and in most tables a doubt that names model form.
    Misspecified,
    /// The data cannot tell.
    None,
}

/// How a scenario draws its runs.
pub(crate) type Drawing = Box<dyn Fn(&[f64], &mut ChaCha8Rng) -> Draw + Sync + Send>;

/// A way of drawing tables, with how they are forecast.
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) bar: Bar,
    /// Target compute over the largest compute drawn.
    pub(crate) ratios: Vec<f64>,
    pub(crate) options: ForecastOptions,
    /// Whether runs share clusters.
    pub(crate) is_clustered: bool,
    pub(crate) draw: Drawing,
}

/// A standard normal number.
pub(crate) fn normal(generator: &mut ChaCha8Rng) -> f64 {
    let uniform = (generator.next_u64() >> 11) as f64 + 0.5;
    math::normal_quantile(uniform / (1_u64 << 53) as f64)
}

/// Rungs at equal steps of log compute, 20 tokens a parameter.
#[derive(Clone, Copy)]
pub(crate) struct Ladder {
    pub(crate) rungs: usize,
    pub(crate) decades: f64,
    pub(crate) seeds: usize,
    /// Standard deviation of log loss at the smallest rung, and the power of compute with which it falls.
    pub(crate) noise: (f64, f64),
    /// Whether rungs carry the deviation of their seeds.
    pub(crate) stated: bool,
    pub(crate) curve: Curve,
}

impl Ladder {
    const fn of(rungs: usize, decades: f64, sigma: f64, curve: Curve) -> Self {
        Self { rungs, decades, seeds: 1, noise: (sigma, 0.0), stated: false, curve }
    }

    fn sigma(&self, flops: f64) -> f64 {
        self.noise.0 * math::pow(flops / START, -self.noise.1)
    }

    fn one_run(&self, flops: f64, generator: &mut ChaCha8Rng) -> f64 {
        (self.curve)(flops) * math::exp(self.sigma(flops) * normal(generator))
    }

    fn rung(&self, index: usize, first: usize, generator: &mut ChaCha8Rng) -> Vec<Observation> {
        let flops = START * math::pow(10.0, self.decades * index as f64 / (self.rungs - 1) as f64);
        let losses: Vec<f64> = (0..self.seeds).map(|_| self.one_run(flops, generator)).collect();
        let params = (flops / 120.0).sqrt();
        let deviation = deviation(&losses).filter(|_| self.stated);
        let run = |(seed, loss): (usize, &f64)| {
            let run = bare(first + seed, (params, 20.0 * params, flops), *loss);
            Observation { role: Some(Role::Path), seed_sd: deviation, seed: Some(seed as u64), ..run }
        };
        losses.iter().enumerate().map(run).collect()
    }

    pub(crate) fn draw(&self, ratios: &[f64], generator: &mut ChaCha8Rng) -> Draw {
        let mut runs = Vec::new();
        for index in 0..self.rungs {
            let rung = self.rung(index, runs.len(), generator);
            runs.extend(rung);
        }
        let top = START * math::pow(10.0, self.decades);
        let outcome = |ratio: &f64| {
            let flops = ratio * top;
            let target = Target::of_budget(flops);
            Outcome { target, mean: (self.curve)(flops), one: self.one_run(flops, generator) }
        };
        Draw { runs, targets: ratios.iter().map(outcome).collect() }
    }
}

fn deviation(losses: &[f64]) -> Option<f64> {
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let squares: f64 = losses.iter().map(|l| (l - mean) * (l - mean)).sum();
    (losses.len() > 1).then(|| (squares / (losses.len() - 1) as f64).sqrt())
}

/// One run of which nothing but its size, data, compute and loss is told.
pub(crate) fn bare(index: usize, (params, tokens, flops): (f64, f64, f64), loss: f64) -> Observation {
    Observation::bare(format!("run{index:04}"), params, tokens, flops, loss)
}

/// Five budgets over four decades, each at seven sizes two apart around the best: 35 runs of the surface.
pub(crate) fn grid(sigma: f64, ratios: &[f64], generator: &mut ChaCha8Rng) -> Draw {
    let mut runs = Vec::new();
    for budget in 0..5 {
        let flops = START * math::pow(10.0, f64::from(budget));
        let (best, _) = truth::best_shape(flops);
        for size in -3..=3 {
            let params = best * math::pow(2.0, f64::from(size));
            let tokens = flops / (6.0 * params);
            let loss = truth::surface(params, tokens) * math::exp(sigma * normal(generator));
            runs.push(bare(runs.len(), (params, tokens, flops), loss));
        }
    }
    let outcome = |ratio: &f64| {
        let flops = ratio * START * 1e4;
        let (params, tokens) = truth::best_shape(flops);
        let mean = truth::surface(params, tokens);
        let target = Target::of_budget(flops);
        Outcome { target, mean, one: mean * math::exp(sigma * normal(generator)) }
    };
    Draw { targets: ratios.iter().map(outcome).collect(), runs }
}

/// Trunks at sizes over two decades with three branches each, 0.3% noise that correlates by `rho` within a trunk.
pub(crate) fn trunks(count: usize, rho: f64, ratios: &[f64], generator: &mut ChaCha8Rng) -> Draw {
    let (sigma, mut runs) = (0.003, Vec::new());
    for trunk in 0..count {
        let params = 1e6 * math::pow(10.0, 2.0 * trunk as f64 / (count - 1) as f64);
        let shared = normal(generator);
        for branch in 0..3 {
            let tokens = 10.0 * params * math::pow(2.0, f64::from(branch));
            let flops = 6.0 * params * tokens;
            let error = sigma * (rho.sqrt() * shared + (1.0 - rho).sqrt() * normal(generator));
            let one = bare(runs.len(), (params, tokens, flops), truth::power(flops * 1e5) * math::exp(error));
            runs.push(Observation { cluster: format!("trunk{trunk}"), role: Some(Role::Path), ..one });
        }
    }
    let top = runs.iter().map(|o| o.flops).fold(0.0, f64::max);
    let outcome = |ratio: &f64| {
        let (flops, mean) = (ratio * top, truth::power(ratio * top * 1e5));
        let target = Target::of_budget(flops);
        Outcome { target, mean, one: mean * math::exp(sigma * normal(generator)) }
    };
    Draw { targets: ratios.iter().map(outcome).collect(), runs }
}

/// One law without a backtest: what its own interval says.
fn alone(law: LawName) -> ForecastOptions {
    let fit = FitOptions { laws: vec![law], ..FitOptions::default() };
    ForecastOptions { fit, backtest: false, ..ForecastOptions::default() }
}

fn ladder(name: &str, bar: Bar, ladder: Ladder, ratios: &[f64], options: ForecastOptions) -> Scenario {
    let draw = move |ratios: &[f64], generator: &mut ChaCha8Rng| ladder.draw(ratios, generator);
    Scenario { name: name.to_owned(), bar, ratios: ratios.to_vec(), options, is_clustered: false, draw: Box::new(draw) }
}

/// Scenarios in which one of the laws fitted is the truth.
pub(crate) fn true_laws() -> Vec<Scenario> {
    let plain = |rungs, decades, ratios: &[f64]| {
        let name = format!("{rungs} rungs over {decades} decades");
        ladder(&name, Bar::True, Ladder::of(rungs, decades, 0.003, truth::power), ratios, alone(LawName::POWER_LAW))
    };
    let noisy = Ladder { seeds: 2, noise: (0.01, 1.0 / 3.0), ..Ladder::of(8, 3.0, 0.01, truth::power) };
    let stated = Ladder { stated: true, ..noisy };
    let even = Ladder { seeds: 2, stated: true, ..Ladder::of(8, 3.0, 0.003, truth::power) };
    vec![
        plain(8, 3.0, &[1e3, 1e4]),
        plain(12, 4.0, &[1e3]),
        plain(8, 2.0, &[1e3]),
        plain(6, 2.0, &[1e2]),
        ladder("noise falls, deviations stated", Bar::True, stated, &[30.0], alone(LawName::POWER_LAW)),
        ladder("noise falls, not stated", Bar::True, noisy, &[30.0], alone(LawName::POWER_LAW)),
        ladder("noise even, deviations stated", Bar::True, even, &[30.0], alone(LawName::POWER_LAW)),
        Scenario {
            name: "surface, 35 runs".to_owned(),
            bar: Bar::True,
            ratios: vec![10.0, 1e3],
            options: alone(LawName::CHINCHILLA),
            is_clustered: false,
            draw: Box::new(|ratios, generator| grid(0.005, ratios, generator)),
        },
        Scenario {
            name: "eight trunks of three branches".to_owned(),
            bar: Bar::True,
            ratios: vec![30.0],
            options: alone(LawName::POWER_LAW),
            is_clustered: true,
            draw: Box::new(|ratios, generator| trunks(8, 0.8, ratios, generator)),
        },
    ]
}

/// Scenarios in which none is, forecast as by default.
pub(crate) fn misspecified() -> Vec<Scenario> {
    let of = |name: &str, bar, curve| {
        let rungs = Ladder::of(10, 3.0, 0.001, curve);
        ladder(name, bar, rungs, &[10.0, 100.0, 1000.0], ForecastOptions::default())
    };
    vec![
        of("two powers and a floor", Bar::Misspecified, truth::two_powers),
        of("break 1.5 decades inside", Bar::Misspecified, truth::broken_halfway),
        of("break 1 decade inside", Bar::Misspecified, truth::broken_a_decade_inside),
        of("break 1 decade beyond", Bar::None, truth::broken_beyond),
        of("drift of 0.15% a decade", Bar::None, truth::drifting),
        of("S-shaped", Bar::None, truth::s_shaped),
        of("one power, by the default", Bar::None, truth::power),
    ]
}
