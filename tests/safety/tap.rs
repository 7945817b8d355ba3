//! A link in memory between a client and a simulated board, with a fault at one request.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, advance, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use twotone::sim::SimBoard;
use twotone::sim::fault::{Reboot, Scheduled};
use twotone::transport::Connector;

use crate::fault::Fault;

/// Stands for what is no number, until an answer is text.
const NO_NUMBER: &str = "no number";

const PIPE: usize = 1 << 20;

/// The link to one board, through which all its requests go.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Inner>);

struct Inner {
    board: SimBoard,
    state: Mutex<State>,
    /// The run is ended by these from outside.
    pub(crate) cancel: CancellationToken,
    pub(crate) abandon: CancellationToken,
    pub(crate) drop: CancellationToken,
}

#[derive(Default)]
struct State {
    /// Requests are counted from here on.
    armed: bool,
    requests: usize,
    fault: Option<(usize, Fault)>,
    silent_until: Option<Instant>,
    gone_until: Option<Instant>,
    /// Fault of all that reads.
    blind: Option<Fault>,
}

impl Tap {
    pub(crate) fn new(board: SimBoard) -> Self {
        Self(Arc::new(Inner {
            board,
            state: Mutex::default(),
            cancel: CancellationToken::new(),
            abandon: CancellationToken::new(),
            drop: CancellationToken::new(),
        }))
    }

    pub(crate) fn cancel(&self) -> &CancellationToken {
        &self.0.cancel
    }

    pub(crate) fn abandon(&self) -> &CancellationToken {
        &self.0.abandon
    }

    pub(crate) fn dropped(&self) -> &CancellationToken {
        &self.0.drop
    }

    /// Counts requests from now on, and has the fault at one of them.
    pub(crate) fn arm(&self, fault: Option<(usize, Fault)>) {
        let mut state = self.state();
        *state = State {
            armed: true,
            fault,
            ..State::default()
        };
    }

    /// Number of requests since it was armed.
    pub(crate) fn requests(&self) -> usize {
        self.state().requests
    }

    /// The fault is over.
    pub(crate) fn mend(&self) {
        *self.state() = State::default();
    }

    pub(crate) fn connector(&self) -> Connector {
        let tap = self.clone();
        Connector::new("board:80", move || {
            let tap = tap.clone();
            async move {
                // A connection is not free, even in memory.
                sleep(Duration::from_millis(1)).await;
                let gone = tap.state().gone_until;
                if gone.is_some_and(|until| Instant::now() < until) {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let (ours, theirs) = duplex(PIPE);
                drop(tworoutine::spawn(async move {
                    // How a connection ends is the client's to find out.
                    let _ = tap.carry(theirs).await;
                }));
                Ok(ours)
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic")
    }

    /// The fault of the next request, if it has one.
    fn next(&self) -> Option<Fault> {
        let mut state = self.state();
        if !state.armed {
            return None;
        }
        let at = state.requests;
        state.requests += 1;
        let (_, fault) = state.fault.take_if(|(when, _)| *when == at)?;
        let now = Instant::now();
        match fault {
            Fault::Silent(time) => state.silent_until = Some(now + time),
            Fault::Gone(time) => state.gone_until = Some(now + time),
            Fault::ReadsRefused | Fault::ReadsHang => state.blind = Some(fault),
            _ => {}
        }
        Some(fault)
    }

    /// Carries the requests of one connection, until it ends.
    async fn carry(&self, mut client: DuplexStream) -> io::Result<()> {
        let mut board = self.0.board.open_stream(PIPE);
        loop {
            let request = Message::read(&mut client).await?;
            let fault = self.next();
            let silent = self.state().silent_until;
            if let Some(until) = silent.filter(|until| Instant::now() < *until) {
                sleep_until(until).await;
                return Ok(());
            }
            let blind = self.state().blind;
            if let Some(blind) = blind {
                let calls = request.calls();
                let reads = |call: &Value| {
                    let method = call["method"].as_str().unwrap_or_default();
                    method.starts_with("get_")
                };
                if let Some(first) = calls.iter().position(reads) {
                    let answer = match first {
                        0 => Message::refusal(),
                        first => self.up_to(&request, first).await?,
                    };
                    if blind == Fault::ReadsHang {
                        std::future::pending::<()>().await;
                    }
                    client.write_all(&answer.whole()).await?;
                    continue;
                }
            }
            match fault {
                None | Some(Fault::ReadsRefused | Fault::ReadsHang) => {}
                Some(Fault::Slow(time)) => {
                    // The board is at it, whoever waits.
                    let tap = self.clone();
                    let done = tworoutine::spawn(async move {
                        sleep(time).await;
                        tap.execute(&request).await
                    });
                    let answer = done.await.map_err(io::Error::other)??;
                    client.write_all(&answer.whole()).await?;
                    continue;
                }
                Some(Fault::Lost | Fault::Gone(_)) => return Ok(()),
                Some(Fault::AnswerLost) => {
                    self.execute(&request).await?;
                    return Ok(());
                }
                Some(Fault::AnswerCut) => {
                    let answer = self.execute(&request).await?.whole();
                    client.write_all(&answer[..answer.len() / 2]).await?;
                    return Ok(());
                }
                Some(Fault::Pieces) => {
                    let answer = self.execute(&request).await?.whole();
                    for piece in answer.chunks(answer.len() / 50 + 1) {
                        client.write_all(piece).await?;
                        sleep(Duration::from_millis(1)).await;
                    }
                    continue;
                }
                Some(Fault::Late(time)) => {
                    self.later(time, request);
                    return Ok(());
                }
                Some(Fault::LateTwice(once, again)) => {
                    self.later(once, request.clone());
                    self.later(again, request);
                    return Ok(());
                }
                Some(Fault::Reboot) => {
                    let calls = self.0.board.counters().calls;
                    let reboot = twotone::sim::fault::Fault::from(Reboot { down_ms: 0 });
                    let once: Scheduled = reboot.during(calls, 1);
                    self.0.board.inject(once);
                }
                Some(Fault::Refused) => {
                    client.write_all(&Message::refusal().whole()).await?;
                    continue;
                }
                Some(Fault::HalfRefused) => {
                    let half = request.calls().len() / 2;
                    let answer = match half {
                        0 => Message::refusal(),
                        half => self.up_to(&request, half).await?,
                    };
                    client.write_all(&answer.whole()).await?;
                    continue;
                }
                Some(Fault::WrongType | Fault::NoNumbers) => {
                    let replaced = match fault {
                        Some(Fault::WrongType) => Value::from("seven"),
                        _ => Value::from(NO_NUMBER),
                    };
                    let mut answer = self.execute(&request).await?;
                    let mut body = answer.json();
                    replace_numbers(&mut body, &replaced);
                    answer.set_json(&body);
                    // As servers write it that are not strict.
                    let text = String::from_utf8(answer.body).map_err(io::Error::other)?;
                    answer.body = text.replace(&format!("\"{NO_NUMBER}\""), "NaN").into();
                    client.write_all(&answer.whole()).await?;
                    continue;
                }
                Some(Fault::Garbled) => {
                    let mut answer = self.execute(&request).await?;
                    answer.body = b"[{\"result\": 1, ".to_vec();
                    client.write_all(&answer.whole()).await?;
                    continue;
                }
                Some(Fault::Gateway) => {
                    let text = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
                    client.write_all(text).await?;
                    continue;
                }
                Some(Fault::TooLarge) => {
                    let answer = self.execute(&request).await?;
                    let mut large = answer;
                    large.body = vec![b' '; crate::rig::ANSWER_LIMIT + 1];
                    client.write_all(&large.whole()).await?;
                    continue;
                }
                Some(Fault::SuspendedBefore(time)) => advance(time).await,
                Some(Fault::SuspendedAfter(time)) => {
                    let answer = self.execute(&request).await?;
                    client.write_all(&answer.whole()).await?;
                    advance(time).await;
                    continue;
                }
                Some(Fault::Cancelled) => self.0.cancel.cancel(),
                Some(Fault::Abandoned) => {
                    self.0.cancel.cancel();
                    self.0.abandon.cancel();
                }
                Some(Fault::Dropped) => self.0.drop.cancel(),
                Some(Fault::Silent(_)) => unreachable!("it is silent already"),
            }
            board.write_all(&request.whole()).await?;
            let answer = Message::read(&mut board).await?;
            client.write_all(&answer.whole()).await?;
        }
    }

    /// Executes a request on a connection of its own.
    async fn execute(&self, request: &Message) -> io::Result<Message> {
        let mut board = self.0.board.open_stream(PIPE);
        board.write_all(&request.whole()).await?;
        Message::read(&mut board).await
    }

    fn later(&self, time: Duration, request: Message) {
        let tap = self.clone();
        drop(tworoutine::spawn(async move {
            sleep(time).await;
            // Nobody reads its answer.
            let _ = tap.execute(&request).await;
        }));
    }

    /// Executes the first calls of a request, and refuses the next one.
    async fn up_to(&self, request: &Message, count: usize) -> io::Result<Message> {
        let mut part = request.clone();
        let calls = request.calls();
        part.set_json(&Value::Array(calls[..count].to_vec()));
        let mut answer = self.execute(&part).await?;
        let mut elements = answer.json();
        let refusals = Message::refusal().json();
        if let (Some(elements), Some(refusals)) = (elements.as_array_mut(), refusals.as_array()) {
            elements.extend(refusals.iter().cloned());
        }
        answer.set_json(&elements);
        Ok(answer)
    }
}

/// Puts another value in the place of each number.
fn replace_numbers(value: &mut Value, by: &Value) {
    match value {
        Value::Number(_) => *value = by.clone(),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_numbers(item, by)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|item| replace_numbers(item, by)),
        _ => {}
    }
}

/// A request or an answer.
#[derive(Debug, Clone)]
struct Message {
    /// First line and headers but for the length, with their line ends.
    head: String,
    body: Vec<u8>,
}

impl Message {
    /// An answer in which the first call is refused.
    fn refusal() -> Self {
        Self {
            head: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n".to_owned(),
            body: br#"[{"error": {"message": "the board is busy"}}]"#.to_vec(),
        }
    }

    async fn read(stream: &mut DuplexStream) -> io::Result<Self> {
        let mut text = Vec::new();
        let end = loop {
            if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut text).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let mut body = text.split_off(end);
        let text = String::from_utf8(text).map_err(io::Error::other)?;
        let (mut head, mut length) = (String::new(), 0);
        for line in text.trim_end().split("\r\n") {
            match line.split_once(':') {
                Some((key, value)) if key.eq_ignore_ascii_case("content-length") => {
                    length = value.trim().parse().map_err(io::Error::other)?;
                }
                _ => head.extend([line, "\r\n"]),
            }
        }
        while body.len() < length {
            if stream.read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        assert_eq!(body.len(), length, "one message at a time");
        Ok(Self { head, body })
    }

    fn whole(&self) -> Vec<u8> {
        let length = format!("Content-Length: {}\r\n\r\n", self.body.len());
        [self.head.as_bytes(), length.as_bytes(), &self.body].concat()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON both ways")
    }

    fn set_json(&mut self, value: &Value) {
        self.body = serde_json::to_vec(value).expect("JSON");
    }

    /// The calls of a request.
    fn calls(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(calls) => calls,
            call => vec![call],
        }
    }
}
