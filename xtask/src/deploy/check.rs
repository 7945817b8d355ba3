//! Check of a host before a deployment: the facts about the host, the problems that prevent the
//! deployment, and the comparison with the wanted state.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::release::Release;
use super::remote::{Answered, Remote};
use super::site::Host;
use super::{Files, Options};

/// Difference between the clocks of a host and of this computer, in seconds, above which there is a
/// warning.
const MOST_CLOCK_DIFFERENCE: f64 = 2.0;

/// Facts about a host, by their names. A fact can have several values.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    told: BTreeMap<String, Vec<String>>,
    /// Time of the host minus the time of this computer, and the uncertainty of this difference,
    /// both in seconds. `None` if the host has not told its time.
    clock: Option<(f64, f64)>,
}

impl Facts {
    /// Asks a host for its facts. `version` and `sum` are the version and the checksum of a
    /// release. One of the facts tells if the host has this release.
    pub(crate) fn ask(remote: &Remote<'_>, version: &str, sum: &str) -> Answered<Self> {
        let kernel = remote.host.kernel.keys().map(String::as_str);
        let arguments: Vec<_> = [version, sum].into_iter().chain(kernel).collect();
        let before = now();
        let told = remote.script(include_str!("scripts/check.sh"), &arguments)?;
        let after = now();
        let mut facts = Self::parse(&told);
        if let Some(host) = facts.number::<f64>("time") {
            let half = (after - before) / 2.0;
            facts.clock = Some((host - before - half, half));
        }
        Ok(facts)
    }

    /// Reads lines that consist of a name and a value each.
    pub(crate) fn parse(told: &str) -> Self {
        let mut facts = Self::default();
        for line in told.lines() {
            let (name, value) = line.split_once(' ').unwrap_or((line, ""));
            let values = facts.told.entry(name.to_owned()).or_default();
            values.push(value.trim().to_owned());
        }
        facts
    }

    /// Returns the first value of a fact, if it is not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let value = self.told.get(name)?.first()?;
        (!value.is_empty()).then_some(value)
    }

    pub(crate) fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }

    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.told.get(name).map_or(&[], Vec::as_slice)
    }

    /// The version that is active. `None` if there is none.
    pub(crate) fn current(&self) -> Option<&str> {
        self.get("current").filter(|version| *version != "none")
    }

    /// The version that was active before the current one. `None` if there is none.
    pub(crate) fn previous(&self) -> Option<&str> {
        self.get("previous").filter(|version| *version != "none")
    }

    /// Health of the daemon, as the daemon reports it. `None` if the daemon does not answer.
    pub(crate) fn health(&self) -> Option<serde_json::Value> {
        serde_json::from_str(self.get("health")?).ok()
    }

    /// Number of jobs of the daemon that run or wait.
    pub(crate) fn jobs(&self) -> u64 {
        let health = self.health().unwrap_or_default();
        let count = |key: &str| health["jobs"][key].as_u64().unwrap_or(0);
        count("running") + count("queued")
    }

    /// Returns the problems that prevent any change to the host.
    pub(crate) fn problems(&self, host: &Host, options: &Options) -> Vec<String> {
        let mut problems = Vec::new();
        if self.get("user") != Some("0") {
            problems.push(
                "the user is not root there: set `become = \"sudo\"`, or another `user`".to_owned(),
            );
        }
        let lacks = self.all("lacks");
        if !lacks.is_empty() {
            problems.push(format!(
                "these programs are not there: {}",
                lacks.join(", ")
            ));
        }
        match self.get("system") {
            Some("running" | "degraded" | "starting" | "initializing" | "maintenance") => {}
            told => problems.push(format!(
                "systemd does not answer there ({}); it also takes the package dbus",
                told.unwrap_or("nothing said")
            )),
        }
        if self.get("package") == Some("installed") && !options.take_over_package {
            problems.push(
                "the Debian package twotone is installed there: remove it, or say \
                 --take-over-package, and its service is hidden by this one"
                    .to_owned(),
            );
        }
        for (setting, least) in &host.kernel {
            let found: Option<u64> = self.number(&format!("kernel:{setting}"));
            if found.is_none_or(|found| found < *least) {
                let found = found.map_or("unknown".to_owned(), |it| it.to_string());
                problems.push(format!(
                    "{setting} is {found} and must be at least {least}: write `{setting} = \
                     {least}` into /etc/sysctl.d/90-twotone.conf there, and run `sysctl --system`"
                ));
            }
        }
        problems
    }

    /// Returns the problems that prevent the deployment of a release to the host, including those
    /// of [`Self::problems`].
    pub(crate) fn problems_with(
        &self,
        release: &Release,
        host: &Host,
        files: &Files,
        options: &Options,
    ) -> Vec<String> {
        let mut problems = self.problems(host, options);
        let machine = self.get("machine").unwrap_or("unknown");
        if machine != release.machine() {
            problems.push(format!(
                "the processor is {machine}, and the release is for {}",
                release.machine()
            ));
        }
        if let Some(needed) = &release.manifest.glibc {
            let found = self.get("glibc").unwrap_or("unknown");
            if numbers(found) < numbers(needed) {
                problems.push(format!(
                    "glibc is {found} and must be at least {needed}: make the release with \
                     `cargo xtask dist --glibc {found}`"
                ));
            }
        }
        if let Some(needed) = self.needed_kb(release)
            && let Some(free) = self.number::<u64>("free_kb")
            && free < needed
        {
            problems.push(format!(
                "the disk of {} has {free} KiB, and it takes {needed} KiB: `cargo xtask deploy \
                 prune` removes old versions",
                self.get("root").unwrap_or("/opt/twotone")
            ));
        }
        let manifest = &release.manifest;
        let state = Some(manifest.state_format);
        problems.extend(self.older_state(&manifest.version, state, options));
        match (&files.map, self.get("map")) {
            (None, None) => problems.push(
                "there is no /etc/twotone/map.toml, and the site file names no `map`".to_owned(),
            ),
            (Some(map), Some(found))
                if *found != map.sum
                    && self.get("map_sent") != Some(found)
                    && !options.replace_map =>
            {
                problems.push(
                    "/etc/twotone/map.toml was changed there by hand: compare it with that of \
                     the site, and say --replace-map"
                        .to_owned(),
                );
            }
            _ => {}
        }
        problems
    }

    /// Returns a problem if the new version cannot read the state folder (`/var/lib/twotone`),
    /// because the current version uses a newer format. `known` is the format number that the new
    /// version can read.
    pub(crate) fn older_state(
        &self,
        version: &str,
        known: Option<u32>,
        options: &Options,
    ) -> Option<String> {
        let found: u32 = self.number("state_format")?;
        let old = known.is_some_and(|known| found > known) && !options.older_state;
        old.then(|| {
            format!(
                "/var/lib/twotone has the form {found}, and {version} knows an older one: say \
                 --older-state if it may lose what is in it"
            )
        })
    }

    /// Returns the disk space, in KiB, that the upload and the unpacked files of the release need.
    /// Returns `None` if the release is on the host already.
    fn needed_kb(&self, release: &Release) -> Option<u64> {
        let part: u64 = self.number("part").unwrap_or(0);
        let bytes = release.length.saturating_sub(part) + release.unpacked;
        // The additional 1024 KiB are for partly filled blocks and for the files of the site.
        (self.get("version") != Some("whole")).then(|| bytes.div_ceil(1024) + 1024)
    }

    /// Returns warnings for the operator about a host. They do not prevent a deployment.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        match self.clock {
            Some((difference, uncertainty))
                if difference.abs() > MOST_CLOCK_DIFFERENCE + uncertainty =>
            {
                warnings.push(format!(
                    "its clock is {:.0} s {} ours",
                    difference.abs(),
                    if difference > 0.0 {
                        "ahead of"
                    } else {
                        "behind"
                    }
                ));
            }
            Some(_) => {}
            None => warnings.push("its clock is unknown".to_owned()),
        }
        if self.get("synchronized") == Some("no") {
            warnings.push("its clock is not synchronized".to_owned());
        }
        warnings
    }

    /// True if the host runs the release with the files of the site, so that there is nothing to
    /// do.
    pub(crate) fn is_at(&self, release: &Release, files: &Files) -> bool {
        self.current() == Some(&release.manifest.version)
            && self.get("version") == Some("whole")
            && self.get("service") == Some("active")
            && self.get("pending").is_none()
            && self.all("lacks_link").is_empty()
            && !files.differ(self)
    }
}

/// Returns the numbers in the text of a version. Lists of these numbers sort in the order of the
/// versions.
fn numbers(version: &str) -> Vec<u64> {
    let parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    parts.collect()
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |time| time.as_secs_f64())
}
