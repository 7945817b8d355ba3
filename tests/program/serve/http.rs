//! Tests of questions and commands to the daemon over HTTP, from clients that have permission and
//! from others.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::thread;

use super::Daemon;
use crate::process::{SimProcess, run};

pub(super) fn daemon(folder: &tempfile::TempDir) -> (SimProcess, Daemon) {
    let sim = SimProcess::start(&["--boards", "2", "--detectors", "4"]);
    let daemon = Daemon::start(folder.path(), &sim.map());
    (sim, daemon)
}

/// Returns the text of a request with a first line, further lines of the head, and a body.
pub(super) fn request(first: &str, lines: &[&str], body: &str) -> String {
    let mut text = format!("{first} HTTP/1.1\r\nConnection: close\r\n");
    for line in lines {
        text.push_str(line);
        text.push_str("\r\n");
    }
    format!("{text}Content-Length: {}\r\n\r\n{body}", body.len())
}

#[test]
fn questions_have_answers_and_commands_are_refused_by_the_port() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    let health = daemon.json("/healthz");
    assert_eq!(health["ok"], true, "{health}");
    assert_eq!(health["boards"]["of"], 2, "{health}");
    assert!(health["version"].is_string(), "{health}");
    assert_eq!(daemon.json("/jobs"), serde_json::json!([]));
    assert_eq!(daemon.json("/boards")[1]["name"], "crs0002");
    let (status, metrics) = daemon.get("/metrics");
    assert_eq!(status, 200);
    assert!(
        metrics.contains("twotone_board_connected{board=\"crs0002\"} 1"),
        "{metrics}"
    );
    let off = "{\"command\":[\"off\"]}";
    let cases = [
        ("POST /jobs", vec!["Host: localhost"], 405),
        (
            "POST /jobs",
            vec!["Host: localhost", "Origin: http://evil.example"],
            403,
        ),
        ("DELETE /jobs/1", vec!["Host: localhost"], 405),
        // A web page can make its own host name lead to this computer. The `Host` line then has
        // that name.
        ("GET /boards", vec!["Host: evil.example:8742"], 403),
        ("GET /boards", vec!["Host: 127.0.0.1.evil.example"], 403),
        ("GET /boards", vec![], 403),
        ("GET /boards", vec!["Host: [::1]:8742"], 200),
        ("GET /boards", vec!["Host: 127.0.0.1"], 200),
        ("GET /nothing", vec!["Host: localhost"], 404),
        ("GET /jobs/77", vec!["Host: localhost"], 404),
        ("GET /jobs/77/events", vec!["Host: localhost"], 404),
    ];
    for (first, lines, expected) in cases {
        let (status, body) = daemon.send_by_port(&request(first, &lines, off));
        assert_eq!(status, expected, "{first} {lines:?}: {body}");
        assert!(
            status == 200 || body.contains("\"error\""),
            "{first}: {body}"
        );
    }
    let cases = [
        (
            "POST /jobs",
            vec!["Host: x", "Origin: http://localhost"],
            off,
            403,
        ),
        (
            "POST /jobs",
            vec!["Host: x"],
            "{\"command\":[\"sim\"]}",
            400,
        ),
        (
            "POST /jobs",
            vec!["Host: x"],
            "{\"command\":[\"tune\"]}",
            400,
        ),
        (
            "POST /jobs",
            vec!["Host: x"],
            "{\"command\":[\"off\",\"--host\",\"unix:x\"]}",
            400,
        ),
        ("POST /jobs", vec!["Host: x"], "{\"command\":\"off\"}", 400),
        ("POST /jobs", vec!["Host: x"], "nonsense", 400),
        ("POST /jobs", vec!["Host: x"], "{\"comand\":[\"off\"]}", 400),
        ("POST /jobs/77/cancel", vec!["Host: x"], "", 404),
        ("POST /jobs", vec!["Host: x"], off, 201),
    ];
    for (first, lines, body, expected) in cases {
        let (status, answer) = daemon.send_by_socket(&request(first, &lines, body));
        assert_eq!(status, expected, "{first} {lines:?} {body}: {answer}");
    }
}

#[test]
fn a_client_of_the_port_can_ask_and_gives_no_commands() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    let host = format!("http://{}", daemon.listen);
    let (status, out, err) = run(&["--host", &host, "health"]);
    assert_eq!(status, 0, "{err}");
    assert!(out.contains("connected 2 of 2 boards"), "{out}");
    let (status, _, err) = run(&["--host", &host, "off"]);
    assert_eq!(status, 2, "{err}");
    assert!(err.contains("only answers questions"), "{err}");
    assert_eq!(daemon.run(&["off"]).0, 0);
    let (status, out, _) = run(&["--host", &host, "jobs"]);
    assert_eq!((status, out.lines().count()), (0, 2), "{out}");
    let (status, out, _) = run(&["--host", &host, "follow", "1"]);
    assert_eq!(status, 0);
    assert!(out.contains("off, read back"), "{out}");
    let (status, _, err) = run(&["--host", &host, "demo"]);
    assert_eq!(status, 2);
    assert!(err.contains("needs no daemon"), "{err}");
}

#[test]
fn files_of_the_daemon_are_not_read_for_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let (sim, daemon) = daemon(&folder);
    for option in ["--params", "--truth"] {
        let path = sim.text_path("truth.json");
        let body = format!("{{\"command\":[\"tune\",\"--out\",\"x\",\"{option}\",\"{path}\"]}}");
        let (status, answer) = daemon.send_by_socket(&request("POST /jobs", &["Host: x"], &body));
        assert_eq!(status, 201, "{answer}");
        let job: serde_json::Value = serde_json::from_str(&answer).unwrap();
        let id = job["id"].to_string();
        let (status, _, err) = daemon.run(&["follow", &id]);
        assert_eq!(status, 2, "{err}");
        assert!(err.contains("the client has not sent it"), "{err}");
    }
}

#[test]
fn a_thousand_requests_at_once_have_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    let clients: Vec<_> = (0..1000)
        .map(|number| {
            let listen = daemon.listen;
            let text = request("GET /boards", &["Host: localhost"], "");
            // The connections of all clients of the port are made before the first request is sent.
            let stream = match number % 2 {
                0 => Err(TcpStream::connect(listen).unwrap()),
                _ => Ok(()),
            };
            let socket = folder.path().join("control.sock");
            thread::spawn(move || match stream {
                Err(stream) => super::exchange(stream, text.as_bytes()).0,
                Ok(()) => {
                    let stream = UnixStream::connect(socket).unwrap();
                    super::exchange(stream, text.as_bytes()).0
                }
            })
        })
        .collect();
    for client in clients {
        assert_eq!(client.join().unwrap(), 200);
    }
}

#[test]
fn slow_and_broken_clients_are_sent_away_and_hold_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (_sim, daemon) = daemon(&folder);
    // More clients connect than the daemon allows at the same time. They send nothing, or half of a
    // request.
    let mut silent: Vec<TcpStream> = (0..600)
        .map(|number| {
            let mut stream = TcpStream::connect(daemon.listen).unwrap();
            if number % 2 == 0 {
                stream
                    .write_all(b"GET /boards HTTP/1.1\r\nHost: loc")
                    .unwrap();
            }
            stream
        })
        .collect();
    // Even then the Unix socket answers. The port answers again after the daemon has closed the
    // connections of the first clients.
    let (status, _) = daemon.send_by_socket(&request("GET /healthz", &["Host: x"], ""));
    assert_eq!(status, 200);
    assert_eq!(daemon.get("/healthz").0, 200);
    let mut rest = Vec::new();
    // The read ends, because the daemon has closed the connection.
    drop(silent[0].read_to_end(&mut rest));
    drop(silent);
    let many_lines = vec!["X: y"; 1000];
    let long_line = format!("X: {}", "y".repeat(1 << 20));
    for lines in [many_lines, vec![&long_line]] {
        let lines = [&["Host: localhost"], &lines[..]].concat();
        let (status, _) = daemon.send_by_port(&request("GET /healthz", &lines, ""));
        assert!(matches!(status, 0 | 400 | 431), "{status}");
    }
    let endless = "POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n{";
    assert_eq!(daemon.send_by_socket(endless).0, 413);
    let chunked = "POST /jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    assert_eq!(daemon.send_by_socket(chunked).0, 411);
    let note = "y".repeat(100_000);
    let long = format!("{{\"command\":[\"tune\",\"--out\",\"x\",\"--note\",\"{note}\"]}}");
    let (status, answer) = daemon.send_by_socket(&request("POST /jobs", &["Host: x"], &long));
    assert_eq!(status, 400, "{answer}");
    let (status, _) = daemon.send_by_port("\u{1}\u{2}\u{3}\r\n\r\n");
    assert!(matches!(status, 0 | 400), "{status}");
    assert_eq!(daemon.get("/healthz").0, 200);
}
