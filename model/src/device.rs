//! A policy on a device of libtorch's: the same network as [`crate::policy::Policy`], as tensor operations.
//!
//! What the CPU computes by kernels of our own is computed here by libtorch's, so the code runs on whatever device
//! libtorch has, a GPU first of all, and on its CPU device in the tests. libtorch's kernels may give a row other bits
//! beside other rows: sampler and trainer agree closely here, not bit for bit, and a run measures by how much.
//!
//! Masters are f32 in one flat tensor, laid out as [`crate::layout::Layout`] says; products read a bf16 copy, or the
//! masters themselves. The gradient and the optimizer's moments are flat tensors of the same layout.

mod attention;
mod backward;
mod block;
mod cache;
mod dispatch;
mod fp8;
mod library;
mod noise;
mod policy;
mod reader;
mod router;
mod twin;
mod weight;

pub use cache::{DeviceCache, Encoded};
pub use fp8::fp8_product;
pub use library::{LibraryError, beside_libtorch, load_cuda};
pub use noise::gumbel;
pub use policy::DevicePolicy;
pub(crate) use twin::Twin;

#[cfg(test)]
mod tests;
