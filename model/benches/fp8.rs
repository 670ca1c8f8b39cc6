//! Products in FP8 beside those in f32: what a layer's three products take, by rows.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput};
use model::fp8::{Fp8Panels, Scales};
use model::product::{self, Panels};

/// Rows of a decoding step, and of a training pass.
const ROWS: [usize; 5] = [1, 8, 32, 256, 1024];

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    let (n, k) = (2048, 2048);
    let numbers = |count: usize| (0..count).map(|i| (i as f32 * 0.618).fract() - 0.5).collect::<Vec<f32>>();
    let weights = numbers(n * k);
    let (mut panels, mut coded) = (Panels::new(n, k), Fp8Panels::new(&[n], k, Scales::Largest));
    panels.pack(&weights);
    coded.pack(&weights);
    let mut gradient = vec![0.0; n * k];
    for rows in ROWS {
        let (x, dy) = (numbers(rows * k), numbers(rows * n));
        let mut group = criterion.benchmark_group(format!("{rows} rows"));
        group.throughput(Throughput::Elements((2 * rows * n * k) as u64));
        let mut measure = |name: &str, work: &mut dyn FnMut()| {
            group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(&mut *work));
        };
        measure("f32 forward", &mut || drop(black_box(panels.product(&x))));
        measure("fp8 forward", &mut || drop(black_box(coded.product(&x))));
        if rows < 256 {
            continue;
        }
        measure("f32 input gradient", &mut || drop(black_box(product::input_gradient(&dy, &weights, k))));
        measure("fp8 input gradient", &mut || drop(black_box(coded.input_gradient(&dy))));
        measure("f32 weight gradient", &mut || product::add_weight_gradient(&dy, &x, k, &mut gradient));
        measure("fp8 weight gradient", &mut || coded.add_weight_gradient(&dy, &x, &mut gradient));
    }
    let mut group = criterion.benchmark_group("once an update");
    group.bench_function("f32 pack", |b| b.iter(|| panels.pack(&weights)));
    group.bench_function("fp8 pack", |b| b.iter(|| coded.pack(&weights)));
    group.finish();
    criterion.final_summary();
}
