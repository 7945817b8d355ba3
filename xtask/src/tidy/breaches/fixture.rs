//! A small workspace on disk in which every invariant (rule for the workspace) holds. Tests plant
//! breaches of the invariants in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::tidy::layers::layers;
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

[workspace.lints.clippy]
all = { level = "warn", priority = -1 }
undocumented_unsafe_blocks = "warn"
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

const REASONS: &str = "\
| dependency | why we have it |
|---|---|
| `futures` | combinators in tests alone |
| `tokio` | sockets, timers and runtimes |
";

const LIMITS: &str = "\
const MOST_BYTES: usize = 32 << 20;
pub(crate) const SOON: Duration = Duration::from_millis(20);
const WAIT: Wait = Wait {
    wait: Duration::from_secs(2),
};
";
const LIMITS_PAGE: &str = "\
| bytes | 32 MiB | `MOST_BYTES` in `sim/src/limits.rs` | |
| soon | 20 ms | `SOON` in `sim/src/limits.rs` | |
| wait | 2 s | `wait` in `sim/src/limits.rs` | |
";

/// An exception from the lints. Only named places may have it.
const EXCEPTION: &str = "#![expect(clippy::disallowed_methods)]\n";

/// A foreign block with its `SAFETY:` comment.
const FOREIGN: &str = "// SAFETY: as declared\n// there.\nunsafe extern \"C\" {\n}\n";

/// Files of the workspace besides the manifests. Some look like breaches of an invariant but are
/// not.
const FILES: &[(&str, &str)] = &[
    ("Cargo.lock", "version = 4\n"),
    ("README.md", "A fixture.\n"),
    (".ci/run", "exec cargo xtask test\n"),
    ("clippy.toml", super::found_by_clippy::ROOT_LIST),
    ("hal/clippy.toml", super::found_by_clippy::HAL_LIST),
    (
        "algorithms/clippy.toml",
        super::found_by_clippy::ALGORITHMS_LIST,
    ),
    ("docs/dependencies.md", REASONS),
    ("docs/threat-model.md", LIMITS_PAGE),
    ("sim/src/limits.rs", LIMITS),
    ("hal/src/board.rs", "//! No Tuber, no clippy::all\n"),
    ("algorithms/src/fit.rs", "// See sim/physics.\n"),
    ("tworoutine/src/exit.rs", FOREIGN),
    ("fuzz/src/main.rs", EXCEPTION),
    ("sim/benches/x/y.rs", EXCEPTION),
    ("sim/physics/benches/x/y.rs", EXCEPTION),
    ("src/record/calendar.rs", EXCEPTION),
    ("tests/bench/x.rs", EXCEPTION),
    ("transport/benches/x/y.rs", EXCEPTION),
    ("transport/wire/benches/x/y.rs", EXCEPTION),
    ("xtask/src/main.rs", EXCEPTION),
    ("target/debug/shared", concat!("../", "shared")),
];

/// The workspace. Its folder is removed when this value is dropped.
pub(super) struct Fixture {
    /// Temporary folder that contains the folder of the workspace. It can also hold files outside
    /// the workspace.
    _around: TempDir,
    root: PathBuf,
}

impl Fixture {
    /// Makes a workspace in which every invariant holds, and then changes it. The head of
    /// `planted.txt` describes the changes.
    pub(super) fn new(changes: &[&str]) -> Self {
        let around = TempDir::new().expect("a folder for the fixture");
        let root = around.path().join("tree");
        let fixture = Self {
            _around: around,
            root,
        };
        let folders = layers().filter(|(folder, _)| !folder.is_empty());
        let members: Vec<_> = folders.map(|(folder, _)| format!("\"{folder}\"")).collect();
        for (folder, columns) in layers() {
            let mut manifest = MEMBER.replace("NAME", columns[0]);
            for name in columns[1].split_whitespace() {
                manifest += &format!("{name}.workspace = true\n");
            }
            if folder.is_empty() {
                manifest = ROOT.replace("MEMBERS", &members.join(", ")) + &manifest;
            }
            let folder = Path::new(folder);
            fixture.write(folder.join("Cargo.toml"), &manifest);
            fixture.write(folder.join("src/lib.rs"), "\n");
        }
        for (path, text) in FILES {
            fixture.write(path, text);
        }
        fixture.change("+ transport/Cargo.toml tokio.workspace = true\\n");
        fixture.change("+ hal/Cargo.toml [dev-dependencies]\\nfutures.workspace = true\\n");
        changes.iter().for_each(|change| fixture.change(change));
        fixture
    }

    fn change(&self, change: &str) {
        let text = change.replace("\\n", "\n").replace('\\', "");
        let mut words = text.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let (kind, path, text) = (word(), word(), word());
        let before = || fs::read_to_string(self.root.join(path)).expect("the file is there");
        match kind {
            "+" => self.write(path, &(before() + text)),
            "=" => self.write(path, text),
            "-" => fs::remove_file(self.root.join(path)).expect("removed"),
            "~" => {
                let (from, to) = text.split_once("=>").expect("two texts");
                assert!(before().contains(from), "{path} has no {from}");
                self.write(path, &before().replacen(from, to, 1));
            }
            _ => {
                let mut git = Command::new("git");
                git.args(change.split(' ').skip(1)).current_dir(&self.root);
                assert!(git.status().expect("git runs").success(), "{change}");
            }
        }
    }

    fn write(&self, path: impl AsRef<Path>, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    /// Reads the workspace as the checks do.
    pub(super) fn workspace(&self) -> Workspace {
        Workspace::read(&self.root).expect("cargo reads the fixture")
    }
}
