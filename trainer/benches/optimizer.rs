//! A move of the weights, numbers a second: the gradient's norm, AdamW, and the copy that products read, on one thread and
//! on four; beside them a plain copy of an array as long, which is what memory allows.

use std::thread;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use model::buffer::Buffer;
use model::config::ModelConfig;
use model::layout::Layout;
use model::product::Panels;
use model::team::Team;
use trainer::optimizer::{Optimizer, OptimizerConfig, global_norm};

const THREADS: [usize; 2] = [1, 4];

/// Rows and columns of the matrix that is laid out anew.
const MATRIX: (usize, usize) = (16_384, 1_024);

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(1000))
        .configure_from_args();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/qwen2");
    let config = ModelConfig::from_folder(folder.as_ref()).expect("the golden policy is there");
    let width = config.hidden_dim;
    let layout = Layout::new(&ModelConfig { vocab_size: (16 << 20) / width, ..config });
    let n = layout.len();
    let noise = |len: usize| (0..len).map(|i| (i as f64 * 0.618_033_988_75).fract() as f32 - 0.5).collect::<Vec<_>>();
    let (mut weights, gradient, mut other) = (Buffer::from_slice(&noise(n)), noise(n), Buffer::zeros(n));
    let mut optimizer = Optimizer::new(&layout, &OptimizerConfig::default());
    let (rows, columns) = MATRIX;
    let (matrix, mut panels) = (noise(rows * columns), Panels::new(rows, columns));

    let mut group = criterion.benchmark_group("move");
    group.throughput(Throughput::Elements(n as u64));
    for threads in THREADS {
        group.bench_function(format!("copy/{threads}"), |bencher| {
            bencher.iter(|| {
                let share = n.div_ceil(threads);
                thread::scope(|scope| {
                    for (to, from) in other.chunks_mut(share).zip(gradient.chunks(share)) {
                        scope.spawn(|| to.copy_from_slice(from));
                    }
                });
            });
        });
        group.bench_function(format!("norm/{threads}"), |bencher| bencher.iter(|| global_norm(&gradient, threads)));
        group.bench_function(format!("adamw/{threads}"), |bencher| {
            bencher.iter(|| optimizer.step(&mut weights, &gradient, 1, 1, threads).expect("the gradient is finite"));
        });
    }
    group.throughput(Throughput::Elements((rows * columns) as u64));
    for threads in THREADS {
        let mut team = Team::new(threads);
        group.bench_function(format!("panels/{threads}"), |bencher| {
            bencher.iter(|| team.lead(|| panels.pack(&matrix)));
        });
    }
    group.finish();
    criterion.final_summary();
}
