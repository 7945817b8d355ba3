//! Renaming of the folder of a run to its final name, without replacing anything that has this
//! name.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

/// Result of renaming a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Published {
    Done,
    /// A file or a folder has the new name already, and nothing was changed.
    Taken,
}

/// Largest number of alternative names that are tried.
const MOST_NAMES: usize = 1000;

/// Returns alternative paths beside `path`: `NAME-kept`, `NAME-kept-2`, and so on.
pub(super) fn beside(path: &Path) -> impl Iterator<Item = PathBuf> + use<'_> {
    (1..=MOST_NAMES).filter_map(move |number| {
        let mut name = path.file_name()?.to_owned();
        name.push("-kept");
        if number > 1 {
            name.push(format!("-{number}"));
        }
        Some(path.with_file_name(name))
    })
}

/// Renames the folder `from` to `to`, or to the first free alternative of [`beside`]. Returns the
/// new path.
pub(super) fn publish_or_beside(from: &Path, to: &Path) -> io::Result<PathBuf> {
    for name in std::iter::once(to.to_owned()).chain(beside(to)) {
        if publish(from, &name)? == Published::Done {
            return Ok(name);
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Renames the folder `from` to `to` in one step, unless `to` exists.
pub(super) fn publish(from: &Path, to: &Path) -> io::Result<Published> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Published::Done),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(Published::Taken),
        // Network file systems and old kernels do not support the flag `NOREPLACE`.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => publish_by_reserving(from, to),
        Err(error) => Err(error.into()),
    }
}

/// As [`publish`], in two steps, each of which fails if another program has taken the name. First,
/// an empty folder reserves the name. Then a rename replaces this folder, which is possible only if
/// it is empty. A crash between the two steps leaves the empty folder.
fn publish_by_reserving(from: &Path, to: &Path) -> io::Result<Published> {
    match fs::create_dir(to) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Published::Taken),
        Err(error) => return Err(error),
    }
    match fs::rename(from, to) {
        Ok(()) => Ok(Published::Done),
        // Another program has put a file into the reserved folder. So the name counts as taken, and
        // the folder stays.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(Published::Taken),
        Err(error) => {
            // The empty folder that reserved the name is removed. The caller needs the error of the
            // rename, so an error of the removal is ignored.
            let _ = fs::remove_dir(to);
            Err(error)
        }
    }
}

/// Makes sure that the lists of entries of `folder`, and of all folders in it, are on disk. The
/// contents of the files are already on disk.
pub(super) fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    type Publish = fn(&Path, &Path) -> io::Result<Published>;
    const WAYS: [(&str, Publish); 2] = [("flag", publish), ("reserving", publish_by_reserving)];

    fn folder_with(parent: &Path, name: &str, content: &str) -> std::path::PathBuf {
        let folder = parent.join(name);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("content"), content).unwrap();
        folder
    }

    #[test]
    fn nothing_that_is_there_is_replaced() {
        for (way, publish) in WAYS {
            let parent = tempfile::tempdir().unwrap();
            let from = folder_with(parent.path(), "from", "new");
            let full = folder_with(parent.path(), "full", "old");
            let empty = parent.path().join("empty");
            fs::create_dir(&empty).unwrap();
            let file = parent.path().join("file");
            fs::write(&file, "old").unwrap();
            let link = parent.path().join("link");
            std::os::unix::fs::symlink("nowhere", &link).unwrap();
            for to in [&full, &empty, &file, &link] {
                assert_eq!(
                    publish(&from, to).unwrap(),
                    Published::Taken,
                    "{way} {to:?}"
                );
            }
            assert_eq!(fs::read_to_string(full.join("content")).unwrap(), "old");
            assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
            assert_eq!(fs::read_to_string(file).unwrap(), "old");
            assert!(from.join("content").exists(), "{way}");
        }
    }

    #[test]
    fn of_many_that_want_a_name_one_gets_it() {
        const RACERS: usize = 8;
        for (way, publish) in WAYS {
            for round in 0..50 {
                let parent = tempfile::tempdir().unwrap();
                let to = parent.path().join("run");
                let start = Barrier::new(RACERS);
                let results: Vec<_> = thread::scope(|scope| {
                    let racers: Vec<_> = (0..RACERS)
                        .map(|racer| {
                            let name = format!("racer{racer}");
                            let from = folder_with(parent.path(), &name, &name);
                            let (to, start) = (&to, &start);
                            scope.spawn(move || {
                                start.wait();
                                (name, publish(&from, to).unwrap())
                            })
                        })
                        .collect();
                    racers
                        .into_iter()
                        .map(|racer| racer.join().unwrap())
                        .collect()
                });
                let winners: Vec<_> = results
                    .iter()
                    .filter(|(_, result)| *result == Published::Done)
                    .map(|(name, _)| name.clone())
                    .collect();
                let content = fs::read_to_string(to.join("content")).unwrap();
                assert_eq!(winners, [content], "{way}, round {round}");
            }
        }
    }

    #[test]
    fn a_refusal_gives_the_name_back() {
        let parent = tempfile::tempdir().unwrap();
        let to = parent.path().join("run");
        for (way, publish) in WAYS {
            assert!(
                publish(&parent.path().join("missing"), &to).is_err(),
                "{way}"
            );
            assert!(!to.exists(), "{way}");
        }
    }
}
