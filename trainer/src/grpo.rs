//! The GRPO stage.

mod config;
pub use config::{GrpoConfig, LengthChange};
