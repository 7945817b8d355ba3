//! Sets `cfg(fibers)` if contexts run on fibers.

use std::env::var;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(fibers)");
    println!("cargo::rerun-if-changed=build.rs");
    let set = |name: &str| var(name).is_ok();
    let system = set("CARGO_CFG_UNIX") || set("CARGO_CFG_WINDOWS");
    // The targets that corosensei supports; Cargo.toml has the same list.
    let machine = matches!(
        var("CARGO_CFG_TARGET_ARCH").as_deref(),
        Ok("x86_64" | "x86" | "aarch64" | "arm" | "riscv64" | "riscv32" | "loongarch64")
    );
    if set("CARGO_FEATURE_FIBERS") && system && machine {
        println!("cargo::rustc-cfg=fibers");
    }
}
