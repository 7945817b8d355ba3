//! Releases (archives of the program) for the tests of deployments. They are copies of one given
//! release, with other versions and with faults.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Environment variable with the path of an archive of `cargo xtask dist --quick`.
const VARIABLE: &str = "TWOTONE_RELEASE";

/// Behaviour of the daemon `twotone serve` in a release.
pub(crate) enum Daemon {
    /// The daemon works.
    Good,
    /// The daemon ends at once.
    Ends,
    /// The daemon never gets ready.
    Hangs,
    /// The daemon works, and reports that it is not healthy.
    Sick,
    /// The daemon works for a moment after its start, and then ends.
    Short,
    /// The daemon works, but the program tells its version only once the file `/tmp/go` exists.
    Waits,
}

/// Folder with archives, which is removed at the end of the test.
pub(crate) struct Releases {
    folder: TempDir,
}

impl Releases {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let given = std::env::var(VARIABLE).expect("`cargo xtask test hosts` sets the variable");
        let tree = folder.path().join("given");
        fs::create_dir(&tree).expect("a folder");
        run(Command::new("tar")
            .args(["-xzf", &given, "--strip-components=1", "-C"])
            .arg(&tree));
        Self { folder }
    }

    /// Path of the program in the given release.
    pub(crate) fn program(&self) -> String {
        let program = self.folder.path().join("given/bin/twotone");
        program.display().to_string()
    }

    /// Makes an archive with another version and with the behaviour `daemon`. Returns its path.
    pub(crate) fn make(&self, version: &str, daemon: Daemon) -> String {
        self.make_with(version, daemon, |_| {})
    }

    /// Does the same as [`Self::make`], and also changes the files of the release with `change`.
    pub(crate) fn make_with(
        &self,
        version: &str,
        daemon: Daemon,
        change: impl Fn(&Path),
    ) -> String {
        let name = format!("twotone-{version}");
        let tree = self.folder.path().join(&name);
        let _ = fs::remove_dir_all(&tree);
        run(Command::new("cp")
            .arg("-al")
            .arg(self.folder.path().join("given"))
            .arg(&tree));
        let manifest = tree.join("MANIFEST.toml");
        edit(&manifest, |text| {
            let lines = text
                .lines()
                .map(|line| match line.starts_with("version = ") {
                    true => format!("version = \"{version}\"\n"),
                    false => format!("{line}\n"),
                });
            lines.collect()
        });
        let real = "exec \"$(dirname \"$0\")/twotone.real\" \"$@\"";
        let case = match daemon {
            Daemon::Good => None,
            Daemon::Ends => Some("serve) echo 'it cannot go on' >&2; exit 1"),
            Daemon::Hangs => Some("serve) exec sleep 600"),
            Daemon::Sick => Some("health) exit 3"),
            Daemon::Short => Some("serve) (sleep 1; kill -9 $$) &"),
            Daemon::Waits => Some("--version) until [ -e /tmp/go ]; do sleep 0.1; done"),
        };
        if let Some(case) = case {
            let program = tree.join("bin/twotone");
            fs::rename(&program, tree.join("bin/twotone.real")).expect("the program is there");
            let script =
                format!("#!/bin/sh\nfor word; do case $word in\n{case};;\nesac; done\n{real}\n");
            fs::write(&program, script).expect("the tree is writable");
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it is ours");
        }
        change(&tree);
        self.pack(&name)
    }

    fn pack(&self, name: &str) -> String {
        let archive = self.folder.path().join(format!("{name}.tar.gz"));
        let script = "cd \"$1\" && rm -f SHA256SUMS && \
                      find . -type f -printf '%P\\0' | sort -z | xargs -0 sha256sum >../sums && \
                      mv ../sums SHA256SUMS && cd .. && \
                      tar -cf - --owner=0 --group=0 --numeric-owner --mtime=@0 --sort=name \"$1\" \
                      | gzip -1n >\"$1.tar.gz\"";
        run(Command::new("sh")
            .args(["-c", script, "sh", name])
            .current_dir(self.folder.path()));
        archive.display().to_string()
    }
}

/// Path of the Debian package, which is in the same folder as the given archive.
pub(crate) fn package() -> PathBuf {
    let given = std::env::var(VARIABLE).expect("`cargo xtask test hosts` sets the variable");
    let folder = Path::new(&given).parent().expect("it is in a folder");
    let mut files = fs::read_dir(folder).expect("the folder is there");
    let package = files.find_map(|file| {
        let path = file.expect("the folder can be read").path();
        path.extension()
            .is_some_and(|it| it == "deb")
            .then_some(path)
    });
    package.expect("there is a package")
}

/// Changes a text file by writing a new one. Other hard links to the old file keep the old text.
pub(crate) fn edit(path: &Path, change: impl Fn(&str) -> String) {
    let text = fs::read_to_string(path).expect("the file is there");
    fs::remove_file(path).expect("the folder is ours");
    fs::write(path, change(&text)).expect("the folder is ours");
}

fn run(command: &mut Command) {
    let status = command.status().expect("the program runs");
    assert!(status.success(), "{command:?}: {status}");
}

/// Replaces a program by a new file. Other hard links to the old file keep the old content.
pub(crate) fn replace(path: &Path, text: &str) {
    fs::remove_file(path).expect("the file is there");
    fs::write(path, text).expect("the folder is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
}
