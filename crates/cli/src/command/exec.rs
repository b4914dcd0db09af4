//! `forescale exec`: trains one run of a sweep, from its last checkpoint if there is one, and seals its record.

use std::time::Duration;

use anyhow::{Context as _, bail};
use forescale_core::count::FlopsCounts;
use forescale_core::record::{RECORD_SCHEMA, RunRecord};
use forescale_core::run::PlannedRun;
use forescale_train::{DeviceChoice, TokenFile, TrainOptions, TrainOutcome};

use crate::args::ExecArgs;
use crate::exit::Answer;
use crate::output;
use crate::workplace::Workplace;

pub(crate) fn run(args: &ExecArgs) -> anyhow::Result<Answer> {
    let device: DeviceChoice = args.device.parse()?;
    if args.threads == 0 || !(args.checkpoint_seconds >= 0.0 && args.checkpoint_seconds.is_finite()) {
        bail!("--threads must be at least 1 and --checkpoint-seconds at least 0");
    }
    let workplace = Workplace::open_built(&args.sweep)?;
    let run = workplace.find(&args.run)?;
    let mut folder = workplace.store.begin(run)?;
    if folder.record()?.is_some() {
        output::say(&format!("{} is sealed already", run.name));
        return Ok(Answer::Yes);
    }
    let registration_sha256 = workplace.registration(run)?.map(|registration| registration.sha256);
    let built = workplace.built();
    let tokens = TokenFile::open(&built.dir.join("tokens.bin"), &built.manifest)?;
    let options = TrainOptions {
        device,
        threads: args.threads,
        registration_sha256: registration_sha256.clone(),
        checkpoint_every: Duration::from_secs_f64(args.checkpoint_seconds),
        stop: None,
    };
    let outcome = forescale_train::train(&run.config, &tokens, &mut folder, &options)
        .with_context(|| format!("run `{}`", run.name))?;
    let record = record_of(run, &workplace, registration_sha256, outcome);
    folder.seal(&record)?;
    Ok(Answer::Yes)
}

fn record_of(
    run: &PlannedRun,
    workplace: &Workplace,
    registration: Option<String>,
    outcome: TrainOutcome,
) -> RunRecord {
    let manifest = &workplace.built().manifest;
    let mut record = RunRecord {
        schema: RECORD_SCHEMA.to_owned(),
        run_id: run.id.clone(),
        name: run.name.clone(),
        role: run.role,
        config: run.config.clone(),
        config_digest: run.config.digest(),
        corpus_digest: manifest.digest.clone(),
        tokenizer_digest: manifest.tokenizer_digest.clone(),
        parameters: outcome.parameters,
        flops: FlopsCounts::of(&run.config.shape, outcome.steps * run.config.batch_tokens()),
        tokens: outcome.steps * run.config.batch_tokens(),
        unique_tokens: outcome.unique_tokens,
        steps: outcome.steps,
        batch_tokens: run.config.batch_tokens(),
        cluster: run.id.0.clone(),
        is_final: outcome.steps == run.config.steps,
        status: outcome.status,
        reason: outcome.reason,
        metrics: outcome.metrics,
        curve: outcome.curve,
        registration_sha256: registration,
        result_digest: String::new(),
        environment: outcome.environment,
    };
    record.result_digest = record.compute_result_digest();
    record
}
