//! The server's half, given the requests that a real server was given, beside that server's answers.

use bytes::BytesMut;
use serde_json::{Value as Json, json};
use twotone_wire::tuber::{
    Args, Constant, Dispatch, Fault, Head, Interface, Invocation, Method, NdArray, NdData, Param,
    Property, PropertyValue, Reply, Server, Service, Shape, Slot, Value,
};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("golden/tuberd/", $name))
    };
}

/// The object that the real server served.
struct Board;

const fn method(name: &'static str, doc: &'static str, params: &'static [Param]) -> Method {
    Method { name, doc, params }
}

static BOARD: Interface = Interface {
    name: "Board",
    doc: "A board",
    methods: &[
        method("arr", "", &[]),
        method("arr_f32", "", &[]),
        method("arr_i16be", "", &[]),
        method("boom", "", &[Param::optional("a", Constant::Int(1))]),
        method("none", "", &[]),
        method("raw", "", &[]),
        method("warn", "", &[]),
    ],
    properties: &[
        Property::members("UNITS", &[("HZ", "hz"), ("DBM", "dbm")]),
        Property {
            name: "serial",
            value: PropertyValue::Constant(Constant::Str("0042")),
        },
    ],
};

impl Service for Board {
    fn interface(&self) -> &'static Interface {
        &BOARD
    }

    fn call(
        &mut self,
        method: &'static Method,
        args: &Args<'_>,
        mut reply: Reply<'_>,
    ) -> Result<(), Fault> {
        match method.name {
            "arr" => reply
                .slot()
                .f64_array(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], &[2, 3]),
            "arr_f32" => reply.slot().typed_array(&[1.5_f32, -2.0], &[2]),
            "arr_i16be" => reply.slot().typed_array(&[1_i16, -2], &[2]),
            "raw" => reply.slot().bytes(b"abc"),
            "warn" => {
                reply.warn("careful");
                reply.send(&7);
            }
            "boom" => {
                args.i64("a")?;
                return Err(Fault::value("no good"));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The same object with the containers inside it, which take more than a table.
struct Nested(Board);

impl Dispatch for Nested {
    fn objects(&self) -> Vec<String> {
        self.0.objects()
    }

    fn describe(&mut self, object: &str, resolve: bool, slot: Slot<'_>) -> Result<(), Fault> {
        self.0.describe(object, resolve, slot)
    }

    fn property(&mut self, object: &str, property: &str, slot: Slot<'_>) -> Result<(), Fault> {
        Dispatch::property(&mut self.0, object, property, slot)
    }

    fn call(&mut self, call: &Invocation<'_>, reply: Reply<'_>) -> Result<(), Fault> {
        static GET: Method = method(
            "get",
            "doc of get",
            &[Param::optional("x", Constant::Int(1))],
        );
        static CALL: Method = method(
            "tuber_call",
            "",
            &[Param::required("method"), Param::required("x")],
        );
        match (call.object, call.method) {
            ("Board.mods[0]" | "Board.mods[1]" | "Board.named[\"a\"]", "get") => {
                let x = Args::bind(&GET, call)?.i64("x")?;
                reply.send(&(x * 2));
            }
            ("Board.mods", "tuber_call") => {
                let args = Args::bind(&CALL, call)?;
                assert_eq!(args.str("method")?, "get");
                let mut seq = reply.slot().seq();
                (0..2).try_for_each(|_| args.i64("x").map(|x| seq.item().i64(x * 2)))?;
            }
            _ => return Dispatch::call(&mut self.0, call, reply),
        }
        Ok(())
    }
}

fn serve(head: &Head<'_>, body: &[u8]) -> (&'static str, Vec<u8>) {
    let mut out = BytesMut::new();
    let format = Server::default().serve(head, body, &mut Nested(Board), &mut out);
    (format.content_type(), out.to_vec())
}

const JSON: Head<'_> = Head {
    content_type: Some("application/json"),
    accept: Some("*/*"),
    options: None,
};

fn tree(bytes: &[u8]) -> Json {
    serde_json::from_slice(bytes).unwrap()
}

/// Serves a request and compares with what the real server answered, value by value.
fn check(head: &Head<'_>, request: &[u8], golden: &[u8]) {
    let (content_type, answer) = serve(head, request);
    assert_eq!(content_type, "application/json");
    assert_eq!(tree(&answer), tree(golden));
}

#[test]
fn values_and_refusals_agree_with_the_real_server() {
    check(
        &JSON,
        golden!("single.request.json"),
        golden!("single.answer.json"),
    );
    check(
        &Head::default(),
        golden!("noct.request.json"),
        golden!("noct.answer.json"),
    );
    check(
        &JSON,
        golden!("root.request.json"),
        golden!("root.answer.json"),
    );
    check(
        &JSON,
        golden!("prop.request.json"),
        golden!("prop.answer.json"),
    );
    check(
        &JSON,
        golden!("describe.request.json"),
        golden!("describe.answer.json"),
    );
    check(
        &JSON,
        golden!("methprop.request.json"),
        golden!("methprop.answer.json"),
    );
    check(
        &JSON,
        golden!("missing.request.json"),
        golden!("missing.answer.json"),
    );
    check(
        &JSON,
        golden!("missingm.request.json"),
        golden!("missingm.answer.json"),
    );
    check(
        &JSON,
        golden!("subcall.request.json"),
        golden!("subcall.answer.json"),
    );
    let head = |content_type, accept| Head {
        content_type,
        accept,
        options: None,
    };
    let text = head(Some("text/plain"), None);
    check(
        &text,
        golden!("badct.request.json"),
        golden!("badct.answer.json"),
    );
    let charset = head(Some("application/json; charset=utf-8"), None);
    check(
        &charset,
        golden!("charset.request.json"),
        golden!("charset.answer.json"),
    );
    let png = head(JSON.content_type, Some("image/png"));
    check(
        &png,
        golden!("badaccept.request.json"),
        golden!("badaccept.answer.json"),
    );
}

#[test]
fn descriptions_agree_with_the_real_server() {
    // What lies in containers is not declared by a table.
    let without_objects = |mut json: Json, at: &str| {
        *json
            .pointer_mut(at)
            .unwrap()
            .pointer_mut("/objects")
            .unwrap() = json!({});
        json
    };
    let (_, answer) = serve(&JSON, golden!("resolve.request.json"));
    let golden = tree(golden!("resolve.answer.json"));
    assert_eq!(tree(&answer), without_objects(golden, "/result"));
    let (_, answer) = serve(&JSON, golden!("rootresolve.request.json"));
    let golden = tree(golden!("rootresolve.answer.json"));
    assert_eq!(
        tree(&answer),
        without_objects(golden, "/result/objects/Board")
    );
}

#[test]
fn typed_arrays_agree_with_the_real_server_byte_for_byte() {
    let head = Head {
        accept: Some("application/cbor"),
        ..JSON
    };
    let (content_type, answer) = serve(&head, golden!("cbor_arr.request.json"));
    assert_eq!(content_type, "application/cbor");
    // The head of the list is wider here, and the array that was big-endian there is little-endian.
    let mut golden = golden!("cbor_arr.answer.cbor").to_vec();
    golden.splice(..1, [0x9a, 0, 0, 0, 4]);
    let at = golden
        .windows(6)
        .position(|w| w == [0xd8, 73, 0x44, 0, 1, 0xff])
        .unwrap();
    golden.splice(at..at + 7, [0xd8, 77, 0x44, 1, 0, 0xfe, 0xff]);
    assert_eq!(answer, golden);
}

#[test]
fn arrays_are_nested_lists_in_json() {
    let (_, answer) = serve(&JSON, golden!("json_arr.request.json"));
    assert_eq!(
        tree(&answer),
        json!([{"result": [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]}])
    );
}

const BATCH: &[u8] = br#"[{"object":"Board","method":"raw"},{"object":"Board","method":"boom"},
    {"object":"Board","method":"warn"}]"#;

#[test]
fn a_batch_stops_at_its_first_error() {
    let (_, answer) = serve(&JSON, BATCH);
    let golden = tree(golden!("batch.answer.json"));
    let ours = tree(&answer);
    assert_eq!(ours[0], golden[0]);
    assert_eq!(
        ours[1],
        json!({"error": {"message": "ValueError: no good"}})
    );
    assert_eq!(ours[2], golden[2]);
}

#[test]
fn a_batch_goes_on_where_it_is_asked_to() {
    let head = Head {
        options: Some("continue-on-error"),
        ..JSON
    };
    let (_, answer) = serve(&head, BATCH);
    let ours = tree(&answer);
    assert!(ours[1]["error"].is_object());
    assert_eq!(ours[2], tree(golden!("batch_coe.answer.json"))[1]);
}

#[test]
fn a_request_that_cannot_be_understood_fails_by_itself() {
    let body = br#"[{"object":{"a":[1,2]},"method":"none","args":[[],{}]},7,[[1]],
        {"object":"Board","method":{"a":1},"kwargs":{}},{"method":"none"},{"object":["Board",["mods"]]},
        {"object":"Board","property":"","method":null},{"object":null,"resolve":false},
        {"object":"Board","method":"warn"}]"#;
    let head = Head {
        options: Some("continue-on-error"),
        ..JSON
    };
    let (_, answer) = serve(&head, body);
    let answer = tree(&answer);
    let message = |n: usize| answer[n]["error"]["message"].as_str().unwrap();
    assert_eq!(
        message(0),
        "TypeError: an object's name must be str, not dict"
    );
    assert_eq!(message(1), "TypeError: a request must be a dict, not int");
    assert_eq!(message(2), "TypeError: a request must be a dict, not list");
    assert_eq!(
        message(3),
        "TypeError: a method's name must be str, not dict"
    );
    assert_eq!(
        message(4),
        "ValueError: a method or property was asked for without an object"
    );
    assert!(message(5).starts_with("AttributeError: "));
    // An empty name is none, and null is as good as absent.
    assert_eq!(answer[6], tree(golden!("describe.answer.json")));
    assert_eq!(answer[7], tree(golden!("root.answer.json")));
    assert_eq!(answer[8]["result"], 7);
    assert_eq!(answer.as_array().unwrap().len(), 9);
}

#[test]
fn a_malformed_body_runs_nothing_and_says_where_it_breaks() {
    struct Never;
    impl Service for Never {
        fn interface(&self) -> &'static Interface {
            &BOARD
        }
        fn call(&mut self, _: &'static Method, _: &Args<'_>, _: Reply<'_>) -> Result<(), Fault> {
            panic!("a call of a malformed batch was run")
        }
    }
    let bodies: [&[u8]; 5] = [
        golden!("badjson.request.json"),
        br#"[{"object":"Board","method":"none"}"#,
        br#"[{"object":"Board","method":"none"}],"#,
        br#"[{"object":"Board","method":"none"},]"#,
        b"[{\"object\":\"Board\",\"method\":\"none\",\"args\":[\"\xff\"]}]",
    ];
    for body in bodies {
        let mut out = BytesMut::new();
        Server::default().serve(&JSON, body, &mut Never, &mut out);
        let answer = tree(&out);
        let message = answer["error"]["message"].as_str().unwrap();
        assert!(message.starts_with("JSONDecodeError: "), "{message}");
        assert!(message.contains("line 1 column "), "{message}");
    }
}

#[test]
fn every_wrong_argument_has_the_text_that_python_gives_it() {
    static ONE: Interface = Interface {
        name: "One",
        doc: "",
        methods: &[
            method(
                "f",
                "",
                &[
                    Param::required("a"),
                    Param::required("b"),
                    Param::optional("c", Constant::Float(0.5)),
                    Param::null("d").keyword(),
                ],
            ),
            method("g", "", &[Param::required("key").keyword()]),
        ],
        properties: &[],
    };
    struct One;
    impl Service for One {
        fn interface(&self) -> &'static Interface {
            &ONE
        }
        fn call(
            &mut self,
            method: &'static Method,
            args: &Args<'_>,
            reply: Reply<'_>,
        ) -> Result<(), Fault> {
            if method.name == "f" {
                let sum = args.f64("a")? + args.f64("c")? + f64::from(args.u32("b")?);
                reply.send(&(sum + args.opt_f64("d")?.unwrap_or(0.0)));
            }
            Ok(())
        }
    }
    let check = |call: &str, expected: &str| {
        let body = format!("{{\"object\":\"One\",{call}}}");
        let mut out = BytesMut::new();
        Server::default().serve(&JSON, body.as_bytes(), &mut One, &mut out);
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
        "TypeError: One.f() missing 2 required positional arguments: 'a' and 'b'",
    );
    check(
        r#""method":"f","kwargs":{"b":2}"#,
        "TypeError: One.f() missing 1 required positional argument: 'a'",
    );
    check(
        r#""method":"g""#,
        "TypeError: One.g() missing 1 required keyword-only argument: 'key'",
    );
    check(
        r#""method":"g","args":[1]"#,
        "TypeError: One.g() takes 1 positional argument but 2 were given",
    );
    check(
        r#""method":"f","args":[1,2,3,4]"#,
        "TypeError: One.f() takes from 3 to 4 positional arguments but 5 were given",
    );
    check(
        r#""method":"f","args":[1],"kwargs":{"a":2,"b":2}"#,
        "TypeError: One.f() got multiple values for argument 'a'",
    );
    check(
        r#""method":"f","args":[1,2],"kwargs":{"z":2}"#,
        "TypeError: One.f() got an unexpected keyword argument 'z'",
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
        "TypeError: Argument 'args' for method One.f must be a list.",
    );
    check(
        r#""method":"f","kwargs":null"#,
        "TypeError: Argument 'kwargs' for method One.f must be a dict.",
    );
    check(
        r#""method":7"#,
        "TypeError: a method's name must be str, not int",
    );
}

#[test]
fn what_is_written_before_a_fault_is_dropped() {
    struct Half;
    impl Service for Half {
        fn interface(&self) -> &'static Interface {
            &BOARD
        }
        fn call(
            &mut self,
            _: &'static Method,
            _: &Args<'_>,
            mut reply: Reply<'_>,
        ) -> Result<(), Fault> {
            reply.warn("half way");
            reply.slot().map().entry("a", &1);
            Err(Fault::runtime("lost it"))
        }
    }
    let mut out = BytesMut::from(&b"before"[..]);
    let body = br#"{"object":"Board","method":"none"}"#;
    Server::default().serve(&JSON, body, &mut Half, &mut out);
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
    struct Sends(Value);
    impl Service for Sends {
        fn interface(&self) -> &'static Interface {
            &BOARD
        }
        fn call(
            &mut self,
            _: &'static Method,
            _: &Args<'_>,
            reply: Reply<'_>,
        ) -> Result<(), Fault> {
            reply.send(&self.0);
            Ok(())
        }
    }
    let head = Head {
        accept: Some("application/cbor"),
        ..JSON
    };
    let body = br#"{"object":"Board","method":"none"}"#;
    Server::default().serve(&head, body, &mut Sends(array), &mut out);
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
    /// Answers the second time that it is asked.
    #[derive(Default)]
    struct Slow {
        asked: usize,
    }
    impl Service for Slow {
        fn interface(&self) -> &'static Interface {
            &BOARD
        }
        fn call(
            &mut self,
            _: &'static Method,
            _: &Args<'_>,
            reply: Reply<'_>,
        ) -> Result<(), Fault> {
            self.asked += 1;
            if self.asked % 2 == 1 {
                return Err(Fault::new("not yet"));
            }
            reply.send(&(self.asked as u64));
            Ok(())
        }
    }
    let single = r#"{"object":"Board","method":"none"}"#;
    let batch = format!("[{single},{single},{single}]");
    for (body, expected) in [(single, "2"), (&batch, "[2, 4, 6]")] {
        for accept in ["application/json", "application/cbor"] {
            let head = Head {
                accept: Some(accept),
                ..JSON
            };
            let mut server = Server::default();
            let (mut slow, mut out) = (Slow::default(), BytesMut::new());
            let mut exchange = server.open(&head, body.as_bytes(), &mut out);
            while exchange.step(&mut slow, &mut out) {
                if slow.asked % 2 == 1 {
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
            // The same as from a target that answers at once.
            struct Quick(u64);
            impl Service for Quick {
                fn interface(&self) -> &'static Interface {
                    &BOARD
                }
                fn call(
                    &mut self,
                    _: &'static Method,
                    _: &Args<'_>,
                    reply: Reply<'_>,
                ) -> Result<(), Fault> {
                    self.0 += 2;
                    reply.send(&self.0);
                    Ok(())
                }
            }
            let mut whole = BytesMut::new();
            Server::default().serve(&head, body.as_bytes(), &mut Quick(0), &mut whole);
            assert_eq!(out, whole, "{expected} in {accept}");
        }
    }
}
