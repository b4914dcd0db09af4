//! The runs that a spec comes to: pure arithmetic, no disk, no clock.
//!
//! N follows from the width under the spec's counting rule, D from N, the batch from D, the steps from both; the rules
//! stand in [`RECIPE`], with their sources. What can only be judged with these in hand is refused here, before any
//! training: a rung too short to be on the curve, a budget that buys too little data, more tokens than the corpus has,
//! two runs that are one.

use std::collections::BTreeMap;

use forescale_core::corpus::{CorpusManifest, CorpusSpec};
use forescale_core::count::{FlopsCounts, ModelShape, ParameterCounts};
use forescale_core::run::{OptimizerConfig, Parametrization, PlannedRun, Role, RunConfig, ScheduleKind};
use thiserror::Error;

use crate::spec::{Horizon, SweepSpec};

mod doubts;
mod family;
mod probe;
mod recipe;
mod trunks;

pub use family::{FamilyRun, family};
pub use probe::{RateProbe, probe_rates};
pub use recipe::{RECIPE, RecipeRule};
pub use trunks::TrunkSavings;
pub(crate) use trunks::shared_steps;

/// Fewest steps of a run, be it of the ladder, off the path or of a probe: under this a run is still in its early phase
/// and lies off the curve.
///
/// METHODS of the field drop horizons below about 500 steps; 300 is the least that a plan accepts.
pub const MIN_STEPS: u64 = 300;

/// Symbols that a tokenizer counts as while nobody has said how many it has.
const UNKNOWN_VOCABULARY: u32 = 256;

/// The runs of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Cheapest first, the target last.
    pub runs: Vec<PlannedRun>,
    /// What is allowed and yet worth knowing before paying.
    pub notes: Vec<String>,
    /// Whether the corpus was unknown, so that ids are not final.
    pub provisional: bool,
}

impl Plan {
    /// The held-out target, if there is one.
    #[must_use]
    pub fn target(&self) -> Option<&PlannedRun> {
        self.runs.iter().find(|run| run.role == Role::Target)
    }

    /// The runs that a forecast may be made from.
    pub fn ladder(&self) -> impl Iterator<Item = &PlannedRun> {
        self.runs.iter().filter(|run| run.role != Role::Target)
    }

    /// The run of this name or id.
    #[must_use]
    pub fn find(&self, name_or_id: &str) -> Option<&PlannedRun> {
        self.runs.iter().find(|run| run.name == name_or_id || run.id.0 == name_or_id)
    }

    /// Steps that a run takes over from a shorter branch of its trunk; 0 for a run of its own.
    #[must_use]
    pub fn shared_steps(&self, run: &PlannedRun) -> u64 {
        trunks::shared_steps(&run.config, self.runs.iter().map(|other| &other.config))
    }

    /// Exact FLOPs of those steps.
    #[must_use]
    pub fn saved_flops(&self, run: &PlannedRun) -> f64 {
        trunks::flops_of_steps(&run.config, self.shared_steps(run))
    }

    /// What all trunks save together.
    #[must_use]
    pub fn trunk_savings(&self) -> TrunkSavings {
        trunks::savings(&self.runs)
    }
}

/// A spec that asks for runs that cannot be, or cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{place}`: {problem}\n\nhint: {hint}")]
pub struct PlanError {
    /// The spec's file.
    pub place: String,
    /// What is wrong, with the number and the one that is allowed.
    pub problem: String,
    /// What to do.
    pub hint: String,
}

/// Works out the runs of a spec.
///
/// Without a manifest the corpus digest is empty and ids are provisional; a `tokenizer.json` whose vocabulary the
/// spec does not say then counts as 256 symbols, and a note says so.
///
/// # Errors
///
/// [`PlanError`] when a run has too few steps or tokens per parameter, needs more tokens than the corpus has, does
/// not fit its windows, or is another run over again.
pub fn plan(spec: &SweepSpec, manifest: Option<&CorpusManifest>) -> Result<Plan, PlanError> {
    let planner = Planner::new(spec, manifest);
    planner.check_windows()?;
    let mut runs = planner.path()?;
    runs.extend(planner.branches()?);
    runs.extend(planner.off_path()?);
    runs.sort_by(|one, two| cost(one).total_cmp(&cost(two)));
    runs.extend(planner.target()?);
    planner.check_identities(&runs)?;
    let notes = doubts::notes(spec, &runs, manifest);
    Ok(Plan { runs, notes, provisional: manifest.is_none() })
}

/// As [`plan()`], under another parametrisation than the spec's; its own where none is named.
///
/// # Errors
///
/// As [`plan()`].
pub fn plan_with(
    spec: &SweepSpec,
    manifest: Option<&CorpusManifest>,
    parametrization: Option<Parametrization>,
) -> Result<Plan, PlanError> {
    match parametrization {
        Some(parametrization) => plan(&spec.with_parametrization(parametrization), manifest),
        None => plan(spec, manifest),
    }
}

fn cost(run: &PlannedRun) -> f64 {
    run.config.flops().exact
}

/// What a plan needs to know of a corpus; less is known before it is built.
struct CorpusFacts {
    digest: String,
    vocabulary: u32,
    train_tokens: Option<u64>,
    validation_tokens: Option<u64>,
    window_alignment: u32,
}

impl CorpusFacts {
    fn of(spec: &CorpusSpec, manifest: Option<&CorpusManifest>) -> Self {
        match (manifest, spec) {
            (Some(manifest), _) => Self {
                digest: manifest.digest.clone(),
                vocabulary: manifest.vocabulary,
                train_tokens: Some(manifest.unique_tokens.min(manifest.train_tokens)),
                validation_tokens: Some(manifest.validation_tokens),
                window_alignment: manifest.window_alignment,
            },
            (None, CorpusSpec::ZipfFacts(zipf)) => Self {
                digest: String::new(),
                vocabulary: zipf.vocabulary,
                train_tokens: Some(zipf.train_tokens),
                validation_tokens: Some(zipf.validation_tokens),
                window_alignment: zipf.key_digits + 1,
            },
            (None, CorpusSpec::Task(task)) => {
                Self::of_text(spec, Some(task.train_tokens), Some(task.validation_tokens))
            }
            (None, CorpusSpec::Mixture(mixture)) => {
                Self::of_text(spec, mixture.train_tokens, mixture.validation_tokens)
            }
            (None, CorpusSpec::Files(_) | CorpusSpec::RustCode(_) | CorpusSpec::Shards(_)) => {
                Self::of_text(spec, None, None)
            }
        }
    }

    /// Of text that is not read yet.
    fn of_text(spec: &CorpusSpec, train_tokens: Option<u64>, validation_tokens: Option<u64>) -> Self {
        let vocabulary = spec.vocabulary().unwrap_or(UNKNOWN_VOCABULARY);
        Self { digest: String::new(), vocabulary, train_tokens, validation_tokens, window_alignment: 1 }
    }
}

/// One run before it has an identity.
#[derive(Clone, Copy)]
struct Wanted {
    role: Role,
    width: u32,
    tokens: f64,
    seed: u64,
    /// D / N as the spec has it; it follows from the steps where the spec names a compute.
    tokens_per_param: Option<f64>,
    /// The trunk, where it is a branch of one.
    trunk: Option<trunks::TrunkScale>,
    /// What both peak rates are multiplied by, after the recipe.
    rate_factor: f64,
}

struct Planner<'a> {
    spec: &'a SweepSpec,
    corpus: CorpusFacts,
}

impl<'a> Planner<'a> {
    fn new(spec: &'a SweepSpec, manifest: Option<&CorpusManifest>) -> Self {
        Self { spec, corpus: CorpusFacts::of(spec.corpus(), manifest) }
    }
}

impl Planner<'_> {
    /// A run on the path at so many tokens per parameter.
    fn wanted(&self, width: u32, ratio: f64, seed: u64) -> Wanted {
        let tokens = ratio * self.params(width);
        let tokens_per_param = Some(ratio);
        Wanted { role: Role::Path, width, tokens, seed, tokens_per_param, trunk: None, rate_factor: 1.0 }
    }

    fn path(&self) -> Result<Vec<PlannedRun>, PlanError> {
        let wanted = self.spec.rungs().iter().flat_map(|rung| {
            let own = (0..rung.seeds).filter(|&seed| !self.is_branch(rung, seed));
            own.map(|seed| self.wanted(rung.width, rung.tokens_per_param, seed))
        });
        wanted.map(|wanted| self.run(&wanted)).collect()
    }

    fn off_path(&self) -> Result<Vec<PlannedRun>, PlanError> {
        let wanted = self.spec.off_path().iter().flat_map(|run| {
            let at = |ratio, seed| Wanted { role: Role::OffPath, ..self.wanted(run.width, ratio, seed) };
            (0..run.seeds).map(move |seed| match run.horizon {
                Horizon::TokensPerParam(ratio) => at(ratio, seed),
                Horizon::ComputeOf(rung) => {
                    let tokens = self.rung_flops(rung) / self.flops_per_token(run.width);
                    Wanted { tokens, tokens_per_param: None, ..at(1.0, seed) }
                }
            })
        });
        wanted.map(|wanted| self.run(&wanted)).collect()
    }

    fn target(&self) -> Result<Option<PlannedRun>, PlanError> {
        let Some(target) = self.spec.target() else { return Ok(None) };
        let wanted = self.wanted(target.width, target.tokens_per_param, target.seed);
        self.run(&Wanted { role: Role::Target, ..wanted }).map(Some)
    }

    fn run(&self, wanted: &Wanted) -> Result<PlannedRun, PlanError> {
        let config = self.config(wanted);
        let ratio = config.tokens() as f64 / self.params(wanted.width);
        self.check_data(&config, ratio)?;
        let named = wanted.tokens_per_param.unwrap_or(ratio);
        let name = format!("d{}-{}x-s{}", wanted.width, three_digits(named), wanted.seed);
        Ok(PlannedRun { id: config.id(), name, role: wanted.role, config })
    }

    fn shape(&self, width: u32) -> ModelShape {
        let model = self.spec.model();
        ModelShape {
            vocabulary: self.corpus.vocabulary,
            width,
            layers: model.layers,
            heads: width / model.head_size,
            head_size: model.head_size,
            mlp: model.mlp,
            mlp_hidden: ((model.mlp_ratio * f64::from(width) / 8.0 - 1e-3).ceil().max(1.0) * 8.0) as u32,
            context: model.context,
            input_order: model.input_order,
        }
    }

    fn params(&self, width: u32) -> f64 {
        ParameterCounts::of(&self.shape(width)).under(self.spec.forecast().params_rule) as f64
    }

    fn flops_per_token(&self, width: u32) -> f64 {
        let per_token = FlopsCounts::of(&self.shape(width), 1);
        per_token.under(self.spec.forecast().flops_rule).unwrap_or(per_token.exact)
    }

    /// Compute of a rung as it will be trained, whole steps included.
    fn rung_flops(&self, width: u32) -> f64 {
        let rung = self.spec.rungs().iter().find(|rung| rung.width == width);
        let ratio = rung.expect("the spec was checked to name a rung").tokens_per_param;
        self.config(&self.wanted(width, ratio, 0)).tokens() as f64 * self.flops_per_token(width)
    }

    fn config(&self, wanted: &Wanted) -> RunConfig {
        let (model, training) = (self.spec.model(), self.spec.training());
        let context = f64::from(model.context);
        let tokens = wanted.trunk.map_or(wanted.tokens, |trunk| trunk.mean_tokens);
        let sequences = recipe::sequences(training.batch_coefficient, training.batch_exponent, tokens, context);
        let steps = recipe::steps(wanted.tokens, f64::from(sequences) * context);
        RunConfig {
            family: model.family,
            shape: self.shape(wanted.width),
            corpus_digest: self.corpus.digest.clone(),
            sequences,
            steps,
            optimizer: self.optimizer(wanted, f64::from(sequences) * context),
            evaluation: self.spec.evaluation().clone(),
            seed: wanted.seed,
            allow_repeats: training.allow_repeats,
            branch: wanted.trunk.is_some(),
        }
    }

    /// The optimiser of a run: the rules of the recipe, worked out.
    fn optimizer(&self, wanted: &Wanted, batch_tokens: f64) -> OptimizerConfig {
        let training = self.spec.training();
        let (mean_tokens, shortest_tokens) =
            wanted.trunk.map_or((wanted.tokens, wanted.tokens), |trunk| (trunk.mean_tokens, trunk.shortest_tokens));
        let horizon =
            training.horizon.map_or(1.0, |rule| recipe::horizon_factor(rule.exponent, rule.base_tokens, mean_tokens));
        let rate_factor = horizon * wanted.rate_factor;
        let beta2 = training
            .beta2_base_batch_tokens
            .map_or(training.beta2, |base| recipe::beta2_at(training.beta2, base, batch_tokens));
        let cools_down = training.schedule == ScheduleKind::WarmupStableDecay;
        let decay_steps = recipe::share_of(recipe::steps(wanted.tokens, batch_tokens), training.decay);
        OptimizerConfig {
            learning_rate: training.learning_rate * rate_factor,
            embedding_learning_rate: training.embedding_learning_rate * rate_factor,
            base_width: training.base_width,
            base_layers: training.base_layers,
            parametrization: training.parametrization,
            beta1: training.beta1,
            beta2,
            epsilon: training.epsilon,
            weight_decay: training.weight_decay,
            clip_norm: training.clip_norm,
            schedule: training.schedule,
            decay_steps: if cools_down { decay_steps } else { 0 },
            warmup_steps: recipe::share_of(recipe::steps(shortest_tokens, batch_tokens), training.warmup),
        }
    }

    fn refuse<T>(&self, problem: String, hint: String) -> Result<T, PlanError> {
        Err(PlanError { place: self.spec.path().display().to_string(), problem, hint })
    }

    fn check_data(&self, config: &RunConfig, ratio: f64) -> Result<(), PlanError> {
        let width = config.shape.width;
        if ratio < 1.0 {
            let flops = config.flops().exact;
            return self.refuse(
                format!(
                    "budget {flops:.1e} FLOPs gives {} tokens per parameter for `d{width}`; at least 1 is needed",
                    three_digits(ratio)
                ),
                format!("name a wider rung in `at_compute_of`, or take width {width} out of `[[off_path]]`"),
            );
        }
        if config.steps < MIN_STEPS {
            return self.refuse(
                format!(
                    "`d{width}` at {} tokens per parameter trains for {} steps; at least {MIN_STEPS} are needed",
                    three_digits(ratio),
                    config.steps
                ),
                format!("raise `tokens_per_param`, lower `batch_coefficient`, or take width {width} out"),
            );
        }
        self.check_supply(config)
    }

    fn check_supply(&self, config: &RunConfig) -> Result<(), PlanError> {
        let Some(supply) = self.corpus.train_tokens else { return Ok(()) };
        let usable = whole_windows(supply, config.shape.context);
        let needed = config.tokens();
        if needed <= usable || config.allow_repeats {
            return Ok(());
        }
        self.refuse(
            format!("`d{}` needs {needed} training tokens; the corpus has {usable} unique ones", config.shape.width),
            "use a larger corpus, lower `tokens_per_param`, or say `allow_repeats = true` under `[training]` (no law is fitted to such runs)".to_owned(),
        )
    }

    fn check_windows(&self) -> Result<(), PlanError> {
        let (context, alignment) = (self.spec.model().context, self.corpus.window_alignment.max(1));
        if !context.is_multiple_of(alignment) {
            let near = (context / alignment).max(1) * alignment;
            return self.refuse(
                format!("`model.context` is {context}; a multiple of {alignment} is needed, the length of a sentence of this corpus"),
                format!("context = {near}"),
            );
        }
        let wanted = self.spec.evaluation().tokens;
        match self.corpus.validation_tokens.map(|held| whole_windows(held, context)) {
            Some(held) if wanted > held => self.refuse(
                format!("`evaluation.tokens` is {wanted}; the validation split has {held} in whole windows"),
                format!("tokens = {held}"),
            ),
            _ => Ok(()),
        }
    }

    fn check_identities(&self, runs: &[PlannedRun]) -> Result<(), PlanError> {
        let (mut ids, mut names) = (BTreeMap::new(), BTreeMap::new());
        for run in runs {
            if let Some(twin) = ids.insert(&run.id, run) {
                return self.refuse(
                    format!("{} and {} have one identity, `{}`", described(twin), described(run), run.id),
                    "take one of them out, or give it another seed or horizon".to_owned(),
                );
            }
            if let Some(twin) = names.insert(&run.name, run) {
                return self.refuse(
                    format!("{} and {} have one name", described(twin), described(run)),
                    "take one of them out: a branch of a trunk is the rung's run, or the off-path one".to_owned(),
                );
            }
        }
        Ok(())
    }
}

/// Tokens that whole windows of a split read; one token more is only predicted.
fn whole_windows(tokens: u64, context: u32) -> u64 {
    tokens.saturating_sub(1) / u64::from(context) * u64::from(context)
}

fn described(run: &PlannedRun) -> String {
    let place = match run.role {
        _ if run.config.branch => "`[[trunk]]`",
        Role::Path => "`[ladder]`",
        Role::OffPath => "`[[off_path]]`",
        Role::Target => "`[target]`",
    };
    format!("`{}` of {place}", run.name)
}

/// A ratio to three significant digits, without trailing zeros.
fn three_digits(ratio: f64) -> String {
    let decimals = (2 - ratio.abs().max(1e-9).log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{ratio:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests;
