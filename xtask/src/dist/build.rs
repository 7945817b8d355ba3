//! The build of the released program. It gives the same bytes in any folder. On request it links
//! the program for an old release of glibc.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::elf::Version;
use super::said;
use super::source::Source;
use crate::test::python;
use crate::workspace::{Workspace, cargo};
use crate::{Result, child};

/// Longest duration of a build.
const LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// Separator of the flags for rustc in the environment variable. With this separator, the names of
/// folders may contain spaces.
const SEPARATOR: &str = "\u{1f}";

/// List of the Python packages that contain the linker for other releases of glibc. The path is
/// relative to the root of the workspace.
const LINKER: &str = "xtask/zig-requirements.txt";

/// Oldest glibc that the program must run with, if the linker is installed and no version is given.
pub(crate) const USUAL_FLOOR: &str = "2.28";

/// Beginnings of the names of environment variables that would change the build.
const FOREIGN: [&str; 6] = [
    "CARGO_PROFILE_",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_INCREMENTAL",
    "CARGO_TARGET_DIR",
    "RUSTFLAGS",
];

/// The glibc that the program is linked for.
#[derive(Clone, Debug)]
pub(crate) enum Glibc {
    /// The glibc of this computer.
    OfThisComputer,
    /// A release of glibc. The folder contains the programs of the linker. `None` if they are on
    /// the PATH.
    Release(Version, Option<PathBuf>),
}

impl Glibc {
    /// Chooses the glibc to link for, from the request `wish`. Without a request, it is
    /// [`USUAL_FLOOR`] if the linker is installed, and otherwise the glibc of this computer. If the
    /// request is a release of glibc, the linker is installed below the target folder unless it is
    /// there already.
    ///
    /// # Errors
    /// If `wish` is not a version, or if the linker cannot be installed.
    pub(crate) fn choose(workspace: &Workspace, wish: Option<&str>) -> Result<Self> {
        // This file exists only if an installation was completed.
        let is_installed = workspace.target.join("zig/made-from.txt").is_file();
        let found = match is_installed {
            true => Some(Some(install(workspace)?)),
            false => (on_path("cargo-zigbuild") && on_path("zig")).then_some(None),
        };
        let usual = Version::read(USUAL_FLOOR).ok_or("the usual glibc is no version")?;
        match (wish, found) {
            (Some("native"), _) => Ok(Self::OfThisComputer),
            (None, Some(folder)) => Ok(Self::Release(usual, folder)),
            (None, None) => {
                println!(
                    "dist: cargo-zigbuild and zig are not here, so that the program needs the \
                     glibc of this computer or a newer one; `--glibc {USUAL_FLOOR}` installs them"
                );
                Ok(Self::OfThisComputer)
            }
            (Some(wish), found) => {
                let version = Version::read(wish).ok_or_else(|| {
                    format!("`{wish}` is no version of glibc such as 2.28, nor `native`")
                })?;
                if let Some(folder) = found {
                    return Ok(Self::Release(version, folder));
                }
                println!("dist: installing cargo-zigbuild and zig of PyPI (some 450 MB)");
                Ok(Self::Release(version, Some(install(workspace)?)))
            }
        }
    }
}

/// Installs the linker below the target folder, unless it is installed already. Returns the folder
/// of its programs.
fn install(workspace: &Workspace) -> Result<PathBuf> {
    let python = python::environment(workspace, "zig", LINKER)?;
    let folder = python.as_deref().and_then(Path::parent);
    let folder = folder.ok_or_else(|| format!("{}, to install {LINKER}", python::MISSING))?;
    Ok(folder.to_owned())
}

/// Build of the program in a source tree.
pub(crate) struct Build<'a> {
    pub(crate) source: &'a Source,
    /// Target folder of cargo.
    pub(crate) folder: PathBuf,
    /// Folder with the sources of dependencies.
    pub(crate) cargo_home: PathBuf,
    /// Target of rustc.
    pub(crate) target: &'a str,
    pub(crate) glibc: &'a Glibc,
}

impl Build<'_> {
    /// Builds the program, and returns its path.
    ///
    /// If the program cannot be built, or if it contains the path of a folder of this computer.
    /// With such a path, a build in another folder would give other bytes.
    pub(crate) fn run(&self) -> Result<PathBuf> {
        let mut command = self.command()?;
        let status = child::run(&mut command, LIMIT)?;
        if !status.success() {
            return Err(format!("the build ended with {}", child::ending(status)));
        }
        let program = self.program()?;
        let bytes = fs::read(&program)
            .map_err(|error| format!("cannot read {}: {error}", program.display()))?;
        for folder in [&self.source.root, &self.cargo_home, &self.folder] {
            if names(&bytes, folder) {
                return Err(format!(
                    "the program names {}, so that a build in another folder is another program",
                    folder.display()
                ));
            }
        }
        Ok(program)
    }

    fn command(&self) -> Result<Command> {
        let mut command = cargo();
        for (name, _) in env::vars_os() {
            let text = name.to_string_lossy();
            if FOREIGN.iter().any(|begin| text.starts_with(begin)) {
                command.env_remove(&name);
            }
        }
        let mut triple = self.target.to_owned();
        let verb = match self.glibc {
            Glibc::OfThisComputer => "build",
            Glibc::Release(version, folder) => {
                triple = format!("{triple}.{version}");
                if let Some(folder) = folder {
                    let path = env::var_os("PATH").unwrap_or_default();
                    let folders = std::iter::once(folder.clone()).chain(env::split_paths(&path));
                    let path = env::join_paths(folders)
                        .map_err(|error| format!("PATH cannot have the linker: {error}"))?;
                    command.env("PATH", path);
                }
                "zigbuild"
            }
        };
        command.args([
            verb,
            "--locked",
            "--package=twotone",
            "--bin=twotone",
            "--profile=dist",
        ]);
        if self.is_cross()? {
            command.arg("--target").arg(triple);
        }
        command
            .arg("--target-dir")
            .arg(&self.folder)
            .current_dir(&self.source.root)
            .env("CARGO_HOME", &self.cargo_home)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags())
            .env("TWOTONE_COMMIT", &self.source.commit)
            .env("TWOTONE_COMMIT_DATE", &self.source.date)
            .env("SOURCE_DATE_EPOCH", self.source.epoch.to_string());
        Ok(command)
    }

    /// Returns flags of rustc that replace the paths of folders of this computer by fixed names. If
    /// two flags match a path, rustc applies the last one.
    fn flags(&self) -> OsString {
        let mut flags = OsString::new();
        for (folder, name) in [
            (&self.cargo_home, "/cargo"),
            (&self.source.root, "/twotone"),
        ] {
            if !flags.is_empty() {
                flags.push(SEPARATOR);
            }
            flags.push("--remap-path-prefix=");
            flags.push(folder);
            flags.push(format!("={name}"));
        }
        flags
    }

    fn program(&self) -> Result<PathBuf> {
        let folder = match self.is_cross()? {
            true => self.folder.join(self.target),
            false => self.folder.clone(),
        };
        Ok(folder.join("dist/twotone"))
    }

    /// True if cargo gets the option `--target`. It then builds in a subfolder with the name of the
    /// target.
    fn is_cross(&self) -> Result<bool> {
        Ok(self.target != host()? || matches!(self.glibc, Glibc::Release(..)))
    }
}

/// Builds the program in the same way as the tests do. So nothing is compiled if the tests ran
/// before. Returns the path of a copy without symbols.
pub(crate) fn quick(workspace: &Workspace, scratch: &Path) -> Result<PathBuf> {
    let mut command = cargo();
    // The examples are built too. With them, dependencies have the same features as in the tests.
    command
        .args([
            "build",
            "--quiet",
            "--locked",
            "--workspace",
            "--bin=twotone",
            "--examples",
        ])
        .current_dir(&workspace.root);
    let status = child::run(&mut command, LIMIT)?;
    if !status.success() {
        return Err(format!("the build ended with {}", child::ending(status)));
    }
    let stripped = scratch.join("twotone");
    let mut strip = Command::new("strip");
    strip.arg("--strip-all").arg("-o").arg(&stripped);
    super::done(strip.arg(workspace.target.join("debug/twotone")))?;
    Ok(stripped)
}

/// Returns the target triple `wish`, whose standard library must be installed. If `wish` is absent,
/// returns the target triple of this computer.
pub(crate) fn target(wish: Option<&str>) -> Result<String> {
    let Some(target) = wish else {
        return host();
    };
    let mut libraries = Command::new("rustc");
    libraries.args(["--print", "target-libdir", "--target", target]);
    let folder = said(&mut libraries)?;
    let folder = String::from_utf8_lossy(&folder).trim().to_owned();
    match Path::new(&folder).is_dir() {
        true => Ok(target.to_owned()),
        false => Err(format!(
            "the standard library for {target} is not installed (`rustup target add {target}`)"
        )),
    }
}

fn host() -> Result<String> {
    let version = rustc()?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.ok_or("rustc -vV names no host")?.to_owned())
}

/// Returns the description that the compiler gives of itself with `rustc -vV`.
pub(crate) fn rustc() -> Result<String> {
    let version = said(Command::new("rustc").arg("-vV"))?;
    Ok(String::from_utf8_lossy(&version).into_owned())
}

/// Returns the folder in which cargo keeps the sources of dependencies.
pub(crate) fn cargo_home() -> Result<PathBuf> {
    let set = env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    let home = set
        .or_else(usual)
        .ok_or("neither CARGO_HOME nor HOME is set")?;
    fs::canonicalize(&home).map_err(|error| format!("no {}: {error}", home.display()))
}

pub(crate) fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// True if `bytes` contain a path into `folder`.
fn names(bytes: &[u8], folder: &Path) -> bool {
    let mut path = folder.as_os_str().as_bytes().to_owned();
    path.push(b'/');
    bytes.windows(path.len()).any(|window| window == path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_into_a_folder_are_found_and_others_are_not() {
        let program = b"\x7fELF\0\0/work/a/src/x.rs\0/cargo/y.rs\0";
        for (folder, expected) in [
            ("/work/a", true),
            ("/work", true),
            ("/work/a/s", false),
            ("/home", false),
        ] {
            assert_eq!(names(program, Path::new(folder)), expected, "{folder}");
        }
    }

    #[test]
    fn a_target_whose_library_is_not_installed_is_refused_with_the_remedy() {
        assert_eq!(target(None), host());
        assert_eq!(target(Some(&host().unwrap())), host());
        let error = target(Some("s390x-unknown-linux-gnu")).unwrap_err();
        assert!(error.contains("rustup target add s390x"), "{error}");
    }
}
