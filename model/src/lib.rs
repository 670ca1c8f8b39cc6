//! tokens → logits: the network, its weights, its tokenizer, its precision.
//!
//! The only crate that knows a weight. It does not know what a prompt, a group or a reward is, and it never
//! prints, reads an environment variable or spawns a process.
//!
//! Shape letters, for the whole repository: **N** packed rows (tokens) · **B** sequences · **T** positions ·
//! **V** vocabulary · **D** model width · **H** heads · **K** head width · **F** feed-forward width ·
//! **E** experts · **P** prompts in a step · **G** completions per prompt.
//!
//! Log-probabilities of a sequence, by the forward pass that training takes:
//!
//! ```
//! use model::{backward::Targets, config::PolicyConfig, packed::Packed, policy::Policy, tokenizer::Tokenizer};
//!
//! # std::env::set_current_dir("..")?;
//! let config: PolicyConfig = serde_json::from_str(r#"{"checkpoint": "configs/checkpoints/tiny"}"#)?;
//! let policy = Policy::load(&config.checkpoint, &config, 0)?;
//! let tokenizer = Tokenizer::from_folder(&config.checkpoint)?;
//! let tokens: Vec<i64> = tokenizer.encode("37+48=85", false).into_iter().map(i64::from).collect();
//!
//! let (mut packed, mut targets) = (Packed::default(), Targets::default());
//! let segment = packed.push(&tokens);
//! targets.push_sequence(segment.start.into(), &tokens);
//! let found = policy.logprobs(&packed, &targets, 1.0);
//! assert_eq!(found.logprobs.len(), tokens.len() - 1); // nothing predicts the first token
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod attention;
pub mod backward;
mod block;
pub mod buffer;
pub mod chat_template;
pub mod checkpoint;
pub mod config;
pub mod decode;
pub mod device;
mod diagnose;
pub mod dispatch;
pub mod fp8;
pub mod grouped;
pub mod gumbel;
pub mod kernels;
pub mod kv_cache;
pub mod layout;
pub mod mtp;
mod operands;
pub mod packed;
pub mod pages;
pub mod philox;
pub mod policy;
pub mod probe;
pub mod product;
pub mod rope;
pub mod router;
pub mod share;
pub mod team;
pub mod tokenizer;
