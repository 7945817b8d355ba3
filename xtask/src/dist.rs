//! `cargo xtask dist`: the archive and the Debian package of a commit, in `target/dist/`.
//!
//! The same commit and the same compiler give the same bytes, in any folder. The files that are
//! packed in addition to the program are in `xtask/packaging/`. `docs/packaging.md` describes the
//! result.

mod archive;
mod build;
mod contents;
mod debian;
mod elf;
mod manual;
mod notices;
pub(crate) mod rehearsal;
mod reproducible;
mod source;
mod tree;
mod units;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use self::build::{Build, Glibc};
use self::contents::Manifest;
use self::elf::Needs;
use self::source::Source;
use self::units::Checked;
use crate::test::python;
use crate::workspace::Workspace;
use crate::{Result, child};

/// Folder of the files that the archive contains in addition to the program, relative to the root.
const INPUTS: &str = "xtask/packaging";

/// Programs that this command runs, each with the Debian package that contains it.
const TOOLS: [(&str, &str); 6] = [
    ("dpkg-deb", "dpkg"),
    ("git", "git"),
    ("gzip", "gzip"),
    ("md5sum", "coreutils"),
    ("sha256sum", "coreutils"),
    ("tar", "tar"),
];

#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Oldest glibc that the program must run with, such as 2.28, or `native` for the glibc of
    /// this computer. If it is absent: 2.28 if cargo-zigbuild and zig are installed, else
    /// native.
    #[arg(long, value_name = "VERSION", conflicts_with = "quick")]
    glibc: Option<String>,
    /// Target of rustc. Its standard library must be installed, and its programs must run on this
    /// computer.
    #[arg(long, value_name = "TRIPLE", conflicts_with = "quick")]
    target: Option<String>,
    /// Package the program that the tests build. It is slow, and its version says that it is not a
    /// release.
    #[arg(long)]
    quick: bool,
    /// Build a second time, in another folder and with another cargo home, and compare all bytes.
    #[arg(long, conflicts_with_all = ["quick", "allow_changed"])]
    check_reproducible: bool,
    /// Package a tree that differs from its commit. The version then says so.
    #[arg(long)]
    allow_changed: bool,
}

/// The compiled program, and the facts about it that are written into the packages.
struct Built {
    program: PathBuf,
    manifest: Manifest,
    needs: Needs,
}

/// Makes the archive and the package. Returns false if a second build differs from the first.
pub(crate) fn run(workspace: &Workspace, args: &Args) -> Result<bool> {
    if let Some(missing) = missing(&TOOLS) {
        return Err(missing);
    }
    fs::create_dir_all(&workspace.target)
        .map_err(|error| format!("cannot make {}: {error}", workspace.target.display()))?;
    // The lock is held until this function returns. Without it, two runs at the same time would mix
    // their files.
    let _lock = python::lock(&workspace.target.join("dist.lock"))?;

    // Tests package the files as they are in the folder, even if they are not committed.
    let source = Source::read(&workspace.root, args.allow_changed || args.quick)?;
    // A quick package goes to a folder of its own, so that tests do not replace a release.
    let finished = match args.quick {
        true => workspace.target.join("dist-quick"),
        false => workspace.target.join("dist"),
    };
    let scratch = workspace.target.join("dist-work");
    let glibc = match args.quick {
        true => Glibc::OfThisComputer,
        false => Glibc::choose(workspace, args.glibc.as_deref())?,
    };
    let target = build::target(args.target.as_deref())?;
    let build = Build {
        source: &source,
        folder: workspace.target.join("dist-build"),
        cargo_home: build::cargo_home()?,
        target: &target,
        glibc: &glibc,
    };
    emptied(&scratch)?;
    let program = match args.quick {
        true => build::quick(workspace, &scratch)?,
        false => build.run()?,
    };
    let built = described(&source, program, &target, args.quick)?;
    if let Glibc::Release(version, _) = glibc
        && built.needs.glibc > Some(version)
    {
        return Err(format!(
            "the program asks for a newer glibc than {version}: {:?}",
            built.needs
        ));
    }
    let files = pack(&source, &built, &scratch, args.quick)?;
    deliver(&files, &finished)?;
    told(&built, &finished)?;
    if args.check_reproducible {
        return reproducible::check(workspace, &build, &finished);
    }
    Ok(true)
}

/// Returns a message about the programs that are missing, or `None` if none is missing.
fn missing(tools: &[(&str, &str)]) -> Option<String> {
    let missing: Vec<_> = tools
        .iter()
        .filter(|(tool, _)| !build::on_path(tool))
        .map(|(tool, package)| format!("{tool} (package {package})"))
        .collect();
    (!missing.is_empty()).then(|| format!("not on the PATH: {}", missing.join(", ")))
}

/// Returns the path that the archive of the checked-out commit has. The archive itself may not
/// exist.
pub(crate) fn archive_path(workspace: &Workspace) -> Result<PathBuf> {
    let source = Source::read(&workspace.root, false)?;
    let name = format!("twotone-{}.tar.gz", source.version);
    Ok(workspace.target.join("dist").join(name))
}

/// Returns the path of the archive of the checked-out commit. Makes the archive if it does not
/// exist.
pub(crate) fn archive(workspace: &Workspace) -> Result<PathBuf> {
    let path = archive_path(workspace)?;
    if !path.is_file() {
        run(workspace, &Args::default())?;
    }
    Ok(path)
}

/// Packages the program that the tests build, and returns the path of the archive.
pub(crate) fn quick(workspace: &Workspace) -> Result<PathBuf> {
    let args = Args {
        quick: true,
        ..Args::default()
    };
    run(workspace, &args)?;
    let files = files(&workspace.target.join("dist-quick"))?;
    let mut archives = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|it| it == "gz"));
    archives
        .next()
        .ok_or_else(|| "there is no archive".to_owned())
}

/// Reads from the file of a program which libraries it needs, and from its output which version it
/// has.
fn described(source: &Source, program: PathBuf, target: &str, quick: bool) -> Result<Built> {
    let bytes = fs::read(&program)
        .map_err(|error| format!("cannot read {}: {error}", program.display()))?;
    let needs = Needs::read(&bytes)
        .ok_or_else(|| format!("{} is no ELF program of 64 bits", program.display()))?;
    let version = contents::says(&program, &["--version"])?;
    let version = String::from_utf8_lossy(&version).into_owned();
    let expected = match quick {
        true => vec![&source.workspace_version],
        false => vec![&source.workspace_version, &source.commit, &source.date],
    };
    if let Some(absent) = expected.iter().find(|it| !version.contains(it.as_str())) {
        return Err(format!(
            "the program says `{}`, in which there is no {absent}",
            version.trim()
        ));
    }
    let state_format = contents::state_format(&version)
        .ok_or_else(|| format!("the program says no `state format`: {}", version.trim()))?;
    let profile = if quick { "dev" } else { "dist" };
    let rustc = build::rustc()?;
    let manifest = Manifest::new(source, &needs, target, profile, &rustc, state_format);
    Ok(Built {
        program,
        manifest,
        needs,
    })
}

/// Packs a program and its other files in a folder, and returns the paths of the archive and the
/// package.
fn pack(source: &Source, built: &Built, folder: &Path, quick: bool) -> Result<Vec<PathBuf>> {
    let tree = contents::of(source, &built.program, &built.manifest)?;
    if let Checked::Not(why) = units::check(&tree, folder)? {
        println!("dist: the units are not checked: {why}");
    }
    let (level, compression) = match quick {
        true => ("-1", "-Zgzip"),
        false => ("-9", "-Zxz"),
    };
    let name = format!("twotone-{}", source.version);
    Ok(vec![
        archive::pack(&tree, folder, &name, source.epoch, level)?,
        debian::pack(&tree, folder, source, &built.needs, compression)?,
    ])
}

/// Moves files into a folder, and adds a file with their checksums. The old content of the folder
/// is removed.
fn deliver(files: &[PathBuf], folder: &Path) -> Result<()> {
    emptied(folder)?;
    let mut names = Vec::new();
    for file in files {
        let name = PathBuf::from(file.file_name().unwrap_or_default());
        fs::rename(file, folder.join(&name))
            .map_err(|error| format!("cannot move {}: {error}", file.display()))?;
        names.push(name);
    }
    let sums = archive::sums(folder, &names)?;
    let path = folder.join(archive::SUMS);
    fs::write(&path, sums).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn told(built: &Built, folder: &Path) -> Result<()> {
    let needs = &built.needs;
    let glibc = needs.glibc.map(|glibc| format!("glibc {glibc}"));
    println!(
        "dist: needs {} ({})",
        glibc.unwrap_or_else(|| "no glibc".to_owned()),
        needs
            .libraries
            .iter()
            .cloned()
            .collect::<Vec<_>>()
            .join(", ")
    );
    for path in files(folder)? {
        let size = fs::metadata(&path).map_or(0, |it| it.len());
        println!("{:>12}  {}", size, path.display());
    }
    Ok(())
}

/// Returns the files of a folder, sorted.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error| format!("cannot list {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        files.push(entry.map_err(unreadable)?.path());
    }
    files.sort();
    Ok(files)
}

/// Makes an empty folder. If the folder exists, its content is removed.
fn emptied(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .map_err(|error| format!("cannot remove {}: {error}", folder.display()))?;
    }
    fs::create_dir_all(folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))
}

/// Runs a program. It is an error if the program fails.
fn done(command: &mut Command) -> Result<()> {
    said(command).map(drop)
}

/// Runs a program, and returns its standard output. It is an error if the program fails.
fn said(command: &mut Command) -> Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = child::output(command)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!(
            "{name} ended with {}",
            child::ending(output.status)
        )),
    }
}

/// Compresses bytes with `gzip`, without a name and a time in the header.
fn gzipped(bytes: impl AsRef<[u8]>) -> Result<Vec<u8>> {
    let bytes = bytes.as_ref();
    let failed = |error| format!("cannot run gzip: {error}");
    let mut gzip = Command::new("gzip")
        .args(["--no-name", "-9"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let stdin = gzip.stdin.take();
    let output = thread::scope(|scope| {
        // The input is written while the output is read, because a pipe holds only a limited number
        // of bytes.
        let writing = scope.spawn(|| stdin.map(|mut it| it.write_all(bytes)));
        let output = gzip.wait_with_output();
        match writing.join() {
            Ok(Some(Ok(()))) => output,
            _ => Err(std::io::Error::other("it does not read")),
        }
    });
    let output = output.map_err(failed)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(format!("gzip ended with {}", child::ending(output.status))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a source with this workspace as its tree and a made-up commit.
    pub(super) fn source() -> Source {
        Source {
            root: Workspace::here().expect("tests run in the workspace").root,
            workspace_version: "0.1.0".to_owned(),
            commit: "34ef0501111111111111111111111111111111ab".to_owned(),
            epoch: 1_795_381_461,
            date: "2026-11-22T21:04:21Z".to_owned(),
            mail_date: "Sun, 22 Nov 2026 21:04:21 +0000".to_owned(),
            version: "0.1.0~20261122T210421.34ef050".to_owned(),
        }
    }

    #[test]
    fn bytes_are_packed_whatever_their_number() {
        for number in [0, 1, 1 << 20] {
            // Random bytes cannot be compressed, so they fill the pipe for the input and the pipe
            // for the output.
            let mut state = 1_u32;
            let bytes: Vec<u8> = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state.to_be_bytes()[0]
            })
            .take(number)
            .collect();
            let packed = gzipped(&bytes).unwrap();
            let scratch = tempfile::tempdir().unwrap();
            let path = scratch.path().join("it.gz");
            fs::write(&path, &packed).unwrap();
            let unpacked = said(Command::new("gzip").args(["-dc"]).arg(&path)).unwrap();
            assert!(unpacked == bytes, "{number} bytes");
            // The header has no time.
            assert_eq!(packed[4..8], [0; 4]);
        }
    }

    #[test]
    fn delivered_files_can_be_checked_and_nothing_older_stays() {
        let scratch = tempfile::tempdir().unwrap();
        let finished = scratch.path().join("dist");
        emptied(&finished).unwrap();
        fs::write(finished.join("old.deb"), "").unwrap();
        let made = scratch.path().join("new.deb");
        fs::write(&made, "package").unwrap();
        deliver(&[made], &finished).unwrap();
        let names: Vec<_> = files(&finished).unwrap();
        assert_eq!(
            names,
            [finished.join("SHA256SUMS"), finished.join("new.deb")]
        );
        let mut check = Command::new("sha256sum");
        check
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(&finished);
        assert_eq!(said(&mut check).unwrap(), b"new.deb: OK\n");
    }
}
