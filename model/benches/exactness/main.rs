//! What exactness costs, operation by operation: this crate's kernels beside the fastest way known in libtorch to do the
//! same, at the shapes of a GRPO step of a 15M-parameter policy, both on one thread.
//!
//! A step has 4 prompts of 140 tokens and 8 completions of 128 each; an update cuts it into a microbatch for each group,
//! and a replica decodes the completions of one. Prints one JSON object: of each operation how often a step calls it, the
//! seconds of a call by either, and which way of libtorch's it was. Either side counts with the fastest of its rounds.

#![expect(clippy::print_stdout, reason = "the times are what it is run for")]

mod attention;
mod products;
mod rows;

use std::time::{Duration, Instant};

use model::buffer::Buffer;
use model::product::route;
use serde_json::{Value, json};

/// D, F, query heads, key heads, K, V and blocks of the policy.
const D: usize = 384;
const F: usize = 1024;
const HEADS: usize = 6;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 64;
const V: usize = 4096;
const BLOCKS: usize = 8;

/// Groups of a step, each a microbatch and a replica's work.
const GROUPS: usize = 4;

/// Completions of a group.
const COMPLETIONS: usize = 8;

/// Tokens of a prompt.
const PROMPT: usize = 140;

/// Tokens of a completion; the last one is predicted and never fed.
const TOKENS: usize = 128;

/// Rows of a microbatch, and what they are padded to here.
const TRAINED: usize = PROMPT + COMPLETIONS * (TOKENS - 1);
const PADDED: usize = TRAINED.next_multiple_of(8);

/// Rows of the head in a microbatch.
const PREDICTED: usize = COMPLETIONS * TOKENS;

/// Decoding steps of all replicas.
const DECODED: usize = GROUPS * (TOKENS - 1);

/// Times a pair is measured.
const ROUNDS: usize = 7;

/// Time that one side has in a round; at least one call.
const SLICE: Duration = Duration::from_millis(5);

/// Work that is measured by calling it.
type Work = Box<dyn FnMut()>;

/// One operation of a step, as it is done here and in ways that libtorch offers.
struct Operation {
    name: &'static str,
    /// Rows of the call here.
    rows: usize,
    /// Calls in a step.
    calls: usize,
    ours: Work,
    theirs: Vec<(&'static str, Work)>,
}

/// Where in a step an operation stands: rows here, rows that libtorch needs, calls for each block of the network.
#[derive(Clone, Copy)]
struct Place {
    name: &'static str,
    padded: usize,
    rows: usize,
    calls: usize,
}

/// A microbatch's forward and backward pass, a decoding step and a prompt's first pass.
const TRAINING: Place = Place { name: "training", padded: PADDED, rows: TRAINED, calls: GROUPS };
const DECODING: Place = Place { name: "decoding", padded: COMPLETIONS, rows: COMPLETIONS, calls: DECODED };
const PREFILL: Place = Place { name: "prompt", padded: PROMPT.next_multiple_of(8), rows: PROMPT, calls: GROUPS };

fn noise(len: usize) -> Buffer {
    // Multiples of an irrational number modulo 1: spread evenly, and no generator is needed.
    Buffer::from_slice(&(0..len).map(|i| (i as f64 * 0.618_033_988_75).fract() as f32 - 0.5).collect::<Vec<_>>())
}

/// Seconds of a call in a slice of time.
fn slice(work: &mut Work) -> f64 {
    let (start, mut calls) = (Instant::now(), 0);
    loop {
        work();
        calls += 1;
        let elapsed = start.elapsed();
        if elapsed >= SLICE {
            return elapsed.as_secs_f64() / f64::from(calls);
        }
    }
}

fn measure(place: Place, operation: Operation) -> Value {
    let Operation { name, rows, calls, mut ours, mut theirs } = operation;
    ours();
    theirs.iter_mut().for_each(|(_, way)| way());
    let (mut least, mut found) = (f64::INFINITY, vec![f64::INFINITY; theirs.len()]);
    for _ in 0..ROUNDS {
        least = least.min(slice(&mut ours));
        for (seconds, (_, way)) in found.iter_mut().zip(&mut theirs) {
            *seconds = seconds.min(slice(way));
        }
    }
    let best = (0..found.len()).min_by(|&a, &b| found[a].total_cmp(&found[b])).expect("libtorch has a way");
    json!({
        "name": name, "place": place.name, "rows": rows, "calls": calls,
        "ours": least, "theirs": found[best], "way": theirs[best].0,
    })
}

fn main() {
    tch::set_num_threads(1);
    let mut found = Vec::new();
    for place in [TRAINING, DECODING, PREFILL] {
        let operations = rows::operations(place).into_iter().chain(products::operations(place));
        for operation in operations.chain(attention::operations(place)) {
            found.push(measure(place, operation));
        }
    }
    println!("{}", json!({"route": route(), "pack": products::pack(), "operations": found}));
}
