//! Benchmark of deployments (installing a version of twotone) to one throw-away control host and to
//! eight at the same time. Each deployment is made a second time, which changes nothing. `cargo
//! xtask bench` sets the archive to deploy and makes sure that this computer can run such hosts.

#![allow(
    clippy::disallowed_methods,
    reason = "it waits for processes of throw-away hosts, and measures wall time"
)]

use std::error::Error;
use std::time::Instant;

use serde_json::{Value, json};

use lab::{Lab, Told};

#[path = "../tests/deploy/lab.rs"]
#[allow(
    dead_code,
    clippy::disallowed_methods,
    reason = "the tests use the rest of it, and it waits for processes of throw-away hosts"
)]
mod lab;
#[path = "../../tests/bench/table.rs"]
mod table;

/// Environment variable with the path of the archive to deploy.
const VARIABLE: &str = "TWOTONE_RELEASE";

/// Number of deployments of each kind. Each deployment has new hosts.
const ROUNDS: usize = 3;

/// Hardware map (list of boards) with a board that does not exist. The daemon is healthy even
/// without this board.
const MAP: &str = "[[board]]\nname = 'b0'\nkind = 'crs'\naddress = '127.0.0.1:9'\n";

fn main() -> Result<(), Box<dyn Error>> {
    let json = std::env::args().any(|argument| argument == "--json");
    let archive = std::env::var(VARIABLE)?;
    let size = std::fs::metadata(&archive)?.len();
    let mut rows = Vec::new();
    for hosts in [1, 8] {
        rows.extend(deployments(hosts, &archive, size)?);
    }
    let conditions = json!({
        "archive": archive.rsplit('/').next(), "archive_bytes": size, "rounds": ROUNDS,
        "hosts": "throw-away ones on this machine, with systemd and sshd, on a bridge without delay",
        // This value must be the same as in the site file that `Lab::site` writes.
        "new_version_must_be_steady_s": 1,
        "processors": std::thread::available_parallelism()?.get(),
    });
    table::print("deploy", &conditions, &rows, json);
    Ok(())
}

/// Deploys to hosts on which nothing is installed, and then deploys the same version again. Returns
/// the rows of the table.
fn deployments(hosts: usize, archive: &str, size: u64) -> Result<Vec<Value>, Box<dyn Error>> {
    let (mut first, mut again) = (Vec::new(), Vec::new());
    let (mut sent, mut sent_again) = (0, 0);
    for _ in 0..ROUNDS {
        let lab = Lab::start(hosts);
        lab.write("map.toml", MAP);
        lab.site("map = 'map.toml'", |_| String::new());
        let (time, bytes) = deploy(&lab, archive, "active")?;
        first.push(time);
        sent = sent.max(bytes);
        let (time, bytes) = deploy(&lab, archive, "unchanged")?;
        again.push(time);
        sent_again = sent_again.max(bytes);
    }
    let to = match hosts {
        1 => "1 host".to_owned(),
        _ => format!("{hosts} hosts"),
    };
    let whole = size * hosts as u64;
    Ok(vec![
        json!({"name": format!("deploy to {to}, median"), "value": median(first), "unit": "s"}),
        json!({
            "name": format!("deploy to {to}: sent"), "value": sent, "unit": "bytes",
            "peer": "the archive, to each", "peer_value": whole,
            "ratio": sent as f64 / whole as f64,
        }),
        json!({
            "name": format!("the same again to {to}, median"), "value": median(again), "unit": "s",
        }),
        json!({
            "name": format!("the same again to {to}: sent"), "value": sent_again, "unit": "bytes",
            "limit": 0, "pass": sent_again == 0,
        }),
    ])
}

/// Deploys to all hosts. The result must be `result` on each of them. Returns the time in seconds,
/// and the number of bytes that were sent to all hosts together.
fn deploy(lab: &Lab, archive: &str, result: &str) -> Result<(f64, u64), Box<dyn Error>> {
    let begun = now();
    let told: Told = lab.deploy(&["--archive", archive]);
    let seconds = begun.elapsed().as_secs_f64();
    let mut bytes = 0;
    for index in 0..lab.hosts.len() {
        if told.host(index, "result") != result {
            return Err(format!("not every host is `{result}`: {:#}", told.report).into());
        }
        let sent = told.host(index, "sent_bytes").as_u64();
        bytes += sent.ok_or("the bytes are not told")?;
    }
    Ok((seconds, bytes))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn now() -> Instant {
    Instant::now()
}
