use crate::backward::{Beside, Lesson};
use crate::buffer::Buffer;
use crate::config::Dtype;
use crate::device::DevicePolicy;
use crate::device::tests::{apart, cosine, devices, host, largest};
use crate::layout::Role;
use crate::mtp::MtpFound;
use crate::mtp::tests::{groups, policy, tokens};
use crate::packed::Packed;
use crate::policy::Policy;
use crate::router::{Balance, Routed};
use crate::share::Share;
use std::ops::Range;
use tch::Device;

/// What a pass found: the gradient, what routers did, and of each module log-probabilities and how many were the likeliest.
struct Passed {
    gradient: Buffer,
    routed: Routed,
    modules: Vec<(Vec<f32>, usize)>,
}

/// All three losses on routers, but of the last sequence.
fn balance(policy: &Policy, packed: &Packed) -> (Balance, Vec<Range<usize>>) {
    let mut sequences = packed.rows_of_segments();
    sequences.pop();
    let n_rows = sequences.iter().map(|rows| rows.len() as u64).sum();
    let n_sequences = sequences.len() as u64;
    let loads = policy.loads(packed, &sequences);
    (Balance { sequence: 0.3, batch: 0.2, z: 0.1, n_sequences, n_rows, loads }, sequences)
}

/// One pass with everything that may be learned beside the targets: by the host, or where there is a device by the copy
/// there.
fn pass(policy: &Policy, device: Option<&DevicePolicy>, checkpointing: bool) -> Passed {
    let (packed, targets) = groups(&tokens(policy, 90), 7, false);
    let (balance, sequences) = balance(policy, &packed);
    let mut modules = vec![(Vec::new(), 0); policy.config().n_mtp];
    let mut mtp = |found: &MtpFound<'_>| {
        let (logprobs, n_likeliest) = &mut modules[found.module];
        logprobs.extend_from_slice(&found.tokens.logprobs);
        *n_likeliest += found.n_likeliest;
        [0.3, 0.2][found.module]
    };
    let lesson =
        Lesson { balance: &balance, sequences: &sequences, ..Lesson::new(&packed, &targets, 0.9, checkpointing) };
    let mut objective = |range: Range<usize>, _: &_| range.map(|i| (i % 3) as f32 / 10.0 - 0.05).collect();
    let learns = policy.config().n_mtp > 0;
    let beside = Beside { mtp: learns.then_some(&mut mtp) };
    let mut gradient = Buffer::zeros(policy.layout().len());
    let routed = match device {
        None => {
            let hand = &mut |_, range: Range<usize>, part: &[f32]| gradient[range].copy_from_slice(part);
            policy.backward_beside(&lesson, &mut Share::new(policy.layout()), &mut objective, beside, hand)
        }
        Some(device) => {
            if policy.dtype() == Dtype::F32 {
                assert_eq!(device.loads(&packed, &sequences), balance.loads, "rows are counted where they went");
            }
            let mut there = device.gradient();
            let routed = device.learn(&lesson, &mut there, &mut objective, beside);
            gradient = host(&there);
            routed
        }
    };
    Passed { gradient, routed, modules }
}

/// Each tensor within 3e-5 of its largest number, as beside experts; losses and counts as well.
fn compare(name: &str, policy: &Policy, expected: &Passed, found: &Passed) {
    for parameter in policy.layout().parameters() {
        let (expected, found) = (&expected.gradient[parameter.range()], &found.gradient[parameter.range()]);
        let (apart, largest) = (apart(found, expected), largest(expected));
        assert_eq!(largest > 0.0, parameter.role != Role::Correction, "{name}: {}", parameter.name);
        assert!(apart <= 3e-5 * largest, "{name}: {}: {apart:e} of {largest:e}", parameter.name);
    }
    let (ours, theirs) = (&found.routed, &expected.routed);
    assert_eq!((ours.n_sent, &ours.loads), (theirs.n_sent, &theirs.loads), "{name}");
    for (ours, theirs) in [(ours.sequence, theirs.sequence), (ours.batch, theirs.batch), (ours.z, theirs.z)] {
        assert!(theirs > 0.0 && (ours - theirs).abs() <= 1e-5 * theirs, "{name}: {ours}, the CPU {theirs}");
    }
    for ((ours, n_ours), (theirs, n_theirs)) in found.modules.iter().zip(&expected.modules) {
        assert!(apart(ours, theirs) <= 1e-5 * (1.0 + largest(theirs)) && n_ours == n_theirs, "{name}");
        assert!(!theirs.is_empty());
    }
}

/// Losses on routers and of two modules beside the targets': gradient, values, loads and hits are the CPU's.
#[test]
fn what_is_learned_beside_is_the_policys() {
    let shapes = [("qwen3_moe", 0), ("mixtral", 0), ("deepseek_v2", 0), ("deepseek_v3", 0), ("deepseek_v3", 2)];
    for (family, n_mtp) in shapes {
        let policy = policy(family, n_mtp, Dtype::F32);
        let expected = pass(&policy, None, true);
        for (device, checkpointing) in devices().into_iter().flat_map(|device| [(device, true), (device, false)]) {
            let found = pass(&policy, Some(&DevicePolicy::new(&policy, device)), checkpointing);
            compare(&format!("{family}, {n_mtp} modules"), &policy, &expected, &found);
        }
    }
}

/// In bf16 and FP8 the modules' gradient is not much further from the CPU's than that is from f32: rows may go to other
/// experts for a last place.
#[test]
fn modules_compute_in_the_policys_precision() {
    for dtype in [Dtype::Bf16, Dtype::Fp8] {
        let [rounded, exact] = [dtype, Dtype::F32].map(|dtype| policy("deepseek_v3", 2, dtype));
        let [theirs, exact] = [&rounded, &exact].map(|policy| pass(policy, None, true));
        let found = pass(&rounded, Some(&DevicePolicy::new(&rounded, Device::Cpu)), true);
        for range in rounded.layout().mtp_ranges() {
            let angle = |a: &Passed, b: &Passed| cosine(&a.gradient[range.clone()], &b.gradient[range.clone()]).acos();
            let (apart, own) = (angle(&found, &theirs), angle(&theirs, &exact));
            assert!(apart <= 1.5 * own, "{dtype:?}: {apart} from the CPU's, which is {own} from f32");
        }
    }
}

/// Sequences too short for a module: what is left of it is learned, and nothing fails.
#[test]
fn short_sequences_teach_what_they_can() {
    let policy = policy("deepseek_v3", 2, Dtype::F32);
    let on_device = DevicePolicy::new(&policy, Device::Cpu);
    for n in 1..5 {
        let (mut packed, mut targets) = (Packed::default(), crate::backward::Targets::default());
        let ids = tokens(&policy, n);
        targets.push_sequence(packed.push(&ids).start.into(), &ids);
        for checkpointing in [true, false] {
            let mut asked = Vec::new();
            let mut mtp = |found: &MtpFound<'_>| {
                asked.push((found.module, found.tokens.logprobs.len()));
                0.1
            };
            let lesson = Lesson::new(&packed, &targets, 1.0, checkpointing);
            let mut gradient = on_device.gradient();
            on_device.learn(
                &lesson,
                &mut gradient,
                &mut |range, _| vec![0.1; range.len()],
                Beside { mtp: Some(&mut mtp) },
            );
            let expected: Vec<(usize, usize)> =
                [(1, n.saturating_sub(3)), (0, n.saturating_sub(2))].into_iter().filter(|(_, n)| *n > 0).collect();
            assert_eq!(asked, expected, "{n} tokens");
            assert!(host(&gradient).iter().all(|x| x.is_finite()));
        }
    }
}

/// A share on the device takes the whole gradient, pass upon pass, and no part is handed over.
#[test]
fn a_share_on_the_device_adds_up() {
    let mut policy = policy("deepseek_v3", 0, Dtype::F32);
    let (packed, targets) = groups(&tokens(&policy, 90), 7, false);
    policy.compute_on(Device::Cpu);
    let lesson = Lesson::new(&packed, &targets, 1.0, true);
    let mut objective = |range: Range<usize>, _: &_| vec![0.1; range.len()];
    let mut expected = Buffer::zeros(policy.layout().len());
    policy.backward_in_parts(&lesson, &mut Share::new(policy.layout()), &mut objective, &mut |_, range, part| {
        expected[range].copy_from_slice(part);
    });
    let mut share = Share::of_device(policy.on_device().unwrap().gradient());
    for _ in 0..2 {
        policy.backward_in_parts(&lesson, &mut share, &mut objective, &mut |_, _, _| panic!("nothing is handed over"));
    }
    let found = host(share.on_device().unwrap());
    assert!(
        found.iter().zip(&expected[..]).all(|(found, once)| (found - 2.0 * once).abs() <= 1e-6 * (1.0 + once.abs()))
    );
}
