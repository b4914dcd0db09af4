//! `forescale check --retrain smoke`: the cheapest rung of a baseline trained once more, and held against its record.
//!
//! Numbers fitted to committed records say nothing of the trainer: a change there would show in the next sweep only. One
//! rung of seconds does.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use forescale_core::observation::Observation;
use forescale_core::outcome::CheckItem;
use forescale_core::record::{RunRecord, RunStatus};
use forescale_core::run::{PlannedRun, Role};
use forescale_corpus::BuiltCorpus;
use forescale_sweep::Store;
use forescale_train::{DeviceChoice, TokenFile, TrainOptions};

use crate::output;
use crate::source::{Material, SweepMaterial};
use crate::workplace;

/// What training the cheapest rung of a baseline again gives.
pub(super) enum Retrained {
    /// Its loss beside the recorded one.
    Loss(CheckItem),
    /// It is no run of today's program or corpus, or it did not finish.
    Problem(String),
}

/// Trains the cheapest rung anew, on the corpus of the sweep that the baseline was made from.
pub(super) fn smoke(baseline: &Path, material: &Material, sweep: &Path) -> anyhow::Result<Retrained> {
    let held = material.sweep.as_ref().context("a table holds no run that could be trained again")?;
    let Some(record) = cheapest(held) else {
        bail!("`{}` holds no finished rung\n\nhint: forescale check {0} --update", baseline.display());
    };
    let run = PlannedRun {
        id: record.config.id(),
        name: record.name.clone(),
        role: record.role,
        config: record.config.clone(),
    };
    if run.id != record.run_id {
        return Ok(Retrained::Problem(format!(
            "`{}` was trained under another numerics version: its record is of no run of this program",
            run.name
        )));
    }
    let spec = workplace::load(sweep)?;
    let corpus = workplace::build_corpus(&spec)?;
    if corpus.manifest.digest != record.corpus_digest {
        return Ok(Retrained::Problem(format!(
            "`{}` builds corpus {}, and `{}` was trained on {}",
            sweep.display(),
            short(&corpus.manifest.digest),
            run.name,
            short(&record.corpus_digest)
        )));
    }
    output::say(&format!("training `{}` again", run.name));
    let Some(loss) = train(&run, &corpus, &material.selection.metric)? else {
        return Ok(Retrained::Problem(format!("`{}` finished when it was recorded, and does not now", run.name)));
    };
    let metric = &material.selection.metric;
    let recorded = record.metric(metric).with_context(|| format!("`{}` has no metric `{metric}`", run.name))?.value;
    Ok(Retrained::Loss(forescale_fit::retrained(&run.name, recorded, loss, seed_sd(material, record))))
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// The finished rung of least compute; a branch of a trunk is trained from its trunk's first step.
fn cheapest(sweep: &SweepMaterial) -> Option<&RunRecord> {
    let is_rung = |record: &&RunRecord| record.role != Role::Target && record.status == RunStatus::Finished;
    sweep.records.iter().filter(is_rung).min_by(|a, b| a.flops.exact.total_cmp(&b.flops.exact))
}

/// The deviation between seeds that the ladder shows at this run.
fn seed_sd(material: &Material, record: &RunRecord) -> Option<f64> {
    let own = |run: &&Observation| run.run_id == record.run_id.0;
    material.observations.iter().find(own).and_then(|run| run.seed_sd)
}

/// The loss of a run trained from nothing, in a folder that is thrown away; `None` where it does not finish.
fn train(run: &PlannedRun, corpus: &BuiltCorpus, metric: &str) -> anyhow::Result<Option<f64>> {
    let folder = tempfile::tempdir().context("no temporary folder can be made")?;
    let mut sink = Store::open(folder.path())?.begin(run)?;
    let tokens = TokenFile::open(&corpus.dir.join("tokens.bin"), &corpus.manifest)?;
    let options = TrainOptions {
        device: DeviceChoice::Cpu,
        precision: None,
        accumulate: 1,
        threads: 1,
        registration_sha256: None,
        checkpoint_every: Duration::MAX,
        stop: None,
    };
    let outcome = forescale_train::train(&run.config, &tokens, &mut sink, &options)
        .with_context(|| format!("run `{}`", run.name))?;
    Ok(outcome.metrics.iter().find(|one| one.name == metric).map(|one| one.value))
}
