//! A checkpoint's chat template, rendered as transformers renders it.
