//! The archive of a release: a tree of files as `.tar.gz`, with checksums of the files. The same
//! tree gives the same bytes.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tree::Tree;
use super::{done, said};
use crate::Result;

/// Name of the file with the checksums, in the archive and beside it.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// Writes a tree into `folder/NAME`, adds the checksums of its files, and packs it as
/// `folder/NAME.tar.gz`. In the archive, all files are below one folder, so that unpacking it does
/// not overwrite other files. Returns the path of the archive.
pub(crate) fn pack(
    tree: &Tree,
    folder: &Path,
    name: &str,
    epoch: u64,
    level: &str,
) -> Result<PathBuf> {
    let top = folder.join(name);
    tree.write(&top, epoch)?;
    let mut tree = tree.clone();
    let files: Vec<_> = tree.iter().map(|(path, _)| path.to_owned()).collect();
    tree.put(SUMS, sums(&top, &files)?);
    tree.write(&top, epoch)?;

    let list = folder.join("list");
    fs::write(&list, listed(&tree, name))
        .map_err(|error| format!("cannot write {}: {error}", list.display()))?;
    let archive = folder.join(format!("{name}.tar"));
    let mut tar = Command::new("tar");
    tar.args([
        "--no-recursion",
        "--null",
        "--format=gnu",
        "--mode=u=rwX,go=rX",
    ])
    .args(["--owner=0", "--group=0", "--numeric-owner", "--clamp-mtime"])
    .arg(format!("--mtime=@{epoch}"))
    .arg("--directory")
    .arg(folder)
    .arg("--create")
    .arg("--file")
    .arg(&archive)
    .arg("--files-from")
    .arg(&list);
    done(&mut tar)?;
    // With this option, the header contains neither name nor time.
    done(
        Command::new("gzip")
            .args(["--no-name", "--force", level])
            .arg(&archive),
    )?;
    Ok(folder.join(format!("{name}.tar.gz")))
}

/// Returns the paths of all files in the order in which the archive contains them. A zero byte ends
/// each path.
fn listed(tree: &Tree, name: &str) -> Vec<u8> {
    let files = tree.iter().map(|(path, _)| path);
    let mut entries: Vec<_> = tree
        .folders()
        .into_iter()
        .chain(files)
        .map(|path| match path.as_os_str().is_empty() {
            true => PathBuf::from(name),
            false => Path::new(name).join(path),
        })
        .collect();
    entries.sort();
    let mut list = Vec::new();
    for entry in entries {
        list.extend(entry.as_os_str().as_bytes());
        list.push(0);
    }
    list
}

/// Returns the output of `sha256sum` for files of a folder. `sha256sum --check` can read this
/// output in the same folder.
pub(crate) fn sums(folder: &Path, files: &[PathBuf]) -> Result<Vec<u8>> {
    let mut sum = Command::new("sha256sum");
    said(sum.arg("--").args(files).current_dir(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::default();
        tree.put_program("bin/it", "#!/bin/sh\n");
        tree.put("share/doc/it/README", "read\n");
        tree.put("share/doc/it-more/README", "read on\n");
        tree.put("MANIFEST.toml", "version = \"1\"\n");
        tree
    }

    #[test]
    fn an_archive_lists_what_is_in_it_in_order_with_one_owner_mode_and_time() {
        let folder = tempfile::tempdir().unwrap();
        let archive = pack(&tree(), folder.path(), "it-1", 1_700_000_000, "-9").unwrap();
        let mut list = Command::new("tar");
        list.args([
            "--list",
            "--verbose",
            "--numeric-owner",
            "--full-time",
            "--file",
        ])
        .arg(&archive)
        .env("TZ", "UTC");
        let list = String::from_utf8(said(&mut list).unwrap()).unwrap();
        let lines: Vec<_> = list
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .collect();
        let shown: Vec<_> = lines.iter().map(|it| (it[0], it[5])).collect();
        let (dir, file, program) = ("drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x");
        assert_eq!(
            shown,
            [
                (dir, "it-1/"),
                (file, "it-1/MANIFEST.toml"),
                (file, "it-1/SHA256SUMS"),
                (dir, "it-1/bin/"),
                (program, "it-1/bin/it"),
                (dir, "it-1/share/"),
                (dir, "it-1/share/doc/"),
                (dir, "it-1/share/doc/it/"),
                (file, "it-1/share/doc/it/README"),
                (dir, "it-1/share/doc/it-more/"),
                (file, "it-1/share/doc/it-more/README"),
            ]
        );
        for line in &lines {
            assert_eq!(line[1], "0/0");
            assert_eq!((line[3], line[4]), ("2023-11-14", "22:13:20"));
        }
    }

    #[test]
    fn a_host_can_check_the_sums_and_finds_a_changed_file() {
        let folder = tempfile::tempdir().unwrap();
        pack(&tree(), folder.path(), "it-1", 0, "-1").unwrap();
        let top = folder.path().join("it-1");
        let check = || {
            let mut check = Command::new("sha256sum");
            check
                .args(["--check", "--strict", "--quiet", SUMS])
                .current_dir(&top);
            said(check.stderr(std::process::Stdio::null()))
        };
        check().unwrap();
        let listed = fs::read_to_string(top.join(SUMS)).unwrap();
        assert_eq!(listed.lines().count(), tree().iter().count());
        fs::write(top.join("bin/it"), "#!/bin/sh\n\n").unwrap();
        assert!(check().is_err());
    }

    #[test]
    fn the_same_tree_has_the_same_bytes_in_any_folder_whatever_lay_there() {
        let packed = |folder: &Path| {
            let archive = pack(&tree(), folder, "it-1", 1_700_000_000, "-9").unwrap();
            fs::read(archive).unwrap()
        };
        let scratch = tempfile::tempdir().unwrap();
        let deeper = scratch.path().join("a folder/below another");
        fs::create_dir_all(&deeper).unwrap();
        // The folder already contains an old file with other permissions.
        fs::create_dir_all(deeper.join("it-1/bin")).unwrap();
        fs::write(deeper.join("it-1/bin/it"), "").unwrap();
        let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(deeper.join("it-1/bin/it"), only_owner).unwrap();
        assert_eq!(packed(scratch.path()), packed(&deeper));
    }
}
