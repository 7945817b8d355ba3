//! Tests of the arrays of numbers in messages of Tuber: their bytes and their shapes.

use twotone_wire::tuber::{BatchWriter, Cursor, DecodeErrorKind, Encode, Format, Limits, Slot};

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

/// Reads an array of numbers. Returns its shape and values, or the kind of the error.
fn array(format: Format, bytes: &[u8]) -> Result<(Vec<usize>, Vec<f64>), DecodeErrorKind> {
    let mut values = Vec::new();
    let mut read = cursor(format, bytes);
    let shape = read.array_into(&mut values).map_err(|error| error.kind)?;
    assert_eq!(read.end(), Ok(()));
    Ok((shape.to_vec(), values))
}

#[test]
fn typed_arrays_of_every_tag() {
    // Each row is a tag, and the bytes of the number 1 in the element type of the tag.
    let table = [
        (64, "01"),
        (65, "0001"),
        (66, "00000001"),
        (67, "0000000000000001"),
        (69, "0100"),
        (70, "01000000"),
        (71, "0100000000000000"),
        (72, "01"),
        (73, "0001"),
        (74, "00000001"),
        (75, "0000000000000001"),
        (77, "0100"),
        (78, "01000000"),
        (79, "0100000000000000"),
        (80, "3c00"),
        (81, "3f800000"),
        (82, "3ff0000000000000"),
        (84, "003c"),
        (85, "0000803f"),
        (86, "000000000000f03f"),
    ];
    for (tag, one) in table {
        let one = hex(one);
        let mut bytes = vec![0xd8, tag, 0x40 | (2 * one.len()) as u8];
        bytes.extend([&one[..], &vec![0; one.len()]].concat());
        assert_eq!(
            array(Format::Cbor, &bytes),
            Ok((vec![2], vec![1.0, 0.0])),
            "tag {tag}"
        );
        if one.len() > 1 {
            let cut = [&[0xd8, tag, 0x41][..], &one[..1]].concat();
            let part = Err(DecodeErrorKind::Shape("a part of an element"));
            assert_eq!(array(Format::Cbor, &cut), part, "tag {tag}");
        }
    }
    // With all bits set, a signed integer is minus one.
    for (tag, width, value) in [
        (64, 1, 255.0),
        (65, 2, 65_535.0),
        (70, 4, 4_294_967_295.0),
        (71, 8, 18_446_744_073_709_551_615.0),
        (72, 1, -1.0),
        (73, 2, -1.0),
        (78, 4, -1.0),
        (79, 8, -1.0),
    ] {
        let bytes = [
            vec![0xd8, tag, 0x40 | width],
            vec![0xff; usize::from(width)],
        ]
        .concat();
        assert_eq!(
            array(Format::Cbor, &bytes),
            Ok((vec![1], vec![value])),
            "tag {tag}"
        );
    }
    for tag in [68, 76, 83, 87] {
        let bytes = [vec![0xd8, tag, 0x50], vec![0; 16]].concat();
        let refused = array(Format::Cbor, &bytes);
        assert!(
            matches!(refused, Err(DecodeErrorKind::Unsupported(_))),
            "tag {tag}"
        );
        let value = cursor(Format::Cbor, &bytes).value();
        assert!(matches!(
            value.unwrap_err().kind,
            DecodeErrorKind::Unsupported(_)
        ));
        assert_eq!(cursor(Format::Cbor, &bytes).skip(), Ok(()));
    }
}

#[test]
fn nested_lists_and_their_shapes() {
    let nan_at = |values: &[f64]| values.iter().position(|value| value.is_nan());
    for (json, shape, values) in [
        ("[]", vec![0], vec![]),
        ("[1]", vec![1], vec![1.0]),
        (
            " [ [1, 2.5] , [-3e2, 4] ,[5,6]] ",
            vec![3, 2],
            vec![1.0, 2.5, -300.0, 4.0, 5.0, 6.0],
        ),
        ("[[],[]]", vec![2, 0], vec![]),
        ("[[[1]],[[2]]]", vec![2, 1, 1], vec![1.0, 2.0]),
        (
            "[Infinity,-Infinity]",
            vec![2],
            vec![f64::INFINITY, f64::NEG_INFINITY],
        ),
        (
            "[9223372036854775808]",
            vec![1],
            vec![9_223_372_036_854_775_808.0],
        ),
    ] {
        assert_eq!(
            array(Format::Json, json.as_bytes()),
            Ok((shape, values)),
            "{json}"
        );
    }
    let (_, values) = array(Format::Json, b"[1, NaN, 3]").unwrap();
    assert_eq!(nan_at(&values), Some(1));
    let (_, values) = array(Format::Json, b"[1, 2, null]").unwrap();
    assert_eq!(nan_at(&values), Some(2));
    for json in [
        "[1,[2]]",
        "[[1],2]",
        "[[1],[2,3]]",
        "[[],[1]]",
        "[[1],[]]",
        "[[[1]],[[2],[3]]]",
    ] {
        let ragged = array(Format::Json, json.as_bytes());
        assert!(
            matches!(ragged, Err(DecodeErrorKind::Shape(_))),
            "{json}: {ragged:?}"
        );
    }
    for json in ["1", "null", "{}", "\"1\"", "[true]", "[\"1\"]", "[{}]"] {
        let other = array(Format::Json, json.as_bytes());
        assert!(
            matches!(other, Err(DecodeErrorKind::WrongType { .. })),
            "{json}: {other:?}"
        );
    }
    for (cbor, shape, values) in [
        ("80", vec![0], vec![]),
        (
            "8301f93c00fbc000000000000000",
            vec![3],
            vec![1.0, 1.0, -2.0],
        ),
        ("9f8201029f0304ffff", vec![2, 2], vec![1.0, 2.0, 3.0, 4.0]),
        (
            "82d840420102d840420304",
            vec![2, 2],
            vec![1.0, 2.0, 3.0, 4.0],
        ),
        (
            "82d8288281 01d84041 01 d8288281 01d84041 02",
            vec![2, 1],
            vec![1.0, 2.0],
        ),
        ("d8288280d8404107", vec![], vec![7.0]),
    ] {
        assert_eq!(
            array(Format::Cbor, &hex(cbor)),
            Ok((shape, values)),
            "{cbor}"
        );
    }
    for cbor in [
        "82d840420102d84041 03",
        "8201d8404103",
        "d82882820203d840420102",
        "d82882d84041018101",
    ] {
        assert!(array(Format::Cbor, &hex(cbor)).is_err(), "{cbor}");
    }
}

#[test]
fn a_failed_array_leaves_nothing_behind() {
    let mut values = vec![7.0];
    for (format, bytes) in [
        (Format::Json, &b"[[1,2],[3]]"[..]),
        (Format::Cbor, b"\x82\x01\x60"),
    ] {
        assert!(cursor(format, bytes).f64_into(&mut values).is_err());
        assert_eq!(values, [7.0]);
    }
}

#[test]
fn a_shape_that_does_not_fit_is_replaced_by_one_axis() {
    struct Shaped(&'static [f64], &'static [usize]);
    impl Encode for Shaped {
        fn encode(&self, slot: Slot<'_>) {
            slot.f64_array(self.0, self.1);
        }
    }
    let check = |values, shape, expected: &str| {
        let mut batch = BatchWriter::new(Format::Json);
        batch.call("o", "m").arg(Shaped(values, shape));
        let body = batch.finish();
        let text = std::str::from_utf8(&body).unwrap();
        let args = text.split_once("\"args\":").unwrap().1;
        assert_eq!(args, format!("[{expected}]}}]"));
    };
    check(&[1.0, 2.0], &[2], "[1.0,2.0]");
    check(&[1.0, 2.0], &[2, 1], "[[1.0],[2.0]]");
    check(&[1.0, 2.0], &[3], "[1.0,2.0]");
    check(&[1.0, 2.0], &[usize::MAX, 2], "[1.0,2.0]");
    check(&[1.0], &[], "1.0");
    check(&[], &[3, 0], "[[],[],[]]");
    // Empty rows take bytes in JSON too, so an array of very many empty rows is written with one
    // axis.
    check(&[], &[1 << 40, 0], "[]");
    check(&[f64::NAN, f64::INFINITY], &[2], "[null,null]");
}

/// An array without values may have any extents. The output must not grow with them.
#[test]
fn an_array_without_values_is_a_few_bytes_whatever_its_shape() {
    struct Empty<'s>(&'s [usize]);

    impl Encode for Empty<'_> {
        fn encode(&self, slot: Slot<'_>) {
            slot.f64_array(&[], self.0);
        }
    }

    for (shape, in_json) in [
        (&[0][..], "[]"),
        (&[2, 0], "[[],[]]"),
        (&[0, usize::MAX, usize::MAX], "[]"),
        (&[usize::MAX, 0], "[]"),
        (&[11, 11, 11, 0], "[]"),
        (&[128, 128, 128, 128, 128, 128, 128, 0], "[]"),
        (&[1, 0, 1 << 40], "[[]]"),
    ] {
        let mut batch = BatchWriter::new(Format::Json);
        batch.call("o", "m").arg(Empty(shape));
        let body = batch.finish();
        let expected = format!(r#"[{{"object":"o","method":"m","args":[{in_json}]}}]"#);
        assert_eq!(std::str::from_utf8(&body).unwrap(), expected, "{shape:?}");
    }
    // In CBOR the extents are explicit, so the shape is preserved.
    let mut batch = BatchWriter::new(Format::Cbor);
    batch.call("o", "m").arg(Empty(&[1 << 40, 0, 7]));
    let body = batch.finish();
    let at = body.len() - array_bytes(&[1 << 40, 0, 7]).len();
    assert_eq!(
        array(Format::Cbor, &body[at..]),
        Ok((vec![1 << 40, 0, 7], vec![]))
    );
}

/// Returns the bytes of an array of 64-bit floats without values.
fn array_bytes(shape: &[u64]) -> Vec<u8> {
    let mut bytes = hex("d82882");
    bytes.push(0x80 | shape.len() as u8);
    for extent in shape {
        match extent {
            0..24 => bytes.push(*extent as u8),
            _ => bytes.extend([&[0x1b][..], &extent.to_be_bytes()].concat()),
        }
    }
    bytes.extend(hex("d85640"));
    bytes
}
