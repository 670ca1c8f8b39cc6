//! Rotary position embedding: inverse frequencies of every scaling.
