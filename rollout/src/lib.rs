//! prompts → groups: sampling completions from the current policy.
//!
//! A pool never knows why a completion is good: this crate does not import `rewards`.
//!
//! ```
//! use std::sync::{Arc, atomic::AtomicBool};
//! use model::{config::PolicyConfig, philox::Purpose, policy::Policy, tokenizer::Tokenizer};
//! use rollout::{pool::{Request, RolloutConfig, RolloutPool}, prompt::Prompt, stopping::StopRules};
//!
//! # std::env::set_current_dir("..")?;
//! let model: PolicyConfig = serde_json::from_str(r#"{"checkpoint": "configs/checkpoints/tiny"}"#)?;
//! let policy = Policy::load(&model.checkpoint, &model, 0)?;
//! let tokenizer = Arc::new(Tokenizer::from_folder(&model.checkpoint)?);
//!
//! let config = RolloutConfig { kv_bytes: 1 << 24, ..RolloutConfig::default() };
//! let stop = StopRules { ids: tokenizer.eos_id().into_iter().collect(), strings: vec![] };
//! let mut pool = RolloutPool::new(&config, 2, policy.config(), tokenizer.clone(), stop);
//! let (sampling, cancel) = (&config.sampling, &AtomicBool::new(false));
//! let request = Request { seed: 7, purpose: Purpose::Sample, step: 0, n: 4, max_tokens: 64, sampling, cancel };
//! let prompt = Prompt { index: 0, tokens: tokenizer.encode("37+48-15+62-90=", false) };
//! let (sender, groups) = crossbeam_channel::unbounded();
//! pool.sample(&policy, &request, &[prompt], &sender)?;
//! let (_, group) = groups.recv()?;
//! assert_eq!(group.completions.len(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod completion;
mod device_engine;
pub mod draft;
mod ending;
mod engine;
pub mod group;
pub mod pool;
pub mod prompt;
pub mod replicas;
pub mod sampling;
mod shared;
pub mod stopping;
