//! Scaling laws: one file per form, each with its formula, where it holds, what it needs, and published values.
//!
//! A [`LawForm`] is a function of size, data or compute with unknown parameters; a fitted law is another type
//! ([`crate::outcome::FittedLaw`]). A fit works in an internal coordinate system θ in which the problem is well
//! conditioned: every logarithm is centred at the data's geometric mean ([`Centre`]), amplitudes are logarithms of
//! the term's size there, and a floor stays linear, so that a floor of zero is a point of the space and not at minus
//! infinity.
//!
//! Adding a law is one new file and one line in the list at the end of this module.

mod join;
pub mod multi_power;
mod name;
mod optimum;
mod projection;
mod sum;

pub use name::{LawName, UnknownLaw};
pub use optimum::OptimalPoint;

use crate::math;

/// Parameters of the widest form.
pub const MAX_PARAMETERS: usize = 6;

/// Values of θ, or a gradient; entries past the form's own count are zero.
pub type Theta = [f64; MAX_PARAMETERS];

/// θ from a form's own parameters, zeros after them.
#[must_use]
pub const fn padded<const COUNT: usize>(values: [f64; COUNT]) -> Theta {
    let mut theta = [0.0; MAX_PARAMETERS];
    let mut i = 0;
    while i < COUNT {
        theta[i] = values[i];
        i += 1;
    }
    theta
}

/// Where a law is evaluated: logarithms of N, D and C, less those of a centre.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// ln N − ln N₀.
    pub log_params: f64,
    /// ln D − ln D₀.
    pub log_tokens: f64,
    /// ln C − ln C₀.
    pub log_flops: f64,
    /// Logarithm of the loss that learning starts from, where it was measured.
    pub log_start: Option<f64>,
    /// ln(D/U): how often the data were seen, 0 where each token was seen once.
    pub log_repeats: f64,
}

impl Position {
    /// The same position of a run of D tokens, `unique` of them distinct; none stands for all.
    #[must_use]
    pub fn repeated(self, tokens: f64, unique: Option<f64>) -> Self {
        let log_repeats = unique.map_or(0.0, |unique| math::ln(tokens / unique).max(0.0));
        Self { log_repeats, ..self }
    }
}

/// The point that positions are measured from, and what all positions of a family share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Centre {
    /// ln N₀.
    pub log_params: f64,
    /// ln D₀.
    pub log_tokens: f64,
    /// ln C₀.
    pub log_flops: f64,
    /// Logarithm of the loss that learning starts from, where it was measured: a corpus's unigram entropy.
    pub log_start: Option<f64>,
}

impl Centre {
    /// The position of a run of N parameters, D tokens and C FLOPs.
    #[must_use]
    pub fn position(&self, params: f64, tokens: f64, flops: f64) -> Position {
        Position {
            log_params: math::ln(params) - self.log_params,
            log_tokens: math::ln(tokens) - self.log_tokens,
            log_flops: math::ln(flops) - self.log_flops,
            log_start: self.log_start,
            log_repeats: 0.0,
        }
    }

    /// The centre that leaves everything where it is: N₀ = D₀ = C₀ = 1.
    pub const ONE: Self = Self { log_params: 0.0, log_tokens: 0.0, log_flops: 0.0, log_start: None };
}

/// A run as a law's starts see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Where it lies.
    pub at: Position,
    /// ln L observed.
    pub log_loss: f64,
    /// How much it counts.
    pub weight: f64,
}

/// A predicted log loss with its first and second derivatives by θ.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Response {
    /// ln L.
    pub log_loss: f64,
    /// ∂ ln L / ∂θ.
    pub gradient: Theta,
    /// ∂² ln L / ∂θ², lower triangle and upper.
    pub hessian: [Theta; MAX_PARAMETERS],
}

/// Which of a run's quantities a law is a function of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// Compute alone: the law holds along a path of similar runs.
    Compute,
    /// Size and data.
    SizeAndData,
}

/// How a parameter moves with its internal coordinate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// An amplitude, fitted as a logarithm; always above zero.
    Logarithmic,
    /// Fitted as it is.
    Linear,
}

/// One parameter of a law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Parameter {
    /// Its letter in the paper.
    pub symbol: &'static str,
    /// How it is fitted.
    pub scale: Scale,
    /// Least value of the internal coordinate.
    pub lower: f64,
    /// Greatest value of the internal coordinate.
    pub upper: f64,
    /// Whether it is the irreducible loss.
    pub is_floor: bool,
}

/// The least that a law can be fitted to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Needs {
    /// Observations.
    pub observations: usize,
    /// Distinct budgets.
    pub budgets: usize,
    /// Budgets, or sizes, within which D/N varies enough to tell N from D.
    pub spread_budgets: usize,
    /// How far D/N must reach over all observations, as a factor; 0 where it does not matter.
    pub ratio_spread: f64,
    /// Whether some observations must have seen data more than once.
    pub repeats: bool,
    /// Decades of compute.
    pub decades: f64,
    /// Whether the loss that learning starts from must be known.
    pub start_level: bool,
}

impl Needs {
    /// What any law of a domain needs: one observation more than it has parameters; for a law of compute as many budgets
    /// as parameters, for one of size and data two budgets or sizes that tell N from D.
    #[must_use]
    pub const fn of(domain: Domain, parameters: usize) -> Self {
        let (budgets, spread_budgets) = match domain {
            Domain::Compute => (parameters, 0),
            Domain::SizeAndData => (0, 2),
        };
        Self {
            observations: parameters + 1,
            budgets,
            spread_budgets,
            ratio_spread: 0.0,
            repeats: false,
            decades: 0.0,
            start_level: false,
        }
    }
}

/// Which coordinate of a [`Position`] a term falls in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinate {
    /// ln N.
    LogParams,
    /// ln D.
    LogTokens,
    /// ln C.
    LogFlops,
}

impl Coordinate {
    /// The coordinate of a position.
    #[must_use]
    pub const fn of(self, at: &Position) -> f64 {
        match self {
            Self::LogParams => at.log_params,
            Self::LogTokens => at.log_tokens,
            Self::LogFlops => at.log_flops,
        }
    }
}

/// One term exp(θ\[amplitude\] − θ\[exponent\] × coordinate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallingTerm {
    /// Where the logarithm of its size at the centre stands in θ.
    pub amplitude: usize,
    /// Where its exponent stands in θ.
    pub exponent: usize,
    /// What it falls with.
    pub coordinate: Coordinate,
}

/// A loss that is exactly a floor plus one or two falling terms: what many observations can be evaluated at once for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallingTerms {
    /// Where the floor stands in θ, where there is one.
    pub floor: Option<usize>,
    /// The terms, one or two.
    pub terms: &'static [FallingTerm],
}

/// A loss that is exactly a floor plus two falling terms u and v joined as (u^{1/κ} + v^{1/κ})^κ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedTerms {
    /// The floor, and the two terms.
    pub parts: FallingTerms,
    /// Where κ stands in θ.
    pub kappa: usize,
}

/// A law's shape: a formula with unknown parameters.
pub trait LawForm: Sync {
    /// Name as typed: `power_law`.
    fn name(&self) -> &'static str;

    /// Other names it is typed by.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// The formula, for a reader.
    fn formula(&self) -> &'static str;

    /// What it is a function of.
    fn domain(&self) -> Domain;

    /// Its parameters, in the order of θ.
    fn parameters(&self) -> &'static [Parameter];

    /// ln L at a position.
    fn log_loss(&self, theta: &Theta, at: &Position) -> f64;

    /// ln L at a position, with derivatives.
    fn response(&self, theta: &Theta, at: &Position) -> Response;

    /// Parameter `index` as published, from θ measured at a centre, with its gradient by θ: its logarithm where it is
    /// [`Scale::Logarithmic`].
    fn published(&self, index: usize, theta: &Theta, centre: &Centre) -> (f64, Theta);

    /// θ at a centre, from parameters as published.
    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta;

    /// Where a fit starts: several points, far enough apart that their agreement means something.
    fn starts(&self, samples: &[Sample]) -> Vec<Theta>;

    /// ln N* of the best split of N·D = exp(`log_product`) with its gradient by θ; `None` for a law without one.
    fn log_optimal_params(&self, _theta: &Theta, _centre: &Centre, _log_product: f64) -> Option<(f64, Theta)> {
        None
    }

    /// The parameters as published, from θ measured at a centre.
    fn natural(&self, theta: &Theta, centre: &Centre) -> Theta {
        let mut natural = Theta::default();
        for (index, parameter) in self.parameters().iter().enumerate() {
            let (value, _) = self.published(index, theta, centre);
            natural[index] = if parameter.scale == Scale::Logarithmic { math::exp(value) } else { value };
        }
        natural
    }

    /// N*, D* and the loss on the frontier, where C = `flops_per_product` × N × D; `None` for a law without an optimum.
    fn optimum(&self, natural: &Theta, flops: f64, flops_per_product: f64) -> Option<OptimalPoint> {
        optimum::optimal_point(self, natural, flops, flops_per_product)
    }

    /// The least it can be fitted to.
    fn needs(&self) -> Needs {
        Needs::of(self.domain(), self.parameters().len())
    }

    /// Whether it knows a token seen again from a fresh one: other laws say nothing of a run that repeats its data.
    fn models_repetition(&self) -> bool {
        self.needs().repeats
    }

    /// Whether its word counts beyond the data while another law is there to speak: not where it leaves the floor out, or
    /// bends wherever the data ask it to.
    fn extrapolates(&self) -> bool {
        self.has_floor()
    }

    /// The law as a floor plus one or two falling terms, where it is exactly that and nothing else; `None` otherwise. A
    /// solver then evaluates eight observations at once, by formulas of its own that agree with [`LawForm::response`].
    fn falling_terms(&self) -> Option<FallingTerms> {
        None
    }

    /// The law as a floor plus two falling terms joined by κ, where it is exactly that; for the same use.
    fn joined_terms(&self) -> Option<JoinedTerms> {
        None
    }

    /// Whether the law has a floor.
    fn has_floor(&self) -> bool {
        self.parameters().iter().any(|parameter| parameter.is_floor)
    }

    /// The fewest observations it can be fitted to.
    fn least_observations(&self) -> usize {
        self.needs().observations
    }
}

/// A published value that is one coordinate plus `factor` times another: an amplitude moved back from the centre.
fn moved(theta: &Theta, index: usize, other: usize, factor: f64) -> (f64, Theta) {
    let mut gradient = Theta::default();
    gradient[other] = factor;
    gradient[index] = 1.0;
    (theta[index] + factor * theta[other], gradient)
}

/// A published value that is a coordinate itself.
fn as_it_is(theta: &Theta, index: usize) -> (f64, Theta) {
    let mut gradient = Theta::default();
    gradient[index] = 1.0;
    (theta[index], gradient)
}

const fn amplitude(symbol: &'static str) -> Parameter {
    Parameter { symbol, scale: Scale::Logarithmic, lower: -700.0, upper: 700.0, is_floor: false }
}

const fn floor(symbol: &'static str) -> Parameter {
    Parameter { symbol, scale: Scale::Linear, lower: 0.0, upper: f64::INFINITY, is_floor: true }
}

/// Exponents outside these bounds (chosen here) are no scaling law: 0.003 halves a term in 100 decades, and 4 is
/// steeper than any published loss law by a factor of five.
const fn exponent(symbol: &'static str) -> Parameter {
    Parameter { symbol, scale: Scale::Linear, lower: 0.003, upper: 4.0, is_floor: false }
}

macro_rules! laws {
    ($($module:ident::$form:ident),* $(,)?) => {
        $(pub mod $module;)*
        static LAWS: &[&dyn LawForm] = &[$(&$module::$form),*];
    };
}

laws! {
    power_law::PowerLaw,
    log_log::LogLog,
    m3::M3,
    m4::M4,
    m4_pinned::M4Pinned,
    bnsl::Bnsl,
    chinchilla::Chinchilla,
    coupled::Coupled,
    kaplan::Kaplan,
    gadre::Gadre,
    data_constrained::DataConstrained,
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Option<f64> = Some(1.3);
    const HERE: Position =
        Position { log_params: 0.7, log_tokens: -1.3, log_flops: 2.1, log_start: START, log_repeats: 0.8 };
    const CENTRE: Centre = Centre { log_params: 11.0, log_tokens: 14.0, log_flops: 27.0, log_start: START };

    /// Ten runs of a law with every kind of bend, to start from.
    fn samples() -> Vec<Sample> {
        let sample = |i: i32| {
            let [x, y] = [0.9 * f64::from(i - 5), if i % 3 == 0 { 1.1 } else { -0.4 * f64::from(i - 4) }];
            let at = Position { log_params: x, log_tokens: y, log_flops: x + y, log_start: START, log_repeats: 0.0 };
            Sample { at, log_loss: math::ln(1.1 + 0.6 * math::exp(-0.3 * x) + 0.4 * math::exp(-0.4 * y)), weight: 1.0 }
        };
        (0..10).map(sample).collect()
    }

    /// Starts of a law, each moved off any round number or bound.
    fn examples(law: LawName) -> Vec<Theta> {
        let off = |mut theta: Theta| {
            let parameters = law.form().parameters();
            theta.iter_mut().take(parameters.len()).enumerate().for_each(|(i, t)| *t += 0.017 * (i + 1) as f64);
            theta
        };
        law.form().starts(&samples()).into_iter().map(off).collect()
    }

    fn shifted(theta: &Theta, index: usize, step: f64) -> Theta {
        let mut moved = *theta;
        moved[index] += step;
        moved
    }

    #[test]
    fn gradients_and_hessians_agree_with_finite_differences() {
        for law in LawName::all() {
            let form = law.form();
            for theta in examples(law) {
                let response = form.response(&theta, &HERE);
                assert!((response.log_loss - form.log_loss(&theta, &HERE)).abs() < 1e-13, "{law} {theta:?}");
                for i in 0..form.parameters().len() {
                    let [up, down] = [1e-5, -1e-5].map(|step| form.response(&shifted(&theta, i, step), &HERE));
                    let slope = (up.log_loss - down.log_loss) / 2e-5;
                    let scale = 1.0 + slope.abs();
                    assert!((slope - response.gradient[i]).abs() < 1e-8 * scale, "{law} {i} {theta:?}");
                    for j in 0..form.parameters().len() {
                        let bend = (up.gradient[j] - down.gradient[j]) / 2e-5;
                        let scale = 1.0 + bend.abs();
                        assert!((bend - response.hessian[i][j]).abs() < 1e-7 * scale, "{law} {i} {j} {theta:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_law_of_falling_terms_is_the_sum_it_says_it_is() {
        for law in LawName::all() {
            let form = law.form();
            let Some(parts) = form.falling_terms() else { continue };
            assert_eq!(form.parameters().len(), 2 * parts.terms.len() + usize::from(parts.floor.is_some()), "{law}");
            for theta in examples(law) {
                let term = |t: &FallingTerm| math::exp(theta[t.amplitude] - theta[t.exponent] * t.coordinate.of(&HERE));
                let loss = parts.floor.map_or(0.0, |i| theta[i]) + parts.terms.iter().map(term).sum::<f64>();
                assert!((math::ln(loss) - form.log_loss(&theta, &HERE)).abs() < 1e-14, "{law} {theta:?}");
            }
        }
    }

    #[test]
    fn a_law_of_joined_terms_is_the_joint_it_says_it_is() {
        for law in LawName::all() {
            let form = law.form();
            let Some(JoinedTerms { parts, kappa }) = form.joined_terms() else { continue };
            for theta in examples(law) {
                let log = |t: &FallingTerm| theta[t.amplitude] - theta[t.exponent] * t.coordinate.of(&HERE);
                let power = parts.terms.iter().map(|t| math::exp(log(t) / theta[kappa])).sum::<f64>();
                let loss = parts.floor.map_or(0.0, |i| theta[i]) + math::pow(power, theta[kappa]);
                assert!((math::ln(loss) - form.log_loss(&theta, &HERE)).abs() < 1e-13, "{law} {theta:?}");
            }
        }
    }

    #[test]
    fn natural_parameters_come_back_as_the_same_internal_ones() {
        for law in LawName::all() {
            for theta in examples(law) {
                let natural = law.form().natural(&theta, &CENTRE);
                let back = law.form().internal(&natural, &CENTRE);
                for (there, again) in theta.iter().zip(back) {
                    assert!((there - again).abs() < 1e-11 * (1.0 + there.abs()), "{law} {theta:?} {back:?}");
                }
            }
        }
    }

    #[test]
    fn gradients_of_published_parameters_agree_with_finite_differences() {
        for law in LawName::all() {
            let form = law.form();
            for theta in examples(law) {
                for index in 0..form.parameters().len() {
                    let (_, gradient) = form.published(index, &theta, &CENTRE);
                    for (i, slope) in gradient.iter().enumerate().take(form.parameters().len()) {
                        let [up, down] =
                            [1e-5, -1e-5].map(|s| form.published(index, &shifted(&theta, i, s), &CENTRE).0);
                        let scale = 1.0 + slope.abs();
                        assert!(((up - down) / 2e-5 - slope).abs() < 1e-6 * scale, "{law} {index} {i}");
                    }
                }
            }
        }
    }

    #[test]
    fn every_law_has_two_starts_or_more_within_its_bounds() {
        for law in LawName::all() {
            let starts = law.form().starts(&samples());
            assert!(starts.len() > 1, "{law}");
            for (theta, parameter) in starts.iter().flat_map(|theta| theta.iter().zip(law.form().parameters())) {
                assert!((parameter.lower..=parameter.upper).contains(theta), "{law} {} {theta}", parameter.symbol);
            }
            assert!(starts.iter().all(|theta| law.form().log_loss(theta, &HERE).is_finite()), "{law}");
        }
    }

    #[test]
    fn a_law_has_an_optimum_when_it_is_of_size_and_data() {
        // A forecast at a budget alone stands on it.
        for law in LawName::all() {
            let best = law.form().log_optimal_params(&examples(law)[0], &CENTRE, 30.0);
            assert_eq!(best.is_some(), law.form().domain() == Domain::SizeAndData, "{law}");
        }
    }

    #[test]
    fn the_optimum_moves_with_theta_as_its_gradient_says() {
        for law in LawName::all() {
            for theta in examples(law) {
                let Some((_, gradient)) = law.form().log_optimal_params(&theta, &CENTRE, 30.0) else { continue };
                let at = |theta: &Theta| law.form().log_optimal_params(theta, &CENTRE, 30.0).expect("an optimum").0;
                for (i, slope) in gradient.iter().enumerate().take(law.form().parameters().len()) {
                    let [up, down] = [1e-6, -1e-6].map(|step| at(&shifted(&theta, i, step)));
                    let scale = 1.0 + slope.abs();
                    assert!(((up - down) / 2e-6 - slope).abs() < 1e-6 * scale, "{law} {i} {theta:?}");
                }
            }
        }
    }

    #[test]
    fn no_other_split_of_a_budget_is_better_than_a_laws_optimum() {
        for law in LawName::all() {
            for theta in examples(law) {
                let natural = law.form().natural(&theta, &CENTRE);
                let Some(best) = law.form().optimum(&natural, 1e13, 6.0) else { continue };
                let one = law.form().internal(&natural, &Centre::ONE);
                for shift in [0.5, 0.9, 1.1, 2.0] {
                    let at = Centre::ONE.position(best.params * shift, best.tokens / shift, 1e13);
                    // To rounding: far up one term the loss is flat.
                    assert!(math::exp(law.form().log_loss(&one, &at)) > best.loss * (1.0 - 1e-14), "{law} {theta:?}");
                }
            }
        }
    }

    #[test]
    fn a_law_is_found_by_any_of_its_names_and_no_name_is_taken_twice() {
        let names: Vec<&str> = LAWS.iter().flat_map(|law| law.aliases().iter().copied().chain([law.name()])).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(name.parse::<LawName>().is_ok(), "{name}");
            assert!(!names[..i].contains(name), "{name}");
        }
    }

    #[test]
    fn an_unknown_law_is_an_error_that_lists_the_known_ones() {
        let error = "chinchila".parse::<LawName>().expect_err("no such law").to_string();
        assert!(error.contains("`chinchila`") && error.contains("`chinchilla`"), "{error}");
    }
}
