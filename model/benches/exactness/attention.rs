//! Causal attention of a group: a prompt once, and completions that attend to it and to themselves.

use std::hint::black_box;

use model::attention::step::{Angles, Columns, Pages, StepRows, attention_step, page_floats};
use model::attention::{self, AttentionSaved, Heads, TILE};
use model::packed::Packed;
use tch::{Device, Kind, Tensor};

use super::rows::gradient_of;
use super::{
    BLOCKS, COMPLETIONS, DECODING, HEAD_DIM, HEADS, KV_HEADS, Operation, PROMPT, Place, TOKENS, TRAINING, Work, noise,
};

const FED: usize = TOKENS - 1;

pub(super) fn operations(place: Place) -> Vec<Operation> {
    if place.name == DECODING.name {
        return vec![decoding(place)];
    }
    let training = place.name == TRAINING.name;
    let mut packed = Packed::default();
    let prompt = packed.push(&[0; PROMPT]);
    if training {
        for _ in 0..COMPLETIONS {
            packed.push_after(Some(prompt), &[0; FED]);
        }
    }
    let segments = packed.segments;
    let heads = Heads::new(HEADS, KV_HEADS, HEAD_DIM);
    let q = noise(place.padded * HEADS * HEAD_DIM);
    let [key, value] = [0, 1].map(|_| noise(place.padded * KV_HEADS * HEAD_DIM));
    let (out, log_sum) = attention::attention(&q, &key, &value, &segments, heads);
    let operation =
        |name, ours, theirs| Operation { name, rows: place.padded, calls: place.calls * BLOCKS, ours, theirs };
    let (d_out, q2, key2, value2, segments2) =
        (noise(q.len()), q.clone(), key.clone(), value.clone(), segments.clone());
    let forward = Box::new(move || drop(black_box(attention::attention(&q, &key, &value, &segments, heads))));
    let mut all = vec![operation("attention", forward, ways(training, false))];
    if training {
        let backward = Box::new(move || {
            let saved = AttentionSaved { q: &q2, key: &key2, value: &value2, out: &out, log_sum: &log_sum };
            drop(black_box(attention::attention_backward(&d_out, saved, &segments2, heads)));
        });
        all.push(operation("attention, gradient", backward, ways(training, true)));
    }
    all
}

/// A step in the middle of the completions: our keys lie in pages, those of the prompt shared; libtorch gets keys of each
/// completion in one piece, as it likes them.
fn decoding(place: Place) -> Operation {
    let heads = Heads::new(HEADS, KV_HEADS, HEAD_DIM);
    let seen = PROMPT + TOKENS / 2;
    let (shared, own) = (PROMPT / TILE, seen.div_ceil(TILE) - PROMPT / TILE);
    let stride = page_floats(heads);
    let mut arena = noise((shared + COMPLETIONS * own) * stride);
    let row = |row: usize| (0..shared).chain((0..own).map(move |page| shared + row * own + page));
    let table: Vec<i32> = (0..COMPLETIONS).flat_map(row).map(|page| page as i32).collect();
    let positions = [seen as i32 - 1; COMPLETIONS];
    let starts: Vec<i32> = (0..=COMPLETIONS as i32).collect();
    let width = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
    let joint = noise(COMPLETIONS * width);
    let [cosine, sine] = [0, 1].map(|_| noise(seen * HEAD_DIM / 2));
    let ours = move || {
        let columns = |head: usize| Columns { numbers: &joint[head * HEAD_DIM..], step: width };
        let (q, key, value) = (columns(0), columns(HEADS), columns(HEADS + KV_HEADS));
        let rows = StepRows { q, key, value, positions: &positions, starts: &starts, table: &table };
        let (mut pages, angles) = (Pages::new(&mut arena, stride), Angles { cosine: &cosine, sine: &sine });
        drop(black_box(attention_step(&rows, &mut pages, 0, Some(angles), heads, COMPLETIONS)));
    };
    let work = |name: &'static str, grouped: bool| {
        let call = Call { mask: None, ..Call::new(COMPLETIONS, 1, seen, grouped) };
        let work: Work = Box::new(move || tch::no_grad(|| drop(black_box(call.attend_all()))));
        (name, work)
    };
    Operation {
        name: "attention",
        rows: COMPLETIONS,
        calls: place.calls * BLOCKS,
        ours: Box::new(ours),
        theirs: vec![work("one row, grouped keys", true), work("one row, repeated keys", false)],
    }
}

/// Queries, keys and values of `batch` sequences, the last `rows` positions of `length` being queries.
struct Call {
    q: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Option<Tensor>,
    grouped: bool,
}

impl Call {
    fn new(batch: usize, rows: usize, length: usize, grouped: bool) -> Call {
        let array = |heads: usize, positions: usize| {
            let shape = [batch, heads, positions, HEAD_DIM].map(|n| n as i64);
            noise(shape.iter().product::<i64>() as usize).rows(HEAD_DIM).view(shape).set_requires_grad(true)
        };
        // Keys repeated for each query head cost nothing here: that is libtorch's gain.
        let key_heads = if grouped { KV_HEADS } else { HEADS };
        let mask = (rows < length).then(|| {
            Tensor::ones([rows as i64, length as i64], (Kind::Bool, Device::Cpu)).tril((length - rows) as i64)
        });
        Call { q: array(HEADS, rows), key: array(key_heads, length), value: array(key_heads, length), mask, grouped }
    }

    fn attend(&self) -> Tensor {
        self.attend_with(self.mask.is_none())
    }

    /// Every query to all positions.
    fn attend_all(&self) -> Tensor {
        self.attend_with(false)
    }

    fn attend_with(&self, causal: bool) -> Tensor {
        let mask = self.mask.as_ref();
        Tensor::scaled_dot_product_attention(&self.q, &self.key, &self.value, mask, 0.0, causal, None, self.grouped)
    }

    fn inputs(&self) -> Vec<Tensor> {
        [&self.q, &self.key, &self.value].map(Tensor::shallow_clone).into()
    }
}

/// Ways to do it with scaled_dot_product_attention: the prompt with each completion anew, all at once or one after the
/// other, or once, where completions see it through a mask; with grouped keys or repeated ones.
fn ways(training: bool, backward: bool) -> Vec<(&'static str, Work)> {
    let work = |name: &'static str, calls: Vec<Call>| {
        let work: Work = if backward {
            let mut each: Vec<_> = calls.iter().map(|call| gradient_of(call.attend(), call.inputs())).collect();
            Box::new(move || each.iter_mut().for_each(|call| call()))
        } else {
            Box::new(move || tch::no_grad(|| calls.iter().for_each(|call| drop(black_box(call.attend())))))
        };
        (name, work)
    };
    if !training {
        let one = |grouped| vec![Call::new(1, PROMPT, PROMPT, grouped)];
        return vec![work("causal, grouped keys", one(true)), work("causal, repeated keys", one(false))];
    }
    let whole = PROMPT + FED;
    let sequences = |grouped| vec![Call::new(COMPLETIONS, whole, whole, grouped)];
    let shared = |grouped| vec![Call::new(1, PROMPT, PROMPT, grouped), Call::new(COMPLETIONS, FED, whole, grouped)];
    let singly = (0..COMPLETIONS).map(|_| Call::new(1, whole, whole, true)).collect();
    vec![
        work("whole sequences, grouped keys", sequences(true)),
        work("whole sequences, repeated keys", sequences(false)),
        work("whole sequences one by one", singly),
        work("prompt once and a mask, grouped keys", shared(true)),
        work("prompt once and a mask, repeated keys", shared(false)),
    ]
}
