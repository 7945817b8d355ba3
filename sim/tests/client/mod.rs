//! A minimal HTTP client over a blocking socket. It shares no code with the client of twotone.

#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

/// Timeout of a read. A board without faults always answers sooner.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection to a board.
pub(crate) struct Client {
    stream: TcpStream,
    address: SocketAddr,
}

/// An answer of a board.
#[derive(Debug)]
pub(crate) struct Http {
    /// Status line and headers, with their line ends.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn status(&self) -> u16 {
        self.head[9..12].parse().unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, address }
    }

    /// Sets the longest time to wait for data.
    pub(crate) fn patience(&mut self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).unwrap();
    }

    pub(crate) fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).unwrap();
    }

    /// Reads one answer. It is an error if the connection ends before the answer is complete.
    pub(crate) fn read(&mut self) -> std::io::Result<Http> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            self.stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        let mut http = Http {
            head: String::from_utf8(head).unwrap(),
            body: Vec::new(),
        };
        let length = http
            .header("content-length")
            .unwrap_or("0")
            .parse()
            .unwrap();
        http.body = vec![0; length];
        self.stream.read_exact(&mut http.body)?;
        Ok(http)
    }

    /// True if the other side has closed the connection.
    pub(crate) fn closed(&mut self) -> bool {
        let mut byte = [0];
        matches!(self.stream.read(&mut byte), Ok(0))
    }

    pub(crate) fn request(&mut self, headers: &str, body: &[u8]) {
        let head = format!(
            "POST /tuber HTTP/1.1\r\nHost: {}\r\n{headers}Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.send(head.as_bytes());
        self.send(body);
    }

    /// True if the board at an address answers now.
    pub(crate) fn answers(address: SocketAddr) -> bool {
        let Ok(mut stream) = TcpStream::connect(address) else {
            return false;
        };
        let request = b"POST /tuber HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
        let mut byte = [0];
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).is_ok() && stream.read_exact(&mut byte).is_ok()
    }

    pub(crate) fn post(&mut self, headers: &str, body: &[u8]) -> Http {
        self.request(headers, body);
        self.read().unwrap()
    }

    /// Posts a body in JSON, usually a batch (a list of calls), and returns the answer.
    pub(crate) fn json(&mut self, body: &Value) -> Value {
        let http = self.post(
            "Content-Type: application/json\r\n",
            body.to_string().as_bytes(),
        );
        assert_eq!(http.status(), 200);
        http.json()
    }

    /// Makes one call. Returns its result, or the text of its error.
    pub(crate) fn call(
        &mut self,
        method: &str,
        args: Value,
        kwargs: Value,
    ) -> Result<Value, String> {
        let answer = self.json(&json!([call(method, args, kwargs)]));
        outcome(&answer[0])
    }

    /// Makes one call that must succeed, and returns its result.
    pub(crate) fn ok(&mut self, method: &str, args: Value, kwargs: Value) -> Value {
        self.call(method, args, kwargs)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Makes one call that must fail, and returns the text of its error.
    pub(crate) fn refused(&mut self, method: &str, args: Value, kwargs: Value) -> String {
        match self.call(method, args, kwargs) {
            Ok(value) => panic!("{method} gave {value}"),
            Err(text) => text,
        }
    }
}

/// Returns a call as an element of a batch.
pub(crate) fn call(method: &str, args: Value, kwargs: Value) -> Value {
    json!({ "object": "Dfmux", "method": method, "args": args, "kwargs": kwargs })
}

pub(crate) fn outcome(element: &Value) -> Result<Value, String> {
    match element.get("error") {
        None | Some(Value::Null) => Ok(element["result"].clone()),
        Some(error) => Err(error["message"].as_str().unwrap().to_owned()),
    }
}

/// True if two frequencies in Hz differ only because the board rounds them.
pub(crate) fn near(left: f64, right: f64) -> bool {
    (left - right).abs() <= 0.3e-3
}
