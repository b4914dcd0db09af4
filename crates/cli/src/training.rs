//! Runs trained through a launcher, one process each, with progress.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context as _, bail};
use forescale_core::problem::Problem;
use forescale_core::run::{PlannedRun, RunId};
use forescale_report::format;
use forescale_sweep::{LaunchEvent, Launcher, LocalLauncher, Plan, RunState, SlurmLauncher, Store, Task, Way};

use crate::memory;
use crate::output;
use crate::place::Place;
use crate::progress::Progress;
use crate::signal::Heard;
use crate::workplace::Workplace;

/// How runs of a sweep are trained.
pub(crate) struct Training<'a> {
    pub(crate) workplace: &'a Workplace,
    /// Where they are trained.
    pub(crate) place: &'a Place,
    /// Runs at once; chosen from the cores, or by the queue, when absent.
    pub(crate) jobs: Option<NonZeroUsize>,
    /// Further arguments of `sbatch`, where Slurm starts the runs; none where this machine does.
    pub(crate) slurm: Option<&'a [String]>,
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
        let heard = self.slurm.map(|_| Heard::listen());
        let launcher = self.launcher(heard.as_ref())?;
        let plan = &self.workplace.plan;
        let work: f64 = missing.iter().map(|run| own_flops(plan, run, 1.0)).sum();
        let mut progress = Progress::new(label, missing.len(), work);
        let mut ledger = Ledger { store, plan, done: BTreeMap::new() };
        let problems = self.workplace.problems()?;
        let tasks = missing.iter().map(|run| self.task(run, &problems)).collect::<anyhow::Result<Vec<_>>>()?;
        self.say_parts(&tasks);
        self.place.allowance(true).say_uncounted(missing.iter().filter(|_| self.place.limit.is_some()));
        let summary = launcher.launch(store, tasks, &mut |event| ledger.note(event, &mut progress))?;
        Ok(summary.failed.len())
    }

    /// What starts the runs; jobs of Slurm are waited for until somebody asks not to.
    fn launcher(&self, heard: Option<&Heard>) -> anyhow::Result<Box<dyn Launcher>> {
        let executable = std::env::current_exe().context("this program does not know where it lies")?;
        let Some(arguments) = self.slurm else {
            self.refuse_queued()?;
            let jobs = self.jobs.map(NonZeroUsize::get).or(self.place.jobs);
            return Ok(Box::new(LocalLauncher { executable, jobs, fleet: self.place.fleet.clone() }));
        };
        let folder = std::env::current_dir().context("this process does not know where it is")?;
        let cache = std::path::absolute(forescale_corpus::default_cache()).context("the cache has no place")?;
        let spec = std::path::absolute(self.workplace.spec.path()).context("the sweep has no place")?;
        Ok(Box::new(SlurmLauncher {
            jobs: self.jobs.map(NonZeroUsize::get),
            arguments: arguments.to_vec(),
            with_card: self.place.is_card(),
            environment: vec![("FORESCALE_CACHE".to_owned(), cache)],
            needs: vec![spec, std::path::absolute(&self.workplace.built().dir).context("the corpus has no place")?],
            interrupted: heard.map(Heard::flag),
            ..SlurmLauncher::new(executable, folder)
        }))
    }

    /// Refuses to start on this machine what Slurm is about to start elsewhere.
    fn refuse_queued(&self) -> anyhow::Result<()> {
        let queued = forescale_sweep::launch::slurm::queued(&self.workplace.store).unwrap_or_else(|error| {
            output::say(&format!("note: runs of this sweep may be in Slurm's queue: {error}"));
            Vec::new()
        });
        let Some(first) = queued.first() else { return Ok(()) };
        let folder = self.workplace.spec.folder().display();
        bail!(
            "{} runs of `{folder}` are in Slurm's queue (job {})\n\n\
             hint: `--launcher slurm` waits for them, `forescale cancel {folder}` ends them",
            queued.len(),
            first.job
        )
    }

    /// Refuses runs that no way of dealing their batches fits into what they may take, before any other is trained.
    pub(crate) fn refuse_hopeless<'r>(&self, runs: impl IntoIterator<Item = &'r PlannedRun>) -> anyhow::Result<()> {
        for run in runs {
            if !matches!(self.workplace.store.state(&run.id)?, RunState::Sealed(_)) {
                self.ways(run)?;
            }
        }
        Ok(())
    }

    /// How a run's batches may be dealt, by its spec and by what it may take.
    fn ways(&self, run: &PlannedRun) -> anyhow::Result<Vec<Way>> {
        let may_accumulate = self.workplace.spec.hardware().accumulate;
        self.place.allowance(may_accumulate).ways(run, self.place.ways(&run.config, may_accumulate))
    }

    /// Says of runs whose batches the limit has dealt into parts that they are.
    fn say_parts(&self, tasks: &[Task]) {
        let Some(limit) = self.place.limit else { return };
        let in_parts = |task: &&Task| task.ways.first().is_some_and(|way| way.accumulate > 1);
        for task in tasks.iter().filter(in_parts) {
            let parts = task.ways[0].accumulate;
            let (name, limit) = (&task.run.name, format::bytes(limit));
            output::say(&format!("note: {name} has each batch in {parts} parts, to take no more than {limit}"));
        }
    }

    fn task(&self, run: &PlannedRun, problems: &[Problem]) -> anyhow::Result<Task> {
        let words = [OsString::from("exec"), self.workplace.spec.folder().into(), run.id.0.clone().into()];
        let device = self.place.arguments().into_iter().map(OsString::from);
        let probe = self.probe.map(|list| [OsString::from("--probe"), list.into()]);
        Ok(Task {
            run: run.clone(),
            arguments: words.into_iter().chain(device).chain(probe.into_iter().flatten()).collect(),
            ways: self.ways(run)?,
            estimated_seconds: forescale_train::estimated_seconds(&run.config, problems, 1),
        })
    }
}

/// Exact FLOPs of the first share of a run's steps, without those that it takes over from a shorter branch of its trunk.
fn own_flops(plan: &Plan, run: &PlannedRun, share: f64) -> f64 {
    (share * run.config.flops().exact - plan.saved_flops(run)).max(0.0)
}

/// Work done by run, so that the sweep's bar moves with FLOPs rather than with runs.
struct Ledger<'a> {
    store: &'a Store,
    plan: &'a Plan,
    done: BTreeMap<RunId, f64>,
}

impl Ledger<'_> {
    fn note(&mut self, event: LaunchEvent, progress: &mut Progress) {
        match event {
            LaunchEvent::Queued { job, runs, found } => {
                let runs = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
                let words = if found { "is in Slurm's queue already" } else { "submitted to Slurm" };
                progress.say(&format!("job {job} of {runs} {words}"));
            }
            LaunchEvent::Stuck { words } => progress.say(&format!("note: {words}")),
            LaunchEvent::Requeued { run } => {
                progress.again(&run.name, "ended by Slurm before it was done; waits to go on from its last checkpoint");
            }
            LaunchEvent::Started { run, .. } => progress.started(&run.name, run.config.steps),
            LaunchEvent::Progress { run, progress: log } => {
                self.did(&run, log.step as f64 / run.config.steps as f64);
                progress.moved(&run.name, log.step, log.loss);
            }
            LaunchEvent::Finished { run } => {
                self.did(&run, 1.0);
                progress.ended(&run.name, &self.result(&run));
            }
            LaunchEvent::OutOfMemory { run, needed_and_free, accumulate, alone } => {
                progress.again(&run.name, &memory_words(needed_and_free, accumulate, alone));
            }
            LaunchEvent::Failed { run, exit, stderr_tail } => {
                self.did(&run, 1.0);
                progress.ended(&run.name, &format!("failed ({exit})\n{stderr_tail}"));
            }
            LaunchEvent::Tick { .. } => progress.worked(self.done.values().sum()),
        }
    }

    fn did(&mut self, run: &PlannedRun, share: f64) {
        self.done.insert(run.id.clone(), own_flops(self.plan, run, share));
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

/// Why a run is started once more, and how.
fn memory_words(needed_and_free: (Option<u64>, Option<u64>), accumulate: u32, alone: bool) -> String {
    let parts =
        if accumulate > 1 { format!("each batch in {accumulate} parts") } else { "its batches whole".to_owned() };
    let beside = if alone { ", with nothing beside it" } else { "" };
    let (needed, free) = needed_and_free;
    format!("out of memory ({}); again, {parts}{beside}", memory::needed_and_free(needed, free))
}

#[cfg(test)]
mod tests {
    use forescale_sweep::{SweepSpec, plan, template};

    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-9 * other.abs()
    }

    /// Steps taken over from a trunk counted as work: the bar began part of the way, and the time left was too long.
    #[test]
    fn steps_taken_over_from_a_trunk_are_no_work() {
        let text = template("zipf", Path::new("zipf")).expect("a template");
        let spec = SweepSpec::parse(Path::new("zipf/sweep.toml"), &text).expect("a good spec");
        let plan = plan(&spec, None).expect("a good plan");
        let all: f64 = plan.runs.iter().map(|run| run.config.flops().exact).sum();
        let own: f64 = plan.runs.iter().map(|run| own_flops(&plan, run, 1.0)).sum();
        let saved = plan.trunk_savings().saved_flops;
        assert!(saved > 0.0 && near(own, all - saved), "{own:e} of {all:e}, {saved:e} saved");
        let branch = plan.find("d24-80x-s0").expect("the longest branch of a trunk");
        let (steps, shared) = (branch.config.steps as f64, plan.shared_steps(branch) as f64);
        let per_step = branch.config.flops().exact / steps;
        assert!(own_flops(&plan, branch, shared / steps) < 1e-6 * per_step, "nothing is done where it sets out");
        assert!(near(own_flops(&plan, branch, (shared + 10.0) / steps), 10.0 * per_step));
        let alone = plan.find("d64-40x-s0").expect("a rung");
        assert!(near(own_flops(&plan, alone, 0.5), 0.5 * alone.config.flops().exact));
    }
}
