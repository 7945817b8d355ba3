use std::fs;
use std::sync::atomic::AtomicBool;
use std::thread;

use tempfile::TempDir;

use super::*;

const ADDRESS: &str = "10.0.0.1:80";

fn taken(asked: Asked) -> (BoardLock, Option<Holder>) {
    match asked {
        Asked::Taken(lock, from) => (lock, from),
        Asked::Held(by) => panic!("held by {by:?}"),
    }
}

fn held(asked: Asked) -> Holder {
    match asked {
        Asked::Held(by) => by,
        Asked::Taken(_, from) => panic!("taken from {from:?}"),
    }
}

fn ask(folder: &TempDir, take_over: bool) -> Asked {
    BoardLock::ask_in(folder.path(), ADDRESS, take_over).unwrap()
}

fn files(folder: &TempDir) -> Vec<String> {
    let files = fs::read_dir(folder.path()).unwrap();
    let name = |file: fs::DirEntry| file.file_name().into_string().unwrap();
    files.map(|file| name(file.unwrap())).collect()
}

#[test]
fn a_board_has_one_holder_until_it_is_left_or_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let (first, from) = taken(ask(&folder, false));
    assert!(from.is_none() && first.taken_over().is_none());
    assert_eq!(
        held(ask(&folder, false)).process,
        Some(std::process::id()),
        "two holders"
    );
    let other = BoardLock::ask_in(folder.path(), "10.0.0.2:80", false).unwrap();
    assert!(matches!(other, Asked::Taken(..)), "another board");

    let (second, from) = taken(ask(&folder, true));
    assert_eq!(from.unwrap().process, Some(std::process::id()));
    assert!(second.taken_over().is_none());
    // The first program keeps the lock file of the board locked as long as it lives, but has lost
    // the board.
    assert!(first.taken_over().is_some());
    drop(first);
    assert!(second.taken_over().is_none());
    held(ask(&folder, false));
    drop(second);
    taken(ask(&folder, false));
}

/// Locks a board for a first program. Each further program takes the board over from the one
/// before. Then the programs end in the order `ends`, without checking their locks before.
fn check_ends(ends: &[usize]) {
    let folder = tempfile::tempdir().unwrap();
    let mut programs: Vec<_> = (0..ends.len())
        .map(|_| Some(taken(ask(&folder, true)).0))
        .collect();
    for end in ends {
        programs[*end] = None;
        let last_lives = programs.last().unwrap().is_some();
        match ask(&folder, false) {
            Asked::Held(_) => assert!(last_lives, "{ends:?}: after {end} it is nobody's"),
            Asked::Taken(..) => assert!(!last_lives, "{ends:?}: after {end} a further one has it"),
        }
        let lost = programs.iter().rev().skip(1).flatten();
        for lost in lost {
            assert!(lost.taken_over().is_some(), "{ends:?}: {lost:?}");
        }
        if let Some(Some(last)) = programs.last() {
            assert!(last.taken_over().is_none(), "{ends:?}");
        }
    }
    assert_eq!(files(&folder), [""; 0], "{ends:?}");
}

#[test]
fn nobody_comes_between_one_that_takes_a_board_over_and_the_board() {
    check_ends(&[0]);
    for ends in [[0, 1], [1, 0]] {
        check_ends(&ends);
    }
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    for ends in orders {
        check_ends(&ends);
    }
}

#[test]
fn files_are_removed_while_others_look_for_them_and_a_board_has_one_holder() {
    let folder = tempfile::tempdir().unwrap();
    let is_held = AtomicBool::new(false);
    let had = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while had.load(Ordering::SeqCst) < 60 {
                    let Asked::Taken(lock, _) = ask(&folder, false) else {
                        continue;
                    };
                    assert!(!is_held.swap(true, Ordering::SeqCst), "two have it");
                    thread::yield_now();
                    is_held.store(false, Ordering::SeqCst);
                    had.fetch_add(1, Ordering::SeqCst);
                    drop(lock);
                }
            });
        }
    });
    assert_eq!(files(&folder), [""; 0]);
}

#[test]
fn the_lock_file_of_a_killed_program_locks_nothing() {
    let said = |own: &str| format!("\n{{\"process\":1,\"own_file\":{own}}}\n");
    let name = file_name(ADDRESS);
    let beside = format!("{name}.1-0");
    for text in [
        String::new(),
        said("null"),
        said(&format!("{beside:?}")),
        said("\"../../etc/passwd\""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(&name), &text).unwrap();
        fs::write(folder.path().join(&beside), "").unwrap();
        let (lock, from) = taken(ask(&folder, false));
        assert_eq!(from, None, "{text}");
        held(ask(&folder, false));
        drop(lock);
        let left: Vec<_> = files(&folder);
        assert!(!left.contains(&name), "{left:?}");
        assert_eq!(left.is_empty(), text.contains(&beside), "{text} {left:?}");
    }
}

#[test]
fn a_holder_is_told_as_far_as_it_says_who_it_is() {
    let whole =
        r#"{"command":"twotone tune","process":7,"user":"ann","since":"2026-11-22T12:37:27.123Z"}"#;
    let long = "x".repeat(100_000);
    for (text, told) in [
        (
            whole,
            "`twotone tune` (process 7, user ann, since 2026-11-22T12:37:27.123Z)",
        ),
        (r#"{"process":7}"#, "another program (process 7)"),
        (r#"{"command":"x","turn":3,"process":null}"#, "`x`"),
        (r#"{"process":-7}"#, "another program"),
        (r#"{"command":"\u001b[2J"}"#, "`\\u{1b}[2J`"),
        ("\u{1b}[2J", "another program"),
        ("[]", "another program"),
        ("", "another program"),
        (&long, "another program"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file_name(ADDRESS));
        fs::write(&path, format!("{text}\n")).unwrap();
        let stranger = File::open(&path).unwrap();
        assert!(folder::lock(&stranger).unwrap());
        let by = held(ask(&folder, false));
        assert_eq!(by.to_string(), told, "{text}");
        let unknown = ["process 0", "unknown", "now"];
        assert!(!unknown.iter().any(|word| in_use(&by).contains(word)));
        // The board can be taken over even if its holder is unknown.
        let (lock, from) = taken(ask(&folder, true));
        assert_eq!(from, Some(by));
        assert!(lock.taken_over().is_none());
    }
}

#[test]
fn a_line_that_is_being_written_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let (lock, _) = taken(ask(&folder, false));
    let line = format!("\n{}\n", r#"{"command":"twotone off","process":7}"#);
    let (end, whole) = (lock.file.metadata().unwrap().len(), line.len());
    for written in 0..whole {
        lock.file.set_len(end).unwrap();
        lock.file
            .write_all_at(&line.as_bytes()[..written], end)
            .unwrap();
        assert_eq!(lock.taken_over(), None, "{written} bytes");
        let by = held(ask(&folder, false));
        assert_eq!(by.process, Some(std::process::id()), "{written} bytes");
    }
    lock.file.write_all_at(line.as_bytes(), end).unwrap();
    let by = lock.taken_over().unwrap().to_string();
    assert_eq!(by, "`twotone off` (process 7)");
    // Somebody has emptied the file.
    lock.file.set_len(0).unwrap();
    assert_eq!(lock.taken_over().unwrap().to_string(), "another program");
}

#[test]
fn a_file_that_is_no_lock_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |address: &str| folder.path().join(file_name(address));
    std::os::unix::fs::symlink("/etc/passwd", path("link:80")).unwrap();
    fs::create_dir(path("folder:80")).unwrap();
    for address in ["link:80", "folder:80"] {
        let told = BoardLock::ask_in(folder.path(), address, true).unwrap_err();
        assert!(told.to_string().contains(&file_name(address)), "{told}");
    }
    let nowhere = folder.path().join("nowhere");
    BoardLock::ask_in(&nowhere, ADDRESS, true).unwrap_err();
    let name = file_name("../../etc/passwd");
    assert_eq!(name, "twotone-board-.._.._etc_passwd.lock");
    assert!(is_beside("a.lock.7-0", "a.lock"));
    for strange in ["a.lock", "b.lock.7-0", "a.lock./7", "a.lock.7/../x"] {
        assert!(!is_beside(strange, "a.lock"), "{strange}");
    }
}
