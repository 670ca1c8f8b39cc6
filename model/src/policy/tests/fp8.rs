use super::*;

/// Those of which a reference in float64 computed a step of training in FP8: scripts/golden/fp8_training.py.
const CODED: [&str; 5] = ["qwen3", "qwen3_moe", "mixtral", "deepseek_v2", "deepseek_v3"];

/// Of a gradient with more rows than the first each row of the second is there.
const SOME: (usize, usize) = (4, 5);

/// Log-probabilities and gradients of every tensor are those of the definition in docs/fp8.md, as near as those in f32 are
/// to transformers' own.
#[test]
fn fp8_is_its_definition() {
    for family in CODED {
        let folder = folder(family);
        let policy = Policy::load(&folder, &PolicyConfig { dtype: Dtype::Fp8, ..config(&folder) }, 0).unwrap();
        let tensors = read_golden(family, "fp8");
        let (packed, targets) = packed(named(&tensors, "ids"));
        let found = policy.logprobs(&packed, &targets, 1.0).logprobs;
        let expected = Buffer::of(named(&tensors, "logprobs").reshape([-1]));
        for (found, expected) in found.iter().zip(expected.iter()) {
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{family}: {found}, not {expected}");
        }
        let bound = bound(&golden(family).1);
        let gradient = gradient(&policy, &tensors, false);
        for parameter in policy.layout().parameters().iter().filter(|p| p.role != Role::Correction) {
            let expected = Buffer::of(named(&tensors, &parameter.name).reshape([-1]));
            let rows = parameter.shape[0];
            let (step, width) = (if rows > SOME.0 { SOME.1 } else { 1 }, parameter.range().len() / rows);
            let found = gradient[parameter.range()].chunks_exact(width).step_by(step).flatten();
            assert_eq!(expected.len(), rows.div_ceil(step) * width, "{family}: {}", parameter.name);
            let largest = expected.iter().fold(0.0f32, |a, b| a.max(b.abs()));
            let difference = found.zip(expected.iter()).fold(0.0f32, |a, (f, e)| a.max((f - e).abs()));
            assert!(difference <= bound * largest, "{family}: {}: {difference:e} of {largest:e}", parameter.name);
        }
    }
}
