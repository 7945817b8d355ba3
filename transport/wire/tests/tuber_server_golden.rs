//! Tests of the server half of Tuber with recorded requests. Its answers are compared with those of
//! a real server.

use bytes::BytesMut;
use serde_json::{Value as Json, json};
use twotone_wire::tuber::{
    Args, Constant, Dispatch, Fault, Head, Interface, Invocation, Method, Param, Property,
    PropertyValue, Reply, Server, Service, Slot,
};

macro_rules! golden {
    ($name:expr) => {
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

/// The same object with the containers inside it, which an [`Interface`] cannot declare.
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

#[test]
fn values_and_refusals_agree_with_the_real_server() {
    let head = |content_type, accept| Head {
        content_type,
        accept,
        options: None,
    };
    let text = head(Some("text/plain"), None);
    let charset = head(Some("application/json; charset=utf-8"), None);
    let png = head(JSON.content_type, Some("image/png"));
    macro_rules! check {
        ($head:expr, $name:literal) => {
            let (content_type, answer) = serve($head, golden!(concat!($name, ".request.json")));
            assert_eq!(content_type, "application/json", $name);
            let golden = golden!(concat!($name, ".answer.json"));
            assert_eq!(tree(&answer), tree(golden), $name);
        };
    }
    check!(&JSON, "single");
    check!(&Head::default(), "noct");
    check!(&JSON, "root");
    check!(&JSON, "prop");
    check!(&JSON, "describe");
    check!(&JSON, "methprop");
    check!(&JSON, "missing");
    check!(&JSON, "missingm");
    check!(&JSON, "subcall");
    check!(&text, "badct");
    check!(&charset, "charset");
    check!(&png, "badaccept");
}

#[test]
fn descriptions_agree_with_the_real_server() {
    // An [`Interface`] does not declare the objects in containers.
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
    // The server half writes the length of the list with more bytes than the real server, and
    // writes the big-endian array as a little-endian one.
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
    // An empty name counts as no name, and null counts as absent.
    assert_eq!(answer[6], tree(golden!("describe.answer.json")));
    assert_eq!(answer[7], tree(golden!("root.answer.json")));
    assert_eq!(answer[8]["result"], 7);
    assert_eq!(answer.as_array().unwrap().len(), 9);
}
