//! Tasks in the order in which they may start.
//!
//! The branches of one trunk run one after another, the shortest first, so that each finds the steps it shares with the
//! others done; other tasks run beside them. A chain goes on after a task that failed: its next branch then trains the
//! steps itself.

use std::collections::{BTreeMap, VecDeque};

use forescale_core::run::RunConfig;

use super::{Task, Way};
use crate::plan::shared_steps;

/// Tasks that run one after another; a task of its own is a chain of one.
#[derive(Debug)]
pub(super) struct Chain {
    links: VecDeque<Link>,
}

#[derive(Debug)]
struct Link {
    turn: Turn,
    /// Seconds on one thread of the steps that no shorter task of the chain has done.
    seconds: f64,
}

/// A task, and how it is tried this time.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) task: Task,
    /// Which of the task's ways.
    way: usize,
    /// Whether nothing else may run beside it.
    pub(super) alone: bool,
}

impl Turn {
    /// The first turn of a task where so many bytes are to be had at most: the first way that fits.
    pub(super) fn first(task: Task, largest: u64) -> Self {
        let fits = task.ways.iter().position(|way| way.bytes <= largest);
        let way = fits.unwrap_or(task.ways.len().saturating_sub(1));
        Self { task, way, alone: false }
    }

    /// The turn of a task that was started with its batch in so many parts.
    pub(super) fn started(task: Task, accumulate: u32, alone: bool) -> Self {
        let way = task.ways.iter().position(|way| way.accumulate == accumulate).unwrap_or(0);
        Self { task, way, alone }
    }

    /// How the batch is dealt, and what that needs.
    pub(super) fn way(&self) -> Way {
        self.task.ways.get(self.way).copied().unwrap_or(Way { accumulate: 1, bytes: 0 })
    }

    /// The turn after one that memory did not suffice for: the next way, the last of them alone; `None` where that was it.
    pub(super) fn next(&self) -> Option<Self> {
        let last = self.task.ways.len().saturating_sub(1);
        let task = self.task.clone();
        if self.way < last {
            return Some(Self { task, way: self.way + 1, alone: self.way + 1 == last });
        }
        (!self.alone).then_some(Self { task, way: last, alone: true })
    }
}

/// Chains of which no task is running, the one with most work first.
#[derive(Debug)]
pub(super) struct Waiting {
    chains: Vec<Chain>,
}

impl Chain {
    /// The shortest task first.
    fn of(mut tasks: Vec<Task>, largest: u64) -> Self {
        tasks.sort_by_key(|task| task.run.config.steps);
        let configs: Vec<RunConfig> = tasks.iter().map(|task| task.run.config.clone()).collect();
        let link = |task: Task| Link { seconds: own_seconds(&task, &configs), turn: Turn::first(task, largest) };
        Self { links: tasks.into_iter().map(link).collect() }
    }

    fn seconds(&self) -> f64 {
        self.links.iter().map(|link| link.seconds).sum()
    }

    /// Tasks not started yet.
    pub(super) fn len(&self) -> usize {
        self.links.len()
    }
}

impl Waiting {
    /// Sorts tasks into chains, where a task may need so many bytes at most.
    pub(super) fn of(tasks: Vec<Task>, largest: u64) -> Self {
        let (mut alone, mut trunks) = (Vec::new(), BTreeMap::<String, Vec<Task>>::new());
        for task in tasks {
            match task.run.config.trunk_id() {
                Some(trunk) => trunks.entry(trunk).or_default().push(task),
                None => alone.push(Chain::of(vec![task], largest)),
            }
        }
        let trunks = trunks.into_values().map(|tasks| Chain::of(tasks, largest));
        let mut waiting = Self { chains: trunks.chain(alone).collect() };
        waiting.sort();
        waiting
    }

    /// The turns of each chain, the chain with most work first: for a launcher that hands over all at once.
    pub(super) fn into_turns(self) -> Vec<Vec<Turn>> {
        let turns = |chain: Chain| chain.links.into_iter().map(|link| link.turn).collect();
        self.chains.into_iter().map(turns).collect()
    }

    /// Chains that could start a task now.
    pub(super) fn ready(&self) -> usize {
        self.chains.len()
    }

    /// Tasks in them.
    pub(super) fn tasks(&self) -> usize {
        self.chains.iter().map(Chain::len).sum()
    }

    /// The task of each chain that could start now, the next one first.
    pub(super) fn turns(&self) -> impl Iterator<Item = &Turn> {
        self.chains.iter().filter_map(|chain| chain.links.front()).map(|link| &link.turn)
    }

    /// The task at a place among [`Self::turns`], and what comes after it in its chain.
    pub(super) fn take(&mut self, place: usize) -> Option<(Turn, Chain)> {
        let mut chain = if place < self.chains.len() { self.chains.remove(place) } else { return None };
        let link = chain.links.pop_front()?;
        Some((link.turn, chain))
    }

    /// Takes back a task that is tried again before anything else, with what comes after it.
    pub(super) fn put_first(&mut self, turn: Turn, mut chain: Chain) {
        // So that it stays first when chains are sorted.
        chain.links.push_front(Link { turn, seconds: f64::INFINITY });
        self.chains.insert(0, chain);
    }

    /// Takes back a chain whose last started task has ended.
    pub(super) fn put_back(&mut self, chain: Chain) {
        if chain.len() > 0 {
            self.chains.push(chain);
            self.sort();
        }
    }

    fn sort(&mut self) {
        self.chains.sort_by(|one, two| two.seconds().total_cmp(&one.seconds()));
    }
}

fn own_seconds(task: &Task, chain: &[RunConfig]) -> f64 {
    let shared = shared_steps(&task.run.config, chain) as f64;
    task.estimated_seconds * (1.0 - shared / task.run.config.steps.max(1) as f64)
}
