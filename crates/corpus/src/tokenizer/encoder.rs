//! A tokenizer that is ready: read from its JSON, checked, and without anything that would cut or pad.

use std::iter;

use tokenizers::{ModelWrapper, Tokenizer};

/// Two bytes a token are what `tokens.bin` has.
const MAX_VOCABULARY: u32 = 1 << 16;

/// Names of the end of a text, in the order in which they are looked for: GPT-2, Llama 3, Llama 2, and the rest.
const END_OF_TEXT: [&str; 4] = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>"];

/// Longer documents are encoded in parts: the library takes about a hundred bytes of memory for a byte of text.
const MAX_PART_BYTES: usize = 1 << 20;

/// A tokenizer, the file it came from, and how it ends a document.
pub(super) struct Encoder {
    tokenizer: Tokenizer,
    json: Vec<u8>,
    vocabulary: u32,
    end: Vec<u32>,
}

impl Encoder {
    /// Reads a `tokenizer.json`. The error says what is wrong with it.
    pub(super) fn from_json(json: Vec<u8>) -> Result<Self, String> {
        let mut tokenizer =
            Tokenizer::from_bytes(&json).map_err(|error| format!("is not a tokenizer of the library: {error}"))?;
        if let ModelWrapper::BPE(model) = tokenizer.get_model()
            && model.dropout.is_some_and(|dropout| dropout > 0.0)
        {
            return Err("has BPE dropout, which draws at random; 0 is needed".into());
        }
        let vocabulary = vocabulary(&tokenizer)?;
        tokenizer.with_truncation(None).map_err(|error| error.to_string())?;
        tokenizer.with_padding(None).set_encode_special_tokens(true);
        let mut encoder = Self { tokenizer, json, vocabulary, end: Vec::new() };
        encoder.end = encoder.find_end()?;
        Ok(encoder)
    }

    /// The `tokenizer.json` it was read from.
    pub(super) fn json(&self) -> &[u8] {
        &self.json
    }

    /// The same, for good.
    pub(super) fn into_json(self) -> Vec<u8> {
        self.json
    }

    /// One above its largest id.
    pub(super) fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// Tokens that follow each document.
    pub(super) fn end(&self) -> &[u32] {
        &self.end
    }

    /// Ids of a document without its end.
    pub(super) fn ids(&self, document: &str) -> Result<Vec<u32>, String> {
        let mut ids = Vec::with_capacity(document.len() / 3);
        for part in parts(document) {
            ids.extend_from_slice(
                self.tokenizer.encode_fast(part, false).map_err(|error| error.to_string())?.get_ids(),
            );
        }
        Ok(ids)
    }

    /// Whether the ids of each part of a document say all of it.
    pub(super) fn gives_back(&self, document: &str) -> bool {
        let back = |part| {
            let encoding = self.tokenizer.encode_fast(part, false).ok()?;
            self.tokenizer.decode(encoding.get_ids(), false).ok()
        };
        parts(document).all(|part| back(part).is_some_and(|text| text == part))
    }

    fn find_end(&self) -> Result<Vec<u32>, String> {
        if let Some(id) = END_OF_TEXT.iter().find_map(|name| self.tokenizer.token_to_id(name)) {
            return Ok(vec![id]);
        }
        let zero = self.ids("\0")?;
        if !zero.is_empty() && self.gives_back("\0") {
            return Ok(zero);
        }
        let names = END_OF_TEXT.join("`, `");
        Err(format!("has no token to end a document: neither `{names}` nor one for a zero byte"))
    }
}

fn vocabulary(tokenizer: &Tokenizer) -> Result<u32, String> {
    let largest = tokenizer.get_vocab(true).into_values().max().ok_or("has no tokens; at least 1 is needed")?;
    let vocabulary = largest.saturating_add(1);
    if vocabulary > MAX_VOCABULARY {
        return Err(format!("has a vocabulary of {vocabulary}; up to {MAX_VOCABULARY} is allowed, two bytes a token"));
    }
    Ok(vocabulary)
}

/// A document in parts of at most [`MAX_PART_BYTES`].
pub(super) fn parts(document: &str) -> impl Iterator<Item = &str> {
    let mut rest = document;
    iter::from_fn(move || {
        let (part, after) = rest.split_at(part_end(rest, MAX_PART_BYTES));
        rest = after;
        (!part.is_empty()).then_some(part)
    })
}

/// Where the first part ends: after a line end with no other white space beside it, where there is one.
///
/// GPT-2's words never reach over such a line end, so that the tokens are those of the whole document.
pub(super) fn part_end(text: &str, most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let window = (0..=most).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    let lone = |end: usize| {
        let before = text[..end - 1].chars().next_back();
        before.is_some_and(|c| !c.is_whitespace()) && text[end..].starts_with(|c: char| !c.is_whitespace())
    };
    let line_ends = text[..window].rmatch_indices('\n').map(|(index, _)| index + 1);
    line_ends.into_iter().find(|end| lone(*end)).unwrap_or(window)
}
