//! What is wrong with a run before it starts: findings, reported all at once.

mod answers;
mod checkpoint;
mod degenerate;
pub mod device;
mod disk;
mod finding;
mod lengths;
pub mod memory;
mod template;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::config::ModelConfig;
use model::team;
use model::tokenizer::Tokenizer;
use rewards::Rubric;
use tracing::debug_span;

pub use crate::config::Stage;
use crate::config::{DataConfig, RunConfig};
use crate::data::{Documents, ProblemSet};
use crate::eval;
use crate::hub;
use crate::mtp;
use crate::prompting::{PromptSet, Prompter};
use crate::sft::{self, Encoder, Sequences};
use crate::stopping::StopIds;
use device::DevicePlan;
pub use finding::{Finding, Level, Refused};
use memory::{Load, Plan};

#[cfg(test)]
mod tests;

/// What the machine has, as far as a check asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Bytes free where runs are written; `None` where the system does not say.
    pub free_disk: Option<u64>,
    /// Bytes of memory that could still be taken.
    pub free_memory: Option<u64>,
    /// Threads that compute where the run does not say.
    pub cores: usize,
}

impl Machine {
    /// This machine, with the file system that holds or will hold `run_root`.
    pub fn here(run_root: &Path) -> Machine {
        let free_memory = || {
            let text = std::fs::read_to_string("/proc/meminfo").ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
            Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
        };
        Machine { free_disk: disk::free(run_root), free_memory: free_memory(), cores: team::cores() }
    }
}

/// What a check found, and what it opened on the way: a run goes on from here and reads nothing twice.
#[derive(Debug, Default)]
pub struct Checked {
    /// Errors first; each in the order of the checks.
    pub findings: Vec<Finding>,
    /// The checkpoint's folder.
    pub folder: Option<PathBuf>,
    /// Its architecture.
    pub model: Option<ModelConfig>,
    /// Its tokenizer.
    pub tokenizer: Option<Arc<Tokenizer>>,
    /// The problems to train on; `None` for fine-tuning and evaluation.
    pub prompts: Option<PromptSet>,
    /// The documents to fine-tune on; `None` for the other stages.
    pub sequences: Option<Sequences>,
    /// The held-out sets, with their names, each cut to its `n_problems`.
    pub heldout: Vec<(String, PromptSet)>,
    /// What ends a completion.
    pub stop: StopIds,
    /// The rules to train by, opened; `None` for the other stages.
    pub rubric: Option<Rubric>,
    /// The rules that say which held-out completion is right, opened; `None` without an evaluation.
    pub judge: Option<Rubric>,
    /// The memory plan.
    pub plan: Option<Plan>,
    /// That of the device, where the policy computes on one.
    pub on_device: Option<DevicePlan>,
}

impl Checked {
    /// Whether the run must not start.
    pub fn is_refused(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }
}

/// Checks a run before it touches a device: configuration, checkpoint, data, template, rules, room on disk and in
/// memory. All findings come at once. Runs are written below `run_root`.
pub fn check(run: &RunConfig, stage: Stage, run_root: &Path) -> Checked {
    let _span = debug_span!("check").entered();
    check_on(run, stage, &Machine::here(run_root))
}

/// [`check`], for a machine whose numbers are given.
pub fn check_on(run: &RunConfig, stage: Stage, machine: &Machine) -> Checked {
    let mut checked = look(run, stage, machine);
    checked.findings = checked.findings.into_iter().map(|finding| finding.placed(&run.places)).collect();
    checked.findings.sort_by_key(|finding| finding.level);
    checked
}

fn look(run: &RunConfig, stage: Stage, machine: &Machine) -> Checked {
    let mut checked = Checked { findings: run.validate(stage), ..Checked::default() };
    let sound = !checked.is_refused();
    open_checkpoint(run, stage, &mut checked);
    open_data(run, stage, &mut checked);
    if !sound {
        // What follows computes with numbers that have just been refused.
        return checked;
    }
    check_rules(run, stage, &mut checked);
    check_lengths(run, stage, machine, &mut checked);
    if let Some(model) = &checked.model {
        checked.findings.extend(disk::check(model.n_parameters(), run, stage, machine.free_disk));
        let load = Load {
            cores: machine.cores,
            program: memory::held().unwrap_or(0),
            longest_prompt: longest_prompt(&checked),
            longest_document: checked.sequences.iter().flat_map(Sequences::lengths).max().unwrap_or(0),
            n_heldout: checked.heldout.iter().map(|(_, set)| set.problems().len()).max().unwrap_or(0),
        };
        let available = machine.free_memory.map(|free| load.program + free);
        let plan = Plan::choose(model, run, stage, &load, available);
        checked.findings.extend(plan.check(load.program, machine.free_memory));
        checked.plan = Some(plan);
        checked.on_device = DevicePlan::new(model, run, stage, &load);
    }
    checked
}

fn open_checkpoint(run: &RunConfig, stage: Stage, checked: &mut Checked) {
    let findings = &mut checked.findings;
    let folder = match hub::resolve(&run.model.checkpoint) {
        Ok(folder) => folder,
        Err(error) => {
            let text = format!("{error:#}");
            let (message, hint) = text.split_once('\n').unwrap_or((&text, ""));
            let finding = Finding::error("model.checkpoint", message);
            findings.push(if hint.is_empty() { finding } else { finding.hint(hint) });
            return;
        }
    };
    checked.model = checkpoint::config(&folder, findings);
    checked.tokenizer = checkpoint::tokenizer(&folder, findings);
    if let Some(model) = checked.model.as_ref().filter(|_| !run.model.random_init) {
        checkpoint::weights(&folder, model, findings);
    }
    if let Some(model) = &checked.model {
        checkpoint::form(model, run.model.mla, findings);
        if stage != Stage::Eval {
            findings.extend(run.router.check(model));
        }
        findings.extend(mtp::check(run, stage, model));
    }
    if let (Some(model), Some(tokenizer)) = (&checked.model, &checked.tokenizer) {
        checkpoint::vocabulary(model, tokenizer, findings);
        match StopIds::find(&folder, model, tokenizer) {
            Ok(stop) => {
                // Fine-tuning alone samples nothing.
                if stage != Stage::Sft || run.eval.is_some() {
                    template::stop_ids(&stop, run, model, tokenizer, findings);
                }
                checked.stop = stop;
            }
            Err(error) => findings.push(Finding::error("model.checkpoint", format!("{error:#}"))),
        }
    }
    checked.folder = Some(folder);
}

fn open_data(run: &RunConfig, stage: Stage, checked: &mut Checked) {
    let findings = &mut checked.findings;
    let tokenizer = checked.tokenizer.as_ref();
    if stage == Stage::Grpo {
        checked.prompts = open_set("data", &run.data, run.seed, tokenizer, findings);
        if let (Some(tokenizer), Some(set)) = (tokenizer, &checked.prompts)
            && let Ok(prompter) = Prompter::new(tokenizer, &run.data)
        {
            template::round_trip(&prompter, &run.data, findings);
            template::prompts(&prompter, set.problems(), findings);
        }
        let (n, wanted) = (checked.prompts.as_ref().map(|set| set.problems().len()), run.grpo.as_ref());
        if let (Some(n), Some(wanted)) = (n, wanted.map(|grpo| grpo.prompts_per_step))
            && wanted > n
        {
            let message = format!("is {wanted}, the data has {n} problems: a step samples some of them twice, alike");
            findings.push(Finding::warning("grpo.prompts_per_step", message).hint("lower it, or add problems"));
        }
    }
    if stage == Stage::Sft {
        checked.sequences = open_documents(run, tokenizer, checked.model.as_ref(), &checked.stop, findings);
    }
    for (place, set) in run.eval.iter().flat_map(|eval| &eval.sets).enumerate() {
        let key = format!("eval.sets.{place}.data");
        let Some(mut heldout) = open_set(&key, &set.data, run.seed, tokenizer, findings) else { continue };
        heldout.keep_first(set.n_problems.unwrap_or(usize::MAX));
        let by_prompts = checked.prompts.as_ref().map(|train| train.overlap(&heldout));
        let by_documents = checked.sequences.as_ref().map(|train| train.overlap(&heldout));
        let seen = by_prompts.or(by_documents).unwrap_or_default();
        if let Some(first) = seen.first() {
            let message = format!(
                "{} of the {} problems of held-out set `{}` also occur in training, problem {first} first",
                seen.len(),
                heldout.problems().len(),
                set.name
            );
            findings.push(Finding::warning(key, message));
        }
        checked.heldout.push((set.name.clone(), heldout));
    }
}

/// The documents to fine-tune on, as token ids; without tokenizer or template only their source is read, so that bad
/// rows are found all the same.
fn open_documents(
    run: &RunConfig,
    tokenizer: Option<&Arc<Tokenizer>>,
    model: Option<&ModelConfig>,
    stop: &StopIds,
    findings: &mut Vec<Finding>,
) -> Option<Sequences> {
    let documents = Documents::open(&run.data.source, run.seed);
    let mut finding = |key: &str, error: &anyhow::Error| findings.push(Finding::error(key, format!("{error:#}")));
    let documents = documents.map_err(|error| finding("data.source", &error)).ok();
    let prompter = Prompter::new(tokenizer?, &run.data).map_err(|error| finding("data.template", &error)).ok()?;
    let (documents, sft, stops) = (documents?, run.sft.as_ref()?, stop.rules(&[]).ids);
    let end = sft::end_of_sequence(prompter.tokenizer(), &model?.eos_token_ids);
    let end = end.map_err(|error| finding("model.checkpoint", &error)).ok()?;
    let encoder = Encoder { prompter: &prompter, end, stops: &stops, loss_on: sft.loss_on };
    let sequences = Sequences::encode(&documents, &encoder, sft);
    let sequences = sequences.map_err(|error| finding("data", &error)).ok()?;
    lengths::documents_left_out(&sequences, sft.max_tokens, findings);
    Some(sequences)
}

/// A set with its prompts; without tokenizer or template only its source is read, so that bad rows are found all the
/// same.
fn open_set(
    key: &str,
    config: &DataConfig,
    seed: u64,
    tokenizer: Option<&Arc<Tokenizer>>,
    findings: &mut Vec<Finding>,
) -> Option<PromptSet> {
    let template = tokenizer.map(|tokenizer| Prompter::new(tokenizer, config));
    let opened = match tokenizer.filter(|_| matches!(template, Some(Ok(_)))) {
        Some(tokenizer) => PromptSet::open(config, tokenizer, seed).map(Some),
        None => ProblemSet::open(&config.source, seed).map(|_| None),
    };
    if let Some(Err(error)) = template {
        findings.push(Finding::error(format!("{key}.template"), format!("{error:#}")));
    }
    match opened {
        Ok(set) => {
            let set = set?;
            lengths::left_out(&format!("{key}.max_prompt_tokens"), &set, config.max_prompt_tokens, findings);
            Some(set)
        }
        Err(error) => {
            findings.push(Finding::error(format!("{key}.source"), format!("{error:#}")));
            None
        }
    }
}

/// Opens the rules and puts the data's own answers to them.
fn check_rules(run: &RunConfig, stage: Stage, checked: &mut Checked) {
    let findings = &mut checked.findings;
    if stage == Stage::Grpo {
        match Rubric::new(&run.rewards) {
            Ok(rubric) => {
                if !open_rules("rewards", &rubric, findings) {
                    return;
                }
                let problems = checked.prompts.as_ref().map_or(&[][..], PromptSet::problems);
                answers::check("rewards", &rubric, problems, findings);
                degenerate::check("rewards", &rubric, problems, run.rollout.max_tokens, findings);
                checked.rubric = Some(rubric);
            }
            Err(error) => findings.push(Finding::error("rewards", error.to_string())),
        }
    }
    let Some(eval) = &run.eval else { return };
    let key = if eval.rule.is_some() { "eval.rule" } else { "rewards" };
    let own = || Ok(checked.rubric.clone().map_or_else(|| Rubric::new(&run.rewards), Ok)?.judging());
    // `RunConfig::validate` has refused an evaluation without a rule that judges.
    let Ok(judge) = eval::judge(eval, own) else { return };
    // The run's own rules are open.
    if (eval.rule.is_some() || checked.rubric.is_none()) && !open_rules(key, &judge, findings) {
        return;
    }
    for (name, set) in &checked.heldout {
        let mut found = Vec::new();
        answers::check(key, &judge, set.problems(), &mut found);
        for finding in &mut found {
            finding.message = format!("held-out set `{name}`: {}", finding.message);
        }
        findings.append(&mut found);
    }
    checked.judge = Some(judge);
}

/// Whether every rule could be opened; a finding for each that could not.
fn open_rules(key: &str, rubric: &Rubric, findings: &mut Vec<Finding>) -> bool {
    let refused = rubric.open();
    let sound = refused.is_empty();
    for (place, error) in refused {
        let key = if key == "rewards" { format!("rewards.{place}") } else { key.to_owned() };
        findings.push(Finding::error(key, error));
    }
    sound
}

fn check_lengths(run: &RunConfig, stage: Stage, machine: &Machine, checked: &mut Checked) {
    let longest = longest_prompt(checked);
    let Some(model) = &checked.model else { return };
    let findings = &mut checked.findings;
    match (stage, &checked.prompts, &run.sft) {
        (Stage::Grpo, Some(set), _) => {
            let max_tokens = work::longest_completion(run);
            lengths::context("rollout.max_tokens", max_tokens, set.longest_kept(), model, findings);
            if let Some(tokenizer) = &checked.tokenizer {
                lengths::solutions(run, set, tokenizer, findings);
            }
        }
        (Stage::Sft, _, Some(sft)) => lengths::documents(sft.max_tokens, model, findings),
        _ => {}
    }
    if let Some(eval) = &run.eval {
        let max_tokens = eval.max_tokens.unwrap_or(run.rollout.max_tokens);
        let key = if eval.max_tokens.is_some() { "eval.max_tokens" } else { "rollout.max_tokens" };
        let longest = checked.heldout.iter().map(|(_, set)| set.longest_kept()).max().unwrap_or(0);
        let said = findings.iter().any(|finding| finding.key == key && finding.level == Level::Error);
        if !said {
            lengths::context(key, max_tokens, longest, model, findings);
        }
    }
    if stage != Stage::Sft || run.eval.is_some() {
        let replicas = run.run.workers.unwrap_or(machine.cores).max(1);
        lengths::cache(run, model, replicas, longest, findings);
    }
}

fn longest_prompt(checked: &Checked) -> usize {
    let sets = checked.prompts.iter().chain(checked.heldout.iter().map(|(_, set)| set));
    sets.map(PromptSet::longest_kept).max().unwrap_or(0)
}
