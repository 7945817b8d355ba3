//! Places that may read the clock, put a thread to sleep or spawn a task without an owner, with
//! their reasons. Data only.

/// An item that ignores virtual time or leaves a task without an owner.
pub(super) struct Item {
    /// Its full path.
    pub(super) path: &'static str,
    /// True if `clippy.toml` must list it. The others matter in a few packages only.
    pub(super) in_clippy: bool,
}

/// The items.
pub(super) const ITEMS: [Item; 7] = [
    Item {
        path: "std::time::Instant::now",
        in_clippy: true,
    },
    Item {
        path: "std::time::SystemTime::now",
        in_clippy: true,
    },
    Item {
        path: "std::thread::sleep",
        in_clippy: true,
    },
    Item {
        path: "tokio::spawn",
        in_clippy: true,
    },
    Item {
        path: "tokio::task::spawn",
        in_clippy: false,
    },
    Item {
        path: "jiff::Timestamp::now",
        in_clippy: false,
    },
    Item {
        path: "jiff::Zoned::now",
        in_clippy: false,
    },
];

/// Folders in which all items are allowed.
pub(super) const FOLDERS: [(&str, &str); 2] = [
    (
        "tworoutine/",
        "it is the runtime: it owns the clock and the tasks",
    ),
    ("xtask/", "it runs programs and says how long they took"),
];

/// A place outside those folders.
pub(super) struct Place {
    /// A file from the root, or a folder of benchmarks with a slash at its end.
    pub(super) path: &'static str,
    /// The item, or `*` for all of them.
    pub(super) item: &'static str,
    pub(super) reason: &'static str,
}

/// The places.
pub(super) const PLACES: [Place; 7] = [
    Place {
        path: "src/record/calendar.rs",
        item: "jiff::Timestamp::now",
        reason: "a run record says on what date it was made",
    },
    Place {
        path: "fuzz/src/main.rs",
        item: "std::time::Instant::now",
        reason: "inputs are tried for a number of seconds",
    },
    Place {
        path: "sim/benches/",
        item: "*",
        reason: "a benchmark measures the time of the wall",
    },
    Place {
        path: "sim/physics/benches/",
        item: "*",
        reason: "a benchmark measures the time of the wall",
    },
    Place {
        path: "transport/benches/",
        item: "*",
        reason: "a benchmark measures the time of the wall",
    },
    Place {
        path: "transport/wire/benches/",
        item: "*",
        reason: "a benchmark measures the time of the wall",
    },
    Place {
        path: "tests/bench/",
        item: "*",
        reason: "a benchmark measures the time of the wall",
    },
];

/// Folders and places: path, item and reason.
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let folders = FOLDERS.iter().map(|(path, reason)| (*path, "*", *reason));
    folders.chain(
        PLACES
            .iter()
            .map(|place| (place.path, place.item, place.reason)),
    )
}
