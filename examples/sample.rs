//! Loads a policy and samples a group: several completions of one prompt, each with its log-probability.
//!
//! `cargo run --release -p trainer --example sample [FOLDER [PROMPT]]`

#![expect(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use model::config::PolicyConfig;
use model::philox::Purpose;
use model::policy::Policy;
use model::tokenizer::Tokenizer;
use rollout::pool::{Request, RolloutConfig, RolloutPool};
use rollout::prompt::Prompt;
use trainer::data::Template;
use trainer::prompting::Prompter;
use trainer::stopping::StopIds;

fn main() -> anyhow::Result<()> {
    // Replicas are threads of their own; each computes with one thread of libtorch.
    tch::set_num_threads(1);
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| "configs/checkpoints/tiny".to_owned()));
    let text = arguments.next().unwrap_or_else(|| "37+48-15+62-90=".to_owned());

    let config = PolicyConfig::new(folder.clone());
    let mut policy = Policy::load(&folder, &config, 0)?;
    let tokenizer = Arc::new(Tokenizer::from_folder(&folder)?);
    policy.set_vocabulary(tokenizer.vocab_size());

    let stop = StopIds::find(&folder, policy.config(), &tokenizer)?.rules(&[]);
    let settings = RolloutConfig { kv_bytes: 64 << 20, ..RolloutConfig::default() };
    let mut pool = RolloutPool::new(&settings, 2, policy.config(), Arc::clone(&tokenizer), stop);

    // Every draw follows from these numbers and the prompt's index: the same call gives the same completions, however
    // many replicas there are.
    let request = Request {
        seed: 7,
        purpose: Purpose::Sample,
        step: 0,
        n: 4,
        max_tokens: 64,
        sampling: &settings.sampling,
        cancel: &AtomicBool::new(false),
    };
    let prompter = Prompter::worded(&tokenizer, Template::Plain, None)?;
    let prompt = Prompt { index: 0, tokens: prompter.encode(&text) };
    let (sender, groups) = crossbeam_channel::unbounded();
    pool.sample(&policy, &request, &[prompt], &sender)?;
    drop(sender);

    for (_, group) in groups {
        for completion in group.completions {
            let logprob: f32 = completion.logprobs.iter().sum();
            let (n, finish) = (completion.tokens.len(), completion.finish);
            println!("--- {n} tokens, log-probability {logprob:.2}, {finish:?}\n{}", completion.text);
        }
    }
    Ok(())
}
