use std::cell::{Cell, RefCell};
use std::ffi::OsString;
use std::fs;
use std::process::Command;
use std::time::Duration;

use forescale_core::record::{LogLine, RunSink as _};

use super::super::Way;
use super::super::fixture::{Sweep, sweep};
use super::*;

/// A queue that runs the scripts it is handed at once, where it is told to, and answers as it is told to.
struct StandIn {
    /// Arguments of each array.
    submitted: RefCell<Vec<Vec<String>>>,
    /// Questions answered.
    asked: Cell<u64>,
    /// The state and reason of a task: by the number of its array, and of the question.
    answer: Box<dyn Fn(usize, u64) -> Answer>,
    runs_scripts: bool,
    /// What `sbatch` says where it fails, and whether it has taken the array all the same.
    fails: Option<bool>,
    /// Arrays that are taken before it fails.
    takes: usize,
}

enum Answer {
    State(&'static str, &'static str),
    /// The task is not in the queue.
    Gone,
    /// Slurm does not answer.
    Silence,
}

fn done(_: usize, _: u64) -> Answer {
    Answer::State("COMPLETED", "None")
}

impl StandIn {
    fn new(answer: impl Fn(usize, u64) -> Answer + 'static) -> Self {
        let (submitted, asked) = (RefCell::default(), Cell::default());
        Self { submitted, asked, answer: Box::new(answer), runs_scripts: true, fails: None, takes: 0 }
    }

    fn words(&self, array: usize) -> Vec<String> {
        self.submitted.borrow()[array].clone()
    }

    fn arrays(&self) -> usize {
        self.submitted.borrow().len()
    }
}

fn value<'a>(words: &'a [String], option: &str) -> &'a str {
    words.iter().find_map(|word| word.strip_prefix(option)).unwrap_or_else(|| panic!("{option}: {words:?}"))
}

fn tasks(words: &[String]) -> u32 {
    value(words, "--array=0-").split('%').next().and_then(|last| last.parse().ok()).map_or(0, |last: u32| last + 1)
}

impl Queue for StandIn {
    fn submit(&self, arguments: &[OsString]) -> Result<String, SlurmError> {
        let words: Vec<String> = arguments.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        let fails = self.fails.filter(|_| self.arrays() >= self.takes);
        if fails == Some(false) {
            return Err(SlurmError::Refused { words: "no".to_owned(), hint: "ask" });
        }
        self.submitted.borrow_mut().push(words.clone());
        if self.runs_scripts {
            (0..tasks(&words)).for_each(|index| run(&words, index));
        }
        match fails {
            Some(_) => Err(SlurmError::Refused { words: "Socket timed out".to_owned(), hint: "ask" }),
            None => Ok(self.arrays().to_string()),
        }
    }

    fn jobs(&self, names: &[&str]) -> Result<Vec<Job>, SlurmError> {
        let question = self.asked.replace(self.asked.get() + 1);
        let mut printed = String::new();
        for (at, words) in self.submitted.borrow().iter().enumerate() {
            let name = value(words, "--job-name=");
            for index in (0..tasks(words)).filter(|_| names.contains(&name)) {
                match (self.answer)(at, question) {
                    Answer::State(state, reason) => {
                        printed += &format!("{name}|{}|{index}|{state}|n1|{reason}\n", at + 1);
                    }
                    Answer::Gone => {}
                    Answer::Silence => {
                        return Err(SlurmError::Silent { program: "squeue", words: "Unable to contact".to_owned() });
                    }
                }
            }
        }
        Ok(job::jobs(&printed))
    }

    fn cancel(&self, _arrays: &[String]) -> Result<(), SlurmError> {
        Ok(())
    }

    fn cpus(&self, _partition: Option<&str>, _with_card: bool) -> Option<usize> {
        Some(4)
    }

    fn largest_array(&self) -> usize {
        3
    }
}

/// Does what a node does with a task of an array.
fn run(words: &[String], index: u32) {
    let log = value(words, "--output=").replace("%a", &index.to_string()).replace("%%", "%");
    let log = fs::OpenOptions::new().append(true).create(true).open(log).expect("a log");
    let script = words.last().expect("a script");
    let mut shell = Command::new("bash");
    shell.arg(script).env("SLURM_ARRAY_TASK_ID", index.to_string()).env("SLURM_CPUS_PER_TASK", "3");
    shell.stdout(log.try_clone().expect("a log")).stderr(log).status().expect("bash");
}

const PACE: Pace = Pace {
    look: Duration::from_millis(1),
    ask: (Duration::ZERO, Duration::from_millis(2)),
    grace: Duration::from_millis(2),
    patience: Duration::from_millis(50),
};

impl Sweep {
    /// A task that runs a shell script; of several the first is the longest.
    fn job(&self, seed: u64, script: &str) -> Task {
        self.task(seed, 100.0 - seed as f64, script)
    }

    /// The command that leaves a sealed record, the newest attempt's arguments beside it.
    fn told_and_sealed(&self, task: &Task) -> String {
        format!("echo $* >> {}; {}", self.told(&task.run.name).display(), self.seal(task))
    }

    fn sealing(&self, mut task: Task) -> Task {
        task.arguments[1] = OsString::from(self.told_and_sealed(&task));
        task
    }

    fn told(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("told-{name}"))
    }

    fn launcher(&self) -> SlurmLauncher {
        SlurmLauncher::new(PathBuf::from("/bin/sh"), self.folder.path().to_owned())
    }

    fn launch_on(&self, queue: &StandIn, tasks: Vec<Task>) -> (LaunchSummary, Vec<LaunchEvent>) {
        self.launch_by(&self.launcher(), queue, tasks, |_| {}).map_err(|error| error.to_string()).expect("launched")
    }

    fn launch_by(
        &self,
        launcher: &SlurmLauncher,
        queue: &StandIn,
        tasks: Vec<Task>,
        watch: impl Fn(&LaunchEvent),
    ) -> Result<(LaunchSummary, Vec<LaunchEvent>), LaunchError> {
        let mut events = Vec::new();
        let mut note = |event| {
            watch(&event);
            events.push(event);
        };
        let summary = Launch::new(launcher, queue, &self.store, &mut note, PACE).run(tasks)?;
        Ok((summary, events))
    }

    /// Files that are kept of what was submitted.
    fn kept(&self) -> Vec<String> {
        let entries = fs::read_dir(submission::folder(&self.store)).expect("a folder").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter_map(|name| Some(name.rsplit_once('.')?.1.to_owned())).collect();
        names.sort();
        names
    }
}

/// The task as a branch of the one trunk there is.
fn branch(steps: u64, mut task: Task) -> Task {
    let config = &mut task.run.config;
    (config.branch, config.seed, config.steps) = (true, 0, steps);
    config.optimizer.decay_steps = steps / 5;
    task.run.id = task.run.config.id();
    task
}

fn failures(events: &[LaunchEvent]) -> Vec<(String, String)> {
    let words = |event: &LaunchEvent| match event {
        LaunchEvent::Failed { exit, stderr_tail, .. } => Some((exit.clone(), stderr_tail.clone())),
        _ => None,
    };
    events.iter().filter_map(words).collect()
}

#[test]
fn each_run_is_a_task_of_an_array_and_the_branches_of_a_trunk_are_one() {
    let sweep = sweep();
    let branches = [2, 3].map(|number| sweep.sealing(branch(300 * number, sweep.job(number, ""))));
    let tasks = branches.into_iter().chain([sweep.sealing(sweep.job(1, ""))]).collect();
    let queue = StandIn::new(done);
    let (summary, events) = sweep.launch_on(&queue, tasks);
    let mut finished = summary.finished;
    finished.sort();
    assert_eq!((finished, summary.failed), (["run-1", "run-2", "run-3"].map(str::to_owned).to_vec(), vec![]));
    assert_eq!(value(&queue.words(0), "--array="), "0-1");
    assert_eq!(value(&queue.words(0), "--cpus-per-task="), "2", "a node's four shared by two");
    let queued = events.iter().find(|event| matches!(event, LaunchEvent::Queued { .. }));
    assert_eq!(queued, Some(&LaunchEvent::Queued { job: "1".to_owned(), runs: 3, found: false }));
    assert_eq!(fs::read_to_string(sweep.told("run-1")).expect("told").trim(), "3", "as many threads as Slurm gives");
    assert_eq!(sweep.kept(), Vec::<String>::new(), "nothing is kept of what went well");
}

#[test]
fn more_runs_than_an_array_may_have_are_several_arrays() {
    let sweep = sweep();
    let queue = StandIn::new(done);
    let (summary, _) = sweep.launch_on(&queue, (1..=7).map(|seed| sweep.sealing(sweep.job(seed, ""))).collect());
    assert_eq!(summary.finished.len(), 7);
    assert_eq!([0, 1, 2].map(|at| tasks(&queue.words(at))), [3, 3, 1]);
}

#[test]
fn a_failed_run_tells_its_words_and_does_not_stop_the_others() {
    let sweep = sweep();
    let bad = sweep.job(1, "echo the corpus is missing >&2; exit 3");
    let (summary, events) = sweep.launch_on(&StandIn::new(done), vec![bad, sweep.sealing(sweep.job(2, ""))]);
    assert_eq!((summary.finished, summary.failed), (vec!["run-2".to_owned()], vec!["run-1".to_owned()]));
    let [(exit, words)] = &failures(&events)[..] else { panic!("one failed: {events:?}") };
    assert_eq!(exit, "job 1_0 on node n1 ended without a record");
    assert_eq!(words, "the corpus is missing\n\nhint: the same command submits it again");
    assert_eq!(sweep.kept(), ["log"], "the log of a job that failed stays");
}

#[test]
fn a_node_that_does_not_see_what_a_run_needs_says_what() {
    let sweep = sweep();
    let needs = vec![PathBuf::from("/nonexistent/tokens.bin")];
    let launcher = SlurmLauncher { needs, ..sweep.launcher() };
    let task = vec![sweep.sealing(sweep.job(1, ""))];
    let (_, events) = sweep.launch_by(&launcher, &StandIn::new(done), task, |_| {}).expect("launched");
    let words = &failures(&events)[0].1;
    assert!(words.starts_with("error: `/nonexistent/tokens.bin` is not there on node"), "{words}");
    assert!(words.contains("hint: sweep, program and corpus have to lie where all nodes see them"), "{words}");
    assert!(!sweep.told("run-1").exists(), "the run was not started");
}

#[test]
fn a_job_that_leaves_no_word_was_where_the_folder_is_not() {
    let sweep = sweep();
    let queue = StandIn { runs_scripts: false, ..StandIn::new(|_, _| Answer::State("FAILED", "JobLaunchFailure")) };
    let (_, events) = sweep.launch_on(&queue, vec![sweep.job(1, "")]);
    let (exit, words) = failures(&events).remove(0);
    assert_eq!(exit, "job 1_0 on node n1 left no word in the sweep's folder");
    assert!(words.contains("where all nodes see it"), "{words}");
}

#[test]
fn words_of_an_earlier_attempt_are_not_this_ones() {
    let sweep = sweep();
    let bad = || sweep.job(1, "echo the first time >&2; exit 3");
    sweep.launch_on(&StandIn::new(done), vec![bad()]);
    let queue = StandIn { runs_scripts: false, ..StandIn::new(|_, _| Answer::State("CANCELLED", "None")) };
    let (_, events) = sweep.launch_on(&queue, vec![bad()]);
    let (exit, words) = failures(&events).remove(0);
    assert_eq!((exit.as_str(), words.trim()), ("job 1_0 was cancelled", "hint: the same command submits it again"));
}

/// A flag that is set when a run is seen in the queue.
fn flag() -> &'static AtomicBool {
    Box::leak(Box::new(AtomicBool::new(false)))
}

#[test]
fn a_launch_that_is_given_up_leaves_its_jobs_and_the_next_one_finds_them() {
    let sweep = sweep();
    // In the queue until somebody has asked ten times.
    let queue =
        StandIn::new(|_, question| Answer::State(if question < 10 { "PENDING" } else { "COMPLETED" }, "Priority"));
    let queue = StandIn { runs_scripts: false, ..queue };
    let tasks = || vec![sweep.sealing(sweep.job(1, "")), sweep.sealing(sweep.job(2, ""))];
    let stop = flag();
    let launcher = SlurmLauncher { interrupted: Some(stop), ..sweep.launcher() };
    let give_up = |event: &LaunchEvent| {
        if matches!(event, LaunchEvent::Tick { waiting: 2, .. }) {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    let error = sweep.launch_by(&launcher, &queue, tasks(), give_up).expect_err("given up").to_string();
    assert!(error.starts_with("not waited for: 2 runs stay in Slurm's queue (job 1)"), "{error}");
    assert!(error.contains("hint: the same command waits for them again, `forescale cancel "), "{error}");
    assert_eq!(sweep.kept(), ["json", "sh"]);

    let seen = queued_in(&sweep.store, &queue).expect("asked");
    let words: Vec<_> = seen.iter().map(|run| (run.job.as_str(), run.is_running, run.reason.as_str())).collect();
    assert_eq!(words, [("1_0", false, "Priority"), ("1_1", false, "Priority")]);

    // One of them was sealed meanwhile, and its run is in nobody's list any more.
    run(&queue.words(0), 0);
    run(&queue.words(0), 1);
    let (summary, events) = sweep.launch_on(&queue, tasks());
    assert_eq!((summary.finished.len(), queue.arrays()), (2, 1), "nothing is submitted twice");
    let found = events.iter().filter(|event| matches!(event, LaunchEvent::Queued { found: true, .. }));
    assert_eq!(Vec::from_iter(found), [&LaunchEvent::Queued { job: "1".to_owned(), runs: 2, found: true }]);
    assert_eq!(sweep.kept(), Vec::<String>::new());
}

#[test]
fn what_left_the_queue_while_nobody_waited_is_submitted_anew() {
    let sweep = sweep();
    let submission = Submission::of(&sweep.store, &[], false);
    submission.keep(&sweep.store, "").expect("kept");
    let queue = StandIn::new(done);
    let (summary, _) = sweep.launch_on(&queue, vec![sweep.sealing(sweep.job(1, ""))]);
    assert_eq!((summary.finished.len(), queue.arrays()), (1, 1));
    assert_eq!(sweep.kept(), Vec::<String>::new(), "what is over is not asked about for ever");
}

#[test]
fn jobs_of_runs_that_nobody_asks_for_now_stay_known() {
    let sweep = sweep();
    let queue = StandIn {
        runs_scripts: false,
        ..StandIn::new(|array, question| {
            // The first array stays in the queue.
            Answer::State(if array == 0 || question < 6 { "RUNNING" } else { "COMPLETED" }, "None")
        })
    };
    let stop = flag();
    let launcher = SlurmLauncher { interrupted: Some(stop), ..sweep.launcher() };
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    sweep.launch_by(&launcher, &queue, vec![sweep.job(1, "")], |_| {}).expect_err("given up");
    sweep.launch_on(&queue, vec![sweep.job(2, "")]);
    assert_eq!(sweep.kept(), ["json", "sh"], "the first array is still there");
    assert_eq!(cancel_in(&sweep.store, &queue).expect("asked"), ["1"]);
}

#[test]
fn an_array_that_slurm_took_though_sbatch_failed_is_waited_for() {
    let sweep = sweep();
    let queue = StandIn { fails: Some(true), ..StandIn::new(done) };
    let (summary, events) = sweep.launch_on(&queue, vec![sweep.sealing(sweep.job(1, ""))]);
    assert_eq!(summary.finished, ["run-1"]);
    assert!(matches!(&events[0], LaunchEvent::Queued { job, .. } if job == "1"), "{events:?}");
}

#[test]
fn an_array_that_slurm_may_take_yet_stays_on_file() {
    let sweep = sweep();
    let queue = StandIn { fails: Some(true), runs_scripts: false, ..StandIn::new(|_, _| Answer::Gone) };
    let error = sweep.launch_by(&sweep.launcher(), &queue, vec![sweep.job(1, "")], |_| {}).expect_err("no answer");
    assert!(error.to_string().contains("Socket timed out"), "{error}");
    assert_eq!(sweep.kept(), ["json", "sh"]);
}

#[test]
fn a_refusal_is_told_and_leaves_nothing() {
    let sweep = sweep();
    let queue = StandIn { fails: Some(false), ..StandIn::new(done) };
    let error = sweep.launch_by(&sweep.launcher(), &queue, vec![sweep.job(1, "")], |_| {}).expect_err("refused");
    assert_eq!(error.to_string(), "sbatch refuses the runs: no\n\nhint: ask");
    assert_eq!(sweep.kept(), Vec::<String>::new());
}

#[test]
fn a_job_that_slurm_ends_and_starts_again_is_waited_for_and_said_to_be() {
    let sweep = sweep();
    let task = sweep.job(1, "");
    let seal = sweep.told_and_sealed(&task);
    let folder = sweep.store.run_dir(&task.run.id);
    let answer = move |_: usize, question: u64| match question {
        0 => Answer::State("RUNNING", "None"),
        1 => Answer::State("PENDING", "BeginTime"),
        2 => {
            fs::create_dir_all(&folder).expect("made");
            Command::new("sh").args(["-c", &seal]).status().expect("sh");
            Answer::State("RUNNING", "None")
        }
        _ => Answer::State("COMPLETED", "None"),
    };
    let queue = StandIn { runs_scripts: false, ..StandIn::new(answer) };
    let (summary, events) = sweep.launch_on(&queue, vec![task]);
    assert_eq!((summary.finished.len(), queue.arrays()), (1, 1));
    assert_eq!(events.iter().filter(|event| matches!(event, LaunchEvent::Requeued { .. })).count(), 1);
}

#[test]
fn a_job_that_made_way_for_good_is_submitted_again_while_its_run_gets_further() {
    let sweep = sweep();
    let task = sweep.job(1, "");
    drop(sweep.store.begin(&task.run).expect("begun"));
    let step = LogLine::Step { attempt: 1, step: 40, loss: 3.0, gradient_norm: 0.5, tokens_per_second: 1e5 };
    let step = serde_json::to_string(&step).expect("JSON");
    let log = sweep.store.run_dir(&task.run.id).join("log.jsonl");
    // The first time it comes to a step, and no further after that.
    let script = format!("[ -s {0} ] || echo '{step}' >> {0}", log.display());
    let queue = StandIn::new(|_, _| Answer::State("PREEMPTED", "None"));
    let task = Task { arguments: vec!["-c".into(), script.into()], ..task };
    let (summary, events) = sweep.launch_on(&queue, vec![task]);
    assert_eq!((summary.failed.len(), queue.arrays()), (1, 2));
    assert_eq!(events.iter().filter(|event| matches!(event, LaunchEvent::Requeued { .. })).count(), 1);
    let (exit, words) = failures(&events).remove(0);
    assert!(exit.starts_with("job 2_0 made way for another at step 40 of "), "{exit}");
    assert!(words.contains("hint: the same command goes on from its last checkpoint"), "{words}");
}

#[test]
fn what_waits_behind_a_run_that_was_sealed_before_its_job_made_way_is_submitted_again() {
    let sweep = sweep();
    let first = sweep.sealing(branch(600, sweep.job(2, "")));
    let second = branch(900, sweep.job(3, ""));
    // Its first turn never comes.
    let script = format!(
        "[ -e {0} ] || {{ touch {0}; exit 1; }}; {1}",
        sweep.told("first").display(),
        sweep.told_and_sealed(&second)
    );
    let second = Task { arguments: vec!["-c".into(), script.into()], ..second };
    let queue = StandIn::new(|array, _| Answer::State(if array == 0 { "PREEMPTED" } else { "COMPLETED" }, "None"));
    let (summary, _) = sweep.launch_on(&queue, vec![first, second]);
    assert_eq!((summary.finished.len(), queue.arrays()), (2, 2));
}

/// A task whose batch has to be dealt into so many parts before memory suffices, and says so as `exec` does.
fn hungry(sweep: &Sweep, enough: u32) -> Task {
    let mut task = sweep.job(1, "");
    task.ways = [1, 2].map(|accumulate| Way { accumulate, bytes: 0 }).to_vec();
    let line = LogLine::OutOfMemory {
        attempt: 0,
        step: 0,
        device: "cpu".into(),
        accumulate: 1,
        needed_bytes: Some(7),
        free_bytes: Some(5),
    };
    let line = serde_json::to_string(&line).expect("JSON");
    let log = sweep.store.run_dir(&task.run.id).join("log.jsonl");
    // Arguments after a script are its $0, $1, and so on: `--accumulate 2 --threads 3`.
    let parts = "p=1; [ $0 = --accumulate ] && p=$1";
    let refuse = format!("{parts}; [ $p -ge {enough} ] || {{ echo '{line}' >> {}; exit 2; }}", log.display());
    let script = format!("{refuse}; {}", sweep.told_and_sealed(&task));
    task.arguments[1] = OsString::from(script);
    task
}

#[test]
fn a_run_that_memory_does_not_suffice_for_is_submitted_again_in_parts_and_alone_at_last() {
    let sweep = sweep();
    let queue = StandIn::new(done);
    let (summary, events) = sweep.launch_on(&queue, vec![hungry(&sweep, 2)]);
    assert_eq!((summary.finished.len(), queue.arrays()), (1, 2));
    let again = events.iter().find_map(|event| match event {
        LaunchEvent::OutOfMemory { needed_and_free, accumulate, alone, .. } => {
            Some((*needed_and_free, *accumulate, *alone))
        }
        _ => None,
    });
    assert_eq!(again, Some(((Some(7), Some(5)), 2, true)));
    assert!(queue.words(1).contains(&"--exclusive".to_owned()) && !queue.words(0).contains(&"--exclusive".to_owned()));
}

#[test]
fn a_run_that_was_cancelled_is_not_submitted_again_whatever_memory_it_wanted() {
    let sweep = sweep();
    let queue = StandIn::new(|_, _| Answer::State("CANCELLED", "None"));
    let (summary, events) = sweep.launch_on(&queue, vec![hungry(&sweep, 2)]);
    assert_eq!((summary.failed.len(), queue.arrays()), (1, 1));
    assert_eq!(failures(&events)[0].0, "job 1_0 was cancelled");
}

#[test]
fn a_run_that_the_kernel_ended_for_want_of_memory_is_tried_in_parts_too_and_fails_in_the_end() {
    let sweep = sweep();
    let mut task = sweep.job(1, "exit 9");
    task.ways = [1, 2].map(|accumulate| Way { accumulate, bytes: 0 }).to_vec();
    let queue = StandIn::new(|_, _| Answer::State("OUT_OF_MEMORY", "OutOfMemory"));
    let (summary, events) = sweep.launch_on(&queue, vec![task]);
    assert_eq!((summary.failed.len(), queue.arrays()), (1, 2));
    let (exit, words) = failures(&events).remove(0);
    assert!(exit.ends_with("was ended for want of memory") && words.contains("--mem="), "{exit}: {words}");
}

#[test]
fn a_run_that_cannot_be_submitted_again_has_failed_and_the_others_go_on() {
    let sweep = sweep();
    let answer = |_, question| Answer::State(if question < 4 { "RUNNING" } else { "COMPLETED" }, "None");
    let queue = StandIn { fails: Some(false), takes: 1, ..StandIn::new(answer) };
    let (summary, events) = sweep.launch_on(&queue, vec![hungry(&sweep, 2), sweep.sealing(sweep.job(2, ""))]);
    assert_eq!((summary.finished, summary.failed), (vec!["run-2".to_owned()], vec!["run-1".to_owned()]));
    let expected = ["it could not be submitted again", "sbatch refuses the runs: no\n\nhint: ask"].map(str::to_owned);
    assert_eq!(failures(&events), [expected.into()]);
}

#[test]
fn a_silent_queue_is_borne_for_a_while_and_said_once() {
    let sweep = sweep();
    let task = || vec![sweep.sealing(sweep.job(1, ""))];
    let script_first = |task: &Task| {
        fs::create_dir_all(sweep.store.run_dir(&task.run.id)).expect("made");
    };
    task().iter().for_each(script_first);
    let queue = StandIn {
        runs_scripts: false,
        ..StandIn::new(|_, question| if question < 5 { Answer::Silence } else { Answer::State("CANCELLED", "None") })
    };
    let (_, events) = sweep.launch_on(&queue, task());
    let told: Vec<_> = events.iter().filter(|event| matches!(event, LaunchEvent::Stuck { .. })).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let queue = StandIn { runs_scripts: false, ..StandIn::new(|_, _| Answer::Silence) };
    let error = sweep.launch_by(&sweep.launcher(), &queue, task(), |_| {}).expect_err("given up").to_string();
    assert!(error.starts_with("`squeue` gives no answer: Unable to contact") && error.contains("hint: "), "{error}");
    assert_eq!(sweep.kept(), ["json", "sh"], "what was submitted is found by the next launch");
}

#[test]
fn a_job_that_does_not_start_by_itself_is_said_once_with_a_way_out() {
    let sweep = sweep();
    let states = |_, question| match question {
        0..4 => Answer::State("PENDING", "JobHeldUser"),
        _ => Answer::State("COMPLETED", "None"),
    };
    let queue = StandIn { runs_scripts: false, ..StandIn::new(states) };
    let (_, events) = sweep.launch_on(&queue, vec![sweep.job(1, ""), sweep.job(2, "")]);
    let told: Vec<&String> = events
        .iter()
        .filter_map(|event| match event {
            LaunchEvent::Stuck { words } => Some(words),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["job 1 does not start by itself: JobHeldUser\n\nhint: scontrol release 1"]);
}

#[test]
fn a_job_that_slurm_has_forgotten_is_judged_by_its_runs() {
    let sweep = sweep();
    let (summary, events) = sweep.launch_on(
        &StandIn::new(|_, _| Answer::Gone),
        vec![sweep.sealing(sweep.job(1, "")), sweep.job(2, "echo no >&2")],
    );
    assert_eq!((summary.finished, summary.failed), (vec!["run-1".to_owned()], vec!["run-2".to_owned()]));
    assert_eq!(failures(&events)[0].0, "job 1_1 left the queue without a record");
}

#[test]
fn progress_is_told_of_the_run_that_a_job_works_on() {
    let sweep = sweep();
    let task = sweep.job(1, "");
    let mut folder = sweep.store.begin(&task.run).expect("begun");
    let line = LogLine::Step { attempt: 1, step: 40, loss: 3.0, gradient_norm: 0.5, tokens_per_second: 1e5 };
    folder.log(&line).expect("logged");
    let states = |_, question| Answer::State(if question < 3 { "RUNNING" } else { "TIMEOUT" }, "None");
    let queue = StandIn { runs_scripts: false, ..StandIn::new(states) };
    let (_, events) = sweep.launch_on(&queue, vec![task]);
    let steps = events.iter().find_map(|event| match event {
        LaunchEvent::Progress { progress, .. } => Some(progress.step),
        _ => None,
    });
    assert_eq!(steps, Some(40));
    let started = events.iter().filter(|event| matches!(event, LaunchEvent::Started { threads: 4, card: None, .. }));
    assert_eq!(started.count(), 1, "a task alone has the CPUs of a node");
    let (exit, words) = failures(&events).remove(0);
    assert!(exit.starts_with("job 1_0 came to its time limit at step 40 of "), "{exit}");
    assert!(words.contains("goes on from its last checkpoint") && words.contains("--time="), "{words}");
}

#[test]
fn no_jobs_at_all_are_refused() {
    let sweep = sweep();
    let launcher = SlurmLauncher { jobs: Some(0), ..sweep.launcher() };
    let error = launcher.launch(&sweep.store, Vec::new(), &mut |_| {}).expect_err("refused");
    assert_eq!(error.to_string(), "`jobs` is 0; at least 1 is needed\n\nhint: --jobs 1");
}

#[test]
fn where_nothing_was_submitted_slurm_is_not_asked() {
    let sweep = sweep();
    let queue = StandIn::new(|_, _| Answer::Silence);
    assert_eq!(queued_in(&sweep.store, &queue).expect("nothing"), []);
    assert!(cancel_in(&sweep.store, &queue).expect("nothing").is_empty());
    assert_eq!(queue.asked.get(), 0);
}
