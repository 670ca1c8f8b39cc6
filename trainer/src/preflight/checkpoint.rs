//! Does the checkpoint's folder hold what its config.json describes? Headers only: no weight is read.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use model::checkpoint::Weights;
use model::config::{AttentionConfig, Mla, ModelConfig};
use model::layout::Layout;
use model::tokenizer::Tokenizer;

use super::Finding;

const KEY: &str = "model.checkpoint";

/// Most complaints of one kind that are written out.
const SHOWN: usize = 3;

/// The architecture, or why there is none.
pub(super) fn config(folder: &Path, findings: &mut Vec<Finding>) -> Option<ModelConfig> {
    ModelConfig::from_folder(folder).map_err(|error| findings.push(Finding::error(KEY, error.to_string()))).ok()
}

/// The tokenizer, or why there is none.
pub(super) fn tokenizer(folder: &Path, findings: &mut Vec<Finding>) -> Option<Arc<Tokenizer>> {
    Tokenizer::from_folder(folder)
        .map_err(|error| findings.push(Finding::error(KEY, format!("{error:#}"))))
        .ok()
        .map(Arc::new)
}

/// Whether the model embeds every id the tokenizer may give.
pub(super) fn vocabulary(model: &ModelConfig, tokenizer: &Tokenizer, findings: &mut Vec<Finding>) {
    let (ids, rows) = (tokenizer.vocab_size(), model.vocab_size);
    if ids > rows {
        let message = format!("the tokenizer has ids up to {}, config.json says `vocab_size` {rows}", ids - 1);
        findings.push(Finding::warning(KEY, message).hint("is the tokenizer that of another checkpoint?"));
    }
}

/// Whether the policy has the attention that a form is chosen of.
pub(super) fn form(model: &ModelConfig, mla: Mla, findings: &mut Vec<Finding>) {
    if mla == Mla::Expanded && matches!(model.attention, AttentionConfig::Grouped(_)) {
        let message = format!("is `expanded`, and {:?} has no latent attention", model.family);
        findings.push(Finding::error("model.mla", message).hint("leave the key out"));
    }
}

/// Whether every tensor of the architecture is there, in its shape.
pub(super) fn weights(folder: &Path, model: &ModelConfig, findings: &mut Vec<Finding>) {
    let weights = match Weights::open(folder) {
        Ok(weights) => weights,
        Err(error) => {
            let hint = "put the safetensors files there, or set `model.random_init = true` for fresh weights";
            findings.push(Finding::error(KEY, error.to_string()).hint(hint));
            return;
        }
    };
    let layout = Layout::new(model);
    let (mut missing, mut shapes) = (Vec::new(), BTreeMap::<_, Vec<_>>::new());
    for parameter in layout.parameters() {
        let name = &parameter.name;
        match weights.shape(name) {
            None => missing.push(format!("`{name}`")),
            Some(found) if found != parameter.shape => {
                let shape = format!("`{name}` is {found:?}, config.json says {:?}", parameter.shape);
                shapes.entry(weights.file(name).unwrap_or(folder)).or_default().push(shape);
            }
            Some(_) => {}
        }
    }
    let copies = layout.mtp_copies();
    // transformers once stored the rotary frequencies; a tied head may be stored and is compared when it is read.
    let known = |name: &str| {
        name.ends_with("rotary_emb.inv_freq")
            || (model.tied_head && name == "lm_head.weight")
            || layout.parameters().iter().chain(&copies).any(|parameter| parameter.name == name)
    };
    let unread: Vec<String> = weights.names().filter(|name| !known(name)).map(|name| format!("`{name}`")).collect();
    if !missing.is_empty() {
        findings.push(Finding::error(KEY, format!("{}: no tensor {}", folder.display(), some(&missing, ", "))));
    }
    for (file, shapes) in shapes {
        findings.push(Finding::error(KEY, format!("{}: {}", file.display(), some(&shapes, "; "))));
    }
    if !unread.is_empty() {
        let message = format!("{}: tensors that nothing reads: {}", folder.display(), some(&unread, ", "));
        findings.push(Finding::warning(KEY, message).hint("does config.json describe these weights?"));
    }
}

/// The first few of a list, and how many more there are.
fn some(list: &[String], separator: &str) -> String {
    let shown = list[..list.len().min(SHOWN)].join(separator);
    match list.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
