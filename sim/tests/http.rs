//! Tests that the HTTP service handles connections, headers and bodies as the server of a real
//! board does.

mod client;

use std::time::Duration;

use serde_json::json;
use twotone_sim::{Farm, StartError};

use client::{Client, call};

fn farm() -> (Farm, Client) {
    let farm = Farm::builder().detectors(0).start_blocking().unwrap();
    let client = Client::connect(farm.boards()[0].address());
    (farm, client)
}

#[test]
fn an_answer_has_the_headers_of_a_board() {
    let (_farm, mut board) = farm();
    let http = board.post("Content-Type: application/json\r\n", b"{}");
    let length = http.body.len();
    let golden = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
         keep-alive: timeout=5, max=18446744073709551615\r\n\r\n"
    );
    assert_eq!(http.head.to_lowercase(), golden.to_lowercase());
}

#[test]
fn other_paths_and_methods_are_refused_and_end_the_connection() {
    for (request, status) in [
        ("GET /tuber HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (
            "PUT /tuber HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            405,
        ),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (
            "POST /other HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
            404,
        ),
    ] {
        let (_farm, mut board) = farm();
        board.send(request.as_bytes());
        let http = board.read().unwrap();
        assert_eq!(http.status(), status, "{request}");
        assert_eq!(http.header("connection"), Some("close"), "{request}");
        assert!(board.closed(), "{request}");
    }
}

#[test]
fn a_connection_is_used_again_and_closed_when_idle() {
    let (_farm, mut board) = farm();
    for _ in 0..3 {
        assert_eq!(board.post("", b"{}").status(), 200);
    }
    // The board does not close the connection at once, but within the 5 s after which a connection
    // is idle. This time is shorter than the timeout of the second read.
    board.patience(Duration::from_secs(1));
    assert!(!board.closed());
    board.patience(Duration::from_secs(20));
    assert!(board.closed());
}

#[test]
fn a_request_beyond_the_limit_is_refused() {
    let (_farm, mut board) = farm();
    board.send(b"POST /tuber HTTP/1.1\r\nHost: x\r\nContent-Length: 17000000\r\n\r\n");
    let http = board.read().unwrap();
    assert_eq!(http.status(), 413);
}

#[test]
fn an_invalid_request_is_answered_by_one_error() {
    let (_farm, mut board) = farm();
    for (headers, body, text) in [
        (
            "Content-Type: application/json\r\n",
            "{\"object\":",
            "JSONDecodeError",
        ),
        (
            "Content-Type: text/plain\r\n",
            "{}",
            "Not able to decode media type text/plain",
        ),
        (
            "Accept: image/png\r\n",
            "{}",
            "Not able to encode any media type matching image/png",
        ),
    ] {
        let http = board.post(headers, body.as_bytes());
        assert_eq!(http.status(), 200);
        let message = http.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(text), "{message}");
    }
}

#[test]
fn an_answer_can_be_had_in_cbor() {
    let (_farm, mut board) = farm();
    let headers = "Content-Type: application/json\r\nAccept: application/cbor\r\n";
    let body = json!([call("get_analog_bank", json!([]), json!({}))]).to_string();
    let http = board.post(headers, body.as_bytes());
    assert_eq!(http.header("content-type"), Some("application/cbor"));
    // The answer is a list with one map, whose text goes from "result" to false.
    assert!(
        http.body.ends_with(b"\xa1\x66result\xf4"),
        "{:x?}",
        http.body
    );
}

#[test]
fn boards_have_addresses_of_their_own() {
    let farm = Farm::builder()
        .boards(3)
        .detectors(0)
        .start_blocking()
        .unwrap();
    let mut ips: Vec<_> = farm.boards().iter().map(|board| board.ip()).collect();
    assert!(ips.iter().all(std::net::Ipv4Addr::is_loopback));
    ips.dedup();
    assert_eq!(ips.len(), 3);
    for board in farm.boards() {
        assert_eq!(
            Client::connect(board.address()).post("", b"{}").status(),
            200
        );
    }
}

#[test]
fn a_dropped_farm_closes_its_ports() {
    let (farm, mut board) = farm();
    assert_eq!(board.post("", b"{}").status(), 200);
    drop(farm);
    assert!(board.closed());
}

#[tokio::test]
async fn a_farm_runs_on_the_callers_runtime_and_shuts_down() {
    let farm = Farm::builder()
        .boards(2)
        .detectors(1)
        .start()
        .await
        .unwrap();
    let address = farm.boards()[1].address();
    let status =
        tokio::task::spawn_blocking(move || Client::connect(address).post("", b"{}").status());
    assert_eq!(status.await.unwrap(), 200);
    farm.shut_down().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[test]
fn a_farm_that_cannot_be_built_is_refused() {
    let check = |builder: twotone_sim::FarmBuilder, text: &str| {
        let error = builder.start_blocking().unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    };
    check(
        Farm::builder().detectors(5000),
        "5000 detectors do not fit on 4",
    );
    check(
        Farm::builder().detectors(1025).modules(1),
        "1025 detectors do not fit on 1",
    );
    check(Farm::builder().modules(5), "5 modules");
    check(Farm::builder().boards(70_000), "70000 boards");
    let fault = twotone_sim::fault::Refuse {};
    check(
        Farm::builder().boards(2).fault(2, fault),
        "the last board is 1",
    );
}

#[test]
fn a_port_in_use_is_named() {
    // A fixed port works on every board, because each board has its own address. It also works in a
    // second farm (group of simulated boards), whose boards have other addresses.
    let first = Farm::builder()
        .boards(2)
        .detectors(0)
        .port(48_231)
        .start_blocking()
        .unwrap();
    let taken = first.boards()[0].address();
    assert_eq!(taken.port(), 48_231);
    let error = StartError::Listen {
        board: "crs0001".into(),
        address: taken,
        source: std::net::TcpListener::bind(taken).unwrap_err(),
    };
    assert!(
        error
            .to_string()
            .starts_with(&format!("crs0001: cannot listen on {taken}"))
    );
}

#[tokio::test]
async fn a_connection_can_do_without_a_socket() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let farm = Farm::builder().detectors(0).start().await.unwrap();
    let mut stream = farm.boards()[0].open_stream(4096);
    let request = b"POST /tuber HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    stream.write_all(request).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    farm.boards()[0].inject(twotone_sim::fault::Refuse {});
    let mut refused = farm.boards()[0].open_stream(4096);
    assert_eq!(refused.read(&mut head).await.unwrap(), 0);
}
