//! Tests that each check finds breaches. Each test plants one breach in a workspace without
//! breaches.

mod fixture;
mod found_by_clippy;

use self::fixture::Fixture;
use super::{CHECKS, REASONS, rows, top_level};

/// Returns the planted breaches. Each consists of the check that must find it, the beginning of the
/// message, and the changes.
fn planted() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let mut planted: Vec<(_, _, Vec<_>)> = Vec::new();
    for line in include_str!("breaches/planted.txt").lines() {
        if let Some(change) = line.strip_prefix("    ") {
            planted.last_mut().expect("a check").2.push(change);
        } else if let Some((check, says)) = line.split_once(" | ") {
            planted.push((check, says, Vec::new()));
        }
    }
    planted
}

#[test]
fn a_sound_workspace_breaks_nothing() {
    let fixture = Fixture::new(&[]);
    let workspace = fixture.workspace();
    for (name, find) in CHECKS {
        let breaches = find(&workspace);
        assert!(breaches.is_empty(), "{name}: {breaches:#?}");
    }
}

#[test]
fn every_planted_breach_is_found() {
    for (name, says, changes) in planted() {
        let fixture = Fixture::new(&changes);
        let (_, find) = CHECKS
            .iter()
            .find(|(each, _)| *each == name)
            .expect("a check");
        let breaches = find(&fixture.workspace());
        let found = breaches.iter().any(|breach| breach.starts_with(says));
        assert!(found, "{name}: nothing says {says:?} in {breaches:#?}");
    }
}

#[test]
fn every_check_has_a_reason_and_a_planted_breach() {
    assert!(
        rows(REASONS)
            .map(|(name, _)| name)
            .eq(CHECKS.map(|(name, _)| name))
    );
    for (name, _) in CHECKS {
        assert!(
            planted().iter().any(|(each, ..)| *each == name),
            "{name} has none"
        );
    }
}

#[test]
fn a_lock_that_changes_with_a_manifest_is_sound() {
    let changes = [
        "git init --quiet",
        "git add .",
        "git -c user.name=x -c user.email=x@x commit --quiet --message=x",
        "+ Cargo.lock # anew\\n",
        "+ hal/Cargo.toml # anew\\n",
    ];
    let fixture = Fixture::new(&changes);
    assert!(top_level::lock(&fixture.workspace()).is_empty());
}
