//! text → score: rules and sandboxes. No tensors, no libtorch.
