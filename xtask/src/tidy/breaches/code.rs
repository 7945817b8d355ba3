//! Planted breaches in the dependencies of packages and in sources.

use super::{Planted, planted};

pub(super) const PLANTED: &[Planted] = &[
    // layers
    planted(
        "layers",
        "hal/Cargo.toml: twotone-hal may not depend on tworoutine",
        |tree| {
            tree.replace(
                "hal/Cargo.toml",
                "[dependencies]",
                "[dependencies]\ntworoutine.workspace = true",
            );
        },
    ),
    planted(
        "layers",
        "sim/Cargo.toml: twotone-sim may not dev-depend on twotone-hal",
        |tree| {
            tree.append(
                "sim/Cargo.toml",
                "[dev-dependencies]\ntwotone-hal.workspace = true\n",
            );
        },
    ),
    planted(
        "layers",
        "transport/wire/Cargo.toml: twotone-wire may not build-depend on twotone",
        |tree| {
            let text = "[build-dependencies]\ntwotone-physics.workspace = true\n";
            tree.append("transport/wire/Cargo.toml", text);
        },
    ),
    planted(
        "layers",
        "xtask/Cargo.toml: xtask may not depend on tworoutine",
        |tree| {
            tree.append(
                "xtask/Cargo.toml",
                "[target.'cfg(unix)'.dependencies]\ntworoutine.workspace = true\n",
            );
        },
    ),
    planted(
        "layers",
        "twotone-wire may not depend on twotone-physics",
        |tree| {
            let text = "[dependencies.disguised]\npath = \"../../sim/physics\"\npackage = \"twotone-physics\"\n";
            tree.append("transport/wire/Cargo.toml", text);
        },
    ),
    planted("layers", "hal/Cargo.toml: newcomer has no layer", |tree| {
        tree.replace("hal/Cargo.toml", "twotone-hal", "newcomer");
        tree.replace(
            "Cargo.toml",
            "twotone-hal = { path = \"hal\" }",
            "twotone-hal = \"1\"",
        );
    }),
    // hal-is-neutral
    planted(
        "hal-is-neutral",
        "hal/Cargo.toml: depends on tokio",
        |tree| {
            tree.append("hal/Cargo.toml", "tokio.workspace = true\n");
        },
    ),
    planted(
        "hal-is-neutral",
        "hal/Cargo.toml: depends on futures",
        |tree| {
            tree.replace("hal/Cargo.toml", "[dev-dependencies]", "");
        },
    ),
    planted(
        "hal-is-neutral",
        "hal/src/lib.rs:6: names `tokio::time::timeout`",
        |tree| {
            tree.append(
                "hal/src/lib.rs",
                "fn f() { tokio::time::timeout(d, g()); }\n",
            );
        },
    ),
    planted(
        "hal-is-neutral",
        "hal/src/nested/tcp.rs:1: names `std::net::TcpStream`",
        |tree| {
            tree.write("hal/src/nested/tcp.rs", "use std::net::TcpStream;\n");
        },
    ),
    planted(
        "hal-is-neutral",
        "hal/src/lib.rs:6: `TuberCall` names a protocol",
        |tree| {
            tree.append("hal/src/lib.rs", "struct TuberCall;\n");
        },
    ),
    // algorithms-name-no-board
    planted(
        "algorithms-name-no-board",
        "algorithms/Cargo.toml: depends on tokio",
        |tree| {
            tree.append(
                "algorithms/Cargo.toml",
                "[dev-dependencies]\ntokio.workspace = true\n",
            );
        },
    ),
    planted(
        "algorithms-name-no-board",
        "algorithms/tests/fit.rs:1: names `twotone_sim::Farm`",
        |tree| {
            tree.write("algorithms/tests/fit.rs", "use twotone_sim::Farm;\n");
        },
    ),
    planted(
        "algorithms-name-no-board",
        "algorithms/src/lib.rs:6: names `twotone_wire::tuber`",
        |tree| {
            tree.append(
                "algorithms/src/lib.rs",
                "use {twotone_wire::{tuber as t}};\n",
            );
        },
    ),
    // algorithms-have-no-clock
    planted(
        "algorithms-have-no-clock",
        "algorithms/src/lib.rs:6: names `std::time::Instant`",
        |tree| {
            tree.append(
                "algorithms/src/lib.rs",
                "use std::time::{Duration, Instant};\n",
            );
        },
    ),
    planted(
        "algorithms-have-no-clock",
        "names `std::thread::sleep`",
        |tree| {
            tree.append(
                "algorithms/src/lib.rs",
                "use std::thread;\nfn f() { thread::sleep(d) }\n",
            );
        },
    ),
    planted(
        "algorithms-have-no-clock",
        "names `std::time::UNIX_EPOCH::elapsed`",
        |tree| {
            tree.append(
                "algorithms/src/lib.rs",
                "fn f() { std::time::UNIX_EPOCH::elapsed() }\n",
            );
        },
    ),
    // algorithms-know-no-physics
    planted(
        "algorithms-know-no-physics",
        "algorithms/Cargo.toml: depends on twotone-physics",
        |tree| {
            tree.append(
                "algorithms/Cargo.toml",
                "[dev-dependencies]\ntwotone-physics.workspace = true\n",
            );
        },
    ),
    planted(
        "algorithms-know-no-physics",
        "algorithms/src/lib.rs:6: names `twotone_physics::s21`",
        |tree| {
            tree.append(
                "algorithms/src/lib.rs",
                "fn f() { twotone_physics::s21() }\n",
            );
        },
    ),
    planted(
        "algorithms-know-no-physics",
        "algorithms/src/lib.rs:6: reaches into",
        |tree| {
            tree.append(
                "algorithms/src/lib.rs",
                "include!(\"../../sim/physics/src/lib.rs\");\n",
            );
        },
    ),
    // sim-is-not-the-client
    planted(
        "sim-is-not-the-client",
        "sim/Cargo.toml: twotone-sim depends on twotone-transport",
        |tree| {
            tree.append(
                "sim/Cargo.toml",
                "[dev-dependencies]\ntwotone-transport.workspace = true\n",
            );
        },
    ),
    planted(
        "sim-is-not-the-client",
        "sim/tests/served.rs:1: names `twotone_transport::Crs`",
        |tree| {
            tree.write("sim/tests/served.rs", "use twotone_transport::Crs;\n");
        },
    ),
    // clocks-and-bare-tasks
    planted(
        "clocks-and-bare-tasks",
        "sim/src/lib.rs:6: `std::time::Instant::now` outside",
        |tree| {
            tree.append("sim/src/lib.rs", "fn f() { std::time::Instant::now(); }\n");
        },
    ),
    planted(
        "clocks-and-bare-tasks",
        "src/lib.rs:7: `std::time::SystemTime::now` outside",
        |tree| {
            tree.append(
                "src/lib.rs",
                "use std::time::SystemTime as T;\nfn f() { T::now(); }\n",
            );
        },
    ),
    planted(
        "clocks-and-bare-tasks",
        "tests/end.rs:2: `std::thread::sleep` outside",
        |tree| {
            tree.write(
                "tests/end.rs",
                "use std::thread;\nfn f() { thread::sleep(d); }\n",
            );
        },
    ),
    planted(
        "clocks-and-bare-tasks",
        "examples/app.rs:1: `tokio::spawn` outside",
        |tree| {
            tree.write("examples/app.rs", "use tokio::spawn;\n");
        },
    ),
    planted(
        "clocks-and-bare-tasks",
        "sim/src/lib.rs:6: `tokio::task::spawn` outside",
        |tree| {
            tree.append("sim/src/lib.rs", "fn f() { tokio::task::spawn(x); }\n");
        },
    ),
    planted(
        "clocks-and-bare-tasks",
        "src/run/record.rs:2: `jiff::Zoned::now` outside",
        |tree| {
            tree.write(
                "src/run/record.rs",
                "use jiff::*;\nfn f() { Zoned::now(); }\n",
            );
        },
    ),
    planted(
        "clocks-and-bare-tasks",
        "src/record/calendar.rs: named for `jiff",
        |tree| {
            tree.write("src/record/calendar.rs", "fn now() {}\n");
        },
    ),
    planted(
        "clocks-and-bare-tasks",
        "src/record/calendar.rs:1: `std::time::Instant::now`",
        |tree| {
            tree.write(
                "src/record/calendar.rs",
                "fn f() { std::time::Instant::now(); }\n",
            );
        },
    ),
    // clock-lint
    planted(
        "clock-lint",
        "clippy.toml: `disallowed-methods` lacks `std::thread::sleep`",
        |tree| {
            tree.replace(
                "clippy.toml",
                "std::thread::sleep",
                "std::thread::yield_now",
            );
        },
    ),
    planted(
        "clock-lint",
        "clippy.toml: `disallowed-methods` lacks `tokio::spawn`",
        |tree| {
            tree.remove("clippy.toml");
        },
    ),
    planted(
        "clock-lint",
        "sim/src/lib.rs:6: an exception from",
        |tree| {
            tree.append(
                "sim/src/lib.rs",
                "#[expect(clippy::disallowed_methods)]\nfn f() {}\n",
            );
        },
    ),
    // unsafe-only-in-tworoutine
    planted(
        "unsafe-only-in-tworoutine",
        "sim/src/lib.rs:7: unsafe code outside",
        |tree| {
            tree.append(
                "sim/src/lib.rs",
                "// SAFETY: none.\nfn f() { unsafe { g() } }\n",
            );
        },
    ),
    planted(
        "unsafe-only-in-tworoutine",
        "Cargo.toml: the workspace's lints",
        |tree| {
            tree.replace("Cargo.toml", "\"forbid\"", "\"deny\"");
        },
    ),
    // unsafe-says-why
    planted(
        "unsafe-says-why",
        "tworoutine/src/stack.rs:2: an unsafe function",
        |tree| {
            let text = "impl<F: for<'a> Fn(&'a u8)> X<F> {\nunsafe fn f() {}\n}\n";
            tree.write("tworoutine/src/stack.rs", text);
        },
    ),
    planted(
        "unsafe-says-why",
        "tworoutine/src/stack.rs:2: unsafe code without",
        |tree| {
            tree.write(
                "tworoutine/src/stack.rs",
                "fn f() {\n    unsafe { g() }\n}\n",
            );
        },
    ),
    planted(
        "unsafe-says-why",
        "tworoutine/src/stack.rs:4: unsafe code without",
        |tree| {
            let text =
                "// SAFETY: the first.\nunsafe impl Send for X {}\n\nunsafe impl Sync for X {}\n";
            tree.write("tworoutine/src/stack.rs", text);
        },
    ),
    planted(
        "unsafe-says-why",
        "tworoutine/src/stack.rs:3: unsafe code without",
        |tree| {
            let text = "// SAFETY: of another statement.\nlet x = 1;\nlet y = unsafe { g() };\n";
            tree.write("tworoutine/src/stack.rs", text);
        },
    ),
    planted(
        "unsafe-says-why",
        "tworoutine/src/stack.rs:2: an unsafe function",
        |tree| {
            tree.write(
                "tworoutine/src/stack.rs",
                "/// Does it.\npub unsafe fn f() {}\n",
            );
        },
    ),
    planted(
        "unsafe-says-why",
        "tworoutine/macros/src/x.rs:1: an unsafe function or trait",
        |tree| {
            tree.write("tworoutine/macros/src/x.rs", "unsafe trait T {}\n");
        },
    ),
];
