use super::*;
use crate::backward::{Beside, Lesson};
use crate::checkpoint::Format;
use crate::config::{Dtype, PolicyConfig};
use crate::decode::Feed;
use crate::kv_cache::{KvArena, Sequence};
use crate::layout::Role;
use crate::philox::{Purpose, Stream};
use crate::policy::tests::FAMILIES;
use crate::team::Team;
use std::path::{Path, PathBuf};

/// A golden policy's shape with modules of multi-token prediction and fresh weights, large enough to tell tokens apart.
pub(crate) fn policy(family: &str, n_mtp: usize, dtype: Dtype) -> Policy {
    tch::set_num_threads(1);
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
    let folder = tempfile::tempdir().unwrap();
    let mut json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(golden.join("config.json")).unwrap()).unwrap();
    json["num_nextn_predict_layers"] = n_mtp.into();
    json["max_position_embeddings"] = 128.into();
    std::fs::write(folder.path().join("config.json"), json.to_string()).unwrap();
    let config = PolicyConfig { random_init: true, dtype, ..PolicyConfig::new(folder.path()) };
    let mut policy = Policy::load(folder.path(), &config, 1).unwrap();
    // Of fresh matrices; norms are 1.
    policy.parameters_mut().iter_mut().filter(|w| **w != 1.0).for_each(|w| *w *= 12.0);
    policy.refresh();
    policy
}

pub(crate) fn tokens(policy: &Policy, n: usize) -> Vec<i64> {
    let stream = Stream::new(3, Purpose::Sample, 0, 0, 0);
    (0..n).map(|i| stream.below(i as u32, policy.config.vocab_size as u64) as i64).collect()
}

/// A prompt with two completions behind it, and a sequence alone; or, where they are whole, three sequences.
pub(crate) fn groups(tokens: &[i64], prompt: usize, whole: bool) -> (Packed, Targets) {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    let (prompt, completions) = (&tokens[..prompt], [&tokens[40..52], &tokens[52..75]]);
    let shared = (!whole).then(|| packed.push(prompt));
    for completion in completions {
        let (own, before) = match shared {
            Some(shared) => {
                (packed.push_after(Some(shared), &completion[..completion.len() - 1]).start, shared.length - 1)
            }
            None => {
                let own = packed.push(&[prompt, &completion[..completion.len() - 1]].concat());
                (own.start + prompt.len() as i32, own.start + prompt.len() as i32 - 1)
            }
        };
        targets.rows.push(before.into());
        targets.rows.extend((0..completion.len() as i64 - 1).map(|i| i64::from(own) + i));
        targets.tokens.extend_from_slice(completion);
    }
    let alone = packed.push(&tokens[75..90]);
    targets.push_sequence(alone.start.into(), &tokens[75..90]);
    (packed, targets)
}

/// Gradient of 0.1 Σ log p of the targets and 0.3 of those of module 0, 0.2 of module 1; with what the modules found.
fn learn(policy: &Policy, packed: &Packed, targets: &Targets, checkpointing: bool) -> (Buffer, Vec<Vec<f32>>) {
    let mut gradient = Buffer::zeros(policy.layout().len());
    let mut share = Share::new(policy.layout());
    let mut found = vec![Vec::new(); policy.config.n_mtp];
    let mut mtp = |chunk: &MtpFound<'_>| {
        found[chunk.module].extend_from_slice(&chunk.tokens.logprobs);
        [0.3, 0.2][chunk.module]
    };
    let mut seen = Vec::new();
    policy.backward_beside(
        &Lesson::new(packed, targets, 0.9, checkpointing),
        &mut share,
        &mut |range, _| vec![0.1; range.len()],
        Beside { mtp: Some(&mut mtp) },
        &mut |part, range: Range<usize>, numbers: &[f32]| {
            seen.push(part);
            gradient[range].copy_from_slice(numbers);
        },
    );
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..Share::n_parts(policy.layout())), "every part once");
    (gradient, found)
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// Rows by hand: a prompt of three tokens with two completions, and a sequence of one token.
#[test]
fn rows_stand_behind_those_they_read() {
    let mut packed = Packed::default();
    let prompt = packed.push(&[10, 11, 12]);
    packed.push_after(Some(prompt), &[20, 21]);
    packed.push_after(Some(prompt), &[30]);
    packed.push(&[40]);
    let one = ModuleRows::behind(&packed);
    assert_eq!(one.packed.tokens, [11, 12, 20, 21, 30]);
    assert_eq!(one.packed.positions, [0, 1, 2, 3, 2]);
    assert_eq!((&one.before[..], &one.at[..]), (&[0, 1, 2, 3, 2][..], &[1, 2, 3, 4, 5][..]));
    let two = ModuleRows::behind(&one.packed);
    assert_eq!(two.packed.tokens, [12, 20, 21, 30]);
    assert_eq!(two.packed.positions, [0, 1, 2, 1]);
    assert_eq!((&two.before[..], &two.at[..]), (&[0, 1, 2, 1][..], &[1, 2, 3, 4][..]));
    let three = ModuleRows::behind(&two.packed);
    assert_eq!((&three.packed.tokens[..], &three.packed.positions[..]), (&[20, 21, 30][..], &[0, 1, 0][..]));
    assert_eq!(three.before, [0, 1, 0]);
    let targets = Targets { rows: vec![0, 2, 2, 3, 6], tokens: vec![11, 20, 30, 21, 41] };
    assert_eq!(one.targets(&targets), Targets { rows: vec![1, 1, 2], tokens: vec![20, 30, 21] });
    assert_eq!([0, 1, 2].map(|module| n_targets(&packed, &targets, module)), [3, 3, 1]);
}

/// A shared prompt changes no bit of what modules find, and the gradient up to the order of summation; for prompts of one
/// token and of whole tiles, and two modules.
#[test]
fn a_shared_prompt_has_the_same_modules() {
    for prompt in [1, 2, 3, 31, 32, 33, 34] {
        let policy = policy("qwen3", 2, Dtype::F32);
        let tokens = tokens(&policy, 90);
        let ((packed, targets), (whole, whole_targets)) =
            (groups(&tokens, prompt, false), groups(&tokens, prompt, true));
        let ((a, shared), (b, alone)) =
            (learn(&policy, &packed, &targets, false), learn(&policy, &whole, &whole_targets, false));
        for (module, (shared, alone)) in shared.iter().zip(&alone).enumerate() {
            assert_eq!(shared.len(), n_targets(&packed, &targets, module));
            assert_eq!(bits(shared), bits(alone), "prompt of {prompt}, module {module}");
        }
        let given = policy.mtp_logprobs(&packed, &targets, 0.9);
        assert!(given.iter().map(|given| &given.logprobs).eq(&shared));
        for parameter in policy.layout().parameters() {
            let norm = |x: &[f32]| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let (a, b) = (&a[parameter.range()], &b[parameter.range()]);
            let difference: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
            assert!(norm(&difference) <= 1e-5 * norm(b), "prompt of {prompt}: {}", parameter.name);
        }
    }
}

/// Neither memory nor threads change a bit of the gradient; in bf16 as well.
#[test]
fn checkpointing_and_threads_change_no_bit() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let policy = policy("llama", 2, dtype);
        let (packed, targets) = groups(&tokens(&policy, 90), 35, false);
        let (expected, found) = learn(&policy, &packed, &targets, false);
        assert!(found.iter().flatten().all(|p| p.is_finite()) && expected.iter().all(|g| g.is_finite()));
        for threads in 1..4 {
            let (gradient, again) = Team::new(threads).lead(|| learn(&policy, &packed, &targets, threads != 2));
            assert!(bits(&gradient) == bits(&expected) && again == found, "{dtype:?}, {threads} threads");
        }
    }
}

/// Central differences of the loss, along a direction in each parameter's space.
#[test]
fn the_gradient_is_that_of_the_loss() {
    let mut policy = policy("qwen3", 2, Dtype::F32);
    let (packed, targets) = groups(&tokens(&policy, 90), 3, false);
    let (gradient, _) = learn(&policy, &packed, &targets, false);
    let loss = |policy: &Policy| {
        let sum = |found: &[f32]| found.iter().map(|&p| f64::from(p)).sum::<f64>();
        let modules = policy.mtp_logprobs(&packed, &targets, 0.9);
        0.1 * sum(&policy.logprobs(&packed, &targets, 0.9).logprobs)
            + 0.3 * sum(&modules[0].logprobs)
            + 0.2 * sum(&modules[1].logprobs)
    };
    let weights = policy.parameters().to_vec();
    for parameter in policy.layout().parameters().to_vec() {
        let slope = &gradient[parameter.range()];
        let length = slope.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!(length > 0.0, "{} learns", parameter.name);
        let mut moved = |by: f64| {
            policy.parameters_mut().copy_from_slice(&weights);
            let numbers = &mut policy.parameters_mut()[parameter.range()];
            numbers.iter_mut().zip(slope).for_each(|(w, g)| *w += (by * f64::from(*g) / length) as f32);
            policy.refresh();
            loss(&policy)
        };
        let step = 2e-3;
        let found = (moved(step) - moved(-step)) / (2.0 * step);
        assert!((found - length).abs() <= 0.01 * length, "{}: {found}, not {length}", parameter.name);
    }
}

/// Sequences of one token have no row in any module, and those of two none in the second.
#[test]
fn short_sequences_teach_modules_nothing() {
    let policy = policy("qwen3", 2, Dtype::F32);
    for n in 1..3 {
        let (mut packed, mut targets) = (Packed::default(), Targets::default());
        let segment = packed.push(&[5, 6][..n]);
        targets.rows.push(i64::from(segment.start) + n as i64 - 1);
        targets.tokens.push(7);
        let (gradient, found) = learn(&policy, &packed, &targets, false);
        assert_eq!([found[0].len(), found[1].len()], [n - 1, 0]);
        assert!(gradient.iter().all(|g| g.is_finite()));
        let block = policy.layout.mtp[1].projection.range();
        assert!(gradient[block].iter().all(|g| *g == 0.0));
    }
}

/// How many of the targets are the likeliest is what the logits say.
#[test]
fn the_likeliest_are_counted() {
    let policy = policy("deepseek_v3", 1, Dtype::F32);
    let (packed, targets) = groups(&tokens(&policy, 90), 5, false);
    let rows = ModuleRows::behind(&packed);
    let likeliest = policy.mtp_logits(&packed)[0].argmax(-1, false);
    let likeliest = Vec::<i64>::try_from(likeliest).unwrap();
    // Every other target is made the likeliest.
    let mut told = targets.clone();
    for (i, (row, token)) in targets.rows.iter().zip(&mut told.tokens).enumerate() {
        if let (0, Ok(at)) = (i % 2, rows.at.binary_search(&(*row as usize))) {
            *token = likeliest[at];
        }
    }
    let own = rows.targets(&told);
    let expected = own.rows.iter().zip(&own.tokens).filter(|(row, token)| likeliest[**row as usize] == **token).count();
    let mut share = Share::new(policy.layout());
    let mut n = 0;
    let mut mtp = |found: &MtpFound<'_>| {
        n += found.n_likeliest;
        0.0
    };
    let beside = Beside { mtp: Some(&mut mtp) };
    let mut objective = |range: Range<usize>, _: &TokenLogprobs| vec![0.0; range.len()];
    let sequences = packed.rows_of_segments();
    let lesson = Lesson { sequences: &sequences, ..Lesson::new(&packed, &told, 1.0, false) };
    let routed = policy.backward_beside(&lesson, &mut share, &mut objective, beside, &mut |_, _, _| ());
    assert!(n == expected && n >= own.rows.len() / 2 - 1, "{n}, not {expected}");
    // A module's router sees the rows that the module has: all but each sequence's first.
    let k = policy.config.experts.as_ref().unwrap().n_chosen;
    let rows = packed.segments.iter().map(|s| (s.length - i32::from(s.prefix_length == 0)) as usize).sum::<usize>();
    let (&layer, load) = routed.loads.last_key_value().unwrap();
    assert_eq!((layer, load.total()), (policy.config.n_layers, (rows * k) as u64));
    assert_eq!(routed.n_sent, routed.loads.values().map(crate::router::Load::total).sum::<u64>());
}

/// What transformers' MtpModel computes with the same checkpoint: logits relative to the largest, log-probabilities, and the
/// gradient of their negated mean, each tensor as a vector relative to its length. Rounding alone moves single numbers of
/// the policy's own blocks by about as much, here and in transformers: scripts/golden/mtp.py.
#[test]
fn the_module_is_that_of_transformers() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/deepseek_v3_mtp");
    let read = |name: &str| Tensor::read_safetensors(folder.join(name).with_extension("safetensors")).unwrap();
    let named = |tensors: &[(String, Tensor)], name: &str| {
        Buffer::of(tensors.iter().find(|(n, _)| n == name).unwrap().1.reshape([-1]))
    };
    let policy = Policy::load(&folder, &PolicyConfig::new(&folder), 0).unwrap();
    let golden = read("golden");
    let ids = &golden.iter().find(|(name, _)| name == "ids").unwrap().1;
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    for row in 0..ids.size()[0] {
        let tokens = Vec::<i64>::try_from(ids.get(row)).unwrap();
        let segment = packed.push(&tokens);
        // transformers learns no token that the module does not predict.
        targets.rows.extend((1..tokens.len() as i64 - 1).map(|i| i64::from(segment.start) + i));
        targets.tokens.extend_from_slice(&tokens[2..]);
    }
    let close = |name: &str, found: &[f32], expected: &[f32]| {
        let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        assert_eq!(found.len(), expected.len(), "{name}");
        let difference = found.iter().zip(expected).fold(0.0f32, |a, (f, e)| a.max((f - e).abs()));
        assert!(difference <= 1e-5 * largest, "{name}: {difference:e} of {largest:e}");
    };
    close("logits", &Buffer::of(policy.mtp_logits(&packed)[0].reshape([-1])), &named(&golden, "mtp_logits"));
    let found = &policy.mtp_logprobs(&packed, &targets, 1.0)[0];
    close("logprobs", &found.logprobs, &named(&golden, "mtp_logprobs"));

    let weight = -1.0 / targets.tokens.len() as f32;
    let mut gradient = Buffer::zeros(policy.layout().len());
    let mut share = Share::new(policy.layout());
    let mut mtp = |_: &MtpFound<'_>| weight;
    let beside = Beside { mtp: Some(&mut mtp) };
    let mut objective = |range: Range<usize>, _: &TokenLogprobs| vec![0.0; range.len()];
    let mut hand = |_, range: Range<usize>, numbers: &[f32]| gradient[range].copy_from_slice(numbers);
    let lesson = Lesson::new(&packed, &targets, 1.0, false);
    policy.backward_beside(&lesson, &mut share, &mut objective, beside, &mut hand);
    let expected = read("mtp_gradients");
    for parameter in policy.layout().parameters().iter().filter(|p| p.role != Role::Correction) {
        let (found, expected) = (&gradient[parameter.range()], named(&expected, &parameter.name));
        let norm = |x: &[f32]| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
        let difference: Vec<f32> = found.iter().zip(expected.iter()).map(|(a, b)| a - b).collect();
        let relative = norm(&difference) / norm(&expected);
        assert!(relative <= 1e-5, "{}: {relative:e}", parameter.name);
    }
}

/// Rows decoded through the module's own cache, a prompt's keys written before, are those of its packed rows, bit for bit:
/// in any number of steps, beside others, forked, by a team; in bf16 and FP8 for every family. So is the prompt's own logits
/// with or without its rows.
#[test]
fn sampling_expects_what_training_computes() {
    let wide = |family| [1, 2, 31, 32, 33, 64].map(|prompt| (family, Dtype::F32, prompt));
    let coded = |family| [Dtype::Bf16, Dtype::Fp8].map(|dtype| (family, dtype, 33));
    // DeepSeek-V2 has no modules.
    let families = FAMILIES.into_iter().filter(|family| !family.starts_with("deepseek_v2"));
    let all = ["qwen3", "deepseek_v3_mtp", "gemma3"].into_iter().flat_map(wide);
    for (family, dtype, prompt) in all.chain(families.flat_map(coded)) {
        let policy = policy(family, 1, dtype);
        let (d, v) = (policy.config.hidden_dim, policy.config.vocab_size);
        let tokens = tokens(&policy, 90);
        let (packed, _) = groups(&tokens, prompt, false);
        let own = ModuleRows::behind(&packed);
        let all = policy.mtp_logits(&packed).remove(0);
        let expected = |packed_row: usize| {
            let row = own.at.binary_search(&packed_row).unwrap();
            bits(&Buffer::of(all.get(row as i64)))
        };
        let (mut arena, mut mtp_arena) = (KvArena::new(&policy.config, 16), KvArena::of_mtp(&policy.config, 16));
        let (mut cache, mut mtp_cache) = (arena.cache(), mtp_arena.cache());
        let (sequence, logits, rows) = policy.prefill_with_rows(&mut cache, &[&tokens[..prompt]]).pop().unwrap();
        assert_eq!(bits(&logits), bits(&policy.prefill(&mut cache, &tokens[..prompt]).1));
        let mut mtp = Sequence::default();
        if prompt > 1 {
            let mut feeds = [Feed { sequence: &mut mtp, tokens: &tokens[1..prompt] }];
            policy.mtp_extend(&mut mtp_cache, &mut feeds, &rows[..(prompt - 1) * d]);
        }
        assert_eq!(mtp.len(), prompt - 1);
        // Two completions: one a token a step, the other in steps of four.
        let mut forks = [0, 1].map(|i| {
            let before = rows[(prompt - 1) * d..prompt * d].to_vec();
            (cache.fork(&sequence), mtp_cache.fork(&mtp), [&tokens[40..51], &tokens[52..74]][i], 0, before)
        });
        while forks.iter().any(|fork| fork.3 < fork.2.len()) {
            for (i, (sequence, mtp, completion, at, before)) in forks.iter_mut().enumerate() {
                let n = [1, 4][i].min(completion.len() - *at);
                if n == 0 {
                    continue;
                }
                let fed = &completion[*at..*at + n];
                let found = policy.decode_with_rows(&mut cache, &mut [Feed { sequence, tokens: fed }]).0;
                before.extend_from_slice(&found[..n * d]);
                let mut expect = |mtp: &mut Sequence| {
                    policy.mtp_decode(&mut mtp_cache, &mut [Feed { sequence: mtp, tokens: fed }], &before[..n * d])
                };
                let Expected { logits, .. } = Team::new(i + 1).lead(|| expect(mtp));
                before.drain(..n * d);
                *at += n;
                let row = prompt + [0, 11][i] + *at - 1;
                assert_eq!(bits(&logits[..v]), expected(row), "{family} {dtype:?} prompt {prompt} row {row}");
            }
        }
    }
}

/// Saved, the modules' shares of embedding and head stand beside them as in published checkpoints; loaded, they are ignored.
#[test]
fn a_saved_module_has_its_copies() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/deepseek_v3_mtp");
    let policy = Policy::load(&folder, &PolicyConfig::new(&folder), 0).unwrap();
    let saved = tempfile::tempdir().unwrap();
    policy.save(saved.path(), Format::F32).unwrap();
    let names = |folder: &Path| {
        let tensors = Tensor::read_safetensors(folder.join("model.safetensors")).unwrap();
        let mut tensors: Vec<(String, Vec<f32>)> =
            tensors.into_iter().map(|(name, x)| (name, Buffer::of(x.reshape([-1])).to_vec())).collect();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        tensors
    };
    assert!(names(saved.path()) == names(&folder), "the same tensors, the same numbers");
    let again = Policy::load(saved.path(), &PolicyConfig::new(saved.path()), 0).unwrap();
    assert!(again.parameters() == policy.parameters());
}
