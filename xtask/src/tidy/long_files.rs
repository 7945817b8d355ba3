//! Long files, which may have more than one purpose. A remark, not a breach.

use super::Tree;

/// Number of lines above which a source gets a remark.
const MANY: usize = 500;

pub(super) fn find(tree: &Tree) -> Vec<String> {
    tree.sources
        .iter()
        .filter(|source| source.lines.len() > MANY)
        .map(|source| {
            let lines = source.lines.len();
            format!(
                "{} has {lines} lines; does it tell one story?",
                source.path.display()
            )
        })
        .collect()
}
