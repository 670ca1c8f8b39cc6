//! A policy as Hugging Face tools read it.

use super::Policy;
use crate::checkpoint::{self, Format, Part, SaveError};
use crate::fp8::BLOCK;
use crate::layout::Role;
use crate::tokenizer;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

/// Weights of a saved checkpoint are cut into files of at most this many bytes, as `huggingface_hub` does.
const MAX_SHARD_BYTES: u64 = 5_000_000_000;

/// Where config.json says how weights are quantised.
const QUANTIZATION: &str = "quantization_config";

/// Where the config of a checkpoint that also sees describes its text part.
const TEXT: &str = "text_config";

impl Policy {
    /// Writes weights as `format`, `config.json` and the tokenizer's files into `folder`, as Hugging Face tools expect
    /// them. The folder the policy was loaded from must still be there.
    pub fn save(&self, folder: &Path, format: Format) -> Result<(), SaveError> {
        let io = |file: &Path| {
            let file = file.to_owned();
            move |source| SaveError::Io { file, source }
        };
        fs::create_dir_all(folder).map_err(io(folder))?;
        for name in tokenizer::FILES.into_iter().chain(["generation_config.json"]) {
            let from = self.source.join(name);
            let to = folder.join(name);
            // Copied onto itself, a file would be empty.
            if from.is_file() && fs::canonicalize(&from).ok() != fs::canonicalize(&to).ok() {
                fs::copy(&from, &to).map_err(io(&to))?;
            }
        }
        let from = self.source.join("config.json");
        let text = fs::read(&from).map_err(io(&from))?;
        let mut config: Value = serde_json::from_slice(&text).map_err(|e| io(&from)(std::io::Error::from(e)))?;
        if config.get(TEXT).is_some_and(Value::is_object) {
            config = text_config(&config);
        }
        if let Some(config) = config.as_object_mut() {
            let name = match format {
                Format::F32 => "float32",
                Format::Bf16 | Format::Fp8 => "bfloat16",
                Format::F16 => "float16",
            };
            let key = if config.contains_key("dtype") { "dtype" } else { "torch_dtype" };
            config.insert(key.into(), name.into());
            config.remove(QUANTIZATION);
            if format == Format::Fp8 {
                config.insert(
                    QUANTIZATION.into(),
                    json!({
                        "activation_scheme": "dynamic",
                        "fmt": "e4m3",
                        "quant_method": "fp8",
                        "weight_block_size": [BLOCK, BLOCK],
                    }),
                );
            }
        }
        let to = folder.join("config.json");
        fs::write(&to, format!("{config:#}\n")).map_err(io(&to))?;
        let copies = self.layout.mtp_copies();
        let tensors = self.layout.parameters().iter().map(|p| (&p.name, &p.shape, p.range(), p.role));
        let parts: Vec<Part<'_>> = tensors
            .chain(copies.iter().map(|p| (&p.name, &p.shape, p.range(), p.role)))
            .map(|(name, shape, range, role)| Part {
                name,
                shape,
                numbers: &self.parameters[range],
                format: stored_as(format, role),
            })
            .collect();
        checkpoint::save(folder, &parts, MAX_SHARD_BYTES)
    }
}

/// The config of a checkpoint's text part alone, which is all that a policy holds of it: a Gemma 3 that also sees.
fn text_config(config: &Value) -> Value {
    let mut text = config[TEXT].clone();
    for key in ["bos_token_id", "eos_token_id", "pad_token_id", "dtype", "torch_dtype", "transformers_version"] {
        if let (Some(outer), None) = (config.get(key), text.get(key)) {
            text[key] = outer.clone();
        }
    }
    text["architectures"] = json!(["Gemma3ForCausalLM"]);
    text["model_type"] = json!("gemma3_text");
    text
}

/// What a checkpoint of `format` stores parameters of a role as. Routers' correction bias moves by less than what bf16
/// tells apart, and is f32 in published checkpoints, too; beside weights in FP8 the others are bf16.
fn stored_as(format: Format, role: Role) -> Format {
    match (format, role) {
        (_, Role::Correction) => Format::F32,
        (Format::Fp8, Role::Matrix | Role::Vector) => Format::Bf16,
        _ => format,
    }
}
