use super::super::tests::devices;
use super::*;
use crate::dispatch;
use crate::philox::{Purpose, Stream};

/// Two experts of five for each of eleven rows; nobody goes to the fourth.
const CHOSEN: [u32; 22] = [0, 1, 0, 2, 1, 2, 0, 4, 1, 4, 0, 1, 2, 4, 0, 1, 0, 1, 1, 2, 0, 4];

fn numbers(from: u32, shape: &[i64]) -> Tensor {
    let stream = Stream::new(9, Purpose::Problems, 0, 0, 0);
    let n = shape.iter().product::<i64>() as u32;
    Tensor::from_slice(&(from..from + n).map(|i| stream.normal(i)).collect::<Vec<_>>()).view(shape)
}

fn host(x: &Tensor) -> Vec<f32> {
    Vec::try_from(x.to_kind(Kind::Float).reshape([-1])).unwrap()
}

/// Rows are sorted as on the CPU, and come back to where they were.
#[test]
fn rows_go_where_the_cpu_puts_them() {
    let chosen = Tensor::from_slice(&CHOSEN.map(i64::from)).view([-1, 2]);
    let expected = dispatch::Dispatch::new(&CHOSEN, 2, 5);
    for device in devices() {
        let found = Dispatch::new(&chosen.to_device(device), 5);
        let ends = Vec::<i64>::try_from(found.ends.to_kind(Kind::Int64)).unwrap();
        assert_eq!(ends, expected.ends().iter().map(|&end| end as i64).collect::<Vec<_>>());
        let (x, weights) = (numbers(0, &[11, 3]), numbers(100, &[11, 2]));
        assert_eq!(host(&found.sort(&x.to_device(device))), expected.sort(&host(&x), 3)[..]);
        let y = numbers(200, &[22, 3]);
        let mut onto = vec![0.0; 33];
        expected.combine_onto(&mut onto, &host(&y), &host(&weights), 3);
        let combined = host(&found.combine(&y.to_device(device), &weights.to_device(device)));
        assert!(combined.iter().zip(&onto).all(|(a, b)| (a - b).abs() <= 1e-6));
    }
}

/// One call for all experts and a product for each are the same numbers, forward and backward, also where an expert has no
/// rows.
#[test]
fn products_in_groups_are_those_one_by_one() {
    let chosen = Tensor::from_slice(&CHOSEN.map(i64::from)).view([-1, 2]);
    for device in devices() {
        let dispatch = Dispatch::new(&chosen.to_device(device), 5);
        let run = |product: &dyn Fn(&Tensor, &Tensor) -> Tensor| {
            let leaf = |x: Tensor| x.to_device(device).to_kind(Kind::BFloat16).set_requires_grad(true);
            let (x, w) = (leaf(numbers(0, &[22, 16])), leaf(numbers(400, &[5, 8, 16])));
            let y = product(&x, &w).to_kind(Kind::Float);
            let loss = (&y * numbers(2000, &[22, 8]).to_device(device)).sum(Kind::Float);
            let found = Tensor::run_backward(&[loss], &[&x, &w], false, false);
            [host(&y), host(&found[0]), host(&found[1])]
        };
        let a = run(&|x, w| dispatch.in_groups(x, w));
        let b = run(&|x, w| dispatch.one_by_one(x, w));
        for (a, b) in a.iter().zip(&b) {
            let largest = b.iter().fold(0f32, |a, b| a.max(b.abs()));
            // Each is rounded to eight bits, after sums in f32 in one order or another.
            assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= largest / 128.0));
        }
        assert!(a[2][3 * 8 * 16..4 * 8 * 16].iter().all(|d| *d == 0.0), "nobody went to the fourth");
    }
}
