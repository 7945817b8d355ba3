//! The Debian package, which `dpkg-deb` makes from the tree of files of the archive.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::elf::Needs;
use super::source::Source;
use super::tree::Tree;
use super::{INPUTS, done, gzipped, said, units};
use crate::Result;

/// Folder of the documentation pages in a package.
const DOC: &str = "usr/share/doc/twotone";

/// Beginning of the paths of this project's licences in the archive.
const OWN_LICENCES: &str = "share/doc/twotone/LICENSE-";

/// Architectures: the number in the ELF header of a program, and the name in Debian.
const ARCHITECTURES: [(u16, &str); 2] = [(62, "amd64"), (183, "arm64")];

/// Shared libraries, each with the package that contains it. Libraries without a package belong to
/// glibc.
const LIBRARIES: [(&str, Option<&str>); 9] = [
    ("libc.so.6", None),
    ("libm.so.6", None),
    ("libpthread.so.0", None),
    ("libdl.so.2", None),
    ("librt.so.1", None),
    ("libutil.so.1", None),
    ("ld-linux-x86-64.so.2", None),
    ("ld-linux-aarch64.so.1", None),
    ("libgcc_s.so.1", Some("libgcc-s1")),
];

/// Description of the package, as `apt show` prints it.
const DESCRIPTION: &str = "\
control software for large arrays of FPGA readout boards
 twotone tunes, sweeps and reads out the detectors of microwave telescopes.
 .
 The service is neither enabled nor started at the first installation. Write
 /etc/twotone/map.toml first, then run `systemctl enable --now twotone`.
";

/// Maintainer that the package names.
const MAINTAINER: &str = "The twotone contributors <contributors@twotone.invalid>";

/// Makes the package in `folder`, from the tree of the archive. Returns the path of the package.
/// `compression` is an option of `dpkg-deb`, such as `-Zxz`.
pub(crate) fn pack(
    tree: &Tree,
    folder: &Path,
    source: &Source,
    needs: &Needs,
    compression: &str,
) -> Result<PathBuf> {
    let architecture = architecture(needs)?;
    let mut installed = layout(tree, source)?;
    let staged = folder.join("deb");
    installed.write(&staged, source.epoch)?;
    let files: Vec<_> = installed.iter().map(|(path, _)| path.to_owned()).collect();
    let mut sum = Command::new("md5sum");
    let sums = said(sum.arg("--").args(&files).current_dir(&staged))?;

    let sizes = installed.iter().map(|(_, file)| file.bytes.len());
    let control = control(
        &source.version,
        architecture,
        sizes.map(|size| size.div_ceil(1024)).sum(),
        &depends(needs)?,
    );
    for script in ["postinst", "prerm", "postrm"] {
        let text = source.bytes(&format!("{INPUTS}/debian/{script}"))?;
        installed.put_program(format!("DEBIAN/{script}"), text);
    }
    installed.put("DEBIAN/md5sums", sums);
    installed.put("DEBIAN/control", control);
    installed.write(&staged, source.epoch)?;

    let package = folder.join(format!("twotone_{}_{architecture}.deb", source.version));
    let mut build = Command::new("dpkg-deb");
    build
        .args(["--root-owner-group", compression, "--build"])
        .arg(&staged)
        .arg(&package)
        .env("SOURCE_DATE_EPOCH", source.epoch.to_string())
        // Compression with several threads gives other bytes than compression with one thread.
        .env("DPKG_DEB_THREADS_MAX", "1")
        .stdout(Stdio::null());
    done(&mut build)?;
    Ok(package)
}

/// Returns the tree as the package installs it: below `/usr`, and without the files that only
/// `cargo xtask deploy` uses.
fn layout(tree: &Tree, source: &Source) -> Result<Tree> {
    let mut installed = Tree::default();
    for (path, content) in tree.iter() {
        let text = path.to_string_lossy();
        if let Some(unit) = text.strip_prefix("lib/systemd/system/") {
            let unit_text = String::from_utf8_lossy(&content.bytes);
            if let Some(unit_text) = units::for_package(unit, &unit_text) {
                installed.put(format!("lib/systemd/system/{unit}"), unit_text);
            }
        } else if text.starts_with(OWN_LICENCES) {
            // Debian requires the texts of these licences in the file `copyright` instead.
        } else if text.starts_with("bin/") || text.starts_with("share/") {
            installed.adopt(Path::new("usr").join(path), content);
        } else if text == "MANIFEST.toml" {
            installed.adopt(format!("{DOC}/{text}"), content);
        }
    }
    installed.put(
        "usr/lib/sysusers.d/twotone.conf",
        source.bytes(&format!("{INPUTS}/sysusers.conf"))?,
    );
    installed.put(format!("{DOC}/copyright"), copyright(source)?);
    installed.put(format!("{DOC}/changelog.gz"), gzipped(changelog(source))?);
    // The operator writes hardware maps (lists of boards) into this folder. The package contains no
    // configuration files. If it did, an upgrade without a terminal would stop at a file that the
    // operator has changed.
    installed.put_empty_folder("etc/twotone");
    Ok(installed)
}

fn architecture(needs: &Needs) -> Result<&'static str> {
    let mut known = ARCHITECTURES.iter();
    let found = known.find(|(machine, _)| *machine == needs.machine);
    let found = found.ok_or_else(|| {
        format!(
            "no Debian name is known for the processor number {} of the program",
            needs.machine
        )
    })?;
    Ok(found.1)
}

/// Returns the packages that the program depends on.
fn depends(needs: &Needs) -> Result<String> {
    let mut packages = Vec::new();
    packages.extend(needs.glibc.map(|glibc| format!("libc6 (>= {glibc})")));
    for library in &needs.libraries {
        let known = LIBRARIES.iter().find(|(name, _)| name == library);
        let (_, package) = known.ok_or_else(|| {
            format!(
                "the program needs {library}, and it is not known which Debian package has it: \
                 add it to LIBRARIES in xtask/src/dist/debian.rs"
            )
        })?;
        packages.extend(package.map(str::to_owned));
    }
    // systemd creates the user of the service and runs the service.
    packages.push("systemd".to_owned());
    Ok(packages.join(", "))
}

fn control(version: &str, architecture: &str, kibibytes: usize, depends: &str) -> String {
    format!(
        "Package: twotone\nVersion: {version}\nArchitecture: {architecture}\n\
         Maintainer: {MAINTAINER}\nInstalled-Size: {kibibytes}\nDepends: {depends}\n\
         Section: science\nPriority: optional\nDescription: {DESCRIPTION}"
    )
}

/// Returns the licences of this project in the format that Debian requires. The licences of the
/// packages that are linked into the program are in a file beside this one.
fn copyright(source: &Source) -> Result<String> {
    let mit = String::from_utf8_lossy(&source.bytes("LICENSE-MIT")?).into_owned();
    let indented: String = mit
        .lines()
        .map(|line| match line.is_empty() {
            true => " .\n".to_owned(),
            false => format!(" {line}\n"),
        })
        .collect();
    Ok(format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: twotone\n\
         Comment: The program has parts under other licences, all of them permissive. They are in\n \
         THIRD-PARTY.gz beside this file.\n\n\
         Files: *\nCopyright: the contributors to twotone\nLicense: MIT or Apache-2.0\n\n\
         License: MIT\n{indented}\n\
         License: Apache-2.0\n On Debian systems it is in /usr/share/common-licenses/Apache-2.0.\n"
    ))
}

/// Returns a change log in Debian's format. It only refers to the real change log.
fn changelog(source: &Source) -> String {
    format!(
        "twotone ({}) unstable; urgency=medium\n\n  * Commit {}.\n    \
         CHANGELOG.md.gz says what is new.\n\n -- {MAINTAINER}  {}\n",
        source.version, source.commit, source.mail_date
    )
}

#[cfg(test)]
mod tests {
    use super::super::contents;
    use super::super::elf::Version;
    use super::super::tests::source;
    use super::*;

    fn needs(libraries: &[&str]) -> Needs {
        Needs {
            machine: 62,
            glibc: Version::read("2.28"),
            libraries: libraries.iter().map(|it| (*it).to_owned()).collect(),
        }
    }

    /// Packs the files of this workspace, with arbitrary bytes in the place of the program.
    fn packed(folder: &Path) -> PathBuf {
        let source = source();
        let mut tree = Tree::default();
        contents::add_files(&mut tree, &source).unwrap();
        tree.put_program("bin/twotone", vec![0; 5000]);
        tree.put_program("libexec/activate", "#!/bin/sh\n");
        tree.put("MANIFEST.toml", "glibc = \"2.28\"\n");
        let needs = needs(&["libc.so.6", "libgcc_s.so.1"]);
        pack(&tree, folder, &source, &needs, "-Zgzip").unwrap()
    }

    fn told(args: &[&str], package: &Path) -> String {
        let mut command = Command::new("dpkg-deb");
        let output = said(command.args(args).arg(package).env("TZ", "UTC")).unwrap();
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn the_program_decides_what_a_package_depends_on() {
        let depends = |libraries: &[&str]| depends(&needs(libraries));
        let of_glibc = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"];
        assert_eq!(depends(&of_glibc).unwrap(), "libc6 (>= 2.28), systemd");
        let with_gcc = ["libc.so.6", "libgcc_s.so.1"];
        assert_eq!(
            depends(&with_gcc).unwrap(),
            "libc6 (>= 2.28), libgcc-s1, systemd"
        );
        let error = depends(&["libssl.so.3"]).unwrap_err();
        assert!(error.contains("libssl.so.3"), "{error}");
        let unknown = Needs {
            machine: 22,
            ..needs(&[])
        };
        assert!(architecture(&unknown).unwrap_err().contains("22"));
    }

    #[test]
    fn a_package_says_what_it_is_and_what_it_needs() {
        if !super::super::build::on_path("dpkg-deb") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let package = packed(folder.path());
        assert!(package.ends_with("twotone_0.1.0~20261122T210421.34ef050_amd64.deb"));
        let field = |name: &str| {
            let mut command = Command::new("dpkg-deb");
            let output = said(command.arg("--field").arg(&package).arg(name)).unwrap();
            String::from_utf8(output).unwrap().trim_end().to_owned()
        };
        assert_eq!(field("Package"), "twotone");
        assert_eq!(field("Version"), "0.1.0~20261122T210421.34ef050");
        assert_eq!(field("Architecture"), "amd64");
        assert_eq!(field("Depends"), "libc6 (>= 2.28), libgcc-s1, systemd");
        assert!(field("Installed-Size").parse::<u32>().unwrap() > 5);
        assert!(field("Description").starts_with("control software for"));

        let control = told(&["--info"], &package);
        assert!(!control.contains("conffiles"), "{control}");
        for part in ["postinst", "prerm", "postrm"] {
            assert!(control.contains(part), "{part} is not in {control}");
        }
    }

    #[test]
    fn a_package_has_the_files_of_the_archive_in_the_places_of_debian() {
        if !super::super::build::on_path("dpkg-deb") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let contents = told(&["--contents"], &packed(folder.path()));
        let lines: Vec<_> = contents
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .collect();
        let has = |mode: &str, path: &str| lines.iter().any(|it| it[0] == mode && it[5] == path);
        let (dir, file, program) = ("drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x");
        for (mode, path) in [
            (program, "./usr/bin/twotone"),
            (file, "./lib/systemd/system/twotone.service"),
            (file, "./usr/lib/sysusers.d/twotone.conf"),
            (file, "./usr/share/doc/twotone/MANIFEST.toml"),
            (file, "./usr/share/doc/twotone/changelog.gz"),
            (file, "./usr/share/doc/twotone/copyright"),
            (file, "./usr/share/doc/twotone/examples/maps/one-board.toml"),
            (dir, "./etc/twotone/"),
        ] {
            assert!(has(mode, path), "{mode} {path} is not in {contents}");
        }
        for line in &lines {
            assert_eq!(
                (line[1], line[3], line[4]),
                ("root/root", "2026-11-22", "21:04")
            );
            // The package must lack the files that only `cargo xtask deploy` uses, and the licence
            // texts that `copyright` contains.
            assert!(
                !line[5].contains("libexec") && !line[5].contains("LICENSE"),
                "{line:?}"
            );
        }
    }

    #[test]
    fn the_same_tree_is_the_same_package_in_any_folder() {
        if !super::super::build::on_path("dpkg-deb") {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("a folder/below another");
        let bytes = |folder: &Path| std::fs::read(packed(folder)).unwrap();
        assert_eq!(bytes(folder.path()), bytes(&other));
    }
}
