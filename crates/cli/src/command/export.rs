//! `forescale export`: what a sweep made, in a form that other programs read.

use std::fs::{self, File};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use forescale_core::record::{Metric, RunRecord, RunSink as _, RunStatus};
use forescale_core::run::PlannedRun;
use forescale_sweep::RunState;
use forescale_train::{TokenFile, TrainedModel, check_hf};
use serde::Serialize;

use crate::args::{ExportArgs, ExportFormat};
use crate::exit::Answer;
use crate::output;
use crate::workplace::{self, Workplace};

/// Form of `forescale.json`.
const EXPORT_SCHEMA: &str = "forescale.export/1.0";

/// `forescale.json`: which run an exported folder is, and what was measured on it.
#[derive(Debug, Serialize)]
struct Provenance {
    schema: &'static str,
    version: &'static str,
    sweep: String,
    run_id: String,
    name: String,
    result_digest: String,
    config_digest: String,
    corpus_digest: String,
    tokenizer_digest: String,
    steps: u64,
    tokens: u64,
    metrics: Vec<Metric>,
}

pub(crate) fn run(args: &ExportArgs) -> anyhow::Result<Answer> {
    refuse_existing(&args.out)?;
    let workplace = Workplace::open_built(&args.sweep)?;
    match args.format {
        ExportFormat::Hf => hf(args, &workplace)?,
    }
    output::text(&args.out.display().to_string())?;
    Ok(Answer::Yes)
}

/// The weights of one run as a folder that `transformers` loads.
fn hf(args: &ExportArgs, workplace: &Workplace) -> anyhow::Result<()> {
    let run = chosen(workplace, args.run.as_deref())?;
    check_hf(&run.config.shape).with_context(|| format!("run `{}`", run.name))?;
    let record = finished(workplace, run)?;
    let model = trained(workplace, run)?;
    let folder = NewFolder::beside(&args.out)?;
    model.write_hf(&folder.path)?;
    copy_tokenizer(workplace, &folder.path)?;
    if let Some(windows) = args.logits {
        write_logits(workplace, &model, windows, &folder.path)?;
    }
    workplace::write_json(&folder.path.join("forescale.json"), &provenance(workplace, record))?;
    folder.finish()
}

fn write_logits(workplace: &Workplace, model: &TrainedModel, windows: NonZeroUsize, to: &Path) -> anyhow::Result<()> {
    let built = workplace.built();
    let tokens = TokenFile::open(&built.dir.join("tokens.bin"), &built.manifest)?;
    Ok(model.write_logits(&tokens, windows.get(), to)?)
}

fn provenance(workplace: &Workplace, record: RunRecord) -> Provenance {
    Provenance {
        schema: EXPORT_SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        sweep: workplace.spec.name().to_owned(),
        run_id: record.run_id.0,
        name: record.name,
        result_digest: record.result_digest,
        config_digest: record.config_digest,
        corpus_digest: record.corpus_digest,
        tokenizer_digest: record.tokenizer_digest,
        steps: record.steps,
        tokens: record.tokens,
        metrics: record.metrics,
    }
}

/// The run asked for, or the target where none was.
fn chosen<'a>(workplace: &'a Workplace, wanted: Option<&str>) -> anyhow::Result<&'a PlannedRun> {
    if let Some(wanted) = wanted {
        return workplace.find(wanted);
    }
    let folder = workplace.spec.folder().display();
    match workplace.plan.target() {
        Some(target) if is_finished(workplace, target)? => Ok(target),
        Some(target) => bail!("the target `{}` of `{folder}` is not trained\n\n{}", target.name, ways_out(workplace)?),
        None => bail!("`{folder}` has no target\n\n{}", ways_out(workplace)?),
    }
}

/// The runs that can be exported, as a hint.
fn ways_out(workplace: &Workplace) -> anyhow::Result<String> {
    let mut finished = Vec::new();
    for run in &workplace.plan.runs {
        if is_finished(workplace, run)? {
            finished.push(format!("`{}`", run.name));
        }
    }
    Ok(if finished.is_empty() {
        format!("hint: forescale run {} (no run of it is trained)", workplace.spec.folder().display())
    } else {
        format!("hint: name one that is by --run: {}", finished.join(", "))
    })
}

fn is_finished(workplace: &Workplace, run: &PlannedRun) -> anyhow::Result<bool> {
    let record = workplace.store.record(&run.id)?;
    Ok(record.is_some_and(|record| record.status == RunStatus::Finished))
}

/// The record of a run that ended well.
fn finished(workplace: &Workplace, run: &PlannedRun) -> anyhow::Result<RunRecord> {
    let name = &run.name;
    let problem = match workplace.store.state(&run.id)? {
        RunState::Sealed(record) if record.status == RunStatus::Finished => return Ok(*record),
        RunState::Sealed(record) => {
            let reason = record.reason.as_deref().unwrap_or("no reason was kept");
            bail!("run `{name}` has no final weights: {reason}\n\n{}", ways_out(workplace)?)
        }
        RunState::Started(progress) => format!("is at step {} of {}", progress.step, progress.steps),
        RunState::Missing => "is not begun".to_owned(),
    };
    bail!("run `{name}` {problem}, and only finished runs are exported\n\nhint: {}", train_again(workplace, run))
}

fn train_again(workplace: &Workplace, run: &PlannedRun) -> String {
    format!("forescale exec {} {}", workplace.spec.folder().display(), run.name)
}

/// The weights in the run's last checkpoint.
fn trained(workplace: &Workplace, run: &PlannedRun) -> anyhow::Result<TrainedModel> {
    let anew = || {
        let folder = workplace.store.run_dir(&run.id);
        format!("hint: `rm -r {}`, then `{}` trains the run anew", folder.display(), train_again(workplace, run))
    };
    let saved = workplace.store.begin(run)?.restore();
    let checkpoint = saved.map_err(|error| anyhow!("`{}`: {}\n\n{}", error.place, error.problem, anew()))?;
    let checkpoint = checkpoint.with_context(|| format!("run `{}` kept no weights\n\n{}", run.name, anew()))?;
    TrainedModel::load(&run.config, &checkpoint).with_context(|| format!("run `{}`", run.name))
}

/// The tokenizer that lies beside a corpus, where there is one: corpora of bytes and of symbols have none.
fn copy_tokenizer(workplace: &Workplace, folder: &Path) -> anyhow::Result<()> {
    let from = workplace.built().dir.join("tokenizer.json");
    if !from.is_file() {
        return Ok(());
    }
    fs::copy(&from, folder.join("tokenizer.json")).with_context(|| format!("`{}` cannot be copied", from.display()))?;
    // Without it transformers takes the tokenizer class of Qwen's own models.
    let class = serde_json::json!({ "tokenizer_class": "PreTrainedTokenizerFast" });
    workplace::write_json(&folder.join("tokenizer_config.json"), &class)
}

fn refuse_existing(out: &Path) -> anyhow::Result<()> {
    let place = out.display();
    if out.file_name().is_none() {
        bail!("`{place}` is no name for a new folder\n\nhint: --out DIR");
    }
    let free = match fs::read_dir(out) {
        Ok(entries) => entries.count() == 0,
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    if !free {
        bail!("`{place}` exists already, and nothing is written over it\n\nhint: move it away, or name another");
    }
    Ok(())
}

/// A folder that appears whole under its name or not at all: filled beside it, then renamed.
struct NewFolder {
    path: PathBuf,
    place: PathBuf,
}

impl NewFolder {
    fn beside(place: &Path) -> anyhow::Result<Self> {
        let name = place.file_name().context("the folder has a name")?.to_string_lossy();
        let path = place.with_file_name(format!(".{name}-{}.part", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("`{}` cannot be made", path.display()))?;
        Ok(Self { path, place: place.to_owned() })
    }

    fn finish(self) -> anyhow::Result<()> {
        let cannot = || format!("`{}` cannot be made", self.place.display());
        for entry in fs::read_dir(&self.path).with_context(cannot)? {
            File::open(entry.with_context(cannot)?.path()).and_then(|file| file.sync_all()).with_context(cannot)?;
        }
        fs::rename(&self.path, &self.place).with_context(cannot)
    }
}

impl Drop for NewFolder {
    /// After the rename there is nothing left to remove.
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}
