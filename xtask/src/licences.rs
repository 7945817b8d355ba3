//! `cargo xtask licences`: checks that `docs/dependencies.md` allows the licence of every
//! dependency.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use serde::Deserialize;

use crate::Result;
use crate::workspace::{Workspace, cargo};

const PAGE: &str = "docs/dependencies.md";
/// Heading of the table with the allowed licences.
const HEADING: &str = "## Licences that are allowed";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    /// An SPDX expression, as in the manifest of the package.
    license: Option<String>,
}

/// Checks the licences of all packages that are compiled for this platform, and prints those that
/// are not allowed. Returns false if there is one.
pub(crate) fn run(workspace: &Workspace) -> Result<bool> {
    let page = workspace.text(PAGE.as_ref());
    let page = page.ok_or_else(|| format!("{PAGE} cannot be read"))?;
    let allowed = allowed(&page);
    if allowed.is_empty() {
        return Err(format!("{PAGE} has no table under `{HEADING}`"));
    }
    let packages = packages(workspace)?;
    let refused: Vec<_> = packages
        .iter()
        .filter_map(|it| refusal(it, &allowed))
        .collect();
    for refusal in &refused {
        println!("{refusal}");
    }
    let number = packages.len();
    println!(
        "licences: {} of {number} packages are allowed",
        number - refused.len()
    );
    Ok(refused.is_empty())
}

/// Returns the packages that are compiled for this platform. Packages for other platforms are left
/// out, since cargo may not have downloaded them.
fn packages(workspace: &Workspace) -> Result<Vec<Package>> {
    let version = output(Command::new("rustc").arg("-vV"))?;
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.ok_or("rustc -vV names no host")?;
    let args = [
        "metadata",
        "--locked",
        "--format-version=1",
        "--filter-platform",
        host,
    ];
    let output = output(cargo().args(args).current_dir(&workspace.root))?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cannot read the output of cargo metadata: {error}"))?;
    Ok(metadata.packages)
}

fn output(command: &mut Command) -> Result<Output> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("cannot run {name}: {error}"))?;
    match output.status.success() {
        true => Ok(output),
        false => Err(format!(
            "{name} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}

/// Returns the licences in the first column of the table under [`HEADING`] in the text `page`.
fn allowed(page: &str) -> BTreeSet<&str> {
    let section = page.split(HEADING).nth(1).unwrap_or_default();
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    cells
        .map(str::trim)
        .filter(|cell| *cell != "licence")
        .collect()
}

/// Returns a message about a package whose licence is not allowed, or `None` if it is allowed.
fn refusal(package: &Package, allowed: &BTreeSet<&str>) -> Option<String> {
    let Package {
        name,
        version,
        license,
    } = package;
    let Some(license) = license else {
        return Some(format!("{name} {version}: its manifest names no licence"));
    };
    // `MIT/Apache-2.0` is an old notation for `MIT OR Apache-2.0`.
    let spaced = license
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<_> = spaced.split_whitespace().collect();
    let mut expression = Expression {
        words: &words,
        allowed,
    };
    match expression.any() {
        Some(is_allowed) if expression.words.is_empty() => {
            (!is_allowed).then(|| format!("{name} {version}: `{license}` is not allowed by {PAGE}"))
        }
        _ => Some(format!(
            "{name} {version}: `{license}` cannot be understood"
        )),
    }
}

/// Reader of an SPDX expression. It holds the words that it has not read yet.
struct Expression<'e> {
    words: &'e [&'e str],
    allowed: &'e BTreeSet<&'e str>,
}

impl Expression<'_> {
    fn take(&mut self, word: &str) -> bool {
        let is_next = self.words.first() == Some(&word);
        self.words = &self.words[usize::from(is_next)..];
        is_next
    }

    /// Reads operands that are joined by `OR`. Returns true if one of them is allowed, and `None`
    /// if the text is not an expression.
    fn any(&mut self) -> Option<bool> {
        let mut is_allowed = self.all()?;
        while self.take("OR") {
            is_allowed |= self.all()?;
        }
        Some(is_allowed)
    }

    fn all(&mut self) -> Option<bool> {
        let mut is_allowed = self.one()?;
        while self.take("AND") {
            is_allowed &= self.one()?;
        }
        Some(is_allowed)
    }

    fn one(&mut self) -> Option<bool> {
        if self.take("(") {
            let is_allowed = self.any()?;
            return self.take(")").then_some(is_allowed);
        }
        let (licence, rest) = self.words.split_first()?;
        if ["OR", "AND", "WITH", ")"].contains(licence) {
            return None;
        }
        self.words = rest;
        if !self.take("WITH") {
            return Some(self.allowed.contains(licence));
        }
        let (exception, rest) = self.words.split_first()?;
        self.words = rest;
        let both = format!("{licence} WITH {exception}");
        Some(self.allowed.contains(both.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# D\n\n## Licences that are allowed\n\n| licence | why |\n|---|---|\n\
                         | MIT | x |\n| Apache-2.0 | x |\n| BSD-3-Clause | x |\n\n## Next\n\n| GPL-3.0 | no |\n";

    #[track_caller]
    fn check(license: Option<&str>, words: Option<&str>) {
        let package = Package {
            name: "it".to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
        };
        let message = refusal(&package, &allowed(TABLE));
        assert_eq!(
            message.is_some(),
            words.is_some(),
            "{license:?}: {message:?}"
        );
        let (message, words) = (message.unwrap_or_default(), words.unwrap_or_default());
        assert!(message.contains(words), "{message}");
    }

    #[test]
    fn a_licence_is_allowed_by_the_page_alone() {
        let is_not = Some("is not allowed");
        let is_none = Some("cannot be understood");
        check(Some("MIT"), None);
        check(Some("GPL-3.0"), is_not);
        check(Some("GPL-3.0 OR MIT"), None);
        check(Some("GPL-3.0 AND MIT"), is_not);
        check(Some("GPL-3.0/Apache-2.0"), None);
        check(Some("(MIT OR GPL-3.0) AND BSD-3-Clause"), None);
        check(Some("(MIT OR Apache-2.0) AND Unicode-3.0"), is_not);
        check(Some("MIT OR GPL-3.0 AND GPL-2.0"), None);
        check(Some("Apache-2.0 WITH LLVM-exception"), is_not);
        check(Some("Apache-2.0 WITH LLVM-exception OR MIT"), None);
        check(None, Some("names no licence"));
        for odd in [
            "", "MIT OR", "MIT MIT", "(MIT", "MIT)", "MIT WITH", "AND MIT", "()",
        ] {
            check(Some(odd), is_none);
        }
    }

    #[test]
    fn the_dependencies_of_this_workspace_are_allowed() {
        assert_eq!(run(&Workspace::here().unwrap()), Ok(true));
    }
}
