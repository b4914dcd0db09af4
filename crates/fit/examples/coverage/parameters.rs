//! Intervals of a surface's parameters, where the noise of runs is even and where it falls with their size.

use forescale_core::estimate::Estimate;
use forescale_core::math;
use forescale_core::observation::Observation;
use forescale_fit::{FitOptions, LawName, fit};
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use crate::scenario::{bare, normal};
use crate::truth::{self, SURFACE};

/// The parameters in the order of [`SURFACE`].
const SYMBOLS: [&str; 5] = ["A", "B", "E", "alpha", "beta"];

/// Runs of a surface at several sizes, each at several tokens a parameter.
pub(crate) struct Panel {
    pub(crate) name: &'static str,
    sizes: u32,
    noise: Noise,
}

/// Standard deviation of a run's log loss.
#[derive(Clone, Copy)]
enum Noise {
    Even(f64),
    /// At the smallest size; it falls with the root of the size.
    Falling(f64),
    /// At 30 tokens a parameter; it grows towards few and many tokens, nine times over at 3 and 300.
    OffRatio(f64),
}

impl Noise {
    fn of(self, size: f64, ratio: f64) -> f64 {
        match self {
            Self::Even(sigma) => sigma,
            Self::Falling(sigma) => sigma / size.sqrt(),
            Self::OffRatio(sigma) => {
                let decades = math::log10(ratio / 30.0);
                sigma * math::pow(9.0, decades * decades)
            }
        }
    }
}

/// Forty and eighty runs: sizes over two decades, at 3, 10, 30, 100 and 300 tokens a parameter.
pub(crate) fn panels() -> Vec<Panel> {
    let panel = |name, sizes, noise| Panel { name, sizes, noise };
    vec![
        panel("40 runs, noise even", 8, Noise::Even(0.005)),
        panel("40 runs, noise falls to a tenth", 8, Noise::Falling(0.02)),
        panel("80 runs, noise even", 16, Noise::Even(0.005)),
        panel("80 runs, noise falls to a tenth", 16, Noise::Falling(0.02)),
        panel("80 runs, noise grows off the ratio", 16, Noise::OffRatio(0.002)),
    ]
}

impl Panel {
    fn draw(&self, generator: &mut ChaCha8Rng) -> Vec<Observation> {
        let mut runs = Vec::new();
        for size in 0..self.sizes {
            let above = math::pow(10.0, 2.0 * f64::from(size) / f64::from(self.sizes - 1));
            for ratio in [3.0, 10.0, 30.0, 100.0, 300.0] {
                let (params, tokens) = (1e7 * above, 1e7 * above * ratio);
                let sigma = self.noise.of(above, ratio);
                let loss = truth::surface(params, tokens) * math::exp(sigma * normal(generator));
                runs.push(bare(runs.len(), (params, tokens, 6.0 * params * tokens), loss));
            }
        }
        runs
    }
}

/// What the intervals of one parameter came to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    pub(crate) symbol: &'static str,
    fits: usize,
    inside: usize,
    /// Logarithms of upper over lower end; infinite where an end is.
    widths: Vec<f64>,
}

impl Count {
    fn add(&mut self, estimate: &Estimate, truth: f64) {
        self.fits += 1;
        let (lower, upper) = (estimate.lower.unwrap_or(0.0), estimate.upper.unwrap_or(f64::INFINITY));
        self.inside += usize::from((lower..=upper).contains(&truth));
        self.widths.push(math::ln(upper / lower.max(f64::MIN_POSITIVE)));
    }

    pub(crate) fn coverage(&self) -> f64 {
        self.inside as f64 / self.fits.max(1) as f64
    }

    /// Upper over lower end, the median.
    pub(crate) fn width(&self) -> f64 {
        math::median(&self.widths).map_or(f64::NAN, math::exp)
    }
}

/// Fits many draws of a panel; one count per parameter.
pub(crate) fn simulate(panel: &Panel, options: &FitOptions, (simulations, seed): (u64, u64)) -> Vec<Count> {
    let options = FitOptions { laws: vec![LawName::CHINCHILLA], ..options.clone() };
    let one = |stream: u64| {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        generator.set_stream(stream);
        fit(&panel.draw(&mut generator), &[], &options).ok()?.fits.pop()
    };
    let fits: Vec<_> = (0..simulations).into_par_iter().filter_map(one).collect();
    let count = |(symbol, truth): (&&'static str, &f64)| {
        let mut count = Count { symbol, ..Count::default() };
        fits.iter().filter_map(|fit| fit.parameters.get(*symbol)).for_each(|estimate| count.add(estimate, *truth));
        count
    };
    SYMBOLS.iter().zip(&SURFACE).map(count).collect()
}
