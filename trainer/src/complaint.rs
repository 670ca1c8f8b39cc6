//! How an error that ends the program is told, and whose fault the exit code says it is.

use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};

use anyhow::Error;
use model::checkpoint::LoadError;
use model::config::ConfigError;

use crate::mistake::Mistake;
use crate::preflight::{Level, Refused};
use crate::run_dir::RunDirError;

/// 2 where the user can mend it, else 1.
pub fn exit_code(error: &Error) -> u8 {
    let mended = error.chain().any(|cause| {
        cause.is::<Mistake>()
            || cause.is::<Refused>()
            || cause.is::<LoadError>()
            || cause.is::<ConfigError>()
            || cause.downcast_ref::<RunDirError>().is_some_and(|error| {
                matches!(error, RunDirError::InUse { .. } | RunDirError::Name(_) | RunDirError::NothingToResume(_))
            })
            || cause.downcast_ref::<RunDirError>().is_some_and(names_no_place)
    });
    if mended { 2 } else { 1 }
}

/// Whether a run was to be read or made at a path where there can be none: the command line named it.
fn names_no_place(error: &RunDirError) -> bool {
    let RunDirError::Disk(error) = error else { return false };
    matches!(error.reason.kind(), NotADirectory | NotFound | PermissionDenied | ReadOnlyFilesystem)
}

/// The operation that failed, the causes below it, and what to try.
pub fn text(error: &Error, colour: bool) -> String {
    let paint = |code: &str, word: &str| if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() };
    let hint = |indent: &str, text: &str| format!("{indent}{} {text}\n", paint("1;36", "hint:"));

    let mut text = format!("{} {error}\n", paint("1;31", "error:"));
    let mut above = error.to_string();
    for cause in error.chain().skip(1) {
        let message = cause.to_string();
        // An error that prints its source as well has said it already.
        if !above.ends_with(&message) {
            text += &format!("  caused by: {message}\n");
        }
        above = message;
    }
    for cause in error.chain() {
        if let Some(Refused(findings)) = cause.downcast_ref::<Refused>() {
            for finding in findings {
                let level = match finding.level {
                    Level::Error => paint("1;31", "error:"),
                    Level::Warning => paint("1;33", "warning:"),
                };
                text += &format!("  {level} {finding}\n");
                text.extend(finding.hint.iter().map(|words| hint("    ", words)));
            }
        }
        if let Some(words) = cause.downcast_ref::<Mistake>().and_then(|mistake| mistake.hint.as_deref()) {
            text += &hint("", words);
        }
    }
    text
}

#[cfg(test)]
mod tests;
