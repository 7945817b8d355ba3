use std::fs;
use std::process::Stdio;

use super::*;
use crate::deploy::site::Site;

#[test]
fn a_script_that_tells_no_end_has_no_status() {
    for (told, expected) in [
        ("m begin\nm end 0\n", Some((0, ""))),
        (
            "Welcome!\nm begin\na 1\nb 2\nm end 3\nbye\n",
            Some((3, "a 1\nb 2\n")),
        ),
        (
            "m begin\nno end of its linem end 0\n",
            Some((0, "no end of its line")),
        ),
        ("m begin\na 1\nm end 1", None),
        ("m begin\na 1\nm en", None),
        ("m begin\na 1\n", None),
        ("m end 0\n", None),
        ("", None),
    ] {
        assert_eq!(between_marks(told, "m"), expected, "{told:?}");
    }
}

#[test]
fn errors_of_ssh_have_a_remedy() {
    for (words, expected) in [
        ("", "ssh ended"),
        (
            "banner\nssh: connect to host a port 22: Connection refused\r\n",
            "refused",
        ),
        ("Host key verification failed.\r\n", "ssh a.example"),
        ("root@a: Permission denied (publickey).", "ssh a.example"),
    ] {
        let advised = advised(words, "a.example");
        assert!(advised.contains(expected), "{advised}");
    }
}

/// Returns a site whose host is a local ssh server, started for one connection at a time. It needs
/// neither a port nor root. Returns `None` if there is no sshd on this computer.
fn server(folder: &Path) -> Option<Site> {
    if !Path::new("/usr/sbin/sshd").exists() {
        println!("left out: no sshd (package openssh-server)");
        return None;
    }
    // If sshd runs as root, it needs this folder.
    let _ = fs::create_dir("/run/sshd");
    for key in ["host", "user"] {
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]);
        let status = keygen.arg(folder.join(key)).stdin(Stdio::null()).status();
        assert!(status.expect("ssh-keygen runs").success());
    }
    let at = folder.display();
    let host_key = fs::read_to_string(folder.join("host.pub")).expect("a key");
    let lines = [
        ("known", format!("here {host_key}")),
        (
            "sshd",
            format!(
                "HostKey {at}/host\nPidFile none\nAuthorizedKeysFile {at}/user.pub\nUsePAM no\n\
                 StrictModes no\nPasswordAuthentication no\n"
            ),
        ),
        (
            "ssh",
            format!(
                "Host *\nProxyCommand /usr/sbin/sshd -i -f {at}/sshd -E {at}/log\n\
                 HostKeyAlias here\nUserKnownHostsFile {at}/known\nGlobalKnownHostsFile none\n\
                 IdentityFile {at}/user\nIdentitiesOnly yes\nIdentityAgent none\n\
                 StrictHostKeyChecking yes\n"
            ),
        ),
        (
            "site.toml",
            "[ssh]\nconfig = 'ssh'\nattempts = 2\n[[host]]\nname = 'here'\n".to_owned(),
        ),
    ];
    for (name, text) in lines {
        fs::write(folder.join(name), text).expect("the folder is writable");
    }
    Some(Site::read(&folder.join("site.toml"), &[]).expect("a good file"))
}

#[test]
fn scripts_and_files_reach_a_real_server() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let Some(site) = server(folder.path()) else {
        return;
    };
    let sockets = Sockets::new().expect("a folder");
    let mut remote = Remote::new(&site.hosts[0], &site.ssh, &sockets);
    if let Err(failure) = remote.connect() {
        // One possible reason is that the account of this user is locked.
        println!("left out: sshd refuses this user: {failure:?}");
        return;
    }
    // In the first round, all commands share a connection. In the second round, each command has
    // its own.
    for _ in 0..2 {
        let told = remote.script("echo \"$2 $1\"; cat", &["a", "b~1"]);
        assert_eq!(told, Ok("b~1 a\n".to_owned()));
        let refused = |script| {
            remote
                .script(script, &[])
                .map_err(|it| it.text().to_owned())
        };
        assert_eq!(
            refused("echo why >&2; false; echo on"),
            Err("why".to_owned())
        );
        assert_eq!(refused("exit 255"), Err(String::new()));
        let cut = remote.script_once("kill -9 $PPID", &[]);
        assert!(matches!(cut, Err(Failure::Cut(_))), "{cut:?}");
        let unsafe_argument = remote.script("true", &["$(reboot)"]);
        assert!(matches!(unsafe_argument, Err(Failure::Refused(_))));

        let to = folder.path().join("sent");
        let _ = fs::remove_file(&to);
        let target = to.display().to_string();
        let before = remote.sent();
        remote
            .send_bytes(&b"cdef"[..], 2, &target)
            .expect("it is sent");
        remote
            .send_bytes(&b"abc"[..], 0, &target)
            .expect("it is sent");
        assert_eq!(fs::read(&to).expect("it has come"), b"abcdef");
        assert_eq!(remote.sent() - before, 7);
        let nowhere = remote.send_bytes(&b"a"[..], 0, "/nowhere/at/all");
        assert!(matches!(nowhere, Err(Failure::Refused(text)) if text.contains("No such file")));
        remote.disconnect();
    }
}

#[test]
fn a_host_with_another_key_is_not_reached() {
    let folder = tempfile::TempDir::new().expect("a folder");
    let Some(site) = server(folder.path()) else {
        return;
    };
    fs::write(folder.path().join("known"), "").expect("the folder is writable");
    let sockets = Sockets::new().expect("a folder");
    let mut remote = Remote::new(&site.hosts[0], &site.ssh, &sockets);
    let failure = remote.connect().expect_err("the key is not known");
    assert!(
        matches!(&failure, Failure::Unreachable(text) if text.contains("ssh here")),
        "{failure:?}"
    );
}
