//! Folder with the lock files of boards. A program that has locked the file of a board is the only
//! one on this host that changes the board's settings.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::yield_now;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, StatVfsMountFlags, flock};
use rustix::io::Errno;

/// Environment variable that names another folder for the lock files.
const VARIABLE: &str = "TWOTONE_LOCKS";

/// Usual folder of the lock files. On most systems all users can make files there, and it is empty
/// after a start of the system.
const USUAL: &str = "/run/lock";

/// Folder of the lock files on systems on which the usual folder does not exist, or is for root
/// only.
const TEMPORARY: &str = "/tmp/twotone-locks";

/// Permissions of a folder in which all users can make files, and nobody can remove the files of
/// other users.
const FOR_ALL: u32 = 0o1777;

/// Largest number of attempts to lock a folder that another program has locked for a moment.
const MOST_LOOKS: u32 = 1_000_000;

/// An open folder with lock files.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    file: File,
}

impl Folder {
    /// Opens the folder of this host. All programs of all users must find the same folder, because
    /// with two folders, two programs could lock the same board. So a full disk is an error and
    /// does not lead to another folder.
    pub(super) fn of_host() -> io::Result<Self> {
        match std::env::var_os(VARIABLE).filter(|set| !set.is_empty()) {
            Some(set) => {
                let named = |error| {
                    let set = set.display();
                    io::Error::other(format!("{VARIABLE} is `{set}`: {error}"))
                };
                Self::open(Path::new(&set)).map_err(named)
            }
            None => Self::common(Path::new(USUAL), Path::new(TEMPORARY)),
        }
    }

    /// Opens `usual` if all users can make files there. Otherwise opens `temporary`, and makes it
    /// if it does not exist.
    fn common(usual: &Path, temporary: &Path) -> io::Result<Self> {
        match Self::open(usual).and_then(Self::for_all) {
            Ok(folder) => Ok(folder),
            Err(why) => Self::temporary(temporary).map_err(|error| {
                let (usual, temporary) = (usual.display(), temporary.display());
                io::Error::other(format!(
                    "`{usual}` cannot be used ({why}), nor can `{temporary}` ({error})"
                ))
            }),
        }
    }

    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::open_with(path, OFlags::empty())
    }

    fn open_with(path: &Path, more: OFlags) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | more;
        Ok(Self {
            file: rustix::fs::open(path, flags, Mode::empty())?.into(),
            path: path.to_owned(),
        })
    }

    fn for_all(self) -> io::Result<Self> {
        let mode = self.file.metadata()?.mode();
        if mode & 0o007 != 0o007 {
            return Err(io::Error::other("it is not for all users"));
        }
        let system = rustix::fs::fstatvfs(&self.file)?;
        if system.f_flag.contains(StatVfsMountFlags::RDONLY) {
            return Err(Errno::ROFS.into());
        }
        Ok(self)
    }

    /// Makes or opens a folder for all users. Any user may already have made something else at this
    /// path.
    fn temporary(path: &Path) -> io::Result<Self> {
        match rustix::fs::mkdir(path, Mode::from_raw_mode(FOR_ALL)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let folder = Self::open_with(path, OFlags::NOFOLLOW).map_err(|error| {
            let no_folder = [Errno::NOTDIR, Errno::LOOP];
            let no_folder = no_folder.map(|error| Some(error.raw_os_error()));
            match no_folder.contains(&error.raw_os_error()) {
                true => io::Error::other("it is a symbolic link, or no folder"),
                false => error,
            }
        })?;
        let found = folder.file.metadata()?;
        let own = rustix::process::geteuid().as_raw();
        if ![0, own].contains(&found.uid()) {
            let owner = found.uid();
            return Err(io::Error::other(format!(
                "it is neither root's nor this user's, but of user number {owner}"
            )));
        }
        // The umask of the user who made the folder may have removed the permissions of other
        // users.
        if found.mode() & 0o7777 != FOR_ALL {
            let for_all = Permissions::from_mode(FOR_ALL);
            folder.file.set_permissions(for_all)?;
        }
        Ok(folder)
    }

    /// Locks the folder itself, so that no other program looks for locks in it until the returned
    /// value is dropped.
    ///
    /// # Errors
    /// If another program keeps the folder locked.
    pub(super) fn alone(self) -> io::Result<Self> {
        for _ in 0..MOST_LOOKS {
            if lock(&self.file)? {
                return Ok(self);
            }
            yield_now();
        }
        let path = self.path.display();
        Err(io::Error::other(format!(
            "another program keeps `{path}` locked"
        )))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file called `name`, if it exists.
    pub(super) fn file(&self, name: &str) -> io::Result<Option<File>> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let file: File = match rustix::fs::openat(&self.file, name, flags, Mode::empty()) {
            Ok(file) => file.into(),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.of(name, error)),
        };
        if !file.metadata()?.is_file() {
            return Err(self.of(name, "it is no file"));
        }
        Ok(Some(file))
    }

    /// Makes a new file for all users.
    pub(super) fn make(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::CREATE | OFlags::EXCL;
        let all = Mode::from_raw_mode(0o666);
        let made = rustix::fs::openat(&self.file, name, flags, all);
        let file = made.map_err(|error| self.of(name, error))?;
        // The umask of this user may have removed the permissions of other users.
        let _ = rustix::fs::fchmod(&file, all);
        Ok(file.into())
    }

    /// True if `file` is the file that is called `name` now.
    pub(super) fn has(&self, name: &str, file: &File) -> bool {
        let found = rustix::fs::statat(&self.file, name, AtFlags::SYMLINK_NOFOLLOW);
        let place = |file: Metadata| (file.dev(), file.ino());
        let (Ok(found), Ok(file)) = (found, file.metadata()) else {
            return false;
        };
        place(file) == (found.st_dev, found.st_ino)
    }

    /// Removes a file, if it belongs to this user. The system does not let a user remove the files
    /// of others.
    pub(super) fn remove(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.file, name, AtFlags::empty());
    }

    fn of(&self, name: &str, why: impl std::fmt::Display) -> io::Error {
        io::Error::other(format!("`{}`: {why}", self.path.join(name).display()))
    }
}

/// Locks a file. Returns false if another program has locked it.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn all_users_of_a_host_find_the_same_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let [usual, temporary] = ["lock", "twotone-locks"].map(|name| scratch.path().join(name));
        let found = || {
            let folder = Folder::common(&usual, &temporary)?;
            Ok::<_, io::Error>(folder.path().to_owned())
        };
        // The usual folder does not exist, as in a container.
        assert_eq!(found().unwrap(), temporary);
        assert_eq!(mode(&temporary), FOR_ALL);
        // Only root can make files in this folder.
        fs::create_dir(&usual).unwrap();
        set_mode(&usual, 0o755);
        assert_eq!(found().unwrap(), temporary);
        set_mode(&usual, FOR_ALL);
        assert_eq!(found().unwrap(), usual);
        // The usual path leads to a file.
        fs::remove_dir(&usual).unwrap();
        fs::write(&usual, "").unwrap();
        assert_eq!(found().unwrap(), temporary);
        // The temporary folder was made with a umask.
        set_mode(&temporary, 0o700);
        assert_eq!(found().unwrap(), temporary);
        assert_eq!(mode(&temporary), FOR_ALL);
    }

    #[test]
    fn a_temporary_folder_that_somebody_has_laid_there_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let at = |name: &str| scratch.path().join(name);
        let refused = |name: &str, why: &str| {
            let error = Folder::common(&at("none"), &at(name)).unwrap_err();
            let told = error.to_string();
            assert!(told.contains(why) && told.contains("none"), "{told}");
        };
        fs::create_dir(at("real")).unwrap();
        symlink(at("real"), at("link")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        fs::write(at("file"), "").unwrap();
        for name in ["link", "dangling", "file"] {
            refused(name, "a symbolic link, or no folder");
        }
        refused("below/nothing", "No such file");
        assert!(!at("nowhere").exists());
        // Only root can give a folder to another user.
        fs::create_dir(at("another's")).unwrap();
        set_mode(&at("another's"), FOR_ALL);
        if std::os::unix::fs::chown(at("another's"), Some(12345), None).is_ok() {
            refused("another's", "user number 12345");
        }
    }

    #[test]
    fn one_program_at_a_time_looks_for_locks() {
        let scratch = tempfile::tempdir().unwrap();
        let open = || Folder::open(scratch.path()).unwrap();
        let first = open().alone().unwrap();
        let told = open().alone().unwrap_err().to_string();
        assert!(told.contains("another program keeps"), "{told}");
        drop(first);
        open().alone().unwrap();
    }
}
