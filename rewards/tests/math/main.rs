//! What judges the math grader: tables of cases, golden values from mpmath, identities and perturbations, and the
//! expected answers of public data sets.

#![expect(clippy::unwrap_used, reason = "a test that cannot set its scene up has failed")]
#![expect(clippy::print_stdout, reason = "tests say what they skip and how much they tried")]

mod cases;
mod data;
mod generated;
mod golds;
mod metamorphic;
mod values;
