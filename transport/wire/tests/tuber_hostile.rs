//! Hostile or incomplete bytes give an error and never a panic, and take memory only in proportion
//! to their number.

use allocation_counter::measure;
use bytes::BytesMut;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use twotone_wire::tuber::{
    Answer, Args, Cursor, DecodeErrorKind, Description, Fault, Format, Head, Interface, Limits,
    Method, MethodInfo, Param, Reply, Server, Service,
};

static BOARD: Interface = Interface {
    name: "Dfmux",
    doc: "",
    methods: &[Method {
        name: "set_frequency",
        doc: "",
        params: &[Param::required("frequency")],
    }],
    properties: &[],
};

struct Board {
    calls: usize,
}

impl Service for Board {
    fn interface(&self) -> &'static Interface {
        &BOARD
    }

    fn call(&mut self, _: &'static Method, args: &Args<'_>, reply: Reply<'_>) -> Result<(), Fault> {
        self.calls += 1;
        reply.send(&args.value("frequency")?);
        Ok(())
    }
}

/// Reads bytes with every reader. Any result is accepted.
fn read_in_every_way(format: Format, bytes: &[u8]) {
    let Ok(start) = Cursor::new(format, bytes, &Limits::ANSWER) else {
        return;
    };
    let mut out = Vec::new();
    let _ = { start }.value();
    let _ = { start }.skip();
    let _ = { start }.array_into(&mut out);
    let _ = { start }.bytes();
    let _ = { start }.str();
    let _ = { start }.i64();
    let _ = { start }.opt_f64();
    let _ = { start }.bool();
    let _ = Description::read(&mut { start });
    let _ = MethodInfo::read("m", &mut { start });
    for calls in [0, 1, 3] {
        let content_type = Some(format.content_type());
        let mut answer = Answer::new(content_type, bytes, &Limits::ANSWER).unwrap();
        let Ok(mut elements) = answer.elements(calls) else {
            continue;
        };
        while let Ok(Some(element)) = elements.next() {
            element.warnings.for_each(drop);
            if let Ok(mut cursor) = element.outcome {
                let _ = cursor.value();
            }
        }
    }
    let content_type = Some(format.content_type());
    let head = Head {
        content_type,
        accept: None,
        options: Some("continue-on-error"),
    };
    let mut answer = BytesMut::new();
    Server::default().serve(&head, bytes, &mut Board { calls: 0 }, &mut answer);
    // For any bytes, the answer is one well-formed value.
    let mut cursor = Cursor::new(format, &answer, &Limits::ANSWER).unwrap();
    cursor.skip().unwrap();
    cursor.end().unwrap();
}

const SAMPLES: [(Format, &[u8]); 6] = [
    (
        Format::Json,
        include_bytes!("golden/tuberd/resolve.answer.json"),
    ),
    (
        Format::Json,
        include_bytes!("golden/mock/getsamples_ch1.answer.json"),
    ),
    (Format::Json, include_bytes!("golden/mock/err.answer.json")),
    (
        Format::Json,
        include_bytes!("golden/tuberd/subcall.request.json"),
    ),
    (Format::Json, include_bytes!("golden/mock/set.request.json")),
    (
        Format::Cbor,
        include_bytes!("golden/tuberd/cbor_arr.answer.cbor"),
    ),
];

#[test]
fn a_body_cut_at_any_length_is_an_error() {
    for (format, body) in SAMPLES {
        for length in 0..body.len() {
            let mut cursor = Cursor::new(format, &body[..length], &Limits::ANSWER).unwrap();
            let cut = cursor.value().unwrap_err();
            let also = Cursor::new(format, &body[..length], &Limits::ANSWER)
                .unwrap()
                .skip();
            assert!(also.is_err(), "{length} of {}: {cut}", body.len());
            read_in_every_way(format, &body[..length]);
        }
    }
}

#[test]
fn a_request_cut_at_any_length_runs_nothing() {
    let body = br#"[{"object":"Dfmux","method":"set_frequency","args":[1e6]},{"object":"Dfmux"}]"#;
    for length in 0..body.len() {
        let mut board = Board { calls: 0 };
        Server::default().serve(
            &Head::default(),
            &body[..length],
            &mut board,
            &mut BytesMut::new(),
        );
        assert_eq!(board.calls, 0, "{length} bytes");
    }
}

#[test]
fn nesting_is_bounded() {
    let limit = Limits::ANSWER.depth;
    let json = |depth| [vec![b'['; depth], vec![b']'; depth]].concat();
    let cbor = |depth| [vec![0x81; depth - 1], vec![0x80]].concat();
    for (format, at, beyond) in [
        (Format::Json, json(limit), json(limit + 1)),
        (Format::Cbor, cbor(limit), cbor(limit + 1)),
    ] {
        let value = |body: &[u8]| Cursor::new(format, body, &Limits::ANSWER).unwrap().value();
        assert!(value(&at).is_ok());
        assert_eq!(
            value(&beyond).unwrap_err().kind,
            DecodeErrorKind::TooDeep(limit)
        );
    }
    // A million levels of anything: lists, maps, tags, lists and maps without a length.
    for (format, bytes) in [
        (Format::Json, &b"["[..]),
        (Format::Json, b"{\"a\":"),
        (Format::Cbor, b"\x81"),
        (Format::Cbor, b"\xa1\x00"),
        (Format::Cbor, b"\xc1"),
        (Format::Cbor, b"\xd8\x28\x82"),
        (Format::Cbor, b"\x9f"),
        (Format::Cbor, b"\xbf\x00"),
    ] {
        read_in_every_way(format, &bytes.repeat(1_000_000));
    }
}

#[test]
fn a_large_body_is_refused_unread() {
    let limits = Limits {
        body_bytes: 10,
        ..Limits::ANSWER
    };
    let error = Answer::new(None, b"[1,2,3,4,5]", &limits).unwrap_err();
    assert_eq!(
        error.kind,
        DecodeErrorKind::TooLarge {
            bytes: 11,
            limit: 10
        }
    );
    let mut out = BytesMut::new();
    let mut board = Board { calls: 0 };
    let body = br#"{"object":"Dfmux","method":"set_frequency","args":[1]}"#;
    Server::new(limits).serve(&Head::default(), body, &mut board, &mut out);
    assert!(out.starts_with(b"{\"error\":") && board.calls == 0);
}

#[test]
fn a_batch_of_too_many_requests_runs_nothing() {
    let limits = Limits {
        requests: 3,
        ..Limits::REQUEST
    };
    let call = r#"{"object":"Dfmux","method":"set_frequency","args":[1]}"#;
    for (count, runs) in [(3, 3), (4, 0)] {
        let mut board = Board { calls: 0 };
        let mut out = BytesMut::new();
        let body = format!("[{}]", vec![call; count].join(","));
        Server::new(limits).serve(&Head::default(), body.as_bytes(), &mut board, &mut out);
        assert_eq!(board.calls, runs);
        assert_eq!(out.starts_with(b"{\"error\":"), runs == 0);
    }
}

#[test]
fn an_answer_stops_growing_at_its_limit() {
    let limits = Limits {
        answer_bytes: 10_000,
        ..Limits::REQUEST
    };
    let call = format!(
        r#"{{"object":"Dfmux","method":"set_frequency","args":["{}"]}}"#,
        "x".repeat(1000)
    );
    let body = format!("[{}]", vec![call; 50].join(","));
    let mut board = Board { calls: 0 };
    let mut out = BytesMut::new();
    let options = Some("continue-on-error");
    let head = Head {
        options,
        ..Head::default()
    };
    Server::new(limits).serve(&head, body.as_bytes(), &mut board, &mut out);
    assert_eq!(board.calls, 10);
    let mut answer = Answer::new(None, &out, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(50).unwrap();
    for i in 0..50 {
        let outcome = elements.next().unwrap().unwrap().outcome;
        assert_eq!(outcome.is_ok(), i < 10);
    }
}

/// Returns the largest memory in use while bytes are read with every reader, per byte of input.
fn memory_per_byte(format: Format, bytes: &[u8]) -> f64 {
    let info = measure(|| read_in_every_way(format, bytes));
    info.bytes_max as f64 / bytes.len() as f64
}

#[test]
fn claimed_lengths_cost_nothing() {
    // Lists, maps, bytes, texts and typed arrays that claim 2^60 elements in a few bytes, and
    // shapes whose product overflows or is zero.
    let huge = 0x1000_0000_0000_0000_u64.to_be_bytes();
    let with = |head: &[u8], tail: &[u8]| [head, &huge, tail].concat();
    let claims = [
        with(&[0x9b], &[]),
        with(&[0xbb], &[]),
        with(&[0x5b], &[]),
        with(&[0x7b], &[]),
        with(&[0x9b], &[0x80; 40]),
        with(&[0xd8, 86, 0x5b], &[]),
        with(&[0xd8, 40, 0x82, 0x82, 0x00, 0x1b], &[0xd8, 86, 0x40]),
        with(&[0xd8, 40, 0x82, 0x82, 0x1b], &[0x00, 0xd8, 86, 0x40]),
        with(
            &[0xd9, 0x04, 0x10, 0x82, 0x82, 0x1b],
            &[0x00, 0xd8, 86, 0x40],
        ),
        [
            &[0xd8, 40, 0x82, 0x83, 0x1b][..],
            &huge,
            &[0x1b],
            &huge,
            &[0x00, 0xd8, 86, 0x40],
        ]
        .concat(),
    ];
    for bytes in claims {
        let used = measure(|| read_in_every_way(Format::Cbor, &bytes)).bytes_max;
        assert!(used < 20_000, "{used} bytes for {bytes:02x?}");
    }
}

#[test]
fn memory_is_in_proportion_to_bytes() {
    // The inputs that take most memory for their size: many small values.
    for (format, bytes) in [
        (
            Format::Json,
            [b"[".to_vec(), b"0,".repeat(500_000), b"0]".to_vec()].concat(),
        ),
        (
            Format::Json,
            [b"[".to_vec(), b"[],".repeat(300_000), b"0]".to_vec()].concat(),
        ),
        (
            Format::Json,
            [
                b"{".to_vec(),
                b"\"\":0,".repeat(200_000),
                b"\"\":0}".to_vec(),
            ]
            .concat(),
        ),
        (
            Format::Cbor,
            [vec![0x9f], vec![0x80; 1_000_000], vec![0xff]].concat(),
        ),
        (
            Format::Cbor,
            [vec![0x9f], vec![0x00; 1_000_000], vec![0xff]].concat(),
        ),
        (
            Format::Cbor,
            [
                vec![0xd8, 64, 0x5a, 0, 0x0f, 0x42, 0x40],
                vec![1; 1_000_000],
            ]
            .concat(),
        ),
    ] {
        let per_byte = memory_per_byte(format, &bytes);
        // A value takes 32 bytes, and a list that grows has room for up to three times its values.
        assert!(
            per_byte < 100.0,
            "{per_byte} bytes a byte, {format:?} {:02x?}",
            &bytes[..9]
        );
    }
}

proptest! {
    // A failing case prints its input and its seed. The seed is stored beside this file and runs
    // first.
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_in_every_way(Format::Json, &bytes);
        read_in_every_way(Format::Cbor, &bytes);
    }

    #[test]
    fn bytes_of_json_are_read_without_a_panic(text in r#"([\[\]{},:]|"(result|error|args|object|\\u00e9)"|-?[0-9.eE]{1,5}|null|true|NaN|-Infinity| ){0,60}"#) {
        read_in_every_way(Format::Json, text.as_bytes());
    }

    #[test]
    fn bytes_of_cbor_are_read_without_a_panic(
        parts in prop::collection::vec(prop_oneof![
            prop::sample::select(vec![0x80_u8, 0x81, 0x82, 0x83, 0x9f, 0xa1, 0xbf, 0xff, 0xf6, 0xf5]).prop_map(|b| vec![b]),
            prop::sample::select((64..=87_u8).chain([40]).collect::<Vec<_>>()).prop_map(|tag| vec![0xd8, tag]),
            Just(vec![0xd9, 0x04, 0x10]),
            Just(b"\x66result".to_vec()),
            Just(b"\x65error".to_vec()),
            prop::collection::vec(any::<u8>(), 0..16).prop_map(|b| [vec![0x40 | b.len() as u8], b].concat()),
            (0..24_u8).prop_map(|n| vec![n]),
        ], 0..40),
    ) {
        read_in_every_way(Format::Cbor, &parts.concat());
    }

    #[test]
    fn a_changed_byte_is_read_without_a_panic(
        which in 0..SAMPLES.len(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let (format, body) = SAMPLES[which];
        let mut body = body.to_vec();
        let at = at.index(body.len());
        body[at] = byte;
        read_in_every_way(format, &body);
    }
}
