use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use forescale_core::record::{LogLine, RunSink as _};

use super::super::Way;
use super::super::fixture::{Sweep, sweep};
use super::*;
use crate::cards::tests::StandIn;
use crate::cards::{Cards as _, Reading};
use forescale_core::run::RunId;

fn shell(jobs: usize) -> LocalLauncher {
    LocalLauncher { executable: PathBuf::from("/bin/sh"), jobs: Some(jobs), fleet: None }
}

impl Sweep {
    /// A task that leaves a sealed record, as `exec` does.
    fn good_task(&self, seed: u64, seconds: f64) -> Task {
        self.good(self.task(seed, seconds, ""))
    }

    /// The task, leaving a sealed record.
    fn good(&self, mut task: Task) -> Task {
        let told = self.threads_file(&task.run.name);
        let script = format!("echo $1 $RAYON_NUM_THREADS > {}; {}", told.display(), self.seal(&task));
        task.arguments[1] = OsString::from(script);
        task
    }

    fn threads_file(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("threads-{name}"))
    }

    fn launch(&self, jobs: usize, tasks: Vec<Task>) -> (LaunchSummary, Vec<LaunchEvent>) {
        let mut events = Vec::new();
        let summary = shell(jobs).launch(&self.store, tasks, &mut |event| events.push(event)).expect("launched");
        (summary, events)
    }
}

#[test]
fn a_failed_run_reports_its_words_and_does_not_stop_the_others() {
    let sweep = sweep();
    let bad = sweep.task(1, 9.0, "echo first >&2; echo the corpus is missing >&2; exit 3");
    let (summary, events) = sweep.launch(1, vec![bad, sweep.good_task(2, 1.0)]);
    assert_eq!(summary, LaunchSummary { finished: vec!["run-2".to_owned()], failed: vec!["run-1".to_owned()] });
    let failed = events.iter().find_map(|event| match event {
        LaunchEvent::Failed { exit, stderr_tail, .. } => Some((exit.clone(), stderr_tail.clone())),
        _ => None,
    });
    assert_eq!(failed, Some(("exit status: 3".to_owned(), "first\nthe corpus is missing".to_owned())));
}

#[test]
fn a_run_that_ends_well_without_a_record_has_failed() {
    let sweep = sweep();
    let (summary, _) = sweep.launch(1, vec![sweep.task(1, 1.0, "exit 0")]);
    assert_eq!(summary.failed, ["run-1"]);
}

#[test]
fn the_longest_starts_first() {
    let sweep = sweep();
    let (_, events) = sweep.launch(1, vec![sweep.good_task(1, 1.0), sweep.good_task(2, 3.0), sweep.good_task(3, 2.0)]);
    let started = events.iter().filter_map(|event| match event {
        LaunchEvent::Started { run, .. } => Some(run.name.as_str()),
        _ => None,
    });
    assert_eq!(started.collect::<Vec<_>>(), ["run-2", "run-3", "run-1"]);
}

/// The task as a branch of the one trunk there is.
fn branch(steps: u64, mut task: Task) -> Task {
    let config = &mut task.run.config;
    (config.branch, config.seed, config.steps) = (true, 0, steps);
    config.optimizer.decay_steps = steps / 5;
    task.run.id = task.run.config.id();
    task
}

/// Names in the order of their starts and ends: `+run-1`, `-run-1`.
fn order(events: &[LaunchEvent]) -> Vec<String> {
    let word = |event: &LaunchEvent| match event {
        LaunchEvent::Started { run, .. } => Some(format!("+{}", run.name)),
        LaunchEvent::Finished { run } | LaunchEvent::Failed { run, .. } => Some(format!("-{}", run.name)),
        _ => None,
    };
    events.iter().filter_map(word).collect()
}

#[test]
fn branches_of_a_trunk_run_one_after_another_and_the_shortest_first() {
    let sweep = sweep();
    let good = |number: u64| sweep.good(branch(300 * number, sweep.task(number, 1.0, "")));
    let (summary, events) = sweep.launch(2, vec![good(3), good(1), good(2)]);
    assert_eq!(order(&events), ["+run-1", "-run-1", "+run-2", "-run-2", "+run-3", "-run-3"]);
    assert_eq!(summary.finished.len(), 3);
    let waiting = events.iter().filter_map(|event| match event {
        LaunchEvent::Tick { waiting, .. } => Some(*waiting),
        _ => None,
    });
    assert_eq!(waiting.clone().next(), Some(2), "the later branches are waiting: {:?}", Vec::from_iter(waiting));
}

#[test]
fn other_runs_go_beside_a_trunk() {
    let sweep = sweep();
    let gate = sweep.folder.path().join("gate");
    let open = format!("touch {}; exit 3", gate.display());
    let wait = format!("for i in $(seq 400); do test -e {} && exit 3; sleep 0.05; done; exit 4", gate.display());
    // The first branch ends only when the run beside it has begun.
    let first = branch(300, sweep.task(1, 50.0, &wait));
    let second = branch(600, sweep.task(2, 50.0, "exit 3"));
    let (_, events) = sweep.launch(2, vec![first, second, sweep.task(3, 1.0, &open)]);
    assert_eq!(order(&events)[..2], ["+run-1", "+run-3"]);
    let exits: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            LaunchEvent::Failed { exit, .. } => Some(exit.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(exits, ["exit status: 3"; 3]);
}

#[test]
fn a_branch_that_fails_does_not_stop_the_later_ones() {
    let sweep = sweep();
    let bad = branch(300, sweep.task(1, 1.0, "exit 3"));
    let good = sweep.good(branch(600, sweep.task(2, 1.0, "")));
    let (summary, events) = sweep.launch(1, vec![good, bad]);
    assert_eq!(summary, LaunchSummary { finished: vec!["run-2".to_owned()], failed: vec!["run-1".to_owned()] });
    assert_eq!(order(&events), ["+run-1", "-run-1", "+run-2", "-run-2"]);
}

#[test]
fn a_trunks_shared_steps_count_once_where_the_longest_starts_first() {
    // Branches of 300 and 600 steps, 3 s and 6 s from the first step: the longer finds 240 of 600 done, so 3 + 3.6 s.
    let sweep = sweep();
    let first = |alone: f64| {
        let short = branch(300, sweep.task(1, 3.0, "exit 0"));
        let long = branch(600, sweep.task(2, 6.0, "exit 0"));
        let (_, events) = sweep.launch(1, vec![sweep.task(3, alone, "exit 0"), short, long]);
        order(&events).swap_remove(0)
    };
    assert_eq!([first(6.7), first(6.5)], ["+run-3", "+run-1"]);
}

#[test]
fn a_task_alone_is_told_to_use_every_core() {
    let sweep = sweep();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    sweep.launch(cores, vec![sweep.good_task(1, 1.0)]);
    let told = fs::read_to_string(sweep.threads_file("run-1")).expect("the child wrote it");
    assert_eq!(told.trim(), format!("{cores} {cores}"));
}

#[test]
fn a_program_that_is_not_there_is_an_error() {
    let sweep = sweep();
    let launcher = LocalLauncher { executable: PathBuf::from("/nonexistent/forescale"), jobs: None, fleet: None };
    let error =
        launcher.launch(&sweep.store, vec![sweep.task(1, 1.0, "")], &mut |_| {}).expect_err("refused").to_string();
    assert!(error.starts_with("`/nonexistent/forescale` cannot be started") && error.contains("hint: "), "{error}");
}

fn alive(pid: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    !status.is_empty() && !status.contains(") Z ")
}

/// The number in a file, once a child has written it.
fn wait_for_pid(path: &Path) -> String {
    let start = Instant::now();
    while start.elapsed().as_secs() < 20 {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    panic!("the child did not start");
}

#[cfg(target_os = "linux")]
#[test]
fn children_end_when_the_launch_is_given_up() {
    let sweep = sweep();
    let pid_file = sweep.folder.path().join("pid");
    let task = sweep.task(1, 1.0, &format!("echo $$ > {}; exec sleep 600", pid_file.display()));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        shell(1).launch(&sweep.store, vec![task], &mut |event| {
            if matches!(event, LaunchEvent::Tick { .. }) {
                wait_for_pid(&pid_file);
                std::panic::resume_unwind(Box::new("given up"));
            }
        })
    }));
    assert!(result.is_err());
    assert!(!alive(&wait_for_pid(&pid_file)));
}

#[cfg(target_os = "linux")]
#[test]
fn children_die_with_a_parent_that_is_killed_outright() {
    // The kernel sends the signal when the thread that started the child ends, which is what a killed process looks
    // like to the child: nothing is dropped, nobody waits.
    let sweep = sweep();
    let pid_file = sweep.folder.path().join("pid");
    let task = sweep.task(1, 1.0, &format!("echo $$ > {}; exec sleep 600", pid_file.display()));
    let pid = std::thread::scope(|scope| {
        let parent = scope.spawn(|| {
            let start = Start { threads: 1, slot: None, uuid: None, refusals: 0, stale: None };
            let child = shell(1).start(&sweep.store, &Turn::first(task, 0), &start).expect("started");
            let pid = wait_for_pid(&pid_file);
            assert!(alive(&pid));
            std::mem::forget(child);
            pid
        });
        parent.join().expect("the parent ended")
    });
    let start = Instant::now();
    while alive(&pid) && start.elapsed().as_secs() < 20 {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!alive(&pid));
}

#[test]
fn no_jobs_at_all_are_refused() {
    let sweep = sweep();
    let error = shell(0).launch(&sweep.store, vec![sweep.task(1, 1.0, "true")], &mut |_| {}).expect_err("refused");
    assert_eq!(error.to_string(), "`jobs` is 0; at least 1 is needed\n\nhint: --jobs 1");
}

/// A launcher onto stand-in cards of these sizes.
fn onto(cards: &[u64], jobs: usize) -> LocalLauncher {
    let driver = StandIn::of(cards);
    let fleet = Fleet { cards: driver.list().expect("cards"), driver: Arc::new(driver) };
    LocalLauncher { fleet: Some(fleet), ..shell(jobs) }
}

impl Sweep {
    /// A task that says which card it sees, and how its batch is dealt, then waits until both of two are there.
    fn seer(&self, seed: u64, together: usize) -> Task {
        let seen = self.folder.path().join("seen");
        fs::create_dir_all(&seen).expect("a folder");
        let script = format!(
            "echo $CUDA_VISIBLE_DEVICES > {0}/{seed}; for i in $(seq 400); do [ $(ls {0} | wc -l) -ge {together} ] && exit 3; \
             sleep 0.05; done; exit 4",
            seen.display()
        );
        self.task(seed, 1.0, &script)
    }

    fn seen(&self, seed: u64) -> String {
        fs::read_to_string(self.folder.path().join(format!("seen/{seed}")))
            .expect("the child wrote it")
            .trim()
            .to_owned()
    }
}

#[test]
fn each_card_of_a_node_has_a_run_that_sees_no_other() {
    let sweep = sweep();
    let mut events = Vec::new();
    // Each ends only when both have begun: neither waits for the other's card.
    let tasks = vec![sweep.seer(1, 2), sweep.seer(2, 2)];
    let summary =
        onto(&[1000, 1000], 8).launch(&sweep.store, tasks, &mut |event| events.push(event)).expect("launched");
    assert_eq!(summary.failed.len(), 2, "they leave no records");
    assert_eq!([sweep.seen(1), sweep.seen(2)], ["GPU-0", "GPU-1"]);
    let cards = events.iter().filter_map(|event| match event {
        LaunchEvent::Started { card, .. } => Some(*card),
        _ => None,
    });
    assert_eq!(cards.collect::<Vec<_>>(), [Some(0), Some(1)]);
    let exits = events.iter().filter(|e| matches!(e, LaunchEvent::Failed { exit, .. } if exit == "exit status: 3"));
    assert_eq!(exits.count(), 2);
}

#[test]
fn a_run_that_goes_on_is_not_heard_by_what_its_log_said_before() {
    let sweep = sweep();
    let mut task = sweep.task(1, 1.0, "exec sleep 600");
    let gib = 1 << 30;
    task.ways = vec![Way { accumulate: 1, bytes: gib / 4 }];
    let said = |step| LogLine::Step { attempt: 1, step, loss: 3.0, gradient_norm: 0.5, tokens_per_second: 1e5 };
    let mut folder = sweep.store.begin(&task.run).expect("begun");
    folder.log(&said(40)).expect("logged");
    // The run takes a quarter at once, of which the driver knows nothing before it is told.
    let reading =
        Reading { used_bytes: 0, free_bytes: gib, utilisation: None, clock_mhz: None, memory_clock_mhz: None };
    let driver = StandIn::reading(vec![reading, Reading { free_bytes: gib / 2, ..reading }], None);
    let fleet = Fleet { cards: driver.list().expect("cards"), driver: Arc::new(driver) };
    let (loading, summary) = (Some(Loading::of(&fleet)), LaunchSummary::default());
    let mut launch = Launch { store: &sweep.store, observer: &mut |_| {}, loading, running: Vec::new(), summary };
    let turn = Turn::first(task, gib);
    let start = launch.take(Room { slot: Some(0), card: Some(0) }, &turn, 1);
    let child = shell(1).start(&sweep.store, &turn, &start).expect("started");
    let Start { threads, slot, refusals, stale, .. } = start;
    let one = Running { turn, threads, slot, refusals, stale, child, after: None };
    let mut has_room = || {
        launch.report_progress(&one);
        let next = Need { bytes: gib * 3 / 10, alone: false };
        launch.loading.as_ref().and_then(|loading| loading.place(&RunId("next".to_owned()), next)).is_some()
    };
    assert!(!has_room(), "what the run is about to take is kept for it");
    folder.log(&said(50)).expect("logged");
    assert!(has_room());
}

#[test]
fn jobs_cap_the_runs_on_all_cards_together() {
    let sweep = sweep();
    let mut most = 0;
    let tasks = vec![sweep.good_task(1, 1.0), sweep.good_task(2, 1.0)];
    let launcher = onto(&[1000, 1000], 1);
    let mut watch = |event| {
        if let LaunchEvent::Tick { running, .. } = event {
            most = most.max(running);
        }
    };
    launcher.launch(&sweep.store, tasks, &mut watch).expect("launched");
    assert!(most <= 1, "{most}");
}

/// A log's line that says that memory did not suffice, as `exec` writes it.
fn refusal(needed: u64, free: u64) -> String {
    let (needed_bytes, free_bytes) = (Some(needed), Some(free));
    let line =
        LogLine::OutOfMemory { attempt: 0, step: 0, device: "cpu".into(), accumulate: 1, needed_bytes, free_bytes };
    serde_json::to_string(&line).expect("JSON")
}

impl Sweep {
    /// A task of these ways that memory does not suffice for until its batch is dealt into so many parts.
    fn hungry(&self, seed: u64, ways: &[u32], enough: u32) -> Task {
        let mut task = self.good_task(seed, 1.0);
        let log = self.store.run_dir(&task.run.id).join("log.jsonl");
        let tries = self.tries(seed);
        // Arguments after a script are its $0, $1, and so on: `--threads 1 --accumulate 2`.
        let script = format!(
            "echo \"${{3:-1}} $CUDA_VISIBLE_DEVICES\" >> {}; if [ ${{3:-1}} -lt {enough} ]; then echo '{}' >> {}; exit 2; fi; {}",
            tries.display(),
            refusal(7, 5),
            log.display(),
            task.arguments[1].to_string_lossy()
        );
        task.arguments[1] = OsString::from(script);
        task.ways = ways.iter().map(|parts| Way { accumulate: *parts, bytes: 800 / u64::from(*parts) }).collect();
        task
    }

    fn tries(&self, seed: u64) -> PathBuf {
        self.folder.path().join(format!("tries-{seed}"))
    }

    fn tried(&self, seed: u64) -> Vec<String> {
        let text = fs::read_to_string(self.tries(seed)).expect("the child wrote it");
        text.lines().map(|line| line.trim().to_owned()).collect()
    }
}

fn retries(events: &[LaunchEvent]) -> Vec<(u32, bool)> {
    let retry = |event: &LaunchEvent| match event {
        LaunchEvent::OutOfMemory { needed_and_free: (Some(7), Some(5)), accumulate, alone, .. } => {
            Some((*accumulate, *alone))
        }
        _ => None,
    };
    events.iter().filter_map(retry).collect()
}

#[test]
fn a_run_that_memory_does_not_suffice_for_is_tried_again_with_its_batch_dealt_and_alone_at_last() {
    let sweep = sweep();
    let (summary, events) = sweep.launch(2, vec![sweep.hungry(1, &[1, 2, 4], 4), sweep.good_task(2, 0.5)]);
    assert_eq!(sweep.tried(1), ["1", "2", "4"]);
    assert_eq!(retries(&events), [(2, false), (4, true)]);
    let mut finished = summary.finished;
    finished.sort();
    assert_eq!((finished, summary.failed), (vec!["run-1".to_owned(), "run-2".to_owned()], vec![]));
}

#[test]
fn a_run_whose_batch_may_not_be_dealt_is_tried_once_more_alone_and_then_has_failed() {
    let sweep = sweep();
    let (summary, events) = sweep.launch(2, vec![sweep.hungry(1, &[1], 2)]);
    assert_eq!((sweep.tried(1), retries(&events)), (vec!["1".to_owned(); 2], vec![(1, true)]));
    assert_eq!(summary.failed, ["run-1"]);
}

#[test]
fn a_log_that_spoke_of_memory_before_does_not_excuse_another_failure() {
    let sweep = sweep();
    let task = sweep.task(1, 1.0, "exit 3");
    let folder = sweep.store.run_dir(&task.run.id);
    fs::create_dir_all(&folder).expect("made");
    fs::write(folder.join("log.jsonl"), refusal(7, 5) + "\n").expect("written");
    let (summary, events) = sweep.launch(1, vec![task]);
    assert_eq!((summary.failed, retries(&events)), (vec!["run-1".to_owned()], vec![]));
}

/// Four runs on two cards: the first is out of memory beside the third, and must then be alone. The second and the third
/// end only when the last has begun, which comes after the first.
#[test]
fn a_run_that_must_be_alone_keeps_no_other_card_waiting() {
    let sweep = sweep();
    let at = |name: &str| sweep.folder.path().join(name).display().to_string();
    let until = |name: &str, then: &str| {
        format!("for i in $(seq 600); do test -e {} && {{ {then}; }}; sleep 0.05; done; exit 4", at(name))
    };
    let first = sweep.task(1, 9.0, "");
    let log = sweep.store.run_dir(&first.run.id).join("log.jsonl").display().to_string();
    let refused = format!("echo '{}' >> {log}; touch {}; exit 2", refusal(7, 5), at("refused"));
    let again = format!("ls {} > {}; exit 3", at("last"), at("seen-by-first"));
    let script = format!("if test -e {}; then {again}; fi; {}", at("refused"), until("third", &refused));
    let first = sweep.task(1, 9.0, &script);
    let second = sweep.task(2, 8.0, &until("last", "exit 3"));
    let third = sweep.task(3, 7.0, &format!("touch {}; {}", at("third"), until("last", "exit 3")));
    let last = sweep.task(4, 6.0, &format!("touch {}; exit 3", at("last")));
    let mut events = Vec::new();
    // Three at once, so that the last waits until the first has ended.
    onto(&[1000, 1000], 3)
        .launch(&sweep.store, vec![first, second, third, last], &mut |event| events.push(event))
        .expect("launched");
    assert_eq!(retries(&events), [(1, true)]);
    let exits = events.iter().filter(|e| matches!(e, LaunchEvent::Failed { exit, .. } if exit == "exit status: 3"));
    assert_eq!(exits.count(), 4, "{:?}", order(&events));
    let seen = fs::read_to_string(sweep.folder.path().join("seen-by-first")).expect("the first came again");
    assert!(seen.contains("last"), "it came before the run on the other card");
}

#[test]
fn a_batch_too_large_for_the_largest_card_is_dealt_from_the_start() {
    let sweep = sweep();
    // 800 bytes whole, and 475 of 500 to be had: two parts of 400.
    let task = sweep.hungry(1, &[1, 2, 4], 1);
    onto(&[300, 500], 2).launch(&sweep.store, vec![task], &mut |_| {}).expect("launched");
    assert_eq!(sweep.tried(1), ["2 GPU-1"], "the first card has no memory for it");
}
