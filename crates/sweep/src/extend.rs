//! A spec with more runs: what a design comes to, as a `sweep.toml`.
//!
//! The sweep stays as it is, its target with it, and runs are added: as seeds of a rung or an entry that is there, as a rung
//! of their own where they lie on the path, as `[[off_path]]` else. Comments of the first spec are not carried over. Paths
//! of the corpus are made absolute where they lead anywhere, because the file need not lie where the first one does.

use std::path::{Component, Path, PathBuf};

use toml::{Table, Value};

use crate::spec::{Horizon, OffPath, Rung, SpecError, SweepSpec, located};

/// Runs to add.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Addition {
    /// Their width.
    pub width: u32,
    /// D / N.
    pub tokens_per_param: f64,
    /// How many, each with a seed of its own.
    pub seeds: u64,
    /// Whether they lie on the compute-optimal path.
    pub on_path: bool,
}

/// Ratios this close are one: names show three digits.
const SAME: f64 = 0.005;

/// The text of a spec with these runs added.
///
/// # Errors
///
/// [`SpecError`] when the spec's file can no longer be read as it was.
pub fn extended(spec: &SweepSpec, additions: &[Addition], note: &str) -> Result<String, SpecError> {
    let text = std::fs::read_to_string(spec.path()).map_err(|error| SpecError {
        place: format!("`{}`", spec.path().display()),
        problem: format!("it cannot be read again: {error}"),
        hint: "put the file back".to_owned(),
    })?;
    let mut table: Table = toml::from_str(&text).map_err(|error| located(spec.path(), &text, &error))?;
    let (mut rungs, mut off_path) = (spec.rungs().to_vec(), spec.off_path().to_vec());
    for addition in additions {
        add(&mut rungs, &mut off_path, *addition, spec.target().map(|target| target.width));
    }
    rungs.sort_by_key(|rung| rung.width);
    table.insert("ladder".to_owned(), Value::Table(ladder(&rungs)));
    table.insert("off_path".to_owned(), Value::Array(off_path.iter().map(entry).collect()));
    if let Some(Value::Table(corpus)) = table.get_mut("corpus") {
        anchor(corpus, spec.folder());
    }
    let note: String = note.lines().map(|line| format!("# {line}\n")).collect();
    let body = toml::to_string(&table).map_err(|error| SpecError {
        place: format!("`{}`", spec.path().display()),
        problem: format!("it cannot be written anew: {error}"),
        hint: "add the runs by hand".to_owned(),
    })?;
    Ok(format!("{note}\n{body}"))
}

fn is_same(a: f64, b: f64) -> bool {
    (a / b - 1.0).abs() < SAME
}

fn add(rungs: &mut Vec<Rung>, off_path: &mut Vec<OffPath>, addition: Addition, target: Option<u32>) {
    let Addition { width, tokens_per_param, seeds, on_path } = addition;
    if let Some(rung) =
        rungs.iter_mut().find(|rung| rung.width == width && is_same(rung.tokens_per_param, tokens_per_param))
    {
        rung.seeds += seeds;
        return;
    }
    let is_horizon =
        |run: &OffPath| matches!(run.horizon, Horizon::TokensPerParam(own) if is_same(own, tokens_per_param));
    if let Some(run) = off_path.iter_mut().find(|run| run.width == width && is_horizon(run)) {
        run.seeds += seeds;
        return;
    }
    if on_path && target != Some(width) && rungs.iter().all(|rung| rung.width != width) {
        rungs.push(Rung { width, tokens_per_param, seeds });
    } else {
        off_path.push(OffPath { width, horizon: Horizon::TokensPerParam(tokens_per_param), seeds });
    }
}

fn ladder(rungs: &[Rung]) -> Table {
    let list = |of: fn(&Rung) -> Value| Value::Array(rungs.iter().map(of).collect());
    Table::from_iter([
        ("widths".to_owned(), list(|rung| Value::Integer(rung.width.into()))),
        ("tokens_per_param".to_owned(), list(|rung| Value::Float(rung.tokens_per_param))),
        ("seeds".to_owned(), list(|rung| Value::Integer(rung.seeds.try_into().unwrap_or(i64::MAX)))),
    ])
}

fn entry(run: &OffPath) -> Value {
    let horizon = match run.horizon {
        Horizon::TokensPerParam(ratio) => ("tokens_per_param".to_owned(), Value::Float(ratio)),
        Horizon::ComputeOf(width) => ("at_compute_of".to_owned(), Value::Integer(width.into())),
    };
    let seeds = ("seeds".to_owned(), Value::Integer(run.seeds.try_into().unwrap_or(i64::MAX)));
    Value::Table(Table::from_iter([("width".to_owned(), Value::Integer(run.width.into())), horizon, seeds]))
}

/// Keys of `[corpus]` and `[corpus.tokenizer]` that hold a path or a list of them.
const PATHS: [&str; 6] = ["paths", "lock", "train", "validation", "tokenizer", "path"];

/// Whether there is something at a path in a folder, or in what stands before its first wildcard; a pattern without such a
/// part is one of the folder itself.
fn leads_somewhere(folder: &Path, path: &str) -> bool {
    let is_plain = |part: &Component| !part.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']);
    let plain: PathBuf = Path::new(path).components().take_while(is_plain).collect();
    if plain.as_os_str().is_empty() { has_match(folder, path) } else { folder.join(plain).exists() }
}

/// Whether a folder holds a file with the ending that a pattern asks for.
fn has_match(folder: &Path, pattern: &str) -> bool {
    let ending = Path::new(pattern).extension();
    let files = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    files.map(|file| file.path()).any(|file| file.is_file() && file.extension() == ending)
}

/// Makes the paths of a corpus absolute, where there is something at them: a committed spec without its corpus beside it is
/// meant for the folder that it came from, and keeps its paths.
fn anchor(corpus: &mut Table, folder: &Path) {
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let anchored = |text: &mut String| {
        if leads_somewhere(&folder, text) {
            *text = folder.join(&*text).display().to_string();
        }
    };
    for key in PATHS {
        match corpus.get_mut(key) {
            Some(Value::String(text)) => anchored(text),
            Some(Value::Array(list)) => list.iter_mut().for_each(|value| {
                if let Value::String(text) = value {
                    anchored(text);
                }
            }),
            Some(Value::Table(inner)) => anchor(inner, &folder),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SweepSpec;
    use crate::template;

    fn spec(folder: &Path) -> SweepSpec {
        let path = folder.join("sweep.toml");
        let text = template::template("smoke", folder).expect("a template");
        std::fs::write(&path, text).expect("written");
        SweepSpec::load(&path).expect("a spec")
    }

    #[test]
    fn added_runs_are_seeds_rungs_or_off_path_runs_and_the_rest_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = spec(folder.path());
        let rung = first.rungs()[0].clone();
        let free = first.rungs().last().expect("rungs").width + first.model().head_size;
        let at = |width, tokens_per_param, seeds, on_path| Addition { width, tokens_per_param, seeds, on_path };
        let additions = [
            at(rung.width, rung.tokens_per_param, 2, true),
            at(free, rung.tokens_per_param, 1, true),
            at(free, 4.0 * rung.tokens_per_param, 3, false),
        ];
        let text = extended(&first, &additions, "why\nso").expect("a text");
        assert!(text.starts_with("# why\n# so\n"), "{text}");
        let found = SweepSpec::parse(first.path(), &text).expect("a spec");
        assert_eq!(found.rungs()[0].seeds, rung.seeds + 2);
        assert_eq!(found.rungs().len(), first.rungs().len() + 1);
        assert_eq!(found.off_path().len(), first.off_path().len() + 1);
        let last = found.off_path().last().expect("a run");
        assert_eq!((last.width, last.seeds), (free, 3));
        assert_eq!(
            (found.target(), found.training(), found.corpus()),
            (first.target(), first.training(), first.corpus())
        );
    }

    #[test]
    fn paths_of_a_corpus_start_where_the_first_spec_lies() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("text")).expect("a folder");
        std::fs::write(folder.path().join("t.json"), "{}").expect("a file");
        let text = "paths = [\"text/*.txt\", \"/abs\"]\nlock = \"corpus.lock\"\n[tokenizer]\nkind = \"file\"\npath = \"t.json\"\n";
        let mut corpus: Table = toml::from_str(text).expect("TOML");
        anchor(&mut corpus, folder.path());
        let at = |name: &str| Value::String(folder.path().join(name).display().to_string());
        assert_eq!(corpus["paths"], Value::Array(vec![at("text/*.txt"), Value::String("/abs".to_owned())]));
        assert_eq!(corpus["tokenizer"]["path"], at("t.json"));
        // A committed spec has its corpus elsewhere: its paths are those of the folder that it came from.
        assert_eq!(corpus["lock"], Value::String("corpus.lock".to_owned()));
    }
}
