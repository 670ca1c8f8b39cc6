//! Programs with their tests, run in the sandbox.

use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use rewards::code::{CodeLine, CodeResult, Judging, Verdict};
use rewards::sandbox::{Sandbox, SandboxConfig};
use serde_json::Value;

use super::summary::count;
use super::{Judged, Row};
use crate::mistake::Mistake;
use crate::workers;

/// Keys of a line that its answer does not repeat.
const LONG: [&str; 4] = ["program", "tests", "function", "calls"];

/// A line, and what its answer repeats of it.
pub(super) struct Program {
    row: Row,
    line: CodeLine,
}

/// The programs of a text of JSON lines.
pub(super) fn read(text: &str) -> Result<Vec<Program>> {
    // Only '\n' ends a line: the other Unicode line ends occur inside JSON strings.
    let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
    let program = |(i, line): (usize, &str)| {
        // Expected values may be of any size, which plain JSON values are not.
        let parsed = CodeLine::parse(i + 1, line).map_err(|error| Mistake::new(error.to_string()))?;
        let mut row: Row = serde_json::from_str(line).unwrap_or_default();
        row.retain(|key, _| !LONG.contains(&key.as_str()));
        Ok(Program { row, line: parsed })
    };
    lines.map(program).collect()
}

/// Every line with its `verdict`, `n_passed` and the verdicts on its `tests`.
///
/// # Errors
/// Where this machine cannot run programs in the sandbox.
pub(super) fn judge(programs: Vec<Program>, workers: usize, bar: &dyn Fn(usize) -> ProgressBar) -> Result<Judged> {
    let config = SandboxConfig { workers: std::num::NonZero::new(workers), ..SandboxConfig::default() };
    let sandbox = Sandbox::open(&config).context("open the sandbox")?;
    let (start, bar) = (Instant::now(), bar(programs.len()));
    let results = workers::map(&programs, workers, |program| {
        let result = program.line.judge(&sandbox, &Judging::default());
        bar.inc(1);
        result
    });
    bar.finish_and_clear();
    let seconds = start.elapsed().as_secs_f64();
    let passed = results.iter().filter(|result| result.verdict == Verdict::Ok).count();
    let tests: usize = results.iter().map(|result| result.tests.len()).sum();
    let infra = results.iter().filter(|result| result.verdict == Verdict::Infra).count();
    let failed = if infra > 0 { format!(", {} could not be judged", count(infra)) } else { String::new() };
    let summary = format!(
        "{} programs, {} tests in {seconds:.2} s: {} passed all of theirs{failed} (isolation: {})\n",
        count(results.len()),
        count(tests),
        count(passed),
        sandbox.isolation()
    );
    let line = |(program, result): (Program, CodeResult)| {
        let mut row = program.row;
        if let Ok(Value::Object(found)) = serde_json::to_value(result) {
            row.extend(found);
        }
        row
    };
    Ok(Judged { lines: programs.into_iter().zip(results).map(line).collect(), summary })
}
