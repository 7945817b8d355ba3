//! The packages and files of the Cargo workspace, from the output of `cargo metadata` and git.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::Result;

/// Folders that are skipped in a tree that is not a git repository: that of git itself, and those
/// with files that builds and runs produce.
const SKIPPED: [&str; 4] = ["target", "runs", "__pycache__", ".git"];

/// A workspace on disk.
pub(crate) struct Workspace {
    /// Top folder of the workspace, an absolute path.
    pub(crate) root: PathBuf,
    /// Target folder of the workspace, an absolute path.
    pub(crate) target: PathBuf,
    /// The member packages.
    pub(crate) packages: Vec<Package>,
    /// Every file of the tree except those that git ignores, as sorted paths relative to the root.
    pub(crate) files: Vec<PathBuf>,
}

/// A member package.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    /// Absolute path of the package's `Cargo.toml`.
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) targets: Vec<Target>,
}

/// A dependency of a member package, of any kind and for any platform.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    /// Name of the package, even if the manifest renames it.
    pub(crate) name: String,
    /// Null for a normal dependency, else `dev` or `build`.
    pub(crate) kind: Option<String>,
    /// Folder of the package, if the manifest names the dependency by a path.
    pub(crate) path: Option<PathBuf>,
}

/// A library, program, test, example or benchmark of a package.
#[derive(Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
    pub(crate) src_path: PathBuf,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

impl Workspace {
    /// Reads the workspace that this program was built from.
    pub(crate) fn here() -> Result<Self> {
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .ok_or("xtask must be run as `cargo xtask`, which sets the place of the workspace")?;
        Self::read(Path::new(&manifest))
    }

    /// Reads the workspace to which a folder belongs.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        // With `--no-deps`, cargo uses neither the network nor Cargo.lock.
        let output = cargo()
            .args(["metadata", "--no-deps", "--format-version=1"])
            .current_dir(folder)
            .output()
            .map_err(|error| format!("cannot run cargo metadata: {error}"))?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            return Err(format!("cargo metadata failed: {}", message.trim()));
        }
        let metadata: Metadata = serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("cannot read the output of cargo metadata: {error}"))?;
        let files = files(&metadata.workspace_root)?;
        Ok(Self {
            root: metadata.workspace_root,
            target: metadata.target_directory,
            packages: metadata.packages,
            files,
        })
    }

    /// Reads a file, whose path is relative to the root. Returns `None` if the file is missing or
    /// is not UTF-8.
    pub(crate) fn text(&self, path: &Path) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// Returns the folder of a package, relative to the root.
    pub(crate) fn folder<'a>(&self, package: &'a Package) -> &'a Path {
        let folder = package
            .manifest_path
            .parent()
            .unwrap_or(&package.manifest_path);
        folder.strip_prefix(&self.root).unwrap_or(folder)
    }

    /// True if git tracks a file. Returns `None` if the tree is not a repository or git fails.
    pub(crate) fn is_tracked(&self, path: &Path) -> Option<bool> {
        let tracked = git_paths(&self.root, &["ls-files", "-z", "--cached"])?;
        Some(tracked.iter().any(|each| each == path))
    }

    /// Returns the tracked files that differ from the last commit. Returns `None` if the tree is
    /// not a repository or git fails.
    pub(crate) fn changed(&self) -> Option<Vec<PathBuf>> {
        git_paths(
            &self.root,
            &["diff", "--name-only", "--no-relative", "-z", "HEAD"],
        )
    }

    /// Returns the integration tests of all packages.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &Target> {
        let targets = self.packages.iter().flat_map(|package| &package.targets);
        targets.filter(|target| target.kind.iter().any(|kind| kind == "test"))
    }

    /// Returns the paths of the Rust sources.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &Path> {
        self.files
            .iter()
            .map(PathBuf::as_path)
            .filter(|path| path.extension().is_some_and(|end| end == "rs"))
    }
}

/// Returns a command that runs the same cargo that started this program, or else the one on the
/// path.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // `cargo run` sets variables for this program. They must not reach the builds that this program
    // starts.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Returns the files of a tree: those that git does not ignore, or all files if the tree is not a
/// repository.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = BTreeSet::new();
    match git_paths(
        root,
        &[
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
    ) {
        Some(listed) => found.extend(listed.into_iter().filter(|path| root.join(path).is_file())),
        None => walk(root, root, &mut found)?,
    }
    Ok(found.into_iter().collect())
}

/// Returns the paths that a git command prints. Returns `None` if the folder is not the top of a
/// repository or git fails.
fn git_paths(root: &Path, args: &[&str]) -> Option<Vec<PathBuf>> {
    if !root.join(".git").exists() {
        return None;
    }
    let output = Command::new("git")
        .args(args)
        .current_dir(root)
        .output()
        .ok()?;
    let listing = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| listing.split_terminator('\0').map(PathBuf::from).collect())
}

fn walk(root: &Path, folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    let unreadable = |error| format!("cannot list {}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        if entry.file_type().map_err(unreadable)?.is_dir() {
            if !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                walk(root, &path, found)?;
            }
        } else if let Ok(path) = path.strip_prefix(root) {
            found.insert(path.to_path_buf());
        }
    }
    Ok(())
}
