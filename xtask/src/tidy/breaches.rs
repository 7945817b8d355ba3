//! Tests that each check finds breaches, which are planted in a sound workspace, one at a time.

mod code;
mod tree;

use super::CHECKS;
use super::fixture::Fixture;

/// A breach.
struct Planted {
    /// The check that must find it.
    check: &'static str,
    /// Beginning of the sentence that the check must print, with its place first.
    says: &'static str,
    plant: fn(&Fixture),
}

/// A row of the table.
const fn planted(check: &'static str, says: &'static str, plant: fn(&Fixture)) -> Planted {
    Planted { check, says, plant }
}

/// The breaches.
fn all() -> impl Iterator<Item = &'static Planted> {
    code::PLANTED.iter().chain(tree::PLANTED)
}

#[test]
fn a_sound_workspace_breaks_nothing() {
    let fixture = Fixture::sound();
    let tree = fixture.tree();
    for check in &CHECKS {
        let breaches: Vec<_> = (check.find)(&tree)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(breaches.is_empty(), "{}: {breaches:#?}", check.name);
    }
}

#[test]
fn every_planted_breach_is_found() {
    for Planted { check, says, plant } in all() {
        let fixture = Fixture::sound();
        plant(&fixture);
        let tree = fixture.tree();
        let check = CHECKS
            .iter()
            .find(|each| each.name == *check)
            .expect("the check exists");
        let breaches: Vec<_> = (check.find)(&tree)
            .iter()
            .map(ToString::to_string)
            .collect();
        let found = breaches
            .iter()
            .any(|breach| breach.starts_with(says) || breach.contains(says));
        assert!(
            found,
            "{}: nothing says {says:?} in {breaches:#?}",
            check.name
        );
    }
}

#[test]
fn every_check_has_a_planted_breach() {
    for check in &CHECKS {
        assert!(
            all().any(|each| each.check == check.name),
            "{} has none",
            check.name
        );
    }
}

#[test]
fn what_is_not_rust_is_said_with_its_place() {
    let fixture = Fixture::sound();
    fixture.write("sim/src/broken.rs", "fn f() {\n");
    let workspace = crate::workspace::Workspace::read(fixture.root()).expect("cargo reads it");
    let error = super::Tree::read(workspace).err().unwrap_or_default();
    assert!(
        error.starts_with("sim/src/broken.rs is not Rust: line "),
        "{error}"
    );
}
