//! Tests of the client of the Tuber protocol with tuberd, the real server. Tuber is the protocol of
//! the boards. A *batch* is a list of calls that one request carries.

use std::future::Future;

use twotone::hal::ErrorKind;
use twotone::transport::wire::tuber::{
    BatchWriter, Index, NdArray, NdData, ParamKind, Step, Value,
};
use twotone::transport::{ConnectOptions, Host, Reply, TuberClient};
use twotone::tworoutine::Wait;

use crate::python::{Peer, Script, python};

/// Result of a call that was not run because an earlier call of the batch failed.
const NOT_RUN: &str = "Something went wrong in a preceding call";

/// A real server with the objects of `tuberd_registry.py`.
struct Tuberd {
    port: u16,
    _peer: Peer,
}

impl Tuberd {
    fn start() -> Option<Self> {
        let peer = Script::new(&python()?, "tuberd_registry.py").start();
        assert_eq!(peer.said["version"], "0.18.7");
        let port = peer.said["port"].as_u64().unwrap().try_into().unwrap();
        Some(Self { port, _peer: peer })
    }

    fn client(&self, cbor: bool) -> TuberClient {
        TuberClient::new(
            Host::new("127.0.0.1", self.port),
            ConnectOptions::new().cbor(cbor),
        )
    }

    /// Returns two clients. One takes answers in JSON, the other in CBOR. From its second batch on,
    /// the second client also writes its batches in CBOR, because it has then seen that the server
    /// uses CBOR.
    fn clients(&self) -> [TuberClient; 2] {
        let clients = [false, true].map(|cbor| self.client(cbor));
        for client in &clients {
            // The first request of a client is always in JSON.
            done(client.batch(false, BatchWriter::list_objects));
        }
        clients
    }
}

#[track_caller]
fn done<T>(outcome: impl Future<Output = twotone::hal::Result<T>> + Send) -> T
where
    T: Send,
{
    outcome.wait().unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the results of a batch, in which every call must succeed.
#[track_caller]
fn results(client: &TuberClient, write: impl Fn(&mut BatchWriter) + Send + Sync) -> Vec<Value> {
    let value = |reply: Reply| match reply.result {
        Ok(value) => value,
        Err(message) => panic!("{message}"),
    };
    let replies = done(client.batch(false, write));
    replies.into_iter().map(value).collect()
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

fn ints<const N: usize>(values: [i64; N]) -> Value {
    Value::Array(values.map(Value::Int).to_vec())
}

fn map<const N: usize>(entries: [(&str, Value); N]) -> Value {
    let entry = |(key, value): (&str, Value)| (key.to_owned(), value);
    Value::Map(entries.map(entry).to_vec())
}

#[test]
fn values_go_there_and_back_in_both_formats() {
    let Some(server) = Tuberd::start() else {
        return;
    };
    let list = Value::Array(vec![
        Value::Int(1),
        Value::Float(2.5),
        text("three"),
        Value::Null,
        Value::Array(vec![Value::Bool(true)]),
    ]);
    let nested = map([
        (
            "a",
            map([("b", Value::Array(vec![map([("c", Value::Int(1))])]))]),
        ),
        ("empty", map([])),
    ]);
    let expected = [
        ("INTEGER", Value::Int(-1234)),
        ("FLOAT", Value::Float(0.1234)),
        ("TEXT", text("µ, a \"quote\" and \u{1f52d}")),
        ("NOTHING", Value::Null),
        ("FLAG", Value::Bool(true)),
        ("LIST", list),
        ("NESTED", nested),
        ("BYTES", Value::Bytes((0..=255).collect())),
    ];
    for client in server.clients() {
        let read = results(&client, |batch| {
            for (name, _) in &expected {
                batch.property("Values", name);
            }
        });
        for ((name, expected), read) in expected.iter().zip(&read) {
            assert_eq!(read, expected, "{name} of {client:?}");
        }
        // The same values are sent as arguments. The server answers with the values that it has
        // read.
        let read = results(&client, |batch| {
            for (_, value) in &expected {
                batch
                    .call("Values", "echo")
                    .arg(value)
                    .arg(7)
                    .kwarg("scale", 2.5)
                    .kwarg("other", value);
            }
        });
        for ((name, value), read) in expected.iter().zip(&read) {
            assert_eq!(read.get("value"), Some(value), "{name} of {client:?}");
            assert_eq!(read.get("rest"), Some(&ints([7])));
            assert_eq!(read.get("scale"), Some(&Value::Float(2.5)));
            let named = read.get("named").and_then(|named| named.get("other"));
            assert_eq!(named, Some(value), "{name} of {client:?}");
        }
        let read = results(&client, |batch| {
            batch.call("Values", "not_finite");
            batch.call("Values", "largest");
        });
        let numbers: Vec<f64> = read[0]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_f64)
            .collect();
        assert!(numbers[0].is_nan(), "{numbers:?}");
        assert_eq!(numbers[1..], [f64::INFINITY, f64::NEG_INFINITY]);
        let largest = Value::Array(vec![
            Value::Int(i64::MAX),
            Value::Int(i64::MIN),
            Value::Float(u64::MAX as f64),
            Value::Float(f64::MAX),
            Value::Float(5e-324),
        ]);
        assert_eq!(read[1], largest);
    }
}

/// Array of two rows of three numbers: 0, 1, and the largest number of the type; the smallest
/// number, 2, and 3.
macro_rules! rows {
    ($kind:ident, $number:ty, $smallest:expr, $largest:expr) => {
        NdData::$kind(
            [0 as $number, 1 as $number, $largest, $smallest]
                .into_iter()
                .chain([2 as $number, 3 as $number])
                .collect(),
        )
    };
    ($kind:ident, $number:ident) => {
        rows!($kind, $number, $number::MIN, $number::MAX)
    };
}

#[test]
fn arrays_of_each_type_keep_their_shape_and_values() {
    let Some(server) = Tuberd::start() else {
        return;
    };
    let client = server.client(true);
    // A half-precision number is read as single precision. The largest half-precision number is
    // 65504.
    let expected = [
        ("u1", rows!(U8, u8)),
        ("u2", rows!(U16, u16)),
        ("u4", rows!(U32, u32)),
        ("u8", rows!(U64, u64)),
        ("i1", rows!(I8, i8)),
        ("i2", rows!(I16, i16)),
        ("i4", rows!(I32, i32)),
        ("i8", rows!(I64, i64)),
        ("f2", rows!(F32, f32, -65504.0, 65504.0)),
        ("f4", rows!(F32, f32)),
        ("f8", rows!(F64, f64)),
    ];
    let ways: Vec<(&str, &str)> = ["C", "F"]
        .into_iter()
        .flat_map(|order| ["<", ">"].map(|endian| (order, endian)))
        .collect();
    let read = results(&client, |batch| {
        for (dtype, _) in &expected {
            for (order, endian) in &ways {
                batch
                    .call("Arrays", "of")
                    .arg(*dtype)
                    .kwarg("order", *order)
                    .kwarg("endian", *endian);
            }
        }
    });
    assert_eq!(read.len(), 11 * 4);
    for (index, read) in read.iter().enumerate() {
        let (dtype, data) = &expected[index / ways.len()];
        let Value::NdArray(array) = read else {
            panic!("{dtype}: {read:?}");
        };
        let way = ways[index % ways.len()];
        assert_eq!(array.shape[..], [2, 3], "{dtype} {way:?}");
        assert_eq!(&array.data, data, "{dtype} {way:?}");
    }

    // The arrays have any shape and either order of elements, and other values are before and after
    // them.
    let shapes: [&[u64]; 5] = [&[0], &[5], &[2, 3, 4], &[1, 1, 6], &[3, 0, 2]];
    let read = results(&client, |batch| {
        for shape in shapes {
            for order in ["C", "F"] {
                let mut call = batch.call("Arrays", "shaped");
                for extent in shape {
                    call = call.arg(*extent);
                }
                call.kwarg("order", order);
            }
        }
        batch.call("Arrays", "inside");
    });
    for (index, shape) in shapes.iter().enumerate() {
        for read in &read[2 * index..][..2] {
            let Value::NdArray(array) = read else {
                panic!("{read:?}");
            };
            let extents: Vec<u64> = array.shape.iter().map(|n| *n as u64).collect();
            assert_eq!(extents, *shape);
            let count = shape.iter().product::<u64>();
            let counted: Vec<f64> = (0..count).map(|n| n as f64).collect();
            assert_eq!(array.to_f64(), counted, "{shape:?}");
        }
    }
    let inside = read.last().unwrap();
    let is = |value: Option<&Value>, expected: NdData| match value {
        Some(Value::NdArray(array)) => array.data == expected,
        _ => false,
    };
    assert!(is(inside.get("i"), NdData::F32(vec![0.0, 1.0, 2.0])));
    let q = inside.get("q").and_then(Value::as_array).unwrap();
    assert!(is(q.first(), NdData::I16(vec![0, 1])), "{q:?}");
    assert_eq!(q[1], Value::Int(7));

    // The client reports an array in quadruple precision as an error with a message, and still
    // works after that.
    let refused = client.call(|batch| {
        batch.call("Arrays", "quadruple");
    });
    let refused = refused.wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Protocol, "{refused}");
    // A value that the server cannot write is an error of one call, and not of the batch.
    let replies = done(client.batch(true, |batch| {
        batch.call("Arrays", "complex");
        batch.call("Arrays", "of").arg("u1");
    }));
    let message = replies[0].result.as_ref().unwrap_err();
    assert!(message.contains("complex"), "{message}");
    assert!(matches!(&replies[1].result, Ok(Value::NdArray(_))));

    // Arrays are sent as arguments, and the server must read what the client writes.
    let shape = twotone::transport::wire::tuber::Shape::new(&[2, 3]).unwrap();
    let read = results(&client, |batch| {
        for (_, data) in &expected {
            let array = NdArray {
                shape,
                data: data.clone(),
            };
            batch
                .call("Values", "echo")
                .arg(Value::NdArray(Box::new(array)));
        }
    });
    for ((dtype, data), read) in expected.iter().zip(&read) {
        let same = is(read.get("value"), data.clone());
        assert!(same, "{dtype}: {read:?}");
    }

    // In JSON, this server has no arrays of numbers.
    let client = server.client(false);
    let refused = client.call(|batch| {
        batch.call("Arrays", "of").arg("u1");
    });
    let refused = refused.wait().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Rejected, "{refused}");
    assert!(
        refused.to_string().contains("not JSON serializable"),
        "{refused}"
    );
}

#[test]
fn warnings_and_errors_belong_to_their_calls() {
    let Some(server) = Tuberd::start() else {
        return;
    };
    for client in server.clients() {
        let write = |batch: &mut BatchWriter| {
            batch.call("Trouble", "warn").arg("one").arg("two");
            batch
                .call("Trouble", "warn")
                .arg("then")
                .kwarg("fail", true);
            batch.call("Trouble", "count");
            batch.call("Trouble", "fail").arg("no such tone");
            batch.call("Trouble", "count");
            batch.call("Trouble", "missing");
            batch.call("Nobody", "count");
            batch.property("Trouble", "missing");
            batch.call("Trouble", "count").arg(1);
        };
        let before = count(&client);
        let stopped = done(client.batch(false, write));
        let went_on = done(client.batch(true, write));
        for replies in [&stopped, &went_on] {
            assert_eq!(replies.len(), 9);
            assert_eq!(replies[0].result, Ok(Value::Int(2)));
            assert_eq!(replies[0].warnings, ["one", "two"]);
            let failed = replies[1].result.as_ref().unwrap_err();
            assert!(failed.contains("failed after warning"), "{failed}");
            assert_eq!(replies[1].warnings, ["then"]);
        }
        for reply in &stopped[2..] {
            assert_eq!(reply.result, Err(NOT_RUN.to_owned()));
            assert!(reply.warnings.is_empty());
        }
        let ran = before.as_i64().unwrap() + 1;
        assert_eq!(went_on[2].result, Ok(Value::Int(ran)), "not run twice");
        assert_eq!(went_on[4].result, Ok(Value::Int(ran + 1)));
        for (index, words) in [
            (3, "ValueError: no such tone"),
            (5, "no attribute 'missing'"),
            (6, "no attribute 'Nobody'"),
            (7, "no attribute 'missing'"),
            (8, "positional argument"),
        ] {
            let message = went_on[index].result.as_ref().unwrap_err();
            assert!(message.contains(words), "{index}: {message}");
        }
        // A failing call that is alone in its request gives an error too. The next batch contains a
        // call whose result the server cannot write.
        let refused = client.call(|batch| {
            batch.call("Trouble", "fail").arg("that");
        });
        let refused = refused.wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Rejected);
        assert!(refused.to_string().contains("ValueError: that"));
        let replies = done(client.batch(false, |batch| {
            batch.call("Trouble", "count");
            batch.call("Trouble", "unserializable");
            batch.call("Trouble", "count");
        }));
        let went_well = replies.iter().map(|reply| reply.result.is_ok());
        let went_well: Vec<bool> = went_well.collect();
        assert_eq!(went_well, [true, false, true], "{replies:?}");
    }
}

#[track_caller]
fn count(client: &TuberClient) -> Value {
    let read = results(client, |batch| {
        batch.call("Trouble", "count");
    });
    read.into_iter().next().unwrap()
}

#[test]
fn objects_describe_themselves_and_those_inside_them() {
    let Some(server) = Tuberd::start() else {
        return;
    };
    for client in server.clients() {
        let objects = results(&client, BatchWriter::list_objects);
        let names = objects[0].get("objects").and_then(Value::as_array).unwrap();
        assert_eq!(names.first(), Some(&text("Values")));
        assert_eq!(names.len(), 6);

        let found = done(client.describe("Signatures"));
        assert_eq!(found.doc.as_deref(), Some("Parameters of every kind."));
        let every = found.method("every").unwrap();
        assert_eq!(every.doc.as_deref(), Some("Take everything."));
        let params: Vec<_> = every
            .params
            .as_ref()
            .unwrap()
            .iter()
            .map(|param| (param.name.as_str(), param.kind, param.default.clone()))
            .collect();
        let expected = [
            ("a", ParamKind::Positional, None),
            ("b", ParamKind::Either, None),
            ("c", ParamKind::Either, Some(Value::Int(3))),
            ("rest", ParamKind::MorePositional, None),
            ("d", ParamKind::Keyword, None),
            ("e", ParamKind::Keyword, Some(text("five"))),
            ("named", ParamKind::MoreKeyword, None),
        ];
        assert_eq!(params, expected);
        let bare = found.method("bare").unwrap();
        assert_eq!(bare.params.as_deref(), Some(&[][..]));

        let values = done(client.describe("Values"));
        assert_eq!(values.property("INTEGER"), Some(&Value::Int(-1234)));
        assert_eq!(
            values.property("BYTES"),
            Some(&Value::Bytes((0..=255).collect()))
        );

        // One object is a list of objects of one kind, and another is a mapping of objects of
        // several kinds.
        let row = done(client.describe("Row"));
        assert_eq!(row.keys, Some(Value::Int(2)));
        assert!(row.values[0].method("shout").is_some());
        let named = done(client.describe("Named"));
        let keys = Value::Array(vec![text("left"), text("inner")]);
        assert_eq!(named.keys, Some(keys));
        assert_eq!(named.values[1].keys, Some(Value::Int(2)));

        let inner = [Index::Under("inner"), Index::At(1)];
        let paths: [&[Step<'_>]; 3] = [
            &[Step::Item("Row", 1)],
            &[Step::Key("Named", "left")],
            &[Step::Items("Named", &inner)],
        ];
        let read = results(&client, |batch| {
            for path in paths {
                batch.call(path, "shout");
                batch.property(path, "NAME");
            }
            batch.call("Row", "tuber_call").arg("shout");
        });
        let all = Value::Array(vec![text("ZERO"), text("ONE")]);
        let mut expected: Vec<Value> = ["ONE", "one", "L", "l", "I1", "i1"].map(text).to_vec();
        expected.push(all);
        assert_eq!(read, expected);
        let leaf = done(client.describe(paths[2]));
        assert_eq!(leaf.property("NAME"), Some(&text("i1")));

        let refused = client.describe("Nobody").wait().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Rejected);
        assert!(refused.to_string().contains("Nobody"), "{refused}");
    }
}
