//! Test that rustc and clippy find breaches of the rules for the code, with the lints and the lists
//! of disallowed items of this workspace. In the code of the test, each line with a breach ends
//! with the name of the lint that must find it. No other line may have a warning.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::workspace::cargo;

pub(super) const ROOT_LIST: &str = include_str!("../../../../clippy.toml");
pub(super) const HAL_LIST: &str = include_str!("../../../../hal/clippy.toml");
pub(super) const ALGORITHMS_LIST: &str = include_str!("../../../../algorithms/clippy.toml");

/// Packages of the test: folder, `clippy.toml`, and code. `tokio` and `jiff` are small replacements
/// for the real packages.
const PACKAGES: [(&str, &str, &str); 7] = [
    ("tokio", ROOT_LIST, TOKIO),
    ("jiff", ROOT_LIST, JIFF),
    ("sim", ROOT_LIST, SIM),
    ("physics", ROOT_LIST, PHYSICS),
    ("hal", HAL_LIST, HAL),
    ("algorithms", ALGORITHMS_LIST, ALGORITHMS),
    ("tworoutine", ROOT_LIST, TWOROUTINE),
];

const TOKIO: &str = r"//! Doc.
/// Doc.
pub fn spawn(_: u8) {}
/// Doc.
pub mod task {
    pub use super::spawn;
}
";

const JIFF: &str = r"//! Doc.
/// Doc.
pub struct Zoned;
impl Zoned {
    /// Doc.
    pub fn now() {}
}
";

const SIM: &str = r#"//! Doc.
use std::time::{self, SystemTime as T};
use tokio::*;
mod part;
pub fn undocumented() {} //~ missing_docs
/// Doc.
pub fn clocks() {
    let _ = std::time::Instant::now(); //~ clippy::disallowed_methods
    let _ = time::Instant::now(); //~ clippy::disallowed_methods
    let _ = T::now(); //~ clippy::disallowed_methods
    let _ = Some(()).map(|()| 1).map_or_else(time::Instant::now, |_| unreachable!()); //~ clippy::disallowed_methods
    std::thread::sleep(time::Duration::ZERO); //~ clippy::disallowed_methods
    spawn(1); //~ clippy::disallowed_methods
    tokio::task::spawn(1); //~ clippy::disallowed_methods
    jiff::Zoned::now(); //~ clippy::disallowed_methods
}
/// Doc.
pub struct Step(u8);
impl Step {
    /// Doc.
    pub fn next(self) -> Self { //~ clippy::return_self_not_must_use
        Step(self.0 + 1) //~ clippy::use_self
    }
}
#[allow(dead_code)] //~ clippy::allow_attributes_without_reason
fn unused() {}
/// Needed no more, so it is found by itself.
#[expect(clippy::disallowed_methods, reason = "none")] //~ unfulfilled_lint_expectations
pub fn quiet() {}
"#;

const PHYSICS: &str = r#"//! Doc.
#![allow(unsafe_code, reason = "none")] //~ E0453
/// Doc.
pub fn read(at: *const u8) -> u8 {
    // SAFETY: none.
    unsafe { *at } //~ unsafe_code
}
"#;

const HAL: &str = r"//! Doc.
use std::net::TcpStream; //~ clippy::disallowed_types
/// Doc.
pub fn connect(_: TcpStream) { //~ clippy::disallowed_types
    std::thread::sleep(std::time::Duration::ZERO); //~ clippy::disallowed_methods
}
";

const ALGORITHMS: &str = r"//! Doc.
use std::time::{Duration, Instant}; //~ clippy::disallowed_types
/// Doc.
pub fn wait(_: Instant, _: std::time::SystemTime) { //~ clippy::disallowed_types
    let _ = std::time::UNIX_EPOCH.elapsed(); //~ clippy::disallowed_methods
    std::thread::park_timeout(Duration::ZERO); //~ clippy::disallowed_methods
    let _ = std::net::UdpSocket::bind(std::env::temp_dir().display().to_string()); //~ clippy::disallowed_types
}
";

const TWOROUTINE: &str = r"//! Doc.
/// Doc.
pub struct X(pub *mut u8);
// SAFETY: the first alone.
unsafe impl Send for X {}

unsafe impl Sync for X {} //~ clippy::undocumented_unsafe_blocks
/// Doc.
pub unsafe fn public() {} //~ clippy::missing_safety_doc
unsafe fn private() {} //~ clippy::missing_safety_doc
unsafe trait Trait {} //~ clippy::missing_safety_doc
// SAFETY: it does nothing.
unsafe impl Trait for X {}
/// Doc.
pub fn call(_: impl Fn(X)) {
    // SAFETY: of another statement.
    let _: Option<&dyn Trait> = None;
    unsafe { private() } //~ clippy::undocumented_unsafe_blocks
}
";

#[test]
fn every_marked_line_is_found() {
    let folder = TempDir::new().expect("a folder");
    let write = |path: &str, text: &str| {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    let manifest = include_str!("../../../../Cargo.toml");
    let (_, lints) = manifest
        .split_once("[workspace.lints.rust]")
        .expect("lints");
    let (lints, _) = lints.split_once("[package]").expect("a package");
    let names = PACKAGES.map(|(name, ..)| format!("\"{name}\"")).join(", ");
    let root = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [{names}]\n[workspace.lints.rust]{lints}"
    );
    write("Cargo.toml", &root);
    let own = include_str!("../../../../tworoutine/Cargo.toml");
    let part = "sim/src/part/mod.rs";
    write(part, "//! Doc.\n");
    let mut marked = BTreeSet::from([(part.to_owned(), 1, "clippy::mod_module_files".to_owned())]);
    for (name, list, code) in PACKAGES {
        let needs = match name {
            "sim" => "[dependencies]\ntokio.path = \"../tokio\"\njiff.path = \"../jiff\"\n",
            _ => "",
        };
        let lints = match name {
            "tworoutine" => &own[own.find("[lints.rust]").expect("lints")..],
            _ => "[lints]\nworkspace = true\n",
        };
        let manifest = format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n{needs}{lints}");
        write(&format!("{name}/Cargo.toml"), &manifest);
        write(&format!("{name}/clippy.toml"), list);
        let path = format!("{name}/src/lib.rs");
        write(&path, code);
        for (index, line) in code.lines().enumerate() {
            if let Some((_, lint)) = line.split_once("//~ ") {
                marked.insert((path.clone(), index as u64 + 1, lint.to_owned()));
            }
        }
    }
    assert_eq!(found(folder.path()), marked);
}

/// Returns path, line and lint of each warning and error in a workspace.
fn found(root: &Path) -> BTreeSet<(String, u64, String)> {
    let output = cargo()
        .args([
            "clippy",
            "--offline",
            "--workspace",
            "--keep-going",
            "--message-format=json",
        ])
        .env("CARGO_TARGET_DIR", root.join("target"))
        .env_remove("RUSTFLAGS")
        .current_dir(root)
        .output()
        .expect("clippy runs");
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let messages = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    messages
        .filter_map(|message| {
            let spans = message["message"]["spans"].as_array()?.clone();
            let span = spans.iter().find(|span| span["is_primary"] == true)?;
            Some((
                span["file_name"].as_str()?.to_owned(),
                span["line_start"].as_u64()?,
                message["message"]["code"]["code"].as_str()?.to_owned(),
            ))
        })
        .collect()
}
