//! Drawing a token: from a flat distribution as a fresh policy has it, from a peaked one as a trained policy has it, and
//! with truncation.

use std::hint::black_box;
use std::time::Duration;

use criterion::Criterion;
use model::philox::{Purpose, Stream};
use rollout::sampling::SamplingConfig;

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(500))
        .configure_from_args();
    let stream = Stream::new(7, Purpose::Rollout, 0, 0, 0);
    let plain = SamplingConfig::default();
    let nucleus = SamplingConfig { top_p: 0.95, ..plain.clone() };
    let few = SamplingConfig { top_k: 50, ..plain.clone() };
    let mut group = criterion.benchmark_group("draw");
    for vocabulary in [4096, 151_936] {
        for (shape, scale) in [("flat", 0.1), ("peaked", 3.0)] {
            let logits: Vec<f32> = (0..vocabulary).map(|id| scale * stream.normal(id)).collect();
            for (name, sampling) in [("all", &plain), ("top-p", &nucleus), ("top-k", &few)] {
                let mut position = 0;
                group.bench_function(format!("{vocabulary} {shape}, {name}"), |bencher| {
                    bencher.iter(|| {
                        position += 1;
                        sampling.draw(black_box(&logits), &stream, position)
                    });
                });
            }
        }
    }
    group.finish();
    criterion.final_summary();
}
