//! What a layer of experts costs beside what it must: many rows beside fewer experts, few rows beside the reading of the
//! experts they go to.
//!
//! Prints one JSON object. The argument is one too, each part of which has a usual value: `{"threads": 4, "seconds": 1.0,
//! "width": D, "expert": F, "dtype": "f32", "chosen": k, "forward": [rows, [E, 4E]], "decode": [E, layers, [rows, …]]}`.
//! `forward` takes the seconds of one layer with each number of experts, and their ratio to the first. `decode` takes the
//! seconds of a layer for so many rows, one layer after the other so that weights come from memory, and those in which the
//! same threads add up as many numbers as the experts hold that these rows go to. Measurements take turns, and the least of
//! each step counts.

#![expect(clippy::print_stdout, reason = "the seconds are what it is run for")]

use std::hint::black_box;
use std::time::Instant;

use model::buffer::Buffer;
use model::config::Activation;
use model::config::Dtype;
use model::config::experts::{ExpertsConfig, Scoring};
use model::dispatch::Dispatch;
use model::grouped::{Stack, StackPanels};
use model::product::{Panels, route};
use model::router;
use model::team::{self, Team};
use serde::Deserialize;
use serde_json::{Value, json};

/// Different inputs that steps take one after the other.
const INPUTS: usize = 16;

/// Numbers that a thread adds up at a time.
const READ: usize = 1 << 14;

#[derive(Deserialize)]
#[serde(default)]
struct Asked {
    threads: usize,
    seconds: f64,
    width: usize,
    expert: usize,
    dtype: Dtype,
    chosen: usize,
    forward: (usize, Vec<usize>),
    decode: (usize, usize, Vec<usize>),
}

impl Default for Asked {
    fn default() -> Asked {
        Asked {
            threads: 4,
            seconds: 2.0,
            width: 512,
            expert: 256,
            dtype: Dtype::F32,
            chosen: 4,
            forward: (8192, vec![64, 256]),
            decode: (64, 4, vec![1, 8, 32]),
        }
    }
}

fn noise(len: usize, seed: usize) -> Buffer {
    // A multiplicative generator: experts must be chosen without a pattern.
    let mut state = seed as u64 * 2 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32 - 0.5
    };
    Buffer::from_slice(&(0..len).map(|_| next()).collect::<Vec<_>>())
}

/// A layer: the router, and the experts' two matrices as they are and laid out.
struct Layer {
    config: ExpertsConfig,
    router: Panels,
    stacks: [Stack; 2],
    weights: [Buffer; 2],
    panels: [StackPanels; 2],
    /// Weights in the place of a number in f32: two in bf16.
    per_number: usize,
}

impl Layer {
    fn new(asked: &Asked, n_experts: usize, seed: usize) -> Layer {
        let (d, f) = (asked.width, asked.expert);
        let stack = |rows, columns| Stack { rows, columns, stride: rows * columns, groups: n_experts };
        let stacks = [stack(2 * f, d), stack(d, f)];
        let weights = [0, 1].map(|i| noise(stacks[i].span(), 2 * seed + i));
        let panels = [0, 1].map(|i| {
            let mut panels = StackPanels::new(stacks[i], asked.dtype);
            panels.pack(&weights[i]);
            panels
        });
        let mut router = Panels::new(n_experts, d);
        router.pack(&noise(n_experts * d, seed + 1_000));
        let config = ExpertsConfig {
            n_experts,
            n_chosen: asked.chosen,
            width: f,
            shared_width: None,
            scoring: Scoring::Softmax,
            groups: None,
            normalise: true,
            scaling: 1.0,
            correction_bias: false,
        };
        let per_number = if asked.dtype == Dtype::Bf16 { 2 } else { 1 };
        Layer { config, router, stacks, weights, panels, per_number }
    }

    /// What a forward pass does with rows x `[N, D]`, to which it adds.
    fn forward(&self, x: &Buffer) -> Buffer {
        let (d, c) = (self.stacks[0].columns, &self.config);
        let routing = router::route(&self.router.product(x), None, c);
        let dispatch = Dispatch::new(&routing.chosen, c.n_chosen, c.n_experts);
        let gated = self.panels[0].gated_product(Activation::Silu, &dispatch.sort(x, d), dispatch.ends());
        let y = self.panels[1].product(&gated, dispatch.ends());
        let mut out = x.clone();
        dispatch.combine_onto(&mut out, &y, &routing.weights, d);
        out
    }

    /// The experts that rows x go to, in order.
    fn touched(&self, x: &Buffer) -> Vec<usize> {
        let mut chosen = router::route(&self.router.product(x), None, &self.config).chosen;
        chosen.sort_unstable();
        chosen.dedup();
        chosen.into_iter().map(|expert| expert as usize).collect()
    }

    /// Adds up all numbers of some experts, on the threads of the team.
    fn read(&self, experts: &[usize]) {
        for (stack, weights) in self.stacks.iter().zip(&self.weights) {
            let parts = stack.span() / stack.groups / READ / self.per_number;
            team::spread(parts * experts.len(), 1, |items| {
                let mut sums = [0.0; 64];
                for item in items {
                    let matrix = &weights[stack.matrix(experts[item / parts])];
                    for numbers in matrix[item % parts * READ..][..READ].chunks_exact(sums.len()) {
                        sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
                    }
                }
                black_box(sums);
            });
        }
    }
}

/// The least seconds that each of `works` takes for each of so many cells, added up over the cells. They take turns for
/// so long.
fn least(seconds: f64, cells: usize, works: &mut [&mut dyn FnMut(usize)]) -> Vec<f64> {
    let mut best = vec![vec![f64::INFINITY; cells]; works.len()];
    let begin = Instant::now();
    let mut turn = 0;
    while turn < 3 || begin.elapsed().as_secs_f64() < seconds {
        for (work, best) in works.iter_mut().zip(&mut best) {
            for (cell, best) in best.iter_mut().enumerate() {
                let start = Instant::now();
                work(cell);
                *best = best.min(start.elapsed().as_secs_f64());
            }
        }
        turn += 1;
    }
    best.into_iter().map(|cells| cells.into_iter().sum()).collect()
}

fn forward(asked: &Asked) -> Value {
    let (rows, experts) = &asked.forward;
    let layers: Vec<Layer> = experts.iter().map(|&n| Layer::new(asked, n, n)).collect();
    let x = noise(rows * asked.width, 7);
    let mut works: Vec<_> = layers.iter().map(|layer| |_| drop(black_box(layer.forward(&x)))).collect();
    let mut works: Vec<&mut dyn FnMut(usize)> = works.iter_mut().map(|work| work as _).collect();
    let seconds = least(asked.seconds, 1, &mut works);
    let ratios: Vec<f64> = seconds.iter().map(|one| one / seconds[0]).collect();
    json!({"rows": rows, "experts": experts, "seconds": seconds, "ratios": ratios})
}

fn decode(asked: &Asked) -> Value {
    let (n_experts, n_layers, rows) = &asked.decode;
    let layers: Vec<Layer> = (0..*n_layers).map(|i| Layer::new(asked, *n_experts, i)).collect();
    let cells = rows.iter().map(|&rows| {
        let inputs: Vec<Buffer> = (0..INPUTS).map(|i| noise(rows * asked.width, 100 + i)).collect();
        // One layer after the other, each with all inputs.
        let cells = INPUTS * n_layers;
        let of = |cell: usize| (&layers[cell % n_layers], &inputs[cell / n_layers]);
        let touched: Vec<Vec<usize>> = (0..cells).map(|cell| of(cell).0.touched(of(cell).1)).collect();
        let mut compute = |cell| {
            let (layer, x) = of(cell);
            drop(black_box(layer.forward(x)));
        };
        let mut read = |cell: usize| of(cell).0.read(&touched[cell]);
        let seconds = least(asked.seconds, cells, &mut [&mut compute, &mut read]);
        let n_touched: usize = touched.iter().map(Vec::len).sum();
        let bytes = 4.0 * (n_touched * 3 * asked.width * asked.expert / layers[0].per_number) as f64;
        json!({
            "rows": rows,
            "experts_touched": n_touched as f64 / cells as f64,
            "seconds": seconds[0] / cells as f64,
            "read_seconds": seconds[1] / cells as f64,
            "read_gb": bytes / seconds[1] / 1e9,
            "ratio": seconds[0] / seconds[1],
        })
    });
    Value::Array(cells.collect())
}

fn main() {
    let argument = std::env::args().skip(1).find(|argument| argument.starts_with('{'));
    let asked: Asked = serde_json::from_str(argument.as_deref().unwrap_or("{}")).expect("what is described above");
    let mut team = Team::new(asked.threads);
    let (forward, decode) = team.lead(|| (forward(&asked), decode(&asked)));
    println!("{}", json!({"route": route(), "forward": forward, "decode": decode}));
}
