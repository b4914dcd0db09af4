//! Runs trained through a launcher, one process each, with progress.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::Context as _;
use forescale_core::run::{PlannedRun, RunId};
use forescale_sweep::{LaunchEvent, Launcher as _, LocalLauncher, RunState, Store, Task};

use crate::output;
use crate::progress::Progress;
use crate::workplace::Workplace;

/// How runs of a sweep are trained.
pub(crate) struct Training<'a> {
    pub(crate) workplace: &'a Workplace,
    /// Device, as typed.
    pub(crate) device: &'a str,
    /// Runs at once; chosen from the cores when absent.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// The list that holds runs of a probe, which the sweep's own plan does not.
    pub(crate) probe: Option<&'a Path>,
}

impl Training<'_> {
    /// Trains the runs that have no sealed record; returns how many failed.
    pub(crate) fn train(&self, label: &str, runs: &[PlannedRun]) -> anyhow::Result<usize> {
        let store = &self.workplace.store;
        let mut missing = Vec::new();
        for run in runs {
            if !matches!(store.state(&run.id)?, RunState::Sealed(_)) {
                missing.push(run.clone());
            }
        }
        let sealed = runs.len() - missing.len();
        if sealed > 0 {
            output::say(&format!("{label}: {sealed} of {} runs are sealed already", runs.len()));
        }
        if missing.is_empty() {
            return Ok(0);
        }
        let launcher = LocalLauncher {
            executable: std::env::current_exe().context("this program does not know where it lies")?,
            jobs: self.jobs.map(NonZeroUsize::get),
        };
        let work: f64 = missing.iter().map(|run| run.config.flops().exact).sum();
        let mut progress = Progress::new(label, missing.len(), work);
        let mut ledger = Ledger { store, done: BTreeMap::new() };
        let tasks = missing.iter().map(|run| self.task(run)).collect();
        let summary = launcher.launch(store, tasks, &mut |event| ledger.note(event, &mut progress))?;
        Ok(summary.failed.len())
    }

    fn task(&self, run: &PlannedRun) -> Task {
        let words = [OsString::from("exec"), self.workplace.spec.folder().into(), run.id.0.clone().into()];
        let device = [OsString::from("--device"), self.device.into()];
        let probe = self.probe.map(|list| [OsString::from("--probe"), list.into()]);
        Task {
            run: run.clone(),
            arguments: words.into_iter().chain(device).chain(probe.into_iter().flatten()).collect(),
            estimated_seconds: forescale_train::estimated_seconds(&run.config, 1),
        }
    }
}

/// Work done by run, so that the sweep's bar moves with FLOPs rather than with runs.
struct Ledger<'a> {
    store: &'a Store,
    done: BTreeMap<RunId, f64>,
}

impl Ledger<'_> {
    fn note(&mut self, event: LaunchEvent, progress: &mut Progress) {
        match event {
            LaunchEvent::Started { run, .. } => progress.started(&run.name, run.config.steps),
            LaunchEvent::Progress { run, progress: log } => {
                self.did(&run, log.step as f64 / run.config.steps as f64);
                progress.moved(&run.name, log.step, log.loss);
            }
            LaunchEvent::Finished { run } => {
                self.did(&run, 1.0);
                progress.ended(&run.name, &self.result(&run));
            }
            LaunchEvent::Failed { run, exit, stderr_tail } => {
                self.did(&run, 1.0);
                progress.ended(&run.name, &format!("failed ({exit})\n{stderr_tail}"));
            }
            LaunchEvent::Tick { .. } => progress.worked(self.done.values().sum()),
        }
    }

    fn did(&mut self, run: &PlannedRun, share: f64) {
        self.done.insert(run.id.clone(), share * run.config.flops().exact);
    }

    /// What a sealed record says, in a few words.
    fn result(&self, run: &PlannedRun) -> String {
        let Ok(Some(record)) = self.store.record(&run.id) else { return "sealed".to_owned() };
        let seconds = record.environment.wall_seconds;
        match record.metric("loss") {
            Some(metric) => format!("loss {:.4} in {seconds:.1} s", metric.value),
            None => format!("{} after {seconds:.1} s", record.reason.as_deref().unwrap_or("no loss")),
        }
    }
}
