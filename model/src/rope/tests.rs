use super::*;
use crate::config::parse_rope;
use serde_json::Value;
use std::path::Path;

/// Every case of tests/golden/rope.json, parsed as a config.json would be, agrees with transformers.
#[test]
fn agrees_with_transformers() {
    let file = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/rope.json"));
    let golden: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    assert!(cases.len() >= 12);
    for case in cases {
        let name = case["name"].as_str().unwrap();
        let head_dim = case["head_dim"].as_u64().unwrap() as usize;
        let config = serde_json::json!({
            "max_position_embeddings": 131072,
            "rope_parameters": case["rope_parameters"],
        });
        let rope = parse_rope(file, &config, 131072).unwrap();
        let (found, factor) = inverse_frequencies(&rope, head_dim);
        let expected: Vec<f64> = serde_json::from_value(case["inverse_frequencies"].clone()).unwrap();
        assert_eq!(found.len(), expected.len(), "{name}");
        for (i, (a, b)) in found.iter().zip(&expected).enumerate() {
            let error = (f64::from(*a) / b - 1.0).abs();
            assert!(error < 1e-6, "{name}, frequency {i}: {a} and {b}");
        }
        let expected = case["attention_factor"].as_f64().unwrap();
        assert!((f64::from(factor) / expected - 1.0).abs() < 1e-6, "{name}: {factor}, {expected}");
    }
}
