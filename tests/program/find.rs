//! `twotone find`, and boards that are reached by their names, in a network namespace of their own.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use twotone::transport::wire::crs::boot::{BEACON_PORT, Beacon};
use twotone::transport::wire::mdns::{self, Announced, Message, Name};

use super::process::{locks, run, run_json};

/// Runs a script in a new network namespace, where only loopback exists, with the program as
/// `$twotone` and a folder as `$folder`. `None`, with a remark, if no namespace can be made here,
/// which is a failure with `CI=true`.
fn in_namespace(folder: &Path, script: &str) -> Option<Output> {
    let mut unshare = Command::new("unshare");
    unshare.args(["--user", "--map-root-user", "--net", "sh", "-euc"]);
    unshare.arg(format!("ip link set lo up\n{script}"));
    unshare.env("twotone", env!("CARGO_BIN_EXE_twotone"));
    unshare.env("TWOTONE_LOCKS", locks()).env("folder", folder);
    let mut probe = Command::new("unshare");
    probe.args([
        "--user",
        "--map-root-user",
        "--net",
        "sh",
        "-c",
        "ip link set lo up",
    ]);
    let probed = probe.stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !probed.is_ok_and(|status| status.success()) {
        let why = "no network namespace can be made here (unshare, ip)";
        assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "{why}");
        eprintln!("left out: {why}");
        return None;
    }
    Some(unshare.stdin(Stdio::null()).output().expect("a shell"))
}

/// Functions of a script: `until_so` tries a command until it is true, a number of times, and
/// `start` starts a farm with multicast DNS and waits until it is ready.
const FUNCTIONS: &str = r#"
until_so() {
    tries=0
    until eval "$2"; do tries=$((tries + 1)); [ $tries -lt $1 ]; sleep 0.05; done
}
start() {
    "$twotone" sim --with-parent --mdns --detectors 8 --write-map "$folder/own.toml" "$@" > "$folder/ready" &
    until_so 600 'grep -q ready "$folder/ready"'
}
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check(script: &str) -> Option<(String, String)> {
    let folder = tempfile::tempdir().unwrap();
    let output = in_namespace(folder.path(), &format!("{FUNCTIONS}{script}"))?;
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    Some((out, err))
}

#[test]
fn the_boards_of_a_network_are_listed_and_their_map_is_used() {
    let Some((out, err)) = check(
        r#"
start --boards 3 --stream when-any-joined
"$twotone" find --ask
"$twotone" find --seconds 1.5 --map > "$folder/map.toml"
"$twotone" check "$folder/map.toml"
"$twotone" info "$folder/map.toml" --json
"#,
    ) else {
        return;
    };
    let mut lines = out.lines();
    let heading = lines.next().unwrap();
    assert!(heading.starts_with("serial  address"), "{out}");
    for serial in ["0001", "0002", "0003"] {
        let row = lines.next().unwrap();
        let cells: Vec<_> = row.split_whitespace().collect();
        assert_eq!(cells[0], serial, "{out}");
        assert_eq!(cells[2], format!("rfmux{serial}.local"));
        assert_eq!(cells[3..], ["1.7.0-sim", "mdns", "stream"]);
    }
    let info: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    for (index, board) in info["boards"].as_array().unwrap().iter().enumerate() {
        let address = board["address"].as_str().unwrap();
        assert!(
            address.starts_with(&format!("rfmux000{}.local:", index + 1)),
            "{address}"
        );
        assert_eq!(board["firmware"], "1.7.0-sim", "{out}\n{err}");
    }
}

#[test]
fn boards_in_their_boot_window_are_listed_and_an_empty_network_is_told() {
    let Some((out, _)) = check(
        r#"
set +e
"$twotone" find --seconds 0.5 --json
echo "status $?"
start --boards 2 --boot-window 60
"$twotone" find --seconds 1 --json --map --no-streams
echo "status $?"
"$twotone" find --seconds 1 --interface no-such --json
echo "status $?"
true
"#,
    ) else {
        return;
    };
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        (lines[1], lines[3], lines[4]),
        ("status 4", "status 0", "status 2"),
        "{out}"
    );
    let empty: Value = serde_json::from_str(lines[0]).unwrap();
    assert_eq!((&empty["ok"], &empty["map"]), (&true.into(), &Value::Null));
    assert_eq!(empty["ways"].as_array().unwrap().len(), 3, "{empty}");
    let found: Value = serde_json::from_str(lines[2]).unwrap();
    assert_eq!(found["ways"].as_array().unwrap().len(), 2, "{found}");
    let boards = found["boards"].as_array().unwrap();
    assert_eq!(boards.len(), 2, "{found}");
    assert_eq!(boards[0]["found_by"], serde_json::json!(["beacon"]));
    assert!(found["map"].as_str().unwrap().contains("serial = \"0002\""));
}

/// Variable of the environment that makes the test below act as a board.
const IS_BOARD: &str = "TWOTONE_TEST_IS_BOARD";

/// Acts as a board at 10.9.0.42 until it is ended: it broadcasts beacons of another serial number,
/// and answers multicast DNS with a service of a type that this project does not know.
fn act_as_a_board() {
    let address = Ipv4Addr::new(10, 9, 0, 42);
    let service: Name = "_telemetry._tcp.local".parse().unwrap();
    let board = Announced {
        host: "rfmux0042.local".parse().unwrap(),
        address,
        instance: service.with_first("Board 42").unwrap(),
        service,
        port: 9100,
        texts: [("release".to_owned(), "1.7.0".to_owned())].into(),
    };
    let beacon = Beacon {
        version: 1,
        serial: "0077".to_owned(),
        crate_serial: Some("011".to_owned()),
    };
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, mdns::PORT)).unwrap();
    socket.join_multicast_v4(&mdns::GROUP, &address).unwrap();
    socket.set_broadcast(true).unwrap();
    let wait = Some(Duration::from_millis(100));
    socket.set_read_timeout(wait).unwrap();
    let mut bytes = [0; mdns::LONGEST_MESSAGE];
    loop {
        let everybody = (Ipv4Addr::BROADCAST, BEACON_PORT);
        socket.send_to(&beacon.emit(), everybody).unwrap();
        let Ok((length, _)) = socket.recv_from(&mut bytes) else {
            continue;
        };
        let query = Message::parse(&bytes[..length]).unwrap();
        if let Some(answer) = board.answer(&query, false) {
            let group = (mdns::GROUP, mdns::PORT);
            socket.send_to(&answer.emit().unwrap(), group).unwrap();
        }
    }
}

#[test]
fn a_board_on_another_computer_is_found_on_its_interface_alone() {
    if std::env::var_os(IS_BOARD).is_some() {
        return act_as_a_board();
    }
    let own = std::env::current_exe().unwrap();
    let script = format!(
        r#"
export {IS_BOARD}=1
test=find::a_board_on_another_computer_is_found_on_its_interface_alone
unshare --net sh -euc "until ip link show v1; do sleep 0.05; done
    ip addr add 10.9.0.42/24 dev v1; ip link set v1 up; ip route add default dev v1
    exec {own} --exact $test" > "$folder/board" 2>&1 &
board=$!
trap 'kill $board' EXIT
ip link add v0 type veth peer name v1
until_so 600 '[ "$(readlink /proc/$board/ns/net)" != "$(readlink /proc/$$/ns/net)" ]'
ip link set v1 netns $board
ip addr add 10.9.0.1/24 dev v0
ip link set v0 up
until_so 20 '
    kill -0 $board
    "$twotone" find --interface v0 --seconds 1 > "$folder/found"
    [ "$(grep -c 10.9.0.42:80 "$folder/found")" = 2 ]
'
"$twotone" find --json || true
"$twotone" find --interface lo --seconds 0.5 --json || true
printf '[[board]]\nname = "a"\nkind = "crs"\nserial = "0042"\n' > "$folder/map.toml"
"$twotone" info "$folder/map.toml" --json || true
"#,
        own = own.display()
    );
    let Some((out, err)) = check(&script) else {
        return;
    };
    let lines = out.lines().map(|line| serde_json::from_str(line).unwrap());
    let lines: Vec<Value> = lines.collect();
    let [found, other, info] = &lines[..] else {
        panic!("{out}\n{err}");
    };
    let boards = &found["boards"];
    assert_eq!(boards[0]["hosts"][0], "rfmux0042.local", "{found}");
    let service = &boards[0]["services"][0];
    assert_eq!(service["name"], "board 42._telemetry._tcp.local");
    assert_eq!(
        (&service["port"], &service["texts"]["release"]),
        (&9100.into(), &"1.7.0".into())
    );
    assert_eq!(
        (&boards[1]["serial"], &boards[1]["crate"]),
        (&"0077".into(), &"011".into())
    );
    for board in boards.as_array().unwrap() {
        let conflict = board["conflicts"][0].as_str().unwrap();
        assert!(conflict.contains("10.9.0.42 has several serial numbers: 0042, 0077"));
    }
    assert_eq!(other["boards"], serde_json::json!([]), "{other}");
    // Its name is known, and no server listens at its address.
    let message = info["boards"][0]["error"]["message"].as_str().unwrap();
    assert!(message.contains("Connection refused"), "{message}");
}

#[test]
fn mistakes_in_the_arguments_are_told() {
    for args in [
        &["--seconds", "0"][..],
        &["--seconds", "1e9"],
        &["--beacons", "x"],
    ] {
        let (status, out, err) = run(&[&["find"], args].concat());
        assert_eq!((status, out.as_str()), (2, ""), "{err}");
    }
    let (status, _, err) = run(&["find", "--interface", "no-such"]);
    assert_eq!(status, 2);
    assert!(
        err.contains("there is no interface `no-such`") && err.contains("127.0.0.1"),
        "{err}"
    );
}

#[test]
fn nothing_on_loopback_is_found_unless_it_is_there() {
    // Other farms of this computer do not answer multicast DNS. Their streams and beacons are not
    // listened to here.
    let args = [
        "find",
        "--interface",
        "127.0.0.1",
        "--seconds",
        "0.5",
        "--no-streams",
    ];
    let (status, report) = run_json(&[&args[..], &["--beacons", "127.0.0.1:0"]].concat());
    assert_eq!(status, 4, "{report}");
    assert_eq!(report["boards"], serde_json::json!([]));
}
