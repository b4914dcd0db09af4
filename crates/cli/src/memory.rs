//! Whether a run may be trained where it is asked for, by what its buffers are counted to take.
//!
//! What is counted is a training step's buffers as a card would have them: weights, moments, gradients and what is kept of the
//! forward pass. The program itself and its libraries take more. It is known before anything starts, so that nothing is tried
//! that a limit forbids.

use anyhow::{anyhow, bail};
use forescale_core::memory::{told_apart, words};
use forescale_core::run::{PlannedRun, RunConfig};
use forescale_sweep::Way;
use forescale_train::{Precision, TrainError};

use crate::output;

/// What a run may take, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Bytes that somebody typed.
    pub(crate) limit: Option<u64>,
    pub(crate) precision: Precision,
    pub(crate) on_card: bool,
    /// Whether the spec lets batches be dealt into parts.
    pub(crate) may_accumulate: bool,
}

/// What is to be said of a run with its batches in so many parts.
enum Verdict {
    Fits,
    /// A processor trains it, and what it takes is not known.
    Uncounted(TrainError),
    /// No card trains it.
    Never(TrainError),
    Over {
        needed: u64,
        limit: u64,
    },
}

impl Allowance {
    fn judge(&self, config: &RunConfig, parts: u32) -> Verdict {
        match (forescale_train::counted_memory_bytes(config, self.precision, parts), self.limit) {
            (Err(error), _) if self.on_card => Verdict::Never(error),
            (Err(error), Some(_)) => Verdict::Uncounted(error),
            (Ok(needed), Some(limit)) if needed > limit => Verdict::Over { needed, limit },
            _ => Verdict::Fits,
        }
    }

    /// Refuses a run that would not fit with its batches in so many parts.
    pub(crate) fn check(&self, run: &PlannedRun, parts: u32) -> anyhow::Result<()> {
        match self.judge(&run.config, parts) {
            Verdict::Fits => Ok(()),
            Verdict::Uncounted(error) => {
                say_uncounted(run, &error);
                Ok(())
            }
            Verdict::Never(error) => Err(anyhow!("run `{}`: {error}", run.name)),
            Verdict::Over { needed, limit } => {
                let mut more = (parts.saturating_add(1)..=run.config.sequences)
                    .filter(|more| self.may_accumulate && run.config.sequences.is_multiple_of(*more));
                let enough = more.find(|more| matches!(self.judge(&run.config, *more), Verdict::Fits));
                Err(self.over(run, [needed, limit], enough))
            }
        }
    }

    /// Of some ways to deal a run's batches, those that it may be trained in; a run that has none is refused.
    pub(crate) fn ways(&self, run: &PlannedRun, ways: Vec<Way>) -> anyhow::Result<Vec<Way>> {
        if self.limit.is_none() && !self.on_card {
            return Ok(ways);
        }
        let (mut allowed, mut last) = (Vec::new(), Verdict::Fits);
        for way in ways {
            match self.judge(&run.config, way.accumulate) {
                Verdict::Fits | Verdict::Uncounted(_) => allowed.push(way),
                refused => last = refused,
            }
        }
        match last {
            _ if !allowed.is_empty() => Ok(allowed),
            Verdict::Over { needed, limit } => Err(self.over(run, [needed, limit], None)),
            Verdict::Never(error) => bail!("run `{}`: {error}", run.name),
            Verdict::Fits | Verdict::Uncounted(_) => Ok(allowed),
        }
    }

    /// Says that the limit does not hold runs whose need cannot be counted, by the first of them.
    pub(crate) fn say_uncounted<'r>(&self, runs: impl IntoIterator<Item = &'r PlannedRun>) {
        let uncounted = |run: &'r PlannedRun| match self.judge(&run.config, 1) {
            Verdict::Uncounted(error) => Some((run, error)),
            _ => None,
        };
        if let Some((run, error)) = runs.into_iter().find_map(uncounted) {
            say_uncounted(run, &error);
        }
    }

    /// A run that takes more than it is allowed, and the parts that would fit, if any would.
    fn over(&self, run: &PlannedRun, bytes: [u64; 2], enough: Option<u32>) -> anyhow::Error {
        let [needed, limit] = told_apart(bytes[0], bytes[1]);
        let hint = match enough {
            Some(parts) => format!(
                "--accumulate {parts} deals each batch into parts that fit, with the same result but for rounding"
            ),
            None if self.may_accumulate => "raise --memory-limit, or train a smaller model".to_owned(),
            None => "the spec forbids parts (`[hardware] accumulate = false`): raise --memory-limit, or allow them"
                .to_owned(),
        };
        anyhow!(
            "run `{}`: the buffers of a step take {needed} by their estimate, and --memory-limit allows {limit}\n\nhint: {hint}",
            run.name
        )
    }
}

fn say_uncounted(run: &PlannedRun, error: &TrainError) {
    let text = error.to_string();
    let problem = text.split("\n\nhint: ").next().unwrap_or(&text);
    output::say(&format!(
        "note: what `{}` takes cannot be counted, and --memory-limit does not hold it ({problem})",
        run.name
    ));
}

/// Memory that a device did not have, in the terms of a spec: where it forbids parts, none are proposed.
pub(crate) fn explained(error: TrainError, may_accumulate: bool) -> anyhow::Error {
    let text = error.to_string();
    match (error.next_accumulation(), text.split_once("\n\nhint: --accumulate")) {
        (Some(_), Some((problem, _))) if !may_accumulate => anyhow!(
            "{problem}\n\nhint: the spec forbids parts (`[hardware] accumulate = false`): allow them, or use a card with more memory"
        ),
        _ => error.into(),
    }
}

/// What was needed and what there was, as far as it was told: `3.0 GiB needed, 1.0 GiB free`.
pub(crate) fn needed_and_free(needed: Option<u64>, free: Option<u64>) -> String {
    let one = |bytes: Option<u64>| bytes.map_or("an unknown amount".to_owned(), words);
    let [needed, free] = match (needed, free) {
        (Some(needed), Some(free)) => told_apart(needed, free),
        _ => [needed, free].map(one),
    };
    format!("{needed} needed, {free} free")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use forescale_core::count::ModelShape;
    use forescale_sweep::{SweepSpec, plan, template};

    use super::*;

    fn run() -> PlannedRun {
        let text = template("smoke", Path::new("smoke")).expect("a template");
        let spec = SweepSpec::parse(Path::new("smoke/sweep.toml"), &text).expect("a good spec");
        let run = plan(&spec, None).expect("a good plan").runs.remove(0);
        PlannedRun { config: RunConfig { sequences: 12, ..run.config }, ..run }
    }

    /// A run that kernels of a card are not compiled for.
    fn wide() -> PlannedRun {
        let run = run();
        let shape = ModelShape { width: 256, heads: 1, head_size: 256, ..run.config.shape };
        PlannedRun { config: RunConfig { shape, ..run.config }, ..run }
    }

    fn allowance(limit: Option<u64>) -> Allowance {
        Allowance { limit, precision: Precision::F32, on_card: false, may_accumulate: true }
    }

    fn bytes(parts: u32) -> u64 {
        forescale_train::counted_memory_bytes(&run().config, Precision::F32, parts).expect("counted")
    }

    fn ways() -> Vec<Way> {
        [1, 2, 4, 12].map(|accumulate| Way { accumulate, bytes: 0 }).to_vec()
    }

    fn kept(allowance: Allowance, run: &PlannedRun) -> Result<Vec<u32>, String> {
        let ways = allowance.ways(run, ways()).map_err(|error| error.to_string())?;
        Ok(ways.into_iter().map(|way| way.accumulate).collect())
    }

    #[test]
    fn only_ways_within_the_limit_are_tried() {
        assert_eq!(kept(allowance(None), &run()), Ok(vec![1, 2, 4, 12]));
        assert_eq!(kept(allowance(Some(bytes(2))), &run()), Ok(vec![2, 4, 12]));
    }

    #[test]
    fn a_run_that_no_way_fits_is_refused_with_what_its_spec_leaves() {
        let limit = Some(bytes(12) - 1);
        let said = kept(allowance(limit), &run()).expect_err("refused");
        assert!(said.contains("--memory-limit allows") && said.ends_with("or train a smaller model"), "{said}");
        let forbids = Allowance { may_accumulate: false, ..allowance(limit) };
        let said = forbids.ways(&run(), ways()).expect_err("refused").to_string();
        assert!(
            said.ends_with(
                "hint: the spec forbids parts (`[hardware] accumulate = false`): raise --memory-limit, or allow them"
            ),
            "{said}"
        );
    }

    #[test]
    fn a_run_over_the_limit_is_told_the_parts_that_fit_where_the_spec_allows_them() {
        let limit = Some(bytes(3));
        let said = allowance(limit).check(&run(), 1).expect_err("refused").to_string();
        assert!(said.contains("hint: --accumulate 3 deals each batch"), "{said}");
        assert!(allowance(limit).check(&run(), 3).is_ok());
        let forbids = Allowance { may_accumulate: false, ..allowance(limit) };
        assert!(forbids.check(&run(), 1).is_err_and(|error| error.to_string().contains("the spec forbids parts")));
    }

    #[test]
    fn a_run_that_cannot_be_counted_is_trained_by_a_processor_and_refused_by_a_card_with_the_reason() {
        let limit = Some(16 << 30);
        assert!(allowance(limit).check(&wide(), 1).is_ok());
        assert_eq!(kept(allowance(limit), &wide()), Ok(vec![1, 2, 4, 12]));
        for limit in [limit, None] {
            let card = Allowance { on_card: true, ..allowance(limit) };
            let said = card.check(&wide(), 1).expect_err("refused").to_string();
            assert!(said.contains("heads of 256 channels are wider than the 128") && said.contains("hint: "), "{said}");
            assert_eq!(kept(card, &wide()).expect_err("refused"), said);
        }
    }

    #[test]
    fn a_full_card_proposes_no_parts_that_the_spec_forbids() {
        let full = || TrainError::OutOfMemory {
            device: "cuda:0".to_owned(),
            needed_bytes: Some(3 << 30),
            free_bytes: Some(1 << 30),
            accumulate: 1,
            sequences: 12,
        };
        assert!(explained(full(), true).to_string().contains("hint: --accumulate 2"));
        let said = explained(full(), false).to_string();
        assert!(said.contains("3.0 GiB") && said.contains("hint: the spec forbids parts"), "{said}");
    }

    #[test]
    fn what_was_needed_and_free_is_told_as_far_as_it_is_known() {
        assert_eq!(needed_and_free(Some(3 << 30), Some(1 << 30)), "3.0 GiB needed, 1.0 GiB free");
        assert_eq!(needed_and_free(Some(3 << 30), None), "3.0 GiB needed, an unknown amount free");
    }
}
