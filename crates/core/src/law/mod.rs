//! Scaling laws: one file per form, each with its formula, where it holds, what it needs, and published values.
//!
//! A [`LawForm`] is a function of size, data or compute with unknown parameters; a fitted law is another type
//! ([`crate::outcome::FittedLaw`]). A fit works in an internal coordinate system θ in which the problem is well
//! conditioned: every logarithm is centred at the data's geometric mean ([`Centre`]), amplitudes are logarithms of
//! the term's size there, and a floor stays linear, so that a floor of zero is a point of the space and not at minus
//! infinity.
//!
//! Adding a law is one new file and one line in the list at the end of this module.

use core::fmt;
use core::str::FromStr;

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
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Position {
    /// ln N − ln N₀.
    pub log_params: f64,
    /// ln D − ln D₀.
    pub log_tokens: f64,
    /// ln C − ln C₀.
    pub log_flops: f64,
}

/// The point that positions are measured from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Centre {
    /// ln N₀.
    pub log_params: f64,
    /// ln D₀.
    pub log_tokens: f64,
    /// ln C₀.
    pub log_flops: f64,
}

impl Centre {
    /// The position of a run of N parameters, D tokens and C FLOPs.
    #[must_use]
    pub fn position(&self, params: f64, tokens: f64, flops: f64) -> Position {
        Position {
            log_params: math::ln(params) - self.log_params,
            log_tokens: math::ln(tokens) - self.log_tokens,
            log_flops: math::ln(flops) - self.log_flops,
        }
    }

    /// The centre that leaves everything where it is: N₀ = D₀ = C₀ = 1.
    pub const ONE: Self = Self { log_params: 0.0, log_tokens: 0.0, log_flops: 0.0 };
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

/// A law's shape: a formula with unknown parameters.
pub trait LawForm: Sync {
    /// Name as typed: `power_law`.
    fn name(&self) -> &'static str;

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

    /// The parameters as published, from θ measured at a centre.
    fn natural(&self, theta: &Theta, centre: &Centre) -> Theta;

    /// θ at a centre, from parameters as published.
    fn internal(&self, natural: &Theta, centre: &Centre) -> Theta;

    /// The gradient of parameter `index` by θ: of its logarithm where it is [`Scale::Logarithmic`].
    fn natural_gradient(&self, index: usize, centre: &Centre) -> Theta;

    /// For fixed exponents the loss is linear: a floor (where there is one) plus amplitudes times these factors.
    fn basis(&self, exponents: [f64; 2], at: &Position) -> [f64; 2];

    /// θ for given exponents, logarithms of the amplitudes at the centre, and floor.
    fn start(&self, exponents: [f64; 2], log_amplitudes: [f64; 2], floor: f64) -> Theta;

    /// Number of terms that fall with scale: amplitudes and exponents.
    fn terms(&self) -> usize;

    /// The law as a floor plus one or two falling terms, where it is exactly that and nothing else; `None` otherwise. A
    /// solver then evaluates eight observations at once, by formulas of its own that agree with [`LawForm::response`].
    fn falling_terms(&self) -> Option<FallingTerms> {
        None
    }

    /// Whether the law has a floor.
    fn has_floor(&self) -> bool {
        self.parameters().iter().any(|parameter| parameter.is_floor)
    }

    /// The fewest observations it can be fitted to: one more than it has parameters.
    fn least_observations(&self) -> usize {
        self.parameters().len() + 1
    }
}

/// The name of a law in the list: always one that exists.
#[derive(Clone, Copy)]
pub struct LawName(&'static dyn LawForm);

impl LawName {
    /// L(C) = aC^-b + c.
    pub const POWER_LAW: Self = Self(&power_law::PowerLaw);
    /// L(C) = aC^-b, for comparison.
    pub const LOG_LOG: Self = Self(&log_log::LogLog);
    /// L(N, D) = E + AN^-α + BD^-β.
    pub const CHINCHILLA: Self = Self(&chinchilla::Chinchilla);

    /// All laws.
    #[must_use]
    pub fn all() -> Vec<Self> {
        LAWS.iter().copied().map(Self).collect()
    }

    /// The law's shape.
    #[must_use]
    pub fn form(self) -> &'static dyn LawForm {
        self.0
    }

    /// The name as typed.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0.name()
    }
}

impl PartialEq for LawName {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for LawName {}

impl fmt::Debug for LawName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for LawName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A law was asked for that is not in the list.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{name}` is not a law\n\nhint: use one of {known}")]
pub struct UnknownLaw {
    /// What was asked for.
    pub name: String,
    /// The names there are.
    pub known: String,
}

impl FromStr for LawName {
    type Err = UnknownLaw;

    fn from_str(name: &str) -> Result<Self, UnknownLaw> {
        Self::all().into_iter().find(|law| law.as_str() == name).ok_or_else(|| UnknownLaw {
            name: name.to_owned(),
            known: LAWS.iter().map(|law| format!("`{}`", law.name())).collect::<Vec<_>>().join(", "),
        })
    }
}

/// One falling term exp(log_amplitude − exponent × x), and where its two parameters stand in θ.
struct Term {
    amplitude_index: usize,
    exponent_index: usize,
    value: f64,
    x: f64,
}

impl Term {
    fn at(theta: &Theta, amplitude_index: usize, exponent_index: usize, x: f64) -> Self {
        let value = math::exp(theta[amplitude_index] - theta[exponent_index] * x);
        Self { amplitude_index, exponent_index, value, x }
    }
}

/// The response of a loss that is a floor plus falling terms; `floor` is the floor's value and place in θ.
fn response_of_sum(floor: Option<(f64, usize)>, terms: &[Term]) -> Response {
    let loss = floor.map_or(0.0, |(value, _)| value) + terms.iter().map(|term| term.value).sum::<f64>();
    let mut response = Response { log_loss: math::ln(loss), ..Response::default() };
    for term in terms {
        let (a, b, share) = (term.amplitude_index, term.exponent_index, term.value / loss);
        response.gradient[a] = share;
        response.gradient[b] = -term.x * share;
        response.hessian[a][a] = share;
        response.hessian[a][b] = -term.x * share;
        response.hessian[b][a] = -term.x * share;
        response.hessian[b][b] = term.x * term.x * share;
    }
    if let Some((_, index)) = floor {
        response.gradient[index] = 1.0 / loss;
    }
    for i in 0..MAX_PARAMETERS {
        for j in 0..MAX_PARAMETERS {
            response.hessian[i][j] -= response.gradient[i] * response.gradient[j];
        }
    }
    response
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
    chinchilla::Chinchilla,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Position = Position { log_params: 0.7, log_tokens: -1.3, log_flops: 2.1 };
    const CENTRE: Centre = Centre { log_params: 11.0, log_tokens: 14.0, log_flops: 27.0 };

    fn example(law: LawName) -> Theta {
        law.form().start([0.31, 0.42], [-0.4, -0.9], if law.form().has_floor() { 1.1 } else { 0.0 })
    }

    fn shifted(theta: &Theta, index: usize, step: f64) -> Theta {
        let mut moved = *theta;
        moved[index] += step;
        moved
    }

    #[test]
    fn gradients_and_hessians_agree_with_finite_differences() {
        for law in LawName::all() {
            let (form, theta) = (law.form(), example(law));
            let response = form.response(&theta, &HERE);
            assert!((response.log_loss - form.log_loss(&theta, &HERE)).abs() < 1e-14);
            for i in 0..form.parameters().len() {
                let [up, down] = [1e-5, -1e-5].map(|step| form.response(&shifted(&theta, i, step), &HERE));
                let slope = (up.log_loss - down.log_loss) / 2e-5;
                assert!((slope - response.gradient[i]).abs() < 1e-8, "{law} {i}");
                for j in 0..form.parameters().len() {
                    let bend = (up.gradient[j] - down.gradient[j]) / 2e-5;
                    assert!((bend - response.hessian[i][j]).abs() < 1e-7, "{law} {i} {j}");
                }
            }
        }
    }

    #[test]
    fn a_law_of_falling_terms_is_the_sum_it_says_it_is() {
        for law in LawName::all() {
            let (form, theta) = (law.form(), example(law));
            let Some(parts) = form.falling_terms() else { continue };
            let term = |t: &FallingTerm| math::exp(theta[t.amplitude] - theta[t.exponent] * t.coordinate.of(&HERE));
            let loss = parts.floor.map_or(0.0, |i| theta[i]) + parts.terms.iter().map(term).sum::<f64>();
            assert!((math::ln(loss) - form.log_loss(&theta, &HERE)).abs() < 1e-14, "{law}");
            assert_eq!(form.parameters().len(), 2 * parts.terms.len() + usize::from(parts.floor.is_some()), "{law}");
        }
    }

    #[test]
    fn natural_parameters_come_back_as_the_same_internal_ones() {
        for law in LawName::all() {
            let theta = example(law);
            let natural = law.form().natural(&theta, &CENTRE);
            let back = law.form().internal(&natural, &CENTRE);
            for (there, again) in theta.iter().zip(back) {
                assert!((there - again).abs() < 1e-12, "{law}");
            }
        }
    }

    #[test]
    fn natural_gradients_agree_with_finite_differences() {
        for law in LawName::all() {
            let (form, theta) = (law.form(), example(law));
            for (index, parameter) in form.parameters().iter().enumerate() {
                let gradient = form.natural_gradient(index, &CENTRE);
                for (i, slope) in gradient.iter().enumerate().take(form.parameters().len()) {
                    let [up, down] = [1e-5, -1e-5].map(|step| {
                        let value = form.natural(&shifted(&theta, i, step), &CENTRE)[index];
                        if parameter.scale == Scale::Logarithmic { math::ln(value) } else { value }
                    });
                    assert!(((up - down) / 2e-5 - slope).abs() < 1e-7, "{law} {index} {i}");
                }
            }
        }
    }

    #[test]
    fn an_unknown_law_is_an_error_that_lists_the_known_ones() {
        let error = "chinchila".parse::<LawName>().expect_err("no such law").to_string();
        assert!(error.contains("`chinchila`") && error.contains("`chinchilla`"), "{error}");
    }
}
