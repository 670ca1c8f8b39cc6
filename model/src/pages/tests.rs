use crate::buffer::Buffer;

/// Bytes of this process in memory.
fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * super::PAGE
}

#[test]
fn zeros_of_every_size_are_zeros() {
    for len in [0, 1, 1023, 70_001, super::LARGE / 4, super::LARGE / 4 + 4097] {
        let mut numbers = Buffer::unwritten(len);
        numbers.fill(3.0);
        super::zero(&mut numbers);
        assert!(numbers.iter().all(|x| x.to_bits() == 0), "{len}");
        // From the middle of a page to the middle of another.
        if len > 4000 {
            numbers.fill(3.0);
            super::zero(&mut numbers[333..len - 777]);
            assert_eq!((numbers[332], numbers[333], numbers[len - 778], numbers[len - 777]), (3.0, 0.0, 0.0, 3.0));
            assert!(numbers[333..len - 777].iter().all(|x| x.to_bits() == 0), "{len}");
        }
    }
}

#[test]
fn zeros_take_no_memory_before_they_are_written() {
    const LEN: usize = 128 << 20;
    let before = resident();
    let mut numbers = Buffer::zeros(LEN);
    let untouched = resident().saturating_sub(before);
    assert!(untouched < LEN, "{untouched} bytes of {} are in memory", 4 * LEN);
    numbers[..LEN / 2].fill(1.0);
    let half = resident().saturating_sub(before);
    assert!((LEN..3 * LEN).contains(&half), "{half} bytes of {} are in memory", 4 * LEN);
}
