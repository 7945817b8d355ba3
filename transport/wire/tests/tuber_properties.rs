//! The client half reads the values and answers that the server half writes, and the server half
//! reads the batches (lists of calls) that the client half writes, in JSON and CBOR.

use std::collections::BTreeMap;

use bytes::BytesMut;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use twotone_wire::tuber::{
    Answer, BatchWriter, Cursor, Dispatch, Encode, Fault, Format, Head, Invocation, Limits,
    NOT_RUN, NdArray, NdData, Options, Reply, Server, Shape, Slot, Value,
};

/// Returns the body of a call with `value` as its only argument. An argument of a call is the only
/// public way to write a value.
fn round_trip(format: Format, value: &(impl Encode + ?Sized)) -> Vec<u8> {
    let mut batch = BatchWriter::new(format);
    batch.call("o", "m").arg(value);
    batch.finish().to_vec()
}

/// Returns the first argument of the first call.
fn first_arg<T>(format: Format, body: &[u8], read: impl FnOnce(&mut Cursor<'_>) -> T) -> T {
    let mut cursor = Cursor::new(format, body, &Limits::REQUEST).unwrap();
    let mut calls = cursor.items().unwrap();
    let mut entries = calls.next().unwrap().unwrap().entries().unwrap();
    while let Some((key, value)) = entries.next().unwrap() {
        if key == "args" {
            return read(value.items().unwrap().next().unwrap().unwrap());
        }
    }
    panic!("no arguments")
}

fn shapes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0_usize..5, 1..4)
}

fn nd_arrays() -> impl Strategy<Value = NdArray> {
    fn of<T: std::fmt::Debug>(
        count: usize,
        element: impl Strategy<Value = T>,
        make: fn(Vec<T>) -> NdData,
    ) -> impl Strategy<Value = NdData> {
        prop::collection::vec(element, count).prop_map(make)
    }
    shapes().prop_flat_map(|shape| {
        let n = shape.iter().product();
        let data = prop_oneof![
            of(n, any::<u8>(), NdData::U8),
            of(n, any::<u16>(), NdData::U16),
            of(n, any::<u32>(), NdData::U32),
            of(n, any::<u64>(), NdData::U64),
            of(n, any::<i8>(), NdData::I8),
            of(n, any::<i16>(), NdData::I16),
            of(n, any::<i32>(), NdData::I32),
            of(n, any::<i64>(), NdData::I64),
            of(n, prop::num::f32::NORMAL, NdData::F32),
            of(
                n,
                prop::num::f64::NORMAL | prop::num::f64::INFINITE,
                NdData::F64
            ),
        ];
        data.prop_map(move |data| NdArray {
            shape: Shape::new(&shape).unwrap(),
            data,
        })
    })
}

/// Strategy for values that CBOR represents exactly.
fn values() -> impl Strategy<Value = Value> {
    let finite = prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO;
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (finite | prop::num::f64::INFINITE).prop_map(Value::Float),
        ".*".prop_map(Value::Str),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(Value::Bytes),
        nd_arrays().prop_map(|array| Value::NdArray(Box::new(array))),
    ];
    leaf.prop_recursive(4, 60, 30, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(Value::Array),
            // In JSON, bytes are a map with the key `bytes`. The x at the end of each key ensures
            // that no other map is read as bytes.
            prop::collection::btree_map(".{0,8}x", inner, 0..30).prop_map(map),
        ]
    })
}

fn map(entries: BTreeMap<String, Value>) -> Value {
    Value::Map(entries.into_iter().collect())
}

/// Returns a value as it is after writing and reading JSON: null for numbers that are not finite,
/// nested lists for arrays, and floats for integers of typed arrays that exceed the range of `i64`.
fn through_json(value: &Value) -> Value {
    let int = |wide: u64| i64::try_from(wide).map_or(Value::Float(wide as f64), Value::Int);
    match value {
        Value::Float(number) if !number.is_finite() => Value::Null,
        Value::Array(items) => Value::Array(items.iter().map(through_json).collect()),
        Value::Map(entries) => Value::Map(
            entries
                .iter()
                .map(|(k, v)| (k.clone(), through_json(v)))
                .collect(),
        ),
        Value::NdArray(array) => {
            let flat: Vec<Value> = match &array.data {
                NdData::F32(v) => v.iter().map(|x| Value::Float(f64::from(*x))).collect(),
                NdData::F64(v) => v.iter().map(|x| through_json(&Value::Float(*x))).collect(),
                NdData::U64(v) => v.iter().map(|x| int(*x)).collect(),
                NdData::I64(v) => v.iter().map(|x| Value::Int(*x)).collect(),
                _ => array
                    .to_f64()
                    .iter()
                    .map(|x| Value::Int(*x as i64))
                    .collect(),
            };
            nest(&flat, &array.shape)
        }
        other => other.clone(),
    }
}

fn nest(flat: &[Value], shape: &[usize]) -> Value {
    match shape {
        [] => flat[0].clone(),
        [extent, inner @ ..] => {
            let stride = inner.iter().product::<usize>();
            let row = |i: usize| nest(&flat[i * stride..(i + 1) * stride], inner);
            Value::Array((0..*extent).map(row).collect())
        }
    }
}

proptest! {
    // A failing case prints its input and its seed. The seed is stored beside this file and runs
    // first.
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn values_survive_cbor(value in values()) {
        let body = round_trip(Format::Cbor, &value);
        prop_assert_eq!(first_arg(Format::Cbor, &body, |c| c.value()), Ok(value));
    }

    #[test]
    fn values_survive_json_as_far_as_it_can_hold_them(value in values()) {
        let body = round_trip(Format::Json, &value);
        prop_assert_eq!(first_arg(Format::Json, &body, |c| c.value()), Ok(through_json(&value)));
    }

    #[test]
    fn json_means_the_same_to_another_reader(value in values()) {
        let body = round_trip(Format::Json, &value);
        let theirs: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let theirs = &theirs[0]["args"][0];
        let ours = through_json(&value);
        prop_assert!(same(theirs, &ours), "{} {:?}", theirs, ours);
    }

    #[test]
    fn flat_reading_agrees_with_values(array in nd_arrays(), format in 0..2_usize) {
        let format = Format::ALL[format];
        let body = round_trip(format, &array);
        let mut flat = vec![-1.0];
        let shape = first_arg(format, &body, |c| c.array_into(&mut flat)).unwrap();
        prop_assert_eq!(flat.remove(0), -1.0);
        let mut expected = array.to_f64();
        if format == Format::Json {
            expected.iter_mut().filter(|x| x.is_infinite()).for_each(|x| *x = f64::NAN);
        }
        // For an array without numbers, nested lists do not show the axes inside an empty list.
        let seen = array.shape.iter().position(|e| *e == 0).map_or(array.shape.len(), |i| i + 1);
        let kept = if format == Format::Json { seen } else { array.shape.len() };
        prop_assert_eq!(&shape[..], &array.shape[..kept]);
        prop_assert!(flat.len() == expected.len());
        prop_assert!(flat.iter().zip(&expected).all(|(a, b)| a == b || (a.is_nan() && b.is_nan())));
    }

    #[test]
    fn columns_are_turned_into_rows(
        shape in shapes(),
        seed in any::<u64>(),
        little_endian in any::<bool>(),
    ) {
        let count: usize = shape.iter().product();
        let number = |index: usize| (seed % 1000) as f64 + index as f64;
        // Each value is a constant plus its index in row-major order. The data are in column-major
        // order.
        let mut by_columns = vec![0.0; count];
        for (row_major, value) in (0..count).map(|i| (i, number(i))) {
            let (mut rest, mut at) = (row_major, 0);
            for axis in (0..shape.len()).rev() {
                let index = rest % shape[axis];
                rest /= shape[axis];
                at += index * shape[..axis].iter().product::<usize>();
            }
            by_columns[at] = value;
        }
        let mut body = vec![0xd9, 0x04, 0x10, 0x82, 0x80 | shape.len() as u8];
        body.extend(shape.iter().map(|extent| *extent as u8));
        body.extend([0xd8, if little_endian { 86 } else { 82 }, 0x59]);
        body.extend(((count * 8) as u16).to_be_bytes());
        for value in by_columns {
            body.extend(if little_endian { value.to_le_bytes() } else { value.to_be_bytes() });
        }
        let mut flat = Vec::new();
        let mut cursor = Cursor::new(Format::Cbor, &body, &Limits::ANSWER).unwrap();
        let read = cursor.array_into(&mut flat).unwrap();
        prop_assert_eq!(&read[..], &shape[..]);
        prop_assert_eq!(flat, (0..count).map(number).collect::<Vec<_>>());
    }

    #[test]
    fn batches_go_round_both_halves(
        calls in prop::collection::vec(call(), 0..40),
        formats in (0..2_usize, 0..2_usize),
        continue_on_error in any::<bool>(),
    ) {
        let (sent, wanted) = (Format::ALL[formats.0], Format::ALL[formats.1]);
        let mut batch = BatchWriter::new(sent);
        for (method, args, kwargs) in &calls {
            let mut call = batch.call("Echo", method);
            for arg in args {
                call = call.arg(arg);
            }
            let mut names = kwargs.iter();
            if let Some((name, value)) = names.next() {
                names.fold(call.kwarg(name, value), |call, (name, value)| call.kwarg(name, value));
            }
        }
        prop_assert_eq!(batch.calls(), calls.len());
        let body = batch.finish();
        let options = Options { continue_on_error };
        let head = Head {
            content_type: Some(sent.content_type()),
            accept: Some(wanted.content_type()),
            options: options.header(),
        };
        let mut out = BytesMut::new();
        let format = Server::default().serve(&head, &body, &mut Echo, &mut out);
        prop_assert_eq!(format, wanted);

        let mut answer = Answer::new(Some(format.content_type()), &out, &Limits::ANSWER).unwrap();
        let mut elements = answer.elements(calls.len()).unwrap();
        let mut failed = false;
        for (method, args, kwargs) in &calls {
            let element = elements.next().unwrap().unwrap();
            if failed && !continue_on_error {
                prop_assert_eq!(element.outcome.unwrap_err(), NOT_RUN);
                continue;
            }
            let mut warnings = Vec::new();
            element.warnings.for_each(|text| warnings.push(text.into_owned()));
            prop_assert_eq!(warnings, kwargs.keys().cloned().collect::<Vec<_>>());
            if method.contains('!') {
                failed = true;
                prop_assert_eq!(element.outcome.unwrap_err(), format!("ValueError: {method}"));
            } else {
                let sent_as = |v| if sent == Format::Json { through_json(v) } else { Value::clone(v) };
                let echoed = Value::Array(args.iter().chain(kwargs.values()).map(sent_as).collect());
                let echoed = if wanted == Format::Json { through_json(&echoed) } else { echoed };
                prop_assert_eq!(element.outcome.unwrap().value(), Ok(echoed));
            }
        }
        prop_assert!(elements.next().unwrap().is_none());
    }
}

fn same(theirs: &serde_json::Value, ours: &Value) -> bool {
    use serde_json::Value as Json;
    match (theirs, ours) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Number(a), Value::Int(b)) => a.as_i64() == Some(*b),
        (Json::Number(a), Value::Float(b)) => a.as_f64() == Some(*b),
        (Json::String(a), Value::Str(b)) => a == b,
        (Json::Object(a), Value::Bytes(b)) => a["bytes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|x| x.as_u64().unwrap() as u8)
            .eq(b.iter().copied()),
        (Json::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Json::Object(a), Value::Map(b)) => {
            a.len() == b.len() && b.iter().all(|(key, value)| same(&a[key], value))
        }
        _ => false,
    }
}

type EchoCall = (String, Vec<Value>, BTreeMap<String, Value>);

fn call() -> impl Strategy<Value = EchoCall> {
    (
        // About one call in eight fails.
        prop_oneof![7 => "[a-z\"]{1,8}", 1 => "[a-z\\\\\n]{0,8}!"],
        prop::collection::vec(values(), 0..4),
        prop::collection::btree_map("[a-z\u{e9}]{1,5}", values(), 0..3),
    )
}

/// Answers with the list of the arguments, and sends the names of keyword arguments as warnings. A
/// method with `!` in its name fails.
struct Echo;

impl Dispatch for Echo {
    fn objects(&self) -> Vec<String> {
        vec![String::from("Echo")]
    }

    fn describe(&mut self, object: &str, _: bool, _: Slot<'_>) -> Result<(), Fault> {
        Err(Fault::no_object(object))
    }

    fn property(&mut self, object: &str, name: &str, _: Slot<'_>) -> Result<(), Fault> {
        Err(Fault::no_attribute(object, name))
    }

    fn call(&mut self, call: &Invocation<'_>, mut reply: Reply<'_>) -> Result<(), Fault> {
        let mut values = Vec::new();
        if let Some(mut args) = call.args {
            let mut items = args.items()?;
            while let Some(item) = items.next()? {
                values.push(item.value()?);
            }
        }
        if let Some(mut kwargs) = call.kwargs {
            let mut entries = kwargs.entries()?;
            while let Some((name, value)) = entries.next()? {
                reply.warn(name);
                values.push(value.value()?);
            }
        }
        if call.method.contains('!') {
            return Err(Fault::value(call.method));
        }
        reply.send(&Value::Array(values));
        Ok(())
    }
}
