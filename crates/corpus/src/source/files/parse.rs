//! Documents of one file, by the ending of its name.

use std::io::Cursor;
use std::path::Path;

use polars::prelude::{DataFrame, ParquetReader, SerReader as _};
use serde::Deserialize;

use crate::error::CorpusError;
use crate::source::gather::InputFile;

/// One text as it was found.
pub(super) struct Document {
    /// The file, and the line or row where it has several.
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The documents of a file, in order.
pub(super) fn documents(file: &InputFile, bytes: Vec<u8>) -> Result<Vec<Document>, CorpusError> {
    match file.path.extension().and_then(|ending| ending.to_str()) {
        Some("jsonl" | "ndjson") => json_lines(file, &bytes),
        Some("parquet") => parquet(file, bytes),
        _ => Ok(vec![Document { name: file.name.clone(), bytes }]),
    }
}

#[derive(Deserialize)]
struct Row {
    text: String,
}

fn json_lines(file: &InputFile, bytes: &[u8]) -> Result<Vec<Document>, CorpusError> {
    let lines = bytes.split(|byte| *byte == b'\n').zip(1_u64..);
    lines
        .filter(|(line, _)| !line.trim_ascii().is_empty())
        .map(|(line, number)| json_line(file, line, number))
        .collect()
}

fn json_line(file: &InputFile, line: &[u8], number: u64) -> Result<Document, CorpusError> {
    let name = format!("{}:{number}", file.name);
    if std::str::from_utf8(line).is_err() {
        return Ok(Document { name, bytes: line.to_vec() });
    }
    match serde_json::from_slice::<Row>(line) {
        Ok(row) => Ok(Document { name, bytes: row.text.into_bytes() }),
        Err(error) => Err(bad_line(&file.path, number, &error)),
    }
}

fn bad_line(path: &Path, line: u64, error: &serde_json::Error) -> CorpusError {
    let text = error.to_string();
    let reason = text.split(" at line ").next().unwrap_or(&text);
    CorpusError::BadDocument {
        path: path.into(),
        line: Some(line),
        reason: format!("{reason} (column {})", error.column()),
        hint: "each line is an object with a string `text`, such as `{\"text\": \"…\"}`".into(),
    }
}

fn parquet(file: &InputFile, bytes: Vec<u8>) -> Result<Vec<Document>, CorpusError> {
    let bad = |reason: String, hint: &str| CorpusError::BadDocument {
        path: file.path.clone(),
        line: None,
        reason,
        hint: hint.into(),
    };
    let mut reader = ParquetReader::new(Cursor::new(bytes));
    let schema = reader.schema().map_err(|error| bad(error.to_string(), "the file may be cut short; copy it again"))?;
    if !schema.contains("text") {
        let columns: Vec<_> = schema.iter_names().map(|name| format!("`{name}`")).collect();
        let reason = format!("no column `text`; it has {}", columns.join(", "));
        return Err(bad(reason, "name the column with the documents `text`"));
    }
    let frame = reader.with_columns(Some(vec!["text".into()])).finish();
    let frame = frame.map_err(|error| bad(error.to_string(), "the file may be cut short; copy it again"))?;
    rows(file, &frame).map_err(|error| bad(error.to_string(), "column `text` must hold strings"))
}

/// A row without text is an empty document, and counted as one.
fn rows(file: &InputFile, frame: &DataFrame) -> polars::prelude::PolarsResult<Vec<Document>> {
    let texts = frame.column("text")?.str()?;
    let document = |(index, text): (usize, Option<&str>)| Document {
        name: format!("{}:{}", file.name, index + 1),
        bytes: text.unwrap_or("").as_bytes().to_vec(),
    };
    Ok(texts.iter().enumerate().map(document).collect())
}
