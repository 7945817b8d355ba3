//! Subcommands that do not change the version that runs on a host: `status`, `list` and `prune`.

use serde_json::json;

use super::Owner;
use super::check::Facts;
use super::release::is_version;
use super::remote::{Answered, Remote};
use super::report::{Kind, Outcome};
use super::ship;

/// Returns the version and the health of a host.
pub(super) fn status(remote: &Remote<'_>, warnings: &mut Vec<String>) -> Answered<Outcome> {
    let facts = Facts::ask(remote, "none", "none")?;
    warnings.extend(facts.warnings());
    if facts.get("pending").is_some() {
        warnings.push("an activation is undecided, or under way".to_owned());
    }
    if let Some(claim) = facts.get("claim") {
        warnings.push(format!("a deployment is under way, or was cut: {claim}"));
    }
    let service = facts.get("service").unwrap_or("unknown");
    let health = facts.health();
    let is_healthy = health
        .as_ref()
        .is_some_and(|health| health["ok"] == json!(true));
    let text = match &health {
        Some(health) => format!(
            "{service}, {}; boards: {} of {} connected; jobs: {} run, {} wait",
            if is_healthy { "healthy" } else { "not healthy" },
            health["boards"]["connected"],
            health["boards"]["of"],
            health["jobs"]["running"],
            health["jobs"]["queued"],
        ),
        None => format!("{service}; the daemon does not answer"),
    };
    let kind = match facts.current() {
        Some(_) if is_healthy && service == "active" => Kind::Told,
        _ => Kind::Down,
    };
    let mut outcome = Outcome::new(kind, facts.current(), text);
    outcome.details = json!({
        "service": service,
        "health": health,
        "previous": facts.previous(),
        "pending": facts.get("pending"),
    });
    Ok(outcome)
}

/// Versions that a host has, and its last activations (switches to a version).
struct Listing {
    facts: Facts,
    /// Versions and unfinished uploads, each with its size in KiB, sorted by name as text.
    versions: Vec<(String, u64)>,
}

impl Listing {
    fn ask(remote: &Remote<'_>) -> Answered<Self> {
        let facts = Facts::parse(&remote.script(include_str!("scripts/list.sh"), &[])?);
        let told = facts.all("version").iter().filter_map(|line| {
            let (version, size) = line.split_once(' ')?;
            Some((version.to_owned(), size.parse().ok()?))
        });
        let versions = told.collect();
        Ok(Self { facts, versions })
    }

    fn mark(&self, version: &str) -> &'static str {
        match version {
            _ if self.facts.current() == Some(version) => "current",
            _ if self.facts.previous() == Some(version) => "previous",
            _ if version.ends_with(".part") => "cut upload",
            _ => "",
        }
    }
}

/// Returns the versions and the last activations of a host.
pub(super) fn list(remote: &Remote<'_>) -> Answered<Outcome> {
    let listing = Listing::ask(remote)?;
    let mut lines = vec![format!("{} versions", listing.versions.len())];
    for (version, kb) in &listing.versions {
        lines.push(format!("{version}  {kb} KiB  {}", listing.mark(version)));
    }
    let log = listing.facts.all("log");
    lines.extend(log.iter().map(|line| line.replace('\t', "  ")));
    let lines: Vec<_> = lines.iter().map(|line| line.trim_end()).collect();
    let mut outcome = Outcome::new(Kind::Told, listing.facts.current(), lines.join("\n"));
    let versions = listing.versions.iter().map(
        |(version, kb)| json!({ "version": version, "kib": kb, "mark": listing.mark(version) }),
    );
    outcome.details = json!({ "versions": versions.collect::<Vec<_>>(), "log": log });
    Ok(outcome)
}

/// Removes old versions from a host. The current version and the previous one are always kept.
pub(super) fn prune(
    remote: &mut Remote<'_>,
    keep: Option<usize>,
    owner: &Owner,
    dry_run: bool,
) -> Answered<Outcome> {
    let keep = keep.unwrap_or(remote.host.keep);
    let listing = Listing::ask(remote)?;
    let current = listing.facts.current().map(str::to_owned);
    let removed = outdated(&listing, keep);
    if removed.is_empty() {
        return Ok(Outcome::new(Kind::Unchanged, current.as_deref(), ""));
    }
    let names = removed.join(", ");
    if dry_run {
        let text = format!("would remove {names}");
        return Ok(Outcome::planned(current.as_deref(), text));
    }
    let facts = Facts::ask(remote, "none", "none")?;
    if facts.get("pending").is_some() {
        let text = "an activation is undecided: deploy or roll back first".to_owned();
        return Ok(Outcome::refused(current.as_deref(), text));
    }
    ship::with_claim(remote, &facts, owner, |remote| {
        ship::remove(remote, &removed)
    })?;
    let text = format!("removed {names}");
    Ok(Outcome::new(Kind::Removed, current.as_deref(), text))
}

/// Returns the versions beyond the number to keep, oldest first, and the unfinished uploads. The
/// current and the previous version are never among them.
fn outdated(listing: &Listing, keep: usize) -> Vec<&str> {
    let is_part = |name: &str| name.strip_suffix(".part").is_some_and(is_version);
    let names = listing.versions.iter().map(|(name, _)| name.as_str());
    let parts = names.clone().filter(|name| is_part(name));
    let mut versions: Vec<_> = names.filter(|name| is_version(name)).collect();
    versions.sort_by_key(|version| order(version));
    let marked = |name: &&str| listing.mark(name).is_empty();
    let kept = versions.iter().filter(|name| !marked(name)).count();
    let others: Vec<_> = versions.into_iter().filter(marked).collect();
    let removed = others.len().saturating_sub(keep.saturating_sub(kept));
    others.into_iter().take(removed).chain(parts).collect()
}

/// Returns a key for sorting versions. As in Debian, `~` sorts before the end of a text.
fn order(version: &str) -> Vec<(u8, u64, String)> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let is_number = first.is_ascii_digit();
        let end = rest.find(|it: char| it.is_ascii_digit() != is_number);
        let (part, after) = rest.split_at(end.unwrap_or(rest.len()));
        parts.push(match is_number {
            true => (2, part.parse().unwrap_or(u64::MAX), String::new()),
            false if part.starts_with('~') => (0, 0, part.to_owned()),
            false => (2, 0, part.to_owned()),
        });
        rest = after;
    }
    parts.push((1, 0, String::new()));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str], current: &str, previous: &str) -> Listing {
        let versions = names.iter().map(|name| ((*name).to_owned(), 1)).collect();
        let facts = Facts::parse(&format!("current {current}\nprevious {previous}\n"));
        Listing { facts, versions }
    }

    #[test]
    fn versions_are_in_the_order_that_debian_has() {
        let sorted = [
            "0.1.0~20261122T1.a",
            "0.1.0~20261123T1.a",
            "0.1.0",
            "0.1.1",
            "0.2.0",
            "0.10.0",
        ];
        for pair in sorted.windows(2) {
            assert!(order(pair[0]) < order(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn the_oldest_versions_go_but_none_that_something_points_to() {
        let names = [
            "0.9.0",
            "0.10.0",
            "0.2.0",
            "0.3.0",
            "0.4.0.part",
            "notes",
            "0.1.0",
        ];
        for (current, previous, keep, expected) in [
            ("0.10.0", "0.9.0", 3, vec!["0.1.0", "0.2.0", "0.4.0.part"]),
            ("0.1.0", "0.2.0", 3, vec!["0.3.0", "0.9.0", "0.4.0.part"]),
            (
                "0.1.0",
                "0.2.0",
                1,
                vec!["0.3.0", "0.9.0", "0.10.0", "0.4.0.part"],
            ),
            ("none", "none", 4, vec!["0.1.0", "0.4.0.part"]),
            ("0.10.0", "none", 9, vec!["0.4.0.part"]),
        ] {
            let listing = listing(&names, current, previous);
            assert_eq!(outdated(&listing, keep), expected, "{current} {keep}");
        }
    }
}
