//! Resources of the operating system that a process holds, and a wait until the process has
//! released them.

use std::fs;
use std::process::Command;
use std::time::Duration;

use tokio::time::Instant;

/// Largest allowed increase of the resident memory of a process. Without a leak the increase was up
/// to 3 MiB after six seconds and up to 6 MiB after three minutes, and then stopped.
const ALLOWANCE_BYTES: usize = 16 << 20;

/// Environment variables that make the allocator of glibc release freed memory to the system.
/// Without them the allocator keeps tens of megabytes that the largest answers needed, and this
/// hides a leak.
const GIVING_BACK: [(&str, &str); 2] = [
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
];

/// True if this process and the processes that it starts release freed memory. If they do not, the
/// function runs the test named `test` again in a process that does, and fails if that test fails.
pub(crate) fn gives_back(test: &str) -> bool {
    if GIVING_BACK
        .iter()
        .all(|(name, _)| std::env::var_os(name).is_some())
    {
        return true;
    }
    let mut again = Command::new(std::env::current_exe().unwrap());
    again
        .args([test, "--exact", "--nocapture"])
        .envs(GIVING_BACK);
    assert!(again.status().unwrap().success(), "see what it says above");
    false
}

/// Resources that a process holds, according to the kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holds {
    /// Number of open descriptors of any kind, sockets included.
    descriptors: usize,
    sockets: usize,
    threads: usize,
    /// Resident memory in bytes.
    memory_bytes: usize,
}

impl Holds {
    /// Reads the resources that the process with the number `process` holds now. The process must
    /// be running.
    pub(crate) fn of(process: u32) -> Self {
        let folder = format!("/proc/{process}");
        let entries = fs::read_dir(format!("{folder}/fd")).expect("it is running");
        // A descriptor may be closed after the listing. Its link cannot be read.
        let links: Vec<_> = entries
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .collect();
        let is_socket = |link: &&std::path::PathBuf| link.to_string_lossy().starts_with("socket:");
        let status = fs::read_to_string(format!("{folder}/status")).expect("it is running");
        Self {
            descriptors: links.len(),
            sockets: links.iter().filter(is_socket).count(),
            threads: number(&status, "Threads:"),
            memory_bytes: number(&status, "VmRSS:") << 10,
        }
    }

    /// Returns these resources, but with the memory of `other`, which is from another process or
    /// another time.
    pub(crate) fn with_memory_of(self, other: Self) -> Self {
        Self {
            memory_bytes: other.memory_bytes,
            ..self
        }
    }

    /// Returns the names of the resources of which this value has more than `before`, beyond the
    /// allowance.
    fn more_than(&self, before: &Self) -> Vec<&'static str> {
        let most_memory = before.memory_bytes + ALLOWANCE_BYTES;
        [
            ("descriptors", self.descriptors > before.descriptors),
            ("sockets", self.sockets > before.sockets),
            ("threads", self.threads > before.threads),
            ("memory", self.memory_bytes > most_memory),
        ]
        .into_iter()
        .filter_map(|(kind, is_more)| is_more.then_some(kind))
        .collect()
    }

    /// Waits until a process holds no more than these resources, and returns the resources that it
    /// holds then. Fails if the process still holds more after a minute.
    pub(crate) fn waited_for(&self, who: &str, process: u32) -> Self {
        let mut now = Self::of(process);
        let is_given_back = within_a_minute(|| {
            now = Self::of(process);
            now.more_than(self).is_empty()
        });
        let kinds = now.more_than(self).join(", ");
        assert!(is_given_back, "{who} keeps {kinds}: {self:?}, then {now:?}");
        now
    }
}

/// Returns the number after a key in the text of `/proc/PROCESS/status`.
fn number(status: &str, key: &str) -> usize {
    let line = status.lines().find_map(|line| line.strip_prefix(key));
    let word = line.and_then(|line| line.split_whitespace().next());
    word.and_then(|word| word.parse().ok()).expect(key)
}

/// Waits until `done` is true. Fails if it is still false after a minute.
pub(crate) fn wait_until(what: &str, done: impl FnMut() -> bool) {
    assert!(within_a_minute(done), "{what}");
}

fn within_a_minute(mut done: impl FnMut() -> bool) -> bool {
    let (_never, told) = std::sync::mpsc::channel::<()>();
    let begin = Instant::now();
    while !done() {
        if begin.elapsed() > Duration::from_secs(60) {
            return false;
        }
        let _ = told.recv_timeout(Duration::from_millis(10));
    }
    true
}

#[test]
fn whatever_a_process_holds_more_of_is_named() {
    let _alone = super::alone();
    if !gives_back("holds::whatever_a_process_holds_more_of_is_named") {
        return;
    }
    let before = Holds::of(std::process::id());
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let held = Holds::of(std::process::id());
    assert_eq!(held.more_than(&before), ["descriptors", "sockets"]);
    drop(socket);
    let file = fs::File::open("/proc/self/status").unwrap();
    let held = Holds::of(std::process::id());
    assert_eq!(held.more_than(&before), ["descriptors"]);
    drop(file);

    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || ended.recv());
    let held = Holds::of(std::process::id());
    assert_eq!(held.more_than(&before), ["threads"]);
    drop(end);
    assert!(thread.join().unwrap().is_err());

    let leak = std::hint::black_box(vec![1_u8; ALLOWANCE_BYTES + (1 << 20)]);
    let held = Holds::of(std::process::id());
    assert_eq!(held.more_than(&before), ["memory"]);
    drop(leak);
    before.waited_for("this process", std::process::id());
}
