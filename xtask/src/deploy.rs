//! `cargo xtask deploy`: deploys a version to the control hosts of a site (the computers that run
//! the daemon), or goes back to an earlier version.
//!
//! This command runs the `ssh` of this computer. A host changes its version by itself, with the
//! script `xtask/packaging/libexec/activate`. If the new version is not healthy, the host goes back
//! by itself to the version before. `docs/deployment.md` is the guide for users.

mod check;
pub(crate) mod firmware;
mod release;
mod remote;
mod report;
mod ship;
mod site;
mod verbs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Instant;

use self::check::Facts;
use self::release::Release;
use self::remote::{Failure, Remote, Sockets};
use self::report::{Outcome, Report, print};
use self::site::{Host, Site};
use crate::dist;
use crate::workspace::Workspace;
use crate::{Result, child};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// Site file: the control hosts, and what they run.
    #[arg(long, value_name = "FILE", global = true)]
    site: Option<PathBuf>,
    /// Work on this host alone. Can be given more than once.
    #[arg(long = "host", value_name = "NAME", global = true)]
    hosts: Vec<String>,
    /// Print one JSON object on standard output instead of a table.
    #[arg(long, global = true)]
    json: bool,
    /// Archive of `cargo xtask dist`. If it is absent: that of this commit, which is made if it is
    /// not there.
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,
    #[command(flatten)]
    options: Options,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Verb {
    /// Print the version and the health of every host.
    Status,
    /// Bring hosts back to their previous version.
    Rollback {
        /// Version to go back to. If it is absent: the previous version.
        #[arg(long, value_name = "VERSION")]
        to: Option<String>,
    },
    /// List the versions and the last activations of every host.
    List,
    /// Remove old versions.
    Prune {
        /// Number of versions to keep. If it is absent: the number in the site file, or else 3.
        #[arg(long, value_name = "NUMBER")]
        keep: Option<usize>,
    },
}

/// Options that permit or restrict the changes to a host.
#[derive(Clone, Debug, Default, clap::Args)]
struct Options {
    /// Print what would be done, and change nothing.
    #[arg(long, global = true)]
    dry_run: bool,
    /// Interrupt jobs of the daemon.
    #[arg(long, global = true, conflicts_with = "wait")]
    now: bool,
    /// Wait for jobs of the daemon to end.
    #[arg(long, global = true)]
    wait: bool,
    /// Deploy to hosts on which the Debian package is installed. The deployed service hides that
    /// of the package.
    #[arg(long, global = true)]
    take_over_package: bool,
    /// Replace a map that was changed on the host by hand.
    #[arg(long)]
    replace_map: bool,
    /// Deploy a version that cannot read the state of the current version.
    #[arg(long, global = true)]
    older_state: bool,
}

/// Runs a verb (a subcommand such as `status`) on the hosts of a site. Returns false if the result
/// of any host is not good.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    let path = args
        .site
        .as_deref()
        .ok_or("name the site file: --site FILE")?;
    let site = Site::read(path, &args.hosts)?;
    let owner = Owner::new();
    let options = &args.options;
    let reports = match &args.verb {
        None => {
            let files = site
                .hosts
                .iter()
                .map(Files::of)
                .collect::<Result<Vec<_>>>()?;
            let release = Release::read(&archive(workspace, args)?)?;
            let version = &release.manifest.version;
            eprintln!("deploy: {version}, {} bytes", release.length);
            side_by_side(&site, |remote, index, warnings| {
                ship::deploy(remote, &release, &files[index], &owner, options, warnings)
            })?
        }
        Some(Verb::Rollback { to }) => {
            if let Some(bad) = to.as_ref().filter(|to| !release::is_version(to)) {
                return Err(format!("`{bad}` is no version"));
            }
            side_by_side(&site, |remote, _, warnings| {
                ship::go_back(remote, to.as_deref(), &owner, options, warnings)
            })?
        }
        Some(Verb::Status) => {
            side_by_side(&site, |remote, _, warnings| verbs::status(remote, warnings))?
        }
        Some(Verb::List) => side_by_side(&site, |remote, _, _| verbs::list(remote))?,
        Some(Verb::Prune { keep }) => side_by_side(&site, |remote, _, _| {
            verbs::prune(remote, *keep, &owner, options.dry_run)
        })?,
    };
    print(&reports, args.json);
    Ok(reports.iter().all(|report| report.outcome.is_good()))
}

/// Returns the archive to deploy. If the command line names none, it is the archive of this commit,
/// which is made if it does not exist.
fn archive(workspace: &Workspace, args: &Args) -> Result<PathBuf> {
    match &args.archive {
        Some(archive) => Ok(archive.clone()),
        None => dist::archive(workspace),
    }
}

/// Calls `work` for every host, for [`site::Ssh::at_once`] hosts at the same time. Returns the
/// reports in the order of the site file.
fn side_by_side(
    site: &Site,
    work: impl Fn(&mut Remote<'_>, usize, &mut Vec<String>) -> remote::Answered<Outcome> + Sync,
) -> Result<Vec<Report>> {
    let sockets = Sockets::new()?;
    let queue = Mutex::new(site.hosts.iter().enumerate());
    let done = Mutex::new(Vec::new());
    let one = |index: usize, host: &Host| {
        let begin = Instant::now();
        let mut remote = Remote::new(host, &site.ssh, &sockets);
        let mut warnings = Vec::new();
        let outcome = remote
            .connect()
            .and_then(|()| work(&mut remote, index, &mut warnings));
        let outcome = outcome.unwrap_or_else(|failure| Outcome::failed(&failure));
        Report {
            host: host.name.clone(),
            at: remote.resolved(),
            outcome,
            warnings,
            sent_bytes: remote.sent(),
            seconds: begin.elapsed().as_secs_f64(),
        }
    };
    thread::scope(|scope| {
        for _ in 0..site.ssh.at_once.min(site.hosts.len()) {
            scope.spawn(|| {
                loop {
                    // The lookup of the next host is a statement of its own, so that the queue is
                    // not locked during the work.
                    let next = queue.lock().ok().and_then(|mut queue| queue.next());
                    let Some((index, host)) = next else { return };
                    let report = one(index, host);
                    if let Ok(mut done) = done.lock() {
                        done.push((index, report));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().map_err(|_| "a host made us panic")?;
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, report)| report).collect())
}

/// The user who deploys, and the computer from which that user deploys.
#[derive(Debug)]
struct Owner {
    /// Unique name of this deployment. It ends with the number of this process in hexadecimal
    /// digits.
    id: String,
    /// Names of the user and the computer, as `USER@COMPUTER`.
    name: String,
}

impl Owner {
    fn new() -> Self {
        let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
        let node = rustix::system::uname();
        let node = node.nodename().to_string_lossy().into_owned();
        let name = format!("{}@{node}", user.unwrap_or_else(|_| "root".to_owned()));
        let plain = |it: char| match it.is_ascii_alphanumeric() || "._@-".contains(it) {
            true => it,
            false => '_',
        };
        Self {
            id: remote::unique(),
            name: name.chars().map(plain).collect(),
        }
    }

    /// Returns the id in a claim if the process that has made the claim is over. This can only be
    /// known of processes of this computer. A claim is a text on a host by which a deployment keeps
    /// other deployments off the host. It begins with the id and the name of its owner.
    fn ended<'c>(&self, claim: &'c str) -> Option<&'c str> {
        let mut words = claim.split(' ');
        let (id, name) = (words.next()?, words.next()?);
        let (_, process) = id.rsplit_once('-')?;
        let process = u32::from_str_radix(process, 16).ok()?;
        let here = name.rsplit('@').next() == self.name.rsplit('@').next();
        let ended = here && !Path::new(&format!("/proc/{process}")).exists();
        ended.then_some(id)
    }
}

/// A file that the site file requires on a host.
#[derive(Debug)]
struct SiteFile {
    bytes: Vec<u8>,
    /// SHA-256 of the file, in hexadecimal digits.
    sum: String,
}

/// Files that the site file requires on a host.
#[derive(Debug)]
struct Files {
    map: Option<SiteFile>,
    /// File with settings of the service (a drop-in of systemd).
    drop_in: Option<SiteFile>,
}

impl Files {
    fn of(host: &Host) -> Result<Self> {
        let file = |bytes: Vec<u8>| {
            let sum = sum(&bytes)?;
            Ok::<_, String>(SiteFile { bytes, sum })
        };
        let map = host.map.as_ref().map(|path| {
            let bytes = fs::read(path);
            bytes.map_err(|error| format!("cannot read {}: {error}", path.display()))
        });
        Ok(Self {
            map: map.transpose()?.map(file).transpose()?,
            drop_in: host
                .drop_in()
                .map(String::into_bytes)
                .map(file)
                .transpose()?,
        })
    }

    /// True if the files on the host differ from these files.
    fn differ(&self, facts: &Facts) -> bool {
        !self.differences(facts).is_empty()
    }

    /// Returns descriptions of the changes that a host needs to have these files.
    fn differences(&self, facts: &Facts) -> Vec<String> {
        let sum = |file: &Option<SiteFile>| file.as_ref().map(|file| file.sum.clone());
        let differs = |wanted: Option<String>, found| wanted.as_deref() != facts.get(found);
        let mut differences = Vec::new();
        if self.map.is_some() && differs(sum(&self.map), "map") {
            differences.push("write the map".to_owned());
        }
        if differs(sum(&self.drop_in), "drop_in") {
            differences.push("write the settings of the service".to_owned());
        }
        differences
    }
}

fn sum(bytes: &[u8]) -> Result<String> {
    let limit = std::time::Duration::from_secs(60);
    let output = child::exchange(&mut Command::new("sha256sum"), bytes, limit)?;
    let told = String::from_utf8_lossy(&output.stdout);
    let sum = told.get(..64).ok_or("sha256sum tells no sum")?;
    Ok(sum.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_void_if_its_process_of_this_computer_runs_no_more() {
        let owner = Owner {
            id: "1-1".to_owned(),
            name: "tester@here".to_owned(),
        };
        let alive = std::process::id();
        for (claim, expected) in [
            // Linux gives no process a number as large as this.
            ("1a-7fffffff other@here 3 s ago", Some("1a-7fffffff")),
            ("1a-7fffffff tester@elsewhere 3 s ago", None),
            (&*format!("1a-{alive:x} tester@here 3 s ago"), None),
            ("nonsense", None),
            ("1a-x tester@here", None),
            ("", None),
        ] {
            assert_eq!(owner.ended(claim), expected, "{claim}");
        }
    }
}
