//! The program as a child process.

use std::process::Command;

use serde_json::Value;

/// The program, with a map in a folder of its own.
pub(crate) struct Program {
    folder: tempfile::TempDir,
}

impl Program {
    pub(crate) fn with(map: &str) -> Self {
        let program = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        std::fs::write(program.path("map.toml"), map).unwrap();
        program
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Standard output of a command, which must succeed.
    #[track_caller]
    pub(crate) fn output(&self, command: &str, more: &[&str]) -> String {
        let done = Command::new(env!("CARGO_BIN_EXE_twotone"))
            .args([command, &self.path("map.toml")])
            .args(more)
            .env("TWOTONE_LOCKS", self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let complaints = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{command}: {said}\n{complaints}");
        said
    }

    /// Report of a command, which must succeed.
    #[track_caller]
    pub(crate) fn report(&self, command: &str, more: &[&str]) -> Value {
        let said = self.output(command, &[&["--json"], more].concat());
        serde_json::from_str(&said).unwrap()
    }
}
