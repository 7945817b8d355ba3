//! Planted breaches in manifests, pages and the tree.

use std::process::Command;

use super::super::fixture::Fixture;
use super::super::top_level;
use super::{Planted, planted};

pub(super) const PLANTED: &[Planted] = &[
    // manifests-inherit
    planted(
        "manifests-inherit",
        "hal/Cargo.toml: `version` is not inherited",
        |tree| {
            tree.replace(
                "hal/Cargo.toml",
                "version.workspace = true",
                "version = \"0.1.0\"",
            );
        },
    ),
    planted(
        "manifests-inherit",
        "sim/Cargo.toml: `license` is not inherited",
        |tree| {
            tree.replace("sim/Cargo.toml", "license.workspace = true", "");
        },
    ),
    planted(
        "manifests-inherit",
        "sim/Cargo.toml: lints are not the workspace's",
        |tree| {
            tree.replace(
                "sim/Cargo.toml",
                "[lints]\nworkspace = true",
                "[lints.rust]\nmissing_docs = \"warn\"",
            );
        },
    ),
    planted(
        "manifests-inherit",
        "tworoutine/Cargo.toml: lints are not the workspace's",
        |tree| {
            let own = "[lints.rust]\nunsafe_code = \"allow\"\nmissing_docs = \"allow\"";
            tree.replace("tworoutine/Cargo.toml", "[lints]\nworkspace = true", own);
        },
    ),
    // limits-are-told
    planted(
        "limits-are-told",
        "docs/threat-model.md:4: `MOST_BYTES` is 32 << 20, not 33 MiB",
        |tree| tree.replace("docs/threat-model.md", "32 MiB", "33 MiB"),
    ),
    planted(
        "limits-are-told",
        "docs/threat-model.md:6: `wait` is Duration::from_secs(2), not 2 ms",
        |tree| tree.replace("docs/threat-model.md", "2 s |", "2 ms |"),
    ),
    planted(
        "limits-are-told",
        "docs/threat-model.md:5: there is no `SOON` in sim/src/limits.rs",
        |tree| tree.replace("sim/src/limits.rs", "SOON", "SOONER"),
    ),
    planted(
        "limits-are-told",
        "hal/src/lib.rs:6: `LONGEST_NAME` is not in docs/threat-model.md",
        |tree| tree.append("hal/src/lib.rs", "const LONGEST_NAME: usize = 3;\n"),
    ),
    planted(
        "limits-are-told",
        "sim/src/lib.rs:6: `IDLE` is not in docs/threat-model.md",
        |tree| tree.append("sim/src/lib.rs", "pub const IDLE: Duration = SOON;\n"),
    ),
    planted(
        "limits-are-told",
        "docs/threat-model.md: is missing",
        |tree| {
            tree.remove("docs/threat-model.md");
        },
    ),
    // links
    planted("links", "README.md:3: the link `docs/no.md`", |tree| {
        tree.write(
            "README.md",
            "[here](#here), [there](https://example.org/no.md)\n\n[page](docs/no.md#part)\n",
        );
    }),
    planted("links", "docs/how-to/page.md:1: the link `../no`", |tree| {
        tree.write("docs/how-to/page.md", "[a](../../hal) and [b](../no)\n");
    }),
    planted("links", "docs/page.md:1: the link `../../out.md`", |tree| {
        tree.write(
            "docs/page.md",
            "[out](../../out.md)\n```sh\n[code](no.md)\n```\n",
        );
    }),
    // versions-are-shared
    planted(
        "versions-are-shared",
        "transport/Cargo.toml: `bytes` is not from",
        |tree| {
            tree.append("transport/Cargo.toml", "bytes = \"1\"\n");
        },
    ),
    planted(
        "versions-are-shared",
        "sim/Cargo.toml: `rustix` is not from",
        |tree| {
            tree.append(
                "sim/Cargo.toml",
                "[target.'cfg(unix)'.dev-dependencies.rustix]\nversion = \"1\"\n",
            );
        },
    ),
    // dependencies-have-reasons
    planted(
        "dependencies-have-reasons",
        "Cargo.toml: `serde` has no line",
        |tree| {
            tree.replace(
                "Cargo.toml",
                "tokio = \"1\"",
                "tokio = \"1\"\nserde = \"1\"",
            );
        },
    ),
    planted(
        "dependencies-have-reasons",
        "docs/dependencies.md:6: `left` is not a dependency",
        |tree| {
            tree.append("docs/dependencies.md", "| `left` | it was here before |\n");
        },
    ),
    planted(
        "dependencies-have-reasons",
        "docs/dependencies.md:5: `tokio` has no reason",
        |tree| {
            tree.replace("docs/dependencies.md", "sockets, timers and runtimes", "");
        },
    ),
    planted(
        "dependencies-have-reasons",
        "docs/dependencies.md: is missing",
        |tree| {
            tree.remove("docs/dependencies.md");
        },
    ),
    planted(
        "dependencies-have-reasons",
        "Cargo.toml: no package uses `futures`",
        |tree| {
            tree.replace("hal/Cargo.toml", "futures.workspace = true", "");
        },
    ),
    // bench-table
    planted(
        "bench-table",
        "sim/benches/forgotten.rs: bench `forgotten` of twotone-sim",
        |tree| {
            tree.write("sim/benches/forgotten.rs", "fn main() {}\n");
        },
    ),
    // top-level
    planted("top-level", "scripts: does not belong", |tree| {
        tree.write("scripts/x.sh", "")
    }),
    planted("top-level", "notes.txt: does not belong", |tree| {
        tree.write("notes.txt", "")
    }),
    planted("top-level", "utils: does not belong", |tree| {
        tree.write("utils/Cargo.toml", "")
    }),
    // lock-committed
    planted("lock-committed", "Cargo.lock: is not committed", |tree| {
        git(tree, &["init", "--quiet"]);
    }),
    planted(
        "lock-committed",
        "Cargo.lock: is not what was committed",
        |tree| {
            commit(tree);
            tree.append("Cargo.lock", "# anew\n");
        },
    ),
    // stands-alone
    planted("stands-alone", "docs/how.md:2: refers to", |tree| {
        tree.write("docs/how.md", concat!("See\n[it](../", "shared/x.md).\n"));
    }),
    planted(
        "stands-alone",
        "xtask/Cargo.toml: `outside` is outside the tree",
        |tree| {
            let manifest = "[package]\nname = \"outside\"\n[lib]\npath = \"x.rs\"\n";
            let text = "outside = { path = \"../../outside\" }\n";
            std::fs::create_dir(tree.around().join("outside")).expect("made");
            tree.write("../outside/Cargo.toml", manifest);
            tree.append("xtask/Cargo.toml", text);
        },
    ),
];

/// Makes the fixture a repository with one commit.
fn commit(tree: &Fixture) {
    git(tree, &["init", "--quiet"]);
    git(tree, &["add", "."]);
    git(
        tree,
        &[
            "-c",
            "user.name=x",
            "-c",
            "user.email=x@x",
            "commit",
            "--quiet",
            "--message=x",
        ],
    );
}

fn git(tree: &Fixture, args: &[&str]) {
    let status = Command::new("git")
        .args(args)
        .current_dir(tree.root())
        .status();
    assert!(status.expect("git runs").success(), "git {args:?}");
}

#[test]
fn a_lock_that_changes_with_a_manifest_is_sound() {
    let fixture = Fixture::sound();
    commit(&fixture);
    fixture.append("Cargo.lock", "# anew\n");
    fixture.append("hal/Cargo.toml", "# anew\n");
    assert!(top_level::lock(&fixture.tree()).is_empty());
}
