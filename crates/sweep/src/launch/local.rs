//! Runs as child processes on this machine.
//!
//! Children die with their parent: on Linux the kernel ends them even when the parent is killed outright, elsewhere
//! they end when the parent returns or panics. What a child says goes to `stderr.log` in its run folder.
//!
//! With a [`Fleet`], runs are packed onto its cards: a child sees the one card it was given, by `CUDA_VISIBLE_DEVICES`.
//! Tasks start in their order: one that has to wait for memory holds up those after it, so that small ones never keep a
//! large one waiting for ever. One that must be alone has one card emptied for it, and the others go on.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::chain::{Chain, Turn, Waiting};
use super::fleet::{Fleet, Loading, Need};
use super::outcome::{last_words, refusals};
use super::packing::Kind;
use super::split::threads_for_next;
use super::{LaunchError, LaunchEvent, LaunchSummary, Launcher, Task};
use crate::cards::VISIBLE;
use crate::store::{Progress, RunState, STDERR, Store, StoreError};

/// Five looks a second: smooth for the eye, nothing for the processor.
const INTERVAL: Duration = Duration::from_millis(200);

/// Starts runs over the cores of this machine, and its cards.
#[derive(Clone, Debug)]
pub struct LocalLauncher {
    /// What to start: this program itself.
    pub executable: PathBuf,
    /// Most processes at once, at least 1; as many as there are cores when absent.
    pub jobs: Option<usize>,
    /// The cards to pack runs onto; none for runs on the processor.
    pub fleet: Option<Fleet>,
}

/// A child process that is ended when it is dropped.
struct Running {
    turn: Turn,
    threads: usize,
    /// Which of the fleet's cards it is on.
    slot: Option<usize>,
    /// Lines of its log that said `out_of_memory` before it started.
    refusals: usize,
    /// What its log said of its speed before it started.
    stale: Option<Speed>,
    child: Child,
    /// What may start when it has ended.
    after: Option<Chain>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail harmlessly on a child that has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Launcher for LocalLauncher {
    fn launch(
        &self,
        store: &Store,
        tasks: Vec<Task>,
        observer: &mut dyn FnMut(LaunchEvent),
    ) -> Result<LaunchSummary, LaunchError> {
        if self.jobs == Some(0) {
            return Err(LaunchError::NoJobs);
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let limits = Limits { cores, jobs: self.jobs.unwrap_or(cores) };
        let loading = self.fleet.as_ref().map(Loading::of);
        let largest = loading.as_ref().map_or(u64::MAX, Loading::largest);
        let mut launch = Launch { store, observer, loading, running: Vec::new(), summary: LaunchSummary::default() };
        let mut waiting = Waiting::of(tasks, largest);
        while waiting.ready() > 0 || !launch.running.is_empty() {
            self.start_what_fits(&mut launch, &mut waiting, limits)?;
            std::thread::sleep(INTERVAL);
            for (again, chain) in launch.look()? {
                match again {
                    Some(turn) => waiting.put_first(turn, chain),
                    None => waiting.put_back(chain),
                }
            }
            let running = launch.running.len();
            let later: usize = launch.running.iter().filter_map(|one| one.after.as_ref()).map(Chain::len).sum();
            (launch.observer)(LaunchEvent::Tick { waiting: waiting.tasks() + later, running });
        }
        Ok(launch.summary)
    }
}

#[derive(Clone, Copy)]
struct Limits {
    cores: usize,
    jobs: usize,
}

impl LocalLauncher {
    fn start_what_fits(
        &self,
        launch: &mut Launch<'_>,
        waiting: &mut Waiting,
        limits: Limits,
    ) -> Result<(), LaunchError> {
        loop {
            let used: usize = launch.running.iter().map(|one| one.threads).sum();
            // More jobs than cores may be asked for: each then has a thread of its own all the same.
            let free = limits.cores.max(limits.jobs).saturating_sub(used);
            let slots = limits.jobs.saturating_sub(launch.running.len());
            let Some(threads) = threads_for_next(free, waiting.ready(), slots) else { return Ok(()) };
            let Some((place, room)) = launch.next(waiting) else { return Ok(()) };
            let Some((turn, after)) = waiting.take(place) else { return Ok(()) };
            let start = launch.take(room, &turn, threads);
            let child = self.start(launch.store, &turn, &start)?;
            (launch.observer)(LaunchEvent::Started { run: turn.task.run.clone(), threads, card: room.card });
            let Start { slot, refusals, stale, .. } = start;
            launch.running.push(Running { turn, threads, slot, refusals, stale, child, after: Some(after) });
        }
    }

    fn start(&self, store: &Store, turn: &Turn, start: &Start) -> Result<Child, LaunchError> {
        let stderr = stderr_file(store, &turn.task)?;
        let mut command = Command::new(&self.executable);
        command.args(&turn.task.arguments).arg("--threads").arg(start.threads.to_string());
        if turn.way().accumulate > 1 {
            command.arg("--accumulate").arg(turn.way().accumulate.to_string());
        }
        command.env("RAYON_NUM_THREADS", start.threads.to_string());
        if let Some(uuid) = &start.uuid {
            command.env(VISIBLE, uuid);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        die_with_parent(&mut command);
        command.spawn().map_err(|cause| LaunchError::Start { executable: self.executable.display().to_string(), cause })
    }
}

/// A new `stderr.log`: the words of the newest attempt.
fn stderr_file(store: &Store, task: &Task) -> Result<File, StoreError> {
    let folder = store.run_dir(&task.run.id);
    fs::create_dir_all(&folder).map_err(|cause| StoreError::writing(&folder, cause))?;
    let path = folder.join(STDERR);
    File::create(&path).map_err(|cause| StoreError::writing(&path, cause))
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt as _;
    let parent = std::process::id();
    // SAFETY: between fork and exec only async-signal-safe calls are made: prctl, getppid and raising an error code.
    unsafe {
        command.pre_exec(move || {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                return Err(std::io::Error::last_os_error());
            }
            // The parent may have died before the request was made.
            if u32::try_from(libc::getppid()) != Ok(parent) {
                return Err(std::io::Error::from_raw_os_error(libc::ESRCH));
            }
            Ok(())
        });
    }
}

#[cfg(not(target_os = "linux"))]
fn die_with_parent(_command: &mut Command) {}

/// A launch on its way.
struct Launch<'a> {
    store: &'a Store,
    observer: &'a mut dyn FnMut(LaunchEvent),
    /// The cards as they are filled; none for runs on the processor.
    loading: Option<Loading>,
    running: Vec<Running>,
    summary: LaunchSummary,
}

/// Where a run may start.
#[derive(Clone, Copy)]
struct Room {
    slot: Option<usize>,
    card: Option<u32>,
}

/// How a run is started.
struct Start {
    threads: usize,
    slot: Option<usize>,
    /// The card that the process is told, by its unique name.
    uuid: Option<String>,
    refusals: usize,
    stale: Option<Speed>,
}

/// A line on a run's speed: steps done, and tokens per second.
type Speed = (u64, f64);

fn speed(progress: &Progress) -> Option<Speed> {
    Some((progress.step, progress.tokens_per_second?))
}

fn need(turn: &Turn) -> Need {
    Need { bytes: turn.way().bytes, alone: turn.alone }
}

impl Launch<'_> {
    /// The next turn that may start now, by its place, and where. One that waits holds up those after it, unless what it
    /// waits for is that one card is empty.
    fn next(&mut self, waiting: &Waiting) -> Option<(usize, Room)> {
        for (place, turn) in waiting.turns().enumerate() {
            match (self.room(turn), &mut self.loading) {
                (Some(room), _) => return Some((place, room)),
                (None, Some(loading)) if turn.alone => loading.empty_one(&turn.task.run.id, need(turn)),
                (None, _) => return None,
            }
        }
        None
    }

    /// Where a turn may start now: on a card with room, or on this machine where nothing runs that it must not run beside.
    fn room(&self, turn: &Turn) -> Option<Room> {
        match &self.loading {
            Some(loading) => {
                let slot = loading.place(&turn.task.run.id, need(turn))?;
                Some(Room { slot: Some(slot), card: Some(loading.number(slot)) })
            }
            None => {
                let someone_alone = self.running.iter().any(|one| one.turn.alone);
                let fits = !someone_alone && (!turn.alone || self.running.is_empty());
                fits.then_some(Room { slot: None, card: None })
            }
        }
    }

    /// Takes the room for a turn.
    fn take(&mut self, room: Room, turn: &Turn, threads: usize) -> Start {
        let (id, config) = (&turn.task.run.id, &turn.task.run.config);
        let uuid = match (&mut self.loading, room.slot) {
            (Some(loading), Some(slot)) => Some(loading.started(slot, id, need(turn), Kind::of(config))),
            _ => None,
        };
        let stale = match self.store.state(id) {
            Ok(RunState::Started(progress)) => speed(&progress),
            _ => None,
        };
        Start { threads, slot: room.slot, uuid, refusals: refusals(self.store, id).len(), stale }
    }

    /// Looks at each running process once; returns the chains whose task has ended, each with the turn that it is tried
    /// again in, if it is.
    fn look(&mut self) -> Result<Vec<(Option<Turn>, Chain)>, LaunchError> {
        let (mut still, mut freed) = (Vec::new(), Vec::new());
        for mut one in std::mem::take(&mut self.running) {
            let status = one.child.try_wait();
            match status.map_err(|cause| LaunchError::Watch { run: one.turn.task.run.name.clone(), cause })? {
                None => {
                    self.report_progress(&one);
                    still.push(one);
                }
                Some(status) => {
                    if let (Some(loading), Some(slot)) = (&mut self.loading, one.slot) {
                        loading.ended(slot, &one.turn.task.run.id);
                    }
                    let again = self.report_end(&one, status);
                    freed.extend(one.after.take().map(|chain| (again, chain)));
                }
            }
        }
        self.running = still;
        Ok(freed)
    }

    fn report_progress(&mut self, one: &Running) {
        let run = &one.turn.task.run;
        // A log that cannot be read now is no reason to stop a run; its end will tell.
        let Ok(RunState::Started(progress)) = self.store.state(&run.id) else { return };
        let news = speed(&progress).filter(|speed| one.stale != Some(*speed));
        if let (Some(loading), Some(slot), Some((step, tokens_per_second))) = (&mut self.loading, one.slot, news) {
            loading.heard(slot, &run.id, step, tokens_per_second);
        }
        (self.observer)(LaunchEvent::Progress { run: run.clone(), progress });
    }

    /// Says how a run ended; returns the turn that it is tried again in, where its memory did not suffice.
    fn report_end(&mut self, one: &Running, status: ExitStatus) -> Option<Turn> {
        let run = one.turn.task.run.clone();
        let sealed = matches!(self.store.record(&run.id), Ok(Some(_)));
        if sealed {
            self.summary.finished.push(run.name.clone());
            (self.observer)(LaunchEvent::Finished { run });
            return None;
        }
        let refused = refusals(self.store, &run.id).get(one.refusals).copied();
        if let (Some(needed_and_free), Some(next)) = (refused, one.turn.next()) {
            let (accumulate, alone) = (next.way().accumulate, next.alone);
            (self.observer)(LaunchEvent::OutOfMemory { run, needed_and_free, accumulate, alone });
            return Some(next);
        }
        self.summary.failed.push(run.name.clone());
        let stderr_tail = last_words(&self.store.run_dir(&run.id).join(STDERR));
        (self.observer)(LaunchEvent::Failed { run, exit: status.to_string(), stderr_tail });
        None
    }
}

#[cfg(all(test, unix))]
mod tests;
