//! Products that libtorch compiles: in bf16 its oneDNN makes code for every shape that it meets, row counts among them, and
//! two caches keep it for when the shape comes again: oneDNN's, and one of each thread that calls. A run meets hundreds of
//! shapes, and either would keep 1,024 of them.

use std::env;

/// Read when the first product is compiled: of oneDNN's cache, and of a thread's, which need hold no more than it is at.
const SHARED: &str = "ONEDNN_PRIMITIVE_CACHE_CAPACITY";
const OF_A_THREAD: &str = "LRU_CACHE_CAPACITY";

/// Bytes of one product's code and tables, with what its making leaves unused in a heap.
pub(super) const BYTES: u64 = 1280 << 10;

/// Products that are kept on a machine of so many cores: all of several passes and replicas at once, since one that is
/// compiled anew takes a millisecond or a few.
pub(super) fn kept(cores: usize) -> usize {
    (8 * cores).max(32)
}

/// Lets no more compiled products stay in memory than the plan counts, unless the environment already says how many. To be
/// called before any other thread is born.
pub fn bound_compiled_products(cores: usize) {
    for (name, capacity) in [(SHARED, kept(cores)), (OF_A_THREAD, 1)] {
        if env::var_os(name).is_none() {
            // SAFETY: no other thread reads the environment yet.
            unsafe { env::set_var(name, capacity.to_string()) };
        }
    }
}
