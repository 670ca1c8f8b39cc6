//! Text to token ids and back, from a checkpoint's tokenizer.json.
