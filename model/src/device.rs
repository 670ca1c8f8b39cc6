//! A policy on a device of libtorch's: the same network as [`crate::policy::Policy`], as tensor operations.
//!
//! What the CPU computes by kernels of our own is computed here by libtorch's, so the code runs on whatever device
//! libtorch has, a GPU first of all, and on its CPU device in the tests. libtorch's kernels may give a row other bits
//! beside other rows: sampler and trainer agree closely here, not bit for bit, and a run measures by how much.
//!
//! Masters are f32 in one flat tensor, laid out as [`crate::layout::Layout`] says; products read a bf16 copy, the masters
//! themselves, or codes in FP8. The gradient and the optimizer's moments are flat tensors of the same layout.

mod attention;
mod backward;
mod balancer;
mod block;
mod cache;
mod dispatch;
mod fp8;
mod library;
mod mtp;
mod noise;
mod operands;
mod plan;
mod policy;
mod reader;
mod router;
mod tape;
mod twin;
mod weight;

pub use backward::chunk_rows;
pub use cache::{DeviceCache, Encoded};
pub use fp8::fp8_product;
pub use library::{LibraryError, beside_libtorch, free_cuda_memory, load_cuda};
pub use noise::gumbel;
pub use plan::{number_bytes, weight_bytes};
pub use policy::DevicePolicy;
pub(crate) use twin::Twin;

#[cfg(test)]
mod tests;
