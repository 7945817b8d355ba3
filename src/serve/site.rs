//! The site file: the control hosts (computers that control boards) of a site, and how to reach the
//! daemon of each host.
//!
//! `cargo xtask deploy` reads the same file with a parser of its own, because `xtask` does not
//! depend on the other packages. Both parsers are tested with `xtask/packaging/site.toml`.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use toml::{Table, Value};

use super::client::Host;
use crate::input::{self, shown};

/// Default path of the daemon's socket on a control host.
pub(crate) const SOCKET: &str = "/run/twotone/control.sock";

/// Keys of a host in the site file that only `cargo xtask deploy` uses.
const OF_DEPLOYMENT: [&str; 10] = [
    "activation_seconds",
    "arguments",
    "become",
    "health_seconds",
    "keep",
    "kernel",
    "map",
    "root",
    "service",
    "steady_seconds",
];

/// Content of a site file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    ssh: Ssh,
    /// Default values for the keys of hosts.
    #[serde(default)]
    defaults: Table,
    #[serde(default)]
    host: Vec<Table>,
}

/// Settings of the ssh connections.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Ssh {
    /// Configuration file for `ssh -F`. If it is `None`, ssh uses the configuration of the user.
    pub(crate) config: Option<PathBuf>,
    /// Longest time for making a connection, in seconds.
    connect_seconds: u64,
    /// Time without a sign of life after which a connection, or a daemon, counts as gone, in
    /// seconds.
    silence_seconds: u64,
    /// Largest number of attempts to connect to a host, if the connection is cut each time.
    pub(crate) attempts: u32,
    /// Number of hosts that a deployment works on at the same time.
    at_once: usize,
}

/// Keys of a host in the site file that the commands of `twotone` use.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    name: String,
    address: Option<String>,
    user: Option<String>,
    control: Option<String>,
}

/// The control hosts of a site.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) ssh: Ssh,
    pub(crate) hosts: Vec<SiteHost>,
}

/// A control host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteHost {
    /// Name of the host in tables and for `--only`.
    pub(crate) name: String,
    pub(crate) way: Way,
}

/// Way to connect to the daemon of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Way {
    /// Directly, without ssh.
    Direct(Host),
    /// Over ssh, to the daemon's socket on the host.
    Ssh {
        user: Option<String>,
        address: String,
        socket: String,
    },
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

impl Ssh {
    /// Longest time for making a connection.
    pub(crate) fn connect_within(&self) -> Duration {
        Duration::from_secs(self.connect_seconds)
    }

    /// Time without a sign of life after which a connection, or a daemon, counts as gone. At least
    /// 3 s.
    pub(crate) fn silence(&self) -> Duration {
        Duration::from_secs(self.silence_seconds.max(3))
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct(host) => write!(f, "{host}"),
            Self::Ssh { user, address, .. } => match user {
                Some(user) => write!(f, "ssh {user}@{address}"),
                None => write!(f, "ssh {address}"),
            },
        }
    }
}

impl Site {
    /// Reads a site file, and keeps only the hosts whose names are in `only`. Keeps all hosts if
    /// `only` is empty.
    ///
    /// # Errors
    /// The reason, with the name of the file.
    pub(crate) fn read(path: &Path, only: &[String]) -> Result<Self, String> {
        let file = shown(path);
        let text = input::read_text(path, input::SITE_BYTES);
        let text = text.map_err(|error| format!("{file}: {error}"))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut site =
            Self::parse(&text, folder).map_err(|why| format!("{file}: {}", why.trim_end()))?;
        let known: Vec<_> = site.hosts.iter().map(|host| host.name.clone()).collect();
        if let Some(unknown) = only.iter().find(|name| !known.contains(name)) {
            let known = known.join(", ");
            return Err(format!(
                "{file}: there is no host {unknown}; there are {known}"
            ));
        }
        site.hosts
            .retain(|host| only.is_empty() || only.contains(&host.name));
        Ok(site)
    }

    /// Returns a site that consists of the host of one daemon.
    pub(crate) fn of(host: Host) -> Self {
        Self {
            ssh: Ssh::default(),
            hosts: vec![SiteHost {
                name: host.to_string(),
                way: Way::Direct(host),
            }],
        }
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut ssh = file.ssh;
        if ssh.attempts == 0 || ssh.at_once == 0 || ssh.connect_seconds == 0 {
            return Err("[ssh]: attempts, at_once and connect_seconds are at least 1".to_owned());
        }
        ssh.config = ssh.config.map(|config| folder.join(config));
        if ["name", "address"]
            .iter()
            .any(|key| file.defaults.contains_key(*key))
        {
            return Err("[defaults] cannot have a name or an address".to_owned());
        }
        let (mut hosts, mut known) = (Vec::new(), BTreeSet::new());
        for (index, mut table) in file.host.into_iter().enumerate() {
            let name = match table.get("name").and_then(Value::as_str) {
                Some(name) => format!("host {name}"),
                None => format!("host {}", index + 1),
            };
            for (key, value) in &file.defaults {
                table.entry(key).or_insert_with(|| value.clone());
            }
            let (host, address) = SiteHost::read(table, folder)
                .map_err(|why| format!("{name}: {}", why.trim_end()))?;
            let names = [
                format!("hosts {}", host.name),
                format!("hosts at {address}"),
                // A daemon that is listed twice would execute every command twice.
                format!("hosts with the daemon at {}", host.way),
            ];
            if let Some(twice) = names.into_iter().find(|name| !known.insert(name.clone())) {
                return Err(format!("there are two {twice}"));
            }
            hosts.push(host);
        }
        if hosts.is_empty() {
            return Err("there is no [[host]]".to_owned());
        }
        Ok(Self { ssh, hosts })
    }
}

impl SiteHost {
    /// Reads a host and its address from the table of the host in the file.
    fn read(mut table: Table, folder: &Path) -> Result<(Self, String), String> {
        for key in OF_DEPLOYMENT {
            table.remove(key);
        }
        let keys: Keys = table
            .try_into()
            .map_err(|error: toml::de::Error| error.to_string())?;
        let Keys { name, user, .. } = keys;
        let address = keys.address.unwrap_or_else(|| name.clone());
        plain("name", &name, "._-")?;
        plain("address", &address, "._-:@%[]")?;
        if let Some(user) = &user {
            plain("user", user, "._-@\\+")?;
        }
        let socket = keys.control.unwrap_or_else(|| SOCKET.to_owned());
        plain(
            "control",
            socket.strip_prefix("unix:").unwrap_or(&socket),
            "._-/@",
        )?;
        let way = match socket.strip_prefix("unix:") {
            Some(path) => Way::Direct(Host::Unix(folder.join(path))),
            None if socket.starts_with('/') => Way::Ssh {
                user,
                address: address.clone(),
                socket,
            },
            None => {
                return Err(format!(
                    "control = `{socket}` is neither the absolute path of a socket on the host nor \
                     `unix:` and the path of one on this computer"
                ));
            }
        };
        Ok((Self { name, way }, address))
    }
}

/// Refuses characters that have a special meaning for `ssh` or a shell.
fn plain(key: &str, text: &str, others: &str) -> Result<(), String> {
    let is_known = |it: char| it.is_ascii_alphanumeric() || others.contains(it);
    match !text.is_empty() && text.chars().all(is_known) && !text.starts_with('-') {
        true => Ok(()),
        false => Err(format!(
            "{key} = `{text}`: only letters, digits and `{others}` can be in it"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(text: &str) -> Result<Vec<(String, String)>, String> {
        let site = Site::parse(text, Path::new("/site"))?;
        let hosts = site.hosts.into_iter();
        Ok(hosts
            .map(|host| match host.way {
                Way::Ssh { ref socket, .. } => (host.name, format!("{} {socket}", host.way)),
                Way::Direct(direct) => (host.name, direct.to_string()),
            })
            .collect())
    }

    #[test]
    fn the_example_of_a_deployment_is_read() {
        let text = include_str!("../../xtask/packaging/site.toml");
        let expected = [
            (
                "north",
                "ssh operator@north.site.example /run/twotone/control.sock",
            ),
            ("south", "ssh operator@south /run/array/control.sock"),
            ("here", "unix:/site/control.sock"),
        ];
        let expected = expected.map(|(name, way)| (name.to_owned(), way.to_owned()));
        assert_eq!(ways(text).unwrap(), expected);
        // The example file has every key that only a deployment uses.
        for key in OF_DEPLOYMENT {
            assert!(text.contains(&format!("\n{key} = ")), "{key}");
        }
    }

    #[test]
    fn hosts_have_the_defaults_that_they_do_not_change() {
        let text = "[defaults]\nuser = 'a'\ncontrol = '/run/a.sock'\n[[host]]\nname = 'x'\n\
                    [[host]]\nname = 'y'\nuser = 'b'\ncontrol = 'unix:/run/b.sock'\n";
        let expected = [("x", "ssh a@x /run/a.sock"), ("y", "unix:/run/b.sock")];
        let expected = expected.map(|(name, way)| (name.to_owned(), way.to_owned()));
        assert_eq!(ways(text).unwrap(), expected);
    }

    #[test]
    fn what_is_unknown_unsafe_or_there_twice_is_refused() {
        for (text, words) in [
            ("", "no [[host]]"),
            ("[[hosts]]\nname = 'a'", "hosts"),
            ("[[host]]\nuser = 'a'", "host 1"),
            (
                "[[host]]\nname = 'a'\ncontroll = '/x'",
                "host a: unknown field `controll`",
            ),
            (
                "[defaults]\nname = 'a'\n[[host]]\nname = 'b'",
                "cannot have a name",
            ),
            ("[[host]]\nname = 'a'\n[[host]]\nname = 'a'", "two hosts a"),
            (
                "[[host]]\nname = 'a'\n[[host]]\nname = 'b'\naddress = 'a'",
                "two hosts at a",
            ),
            (
                "[defaults]\ncontrol = 'unix:x'\n[[host]]\nname = 'a'\n[[host]]\nname = 'b'",
                "the daemon at unix:/site/x",
            ),
            ("[[host]]\nname = '-oProxyCommand=x'", "name"),
            (
                "[[host]]\nname = 'a'\naddress = '-oProxyCommand=x'",
                "address",
            ),
            ("[[host]]\nname = 'a'\nuser = 'a$(reboot)'", "user"),
            ("[[host]]\nname = 'a'\ncontrol = '/a:/b'", "control"),
            (
                "[[host]]\nname = 'a'\ncontrol = 'a.sock'",
                "neither the absolute path",
            ),
            ("[[host]]\nname = 'a'\ncontrol = 'unix:'", "control"),
            ("[ssh]\nattempts = 0\n[[host]]\nname = 'a'", "at least 1"),
        ] {
            let refused = ways(text).unwrap_err();
            assert!(refused.contains(words), "{text}: {refused}");
        }
    }
}
