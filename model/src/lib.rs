//! tokens → logits: the network, its weights, its tokenizer, its precision.
//!
//! The only crate that knows a weight. It does not know what a prompt, a group or a reward is, and it never
//! prints, reads an environment variable or spawns a process.
//!
//! Shape letters, for the whole repository: **N** packed rows (tokens) · **B** sequences · **T** positions ·
//! **V** vocabulary · **D** model width · **H** heads · **K** head width · **F** feed-forward width ·
//! **E** experts · **P** prompts in a step · **G** completions per prompt.

pub mod backward;
pub mod buffer;
pub mod chat_template;
pub mod checkpoint;
pub mod config;
mod diagnose;
pub mod kernels;
pub mod kv_cache;
pub mod layout;
pub mod packed;
pub mod philox;
pub mod policy;
pub mod probe;
pub mod product;
pub mod rope;
pub mod tokenizer;
mod transformer;
