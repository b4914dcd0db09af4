//! How a job ended that left a run without a record, in words that say what to do.

use super::job::{End, Job, State};

/// What is known of the end of a run's job.
pub(super) struct Ended<'a> {
    /// The job as it was last seen; none where it was never seen.
    pub(super) job: Option<&'a Job>,
    /// Its number.
    pub(super) id: &'a str,
    /// Steps that its run goes on from, and steps of the whole run; none where it has not begun.
    pub(super) steps: Option<(u64, u64)>,
    /// Whether the job, or its run, left any words.
    pub(super) has_words: bool,
}

/// How the job ended, and what to do.
pub(super) struct Verdict {
    pub(super) exit: String,
    pub(super) hint: String,
}

impl Ended<'_> {
    fn end(&self) -> Option<&End> {
        match &self.job?.state {
            State::Ended(end) => Some(end),
            State::Waiting | State::Running => None,
        }
    }

    fn node(&self) -> Option<&str> {
        self.job.map(|job| job.node.as_str()).filter(|node| !node.is_empty())
    }

    /// What the same command will do.
    fn again(&self) -> String {
        match self.steps {
            Some((step, _)) if step > 0 => "the same command goes on from its last checkpoint".to_owned(),
            _ => "the same command submits it again".to_owned(),
        }
    }

    fn how_far(&self) -> String {
        self.steps.map(|(step, steps)| format!(" at step {step} of {steps}")).unwrap_or_default()
    }
}

/// Words for the end of a job.
pub(super) fn verdict(ended: &Ended<'_>) -> Verdict {
    let (id, again, far) = (ended.id, ended.again(), ended.how_far());
    let on = ended.node().map(|node| format!(" on node {node}")).unwrap_or_default();
    let say = |exit: String, hint: String| Verdict { exit, hint };
    match ended.end() {
        Some(End::TimeLimit) => say(
            format!("job {id} came to its time limit{far}"),
            format!("{again}; --slurm-args \"--time=HH:MM:SS\" gives it more"),
        ),
        Some(End::Cancelled) => say(format!("job {id} was cancelled{far}"), again),
        Some(End::NodeLost) => say(
            format!("job {id} lost its node{}{far}", ended.node().map(|node| format!(" {node}")).unwrap_or_default()),
            format!("{again}; --slurm-args \"--exclude=NODE\" keeps off a node"),
        ),
        Some(End::OutOfMemory) => say(
            format!("job {id} was ended for want of memory{far}"),
            "--slurm-args \"--mem=16G\" asks for more, for each job".to_owned(),
        ),
        Some(End::Preempted) => say(format!("job {id} made way for another{far}"), again),
        Some(End::Ended) | None if !ended.has_words => say(
            format!("job {id}{on} left no word in the sweep's folder"),
            "the folder has to lie where all nodes see it, and take files from them".to_owned(),
        ),
        Some(End::Ended) => say(format!("job {id}{on} ended without a record{far}"), again),
        Some(End::Other(word)) => say(format!("job {id}{on} ended as {word}{far}"), again),
        None => say(format!("job {id} left the queue without a record{far}"), again),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(state: State) -> Job {
        Job {
            name: "forescale-a".to_owned(),
            array: "41".to_owned(),
            index: 3,
            state,
            node: "n2".to_owned(),
            reason: "None".to_owned(),
        }
    }

    fn of(end: Option<End>, steps: Option<(u64, u64)>, has_words: bool) -> (String, String) {
        let job = end.map(|end| job(State::Ended(end)));
        let Verdict { exit, hint } = verdict(&Ended { job: job.as_ref(), id: "41_3", steps, has_words });
        (exit, hint)
    }

    #[test]
    fn a_time_limit_says_how_far_the_run_came_and_how_to_give_it_more() {
        let (exit, hint) = of(Some(End::TimeLimit), Some((120, 400)), true);
        assert_eq!(exit, "job 41_3 came to its time limit at step 120 of 400");
        assert!(
            hint.starts_with("the same command goes on from its last checkpoint") && hint.contains("--time="),
            "{hint}"
        );
    }

    #[test]
    fn a_job_cancelled_before_it_began_is_submitted_again() {
        let (exit, hint) = of(Some(End::Cancelled), None, false);
        assert_eq!((exit.as_str(), hint.as_str()), ("job 41_3 was cancelled", "the same command submits it again"));
    }

    #[test]
    fn a_lost_node_is_named() {
        let (exit, hint) = of(Some(End::NodeLost), Some((0, 400)), true);
        assert_eq!(exit, "job 41_3 lost its node n2 at step 0 of 400");
        assert!(hint.contains("--exclude="), "{hint}");
    }

    #[test]
    fn a_job_without_any_words_was_where_the_folder_is_not() {
        let (exit, hint) = of(Some(End::Ended), None, false);
        assert_eq!(exit, "job 41_3 on node n2 left no word in the sweep's folder");
        assert!(hint.contains("where all nodes see it"), "{hint}");
        assert!(of(None, None, false).0.starts_with("job 41_3 left no word"));
    }

    #[test]
    fn other_ends_are_told_in_slurms_word() {
        assert_eq!(
            of(Some(End::Other("LAUNCH_FAILED".to_owned())), None, true).0,
            "job 41_3 on node n2 ended as LAUNCH_FAILED"
        );
        assert_eq!(of(None, None, true).0, "job 41_3 left the queue without a record");
        assert_eq!(of(Some(End::Ended), None, true).0, "job 41_3 on node n2 ended without a record");
        assert!(of(Some(End::OutOfMemory), None, true).1.contains("--mem="));
    }
}
