use proptest::prelude::*;

use super::*;

#[test]
fn numbers_are_exact() {
    let big = "123456789012345678901234567890";
    assert_eq!(read(big), Ok(Plain::Int(IBig::from_str_radix(big, 10).unwrap())));
    assert_eq!(read("-0"), Ok(Plain::from(0)));
    assert_eq!(read("0.1"), Ok(Plain::Float(0.1)));
    assert_eq!(read("1e2"), Ok(Plain::Float(100.0)));
    assert_eq!(read("5.0"), Ok(Plain::Float(5.0)));
    // Python's own extensions, which data sets made with it hold.
    assert_eq!(read("-Infinity"), Ok(Plain::Float(f64::NEG_INFINITY)));
    assert!(matches!(read("NaN"), Ok(Plain::Float(nan)) if nan.is_nan()));
    for wrong in ["01", "1.", ".5", "-", "+1", "1e", "--1", "1 2", ""] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn texts_lists_and_objects() {
    let value = read(" {\"a\\n\\u00e9\": [1, true, null, \"x\\\"y\"], \"b\": {}} ").unwrap();
    let list = Plain::List(vec![1.into(), Plain::Bool(true), Plain::None, "x\"y".into()]);
    assert_eq!(value, Plain::Dict(vec![("a\né".into(), list), ("b".into(), Plain::Dict(vec![]))]));
    for wrong in ["[1,]", "[1 2]", "{\"a\" 1}", "{a: 1}", "\"open", "[", "{\"a\":}", "tru", "[1]]", "\"\\x\""] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
    assert!(read(&"[".repeat(100_000)).is_err());
    assert_eq!(read("[1, x]").unwrap_err(), "no JSON at byte 5");
}

fn plain(value: &serde_json::Value) -> bool {
    match value {
        // serde_json rounds some floats in their last bit; those are not compared.
        serde_json::Value::Number(number) => !number.is_f64(),
        serde_json::Value::Array(items) => items.iter().all(plain),
        serde_json::Value::Object(fields) => fields.values().all(plain),
        _ => true,
    }
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>(), marks in r#"[\[\]{}",:0-9.\\eE tnulf-]{0,30}"#) {
        let _ = read(&text);
        let read = read(&marks);
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(&marks)
            && plain(&value)
        {
            prop_assert!(read.is_ok(), "{}: {:?}", marks, read);
        }
    }

    #[test]
    fn floats_come_back_to_the_bit(float in any::<f64>()) {
        prop_assume!(float.is_finite());
        let text = format!("{float:?}");
        prop_assert!(matches!(read(&text), Ok(Plain::Float(back)) if back.to_bits() == float.to_bits()), "{}", text);
    }
}
