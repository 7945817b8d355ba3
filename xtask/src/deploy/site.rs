//! The site file: the control hosts of a site, and the settings of each host.
//!
//! A *control host* is a computer that runs the daemon `twotone serve`. A *unit* is systemd's
//! description of a service.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::Result;

/// Content of a site file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    ssh: Ssh,
    /// Values of keys that all hosts have, unless an entry of a host has another value.
    #[serde(default)]
    defaults: toml::Table,
    #[serde(default)]
    host: Vec<toml::Table>,
}

/// Settings of the ssh connections.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ssh {
    /// File for `ssh -F`, relative to the folder of the site file. `None` for the default
    /// configuration of the user.
    pub(crate) config: Option<PathBuf>,
    /// Longest time for making a connection, in seconds.
    pub(crate) connect_seconds: u64,
    /// Time without a sign of life after which a connection counts as cut, in seconds.
    pub(crate) silence_seconds: u64,
    /// Largest number of attempts at a step. A step is tried again only if its connection is cut.
    pub(crate) attempts: u32,
    /// Number of hosts that are deployed to at the same time.
    pub(crate) at_once: usize,
}

impl Default for Ssh {
    fn default() -> Self {
        Self {
            config: None,
            connect_seconds: 15,
            silence_seconds: 15,
            attempts: 4,
            at_once: 8,
        }
    }
}

/// Means by which a command gets the rights of root on a host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Become {
    /// The user is root.
    #[default]
    None,
    /// With `sudo`, which must not ask for a password.
    Sudo,
}

/// A control host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Host {
    /// Name of the host in tables and for `--host`.
    pub(crate) name: String,
    /// Name or address for `ssh`. `None` if it is the same as `name`.
    pub(crate) address: Option<String>,
    /// Socket of the daemon for `twotone --site`: a path on the host, or `unix:` and a path on the
    /// computer that runs `twotone`. A deployment does not use it.
    pub(crate) control: Option<String>,
    /// User for `ssh`. `None` for the user in the configuration of `ssh`.
    pub(crate) user: Option<String>,
    #[serde(default, rename = "become")]
    pub(crate) becomes: Become,
    /// Hardware map (list of boards) on this computer. The path is relative to the folder of the
    /// site file. `None` if the map of the host is not deployed.
    pub(crate) map: Option<PathBuf>,
    /// Arguments of `twotone serve` in addition to the map.
    #[serde(default)]
    pub(crate) arguments: Vec<String>,
    /// Settings for the section `[Service]` of the unit of the daemon.
    #[serde(default)]
    pub(crate) service: BTreeMap<String, Values>,
    /// Smallest allowed values of settings of the kernel, by the names of the settings.
    #[serde(default)]
    pub(crate) kernel: BTreeMap<String, u64>,
    /// Folder on the host that contains the versions. If it is not `/opt/twotone`, then
    /// `/opt/twotone` is a link to it.
    pub(crate) root: Option<String>,
    /// Longest time from the start of the daemon until it must be healthy, in seconds.
    #[serde(default = "health_seconds")]
    pub(crate) health_seconds: u64,
    /// Time for which the daemon must stay healthy after it has become healthy, in seconds.
    #[serde(default = "steady_seconds")]
    pub(crate) steady_seconds: u64,
    /// Longest duration of an activation (the switch to a version), in seconds. It includes the
    /// time to go back to the previous version.
    #[serde(default = "activation_seconds")]
    pub(crate) activation_seconds: u64,
    /// Number of versions that the command `prune` keeps.
    #[serde(default = "keep")]
    pub(crate) keep: usize,
}

fn health_seconds() -> u64 {
    30
}

fn steady_seconds() -> u64 {
    3
}

fn activation_seconds() -> u64 {
    600
}

fn keep() -> usize {
    3
}

/// Values of a setting of a unit. Each value is written as a line of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Values {
    One(String),
    Many(Vec<String>),
}

/// A site whose file has been read and checked.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) ssh: Ssh,
    pub(crate) hosts: Vec<Host>,
}

impl Site {
    /// Reads a site file, and keeps only the hosts whose names are in `names`. Keeps all hosts if
    /// `names` is empty.
    pub(crate) fn read(path: &Path, names: &[String]) -> Result<Self> {
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut site = Self::parse(&text, folder)
            .map_err(|error| format!("{}: {}", path.display(), error.trim_end()))?;
        let known: Vec<_> = site.hosts.iter().map(|host| host.name.clone()).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
            return Err(format!(
                "{}: there is no host {unknown}; there are {}",
                path.display(),
                known.join(", ")
            ));
        }
        site.hosts
            .retain(|host| names.is_empty() || names.contains(&host.name));
        Ok(site)
    }

    fn parse(text: &str, folder: &Path) -> Result<Self> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut ssh = file.ssh;
        if ssh.attempts == 0 || ssh.at_once == 0 || ssh.connect_seconds == 0 {
            return Err("[ssh]: attempts, at_once and connect_seconds are at least 1".to_owned());
        }
        ssh.silence_seconds = ssh.silence_seconds.max(3);
        ssh.config = ssh.config.map(|config| folder.join(config));
        let mut hosts = Vec::new();
        for (index, table) in file.host.into_iter().enumerate() {
            let name = match table.get("name").and_then(toml::Value::as_str) {
                Some(name) => format!("host {name}"),
                None => format!("host {}", index + 1),
            };
            let host = Host::read(table, &file.defaults, folder);
            hosts.push(host.map_err(|error| format!("{name}: {}", error.trim_end()))?);
        }
        if hosts.is_empty() {
            return Err("there is no [[host]]".to_owned());
        }
        let mut names = BTreeSet::new();
        if let Some(twice) = hosts.iter().find(|host| !names.insert(&host.name)) {
            return Err(format!("there are two hosts {}", twice.name));
        }
        let mut addresses = BTreeSet::new();
        if let Some(twice) = hosts.iter().find(|host| !addresses.insert(host.address())) {
            return Err(format!("there are two hosts at {}", twice.address()));
        }
        Ok(Self { ssh, hosts })
    }
}

impl Host {
    fn read(table: toml::Table, defaults: &toml::Table, folder: &Path) -> Result<Self> {
        if ["name", "address"]
            .iter()
            .any(|key| defaults.contains_key(*key))
        {
            return Err("[defaults] cannot have a name or an address".to_owned());
        }
        let merged = merge(table, defaults);
        let mut host: Self = merged
            .try_into()
            .map_err(|error: toml::de::Error| error.to_string())?;
        host.map = host.map.map(|map| folder.join(map));
        host.check()?;
        Ok(host)
    }

    /// Refuses characters that have a special meaning for a shell, `ssh` or systemd.
    fn check(&self) -> Result<()> {
        plain("name", &self.name, "._-")?;
        plain("address", self.address(), "._-:@%[]")?;
        if let Some(user) = &self.user {
            plain("user", user, "._-@\\+")?;
        }
        if let Some(control) = &self.control {
            let local = control.strip_prefix("unix:");
            plain("control", local.unwrap_or(control), "._-/@")?;
            if local.is_none() && !control.starts_with('/') {
                return Err(format!("control = `{control}` is no absolute path"));
            }
        }
        if let Some(root) = &self.root {
            plain("root", root.trim_start_matches('/'), "._-/@")?;
            if !root.starts_with('/') || root.split('/').any(|part| part == "..") {
                return Err(format!("root = `{root}` is no absolute path"));
            }
        }
        for argument in &self.arguments {
            // The characters `%` and `$` have a special meaning in a unit of systemd.
            plain("arguments", argument.trim_start_matches('-'), "._-/:=,@+[]")?;
        }
        for key in self.kernel.keys() {
            plain("kernel", key, "._-/")?;
        }
        for (key, values) in &self.service {
            plain("service", key, "")?;
            let printable = |line: &str| !line.chars().any(char::is_control);
            if !values.lines().iter().all(|line| printable(line)) {
                return Err(format!("service.{key} has characters that are not printed"));
            }
        }
        if self.keep == 0 {
            return Err("keep is at least 1".to_owned());
        }
        Ok(())
    }

    /// Name or address of the host for `ssh`.
    pub(crate) fn address(&self) -> &str {
        self.address.as_deref().unwrap_or(&self.name)
    }

    /// Returns the settings of the service as a drop-in file for systemd. It contains only the
    /// settings that differ from the unit. Returns `None` if there are none.
    pub(crate) fn drop_in(&self) -> Option<String> {
        let mut lines = Vec::new();
        if !self.arguments.is_empty() {
            lines.push("ExecStart=".to_owned());
            lines.push(format!(
                "ExecStart=/opt/twotone/current/bin/twotone serve --map /etc/twotone/map.toml {}",
                self.arguments.join(" ")
            ));
        }
        for (key, values) in &self.service {
            let values = values.lines();
            lines.extend(values.iter().map(|value| format!("{key}={value}")));
        }
        let head = "# From the site file, by `cargo xtask deploy`. Changes are lost.\n[Service]\n";
        (!lines.is_empty()).then(|| format!("{head}{}\n", lines.join("\n")))
    }
}

impl Values {
    fn lines(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }
}

/// Adds to a table the entries of `defaults` that it does not have. A table that both contain is
/// merged in the same way.
fn merge(mut table: toml::Table, defaults: &toml::Table) -> toml::Table {
    for (key, default) in defaults {
        match (table.get_mut(key), default) {
            (None, _) => {
                table.insert(key.clone(), default.clone());
            }
            (Some(toml::Value::Table(own)), toml::Value::Table(default)) => {
                *own = merge(std::mem::take(own), default);
            }
            _ => {}
        }
    }
    table
}

/// True if a text is not empty and contains only letters, digits and the characters of `others`.
pub(crate) fn is_plain(text: &str, others: &str) -> bool {
    let known = |it: char| it.is_ascii_alphanumeric() || others.contains(it);
    !text.is_empty() && text.chars().all(known)
}

fn plain(key: &str, text: &str, others: &str) -> Result<()> {
    match is_plain(text, others) && !text.starts_with('-') {
        true => Ok(()),
        false => Err(format!(
            "{key} = `{text}`: only letters, digits and `{others}` can be in it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str, words: &str) {
        let error = Site::parse(text, Path::new("")).map(drop).unwrap_err();
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn hosts_have_the_defaults_that_they_do_not_change() {
        let text = r#"
            [ssh]
            config = "ssh_config"
            [defaults]
            user = "operator"
            become = "sudo"
            service = { TimeoutStartSec = "20", IPAddressAllow = ["localhost", "192.0.2.0/24"] }
            [[host]]
            name = "north"
            map = "maps/north.toml"
            [[host]]
            name = "south"
            address = "192.0.2.7"
            user = "root"
            become = "none"
            arguments = ["--listen", "127.0.0.1:9000"]
            service = { TimeoutStartSec = "5" }
        "#;
        let site = Site::parse(text, Path::new("/site")).unwrap();
        let [north, south] = &site.hosts[..] else {
            panic!("{site:?}")
        };
        assert_eq!(
            site.ssh.config.as_deref(),
            Some(Path::new("/site/ssh_config"))
        );
        assert_eq!(
            (north.address(), north.user.as_deref()),
            ("north", Some("operator"))
        );
        assert_eq!(
            north.map.as_deref(),
            Some(Path::new("/site/maps/north.toml"))
        );
        assert_eq!((north.becomes, south.becomes), (Become::Sudo, Become::None));
        assert_eq!(
            (south.address(), south.user.as_deref()),
            ("192.0.2.7", Some("root"))
        );
        let lines = |host: &Host| {
            let text = host.drop_in().unwrap();
            text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
        };
        let allowed = ["IPAddressAllow=localhost", "IPAddressAllow=192.0.2.0/24"];
        assert_eq!(
            lines(north),
            [&allowed[..], &["TimeoutStartSec=20"]].concat()
        );
        let serve = "ExecStart=/opt/twotone/current/bin/twotone serve --map /etc/twotone/map.toml \
                     --listen 127.0.0.1:9000";
        assert_eq!(
            lines(south),
            [&["ExecStart=", serve], &allowed[..], &["TimeoutStartSec=5"]].concat()
        );
    }

    #[test]
    fn the_example_is_read() {
        let text = include_str!("../../packaging/site.toml");
        let site = Site::parse(text, Path::new("/site")).unwrap();
        let read = site.hosts.iter().map(|it| (it.name.as_str(), it.address()));
        let expected = [
            ("north", "north.site.example"),
            ("south", "south"),
            ("here", "localhost"),
        ];
        assert_eq!(read.collect::<Vec<_>>(), expected);
        let controls = site.hosts.iter().map(|it| it.control.as_deref());
        let expected = [
            None,
            Some("/run/array/control.sock"),
            Some("unix:control.sock"),
        ];
        assert_eq!(controls.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn values_with_a_meaning_for_a_shell_or_ssh_are_refused() {
        for (key, value) in [
            ("name", "-oProxyCommand=x"),
            ("name", "a b"),
            ("name", ""),
            ("address", "-oProxyCommand=x"),
            ("address", "host;reboot"),
            ("user", "a$(reboot)"),
            ("control", "/a:/b"),
            ("control", "a.sock"),
            ("control", "unix:"),
            ("root", "/opt/$x"),
            ("root", "opt"),
            ("root", "/opt/../etc"),
            ("arguments", "%h"),
            ("arguments", "a b"),
            ("kernel", "net core"),
        ] {
            let text = match key {
                "name" => format!("[[host]]\nname = '{value}'"),
                "arguments" => format!("[[host]]\nname = 'a'\narguments = ['{value}']"),
                "kernel" => format!("[[host]]\nname = 'a'\nkernel = {{ '{value}' = 1 }}"),
                _ => format!("[[host]]\nname = 'a'\n{key} = '{value}'"),
            };
            refused(&text, key);
        }
    }

    #[test]
    fn a_file_that_says_something_unknown_or_twice_is_refused() {
        refused("", "no [[host]]");
        refused("[[host]]\nname = 'a'\nmaps = 'x'", "maps");
        refused("[[host]]\nname = 'a'\n[[host]]\nname = 'a'", "two hosts a");
        refused(
            "[[host]]\nname = 'a'\n[[host]]\nname = 'b'\naddress = 'a'",
            "two hosts at a",
        );
        refused("[defaults]\nmaps = 'x'\n[[host]]\nname = 'a'", "maps");
        refused(
            "[defaults]\nname = 'x'\n[[host]]\nname = 'a'",
            "cannot have a name",
        );
        refused("[[host]]\nname = 'a'\nbecome = 'su'", "su");
        refused("[[host]]\nmap = 'a'", "name");
        refused("[ssh]\nattempts = 0\n[[host]]\nname = 'a'", "at least 1");
    }
}
