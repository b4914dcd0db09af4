//! Runs trained through a launcher, one process each, with progress.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use forescale_core::problem::Problem;
use forescale_core::run::{PlannedRun, RunId};
use forescale_report::format;
use forescale_sweep::launch::slurm::{self, QueuedRun, SlurmError};
use forescale_sweep::{
    LaunchError, LaunchEvent, Launcher, LocalLauncher, Plan, RunState, SlurmLauncher, Store, Task, Way,
};

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
        let launcher = self.launcher(heard.as_ref(), &missing)?;
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

    /// What starts the missing runs; jobs of Slurm are waited for until somebody asks not to.
    fn launcher(&self, heard: Option<&Heard>, missing: &[PlannedRun]) -> anyhow::Result<Box<dyn Launcher>> {
        let executable = std::env::current_exe().context("this program does not know where it lies")?;
        let Some(arguments) = self.slurm else {
            self.refuse_queued(missing)?;
            let jobs = self.jobs.map(NonZeroUsize::get).or(self.place.jobs);
            return Ok(Box::new(LocalLauncher { executable, jobs, fleet: self.place.fleet.clone() }));
        };
        let folder = std::env::current_dir().context("this process does not know where it is")?;
        let cache = std::path::absolute(forescale_corpus::default_cache()).context("the cache has no place")?;
        Ok(Box::new(SlurmLauncher {
            jobs: self.jobs.map(NonZeroUsize::get),
            arguments: arguments.to_vec(),
            with_card: self.place.is_card(),
            environment: vec![("FORESCALE_CACHE".to_owned(), cache)],
            needs: self.needs(missing)?,
            interrupted: heard.map(Heard::flag),
            ..SlurmLauncher::new(executable, folder)
        }))
    }

    /// What a node has to see: the spec, the corpus, and the registrations of runs that have one, without which they would be
    /// trained as if nobody had forecast them.
    fn needs(&self, missing: &[PlannedRun]) -> anyhow::Result<Vec<PathBuf>> {
        let registrations =
            missing.iter().map(|run| self.workplace.registration_path(run)).filter(|path| path.is_file());
        let own = [self.workplace.spec.path().to_owned(), self.workplace.built().dir.clone()];
        let whole = |path: PathBuf| std::path::absolute(path).context("the sweep has no place");
        own.into_iter().chain(registrations).map(whole).collect()
    }

    /// Refuses to start on this machine what Slurm is about to start elsewhere.
    fn refuse_queued(&self, missing: &[PlannedRun]) -> anyhow::Result<()> {
        let queued = match slurm::queued(&self.workplace.store) {
            Ok(queued) => queued,
            Err(error @ LaunchError::Slurm(SlurmError::Missing { .. })) => {
                output::say(&format!("note: runs of this sweep may be in Slurm's queue: {error}"));
                return Ok(());
            }
            // A queue that does not answer may hold them, and a run has one writer.
            Err(error) => return Err(error.into()),
        };
        let folder = self.workplace.spec.folder().display();
        let Some((runs, job)) = queued_of(missing, &queued) else { return Ok(()) };
        let wait = match self.probe {
            Some(_) => format!("wait for them (`forescale status {folder}`), or `forescale cancel {folder}` ends them"),
            None => format!("`--launcher slurm` waits for them, `forescale cancel {folder}` ends them"),
        };
        bail!("{runs} runs of `{folder}` are in Slurm's queue (job {job})\n\nhint: {wait}")
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

/// How many of the runs are in the queue, and the first one's job; `None` where none is.
fn queued_of<'q>(runs: &[PlannedRun], queued: &'q [QueuedRun]) -> Option<(usize, &'q str)> {
    let is_one = |entry: &&QueuedRun| runs.iter().any(|run| run.id == entry.run);
    let own: Vec<&QueuedRun> = queued.iter().filter(is_one).collect();
    Some((own.len(), own.first()?.job.as_str()))
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

    /// A probe was refused for the sake of a ladder in the queue, which has none of its runs.
    #[test]
    fn runs_of_others_in_the_queue_are_nobodys_hindrance() {
        let text = template("zipf", Path::new("zipf")).expect("a template");
        let spec = SweepSpec::parse(Path::new("zipf/sweep.toml"), &text).expect("a good spec");
        let runs = plan(&spec, None).expect("a good plan").runs;
        let entry = |run: &PlannedRun, job: &str| QueuedRun {
            run: run.id.clone(),
            job: job.to_owned(),
            is_running: false,
            node: String::new(),
            reason: String::new(),
        };
        let queued = [entry(&runs[0], "41_0"), entry(&runs[1], "41_1"), entry(&runs[2], "42_0")];
        assert_eq!(queued_of(&runs[1..3], &queued), Some((2, "41_1")));
        assert_eq!(queued_of(&runs[3..], &queued), None);
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
