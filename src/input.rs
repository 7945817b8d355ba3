//! Reading of the files that a user names: only regular files, and only up to a size limit. A run
//! of a tune, for instance, leaves two files that can be read here: a *manifest* (its origin, and
//! the state of each board) and a *tune* (the channels of each module).
//!
//! All files that a user names (maps, parameters, records of earlier runs) are read here: as a
//! whole by [`read`], or in parts by `parts`. So none of them can block the program or exhaust its
//! memory.

use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Take};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use twotone_hal::legible;

/// Returns a path as text for a message: in one line, with escapes for invisible characters.
pub fn shown(path: &Path) -> String {
    legible(&path.display().to_string()).into_owned()
}

/// Largest size of a hardware map, in bytes: enough for some 500,000 detectors.
pub const MAP_BYTES: u64 = 32 << 20;

/// Largest size of a Python hardware map to import, and of each file that it includes or names, in
/// bytes.
pub const IMPORT_BYTES: u64 = 8 << 20;

/// Largest size of a file of parameters, or of faults of simulated boards, in bytes.
pub const PARAMS_BYTES: u64 = 1 << 20;

/// Largest size of a site file, which lists control hosts, in bytes.
pub const SITE_BYTES: u64 = 1 << 20;

/// Largest size of the manifest of an earlier run, in bytes. It contains a whole hardware map, and
/// a record of each board.
pub const MANIFEST_BYTES: u64 = 64 << 20;

/// Largest size of the tune of an earlier run, in bytes. The tune is read module by module. A tune
/// of 256 boards of eight modules with 1024 channels each has 3.6 GB.
pub const TUNE_BYTES: u64 = 4 << 30;

/// Largest size of the tune of one module, in bytes. The tune of a module with 1024 channels has
/// 1.8 MB.
pub const MODULE_BYTES: u64 = 8 << 20;

/// Largest size of a file of bias dictionaries, in bytes: enough for some 8000 detectors with all
/// that rfmux notes of each.
pub const BIAS_BYTES: u64 = 512 << 20;

/// Largest size of a file of sweeps to fit, in bytes: enough for eight modules, each with a network
/// analysis of a million points.
pub const SWEEPS_BYTES: u64 = 512 << 20;

/// Largest size of the file with the true parameters of simulated detectors, in bytes: enough for
/// some 500,000 detectors.
pub const TRUTH_BYTES: u64 = 256 << 20;

/// Reads the text of the file at `path`, as [`read`] does.
///
/// # Errors
/// As [`read`], and if the content is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    text(read(path, limit)?, 0)
}

/// Reads the file at `path`, of at most `limit` bytes. The call never waits for another program,
/// even if the path leads to a pipe, and takes no more memory than `limit`.
///
/// # Errors
/// If the file cannot be opened or read, with the system's reason. Also if it is a folder,
/// a device, a pipe or a socket, if it has more than `limit` bytes, or if it changes while it is
/// read. No message names the path.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    // Opening some devices has side effects, so the type is checked before. It is checked again on
    // the opened file, because another program can replace the file in between.
    acceptable(&path.metadata()?, limit)?;
    read_opened(open(path)?, limit)
}

/// Opens the file at `path`, without waiting for the other end if it is a pipe.
fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Opens the text file at `path`, of at most `limit` bytes, to be read in parts of at most `most`
/// bytes each. Each part but the first begins with the line `head`. Only one part is in memory at a
/// time. The end of a part is found by reading the head of the next part, so `most` covers this
/// head too.
///
/// # Errors
/// As [`read`].
pub(crate) fn parts(path: &Path, limit: u64, head: &'static str, most: u64) -> io::Result<Parts> {
    acceptable(&path.metadata()?, limit)?;
    let file = open(path)?;
    let size = acceptable(&file.metadata()?, limit)?;
    Ok(Parts {
        // One byte more than the size is read, to notice a file that grows.
        file: BufReader::new(file.take(size + 1)),
        size,
        head,
        most,
        begun: Vec::new(),
        lines: 0,
        bytes: 0,
    })
}

/// The parts of a file. After an error, further parts have no meaning.
pub(crate) struct Parts {
    file: BufReader<Take<File>>,
    size: u64,
    head: &'static str,
    most: u64,
    /// Head of the next part, which has already been read.
    begun: Vec<u8>,
    /// Number of lines before the next part. The field `bytes` is the number of bytes before it.
    lines: usize,
    bytes: usize,
}

impl Parts {
    /// Returns the next part, with the number of lines before it, or `None` at the end.
    ///
    /// # Errors
    /// As [`read_text`], and if the part has more bytes than the limit of [`parts`].
    pub(crate) fn next_part(&mut self) -> io::Result<Option<(usize, String)>> {
        let (lines, bytes) = (self.lines, self.bytes);
        let mut part = std::mem::take(&mut self.begun);
        self.lines += usize::from(!part.is_empty());
        loop {
            let before = part.len();
            let room = (self.most + 1).saturating_sub(before as u64);
            let taken = (&mut self.file).take(room).read_until(b'\n', &mut part)?;
            if part.len() as u64 > self.most {
                let (line, most) = (lines + 1, self.most);
                let what = format!("what begins in its line {line} has more than {most} bytes");
                return Err(wrong(what));
            }
            if taken == 0 {
                self.is_whole()?;
                break;
            }
            if before > 0 && part[before..].trim_ascii() == self.head.as_bytes() {
                self.begun = part.split_off(before);
                break;
            }
            self.lines += 1;
        }
        self.bytes += part.len();
        let part = text(part, bytes)?;
        Ok((!part.is_empty()).then_some((lines, part)))
    }

    /// Checks that the size of the file has not changed since it was opened.
    fn is_whole(&self) -> io::Result<()> {
        let (size, taken) = (self.size, self.file.get_ref());
        let is_whole = taken.limit() == 1 && taken.get_ref().metadata()?.len() == size;
        is_whole.then_some(()).ok_or_else(|| being_written(size))
    }
}

fn read_opened(file: File, limit: u64) -> io::Result<Vec<u8>> {
    let size = acceptable(&file.metadata()?, limit)?;
    let mut content = Vec::new();
    let room = usize::try_from(size).map(|size| content.try_reserve_exact(size.saturating_add(1)));
    if !matches!(room, Ok(Ok(()))) {
        return Err(wrong(format!("there is no memory for its {size} bytes")));
    }
    // One byte more than the size is read, to notice a file that grows.
    let taken = (&file).take(size + 1).read_to_end(&mut content)? as u64;
    if taken != size || file.metadata()?.len() != size {
        return Err(being_written(size));
    }
    Ok(content)
}

/// Returns `content` as text. `before` is the number of bytes of the file before `content`, for the
/// message of the error.
fn text(content: Vec<u8>, before: usize) -> io::Result<String> {
    String::from_utf8(content).map_err(|error| {
        let at = before + error.utf8_error().valid_up_to();
        wrong(format!("it is no text in UTF-8: see its byte {}", at + 1))
    })
}

fn being_written(size: u64) -> io::Error {
    wrong(format!(
        "it is being written: it had {size} bytes when it was opened, and has others now; try again \
         when it is complete"
    ))
}

/// Returns the size of the file if it is a regular file of at most `limit` bytes.
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
            read(&at("sparse"), MANIFEST_BYTES),
            Err("it has 107374182400 bytes, and no more than 67108864 are read"),
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

    /// A pipe takes the place of a file between the check of its type and its opening.
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

    /// Returns all parts of a file with this content, or the error.
    fn parts_of(content: &[u8], most: u64) -> io::Result<Vec<(usize, String)>> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.write_all(content)?;
        let mut parts = parts(file.path(), content.len() as u64, "[[a]]", most)?;
        let mut all = Vec::new();
        while let Some(part) = parts.next_part()? {
            all.push(part);
        }
        Ok(all)
    }

    #[test]
    fn a_file_in_parts_is_the_same_file() {
        for (content, begin) in [
            ("", &[][..]),
            ("x", &[0]),
            ("[[a]]", &[0]),
            ("[[a]]\n[[a]]", &[0, 1]),
            ("# x\n\n[[a]]\nb = 1\n  [[a]]\t\r\nb = 2\n", &[0, 2, 4]),
            ("[[a]]\nb = \"[[a]]\"\n[[a]] # no head\n[[ab]]\n", &[0]),
        ] {
            let parts = parts_of(content.as_bytes(), 100).unwrap();
            let whole: String = parts.iter().map(|(_, part)| &**part).collect();
            assert_eq!(whole, content);
            let begins: Vec<_> = parts.iter().map(|(lines, _)| *lines).collect();
            assert_eq!(begins, begin, "{content:?}");
        }
        let long = format!("[[a]]\n[[a]]\n{}\n[[a]]\n", "x".repeat(200));
        for most in [12, 100, 212] {
            let error = parts_of(long.as_bytes(), most).unwrap_err().to_string();
            let told = format!("what begins in its line 2 has more than {most} bytes");
            assert_eq!(error, told);
        }
        assert_eq!(parts_of(long.as_bytes(), 213).unwrap().len(), 3);
        let error = parts_of(b"[[a]]\n[[a]]\ncaf\xe9", 100).unwrap_err();
        assert_eq!(error.to_string(), "it is no text in UTF-8: see its byte 16");
    }

    #[test]
    fn a_file_that_changes_while_its_parts_are_read_is_none() {
        for len in [3, 20] {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), "[[a]]\n[[a]]\n").unwrap();
            let mut parts = parts(file.path(), 100, "[[a]]", 100).unwrap();
            file.as_file().set_len(len).unwrap();
            let error = loop {
                match parts.next_part() {
                    Ok(part) => assert!(part.is_some(), "{len}"),
                    Err(error) => break error.to_string(),
                }
            };
            assert!(
                error.starts_with("it is being written: it had 12 bytes"),
                "{error}"
            );
        }
    }

    /// A file of the kernel reports a size of 0 but has content, like a file that grows.
    #[test]
    fn a_file_that_grows_is_not_read_to_an_end_that_never_comes() {
        check(
            read(Path::new("/proc/self/status"), MAP_BYTES),
            Err("it had 0 bytes when it was opened"),
        );
    }
}
