use crate::buffer::Buffer;

/// Bytes of the array's whole pages that are in memory.
fn resident(numbers: &[f32]) -> usize {
    let start = (numbers.as_ptr() as usize).next_multiple_of(super::PAGE);
    let len = (numbers.as_ptr() as usize + size_of_val(numbers)) / super::PAGE * super::PAGE - start;
    let mut pages = vec![0u8; len / super::PAGE];
    // SAFETY: the pages lie inside the array, and there is a byte for each.
    let said = unsafe { libc::mincore(start as *mut libc::c_void, len, pages.as_mut_ptr()) };
    assert_eq!(said, 0);
    pages.iter().filter(|page| *page & 1 == 1).count() * super::PAGE
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
    const LEN: usize = 32 << 20;
    let mut numbers = Buffer::zeros(LEN);
    let untouched = resident(&numbers);
    assert!(untouched < LEN, "{untouched} bytes of {} are in memory", 4 * LEN);
    numbers[..LEN / 2].fill(1.0);
    let half = resident(&numbers);
    assert!((2 * LEN - super::PAGE..3 * LEN).contains(&half), "{half} bytes of {} are in memory", 4 * LEN);
}
