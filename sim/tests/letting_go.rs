//! Tests that a simulated board closes connections that a fault leaves without an answer. It closes
//! them when their client has closed them or when the fault is over. The tests use virtual time,
//! and pipes in place of sockets.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout};
use twotone_sim::fault::{Fault, FaultScript, Scheduled};
use twotone_sim::{Farm, FarmBuilder};

/// Number of clients that connect and disconnect.
const CLIENTS: usize = 20;

/// Time after which a board closes any connection that a fault holds open.
const LONGEST: Duration = Duration::from_secs(1800);

/// Time for which a client that has closed its sending side may still get an answer.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// Faults that leave a connection without an answer, or with an answer that does not end.
const FAULTS: [&str; 4] = [
    "kind = \"black-hole\"",
    "kind = \"hang\"\nmethod = \"get_samples\"",
    "kind = \"slow\"\ndelay_ms = 600_000",
    "kind = \"huge-answer\"\nbytes = 1_099_511_627_776",
];

async fn farm(fault: &str, window: &str) -> Farm {
    let script = format!("[[fault]]\n{fault}\n{window}");
    let script = FaultScript::parse(&script).unwrap();
    builder().script(script).start().await.unwrap()
}

fn builder() -> FarmBuilder {
    Farm::builder().detectors(1)
}

/// Opens a connection to the only board of the farm (the group of simulated boards) and sends a
/// request for samples.
async fn ask(farm: &Farm) -> DuplexStream {
    let mut client = farm.boards()[0].open_stream(64 * 1024);
    request(&mut client).await;
    client
}

async fn request(client: &mut DuplexStream) {
    let call = json!([{
        "object": "Dfmux", "method": "get_samples", "args": [1], "kwargs": {"channel": 1, "module": 1},
    }]);
    let body = call.to_string();
    let head = format!(
        "POST /tuber HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    client.write_all((head + &body).as_bytes()).await.unwrap();
}

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Lets the tasks of the board run until all of them wait.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Does the same as [`settle`], after clients have closed their sides. If the fault is slowness,
/// some connections may still wait for a late answer, so the function waits longer.
async fn settle_after_closing(fault: &str) {
    if fault.contains("slow") {
        tokio::time::sleep(HALF_CLOSED).await;
    }
    settle().await;
}

/// Returns the time until the board closes the connection. The client reads nothing before that.
async fn closed_after(mut client: DuplexStream) -> Duration {
    let begin = Instant::now();
    let mut byte = [0];
    // If the pipe is full, only a write shows that the board has closed the connection.
    let read = async {
        let mut read = client.read(&mut byte).await;
        while matches!(read, Ok(1)) {
            read = client.read(&mut byte).await;
        }
    };
    timeout(2 * LONGEST, read)
        .await
        .expect("it is closed at last");
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_has_gone_costs_nothing_more() {
    for fault in FAULTS {
        let farm = farm(fault, "").await;
        settle().await;
        let before = tasks();
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(ask(&farm).await);
        }
        settle().await;
        assert!(
            tasks() >= before + CLIENTS,
            "{fault}: {} of {before}",
            tasks()
        );
        drop(clients);
        settle_after_closing(fault).await;
        // A slow request is still executed after the end of its connection.
        let late = if fault.contains("slow") { CLIENTS } else { 0 };
        assert_eq!(tasks(), before + late, "{fault}");
        if late > 0 {
            tokio::time::sleep(Duration::from_secs(601)).await;
            assert_eq!(tasks(), before, "{fault}");
        }
        farm.shut_down().await;
    }
}

/// More requests may follow the first one, and the client may close only its sending side.
#[tokio::test(start_paused = true)]
async fn whatever_a_client_sends_before_it_goes_its_going_is_seen() {
    for fault in &FAULTS[..3] {
        let farm = farm(fault, "").await;
        settle().await;
        let before = tasks();
        let mut client = ask(&farm).await;
        for _ in 0..100 {
            request(&mut client).await;
        }
        settle().await;
        client.shutdown().await.unwrap();
        settle_after_closing(fault).await;
        let late = usize::from(fault.contains("slow"));
        assert_eq!(tasks(), before + late, "{fault}");
        farm.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_comes_to_a_client_that_only_reads() {
    for (delay_ms, requests, answers) in [(1, 1, 1), (9_900, 1, 1), (100, 3, 3), (10_100, 1, 0)] {
        let farm = farm(&format!("kind = \"slow\"\ndelay_ms = {delay_ms}"), "").await;
        let mut client = ask(&farm).await;
        for _ in 1..requests {
            request(&mut client).await;
        }
        settle().await;
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        let found = answer.matches("HTTP/1.1 200 OK").count();
        assert_eq!(found, answers, "{delay_ms} ms: {answer}");
        farm.shut_down().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_stays_is_let_go_of_when_the_fault_is_over() {
    for (fault, whole) in [(FAULTS[0], 3), (FAULTS[1], 3)] {
        let farm = farm(fault, "for_s = 3.0").await;
        settle().await;
        let client = ask(&farm).await;
        let after = closed_after(client).await;
        assert!(
            after.as_secs_f64() > 2.9 && after.as_secs() <= whole,
            "{fault}: {after:?}"
        );
        // The board answers later requests.
        let mut client = ask(&farm).await;
        let mut answer = [0; 15];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        farm.shut_down().await;
    }
}

/// Tests that the board closes connections that were open when the fault began, as it closes new
/// ones.
#[tokio::test(start_paused = true)]
async fn so_are_connections_that_were_open_before() {
    let farm = farm(FAULTS[0], "from_s = 1.0\nfor_s = 3.0").await;
    let mut client = farm.boards()[0].open_stream(1 << 16);
    tokio::time::sleep(Duration::from_secs(2)).await;
    request(&mut client).await;
    let after = closed_after(client).await;
    assert_eq!(after.as_secs_f64().round(), 2.0, "{after:?}");
    farm.shut_down().await;
}

/// The fault is an answer without end, which the client does not read.
#[tokio::test(start_paused = true)]
async fn an_answer_that_nobody_reads_ends_with_its_fault() {
    let farm = farm(FAULTS[3], "for_s = 3.0").await;
    settle().await;
    let before = tasks();
    let client = ask(&farm).await;
    settle().await;
    assert_eq!(tasks(), before + 1);
    tokio::time::sleep(Duration::from_secs(3)).await;
    // The task that waited for the end of the fault has ended too.
    assert_eq!(tasks(), before - 1);
    drop(client);
    farm.shut_down().await;
}

/// The client waits until the fault ends, or until the longest time that a board holds a connection
/// has passed.
#[tokio::test(start_paused = true)]
async fn a_client_that_stays_waits_while_the_fault_lasts() {
    for fault in &FAULTS[..2] {
        let farm = farm(fault, "").await;
        settle().await;
        let client = ask(&farm).await;
        let after = closed_after(client).await;
        assert_eq!(after.as_secs(), LONGEST.as_secs(), "{fault}");
        farm.shut_down().await;
    }
}

/// A fault that makes a single call hang does not end at another call, nor at the end of another
/// fault.
#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_does_so_whatever_comes_after() {
    let hang = twotone_sim::fault::Hang {
        method: "get_samples".into(),
    };
    let hang: Scheduled = Fault::from(hang).during(0, 1);
    let other = FaultScript::parse("[[fault]]\nkind = \"server-error\"\nfrom_s = 1.0\nfor_s = 1.0");
    let farm = builder()
        .fault(0, hang)
        .script(other.unwrap())
        .start()
        .await
        .unwrap();
    let mut hung = ask(&farm).await;
    settle().await;
    let mut other = ask(&farm).await;
    let mut answer = [0; 15];
    other.read_exact(&mut answer).await.unwrap();
    let mut byte = [0];
    let waited = timeout(Duration::from_secs(10), hung.read(&mut byte)).await;
    assert!(waited.is_err(), "{waited:?}");
    farm.boards()[0].clear_faults();
    assert_eq!(hung.read(&mut byte).await.unwrap(), 0);
    farm.shut_down().await;
}
