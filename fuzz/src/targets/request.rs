//! Targets that send requests to a server of Tuber, the protocol of the boards. The server must
//! give one answer to any bytes, and must not run more calls than the bytes contain. A *batch* is a
//! list of calls. An *outline* is a short text about the result.

use bytes::BytesMut;
use twotone_wire::tuber::{
    Answer, Args, BatchWriter, Cursor, Dispatch, Fault, Format, Head, Interface, Invocation, Kind,
    Limits, Method, Param, Reply, Server, Service, Slot, Value,
};

use super::answer::kept;

pub(super) fn json(bytes: &[u8]) -> String {
    run(Format::Json, bytes)
}

pub(super) fn cbor(bytes: &[u8]) -> String {
    run(Format::Cbor, bytes)
}

fn run(format: Format, bytes: &[u8]) -> String {
    let mut outline = String::new();
    for answered in Format::ALL {
        for options in [None, Some("continue-on-error")] {
            let head = Head {
                content_type: Some(format.content_type()),
                accept: Some(answered.content_type()),
                options,
            };
            let (answer, echo) = served(&head, bytes, &mut Server::default());
            let again = served(&head, bytes, &mut Server::default());
            assert_eq!(
                (&answer, &echo),
                (&again.0, &again.1),
                "two answers to one request"
            );
            assert_eq!(answer, step_by_step(&head, bytes), "an answer in steps");
            let read = readable(format, bytes, answered, &answer, echo.calls.len());
            if options.is_some() && answered == format {
                rewritten(format, &echo);
                outline = read;
            }
            let mut board = BytesMut::new();
            Server::default().serve(&head, bytes, &mut Board, &mut board);
            readable(format, bytes, answered, &board, 0);
        }
    }
    outline
}

fn served(head: &Head<'_>, bytes: &[u8], server: &mut Server) -> (BytesMut, Echo) {
    let (mut out, mut echo) = (BytesMut::new(), Echo::default());
    server.serve(head, bytes, &mut echo, &mut out);
    (out, echo)
}

/// Serves a request in steps. Each step is undone once and then repeated. Returns the answer.
fn step_by_step(head: &Head<'_>, bytes: &[u8]) -> BytesMut {
    let (mut out, mut echo) = (BytesMut::new(), Echo::default());
    let mut server = Server::default();
    let mut exchange = server.open(head, bytes, &mut out);
    loop {
        let length = out.len();
        if exchange.step(&mut echo, &mut out) {
            exchange.take_back(&mut out);
            assert_eq!(out.len(), length, "a step that was undone leaves nothing");
            assert!(exchange.step(&mut echo, &mut out));
        } else {
            break;
        }
    }
    exchange.close(&mut out);
    out
}

/// Asserts that an answer is one well-formed value. If the bytes are a batch, the answer must have
/// an element for each call in it, and at most as many calls may have been run. Returns the outline
/// of the answer.
fn readable(asked: Format, bytes: &[u8], format: Format, answer: &[u8], calls: usize) -> String {
    let start = Cursor::new(format, answer, &Limits::ANSWER).expect("short enough");
    let mut cursor = start;
    cursor.skip().expect("an answer is well formed");
    cursor.end().expect("an answer is one value");
    let batch = { start }.kind() == Ok(Kind::Array);
    let requests = batch.then(|| {
        let mut body = Cursor::new(asked, bytes, &Limits::REQUEST).expect("short enough");
        let mut items = body.items().expect("a batch is answered by a list");
        let mut count = 0;
        while items
            .next()
            .expect("a batch that was run is well formed")
            .is_some()
        {
            count += 1;
        }
        count
    });
    assert!(calls <= requests.unwrap_or(1), "more calls than requests");
    let content_type = Some(format.content_type());
    let mut answer = Answer::new(content_type, answer, &Limits::ANSWER).expect("short enough");
    let mut outline = String::new();
    let Some(requests) = requests else {
        let element = answer.single().expect("an answer to a single request");
        return match element.outcome {
            Ok(_) => "single".to_owned(),
            Err(text) => text.into_owned(),
        };
    };
    let mut elements = answer.elements(requests).expect("an answer to a batch");
    while let Some(element) = elements.next().expect("an element for each request") {
        if outline.len() < 300 {
            match element.outcome {
                Ok(_) => outline.push_str(" ok"),
                Err(text) => outline.push_str(&text),
            }
        }
    }
    outline
}

/// Writes the calls that were run as a batch, as the client does, and asserts that this batch runs
/// the same calls.
fn rewritten(format: Format, echo: &Echo) {
    let mut batch = BatchWriter::new(format);
    for call in &echo.calls {
        let mut written = batch.call(call.object.as_str(), &call.method);
        for arg in &call.args {
            written = written.arg(arg);
        }
        let mut named = call.kwargs.iter();
        if let Some((name, value)) = named.next() {
            let first = written.kwarg(name, value);
            named.fold(first, |written, (name, value)| written.kwarg(name, value));
        }
    }
    assert_eq!(batch.calls(), echo.calls.len());
    let head = Head {
        content_type: Some(format.content_type()),
        accept: None,
        options: Some("continue-on-error"),
    };
    // The arguments are nested as deep as in the original bytes, so the limit of depth accepts
    // them.
    let (_, again) = served(&head, &batch.finish(), &mut Server::default());
    assert_eq!(again.kept(format), echo.kept(format));
}

/// A call that [`Echo`] received.
#[derive(Debug, Clone, PartialEq)]
struct Echoed {
    object: String,
    method: String,
    args: Vec<Value>,
    kwargs: Vec<(String, Value)>,
}

/// Service that records its calls, answers with their positional arguments, and sends the names of
/// their keyword arguments as warnings.
#[derive(Debug, Default)]
struct Echo {
    calls: Vec<Echoed>,
}

impl Echo {
    /// Returns the calls as text. The text can be compared even if the calls contain NaN.
    fn kept(&self, format: Format) -> String {
        let calls = self.calls.iter().map(|call| Echoed {
            args: call.args.iter().map(|value| kept(format, value)).collect(),
            kwargs: {
                let named = call.kwargs.iter();
                named
                    .map(|(name, value)| (name.clone(), kept(format, value)))
                    .collect()
            },
            ..call.clone()
        });
        format!("{:?}", calls.collect::<Vec<_>>())
    }
}

impl PartialEq for Echo {
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}

impl Dispatch for Echo {
    fn objects(&self) -> Vec<String> {
        vec!["Echo".to_owned()]
    }

    fn describe(&mut self, object: &str, resolve: bool, slot: Slot<'_>) -> Result<(), Fault> {
        match object {
            "Echo" => slot.bool(resolve),
            _ => return Err(Fault::no_object(object)),
        }
        Ok(())
    }

    fn property(&mut self, object: &str, name: &str, slot: Slot<'_>) -> Result<(), Fault> {
        match name {
            "named" => slot.str(object),
            _ => return Err(Fault::no_attribute(object, name)),
        }
        Ok(())
    }

    fn call(&mut self, call: &Invocation<'_>, mut reply: Reply<'_>) -> Result<(), Fault> {
        let mut echoed = Echoed {
            object: call.object.to_owned(),
            method: call.method.to_owned(),
            args: Vec::new(),
            kwargs: Vec::new(),
        };
        if let Some(mut args) = call.args {
            let mut items = args.items()?;
            while let Some(item) = items.next()? {
                echoed.args.push(item.value()?);
            }
        }
        if let Some(mut kwargs) = call.kwargs {
            let mut entries = kwargs.entries()?;
            while let Some((name, value)) = entries.next()? {
                reply.warn(name.clone());
                echoed.kwargs.push((name.into_owned(), value.value()?));
            }
        }
        reply.send(&Value::Array(echoed.args.clone()));
        self.calls.push(echoed);
        Ok(())
    }
}

static BOARD: Interface = Interface {
    name: "Echo",
    doc: "Reads its arguments in every way.",
    methods: &[Method {
        name: "echo",
        doc: "",
        params: &[
            Param::required("x"),
            Param::required("channel"),
            Param::null("module"),
        ],
    }],
    properties: &[],
};

/// Service that tries to read each of its arguments as every type.
struct Board;

impl Service for Board {
    fn interface(&self) -> &'static Interface {
        &BOARD
    }

    fn call(&mut self, _: &'static Method, args: &Args<'_>, reply: Reply<'_>) -> Result<(), Fault> {
        let mut readings = 0_u64;
        for name in ["x", "channel", "module", "none"] {
            readings += u64::from(args.is_given(name));
            readings +=
                u64::from(args.opt_f64(name).is_ok()) + u64::from(args.opt_i64(name).is_ok());
            readings +=
                u64::from(args.opt_u32(name).is_ok()) + u64::from(args.opt_bool(name).is_ok());
            readings += u64::from(args.opt_str(name).is_ok()) + u64::from(args.value(name).is_ok());
            readings += u64::from(args.f64(name).is_ok()) + u64::from(args.str(name).is_ok());
        }
        reply.send(&readings);
        Ok(())
    }
}
