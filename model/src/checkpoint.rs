//! Weights in the Hugging Face layout: safetensors, one file or several with an index.
