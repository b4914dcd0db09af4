//! The script of an array's jobs, and the arguments that hand it over.
//!
//! The script holds all that its jobs do: Slurm keeps a copy of it from the moment of its submission, so that nothing done
//! to the sweep's folder afterwards changes which run a task of the array trains.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::super::chain::Turn;
use super::SlurmLauncher;
use super::arguments::{ask_for_card, without_memory};

/// What an array is.
pub(super) struct Batch<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// The turns of each of its tasks, one after another.
    pub(super) chains: &'a [Vec<Turn>],
    /// Whether each job has its node, and the node's memory, to itself.
    pub(super) alone: bool,
    /// CPUs of each job.
    pub(super) cpus: usize,
}

/// What every job begins with: it holds whether the node sees what it needs, and has its runs go on to their checkpoints when
/// it is told to end.
const PROLOGUE: &str = r#"set -u
need() {
    [ -e "$1" ] && return
    echo "error: \`$1\` is not there on node $(hostname)"
    echo
    echo "hint: sweep, program and corpus have to lie where all nodes see them; FORESCALE_CACHE says where corpora are kept"
    exit 2
}
# The runs themselves are told as well, and save their state.
stopped=
trap 'stopped=1' TERM
failed=0
threads=${SLURM_CPUS_PER_TASK:-1}
export RAYON_NUM_THREADS=$threads
train() {
    [ -z "$stopped" ] || return
    mkdir -p "$1" || { failed=1; return; }
    "$forescale" "${@:2}" --threads "$threads" </dev/null >/dev/null 2>"$1/stderr.log" || failed=1
}
"#;

/// The script of an array, whose runs lie in these folders.
pub(super) fn script(batch: &Batch<'_>, launcher: &SlurmLauncher, run_dir: impl Fn(&Turn) -> PathBuf) -> String {
    let mut lines = vec![
        "#!/bin/bash".to_owned(),
        format!(
            "# {}: one task of the array for each run, the branches of a trunk one after another in one.",
            batch.name
        ),
        format!("forescale={}", quoted(&launcher.executable)),
    ];
    lines.extend(launcher.environment.iter().map(|(name, value)| format!("export {name}={}", quoted(value))));
    lines.push(PROLOGUE.trim_end().to_owned());
    lines.push(format!("need {0}\ncd {0}", quoted(&launcher.folder)));
    lines.push("need \"$forescale\"".to_owned());
    lines.extend(launcher.needs.iter().map(|path| format!("need {}", quoted(path))));
    lines.push("case $SLURM_ARRAY_TASK_ID in".to_owned());
    for (index, chain) in batch.chains.iter().enumerate() {
        lines.push(format!("{index})"));
        lines.extend(chain.iter().map(|turn| format!("    train {}", words(turn, &run_dir(turn)))));
        lines.push("    ;;".to_owned());
    }
    lines.push("esac\nexit $failed\n".to_owned());
    lines.join("\n")
}

/// A run's folder and its arguments, as words of a shell.
fn words(turn: &Turn, folder: &Path) -> String {
    let arguments = turn.task.arguments.iter().map(|argument| quoted(Path::new(argument)));
    let parts = turn.way().accumulate;
    let dealt = (parts > 1).then(|| format!("--accumulate {parts}"));
    [quoted(folder)].into_iter().chain(arguments).chain(dealt).collect::<Vec<_>>().join(" ")
}

/// A word that a shell takes as it stands.
fn quoted(text: &Path) -> String {
    format!("'{}'", text.to_string_lossy().replace('\'', r"'\''"))
}

/// The arguments of `sbatch` before the script. A person's own come after those that they may overrule, and before those
/// that they may not.
pub(super) fn sbatch_arguments(batch: &Batch<'_>, launcher: &SlurmLauncher, log: &Path) -> Vec<OsString> {
    let mut words = vec!["--nodes=1".to_owned(), "--ntasks=1".to_owned(), format!("--cpus-per-task={}", batch.cpus)];
    words.push("--requeue".to_owned());
    if launcher.with_card {
        words.extend(ask_for_card(&launcher.arguments).map(str::to_owned));
    }
    if batch.alone {
        // `sbatch` takes one way alone of saying how much memory there is.
        words.extend(without_memory(&launcher.arguments));
        words.extend(["--exclusive".to_owned(), "--mem=0".to_owned()]);
    } else {
        words.extend(launcher.arguments.iter().cloned());
    }
    let most = launcher.jobs.map(|jobs| format!("%{jobs}")).unwrap_or_default();
    words.push(format!("--array=0-{}{most}", batch.chains.len().saturating_sub(1)));
    words.push(format!("--job-name={}", batch.name));
    // A percent sign begins a pattern of Slurm's.
    words.push(format!("--output={}_%a.log", log.to_string_lossy().replace('%', "%%")));
    words.extend(["--open-mode=append", "--parsable"].map(str::to_owned));
    words.into_iter().map(OsString::from).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::{Task, Way};
    use super::*;
    use crate::records::tests::planned;

    fn turn(seed: u64, accumulate: u32) -> Turn {
        let mut run = planned();
        run.config.seed = seed;
        run.name = format!("run-{seed}");
        let arguments = ["exec", "it's here", &run.name].map(OsString::from).to_vec();
        let ways = [1, 2].map(|accumulate| Way { accumulate, bytes: 0 }).to_vec();
        Turn::started(Task { run, arguments, ways, estimated_seconds: 1.0 }, accumulate, false)
    }

    fn launcher(arguments: &str) -> SlurmLauncher {
        SlurmLauncher {
            jobs: None,
            arguments: super::super::arguments(arguments).expect(arguments),
            environment: vec![("FORESCALE_CACHE".to_owned(), PathBuf::from("/big/my cache"))],
            needs: vec![PathBuf::from("/big/tokens.bin")],
            ..SlurmLauncher::new(PathBuf::from("/bin/forescale"), PathBuf::from("/home/lab"))
        }
    }

    fn batch(chains: &[Vec<Turn>]) -> Batch<'_> {
        Batch { name: "forescale-a-1", chains, alone: false, cpus: 3 }
    }

    fn arguments(batch: &Batch<'_>, launcher: &SlurmLauncher) -> Vec<String> {
        let words = sbatch_arguments(batch, launcher, Path::new("/home/lab/runs/slurm/forescale-a-1"));
        words.into_iter().map(|word| word.into_string().expect("UTF-8")).collect()
    }

    #[test]
    fn each_task_of_the_array_trains_its_chain_in_order() {
        let chains = [vec![turn(1, 1), turn(2, 2)], vec![turn(3, 1)]];
        let text = script(&batch(&chains), &launcher(""), |turn| PathBuf::from(format!("runs/{}", turn.task.run.name)));
        let cases = "case $SLURM_ARRAY_TASK_ID in\n\
                     0)\n    train 'runs/run-1' 'exec' 'it'\\''s here' 'run-1'\n    \
                     train 'runs/run-2' 'exec' 'it'\\''s here' 'run-2' --accumulate 2\n    ;;\n\
                     1)\n    train 'runs/run-3' 'exec' 'it'\\''s here' 'run-3'\n    ;;\nesac\nexit $failed\n";
        assert!(text.starts_with("#!/bin/bash\n") && text.ends_with(cases), "{text}");
        for line in [
            "forescale='/bin/forescale'",
            "export FORESCALE_CACHE='/big/my cache'",
            "need '/big/tokens.bin'",
            "cd '/home/lab'",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }

    #[test]
    fn a_persons_arguments_overrule_ours_where_they_may() {
        let chains = [vec![turn(1, 1)], vec![turn(2, 1)]];
        let words = arguments(&batch(&chains), &launcher("-c 8 --partition=gpu"));
        let at =
            |word: &str| words.iter().position(|found| found == word).unwrap_or_else(|| panic!("{word}: {words:?}"));
        assert!(at("--cpus-per-task=3") < at("-c") && at("--requeue") < at("-c"));
        assert!(at("--partition=gpu") < at("--array=0-1") && at("--partition=gpu") < at("--job-name=forescale-a-1"));
        assert!(!words.iter().any(|word| word.starts_with("--gres") || word == "--exclusive"));
    }

    #[test]
    fn a_card_is_asked_for_once() {
        let chains = [vec![turn(1, 1)]];
        let on_card = |more: &str| arguments(&batch(&chains), &SlurmLauncher { with_card: true, ..launcher(more) });
        assert!(on_card("").contains(&"--gres=gpu:1".to_owned()));
        let own = on_card("--gres=gpu:h100:1");
        assert_eq!(own.iter().filter(|word| word.starts_with("--gres")).count(), 1, "{own:?}");
    }

    #[test]
    fn a_job_alone_has_its_node_and_the_memory_of_it_whatever_a_person_asks_for_the_others() {
        let chains = [vec![turn(1, 2)]];
        for own in ["--mem=4G", "--mem-per-cpu=2G", "--mem-per-gpu 8G"] {
            let words = arguments(&Batch { alone: true, ..batch(&chains) }, &launcher(own));
            assert_eq!(Vec::from_iter(words.iter().filter(|word| word.starts_with("--mem"))), ["--mem=0"], "{own}");
            assert!(words.contains(&"--exclusive".to_owned()));
        }
    }

    #[test]
    fn jobs_cap_the_array_and_a_percent_sign_in_a_folder_is_no_pattern() {
        let chains = [vec![turn(1, 1)]];
        let capped = SlurmLauncher { jobs: Some(4), ..launcher("") };
        assert!(arguments(&batch(&chains), &capped).contains(&"--array=0-0%4".to_owned()));
        let words = sbatch_arguments(&batch(&chains), &capped, Path::new("/50%/x"));
        assert!(words.contains(&OsString::from("--output=/50%%/x_%a.log")), "{words:?}");
    }
}
