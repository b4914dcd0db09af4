//! How runs are started: one process a run, whatever starts it.
//!
//! A [`Launcher`] knows processes, not training: a task is the arguments of `forescale exec`, and only what the child
//! leaves in its run folder counts. Branches of one trunk are never started together. A new launcher is one new file and one line here.
//!
//! A child whose memory did not suffice says so by a line `out_of_memory` at the end of its log; its task is then started
//! again in the next of its ways, the last of them alone.

mod chain;
#[cfg(test)]
mod fixture;
mod fleet;
mod local;
mod outcome;
mod packing;
pub mod slurm;
mod split;

use std::ffi::OsString;

use forescale_core::run::PlannedRun;
use thiserror::Error;

pub use fleet::Fleet;
pub use local::LocalLauncher;
pub use slurm::SlurmLauncher;

use slurm::SlurmError;

use crate::store::{Progress, Store, StoreError};

/// One run to be started.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The run.
    pub run: PlannedRun,
    /// Arguments of the executable; the launcher appends `--threads N`, and `--accumulate K` where a batch is dealt.
    pub arguments: Vec<OsString>,
    /// How its batches may be dealt for want of memory, the way of least memory last; none are one way that needs nothing.
    pub ways: Vec<Way>,
    /// How long one thread is thought to take from the first step, shared steps of a trunk included; only the order of
    /// tasks follows from it.
    pub estimated_seconds: f64,
}

/// A way to deal each batch of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// Parts, one after another.
    pub accumulate: u32,
    /// Memory of the device that it is thought to need, bytes.
    pub bytes: u64,
}

/// What happens while tasks run.
#[derive(Clone, Debug, PartialEq)]
pub enum LaunchEvent {
    /// Runs wait in a scheduler's queue.
    Queued {
        /// The job that trains them.
        job: String,
        /// How many they are.
        runs: usize,
        /// Whether the job was there already, from an earlier launch.
        found: bool,
    },
    /// Something keeps runs in a scheduler's queue that does not pass by itself, or the scheduler does not answer; said once.
    Stuck {
        /// What is stuck, why, and what to do.
        words: String,
    },
    /// A run's process was ended by the scheduler, which starts it again from its checkpoint.
    Requeued {
        /// The run.
        run: PlannedRun,
    },
    /// A process was started.
    Started {
        /// The run.
        run: PlannedRun,
        /// Threads it was given.
        threads: usize,
        /// Number of its card, where it has one.
        card: Option<u32>,
    },
    /// A running run, now and then.
    Progress {
        /// The run.
        run: PlannedRun,
        /// How far its log says it is.
        progress: Progress,
    },
    /// A run ended and left a sealed record.
    Finished {
        /// The run.
        run: PlannedRun,
    },
    /// Memory did not suffice for a run, which is tried again before any other.
    OutOfMemory {
        /// The run.
        run: PlannedRun,
        /// Memory it needed and memory there was, bytes, as far as it was told.
        needed_and_free: (Option<u64>, Option<u64>),
        /// Parts that each batch is dealt into next.
        accumulate: u32,
        /// Whether nothing runs beside it then.
        alone: bool,
    },
    /// A run ended without one; the others go on.
    Failed {
        /// The run.
        run: PlannedRun,
        /// How the process ended, in words.
        exit: String,
        /// The last lines it said.
        stderr_tail: String,
    },
    /// After the runs' own progress, about once or more often a second.
    Tick {
        /// Tasks not started yet.
        waiting: usize,
        /// Processes running.
        running: usize,
    },
}

/// How a launch ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchSummary {
    /// Names of runs that left a sealed record.
    pub finished: Vec<String>,
    /// Names of runs that did not.
    pub failed: Vec<String>,
}

/// Tasks that could not be started or watched.
#[derive(Debug, Error)]
pub enum LaunchError {
    /// No process at all was allowed.
    #[error("`jobs` is 0; at least 1 is needed\n\nhint: --jobs 1")]
    NoJobs,
    /// The executable cannot be started.
    #[error("`{executable}` cannot be started: {cause}\n\nhint: build it again (`cargo build --release`)")]
    Start {
        /// What was to be started.
        executable: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// A child process cannot be watched.
    #[error("run `{run}` cannot be watched: {cause}\n\nhint: give the same command again; finished runs are kept")]
    Watch {
        /// Name of the run.
        run: String,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// Slurm cannot be asked, or refuses.
    #[error(transparent)]
    Slurm(#[from] SlurmError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Something that runs tasks.
pub trait Launcher {
    /// Runs all tasks and returns when the last has ended; a run that fails does not stop the others.
    ///
    /// # Errors
    ///
    /// [`LaunchError`] when processes cannot be started or watched. Processes of this machine are then ended; jobs in a
    /// scheduler's queue stay there, and the next launch finds them.
    fn launch(
        &self,
        store: &Store,
        tasks: Vec<Task>,
        observer: &mut dyn FnMut(LaunchEvent),
    ) -> Result<LaunchSummary, LaunchError>;
}
