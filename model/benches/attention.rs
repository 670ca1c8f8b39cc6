//! Attention at the shapes of training and decoding: time of a call, and operations (two to a multiply-add) a second of one
//! thread and of a team.
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

/// Heads of a 15M-parameter policy, of one with wider heads, those of the first with a window; latents of a small policy and
/// of DeepSeek-V3.
fn heads() -> [Heads; 5] {
    let latents =
        |n_heads, rank, rope_dim| Heads { value_dim: rank, latent: true, ..Heads::new(n_heads, 1, rank + rope_dim) };
    let narrow = Heads::new(6, 2, 64);
    let window = Some(512);
    [narrow, Heads::new(4, 1, 128), Heads { window, ..narrow }, latents(8, 64, 16), latents(128, 512, 64)]
}

fn name(heads: Heads) -> String {
    let Heads { n_heads, head_dim, latent, window, .. } = heads;
    let kind = if latent { "_latent" } else { "" };
    let window = window.map_or(String::new(), |window| format!("_window_{window}"));
    format!("attention_{}/{n_heads}x{head_dim}{kind}{window}", route())
}

/// Operations of a call beyond which it takes too long to be repeated.
const LONGEST_CALL: usize = 1 << 38;

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
fn pairs(segments: &[Segment], heads: Heads) -> usize {
    let seen = |s: &Segment, row: i32| (s.prefix_length + row + 1) as usize;
    let seen =
        |s: &Segment| (0..s.length).map(|row| seen(s, row).min(heads.window.unwrap_or(usize::MAX))).sum::<usize>();
    segments.iter().map(seen).sum()
}

fn train(criterion: &mut Criterion, heads: Heads, threads: usize) {
    let mut group = criterion.benchmark_group(name(heads));
    for (name, segments) in shapes() {
        let pairs = 2 * pairs(&segments, heads) * heads.n_heads;
        // Scores and weighted values; backward those scores again, and the gradients of both sides of both products.
        let forward = pairs * (heads.head_dim + heads.value_dim);
        let backward = pairs * (3 * heads.head_dim + 2 * heads.value_dim);
        if backward > LONGEST_CALL {
            continue;
        }
        let n: usize = segments.iter().map(|s| s.length as usize).sum();
        let widths = heads.widths();
        let (q, d_out) = (noise(n * widths.q, 0.0), noise(n * widths.out, 0.3));
        let (key, value) = (noise(n * widths.key, 0.5), noise(n * widths.value, 0.7));
        let (out, log_sum) = attention(&q, &key, &value, &segments, heads);
        let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &out, log_sum: &log_sum };
        let mut team = Team::new(threads);
        team.lead(|| {
            group.throughput(Throughput::Elements(forward as u64));
            group.bench_function(format!("forward/{name}/{threads}"), |bencher| {
                bencher.iter(|| black_box(attention(&q, &key, &value, &segments, heads)));
            });
            group.throughput(Throughput::Elements(backward as u64));
            group.bench_function(format!("backward/{name}/{threads}"), |bencher| {
                bencher.iter(|| black_box(attention_backward(&d_out, saved, &segments, heads)));
            });
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion, heads: Heads, threads: usize) {
    let Heads { n_heads, head_dim, value_dim, .. } = heads;
    let widths = heads.widths();
    let mut group = criterion.benchmark_group(name(heads));
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
        let joint = noise(rows * (widths.q + widths.key + widths.value), 0.9);
        let columns = |from: usize| Columns { numbers: &joint[from..], step: joint.len() / rows };
        let (q, key, value) = (columns(0), columns(widths.q), columns(widths.q + widths.key));
        let step = StepRows { q, key, value, positions: &positions, starts: &starts, table: &table };
        let (cosine, sine) = (noise(last * head_dim / 2, 0.7), noise(last * head_dim / 2, 0.3));
        let angles = (!heads.latent).then_some(Angles { cosine: &cosine, sine: &sine });
        let pairs: usize = lengths.iter().map(|&length| length as usize).sum();
        let mut team = Team::new(threads);
        team.lead(|| {
            group.throughput(Throughput::Elements((layers * 2 * pairs * n_heads * (head_dim + value_dim)) as u64));
            group.bench_function(format!("decode/{rows}/{threads}"), |bencher| {
                // All layers, as a step does: what one layer reads is not in the cache when its turn comes again.
                bencher.iter(|| {
                    let mut pages = Pages::new(&mut arena, stride);
                    for layer in 0..layers {
                        black_box(attention_step(&step, &mut pages, layer, angles, heads, rows));
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
