//! Values and their bytes: the examples of the standards, and further forms that known servers
//! send.

use twotone_wire::tuber::{
    BatchWriter, Cursor, DecodeErrorKind, Encode, Format, Limits, Slot, Value,
};

fn cursor(format: Format, bytes: &[u8]) -> Cursor<'_> {
    Cursor::new(format, bytes, &Limits::ANSWER).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn list(values: impl IntoIterator<Item = Value>) -> Value {
    Value::Array(values.into_iter().collect())
}

fn ints(values: impl IntoIterator<Item = i64>) -> Value {
    list(values.into_iter().map(Value::Int))
}

fn map(entries: impl IntoIterator<Item = (&'static str, Value)>) -> Value {
    Value::Map(
        entries
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect(),
    )
}

/// Reads a value, and also skips it.
fn check(format: Format, bytes: &[u8], expected: &Value) {
    let mut read = cursor(format, bytes);
    let got = read.value().unwrap();
    let same_nan = |a: &Value, b: &Value| matches!((a, b), (Value::Float(a), Value::Float(b)) if a.is_nan() && b.is_nan());
    assert!(
        got == *expected || same_nan(&got, expected),
        "{bytes:02x?}: {got:?}, {expected:?}"
    );
    assert_eq!(read.end(), Ok(()));
    let mut skipped = cursor(format, bytes);
    skipped.skip().unwrap();
    assert_eq!(skipped.position(), bytes.len());
}

#[test]
fn examples_of_rfc_8949() {
    let float = Value::Float;
    let table = [
        ("00", Value::Int(0)),
        ("17", Value::Int(23)),
        ("1818", Value::Int(24)),
        ("1903e8", Value::Int(1000)),
        ("1a000f4240", Value::Int(1_000_000)),
        ("1b000000e8d4a51000", Value::Int(1_000_000_000_000)),
        ("1bffffffffffffffff", float(18_446_744_073_709_551_615.0)),
        (
            "c249010000000000000000",
            float(18_446_744_073_709_551_616.0),
        ),
        ("3bffffffffffffffff", float(-18_446_744_073_709_551_616.0)),
        (
            "c349010000000000000000",
            float(-18_446_744_073_709_551_617.0),
        ),
        ("20", Value::Int(-1)),
        ("3903e7", Value::Int(-1000)),
        ("3b7fffffffffffffff", Value::Int(i64::MIN)),
        ("f93c00", float(1.0)),
        ("f97bff", float(65_504.0)),
        ("f90001", float(5.960_464_477_539_063e-8)),
        ("fa47c35000", float(100_000.0)),
        ("fa7f7fffff", float(3.402_823_466_385_288_6e38)),
        ("fb3ff199999999999a", float(1.1)),
        ("fb7e37e43c8800759c", float(1.0e300)),
        ("f97c00", float(f64::INFINITY)),
        ("f97e00", float(f64::NAN)),
        ("fbfff0000000000000", float(f64::NEG_INFINITY)),
        ("f4", Value::Bool(false)),
        ("f5", Value::Bool(true)),
        ("f6", Value::Null),
        ("f7", Value::Null),
        (
            "c074323031332d30332d32315432303a30343a30305a",
            text("2013-03-21T20:04:00Z"),
        ),
        ("c11a514b67b0", Value::Int(1_363_896_240)),
        ("40", Value::Bytes(vec![])),
        ("4401020304", Value::Bytes(vec![1, 2, 3, 4])),
        ("60", text("")),
        ("6449455446", text("IETF")),
        ("62225c", text("\"\\")),
        ("64f0908591", text("\u{10151}")),
        ("80", ints([])),
        (
            "8301820203820405",
            list([Value::Int(1), ints([2, 3]), ints([4, 5])]),
        ),
        (
            "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
            ints(1..=25),
        ),
        ("a0", map([])),
        (
            "a201020304",
            map([("1", Value::Int(2)), ("3", Value::Int(4))]),
        ),
        (
            "a26161016162820203",
            map([("a", Value::Int(1)), ("b", ints([2, 3]))]),
        ),
        ("5f42010243030405ff", Value::Bytes(vec![1, 2, 3, 4, 5])),
        ("7f657374726561646d696e67ff", text("streaming")),
        ("9fff", ints([])),
        (
            "9f018202039f0405ffff",
            list([Value::Int(1), ints([2, 3]), ints([4, 5])]),
        ),
        (
            "bf61610161629f0203ffff",
            map([("a", Value::Int(1)), ("b", ints([2, 3]))]),
        ),
    ];
    for (bytes, expected) in table {
        check(Format::Cbor, &hex(bytes), &expected);
    }
}

#[test]
fn malformed_cbor_is_refused() {
    for bytes in [
        "",
        "18",
        "19ff",
        "1bffffff",
        "1c",
        "3f",
        "fc",
        "ff",
        "81",
        "8200",
        "a1",
        "a100",
        "41",
        "62ff",
        "61ff",
        "5f4101",
        "5f6101ff",
        "5f5f4101ffff",
        "7f4101ff",
        "9f00",
        "bf00ff",
        "bf01",
        "82ff00",
        "a1ff00",
        "c1",
        "c1ff",
        "d828",
        "d85641",
        "f8",
    ] {
        let bytes = hex(bytes);
        assert!(
            cursor(Format::Cbor, &bytes).value().is_err(),
            "value {bytes:02x?}"
        );
        // A reserved tag, or part of an element, is well formed although it has no meaning.
        assert!(
            cursor(Format::Cbor, &bytes).skip().is_err(),
            "skip {bytes:02x?}"
        );
    }
}

#[test]
fn json_with_the_words_of_python() {
    let float = Value::Float;
    let table = [
        ("NaN", float(f64::NAN)),
        ("Infinity", float(f64::INFINITY)),
        ("-Infinity", float(f64::NEG_INFINITY)),
        (
            "[1e5,-0.5, 12, 1E-7]",
            list([float(1e5), float(-0.5), Value::Int(12), float(1e-7)]),
        ),
        ("9223372036854775807", Value::Int(i64::MAX)),
        ("9223372036854775808", float(9_223_372_036_854_775_808.0)),
        ("-9223372036854775809", float(-9_223_372_036_854_775_808.0)),
        ("1e400", float(f64::INFINITY)),
        (r#""a\n\u00e9\ud83d\ude00é""#, text("a\né😀é")),
        (
            "{\"a\" : [ ] ,\n\t\"b\":{}}",
            map([("a", ints([])), ("b", map([]))]),
        ),
        (r#"{"bytes": [97, 255]}"#, Value::Bytes(vec![97, 255])),
        (r#"{"subtype": 1, "bytes": []}"#, Value::Bytes(vec![])),
        (r#"{"bytes": [256]}"#, map([("bytes", ints([256]))])),
        (
            r#"{"bytes": [1], "x": 2}"#,
            map([("bytes", ints([1])), ("x", Value::Int(2))]),
        ),
    ];
    for (json, expected) in table {
        check(Format::Json, json.as_bytes(), &expected);
    }
}

#[test]
fn malformed_json_is_refused() {
    for json in [
        "",
        " ",
        "nul",
        "nan",
        "tru",
        "+1",
        "01",
        "1.",
        ".5",
        "-",
        "1e",
        "\"",
        "\"\\x\"",
        "\"\\ud800\"",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,}",
        "{a:1}",
        "{1:1}",
        "{\"a\" 1}",
        "\"\n\"",
        "'a'",
        "Inf",
        "--1",
    ] {
        let read = cursor(Format::Json, json.as_bytes()).value();
        assert!(read.is_err(), "{json:?}: {read:?}");
        let mut skipped = cursor(Format::Json, json.as_bytes());
        let whole = skipped.skip().and_then(|()| skipped.end());
        assert!(whole.is_err(), "{json:?}");
    }
}

#[test]
fn types_are_not_confused() {
    for (format, bytes) in [
        (Format::Json, &b"[1.0]"[..]),
        (Format::Cbor, b"\x81\xf9\x3c\x00"),
    ] {
        let first = |read: &mut dyn FnMut(&mut Cursor<'_>) -> bool| {
            let mut list = cursor(format, bytes);
            read(list.items().unwrap().next().unwrap().unwrap())
        };
        assert!(first(&mut |c| c.f64() == Ok(1.0)));
        assert!(first(&mut |c| c.opt_f64() == Ok(Some(1.0))));
        assert!(first(&mut |c| c.i64().is_err()));
        assert!(first(&mut |c| c.bool().is_err()));
        assert!(first(&mut |c| c.str().is_err()));
        assert!(first(&mut |c| c.items().is_err()));
        assert!(first(&mut |c| c.entries().is_err()));
    }
}

#[test]
fn a_value_left_half_read_is_an_error_and_an_untouched_one_is_skipped() {
    for (format, bytes) in [
        (Format::Json, &b"[[1,2],{\"a\":[3]},4]"[..]),
        (Format::Cbor, b"\x83\x82\x01\x02\xa1\x61a\x81\x03\x04"),
    ] {
        let mut list = cursor(format, bytes);
        let mut items = list.items().unwrap();
        for _ in 0..3 {
            assert!(items.next().unwrap().is_some());
        }
        assert!(items.next().unwrap().is_none());
        assert!(items.next().unwrap().is_none());
        assert_eq!(list.position(), bytes.len());

        let mut list = cursor(format, bytes);
        let mut items = list.items().unwrap();
        let mut inner = items.next().unwrap().unwrap().items().unwrap();
        assert_eq!(inner.next().unwrap().unwrap().i64(), Ok(1));
        assert_eq!(items.next().unwrap_err().kind, DecodeErrorKind::HalfRead);
    }
}

#[test]
fn a_slot_left_unwritten_is_null() {
    struct Nothing;
    impl Encode for Nothing {
        fn encode(&self, _: Slot<'_>) {}
    }
    struct Holes;
    impl Encode for Holes {
        fn encode(&self, slot: Slot<'_>) {
            let mut map = slot.map();
            map.key("a");
            map.entry("b", &Nothing);
            let mut seq = map.key("c").seq();
            seq.item();
            seq.item().write(&1);
            seq.item();
        }
    }
    let one = || list([Value::Null, Value::Int(1), Value::Null]);
    for format in Format::ALL {
        let mut batch = BatchWriter::new(format);
        batch
            .call("o", "m")
            .arg(Nothing)
            .arg(Holes)
            .kwarg("k", Nothing);
        let body = batch.finish();
        let call = cursor(format, &body).value().unwrap().as_array().unwrap()[0].clone();
        let holes = map([("a", Value::Null), ("b", Value::Null), ("c", one())]);
        assert_eq!(call.get("args"), Some(&list([Value::Null, holes])));
        assert_eq!(call.get("kwargs"), Some(&map([("k", Value::Null)])));
    }
}
