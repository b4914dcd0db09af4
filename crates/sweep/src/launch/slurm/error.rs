//! What goes wrong with Slurm, in words that say what to do.

use thiserror::Error;

/// Slurm cannot be asked, refuses, or was not waited for.
#[derive(Debug, Error)]
pub enum SlurmError {
    /// One of Slurm's programs is not there.
    #[error(
        "`{program}` is not on `PATH`\n\nhint: give the command where jobs are submitted (there may be a `module load slurm`), or --launcher local"
    )]
    Missing {
        /// The program.
        program: &'static str,
    },
    /// `sbatch` does not take a job.
    #[error("sbatch refuses the runs: {words}\n\nhint: {hint}")]
    Refused {
        /// What it said.
        words: String,
        /// What to do.
        hint: &'static str,
    },
    /// A program of Slurm's gives no answer that can be used.
    #[error(
        "`{program}` gives no answer: {words}\n\nhint: see `scontrol ping`; jobs that were submitted go on, and the same command finds them"
    )]
    Silent {
        /// The program.
        program: &'static str,
        /// What it said.
        words: String,
    },
    /// An argument for `sbatch` that the launcher gives itself.
    #[error("`{argument}` among the arguments for sbatch is given by forescale itself\n\nhint: {hint}")]
    Reserved {
        /// The argument.
        argument: String,
        /// What to do.
        hint: &'static str,
    },
    /// Arguments in which a quotation does not end.
    #[error("`{text}`: a quotation does not end\n\nhint: --slurm-args '--partition=gpu --comment=\"two words\"'")]
    OpenQuote {
        /// The arguments as typed.
        text: String,
    },
    /// The launch was given up; its jobs were not.
    #[error(
        "not waited for: {runs} runs stay in Slurm's queue (job {jobs})\n\nhint: the same command waits for them again, `forescale cancel {sweep}` ends them"
    )]
    Interrupted {
        /// Runs without a record yet.
        runs: usize,
        /// Their jobs.
        jobs: String,
        /// The sweep's folder.
        sweep: String,
    },
}

impl SlurmError {
    /// Whether Slurm has plainly not taken what it was handed, and will not: its controller may take an array whose answer
    /// was not waited for.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Missing { .. } => true,
            Self::Refused { words, .. } => {
                let lower = words.to_lowercase();
                !["timed out", "contact", "communicat", "zero bytes", "receive failure"]
                    .iter()
                    .any(|part| lower.contains(part))
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_did_not_come_is_no_refusal() {
        let refused = |words: &str| SlurmError::Refused { words: words.to_owned(), hint: "" }.is_refusal();
        assert!(refused("invalid partition specified: nope") && SlurmError::Missing { program: "sbatch" }.is_refusal());
        for words in [
            "Batch job submission failed: Socket timed out on send/recv operation",
            "Batch job submission failed: Unable to contact slurm controller (connect failure)",
            "Batch job submission failed: Communication connection failure",
            "Batch job submission failed: Zero Bytes were transmitted or received",
        ] {
            assert!(!refused(words), "{words}");
        }
        assert!(!SlurmError::Silent { program: "sbatch", words: String::new() }.is_refusal());
    }
}
