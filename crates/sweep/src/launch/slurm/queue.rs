//! Slurm's own programs, asked.

use std::ffi::OsString;
use std::io;
use std::process::{Command, Stdio};

use super::SlurmError;
use super::job::{self, Job};

/// Tasks that an array may have where Slurm does not say: one more than the largest number of its default.
const LARGEST_ARRAY: usize = 1001;

/// What a launcher asks of a queue; tests put a stand-in in its place.
pub(super) trait Queue {
    /// Hands over an array; returns its number.
    fn submit(&self, arguments: &[OsString]) -> Result<String, SlurmError>;

    /// The jobs of these names that are in the queue, or lately were.
    fn jobs(&self, names: &[&str]) -> Result<Vec<Job>, SlurmError>;

    /// Ends arrays.
    fn cancel(&self, arrays: &[String]) -> Result<(), SlurmError>;

    /// CPUs of the smallest node of a partition, of each card where a run has one; `None` where that is not known.
    fn cpus(&self, partition: Option<&str>, with_card: bool) -> Option<usize>;

    /// Tasks that an array may have.
    fn largest_array(&self) -> usize;
}

/// The programs on `PATH`.
pub(super) struct Programs;

impl Queue for Programs {
    fn submit(&self, arguments: &[OsString]) -> Result<String, SlurmError> {
        let printed = match ask("sbatch", arguments)? {
            Ok(printed) => printed,
            Err(words) => return Err(SlurmError::Refused { hint: refusal_hint(&words), words }),
        };
        let silent =
            || SlurmError::Silent { program: "sbatch", words: format!("no number of a job in `{}`", printed.trim()) };
        job::submitted(&printed).ok_or_else(silent)
    }

    fn jobs(&self, names: &[&str]) -> Result<Vec<Job>, SlurmError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let name = format!("--name={}", names.join(","));
        let format = format!("--format={}", job::FORMAT);
        let printed = answer("squeue", &["--noheader", "--array", "--states=all", &name, &format])?;
        Ok(job::jobs(&printed))
    }

    fn cancel(&self, arrays: &[String]) -> Result<(), SlurmError> {
        let arrays: Vec<&str> = arrays.iter().map(String::as_str).collect();
        answer("scancel", &arrays).map(|_| ())
    }

    fn cpus(&self, partition: Option<&str>, with_card: bool) -> Option<usize> {
        let printed = answer("sinfo", &["--noheader", &format!("--format={}", job::NODE_FORMAT)]).ok()?;
        job::cpus(&printed, partition, with_card)
    }

    fn largest_array(&self) -> usize {
        let printed = answer("scontrol", &["show", "config"]).unwrap_or_default();
        job::largest_array(&printed).unwrap_or(LARGEST_ARRAY)
    }
}

/// What a program prints, or its words where it fails.
fn ask(program: &'static str, arguments: &[OsString]) -> Result<Result<String, String>, SlurmError> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    // Slurm's words in one form, and about all jobs, whatever a person has set for reading them.
    for (variable, _) in std::env::vars_os().filter(|(name, _)| is_for_reading(&name.to_string_lossy())) {
        command.env_remove(variable);
    }
    apart(&mut command);
    let output = command.output().map_err(|cause| match cause.kind() {
        io::ErrorKind::NotFound => SlurmError::Missing { program },
        _ => SlurmError::Silent { program, words: cause.to_string() },
    })?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ok(if output.status.success() { Ok(text(&output.stdout)) } else { Err(said(&text(&output.stderr), output.status)) })
}

/// Whether a variable changes what Slurm's programs print or whom they ask, but not what a job is.
fn is_for_reading(variable: &str) -> bool {
    ["SQUEUE_", "SCANCEL_", "SINFO_"].iter().any(|prefix| variable.starts_with(prefix))
        || ["SBATCH_WAIT", "SBATCH_CLUSTERS"].contains(&variable)
}

/// A failed program's words without its name before each line; how it ended where it said nothing.
fn said(stderr: &str, status: std::process::ExitStatus) -> String {
    let line = |line: &str| line.split_once("error: ").map_or(line, |(_, words)| words).trim().to_owned();
    let lines: Vec<String> = stderr.lines().map(line).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() { status.to_string() } else { lines.join("; ") }
}

fn answer(program: &'static str, arguments: &[&str]) -> Result<String, SlurmError> {
    let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
    ask(program, &arguments)?.map_err(|words| SlurmError::Silent { program, words })
}

/// Keeps a key pressed to interrupt us from ending the program in the middle of a submission.
#[cfg(unix)]
fn apart(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

#[cfg(not(unix))]
fn apart(_command: &mut Command) {}

fn refusal_hint(words: &str) -> &'static str {
    let lower = words.to_lowercase();
    let says = |part: &str| lower.contains(part);
    if says("account") || says("qos") {
        "`sacctmgr show associations user=$USER` lists your accounts; --slurm-args \"--account=NAME\" names one"
    } else if says("partition") {
        "`sinfo` lists the partitions; --slurm-args \"--partition=NAME\" names one"
    } else if says("contact") || says("timed out") || says("configuration") {
        "see whether Slurm answers (`scontrol ping`), then give the same command again"
    } else {
        "--slurm-args is handed to sbatch as it stands; `man sbatch` says what it may hold"
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    #[test]
    fn words_of_a_program_are_told_without_its_name_and_on_one_line() {
        let printed = "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid \
                       partition name specified";
        let words = said(printed, ExitStatus::from_raw(1 << 8));
        assert_eq!(
            words,
            "invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"
        );
        assert!(refusal_hint(&words).contains("sinfo"));
        assert_eq!(said("", ExitStatus::from_raw(1 << 8)), "exit status: 1");
    }

    #[test]
    fn what_a_person_has_set_for_reading_the_queue_hides_no_job_from_a_launcher() {
        for variable in ["SQUEUE_PARTITION", "SQUEUE_FORMAT2", "SCANCEL_STATE", "SINFO_FORMAT", "SBATCH_CLUSTERS"] {
            assert!(is_for_reading(variable), "{variable}");
        }
        for variable in ["SBATCH_PARTITION", "SBATCH_WAIT_ALL_NODES", "SLURM_CONF", "SLURM_CLUSTERS", "PATH"] {
            assert!(!is_for_reading(variable), "{variable}");
        }
    }

    #[test]
    fn each_kind_of_refusal_has_a_way_out() {
        let hints =
            ["Invalid account or account/partition combination", "Invalid qos specification", "Socket timed out", "?"];
        let ways = hints.map(refusal_hint);
        assert!(ways[..2].iter().all(|way| way.contains("sacctmgr")) && ways[2].contains("ping"), "{ways:?}");
        assert!(ways[3].contains("man sbatch"), "{ways:?}");
    }
}
