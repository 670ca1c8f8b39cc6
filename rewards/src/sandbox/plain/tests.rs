use dashu::integer::IBig;
use proptest::prelude::*;

use super::{MarshalError, Plain};

fn any_plain() -> impl Strategy<Value = Plain> {
    let leaf = prop_oneof![
        Just(Plain::None),
        any::<bool>().prop_map(Plain::Bool),
        any::<i64>().prop_map(Plain::from),
        (any::<i128>(), 0usize..200).prop_map(|(value, shift)| Plain::Int(IBig::from(value) << shift)),
        proptest::num::f64::NORMAL.prop_map(Plain::Float),
        (proptest::num::f64::NORMAL, proptest::num::f64::NORMAL).prop_map(|(re, im)| Plain::Complex(re, im)),
        ".{0,8}".prop_map(Plain::Str),
        proptest::collection::vec(any::<u8>(), 0..8).prop_map(Plain::Bytes),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        let items = proptest::collection::vec(inner.clone(), 0..5);
        prop_oneof![
            items.clone().prop_map(Plain::List),
            items.clone().prop_map(Plain::Tuple),
            items.prop_map(Plain::Set),
            proptest::collection::vec((inner.clone(), inner), 0..5).prop_map(Plain::Dict),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_as_itself(value in any_plain()) {
        prop_assert_eq!(Plain::from_marshal(&value.to_marshal()), Ok(value));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = Plain::from_marshal(&bytes);
    }

    #[test]
    fn changed_bytes_are_read_or_refused(value in any_plain(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut bytes = value.to_marshal();
        let at = at.index(bytes.len());
        bytes[at] = to;
        let _ = Plain::from_marshal(&bytes);
    }
}

#[test]
fn objects_that_are_not_plain_are_refused() {
    for (bytes, why) in [
        (&b"c\0\0\0\0"[..], MarshalError::NotPlain('c')),
        (b"r\0\0\0\0", MarshalError::NotPlain('r')),
        (b"\xe9\0\0\0\0", MarshalError::NotPlain('é')),
        (b".", MarshalError::NotPlain('.')),
        (b"0", MarshalError::NotPlain('0')),
        (b"[\x01\0\0\x000", MarshalError::NotPlain('0')),
        (b"", MarshalError::Cut),
        (b"[\xff\xff\xff\x7f", MarshalError::Cut),
        (b"[\xff\xff\xff\xff", MarshalError::Cut),
        (b"u\xff\xff\xff\x7f", MarshalError::Cut),
        (b"l\0\0\0\x80", MarshalError::Cut),
        (b"NN", MarshalError::Trailing),
    ] {
        assert_eq!(Plain::from_marshal(bytes), Err(why), "{bytes:?}");
    }
    let deep = [b"[\x01\0\0\0".repeat(1_000_000), b"N".to_vec()].concat();
    assert_eq!(Plain::from_marshal(&deep), Err(MarshalError::Deep));
    let n: u32 = 3_000_000;
    let many = [b"[".to_vec(), n.to_le_bytes().to_vec(), b"N".repeat(n as usize)].concat();
    assert_eq!(Plain::from_marshal(&many), Err(MarshalError::Many));
}

#[test]
fn json_reads_as_python_would_read_it() {
    let value = serde_json::json!({"a": [1, 1.0, null, true, "x"], "b": u64::MAX});
    let expected = Plain::Dict(vec![
        ("a".into(), Plain::List(vec![1.into(), Plain::Float(1.0), Plain::None, Plain::Bool(true), "x".into()])),
        ("b".into(), Plain::Int(u64::MAX.into())),
    ]);
    assert_eq!(Plain::from(&value), expected);
}
