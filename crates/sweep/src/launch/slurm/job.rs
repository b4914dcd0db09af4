//! What Slurm's programs print, read.

/// One task of an array in Slurm's queue, or that lately was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Name of the array.
    pub(super) name: String,
    /// Number of the array.
    pub(super) array: String,
    /// Its number within the array.
    pub(super) index: u32,
    pub(super) state: State,
    /// The node that it is or was on; empty before.
    pub(super) node: String,
    /// Why it waits or ended, in Slurm's words.
    pub(super) reason: String,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running,
    Ended(End),
}

/// How a job ended, as far as Slurm tells; what it did is told by its runs' records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Its script ended, well or not.
    Ended,
    Cancelled,
    TimeLimit,
    NodeLost,
    Preempted,
    OutOfMemory,
    /// Another way, in Slurm's word.
    Other(String),
}

/// Fields of a job, as `squeue --format` is asked for them.
pub(super) const FORMAT: &str = "%j|%F|%K|%T|%N|%r";

/// Reasons to wait that do not pass by themselves.
const LASTING: [&str; 26] = [
    "AssocMaxCpuPerJobLimit",
    "AssocMaxGRESPerJob",
    "AssocMaxMemPerJob",
    "AssocMaxNodePerJobLimit",
    "AssocMaxWallDurationPerJobLimit",
    "BadConstraints",
    "DependencyNeverSatisfied",
    "InvalidAccount",
    "InvalidQOS",
    "JobHeldAdmin",
    "JobHeldUser",
    "JobHoldMaxRequeue",
    "MaxMemPerLimit",
    "PartitionDown",
    "PartitionInactive",
    "PartitionNodeLimit",
    "PartitionTimeLimit",
    "QOSMaxCpuPerJobLimit",
    "QOSMaxGRESPerJob",
    "QOSMaxMemoryPerJob",
    "QOSMaxNodePerJobLimit",
    "QOSMaxWallDurationPerJobLimit",
    "QOSMinCpuNotSatisfied",
    "QOSMinGRES",
    "QOSNotAllowed",
    "ReservationDeleted",
];

impl Job {
    /// The number by which Slurm's programs know it.
    pub(super) fn id(&self) -> String {
        format!("{}_{}", self.array, self.index)
    }

    pub(super) fn is_live(&self) -> bool {
        !matches!(self.state, State::Ended(_))
    }

    /// Whether it waits for what does not come by itself.
    pub(super) fn is_stuck(&self) -> bool {
        let held = self.reason.contains("requeued held") || LASTING.contains(&self.reason.as_str());
        self.state == State::Waiting && held
    }

    /// What to do about a job that waits for what does not come by itself.
    pub(super) fn way_out(&self) -> String {
        let is = |word: &str| self.reason.contains(word);
        if ["Held", "held", "Hold"].into_iter().any(is) {
            format!("scontrol release {}", self.array)
        } else if is("Cpu") {
            format!(
                "forescale cancel, then --slurm-args \"--cpus-per-task=N\" with as many as the site allows; scontrol show job {}",
                self.array
            )
        } else {
            format!("scontrol show job {}", self.array)
        }
    }
}

/// Jobs from the lines of `squeue`; lines of other forms are passed over, for sites print notices of their own.
pub(super) fn jobs(printed: &str) -> Vec<Job> {
    printed.lines().filter_map(job).collect()
}

fn job(line: &str) -> Option<Job> {
    let fields: Vec<&str> = line.trim().splitn(6, '|').collect();
    let [name, array, index, state, node, reason] = fields[..] else { return None };
    Some(Job {
        name: name.to_owned(),
        array: array.to_owned(),
        index: index.parse().ok()?,
        state: state_of(state),
        node: node.to_owned(),
        reason: reason.trim_matches(['(', ')']).to_owned(),
    })
}

fn state_of(word: &str) -> State {
    let end = match word {
        "PENDING" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "RESV_DEL_HOLD" | "SPECIAL_EXIT" => {
            return State::Waiting;
        }
        "CONFIGURING" | "RUNNING" | "COMPLETING" | "RESIZING" | "SIGNALING" | "STAGE_OUT" | "STOPPED" | "SUSPENDED" => {
            return State::Running;
        }
        "COMPLETED" | "FAILED" => End::Ended,
        "CANCELLED" | "REVOKED" => End::Cancelled,
        "TIMEOUT" | "DEADLINE" => End::TimeLimit,
        "NODE_FAIL" | "BOOT_FAIL" => End::NodeLost,
        "PREEMPTED" => End::Preempted,
        "OUT_OF_MEMORY" => End::OutOfMemory,
        other => End::Other(other.to_owned()),
    };
    State::Ended(end)
}

/// The number of a job from what `sbatch --parsable` prints: `1234`, or `1234;cluster`.
pub(super) fn submitted(printed: &str) -> Option<String> {
    let number = printed.lines().last()?.split(';').next()?.trim();
    number.parse::<u64>().ok().map(|number| number.to_string())
}

/// Fields of a partition's nodes, as `sinfo --format` is asked for them.
pub(super) const NODE_FORMAT: &str = "%P|%c|%G";

/// CPUs for each card where a run has one, for each node where it has none, of the smallest node of a partition; of the
/// default partition where none is named.
pub(super) fn cpus(printed: &str, partition: Option<&str>, with_card: bool) -> Option<usize> {
    let node = |line: &str| {
        let fields: Vec<&str> = line.trim().splitn(3, '|').collect();
        let [name, cpus, gres] = fields[..] else { return None };
        let is_meant = partition.map_or(name.ends_with('*'), |wanted| name.trim_end_matches('*') == wanted);
        let cpus: usize = cpus.trim_end_matches('+').parse().ok().filter(|_| is_meant)?;
        match (with_card, cards(gres)) {
            (false, _) => Some(cpus),
            (true, 0) => None,
            (true, cards) => Some((cpus / cards).max(1)),
        }
    };
    printed.lines().filter_map(node).min()
}

/// Cards that a node's generic resources name: `gpu:h100:4(S:0-1),shard:8`.
fn cards(gres: &str) -> usize {
    let count = |one: &str| match one.split('(').next()?.split(':').collect::<Vec<_>>()[..] {
        ["gpu"] => Some(1),
        ["gpu", count] | ["gpu", _, count] => Some(count.parse().unwrap_or(1)),
        _ => None,
    };
    gres.split(',').filter_map(count).sum()
}

/// The number of tasks that an array may have, from `scontrol show config`.
pub(super) fn largest_array(printed: &str) -> Option<usize> {
    let value = |line: &str| line.trim().strip_prefix("MaxArraySize")?.split('=').nth(1)?.trim().parse().ok();
    printed.lines().find_map(value).filter(|&size: &usize| size > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(state: &str, reason: &str) -> Job {
        let printed = format!("forescale-smoke-ab12|41|3|{state}|n2|{reason}\n");
        jobs(&printed).pop().expect("a job")
    }

    #[test]
    fn a_line_of_squeue_is_one_task_of_an_array() {
        let printed = "site notice\nforescale-a|41|3|RUNNING|n2|None\nforescale-a|41|4|PENDING||(Resources)\n";
        let [running, waiting] = &jobs(printed)[..] else { panic!("two jobs") };
        assert_eq!((running.id().as_str(), &running.state, running.node.as_str()), ("41_3", &State::Running, "n2"));
        assert_eq!((waiting.id().as_str(), waiting.reason.as_str()), ("41_4", "Resources"));
        assert!(waiting.is_live() && !waiting.is_stuck());
    }

    #[test]
    fn a_job_that_is_no_array_is_none_of_ours() {
        assert!(jobs("forescale-a|41|N/A|RUNNING|n2|None").is_empty());
    }

    #[test]
    fn states_are_told_apart_by_what_a_launcher_does_about_them() {
        for (word, end) in [
            ("COMPLETED", End::Ended),
            ("FAILED", End::Ended),
            ("CANCELLED", End::Cancelled),
            ("TIMEOUT", End::TimeLimit),
            ("NODE_FAIL", End::NodeLost),
            ("PREEMPTED", End::Preempted),
            ("OUT_OF_MEMORY", End::OutOfMemory),
            ("LAUNCH_FAILED", End::Other("LAUNCH_FAILED".to_owned())),
        ] {
            assert_eq!(one(word, "None").state, State::Ended(end), "{word}");
        }
        for word in ["CONFIGURING", "COMPLETING", "SUSPENDED"] {
            assert_eq!(one(word, "None").state, State::Running, "{word}");
        }
    }

    #[test]
    fn what_does_not_pass_by_itself_is_stuck() {
        let ways = [
            ("JobHeldUser", "scontrol release"),
            ("JobHoldMaxRequeue", "scontrol release"),
            ("launch failed requeued held", "scontrol release"),
            ("PartitionTimeLimit", "scontrol show job"),
            ("QOSMaxMemoryPerJob", "scontrol show job"),
            ("AssocMaxCpuPerJobLimit", "--cpus-per-task=N"),
        ];
        for (reason, way) in ways {
            let job = one("PENDING", reason);
            assert!(job.is_stuck() && job.way_out().contains(way), "{reason}: {}", job.way_out());
        }
        for reason in ["Priority", "BeginTime", "ReqNodeNotAvail, UnavailableNodes:n3"] {
            assert!(!one("PENDING", reason).is_stuck(), "{reason}");
        }
        assert!(!one("RUNNING", "JobHeldUser").is_stuck());
    }

    #[test]
    fn the_number_of_a_job_is_read_with_and_without_its_cluster() {
        assert_eq!(submitted("1234\n").as_deref(), Some("1234"));
        assert_eq!(submitted("welcome\n1234;alps\n").as_deref(), Some("1234"));
        assert_eq!(submitted("Submitted batch job\n"), None);
        assert_eq!(submitted(""), None);
    }

    #[test]
    fn the_smallest_node_of_the_partition_says_how_many_cpus_there_are() {
        let printed = "main*|64|(null)\nmain*|48+|(null)\ngpu|96|gpu:h100:4(S:0-1),shard:8\nlogin|2|(null)\n";
        assert_eq!(cpus(printed, None, false), Some(48));
        assert_eq!(cpus(printed, Some("gpu"), false), Some(96));
        assert_eq!(cpus(printed, Some("gpu"), true), Some(24));
        assert_eq!(cpus(printed, None, true), None, "no node of it has a card");
        assert_eq!(cpus(printed, Some("other"), false), None);
    }

    #[test]
    fn cards_are_counted_over_their_kinds() {
        assert_eq!(cards("gpu:4"), 4);
        assert_eq!(cards("gpu:a100:2,gpu:h100:3(IDX:0-2)"), 5);
        assert_eq!(cards("gpu"), 1);
        assert_eq!(cards("(null)"), 0);
    }

    #[test]
    fn the_largest_array_is_read_from_the_configuration() {
        assert_eq!(largest_array("MaxArrayTasks = 5\nMaxArraySize            = 1001\n"), Some(1001));
        assert_eq!(largest_array("MaxArraySize = 0\n"), None);
        assert_eq!(largest_array(""), None);
    }
}
