//! Names of laws, as typed: always of one that exists.

use core::fmt;
use core::str::FromStr;

use super::{
    LAWS, LawForm, bnsl, chinchilla, coupled, data_constrained, gadre, kaplan, log_log, m3, m4, m4_pinned, multi_power,
    power_law,
};

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
    /// L(N, D) = E + [(AN^-α)^{1/κ} + (BD^-β)^{1/κ}]^κ.
    pub const COUPLED: Self = Self(&coupled::Coupled);
    /// L(N, D) = [(Nc/N)^{αN/αD} + Dc/D]^αD, for comparison.
    pub const KAPLAN: Self = Self(&kaplan::Kaplan);
    /// L(C) = β(1/C + γ)^c.
    pub const M3: Self = Self(&m3::M3);
    /// (L − E)/(L0 − L)^a = BC^-c.
    pub const M4: Self = Self(&m4::M4);
    /// The same with L0 measured.
    pub const M4_PINNED: Self = Self(&m4_pinned::M4Pinned);
    /// Two power laws with a smooth break, for diagnosis.
    pub const BNSL: Self = Self(&bnsl::Bnsl);
    /// L(C, M) = E + (aM^η + bM^-η)C^-η.
    pub const GADRE: Self = Self(&gadre::Gadre);
    /// L(N, D, U) = E + AN′^-α + BD′^-α.
    pub const DATA_CONSTRAINED: Self = Self(&data_constrained::DataConstrained);

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
#[error("`{name}` {fault}\n\nhint: {hint}")]
pub struct UnknownLaw {
    /// What was asked for.
    pub name: String,
    /// Why it is none.
    pub fault: &'static str,
    /// The names there are.
    pub hint: String,
}

impl UnknownLaw {
    fn new(name: &str) -> Self {
        let curves = multi_power::NAME;
        if name == curves {
            let columns = multi_power::COLUMNS;
            let hint = format!("forescale fit CURVES --law {curves}, alone, with a table of the columns {columns}");
            return Self {
                name: name.to_owned(),
                fault: "is a law of loss curves, not of size, data or compute",
                hint,
            };
        }
        let known: Vec<String> = LAWS.iter().map(|law| format!("`{}`", law.name())).collect();
        let hint = format!("use one of {}; or, alone and for a table of loss curves, `{curves}`", known.join(", "));
        Self { name: name.to_owned(), fault: "is not a law", hint }
    }
}

impl FromStr for LawName {
    type Err = UnknownLaw;

    fn from_str(name: &str) -> Result<Self, UnknownLaw> {
        let has = |law: &Self| law.as_str() == name || law.form().aliases().contains(&name);
        Self::all().into_iter().find(has).ok_or_else(|| UnknownLaw::new(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_law_is_told_the_names_there_are_and_where_the_law_of_curves_is() {
        let error = "chinchila".parse::<LawName>().expect_err("unknown").to_string();
        assert!(error.starts_with("`chinchila` is not a law\n\nhint: use one of `power_law`"), "{error}");
        assert!(
            error.contains("`chinchilla`") && error.ends_with("for a table of loss curves, `multi_power`"),
            "{error}"
        );
        let curves = "multi_power".parse::<LawName>().expect_err("elsewhere").to_string();
        assert!(curves.contains("is a law of loss curves") && curves.contains("`lr` (the learning rate)"), "{curves}");
    }
}
