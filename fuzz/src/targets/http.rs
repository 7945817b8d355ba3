//! Fuzzing of whole HTTP connections: a board that receives any bytes as requests, and clients that
//! receive any bytes as answers.
//!
//! Time is virtual, so that a wait of hours ends at once. An *outline* is a short text about the
//! result.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split};
use tokio::runtime::Handle;
use tokio::time::timeout;
use twotone_hal::{Acquire, Batch, ChannelId, Hertz, ModuleId, Result, ToneUpdate};
use twotone_sim::Farm;
use twotone_transport::{ConnectOptions, Connector, CrsBoard, TuberClient};

/// Virtual time after which a test counts as hanging. It is longer than any time limit of the code
/// under test.
const HANGS: Duration = Duration::from_secs(24 * 3600);

/// Size of the in-memory connections in bytes.
const PIPE: usize = 64 << 10;

/// Separator of the bodies in an input. The bodies answer successive requests.
const NEXT: &[u8] = b"\n--\n";

const GOOD: &[u8] =
    b"POST /tuber HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let ended = timeout(HANGS, future).await;
        ended.unwrap_or_else(|_| panic!("the connection hangs"))
    })
}

/// Sends the bytes to a simulated board over one connection, and then a valid request over another
/// connection.
pub(super) fn request(bytes: &[u8]) -> String {
    in_virtual_time(async {
        let farm = Farm::builder().boards(1).detectors(1).start().await;
        let farm = farm.expect("a farm of one board");
        let board = &farm.boards()[0];
        let answered = exchange(board.open_stream(PIPE), bytes).await;
        assert!(
            answered.is_empty() || answered.starts_with(b"HTTP/1."),
            "no answer of HTTP: {:?}",
            String::from_utf8_lossy(&answered)
        );
        let after = exchange(board.open_stream(PIPE), GOOD).await;
        assert!(
            after.starts_with(b"HTTP/1.1 200 OK\r\n") && after.ends_with(b"}"),
            "the board does not answer any more: {:?}",
            String::from_utf8_lossy(&after)
        );
        farm.shut_down().await;
        String::from_utf8_lossy(&answered[..answered.len().min(400)]).into_owned()
    })
}

/// Sends bytes, closes the sending side, and reads until the board closes the connection.
async fn exchange(stream: DuplexStream, bytes: &[u8]) -> Vec<u8> {
    let (mut from, mut to) = split(stream);
    let send = async move {
        // The write may fail, because the board may have closed the connection.
        let sent = to.write_all(bytes).await;
        drop(sent.and(to.shutdown().await));
    };
    let receive = async move {
        let mut answered = Vec::new();
        drop(from.read_to_end(&mut answered).await);
        answered
    };
    tokio::join!(send, receive).1
}

/// Answers a request of a [`TuberClient`] with the bytes, which are the head of the answer and its
/// body.
pub(super) fn answer(bytes: &[u8]) -> String {
    let read = || {
        let bytes = bytes.to_vec();
        in_virtual_time(async move {
            let connector = Connector::new("any:80", move || {
                let bytes = bytes.clone();
                async move {
                    let (ours, mut theirs) = duplex(PIPE);
                    Handle::current().spawn(async move {
                        let mut request = [0; 1024];
                        if matches!(theirs.read(&mut request).await, Ok(1..)) {
                            drop(theirs.write_all(&bytes).await);
                        }
                    });
                    Ok(ours)
                }
            });
            let client = TuberClient::over(connector, ConnectOptions::new().answer_limit(32 << 10));
            let replies = client
                .batch(true, |batch| {
                    batch.call("Echo", "echo").arg(1.0);
                })
                .await;
            match replies {
                Ok(replies) => {
                    assert_eq!(replies.len(), 1, "one call has one reply");
                    let well = replies[0].result.is_ok();
                    format!(
                        "replied {well} {}",
                        "w".repeat(replies[0].warnings.len().min(3))
                    )
                }
                Err(error) => message(&error),
            }
        })
    };
    let one = read();
    assert_eq!(one, read(), "two results of one answer");
    one
}

/// Answers the requests of a [`CrsBoard`] with valid heads. The bodies are the parts of the bytes
/// between separators ([`NEXT`]), one for each request.
pub(super) fn crs(bytes: &[u8]) -> String {
    let bodies: Arc<[Vec<u8>]> = bodies(bytes).into();
    let asked = Arc::new(AtomicUsize::new(0));
    in_virtual_time(async move {
        let connector = Connector::new("any:80", move || {
            let (bodies, asked) = (Arc::clone(&bodies), Arc::clone(&asked));
            async move {
                let (ours, theirs) = duplex(PIPE);
                Handle::current().spawn(answer_in_turn(theirs, bodies, asked));
                Ok(ours)
            }
        });
        let board = CrsBoard::connect_over("b1", connector, ConnectOptions::new()).await;
        let board = match board {
            Ok(board) => board,
            Err(error) => return message(&error),
        };
        format!(
            "{:?} {}",
            board.description(),
            use_board(&board.handle()).await
        )
    })
}

/// Runs two batches (lists of operations) on a board: one that sets values, and one that reads
/// values. Returns the outline of the results.
async fn use_board(board: &twotone_hal::BoardHandle) -> String {
    let mut outline = String::new();
    let tone = ToneUpdate::tone(ChannelId::FIRST, Hertz(5e6), 0.001);
    let mut sets = Batch::new();
    sets.set_nco(ModuleId::FIRST, Hertz(1.1e9));
    sets.set_tone(ModuleId::FIRST, tone);
    let mut reads = Batch::new();
    reads.read_nco(ModuleId::FIRST);
    reads.acquire_mean(ModuleId::FIRST, Acquire::new(3).first_channels(2));
    for batch in [&sets, &reads] {
        let outcome: Result<_> = board.run(batch).await.map(drop);
        match outcome {
            Ok(()) => outline.push_str(" ran"),
            Err(error) => outline.push_str(&message(&error)),
        }
    }
    outline
}

/// Asserts that the message of an error is of bounded length and safe to print. Returns it.
fn message(error: &twotone_hal::Error) -> String {
    let text = error.to_string();
    assert!(
        !text.is_empty() && text.len() < 20_000,
        "{} bytes of an error",
        text.len()
    );
    assert!(!text.contains(['\u{1b}', '\0']), "{text:?}");
    text
}

/// Splits an input at [`NEXT`]. Returns at least one body.
fn bodies(bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut bodies = vec![Vec::new()];
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(NEXT) {
            bodies.push(Vec::new());
            rest = behind;
        } else {
            bodies.last_mut().expect("one at least").push(*first);
            rest = behind;
        }
    }
    bodies
}

/// Answers each request with the next body. After the last body, that body answers all further
/// requests too.
async fn answer_in_turn(mut stream: DuplexStream, bodies: Arc<[Vec<u8>]>, asked: Arc<AtomicUsize>) {
    let mut inbox = Vec::new();
    while read_request(&mut stream, &mut inbox).await {
        let turn = asked.fetch_add(1, Ordering::Relaxed).min(bodies.len() - 1);
        let body = &bodies[turn];
        let kind = match body.first() {
            Some(b'[' | b'{' | b' ') | None => "json",
            _ => "cbor",
        };
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/{kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        if stream
            .write_all(&[head.as_bytes(), body].concat())
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Reads a request of the client. Returns false if the client has closed the connection.
async fn read_request(stream: &mut DuplexStream, inbox: &mut Vec<u8>) -> bool {
    loop {
        if let Some(end) = inbox.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&inbox[..end]).to_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length = length.and_then(|length| length.trim().parse().ok());
            let total = end + 4 + length.unwrap_or(0);
            if inbox.len() >= total {
                inbox.drain(..total);
                return true;
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return false,
            Ok(length) => inbox.extend_from_slice(&chunk[..length]),
        }
    }
}
