//! A relative link in a document leads to a file or a folder of the tree.

use std::path::{Component, Path, PathBuf};

use super::{Breach, Tree};

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let is_page = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "md");
    for page in tree.workspace.files.iter().filter(is_page) {
        let Some(text) = tree.workspace.text(page) else {
            continue;
        };
        let mut in_code = false;
        for (index, line) in text.lines().enumerate() {
            if line.trim_start().starts_with("```") {
                in_code = !in_code;
            }
            if in_code {
                continue;
            }
            for link in links(line) {
                if !leads_somewhere(tree, page, link) {
                    let what = format!("the link `{link}` leads nowhere");
                    breaches.push(Breach::at(page, index + 1, what));
                }
            }
        }
    }
    breaches
}

/// Targets of the links in a line that are paths: `[text](target#part)` without the part.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let path = target.split('#').next()?;
        let elsewhere = path.contains("://") || path.starts_with("mailto:");
        (!path.is_empty() && !elsewhere).then_some(path)
    })
}

fn leads_somewhere(tree: &Tree, page: &Path, link: &str) -> bool {
    let mut target = page.parent().unwrap_or(page).to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => target.push(name),
            Component::CurDir => {}
            Component::ParentDir if target.pop() => {}
            // The path leads out of the tree.
            _ => return false,
        }
    }
    let mut files = tree.workspace.files.iter();
    files.any(|file| file.starts_with(&target))
}
