//! Edge cases of the server half of Tuber: calls whose arguments do not fit the method, answers
//! that fail half way, and steps that are undone.

use std::cell::Cell;

use bytes::BytesMut;
use serde_json::{Value as Json, json};
use twotone_wire::tuber::{
    Args, Constant, Fault, Head, Interface, Method, NdArray, NdData, Param, Reply, Server, Service,
    Shape, Value,
};

const fn method(name: &'static str, params: &'static [Param]) -> Method {
    Method {
        name,
        doc: "",
        params,
    }
}

static BOARD: Interface = Interface {
    name: "Board",
    doc: "",
    methods: &[
        method("none", &[]),
        method(
            "f",
            &[
                Param::required("a"),
                Param::required("b"),
                Param::optional("c", Constant::Float(0.5)),
                Param::null("d").keyword(),
            ],
        ),
        method("g", &[Param::required("key").keyword()]),
    ],
    properties: &[],
};

/// A board whose methods call a closure.
struct Board<F>(F);

impl<F: FnMut(&'static Method, &Args<'_>, Reply<'_>) -> Result<(), Fault>> Service for Board<F> {
    fn interface(&self) -> &'static Interface {
        &BOARD
    }

    fn call(
        &mut self,
        method: &'static Method,
        args: &Args<'_>,
        reply: Reply<'_>,
    ) -> Result<(), Fault> {
        (self.0)(method, args, reply)
    }
}

/// A request that calls a method without arguments.
const SINGLE: &str = r#"{"object":"Board","method":"none"}"#;

const JSON: Head<'_> = Head {
    content_type: Some("application/json"),
    accept: Some("*/*"),
    options: None,
};

fn tree(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).unwrap()
}

#[test]
fn a_malformed_body_runs_nothing_and_says_where_it_breaks() {
    let mut never = Board(
        |_: &'static Method, _: &Args<'_>, _: Reply<'_>| -> Result<(), Fault> {
            panic!("a call of a malformed batch was run")
        },
    );
    let bodies: [&[u8]; 5] = [
        include_bytes!("golden/tuberd/badjson.request.json"),
        br#"[{"object":"Board","method":"none"}"#,
        br#"[{"object":"Board","method":"none"}],"#,
        br#"[{"object":"Board","method":"none"},]"#,
        b"[{\"object\":\"Board\",\"method\":\"none\",\"args\":[\"\xff\"]}]",
    ];
    for body in bodies {
        let mut out = BytesMut::new();
        Server::default().serve(&JSON, body, &mut never, &mut out);
        let answer = tree(&out);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("JSONDecodeError: "), "{message}");
        assert!(message.contains("line 1 column "), "{message}");
    }
}

#[test]
fn every_wrong_argument_has_the_text_that_python_gives_it() {
    let mut board = Board(
        |method: &'static Method, args: &Args<'_>, reply: Reply<'_>| {
            if method.name == "f" {
                let sum = args.f64("a")? + args.f64("c")? + f64::from(args.u32("b")?);
                reply.send(&(sum + args.opt_f64("d")?.unwrap_or(0.0)));
            }
            Ok(())
        },
    );
    let mut check = |call: &str, expected: &str| {
        let body = format!("{{\"object\":\"Board\",{call}}}");
        let mut out = BytesMut::new();
        Server::default().serve(&JSON, body.as_bytes(), &mut board, &mut out);
        let answer = tree(&out);
        let got = answer["error"]["message"].as_str().map(str::to_owned);
        assert_eq!(
            got.unwrap_or_else(|| answer["result"].to_string()),
            expected,
            "{call}"
        );
    };
    check(r#""method":"f","args":[1,2]"#, "3.5");
    check(r#""method":"f","args":[1,2,4],"kwargs":{"d":8}"#, "15.0");
    check(r#""kwargs":{"b":2,"a":1,"d":null},"method":"f""#, "3.5");
    check(
        r#""method":"f""#,
        "TypeError: Board.f() missing 2 required positional arguments: 'a' and 'b'",
    );
    check(
        r#""method":"f","kwargs":{"b":2}"#,
        "TypeError: Board.f() missing 1 required positional argument: 'a'",
    );
    check(
        r#""method":"g""#,
        "TypeError: Board.g() missing 1 required keyword-only argument: 'key'",
    );
    check(
        r#""method":"g","args":[1]"#,
        "TypeError: Board.g() takes 1 positional argument but 2 were given",
    );
    check(
        r#""method":"f","args":[1,2,3,4]"#,
        "TypeError: Board.f() takes from 3 to 4 positional arguments but 5 were given",
    );
    check(
        r#""method":"f","args":[1],"kwargs":{"a":2,"b":2}"#,
        "TypeError: Board.f() got multiple values for argument 'a'",
    );
    check(
        r#""method":"f","args":[1,2],"kwargs":{"z":2}"#,
        "TypeError: Board.f() got an unexpected keyword argument 'z'",
    );
    check(
        r#""method":"f","args":["1",2]"#,
        "TypeError: f() argument 'a' must be float, not str",
    );
    check(
        r#""method":"f","args":[null,2]"#,
        "TypeError: f() argument 'a' must be float, not NoneType",
    );
    check(
        r#""method":"f","args":[1,2.0]"#,
        "TypeError: f() argument 'b' must be int, not float",
    );
    check(
        r#""method":"f","args":[1,-2]"#,
        "ValueError: f() argument 'b' is out of range: -2",
    );
    check(
        r#""method":"f","args":{}"#,
        "TypeError: Argument 'args' for method Board.f must be a list.",
    );
    check(
        r#""method":"f","kwargs":null"#,
        "TypeError: Argument 'kwargs' for method Board.f must be a dict.",
    );
    check(
        r#""method":7"#,
        "TypeError: a method's name must be str, not int",
    );
}

#[test]
fn values_written_before_a_fault_are_dropped() {
    let mut half = Board(|_: &'static Method, _: &Args<'_>, mut reply: Reply<'_>| {
        reply.warn("half way");
        reply.slot().map().entry("a", &1);
        Err(Fault::runtime("lost it"))
    });
    let mut out = BytesMut::from(&b"before"[..]);
    Server::default().serve(&JSON, SINGLE.as_bytes(), &mut half, &mut out);
    let answer = out.strip_prefix(b"before").unwrap();
    assert_eq!(
        tree(answer),
        json!({"error": {"message": "RuntimeError: lost it"}, "warnings": ["half way"]})
    );
}

#[test]
fn an_array_value_keeps_its_type() {
    let data = NdData::U16(vec![1, 2, 3, 4, 5, 6]);
    let array = Value::NdArray(Box::new(NdArray {
        shape: Shape::new(&[3, 2]).unwrap(),
        data,
    }));
    let mut out = BytesMut::new();
    let mut sends = Board(|_: &'static Method, _: &Args<'_>, reply: Reply<'_>| {
        reply.send(&array);
        Ok(())
    });
    let head = Head {
        accept: Some("application/cbor"),
        ..JSON
    };
    Server::default().serve(&head, SINGLE.as_bytes(), &mut sends, &mut out);
    let heads = [
        0xa1, 0x66, b'r', b'e', b's', b'u', b'l', b't', 0xd8, 40, 0x82, 0x82, 3, 2,
    ];
    assert_eq!(out[..14], heads);
    assert_eq!(
        out[14..],
        [0xd8, 69, 0x4c, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0]
    );
}

#[test]
fn a_step_taken_back_is_run_again() {
    let batch = format!("[{SINGLE},{SINGLE},{SINGLE}]");
    for (body, expected) in [(SINGLE, "2"), (&batch, "[2, 4, 6]")] {
        for accept in ["application/json", "application/cbor"] {
            let head = Head {
                accept: Some(accept),
                ..JSON
            };
            // The board answers each request at its second call.
            let asked = Cell::new(0_u64);
            let mut slow = Board(|_: &'static Method, _: &Args<'_>, reply: Reply<'_>| {
                asked.set(asked.get() + 1);
                if asked.get() % 2 == 1 {
                    return Err(Fault::new("not yet"));
                }
                reply.send(&asked.get());
                Ok(())
            });
            let (mut server, mut out) = (Server::default(), BytesMut::new());
            let mut exchange = server.open(&head, body.as_bytes(), &mut out);
            while exchange.step(&mut slow, &mut out) {
                if asked.get() % 2 == 1 {
                    assert!(exchange.failed());
                    exchange.take_back(&mut out);
                    let kept = out.clone();
                    exchange.take_back(&mut out);
                    assert_eq!(out, kept, "there is nothing more to take back");
                    assert!(!exchange.failed());
                }
            }
            assert!(!exchange.failed());
            exchange.close(&mut out);
            // The answer is the same as from a board that answers at once.
            let mut answers = 0_u64;
            let mut quick = Board(|_: &'static Method, _: &Args<'_>, reply: Reply<'_>| {
                answers += 2;
                reply.send(&answers);
                Ok(())
            });
            let mut whole = BytesMut::new();
            Server::default().serve(&head, body.as_bytes(), &mut quick, &mut whole);
            assert_eq!(out, whole, "{expected} in {accept}");
        }
    }
}
