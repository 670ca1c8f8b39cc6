//! Supervised fine-tuning: next-token training on texts, completions and conversations.
//!
//! The loss of an update is the mean negative log-likelihood of all tokens learned in it, −Σ log p / n with n counted
//! over the whole update: how it is cut into microbatches does not change the weight of a token. Documents are packed
//! one after the other and attend to themselves alone.

mod batches;
mod config;
mod sequence;

pub use batches::{Batches, cut, pack};
pub use config::{LossOn, SftConfig};
pub use sequence::{Encoder, Sequence, Sequences, end_of_sequence};
