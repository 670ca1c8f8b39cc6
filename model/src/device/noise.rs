//! The noise of many draws at once, on a device: `philox.rs` in tensor operations.
//!
//! Words of 32 bits are kept in 64, so that a product of two of them is whole. Shapes are broadcast: the words that a
//! row's stream and position name are `[B, 1]`, the block's number is `[1, V / 4]`.

use crate::philox::Stream;
use tch::{Device, Kind, Tensor};

/// The low 32 bits.
const WORD: i64 = 0xFFFF_FFFF;

/// Gumbel noise of ids `0..n` at each stream's position, `[B, n]` f32.
///
/// The uniform numbers behind it are those of [`Stream::block`], bit for bit; the two logarithms are the device's.
pub fn gumbel(draws: &[(Stream, u32)], n: usize, device: Device) -> Tensor {
    let column = |words: Vec<u32>| {
        let words: Vec<i64> = words.into_iter().map(i64::from).collect();
        Tensor::from_slice(&words).unsqueeze(1).to_device(device)
    };
    let place: Vec<([u32; 3], [u32; 2])> = draws.iter().map(|(stream, position)| stream.at(*position)).collect();
    let [a, b, c] = [0, 1, 2].map(|i| column(place.iter().map(|(lane, _)| lane[i]).collect()));
    let mut key = [0, 1].map(|i| column(place.iter().map(|(_, key)| key[i]).collect()));
    let blocks = Tensor::arange(n.div_ceil(4) as i64, (Kind::Int64, device)).unsqueeze(0);
    let mut counter = [a, b, c, blocks];
    for round in 0..10 {
        if round > 0 {
            key = [lower(&key[0] + 0x9E37_79B9i64), lower(&key[1] + 0xBB67_AE85i64)];
        }
        let low = &counter[0] * 0xD251_1F53i64;
        let high = &counter[2] * 0xCD9E_8D57i64;
        counter = [
            upper(&high).bitwise_xor_tensor(&counter[1]).bitwise_xor_tensor(&key[0]),
            lower(high),
            upper(&low).bitwise_xor_tensor(&counter[3]).bitwise_xor_tensor(&key[1]),
            lower(low),
        ];
    }
    let words = Tensor::stack(&Tensor::broadcast_tensors(&counter), 2).flatten(1, 2).narrow(1, 0, n as i64);
    // `open_unit` of philox.rs: both operations are exact in f32.
    let unit = (words.bitwise_right_shift_tensor_scalar(9).to_kind(Kind::Float) + 0.5) * (1.0 / 8_388_608.0);
    unit.log().neg().log().neg()
}

/// The upper word of a product. It may have overflowed into the sign, whose copies are cut off.
fn upper(product: &Tensor) -> Tensor {
    product.bitwise_right_shift_tensor_scalar(32).bitwise_and(WORD)
}

fn lower(word: Tensor) -> Tensor {
    word.bitwise_and(WORD)
}
