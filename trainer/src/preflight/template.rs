//! Does the template say what was meant, and can a completion end?

use serde_json::{Map, Value, json};

use model::config::ModelConfig;
use model::tokenizer::Tokenizer;

use super::Finding;
use crate::config::{DataConfig, RunConfig};
use crate::data::{PromptText, Template};
use crate::prompting::{PreparedProblem, Prompter, chat_template};
use crate::stopping::{Origin, StopIds};

const KEY: &str = "data.template";
const QUESTION: &str = "What is 2 + 2?";
const SAID: &str = "It is four.";

/// Problems whose prompts are decoded again.
const LOOKED_AT: usize = 64;

/// Whether the template keeps the question, comes back from its ids, and stands unchanged before a completion.
pub(super) fn round_trip(prompter: &Prompter, config: &DataConfig, findings: &mut Vec<Finding>) {
    let Ok(text) = prompter.text(&PromptText::Text(QUESTION.to_owned())) else { return };
    if !text.contains(QUESTION) {
        findings.push(Finding::error(KEY, format!("the template leaves the user's text out: it gives {text:?}")));
        return;
    }
    let ids = prompter.encode(&text);
    // Without a template there are no words of ours in a prompt; the data's own are looked at by `prompts`.
    let worded = config.template != Template::Plain;
    if let Some(back) = changed(prompter, &text).filter(|_| worded) {
        let message = format!("a prompt is not the same after it is encoded and decoded: {text:?} becomes {back:?}");
        findings.push(Finding::error(KEY, message).hint("is the tokenizer that of another checkpoint?"));
    }
    // A completion of plain text opens with a space, as a rule.
    let said = if config.template == Template::Chat { SAID.to_owned() } else { format!(" {SAID}") };
    let whole = prompter.encode(&format!("{text}{said}"));
    if !whole.starts_with(&ids) {
        let message = "the ids of a prompt are not the first ids of prompt and completion: the last word of the prompt \
                       is joined to the completion";
        findings.push(Finding::error(KEY, message).hint("end the prompt with a special token or at a word's end"));
    }
}

/// Whether the data's own prompts come back from their ids.
pub(super) fn prompts(prompter: &Prompter, problems: &[PreparedProblem], findings: &mut Vec<Finding>) {
    let looked_at = &problems[..problems.len().min(LOOKED_AT)];
    let bad: Vec<u64> =
        looked_at.iter().filter(|one| changed(prompter, &one.text).is_some()).map(|one| one.problem.index).collect();
    if let Some(first) = bad.first() {
        let message = format!(
            "{} of the first {} prompts are not the same after they are encoded and decoded, problem {first} first",
            bad.len(),
            looked_at.len()
        );
        findings.push(Finding::warning("data.source", message).hint("the tokenizer has no tokens for some characters"));
    }
}

/// What a text becomes when it is encoded and decoded, if that is another one.
fn changed(prompter: &Prompter, text: &str) -> Option<String> {
    let tokenizer = prompter.tokenizer();
    let back = tokenizer.decode(&tokenizer.encode(text, false), false);
    // A tokenizer of the sentencepiece kind may drop the space a text begins with.
    (back.trim_start() != text.trim_start()).then_some(back)
}

/// Whether the stop ids end what the template lets the policy say.
pub(super) fn stop_ids(
    stop: &StopIds,
    run: &RunConfig,
    model: &ModelConfig,
    tokenizer: &Tokenizer,
    findings: &mut Vec<Finding>,
) {
    let key = "rollout.stop";
    if stop.is_empty() && run.rollout.stop.is_empty() {
        let message = "nothing ends a completion: no `eos_token_id` in config.json or generation_config.json, no \
                       `eos_token` in the tokenizer, no end of turn in the chat template";
        findings
            .push(Finding::error(key, message).hint("add `eos_token_id` to config.json, or a text to `rollout.stop`"));
        return;
    }
    for one in stop.iter() {
        let origins: Vec<String> = one.origins.iter().map(Origin::to_string).collect();
        if one.token.is_none() || one.id as usize >= model.vocab_size {
            let message = format!("stop id {} ({}) is no token: it will never be drawn", one.id, origins.join(", "));
            findings.push(Finding::warning("model.checkpoint", message));
        }
    }
    if run.data.template != Template::Chat {
        return;
    }
    let Some(turn) = turn_ids(tokenizer) else { return };
    let produced = |id: u32| turn.contains(&id);
    if !stop.iter().any(|one| produced(one.id)) && run.rollout.stop.is_empty() {
        let message = format!("the chat template ends an assistant's turn without any of the stop ids: {stop}");
        let hint = "name the text that ends a turn in `rollout.stop`, or its id as `eos_token_id` in config.json";
        findings.push(Finding::error(key, message).hint(hint));
        return;
    }
    let declared: Vec<_> = stop.iter().filter(|one| one.origins != [Origin::ChatTemplate]).collect();
    if !declared.is_empty() && !declared.iter().any(|one| produced(one.id)) {
        let names: Vec<String> =
            declared.iter().filter_map(|one| one.token.as_ref().map(|token| format!("`{token}`"))).collect();
        let message = format!(
            "the checkpoint's files name {} as the end of a text, which its chat template never produces; completions \
             stop at: {stop}",
            names.join(", ")
        );
        findings.push(Finding::warning(KEY, message).hint("a base checkpoint may never have seen this chat template"));
    }
}

/// The ids that the chat template puts after what an assistant says.
fn turn_ids(tokenizer: &Tokenizer) -> Option<Vec<u32>> {
    let messages: Value = json!([{"role": "user", "content": QUESTION}, {"role": "assistant", "content": SAID}]);
    let text = chat_template(tokenizer).ok()?.render(&messages, None, false, &Map::new()).ok()?;
    let (_, after) = text.rsplit_once(SAID)?;
    Some(tokenizer.encode(after, false))
}
