//! Check that every relative link in a document leads to a file or folder of the repository.

use std::path::{Component, Path};

use super::breach_at;
use crate::workspace::Workspace;

pub(super) fn find(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for page in &workspace.files {
        if page.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let mut in_code = false;
        for (index, line) in workspace.text(page).unwrap_or_default().lines().enumerate() {
            in_code ^= line.trim_start().starts_with("```");
            for link in links(line).filter(|_| !in_code) {
                if !leads_somewhere(workspace, page, link) {
                    let what = format!("the link `{link}` leads nowhere");
                    breaches.push(breach_at(page, index + 1, what));
                }
            }
        }
    }
    breaches
}

/// Returns the path of each relative link in a line: `target` of `[text](target#part)`.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        let path = target.split('#').next()?;
        let elsewhere = path.contains("://") || path.starts_with("mailto:");
        (!path.is_empty() && !elsewhere).then_some(path)
    })
}

fn leads_somewhere(workspace: &Workspace, page: &Path, link: &str) -> bool {
    let mut target = page.parent().unwrap_or(page).to_path_buf();
    for part in Path::new(link).components() {
        match part {
            Component::Normal(name) => target.push(name),
            Component::CurDir => {}
            Component::ParentDir if target.pop() => {}
            // The path leads out of the repository.
            _ => return false,
        }
    }
    let mut files = workspace.files.iter();
    files.any(|file| file.starts_with(&target))
}
