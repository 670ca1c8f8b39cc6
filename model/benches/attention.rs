//! Attention at the shapes of training and decoding: time of a call, and multiply-adds a second of one thread and of
//! a team.
//!
//! Forward and backward passes are those of one sequence, causal, and of eight completions behind one prompt. A decoding
//! step has one query a row: rows of one group share the pages of their prompt.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use model::attention::step::{Angles, Columns, Pages, StepRows, attention_step, page_floats};
use model::attention::{AttentionSaved, Heads, Segment, TILE, attention, attention_backward};
use model::buffer::Buffer;
use model::product::route;
use model::team::Team;

/// Heads of a 15M-parameter policy, and of one with wider heads.
fn heads() -> [Heads; 2] {
    [Heads::new(6, 2, 64), Heads::new(4, 1, 128)]
}

/// Lengths of one sequence.
const LENGTHS: [i32; 6] = [128, 512, 1024, 2048, 4096, 16384];

/// Rows of a prompt and of each of the completions behind it.
const GROUP: (i32, i32, i32) = (140, 8, 128);

/// Rows of a decoding step, completions of one prompt among them, and the first and last of their lengths.
const DECODES: [(usize, usize, usize, usize); 3] = [(1, 1, 100, 250), (8, 8, 100, 250), (32, 8, 100, 250)];

/// Threads of a team.
const THREADS: [usize; 2] = [1, 4];

fn noise(len: usize, seed: f64) -> Buffer {
    // Multiples of an irrational number modulo 1: spread evenly, and no generator is needed.
    let numbers = (0..len).map(|i| ((i as f64 + seed) * 0.618_033_988_75).fract() as f32 - 0.5);
    Buffer::from_slice(&numbers.collect::<Vec<_>>())
}

fn shapes() -> Vec<(String, Vec<Segment>)> {
    let alone = |length| vec![Segment { start: 0, length, prefix_start: 0, prefix_length: 0 }];
    let (prefix_length, completions, length) = GROUP;
    let behind = |i| Segment { start: prefix_length + i * length, length, prefix_start: 0, prefix_length };
    let group = alone(prefix_length).into_iter().chain((0..completions).map(behind)).collect();
    let mut shapes: Vec<_> = LENGTHS.into_iter().map(|length| (length.to_string(), alone(length))).collect();
    shapes.push((format!("{completions}x{length}_behind_{prefix_length}"), group));
    shapes
}

/// Pairs of a query and a key that it sees.
fn pairs(segments: &[Segment]) -> usize {
    segments.iter().map(|s| (s.length * s.prefix_length + s.length * (s.length + 1) / 2) as usize).sum()
}

fn train(criterion: &mut Criterion, heads: Heads, threads: usize) {
    let Heads { n_heads, n_kv_heads, head_dim, .. } = heads;
    let mut group = criterion.benchmark_group(format!("attention_{}/{n_heads}x{head_dim}", route()));
    for (name, segments) in shapes() {
        let n: usize = segments.iter().map(|s| s.length as usize).sum();
        let (q, d_out) = (noise(n * n_heads * head_dim, 0.0), noise(n * n_heads * head_dim, 0.3));
        let (key, value) = (noise(n * n_kv_heads * head_dim, 0.5), noise(n * n_kv_heads * head_dim, 0.7));
        let (out, log_sum) = attention(&q, &key, &value, &segments, heads);
        let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &out, log_sum: &log_sum };
        // Scores and weighted values; backward those scores again, and the gradients of both sides of both products.
        let products = 2 * pairs(&segments) * n_heads * head_dim;
        let mut team = Team::new(threads);
        team.lead(|| {
            group.throughput(Throughput::Elements(2 * products as u64));
            group.bench_function(format!("forward/{name}/{threads}"), |bencher| {
                bencher.iter(|| black_box(attention(&q, &key, &value, &segments, heads)));
            });
            group.throughput(Throughput::Elements(5 * products as u64));
            group.bench_function(format!("backward/{name}/{threads}"), |bencher| {
                bencher.iter(|| black_box(attention_backward(&d_out, saved, &segments, heads)));
            });
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion, heads: Heads, threads: usize) {
    let Heads { n_heads, n_kv_heads, head_dim, .. } = heads;
    let mut group = criterion.benchmark_group(format!("attention_{}/{n_heads}x{head_dim}", route()));
    let layers = 6;
    let stride = layers * page_floats(heads);
    for (rows, siblings, first, last) in DECODES {
        let max_pages = last.div_ceil(TILE);
        // The prompt's full pages belong to all of a group, the others to one row each.
        let shared = first / TILE;
        let page =
            |row: usize, at: usize| (if at < shared { row / siblings * siblings } else { row } * max_pages + at) as i32;
        let table: Vec<i32> = (0..rows * max_pages).map(|i| page(i / max_pages, i % max_pages)).collect();
        let lengths: Vec<i32> = (0..rows).map(|row| (first + (last - first) * (row + 1) / rows) as i32).collect();
        let positions: Vec<i32> = lengths.iter().map(|length| length - 1).collect();
        let starts: Vec<i32> = (0..=rows as i32).collect();
        let mut arena = noise(rows * max_pages * stride, 0.2);
        let joint = noise(rows * (n_heads + 2 * n_kv_heads) * head_dim, 0.9);
        let columns = |from: usize| Columns { numbers: &joint[from * head_dim..], step: joint.len() / rows };
        let (q, key, value) = (columns(0), columns(n_heads), columns(n_heads + n_kv_heads));
        let step = StepRows { q, key, value, positions: &positions, starts: &starts, table: &table };
        let (cosine, sine) = (noise(last * head_dim / 2, 0.7), noise(last * head_dim / 2, 0.3));
        let angles = Angles { cosine: &cosine, sine: &sine };
        let pairs: usize = lengths.iter().map(|&length| length as usize).sum();
        let mut team = Team::new(threads);
        team.lead(|| {
            group.throughput(Throughput::Elements((layers * 4 * pairs * n_heads * head_dim) as u64));
            group.bench_function(format!("decode/{rows}/{threads}"), |bencher| {
                // All layers, as a step does: what one layer reads is not in the cache when its turn comes again.
                bencher.iter(|| {
                    let mut pages = Pages::new(&mut arena, stride);
                    for layer in 0..layers {
                        black_box(attention_step(&step, &mut pages, layer, Some(angles), heads, rows));
                    }
                });
            });
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(250))
        .configure_from_args();
    for heads in heads() {
        for threads in THREADS {
            train(&mut criterion, heads, threads);
            decode(&mut criterion, heads, threads);
        }
    }
    criterion.final_summary();
}
