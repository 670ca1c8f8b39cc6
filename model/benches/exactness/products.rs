//! Products with the weights of a block and of the head, and their gradients.

use std::hint::black_box;
use std::time::Instant;

use model::product::{Panels, add_weight_gradient, input_gradient};
use tch::Tensor;

use super::{
    BLOCKS, COMPLETIONS, D, DECODED, DECODING, F, GROUPS, HEAD_DIM, HEADS, KV_HEADS, Operation, PREDICTED, PREFILL,
    Place, TRAINING, V, noise,
};

macro_rules! names {
    ($of:literal) => {
        [
            concat!("product ", $of),
            concat!("product ", $of, ", input gradient"),
            concat!("product ", $of, ", weight gradient"),
        ]
    };
}
/// Names of a product and its two gradients, N and K, and how many of them the network has.
const WEIGHTS: [([&str; 3], usize, usize, usize); 5] = [
    (names!("q, k, v"), (HEADS + 2 * KV_HEADS) * HEAD_DIM, D, BLOCKS),
    (names!("output"), D, HEADS * HEAD_DIM, BLOCKS),
    (names!("gate, up"), 2 * F, D, BLOCKS),
    (names!("down"), D, F, BLOCKS),
    (names!("head"), V, D, 1),
];

pub(super) fn operations(place: Place) -> Vec<Operation> {
    let mut all = Vec::new();
    for (names, n, k, count) in WEIGHTS {
        let head = count == 1;
        let at = match place.name {
            // A prompt's last row alone meets the head: with a decoding step's rows that is next to nothing.
            name if head && name == PREFILL.name => continue,
            name if head && name == DECODING.name => {
                Place { padded: COMPLETIONS, rows: COMPLETIONS, calls: DECODED, ..place }
            }
            _ if head => Place { padded: PREDICTED, rows: PREDICTED, calls: GROUPS, ..place },
            _ => Place { calls: place.calls * count, ..place },
        };
        all.push(forward(names[0], n, k, at));
        if place.name == TRAINING.name {
            all.extend([input(names[1], n, k, at), weight(names[2], n, k, at)]);
        }
    }
    all
}

fn forward(name: &'static str, n: usize, k: usize, place: Place) -> Operation {
    let (weights, x, mut panels) = (noise(n * k), noise(place.padded * k), Panels::new(n, k));
    panels.pack(&weights);
    let (w, t) = (weights.rows(k), x.rows(k).narrow(0, 0, place.rows as i64));
    Operation {
        name,
        rows: place.padded,
        calls: place.calls,
        ours: Box::new(move || drop(black_box(panels.product(&x)))),
        theirs: vec![("linear", Box::new(move || drop(black_box(t.linear(&w, None::<&Tensor>)))))],
    }
}

fn input(name: &'static str, n: usize, k: usize, place: Place) -> Operation {
    let (weights, dy) = (noise(n * k), noise(place.padded * n));
    let (w, t) = (weights.rows(k), dy.rows(n).narrow(0, 0, place.rows as i64));
    Operation {
        name,
        rows: place.padded,
        calls: place.calls,
        ours: Box::new(move || drop(black_box(input_gradient(&dy, &weights, k)))),
        theirs: vec![("matmul", Box::new(move || drop(black_box(t.matmul(&w)))))],
    }
}

fn weight(name: &'static str, n: usize, k: usize, place: Place) -> Operation {
    let (dy, x, mut gradient) = (noise(place.padded * n), noise(place.padded * k), noise(n * k));
    let (t_dy, t_x) = (dy.rows(n).narrow(0, 0, place.rows as i64), x.rows(k).narrow(0, 0, place.rows as i64));
    let mut total = noise(n * k).rows(k);
    Operation {
        name,
        rows: place.padded,
        calls: place.calls,
        ours: Box::new(move || add_weight_gradient(&dy, &x, k, black_box(&mut gradient))),
        theirs: vec![("addmm in place", Box::new(move || drop(black_box(total.addmm_(&t_dy.transpose(0, 1), &t_x)))))],
    }
}

/// Seconds that it takes to lay all weights out for products, once an update: libtorch needs no such thing.
pub(super) fn pack() -> f64 {
    let seconds = |(_, n, k, count): ([&str; 3], usize, usize, usize)| {
        let (weights, mut panels) = (noise(n * k), Panels::new(n, k));
        panels.pack(&weights);
        let least = (0..super::ROUNDS).map(|_| {
            let start = Instant::now();
            panels.pack(black_box(&weights));
            start.elapsed().as_secs_f64()
        });
        count as f64 * least.fold(f64::INFINITY, f64::min)
    };
    WEIGHTS.into_iter().map(seconds).sum()
}
