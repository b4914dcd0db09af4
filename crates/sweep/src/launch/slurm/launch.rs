//! A launch on its way: what is submitted, what the queue and the run folders say of it, and what follows.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::super::chain::{Turn, Waiting};
use super::super::outcome::{last_words, refusals};
use super::super::split::threads_for_next;
use super::super::{LaunchError, LaunchEvent, LaunchSummary, Task};
use super::arguments::partition;
use super::job::{End, Job, State};
use super::queue::Queue;
use super::script::{Batch, sbatch_arguments, script};
use super::submission::{self, Submission};
use super::verdict::{Ended, verdict};
use super::{SlurmError, SlurmLauncher};
use crate::store::{Progress, RunState, STDERR, Store};

/// How often things are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between looks at the run folders.
    pub(super) look: Duration,
    /// Between questions to Slurm, at least and at most: they grow rare while nothing happens.
    pub(super) ask: (Duration, Duration),
    /// After its job has ended, how long a run's record is waited for: files of another machine come late.
    pub(super) grace: Duration,
    /// How long Slurm may give no answer.
    pub(super) patience: Duration,
}

impl Default for Pace {
    /// Chosen here: a person sees news in seconds, and a queue that stands still is asked four times a minute.
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { look: seconds(1), ask: (seconds(2), seconds(15)), grace: seconds(5), patience: seconds(900) }
    }
}

/// A task of an array.
struct Line {
    /// Name of its array.
    name: String,
    /// Number of its array.
    array: String,
    index: u32,
    /// CPUs that its job was given, as far as this launch knows.
    cpus: usize,
    /// Its runs without a record, in the order in which it trains them.
    links: Vec<Link>,
    /// Whether one of its runs has been sealed since it was submitted.
    has_sealed: bool,
    /// As the queue told last.
    job: Option<Job>,
    /// When it was first seen to have ended.
    ended: Option<Instant>,
}

/// A run of a task of an array.
struct Link {
    turn: Turn,
    /// Lines of its log that said `out_of_memory` before it was submitted.
    refusals: usize,
    /// Steps that its log told of before it was submitted.
    step: u64,
    is_shown: bool,
}

/// A launch on its way.
pub(super) struct Launch<'a> {
    launcher: &'a SlurmLauncher,
    queue: &'a dyn Queue,
    store: &'a Store,
    observer: &'a mut dyn FnMut(LaunchEvent),
    pace: Pace,
    lines: Vec<Line>,
    summary: LaunchSummary,
    /// When Slurm was asked last, how long it is left alone after that, and since when it gives no answer.
    asked: Option<Instant>,
    pause: Duration,
    silent: Option<Instant>,
    /// What was told already of jobs that are stuck.
    told: BTreeSet<String>,
    /// Names of arrays that have jobs in the queue for runs that nobody asks for now.
    foreign: BTreeSet<String>,
}

impl<'a> Launch<'a> {
    pub(super) fn new(
        launcher: &'a SlurmLauncher,
        queue: &'a dyn Queue,
        store: &'a Store,
        observer: &'a mut dyn FnMut(LaunchEvent),
        pace: Pace,
    ) -> Self {
        let (lines, summary) = (Vec::new(), LaunchSummary::default());
        let (asked, silent, pause) = (None, None, pace.ask.0);
        let (told, foreign) = (BTreeSet::new(), BTreeSet::new());
        Self { launcher, queue, store, observer, pace, lines, summary, asked, pause, silent, told, foreign }
    }

    /// Submits what is not in the queue yet, and waits for all of it.
    pub(super) fn run(mut self, tasks: Vec<Task>) -> Result<LaunchSummary, LaunchError> {
        let missing = self.find(tasks)?;
        self.submit(&Waiting::of(missing, u64::MAX).into_turns(), false)?;
        while !self.lines.is_empty() {
            self.rest()?;
            self.ask()?;
            let (alone, beside): (Vec<_>, Vec<_>) = self.look().into_iter().partition(|turn| turn.alone);
            self.submit_again(beside, false);
            self.submit_again(alone, true);
            self.tick();
        }
        Ok(self.summary)
    }

    /// Finds the tasks whose jobs an earlier launch left in the queue; returns the others.
    fn find(&mut self, mut tasks: Vec<Task>) -> Result<Vec<Task>, LaunchError> {
        let submissions = Submission::all(self.store)?;
        let jobs = super::jobs_of(&submissions, self.queue)?;
        for submission in &submissions {
            let mut own = jobs.iter().filter(|job| job.is_live() && job.name == submission.name).peekable();
            if own.peek().is_none() {
                submission::forget(self.store, &submission.name);
            }
            let runs = own.map(|job| self.find_job(submission, job, &mut tasks)).sum();
            if runs > 0 {
                let job = self.lines.last().map(|line| line.array.clone()).unwrap_or_default();
                (self.observer)(LaunchEvent::Queued { job, runs, found: true });
            }
        }
        Ok(tasks)
    }

    /// Takes the tasks that a job is for; returns how many there are.
    fn find_job(&mut self, submission: &Submission, job: &Job, tasks: &mut Vec<Task>) -> usize {
        let mut links = Vec::new();
        for entry in submission.tasks.get(job.index as usize).into_iter().flatten() {
            if let Some(at) = tasks.iter().position(|task| task.run.id == entry.run) {
                let turn = Turn::started(tasks.remove(at), entry.accumulate, submission.alone);
                links.push(self.link(turn));
            }
        }
        let runs = links.len();
        if runs == 0 {
            self.foreign.insert(job.name.clone());
            return 0;
        }
        let (name, array, index) = (job.name.clone(), job.array.clone(), job.index);
        self.lines.push(Line {
            name,
            array,
            index,
            cpus: 1,
            links,
            has_sealed: false,
            job: Some(job.clone()),
            ended: None,
        });
        runs
    }

    fn link(&self, turn: Turn) -> Link {
        let refusals = refusals(self.store, &turn.task.run.id).len();
        let step = self.progress(&turn).map_or(0, |progress| progress.step);
        Link { turn, refusals, step, is_shown: false }
    }

    /// How far a run is; none where it has not begun, or its log cannot be read now: its end will tell.
    fn progress(&self, turn: &Turn) -> Option<Progress> {
        match self.store.state(&turn.task.run.id) {
            Ok(RunState::Started(progress)) => Some(progress),
            _ => None,
        }
    }

    /// Hands chains over, in as many arrays as they take.
    fn submit(&mut self, chains: &[Vec<Turn>], alone: bool) -> Result<(), LaunchError> {
        if chains.is_empty() {
            return Ok(());
        }
        let cpus = self.cpus(chains.len());
        for chains in chains.chunks(self.queue.largest_array()) {
            self.submit_array(chains, alone, cpus)?;
        }
        self.pause = self.pace.ask.0;
        Ok(())
    }

    /// Hands turns over that were tried before. Where Slurm does not take one its run has failed, and the others go on.
    fn submit_again(&mut self, turns: Vec<Turn>, alone: bool) {
        let chains: Vec<Vec<Turn>> = turns.into_iter().map(|turn| vec![turn]).collect();
        let Err(error) = self.submit(&chains, alone) else { return };
        for turn in chains.into_iter().flatten() {
            let run = turn.task.run;
            let mut submitted = self.lines.iter().flat_map(|line| &line.links);
            if submitted.all(|link| link.turn.task.run.id != run.id) {
                self.summary.failed.push(run.name.clone());
                let exit = "it could not be submitted again".to_owned();
                (self.observer)(LaunchEvent::Failed { run, exit, stderr_tail: error.to_string() });
            }
        }
    }

    /// CPUs of each job: those of a node, shared as the local launcher shares a machine's, and for a run on a card no more
    /// than its share of a node.
    fn cpus(&self, chains: usize) -> usize {
        let variable = std::env::var("SBATCH_PARTITION").ok();
        let partition = partition(&self.launcher.arguments).or(variable);
        let Some(cpus) = self.queue.cpus(partition.as_deref(), self.launcher.with_card) else { return 1 };
        let slots = self.launcher.jobs.unwrap_or(cpus);
        threads_for_next(cpus, chains, slots).unwrap_or(1)
    }

    fn submit_array(&mut self, chains: &[Vec<Turn>], alone: bool, cpus: usize) -> Result<(), LaunchError> {
        for turn in chains.iter().flatten() {
            // What an earlier attempt said is not this one's word.
            let _ = fs::remove_file(self.store.run_dir(&turn.task.run.id).join(STDERR));
        }
        // Counted before the jobs can say anything.
        let links: Vec<Vec<Link>> =
            chains.iter().map(|chain| chain.iter().map(|turn| self.link(turn.clone())).collect()).collect();
        let submission = Submission::of(self.store, chains, alone);
        let batch = Batch { name: &submission.name, chains, alone, cpus };
        let run_dir = |turn: &Turn| absolute(self.store.run_dir(&turn.task.run.id));
        let path = submission.keep(self.store, &script(&batch, self.launcher, run_dir))?;
        let log = absolute(submission::folder(self.store).join(&submission.name));
        let mut arguments = sbatch_arguments(&batch, self.launcher, &log);
        arguments.push(path.into());
        let array = match self.queue.submit(&arguments) {
            Ok(array) => array,
            Err(error) => self.taken_all_the_same(&submission, error)?,
        };
        let runs = chains.iter().map(Vec::len).sum();
        (self.observer)(LaunchEvent::Queued { job: array.clone(), runs, found: false });
        for (index, links) in (0_u32..).zip(links) {
            let (name, array) = (submission.name.clone(), array.clone());
            self.lines.push(Line { name, array, index, cpus, links, has_sealed: false, job: None, ended: None });
        }
        Ok(())
    }

    /// The number of an array that Slurm has though `sbatch` failed, as where its answer came too late.
    fn taken_all_the_same(&self, submission: &Submission, error: SlurmError) -> Result<String, SlurmError> {
        let found = match &error {
            SlurmError::Missing { .. } => Ok(Vec::new()),
            _ => self.queue.jobs(&[&submission.name]),
        };
        // Where that is not known, or Slurm may take the array yet, it stays on file, and the next launch asks again.
        let Ok(jobs) = found else { return Err(error) };
        if let Some(job) = jobs.into_iter().next() {
            return Ok(job.array);
        }
        if error.is_refusal() {
            submission::forget(self.store, &submission.name);
        }
        Err(error)
    }

    /// Lets time pass, unless the launch is given up.
    fn rest(&self) -> Result<(), SlurmError> {
        let began = Instant::now();
        loop {
            if self.launcher.interrupted.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
                return Err(self.interrupted());
            }
            let left = self.pace.look.saturating_sub(began.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    fn interrupted(&self) -> SlurmError {
        let arrays: BTreeSet<&str> = self.lines.iter().map(|line| line.array.as_str()).collect();
        SlurmError::Interrupted {
            runs: self.lines.iter().map(|line| line.links.len()).sum(),
            jobs: arrays.into_iter().collect::<Vec<_>>().join(", "),
            sweep: self.store.sweep_dir().display().to_string(),
        }
    }

    /// Asks Slurm, where it is time to.
    fn ask(&mut self) -> Result<(), SlurmError> {
        if self.asked.is_some_and(|asked| asked.elapsed() < self.pause) {
            return Ok(());
        }
        self.asked = Some(Instant::now());
        let names: BTreeSet<&str> = self.lines.iter().map(|line| line.name.as_str()).collect();
        match self.queue.jobs(&Vec::from_iter(names)) {
            Ok(jobs) => {
                self.silent = None;
                let has_news = self.hear(&jobs);
                self.pause = if has_news { self.pace.ask.0 } else { self.pause.mul_f64(1.5).min(self.pace.ask.1) };
                Ok(())
            }
            Err(error) => {
                let since = *self.silent.get_or_insert_with(Instant::now);
                if since.elapsed() >= self.pace.patience || matches!(error, SlurmError::Missing { .. }) {
                    return Err(error);
                }
                self.tell(error.to_string());
                Ok(())
            }
        }
    }

    /// Takes in what the queue tells; returns whether anything changed.
    fn hear(&mut self, jobs: &[Job]) -> bool {
        let (mut has_news, mut stuck, mut requeued) = (false, Vec::new(), Vec::new());
        for line in &mut self.lines {
            let found = jobs.iter().find(|job| job.name == line.name && job.index == line.index);
            let before = line.job.as_ref().map(|job| &job.state);
            has_news |= before != found.map(|job| &job.state);
            let is_over = found.is_none_or(|job| !job.is_live());
            line.ended = if is_over { line.ended.or_else(|| Some(Instant::now())) } else { None };
            if let Some(job) = found {
                if before == Some(&State::Running) && job.state == State::Waiting {
                    requeued.extend(line.links.first().map(|link| link.turn.task.run.clone()));
                }
                stuck.extend(job.is_stuck().then(|| job.clone()));
                line.job = Some(job.clone());
            }
        }
        requeued.into_iter().for_each(|run| (self.observer)(LaunchEvent::Requeued { run }));
        for job in stuck {
            let hint = job.way_out();
            self.tell(format!("job {} does not start by itself: {}\n\nhint: {hint}", job.array, job.reason));
        }
        has_news
    }

    fn tell(&mut self, words: String) {
        if self.told.insert(words.clone()) {
            (self.observer)(LaunchEvent::Stuck { words });
        }
    }

    /// Looks at the run folders once; returns the turns that runs are tried again in.
    fn look(&mut self) -> Vec<Turn> {
        let (mut still, mut again, mut over) = (Vec::new(), Vec::new(), BTreeSet::new());
        for mut line in std::mem::take(&mut self.lines) {
            if line.ended.is_some() {
                line.links.iter().for_each(|link| self.store.ask_again(&link.turn.task.run.id));
            }
            self.take_sealed(&mut line);
            if line.links.is_empty() {
                let _ = fs::remove_file(submission::log(self.store, &line.name, line.index));
                over.insert(line.name);
            } else if line.ended.is_some_and(|ended| ended.elapsed() >= self.pace.grace) {
                again.extend(self.judge(&line));
                over.insert(line.name);
            } else {
                self.show(&mut line);
                still.push(line);
            }
        }
        self.lines = still;
        let is_open = |name: &String| self.lines.iter().any(|line| line.name == *name) || self.foreign.contains(name);
        over.iter().filter(|name| !is_open(name)).for_each(|name| submission::forget(self.store, name));
        again
    }

    /// Reports the runs of a task that have a record.
    fn take_sealed(&mut self, line: &mut Line) {
        let sealed = |link: &mut Link| matches!(self.store.record(&link.turn.task.run.id), Ok(Some(_)));
        for link in line.links.extract_if(.., sealed) {
            line.has_sealed = true;
            let run = link.turn.task.run;
            self.summary.finished.push(run.name.clone());
            (self.observer)(LaunchEvent::Finished { run });
        }
    }

    /// Reports how far the run is that a job works on.
    fn show(&mut self, line: &mut Line) {
        let is_running = line.job.as_ref().is_some_and(|job| job.state == State::Running);
        let Some(link) = line.links.first_mut().filter(|_| is_running) else { return };
        let Some(progress) = self.progress(&link.turn) else { return };
        let run = &link.turn.task.run;
        if !std::mem::replace(&mut link.is_shown, true) {
            (self.observer)(LaunchEvent::Started { run: run.clone(), threads: line.cpus, card: None });
        }
        (self.observer)(LaunchEvent::Progress { run: run.clone(), progress });
    }

    /// Says how a task ended that left runs without a record; returns the turns that they are tried again in.
    fn judge(&mut self, line: &Line) -> Vec<Turn> {
        let end = match line.job.as_ref().map(|job| &job.state) {
            Some(State::Ended(end)) => Some(end),
            _ => None,
        };
        line.links.iter().filter_map(|link| self.judge_run(line, end, link)).collect()
    }

    fn judge_run(&mut self, line: &Line, end: Option<&End>, link: &Link) -> Option<Turn> {
        let run = link.turn.task.run.clone();
        let told = refusals(self.store, &run.id).get(link.refusals).copied();
        let refused = told.or_else(|| (end == Some(&End::OutOfMemory)).then_some((None, None)));
        // What a person has ended is not begun anew behind their back.
        let may_retry = end != Some(&End::Cancelled);
        if let (Some(needed_and_free), Some(next)) = (refused, link.turn.next().filter(|_| may_retry)) {
            let (accumulate, alone) = (next.way().accumulate, next.alone);
            (self.observer)(LaunchEvent::OutOfMemory { run, needed_and_free, accumulate, alone });
            return Some(next);
        }
        if end == Some(&End::Preempted) && self.got_further(line) {
            (self.observer)(LaunchEvent::Requeued { run });
            return Some(link.turn.clone());
        }
        self.summary.failed.push(run.name.clone());
        let (exit, stderr_tail) = self.words(line, link);
        (self.observer)(LaunchEvent::Failed { run, exit, stderr_tail });
        None
    }

    /// Whether a job has done steps since it was submitted. One that makes way before it has done any would be submitted
    /// for ever.
    fn got_further(&self, line: &Line) -> bool {
        let has_grown = |link: &Link| self.progress(&link.turn).is_some_and(|progress| progress.step > link.step);
        line.has_sealed || line.links.iter().any(has_grown)
    }

    /// How a run's job ended, and its last words with what to do about it.
    fn words(&self, line: &Line, link: &Link) -> (String, String) {
        let run = &link.turn.task.run;
        let log = submission::log(self.store, &line.name, line.index);
        let said = [self.store.run_dir(&run.id).join(STDERR), log].map(|path| last_words(&path));
        let steps = self.progress(&link.turn).map(|progress| (progress.step, progress.steps));
        let said: Vec<&str> = said.iter().map(|words| words.trim()).filter(|words| !words.is_empty()).collect();
        let id = format!("{}_{}", line.array, line.index);
        let ended = Ended { job: line.job.as_ref(), id: &id, steps, has_words: !said.is_empty() };
        let found = verdict(&ended);
        let words = said.into_iter().map(str::to_owned).chain([format!("\nhint: {}", found.hint)]);
        (found.exit, words.collect::<Vec<_>>().join("\n"))
    }

    fn tick(&mut self) {
        let is_running = |line: &&Line| line.job.as_ref().is_some_and(|job| job.state == State::Running);
        let running = self.lines.iter().filter(is_running).count();
        let runs: usize = self.lines.iter().map(|line| line.links.len()).sum();
        (self.observer)(LaunchEvent::Tick { waiting: runs.saturating_sub(running), running });
    }
}

fn absolute(path: std::path::PathBuf) -> std::path::PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}
