//! Gumbel-max: a token drawn from softmax(logits · scale) as the argmax of logit · scale + g(token).
//!
//! The noise g(id) = −ln(−ln u) is keyed: u is word id mod 4 of Philox block ⌊id / 4⌋ of the completion's stream at the
//! token's position. So a draw depends neither on the batch it is made in nor on what else could have been drawn: leaving
//! candidates out only removes them. Ties go to the lowest id.

use crate::philox::Stream;

// `cxx` takes no `expect` and no reason: the bridge repeats the C++ signatures.
#[allow(unreachable_pub)]
#[cxx::bridge(namespace = "grouper")]
mod ffi {
    unsafe extern "C++" {
        include!("sampling.h");

        unsafe fn argmax(logits: *const f32, n: i64) -> i64;
        unsafe fn gumbel_argmax(logits: *const f32, n: i64, scale: f32, counter: *const u32, key: *const u32) -> i64;
    }
}

/// The token of the largest logit.
pub fn argmax(logits: &[f32]) -> u32 {
    // SAFETY: the length is that of the slice.
    unsafe { ffi::argmax(logits.as_ptr(), logits.len() as i64) as u32 }
}

/// The token drawn at `position` of the completion that `stream` belongs to. A token whose logit is −∞ is never drawn
/// where another is not.
pub fn draw(logits: &[f32], scale: f32, stream: &Stream, position: u32) -> u32 {
    let (counter, key) = stream.at(position);
    let n = logits.len() as i64;
    // SAFETY: the length is that of the slice; the counter has three words, the key two.
    unsafe { ffi::gumbel_argmax(logits.as_ptr(), n, scale, counter.as_ptr(), key.as_ptr()) as u32 }
}

#[cfg(test)]
mod tests;
