use serde::Deserialize;

use super::*;
use crate::schedule::Decay;

#[derive(Deserialize)]
struct Golden {
    config: OptimizerConfig,
    schedule: Schedule,
    decayed: usize,
    start: Vec<f32>,
    steps: Vec<GoldenStep>,
}

#[derive(Deserialize)]
struct GoldenStep {
    gradient: Vec<f32>,
    grad_norm: f64,
    lr: f64,
    weights: Vec<f64>,
}

fn golden() -> Golden {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/optimizer.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// 20 moves of torch.optim.AdamW (scripts/golden/optimizer.py), each weight within 1e-6 of its size.
#[test]
fn moves_as_torch_does() {
    let golden = golden();
    let config = OptimizerConfig { schedule: golden.schedule, ..golden.config };
    assert_eq!(config.schedule.decay, Decay::Cosine);
    let len = golden.start.len();
    let mut optimizer = Optimizer::over(spans(len, std::iter::once(0..golden.decayed)), &config);
    let mut weights = golden.start;
    let mut clipped = 0;
    for (i, expected) in golden.steps.iter().enumerate() {
        let report = optimizer.step(&mut weights, &expected.gradient, i as u64 + 1, 20, 2).unwrap();
        assert!((report.grad_norm / expected.grad_norm - 1.0).abs() < 1e-12, "step {}: {report:?}", i + 1);
        assert!((report.lr - expected.lr).abs() < 1e-15, "step {}: {report:?}", i + 1);
        assert_eq!(report.clipped, expected.grad_norm > config.max_grad_norm);
        clipped += usize::from(report.clipped);
        for (found, expected) in weights.iter().zip(&expected.weights) {
            assert!((f64::from(*found) / expected - 1.0).abs() < 1e-6, "step {}: {found}, not {expected}", i + 1);
        }
    }
    assert_eq!((golden.steps.len(), clipped), (20, 8), "some gradients are clipped and some are not");
}

fn numbers(len: usize, seed: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 2_654_435_761 + seed * 40_503) % 10_007) as f32 / 5_000.0 - 1.0).collect()
}

fn decaying() -> OptimizerConfig {
    OptimizerConfig { lr: 1e-2, weight_decay: 0.1, max_grad_norm: 0.5, ..OptimizerConfig::default() }
}

/// The numbers of the moments.
fn wide(optimizer: &Optimizer) -> [Vec<f32>; 2] {
    match optimizer.state().0 {
        Moments::F32(both) => both.each_ref().map(|moment| moment.to_vec()),
        Moments::Bf16(both) => both.each_ref().map(|moment| moment.iter().map(|x| x.to_f32()).collect()),
    }
}

/// Weights and moments after three moves of an awkward number of parameters.
fn after_moves(moments: MomentsDtype, workers: usize) -> Vec<Vec<u32>> {
    let (len, config) = (2 * NORM_BLOCK + 37, OptimizerConfig { moments, ..decaying() });
    let mut optimizer = Optimizer::over(spans(len, [16..1_003, 70_000..len - 5].into_iter()), &config);
    let mut weights = numbers(len, 0);
    for update in 1..=3 {
        optimizer.step(&mut weights, &numbers(len, update as usize), update, 3, workers).unwrap();
    }
    assert_eq!(optimizer.state().1, 3);
    let [first, second] = wide(&optimizer);
    [weights, first, second].map(|numbers| numbers.iter().map(|x| x.to_bits()).collect()).into()
}

#[test]
fn workers_change_no_bit() {
    for moments in [MomentsDtype::F32, MomentsDtype::Bf16] {
        let alone = after_moves(moments, 1);
        for workers in [0, 2, 3, 4, 7, 64] {
            assert!(after_moves(moments, workers) == alone, "{moments:?} by {workers} workers");
        }
    }
}

/// However wide the vectors are, each number moves by the formula, one operation after the other.
#[test]
fn every_bit_is_the_formulas() {
    for moments in [MomentsDtype::F32, MomentsDtype::Bf16] {
        by_the_formula(moments);
    }
}

fn by_the_formula(moments: MomentsDtype) {
    // A bf16 is chosen by its neighbours' distances, ties to the even one; they are exact in f64.
    let kept = |x: f32| {
        if moments == MomentsDtype::F32 {
            return x;
        }
        let below = f32::from_bits(x.to_bits() & 0xffff_0000);
        let above = f32::from_bits((x.to_bits() & 0xffff_0000) + 0x1_0000);
        let [down, up] = [below, above].map(|y| (f64::from(x) - f64::from(y)).abs());
        let even = below.to_bits() & 0x1_0000 == 0;
        if down < up || (down == up && even) { below } else { above }
    };
    let (len, config) = (NORM_BLOCK + 37, OptimizerConfig { moments, ..decaying() });
    let mut optimizer = Optimizer::over(spans(len, std::iter::once(0..len)), &config);
    let mut weights = numbers(len, 0);
    let (mut by_hand, mut first, mut second) = (weights.clone(), vec![0f32; len], vec![0f32; len]);
    for update in 1..=3 {
        let gradient = numbers(len, update as usize);
        let report = optimizer.step(&mut weights, &gradient, update, 3, 3).unwrap();
        let clip = clip_scale(report.grad_norm, config.max_grad_norm);
        let rule = Rule::new(&config, report.lr, clip, update);
        for i in 0..len {
            let g = std::hint::black_box(gradient[i] * rule.clip);
            first[i] = rule.beta1 * first[i] + rule.rest1 * g;
            second[i] = rule.beta2 * second[i] + rule.rest2 * (g * g);
            let root = second[i].sqrt() * rule.root + rule.epsilon;
            by_hand[i] = by_hand[i] * rule.keep - rule.rate * first[i] / root;
            (first[i], second[i]) = (kept(first[i]), kept(second[i]));
        }
        let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert!(bits(&weights) == bits(&by_hand), "update {update}");
        let [m, v] = wide(&optimizer);
        assert!(bits(&m) == bits(&first) && bits(&v) == bits(&second), "update {update}");
    }
}

/// The largest second moment there may be would round to infinity.
#[test]
fn moments_in_bf16_stay_finite() {
    let config = OptimizerConfig {
        beta1: 0.0,
        beta2: 0.0,
        max_grad_norm: 0.0,
        moments: MomentsDtype::Bf16,
        ..OptimizerConfig::default()
    };
    let mut optimizer = Optimizer::over(spans(2, std::iter::once(0..2)), &config);
    let mut weights = [1.0, 1.0];
    optimizer.step(&mut weights, &[1.844_674_3e19, 1.0], 1, 2, 1).unwrap();
    let [m, v] = wide(&optimizer);
    assert!(v[0] > 3.38e38 && v[0].is_finite() && m[0].is_finite(), "{m:?} {v:?}");
    optimizer.step(&mut weights, &[1.0, 1.0], 2, 2, 1).unwrap();
    assert!(weights.iter().all(|w| w.is_finite()));
}

/// At the rate that a second moment decays with in DeepSeek-V3, moments in bf16 move weights as those in f32 do, up to
/// what a rounding to eight bits is.
#[test]
fn moments_in_bf16_follow_f32() {
    let moved = |moments| {
        let config = OptimizerConfig { beta2: 0.95, moments, ..decaying() };
        let mut optimizer = Optimizer::over(spans(4_000, std::iter::once(0..4_000)), &config);
        let start = numbers(4_000, 0);
        let mut weights = start.clone();
        for update in 1..=50 {
            optimizer.step(&mut weights, &numbers(4_000, update as usize), update, 50, 2).unwrap();
        }
        weights.iter().zip(start).map(|(w, s)| f64::from(w - s)).collect::<Vec<_>>()
    };
    let [a, b] = [MomentsDtype::F32, MomentsDtype::Bf16].map(moved);
    let norm = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>().sqrt();
    let off = norm(&a.iter().zip(&b).map(|(a, b)| a - b).collect::<Vec<_>>());
    assert!(off > 0.0 && off <= norm(&a) / 128.0, "{off} of {}", norm(&a));
}

#[test]
fn only_what_decays_decays() {
    let config = OptimizerConfig { lr: 0.1, weight_decay: 0.5, ..OptimizerConfig::default() };
    let mut optimizer = Optimizer::over(spans(6, [1..2, 3..5].into_iter()), &config);
    let mut weights = [1.0; 6];
    optimizer.step(&mut weights, &[0.0; 6], 1, 1, 1).unwrap();
    assert_eq!(weights, [1.0, 0.95, 1.0, 0.95, 0.95, 1.0]);
}

#[test]
fn spans_cover_everything_once() {
    let of = |decayed: &[Range<usize>]| -> Vec<(Range<usize>, bool)> {
        spans(10, decayed.iter().cloned()).into_iter().map(|span| (span.range, span.decay)).collect()
    };
    assert_eq!(of(&[]), [(0..10, false)]);
    assert_eq!(of(&[0..4, 4..10]), [(0..10, true)]);
    assert_eq!(of(&[2..4, 4..5, 8..10]), [(0..2, false), (2..5, true), (5..8, false), (8..10, true)]);
}

#[test]
fn what_is_not_finite_moves_nothing() {
    let mut optimizer = Optimizer::over(spans(3, std::iter::once(0..3)), &decaying());
    let mut weights = [1.0, 2.0, 3.0];
    optimizer.step(&mut weights, &[0.1, 0.2, 0.3], 1, 9, 1).unwrap();
    let before = (weights, wide(&optimizer), optimizer.moves);
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 1e20] {
        let refused = optimizer.step(&mut weights, &[0.0, bad, 0.0], 2, 9, 2).unwrap_err();
        assert!(refused.to_string().contains("weights left as they were"), "{refused}");
        let after = (weights, wide(&optimizer), optimizer.moves);
        assert_eq!(after, before, "{bad}");
    }
    optimizer.step(&mut weights, &[0.1, 0.2, 0.3], 3, 9, 1).unwrap();
    assert_eq!(optimizer.moves, 2, "a refused move does not advance the bias correction");
}

#[test]
fn a_restored_optimizer_goes_on() {
    let run = |moments: MomentsDtype, stop: bool| {
        let config = OptimizerConfig { moments, ..decaying() };
        let mut optimizer = Optimizer::over(spans(40, std::iter::once(0..20)), &config);
        let mut weights = numbers(40, 9);
        for update in 1..=6 {
            if stop && update == 4 {
                let mut next = Optimizer::over(spans(40, std::iter::once(0..20)), &config);
                let (moments, moves) = optimizer.state();
                match (moments, next.restore(moves)) {
                    (Moments::F32(from), Moments::F32(to)) => (0..2).for_each(|i| to[i].copy_from_slice(&from[i])),
                    (Moments::Bf16(from), Moments::Bf16(to)) => (0..2).for_each(|i| to[i].copy_from_slice(&from[i])),
                    _ => panic!("both keep {:?}", config.moments),
                }
                optimizer = next;
            }
            optimizer.step(&mut weights, &numbers(40, update as usize), update, 6, 1).unwrap();
        }
        weights
    };
    let [wide, half] = [MomentsDtype::F32, MomentsDtype::Bf16];
    assert_eq!(run(wide, true), run(wide, false));
    assert_eq!(run(half, true), run(half, false));
    assert_ne!(run(half, false), run(wide, false));
}

#[test]
fn norm_by_hand() {
    assert_eq!(global_norm(&[3.0, 0.0, -4.0], 1), 5.0);
    assert_eq!(global_norm(&[], 4), 0.0);
    assert_eq!(global_norm(&[3e38, 0.0], 1), f64::from(3e38f32), "no square overflows");
    // Squares of whole numbers add up exactly, in any order.
    let whole: Vec<f32> = (0..5 * NORM_BLOCK + 11).map(|i| (i % 1_009) as f32 - 500.0).collect();
    let exact = whole.iter().map(|&x| (x as i64).pow(2)).sum::<i64>() as f64;
    let rounded = numbers(5 * NORM_BLOCK + 11, 3);
    for workers in 1..9 {
        assert_eq!(global_norm(&whole, workers), exact.sqrt());
        assert_eq!(global_norm(&rounded, workers), global_norm(&rounded, 1));
    }
}

#[test]
fn layout_decides_what_decays() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/qwen2");
    let layout = Layout::new(&model::config::ModelConfig::from_folder(folder.as_ref()).unwrap());
    let config = OptimizerConfig { lr: 0.1, weight_decay: 0.5, ..OptimizerConfig::default() };
    let mut optimizer = Optimizer::new(&layout, &config);
    let mut weights = vec![1.0; layout.len()];
    optimizer.step(&mut weights, &vec![0.0; layout.len()], 1, 1, 1).unwrap();
    for parameter in layout.parameters() {
        let expected = if parameter.decay() { 0.95 } else { 1.0 };
        assert!(weights[parameter.range()].iter().all(|w| *w == expected), "{}", parameter.name);
    }
}

/// The same operations in the same order. libtorch's square root and the order of the norm's sum may change last places:
/// a move is 0.01, so three of them are within 1e-8 of the host's before the weight itself is rounded.
#[test]
fn on_a_device_the_weights_move_alike() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/qwen2");
    let layout = Layout::new(&model::config::ModelConfig::from_folder(&folder).unwrap());
    for (max_grad_norm, moments) in [(0.0, MomentsDtype::F32), (0.5, MomentsDtype::F32), (0.5, MomentsDtype::Bf16)] {
        let config = OptimizerConfig { max_grad_norm, moments, ..decaying() };
        let mut weights = numbers(layout.len(), 1);
        let on_device = tch::Tensor::from_slice(&weights);
        let (mut host, mut device) =
            (Optimizer::new(&layout, &config), DeviceOptimizer::new(&layout, &on_device, &config));
        for update in 1..=3 {
            let gradient = numbers(layout.len(), 1 + update as usize);
            let expected = host.step(&mut weights, &gradient, update, 3, 1).unwrap();
            let found = device.step(&on_device, &tch::Tensor::from_slice(&gradient), update, 3).unwrap();
            assert!((found.grad_norm / expected.grad_norm - 1.0).abs() < 1e-12);
            assert_eq!((found.lr, found.clipped), (expected.lr, expected.clipped));
        }
        let found = Vec::<f32>::try_from(on_device.shallow_clone()).unwrap();
        assert!(found.iter().zip(&weights).all(|(a, b)| (a - b).abs() <= 1e-8 + 3.0 * f32::EPSILON * b.abs()));
        let poisoned = tch::Tensor::from_slice(&vec![f32::NAN; layout.len()]);
        assert!(device.step(&on_device, &poisoned, 4, 4).unwrap_err().grad_norm.is_nan());
        assert_eq!(Vec::<f32>::try_from(on_device).unwrap(), found, "weights are as they were");
    }
}
