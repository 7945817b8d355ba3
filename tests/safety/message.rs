//! Requests and answers on a simulated link, as whole HTTP messages.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::sleep;

/// Replaces each number in a JSON value by the value `by`.
pub(crate) fn replace_numbers(value: &mut Value, by: &Value) {
    match value {
        Value::Number(_) => *value = by.clone(),
        Value::Array(items) => items.iter_mut().for_each(|item| replace_numbers(item, by)),
        Value::Object(fields) => fields
            .values_mut()
            .for_each(|item| replace_numbers(item, by)),
        _ => {}
    }
}

/// A rate at which bytes pass: a number of bytes, and the pause after them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    pub(crate) bytes: usize,
    pub(crate) every: Duration,
}

/// A message whose headers have been read, and whose body has not.
pub(crate) struct Begun {
    message: Message,
    length: usize,
}

impl Begun {
    /// Reads the body.
    pub(crate) async fn finish(
        self,
        stream: &mut DuplexStream,
        pace: Option<Pace>,
    ) -> io::Result<Message> {
        let Self { message, length } = self;
        let Message { head, mut body } = message;
        let most = pace.map_or(usize::MAX, |pace| pace.bytes);
        while body.len() < length {
            let left = (length - body.len()).min(most);
            if (&mut *stream).take(left as u64).read_buf(&mut body).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(pace) = pace {
                sleep(pace.every).await;
            }
        }
        assert_eq!(body.len(), length, "one message at a time");
        Ok(Message { head, body })
    }
}

/// A request or an answer.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    /// First line and headers with their line ends, without the header of the length.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Message {
    /// Returns an answer in which the first call is refused.
    pub(crate) fn refusal() -> Self {
        Self {
            head: "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n".to_owned(),
            body: br#"[{"error": {"message": "the board is busy"}}]"#.to_vec(),
        }
    }

    /// Reads a message.
    pub(crate) async fn read(stream: &mut DuplexStream) -> io::Result<Self> {
        let begun = Self::begin(stream).await?;
        begun.finish(stream, None).await
    }

    /// Reads up to the end of the headers.
    pub(crate) async fn begin(stream: &mut DuplexStream) -> io::Result<Begun> {
        let mut text = Vec::new();
        let end = loop {
            if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(&mut text).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let body = text.split_off(end);
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
        let message = Self { head, body };
        Ok(Begun { message, length })
    }

    /// Writes the message.
    pub(crate) async fn write(
        &self,
        stream: &mut DuplexStream,
        pace: Option<Pace>,
    ) -> io::Result<()> {
        let Some(pace) = pace else {
            return stream.write_all(&self.whole()).await;
        };
        for piece in self.whole().chunks(pace.bytes) {
            stream.write_all(piece).await?;
            sleep(pace.every).await;
        }
        Ok(())
    }

    pub(crate) fn whole(&self) -> Vec<u8> {
        let length = format!("Content-Length: {}\r\n\r\n", self.body.len());
        [self.head.as_bytes(), length.as_bytes(), &self.body].concat()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON both ways")
    }

    pub(crate) fn set_json(&mut self, value: &Value) {
        self.body = serde_json::to_vec(value).expect("JSON");
    }

    /// Returns the channels that a request in JSON sets.
    pub(crate) fn channels_set(&self) -> Vec<u16> {
        let Ok(Value::Array(calls)) = serde_json::from_slice(&self.body) else {
            return Vec::new();
        };
        let sets = calls.iter().filter(|call| {
            let method = call["method"].as_str();
            method.is_some_and(|method| method.starts_with("set_"))
        });
        let channels = sets.filter_map(|call| call["kwargs"]["channel"].as_u64());
        channels.filter_map(|one| one.try_into().ok()).collect()
    }

    /// Returns the calls of a request.
    pub(crate) fn calls(&self) -> Vec<Value> {
        match self.json() {
            Value::Array(calls) => calls,
            call => vec![call],
        }
    }
}
