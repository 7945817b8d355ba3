//! A small workspace on disk in which every invariant holds, for tests to break.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Tree;
use super::layers::LAYERS;
use crate::workspace::Workspace;

const ROOT: &str = r#"
[workspace]
resolver = "3"
members = [MEMBERS]

[workspace.package]
version = "0.1.0"
edition = "2024"
rust-version = "1.95"
license = "MIT OR Apache-2.0"
publish = false

[workspace.dependencies]
twotone = { path = "." }
twotone-hal = { path = "hal" }
twotone-wire = { path = "transport/wire" }
twotone-transport = { path = "transport" }
twotone-algorithms = { path = "algorithms" }
twotone-physics = { path = "sim/physics" }
twotone-sim = { path = "sim" }
tworoutine = { path = "tworoutine" }
tworoutine-macros = { path = "tworoutine/macros" }
futures = "0.3"
tokio = "1"

[workspace.lints.rust]
missing_docs = "warn"
unsafe_code = "forbid"
"#;

const MEMBER: &str = r#"
[package]
name = "NAME"
version.workspace = true
edition.workspace = true
rust-version.workspace = true
license.workspace = true
publish.workspace = true

[lints]
workspace = true

[dependencies]
"#;

const CLIPPY: &str = r#"
disallowed-methods = [
    { path = "std::time::Instant::now", reason = "x" },
    "std::time::SystemTime::now",
    "std::thread::sleep",
    "tokio::spawn",
]
"#;

const REASONS: &str = "
| dependency | why we have it |
|---|---|
| `futures` | combinators in tests alone |
| `tokio` | sockets, timers and runtimes |
";

/// Limits of the code, and the page about them.
const LIMIT: &str = "
/// Most bytes.
const MOST_BYTES: usize = 32 << 20;
pub(crate) const SOON: Duration = Duration::from_millis(20);
struct Wait { wait: Duration }
const fn f() -> Wait {
    Wait {
        wait: Duration::from_secs(2),
    }
}
";
const LIMITS: &str = "
| what | value | in the code | changed |
|---|---|---|---|
| bytes | 32 MiB | `MOST_BYTES` in `sim/src/limits.rs` | |
| soon | 20 ms | `SOON` in `sim/src/limits.rs` | |
| wait | 2 s | `wait` in `sim/src/limits.rs` | |
";

/// Text that looks like breaches and has none.
const NO_BREACH: &str = r##"
//! tokio::spawn, Instant::now, Tuber and unsafe in prose.
/* std::thread::sleep(d) */
const PROSE: &str = "tokio::spawn(std::time::Instant::now(), unsafe)";
const UNSAFE: bool = true; // unsafe code
"##;

/// Unsafe code with its reasons.
const UNSAFE: &str = r#"
/// Doc.
///
/// # Safety
/// The caller holds it.
#[inline]
pub unsafe fn demand(f: unsafe fn(u8), g: unsafe extern "C" fn()) {
    // SAFETY: the caller holds it.
    unsafe { f(1) }
    // SAFETY: as above, with a comment
    // of two lines.
    let x =
        unsafe { g() };
    unsafe { g() } // SAFETY: on the line.
}

// SAFETY: it has no fields.
unsafe impl Send for X {}

// SAFETY: it only passes on.
unsafe impl Alloc for X {
    const SIZE: [u8; 2] = [1; 2];
    unsafe fn alloc(&self) {}
}

#[doc = "SAFETY"]
struct X;
"#;

/// The workspace; its folder is removed when this is dropped.
pub(super) struct Fixture {
    /// Folder around the workspace, for files beside it.
    around: TempDir,
    root: PathBuf,
}

impl Fixture {
    /// Makes a workspace in which every invariant holds.
    pub(super) fn sound() -> Self {
        let around = TempDir::new().expect("a folder for the fixture");
        let fixture = Self {
            root: around.path().join("tree"),
            around,
        };
        let folders = LAYERS.iter().filter(|layer| !layer.folder.is_empty());
        let members: Vec<_> = folders
            .map(|layer| format!("\"{}\"", layer.folder))
            .collect();
        let root = ROOT.replace("MEMBERS", &members.join(", "));
        for layer in &LAYERS {
            let own = MEMBER.replace("NAME", layer.package);
            let uses = layer
                .may_use
                .iter()
                .map(|name| format!("{name}.workspace = true\n"));
            let own = own + &uses.collect::<String>();
            let at = Path::new(layer.folder);
            let manifest = if layer.folder.is_empty() {
                root.clone() + &own
            } else {
                own
            };
            fixture.write(at.join("Cargo.toml"), &manifest);
            fixture.write(at.join("src/lib.rs"), NO_BREACH);
        }
        fixture.write("Cargo.lock", "version = 4\n");
        fixture.write("README.md", "A fixture.\n");
        fixture.write(".ci/run", "exec cargo xtask test\n");
        fixture.write("clippy.toml", CLIPPY);
        fixture.write("docs/dependencies.md", REASONS);
        fixture.write("docs/threat-model.md", LIMITS);
        fixture.write("sim/src/limits.rs", LIMIT);
        fixture.write("target/debug/shared", concat!("../", "shared"));
        fixture.append(
            "hal/Cargo.toml",
            "[dev-dependencies]\nfutures.workspace = true\n",
        );
        fixture.append("transport/Cargo.toml", "tokio.workspace = true\n");
        fixture.append(
            "transport/src/lib.rs",
            "use tokio::time::Instant;\nfn f() { Instant::now(); tokio::time::sleep(d); }\n",
        );
        fixture.append("tworoutine/src/lib.rs", UNSAFE);
        fixture.append("tworoutine/src/lib.rs", "fn f() { tokio::spawn(x); }\n");
        fixture.write("tworoutine/tests/ui/refused.rs", "unsafe fn f() {}\n");
        fixture.write(
            "tests/bench/speed.rs",
            "#![allow(clippy::disallowed_methods)]\nfn main() { std::time::Instant::now(); }\n",
        );
        fixture
    }

    /// Writes a file, with the folders around it.
    pub(super) fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// Adds to a file.
    pub(super) fn append(&self, path: &str, text: &str) {
        let before = fs::read_to_string(self.root().join(path)).expect("the file is there");
        self.write(path, &(before + text));
    }

    /// Replaces a part of a file that must be there.
    pub(super) fn replace(&self, path: &str, from: &str, to: &str) {
        let before = fs::read_to_string(self.root().join(path)).expect("the file is there");
        assert!(before.contains(from), "{path} has no {from}");
        self.write(path, &before.replacen(from, to, 1));
    }

    /// Removes a file.
    pub(super) fn remove(&self, path: &str) {
        fs::remove_file(self.root().join(path)).expect("removed");
    }

    /// The folder of the workspace.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder around it.
    pub(super) fn around(&self) -> &Path {
        self.around.path()
    }

    /// Reads the workspace as the checks do.
    pub(super) fn tree(&self) -> Tree {
        let workspace = Workspace::read(self.root()).expect("cargo reads the fixture");
        Tree::read(workspace).expect("the fixture is Rust")
    }
}
