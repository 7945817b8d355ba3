//! The commit that is packaged. The version of the packages and the dates in them follow from it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// A source tree at a commit.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Top folder of the tree, absolute.
    pub(crate) root: PathBuf,
    /// Version of the workspace, such as `0.1.0`.
    pub(crate) workspace_version: String,
    /// Hash of the commit, followed by `-changed` if files differ from the commit.
    pub(crate) commit: String,
    /// Time of the commit, in seconds since 1970. All files in the archive and in the Debian
    /// package have this time.
    pub(crate) epoch: u64,
    /// Time of the commit in UTC, in the format of RFC 3339.
    pub(crate) date: String,
    /// Time of the commit in UTC, in the format of RFC 2822.
    pub(crate) mail_date: String,
    /// Version of the packages. It is `0.1.0` if the commit has the tag `v0.1.0` and no file
    /// differs from the commit. Otherwise it contains the time and the hash of the commit, as in
    /// `0.1.0~20261122T210421.34ef050`. Such versions sort before `0.1.0`, in the order of their
    /// times.
    pub(crate) version: String,
}

impl Source {
    /// Reads the commit of a tree from git, and the version of the workspace from `Cargo.toml`.
    ///
    /// # Errors
    /// If git fails, if `Cargo.toml` cannot be read, or if files differ from the commit and
    /// `allow_changed` is false.
    pub(crate) fn read(root: &Path, allow_changed: bool) -> Result<Self> {
        let changed = git(root, &["status", "--porcelain"])?;
        if !changed.is_empty() && !allow_changed {
            return Err(format!(
                "these files differ from the last commit:\n{changed}\ncommit them, or give \
                 --allow-changed: the version then ends in `.changed`"
            ));
        }
        // With `-local`, git formats times in the time zone of the environment, which the function
        // `git` sets to UTC.
        let shown = |format: &str, date: &str| {
            git(
                root,
                &[
                    "show",
                    "-s",
                    &format!("--date={date}"),
                    &format!("--format={format}"),
                ],
            )
        };
        let commit = shown("%H", "iso")?;
        let stamp = shown("%cd", "format-local:%Y%m%dT%H%M%S")?;
        let epoch = shown("%ct", "iso")?;
        let epoch = epoch
            .parse()
            .map_err(|error| format!("git gives `{epoch}` as the time of the commit: {error}"))?;
        let workspace_version = workspace_version(root)?;
        let tags = git(root, &["tag", "--points-at", "HEAD"])?;
        let is_tagged = tags
            .lines()
            .any(|tag| tag == format!("v{workspace_version}"));
        let is_changed = !changed.is_empty();
        Ok(Self {
            version: version(&workspace_version, is_tagged, &stamp, &commit, is_changed),
            workspace_version,
            epoch,
            date: shown("%cd", "format-local:%Y-%m-%dT%H:%M:%SZ")?,
            mail_date: shown("%cd", "rfc2822-local")?,
            root: root.to_owned(),
            commit: if is_changed {
                commit + "-changed"
            } else {
                commit
            },
        })
    }

    /// Reads a file of the tree, by its path from the top.
    pub(crate) fn bytes(&self, path: &str) -> Result<Vec<u8>> {
        std::fs::read(self.root.join(path)).map_err(|error| format!("cannot read {path}: {error}"))
    }
}

/// Returns the version of the packages that are made from a commit. `stamp` is the time of the
/// commit.
fn version(
    workspace: &str,
    is_tagged: bool,
    stamp: &str,
    commit: &str,
    is_changed: bool,
) -> String {
    let short: String = commit.chars().take(7).collect();
    match (is_tagged, is_changed) {
        (true, false) => workspace.to_owned(),
        (_, false) => format!("{workspace}~{stamp}.{short}"),
        (_, true) => format!("{workspace}~{stamp}.{short}.changed"),
    }
}

fn workspace_version(root: &Path) -> Result<String> {
    let manifest = std::fs::read_to_string(root.join("Cargo.toml"));
    let manifest = manifest.map_err(|error| format!("cannot read Cargo.toml: {error}"))?;
    let manifest: toml::Table = manifest
        .parse()
        .map_err(|error| format!("Cargo.toml: {error}"))?;
    let version = manifest
        .get("workspace")
        .and_then(|it| it.get("package")?.get("version"));
    let version = version.and_then(toml::Value::as_str);
    Ok(version
        .ok_or("Cargo.toml has no workspace.package.version")?
        .to_owned())
}

/// Runs git in the time zone UTC, and returns the text that it prints, without the line break at
/// its end.
pub(super) fn git(root: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new("git")
        .args(args)
        .current_dir(root)
        .env("TZ", "UTC")
        .output()
        .map_err(|error| format!("cannot run git: {error}"))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    match output.status.success() {
        true => Ok(said(&output.stdout)),
        false => Err(format!(
            "git {} failed: {}",
            args.join(" "),
            said(&output.stderr)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git_as_somebody(root: &Path, args: &[&str]) {
        let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        git(root, &[&who, args].concat()).unwrap();
    }

    #[test]
    fn versions_sort_before_their_release_and_by_date() {
        let of = |tagged, stamp, changed| version("0.1.0", tagged, stamp, "34ef0501234", changed);
        let early = of(false, "20261122T210421", false);
        assert_eq!(early, "0.1.0~20261122T210421.34ef050");
        let late = of(false, "20261123T000000", false);
        let changed = of(true, "20261122T210421", true);
        let tagged = of(true, "20261122T210421", false);
        assert_eq!(tagged, "0.1.0");
        for (lower, higher) in [
            (&early, &late),
            (&early, &changed),
            (&changed, &late),
            (&late, &tagged),
        ] {
            let Ok(compared) = Command::new("dpkg")
                .args(["--compare-versions", lower, "lt", higher])
                .status()
            else {
                return;
            };
            assert!(compared.success(), "{lower} does not sort before {higher}");
        }
    }

    #[test]
    fn a_tree_is_described_by_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let read = |allow| Source::read(root, allow);
        assert!(read(true).unwrap_err().contains("git"));
        git(root, &["init", "-q"]).unwrap();
        std::fs::write(
            root.join("Cargo.toml"),
            "[workspace.package]\nversion = \"1.2.3\"\n",
        )
        .unwrap();
        git_as_somebody(root, &["add", "."]);
        git_as_somebody(
            root,
            &["commit", "-q", "-m", "x", "--date=2001-01-01T00:00:00Z"],
        );
        let source = read(false).unwrap();
        assert!(source.version.starts_with("1.2.3~20"), "{}", source.version);
        assert_eq!(source.commit.len(), 40);
        // The version and both dates show the time of the commit, and not the author date, which
        // the command above sets to 2001.
        let stamp: String = source.date.chars().filter(char::is_ascii_digit).collect();
        let told: String = source.version[6..]
            .chars()
            .filter(|it| *it != 'T')
            .collect();
        assert!(
            told.starts_with(&stamp),
            "{told} does not begin with {stamp}"
        );
        assert!(source.mail_date.ends_with("+0000") && !source.date.starts_with("2001"));

        git(root, &["tag", "v1.2.3"]).unwrap();
        assert_eq!(read(false).unwrap().version, "1.2.3");
        // A new file counts as a change too, because the build may read it.
        std::fs::write(root.join("new"), "").unwrap();
        assert!(read(false).unwrap_err().contains("new"));
        let changed = read(true).unwrap();
        assert!(changed.version.ends_with(".changed"), "{}", changed.version);
        assert!(changed.commit.ends_with("-changed"), "{}", changed.commit);
    }
}
