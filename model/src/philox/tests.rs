use super::*;

/// Known-answer vectors of Random123 (`kat_vectors`, philox4x32 with 10 rounds).
#[test]
fn random123_vectors() {
    let check = |counter, key, expected| assert_eq!(philox4x32_10(counter, key), expected);
    check([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    check([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    check(
        [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
        [0xa409_3822, 0x299f_31d0],
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
    );
}

#[test]
fn uniform_is_inside_the_open_interval() {
    assert!(open_unit(0) > 0.0);
    assert!(open_unit(u32::MAX) < 1.0);
}

#[test]
fn permutation_is_one() {
    let stream = Stream::new(7, Purpose::Order, 0, 0, 0);
    let mut order = stream.permutation(1000);
    assert_ne!(order, (0..1000).collect::<Vec<_>>());
    order.sort_unstable();
    assert_eq!(order, (0..1000).collect::<Vec<_>>());
}

#[test]
fn streams_differ_by_every_part_of_their_name() {
    let base = Stream::new(1, Purpose::Rollout, 2, 3, 4);
    let others = [
        Stream::new(2, Purpose::Rollout, 2, 3, 4),
        Stream::new(1, Purpose::Evaluation, 2, 3, 4),
        Stream::new(1, Purpose::Rollout, 3, 3, 4),
        Stream::new(1, Purpose::Rollout, 2, 4, 4),
        Stream::new(1, Purpose::Rollout, 2, 3, 5),
        Stream::new(1, Purpose::Rollout, 2 + (1 << 32), 3, 4),
    ];
    for other in others {
        assert_ne!(base.block(0, 0), other.block(0, 0));
    }
    assert_ne!(base.block(0, 0), base.block(1, 0));
    assert_ne!(base.block(0, 0), base.block(0, 1));
}

#[test]
fn normal_has_the_moments_of_a_normal() {
    let stream = Stream::new(11, Purpose::Weights, 0, 0, 0);
    let n = 20_000;
    let draws: Vec<f64> = (0..n).map(|i| f64::from(stream.normal(i))).collect();
    let mean = draws.iter().sum::<f64>() / f64::from(n);
    let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / f64::from(n);
    // Standard errors are 0.007 and 0.01; four of them.
    assert!(mean.abs() < 0.028, "mean {mean}");
    assert!((variance - 1.0).abs() < 0.04, "variance {variance}");
}
