//! Tests of each fault of a simulated board, as a client sees it.

mod client;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use twotone_sim::Farm;
use twotone_sim::fault::{
    BlackHole, CloseMidAnswer, ErrorOnCall, Fault, GarbledAnswer, Hang, HugeAnswer, NotTuber,
    Reboot, Refuse, Scheduled, ServerError, Slow, WrongType,
};

use client::{Client, call, outcome};

fn farm(fault: impl Into<Scheduled>) -> Farm {
    Farm::builder()
        .boards(2)
        .detectors(0)
        .fault(0, fault)
        .start_blocking()
        .unwrap()
}

fn connect(farm: &Farm) -> Client {
    Client::connect(farm.boards()[0].address())
}

/// Asserts that the other board of the farm (the group of simulated boards) works.
fn check_neighbour(farm: &Farm) {
    let mut board = Client::connect(farm.boards()[1].address());
    assert_eq!(board.ok("get_decimation", json!([]), json!({})), json!(6));
}

fn at(channel: u32) -> Value {
    json!({ "channel": channel, "module": 1 })
}

#[test]
fn refuse() {
    let farm = farm(Refuse {});
    let board = &farm.boards()[0];
    let error = TcpStream::connect(board.address()).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    check_neighbour(&farm);
    board.clear_faults();
    wait_until(|| Client::answers(board.address()));
    board.inject(Refuse {});
    wait_until(|| TcpStream::connect(board.address()).is_err());
}

/// Waits until `done` returns true because of another thread. Fails after 10 s.
fn wait_until(mut done: impl FnMut() -> bool) {
    let (wake, woken) = std::sync::mpsc::channel::<()>();
    for _ in 0..1000 {
        if done() {
            return;
        }
        let _ = woken.recv_timeout(Duration::from_millis(10));
    }
    drop(wake);
    panic!("it did not happen");
}

#[test]
fn black_hole() {
    let farm = farm(BlackHole {});
    let mut board = connect(&farm);
    board.request("", b"{}");
    board.patience(Duration::from_millis(300));
    assert!(board.read().is_err());
    assert!(!board.closed());
    check_neighbour(&farm);
}

#[test]
fn not_tuber() {
    let farm = farm(NotTuber {});
    let http = connect(&farm).post("", b"{}");
    assert_eq!(http.status(), 200);
    assert!(
        http.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );
    check_neighbour(&farm);
}

#[test]
fn server_error() {
    let farm = farm(ServerError {});
    assert_eq!(connect(&farm).post("", b"{}").status(), 500);
    check_neighbour(&farm);
}

#[test]
fn close_mid_answer() {
    let farm = farm(CloseMidAnswer::default());
    let mut board = connect(&farm);
    board.request(
        "",
        json!([call("set_amplitude", json!([0.5]), at(1))])
            .to_string()
            .as_bytes(),
    );
    let error = board.read().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
    check_neighbour(&farm);
    // The call was executed, although its answer was lost.
    farm.boards()[0].clear_faults();
    assert_eq!(
        connect(&farm).ok("get_amplitude", json!([]), at(1)),
        json!(0.5)
    );
}

#[test]
fn wrong_type() {
    let farm = farm(WrongType {
        method: "get_samples".into(),
    });
    let mut board = connect(&farm);
    assert!(board.ok("get_samples", json!([1]), at(1)).is_string());
    assert_eq!(board.ok("get_decimation", json!([]), json!({})), json!(6));
    check_neighbour(&farm);
}

#[test]
fn huge_answer() {
    let farm = farm(HugeAnswer { bytes: 50_000_000 });
    let http = connect(&farm).post("", b"{}");
    assert!(http.body.len() > 50_000_000);
    assert_eq!(http.json()["result"]["objects"][0], json!("Dfmux"));
    check_neighbour(&farm);
}

#[test]
fn slow_requests_are_run_though_their_client_has_gone() {
    let farm = farm(Slow { delay_ms: 1500 });
    let mut board = connect(&farm);
    board.request(
        "",
        json!([call("set_amplitude", json!([0.5]), at(1))])
            .to_string()
            .as_bytes(),
    );
    // The client stops waiting only after the board has had time to receive the request.
    board.patience(Duration::from_millis(300));
    assert!(board.read().is_err());
    drop(board);
    check_neighbour(&farm);
    farm.boards()[0].clear_faults();
    let mut board = connect(&farm);
    assert_eq!(board.ok("get_amplitude", json!([]), at(1)), Value::Null);
    wait_until(|| board.ok("get_amplitude", json!([]), at(1)) == json!(0.5));
}

#[test]
fn hang() {
    let farm = farm(Hang {
        method: "get_samples".into(),
    });
    let mut board = connect(&farm);
    board.request(
        "",
        json!([
            call("set_amplitude", json!([0.25]), at(1)),
            call("get_samples", json!([1]), at(1)),
            call("set_amplitude", json!([0.75]), at(1)),
        ])
        .to_string()
        .as_bytes(),
    );
    board.patience(Duration::from_millis(300));
    assert!(board.read().is_err());
    check_neighbour(&farm);
    // The calls before the one that hangs were executed, and the calls after it were not.
    assert_eq!(
        connect(&farm).ok("get_amplitude", json!([]), at(1)),
        json!(0.25)
    );
}

#[test]
fn error_on_the_nth_call() {
    let fault = Fault::from(ErrorOnCall::any("no good")).during(1, 1);
    let farm = farm(fault);
    let mut board = connect(&farm);
    let answer = board.json(&json!([
        call("set_amplitude", json!([0.25]), at(1)),
        call("set_amplitude", json!([0.5]), at(1)),
    ]));
    assert_eq!(outcome(&answer[0]), Ok(Value::Null));
    assert_eq!(outcome(&answer[1]).unwrap_err(), "RuntimeError: no good");
    assert_eq!(board.ok("get_amplitude", json!([]), at(1)), json!(0.25));
    check_neighbour(&farm);
}

#[test]
fn a_garbled_answer_is_no_json() {
    let farm = farm(GarbledAnswer { at: 0 });
    let answer = connect(&farm).post("", b"{}");
    assert_eq!(answer.status(), 200);
    assert!(serde_json::from_slice::<Value>(&answer.body).is_err());
}

#[test]
fn reboot() {
    let fault = Fault::from(Reboot { down_ms: 50 }).from_call(2);
    let farm = farm(fault);
    let mut board = connect(&farm);
    board.ok("set_amplitude", json!([0.25]), at(1));
    board.ok("set_analog_bank", json!([true]), json!({}));
    board.request(
        "",
        json!([call("set_amplitude", json!([0.5]), at(2))])
            .to_string()
            .as_bytes(),
    );
    assert!(board.closed(), "the connection is lost with no answer");
    wait_until(|| Client::answers(farm.boards()[0].address()));
    let mut board = connect(&farm);
    assert_eq!(board.ok("get_amplitude", json!([]), at(1)), Value::Null);
    assert_eq!(board.ok("get_amplitude", json!([]), at(2)), Value::Null);
    assert_eq!(
        board.ok("get_analog_bank", json!([]), json!({})),
        json!(false)
    );
    check_neighbour(&farm);
}
