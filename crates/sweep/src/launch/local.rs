//! Runs as child processes on this machine.
//!
//! Children die with their parent: on Linux the kernel ends them even when the parent is killed outright, elsewhere
//! they end when the parent returns or panics. What a child says goes to `stderr.log` in its run folder.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::chain::{Chain, Waiting};
use super::split::threads_for_next;
use super::{LaunchError, LaunchEvent, LaunchSummary, Launcher, Task};
use crate::store::{RunState, STDERR, Store, StoreError};

/// Five looks a second: smooth for the eye, nothing for the processor.
const INTERVAL: Duration = Duration::from_millis(200);
/// Lines of a failed child's words that are reported.
const STDERR_LINES: usize = 12;

/// Starts runs over the cores of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalLauncher {
    /// What to start: this program itself.
    pub executable: PathBuf,
    /// Most processes at once, at least 1; as many as there are cores when absent.
    pub jobs: Option<usize>,
}

/// A child process that is ended when it is dropped.
struct Running {
    task: Task,
    threads: usize,
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
        let jobs = self.jobs.unwrap_or(cores);
        let mut launch = Launch { store, observer, running: Vec::new(), summary: LaunchSummary::default() };
        let mut waiting = Waiting::of(tasks);
        while waiting.ready() > 0 || !launch.running.is_empty() {
            self.start_what_fits(&mut launch, &mut waiting, Limits { cores, jobs })?;
            std::thread::sleep(INTERVAL);
            launch.look()?.into_iter().for_each(|chain| waiting.put_back(chain));
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
            let Some((task, after)) = waiting.pop() else { return Ok(()) };
            let child = self.start(launch.store, &task, threads)?;
            (launch.observer)(LaunchEvent::Started { run: task.run.clone(), threads });
            launch.running.push(Running { task, threads, child, after: Some(after) });
        }
    }

    fn start(&self, store: &Store, task: &Task, threads: usize) -> Result<Child, LaunchError> {
        let stderr = stderr_file(store, task)?;
        let mut command = Command::new(&self.executable);
        command.args(&task.arguments).arg("--threads").arg(threads.to_string());
        command.env("RAYON_NUM_THREADS", threads.to_string());
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
    running: Vec<Running>,
    summary: LaunchSummary,
}

impl Launch<'_> {
    /// Looks at each running process once; returns the chains whose task has ended.
    fn look(&mut self) -> Result<Vec<Chain>, LaunchError> {
        let (mut still, mut freed) = (Vec::new(), Vec::new());
        for mut one in std::mem::take(&mut self.running) {
            let status = one.child.try_wait();
            match status.map_err(|cause| LaunchError::Watch { run: one.task.run.name.clone(), cause })? {
                None => {
                    self.report_progress(&one);
                    still.push(one);
                }
                Some(status) => {
                    self.report_end(&one, status);
                    freed.extend(one.after.take());
                }
            }
        }
        self.running = still;
        Ok(freed)
    }

    fn report_progress(&mut self, one: &Running) {
        // A log that cannot be read now is no reason to stop a run; its end will tell.
        if let Ok(RunState::Started(progress)) = self.store.state(&one.task.run.id) {
            (self.observer)(LaunchEvent::Progress { run: one.task.run.clone(), progress });
        }
    }

    fn report_end(&mut self, one: &Running, status: ExitStatus) {
        let run = one.task.run.clone();
        let sealed = matches!(self.store.record(&run.id), Ok(Some(_)));
        if sealed {
            self.summary.finished.push(run.name.clone());
            (self.observer)(LaunchEvent::Finished { run });
            return;
        }
        self.summary.failed.push(run.name.clone());
        let stderr_tail = stderr_tail(&self.store.run_dir(&run.id).join(STDERR));
        (self.observer)(LaunchEvent::Failed { run, exit: status.to_string(), stderr_tail });
    }
}

fn stderr_tail(path: &std::path::Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(STDERR_LINES)..].join("\n")
}

#[cfg(all(test, unix))]
mod tests;
