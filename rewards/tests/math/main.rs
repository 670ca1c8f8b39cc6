//! What judges the math grader: tables of cases, golden values from mpmath, identities and perturbations, and the expected
//! answers of public data sets.

mod cases;
mod data;
mod generated;
mod golds;
mod metamorphic;
mod values;
