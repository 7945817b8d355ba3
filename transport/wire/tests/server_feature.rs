//! Clients do not build the server half, since the feature `server` is off for them.

use std::process::Command;

/// Features of this package when `cargo` builds another package of the workspace, without its
/// tests.
fn features_for(package: &str, options: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").expect("cargo runs the tests");
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--locked", "--edges", "normal,build"])
        .args(["--prefix", "none", "--format", "{p} [{f}]"])
        .args(["--package", package])
        .args(options)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    let tree = String::from_utf8(output.stdout).expect("text");
    let errors = String::from_utf8_lossy(&output.stderr);
    let mut lines = tree.lines();
    let line = lines.find(|line| line.starts_with(concat!(env!("CARGO_PKG_NAME"), " ")));
    let line =
        line.unwrap_or_else(|| panic!("{package} does not use this package: {tree}{errors}"));
    let (_, features) = line.rsplit_once('[').expect("the features");
    features
        .trim_end_matches([']', ' ', '(', '*', ')'])
        .to_owned()
}

#[track_caller]
fn check(package: &str, options: &[&str], has_server: bool) {
    let features = features_for(package, options);
    let has = features.split(',').any(|feature| feature == "server");
    assert_eq!(has, has_server, "{package} {options:?}: {features:?}");
}

#[test]
fn only_servers_build_the_server_half() {
    check("twotone-transport", &[], false);
    check("twotone", &["--no-default-features"], false);
    check(
        "twotone",
        &["--no-default-features", "--features", "arrow"],
        false,
    );
    check(
        "twotone",
        &["--no-default-features", "--features", "sim"],
        true,
    );
    check("twotone-sim", &[], true);
}
