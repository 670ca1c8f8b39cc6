use super::super::tests::devices;
use super::*;
use crate::fp8::{self, Fp8Panels};
use crate::layout::Slot;
use crate::philox::{Purpose, Stream};

fn numbers(seed: u64, n: usize) -> Vec<f32> {
    let stream = Stream::new(seed, Purpose::Problems, 0, 0, 0);
    // Of many magnitudes, so that tiles differ.
    (0..n as u32).map(|i| stream.normal(i) * 2f32.powi((i / 64 % 9) as i32 - 4)).collect()
}

fn host(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.to_kind(Kind::Float).reshape([-1])).unwrap()
}

fn bytes(x: &Tensor) -> Vec<u8> {
    Vec::try_from(x.view_dtype(Kind::Uint8).reshape([-1])).unwrap()
}

/// Codes and scales are the CPU's: of tiles and blocks, of zeros, of the smallest and the largest numbers.
#[test]
fn codes_and_scales_are_the_cpus() {
    let k = 512;
    let mut rows = numbers(1, 256 * k);
    rows[..128].fill(0.0);
    rows[128..256].iter_mut().for_each(|x| *x *= 1e-38);
    rows[256..384].iter_mut().for_each(|x| *x *= 1e-41);
    rows[384..512].iter_mut().for_each(|x| *x *= 1e36);
    for device in devices() {
        let x = Tensor::from_slice(&rows).view([256, k as i64]).to_device(device);
        let found = Coded::blocks(&x);
        let (codes, scales) = fp8::encode(&rows, k);
        assert!(bytes(&found.codes) == codes && host(&found.scales) == scales);
        let found = Coded::tiles(&x, Scales::Largest);
        // A block of one row is a tile.
        let each: Vec<_> = rows.chunks(k).map(|row| fp8::encode(row, k)).collect();
        assert!(bytes(&found.codes) == each.iter().flat_map(|(codes, _)| codes.clone()).collect::<Vec<_>>());
        assert!(host(&found.scales) == each.iter().flat_map(|(_, scales)| scales.clone()).collect::<Vec<_>>());
    }
}

/// Scales that are powers of two are the least that are not below the others; what is no number shows.
#[test]
fn scales_are_powers_where_asked() {
    let largest = [448.0, 449.0, 447.9, 896.0, 0.0, 1e-30, f32::INFINITY, f32::NAN];
    for device in devices() {
        let found = host(&scales(&Tensor::from_slice(&largest).to_device(device), Scales::Powers));
        assert_eq!(found[..5], [1.0, 2.0, 1.0, 2.0, 1.0]);
        assert!(found[5] >= 1e-30 / 448.0 && found[5] < 2e-30 / 448.0 && found[5].log2().fract() == 0.0);
        assert!(found[6].is_nan() && found[7].is_nan());
    }
}

/// The three products of a layer are the CPU's but for the order of sums in a chunk, with chunks that are not full and
/// matrices one above the other.
#[test]
fn products_are_the_cpus() {
    let near = |found: &[f32], expected: &[f32], what: &str| {
        let largest = expected.iter().fold(0f32, |a, b| a.max(b.abs()));
        let apart = found.iter().zip(expected).fold(0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(found.len() == expected.len() && apart <= 2e-6 * largest, "{what}: {apart:e} of {largest:e}");
    };
    let shapes = [(37, vec![130, 40, 128], 200), (200, vec![256], 384), (1, vec![16], 16)];
    for ((m, parts, k), input) in
        shapes.into_iter().flat_map(|s| [Scales::Largest, Scales::Powers].map(|i| (s.clone(), i)))
    {
        let n: usize = parts.iter().sum();
        let (w, x, dy) = (numbers(2, n * k), numbers(3, m * k), numbers(4, m * n));
        let mut panels = Fp8Panels::new(&parts, k, input);
        panels.pack(&w);
        let mut expected = numbers(5, n * k);
        let before = expected.clone();
        panels.add_weight_gradient(&dy, &x, &mut expected);
        for device in devices() {
            let on_device = |x: &[f32], width: usize| Tensor::from_slice(x).view([-1, width as i64]).to_device(device);
            // Behind three other numbers, as in a flat array.
            let flat = |x: &[f32]| Tensor::from_slice(&[&[0.0; 3], x].concat()).to_device(device);
            let slot = Slot { offset: 3, rows: n, columns: k };
            let matrix = CodedMatrix::new(&flat(&w), slot, &parts, input);
            let gradient = flat(&before);
            matrix.add_weight_gradient(&on_device(&dy, n), &on_device(&x, k), &gradient);
            near(&host(&matrix.product(&on_device(&x, k))), &panels.product(&x), "product");
            near(&host(&matrix.input_gradient(&on_device(&dy, n))), &panels.input_gradient(&dy), "input gradient");
            near(&host(&gradient)[3..], &expected, "weight gradient");
        }
    }
}
