//! Operations on rows that know nothing of each other: RMSNorm, SwiGLU, RoPE, log-probabilities.

use std::hint::black_box;

use model::config::Activation;
use model::kernels::{self, Rotary, Rotation};
use tch::{Device, Kind, Tensor};

use super::{
    BLOCKS, COMPLETIONS, D, DECODED, DECODING, F, GROUPS, HEAD_DIM, HEADS, KV_HEADS, Operation, PREDICTED, PREFILL,
    Place, TRAINING, V, Work, noise,
};

const EPS: f64 = 1e-6;

pub(super) fn operations(place: Place) -> Vec<Operation> {
    let mut all = vec![norm(place), swiglu(place), rope(place)];
    if place.name == TRAINING.name {
        all.extend([norm_backward(place), swiglu_backward(place), logprobs_backward()]);
    }
    if place.name != PREFILL.name {
        all.push(logprobs(place));
    }
    all
}

/// The gradient of an output with respect to inputs, as often as it is called.
pub(super) fn gradient_of(output: Tensor, inputs: Vec<Tensor>) -> Work {
    Box::new(move || drop(black_box(Tensor::run_backward(&[&output], &inputs, true, false))))
}

fn norm(place: Place) -> Operation {
    let (x, w) = (noise(place.padded * D), noise(D));
    let (t, tw) = (x.rows(D).narrow(0, 0, place.rows as i64), w.rows(D).view([-1]));
    let (t2, tw2) = (t.shallow_clone(), tw.shallow_clone());
    Operation {
        name: "RMSNorm",
        rows: place.padded,
        calls: place.calls * 2 * BLOCKS,
        ours: Box::new(move || drop(black_box(kernels::rms_norm(&x, &w, 0.0, EPS as f32)))),
        theirs: vec![
            ("rms_norm", Box::new(move || drop(black_box(t.rms_norm([D as i64], Some(&tw), EPS))))),
            ("mean, rsqrt, mul", Box::new(move || drop(black_box(norm_by_hand(&t2, &tw2))))),
        ],
    }
}

fn norm_by_hand(x: &Tensor, w: &Tensor) -> Tensor {
    let square = (x * x).mean_dim(-1, true, Kind::Float);
    x * (square + EPS).rsqrt() * w
}

fn norm_backward(place: Place) -> Operation {
    let (x, w, dy) = (noise(place.padded * D), noise(D), noise(place.padded * D));
    let t = x.rows(D).narrow(0, 0, place.rows as i64).copy().set_requires_grad(true);
    let tw = w.rows(D).view([-1]).copy().set_requires_grad(true);
    let (_, rstd) = kernels::rms_norm(&x, &w, 0.0, EPS as f32);
    let mut dw = noise(D);
    let fused = gradient_of(t.rms_norm([D as i64], Some(&tw), EPS), vec![t.shallow_clone(), tw.shallow_clone()]);
    let by_hand = gradient_of(norm_by_hand(&t, &tw), vec![t, tw]);
    Operation {
        name: "RMSNorm, gradient",
        rows: place.padded,
        calls: place.calls * 2 * BLOCKS,
        ours: Box::new(move || drop(black_box(kernels::rms_norm_backward(&dy, &x, &w, 0.0, &rstd, None, &mut dw)))),
        theirs: vec![("rms_norm, autograd", fused), ("mean, rsqrt, mul, autograd", by_hand)],
    }
}

fn gated(gate_up: &Tensor) -> Tensor {
    let f = F as i64;
    gate_up.narrow(1, 0, f).silu() * gate_up.narrow(1, f, f)
}

fn swiglu(place: Place) -> Operation {
    let x = noise(place.padded * 2 * F);
    let t = x.rows(2 * F).narrow(0, 0, place.rows as i64);
    let t2 = t.shallow_clone();
    Operation {
        name: "SwiGLU",
        rows: place.padded,
        calls: place.calls * BLOCKS,
        ours: Box::new(move || drop(black_box(kernels::gated(Activation::Silu, &x, F)))),
        theirs: vec![
            ("silu, mul", Box::new(move || drop(black_box(gated(&t))))),
            (
                "silu, mul in place",
                Box::new(move || {
                    let f = F as i64;
                    let _ = black_box(t2.narrow(1, 0, f).silu().g_mul_(&t2.narrow(1, f, f)));
                }),
            ),
        ],
    }
}

fn swiglu_backward(place: Place) -> Operation {
    let (x, dy) = (noise(place.padded * 2 * F), noise(place.padded * F));
    let t = x.rows(2 * F).narrow(0, 0, place.rows as i64).copy().set_requires_grad(true);
    // A gate and an up of their own spare autograd the joining of their gradients.
    let f = F as i64;
    let [gate, up] = [0, f].map(|from| t.detach().narrow(1, from, f).copy().set_requires_grad(true));
    let apart = gradient_of(gate.silu() * &up, vec![gate, up]);
    let joint = gradient_of(gated(&t), vec![t]);
    let (mut d, mut d_gate_up) = (dy.to_vec(), x.to_vec());
    Operation {
        name: "SwiGLU, gradient",
        rows: place.padded,
        calls: place.calls * BLOCKS,
        // In place, so that its inputs are put there anew each time.
        ours: Box::new(move || {
            d.copy_from_slice(&dy);
            d_gate_up.copy_from_slice(&x);
            kernels::gated_backward(Activation::Silu, &mut d, &mut d_gate_up, F);
        }),
        theirs: vec![("silu, mul, autograd", joint), ("of two arrays, autograd", apart)],
    }
}

/// Queries and keys in one call; forward and backward are the same work, so training counts it twice.
fn rope(place: Place) -> Operation {
    let heads = HEADS + KV_HEADS;
    let n = place.padded;
    let positions: Vec<i32> = (0..n as i32).collect();
    let half = HEAD_DIM / 2;
    let [cosine, sine] = [f32::cos, f32::sin].map(|of| (0..n * half).map(|i| of(i as f32)).collect::<Vec<f32>>());
    let x = noise(n * heads * HEAD_DIM);
    let shape = [n as i64, heads as i64, HEAD_DIM as i64];
    let t = x.rows(HEAD_DIM).view(shape).narrow(0, 0, place.rows as i64);
    let table = |numbers: &[f32]| {
        let table = Tensor::from_slice(numbers).view([n as i64, 1, half as i64]).narrow(0, 0, place.rows as i64);
        (table.copy(), Tensor::cat(&[&table, &table], -1))
    };
    let ((c, cc), (s, ss)) = (table(&cosine), table(&sine));
    let (t2, t3, c2, s2) = (t.shallow_clone(), t.shallow_clone(), c.shallow_clone(), s.shallow_clone());
    let mut turned = x.to_vec();
    let ours = move || {
        let (queries, keys) = turned.split_at_mut(n * HEADS * HEAD_DIM);
        for part in [queries, keys] {
            kernels::rope(part, &positions, &cosine, &sine, Rotary::halves(HEAD_DIM), Rotation::Forward);
            black_box(part);
        }
    };
    let half = half as i64;
    let halves = move |t: &Tensor| (t.narrow(2, 0, half), t.narrow(2, half, half));
    Operation {
        name: "RoPE",
        rows: n,
        calls: place.calls * BLOCKS * if place.name == TRAINING.name { 2 } else { 1 },
        ours: Box::new(ours),
        theirs: vec![
            (
                "rotate_half",
                Box::new(move || {
                    let (a, b) = halves(&t);
                    drop(black_box(&t * &cc + Tensor::cat(&[-b, a], 2) * &ss));
                }),
            ),
            (
                "halves, cat",
                Box::new(move || {
                    let (a, b) = halves(&t2);
                    drop(black_box(Tensor::cat(&[&a * &c - &b * &s, &b * &c + &a * &s], 2)));
                }),
            ),
            (
                "halves into one array",
                Box::new(move || {
                    let (a, b) = halves(&t3);
                    let out = Tensor::empty_like(&t3);
                    let (to_a, to_b) = halves(&out);
                    let (mut to_a, mut to_b) = (a.mul_out(&to_a, &c2), b.mul_out(&to_b, &c2));
                    let _ = to_a.addcmul_(&b, &s2.neg());
                    let _ = to_b.addcmul_(&a, &s2);
                    drop(black_box(out));
                }),
            ),
        ],
    }
}

fn targets(n: usize) -> Vec<i64> {
    (0..n).map(|i| (i * 37 % V) as i64).collect()
}

/// Here with the entropy, there without.
fn logprobs(place: Place) -> Operation {
    let (n, calls) = if place.name == DECODING.name { (COMPLETIONS, DECODED) } else { (PREDICTED, GROUPS) };
    let (logits, target) = (noise(n * V), targets(n));
    let t = logits.rows(V);
    let index = Tensor::from_slice(&target).unsqueeze(1);
    let (t2, index2) = (t.shallow_clone(), index.shallow_clone());
    Operation {
        name: "log-probability",
        rows: n,
        calls,
        ours: Box::new(move || drop(black_box(kernels::token_logprobs(&logits, &target, 1.0, V)))),
        theirs: vec![
            (
                "log_softmax, gather",
                Box::new(move || drop(black_box(t.log_softmax(-1, Kind::Float).gather(1, &index, false)))),
            ),
            (
                "gather − logsumexp",
                Box::new(move || drop(black_box(t2.gather(1, &index2, false) - t2.logsumexp([-1], true)))),
            ),
        ],
    }
}

fn logprobs_backward() -> Operation {
    let n = PREDICTED;
    let (mut logits, target) = (noise(n * V), targets(n));
    let t = logits.rows(V).copy().set_requires_grad(true);
    let index = Tensor::from_slice(&target).unsqueeze(1);
    let autograd = gradient_of(t.log_softmax(-1, Kind::Float).gather(1, &index, false), vec![t.shallow_clone()]);
    let (saved, weights) =
        (t.detach().log_softmax(-1, Kind::Float), Tensor::ones([n as i64, 1], (Kind::Float, Device::Cpu)));
    let by_hand = move || {
        let mut d = saved.exp();
        let _ = d.g_mul_(&weights.neg());
        let _ = d.scatter_add_(1, &index, &weights);
        drop(black_box(d));
    };
    let found = kernels::token_logprobs(&logits, &target, 1.0, V);
    let ones = vec![1f32; n];
    Operation {
        name: "log-probability, gradient",
        rows: n,
        calls: GROUPS,
        ours: Box::new(move || {
            kernels::token_logprobs_backward(&mut logits, &target, &ones, &found.log_normalisers, 1.0, V);
        }),
        theirs: vec![("log_softmax, gather, autograd", autograd), ("exp, mul, scatter_add", Box::new(by_hand))],
    }
}
