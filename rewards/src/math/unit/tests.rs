use super::Unit;

fn agree(a: &str, b: &str) -> bool {
    let read = |words| Unit::read(words).expect("a unit");
    read(a).agrees(&read(b))
}

#[test]
fn units_of_one_dimension_agree() {
    for (a, b) in [
        ("cm", "meters"),
        ("square inches", "in^2"),
        ("km/h", "kilometers per hour"),
        ("mph", "mi/hr"),
        ("m s^-2", "m/s^2"),
        ("dollars", "cents"),
        ("right triangles", "triangles"),
        ("feet", "foot"),
        ("cubic meters", "m^3"),
    ] {
        assert!(agree(a, b), "{a}, {b}");
    }
    for (a, b) in [("cm", "cm^2"), ("apples", "oranges"), ("kg", "hours"), ("am", "pm"), ("m/s", "m")] {
        assert!(!agree(a, b), "{a}, {b}");
    }
}

#[test]
fn factors_are_exact() {
    let factor = |words| Unit::read(words).expect("a unit").factor.to_string();
    assert_eq!(factor("km"), "1000");
    assert_eq!(factor("cm^2"), "1/10000");
    assert_eq!(factor("km/h"), "5/18");
    assert_eq!(factor("million dollars"), "1000000");
}

#[test]
fn words_that_say_more_are_no_unit() {
    for words in ["or 6", "is wrong", "x", "more than that", "when it rains", "5", "cm^99", "half"] {
        assert!(Unit::read(words).is_none(), "{words}");
    }
}
