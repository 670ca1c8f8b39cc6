//! Text to token ids and back, from a checkpoint's tokenizer.json.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value};

#[cfg(test)]
mod tests;

/// The files of a checkpoint folder that belong to its tokenizer; a saved checkpoint carries those there are.
pub const FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "chat_template.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
];

/// The first characters for private use, the last of all, and some of the rarest.
const UNHEARD_OF: &str = "\u{e000}\u{10fffd} \u{0}\u{16fe4}a~";

/// A checkpoint's tokenizer, with the special tokens and the chat template that lie beside it.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    vocab_size: usize,
    special_tokens: Map<String, Value>,
    chat_template: Option<String>,
    files: Vec<PathBuf>,
}

impl Tokenizer {
    /// Loads tokenizer.json, and what there is of tokenizer_config.json, special_tokens_map.json and
    /// chat_template.jinja, from a Hugging Face checkpoint folder.
    ///
    /// # Errors
    /// When tokenizer.json is missing, or any of the files cannot be read or understood; the error names the file.
    pub fn from_folder(folder: &Path) -> Result<Tokenizer, anyhow::Error> {
        let path = folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut inner = tokenizers::Tokenizer::from_bytes(&bytes)
            .map_err(|error| anyhow!("{} is not a tokenizer: {error}", path.display()))?;
        // A training set-up may have left its truncation and padding in the file; prompts are never cut here.
        inner
            .with_truncation(None)
            .map_err(|error| anyhow!("{}: cannot switch truncation off: {error}", path.display()))?;
        inner.with_padding(None);
        // A vocabulary that covers every text covers characters that nobody has written.
        inner.encode_fast(UNHEARD_OF, false).map_err(|error| {
            anyhow!("{}: it has neither tokens for every text nor an unknown token: {error}", path.display())
        })?;

        let config = read_object(&folder.join("tokenizer_config.json"))?;
        let map = read_object(&folder.join("special_tokens_map.json"))?;
        let vocab_size = width(&inner);
        Ok(Tokenizer {
            vocab_size,
            special_tokens: special_tokens(config.as_ref(), map.as_ref()),
            chat_template: chat_template(folder, config.as_ref())?,
            files: FILES.iter().map(|name| folder.join(name)).filter(|path| path.is_file()).collect(),
            inner,
        })
    }

    /// The ids of `text`. Special tokens written out in the text become their ids in either case; `add_special`
    /// adds those the tokenizer puts around a text, such as a beginning-of-sequence token.
    pub fn encode(&self, text: &str, add_special: bool) -> Vec<u32> {
        let encoding =
            self.inner.encode_fast(text, add_special).expect("the vocabulary covers every text, as was tried");
        encoding.get_ids().to_vec()
    }

    /// The text of `ids`, with or without the special tokens. Ids outside the vocabulary are left out, and bytes
    /// that are no UTF-8 become U+FFFD.
    ///
    /// # Panics
    /// When the tokenizer.json names a decoder that fails on its own vocabulary.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> String {
        self.inner.decode(ids, skip_special).expect("the decoder takes every token of its vocabulary")
    }

    /// The highest id there is, plus one; added tokens count. A model's output may be wider than this.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// The token an id stands for, spelt as in the vocabulary (for a byte-level one: not plain text).
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token spelt as in the vocabulary.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The named special token, for instance `pad_token`, where the checkpoint names one.
    pub fn special_token(&self, name: &str) -> Option<&str> {
        self.special_tokens.get(name).and_then(Value::as_str)
    }

    /// The special tokens by name, as a chat template sees them: `bos_token`, `eos_token`, …
    pub fn special_tokens(&self) -> &Map<String, Value> {
        &self.special_tokens
    }

    /// The beginning-of-sequence token, where the checkpoint names one.
    pub fn bos_token(&self) -> Option<&str> {
        self.special_token("bos_token")
    }

    /// The end-of-sequence token, where the checkpoint names one.
    pub fn eos_token(&self) -> Option<&str> {
        self.special_token("eos_token")
    }

    /// The id of [`Tokenizer::bos_token`].
    pub fn bos_id(&self) -> Option<u32> {
        self.id(self.bos_token()?)
    }

    /// The id of [`Tokenizer::eos_token`].
    pub fn eos_id(&self) -> Option<u32> {
        self.id(self.eos_token()?)
    }

    /// The chat template's source: chat_template.jinja where there is one, else what tokenizer_config.json holds.
    pub fn chat_template(&self) -> Option<&str> {
        self.chat_template.as_deref()
    }

    /// The files that make up this tokenizer; a saved checkpoint needs a copy of each.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// A decoder for ids that come one by one.
    pub fn stream(&self, skip_special: bool) -> TextStream<'_> {
        TextStream { tokenizer: self, skip_special, ids: Vec::new(), context: 0, emitted: 0 }
    }
}

/// Decodes ids as they come, and gives out only text that no later id can change: a character whose bytes are
/// spread over several tokens comes out with the last of them. The pieces, joined, are the decoded whole.
#[derive(Debug, Clone)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    skip_special: bool,
    /// The ids not yet settled, after some that are: a decoder may treat the first token of a text differently.
    ids: Vec<u32>,
    /// How many of `ids` are settled.
    context: usize,
    /// How many bytes of the text of `ids` were given out.
    emitted: usize,
}

impl TextStream<'_> {
    /// Takes one id and returns the text that is certain with it, often empty.
    pub fn push(&mut self, id: u32) -> String {
        self.ids.push(id);
        let text = self.tokenizer.decode(&self.ids, self.skip_special);
        let certain = text.trim_end_matches(char::REPLACEMENT_CHARACTER).len();
        let Some(piece) = text.get(self.emitted..certain).filter(|piece| !piece.is_empty()) else {
            return String::new();
        };
        let piece = piece.to_owned();
        if certain == text.len() {
            self.ids.drain(..self.context);
            self.context = self.ids.len();
            self.emitted = self.tokenizer.decode(&self.ids, self.skip_special).len();
        } else {
            self.emitted = certain;
        }
        piece
    }

    /// Ends the text: returns what was held back, with U+FFFD for bytes that never became a character.
    pub fn finish(self) -> String {
        let text = self.tokenizer.decode(&self.ids, self.skip_special);
        text.get(self.emitted..).unwrap_or_default().to_owned()
    }
}

/// The highest id there is, plus one.
fn width(inner: &tokenizers::Tokenizer) -> usize {
    // As many ids as tokens, and none left out: the rule, and it costs no copy of the vocabulary.
    let n = inner.get_vocab_size(true);
    if (0..n as u32).rev().all(|id| inner.id_to_token(id).is_some()) {
        return n;
    }
    inner.get_vocab(true).values().max().map_or(0, |&highest| highest as usize + 1)
}

/// A file holding one JSON object, or none where there is no such file.
fn read_object(path: &Path) -> Result<Option<Map<String, Value>>, anyhow::Error> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let object = serde_json::from_str(&text).with_context(|| format!("{} is not a JSON object", path.display()))?;
    Ok(Some(object))
}

/// Every `…_token` that the two files name; tokenizer_config.json goes before special_tokens_map.json.
fn special_tokens(config: Option<&Map<String, Value>>, map: Option<&Map<String, Value>>) -> Map<String, Value> {
    let mut tokens = Map::new();
    for (name, value) in [config, map].into_iter().flatten().flatten() {
        let text = match value {
            Value::String(text) => Some(text.as_str()),
            Value::Object(token) => token.get("content").and_then(Value::as_str),
            _ => None,
        };
        if let Some(text) = text.filter(|_| name.ends_with("_token") && !tokens.contains_key(name)) {
            tokens.insert(name.clone(), Value::from(text));
        }
    }
    tokens
}

fn chat_template(folder: &Path, config: Option<&Map<String, Value>>) -> Result<Option<String>, anyhow::Error> {
    let path = folder.join("chat_template.jinja");
    if path.exists() {
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        return Ok(Some(text));
    }
    if let Some(text) = config.and_then(|config| named_template(config.get("chat_template")?)) {
        return Ok(Some(text));
    }
    let object = read_object(&folder.join("chat_template.json"))?;
    Ok(object.and_then(|object| named_template(object.get("chat_template")?)))
}

/// A template is given as text, or as a list of named ones of which `default` is meant.
fn named_template(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Array(named) => {
            let default = named.iter().find(|one| one["name"] == "default")?;
            default["template"].as_str().map(str::to_owned)
        }
        _ => None,
    }
}
