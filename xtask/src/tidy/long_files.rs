//! Files that may tell more than one story. A remark, not a breach.

use super::Tree;

/// Lines above which a source is remarked on.
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
