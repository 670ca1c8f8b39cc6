use super::*;
use crate::attention::Widths;
use crate::backward::{Lesson, Targets};
use crate::checkpoint::Format;
use crate::layout::Parameter;
use crate::packed::Packed;
use crate::share::Share;
use tch::{Kind, Tensor};

mod balance;
mod fp8;
mod golden;
mod saving;

/// Those whose values transformers computed: scripts/golden/{dense,families,fp8}.py.
pub(crate) const FAMILIES: [&str; 11] = [
    "qwen2",
    "qwen3",
    "llama",
    "gemma3",
    "qwen3_moe",
    "mixtral",
    "deepseek_v2",
    "deepseek_v2_lite",
    "deepseek_v3",
    "deepseek_v3_direct",
    PUBLISHED,
];
/// Those with experts.
pub(crate) const SPARSE: [&str; 7] =
    ["qwen3_moe", "mixtral", "deepseek_v2", "deepseek_v2_lite", "deepseek_v3", "deepseek_v3_direct", PUBLISHED];
/// Its weights are in FP8, as the published DeepSeek-V3's are; the values are those of the weights dequantised.
const PUBLISHED: &str = "deepseek_v3_fp8";

fn config(folder: &Path) -> PolicyConfig {
    PolicyConfig::new(folder)
}

fn folder(family: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family)
}

pub(crate) fn read_golden(family: &str, name: &str) -> Vec<(String, Tensor)> {
    Tensor::read_safetensors(folder(family).join(name).with_extension("safetensors")).unwrap()
}

pub(crate) fn golden(family: &str) -> (Policy, Vec<(String, Tensor)>) {
    let folder = folder(family);
    (Policy::load(&folder, &config(&folder), 0).unwrap(), read_golden(family, "golden"))
}

pub(crate) fn half(family: &str) -> Policy {
    let folder = folder(family);
    Policy::load(&folder, &PolicyConfig { dtype: Dtype::Bf16, ..config(&folder) }, 0).unwrap()
}

pub(crate) fn named<'a>(tensors: &'a [(String, Tensor)], name: &str) -> &'a Tensor {
    &tensors.iter().find(|(n, _)| n == name).unwrap().1
}

/// Logits of transformers in f32 eager, relative to the largest: 1e-5.
#[test]
fn logits_match_transformers() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        let ids = named(&tensors, "ids");
        let (b, t) = ids.size2().unwrap();
        let mut packed = Packed::default();
        for row in 0..b {
            packed.push(&Vec::<i64>::try_from(ids.get(row)).unwrap());
        }
        let expected = named(&tensors, "logits").reshape([b * t, -1]);
        let found = policy.logits(&packed);
        let difference = (&found - &expected).abs().max().double_value(&[]);
        let largest = expected.abs().max().double_value(&[]);
        assert!(difference <= 1e-5 * largest, "{family}: {difference:e} of {largest}");
    }
}

/// A completion packed behind a shared prompt has the logits of the same sequence alone, bit for bit.
#[test]
fn shared_prompts_are_exact() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        let ids = Vec::<i64>::try_from(named(&tensors, "ids").reshape([-1])).unwrap();
        let (prompt, first, second) = (&ids[..35], &ids[35..46], &ids[46..75]);
        let mut packed = Packed::default();
        let shared = packed.push(prompt);
        packed.push_after(Some(shared), first);
        packed.push_after(Some(shared), second);
        let mut alone = Packed::default();
        alone.push(&[prompt, second].concat());
        let (together, alone) = (policy.logits(&packed), policy.logits(&alone));
        assert!(together.narrow(0, 46, 29).equal(&alone.narrow(0, 35, 29)), "{family}: the completion's rows");
        assert!(together.narrow(0, 0, 35).equal(&alone.narrow(0, 0, 35)), "{family}: the prompt's rows");
    }
}

/// The golden sequences, packed, with every token after the first as a target.
fn packed(ids: &Tensor) -> (Packed, Targets) {
    let (mut packed, mut targets) = (Packed::default(), Targets::default());
    for row in 0..ids.size()[0] {
        let tokens = Vec::<i64>::try_from(ids.get(row)).unwrap();
        let segment = packed.push(&tokens);
        targets.push_sequence(i64::from(segment.start), &tokens);
    }
    (packed, targets)
}

/// Gradient of the mean negative log-likelihood of the golden sequences.
fn gradient(policy: &Policy, tensors: &[(String, Tensor)], checkpointing: bool) -> Buffer {
    let (packed, targets) = packed(named(tensors, "ids"));
    let mut gradient = Buffer::zeros(policy.layout().len());
    let weight = -1.0 / targets.tokens.len() as f32;
    policy.backward(&packed, &targets, 1.0, checkpointing, &mut gradient, &mut |range, _| vec![weight; range.len()]);
    gradient
}

#[test]
fn logprobs_match_transformers() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        let (packed, targets) = packed(named(&tensors, "ids"));
        let found = policy.logprobs(&packed, &targets, 1.0);
        let expected = Buffer::of(named(&tensors, "logprobs").reshape([-1]));
        assert_eq!(found.logprobs.len(), expected.len());
        for (found, expected) in found.logprobs.iter().zip(expected.iter()) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{family}: {found}, not {expected}");
        }
    }
}

/// How far a gradient may be off, as a share of its tensor's largest number: 1e-5, or twice what that of transformers in f32
/// is off by.
fn bound(golden: &[(String, Tensor)]) -> f32 {
    let theirs = golden.iter().find(|(name, _)| name == "gradient_error").map(|(_, x)| x.double_value(&[0]) as f32);
    theirs.map_or(1e-5, |theirs| 1e-5f32.max(2.0 * theirs))
}

/// Gradients of transformers' autograd, each tensor within 1e-5 of its own largest number; of those that transformers
/// computes in f64, also within twice what it is off by itself in f32.
#[test]
fn gradients_match_transformers() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        let golden = read_golden(family, "gradients");
        let gradient = gradient(&policy, &tensors, false);
        let bound = bound(&tensors);
        // Some are left out there, for their size.
        let left_out = |name: &str| family == PUBLISHED && (name.contains(".experts.") || name.contains(".0.mlp."));
        let learns = |p: &&Parameter| p.role != Role::Correction && !left_out(&p.name);
        for parameter in policy.layout().parameters().iter().filter(learns) {
            let expected = Buffer::of(named(&golden, &parameter.name).reshape([-1]));
            let found = &gradient[parameter.range()];
            let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let difference = found.iter().zip(expected.iter()).fold(0.0f32, |a, (f, e)| a.max((f - e).abs()));
            assert!(difference <= bound * largest, "{family}: {}: {difference:e} of {largest:e}", parameter.name);
        }
    }
}

#[test]
fn checkpointing_changes_no_bit_of_a_gradient() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        assert!(gradient(&policy, &tensors, false)[..] == gradient(&policy, &tensors, true)[..], "{family}");
    }
}

/// One prompt shared by two completions has the gradient of two whole sequences, up to the order of summation.
#[test]
fn a_shared_prompt_has_the_same_gradient() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        let ids = Vec::<i64>::try_from(named(&tensors, "ids").reshape([-1])).unwrap();
        let (prompt, completions) = (&ids[..35], [&ids[35..46], &ids[46..75]]);
        let (mut shared, mut shared_targets) = (Packed::default(), Targets::default());
        let (mut whole, mut whole_targets) = (Packed::default(), Targets::default());
        let first = shared.push(prompt);
        for completion in completions {
            let segment = shared.push_after(Some(first), &completion[..completion.len() - 1]);
            shared_targets.rows.push(i64::from(first.start + first.length) - 1);
            shared_targets.rows.extend((0..completion.len() as i64 - 1).map(|i| i64::from(segment.start) + i));
            shared_targets.tokens.extend_from_slice(completion);
            let own = whole.push(&[prompt, completion].concat());
            whole_targets.rows.extend((34..34 + completion.len() as i64).map(|i| i64::from(own.start) + i));
            whole_targets.tokens.extend_from_slice(completion);
        }
        let run = |packed: &Packed, targets: &Targets| {
            let mut gradient = Buffer::zeros(policy.layout().len());
            let mut found = Vec::new();
            policy.backward(packed, targets, 0.8, false, &mut gradient, &mut |range, tokens| {
                found.extend(tokens.logprobs.iter().map(|l| l.to_bits()));
                vec![0.1; range.len()]
            });
            (gradient, found)
        };
        let ((a, found), (b, alone)) = (run(&shared, &shared_targets), run(&whole, &whole_targets));
        assert_eq!(found, alone, "{family}: log-probabilities have the same bits");
        for parameter in policy.layout().parameters().iter().filter(|p| p.role != Role::Correction) {
            let norm = |x: &[f32]| x.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>().sqrt();
            let difference: Vec<f32> =
                a[parameter.range()].iter().zip(&b[parameter.range()]).map(|(a, b)| a - b).collect();
            let (off, all) = (norm(&difference), norm(&b[parameter.range()]));
            assert!(off <= 1e-5 * all, "{family}: {}: {off:e} of {all:e}", parameter.name);
        }
    }
}

/// Products in bf16 move logits and gradient no further from f32 than transformers' own do, of tokens that go to the same
/// experts in both; and the copy follows the masters.
#[test]
fn bf16_follows_f32() {
    for family in FAMILIES {
        let (policy, mut tensors) = golden(family);
        if SPARSE.contains(&family) {
            tensors = read_golden(family, "bf16");
        }
        let mut half = half(family);
        let (packed, _) = packed(named(&tensors, "ids"));
        let expected = policy.logits(&packed);
        let distance = |x: &Tensor| (x - &expected).abs().mean(Kind::Double).double_value(&[]);
        let theirs = distance(&named(&tensors, "logits_bf16").to_kind(Kind::Float).reshape_as(&expected));
        let ours = distance(&half.logits(&packed));
        assert!(ours > 0.0 && ours <= theirs, "{family}: logits are off by {ours}, those of transformers by {theirs}");
        let (a, b) = (gradient(&policy, &tensors, false), gradient(&half, &tensors, false));
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
        let ours = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        let theirs = named(&tensors, "gradient_cosine_bf16").double_value(&[0]);
        let near = 1.0 - ours <= 1.0 - theirs;
        assert!(ours < 1.0 && near, "{family}: the gradient's cosine is {ours}, transformers' {theirs}");
        half.parameters_mut().fill(0.0);
        half.refresh();
        assert!(half.logits(&packed).abs().max().double_value(&[]) == 0.0, "{family}: refreshed");
    }
}

/// With FP8 products log-probabilities and gradient stay near those of f32, and the copy follows the masters; what is
/// multiplied is what a checkpoint in FP8 holds.
#[test]
fn fp8_follows_f32() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        let coded =
            |folder: &Path| Policy::load(folder, &PolicyConfig { dtype: Dtype::Fp8, ..config(folder) }, 0).unwrap();
        let (mut fp8, sparse) = (coded(&policy.source), SPARSE.contains(&family));
        assert_eq!((fp8.dtype(), fp8.deep_copy().dtype()), (Dtype::Fp8, Dtype::Fp8));
        assert_eq!(fp8.probe().failed, None);
        let (packed, targets) = packed(named(&tensors, "ids"));
        let logprobs = |policy: &Policy| policy.logprobs(&packed, &targets, 1.0).logprobs;
        let (a, b) = (logprobs(&policy), logprobs(&fp8));
        let mean = a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f32>() / a.len() as f32;
        // Three bits of mantissa where bf16 has seven: at most sixteen times its distance, and its gradient's angle. Of rows
        // that go to other experts that says nothing.
        assert!(mean > 0.0 && (sparse || mean < 16.0 * 0.03), "{family}: mean difference {mean}");
        let (a, b) = (gradient(&policy, &tensors, false), gradient(&fp8, &tensors, false));
        let dot = |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum::<f64>();
        let cosine = dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt();
        assert!(sparse || cosine > (16.0 * 0.999f64.acos()).cos(), "{family}: cosine {cosine}");
        // Weights that are E4M3 numbers times scales already are multiplied as they are. Queries meet latents in f32.
        let folder = tempfile::tempdir().unwrap();
        let multiplied = |p: &&Parameter| p.role == Role::Linear && !p.name.ends_with("kv_b_proj.weight");
        for parameter in fp8.layout.parameters().to_vec().iter().filter(multiplied) {
            let numbers = &mut fp8.parameters[parameter.range()];
            let columns = parameter.shape[1];
            let (codes, scales) = crate::fp8::encode(numbers, columns);
            crate::fp8::decode(&codes, numbers);
            for (i, number) in numbers.iter_mut().enumerate() {
                *number *= scales[i / columns / 128 * columns.div_ceil(128) + i % columns / 128];
            }
        }
        let before = logprobs(&fp8);
        fp8.refresh();
        assert_eq!(logprobs(&fp8), before, "{family}");
        fp8.save(folder.path(), Format::F32).unwrap();
        assert_eq!(logprobs(&coded(folder.path())), before, "{family}");
        fp8.parameters_mut().fill(0.0);
        fp8.refresh();
        assert!(fp8.logits(&packed).abs().max().double_value(&[]) == 0.0, "{family}: refreshed");
    }
}

/// On every machine these tests ran on, rows in blocks of 8 are exact; where they are not, runs measure instead.
#[test]
fn the_probe_tries_every_shape() {
    tch::set_num_threads(1);
    let (policy, _) = golden("qwen2");
    let probe = policy.probe();
    let c = policy.config();
    let Widths { q, key, value, .. } = c.heads(0).widths();
    let widths = q + key + value;
    assert!(probe.shapes.contains(&[widths, c.hidden_dim]) && probe.shapes.contains(&[c.vocab_size, c.hidden_dim]));
    assert!(probe.shapes.contains(&[2 * c.ffn_dim, c.hidden_dim]) && probe.shapes.contains(&[c.hidden_dim, c.ffn_dim]));
    assert_eq!(probe.failed, None);
}

/// Handed over in parts, a gradient is the same numbers, every one of them once, and the share is left as zeros.
#[test]
fn parts_make_the_whole_gradient() {
    for family in FAMILIES {
        let (policy, tensors) = golden(family);
        let whole = gradient(&policy, &tensors, false);
        let (packed, targets) = packed(named(&tensors, "ids"));
        let weight = -1.0 / targets.tokens.len() as f32;
        let mut share = Share::new(policy.layout());
        assert!(policy.config().n_layers == 1 || share.len() < policy.layout().len());
        for _ in 0..2 {
            let (mut sum, mut seen) = (vec![0.0; policy.layout().len()], Vec::new());
            let mut objective = |range: std::ops::Range<usize>, _: &_| vec![weight; range.len()];
            let mut hand = |part, range: std::ops::Range<usize>, numbers: &[f32]| {
                seen.push((range.start, range.end, part));
                sum[range].copy_from_slice(numbers);
            };
            let lesson = Lesson::new(&packed, &targets, 1.0, false);
            policy.backward_in_parts(&lesson, &mut share, &mut objective, &mut hand);
            assert!(sum[..] == whole[..], "{family}");
            seen.sort_unstable();
            assert!(seen.iter().map(|s| s.2).eq(0..Share::n_parts(policy.layout())), "{family}: {seen:?}");
            assert!(seen.windows(2).all(|pair| pair[0].1 == pair[1].0), "{family}: side by side {seen:?}");
        }
    }
}

/// Rows enough for every kernel to be shared: a group behind its prompt, and a sequence alone.
#[test]
fn a_team_changes_no_bit_of_a_gradient() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../configs/checkpoints/tiny");
    for dtype in [Dtype::F32, Dtype::Bf16] {
        let policy = Policy::load(&folder, &PolicyConfig { dtype, ..config(&folder) }, 0).unwrap();
        let tokens: Vec<i64> = (0..650).map(|i| (i * i + 3 * i) % policy.config().vocab_size as i64).collect();
        let (mut packed, mut targets) = (Packed::default(), Targets::default());
        let prompt = packed.push(&tokens[..90]);
        for completion in [&tokens[90..250], &tokens[250..300], &tokens[300..430]] {
            let segment = packed.push_after(Some(prompt), completion);
            targets.push_sequence(i64::from(segment.start), completion);
        }
        let alone = packed.push(&tokens[430..]);
        targets.push_sequence(i64::from(alone.start), &tokens[430..]);
        let learn = || {
            let mut gradient = Buffer::zeros(policy.layout().len());
            let mut bits = Vec::new();
            policy.backward(&packed, &targets, 0.9, false, &mut gradient, &mut |_, found| {
                bits.extend(found.logprobs.iter().chain(&found.entropies).map(|x| x.to_bits()));
                found.logprobs.iter().map(|p| p.exp() - 0.1).collect()
            });
            bits.extend(gradient.iter().map(|g| g.to_bits()));
            bits
        };
        let alone = learn();
        for threads in 2..=4 {
            assert!(crate::team::Team::new(threads).lead(learn) == alone, "{dtype:?} with {threads} threads");
        }
    }
}
