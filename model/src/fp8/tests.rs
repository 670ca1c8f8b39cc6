use super::*;
use crate::grouped::Stack;
use crate::philox::{Purpose, Stream};
use crate::team::Team;
use proptest::prelude::*;
use tch::{Kind, Tensor};

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

/// One factor of a product by the definition: numbers and scales of rows whose inner dimension is cut into chunks.
struct Factor {
    numbers: Vec<f32>,
    scales: Vec<f32>,
    starts: Vec<usize>,
}

impl Factor {
    fn k(&self) -> usize {
        *self.starts.last().unwrap()
    }

    /// Tiles of 1 × 128.
    fn rows(x: &[f32], starts: Vec<usize>, scales: Scales) -> Factor {
        let mut factor = Factor { numbers: Vec::new(), scales: Vec::new(), starts };
        for row in x.chunks(factor.k()) {
            for cut in factor.starts.windows(2) {
                let tile = &row[cut[0]..cut[1]];
                let scale = scale_of(tile.iter().copied(), scales);
                factor.scales.push(scale);
                factor.numbers.extend(quotients(tile, scale));
            }
        }
        factor
    }

    /// Weights in blocks, given the chunks of both dimensions.
    fn blocks(w: &[f32], n_starts: &[usize], starts: Vec<usize>) -> Factor {
        let mut factor = Factor { numbers: w.to_vec(), scales: Vec::new(), starts };
        let k = factor.k();
        for rows in n_starts.windows(2) {
            let cuts: Vec<_> = factor.starts.windows(2).map(|cut| cut[0]..cut[1]).collect();
            let block = |cut: &Range<usize>| {
                let cut = cut.clone();
                (rows[0]..rows[1]).flat_map(move |row| w[row * k..][cut.clone()].iter().copied())
            };
            let scales: Vec<f32> = cuts.iter().map(|cut| scale_of(block(cut), Scales::Largest)).collect();
            for row in rows[0]..rows[1] {
                for (cut, scale) in cuts.iter().zip(&scales) {
                    let place = row * k + cut.start..row * k + cut.end;
                    factor.numbers[place.clone()].copy_from_slice(&quotients(&w[place], *scale));
                }
                factor.scales.extend(&scales);
            }
        }
        factor
    }

    fn transposed(x: &[f32], width: usize) -> Vec<f32> {
        (0..width).flat_map(|j| x.chunks(width).map(move |row| row[j])).collect()
    }
}

/// start + Σ over chunks, operation by operation as fp8.h says.
fn chain(a: &Factor, i: usize, b: &Factor, j: usize, start: f32) -> f32 {
    let (chunks, k) = (a.starts.len() - 1, a.k());
    // Where a machine has no fused multiply-add, products are rounded twice.
    let fused = |a: f32, b: f32, c: f32| if product::route() == "sse2" { a * b + c } else { a.mul_add(b, c) };
    (0..chunks).fold(start, |y, c| {
        let inner =
            (a.starts[c]..a.starts[c + 1]).fold(0.0, |t, p| fused(a.numbers[i * k + p], b.numbers[j * k + p], t));
        fused(inner, a.scales[i * chunks + c] * b.scales[j * chunks + c], y)
    })
}

fn cuts(parts: &[usize]) -> Vec<usize> {
    starts(parts).into_iter().map(|start| start as usize).collect()
}

/// The three products of a layer of such parts are their definition, bit for bit.
fn products_are_their_definition(m: usize, parts: &[usize], k: usize, input: Scales, seed: u64) {
    let n = parts.iter().sum();
    let (x, w, dy) = (wide_noise(seed, m * k), noise(seed ^ 1, n * k), wide_noise(seed ^ 2, m * n));
    let mut panels = Fp8Panels::new(parts, k, input);
    panels.pack(&w);
    let all = |rows: usize, columns: usize, number: &dyn Fn(usize, usize) -> f32| {
        (0..rows).flat_map(|i| (0..columns).map(move |j| number(i, j).to_bits())).collect::<Vec<_>>()
    };
    let weights = Factor::blocks(&w, &cuts(parts), cuts(&[k]));
    let rows = Factor::rows(&x, cuts(&[k]), input);
    let y = all(m, n, &|i, j| chain(&rows, i, &weights, j, 0.0));
    assert!(bits(&panels.product(&x)) == y, "y: {m} × {parts:?} × {k}");
    let turned = Factor::blocks(&Factor::transposed(&w, k), &cuts(&[k]), cuts(parts));
    let rows = Factor::rows(&dy, cuts(parts), Scales::Largest);
    let dx = all(m, k, &|i, j| chain(&rows, i, &turned, j, 0.0));
    assert!(bits(&panels.input_gradient(&dy)) == dx, "dx: {m} × {parts:?} × {k}");
    let old = noise(seed ^ 3, n * k);
    let mut dw = old.clone();
    panels.add_weight_gradient(&dy, &x, &mut dw);
    let columns = |x: &[f32], width, scales| Factor::rows(&Factor::transposed(x, width), cuts(&[m]), scales);
    let (left, right) = (columns(&dy, n, Scales::Largest), columns(&x, k, input));
    let expected = all(n, k, &|i, j| chain(&left, i, &right, j, old[i * k + j]));
    assert!(bits(&dw) == expected, "dw: {m} × {parts:?} × {k}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn products_are_what_they_say(
        m in 1usize..30,
        parts in prop::collection::vec(1usize..150, 1..4),
        k in 1usize..300,
        powers: bool,
        seed: u64,
    ) {
        products_are_their_definition(m, &parts, k, if powers { Scales::Powers } else { Scales::Largest }, seed);
    }

    /// A row's bits are those it has alone, and a team's are those of one thread.
    #[test]
    fn rows_and_threads_change_no_bit(
        m in 1usize..300,
        parts in prop::collection::vec(1usize..150, 1..3),
        k in 1usize..200,
        row: prop::sample::Index,
        threads in 2usize..5,
        seed: u64,
    ) {
        let (row, n) = (row.index(m), parts.iter().sum::<usize>());
        let (x, w, dy) = (wide_noise(seed, m * k), noise(seed ^ 1, n * k), wide_noise(seed ^ 2, m * n));
        let mut panels = Fp8Panels::new(&parts, k, Scales::Largest);
        panels.pack(&w);
        let one = bits(&panels.product(&x[row * k..][..k]));
        prop_assert_eq!(&bits(&panels.product(&x)[row * n..][..n]), &one);
        let one = bits(&panels.input_gradient(&dy[row * n..][..n]));
        prop_assert_eq!(&bits(&panels.input_gradient(&dy)[row * k..][..k]), &one);
        let all = || {
            let mut panels = Fp8Panels::new(&parts, k, Scales::Largest);
            panels.pack(&w);
            let mut dw = noise(seed ^ 3, n * k);
            panels.add_weight_gradient(&dy, &x, &mut dw);
            bits(&[&panels.product(&x)[..], &panels.input_gradient(&dy), &dw].concat())
        };
        prop_assert_eq!(Team::new(threads).lead(all), all());
    }

    /// Gate and other half, wherever panels and blocks end.
    #[test]
    fn gated_products_are_products_gated(m in 1usize..40, f in 1usize..200, k in 1usize..150, seed: u64) {
        let mut panels = Fp8Panels::new(&[f, f], k, Scales::Largest);
        panels.pack(&noise(seed, 2 * f * k));
        let x = noise(seed ^ 1, m * k);
        let expected = kernels::gated(Activation::Silu, &panels.product(&x), f);
        prop_assert_eq!(bits(&panels.gated_product(Activation::Silu, &x)), bits(&expected));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    /// A group of a stack is what it is alone, with its own matrix, whatever groups stand beside it; and so on a team.
    #[test]
    fn groups_are_what_they_are_alone(
        sizes in prop::collection::vec(prop_oneof![Just(0), 1usize..12, 120usize..150], 1..6),
        f in prop_oneof![Just(32usize), 1usize..80],
        k in 1usize..150,
        threads in 2usize..5,
        seed: u64,
    ) {
        let (n, groups, m) = (2 * f, sizes.len(), sizes.iter().sum::<usize>());
        let ends: Vec<usize> = sizes.iter().scan(0, |end, size| { *end += size; Some(*end) }).collect();
        let stack = Stack { rows: n, columns: k, stride: n * k, groups };
        let (x, w, dy) = (noise(seed, m * k), noise(seed ^ 1, groups * n * k), noise(seed ^ 2, m * n));
        let all = || {
            let mut panels = Fp8Stack::new(stack, &[f, f]);
            panels.pack(&w);
            let mut dw = vec![0.5; groups * n * k];
            panels.add_weight_gradient(&dy, &x, &ends, &mut dw);
            let gated = panels.gated_product(Activation::Silu, &x, &ends);
            [panels.product(&x, &ends), gated, panels.input_gradient(&dy, &ends), Buffer::from_slice(&dw)]
                .map(|numbers| bits(&numbers))
        };
        let [y, gated, dx, dw] = all();
        prop_assert_eq!(&Team::new(threads).lead(all), &[y.clone(), gated.clone(), dx.clone(), dw.clone()]);
        for (group, (end, size)) in ends.iter().zip(&sizes).enumerate() {
            let (rows, matrix) = (end - size..*end, group * n * k..(group + 1) * n * k);
            let mut one = Fp8Panels::new(&[f, f], k, Scales::Largest);
            one.pack(&w[matrix.clone()]);
            let (x, dy) = (&x[rows.start * k..rows.end * k], &dy[rows.start * n..rows.end * n]);
            prop_assert_eq!(&y[rows.start * n..rows.end * n], bits(&one.product(x)));
            prop_assert_eq!(&gated[rows.start * f..rows.end * f], bits(&one.gated_product(Activation::Silu, x)));
            prop_assert_eq!(&dx[rows.start * k..rows.end * k], bits(&one.input_gradient(dy)));
            let mut alone = vec![0.5; n * k];
            one.add_weight_gradient(dy, x, &mut alone);
            prop_assert_eq!(&dw[matrix], bits(&alone));
        }
    }
}

/// Many rows, whole blocks and several of them.
#[test]
fn large_products_are_what_they_say() {
    products_are_their_definition(300, &[256, 128, 40], 384, Scales::Largest, 11);
}

/// How far a product is from that of the numbers it was given: of each factor a number is off by a sixteenth of itself, or
/// by half of the smallest E4M3 number's worth where that is more, and a little of what is summed is rounded away.
#[test]
fn products_are_near_those_of_the_numbers_given() {
    let (m, n, k) = (20, 140, 700);
    let (x, w) = (wide_noise(1, m * k), wide_noise(2, n * k));
    let mut panels = Fp8Panels::new(&[n], k, Scales::Largest);
    panels.pack(&w);
    let y = panels.product(&x);
    let rows = Factor::rows(&x, cuts(&[k]), Scales::Largest);
    let weights = Factor::blocks(&w, &cuts(&[n]), cuts(&[k]));
    let error = |number: f32, scale: f32| f64::from(number.abs() / 16.0).max(f64::from(scale) / 1024.0);
    let mut worst = 0.0f64;
    for i in 0..m {
        for j in 0..n {
            let (mut sum, mut bound) = (0.0, 0.0);
            for p in 0..k {
                let (a, b) = (x[i * k + p], w[j * k + p]);
                let a_error = error(a, rows.scales[i * 6 + p / BLOCK]);
                let b_error = error(b, weights.scales[j * 6 + p / BLOCK]);
                let [a, b] = [a, b].map(f64::from);
                sum += a * b;
                bound += a.abs() * b_error + b.abs() * a_error + a_error * b_error + 1e-5 * (a * b).abs();
            }
            let off = (f64::from(y[i * n + j]) - sum).abs();
            assert!(off <= bound, "{off} of {sum}, at most {bound}");
            worst = worst.max(off / bound);
        }
    }
    assert!(worst > 0.01, "the bound says something: {worst}");
}

/// A number that is none is seen in everything that is computed from its tile, and in nothing else.
#[test]
fn what_is_no_number_is_not_lost() {
    let (m, n, k) = (3, 40, 300);
    let mut x = noise(1, m * k);
    let mut panels = Fp8Panels::new(&[n], k, Scales::Largest);
    panels.pack(&noise(2, n * k));
    let before = panels.product(&x);
    x[k + 5] = f32::INFINITY;
    let after = panels.product(&x);
    assert!(after[n..2 * n].iter().all(|y| y.is_nan()));
    assert_eq!((&before[..n], &before[2 * n..]), (&after[..n], &after[2 * n..]));
    let mut dw = vec![0.0; n * k];
    panels.add_weight_gradient(&noise(3, m * n), &x, &mut dw);
    assert!(dw.chunks(k).all(|row| row.iter().enumerate().all(|(p, number)| number.is_nan() == (p == 5))));
    let mut weights = noise(2, n * k);
    weights[7] = f32::NAN;
    panels.pack(&weights);
    assert!(panels.product(&x[..k]).iter().all(|y| y.is_nan()));
}
