//! Every bench target has its row in the table of `cargo xtask bench`.

use super::{Breach, Tree};
use crate::bench::BENCHES;

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for package in &tree.workspace.packages {
        for target in &package.targets {
            let listed = BENCHES
                .iter()
                .any(|bench| bench.package == package.name && bench.target == target.name);
            if target.kind.iter().any(|kind| kind == "bench") && !listed {
                let path = target.src_path.strip_prefix(&tree.workspace.root);
                let what = format!("bench `{}` of {} has no row", target.name, package.name);
                breaches.push(Breach::new(path.unwrap_or(&target.src_path), what));
            }
        }
    }
    breaches
}
