//! Dependencies that are allowed among the packages of the workspace.

use super::{Breach, Tree};

/// A package and those of ours that it may depend on, for its tests, benches and build too.
pub(crate) struct Layer {
    pub(crate) package: &'static str,
    /// Its folder from the root.
    pub(crate) folder: &'static str,
    pub(crate) may_use: &'static [&'static str],
}

/// The table. A package of ours that is not here is a breach.
pub(crate) const LAYERS: [Layer; 11] = [
    Layer {
        package: "twotone-hal",
        folder: "hal",
        may_use: &[],
    },
    Layer {
        package: "twotone-wire",
        folder: "transport/wire",
        may_use: &[],
    },
    Layer {
        package: "twotone-transport",
        folder: "transport",
        may_use: &["twotone-hal", "twotone-wire", "tworoutine"],
    },
    Layer {
        package: "tworoutine",
        folder: "tworoutine",
        may_use: &["tworoutine-macros"],
    },
    Layer {
        package: "tworoutine-macros",
        folder: "tworoutine/macros",
        may_use: &[],
    },
    Layer {
        package: "twotone-algorithms",
        folder: "algorithms",
        may_use: &["twotone-hal", "tworoutine"],
    },
    Layer {
        package: "twotone-physics",
        folder: "sim/physics",
        may_use: &[],
    },
    Layer {
        package: "twotone-sim",
        folder: "sim",
        may_use: &["twotone-wire", "twotone-physics"],
    },
    Layer {
        package: "twotone",
        folder: "",
        may_use: &[
            "twotone-hal",
            "twotone-wire",
            "twotone-transport",
            "twotone-algorithms",
            "twotone-physics",
            "twotone-sim",
            "tworoutine",
        ],
    },
    Layer {
        package: "twotone-fuzz",
        folder: "fuzz",
        may_use: &[
            "twotone",
            "twotone-hal",
            "twotone-wire",
            "twotone-transport",
            "twotone-algorithms",
            "twotone-sim",
        ],
    },
    Layer {
        package: "xtask",
        folder: "xtask",
        may_use: &[],
    },
];

pub(super) fn find(tree: &Tree) -> Vec<Breach> {
    let packages = &tree.workspace.packages;
    let mut breaches = Vec::new();
    for package in packages {
        let folder = tree.workspace.folder(package);
        let manifest = folder.join("Cargo.toml");
        let Some(layer) = LAYERS.iter().find(|layer| layer.package == package.name) else {
            breaches.push(Breach::new(
                manifest,
                format!("{} has no layer", package.name),
            ));
            continue;
        };
        if folder.as_os_str() != layer.folder {
            let what = format!("{} belongs in `{}/`", package.name, layer.folder);
            breaches.push(Breach::new(&manifest, what));
        }
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            let ours = dependency.path.is_some() || packages.iter().any(|each| each.name == name);
            if ours && !layer.may_use.contains(&name) {
                let kind = match dependency.kind.as_deref() {
                    Some(kind) => format!("{kind}-depend"),
                    None => "depend".to_owned(),
                };
                let what = format!("{} may not {kind} on {name}", package.name);
                breaches.push(Breach::new(&manifest, what));
            }
        }
    }
    breaches
}
