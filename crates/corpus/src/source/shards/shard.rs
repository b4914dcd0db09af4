//! One file of token ids.
//!
//! # Layout
//!
//! **nanoGPT** (each `data/*/prepare.py` in karpathy/nanoGPT writes `train.bin` and `val.bin` as NumPy's `uint16` with
//! `tofile`): ids of two bytes, little endian, and nothing else.
//!
//! **llm.c** (`write_datafile` in `dev/data/data_common.py` of karpathy/llm.c): a header of 256 integers of four bytes,
//! little endian, of which the first three are magic, version and number of tokens, then the ids. Magic 20240520 with
//! version 1 has ids of two bytes (GPT-2), magic 20240801 with version 7 ids of four (Llama 3).
//!
//! A file of nanoGPT has no mark of its own: without a stated format whatever starts with neither magic is taken for
//! one, so that a file of llm.c with a damaged magic is only found out when the format is stated, or by its ids. A file
//! that is said to be nanoGPT's and starts with a magic of llm.c is refused: its header would be read as 512 tokens.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::iter;
use std::path::{Path, PathBuf};

use forescale_core::corpus::{ShardFormat, TokenWidth};
use forescale_core::digest::Hasher;

use crate::content::width_of;
use crate::error::CorpusError;
use crate::source::gather::InputFile;

/// 256 integers of four bytes.
const HEADER_BYTES: u64 = 1024;

/// Ids read at once.
const BLOCK_TOKENS: u64 = 1 << 19;

/// Samples of a file's content in its fingerprint, and bytes of each.
const SAMPLES: u64 = 64;
const SAMPLE_BYTES: u64 = 4096;

/// One kind of llm.c file.
struct Kind {
    magic: i32,
    version: i32,
    id_bytes: u64,
}

const KINDS: [Kind; 2] =
    [Kind { magic: 20_240_520, version: 1, id_bytes: 2 }, Kind { magic: 20_240_801, version: 7, id_bytes: 4 }];

/// A file whose length and header fit.
#[derive(Clone)]
pub(super) struct Shard {
    file: InputFile,
    /// Where the first id is.
    start: u64,
    id_bytes: u64,
    tokens: u64,
}

impl Shard {
    /// Checks length and header; reads no id.
    pub(super) fn open(file: InputFile, format: Option<ShardFormat>) -> Result<Self, CorpusError> {
        let path = file.path.clone();
        let length = fs::metadata(&path).map_err(CorpusError::io("read", &path))?.len();
        let header = read_at(&path, 0, length.min(HEADER_BYTES))?;
        let known = integer(&header, 0).filter(|magic| KINDS.iter().any(|kind| kind.magic == *magic));
        if let (Some(magic), Some(ShardFormat::Nanogpt)) = (known, format) {
            return Err(header_of_llmc(path, magic));
        }
        let shard = match format {
            Some(ShardFormat::Nanogpt) => plain(file, length),
            None if known.is_none() => plain(file, length),
            Some(ShardFormat::Llmc) | None => with_header(file, length, &header),
        };
        shard.map_err(|reason| CorpusError::BadShard {
            path,
            reason,
            hint: "copy or write the file again; `format = \"nanogpt\"` has no header, `format = \"llmc\"` has one"
                .into(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.file.name
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    pub(super) fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Name, length and a digest of the header and of samples spread over the content.
    pub(super) fn fingerprint(&self) -> Result<(String, u64, u64, String), CorpusError> {
        let end = self.start + self.tokens * self.id_bytes;
        let mut hasher = Hasher::default();
        for sample in 0..=SAMPLES {
            let at = end.saturating_sub(SAMPLE_BYTES) * sample / SAMPLES;
            hasher.update(&read_at(&self.file.path, at, SAMPLE_BYTES.min(end - at))?);
        }
        Ok((self.file.name.clone(), self.start, self.tokens, hasher.finish()))
    }

    /// Its ids as they lie in `tokens.bin`, block by block, each id held against the vocabulary.
    pub(super) fn blocks(self, vocabulary: u32) -> impl Iterator<Item = Result<Vec<u8>, CorpusError>> {
        let mut next = 0;
        iter::from_fn(move || {
            let count = BLOCK_TOKENS.min(self.tokens - next);
            let block = (count > 0).then(|| self.block(next, count, vocabulary));
            next = if matches!(block, Some(Err(_))) { self.tokens } else { next + count };
            block
        })
    }

    fn block(&self, first: u64, count: u64, vocabulary: u32) -> Result<Vec<u8>, CorpusError> {
        let bytes = read_at(&self.file.path, self.start + first * self.id_bytes, count * self.id_bytes)?;
        let width = width_of(vocabulary);
        let mut tokens = Vec::with_capacity(count as usize * width.bytes());
        for (token, bytes) in (first..).zip(bytes.chunks_exact(self.id_bytes as usize)) {
            let id = bytes.iter().rev().fold(0, |id, byte| id << 8 | u32::from(*byte));
            if id >= vocabulary {
                return Err(self.id_too_large(id, token, vocabulary));
            }
            match width {
                TokenWidth::U8 => tokens.push(id as u8),
                TokenWidth::U16 => tokens.extend((id as u16).to_le_bytes()),
            }
        }
        Ok(tokens)
    }

    fn id_too_large(&self, id: u32, token: u64, vocabulary: u32) -> CorpusError {
        let byte = self.start + token * self.id_bytes;
        CorpusError::BadShard {
            path: self.file.path.clone(),
            reason: format!(
                "has id {id} at token {token} (byte {byte}); below the vocabulary of {vocabulary} is allowed"
            ),
            hint: "check `vocabulary` (up to 65536) and `format`; if they are right, the file is damaged".into(),
        }
    }
}

fn plain(file: InputFile, length: u64) -> Result<Shard, String> {
    if length % 2 == 1 {
        return Err(format!("has {length} bytes; ids take 2 bytes each, so an even number is needed"));
    }
    Ok(Shard { file, start: 0, id_bytes: 2, tokens: length / 2 })
}

fn header_of_llmc(path: PathBuf, magic: i32) -> CorpusError {
    CorpusError::BadShard {
        path,
        reason: format!("starts with the magic of llm.c, {magic} at byte 0, and `format` says `nanogpt`"),
        hint: "say `format = \"llmc\"`, or leave `format` out: the first bytes tell".into(),
    }
}

fn with_header(file: InputFile, length: u64, header: &[u8]) -> Result<Shard, String> {
    let (Some(magic), Some(version), Some(tokens)) = (integer(header, 0), integer(header, 4), integer(header, 8))
    else {
        return Err(format!("has {length} bytes; its header alone takes {HEADER_BYTES}"));
    };
    let Some(kind) = KINDS.iter().find(|kind| kind.magic == magic) else {
        return Err(format!(
            "starts with {magic} at byte 0; a magic of 20240520 (GPT-2) or 20240801 (Llama 3) is needed"
        ));
    };
    if version != kind.version {
        return Err(format!("has version {version} at byte 4; {} is needed with magic {magic}", kind.version));
    }
    let tokens = u64::try_from(tokens).map_err(|_| format!("counts {tokens} tokens at byte 8; 0 or more is needed"))?;
    let expected = HEADER_BYTES + tokens * kind.id_bytes;
    if length != expected {
        return Err(format!(
            "has {length} bytes, but its header counts {tokens} tokens at byte 8, which needs {expected}"
        ));
    }
    Ok(Shard { file, start: HEADER_BYTES, id_bytes: kind.id_bytes, tokens })
}

fn integer(header: &[u8], at: usize) -> Option<i32> {
    header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes)
}

fn read_at(path: &PathBuf, at: u64, length: u64) -> Result<Vec<u8>, CorpusError> {
    let mut file = File::open(path).map_err(CorpusError::io("open", path))?;
    file.seek(SeekFrom::Start(at)).map_err(CorpusError::io("read", path))?;
    let mut bytes = vec![0; usize::try_from(length).expect("a block fits in memory")];
    file.read_exact(&mut bytes).map_err(CorpusError::io("read", path))?;
    Ok(bytes)
}
