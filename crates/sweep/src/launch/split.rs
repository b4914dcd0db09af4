//! How cores are shared between runs.
//!
//! Small models use one core best: so runs first, threads second. Longest first packs them tightly; when fewer tasks
//! are left than cores are free, each gets its share of the cores, and the last alone all of them.

/// Threads for the next task, or `None` when it has to wait.
///
/// `free` cores are not in use, `waiting` tasks are not started (the next one included), `slots` more processes are
/// allowed.
pub(super) fn threads_for_next(free: usize, waiting: usize, slots: usize) -> Option<usize> {
    if free == 0 || waiting == 0 || slots == 0 {
        return None;
    }
    Some(free.div_ceil(waiting.min(slots)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Threads of the tasks that start at once on idle cores.
    fn start(cores: usize, tasks: usize, slots: usize) -> Vec<usize> {
        let (mut free, mut waiting, mut slots, mut given) = (cores, tasks, slots, Vec::new());
        while let Some(threads) = threads_for_next(free, waiting, slots) {
            given.push(threads);
            (free, waiting, slots) = (free - threads, waiting - 1, slots - 1);
        }
        given
    }

    #[test]
    fn with_many_tasks_each_core_has_one() {
        assert_eq!(start(2, 17, 2), [1, 1]);
        assert_eq!(start(4, 4, 4), [1, 1, 1, 1]);
    }

    #[test]
    fn a_task_alone_has_all_cores() {
        assert_eq!(start(2, 1, 2), [2]);
        assert_eq!(start(16, 1, 16), [16]);
    }

    #[test]
    fn few_tasks_share_all_cores() {
        assert_eq!(start(4, 3, 4), [2, 1, 1]);
        assert_eq!(start(8, 3, 8), [3, 3, 2]);
    }

    #[test]
    fn fewer_processes_than_cores_have_more_threads_each() {
        assert_eq!(start(8, 100, 2), [4, 4]);
    }

    #[test]
    fn without_cores_or_tasks_nothing_starts() {
        assert_eq!(start(0, 3, 2), Vec::<usize>::new());
        assert_eq!(start(2, 0, 2), Vec::<usize>::new());
    }
}
