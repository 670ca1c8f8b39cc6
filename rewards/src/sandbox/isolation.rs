//! How far a program is kept from this machine, by name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What stands between a program and this machine. Ordered: a later level holds more than an earlier one.
///
/// Limits on time, memory, output and files hold at every level, and expected outputs never enter the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Isolation {
    /// A process of its own with limits, and nothing else: the program may do what this user may do.
    #[serde(rename = "none")]
    None,
    /// System calls filtered and files out of reach but Python's own library. Names and sizes of other files can
    /// still be asked for.
    #[serde(rename = "landlock+seccomp")]
    LandlockSeccomp,
    /// Namespaces of its own for users, processes, mounts, network, IPC and host name, around the level below: no
    /// file but Python's library exists there, nor any other process.
    #[serde(rename = "namespaces")]
    Namespaces,
}

impl std::fmt::Display for Isolation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::LandlockSeccomp => "landlock+seccomp",
            Self::Namespaces => "namespaces",
        })
    }
}
