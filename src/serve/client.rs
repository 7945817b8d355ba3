//! Requests to a daemon.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header;
use hyper::{Method, Request, Response};
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
    /// A socket on this computer.
    Unix(PathBuf),
    /// A port, with the name or address of its computer.
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

/// Time for the beginning of an answer, from connecting on.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// Pause before a socket that has too many waiting for it is tried again.
const PAUSE: Duration = Duration::from_millis(20);

/// Most bytes of an answer that is read whole, or of an event.
const MOST_BYTES: usize = 1 << 30;

/// Reason that a daemon did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It cannot be reached, or does not answer.
    Unreachable(String),
    /// It has refused the request.
    Refused(String),
    /// Its answer ended early.
    Lost(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) | Self::Refused(why) => f.write_str(why),
            Self::Lost(why) => write!(f, "the answer of the daemon ended early: {why}"),
        }
    }
}

impl Host {
    /// Asks a question.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        whole(self.request(Method::GET, path, Vec::new()).await?).await
    }

    /// Sends something, as JSON.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        value: &impl serde::Serialize,
    ) -> Result<T, Failure> {
        let body =
            serde_json::to_vec(value).map_err(|error| Failure::Refused(error.to_string()))?;
        whole(self.request(Method::POST, path, body).await?).await
    }

    /// Follows the events of a job to its end, and gives each to `take`.
    ///
    /// # Errors
    /// As [`Failure`] says.
    pub(crate) async fn follow(
        &self,
        id: u64,
        mut take: impl FnMut(Event) + Send,
    ) -> Result<(), Failure> {
        let path = format!("/jobs/{id}/events");
        let answer = self.request(Method::GET, &path, Vec::new()).await?;
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
                    // Events that only a later daemon knows are left out.
                    if let Ok(event) = serde_json::from_slice(&begun) {
                        take(event);
                    }
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
    ) -> Result<Response<Incoming>, Failure> {
        let unreachable = |why: String| Failure::Unreachable(format!("no daemon at {self}: {why}"));
        let asked = async {
            match self {
                Self::Unix(socket) => {
                    let stream = loop {
                        match UnixStream::connect(socket).await {
                            // Others wait there already, and each is soon served.
                            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                                sleep(PAUSE).await;
                            }
                            other => break other,
                        }
                    };
                    send(stream, "localhost", method, path, body).await
                }
                Self::Http(address) => {
                    send(
                        TcpStream::connect(address).await,
                        address,
                        method,
                        path,
                        body,
                    )
                    .await
                }
            }
        };
        match timeout(ANSWER_WITHIN, asked).await {
            Ok(answer) => answer.map_err(unreachable),
            Err(_) => Err(unreachable(format!("no answer within {ANSWER_WITHIN:?}"))),
        }
    }
}

/// Sends a request over a connection of its own.
async fn send(
    stream: io::Result<impl AsyncRead + AsyncWrite + Unpin + Send + 'static>,
    host: &str,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> Result<Response<Incoming>, String> {
    let stream = TokioIo::new(stream.map_err(|error| error.to_string())?);
    let shaken = http1::handshake(stream).await;
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

/// Reads an answer whole.
async fn whole<T: DeserializeOwned>(answer: Response<Incoming>) -> Result<T, Failure> {
    let status = answer.status();
    let read = http_body_util::Limited::new(answer.into_body(), MOST_BYTES).collect();
    let body = read
        .await
        .map_err(|error| Failure::Lost(error.to_string()))?
        .to_bytes();
    if !status.is_success() {
        let refusal: Result<Refusal, _> = serde_json::from_slice(&body);
        let why = refusal.map_or_else(|_| format!("it answered {status}"), |refusal| refusal.error);
        return Err(Failure::Refused(why));
    }
    serde_json::from_slice(&body).map_err(|error| Failure::Lost(error.to_string()))
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
