//! Test that the parser of Prometheus' own client library reads the metrics of the daemon.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use twotone::sim::Farm;

use crate::python::{Script, python};

/// A process that is killed when this is dropped.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn prometheus_client_reads_the_metrics_of_a_daemon() {
    let Some(python) = python() else { return };
    let farm = Farm::builder().boards(3).detectors(4);
    let farm = farm.start_blocking().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let map = folder.path().join("map.toml");
    std::fs::write(&map, farm.map_toml()).unwrap();
    let daemon = Command::new(env!("CARGO_BIN_EXE_twotone"))
        .args(["serve", "--listen", "127.0.0.1:0", "--json", "--map"])
        .arg(&map)
        .arg("--socket")
        .arg(folder.path().join("control.sock"))
        .arg("--state")
        .arg(folder.path().join("state"))
        .env("TWOTONE_LOCKS", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut daemon = Ended(daemon);
    let mut line = String::new();
    let mut out = BufReader::new(daemon.0.stdout.take().unwrap());
    out.read_line(&mut line).unwrap();
    let ready: Value = serde_json::from_str(&line).unwrap();
    let listen = ready["listen"].as_str().unwrap();
    let mut stream = TcpStream::connect(listen.trim_start_matches("http://")).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, text) = answer.split_once("\r\n\r\n").unwrap();
    let read = Script::new(&python, "prometheus_metrics.py")
        .args([text])
        .run();
    let connected = &read["twotone_board_connected"];
    assert_eq!(connected["type"], "gauge", "{read:#}");
    let samples = connected["samples"].as_array().unwrap();
    let mut boards: Vec<_> = samples.iter().map(|one| &one["labels"]["board"]).collect();
    boards.sort_by_key(|board| board.to_string());
    assert_eq!(boards, ["crs0001", "crs0002", "crs0003"], "{read:#}");
    assert!(
        samples.iter().all(|one| one["value"].as_f64() == Some(1.0)),
        "{read:#}"
    );
    let requests = &read["twotone_requests"];
    assert_eq!(requests["type"], "counter", "{read:#}");
    assert_eq!(
        requests["samples"][0]["name"], "twotone_requests_total",
        "{read:#}"
    );
    let tones = &read["twotone_module_tones_on"]["samples"][0];
    assert_eq!(tones["labels"]["module"], "1", "{read:#}");
}
