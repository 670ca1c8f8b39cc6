use super::*;
use crate::kernels::tests::noise;
use crate::product::{Panels, add_weight_gradient as add_one, input_gradient as input_one};
use crate::team::Team;
use proptest::prelude::*;
use tch::{Kind, Tensor};

/// Groups of rows, and matrices that do not lie next to each other.
#[derive(Clone, Debug)]
struct Case {
    stack: Stack,
    ends: Vec<usize>,
    seed: u64,
}

impl Case {
    fn m(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    fn x(&self) -> Vec<f32> {
        noise(self.seed, self.m() * self.stack.columns)
    }

    fn dy(&self) -> Vec<f32> {
        noise(self.seed ^ 1, self.m() * self.stack.rows)
    }

    fn weights(&self) -> Vec<f32> {
        noise(self.seed ^ 2, self.stack.span() + 3)
    }

    /// Product, gated product, input gradient and weight gradient, one below the other.
    fn all(&self) -> Vec<u32> {
        let (x, dy, weights) = (self.x(), self.dy(), self.weights());
        let mut panels = StackPanels::new(self.stack);
        panels.pack(&weights);
        let mut gradient = weights.clone();
        add_weight_gradient(&dy, &x, &self.ends, self.stack, &mut gradient);
        let y = panels.product(&x, &self.ends);
        let gated = panels.gated_product(Activation::Silu, &x, &self.ends);
        let dx = input_gradient(&dy, &self.ends, &weights, self.stack);
        bits([&y[..], &gated, &dx, &gradient].concat())
    }

    /// The same, group by group and row by row, by the products of one matrix.
    fn alone(&self) -> Vec<u32> {
        let Stack { rows: n, columns: k, groups, .. } = self.stack;
        let (x, dy, weights) = (self.x(), self.dy(), self.weights());
        let [mut y, mut gated, mut dx, mut gradient] = [vec![], vec![], vec![], weights.clone()];
        for group in 0..groups {
            let (rows, matrix) = (rows_of(&self.ends, group), self.stack.matrix(group));
            let mut panels = Panels::new(n, k);
            panels.pack(&weights[matrix.clone()]);
            for row in rows.clone() {
                let product = panels.product(&x[row * k..][..k]);
                y.extend_from_slice(&product);
                gated.extend_from_slice(&kernels::gated(Activation::Silu, &product, n / 2));
                dx.extend_from_slice(&input_one(&dy[row * n..][..n], &weights[matrix.clone()], k));
            }
            let (dy, x) = (&dy[rows.start * n..rows.end * n], &x[rows.start * k..rows.end * k]);
            add_one(dy, x, k, &mut gradient[matrix]);
        }
        bits([y, gated, dx, gradient].concat())
    }
}

fn bits(numbers: Vec<f32>) -> Vec<u32> {
    numbers.into_iter().map(f32::to_bits).collect()
}

fn cases() -> impl Strategy<Value = Case> {
    // Some groups are empty, some have more rows than a product that threads share by rows.
    let counts = prop::collection::vec(prop_oneof![Just(0), 1usize..4, 4usize..40, 128usize..160], 1..6);
    (counts, prop_oneof![1usize..20, Just(32), Just(64)], 1usize..70, 0usize..50, any::<u64>()).prop_map(
        |(counts, half, columns, apart, seed)| {
            let rows = 2 * half;
            let stack = Stack { rows, columns, stride: rows * columns + apart, groups: counts.len() };
            let mut end = 0;
            let ends = counts.into_iter().map(|count| {
                end += count;
                end
            });
            Case { stack, ends: ends.collect(), seed }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Every row has the bits that it has alone with its matrix, on any number of threads, and what lies between the
    /// matrices is left alone.
    #[test]
    fn groups_have_the_bits_of_products_alone(case in cases(), threads in 1usize..5) {
        let alone = case.alone();
        prop_assert_eq!(case.all(), alone.clone());
        prop_assert_eq!(Team::new(threads).lead(|| case.all()), alone);
    }

    /// All units of all groups are covered once, by any number of threads.
    #[test]
    fn work_is_covered_once(sizes in prop::collection::vec((0usize..9, 0usize..200_000), 0..20), threads in 1usize..5) {
        let seen: Vec<Vec<std::sync::atomic::AtomicUsize>> =
            sizes.iter().map(|&(units, _)| (0..units).map(|_| 0.into()).collect()).collect();
        let sizes = sizes.iter().map(|&(units, cost)| Size { units, cost: cost + 1 });
        Team::new(threads).lead(|| spread(sizes, |group, units| {
            for unit in units {
                seen[group][unit].fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        }));
        prop_assert!(seen.iter().flatten().all(|unit| unit.load(std::sync::atomic::Ordering::Relaxed) == 1));
    }
}

/// The inputs of a case in bf16, whose groups are whole blocks, and the matrices as a flat tensor.
fn halved(case: &Case) -> (Buffer, Buffer, Tensor) {
    let round = |numbers: &[f32]| Buffer::of(Tensor::from_slice(numbers).to_kind(Kind::BFloat16));
    (round(&case.x()), round(&case.dy()), Tensor::from_slice(&case.weights()).to_kind(Kind::BFloat16))
}

#[test]
fn groups_in_bf16_are_what_they_say_and_keep_their_bits() {
    tch::set_num_threads(1);
    let stack = Stack { rows: 24, columns: 40, stride: 1000, groups: 4 };
    let case = Case { stack, ends: vec![8, 8, 24, 64], seed: 9 };
    let (x, dy, weights) = halved(&case);
    let y = half::product(&x, &case.ends, &weights, stack);
    let dx = half::input_gradient(&dy, &case.ends, &weights, stack);
    let gradient = Tensor::zeros([stack.span() as i64], (Kind::Float, tch::Device::Cpu));
    half::add_weight_gradient(&dy, &x, &case.ends, stack, &gradient);
    // In f32 the products of rounded numbers are those of bf16 before these are rounded.
    let flat = Buffer::of(weights.shallow_clone());
    let mut panels = StackPanels::new(stack);
    panels.pack(&flat);
    let mut expected = vec![0.0; stack.span()];
    add_weight_gradient(&dy, &x, &case.ends, stack, &mut expected);
    let near = |found: &[f32], expected: &[f32]| {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            // One rounding to eight bits, and sums of some dozen numbers of size one.
            assert!((found - expected).abs() <= expected.abs() / 256.0 + 1e-5, "{found}, expected {expected}");
        }
    };
    near(&y, &panels.product(&x, &case.ends));
    near(&dx, &input_gradient(&dy, &case.ends, &flat, stack));
    near(&Buffer::of(gradient), &expected);
    // A block of a group's rows has the bits that it has alone.
    let (ends, k, n) = ([0, 0, 0, 8], stack.columns, stack.rows);
    let block = Buffer::from_slice(&x[40 * k..48 * k]);
    assert_eq!(bits(half::product(&block, &ends, &weights, stack).to_vec()), bits(y[40 * n..48 * n].to_vec()));
    let none = Buffer::zeros(0);
    assert!(half::product(&none, &[0; 4], &weights, stack).is_empty(), "no rows, no result");
}

#[test]
#[should_panic(expected = "whole blocks")]
fn groups_in_bf16_are_whole_blocks() {
    let stack = Stack { rows: 4, columns: 4, stride: 16, groups: 1 };
    let weights = Tensor::zeros([16], (Kind::BFloat16, tch::Device::Cpu));
    half::product(&Buffer::zeros(12), &[3], &weights, stack);
}
