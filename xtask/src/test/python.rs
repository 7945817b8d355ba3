//! The Python environment of the tests and benchmarks that run Python programs. It is made in the
//! target folder, and is made again if the list of its packages changes.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::workspace::{Target, Workspace};
use crate::{Result, child};

/// Name of the environment variable with the path of the interpreter, for tests and benchmarks. A
/// test file that contains this name needs Python.
pub(crate) const VARIABLE: &str = "TWOTONE_PYTHON";

/// Message for a computer without a suitable Python.
pub(crate) const MISSING: &str = "no Python 3.11 or later with venv and ensurepip on the PATH";

/// File with the packages of the environment, relative to the root of the workspace.
const REQUIREMENTS: &str = "xtask/python-requirements.txt";

/// Older versions of the server of boards. Each is installed without its dependencies, into a
/// folder of its own below the environment.
const SERVERS: [&str; 4] = ["0.14", "0.15", "0.16", "0.17"];

/// Python program that succeeds if its interpreter can make the environment.
const PROBE: &str = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))";

/// Python program that downloads the source package of the installed client, and unpacks its tests
/// into the folder in its argument.
const UNPACK_SUITE: &str = r#"
import importlib.metadata, pathlib, subprocess, sys, tarfile, tempfile
folder, version = pathlib.Path(sys.argv[1]), importlib.metadata.version("rfmux")
with tempfile.TemporaryDirectory(dir=folder.parent) as work:
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary=rfmux"]
    subprocess.run([*pip, f"--dest={work}", f"rfmux=={version}"], check=True)
    top = f"rfmux-{version}"
    with tarfile.open(f"{work}/{top}.tar.gz") as package:
        wanted = (f"{top}/test/", f"{top}/conftest.py")
        members = [one for one in package if one.name.startswith(wanted)]
        package.extractall(work, members, filter="data")
    pathlib.Path(work, top).rename(folder)
"#;

/// Longest time of a probe.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// Longest time to make the environment, and for each attempt to install its packages.
const INSTALL_LIMIT: Duration = Duration::from_secs(15 * 60);

/// Number of attempts at the installation, since downloads may fail.
const ATTEMPTS: u32 = 2;

/// Returns the names of the test targets that need Python, sorted.
pub(crate) fn tests(workspace: &Workspace) -> Vec<String> {
    let needs = |target: &&Target| {
        let path = target
            .src_path
            .strip_prefix(&workspace.root)
            .unwrap_or(&target.src_path);
        // If a target is a folder of several files, it needs Python if any of its files does.
        let is_folder = path.file_name().is_some_and(|name| name == "main.rs");
        let folder = path.parent().filter(|_| is_folder).unwrap_or(path);
        let mut files = workspace
            .files
            .iter()
            .filter(|file| file.starts_with(folder));
        files.any(|file| {
            workspace
                .text(file)
                .is_some_and(|text| text.contains(VARIABLE))
        })
    };
    let mut names: Vec<_> = workspace
        .tests()
        .filter(needs)
        .map(|it| it.name.clone())
        .collect();
    names.sort();
    names
}

/// Makes the environment if it does not exist or is out of date. Returns its interpreter, or `None`
/// if no suitable Python is on the path.
pub(crate) fn prepare(workspace: &Workspace) -> Result<Option<PathBuf>> {
    let name = "python";
    let interpreter = environment(workspace, name, REQUIREMENTS)?;
    if let Some(interpreter) = &interpreter {
        let _lock = lock(&workspace.target.join(format!("{name}.lock")))?;
        let log = workspace.target.join("tuberd.log");
        for version in SERVERS {
            let folder = workspace.target.join(name).join("tuberd").join(version);
            add_server(interpreter, version, &folder, &log)?;
        }
        let folder = workspace.target.join(name).join("rfmux-suite");
        add_suite(
            interpreter,
            &folder,
            &workspace.target.join("rfmux-suite.log"),
        )?;
    }
    Ok(interpreter)
}

/// Unpacks the tests in the source package of the client into a folder, unless they are there
/// already. Its code stays out, so that they test the installed package.
fn add_suite(interpreter: &Path, folder: &Path, log: &Path) -> Result<()> {
    let mut unpack = Command::new(interpreter);
    unpack.args(["-c", UNPACK_SUITE]).arg(folder);
    match folder.exists() {
        true => Ok(()),
        false => logged(&mut unpack, log, "unpacking the tests of the client"),
    }
}

/// Installs a version of the server into a folder, unless it is there already.
fn add_server(interpreter: &Path, version: &str, folder: &Path, log: &Path) -> Result<()> {
    if folder.exists() {
        return Ok(());
    }
    // The folder gets its name last, so that an incomplete one does not have it.
    let part = folder.with_file_name("part");
    if part.exists() {
        fs::remove_dir_all(&part)
            .map_err(|error| format!("cannot remove {}: {error}", part.display()))?;
    }
    let what = ["--no-deps".as_ref(), "--target".as_ref(), part.as_os_str()];
    let package = format!("tuberd=={version}");
    install(interpreter, &[&what[..], &[package.as_ref()]].concat(), log)?;
    fs::rename(&part, folder).map_err(|error| format!("cannot name {}: {error}", folder.display()))
}

/// Makes the environment `name` below the target folder, with the packages in the file `list`, if
/// it does not exist or is out of date. Returns its interpreter, or `None` if no suitable Python is
/// on the path.
pub(crate) fn environment(
    workspace: &Workspace,
    name: &str,
    list: &str,
) -> Result<Option<PathBuf>> {
    let Some(base) = base_interpreter() else {
        return Ok(None);
    };
    let requirements = workspace
        .text(list.as_ref())
        .ok_or_else(|| format!("cannot read {list}"))?;
    let folder = workspace.target.join(name);
    fs::create_dir_all(&workspace.target)
        .map_err(|error| format!("cannot make {}: {error}", workspace.target.display()))?;
    // The lock is held until this function returns. Without it, two runs at the same time would
    // both make the environment.
    let _lock = lock(&workspace.target.join(format!("{name}.lock")))?;

    // This file is written last, so that an incomplete environment does not have it.
    let stamp = folder.join("made-from.txt");
    let made_from = format!("# {}\n{requirements}", base.display());
    let interpreter = folder.join("bin/python");
    let made = fs::read_to_string(&stamp).is_ok_and(|text| text == made_from);
    if !(made && runs(&interpreter)) {
        let log = workspace.target.join(format!("{name}.log"));
        make(&base, &folder, &workspace.root.join(list), &log)?;
        fs::write(&stamp, made_from)
            .map_err(|error| format!("cannot write {}: {error}", stamp.display()))?;
    }
    Ok(Some(interpreter))
}

/// Returns the first Python on the path that can make an environment. Some installations lack
/// `venv`.
fn base_interpreter() -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join("python3"))
        .find(|python| python.is_file() && runs(python))
}

fn runs(python: &Path) -> bool {
    let mut command = Command::new(python);
    command
        .args(["-c", PROBE])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    child::run(&mut command, PROBE_LIMIT).is_ok_and(|status| status.success())
}

/// Waits until no other program holds the lock in the file at a path, and acquires it.
pub(crate) fn lock(path: &Path) -> Result<File> {
    let file = File::create(path);
    file.and_then(|file| file.lock().map(|()| file))
        .map_err(|error| format!("cannot lock {}: {error}", path.display()))
}

fn make(base: &Path, folder: &Path, requirements: &Path, log: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    }
    let mut venv = Command::new(base);
    venv.args(["-m", "venv"]).arg(folder);
    logged(&mut venv, log, "making the Python environment")?;

    let what = ["--requirement".as_ref(), requirements.as_os_str()];
    install(&folder.join("bin/python"), &what, log)
}

/// Installs packages with the pip of an environment.
fn install(interpreter: &Path, what: &[&OsStr], log: &Path) -> Result<()> {
    let mut attempt = 1;
    loop {
        let mut install = Command::new(interpreter);
        install
            .args([
                "-m",
                "pip",
                "install",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args(["--timeout=60", "--retries=3"])
            .args(what);
        match logged(&mut install, log, "installing Python packages") {
            Err(_) if attempt < ATTEMPTS => attempt += 1,
            outcome => return outcome,
        }
    }
}

/// Runs a command and writes its output into a log. If the command fails, the error contains the
/// end of the log.
fn logged(command: &mut Command, log: &Path, doing: &str) -> Result<()> {
    let unwritable = |error| format!("cannot write {}: {error}", log.display());
    let file = File::create(log).map_err(unwritable)?;
    command
        .stderr(file.try_clone().map_err(unwritable)?)
        .stdout(file);
    let ending = match child::run(command, INSTALL_LIMIT) {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => child::ending(status),
        Err(error) => error,
    };
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(10)..].join("\n");
    Err(format!(
        "{doing}: {ending}; the end of {}:\n{tail}",
        log.display()
    ))
}
