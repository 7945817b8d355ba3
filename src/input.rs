//! Files that are given to the program: read whole, up to a limit, and only if they are files.
//!
//! Maps, parameters, the records of earlier runs and all others come in by [`read`], so that none of
//! them can hold a program up or take its memory.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// Most bytes of a hardware map: some 500,000 detectors.
pub const MAP_BYTES: u64 = 32 << 20;

/// Most bytes of a Python hardware map, of which the boards are imported.
pub const IMPORT_BYTES: u64 = 8 << 20;

/// Most bytes of a file of parameters, or of faults of simulated boards.
pub const PARAMS_BYTES: u64 = 1 << 20;

/// Most bytes of a file that an earlier run wrote: its manifest, its tune, the truth of a farm.
pub const RECORD_BYTES: u64 = 1 << 30;

/// Reads the text of the file at `path`, as [`read`] does.
///
/// # Errors
/// As [`read`]; and if the content is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    String::from_utf8(read(path, limit)?).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        wrong(format!("it is no text in UTF-8: see its byte {}", at + 1))
    })
}

/// Reads the file at `path`, of at most `limit` bytes. It never waits for anybody, whatever the path
/// leads to, and it takes no more memory than `limit`.
///
/// # Errors
/// If it cannot be opened or read, with the system's reason. If it is a folder, a device, a pipe or
/// a socket, if it has more than `limit` bytes, or if it changes while it is read, with a sentence
/// that does not name the path.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Opening some devices does something to them, so the type is looked at before. What counts is
    // the type of what was opened: another program can put something else there in between.
    acceptable(&path.metadata()?, limit)?;
    read_opened(open(path)?, limit)
}

/// Opens what is at `path`, without waiting for the other end if it is a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

fn read_opened(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let size = acceptable(&file.metadata()?, limit)?;
    let mut content = Vec::new();
    let room = usize::try_from(size).map(|size| content.try_reserve_exact(size.saturating_add(1)));
    if !matches!(room, Ok(Ok(()))) {
        return Err(wrong(format!("there is no memory for its {size} bytes")));
    }
    // One byte more than there should be tells a file that grows.
    let taken = (&file).take(size + 1).read_to_end(&mut content)? as u64;
    if taken != size || file.metadata()?.len() != size {
        let what = format!(
            "it is being written: it had {size} bytes when it was opened, and has others now; try \
             again when it is complete"
        );
        return Err(wrong(what));
    }
    Ok(content)
}

/// The size of a file that can be read whole.
fn acceptable(found: &Metadata, limit: u64) -> io::Result<u64> {
    if !found.is_file() {
        let what = kind(found.file_type());
        return Err(wrong(format!("it is {what}, and only a file is read")));
    }
    let size = found.len();
    if size > limit {
        let what = format!("it has {size} bytes, and no more than {limit} are read");
        return Err(wrong(what));
    }
    Ok(size)
}

fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        "a folder"
    } else if found.is_fifo() {
        "a pipe"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn wrong(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, Mode, mkfifoat};

    use super::*;

    fn check(read: io::Result<Vec<u8>>, expected: Result<&[u8], &str>) {
        match (read, expected) {
            (Ok(content), Ok(expected)) => assert_eq!(content, expected),
            (Err(error), Err(words)) => {
                let said = error.to_string();
                assert!(said.contains(words), "{said:?} is not {words:?}");
            }
            (read, expected) => panic!("{read:?} is not {expected:?}"),
        }
    }

    #[test]
    fn files_up_to_the_limit_are_read_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("four"), "four").unwrap();
        std::fs::write(at("empty"), "").unwrap();
        std::os::unix::fs::symlink("four", at("link")).unwrap();
        std::os::unix::fs::symlink("pipe", at("link to a pipe")).unwrap();
        mkfifoat(CWD, at("pipe"), Mode::RUSR | Mode::WUSR).unwrap();
        let _socket = UnixListener::bind(at("socket")).unwrap();
        let sparse = File::create(at("sparse")).unwrap();
        sparse.set_len(100 << 30).unwrap();

        check(read(&at("four"), 4), Ok(b"four"));
        check(read(&at("link"), 5), Ok(b"four"));
        check(read(&at("empty"), 0), Ok(b""));
        check(
            read(&at("four"), 3),
            Err("it has 4 bytes, and no more than 3 are read"),
        );
        check(
            read(&at("sparse"), RECORD_BYTES),
            Err("it has 107374182400 bytes, and no more than 1073741824 are read"),
        );
        for (path, words) in [
            (at("pipe"), "it is a pipe, and only a file is read"),
            (at("link to a pipe"), "it is a pipe"),
            (at("socket"), "it is a socket"),
            (folder.path().to_owned(), "it is a folder"),
            ("/dev/zero".into(), "it is a device"),
            ("/dev/null".into(), "it is a device"),
            (at("nothing"), "No such file"),
        ] {
            check(read(&path, MAP_BYTES), Err(words));
        }
        let read = read_text(Path::new(&at("four")), 4);
        assert_eq!(read.unwrap(), "four");
        std::fs::write(at("latin"), b"caf\xe9").unwrap();
        let error = read_text(&at("latin"), 4).unwrap_err();
        assert_eq!(error.to_string(), "it is no text in UTF-8: see its byte 4");
    }

    /// Something else takes the place of a file after it was looked at.
    #[test]
    fn the_type_of_what_was_opened_counts() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
        check(read_opened(open(&pipe).unwrap(), 10), Err("a pipe"));
        let zero = open(Path::new("/dev/zero")).unwrap();
        check(read_opened(zero, 10), Err("a device"));
        check(
            read_opened(open(folder.path()).unwrap(), 10),
            Err("a folder"),
        );
        let path = folder.path().join("grown");
        let mut grown = File::create(&path).unwrap();
        let opened = open(&path).unwrap();
        grown.write_all(b"much more").unwrap();
        check(read_opened(opened, 4), Err("it has 9 bytes"));
    }

    /// A file of the kernel says that it has no bytes, and has some, as one that grows.
    #[test]
    fn a_file_that_grows_is_not_read_to_an_end_that_never_comes() {
        check(
            read(Path::new("/proc/self/status"), MAP_BYTES),
            Err("it had 0 bytes when it was opened"),
        );
    }
}
