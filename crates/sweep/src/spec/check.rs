//! From what was typed to what is meant: each value is held against what is allowed, once.

use forescale_core::count::{CountingRule, FlopsRule};
use forescale_core::run::{EvaluationConfig, TaskEvaluation};

use super::source::Source;
use super::written::{
    Numbers, WrittenEvaluation, WrittenForecast, WrittenLadder, WrittenOffPath, WrittenSpec, WrittenTarget,
};
use super::{ForecastSpec, HardwareSpec, Horizon, OffPath, Rung, SpecError, SweepSpec, Target};
use crate::launch::slurm;

mod corpus;
mod training;
mod trunk;

/// Checks a whole spec.
pub(super) fn check(source: &Source<'_>, written: WrittenSpec) -> Result<SweepSpec, SpecError> {
    let checker = Checker { source, head_size: written.model.head_size };
    checker.name(&written.name)?;
    checker.corpus(&written.corpus)?;
    let model = checker.model(&written.model)?;
    let training = checker.training(&written.training, model.layers)?;
    let evaluation = checker.evaluation(&written.evaluation, model.context)?;
    let rungs = checker.ladder(&written.ladder)?;
    let off_path = checker.off_paths(&written.off_path, &rungs)?;
    let trunks = checker.trunks(&written.trunk, training.schedule)?;
    let target = written.target.as_ref().map(|target| checker.target(target)).transpose()?;
    let forecast = checker.forecast(written.forecast)?;
    let slurm_args = checker.slurm_args(&written.slurm.args)?;
    Ok(SweepSpec {
        path: source.path.clone(),
        name: written.name,
        description: written.description,
        corpus: written.corpus,
        model,
        training,
        evaluation,
        rungs,
        off_path,
        trunks,
        target,
        forecast,
        hardware: HardwareSpec { accumulate: written.hardware.accumulate },
        slurm_args,
    })
}

/// A key and where it stands.
#[derive(Clone, Copy)]
struct Key<'a> {
    section: &'a str,
    name: &'a str,
}

struct Checker<'a> {
    source: &'a Source<'a>,
    head_size: u32,
}

impl Checker<'_> {
    fn refuse<T>(&self, key: Key<'_>, problem: &str, hint: &str) -> Result<T, SpecError> {
        let name = match key.section {
            "" => key.name.to_owned(),
            section => format!("{section}.{}", key.name),
        };
        Err(self.source.error(key.section, key.name, format!("`{name}` {problem}"), hint.to_owned()))
    }

    fn slurm_args(&self, text: &str) -> Result<Vec<String>, SpecError> {
        slurm::arguments(text).or_else(|error| {
            let words = error.to_string();
            let (problem, hint) = words.split_once("\n\nhint: ").unwrap_or((&words, "leave it out"));
            self.refuse(Key { section: "slurm", name: "args" }, &format!("cannot be used: {problem}"), hint)
        })
    }

    fn positive(&self, key: Key<'_>, value: f64) -> Result<f64, SpecError> {
        if value.is_finite() && value > 0.0 {
            return Ok(value);
        }
        self.refuse(
            key,
            &format!("is {value}; a number above 0 is needed"),
            "the commented spec of `forescale init` shows a usual value",
        )
    }

    fn share(&self, key: Key<'_>, value: f64) -> Result<f64, SpecError> {
        if value > 0.0 && value < 1.0 {
            return Ok(value);
        }
        self.refuse(key, &format!("is {value}; a share above 0 and below 1 is needed"), "10% is written 0.1")
    }

    fn at_least_one(&self, key: Key<'_>, value: u32) -> Result<u32, SpecError> {
        if value >= 1 {
            return Ok(value);
        }
        self.refuse(key, "is 0; at least 1 is needed", "write a whole number from 1")
    }

    fn name(&self, name: &str) -> Result<(), SpecError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if !name.is_empty() && name.chars().all(allowed) {
            return Ok(());
        }
        let key = Key { section: "", name: "name" };
        self.refuse(
            key,
            &format!("is `{name}`; letters, digits, `-` and `_` are allowed"),
            "use the name of the sweep's folder",
        )
    }

    fn evaluation(&self, written: &WrittenEvaluation, context: u32) -> Result<EvaluationConfig, SpecError> {
        if written.tokens < u64::from(context) {
            let key = Key { section: "evaluation", name: "tokens" };
            let problem = format!("is {}; at least one window of {context} is needed", written.tokens);
            return self.refuse(key, &problem, "40960 is usual");
        }
        let key = Key { section: "evaluation", name: "curve_tokens" };
        let curve_tokens = written.curve_tokens(context);
        if curve_tokens != 0 && !(u64::from(context)..=written.tokens).contains(&curve_tokens) {
            let problem = format!(
                "is {curve_tokens}; 0, or from one window of {context} to `tokens` = {}, is needed",
                written.tokens
            );
            return self.refuse(key, &problem, "0 takes all of `tokens` in each evaluation");
        }
        let tasks = written.tasks();
        self.tasks(tasks)?;
        Ok(EvaluationConfig { tokens: written.tokens, curve_tokens, curve_points: written.curve_points, tasks })
    }

    fn tasks(&self, tasks: Option<TaskEvaluation>) -> Result<(), SpecError> {
        let Some(TaskEvaluation { successes, budget }) = tasks else { return Ok(()) };
        let key = |name| Key { section: "evaluation", name };
        self.at_least_one(key("task_samples"), budget)?;
        if (1..=budget).contains(&successes) {
            return Ok(());
        }
        let problem = format!("is {successes}; 1 to `task_samples` = {budget} is needed");
        self.refuse(key("task_successes"), &problem, "4 is usual")
    }

    fn ladder(&self, written: &WrittenLadder) -> Result<Vec<Rung>, SpecError> {
        let key = |name| Key { section: "ladder", name };
        if written.widths.is_empty() {
            return self.refuse(
                key("widths"),
                "is empty; at least one width is needed",
                "widths = [24, 32, 40, 48, 64]",
            );
        }
        let tokens = self.spread(key("tokens_per_param"), &written.tokens_per_param, written.widths.len())?;
        let seeds = self.spread(key("seeds"), &written.seeds, written.widths.len())?;
        let mut rungs = Vec::new();
        for ((&width, tokens), seeds) in written.widths.iter().zip(tokens).zip(seeds) {
            rungs.push(Rung {
                width: self.width(key("widths"), width)?,
                tokens_per_param: self.tokens_per_param(key("tokens_per_param"), tokens)?,
                seeds: self.seeds(key("seeds"), seeds)?,
            });
        }
        rungs.sort_by_key(|rung| rung.width);
        match rungs.windows(2).find(|pair| pair[0].width == pair[1].width) {
            Some(pair) => {
                let problem = format!("names {} twice; each width is one rung", pair[0].width);
                self.refuse(key("widths"), &problem, "ask for more `seeds`, or put the second one under `[[off_path]]`")
            }
            None => Ok(rungs),
        }
    }

    fn spread(&self, key: Key<'_>, numbers: &Numbers, count: usize) -> Result<Vec<f64>, SpecError> {
        numbers.spread(count).or_else(|found| {
            let problem =
                format!("has {found} numbers for {count} widths; one number, or one for each width, is needed");
            self.refuse(key, &problem, "write a single number to use it for every width")
        })
    }

    fn width(&self, key: Key<'_>, width: u32) -> Result<u32, SpecError> {
        let head = self.head_size;
        if width > 0 && width.is_multiple_of(head) {
            return Ok(width);
        }
        let below = (width / head * head).max(head);
        let problem = format!("has {width}; a multiple of `head_size` = {head} is needed");
        self.refuse(key, &problem, &format!("use {below} or {}", below + head))
    }

    fn tokens_per_param(&self, key: Key<'_>, value: f64) -> Result<f64, SpecError> {
        if value.is_finite() && value >= 1.0 {
            return Ok(value);
        }
        self.refuse(
            key,
            &format!("has {value}; at least 1 token per parameter is needed"),
            "20 to 40 is near the optimum",
        )
    }

    fn seeds(&self, key: Key<'_>, value: f64) -> Result<u64, SpecError> {
        if (1.0..=1000.0).contains(&value) && value.fract() == 0.0 {
            return Ok(value as u64);
        }
        self.refuse(
            key,
            &format!("has {value}; a whole number from 1 to 1000 is needed"),
            "it is how many seeds to train",
        )
    }

    fn off_paths(&self, written: &[WrittenOffPath], rungs: &[Rung]) -> Result<Vec<OffPath>, SpecError> {
        let mut runs = Vec::new();
        for one in written {
            runs.extend(self.off_path(one, rungs)?);
        }
        Ok(runs)
    }

    fn off_path(&self, written: &WrittenOffPath, rungs: &[Rung]) -> Result<Vec<OffPath>, SpecError> {
        let key = |name| Key { section: "off_path", name };
        let width = self.width(key("width"), written.width)?;
        let horizons = self.horizons(written, rungs)?;
        let seeds = self.spread(key("seeds"), &written.seeds, horizons.len())?;
        let mut runs = Vec::new();
        for (horizon, seeds) in horizons.into_iter().zip(seeds) {
            runs.push(OffPath { width, horizon, seeds: self.seeds(key("seeds"), seeds)? });
        }
        Ok(runs)
    }

    fn horizons(&self, written: &WrittenOffPath, rungs: &[Rung]) -> Result<Vec<Horizon>, SpecError> {
        let key = |name| Key { section: "off_path", name };
        match (&written.tokens_per_param, written.at_compute_of) {
            (Some(numbers), None) => {
                let checked =
                    |value| self.tokens_per_param(key("tokens_per_param"), value).map(Horizon::TokensPerParam);
                numbers.all().into_iter().map(checked).collect()
            }
            (None, Some(of)) if rungs.iter().any(|rung| rung.width == of) => Ok(vec![Horizon::ComputeOf(of)]),
            (None, Some(of)) => {
                let widths: Vec<String> = rungs.iter().map(|rung| rung.width.to_string()).collect();
                let hint = format!("rungs are {}", widths.join(", "));
                self.refuse(key("at_compute_of"), &format!("is {of}, which is no rung of the ladder"), &hint)
            }
            _ => {
                let problem =
                    format!("{} needs either `tokens_per_param` or `at_compute_of`, and not both", written.width);
                self.refuse(key("width"), &problem, "`at_compute_of = 48` gives it the compute of the rung of width 48")
            }
        }
    }

    fn target(&self, written: &WrittenTarget) -> Result<Target, SpecError> {
        let key = |name| Key { section: "target", name };
        Ok(Target {
            width: self.width(key("width"), written.width)?,
            tokens_per_param: self.tokens_per_param(key("tokens_per_param"), written.tokens_per_param)?,
            seed: written.seed,
        })
    }

    fn forecast(&self, written: WrittenForecast) -> Result<ForecastSpec, SpecError> {
        let key = |name| Key { section: "forecast", name };
        let level = self.share(key("level"), written.level)?;
        if written.flops_rule == FlopsRule::Column {
            let problem = "is `column`, which only a table has; `exact`, `6nd` or `kaplan` is needed";
            return self.refuse(key("flops_rule"), problem, "`exact` counts every matrix product");
        }
        if written.params_rule == CountingRule::Column {
            let problem = "is `column`, which only a table has; `matmul`, `total` or `non_embedding` is needed";
            return self.refuse(
                key("params_rule"),
                problem,
                "`matmul` counts blocks and head, without the input embedding",
            );
        }
        if written.laws.is_empty() {
            return self.refuse(
                key("laws"),
                "is empty; at least one law is needed",
                "laws = [\"power_law\", \"chinchilla\"]",
            );
        }
        Ok(ForecastSpec { level, params_rule: written.params_rule, flops_rule: written.flops_rule, laws: written.laws })
    }
}
