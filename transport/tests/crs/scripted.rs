//! A simulated board in memory that misbehaves as a test requests, over byte streams and in virtual
//! time.

mod http;
mod once;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Handle;
use tokio::time::sleep;
use twotone_transport::Connector;
use twotone_wire::tuber::{
    Dispatch, Fault, Format, Head, Invocation, Limits, Reply, Server, Slot, Value,
};

use http::{Headers, closed, http, read_request};

/// Behaviour of the board for the next request.
#[derive(Debug, Clone)]
pub(crate) enum Next {
    /// Answers after this time.
    Slow(Duration),
    /// Executes the request and closes the connection in the middle of the answer.
    CloseInAnswer,
    /// Closes the connection at once and executes the request after this time.
    LandLate(Duration),
    /// Never answers.
    Hang,
    /// Closes the connection at once and does not execute the request.
    Close,
    /// Answers, and then closes the connection.
    AnswerAndClose,
    /// Loses its settings and closes all connections, as in a restart.
    Reboot,
    /// Executes the request, and answers with this body in place of its own.
    Garble(String),
    /// Answers with these bytes in place of the whole answer, head included.
    Raw(Vec<u8>),
    /// Does not execute the request, and answers with this status, media type and body.
    Say(u16, &'static str, String),
}

/// Way in which the board ends each connection after its first answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Closing {
    /// With a header that announces the end of the connection.
    Announced,
    /// As in HTTP/1.0: the end of the connection ends the answer.
    Http10,
    /// Without an announcement.
    Silent,
    /// Without an announcement, this long after its answer. Requests that arrive in between are
    /// lost.
    Late(Duration),
}

/// Formats of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Formats {
    /// JSON alone, whatever the headers say.
    Json,
    /// As servers up to 0.17: requests in JSON, answers in JSON and CBOR. The status is that of the
    /// answer to a request in CBOR. The formats that a client accepts are separated at spaces.
    CborAnswers(u16),
    /// As later servers: both formats in both directions.
    Both,
}

/// Number of channels of a module of the board, by default.
pub(crate) const CHANNELS: usize = 8;

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) channels: usize,
    pub(crate) stage: u32,
    /// Full scale in dBm. `None` if the board does not report it.
    pub(crate) dac_scale: Option<f64>,
    pub(crate) next: VecDeque<Next>,
    /// Refuse new connections.
    pub(crate) unreachable: bool,
    /// Way in which each connection ends after its first answer. `None` if connections stay open.
    pub(crate) closing: Option<Closing>,
    /// Time to connect.
    pub(crate) connecting: Duration,
    pub(crate) connections: usize,
    /// Every call that was executed, in order: method, module, channel, first argument.
    pub(crate) calls: Vec<(String, u64, u64, f64)>,
    pub(crate) requests: usize,
    /// Calls to refuse: method, module (`None` for any module), and number of refusals.
    pub(crate) refusals: Vec<(&'static str, Option<u64>, usize)>,
    /// A method, and the number of its calls before the one that is refused.
    pub(crate) refused_after: Option<(&'static str, usize)>,
    /// Replacements for the results of calls and the values of properties. The key is the name of
    /// a method or property, or the first argument of a call.
    pub(crate) answers: BTreeMap<&'static str, Value>,
    /// As `answers`, but each replacement is used only once.
    pub(crate) first_answers: BTreeMap<&'static str, Value>,
    /// Warnings that are sent with the results of methods.
    pub(crate) warnings: BTreeMap<&'static str, &'static str>,
    /// Requests that contain this text are never answered.
    pub(crate) hangs_on: Option<&'static str>,
    /// Refuse channels that the board does not have.
    pub(crate) refuses_channels: bool,
    /// Stop at the first call of a request that fails, even if the request asks to continue.
    pub(crate) stops_at_errors: bool,
    pub(crate) formats: Formats,
    /// Format of each request, in order.
    pub(crate) asked_in: Vec<Format>,
    /// Number of requests to refuse as a whole, after they were executed.
    pub(crate) refused_as_a_whole: usize,
    settings: BTreeMap<(&'static str, u64, u64), f64>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            channels: CHANNELS,
            stage: 6,
            dac_scale: None,
            next: VecDeque::new(),
            unreachable: false,
            closing: None,
            connecting: Duration::from_millis(1),
            connections: 0,
            calls: Vec::new(),
            requests: 0,
            refusals: Vec::new(),
            refused_after: None,
            answers: BTreeMap::new(),
            first_answers: BTreeMap::new(),
            warnings: BTreeMap::new(),
            hangs_on: None,
            refuses_channels: false,
            stops_at_errors: false,
            formats: Formats::Json,
            asked_in: Vec::new(),
            refused_as_a_whole: 0,
            settings: BTreeMap::new(),
        }
    }
}

/// A scripted board. Clients connect through [`Scripted::connector`].
#[derive(Debug, Clone, Default)]
pub(crate) struct Scripted(pub(crate) Arc<Mutex<State>>);

impl Scripted {
    pub(crate) fn connector(&self) -> Connector {
        self.connector_as("scripted:80")
    }

    /// Returns a connector to the board under another name.
    pub(crate) fn connector_as(&self, name: &str) -> Connector {
        let board = self.clone();
        Connector::new(name, move || {
            let board = board.clone();
            async move {
                // Even in memory, a connection takes some time.
                let connecting = board.0.lock().unwrap().connecting;
                sleep(connecting).await;
                let mut state = board.0.lock().unwrap();
                if state.unreachable {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                state.connections += 1;
                let (ours, theirs) = duplex(1 << 16);
                Handle::current().spawn(board.clone().serve(theirs));
                Ok(ours)
            }
        })
    }

    pub(crate) fn script(&self, next: impl IntoIterator<Item = Next>) {
        self.0.lock().unwrap().next = next.into_iter().collect();
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.lock().unwrap().requests
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.lock().unwrap().connections
    }

    /// Changes a setting, as another program or the board itself might.
    pub(crate) fn change(&self, what: &'static str, module: u64, channel: u64, to: Option<f64>) {
        let settings = &mut self.0.lock().unwrap().settings;
        match to {
            Some(value) => settings.insert((what, module, channel), value),
            None => settings.remove(&(what, module, channel)),
        };
    }

    /// Makes the board lose its settings, as in a restart.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap().settings.clear();
    }

    /// Returns the value of a setting.
    pub(crate) fn setting(&self, what: &'static str, module: u64, channel: u64) -> Option<f64> {
        let state = self.0.lock().unwrap();
        state.settings.get(&(what, module, channel)).copied()
    }

    /// Returns the channels of the executed calls of `method`, in order, beginning with the call at
    /// index `from`.
    pub(crate) fn channels_of(&self, method: &str, from: usize) -> Vec<u64> {
        let state = self.0.lock().unwrap();
        let calls = state.calls[from..].iter();
        calls
            .filter(|call| call.0 == method)
            .map(|call| call.2)
            .collect()
    }

    /// Returns the number of executed calls.
    pub(crate) fn calls(&self) -> usize {
        self.0.lock().unwrap().calls.len()
    }

    /// Returns the first argument of each executed call of `method`, in order.
    pub(crate) fn executed(&self, method: &str) -> Vec<f64> {
        let state = self.0.lock().unwrap();
        state
            .calls
            .iter()
            .filter(|call| call.0 == method)
            .map(|call| call.3)
            .collect()
    }

    async fn serve(self, mut stream: DuplexStream) {
        let mut inbox = Vec::new();
        while let Some((headers, body)) = read_request(&mut stream, &mut inbox).await {
            let next = {
                let mut state = self.0.lock().unwrap();
                state.requests += 1;
                state.next.pop_front()
            };
            let hangs_on = self.0.lock().unwrap().hangs_on;
            if hangs_on.is_some_and(|text| String::from_utf8_lossy(&body).contains(text)) {
                sleep(Duration::from_secs(3600)).await;
                return;
            }
            let execute = || self.0.lock().unwrap().execute(&headers, &body);
            let answer = match next {
                None => execute(),
                Some(Next::Slow(time)) => {
                    sleep(time).await;
                    execute()
                }
                Some(Next::CloseInAnswer) => {
                    let answer = execute();
                    drop(stream.write_all(&answer[..answer.len() / 2]).await);
                    return;
                }
                Some(Next::LandLate(time)) => {
                    drop(stream);
                    sleep(time).await;
                    execute();
                    return;
                }
                Some(Next::Hang) => {
                    sleep(Duration::from_secs(3600)).await;
                    return;
                }
                Some(Next::Close) => return,
                Some(Next::AnswerAndClose) => {
                    drop(stream.write_all(&execute()).await);
                    return;
                }
                Some(Next::Reboot) => {
                    self.0.lock().unwrap().settings.clear();
                    return;
                }
                Some(Next::Garble(text)) => {
                    execute();
                    http(200, "application/json", text.as_bytes())
                }
                Some(Next::Raw(answer)) => answer,
                Some(Next::Say(status, kind, text)) => http(status, kind, text.as_bytes()),
            };
            let closing = self.0.lock().unwrap().closing;
            let answer = closing.map_or_else(|| answer.clone(), |how| closed(how, &answer));
            if stream.write_all(&answer).await.is_err() {
                return;
            }
            if let Some(closing) = closing {
                if let Closing::Late(time) = closing {
                    sleep(time).await;
                }
                return;
            }
        }
    }
}

impl State {
    /// Executes a request. Returns the whole answer, with its head.
    fn execute(&mut self, headers: &Headers, body: &[u8]) -> Vec<u8> {
        let asked_in = match headers.content_type.as_str() {
            "application/cbor" => Format::Cbor,
            _ => Format::Json,
        };
        self.asked_in.push(asked_in);
        let (accept, options) = (headers.accept.as_str(), headers.options.as_str());
        // A format with a comma behind it is read without the comma.
        let mut accepted = accept.split(' ').map(|one| one.trim_end_matches(','));
        let json = "application/json";
        let head = Head {
            content_type: Some(&headers.content_type),
            accept: Some(accept),
            options: Some(options).filter(|_| !self.stops_at_errors),
        };
        let head = match self.formats {
            Formats::Json => Head {
                content_type: Some(json),
                accept: Some(json),
                ..head
            },
            Formats::CborAnswers(_) => Head {
                accept: accepted.find(|one| Format::of_request(one).is_some()),
                ..head
            },
            Formats::Both => head,
        };
        let refusal: &[u8] = b"\xa1\x65error\xa1\x67message\x6dTypeError: no";
        let refuse = |status| http(status, "application/cbor", refusal);
        if let Formats::CborAnswers(status) = self.formats
            && (asked_in == Format::Cbor || head.accept.is_none())
        {
            return refuse(status);
        }
        let mut out = BytesMut::new();
        let format = Server::new(Limits::REQUEST).serve(&head, body, self, &mut out);
        if self.refused_as_a_whole > 0 {
            self.refused_as_a_whole -= 1;
            return refuse(200);
        }
        http(200, format.content_type(), &out)
    }
}

fn named(call: &Invocation<'_>, name: &str) -> Option<f64> {
    let mut entries = call.kwargs?;
    let mut entries = entries.entries().ok()?;
    while let Some((key, value)) = entries.next().ok()? {
        if key == name {
            return value.f64().ok();
        }
    }
    None
}

fn targets_dac(call: &Invocation<'_>) -> bool {
    let value = || -> Option<bool> {
        let mut entries = call.kwargs?;
        let mut entries = entries.entries().ok()?;
        while let Some((key, value)) = entries.next().ok()? {
            if key == "target" {
                return Some(value.str().ok()? == "DAC");
            }
        }
        None
    };
    value().unwrap_or(false)
}

fn first(call: &Invocation<'_>) -> f64 {
    let value = call.args.and_then(|mut args| {
        let mut items = args.items().ok()?;
        items.next().ok()??.f64().ok()
    });
    value.unwrap_or(0.0)
}

fn first_text(call: &Invocation<'_>) -> String {
    let text = call.args.and_then(|mut args| {
        let mut items = args.items().ok()?;
        Some(items.next().ok()??.str().ok()?.into_owned())
    });
    text.unwrap_or_default()
}

impl Dispatch for State {
    fn objects(&self) -> Vec<String> {
        vec!["Dfmux".to_owned()]
    }

    fn describe(&mut self, _: &str, _: bool, slot: Slot<'_>) -> Result<(), Fault> {
        let names = self.answers.keys();
        let (methods, properties): (Vec<_>, Vec<_>) =
            names.partition(|name| name.starts_with("get_"));
        let mut map = slot.map();
        // Methods are described in the form of current servers, properties in that of older ones.
        let mut described = map.key("methods").map();
        for name in methods {
            described.key(name).map();
        }
        drop(described);
        let mut described = map.key("properties").seq();
        for name in properties {
            described.item().str(name);
        }
        Ok(())
    }

    fn property(&mut self, object: &str, property: &str, slot: Slot<'_>) -> Result<(), Fault> {
        self.refuse(property, 0)?;
        match self.said(property) {
            Some(value) => {
                slot.write(&value);
                Ok(())
            }
            None => Err(Fault::no_attribute(object, property)),
        }
    }

    fn call(&mut self, call: &Invocation<'_>, mut reply: Reply<'_>) -> Result<(), Fault> {
        if let Some(warning) = self.warnings.get(call.method) {
            reply.warn(*warning);
        }
        let module = named(call, "module").unwrap_or(0.0) as u64;
        let channel = named(call, "channel").unwrap_or(0.0) as u64;
        self.refuse(call.method, module)?;
        self.calls
            .push((call.method.to_owned(), module, channel, first(call)));
        let text = first_text(call);
        let said = self.said(&text).filter(|_| !text.is_empty());
        if let Some(value) = said.or_else(|| self.said(call.method)) {
            reply.send(&value);
            return Ok(());
        }
        let past_the_last = channel > self.channels as u64;
        if past_the_last && self.refuses_channels {
            return Err(Fault::value("there is no such channel"));
        }
        let (kind, setting) = match call.method.split_once('_') {
            Some((kind @ ("get" | "set"), setting)) => (kind, setting),
            _ => (call.method, ""),
        };
        let key = match setting {
            "frequency" => ("frequency", module, channel),
            "amplitude" => ("amplitude", module, channel),
            "phase" if targets_dac(call) => ("phase", module, channel),
            "phase" => ("rotation", module, channel),
            "decimation" => {
                reply.send(&self.stage);
                return Ok(());
            }
            "dac_scale" if kind == "set" => {
                self.dac_scale = Some(first(call));
                return Ok(());
            }
            "dac_scale" => {
                reply.send(&self.dac_scale);
                return Ok(());
            }
            "timestamp" => {
                let mut map = reply.slot().map();
                for key in ["y", "d", "h", "m", "s", "ss"] {
                    map.key(key).f64(1.0);
                }
                return Ok(());
            }
            "nco_frequency" => ("nco", module, 0),
            "cable_length" => ("cable", module, 0),
            "samples" => {
                let samples = first(call) as usize;
                let rows = if channel == 0 { self.channels } else { 1 };
                let mut map = reply.slot().map();
                for key in ["i", "q"] {
                    let values: Vec<f64> = (0..rows * samples)
                        .map(|at| (at / samples.max(1)) as f64)
                        .collect();
                    map.key(key).f64_array(&values, &[rows, samples]);
                }
                return Ok(());
            }
            _ if kind == "clear_channels" => {
                self.settings
                    .retain(|(what, of, _), _| *what == "nco" || *of != module);
                return Ok(());
            }
            other => return Err(Fault::no_attribute("Dfmux", other)),
        };
        if kind == "set" {
            self.settings.insert(key, first(call));
        } else {
            reply.send(&self.settings.get(&key).copied());
        }
        Ok(())
    }
}
