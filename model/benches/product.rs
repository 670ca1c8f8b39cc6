//! Products at the shapes of a GRPO step: floating-point operations a second of one thread, and of four at once.
//!
//! The shapes are those of a 15M-parameter policy: D 384, F 1024, 6 query and 2 key heads of 64, V 4096. A decode step
//! has as many rows as a replica has completions, a training pass as many as a microbatch has tokens.

use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use model::buffer::Buffer;
use model::product::{Panels, add_weight_gradient, input_gradient, route};

/// Name, rows N and columns K of the weights.
const SHAPES: [(&str, usize, usize); 5] =
    [("qkv", 640, 384), ("output", 384, 384), ("gate_up", 2048, 384), ("down", 384, 1024), ("head", 4096, 384)];

/// Rows of a decode step of one replica.
const DECODE_ROWS: [usize; 3] = [1, 8, 32];

/// Rows of a microbatch: a prompt of 140 tokens and eight completions of 128.
const TRAIN_ROWS: usize = 1156;

/// Threads that multiply side by side, each its own product.
const THREADS: [usize; 2] = [1, 4];

fn noise(len: usize) -> Buffer {
    // Multiples of an irrational number modulo 1: spread evenly, and no generator is needed.
    Buffer::from_slice(&(0..len).map(|i| (i as f64 * 0.618_033_988_75).fract() as f32 - 0.5).collect::<Vec<_>>())
}

/// Measures `work`, made by `prepare` on each of the threads.
fn measure<W: FnMut()>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: &str,
    products: usize,
    prepare: impl Fn() -> W + Sync,
) {
    for threads in THREADS {
        group.throughput(Throughput::Elements((2 * products * threads) as u64));
        group.bench_function(format!("{id}/{threads}"), |bencher| {
            bencher.iter_custom(|n| {
                let run = || {
                    let mut work = prepare();
                    work();
                    let start = Instant::now();
                    (0..n).for_each(|_| work());
                    start.elapsed()
                };
                thread::scope(|scope| {
                    let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
                    let times = running.into_iter().map(|thread| thread.join().expect("no product panics"));
                    times.max().unwrap_or_default()
                })
            });
        });
    }
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(250))
        .configure_from_args();
    let mut group = criterion.benchmark_group(format!("product_{}", route()));
    for (name, n, k) in SHAPES {
        let weights = noise(n * k);
        for m in DECODE_ROWS.into_iter().chain([TRAIN_ROWS]) {
            measure(&mut group, &format!("{name}/forward/{m}"), m * n * k, || {
                let mut panels = Panels::new(n, k);
                panels.pack(&weights);
                let x = noise(m * k);
                move || drop(std::hint::black_box(panels.product(&x)))
            });
        }
        let m = TRAIN_ROWS;
        measure(&mut group, &format!("{name}/input_gradient/{m}"), m * n * k, || {
            let (weights, dy) = (weights.clone(), noise(m * n));
            move || drop(std::hint::black_box(input_gradient(&dy, &weights, k)))
        });
        measure(&mut group, &format!("{name}/weight_gradient/{m}"), m * n * k, || {
            let (dy, x, mut gradient) = (noise(m * n), noise(m * k), Buffer::zeros(n * k));
            move || add_weight_gradient(&dy, &x, k, std::hint::black_box(&mut gradient))
        });
    }
    group.finish();
    criterion.final_summary();
}
