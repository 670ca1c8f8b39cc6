//! How fast this machine multiplies and copies, at shapes that the caller names: the limits that a step is compared to.
//!
//! Prints one JSON object. The argument is one too: `{"threads": 4, "slices": 5, "seconds": 0.01, "copy": true, "cells":
//! [["name", "forward", N, K, M, copies, m, matrices], …]}`. Of each cell four rates are taken: one product of M rows by
//! libtorch and by this crate, each with all threads, and `copies` products of m rows side by side by either, each on a
//! thread of its own; a rate is the best of so many slices of so many seconds. One call after the other takes the next of
//! so many matrices: with one, weights are in the cache; with as many as make up a network's size, they come from where a
//! network's weights come from. A kind is `forward`, `input_gradient` or `weight_gradient`. With `copy`, copying is
//! measured too. Without an argument a decoding step of a 15M-parameter policy is measured.

#![expect(clippy::print_stdout, reason = "the rates are what it is run for")]

use std::hint::black_box;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use model::buffer::Buffer;
use model::product::{Panels, add_weight_gradient, input_gradient, route};
use model::team::Team;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tch::Tensor;

/// A call of more billions than this is so long that two slices do.
const LONG_CALL: f64 = 4.0;

/// Slices of a copy are so many times as long as those of a product.
const COPY_TIMES: f64 = 5.0;

/// Numbers that one thread copies in a call.
const COPIED: usize = 1 << 24;

#[derive(Deserialize)]
struct Asked {
    threads: usize,
    #[serde(flatten)]
    slices: Slices,
    copy: bool,
    cells: Vec<Cell>,
}

/// How often a rate is taken, the largest of which counts, and how long each time.
#[derive(Clone, Copy, Deserialize)]
struct Slices {
    slices: usize,
    seconds: f64,
}

/// Name, kind, N, K, M, copies, m and matrices, as described above.
type Cell = (String, Kind, usize, usize, usize, usize, usize, usize);

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Forward,
    InputGradient,
    WeightGradient,
}

fn noise(len: usize) -> Buffer {
    // Multiples of an irrational number modulo 1: spread evenly, and no generator is needed.
    Buffer::from_slice(&(0..len).map(|i| (i as f64 * 0.618_033_988_75).fract() as f32 - 0.5).collect::<Vec<_>>())
}

/// Weight matrices `[N, K]` of equal numbers in places of their own, each as rows and as panels.
struct Weights {
    n: usize,
    k: usize,
    matrices: Vec<(Buffer, Panels)>,
}

impl Weights {
    fn new(n: usize, k: usize) -> Weights {
        Weights { n, k, matrices: Vec::new() }
    }

    /// The first so many matrices, made where there are fewer.
    fn first(&mut self, matrices: usize) -> &[(Buffer, Panels)] {
        while self.matrices.len() < matrices {
            let weights = self.matrices.first().map_or_else(|| noise(self.n * self.k), |(weights, _)| weights.clone());
            let mut panels = Panels::new(self.n, self.k);
            panels.pack(&weights);
            self.matrices.push((weights, panels));
        }
        &self.matrices[..matrices]
    }
}

/// A product `[M, K] · [N, K]ᵀ` or one of its gradients, with what it reads.
struct Product<'w> {
    kind: Kind,
    n: usize,
    k: usize,
    /// Matrices that take turns.
    weights: &'w [(Buffer, Panels)],
    x: Buffer,
    dy: Buffer,
}

impl<'w> Product<'w> {
    fn new(kind: Kind, weights: &'w mut Weights, rows: usize, matrices: usize) -> Product<'w> {
        let (n, k) = (weights.n, weights.k);
        Product { kind, n, k, weights: weights.first(matrices), x: noise(rows * k), dy: noise(rows * n) }
    }

    /// By this crate, on the first `rows` rows.
    fn own(&self, rows: usize) -> impl FnMut() + use<'_, 'w> {
        let (x, dy) = (&self.x[..rows * self.k], &self.dy[..rows * self.n]);
        let mut gradient = self.gradient();
        let mut turn = self.weights.iter().cycle();
        move || {
            let (weights, panels) = turn.next().expect("there is at least one matrix");
            match self.kind {
                Kind::Forward => drop(black_box(panels.product(x))),
                Kind::InputGradient => drop(black_box(input_gradient(dy, weights, self.k))),
                Kind::WeightGradient => add_weight_gradient(dy, x, self.k, black_box(&mut gradient)),
            }
        }
    }

    /// By libtorch, with as many threads as are set for the calling one.
    fn libtorch(&self, rows: usize) -> impl FnMut() + use<'w> {
        let k = self.k;
        let kind = self.kind;
        let weights: Vec<Tensor> = self.weights.iter().map(|(weights, _)| weights.rows(k)).collect();
        let x = self.x.rows(k).narrow(0, 0, rows as i64);
        let dy = self.dy.rows(self.n).narrow(0, 0, rows as i64);
        let mut gradient = self.gradient().rows(k);
        let mut turn = (0..weights.len()).cycle();
        move || {
            let weights = &weights[turn.next().expect("there is at least one matrix")];
            match kind {
                Kind::Forward => drop(black_box(x.linear(weights, None::<&Tensor>))),
                Kind::InputGradient => drop(black_box(dy.matmul(weights))),
                Kind::WeightGradient => drop(black_box(gradient.addmm_(&dy.transpose(0, 1), &x))),
            }
        }
    }

    fn gradient(&self) -> Buffer {
        Buffer::zeros(if matches!(self.kind, Kind::WeightGradient) { self.n * self.k } else { self.k })
    }
}

/// `amount` ÷ second of `copies` threads that each repeat what `prepare` makes: the best of some slices.
fn rate<W: FnMut()>(copies: usize, amount: f64, slices: Slices, prepare: impl Fn() -> W + Sync) -> f64 {
    let together = Barrier::new(copies);
    let measure = || slices.rates(amount, &together, &mut prepare());
    let rates: Vec<Vec<f64>> = thread::scope(|scope| {
        let running: Vec<_> = (0..copies).map(|_| scope.spawn(measure)).collect();
        running.into_iter().map(|thread| thread.join().expect("no product panics")).collect()
    });
    (0..rates[0].len()).map(|slice| rates.iter().map(|of| of[slice]).sum()).fold(0.0, f64::max)
}

impl Slices {
    /// `amount` ÷ second of this thread in each slice; all threads at `together` begin a slice at once.
    fn rates(self, amount: f64, together: &Barrier, work: &mut impl FnMut()) -> Vec<f64> {
        work();
        let slice = Duration::from_secs_f64(self.seconds);
        let rate = |_| {
            together.wait();
            let (start, mut calls) = (Instant::now(), 0.0);
            loop {
                work();
                calls += 1.0;
                let elapsed = start.elapsed();
                if elapsed >= slice {
                    return calls * amount / elapsed.as_secs_f64();
                }
            }
        };
        let many = if amount > LONG_CALL { self.slices.min(2) } else { self.slices };
        (0..many).map(rate).collect()
    }
}

fn main() {
    let argument = std::env::args().skip(1).find(|argument| argument.starts_with('{'));
    let usual = r#"{"threads": 4, "slices": 5, "seconds": 0.01, "copy": true, "cells": [
        ["qkv", "forward", 640, 384, 32, 4, 8, 1], ["output", "forward", 384, 384, 32, 4, 8, 1],
        ["gate_up", "forward", 2048, 384, 32, 4, 8, 1], ["down", "forward", 384, 1024, 32, 4, 8, 1],
        ["head", "forward", 4096, 384, 32, 4, 8, 1]]}"#;
    let asked: Asked = serde_json::from_str(argument.as_deref().unwrap_or(usual)).expect("cells as described above");
    let (threads, slices) = (asked.threads, asked.slices);
    let (mut cells, mut weights) = (Map::new(), Weights::new(0, 0));
    for (name, kind, n, k, rows, copies, apart, matrices) in asked.cells {
        if (weights.n, weights.k) != (n, k) {
            weights = Weights::new(n, k);
        }
        let product = Product::new(kind, &mut weights, rows.max(apart), matrices);
        let amount = |rows: usize| 2.0 * (rows * n * k) as f64 / 1e9;
        let with = |threads: usize, rows: usize| {
            let product = &product;
            move || {
                tch::set_num_threads(threads as i32);
                product.libtorch(rows)
            }
        };
        let mut team = Team::new(threads);
        let own_together = {
            let mut work = product.own(rows);
            // A team has one leader: its calls are made here and not on a thread of `rate`.
            let rates = team.lead(|| slices.rates(amount(rows), &Barrier::new(1), &mut work));
            rates.into_iter().fold(0.0, f64::max)
        };
        drop(team);
        let rates = json!({
            "libtorch_together": rate(1, amount(rows), slices, with(threads, rows)),
            "libtorch_apart": rate(copies, amount(apart), slices, with(1, apart)),
            "grouper_together": own_together,
            "grouper_apart": rate(copies, amount(apart), slices, || product.own(apart)),
        });
        cells.insert(name, rates);
    }
    let copy = || {
        let (from, mut to) = (vec![1f32; COPIED], vec![0f32; COPIED]);
        move || black_box(&mut to).copy_from_slice(black_box(&from))
    };
    let bytes = 8.0 * COPIED as f64 / 1e9;
    let longer = Slices { seconds: COPY_TIMES * slices.seconds, ..slices };
    let copied: Value = match asked.copy {
        true => json!({"one": rate(1, bytes, longer, copy), "all": rate(threads, bytes, longer, copy)}),
        false => Value::Null,
    };
    println!("{}", json!({"route": route(), "gflops": cells, "copy_gb": copied}));
}
