//! What compute costs: GPU-hours, money and energy, from a budget in FLOPs and a row of a hardware table.
//!
//! The table is the user's: its prices are examples that somebody must edit. Nothing here reads a file; the text of a table and its
//! parsing are another room's. A cost always carries the sentences it rests on, because every factor in it (what share
//! of the peak a run reaches, what an hour costs, what cooling adds) is an assumption and none is measured here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::estimate::Estimate;

/// Seconds in an hour.
const SECONDS_PER_HOUR: f64 = 3600.0;
/// Watts in a kilowatt.
const WATTS_PER_KILOWATT: f64 = 1000.0;

/// One accelerator, as a row of the hardware table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hardware {
    /// Name as typed: `h100-sxm`.
    pub name: String,
    /// Peak arithmetic of dense matrix products at `precision`, FLOP/s; a multiply-add counts as two.
    pub flops_per_second: f64,
    /// The precision the peak is stated at: `bf16`.
    pub precision: String,
    /// Share of the peak that training reaches, above 0 and at most 1.
    pub utilisation: f64,
    /// Price of one device for an hour; 0 where it costs nothing.
    pub price_per_hour: f64,
    /// The price's currency: `USD`.
    pub currency: String,
    /// Power one device draws in training, watts.
    pub watts: f64,
    /// Power usage effectiveness: energy of the whole building over that of the devices, 1 or more.
    #[serde(default = "no_overhead")]
    pub pue: f64,
    /// Where the figures are from, and of which day the price is.
    #[serde(default)]
    pub source: String,
}

/// Form of `hardware --json`.
pub const HARDWARE_SCHEMA: &str = "forescale.hardware/1.0";

/// `hardware --json`: the table that costs are worked out from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HardwareTable {
    /// [`HARDWARE_SCHEMA`].
    pub schema: String,
    /// Its rows, in the order of the file.
    pub hardware: Vec<Hardware>,
}

fn no_overhead() -> f64 {
    1.0
}

/// What a budget costs on one kind of device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// The row of the hardware table.
    pub hardware: String,
    /// The compute that is paid for, FLOPs.
    pub flops: f64,
    /// Hours of one device.
    pub gpu_hours: f64,
    /// Price of those hours.
    pub money: f64,
    /// The price's currency.
    pub currency: String,
    /// Energy, kilowatt-hours.
    pub kwh: f64,
    /// What the figures rest on.
    pub assumptions: Vec<String>,
}

/// What an uncertain budget costs: the point, and the ends where there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CostRange {
    /// At the point estimate of the budget.
    pub expected: Cost,
    /// At the lower end of the budget; `None` when the data set no lower bound.
    pub lower: Option<Cost>,
    /// At the upper end of the budget; `None` when the data set no upper bound.
    pub upper: Option<Cost>,
    /// Level of the interval, 0.9 for 90%.
    pub level: f64,
}

/// A row of a hardware table, or a budget, that no cost can be worked out from.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum CostError {
    /// A figure that cannot be.
    #[error("hardware `{name}`: `{field}` is {value}; it must be {allowed}\n\nhint: {hint}")]
    BadFigure {
        /// The row.
        name: String,
        /// The key.
        field: &'static str,
        /// What it was.
        value: f64,
        /// What it may be.
        allowed: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A word that is missing.
    #[error("hardware `{name}`: `{field}` is empty\n\nhint: {hint}")]
    Empty {
        /// The row.
        name: String,
        /// The key.
        field: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Two rows with one name.
    #[error("hardware `{name}` stands in the table 2 times\n\nhint: give each row a name of its own")]
    Duplicate {
        /// The name.
        name: String,
    },
    /// A name that is not in the table.
    #[error("hardware `{name}` is not in the table\n\nhint: use one of {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The names there are.
        known: String,
    },
    /// A budget that is not a positive number.
    #[error(
        "a budget of {flops} FLOPs has no cost; it must be a finite number above 0\n\nhint: give a budget as `flops=1e21`"
    )]
    BadBudget {
        /// The budget.
        flops: f64,
    },
}

impl CostError {
    /// The key of the table that is wrong, where one is.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        match self {
            Self::BadFigure { field, .. } | Self::Empty { field, .. } => Some(field),
            _ => None,
        }
    }

    /// The row that is wrong, where one is.
    #[must_use]
    pub fn row(&self) -> Option<&str> {
        match self {
            Self::BadFigure { name, .. }
            | Self::Empty { name, .. }
            | Self::Duplicate { name }
            | Self::Unknown { name, .. } => Some(name),
            Self::BadBudget { .. } => None,
        }
    }
}

impl Hardware {
    /// Whether every figure can be.
    ///
    /// # Errors
    ///
    /// [`CostError`] with the row, the key, what it was and what it may be.
    pub fn validate(&self) -> Result<(), CostError> {
        let words = [
            ("name", &self.name, "name the row as it will be typed: `name = \"h100-sxm\"`"),
            ("precision", &self.precision, "name the precision of the peak: `precision = \"bf16\"`"),
            ("currency", &self.currency, "name the currency of the price: `currency = \"USD\"`"),
        ];
        if let Some((field, _, hint)) = words.into_iter().find(|(_, word, _)| word.trim().is_empty()) {
            return Err(CostError::Empty { name: self.name.clone(), field, hint });
        }
        match self.figures().into_iter().find(|figure| !figure.holds) {
            Some(Figure { field, value, allowed, hint, .. }) => {
                Err(CostError::BadFigure { name: self.name.clone(), field, value, allowed, hint })
            }
            None => Ok(()),
        }
    }

    fn figures(&self) -> [Figure; 5] {
        let positive = |value: f64| value.is_finite() && value > 0.0;
        let figure = |field, value, holds, allowed, hint| Figure { field, value, holds, allowed, hint };
        let above = "a finite number above 0";
        [
            figure(
                "flops_per_second",
                self.flops_per_second,
                positive(self.flops_per_second),
                above,
                "take the dense peak of the data sheet in FLOP/s: `989e12`",
            ),
            figure(
                "utilisation",
                self.utilisation,
                positive(self.utilisation) && self.utilisation <= 1.0,
                "above 0 and at most 1",
                "give a share, not a percentage: 40% is `0.4`",
            ),
            figure(
                "price_per_hour",
                self.price_per_hour,
                self.price_per_hour.is_finite() && self.price_per_hour >= 0.0,
                "a finite number, 0 or more",
                "give the price of one device for one hour, or 0",
            ),
            figure("watts", self.watts, positive(self.watts), above, "take the board power of the data sheet"),
            figure(
                "pue",
                self.pue,
                self.pue.is_finite() && self.pue >= 1.0,
                "a finite number, 1 or more",
                "1 counts the devices alone; a data centre adds 0.1 to 0.6",
            ),
        ]
    }

    /// What a budget costs on this device.
    ///
    /// # Formula
    ///
    /// hours = C / (peak × utilisation) / 3600; money = hours × price; kWh = hours × watts × PUE / 1000.
    ///
    /// # Errors
    ///
    /// [`CostError`] where a figure of the row cannot be, or the budget is not a positive number.
    pub fn cost(&self, flops: f64) -> Result<Cost, CostError> {
        self.validate()?;
        if !(flops.is_finite() && flops > 0.0) {
            return Err(CostError::BadBudget { flops });
        }
        let gpu_hours = flops / (self.flops_per_second * self.utilisation) / SECONDS_PER_HOUR;
        Ok(Cost {
            hardware: self.name.clone(),
            flops,
            gpu_hours,
            money: gpu_hours * self.price_per_hour,
            currency: self.currency.clone(),
            kwh: gpu_hours * self.watts * self.pue / WATTS_PER_KILOWATT,
            assumptions: self.assumptions(),
        })
    }

    /// What an uncertain budget costs: its point and its ends.
    ///
    /// # Errors
    ///
    /// As [`Hardware::cost`].
    pub fn cost_range(&self, budget: &Estimate) -> Result<CostRange, CostError> {
        let end = |flops: Option<f64>| flops.map(|flops| self.cost(flops)).transpose();
        Ok(CostRange {
            expected: self.cost(budget.estimate)?,
            lower: end(budget.lower)?,
            upper: end(budget.upper)?,
            level: budget.level,
        })
    }

    fn assumptions(&self) -> Vec<String> {
        let peak = format!(
            "{:.0}% of a peak of {:e} FLOP/s ({}, dense) is reached on average",
            100.0 * self.utilisation,
            self.flops_per_second,
            self.precision
        );
        let price =
            format!("one device costs {} {} an hour, idle hours not counted", self.price_per_hour, self.currency);
        let energy = format!(
            "one device draws {} W throughout, and the building {} times that; hosts and network are not counted",
            self.watts, self.pue
        );
        let source = (!self.source.trim().is_empty()).then(|| format!("figures of `{}`: {}", self.name, self.source));
        [peak, price, energy].into_iter().chain(source).collect()
    }
}

/// A figure of a row with what it may be.
struct Figure {
    field: &'static str,
    value: f64,
    holds: bool,
    allowed: &'static str,
    hint: &'static str,
}

/// Whether every row of a table can be, each under a name of its own.
///
/// # Errors
///
/// [`CostError`] of the first row that is wrong.
pub fn validate_table(table: &[Hardware]) -> Result<(), CostError> {
    for (index, row) in table.iter().enumerate() {
        row.validate()?;
        if table[..index].iter().any(|earlier| earlier.name == row.name) {
            return Err(CostError::Duplicate { name: row.name.clone() });
        }
    }
    Ok(())
}

/// The row of a name.
///
/// # Errors
///
/// [`CostError::Unknown`] with the names there are.
pub fn find<'a>(table: &'a [Hardware], name: &str) -> Result<&'a Hardware, CostError> {
    table.iter().find(|row| row.name == name).ok_or_else(|| CostError::Unknown {
        name: name.to_owned(),
        known: table.iter().map(|row| format!("`{}`", row.name)).collect::<Vec<_>>().join(", "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a100() -> Hardware {
        Hardware {
            name: "a100".to_owned(),
            flops_per_second: 312e12,
            precision: "bf16".to_owned(),
            utilisation: 0.4,
            price_per_hour: 2.0,
            currency: "USD".to_owned(),
            watts: 400.0,
            pue: 1.2,
            source: "data sheet".to_owned(),
        }
    }

    #[test]
    fn a_budget_is_priced_as_worked_by_hand() {
        // 312e12 × 0.4 × 3600 = 4.4928e17 FLOPs an hour; 4.4928e21 FLOPs are 10,000 hours, 20,000 dollars, and
        // 10,000 h × 400 W × 1.2 = 4800 kWh.
        let cost = a100().cost(4.4928e21).expect("a cost");
        assert!((cost.gpu_hours - 10_000.0).abs() < 1e-6, "{cost:?}");
        assert!((cost.money - 20_000.0).abs() < 1e-6 && (cost.kwh - 4800.0).abs() < 1e-6, "{cost:?}");
        assert_eq!(cost.assumptions.len(), 4);
        assert!(cost.assumptions[0].starts_with("40% of a peak of 3.12e14 FLOP/s (bf16, dense)"), "{cost:?}");
    }

    #[test]
    fn gpt3_on_v100s_is_the_published_355_gpu_years() {
        // 3.14e23 FLOPs at 28 TFLOP/s reached on a V100 are 355 GPU-years (Lambda Labs 2020, from Brown et al. 2020,
        // arXiv:2005.14165, table D.1); 28e12 is 22.4% of the V100's 125e12.
        let v100 = Hardware { flops_per_second: 125e12, utilisation: 0.224, ..a100() };
        let years = v100.cost(3.14e23).expect("a cost").gpu_hours / (24.0 * 365.25);
        assert!((years - 355.0).abs() < 1.0, "{years}");
    }

    #[test]
    fn a_budget_without_an_upper_end_has_no_upper_cost() {
        let budget =
            Estimate { estimate: 4.4928e21, standard_error: None, lower: Some(4.4928e20), upper: None, level: 0.9 };
        let range = a100().cost_range(&budget).expect("a range");
        assert!((range.lower.expect("an end").gpu_hours - 1000.0).abs() < 1e-6);
        assert_eq!(range.upper, None);
    }

    #[test]
    fn a_budget_of_nothing_is_refused() {
        for flops in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(a100().cost(flops), Err(CostError::BadBudget { .. })), "{flops}");
        }
    }

    #[test]
    fn a_figure_that_cannot_be_is_named_with_what_it_may_be() {
        let percent = Hardware { utilisation: 40.0, ..a100() };
        let error = percent.cost(1e20).expect_err("a percentage");
        assert_eq!((error.row(), error.field()), (Some("a100"), Some("utilisation")));
        let text = "hardware `a100`: `utilisation` is 40; it must be above 0 and at most 1\n\nhint: ";
        assert!(error.to_string().starts_with(text), "{error}");
        for bad in [
            Hardware { watts: 0.0, ..a100() },
            Hardware { pue: 0.9, ..a100() },
            Hardware { name: String::new(), ..a100() },
        ] {
            assert!(bad.cost(1e20).is_err(), "{bad:?}");
        }
        assert!(Hardware { price_per_hour: 0.0, ..a100() }.cost(1e20).is_ok_and(|cost| cost.money <= 0.0));
    }

    #[test]
    fn a_table_with_one_name_twice_is_refused_and_an_unknown_name_lists_the_known() {
        let other = Hardware { name: "h100".to_owned(), ..a100() };
        let error = validate_table(&[a100(), other.clone(), a100()]).expect_err("twice");
        assert_eq!(error, CostError::Duplicate { name: "a100".to_owned() });
        let error = find(&[a100(), other], "h200").expect_err("unknown").to_string();
        assert!(error.ends_with("use one of `a100`, `h100`"), "{error}");
    }

    #[test]
    fn a_key_that_does_not_exist_is_an_error() {
        let mut row = serde_json::to_value(a100()).expect("JSON");
        row.as_object_mut().expect("an object").insert("wats".to_owned(), 400.into());
        assert!(serde_json::from_value::<Hardware>(row).is_err());
    }
}
