//! A link in memory between a client and a simulated board. At one request, the link or the board
//! has a fault.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::time::{Instant, advance, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use twotone::sim::fault::{Reboot, Scheduled};
use twotone::sim::{Conditions, SimBoard};
use twotone::transport::Connector;

use crate::fault::{Change, Fault};
use crate::message::{Message, Pace, replace_numbers};

/// Text that stands for NaN, which a JSON value cannot hold, until the answer is written.
const NO_NUMBER: &str = "no number";

const PIPE: usize = 1 << 20;

/// Number of bytes that a connection buffers: so few that a slow reader delays the writer.
const SOCKET: usize = 1 << 12;

/// The link to one board. All requests of a run to this board go through it.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Inner>);

struct Inner {
    board: SimBoard,
    state: Mutex<State>,
    /// Tokens with which the link cancels, abandons or drops the run.
    pub(crate) cancel: CancellationToken,
    pub(crate) abandon: CancellationToken,
    pub(crate) drop: CancellationToken,
}

#[derive(Default)]
struct State {
    /// True if requests are counted.
    armed: bool,
    requests: usize,
    fault: Option<(usize, Fault)>,
    fired: Option<Instant>,
    /// Channels that requests in JSON have set.
    touched: BTreeSet<u16>,
    silent_until: Option<Instant>,
    gone_until: Option<Instant>,
    /// Fault that every later request has, or every later request that reads.
    from_then_on: Option<Fault>,
    pace: Option<Pace>,
    /// Time that the board takes for each request.
    delay: Duration,
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

    /// Counts requests from now on. If `fault` is given, the request with its number has its fault.
    pub(crate) fn arm(&self, fault: Option<(usize, Fault)>) {
        if let Some((_, Fault::World(Change { before, .. }))) = fault {
            self.0.board.set_conditions(1, before());
        }
        *self.state() = State {
            armed: true,
            fault,
            ..State::default()
        };
    }

    /// Ends the run after `time`, in the way that the fault `how` names. If `lost` is set, the
    /// request with that number is lost.
    pub(crate) fn end_after(&self, time: Duration, how: Fault, lost: Option<usize>) {
        self.arm(lost.map(|lost| (lost, Fault::Lost)));
        let tap = self.clone();
        drop(tworoutine::spawn(async move {
            sleep(time).await;
            tap.state().fired = Some(Instant::now());
            tap.end(how);
        }));
    }

    fn end(&self, how: Fault) {
        match how {
            Fault::Cancelled | Fault::CancelledAnswered => self.0.cancel.cancel(),
            Fault::Abandoned => {
                self.0.cancel.cancel();
                self.0.abandon.cancel();
            }
            Fault::Dropped | Fault::DroppedAnswered => self.0.drop.cancel(),
            _ => {}
        }
    }

    /// Returns the number of requests since [`Self::arm`].
    pub(crate) fn requests(&self) -> usize {
        self.state().requests
    }

    /// Returns the moment at which the fault began, if it has begun.
    pub(crate) fn fired(&self) -> Option<Instant> {
        self.state().fired
    }

    /// Returns the channels that requests in JSON have set since [`Self::arm`].
    pub(crate) fn touched(&self) -> BTreeSet<u16> {
        self.state().touched.clone()
    }

    /// Ends the fault.
    pub(crate) fn mend(&self) {
        *self.state() = State::default();
        self.0.board.set_conditions(1, Conditions::default());
    }

    pub(crate) fn connector(&self) -> Connector {
        let tap = self.clone();
        Connector::new("board:80", move || {
            let tap = tap.clone();
            async move {
                // A connection takes time, as on a network.
                sleep(Duration::from_millis(1)).await;
                let gone = tap.state().gone_until;
                if gone.is_some_and(|until| Instant::now() < until) {
                    return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
                }
                let (ours, theirs) = duplex(SOCKET);
                drop(tworoutine::spawn(async move {
                    // The error tells nothing more: the client sees that the connection has ended.
                    let _ = tap.carry(theirs).await;
                }));
                Ok(ours)
            }
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().expect("no panic")
    }

    /// Counts the next request and returns its fault, if it has one.
    fn next(&self) -> Option<Fault> {
        let mut state = self.state();
        if !state.armed {
            return None;
        }
        let at = state.requests;
        state.requests += 1;
        let (_, fault) = state.fault.take_if(|(when, _)| *when == at)?;
        let now = Instant::now();
        state.fired = Some(now);
        match fault {
            Fault::Silent(time) => state.silent_until = Some(now + time),
            Fault::Gone(time) => state.gone_until = Some(now + time),
            Fault::ReadsRefused | Fault::ReadsHang | Fault::AllRefused => {
                state.from_then_on = Some(fault);
            }
            Fault::Narrow(pace) => state.pace = Some(pace),
            Fault::SlowFromThenOn(time) => state.delay = time,
            Fault::World(change) => self.0.board.set_conditions(1, (change.after)()),
            _ => {}
        }
        Some(fault)
    }

    /// Carries the requests of one connection, until it ends.
    async fn carry(&self, mut client: DuplexStream) -> io::Result<()> {
        let mut board = self.0.board.open_stream(PIPE);
        loop {
            let request = Message::begin(&mut client).await?;
            let fault = self.next();
            let (pace, delay, silent) = {
                let state = self.state();
                (state.pace, state.delay, state.silent_until)
            };
            let reading = match fault {
                Some(Fault::SlowReader(pace)) => Some(pace),
                _ => pace,
            };
            let request = request.finish(&mut client, reading).await?;
            self.state().touched.extend(request.channels_set());
            if let Some(until) = silent.filter(|until| Instant::now() < *until) {
                sleep_until(until).await;
                return Ok(());
            }
            sleep(delay).await;
            let answer = match self.instead(&request).await? {
                Some(answer) => answer,
                None => match self.answer(fault, &request, &mut board).await? {
                    Some(answer) => answer,
                    None => return Ok(()),
                },
            };
            match fault {
                Some(Fault::AnswerCut) => {
                    let answer = answer.whole();
                    client.write_all(&answer[..answer.len() / 2]).await?;
                    return Ok(());
                }
                Some(Fault::Pieces) => {
                    let bytes = answer.whole().len() / 50 + 1;
                    let every = Duration::from_millis(1);
                    answer
                        .write(&mut client, Some(Pace { bytes, every }))
                        .await?;
                }
                _ => answer.write(&mut client, pace).await?,
            }
            match fault {
                Some(Fault::SuspendedAfter(time)) => advance(time).await,
                Some(how @ (Fault::CancelledAnswered | Fault::DroppedAnswered)) => self.end(how),
                _ => {}
            }
        }
    }

    /// Returns an answer in the place of the board's, if all later requests or reads are refused.
    /// Never returns if reads hang. `None` if the board itself must answer.
    async fn instead(&self, request: &Message) -> io::Result<Option<Message>> {
        let from_then_on = self.state().from_then_on;
        let first = match from_then_on {
            None => return Ok(None),
            Some(Fault::AllRefused) => Some(0),
            Some(_) => {
                let reads = |call: &Value| {
                    let method = call["method"].as_str().unwrap_or_default();
                    method.starts_with("get_")
                };
                request.calls().iter().position(reads)
            }
        };
        let answer = match first {
            None => return Ok(None),
            Some(0) => Message::refusal(),
            Some(first) => self.up_to(request, first).await?,
        };
        if from_then_on == Some(Fault::ReadsHang) {
            std::future::pending::<()>().await;
        }
        Ok(Some(answer))
    }

    /// Returns the answer to a request that has `fault`, or `None` if the connection is lost.
    async fn answer(
        &self,
        fault: Option<Fault>,
        request: &Message,
        board: &mut DuplexStream,
    ) -> io::Result<Option<Message>> {
        let answer = match fault {
            Some(Fault::Slow(time)) => {
                // The board executes the request even if the client no longer waits.
                let (tap, request) = (self.clone(), request.clone());
                let done = tworoutine::spawn(async move {
                    sleep(time).await;
                    tap.execute(&request).await
                });
                done.await.map_err(io::Error::other)??
            }
            Some(Fault::Lost | Fault::Gone(_)) => return Ok(None),
            Some(Fault::AnswerLost) => {
                self.execute(request).await?;
                return Ok(None);
            }
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::AnswerHangs) => {
                self.execute(request).await?;
                std::future::pending().await
            }
            Some(Fault::Late(time)) => {
                self.later(time, request.clone());
                return Ok(None);
            }
            Some(Fault::LateTwice(once, again)) => {
                self.later(once, request.clone());
                self.later(again, request.clone());
                return Ok(None);
            }
            Some(Fault::Refused) => Message::refusal(),
            Some(Fault::HalfRefused) => match request.calls().len() / 2 {
                0 => Message::refusal(),
                half => self.up_to(request, half).await?,
            },
            Some(Fault::WrongType | Fault::NoNumbers) => {
                let replaced = match fault {
                    Some(Fault::WrongType) => Value::from("seven"),
                    _ => Value::from(NO_NUMBER),
                };
                let mut answer = self.execute(request).await?;
                let mut body = answer.json();
                replace_numbers(&mut body, &replaced);
                answer.set_json(&body);
                // Some servers write NaN without quotation marks, which is not valid JSON.
                let text = String::from_utf8(answer.body).map_err(io::Error::other)?;
                answer.body = text.replace(&format!("\"{NO_NUMBER}\""), "NaN").into();
                answer
            }
            Some(Fault::Garbled) => {
                let mut answer = self.execute(request).await?;
                answer.body = b"[{\"result\": 1, ".to_vec();
                answer
            }
            Some(Fault::Gateway) => Message {
                head: "HTTP/1.1 502 Bad Gateway\r\n".to_owned(),
                body: Vec::new(),
            },
            Some(Fault::TooLarge) => {
                let mut answer = self.execute(request).await?;
                answer.body = vec![b' '; crate::rig::ANSWER_LIMIT + 1];
                answer
            }
            other => {
                match other {
                    Some(Fault::SuspendedBefore(time)) => advance(time).await,
                    Some(how @ (Fault::Cancelled | Fault::Abandoned | Fault::Dropped)) => {
                        self.end(how);
                    }
                    Some(Fault::Reboot) => {
                        let calls = self.0.board.counters().calls;
                        let reboot = twotone::sim::fault::Fault::from(Reboot { down_ms: 0 });
                        let once: Scheduled = reboot.during(calls, 1);
                        self.0.board.inject(once);
                    }
                    _ => {}
                }
                request.write(board, None).await?;
                Message::read(board).await?
            }
        };
        Ok(Some(answer))
    }

    /// Executes a request on a connection of its own.
    async fn execute(&self, request: &Message) -> io::Result<Message> {
        let mut board = self.0.board.open_stream(PIPE);
        request.write(&mut board, None).await?;
        Message::read(&mut board).await
    }

    fn later(&self, time: Duration, request: Message) {
        let tap = self.clone();
        drop(tworoutine::spawn(async move {
            sleep(time).await;
            // Nobody reads this answer, because the connection of the request is lost.
            let _ = tap.execute(&request).await;
        }));
    }

    /// Executes the first `count` calls of a request, and refuses the next one.
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
