//! Throw-away control hosts for tests of deployments. The script `lab.sh` makes them, with a real
//! systemd, a real sshd and a real network. A site file lists the hosts for `cargo xtask deploy`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Longest time to wait for anything. It is far longer than any step takes.
const LIMIT: Duration = Duration::from_secs(120);

/// Interval at which the tests check a condition.
const POLL_INTERVAL: Duration = Duration::from_millis(30);

/// A site: control hosts on a private network. The site ends with the test, even if the test fails
/// or is killed.
pub(crate) struct Lab {
    folder: TempDir,
    site: Child,
    /// Pipe to the process of the site. It is closed at the end of the test, and this ends the
    /// site.
    _stays: ChildStdin,
    /// Number of the process that holds the namespaces of the site.
    process: String,
    pub(crate) hosts: Vec<Host>,
}

/// A control host. `index` 0 has the name `host0` and the address 192.0.2.10.
pub(crate) struct Host {
    pub(crate) name: String,
    pub(crate) number: usize,
    enter: Vec<String>,
    process: String,
}

impl Lab {
    /// Starts a site with `hosts` hosts, and waits until they answer.
    pub(crate) fn start(hosts: usize) -> Self {
        Self::start_with(hosts, |_| {})
    }

    /// Does the same as [`Self::start`], but calls `before` with the folder of the site before the
    /// hosts start.
    pub(crate) fn start_with(hosts: usize, before: impl Fn(&Path)) -> Self {
        let folder = TempDir::with_prefix("tt").expect("a folder");
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/deploy/lab.sh");
        let mut site = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args([
                "--mount-proc",
                "--propagation",
                "private",
                "sh",
                script,
                "site",
            ])
            .arg(folder.path())
            .stdin(Stdio::piped())
            .spawn()
            .expect("unshare runs");
        let stays = site.stdin.take().expect("a pipe");
        let children = format!("/proc/{0}/task/{0}/children", site.id());
        let process = until("the site starts", || {
            let told = fs::read_to_string(&children).ok()?;
            told.split_whitespace().next().map(str::to_owned)
        });
        let mut lab = Self {
            folder,
            site,
            _stays: stays,
            process,
            hosts: Vec::new(),
        };
        until("the site is ready", || {
            lab.path("ready").exists().then_some(())
        });
        fs::copy(script, lab.path("lab.sh")).expect("the script is there");
        before(&lab.path(""));
        for index in 0..hosts {
            let host = Host {
                name: format!("host{index}"),
                number: index + 10,
                enter: lab.enter(),
                process: String::new(),
            };
            lab.hosts.push(host);
        }
        for index in 0..hosts {
            lab.boot(index);
        }
        let base = lab.folder.path().display();
        let config = format!(
            "Host *\nUser root\nIdentityFile {base}/key\nIdentitiesOnly yes\nIdentityAgent none\n\
             UserKnownHostsFile {base}/known_hosts\nGlobalKnownHostsFile none\n\
             StrictHostKeyChecking yes\n"
        );
        lab.write("ssh_config", &config);
        for index in 0..hosts {
            lab.await_ssh(index);
        }
        lab
    }

    /// Path of a file in the folder of the site, as programs that run in the site see it.
    pub(crate) fn path_inside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Path of a file in the folder of the site, as this test sees it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let base = self
            .folder
            .path()
            .strip_prefix("/")
            .expect("an absolute path");
        Path::new("/proc")
            .join(&self.process)
            .join("root")
            .join(base)
            .join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the folder of the site is writable");
    }

    /// First words of a command line that runs a program in the namespaces of the site.
    fn enter(&self) -> Vec<String> {
        let words = ["nsenter", "-t", &self.process, "-m", "-n", "-p", "--"];
        words.map(str::to_owned).to_vec()
    }

    /// Command that runs in the site, ready to be started.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        command(&self.enter(), words)
    }

    /// Starts a host, for the first time or after a loss of power.
    pub(crate) fn boot(&mut self, index: usize) {
        let number = self.hosts[index].number.to_string();
        let name = self.hosts[index].name.clone();
        let script = self.folder.path().join("lab.sh").display().to_string();
        let base = self.folder.path().display().to_string();
        let mut start = self.command(&["sh", &script, "host", &base, &name, &number]);
        assert!(start.status().expect("sh runs").success(), "{name} starts");
        let pid = self.path(&name).join("pid");
        self.hosts[index].process = fs::read_to_string(pid)
            .expect("its process")
            .trim()
            .to_owned();
    }

    /// Waits until a host answers ssh.
    pub(crate) fn await_ssh(&self, index: usize) {
        let config = self.folder.path().join("ssh_config").display().to_string();
        let address = format!("192.0.2.{}", self.hosts[index].number);
        until("a host answers ssh", || {
            let options = [
                "-F",
                &config,
                "-o",
                "ConnectTimeout=2",
                "-o",
                "BatchMode=yes",
            ];
            let mut ssh = self.command(&[&["ssh"], &options[..], &[&address, "true"]].concat());
            let output = ssh.output().expect("ssh runs");
            output.status.success().then_some(())
        });
    }

    /// Takes the power from a host, gives it back, and waits until the host answers.
    pub(crate) fn lose_power(&mut self, index: usize) {
        self.cut_power(index);
        self.boot(index);
        self.await_ssh(index);
    }

    /// Takes the power from a host: all its processes are killed.
    pub(crate) fn cut_power(&self, index: usize) {
        let host = &self.hosts[index];
        let mut kill = self.command(&["kill", "-9", &host.process]);
        assert!(kill.status().expect("kill runs").success());
        let gone = format!("/proc/{}", host.process);
        until("the host is gone", || {
            let there = self.command(&["test", "-e", &gone]).status();
            (!there.expect("test runs").success()).then_some(())
        });
    }

    /// Sets the network link of a host `up` or `down`.
    pub(crate) fn link(&self, index: usize, state: &str) {
        let link = format!("v{}", self.hosts[index].number);
        let status = self.command(&["ip", "link", "set", &link, state]).status();
        assert!(status.expect("ip runs").success());
    }

    /// Writes a site file for the hosts. `keys` are the keys that apply to all hosts, and `of`
    /// returns the keys of one host.
    pub(crate) fn site(&self, keys: &str, of: impl Fn(usize) -> String) {
        let mut text = format!(
            "[ssh]\nconfig = 'ssh_config'\nconnect_seconds = 4\nsilence_seconds = 4\n\
             attempts = 3\n[defaults]\nsteady_seconds = 1\nhealth_seconds = 20\n{keys}\n"
        );
        for (index, host) in self.hosts.iter().enumerate() {
            text += &format!(
                "[[host]]\nname = '{}'\naddress = '192.0.2.{}'\n{}\n",
                host.name,
                host.number,
                of(index)
            );
        }
        self.write("site.toml", &text);
    }

    /// Command that runs `cargo xtask deploy` in the site, ready to be started.
    fn deployer(&self, words: &[&str]) -> Command {
        self.verb("deploy", words)
    }

    /// Command that runs a subcommand `verb` of `cargo xtask` in the site, ready to be started.
    fn verb(&self, verb: &str, words: &[&str]) -> Command {
        let site = self.path_inside("site.toml");
        let first = [env!("CARGO_BIN_EXE_xtask"), verb, "--json", "--site", &site];
        let mut command = self.command(&[&first[..], words].concat());
        command
            .env("CARGO_MANIFEST_DIR", env!("CARGO_MANIFEST_DIR"))
            .env("TMPDIR", "/tmp")
            .env("USER", "tester");
        command
    }

    /// Command that runs `twotone --site` in the site, ready to be started.
    pub(crate) fn of_site(&self, program: &str, words: &[&str]) -> Command {
        let site = self.path_inside("site.toml");
        let first = [program, "--json", "--site", &site];
        let mut command = self.command(&[&first[..], words].concat());
        command.env("TMPDIR", "/tmp").env_remove("TWOTONE_LOCKS");
        command
    }

    /// Starts `cargo xtask deploy`.
    pub(crate) fn start_deploy(&self, words: &[&str]) -> Deployer {
        let mut command = self.deployer(words);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Deployer(command.spawn().expect("xtask runs"))
    }

    /// Runs the subcommand `verb` of `cargo xtask`, which must fail. Returns its standard error.
    pub(crate) fn verb_fails(&self, verb: &str, words: &[&str]) -> String {
        let output = self.verb(verb, words).output().expect("xtask runs");
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// Runs the subcommand `verb` of `cargo xtask`, and returns its output.
    pub(crate) fn xtask(&self, verb: &str, words: &[&str]) -> Told {
        Told::of(&self.verb(verb, words).output().expect("xtask runs"))
    }

    /// Runs `cargo xtask deploy`, and returns its output.
    pub(crate) fn deploy(&self, words: &[&str]) -> Told {
        Told::of(&self.deployer(words).output().expect("xtask runs"))
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.site.kill();
        let _ = self.site.wait();
        // Removes the control groups of the hosts. Groups of other tests have other names.
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let mut mounts = mounts
            .lines()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        let top = mounts.find(|words| words.get(2) == Some(&"cgroup2"));
        if let (Some(top), Some(name)) = (top, self.folder.path().file_name()) {
            for host in &self.hosts {
                let group = format!("tt-deploy-{}-{}", name.to_string_lossy(), host.name);
                let group = Path::new(top[1]).join(group);
                let events = group.join("cgroup.events");
                let ended = || {
                    let events = fs::read_to_string(&events).unwrap_or_default();
                    (!events.contains("populated 1")).then_some(())
                };
                until("the processes of a host end", ended);
                let _ = Command::new("find")
                    .arg(&group)
                    .args(["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"])
                    .stderr(Stdio::null())
                    .status();
            }
        }
    }
}

impl Host {
    /// First words of a command line that runs a program in the namespaces of the host.
    fn enter(&self) -> Vec<String> {
        let inner = [
            "nsenter",
            "-t",
            &self.process,
            "-m",
            "-p",
            "-n",
            "-u",
            "-i",
            "-C",
            "--",
        ];
        [self.enter.clone(), inner.map(str::to_owned).to_vec()].concat()
    }

    /// Runs a script of `sh` on the host, and returns what it prints.
    #[track_caller]
    pub(crate) fn sh(&self, script: &str) -> String {
        let output = self.try_sh(script);
        let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{}: {script}: {told}{words}",
            self.name
        );
        told
    }

    /// Runs a script of `sh` on the host.
    pub(crate) fn try_sh(&self, script: &str) -> Output {
        let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut command = command(&self.enter(), &["env", "-i", path, "sh", "-c", script]);
        command.output().expect("nsenter runs")
    }

    /// Waits until a script of `sh` succeeds on the host.
    pub(crate) fn until(&self, what: &str, script: &str) {
        until(what, || self.try_sh(script).status.success().then_some(()));
    }
}

/// A run of `cargo xtask deploy`.
pub(crate) struct Deployer(Child);

impl Deployer {
    /// Waits for the end of the run, and returns its output.
    pub(crate) fn wait(self) -> Told {
        Told::of(&self.0.wait_with_output().expect("it ends"))
    }

    /// Kills the run, and returns the messages about its progress that it has printed.
    pub(crate) fn kill(self) -> String {
        // The child of this process is `nsenter`, and the child of `nsenter` is xtask.
        let children = format!("/proc/{0}/task/{0}/children", self.0.id());
        let children = fs::read_to_string(children).expect("it runs");
        let killed = Command::new("kill").arg("-9").arg(children.trim()).status();
        assert!(killed.expect("kill runs").success());
        let output = self.0.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&output.stderr).into_owned()
    }
}

/// Output of `cargo xtask deploy`.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) success: bool,
    pub(crate) report: Value,
    pub(crate) progress: String,
}

impl Told {
    #[track_caller]
    pub(crate) fn of(output: &Output) -> Self {
        let progress = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout);
        Self {
            success: output.status.success(),
            report: report.unwrap_or_else(|error| panic!("{error}: {progress}")),
            progress,
        }
    }

    /// Returns the value that the report has under `key` in the entry of a host.
    pub(crate) fn host(&self, index: usize, key: &str) -> &Value {
        &self.report["hosts"][index][key]
    }

    /// Asserts that the report has this result and these words for the first host.
    #[track_caller]
    pub(crate) fn expect(&self, result: &str, words: &str) {
        self.expect_of(0, result, words);
    }

    /// Asserts that the report has this result and these words for a host.
    #[track_caller]
    pub(crate) fn expect_of(&self, index: usize, result: &str, words: &str) {
        let text = self.host(index, "text").as_str().unwrap_or_default();
        assert!(
            self.host(index, "result") == result && text.contains(words),
            "not `{result}` with `{words}`: {:#}\n{}",
            self.report,
            self.progress
        );
    }
}

fn command(enter: &[String], words: &[&str]) -> Command {
    let mut command = Command::new(&enter[0]);
    command.args(&enter[1..]).args(words).stdin(Stdio::null());
    command
}

/// Waits until a condition returns a value, and returns this value.
#[track_caller]
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(it) = condition() {
            return it;
        }
        assert!(begin.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(POLL_INTERVAL);
    }
}
