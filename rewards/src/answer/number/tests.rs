use proptest::prelude::*;

use super::*;

#[test]
fn reads_equal_numbers() {
    let table = [
        ("18", "18.0"),
        ("$1,234.50", "1234.5"),
        ("1,000,000", "1000000"),
        ("-3", "-3.00"),
        ("-$3", "$-3"),
        ("50%", "50"),
        (r"50\%", "50"),
        ("7.", "7"),
        ("1/3", "2/6"),
        (r"\frac{1}{2}", "0.5"),
        (r"\$5", "5"),
        ("+4", "4"),
        (".5", "0.5"),
        ("-0", "0"),
    ];
    for (a, b) in table {
        let (x, y) = (parse_rational(a), parse_rational(b));
        assert!(x.is_some(), "{a}");
        assert_eq!(x, y, "{a} {b}");
    }
}

#[test]
fn refuses_what_is_no_number() {
    let long = "1".repeat(MAX_NUMBER_BYTES + 1);
    let table = [
        "", ".", "-", "$", "%", "1,23", "1234,567", ",123", "1 2", "1/0", "1/2/3", "1e3", "0x1", "1.2.3", "--1",
        "1/-2", "five", "5 apples", "NaN", "inf", "1_000", "٣", &long,
    ];
    for text in table {
        assert_eq!(parse_rational(text), None, "{text}");
    }
    assert_ne!(parse_rational("0.1"), parse_rational("0.10000000000000000001"));
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _ = parse_rational(&text);
    }

    #[test]
    fn numbers_equal_themselves_written_otherwise(n in any::<i32>(), d in 1_u16..) {
        let plain = parse_rational(&n.to_string());
        prop_assert_eq!(&plain, &parse_rational(&format!("{n}.00")));
        prop_assert_eq!(&plain, &parse_rational(&format!("{}/{d}", i64::from(n) * i64::from(d))));
        prop_assert_ne!(&plain, &parse_rational(&(i64::from(n) + 1).to_string()));
    }
}
