//! Free space of a file system.

use std::os::fd::AsFd;

use rustix::fs::{StatVfs, fstatvfs};
use rustix::process::geteuid;

/// Free space of a file system for the user of this process. Quotas are not considered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can still be written.
    pub bytes: u64,
    /// Number of files that can still be made. `None` if there is no limit, or if the limit is not
    /// known.
    pub files: Option<u64>,
}

impl Room {
    /// Returns the free space of the file system of `file`, or `None` if the file system does not
    /// report it, as is the case for some network file systems.
    pub(crate) fn of(file: impl AsFd) -> Option<Self> {
        Self::by_numbers(&fstatvfs(file).ok()?, geteuid().is_root())
    }

    /// Computes the free space from the numbers that the file system reports. A part of the space
    /// may be reserved for the administrator.
    fn by_numbers(found: &StatVfs, is_administrator: bool) -> Option<Self> {
        let for_user = |all, others| if is_administrator { all } else { others };
        let blocks = for_user(found.f_bfree, found.f_bavail);
        let files = for_user(found.f_ffree, found.f_favail);
        (found.f_blocks > 0).then(|| Self {
            bytes: blocks.saturating_mul(found.f_frsize),
            files: (found.f_files > 0).then_some(files),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_reserved_for_root_are_room_for_root_alone() {
        let mut found = fstatvfs(tempfile::tempfile().unwrap()).unwrap();
        (found.f_blocks, found.f_frsize, found.f_files) = (1000, 4096, 500);
        // The file system is full, or can have no further file, for users other than the
        // administrator.
        for (blocks, for_others, files, files_for_others) in
            [(50, 0, 30, 30), (50, 20, 30, 0), (7, 7, 0, 0)]
        {
            (found.f_bfree, found.f_bavail) = (blocks, for_others);
            (found.f_ffree, found.f_favail) = (files, files_for_others);
            for (is_administrator, blocks, files) in
                [(true, blocks, files), (false, for_others, files_for_others)]
            {
                let room = Room::by_numbers(&found, is_administrator).unwrap();
                assert_eq!((room.bytes, room.files), (4096 * blocks, Some(files)));
            }
        }
        found.f_files = 0;
        assert_eq!(Room::by_numbers(&found, false).unwrap().files, None);
        found.f_blocks = 0;
        assert_eq!(Room::by_numbers(&found, true), None);
    }
}
