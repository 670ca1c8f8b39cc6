//! Where a checkpoint lies: a folder, or a hub id such as `Qwen/Qwen2.5-0.5B` in the Hugging Face cache.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::mistake::Mistake;

#[cfg(test)]
mod tests;

/// The folder of a checkpoint. An existing folder is itself. Anything else that reads `owner/name` is looked for in
/// the Hugging Face cache and, by a program built with the feature `hf-hub`, downloaded where it is not there.
///
/// # Errors
/// When there is no such folder and no such checkpoint; the error says what to put where.
pub fn resolve(checkpoint: &Path) -> Result<PathBuf> {
    resolve_in(checkpoint, &cache_root())
}

fn resolve_in(checkpoint: &Path, cache: &Path) -> Result<PathBuf> {
    if checkpoint.is_dir() {
        return Ok(checkpoint.to_owned());
    }
    if checkpoint.exists() {
        bail!(Mistake::new(format!(
            "find checkpoint `{0}`: it is a file; name the folder that holds config.json, tokenizer.json and the \
             safetensors files",
            checkpoint.display()
        )));
    }
    let Some(id) = hub_id(checkpoint) else {
        bail!(Mistake::new(format!(
            "find checkpoint `{}`: there is no such folder, and it is no hub id (`owner/name`)",
            checkpoint.display()
        )));
    };
    let cached = cached(id, cache);
    if let Some(folder) = cached.as_ref().filter(|folder| is_whole(folder)) {
        return Ok(folder.clone());
    }
    let why = match download(id, cache) {
        Ok(folder) => return Ok(folder),
        Err(why) => why,
    };
    let state = match cached {
        Some(folder) => format!("{} lacks config.json, tokenizer.json or weights", folder.display()),
        None => format!("{} is not there", repository(id, cache).display()),
    };
    bail!(Mistake::new(format!(
        "find checkpoint `{id}`: there is no such folder; in the Hugging Face cache {state}; {why}\n\
         put config.json, tokenizer.json and the safetensors files into a folder and set `model.checkpoint` to it, \
         or fetch them with `hf download {id}` where there is a network and copy the cache here (`HF_HOME` says \
         where it lies)"
    )));
}

/// `owner/name`, where a path reads like one.
fn hub_id(path: &Path) -> Option<&str> {
    let text = path.to_str()?;
    let (owner, name) = text.split_once('/')?;
    let is_word = |word: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !word.is_empty() && !word.starts_with('.') && word.chars().all(fits)
    };
    (is_word(owner) && is_word(name)).then_some(text)
}

/// Where the Hugging Face tools keep what they downloaded.
fn cache_root() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("HF_HUB_CACHE").or_else(|| set("HUGGINGFACE_HUB_CACHE")).unwrap_or_else(|| {
        let home = set("HF_HOME").unwrap_or_else(|| {
            let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
            base.unwrap_or_else(|| PathBuf::from(".cache")).join("huggingface")
        });
        home.join("hub")
    })
}

fn repository(id: &str, cache: &Path) -> PathBuf {
    cache.join(format!("models--{}", id.replace('/', "--")))
}

/// The snapshot that `main` names, where the cache holds one.
fn cached(id: &str, cache: &Path) -> Option<PathBuf> {
    let repository = repository(id, cache);
    let commit = fs::read_to_string(repository.join("refs/main")).ok()?;
    let snapshot = repository.join("snapshots").join(commit.trim());
    snapshot.is_dir().then_some(snapshot)
}

/// Whether a snapshot holds a configuration, a tokenizer and weights: an earlier download may have been cut short.
fn is_whole(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    let weights = has("model.safetensors") || shards(folder).is_some_and(|shards| shards.iter().all(|s| has(s)));
    has("config.json") && has("tokenizer.json") && weights
}

/// The weight files that the index names.
fn shards(folder: &Path) -> Option<Vec<String>> {
    let text = fs::read(folder.join("model.safetensors.index.json")).ok()?;
    let index: serde_json::Value = serde_json::from_slice(&text).ok()?;
    let names = index.get("weight_map")?.as_object()?.values();
    names.map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Fetches a checkpoint's files into the cache and returns their folder.
#[cfg(feature = "hf-hub")]
fn download(id: &str, cache: &Path) -> Result<PathBuf, String> {
    use hf_hub::api::sync::ApiBuilder;

    let wanted = |name: &str| {
        !name.contains('/')
            && (name.ends_with(".safetensors") || name.ends_with(".json") || name.ends_with(".jinja"))
            && !name.starts_with("consolidated")
    };
    let fetch = || {
        let builder = ApiBuilder::from_env().with_progress(false).with_cache_dir(cache.to_owned());
        let model = builder.build()?.model(id.to_owned());
        for file in model.info()?.siblings {
            if wanted(&file.rfilename) {
                model.get(&file.rfilename)?;
            }
        }
        model.get("config.json")
    };
    let config = fetch().map_err(|error: hf_hub::api::sync::ApiError| format!("the hub could not be read: {error}"))?;
    let folder = config.parent().ok_or_else(|| "the hub gave a file without a folder".to_owned())?;
    Ok(folder.to_owned())
}

#[cfg(not(feature = "hf-hub"))]
fn download(_: &str, _: &Path) -> Result<PathBuf, String> {
    Err("this program was built without the feature `hf-hub` and does not download".to_owned())
}
