use super::plan::{Chunks, parts};
use super::step::{Angles, Columns, Pages, StepRows, attention_step, page_floats, page_write};
use super::*;
use crate::kernels::tests::{check_gradient, dot, noise};
use crate::team::Team;
use proptest::prelude::*;

/// A prompt of `prefix` rows, encoded once, and two completions after it.
fn branches(prefix: i32, first: i32, second: i32) -> Vec<Segment> {
    vec![
        Segment { start: 0, length: prefix, prefix_start: 0, prefix_length: 0 },
        Segment { start: prefix, length: first, prefix_start: 0, prefix_length: prefix },
        Segment { start: prefix + first, length: second, prefix_start: 0, prefix_length: prefix },
    ]
}

fn rows_of(segments: &[Segment]) -> usize {
    segments.iter().map(|s| (s.start + s.length) as usize).max().unwrap_or(0)
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// What goes into a pass forward and backward.
struct Inputs {
    q: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    d_out: Vec<f32>,
}

impl Inputs {
    fn new(seed: u64, n: usize, heads: Heads) -> Inputs {
        let Widths { q, key, value, out } = heads.widths();
        let [q, key, value, d_out] =
            [(1, q), (2, key), (3, value), (4, out)].map(|(i, width)| noise(seed ^ i, n * width));
        Inputs { q, key, value, d_out }
    }

    /// The output, dq, dkey and dvalue.
    fn run(&self, segments: &[Segment], heads: Heads) -> [Buffer; 4] {
        let Inputs { q, key, value, d_out } = self;
        let (out, log_sum) = attention(q, key, value, segments, heads);
        let saved = AttentionSaved { q, key, value, out: &out, log_sum: &log_sum };
        let (dq, dkey, dvalue) = attention_backward(d_out, saved, segments, heads);
        [out, dq, dkey, dvalue]
    }

    /// The same by their formulas, in f64.
    fn expected(&self, segments: &[Segment], heads: Heads) -> [Vec<f64>; 4] {
        let Inputs { q, key, value, d_out } = self;
        let Heads { n_heads, n_kv_heads, head_dim: k, value_dim: v, .. } = heads;
        let (mut out, mut dq) = (vec![0.0; d_out.len()], vec![0.0; q.len()]);
        let (mut dkey, mut dvalue) = (vec![0.0; key.len()], vec![0.0; value.len()]);
        // Latents are values too.
        let (value, step) = if heads.latent { (key, k) } else { (value, v) };
        let scale = f64::from(heads.scale);
        for segment in segments {
            for row in segment.start as usize..(segment.start + segment.length) as usize {
                let visible: Vec<usize> = (0..segment.prefix_length as usize)
                    .map(|p| segment.prefix_start as usize + p)
                    .chain(segment.start as usize..=row)
                    .collect();
                let visible = &visible[visible.len().saturating_sub(heads.window.unwrap_or(usize::MAX))..];
                for head in 0..n_heads {
                    let (query, to) = ((row * n_heads + head) * k, (row * n_heads + head) * v);
                    let of = |j: usize| j * n_kv_heads + head / heads.per_kv();
                    let scores: Vec<f64> =
                        visible.iter().map(|&j| scale * dot(&q[query..][..k], &key[of(j) * k..][..k])).collect();
                    let total: f64 = scores.iter().map(|s| s.exp()).sum();
                    let chances: Vec<f64> = scores.iter().map(|s| s.exp() / total).collect();
                    let grads: Vec<f64> =
                        visible.iter().map(|&j| dot(&d_out[to..][..v], &value[of(j) * step..][..v])).collect();
                    let mean: f64 = chances.iter().zip(&grads).map(|(p, g)| p * g).sum();
                    for ((&j, p), g) in visible.iter().zip(&chances).zip(&grads) {
                        let d_score = p * (g - mean) * scale;
                        for i in 0..k {
                            dq[query + i] += d_score * f64::from(key[of(j) * k + i]);
                            dkey[of(j) * k + i] += d_score * f64::from(q[query + i]);
                        }
                        for i in 0..v {
                            out[to + i] += p * f64::from(value[of(j) * step + i]);
                            let gradient = if heads.latent { &mut dkey } else { &mut dvalue };
                            gradient[of(j) * step + i] += p * f64::from(d_out[to + i]);
                        }
                    }
                }
            }
        }
        [out, dq, dkey, dvalue]
    }
}

/// Whatever was in the memory that results lie in.
#[test]
fn rows_of_no_segment_are_zero() {
    let heads = Heads::new(2, 1, 4);
    let widths = heads.widths();
    let segment = |start, length| Segment { start, length, prefix_start: 0, prefix_length: 0 };
    let segments = [segment(6, 3), segment(2, 3), segment(7, 0)];
    let n = 12;
    let [q, key, value] = [(1, widths.q), (2, widths.key), (3, widths.value)].map(|(seed, w)| noise(seed, n * w));
    let used = |len: usize| {
        let mut dropped = Buffer::unwritten(len);
        dropped.fill(f32::NAN);
    };
    used(n * widths.out);
    used(n * heads.n_heads);
    let (out, log_sum) = attention(&q, &key, &value, &segments, heads);
    let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &out, log_sum: &log_sum };
    used(q.len());
    let (dq, ..) = attention_backward(&noise(4, n * widths.out), saved, &segments, heads);
    for row in 0..n {
        let covered = segments.iter().any(|segment| segment.rows().contains(&row));
        for (x, width) in [(&out, widths.out), (&log_sum, heads.n_heads), (&dq, widths.q)] {
            let row = &x[row * width..][..width];
            assert!(row.iter().all(|x| if covered { x.is_finite() } else { *x == 0.0 }), "{row:?}");
        }
        assert!(!covered || out[row * widths.out] != 0.0);
    }
}

#[test]
fn output_and_gradients_match_their_formulas() {
    let alone = |length| vec![Segment { start: 0, length, prefix_start: 0, prefix_length: 0 }];
    // A prompt behind its completions, rows of no segment, and a segment without rows.
    let scattered = vec![
        Segment { start: 3, length: 40, prefix_start: 50, prefix_length: 33 },
        Segment { start: 43, length: 0, prefix_start: 50, prefix_length: 33 },
        Segment { start: 50, length: 33, prefix_start: 0, prefix_length: 0 },
        Segment { start: 83, length: 7, prefix_start: 50, prefix_length: 33 },
    ];
    let many: Vec<Segment> =
        (0..9).map(|i| Segment { start: 21 * i, length: 21, prefix_start: 0, prefix_length: 0 }).collect();
    let shapes = [
        alone(1),
        alone(31),
        alone(32),
        alone(33),
        alone(300),
        branches(37, 30, 5),
        branches(64, 96, 33),
        scattered,
        many,
    ];
    let widths =
        [(4, 2, 12, 12), (3, 3, 24, 24), (5, 1, 40, 40), (6, 2, 64, 64), (2, 1, 80, 80), (3, 3, 24, 16), (4, 2, 7, 19)];
    let latents = [(4, 24, 16), (3, 19, 7), (21, 80, 64), (2, 12, 12), (40, 13, 9)];
    let latents = latents.map(|(n_heads, head_dim, value_dim)| (n_heads, 1, head_dim, value_dim, true));
    let plain =
        widths.map(|(n_heads, n_kv_heads, head_dim, value_dim)| (n_heads, n_kv_heads, head_dim, value_dim, false));
    for (n_heads, n_kv_heads, head_dim, value_dim, latent) in plain.into_iter().chain(latents) {
        let heads = Heads { value_dim, latent, scale: 0.2, ..Heads::new(n_heads, n_kv_heads, head_dim) };
        let windows = [None, Some(1), Some(20), Some(32), Some(50), Some(1000)];
        for (segments, window) in shapes.iter().flat_map(|shape| windows.map(|window| (shape, window))) {
            let heads = Heads { window, ..heads };
            let inputs = Inputs::new(9, rows_of(segments), heads);
            let (found, expected) = (inputs.run(segments, heads), inputs.expected(segments, heads));
            for (name, (found, expected)) in ["out", "dq", "dkey", "dvalue"].iter().zip(found.iter().zip(&expected)) {
                assert_eq!(found.len(), expected.len());
                for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                    let near = (f64::from(*found) - expected).abs() < 2e-5 * (1.0 + expected.abs());
                    assert!(near, "{name} {i} of {segments:?}, {heads:?}: {found}, expected {expected}");
                }
            }
        }
    }
}

#[test]
fn gradients_match_differences() {
    let plain = Heads { value_dim: 3, ..Heads::new(2, 1, 4) };
    for heads in [plain, Heads { latent: true, ..plain }, Heads { window: Some(9), ..plain }] {
        let segments = branches(34, 3, 2);
        let Inputs { q, key, value, d_out } = Inputs::new(12, 39, heads);
        let (out, log_sum) = attention(&q, &key, &value, &segments, heads);
        let saved = AttentionSaved { q: &q, key: &key, value: &value, out: &out, log_sum: &log_sum };
        let (dq, dkey, dvalue) = attention_backward(&d_out, saved, &segments, heads);
        check_gradient(&q, &dq, |q| dot(&attention(q, &key, &value, &segments, heads).0, &d_out));
        check_gradient(&key, &dkey, |k| dot(&attention(&q, k, &value, &segments, heads).0, &d_out));
        check_gradient(&value, &dvalue, |v| dot(&attention(&q, &key, v, &segments, heads).0, &d_out));
    }
}

#[test]
fn scores_far_apart_neither_overflow_nor_vanish() {
    let heads = Heads::new(1, 1, 1);
    // The last query meets scores of -4000, 0 and 4000; the largest takes all, whichever tile it is in.
    let segment = Segment { start: 0, length: 70, prefix_start: 0, prefix_length: 0 };
    for best in [0, 31, 32, 69] {
        let mut key = vec![-1.0; 70];
        key[best] = 1.0;
        key[50 - best / 2] = 0.0;
        let value: Vec<f32> = (0..70).map(|i| i as f32).collect();
        let (out, log_sum) = attention(&[4000.0; 70], &key, &value, &[segment], heads);
        assert_eq!((out[69], log_sum[69]), (best as f32, 4000.0));
    }
}

/// Attention of the last `rows` rows of every sequence, by pages, with no rotation. Sequences of one prompt share its full
/// pages; slots that no sequence wrote hold NaN.
fn paged(inputs: &Inputs, segments: &[Segment], rows: i32, heads: Heads) -> Buffer {
    let layers = 2;
    let stride = layers * page_floats(heads);
    let widths = heads.widths();
    let lengths: Vec<i32> = segments.iter().map(|s| s.prefix_length + s.length).collect();
    let max_pages = lengths.iter().map(|&l| (l as usize).div_ceil(TILE)).max().unwrap();
    let mut arena = vec![f32::NAN; segments.len() * max_pages * stride];
    let mut pages = Pages::new(&mut arena, stride);
    let (mut table, mut positions, mut starts) = (Vec::new(), Vec::new(), vec![0]);
    let [mut q, mut key, mut value] = [const { Vec::new() }; 3];
    for (i, segment) in segments.iter().enumerate() {
        let shared = segment.prefix_length as usize / TILE;
        // Pages of the prompt belong to the first of its completions.
        let first = segments.iter().position(|s| s.prefix_length > 0).unwrap_or(i);
        let owner = |page: usize| if page < shared { first } else { i };
        let own: Vec<i32> = (0..max_pages).map(|page| (owner(page) * max_pages + page) as i32).collect();
        let written = lengths[i] - rows.min(segment.length);
        for position in 0..lengths[i] {
            let at = position - segment.prefix_length;
            let from = (if at < 0 { segment.prefix_start + position } else { segment.start + at }) as usize;
            let of = |x: &[f32], width: usize| x[from * width..][..width].to_vec();
            let (k, v) = (of(&inputs.key, widths.key), of(&inputs.value, widths.value));
            if position < written {
                let (page, slot) = (own[position as usize / TILE], position % TILE as i32);
                page_write(&mut pages, 1, (&k, &v), (&[page], &[slot]), heads);
                continue;
            }
            q.extend(of(&inputs.q, widths.q));
            key.extend(k);
            value.extend(v);
            positions.push(position);
            table.extend_from_slice(&own);
        }
        starts.push(positions.len() as i32);
    }
    let n = positions.len();
    // Queries and keys in one array, as a joint projection has them.
    let joint = |row: usize| [&q[row * widths.q..][..widths.q], &key[row * widths.key..][..widths.key]].concat();
    let joint: Vec<f32> = (0..n).flat_map(joint).collect();
    let step = widths.q + widths.key;
    let q = Columns { numbers: &joint, step };
    let key = Columns { numbers: &joint[widths.q..], step };
    let value = Columns { numbers: &value, step: widths.value };
    let unmoved = lengths.iter().max().copied().unwrap_or(0) as usize * heads.head_dim / 2;
    let (ones, zeros) = (vec![1.0; unmoved], vec![0.0; unmoved]);
    // An angle of 0 is no rotation.
    let angles = (heads.head_dim.is_multiple_of(2) && !heads.latent).then_some(Angles { cosine: &ones, sine: &zeros });
    let rows = StepRows { q, key, value, positions: &positions, starts: &starts, table: &table };
    // One row of padding.
    let mut out = attention_step(&rows, &mut pages, 1, angles, heads, n + 1);
    assert_eq!(&out[n * widths.out..], vec![0.0; widths.out]);
    out.truncate(n * widths.out);
    out
}

fn any_width() -> impl Strategy<Value = usize> {
    prop_oneof![1usize..20, Just(24), Just(40), Just(64), Just(80)]
}

/// Smaller and larger than a tile, and than what is attended to.
fn any_window() -> impl Strategy<Value = Option<usize>> {
    prop_oneof![Just(None), (1usize..70).prop_map(Some), (1usize..400).prop_map(Some)]
}

prop_compose! {
    fn plain_heads()(per_kv in 1usize..5, n_kv_heads in 1usize..3, head_dim in any_width(), value_dim in any_width(), same: bool, window in any_window()) -> Heads {
        let heads = Heads::new(per_kv * n_kv_heads, n_kv_heads, head_dim);
        Heads { value_dim: if same { head_dim } else { value_dim }, scale: 0.4, window, ..heads }
    }
}

prop_compose! {
    fn latent_heads()(n_heads in prop_oneof![1usize..9, Just(16), Just(21), Just(37), Just(48), Just(64)], value_dim in any_width(), rest in prop_oneof![Just(0usize), 1usize..20], window in any_window()) -> Heads {
        Heads { value_dim, latent: true, scale: 0.4, window, ..Heads::new(n_heads, 1, value_dim + rest) }
    }
}

fn any_heads() -> impl Strategy<Value = Heads> {
    prop_oneof![plain_heads(), latent_heads()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A completion's rows have the same bits packed behind a shared prompt and alone as one long sequence, and its
    /// last rows have those bits where they are decoded from pages beside others.
    #[test]
    fn attention_is_exact_under_packing(prefix in 1i32..140, first in 1i32..90, second in 1i32..90, heads in any_heads(), seed: u64) {
        let segments = branches(prefix, first, second);
        let inputs = Inputs::new(seed, (prefix + first + second) as usize, heads);
        let Inputs { q, key, value, .. } = &inputs;
        let (packed, log_sum) = attention(q, key, value, &segments, heads);

        let cut = (prefix + first) as usize;
        let alone = |x: &[f32], width: usize| [&x[..prefix as usize * width], &x[cut * width..]].concat();
        let widths = heads.widths();
        let whole = Segment { start: 0, length: prefix + second, prefix_start: 0, prefix_length: 0 };
        let (q, key, value) = (alone(q, widths.q), alone(key, widths.key), alone(value, widths.value));
        let (single, single_log_sum) = attention(&q, &key, &value, &[whole], heads);
        prop_assert_eq!(bits(&alone(&packed, widths.out)), bits(&single));
        prop_assert_eq!(bits(&alone(&log_sum, heads.n_heads)), bits(&single_log_sum));

        for rows in [1, 3] {
            let last = |s: &Segment| {
                let (end, n) = ((s.start + s.length) as usize, s.length.min(rows) as usize);
                packed[(end - n) * widths.out..end * widths.out].to_vec()
            };
            let last: Vec<f32> = segments.iter().flat_map(last).collect();
            prop_assert_eq!(bits(&paged(&inputs, &segments, rows, heads)), bits(&last));
        }
    }

    /// Rows that go through pages of their own side by side, of which some end sooner, have the bits of training.
    #[test]
    fn sequences_beside_each_other_keep_their_bits(lengths in prop::collection::vec(1i32..110, 1..20), heads in plain_heads(), seed: u64) {
        let ends: Vec<i32> = lengths.iter().scan(0, |end, length| { *end += length; Some(*end) }).collect();
        let alone = |(&length, &end): (&i32, &i32)| Segment { start: end - length, length, prefix_start: 0, prefix_length: 0 };
        let segments: Vec<Segment> = lengths.iter().zip(&ends).map(alone).collect();
        let inputs = Inputs::new(seed, rows_of(&segments), heads);
        let out = attention(&inputs.q, &inputs.key, &inputs.value, &segments, heads).0;
        let width = heads.widths().out;
        let last: Vec<f32> = ends.iter().flat_map(|&end| out[(end as usize - 1) * width..][..width].to_vec()).collect();
        prop_assert_eq!(bits(&paged(&inputs, &segments, 1, heads)), bits(&last));
    }

    /// Nothing changes with the number of threads that share a call.
    #[test]
    fn threads_change_no_bit(prefix in 1i32..140, first in 1i32..200, second in 1i32..90, heads in any_heads(), seed: u64) {
        let segments = branches(prefix, first, second);
        let inputs = Inputs::new(seed, (prefix + first + second) as usize, heads);
        let all = || {
            let [out, dq, dkey, dvalue] = inputs.run(&segments, heads);
            [out, dq, dkey, dvalue, paged(&inputs, &segments, 2, heads)].map(|x| bits(&x))
        };
        let alone = all();
        for threads in [3, 4] {
            prop_assert_eq!(&Team::new(threads).lead(all), &alone);
        }
    }

    /// A query's output does not know of keys outside its window, and their gradients do not know of it.
    #[test]
    fn what_a_window_hides_changes_no_bit(length in 1i32..200, window in 1usize..120, heads in any_heads(), seed: u64) {
        let heads = Heads { window: Some(window), ..heads };
        let n = length as usize;
        let alone = [Segment { start: 0, length, prefix_start: 0, prefix_length: 0 }];
        let inputs = Inputs::new(seed, n, heads);
        let mut other = Inputs::new(seed ^ 77, n, heads);
        let (hidden, widths) = (n.saturating_sub(window), heads.widths());
        other.q.clone_from(&inputs.q);
        other.key[hidden * widths.key..].copy_from_slice(&inputs.key[hidden * widths.key..]);
        other.value[hidden * widths.value..].copy_from_slice(&inputs.value[hidden * widths.value..]);
        let [out, found] = [&inputs, &other].map(|i| attention(&i.q, &i.key, &i.value, &alone, heads).0);
        prop_assert_eq!(bits(&out[(n - 1) * widths.out..]), bits(&found[(n - 1) * widths.out..]));
        if window >= n {
            let whole = inputs.run(&alone, Heads { window: None, ..heads }).map(|x| bits(&x));
            prop_assert_eq!(inputs.run(&alone, heads).map(|x| bits(&x)), whole);
        }
    }

    /// Every query is in one part, parts end where key tiles do, and each chunk's sums hold the keys that it sees, those
    /// of a shared prompt once.
    #[test]
    fn chunks_cover_the_work_once(prefix in 0i32..400, lengths in prop::collection::vec(0i32..300, 1..12), heads in any_heads()) {
        let mut segments = vec![Segment { start: 0, length: prefix, prefix_start: 0, prefix_length: 0 }];
        let mut start = prefix;
        for length in lengths {
            segments.push(Segment { start, length, prefix_start: 0, prefix_length: prefix });
            start += length;
        }
        let covered: Vec<i32> = parts(&segments, heads).iter().flat_map(|p| p.start + p.first..p.start + p.first + p.count).collect();
        prop_assert_eq!(covered, (0..start).collect::<Vec<_>>());

        let chunks = Chunks::new(&segments, heads);
        prop_assert_eq!(chunks.ends.last().map_or(0, |&end| end as usize), chunks.parts.len());
        let mut owner = vec![None; chunks.n_sums()];
        for span in &chunks.spans {
            for i in 0..span.length {
                prop_assert!(owner[(span.sum + i) as usize].replace(span.row + i).is_none(), "sums of two keys in one place");
            }
        }
        let (mut begin, mut first_sum) = (0, 0);
        for (&end, &sum_end) in chunks.ends.iter().zip(&chunks.sum_ends) {
            let sums = &owner[first_sum as usize..sum_end as usize];
            let rows: std::collections::HashSet<_> = sums.iter().flatten().collect();
            // With a window completions may see different parts of their prompt.
            prop_assert!(heads.window.is_some() || rows.len() == sums.len(), "a key has one sum in a chunk");
            for part in &chunks.parts[begin as usize..end as usize] {
                for position in part.visible(heads) {
                    let own = position - part.prefix_length;
                    let (row, sum) = if own < 0 { (part.prefix_start + position, part.prefix_sum + position) } else { (part.start + own, part.own_sum + own) };
                    prop_assert_eq!(owner[sum as usize], Some(row));
                    prop_assert!((first_sum..sum_end).contains(&sum), "a chunk's sums are its own");
                }
            }
            (begin, first_sum) = (end, sum_end);
        }
    }
}

#[test]
fn sums_of_a_long_sequence_grow_with_its_length() {
    let heads = Heads::new(6, 2, 64);
    let sums = |length| Chunks::new(&[Segment { start: 0, length, prefix_start: 0, prefix_length: 0 }], heads).n_sums();
    let (short, long) = (sums(4096), sums(65536));
    assert!(long as f64 / 16.0 < short as f64 * 1.1, "{short} sums at 4096 positions, {long} at 65536");
    assert!(long < 65536 * 12, "{long} sums");
}

#[test]
fn work_and_sums_follow_the_window() {
    let heads = Heads { window: Some(256), ..Heads::new(6, 2, 64) };
    let chunks = |length| Chunks::new(&[Segment { start: 0, length, prefix_start: 0, prefix_length: 0 }], heads);
    let work = |length| chunks(length).parts.iter().map(|part| part.work(heads)).sum::<u64>();
    assert!(work(65536) < 9 * work(8192), "work grows with the length, not with its square");
    assert!(chunks(65536).n_sums() < 65536 * 5 / 4, "a key has one sum, but for those at the ends of chunks");
}

/// 576 numbers a position and layer for the latents of DeepSeek-V3 (arXiv 2412.19437, §2.1.1).
#[test]
fn a_page_holds_each_latent_once() {
    let heads = Heads { value_dim: 512, latent: true, ..Heads::new(128, 1, 576) };
    assert_eq!(page_floats(heads), TILE * 576);
    assert_eq!(heads.widths(), Widths { q: 128 * 576, key: 576, value: 0, out: 128 * 512 });
}
