//! HTTP of a scripted board.

use tokio::io::{AsyncReadExt, DuplexStream};

use super::Closing;

pub(super) fn http(status: u16, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

/// Returns an answer after which the connection is closed.
pub(super) fn closed(how: Closing, answer: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(answer);
    let text = match how {
        Closing::Announced => text.replacen("\r\n", "\r\nConnection: close\r\n", 1),
        Closing::Http10 => {
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let head = head.replacen("HTTP/1.1", "HTTP/1.0", 1);
            let (head, _) = head.split_once("\r\nContent-Length").unwrap();
            format!("{head}\r\n\r\n{body}")
        }
        Closing::Silent | Closing::Late(_) => text.into_owned(),
    };
    text.into_bytes()
}

/// Headers of a request; empty if absent.
pub(super) struct Headers {
    pub(super) content_type: String,
    pub(super) accept: String,
    pub(super) options: String,
}

/// Returns the headers and the body of the next request. `None` if the client has closed the
/// connection.
pub(super) async fn read_request(
    stream: &mut DuplexStream,
    inbox: &mut Vec<u8>,
) -> Option<(Headers, Vec<u8>)> {
    loop {
        if let Some(end) = inbox.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&inbox[..end]).to_lowercase();
            let header = |name: &str| {
                let value = head.lines().find_map(|line| line.strip_prefix(name));
                value.unwrap_or_default().trim().to_owned()
            };
            let total = end + 4 + header("content-length:").parse::<usize>().ok()?;
            if inbox.len() >= total {
                let rest = inbox.split_off(total);
                let request = std::mem::replace(inbox, rest);
                let headers = Headers {
                    content_type: header("content-type:"),
                    accept: header("accept:"),
                    options: header("x-tuber-options:"),
                };
                return Some((headers, request[end + 4..].to_vec()));
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => inbox.extend_from_slice(&chunk[..length]),
        }
    }
}
