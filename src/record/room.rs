//! Room on a file system.

use std::os::fd::AsFd;

use rustix::fs::fstatvfs;

/// Room on a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that are free, with those that are kept for the administrator.
    pub free: u64,
    /// Bytes that are free for everybody, quotas left out.
    pub available: u64,
    /// Number of files that can still be made; `None` if there is no limit, or it is not known.
    pub files: Option<u64>,
}

impl Room {
    /// The room of the file system that `file` lies on; `None` if that does not say it, as some
    /// network file systems do not.
    pub(super) fn of(file: impl AsFd) -> Option<Self> {
        let found = fstatvfs(file).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        (found.f_blocks > 0).then(|| Self {
            free: bytes(found.f_bfree),
            available: bytes(found.f_bavail),
            files: (found.f_files > 0).then_some(found.f_ffree),
        })
    }
}
