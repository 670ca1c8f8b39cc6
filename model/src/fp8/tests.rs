use super::*;
use crate::philox::{Purpose, Stream};
use tch::{Kind, Tensor};

mod products;

fn noise(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Weights, 0, 0, 0);
    (0..n).map(|i| stream.uniform(i as u32) - 0.5).collect()
}

/// Numbers over many magnitudes, some of them zero.
fn wide_noise(seed: u64, n: usize) -> Vec<f32> {
    let powers = noise(seed ^ 0x77, n);
    let spread = |(x, p): (f32, &f32)| if *p > 0.45 { 0.0 } else { x * (40.0 * p).exp2() };
    noise(seed, n).into_iter().zip(&powers).map(spread).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|v| v.to_bits()).collect()
}

/// libtorch's cast to E4M3, as bytes.
fn cast(numbers: &[f32]) -> Vec<u8> {
    let cast = Tensor::from_slice(numbers).to_kind(Kind::Float8e4m3fn);
    Vec::try_from(cast.view_dtype(Kind::Uint8)).unwrap()
}

/// What libtorch reads bytes of E4M3 as.
fn read(codes: &[u8]) -> Vec<f32> {
    let codes = Tensor::from_slice(codes).view_dtype(Kind::Float8e4m3fn);
    Vec::try_from(codes.to_kind(Kind::Float)).unwrap()
}

/// The scale of some numbers, by its definition.
fn scale_of(numbers: impl Iterator<Item = f32>, scales: Scales) -> f32 {
    let mut largest = 0.0f32;
    for number in numbers {
        if !number.is_finite() {
            return f32::NAN;
        }
        largest = largest.max(number.abs());
    }
    let scale = largest / 448.0;
    if !scale.is_normal() {
        return 1.0;
    }
    if scales == Scales::Largest {
        return scale;
    }
    let mut power = f32::MIN_POSITIVE;
    while power < scale {
        power *= 2.0;
    }
    power
}

/// The E4M3 numbers of numbers with a scale, by libtorch.
fn quotients(numbers: &[f32], scale: f32) -> Vec<f32> {
    let quotients: Vec<f32> = numbers.iter().map(|x| (x / scale).clamp(-448.0, 448.0)).collect();
    read(&cast(&quotients))
}

#[test]
fn every_code_is_read_as_libtorch_reads_it() {
    let codes: Vec<u8> = (0..=255).collect();
    let mut ours = vec![0.0; 256];
    decode(&codes, &mut ours);
    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
    assert!(ours.iter().zip(&read(&codes)).all(same), "{ours:?}");
    // Whatever part of a vector is left over.
    for from in 0..40 {
        let mut some = vec![0.0; 40 - from];
        decode(&codes[from..40], &mut some);
        assert_eq!(some, ours[from..40]);
    }
}

/// Every E4M3 number, the middles between neighbours, and the f32 numbers on either side of both: rounded as libtorch
/// rounds them. One 448 in each block makes its scale 1.
#[test]
fn numbers_are_rounded_as_libtorch_rounds_them() {
    let mut all = vec![0.0; 127];
    decode(&(0..127).collect::<Vec<u8>>(), &mut all);
    let middles: Vec<f32> = all.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).collect();
    let around = |x: &f32| [x.next_down(), *x, x.next_up()].map(|x| x.clamp(-448.0, 448.0));
    let mut numbers: Vec<f32> = all.iter().chain(&middles).flat_map(around).flat_map(|x| [x, -x]).collect();
    numbers.extend(wide_noise(3, 5_000).iter().map(|x| x.clamp(-448.0, 448.0)));
    numbers.extend([f32::MIN_POSITIVE, 1e-40, -1e-45]);
    for some in numbers.chunks(BLOCK - 1) {
        let row = [some, &[448.0]].concat();
        let (codes, scales) = encode(&row, row.len());
        assert_eq!(scales, [1.0]);
        assert_eq!(codes, cast(&row));
        let tiles = Tiles::of_rows(&row, &starts(&[row.len()]), Scales::Largest);
        assert_eq!(bits(&tiles.numbers), bits(&read(&codes).iter().map(|x| x * 256.0).collect::<Vec<_>>()));
    }
}

#[test]
fn edges_by_hand() {
    let quantised = |numbers: &[f32]| {
        let (codes, scales) = encode(numbers, numbers.len());
        assert_eq!(scales.len(), 1);
        (codes, scales[0])
    };
    // A tile of zeros, and one of numbers so small that the scale would be no normal number.
    assert_eq!(quantised(&[0.0, -0.0]), (vec![0x00, 0x80], 1.0));
    assert_eq!(quantised(&[1e-37, 1e-45]), (vec![0, 0], 1.0));
    // The largest number is 448 of its scale's; 464 would be half way to what is not there.
    assert_eq!(quantised(&[448.0, -448.0, 1.0]), (vec![0x7e, 0xfe, 0x38], 1.0));
    assert_eq!(quantised(&[464.0, 232.0]), (vec![0x7e, 0x76], 464.0 / 448.0));
    assert_eq!(quantised(&[f32::MAX, -f32::MAX]), (vec![0x7e, 0xfe], f32::MAX / 448.0));
    // Subnormal numbers: 2^-9 is the smallest, its half a tie to zero, three halves a tie to two.
    let e = 2f32.powi(-9);
    let small = [448.0, e, e / 2.0, (e / 2.0).next_up(), 1.5 * e, 2.5 * e, 7.0 * e, 7.5 * e, 8.0 * e];
    assert_eq!(quantised(&small), (vec![0x7e, 1, 0, 1, 2, 2, 7, 8, 8], 1.0));
    // What is no number makes a scale that is none.
    for bad in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN] {
        assert!(quantised(&[1.0, bad, 2.0]).1.is_nan(), "{bad}");
    }
    // Powers of two: the least that is not below 1 / 448 of the largest.
    for (largest, scale) in [(448.0, 1.0), (448.1, 2.0), (447.0, 1.0), (224.0, 0.5), (1e-40, 1.0), (0.0, 1.0)] {
        let tiles = Tiles::of_rows(&[largest, largest / 3.0], &[0, 2], Scales::Powers);
        assert_eq!(*tiles.scales, [scale], "{largest}");
    }
}

/// Blocks of 128 × 128, smaller at the edges.
#[test]
fn ragged_blocks_have_scales_of_their_own() {
    let (n, k) = (130, 300);
    let weights = wide_noise(5, n * k);
    let (codes, scales) = encode(&weights, k);
    assert_eq!(scales.len(), 2 * 3);
    for (row, line) in weights.chunks(k).enumerate() {
        for (at, tile) in line.chunks(BLOCK).enumerate() {
            let rows = row / BLOCK * BLOCK..n.min(row / BLOCK * BLOCK + BLOCK);
            let block = rows.flat_map(|r| &weights[r * k + at * BLOCK..][..tile.len()]).copied();
            let scale = scale_of(block, Scales::Largest);
            assert_eq!(scales[row / BLOCK * 3 + at], scale);
            let mut found = vec![0.0; tile.len()];
            decode(&codes[row * k + at * BLOCK..][..tile.len()], &mut found);
            assert_eq!(bits(&found), bits(&quotients(tile, scale)));
        }
    }
}

/// What comes back from codes has the same codes and scales again.
#[test]
fn codes_of_what_codes_stand_for_are_the_same() {
    for seed in 0..200 {
        let weights: Vec<f32> = noise(seed, 40).iter().map(|x| x * (seed as f32 * 0.731 - 70.0).exp()).collect();
        let (codes, scales) = encode(&weights, 40);
        let mut numbers = vec![0.0; 40];
        decode(&codes, &mut numbers);
        numbers.iter_mut().for_each(|x| *x *= scales[0]);
        assert_eq!(encode(&numbers, 40), (codes, scales));
    }
}
