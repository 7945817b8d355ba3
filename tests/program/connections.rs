//! Tests that a simulator closes its file descriptors if its boards have faults and their clients
//! disappear.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::process::{SimProcess, write};

const CLIENTS: usize = 50;

/// Number of descriptors that the simulator may open for itself after it is ready.
const OF_ITS_OWN: usize = 2;

/// Waits until `done` is true. Fails if it is not after 20 s.
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let (tell, told) = std::sync::mpsc::channel::<()>();
    let waited = (0..2000).any(|_| {
        let done = done();
        if !done {
            let _ = told.recv_timeout(Duration::from_millis(10));
        }
        done
    });
    drop(tell);
    assert!(waited, "{what}");
}

/// Opens a connection, and sends a request for samples and the head of a second request.
fn ask(address: &str) -> TcpStream {
    let body = r#"[{"object":"Dfmux","method":"get_samples","args":[1],"kwargs":{"channel":1,"module":1}}]"#;
    let length = body.len();
    let head = format!("POST /tuber HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let mut client = TcpStream::connect(address).unwrap();
    client
        .write_all(format!("{head}{body}{head}").as_bytes())
        .unwrap();
    client
}

/// Waits until the number of file descriptors of the simulator has stayed the same for a while, and
/// returns it. At first the simulator opens and closes some for itself.
fn settled_descriptors(sim: &SimProcess) -> usize {
    let (mut number, mut same) = (sim.descriptors(), 0);
    wait_until("descriptors that stay as many", || {
        let now = sim.descriptors();
        same = if now == number { same + 1 } else { 0 };
        number = now;
        same == 10
    });
    number
}

fn check(fault: &str, leave: fn(TcpStream)) {
    let folder = tempfile::tempdir().unwrap();
    let faults = write(
        folder.path(),
        "faults.toml",
        &format!("[[fault]]\n{fault}\n"),
    );
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "1", "--faults", &faults]);
    let map = twotone::map::HardwareMap::load(sim.map()).unwrap();
    let address = map.boards()[0].address().to_string();
    let before = settled_descriptors(&sim);
    let clients: Vec<_> = (0..CLIENTS).map(|_| ask(&address)).collect();
    wait_until(&format!("{fault}: not connected"), || {
        sim.descriptors() >= before + CLIENTS
    });
    clients.into_iter().for_each(leave);
    wait_until(&format!("{fault}: descriptors stay"), || {
        sim.descriptors() <= before
    });
}

#[test]
fn clients_that_have_gone_leave_no_descriptors_whatever_the_fault_is() {
    for fault in [
        "kind = \"black-hole\"",
        "kind = \"hang\"\nmethod = \"get_samples\"",
        "kind = \"slow\"\ndelay_ms = 3_600_000",
        "kind = \"huge-answer\"\nbytes = 1_099_511_627_776",
    ] {
        check(fault, drop);
    }
    // The clients of this check close the sending side only.
    check("kind = \"black-hole\"", |client| {
        client.shutdown(Shutdown::Write).unwrap();
        // The client stays until the end of the test, so that the board must close the connection
        // first.
        std::mem::forget(client);
    });
}

#[test]
fn clients_that_stay_leave_none_when_the_fault_is_over() {
    let folder = tempfile::tempdir().unwrap();
    let fault = "[[fault]]\nkind = \"black-hole\"\nfor_s = 6.0\n";
    let faults = write(folder.path(), "faults.toml", fault);
    let sim = SimProcess::start(&["--boards", "1", "--detectors", "1", "--faults", &faults]);
    let map = twotone::map::HardwareMap::load(sim.map()).unwrap();
    let address = map.boards()[0].address().to_string();
    let before = settled_descriptors(&sim);
    let _clients: Vec<_> = (0..CLIENTS).map(|_| ask(&address)).collect();
    wait_until("not connected", || sim.descriptors() >= before + CLIENTS);
    // The simulator may have opened some file descriptors for itself since it was ready.
    wait_until("descriptors stay", || {
        sim.descriptors() <= before + OF_ITS_OWN
    });
}
