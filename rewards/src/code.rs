//! Programs that a model wrote, judged by tests in a [sandbox](crate::sandbox).
//!
//! A [`Problem`] is read from a data row, whatever the data set calls its columns. A program is run on its tests, what
//! came out is plain data, and the comparison with what is expected happens here, in Rust: an expected value never enters
//! a process in which a program runs, so there is nothing there to be found, patched or faked.

mod compare;
mod convert;
mod json;
mod judge;
mod line;
mod output;
mod problem;
mod program;
mod rule;
mod source;
mod statement;

pub use compare::{Leeway, Relation, Tolerance};
pub use judge::{CodeGrade, Judging, TestVerdict, Verdict, judge};
pub use line::{CodeLine, CodeResult, LineError};
pub use output::Layout;
pub use problem::{CallTest, CallTests, Problem, ProblemError, StdioTest, Tests};
pub use program::Block;
pub use rule::{Code, CodeScore, Points, Selection, SeveralAnswers};
pub use source::{Before, Source};
pub use statement::Statement;
