//! Which tokens end a completion, and who says so.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result};
use model::config::ModelConfig;
use model::tokenizer::Tokenizer;
use rollout::stopping::StopRules;
use serde_json::{Map, Value, json};

use crate::prompting::chat_template;

#[cfg(test)]
mod tests;

/// Where a stop id was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// `eos_token_id` of config.json.
    Config,
    /// `eos_token_id` of generation_config.json.
    GenerationConfig,
    /// The tokenizer's `eos_token`.
    Tokenizer,
    /// What the chat template puts after an assistant's turn.
    ChatTemplate,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Config => "config.json",
            Origin::GenerationConfig => "generation_config.json",
            Origin::Tokenizer => "tokenizer",
            Origin::ChatTemplate => "chat template",
        })
    }
}

/// One token that ends a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopId {
    /// Its id.
    pub id: u32,
    /// How the vocabulary spells it; `None` where the tokenizer has no such id.
    pub token: Option<String>,
    /// Everybody who names it, each once.
    pub origins: Vec<Origin>,
}

/// The tokens that end a completion: the union of what the checkpoint's files name.
///
/// Printed, it is one line: `<|im_end|> 151645 (tokenizer, chat template), <|endoftext|> 151643 (config.json)`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopIds(Vec<StopId>);

impl StopIds {
    /// Collects the stop ids of a checkpoint folder.
    ///
    /// # Errors
    /// When generation_config.json is not JSON, or the chat template cannot be parsed.
    pub fn find(folder: &Path, config: &ModelConfig, tokenizer: &Tokenizer) -> Result<StopIds> {
        let generation = read_ids(&folder.join("generation_config.json"))?;
        let own = read_ids(&folder.join("config.json"))?;
        let mut found = StopIds::default();
        for &id in &config.eos_token_ids {
            // An id that neither file spells out is the family's own, for which config.json stands.
            if own.contains(&id) || !generation.contains(&id) {
                found.add(id, Origin::Config, tokenizer);
            }
            if generation.contains(&id) {
                found.add(id, Origin::GenerationConfig, tokenizer);
            }
        }
        if let Some(id) = tokenizer.eos_id() {
            found.add(id, Origin::Tokenizer, tokenizer);
        }
        if let Some(id) = end_of_turn(tokenizer)? {
            found.add(id, Origin::ChatTemplate, tokenizer);
        }
        Ok(found)
    }

    fn add(&mut self, id: u32, origin: Origin, tokenizer: &Tokenizer) {
        match self.0.iter_mut().find(|one| one.id == id) {
            Some(one) => one.origins.push(origin),
            None => self.0.push(StopId { id, token: tokenizer.token(id), origins: vec![origin] }),
        }
    }

    /// Each id once, in the order of [`Origin`].
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &StopId> {
        self.0.iter()
    }

    /// Whether no file names a stop id.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the sampler needs: the ids, ascending, and the stop strings of the run.
    pub fn rules(&self, strings: &[String]) -> StopRules {
        let mut ids: Vec<u32> = self.0.iter().map(|one| one.id).collect();
        ids.sort_unstable();
        StopRules { ids, strings: strings.to_vec() }
    }
}

impl fmt::Display for StopIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, one) in self.0.iter().enumerate() {
            let origins: Vec<String> = one.origins.iter().map(Origin::to_string).collect();
            let comma = if i == 0 { "" } else { ", " };
            let token = one.token.as_deref().unwrap_or("no token");
            write!(f, "{comma}{token} {} ({})", one.id, origins.join(", "))?;
        }
        Ok(())
    }
}

/// The special token that the chat template puts right behind what an assistant says; `None` without a template,
/// or where it ends a turn with plain text or not at all.
///
/// # Errors
/// When the template cannot be parsed.
pub fn end_of_turn(tokenizer: &Tokenizer) -> Result<Option<u32>> {
    const SAID: &str = "It is four.";
    if tokenizer.chat_template().is_none() {
        return Ok(None);
    }
    let messages = json!([{"role": "user", "content": "What is 2 + 2?"}, {"role": "assistant", "content": SAID}]);
    let Ok(text) = chat_template(tokenizer)?.render(&messages, None, false, &Map::new()) else {
        return Ok(None);
    };
    let Some((_, after)) = text.rsplit_once(SAID) else {
        return Ok(None);
    };
    let special = |id: &u32| tokenizer.decode(&[*id], true).is_empty() && !tokenizer.decode(&[*id], false).is_empty();
    Ok(tokenizer.encode(after, false).into_iter().find(special))
}

/// `eos_token_id` of a file, one id or a list; none where there is no such file or key.
fn read_ids(file: &Path) -> Result<Vec<u32>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let value: Value = serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))?;
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    Ok(match value.get("eos_token_id") {
        Some(Value::Array(ids)) => ids.iter().filter_map(id).collect(),
        Some(one) => id(one).into_iter().collect(),
        None => Vec::new(),
    })
}
