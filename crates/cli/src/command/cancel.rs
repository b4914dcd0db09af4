//! `forescale cancel`: ends the jobs of a sweep that are in Slurm's queue.

use forescale_sweep::Store;
use forescale_sweep::launch::slurm;

use crate::args::CancelArgs;
use crate::exit::Answer;
use crate::output;
use crate::workplace;

pub(crate) fn run(args: &CancelArgs) -> anyhow::Result<Answer> {
    let spec = workplace::load(&args.sweep)?;
    let folder = spec.folder().display();
    let arrays = slurm::cancel(&Store::open(spec.folder())?)?;
    if arrays.is_empty() {
        output::say(&format!("`{folder}` has no jobs in Slurm's queue; a `run` on this machine ends with Ctrl-C"));
    } else {
        output::say(&format!("cancelled: job {}; its runs go on from their checkpoints", arrays.join(", ")));
    }
    Ok(Answer::Yes)
}
