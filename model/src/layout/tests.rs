use super::*;
use crate::policy::tests::FAMILIES;
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

/// Every parameter is a tensor of the published layout, by name and shape, and every tensor a parameter.
#[test]
fn parameters_are_the_tensors_of_checkpoints() {
    for family in FAMILIES.into_iter().chain(["deepseek_v3_mtp"]) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
        let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let tensors = file.iter().map(|(name, tensor)| (name.to_owned(), tensor.shape().to_vec()));
        // Scales of FP8 weights, and the copies of embedding and head that a module of multi-token prediction has.
        let beside = ["weight_scale_inv", "layers.2.embed_tokens.weight", "layers.2.shared_head.head.weight"];
        let tensors: BTreeMap<_, _> = tensors.filter(|(name, _)| !beside.iter().any(|b| name.ends_with(b))).collect();
        let layout = Layout::new(&ModelConfig::from_folder(&folder).unwrap());
        let parameters: BTreeMap<_, _> =
            layout.parameters().iter().map(|p| (p.name.clone(), p.shape.clone())).collect();
        assert_eq!(parameters, tensors, "{family}");
        assert_eq!(parameters.len(), layout.parameters().len(), "{family}: each name once");
    }
}

/// What a token meets is products, vectors and one row of a table.
#[test]
fn vectors_are_what_no_product_holds() {
    for family in FAMILIES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(family);
        let config = ModelConfig::from_folder(&folder).unwrap();
        let layout = Layout::new(&config);
        let vectors: usize =
            layout.parameters().iter().filter(|p| p.role == Role::Vector).map(|p| p.range().len()).sum();
        let looked_up = if config.tied_head { 0 } else { config.vocab_size * config.hidden_dim };
        let others = config.n_active_parameters() - config.n_product_weights();
        assert_eq!(others, (vectors + looked_up) as u64, "{family}");
    }
}
