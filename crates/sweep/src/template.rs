//! The commented specs that `init` writes.
//!
//! `smoke` and `zipf` are the sweeps of the repository themselves, so that they cannot fall behind it.

use std::path::Path;

use crate::nearest::{nearest, quoted_list};
use crate::spec::SpecError;

/// Names of the templates, the default first.
pub const NAMES: [&str; 3] = ["files", "zipf", "smoke"];

const FILES: &str = include_str!("templates/files.toml");
const ZIPF: &str = include_str!("../../../sweeps/zipf/sweep.toml");
const SMOKE: &str = include_str!("../../../sweeps/smoke/sweep.toml");

/// The text of a template, for the sweep in `folder`, whose name it takes.
///
/// # Errors
///
/// [`SpecError`] when there is no such template.
pub fn template(name: &str, folder: &Path) -> Result<String, SpecError> {
    let text = match name {
        "files" => FILES,
        "zipf" => ZIPF,
        "smoke" => SMOKE,
        _ => return Err(unknown(name)),
    };
    Ok(renamed(text, &sweep_name(folder)))
}

fn unknown(name: &str) -> SpecError {
    let meant = nearest(name, NAMES).map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    SpecError {
        place: "`--template`".to_owned(),
        problem: format!("there is no template `{name}`{meant}"),
        hint: format!("templates are {}", quoted_list(NAMES)),
    }
}

fn sweep_name(folder: &Path) -> String {
    let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let kept = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let name: String = name.chars().map(kept).collect();
    if name.is_empty() { "sweep".to_owned() } else { name }
}

fn renamed(text: &str, name: &str) -> String {
    let line =
        |line: &str| if line.starts_with("name = ") { format!("name = \"{name}\"\n") } else { format!("{line}\n") };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SweepSpec, plan};

    #[test]
    fn every_template_parses_plans_and_takes_the_folders_name() {
        for name in NAMES {
            let text = template(name, Path::new("sweeps/my sweep")).expect("a known template");
            let spec = SweepSpec::parse(Path::new("sweeps/my sweep/sweep.toml"), &text).expect(name);
            assert_eq!(spec.name(), "my-sweep");
            let plan = plan(&spec, None).expect(name);
            assert!(plan.target().is_some() && plan.ladder().count() >= 6, "{name}");
        }
    }

    #[test]
    fn a_misspelt_template_is_told_the_nearest() {
        let error = template("smoek", Path::new("x")).expect_err("no such template").to_string();
        assert!(error.contains("did you mean `smoke`?") && error.contains("hint: "), "{error}");
    }
}
