//! Which files a test's process may open, by Landlock: Python's library and three devices to read, and `/tmp` where a job
//! asks for it.

use std::os::fd::{AsFd, OwnedFd};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, Scope,
};
use rustix::fs::FileType;

/// Rulesets a process can lock itself in with.
pub(super) struct FileRules {
    /// Nothing may be written.
    pub(super) pure: OwnedFd,
    /// The temporary directory may.
    pub(super) files: OwnedFd,
}

/// Rules over `paths`, of which the last is the temporary directory. Below namespaces they stand alone, so the kernel must
/// know at least to watch over truncation (ABI 3, Linux 6.2); `None` where it knows nothing of Landlock or too little.
pub(super) fn rules(paths: &[OwnedFd], alone: bool) -> Result<Option<FileRules>, String> {
    let both = || Ok(Some((rules_for(paths, alone, false)?, rules_for(paths, alone, true)?)));
    match both() {
        Ok(Some((Some(pure), Some(files)))) => Ok(Some(FileRules { pure, files })),
        Ok(_) => Ok(None),
        Err(RulesetError::HandleAccesses(_)) => Ok(None),
        Err(error) => Err(format!("landlock: {error}")),
    }
}

fn rules_for(paths: &[OwnedFd], alone: bool, files: bool) -> Result<Option<OwnedFd>, RulesetError> {
    let needed = if alone { CompatLevel::HardRequirement } else { CompatLevel::BestEffort };
    let mut ruleset = Ruleset::default()
        .set_compatibility(needed)
        .handle_access(AccessFs::from_all(ABI::V3))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::from_all(ABI::V6))?
        .create()?;
    let (temporary, readable) = paths.split_last().expect("the temporary directory is among the paths");
    for path in readable {
        // What is no directory is a device that swallows or gives without end.
        let is_directory = rustix::fs::fstat(path).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir());
        let access = if is_directory {
            AccessFs::ReadFile | AccessFs::ReadDir
        } else {
            AccessFs::ReadFile | AccessFs::WriteFile
        };
        ruleset = ruleset.add_rule(PathBeneath::new(path.as_fd(), access))?;
    }
    if files {
        let writable: BitFlags<AccessFs> = AccessFs::ReadFile
            | AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeDir
            | AccessFs::RemoveFile
            | AccessFs::RemoveDir
            | AccessFs::Refer;
        ruleset = ruleset.add_rule(PathBeneath::new(temporary.as_fd(), writable))?;
    }
    Ok(ruleset.into())
}
