//! What each verb of the command line does.

pub(crate) mod check;
mod checkpoint;
pub(crate) mod describe;
pub(crate) mod eval;
pub(crate) mod gpu_check;
pub(crate) mod logprobs;
pub(crate) mod report;
pub(crate) mod sample;
pub(crate) mod train;
