//! `forescale status`: runs by state, progress and time left.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use forescale_core::problem::Problem;
use forescale_core::run::{PlannedRun, Role, RunId};
use forescale_report::{Alignment, Table, format};
use forescale_sweep::launch::slurm::{self, QueuedRun};
use forescale_sweep::{Card, Cards as _, Failure, RunState, SpikedRun};
use serde::Serialize;

use super::plan::{own_seconds, role_words};
use crate::args::StatusArgs;
use crate::exit::Answer;
use crate::output;
use crate::place;
use crate::progress::clock;
use crate::workplace::Workplace;

/// What a person is told; `--json` is the list of runs, and `doctor --json` has the cards.
struct Status {
    runs: Vec<Row>,
    /// The cards of this machine, while runs go.
    cards: Vec<CardRow>,
}

/// A card, as its driver tells now.
struct CardRow {
    index: u32,
    name: String,
    memory_used_bytes: u64,
    memory_bytes: u64,
    utilisation: Option<f64>,
    clock_mhz: Option<u32>,
    memory_clock_mhz: Option<u32>,
}

/// One run's state.
#[derive(Debug, Serialize)]
struct Row {
    run_id: String,
    name: String,
    role: Role,
    state: &'static str,
    step: u64,
    steps: u64,
    loss: Option<f64>,
    spikes: u64,
    seconds_left: Option<f64>,
    /// Its job in Slurm's queue, where it is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobRow>,
    /// The file that says why it failed, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    told_in: Option<String>,
}

/// A job of a run.
#[derive(Debug, Serialize)]
struct JobRow {
    id: String,
    /// The node that it is on; empty where it waits.
    node: String,
    /// Why it waits, in Slurm's word.
    reason: String,
}

impl Row {
    /// Of a run that has not ended and is not under way: whether it failed, and where that is told.
    fn note_failure(&mut self, failure: impl FnOnce() -> Option<Failure>) {
        if !["waiting", "interrupted"].contains(&self.state) {
            return;
        }
        if let Some(failure) = failure() {
            self.state = if failure.out_of_memory { "out of memory" } else { "failed" };
            self.told_in = Some(failure.told_in.display().to_string());
        }
    }
}

pub(crate) fn run(args: &StatusArgs) -> anyhow::Result<Answer> {
    loop {
        let workplace = Workplace::open_built(&args.sweep)?;
        let problems = workplace.problems()?;
        let jobs = jobs(&workplace);
        let row = |run: &PlannedRun| row(&workplace, run, &problems, jobs.get(&run.id));
        let mut rows = workplace.plan.runs.iter().map(row).collect::<anyhow::Result<Vec<_>>>()?;
        for (row, run) in rows.iter_mut().zip(&workplace.plan.runs) {
            row.note_failure(|| workplace.store.failure(&run.id));
        }
        if args.watch && io::stdout().is_terminal() {
            output::text("\x1b[2J\x1b[H")?;
        }
        let runs_here = |row: &Row| row.state == "running" && row.job.is_none();
        let cards = if rows.iter().any(runs_here) { cards() } else { Vec::new() };
        let status = Status { runs: rows, cards };
        output::either(args.json, &status.runs, |_| words(&status, args.plot.is_wanted()))?;
        if !args.watch || status.runs.iter().all(|row| row.seconds_left.is_none()) {
            return Ok(Answer::Yes);
        }
        // A queue is everybody's, and asked less often than our own files.
        let has_jobs = status.runs.iter().any(|row| row.job.is_some());
        std::thread::sleep(Duration::from_secs(if has_jobs { 10 } else { 2 }));
    }
}

/// Runs in Slurm's queue, which is asked only where something was submitted.
fn jobs(workplace: &Workplace) -> BTreeMap<RunId, QueuedRun> {
    let queued = slurm::queued(&workplace.store).unwrap_or_else(|error| {
        output::say(&format!("note: runs of this sweep may be in Slurm's queue: {error}"));
        Vec::new()
    });
    queued.into_iter().map(|queued| (queued.run.clone(), queued)).collect()
}

fn row(
    workplace: &Workplace,
    run: &PlannedRun,
    problems: &[Problem],
    queued: Option<&QueuedRun>,
) -> anyhow::Result<Row> {
    let steps = run.config.steps;
    let estimate = own_seconds(&workplace.plan, run, problems);
    let mut spikes = 0;
    let (state, step, loss, seconds_left) = match workplace.store.state(&run.id)? {
        RunState::Missing => (if queued.is_some() { "queued" } else { "waiting" }, 0, None, Some(estimate)),
        RunState::Started(progress) => {
            let left = (steps.saturating_sub(progress.step) * run.config.batch_tokens()) as f64;
            let rate = progress.tokens_per_second.filter(|rate| *rate > 0.0);
            let state = match queued {
                // Not every file system tells one machine what another holds.
                Some(queued) => {
                    if queued.is_running {
                        "running"
                    } else {
                        "queued"
                    }
                }
                None if progress.held => "running",
                None => "interrupted",
            };
            (state, progress.step, progress.loss, Some(rate.map_or(estimate, |rate| left / rate)))
        }
        RunState::Sealed(record) => {
            spikes = record.spikes;
            let state = match record.status {
                forescale_core::record::RunStatus::Finished => "finished",
                forescale_core::record::RunStatus::Diverged => "diverged",
                forescale_core::record::RunStatus::Stopped => "stopped",
            };
            (state, record.steps, record.metric("loss").map(|metric| metric.value), None)
        }
    };
    let (run_id, name, role) = (run.id.0.clone(), run.name.clone(), run.role);
    let job = queued.map(|queued| JobRow {
        id: queued.job.clone(),
        node: queued.node.clone(),
        reason: queued.reason.clone(),
    });
    Ok(Row { run_id, name, role, state, step, steps, loss, spikes, seconds_left, job, told_in: None })
}

/// The cards of this machine; none where no driver tells.
fn cards() -> Vec<CardRow> {
    let Ok((driver, cards)) = place::own_cards() else { return Vec::new() };
    let row = |card: Card| {
        let reading = driver.read(&card).ok()?;
        Some(CardRow {
            index: card.index,
            name: card.name,
            memory_used_bytes: reading.used_bytes,
            memory_bytes: card.memory_bytes,
            utilisation: reading.utilisation,
            clock_mhz: reading.clock_mhz,
            memory_clock_mhz: reading.memory_clock_mhz,
        })
    };
    cards.into_iter().filter_map(row).collect()
}

/// A line for each card: `card 0 (NVIDIA H200): 12.0 GiB of 139 GiB, 87% busy, 1980 MHz, memory 3201 MHz`.
fn card_words(card: &CardRow) -> String {
    let memory = format!("{} of {}", format::bytes(card.memory_used_bytes), format::bytes(card.memory_bytes));
    let busy = card.utilisation.map(|share| format!(", {:.0}% busy", 100.0 * share)).unwrap_or_default();
    let clock = card.clock_mhz.map(|clock| format!(", {clock} MHz")).unwrap_or_default();
    let memory_clock = card.memory_clock_mhz.map(|clock| format!(", memory {clock} MHz")).unwrap_or_default();
    format!("\ncard {} ({}): {memory}{busy}{clock}{memory_clock}", card.index, card.name)
}

/// A line for a run that failed: where to read why.
fn failure_words(row: &Row) -> Option<String> {
    let file = row.told_in.as_ref()?;
    let how = if row.state == "failed" { "failed" } else { "ran out of memory" };
    Some(format!("\nnote: {} {how}; {file} says why", row.name))
}

fn words(status: &Status, with_bars: bool) -> String {
    let rows = &status.runs;
    let bar = with_bars.then_some("progress");
    let has_jobs = rows.iter().any(|row| row.job.is_some());
    let job = has_jobs.then_some("job");
    let headers: Vec<&str> = ["run", "role", "state"].into_iter().chain(job).chain(bar).collect();
    let left = headers.len();
    let headers = headers.into_iter().chain(["step", "of", "loss", "left"]).map(str::to_owned).collect::<Vec<_>>();
    let table = Table {
        alignments: (0..headers.len()).map(|i| if i < left { Alignment::Left } else { Alignment::Right }).collect(),
        headers,
        rows: rows.iter().map(|row| cells(row, has_jobs, with_bars)).collect(),
    };
    let done = rows.iter().filter(|row| row.seconds_left.is_none()).count();
    let left: f64 = rows.iter().filter_map(|row| row.seconds_left).sum();
    let footer =
        format!("{done} of {} done, {} of one-thread work left", rows.len(), clock(Duration::from_secs_f64(left)));
    let spiking = rows.iter().filter(|row| row.spikes > 0);
    let spikes = spiking.map(|row| format!("\nnote: {}", SpikedRun { name: row.name.clone(), spikes: row.spikes }));
    let cards: String = status.cards.iter().map(card_words).collect();
    let failed: String = rows.iter().filter_map(failure_words).collect();
    let table = forescale_report::text::table(&table);
    format!("{}\n{footer}{cards}{failed}{}", table.trim_end(), spikes.collect::<String>())
}

/// A job, and where it is or why it waits: `41_3 on n2`, `41_4 (Priority)`.
fn job_words(job: &JobRow) -> String {
    match (job.node.as_str(), job.reason.as_str()) {
        ("", "") => job.id.clone(),
        ("", reason) => format!("{} ({reason})", job.id),
        (node, _) => format!("{} on {node}", job.id),
    }
}

fn cells(row: &Row, with_job: bool, with_bar: bool) -> Vec<String> {
    let job = with_job.then(|| row.job.as_ref().map_or("–".to_owned(), job_words));
    let bar = with_bar.then(|| forescale_report::terminal::progress(row.step, row.steps));
    let words = [row.name.clone(), role_words(row.role).to_owned(), row.state.to_owned()];
    let numbers = [
        row.step.to_string(),
        row.steps.to_string(),
        row.loss.map_or("–".to_owned(), |loss| format!("{loss:.4}")),
        row.seconds_left.map_or("–".to_owned(), |seconds| clock(Duration::from_secs_f64(seconds))),
    ];
    words.into_iter().chain(job).chain(bar).chain(numbers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_where_it_is_or_why_it_waits() {
        let words = |node: &str, reason: &str| {
            job_words(&JobRow { id: "41_3".to_owned(), node: node.to_owned(), reason: reason.to_owned() })
        };
        assert_eq!([words("n2", ""), words("", "Priority"), words("", "")], ["41_3 on n2", "41_3 (Priority)", "41_3"]);
    }

    #[test]
    fn a_card_is_a_line_that_says_what_its_driver_tells() {
        let card = CardRow {
            index: 1,
            name: "NVIDIA H200".to_owned(),
            memory_used_bytes: 12 << 30,
            memory_bytes: 139 << 30,
            utilisation: Some(0.87),
            clock_mhz: Some(1980),
            memory_clock_mhz: None,
        };
        assert_eq!(card_words(&card), "\ncard 1 (NVIDIA H200): 12.0 GiB of 139 GiB, 87% busy, 1980 MHz");
    }

    #[test]
    fn a_run_that_failed_says_so_and_where_to_read_why() {
        let row = |state| Row {
            run_id: "a1".to_owned(),
            name: "d8".to_owned(),
            role: Role::Path,
            state,
            step: 3,
            steps: 9,
            loss: None,
            spikes: 0,
            seconds_left: Some(1.0),
            job: None,
            told_in: None,
        };
        let noted = |state, out_of_memory| {
            let mut row = row(state);
            row.note_failure(|| Some(Failure { out_of_memory, told_in: "runs/a1/stderr.log".into() }));
            (row.state, failure_words(&row))
        };
        let line = "\nnote: d8 failed; runs/a1/stderr.log says why".to_owned();
        assert_eq!(noted("interrupted", false), ("failed", Some(line)));
        assert_eq!(noted("waiting", true).0, "out of memory");
        assert_eq!(noted("running", false), ("running", None));
    }
}
