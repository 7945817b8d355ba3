//! Client of a daemon: sends requests and follows jobs. A job is a command that the daemon carries
//! out, and its events report what it does.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tworoutine::runtime;

use super::api::{Event, Refusal};

/// Address of a daemon: `unix:PATH` or `http://ADDRESS:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// A Unix socket on this computer.
    Unix(PathBuf),
    /// A TCP port, with the name or address of its computer.
    Http(String),
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| !path.is_empty()) {
            return Ok(Self::Unix(path.into()));
        }
        let http = text
            .strip_prefix("http://")
            .map(|rest| rest.trim_end_matches('/'));
        match http {
            Some(address) if !address.is_empty() && !address.contains('/') => {
                let has_port = address.rsplit_once(':').is_some_and(|(_, port)| {
                    !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit())
                });
                Ok(Self::Http(match has_port {
                    true => address.to_owned(),
                    false => format!("{address}:80"),
                }))
            }
            _ => Err("unix:PATH of a socket, or http://ADDRESS:PORT".to_owned()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Http(address) => write!(f, "http://{address}"),
        }
    }
}

/// Longest time from the first attempt to connect to the beginning of the answer, unless the caller
/// sets another limit.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Pause before another attempt to connect to a socket whose queue of connections is full.
const PAUSE: Duration = Duration::from_millis(20);

/// Largest number of bytes of an answer that is read as a whole, and of a single event.
const MOST_BYTES: usize = 1 << 30;

/// Reason why a daemon did not do what the request asks for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The daemon cannot be reached.
    Unreachable(String),
    /// The daemon was reached, and closed the connection without an answer. It may or may not have
    /// done what the request asks for.
    Closed(String),
    /// The daemon was reached, and has not answered in time. It may or may not have done what the
    /// request asks for.
    Silent(String),
    /// The daemon has refused the request.
    Refused(String),
    /// The answer of the daemon ended early, or cannot be read.
    Lost(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Closed(why) | Self::Silent(why) | Self::Refused(why) => {
                f.write_str(why)
            }
            Self::Lost(why) => write!(f, "the answer of the daemon ended early: {why}"),
        }
    }
}

impl Host {
    /// Sends a `GET` request and returns the answer.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.get_within(ANSWER_WITHIN, path).await
    }

    /// Sends a `GET` request and returns the answer. The answer must begin within `limit`, and must
    /// then end within another `limit`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn get_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
    ) -> Result<T, Failure> {
        let answer = self.request(Method::GET, path, Vec::new(), limit).await?;
        self.within(limit, whole(answer)).await
    }

    /// Returns the health of the daemon. A daemon that does not work well also reports its health,
    /// with status 503. This answer counts as any other.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn health<T: DeserializeOwned>(&self, limit: Duration) -> Result<T, Failure> {
        let answer = self
            .request(Method::GET, "/healthz", Vec::new(), limit)
            .await?;
        match answer.status() {
            StatusCode::SERVICE_UNAVAILABLE => self.within(limit, read(answer)).await,
            _ => self.within(limit, whole(answer)).await,
        }
    }

    /// Waits for an answer, for at most `limit`.
    async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let waited = timeout(limit, answer).await;
        waited.unwrap_or_else(|_| Err(self.silent_for(limit)))
    }

    /// Sends a value as JSON in a `POST` request, and returns the answer.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(value).map_err(|error| Failure::Refused(error.to_string()))?;
        let limit = ANSWER_WITHIN;
        let answer = self.request(Method::POST, path, body, limit).await?;
        self.within(limit, whole(answer)).await
    }

    /// Follows the events of a job to its end, and passes each to `take`. `seen` is the number of
    /// events, except steps, that the caller has received already. It is increased with each
    /// further event that is not a step.
    ///
    /// # Errors
    /// See [`Failure`].
    pub(crate) async fn follow(
        &self,
        id: u64,
        seen: &mut usize,
        mut take: impl FnMut(Event) + Send,
    ) -> Result<(), Failure> {
        let path = format!("/jobs/{id}/events?from={seen}");
        let answer = self
            .request(Method::GET, &path, Vec::new(), ANSWER_WITHIN)
            .await?;
        if !answer.status().is_success() {
            return whole::<serde_json::Value>(answer).await.map(drop);
        }
        let mut body = answer.into_body();
        let mut begun: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::Lost(error.to_string()))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            for part in data.split_inclusive(|byte| *byte == b'\n') {
                begun.extend_from_slice(part);
                if begun.len() > MOST_BYTES {
                    return Err(Failure::Lost("an event is too long".to_owned()));
                }
                if part.ends_with(b"\n") {
                    // An event of a kind that this version does not know cannot be parsed, and is
                    // skipped.
                    let event = serde_json::from_slice(&begun).ok();
                    *seen += usize::from(!matches!(event, Some(Event::Step(_))));
                    event.into_iter().for_each(&mut take);
                    begun.clear();
                }
            }
        }
        Ok(())
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let unreachable =
            |why: &dyn fmt::Display| Failure::Unreachable(format!("no daemon at {self}: {why}"));
        let is_connected = AtomicBool::new(false);
        let asked = async {
            match self {
                Self::Unix(socket) => {
                    let stream = loop {
                        match UnixStream::connect(socket).await {
                            // The daemon's queue of connections is full, but will soon have a free
                            // place.
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                                sleep(PAUSE).await;
                            }
                            other => break other.map_err(|error| unreachable(&error))?,
                        }
                    };
                    is_connected.store(true, Ordering::Relaxed);
                    send(stream, "localhost", method, path, body).await
                }
                Self::Http(address) => {
                    let stream = TcpStream::connect(address).await;
                    let stream = stream.map_err(|error| unreachable(&error))?;
                    is_connected.store(true, Ordering::Relaxed);
                    send(stream, address, method, path, body).await
                }
            }
            .map_err(|why| Failure::Closed(self.no_answer(&why)))
        };
        match timeout(limit, asked).await {
            Ok(answer) => answer,
            Err(_) if is_connected.load(Ordering::Relaxed) => Err(self.silent_for(limit)),
            Err(_) => Err(unreachable(&format!("no connection within {limit:?}"))),
        }
    }

    fn silent_for(&self, limit: Duration) -> Failure {
        Failure::Silent(self.no_answer(&format!("nothing came within {limit:?}")))
    }

    fn no_answer(&self, why: &str) -> String {
        format!("the daemon at {self} does not answer: {why}")
    }
}

/// Sends a request over a new connection.
async fn send(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<Response<Incoming>, String> {
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
    runtime().spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, host)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| error.to_string())?;
    sender
        .send_request(request)
        .await
        .map_err(|error| error.to_string())
}

/// Reads the whole answer, or the reason why the request was refused.
async fn whole<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, Failure> {
    let status = answer.status();
    if status.is_success() {
        return read(answer).await;
    }
    let why = match read::<Refusal>(answer).await {
        Ok(refusal) => refusal.error,
        Err(_) => format!("it answered {status}"),
    };
    Err(Failure::Refused(why))
}

/// Reads the whole answer, whatever its status.
async fn read<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, Failure> {
    let lost = |why: &dyn fmt::Display| Failure::Lost(why.to_string());
    let read = http_body_util::Limited::new(answer.into_body(), MOST_BYTES).collect();
    let body = read.await.map_err(|error| lost(&error))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| lost(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Option<&str>) {
        let host = text.parse::<Host>().ok().map(|host| host.to_string());
        assert_eq!(host.as_deref(), expected, "{text}");
    }

    #[test]
    fn addresses_name_a_socket_or_a_port() {
        check(
            "unix:/run/twotone/control.sock",
            Some("unix:/run/twotone/control.sock"),
        );
        check("unix:a b", Some("unix:a b"));
        check("http://127.0.0.1:8742/", Some("http://127.0.0.1:8742"));
        check("http://[::1]:8742", Some("http://[::1]:8742"));
        check("http://host", Some("http://host:80"));
        for text in [
            "",
            "unix:",
            "http://",
            "http://host/path",
            "https://host",
            "/run/a.sock",
        ] {
            check(text, None);
        }
    }
}
