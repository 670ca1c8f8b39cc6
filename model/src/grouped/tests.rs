use super::*;
use crate::kernels::tests::noise;
use crate::product::{Panels, add_weight_gradient as add_one, input_gradient as input_one};
use crate::team::Team;
use proptest::prelude::*;

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
        let mut panels = StackPanels::new(self.stack, Dtype::F32);
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

/// In bf16 products are those of f32 with rounded weights and rounded rows, bit for bit.
#[test]
fn products_in_bf16_are_those_of_rounded_numbers() {
    for (rows, columns, ends) in [(24, 40, [8, 8, 9, 64, 300]), (64, 33, [1, 3, 3, 140, 150])] {
        let stack = Stack { rows, columns, stride: rows * columns + 8, groups: 5 };
        let case = Case { stack, ends: ends.to_vec(), seed: 9 };
        let (mut half, mut single) = (StackPanels::new(stack, Dtype::Bf16), StackPanels::new(stack, Dtype::F32));
        half.pack(&case.weights());
        single.pack(&rounded(&case.weights()));
        let (x, near) = (case.x(), rounded(&case.x()));
        assert_eq!(bits(half.product(&x, &ends).to_vec()), bits(single.product(&near, &ends).to_vec()));
        let gated = |panels: &StackPanels, x: &[f32]| bits(panels.gated_product(Activation::Silu, x, &ends).to_vec());
        assert_eq!(gated(&half, &x), gated(&single, &near));
        assert_eq!(Team::new(3).lead(|| gated(&half, &x)), gated(&half, &x));
        let row = 20 * columns..21 * columns;
        let alone = half.product(&x[row], &[0, 0, 0, 1, 1]);
        assert_eq!(bits(alone.to_vec()), bits(half.product(&x, &ends)[20 * rows..21 * rows].to_vec()));
    }
    assert_eq!(rounded(&[1.0 + 1.0 / 512.0, f32::INFINITY]).to_vec(), [1.0, f32::INFINITY]);
}

#[test]
fn rows_are_rounded_as_bf16_rounds() {
    let marks = [0u32, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
    let high = (0..=u16::MAX).map(|high| u32::from(high) << 16);
    for number in high.flat_map(|high| marks.map(|low| f32::from_bits(high | low))) {
        let rounded = nearest(number);
        assert_eq!(rounded.to_bits(), bf16::from_f32(number).to_f32().to_bits(), "{number:e}");
    }
}

/// However few or many rows go through a panel at a time, each has the bits of its chains alone, in f32 and in bf16.
#[test]
fn any_number_of_rows_has_the_bits_of_each_alone() {
    for dtype in [Dtype::F32, Dtype::Bf16] {
        // Eight whole panels and an edge on the widest machine.
        let stack = Stack::of_one(8 * panel_rows() + 6, 37);
        let mut panels = StackPanels::new(stack, dtype);
        panels.pack(&noise(3, stack.span()));
        let x = noise(4, 33 * stack.columns);
        let alone: Vec<u32> =
            x.chunks_exact(stack.columns).flat_map(|row| bits(panels.product(row, &[1]).to_vec())).collect();
        for m in 1..=33 {
            let y = panels.product(&x[..m * stack.columns], &[m]);
            assert!(bits(y.to_vec()) == alone[..m * stack.rows], "{m} rows, {dtype:?}");
        }
    }
}
