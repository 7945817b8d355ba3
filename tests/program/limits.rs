//! Tests of the program with few threads, few files or little memory. Each command works, or ends
//! with an exit status and a message that names the limit. No command panics or hangs.

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, getuid};

use super::process::{SimProcess, signal_to, write};

/// A limit of the operating system for a process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Limit {
    /// Number of threads in addition to the first one. Each thread gets a huge stack, and the
    /// memory is limited. A direct limit on threads would depend on the user and on other programs.
    Threads(u64),
    /// Number of threads, including the first one, for a user who runs nothing else. Only root can
    /// change to such a user.
    ThreadsOfUser(u64),
    /// Number of open files.
    Files(u64),
    /// Size of the address space, in KiB.
    Memory(u64),
}

/// Size of the stack of each thread in KiB, for [`Limit::Threads`].
const STACK_KIB: u64 = 4 << 20;

impl Limit {
    /// Returns shell commands that set the limit.
    pub(crate) fn shell(self) -> String {
        match self {
            Self::Threads(count) => {
                let (memory, stack) = (count * STACK_KIB + STACK_KIB / 2, STACK_KIB << 10);
                format!("ulimit -v {memory}; export RUST_MIN_STACK={stack}")
            }
            Self::ThreadsOfUser(count) => format!("ulimit -u {count}"),
            // Closes the descriptors that the program would inherit from the test runner.
            Self::Files(count) => {
                format!("exec 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-; ulimit -n {count}")
            }
            Self::Memory(kib) => format!("ulimit -v {kib}"),
        }
    }
}

/// Command that runs the program under a limit, ready to be started.
pub(crate) fn twotone_under(limit: Limit, args: &[&str]) -> Command {
    let script = format!("{}; exec \"$@\"", limit.shell());
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_twotone")]);
    command.args(args).stdin(Stdio::null());
    command
}

/// A copy of the program, a farm (a group of simulated boards), and a folder that any user can
/// write to.
struct Bench {
    sim: SimProcess,
    program: PathBuf,
    seed: u64,
    runs: u64,
}

/// Exit status and output of a command that has ended.
struct Ending {
    status: Option<i32>,
    said: String,
}

impl Bench {
    fn new(boards: &str) -> Self {
        let sim = SimProcess::start(&["--boards", boards, "--detectors", "2", "--modules", "2"]);
        let folder = sim.folder.path();
        let open = |path: &Path| {
            let permissions = std::fs::Permissions::from_mode(0o777);
            std::fs::set_permissions(path, permissions).expect("the owner may");
        };
        let program = folder.join("twotone");
        std::fs::copy(env!("CARGO_BIN_EXE_twotone"), &program).expect("a copy");
        [folder, &program, &sim.path("map.toml")]
            .into_iter()
            .for_each(open);
        let given = std::env::var("TWOTONE_TEST_SEED").ok();
        let given = given.and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0));
        eprintln!("to repeat: TWOTONE_TEST_SEED={seed}");
        Self {
            sim,
            program,
            seed,
            runs: 0,
        }
    }

    /// Returns a random number from `least` to `most`.
    fn random(&mut self, least: u64, most: u64) -> u64 {
        // Knuth's generator. Its high bits are random enough here.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005);
        self.seed = self.seed.wrapping_add(1_442_695_040_888_963_407);
        least + (self.seed >> 33) % (most - least + 1)
    }

    /// Runs a command under a limit to its end. A command that hangs is killed after a minute, with
    /// status 124.
    fn run(&mut self, limit: Limit, args: &[&str]) -> Ending {
        self.runs += 1;
        let mut command = Command::new("timeout");
        command.args(["--kill-after=1", "60"]);
        if let Limit::ThreadsOfUser(_) = limit {
            let user = self.random(2_000_000, 4_000_000).to_string();
            command.args(["setpriv", "--clear-groups", "--reuid", &user]);
            command.args(["--regid", &user]);
        }
        command
            .args(["sh", "-c", &format!("{}; exec \"$@\"", limit.shell()), "sh"])
            .arg(&self.program)
            .args(args)
            .env("RUST_BACKTRACE", "0")
            .current_dir(self.sim.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        ended(command.spawn().expect("timeout starts"))
    }

    fn out(&self) -> String {
        format!("run{}", self.runs)
    }
}

/// Waits for the end of a command. If the command is the simulator, interrupts it once it is ready.
fn ended(mut child: Child) -> Ending {
    let mut said = String::new();
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    out.read_line(&mut said).expect("text");
    if said.starts_with("ready") {
        signal_to(&child, Signal::INT);
    }
    out.read_to_string(&mut said).expect("text");
    let mut err = child.stderr.take().expect("a pipe");
    err.read_to_string(&mut said).expect("text");
    let status = child.wait().expect("it ends").code();
    Ending { status, said }
}

/// Each command of the program, with arguments for a short run.
const COMMANDS: [&[&str]; 8] = [
    &["check", "map.toml"],
    &["info", "map.toml"],
    &["off", "map.toml", "--deadline", "5"],
    &["tune", "map.toml", "--out"],
    &["sweep", "map.toml", "--out"],
    &["capture", "map.toml", "--seconds", "0.05", "--out"],
    &["demo", "--boards", "1", "--detectors", "2", "--out"],
    &["sim", "--boards", "1", "--detectors", "1"],
];

#[test]
fn a_command_works_or_names_the_limit() {
    let mut bench = Bench::new("1");
    let is_root = getuid().is_root();
    for command in COMMANDS {
        let mut limits = vec![
            Limit::Threads(bench.random(0, 12)),
            Limit::Files(bench.random(4, 20)),
            Limit::Files(bench.random(21, 80)),
            Limit::Memory(bench.random(40_000, 2_000_000)),
        ];
        if is_root {
            limits.push(Limit::ThreadsOfUser(bench.random(1, 12)));
        }
        for limit in limits {
            let out = bench.out();
            let mut args = command.to_vec();
            if args.last() == Some(&"--out") {
                args.push(&out);
            }
            let Ending { status, said } = bench.run(limit, &args);
            let case = format!("{limit:?} {args:?}: status {status:?}, said: {said}");
            // Excludes a signal, a panic (101), and the time limit (124).
            assert!(
                status.is_some_and(|status| [0, 2, 3, 4].contains(&status)),
                "{case}"
            );
            assert!(!said.contains("panicked"), "{case}");
            let names = ["`ulimit -u`", "`ulimit -n ", "`ulimit -n`", "`ulimit -v "];
            let named = names.iter().any(|name| said.contains(name));
            // On a busy machine the kernel drops packets of a capture. The program then reports
            // that samples were lost.
            let lost = status == Some(3) && said.contains(" lost, missing or not written in ");
            assert!(status == Some(0) || named || lost, "{case}");
        }
    }
}

#[test]
fn off_works_with_as_little_as_possible() {
    let mut bench = Bench::new("2");
    let mut limits = vec![
        Limit::Threads(0),
        Limit::Threads(1),
        Limit::Files(12),
        Limit::Memory(80_000),
    ];
    if getuid().is_root() {
        limits.extend([1, 2, 3].map(Limit::ThreadsOfUser));
    }
    for limit in limits {
        let Ending { status, said } = bench.run(limit, &["off", "map.toml"]);
        assert_eq!(status, Some(0), "{limit:?}: {said}");
        for board in ["crs0001", "crs0002"] {
            let off = format!("{board}: off, read back: module 1, 2");
            assert!(said.contains(&off), "{limit:?}: {said}");
        }
    }
}

#[test]
fn limits_too_low_for_the_map_are_reported_before_a_board_is_contacted() {
    let mut bench = Bench::new("2");
    for (limit, words) in [
        (
            Limit::Files(16),
            "open files at least and the limit of this process is 16",
        ),
        (Limit::Memory(100_000), "KiB are needed: raise the limit"),
    ] {
        let takes_out =
            |command: &&&[&str]| command[1] == "map.toml" && command.last() == Some(&"--out");
        for command in COMMANDS.iter().filter(takes_out) {
            let out = bench.out();
            let args = [command, &[&out[..]][..]].concat();
            let Ending { status, said } = bench.run(limit, &args);
            assert_eq!(status, Some(2), "{limit:?} {command:?}: {said}");
            assert!(said.contains(words), "{limit:?} {command:?}: {said}");
            assert!(said.contains("no board was touched"), "{said}");
            assert!(!bench.sim.path(&out).exists(), "{limit:?} {command:?}");
        }
    }
}

#[test]
fn a_name_that_no_thread_can_look_up_is_told() {
    let mut bench = Bench::new("1");
    let map = "[[board]]\nname = \"b1\"\nkind = \"crs\"\naddress = \"localhost:1\"\n";
    write(bench.sim.folder.path(), "named.toml", map);
    for (limit, words) in [
        (
            Limit::Threads(0),
            "the system grants no thread to look the name up",
        ),
        (Limit::Threads(3), "refused"),
    ] {
        let Ending { status, said } = bench.run(limit, &["info", "named.toml"]);
        assert_eq!(status, Some(4), "{limit:?}: {said}");
        assert!(said.contains(words), "{limit:?}: {said}");
    }
}
