//! What a fit can be asked for.

use forescale_core::law::LawName;
use forescale_core::outcome::Rules;

/// What is summed over the residuals r = predicted − observed log loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Objective {
    /// Huber: r²/2 up to `delta`, then delta·(|r| − delta/2). Hoffmann et al. use 1e-3, which is nearly least absolute
    /// deviations for losses read to 1%.
    Huber {
        /// Where the square turns straight.
        delta: f64,
    },
    /// Least squares on log loss: Σr².
    LeastSquares,
    /// Least squares on the loss itself: Σ(predicted − observed)², in which runs of high loss count for most.
    LeastSquaresLoss,
    /// Least absolute deviations: |r|, the limit of Huber/delta for delta → 0.
    LeastAbsolute,
    /// Huber with predictions below the observed loss forgiven: a badly tuned run only ever errs upwards, so a prediction
    /// above a run costs `overestimate_penalty` times one below it (OLMo-core uses 10).
    Asymmetric {
        /// Where the square turns straight.
        delta: f64,
        /// Factor on r > 0.
        overestimate_penalty: f64,
    },
}

impl Default for Objective {
    fn default() -> Self {
        Self::Huber { delta: 1e-3 }
    }
}

/// Where the solver starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Starts {
    /// A grid of exponents, with floor and amplitudes solved for: 6 starts for each falling term.
    #[default]
    Projected,
    /// Every point of the grid of Hoffmann et al., section D.3: 4500 for a law of two falling terms. Slower, and no better
    /// where the projected starts agree; the other way to see whether they do. Each is polished from where it stands and
    /// counts by itself; a term whose share of the loss falls below 1e-6 is put back, at most twice per start. Laws that
    /// are not a floor plus falling terms keep the projected starts.
    Classic,
}

/// How an interval comes from a fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IntervalMethod {
    /// The rise of the objective as a value is held in place; no draws.
    #[default]
    Profile,
    /// Refits to runs drawn with replacement.
    Pairs,
    /// Refits to clusters drawn with replacement, each with all of its runs.
    Cluster,
    /// Refits to the law's own losses with noise drawn anew, its scale drawn as well.
    Parametric,
}

impl IntervalMethod {
    /// The name as typed.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Pairs => "pairs",
            Self::Cluster => "cluster",
            Self::Parametric => "parametric",
        }
    }
}

/// What to fit, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct FitOptions {
    /// Laws to fit.
    pub laws: Vec<LawName>,
    /// Objective.
    pub objective: Objective,
    /// Starts.
    pub starts: Starts,
    /// Level of the intervals, 0.9 for 90%.
    pub level: f64,
    /// How intervals are found.
    pub interval: IntervalMethod,
    /// Refits of a bootstrap.
    pub draws: u32,
    /// Seed of a bootstrap.
    pub seed: u64,
    /// Conventions the observations were made under; stated, not used.
    pub rules: Rules,
    /// Loss an untrained model starts from, in the unit of the losses, where it is known (the corpus's unigram entropy):
    /// laws that end there use it, and runs that are still near it are doubted.
    pub start_level: Option<f64>,
    /// Column that tells the groups of a table, as hints name it; stated, not used.
    pub group_column: String,
}

impl FitOptions {
    /// Whether a law is asked for that models repeated data.
    #[must_use]
    pub fn model_repetition(&self) -> bool {
        self.laws.iter().any(|law| law.form().models_repetition())
    }
}

impl Default for FitOptions {
    fn default() -> Self {
        Self {
            laws: vec![LawName::POWER_LAW, LawName::CHINCHILLA, LawName::COUPLED],
            objective: Objective::default(),
            starts: Starts::default(),
            level: 0.9,
            interval: IntervalMethod::default(),
            draws: 1000,
            seed: 0,
            rules: Rules { params: "matmul".to_owned(), flops: "exact".to_owned() },
            start_level: None,
            group_column: "group".to_owned(),
        }
    }
}
