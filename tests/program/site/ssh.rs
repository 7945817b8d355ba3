//! Tests of a client that reaches the daemon of a host over ssh. A real sshd serves one connection
//! at a time, without a port and without root. To tune is to set a tone on the resonance of each
//! detector.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::{Value, json};

use super::ends::end;
use super::{ControlHost, SiteFile, check_error, host};
use crate::serve::jobs::{slow, wait_for_tones};

/// Configures ssh for the site file in `folder`, so that every host name leads to this computer.
/// Returns `None` if there is no sshd on this computer, or if it refuses this user.
fn settings(folder: &Path) -> Option<()> {
    if !Path::new("/usr/sbin/sshd").exists() {
        println!("left out: no sshd (package openssh-server)");
        return None;
    }
    // If it runs as root, sshd needs this folder.
    let _ = fs::create_dir("/run/sshd");
    for key in ["host", "user"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
        let status = keygen.arg(folder.join(key)).stdin(Stdio::null()).status();
        assert!(status.expect("ssh-keygen runs").success());
    }
    let at = folder.display();
    let key = fs::read_to_string(folder.join("host.pub")).unwrap();
    let server = format!(
        "HostKey {at}/host\nPidFile none\nAuthorizedKeysFile {at}/user.pub\nUsePAM no\n\
         StrictModes no\nPasswordAuthentication no\n"
    );
    let client = format!(
        "Host *\nProxyCommand /usr/sbin/sshd -i -f {at}/sshd -E {at}/log\nHostKeyAlias here\n\
         UserKnownHostsFile {at}/known\nGlobalKnownHostsFile none\nIdentityFile {at}/user\n\
         IdentitiesOnly yes\nIdentityAgent none\nStrictHostKeyChecking yes\n"
    );
    fs::write(folder.join("known"), format!("here {key}")).unwrap();
    fs::write(folder.join("sshd"), server).unwrap();
    fs::write(folder.join("ssh_config"), client).unwrap();
    let mut ssh = Command::new("ssh");
    ssh.arg("-F").arg(folder.join("ssh_config"));
    let output = ssh
        .args(["-o", "BatchMode=yes", "here", "true"])
        .output()
        .unwrap();
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        println!("left out: sshd refuses this user: {words}");
        return None;
    }
    let path = folder.join("site.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("[ssh]", "[ssh]\nconfig = 'ssh_config'")).unwrap();
    Some(())
}

/// Starts a host that is reached over ssh and whose boards take some seconds to tune. Writes its
/// site file (the list of hosts). Returns `None` in the same cases as [`settings`].
fn slow_host() -> Option<(ControlHost, SiteFile)> {
    let north = ControlHost::start(slow("1"));
    let site = SiteFile::new(4, &[("north", north.control().replace("unix:", ""))]);
    settings(site.folder())?;
    Some((north, site))
}

/// Starts `twotone tune` in a process group of its own, as a shell does.
fn start_tune(site: &SiteFile) -> Child {
    let mut client = site.command(&["tune", "--out", "tonight", "--json"]);
    client.stdout(Stdio::piped()).stderr(Stdio::piped());
    client.process_group(0).spawn().unwrap()
}

#[test]
fn an_interrupt_at_the_terminal_is_for_the_jobs_and_not_for_ssh() {
    let Some((north, site)) = slow_host() else {
        return;
    };
    let client = start_tune(&site);
    wait_for_tones(&north.sim);
    // A terminal sends the interrupt to the whole process group.
    kill_process_group(Pid::from_child(&client), Signal::INT).unwrap();
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(130), "{err}");
    assert_eq!(host(&answer, "north")["status"], 130, "{answer}");
    assert!(!err.contains("once more"), "{err}");
    assert!(!north.has_tones_on());
}

#[test]
fn a_connection_that_is_cut_is_made_anew_and_the_same_job_is_followed_on() {
    let Some((north, site)) = slow_host() else {
        return;
    };
    let client = start_tune(&site);
    wait_for_tones(&north.sim);
    // The only child of the client is ssh. Any of the client's threads may have started it.
    let tasks = fs::read_dir(format!("/proc/{}/task", client.id())).unwrap();
    let children = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("children")));
    let children: String = children.map(Result::unwrap).collect();
    let ssh: i32 = children.trim().parse().expect("one child");
    kill_process(Pid::from_raw(ssh).unwrap(), Signal::KILL).unwrap();
    let (status, answer, err) = end(client);
    assert_eq!(status, Some(0), "{err}");
    assert!(
        err.contains("north: ") && err.contains("once more"),
        "{err}"
    );
    let told = host(&answer, "north");
    assert_eq!(
        (&told["job"], &told["status"]),
        (&json!(1), &json!(0)),
        "{told}"
    );
    assert_eq!(told["report"]["boards"][0]["status"], "ok", "{told}");
    assert_eq!(north.daemon.json("/jobs").as_array().unwrap().len(), 1);
}

#[test]
fn daemons_are_reached_over_ssh_as_a_deployment_reaches_their_hosts() {
    let (north, east) = (ControlHost::quick("1"), ControlHost::quick("1"));
    let socket = |one: &ControlHost| one.control().replace("unix:", "");
    let tables = [
        ("north", socket(&north)),
        ("south", "control = '/nowhere/control.sock'".to_owned()),
        (
            "east",
            format!("address = 'east.example'\n{}", socket(&east)),
        ),
    ];
    let site = SiteFile::new(2, &tables);
    let Some(()) = settings(site.folder()) else {
        return;
    };
    let (status, answer) = site.json(&["tune", "--out", "tonight"]);
    assert_eq!(status, 3, "{answer}");
    for (name, at) in [("north", "ssh north"), ("east", "ssh east.example")] {
        let told = host(&answer, name);
        assert_eq!(
            (&told["at"], &told["status"]),
            (&json!(at), &json!(0)),
            "{told}"
        );
        assert_eq!(told["report"]["boards"][0]["status"], "ok", "{told}");
    }
    let south = host(&answer, "south");
    check_error(
        south,
        json!("unreachable"),
        json!("not_executed"),
        "/nowhere/control.sock",
    );
    assert!(north.has_tones_on() && east.has_tones_on());
    // The daemon knows the name of the user who has given it the job (the command that it runs).
    assert!(north.daemon.job(1)["by"].is_string());
    let (status, table, err) = site.run(&["off", "--only", "north", "--only", "east"]);
    assert_eq!(status, 0, "{table}{err}");
    assert!(!north.has_tones_on() && !east.has_tones_on());

    // ssh refuses a host whose key is not the known one. The error message says what to do.
    fs::write(site.folder().join("known"), "").unwrap();
    let (status, answer) = site.json(&["status"]);
    assert_eq!(status, 4, "{answer}");
    for name in ["north", "south", "east"] {
        let told = host(&answer, name);
        check_error(
            told,
            json!("unreachable"),
            json!("not_executed"),
            "by hand once",
        );
        assert_eq!(told["version"], Value::Null);
    }
}
