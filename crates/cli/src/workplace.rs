//! A sweep opened for work: its spec, its corpus, its plan and its store.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use forescale_core::outcome::{REGISTRATION_SCHEMA, Registration};
use forescale_core::problem::Problem;
use forescale_core::run::PlannedRun;
use forescale_corpus::{BuildRequest, BuiltCorpus};
use forescale_fit::LawName;
use forescale_sweep::{Plan, Store, SweepSpec};

use crate::output;

/// A sweep and all that belongs to it.
pub(crate) struct Workplace {
    pub(crate) spec: SweepSpec,
    pub(crate) store: Store,
    pub(crate) corpus: Option<BuiltCorpus>,
    pub(crate) plan: Plan,
}

impl Workplace {
    /// Opens a sweep with its corpus if that is built; run ids are provisional if it is not.
    pub(crate) fn open(sweep: &Path) -> anyhow::Result<Self> {
        let spec = load(sweep)?;
        let corpus = forescale_corpus::locate(&request(&spec, &forescale_corpus::default_cache()))?;
        Self::with_corpus(spec, corpus)
    }

    /// Opens a sweep, building its corpus first where it is missing.
    pub(crate) fn building(spec: SweepSpec) -> anyhow::Result<Self> {
        // A spec that cannot be planned is refused before minutes go into its corpus.
        forescale_sweep::plan(&spec, None)?;
        let corpus = build_corpus(&spec)?;
        Self::with_corpus(spec, Some(corpus))
    }

    /// Opens a sweep whose corpus must be there.
    pub(crate) fn open_built(sweep: &Path) -> anyhow::Result<Self> {
        let spec = load(sweep)?;
        let corpus = find_corpus(&spec)?;
        Self::with_corpus(spec, Some(corpus))
    }

    fn with_corpus(spec: SweepSpec, corpus: Option<BuiltCorpus>) -> anyhow::Result<Self> {
        let plan = forescale_sweep::plan(&spec, corpus.as_ref().map(|built| &built.manifest))?;
        let store = Store::open(spec.folder())?;
        Ok(Self { spec, store, corpus, plan })
    }

    /// The corpus of a workplace opened with [`Self::open_built`] or [`Self::building`].
    pub(crate) fn built(&self) -> &BuiltCorpus {
        self.corpus.as_ref().expect("opened with its corpus")
    }

    /// The problems that runs of this sweep are judged on; none before the corpus is built.
    pub(crate) fn problems(&self) -> anyhow::Result<Vec<Problem>> {
        match &self.corpus {
            Some(built) if self.spec.evaluation().tasks.is_some() => Ok(forescale_corpus::problems(built)?),
            _ => Ok(Vec::new()),
        }
    }

    /// The folder that results are written to.
    pub(crate) fn out(&self) -> PathBuf {
        self.spec.folder().join("out")
    }

    /// A planned run by id or name.
    pub(crate) fn find(&self, wanted: &str) -> anyhow::Result<&PlannedRun> {
        self.plan.find(wanted).with_context(|| {
            let path = self.spec.path().display();
            format!("`{path}` plans no run `{wanted}`\n\nhint: forescale plan {}", self.spec.folder().display())
        })
    }

    /// Where the registration of the target lies.
    pub(crate) fn registration_path(&self, target: &PlannedRun) -> PathBuf {
        self.out().join("registrations").join(format!("{}.json", target.id))
    }

    /// The registration of a run, verified, if there is one.
    pub(crate) fn registration(&self, run: &PlannedRun) -> anyhow::Result<Option<Registration>> {
        let path = self.registration_path(run);
        // Opened, a folder on a file system shared by machines is looked at anew: the file may be seconds old.
        for folder in [self.out(), self.out().join("registrations")] {
            let _ = std::fs::read_dir(folder);
        }
        if path.is_file() { read_registration(&path).map(Some) } else { Ok(None) }
    }
}

/// Reads a registration and checks its seal.
pub(crate) fn read_registration(path: &Path) -> anyhow::Result<Registration> {
    let registration: Registration = read_document(path, REGISTRATION_SCHEMA)?;
    forescale_fit::verify(&registration).with_context(|| format!("`{}`", path.display()))?;
    Ok(registration)
}

/// Reads a JSON document.
pub(crate) fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = std::fs::read(path).map_err(|cause| {
        anyhow!(
            "`{}` cannot be read: {cause}\n\nhint: look for a slip in its name, and whether it may be read",
            path.display()
        )
    })?;
    serde_json::from_slice(&bytes).map_err(|cause| {
        let place = path.display();
        anyhow!(
            "`{place}` is not the JSON it should be: {cause}\n\nhint: compare it with what the README or `forescale schema` shows"
        )
    })
}

/// Reads a JSON document of ours, whose version must be one that this program knows.
pub(crate) fn read_document<T: serde::de::DeserializeOwned>(path: &Path, schema: &str) -> anyhow::Result<T> {
    document(read_json(path)?, schema, &path.display().to_string())
}

/// A JSON document of ours from its place, whose version must be one that this program knows.
pub(crate) fn document<T: serde::de::DeserializeOwned>(
    value: serde_json::Value,
    schema: &str,
    place: &str,
) -> anyhow::Result<T> {
    let found = value.get("schema").and_then(serde_json::Value::as_str).unwrap_or("no schema at all");
    let of = |name: &str| name.split_once('/').map(|(kind, version)| (kind.to_owned(), version.to_owned()));
    let major = |version: &str| version.split('.').next().and_then(|digits| digits.parse::<u32>().ok());
    match (of(found), of(schema)) {
        (Some((kind, version)), Some((wanted, ours))) if kind == wanted && major(&version) == major(&ours) => {}
        _ => bail!(
            "`{place}` is `{found}`; this program reads `{schema}`\n\n\
             hint: use the Forescale that wrote it, or write it anew with this one"
        ),
    }
    serde_json::from_value(value).map_err(|cause| {
        anyhow!("`{place}` says it is `{schema}`, but is not: {cause}\n\nhint: take the file back from version control")
    })
}

/// Writes a JSON document, whole or not at all.
pub(crate) fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("`{}` cannot be made", folder.display()))?;
    }
    Ok(forescale_sweep::write_atomically(path, text.as_bytes())?)
}

/// Loads a spec; a law it names that does not exist is refused here, before anything is trained.
pub(crate) fn load(sweep: &Path) -> anyhow::Result<SweepSpec> {
    let spec = SweepSpec::load(sweep)?;
    for name in &spec.forecast().laws {
        name.parse::<LawName>().with_context(|| format!("`{}`: `forecast.laws`", spec.path().display()))?;
    }
    Ok(spec)
}

/// What a place must take to be worth starting in: about the checkpoint of a small run. Chosen here, so that a full disk
/// is found in the first second and not by every run in turn.
const PROBE_BYTES: usize = 1 << 20;

/// Takes a sweep for one `run`, and finds out before any training whether runs and results can be kept; the sweep is
/// let go of when the file is dropped.
pub(crate) fn take(spec: &SweepSpec) -> anyhow::Result<File> {
    for name in ["runs", "out"] {
        let probe = spec.folder().join(name).join(".probe");
        forescale_sweep::write_atomically(&probe, &[0; PROBE_BYTES])?;
        std::fs::remove_file(&probe).with_context(|| format!("`{}` cannot be removed", probe.display()))?;
    }
    let path = spec.folder().join("runs").join(".lock");
    let lock = File::create(&path).with_context(|| format!("`{}` cannot be made", path.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => {
            let folder = spec.folder().display();
            bail!("`{folder}` is being run already\n\nhint: forescale status {folder} --watch")
        }
        Err(TryLockError::Error(cause)) => Err(cause).with_context(|| format!("`{}` cannot be locked", path.display())),
    }
}

fn request<'a>(spec: &'a SweepSpec, cache: &'a Path) -> BuildRequest<'a> {
    BuildRequest { spec: spec.corpus(), spec_dir: spec.folder(), cache }
}

/// The corpus of a spec, which must be built.
pub(crate) fn find_corpus(spec: &SweepSpec) -> anyhow::Result<BuiltCorpus> {
    let built = forescale_corpus::locate(&request(spec, &forescale_corpus::default_cache()))?;
    built.with_context(|| {
        let (path, folder) = (spec.path().display(), spec.folder().display());
        format!("`{path}`: its corpus is not built\n\nhint: forescale corpus build {folder}")
    })
}

/// Builds the corpus of a spec, or finds it built.
pub(crate) fn build_corpus(spec: &SweepSpec) -> anyhow::Result<BuiltCorpus> {
    let cache = forescale_corpus::default_cache();
    let request = request(spec, &cache);
    if let Some(built) = forescale_corpus::locate(&request)? {
        return Ok(built);
    }
    let mut stage = "";
    let built = forescale_corpus::build(&request, &mut |progress| {
        if progress.stage != stage {
            stage = progress.stage;
            output::say(&format!("corpus: {stage}"));
        }
    })?;
    Ok(built)
}
