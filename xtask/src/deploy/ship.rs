//! The steps that bring a host to a version. Each step can be repeated if its connection is cut. An
//! *activation* switches the host to a version, and back if the version is not healthy. The files
//! of the site are those that the site file, the list of the hosts, requires on a host.

use std::thread;
use std::time::{Duration, Instant};

use super::check::Facts;
use super::release::Release;
use super::remote::{Answered, Failure, Remote};
use super::{Files, Options, Outcome, Owner};

/// Shortest and longest interval at which a host is asked for the result of an activation. The
/// intervals grow.
const ASK_INTERVAL: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// Interval at which a daemon is asked if it still has jobs, which are the commands that it runs.
const JOBS_INTERVAL: Duration = Duration::from_secs(5);

/// Time that a host may take to become reachable again, in addition to the longest duration of its
/// activation.
const SPARE: Duration = Duration::from_secs(120);

/// Number of times that a host must answer that it does not know an activation. After that it is
/// not asked again.
const MOST_UNKNOWN: u32 = 5;

/// Time, in seconds, after which the claim of another deployment is void if its deployment has
/// shown no sign of life. A claim keeps all other deployments off the host.
const CLAIM_SILENCE: &str = "300";

/// Brings a host to a release.
pub(super) fn deploy(
    remote: &mut Remote<'_>,
    release: &Release,
    files: &Files,
    owner: &Owner,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Answered<Outcome> {
    let version = release.manifest.version.as_str();
    let mut facts = Facts::ask(remote, version, &release.sum)?;
    if facts.get("pending").is_some() && !options.dry_run {
        tell(
            remote,
            "an activation before this one was cut: it is decided about",
        );
        remote.script(include_str!("scripts/settle.sh"), &[])?;
        facts = Facts::ask(remote, version, &release.sum)?;
    }
    warnings.extend(facts.warnings());
    if release.manifest.profile == "dev" {
        warnings.push("the release is a build for tests".to_owned());
    }
    let mut problems = facts.problems_with(release, remote.host, files, options);
    let is_at = facts.is_at(release, files);
    if !is_at && facts.jobs() > 0 && !options.now && (options.dry_run || !options.wait) {
        problems.push(busy(&facts));
    }
    if !problems.is_empty() {
        return Ok(Outcome::refused(facts.current(), problems.join("; ")));
    }
    if is_at {
        return Ok(Outcome::unchanged(version));
    }
    if options.dry_run {
        return Ok(Outcome::planned(
            facts.current(),
            plan(&facts, release, files),
        ));
    }
    with_claim(remote, &facts, owner, |remote| {
        if facts.get("version") != Some("whole") {
            upload(remote, release)?;
        }
        stage(remote, files, &facts)?;
        let map = match files
            .map
            .as_ref()
            .filter(|map| facts.get("map") != Some(&map.sum))
        {
            Some(_) => "/opt/twotone/staged/map.toml",
            None => "/etc/twotone/map.toml",
        };
        let says = &release.manifest.program_version;
        rehearse(remote, version, says, map)?;
        activate(remote, version, &facts, owner, options)
    })
}

/// Brings a host back to a version that is stored on it.
pub(super) fn go_back(
    remote: &mut Remote<'_>,
    to: Option<&str>,
    owner: &Owner,
    options: &Options,
    warnings: &mut Vec<String>,
) -> Answered<Outcome> {
    let mut facts = Facts::ask(remote, to.unwrap_or("none"), "none")?;
    if facts.get("pending").is_some() && !options.dry_run {
        remote.script(include_str!("scripts/settle.sh"), &[])?;
        facts = Facts::ask(remote, to.unwrap_or("none"), "none")?;
    }
    warnings.extend(facts.warnings());
    let Some(version) = to.or_else(|| facts.previous()).map(str::to_owned) else {
        let text = "it has no version before the current one".to_owned();
        return Ok(Outcome::refused(facts.current(), text));
    };
    let facts = Facts::ask(remote, &version, "none")?;
    let mut problems = facts.problems(remote.host, options);
    match facts.get("version") {
        Some("whole") => {}
        Some(_) => problems.push(format!(
            "the files of {version} are damaged: deploy it again"
        )),
        None => problems.push(format!("{version} is not there")),
    }
    let state = facts.number("version_state_format");
    problems.extend(facts.older_state(&version, state, options));
    if facts.current() == Some(&version) && facts.get("service") == Some("active") {
        return Ok(Outcome::unchanged(&version));
    }
    if facts.jobs() > 0 && !options.now && (options.dry_run || !options.wait) {
        problems.push(busy(&facts));
    }
    if !problems.is_empty() {
        return Ok(Outcome::refused(facts.current(), problems.join("; ")));
    }
    if options.dry_run {
        let text = format!("would activate {version}");
        return Ok(Outcome::planned(facts.current(), text));
    }
    with_claim(remote, &facts, owner, |remote| {
        remote.script(include_str!("scripts/stage.sh"), &[])?;
        rehearse(remote, &version, "twotone", "/etc/twotone/map.toml")?;
        activate(remote, &version, &facts, owner, options)
    })
}

/// Claims a host, calls `work`, and ends the claim. While the host is claimed, no other deployment
/// changes it.
pub(super) fn with_claim<T>(
    remote: &mut Remote<'_>,
    facts: &Facts,
    owner: &Owner,
    work: impl FnOnce(&mut Remote<'_>) -> Answered<T>,
) -> Answered<T> {
    let ended = facts.get("claim").and_then(|claim| owner.ended(claim));
    let root = remote.host.root.clone();
    let arguments = [
        owner.id.as_str(),
        owner.name.as_str(),
        CLAIM_SILENCE,
        ended.unwrap_or("none"),
        root.as_deref().unwrap_or("/opt/twotone"),
    ];
    remote.script(include_str!("scripts/prepare.sh"), &arguments)?;
    let done = work(remote);
    let release = include_str!("scripts/release.sh");
    let released = match done {
        Ok(_) => remote.script(release, &[&owner.id]),
        Err(_) => remote.script_once(release, &[&owner.id]),
    };
    if released.is_err() {
        tell(
            remote,
            "the claim could not be given back: it is void in some minutes",
        );
    }
    done
}

/// Sends the archive of a release, and unpacks it on the host as a version. Continues an upload
/// that was cut.
fn upload(remote: &Remote<'_>, release: &Release) -> Answered<()> {
    let version = release.manifest.version.as_str();
    let arguments = [version, release.sum.as_str()];
    let to = format!("/opt/twotone/versions/{version}.part/{}", release.sum);
    let mut attempts = 0;
    loop {
        remote.again(|| {
            let there = remote.script_once(include_str!("scripts/part.sh"), &arguments)?;
            let there: u64 = there.trim().parse().unwrap_or(0);
            if there >= release.length {
                return Ok(());
            }
            let rest = release.length - there;
            tell(remote, &format!("sends {rest} bytes of {}", release.length));
            remote.send(&release.archive, there, &to)
        })?;
        let unpacked = remote.again(|| {
            // The archive may have been unpacked before the connection was cut.
            let facts = Facts::ask(remote, version, &release.sum)?;
            if facts.get("version") == Some("whole") {
                return Ok(());
            }
            remote
                .script_once(include_str!("scripts/unpack.sh"), &arguments)
                .map(drop)
        });
        match unpacked {
            // An earlier upload may have left a part with other content. So the upload is repeated
            // once from the start.
            Err(Failure::Refused(why)) if attempts == 0 && why.contains("damaged") => attempts = 1,
            unpacked => return unpacked,
        }
    }
}

/// Sends the files of the site that differ from those on the host.
fn stage(remote: &Remote<'_>, files: &Files, facts: &Facts) -> Answered<()> {
    let absent: &[&str] = match (&files.drop_in, facts.get("drop_in")) {
        (None, Some(_)) => &["50-site.conf"],
        _ => &[],
    };
    remote.script(include_str!("scripts/stage.sh"), absent)?;
    for (file, name, found) in [
        (&files.map, "map.toml", "map"),
        (&files.drop_in, "50-site.conf", "drop_in"),
    ] {
        if let Some(file) = file
            .as_ref()
            .filter(|file| facts.get(found) != Some(&file.sum))
        {
            let to = format!("/opt/twotone/staged/{name}");
            remote.again(|| remote.send_bytes(file.bytes.as_slice(), 0, &to))?;
        }
    }
    Ok(())
}

/// Checks on the host that the program of the version runs and accepts the hardware map (the list
/// of boards).
fn rehearse(remote: &Remote<'_>, version: &str, says: &str, map: &str) -> Answered<()> {
    tell(remote, &format!("rehearses {version}"));
    let script = include_str!("scripts/rehearse.sh");
    remote.script(script, &[version, says, map]).map(drop)
}

/// Makes the host activate a version, and asks over new connections for the result.
fn activate(
    remote: &mut Remote<'_>,
    version: &str,
    facts: &Facts,
    owner: &Owner,
    options: &Options,
) -> Answered<Outcome> {
    if options.wait {
        await_jobs(remote)?;
    }
    tell(remote, &format!("activates {version}"));
    let host = remote.host;
    let numbers = [
        host.health_seconds,
        host.steady_seconds,
        host.activation_seconds,
    ];
    let [health, steady, limit] = numbers.map(|seconds| seconds.to_string());
    let found = facts.current().unwrap_or("none");
    let now = if options.now { "now" } else { "idle" };
    let id = owner.id.as_str();
    let arguments = [
        id,
        version,
        found,
        now,
        &health,
        &steady,
        &owner.name,
        &limit,
    ];
    remote.script(include_str!("scripts/activate.sh"), &arguments)?;
    // From here on, each answer comes over a connection that was made after the switch to the new
    // version.
    remote.disconnect();
    confirmed(remote, id, facts.current())
}

/// Waits until the daemon has no jobs.
fn await_jobs(remote: &Remote<'_>) -> Answered<()> {
    loop {
        let facts = Facts::ask(remote, "none", "none")?;
        if facts.jobs() == 0 {
            return Ok(());
        }
        tell(remote, &format!("waits: {}", busy(&facts)));
        // The change of this file is a sign of life. Without it, other deployments would take the
        // claim as void.
        remote.script("touch /opt/twotone/claim", &[])?;
        thread::sleep(JOBS_INTERVAL);
    }
}

/// Asks a host for the result of an activation until there is one.
fn confirmed(remote: &Remote<'_>, id: &str, before: Option<&str>) -> Answered<Outcome> {
    let limit = Duration::from_secs(remote.host.activation_seconds) + SPARE;
    let deadline = Instant::now() + limit;
    let (mut pause, longest) = ASK_INTERVAL;
    let mut unknown = 0;
    let mut why = "it is still under way".to_owned();
    while Instant::now() < deadline {
        thread::sleep(pause);
        pause = (pause * 3 / 2).min(longest);
        let result = match remote.script_once(include_str!("scripts/result.sh"), &[id]) {
            Ok(told) => Facts::parse(&told),
            Err(failure) => {
                why = failure.text().to_owned();
                continue;
            }
        };
        match result.get("outcome") {
            Some("running") => {}
            Some("undecided") => why = "the host has not decided about it".to_owned(),
            Some("none") | None => {
                unknown += 1;
                if unknown == MOST_UNKNOWN {
                    why = "the host knows nothing of it".to_owned();
                    break;
                }
            }
            Some(_) => return Ok(Outcome::activated(&result, before)),
        }
    }
    Err(Failure::Cut(format!(
        "the result of the activation is unknown: {why}; run it again"
    )))
}

/// Returns a message that the daemon has jobs.
fn busy(facts: &Facts) -> String {
    format!(
        "the daemon has {} jobs: wait for them (--wait), or interrupt them (--now)",
        facts.jobs()
    )
}

/// Returns a description of the changes that a deployment would make to a host.
fn plan(facts: &Facts, release: &Release, files: &Files) -> String {
    let mut steps = Vec::new();
    if facts.get("version") != Some("whole") {
        let there: u64 = facts.number("part").unwrap_or(0);
        steps.push(format!(
            "send {} bytes",
            release.length.saturating_sub(there)
        ));
    }
    steps.extend(files.differences(facts));
    steps.push(format!("activate {}", release.manifest.version));
    format!("would {}", steps.join(", "))
}

/// Prints a message about a host.
pub(super) fn tell(remote: &Remote<'_>, what: &str) {
    eprintln!("deploy: {}: {what}", remote.host.name);
}

/// Removes versions from a host.
pub(super) fn remove(remote: &Remote<'_>, versions: &[&str]) -> Answered<()> {
    remote
        .script(include_str!("scripts/remove.sh"), versions)
        .map(drop)
}
