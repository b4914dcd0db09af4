use std::fs;
use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use forescale_core::corpus::TokenizerSpec;
use forescale_core::digest::sha256_hex;

use super::*;

/// A cargo home with small archives, a folder for the lock, and a cargo that is never to be called.
struct Fixture {
    home: CargoHome,
    folder: tempfile::TempDir,
    lines: String,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let home = CargoHome { folder: folder.path().join("home"), cargo: "no-such-cargo".into() };
        fs::create_dir_all(home.folder.join("registry/cache/some-mirror")).expect("folder");
        Self { home, folder, lines: String::new() }
    }

    fn archive_path(&self, name: &str) -> std::path::PathBuf {
        self.home.folder.join(format!("registry/cache/some-mirror/{name}-1.0.0.crate"))
    }

    fn with(mut self, name: &str, split: &str, files: &[(&str, &str)]) -> Self {
        let bytes = pack(name, files);
        self.lines += &format!("{name} 1.0.0 {} {split}\n", sha256_hex(&bytes));
        fs::write(self.archive_path(name), bytes).expect("archive");
        self
    }

    fn read(&self, max_train_bytes: Option<u64>) -> Result<Content, CorpusError> {
        fs::write(self.folder.path().join("corpus.lock"), &self.lines).expect("lock");
        let spec = RustCodeSpec { lock: "corpus.lock".into(), max_train_bytes, tokenizer: TokenizerSpec::default() };
        let whole = forescale_core::corpus::CorpusSpec::RustCode(spec.clone());
        let cache = self.folder.path().join("cache");
        let request = BuildRequest { spec: &whole, spec_dir: self.folder.path(), cache: &cache };
        RustCode(&spec).text_from(&self.home, &request, &mut |_| {}).map(Text::into_bytes)
    }
}

fn pack(name: &str, files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        let inner = Path::new(&format!("{name}-1.0.0")).join(path);
        archive.append_data(&mut header, inner, text.as_bytes()).expect("entry");
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&archive.into_inner().expect("archive")).expect("packed");
    encoder.finish().expect("packed")
}

#[test]
fn only_source_is_read_sorted_by_path_and_ended_by_zero() {
    let files = [("src/b.rs", "mod b;"), ("src/a.rs", "mod a;"), ("README.md", "no"), ("Cargo.toml", "[package]")];
    let content = Fixture::new().with("one", "train", &files).with("two", "validation", &[("lib.rs", "v")]).read(None);
    let content = content.expect("reads");
    assert_eq!(content.train.concat(), b"mod a;\0mod b;\0");
    assert_eq!(content.validation.len(), 1);
    assert_eq!((content.validation[0].cluster.as_str(), &content.validation[0].bytes[..]), ("two", &b"v\0"[..]));
}

#[test]
fn text_of_a_validation_crate_is_never_trained_on() {
    let shared = "fn shared() {}";
    let content = Fixture::new()
        .with("copy", "train", &[("a.rs", shared), ("b.rs", "fn own() {}")])
        .with("held", "validation", &[("x.rs", shared)])
        .read(None)
        .expect("reads");
    assert_eq!(content.train.concat(), b"fn own() {}\0");
    assert_eq!((content.left_out[0].reason.as_str(), content.left_out[0].bytes), ("duplicate", 14));
}

#[test]
fn crates_come_in_the_order_of_their_checksums_up_to_the_limit() {
    let fixture = Fixture::new()
        .with("a", "train", &[("a.rs", "fn a() {}")])
        .with("b", "train", &[("b.rs", "fn b() {}")])
        .with("v", "validation", &[("v.rs", "fn v() {}")]);
    let all = fixture.read(None).expect("reads").train.concat();
    let first = fixture.read(Some(19)).expect("reads").train.concat();
    assert_eq!((all.len(), first.len()), (20, 10));
    assert_eq!(all[..10], first[..]);
    let a_is_first = fixture.lines.split_whitespace().nth(2) < fixture.lines.split_whitespace().nth(6);
    assert_eq!(first == b"fn a() {}\0", a_is_first);
}

#[test]
fn an_archive_with_another_checksum_is_refused_with_both_digests() {
    let fixture =
        Fixture::new().with("a", "train", &[("a.rs", "fn a() {}")]).with("v", "validation", &[("v.rs", "fn v() {}")]);
    let expected = fixture.lines.split_whitespace().nth(2).expect("digest").to_owned();
    let other = pack("a", &[("a.rs", "fn evil() {}")]);
    fs::write(fixture.archive_path("a"), &other).expect("written");
    let message = fixture.read(None).err().expect("refused").to_string();
    let digests = format!("has SHA-256 {}, but the lock says {expected} for `a`", sha256_hex(&other));
    assert!(message.contains(&digests), "{message}");
}

#[test]
fn a_crate_that_is_missing_without_cargo_says_that_cargo_cannot_be_started() {
    let fixture =
        Fixture::new().with("a", "train", &[("a.rs", "fn a() {}")]).with("v", "validation", &[("v.rs", "fn v() {}")]);
    fs::remove_file(fixture.archive_path("a")).expect("removed");
    let message = fixture.read(None).err().expect("nothing to fetch with").to_string();
    assert!(message.starts_with("cannot start `no-such-cargo`: "), "{message}");
}

/// A cargo that fails as without a network.
#[cfg(unix)]
#[test]
fn a_fetch_that_fails_shows_what_cargo_said_and_leaves_nothing_behind() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut fixture =
        Fixture::new().with("a", "train", &[("a.rs", "fn a() {}")]).with("v", "validation", &[("v.rs", "fn v() {}")]);
    fs::remove_file(fixture.archive_path("a")).expect("removed");
    let program = fixture.folder.path().join("cargo");
    fs::write(&program, "#!/bin/sh\necho 'error: could not resolve host' >&2\nexit 101\n").expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("executable");
    fixture.home.cargo = program.into();
    let message = fixture.read(None).err().expect("fails").to_string();
    assert!(
        message.starts_with(
            "cargo could not fetch 1 of the 2 crates of the lock:\nerror: could not resolve host\n\nhint: connect"
        ),
        "{message}"
    );
    assert_eq!(fs::read_dir(fixture.folder.path().join("cache")).expect("cache").count(), 0);
}

#[test]
fn comments_in_a_lock_do_not_change_the_corpus_and_a_version_does() {
    let folder = tempfile::tempdir().expect("temporary folder");
    let spec = RustCodeSpec { lock: "corpus.lock".into(), max_train_bytes: None, tokenizer: TokenizerSpec::default() };
    let whole = forescale_core::corpus::CorpusSpec::RustCode(spec.clone());
    let request = BuildRequest { spec: &whole, spec_dir: folder.path(), cache: folder.path() };
    let key = |text: &str| {
        fs::write(folder.path().join("corpus.lock"), text).expect("lock");
        RustCode(&spec).key(&request).expect("valid")
    };
    let lines = |version: &str| format!("a {version} {0} train\nv 1.0.0 {0} validation\n", "ab".repeat(32));
    assert_eq!(key(&lines("1.0.0")), key(&format!("# a comment\n\n{}", lines("1.0.0"))));
    assert_ne!(key(&lines("1.0.0")), key(&lines("1.0.1")));
}
