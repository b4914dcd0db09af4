//! `forescale init`: a commented sweep.toml to start from.

use anyhow::{Context as _, bail};

use crate::args::InitArgs;
use crate::exit::Answer;
use crate::output;

pub(crate) fn run(args: &InitArgs) -> anyhow::Result<Answer> {
    let text = forescale_sweep::template(&args.template, &args.dir)?;
    let path = args.dir.join("sweep.toml");
    if path.exists() {
        bail!("`{}` exists already\n\nhint: choose another folder, or remove that file", path.display());
    }
    std::fs::create_dir_all(&args.dir).with_context(|| format!("`{}` cannot be made", args.dir.display()))?;
    forescale_sweep::write_atomically(&path, text.as_bytes())?;
    output::say(&format!("wrote {}", path.display()));
    output::say(&format!("next: edit it, then `forescale plan {0}` and `forescale run {0}`", args.dir.display()));
    Ok(Answer::Yes)
}
