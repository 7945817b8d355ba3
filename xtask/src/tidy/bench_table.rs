//! Check that every bench target has a row in the table of `cargo xtask bench`.

use super::breach;
use crate::bench::BENCHES;
use crate::workspace::Workspace;

pub(super) fn find(workspace: &Workspace) -> Vec<String> {
    let mut breaches = Vec::new();
    for package in &workspace.packages {
        let is_bench = |kind: &String| kind == "bench";
        for target in package
            .targets
            .iter()
            .filter(|it| it.kind.iter().any(is_bench))
        {
            let mut rows = BENCHES.iter();
            if !rows.any(|row| row.package == package.name && row.target == target.name) {
                let path = target.src_path.strip_prefix(&workspace.root);
                let what = format!("bench `{}` of {} has no row", target.name, package.name);
                breaches.push(breach(path.unwrap_or(&target.src_path), what));
            }
        }
    }
    breaches
}
