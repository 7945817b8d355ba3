//! The client half on bytes that real servers sent.

use twotone_wire::tuber::{
    Answer, BatchWriter, Cursor, DecodeErrorKind, Description, Element, Format, Limits, MethodInfo,
    ParamKind, Value,
};

macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!("golden/", $name))
    };
}

const JSON: Option<&str> = Some("application/json");
const CBOR: Option<&str> = Some("application/cbor");

/// Outcome of each call: the result or the message of the error, and the warnings.
fn outcomes(
    content_type: Option<&str>,
    body: &[u8],
    calls: usize,
) -> Vec<(Result<Value, String>, Vec<String>)> {
    let mut answer = Answer::new(content_type, body, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(calls).unwrap();
    assert_eq!(elements.refusal(), None);
    let mut all = Vec::new();
    while let Some(element) = elements.next().unwrap() {
        let mut warnings = Vec::new();
        element
            .warnings
            .for_each(|text| warnings.push(text.into_owned()));
        let outcome = match element.outcome {
            Ok(mut cursor) => Ok(cursor.value().unwrap()),
            Err(text) => Err(text.into_owned()),
        };
        all.push((outcome, warnings));
    }
    all
}

fn check(content_type: Option<&str>, body: &[u8], expected: &[Result<Value, &str>]) {
    let got = outcomes(content_type, body, expected.len());
    assert_eq!(got.len(), expected.len());
    for ((got, warnings), expected) in got.iter().zip(expected) {
        assert_eq!(
            got.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|text| *text)
        );
        assert!(warnings.is_empty());
    }
}

fn single(body: &[u8]) -> Element<'_> {
    Answer::new(JSON, body, &Limits::ANSWER)
        .unwrap()
        .single()
        .unwrap()
}

fn text(text: &str) -> Value {
    Value::Str(text.to_owned())
}

#[test]
fn null_beside_a_result_is_no_error() {
    let null = || Ok(Value::Null);
    check(
        JSON,
        golden!("mock/set.answer.json"),
        &[null(), null(), null(), Ok(Value::Float(1e6))],
    );
}

#[test]
fn an_error_beside_a_null_result_is_one() {
    let out_of_range = "ValueError: The set frequency must be between -313.5 MHz and +313.5 MHz of the NCO frequency.";
    check(
        JSON,
        golden!("mock/err.answer.json"),
        &[
            Err(out_of_range),
            Ok(Value::Float(8e8)),
            Err("Method 'bogus' not found"),
        ],
    );
}

#[test]
fn a_traceback_is_kept_whole_and_the_rest_was_not_run() {
    let got = outcomes(JSON, golden!("tuberd/batch.answer.json"), 3);
    assert_eq!(got[0].0, Ok(Value::Bytes(b"abc".to_vec())));
    let traceback = got[1].0.as_ref().unwrap_err();
    assert!(traceback.starts_with("Traceback (most recent call last):\n"));
    assert!(traceback.ends_with("\nValueError: no good\n"));
    assert_eq!(got[2].0.as_ref().unwrap_err(), twotone_wire::tuber::NOT_RUN);
}

#[test]
fn warnings_come_with_their_result() {
    let got = outcomes(JSON, golden!("tuberd/batch_coe.answer.json"), 2);
    assert!(got[0].0.is_err() && got[0].1.is_empty());
    assert_eq!(got[1], (Ok(Value::Int(7)), vec![String::from("careful")]));
}

#[test]
fn a_refused_batch_is_one_error_for_all_of_it() {
    let bodies: [&[u8]; 4] = [
        golden!("tuberd/badct.answer.json"),
        golden!("tuberd/badaccept.answer.json"),
        golden!("tuberd/badjson.answer.json"),
        golden!("tuberd/charset.answer.json"),
    ];
    for body in bodies {
        let mut answer = Answer::new(JSON, body, &Limits::ANSWER).unwrap();
        let mut elements = answer.elements(5).unwrap();
        let refusal = elements.refusal().unwrap();
        assert!(refusal.contains("Error: "), "{refusal}");
        assert!(elements.next().unwrap().is_none());
    }
}

#[test]
fn a_body_of_another_length_is_an_error() {
    let body = golden!("mock/set.answer.json");
    for (calls, found) in [(3, 4), (5, 4), (0, 1)] {
        let mut answer = Answer::new(JSON, body, &Limits::ANSWER).unwrap();
        let mut elements = answer.elements(calls).unwrap();
        let error = loop {
            match elements.next() {
                Ok(element) => assert!(element.is_some(), "{calls} calls"),
                Err(error) => break error,
            }
        };
        assert_eq!(
            error.kind,
            DecodeErrorKind::Count {
                expected: calls,
                found
            }
        );
    }
}

#[test]
fn typed_arrays_of_every_order_are_read() {
    let body = golden!("tuberd/cbor_arr.answer.cbor");
    let mut answer = Answer::new(CBOR, body, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(4).unwrap();
    let mut array = || {
        let mut values = Vec::new();
        let mut cursor = elements.next().unwrap().unwrap().outcome.unwrap();
        let shape = cursor.array_into(&mut values);
        (shape.map(|shape| shape.to_vec()), values)
    };
    assert_eq!(
        array(),
        (Ok(vec![2, 3]), vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    );
    assert_eq!(array(), (Ok(vec![2]), vec![1.5, -2.0]));
    assert_eq!(array(), (Ok(vec![2]), vec![1.0, -2.0]));
    let mut raw = elements.next().unwrap().unwrap().outcome.unwrap();
    assert_eq!(&*raw.bytes().unwrap(), b"abc");
    assert!(elements.next().unwrap().is_none());
}

#[test]
fn samples_of_every_channel_are_read_flat() {
    let body = golden!("mock/getsamples_avg.answer.json");
    let tree: serde_json::Value = serde_json::from_slice(body).unwrap();
    let flat = |path: &str| -> Vec<f64> {
        let rows = tree.pointer(path).unwrap().as_array().unwrap().iter();
        rows.flat_map(|row| match row {
            serde_json::Value::Array(row) => row.clone(),
            number => vec![number.clone()],
        })
        .map(|number| number.as_f64().unwrap())
        .collect()
    };
    let mut answer = Answer::new(JSON, body, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(1).unwrap();
    let mut result = elements.next().unwrap().unwrap().outcome.unwrap();
    let (mut i, mut q, mut mean_i, mut shapes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut entries = result.entries().unwrap();
    while let Some((key, value)) = entries.next().unwrap() {
        match &*key {
            "i" => shapes.push(value.array_into(&mut i).unwrap()),
            "q" => shapes.push(value.array_into(&mut q).unwrap()),
            "mean" => {
                let mut entries = value.entries().unwrap();
                while let Some((key, value)) = entries.next().unwrap() {
                    if key == "i" {
                        value.f64_into(&mut mean_i).unwrap();
                    }
                }
            }
            _ => value.skip().unwrap(),
        }
    }
    assert_eq!(
        shapes
            .iter()
            .map(|shape| shape.to_vec())
            .collect::<Vec<_>>(),
        [[1024, 2]; 2]
    );
    assert!(i == flat("/0/result/i"));
    assert!(q == flat("/0/result/q"));
    assert!(mean_i == flat("/0/result/mean/i"));
    assert_eq!(mean_i.len(), 1024);
}

#[test]
fn maps_keep_their_order() {
    let body = golden!("mock/ts.answer.json");
    let got = outcomes(JSON, body, 3);
    let stamp = got[0].0.as_ref().unwrap();
    let keys: Vec<_> = stamp
        .as_map()
        .unwrap()
        .iter()
        .map(|(key, _)| key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "y", "d", "h", "m", "s", "ss", "c", "sbs", "source", "recent"
        ]
    );
    assert_eq!(stamp.get("ss"), Some(&Value::Int(87_778_125)));
    assert_eq!(stamp.get("recent"), Some(&Value::Bool(true)));
    assert_eq!(got[2].0, Ok(Value::Float(40.0)));
}

#[test]
fn descriptions_are_read_in_both_forms() {
    let full = single(golden!("tuberd/resolve.answer.json"))
        .outcome
        .unwrap();
    let full = Description::read(&mut { full }).unwrap();
    assert!(!full.names_only);
    assert_eq!(full.doc.as_deref(), Some("A board"));
    let params = full.method("boom").unwrap().params.as_ref().unwrap();
    assert_eq!(params.len(), 1);
    assert_eq!(
        (params[0].name.as_str(), params[0].kind),
        ("a", ParamKind::Either)
    );
    assert_eq!(params[0].default, Some(Value::Int(1)));
    assert_eq!(
        full.property("UNITS").unwrap().get("DBM"),
        Some(&text("dbm"))
    );
    let (name, mods) = &full.objects[0];
    assert_eq!((name.as_str(), &mods.keys), ("mods", &Some(Value::Int(2))));
    assert!(mods.values[0].has("get"));
    let variadic = mods.method("tuber_call").unwrap().params.as_ref().unwrap();
    let kinds: Vec<_> = variadic.iter().map(|param| param.kind).collect();
    assert_eq!(
        kinds,
        [
            ParamKind::Either,
            ParamKind::MorePositional,
            ParamKind::MoreKeyword
        ]
    );
    assert_eq!(full.objects[1].1.keys, Some(Value::Array(vec![text("a")])));

    let body = golden!("mock/resolve.answer.json");
    let mut answer = Answer::new(JSON, body, &Limits::ANSWER).unwrap();
    let element = answer.elements(1).unwrap().next().unwrap().unwrap();
    let names = Description::read(&mut element.outcome.unwrap()).unwrap();
    assert!(names.names_only);
    assert!(names.has("UNITS") && names.has("get_samples") && !names.has("summary"));
    assert_eq!(names.property("UNITS"), None);
    assert_eq!(names.method("set_amplitude").unwrap().params, None);

    let names = single(golden!("tuberd/describe.answer.json"))
        .outcome
        .unwrap();
    assert!(Description::read(&mut { names }).unwrap().names_only);
}

#[test]
fn a_method_describes_itself_in_both_forms() {
    let mut full = single(golden!("tuberd/methprop.answer.json"))
        .outcome
        .unwrap();
    let boom = MethodInfo::read("boom", &mut full).unwrap();
    assert_eq!(boom.params.unwrap()[0].default, Some(Value::Int(1)));

    let body = golden!("mock/prop.answer.json");
    let mut answer = Answer::new(JSON, body, &Limits::ANSWER).unwrap();
    let mut elements = answer.elements(3).unwrap();
    elements.next().unwrap();
    let mut described = elements.next().unwrap().unwrap().outcome.unwrap();
    let method = MethodInfo::read("set_amplitude", &mut described).unwrap();
    assert_eq!(method.doc.as_deref(), Some("Method set_amplitude"));
    let params: Vec<_> = method
        .params
        .unwrap()
        .into_iter()
        .map(|param| (param.name, param.default))
        .collect();
    let none = || Some(text("None"));
    assert_eq!(
        params,
        [
            ("amplitude".into(), None),
            ("channel".into(), none()),
            ("module".into(), none())
        ]
    );
    let private = elements.next().unwrap().unwrap().outcome.unwrap_err();
    assert_eq!(
        private,
        "Property '_x' is private and not accessible via RPC"
    );
}

#[test]
fn requests_mean_what_a_reference_client_sends() {
    let mut batch = BatchWriter::new(Format::Json);
    batch
        .call("Dfmux", "set_nco_frequency")
        .arg(8e8)
        .kwarg("module", 1);
    batch
        .call("Dfmux", "set_frequency")
        .arg(1e6)
        .kwarg("channel", 1)
        .kwarg("module", 1);
    batch
        .call("Dfmux", "set_amplitude")
        .arg(0.001)
        .kwarg("channel", 1)
        .kwarg("module", 1);
    batch
        .call("Dfmux", "get_frequency")
        .kwarg("channel", 1)
        .kwarg("module", 1);
    same_requests(&mut batch, golden!("mock/set.request.json"));

    batch.property("Dfmux", "UNITS");
    batch.property("Dfmux", "set_amplitude");
    batch.property("Dfmux", "_x");
    same_requests(&mut batch, golden!("mock/prop.request.json"));

    batch.resolve("Dfmux");
    same_requests(&mut batch, golden!("mock/resolve.request.json"));

    let none: Option<f64> = None;
    let samples = batch.call("Dfmux", "get_samples").arg(2);
    samples
        .kwarg("average", true)
        .kwarg("channel", none)
        .kwarg("module", 1);
    same_requests(&mut batch, golden!("mock/getsamples_avg.request.json"));

    use twotone_wire::tuber::Step;
    let path = |step| [Step::Attribute("Board"), step];
    batch.call(&path(Step::Item("mods", 1))[..], "get").arg(21);
    batch
        .call(&path(Step::Key("named", "a"))[..], "get")
        .kwarg("x", 5);
    batch
        .call(&path(Step::Attribute("mods"))[..], "tuber_call")
        .arg("get")
        .kwarg("x", 9);
    same_requests(&mut batch, golden!("tuberd/subcall.request.json"));

    use twotone_wire::tuber::Index;
    let inner = [Index::Under("inner"), Index::At(1)];
    batch.property(&[Step::Items("Named", &inner)][..], "NAME");
    same_requests(
        &mut batch,
        br#"[{"object":[["Named","inner",1]],"property":"NAME"}]"#,
    );
}

fn same_requests(batch: &mut BatchWriter, golden: &[u8]) {
    let ours = batch.finish();
    let tree = |bytes| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
    assert_eq!(tree(&ours), tree(golden));
}

#[test]
fn an_empty_batch_is_an_empty_list() {
    assert_eq!(&BatchWriter::new(Format::Json).finish()[..], b"[]");
    let cbor = BatchWriter::new(Format::Cbor).finish();
    let mut cursor = Cursor::new(Format::Cbor, &cbor, &Limits::ANSWER).unwrap();
    assert_eq!(cursor.value(), Ok(Value::Array(Vec::new())));
}
