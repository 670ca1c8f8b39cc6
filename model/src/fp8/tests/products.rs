//! Products, against their definition.

use super::*;
use crate::grouped::Stack;
use crate::team::Team;
use proptest::prelude::*;

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
