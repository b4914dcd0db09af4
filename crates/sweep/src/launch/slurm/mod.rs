//! Runs as jobs of Slurm: a task of an array for each run.
//!
//! What a launch knows of its jobs it learns by asking: `squeue` for those of its names, now and then, and the run folders,
//! whose records are the truth. Nothing is asked of Slurm's accounting, which many sites do without. The branches of one
//! trunk are one task of the array, in turn, so that all of a launch is in the queue at once and a person may go away.
//!
//! A launch that is given up leaves its jobs; the next one finds them by their names (`submission.rs`) and waits for them.
//! Slurm starts a preempted job, or one whose node was lost, again by itself (`--requeue`); the run goes on from its
//! checkpoint. A run that memory did not suffice for is submitted again in the next of its ways.

mod arguments;
mod error;
mod job;
mod launch;
mod queue;
mod script;
mod submission;
mod verdict;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use forescale_core::run::RunId;

pub use arguments::arguments;
pub use error::SlurmError;

use super::{LaunchError, LaunchEvent, LaunchSummary, Launcher, Task};
use crate::store::{Store, StoreError};
use job::{Job, State};
use launch::{Launch, Pace};
use queue::{Programs, Queue};
use submission::Submission;

/// Starts runs through Slurm's queue.
#[derive(Clone, Debug)]
pub struct SlurmLauncher {
    /// What to start: this program itself, where the nodes see it.
    pub executable: PathBuf,
    /// The folder that the tasks' arguments are meant in.
    pub folder: PathBuf,
    /// Most jobs of an array at once; as many as the queue allows when absent.
    pub jobs: Option<usize>,
    /// Further arguments of `sbatch`, as [`arguments`] reads them.
    pub arguments: Vec<String>,
    /// Whether each run has a card.
    pub with_card: bool,
    /// Variables that jobs are told.
    pub environment: Vec<(String, PathBuf)>,
    /// Files that a node must see before a run is started on it.
    pub needs: Vec<PathBuf>,
    /// Set from outside to give up waiting; the jobs go on.
    pub interrupted: Option<&'static AtomicBool>,
}

impl SlurmLauncher {
    /// A launcher of runs on processors, with nothing said to `sbatch` beside its own.
    #[must_use]
    pub fn new(executable: PathBuf, folder: PathBuf) -> Self {
        let (arguments, environment, needs) = (Vec::new(), Vec::new(), Vec::new());
        Self { executable, folder, jobs: None, arguments, with_card: false, environment, needs, interrupted: None }
    }
}

impl Launcher for SlurmLauncher {
    fn launch(
        &self,
        store: &Store,
        tasks: Vec<Task>,
        observer: &mut dyn FnMut(LaunchEvent),
    ) -> Result<LaunchSummary, LaunchError> {
        if self.jobs == Some(0) {
            return Err(LaunchError::NoJobs);
        }
        Launch::new(self, &Programs, store, observer, Pace::default()).run(tasks)
    }
}

/// A run that is in Slurm's queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedRun {
    /// The run.
    pub run: RunId,
    /// Its job: `41_3`.
    pub job: String,
    /// Whether the job works on it now; a branch waits for those before it in its job.
    pub is_running: bool,
    /// The node that the job is on; empty where it waits.
    pub node: String,
    /// Why the job waits, in Slurm's word.
    pub reason: String,
}

/// Runs of a sweep that are in Slurm's queue and have no record; Slurm is asked only where something was submitted.
///
/// # Errors
///
/// [`LaunchError`] when what was submitted cannot be read, or Slurm cannot be asked.
pub fn queued(store: &Store) -> Result<Vec<QueuedRun>, LaunchError> {
    queued_in(store, &Programs)
}

fn queued_in(store: &Store, queue: &dyn Queue) -> Result<Vec<QueuedRun>, LaunchError> {
    let submissions = Submission::all(store)?;
    let jobs = jobs_of(&submissions, queue)?;
    let mut runs = Vec::new();
    for (submission, job) in live(&submissions, &jobs) {
        runs.extend(open_runs(store, submission, job)?);
    }
    Ok(runs)
}

/// Ends all jobs of a sweep; returns the numbers of their arrays. What they trained is kept.
///
/// # Errors
///
/// [`LaunchError`] when what was submitted cannot be read, or Slurm cannot be asked.
pub fn cancel(store: &Store) -> Result<Vec<String>, LaunchError> {
    cancel_in(store, &Programs)
}

fn cancel_in(store: &Store, queue: &dyn Queue) -> Result<Vec<String>, LaunchError> {
    let submissions = Submission::all(store)?;
    let jobs = jobs_of(&submissions, queue)?;
    let arrays: BTreeSet<String> = live(&submissions, &jobs).map(|(_, job)| job.array.clone()).collect();
    let arrays: Vec<String> = arrays.into_iter().collect();
    if !arrays.is_empty() {
        queue.cancel(&arrays)?;
    }
    Ok(arrays)
}

fn jobs_of(submissions: &[Submission], queue: &dyn Queue) -> Result<Vec<Job>, SlurmError> {
    let names: Vec<&str> = submissions.iter().map(|submission| submission.name.as_str()).collect();
    if names.is_empty() { Ok(Vec::new()) } else { queue.jobs(&names) }
}

/// Jobs that are in the queue, each with the submission that it is of.
fn live<'a>(submissions: &'a [Submission], jobs: &'a [Job]) -> impl Iterator<Item = (&'a Submission, &'a Job)> {
    let own = |submission: &'a Submission| {
        jobs.iter().filter(|job| job.is_live() && job.name == submission.name).map(move |job| (submission, job))
    };
    submissions.iter().flat_map(own)
}

/// The runs of a job that have no record; a running job works on the first of them.
fn open_runs(store: &Store, submission: &Submission, job: &Job) -> Result<Vec<QueuedRun>, StoreError> {
    let mut open = Vec::new();
    for entry in submission.tasks.get(job.index as usize).into_iter().flatten() {
        if store.record(&entry.run)?.is_none() {
            open.push(QueuedRun {
                run: entry.run.clone(),
                job: job.id(),
                is_running: job.state == State::Running && open.is_empty(),
                node: job.node.clone(),
                reason: if job.state == State::Waiting { job.reason.clone() } else { String::new() },
            });
        }
    }
    Ok(open)
}

#[cfg(all(test, unix))]
mod tests;
