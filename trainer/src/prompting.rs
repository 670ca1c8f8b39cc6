//! Prompts as the policy sees them: a problem, worded by the template, as token ids.

use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use model::chat_template::ChatTemplate;
use model::tokenizer::Tokenizer;
use rayon::prelude::*;
use rollout::prompt::Prompt;
use serde_json::{Map, Value, json};

use crate::config::DataConfig;
use crate::data::{self, Effort, Problem, ProblemSet, PromptText, Template};
use crate::mistake::Mistake;

#[cfg(test)]
mod tests;

/// Turns problems into prompts: template, system prompt, token ids.
#[derive(Clone, Debug)]
pub struct Prompter {
    tokenizer: Arc<Tokenizer>,
    template: Template,
    system_prompt: Option<String>,
    effort: Option<Effort>,
    /// Parsed where `template` is `chat`.
    chat: Option<ChatTemplate>,
    /// What the tokenizer puts before every text, as a rule the beginning-of-sequence id or nothing.
    opening: Vec<u32>,
    think_opened: bool,
}

/// A prompt, as text and as the ids that are the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text that was encoded; where the tokenizer adds a beginning of sequence, it is not in here.
    pub text: String,
    /// Token ids, with the beginning of sequence once where the checkpoint wants one.
    pub tokens: Vec<u32>,
}

impl Prompter {
    /// Prepares the template that `config` names.
    ///
    /// # Errors
    /// When the checkpoint has no chat template and `chat` asks for one, or when it cannot be parsed or cannot
    /// render a plain question.
    pub fn new(tokenizer: &Arc<Tokenizer>, config: &DataConfig) -> Result<Prompter> {
        let prompter = Prompter::worded(tokenizer, config.template, config.system_prompt.clone())?;
        Ok(Prompter { effort: config.effort.clone(), ..prompter })
    }

    /// Prepares `template`, with `system_prompt` before every conversation. Errors as in [`Prompter::new`].
    pub fn worded(tokenizer: &Arc<Tokenizer>, template: Template, system_prompt: Option<String>) -> Result<Prompter> {
        let chat = match template {
            Template::Chat => Some(chat_template(tokenizer)?),
            Template::R1Zero | Template::Plain => None,
        };
        let mut prompter = Prompter {
            opening: opening(tokenizer),
            tokenizer: Arc::clone(tokenizer),
            template,
            system_prompt,
            effort: None,
            chat,
            think_opened: false,
        };
        let question = prompter.text(&PromptText::Text("What is 2 + 2?".to_owned()))?;
        prompter.think_opened = question.trim_end().ends_with("<think>");
        Ok(prompter)
    }

    /// The prompt of a problem, with the effort in its columns where the data have efforts.
    pub fn prompt(&self, problem: &Problem) -> Result<Rendered> {
        let effort = self.effort.as_ref().map(|_| Effort::of(&problem.columns)).transpose();
        let text = effort.and_then(|effort| self.text_at(&problem.prompt, effort.as_deref()));
        let text = text.with_context(|| format!("word problem {}", problem.index))?;
        Ok(Rendered { tokens: self.encode(&text), text })
    }

    /// Whether the template ends a prompt with `<think>`, so that completions start inside the thinking.
    pub fn think_opened(&self) -> bool {
        self.think_opened
    }

    /// How prompts are worded.
    pub fn template(&self) -> Template {
        self.template
    }

    /// The tokenizer that prompts are encoded with.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// A prompt's text: the system prompt, the template's words, the problem's own.
    pub fn text(&self, prompt: &PromptText) -> Result<String> {
        self.text_at(prompt, None)
    }

    /// A prompt's text that asks for an effort.
    fn text_at(&self, prompt: &PromptText, effort: Option<&str>) -> Result<String> {
        let asked = self.effort.as_ref().zip(effort).and_then(|(how, effort)| how.paragraph(effort));
        let paragraphs: Vec<&str> = self.system_prompt.iter().chain(&asked).map(String::as_str).collect();
        let system = (!paragraphs.is_empty()).then(|| paragraphs.join("\n\n"));
        let worded = self.template.apply(prompt);
        if self.chat.is_none() {
            let text = worded.text();
            return Ok(match system {
                Some(system) => format!("{system}\n\n{text}"),
                None => text,
            });
        }
        let PromptText::Messages(messages) = worded else {
            return Err(anyhow!("the chat template needs messages"));
        };
        let variables = effort.map(|effort| ("reasoning_effort".to_owned(), Value::from(effort)));
        self.render(&messages, None, true, system.as_deref(), &variables.into_iter().collect())
    }

    /// A conversation in the chat template's words, the system prompt before it. `generation_prompt` ends it with the
    /// words that open an assistant's turn.
    ///
    /// # Errors
    /// When `data.template` is not `chat`, or the template refuses the messages.
    pub fn conversation(&self, messages: &[Value], tools: Option<&Value>, generation_prompt: bool) -> Result<String> {
        self.render(messages, tools, generation_prompt, self.system_prompt.as_deref(), &Map::new())
    }

    fn render(
        &self,
        messages: &[Value],
        tools: Option<&Value>,
        generation_prompt: bool,
        system: Option<&str>,
        variables: &Map<String, Value>,
    ) -> Result<String> {
        let chat = self
            .chat
            .as_ref()
            .ok_or_else(|| anyhow!("messages need the chat template; set `data.template` to \"chat\""))?;
        let mut messages = messages.to_vec();
        if let Some(system) = system {
            put_first(&mut messages, system);
        }
        chat.render(&Value::Array(messages), tools, generation_prompt, variables)
    }

    /// The ids of a prompt's text. The beginning of sequence comes once, whether the text or the tokenizer opens
    /// with it; an end of sequence that the tokenizer would add is left out, because a completion follows.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let ids = self.tokenizer.encode(text, false);
        if ids.starts_with(&self.opening) { ids } else { [self.opening.as_slice(), &ids].concat() }
    }
}

/// The checkpoint's chat template, parsed.
///
/// # Errors
/// When the checkpoint has none, or it is no Jinja template.
pub fn chat_template(tokenizer: &Tokenizer) -> Result<ChatTemplate> {
    let source = tokenizer.chat_template().ok_or_else(|| {
        Mistake::new(
            "the tokenizer has no chat template: neither chat_template.jinja nor tokenizer_config.json holds one",
        )
    })?;
    ChatTemplate::new(source, tokenizer.special_tokens().clone())
}

/// What the tokenizer puts before a text of its own accord.
fn opening(tokenizer: &Tokenizer) -> Vec<u32> {
    let (plain, whole) = (tokenizer.encode("a", false), tokenizer.encode("a", true));
    let at = whole.windows(plain.len().max(1)).position(|window| window == plain).unwrap_or(0);
    whole[..at].to_vec()
}

/// Puts a system prompt before a conversation, in front of a system message it may already have.
fn put_first(messages: &mut Vec<Value>, system: &str) {
    match messages.first().filter(|first| first["role"] == "system").and_then(|first| first["content"].as_str()) {
        Some(own) => messages[0]["content"] = Value::from(format!("{system}\n\n{own}")),
        None => messages.insert(0, json!({"role": "system", "content": system})),
    }
}

/// A problem with its prompt, ready to be sampled from.
#[derive(Clone, Debug, PartialEq)]
pub struct PreparedProblem {
    /// The problem, with its place in the whole source.
    pub problem: Problem,
    /// Its token ids, under the problem's index.
    pub prompt: Prompt,
    /// The prompt's text, as rewards see it.
    pub text: String,
}

/// A [`ProblemSet`] with prompts made once; those longer than `data.max_prompt_tokens` are left out.
#[derive(Clone, Debug)]
pub struct PromptSet {
    problems: Vec<PreparedProblem>,
    n_too_long: usize,
    n_without_answer: usize,
    longest: usize,
    seed: u64,
    think_opened: bool,
}

impl PromptSet {
    /// Opens the source of `config` and words and encodes all of its problems.
    ///
    /// # Errors
    /// When the source cannot be read, a problem cannot be worded, or no prompt is short enough.
    pub fn open(config: &DataConfig, tokenizer: &Arc<Tokenizer>, seed: u64) -> Result<PromptSet> {
        let set = ProblemSet::open(&config.source, seed)?;
        let prompter = Prompter::new(tokenizer, config)?;
        let n_without_answer = set.skipped();
        let prepared: Vec<PreparedProblem> = Vec::from_iter(set)
            .into_par_iter()
            .map(|mut problem| {
                if let Some(effort) = &config.effort {
                    effort.assign(&mut problem.columns, problem.index, seed);
                }
                let Rendered { text, tokens } = prompter.prompt(&problem)?;
                Ok(PreparedProblem { prompt: Prompt { index: problem.index, tokens }, problem, text })
            })
            .collect::<Result<_>>()?;

        let n_all = prepared.len();
        let longest = prepared.iter().map(|one| one.prompt.tokens.len()).max().unwrap_or(0);
        let mut problems = prepared;
        problems.retain(|one| !one.prompt.tokens.is_empty() && one.prompt.tokens.len() <= config.max_prompt_tokens);
        ensure!(
            !problems.is_empty(),
            "all {n_all} prompts are empty or longer than `data.max_prompt_tokens` = {} (the longest has {longest} tokens)",
            config.max_prompt_tokens
        );
        Ok(PromptSet {
            n_too_long: n_all - problems.len(),
            n_without_answer,
            longest,
            problems,
            seed,
            think_opened: prompter.think_opened(),
        })
    }

    /// The `n` problems of training step `step`: one shuffled epoch after another, a pure function of the step.
    pub fn batch(&self, step: u64, n: usize) -> Vec<&PreparedProblem> {
        data::order(self.problems.len(), self.seed, step, n).into_iter().map(|place| &self.problems[place]).collect()
    }

    /// Every problem that was kept, in the order of the source.
    pub fn problems(&self) -> &[PreparedProblem] {
        &self.problems
    }

    /// Problems left out because their prompt is longer than `data.max_prompt_tokens`, or empty.
    pub fn n_too_long(&self) -> usize {
        self.n_too_long
    }

    /// Rows left out because they have no answer.
    pub fn n_without_answer(&self) -> usize {
        self.n_without_answer
    }

    /// Length of the longest prompt in tokens, those left out included.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Length of the longest prompt that was kept, in tokens.
    pub fn longest_kept(&self) -> usize {
        self.problems.iter().map(|one| one.prompt.tokens.len()).max().unwrap_or(0)
    }

    /// Keeps only the first `n` problems.
    pub fn keep_first(&mut self, n: usize) {
        self.problems.truncate(n);
    }

    /// Whether the template ends a prompt with `<think>`.
    pub fn think_opened(&self) -> bool {
        self.think_opened
    }

    /// Indices of the problems of `heldout` whose text also occurs here.
    pub fn overlap(&self, heldout: &PromptSet) -> Vec<u64> {
        let train = self.problems.iter().map(|one| &one.problem);
        data::overlap(train, heldout.problems.iter().map(|one| &one.problem))
    }
}
